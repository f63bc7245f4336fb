/* engine/settings.h -- what run and create are told about a container beyond its image, command and network:
 * one struct that goes from the option table through the request and the plan into "request" of config.json,
 * where inspect and explain read it. Words are kept as the user gave them; the plan checks them
 * (plan_TOPIC.c).
 *
 * A field that is 0, NULL or empty was not given; where 0 has a meaning of its own a has_ field says so. */
#pragma once
#include "base/json.h"

struct skf_settings {
	/* resources; bytes, microseconds of a period, docker's names */
	int64_t memory, memory_swap /* -1: no limit */, memory_reservation, memory_swappiness, kernel_memory;
	int64_t cpu_shares, cpu_period, cpu_quota, cpu_rt_period, cpu_rt_runtime, nano_cpus;
	char *cpuset_cpus, *cpuset_mems;
	int64_t blkio_weight;
	struct skf_strv blkio_weight_device, read_bps, write_bps, read_iops, write_iops; /* PATH:NUMBER */
	bool oom_kill_disable;
	int64_t oom_score_adj;
	int64_t pids_limit; /* 0 and -1: no limit; not given: the configuration's */
	bool has_memory_swappiness, has_oom_score_adj, has_pids_limit;
	int64_t shm_size;
	struct skf_strv ulimits;     /* NAME=SOFT[:HARD] */
	char *cgroup_parent;         /* NULL: the configuration's */
	struct skf_strv cgroup_conf; /* FILE=VALUE, cgroup v2 */

	/* namespaces: "", host, private, shareable, none, container:ID, and what --userns has besides */
	char *ipc, *pid, *uts, *userns, *cgroupns;
	struct skf_strv uidmap, gidmap; /* CONTAINER:HOST:SIZE */
	char *subuidname, *subgidname;
	char *domainname;

	/* security */
	struct skf_strv security_opt, cap_add, cap_drop, sysctls, annotations;
	bool privileged;

	/* devices */
	struct skf_strv devices, device_cgroup_rules, gpus;

	/* mounts */
	struct skf_strv volumes /* -v */, mounts /* --mount */, tmpfs, volumes_from, secrets;
	char *volume_driver;
	bool readonly, readonly_tmpfs;

	/* process */
	struct skf_strv group_add, unset_env, env_merge;
	char *umask, *tz, *systemd, *rdt_class;
	bool unset_env_all;
	char *rootfs;                  /* --rootfs: DIR[:O][:idmap] instead of an image */
	char *runtime;                 /* NULL: the configuration's */
	struct skf_strv runtime_flags; /* without the -- */
};
