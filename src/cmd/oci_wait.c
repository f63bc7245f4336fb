/* cmd/oci_wait.c -- run and exec in the foreground: forwards signals to the container's process, copies the
 * terminal, reaps what a child subreaper inherits, until the process ended.
 *
 * Invariants:
 *  1. Signals are blocked before the container exists and read from a signalfd, so that none is lost and
 * none ends us before the container.
 *  2. The host's terminal is put back as it was on every way out.
 *  3. Only our own end of the pty is non-blocking: the host's descriptors are shared with the caller's
 * shell. Blocks until the process ended. */
#include "cmd/oci_int.h"

#include "base/limits.h"
#include "oci/spec.h"
#include "sys/process.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define STREAM_BYTES 16384

struct stream { /* one direction of the terminal */
	int from, to;
	size_t at, len;
	bool closed;
	char *buf; /* STREAM_BYTES */
};

struct oci_foreground {
	int sigfd;
	sigset_t old;
	bool raw;
	struct termios saved;
	struct stream in, out;
	char *bufs; /* of both; only with a terminal, so that a start without one does not touch their pages
		     */
	const struct skf_rt *rt; /* for notify */
	int notify;              /* -1: nothing to relay */
	const char *notify_host;
};

/* What stops or breaks a process stays with its usual meaning; everything else belongs to the container. */
static const int kept[] = {SIGKILL, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU, SIGSEGV,
			   SIGBUS,  SIGFPE,  SIGILL,  SIGABRT, SIGTRAP, SIGSYS};

int oci_foreground_begin(struct oci_foreground **ret, struct skf_err *e)
{
	struct oci_foreground *f = calloc(1, sizeof(*f));
	sigset_t set;

	if (!f)
		return skf_nomem(e);
	f->notify = -1;
	sigfillset(&set);
	for (size_t i = 0; i < SKF_ARRAY_LEN(kept); i++)
		sigdelset(&set, kept[i]);
	sigprocmask(SIG_BLOCK, &set, &f->old);
	f->sigfd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (f->sigfd < 0) {
		int r = skf_errno();

		oci_foreground_end(f);
		return skf_fail_sys(e, r, "signalfd");
	}
	*ret = f;
	return 0;
}

void oci_foreground_notify(struct oci_foreground *f, const struct skf_rt *rt, int fd, const char *host)
{
	f->rt = rt;
	f->notify = fd;
	f->notify_host = host;
}

void oci_foreground_end(struct oci_foreground *f)
{
	if (!f)
		return;
	if (f->raw)
		(void)tcsetattr(STDIN_FILENO, TCSADRAIN,
				&f->saved); /* the terminal is gone: nothing to restore */
	skf_closep(&f->sigfd);
	sigprocmask(SIG_SETMASK, &f->old, NULL);
	free(f->bufs);
	free(f);
}

static void copy_size(int master)
{
	unsigned rows, cols;

	if (master >= 0 && skf_tty_get_size(STDIN_FILENO, &rows, &cols) == 0)
		(void)skf_tty_set_size(master, rows,
				       cols); /* the container's side is gone: nobody to tell */
}

void oci_console_size(struct skf_spec_process *p)
{
	unsigned rows, cols;

	if (!p || !p->terminal || p->has_console_size || skf_tty_get_size(STDIN_FILENO, &rows, &cols) < 0)
		return;
	p->console_size = (struct skf_box){.height = rows, .width = cols};
	p->has_console_size = true;
}

static int begin_terminal(struct oci_foreground *f, int master, struct skf_err *e)
{
	struct termios t;
	int r = skf_set_nonblock(master, true);

	if (r < 0)
		return skf_fail_sys(e, r, "prepare the container's terminal");
	f->bufs = malloc((size_t)2 * STREAM_BYTES);
	if (!f->bufs)
		return skf_nomem(e);
	f->in = (struct stream){.from = STDIN_FILENO, .to = master, .buf = f->bufs};
	f->out = (struct stream){.from = master, .to = STDOUT_FILENO, .buf = f->bufs + STREAM_BYTES};
	if (tcgetattr(STDIN_FILENO, &t) < 0)
		return 0; /* not a terminal: bytes are copied all the same */
	f->saved = t;
	cfmakeraw(&t);
	t.c_oflag = f->saved.c_oflag; /* the container's side sends LF only */
	if (tcsetattr(STDIN_FILENO, TCSADRAIN, &t) < 0)
		return skf_fail_errno(e, "put the terminal into raw mode");
	f->raw = true;
	copy_size(master);
	return 0;
}

