/* oci/spec.h -- the runtime-spec's config.json as C structs (Linux part), decode and validation.
 *
 * Plain data in the caller's arena. Optional scalars carry a has_ flag where absence differs from zero.
 * Every property of runtime-spec 1.3.0 is either here or refused by the decoder with its path
 * (SKF_EUNSUPPORTED); see DESIGN 8.8. */
#pragma once
#include "base/json.h"

struct skf_box {
	uint32_t height, width;
};
struct skf_spec_user {
	uint32_t uid, gid, umask;
	bool has_umask;
	uint32_t *gids;
	size_t n_gids;
};
struct skf_spec_caps { /* bit masks; a list that is absent is 0 */
	uint64_t bounding, effective, inheritable, permitted, ambient;
	struct skf_strv unknown; /* names this build does not know: warned about, not applied (as runc) */
};
struct skf_spec_rlimit {
	int type; /* RLIMIT_* */
	uint64_t hard, soft;
};
struct skf_spec_scheduler {
	int policy; /* SCHED_* of sched_setattr(2) */
	int32_t nice, priority;
	uint64_t flags;                     /* SCHED_FLAG_* */
	uint64_t runtime, deadline, period; /* nanoseconds, SCHED_DEADLINE */
};
struct skf_spec_io_priority {
	int class;    /* IOPRIO_CLASS_* of ioprio_set(2) */
	int priority; /* 0..7 */
};
struct skf_spec_process {
	bool terminal;
	bool has_console_size;
	struct skf_box console_size;
	struct skf_spec_user user;
	struct skf_strv args, env;
	char *cwd;
	bool has_caps;
	struct skf_spec_caps caps;
	struct skf_jarr rlimits; /* struct skf_spec_rlimit */
	bool no_new_privs;
	char *apparmor_profile, *selinux_label;
	bool has_oom_score_adj;
	int32_t oom_score_adj;
	struct skf_spec_scheduler *scheduler;     /* NULL: absent */
	struct skf_spec_io_priority *io_priority; /* NULL: absent */
	char *affinity_initial,
		*affinity_final; /* execCPUAffinity, cpu lists as "0-3,7" (checked); NULL: absent */
};
struct skf_idmap {
	uint32_t container_id, host_id, size;
};
struct skf_spec_mount {
	char *destination, *type, *source; /* type and source may be NULL */
	struct skf_strv options;
	struct skf_jarr uid_mappings, gid_mappings; /* struct skf_idmap */
};
struct skf_spec_hook {
	char *path;
	struct skf_strv args, env;
	bool has_timeout;
	int32_t timeout; /* seconds, > 0 */
};
struct skf_spec_hooks { /* arrays of struct skf_spec_hook */
	struct skf_jarr prestart, create_runtime, create_container, start_container, poststart, poststop;
};
struct skf_spec_namespace {
	int type;   /* CLONE_NEW* */
	char *path; /* NULL: a new one */
};
struct skf_spec_device {
	char *path;
	char type; /* 'c' 'b' 'u' 'p' */
	int64_t major, minor;
	bool has_mode;
	uint32_t mode, uid, gid;
};
struct skf_spec_device_rule {
	bool allow;
	char type;                 /* 'a' 'b' 'c' */
	bool has_major, has_minor; /* absent or -1: any */
	int64_t major, minor;
	char access[4]; /* subset of "rwm"; "" means "rwm" */
};
struct skf_spec_hugepage {
	char *page_size;
	uint64_t limit;
};
struct skf_spec_throttle {
	int64_t major, minor;
	uint64_t rate;
};
struct skf_spec_weight_device {
	int64_t major, minor;
	bool has_weight, has_leaf_weight;
	uint32_t weight, leaf_weight;
};
struct skf_spec_if_prio {
	char *name;
	uint32_t priority;
};
struct skf_spec_rdma {
	char *name;
	bool has_handles, has_objects;
	uint32_t handles, objects;
};
struct skf_spec_resources {
	struct skf_jarr devices; /* struct skf_spec_device_rule */
	struct {
		bool has_limit, has_reservation, has_swap, has_kernel, has_kernel_tcp, has_swappiness;
		int64_t limit, reservation, swap, kernel, kernel_tcp;
		uint64_t swappiness;
		bool disable_oom_killer, has_disable_oom_killer, use_hierarchy, check_before_update;
	} memory;
	struct {
		bool has_shares, has_quota, has_burst, has_period, has_rt_runtime, has_rt_period, has_idle;
		uint64_t shares, burst, period, rt_period;
		int64_t quota, rt_runtime, idle;
		char *cpus, *mems;
	} cpu;
	struct {
		bool has_limit;
		int64_t limit;
	} pids;
	struct {
		bool has_weight, has_leaf_weight;
		uint32_t weight, leaf_weight;
		struct skf_jarr weight_device; /* struct skf_spec_weight_device */
		struct skf_jarr read_bps, write_bps, read_iops, write_iops; /* struct skf_spec_throttle */
	} block_io;
	struct skf_jarr hugepages; /* struct skf_spec_hugepage */
	struct {
		bool has_class_id;
		uint32_t class_id;
		struct skf_jarr priorities; /* struct skf_spec_if_prio */
	} network;
	struct skf_jarr rdma; /* struct skf_spec_rdma */
	struct skf_kvs unified;
};
struct skf_spec_seccomp_arg {
	uint32_t index;
	uint64_t value, value_two;
	int op; /* SCMP_CMP_* value of libseccomp */
};
struct skf_spec_seccomp_rule {
	struct skf_strv names;
	uint32_t action; /* SECCOMP_RET_* without data */
	bool has_errno;
	uint32_t errno_ret;
	struct skf_jarr args; /* struct skf_spec_seccomp_arg */
};
struct skf_spec_seccomp {
	uint32_t default_action;
	bool has_default_errno;
	uint32_t default_errno;
	struct skf_strv architectures; /* "SCMP_ARCH_X86_64" ... checked against the spec's list */
	bool has_flags;                /* an empty list is not the same as none */
	struct skf_strv flags;         /* "SECCOMP_FILTER_FLAG_*" */
	char *listener_path, *listener_metadata;
	struct skf_jarr syscalls; /* struct skf_spec_seccomp_rule */
	char *raw;                /* compact JSON of the whole object: the cache key's input */
};
struct skf_spec_time_offset {
	int clock; /* CLOCK_MONOTONIC or CLOCK_BOOTTIME */
	int64_t secs;
	uint32_t nanosecs;
};
struct skf_spec_net_device {
	char *host_name; /* interface of the runtime's network namespace */
	char *name;      /* its name in the container; NULL: the same */
};
struct skf_spec_memory_policy {
	int mode;       /* MPOL_* of set_mempolicy(2) */
	char *nodes;    /* list as "0-3,7"; NULL: none */
	unsigned flags; /* MPOL_F_* mode flags */
};
struct skf_spec_intel_rdt {
	char *clos_id, *l3_schema, *mem_bw_schema; /* NULL: absent */
	struct skf_strv schemata;
	bool enable_monitoring;
};
struct skf_spec_linux {
	struct skf_jarr namespaces;                 /* struct skf_spec_namespace; no duplicates */
	struct skf_jarr uid_mappings, gid_mappings; /* struct skf_idmap */
	struct skf_jarr devices;                    /* struct skf_spec_device */
	struct skf_kvs sysctl;
	char *cgroups_path;
	struct skf_spec_seccomp *seccomp; /* NULL: none */
	struct skf_strv masked_paths, readonly_paths;
	unsigned long rootfs_propagation; /* MS_PRIVATE|... as mount(2) flags; 0 when absent */
	char *mount_label;
	struct skf_jarr time_offsets;                 /* struct skf_spec_time_offset */
	struct skf_jarr net_devices;                  /* struct skf_spec_net_device */
	struct skf_spec_memory_policy *memory_policy; /* NULL: absent */
	struct skf_spec_intel_rdt *intel_rdt;         /* NULL: absent */
	bool has_personality, has_resources;
	unsigned long personality;           /* PER_LINUX, PER_LINUX32 (| flags) of personality(2) */
	struct skf_spec_resources resources; /* large, so last */
};
struct skf_spec {
	char *oci_version;
	char *root_path; /* as written; NULL when root is absent */
	bool root_readonly;
	char *hostname, *domainname;
	struct skf_spec_process *process; /* NULL allowed for create (start then refuses) */
	struct skf_jarr mounts;           /* struct skf_spec_mount */
	struct skf_kvs annotations;
	struct skf_spec_linux linux_;
	struct skf_spec_hooks hooks;
};

