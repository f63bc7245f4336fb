/* runtime/criu.c -- criu as a child process that is spoken to over one SOCK_SEQPACKET pair (`criu swrk`),
 * and what checkpoint and restore have in common.
 *
 * Invariants:
 *  1. Numbers of descriptors in a request mean those of the process that made the socket pair (criu looks at
 * SO_PEERCRED) or, inherit_fd, criu's own. The process that becomes criu makes the pair, so that it is one
 * thing, and that the directories can be opened in the mount namespace that criu works in.
 *  2. A wait on the socket also ends when criu is dead: the processes that it was making may have its end
 * still.
 *  3. Each notification gets its answer; after a failure of ours criu is told so and cleans up before we go
 * on.
 *  4. Criu gets no death signal: killed in the middle of a dump it would leave its code in the container's
 * processes. It notices that we are gone at its next notification, and lets them go.
 *  5. Criu follows links when it opens its files as root. So nothing is begun when the image directory,
 * which may come out of an archive of somebody else's, has links or special files, or the work directory has
 * them in the place of criu's own files (T25). Whoever can change the directories meanwhile is trusted.
 *
 * Blocks: skf_criu_talk as long as criu works (a dump writes all memory); all else at most SKF_START_MS,
 * SKF_CRIU_CHECK_MS and SKF_CRIU_EXIT_MS. */
#include "runtime/criu_int.h"

#include "base/limits.h"
#include "base/proc.h"
#include "oci/spec.h"
#include "sys/process.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CRIU_SOCK = 3, CRIU_FIRST_FD = SKF_CRIU_FD };

int skf_criu_find(char *out, size_t size, struct skf_err *e)
{
	char line[PATH_MAX + 8], name[] = "criu";
	char *argv[] = {name, NULL}, *env[] = {line, NULL};
	struct skf_spec_process p = {.args = {argv, 1}, .env = {env, 1}};
	const char *path = getenv("PATH");

	if (skf_fmt(line, sizeof(line), "PATH=%s", path ? path : "/usr/sbin:/usr/bin:/sbin:/bin") == 0 &&
	    skf_exec_lookup(&p, out, size, e) == 0 && out[0] == '/')
		return 0;
	return skf_fail(e, SKF_EUNSUPPORTED,
			"checkpoint and restore need the program 'criu', which is not in PATH: install criu "
			"%d.%d or "
			"newer",
			SKF_CRIU_MIN / 10000, SKF_CRIU_MIN / 100 % 100);
}

/* --- start --- */
struct start_criu {
	const struct skf_criu_launch *l;
	int rpc[2], status, null;
};

/* All sources are moved above the targets first; the socket of our failure stays, close-on-exec, above. */
static int place_fds(struct start_criu *x)
{
	const struct skf_criu_launch *l = x->l;
	int src[CRIU_FIRST_FD + SKF_MAX_CRIU_FDS], n = CRIU_FIRST_FD + (int)l->n_fds;

	for (int i = 0; i < 3; i++)
		src[i] = l->stdio[i] >= 0 ? l->stdio[i] : x->null;
	src[CRIU_SOCK] = x->rpc[1];
	for (int i = CRIU_FIRST_FD; i < n; i++)
		src[i] = l->fds[i - CRIU_FIRST_FD];
	x->status = fcntl(x->status, F_DUPFD_CLOEXEC, n);
	if (x->status < 0)
		return skf_errno();
	for (int i = 0; i < n; i++) {
		src[i] = fcntl(src[i], F_DUPFD_CLOEXEC, n);
		if (src[i] < 0)
			return skf_errno();
	}
	for (int i = 0; i < n; i++)
		if (dup2(src[i], i) < 0)
			return skf_errno();
	return skf_cloexec_from((unsigned)n);
}

