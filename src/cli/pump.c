/* cli/pump.c -- the foreground of run and exec: one poll loop between our standard streams, the pipes to the
 * monitor, the socket that tells of the end, and signals.
 *
 * Invariants:
 *  1. The terminal is put back on every way out: the loop's only exits lead through restore(), and every
 * signal that would end us comes by signalfd.
 *  2. Input that cannot be delivered yet is kept (one buffer) and nothing more is read: back pressure
 * reaches whoever types.
 *  3. The end of our input closes the pipe (half-close); the workload's output goes on.
 *  4. The exit record comes after all output is in the pipes, so that reading them to their end afterwards
 * loses nothing. Blocks until the workload ends, the user detaches, or our own output cannot be written. */
#include "cli/cli_int.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#define CHUNK    (64u << 10)
#define MAX_KEYS 16

enum { P_SOCK, P_SIG, P_OUT, P_ERR, P_STDIN, P_IN, P_N };

struct loop {
	struct skf_pump *p;
	int sig;
	sigset_t old_mask;
	bool raw, masked;
	struct termios saved;
	unsigned char keys[MAX_KEYS];
	size_t n_keys, matched; /* of the detach sequence */
	char *in_buf;           /* bytes that wait for the workload */
	size_t in_off, in_len;
	bool in_eof, detached;
	char *out_buf;
};

void skf_pump_size(unsigned *rows, unsigned *cols)
{
	static const int fds[] = {STDOUT_FILENO, STDIN_FILENO};
	struct winsize w;

	*rows = *cols = 0;
	for (size_t i = 0; i < SKF_ARRAY_LEN(fds); i++)
		if (ioctl(fds[i], TIOCGWINSZ, &w) == 0) {
			*rows = w.ws_row;
			*cols = w.ws_col;
			return;
		}
}

int skf_pump_parse_keys(const char *s, unsigned char *out, size_t max)
{
	size_t n = 0;

	if (!s)
		s = "ctrl-p,ctrl-q";
	while (*s) {
		size_t len = strcspn(s, ",");
		unsigned char c;

		if (len == 1) {
			c = (unsigned char)s[0];
		} else if (len == 6 && !memcmp(s, "ctrl-", 5) &&
			   ((s[5] >= 'a' && s[5] <= 'z') || (s[5] >= '@' && s[5] <= '_'))) {
			c = (unsigned char)(s[5] & 0x1f);
		} else {
			return -EINVAL;
		}
		if (n == max)
			return -EINVAL;
		out[n++] = c;
		s += len + (s[len] == ',');
	}
	return (int)n;
}

/* The keys of --detach-keys or of the configuration; returns how many. */
static int detach_keys(const struct skf_pump *p, unsigned char *out, struct skf_err *e)
{
	const char *word = p->detach_keys ? p->detach_keys : skf_engine_detach_keys(p->g);
	int n = skf_pump_parse_keys(word, out, MAX_KEYS);

	return n < 0 ? skf_fail(e, SKF_EINVALID, "invalid %s '%.100s': expected e.g. ctrl-p,ctrl-q",
				p->detach_keys ? "--detach-keys" : "key 'detach_keys' of the configuration",
				word)
		     : n;
}

static int one_pipe(int *read_end, int *write_end, bool we_read, struct skf_err *e)
{
	int fd[2], r = skf_pipe(fd, 0);

	if (r == 0) {
		*read_end = fd[0];
		*write_end = fd[1];
		r = skf_set_nonblock(we_read ? fd[0] : fd[1], true);
	}
	return r < 0 ? skf_fail_sys(e, r, "make a pipe for the workload's streams") : 0;
}

int skf_pump_pipes(struct skf_pump *p, int stdio[3], struct skf_err *e)
{
	unsigned want = p->streams ? p->streams : 7;
	unsigned char keys[MAX_KEYS];

	if (detach_keys(p, keys, e) < 0) /* said before anything is started */
		return -1;
	p->in = p->out = p->err = -EBADF;
	stdio[0] = stdio[1] = stdio[2] = -EBADF;
	if (p->interactive && want & 1 && one_pipe(&stdio[0], &p->in, false, e) < 0)
		return -1;
	if ((want & 2 || (p->tty && want & 4)) && one_pipe(&p->out, &stdio[1], true, e) < 0)
		return -1;
	/* A terminal has one output. */
	return p->tty || !(want & 4) ? 0 : one_pipe(&p->err, &stdio[2], true, e);
}

