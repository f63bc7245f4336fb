/* monitor/wire.h -- the control protocol of a monitor on ctl.sock (SOCK_SEQPACKET, mode 0600, SO_PEERCRED
 * uid 0 or the owner), and the handover from launch. Records as base/record.h. The core hello..update is
 * frozen from the first release; an unknown type gets an ERROR record, never a closed socket. Every request
 * names a container, because a pod's monitor has several.
 *
 * HELLO   (str container)                     -> HELLO   str version, u32 wire version, u32 pid of the
 * monitor STATE   (str container)                     -> STATE   str state, u32 pid, u64 start_time, u64
 * started_ns, u32 exit_code, u32 oom_killed, u64 finished_ns, u32 restarts, str health ("": no check), u32
 * failing streak KILL    (str container, u32 signal, u32 all, u32 manual)-> OK    manual: SKF_MON_BY_HAND or
 * SKF_MON_SHUTDOWN: its restart policy does not bring it back; after a shutdown the next boot does. With one
 * of them signal 0 sends none; SKF_MON_AS_CONFIGURED takes it back, and sends none WAIT    (str container)
 * -> (later) EXIT u32 exit_code, u32 signal, u32 oom_killed, u64 finished_ns ATTACH  (str container, u32
 * flags) + fds stdin? stdout? stderr? (pipes or sockets; flags as SKF_LAUNCH_STDIN/OUT/ERR) -> OK RESIZE
 * (str container, u32 rows, u32 cols) -> OK UPDATE  (str container, u32 what, u32 restart policy, u32 its
 * maximum) -> OK    what: SKF_MON_UPD_*; other bits: ERROR unsupported PROBE   (str container) -> (later)
 * HEALTH u32 exit code of the health check, str health; ERROR when there is none NAMESPACES (str pod) ->
 * NAMESPACES u32 set, fds in the order of enum skf_hold_ns; only a pod's holder knows it (hold.h) SHM (str
 * pod)                               -> SHM, fd of the mount namespace with the pod's /dev/shm, none when it
 * shares none; only a pod's holder knows it START   (str container, u64 started_ns)      -> OK    its
 * process, which waited since it was made (SKF_MONH_HELD), is about to run ERROR   err
 *
 * WAIT is answered at each end of the process, also when the restart policy starts it again.
 * An exec session's monitor answers to the container's id and to its own exec id. One WAIT per connection is
 * remembered; a second one changes nothing. An attached output is written without blocking the monitor, but
 * a client that does not read holds up the container, as in docker. */
#pragma once
#include "base/fwd.h"
#include "sys/cgroup.h"

enum skf_mon_type {
	SKF_MON_HELLO = 1,
	SKF_MON_STATE = 2,
	SKF_MON_KILL = 3,
	SKF_MON_WAIT = 4,
	SKF_MON_ATTACH = 5,
	SKF_MON_RESIZE = 6,
	SKF_MON_UPDATE = 7,
	SKF_MON_PROBE = 8,
	SKF_MON_NAMESPACES = 9,
	SKF_MON_SHM = 10,
	SKF_MON_START = 11,
	SKF_MON_OK = 64,
	SKF_MON_EXIT = 65,
	SKF_MON_ERROR = 66,
	SKF_MON_HEALTH = 67
};
enum skf_logd {
	SKF_LOGD_NONE = 0,
	SKF_LOGD_JSON_FILE = 1,
	SKF_LOGD_K8S_FILE = 2,
	SKF_LOGD_JOURNALD = 3,
	SKF_LOGD_SYSLOG = 4
};
enum { SKF_MON_UPD_RESTART = 1 };
enum {
	SKF_MON_BY_HAND = 1,
	SKF_MON_SHUTDOWN = 2,
	SKF_MON_AS_CONFIGURED = 3 /* what was said before is taken back */
};
enum skf_restart {
	SKF_RESTART_NO = 0,
	SKF_RESTART_ALWAYS = 1,
	SKF_RESTART_ON_FAILURE = 2,
	SKF_RESTART_UNLESS_STOPPED = 3
};
enum skf_health_action {
	SKF_HEALTH_NONE = 0,
	SKF_HEALTH_KILL = 1,
	SKF_HEALTH_RESTART = 2,
	SKF_HEALTH_STOP = 3
};
#define SKF_MON_VERSION 1

/* --- server side --- */
struct skf_mon_request { /* container is a view into the record */
	uint16_t type;
	const char *container;
	uint32_t signal, all, flags, rows, cols;
	uint32_t manual, what, policy, policy_max;
	uint64_t started_ns;
};
/* Decodes a record that skf_record_recv gave. -EBADMSG for a cut or impossible one, -EOPNOTSUPP for a type
 * that this version does not know. */
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
	uint32_t restarts, failing;
	char health[16];
};
/* One request and its answer within SKF_HELLO_MS. Fails: UNAVAILABLE (monitor gone), TIMEOUT, or the
 * monitor's own error. */