SKF_NORETURN static void run_criu(struct start_criu *x)
{
	char program[] = "criu", verb[] = "swrk", fd[] = "3";
	char *argv[] = {program, verb, fd, NULL};
	struct skf_err e = SKF_ERR_INIT;
	int r = 0;

	_Static_assert(CRIU_SOCK == 3, "argument of swrk");
	(void)skf_signals_default(); /* cannot fail with these arguments */
	if (!x->l->in_child || x->l->in_child(x->l->arg, &e) == 0) {
		r = skf_socketpair_seqpacket(x->rpc);
		if (r == 0)
			r = skf_sync_send(x->status, SKF_STEP_READY, x->rpc[0]);
		if (r == 0)
			r = place_fds(x);
		if (r < 0) {
			skf_fail_sys(&e, r, "hand descriptors to criu");
		} else {
			execve(x->l->program, argv, environ);
			skf_fail_sys(&e, skf_errno(), "run '%s'", x->l->program);
		}
	}
	skf_sync_fail(x->status, &e);
	_exit(127);
}

int skf_criu_start(struct skf_criu *c, const struct skf_criu_launch *l, struct skf_err *e)
{
	struct skf_clone k = {.flags = l->clone_flags, .exit_signal = SIGCHLD, .cgroup_fd = l->cgroup_fd};
	SKF_AUTO_FD int null = skf_openat(AT_FDCWD, "/dev/null", O_RDWR, 0);
	struct start_criu x = {.l = l, .null = null};
	int status[2], r = null < 0 ? null : l->n_fds > SKF_MAX_CRIU_FDS ? -E2BIG : 0;

	if (r == 0)
		r = skf_socketpair_seqpacket(status);
	if (r < 0)
		return skf_fail_sys(e, r, "prepare the start of criu");
	x.status = status[1];
	c->pid = skf_clone3(&k, &c->pidfd);
	if (c->pid == 0)
		run_criu(&x);
	close(status[1]);
	if (c->pid < 0)
		r = skf_fail_sys(e, (int)c->pid, "clone a process for criu");
	else if (skf_sync_expect(status[0], SKF_STEP_READY, SKF_START_MS, &c->sock, e) < 0)
		r = -1;
	else
		r = skf_sync_wait_exec(status[0], SKF_START_MS, e);
	close(status[0]);
	return r;
}

void skf_criu_end(struct skf_criu *c, bool kill, const struct skf_log *log)
{
	int status, r;

	skf_closep(&c->sock);
	if (c->pid > 0) {
		if (kill)
			(void)skf_pidfd_kill(c->pidfd, SIGKILL); /* fails only when it is dead already */
		r = skf_wait_pid(c->pid, c->pidfd, SKF_CRIU_EXIT_MS, &status);
		if (r == -ETIMEDOUT) {
			(void)skf_pidfd_kill(c->pidfd, SIGKILL); /* as above */
			r = skf_wait_pid(c->pid, c->pidfd, SKF_KILL_WAIT_MS, &status);
		}
		if (r < 0)
			skf_warn(log, "wait for the end of criu (pid %d): %s, ignoring", (int)c->pid,
				 strerror(-r));
	}
	c->pid = 0;
	skf_closep(&c->pidfd);
}

/* --- conversation --- */
static int send_request(const struct skf_criu *c, const struct skf_criu_req *q, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_CRIU_REQUEST);
	ssize_t n;

	skf_criu_req_encode(q, &b);
	if (b.err == -E2BIG)
		return skf_fail(e, SKF_ELIMIT,
				"the container has too many mounts for one request to criu (%u KB)",
				SKF_MAX_CRIU_REQUEST >> 10);
	if (b.err < 0)
		return skf_fail_sys(e, b.err, "request to criu");
	do
		n = send(c->sock, b.p, b.len, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? skf_fail_errno(e, "send a request to criu (has it ended?)") : 0;
}

static int take_fd(struct msghdr *mh)
{
	int fd = -EBADF, one;

	for (struct cmsghdr *h = CMSG_FIRSTHDR(mh); h; h = CMSG_NXTHDR(mh, h)) {
		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; CMSG_LEN((i + 1) * sizeof(one)) <= h->cmsg_len; i++) {
			memcpy(&one, CMSG_DATA(h) + i * sizeof(one), sizeof(one));
			skf_closep(&fd); /* one is expected: the last one counts */
			fd = one;
		}
	}
	return fd;
}

