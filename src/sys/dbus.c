/* dbus.c -- connection to systemd's manager: authentication, one call at a time, the end of a job.
 *
 * Theory: systemd listens on a socket of its own (/run/systemd/private, and one per user), where it takes
 * the caller's uid from the socket and sends every signal to everybody. That way needs no dbus-daemon, is
 * one hop shorter and has no quota of connections per user, so it is tried first; the bus is the fallback (a
 * sandbox may hide the private socket), and needs Hello and a match rule for the one signal that is waited
 * for. An address in the environment is the user's word and goes before both.
 *
 * Invariants:
 * 1. Every wait ends at a deadline; the socket never blocks.
 * 2. EXTERNAL is sent without a uid, so that the peer takes the one of the socket: right in a user namespace
 * too, where our own number means nothing outside.
 * 3. JobRemoved may come before the answer that names the job: the last one of the watched unit is kept.
 * 4. A message that is longer than SKF_MAX_DBUS_BYTES is not for us (somebody's broadcast) and is dropped
 * without being stored. Blocks: SKF_DBUS_CALL_MS per call, SKF_DBUS_JOB_MS for a job. */
#include "sys/dbus.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/limits.h"
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define SYSTEMD      "org.freedesktop.systemd1"
#define MANAGER_PATH "/org/freedesktop/systemd1"
#define MANAGER      SYSTEMD ".Manager"

/* --- bytes --- */

static int wait_for(int fd, short events, int64_t end)
{
	struct pollfd p = {.fd = fd, .events = events};
	int64_t left;
	int r;

	do {
		left = end - skf_mono_ms();
		r = left > 0 ? poll(&p, 1, (int)left) : 0;
	} while (r < 0 && errno == EINTR);
	return r < 0 ? skf_errno() : r == 0 ? -ETIMEDOUT : 0;
}

static int send_all(int fd, const char *p, size_t n, int64_t end)
{
	while (n) {
		ssize_t k = send(fd, p, n, MSG_NOSIGNAL);

		if (k > 0) {
			p += k;
			n -= (size_t)k;
			continue;
		}
		if (k < 0 && errno == EAGAIN) {
			int r = wait_for(fd, POLLOUT, end);

			if (r < 0)
				return r;
		} else if (k < 0 && errno != EINTR) {
			return skf_errno();
		}
	}
	return 0;
}

/* Some more bytes into p; 0 is never returned: the end of the stream is -ECONNRESET. */
static ssize_t recv_some(int fd, void *p, size_t n, int64_t end)
{
	for (;;) {
		ssize_t k = recv(fd, p, n, 0);
		int r;

		if (k > 0)
			return k;
		if (k == 0)
			return -ECONNRESET;
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return skf_errno();
		r = wait_for(fd, POLLIN, end);
		if (r < 0)
			return r;
	}
}

static int fill(struct skf_dbus *c, int64_t end)
{
	char *p;
	ssize_t n;

	if (c->used) {
		memmove(c->in.p, c->in.p + c->used, c->in.len - c->used);
		c->in.len -= c->used;
		c->used = 0;
	}
	p = skf_buf_reserve(&c->in, 4096);
	if (!p)
		return c->in.err;
	n = recv_some(c->fd, p, 4096, end);
	if (n < 0)
		return (int)n;
	c->in.len += (size_t)n;
	return 0;
}

/* --- connection --- */

static int connect_to(const char *path, int64_t end)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	SKF_AUTO_FD int fd = -EBADF;
	socklen_t len =
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path) + (path[0] != '@'));

	if (strlen(path) >= sizeof(a.sun_path))
		return -ENAMETOOLONG;
	memcpy(a.sun_path, path, strlen(path) + 1);
	if (path[0] == '@')
		a.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return skf_errno();
	while (connect(fd, (struct sockaddr *)&a, len) < 0) {
		/* EAGAIN: the queue of the listener is full; there is no event for that. */
		if ((errno != EAGAIN && errno != EINTR) || skf_mono_ms() >= end)
			return skf_errno();
		nanosleep(&(struct timespec){0, 5000000}, NULL);
	}
	return SKF_TAKE_FD(fd);
}

