/* monitor/monitor_int.h -- what the files of the monitor share: one struct skf_monitor, on the stack of the
 * program's only thread.
 *
 * Memory is the budget here (DESIGN 2): everything is an array in this struct or in one anonymous mapping
 * for the buffers, nothing is allocated, and pages of the buffers go back to the kernel when the container
 * has been silent for a while. Arrays are dense and never initialised as a whole, so that unused slots cost
 * no page. An entry that dies while events are dispatched gets fd -EBADF and is swept out at the end of the
 * round, so that indices stay good. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "base/limits.h"
#include "monitor/wire.h"
#include <poll.h>

#define SKF_MON_STREAM_BUF (64u << 10)  /* one chunk of output plus the unfinished line before it */
#define SKF_MON_CHUNK      (48u << 10)  /* at most so much is read at once: STREAM_BUF - SKF_LOG_LINE */
#define SKF_MON_LOG_BUF    (112u << 10) /* an entry of 16 KiB is below 99 KB however it is escaped */
#define SKF_MON_STDIN_BUF  (16u << 10)
#define SKF_MON_PROBE_BUF  4096 /* docker keeps as much of a health check's output */
#define SKF_MON_MAX_SINKS  (2 * SKF_MAX_MONITOR_CLIENTS)

enum { SKF_MON_STDOUT = 0, SKF_MON_STDERR = 1 };
enum skf_mon_phase {
	SKF_MON_RUN,
	SKF_MON_DRAIN,      /* the process has ended; its output is read to the end, at most SKF_DRAIN_MS */
	SKF_MON_BACKOFF,    /* the exit is recorded; the restart policy starts the container again at
			       deadline_ms */
	SKF_MON_RESTARTING, /* skiff-launch is at it */
	SKF_MON_LINGER,     /* the exit is recorded; a slow client still takes what was read */
	SKF_MON_DONE
};

/* An output of the container. buf: [0,held) begins an unfinished line that the log waits for; [held,len) is
 * the chunk read last, which every sink must have taken before the next one is read (back pressure);
 * [next,len) is what the log has not used yet. */
struct skf_mon_stream {
	int fd; /* -EBADF at the end */
	bool tty;
	bool quiet;  /* pty without an open peer: see stream.c */
	bool capped; /* after the drain only `budget` more bytes are read */
	uint32_t budget;
	uint32_t held, len, next;
	char *buf;
};
struct skf_mon_sink { /* an attached output */
	int fd;
	uint8_t stream;
	bool sock;
	uint32_t done; /* up to here of the stream's buf */
};
struct skf_mon_source { /* an attached input */
	int fd;
	bool sock;
};
struct skf_mon_conn {
	int fd;
	bool waits, wants_health;
};
/* A skiff-launch that works for this monitor: sock until it said how it went, pidfd until it is reaped.
 * -EBADF: none. */
