/* engine/checkpoint_import.c -- a container that goes on where one of an archive, or of an image made by
 * `checkpoint --create-image`, was.
 *
 * What is foreign, and how it is taken: the archive becomes the layer of a nameless image, through the
 * unpacker and its limits, and is read from there by descriptors that follow nothing. Of the container's own
 * data only the request counts: it is planned anew, as if somebody had typed it (again.c), so nothing of the
 * archive's runtime configuration is used. Its files go through the unpacker once more, its volumes through
 * cp's reader. criu's images are data for a program that runs as root: whoever imports trusts them as much
 * as a program that he runs, and the documentation says so.
 *
 * The new container has an id of its own: ids are never used twice (engine_int.h). Blocks as long as
 * unpacking, copying and criu take. */
#include "engine/archive_int.h"
#include "engine/checkpoint_int.h"
#include "engine/life.h"
#include "engine/net_int.h"
#include "store/treecopy.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct import {
	struct skf_engine *g;
	const struct skf_restore_import_req *q;
	const struct skf_progress *progress;
	struct skf_arena a;
	bool own; /* the image is ours to remove */
	char image[SKF_MAX_REF_BYTES + 1];
	struct skf_lease *lease;
	int tree;
	struct skf_cka_head *head;
	struct skf_create_req create;
	struct skf_strv made; /* volumes that are not there yet */
	struct skf_created ctr;
	bool created;
};

static int no_memory(struct skf_err *e)
{
	return skf_fail(e, SKF_ENOMEM, "memory for the restore");
}

static void import_done(struct import *p)
{
	struct skf_rmi_req q = SKF_REQ(struct skf_rmi_req);
	struct skf_strv untagged = {0}, deleted = {0};
	struct skf_err x = SKF_ERR_INIT;

	skf_closep(&p->tree);
	skf_lease_free(p->lease);
	q.name = p->image;
	if (p->own && skf_engine_rmi(p->g, &q, &p->a, &untagged, &deleted, &x) < 0)
		skf_warn(&p->g->log,
			 "remove what was unpacked of the archive: %s; ignoring, `skiff image prune` does",
			 x.msg);
	skf_arena_done(&p->a);
}

/* --- the archive --- */
static int unpack(struct import *p, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(4096);
	struct skf_digest config;
	struct skf_rec r;

	skf_rec_begin(&r, &b, SKF_IMG_IMPORT, SKF_IMG_VERSION);
	skf_rec_str(&r, p->g->root);
	skf_rec_str(&r, "");
	skf_rec_str(&r, "{}");
	skf_rec_str(&r, "an archive of a checkpoint on its way");
	skf_rec_str(&r, "");
	skf_rec_u32(&r, 0);
	skf_rec_end(&r);
	if (skf_archive_call(p->g, &b, p->q->fd, p->q->h.cancel_fd, NULL, &config, e) < 0)
		return skf_ctx(e, "unpack the archive");
	memcpy(p->image, config.s, strlen(config.s) + 1);
	p->own = true;
	return 0;
}

static int open_tree(struct import *p, struct skf_err *e)
{
	const struct skf_image_layer *l;
	SKF_AUTO_FD int path = -EBADF;
	struct skf_refrec ref;
	struct skf_image *i;

	if (!p->own && skf_fmt(p->image, sizeof(p->image), "%s", p->q->image) < 0)
		return skf_fail(e, SKF_EINVALID, "the name of the image is too long");
	if (skf_store_resolve(p->g->store, p->image, &p->a, &i, &ref, e) < 0)
		return -1;
	l = i->layers.v;
	if (i->layers.n != 1)
		return skf_fail(e, SKF_EINVALID,
				"image '%s' is no checkpoint: it has %zu layers, expected the one that "
				"checkpoint --create-image makes",
				p->image, i->layers.n);
	if (skf_lease_new(p->g->store, &p->lease, e) < 0 || skf_lease_add(p->lease, &l->diff_id, e) < 0 ||
	    skf_store_layer_open(p->g->store, &l->diff_id, &path, e) < 0)
		return -1;
	p->tree = skf_openat(path, ".", O_RDONLY | O_DIRECTORY, 0);
	return p->tree < 0 ? skf_fail_sys(e, p->tree, "open what was unpacked") : 0;
}