/* One line of the authentication without its "\r\n", in c->in until the next fill. */
static int read_line(struct skf_dbus *c, const char **ret, int64_t end)
{
	for (;;) {
		char *p = c->in.p ? c->in.p + c->used : NULL;
		char *nl = p ? memchr(p, '\n', c->in.len - c->used) : NULL;
		int r;

		if (nl && nl > p && nl[-1] == '\r') {
			nl[-1] = '\0';
			c->used += (size_t)(nl - p) + 1;
			*ret = p;
			return 0;
		}
		if (nl || c->in.len - c->used > 1024)
			return -EBADMSG;
		r = fill(c, end);
		if (r < 0)
			return r;
	}
}

static int authenticate(struct skf_dbus *c, int64_t end)
{
	static const char words[] = "\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n";
	int r = send_all(c->fd, words, sizeof(words) - 1, end);

	for (int i = 0; r == 0 && i < 2; i++) {
		const char *line;

		r = read_line(c, &line, end);
		if (r < 0)
			return r;
		if (skf_startswith(line, "OK "))
			return 0;
		if (!skf_startswith(line, "DATA"))
			return -EACCES;
	}
	return r < 0 ? r : -EACCES;
}

static void note_job(struct skf_dbus *c, const struct skf_dbus_msg *m)
{
	struct skf_dbus_reader r = skf_dbus_read(m);
	const char *job, *unit, *result;

	if (m->type != SKF_DBUS_SIGNAL || !skf_streq(m->member, "JobRemoved") ||
	    !skf_streq(m->interface, MANAGER) || !skf_streq(m->signature, "uoss"))
		return;
	(void)skf_dbus_get_u32(&r);
	job = skf_dbus_get_str(&r);
	unit = skf_dbus_get_str(&r);
	result = skf_dbus_get_str(&r);
	if (r.err || !skf_streq(unit, c->unit))
		return;
	if (skf_fmt(c->job, sizeof(c->job), "%s", job) < 0 ||
	    skf_fmt(c->result, sizeof(c->result), "%s", result) < 0)
		c->job[0] = '\0';
}

/* Throws away `n` bytes of the stream, of which some may be in c->in. */
static int drop(struct skf_dbus *c, uint64_t n, int64_t end)
{
	size_t have = c->in.len - c->used;
	char scratch[4096];

	c->in.len = c->used = 0;
	n -= have;
	while (n) {
		ssize_t k =
			recv_some(c->fd, scratch, n < sizeof(scratch) ? (size_t)n : sizeof(scratch), end);

		if (k < 0)
			return (int)k;
		n -= (uint64_t)k;
	}
	return 0;
}

/* The next message; valid until the next call. */
static int next_message(struct skf_dbus *c, struct skf_dbus_msg *ret, int64_t end)
{
	for (;;) {
		size_t have = c->in.len - c->used;
		int64_t len = have ? skf_dbus_length(c->in.p + c->used, have) : 0;
		int r;

		if (len < 0)
			return (int)len;
		if (len > SKF_MAX_DBUS_BYTES && (uint64_t)len > have) {
			r = drop(c, (uint64_t)len, end);
		} else if (len > 0 && (uint64_t)len <= have) {
			r = skf_dbus_decode(c->in.p + c->used, (size_t)len, ret);
			c->used += (size_t)len;
			return r;
		} else {
			r = fill(c, end);
		}
		if (r < 0)
			return r;
	}
}

static int send_call(struct skf_dbus *c, struct skf_dbus_msg *m, const struct skf_buf *body, int64_t end)
{
	SKF_AUTO(skf_buf_done) struct skf_buf out = SKF_BUF(2 * SKF_MAX_DBUS_BYTES);
	int r = body ? body->err : 0;

	if (r < 0)
		return r;
	m->type = SKF_DBUS_CALL;
	m->serial = ++c->serial;
	m->body = body ? (const uint8_t *)body->p : NULL;
	m->body_len = body ? body->len : 0;
	r = skf_dbus_encode(m, &out);
	return r < 0 ? r : send_all(c->fd, out.p, out.len, end);
}

