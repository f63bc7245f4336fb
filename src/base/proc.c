/* base/proc.c -- identity of processes and waiting for children. A process is (pid, start time, boot id): a
 * pid alone may have been given to somebody else. Needs /proc. Only skf_wait_pid waits. */
#include "base/proc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define REAP_STEP_MS 5
#define PIDFS_MAGIC  0x50494446 /* PID_FS_MAGIC of linux/magic.h, which older headers lack */

static int read_small(const char *path, char *out, size_t size)
{
	SKF_AUTO_FD int fd = skf_openat(AT_FDCWD, path, O_RDONLY, 0);
	size_t n = 0;
	ssize_t r = 0;

	if (fd < 0)
		return fd;
	while (n < size - 1) {
		r = read(fd, out + n, size - 1 - n);
		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			break;
		n += (size_t)r;
	}
	if (r < 0)
		return skf_errno();
	out[n] = 0;
	return 0;
}

struct stat_line {
	char state;
	uint64_t threads, start;
};

/* Field n (4 or above) of a line whose field 2 ends at p. */
static int stat_number(const char *p, unsigned n, uint64_t *ret)
{
	char num[24];
	size_t len;

	for (; n > 2; n--) {
		p = strchr(p, ' ');
		if (!p)
			return -EBADMSG;
		p++;
	}
	len = strcspn(p, " \n");
	if (len >= sizeof(num))
		return -EBADMSG;
	memcpy(num, p, len);
	num[len] = 0;
	return skf_parse_u64(num, ret) < 0 ? -EBADMSG : 0;
}

/* proc_pid_stat(5). The name in field 2 may hold spaces and ')', so that fields are counted from the last
 * ')'. */
static int read_stat(pid_t pid, struct stat_line *ret)
{
	char path[40], text[2048];
	struct stat_line s = {0};
	const char *p;
	int r;

	if (pid <= 0)
		return -ESRCH;
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	r = read_small(path, text, sizeof(text));
	if (r < 0)
		return r == -ENOENT ? -ESRCH : r;
	p = strrchr(text, ')');
	if (!p || p[1] != ' ')
		return -EBADMSG;
	s.state = p[2];
	r = stat_number(p, 20, &s.threads);
	if (r == 0)
		r = stat_number(p, 22, &s.start);
	if (r < 0)
		return r;
	*ret = s;
	return 0;
}

int skf_proc_start_time(pid_t pid, uint64_t *ret)
{
	struct stat_line s;
	int r = read_stat(pid, &s);

	if (r == 0)
		*ret = s.start;
	return r;
}

int skf_boot_id(char out[37])
{
	char text[64];
	int r = read_small("/proc/sys/kernel/random/boot_id", text, sizeof(text));

	if (r < 0)
		return r;
	if (strcspn(text, "\n") != 36)
		return -EBADMSG;
	memcpy(out, text, 36);
	out[36] = 0;
	return 0;
}

/* A thread group whose first thread ended shows state Z as well, but still runs in its other threads. */
int skf_proc_alive(pid_t pid, uint64_t start_time)
{
	struct stat_line s;
	int r = read_stat(pid, &s);

	if (r == -ESRCH)
		return 0;
	if (r < 0)
		return r;
	if (s.start != start_time || s.state == 'X')
		return 0;
	return s.state != 'Z' || s.threads > 1;
}

static int pidfd_of(pid_t pid)
{
	int fd = pid <= 0 ? -1 : pidfd_open(pid, 0);

	return fd >= 0 ? fd : pid <= 0 ? -ESRCH : skf_errno();
}

/* Kernels before pidfs have one inode for all of them. pidfd_open(2). */
int skf_proc_id(pid_t pid, uint64_t *ret)
{
	SKF_AUTO_FD int fd = pidfd_of(pid);
	struct statfs fs;
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstatfs(fd, &fs) < 0 || fstat(fd, &st) < 0)
		return skf_errno();
	if (fs.f_type != PIDFS_MAGIC || !st.st_ino)
		return -EOPNOTSUPP;
	*ret = st.st_ino;
	return 0;
}

int skf_proc_alive_id(pid_t pid, uint64_t id)
{
	SKF_AUTO_FD int fd = pidfd_of(pid);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct stat st;
	int r;

	if (fd < 0)
		return fd == -ESRCH ? 0 : fd;
	if (fstat(fd, &st) < 0)
		return skf_errno();
	if (st.st_ino != id)
		return 0;
	r = poll(&p, 1, 0); /* readable: all of its threads have ended */
	return r < 0 ? skf_errno() : r == 0;
}

