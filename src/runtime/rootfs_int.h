/* runtime/rootfs_int.h -- what rootfs.c, mounts.c, mount_source.c, mount_cgroup.c, tmpcopyup.c, devices.c,
 * mask.c and sysctl.c share.
 *
 * Two kinds of paths, never mixed: a *host* path comes from the caller's config (a bind source, the bundle)
 * and is walked in the host's view before pivot_root; a *container* path (a destination, a device, a masked
 * path) is only ever resolved by sys/path.h below s->root_fd, and what is mounted there is attached onto the
 * O_PATH fd that this gave. */
#pragma once
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
/* Flags, recursive flags and propagation of m onto m->tree. `flags`: MS_* to set besides; recursive: also
 * below the tree's root. */
int skf_mount_apply(const struct skf_start *s, const struct skf_mnt *m, unsigned long flags,
		    unsigned long clear, bool recursive, struct skf_err *e);

/* --- mount_source.c --- */
/* MOUNT_ATTR_* for MS_*; clear may be 0. */
void skf_attr_of_flags(unsigned long flags, unsigned long clear, struct mount_attr *ret);
/* Parent, before clone3: detached clones of bind sources into s->mount_fds when the container has a user
 * namespace. */
int skf_sources_prepare(struct skf_start *s, struct skf_err *e);
/* A detached clone of the host's path or of what fd is on. -errno. */
int skf_source_clone(const struct skf_start *s, const char *host_path, unsigned tree_flags);
int skf_source_clone_fd(int fd, bool recursive);
/* Host path of a source: absolute, or relative to the bundle. -errno. */
int skf_source_path(const struct skf_start *s, const char *source, char out[PATH_MAX]);
/* A detached new file system by fsopen. -errno, `why` gets the kernel's own words. -E2BIG, -ENOSYS and
 * -EPERM (of a sandbox that knows only the old calls): the classic call may do. */
int skf_source_fs(const char *type, const char *source, unsigned long flags, const char *data, char *why,
		  size_t why_size);

/* --- mount_cgroup.c --- */
int skf_mount_cgroup(struct skf_start *s, struct skf_mnt *m, struct skf_err *e);

/* --- tmpcopyup.c --- */
/* Copies the tree below directory fd `from` into the empty directory `to`. Blocks on disk. */
int skf_tmpcopyup(int from, int to, const struct skf_log *log, struct skf_err *e);

/* --- devices.c --- */
int skf_devices_build(struct skf_start *s, struct skf_err *e);

/* --- mask.c --- */
int skf_mask_paths(struct skf_start *s, struct skf_err *e);
int skf_readonly_paths(struct skf_start *s, struct skf_err *e);

/* --- sysctl.c --- */
/* "net.ipv4.ip_forward" -> "sys/net/ipv4/ip_forward", sysctl(8)'s rule for '/' and '.'. -EINVAL. */
int skf_sysctl_path(const char *key, char *out, size_t size);
int skf_sysctl_apply(struct skf_start *s, struct skf_err *e);
