/* runtime/seccomp_notify.c -- the listener of a seccomp filter with SCMP_ACT_NOTIFY: from the process that
 * loaded the filter to the agent that answers for it.
 *
 * The filter may notify for any system call that the process makes after the load, and nobody answers before
 * the agent has the listener; a process that sends its own listener, or even waits for its parent, may wait
 * for ever. Therefore:
 *  1. A filter that lets sendmsg(2) pass, whatever its arguments, is loaded by a process that sends the
 * listener itself: that needs no rights. For any other one:
 *  2. The process announces the load (SKF_STEP_SECCOMP) before it, and tells the number of the listener by a
 * store to a shared page, which is no system call. It goes on without waiting; where it is stopped, the
 * agent lets it go on.
 *  3. The parent watches the page for the few microseconds of the load, takes the listener with
 * pidfd_getfd(2), makes sure that it is one, and sends it. It waits for nothing of the process before that.
 *  4. The process's own copy is CLOEXEC: from execve on the agent holds the only one, so that its death
 * gives ENOSYS. Only "write", by which the process reports to its parent, cannot be left to an agent
 * (seccomp_compile.c).
 *
 * pidfd_getfd needs the right to trace the process: CAP_SYS_PTRACE in the user namespace that the runtime
 * was started in, which a plain user does not have. config-linux.md "Seccomp", "The Container Process
 * State"; man 2 seccomp, seccomp_unotify, pidfd_getfd. Blocks for the process up to the caller's time-out,
 * and for the agent's socket to take a few kilobytes. */
#include "runtime/runtime_int.h"
#include "base/notify.h"

#include "base/json.h"
#include "base/limits.h"
#include "oci/spec.h"
#include "runtime/seccomp_int.h"

#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LISTENER_FILE "seccomp.listener"

int skf_listener_plan(struct skf_listener *l, const struct skf_bpf_prog *p, const char *path,
		      const char *metadata, struct skf_err *e)
{
	if (!path || !*path)
		return skf_fail(e, SKF_EINVALID,
				"linux.seccomp: SCMP_ACT_NOTIFY is used, but nobody would answer: set "
				"listenerPath to "
				"the socket of a seccomp agent");
	if (path[0] != '/')
		return skf_fail(e, SKF_EINVALID, "linux.seccomp: listenerPath '%s' is not an absolute path",
				path);
	*l = (struct skf_listener){.sock = -EBADF, .sends = skf_seccomp_lets(p, SYS_sendmsg)};
	l->path = path;
	l->metadata = metadata;
	if (l->sends)
		return 0;
	l->fd = mmap(NULL, sizeof(*l->fd), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (l->fd == MAP_FAILED) {
		l->fd = NULL;
		return skf_fail_errno(e, "memory for the seccomp listener");
	}
	*l->fd = -1;
	return 0;
}

int skf_listener_offer(struct skf_listener *l, const struct skf_bpf_prog *p, const char *path,
		       const char *metadata, const struct skf_log *log, struct skf_err *e)
{
	struct skf_err why = SKF_ERR_INIT;
	int sock = path[0] == '/' ? skf_unix_connect(path, SOCK_STREAM, "seccomp agent", &why) : -1;

	if (sock < 0) { /* runc's policy; crun's where somebody listens */
		skf_debug(
			log,
			"linux.seccomp: listenerPath '%s' is not used by any SCMP_ACT_NOTIFY: %s, ignoring",
			path, why.kind ? why.msg : "and it is not an absolute path");
		return 0;
	}
	if (skf_listener_plan(l, p, path, metadata, e) < 0) {
		close(sock);
		return -1;
	}
	l->sock = sock;
	return 0;
}

int skf_listener_load_filter(const struct skf_listener *l, const struct skf_bpf_prog *p, int sync)
{
	struct skf_bpf_prog with = *p;
	int r = l->sends ? 0 : skf_sync_send(sync, SKF_STEP_SECCOMP, -1), fd;

	with.notify = true;
	fd = r < 0 ? r : skf_seccomp_load(&with);
	if (fd < 0)
		return fd;
	if (l->sends)
		return skf_sync_send(sync, SKF_STEP_SECCOMP, fd);
	/* no system call is sure to pass from here on: the parent takes it from us */
	__atomic_store_n(l->fd, fd, __ATOMIC_RELEASE);
	return 0;
}

void skf_listener_done(struct skf_listener *l)
{
	if (l->fd)
		(void)munmap(l->fd, sizeof(*l->fd)); /* cannot fail for a mapping of our own */
	if (l->path)
		skf_closep(&l->sock);
	*l = (struct skf_listener){.sock = -EBADF};
}

/* --- for exec: what config.json said when the container was created --- */
struct saved {
	char *path, *metadata;
};
static const struct skf_jfield saved_f[] = {
	SKF_J(struct saved, path, "path", skf_j_abspath, NULL, SKF_J_REQUIRED),
	SKF_J(struct saved, metadata, "metadata", skf_j_str, NULL, 0),
	SKF_J_END,
};
static const struct skf_jtable saved_t = {sizeof(struct saved), saved_f};

int skf_listener_save(int state_fd, const struct skf_listener *l, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_STATE_BYTES);
	struct skf_jw w = SKF_JW(&b);
	int r;

	skf_jw_obj(&w);
	skf_jw_kint(&w, "v", 1);
	skf_jw_kint(&w, "min", 1);
	skf_jw_kstr(&w, "path", l->path);
	if (l->metadata)
		skf_jw_kstr(&w, "metadata", l->metadata);
	skf_jw_end(&w);
	r = b.err < 0 ? b.err : skf_write_atomic_at(state_fd, LISTENER_FILE, b.p, b.len, 0600, 0);
	return r < 0 ? skf_fail_sys(e, r, "keep the seccomp listener's socket for exec") : 0;
}

