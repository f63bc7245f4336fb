/* engine/plan_image.c -- the image of a container: its config and its layers, verified when they have to be;
 * or with --rootfs a directory. */
#include "engine/create_int.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct damage {
	char diff_id[SKF_DIGEST_MAX];
	char why[256];
};

static void note_damage(void *arg, const char *diff_id, bool blob, const char *why)
{
	struct damage *d = arg;

	(void)blob;
	if (skf_fmt(d->diff_id, sizeof(d->diff_id), "%s", diff_id) < 0 ||
	    skf_fmt(d->why, sizeof(d->why), "%s", why) < 0)
		memcpy(d->diff_id, "?", 2); /* too long to be shown; that there is damage counts */
}

/* 1 at least one layer waited for this and is good, 0 none did (e still says what is missing), -1. */
static int verify_layers(struct skf_plan *p, struct skf_err *e)
{
	const struct skf_image_layer *l = p->image->layers.v;
	struct skf_err x = SKF_ERR_INIT;
	struct damage bad = {"", ""};
	struct skf_layer_info info;
	int found = 0;

	for (size_t i = 0; i < p->image->layers.n; i++) {
		if (skf_store_layer_has(p->g->store, &l[i].diff_id, &info, &x) != 2)
			continue;
		if (skf_image_verify(p->g, l[i].diff_id.s, 0, note_damage, &bad, e) < 0)
			return skf_ctx(e, "verify a layer of '%s'", p->q->image);
		if (bad.diff_id[0])
			return skf_fail(e, SKF_ECORRUPT,
					"layer '%s' of image '%s' is damaged: %s; pull it again",
					bad.diff_id, p->q->image, bad.why);
		found = 1;
	}
	return found;
}

static int plan_layers(struct skf_plan *p, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_CONFIG_BLOB_BYTES);
	const struct skf_image_layer *l = p->image->layers.v;
	char full[SKF_MAX_REF_BYTES + 1];

	if (skf_store_blob_read(p->g->store, &p->image->config, SKF_MAX_CONFIG_BLOB_BYTES, &b, e) < 0 ||
	    skf_image_config_parse(skf_buf_cstr(&b), b.len, p->a, &p->ic, e) < 0)
		return skf_ctx(e, "image '%s'", p->q->image);
	skf_ref_full(&p->ref.ref, full);
	/* Found by id: there may be no reference at all, and the id is what names it. */
	p->conf.image = skf_arena_strdup(p->a, p->ref.ref.repo[0] ? full : p->image->config.s);
	p->conf.image_id = p->image->config.s;
	p->conf.manifest = p->image->manifest.s;
	p->req.image = skf_arena_strdup(p->a, p->q->image);
	if (!p->conf.image || !p->req.image)
		return skf_plan_no_memory(e);
	for (size_t i = 0; i < p->image->layers.n; i++)
		if (skf_strv_add(p->a, &p->conf.layers, l[i].diff_id.s) < 0)
			return skf_plan_no_memory(e);
	if (skf_layered_open(p->g, -1, &p->conf.layers, &p->layers, e) == 0)
		return 0;
	/* After a reboot a layer that was not yet on the disk counts as absent until it is verified. */
	if (e->kind != SKF_ENOTFOUND || verify_layers(p, e) != 1)
		return -1;
	skf_err_clear(e);
	return skf_layered_open(p->g, -1, &p->conf.layers, &p->layers, e);
}

/* --rootfs: no image at all. Users are looked up in the directory. */
static int plan_rootfs(struct skf_plan *p, struct skf_err *e)
{
	p->conf.image = p->conf.image_id = p->conf.manifest = p->req.image = skf_arena_strdup(p->a, "");
	p->ic = skf_arena_alloc(p->a, sizeof(*p->ic));
	if (!p->conf.image || !p->ic)
		return skf_plan_no_memory(e);
	p->layers.fd[0] = skf_openat(AT_FDCWD, p->conf.rootfs, O_RDONLY | O_DIRECTORY, 0);
	if (p->layers.fd[0] < 0)
		return skf_fail_sys(e, p->layers.fd[0], "open the root directory '%s'", p->conf.rootfs);
	p->layers.n = 1;
	return 0;
}

/* "DIR[:O][:idmap]" */
int skf_plan_rootfs(struct skf_plan *p, struct skf_err *e)
{
	const char *word = p->q->s.rootfs;
	size_t n = word ? strcspn(word, ":") : 0;
	SKF_AUTO_FREE char *real = NULL;
	struct stat st;
	char *dir;

	if (!word)
		return 0;
	for (const char *o = word + n; *o;) {
		size_t k = strcspn(++o, ":");

		if (k == 1 && *o == 'O')
			p->conf.rootfs_overlay = true;
		else if (k == strlen("idmap") && memcmp(o, "idmap", k) == 0)
			p->conf.rootfs_idmap = true;
		else
			return skf_fail(e, SKF_EINVALID,
					"--rootfs %s: unknown option '%.*s': expected O or idmap", word,
					(int)k, o);
		o += k;
	}
	dir = skf_arena_dup(p->a, word, n);
	if (!dir)
		return skf_plan_no_memory(e);
	real = realpath(dir, NULL);
	if (!real || stat(real, &st) < 0)
		return skf_fail_sys(e, -errno, "open the root directory '%s'", dir);
	if (!S_ISDIR(st.st_mode))
		return skf_fail(e, SKF_EINVALID, "--rootfs: '%s' is not a directory", dir);
	if (p->conf.rootfs_idmap && !p->gen.ns[SKF_NS_USER].on)
		return skf_fail(e, SKF_EINVALID,
				"--rootfs %s: idmap needs a user namespace (--userns, --uidmap)", word);
	p->conf.rootfs = skf_arena_strdup(p->a, real);
	return p->conf.rootfs ? 0 : skf_plan_no_memory(e);
}

int skf_plan_image(struct skf_plan *p, struct skf_err *e)
{
	if (p->conf.rootfs)
		return plan_rootfs(p, e);
	return plan_layers(p, e);
}
