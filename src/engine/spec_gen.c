/* engine/spec_gen.c -- the OCI config.json of a container, with docker's defaults written out as tables.
 *
 * Pure but for two looks at the host: which CPUs have a thermal_throttle directory to mask, and which device
 * nodes exist when
 * --privileged asks for all of them. Invariants: (1) inheritable and ambient capabilities are never written
 * (T11); (2) only
 * --privileged drops several protections at once (DESIGN 8.4); (3) the document is accepted by any OCI
 * runtime. */
#include "engine/engine_int.h"
#include "oci/default_seccomp.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define OCI_VERSION "1.0.2"
#define SHM_SIZE    "size=67108864"
#define CPU_PERIOD  100000
#define MAX_CPUS    8192
#define DEV_DEPTH   8

struct mount_row {
	const char *target, *type, *source;
	const char *options; /* comma-joined */
};
static const struct mount_row default_mounts[] = {
	{"/proc", "proc", "proc", "nosuid,noexec,nodev"},
	{"/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=755,size=65536k"},
	{"/dev/pts", "devpts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5"},
	{"/sys", "sysfs", "sysfs", "nosuid,noexec,nodev,ro"},
	{"/sys/fs/cgroup", "cgroup", "cgroup", "ro,nosuid,noexec,nodev"},
	{"/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev"},
	{"/dev/shm", "tmpfs", "shm", "nosuid,noexec,nodev,mode=1777," SHM_SIZE},
};
static const char *const masked[] = {
	"/proc/acpi",
	"/proc/asound",
	"/proc/interrupts",
	"/proc/kcore",
	"/proc/keys",
	"/proc/latency_stats",
	"/proc/sched_debug",
	"/proc/scsi",
	"/proc/timer_list",
	"/proc/timer_stats",
	"/sys/devices/virtual/powercap",
	"/sys/firmware",
};
static const char *const readonly_paths[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
					     "/proc/sysrq-trigger"};

struct device_rule {
	char type;
	int major, minor; /* -1: any */
	const char *access;
};
/* What a container may open and make: docker's list and the runtime's own default devices. */
static const struct device_rule device_rules[] = {
	{'c', -1, -1, "m"}, {'b', -1, -1, "m"}, {'c', 1, 3, "rwm"},    {'c', 1, 5, "rwm"},
	{'c', 1, 7, "rwm"}, {'c', 1, 8, "rwm"}, {'c', 1, 9, "rwm"},    {'c', 5, 0, "rwm"},
	{'c', 5, 1, "rwm"}, {'c', 5, 2, "rwm"}, {'c', 136, -1, "rwm"},
};

static void write_options(struct skf_jw *w, const char *list, bool writable)
{
	char word[64];

	skf_jw_karr(w, "options");
	while (*list) {
		size_t n = strcspn(list, ",");

		if (n < sizeof(word)) {
			memcpy(word, list, n);
			word[n] = '\0';
			skf_jw_str(w, writable && skf_streq(word, "ro") ? "rw" : word);
		}
		list += n + (list[n] == ',');
	}
	skf_jw_end_arr(w);
}

static void write_bind(struct skf_jw *w, const struct skf_gen_mount *m)
{
	skf_jw_obj(w);
	skf_jw_kstr(w, "destination", m->target);
	skf_jw_kstr(w, "type", "bind");
	skf_jw_kstr(w, "source", m->source);
	skf_jw_karr(w, "options");
	skf_jw_str(w, "rbind");
	if (m->readonly)
		skf_jw_str(w, "ro");
	skf_jw_str(w, m->propagation && *m->propagation ? m->propagation : "rprivate");
	skf_jw_end_arr(w);
	skf_jw_end(w);
}

static bool has_target(const struct skf_gen *g, const char *target)
{
	for (size_t i = 0; i < g->n_mounts; i++)
		if (skf_streq(g->mounts[i].target, target))
			return true;
	return false;
}

static int write_hostfiles(struct skf_jw *w, const struct skf_gen *g, struct skf_err *e)
{
	static const char *const files[] = {"resolv.conf", "hostname", "hosts"};
	char source[4096], target[64];

	for (size_t i = 0; g->hosts_dir && i < SKF_ARRAY_LEN(files); i++) {
		struct skf_gen_mount m = {.source = source, .target = target};

		if (skf_fmt(target, sizeof(target), "/etc/%s", files[i]) < 0 ||
		    skf_fmt(source, sizeof(source), "%s/%s", g->hosts_dir, files[i]) < 0)
			return skf_fail(e, SKF_ELIMIT, "the path '%s/%s' is too long", g->hosts_dir,
					files[i]);
		if (!has_target(g, target)) /* the user's own mount wins */
			write_bind(w, &m);
	}
	return 0;
}

