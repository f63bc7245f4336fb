/* runtime/cgroups/cgroups_int.h -- what the files of this folder share. Conversions, the path rule and the
 * device plan are pure functions so that unit tests need no kernel. */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "oci/spec.h"
#include "sys/cgroup.h"

/* --- path.c --- */
/* runc's cgroupfs rule. `want` is linux.cgroupsPath: absolute is below the mount of each hierarchy; relative
 * is below `base`; NULL or "" is base/<id>. "." and ".." are resolved textually and cannot leave the root.
 * INVALID for a path that is the root itself (its processes would be killed with the container), LIMIT when
 * too long. */
int skf_cgroups_path(const char *want, const char *base, const char *id, char *out, size_t size,
		     struct skf_err *e);
/* Where relative paths start: on pure v2 the parent of our own cgroup (ours has processes, so it may not
 * have controllers below); on v1 the deepest cgroup that we are in or below in every hierarchy, because one
 * path is used for all of them. */
int skf_cgroups_base(const struct skf_cg_layout *l, char *out, size_t size);
/* Cuts a to its common ancestor with b, component by component. */
void skf_cgroups_common(char *a, const char *b);

/* --- convert.c --- */
/* cpu.shares (2..262144, default 1024) to cpu.weight (1..10000, default 100): 10 to the power of ((l*l +
 * 125*l) / 612 - 7/34), rounded up, with l = log2(shares), as runc and crun do; 0 means not set. */
uint64_t skf_cg_shares_to_weight(uint64_t shares);
/* blkio weight (10..1000) to io.weight (1..10000), linear. */
uint64_t skf_cg_blkio_to_io_weight(uint32_t weight);
/* memory.swap counts memory and swap together in the spec and on v1, swap alone on v2. Writes the value for
 * memory.swap.max ("max", a number) or "" when nothing has to be written. INVALID when swap is asked for
 * without a memory limit or below it. */
int skf_cg_swap_to_v2(const struct skf_spec_resources *r, char out[24], struct skf_err *e);

/* --- devices.c --- */
struct skf_devrule {
	bool allow, deflt;    /* deflt: one of the devices every container may use */
	char type;            /* 'c' or 'b' */
	int64_t major, minor; /* -1: any */
	unsigned access;      /* BPF_DEVCG_ACC_* */
};
struct skf_devrules {
	bool allow;            /* what is not named below is allowed */
	struct skf_devrule *v; /* in the order of the spec: a later rule wins */
	size_t n;
};
/* Rules of the spec followed by the default devices; everything before the last rule about all devices is
 * dropped. ENOMEM, INVALID. */
int skf_cg_devrules(const struct skf_jarr *rules, struct skf_arena *a, struct skf_devrules *ret,
		    struct skf_err *e);
/* Lines for v1: "+c 1:3 rwm" for devices.allow, "-..." for devices.deny, after "+a" or "-a" (not included)
 * set the mode. v1 keeps a plain list of exceptions: rules that would punch a hole into a wider one are
 * UNSUPPORTED; a default device inside a hole is left out. */
int skf_cg_devices_v1(const struct skf_devrules *r, struct skf_arena *a, struct skf_strv *ret,
		      struct skf_err *e);
/* Program for v2: the last rule that names a device decides, for each of read, write and mknod by itself. */
struct bpf_insn;
int skf_cg_devices_bpf(const struct skf_devrules *r, struct skf_arena *a, struct bpf_insn **ret,
		       unsigned *ret_n, struct skf_err *e);

/* --- set.c: applying resources to the directories of one container --- */
struct skf_cgset {
	const struct skf_cg_dirs *d;
	const struct skf_spec_resources *r; /* never NULL */
	const struct skf_log *log;
	struct skf_arena *arena;
	bool fresh;  /* the directories were made just now: defaults need not be written */
	bool update; /* the container runs: what r does not set stays */
	bool rootless;
	int *fd;                  /* [SKF_CG_MAX] O_PATH directories, opened when asked for: skf_cgset_dir */
	char v2_controllers[192]; /* cgroup.controllers of the v2 directory, "" without */
};
/* What must be refused before anything is changed (memory.checkBeforeUpdate). */
int skf_cgset_check(const struct skf_cgset *s, struct skf_err *e);
/* Applies all of s->r. `fresh`: see above. Fails: UNSUPPORTED naming the controller or property, INVALID, or
 * by errno with file and value. */
int skf_cgset_apply(struct skf_cgset *s, struct skf_err *e);
/* The directory in hierarchy i, borrowed; -EBADF: the container has none there. -errno. */
int skf_cgset_dir(const struct skf_cgset *s, unsigned i);
/* Hierarchy that has the controller for this container, v1 first; -1 when there is none. */
int skf_cgset_find(const struct skf_cgset *s, const char *controller, bool *ret_v2);
/* The same, failing with the name of the property that needs it. */
int skf_cgset_need(const struct skf_cgset *s, const char *controller, const char *what, bool *ret_v2,
		   struct skf_err *e);
/* The error for a property that cgroup v2 does not have. */
int skf_cgset_v1_only(const char *property, struct skf_err *e);
/* One file; -errno. */
int skf_cgset_put(const struct skf_cgset *s, int i, const char *file, const char *value);
/* One file; failure names file and value. */
int skf_cgset_write(const struct skf_cgset *s, int i, const char *file, const char *value,
		    struct skf_err *e);
