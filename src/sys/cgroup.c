/* cgroup.c -- one file of a cgroup, moving processes, counting and removing.
 *
 * Invariants:
 * 1. Nothing here allocates or uses stdio: the monitor links it and must stay small. Buffers are on the
 * stack and bounded.
 * 2. "Absent" is success for everything that undoes (kill, remove): two reapers may meet.
 * 3. Pid 0 in cgroup.procs is a process of another pid namespace: it is never returned, because kill(0)
 * means our own group. Blocks: only in skf_cg_remove (until timeout_ms); cgroupfs itself may make a write
 * wait for an RCU grace period. */
#include "sys/cgroup_int.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MAX_DEPTH 64 /* directories below one container's cgroup; systemd in a container makes about 6 */

int skf_cg_each_line(const char *path, int (*fn)(char *line, void *arg), void *arg)
{
	SKF_AUTO_FD int fd = skf_openat(AT_FDCWD, path, O_RDONLY, 0);
	char buf[4096];
	size_t have = 0;
	bool skip = false;

	if (fd < 0)
		return fd;
	for (;;) {
		ssize_t n = read(fd, buf + have, sizeof(buf) - have);
		char *nl, *p = buf;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return skf_errno();
		if (n == 0)
			return 0;
		have += (size_t)n;
		while ((nl = memchr(p, '\n', have - (size_t)(p - buf)))) {
			*nl = '\0';
			if (!skip) {
				int r = fn(p, arg);

				if (r)
					return r;
			}
			skip = false;
			p = nl + 1;
		}
		have -= (size_t)(p - buf);
		memmove(buf, p, have);
		if (have == sizeof(buf)) {
			skip = true;
			have = 0;
		}
	}
}

bool skf_cg_in_list(const char *list, const char *name)
{
	size_t n = strlen(name);

	while (*list) {
		size_t len = strcspn(list, ",");

		if (len == n && !memcmp(list, name, n))
			return true;
		list += len + (list[len] == ',');
	}
	return false;
}

int skf_cg_dir_path(const struct skf_cg_dirs *d, unsigned i, char *out, size_t size)
{
	return skf_fmt(out, size, "%s%s", d->layout.h[i].mountpoint, d->path);
}

int skf_cg_open(const struct skf_cg_dirs *d, unsigned i)
{
	char path[SKF_CG_PATH_MAX];
	int r;

	if (i >= d->layout.n)
		return -EINVAL;
	r = skf_cg_dir_path(d, i, path, sizeof(path));
	return r < 0 ? r : skf_openat(AT_FDCWD, path, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0);
}

