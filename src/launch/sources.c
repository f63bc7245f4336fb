/* launch/sources.c -- mounts whose source config.json cannot name by a path that may be trusted at start: a
 * directory inside a volume, the layers of an image, an overlay over a directory, /dev/shm of another
 * container. Each is opened here as a detached mount and handed to the runtime; and a new volume is filled
 * from the image before.
 *
 * Invariants: (1) nothing below a volume or an image is reached but by openat2 from its root; (2) a volume
 * is filled and given away under its own lock, and only while it is empty; (3) nothing is mounted on the
 * host. Blocks on the disk. */
#include "launch/launch_int.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/proc.h"
#include "launch/overlay.h"
#include "runtime/copyup.h"
#include "sys/helper.h"
#include "sys/mount.h"
#include "sys/path.h"
#include "sys/process.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef const struct skf_ctrconf_source source;

/* --- U: everything below belongs to the container's user; no link is followed --- */

static int chown_below(int dirfd, uid_t uid, gid_t gid, int depth, struct skf_err *e)
{
	SKF_AUTO_FD int fd = skf_openat(dirfd, ".", O_RDONLY | O_DIRECTORY, 0);
	SKF_AUTO_DIR DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;

	if (!d || depth > SKF_MAX_TAR_DEPTH)
		return skf_fail_sys(e,
				    fd < 0                      ? fd
				    : depth > SKF_MAX_TAR_DEPTH ? -ELOOP
								: -errno,
				    "read a directory to give it away");
	(void)SKF_TAKE_FD(fd); /* d closes it */
	while ((de = readdir(d))) {
		SKF_AUTO_FD int sub = -EBADF;

		if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
			continue;
		sub = skf_openat(dirfd, de->d_name, O_PATH | O_NOFOLLOW, 0);
		if (sub == -ENOENT)
			continue;
		if (sub < 0 || fchownat(sub, "", uid, gid, AT_EMPTY_PATH) < 0)
			return skf_fail_sys(e, sub < 0 ? sub : -errno, "change the owner of '%s'",
					    de->d_name);
		if (de->d_type == DT_DIR && chown_below(sub, uid, gid, depth + 1, e) < 0)
			return -1;
	}
	return 0;
}

static int give_away(struct skf_launch *l, source *s, int fd, struct skf_err *e)
{
	uint32_t uid, gid;
	struct stat st;

	if (!s->chown)
		return 0;
	if (!skf_idmap_to_host(&l->ids.uids, l->process->user.uid, &uid) ||
	    !skf_idmap_to_host(&l->ids.gids, l->process->user.gid, &gid))
		return skf_fail(e, SKF_EINVALID,
				"the mount at '%s' is to belong to user %u:%u, which the user namespace "
				"does not map",
				s->target, l->process->user.uid, l->process->user.gid);
	if (fstat(fd, &st) < 0 || fchownat(fd, "", uid, gid, AT_EMPTY_PATH) < 0)
		return skf_fail_sys(e, -errno, "change the owner of the mount at '%s'", s->target);
	return S_ISDIR(st.st_mode) && chown_below(fd, uid, gid, 0, e) < 0
		       ? skf_ctx(e, "the mount at '%s'", s->target)
		       : 0;
}

/* --- volumes --- */

static bool is_empty(int dirfd)
{
	SKF_AUTO_FD int fd = skf_openat(dirfd, ".", O_RDONLY | O_DIRECTORY, 0);
	SKF_AUTO_DIR DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;

	if (!d)
		return false;
	(void)SKF_TAKE_FD(fd); /* d closes it */
	while ((de = readdir(d)))
		if (strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0)
			return false;
	return true;
}

/* A new volume, which is still the host's root's, is the container's root's: else a container in a user
 * namespace could not use it. */
static int own_new(const struct skf_launch *l, source *s, int volume, struct skf_err *e)
{
	uint32_t uid, gid;
	struct stat st;

	if (l->userns < 0 || !skf_idmap_to_host(&l->ids.uids, 0, &uid) ||
	    !skf_idmap_to_host(&l->ids.gids, 0, &gid))
		return 0;
	if (fstat(volume, &st) == 0 &&
	    (st.st_uid || st.st_gid || fchownat(volume, "", uid, gid, AT_EMPTY_PATH) == 0))
		return 0;
	return skf_fail_sys(e, -errno, "give volume '%s' to the container's root", s->volume);
}

