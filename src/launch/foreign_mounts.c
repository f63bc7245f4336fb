/* launch/foreign_mounts.c -- the root and the sources of mounts at places where another OCI runtime finds
 * them by path: in a mount namespace that only the runtime sees, and that is gone when it has ended.
 *
 * A runtime reaches them as the root of the container's user namespace, who may not search the engine's
 * directories (0700). For such a container all of them, plain bind mounts too, stand where everybody may
 * search, over two directories of the host that nothing is looked up in any more: what is mounted from below
 * them was opened before. Blocks on the disk. */
#include "launch/foreign_int.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "sys/mount.h"
#include "sys/process.h"
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define SOURCE_NAME_MAX 32

static int source_of(const struct skf_launch *l, const struct skf_spec_mount *m)
{
	for (size_t i = 0; i < l->n_sources; i++)
		if (strcmp(l->sources[i].destination, m->destination) == 0)
			return l->sources[i].tree_fd;
	return -EBADF;
}

static bool has_option(const struct skf_spec_mount *m, const char *word)
{
	for (size_t i = 0; i < m->options.n; i++)
		if (strcmp(m->options.v[i], word) == 0)
			return true;
	return false;
}

static bool is_bind(const struct skf_spec_mount *m)
{
	return m->source && ((m->type && strcmp(m->type, "bind") == 0) || has_option(m, "bind") ||
			     has_option(m, "rbind"));
}

bool skf_foreign_is_placed(const struct skf_launch *l, size_t i)
{
	const struct skf_spec_mount *m = (const struct skf_spec_mount *)l->spec->mounts.v + i;

	return i < l->spec->mounts.n && (source_of(l, m) >= 0 || (l->userns >= 0 && is_bind(m)));
}

/* The nth directory at the top of the host's tree that neither the runtime's program nor the bundle is
 * below. */
static const char *public_place(const struct skf_launch *l, const char *bundle, unsigned nth)
{
	static const char *const places[] = {"/mnt", "/media", "/srv", "/opt", "/tmp"};
	struct stat st;

	for (size_t i = 0; i < SKF_ARRAY_LEN(places); i++) {
		size_t n = strlen(places[i]);
		bool used = (strncmp(bundle, places[i], n) == 0 && bundle[n] == '/') ||
			    (strncmp(l->foreign.path, places[i], n) == 0 && l->foreign.path[n] == '/');

		if (!used && lstat(places[i], &st) == 0 && S_ISDIR(st.st_mode) && nth-- == 0)
			return places[i];
	}
	return NULL;
}

/* trees[i]: of the mount i, or -EBADF. */
static int open_binds(struct skf_launch *l, int *trees, struct skf_err *e)
{
	const struct skf_spec_mount *m = l->spec->mounts.v;

	for (size_t i = 0; l->userns >= 0 && i < l->spec->mounts.n; i++) {
		if (source_of(l, &m[i]) >= 0 || !is_bind(&m[i]))
			continue;
		trees[i] = skf_open_tree(AT_FDCWD, m[i].source,
					 OPEN_TREE_CLONE | (has_option(&m[i], "bind") ? 0u : AT_RECURSIVE));
		if (trees[i] < 0)
			return skf_fail_sys(e, trees[i], "open '%s', which is to be mounted at '%s'",
					    m[i].source, m[i].destination);
	}
	return 0;
}

static int place_one(int tree, int dir, const char *base, size_t i)
{
	char name[SOURCE_NAME_MAX], place[PATH_MAX];
	struct stat st;
	int r = fstat(tree, &st) < 0 ? -errno : 0;

	snprintf(name, sizeof(name), SKF_FOREIGN_SOURCE "%zu", i);
	if (r == 0 && S_ISDIR(st.st_mode)) {
		r = skf_mkdir_at(dir, name, 0700);
	} else if (r == 0) {
		SKF_AUTO_FD int f = skf_openat(dir, name, O_WRONLY | O_CREAT | O_NOFOLLOW, 0600);

		r = f < 0 ? f : 0;
	}
	if (r == 0)
		r = skf_fmt(place, sizeof(place), "%s/%s", base, name);
	return r < 0 ? r
		     : skf_move_mount(tree, "", AT_FDCWD, place,
				      MOVE_MOUNT_F_EMPTY_PATH); /* by name: dir may be of the namespace that
								   we came from */
}

