/* registry/credhelper.c -- docker's credential helpers: programs docker-credential-<name> that answer get,
 * store, erase and list on their standard streams. Invariants: 1. the program is found on PATH by name, its
 * arguments are ours, no shell is involved; 2. nobody reads more than SKF_MAX_TOKEN_BYTES of it nor waits
 * longer than HELPER_MS; 3. what it prints is never part of a message. Blocks: on the helper. */
#include "base/arena.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/proc.h"
#include "registry/registry_int.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define HELPER_MS  60000     /* it may ask the user for a passphrase */
#define TOKEN_USER "<token>" /* docker's user name for an identity token */

static bool name_ok(const char *s)
{
	size_t n = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");
	return n && n < 64 && !s[n];
}

static int find_program(const char *name, char *out, size_t size, struct skf_err *e)
{
	const char *path = getenv("PATH");
	for (const char *p = path ? path : "/usr/local/bin:/usr/bin:/bin"; *p;) {
		size_t n = strcspn(p, ":");
		if (n && *p == '/' &&
		    skf_fmt(out, size, "%.*s/docker-credential-%s", (int)n, p, name) == 0 &&
		    access(out, X_OK) == 0)
			return 0;
		p += n + (p[n] == ':');
	}
	return skf_fail(e, SKF_ENOTFOUND,
			"credential helper 'docker-credential-%s' is not on PATH; install it or take it out "
			"of docker's config.json",
			name);
}

struct helper {
	const char *name, *verb;
	pid_t pid;
	int pidfd, in, out;
};

static int start(struct helper *h, struct skf_err *e)
{
	char path[4096], verb[16];
	int in[2] = {-EBADF, -EBADF}, out[2] = {-EBADF, -EBADF};
	if (find_program(h->name, path, sizeof(path), e) < 0)
		return -1;
	if (skf_fmt(verb, sizeof(verb), "%s", h->verb) < 0)
		return skf_fail(e, SKF_EBUG, "verb of a credential helper");
	char *argv[] = {path, verb, NULL};
	int r = skf_pipe(in, 0);
	if (r == 0)
		r = skf_pipe(out, 0);
	if (r == 0) {
		const struct skf_spawn s = {
			.path = path, .argv = argv, .stdio = {in[0], out[1], -1}, .pdeathsig = SIGKILL};
		r = skf_spawn(&s, &h->pid, &h->pidfd);
	}
	skf_closep(&in[0]);
	skf_closep(&out[1]);
	h->in = in[1];
	h->out = out[0];
	return r < 0 ? skf_fail_sys(e, r, "start '%s'", path) : 0;
}

/* Writes `in`, then reads to the end. 0 or -errno. */
static int talk(struct helper *h, const char *in, struct skf_buf *out, int64_t end)
{
	size_t left = strlen(in);
	if (skf_set_nonblock(h->in, true) < 0 || skf_set_nonblock(h->out, true) < 0)
		return -EIO;
	for (;;) {
		struct pollfd p[2] = {{h->out, POLLIN, 0}, {left ? h->in : -1, POLLOUT, 0}};
		int64_t ms = end - skf_mono_ms();
		if (ms <= 0)
			return -ETIMEDOUT;
		if (poll(p, 2, (int)ms) < 0 && errno != EINTR)
			return -errno;
		if (p[1].revents) {
			ssize_t k = write(
				h->in, in,
				left); /* a helper that reads nothing and ends is judged by its status */
			left = k >= 0 ? left - (size_t)k : errno == EAGAIN ? left : 0;
			in += k > 0 ? k : 0;
		}
		if (!left)
			skf_closep(&h->in);
		if (p[0].revents) {
			char b[4096];
			ssize_t k = read(h->out, b, sizeof(b));
			if (k == 0)
				return 0;
			if (k < 0 && errno != EAGAIN && errno != EINTR)
				return -errno;
			if (k > 0)
				skf_buf_put(out, b, (size_t)k);
			if (out->err)
				return out->err;
		}
	}
}

int skf_credhelper_run(const char *name, const char *verb, const char *in, struct skf_buf *out,
		       struct skf_err *e)
{
	struct helper h = {.name = name, .verb = verb, .pidfd = -EBADF, .in = -EBADF, .out = -EBADF};
	int64_t end = skf_mono_ms() + HELPER_MS;
	int status = 0;
	if (!name_ok(name))
		return skf_fail(e, SKF_EINVALID,
				"docker config.json names the credential helper '%.80s': letters, digits, "
				"'.', '_' and '-' are expected",
				name);
	int r = start(&h, e);
	if (r == 0) {
		r = talk(&h, in, out, end);
		skf_closep(&h.in);
		int64_t ms = end - skf_mono_ms();
		if (r < 0 || skf_wait_pid(h.pid, h.pidfd, ms > 0 ? (int)ms : 0, &status) < 0) {
			r = r < 0 ? r : -ETIMEDOUT;
			kill(h.pid, SIGKILL);
			skf_wait_pid(h.pid, h.pidfd, SKF_KILL_WAIT_MS,
				     &status); /* r tells what went wrong */
		}
		if (r < 0)
			r = skf_fail_sys(e, r, "credential helper 'docker-credential-%s' (%s)", name, verb);
	}
	skf_closep(&h.in);
	skf_closep(&h.out);
	skf_closep(&h.pidfd);
	if (r < 0)
		return -1;
	if (status == 0)
		return 1;
	if (strstr(skf_buf_cstr(out), "credentials not found"))
		return 0;
	return skf_fail(e, SKF_EDENIED,
			"credential helper 'docker-credential-%s' ends with status %d for '%s'", name,
			skf_wait_code(status), verb);
}

struct answer {
	char *user, *secret;
};
static const struct skf_jfield answer_fields[] = {
	SKF_J(struct answer, user, "Username", skf_j_str, NULL, SKF_J_NULL_OK),
	SKF_J(struct answer, secret, "Secret", skf_j_str, NULL, SKF_J_NULL_OK),
	SKF_J_END,
};
static const struct skf_jtable answer_table = {.size = sizeof(struct answer), .f = answer_fields};

int skf_credhelper_get(const char *name, const char *server, struct skf_creds *c, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf out = SKF_BUF(SKF_MAX_TOKEN_BYTES);
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(4u << 20);
	const struct skf_jdoc d = {.name = "answer of the credential helper",
				   .max_bytes = SKF_MAX_TOKEN_BYTES};
	void *doc;
	int r = skf_credhelper_run(name, "get", server, &out, e);
	if (r != 1)
		return r;
	if (skf_json_decode(&d, skf_buf_cstr(&out), out.len, &answer_table, &a, &doc, e) < 0)
		return skf_ctx(e, "docker-credential-%s", name);
	const struct answer *x = doc;
	if (!x->user || !x->secret || !*x->secret)
		return 0;
	char *secret = strdup(x->secret), *user = strdup(x->user);
	if (!secret || !user) {
		free(secret);
		free(user);
		return skf_fail(e, SKF_ENOMEM, "credentials");
	}
	free(c->user);
	free(c->password);
	free(c->token);
	bool token = skf_streq(user, TOKEN_USER);
	c->user = token ? NULL : user;
	c->password = token ? NULL : secret;
	c->token = token ? secret : NULL;
	if (token)
		free(user);
	return 1;
}
