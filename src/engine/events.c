/* engine/events.c -- reading the event log (monitor/event.h): log.1, then log.0, then what comes.
 *
 * A cursor names an event by boot id, inode of its file and the offset behind its line: a reader that was
 * away goes on there, wherever rotation has moved the file to; one whose file is gone is told so. Follow
 * waits on inotify of the directory, and on a timer only for the time that --until names. A line that is not
 * complete yet is left for the next round. Blocks on tmpfs. */
#include "base/arena.h"
#include "base/proc.h"
#include "engine/engine_int.h"
#include "engine/filter.h"
#include "engine/life.h"
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK (64u << 10)

struct reader {
	struct skf_engine *g;
	const struct skf_events_req *q;
	struct skf_filters f;
	char boot[37];
	int dir, fd; /* events/, the file that is read */
	uint64_t ino;
	off_t off;
	bool stop;
};

/* --- one line --- */
struct line {
	const char *type, *action, *id, *name, *image;
	int64_t time;
	int32_t exit_code;
	bool has_code;
};
static const struct skf_jfield line_f[] = {
	SKF_J(struct line, type, "type", skf_j_str, NULL, SKF_J_REQUIRED),
	SKF_J(struct line, action, "action", skf_j_str, NULL, SKF_J_REQUIRED),
	SKF_J(struct line, id, "id", skf_j_str, NULL, 0),
	SKF_J(struct line, name, "name", skf_j_str, NULL, 0),
	SKF_J(struct line, image, "image", skf_j_str, NULL, 0),
	SKF_J(struct line, time, "time", skf_j_i64, NULL, SKF_J_REQUIRED),
	SKF_JP(struct line, exit_code, has_code, "exitCode", skf_j_i32, NULL, 0),
	SKF_J_END,
};
static const struct skf_jtable line_table = {sizeof(struct line), line_f, false, NULL};

static bool one_of(const struct skf_filters *f, const char *key, const char *a, const char *b, bool prefix)
{
	const struct skf_filter *x = skf_filters_get(f, key);

	for (size_t i = 0; x && i < x->v.n; i++)
		if (skf_streq(x->v.v[i], a) || skf_streq(x->v.v[i], b) ||
		    (prefix && x->v.v[i][0] && skf_startswith(a, x->v.v[i])))
			return true;
	return !x;
}

/* "health_status: healthy" is found by "health_status", too, as in docker. */
static bool action_matches(const struct skf_filters *f, const char *action)
{
	char word[64];
	size_t n = strcspn(action, ":");

	if (skf_fmt(word, sizeof(word), "%.*s", (int)n, action) < 0)
		word[0] = '\0';
	return one_of(f, "event", action, word, false);
}

static bool image_matches(const struct skf_filters *f, const struct line *l)
{
	char bare[SKF_MAX_REF_BYTES + 1];
	const char *image = skf_streq(l->type, "image") ? l->name : l->image, *colon = strrchr(image, ':');

	if (skf_fmt(bare, sizeof(bare), "%.*s",
		    colon && !strchr(colon, '/') ? (int)(colon - image) : (int)strlen(image), image) < 0)
		bare[0] = '\0';
	return one_of(f, "image", image, bare, false);
}

/* Labels are those that the container has now: an event does not carry them. */
static bool label_matches(struct reader *r, const struct line *l)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_err ignored = SKF_ERR_INIT;
	struct skf_ctr_request *q;
	struct skf_ctrconf *c;

	if (!skf_filters_get(&r->f, "label"))
		return true;
	return skf_streq(l->type, "container") && skf_ctr_id_valid(l->id) &&
	       skf_ctr_load(r->g, l->id, &a, &c, &ignored) == 0 &&
	       skf_ctr_request_parse(c->request, &a, &q, &ignored) == 0 &&
	       skf_filters_labels(&r->f, &q->labels);
}

