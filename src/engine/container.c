/* engine/container.c -- one container as found on disk and in /run: what a user's word means, its own data,
 * what is true now.
 *
 * The summary says what was true when it was written. It says "running" only after launch listens on the
 * control socket, and the monitor writes the end before it stops listening: so whoever claims to run and has
 * no listener is lost. ps, which looks at many rows, is content with a living process. Blocks on the disk,
 * on the container's lock (SKF_LOCK_MS) and on a monitor (SKF_HELLO_MS). */
#include "engine/engine_int.h"
#include "base/proc.h"
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOST_CODE 137

static const char *const state_names[] = {"created",         "running",    "paused",     "exited",
					  "stopping-failed", "restarting", "initialized"};

const char *skf_ctr_state_name(enum skf_ctr_state s)
{
	return (unsigned)s < SKF_ARRAY_LEN(state_names) ? state_names[s] : "unknown";
}

bool skf_ctr_id_valid(const char *s)
{
	return skf_is_hex(s, SKF_ID_LEN);
}

int skf_ctr_open_dir(struct skf_engine *g, const char *id, int *ret_fd, struct skf_err *e)
{
	int fd = skf_openat(g->ctr_fd, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);

	if (fd == -ENOENT)
		return skf_fail(e, SKF_ENOTFOUND, "No such container: %s", id);
	if (fd < 0)
		return skf_fail_sys(e, fd, "open '%s/containers/%s'", g->root, id);
	*ret_fd = fd;
	return 0;
}

int skf_ctr_load_text(struct skf_engine *g, const char *id, struct skf_buf *ret, struct skf_err *e)
{
	SKF_AUTO_FD int dir = -EBADF;
	int r;

	if (skf_ctr_open_dir(g, id, &dir, e) < 0)
		return -1;
	r = skf_read_file_at(dir, "config.json", SKF_MAX_SPEC_BYTES, ret);
	if (r == -ENOENT)
		return skf_fail(e, SKF_ENOTFOUND, "No such container: %s", id);
	return r < 0 ? skf_fail_sys(e, r, "read '%s/containers/%s/config.json'", g->root, id) : 0;
}

int skf_ctr_load(struct skf_engine *g, const char *id, struct skf_arena *a, struct skf_ctrconf **ret,
		 struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_SPEC_BYTES);

	if (skf_ctr_load_text(g, id, &b, e) < 0)
		return -1;
	if (skf_ctrconf_parse(skf_buf_cstr(&b), b.len, a, ret, e) < 0)
		return skf_ctx(e, "container '%.12s'", id);
	return 0;
}

#define XF(member, key, fn) SKF_J(struct skf_ctr_exit, member, key, fn, NULL, SKF_J_NULL_OK)
static const struct skf_jfield exit_f[] = {
	XF(code, "exitCode", skf_j_i32),
	XF(signal, "signal", skf_j_i32),
	XF(oom, "oomKilled", skf_j_bool),
	XF(started_ns, "startedAt", skf_j_i64),
	XF(finished_ns, "finishedAt", skf_j_i64),
	XF(reason, "reason", skf_j_str),
	XF(error, "error", skf_j_str),
	XF(manual, "manuallyStopped", skf_j_bool),
	XF(restarts, "restarts", skf_j_u32),
	SKF_J_END,
};
static const struct skf_jtable exit_table = {sizeof(struct skf_ctr_exit), exit_f, false, NULL};

int skf_ctr_exit_read(struct skf_engine *g, const char *id, struct skf_arena *a, struct skf_ctr_exit *ret,
		      struct skf_err *e)
{
	const struct skf_jdoc d = {.name = "exit.json", .max_bytes = SKF_MAX_OBJECT_BYTES};
	SKF_AUTO_FD int dir = -EBADF;
	void *v;

	if (skf_ctr_open_dir(g, id, &dir, e) < 0)
		return -1;
	if (skf_json_decode_at(&d, dir, "exit.json", &exit_table, a, &v, e) < 0) {
		if (e->kind == SKF_ENOTFOUND) {
			skf_err_clear(e);
			return 0;
		}
		return skf_ctx(e, "container '%.12s'", id);
	}
	*ret = *(struct skf_ctr_exit *)v;
	return 1;
}

/* Does somebody supervise the container? A dying monitor's socket may still take a connection, so that only
 * an answer counts; one that is stopped or slow is not dead. */
