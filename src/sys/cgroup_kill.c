/* cgroup_kill.c -- signals, freezer and counting of all processes of a cgroup.
 *
 * Theory: v2 has cgroup.kill (5.14), which no fork can outrun. On v1 the freezer stops everybody, the signal
 * is queued, and thawing delivers it; a tree that forks faster than we signal is caught because a frozen
 * process does not fork. In hybrid mode both are used: the v2 directory for the kill, the freezer for a
 * thaw, because a process frozen by v1 does not die before. Without a freezer the list of pids is signalled
 * again and again until it is empty.
 *
 * Invariants: 1. the caller itself is never signalled; 2. pid 0 (a process of another pid namespace) is
 * never used; 3. what was frozen before stays frozen, except after SIGKILL; 4. every wait ends at
 * timeout_ms. No malloc, no stdio. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "sys/cgroup_int.h"
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Hierarchies that list the processes, best first. */
static const char *const listing[] = {"freezer", "pids", "name=systemd", "memory", "cpu", "devices"};

static int index_of(const struct skf_cg_dirs *d, const char *controller)
{
	const struct skf_cg_hier *h = skf_cg_find(&d->layout, controller);
	unsigned i = h ? (unsigned)(h - d->layout.h) : SKF_CG_MAX;

	return i < SKF_CG_MAX && (d->used & (1u << i)) ? (int)i : -1;
}

static int v2_index(const struct skf_cg_dirs *d)
{
	for (unsigned i = 0; i < d->layout.n; i++)
		if (d->layout.h[i].v2 && (d->used & (1u << i)))
			return (int)i;
	return -1;
}

/* The v1 hierarchy to list processes from, or the first that is used; -1. */
static int v1_index(const struct skf_cg_dirs *d)
{
	for (size_t k = 0; k < SKF_ARRAY_LEN(listing); k++) {
		int i = index_of(d, listing[k]);

		if (i >= 0)
			return i;
	}
	for (unsigned i = 0; i < d->layout.n; i++)
		if (!d->layout.h[i].v2 && (d->used & (1u << i)))
			return (int)i;
	return -1;
}

static bool safe_path(const struct skf_cg_dirs *d)
{
	return d->path[0] && strcmp(d->path, "/") != 0;
}

struct each_pid {
	int (*fn)(pid_t pid, void *arg);
	void *arg;
};

static int pids_of_dir(int fd, int parent, const char *name, void *arg)
{
	const struct each_pid *x = arg;
	SKF_AUTO_FD int f = skf_openat(fd, "cgroup.procs", O_RDONLY, 0);
	char buf[1024];
	uint64_t v = 0;
	bool digits = false;
	ssize_t n;

	(void)parent, (void)name;
	if (f < 0)
		return f == -ENOENT || f == -ENODEV ? 0 : f;
	for (;;) {
		n = read(f, buf, sizeof(buf));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) /* a threaded cgroup lists its processes at its domain; a removed one has none */
			return errno == EOPNOTSUPP || errno == ENODEV ? 0 : skf_errno();
		if (n == 0)
			return 0;
		for (ssize_t k = 0; k < n; k++) {
			int r;

			if (buf[k] >= '0' && buf[k] <= '9') {
				v = v * 10 + (uint64_t)(buf[k] - '0');
				digits = true;
				continue;
			}
			r = digits && v > 0 && v <= INT32_MAX ? x->fn((pid_t)v, x->arg) : 0;
			v = 0;
			digits = false;
			if (r)
				return r;
		}
	}
}

static int each_pid(const struct skf_cg_dirs *d, int i, int (*fn)(pid_t, void *), void *arg)
{
	struct each_pid x = {fn, arg};
	char path[SKF_CG_PATH_MAX];
	SKF_AUTO_FD int fd = -EBADF;
	int r = skf_cg_dir_path(d, (unsigned)i, path, sizeof(path));

	if (r < 0)
		return r;
	fd = skf_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	return skf_cg_walk(fd, pids_of_dir, &x);
}

