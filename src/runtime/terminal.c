/* runtime/terminal.c -- stdio of the container's process, and handing a pty master (or another descriptor)
 * to whoever asked for it.
 *
 * The console socket protocol is runc's (docs/terminals.md there): one message, the master as SCM_RIGHTS, a
 * name as data. The socket is connected before anything is made, so that a wrong path costs nothing to undo.
 * Nothing blocks but a send of a few bytes. */
#include "runtime/runtime_int.h"
#include "base/notify.h"

#include "sys/process.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

/* sun_path holds 107 bytes; a longer path is reached through a handle of its directory. */
static int fill_address(const char *path, struct sockaddr_un *sa, int *ret_dir)
{
	const char *base = strrchr(path, '/');
	char dir[PATH_MAX];

	sa->sun_family = AF_UNIX;
	if (strlen(path) < sizeof(sa->sun_path)) {
		memcpy(sa->sun_path, path, strlen(path) + 1);
		return 0;
	}
	if (!base || (size_t)(base - path) >= sizeof(dir))
		return -ENAMETOOLONG;
	memcpy(dir, path, (size_t)(base - path) + 1);
	dir[base - path + 1] = '\0';
	*ret_dir = skf_openat(AT_FDCWD, dir, O_PATH | O_DIRECTORY, 0);
	if (*ret_dir < 0)
		return *ret_dir;
	return skf_fmt(sa->sun_path, sizeof(sa->sun_path), "/proc/self/fd/%d/%s", *ret_dir, base + 1);
}

int skf_unix_connect(const char *path, int type, const char *what, struct skf_err *e)
{
	SKF_AUTO_FD int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	SKF_AUTO_FD int dir = -EBADF;
	struct sockaddr_un sa;
	int r;

	memset(&sa, 0, sizeof(sa));
	if (fd < 0)
		return skf_fail_errno(e, "socket for the %s", what);
	r = fill_address(path, &sa, &dir);
	if (r < 0)
		return skf_fail_sys(e, r, "%s '%s'", what, path);
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		return skf_fail_errno(e, "connect to %s '%s'", what, path);
	return SKF_TAKE_FD(fd);
}

int skf_console_connect(const char *path, struct skf_err *e)
{
	return skf_unix_connect(path, SOCK_STREAM, "console socket", e);
}

int skf_console_send(int sock, int master, struct skf_err *e)
{
	static const char name[] = "/dev/ptmx";
	int r = skf_unix_send_fd(sock, master, name, sizeof(name) - 1);

	return r < 0 ? skf_fail_sys(e, r, "send the terminal to the console socket") : 0;
}

int skf_terminal_keep_lf(int pty, struct skf_err *e)
{
	struct termios t;

	if (tcgetattr(pty, &t) < 0)
		return skf_fail_errno(e, "read the modes of the container's terminal");
	t.c_oflag &= ~(tcflag_t)ONLCR;
	return tcsetattr(pty, TCSANOW, &t) < 0
		       ? skf_fail_errno(e, "set the modes of the container's terminal")
		       : 0;
}

int skf_terminal_adopt(int peer, struct skf_err *e)
{
	int stdio[3] = {peer, peer, peer};
	int r = skf_tty_make_controlling(peer);

	if (r < 0)
		return skf_fail_sys(e, r, "make the container's terminal its controlling one");
	return skf_stdio_apply(stdio, e);
}

int skf_stdio_apply(const int stdio[3], struct skf_err *e)
{
	int high[3];

	/* moved up first: stdio[1] may be 0 */
	for (int i = 0; i < 3; i++) {
		high[i] = stdio[i] < 0 || stdio[i] == i ? -1 : skf_dup_cloexec(stdio[i]);
		if (high[i] < 0 && !(stdio[i] < 0 || stdio[i] == i))
			return skf_fail_sys(e, high[i], "duplicate descriptor %d for the container's stdio",
					    stdio[i]);
	}
	for (int i = 0; i < 3; i++) {
		if (high[i] >= 0 && dup2(high[i], i) < 0)
			return skf_fail_errno(e, "make descriptor %d the container's stdio %d", stdio[i], i);
		skf_closep(&high[i]);
		if (stdio[i] == i)
			(void)skf_set_cloexec(
				i, false); /* only fails when it is not open, which the workload then sees */
	}
	return 0;
}

void skf_stdio_chown(uint32_t uid, uint32_t gid, const struct skf_log *log)
{
	for (int fd = 0; fd < 3; fd++) {
		struct stat st;

		if (fstat(fd, &st) < 0 || st.st_uid == uid)
			continue;
		if (S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3)) /* the host's /dev/null, perhaps */
			continue;
		if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) || S_ISBLK(st.st_mode))
			continue; /* a file that the caller redirected stays the caller's */
		/* A terminal keeps its group, which is tty's; that of a pipe is nobody's choice. */
		if (fchown(fd, uid, S_ISFIFO(st.st_mode) ? gid : (gid_t)-1) < 0 && errno != EINVAL &&
		    errno != EPERM && errno != EROFS)
			skf_warn(log, "give stdio %d to uid %u: %s, ignoring", fd, uid, strerror(errno));
	}
}
