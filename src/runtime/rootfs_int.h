/* runtime/rootfs_int.h -- what rootfs.c, mounts.c, mount_source.c, mount_broker.c,
 * idmap_mount.c, mount_cgroup.c, tmpcopyup.c, devices.c,
 * mask.c and sysctl.c share.
 *
 * Two kinds of paths, never mixed: a *host* path comes from the caller's config (a bind source, the bundle)
 * and is walked in the host's view before pivot_root; a *container* path (a destination, a device, a masked
 * path) is only ever resolved by sys/path.h below s->root_fd, and what is mounted there is attached onto the
 * O_PATH fd that this gave. */
#pragma once
#include "runtime/copyup.h"
#include "oci/mountopt.h"
#include "runtime/runtime_int.h"
#include "sys/mount.h"
#include <limits.h>
#include <sched.h>

/* One mount of the spec on its way: resolved options, a tree to attach and the place to attach it to. */
struct skf_mnt {
	const struct skf_spec_mount *spec;
	struct skf_mountopts o;
	char dest[PATH_MAX]; /* cleaned, absolute: "/dev/pts" */
	int tree;            /* the new mount, detached until attached; -EBADF */
	bool existed;        /* the destination was there before (skf_mount_target) */
	bool late_ro; /* made read-only by skf_rootfs_finish, because something is still to be created in it
		       */
};

/* "/a//b/../c/" -> "/a/c"; lexical, ".." stops at "/". -ENAMETOOLONG. */
int skf_dest_clean(const char *dest, char out[PATH_MAX]);
/* The container has a mount namespace that was made for it. */
static inline bool skf_own_mntns(const struct skf_start *s)
{
	return s->ns_new & CLONE_NEWNS;
}
/* Without any mount namespace in the spec, mounts are made in the caller's, below the bound root, and stay
 * there when the container is gone, as with runc. */
static inline bool skf_builds_root(const struct skf_start *s)
{
	return skf_own_mntns(s) || (!(s->ns_join & CLONE_NEWNS) && s->spec->mounts.n > 0);
}
/* True for what is mounted by open_tree rather than by a file system type. */
bool skf_mount_is_bind(const struct skf_spec_mount *m, const struct skf_mountopts *o);
/* Propagation that "/" gets before anything is mounted: never shared upwards unless the spec says so. */
unsigned long skf_root_propagation(const struct skf_start *s);

/* --- mounts.c --- */
/* All mounts of the spec, in order, below s->root_fd. Blocks as long as the file systems do. */
int skf_mounts_build(struct skf_start *s, struct skf_err *e);
/* In skf_rootfs_finish: read-only what was kept writable. */
int skf_mounts_seal(struct skf_start *s, struct skf_err *e);
/* O_PATH fd of the place for m: an existing object or a new directory (or empty file), below the root;
 * refuses what would cover procfs. `tree`: the source of a bind mount, or -1. Fails: INVALID, and by errno.
 */
int skf_mount_target(struct skf_start *s, struct skf_mnt *m, bool dir, int tree, struct skf_err *e);
/* --- mount_flags.c --- */
/* Flags, recursive flags and propagation of m onto m->tree. `flags`: MS_* to set besides; recursive: also
 * below the tree's root. */
int skf_mount_apply(const struct skf_start *s, const struct skf_mnt *m, unsigned long flags,
		    unsigned long clear, bool recursive, struct skf_err *e);
/* Flags of a bind mount; recursive ones and propagation follow in skf_mount_apply. */
int skf_mount_bind_flags(const struct skf_start *s, const struct skf_mnt *m, bool recursive,
			 struct skf_err *e);

/* --- mount_source.c --- */
/* MOUNT_ATTR_* for MS_*; clear may be 0. */
void skf_attr_of_flags(unsigned long flags, unsigned long clear, struct mount_attr *ret);
/* Parent, before clone3: the user namespaces of id mappings; with a user namespace of the container the
 * broker, and a detached clone of the root. */
int skf_sources_prepare(struct skf_start *s, struct skf_err *e);
/* The clone for bind mount i of the spec with its id mapping, detached: the fd, or -1. Runs in init or in
 * the broker. */
int skf_source_bind(struct skf_start *s, size_t i, struct skf_err *e);
/* A detached clone of the host's path or of what fd is on. -errno. */
int skf_source_clone(const struct skf_start *s, const char *host_path, unsigned tree_flags);
int skf_source_clone_fd(int fd, bool recursive);
/* Host path of a source: absolute, or relative to the bundle. -errno. */
int skf_source_path(const struct skf_start *s, const char *source, char out[PATH_MAX]);
/* A detached new file system by fsopen. -errno, `why` gets the kernel's own words. -E2BIG, -ENOSYS and
 * -EPERM (of a sandbox that knows only the old calls): the classic call may do. */
int skf_source_fs(const char *type, const char *source, unsigned long flags, const char *data, char *why,
		  size_t why_size);

/* --- mount_broker.c --- */
/* Parent: starts it. Init: shows it the mount namespace, then asks for mount i, and after all mounts for
 * devices: i = number of mounts + number of the device. */
int skf_broker_start(struct skf_start *s, struct skf_err *e);
int skf_broker_hello(struct skf_start *s, struct skf_err *e);
int skf_broker_ask(struct skf_start *s, size_t i, int *ret_tree, struct skf_err *e);

/* --- idmap_mount.c --- */
struct skf_idmap_cache { /* the mapping made last; fd < 0: none. The owner closes fd. */
	struct skf_jarr uids, gids;
	int fd;
};
bool skf_mount_is_idmapped(const struct skf_spec_mount *m, const struct skf_mountopts *o);
/* Parent: the user namespace of mount i into s->mount_fds[i]. Fails: INVALID without a mapping, UNSUPPORTED
 * for a plain user. Waits for a helper child. */
int skf_idmap_mount_prepare(struct skf_start *s, size_t i, const struct skf_mountopts *o,
			    struct skf_idmap_cache *cache, struct skf_err *e);
int skf_idmap_mount_apply(int tree, int userns, const struct skf_spec_mount *m, bool recursive,
			  struct skf_err *e);

/* --- mount_cgroup.c --- */
int skf_mount_cgroup(struct skf_start *s, struct skf_mnt *m, struct skf_err *e);

/* --- mount_label.c --- */
/* The mount option that carries linux.mountLabel for this type; NULL: none. */
const char *skf_mount_label_option(const struct skf_start *s, const char *type);
/* mqueue: there is one per IPC namespace, so its root gets the label; that of the host stays as it is. Other
 * types: nothing. */
int skf_mount_label_root(const struct skf_start *s, const struct skf_mnt *m, struct skf_err *e);

/* --- devices.c --- */
int skf_devices_build(struct skf_start *s, struct skf_err *e);
/* In the broker, which gives up its view of the container for it: a detached mount of the node of device i
 * of the spec. *tmpfs: where nodes are made, < 0 at first; the caller closes it. The fd, or -1. */
int skf_device_make(struct skf_start *s, size_t i, int *tmpfs, struct skf_err *e);

/* --- mask.c --- */
int skf_mask_paths(struct skf_start *s, struct skf_err *e);
int skf_readonly_paths(struct skf_start *s, struct skf_err *e);

/* --- sysctl.c --- */
/* Parent: refuses net.* when the network namespace of the spec is the caller's own. */
int skf_sysctl_check(const struct skf_start *s, struct skf_err *e);
int skf_sysctl_apply(struct skf_start *s, struct skf_err *e);