struct skf_spec_opts {
	const struct skf_log *log; /* unknown properties are named at debug level; may be NULL */
	const char *name;          /* "config.json" in messages */
};
/* Decodes and validates (each property's own rules and those between properties that need no kernel:
 * duplicate namespaces and rlimits, mappings without a user namespace, sysctl against namespaces, hostname
 * without uts, ociVersion major). Fails: INVALID, LIMIT, UNSUPPORTED with the path of the property. Does not
 * block. */
int skf_spec_parse(const char *text, size_t n, const struct skf_spec_opts *o, struct skf_arena *a,
		   struct skf_spec **ret, struct skf_err *e);
/* The same from dirfd/path. NOTFOUND when the file is not there. */
int skf_spec_load_at(int dirfd, const char *path, const struct skf_spec_opts *o, struct skf_arena *a,
		     struct skf_spec **ret, struct skf_err *e);
/* A process document of `exec --process`. */
int skf_spec_parse_process(const char *text, size_t n, const struct skf_spec_opts *o, struct skf_arena *a,
			   struct skf_spec_process **ret, struct skf_err *e);
/* Seccomp object alone (skiff-launch --compile-seccomp, the default profile, fuzzing). */
int skf_spec_parse_seccomp(const char *text, size_t n, const struct skf_spec_opts *o, struct skf_arena *a,
			   struct skf_spec_seccomp **ret, struct skf_err *e);