int skf_mon_hello(int sock, const char *id, char *version, size_t size, struct skf_err *e);
int skf_mon_state(int sock, const char *id, struct skf_mon_state *ret, struct skf_err *e);
int skf_mon_kill(int sock, const char *id, int sig, bool all, unsigned manual, struct skf_err *e);
int skf_mon_start(int sock, const char *id, uint64_t started_ns, struct skf_err *e);
int skf_mon_update_restart(int sock, const char *id, uint32_t policy, uint32_t max, struct skf_err *e);
/* Runs the health check now; blocks until it has ended or timeout_ms passed. health: "starting", "healthy",
 * "unhealthy". */
int skf_mon_probe(int sock, const char *id, int timeout_ms, uint32_t *ret_code, char health[16],
		  struct skf_err *e);
int skf_mon_attach(int sock, const char *id, unsigned flags, const int *fds, unsigned n, struct skf_err *e);
int skf_mon_resize(int sock, const char *id, unsigned rows, unsigned cols, struct skf_err *e);
/* Waits for the exit; timeout_ms < 0: until the monitor dies or answers. TIMEOUT leaves the wait registered
 * on sock. UNAVAILABLE: the monitor ended without an answer; exit.json says whether it recorded an exit. */
int skf_mon_wait(int sock, const char *id, int timeout_ms, struct skf_mon_exit *ret, struct skf_err *e);

/* --- handover: launch -> monitor across execve, one record in a memfd that is fd SKF_MON_HANDOVER_FD --- */
#define SKF_MON_HANDOVER_FD 3
struct skf_mon_handover {
	uint32_t flags; /* SKF_MONH_* */
	char id[65], exec_id[65];
	char reaper[256], root[512], run_root[512];
	uint32_t pid;
	uint64_t start_time, started_ns;
	/* fds, -1 when absent; all open in the monitor */
	int32_t pidfd, netns, engine_sock; /* engine_sock: socket of launch/wire.h */
	int32_t run_dir;      /* /run/skiff/containers/<id> or exec/<n>: ctl.sock is bound here */
	int32_t disk_dir;     /* /var/lib/skiff/containers/<id>: exit.json, log/ ; -1 for exec */
	int32_t run_root_fd;  /* /run/skiff: summary/, events/ */
	int32_t tty;          /* pty master */
	int32_t in, out, err; /* our ends of the container's pipes */
	int32_t att_in, att_out, att_err; /* first attached client */
	uint32_t log_driver;              /* enum skf_logd */
	uint64_t log_max_size;
	uint32_t log_max_file;
	struct skf_cg_dirs cg; /* used 0 for exec sessions */
	int32_t listen_fd;     /* ctl.sock, bound and listening; -1 for an exec session without an id */
	int32_t log_fd;        /* file of the log, O_APPEND; -1 none */
	/* appended */
	uint32_t restart, restart_max; /* enum skf_restart; 0: no limit */
	uint32_t stop_signal, stop_timeout_s;
	uint32_t health; /* 1: there is a check, which skiff-launch finds in config.json */
	uint32_t health_retries, health_action;
	uint64_t health_interval_ms, health_timeout_ms, health_start_ms, health_start_interval_ms;
	uint64_t run_ms;          /* it is killed when it has run that long; 0: never */
	uint32_t log_nonblocking; /* drop rather than wait, and say how much */
	uint64_t log_buffer;      /* bytes kept then */
	uint32_t log_squeeze;     /* compress what is rotated */
	char log_opts[1024];      /* of the driver: lines, ready for use; json-file: the member attrs of each
				     entry, with its comma */
};
enum {
	SKF_MONH_TTY = 1,
	SKF_MONH_EXEC = 2,
	SKF_MONH_STDIN_ONCE = 4,
	SKF_MONH_KEEP_STDIN = 8,
	SKF_MONH_KEEP_SOCK = 16 /* SKF_LAUNCH_KEEP: engine_sock stays open until EXITED */,
	SKF_MONH_QUIET = 32 /* no event at the end of an exec session */,
	SKF_MONH_HELD =
		64 /* init waits for its start: neither health check nor restart policy until START */
};
void skf_mon_handover_write(const struct skf_mon_handover *h, struct skf_buf *b);
/* What a restart changes of a handover, in a record of its own type (RESTARTED of launch/wire.h): pid,
 * times, cgroup, and descriptors as positions in the record's list of descriptors (-1: absent). */
void skf_mon_restarted_write(const struct skf_mon_handover *h, uint16_t type, struct skf_buf *b);
int skf_mon_restarted_read(struct skf_recr *r, struct skf_mon_handover *ret);
enum { SKF_MON_RESTARTED_FDS = 5 }; /* pidfd, tty, in, out, err */
/* -EBADMSG for anything that skf_mon_handover_write did not make. */
int skf_mon_handover_read(const void *p, size_t n, struct skf_mon_handover *ret);
/* bytes of the record: 16 hierarchies with full names are below 6,000 */
#define SKF_MON_HANDOVER_MAX 12288
