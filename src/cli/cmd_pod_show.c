/* cli/cmd_pod_show.c -- pod ps and pod inspect, in podman's words. */
#include "cli/cli_int.h"
#include "cli/listing.h"
#include "engine/pod.h"
#include <json-c/json.h>
#include <string.h>

#define SHORT_ID 12

static void id_text(const struct skf_cli *c, const char *id, char out[SKF_ID_LEN + 1])
{
	snprintf(out, SKF_ID_LEN + 1, "%.*s", c->o.no_trunc ? SKF_ID_LEN : SHORT_ID, id);
}

static int print_plain(struct skf_cli *c, const struct skf_jarr *rows, int64_t now)
{
	static const char *const head[] = {"POD ID", "NAME", "STATUS", "CREATED", "# OF CONTAINERS"};
	SKF_AUTO(skf_table_done) struct skf_table t = SKF_TABLE(SKF_ARRAY_LEN(head));
	const struct skf_pod_row *r = rows->v;

	for (size_t i = 0; !c->o.quiet && i < SKF_ARRAY_LEN(head); i++)
		skf_table_add(&t, head[i]);
	for (size_t i = 0; i < rows->n; i++) {
		char id[SKF_ID_LEN + 1], ago[80], n[24];

		id_text(c, r[i].id, id);
		if (c->o.quiet) {
			printf("%s\n", id);
			continue;
		}
		skf_human_ago(r[i].created_ns, now, ago, sizeof(ago));
		snprintf(n, sizeof(n), "%zu", r[i].containers.n);
		skf_table_add(&t, id);
		skf_table_add(&t, r[i].name);
		skf_table_add(&t, r[i].status);
		skf_table_add(&t, ago);
		skf_table_add(&t, n);
	}
	skf_table_print(&t);
	return 0;
}

static bool put(struct json_object *o, const char *key, const char *text)
{
	struct json_object *s = json_object_new_string(text);

	if (s && json_object_object_add(o, key, s) == 0)
		return true;
	json_object_put(s);
	return false;
}

/* Of all containers: "a,b". what: 'i' short id, 'n' name, 's' state. */
static bool put_ctrs(struct json_object *o, const char *key, const struct skf_pod_row *r, char what)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_SPEC_BYTES);
	const struct skf_pod_ctr *x = r->containers.v;

	for (size_t i = 0; i < r->containers.n; i++)
		skf_buf_fmt(&b, "%s%.*s", i ? "," : "",
			    what == 'i' ? SHORT_ID : (int)strlen(what == 'n' ? x[i].name : x[i].state),
			    what == 'i'   ? x[i].id
			    : what == 'n' ? x[i].name
					  : x[i].state);
	return b.err == 0 && put(o, key, skf_buf_cstr(&b));
}

static bool put_labels(struct json_object *o, const struct skf_kvs *l)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_SPEC_BYTES);

	for (size_t i = 0; i < l->n; i++)
		skf_buf_fmt(&b, "%s%s=%s", i ? "," : "", l->v[i].k, l->v[i].v);
	return b.err == 0 && put(o, "Labels", skf_buf_cstr(&b));
}

static struct json_object *document(const struct skf_cli *c, const struct skf_pod_row *r, int64_t now)
{
	struct json_object *o = json_object_new_object();
	char id[SKF_ID_LEN + 1], ago[80], n[24];

	id_text(c, r->id, id);
	skf_human_ago(r->created_ns, now, ago, sizeof(ago));
	snprintf(n, sizeof(n), "%zu", r->containers.n);
	if (o && put(o, "ID", id) && put(o, "Name", r->name) && put(o, "Status", r->status) &&
	    put(o, "Created", ago) && put(o, "NumberOfContainers", n) &&
	    put_ctrs(o, "ContainerIds", r, 'i') && put_ctrs(o, "ContainerNames", r, 'n') &&
	    put_ctrs(o, "ContainerStatuses", r, 's') && put_labels(o, &r->labels))
		return o;
	json_object_put(o);
	return NULL;
}

static const struct skf_listing_head heads[] = {{"ID", "POD ID"},
						{"Name", "NAME"},
						{"Status", "STATUS"},
						{"Created", "CREATED"},
						{"NumberOfContainers", "# OF CONTAINERS"},
						{"ContainerIds", "IDS"},
						{"ContainerNames", "NAMES"},
						{"ContainerStatuses", "STATUS"},
						{"Labels", "LABELS"},
						{NULL, NULL}};

static int list(struct skf_cli *c, struct skf_listing *l)
{
	const struct skf_pod_row *v;
	struct skf_jarr rows;
	bool plain;

	if (skf_cli_check_filters(c) < 0)
		return skf_cli_usage(c);
	if (skf_listing_init(l, c->o.format, &c->a, &plain, &c->e) < 0 || skf_cli_engine(c) < 0 ||
	    skf_engine_pod_ps(c->g, &c->o.filter, &c->a, &rows, &c->e) < 0)
		return skf_cli_fail(c, 125);
	if (plain)
		return print_plain(c, &rows, skf_now_ns());
	v = rows.v;
	for (size_t i = 0; i < rows.n; i++) {
		struct json_object *o = document(c, &v[i], skf_now_ns());
		int r = o ? skf_listing_row(l, o, &c->e)
			  : skf_fail(&c->e, SKF_ENOMEM, "memory for the list");

		json_object_put(o);
		if (r < 0)
			return skf_cli_fail(c, 125);
	}
	return skf_listing_end(l, &c->e) < 0 ? skf_cli_fail(c, 125) : 0;
}

int skf_cmd_pod_ps(struct skf_cli *c)
{
	struct skf_listing l = {.heads = heads, .env = {.type = "*pods.ListPodReporter"}};
	int r = list(c, &l);

	skf_listing_done(&l);
	return r;
}

static int inspect_one(struct skf_cli *c, const char *name, unsigned indent, struct skf_buf *b)
{
	struct skf_jw w = {.b = b, .indent = indent};

	return skf_engine_pod_inspect(c->g, name, &w, &c->e);
}

int skf_cmd_pod_inspect(struct skf_cli *c)
{
	return skf_cli_inspect_all(c, inspect_one);
}
