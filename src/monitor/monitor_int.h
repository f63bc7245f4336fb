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
#define SKF_MON_MAX_SINKS  (2 * SKF_MAX_MONITOR_CLIENTS)

enum { SKF_MON_STDOUT = 0, SKF_MON_STDERR = 1 };
enum skf_mon_phase {
	SKF_MON_RUN,
	SKF_MON_DRAIN,  /* the process has ended; its output is read to the end, at most SKF_DRAIN_MS */
	SKF_MON_LINGER, /* the exit is recorded; a slow client still takes what was read */
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
	bool waits;
};
struct skf_mon_log {
	int fd;  /* -EBADF: no log */
	int dir; /* containers/<id>, borrowed */
	const char *id;
	uint64_t size, max_size; /* size of the file with what is in buf */
	uint64_t rotate_at;      /* size at which the next entry begins a new file; 0: never */
	unsigned max_file;
	int64_t partial_ns[2]; /* time of the first piece of a long line; 0: not within one */
	bool complained;
	struct skf_buf buf; /* entries not yet written */
};
struct skf_monitor {
	struct skf_mon_handover h;
	enum skf_mon_phase phase;
	int64_t deadline_ms; /* of the drain, or of the lingering when nobody is in the foreground */
	bool hot;            /* buffers were used since they were last given back */
	struct skf_mon_stream s[2];
	struct skf_mon_log log;
	int tty_ep; /* edge-triggered watch on a quiet pty */
	struct {
		char *buf;
		uint32_t len, off;
	} in;
	struct skf_mon_exit x;
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
struct skf_mon_cut {
	size_t len, used; /* bytes of the entry; bytes taken from the input (one more for the newline) */
	bool newline;
};
/* Cuts one entry of docker's json-file log from p[0..n): a line, or SKF_LOG_LINE bytes of a longer one, or
 * at `eof` the rest. 1, or 0 when more input is needed. No I/O. */
int skf_mon_log_cut(const char *p, size_t n, bool eof, struct skf_mon_cut *ret);
/* Logs what is complete in p[0..n) and returns the bytes used. */
size_t skf_mon_log_lines(struct skf_monitor *m, unsigned stream, const char *p, size_t n, bool eof);
void skf_mon_log_flush(struct skf_monitor *m);

/* --- ctl.c --- */
void skf_mon_accept(struct skf_monitor *m);
void skf_mon_conn_read(struct skf_monitor *m, struct skf_mon_conn *c);
void skf_mon_engine_read(struct skf_monitor *m);
void skf_mon_answer_waits(struct skf_monitor *m);
int skf_mon_send_started(struct skf_monitor *m);
/* false when nobody in the foreground heard of the exit. */
bool skf_mon_send_exited(struct skf_monitor *m);

/* --- end.c --- */
/* Collects the exit status of the process; 0 while it still runs. */
int skf_mon_reap(struct skf_monitor *m);
/* exit.json, events, cgroup, summary: each failure is a warning, the next step is taken all the same. */
void skf_mon_record_exit(struct skf_monitor *m);
/* ctl.sock and the directory of an exec session. */
void skf_mon_remove_sockets(struct skf_monitor *m);
void skf_mon_spawn_reaper(const struct skf_monitor *m);
