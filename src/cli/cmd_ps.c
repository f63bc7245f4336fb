/* cli/cmd_ps.c -- ps: docker's list of containers. The plain table is written straight from the rows; a
 * document per row is made only for --format. */
#include "cli/cli_int.h"
#include "cli/listing.h"
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SHORT_ID    12
#define COMMAND_MAX 20
#define MOUNT_MAX   15

static const char *health_text(const char *health)
{
	return skf_streq(health, "healthy")     ? " (healthy)"
	       : skf_streq(health, "unhealthy") ? " (unhealthy)"
	       : skf_streq(health, "starting")  ? " (health: starting)"
						: "";
}

void skf_cli_ps_status(const struct skf_ps_row *r, int64_t now, char *out, size_t size)
{
	char d[64];

	if (skf_streq(r->state, "running") || skf_streq(r->state, "paused")) {
		skf_human_duration(now - r->started_ns, d, sizeof(d));
		snprintf(out, size, "Up %s%s", d,
			 skf_streq(r->state, "paused") ? " (Paused)" : health_text(r->health));
	} else if (skf_streq(r->state, "restarting")) {
		skf_human_ago(r->finished_ns, now, d, sizeof(d));
		snprintf(out, size, "Restarting (%d) %s", r->exit_code, d);
	} else if (skf_streq(r->state, "exited")) {
		skf_human_ago(r->finished_ns, now, d, sizeof(d));
		snprintf(out, size, "Exited (%d) %s", r->exit_code, d);
	} else if (skf_streq(r->state, "created")) {
		snprintf(out, size, "Created");
	} else if (skf_streq(r->state, "initialized")) {
		snprintf(out, size, "Initialized");
	} else {
		snprintf(out, size, "Dead");
	}
}

/* Quoted as docker does: quotes and backslashes escaped, control characters by their escapes. */
static void quote(const char *p, size_t n, const char *tail, char *out, size_t size)
{
	static const char from[] = "\"\\\a\b\f\n\r\t\v", to[] = "\"\\abfnrtv";
	size_t len = 0;

	out[len++] = '"';
	for (size_t i = 0; i < n && len + 8 < size; i++) {
		unsigned char c = (unsigned char)p[i];
		bool plain = c >= 0x20 && c != 0x7f && c != '"' && c != '\\';
		const char *at = plain ? NULL : strchr(from, c);

		if (plain)
			out[len++] = (char)c;
		else if (at)
			len += (size_t)snprintf(out + len, size - len, "\\%c", to[at - from]);
		else
			len += (size_t)snprintf(out + len, size - len, "\\x%02x", c);
	}
	snprintf(out + len, size - len, "%s\"", tail);
}

/* At most COMMAND_MAX characters, the last one an ellipsis when cut. */
void skf_cli_ps_command(const char *command, bool whole, char *out, size_t size)
{
	size_t chars = 0, cut = 0;
	const char *p;

	for (p = command; *p; p++) {
		if (((unsigned char)*p & 0xc0) == 0x80)
			continue;
		if (++chars == COMMAND_MAX)
			cut = (size_t)(p - command);
	}
	if (whole || chars <= COMMAND_MAX)
		quote(command, strlen(command), "", out, size);
	else
		quote(command, cut, "…", out, size);
}

static void plain_row(const struct skf_cli *c, struct skf_table *t, const struct skf_ps_row *r, int64_t now)
{
	char id[SKF_ID_LEN + 1], command[1200], created[80], status[128], size[96], rw[32], root[32];

	memcpy(id, r->id, sizeof(id));
	id[c->o.no_trunc ? SKF_ID_LEN : SHORT_ID] = '\0';
	if (c->o.quiet) {
		puts(id);
		return;
	}
	skf_cli_ps_command(r->command, c->o.no_trunc, command, sizeof(command));
	skf_human_ago(r->created_ns, now, created, sizeof(created));
	skf_cli_ps_status(r, now, status, sizeof(status));
	skf_table_add(t, id);
	skf_table_add(t, r->image);
	skf_table_add(t, command);
	skf_table_add(t, created);
	skf_table_add(t, status);
	skf_table_add(t, r->ports);
	skf_table_add(t, r->name);
	if (c->o.show_pod) {
		snprintf(id, sizeof(id), "%.*s", c->o.no_trunc ? SKF_ID_LEN : SHORT_ID, r->detail->pod);
		skf_table_add(t, id);
		skf_table_add(t, r->detail->pod_name);
	}
	if (!c->o.size)
		return;
	skf_human_size(r->detail->size.rw, rw, sizeof(rw));
	skf_human_size(r->detail->size.root, root, sizeof(root));
	snprintf(size, sizeof(size), "%s (virtual %s)", rw, root);
	skf_table_add(t, size);
}

