/* engine/checkpoint.c -- checkpoint: the container's lock is held, its monitor is told that the end which
 * may come is wanted (no restart), launch has criu save it, and the monitor's end is waited for. Restore is
 * a start (start_again.c) with other words to launch.
 *
 * A checkpoint is filled under another name and renamed, so that one that has its name is whole. Blocks as
 * long as criu needs (SKF_CRIU_MS). */
#include "engine/checkpoint_int.h"
#include "engine/engine_int.h"
#include "base/proc.h"
#include "launch/wire.h"
#include "monitor/event.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <stdio.h>

struct place {
	int fd;          /* the directory of checkpoints; -ENOENT: there is none */
	char path[4096]; /* absolute */
};

static const char *name_of(const char *name)
{
	return name && *name ? name : SKF_CHECKPOINT_DEFAULT;
}

static int open_place(struct skf_engine *g, const char *id, const char *dir, bool make, struct place *ret,
		      struct skf_err *e)
{
	int r = dir && *dir ? skf_fmt(ret->path, sizeof(ret->path), "%s", dir)
			    : skf_fmt(ret->path, sizeof(ret->path), "%s/containers/%s/" SKF_CHECKPOINTS_DIR,
				      g->root, id);

	if (r == 0 && make)
		r = skf_mkdir_at(AT_FDCWD, ret->path, 0700);
	if (r == 0)
		r = skf_openat(AT_FDCWD, ret->path, O_RDONLY | O_DIRECTORY, 0);
	if (r < 0 && (make || r != -ENOENT))
		return skf_fail_sys(e, r, "open the directory of checkpoints '%s'", ret->path);
	ret->fd = r;
	return 0;
}

static int check_name(const char *name, struct skf_err *e)
{
	return skf_name_valid(name)
		       ? 0
		       : skf_fail(e, SKF_EINVALID,
				  "invalid checkpoint name '%s': expected [a-zA-Z0-9][a-zA-Z0-9_.-]*", name);
}

/* criu joins no namespace that belongs to others in a way that the restore could repeat. */
static int check_alone(const struct skf_ctrconf *c, const char *container, struct skf_err *e)
{
	if (c->pod && *c->pod)
		return skf_fail(e, SKF_EUNSUPPORTED,
				"cannot checkpoint container %s: it is in a pod, whose namespaces it shares",
				container);
	if (c->joins.n || (c->network && skf_startswith(c->network, "container:")))
		return skf_fail(e, SKF_EUNSUPPORTED,
				"cannot checkpoint container %s: it shares namespaces of another container",
				container);
	return 0;
}

static void write_options(struct skf_jw *w, const char *images, bool tcp, bool locks, bool ext_unix)
{
	skf_jw_kstr(w, "images", images);
	skf_jw_kbool(w, "tcpEstablished", tcp);
	skf_jw_kbool(w, "fileLocks", locks);
	skf_jw_kbool(w, "extUnix", ext_unix);
}

/* --- saving --- */

struct saving {
	struct skf_engine *g;
	const struct skf_checkpoint_req *q;
	char id[SKF_ID_LEN + 1];
	const char *name;
	struct place place;
	char temp[SKF_MAX_NAME_BYTES + 32];
	int monitor, lock;
	struct skf_checkpoint_ret ret;
};

static int tell_monitor(struct saving *x, unsigned how, struct skf_err *e)
{
	return skf_mon_kill(x->monitor, x->id, 0, false, how, e);
}

