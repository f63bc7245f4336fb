/* engine/inspect_host.c -- the members of HostConfig that are settings of a container, and Mounts: what the
 * user asked for, in docker's words. A table where a member is a copy, a function where docker takes the
 * words apart. */
#include "engine/inspect_int.h"
#include <string.h>

struct row {
	const char *key;
	enum { TEXT, NUMBER, SWITCH, LIST, PAIRS, RATES, WEIGHTS } kind;
	size_t off;
};
#define ROW(key, kind, member)                                                                              \
	{                                                                                                   \
		key, kind, offsetof(struct skf_settings, member)                                            \
	}
static const struct row rows[] = {
	ROW("Binds", LIST, volumes),
	ROW("VolumeDriver", TEXT, volume_driver),
	ROW("VolumesFrom", LIST, volumes_from),
	ROW("CapAdd", LIST, cap_add),
	ROW("CapDrop", LIST, cap_drop),
	ROW("CgroupnsMode", TEXT, cgroupns),
	ROW("IpcMode", TEXT, ipc),
	ROW("PidMode", TEXT, pid),
	ROW("UTSMode", TEXT, uts),
	ROW("UsernsMode", TEXT, userns),
	ROW("Privileged", SWITCH, privileged),
	ROW("SecurityOpt", LIST, security_opt),
	ROW("Sysctls", PAIRS, sysctls),
	ROW("Annotations", PAIRS, annotations),
	ROW("GroupAdd", LIST, group_add),
	ROW("OomScoreAdj", NUMBER, oom_score_adj),
	ROW("OomKillDisable", SWITCH, oom_kill_disable),
	ROW("CgroupParent", TEXT, cgroup_parent),
	ROW("Memory", NUMBER, memory),
	ROW("MemoryReservation", NUMBER, memory_reservation),
	ROW("NanoCpus", NUMBER, nano_cpus),
	ROW("CpuShares", NUMBER, cpu_shares),
	ROW("CpuPeriod", NUMBER, cpu_period),
	ROW("CpuQuota", NUMBER, cpu_quota),
	ROW("CpuRealtimePeriod", NUMBER, cpu_rt_period),
	ROW("CpuRealtimeRuntime", NUMBER, cpu_rt_runtime),
	ROW("CpusetCpus", TEXT, cpuset_cpus),
	ROW("CpusetMems", TEXT, cpuset_mems),
	ROW("BlkioWeight", NUMBER, blkio_weight),
	ROW("BlkioWeightDevice", WEIGHTS, blkio_weight_device),
	ROW("BlkioDeviceReadBps", RATES, read_bps),
	ROW("BlkioDeviceWriteBps", RATES, write_bps),
	ROW("BlkioDeviceReadIOps", RATES, read_iops),
	ROW("BlkioDeviceWriteIOps", RATES, write_iops),
	ROW("DeviceCgroupRules", LIST, device_cgroup_rules),
};

static void write_pairs(struct skf_jw *w, const char *key, const struct skf_strv *v)
{
	char name[256];

	skf_jw_kobj(w, key);
	for (size_t i = 0; i < v->n; i++) {
		const char *eq = strchr(v->v[i], '=');

		if (eq && skf_fmt(name, sizeof(name), "%.*s", (int)(eq - v->v[i]), v->v[i]) == 0)
			skf_jw_kstr(w, name, eq + 1);
	}
	skf_jw_end(w);
}

/* "PATH:NUMBER" as {Path, Rate} or {Path, Weight}. */
static void write_rates(struct skf_jw *w, const char *key, const char *member, const struct skf_strv *v)
{
	char path[4096];

	skf_jw_karr(w, key);
	for (size_t i = 0; i < v->n; i++) {
		const char *colon = strrchr(v->v[i], ':');
		int64_t n = 0;

		if (!colon || skf_fmt(path, sizeof(path), "%.*s", (int)(colon - v->v[i]), v->v[i]) < 0 ||
		    skf_parse_size(colon + 1, &n) < 0)
			continue; /* the plan took none like this */
		skf_jw_obj(w);
		skf_jw_kstr(w, "Path", path);
		skf_jw_kint(w, member, n);
		skf_jw_end(w);
	}
	skf_jw_end_arr(w);
}

