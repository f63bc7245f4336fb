/* cli/cmd_df.c -- system df: docker's table of what takes the disk, and -v, which ends with every byte of
 * the store. */
#include "cli/cli_int.h"
#include "cli/listing.h"
#include <json-c/json.h>
#include <string.h>

#define SHORT_ID 12

struct cells {
	char total[24], active[24], size[32], reclaimable[48];
};

static void row_cells(const struct skf_df_row *r, struct cells *x)
{
	char free[32];

	snprintf(x->total, sizeof(x->total), "%llu", (unsigned long long)r->total);
	snprintf(x->active, sizeof(x->active), "%llu", (unsigned long long)r->active);
	skf_human_size(r->size, x->size, sizeof(x->size));
	skf_human_size(r->reclaimable, free, sizeof(free));
	/* docker's build cache has no share */
	if (r->size && !skf_streq(r->type, "Build Cache"))
		snprintf(x->reclaimable, sizeof(x->reclaimable), "%s (%llu%%)", free,
			 (unsigned long long)(r->reclaimable * 100 / r->size));
	else
		snprintf(x->reclaimable, sizeof(x->reclaimable), "%s", free);
}

static void print_table(const struct skf_df *df)
{
	static const char *const head[] = {"TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"};
	SKF_AUTO(skf_table_done) struct skf_table t = SKF_TABLE(5);
	const struct skf_df_row *v = df->rows.v;

	for (size_t i = 0; i < SKF_ARRAY_LEN(head); i++)
		skf_table_add(&t, head[i]);
	for (size_t i = 0; i < df->rows.n; i++) {
		struct cells x;

		row_cells(&v[i], &x);
		skf_table_add(&t, v[i].type);
		skf_table_add(&t, x.total);
		skf_table_add(&t, x.active);
		skf_table_add(&t, x.size);
		skf_table_add(&t, x.reclaimable);
	}
	skf_table_print(&t);
}

static int formatted(struct skf_cli *c, struct skf_listing *l, const struct skf_df *df)
{
	const struct skf_df_row *v = df->rows.v;
	int r = 0;

	for (size_t i = 0; r == 0 && i < df->rows.n; i++) {
		struct json_object *o = json_object_new_object();
		struct cells x;

		row_cells(&v[i], &x);
		const char *const f[][2] = {{"Type", v[i].type},
					    {"TotalCount", x.total},
					    {"Active", x.active},
					    {"Size", x.size},
					    {"Reclaimable", x.reclaimable}};
		for (size_t k = 0; o && k < SKF_ARRAY_LEN(f); k++)
			json_object_object_add(o, f[k][0], json_object_new_string(f[k][1]));
		r = o ? skf_listing_row(l, o, &c->e) : skf_fail(&c->e, SKF_ENOMEM, "memory for the table");
		json_object_put(o);
	}
	return r < 0 ? -1 : skf_listing_end(l, &c->e);
}

/* --- -v --- */

static void add_size(struct skf_table *t, uint64_t bytes)
{
	char s[32];

	skf_human_size(bytes, s, sizeof(s));
	skf_table_add(t, s);
}

static void add_number(struct skf_table *t, uint64_t n)
{
	char s[24];

	snprintf(s, sizeof(s), "%llu", (unsigned long long)n);
	skf_table_add(t, s);
}

static void heads(struct skf_table *t, const char *const *head)
{
	for (unsigned i = 0; i < t->cols; i++)
		skf_table_add(t, head[i]);
}

static void print_images(const struct skf_df *df, int64_t now)
{
	static const char *const head[] = {"REPOSITORY", "TAG",         "IMAGE ID",    "CREATED",
					   "SIZE",       "SHARED SIZE", "UNIQUE SIZE", "CONTAINERS"};
	SKF_AUTO(skf_table_done) struct skf_table t = SKF_TABLE(8);
	const struct skf_df_image *v = df->images.v;

	printf("Images space usage:\n\n");
	heads(&t, head);
	for (size_t i = 0; i < df->images.n; i++) {
		const char *hex = strchr(v[i].id, ':');
		char id[SHORT_ID + 1], ago[80];

		snprintf(id, sizeof(id), "%.*s", SHORT_ID, hex ? hex + 1 : v[i].id);
		skf_human_ago(v[i].created_ns, now, ago, sizeof(ago));
		skf_table_add(&t, v[i].repository);
		skf_table_add(&t, v[i].tag);
		skf_table_add(&t, id);
		skf_table_add(&t, ago);
		add_size(&t, v[i].size);
		add_size(&t, v[i].shared);
		add_size(&t, v[i].unique);
		add_number(&t, v[i].containers);
	}
	skf_table_print(&t);
}

