/* engine/volume_data.c -- what is in a volume, as a tar and out of one. A volume with a device has no files
 * of its own on the host: it is mounted in each container. Nothing in a tar leads out of the volume
 * (cp_untar.c). Blocks on the stream and the file system. */
#include "engine/cp_int.h"
#include <fcntl.h>

static int open_data(struct skf_engine *g, const char *name, int *ret, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_OBJECT_BYTES * 4);
	struct skf_volume *v;
	int fd;

	if (skf_engine_volume_get(g, name, &a, &v, e) < 0)
		return -1;
	if (skf_kvs_get(&v->options, "device"))
		return skf_fail(e, SKF_EUNSUPPORTED,
				"volume %s has a device, which is mounted in containers only: use a "
				"container that mounts it",
				name);
	fd = skf_openat(AT_FDCWD, v->mountpoint, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (fd < 0)
		return skf_fail_sys(e, fd, "open '%s'", v->mountpoint);
	*ret = fd;
	return 0;
}

int skf_engine_volume_export(struct skf_engine *g, const char *name, int fd, struct skf_err *e)
{
	const struct skf_cp c = {.archive = true};
	SKF_AUTO_FD int data = -EBADF;

	if (open_data(g, name, &data, e) < 0)
		return -1;
	return skf_cp_tar_write(&c, data, ".", true, fd, e) < 0 ? skf_ctx(e, "export volume %s", name) : 0;
}

int skf_engine_volume_import(struct skf_engine *g, const char *name, int fd, struct skf_err *e)
{
	const struct skf_cp c = {.archive = true};
	SKF_AUTO_FD int data = -EBADF;

	if (open_data(g, name, &data, e) < 0)
		return -1;
	return skf_cp_tar_read(&c, fd, data, ".", e) < 0 ? skf_ctx(e, "import into volume %s", name) : 0;
}