static int await_answer(const struct skf_criu *c, int timeout_ms)
{
	struct pollfd p[2] = {{.fd = c->sock, .events = POLLIN}, {.fd = c->pidfd, .events = POLLIN}};
	int64_t end = skf_mono_ms() + timeout_ms;
	int r;

	do {
		int64_t left = end - skf_mono_ms();

		r = poll(p, 2, timeout_ms < 0 ? -1 : left > 0 ? (int)left : 0);
	} while (r < 0 && errno == EINTR);
	if (r <= 0)
		return r < 0 ? skf_errno() : -ETIMEDOUT;
	return p[0].revents ? 0 : -ECONNRESET; /* what it sent before its end comes first */
}

static int receive(const struct skf_criu *c, int timeout_ms, struct skf_buf *b, struct skf_criu_resp *r,
		   int *ret_fd, struct skf_err *e)
{
	union {
		struct cmsghdr h;
		char space[CMSG_SPACE(4 * sizeof(int))];
	} u;
	struct iovec iov;
	struct msghdr mh = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = u.space, .msg_controllen = sizeof(u.space)};
	ssize_t n = await_answer(c, timeout_ms);

	if (n == -ETIMEDOUT)
		return skf_fail(e, SKF_ETIMEOUT, "criu did not answer within %d s", timeout_ms / 1000);
	skf_buf_clear(b);
	iov.iov_base = skf_buf_reserve(b, SKF_MAX_CRIU_REPLY);
	iov.iov_len = SKF_MAX_CRIU_REPLY;
	if (!iov.iov_base)
		return skf_nomem(e);
	while (n == 0) {
		n = recvmsg(c->sock, &mh, MSG_CMSG_CLOEXEC);
		if (n < 0)
			n = errno == EINTR ? 0 : skf_errno();
		else
			break;
	}
	if (n < 0 && n != -ECONNRESET)
		return skf_fail_sys(e, (int)n, "receive from criu");
	*ret_fd = n > 0 ? take_fd(&mh) : -EBADF;
	if (n <= 0)
		return skf_fail(e, SKF_ESYSTEM, "criu ended without an answer");
	n = mh.msg_flags & MSG_TRUNC ? -E2BIG : skf_criu_resp_decode(b->p, (size_t)n, r);
	return n < 0 ? skf_fail_sys(e, (int)n, "criu sent a message that cannot be read") : 0;
}

int skf_criu_talk(struct skf_criu *c, const struct skf_criu_req *q,
		  int (*notify)(void *arg, const struct skf_criu_resp *r, int *fd, struct skf_err *e),
		  void *arg, struct skf_buf *b, struct skf_criu_resp *resp, struct skf_err *e)
{
	int timeout = notify ? -1 : SKF_CRIU_CHECK_MS;
	struct skf_err ours = SKF_ERR_INIT;

	if (send_request(c, q, e) < 0)
		return -1;
	for (;;) {
		SKF_AUTO_FD int fd = -EBADF;
		struct skf_criu_req answer = {.type = SKF_CRIU_NOTIFY, .notify_success = true};

		if (receive(c, timeout, b, resp, &fd, e) < 0) {
			if (ours.kind != SKF_OK)
				*e = ours;
			return -1;
		}
		if (resp->type != SKF_CRIU_NOTIFY || !notify)
			break;
		if (ours.kind == SKF_OK && notify(arg, resp, &fd, &ours) < 0)
			answer.notify_success = false;
		if (send_request(c, &answer, e) < 0)
			return -1;
	}
	if (ours.kind != SKF_OK) {
		*e = ours;
		return -1;
	}
	if (!resp->success)
		return 1;
	if (resp->type != (int)q->type)
		return skf_fail(e, SKF_ECORRUPT, "criu answered request %d with an answer to %d",
				(int)q->type, resp->type);
	return 0;
}