static int print_plain(struct skf_cli *c, const struct skf_jarr *rows, int64_t now)
{
	static const char *const head[] = {"CONTAINER ID", "IMAGE", "COMMAND", "CREATED",
					   "STATUS",       "PORTS", "NAMES"};
	size_t cols = SKF_ARRAY_LEN(head) + (c->o.show_pod ? 2 : 0) + c->o.size;
	SKF_AUTO(skf_table_done) struct skf_table t = SKF_TABLE((unsigned)cols);
	const struct skf_ps_row *v = rows->v;

	for (size_t i = 0; !c->o.quiet && i < SKF_ARRAY_LEN(head); i++)
		skf_table_add(&t, head[i]);
	for (int i = 0; !c->o.quiet && c->o.show_pod && i < 2; i++)
		skf_table_add(&t, i ? "PODNAME" : "POD ID");
	if (!c->o.quiet && c->o.size)
		skf_table_add(&t, "SIZE");
	for (size_t i = 0; i < rows->n; i++)
		plain_row(c, &t, &v[i], now);
	skf_table_print(&t);
	return 0;
}

int skf_cli_check_filters(struct skf_cli *c)
{
	for (size_t i = 0; i < c->o.filter.n; i++)
		if (!strchr(c->o.filter.v[i], '='))
			return skf_fail(
				&c->e, SKF_EINVALID,
				"invalid argument \"%s\" for \"-f, --filter\" flag: bad format of filter "
				"(expected name=value)",
				c->o.filter.v[i]);
	return 0;
}

/* --- one row as a document --- */

static bool put(struct json_object *o, const char *key, const char *text)
{
	struct json_object *s = json_object_new_string(text ? text : "");

	if (s && json_object_object_add(o, key, s) == 0)
		return true;
	json_object_put(s);
	return false;
}

static void put_list(struct skf_buf *b, const char *text)
{
	if (b->len)
		skf_buf_chr(b, ',');
	skf_buf_str(b, text);
}

static bool put_buf(struct json_object *o, const char *key, struct skf_buf *b)
{
	bool ok = b->err == 0 && put(o, key, skf_buf_cstr(b));

	skf_buf_clear(b);
	return ok;
}

/* At most MOUNT_MAX characters, the last one an ellipsis when cut. */
static void put_mount(struct skf_buf *b, const char *name, bool whole)
{
	size_t chars = 0, cut = 0, i;
	char text[80];

	for (i = 0; name[i]; i++)
		if (((unsigned char)name[i] & 0xc0) != 0x80 && ++chars == MOUNT_MAX)
			cut = i;
	if (whole || chars <= MOUNT_MAX || skf_fmt(text, sizeof(text), "%.*s…", (int)cut, name) < 0)
		put_list(b, name);
	else
		put_list(b, text);
}

static bool put_detail(const struct skf_cli *c, struct json_object *o, const struct skf_ps_detail *d)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_SPEC_BYTES);
	const struct skf_ps_mount *m = d->mounts.v;
	uint64_t local = 0;
	char rw[32], root[32];
	bool ok = true;

	for (size_t i = 0; i < d->labels.n; i++) {
		put_list(&b, d->labels.v[i].k);
		skf_buf_chr(&b, '=');
		skf_buf_str(&b, d->labels.v[i].v);
	}
	ok &= put_buf(o, "Labels", &b);
	for (size_t i = 0; i < d->mounts.n; i++)
		local += m[i].volume;
	skf_buf_u64(&b, local);
	ok &= put_buf(o, "LocalVolumes", &b);
	for (size_t i = 0; i < d->mounts.n; i++)
		put_mount(&b, m[i].name, c->o.no_trunc);
	ok &= put_buf(o, "Mounts", &b);
	for (size_t i = 0; i < d->networks.n; i++)
		put_list(&b, d->networks.v[i]);
	ok &= put_buf(o, "Networks", &b);
	skf_human_size(d->size.rw, rw, sizeof(rw));
	skf_human_size(d->size.root, root, sizeof(root));
	skf_buf_str(&b, rw);
	if (d->size.root)
		skf_buf_fmt(&b, " (virtual %s)", root);
	return put_buf(o, "Size", &b) && ok;
}

void skf_cli_time_text(int64_t ns, char out[64])
{
	time_t t = (time_t)(ns / 1000000000);
	struct tm tm;

	if (!localtime_r(&t, &tm) || !strftime(out, 64, "%Y-%m-%d %H:%M:%S %z %Z", &tm))
		out[0] = '\0';
}