static int write_mounts(struct skf_jw *w, const struct skf_gen *g, struct skf_err *e)
{
	skf_jw_karr(w, "mounts");
	for (size_t i = 0; i < SKF_ARRAY_LEN(default_mounts); i++) {
		const struct mount_row *m = &default_mounts[i];

		if (has_target(g, m->target))
			continue;
		skf_jw_obj(w);
		skf_jw_kstr(w, "destination", m->target);
		skf_jw_kstr(w, "type", m->type);
		skf_jw_kstr(w, "source", m->source);
		write_options(w, m->options, g->privileged);
		skf_jw_end(w);
	}
	if (write_hostfiles(w, g, e) < 0)
		return -1;
	for (size_t i = 0; i < g->n_mounts; i++)
		write_bind(w, &g->mounts[i]);
	skf_jw_end_arr(w);
	return 0;
}

static void write_device_rules(struct skf_jw *w, bool privileged)
{
	skf_jw_karr(w, "devices");
	skf_jw_obj(w);
	skf_jw_kbool(w, "allow", privileged);
	skf_jw_kstr(w, "access", "rwm");
	skf_jw_end(w);
	for (size_t i = 0; !privileged && i < SKF_ARRAY_LEN(device_rules); i++) {
		const struct device_rule *r = &device_rules[i];
		const char type[2] = {r->type, '\0'};

		skf_jw_obj(w);
		skf_jw_kbool(w, "allow", true);
		skf_jw_kstr(w, "type", type);
		if (r->major >= 0)
			skf_jw_kint(w, "major", r->major);
		if (r->minor >= 0)
			skf_jw_kint(w, "minor", r->minor);
		skf_jw_kstr(w, "access", r->access);
		skf_jw_end(w);
	}
	skf_jw_end_arr(w);
}

static void write_resources(struct skf_jw *w, const struct skf_gen *g)
{
	skf_jw_kobj(w, "resources");
	write_device_rules(w, g->privileged);
	if (g->memory > 0) {
		skf_jw_kobj(w, "memory");
		skf_jw_kint(w, "limit", g->memory);
		if (g->swap_accounting && g->memory <= INT64_MAX / 2)
			skf_jw_kint(w, "swap", g->memory * 2); /* docker's default: as much swap as memory */
		skf_jw_end(w);
	}
	if (g->nano_cpus > 0) {
		skf_jw_kobj(w, "cpu");
		skf_jw_kint(w, "quota", (int64_t)((__int128)g->nano_cpus * CPU_PERIOD / 1000000000));
		skf_jw_ku64(w, "period", CPU_PERIOD);
		skf_jw_end(w);
	}
	if (g->pids_limit) {
		skf_jw_kobj(w, "pids");
		skf_jw_kint(w, "limit", g->pids_limit);
		skf_jw_end(w);
	}
	skf_jw_end(w);
}

static void write_namespaces(struct skf_jw *w, bool host_network)
{
	static const char *const types[] = {"pid", "mount", "ipc", "uts", "cgroup", "network"};

	skf_jw_karr(w, "namespaces");
	for (size_t i = 0; i < SKF_ARRAY_LEN(types) - host_network; i++) {
		skf_jw_obj(w);
		skf_jw_kstr(w, "type", types[i]);
		skf_jw_end(w);
	}
	skf_jw_end_arr(w);
}

static void write_thermal(struct skf_jw *w)
{
	char path[80];

	for (unsigned i = 0; i < MAX_CPUS; i++) {
		snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%u/thermal_throttle", i);
		if (faccessat(AT_FDCWD, path, F_OK, 0) < 0)
			break; /* the first without one: none has it, or no more CPUs */
		skf_jw_str(w, path);
	}
}

static void write_paths(struct skf_jw *w)
{
	skf_jw_karr(w, "maskedPaths");
	for (size_t i = 0; i < SKF_ARRAY_LEN(masked); i++)
		skf_jw_str(w, masked[i]);
	write_thermal(w);
	skf_jw_end_arr(w);
	skf_jw_karr(w, "readonlyPaths");
	for (size_t i = 0; i < SKF_ARRAY_LEN(readonly_paths); i++)
		skf_jw_str(w, readonly_paths[i]);
	skf_jw_end_arr(w);
}

static void write_device(struct skf_jw *w, const char *path, const struct stat *st)
{
	skf_jw_obj(w);
	skf_jw_kstr(w, "path", path);
	skf_jw_kstr(w, "type", S_ISCHR(st->st_mode) ? "c" : "b");
	skf_jw_ku64(w, "major", major(st->st_rdev));
	skf_jw_ku64(w, "minor", minor(st->st_rdev));
	skf_jw_ku64(w, "fileMode", st->st_mode & 07777);
	skf_jw_ku64(w, "uid", st->st_uid);
	skf_jw_ku64(w, "gid", st->st_gid);
	skf_jw_end(w);
}