/* Sends and waits for the answer. 0: *ret is it; -EREMOTEIO: it is an error, kept in c; else -errno. */
static int call(struct skf_dbus *c, struct skf_dbus_msg *m, const struct skf_buf *body,
		struct skf_dbus_msg *ret)
{
	int64_t end = skf_mono_ms() + SKF_DBUS_CALL_MS;
	int r = send_call(c, m, body, end);

	while (r == 0) {
		r = next_message(c, ret, end);
		if (r < 0)
			break;
		note_job(c, ret);
		if (ret->reply_serial != m->serial)
			continue;
		if (ret->type == SKF_DBUS_RETURN)
			return 0;
		if (ret->type == SKF_DBUS_ERROR) {
			struct skf_dbus_reader b = skf_dbus_read(ret);
			const char *text = ret->signature[0] == 's' ? skf_dbus_get_str(&b) : "";

			if (skf_fmt(c->error_name, sizeof(c->error_name), "%.120s", ret->error_name) < 0 ||
			    skf_fmt(c->error_text, sizeof(c->error_text), "%.250s", text) < 0)
				return -EBADMSG;
			return -EREMOTEIO;
		}
	}
	return r;
}

/* What a bus wants before it passes anything on. */
static int greet(struct skf_dbus *c)
{
	struct skf_dbus_msg hello = {.path = "/org/freedesktop/DBus",
				     .interface = "org.freedesktop.DBus",
				     .member = "Hello",
				     .destination = "org.freedesktop.DBus"};
	struct skf_dbus_msg match = hello, reply;
	SKF_AUTO(skf_buf_done) struct skf_buf body = SKF_BUF(4096);
	int r = call(c, &hello, NULL, &reply);

	if (r < 0)
		return r;
	match.member = "AddMatch";
	match.signature = "s";
	skf_dbus_str(&body, "type='signal',sender='" SYSTEMD "',path='" MANAGER_PATH "',interface='" MANAGER
			    "',member='JobRemoved'");
	return call(c, &match, &body, &reply);
}

static int try_open(struct skf_dbus *c, const char *path, bool peer)
{
	int64_t end = skf_mono_ms() + SKF_DBUS_CALL_MS;
	int r;

	*c = (struct skf_dbus){.peer = peer, .in = SKF_BUF(2 * SKF_MAX_DBUS_BYTES)};
	c->fd = connect_to(path, end);
	if (c->fd < 0)
		return c->fd;
	r = authenticate(c, end);
	if (r == 0 && !peer)
		r = greet(c);
	if (r < 0)
		skf_dbus_close(c);
	return r;
}

static bool attempt(struct skf_dbus *c, const char *path, bool peer, struct skf_buf *tried)
{
	int r = try_open(c, path, peer);

	if (r == 0)
		return true;
	skf_buf_fmt(tried, "%s'%s': %s", tried->len ? ", " : "", path,
		    r == -EREMOTEIO ? c->error_text : strerror(-r));
	return false;
}

int skf_dbus_open(struct skf_dbus *c, bool user, struct skf_err *e)
{
	const char *env = getenv(user ? "DBUS_SESSION_BUS_ADDRESS" : "DBUS_SYSTEM_BUS_ADDRESS"),
		   *run = getenv("XDG_RUNTIME_DIR");
	SKF_AUTO(skf_buf_done) struct skf_buf tried = SKF_BUF(2048);
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)], dir[64] = "/run";
	bool done = false;

	*c = (struct skf_dbus){.fd = -EBADF};
	if (user && run && *run == '/' ? skf_fmt(dir, sizeof(dir), "%s", run) < 0
				       : user && skf_fmt(dir, sizeof(dir), "/run/user/%u", geteuid()) < 0)
		return skf_fail(e, SKF_EINVALID,
				"XDG_RUNTIME_DIR '%s' is too long for the address of a socket", run);
	if (env && *env && skf_dbus_address(env, path, sizeof(path)) == 0)
		done = attempt(c, path, false, &tried);
	if (!done && skf_fmt(path, sizeof(path), "%s/systemd/private", dir) == 0)
		done = attempt(c, path, true, &tried);
	if (!done &&
	    skf_fmt(path, sizeof(path), "%s%s", dir, user ? "/bus" : "/dbus/system_bus_socket") == 0)
		done = attempt(c, path, false, &tried);
	if (done)
		return 0;
	return skf_fail(e, SKF_EUNAVAILABLE,
			"systemd's %s manager cannot be reached (tried %s); is systemd running? Use the "
			"cgroup manager 'cgroupfs' otherwise",
			user ? "user" : "system", skf_buf_cstr(&tried));
}

