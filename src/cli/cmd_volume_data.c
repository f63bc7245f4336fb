/* cli/cmd_volume_data.c -- volume export, import, mount, unmount, reload: podman's words. */
#include "cli/cli_int.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int skf_cmd_volume_export(struct skf_cli *c)
{
	SKF_AUTO(skf_cli_output_done) struct skf_cli_output o = {.fd = -EBADF};

	if (skf_cli_engine(c) < 0 || skf_cli_output_open(c, c->o.output, &o) < 0 ||
	    skf_engine_volume_export(c->g, c->args.v[0], o.fd, &c->e) < 0 || skf_cli_output_close(c, &o) < 0)
		return skf_cli_fail(c, 1);
	return 0;
}

int skf_cmd_volume_import(struct skf_cli *c)
{
	const char *path = c->args.v[1];
	SKF_AUTO_FD int fd = skf_streq(path, "-") ? skf_dup_cloexec(STDIN_FILENO)
						  : skf_openat(AT_FDCWD, path, O_RDONLY, 0);

	if (fd < 0) {
		skf_fail_sys(&c->e, fd, "open '%s'", path);
		return skf_cli_fail(c, 1);
	}
	return skf_cli_engine(c) < 0 || skf_engine_volume_import(c->g, c->args.v[0], fd, &c->e) < 0
		       ? skf_cli_fail(c, 1)
		       : 0;
}

/* A plain volume is a directory: it is where it is without a mount. */
static int place_of(struct skf_cli *c, const char *name, const char **ret)
{
	struct skf_volume *v;

	if (skf_engine_volume_get(c->g, name, &c->a, &v, &c->e) < 0)
		return -1;
	if (skf_kvs_get(&v->options, "device"))
		return skf_fail(&c->e, SKF_EUNSUPPORTED,
				"volume %s has a device, which is mounted in containers only: use a "
				"container that mounts it",
				name);
	*ret = v->mountpoint;
	return 0;
}

static int mount_one(struct skf_cli *c, const char *name)
{
	const char *place = NULL;

	if (place_of(c, name, &place) < 0)
		return -1;
	printf("%s\n", place);
	return 0;
}

static int unmount_one(struct skf_cli *c, const char *name)
{
	const char *place = NULL;

	if (place_of(c, name, &place) < 0)
		return -1;
	printf("%s\n", name);
	return 0;
}

int skf_cmd_volume_mount(struct skf_cli *c)
{
	return skf_cli_for_each(c, mount_one);
}

int skf_cmd_volume_unmount(struct skf_cli *c)
{
	return skf_cli_for_each(c, unmount_one);
}

int skf_cmd_volume_reload(struct skf_cli *c)
{
	return skf_cli_engine(c) < 0 ? skf_cli_fail(c, 1) : 0;
}
