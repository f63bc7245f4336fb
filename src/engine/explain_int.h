/* engine/explain_int.h -- what the files explain_*.c share: one container as it is configured, the places
 * where the kernel is asked, and rows.
 *
 * Must hold: a property is a row of a table (skf_ex_prop) in one of the files, and shows itself as one line
 * or several; a reader of the kernel's side that cannot read says so in the line and fails nothing; paths
 * below the container's root go through sys/path.h. */
#pragma once
#include "engine/engine_int.h"
#include "engine/explain.h"
#include "engine/net_int.h"
#include "engine/pod_int.h"
#include "oci/spec.h"
#include <sys/stat.h>

struct json_object;
struct skf_ex_mount { /* a line of the container's mountinfo; strings in its text */
	char *point, *type, *options, *propagation; /* propagation: "private", "shared", "slave" */
};
struct skf_ex {
	struct skf_engine *g;
	struct skf_arena *a;
	const char *id;
	struct skf_ctrconf *c;
	struct skf_ctr_request *q;
	struct json_object *request; /* the same as a document: what was given */
	struct skf_spec *spec;
	struct skf_pod *pod; /* NULL: in none */
	struct skf_net_conf *net;
	struct skf_ctr_live live;
	bool running;
	int proc;              /* /proc/PID, < 0: does not run */
	struct skf_buf status; /* of /proc/PID/status */
	struct skf_ex_mount *mounts;
	size_t n_mounts;
	struct skf_cg_dirs cg;
	bool has_cg;
	struct skf_jarr rows; /* skf_explain_row */
	size_t cap_rows;
	int err; /* sticky -ENOMEM */
};

struct skf_ex_prop {
	const char *group, *name;
	const char *key;  /* of "request" or "request"."from"; NULL: the flags alone decide, and they are all
			     there */
	const char *flag; /* "--memory" */
	void (*show)(struct skf_ex *x, const struct skf_ex_prop *p);
	const void *arg;
};
struct skf_ex_table {
	const struct skf_ex_prop *v;
	size_t n;
};
extern const struct skf_ex_table skf_ex_security, skf_ex_process, skf_ex_namespaces, skf_ex_files,
	skf_ex_resources, skf_ex_network, skf_ex_life;

enum skf_ex_cmp {
	SKF_EX_TEXT /* equal texts are equal */,
	SKF_EX_SAME,
	SKF_EX_DIFFERS,
	SKF_EX_NONE /* nothing to compare */
};
/* One line; the texts are copied. name NULL: the property's. source NULL: what its key says. kernel NULL:
 * not the kernel's business. A container that does not run has "not running" there, whatever is passed but
 * NULL. */
struct skf_ex_line {
	const char *name, *value, *source, *kernel;
	enum skf_ex_cmp cmp;
};
void skf_ex_put(struct skf_ex *x, const struct skf_ex_prop *p, const struct skf_ex_line *l);
/* Text in the arena; "" and a sticky error without memory. */
char *skf_ex_text(struct skf_ex *x, const char *fmt, ...) SKF_PRINTF(2, 3);

/* --- explain_source.c --- */
/* Where a property with that key comes from. flag: what is shown when a flag said it. */
const char *skf_ex_source(struct skf_ex *x, const char *key, const char *flag);
/* The last word of --security-opt that begins with name, behind its '=' ("" without one); NULL: none. */
const char *skf_ex_opt(const struct skf_ex *x, const char *name);
bool skf_ex_has(const struct skf_strv *v, const char *word);

/* --- explain_kernel.c: what /proc says --- */
/* Value of a line of status, without blanks in front; "" when there is none. */
const char *skf_ex_status(struct skf_ex *x, const char *name);
/* A small file of /proc/PID or below it, without its last newline; NULL: cannot be read. */
char *skf_ex_proc_file(struct skf_ex *x, const char *path);
/* readlink of /proc/PID/ns/NAME, or of our own; NULL. */
char *skf_ex_ns(struct skf_ex *x, pid_t pid, const char *name);
void skf_ex_read_mounts(struct skf_ex *x);
/* The topmost mount on a path; NULL. */
const struct skf_ex_mount *skf_ex_mount_at(const struct skf_ex *x, const char *path);
/* A file of the cgroup of a controller, "" for cgroup v2: its text without the last newline, or NULL. */
char *skf_ex_cgroup(struct skf_ex *x, const char *controller, const char *file);
bool skf_ex_is_v2(const struct skf_ex *x);
/* Below the container's root: 1 there (*ret, may be NULL), 0 not. */
int skf_ex_stat(struct skf_ex *x, const char *path, struct stat *ret);