static bool wanted(struct reader *r, const struct line *l)
{
	bool is_ctr = skf_streq(l->type, "container");

	if (!one_of(&r->f, "type", l->type, "", false) || !action_matches(&r->f, l->action) ||
	    !image_matches(&r->f, l))
		return false;
	if (skf_filters_get(&r->f, "container") &&
	    (!is_ctr || !one_of(&r->f, "container", l->id, l->name, true)))
		return false;
	return one_of(&r->f, "scope", "local", "", false) && label_matches(r, l);
}

static int give(struct reader *r, const char *p, size_t n, off_t end, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_OBJECT_BYTES);
	const struct skf_jdoc d = {.name = "event", .max_bytes = SKF_MAX_EVENT_BYTES + 1};
	struct skf_err bad = SKF_ERR_INIT;
	struct skf_event ev;
	struct line *l;
	void *v;

	if (skf_json_decode(&d, p, n, &line_table, &a, &v, &bad) < 0)
		return 0; /* a torn line of a machine that went down */
	l = v;
	if (r->q->until_ns && l->time > r->q->until_ns) {
		r->stop = true;
		return 0;
	}
	ev = (struct skf_event){.time_ns = l->time,
				.type = l->type,
				.action = l->action,
				.id = l->id ? l->id : "",
				.name = l->name ? l->name : "",
				.image = l->image ? l->image : "",
				.exit_code = l->has_code ? l->exit_code : -1};
	l->id = ev.id;
	l->name = ev.name;
	l->image = ev.image;
	if (l->time < r->q->since_ns || !wanted(r, l))
		return 0;
	snprintf(ev.cursor, sizeof(ev.cursor), "%s:%llu:%lld", r->boot, (unsigned long long)r->ino,
		 (long long)end);
	return r->q->event(r->q->arg, &ev, e);
}

static int read_to_end(struct reader *r, struct skf_err *e)
{
	char buf[CHUNK];

	while (!r->stop) {
		ssize_t n = pread(r->fd, buf, sizeof(buf), r->off);
		const char *p = buf, *nl;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return skf_fail_sys(e, -errno, "read '%s/events'", r->g->run_root);
		for (; !r->stop && (nl = memchr(p, '\n', (size_t)(buf + n - p))); p = nl + 1)
			if (give(r, p, (size_t)(nl - p), r->off + (nl + 1 - buf), e) < 0)
				return -1;
		if (p == buf)
			return 0; /* nothing new, or not complete yet */
		r->off += p - buf;
	}
	return 0;
}

/* --- files --- */
static int switch_to(struct reader *r, int fd)
{
	struct stat st;

	skf_closep(&r->fd);
	if (fd < 0 || fstat(fd, &st) < 0) {
		int err = fd < 0 ? fd : -errno;

		skf_closep(&fd);
		return err;
	}
	r->fd = fd;
	r->ino = st.st_ino;
	r->off = 0;
	return 0;
}

static int open_log(struct reader *r, const char *name)
{
	return skf_openat(r->dir, name, O_RDONLY | O_NOFOLLOW, 0);
}

/* 0 found: fd and off are set; -1 with e. */
static int seek_cursor(struct reader *r, struct skf_err *e)
{
	static const char *const names[] = {"log.1", "log.0"};
	const char *c = r->q->cursor, *colon = strchr(c, ':'),
		   *second = colon ? strchr(colon + 1, ':') : NULL;
	char ino_text[24];
	uint64_t ino, off;

	if (!second ||
	    skf_fmt(ino_text, sizeof(ino_text), "%.*s", (int)(second - colon - 1), colon + 1) < 0 ||
	    skf_parse_u64(ino_text, &ino) < 0 || skf_parse_u64(second + 1, &off) < 0 || off > INT64_MAX)
		return skf_fail(e, SKF_EINVALID,
				"invalid cursor '%.100s': expected one that an event came with", c);
	for (size_t i = 0; strncmp(c, r->boot, 36) == 0 && i < SKF_ARRAY_LEN(names); i++)
		if (switch_to(r, open_log(r, names[i])) == 0 && r->ino == ino) {
			r->off = (off_t)off;
			return 0;
		}
	return skf_fail(e, SKF_ENOTFOUND, "the events behind cursor '%.100s' are not kept any more", c);
}

