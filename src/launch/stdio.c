/* launch/stdio.c -- the container's stdio and the monitor's control socket, made before the process that
 * uses them. */
#include "launch/launch_int.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* In a user namespace nobody may take a pipe that belongs to an id of outside: so it is the process's from
 * the beginning, for /dev/stdout to be opened again. */
static int own_pipe(const struct skf_launch *l, int fd, struct skf_err *e)
{
	uint32_t uid, gid;

	if (!l->ids.uids.n || !skf_idmap_to_host(&l->ids.uids, l->process->user.uid, &uid) ||
	    !skf_idmap_to_host(&l->ids.gids, l->process->user.gid, &gid))
		return 0; /* the runtime says what is wrong with a user that is not mapped */
	return fchown(fd, uid, gid) < 0 ? skf_fail_sys(e, -errno, "give the container's stdio to its user")
					: 0;
}

static int make_pipe(struct skf_launch *l, unsigned i, struct skf_err *e)
{
	int p[2], r = skf_pipe(p, 0);

	if (r < 0)
		return skf_fail_sys(e, r, "make a pipe for the container's stdio");
	l->theirs[i] = p[i == 0 ? 0 : 1];
	l->ours[i] = p[i == 0 ? 1 : 0];
	return own_pipe(l, l->theirs[i], e);
}

int skf_launch_stdio(struct skf_launch *l, bool with_stdin, struct skf_err *e)
{
	if (l->process->terminal)
		return 0;
	for (unsigned i = 0; i < 3; i++) {
		if (i > 0 || with_stdin) {
			if (make_pipe(l, i, e) < 0)
				return -1;
			continue;
		}
		l->theirs[0] = skf_openat(AT_FDCWD, "/dev/null", O_RDONLY, 0);
		if (l->theirs[0] < 0)
			return skf_fail_sys(e, l->theirs[0], "open '/dev/null' as the container's stdin");
	}
	return 0;
}

int skf_launch_listen(struct skf_launch *l, struct skf_err *e)
{
	SKF_AUTO_FD int s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	mode_t old;
	int r;

	snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/ctl.sock", l->run_dir);
	old = umask(0177);
	r = s < 0 || bind(s, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(s, SKF_MAX_MONITOR_CLIENTS) < 0
		    ? -errno
		    : 0;
	umask(old);
	if (r < 0)
		return skf_fail_sys(e, r, "make the control socket of container '%s'", l->q.id);
	l->listen_fd = SKF_TAKE_FD(s);
	return 0;
}

void skf_launch_unlisten(struct skf_launch *l)
{
	if (l->listen_fd < 0)
		return;
	skf_closep(&l->listen_fd);
	(void)unlinkat(l->run_dir, "ctl.sock", 0); /* it goes with its directory otherwise */
}
