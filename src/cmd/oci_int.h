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
	OCI_PS = 1 << 10,
	OCI_PAUSE = 1 << 11,
	OCI_RESUME = 1 << 12,
	OCI_UPDATE = 1 << 13,
	OCI_EVENTS = 1 << 14,
	OCI_CHECKPOINT = 1 << 15,
	OCI_RESTORE = 1 << 16,
	OCI_MOUNTS = 1 << 17,
	OCI_GLOBAL = 1 << 30, /* before the verb */
};

/* Everything that the command line says. Strings point into argv or the arena. */
struct oci_args {
	struct skf_strv rest; /* operands */
	/* global */
	char *root, *log_path, *log_format, *log_level, *cgroup_manager, *rootless;
	bool debug, systemd_cgroup, help, version;
	/* verbs */
	char *bundle, *config, *pid_file, *console_socket, *process, *cwd, *user, *process_label, *apparmor,
		*format, *pidfd_socket, *interval, *file;
	uint32_t preserve_fds;
	struct skf_strv env, caps, gids, cgroups;
	bool no_pivot, no_new_keyring, detach, keep, no_subreaper, tty, no_new_privs, ignore_paused, all,
		force, quiet, regex, stats, spec_rootless;
	/* update: the words as given, NULL when absent */
	struct {
		char *resources, *blkio_weight, *cpu_period, *cpu_quota, *cpu_burst, *cpu_share,
			*cpu_rt_period, *cpu_rt_runtime, *cpu_idle, *cpuset_cpus, *cpuset_mems,
			*kernel_memory, *kernel_memory_tcp, *memory, *memory_reservation, *memory_swap,
			*pids_limit, *l3_cache, *mem_bw;
	} up;
	/* checkpoint and restore */
	struct {
		char *image_path, *work_path, *parent_path, *page_server, *manage_cgroups_mode,
			*network_lock, *lsm_profile, *lsm_mount_context;
		int status_fd; /* -1: none */
		struct skf_strv empty_ns;
		bool leave_running, tcp_established, tcp_skip_in_flight, tcp_close, ext_unix_sk, shell_job,
			lazy_pages, file_locks, pre_dump, auto_dedup, link_remap;
	} cr;
};

struct oci {
	char **argv;      /* of the whole program */
	const char *prog; /* what we are called, for messages */
	const struct oci_verb_desc *verb;
	int failure_status; /* exit status of an error; 0: 1 */
	struct skf_rt rt;
	struct skf_arena arena;
	struct skf_log log; /* warnings and, with --log, errors */
	struct oci_args a;  /* large, so last */
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

/* --- oci_optrows.c --- */
enum oci_opt_type { O_FLAG, O_STR, O_U32, O_INT, O_LIST, O_CSV };
struct oci_opt {
	const char *name, *arg, *help;
	unsigned verbs; /* that know it */
	uint16_t off;   /* of the member of struct oci_args */
	char letter;
	uint8_t type; /* enum oci_opt_type */
};
extern const struct oci_opt oci_opts[];
extern const size_t oci_n_opts;

/* --- oci_opts.c --- */
/* Parses all of argv. */
int oci_parse(struct oci *o, int argc, char **argv, struct skf_err *e);
/* Of the verb, or of the program when there is none. */
void oci_help(const struct oci *o, struct skf_buf *b);

/* --- oci_log.c --- */
int oci_setup_log(struct oci *o, struct skf_err *e);
/* The error that ends us: to stderr and to the log. */
void oci_log_failure(const struct oci *o, const struct skf_err *e);
/* --- oci_pidfd.c --- */
/* *ret stays as it is when --pidfd-socket is not given; else the connected socket. */
int oci_pidfd_connect(const struct oci *o, int *ret, struct skf_err *e);
/* Sends a pidfd of the container's process, our child; nothing for sock < 0. */
int oci_pidfd_send(int sock, const struct skf_rt_container *c, struct skf_err *e);

/* --- oci_create.c --- */
int oci_create(struct oci *o, struct skf_err *e);
int oci_run(struct oci *o, struct skf_err *e);
int oci_start(struct oci *o, struct skf_err *e);
/* What create, run and restore have in common: the bundle, its configuration and the options; bundle_fd of
 * *q is the caller's to close, also after a failure. detach: nobody of ours stays for the terminal. */
int oci_fill_request(struct oci *o, bool detach, struct skf_rt_create *q, struct skf_err *e);
/* --preserve-fds plus LISTEN_FDS; adds LISTEN_FDS and LISTEN_PID to env; a warning when not all of them are
 * open. */
int oci_preserved_fds(struct oci *o, struct skf_strv *env, unsigned *ret, struct skf_err *e);
/* --- oci_exec.c --- */
int oci_exec(struct oci *o, struct skf_err *e);
/* --- oci_notify.c: NOTIFY_SOCKET --- */
const char *oci_notify_host(void); /* NULL: nobody waits */
/* The socket of the container, where somebody waits and it has one; else *ret_fd stays. */
int oci_notify_open(struct oci *o, int *ret_fd, struct skf_err *e);
/* Relays until the container is ready or has ended; fd < 0: nothing. */
int oci_notify_await(struct oci *o, int fd, struct skf_err *e);

/* --- oci_wait.c: the foreground --- */
/* A terminal without a size gets that of ours before the process can ask for it. p may be NULL. */
void oci_console_size(struct skf_spec_process *p);
struct oci_foreground;
/* Blocks the signals that are to be forwarded from now on. */
int oci_foreground_begin(struct oci_foreground **ret, struct skf_err *e);
/* Forwards signals and the terminal (when there is one) until the container's process ended; its exit
 * status. */
int oci_foreground_run(struct oci_foreground *f, struct skf_rt_container *c, int *ret_code,
		       struct skf_err *e);
/* fd (borrowed) is the container's notify socket: what comes in goes to host until READY=1. */
void oci_foreground_notify(struct oci_foreground *f, const struct skf_rt *rt, int fd, const char *host);
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
/* --- oci_ps.c --- */
int oci_ps(struct oci *o, struct skf_err *e);
int oci_pause(struct oci *o, struct skf_err *e);
int oci_resume(struct oci *o, struct skf_err *e);
/* --- oci_update.c --- */
int oci_update(struct oci *o, struct skf_err *e);
/* --- oci_mounts.c --- */
int oci_mounts(struct oci *o, struct skf_err *e);
/* --- oci_events.c --- */
int oci_events(struct oci *o, struct skf_err *e);
/* --- oci_checkpoint.c --- */
int oci_checkpoint(struct oci *o, struct skf_err *e);
int oci_restore(struct oci *o, struct skf_err *e);
/* --- oci_info.c --- */
int oci_spec(struct oci *o, struct skf_err *e);
int oci_features(struct oci *o, struct skf_err *e);
/* Whole buffer to stdout. */
int oci_print(const struct skf_buf *b, struct skf_err *e);
