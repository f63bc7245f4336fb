/* cgroup.c -- which hierarchies exist, where a process is, one file of a cgroup, counting and removing.
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

#define CGROUP_ROOT "/sys/fs/cgroup"
#define MAX_DEPTH   64 /* directories below one container's cgroup; systemd in a container makes about 6 */

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
			return -errno;
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

/* Cuts the next space-separated word off *p; NULL at the end. */
static char *word(char **p)
{
	char *w = *p, *end;

	if (!w || !*w)
		return NULL;
	end = strchr(w, ' ');
	if (end)
		*end++ = '\0';
	*p = end;
	return w;
}

static bool is_controller(const char *o)
{
	static const char *const flags[] = {"rw",
					    "ro",
					    "none",
					    "xattr",
					    "noprefix",
					    "clone_children",
					    "cpuset_v2_mode",
					    "favordynmods",
					    "nofavordynmods",
					    "seclabel",
					    "memory_recursiveprot"};

	for (size_t i = 0; i < SKF_ARRAY_LEN(flags); i++)
		if (!strcmp(o, flags[i]))
			return false;
	return !skf_startswith(o, "release_agent=");
}

static bool controllers_of(char *opts, char *out, size_t size)
{
	size_t len = 0;

	out[0] = '\0';
	for (char *next; opts; opts = next) {
		size_t n;

		next = strchr(opts, ',');
		if (next)
			*next++ = '\0';
		if (!*opts || !is_controller(opts))
			continue;
		n = strlen(opts);
		if (len + n + 2 > size)
			return false;
		if (len)
			out[len++] = ',';
		memcpy(out + len, opts, n + 1);
		len += n;
	}
	return len > 0;
}

int skf_cg_parse_mount(char *line, struct skf_cg_hier *h, char *root, size_t root_size)
{
	char *p = line, *mroot, *mpoint, *w, *type, *opts;

	word(&p), word(&p), word(&p); /* mount id, parent, device */
	mroot = word(&p);
	mpoint = word(&p);
	while ((w = word(&p)) && strcmp(w, "-") != 0)
		;
	type = word(&p);
	word(&p); /* source */
	opts = word(&p);
	if (!mroot || !mpoint || !type || !opts || !skf_startswith(mpoint, CGROUP_ROOT))
		return 0;
	if (mpoint[sizeof(CGROUP_ROOT) - 1] != '/' && mpoint[sizeof(CGROUP_ROOT) - 1] != '\0')
		return 0;
	*h = (struct skf_cg_hier){.v2 = !strcmp(type, "cgroup2")};
	if (!h->v2 &&
	    (strcmp(type, "cgroup") != 0 || !controllers_of(opts, h->controllers, sizeof(h->controllers))))
		return 0;
	if (skf_fmt(h->mountpoint, sizeof(h->mountpoint), "%s", mpoint) < 0 ||
	    skf_fmt(root, root_size, "%s", mroot) < 0)
		return 0;
	return 1;
}

void skf_cg_layout_add(struct skf_cg_layout *l, const struct skf_cg_hier *h)
{
	for (unsigned i = 0; i < l->n; i++) {
		if (!strcmp(l->h[i].mountpoint, h->mountpoint)) {
			l->h[i] = *h;
			return;
		}
		if (l->h[i].v2 == h->v2 && !strcmp(l->h[i].controllers, h->controllers))
			return;
	}
	if (l->n < SKF_CG_MAX)
		l->h[l->n++] = *h;
}

int skf_cg_layout_finish(struct skf_cg_layout *l)
{
	unsigned v1 = 0, v2 = 0;

	for (unsigned i = 0; i < l->n; i++) {
		if (l->h[i].v2 && !strcmp(l->h[i].mountpoint, CGROUP_ROOT)) {
			struct skf_cg_hier h = l->h[i];

			l->h[0] = h;
			l->n = 1;
			l->mode = SKF_CG_V2;
			return 0;
		}
		*(l->h[i].v2 ? &v2 : &v1) += 1;
	}
	if (!l->n)
		return -ENOENT;
	l->mode = !v1 ? SKF_CG_V2 : v2 ? SKF_CG_HYBRID : SKF_CG_V1;
	return 0;
}

static int layout_line(char *line, void *arg)
{
	struct skf_cg_hier h;
	char root[SKF_CG_PATH_MAX];

	if (skf_cg_parse_mount(line, &h, root, sizeof(root)))
		skf_cg_layout_add(arg, &h);
	return 0;
}

int skf_cg_layout(struct skf_cg_layout *ret)
{
	struct skf_cg_layout l = {0};
	int r = skf_cg_each_line("/proc/self/mountinfo", layout_line, &l);

	if (r >= 0)
		r = skf_cg_layout_finish(&l);
	if (r < 0)
		return r;
	*ret = l;
	return 0;
}