struct collect {
	pid_t *v;
	size_t n, max;
};

static int collect_pid(pid_t pid, void *arg)
{
	struct collect *c = arg;

	if (c->n < c->max)
		c->v[c->n] = pid;
	c->n++;
	return 0;
}

int skf_cg_pids(const struct skf_cg_dirs *d, pid_t *ret, size_t max)
{
	struct collect c = {ret, 0, max};
	int i = d->layout.mode == SKF_CG_V2 ? v2_index(d) : v1_index(d), r;

	if (i < 0)
		i = v2_index(d);
	if (i < 0)
		return 0;
	r = each_pid(d, i, collect_pid, &c);
	return r < 0 ? r : c.n > INT32_MAX ? INT32_MAX : (int)c.n;
}

/* --- freezer --- */

static int freezer_state(const struct skf_cg_dirs *d)
{
	char text[256];
	int i = index_of(d, "freezer"), r;

	if (i >= 0) {
		r = skf_cg_read(d, (unsigned)i, "freezer.state", text, sizeof(text));
		return r < 0 ? r : !strcmp(text, "FROZEN");
	}
	i = v2_index(d);
	if (i < 0)
		return -EOPNOTSUPP;
	r = skf_cg_read(d, (unsigned)i, "cgroup.events", text, sizeof(text));
	if (r < 0)
		return r;
	r = (int)skf_cg_parse_key(text, "frozen");
	return r == -ENOENT ? -EOPNOTSUPP : r;
}

int skf_cg_is_frozen(const struct skf_cg_dirs *d)
{
	return freezer_state(d);
}

static int freezer_write(const struct skf_cg_dirs *d, bool freeze)
{
	int i = index_of(d, "freezer");

	if (i >= 0)
		return skf_cg_write(d, (unsigned)i, "freezer.state", freeze ? "FROZEN" : "THAWED");
	i = v2_index(d);
	return i < 0 ? -EOPNOTSUPP : skf_cg_write(d, (unsigned)i, "cgroup.freeze", freeze ? "1" : "0");
}

static void pause_us(long *us, long max)
{
	nanosleep(&(struct timespec){0, *us * 1000}, NULL);
	*us = *us * 2 < max ? *us * 2 : max;
}

int skf_cg_freeze(const struct skf_cg_dirs *d, bool freeze, int timeout_ms)
{
	int64_t end = skf_mono_ms() + timeout_ms;
	long us = 100;
	int r;

	for (unsigned n = 1;; n++) {
		/* v1 gives up on a process that forks while it is frozen and stays FREEZING: the write is
		 * repeated; one that keeps forking is only caught from the thawed state. */
		if (freeze && n % 16 == 0 && index_of(d, "freezer") >= 0) {
			(void)freezer_write(d, false); /* the next write tells */
			pause_us(&us, 10000);
		}
		r = freezer_write(d, freeze);
		if (r < 0)
			return r;
		r = freezer_state(d);
		if (r < 0 || r == (int)freeze)
			return r < 0 ? r : 0;
		if (skf_mono_ms() >= end)
			break;
		pause_us(&us, 10000);
	}
	if (freeze)
		(void)freezer_write(
			d, false); /* half-frozen is worse than running; the caller gets the time-out */
	return -ETIMEDOUT;
}

static int thaw_dir(int fd, int parent, const char *name, void *arg)
{
	(void)parent, (void)name, (void)arg;
	(void)skf_write_existing_at(
		fd, "freezer.state",
		"THAWED"); /* who does not thaw does not die, which is what the caller waits for */
	return 0;
}

/* A cgroup that the workload made and froze keeps its own state on v1 when the one above it is thawed. */
static void thaw_below(const struct skf_cg_dirs *d)
{
	SKF_AUTO_FD int fd = -EBADF;
	char path[SKF_CG_PATH_MAX];
	int i = index_of(d, "freezer");

	if (i < 0 || skf_cg_dir_path(d, (unsigned)i, path, sizeof(path)) < 0)
		return;
	fd = skf_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (fd >= 0)
		(void)skf_cg_walk(
			fd, thaw_dir,
			NULL); /* never fails by itself; a directory that went away needs no thaw */
}

