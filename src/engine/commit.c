/* engine/commit.c -- a container as an image: its configuration is put together here, its files by
 * skiff-image. A running container is frozen meanwhile unless the caller says otherwise; it is thawed on
 * every way out. Blocks as long as reading the files takes. */
#include "base/arena.h"
#include "engine/archive_int.h"
#include "sys/cgroup.h"
#include <string.h>

#define FREEZE_MS 10000

struct frozen {
	struct skf_cg_dirs dirs;
	const struct skf_log *log;
	bool is;
};

static void thaw(struct frozen *f)
{
	int r = f->is ? skf_cg_freeze(&f->dirs, false, FREEZE_MS) : 0;

	if (r < 0)
		skf_warn(f->log, "resume the container after the commit: %s; ignoring", strerror(-r));
}

static int freeze(struct skf_engine *g, const char *id, struct frozen *f, struct skf_err *e)
{
	struct skf_ctr_live live;
	int r;

	if (skf_ctr_live(g, id, &live, e) < 0)
		return -1;
	if (live.state != SKF_CTR_RUNNING)
		return 0;
	r = skf_ctr_cgroup(g, id, &f->dirs);
	if (r == 0) {
		f->is = true; /* also when it fails half-way */
		r = skf_cg_freeze(&f->dirs, true, FREEZE_MS);
	}
	return r < 0 ? skf_fail_sys(e, r, "pause the container '%.12s' (commit --pause=false does without)",
				    id)
		     : 0;
}

/* The image's configuration, then what run was told, then the changes. */
static int configure(struct skf_engine *g, const struct skf_ctrconf *conf, const struct skf_strv *changes,
		     struct skf_arena *a, struct skf_buf *ret, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_CONFIG_BLOB_BYTES);
	struct skf_image_config *x;
	struct skf_ctr_request *q;
	struct skf_digest id;
	struct skf_imgconf c;

	if (skf_digest_parse(conf->image_id, &id, e) < 0 ||
	    skf_store_blob_read(g->store, &id, SKF_MAX_CONFIG_BLOB_BYTES, &b, e) < 0 ||
	    skf_image_config_parse(skf_buf_cstr(&b), b.len, a, &x, e) < 0 ||
	    skf_imgconf_from(&c, x, a, e) < 0 || skf_ctr_request_parse(conf->request, a, &q, e) < 0)
		return -1;
	if (q->user && *q->user)
		c.user = q->user;
	if (q->workdir && *q->workdir)
		c.working_dir = q->workdir;
	if (q->stop_signal && *q->stop_signal)
		c.stop_signal = q->stop_signal;
	if (q->entrypoint.n)
		c.entrypoint = q->entrypoint;
	if (q->cmd.n)
		c.cmd = q->cmd;
	for (size_t i = 0; i < q->env.n; i++)
		if (skf_imgconf_env(&c, q->env.v[i], a, e) < 0)
			return -1;
	for (size_t i = 0; i < q->labels.n; i++)
		if (skf_imgconf_label(&c, q->labels.v[i].k, q->labels.v[i].v, a, e) < 0)
			return -1;
	if (skf_imgconf_changes(&c, changes, a, e) < 0)
		return -1;
	skf_imgconf_write(&c, ret);
	return ret->err ? skf_fail_sys(e, ret->err, "configuration of the new image") : 0;
}

static int request(struct skf_engine *g, const struct skf_commit_req *q, const char *id,
		   const struct skf_ctrconf *c, const char *upper, struct skf_arena *a, struct skf_buf *b,
		   char full[SKF_MAX_REF_BYTES + 1], struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf conf = SKF_BUF(SKF_MAX_RECORD / 2);
	struct skf_rec r;
	struct skf_ref ref;

	full[0] = '\0';
	if (q->reference) {
		if (skf_ref_parse(q->reference, &ref, e) < 0)
			return -1;
		if (ref.digest.s[0])
			return skf_fail(e, SKF_EINVALID, "'%s': a new image cannot be named by a digest",
					q->reference);
		skf_ref_full(&ref, full);
	}
	if (configure(g, c, &q->changes, a, &conf, e) < 0)
		return -1;
	skf_rec_begin(&r, b, SKF_IMG_COMMIT, SKF_IMG_VERSION);
	skf_rec_str(&r, g->root);
	skf_rec_str(&r, id);
	skf_rec_str(&r, c->manifest);
	skf_rec_str(&r, full);
	skf_rec_str(&r, skf_buf_cstr(&conf));
	skf_rec_str(&r, q->author);
	skf_rec_str(&r, q->message);
	skf_rec_str(&r, upper);
	skf_rec_u32(&r, (q->docker ? SKF_COMMIT_DOCKER : 0u) | (q->squash ? SKF_COMMIT_SQUASH : 0u));
	skf_rec_end(&r);
	return 0;
}

int skf_engine_commit(struct skf_engine *g, const struct skf_commit_req *q, struct skf_digest *ret_config,
		      struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	SKF_AUTO(skf_storage_upper_done) struct skf_storage_upper upper = {.lock = -EBADF, .dir = -EBADF};
	SKF_AUTO(thaw) struct frozen f = {.log = &g->log};
	char id[SKF_ID_LEN + 1], full[SKF_MAX_REF_BYTES + 1];
	struct skf_ctrconf *c;

	if (skf_engine_resolve(g, q->container, id, e) < 0 || skf_ctr_load(g, id, &a, &c, e) < 0)
		return -1;
	if (c->rootfs)
		return skf_fail(e, SKF_EUNSUPPORTED,
				"cannot commit a container that uses an exploded rootfs: it has no image; "
				"use export and import");
	if ((q->pause && freeze(g, id, &f, e) < 0) || skf_storage_upper(g, id, c, &upper, e) < 0 ||
	    request(g, q, id, c, upper.name, &a, &b, full, e) < 0 ||
	    skf_archive_call(g, &b, -1, q->h.cancel_fd, NULL, ret_config, e) < 0)
		return -1;
	skf_image_event(g, "commit", ret_config->s, full);
	return 0;
}