/* Is `name` one of the comma-separated words of list? */
static bool in_list(const char *list, const char *name)
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

const struct skf_cg_hier *skf_cg_find(const struct skf_cg_layout *l, const char *controller)
{
	for (unsigned i = 0; i < l->n; i++)
		if (!l->h[i].v2 && in_list(l->h[i].controllers, controller))
			return &l->h[i];
	return NULL;
}

const char *skf_cg_parse_proc_line(char *line, const struct skf_cg_hier *h)
{
	char *list = strchr(line, ':'), *path;

	if (!list || !(path = strchr(list + 1, ':')))
		return NULL;
	*list++ = '\0';
	*path++ = '\0';
	if (h->v2)
		return !strcmp(line, "0") && !*list ? path : NULL;
	/* The kernel writes the controllers of a hierarchy in its own order: one common word identifies it.
	 */
	for (char *w = list, *next; *w; w = next) {
		next = w + strcspn(w, ",");
		if (*next)
			*next++ = '\0';
		if (in_list(h->controllers, w))
			return path;
	}
	return NULL;
}

int skf_cg_below_root(const char *path, const char *root, char *out, size_t size)
{
	size_t n = strlen(root);

	if (skf_startswith(path, "/.."))
		return -EXDEV; /* outside of our cgroup namespace */
	if (!strcmp(root, "/"))
		return skf_fmt(out, size, "%s", path);
	if (strncmp(path, root, n) != 0 || (path[n] && path[n] != '/'))
		return -EXDEV;
	return skf_fmt(out, size, "%s", path[n] ? path + n : "/");
}

struct root_of {
	const struct skf_cg_hier *h;
	char *root;
	size_t size;
	bool found;
};

static int root_line(char *line, void *arg)
{
	struct root_of *x = arg;
	struct skf_cg_hier h;
	char root[SKF_CG_PATH_MAX];

	if (!skf_cg_parse_mount(line, &h, root, sizeof(root)) || strcmp(h.mountpoint, x->h->mountpoint) != 0)
		return 0;
	x->found = skf_fmt(x->root, x->size, "%s", root) == 0; /* a later mount hides this one: go on */
	return 0;
}

struct path_of {
	const struct skf_cg_hier *h;
	char path[SKF_CG_PATH_MAX];
};

static int proc_line(char *line, void *arg)
{
	struct path_of *x = arg;
	const char *p = skf_cg_parse_proc_line(line, x->h);

	if (!p)
		return 0;
	if (skf_endswith(p, " (deleted)"))
		return -ENOENT;
	return skf_fmt(x->path, sizeof(x->path), "%s", p) < 0 ? -ENAMETOOLONG : 1;
}

int skf_cg_path_of(pid_t pid, const struct skf_cg_hier *h, char *out, size_t size)
{
	struct path_of x = {.h = h};
	char root[SKF_CG_PATH_MAX], name[40];
	struct root_of ro = {.h = h, .root = root, .size = sizeof(root)};
	int r;

	if (pid)
		r = skf_fmt(name, sizeof(name), "/proc/%d/cgroup", (int)pid);
	else
		r = skf_fmt(name, sizeof(name), "/proc/self/cgroup");
	if (r == 0)
		r = skf_cg_each_line(name, proc_line, &x);
	if (r < 0)
		return r;
	if (r == 0)
		return -ENOENT;
	r = skf_cg_each_line("/proc/self/mountinfo", root_line, &ro);
	if (r < 0)
		return r;
	return ro.found ? skf_cg_below_root(x.path, root, out, size) : -ENOENT;
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
			return -errno;
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
	char value[16];
	int r = skf_fmt(value, sizeof(value), "%d", (int)pid);

	for (unsigned i = 0; r == 0 && i < d->layout.n; i++)
		if (d->used & (1u << i))
			r = skf_cg_write(d, i, "cgroup.procs", value);
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
		    in_list(d->layout.h[i].controllers, "memory")) {
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
		return -errno;
	if (st.st_nlink == 2)
		return 0;
	for (;;) {
		long n = syscall(SYS_getdents64, dirfd, buf, sizeof(buf));

		if (n < 0)
			return errno == ENOENT ? 0 : -errno;
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
		return -errno;
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
		return -errno;
	fd = skf_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	r = skf_cg_walk(fd, remove_child, NULL);
	if (r < 0)
		return r;
	return rmdir(path) == 0 || errno == ENOENT ? 0 : -errno;
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
		return -errno;
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
		return -errno;
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
		r = mkdir(path, 0755) < 0 && errno != EEXIST ? -errno : 0;
		if (slash)
			*slash = '/';
		if (r < 0)
			return r;
	}
	return 0;
}