static bool monitor_answers(struct skf_engine *g, const char *id)
{
	SKF_AUTO_FD int dir = skf_openat(g->run_ctr_fd, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	SKF_AUTO_FD int sock = -EBADF;
	struct skf_err e = SKF_ERR_INIT;
	char version[64];

	if (dir < 0)
		return false;
	sock = skf_mon_connect(dir);
	if (sock < 0)
		return false;
	return skf_mon_hello(sock, id, version, sizeof(version), &e) == 0 || e.kind != SKF_EUNAVAILABLE;
}

static enum skf_ctr_state state_of_word(const char *s)
{
	for (size_t i = 0; i < SKF_ARRAY_LEN(state_names); i++)
		if (skf_streq(s, state_names[i]))
			return (enum skf_ctr_state)i;
	return SKF_CTR_EXITED;
}

bool skf_ctr_is_up(enum skf_ctr_state s)
{
	return skf_ctr_is_made(s) || s == SKF_CTR_RESTARTING;
}

bool skf_ctr_is_made(enum skf_ctr_state s)
{
	return s == SKF_CTR_RUNNING || s == SKF_CTR_PAUSED || s == SKF_CTR_INITIALIZED;
}

/* Without a look into /proc where the summary has the process's own number. */
static bool is_alive(const struct skf_summary *s)
{
	int r = s->proc_id ? skf_proc_alive_id((pid_t)s->pid, s->proc_id) : -EOPNOTSUPP;

	return (r < 0 ? skf_proc_alive((pid_t)s->pid, s->start_time) : r) == 1;
}

static bool is_lost(struct skf_engine *g, const char *id, const struct skf_summary *s, bool cheap)
{
	return !(cheap && is_alive(s)) && !monitor_answers(g, id);
}

static void live_of(struct skf_engine *g, const char *id, const struct skf_summary *s, bool cheap,
		    struct skf_ctr_live *ret)
{
	struct skf_summary again;

	memset(ret, 0, sizeof(*ret));
	ret->has_summary = true;
	ret->sum = *s;
	ret->state = state_of_word(s->state);
	if (skf_ctr_is_up(ret->state) && is_lost(g, id, s, cheap)) {
		/* Its end may have been written between our two looks. */
		if (skf_summary_read(g->run_fd, id, &again) == 0 &&
		    !skf_ctr_is_up(state_of_word(again.state))) {
			ret->sum = again;
			ret->state = state_of_word(again.state);
		} else {
			ret->state = SKF_CTR_EXITED;
			ret->lost = true;
			ret->sum.exit_code = LOST_CODE;
		}
	}
	ret->exit_code = skf_ctr_is_made(ret->state) ? 0 : ret->sum.exit_code;
	ret->started_ns = (int64_t)ret->sum.started_ns;
	ret->finished_ns = (int64_t)ret->sum.finished_ns;
}

void skf_ctr_live_of(struct skf_engine *g, const char *id, const struct skf_summary *s,
		     struct skf_ctr_live *ret)
{
	live_of(g, id, s, true, ret);
}

/* After a reboot /run is empty: the disk says whether it ended, ran, or was never started. */
static int live_from_disk(struct skf_engine *g, const char *id, struct skf_ctr_live *ret, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_OBJECT_BYTES * 4);
	SKF_AUTO_FD int dir = -EBADF;
	struct skf_ctr_exit x = {0};
	char path[SKF_ID_LEN + 32];
	int r = skf_ctr_exit_read(g, id, &a, &x, e);

	if (r < 0)
		return -1;
	if (r == 1) {
		ret->state =
			x.reason && skf_streq(x.reason, "start-failed") ? SKF_CTR_CREATED : SKF_CTR_EXITED;
		ret->exit_code = x.code;
		return 0;
	}
	if (skf_ctr_open_dir(g, id, &dir, e) < 0)
		return -1;
	/* Both are made at the first start; the log alone by older releases. */
	r = skf_fmt(path, sizeof(path), "log/%s-json.log", id);
	if (faccessat(dir, "started", F_OK, AT_SYMLINK_NOFOLLOW) == 0 ||
	    (r == 0 && faccessat(dir, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)) {
		ret->state = SKF_CTR_EXITED;
		ret->lost = true;
		ret->exit_code = LOST_CODE;
	} else {
		ret->state = SKF_CTR_CREATED;
	}
	return 0;
}

static void add_exit_record(struct skf_engine *g, const char *id, struct skf_ctr_live *l)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_OBJECT_BYTES * 4);
	struct skf_err ignored = SKF_ERR_INIT;
	struct skf_ctr_exit x = {0};

	if (skf_ctr_is_up(l->state) || skf_ctr_exit_read(g, id, &a, &x, &ignored) != 1)
		return; /* without it the summary's own fields stand */
	l->oom = x.oom;
	if (l->state == SKF_CTR_CREATED)
		l->exit_code = x.code; /* of a start that failed */
	if (!l->started_ns)
		l->started_ns = x.started_ns;
	if (!l->finished_ns)
		l->finished_ns = x.finished_ns;
	if (x.error && skf_fmt(l->error, sizeof(l->error), "%s", x.error) < 0)
		memcpy(l->error, x.error, sizeof(l->error) - 1);
}

