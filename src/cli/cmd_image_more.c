/* cli/cmd_image_more.c -- tag, untag, history, image tree, diff, image diff, image prune. */
#include "cli/cli_int.h"
#include "cli/listing.h"
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SHORT_ID 12
#define MISSING  "<missing>"

int skf_cmd_tag(struct skf_cli *c)
{
	if (skf_cli_engine(c) < 0 || skf_engine_tag(c->g, c->args.v[0], c->args.v[1], &c->e) < 0)
		return skf_cli_fail(c, 1);
	return 0;
}

int skf_cmd_untag(struct skf_cli *c)
{
	const struct skf_strv names = {c->args.v + 1, c->args.n - 1};

	if (skf_cli_engine(c) < 0 || skf_engine_untag(c->g, c->args.v[0], &names, &c->e) < 0)
		return skf_cli_fail(c, 1);
	return 0;
}

static void short_id(const char *id, bool whole, char out[SKF_DIGEST_MAX])
{
	const char *hex = strchr(id, ':');

	snprintf(out, SKF_DIGEST_MAX, "%.*s", whole ? SKF_DIGEST_MAX - 1 : SHORT_ID,
		 whole || !hex ? id : hex + 1);
}

/* --- history --- */
struct cells {
	char id[SKF_DIGEST_MAX], since[80], at[36], size[32], *by;
};

static int history_cells(struct skf_cli *c, const struct skf_history_row *r, const char *id, int64_t now,
			 struct cells *x)
{
	size_t n = strlen(r->created_by);

	short_id(id, c->o.no_trunc || skf_streq(id, MISSING), x->id);
	skf_human_ago(r->created_ns, now, x->since, sizeof(x->since));
	skf_time_rfc3339(r->created_ns, x->at);
	if (c->o.human)
		skf_human_size(r->size, x->size, sizeof(x->size));
	else
		snprintf(x->size, sizeof(x->size), "%llu", (unsigned long long)r->size);
	x->by = !c->o.no_trunc && n > 45 ? skf_arena_fmt(&c->a, "%.44s…", r->created_by) : r->created_by;
	if (!x->by)
		return skf_fail(&c->e, SKF_ENOMEM, "memory for the history");
	for (char *p = x->by; *p; p++) /* one line, and nothing that a terminal would obey */
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = ' ';
	return 0;
}

static int history_formatted(struct skf_cli *c, struct skf_listing *l, const struct cells *x,
			     const char *comment)
{
	struct json_object *o = json_object_new_object();
	const struct {
		const char *k, *v;
	} f[] = {{"ID", x->id},        {"CreatedSince", x->since}, {"CreatedAt", x->at},
		 {"CreatedBy", x->by}, {"Size", x->size},          {"Comment", comment}};
	int r;

	for (size_t i = 0; o && i < SKF_ARRAY_LEN(f); i++)
		json_object_object_add(o, f[i].k, json_object_new_string(f[i].v));
	r = o ? skf_listing_row(l, o, &c->e) : skf_fail(&c->e, SKF_ENOMEM, "memory for the history");
	json_object_put(o);
	return r;
}

static int history_rows(struct skf_cli *c, struct skf_listing *l, bool table)
{
	static const char *const head[] = {"IMAGE", "CREATED", "CREATED BY", "SIZE", "COMMENT"};
	SKF_AUTO(skf_table_done) struct skf_table t = SKF_TABLE(5);
	const struct skf_history_row *v;
	int64_t now = skf_now_ns();
	struct skf_digest id;
	struct skf_jarr rows;
	struct cells x;

	if (skf_engine_history(c->g, c->args.v[0], &c->a, &rows, &id, &c->e) < 0)
		return -1;
	v = rows.v;
	for (size_t i = 0; table && !c->o.quiet && i < SKF_ARRAY_LEN(head); i++)
		skf_table_add(&t, head[i]);
	for (size_t i = 0; i < rows.n; i++) {
		if (history_cells(c, &v[i], i ? MISSING : id.s, now, &x) < 0)
			return -1;
		if (c->o.quiet) {
			printf("%s\n", x.id);
			continue;
		}
		if (!table && history_formatted(c, l, &x, v[i].comment) < 0)
			return -1;
		if (!table)
			continue;
		skf_table_add(&t, x.id);
		skf_table_add(&t, v[i].created_ns ? x.since : "N/A");
		skf_table_add(&t, x.by);
		skf_table_add(&t, x.size);
		skf_table_add(&t, v[i].comment);
	}
	if (table)
		skf_table_print(&t);
	return table ? 0 : skf_listing_end(l, &c->e);
}