static int begin(struct reader *r, struct skf_err *e)
{
	struct stat st;
	int n;

	if (r->q->cursor)
		return seek_cursor(r, e);
	n = switch_to(r, open_log(r, r->q->past ? "log.1" : "log.0"));
	if (n == -ENOENT && r->q->past)
		n = switch_to(r, open_log(r, "log.0"));
	if (n < 0 && n != -ENOENT)
		return skf_fail_sys(e, n, "open '%s/events/log.0'", r->g->run_root);
	if (n == 0 && !r->q->past && fstat(r->fd, &st) == 0)
		r->off = st.st_size;
	return 0;
}

/* Reads on from the file that is open to the newest one. */
static int read_all(struct reader *r, struct skf_err *e)
{
	for (;;) {
		struct stat now;
		int n;

		if (r->fd >= 0 && read_to_end(r, e) < 0)
			return -1;
		if (r->stop || fstatat(r->dir, "log.0", &now, AT_SYMLINK_NOFOLLOW) < 0 ||
		    (r->fd >= 0 && now.st_ino == r->ino))
			return 0;
		if (r->fd >= 0 && read_to_end(r, e) < 0) /* what came between the read and the rotation */
			return -1;
		n = switch_to(r, open_log(r, "log.0"));
		if (n < 0)
			return n == -ENOENT ? 0
					    : skf_fail_sys(e, n, "open '%s/events/log.0'", r->g->run_root);
	}
}

static int follow(struct reader *r, int ino, struct skf_err *e)
{
	char buf[4096] __attribute__((aligned(8)));

	while (!r->stop) {
		struct pollfd p[2] = {{.fd = ino, .events = POLLIN},
				      {.fd = r->q->h.cancel_fd, .events = POLLIN}};
		int64_t left = r->q->until_ns ? (r->q->until_ns - skf_now_ns()) / 1000000 + 1 : -1;

		if (r->q->until_ns && left <= 0)
			return read_all(r, e);
		if (poll(p, 2, left > INT32_MAX ? INT32_MAX : (int)left) < 0 && errno != EINTR)
			return skf_fail_sys(e, -errno, "wait for events");
		if (p[1].revents)
			return 0;
		while (read(ino, buf, sizeof(buf)) > 0)
			; /* the files say what is new */
		if (read_all(r, e) < 0)
			return -1;
	}
	return 0;
}

int skf_engine_events(struct skf_engine *g, const struct skf_events_req *q, struct skf_err *e)
{
	static const char *const known[] = {"type", "event", "container", "image", "label", "scope", NULL};
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_OBJECT_BYTES);
	SKF_AUTO_FD int dir = skf_openat(g->run_fd, "events", O_RDONLY | O_DIRECTORY, 0);
	SKF_AUTO_FD int ino = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	struct reader r = {.g = g, .q = q, .dir = dir, .fd = -EBADF};
	char path[32];
	int n;

	if (dir < 0 || ino < 0)
		return skf_fail_sys(e, dir < 0 ? dir : -errno, "open '%s/events'", g->run_root);
	n = skf_boot_id(r.boot);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", dir);
	if (n == 0 && q->follow && inotify_add_watch(ino, path, IN_MODIFY | IN_CREATE | IN_MOVED_FROM) < 0)
		n = -errno;
	if (n < 0)
		return skf_fail_sys(e, n, "watch '%s/events'", g->run_root);
	n = skf_filters_parse(&q->filters, known, &a, &r.f, e);
	if (n == 0)
		n = begin(&r, e);
	if (n == 0)
		n = read_all(&r, e);
	if (n == 0 && q->follow)
		n = follow(&r, ino, e);
	skf_closep(&r.fd);
	skf_filters_done(&r.f);
	return n;
}