int skf_ctr_live(struct skf_engine *g, const char *id, struct skf_ctr_live *ret, struct skf_err *e)
{
	struct skf_summary s;
	int r = skf_summary_read(g->run_fd, id, &s);

	memset(ret, 0, sizeof(*ret));
	if (r == 0)
		live_of(g, id, &s, false, ret);
	else if (r != -ENOENT && r != -EBADMSG)
		return skf_fail_sys(e, r, "read '%s/summary/%s'", g->run_root, id);
	else if (live_from_disk(g, id, ret, e) < 0)
		return -1;
	add_exit_record(g, id, ret);
	return 0;
}

int skf_ctr_monitor(struct skf_engine *g, const char *id, int *ret_sock, struct skf_err *e)
{
	SKF_AUTO_FD int dir = skf_openat(g->run_ctr_fd, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	int fd = dir < 0 ? dir : skf_mon_connect(dir);

	if (fd < 0)
		return skf_fail(e, SKF_EUNAVAILABLE,
				"container %.12s has no monitor: %s; `skiff system check --repair` cleans "
				"up after it",
				id, strerror(-fd));
	*ret_sock = fd;
	return 0;
}

int skf_ctr_lock(struct skf_engine *g, const char *id, int *ret_fd, struct skf_err *e)
{
	char name[SKF_ID_LEN + 16];
	int fd = skf_fmt(name, sizeof(name), "container-%s", id);

	if (fd == 0)
		fd = skf_lock_at(g->locks_fd, name, true, SKF_LOCK_MS);
	if (fd == -ETIMEDOUT || fd == -EAGAIN)
		return skf_fail(
			e, SKF_ETIMEOUT,
			"container %.12s is being changed by another skiff for more than %d s; try again",
			id, SKF_LOCK_MS / 1000);
	if (fd < 0)
		return skf_fail_sys(e, fd, "lock '%s/locks/%s'", g->root, name);
	*ret_fd = fd;
	return 0;
}

int skf_ctr_cgroup(struct skf_engine *g, const char *id, struct skf_cg_dirs *ret)
{
	char link[SKF_ID_LEN + 16];
	ssize_t n = -1;
	int r = g->cg_layout.n ? 0 : skf_cg_layout(&g->cg_layout);

	if (r < 0)
		return r;
	memset(ret, 0, sizeof(*ret));
	ret->layout = g->cg_layout;
	ret->used = ret->layout.n >= 32 ? ~0u : (1u << ret->layout.n) - 1;
	if (skf_fmt(link, sizeof(link), "%s/" SKF_CGROUP_LINK, id) == 0)
		n = readlinkat(g->ctr_fd, link, ret->path, sizeof(ret->path));
	if (n >= (ssize_t)sizeof(ret->path))
		return -ENAMETOOLONG;
	if (n > 0) {
		ret->path[n] = '\0';
		return 0;
	}
	return skf_fmt(ret->path, sizeof(ret->path), SKF_CGROUP_PARENT "/%s", id);
}

/* Words joined by a space, for ps. */
static void join_command(const struct skf_strv *v, char *out, size_t size)
{
	size_t len = 0;

	for (size_t i = 0; i < v->n && len + 1 < size; i++) {
		size_t n = strlen(v->v[i]);

		if (i)
			out[len++] = ' ';
		if (n > size - 1 - len)
			n = size - 1 - len;
		memcpy(out + len, v->v[i], n);
		len += n;
	}
	out[len] = '\0';
}

void skf_ctr_summary_init(const struct skf_ctrconf *c, const char *shown_image, struct skf_summary *s)
{
	int64_t created = 0;

	memset(s, 0, sizeof(*s));
	/* Name and reference have the sizes of the summary's fields by the rules that they were checked
	 * against. */
	if (skf_fmt(s->name, sizeof(s->name), "%s", c->name) < 0 ||
	    skf_fmt(s->image, sizeof(s->image), "%s", shown_image) < 0)
		s->image[sizeof(s->image) - 1] = '\0';
	memcpy(s->state, "created", sizeof("created"));
	if (skf_parse_rfc3339(c->created, &created) == 0)
		s->created_ns = (uint64_t)created;
	join_command(&c->command, s->command, sizeof(s->command));
}

int skf_ctr_summary_rebuild(struct skf_engine *g, const char *id, const struct skf_ctrconf *c, bool lost,
			    struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_ctr_request *q;
	struct skf_ctr_live l = {0};
	struct skf_ctr_exit x = {0};
	struct skf_summary s;
	int r;

	if (skf_ctr_request_parse(c->request, &a, &q, e) < 0)
		return skf_ctx(e, "container '%.12s'", id);
	skf_ctr_summary_init(c, q->image && *q->image ? q->image : c->rootfs ? c->rootfs : c->image, &s);
	r = skf_ctr_exit_read(g, id, &a, &x, e);
	if (r < 0 || live_from_disk(g, id, &l, e) < 0)
		return -1;
	if (lost)
		l = (struct skf_ctr_live){.state = SKF_CTR_EXITED, .lost = true, .exit_code = LOST_CODE};
	r = skf_fmt(s.state, sizeof(s.state), "%s", skf_ctr_state_name(l.state));
	s.exit_code = l.exit_code;
	s.started_ns = (uint64_t)x.started_ns;
	s.finished_ns = (uint64_t)x.finished_ns;
	if (r == 0)
		r = skf_summary_write(g->run_fd, id, &s);
	return r < 0 ? skf_fail_sys(e, r, "write '%s/summary/%s'", g->run_root, id) : 0;
}

DIR *skf_ctr_opendir(struct skf_engine *g, struct skf_err *e)
{
	SKF_AUTO_FD int fd = skf_openat(g->ctr_fd, ".", O_RDONLY | O_DIRECTORY, 0);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d) {
		(void)skf_fail_sys(e, fd < 0 ? fd : -errno, "list '%s/containers'", g->root);
		return NULL;
	}
	(void)SKF_TAKE_FD(fd); /* d closes it */
	return d;
}