void skf_dbus_close(struct skf_dbus *c)
{
	if (c->fd > 0)
		skf_closep(&c->fd);
	skf_buf_done(&c->in);
}

/* --- org.freedesktop.systemd1.Manager --- */

static int explain(struct skf_dbus *c, int r, const char *what, const char *unit, struct skf_err *e)
{
	enum skf_kind k = SKF_EUNAVAILABLE;

	if (r != -EREMOTEIO)
		return skf_fail_sys(e, r, "ask systemd to %s '%s'", what, unit);
	if (skf_endswith(c->error_name, ".UnitExists"))
		k = SKF_ECONFLICT;
	else if (skf_endswith(c->error_name, ".NoSuchUnit") || skf_endswith(c->error_name, ".UnitNotLoaded"))
		k = SKF_ENOTFOUND;
	else if (skf_endswith(c->error_name, ".AccessDenied") ||
		 skf_endswith(c->error_name, ".InteractiveAuthorizationRequired"))
		k = SKF_EDENIED;
	else if (skf_endswith(c->error_name, ".InvalidArgs") ||
		 skf_endswith(c->error_name, ".PropertyReadOnly"))
		k = SKF_EINVALID;
	return skf_fail(e, k, "systemd does not %s '%s': %s", what, unit,
			c->error_text[0] ? c->error_text : c->error_name);
}

static int manager(struct skf_dbus *c, const char *member, const char *sig, const struct skf_buf *body,
		   struct skf_dbus_msg *reply)
{
	struct skf_dbus_msg m = {.path = MANAGER_PATH,
				 .interface = MANAGER,
				 .member = member,
				 .signature = sig,
				 .destination = c->peer ? NULL : SYSTEMD};

	c->error_name[0] = c->error_text[0] = '\0';
	return call(c, &m, body, reply);
}

/* A method that answers with a job: waits until the job is done. */
static int run_job(struct skf_dbus *c, const char *member, const char *sig, const struct skf_buf *body,
		   const char *what, const char *unit, struct skf_err *e)
{
	int64_t end = skf_mono_ms() + SKF_DBUS_JOB_MS;
	struct skf_dbus_msg m;
	struct skf_dbus_reader b;
	char job[sizeof(c->job)];
	int r;

	c->job[0] = '\0';
	if (skf_fmt(c->unit, sizeof(c->unit), "%s", unit) < 0)
		return skf_fail(e, SKF_EINVALID, "unit name '%.64s...' is longer than %d bytes", unit,
				SKF_MAX_UNIT_NAME);
	r = manager(c, member, sig, body, &m);
	if (r < 0)
		return explain(c, r, what, unit, e);
	b = skf_dbus_read(&m);
	if (!skf_streq(m.signature, "o") || skf_fmt(job, sizeof(job), "%s", skf_dbus_get_str(&b)) < 0 ||
	    b.err)
		return skf_fail(e, SKF_EUNAVAILABLE, "systemd's answer to %s of '%s' is not a job", member,
				unit);
	while (!skf_streq(c->job, job)) {
		r = next_message(c, &m, end);
		if (r < 0)
			return skf_fail_sys(e, r, "wait for systemd to %s '%s'", what, unit);
		note_job(c, &m);
	}
	if (!skf_streq(c->result, "done"))
		return skf_fail(e, SKF_EUNAVAILABLE, "systemd could not %s '%s': the job ended as '%s'",
				what, unit, c->result);
	return 0;
}

static void append_props(struct skf_buf *body, const struct skf_buf *props)
{
	size_t at = skf_dbus_array(body, 8);

	if (props->err)
		body->err = body->err ? body->err : props->err;
	else if (props->len)
		skf_buf_put(body, props->p, props->len);
	skf_dbus_array_end(body, at, 8);
}

