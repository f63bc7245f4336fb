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
	bool fresh; /* the directories were made just now: defaults need not be written */
	bool rootless;
	int fd[SKF_CG_MAX];       /* O_PATH directory per hierarchy, -EBADF when not used */
	char v2_controllers[192]; /* cgroup.controllers of the v2 directory, "" without */
};
/* Applies all of s->r. `fresh`: see above. Fails: UNSUPPORTED naming the controller or property, INVALID, or
 * by errno with file and value. */
int skf_cgset_apply(struct skf_cgset *s, struct skf_err *e);
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
 * read-only) is left out. On failure what was made is removed. */
int skf_cg_make(struct skf_cg_dirs *d, const struct skf_spec_resources *r, bool may_skip, bool *ret_fresh,
		struct skf_err *e);
/* Turns on controllers for the v2 directory in all ancestors: all that exist, or only those that no v1
 * hierarchy has and r needs. Failures are found later, when a limit misses its controller. Fills out with
 * the directory's own cgroup.controllers. */
int skf_cg_enable(const struct skf_cg_dirs *d, const struct skf_spec_resources *r, char *out, size_t size);
