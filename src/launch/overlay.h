/* launch/overlay.h -- the root of a container: one detached overlay mount, made before the container exists
 * and never attached on the host (DESIGN 7.2), so that no crash can leave it behind. */
#pragma once
#include "base/fwd.h"

/* How the kernel is told of the layers; AUTO tries them in this order by really creating the mount. */
enum skf_overlay_way {
	SKF_OVERLAY_AUTO = 0,
	SKF_OVERLAY_FD,     /* fsconfig with a descriptor per layer: Linux 6.13 */
	SKF_OVERLAY_PATH,   /* fsconfig with "/proc/self/fd/N" per layer: Linux 6.8 */
	SKF_OVERLAY_SYMLINK /* mount(2) with short relative names in a helper's namespace: every kernel */
};
struct skf_overlay {
	int root_fd;              /* directory that the paths below are relative to, borrowed */
	const char *root;         /* its absolute path */
	const char *const *lower; /* lowest first; one that is repeated counts where it is uppermost */
	size_t n_lower;
	const char *upper, *work; /* both NULL: a read-only root */
	const char *scratch; /* an existing directory; in the helper's own namespace a tmpfs covers it */
	bool is_volatile; /* the upper layer is thrown away at the end: nothing is synced to disk (also not
			     at unmount) */
	enum skf_overlay_way way;
	/* The layers belong to other ids: each is seen through the mapping of this user namespace
	 * (Linux 5.19, and a file system of the layers that can). upper and work are not mapped: they belong
	 * to the mapped root already. */
	bool idmapped;
	int userns_fd;     /* borrowed */
	const char *label; /* of SELinux, for all of it; NULL: each file's own */
	bool userxattr; /* overlay's own attributes are user.overlay.*: in a user namespace trusted.* cannot
			   be set */
};
/* Reads the switch that tests force a way with: "fd", "path", "symlink"; NULL or "" is AUTO. -EINVAL. */
int skf_overlay_way_parse(const char *s);
/* *ret_fd: the detached mount (CLOEXEC). No layers: the upper directory itself; one layer without upper:
 * that layer, read-only. Blocks on the disk, and on the helper for at most SKF_START_MS. The caller has
 * CAP_SYS_ADMIN and no threads. NOTFOUND when a layer is not there, LIMIT beyond SKF_MAX_LAYERS, UNSUPPORTED
 * when the layers cannot be id-mapped, otherwise by errno with the kernel's own message. */
int skf_overlay_mount(const struct skf_overlay *o, int *ret_fd, struct skf_err *e);