/* In docker's order, which {{json .}} shows. NULL without memory. */
static struct json_object *row_document(const struct skf_cli *c, const struct skf_ps_row *r, int64_t now)
{
	static const char *const order[] = {"Command",      "CreatedAt", "ID",    "Image",    "Labels",
					    "LocalVolumes", "Mounts",    "Names", "Networks", "Ports",
					    "RunningFor",   "Size",      "State", "Status"};
	struct json_object *o = json_object_new_object();
	char id[SKF_ID_LEN + 1], command[1200], created[80], ago[80], status[128];
	bool ok = o != NULL;

	for (size_t i = 0; ok && i < SKF_ARRAY_LEN(order); i++)
		ok = json_object_object_add(o, order[i], NULL) == 0;
	snprintf(id, sizeof(id), "%.*s", c->o.no_trunc ? SKF_ID_LEN : SHORT_ID, r->id);
	skf_cli_ps_command(r->command, c->o.no_trunc, command, sizeof(command));
	skf_cli_time_text(r->created_ns, created);
	skf_human_ago(r->created_ns, now, ago, sizeof(ago));
	skf_cli_ps_status(r, now, status, sizeof(status));
	if (ok && c->o.show_pod)
		ok = put(o, "Pod", r->detail->pod) && put(o, "PodName", r->detail->pod_name);
	if (ok && put(o, "ID", id) && put(o, "Command", command) && put(o, "CreatedAt", created) &&
	    put(o, "RunningFor", ago) && put(o, "Status", status) && put(o, "Image", r->image) &&
	    put(o, "Names", r->name) && put(o, "Ports", r->ports) &&
	    put(o, "State", skf_streq(r->state, "stopping-failed") ? "dead" : r->state) &&
	    put_detail(c, o, r->detail))
		return o;
	json_object_put(o);
	return NULL;
}

static struct json_object *label_of(const void *ctx, const char *word)
{
	const struct skf_ps_row *const *r = ctx;
	const char *v = *r ? skf_kvs_get(&(*r)->detail->labels, word) : NULL;

	return json_object_new_string(v ? v : "");
}

static int print_formatted(struct skf_cli *c, struct skf_listing *l, const struct skf_ps_row **at,
			   const struct skf_jarr *rows, int64_t now)
{
	const struct skf_ps_row *v = rows->v;

	for (size_t i = 0; i < rows->n; i++) {
		struct json_object *o = row_document(c, &v[i], now);
		int r;

		*at = &v[i];
		r = o ? skf_listing_row(l, o, &c->e) : skf_fail(&c->e, SKF_ENOMEM, "memory for the list");
		json_object_put(o);
		if (r < 0)
			return -1;
	}
	return skf_listing_end(l, &c->e);
}

static const struct skf_listing_head heads[] = {{"Command", "COMMAND"},
						{"CreatedAt", "CREATED AT"},
						{"ID", "CONTAINER ID"},
						{"Image", "IMAGE"},
						{"Labels", "LABELS"},
						{"LocalVolumes", "LOCAL VOLUMES"},
						{"Mounts", "MOUNTS"},
						{"Names", "NAMES"},
						{"Networks", "NETWORKS"},
						{"Ports", "PORTS"},
						{"RunningFor", "CREATED"},
						{"Size", "SIZE"},
						{"State", "STATE"},
						{"Status", "STATUS"},
						{"Pod", "POD ID"},
						{"PodName", "PODNAME"},
						{NULL, NULL}};

static int ps_list(struct skf_cli *c, struct skf_listing *l, const struct skf_ps_row **at)
{
	struct skf_ps_req q = SKF_REQ(struct skf_ps_req);
	struct skf_jarr rows;
	bool plain;

	if (skf_cli_check_filters(c) < 0)
		return skf_cli_usage(c);
	if (skf_listing_init(l, c->o.format, &c->a, &plain, &c->e) < 0)
		return skf_cli_fail(c, 1);
	q.all = c->o.all;
	q.last = c->o.latest ? 1 : c->o.last > 0 ? c->o.last : 0;
	q.filters = c->o.filter;
	q.size = c->o.size || skf_listing_uses(l, "Size");
	q.detail = !plain || c->o.show_pod;
	if (skf_cli_engine(c) < 0 || skf_engine_ps_list(c->g, &q, &c->a, &rows, &c->e) < 0)
		return skf_cli_fail(c, 1);
	if (plain)
		return print_plain(c, &rows, skf_now_ns());
	return print_formatted(c, l, at, &rows, skf_now_ns()) < 0 ? skf_cli_fail(c, 1) : 0;
}

int skf_cmd_ps(struct skf_cli *c)
{
	const struct skf_ps_row *at = NULL;
	const struct skf_tmpl_method label = {"Label", label_of, &at};
	struct skf_listing l = {.heads = heads,
				.env = {.type = "*formatter.ContainerContext", .method = &label}};
	int r = ps_list(c, &l, &at);

	skf_listing_done(&l);
	return r;
}