int skf_cg_read(const struct skf_cg_dirs *d, unsigned i, const char *file, char *out, size_t size)
{
	SKF_AUTO_FD int dir = skf_cg_open(d, i);
	SKF_AUTO_FD int fd = dir < 0 ? dir : skf_openat(dir, file, O_RDONLY, 0);
	size_t len = 0;
	ssize_t n;

	if (fd < 0)
		return fd;
	while (len + 1 < size) {
		n = read(fd, out + len, size - 1 - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return skf_errno();
		if (n == 0)
			break;
		len += (size_t)n;
	}
	if (len && out[len - 1] == '\n')
		len--;
	out[len] = '\0';
	return 0;
}

int skf_cg_write(const struct skf_cg_dirs *d, unsigned i, const char *file, const char *value)
{
	SKF_AUTO_FD int dir = skf_cg_open(d, i);

	return dir < 0 ? dir : skf_write_existing_at(dir, file, value);
}

int skf_cg_attach(const struct skf_cg_dirs *d, pid_t pid)
{
	char value[16], path[SKF_CG_PATH_MAX];
	int r = skf_fmt(value, sizeof(value), "%d", (int)pid);

	for (unsigned i = 0; r == 0 && i < d->layout.n; i++) {
		if (!(d->used & (1u << i)))
			continue;
		r = skf_fmt(path, sizeof(path), "%s%s/cgroup.procs", d->layout.h[i].mountpoint, d->path);
		if (r == 0)
			r = skf_write_existing_at(AT_FDCWD, path, value);
	}
	return r;
}

int64_t skf_cg_parse_key(const char *text, const char *key)
{
	size_t n = strlen(key);

	while (*text) {
		if (!strncmp(text, key, n) && text[n] == ' ') {
			char digits[24];
			size_t len = strcspn(text + n + 1, "\n");
			uint64_t v;

			if (len >= sizeof(digits))
				return -ERANGE;
			memcpy(digits, text + n + 1, len);
			digits[len] = '\0';
			if (skf_parse_u64(digits, &v) < 0 || v > INT64_MAX)
				return -EINVAL;
			return (int64_t)v;
		}
		text += strcspn(text, "\n");
		text += *text == '\n';
	}
	return -ENOENT;
}

int64_t skf_cg_oom_kills(const struct skf_cg_dirs *d)
{
	char text[1024];
	int r = -ENOENT;

	for (unsigned i = 0; i < d->layout.n; i++)
		if ((d->used & (1u << i)) && !d->layout.h[i].v2 &&
		    skf_cg_in_list(d->layout.h[i].controllers, "memory")) {
			r = skf_cg_read(d, i, "memory.oom_control", text, sizeof(text));
			return r < 0 ? r : skf_cg_parse_key(text, "oom_kill");
		}
	for (unsigned i = 0; i < d->layout.n; i++)
		if ((d->used & (1u << i)) && d->layout.h[i].v2) {
			r = skf_cg_read(d, i, "memory.events", text, sizeof(text));
			return r < 0 ? r : skf_cg_parse_key(text, "oom_kill");
		}
	return r;
}

struct dirent64_raw { /* struct linux_dirent64 of getdents64(2) */
	uint64_t d_ino;
	int64_t d_off;
	uint16_t d_reclen;
	uint8_t d_type;
	char d_name[];
};

struct walk {
	int (*fn)(int fd, int parent, const char *name, void *arg);
	void *arg;
};

static int walk_children(const struct walk *w, int dirfd, unsigned depth);

static int walk_one(const struct walk *w, int parent, const char *name, unsigned depth)
{
	SKF_AUTO_FD int fd = skf_openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	int r;

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	r = walk_children(w, fd, depth + 1);
	return r ? r : w->fn(fd, parent, name, w->arg);
}

static int walk_children(const struct walk *w, int dirfd, unsigned depth)
{
	char buf[2048] __attribute__((aligned(8)));
	struct stat st;

	if (depth > MAX_DEPTH)
		return -ELOOP;
	/* kernfs keeps the link count: two and one for each directory inside. It saves reading 50 file
	 * names. */
	if (fstat(dirfd, &st) < 0)
		return skf_errno();
	if (st.st_nlink == 2)
		return 0;
	for (;;) {
		long n = syscall(SYS_getdents64, dirfd, buf, sizeof(buf));

		if (n < 0)
			return errno == ENOENT ? 0 : skf_errno();
		if (n == 0)
			return 0;
		for (long o = 0; o < n;) {
			struct dirent64_raw *de = (void *)(buf + o);
			int r;

			o += de->d_reclen;
			if (de->d_type != DT_DIR || !strcmp(de->d_name, ".") || !strcmp(de->d_name, ".."))
				continue;
			r = walk_one(w, dirfd, de->d_name, depth);
			if (r)
				return r;
		}
	}
}

int skf_cg_walk(int dirfd, int (*fn)(int fd, int parent, const char *name, void *arg), void *arg)
{
	const struct walk w = {fn, arg};
	int r = walk_children(&w, dirfd, 0);

	return r ? r : fn(dirfd, -1, NULL, arg);
}

static int remove_child(int fd, int parent, const char *name, void *arg)
{
	(void)fd, (void)arg;
	if (parent < 0)
		return 0;
	if (unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return skf_errno();
	return 0;
}

/* One try: the directory itself, and when it is busy first what is below it. */
static int remove_once(const char *path)
{
	SKF_AUTO_FD int fd = -EBADF;
	int r;

	if (rmdir(path) == 0 || errno == ENOENT)
		return 0;
	if (errno != EBUSY)
		return skf_errno();
	fd = skf_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	r = skf_cg_walk(fd, remove_child, NULL);
	if (r < 0)
		return r;
	return rmdir(path) == 0 || errno == ENOENT ? 0 : skf_errno();
}

int skf_cg_remove(const struct skf_cg_dirs *d, int timeout_ms)
{
	int64_t end = skf_mono_ms() + timeout_ms;
	char path[SKF_CG_PATH_MAX];
	int first = 0;

	if (!d->path[0] || !strcmp(d->path, "/"))
		return d->used ? -EINVAL : 0;
	for (unsigned i = 0; i < d->layout.n; i++) {
		long us = 100;
		int r;

		if (!(d->used & (1u << i)))
			continue;
		r = skf_cg_dir_path(d, i, path, sizeof(path));
		/* A task leaves its cgroup a moment after its parent could reap it. */
		while (r == 0 && (r = remove_once(path)) == -EBUSY && skf_mono_ms() < end) {
			nanosleep(&(struct timespec){0, us * 1000}, NULL);
			us = us < 20000 ? us * 2 : us;
			r = 0;
		}
		if (r < 0 && !first)
			first = r;
	}
	return first;
}

struct give {
	int dir;
	uid_t uid;
};

static int give_file(char *name, void *arg)
{
	const struct give *g = arg;

	if (fchownat(g->dir, name, g->uid, (gid_t)-1, AT_SYMLINK_NOFOLLOW) < 0 && errno != ENOENT)
		return skf_errno();
	return 0;
}

int skf_cg_give(const struct skf_cg_dirs *d, unsigned i, uid_t uid)
{
	SKF_AUTO_FD int dir = skf_cg_open(d, i);
	struct give g = {dir, uid};
	int r;

	if (dir < 0)
		return dir;
	if (fchownat(dir, "", uid, (gid_t)-1, AT_EMPTY_PATH) < 0)
		return skf_errno();
	r = skf_cg_each_line("/sys/kernel/cgroup/delegate", give_file, &g);
	if (r == -ENOENT) { /* /sys is not mounted: what cgroups(7) names */
		char procs[] = "cgroup.procs", threads[] = "cgroup.threads",
		     control[] = "cgroup.subtree_control";

		r = give_file(procs, &g);
		r = r < 0 ? r : give_file(threads, &g);
		r = r < 0 ? r : give_file(control, &g);
	}
	return r;
}

int skf_cg_mkdirs(const struct skf_cg_dirs *d, unsigned i, const char *above)
{
	char path[SKF_CG_PATH_MAX];
	int r = skf_cg_dir_path(d, i, path, sizeof(path));

	if (r < 0)
		return r;
	for (char *slash, *p = path + strlen(d->layout.h[i].mountpoint) + strlen(above); p; p = slash) {
		slash = strchr(p + 1, '/');

		if (slash)
			*slash = '\0';
		r = mkdir(path, 0755) < 0 && errno != EEXIST ? skf_errno() : 0;
		if (slash)
			*slash = '/';
		if (r < 0)
			return r;
	}
	return 0;
}
