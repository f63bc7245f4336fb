/* base/proc.h -- child processes of skiff itself (hooks, helpers, workers): spawned with an exact list of
 * fds, never through a shell, never with an inherited environment unless asked. */
#pragma once
#include "base/fwd.h"

struct skf_spawn {
	const char *path;  /* absolute path of the program (execve) */
	char *const *argv; /* NULL-terminated */
	char *const *envp; /* NULL: the caller's environ */
	int stdio[3];      /* fds for 0,1,2; < 0: /dev/null */
	const int *fds;    /* become 3, 4, ... in this order; everything else is closed */
	unsigned n_fds;
	const char *cwd;  /* NULL: unchanged */
	bool new_session; /* setsid: the child outlives a terminal's hang-up */
	int pdeathsig;    /* 0: none */
};
/* vfork-like start; returns once execve succeeded or failed. *ret_pidfd is CLOEXEC; both ret may be NULL.
 * -errno of the failing step (ENOENT: the program). The process must have no threads that hold locks. */
int skf_spawn(const struct skf_spawn *s, pid_t *ret_pid, int *ret_pidfd);
/* Waits up to timeout_ms (< 0 for ever) for the child. 0 and the wait status; -ETIMEDOUT. Reaps it. */
int skf_wait_pid(pid_t pid, int pidfd, int timeout_ms, int *ret_status);
/* In a child before execve: every signal gets its default disposition, also those two that the C library
 * keeps for itself (an ignored signal is inherited by execve), and none is blocked. Async-signal-safe. 0 or
 * -errno. */
int skf_signals_default(void);
/* Exit status as a shell shows it: code, or 128 + signal. */
int skf_wait_code(int status);

/* A process is always (pid, start time, boot id): start time in clock ticks, field 22 of /proc/<pid>/stat.
 */
int skf_proc_start_time(pid_t pid, uint64_t *ret);
/* 36 characters and NUL. */
int skf_boot_id(char out[37]);
/* 1 alive and the same process (a zombie counts as gone), 0 gone, -errno. */
int skf_proc_alive(pid_t pid, uint64_t start_time);
/* The number by which the kernel (6.9 and later) tells a process from every other one since the boot: the
 * inode of its pidfd. -EOPNOTSUPP before. Of no use after a reboot. */
int skf_proc_id(pid_t pid, uint64_t *ret);
/* skf_proc_alive by that number, which skf_proc_id gave since the boot: without /proc, in a third of the
 * time. */
int skf_proc_alive_id(pid_t pid, uint64_t id);
/* Reads "<pid> <start time> <boot id>", as journals write a process; nothing may follow. 0 or -EBADMSG. */
int skf_proc_parse(const char *s, pid_t *ret_pid, uint64_t *ret_start, char ret_boot[37]);
/* Signal names: "TERM", "SIGTERM", "15", "RTMIN+3" -> number; 0 < n <= 64. -EINVAL otherwise. */
int skf_signal_parse(const char *s);
const char *skf_signal_name(int sig); /* "SIGTERM"; NULL when unknown */
/* Directory of the running program's binary + name, for sibling programs ("skiff-launch"): SKIFF_LIBEXEC
 * overrides it only when the process is not set-id. 0 or -errno. */
int skf_sibling_program(const char *name, char *out, size_t size);
/* The same for a program whose file is, or was, 'self'. */
int skf_sibling_of(const char *self, const char *name, char *out, size_t size);
