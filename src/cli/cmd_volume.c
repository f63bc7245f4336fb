/* cli/cmd_volume.c -- volume create, ls, inspect, exists, rm, prune: docker's words and columns. */
#include "cli/cli_int.h"
#include "cli/listing.h"
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

int skf_cmd_volume_create(struct skf_cli *c)
{
	struct skf_volume_req q = SKF_REQ(struct skf_volume_req);
	struct skf_volume *v;

	q.name = c->args.n ? c->args.v[0] : c->o.name;
	q.driver = c->o.driver;
	q.labels = c->o.label;
	q.options = c->o.opt;
	if (c->args.n && c->o.name) {
		skf_fail(&c->e, SKF_EINVALID,
			 "conflicting options: either specify --name or provide positional arg, not both");
		return skf_cli_fail(c, 1);
	}
	if (skf_cli_engine(c) < 0 || skf_engine_volume_create(c->g, &q, &c->a, &v, &c->e) < 0)
		return skf_cli_fail(c, 1);
	printf("%s\n", v->name);
	return 0;
}

/* "a=1,b=2" */
static char *join_labels(struct skf_cli *c, const struct skf_kvs *m)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_OBJECT_BYTES);

	for (size_t i = 0; i < m->n; i++)
		skf_buf_fmt(&b, "%s%s=%s", i ? "," : "", m->v[i].k, m->v[i].v);
	return skf_arena_dup(&c->a, skf_buf_cstr(&b), b.len);
}

/* In docker's order, which {{json .}} shows. NULL without memory. */
static struct json_object *volume_document(struct skf_cli *c, const struct skf_volume_row *r)
{
	const char *labels = join_labels(c, &r->v->labels);
	char size[32], links[16];
	const char *const pairs[][2] = {{"Availability", "N/A"}, {"Driver", r->v->driver},
					{"Group", "N/A"},        {"Labels", labels},
					{"Links", links},        {"Mountpoint", r->v->mountpoint},
					{"Name", r->v->name},    {"Scope", "local"},
					{"Size", size},          {"Status", "N/A"}};

	skf_human_size(r->size, size, sizeof(size));
	snprintf(links, sizeof(links), "%u", r->users);
	return labels ? skf_listing_document(pairs, SKF_ARRAY_LEN(pairs)) : NULL;
}

static int print_formatted(struct skf_cli *c, struct skf_listing *l, const struct skf_jarr *rows)
{
	const struct skf_volume_row *v = rows->v;

	for (size_t i = 0; i < rows->n; i++) {
		struct json_object *o = volume_document(c, &v[i]);
		int r = o ? skf_listing_row(l, o, &c->e)
			  : skf_fail(&c->e, SKF_ENOMEM, "memory for the list");

		json_object_put(o);
		if (r < 0)
			return -1;
	}
	return skf_listing_end(l, &c->e);
}

static void print_plain(struct skf_cli *c, const struct skf_jarr *rows)
{
	SKF_AUTO(skf_table_done) struct skf_table t = SKF_TABLE(2);
	const struct skf_volume_row *v = rows->v;

	if (!c->o.quiet) {
		skf_table_add(&t, "DRIVER");
		skf_table_add(&t, "VOLUME NAME");
	}
	for (size_t i = 0; i < rows->n; i++) {
		if (c->o.quiet) {
			printf("%s\n", v[i].v->name);
			continue;
		}
		skf_table_add(&t, v[i].v->driver);
		skf_table_add(&t, v[i].v->name);
	}
	skf_table_print(&t);
}

static int list(struct skf_cli *c, struct skf_listing *l)
{
	struct skf_volumes_req q = SKF_REQ(struct skf_volumes_req);
	struct skf_jarr rows;
	bool plain;

	if (skf_cli_check_filters(c) < 0)
		return skf_cli_usage(c);
	if (skf_listing_init(l, c->o.format, &c->a, &plain, &c->e) < 0)
		return skf_cli_fail(c, 1);
	q.filters = c->o.filter;
	q.size = !plain && !c->o.quiet && skf_listing_uses(l, "Size");
	q.usage = !plain && !c->o.quiet && skf_listing_uses(l, "Links");
	if (skf_cli_engine(c) < 0 || skf_engine_volumes(c->g, &q, &c->a, &rows, &c->e) < 0)
		return skf_cli_fail(c, 1);
	if (!plain && !c->o.quiet)
		return print_formatted(c, l, &rows) < 0 ? skf_cli_fail(c, 1) : 0;
	print_plain(c, &rows);
	return 0;
}

int skf_cmd_volume_ls(struct skf_cli *c)
{
	static const struct skf_listing_head heads[] = {{"Availability", "AVAILABILITY"},
							{"Driver", "DRIVER"},
							{"Group", "GROUP"},
							{"Labels", "LABELS"},
							{"Links", "LINKS"},
							{"Mountpoint", "MOUNTPOINT"},
							{"Name", "VOLUME NAME"},
							{"Scope", "SCOPE"},
							{"Size", "SIZE"},
							{"Status", "STATUS"},
							{NULL, NULL}};
	struct skf_listing l = {.heads = heads, .env = {.type = "*formatter.volumeContext"}};
	int r = list(c, &l);

	skf_listing_done(&l);
	return r;
}

int skf_cmd_volume_exists(struct skf_cli *c)
{
	struct skf_volume *v;

	if (skf_cli_engine(c) < 0)
		return skf_cli_fail(c, 125);
	if (skf_engine_volume_get(c->g, c->args.v[0], &c->a, &v, &c->e) == 0)
		return 0;
	return c->e.kind == SKF_ENOTFOUND ? 1 : skf_cli_fail(c, 125);
}

int skf_cmd_volume_rm(struct skf_cli *c)
{
	int status = 0;

	if (skf_cli_engine(c) < 0)
		return skf_cli_fail(c, 1);
	for (size_t i = 0; i < c->args.n; i++) {
		skf_err_clear(&c->e);
		if (skf_engine_volume_rm(c->g, c->args.v[i], c->o.force, &c->e) == 0)
			printf("%s\n", c->args.v[i]);
		else
			status = skf_cli_fail(c, 1);
	}
	return status;
}

/* docker asks; without a terminal nobody can answer, and that is a no. */
static bool agreed(const struct skf_cli *c)
{
	char line[16];

	if (c->o.force)
		return true;
	printf("WARNING! This will remove %s local volumes not used by at least one container.\n"
	       "Are you sure you want to continue? [y/N] ",
	       c->o.all ? "all" : "anonymous");
	fflush(stdout);
	return fgets(line, sizeof(line), stdin) && (line[0] == 'y' || line[0] == 'Y');
}

int skf_cmd_volume_prune(struct skf_cli *c)
{
	struct skf_volume_prune_req q = SKF_REQ(struct skf_volume_prune_req);
	struct skf_strv removed = {0};
	uint64_t bytes;
	char size[32];

	q.all = c->o.all;
	if (skf_cli_until_filters(c, &q.filters) < 0)
		return skf_cli_fail(c, 1);
	if (!agreed(c))
		return 0;
	if (skf_cli_engine(c) < 0 || skf_engine_volume_prune(c->g, &q, &c->a, &removed, &bytes, &c->e) < 0)
		return skf_cli_fail(c, 1);
	if (removed.n)
		printf("Deleted Volumes:\n");
	for (size_t i = 0; i < removed.n; i++)
		printf("%s\n", removed.v[i]);
	skf_human_size(bytes, size, sizeof(size));
	printf("%sTotal reclaimed space: %s\n", removed.n ? "\n" : "", size);
	return 0;
}