static void print_containers(const struct skf_df *df, int64_t now)
{
	static const char *const head[] = {"CONTAINER ID", "IMAGE",   "COMMAND", "LOCAL VOLUMES",
					   "SIZE",         "CREATED", "STATUS",  "NAMES"};
	SKF_AUTO(skf_table_done) struct skf_table t = SKF_TABLE(8);
	const struct skf_df_container *v = df->containers.v;

	printf("\nContainers space usage:\n\n");
	heads(&t, head);
	for (size_t i = 0; i < df->containers.n; i++) {
		const struct skf_ps_row *r = v[i].row;
		char id[SHORT_ID + 1], command[1200], ago[80], status[128];

		snprintf(id, sizeof(id), "%.*s", SHORT_ID, r->id);
		skf_cli_ps_command(r->command, false, command, sizeof(command));
		skf_human_ago(r->created_ns, now, ago, sizeof(ago));
		skf_cli_ps_status(r, now, status, sizeof(status));
		skf_table_add(&t, id);
		skf_table_add(&t, r->image);
		skf_table_add(&t, command);
		add_number(&t, v[i].volumes);
		add_size(&t, v[i].size);
		skf_table_add(&t, ago);
		skf_table_add(&t, status);
		skf_table_add(&t, r->name);
	}
	skf_table_print(&t);
}

static void print_volumes(const struct skf_df *df)
{
	static const char *const head[] = {"VOLUME NAME", "LINKS", "SIZE"};
	SKF_AUTO(skf_table_done) struct skf_table t = SKF_TABLE(3);
	const struct skf_df_volume *v = df->volumes.v;

	printf("\nLocal Volumes space usage:\n\n");
	heads(&t, head);
	for (size_t i = 0; i < df->volumes.n; i++) {
		skf_table_add(&t, v[i].name);
		add_number(&t, v[i].links);
		add_size(&t, v[i].size);
	}
	skf_table_print(&t);
	printf("\nBuild cache usage: 0B\n\n");
}

/* Bytes, not rounded: whoever adds them up gets what du(1) says. */
static void print_parts(const struct skf_df *df)
{
	static const char *const head[] = {"FILES", "BYTES ON DISK", "PATH", "WHAT"};
	SKF_AUTO(skf_table_done) struct skf_table t = SKF_TABLE(4);
	const struct skf_df_part *v = df->parts.v;

	printf("Store space usage:\n\n");
	heads(&t, head);
	for (size_t i = 0; i < df->parts.n; i++) {
		if (!v[i].files)
			continue;
		add_number(&t, v[i].files);
		add_number(&t, v[i].disk);
		skf_table_add(&t, v[i].path[0] ? v[i].path : ".");
		skf_table_add(&t, v[i].what);
	}
	skf_table_print(&t);
	printf("\nTotal on disk: %llu bytes%s\n", (unsigned long long)df->disk,
	       df->partial ? " and more: something is nested too deeply to be counted to its end" : "");
}

int skf_cmd_df(struct skf_cli *c)
{
	static const struct skf_listing_head fields[] = {
		{"Type", "TYPE"}, {"TotalCount", "TOTAL"},        {"Active", "ACTIVE"},
		{"Size", "SIZE"}, {"Reclaimable", "RECLAIMABLE"}, {NULL, NULL}};
	SKF_AUTO(skf_listing_done)
	struct skf_listing l = {.heads = fields, .env = {.type = "*formatter.diskUsageContext"}};
	int64_t now = skf_now_ns();
	struct skf_df df;
	bool table;

	if (skf_listing_init(&l, c->o.format, &c->a, &table, &c->e) < 0 || skf_cli_engine(c) < 0 ||
	    skf_engine_df(c->g, c->o.verbose && table, &c->a, &df, &c->e) < 0)
		return skf_cli_fail(c, 1);
	if (!table)
		return formatted(c, &l, &df) < 0 ? skf_cli_fail(c, 1) : 0;
	if (!c->o.verbose) {
		print_table(&df);
		return 0;
	}
	print_images(&df, now);
	print_containers(&df, now);
	print_volumes(&df);
	print_parts(&df);
	return 0;
}
