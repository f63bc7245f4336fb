/* oci/spec_int.h -- what the decoders of config.json share. One file per object of the document; the tables
 * below are the roots of their parts. */
#pragma once
#include "oci/spec.h"

/* Lists that have no limit of their own in limits.h; the size of the document bounds them long before the
 * memory does. */
#define SPEC_MAX_LIST       65536
#define SPEC_MAX_NAMESPACES 64
#define SPEC_MAX_HOOKS      1024

/* Rows. Every optional property takes null for absent, because Go encoders write it for nil slices and
 * pointers. */
#define SPEC_OPT(type, member, k, f, a)        SKF_J(type, member, k, f, a, SKF_J_NULL_OK)
#define SPEC_OPTP(type, member, pres, k, f, a) SKF_JP(type, member, pres, k, f, a, SKF_J_NULL_OK)
#define SPEC_REQ(type, member, k, f, a)        SKF_J(type, member, k, f, a, SKF_J_REQUIRED)
/* The decoder gets the struct itself, for properties that fill several members. */
#define SPEC_WHOLE(k, f)                                                                                    \
	{                                                                                                   \
		(k), (f), NULL, 0, 0, SKF_J_NULL_OK                                                         \
	}
/* The spec defines it, this version does not apply it: refused unless it says nothing (null, {}, [], "",
 * false). */
#define SPEC_REFUSE(k)                                                                                      \
	{                                                                                                   \
		(k), skf_spec_j_refuse, NULL, 0, 0, SKF_J_NULL_OK                                           \
	}
/* The spec defines it for other platforms only. */
#define SPEC_FOREIGN(k)                                                                                     \
	{                                                                                                   \
		(k), skf_j_ignore, NULL, 0, 0, SKF_J_NULL_OK                                                \
	}

extern const struct skf_jtable skf_spec_process_table;     /* struct skf_spec_process */
extern const struct skf_jtable skf_spec_mount_table;       /* struct skf_spec_mount */
extern const struct skf_jtable skf_spec_hooks_table;       /* struct skf_spec_hooks */
extern const struct skf_jtable skf_spec_linux_table;       /* struct skf_spec_linux */
extern const struct skf_jtable skf_spec_resources_table;   /* struct skf_spec_resources */
extern const struct skf_jtable skf_spec_seccomp_table;     /* struct skf_spec_seccomp */
extern const struct skf_jtable skf_spec_io_priority_table; /* struct skf_spec_io_priority */
extern const struct skf_jtable skf_spec_intel_rdt_table;   /* struct skf_spec_intel_rdt */
extern const struct skf_jarr_arg skf_spec_idmap_arr;       /* array of struct skf_idmap */

/* Decoders used by several objects; dst in brackets.
 * refuse: behind SPEC_REFUSE. id: [uint32_t] uid or gid, not 4294967295. char: [char], arg: the letters
 * allowed. paths: [struct skf_strv] of absolute paths. strings: [struct skf_strv], arg: skf_spec_strings. */
int skf_spec_j_refuse(struct skf_jctx *, struct json_object *, void *, const void *);
int skf_spec_j_id(struct skf_jctx *, struct json_object *, void *, const void *);
int skf_spec_j_char(struct skf_jctx *, struct json_object *, void *, const void *);
int skf_spec_j_paths(struct skf_jctx *, struct json_object *, void *, const void *);
int skf_spec_j_strings(struct skf_jctx *, struct json_object *, void *, const void *);
/* Objects that become something of another shape. scheduler: [struct skf_spec_scheduler *]. affinity:
 * [struct skf_spec_process]. memory_policy: [struct skf_spec_memory_policy *]. time_offsets, net_devices,
 * rdma: [struct skf_jarr]. */
int skf_spec_j_scheduler(struct skf_jctx *, struct json_object *, void *, const void *);
int skf_spec_j_affinity(struct skf_jctx *, struct json_object *, void *, const void *);
int skf_spec_j_memory_policy(struct skf_jctx *, struct json_object *, void *, const void *);
int skf_spec_j_time_offsets(struct skf_jctx *, struct json_object *, void *, const void *);
int skf_spec_j_net_devices(struct skf_jctx *, struct json_object *, void *, const void *);
int skf_spec_j_rdma(struct skf_jctx *, struct json_object *, void *, const void *);
/* LIMIT: the arena is used up. */
int skf_spec_j_nomem(struct skf_jctx *c);
/* A list of strings, each judged by fn (path set to the element); arg of the row. */
struct skf_spec_strings {
	int (*check)(struct skf_jctx *c, const char *s);
	size_t max;
};

/* The names behind parsing and features; each list ends with a NULL name. */
extern const struct skf_jenum skf_spec_ns_types[];
extern const struct skf_jenum skf_spec_memory_modes[];
extern const struct skf_jenum skf_spec_memory_flags[];
extern const struct skf_jenum skf_spec_seccomp_actions[];
extern const struct skf_jenum skf_spec_seccomp_ops[];
extern const struct skf_jenum skf_spec_seccomp_flags[];
/* value 1: compiled by the libseccomp that this version is built with; 0: only named by the spec. */
extern const struct skf_jenum skf_spec_seccomp_archs[];
const char *skf_spec_enum_name(const struct skf_jenum *t, int value); /* NULL when there is none */

/* Rules between properties. name is the document's. */
int skf_spec_validate(const struct skf_spec *s, const struct skf_spec_opts *o, struct skf_err *e);