/* --- version and features --- */
static int ask(const char *program, const struct skf_criu_req *q, struct skf_criu_resp *r,
	       const struct skf_log *log, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(2 * SKF_MAX_CRIU_REPLY);
	struct skf_criu_launch l = {.program = program, .stdio = {-1, -1, -1}, .cgroup_fd = -1};
	struct skf_criu c = SKF_CRIU_INIT;
	int rc = skf_criu_start(&c, &l, e);

	if (rc == 0)
		rc = skf_criu_talk(&c, q, NULL, NULL, &b, r, e);
	skf_criu_end(&c, rc < 0, log);
	r->script = r->errmsg = (struct skf_str){0}; /* b goes away */
	if (rc > 0)
		rc = skf_fail(e, SKF_EUNSUPPORTED,
			      "'%s' does not say its version or features: it is not a criu that works "
			      "here; try 'criu check'",
			      program);
	return rc < 0 ? skf_ctx(e, "'%s'", program) : 0;
}

int skf_criu_check(const char *program, bool mem_track, bool lazy_pages, int *ret_version,
		   const struct skf_log *log, struct skf_err *e)
{
	struct skf_criu_req q = {.type = SKF_CRIU_VERSION};
	struct skf_criu_resp r = {0};
	int version;

	if (ask(program, &q, &r, log, e) < 0)
		return -1;
	version = r.major * 10000 + r.minor * 100 + r.sublevel;
	skf_debug(log, "criu '%s' has version %d", program, version);
	if (version < SKF_CRIU_MIN)
		return skf_fail(e, SKF_EUNSUPPORTED, "criu %d.%d ('%s') is too old: install %d.%d or newer",
				r.major, r.minor, program, SKF_CRIU_MIN / 10000, SKF_CRIU_MIN / 100 % 100);
	*ret_version = version;
	if (!mem_track && !lazy_pages)
		return 0;
	q = (struct skf_criu_req){
		.type = SKF_CRIU_FEATURE_CHECK, .want_mem_track = mem_track, .want_lazy_pages = lazy_pages};
	if (ask(program, &q, &r, log, e) < 0)
		return -1;
	if (mem_track && !r.mem_track)
		return skf_fail(e, SKF_EUNSUPPORTED,
				"criu cannot track changes of memory on this kernel "
				"(CONFIG_MEM_SOFT_DIRTY): leave out "
				"--pre-dump and --parent-path");
	if (lazy_pages && !r.lazy_pages)
		return skf_fail(e, SKF_EUNSUPPORTED,
				"criu cannot move pages lazily on this kernel (userfaultfd): leave out "
				"--lazy-pages");
	return 0;
}

/* --- options --- */
static const struct word {
	const char *name;
	int value;
} cg_modes[] =
	{
		{"none", SKF_CRIU_CG_NONE},
		{"props", SKF_CRIU_CG_PROPS},
		{"soft", SKF_CRIU_CG_SOFT},
		{"full", SKF_CRIU_CG_FULL},
		{"strict", SKF_CRIU_CG_STRICT},
		{"ignore", SKF_CRIU_CG_IGNORE},
		{NULL, 0},
},
  lock_methods[] = {{"iptables", 1}, {"nftables", 2}, {"skip", 3}, {NULL, 0}};

/* An empty word counts as absent: that is how engines pass what was not asked for. */
static int find_word(const struct word *w, const char *option, const char *name, int *ret, struct skf_err *e)
{
	if (!name || !*name)
		return 0;
	for (; w->name; w++)
		if (skf_streq(w->name, name)) {
			*ret = w->value;
			return 0;
		}
	return skf_fail(e, SKF_EINVALID, "option --%s: unknown value '%s'; see --help", option, name);
}

static const char *present(const char *s)
{
	return s && *s ? s : NULL;
}

static int open_dir(const char *what, const char *path, bool create, struct skf_err *e)
{
	int fd = create ? skf_mkdirs_at(AT_FDCWD, path, 0700)
			: skf_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);

	return fd < 0 ? skf_fail_sys(e, fd, "open %s directory '%s'", what, path) : fd;
}