/* A regular file at the top of the archive, or of its directory `below`; -ENOENT for anything else. */
static int open_file(const struct import *p, const char *below, const char *name)
{
	SKF_AUTO_FD int dir = skf_openat(p->tree, below, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	SKF_AUTO_FD int fd = dir < 0 ? dir : skf_openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	struct stat st;

	if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)))
		return -ENOENT;
	return fd >= 0 ? SKF_TAKE_FD(fd) : -ENOENT;
}

static int read_part(const struct import *p, const char *name, size_t max, struct skf_buf *b,
		     struct skf_err *e)
{
	SKF_AUTO_FD int fd = open_file(p, ".", name);
	int r = fd < 0 ? fd : skf_read_fd(fd, max, b);

	if (fd < 0)
		return skf_fail(e, SKF_EINVALID, "%s is no checkpoint: it has no file '%s'",
				p->own ? "the archive" : p->image, name);
	return r < 0 ? skf_fail_sys(e, r, "read '%s' of the archive", name) : 0;
}

/* --- the request --- */
/* The image by its name when that still means it, else by its id; a name that means nothing here is pulled,
 * and must be the same. */
static int choose_image(struct import *p, struct skf_err *e)
{
	struct skf_create_req *q = &p->create;
	struct skf_err why = SKF_ERR_INIT;
	struct skf_refrec ref;
	struct skf_image *i;
	bool named;

	if (q->s.rootfs)
		return 0;
	q->image = p->head->image;
	q->docker_config = p->q->docker_config;
	named = skf_store_resolve(p->g->store, p->head->image, &p->a, &i, &ref, &why) == 0;
	if (named && skf_streq(i->config.s, p->head->image_id))
		return 0;
	skf_err_clear(&why);
	if (skf_store_resolve(p->g->store, p->head->image_id, &p->a, &i, &ref, &why) == 0) {
		q->image = p->head->image_id;
		return 0;
	}
	/* What the name means here stays what it is. */
	if (!named && skf_image_find_or_pull(p->g, q, p->progress, &p->a, &i, &ref, e) < 0)
		return skf_ctx(e, "the image of the container");
	if (!named && skf_streq(i->config.s, p->head->image_id))
		return 0;
	return skf_fail(e, SKF_ECONFLICT,
			"image '%s' is not the one that the container had, %s: get that one, by its digest "
			"or from an archive",
			p->head->image, p->head->image_id);
}

static int read_request(struct import *p, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done)
	struct skf_buf head = SKF_BUF(SKF_MAX_OBJECT_BYTES), spec = SKF_BUF(SKF_MAX_SPEC_BYTES),
		       net = SKF_BUF(SKF_MAX_SPEC_BYTES);
	struct skf_ctr_request *r;
	struct skf_net_conf *n;
	struct skf_ctrconf *c;

	if (read_part(p, SKF_CKA_HEAD, SKF_MAX_OBJECT_BYTES, &head, e) < 0 ||
	    skf_cka_head_parse(skf_buf_cstr(&head), head.len, &p->a, &p->head, e) < 0 ||
	    read_part(p, SKF_CKA_SPEC, SKF_MAX_SPEC_BYTES, &spec, e) < 0 ||
	    skf_ctrconf_parse(skf_buf_cstr(&spec), spec.len, &p->a, &c, e) < 0 ||
	    read_part(p, SKF_CKA_NETWORK, SKF_MAX_SPEC_BYTES, &net, e) < 0 ||
	    skf_net_conf_decode(skf_buf_cstr(&net), net.len, &p->a, &n, e) < 0 ||
	    skf_ctr_request_parse(c->request, &p->a, &r, e) < 0 ||
	    skf_ctr_again(c, r, n, &p->a, &p->create, e) < 0)
		return skf_ctx(e, "the archive");
	p->create.pod = NULL;
	p->create.name = p->q->name ? p->q->name : p->head->name;
	if (p->q->publish.n) {
		p->create.net.publish = p->q->publish;
		p->create.net.publish_all = false;
	}
	/* Another name means one more container: what can be had once is not asked for again. */
	skf_net_again_elsewhere(&p->create.net, p->q->ignore_ip || p->q->name,
				p->q->ignore_mac || p->q->name);
	return choose_image(p, e);
}

