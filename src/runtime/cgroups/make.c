/* make.c -- the directories of one container: made in every hierarchy, with what the kernel wants before a
 * process may enter (cpuset on v1, controllers of the ancestors on v2).
 *
 * On v1 each directory costs a system call or two and each further write about as much, so nothing is
 * written that the new directory has already. Blocks only on cgroupfs. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "runtime/cgroups/cgroups_int.h"
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FULL_MAX 768 /* mount point, path, file */

static int full_path(const struct skf_cg_dirs *d, unsigned i, char *out)
{
	return skf_fmt(out, FULL_MAX, "%s%s", d->layout.h[i].mountpoint, d->path);
}

/* The directories above the last one. -ENOENT when one of them was removed again meanwhile. */
static int make_parents(char *path, size_t keep)
{
	for (char *p = path + keep + 1; (p = strchr(p, '/')); p++) {
		int r;

		*p = '\0';
		r = mkdir(path, 0755) < 0 && errno != EEXIST ? skf_errno() : 0;
		*p = '/';
		if (r < 0)
			return r;
	}
	return 0;
}

/* mkdir -p of `path`, whose first `keep` bytes exist. 1: the last one was there already. Empty parents may
 * be removed by `skiff system check --repair` while we make them: tried again, a few times. */
static int make_dirs(char *path, size_t keep)
{
	for (int attempt = 0;; attempt++) {
		int r;

		if (mkdir(path, 0755) == 0)
			return 0;
		if (errno == EEXIST)
			return 1;
		if (errno != ENOENT || attempt == 8)
			return skf_errno();
		r = make_parents(path, keep);
		if (r < 0 && r != -ENOENT)
			return r;
	}
}

static int read_small(const char *dir, const char *file, char *out, size_t size)
{
	char path[FULL_MAX + 32];
	SKF_AUTO_FD int fd = -EBADF;
	ssize_t n;
	int r = skf_fmt(path, sizeof(path), "%s/%s", dir, file);

	if (r < 0)
		return r;
	fd = skf_openat(AT_FDCWD, path, O_RDONLY, 0);
	if (fd < 0)
		return fd;
	n = read(fd, out, size - 1);
	if (n < 0)
		return skf_errno();
	if ((size_t)n == size - 1)
		return -EFBIG;
	while (n > 0 && out[n - 1] == '\n')
		n--;
	out[n] = '\0';
	return 0;
}

static int write_small(const char *dir, const char *file, const char *value)
{
	char path[FULL_MAX + 32];
	int r = skf_fmt(path, sizeof(path), "%s/%s", dir, file);

	return r < 0 ? r : skf_write_existing_at(AT_FDCWD, path, value);
}

/* A v1 cpuset directory is born empty and then takes no process: copies `file` from the nearest ancestor
 * that has it, top down. A parent that nobody has set up gets a flag with it that makes its later children
 * begin with a copy: each writing to a cpuset is compared with all its siblings, and has the kernel divide
 * the processors anew over all cpusets. */
static int cpuset_inherit(char *dir, size_t mount_len, const char *file, char *value, size_t size)
{
	char *slash;
	int r = read_small(dir, file, value, size);

	if (r < 0 || value[0] || strlen(dir) <= mount_len)
		return r;
	slash = strrchr(dir, '/');
	*slash = '\0';
	r = cpuset_inherit(dir, mount_len, file, value, size);
	*slash = '/';
	if (r == 0)
		r = write_small(dir, file, value);
	if (r == 0)
		(void)write_small(dir, "cgroup.clone_children",
				  "1"); /* refused: the children are filled one by one */
	return r;
}

static int cpuset_fill(char *dir, size_t mount_len, const struct skf_spec_resources *r)
{
	static const char *const files[] = {"cpuset.cpus", "cpuset.mems"};
	const char *given[] = {r->cpu.cpus, r->cpu.mems};
	char value[4096];

	for (size_t k = 0; k < SKF_ARRAY_LEN(files); k++) {
		int err = read_small(dir, files[k], value, sizeof(value));
		char *slash = strrchr(dir, '/');

		if (err == 0 && value[0])
			continue;
		*slash = '\0'; /* the parents first: a child may only have what its parent has */
		if (err == 0)
			err = cpuset_inherit(dir, mount_len, files[k], value, sizeof(value));
		*slash = '/';
		if (err == 0 && !(given[k] && *given[k])) /* otherwise the limit itself is written later */
			err = write_small(dir, files[k], value);
		if (err < 0)
			return err;
	}
	return 0;
}

bool skf_cg_in_userns(void)
{
	char map[128], all[128];
	size_t n = 0;

	if (read_small("/proc/self", "uid_map", map, sizeof(map)) < 0)
		return false;
	for (const char *p = map; *p; p++)
		if (*p != ' ')
			all[n++] = *p;
	all[n] = '\0';
	return strcmp(all, "004294967295") != 0; /* "0 0 4294967295" is the map of the first namespace */
}

static bool may_be_refused(int r)
{
	return r == -EPERM || r == -EACCES || r == -EROFS;
}

static bool is_cpuset(const struct skf_cg_dirs *d, unsigned i)
{
	return skf_cg_find(&d->layout, "cpuset") == &d->layout.h[i];
}

