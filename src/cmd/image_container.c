/* cmd/image_container.c -- the files of a container as the tar of a layer, and back; and streams that are
 * compressed for somebody else.
 *
 * A tar that becomes a container's files is foreign: it goes through the unpacker like the layer of an
 * image, with its limits (store/unpack.h), and is copied out of that layer, which nothing names afterwards:
 * collection takes it. Owners are the container's, as everywhere in tars; with a user namespace they are
 * mapped. Blocks on the disk and on the pipe. */
#include "base/fd.h"
#include "base/limits.h"
#include "cmd/image_archive.h"
#include "store/treecopy.h"
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* What every container has for its own copies to be mounted on (engine/hostfiles.c). */
const char *const image_container_stubs[] = {"etc/hostname", "etc/hosts", "etc/resolv.conf",
					     "sbin/docker-init", NULL};

int image_container_dir(struct skf_store *s, struct skf_arena *a, const char *id, const char *name,
			struct skf_idmaps *ids, int *ret_fd, struct skf_err *e)
{
	SKF_AUTO_FD int all = -EBADF;
	SKF_AUTO_FD int dir = -EBADF;
	int fd, r;

	if (!skf_is_hex(id, 64))
		return skf_fail(e, SKF_EINVALID, "'%.80s' is no id of a container", id);
	if (strchr(name, '/') || name[0] == '.' || !name[0])
		return skf_fail(e, SKF_EINVALID, "'%.80s' is no directory of a container", name);
	all = skf_openat(skf_store_fd(s), "containers", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	dir = all < 0 ? all : skf_openat(all, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	fd = dir < 0 ? dir : skf_openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (fd < 0)
		return skf_fail_sys(e, fd, "open the files of the container '%.12s'", id);
	r = skf_idmaps_read_at(dir, a, ids);
	if (r < 0) {
		skf_closep(&fd);
		return skf_fail_sys(e, r, "read the id maps of the container '%.12s'", id);
	}
	*ret_fd = fd;
	return r == 1;
}

struct work {
	const struct image_peer *peer;
	struct skf_store *store;
	struct skf_lease *lease;
	struct skf_arena a;
	struct skf_idmaps ids;
	int dir, mapped, fd; /* fd: of the request */
};

static void work_done(struct work *w)
{
	skf_closep(&w->dir);
	skf_lease_free(w->lease);
	skf_store_free(w->store);
	skf_arena_done(&w->a);
}

static int work_begin(struct work *w, const char *root, const char *id, const char *name, struct skf_err *e)
{
	if (w->peer->fds->n != 1)
		return skf_fail(e, SKF_EINVALID, "the request is cut short");
	w->fd = w->peer->fds->fd[0];
	if (skf_store_open(root, true, &w->store, e) < 0)
		return -1;
	w->mapped = image_container_dir(w->store, &w->a, id, name, &w->ids, &w->dir, e);
	return w->mapped < 0 ? -1 : 0;
}

static int to_fd(void *arg, const void *p, size_t n, struct skf_err *e)
{
	const struct work *w = arg;
	int r = image_check_cancel(w->peer, e) < 0 ? 1 : skf_write_full(w->fd, p, n);

	return r > 0 ? -1 : r < 0 ? skf_fail_sys(e, r, "write the archive") : 0;
}

int image_serve_changes(const struct image_peer *peer, struct skf_recr *q, struct skf_buf *answer,
			struct skf_err *e)
{
	SKF_AUTO(work_done) struct work w = {.peer = peer, .a = SKF_ARENA(SKF_MAX_ARENA_DOC), .dir = -EBADF};
	const char *root = skf_recr_str(q), *id = skf_recr_str(q), *name = skf_recr_str(q);
	const struct skf_pack_sink sink = {to_fd, &w};

	if (q->bad || work_begin(&w, root, id, name, e) < 0)
		return q->bad ? skf_fail(e, SKF_EINVALID, "the request is cut short") : -1;
	if (skf_pack_tree(w.dir, image_container_stubs, w.mapped ? &w.ids : NULL, &sink, e) < 0)
		return -1;
	image_put_done(answer);
	return 0;
}

/* --- the other way --- */
static int on_named(void *arg, const struct skf_digest *d, struct skf_err *e)
{
	return skf_lease_add(((struct work *)arg)->lease, d, e);
}

struct feed {
	const struct image_peer *peer;
	struct skf_unpack *u;
};

static int to_unpack(void *arg, const void *p, size_t n, struct skf_err *e)
{
	const struct feed *f = arg;

	return image_check_cancel(f->peer, e) < 0 ? -1 : skf_unpack_write(f->u, p, n, e);
}

static int as_layer(struct work *w, struct skf_digest *ret, struct skf_err *e)
{
	const struct skf_unpack_opts o = {
		.media = SKF_MEDIA_LAYER_TAR, .size = UINT64_MAX, .named = on_named, .arg = w};
	struct feed f = {.peer = w->peer};
	struct skf_unpack_result made;
	int r;

	if (skf_lease_new(w->store, &w->lease, e) < 0 || skf_unpack_new(w->store, &o, &f.u, e) < 0)
		return -1;
	r = image_stream_read(w->peer, w->fd, to_unpack, &f, e);
	if (r == 0)
		r = skf_unpack_finish(f.u, &made, e);
	skf_unpack_free(f.u);
	if (r == 0)
		*ret = made.diff_id;
	return r;
}

int image_serve_apply(const struct image_peer *peer, struct skf_recr *q, struct skf_buf *answer,
		      struct skf_err *e)
{
	SKF_AUTO(work_done) struct work w = {.peer = peer, .a = SKF_ARENA(SKF_MAX_ARENA_DOC), .dir = -EBADF};
	const char *root = skf_recr_str(q), *id = skf_recr_str(q);
	struct skf_treecopy c = {.apply = skf_recr_u32(q) != 0};
	SKF_AUTO_FD int path = -EBADF;
	SKF_AUTO_FD int tree = -EBADF;
	struct skf_digest layer;

	if (q->bad || work_begin(&w, root, id, "rw", e) < 0)
		return q->bad ? skf_fail(e, SKF_EINVALID, "the request is cut short") : -1;
	if (as_layer(&w, &layer, e) < 0 || skf_store_layer_open(w.store, &layer, &path, e) < 0)
		return -1;
	tree = skf_openat(path, ".", O_RDONLY | O_DIRECTORY, 0);
	if (tree < 0)
		return skf_fail_sys(e, tree, "open the layer '%s'", layer.s);
	c.ids = w.mapped ? &w.ids : NULL;
	if (skf_treecopy(tree, w.dir, &c, e) < 0)
		return -1;
	image_put_done(answer);
	return 0;
}

/* --- streams --- */
int image_serve_squeeze(const struct image_peer *peer, struct skf_recr *q, struct skf_buf *answer,
			struct skf_err *e)
{
	static const enum skf_compression kinds[] = {[SKF_SQUEEZE_GZIP] = SKF_COMP_GZIP,
						     [SKF_SQUEEZE_ZSTD] = SKF_COMP_ZSTD,
						     [SKF_SQUEEZE_NONE] = SKF_COMP_NONE};
	struct work w = {.peer = peer, .fd = peer->fds->n == 2 ? peer->fds->fd[1] : -EBADF};
	const struct skf_pack_sink sink = {to_fd, &w};
	SKF_AUTO(skf_packer_freep) struct skf_packer *p = NULL;
	uint32_t kind = skf_recr_u32(q);
	struct skf_packed ignored;
	uint8_t buf[65536];
	ssize_t n;

	if (!q->bad && w.fd >= 0 && kind == SKF_SQUEEZE_AS_IS) {
		if (image_stream_read(peer, peer->fds->fd[0], to_fd, &w, e) < 0)
			return -1;
		image_put_done(answer);
		return 0;
	}
	if (q->bad || w.fd < 0 || kind >= SKF_ARRAY_LEN(kinds) || kinds[kind] == SKF_COMP_UNKNOWN)
		return skf_fail(e, SKF_EINVALID, "the request to compress a stream is not understood");
	if (skf_packer_new(kinds[kind], -1, &sink, &p, e) < 0)
		return -1;
	while ((n = read(peer->fds->fd[0], buf, sizeof(buf))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return skf_fail_sys(e, -errno, "read what is to be compressed");
		if (skf_packer_write(p, buf, (size_t)n, e) < 0)
			return -1;
	}
	if (image_check_cancel(peer, e) < 0 || skf_packer_end(p, &ignored, e) < 0)
		return -1;
	image_put_done(answer);
	return 0;
}
