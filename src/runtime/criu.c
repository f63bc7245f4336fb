/* runtime/criu.c -- criu as a child process that is spoken to over one SOCK_SEQPACKET pair (`criu swrk`),
 * for checkpoint and restore; their options are criu_options.c.
 *
 * Invariants:
 *  1. Numbers of descriptors in a request mean those of the process that made the socket pair (criu looks at
 * SO_PEERCRED) or, inherit_fd, criu's own. The process that becomes criu makes the pair, so that it is one
 * thing, and that the directories can be opened in the mount namespace that criu works in.
 *  2. A wait on the socket also ends when criu is dead: the processes that it was making may have its end
 * still.
 *  3. Each notification gets its answer; after a failure of ours criu is told so and cleans up before we go
 * on.
 *  4. Criu gets no death signal: killed in the middle of a dump it would leave its code in the container's
 * processes. It notices that we are gone at its next notification, and lets them go.
 *
 * Blocks: skf_criu_talk as long as criu works (a dump writes all memory); all else at most SKF_START_MS,
 * SKF_CRIU_CHECK_MS and SKF_CRIU_EXIT_MS. */
#include "runtime/criu_int.h"

#include "base/limits.h"
#include "base/proc.h"
#include "oci/spec.h"
#include "sys/process.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CRIU_SOCK = 3, CRIU_FIRST_FD = SKF_CRIU_FD };

int skf_criu_find(char *out, size_t size, struct skf_err *e)
{
	char line[PATH_MAX + 8], name[] = "criu";
	char *argv[] = {name, NULL}, *env[] = {line, NULL};
	struct skf_spec_process p = {.args = {argv, 1}, .env = {env, 1}};
	const char *path = getenv("PATH");

	if (skf_fmt(line, sizeof(line), "PATH=%s", path ? path : "/usr/sbin:/usr/bin:/sbin:/bin") == 0 &&
	    skf_exec_lookup(&p, out, size, e) == 0 && out[0] == '/')
		return 0;
	return skf_fail(e, SKF_EUNSUPPORTED,
			"checkpoint and restore need the program 'criu', which is not in PATH: install criu "
			"%d.%d or "
			"newer",
			SKF_CRIU_MIN / 10000, SKF_CRIU_MIN / 100 % 100);
}

/* --- start --- */
struct start_criu {
	const struct skf_criu_launch *l;
	int rpc[2], status, null;
};

/* All sources are moved above the targets first; the socket of our failure stays, close-on-exec, above. */
static int place_fds(struct start_criu *x)
{
	const struct skf_criu_launch *l = x->l;
	int src[CRIU_FIRST_FD + SKF_MAX_CRIU_FDS], n = CRIU_FIRST_FD + (int)l->n_fds;

	for (int i = 0; i < 3; i++)
		src[i] = l->stdio[i] >= 0 ? l->stdio[i] : x->null;
	src[CRIU_SOCK] = x->rpc[1];
	for (int i = CRIU_FIRST_FD; i < n; i++)
		src[i] = l->fds[i - CRIU_FIRST_FD];
	x->status = fcntl(x->status, F_DUPFD_CLOEXEC, n);
	if (x->status < 0)
		return skf_errno();
	for (int i = 0; i < n; i++) {
		src[i] = fcntl(src[i], F_DUPFD_CLOEXEC, n);
		if (src[i] < 0)
			return skf_errno();
	}
	for (int i = 0; i < n; i++)
		if (dup2(src[i], i) < 0)
			return skf_errno();
	return skf_cloexec_from((unsigned)n);
}

SKF_NORETURN static void run_criu(struct start_criu *x)
{
	char program[] = "criu", verb[] = "swrk", fd[] = "3";
	char *argv[] = {program, verb, fd, NULL};
	struct skf_err e = SKF_ERR_INIT;
	int r = 0;

	_Static_assert(CRIU_SOCK == 3, "argument of swrk");
	(void)skf_signals_default(); /* cannot fail with these arguments */
	if (!x->l->in_child || x->l->in_child(x->l->arg, &e) == 0) {
		r = skf_socketpair_seqpacket(x->rpc);
		if (r == 0)
			r = skf_sync_send(x->status, SKF_STEP_READY, x->rpc[0]);
		if (r == 0)
			r = place_fds(x);
		if (r < 0) {
			skf_fail_sys(&e, r, "hand descriptors to criu");
		} else {
			execve(x->l->program, argv, environ);
			skf_fail_sys(&e, skf_errno(), "run '%s'", x->l->program);
		}
	}
	skf_sync_fail(x->status, &e);
	_exit(127);
}