/* Children that were given to us; the container's own is left for skf_rt_wait. */
static void reap_others(pid_t own)
{
	for (;;) {
		siginfo_t si = {0};

		if (waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) < 0 || si.si_pid == 0 ||
		    si.si_pid == own)
			return;
		(void)waitpid(si.si_pid, NULL, WNOHANG);
	}
}

static void take_signals(struct oci_foreground *f, pid_t pid, int pidfd, int master)
{
	struct signalfd_siginfo si;

	while (read(f->sigfd, &si, sizeof(si)) == (ssize_t)sizeof(si)) {
		int sig = (int)si.ssi_signo;

		if (sig == SIGCHLD)
			reap_others(pid);
		else if (sig == SIGWINCH && master >= 0)
			copy_size(master);
		else if (sig != SIGPIPE && sig != SIGURG) /* of our own writes */
			(void)skf_pidfd_kill(pidfd, sig); /* it ended meanwhile: the loop sees it */
	}
}

static void fill(struct stream *s)
{
	ssize_t n = read(s->from, s->buf, STREAM_BYTES);

	if (n > 0) {
		s->at = 0;
		s->len = (size_t)n;
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		s->closed = true;
	}
}

static void flush(struct stream *s)
{
	ssize_t n = write(s->to, s->buf + s->at, s->len - s->at);

	if (n > 0)
		s->at += (size_t)n;
	else if (n < 0 && errno != EAGAIN && errno != EINTR)
		s->closed = true, s->at = s->len;
}

static void arm(const struct stream *s, struct pollfd *p)
{
	bool full = s->at < s->len;

	p->fd = s->closed ? -1 : full ? s->to : s->from;
	p->events = full ? POLLOUT : POLLIN;
}

static void move(struct stream *s, const struct pollfd *p)
{
	if (p->fd < 0 || !p->revents)
		return;
	if (p->events == POLLIN)
		fill(s);
	if (s->at < s->len)
		flush(s);
}

/* What the process wrote last is still in the pty. */
static void drain(struct stream *s)
{
	int64_t end = skf_mono_ms() + SKF_DRAIN_MS;
	struct pollfd p;

	for (;;) {
		arm(s, &p);
		if (p.fd < 0 || skf_mono_ms() >= end)
			return;
		if (poll(&p, 1, p.events == POLLIN ? 0 : 100) <= 0 && p.events == POLLIN)
			return;
		move(s, &p);
	}
}

int oci_foreground_run(struct oci_foreground *f, struct skf_rt_container *c, int *ret_code,
		       struct skf_err *e)
{
	SKF_AUTO_FD int master = skf_rt_take_console(c), pidfd = skf_pidfd_open(skf_rt_pid(c));
	struct pollfd p[5] = {{.fd = f->sigfd, .events = POLLIN},
			      {.fd = pidfd, .events = POLLIN},
			      {.fd = -1},
			      {.fd = -1},
			      {.fd = f->notify, .events = POLLIN}};

	if (pidfd < 0)
		return skf_fail_sys(e, pidfd, "open the container's process");
	if (master >= 0 && begin_terminal(f, master, e) < 0)
		return -1;
	for (;;) {
		if (master >= 0) {
			arm(&f->in, &p[2]);
			arm(&f->out, &p[3]);
		}
		if (poll(p, 5, -1) < 0) {
			if (errno == EINTR)
				continue;
			return skf_fail_errno(e, "wait for the container's process");
		}
		if (p[0].revents)
			take_signals(f, skf_rt_pid(c), pidfd, master);
		if (master >= 0) {
			move(&f->in, &p[2]);
			move(&f->out, &p[3]);
		}
		/* the service is this process, which lives as long as the container */
		if (p[4].revents && skf_rt_notify_relay(f->rt, f->notify, f->notify_host, getpid()) == 1)
			p[4].fd = -1;
		if (p[1].revents)
			break;
	}
	if (master >= 0)
		drain(&f->out);
	return skf_rt_wait(c, ret_code, e);
}
