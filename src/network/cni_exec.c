/* network/cni_exec.c -- one call of one plugin: its configuration on stdin (a memory file, so that a plugin
 * that does not read cannot block us), CNI_* and PATH and nothing else in its environment, stdout and stderr
 * drained while it runs. Blocks at most SKF_CNI_PLUGIN_MS, then the plugin is killed. Clause: CNI SPEC.md
 * section 2. */
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/proc.h"
#include "network/cni_int.h"
#include "sys/process.h"
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SAID_MAX 2048 /* of stderr that is quoted */

static char *const usual_bins[] = {(char *)"/opt/cni/bin", (char *)"/usr/lib/cni",
				   (char *)"/usr/libexec/cni"};

static struct skf_strv bins(const struct skf_cni_dirs *d)
{
	return d->bin.n ? d->bin : (struct skf_strv){(char **)usual_bins, SKF_ARRAY_LEN(usual_bins)};
}

static void join_path(const struct skf_strv *v, struct skf_buf *b)
{
	for (size_t i = 0; i < v->n; i++)
		skf_buf_fmt(b, "%s%s", i ? ":" : "", v->v[i]);
}

int skf_cni_find_plugin(const struct skf_cni_dirs *d, const char *type, char *path, size_t size,
			struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf where = SKF_BUF(4096);
	struct skf_strv v = bins(d);

	if (!skf_cni_word_ok(type))
		return skf_fail(e, SKF_EINVALID, "'%.80s' is not possible as the type of a CNI plugin",
				type);
	for (size_t i = 0; i < v.n; i++)
		if (skf_fmt(path, size, "%s/%s", v.v[i], type) == 0 && access(path, X_OK) == 0)
			return 0;
	join_path(&v, &where);
	return skf_fail(e, SKF_ENOTFOUND, "CNI plugin '%s' is not in '%.300s'", type, skf_buf_cstr(&where));
}

/* --- the process --- */
struct run {
	pid_t pid;
	int pidfd, out, err;
	struct skf_buf *said;
	struct skf_buf said_err;
};

static void run_done(struct run *r)
{
	skf_closep(&r->out);
	skf_closep(&r->err);
	skf_closep(&r->pidfd);
	skf_buf_done(&r->said_err);
}

static int input_file(const char *text)
{
	SKF_AUTO_FD int fd = memfd_create("cni", MFD_CLOEXEC);
	int r = fd < 0 ? -errno : skf_write_full(fd, text, strlen(text));

	if (r == 0 && lseek(fd, 0, SEEK_SET) < 0)
		r = -errno;
	return r < 0 ? r : SKF_TAKE_FD(fd);
}

static int spawn(struct run *r, const char *path, const char *in, char *const *env)
{
	SKF_AUTO_FD int stdin_fd = input_file(in), out_w = -EBADF, err_w = -EBADF;
	char *const argv[] = {(char *)path, NULL};
	int p[2], q;

	if (stdin_fd < 0)
		return stdin_fd;
	q = skf_pipe(p, 0);
	if (q < 0)
		return q;
	r->out = p[0];
	out_w = p[1];
	q = skf_pipe(p, 0);
	if (q < 0)
		return q;
	r->err = p[0];
	err_w = p[1];
	q = skf_set_nonblock(r->out, true);
	if (q == 0)
		q = skf_set_nonblock(r->err, true);
	return q < 0 ? q
		     : skf_spawn(&(struct skf_spawn){.path = path,
						     .argv = argv,
						     .envp = env,
						     .stdio = {stdin_fd, out_w, err_w},
						     .cwd = "/"},
				 &r->pid, &r->pidfd);
}

/* Takes what is there now. 1 more may come, 0 the end, -errno; what passes the buffer's limit is read and
 * forgotten. */
static int drain(int *fd, struct skf_buf *b)
{
	char chunk[4096];

	for (;;) {
		ssize_t n = read(*fd, chunk, sizeof(chunk));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 1 : -errno;
		if (n == 0) {
			skf_closep(fd);
			return 0;
		}
		skf_buf_put(b, chunk, (size_t)n);
	}
}

/* Until the plugin has ended; whoever inherited its pipes is not waited for. */
static int watch(struct run *r, int *ret_status)
{
	int64_t end = skf_mono_ms() + SKF_CNI_PLUGIN_MS;
	bool ended = false;

	while (!ended) {
		struct pollfd p[3] = {{.fd = r->pidfd, .events = POLLIN},
				      {.fd = r->out, .events = POLLIN},
				      {.fd = r->err, .events = POLLIN}};
		int64_t left = end - skf_mono_ms();
		int n = left > 0 ? poll(p, 3, (int)left) : 0, q = 0;

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0) {
			(void)skf_pidfd_kill(r->pidfd, SIGKILL); /* its end is waited for in any case */
			(void)skf_wait_pid(r->pid, r->pidfd, SKF_KILL_WAIT_MS, NULL);
			return -ETIMEDOUT;
		}
		ended = n > 0 && p[0].revents;
		if (r->out >= 0)
			q = drain(&r->out, r->said);
		if (q >= 0 && r->err >= 0)
			q = drain(&r->err, &r->said_err);
		if (q < 0)
			return q;
	}
	return skf_wait_pid(r->pid, r->pidfd, SKF_KILL_WAIT_MS, ret_status);
}

