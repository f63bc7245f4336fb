/* monitor/client.c -- the engine's side of a monitor's control socket: one request, one answer.
 * An EXIT of an earlier wait may arrive before the answer to a later request; it is skipped there, because
 * the monitor ends right after it and exit.json holds the same facts. Waits: SKF_HELLO_MS per answer;
 * skf_mon_wait as its caller says. */
#include "monitor/wire.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/record.h"
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

int skf_mon_connect(int dirfd)
{
	SKF_AUTO_FD int s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct timeval t = {.tv_sec = SKF_HELLO_MS / 1000, .tv_usec = SKF_HELLO_MS % 1000 * 1000};
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	if (s < 0)
		return -errno;
	snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/ctl.sock", dirfd);
	/* bounds connect(2) to a monitor whose backlog is full, and each send */
	if (setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t)) < 0)
		return -errno;
	if (connect(s, (struct sockaddr *)&a, sizeof(a)) < 0)
		return -errno;
	return SKF_TAKE_FD(s);
}

static int gone(const char *id, int r, struct skf_err *e)
{
	if (r == -ETIMEDOUT || r == -EAGAIN)
		return skf_fail(e, SKF_ETIMEOUT, "the monitor of container '%s' gave no answer in time", id);
	if (r == 0 || r == -EPIPE || r == -ECONNRESET || r == -ENOTCONN)
		return skf_fail(e, SKF_EUNAVAILABLE, "the monitor of container '%s' is gone", id);
	return skf_fail_sys(e, r, "talk to the monitor of container '%s'", id);
}

static int receive(int sock, const char *id, struct skf_buf *b, uint16_t want, int timeout_ms,
		   struct skf_recr *r, struct skf_err *e)
{
	int64_t end = skf_mono_ms() + timeout_ms;

	for (;;) {
		int64_t left = timeout_ms < 0 ? -1 : end - skf_mono_ms();
		int n = skf_record_recv(sock, b, r, NULL, timeout_ms < 0 ? -1 : left > 0 ? (int)left : 0);

		if (n <= 0)
			return gone(id, n, e);
		if (r->type == want)
			return 0;
		if (r->type == SKF_MON_ERROR) {
			skf_recr_err(r, e);
			return -1;
		}
		if (r->type != SKF_MON_EXIT && r->type != SKF_MON_OK)
			return skf_fail(
				e, SKF_ECORRUPT,
				"the monitor of container '%s' answered with record %u instead of %u", id,
				r->type, want);
	}
}

static int request(int sock, const char *id, struct skf_buf *b, const int *fds, unsigned n_fds,
		   uint16_t want, int timeout_ms, struct skf_recr *r, struct skf_err *e)
{
	int n = skf_record_send(sock, b, fds, n_fds);

	if (n < 0)
		return gone(id, n, e);
	return receive(sock, id, b, want, timeout_ms, r, e);
}

static int check(const struct skf_recr *r, const char *id, struct skf_err *e)
{
	return r->bad ? skf_fail(e, SKF_ECORRUPT, "the monitor of container '%s' sent a malformed answer",
				 id)
		      : 0;
}

static void begin(struct skf_rec *w, struct skf_buf *b, uint16_t type, const char *id)
{
	skf_rec_begin(w, b, type, SKF_MON_VERSION);
	skf_rec_str(w, id);
}

int skf_mon_hello(int sock, const char *id, char *version, size_t size, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	struct skf_recr r = {0};
	struct skf_rec w;

	begin(&w, &b, SKF_MON_HELLO, id);
	skf_rec_end(&w);
	if (request(sock, id, &b, NULL, 0, SKF_MON_HELLO, SKF_HELLO_MS, &r, e) < 0)
		return -1;
	if (size > 0)
		snprintf(version, size, "%s", skf_recr_str(&r)); /* shown to people: cutting is fine */
	return check(&r, id, e);
}

