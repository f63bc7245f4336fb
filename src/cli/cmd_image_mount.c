/* cli/cmd_image_mount.c -- image mount and image unmount, with podman's options and output. */
#include "cli/cli_int.h"
#include "engine/image_mount.h"

static int list(struct skf_cli *c)
{
	const struct skf_image_mount *v;
	const struct skf_image_row *r;
	struct skf_jarr mounts, rows;

	if (skf_engine_image_mounts(c->g, &c->a, &mounts, &c->e) < 0 ||
	    skf_engine_images(c->g, NULL, &c->a, &rows, &c->e) < 0)
		return skf_cli_fail(c, 1);
	v = mounts.v;
	r = rows.v;
	for (size_t i = 0; i < mounts.n; i++) {
		const char *name = v[i].id, *sep = "", *tag = "";

		for (size_t k = 0; k < rows.n; k++)
			if (skf_streq(r[k].id, v[i].id) && !skf_startswith(r[k].tag, "<")) {
				name = r[k].repository;
				sep = ":";
				tag = r[k].tag;
				break;
			}
		printf("%s%s%s  %s\n", name, sep, tag, v[i].path);
	}
	return 0;
}

/* Each of the arguments, or with --all each image. */
static int each(struct skf_cli *c, const struct skf_strv *all,
		int (*fn)(struct skf_cli *c, const char *image, bool alone))
{
	const struct skf_strv *v = all ? all : &c->args;
	int status = 0;

	for (size_t i = 0; i < v->n; i++) {
		skf_err_clear(&c->e);
		if (fn(c, v->v[i], v->n == 1 && !all) < 0)
			status = skf_cli_fail(c, 1);
	}
	return status;
}

static int mount_one(struct skf_cli *c, const char *image, bool alone)
{
	char *path;

	if (skf_engine_image_mount(c->g, image, &c->a, &path, &c->e) < 0)
		return -1;
	printf("%s%s%s\n", alone ? "" : image, alone ? "" : "  ", path);
	return 0;
}

static int unmount_one(struct skf_cli *c, const char *image, bool alone)
{
	char *id;

	(void)alone;
	if (skf_engine_image_unmount(c->g, image, c->o.force, &c->a, &id, &c->e) < 0)
		return -1;
	printf("%s\n", skf_digest_skip_alg(id));
	return 0;
}

static int all_ids(struct skf_cli *c, bool mounted, struct skf_strv *ret)
{
	struct skf_jarr a;

	if ((mounted ? skf_engine_image_mounts(c->g, &c->a, &a, &c->e)
		     : skf_engine_images(c->g, NULL, &c->a, &a, &c->e)) < 0)
		return -1;
	for (size_t i = 0; i < a.n; i++) {
		const char *id = mounted ? ((struct skf_image_mount *)a.v)[i].id
					 : ((struct skf_image_row *)a.v)[i].id;
		bool twice = false;

		for (size_t k = 0; k < ret->n; k++)
			twice |= skf_streq(ret->v[k], id);
		if (!twice && skf_strv_add(&c->a, ret, id) < 0)
			return skf_fail(&c->e, SKF_ENOMEM, "memory for the images");
	}
	return 0;
}

int skf_cmd_image_mount(struct skf_cli *c)
{
	struct skf_strv all = {0};

	if (skf_cli_engine(c) < 0 || (c->o.all && all_ids(c, false, &all) < 0))
		return skf_cli_fail(c, 1);
	if (!c->o.all && !c->args.n)
		return list(c);
	return each(c, c->o.all ? &all : NULL, mount_one);
}

int skf_cmd_image_unmount(struct skf_cli *c)
{
	struct skf_strv all = {0};

	if (!c->o.all && !c->args.n) {
		skf_fail(&c->e, SKF_EINVALID, "give an image, or --all");
		return skf_cli_usage(c);
	}
	if (skf_cli_engine(c) < 0 || (c->o.all && all_ids(c, true, &all) < 0))
		return skf_cli_fail(c, 1);
	return each(c, c->o.all ? &all : NULL, unmount_one);
}
