/* engine/spec_gen_linux.c -- "linux" of a container's config.json but for resources and devices: namespaces, sysctls,
 * masked and read-only paths, seccomp. Looks at which CPUs have a thermal_throttle directory to mask. */
#include "engine/spec_gen_int.h"
#include "oci/default_seccomp.h"
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define MAX_CPUS 8192

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

int skf_gen_linux(struct skf_jw *w, const struct skf_gen *g, struct skf_err *e)
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
	skf_gen_resources(w, g);
	write_namespaces(w, g->host_network);
	if (g->privileged) {
		if (skf_gen_host_devices(w, e) < 0)
			return -1;
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
