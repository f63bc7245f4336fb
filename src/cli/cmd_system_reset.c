/* cli/cmd_system_reset.c -- system reset, which asks as podman does, and system config: what is configured,
 * and by which line of which file. */
#include "cli/cli_int.h"
#include <string.h>

static bool agreed(const struct skf_cli *c)
{
	const char *root, *run_root;
	char line[16];

	if (c->o.force)
		return true;
	skf_engine_roots(c->g, &root, &run_root);
	printf("WARNING! This will remove:\n"
	       "        - all containers\n"
	       "        - all pods\n"
	       "        - all images\n"
	       "        - all networks\n"
	       "        - all volumes\n"
	       "        - all secrets\n"
	       "        - all files in %s and %s\n"
	       "Are you sure you want to continue? [y/N] ",
	       root, run_root);
	fflush(stdout);
	return fgets(line, sizeof(line), stdin) && (line[0] == 'y' || line[0] == 'Y');
}

int skf_cmd_system_reset(struct skf_cli *c)
{
	if (skf_cli_engine(c) < 0)
		return skf_cli_fail(c, 1);
	if (!agreed(c))
		return 0;
	return skf_engine_system_reset(c->g, &c->e) < 0 ? skf_cli_fail(c, 1) : 0;
}

static int config_document(struct skf_cli *c, const struct skf_jarr *rows)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_CONF_BYTES * 4);
	const struct skf_conf_row *v = rows->v;
	struct skf_jw w = SKF_JW(&b);
	struct skf_tmpl *t;

	skf_jw_arr(&w);
	for (size_t i = 0; i < rows->n; i++) {
		skf_jw_obj(&w);
		skf_jw_kstr(&w, "Key", v[i].key);
		skf_jw_kstr(&w, "Value", v[i].value);
		skf_jw_kstr(&w, "Source", v[i].origin ? v[i].origin : "default");
		skf_jw_kstr(&w, "About", v[i].about);
		skf_jw_end(&w);
	}
	skf_jw_end_arr(&w);
	return skf_cli_doc_format(c, &t) < 0 || skf_cli_doc_print(c, t, skf_buf_cstr(&b), b.len) < 0
		       ? skf_cli_fail(c, 1)
		       : 0;
}

int skf_cmd_system_config(struct skf_cli *c)
{
	SKF_AUTO(skf_table_done) struct skf_table t = SKF_TABLE(3);
	const struct skf_conf_row *v;
	struct skf_jarr rows;

	if (skf_cli_engine(c) < 0 || skf_engine_conf(c->g, &c->a, &rows, &c->e) < 0)
		return skf_cli_fail(c, 1);
	if (c->o.format && *c->o.format && !skf_streq(c->o.format, "table"))
		return config_document(c, &rows);
	v = rows.v;
	skf_table_add(&t, "KEY");
	skf_table_add(&t, "VALUE");
	skf_table_add(&t, "SOURCE");
	for (size_t i = 0; i < rows.n; i++) {
		skf_table_add(&t, v[i].key);
		skf_table_add(&t, v[i].value);
		skf_table_add(&t, v[i].origin ? v[i].origin : "default");
	}
	skf_table_print(&t);
	return 0;
}