/* A volume that is there already has other content than the memory remembers. */
static int check_volumes(struct import *p, struct skf_err *e)
{
	const struct skf_cka_volume *v = p->head->volumes.v;
	struct skf_volume *there;

	for (size_t i = 0; !p->q->ignore_volumes && i < p->head->volumes.n; i++) {
		struct skf_err why = SKF_ERR_INIT;

		if (v[i].anonymous)
			continue;
		if (skf_engine_volume_get(p->g, v[i].name, &p->a, &there, &why) == 0)
			return skf_fail(e, SKF_ECONFLICT,
					"volume with name %s already exists. Use --ignore-volumes to not "
					"restore content of volumes",
					v[i].name);
		if (why.kind != SKF_ENOTFOUND) {
			*e = why;
			return -1;
		}
		if (skf_strv_add(&p->a, &p->made, v[i].name) < 0)
			return no_memory(e);
	}
	return 0;
}

/* --- what it had --- */
static int fill_root(struct import *p, const struct skf_ctrconf *c, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	SKF_AUTO_FD int fd = -EBADF;
	struct skf_rec r;

	if (p->q->ignore_rootfs || !p->head->changes)
		return 0;
	fd = open_file(p, ".", SKF_CKA_CHANGES);
	if (fd < 0)
		return skf_fail(e, SKF_EINVALID,
				"the archive has no file '" SKF_CKA_CHANGES "', though it says so");
	skf_rec_begin(&r, &b, SKF_IMG_APPLY, SKF_IMG_VERSION);
	skf_rec_str(&r, p->g->root);
	skf_rec_str(&r, p->ctr.id);
	skf_rec_u32(&r, !c->rootfs && !c->storage->lower);
	skf_rec_end(&r);
	return skf_archive_call(p->g, &b, fd, p->q->h.cancel_fd, NULL, NULL, e) < 0
		       ? skf_ctx(e, "unpack '" SKF_CKA_CHANGES "' of the archive")
		       : 0;
}

static int fill_volumes(struct import *p, const struct skf_ctrconf *c, struct skf_err *e)
{
	const struct skf_cka_volume *v = p->head->volumes.v;
	const struct skf_ctrconf_source *s = c->sources.v;
	char name[32];

	for (size_t i = 0; !p->q->ignore_volumes && i < p->head->volumes.n; i++) {
		SKF_AUTO_FD int fd = -EBADF;
		size_t k = 0;

		while (k < c->sources.n && !(s[k].volume && skf_streq(s[k].target, v[i].target)))
			k++;
		if (k == c->sources.n)
			return skf_fail(e, SKF_EINVALID,
					"the archive has content for a volume at '%s', where the container "
					"mounts none",
					v[i].target);
		snprintf(name, sizeof(name), "%zu.tar", i);
		fd = open_file(p, SKF_CKA_VOLUMES, name);
		if (fd < 0)
			return skf_fail(e, SKF_EINVALID, "the archive has no file '" SKF_CKA_VOLUMES "/%s'",
					name);
		if (skf_engine_volume_import(p->g, s[k].volume, fd, e) < 0)
			return -1;
	}
	return 0;
}

