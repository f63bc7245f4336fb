/* engine/request.c -- the member "request" of a container's own data: written once at create, read by
 * inspect and exec. */
#include "engine/engine_int.h"
#include <string.h>

#define P(member, key, fn) SKF_J(struct skf_mount_point, member, key, fn, NULL, SKF_J_NULL_OK)
static const struct skf_jfield point_f[] = {
	P(type, "type", skf_j_str),
	P(name, "name", skf_j_str),
	P(source, "source", skf_j_str),
	P(target, "target", skf_j_str),
	P(driver, "driver", skf_j_str),
	P(mode, "mode", skf_j_str),
	P(propagation, "propagation", skf_j_str),
	P(rw, "rw", skf_j_bool),
	P(anonymous, "anonymous", skf_j_bool),
	SKF_J_END,
};
static const struct skf_jtable point_table = {sizeof(struct skf_mount_point), point_f, false, NULL};
static const struct skf_jarr_arg point_arr = {&point_table, SKF_MAX_MOUNTS};

#define RF(member, key, fn) SKF_J(struct skf_ctr_request, member, key, fn, NULL, SKF_J_NULL_OK)
#define S(member, key, fn)  SKF_J(struct skf_ctr_request, s.member, key, fn, NULL, SKF_J_NULL_OK)
#define HAS(member, key)                                                                                    \
	SKF_JP(struct skf_ctr_request, s.member, s.has_##member, key, skf_j_i64, NULL, SKF_J_NULL_OK)
/* Read and written by this one table. */
static const struct skf_jfield request_f[] = {
	RF(image, "image", skf_j_str),
	RF(hostname, "hostname", skf_j_str),
	RF(user, "user", skf_j_str),
	RF(workdir, "workdir", skf_j_str),
	RF(stop_signal, "stopSignal", skf_j_str),
	RF(entrypoint, "entrypoint", skf_j_strv),
	RF(cmd, "cmd", skf_j_strv),
	RF(env, "env", skf_j_strv),
	RF(storage_opt, "storageOpt", skf_j_strv),
	RF(labels, "labels", skf_j_kvs),
	RF(from, "from", skf_j_kvs),
	SKF_J(struct skf_ctr_request, mount_points, "mountPoints", skf_j_arr, &point_arr, SKF_J_NULL_OK),
	RF(attach_stdout, "attachStdout", skf_j_bool),
	RF(attach_stderr, "attachStderr", skf_j_bool),
	RF(init, "init", skf_j_bool),
	S(memory, "memory", skf_j_i64),
	S(memory_swap, "memorySwap", skf_j_i64),
	S(memory_reservation, "memoryReservation", skf_j_i64),
	HAS(memory_swappiness, "memorySwappiness"),
	S(kernel_memory, "kernelMemory", skf_j_i64),
	S(cpu_shares, "cpuShares", skf_j_i64),
	S(cpu_period, "cpuPeriod", skf_j_i64),
	S(cpu_quota, "cpuQuota", skf_j_i64),
	S(cpu_rt_period, "cpuRtPeriod", skf_j_i64),
	S(cpu_rt_runtime, "cpuRtRuntime", skf_j_i64),
	S(nano_cpus, "nanoCpus", skf_j_i64),
	S(cpuset_cpus, "cpusetCpus", skf_j_str),
	S(cpuset_mems, "cpusetMems", skf_j_str),
	S(blkio_weight, "blkioWeight", skf_j_i64),
	S(blkio_weight_device, "blkioWeightDevice", skf_j_strv),
	S(read_bps, "readBps", skf_j_strv),
	S(write_bps, "writeBps", skf_j_strv),
	S(read_iops, "readIops", skf_j_strv),
	S(write_iops, "writeIops", skf_j_strv),
	S(oom_kill_disable, "oomKillDisable", skf_j_bool),
	HAS(oom_score_adj, "oomScoreAdj"),
	HAS(pids_limit, "pidsLimit"),
	S(shm_size, "shmSize", skf_j_i64),
	S(ulimits, "ulimits", skf_j_strv),
	S(cgroup_parent, "cgroupParent", skf_j_str),
	S(cgroup_conf, "cgroupConf", skf_j_strv),
	S(ipc, "ipc", skf_j_str),
	S(pid, "pid", skf_j_str),
	S(uts, "uts", skf_j_str),
	S(userns, "userns", skf_j_str),
	S(cgroupns, "cgroupns", skf_j_str),
	S(uidmap, "uidmap", skf_j_strv),
	S(gidmap, "gidmap", skf_j_strv),
	S(subuidname, "subuidname", skf_j_str),
	S(subgidname, "subgidname", skf_j_str),
	S(domainname, "domainname", skf_j_str),
	S(security_opt, "securityOpt", skf_j_strv),
	S(cap_add, "capAdd", skf_j_strv),
	S(cap_drop, "capDrop", skf_j_strv),
	S(sysctls, "sysctls", skf_j_strv),
	S(annotations, "annotations", skf_j_strv),
	S(privileged, "privileged", skf_j_bool),
	S(devices, "devices", skf_j_strv),
	S(device_cgroup_rules, "deviceCgroupRules", skf_j_strv),
	S(gpus, "gpus", skf_j_strv),
	S(volumes, "binds", skf_j_strv),
	S(mounts, "mounts", skf_j_strv),
	S(tmpfs, "tmpfs", skf_j_strv),
	S(volumes_from, "volumesFrom", skf_j_strv),
	S(secrets, "secrets", skf_j_strv),
	S(volume_driver, "volumeDriver", skf_j_str),
	S(readonly, "readonly", skf_j_bool),
	S(readonly_tmpfs, "readonlyTmpfs", skf_j_bool),
	S(group_add, "groupAdd", skf_j_strv),
	S(unset_env, "unsetEnv", skf_j_strv),
	S(env_merge, "envMerge", skf_j_strv),
	S(unset_env_all, "unsetEnvAll", skf_j_bool),
	S(umask, "umask", skf_j_str),
	S(tz, "tz", skf_j_str),
	S(systemd, "systemd", skf_j_str),
	S(rdt_class, "rdtClass", skf_j_str),
	S(rootfs, "rootfs", skf_j_str),
	S(runtime, "runtime", skf_j_str),
	S(runtime_flags, "runtimeFlags", skf_j_strv),
	SKF_J_END,
};
static const struct skf_jtable request_table = {sizeof(struct skf_ctr_request), request_f, false, NULL};

static void write_object(struct skf_jw *w, const struct skf_jfield *f, const void *obj);

/* What is not given is not written: most containers use few of these. */
static void write_field(struct skf_jw *w, const struct skf_jfield *f, const char *obj)
{
	const void *p = obj + f->off;
	const struct skf_jarr *v = p;

	if (f->fn == skf_j_str && *(char *const *)p)
		skf_jw_kstr(w, f->key, *(char *const *)p);
	else if (f->fn == skf_j_bool && *(const bool *)p)
		skf_jw_kbool(w, f->key, true);
	else if (f->fn == skf_j_i64 &&
		 (f->present_off ? *(const bool *)(obj + f->present_off - 1) : *(const int64_t *)p != 0))
		skf_jw_kint(w, f->key, *(const int64_t *)p);
	else if (f->fn == skf_j_strv && ((const struct skf_strv *)p)->n)
		skf_jw_kstrv(w, f->key, p);
	else if (f->fn == skf_j_kvs && ((const struct skf_kvs *)p)->n)
		skf_jw_kkvs(w, f->key, p);
	else if (f->fn == skf_j_arr && v->n) {
		const struct skf_jtable *t = ((const struct skf_jarr_arg *)f->arg)->elem;

		skf_jw_karr(w, f->key);
		for (size_t i = 0; i < v->n; i++)
			write_object(w, t->f, (const char *)v->v + i * t->size);
		skf_jw_end_arr(w);
	}
}

static void write_object(struct skf_jw *w, const struct skf_jfield *f, const void *obj)
{
	skf_jw_obj(w);
	for (; f->key; f++)
		write_field(w, f, obj);
	skf_jw_end(w);
}

void skf_ctr_request_write(struct skf_jw *w, const struct skf_ctr_request *r)
{
	write_object(w, request_f, r);
}

int skf_ctr_request_parse(const char *json, struct skf_arena *a, struct skf_ctr_request **ret,
			  struct skf_err *e)
{
	const struct skf_jdoc d = {.name = "config.json: /skiff/request", .max_bytes = SKF_MAX_SPEC_BYTES};
	void *v;

	if (!json)
		json = "{}"; /* a container that another front end made without one */
	if (skf_json_decode(&d, json, strlen(json), &request_table, a, &v, e) < 0)
		return -1;
	*ret = v;
	return 0;
}