static void write_row(struct skf_jw *w, const struct row *r, const struct skf_settings *s)
{
	const void *p = (const char *)s + r->off;

	switch (r->kind) {
	case TEXT:
		skf_jw_kstr(w, r->key, *(char *const *)p);
		return;
	case NUMBER:
		skf_jw_kint(w, r->key, *(const int64_t *)p);
		return;
	case SWITCH:
		skf_jw_kbool(w, r->key, *(const bool *)p);
		return;
	case LIST:
		skf_jw_kstrv(w, r->key, p);
		return;
	case PAIRS:
		write_pairs(w, r->key, p);
		return;
	case RATES:
		write_rates(w, r->key, "Rate", p);
		return;
	case WEIGHTS:
		write_rates(w, r->key, "Weight", p);
	}
}

/* "HOST[:CONTAINER[:rwm]]", as docker shows it; names of CDI are in DeviceRequests. */
static void write_devices(struct skf_jw *w, const struct skf_settings *s)
{
	char host[4096], inside[4096];

	skf_jw_karr(w, "Devices");
	for (size_t i = 0; i < s->devices.n; i++) {
		const char *d = s->devices.v[i], *c1 = strchr(d, ':'), *c2 = c1 ? strchr(c1 + 1, ':') : NULL;
		const char *mode = c2 ? c2 + 1 : c1 && c1[1] != '/' ? c1 + 1 : "rwm";
		bool named = c1 && c1[1] == '/';

		if (d[0] != '/' ||
		    skf_fmt(host, sizeof(host), "%.*s", (int)(c1 ? c1 - d : (ptrdiff_t)strlen(d)), d) < 0 ||
		    (named && skf_fmt(inside, sizeof(inside), "%.*s",
				      (int)(c2 ? c2 - c1 - 1 : (ptrdiff_t)strlen(c1 + 1)), c1 + 1) < 0))
			continue;
		skf_jw_obj(w);
		skf_jw_kstr(w, "PathOnHost", host);
		skf_jw_kstr(w, "PathInContainer", named ? inside : host);
		skf_jw_kstr(w, "CgroupPermissions", mode);
		skf_jw_end(w);
	}
	skf_jw_end_arr(w);
}

/* words: with commas between them, up to a quote; NULL: none. */
static void write_request(struct skf_jw *w, const char *driver, int64_t count, const char *words)
{
	skf_jw_obj(w);
	skf_jw_kstr(w, "Driver", driver);
	skf_jw_kint(w, "Count", count);
	if (!words)
		skf_jw_knull(w, "DeviceIDs");
	else
		skf_jw_karr(w, "DeviceIDs");
	while (words && *words && *words != '"') {
		size_t n = strcspn(words, ",\"");
		char word[256];

		if (skf_fmt(word, sizeof(word), "%.*s", (int)n, words) == 0)
			skf_jw_str(w, word);
		words += n + (words[n] == ',');
	}
	if (words)
		skf_jw_end_arr(w);
	skf_jw_kraw(w, "Capabilities", *driver ? "null" : "[[\"gpu\"]]");
	skf_jw_kraw(w, "Options", *driver ? "null" : "{}");
	skf_jw_end(w);
}

/* Names of CDI, and --gpus as it was given: a number, all, or what comes after "device=". */
static void write_device_requests(struct skf_jw *w, const struct skf_settings *s)
{
	int64_t n;

	skf_jw_karr(w, "DeviceRequests");
	for (size_t i = 0; i < s->devices.n; i++)
		if (s->devices.v[i][0] != '/')
			write_request(w, "cdi", 0, s->devices.v[i]);
	for (size_t i = 0; i < s->gpus.n; i++) {
		const char *word = s->gpus.v[i], *list = strstr(word, "device=");

		if (list)
			write_request(w, "", 0, list + strlen("device="));
		else
			write_request(w, "", skf_parse_i64(word, &n) == 0 ? n : -1, NULL);
	}
	skf_jw_end_arr(w);
}