int skf_sd_start_transient(struct skf_dbus *c, const char *unit, const struct skf_buf *props,
			   struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf body = SKF_BUF(SKF_MAX_DBUS_BYTES);

	skf_dbus_str(&body, unit);
	skf_dbus_str(&body, "fail");
	append_props(&body, props);
	skf_dbus_array_end(&body, skf_dbus_array(&body, 8), 8); /* no auxiliary units */
	return run_job(c, "StartTransientUnit", "ssa(sv)a(sa(sv))", &body, "start", unit, e);
}

int skf_sd_set_properties(struct skf_dbus *c, const char *unit, const struct skf_buf *props,
			  struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf body = SKF_BUF(SKF_MAX_DBUS_BYTES);
	struct skf_dbus_msg reply;
	int r;

	skf_dbus_str(&body, unit);
	skf_dbus_u32(&body, 1); /* until the next boot */
	append_props(&body, props);
	r = manager(c, "SetUnitProperties", "sba(sv)", &body, &reply);
	return r < 0 ? explain(c, r, "change", unit, e) : 0;
}

int skf_sd_stop(struct skf_dbus *c, const char *unit, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf body = SKF_BUF(4096);

	skf_dbus_str(&body, unit);
	skf_dbus_str(&body, "replace");
	return run_job(c, "StopUnit", "ss", &body, "stop", unit, e);
}

int skf_sd_kill(struct skf_dbus *c, const char *unit, int sig, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf body = SKF_BUF(4096);
	struct skf_dbus_msg reply;
	int r;

	skf_dbus_str(&body, unit);
	skf_dbus_str(&body, "all");
	skf_dbus_u32(&body, (uint32_t)sig);
	r = manager(c, "KillUnit", "ssi", &body, &reply);
	return r < 0 ? explain(c, r, "kill", unit, e) : 0;
}

int skf_sd_reset_failed(struct skf_dbus *c, const char *unit, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf body = SKF_BUF(4096);
	struct skf_dbus_msg reply;
	int r;

	skf_dbus_str(&body, unit);
	r = manager(c, "ResetFailedUnit", "s", &body, &reply);
	return r < 0 ? explain(c, r, "reset", unit, e) : 0;
}

int skf_sd_attach(struct skf_dbus *c, const char *unit, const char *sub, pid_t pid, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf body = SKF_BUF(4096);
	struct skf_dbus_msg reply;
	size_t at;
	int r;

	skf_dbus_str(&body, unit);
	skf_dbus_str(&body, sub);
	at = skf_dbus_array(&body, 4);
	skf_dbus_u32(&body, (uint32_t)pid);
	skf_dbus_array_end(&body, at, 4);
	r = manager(c, "AttachProcessesToUnit", "ssau", &body, &reply);
	return r < 0 ? explain(c, r, "take a process into", unit, e) : 0;
}

int skf_sd_control_group(struct skf_dbus *c, char *out, size_t size, struct skf_err *e)
{
	struct skf_dbus_msg m = {.path = MANAGER_PATH,
				 .interface = "org.freedesktop.DBus.Properties",
				 .member = "Get",
				 .signature = "ss",
				 .destination = c->peer ? NULL : SYSTEMD};
	SKF_AUTO(skf_buf_done) struct skf_buf body = SKF_BUF(4096);
	struct skf_dbus_msg reply;
	struct skf_dbus_reader b;
	const char *sig, *v;
	int r;

	skf_dbus_str(&body, MANAGER);
	skf_dbus_str(&body, "ControlGroup");
	r = call(c, &m, &body, &reply);
	if (r < 0)
		return explain(c, r, "tell the property", "ControlGroup", e);
	b = skf_dbus_read(&reply);
	sig = skf_dbus_get_sig(&b);
	v = skf_dbus_get_str(&b);
	if (b.err || !skf_streq(reply.signature, "v") || !skf_streq(sig, "s") || (*v && *v != '/') ||
	    skf_fmt(out, size, "%s", skf_streq(v, "/") ? "" : v) < 0)
		return skf_fail(e, SKF_EUNAVAILABLE, "systemd's answer about its own cgroup is not a path");
	return 0;
}
