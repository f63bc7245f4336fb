/* runtime/hooks.c -- runs the hooks of one stage, in order, with the container's state document on stdin.
 *
 * The document is a sealed-off memory file, so a hook that does not read cannot block us; stdout and stderr
 * go to one pipe that is drained while the hook runs and whose beginning is quoted when it fails, or to the
 * files that annotations name. Arguments are exactly those of the configuration. The rest is what runc and
 * crun have in common, because hooks rely on it: a hook without `env` inherits the environment of whoever
 * runs it (startContainer hooks: of the container's process), and hooks of the runtime run in the bundle.
 * Blocks up to each hook's time-out (SKF_HOOK_DEFAULT_MS without one). Clause: runtime-spec config.md
 * "POSIX-platform Hooks". */
#include "runtime/runtime_int.h"

#include "base/limits.h"
#include "base/proc.h"
#include "oci/spec.h"
#include "sys/process.h"

#include <ctype.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct hook_run {
	const struct skf_hook_ctx *x;
	const struct skf_spec_hook *h;
	const char *name;
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
		return skf_errno();
	r = skf_write_full(fd, json, strlen(json));
	if (r < 0)
		return r;
	if (lseek(fd, 0, SEEK_SET) < 0)
		return skf_errno();
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
	char *own_argv[2] = {r->h->path, NULL};
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
		.envp = r->h->env.n ? r->h->env.v : r->x->env,
		.stdio = {in, r->x->out >= 0 ? r->x->out : p[1], r->x->err >= 0 ? r->x->err : p[1]},
		.cwd = r->x->cwd,
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
			return skf_errno();
		if (n == 0)
			return -ETIMEDOUT;
		if (n > 0 && (p[1].revents & (POLLIN | POLLHUP)) && !drain(r))
			p[1].fd = -1;
		if (n > 0 && (p[0].revents & POLLIN))
			return 0;
	}
}

/* "bad system call": as Go says it, which is what users of hooks look for. */
static const char *signal_words(int sig, char *out, size_t size)
{
	const char *text = strsignal(sig);

	if (!text || skf_fmt(out, size, "%s", text) < 0)
		return "unknown signal";
	out[0] = (char)tolower((unsigned char)out[0]);
	return out;
}

static int run_hook(const struct skf_hook_ctx *x, const struct skf_spec_hook *h, const char *name,
		    const char *state_json, struct skf_err *e)
{
	struct hook_run r = {.x = x, .h = h, .name = name, .out = -EBADF, .pidfd = -EBADF};
	int rc, status = 0, code;
	char words[48];

	if (start_hook(&r, state_json, e) < 0)
		return -1;
	rc = watch_hook(&r, hook_ms(h));
	if (rc < 0)
		(void)skf_pidfd_kill(r.pidfd, SIGKILL); /* gone already: then there is nothing to kill */
	code = skf_wait_pid(r.pid, r.pidfd, SKF_KILL_WAIT_MS, &status);
	skf_closep(&r.pidfd);
	skf_closep(&r.out);
	if (rc == -ETIMEDOUT)
		return skf_fail(e, SKF_ETIMEOUT, "%s hook did not end within %d s: '%s'", name,
				hook_ms(h) / 1000, h->path);
	if (rc < 0 || code < 0)
		return skf_fail_sys(e, rc < 0 ? rc : code, "wait for hook '%s'", h->path);
	if (status == 0)
		return 0;
	while (r.n_said > 0 && (r.said[r.n_said - 1] == '\n' || r.said[r.n_said - 1] == ' '))
		r.n_said--;
	r.said[r.n_said] = '\0';
	if (WIFSIGNALED(status))
		return skf_fail(e, SKF_ESYSTEM, "%s hook was ended by signal: %s: '%s'%s%s", name,
				signal_words(WTERMSIG(status), words, sizeof(words)), h->path,
				r.n_said ? ": " : "", r.said);
	return skf_fail(e, SKF_ESYSTEM, "%s hook failed with exit code %d: '%s'%s%s", name,
			skf_wait_code(status), h->path, r.n_said ? ": " : "", r.said);
}

