/* oci/spec_linux.c -- the `linux` object of config.json, without resources and seccomp. Pure; nothing
 * blocks.
 *
 * Invariants:
 * 1. A type of namespace appears once; a namespace path is absolute.
 * 2. A device that is not a fifo names its numbers; 0:0 by omission would be an overlay whiteout. Its mode
 * is permission bits only.
 * 3. A personality has no flags: the spec names none. */
#include "oci/spec_int.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/limits.h"
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/personality.h>

/* --- namespaces --- */
const struct skf_jenum skf_spec_ns_types[] = {
	{"cgroup", CLONE_NEWCGROUP}, {"ipc", CLONE_NEWIPC}, {"mount", CLONE_NEWNS},
	{"network", CLONE_NEWNET},   {"pid", CLONE_NEWPID}, {"time", CLONE_NEWTIME},
	{"user", CLONE_NEWUSER},     {"uts", CLONE_NEWUTS}, {NULL, 0},
};

/* "" is what Go writes for "no path". */
static int dec_ns_path(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	char *s = NULL;

	(void)arg;
	if (skf_j_str(c, v, &s, NULL) < 0)
		return -1;
	if (s[0] == '\0')
		return 0;
	return skf_j_abspath(c, v, dst, NULL);
}

static const struct skf_jfield namespace_f[] = {
	SPEC_REQ(struct skf_spec_namespace, type, "type", skf_j_enum, skf_spec_ns_types),
	SPEC_OPT(struct skf_spec_namespace, path, "path", dec_ns_path, NULL),
	SKF_J_END,
};
static const struct skf_jtable namespace_table = {sizeof(struct skf_spec_namespace), namespace_f};

static int namespace_unique(struct skf_jctx *c, size_t i, struct json_object *v, void *user)
{
	const struct skf_jarr *a = user;
	const struct skf_spec_namespace *ns = a->v;

	(void)v;
	for (size_t k = 0; k < i; k++) {
		if (ns[k].type == ns[i].type)
			return skf_j_fail(c, SKF_EINVALID,
					  "namespace '%s' is already named by entry %zu; keep one of them",
					  skf_spec_enum_name(skf_spec_ns_types, ns[i].type), k);
	}
	return 0;
}

static int dec_namespaces(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	static const struct skf_jarr_arg arr = {&namespace_table, SPEC_MAX_NAMESPACES};

	(void)arg;
	if (skf_j_arr(c, v, dst, &arr) < 0)
		return -1;
	return skf_j_each_elem(c, v, SPEC_MAX_NAMESPACES, namespace_unique, dst);
}

/* --- devices --- */
struct device_raw {
	struct skf_spec_device d;
	bool has_major, has_minor;
};

static int device_check(struct skf_jctx *c, void *obj)
{
	struct device_raw *r = obj;

	r->d.mode &= 07777; /* some engines write st_mode, type bits included */
	if (r->d.type == 'p')
		return 0;
	if (!r->has_major || !r->has_minor)
		return skf_j_fail(c, SKF_EINVALID, "device '%.200s' of type '%c' needs major and minor",
				  r->d.path, r->d.type);
	/* The kernel's dev_t: 12 bits major, 20 bits minor. */
	if (r->d.major < 0 || r->d.major > 0xfff || r->d.minor < 0 || r->d.minor > 0xfffff)
		return skf_j_fail(c, SKF_EINVALID,
				  "device '%.200s': no device can have the numbers %lld:%lld", r->d.path,
				  (long long)r->d.major, (long long)r->d.minor);
	return 0;
}

static const struct skf_jfield device_f[] = {
	SPEC_REQ(struct device_raw, d.path, "path", skf_j_abspath, NULL),
	SPEC_REQ(struct device_raw, d.type, "type", skf_spec_j_char, "cbup"),
	SPEC_OPTP(struct device_raw, d.major, has_major, "major", skf_j_i64, NULL),
	SPEC_OPTP(struct device_raw, d.minor, has_minor, "minor", skf_j_i64, NULL),
	SPEC_OPTP(struct device_raw, d.mode, d.has_mode, "fileMode", skf_j_u32, NULL),
	SPEC_OPT(struct device_raw, d.uid, "uid", skf_spec_j_id, NULL),
	SPEC_OPT(struct device_raw, d.gid, "gid", skf_spec_j_id, NULL),
	SKF_J_END,
};
static const struct skf_jtable device_table = {sizeof(struct device_raw), device_f, .check = device_check};

