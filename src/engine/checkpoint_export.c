/* engine/checkpoint_export.c -- a checkpoint with all that it needs elsewhere, as an archive or as an image
 * of one layer: what the container was made with, criu's images, what its files are over its image, and what
 * is in its volumes (docs/formats.md, "Checkpoint archive").
 *
 * The parts whose size has to be known before they are written are gathered in a directory beside the
 * checkpoint, which goes on every way out. The files are read after criu: of a container that is left
 * running they may be newer than its memory. Blocks as long as that takes. */
#include "engine/archive_int.h"
#include "engine/checkpoint_int.h"
#include "engine/cp_int.h"
#include "sys/process.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

struct export
{
	struct skf_engine *g;
	const struct skf_cka_export *x;
	struct skf_arena a;
	struct skf_ctrconf *c;
	struct skf_cka_head head;
	char parts[64]; /* name of the directory; "": not made */
	int dir;
};

static void export_done(struct export *p)
{
	skf_closep(&p->dir);
	if (p->parts[0])
		(void)skf_rmtree_at(p->x->place, p->parts); /* what stays has a name that no checkpoint has,
							       and goes with the container */
	skf_arena_done(&p->a);
}

static int make_parts(struct export *p, struct skf_err *e)
{
	char hex[17];
	int r = skf_random_hex(hex, 8);

	if (r == 0)
		r = skf_fmt(p->parts, sizeof(p->parts), ".export-%s", hex);
	if (r == 0 && mkdirat(p->x->place, p->parts, 0700) < 0) {
		r = -errno;
		p->parts[0] = '\0';
	}
	if (r == 0)
		r = p->dir = skf_openat(p->x->place, p->parts, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	return r < 0 ? skf_fail_sys(e, r, "make a directory for the parts of the archive") : 0;
}

static int put(struct export *p, const char *name, const struct skf_buf *b, struct skf_err *e)
{
	int r = b->err < 0 ? b->err : skf_write_atomic_at(p->dir, name, b->p, b->len, 0600, 0);

	return r < 0 ? skf_fail_sys(e, r, "write '%s' of the archive", name) : 0;
}

/* --- the parts --- */
static int put_changes(struct export *p, struct skf_err *e)
{
	SKF_AUTO(skf_storage_upper_done) struct skf_storage_upper upper = {.lock = -EBADF, .dir = -EBADF};
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	SKF_AUTO_FD int fd = -EBADF;
	struct skf_rec r;

	if (p->x->q->ignore_rootfs || (p->c->rootfs && !p->c->rootfs_overlay))
		return 0;
	fd = skf_openat(p->dir, SKF_CKA_CHANGES, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	if (fd < 0)
		return skf_fail_sys(e, fd, "make '" SKF_CKA_CHANGES "' of the archive");
	if (skf_storage_upper(p->g, p->x->id, p->c, &upper, e) < 0)
		return -1;
	skf_rec_begin(&r, &b, SKF_IMG_CHANGES, SKF_IMG_VERSION);
	skf_rec_str(&r, p->g->root);
	skf_rec_str(&r, p->x->id);
	skf_rec_str(&r, upper.name);
	skf_rec_end(&r);
	p->head.changes = true;
	return skf_archive_call(p->g, &b, fd, -1, NULL, NULL, e);
}

static int is_anonymous(struct export *p, const char *name, bool *ret, struct skf_err *e)
{
	struct skf_strv v = {0};

	if (skf_volume_anonymous_of(p->g, p->x->id, &p->a, &v, e) < 0)
		return -1;
	*ret = false;
	for (size_t i = 0; i < v.n; i++)
		*ret |= skf_streq(v.v[i], name);
	return 0;
}

static int put_volume(struct export *p, struct skf_cka_volume *v, size_t number, struct skf_err *e)
{
	SKF_AUTO_FD int fd = -EBADF;
	char file[32];

	snprintf(file, sizeof(file), SKF_CKA_VOLUMES "/%zu.tar", number);
	fd = skf_openat(p->dir, file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	if (fd < 0)
		return skf_fail_sys(e, fd, "make '%s' of the archive", file);
	if (is_anonymous(p, v->name, &v->anonymous, e) < 0)
		return -1;
	return skf_engine_volume_export(p->g, v->name, fd, e) < 0
		       ? skf_ctx(e, "(--ignore-volumes leaves volumes out)")
		       : 0;
}

static int put_volumes(struct export *p, struct skf_err *e)
{
	const struct skf_ctrconf_source *s = p->c->sources.v;
	struct skf_cka_volume *v = skf_arena_array(&p->a, p->c->sources.n + 1, sizeof(*v));
	size_t n = 0;

	if (!v)
		return skf_fail(e, SKF_ENOMEM, "memory for the volumes of a checkpoint");
	if (mkdirat(p->dir, SKF_CKA_VOLUMES, 0700) < 0)
		return skf_fail_sys(e, -errno, "make '" SKF_CKA_VOLUMES "' of the archive");
	for (size_t i = 0; !p->x->q->ignore_volumes && i < p->c->sources.n; i++) {
		if (!s[i].volume)
			continue;
		if (n == SKF_CKA_MAX_VOLUMES)
			return skf_fail(
				e, SKF_ELIMIT,
				"more than %u volumes in one archive; --ignore-volumes leaves them out",
				SKF_CKA_MAX_VOLUMES);
		v[n] = (struct skf_cka_volume){.name = s[i].volume, .target = s[i].target};
		if (put_volume(p, &v[n], n, e) < 0)
			return -1;
		n++;
	}
	p->head.volumes = (struct skf_jarr){v, n};
	return 0;
}

static int put_documents(struct export *p, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done)
	struct skf_buf spec = SKF_BUF(SKF_MAX_SPEC_BYTES), net = SKF_BUF(SKF_MAX_SPEC_BYTES),
		       head = SKF_BUF(SKF_MAX_OBJECT_BYTES);
	struct skf_jw w = SKF_JW(&head);
	SKF_AUTO_FD int dir = -EBADF;
	char now[36];
	int r;

	if (skf_ctr_load_text(p->g, p->x->id, &spec, e) < 0 || skf_ctr_open_dir(p->g, p->x->id, &dir, e) < 0)
		return -1;
	r = skf_read_file_at(dir, "network.json", SKF_MAX_SPEC_BYTES, &net);
	if (r < 0)
		return skf_fail_sys(e, r, "read the networks of container '%.12s'", p->x->id);
	skf_time_rfc3339(skf_now_ns(), now);
	p->head.id = (char *)(uintptr_t)p->x->id;
	p->head.name = p->c->name;
	p->head.image = p->c->image;
	p->head.image_id = p->c->image_id;
	p->head.created = p->c->created;
	p->head.checkpointed = now;
	p->head.version = (char *)(uintptr_t)SKF_VERSION;
	skf_cka_head_write(&w, &p->head);
	return put(p, SKF_CKA_HEAD, &head, e) < 0 || put(p, SKF_CKA_SPEC, &spec, e) < 0 ||
			       put(p, SKF_CKA_NETWORK, &net, e) < 0
		       ? -1
		       : 0;
}

/* --- the whole --- */
static int fill(void *arg, int fd, struct skf_err *e)
{
	const struct skf_cp as_is = {.archive = true};
	const struct export *p = arg;

	return skf_cp_tar_part(&as_is, p->x->place, p->x->images, SKF_CKA_IMAGES, fd, e) < 0
		       ? -1
		       : skf_cp_tar_write(&as_is, p->dir, ".", true, fd, e);
}

static int write_archive(struct export *p, struct skf_err *e)
{
	static const uint32_t kinds[] = {[SKF_CHECKPOINT_ZSTD] = SKF_SQUEEZE_ZSTD,
					 [SKF_CHECKPOINT_GZIP] = SKF_SQUEEZE_GZIP,
					 [SKF_CHECKPOINT_PLAIN] = SKF_SQUEEZE_NONE};
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(4096);
	struct skf_rec r;

	skf_rec_begin(&r, &b, SKF_IMG_SQUEEZE, SKF_IMG_VERSION);
	skf_rec_u32(&r, kinds[p->x->q->squeeze]);
	skf_rec_end(&r);
	return skf_archive_feed(p->g, &b, p->x->q->export_fd, fill, p, NULL, e) < 0
		       ? skf_ctx(e, "write the archive of the checkpoint")
		       : 0;
}

/* podman's annotations of such an image, as far as there is something to say. */
static void put_annotations(struct export *p, struct skf_rec *r, const struct utsname *u)
{
#define A(key) "io.podman.annotations.checkpoint." key
	const char *const rows[][2] = {
		{A("name"), p->head.name},
		{A("rawImageName"), p->head.image},
		{A("rootfsImageID"), p->head.image_id},
		{A("rootfsImageName"), p->head.image},
		{A("runtime.name"), "skiff"},
		{A("runtime.version"), SKF_VERSION},
		{A("host.arch"), u->machine},
		{A("host.kernel"), u->release},
	};
#undef A

	skf_rec_u32(r, SKF_ARRAY_LEN(rows));
	for (size_t i = 0; i < SKF_ARRAY_LEN(rows); i++) {
		skf_rec_str(r, rows[i][0]);
		skf_rec_str(r, rows[i][1]);
	}
}

static int make_image(struct export *p, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	char full[SKF_MAX_REF_BYTES + 1];
	struct skf_digest config;
	struct skf_ref ref;
	struct utsname u;
	struct skf_rec r;

	if (skf_ref_parse(p->x->q->image, &ref, e) < 0)
		return -1;
	if (uname(&u) < 0)
		return skf_fail_sys(e, -errno, "ask for the kernel's name");
	skf_ref_full(&ref, full);
	skf_rec_begin(&r, &b, SKF_IMG_IMPORT, SKF_IMG_VERSION);
	skf_rec_str(&r, p->g->root);
	skf_rec_str(&r, full);
	skf_rec_str(&r, "{}");
	skf_rec_str(&r, "checkpoint of a container");
	skf_rec_str(&r, "");
	put_annotations(p, &r, &u);
	skf_rec_end(&r);
	if (skf_archive_feed(p->g, &b, -1, fill, p, &config, e) < 0)
		return skf_ctx(e, "make the image '%s' of the checkpoint", p->x->q->image);
	skf_image_event(p->g, "import", config.s, full);
	return 0;
}

int skf_cka_export(struct skf_engine *g, const struct skf_cka_export *x, struct skf_err *e)
{
	SKF_AUTO(export_done)
	struct export p = {.g = g, .x = x, .a = SKF_ARENA(SKF_MAX_ARENA_DOC), .dir = -EBADF};

	if (skf_ctr_load(g, x->id, &p.a, &p.c, e) < 0 || make_parts(&p, e) < 0 || put_changes(&p, e) < 0 ||
	    put_volumes(&p, e) < 0 || put_documents(&p, e) < 0)
		return -1;
	if (x->q->export && write_archive(&p, e) < 0)
		return -1;
	return x->q->image ? make_image(&p, e) : 0;
}