static void write_ulimits(struct skf_jw *w, const struct skf_strv *v)
{
	char name[32], soft[32];
	int64_t n, hard;

	skf_jw_karr(w, "Ulimits");
	for (size_t i = 0; i < v->n; i++) {
		const char *eq = strchr(v->v[i], '='), *colon = eq ? strchr(eq, ':') : NULL;

		if (!eq || skf_fmt(name, sizeof(name), "%.*s", (int)(eq - v->v[i]), v->v[i]) < 0 ||
		    skf_fmt(soft, sizeof(soft), "%.*s", (int)(colon ? colon - eq - 1 : 31), eq + 1) < 0 ||
		    skf_parse_i64(soft, &n) < 0 || skf_parse_i64(colon ? colon + 1 : soft, &hard) < 0)
			continue; /* the plan took none like this */
		skf_jw_obj(w);
		skf_jw_kstr(w, "Name", name);
		skf_jw_kint(w, "Hard", hard);
		skf_jw_kint(w, "Soft", n);
		skf_jw_end(w);
	}
	skf_jw_end_arr(w);
}

static void write_tmpfs(struct skf_jw *w, const struct skf_strv *v)
{
	char path[4096];

	skf_jw_kobj(w, "Tmpfs");
	for (size_t i = 0; i < v->n; i++) {
		const char *colon = strchr(v->v[i], ':');

		if (skf_fmt(path, sizeof(path), "%.*s", (int)(colon ? colon - v->v[i] : 4095), v->v[i]) == 0)
			skf_jw_kstr(w, path, colon ? colon + 1 : "");
	}
	skf_jw_end(w);
}

/* "seccomp=..." apart, these are null in docker when nothing is said. */
static void write_optional(struct skf_jw *w, const char *key, bool given, int64_t v)
{
	if (given)
		skf_jw_kint(w, key, v);
	else
		skf_jw_knull(w, key);
}

void skf_inspect_settings(struct skf_jw *w, const struct skf_settings *s, const struct skf_conf *conf)
{
	struct skf_settings shown = *s;

	shown.ipc = s->ipc ? s->ipc : (char *)"private";
	shown.cgroupns = s->cgroupns ? s->cgroupns : (char *)"private";
	for (size_t i = 0; i < SKF_ARRAY_LEN(rows); i++)
		write_row(w, &rows[i], &shown);
	skf_jw_kint(w, "MemorySwap",
		    s->memory_swap               ? s->memory_swap
		    : s->memory <= INT64_MAX / 2 ? s->memory * 2
						 : 0);
	write_optional(w, "MemorySwappiness", s->has_memory_swappiness, s->memory_swappiness);
	write_optional(w, "PidsLimit", true, s->has_pids_limit ? s->pids_limit : conf->pids_limit);
	skf_jw_kint(w, "ShmSize", s->shm_size ? s->shm_size : conf->shm_size);
	write_devices(w, s);
	write_device_requests(w, s);
	write_ulimits(w, &s->ulimits);
	write_tmpfs(w, &s->tmpfs);
	skf_jw_kstr(w, "Runtime", s->runtime && *s->runtime ? s->runtime : "skiff");
}

void skf_inspect_mounts(struct skf_jw *w, const struct skf_jarr *points)
{
	const struct skf_mount_point *m = points->v;

	skf_jw_karr(w, "Mounts");
	for (size_t i = 0; i < points->n; i++) {
		skf_jw_obj(w);
		skf_jw_kstr(w, "Type", m[i].type);
		if (m[i].name && *m[i].name)
			skf_jw_kstr(w, "Name", m[i].name);
		skf_jw_kstr(w, "Source", m[i].source);
		skf_jw_kstr(w, "Destination", m[i].target);
		if (m[i].driver && *m[i].driver)
			skf_jw_kstr(w, "Driver", m[i].driver);
		skf_jw_kstr(w, "Mode", m[i].mode);
		skf_jw_kbool(w, "RW", m[i].rw);
		skf_jw_kstr(w, "Propagation", m[i].propagation);
		skf_jw_end(w);
	}
	skf_jw_end_arr(w);
}