void skf_pump_done(struct skf_pump *p)
{
	skf_closep(&p->in);
	skf_closep(&p->out);
	skf_closep(&p->err);
}

static void forwarded_signals(sigset_t *set, bool proxy, bool resize)
{
	static const int plain[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM};

	sigemptyset(set);
	for (size_t i = 0; proxy && i < SKF_ARRAY_LEN(plain); i++)
		sigaddset(set, plain[i]);
	for (int s = SIGRTMIN; proxy && s <= SIGRTMAX; s++)
		sigaddset(set, s);
	if (resize)
		sigaddset(set, SIGWINCH);
}

static int set_raw(struct loop *l, struct skf_err *e)
{
	struct termios t;

	if (!l->p->tty || !l->p->interactive || tcgetattr(STDIN_FILENO, &l->saved) < 0)
		return 0; /* not a terminal */
	t = l->saved;
	cfmakeraw(&t);
	if (tcsetattr(STDIN_FILENO, TCSANOW, &t) < 0)
		return skf_fail_sys(e, -errno, "set the terminal to raw mode");
	l->raw = true;
	return 0;
}

static int set_up(struct loop *l, struct skf_err *e)
{
	sigset_t set;
	int n = detach_keys(l->p, l->keys, e);

	if (n < 0)
		return -1;
	l->n_keys = l->p->tty && l->p->interactive ? (size_t)n : 0;
	l->out_buf = malloc(CHUNK);
	l->in_buf = malloc(CHUNK + MAX_KEYS);
	if (!l->out_buf || !l->in_buf)
		return skf_fail(e, SKF_ENOMEM, "memory for the workload's streams");
	forwarded_signals(&set, l->p->sig_proxy, l->p->tty);
	if (sigprocmask(SIG_BLOCK, &set, &l->old_mask) < 0)
		return skf_fail_sys(e, -errno, "block signals");
	l->masked = true;
	l->sig = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (l->sig < 0)
		return skf_fail_sys(e, -errno, "take signals through a file descriptor");
	/* A reader of ours that goes away is a write error, not our death with a raw terminal. */
	(void)signal(SIGPIPE, SIG_IGN);
	return set_raw(l, e);
}

static void restore(struct loop *l)
{
	if (l->raw)
		(void)tcsetattr(STDIN_FILENO, TCSANOW,
				&l->saved); /* the terminal may have gone with its window */
	if (l->masked)
		(void)sigprocmask(SIG_SETMASK, &l->old_mask,
				  NULL); /* cannot fail with a mask that was in force */
	skf_closep(&l->sig);
	free(l->in_buf);
	free(l->out_buf);
}

/* Takes the detach sequence out of the n bytes at p; true when it is complete. A beginning that turns out to
 * be something else is given on. */
static bool filter_keys(struct loop *l, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)p[i];

		if (l->n_keys && c == l->keys[l->matched]) {
			if (++l->matched == l->n_keys)
				return true;
			continue;
		}
		for (size_t k = 0; k < l->matched; k++)
			l->in_buf[l->in_len++] = (char)l->keys[k];
		l->matched = l->n_keys && c == l->keys[0];
		if (!l->matched)
			l->in_buf[l->in_len++] = p[i];
	}
	return false;
}

static void read_stdin(struct loop *l)
{
	char buf[CHUNK / 2];
	ssize_t n = read(STDIN_FILENO, buf, sizeof(buf));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		l->in_eof = true; /* EIO: our terminal is gone */
		return;
	}
	l->in_off = l->in_len = 0;
	l->detached = filter_keys(l, buf, (size_t)n);
}

static void write_in(struct loop *l)
{
	while (l->in_off < l->in_len) {
		ssize_t n = write(l->p->in, l->in_buf + l->in_off, l->in_len - l->in_off);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0) { /* EPIPE: the workload has closed its input */
			l->in_eof = true;
			l->in_off = l->in_len = 0;
			break;
		}
		l->in_off += (size_t)n;
	}
	if (l->in_eof)
		skf_closep(&l->p->in);
}