/* What criu itself makes in a work directory, which may be somebody's directory of other things. */
static bool is_work_file(const char *name)
{
	return skf_endswith(name, ".log") || skf_startswith(name, "stats-") || skf_startswith(name, ".criu");
}

/* Invariant 5. The one link of an image directory is to the pre-dump before. */
static int check_entry(int dir, const char *name, bool images, const char *path, struct skf_err *e)
{
	struct stat st;

	if ((!images && !is_work_file(name)) || (images && skf_streq(name, "parent")))
		return 0;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : skf_fail_errno(e, "'%s/%s'", path, name);
	if (S_ISDIR(st.st_mode) || S_ISSOCK(st.st_mode) || (S_ISREG(st.st_mode) && st.st_nlink == 1))
		return 0;
	return skf_fail(e, SKF_EDENIED,
			"'%s/%s' is %s: criu would follow it as root; remove it or choose another directory",
			path, name,
			S_ISLNK(st.st_mode)   ? "a symbolic link"
			: S_ISREG(st.st_mode) ? "a file with another name"
					      : "not a regular file");
}

static int check_dir(int dir, bool images, const char *path, struct skf_err *e)
{
	int fd = skf_openat(dir, ".", O_RDONLY | O_DIRECTORY, 0), r = 0;
	SKF_AUTO_DIR DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;

	if (!d) {
		r = fd < 0 ? fd : skf_errno();
		skf_closep(&fd);
		return skf_fail_sys(e, r, "read directory '%s'", path);
	}
	while (r == 0 && (de = readdir(d)))
		if (!skf_streq(de->d_name, ".") && !skf_streq(de->d_name, ".."))
			r = check_entry(dir, de->d_name, images, path, e);
	return r;
}

/* Ours first, then those of crun and runc, whose users may move over. A file that is not there is ignored by
 * criu. */
static const char *config_file(const struct skf_kvs *annotations)
{
	static const char *const files[] = {"/etc/criu/skiff.conf", "/etc/criu/crun.conf",
					    "/etc/criu/runc.conf"};
	const char *own = skf_kvs_get(annotations, "org.criu.config");

	if (own)
		return present(own);
	for (size_t i = 0; i + 1 < SKF_ARRAY_LEN(files); i++)
		if (access(files[i], F_OK) == 0)
			return files[i];
	return files[SKF_ARRAY_LEN(files) - 1];
}

int skf_criu_common(const struct skf_rt_criu *o, const struct skf_kvs *annotations, bool create, int dirs[2],
		    struct skf_criu_opts *ret, struct skf_err *e)
{
	if (geteuid() != 0)
		return skf_fail(e, SKF_EUNSUPPORTED, "checkpoint and restore need root, as criu does");
	for (size_t i = 0; i < o->empty_ns.n; i++)
		if (!skf_streq(o->empty_ns.v[i], "network"))
			return skf_fail(e, SKF_EINVALID,
					"option --empty-ns: namespace '%s' is not supported; only "
					"'network' is",
					o->empty_ns.v[i]);
	ret->cgroups_mode = SKF_CRIU_CG_SOFT;
	if (find_word(cg_modes, "manage-cgroups-mode", o->manage_cgroups_mode, &ret->cgroups_mode, e) < 0 ||
	    find_word(lock_methods, "network-lock", o->network_lock, &ret->network_lock, e) < 0)
		return -1;
	if (!present(o->image_path))
		return skf_fail(e, SKF_EINVALID, "the directory of the image files is missing");
	dirs[0] = open_dir("image", o->image_path, create, e);
	if (dirs[0] < 0 || check_dir(dirs[0], true, o->image_path, e) < 0)
		return -1;
	if (present(o->work_path)) {
		dirs[1] = open_dir("work", o->work_path, true, e);
		if (dirs[1] < 0 || check_dir(dirs[1], false, o->work_path, e) < 0)
			return -1;
	}
	ret->log_level = 4;
	ret->notify_scripts = ret->manage_cgroups = ret->orphan_pts_master = true;
	ret->empty_ns = CLONE_NEWNET;
	ret->config_file = config_file(annotations);
	ret->tcp_established = o->tcp_established;
	ret->tcp_close = o->tcp_close;
	ret->ext_unix_sk = o->ext_unix_sk;
	ret->shell_job = o->shell_job;
	ret->file_locks = o->file_locks;
	ret->auto_dedup = o->auto_dedup;
	ret->lazy_pages = o->lazy_pages;
	return 0;
}

