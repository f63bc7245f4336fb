/* engine/spec_gen_linux.c -- "linux" of a container's config.json but for resources and devices: namespaces
 * and their id maps, sysctls, masked and read-only paths, seccomp. Looks at which CPUs have a
 * thermal_throttle directory to mask. */
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

static void write_map(struct skf_jw *w, const char *key, const struct skf_jarr *maps)
{
	const struct skf_idmap *m = maps->v;

	if (!maps->n)
		return;
	skf_jw_karr(w, key);
	for (size_t i = 0; i < maps->n; i++) {
		skf_jw_obj(w);
		skf_jw_ku64(w, "containerID", m[i].container_id);
		skf_jw_ku64(w, "hostID", m[i].host_id);
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

/* Groups that may ping: all, or all that a user namespace has without a gap from 0 on. false: not even that
 * one. */
static bool ping_groups(const struct skf_gen *g, char out[32])
{
	const struct skf_idmap *m = g->ids.gids.v;
	uint32_t last = INT32_MAX;

	for (size_t i = 0; g->ns[SKF_NS_USER].on; i++) {
		if (i == g->ids.gids.n)
			return false;
		if (m[i].container_id != 0)
			continue;
		last = m[i].size - 1 < last ? m[i].size - 1 : last;
		break;
	}
	snprintf(out, 32, "0 %u", last);
	return true;
}

/* docker's two, unless the user says otherwise; they belong to a network namespace of its own. */
static void write_sysctls(struct skf_jw *w, const struct skf_gen *g)
{
	static const char ports[] = "net.ipv4.ip_unprivileged_port_start",
			  ping[] = "net.ipv4.ping_group_range";
	bool own = g->ns[SKF_NS_NET].on && !g->ns[SKF_NS_NET].path &&
		   !(g->ns[SKF_NS_USER].on && g->ns[SKF_NS_NET].borrowed);
	char range[32];

	skf_jw_kobj(w, "sysctl");
	if (own && !skf_kvs_get(&g->sysctls, ports))
		skf_jw_kstr(w, ports, "0");
	if (own && !skf_kvs_get(&g->sysctls, ping) && ping_groups(g, range))
		skf_jw_kstr(w, ping, range);
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
	write_map(w, "uidMappings", &g->ids.uids);
	write_map(w, "gidMappings", &g->ids.gids);
	if (skf_gen_devices(w, g, e) < 0)
		return -1;
	write_paths(w, g);
	if (g->mount_label)
		skf_jw_kstr(w, "mountLabel", g->mount_label);
	if (g->rdt_class && *g->rdt_class) {
		skf_jw_kobj(w, "intelRdt");
		skf_jw_kstr(w, "closID", g->rdt_class);
		skf_jw_end(w);
	} else if (g->rdt) {
		skf_jw_kraw(w, "intelRdt", g->rdt);
	}
	if (write_seccomp(w, g, e) < 0)
		return -1;
	skf_jw_end(w);
	return 0;
}