struct skf_mon_job {
	int pidfd, sock;
};
struct skf_mon_policy {
	uint32_t policy, max, count; /* enum skf_restart; restarts so far */
	uint32_t backoff_ms;         /* 0: none yet */
	bool manual;                 /* stopped: no restart */
	bool shutdown;               /* ... by the host, which will start it again */
	bool forced;                 /* a health check wants a restart, whatever the policy */
};
enum skf_mon_health_state { SKF_MON_STARTING, SKF_MON_HEALTHY, SKF_MON_UNHEALTHY };
struct skf_mon_health {
	struct skf_mon_job job;
	int out; /* the probe's output */
	enum skf_mon_health_state state;
	bool running, timed_out, begun;
	uint32_t failing, seq, len;
	int64_t next_ms, end_ms, since_ms; /* next probe; end of this one's time; start of the container */
	int64_t probe_ns;                  /* when this probe began */
	int64_t stop_ms;                   /* action stop: SIGKILL is due; 0: not stopping */
	char *buf;                         /* SKF_MON_PROBE_BUF */
};
struct skf_mon_cut {
	size_t len, used; /* bytes of the entry; bytes taken from the input (one more for the newline) */
	bool newline;
};
struct skf_monitor;
struct skf_mon_logdrv {     /* one of the two functions */
	const char *suffix; /* of the file: log/<id><suffix> */
	/* Appends an entry to b, with attrs (JSON, or "") where the form has room for it. Pure. */
	void (*format)(struct skf_buf *b, unsigned stream, const char *p, const struct skf_mon_cut *c,
		       int64_t time_ns, const char *attrs);
	/* Sends an entry; waits at most SKF_HELLO_MS. */
	void (*send)(struct skf_monitor *m, unsigned stream, const char *p, const struct skf_mon_cut *c,
		     int64_t time_ns);
};
struct skf_mon_log {
	const struct skf_mon_logdrv *drv; /* NULL: none */
	int pipe;                         /* to the writer of a non-blocking log; -EBADF */
	int32_t writer;                   /* its pid */
	uint64_t dropped;                 /* entries since the last one that was taken */
	bool stream;                      /* fd is a byte stream to a syslog server */
	int fd;                           /* file or socket; -EBADF: none */
	int dir;                          /* containers/<id>, borrowed */
	const char *id;
	uint64_t size, max_size; /* size of the file with what is in buf */
	uint64_t rotate_at;      /* size at which the next entry begins a new file; 0: never */
	unsigned max_file;
	bool squeeze;          /* rotated files are compressed, by `skiff system squeeze-logs` */
	int32_t squeezer;      /* its pid, the last one; 0: none yet */
	int64_t partial_ns[2]; /* time of the first piece of a long line; 0: not within one */
	bool complained;
	struct skf_buf buf; /* entries not yet written */
};
struct skf_monitor {
	struct skf_mon_handover h;
	enum skf_mon_phase phase;
	int64_t deadline_ms; /* of the drain, or of the lingering when nobody is in the foreground */
	int64_t run_end_ms;  /* --timeout: it is killed then; 0: never */
	bool hot;            /* buffers were used since they were last given back */
	struct skf_mon_stream s[2];
	struct skf_mon_log log;
	int tty_ep; /* edge-triggered watch on a quiet pty */
	struct {
		char *buf;
		uint32_t len, off;
	} in;
	struct skf_mon_exit x;
	struct skf_mon_policy r;
	struct skf_mon_job job; /* of a restart */
	char why[200];          /* it failed so; "": the container ended by itself */
	struct skf_mon_health health;
	bool exited;
	char *mem; /* the mapping of all buffers */
	unsigned n_sinks, n_sources, n_conns;
	struct skf_mon_source sources[SKF_MAX_MONITOR_CLIENTS];
	struct skf_mon_conn conns[SKF_MAX_MONITOR_CLIENTS];
	struct skf_mon_sink sinks[SKF_MON_MAX_SINKS];
};

/* --- loop.c --- */
/* A failure that must not stop the container: one line in monitor.log of the run directory, at most 64 KiB
 * of them. */
void skf_mon_warn(const struct skf_monitor *m, int r, const char *what);

/* --- stream.c --- */
/* Makes an fd that came from a client safe for a single-threaded loop: pipes and terminals are opened anew
 * (their flags are shared with the client's other users), sockets are used with MSG_DONTWAIT. Consumes
 * *fd_own; returns the fd to use. */
int skf_mon_adopt_fd(int *fd_own, bool output, bool *ret_sock);
int skf_mon_add_sink(struct skf_monitor *m, unsigned stream, int *fd_own);
int skf_mon_add_source(struct skf_monitor *m, int *fd_own);
/* The stream may read: every sink has the last chunk. */
bool skf_mon_stream_ready(const struct skf_monitor *m, unsigned i);
/* Moves the unfinished line to the front; nothing while a sink still lacks something. */
void skf_mon_stream_compact(struct skf_monitor *m, unsigned i);
void skf_mon_stream_read(struct skf_monitor *m, unsigned i);
void skf_mon_stream_end(struct skf_monitor *m, unsigned i);
/* Writes to the sink what it still lacks; drops it when its reader is gone. */
void skf_mon_sink_write(struct skf_monitor *m, struct skf_mon_sink *k);
/* Everything has been read and every sink has all of it. */
bool skf_mon_drained(const struct skf_monitor *m);
void skf_mon_source_read(struct skf_monitor *m, struct skf_mon_source *k);
void skf_mon_stdin_write(struct skf_monitor *m);
void skf_mon_stdin_close(struct skf_monitor *m);

/* --- log.c --- */
const struct skf_mon_logdrv *skf_mon_log_driver(uint32_t number); /* SKF_LOG_*; NULL: none */
/* One complaint until a write works again: a full disk must not fill the other one with messages. */
void skf_mon_log_complain(struct skf_monitor *m, int r, const char *what);
void skf_mon_log_rotate(struct skf_monitor *m);
int skf_mon_log_open(struct skf_mon_log *l, int flags); /* the current file into l->fd; -errno */
/* Cuts one entry of docker's json-file log from p[0..n): a line, or SKF_LOG_LINE bytes of a longer one, or
 * at `eof` the rest. 1, or 0 when more input is needed. No I/O. */
int skf_mon_log_cut(const char *p, size_t n, bool eof, struct skf_mon_cut *ret);
/* Logs what is complete in p[0..n) and returns the bytes used. */
size_t skf_mon_log_lines(struct skf_monitor *m, unsigned stream, const char *p, size_t n, bool eof);
void skf_mon_log_flush(struct skf_monitor *m);

