/* bench/floor.c -- the least that a start of a container can cost: what the kernel has to do for runc's
 * default bundle, and nothing else.
 *
 * Usage: floor ROOTFS PROGRAM. No configuration, no state, no checks, no error messages, no safety: cgroup
 * directories with the device rules, one clone3 with the namespaces, the mounts, devices and links,
 * pivot_root, masked and read-only paths, capabilities, execve, wait, rmdir. On cgroup v2 the device filter,
 * an eBPF program, is left out. A runtime can be compared with it; it must never be used as one. Exit
 * status: the program's, 120 and more when a step failed (the errno is printed). */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <linux/sched.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define MUST(x)                                                                                             \
	do {                                                                                                \
		if ((x) < 0) {                                                                              \
			fprintf(stderr, "floor: %s: %s\n", #x, strerror(errno));                            \
			_exit(120);                                                                         \
		}                                                                                           \
	} while (0)

static char hier[24][128];      /* mount points of the cgroup hierarchies */
static int v2_only, v2, n_hier; /* v2: its index, or -1 */

static void put(const char *dir, const char *file, const char *text)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	MUST(fd);
	MUST(write(fd, text, strlen(text)));
	close(fd);
}

static int is_v2(const char *path)
{
	struct statfs fs;

	return statfs(path, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;
}

static void find_hierarchies(void)
{
	DIR *d = NULL;
	struct dirent *e;
	struct statfs fs;

	v2 = -1;
	v2_only = is_v2("/sys/fs/cgroup");
	if (v2_only) {
		strcpy(hier[n_hier++], "/sys/fs/cgroup");
		v2 = 0;
		return;
	}
	d = opendir("/sys/fs/cgroup");
	while (d && (e = readdir(d)) && n_hier < 24) {
		char path[sizeof(hier[0])];

		if (e->d_type != DT_DIR ||
		    snprintf(path, sizeof(path), "/sys/fs/cgroup/%.100s", e->d_name) < 0 ||
		    statfs(path, &fs) < 0 ||
		    (fs.f_type != CGROUP_SUPER_MAGIC && fs.f_type != CGROUP2_SUPER_MAGIC))
			continue;
		if (fs.f_type == CGROUP2_SUPER_MAGIC)
			v2 = n_hier;
		strcpy(hier[n_hier++], path);
	}
	if (d)
		closedir(d);
}

static const char *const rules[] = {"c *:* m",   "b *:* m",     "c 1:3 rwm", "c 1:8 rwm",
				    "c 1:7 rwm", "c 5:0 rwm",   "c 1:5 rwm", "c 1:9 rwm",
				    "c 5:1 rwm", "c 136:* rwm", "c 5:2 rwm"};

static void copy_setting(const char *from, const char *to, const char *file)
{
	char path[512], text[512];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", from, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	MUST(fd);
	n = read(fd, text, sizeof(text) - 1);
	MUST(n);
	text[n] = '\0';
	close(fd);
	put(to, file, text);
}

static void make_cgroups(char dirs[][200], const char *name)
{
	for (int i = 0; i < n_hier; i++) {
		snprintf(dirs[i], 200, "%s/%s", hier[i], name);
		MUST(mkdir(dirs[i], 0755));
		if (strstr(hier[i], "/devices")) {
			put(dirs[i], "devices.deny", "a");
			for (size_t k = 0; k < sizeof(rules) / sizeof(rules[0]); k++)
				put(dirs[i], "devices.allow", rules[k]);
		} else if (strstr(hier[i], "/cpuset")) {
			copy_setting(hier[i], dirs[i], "cpuset.cpus");
			copy_setting(hier[i], dirs[i], "cpuset.mems");
		}
	}
}

static const struct {
	const char *name;
	int major, minor;
} devs[] = {{"null", 1, 3},   {"zero", 1, 5},    {"full", 1, 7},
	    {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}};
static const char *const links[][2] = {{"/proc/self/fd", "dev/fd"},
				       {"/proc/self/fd/0", "dev/stdin"},
				       {"/proc/self/fd/1", "dev/stdout"},
				       {"/proc/self/fd/2", "dev/stderr"},
				       {"pts/ptmx", "dev/ptmx"}};
static const char *const masked[] = {
	"/proc/acpi",       "/proc/asound",      "/proc/kcore",       "/proc/keys",    "/proc/latency_stats",
	"/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi"};
static const char *const readonly[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
				       "/proc/sysrq-trigger"};
#define NOTHING (MS_NOSUID | MS_NOEXEC | MS_NODEV)

/* As a runtime without a cgroup namespace has to: one bind mount per hierarchy on a tmpfs. */
static void mount_cgroups(const char *name)
{
	char from[256], to[256];

	if (v2_only) {
		MUST(mount("cgroup2", "sys/fs/cgroup", "cgroup2", NOTHING | MS_RDONLY, NULL));
		return;
	}
	MUST(mount("cgroup", "sys/fs/cgroup", "tmpfs", NOTHING, "mode=755"));
	for (int i = 0; i < n_hier; i++) {
		snprintf(from, sizeof(from), "%.120s/%.120s", hier[i], name);
		snprintf(to, sizeof(to), "sys/fs/cgroup%.120s", strrchr(hier[i], '/'));
		MUST(mkdir(to, 0755));
		MUST(mount(from, to, NULL, MS_BIND, NULL));
		MUST(mount(NULL, to, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | NOTHING, NULL));
	}
	MUST(mount(NULL, "sys/fs/cgroup", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | NOTHING, NULL));
}

static void build_root(const char *root, const char *name)
{
	MUST(mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL));
	MUST(mount(root, root, NULL, MS_BIND | MS_REC, NULL));
	MUST(chdir(root));
	for (const char *const *d = (const char *const[]){"proc", "dev", "sys", NULL}; *d; d++)
		(void)mkdir(*d, 0755);
	MUST(mount("proc", "proc", "proc", 0, NULL));
	MUST(mount("tmpfs", "dev", "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k"));
	for (const char *const *d = (const char *const[]){"dev/pts", "dev/shm", "dev/mqueue", NULL}; *d; d++)
		MUST(mkdir(*d, 0755));
	MUST(mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
		   "newinstance,ptmxmode=0666,mode=0620,gid=5"));
	MUST(mount("shm", "dev/shm", "tmpfs", NOTHING, "mode=1777,size=65536k"));
	MUST(mount("mqueue", "dev/mqueue", "mqueue", NOTHING, NULL));
	MUST(mount("sysfs", "sys", "sysfs", NOTHING | MS_RDONLY, NULL));
	mount_cgroups(name);
	for (size_t i = 0; i < sizeof(devs) / sizeof(devs[0]); i++) {
		char path[32];

		snprintf(path, sizeof(path), "dev/%s", devs[i].name);
		MUST(mknod(path, S_IFCHR | 0666, makedev(devs[i].major, devs[i].minor)));
	}
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		MUST(symlink(links[i][0], links[i][1]));
	MUST(syscall(SYS_pivot_root, ".", "."));
	MUST(umount2(".", MNT_DETACH));
	MUST(chdir("/"));
	for (size_t i = 0; i < sizeof(readonly) / sizeof(readonly[0]); i++)
		if (mount(readonly[i], readonly[i], NULL, MS_BIND | MS_REC, NULL) == 0)
			MUST(mount(NULL, readonly[i], NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL));
	for (size_t i = 0; i < sizeof(masked) / sizeof(masked[0]); i++)
		if (mount("/dev/null", masked[i], NULL, MS_BIND, NULL) < 0 && errno == ENOTDIR)
			MUST(mount("tmpfs", masked[i], "tmpfs", MS_RDONLY, NULL));
	MUST(mount(NULL, "/", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL));
}