/* --- signals --- */

struct sig {
	int sig, err;
	pid_t self;
};

static int signal_pid(pid_t pid, void *arg)
{
	struct sig *s = arg;

	if (pid != s->self && kill(pid, s->sig) < 0 && errno != ESRCH && !s->err)
		s->err = skf_errno();
	return 0;
}

static int signal_list(const struct skf_cg_dirs *d, int i, int sig)
{
	struct sig s = {sig, 0, getpid()};
	int r = each_pid(d, i, signal_pid, &s);

	return r < 0 ? r : s.err;
}

int skf_cg_signal_all(const struct skf_cg_dirs *d, int sig)
{
	int i = v1_index(d), was, r;

	if (!safe_path(d))
		return -EINVAL;
	if (i < 0)
		i = v2_index(d);
	if (i < 0)
		return 0;
	was = freezer_state(d);
	/* A freezer that is missing or slow only means that a process forked in this moment may be missed.
	 */
	if (was == 0 && skf_cg_freeze(d, true, 200) < 0)
		was = -1;
	r = signal_list(d, i, sig);
	if (was == 0 || (was == 1 && sig == SIGKILL)) {
		int t = freezer_write(d, false);

		if (r == 0 && t < 0 && t != -ENOENT)
			r = t;
	}
	return r;
}

/* 1 when nobody is left, 0, -errno. */
static int is_empty(const struct skf_cg_dirs *d)
{
	int v2 = v2_index(d), v1 = v1_index(d), r = 0;
	struct collect c = {NULL, 0, 0};

	if (v2 >= 0) {
		char text[256];

		r = skf_cg_read(d, (unsigned)v2, "cgroup.events", text, sizeof(text));
		if (r < 0 && r != -ENOENT && r != -ENODEV)
			return r;
		if (r == 0 && skf_cg_parse_key(text, "populated") == 1)
			return 0;
	}
	if (v1 >= 0)
		r = each_pid(d, v1, collect_pid, &c);
	return r < 0 && r != -ENOENT && r != -ENODEV ? r : c.n == 0;
}

static int kill_round(const struct skf_cg_dirs *d)
{
	int v2 = v2_index(d), v1 = v1_index(d), r = 0;

	if (v2 >= 0)
		r = skf_cg_write(d, (unsigned)v2, "cgroup.kill", "1");
	if (v1 < 0)
		return v2 >= 0 && r < 0 ? skf_cg_signal_all(d, SIGKILL) : 0;
	if (v2 >= 0 && r == 0) {
		/* Already killed; what v1 froze dies when it thaws. */
		r = freezer_state(d) != 0 ? freezer_write(d, false) : 0;
		return r == -ENOENT || r == -EOPNOTSUPP ? 0 : r;
	}
	return skf_cg_signal_all(d, SIGKILL);
}

int skf_cg_kill_all(const struct skf_cg_dirs *d, int timeout_ms)
{
	int64_t end = skf_mono_ms() + timeout_ms;
	bool first = true;

	if (!d->used)
		return 0;
	if (!safe_path(d))
		return -EINVAL;
	for (;;) {
		long us = 50;
		int r = is_empty(d);

		if (r)
			return r < 0 ? r : 0;
		r = first ? kill_round(d) : v1_index(d) >= 0 ? skf_cg_signal_all(d, SIGKILL) : kill_round(d);
		if (r < 0 && r != -ENOENT && r != -ENODEV)
			return r;
		if (!first)
			thaw_below(d);
		first = false;
		for (int k = 0; k < 12; k++) {
			r = is_empty(d);
			if (r)
				return r < 0 ? r : 0;
			if (skf_mono_ms() >= end)
				return -ETIMEDOUT;
			pause_us(&us, 20000);
		}
	}
}
