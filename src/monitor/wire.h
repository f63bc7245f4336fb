/* monitor/wire.h -- the control protocol of a monitor on ctl.sock (SOCK_SEQPACKET, mode 0600, SO_PEERCRED uid 0 or the owner), and
 * the handover from launch. Records as base/record.h. The core hello..update is frozen from the first release; an unknown type gets an ERROR record,
 * never a closed socket. Every request names a container, because a pod's monitor has several.
 *
 * HELLO   (str container)                     -> HELLO   str version, u32 wire version, u32 pid of the monitor
 * STATE   (str container)                     -> STATE   str state, u32 pid, u64 start_time, u64 started_ns, u32 exit_code, u32 oom_killed, u64 finished_ns
 * KILL    (str container, u32 signal, u32 all)-> OK
 * WAIT    (str container)                     -> (later) EXIT u32 exit_code, u32 signal, u32 oom_killed, u64 finished_ns
 * ATTACH  (str container, u32 flags) + fds stdin? stdout? stderr? (pipes or sockets; flags as SKF_LAUNCH_STDIN/OUT/ERR) -> OK
 * RESIZE  (str container, u32 rows, u32 cols) -> OK
 * UPDATE  (str container, ...)                -> OK or ERROR (no updatable property in this version: ERROR unsupported)
 * ERROR   err
 *
 * An exec session's monitor answers to the container's id and to its own exec id. One WAIT per connection is remembered; a second one changes
 * nothing. An attached output is written without blocking the monitor, but a client that does not read holds up the container, as in docker. */
#pragma once
#include "base/fwd.h"
#include "sys/cgroup.h"

enum skf_mon_type {
	SKF_MON_HELLO = 1, SKF_MON_STATE = 2, SKF_MON_KILL = 3, SKF_MON_WAIT = 4, SKF_MON_ATTACH = 5, SKF_MON_RESIZE = 6, SKF_MON_UPDATE = 7,
	SKF_MON_OK = 64, SKF_MON_EXIT = 65, SKF_MON_ERROR = 66
};
#define SKF_MON_VERSION 1

/* --- server side --- */
struct skf_mon_request { /* container is a view into the record */
	uint16_t type;
	const char *container;
	uint32_t signal, all, flags, rows, cols;
};
/* Decodes a record that skf_record_recv gave. -EBADMSG for a cut or impossible one, -EOPNOTSUPP for a type that this version does not know. */
int skf_mon_request_read(struct skf_recr *r, struct skf_mon_request *ret);

/* --- client side, used by the engine --- */
/* Connects to <dirfd>/ctl.sock through /proc/self/fd; -ENOENT / -ECONNREFUSED when no monitor lives. */
int skf_mon_connect(int dirfd);
struct skf_mon_exit {
	uint32_t code, signal, oom_killed;
	uint64_t finished_ns;
};
struct skf_mon_state {
	char state[32];
	uint32_t pid, exit_code, oom_killed;
	uint64_t start_time, started_ns, finished_ns;
};
/* One request and its answer within SKF_HELLO_MS. Fails: UNAVAILABLE (monitor gone), TIMEOUT, or the monitor's own error. */
int skf_mon_hello(int sock, const char *id, char *version, size_t size, struct skf_err *e);
int skf_mon_state(int sock, const char *id, struct skf_mon_state *ret, struct skf_err *e);
int skf_mon_kill(int sock, const char *id, int sig, bool all, struct skf_err *e);
int skf_mon_attach(int sock, const char *id, unsigned flags, const int *fds, unsigned n, struct skf_err *e);
int skf_mon_resize(int sock, const char *id, unsigned rows, unsigned cols, struct skf_err *e);
/* Waits for the exit; timeout_ms < 0: until the monitor dies or answers. TIMEOUT leaves the wait registered on sock. UNAVAILABLE: the monitor ended
 * without an answer; exit.json says whether it recorded an exit. */
int skf_mon_wait(int sock, const char *id, int timeout_ms, struct skf_mon_exit *ret, struct skf_err *e);

/* --- handover: launch -> monitor across execve, one record in a memfd that is fd SKF_MON_HANDOVER_FD --- */
#define SKF_MON_HANDOVER_FD 3
struct skf_mon_handover {
	uint32_t flags;               /* SKF_MONH_* */
	char id[65], exec_id[65];
	char reaper[256], root[512], run_root[512];
	uint32_t pid;
	uint64_t start_time, started_ns;
	/* fds, -1 when absent; all open in the monitor */
	int32_t pidfd, netns, engine_sock; /* engine_sock: socket of launch/wire.h */
	int32_t run_dir;              /* /run/skiff/containers/<id> or exec/<n>: ctl.sock is bound here */
	int32_t disk_dir;             /* /var/lib/skiff/containers/<id>: exit.json, log/ ; -1 for exec */
	int32_t run_root_fd;          /* /run/skiff: summary/, events/ */
	int32_t tty;                  /* pty master */
	int32_t in, out, err;         /* our ends of the container's pipes */
	int32_t att_in, att_out, att_err; /* first attached client */
	uint32_t log_driver;          /* 0 none, 1 json-file */
	uint64_t log_max_size;
	uint32_t log_max_file;
	struct skf_cg_dirs cg;        /* used 0 for exec sessions */
	int32_t listen_fd;            /* ctl.sock, bound and listening; -1 for an exec session without an id */
	int32_t log_fd;               /* log/<id>-json.log, O_APPEND */
};
enum { SKF_MONH_TTY = 1, SKF_MONH_EXEC = 2, SKF_MONH_STDIN_ONCE = 4, SKF_MONH_KEEP_STDIN = 8,
       SKF_MONH_KEEP_SOCK = 16 /* SKF_LAUNCH_KEEP: engine_sock stays open until EXITED */ };
void skf_mon_handover_write(const struct skf_mon_handover *h, struct skf_buf *b);
/* -EBADMSG for anything that skf_mon_handover_write did not make. */
int skf_mon_handover_read(const void *p, size_t n, struct skf_mon_handover *ret);
#define SKF_MON_HANDOVER_MAX 12288 /* bytes of the record: 16 hierarchies with full names are below 6,000 */