static void drop_privileges(void)
{
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	unsigned keep = 1u << CAP_AUDIT_WRITE | 1u << CAP_KILL | 1u << CAP_NET_BIND_SERVICE;
	struct __user_cap_data_struct d[2] = {{keep, keep, 0}, {0, 0, 0}};

	for (unsigned c = 0; c <= CAP_LAST_CAP; c++)
		if (c >= 32 || !(keep & (1u << c)))
			(void)prctl(PR_CAPBSET_DROP, c, 0, 0, 0);
	MUST(syscall(SYS_capset, &h, d));
	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

static void loopback_up(void)
{
	struct ifreq r = {.ifr_flags = IFF_UP};
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	strcpy(r.ifr_name, "lo");
	MUST(s);
	MUST(ioctl(s, SIOCSIFFLAGS, &r));
	close(s);
}

int main(int argc, char **argv)
{
	struct clone_args c = {.flags = CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS |
					CLONE_NEWNS,
			       .exit_signal = SIGCHLD};
	static char dirs[24][200];
	char name[40], text[24], byte = 0;
	char *const args[] = {argc > 2 ? argv[2] : NULL, NULL}, *const env[] = {"PATH=/bin", NULL};
	int go[2], status;
	pid_t pid;

	if (argc != 3)
		return 2;
	snprintf(name, sizeof(name), "skiff-floor-%d", (int)getpid());
	find_hierarchies();
	make_cgroups(dirs, name);
	MUST(pipe2(go, O_CLOEXEC));
	if (v2 >= 0) {
		int fd = open(dirs[v2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		MUST(fd);
		c.flags |= CLONE_INTO_CGROUP;
		c.cgroup = (unsigned)fd;
	}
	pid = (pid_t)syscall(SYS_clone3, &c, sizeof(c));
	MUST(pid);
	if (pid == 0) {
		setsid();
		MUST(sethostname("floor", 5));
		loopback_up();
		build_root(argv[1], name);
		MUST(read(go[0], &byte, 1)); /* in its cgroups: done beside the mounts, as the write waits
						for an RCU grace period */
		drop_privileges();
		execve(args[0], args, env);
		_exit(121);
	}
	snprintf(text, sizeof(text), "%d", (int)pid);
	for (int i = 0; i < n_hier; i++)
		if (i != v2)
			put(dirs[i], "cgroup.procs", text);
	MUST(write(go[1], &byte, 1));
	MUST(waitpid(pid, &status, 0));
	for (int i = 0; i < n_hier; i++)
		while (rmdir(dirs[i]) < 0 && errno == EBUSY)
			;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 122;
}