/* docker's rule: an empty volume gets what the image has at that place, and the owner and mode of the
 * directory. */
static int copy_up(struct skf_launch *l, source *s, int volume, struct skf_err *e)
{
	SKF_AUTO_FD int from = -EBADF;
	struct stat st;

	if (!s->copy_up || !is_empty(volume))
		return 0;
	from = skf_path_open(l->root_mount, s->target, O_PATH | O_DIRECTORY, 0);
	if (from == -ENOENT || from == -ENOTDIR || from == -ELOOP)
		return own_new(l, s, volume, e); /* nothing to copy: the runtime makes the mount point, or
						    says what is wrong with it */
	if (from < 0)
		return skf_fail_sys(e, from, "open '%s' of the image", s->target);
	if (skf_tmpcopyup(from, volume, l->log, e) < 0)
		return skf_ctx(e, "copy '%s' of the image to volume '%s'", s->target, s->volume);
	if (fstat(from, &st) < 0 || fchownat(volume, "", st.st_uid, st.st_gid, AT_EMPTY_PATH) < 0 ||
	    fchmodat(volume, ".", st.st_mode & 07777, 0) < 0)
		return skf_fail_sys(e, -errno, "give volume '%s' owner and mode of '%s'", s->volume,
				    s->target);
	return 0;
}

static int clone_tree(int fd, const char *target, struct skf_err *e)
{
	int tree = skf_open_tree(fd, "", OPEN_TREE_CLONE | AT_EMPTY_PATH | AT_RECURSIVE);

	return tree < 0 ? skf_fail_sys(e, tree, "open the source of the mount at '%s'", target) : tree;
}

/* Below fd, never out of it, whatever a container has put there. */
static int clone_subpath(int fd, source *s, struct skf_err *e)
{
	SKF_AUTO_FD int sub = -EBADF;

	if (!s->subpath)
		return clone_tree(fd, s->target, e);
	sub = skf_path_open_nolinks(fd, s->subpath, O_PATH, 0);
	if (sub < 0)
		return skf_fail_sys(e, sub, "open '%s' in the source of the mount at '%s'", s->subpath,
				    s->target);
	return clone_tree(sub, s->target, e);
}

