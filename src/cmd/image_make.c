/* cmd/image_make.c -- documents and records of images that this machine makes or takes in. The order makes a
 * kill at any point harmless: documents and layers are named in the lease first, the record comes when all
 * of them are there and synced, references last. Blocks on the disk. */
#include "base/fd.h"
#include "base/limits.h"
#include "cmd/image_archive.h"
#include <string.h>

int image_keep_doc(struct skf_store *s, struct skf_lease *l, const struct skf_buf *b, struct skf_digest *ret,
		   struct skf_err *e)
{
	struct skf_digest d;

	if (b->err)
		return skf_fail_sys(e, b->err, "write a document of the image");
	if (skf_unpack_sha256(b->p, b->len, &d, e) < 0 || skf_lease_add(l, &d, e) < 0 ||
	    skf_store_blob_put(s, &d, b->p, b->len, e) < 0)
		return -1;
	*ret = d;
	return 0;
}

static void put_desc(struct skf_jw *w, const char *type, const struct skf_digest *d, uint64_t size)
{
	skf_jw_kstr(w, "mediaType", type);
	skf_jw_kstr(w, "digest", d->s);
	skf_jw_ku64(w, "size", size);
}

static const char *layer_type(bool docker, enum skf_compression c)
{
	static const char *const types[][3] = {{"application/vnd.oci.image.layer.v1.tar",
						"application/vnd.oci.image.layer.v1.tar+gzip",
						"application/vnd.oci.image.layer.v1.tar+zstd"},
					       {"application/vnd.docker.image.rootfs.diff.tar",
						"application/vnd.docker.image.rootfs.diff.tar.gzip",
						"application/vnd.docker.image.rootfs.diff.tar.zstd"}};

	return types[docker][c == SKF_COMP_GZIP ? 1 : c == SKF_COMP_ZSTD ? 2 : 0];
}

void image_write_manifest(struct skf_buf *b, const char *type, const struct skf_digest *config,
			  uint64_t config_size, const struct skf_image_layer *layers, size_t n,
			  enum skf_compression c, const struct skf_kvs *annotations)
{
	struct skf_jw w = SKF_JW(b);
	bool docker = skf_streq(type, SKF_DOCKER_MANIFEST);

	skf_jw_obj(&w);
	skf_jw_ku64(&w, "schemaVersion", 2);
	skf_jw_kstr(&w, "mediaType", type);
	skf_jw_kobj(&w, "config");
	put_desc(&w,
		 docker ? "application/vnd.docker.container.image.v1+json"
			: "application/vnd.oci.image.config.v1+json",
		 config, config_size);
	skf_jw_end(&w);
	skf_jw_karr(&w, "layers");
	for (size_t i = 0; i < n; i++) {
		skf_jw_obj(&w);
		put_desc(&w, layer_type(docker, c), &layers[i].digest, layers[i].size);
		skf_jw_end(&w);
	}
	skf_jw_end_arr(&w);
	if (annotations && annotations->n)
		skf_jw_kkvs(&w, "annotations", annotations);
	skf_jw_end(&w);
}

static int put_record(const struct image_new *i, struct skf_err *e)
{
	struct skf_image im = {.manifest = *i->manifest, .config = *i->config, .pulled_ns = skf_now_ns()};
	const struct skf_platform *p = i->platform;
	char platform[80];

	if (skf_fmt(platform, sizeof(platform), "%s/%s%s%s", p->os, p->arch, p->variant[0] ? "/" : "",
		    p->variant) < 0)
		return skf_fail(e, SKF_EINVALID, "the platform of image '%s' is too long", i->manifest->s);
	for (size_t k = 0; k < i->n; k++) {
		struct skf_layer_info info;
		int has = skf_store_layer_has(i->s, &i->layers[k].diff_id, &info, e);

		if (has < 0)
			return -1;
		if (has != 1)
			return skf_fail(e, SKF_ECORRUPT, "layer '%s' went away meanwhile; try again",
					i->layers[k].diff_id.s);
		im.size += i->layers[k].size;
		im.unpacked += info.size;
	}
	im.media_type = skf_arena_strdup(i->a, i->media_type);
	im.created = skf_arena_strdup(i->a, i->created ? i->created : "");
	im.from = skf_arena_strdup(i->a, i->from);
	im.platform = platform;
	im.layers = (struct skf_jarr){(void *)(uintptr_t)i->layers, i->n};
	if (!im.media_type || !im.created || !im.from)
		return skf_fail(e, SKF_ENOMEM, "record of '%s'", i->manifest->s);
	return skf_store_image_put(i->s, &im, e);
}

int image_record(const struct image_new *i, const struct skf_digest *top, const struct skf_strv *names,
		 struct skf_err *e)
{
	struct skf_ref ref;

	if (put_record(i, e) < 0)
		return -1;
	for (size_t k = 0; k < names->n; k++) {
		if (skf_ref_parse(names->v[k], &ref, e) < 0 ||
		    skf_store_ref_set(i->s, &ref, top, i->manifest, e) < 0)
			return skf_ctx(e, "name '%.200s'", names->v[k]);
	}
	if (names->n)
		return 0;
	skf_store_nameless(i->manifest, &ref);
	return skf_store_ref_set(i->s, &ref, top, i->manifest, e);
}
