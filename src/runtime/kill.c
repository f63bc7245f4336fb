/* runtime/kill.c -- a signal to a container's init, or to everything in its cgroup.
 *
 * The pid is bound by a pidfd first and compared with the recorded start time after that, so that a reused
 * pid never gets a signal. A frozen container that gets SIGKILL is thawed: on cgroup v1 a frozen task does
 * not even die. Does not block. */
#include "runtime/runtime_int.h"

#include "base/limits.h"
#include "base/proc.h"
#include "oci/spec.h"
#include "sys/process.h"

#include <string.h>

#define THAW_MS 1000

static int not_running(const char *id, struct skf_err *e)
{
	return skf_fail(e, SKF_ECONFLICT, "container not running: '%s'", id);
}

static int signal_init(const struct skf_rt_state *s, int sig, struct skf_err *e)
{
	SKF_AUTO_FD int pidfd = skf_pidfd_open(s->pid);
	int r = pidfd;

	if (r >= 0 && skf_proc_alive(s->pid, s->pid_start) != 1)
		r = -ESRCH;
	if (r >= 0)
		r = skf_pidfd_kill(pidfd, sig);
	if (r == -ESRCH)
		return not_running(s->id, e);
	return r < 0 ? skf_fail_sys(e, r, "signal %d to container '%s'", sig, s->id) : 0;
}

/* Is init the first process of its pid namespace, so that the kernel ends all others with it? */
static bool is_pid_one(pid_t pid)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_OBJECT_BYTES);
	char path[40];
	const char *at, *end;

	if (skf_fmt(path, sizeof(path), "/proc/%d/status", (int)pid) < 0 ||
	    skf_read_file_at(AT_FDCWD, path, SKF_MAX_OBJECT_BYTES, &b) < 0)
		return true; /* gone already: there is nobody to ask about */
	at = strstr(skf_buf_cstr(&b), "\nNSpid:");
	end = at ? strchr(at + 1, '\n') : NULL;
	return end && end - at > 2 && end[-1] == '1' && end[-2] == '\t';
}

static int signal_all(const struct skf_rt_state *s, int sig, struct skf_err *e)
{
	int r = sig == SIGKILL ? skf_cg_kill_all(&s->cg, SKF_KILL_WAIT_MS) : skf_cg_signal_all(&s->cg, sig);

	if (r < 0)
		return skf_fail_sys(e, r, "signal %d to all processes of container '%s'", sig, s->id);
	return 0;
}

static int kill_alive(const struct skf_rt *rt, const struct skf_rt_state *s, int sig, struct skf_err *e)
{
	bool rest = sig == SIGKILL && s->cg.used && !is_pid_one(s->pid);

	if (signal_init(s, sig, e) < 0)
		return -1;
	if (sig == SIGKILL && s->status == SKF_RT_PAUSED) {
		int r = skf_cg_freeze(&s->cg, false, THAW_MS);

		if (r < 0)
			skf_warn(rt->log, "thaw container '%s': %s, ignoring", s->id, strerror(-r));
	}
	return rest ? signal_all(s, sig, e) : 0;
}

int skf_rt_kill(const struct skf_rt *rt, const char *id, int sig, bool all, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_rt_state *s;

	if (skf_rt_state_load(rt, id, &a, &s, e) < 0)
		return -1;
	if (s->status == SKF_RT_STOPPED) {
		/* without a pid namespace of its own, processes may survive init and are still the
		 * container's */
		if (s->cg.used && (all || sig == SIGKILL) && skf_cg_pids(&s->cg, NULL, 0) > 0)
			return signal_all(s, sig, e);
		return all ? 0 : not_running(id, e);
	}
	return all && s->cg.used ? signal_all(s, sig, e) : kill_alive(rt, s, sig, e);
}