static int ask_launch(struct saving *x, struct skf_err *e)
{
	const struct skf_checkpoint_req *q = x->q;
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD), doc = SKF_BUF(SKF_MAX_RECORD);
	struct skf_jw w = SKF_JW(&doc);
	char images[4096 + SKF_MAX_NAME_BYTES + 40];
	int fd;

	if (skf_fmt(images, sizeof(images), "%s/%s", x->place.path, x->temp) < 0)
		return skf_fail(e, SKF_ELIMIT, "the path of the checkpoint below '%s' is too long",
				x->place.path);
	skf_jw_obj(&w);
	write_options(&w, images, q->tcp_established, q->file_locks, q->ext_unix);
	skf_jw_kbool(&w, "leaveRunning", q->leave_running);
	skf_jw_kbool(&w, "preDump", q->pre);
	if (q->with_previous)
		skf_jw_kstr(&w, "parent", "../" SKF_CHECKPOINT_PREVIOUS);
	skf_jw_end(&w);
	if (doc.err < 0)
		return skf_fail_sys(e, doc.err, "write the request of a checkpoint");
	skf_launch_request(x->g, &b, SKF_LAUNCH_CHECKPOINT, 0, x->id, skf_buf_cstr(&doc));
	return skf_launch_ask(x->g, "checkpoint", &b, &fd, e);
}

/* Everything between the monitor's "it is wanted" and its end. */
static int save(struct saving *x, bool ends, struct skf_err *e)
{
	struct skf_err back = SKF_ERR_INIT;
	struct skf_mon_exit end;
	int64_t since = skf_mono_ms();

	if (ends && tell_monitor(x, SKF_MON_BY_HAND, e) < 0)
		return -1;
	if (ask_launch(x, e) < 0) {
		if (ends && tell_monitor(x, SKF_MON_AS_CONFIGURED, &back) < 0)
			skf_warn(&x->g->log,
				 "container %.12s runs on, but its restart policy has no effect until the "
				 "next start: %s; ignoring",
				 x->id, back.msg);
		return -1;
	}
	x->ret.us = (skf_mono_ms() - since) * 1000;
	if (!ends)
		return 0;
	/* A monitor that is gone has written the end down. */
	if (skf_mon_wait(x->monitor, x->id, SKF_KILL_WAIT_MS, &end, e) < 0 && e->kind != SKF_EUNAVAILABLE)
		return -1;
	skf_err_clear(e);
	return 0;
}

static void drop_logs(const struct saving *x, int dir)
{
	static const char *const files[] = {"dump.log", "stats-dump"};

	for (size_t i = 0; !x->q->keep_logs && i < SKF_ARRAY_LEN(files); i++)
		(void)unlinkat(dir, files[i], 0); /* not there, or of no use to anybody */
}

