/* cmd/oci_int.h -- what the files of skiff-oci share: the option table and the verbs. One table (oci_opts.c)
 * drives parsing, help, completion of the command line's errors, and the tests that compare it with runc's.
 */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/log.h"
#include "runtime/runtime.h"
#include <fcntl.h>

enum oci_verb {
	OCI_CREATE = 1 << 0,
	OCI_RUN = 1 << 1,
	OCI_START = 1 << 2,
	OCI_EXEC = 1 << 3,
	OCI_KILL = 1 << 4,
	OCI_DELETE = 1 << 5,
	OCI_STATE = 1 << 6,
	OCI_LIST = 1 << 7,
	OCI_SPEC = 1 << 8,
	OCI_FEATURES = 1 << 9,
	OCI_GLOBAL = 1 << 30, /* before the verb */
};

/* Everything that the command line says. Strings point into argv or the arena. */
struct oci_args {
	/* global */
	char *root, *log_path, *log_format, *log_level, *cgroup_manager, *rootless;
	bool debug, systemd_cgroup, help, version;
	/* verbs */
	char *bundle, *config, *pid_file, *console_socket, *process, *cwd, *user, *process_label, *apparmor,
		*cgroup, *format;
	uint32_t preserve_fds;
	struct skf_strv env, caps, gids;
	bool no_pivot, no_new_keyring, detach, keep, no_subreaper, tty, no_new_privs, ignore_paused, all,
		force, quiet, spec_rootless;
	/* operands */
	struct skf_strv rest;
};

struct oci {
	struct oci_args a;
	struct skf_arena arena;
	struct skf_log log; /* warnings and, with --log, errors */
	struct skf_rt rt;
	char **argv; /* of the whole program */
	const struct oci_verb_desc *verb;
	int failure_status; /* exit status of an error; 0: 1 */
};

struct oci_verb_desc {
	const char *name;
	enum oci_verb bit;
	const char *operands, *summary;
	int min, max; /* operands; max < 0: any number, the first non-option ends the options when `cmd` */
	bool cmd, seal, root;
	/* Exit status of the program when >= 0; -1 with the error set. */
	int (*run)(struct oci *o, struct skf_err *e);
};
extern const struct oci_verb_desc oci_verbs[]; /* ends with a NULL name */

/* --- oci_opts.c --- */
/* Parses all of argv. */
int oci_parse(struct oci *o, int argc, char **argv, struct skf_err *e);
void oci_help(const struct oci_verb_desc *v, struct skf_buf *b);

/* --- oci_create.c --- */
int oci_create(struct oci *o, struct skf_err *e);
int oci_run(struct oci *o, struct skf_err *e);
int oci_start(struct oci *o, struct skf_err *e);
/* --preserve-fds plus LISTEN_FDS; adds LISTEN_FDS and LISTEN_PID to env; every one of them must be open. */
int oci_preserved_fds(struct oci *o, struct skf_strv *env, unsigned *ret, struct skf_err *e);
/* --- oci_exec.c --- */
int oci_exec(struct oci *o, struct skf_err *e);
/* --- oci_wait.c: the foreground --- */
struct oci_foreground;
/* Blocks the signals that are to be forwarded from now on. */
int oci_foreground_begin(struct oci_foreground **ret, struct skf_err *e);
/* Forwards signals and the terminal (when there is one) until the container's process ended; its exit
 * status. */
int oci_foreground_run(struct oci_foreground *f, struct skf_rt_container *c, int *ret_code,
		       struct skf_err *e);
void oci_foreground_end(struct oci_foreground *f);
static inline void oci_foreground_endp(struct oci_foreground **f)
{
	oci_foreground_end(*f);
}
static inline void oci_container_freep(struct skf_rt_container **c)
{
	skf_rt_container_free(*c);
}
/* --- oci_state.c --- */
int oci_state(struct oci *o, struct skf_err *e);
int oci_list(struct oci *o, struct skf_err *e);
int oci_kill(struct oci *o, struct skf_err *e);
int oci_delete(struct oci *o, struct skf_err *e);
/* --- oci_info.c --- */
int oci_spec(struct oci *o, struct skf_err *e);
int oci_features(struct oci *o, struct skf_err *e);
/* Whole buffer to stdout. */
int oci_print(const struct skf_buf *b, struct skf_err *e);
