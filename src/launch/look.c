/* launch/look.c -- what the files of /proc/sys say in a container's namespaces, for `skiff explain`. This
 * process enters the network, IPC and UTS namespace of the process that the descriptor names, reads, answers
 * and ends: it never goes back, and the engine never goes in.
 *
 * Must hold: names come from the engine, which made them with skf_spec_sysctl_path; they are relative, and
 * nothing is written. */
#include "launch/launch_int.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "launch/wire.h"
#include "sys/path.h"
#include "sys/process.h"
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAX_VALUE 4096

static int enter(struct skf_launch *l, struct skf_err *e)
{
	int r;

	if (!(l->q.flags & SKF_LAUNCH_NETNS))
		return skf_fail(e, SKF_EINVALID, "the request names no process");
	/* With its user namespace ids are the container's numbers; EINVAL: it has the host's. */
	r = skf_setns(l->fds.fd[l->fds.n - 1], CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS);
	if (r == -EINVAL)
		r = skf_setns(l->fds.fd[l->fds.n - 1], CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS);
	return r < 0 ? skf_fail_sys(e, r, "enter the namespaces of container '%s'", l->q.id) : 0;
}

/* One line a file; empty: it cannot be read. */
static void read_one(int sys, const char *name, struct skf_buf *out)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(MAX_VALUE + 1);
	SKF_AUTO_FD int fd = skf_path_open_nolinks(sys, name, O_RDONLY, 0);

	if (fd >= 0 && skf_read_fd(fd, MAX_VALUE, &b) == 0)
		skf_buf_put(out, b.p, strcspn(skf_buf_cstr(&b), "\n"));
	skf_buf_chr(out, '\n');
}

static int look(struct skf_launch *l, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf out = SKF_BUF(SKF_MAX_OBJECT_BYTES);
	SKF_AUTO_FD int sys = skf_openat(AT_FDCWD, "/proc/sys", O_PATH | O_DIRECTORY, 0), fd = -EBADF;
	int r = sys < 0 ? sys : 0;

	for (const char *p = l->q.process_json; r == 0 && *p;) {
		size_t n = strcspn(p, "\n");
		char *name = skf_arena_dup(&l->arena, p, n);

		if (name)
			read_one(sys, name, &out);
		else
			r = -ENOMEM;
		p += n + (p[n] == '\n');
	}
	if (r == 0)
		r = out.err < 0 ? out.err
		    : (fd = memfd_create("skiff-look", MFD_CLOEXEC)) < 0
			    ? -errno
			    : skf_write_full(fd, out.p, out.len);
	if (r == 0 && lseek(fd, 0, SEEK_SET) < 0)
		r = -errno;
	if (r < 0)
		return skf_fail_sys(e, r, "read the sysctls of container '%s'", l->q.id);
	return skf_launch_answer(l, fd, e);
}

const struct skf_launch_step skf_launch_look_steps[] = {
	{"enter", enter, NULL},
	{"look", look, NULL},
	{NULL, NULL, NULL},
};