static int open_volume(struct skf_launch *l, source *s, struct skf_err *e)
{
	char path[SKF_MAX_NAME_BYTES + 32];
	SKF_AUTO_FD int fd = -EBADF, lock = -EBADF;
	int r = skf_fmt(path, sizeof(path), "locks/volume-%s", s->volume);
	bool fresh, labelled = s->relabel || l->conf->mount_label;

	if (r == 0 && (s->copy_up || s->chown || labelled))
		r = lock = skf_lock_at(l->root_fd, path, true, SKF_LOCK_MS);
	if (r >= 0)
		r = skf_fmt(path, sizeof(path), "volumes/%s/_data", s->volume);
	if (r >= 0)
		r = fd = skf_openat(l->root_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (r < 0)
		return skf_fail_sys(e, r, "open volume '%s'", s->volume);
	fresh = labelled && is_empty(fd);
	if (copy_up(l, s, fd, e) < 0 || give_away(l, s, fd, e) < 0)
		return -1;
	/* docker and podman: a new volume is for all containers, unless the user says otherwise */
	if ((fresh || s->relabel) &&
	    skf_launch_relabel(l, fd, s->relabel && strcmp(s->relabel, "private") == 0, s->target, e) < 0)
		return -1;
	return clone_subpath(fd, s, e);
}

/* --- images, directories, other containers --- */

/* A copy of the image's files in the container's directory: read-only, as the layers would be. */
static int open_view(struct skf_launch *l, source *s, struct skf_err *e)
{
	struct mount_attr ro = {.attr_set = MOUNT_ATTR_RDONLY};
	SKF_AUTO_FD int dir = skf_openat(l->disk_dir, s->view, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	SKF_AUTO_FD int tree = -EBADF;
	int r;

	if (dir < 0)
		return skf_fail_sys(e, dir, "open the copy '%s' of the image mounted at '%s'", s->view,
				    s->target);
	tree = clone_subpath(dir, s, e);
	if (tree < 0)
		return -1;
	r = skf_mount_setattr(tree, "", AT_EMPTY_PATH, &ro);
	return r < 0 ? skf_fail_sys(e, r, "make the image mounted at '%s' read-only", s->target)
		     : SKF_TAKE_FD(tree);
}

static int open_image(struct skf_launch *l, source *s, struct skf_err *e)
{
	char scratch[SKF_ID_LEN + 24];
	struct skf_overlay o = {.root_fd = l->root_fd,
				.root = l->q.root,
				.n_lower = s->layers.n,
				.scratch = scratch,
				.label = l->conf->mount_label,
				.idmapped = l->userns >= 0 && skf_launch_sees_through_map(l),
				.userns_fd = l->userns};
	SKF_AUTO_FD int fd = -EBADF;

	if (s->view)
		return open_view(l, s, e);
	snprintf(scratch, sizeof(scratch), "containers/%s/rootfs", l->q.id);
	if (skf_launch_layer_paths(l, &s->layers, &o.lower, e) < 0 || skf_overlay_mount(&o, &fd, e) < 0)
		return skf_ctx(e, "the image mounted at '%s'", s->target);
	return s->subpath ? clone_subpath(fd, s, e) : SKF_TAKE_FD(fd);
}

/* The upper directory is what the container sees of the directory itself: owner and mode are the original's.
 */
static int own_as(const struct skf_launch *l, const char *original, const char *upper)
{
	struct stat st;

	if (stat(original, &st) < 0 ||
	    fchownat(l->root_fd, upper, st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW) < 0 ||
	    fchmodat(l->root_fd, upper, st.st_mode & 07777, 0) < 0)
		return -errno;
	return 0;
}

/* O: what the container writes stays in its own directory. */
static int open_overlay(struct skf_launch *l, source *s, struct skf_err *e)
{
	char upper[SKF_ID_LEN + 48], work[SKF_ID_LEN + 48], scratch[SKF_ID_LEN + 24];
	const char *lower[1] = {s->directory};
	struct skf_overlay o = {.root_fd = l->root_fd,
				.root = l->q.root,
				.lower = lower,
				.n_lower = 1,
				.upper = upper,
				.work = work,
				.scratch = scratch,
				.label = l->conf->mount_label};
	size_t n = (size_t)(s - (source *)l->conf->sources.v);
	char dir[48];
	int fd = -EBADF, r;

	snprintf(scratch, sizeof(scratch), "containers/%s/rootfs", l->q.id);
	snprintf(upper, sizeof(upper), "containers/%s/overlay-%zu/rw", l->q.id, n);
	snprintf(work, sizeof(work), "containers/%s/overlay-%zu/work", l->q.id, n);
	snprintf(dir, sizeof(dir), "overlay-%zu", n);
	r = skf_mkdir_at(l->disk_dir, dir, 0700);
	if (r == 0)
		r = skf_mkdir_at(l->root_fd, upper, 0755);
	if (r == 0)
		r = skf_mkdir_at(l->root_fd, work, 0700);
	if (r == 0)
		r = own_as(l, s->directory, upper);
	if (r < 0)
		return skf_fail_sys(e, r, "make the directories of the overlay at '%s'", s->target);
	return skf_overlay_mount(&o, &fd, e) < 0 ? skf_ctx(e, "the overlay at '%s'", s->target) : fd;
}

static int open_directory(struct skf_launch *l, source *s, struct skf_err *e)
{
	SKF_AUTO_FD int fd = -EBADF;

	if (s->overlay)
		return open_overlay(l, s, e);
	fd = skf_openat(AT_FDCWD, s->directory, O_PATH, 0); /* the user's own path: links are his */
	if (fd < 0)
		return skf_fail_sys(e, fd, "open '%s'", s->directory);
	if (give_away(l, s, fd, e) < 0 ||
	    (s->relabel && skf_launch_relabel(l, fd, strcmp(s->relabel, "private") == 0, s->target, e) < 0))
		return -1;
	return clone_tree(fd, s->target, e);
}

/* What runs in the helper, inside the other container's mount namespace: its paths lead nowhere else. */
static void shm_helper(void *ns, int sock)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(64);
	SKF_AUTO_FD int root = -EBADF, dir = -EBADF, tree = -EBADF;
	struct skf_rec w;
	int r = skf_setns(*(int *)ns, CLONE_NEWNS);

	if (r == 0)
		r = root = skf_openat(AT_FDCWD, "/", O_PATH | O_DIRECTORY, 0);
	if (r >= 0)
		r = dir = skf_path_open_nolinks(root, "dev/shm", O_PATH | O_DIRECTORY, 0);
	if (r >= 0)
		r = tree = skf_open_tree(dir, "", OPEN_TREE_CLONE | AT_EMPTY_PATH);
	skf_rec_begin(&w, &b, 1, 1);
	skf_rec_u32(&w, (uint32_t)(r < 0 ? -r : 0));
	skf_rec_end(&w);
	(void)skf_record_send(sock, &b, &tree,
			      r < 0 ? 0 : 1); /* the parent sees the closed socket when this fails */
}

static int take_shm(int sock, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	SKF_AUTO(skf_fds_done) struct skf_fds fds = {.n = 0};
	struct skf_recr r;
	int n = skf_record_recv(sock, &b, &r, &fds, SKF_START_MS);
	uint32_t code = n > 0 ? skf_recr_u32(&r) : 0;

	if (n <= 0 || code || fds.n != 1)
		return skf_fail_sys(e,
				    n < 0  ? n
				    : code ? -(int)code
					   : -EPIPE,
				    "share /dev/shm of the other container");
	return SKF_TAKE_FD(fds.fd[0]);
}

int skf_launch_shm_of(int ns, struct skf_err *e)
{
	struct skf_helper h;
	int r = skf_helper_start(0, shm_helper, &ns, &h);

	if (r < 0)
		return skf_fail_sys(e, r, "start the helper that shares /dev/shm");
	r = take_shm(h.sock, e);
	skf_helper_end(&h, r < 0);
	return r;
}

static int open_shm(struct skf_launch *l, source *s, struct skf_err *e)
{
	SKF_AUTO_FD int ns = skf_launch_ns_of(l, s->container, "mnt", e);

	return ns < 0 ? -1 : skf_launch_shm_of(ns, e);
}

int skf_launch_sources(struct skf_launch *l, struct skf_err *e)
{
	source *s = l->conf->sources.v;
	size_t n = l->conf->sources.n, all = n + l->conf->secrets.n + (l->pod.shm >= 0);
	struct skf_rt_source *v = all ? skf_arena_array(&l->arena, all, sizeof(*v)) : NULL;

	if (all && !v)
		return skf_fail(e, SKF_ENOMEM, "out of memory for the mounts of container '%s'", l->q.id);
	l->sources = v;
	for (size_t i = 0; i < n; i++) {
		int fd = s[i].volume      ? open_volume(l, &s[i], e)
			 : s[i].directory ? open_directory(l, &s[i], e)
			 : s[i].container ? open_shm(l, &s[i], e)
					  : open_image(l, &s[i], e);

		if (fd < 0)
			return skf_ctx(e, "container '%s'", l->q.id);
		v[l->n_sources++] = (struct skf_rt_source){s[i].target, fd};
	}
	if (l->pod.shm >= 0) {
		int r = skf_launch_pod_shm_source(l, &v[l->n_sources], e);

		if (r < 0)
			return skf_ctx(e, "container '%s'", l->q.id);
		l->n_sources += r == 1;
	}
	return skf_launch_secrets(l, e) < 0 || skf_launch_secret_env(l, e) < 0 ? -1 : 0;
}

void skf_launch_close_sources(struct skf_launch *l)
{
	while (l->n_sources)
		close(l->sources[--l->n_sources].tree_fd);
}