static int run_numbered(const struct skf_hook_ctx *x, const struct skf_jarr *hooks, size_t i,
			const char *name, const char *state_json, struct skf_err *e)
{
	const struct skf_spec_hook *h = hooks->v;

	skf_debug(x->log, "%s hook #%zu: '%s'", name, i, h[i].path);
	return run_hook(x, &h[i], name, state_json, e) < 0
		       ? skf_ctx(e, "error running %s hook #%zu", name, i)
		       : 0;
}

int skf_hooks_run_in(const struct skf_hook_ctx *x, const struct skf_jarr *hooks, const char *name,
		     const char *state_json, struct skf_err *e)
{
	for (size_t i = 0; i < hooks->n; i++) {
		if (run_numbered(x, hooks, i, name, state_json, e) < 0)
			return -1;
	}
	return 0;
}

int skf_hooks_run(const struct skf_jarr *hooks, const char *name, const char *state_json,
		  const struct skf_log *log, struct skf_err *e)
{
	const struct skf_hook_ctx x = {.log = log, .out = -EBADF, .err = -EBADF};

	return skf_hooks_run_in(&x, hooks, name, state_json, e);
}

static int open_output(const struct skf_kvs *annotations, enum skf_annotation_key which, int *ret,
		       struct skf_err *e)
{
	const char *path = skf_annotation(annotations, which);

	*ret = -EBADF;
	if (!path)
		return 0;
	*ret = skf_openat(AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND, 0600);
	return *ret < 0 ? skf_fail_sys(e, *ret, "open '%s' for the output of hooks", path) : 0;
}

int skf_hooks_open(const struct skf_kvs *annotations, int *ret_out, int *ret_err, struct skf_err *e)
{
	*ret_err = -EBADF;
	if (open_output(annotations, SKF_AN_HOOKS_STDOUT, ret_out, e) < 0)
		return -1;
	if (open_output(annotations, SKF_AN_HOOKS_STDERR, ret_err, e) == 0)
		return 0;
	skf_closep(ret_out);
	return -1;
}

/* The bundle, while it is there: poststop hooks may run after its removal. */
static const char *hooks_cwd(const char *bundle)
{
	SKF_AUTO_FD int fd = bundle ? skf_openat(AT_FDCWD, bundle, O_PATH | O_DIRECTORY, 0) : -EBADF;

	return fd >= 0 ? bundle : NULL;
}

int skf_hooks_run_host(const struct skf_kvs *annotations, const char *bundle, const struct skf_jarr *hooks,
		       const char *name, const char *state_json, const struct skf_log *log,
		       struct skf_err *e)
{
	SKF_AUTO_FD int out = -EBADF, err = -EBADF;

	if (hooks->n == 0)
		return 0;
	if (skf_hooks_open(annotations, &out, &err, e) < 0)
		return -1;
	struct skf_hook_ctx x = {.log = log, .cwd = hooks_cwd(bundle), .out = out, .err = err};
	return skf_hooks_run_in(&x, hooks, name, state_json, e);
}

void skf_hooks_poststop(const struct skf_kvs *annotations, const char *bundle, const struct skf_jarr *hooks,
			const char *state_json, const struct skf_log *log)
{
	SKF_AUTO_FD int out = -EBADF, err = -EBADF;
	struct skf_err oe = SKF_ERR_INIT;

	if (hooks->n == 0)
		return;
	if (skf_hooks_open(annotations, &out, &err, &oe) < 0)
		skf_warn(log, "%s, ignoring", oe.msg);
	struct skf_hook_ctx x = {.log = log, .cwd = hooks_cwd(bundle), .out = out, .err = err};
	for (size_t i = 0; i < hooks->n; i++) {
		struct skf_err e = SKF_ERR_INIT;

		if (run_numbered(&x, hooks, i, "poststop", state_json, &e) < 0)
			skf_warn(log, "%s, ignoring", e.msg);
	}
}