int skf_cg_make(struct skf_cg_dirs *d, const struct skf_spec_resources *r, bool may_skip, bool *ret_fresh,
		struct skf_err *e)
{
	uint32_t made = 0;
	int err = 0;

	*ret_fresh = true;
	d->used = 0;
	for (unsigned i = 0; i < d->layout.n; i++) {
		size_t mount_len = strlen(d->layout.h[i].mountpoint);
		char path[FULL_MAX];

		err = full_path(d, i, path);
		if (err == 0)
			err = make_dirs(path, mount_len);
		if (err == 1)
			*ret_fresh = false;
		else if (err == 0)
			made |= 1u << i;
		if (err >= 0)
			err = is_cpuset(d, i) ? cpuset_fill(path, mount_len, r) : 0;
		if (err == 0)
			d->used |= 1u << i;
		else if (!may_skip || !may_be_refused(err) || !(geteuid() != 0 || skf_cg_in_userns())) {
			if (err == -EACCES)
				skf_fail(e, SKF_EDENIED,
					 "unable to apply cgroup configuration: create the cgroup directory "
					 "'%s': permission denied",
					 path);
			else
				skf_fail_sys(e, err,
					     "unable to apply cgroup configuration: create the cgroup "
					     "directory '%s'",
					     path);
			break;
		}
		err = 0;
	}
	if (err == 0)
		return 0;
	d->used = made;
	(void)skf_cg_remove(d, 0); /* the error that matters is the one above */
	d->used = 0;
	return -1;
}

/* --- v2: controllers of the ancestors --- */

#define MAX_CONTROLLERS 24

static bool has_word(const char *list, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = list; (p = strstr(p, name)); p += n)
		if ((p == list || p[-1] == ' ') && (p[n] == ' ' || !p[n]))
			return true;
	return false;
}

/* Does r ask for something of a controller that may live in the unified hierarchy of a hybrid system? */
static bool wanted(const struct skf_cg_layout *l, const struct skf_spec_resources *r, const char *name)
{
	if (l->mode == SKF_CG_V2)
		return true;
	if (skf_cg_find(l, !strcmp(name, "io") ? "blkio" : name))
		return false;
	if (!strcmp(name, "hugetlb"))
		return r->hugepages.n > 0;
	if (!strcmp(name, "pids"))
		return r->pids.has_limit && r->pids.limit >= 0;
	if (!strcmp(name, "memory"))
		return r->memory.has_limit || r->memory.has_reservation || r->memory.has_swap;
	if (!strcmp(name, "cpu"))
		return r->cpu.has_shares || r->cpu.has_quota || r->cpu.has_period || r->cpu.has_idle ||
		       r->cpu.has_burst;
	if (!strcmp(name, "cpuset"))
		return (r->cpu.cpus && *r->cpu.cpus) || (r->cpu.mems && *r->cpu.mems);
	return !strcmp(name, "rdma") && r->rdma.n > 0;
}

static void enable_in(const char *dir, const char *const *v, size_t n)
{
	char all[256] = "";
	size_t len = 0;

	for (size_t i = 0; i < n; i++)
		len += (size_t)(skf_fmt(all + len, sizeof(all) - len, "%s+%s", i ? " " : "", v[i]) == 0
					? strlen(all + len)
					: 0);
	if (write_small(dir, "cgroup.subtree_control", all) == 0)
		return;
	for (size_t i = 0; i < n; i++) {
		char one[24];

		/* One controller may be refused (processes in dir, real-time tasks for cpu) where others are
		 * not. What is missing in the end is noticed when a limit needs it. */
		if (skf_fmt(one, sizeof(one), "+%s", v[i]) == 0)
			(void)write_small(dir, "cgroup.subtree_control", one);
	}
}

int skf_cg_enable(const struct skf_cg_dirs *d, const struct skf_spec_resources *r, char *out, size_t size)
{
	const char *need[MAX_CONTROLLERS];
	char path[FULL_MAX], avail[192];
	size_t n = 0, mount_len;
	unsigned i = 0;
	int err;

	out[0] = '\0';
	while (i < d->layout.n && !d->layout.h[i].v2)
		i++;
	if (i == d->layout.n || !(d->used & (1u << i)))
		return 0;
	err = full_path(d, i, path);
	if (err == 0)
		err = read_small(path, "cgroup.controllers", out, size);
	if (err == 0)
		err = read_small(d->layout.h[i].mountpoint, "cgroup.controllers", avail, sizeof(avail));
	if (err < 0)
		return err;
	for (char *next, *w = avail; *w && n < MAX_CONTROLLERS; w = next) {
		next = w + strcspn(w, " ");
		if (*next)
			*next++ = '\0';
		if (!has_word(out, w) && wanted(&d->layout, r, w))
			need[n++] = w;
	}
	if (!n)
		return 0;
	mount_len = strlen(d->layout.h[i].mountpoint);
	for (char *p = path + mount_len; p; p = strchr(p + 1, '/')) {
		*p = '\0';
		enable_in(path, need, n);
		*p = '/';
	}
	return read_small(path, "cgroup.controllers", out, size);
}