/* --- failures --- */
/* The end of the log; its first line may be cut. */
static void read_log(int dir, const char *name, struct skf_buf *b)
{
	SKF_AUTO_FD int fd = skf_openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return;
	if (st.st_size > (off_t)SKF_MAX_CRIU_LOG &&
	    lseek(fd, st.st_size - (off_t)SKF_MAX_CRIU_LOG, SEEK_SET) < 0)
		return;
	if (skf_read_fd(fd, SKF_MAX_CRIU_LOG, b) < 0)
		skf_buf_clear(b);
}

/* "(00.012) Error (criu/file.c:12): it went wrong" -> "it went wrong"; NULL: no error. */
static const char *error_of(char *line)
{
	char *p = strstr(line, "Error (");
	char *text = p ? strstr(p, "): ") : NULL;

	if (!text)
		return NULL;
	text += 3;
	for (p = text; *p; p++)
		if ((unsigned char)*p < ' ')
			*p = ' ';
	return text;
}

/* The last errors that fit, in their order. */
static void last_errors(struct skf_buf *log, size_t room, char *out, size_t size)
{
	size_t used = 0;

	out[0] = '\0';
	for (size_t at = log->len; log->p && at > 0;) {
		const char *text;
		size_t n;

		while (at > 0 && log->p[at - 1] != '\n')
			at--;
		text = error_of(log->p + at);
		if (at > 0)
			log->p[--at] = '\0';
		n = text ? strlen(text) : 0;
		if (!text || strstr(text, "RLIMIT_NOFILE")) /* criu goes on after that one */
			continue;
		if (used == 0 && n > room)
			n = room;
		if (used + n + 2 > room + 2 || used + n + 3 > size)
			return;
		memmove(out + n + (used ? 2 : 0), out, used + 1);
		memcpy(out, text, n);
		if (used)
			memcpy(out + n, "; ", 2);
		used = strlen(out);
	}
}

int skf_criu_failed(const struct skf_rt_criu *o, const int dirs[2], const char *log_name,
		    const struct skf_criu_resp *r, const char *what, struct skf_err *e)
{
	const char *dir = dirs[1] >= 0 ? o->work_path : o->image_path;
	SKF_AUTO(skf_buf_done) struct skf_buf log = SKF_BUF(SKF_MAX_CRIU_LOG + 4096);
	size_t fixed = strlen(dir) + strlen(log_name) + strlen(what) + 64,
	       room = fixed < 400 ? 460 - fixed : 60;
	char errors[sizeof(e->msg)], code[80] = "";

	read_log(dirs[1] >= 0 ? dirs[1] : dirs[0], log_name, &log);
	last_errors(&log, room, errors, sizeof(errors));
	if (!errors[0] && r->errmsg.n > 0) {
		size_t n = r->errmsg.n < room ? r->errmsg.n : room;

		memcpy(errors, r->errmsg.p, n);
		errors[n] = '\0';
		(void)error_of(errors); /* makes it one line */
	}
	if (!errors[0] && r->cr_errno > 0 && skf_fmt(code, sizeof(code), "%s", strerror(r->cr_errno)) < 0)
		code[0] = '\0';
	return skf_fail(e, SKF_ESYSTEM, "criu cannot %s: %s (log: %s/%s)", what,
			errors[0] ? errors
			: code[0] ? code
				  : "it does not say why",
			dir, log_name);
}