int skf_cmd_history(struct skf_cli *c)
{
	static const struct skf_listing_head heads[] = {{"ID", "IMAGE"},
							{"CreatedSince", "CREATED"},
							{"CreatedAt", "CREATED AT"},
							{"CreatedBy", "CREATED BY"},
							{"Size", "SIZE"},
							{"Comment", "COMMENT"},
							{NULL, NULL}};
	SKF_AUTO(skf_listing_done)
	struct skf_listing l = {.heads = heads, .env = {.type = "*formatter.historyContext"}};
	bool table;

	if (skf_listing_init(&l, c->o.format, &c->a, &table, &c->e) < 0 || skf_cli_engine(c) < 0 ||
	    history_rows(c, &l, table) < 0)
		return skf_cli_fail(c, 1);
	return 0;
}

/* podman's: the layers from the lowest up, the image's names at the top. */
int skf_cmd_image_tree(struct skf_cli *c)
{
	const struct skf_history_row *v;
	char id[SKF_DIGEST_MAX], size[32];
	uint64_t total = 0;
	struct skf_digest config;
	struct skf_jarr rows;
	size_t left = 0;

	if (skf_cli_engine(c) < 0 ||
	    skf_engine_history(c->g, c->args.v[0], &c->a, &rows, &config, &c->e) < 0)
		return skf_cli_fail(c, 1);
	v = rows.v;
	for (size_t i = 0; i < rows.n; i++) {
		total += v[i].size;
		left += v[i].layer[0] != '\0';
	}
	short_id(config.s, false, id);
	skf_human_size(total, size, sizeof(size));
	printf("Image ID: %s\nTags:     [%s]\nSize:     %s\nImage Layers\n", id, c->args.v[0], size);
	for (size_t i = rows.n; i-- > 0;) {
		if (!v[i].layer[0])
			continue;
		short_id(v[i].layer, c->o.no_trunc, id);
		skf_human_size(v[i].size, size, sizeof(size));
		printf("%s ID: %s Size: %s\n", --left ? "├──" : "└──", id, size);
	}
	return 0;
}

/* --- differences --- */
/* Names come from images: control bytes would reach the terminal. */
static void print_path(const char *p)
{
	for (; *p; p++) {
		bool bad = (unsigned char)*p < 0x20 || *p == 0x7f ||
			   ((unsigned char)*p == 0xc2 && (unsigned char)p[1] >= 0x80 &&
			    (unsigned char)p[1] < 0xa0);

		putchar(bad && isatty(STDOUT_FILENO) ? '?' : *p);
	}
	putchar('\n');
}

static int print_diff(struct skf_cli *c, const struct skf_jarr *rows)
{
	const struct skf_diff_row *v = rows->v;

	(void)c;
	for (size_t i = 0; i < rows->n; i++) {
		printf("%c ", v[i].kind);
		print_path(v[i].path);
	}
	return 0;
}

int skf_cmd_diff(struct skf_cli *c)
{
	struct skf_jarr rows;

	if (skf_cli_engine(c) < 0 || skf_engine_diff(c->g, c->args.v[0], &c->a, &rows, &c->e) < 0)
		return skf_cli_fail(c, 1);
	return print_diff(c, &rows);
}

int skf_cmd_image_diff(struct skf_cli *c)
{
	struct skf_jarr rows;

	if (skf_cli_engine(c) < 0 ||
	    skf_engine_image_diff(c->g, c->args.v[0], c->args.n > 1 ? c->args.v[1] : NULL, &c->a, &rows,
				  &c->e) < 0)
		return skf_cli_fail(c, 1);
	return print_diff(c, &rows);
}

/* --- prune --- */
/* docker asks; without a terminal nobody can answer, and that is a no. */
static bool agreed(struct skf_cli *c)
{
	char line[16];

	if (c->o.force)
		return true;
	printf("WARNING! This will remove all %s.\nAre you sure you want to continue? [y/N] ",
	       c->o.all ? "images without at least one container associated to them" : "dangling images");
	fflush(stdout);
	return fgets(line, sizeof(line), stdin) && (line[0] == 'y' || line[0] == 'Y');
}

int skf_cmd_image_prune(struct skf_cli *c)
{
	struct skf_prune_req q = SKF_REQ(struct skf_prune_req);
	struct skf_strv untagged = {0}, deleted = {0};
	uint64_t bytes;
	char size[32];

	q.all = c->o.all;
	if (!agreed(c))
		return 0;
	if (skf_cli_prune_filters(c, &q.filters) < 0)
		return skf_cli_fail(c, 1);
	if (skf_cli_engine(c) < 0 ||
	    skf_engine_image_prune(c->g, &q, &c->a, &untagged, &deleted, &bytes, &c->e) < 0)
		return skf_cli_fail(c, 1);
	if (untagged.n + deleted.n)
		printf("Deleted Images:\n");
	for (size_t i = 0; i < untagged.n; i++)
		printf("untagged: %s\n", untagged.v[i]);
	for (size_t i = 0; i < deleted.n; i++)
		printf("deleted: %s\n", deleted.v[i]);
	skf_human_size(bytes, size, sizeof(size));
	printf("%sTotal reclaimed space: %s\n", untagged.n + deleted.n ? "\n" : "", size);
	return 0;
}