static int give_name(struct saving *x, struct skf_err *e)
{
	SKF_AUTO_FD int dir = skf_openat(x->place.fd, x->temp, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	int r = dir;

	if (dir >= 0 && !skf_criu_stats_read(dir, "stats-dump", &x->ret.stats))
		skf_debug(&x->g->log, "container %.12s: criu left no figures of the checkpoint", x->id);
	if (dir >= 0)
		drop_logs(x, dir);
	if (r >= 0 && faccessat(x->place.fd, x->name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		r = skf_rmtree_at(x->place.fd, x->name);
	if (r >= 0 && renameat(x->place.fd, x->temp, x->place.fd, x->name) < 0)
		r = -errno;
	return r < 0 ? skf_fail_sys(e, r, "make the checkpoint '%s/%s'", x->place.path, x->name) : 0;
}

static int begin(struct saving *x, struct skf_err *e)
{
	char hex[17];
	int r = skf_random_hex(hex, 8);

	if (r == 0)
		r = skf_fmt(x->temp, sizeof(x->temp), ".tmp-%s", hex);
	if (r < 0)
		return skf_fail_sys(e, r, "make up a name");
	if (open_place(x->g, x->id, x->q->dir, true, &x->place, e) < 0)
		return -1;
	if (!x->q->replace && faccessat(x->place.fd, x->name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return skf_fail(e, SKF_ECONFLICT, "checkpoint with name %s already exists for container %s",
				x->name, x->q->container);
	if (x->q->with_previous &&
	    faccessat(x->place.fd, SKF_CHECKPOINT_PREVIOUS, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return skf_fail(e, SKF_ENOTFOUND,
				"container %s has no pre-checkpoint: make one with --pre-checkpoint first",
				x->q->container);
	r = skf_mkdir_at(x->place.fd, x->temp, 0700);
	return r < 0 ? skf_fail_sys(e, r, "make '%s/%s'", x->place.path, x->temp) : 0;
}

static int check_state(struct saving *x, struct skf_ctr_live *l, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_ctrconf *c;
	struct skf_ref ref;

	if (skf_ctr_load(x->g, x->id, &a, &c, e) < 0 || skf_ctr_live(x->g, x->id, l, e) < 0 ||
	    (x->q->image && skf_ref_parse(x->q->image, &ref, e) < 0))
		return -1;
	if (x->q->image && ref.digest.s[0])
		return skf_fail(e, SKF_EINVALID, "'%s': a new image cannot be named by a digest",
				x->q->image);
	if (l->state != SKF_CTR_RUNNING && l->state != SKF_CTR_PAUSED)
		return skf_fail(e, SKF_ECONFLICT, "cannot checkpoint container %s: it is %s, not running",
				x->q->container, skf_ctr_state_name(l->state));
	if (c->remove && !x->q->leave_running && !x->q->pre && !x->q->dir && !x->q->export && !x->q->image)
		return skf_fail(e, SKF_ECONFLICT,
				"cannot checkpoint container %s, which was started with --rm, to be removed "
				"at its end: leave it running, or save it elsewhere",
				x->q->container);
	return check_alone(c, x->q->container, e);
}

/* The checkpoint has its name: what fails here leaves it, to be restored where it is. */
static int export(struct saving *x, struct skf_err *e)
{
	const struct skf_cka_export o = {.q = x->q, .id = x->id, .place = x->place.fd, .images = x->name};

	if (!x->q->export && !x->q->image)
		return 0;
	return skf_cka_export(x->g, &o, e) < 0
		       ? skf_ctx(e, "export the checkpoint of container %s", x->q->container)
		       : 0;
}

/* The rest of a life that has ended; an error of the export is the one to tell. */
static int end(struct saving *x, int exported, struct skf_err *e)
{
	struct skf_err why = SKF_ERR_INIT;

	if (exported == 0)
		return skf_ctr_reap_locked(x->g, x->id, &x->lock, e);
	if (skf_ctr_reap_locked(x->g, x->id, &x->lock, &why) < 0)
		skf_warn(&x->g->log, "%s; ignoring", why.msg);
	return -1;
}

static int run(struct saving *x, struct skf_err *e)
{
	bool ends = !x->q->leave_running && !x->q->pre;
	struct skf_ctr_live l;
	int r;

	if (check_name(x->name, e) < 0 || skf_engine_resolve(x->g, x->q->container, x->id, e) < 0 ||
	    skf_ctr_lock(x->g, x->id, &x->lock, e) < 0 || check_state(x, &l, e) < 0 ||
	    skf_ctr_monitor(x->g, x->id, &x->monitor, e) < 0 || begin(x, e) < 0)
		return -1;
	if (save(x, ends, e) < 0 || give_name(x, e) < 0) {
		(void)skf_rmtree_at(x->place.fd, x->temp); /* of the failure that is told */
		return -1;
	}
	r = skf_event_emit(x->g->run_fd, "container", "checkpoint", x->id, l.sum.name, l.sum.image, -1);
	if (r < 0)
		skf_warn(&x->g->log, "write the event 'checkpoint' of container %.12s: %s; ignoring", x->id,
			 strerror(-r));
	r = export(x, e);
	return ends ? end(x, r, e) : r;
}

int skf_engine_checkpoint(struct skf_engine *g, const struct skf_checkpoint_req *q,
			  struct skf_checkpoint_ret *ret, struct skf_err *e)
{
	struct saving x = {.g = g,
			   .q = q,
			   .name = q->pre ? SKF_CHECKPOINT_PREVIOUS : name_of(q->name),
			   .place.fd = -EBADF,
			   .monitor = -EBADF,
			   .lock = -EBADF};
	int r = run(&x, e);

	skf_closep(&x.place.fd);
	skf_closep(&x.monitor);
	skf_closep(&x.lock);
	if (r < 0)
		return -1;
	*ret = x.ret;
	return 0;
}

/* --- going on --- */

int skf_restore_options(struct skf_engine *g, const char *id, const struct skf_ctrconf *c,
			const struct skf_restore_opts *o, struct skf_buf *ret, struct skf_err *e)
{
	SKF_AUTO_FD int fd = -EBADF;
	const char *name = name_of(o->name);
	struct skf_jw w = SKF_JW(ret);
	char images[4096 + SKF_MAX_NAME_BYTES + 8];
	struct place p;

	if (check_name(name, e) < 0 || check_alone(c, c->name, e) < 0 ||
	    open_place(g, id, o->dir, false, &p, e) < 0)
		return -1;
	fd = p.fd;
	if (fd < 0 || faccessat(fd, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return skf_fail(e, SKF_ENOTFOUND, "checkpoint %s does not exist for container %s", name,
				c->name);
	if (skf_fmt(images, sizeof(images), "%s/%s", p.path, name) < 0)
		return skf_fail(e, SKF_ELIMIT, "the path of the checkpoint below '%s' is too long", p.path);
	skf_jw_obj(&w);
	write_options(&w, images, o->tcp_established, o->file_locks, o->ext_unix);
	skf_jw_kstr(&w, "reaper", g->self);
	skf_jw_end(&w);
	return ret->err < 0 ? skf_fail_sys(e, ret->err, "write the request of a restore") : 0;
}

/* --- listing and removing --- */

static int by_word(const void *x, const void *y)
{
	return strcmp(*(char *const *)x, *(char *const *)y);
}

int skf_engine_checkpoints(struct skf_engine *g, const char *container, const char *dir, struct skf_arena *a,
			   struct skf_strv *ret, struct skf_err *e)
{
	SKF_AUTO_FD int fd = -EBADF;
	SKF_AUTO_DIR DIR *d = NULL;
	char id[SKF_ID_LEN + 1];
	struct dirent *de;
	struct place p;

	if (skf_engine_resolve(g, container, id, e) < 0 || open_place(g, id, dir, false, &p, e) < 0)
		return -1;
	fd = p.fd;
	d = fd < 0 ? NULL : fdopendir(fd);
	if (fd >= 0 && !d)
		return skf_fail_sys(e, -errno, "list '%s'", p.path);
	if (d)
		(void)SKF_TAKE_FD(fd); /* d closes it */
	while (d && (de = readdir(d)))
		if (skf_name_valid(de->d_name) && skf_strv_add(a, ret, de->d_name) < 0)
			return skf_fail(e, SKF_ENOMEM, "memory for the list of checkpoints");
	if (ret->n)
		qsort(ret->v, ret->n, sizeof(*ret->v), by_word);
	return 0;
}

int skf_engine_checkpoint_rm(struct skf_engine *g, const char *container, const char *dir, const char *name,
			     struct skf_err *e)
{
	SKF_AUTO_FD int fd = -EBADF, lock = -EBADF;
	char id[SKF_ID_LEN + 1];
	struct place p;
	int r;

	if (check_name(name, e) < 0 || skf_engine_resolve(g, container, id, e) < 0 ||
	    skf_ctr_lock(g, id, &lock, e) < 0 || open_place(g, id, dir, false, &p, e) < 0)
		return -1;
	fd = p.fd;
	if (fd < 0 || faccessat(fd, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return skf_fail(e, SKF_ENOTFOUND, "checkpoint %s does not exist for container %s", name,
				container);
	r = skf_rmtree_at(fd, name);
	return r < 0 ? skf_fail_sys(e, r, "remove the checkpoint '%s/%s'", p.path, name) : 0;
}