int skf_mon_state(int sock, const char *id, struct skf_mon_state *ret, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	struct skf_mon_state s = {0};
	struct skf_recr r = {0};
	struct skf_rec w;

	begin(&w, &b, SKF_MON_STATE, id);
	skf_rec_end(&w);
	if (request(sock, id, &b, NULL, 0, SKF_MON_STATE, SKF_HELLO_MS, &r, e) < 0)
		return -1;
	if (skf_fmt(s.state, sizeof(s.state), "%s", skf_recr_str(&r)) < 0)
		r.bad = true;
	s.pid = skf_recr_u32(&r);
	s.start_time = skf_recr_u64(&r);
	s.started_ns = skf_recr_u64(&r);
	s.exit_code = skf_recr_u32(&r);
	s.oom_killed = skf_recr_u32(&r);
	s.finished_ns = skf_recr_u64(&r);
	if (skf_recr_more(&r)) { /* a monitor of an older build ends here */
		s.restarts = skf_recr_u32(&r);
		if (skf_fmt(s.health, sizeof(s.health), "%s", skf_recr_str(&r)) < 0)
			r.bad = true;
		s.failing = skf_recr_u32(&r);
	}
	if (check(&r, id, e) < 0)
		return -1;
	*ret = s;
	return 0;
}

int skf_mon_kill(int sock, const char *id, int sig, bool all, unsigned manual, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	struct skf_recr r = {0};
	struct skf_rec w;

	begin(&w, &b, SKF_MON_KILL, id);
	skf_rec_u32(&w, (uint32_t)sig);
	skf_rec_u32(&w, all);
	skf_rec_u32(&w, manual);
	skf_rec_end(&w);
	return request(sock, id, &b, NULL, 0, SKF_MON_OK, SKF_HELLO_MS, &r, e);
}

int skf_mon_attach(int sock, const char *id, unsigned flags, const int *fds, unsigned n, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	struct skf_recr r = {0};
	struct skf_rec w;

	begin(&w, &b, SKF_MON_ATTACH, id);
	skf_rec_u32(&w, flags);
	skf_rec_end(&w);
	return request(sock, id, &b, fds, n, SKF_MON_OK, SKF_HELLO_MS, &r, e);
}

int skf_mon_resize(int sock, const char *id, unsigned rows, unsigned cols, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	struct skf_recr r = {0};
	struct skf_rec w;

	begin(&w, &b, SKF_MON_RESIZE, id);
	skf_rec_u32(&w, rows);
	skf_rec_u32(&w, cols);
	skf_rec_end(&w);
	return request(sock, id, &b, NULL, 0, SKF_MON_OK, SKF_HELLO_MS, &r, e);
}

int skf_mon_start(int sock, const char *id, uint64_t started_ns, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	struct skf_recr r = {0};
	struct skf_rec w;

	begin(&w, &b, SKF_MON_START, id);
	skf_rec_u64(&w, started_ns);
	skf_rec_end(&w);
	return request(sock, id, &b, NULL, 0, SKF_MON_OK, SKF_HELLO_MS, &r, e);
}

int skf_mon_update_restart(int sock, const char *id, uint32_t policy, uint32_t max, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	struct skf_recr r = {0};
	struct skf_rec w;

	begin(&w, &b, SKF_MON_UPDATE, id);
	skf_rec_u32(&w, SKF_MON_UPD_RESTART);
	skf_rec_u32(&w, policy);
	skf_rec_u32(&w, max);
	skf_rec_end(&w);
	return request(sock, id, &b, NULL, 0, SKF_MON_OK, SKF_HELLO_MS, &r, e);
}

int skf_mon_probe(int sock, const char *id, int timeout_ms, uint32_t *ret_code, char health[16],
		  struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	struct skf_recr r = {0};
	struct skf_rec w;
	uint32_t code;

	begin(&w, &b, SKF_MON_PROBE, id);
	skf_rec_end(&w);
	if (request(sock, id, &b, NULL, 0, SKF_MON_HEALTH, timeout_ms, &r, e) < 0)
		return -1;
	code = skf_recr_u32(&r);
	if (skf_fmt(health, 16, "%s", skf_recr_str(&r)) < 0)
		r.bad = true;
	if (check(&r, id, e) < 0)
		return -1;
	*ret_code = code;
	return 0;
}

int skf_mon_wait(int sock, const char *id, int timeout_ms, struct skf_mon_exit *ret, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	struct skf_mon_exit x;
	struct skf_recr r = {0};
	struct skf_rec w;

	begin(&w, &b, SKF_MON_WAIT, id);
	skf_rec_end(&w);
	if (request(sock, id, &b, NULL, 0, SKF_MON_EXIT, timeout_ms, &r, e) < 0)
		return -1;
	x.code = skf_recr_u32(&r);
	x.signal = skf_recr_u32(&r);
	x.oom_killed = skf_recr_u32(&r);
	x.finished_ns = skf_recr_u64(&r);
	if (check(&r, id, e) < 0)
		return -1;
	*ret = x;
	return 0;
}
