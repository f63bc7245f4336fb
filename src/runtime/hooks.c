/* runtime/hooks.c -- runs the hooks of one stage, in order, with the container's state document on stdin.
 *
 * The document is a sealed-off memory file, so a hook that does not read cannot block us; stdout and stderr
 * go to one pipe that is drained while the hook runs and whose beginning is quoted when it fails.
 * Environment and arguments are exactly those of the configuration. Blocks up to each hook's time-out
 * (SKF_HOOK_DEFAULT_MS without one). Clause: runtime-spec config.md "POSIX-platform Hooks". */
#include "runtime/runtime_int.h"

#include "base/limits.h"
#include "base/proc.h"
#include "oci/spec.h"
#include "sys/process.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct hook_run {
	const struct skf_spec_hook *h;
	char said[256]; /* what the hook printed first */
	size_t n_said;
	int out, pidfd;
	pid_t pid;
};

static int state_file(const char *json)
{
	SKF_AUTO_FD int fd = memfd_create("state", MFD_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	r = skf_write_full(fd, json, strlen(json));
	if (r < 0)
		return r;
	if (lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	return SKF_TAKE_FD(fd);
}

static int hook_ms(const struct skf_spec_hook *h)
{
	if (!h->has_timeout)
		return SKF_HOOK_DEFAULT_MS;
	return h->timeout > INT32_MAX / 1000 ? INT32_MAX : h->timeout * 1000;
}

int skf_hooks_timeout(const struct skf_jarr *hooks)
{
	const struct skf_spec_hook *h = hooks->v;
	int64_t sum = 0;

	for (size_t i = 0; i < hooks->n; i++)
		sum += hook_ms(&h[i]);
	return sum > INT32_MAX / 2 ? INT32_MAX / 2 : (int)sum;
}

static int start_hook(struct hook_run *r, const char *state_json, struct skf_err *e)
{
	char *own_argv[2] = {r->h->path, NULL}, *no_env[1] = {NULL};
	SKF_AUTO_FD int in = state_file(state_json);
	int p[2], rc;

	if (in < 0)
		return skf_fail_sys(e, in, "state document for hook '%s'", r->h->path);
	rc = skf_pipe(p, 0);
	if (rc < 0)
		return skf_fail_sys(e, rc, "pipe for hook '%s'", r->h->path);
	struct skf_spawn sp = {
		.path = r->h->path,
		.argv = r->h->args.n ? r->h->args.v : own_argv,
		.envp = r->h->env.n ? r->h->env.v : no_env,
		.stdio = {in, p[1], p[1]},
	};
	rc = skf_spawn(&sp, &r->pid, &r->pidfd);
	close(p[1]);
	if (rc < 0) {
		close(p[0]);
		return skf_fail_sys(e, rc, "run hook '%s'", r->h->path);
	}
	r->out = p[0];
	return 0;
}

/* Takes what is there; keeps the first bytes. false at EOF. */
static bool drain(struct hook_run *r)
{
	char buf[4096];
	ssize_t n = read(r->out, buf, sizeof(buf));
	size_t room = sizeof(r->said) - 1 - r->n_said;

	if (n <= 0)
		return n < 0 && errno == EINTR;
	if ((size_t)n < room)
		room = (size_t)n;
	memcpy(r->said + r->n_said, buf, room);
	r->n_said += room;
	return true;
}

/* 0 when the hook ended (grandchildren may keep its pipe), -ETIMEDOUT. */
static int watch_hook(struct hook_run *r, int timeout_ms)
{
	struct pollfd p[2] = {{.fd = r->pidfd, .events = POLLIN}, {.fd = r->out, .events = POLLIN}};
	int64_t end = skf_mono_ms() + timeout_ms;

	for (;;) {
		int64_t left = end - skf_mono_ms();
		int n = left > 0 ? poll(p, 2, (int)left) : 0;

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			return -ETIMEDOUT;
		if (n > 0 && (p[1].revents & (POLLIN | POLLHUP)) && !drain(r))
			p[1].fd = -1;
		if (n > 0 && (p[0].revents & POLLIN))
			return 0;
	}
}

static int run_hook(const struct skf_spec_hook *h, const char *state_json, struct skf_err *e)
{
	struct hook_run r = {.h = h, .out = -EBADF, .pidfd = -EBADF};
	int rc, status = 0, code;

	if (start_hook(&r, state_json, e) < 0)
		return -1;
	rc = watch_hook(&r, hook_ms(h));
	if (rc < 0)
		(void)skf_pidfd_kill(r.pidfd, SIGKILL); /* gone already: then there is nothing to kill */
	code = skf_wait_pid(r.pid, r.pidfd, SKF_KILL_WAIT_MS, &status);
	skf_closep(&r.pidfd);
	skf_closep(&r.out);
	if (rc == -ETIMEDOUT)
		return skf_fail(e, SKF_ETIMEOUT, "hook '%s' did not end within %d s", h->path,
				hook_ms(h) / 1000);
	if (rc < 0 || code < 0)
		return skf_fail_sys(e, rc < 0 ? rc : code, "wait for hook '%s'", h->path);
	if (status == 0)
		return 0;
	while (r.n_said > 0 && (r.said[r.n_said - 1] == '\n' || r.said[r.n_said - 1] == ' '))
		r.n_said--;
	r.said[r.n_said] = '\0';
	return skf_fail(e, SKF_ESYSTEM, "hook '%s' failed with status %d%s%s", h->path,
			skf_wait_code(status), r.n_said ? ": " : "", r.said);
}

int skf_hooks_run(const struct skf_jarr *hooks, const char *name, const char *state_json,
		  const struct skf_log *log, struct skf_err *e)
{
	const struct skf_spec_hook *h = hooks->v;

	for (size_t i = 0; i < hooks->n; i++) {
		skf_debug(log, "%s hook #%zu: '%s'", name, i, h[i].path);
		if (run_hook(&h[i], state_json, e) < 0)
			return skf_ctx(e, "%s hook #%zu", name, i);
	}
	return 0;
}
