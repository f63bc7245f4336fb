/* oci/spec_default.c -- the config.json that `skiff-oci spec` writes: the example of the runtime-spec in the
 * shape that runc gives it, so that scripts written for `runc spec` find what they expect. Reads only
 * whether /sys/fs/cgroup is cgroup v2. */
#include "oci/spec.h"
#include <linux/magic.h>
#include <sys/vfs.h>

static void strings(struct skf_jw *w, const char *key, const char *const *v)
{
	skf_jw_karr(w, key);
	for (; *v; v++)
		skf_jw_str(w, *v);
	skf_jw_end_arr(w);
}

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

static void write_process(struct skf_jw *w)
{
	static const char *const sets[] = {"bounding", "effective", "permitted"};

	skf_jw_kobj(w, "process");
	skf_jw_kbool(w, "terminal", true);
	skf_jw_kobj(w, "user");
	skf_jw_kint(w, "uid", 0);
	skf_jw_kint(w, "gid", 0);
	skf_jw_end(w);
	strings(w, "args", LIST("sh"));
	strings(w, "env",
		LIST("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"));
	skf_jw_kstr(w, "cwd", "/");
	skf_jw_kobj(w, "capabilities");
	for (size_t i = 0; i < SKF_ARRAY_LEN(sets); i++)
		strings(w, sets[i], LIST("CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"));
	skf_jw_end(w);
	skf_jw_karr(w, "rlimits");
	skf_jw_obj(w);
	skf_jw_kstr(w, "type", "RLIMIT_NOFILE");
	skf_jw_kint(w, "hard", 1024);
	skf_jw_kint(w, "soft", 1024);
	skf_jw_end(w);
	skf_jw_end_arr(w);
	skf_jw_kbool(w, "noNewPrivileges", true);
	skf_jw_end(w);
}

static void write_mount(struct skf_jw *w, const char *destination, const char *type, const char *source,
			const char *const *options)
{
	skf_jw_obj(w);
	skf_jw_kstr(w, "destination", destination);
	skf_jw_kstr(w, "type", type);
	skf_jw_kstr(w, "source", source);
	if (options)
		strings(w, "options", options);
	skf_jw_end(w);
}

/* Rootless: gid 5 (tty) is not mapped, and sysfs of a network namespace that is not the user's cannot be
 * mounted. */
static void write_mounts(struct skf_jw *w, bool rootless)
{
	skf_jw_karr(w, "mounts");
	write_mount(w, "/proc", "proc", "proc", NULL);
	write_mount(w, "/dev", "tmpfs", "tmpfs", LIST("nosuid", "strictatime", "mode=755", "size=65536k"));
	write_mount(
		w, "/dev/pts", "devpts", "devpts",
		rootless ? LIST("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620")
			 : LIST("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"));
	write_mount(w, "/dev/shm", "tmpfs", "shm",
		    LIST("nosuid", "noexec", "nodev", "mode=1777", "size=65536k"));
	write_mount(w, "/dev/mqueue", "mqueue", "mqueue", LIST("nosuid", "noexec", "nodev"));
	if (rootless)
		write_mount(w, "/sys", "none", "/sys", LIST("rbind", "nosuid", "noexec", "nodev", "ro"));
	else
		write_mount(w, "/sys", "sysfs", "sysfs", LIST("nosuid", "noexec", "nodev", "ro"));
	write_mount(w, "/sys/fs/cgroup", "cgroup", "cgroup",
		    LIST("nosuid", "noexec", "nodev", "relatime", "ro"));
	skf_jw_end_arr(w);
}

static void write_mapping(struct skf_jw *w, const char *key, uint32_t host_id)
{
	skf_jw_karr(w, key);
	skf_jw_obj(w);
	skf_jw_kint(w, "containerID", 0);
	skf_jw_kint(w, "hostID", host_id);
	skf_jw_kint(w, "size", 1);
	skf_jw_end(w);
	skf_jw_end_arr(w);
}

static void write_deny_devices(struct skf_jw *w)
{
	skf_jw_kobj(w, "resources");
	skf_jw_karr(w, "devices");
	skf_jw_obj(w);
	skf_jw_kbool(w, "allow", false);
	skf_jw_kstr(w, "access", "rwm");
	skf_jw_end(w);
	skf_jw_end_arr(w);
	skf_jw_end(w);
}

static void write_namespace(struct skf_jw *w, const char *type)
{
	skf_jw_obj(w);
	skf_jw_kstr(w, "type", type);
	skf_jw_end(w);
}

static bool cgroup_is_v2(void)
{
	struct statfs st;

	return statfs("/sys/fs/cgroup", &st) == 0 && st.f_type == CGROUP2_SUPER_MAGIC;
}

static void write_namespaces(struct skf_jw *w, bool rootless)
{
	skf_jw_karr(w, "namespaces");
	write_namespace(w, "pid");
	if (!rootless)
		write_namespace(w, "network");
	write_namespace(w, "ipc");
	write_namespace(w, "uts");
	write_namespace(w, "mount");
	if (cgroup_is_v2())
		write_namespace(w, "cgroup");
	if (rootless)
		write_namespace(w, "user");
	skf_jw_end_arr(w);
}

static void write_linux(struct skf_jw *w, bool rootless, uid_t uid, gid_t gid)
{
	skf_jw_kobj(w, "linux");
	if (rootless) {
		write_mapping(w, "uidMappings", uid);
		write_mapping(w, "gidMappings", gid);
	} else {
		write_deny_devices(w);
	}
	write_namespaces(w, rootless);
	strings(w, "maskedPaths",
		LIST("/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
		     "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware",
		     "/proc/scsi"));
	strings(w, "readonlyPaths",
		LIST("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"));
	skf_jw_end(w);
}

void skf_spec_write_default(struct skf_jw *w, bool rootless, uid_t uid, gid_t gid)
{
	skf_jw_obj(w);
	skf_jw_kstr(w, "ociVersion", "1.3.0");
	write_process(w);
	skf_jw_kobj(w, "root");
	skf_jw_kstr(w, "path", "rootfs");
	skf_jw_kbool(w, "readonly", true);
	skf_jw_end(w);
	skf_jw_kstr(w, "hostname", "skiff");
	write_mounts(w, rootless);
	write_linux(w, rootless, uid, gid);
	skf_jw_end(w);
}
