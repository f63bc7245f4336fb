/* engine/net_launch.c -- the network's part of the talk with skiff-launch (launch/wire.h): which kind of
 * namespace a container gets, and the answer when launch has made one. */
#include "engine/net_int.h"
#include "base/proc.h"
#include "base/record.h"
#include "launch/wire.h"
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

/* The namespace of a container that runs. Its init is looked at twice, so that the number cannot have gone
 * to another process in between. */
static int open_netns_of(struct skf_engine *g, const char *id, struct skf_err *e)
{
	struct skf_ctr_live l;
	char path[40];
	int fd;

	if (skf_ctr_live(g, id, &l, e) < 0)
		return -1;
	if (!skf_ctr_is_made(l.state))
		return skf_fail(e, SKF_ECONFLICT, "cannot join network of a non running container: %s", id);
	snprintf(path, sizeof(path), "/proc/%u/ns/net", l.sum.pid);
	fd = skf_openat(AT_FDCWD, path, O_RDONLY, 0);
	if (fd < 0)
		return skf_fail_sys(e, fd, "open the network namespace of container %.12s", id);
	if (skf_proc_alive((pid_t)l.sum.pid, l.sum.start_time) != 1) {
		skf_closep(&fd);
		return skf_fail(e, SKF_ECONFLICT, "cannot join network of a non running container: %s", id);
	}
	return fd;
}

/* One that is mounted somewhere, or /proc/PID/ns/net. */
int skf_net_open_path(const char *path, struct skf_err *e)
{
	SKF_AUTO_FD int fd = skf_openat(AT_FDCWD, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);

	if (fd < 0)
		return skf_fail_sys(e, fd, "open the network namespace '%s'", path);
	if (ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET)
		return skf_fail(e, SKF_EINVALID,
				"'%s' is no network namespace: expected a file like /run/netns/NAME or "
				"/proc/PID/ns/net",
				path);
	return SKF_TAKE_FD(fd);
}

int skf_net_launch_flags(struct skf_engine *g, const char *id, unsigned *ret_flags, int *ret_netns,
			 struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_net_conf *c;
	int fd = -EBADF;

	if (skf_net_conf_read(g, id, &a, &c, e) < 0)
		return -1;
	if (skf_streq(c->mode, SKF_NET_MODE_CONTAINER)) {
		fd = open_netns_of(g, c->target, e);
		if (fd < 0)
			return -1;
		if (skf_net_files_of(g, id, c->target, e) < 0) {
			skf_closep(&fd);
			return -1;
		}
	} else if (skf_streq(c->mode, SKF_NET_MODE_PATH)) {
		fd = skf_net_open_path(c->target, e);
		if (fd < 0)
			return -1;
	}
	*ret_flags = skf_net_conf_is_ours(c) ? SKF_LAUNCH_NET : fd >= 0 ? SKF_LAUNCH_NETNS : 0u;
	*ret_netns = fd;
	return 0;
}

int skf_net_serve(struct skf_engine *g, int sock, struct skf_recr *r, const struct skf_fds *fds,
		  struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	struct skf_err why = SKF_ERR_INIT;
	struct skf_net_start s = {.id = skf_recr_str(r)};
	struct skf_rec w;
	int n;

	s.pid = skf_recr_u32(r);
	if (r->bad || fds->n != 2 || !skf_ctr_id_valid(s.id))
		return skf_fail(e, SKF_ECORRUPT,
				"skiff-launch handed over a network namespace in an unknown form");
	s.netns_fd = fds->fd[0];
	s.nl = fds->fd[1];
	n = skf_net_up(g, &s, &why);
	skf_rec_begin(&w, &b, n < 0 ? SKF_LAUNCH_FAILED : SKF_LAUNCH_NET_READY, SKF_LAUNCH_VERSION);
	if (n < 0)
		skf_rec_err(&w, &why);
	skf_rec_end(&w);
	n = b.err < 0 ? b.err : skf_record_send(sock, &b, NULL, 0);
	/* A launch that failed meanwhile has closed its end after its own FAILED, which is read next. */
	return n < 0 && n != -EPIPE && n != -ECONNRESET ? skf_fail_sys(e, n, "answer skiff-launch") : 0;
}

int skf_net_ask_socket(struct skf_engine *g, const char *id, int netns, int *ret_nl, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	struct skf_rec w;

	skf_rec_begin(&w, &b, SKF_LAUNCH_NETSOCK, SKF_LAUNCH_VERSION);
	skf_rec_u32(&w, SKF_LAUNCH_NETNS);
	skf_rec_str(&w, id);
	skf_rec_str(&w, g->root);
	skf_rec_str(&w, g->run_root);
	skf_rec_u32(&w, 0);
	skf_rec_u32(&w, 0);
	skf_rec_str(&w, "");
	skf_rec_end(&w);
	if (skf_launch_ask_in(g, "netsock", &b, netns, ret_nl, e) < 0)
		return -1;
	return *ret_nl >= 0
		       ? 0
		       : skf_fail(e, SKF_ECORRUPT,
				  "skiff-launch sent no socket of container %.12s's network namespace", id);
}
