/* cli/sdnotify.c -- --sdnotify (podman's words): a service manager that waits for READY=1 on NOTIFY_SOCKET
 * (sd_notify(3)) hears it once the container runs (conmon), once it has said so itself on the socket that it
 * was given (container), or once its health check has succeeded (healthy); with the monitor as the service's
 * main process, so that a unit of Type=notify ends with the container.
 *
 * Who says it has to be of the service's control group, which the monitor is not. So run -d and start wait
 * here until it is said or the container has ended; in the foreground `skiff system notify` waits beside.
 * What a container says is filtered (base/notify.h); its pid and descriptors never go on. Failures are
 * warnings: the container runs, and the manager gives up in its own time. */
#include "cli/cli_int.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/notify.h"
#include "base/proc.h"
#include "engine/life.h"
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SOCK_FD  3 /* of `system notify` */
#define PIDFD_FD 4
#define MAX_TEXT 4096

const char *skf_cli_sdnotify_host(void)
{
	const char *host = getenv("NOTIFY_SOCKET");

	return host && *host ? host : NULL;
}

/* The monitor is the parent of the container's first process; 0 when that has ended already. */
static unsigned monitor_of(uint32_t pid)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_OBJECT_BYTES);
	char path[40], *line;
	unsigned ppid = 0;

	snprintf(path, sizeof(path), "/proc/%u/status", pid);
	if (skf_read_file_at(AT_FDCWD, path, SKF_MAX_OBJECT_BYTES, &b) < 0 ||
	    !(line = strstr(skf_buf_cstr(&b), "\nPPid:\t")))
		return 0;
	line += strlen("\nPPid:\t");
	line[strcspn(line, "\n")] = '\0';
	return skf_parse_u32(line, &ppid) == 0 && ppid > 1 ? ppid : 0;
}

/* wait: this process may end at once, and its message with it. */
static void tell(struct skf_buf *b, bool ready, bool wait, unsigned monitor)
{
	const char *host = skf_cli_sdnotify_host();
	struct skf_err x = SKF_ERR_INIT;
	int r;

	if (ready && monitor)
		skf_buf_fmt(b, "MAINPID=%u\n", monitor);
	r = *host == '/' || *host == '@' ? skf_notify_send(host, b, wait) : -EINVAL;
	if (r < 0) {
		skf_fail_sys(&x, r,
			     "tell the service manager at '%s' (NOTIFY_SOCKET) that the container is ready",
			     host);
		skf_cli_error(&x);
	}
}

static void say_ready(bool wait, unsigned monitor)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(128);

	skf_buf_str(&b, "READY=1\n");
	tell(&b, true, wait, monitor);
}

/* One message that is there; true when it was READY=1. */
static bool relay(int sock, unsigned monitor)
{
	SKF_AUTO(skf_buf_done) struct skf_buf out = SKF_BUF(2 * MAX_TEXT);
	char text[MAX_TEXT];
	ssize_t n = recv(sock, text, sizeof(text) - 1, MSG_DONTWAIT);
	bool ready;

	if (n <= 0)
		return false;
	text[n] = '\0';
	ready = skf_notify_harmless(text, &out);
	if (out.len)
		tell(&out, ready, ready, monitor);
	return ready;
}

static void relay_all(int sock, int pidfd, unsigned monitor)
{
	struct pollfd p[2] = {{.fd = sock, .events = POLLIN}, {.fd = pidfd, .events = POLLIN}};

	for (;;) {
		int n = poll(p, 2, -1);

		if (n < 0 && errno != EINTR)
			return; /* no memory: nothing that could be told */
		if (n > 0 && p[0].revents & POLLIN) {
			if (relay(sock, monitor))
				return;
		} else if (n > 0) {
			return; /* it has ended, and all that it said is read */
		}
	}
}

static void await_health(struct skf_cli *c, const char *id, unsigned monitor)
{
	struct skf_err x = SKF_ERR_INIT;
	struct skf_ctr_brief b;
	struct skf_exit end;
	int r = skf_engine_wait_for(
		c->g, id, 1u << SKF_COND_HEALTHY | 1u << SKF_COND_NOT_RUNNING | 1u << SKF_COND_REMOVED, -1,
		&end, &x);

	if (r == 0 && skf_engine_brief(c->g, id, &b, &x) == 0 && b.up)
		say_ready(true, monitor);
	else if (x.kind != SKF_OK && x.kind != SKF_ENOTFOUND)
		skf_cli_error(&x);
}

static void await(struct skf_cli *c, const char *mode, const char *id, int sock, int pidfd, unsigned monitor)
{
	if (skf_streq(mode, "healthy"))
		await_health(c, id, monitor);
	else if (sock >= 0)
		relay_all(sock, pidfd, monitor);
}

/* `skiff system notify ID PID` beside a foreground; it ends with the container. */
static int await_beside(struct skf_cli *c, const char *id, const struct skf_notify *n, uint32_t pid)
{
	char prog[] = "skiff", root[] = "--root", run[] = "--run-root", system[] = "system",
	     verb[] = "notify", number[16], self[4096];
	const char *lib, *tmp;
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	const int fds[] = {n->sock, n->pidfd};
	int r;

	if (len < 0)
		return skf_fail_sys(&c->e, -errno, "find this program");
	self[len] = '\0';
	snprintf(number, sizeof(number), "%u", pid);
	skf_engine_roots(c->g, &lib, &tmp);
	char *argv[] = {prog,   root, (char *)(uintptr_t)lib, run,    (char *)(uintptr_t)tmp,
			system, verb, (char *)(uintptr_t)id,  number, NULL};
	const struct skf_spawn s = {.path = self,
				    .argv = argv,
				    .stdio = {-1, -1, STDERR_FILENO},
				    .fds = fds,
				    .n_fds = n->sock >= 0 ? 2 : 0};
	r = skf_spawn(&s, NULL, NULL);
	return r < 0 ? skf_fail_sys(&c->e, r, "start '%s system notify'", self) : 0;
}

void skf_cli_sdnotify(struct skf_cli *c, const char *mode, const char *id, struct skf_notify *n,
		      uint32_t pid, bool beside)
{
	if (mode && *mode && !skf_streq(mode, "ignore") && skf_cli_sdnotify_host()) {
		if (skf_streq(mode, "conmon"))
			say_ready(!beside, monitor_of(pid));
		else if (!beside)
			await(c, mode, id, n->sock, n->pidfd, monitor_of(pid));
		else if (await_beside(c, id, n, pid) < 0)
			skf_cli_error(&c->e);
	}
	skf_closep(&n->sock);
	skf_closep(&n->pidfd);
}

int skf_cmd_notify(struct skf_cli *c)
{
	struct skf_ctr_brief b;
	unsigned pid;

	if (skf_parse_u32(c->args.v[1], &pid) < 0 || !skf_cli_sdnotify_host()) {
		skf_fail(&c->e, SKF_EINVALID, "system notify is started by skiff itself");
		return skf_cli_fail(c, 1);
	}
	if (skf_cli_engine(c) < 0 || skf_engine_brief(c->g, c->args.v[0], &b, &c->e) < 0)
		return skf_cli_fail(c, 1);
	await(c, b.sdnotify, b.id, SOCK_FD, PIDFD_FD, monitor_of(pid));
	return 0;
}
