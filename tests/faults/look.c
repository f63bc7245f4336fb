/* tests/faults/look.c -- the workload of the fault tests: says what it is confined to, so that a start that
 * went through although a call failed can be compared with an undisturbed one.
 *
 *   look [wait]     prints; with `wait` it then stays until it is killed
 *
 * Built static: nothing but its own file is needed. Values that differ from start to start (process ids,
 * mount ids, inodes, device numbers of tmpfs) are left out.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <unistd.h>

extern char **environ;

static void lines(const char *path, const char *const *starts)
{
	char line[4096];
	FILE *f = fopen(path, "re");

	while (f && fgets(line, sizeof line, f))
		for (size_t i = 0; starts[i]; i++)
			if (strncmp(line, starts[i], strlen(starts[i])) == 0)
				printf("%s", line);
	if (f)
		fclose(f);
}

/* Place, options, propagation, type and the file system's options; neither ids, nor device numbers, nor the
 * source, which is only a word for most. */
static void mounts(void)
{
	char line[4096];
	FILE *f = fopen("/proc/self/mountinfo", "re");

	while (f && fgets(line, sizeof line, f)) {
		char *at = strtok(line, " ");

		for (int i = 0; at && i < 4; i++)
			at = strtok(NULL, " ");
		if (!at)
			continue;
		printf("mount %s", at);
		for (int after = 0; (at = strtok(NULL, " \n")); after += after > 0 || strcmp(at, "-") == 0) {
			if (after == 2)
				continue;
			if (strncmp(at, "shared:", 7) == 0)
				printf(" shared");
			else if (strncmp(at, "master:", 7) == 0)
				printf(" master");
			else
				printf(" %s", at);
		}
		printf("\n");
	}
	if (f)
		fclose(f);
}

static void fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.' && strtol(e->d_name, NULL, 10) != dirfd(d))
			printf("fd %s flags %o\n", e->d_name,
			       fcntl((int)strtol(e->d_name, NULL, 10), F_GETFL) & (O_ACCMODE | O_PATH));
	if (d)
		closedir(d);
}

static void one(const char *path)
{
	char text[4096] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

	if (fd >= 0)
		close(fd);
	text[n < 0 ? 0 : n] = '\0';
	printf("%s: %s%s", path, text, n > 0 && text[n - 1] == '\n' ? "" : "\n");
}

static void nodes(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	struct stat st;
	char path[600];

	while (d && (e = readdir(d))) {
		snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
		if (e->d_name[0] != '.' && lstat(path, &st) == 0)
			printf("node %s %o %u:%u %u:%u\n", path, st.st_mode, st.st_uid, st.st_gid,
			       S_ISCHR(st.st_mode) ? major(st.st_rdev) : 0,
			       S_ISCHR(st.st_mode) ? minor(st.st_rdev) : 0);
	}
	if (d)
		closedir(d);
}

int main(int argc, char **argv)
{
	static const char *const status[] = {"Uid", "Gid",    "Groups", "NoNewPrivs", "Seccomp",
					     "Cap", "SigBlk", "SigIgn", "Umask",      "Seccomp_filters",
					     NULL};
	static const char *const masked[] = {"/proc/cpuinfo", "/proc/sys/kernel/msgmax", "/secret", NULL};
	char cwd[4096] = "";
	struct utsname u = {0};
	struct rlimit l;

	lines("/proc/self/status", status);
	mounts();
	fds();
	nodes("/dev");
	one("/proc/self/oom_score_adj");
	one("/proc/self/cgroup");
	for (int i = 0; masked[i]; i++) {
		struct stat st = {0};

		printf("stat %s %d %o ", masked[i], stat(masked[i], &st), st.st_mode);
		printf("write %d\n", access(masked[i], W_OK));
	}
	one("/proc/sys/kernel/msgmax");
	for (int i = 0; i < RLIM_NLIMITS; i++)
		if (getrlimit(i, &l) == 0)
			printf("limit %d %llu %llu\n", i, (unsigned long long)l.rlim_cur,
			       (unsigned long long)l.rlim_max);
	if (uname(&u) == 0)
		printf("host %s\n", u.nodename);
	printf("cwd %s\n", getcwd(cwd, sizeof cwd) ? cwd : "?");
	printf("session %d dumpable %d\n", getsid(0) == getpid(), prctl(PR_GET_DUMPABLE));
	for (char **e = environ; *e; e++)
		printf("env %s\n", *e);
	printf("end\n");
	fflush(stdout);
	while (argc > 1 && strcmp(argv[1], "wait") == 0)
		pause();
	return 0;
}
