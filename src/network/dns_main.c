/* network/dns_main.c -- start of skiff-resolver: directories, log, cgroup, then two processes: the child
 * gives up all rights and answers, its parent keeps some and serves it (dns_int.h). */
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "network/dns_int.h"
#include "network/dns_server.h"
#include "sys/cgroup.h"
#include "sys/process.h"
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOG_FILE ".log"
#define LOG_MAX  65536
#define MONITORS "/skiff/m" /* where all supervisors are (DESIGN 3b); made by the first launch */

/* SYS_ADMIN: setns. NET_ADMIN: nft there and egress sets here. NET_BIND_SERVICE: port 53 where nft cannot
 * redirect. SYS_PTRACE: /proc/<pid>/ns/net of a container that runs as another user, after a restart. */
#define KEEP                                                                                                \
	(1ull << CAP_SYS_ADMIN | 1ull << CAP_NET_ADMIN | 1ull << CAP_NET_BIND_SERVICE |                     \
	 1ull << CAP_SYS_PTRACE)

static int open_log(int dir)
{
	SKF_AUTO_FD int fd = skf_openat(dir, LOG_FILE, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, 0600);
	struct stat st;

	if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size > LOG_MAX && ftruncate(fd, 0) < 0)
		return -errno;
	return fd < 0 ? fd : SKF_TAKE_FD(fd);
}

/* Out of the session of whoever happened to start the first container. A host where this is not possible
 * still gets its names. */
static void enter_cgroup(const struct skf_log *log)
{
	struct skf_cg_dirs d = {.path = MONITORS};
	int r = skf_cg_layout(&d.layout);

	for (unsigned i = 0; r == 0 && i < d.layout.n; i++) {
		SKF_AUTO_FD int fd = -EBADF;

		d.used |= 1u << i;
		fd = skf_cg_open(&d, i);
		if (fd < 0)
			d.used &= ~(1u << i);
	}
	if (r == 0)
		r = skf_cg_attach(&d, getpid());
	if (r < 0)
		skf_warn(log, "enter cgroup " MONITORS ": %s; ignoring it", strerrordesc_np(-r));
}

static int drop_privileges(struct skf_err *e)
{
	uint64_t effective, permitted, inheritable;
	int r = skf_no_new_privs();

	if (r == 0)
		r = skf_cap_get(&effective, &permitted, &inheritable);
	if (r == 0)
		r = skf_cap_set(permitted & KEEP, permitted & KEEP, 0);
	return r < 0 ? skf_fail_sys(e, r, "drop privileges") : 0;
}

static void ring(struct skf_dns_list *l)
{
	l->next = l->prev = l;
}

static int prepare(struct skf_dns *d, const char *run_root, struct skf_err *e)
{
	d->run_fd = SKF_RESOLVER_RUN;
	d->owner = geteuid();
	d->networks_fd = skf_mkdirs_at(d->run_fd, "networks", 0711);
	if (d->networks_fd < 0 ||
	    fchmod(d->networks_fd, 0711) <
		    0) /* run itself stays closed: only who has this descriptor walks there */
		return skf_fail_sys(e, d->networks_fd < 0 ? d->networks_fd : -errno, "open '%s/networks'",
				    run_root);
	d->dir_fd = skf_openat(d->run_fd, SKF_RESOLVER_DIR, O_RDONLY | O_DIRECTORY, 0);
	if (d->dir_fd < 0)
		return skf_fail_sys(e, d->dir_fd, "open '%s/" SKF_RESOLVER_DIR "'", run_root);
	d->log->fd = open_log(d->dir_fd);
	d->host_netns = skf_openat(AT_FDCWD, "/proc/self/ns/net", O_RDONLY, 0);
	if (d->host_netns < 0)
		return skf_fail_sys(e, d->host_netns, "open '/proc/self/ns/net'");
	d->ep = epoll_create1(EPOLL_CLOEXEC);
	if (d->ep < 0)
		return skf_fail_sys(e, -errno, "epoll");
	for (size_t i = 0; i < SKF_DNS_BUCKETS; i++)
		ring(&d->containers[i]);
	ring(&d->dead_containers);
	ring(&d->pending);
	ring(&d->tcp_clients);
	ring(&d->dead_pending);
	ring(&d->dead_clients);
	if (skf_set_cloexec(d->run_fd, true) < 0 || skf_set_cloexec(d->listen.fd, true) < 0 ||
	    skf_set_nonblock(d->listen.fd, true) < 0)
		return skf_fail_sys(e, -errno, "descriptor %d is not the control socket", d->listen.fd);
	enter_cgroup(d->log);
	return skf_dns_note_files(d) < 0 ? skf_fail(e, SKF_ENOMEM, "memory for the containers") : 0;
}

/* 0 in the child, its pid in the parent, -1. */
static pid_t part(struct skf_dns *d, struct skf_err *e)
{
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return skf_fail_sys(e, -errno, "socket between the two processes");
	pid = fork();
	if (pid < 0) {
		int r = -errno;

		skf_closep(&pair[0]);
		skf_closep(&pair[1]);
		return skf_fail_sys(e, r, "start the second process");
	}
	d->keeper = SKF_TAKE_FD(pair[pid == 0]);
	skf_closep(&pair[pid != 0]);
	return pid;
}

static int keep(struct skf_dns *d, struct skf_err *e)
{
	skf_closep(&d->listen.fd);
	skf_closep(&d->ep);
	if (drop_privileges(e) < 0)
		return -1;
	skf_dns_keeper_run(d);
	return 0;
}

static int answer(struct skf_dns *d, struct skf_err *e)
{
	skf_closep(&d->run_fd);
	skf_closep(&d->dir_fd);
	skf_closep(&d->host_netns);
	return skf_dns_lock_down(d->log, e) < 0 ? -1 : skf_dns_run(d, e);
}

int skf_dns_main(int argc, char **argv)
{
	struct skf_log log = {.fd = -EBADF, .max = SKF_LOG_WARN, .prog = "skiff-resolver"};
	struct skf_dns *d = argc == 2 ? calloc(1, sizeof(*d)) : NULL;
	struct skf_err e = SKF_ERR_INIT;
	int r;

	if (!d)
		return 2;
	signal(SIGPIPE, SIG_IGN);
	d->log = &log;
	d->listen.fd = SKF_RESOLVER_LISTEN;
	d->resolv_conf = "/etc/resolv.conf";
	r = prepare(d, argv[1], &e);
	if (r == 0) {
		pid_t pid = part(d, &e);

		r = pid < 0 ? -1 : pid == 0 ? answer(d, &e) : keep(d, &e);
	}
	if (r < 0)
		skf_log_err(&log, &e);
	free(d);
	return r < 0;
}
