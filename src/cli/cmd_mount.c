/* cli/cmd_mount.c -- mount and unmount of containers, with podman's options and output. */
#include "cli/cli_int.h"
#include "engine/ctr_mount.h"

static int print_json(struct skf_cli *c, const struct skf_jarr *mounts)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_TEMPLATE_OUT);
	const struct skf_ctr_mount *v = mounts->v;
	struct skf_jw w = {.b = &b, .indent = 1};

	skf_jw_arr(&w);
	for (size_t i = 0; i < mounts->n; i++) {
		skf_jw_obj(&w);
		skf_jw_kstr(&w, "id", v[i].id);
		skf_jw_karr(&w, "Names");
		skf_jw_str(&w, v[i].name);
		skf_jw_end_arr(&w);
		skf_jw_kstr(&w, "mountpoint", v[i].path);
		skf_jw_end(&w);
	}
	skf_jw_end_arr(&w);
	if (b.err < 0)
		return skf_fail_sys(&c->e, b.err, "write the list of mounts");
	printf("%s\n", skf_buf_cstr(&b));
	return 0;
}

static int list(struct skf_cli *c)
{
	const struct skf_ctr_mount *v;
	struct skf_jarr mounts;

	if (c->o.format && *c->o.format && !skf_streq(c->o.format, "json")) {
		skf_fail(&c->e, SKF_EINVALID, "unknown --format argument: \"%s\"", c->o.format);
		return skf_cli_fail(c, 1);
	}
	if (skf_engine_mounts(c->g, &c->a, &mounts, &c->e) < 0)
		return skf_cli_fail(c, 1);
	if (c->o.format && *c->o.format)
		return print_json(c, &mounts) < 0 ? skf_cli_fail(c, 1) : 0;
	v = mounts.v;
	for (size_t i = 0; i < mounts.n; i++)
		printf("%.*s  %s\n", c->o.no_trunc ? SKF_ID_LEN : 12, v[i].id, v[i].path);
	return 0;
}

static int mount_one(struct skf_cli *c, const char *name)
{
	char *path;

	if (skf_engine_mount(c->g, name, &c->a, &path, &c->e) < 0)
		return -1;
	printf("%s\n", path);
	return 0;
}

int skf_cmd_mount(struct skf_cli *c)
{
	if (skf_cli_engine(c) < 0)
		return skf_cli_fail(c, 1);
	if (!c->args.n && !c->o.all && !c->o.latest)
		return list(c);
	return skf_cli_targets(c, NULL) < 0 ? skf_cli_usage(c) : skf_cli_for_each(c, mount_one);
}

static int unmount_one(struct skf_cli *c, const char *name)
{
	if (skf_engine_unmount(c->g, name, c->o.force, &c->e) < 0)
		return -1;
	printf("%s\n", name);
	return 0;
}

/* --all: what is mounted, not what there is. */
static int all_mounted(struct skf_cli *c)
{
	const struct skf_ctr_mount *v;
	struct skf_jarr mounts;

	if (c->args.n)
		return skf_fail(&c->e, SKF_EINVALID,
				"--all, --latest and --filter cannot be combined with names of containers");
	if (skf_cli_engine(c) < 0 || skf_engine_mounts(c->g, &c->a, &mounts, &c->e) < 0)
		return -1;
	v = mounts.v;
	for (size_t i = 0; i < mounts.n; i++)
		if (skf_strv_add(&c->a, &c->args, v[i].id) < 0)
			return skf_fail(&c->e, SKF_ENOMEM, "memory for the list of containers");
	return 0;
}

int skf_cmd_unmount(struct skf_cli *c)
{
	if (c->o.all)
		return all_mounted(c) < 0 ? skf_cli_fail(c, 1) : skf_cli_for_each(c, unmount_one);
	return skf_cli_targets(c, NULL) < 0 ? skf_cli_usage(c) : skf_cli_for_each(c, unmount_one);
}
