/* launch/cgroup.c -- the monitors' own cgroup, skiff/m (DESIGN 3b): no limits, so that neither the session
 * that typed `skiff run` nor the container's limits ever apply to a supervisor. The usual case is one write
 * per hierarchy; directories are made when the first one fails. A cpuset of v1 starts empty and takes nobody
 * in (ENOSPC) until it has its parent's cpus and mems. */
#include "launch/launch_int.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/log.h"
#include "sys/cgroup.h"
#include <fcntl.h>
#include <string.h>

#define MONITORS "skiff/m"

static int copy_file(int from, const char *src, int to, const char *dst)
{
	char mem[4096];
	struct skf_buf b = {.p = mem, .cap = sizeof(mem), .max = sizeof(mem) - 1};
	int r = skf_read_file_at(from, src, sizeof(mem) - 1, &b);

	return r < 0 ? r : skf_write_existing_at(to, dst, b.p);
}

static int fill_cpuset(int mnt)
{
	static const char *const steps[][2] = {
		{"cpuset.cpus", "skiff/cpuset.cpus"},
		{"cpuset.mems", "skiff/cpuset.mems"},
		{"skiff/cpuset.cpus", MONITORS "/cpuset.cpus"},
		{"skiff/cpuset.mems", MONITORS "/cpuset.mems"},
	};
	int r = 0;

	for (size_t i = 0; i < SKF_ARRAY_LEN(steps) && r == 0; i++)
		r = copy_file(mnt, steps[i][0], mnt, steps[i][1]);
	return r;
}

/* Whoever started us may have placed us already (CLONE_INTO_CGROUP costs nothing; a move can cost the kernel
 * a grace period). */
static bool is_in(const char *own, const struct skf_cg_hier *h)
{
	char line[160];

	return own && skf_fmt(line, sizeof(line), ":%s:/" MONITORS "\n", h->controllers) == 0 &&
	       strstr(own, line);
}

static int enter(const struct skf_cg_hier *h)
{
	SKF_AUTO_FD int mnt = skf_openat(AT_FDCWD, h->mountpoint, O_RDONLY | O_DIRECTORY, 0), dir = -EBADF;
	int r = mnt < 0 ? mnt : skf_write_existing_at(mnt, MONITORS "/cgroup.procs", "0");

	if (r == -ENOENT) {
		dir = skf_mkdirs_at(mnt, MONITORS, 0755);
		r = dir < 0 ? dir : skf_write_existing_at(dir, "cgroup.procs", "0");
	}
	if (r == -ENOSPC) {
		r = fill_cpuset(mnt);
		if (r == 0)
			r = skf_write_existing_at(mnt, MONITORS "/cgroup.procs", "0");
	}
	return r;
}

void skf_launch_enter_cgroup(const struct skf_log *log)
{
	SKF_AUTO(skf_buf_done) struct skf_buf own = SKF_BUF(65536);
	struct skf_cg_layout l;
	int r = skf_cg_layout(&l);

	if (r < 0) {
		skf_warn(log, "find the cgroup hierarchies: %s; the monitor stays where it is, ignoring",
			 strerrordesc_np(-r));
		return;
	}
	/* without it every hierarchy is entered, which is the same but slower */
	(void)skf_read_file_at(AT_FDCWD, "/proc/self/cgroup", own.max, &own);
	for (unsigned i = 0; i < l.n; i++) {
		if (is_in(own.p, &l.h[i]))
			continue;
		r = enter(&l.h[i]);
		if (r < 0)
			skf_warn(log, "enter '%s/" MONITORS "': %s; the monitor stays where it is, ignoring",
				 l.h[i].mountpoint, strerrordesc_np(-r));
	}
}