int skf_listener_load(int state_fd, struct skf_arena *a, const struct skf_bpf_prog *prog,
		      struct skf_listener *l, struct skf_err *e)
{
	struct skf_jdoc d = {.name = LISTENER_FILE, .max_bytes = SKF_MAX_STATE_BYTES};
	void *p;

	if (skf_json_decode_at(&d, state_fd, LISTENER_FILE, &saved_t, a, &p, e) < 0)
		return skf_ctx(e, "the socket of the container's seccomp agent");
	const struct saved *s = p;
	return skf_listener_plan(l, prog, s->path, s->metadata, e);
}

/* --- delivery --- */

/* The number in the child, or -1 with the error set. */
static int wait_for_load(const struct skf_listener *l, int sync, int pidfd, int timeout_ms,
			 struct skf_err *e)
{
	struct pollfd p[2] = {{.fd = sync, .events = POLLIN}, {.fd = pidfd, .events = POLLIN}};
	int64_t end;

	if (skf_sync_expect(sync, SKF_STEP_SECCOMP, timeout_ms, NULL, e) < 0)
		return -1;
	end = skf_mono_ms() + SKF_START_MS;
	for (;;) {
		/* order: what the child did before it spoke or died is in the page when poll tells of it */
		int n = poll(p, 2, 0), fd = __atomic_load_n(l->fd, __ATOMIC_ACQUIRE);

		if (fd >= 0)
			return fd;
		if (n > 0) /* it could not load the filter: its own sentence says why */
			return skf_sync_expect(sync, SKF_STEP_READY, 0, NULL, e) < 0
				       ? -1
				       : skf_fail(e, SKF_EBUG, "container init loaded no seccomp filter");
		if (skf_mono_ms() >= end)
			return skf_fail(e, SKF_ETIMEOUT,
					"container init did not load its seccomp filter within %d s",
					SKF_START_MS / 1000);
		struct timespec pause = {.tv_nsec = 20000};
		(void)nanosleep(&pause, NULL); /* a signal only shortens it */
	}
}

static int take_listener(const struct skf_listener *l, int pidfd, int number, struct skf_err *e)
{
	int fd = skf_seccomp_take_listener(pidfd, number);

	if (fd == -EPERM)
		return skf_fail(e, SKF_EDENIED,
				"take the seccomp listener for the agent '%s' from the container's process: "
				"this needs "
				"CAP_SYS_PTRACE, which the runtime does not have here",
				l->path);
	return fd < 0 ? skf_fail_sys(e, fd, "take the seccomp listener from the container's process") : fd;
}

static int fetch_listener(const struct skf_listener *l, int sync, int pidfd, int timeout_ms,
			  struct skf_err *e)
{
	int number = wait_for_load(l, sync, pidfd, timeout_ms, e);

	return number < 0 ? -1 : take_listener(l, pidfd, number, e);
}

static int receive_listener(int sync, int timeout_ms, struct skf_err *e)
{
	SKF_AUTO_FD int fd = -EBADF;
	int r;

	if (skf_sync_expect(sync, SKF_STEP_SECCOMP, timeout_ms, &fd, e) < 0)
		return -1;
	r = fd < 0 ? -EBADF : skf_seccomp_is_listener(fd);
	return r < 0 ? skf_fail_sys(e, r, "receive the seccomp listener from the container's process")
		     : SKF_TAKE_FD(fd);
}

static char *process_state(const struct skf_listener *l, pid_t pid, const char *oci_version,
			   const char *state)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(2 * SKF_MAX_STATE_BYTES);
	struct skf_jw w = SKF_JW(&b);

	skf_jw_obj(&w);
	skf_jw_kstr(&w, "ociVersion", oci_version);
	skf_jw_karr(&w, "fds");
	skf_jw_str(&w, "seccompFd");
	skf_jw_end_arr(&w);
	skf_jw_kint(&w, "pid", pid);
	if (l->metadata)
		skf_jw_kstr(&w, "metadata", l->metadata);
	skf_jw_kraw(&w, "state", state);
	skf_jw_end(&w);
	return skf_buf_take(&b);
}

int skf_listener_deliver(const struct skf_listener *l, int sync, int pidfd, pid_t pid,
			 const char *oci_version, const char *state, int timeout_ms, struct skf_err *e)
{
	SKF_AUTO_FREE char *doc = state ? process_state(l, pid, oci_version, state) : NULL;
	SKF_AUTO_FD int fd = -EBADF, own = -EBADF;
	int sock = l->sock, r;

	fd = l->sends ? receive_listener(sync, timeout_ms, e)
		      : fetch_listener(l, sync, pidfd, timeout_ms, e);
	if (fd < 0)
		return -1;
	if (!doc)
		return skf_nomem(e);
	if (sock < 0)
		sock = own = skf_unix_connect(l->path, SOCK_STREAM, "seccomp agent at listenerPath", e);
	if (sock < 0)
		return skf_ctx(e, "failed to connect with seccomp agent");
	r = skf_unix_send_fd(sock, fd, doc, strlen(doc));
	return r < 0 ? skf_fail_sys(e, r, "send the seccomp listener to the agent '%s'", l->path) : 0;
}
