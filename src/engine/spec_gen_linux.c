/* engine/spec_gen_linux.c -- "linux" of a container's config.json but for resources and devices: namespaces and their id
 * maps, sysctls, masked and read-only paths, seccomp. Looks at which CPUs have a thermal_throttle directory to mask. */
#include "engine/spec_gen_int.h"
#include "oci/default_seccomp.h"
#include <fcntl.h>
#include <fnmatch.h>
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

static void write_namespaces(struct skf_jw *w, const struct skf_gen *g)
{
	static const char *const types[] = {"pid", "mount", "ipc", "uts", "cgroup", "network", "user"};

	_Static_assert(SKF_ARRAY_LEN(types) == SKF_N_NS, "a name per kind");
	skf_jw_karr(w, "namespaces");
	for (size_t i = 0; i < SKF_N_NS; i++) {
		if (!g->ns[i].on)
			continue;
		skf_jw_obj(w);
		skf_jw_kstr(w, "type", types[i]);
		if (g->ns[i].path)
			skf_jw_kstr(w, "path", g->ns[i].path);
		skf_jw_end(w);
	}
	skf_jw_end_arr(w);
}

static void write_map(struct skf_jw *w, const char *key, const struct skf_gen_map *m, size_t n)
{
	if (!n)
		return;
	skf_jw_karr(w, key);
	for (size_t i = 0; i < n; i++) {
		skf_jw_obj(w);
		skf_jw_ku64(w, "containerID", m[i].container);
		skf_jw_ku64(w, "hostID", m[i].host);
		skf_jw_ku64(w, "size", m[i].size);
		skf_jw_end(w);
	}
	skf_jw_end_arr(w);
}

static bool unmasked(const struct skf_gen *g, const char *path)
{
	if (g->unmask_all)
		return true;
	for (size_t i = 0; i < g->unmask.n; i++)
		if (fnmatch(g->unmask.v[i], path, FNM_PATHNAME) == 0)
			return true;
	return false;
}

static void write_thermal(struct skf_jw *w, const struct skf_gen *g)
{
	char path[80];

	for (unsigned i = 0; i < MAX_CPUS; i++) {
		snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%u/thermal_throttle", i);
		if (faccessat(AT_FDCWD, path, F_OK, 0) < 0)
			break; /* the first without one: none has it, or no more CPUs */
		if (!unmasked(g, path))
			skf_jw_str(w, path);
	}
}

static void write_paths(struct skf_jw *w, const struct skf_gen *g)
{
	skf_jw_karr(w, "maskedPaths");
	for (size_t i = 0; !g->privileged && i < SKF_ARRAY_LEN(masked); i++)
		if (!unmasked(g, masked[i]))
			skf_jw_str(w, masked[i]);
	if (!g->privileged)
		write_thermal(w, g);
	for (size_t i = 0; i < g->mask.n; i++)
		skf_jw_str(w, g->mask.v[i]);
	skf_jw_end_arr(w);
	skf_jw_karr(w, "readonlyPaths");
	for (size_t i = 0; !g->privileged && i < SKF_ARRAY_LEN(readonly_paths); i++)
		if (!unmasked(g, readonly_paths[i]))
			skf_jw_str(w, readonly_paths[i]);
	skf_jw_end_arr(w);
}

/* docker's two, unless the user says otherwise; they belong to a network namespace of its own. */
static void write_sysctls(struct skf_jw *w, const struct skf_gen *g)
{
	static const struct skf_kv own[] = {{(char *)"net.ipv4.ip_unprivileged_port_start", (char *)"0"},
					    {(char *)"net.ipv4.ping_group_range", (char *)"0 2147483647"}};

	skf_jw_kobj(w, "sysctl");
	for (size_t i = 0; g->ns[SKF_NS_NET].on && !g->ns[SKF_NS_NET].path && i < SKF_ARRAY_LEN(own); i++)
		/* The range names groups that a user namespace may not have. */
		if (!skf_kvs_get(&g->sysctls, own[i].k) && !(i == 1 && g->ns[SKF_NS_USER].on))
			skf_jw_kstr(w, own[i].k, own[i].v);
	for (size_t i = 0; i < g->sysctls.n; i++)
		skf_jw_kstr(w, g->sysctls.v[i].k, g->sysctls.v[i].v);
	skf_jw_end(w);
}

static int write_seccomp(struct skf_jw *w, const struct skf_gen *g, struct skf_err *e)
{
	if (!g->seccomp)
		return 0;
	if (*g->seccomp)
		skf_jw_kraw(w, "seccomp", g->seccomp);
	else if (skf_default_seccomp_write(w, g->process.caps) < 0)
		return skf_fail(e, SKF_EUNSUPPORTED,
				"this machine's architecture has no default seccomp profile; "
				"--security-opt seccomp=unconfined "
				"runs without one");
	return 0;
}

int skf_gen_linux(struct skf_jw *w, const struct skf_gen *g, struct skf_err *e)
{
	skf_jw_kobj(w, "linux");
	write_sysctls(w, g);
	skf_jw_kstr(w, "cgroupsPath", g->cgroup);
	skf_gen_resources(w, g);
	write_namespaces(w, g);
	write_map(w, "uidMappings", g->uid_map, g->n_uid_map);
	write_map(w, "gidMappings", g->gid_map, g->n_gid_map);
	if (skf_gen_devices(w, g, e) < 0)
		return -1;
	write_paths(w, g);
	if (g->rdt)
		skf_jw_kraw(w, "intelRdt", g->rdt);
	if (write_seccomp(w, g, e) < 0)
		return -1;
	skf_jw_end(w);
	return 0;
}
