/* tests/unit/launch/test_overlay.c -- the overlay of a container's root by each way, with 200 layers,
 * id-mapped layers and user.* marks. Needs root; without it, or where this kernel lacks a way, the case is
 * left out. */
#include "base/err.h"
#include "base/fd.h"
#include "base/limits.h"
#include "launch/overlay.h"
#include "runtime/runtime.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <cmocka.h>

#define N 200

struct fix {
	char root[64];
	int fd;
	char name[SKF_MAX_LAYERS + 1][24];
	const char *lower[SKF_MAX_LAYERS + 1];
	struct skf_overlay o;
	struct skf_err e;
};

static void touch(int dirfd, const char *path)
{
	int fd = skf_openat(dirfd, path, O_WRONLY | O_CREAT, 0644);

	assert_true(fd >= 0);
	close(fd);
}

static int setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));
	char path[64];

	*state = f;
	f->fd = -1;
	if (!f || geteuid() != 0)
		return 0;
	strcpy(f->root, "/var/tmp/skiff-overlay.XXXXXX");
	assert_non_null(mkdtemp(f->root));
	f->fd = skf_openat(AT_FDCWD, f->root, O_RDONLY | O_DIRECTORY, 0);
	for (unsigned i = 0; i < N; i++) {
		snprintf(f->name[i], sizeof(f->name[i]), "l%u", i);
		f->lower[i] = f->name[i];
		assert_int_equal(mkdirat(f->fd, f->name[i], 0755), 0);
		snprintf(path, sizeof(path), "l%u/f%u", i, i);
		touch(f->fd, path);
	}
	assert_int_equal(mkdirat(f->fd, "l0/d", 0755), 0);
	touch(f->fd, "l0/d/old");
	assert_int_equal(mkdirat(f->fd, "up", 0755), 0);
	assert_int_equal(mkdirat(f->fd, "work", 0700), 0);
	assert_int_equal(mkdirat(f->fd, "scratch", 0700), 0);
	f->o = (struct skf_overlay){.root_fd = f->fd,
				    .root = f->root,
				    .lower = f->lower,
				    .n_lower = N,
				    .upper = "up",
				    .work = "work",
				    .scratch = "scratch"};
	return 0;
}

static int teardown(void **state)
{
	struct fix *f = *state;

	if (f->fd >= 0) {
		close(f->fd);
		assert_int_equal(skf_rmtree_at(AT_FDCWD, f->root), 0);
	}
	free(f);
	return 0;
}

/* The mount, or the case is left out when this kernel has not got that way. */
static int mounted(struct fix *f, enum skf_overlay_way way)
{
	int fd = -1;

	if (f->fd < 0)
		skip();
	f->o.way = way;
	if (skf_overlay_mount(&f->o, &fd, &f->e) < 0) {
		if (way == SKF_OVERLAY_FD || way == SKF_OVERLAY_PATH)
			skip();
		fail_msg("%s", f->e.msg);
	}
	return fd;
}

static void all_layers(struct fix *f, int fd)
{
	struct stat st;
	char name[24];

	for (unsigned i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		if (fstatat(fd, name, &st, 0) < 0)
			fail_msg("layer %u is not seen", i);
	}
	touch(fd, "new");
	assert_int_equal(fstatat(f->fd, "up/new", &st, 0), 0);
	assert_int_not_equal(fstatat(f->fd, "l199/new", &st, 0), 0);
}

/* An image may have a layer twice. The upper one counts. */
static void repeated(void **state)
{
	struct fix *f = *state;
	const char *lower[] = {"l0", "l1", "l2", "l1", "l0"};
	struct stat st;
	int fd;

	if (f->fd < 0)
		skip();
	touch(f->fd, "l2/f1");
	assert_int_equal(fstatat(f->fd, "l1/f1", &st, 0), 0);
	f->o.lower = lower;
	f->o.n_lower = SKF_ARRAY_LEN(lower);
	fd = mounted(f, SKF_OVERLAY_AUTO);
	for (unsigned i = 0; i < 3; i++) {
		struct stat seen;
		char name[24];

		snprintf(name, sizeof(name), "f%u", i);
		assert_int_equal(fstatat(fd, name, &seen, 0), 0);
		assert_true(i != 1 || seen.st_ino == st.st_ino);
	}
	close(fd);
}