static int place_all(struct skf_launch *l, const int *trees, int dir, struct skf_err *e)
{
	const struct skf_spec_mount *m = l->spec->mounts.v;

	for (size_t i = 0; i < l->spec->mounts.n; i++) {
		int tree = trees[i] >= 0 ? trees[i] : source_of(l, &m[i]),
		    r = tree >= 0 ? place_one(tree, dir, l->foreign.base, i) : 0;

		if (r < 0)
			return skf_fail_sys(e, r, "mount the source of '%s' for the runtime '%s'",
					    m[i].destination, l->foreign.path);
	}
	return 0;
}

/* dir: of the bundle, or of the tmpfs that takes its place. */
static int make_base(struct skf_launch *l, const char *bundle, int *dir, struct skf_err *e)
{
	int r;

	if (l->userns < 0) {
		l->foreign.base = bundle;
		l->foreign.root = skf_arena_fmt(&l->arena, "%s/containers/%s/rootfs", l->q.root, l->q.id);
		return l->foreign.root
			       ? 0
			       : skf_fail(e, SKF_ENOMEM, "out of memory for container '%s'", l->q.id);
	}
	l->foreign.root = public_place(l, bundle, 0); /* is there on the host too: runc's exec goes to it */
	l->foreign.base = public_place(l, bundle, 1);
	if (!l->foreign.base)
		return skf_fail(e, SKF_EUNSUPPORTED,
				"container '%s' is in a user namespace: its runtime needs two of the "
				"directories /mnt, /media, /srv, /opt and /tmp to find its files in",
				l->q.id);
	r = skf_mount("tmpfs", l->foreign.base, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0755");
	if (r == 0)
		r = *dir = skf_openat(AT_FDCWD, l->foreign.base, O_RDONLY | O_DIRECTORY, 0);
	return r < 0 ? skf_fail_sys(e, r, "mount a tmpfs over '%s' for the runtime '%s'", l->foreign.base,
				    l->foreign.path)
		     : 0;
}

static int mount_with(struct skf_launch *l, int *trees, int bundle_fd, const char *bundle, struct skf_err *e)
{
	SKF_AUTO_FD int base_fd = -EBADF;
	int r = skf_unshare(CLONE_NEWNS);

	if (r == 0)
		r = skf_mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL);
	if (r < 0)
		return skf_fail_sys(e, r, "make a mount namespace for the runtime '%s'", l->foreign.path);
	if (open_binds(l, trees, e) < 0 || make_base(l, bundle, &base_fd, e) < 0)
		return -1;
	r = skf_move_mount(l->root_mount, "", AT_FDCWD, l->foreign.root, MOVE_MOUNT_F_EMPTY_PATH);
	if (r < 0)
		return skf_fail_sys(e, r, "mount the root of container '%s' for the runtime", l->q.id);
	return place_all(l, trees, base_fd >= 0 ? base_fd : bundle_fd, e);
}

int skf_foreign_mounts(struct skf_launch *l, int bundle_fd, const char *bundle, struct skf_err *e)
{
	size_t n = l->spec->mounts.n;
	int *trees = skf_arena_array(&l->arena, n + 1, sizeof(*trees)), r;

	if (!trees)
		return skf_fail(e, SKF_ENOMEM, "out of memory for the mounts of container '%s'", l->q.id);
	for (size_t i = 0; i < n; i++)
		trees[i] = -EBADF;
	r = mount_with(l, trees, bundle_fd, bundle, e);
	for (size_t i = 0; i < n; i++)
		skf_closep(&trees[i]);
	return r;
}