/* Directories of /dev that the container has of its own, and the nodes that the runtime makes. */
static bool dev_skipped(const char *path)
{
	static const char *const own[] = {
		"/dev/pts",         "/dev/shm",   "/dev/fd",      "/dev/mqueue",  "/dev/.lxc",
		"/dev/.lxd-mounts", "/dev/.udev", "/dev/console", "/dev/ptmx",    "/dev/null",
		"/dev/zero",        "/dev/full",  "/dev/random",  "/dev/urandom", "/dev/tty",
	};

	for (size_t i = 0; i < SKF_ARRAY_LEN(own); i++)
		if (skf_streq(path, own[i]))
			return true;
	return false;
}

static int write_host_devices(struct skf_jw *w, const char *dir, unsigned depth, struct skf_err *e)
{
	SKF_AUTO_FD int fd = skf_openat(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	SKF_AUTO_DIR DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;
	unsigned n = 0;

	if (!d)
		return skf_fail_sys(e, fd < 0 ? fd : -errno, "list the host's devices in '%s'", dir);
	(void)SKF_TAKE_FD(fd); /* d closes it */
	while ((de = readdir(d))) {
		char path[1024];
		struct stat st;

		if (skf_streq(de->d_name, ".") || skf_streq(de->d_name, "..") ||
		    skf_fmt(path, sizeof(path), "%s/%s", dir, de->d_name) < 0 || dev_skipped(path))
			continue;
		if (fstatat(dirfd(d), de->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue; /* unplugged this moment */
		if (S_ISDIR(st.st_mode) && depth < DEV_DEPTH) {
			if (write_host_devices(w, path, depth + 1, e) < 0)
				return -1;
		} else if ((S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) && st.st_rdev != makedev(0, 0)) {
			if (++n > SKF_MAX_DEVICES)
				return skf_fail(e, SKF_ELIMIT, "'%s' has more than %d devices", dir,
						SKF_MAX_DEVICES);
			write_device(w, path, &st);
		}
	}
	return 0;
}

static int write_linux(struct skf_jw *w, const struct skf_gen *g, struct skf_err *e)
{
	char cgroup[SKF_ID_LEN + 32];

	if (skf_fmt(cgroup, sizeof(cgroup), SKF_CGROUP_PARENT "/%s", g->id) < 0)
		return skf_fail(e, SKF_EINVALID, "the id '%s' is too long", g->id);
	skf_jw_kobj(w, "linux");
	if (!g->host_network) {
		skf_jw_kobj(w, "sysctl");
		skf_jw_kstr(w, "net.ipv4.ip_unprivileged_port_start", "0");
		skf_jw_kstr(w, "net.ipv4.ping_group_range", "0 2147483647");
		skf_jw_end(w);
	}
	skf_jw_kstr(w, "cgroupsPath", cgroup);
	write_resources(w, g);
	write_namespaces(w, g->host_network);
	if (g->privileged) {
		skf_jw_karr(w, "devices");
		if (write_host_devices(w, "/dev", 0, e) < 0)
			return -1;
		skf_jw_end_arr(w);
	} else {
		write_paths(w);
		if (!g->seccomp_unconfined && skf_default_seccomp_write(w, g->process.caps) < 0)
			return skf_fail(e, SKF_EUNSUPPORTED,
					"this machine's architecture has no default seccomp profile; "
					"--security-opt seccomp=unconfined "
					"runs without one");
	}
	skf_jw_end(w);
	return 0;
}

int skf_spec_gen(const struct skf_gen *g, struct skf_buf *ret, struct skf_err *e)
{
	struct skf_jw w = SKF_JW(ret);

	skf_jw_obj(&w);
	skf_jw_kint(&w, "v", 1);
	skf_jw_kint(&w, "min", 1);
	skf_jw_kstr(&w, "ociVersion", OCI_VERSION);
	skf_process_gen(&w, "process", &g->process);
	skf_jw_kobj(&w, "root");
	skf_jw_kstr(&w, "path", "rootfs");
	skf_jw_kbool(&w, "readonly", g->readonly);
	skf_jw_end(&w);
	skf_jw_kstr(&w, "hostname", g->hostname);
	if (write_mounts(&w, g, e) < 0 || write_linux(&w, g, e) < 0)
		return -1;
	skf_ctrconf_write(&w, g->conf);
	skf_jw_end(&w);
	if (ret->err < 0)
		return skf_fail_sys(e, ret->err,
				    "write the config.json of container '%.12s' (at most %d bytes)", g->id,
				    (int)SKF_MAX_SPEC_BYTES);
	return 0;
}