int skf_criu_start(struct skf_criu *c, const struct skf_criu_launch *l, struct skf_err *e)
{
	struct skf_clone k = {.flags = l->clone_flags, .exit_signal = SIGCHLD, .cgroup_fd = l->cgroup_fd};
	SKF_AUTO_FD int null = skf_openat(AT_FDCWD, "/dev/null", O_RDWR, 0);
	struct start_criu x = {.l = l, .null = null};
	int status[2], r = null < 0 ? null : l->n_fds > SKF_MAX_CRIU_FDS ? -E2BIG : 0;

	if (r == 0)
		r = skf_socketpair_seqpacket(status);
	if (r < 0)
		return skf_fail_sys(e, r, "prepare the start of criu");
	x.status = status[1];
	c->pid = skf_clone3(&k, &c->pidfd);
	if (c->pid == 0)
		run_criu(&x);
	close(status[1]);
	if (c->pid < 0)
		r = skf_fail_sys(e, (int)c->pid, "clone a process for criu");
	else if (skf_sync_expect(status[0], SKF_STEP_READY, SKF_START_MS, &c->sock, e) < 0)
		r = -1;
	else
		r = skf_sync_wait_exec(status[0], SKF_START_MS, e);
	close(status[0]);
	return r;
}

void skf_criu_end(struct skf_criu *c, bool kill, const struct skf_log *log)
{
	int status, r;

	skf_closep(&c->sock);
	if (c->pid > 0) {
		if (kill)
			(void)skf_pidfd_kill(c->pidfd, SIGKILL); /* fails only when it is dead already */
		r = skf_wait_pid(c->pid, c->pidfd, SKF_CRIU_EXIT_MS, &status);
		if (r == -ETIMEDOUT) {
			(void)skf_pidfd_kill(c->pidfd, SIGKILL); /* as above */
			r = skf_wait_pid(c->pid, c->pidfd, SKF_KILL_WAIT_MS, &status);
		}
		if (r < 0)
			skf_warn(log, "wait for the end of criu (pid %d): %s, ignoring", (int)c->pid,
				 strerror(-r));
	}
	c->pid = 0;
	skf_closep(&c->pidfd);
}

/* --- conversation --- */
static int send_request(const struct skf_criu *c, const struct skf_criu_req *q, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_CRIU_REQUEST);
	ssize_t n;

	skf_criu_req_encode(q, &b);
	if (b.err == -E2BIG)
		return skf_fail(e, SKF_ELIMIT,
				"the container has too many mounts for one request to criu (%u KB)",
				SKF_MAX_CRIU_REQUEST >> 10);
	if (b.err < 0)
		return skf_fail_sys(e, b.err, "request to criu");
	do
		n = send(c->sock, b.p, b.len, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? skf_fail_errno(e, "send a request to criu (has it ended?)") : 0;
}

static int take_fd(struct msghdr *mh)
{
	int fd = -EBADF, one;

	for (struct cmsghdr *h = CMSG_FIRSTHDR(mh); h; h = CMSG_NXTHDR(mh, h)) {
		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; CMSG_LEN((i + 1) * sizeof(one)) <= h->cmsg_len; i++) {
			memcpy(&one, CMSG_DATA(h) + i * sizeof(one), sizeof(one));
			skf_closep(&fd); /* one is expected: the last one counts */
			fd = one;
		}
	}
	return fd;
}

static int await_answer(const struct skf_criu *c, int timeout_ms)
{
	struct pollfd p[2] = {{.fd = c->sock, .events = POLLIN}, {.fd = c->pidfd, .events = POLLIN}};
	int64_t end = skf_mono_ms() + timeout_ms;
	int r;

	do {
		int64_t left = end - skf_mono_ms();

		r = poll(p, 2, timeout_ms < 0 ? -1 : left > 0 ? (int)left : 0);
	} while (r < 0 && errno == EINTR);
	if (r <= 0)
		return r < 0 ? skf_errno() : -ETIMEDOUT;
	return p[0].revents ? 0 : -ECONNRESET; /* what it sent before its end comes first */
}

static int receive(const struct skf_criu *c, int timeout_ms, struct skf_buf *b, struct skf_criu_resp *r,
		   int *ret_fd, struct skf_err *e)
{
	union {
		struct cmsghdr h;
		char space[CMSG_SPACE(4 * sizeof(int))];
	} u;
	struct iovec iov;
	struct msghdr mh = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = u.space, .msg_controllen = sizeof(u.space)};
	ssize_t n = await_answer(c, timeout_ms);

	if (n == -ETIMEDOUT)
		return skf_fail(e, SKF_ETIMEOUT, "criu did not answer within %d s", timeout_ms / 1000);
	skf_buf_clear(b);
	iov.iov_base = skf_buf_reserve(b, SKF_MAX_CRIU_REPLY);
	iov.iov_len = SKF_MAX_CRIU_REPLY;
	if (!iov.iov_base)
		return skf_nomem(e);
	while (n == 0) {
		n = recvmsg(c->sock, &mh, MSG_CMSG_CLOEXEC);
		if (n < 0)
			n = errno == EINTR ? 0 : skf_errno();
		else
			break;
	}
	if (n < 0 && n != -ECONNRESET)
		return skf_fail_sys(e, (int)n, "receive from criu");
	*ret_fd = n > 0 ? take_fd(&mh) : -EBADF;
	if (n <= 0)
		return skf_fail(e, SKF_ESYSTEM, "criu ended without an answer");
	n = mh.msg_flags & MSG_TRUNC ? -E2BIG : skf_criu_resp_decode(b->p, (size_t)n, r);
	return n < 0 ? skf_fail_sys(e, (int)n, "criu sent a message that cannot be read") : 0;
}

