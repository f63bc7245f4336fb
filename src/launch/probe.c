/* launch/probe.c -- whether this kernel and the file system of the store can show layers through the maps of
 * a user namespace: an overlay over two directories of the store is mounted that way, detached, and dropped.
 * The engine asks once per boot (engine/storage.c). */
#include "base/fd.h"
#include "launch/launch_int.h"
#include "launch/overlay.h"
#include "oci/spec.h"
#include <fcntl.h>

static int open_root(struct skf_launch *l, struct skf_err *e)
{
	l->root_fd = skf_openat(AT_FDCWD, l->q.root, O_RDONLY | O_DIRECTORY, 0);
	return l->root_fd < 0 ? skf_fail_sys(e, l->root_fd, "open '%s'", l->q.root) : 0;
}

static int make_userns(struct skf_launch *l, struct skf_err *e)
{
	struct skf_idmap map = {.container_id = 0, .host_id = 100000, .size = 1000};
	struct skf_jarr one = {.v = &map, .n = 1};

	l->userns = skf_rt_userns(&one, &one, e);
	return l->userns < 0 ? -1 : 0;
}

static int mount_mapped(struct skf_launch *l, struct skf_err *e)
{
	static const char *const lower[] = {"layers", "containers"};
	struct skf_overlay o = {.root_fd = l->root_fd,
				.root = l->q.root,
				.lower = lower,
				.n_lower = SKF_ARRAY_LEN(lower),
				.scratch = "trash",
				.idmapped = true,
				.userns_fd = l->userns};

	if (skf_overlay_mount(&o, &l->root_mount, e) == 0)
		return 0;
	e->kind = SKF_EUNSUPPORTED;
	return -1;
}

static int done(struct skf_launch *l, struct skf_err *e)
{
	return skf_launch_answer(l, -1, e);
}

const struct skf_launch_step skf_launch_probe_steps[] = {
	{"root", open_root, NULL},
	{"user namespace", make_userns, NULL},
	{"mount", mount_mapped, NULL},
	{"answer", done, NULL},
	{NULL, NULL, NULL},
};