/* --- log_format.c, log_socket.c --- */
extern const struct skf_mon_logdrv skf_mon_log_json, skf_mon_log_k8s, skf_mon_log_journald,
	skf_mon_log_syslog;

/* --- log_writer.c: the mode non-blocking of drivers that write files --- */
void skf_mon_log_writer_start(struct skf_monitor *m);
/* Into the pipe, or dropped and counted. Does not block. */
void skf_mon_log_offer(struct skf_monitor *m, unsigned stream, const char *p, const struct skf_mon_cut *c,
		       int64_t now);
/* The container has ended: what was taken is on the disk when this returns, at most 2 * SKF_DRAIN_MS. */
void skf_mon_log_writer_end(struct skf_monitor *m);

/* --- ctl.c --- */
void skf_mon_accept(struct skf_monitor *m);
void skf_mon_conn_read(struct skf_monitor *m, struct skf_mon_conn *c);
void skf_mon_engine_read(struct skf_monitor *m);
void skf_mon_answer_waits(struct skf_monitor *m);
int skf_mon_send_started(struct skf_monitor *m);
/* false when nobody in the foreground heard of the exit. */
bool skf_mon_send_exited(struct skf_monitor *m);

/* Whoever waits for a health check hears of its end; health NULL: that there is none any more. */
void skf_mon_answer_probes(struct skf_monitor *m, uint32_t code, const char *health);

/* --- job.c --- */
/* Starts skiff-launch with this request; fds are borrowed. -errno. */
int skf_mon_job_start(struct skf_monitor *m, struct skf_mon_job *j, const char *verb,
		      const struct skf_buf *request, const int *fds, unsigned n_fds);
/* Reaps the job's process if it has ended; else its pidfd stays in the loop. Closes its socket. */
void skf_mon_job_reap(struct skf_mon_job *j);
/* Reaps every child that has ended. Only while the container has no process: launch leaves us those that it
 * cloned as its sisters, and whose pid nobody tells. */
void skf_mon_reap_strays(void);
void skf_mon_job_kill(struct skf_mon_job *j);

/* --- restart.c --- */
/* Does the container run again after an end with this code, ran_ms after its start? Counts, and sets the
 * back-off: 100 ms, doubled to a minute, from the beginning after 10 s of life (docker's rules). Pure. */
bool skf_mon_policy_next(struct skf_mon_policy *p, uint32_t code, uint64_t ran_ms);
/* After the exit is recorded: the wait, */
void skf_mon_restart_wait(struct skf_monitor *m);
/* the start, */
void skf_mon_restart_begin(struct skf_monitor *m);
/* and launch's answer. */
void skf_mon_restart_read(struct skf_monitor *m);
/* It gave none in time. */
/* loop.c: the time that the container may run begins. */
void skf_mon_run_time_start(struct skf_monitor *m);
void skf_mon_restart_timeout(struct skf_monitor *m);
/* Stopped by hand while it waits. */
void skf_mon_restart_cancel(struct skf_monitor *m);

/* --- health.c --- */
const char *skf_mon_health_word(const struct skf_monitor *m); /* "" without a check */
/* The container runs: the first probe is due after one interval. */
void skf_mon_health_start(struct skf_monitor *m);
void skf_mon_health_stop(struct skf_monitor *m);
/* What is due at now_ms. */
void skf_mon_health_tick(struct skf_monitor *m, int64_t now_ms);
/* When something is due; 0: nothing. */
int64_t skf_mon_health_due(const struct skf_monitor *m);
int skf_mon_health_probe(struct skf_monitor *m);   /* now; -errno */
void skf_mon_health_read(struct skf_monitor *m);   /* output */
void skf_mon_health_answer(struct skf_monitor *m); /* its launch, then its session, says something */

/* --- end.c --- */
/* Collects the exit status of the process; 0 while it still runs. */
int skf_mon_reap(struct skf_monitor *m);
/* exit.json, events, cgroup, summary: each failure is a warning, the next step is taken all the same. again:
 * the restart policy brings it back. */
void skf_mon_record_exit(struct skf_monitor *m, bool again);
/* Of a restart that failed. */
void skf_mon_record_failure(struct skf_monitor *m, const char *why, bool again);
/* The wait for a restart was ended by hand. */
void skf_mon_record_stop(struct skf_monitor *m);
void skf_mon_emit(const struct skf_monitor *m, const char *action, int code);
/* ctl.sock and the directory of an exec session. */
void skf_mon_remove_sockets(struct skf_monitor *m);
void skf_mon_spawn_reaper(const struct skf_monitor *m);

/* --- sweep.c --- */
/* After EXITED was heard: waits, at most SKF_HELLO_MS, until the engine closes its socket or asks for the
 * trash to be emptied; does it. */
void skf_mon_sweep_if_asked(struct skf_monitor *m);
