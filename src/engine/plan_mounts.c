/* engine/plan_mounts.c -- what is mounted into a container, in which order. Makes missing sources of -v, as docker does. */
#include "engine/create_int.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static size_t depth_of(const char *path)
{
	size_t n = 0;

	for (; *path; path++)
		n += *path == '/';
	return n;
}

static int by_depth(const void *x, const void *y)
{
	const struct skf_gen_mount *a = x, *b = y;
	size_t da = depth_of(a->target), db = depth_of(b->target);

	return da < db ? -1 : da > db ? 1 : strcmp(a->target, b->target);
}

static int make_source(const char *path, struct skf_err *e)
{
	SKF_AUTO_FD int fd = -EBADF;
	struct stat st;

	if (fstatat(AT_FDCWD, path, &st, 0) == 0)
		return 0;
	if (errno != ENOENT)
		return skf_fail_sys(e, -errno, "look at the volume's source '%s'", path);
	fd = skf_mkdirs_at(AT_FDCWD, path, 0755);
	return fd < 0 ? skf_fail_sys(e, fd, "make the volume's source '%s'", path) : 0;
}

int skf_plan_mounts(struct skf_plan *p, struct skf_err *e)
{
	const struct skf_mount_req *m = p->q->mounts.v;
	size_t n = p->q->mounts.n;

	if (n == 0)
		return 0;
	if (n > SKF_MAX_MOUNTS)
		return skf_fail(e, SKF_ELIMIT, "%zu volumes are asked for; the limit is %d", n,
				SKF_MAX_MOUNTS);
	p->mounts = skf_arena_array(p->a, n, sizeof(*p->mounts));
	if (!p->mounts)
		return skf_plan_no_memory(e);
	for (size_t i = 0; i < n; i++) {
		char *bind = skf_arena_fmt(p->a, "%s:%s%s%s%s%s", m[i].source, m[i].target,
					   m[i].readonly || m[i].propagation ? ":" : "",
					   m[i].readonly ? "ro" : "",
					   m[i].readonly && m[i].propagation ? "," : "",
					   m[i].propagation ? m[i].propagation : "");

		if (!bind || skf_strv_add(p->a, &p->req.binds, bind) < 0)
			return skf_plan_no_memory(e);
		if (m[i].relabel && faccessat(AT_FDCWD, "/sys/fs/selinux/enforce", F_OK, 0) == 0)
			return skf_fail(e, SKF_EUNSUPPORTED,
					"the volume '%s' asks for an SELinux label, which this version "
					"cannot set; leave out "
					"z and Z",
					m[i].source);
		for (size_t j = 0; j < i; j++)
			if (skf_streq(m[i].target, m[j].target))
				return skf_fail(e, SKF_EINVALID, "Duplicate mount point: %s", m[i].target);
		if (make_source(m[i].source, e) < 0)
			return -1;
		p->mounts[i] =
			(struct skf_gen_mount){m[i].source, m[i].target, m[i].readonly, m[i].propagation};
	}
	/* A mount below another one must come after it. */
	qsort(p->mounts, n, sizeof(*p->mounts), by_depth);
	p->gen.mounts = p->mounts;
	p->gen.n_mounts = n;
	return 0;
}
