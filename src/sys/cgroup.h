/* sys/cgroup.h -- cgroup directories as the kernel shows them: which hierarchies exist, kill, freeze, wait
 * until empty, remove, OOM. No policy: which limits go where is runtime/cgroups. Used by the runtime, the
 * monitor and the reap. man 7 cgroups. */
#pragma once
#include "base/fwd.h"

enum skf_cg_mode { SKF_CG_V1 = 1, SKF_CG_HYBRID, SKF_CG_V2 };
#define SKF_CG_MAX 24 /* hierarchies */

struct skf_cg_hier {
	char controllers[64]; /* "cpu,cpuacct"; "name=systemd"; "" for the v2 hierarchy */
	char mountpoint[128]; /* "/sys/fs/cgroup/memory" */
	bool v2;
	bool whole; /* seen: the mount shows the hierarchy from its root. false: not known */
};
struct skf_cg_layout {
	enum skf_cg_mode mode;
	struct skf_cg_hier h[SKF_CG_MAX];
	unsigned n;
};
/* Mounts of type cgroup and cgroup2 below /sys/fs/cgroup, by asking at the usual places, else from
 * /proc/self/mountinfo. -ENOENT when there is none. */
int skf_cg_layout(struct skf_cg_layout *ret);
const struct skf_cg_hier *skf_cg_find(const struct skf_cg_layout *l,
				      const char *controller); /* NULL: not on v1 */
/* The calling process's path in that hierarchy, e.g. "/" (from /proc/<pid>/cgroup). */
int skf_cg_path_of(pid_t pid, const struct skf_cg_hier *h, char *out, size_t size);
/* The same for all hierarchies of l that are in `used` (bit i: l->h[i]), with /proc/<pid>/cgroup read once:
 * fn is called for each, in any order, until it returns non-zero, which is returned. err: 0, -ENOENT (the
 * process is in no such hierarchy, or in a removed cgroup), -EXDEV (outside of what is mounted). */
int skf_cg_each_path(pid_t pid, const struct skf_cg_layout *l, uint32_t used,
		     int (*fn)(unsigned i, int err, const char *path, void *arg), void *arg);

/* The cgroup of one container: one directory per hierarchy that is used. Plain data, written to state.json
 * and to the monitor's handover. */
struct skf_cg_dirs {
	char path[512]; /* below each mount point: "/skiff/c/<id>" */
	uint32_t used;  /* bit i: layout.h[i] has the directory */
	struct skf_cg_layout layout;
};
int skf_cg_open(const struct skf_cg_dirs *d, unsigned i); /* O_PATH dir fd, -errno */
/* SIGKILL to everything below: cgroup.kill, or freeze + signals + thaw, repeated until nobody is left or
 * timeout_ms passed
 * (-ETIMEDOUT). An absent cgroup is success. */
int skf_cg_kill_all(const struct skf_cg_dirs *d, int timeout_ms);
int skf_cg_signal_all(const struct skf_cg_dirs *d, int sig);
/* Number of processes in it and below; up to max pids to `ret`. -errno. */
int skf_cg_pids(const struct skf_cg_dirs *d, pid_t *ret, size_t max);
int skf_cg_freeze(const struct skf_cg_dirs *d, bool freeze, int timeout_ms);
/* 1 frozen, 0 not, -errno. */
int skf_cg_is_frozen(const struct skf_cg_dirs *d);
/* rmdir of the directory and its sub-directories in every hierarchy, EBUSY retried until timeout_ms. Absent
 * is success. */
int skf_cg_remove(const struct skf_cg_dirs *d, int timeout_ms);
/* Number of OOM kills so far: memory.events oom_kill (v2), memory.oom_control oom_kill (v1). -errno. */
int64_t skf_cg_oom_kills(const struct skf_cg_dirs *d);
/* Moves a process into the directory of every hierarchy in `used`. */
int skf_cg_attach(const struct skf_cg_dirs *d, pid_t pid);
/* One cgroup file of hierarchy i: read into out (trailing newline cut) / one write. */
int skf_cg_read(const struct skf_cg_dirs *d, unsigned i, const char *file, char *out, size_t size);
int skf_cg_write(const struct skf_cg_dirs *d, unsigned i, const char *file, const char *value);
/* Gives the directory of hierarchy i and those of its files that the kernel names for delegation to a user
 * (group unchanged). cgroups(7). */
int skf_cg_give(const struct skf_cg_dirs *d, unsigned i, uid_t uid);
/* mkdir of what is missing of the path of d below `above`, a part of it that exists. */
int skf_cg_mkdirs(const struct skf_cg_dirs *d, unsigned i, const char *above);
