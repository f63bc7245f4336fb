/* cli/cmd_rmi.c -- rmi: images by their names or ids, or all of them. An error of one is told and does not
 * keep the others from being removed. */
#include "cli/cli_int.h"
#include <stdio.h>

static int remove_one(struct skf_cli *c, const char *name)
{
	struct skf_rmi_req q = SKF_REQ(struct skf_rmi_req);
	struct skf_strv untagged = {0}, deleted = {0};
	int r;

	q.name = name;
	q.force = c->o.force;
	q.no_prune = c->o.no_prune;
	skf_err_clear(&c->e);
	r = skf_engine_rmi(c->g, &q, &c->a, &untagged, &deleted, &c->e);
	for (size_t k = 0; k < untagged.n; k++)
		printf("Untagged: %s\n", untagged.v[k]);
	for (size_t k = 0; k < deleted.n; k++)
		printf("Deleted: %s\n", deleted.v[k]);
	return r;
}

/* A name per row; what has none goes by its id. */
static const char *row_name(struct skf_cli *c, const struct skf_image_row *r)
{
	if (!skf_streq(r->tag, "<none>"))
		return skf_arena_fmt(&c->a, "%s:%s", r->repository, r->tag);
	return skf_streq(r->repository, "<none>") ? r->id
						  : skf_arena_fmt(&c->a, "%s@%s", r->repository, r->digest);
}

static int all_names(struct skf_cli *c)
{
	struct skf_images_req q = SKF_REQ(struct skf_images_req);
	const struct skf_image_row *v;
	struct skf_jarr rows;

	if (skf_engine_images_list(c->g, &q, &c->a, &rows, &c->e) < 0)
		return -1;
	v = rows.v;
	for (size_t i = 0; i < rows.n; i++) {
		const char *name = row_name(c, &v[i]);

		if (!name || skf_strv_add(&c->a, &c->args, name) < 0)
			return skf_fail(&c->e, SKF_ENOMEM, "memory for the names of the images");
	}
	return 0;
}

int skf_cmd_rmi(struct skf_cli *c)
{
	bool missing_ok = c->o.all || c->o.force || c->o.ignore;
	int status = 0;

	if (c->o.all == (c->args.n > 0)) {
		skf_fail(&c->e, SKF_EINVALID,
			 c->o.all ? "when using the --all switch, you may not pass any images names or IDs"
				  : "\"skiff rmi\" requires at least 1 argument.");
		return skf_cli_usage(c);
	}
	if (skf_cli_engine(c) < 0 || (c->o.all && all_names(c) < 0))
		return skf_cli_fail(c, 1);
	for (size_t i = 0; i < c->args.n; i++) {
		bool missing = remove_one(c, c->args.v[i]) < 0;

		if (!missing)
			continue;
		missing = c->e.kind == SKF_ENOTFOUND;
		if (!missing || !(c->o.all || c->o.ignore))
			skf_cli_error(&c->e);
		if (!missing || !missing_ok)
			status = 1;
	}
	return status;
}
