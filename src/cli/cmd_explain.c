/* cli/cmd_explain.c -- explain: the properties of containers as a table for people, and as documents for
 * --format. */
#include "cli/cli_int.h"
#include "engine/explain.h"
#include <string.h>

#define SHORT_ID 12
#define COLUMNS  5
#define WIDTH    56 /* of a value, in the table */

static bool wanted(const struct skf_cli *c, const struct skf_explain_row *r)
{
	return !c->o.diff || r->changed;
}

static int document(struct skf_cli *c, const char *name, unsigned indent, struct skf_buf *b)
{
	struct skf_jw w = {.b = b, .indent = indent};
	const struct skf_explain_row *v;
	struct skf_explain x;

	if (skf_engine_explain(c->g, name, &c->a, &x, &c->e) < 0)
		return -1;
	v = x.rows.v;
	skf_jw_obj(&w);
	skf_jw_kstr(&w, "Id", x.id);
	skf_jw_kstr(&w, "Name", x.name);
	skf_jw_kstr(&w, "State", x.state);
	skf_jw_ku64(&w, "Pid", x.pid);
	skf_jw_karr(&w, "Properties");
	for (size_t i = 0; i < x.rows.n; i++) {
		if (!wanted(c, &v[i]))
			continue;
		skf_jw_obj(&w);
		skf_jw_kstr(&w, "Group", v[i].group);
		skf_jw_kstr(&w, "Name", v[i].name);
		skf_jw_kstr(&w, "Value", v[i].value);
		skf_jw_kstr(&w, "Source", v[i].source);
		skf_jw_kstr(&w, "Kernel", v[i].kernel);
		skf_jw_kbool(&w, "Differs", v[i].differs);
		skf_jw_kbool(&w, "Changed", v[i].changed);
		skf_jw_end(&w);
	}
	skf_jw_end_arr(&w);
	skf_jw_end(&w);
	return b->err < 0 ? skf_fail_sys(&c->e, b->err, "write the properties of container %.12s", x.id) : 0;
}

/* Paths of mounts and commands may be long: a table is for reading. */
static const char *value_text(const struct skf_cli *c, const struct skf_explain_row *r, char *cut,
			      size_t size)
{
	if (c->o.no_trunc || strlen(r->value) <= WIDTH)
		return r->value;
	snprintf(cut, size, "%.*s...", WIDTH - 3, r->value);
	return cut;
}

/* A group's name stands in its first line only. What the kernel says differently is marked. */
static void print_table(const struct skf_cli *c, const struct skf_explain *x)
{
	static const char *const heads[COLUMNS] = {"GROUP", "PROPERTY", "CONFIGURED", "SOURCE", "KERNEL"};
	SKF_AUTO(skf_table_done) struct skf_table t = SKF_TABLE(COLUMNS);
	const struct skf_explain_row *v = x->rows.v;
	const char *group = "";
	size_t differ = 0;

	for (size_t i = 0; i < COLUMNS; i++)
		skf_table_add(&t, heads[i]);
	for (size_t i = 0; i < x->rows.n; i++) {
		SKF_AUTO(skf_buf_done) struct skf_buf kernel = SKF_BUF(SKF_MAX_SPEC_BYTES);
		char cut[WIDTH + 4];

		if (!wanted(c, &v[i]))
			continue;
		skf_buf_fmt(&kernel, "%s%s", v[i].differs ? "! " : "", *v[i].kernel ? v[i].kernel : "-");
		skf_table_add(&t, skf_streq(group, v[i].group) ? "" : v[i].group);
		skf_table_add(&t, v[i].name);
		skf_table_add(&t, value_text(c, &v[i], cut, sizeof(cut)));
		skf_table_add(&t, v[i].source);
		skf_table_add(&t, skf_buf_cstr(&kernel));
		group = v[i].group;
		differ += v[i].differs;
	}
	printf("%s (%.*s): %s", x->name, SHORT_ID, x->id, x->state);
	if (x->pid)
		printf(", process %u", x->pid);
	if (differ)
		printf(", %zu differ%s from what is configured (!)", differ, differ == 1 ? "s" : "");
	printf("\n");
	skf_table_print(&t);
}

static int tables(struct skf_cli *c)
{
	int status = 0;

	for (size_t i = 0; i < c->args.n; i++) {
		struct skf_explain x;

		skf_err_clear(&c->e);
		if (skf_engine_explain(c->g, c->args.v[i], &c->a, &x, &c->e) < 0) {
			status = skf_cli_fail(c, 1);
			continue;
		}
		if (i)
			printf("\n");
		print_table(c, &x);
	}
	return status;
}

int skf_cmd_explain(struct skf_cli *c)
{
	struct skf_strv ids = {0};
	int status = 0, r;

	if (skf_cli_engine(c) < 0)
		return skf_cli_fail(c, 1);
	for (size_t i = 0; i < c->args.n; i++) {
		skf_err_clear(&c->e);
		if (skf_engine_explain_targets(c->g, c->args.v[i], &c->a, &ids, &c->e) < 0)
			status = skf_cli_fail(c, 1);
	}
	c->args = ids;
	r = c->o.format && *c->o.format && !skf_streq(c->o.format, "table")
		    ? skf_cli_inspect_all(c, document)
		    : tables(c);
	return r ? r : status;
}