const char *skf_ctr_next(DIR *d)
{
	struct dirent *de;

	while ((de = readdir(d)))
		if (skf_ctr_id_valid(de->d_name))
			return de->d_name;
	return NULL;
}

static int resolve_prefix(struct skf_engine *g, const char *word, char ret[SKF_ID_LEN + 1],
			  struct skf_err *e)
{
	SKF_AUTO_DIR DIR *d = skf_ctr_opendir(g, e);
	const char *id;
	unsigned found = 0;

	if (!d)
		return -1;
	while ((id = skf_ctr_next(d))) {
		if (!skf_startswith(id, word))
			continue;
		memcpy(ret, id, SKF_ID_LEN + 1);
		found++;
	}
	if (found > 1)
		return skf_fail(e, SKF_ECONFLICT, "Multiple IDs found with provided prefix: %s", word);
	return found ? 0 : skf_fail(e, SKF_ENOTFOUND, "No such container: %s", word);
}

int skf_engine_resolve(struct skf_engine *g, const char *word, char ret[SKF_ID_LEN + 1], struct skf_err *e)
{
	char id[SKF_ID_LEN + 1];
	size_t n;
	int r;

	if (word[0] == '/')
		word++; /* docker's inspect shows names with a slash, and takes them back */
	n = strlen(word);
	if (skf_ctr_id_valid(word)) {
		if (faccessat(g->ctr_fd, word, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
			memcpy(ret, word, SKF_ID_LEN + 1);
			return 0;
		}
	}
	r = skf_name_find(g, word, id, e);
	if (r < 0)
		return -1;
	if (r == 0) {
		if (n == 0 || n >= SKF_ID_LEN || strspn(word, "0123456789abcdef") != n)
			return skf_fail(e, SKF_ENOTFOUND, "No such container: %s", word);
		if (resolve_prefix(g, word, id, e) < 0)
			return -1;
	}
	memcpy(ret, id, SKF_ID_LEN + 1);
	return 0;
}