static void by_fd(void **state)
{
	int fd = mounted(*state, SKF_OVERLAY_FD);

	all_layers(*state, fd);
	close(fd);
}

static void by_path(void **state)
{
	int fd = mounted(*state, SKF_OVERLAY_PATH);

	all_layers(*state, fd);
	close(fd);
}

static void by_symlink(void **state)
{
	int fd = mounted(*state, SKF_OVERLAY_SYMLINK);

	all_layers(*state, fd);
	close(fd);
}

static void by_trial(void **state)
{
	int fd = mounted(*state, SKF_OVERLAY_AUTO);

	all_layers(*state, fd);
	close(fd);
}

/* A directory that replaces one of the layers is marked opaque, in the attribute that was asked for. */
static void marks(void **state, bool user)
{
	struct fix *f = *state;
	char v[2] = "", path[128];
	int fd;

	f->o.userxattr = user;
	fd = mounted(f, SKF_OVERLAY_AUTO);
	assert_int_equal(unlinkat(fd, "d/old", 0), 0);
	assert_int_equal(unlinkat(fd, "d", AT_REMOVEDIR), 0);
	assert_int_equal(mkdirat(fd, "d", 0755), 0);
	snprintf(path, sizeof(path), "%s/up/d", f->root);
	assert_int_equal(
		getxattr(path, user ? "user.overlay.opaque" : "trusted.overlay.opaque", v, sizeof(v)), 1);
	assert_int_equal(v[0], 'y');
	assert_true(getxattr(path, user ? "trusted.overlay.opaque" : "user.overlay.opaque", v, sizeof(v)) <
		    0);
	close(fd);
}

static void trusted_marks(void **state)
{
	marks(state, false);
}

static void user_marks(void **state)
{
	marks(state, true);
}

static void idmapped(void **state)
{
	struct skf_idmap map = {.container_id = 0, .host_id = 300000, .size = 65536};
	const struct skf_jarr maps = {&map, 1};
	struct fix *f = *state;
	struct stat st;
	int fd, userns;

	if (f->fd < 0)
		skip();
	userns = skf_rt_userns(&maps, &maps, &f->e);
	assert_true(userns >= 0);
	f->o.idmapped = true;
	f->o.userns_fd = userns;
	if (skf_overlay_mount(&f->o, &fd, &f->e) < 0) {
		assert_int_equal(f->e.kind,
				 SKF_EUNSUPPORTED); /* the kernel or the file system of /var/tmp cannot */
		close(userns);
		skip();
	}
	assert_int_equal(fstatat(fd, "f7", &st, 0), 0);
	assert_int_equal(st.st_uid, 300000);
	assert_int_equal(fstatat(f->fd, "l7/f7", &st, 0), 0);
	assert_int_equal(st.st_uid, 0);
	close(fd);
	/* a read-only root of one layer needs no overlay */
	f->o.n_lower = 1;
	f->o.upper = f->o.work = NULL;
	assert_int_equal(skf_overlay_mount(&f->o, &fd, &f->e), 0);
	assert_int_equal(fstatat(fd, "f0", &st, 0), 0);
	assert_int_equal(st.st_uid, 300000);
	assert_true(mkdirat(fd, "x", 0700) < 0);
	close(fd);
	close(userns);
}

static void too_many(void **state)
{
	struct fix *f = *state;
	int fd;

	f->o.n_lower = SKF_MAX_LAYERS + 1;
	assert_int_equal(skf_overlay_mount(&f->o, &fd, &f->e), -1);
	assert_int_equal(f->e.kind, SKF_ELIMIT);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {T(by_fd),    T(by_path),       T(by_symlink),
					   T(by_trial), T(trusted_marks), T(user_marks),
					   T(idmapped), T(too_many),      T(repeated)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
