/* tests/unit/store/objects.c */
#include "objects.h"
#include <string.h>

static void blob(struct fix *f, const char *text, struct skf_digest *ret)
{
	OK(skf_unpack_sha256(text, strlen(text), ret, &f->e), f);
	OK(skf_store_blob_put(f->s, ret, text, strlen(text), &f->e), f);
}

static void layer(struct fix *f, const char *text, struct skf_digest *ret)
{
	struct tar *t = tar_new();

	tar_file(t, "file", text);
	OK(up_tar(f, t, ret), f);
}

struct obj obj_image(struct fix *f, const char *name, const char *base)
{
	struct skf_image_layer l[2] = {0};
	struct obj o = {0};
	struct skf_image i = {0};
	char text[128];

	layer(f, base, &o.diff_id[0]);
	layer(f, name, &o.diff_id[1]);
	snprintf(text, sizeof(text), "manifest of %s", name);
	blob(f, text, &o.manifest);
	snprintf(text, sizeof(text), "config of %s", name);
	blob(f, text, &o.config);
	for (int n = 0; n < 2; n++) {
		snprintf(text, sizeof(text), "layer %d of %s", n, n ? name : base);
		o.layer_digest[n] = fix_digest(text);
		l[n] = (struct skf_image_layer){o.layer_digest[n], o.diff_id[n], 100};
	}
	i.manifest = o.manifest;
	i.config = o.config;
	i.media_type = (char *)"application/vnd.oci.image.manifest.v1+json";
	i.platform = (char *)"linux/amd64";
	i.created = (char *)"2026-01-02T03:04:05Z";
	i.from = (char *)"docker.io/library/test";
	i.size = 200;
	i.unpacked = 300;
	i.pulled_ns = 42;
	i.layers = (struct skf_jarr){l, 2};
	OK(skf_store_image_put(f->s, &i, &f->e), f);
	return o;
}

struct skf_ref obj_parse(struct fix *f, const char *name)
{
	struct skf_ref r;

	OK(skf_ref_parse(name, &r, &f->e), f);
	return r;
}

void obj_ref(struct fix *f, const char *name, const struct obj *o)
{
	struct skf_ref r = obj_parse(f, name);

	OK(skf_store_ref_set(f->s, &r, &o->manifest, &o->manifest, &f->e), f);
}

bool obj_there(struct fix *f, const struct obj *o)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(1 << 20);
	struct skf_err e = SKF_ERR_INIT;
	struct skf_image *i;

	return skf_store_image_get(f->s, &o->manifest, &a, &i, &e) == 0 &&
	       skf_store_blob_has(f->s, &o->manifest, &e) == 1 &&
	       skf_store_blob_has(f->s, &o->config, &e) == 1 &&
	       skf_store_layer_has(f->s, &o->diff_id[0], NULL, &e) == 1 &&
	       skf_store_layer_has(f->s, &o->diff_id[1], NULL, &e) == 1;
}
