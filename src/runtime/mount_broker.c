/* runtime/mount_broker.c -- sources of bind mounts for a container in a user namespace. Its init may not be
 * able to walk to a source (a directory of mode 0700 on the way) and may never map ids of a mount or make a
 * device, while the parent, which may, does not see the container's mounts. The broker is a process that has
 * both: a child of the parent, with its rights, that entered the mount namespace of init. It lives from
 * skf_sources_prepare until both init and the parent closed their ends of its socket.
 *
 * Invariants:
 *  1. The broker enters the namespace before the new root is attached, so paths mean what they mean to init.
 *  2. A clone comes out of the container's namespace. So it has the flags that the kernel locked there and
 * is no peer of the host's mounts, as if init had made it.
 *  3. Only our own init talks to it, before anything of the container runs; init closes its end with
 *     skf_sources_release before hooks or the workload run.
 *
 * The broker waits for requests without a time-out, but its end is the end of its callers; init waits at
 * most SKF_START_MS for an answer. */
#include "base/limits.h"
#include "runtime/rootfs_int.h"
#include "sys/process.h"
#include <sys/wait.h>
#include <unistd.h>

/* --- the broker --- */

static int enter(int sock, struct skf_err *e)
{
	SKF_AUTO_FD int ns = -EBADF;

	if (skf_sync_expect(sock, SKF_STEP_SETUP, SKF_START_MS, &ns, e) < 0)
		return -1;
	int r = ns < 0 ? -EBADF : skf_setns(ns, CLONE_NEWNS);
	return r < 0 ? skf_fail_sys(e, r, "enter the container's mount namespace") : 0;
}

static int answer(struct skf_start *s, int sock, size_t i, int *tmpfs)
{
	struct skf_err e = SKF_ERR_INIT;
	size_t n = s->spec->mounts.n;
	SKF_AUTO_FD int tree = i < n ? skf_source_bind(s, i, &e) : skf_device_make(s, i - n, tmpfs, &e);

	if (tree >= 0)
		return skf_sync_send(sock, SKF_STEP_BUILT, tree);
	skf_sync_fail(sock, &e);
	return 0;
}

static void serve(struct skf_start *s, int sock)
{
	size_t i, n = s->spec->mounts.n + s->spec->linux_.devices.n;
	struct skf_err e = SKF_ERR_INIT;
	int tmpfs = -EBADF;

	(void)skf_set_pdeathsig(SIGKILL); /* cannot fail with a valid signal */
	if (enter(sock, &e) < 0) {
		skf_sync_fail(sock, &e);
		_exit(1);
	}
	if (skf_sync_send(sock, SKF_STEP_SETUP, -1) < 0)
		_exit(1);
	while (read(sock, &i, sizeof(i)) == (ssize_t)sizeof(i) && i < n) {
		if (answer(s, sock, i, &tmpfs) < 0)
			_exit(1);
	}
	_exit(0);
}

/* --- the parent --- */

int skf_broker_start(struct skf_start *s, struct skf_err *e)
{
	struct skf_clone c = {.exit_signal = SIGCHLD, .cgroup_fd = -1};
	SKF_AUTO_FD int pidfd = -EBADF;
	int sock[2];

	int r = skf_socketpair_seqpacket(sock);
	if (r < 0)
		return skf_fail_sys(e, r, "socket pair for the sources of mounts");
	pid_t pid = skf_clone3(&c, &pidfd);
	if (pid == 0) {
		close(sock[0]);
		serve(s, sock[1]);
	}
	close(sock[1]);
	if (pid < 0) {
		close(sock[0]);
		return skf_fail_sys(e, (int)pid, "clone the process that opens the sources of mounts");
	}
	s->broker_fd = sock[0];
	s->broker_pid = pid;
	return 0;
}

void skf_sources_release(struct skf_start *s, bool is_parent)
{
	if (s->broker_pid <= 0)
		return;
	skf_closep(&s->broker_fd);
	while (is_parent && waitpid(s->broker_pid, NULL, 0) < 0 && errno == EINTR)
		;
	s->broker_pid = 0;
}

/* --- the container's init --- */

int skf_broker_hello(struct skf_start *s, struct skf_err *e)
{
	SKF_AUTO_FD int ns = skf_openat(AT_FDCWD, "/proc/self/ns/mnt", O_RDONLY, 0);

	if (ns < 0)
		return skf_fail_sys(e, ns, "open the container's mount namespace");
	int r = skf_sync_send(s->broker_fd, SKF_STEP_SETUP, ns);
	if (r < 0)
		return skf_fail_sys(e, r, "tell the process that opens the sources of mounts");
	return skf_sync_expect(s->broker_fd, SKF_STEP_SETUP, SKF_START_MS, NULL, e);
}

int skf_broker_ask(struct skf_start *s, size_t i, int *ret_tree, struct skf_err *e)
{
	if (write(s->broker_fd, &i, sizeof(i)) != (ssize_t)sizeof(i))
		return skf_fail_errno(e, "ask for the source of mount or device %zu", i);
	return skf_sync_expect(s->broker_fd, SKF_STEP_BUILT, SKF_START_MS, ret_tree, e);
}
