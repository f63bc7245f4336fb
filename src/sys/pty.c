/* sys/pty.c -- pseudo terminals of a given devpts instance, window sizes, controlling terminal.
 *
 * The directory comes from a container, so nothing in it is believed: ptmx must be a character device 5:2 on
 * a devpts file system, no link is followed, and the peer is got from the master itself (TIOCGPTPEER), never
 * by its name. Nothing blocks. man 7 pty, ioctl_tty(2). */
#include "sys/process.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

static int open_ptmx(int ptsdir)
{
	struct open_how how = {
		.flags = O_RDWR | O_NOCTTY | O_CLOEXEC | O_NOFOLLOW,
		.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV | RESOLVE_BENEATH,
	};
	int fd = (int)syscall(SYS_openat2, ptsdir, "ptmx", &how, sizeof(how));

	return skf_sys(fd);
}

static int is_devpts_ptmx(int fd)
{
	struct stat st;
	struct statfs fs;

	if (fstat(fd, &st) < 0 || fstatfs(fd, &fs) < 0)
		return skf_errno();
	if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(5, 2) || fs.f_type != DEVPTS_SUPER_MAGIC)
		return -ENODEV;
	return 0;
}

int skf_pty_open(int ptsdir, int *ret_master, int *ret_peer)
{
	struct statfs fs;
	int master, peer = -EBADF, unlock = 0, r;

	/* checked before the open too: opening a device has effects */
	if (fstatfs(ptsdir, &fs) < 0)
		return skf_errno();
	if (fs.f_type != DEVPTS_SUPER_MAGIC)
		return -ENODEV;
	master = open_ptmx(ptsdir);
	if (master < 0)
		return master;
	r = is_devpts_ptmx(master);
	if (r == 0 && ioctl(master, TIOCSPTLCK, &unlock) < 0)
		r = skf_errno();
	if (r == 0) {
		peer = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
		if (peer < 0)
			r = skf_errno();
	}
	if (r < 0) {
		close(master);
		return r;
	}
	*ret_master = master;
	*ret_peer = peer;
	return 0;
}

int skf_tty_set_size(int fd, unsigned rows, unsigned cols)
{
	struct winsize w = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)cols};

	return skf_sys(ioctl(fd, TIOCSWINSZ, &w));
}

int skf_tty_get_size(int fd, unsigned *rows, unsigned *cols)
{
	struct winsize w;

	if (ioctl(fd, TIOCGWINSZ, &w) < 0)
		return skf_errno();
	*rows = w.ws_row;
	*cols = w.ws_col;
	return 0;
}

int skf_tty_make_controlling(int fd)
{
	return skf_sys(ioctl(fd, TIOCSCTTY, 0));
}
