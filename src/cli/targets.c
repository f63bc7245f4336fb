/* cli/targets.c -- verbs for several containers: which ones, and one after the other. */
#include "cli/cli_int.h"
#include <string.h>

static int no_memory(struct skf_cli *c)
{
	return skf_fail(&c->e, SKF_ENOMEM, "memory for the list of containers");
}

static bool among(const char *state, const char *const *states)
{
	for (; states && *states; states++)
		if (skf_streq(state, *states))
			return true;
	return !states;
}

static int chosen(struct skf_cli *c, const char *const *states)
{
	struct skf_ps_req q = SKF_REQ(struct skf_ps_req);
	const struct skf_ps_row *v;
	struct skf_jarr rows;

	if (c->args.n)
		return skf_fail(&c->e, SKF_EINVALID,
				"--all, --latest and --filter cannot be combined with names of containers");
	q.all = true;
	q.last = c->o.latest ? 1 : 0;
	q.filters = c->o.filter;
	if (skf_cli_check_filters(c) < 0 || skf_cli_engine(c) < 0 ||
	    skf_engine_ps_list(c->g, &q, &c->a, &rows, &c->e) < 0)
		return -1;
	v = rows.v;
	for (size_t i = 0; i < rows.n; i++)
		if ((c->o.latest || among(v[i].state, states)) && skf_strv_add(&c->a, &c->args, v[i].id) < 0)
			return no_memory(c);
	return 0;
}

int skf_cli_targets(struct skf_cli *c, const char *const *states)
{
	char name[64];

	if (c->o.all || c->o.latest || c->o.filter.n)
		return chosen(c, states);
	if (c->args.n)
		return 0;
	skf_cli_cmd_name(c->cmd, name);
	return skf_fail(&c->e, SKF_EINVALID, "\"%s\" requires at least 1 argument.", name);
}

int skf_cli_for_each(struct skf_cli *c, int (*fn)(struct skf_cli *c, const char *name))
{
	int status = 0;

	if (skf_cli_engine(c) < 0)
		return skf_cli_fail(c, 1);
	for (size_t i = 0; i < c->args.n; i++) {
		skf_err_clear(&c->e);
		if (fn(c, c->args.v[i]) < 0 && !(c->o.ignore && c->e.kind == SKF_ENOTFOUND)) {
			skf_cli_error(&c->e);
			status = 1;
		}
		fflush(stdout);
	}
	return status;
}