int skf_cgset_write_u64(const struct skf_cgset *s, int i, const char *file, uint64_t value,
			struct skf_err *e);
/* The error of a write that already failed with r. */
int skf_cgset_fail(const struct skf_cgset *s, int i, const char *file, const char *value, int r,
		   struct skf_err *e);
#define skf_cgset_fail(...) skf_negative(skf_cgset_fail(__VA_ARGS__))

/* limits_v1.c, limits_v2.c: one function per controller; i is its hierarchy. */
int skf_cg_memory_v1(struct skf_cgset *s, int i, struct skf_err *e);
int skf_cg_cpu_v1(struct skf_cgset *s, int i, struct skf_err *e);
int skf_cg_blkio_v1(struct skf_cgset *s, int i, struct skf_err *e);
int skf_cg_memory_v2(struct skf_cgset *s, int i, struct skf_err *e);
int skf_cg_cpu_v2(struct skf_cgset *s, int i, struct skf_err *e);
int skf_cg_io_v2(struct skf_cgset *s, int i, struct skf_err *e);
int skf_cg_unified(struct skf_cgset *s, struct skf_err *e);
/* devices_apply.c */
int skf_cg_devices(struct skf_cgset *s, struct skf_err *e);

/* --- make.c: directories --- */
/* Makes the directory in every hierarchy of d->layout, sets the bits of d->used, fills cpuset on v1.
 * *ret_fresh false when one was there already. With may_skip a hierarchy that refuses (no permission,
 * read-only) is left out when we are a plain user, or root of a user namespace only. On failure what was
 * made is removed. */
int skf_cg_make(struct skf_cg_dirs *d, const struct skf_spec_resources *r, bool may_skip, bool *ret_fresh,
		struct skf_err *e);
/* Is our root no root outside? Reads /proc/self/uid_map: asked after a refusal only. */
bool skf_cg_in_userns(void);
/* Turns on controllers for the v2 directory in all ancestors: all that exist, or only those that no v1
 * hierarchy has and r needs. Failures are found later, when a limit misses its controller. Fills out with
 * the directory's own cgroup.controllers. */
int skf_cg_enable(const struct skf_cg_dirs *d, const struct skf_spec_resources *r, char *out, size_t size);

/* --- gvariant.c --- */
struct skf_buf;
/* Appends the property `name` (sv) with the value that GVariant text says. A number of a name that ends in
 * "Sec" becomes microseconds of "...USec". -EINVAL, -ENODATA (an empty array whose type is not told),
 * -ERANGE, -E2BIG, -ENOMEM. */
int skf_gvariant_prop(const char *name, const char *text, struct skf_buf *out);

/* --- systemd_props.c: pure --- */
/* Where a scope is: linux.cgroupsPath "slice:prefix:name" (systemd manager), default ":skiff:<id>". Slice
 * empty: user.slice when rootless, else system.slice. INVALID names the part that systemd would refuse. */
struct skf_unit {
	char slice[256], scope[256];
};
int skf_unit_of(const char *cgroups_path, const char *id, bool rootless, struct skf_unit *ret,
		struct skf_err *e);
/* "/a.slice/a-b.slice" of "a-b.slice"; "" for "-.slice". -EINVAL for what is no slice. */
int skf_slice_path(const char *slice, char *out, size_t size);
/* "0-2,7" as systemd's bit mask, lowest byte first. Number of bytes, -EINVAL, -E2BIG. */
int skf_cpuset_mask(const char *list, uint8_t *out, size_t size);
/* Properties that a manager refused by name; those are left to the cgroup files. */
struct skf_prop_skip {
	char name[8][32];
	unsigned n;
};
/* Notes the property that systemd's error text is about. false: none that may be left out. */
bool skf_prop_skip_add(struct skf_prop_skip *s, const char *error_text);
/* Resources as properties. cpu.quota of r is rounded up to whole percents, the only ones that systemd knows,
 * so that both write the same. */
int skf_unit_resources(const struct skf_cg_layout *l, struct skf_spec_resources *r, bool update,
		       const struct skf_prop_skip *skip, struct skf_arena *a, struct skf_buf *out,
		       struct skf_err *e);

/* --- systemd.c --- */
struct skf_rt;
struct skf_rt_state;
struct skf_start;
/* create: names the unit (s->systemd_scope) and, from the manager's own cgroup, the directory. Makes
 * nothing. */
int skf_systemd_plan(struct skf_start *s, struct skf_cg_dirs *d, struct skf_err *e);
/* attach: makes the scope around pid. */
int skf_systemd_start(struct skf_start *s, pid_t pid, struct skf_spec_resources *r, struct skf_err *e);
int skf_systemd_update(const struct skf_rt *rt, const struct skf_rt_state *st, struct skf_spec_resources *r,
		       struct skf_arena *a, struct skf_err *e);
int skf_systemd_attach(const struct skf_rt *rt, const struct skf_rt_state *st, const struct skf_cg_dirs *d,
		       pid_t pid, struct skf_err *e);

/* --- delegate.c --- */
/* Gives the container's cgroup to root of its user namespace, where the spec lets it be managed there. */
int skf_cgroups_give(const struct skf_start *s, const struct skf_cg_dirs *d, struct skf_err *e);