/* One chunk from a pipe to our own stream; false at its end. Who has closed our output ends the reading, as
 * a pipe would. */
static bool copy_out(struct loop *l, int *from, int to)
{
	ssize_t n = read(*from, l->out_buf, CHUNK);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return errno == EINTR;
	if (n > 0 && skf_write_full(to, l->out_buf, (size_t)n) == 0)
		return true;
	skf_closep(from);
	return false;
}

static void take_signal(struct loop *l)
{
	struct signalfd_siginfo si;
	struct skf_err ignored = SKF_ERR_INIT;

	while (read(l->sig, &si, sizeof(si)) == sizeof(si)) {
		if (si.ssi_signo == SIGWINCH) {
			unsigned rows, cols;

			skf_pump_size(&rows, &cols);
			if (rows && cols)
				(void)skf_engine_run_resize(
					l->p->h, rows, cols,
					&ignored); /* a monitor that is gone is seen on its socket */
			continue;
		}
		(void)skf_engine_run_signal(l->p->h, (int)si.ssi_signo, &ignored);
	}
}

static void fill(const struct loop *l, struct pollfd f[P_N])
{
	bool pending = l->in_off < l->in_len;

	f[P_SOCK] = (struct pollfd){.fd = l->p->h->sock, .events = POLLIN};
	f[P_SIG] = (struct pollfd){.fd = l->sig, .events = POLLIN};
	f[P_OUT] = (struct pollfd){.fd = l->p->out, .events = POLLIN};
	f[P_ERR] = (struct pollfd){.fd = l->p->err, .events = POLLIN};
	f[P_STDIN] = (struct pollfd){.fd = l->p->in >= 0 && !pending && !l->in_eof ? STDIN_FILENO : -1,
				     .events = POLLIN};
	f[P_IN] = (struct pollfd){.fd = l->p->in, .events = pending ? POLLOUT : 0};
}

/* 1 ended, 0 go on, -1 */
static int step(struct loop *l, struct skf_exit *x, struct skf_err *e)
{
	struct pollfd f[P_N];

	fill(l, f);
	if (poll(f, P_N, -1) < 0)
		return errno == EINTR ? 0 : skf_fail_sys(e, -errno, "wait for the workload's streams");
	if (f[P_SIG].revents)
		take_signal(l);
	if (f[P_OUT].revents)
		copy_out(l, &l->p->out, STDOUT_FILENO);
	if (f[P_ERR].revents)
		copy_out(l, &l->p->err, STDERR_FILENO);
	if (f[P_STDIN].revents)
		read_stdin(l);
	if (l->p->in >= 0 && f[P_IN].revents & (POLLERR | POLLHUP) && l->in_off == l->in_len)
		l->in_eof = true; /* nobody reads it any more */
	if (l->p->in >= 0 && (f[P_IN].revents || f[P_STDIN].revents))
		write_in(l);
	if (l->detached)
		return 1;
	if (!f[P_SOCK].revents)
		return 0;
	if (skf_engine_run_wait(l->p->g, l->p->h, 0, x, e) < 0) {
		if (e->kind != SKF_ETIMEOUT)
			return -1;
		skf_err_clear(e); /* an answer to a signal or a size */
		return 0;
	}
	while (l->p->out >= 0 && copy_out(l, &l->p->out, STDOUT_FILENO))
		;
	while (l->p->err >= 0 && copy_out(l, &l->p->err, STDERR_FILENO))
		;
	return 1;
}

int skf_pump_run(struct skf_pump *p, enum skf_pump_end *ret, struct skf_exit *ret_exit, struct skf_err *e)
{
	struct loop l = {.p = p, .sig = -EBADF};
	struct skf_exit x = {0};
	int r = set_up(&l, e);

	if (r == 0 && p->tty)
		take_signal(&l); /* a resize between the start and here */
	while (r == 0)
		r = step(&l, &x, e);
	restore(&l);
	skf_pump_done(p);
	if (r < 0)
		return -1;
	*ret = l.detached ? SKF_PUMP_DETACHED : SKF_PUMP_EXITED;
	*ret_exit = x;
	return 0;
}