/* "RLIMIT_NOFILE" of RLIMIT_NOFILE; NULL for a number that the runtime-spec has no name for. */
const char *skf_spec_rlimit_name(int type);
/* NULL when there is no namespace of that CLONE_NEW* type. */
const struct skf_spec_namespace *skf_spec_ns(const struct skf_spec *s, int type);
/* File of a sysctl below /proc/sys: "net.ipv4.ip_forward" -> "net/ipv4/ip_forward"; both separators of
 * sysctl(8). Every component is a plain name, never "." or "..". 0, -EINVAL, -ENAMETOOLONG. A decoded spec
 * has only keys for which this succeeds. Not checked here, because it needs the kernel: whether a network
 * namespace given by path is the host's own (net.* must then be refused). */
int skf_spec_sysctl_path(const char *key, char *out, size_t size);

/* Writes the default config.json of `skiff-oci spec` (runc's default bundle, runtime-spec example). */
void skf_spec_write_default(struct skf_jw *w, bool rootless, uid_t uid, gid_t gid);
/* Writes the document of `skiff-oci features` (features.md of the runtime-spec), only what this build really
 * does. */
void skf_spec_write_features(struct skf_jw *w);
/* The members scheduler, ioPriority and execCPUAffinity of an open `process` object, and memoryPolicy of an
 * open `linux` object, as the decoder reads them (state.json). */
void skf_spec_write_scheduling(struct skf_jw *w, const struct skf_spec_process *p);
void skf_spec_write_memory_policy(struct skf_jw *w, const struct skf_spec_memory_policy *p);
/* Decodes a `linux` object alone: the part that state.json keeps for exec. */
int skf_spec_parse_linux(const char *text, size_t n, const struct skf_spec_opts *o, struct skf_arena *a,
			 struct skf_spec_linux **ret, struct skf_err *e);
/* A list of mounts alone, as the value of `mounts`: struct skf_spec_mount. */
int skf_spec_parse_mounts(const char *text, size_t n, const struct skf_spec_opts *o, struct skf_arena *a,
			  struct skf_jarr *ret, struct skf_err *e);
/* The tables behind parsing, features and conformance checks. Names end with NULL. */
extern const char *const skf_spec_mount_options[];