static int fill_images(struct import *p, struct skf_err *e)
{
	SKF_AUTO_FD int from = skf_openat(p->tree, SKF_CKA_IMAGES, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	SKF_AUTO_FD int dir = -EBADF;
	SKF_AUTO_FD int to = -EBADF;
	struct skf_treecopy c = {0};
	int r;

	if (from < 0)
		return skf_fail(e, SKF_EINVALID, "the archive has no directory '" SKF_CKA_IMAGES "'");
	if (skf_ctr_open_dir(p->g, p->ctr.id, &dir, e) < 0)
		return -1;
	r = skf_mkdir_at(dir, SKF_CHECKPOINTS_DIR, 0700);
	if (r == 0)
		r = skf_mkdir_at(dir, SKF_CHECKPOINTS_DIR "/" SKF_CHECKPOINT_DEFAULT, 0700);
	if (r == 0)
		r = to = skf_openat(dir, SKF_CHECKPOINTS_DIR "/" SKF_CHECKPOINT_DEFAULT,
				    O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (r < 0)
		return skf_fail_sys(e, r, "make a directory for the checkpoint of container '%.12s'",
				    p->ctr.id);
	return skf_treecopy(from, to, &c, e) < 0 ? skf_ctx(e, "copy the checkpoint") : 0;
}

static int fill(struct import *p, struct skf_err *e)
{
	struct skf_ctrconf *c;

	return skf_ctr_load(p->g, p->ctr.id, &p->a, &c, e) < 0 || fill_root(p, c, e) < 0 ||
			       fill_volumes(p, c, e) < 0 || fill_images(p, e) < 0
		       ? -1
		       : 0;
}

static void undo(struct import *p)
{
	struct skf_err x = SKF_ERR_INIT;

	skf_closep(&p->ctr.lock);
	if (p->created && skf_engine_rm(p->g, p->ctr.id, true, true, &x) < 0)
		skf_warn(&p->g->log, "remove container %.12s, which could not be restored: %s; ignoring",
			 p->ctr.id, x.msg);
	for (size_t i = 0; p->created && i < p->made.n; i++)
		if (skf_volume_drop(p->g, p->made.v[i], NULL, NULL, &x) < 0)
			skf_warn(&p->g->log, "remove volume '%s' again: %s; ignoring", p->made.v[i], x.msg);
}

static int go_on(struct import *p, struct skf_run_handle *h, struct skf_err *e)
{
	const struct skf_restore_opts o = {.tcp_established = p->q->tcp_established,
					   .file_locks = p->q->file_locks};
	struct skf_start_req q = SKF_REQ(struct skf_start_req);

	skf_closep(&p->ctr.lock);
	q.container = p->ctr.id;
	q.stdio[0] = q.stdio[1] = q.stdio[2] = -EBADF;
	q.restore = &o;
	return skf_engine_start(p->g, &q, h, e);
}

int skf_engine_restore_import(struct skf_engine *g, const struct skf_restore_import_req *q,
			      const struct skf_progress *progress, struct skf_run_handle *h,
			      struct skf_err *e)
{
	SKF_AUTO(import_done)
	struct import p = {.g = g,
			   .q = q,
			   .progress = progress,
			   .a = SKF_ARENA(SKF_MAX_ARENA_DOC * 2),
			   .tree = -EBADF,
			   .ctr.lock = -EBADF};

	if ((q->fd >= 0 && unpack(&p, e) < 0) || open_tree(&p, e) < 0 || read_request(&p, e) < 0 ||
	    check_volumes(&p, e) < 0 || skf_ctr_create(g, &p.create, progress, NULL, &p.ctr, e) < 0)
		return -1;
	p.created = true;
	if (fill(&p, e) == 0 && go_on(&p, h, e) == 0)
		return 0;
	undo(&p);
	return -1;
}

void skf_engine_restore_stats(struct skf_engine *g, const char *id, const char *name,
			      struct skf_criu_stats *ret)
{
	SKF_AUTO_FD int dir = -EBADF;
	SKF_AUTO_FD int at = -EBADF;
	struct skf_err x = SKF_ERR_INIT;
	char path[SKF_MAX_NAME_BYTES + 32];

	*ret = (struct skf_criu_stats){0};
	if (skf_ctr_open_dir(g, id, &dir, &x) < 0 ||
	    skf_fmt(path, sizeof(path), SKF_CHECKPOINTS_DIR "/%s", name) < 0)
		return;
	at = skf_openat(dir, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (at < 0 || !skf_criu_stats_read(at, "stats-restore", ret))
		skf_debug(&g->log, "container %.12s: criu left no figures of the restore", id);
}