/* --- its environment --- */
static int make_env(const struct skf_cni_dirs *d, const struct skf_cni_exec *x, struct skf_arena *a,
		    struct skf_strv *ret)
{
	SKF_AUTO(skf_buf_done) struct skf_buf path = SKF_BUF(4096);
	const char *const vars[][2] = {
		{"CNI_COMMAND", x->verb},
		{"CNI_CONTAINERID", x->container_id},
		{"CNI_NETNS", x->netns},
		{"CNI_IFNAME", x->ifname},
		{"CNI_ARGS", x->args},
		{"PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}};
	struct skf_strv dirs = bins(d);
	int r = 0;

	join_path(&dirs, &path);
	for (size_t i = 0; i < SKF_ARRAY_LEN(vars) && r == 0; i++) {
		char *s = vars[i][1] ? skf_arena_fmt(a, "%s=%s", vars[i][0], vars[i][1]) : NULL;

		if (vars[i][1])
			r = s ? skf_strv_add(a, ret, s) : -ENOMEM;
	}
	if (r == 0) {
		char *s = skf_arena_fmt(a, "CNI_PATH=%s", skf_buf_cstr(&path));

		r = s ? skf_strv_add(a, ret, s) : -ENOMEM;
	}
	return r;
}

/* What it says of its failure: an error document, else stderr, else stdout. */
static int tell_failure(const struct skf_cni_list *l, const char *type, const char *verb,
			const struct run *r, int status, struct skf_arena *a, uint32_t *ret_code,
			struct skf_err *e)
{
	struct skf_cni_failure *f = NULL;
	const char *said = r->said_err.len ? r->said_err.p : skf_buf_cstr(r->said);

	if (skf_cni_error_decode(skf_buf_cstr(r->said), r->said->len, a, &f) == 0) {
		if (ret_code)
			*ret_code = f->code;
		return skf_fail(
			e, f->code == 11 || f->code == 50 || f->code == 51 ? SKF_EUNAVAILABLE : SKF_ESYSTEM,
			"CNI plugin '%s' of network '%s': %s failed: %.200s%s%.150s%s [code %u]", type,
			l->name, verb, f->msg, f->details && *f->details ? " (" : "",
			f->details ? f->details : "", f->details && *f->details ? ")" : "", f->code);
	}
	if (ret_code)
		*ret_code = UINT32_MAX;
	return skf_fail(e, SKF_ESYSTEM,
			"CNI plugin '%s' of network '%s': %s failed with exit status %d: %.*s", type,
			l->name, verb, skf_wait_code(status),
			(int)strcspn(said, "\n") > 250 ? 250 : (int)strcspn(said, "\n"), said);
}

int skf_cni_exec(const struct skf_cni_dirs *d, const struct skf_cni_list *l, const char *type,
		 const struct skf_cni_exec *x, struct skf_buf *out, uint32_t *ret_code, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(4u << 20);
	SKF_AUTO(run_done)
	struct run r = {
		.pidfd = -EBADF, .out = -EBADF, .err = -EBADF, .said = out, .said_err = SKF_BUF(SAID_MAX)};
	struct skf_strv env = {0};
	char path[PATH_MAX];
	int status = 0, n;

	if (ret_code)
		*ret_code = 0;
	if (skf_cni_find_plugin(d, type, path, sizeof(path), e) < 0)
		return skf_ctx(e, "network '%s'", l->name);
	n = make_env(d, x, &a, &env);
	if (n == 0)
		n = spawn(&r, path, x->in, env.v);
	if (n == 0)
		n = watch(&r, &status);
	if (n == -ETIMEDOUT)
		return skf_fail(e, SKF_ETIMEOUT,
				"CNI plugin '%s' of network '%s': %s was not done after %d s and was killed",
				type, l->name, x->verb, SKF_CNI_PLUGIN_MS / 1000);
	if (n < 0)
		return skf_fail_sys(e, n, "run CNI plugin '%s'", path);
	if (status != 0)
		return tell_failure(l, type, x->verb, &r, status, &a, ret_code, e);
	return out->err ? skf_fail(e, SKF_ELIMIT,
				   "CNI plugin '%s' of network '%s': %s said more than %zu bytes", type,
				   l->name, x->verb, out->max)
			: 0;
}