static int dec_devices(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	static const struct skf_jarr_arg arr = {&device_table, SKF_MAX_DEVICES};
	struct skf_jarr raw = {0};
	const struct device_raw *r;
	struct skf_spec_device *d;

	(void)arg;
	if (skf_j_arr(c, v, &raw, &arr) < 0)
		return -1;
	if (raw.n == 0)
		return 0;
	d = skf_arena_array(skf_j_arena(c), raw.n, sizeof(*d));
	if (!d)
		return skf_spec_j_nomem(c);
	r = raw.v;
	for (size_t i = 0; i < raw.n; i++)
		d[i] = r[i].d;
	*(struct skf_jarr *)dst = (struct skf_jarr){.v = d, .n = raw.n};
	return 0;
}

/* --- the small ones --- */
static const struct {
	const char *name;
	unsigned long flags;
} propagation[] = {
	{"", 0},
	{"private", MS_PRIVATE},
	{"rprivate", MS_PRIVATE | MS_REC},
	{"shared", MS_SHARED},
	{"rshared", MS_SHARED | MS_REC},
	{"slave", MS_SLAVE},
	{"rslave", MS_SLAVE | MS_REC},
	{"unbindable", MS_UNBINDABLE},
	{"runbindable", MS_UNBINDABLE | MS_REC},
};

static int dec_propagation(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	char *s = NULL;

	(void)arg;
	if (skf_j_str(c, v, &s, NULL) < 0)
		return -1;
	for (size_t i = 0; i < SKF_ARRAY_LEN(propagation); i++) {
		if (skf_streq(propagation[i].name, s)) {
			*(unsigned long *)dst = propagation[i].flags;
			return 0;
		}
	}
	return skf_j_fail(
		c, SKF_EINVALID,
		"expected private, slave, shared or unbindable (or with a leading 'r'), found '%.32s'", s);
}

struct personality {
	int domain;
	struct skf_strv flags;
};
static const struct skf_jenum domains[] = {{"LINUX", PER_LINUX}, {"LINUX32", PER_LINUX32}, {NULL, 0}};
static const struct skf_jfield personality_f[] = {
	SPEC_REQ(struct personality, domain, "domain", skf_j_enum, domains),
	SPEC_OPT(struct personality, flags, "flags", skf_j_strv, NULL),
	SKF_J_END,
};
static const struct skf_jtable personality_table = {sizeof(struct personality), personality_f};

static int dec_personality(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	struct personality p = {0};

	(void)arg;
	if (skf_j_obj(c, v, &p, &personality_table) < 0)
		return -1;
	if (p.flags.n)
		return skf_j_fail(c, SKF_EUNSUPPORTED,
				  "flag '%.64s' is not supported: the runtime-spec has no flags of a "
				  "personality; remove it",
				  p.flags.v[0]);
	*(unsigned long *)dst = (unsigned long)p.domain;
	return 0;
}

#define L struct skf_spec_linux
static const struct skf_jfield linux_f[] = {
	SPEC_OPT(L, namespaces, "namespaces", dec_namespaces, NULL),
	SPEC_OPT(L, uid_mappings, "uidMappings", skf_j_arr, &skf_spec_idmap_arr),
	SPEC_OPT(L, gid_mappings, "gidMappings", skf_j_arr, &skf_spec_idmap_arr),
	SPEC_OPT(L, devices, "devices", dec_devices, NULL),
	SPEC_OPT(L, sysctl, "sysctl", skf_j_kvs, NULL),
	SPEC_OPT(L, cgroups_path, "cgroupsPath", skf_j_str, NULL),
	SPEC_OPTP(L, resources, has_resources, "resources", skf_j_obj, &skf_spec_resources_table),
	SPEC_OPT(L, seccomp, "seccomp", skf_j_objp, &skf_spec_seccomp_table),
	SPEC_OPT(L, masked_paths, "maskedPaths", skf_spec_j_paths, NULL),
	SPEC_OPT(L, readonly_paths, "readonlyPaths", skf_spec_j_paths, NULL),
	SPEC_OPT(L, rootfs_propagation, "rootfsPropagation", dec_propagation, NULL),
	SPEC_OPT(L, mount_label, "mountLabel", skf_j_str, NULL),
	SPEC_OPTP(L, personality, has_personality, "personality", dec_personality, NULL),
	SPEC_OPT(L, time_offsets, "timeOffsets", skf_spec_j_time_offsets, NULL),
	SPEC_OPT(L, intel_rdt, "intelRdt", skf_j_objp, &skf_spec_intel_rdt_table),
	SPEC_OPT(L, memory_policy, "memoryPolicy", skf_spec_j_memory_policy, NULL),
	SPEC_OPT(L, net_devices, "netDevices", skf_spec_j_net_devices, NULL),
	SKF_J_END,
};
#undef L
const struct skf_jtable skf_spec_linux_table = {sizeof(struct skf_spec_linux), linux_f};