static int try_reap(pid_t pid, int pidfd, int *ret_status)
{
	siginfo_t si = {0};
	int status = 0, r;

	do
		r = pid > 0 ? waitpid(pid, &status, WNOHANG)
			    : waitid(P_PIDFD, (id_t)pidfd, &si, WEXITED | WNOHANG);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return skf_errno();
	if (pid > 0 ? r == 0 : si.si_pid == 0)
		return 0;
	if (pid <= 0)
		status = si.si_code == CLD_EXITED
				 ? W_EXITCODE(si.si_status & 0xff, 0)
				 : W_EXITCODE(0, si.si_status) | (si.si_code == CLD_DUMPED ? WCOREFLAG : 0);
	if (ret_status)
		*ret_status = status;
	return 1;
}

int skf_wait_pid(pid_t pid, int pidfd, int timeout_ms, int *ret_status)
{
	SKF_AUTO_FD int own = -EBADF;
	struct timespec pause = {.tv_nsec = REAP_STEP_MS * 1000000L};
	int64_t end = skf_mono_ms() + timeout_ms, left;
	int r;

	if (pidfd < 0) {
		pidfd = own = pidfd_open(pid, 0);
		if (own < 0)
			return errno == ESRCH ? -ECHILD : skf_errno();
	}
	for (;;) {
		struct pollfd p = {.fd = pidfd, .events = POLLIN};

		r = try_reap(pid, pidfd, ret_status);
		if (r != 0)
			return r < 0 ? r : 0;
		left = timeout_ms < 0 ? -1 : end - skf_mono_ms();
		if (timeout_ms >= 0 && left <= 0)
			return -ETIMEDOUT;
		r = poll(&p, 1, (int)left);
		if (r < 0 && errno != EINTR)
			return skf_errno();
		/* A tracer may hold the zombie back for a while: then poll returns at once, each time. */
		if (r > 0 && try_reap(pid, pidfd, ret_status) == 1)
			return 0;
		if (r > 0)
			nanosleep(&pause, NULL);
	}
}

int skf_wait_code(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int check_program(const char *dir, const char *rel, const char *name, char *out, size_t size)
{
	char path[PATH_MAX];
	int r = skf_fmt(path, sizeof(path), "%s/%s%s", dir, rel, name);

	if (r == 0)
		r = skf_sys(faccessat(AT_FDCWD, path, X_OK, AT_EACCESS));
	return r < 0 ? r : skf_fmt(out, size, "%s", path);
}

int skf_sibling_program(const char *name, char *out, size_t size)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self));

	if (n < 0)
		return skf_errno();
	if ((size_t)n >= sizeof(self))
		return -ENAMETOOLONG;
	self[n] = 0;
	return skf_sibling_of(self, name, out, size);
}

int skf_sibling_of(const char *self, const char *name, char *out, size_t size)
{
	const char *over = getauxval(AT_SECURE) ? NULL : getenv("SKIFF_LIBEXEC");
	char dir[PATH_MAX], *slash;
	int r;

	if (over && *over)
		return *over == '/' ? check_program(over, "", name, out, size) : -EINVAL;
	r = skf_fmt(dir, sizeof(dir), "%s", self);
	if (r < 0)
		return r;
	slash = strrchr(dir, '/'); /* " (deleted)" of a replaced program stands behind it */
	if (!slash)
		return -ENOENT;
	*slash = 0;
	r = check_program(dir, "", name, out, size);
	return r == -ENOENT ? check_program(dir, "../libexec/skiff/", name, out, size) : r;
}

/* Copies the word at *s into dst and moves *s behind it and one space; false when it does not fit. */
static bool take_word(const char **s, char *dst, size_t size)
{
	size_t n = strcspn(*s, " ");

	if (n == 0 || n >= size)
		return false;
	memcpy(dst, *s, n);
	dst[n] = '\0';
	*s += n + ((*s)[n] == ' ');
	return true;
}

int skf_proc_parse(const char *s, pid_t *ret_pid, uint64_t *ret_start, char ret_boot[37])
{
	char pid[12], start[24], boot[37];
	uint64_t st;
	uint32_t p;

	if (!take_word(&s, pid, sizeof(pid)) || !take_word(&s, start, sizeof(start)) ||
	    !take_word(&s, boot, sizeof(boot)) || *s)
		return -EBADMSG;
	if (skf_parse_u32(pid, &p) < 0 || p == 0 || p > INT32_MAX || skf_parse_u64(start, &st) < 0)
		return -EBADMSG;
	*ret_pid = (pid_t)p;
	*ret_start = st;
	memcpy(ret_boot, boot, sizeof(boot));
	return 0;
}
