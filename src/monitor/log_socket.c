/* monitor/log_socket.c -- log drivers that send each entry to another program: journald by its native
 * protocol (one datagram of FIELD=value lines), syslog by RFC 3164 (datagram, UDP or TCP). What is the same
 * in every entry was written by launch into the handover (launch/logging.c).
 *
 * Invariants: (1) an entry is sent whole or not at all; (2) a receiver that is gone is connected to again
 * with the next entry; (3) in the mode "blocking" the container waits for a receiver that lives, at most
 * SKF_HELLO_MS per entry; what was not taken then, and in "non-blocking" what is not taken at once, is
 * dropped, and the count is sent as an entry of its own as soon as one goes through. */
#include "monitor/monitor_int.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define JOURNAL  "unix:///run/systemd/journal/socket"
#define PRIO_OUT 6 /* informational, as docker */
#define PRIO_ERR 3
#define HEAD_MAX 256

/* "unix:///path", "unixgram:///path", "udp://1.2.3.4:514", "tcp://1.2.3.4:514". -errno. */
static int dial(const char *address, bool *ret_stream)
{
	struct sockaddr_un u = {.sun_family = AF_UNIX};
	struct sockaddr_in in = {.sin_family = AF_INET};
	SKF_AUTO_FD int fd = -EBADF;
	const char *rest = strstr(address, "://"), *colon;
	char host[64];
	uint32_t port;

	if (!rest)
		return -EINVAL;
	rest += 3;
	*ret_stream = strncmp(address, "tcp", 3) == 0;
	if (strncmp(address, "unix", 4) == 0) {
		if (skf_fmt(u.sun_path, sizeof(u.sun_path), "%s", rest) < 0)
			return -ENAMETOOLONG;
		fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (fd < 0 || connect(fd, (struct sockaddr *)&u, sizeof(u)) < 0)
			return -errno;
		return SKF_TAKE_FD(fd);
	}
	colon = strrchr(rest, ':');
	if (!colon || skf_fmt(host, sizeof(host), "%.*s", (int)(colon - rest), rest) < 0 ||
	    skf_parse_u32(colon + 1, &port) < 0 || port > 65535 ||
	    inet_pton(AF_INET, host, &in.sin_addr) != 1)
		return -EINVAL;
	in.sin_port = htons((uint16_t)port);
	fd = socket(AF_INET, (*ret_stream ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || (connect(fd, (struct sockaddr *)&in, sizeof(in)) < 0 && errno != EINPROGRESS))
		return -errno;
	return SKF_TAKE_FD(fd);
}

/* The nth line of what launch wrote; "" behind the last. */
static const char *option_line(const struct skf_monitor *m, unsigned n, size_t *ret_len)
{
	const char *p = m->h.log_opts;

	for (; n && *p; n--)
		p += strcspn(p, "\n"), p += *p == '\n';
	*ret_len = strcspn(p, "\n");
	return p;
}

static int connected(struct skf_monitor *m)
{
	char address[128];
	size_t n;
	const char *p = option_line(m, 0, &n);
	int r;

	if (m->log.fd >= 0)
		return 0;
	r = skf_fmt(address, sizeof(address), "%.*s", (int)n, p);
	if (r == 0)
		r = dial(address, &m->log.stream);
	if (r < 0)
		return r;
	m->log.fd = r;
	return 0;
}

/* One entry, in pieces. 0 or -errno. */
static int send_parts(struct skf_monitor *m, struct iovec *v, size_t n)
{
	struct msghdr h = {.msg_iov = v, .msg_iovlen = n};
	struct skf_mon_log *l = &m->log;
	int64_t end = skf_mono_ms() + SKF_HELLO_MS;

	for (int tries = 0; tries < 2;) {
		struct pollfd p = {.events = POLLOUT};
		int r = connected(m);
		ssize_t sent;

		if (r < 0)
			return r;
		sent = sendmsg(l->fd, &h, MSG_NOSIGNAL);
		if (sent >= 0) {
			for (; l->stream && n && (size_t)sent >= v->iov_len; v++, n--)
				sent -= (ssize_t)v->iov_len;
			if (!l->stream || n == 0)
				return 0;
			v->iov_base = (char *)v->iov_base + sent; /* of a stream: the rest has to follow */
			v->iov_len -= (size_t)sent;
			h = (struct msghdr){.msg_iov = v, .msg_iovlen = n};
			tries = 1;
		} else if (errno != EAGAIN && errno != EINTR && errno != ENOBUFS) {
			r = -errno;
			skf_closep(&l->fd);
			if (tries++ || r == -EMSGSIZE)
				return r;
			continue;
		} else if (m->h.log_nonblocking && tries == 0) {
			return -EAGAIN;
		}
		p.fd = l->fd;
		if (poll(&p, 1, (int)(end - skf_mono_ms() > 0 ? end - skf_mono_ms() : 0)) <= 0) {
			if (l->stream && tries)
				skf_closep(&l->fd); /* half an entry is in it: the receiver begins anew */
			return -ETIMEDOUT;
		}
	}
	return -EPIPE;
}

static struct iovec part(const void *p, size_t n)
{
	return (struct iovec){(void *)(uintptr_t)p, n};
}

typedef int send_fn(struct skf_monitor *m, unsigned stream, const char *p, size_t n, bool newline);

/* Counts what was lost, and says it first when the way is free again. */
static void send_or_count(struct skf_monitor *m, send_fn *fn, unsigned stream, const char *p,
			  const struct skf_mon_cut *c)
{
	struct skf_mon_log *l = &m->log;
	char text[96];
	int n, r = 0;

	if (l->dropped) {
		n = snprintf(text, sizeof(text),
			     "skiff: %llu log entries were dropped here: the log was slower than the output",
			     (unsigned long long)l->dropped);
		r = fn(m, SKF_MON_STDERR, text, (size_t)n, true);
		if (r == 0)
			l->dropped = 0;
	}
	if (r == 0)
		r = fn(m, stream, p, c->len, c->newline);
	if (r < 0) {
		l->dropped++;
		skf_mon_log_complain(m, r,
				     "send the container's output to its log driver: entries are dropped "
				     "and counted; ignoring");
	} else {
		l->complained = false;
	}
}

/* --- journald: https://systemd.io/JOURNAL_NATIVE_PROTOCOL --- */
static int journal_entry(struct skf_monitor *m, unsigned stream, const char *p, size_t n, bool newline)
{
	static const char partial[] = "CONTAINER_PARTIAL_MESSAGE=true\n", out[] = "PRIORITY=6\nMESSAGE\n",
			  err[] = "PRIORITY=3\nMESSAGE\n";
	const char *prio = stream == SKF_MON_STDERR ? err : out;
	uint64_t size = n; /* little-endian on every machine that this runs on */
	size_t skip;
	const char *fields;
	struct iovec v[7];
	unsigned k = 0;

	(void)option_line(m, 0, &skip);
	fields = m->h.log_opts + skip + (m->h.log_opts[skip] == '\n');
	v[k++] = part(fields, strlen(fields));
	if (!newline)
		v[k++] = part(partial, sizeof(partial) - 1);
	v[k++] = part(prio, strlen(prio));
	v[k++] = part(&size, sizeof(size)); /* the binary form: a line may hold anything */
	v[k++] = part(p, n);
	v[k++] = part("\n", 1);
	return send_parts(m, v, k);
}

static void journald(struct skf_monitor *m, unsigned stream, const char *p, const struct skf_mon_cut *c,
		     int64_t time_ns)
{
	(void)time_ns; /* the journal has its own */
	send_or_count(m, journal_entry, stream, p, c);
}

/* --- syslog: RFC 3164 as docker writes it; lines of log_opts: address, facility, tag --- */
static int syslog_entry(struct skf_monitor *m, unsigned stream, const char *p, size_t n, bool newline)
{
	char head[HEAD_MAX], stamp[32] = "";
	size_t fac_len, tag_len;
	const char *fac = option_line(m, 1, &fac_len), *tag = option_line(m, 2, &tag_len);
	unsigned facility = 0;
	struct iovec v[3];
	struct tm tm;
	time_t now = time(NULL);
	int k;

	(void)newline;
	for (size_t i = 0; i < fac_len && fac[i] >= '0' && fac[i] <= '9'; i++)
		facility = facility * 10 + (unsigned)(fac[i] - '0');
	if (gmtime_r(&now, &tm))
		(void)strftime(stamp, sizeof(stamp), "%b %e %H:%M:%S", &tm); /* without a locale: C's */
	k = snprintf(head, sizeof(head),
		     "<%u>%s %.*s[%u]: ", facility * 8 + (stream == SKF_MON_STDERR ? PRIO_ERR : PRIO_OUT),
		     stamp, (int)tag_len, tag, m->h.pid);
	v[0] = part(head, k < 0 ? 0 : (size_t)k < sizeof(head) ? (size_t)k : sizeof(head) - 1);
	v[1] = part(p, n);
	v[2] = part("\n", 1);
	if (connected(m) == 0 && !m->log.stream)
		return send_parts(m, v, 2); /* a datagram ends by itself */
	return send_parts(m, v, 3);
}

static void syslog_(struct skf_monitor *m, unsigned stream, const char *p, const struct skf_mon_cut *c,
		    int64_t time_ns)
{
	(void)time_ns; /* the entry has the second of its sending */
	send_or_count(m, syslog_entry, stream, p, c);
}

const struct skf_mon_logdrv skf_mon_log_journald = {.send = journald};
const struct skf_mon_logdrv skf_mon_log_syslog = {.send = syslog_};