int skf_criu_talk(struct skf_criu *c, const struct skf_criu_req *q,
		  int (*notify)(void *arg, const struct skf_criu_resp *r, int *fd, struct skf_err *e),
		  void *arg, struct skf_buf *b, struct skf_criu_resp *resp, struct skf_err *e)
{
	int timeout = notify ? -1 : SKF_CRIU_CHECK_MS;
	struct skf_err ours = SKF_ERR_INIT;

	if (send_request(c, q, e) < 0)
		return -1;
	for (;;) {
		SKF_AUTO_FD int fd = -EBADF;
		struct skf_criu_req answer = {.type = SKF_CRIU_NOTIFY, .notify_success = true};

		if (receive(c, timeout, b, resp, &fd, e) < 0) {
			if (ours.kind != SKF_OK)
				*e = ours;
			return -1;
		}
		if (resp->type != SKF_CRIU_NOTIFY || !notify)
			break;
		if (ours.kind == SKF_OK && notify(arg, resp, &fd, &ours) < 0)
			answer.notify_success = false;
		if (send_request(c, &answer, e) < 0)
			return -1;
	}
	if (ours.kind != SKF_OK) {
		*e = ours;
		return -1;
	}
	if (!resp->success)
		return 1;
	if (resp->type != (int)q->type)
		return skf_fail(e, SKF_ECORRUPT, "criu answered request %d with an answer to %d",
				(int)q->type, resp->type);
	return 0;
}

/* --- version and features --- */
static int ask(const char *program, const struct skf_criu_req *q, struct skf_criu_resp *r,
	       const struct skf_log *log, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(2 * SKF_MAX_CRIU_REPLY);
	struct skf_criu_launch l = {.program = program, .stdio = {-1, -1, -1}, .cgroup_fd = -1};
	struct skf_criu c = SKF_CRIU_INIT;
	int rc = skf_criu_start(&c, &l, e);

	if (rc == 0)
		rc = skf_criu_talk(&c, q, NULL, NULL, &b, r, e);
	skf_criu_end(&c, rc < 0, log);
	r->script = r->errmsg = (struct skf_str){0}; /* b goes away */
	if (rc > 0)
		rc = skf_fail(e, SKF_EUNSUPPORTED,
			      "'%s' does not say its version or features: it is not a criu that works "
			      "here; try 'criu check'",
			      program);
	return rc < 0 ? skf_ctx(e, "'%s'", program) : 0;
}

int skf_criu_check(const char *program, bool mem_track, bool lazy_pages, int *ret_version,
		   const struct skf_log *log, struct skf_err *e)
{
	struct skf_criu_req q = {.type = SKF_CRIU_VERSION};
	struct skf_criu_resp r = {0};
	int version;

	if (ask(program, &q, &r, log, e) < 0)
		return -1;
	version = r.major * 10000 + r.minor * 100 + r.sublevel;
	skf_debug(log, "criu '%s' has version %d", program, version);
	if (version < SKF_CRIU_MIN)
		return skf_fail(e, SKF_EUNSUPPORTED, "criu %d.%d ('%s') is too old: install %d.%d or newer",
				r.major, r.minor, program, SKF_CRIU_MIN / 10000, SKF_CRIU_MIN / 100 % 100);
	*ret_version = version;
	if (!mem_track && !lazy_pages)
		return 0;
	q = (struct skf_criu_req){
		.type = SKF_CRIU_FEATURE_CHECK, .want_mem_track = mem_track, .want_lazy_pages = lazy_pages};
	if (ask(program, &q, &r, log, e) < 0)
		return -1;
	if (mem_track && !r.mem_track)
		return skf_fail(e, SKF_EUNSUPPORTED,
				"criu cannot track changes of memory on this kernel "
				"(CONFIG_MEM_SOFT_DIRTY): leave out "
				"--pre-dump and --parent-path");
	if (lazy_pages && !r.lazy_pages)
		return skf_fail(e, SKF_EUNSUPPORTED,
				"criu cannot move pages lazily on this kernel (userfaultfd): leave out "
				"--lazy-pages");
	return 0;
}
