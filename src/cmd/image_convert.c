/* cmd/image_convert.c -- a copy that is not byte for byte: layers compressed another way, and manifests and
 * indexes of the other family (OCI, docker).
 *
 * Documents were read by the tables of oci/ before; here their members are replaced and what is unknown
 * stays as it is. A layer goes once through inflate, hash, compressor and hash into a file without a name;
 * its diff-id must stay. Blocks: disk, and where the layer comes from. */
#include "base/fd.h"
#include "base/limits.h"
#include "cmd/image_place.h"
#include "registry/wire.h"
#include "store/inflate.h"
#include <fcntl.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#define OUT_BYTES  (256u << 10)
#define RATIO_FROM (256ull << 20)
#define OCI        "application/vnd.oci.image."
#define DOCKER     "application/vnd.docker."
#define NOTE       "io.github.containers.zstd-chunked."
#define NOTE_OLD   "io.containers.zstd-chunked." /* podman before 4.4 reads these */

/* --- what is wanted --- */
static enum skf_compression current(const struct skf_desc *d)
{
	return d->media == SKF_MEDIA_LAYER_TAR    ? SKF_COMP_NONE
	       : d->media == SKF_MEDIA_LAYER_GZIP ? SKF_COMP_GZIP
	       : d->media == SKF_MEDIA_LAYER_ZSTD ? SKF_COMP_ZSTD
						  : SKF_COMP_UNKNOWN;
}

enum skf_compression image_wish_layer(const struct image_wish *w, const struct skf_desc *d)
{
	static const enum skf_compression wanted[] = {[SKF_SQUEEZE_AS_IS] = SKF_COMP_UNKNOWN,
						      [SKF_SQUEEZE_GZIP] = SKF_COMP_GZIP,
						      [SKF_SQUEEZE_ZSTD] = SKF_COMP_ZSTD,
						      [SKF_SQUEEZE_ZSTD_CHUNKED] = SKF_COMP_ZSTD,
						      [SKF_SQUEEZE_NONE] = SKF_COMP_NONE};
	enum skf_compression have = current(d), want = w->squeeze < SKF_ARRAY_LEN(wanted)
							       ? wanted[w->squeeze]
							       : SKF_COMP_UNKNOWN;
	if (have == SKF_COMP_UNKNOWN)
		return have; /* no layer of a file system */
	if (want == SKF_COMP_UNKNOWN && have == SKF_COMP_NONE && w->compress_plain)
		want = SKF_COMP_GZIP;
	if (w->as == SKF_AS_DOCKER &&
	    (want == SKF_COMP_ZSTD || (want == SKF_COMP_UNKNOWN && have == SKF_COMP_ZSTD)))
		want = SKF_COMP_GZIP; /* docker's schema 2 knows no zstd */
	if (want == SKF_COMP_ZSTD && w->squeeze == SKF_SQUEEZE_ZSTD_CHUNKED &&
	    !skf_kvs_get(&d->annotations, NOTE "manifest-checksum"))
		return want;
	return want == have && w->level < 0 ? SKF_COMP_UNKNOWN : want;
}

bool image_wish_retype(const struct image_wish *w, const char *type)
{
	return (w->as == SKF_AS_OCI && !skf_startswith(type, OCI)) ||
	       (w->as == SKF_AS_DOCKER && !skf_startswith(type, DOCKER));
}

/* --- a layer --- */
struct squeeze {
	const struct image_peer *peer;
	struct skf_inflate *z; /* NULL: comes uncompressed */
	struct skf_packer *p;
	struct skf_chunked *chunked; /* in place of p */
	uint8_t *out;
	uint64_t n_in, n_out;
	const char *name;
	int fd;
};

static int to_file(void *arg, const void *p, size_t n, struct skf_err *e)
{
	const struct squeeze *s = arg;
	int r = skf_write_full(s->fd, p, n);
	return r < 0 ? skf_fail_sys(e, r, "write the converted layer '%s'", s->name) : 0;
}

static int to_packer(struct squeeze *s, const void *p, size_t n, struct skf_err *e)
{
	s->n_out += n;
	if (s->n_out > SKF_MAX_LAYER_BYTES)
		return skf_fail(e, SKF_ELIMIT, "layer '%s' unpacks to more than the %llu bytes allowed",
				s->name, (unsigned long long)SKF_MAX_LAYER_BYTES);
	if (s->n_out > RATIO_FROM && s->n_out / SKF_MAX_LAYER_RATIO > s->n_in)
		return skf_fail(e, SKF_ELIMIT,
				"layer '%s' unpacks to more than %d times its size: a decompression bomb",
				s->name, SKF_MAX_LAYER_RATIO);
	return s->chunked ? skf_chunked_write(s->chunked, p, n, e) : skf_packer_write(s->p, p, n, e);
}

static int squeeze_write(void *arg, const void *p, size_t n, struct skf_err *e)
{
	struct squeeze *s = arg;
	size_t at = 0;
	s->n_in += n;
	if (image_check_cancel(s->peer, e) < 0)
		return -1;
	if (!s->z)
		return to_packer(s, p, n, e);
	while (at < n || skf_inflate_pending(s->z)) {
		size_t used, made;
		if (skf_inflate_step(s->z, (const uint8_t *)p + at, n - at, &used, s->out, OUT_BYTES, &made,
				     e) < 0)
			return skf_ctx(e, "layer '%s'", s->name);
		at += used;
		if (made && to_packer(s, s->out, made, e) < 0)
			return -1;
	}
	return 0;
}

static int squeeze(struct image_item *i, struct squeeze *s, const struct image_wish *w,
		   struct skf_packed *got, struct skf_err *e)
{
	const struct skf_pack_sink sink = {to_file, s};
	enum skf_compression have = current(&i->desc);
	bool chunked = w->squeeze == SKF_SQUEEZE_ZSTD_CHUNKED && i->squeeze == SKF_COMP_ZSTD;
	s->out = malloc(OUT_BYTES);
	if (!s->out)
		return skf_fail(e, SKF_ENOMEM, "layer '%s'", s->name);
	if ((have != SKF_COMP_NONE && skf_inflate_new(have, &s->z, e) < 0) ||
	    (chunked ? skf_chunked_new(w->level, &sink, &i->diff_id, &s->chunked, e)
		     : skf_packer_new_like(i->squeeze, w->level, &sink, &i->diff_id, &s->p, e)) < 0 ||
	    image_item_pour(i, squeeze_write, s, e) < 0)
		return -1;
	if (s->z && !skf_inflate_complete(s->z))
		return skf_fail(e, SKF_ECORRUPT, "layer '%s': its %s stream is cut off", s->name,
				skf_compression_name(have));
	if (!chunked)
		return skf_packer_end(s->p, got, e);
	if (skf_chunked_end(s->chunked, got, &i->notes, e) < 0)
		return -1;
	if (i->notes.why[0])
		skf_warn(s->peer->log, "layer '%s' becomes plain zstd: %s", s->name, i->notes.why);
	return 0;
}

int image_convert_item(struct image_item *i, const struct image_peer *peer, int tmp,
		       const struct image_wish *w, struct skf_arena *a, struct skf_err *e)
{
	struct squeeze s = {.peer = peer, .name = i->old.s};
	struct skf_packed got;
	(void)a;
	s.fd = skf_openat(tmp, ".", O_TMPFILE | O_RDWR, 0600);
	if (s.fd < 0)
		return skf_fail_sys(e, s.fd, "make a file without a name for layer '%s'", i->old.s);
	int r = squeeze(i, &s, w, &got, e);
	skf_inflate_free(s.z);
	skf_packer_free(s.p);
	skf_chunked_free(s.chunked);
	free(s.out);
	if (r == 0 && i->diff_id.s[0] && !skf_digest_eq(&got.diff_id, &i->diff_id))
		r = skf_fail(e, SKF_ECORRUPT, "layer '%s': expected the diff-id %s, found %s", i->old.s,
			     i->diff_id.s, got.diff_id.s);
	image_item_close(i);
	if (r < 0) {
		skf_closep(&s.fd);
		return -1;
	}
	i->fd = s.fd;
	i->desc.digest = got.digest;
	i->desc.size = got.size;
	return 0;
}

/* --- documents --- */
static const struct {
	const char *oci, *docker;
} pairs[] = {
	{OCI "index.v1+json", DOCKER "distribution.manifest.list.v2+json"},
	{OCI "manifest.v1+json", DOCKER "distribution.manifest.v2+json"},
	{OCI "config.v1+json", DOCKER "container.image.v1+json"},
	{OCI "layer.v1.tar", DOCKER "image.rootfs.diff.tar"},
	{OCI "layer.v1.tar+gzip", DOCKER "image.rootfs.diff.tar.gzip"},
	{OCI "layer.v1.tar+zstd", DOCKER "image.rootfs.diff.tar.zstd"},
	{OCI "layer.nondistributable.v1.tar+gzip", DOCKER "image.rootfs.foreign.diff.tar.gzip"},
};

/* The same thing in the family of `as`; what has no partner stays. */
static const char *retyped(const char *type, uint32_t as)
{
	for (size_t i = 0; type && i < SKF_ARRAY_LEN(pairs); i++)
		if (skf_streq(type, pairs[i].oci) || skf_streq(type, pairs[i].docker))
			return as == SKF_AS_OCI      ? pairs[i].oci
			       : as == SKF_AS_DOCKER ? pairs[i].docker
						     : type;
	return type;
}

static const char *member(struct json_object *o, const char *key)
{
	struct json_object *v;
	return json_object_object_get_ex(o, key, &v) ? json_object_get_string(v) : NULL;
}

static void set_type(struct json_object *o, uint32_t as)
{
	const char *old = member(o, "mediaType"), *now = retyped(old, as);
	if (old && now != old)
		json_object_object_add(o, "mediaType", json_object_new_string(now));
}

/* The type of a layer compressed another way, in the family that it was of. */
static const char *squeezed(const char *type, enum skf_compression c)
{
	size_t i = c == SKF_COMP_NONE ? 3 : c == SKF_COMP_GZIP ? 4 : 5;
	return skf_startswith(type, DOCKER) ? pairs[i].docker : pairs[i].oci;
}

static void set_blob(struct json_object *o, const struct image_item *i)
{
	struct json_object *notes;
	json_object_object_add(o, "digest", json_object_new_string(i->desc.digest.s));
	json_object_object_add(o, "size", json_object_new_uint64(i->desc.size));
	json_object_object_add(o, "mediaType",
			       json_object_new_string(squeezed(i->desc.media_type, i->squeeze)));
	json_object_object_del(o, "data");
	const struct {
		const char *key, *value;
	} said[] = {{NOTE "manifest-checksum", i->notes.checksum},
		    {NOTE "manifest-position", i->notes.position},
		    {NOTE "tarsplit-position", i->notes.tarsplit},
		    {NOTE_OLD "manifest-checksum", i->notes.checksum},
		    {NOTE_OLD "manifest-position", i->notes.position}};
	if (json_object_object_get_ex(o, "annotations", &notes)) /* of other bytes */
		for (size_t k = 0; k < SKF_ARRAY_LEN(said); k++)
			json_object_object_del(notes, said[k].key);
	if (!i->notes.checksum[0])
		return;
	if (!json_object_object_get_ex(o, "annotations", &notes) ||
	    !json_object_is_type(notes, json_type_object)) {
		notes = json_object_new_object();
		json_object_object_add(o, "annotations", notes);
	}
	for (size_t k = 0; k < SKF_ARRAY_LEN(said); k++)
		json_object_object_add(notes, said[k].key, json_object_new_string(said[k].value));
}

static int set_layers(struct json_object *root, const struct image_wish *w, const struct image_item *v,
		      size_t n, struct skf_err *e)
{
	struct json_object *layers;
	if (!json_object_object_get_ex(root, "layers", &layers) ||
	    !json_object_is_type(layers, json_type_array))
		return skf_fail(e, SKF_ECORRUPT, "the manifest has no layers");
	for (size_t k = 0; k < json_object_array_length(layers); k++) {
		struct json_object *o = json_object_array_get_idx(layers, k);
		const char *d = member(o, "digest");
		for (size_t i = 0; i < n; i++)
			if (!v[i].config && v[i].squeeze != SKF_COMP_UNKNOWN && skf_streq(d, v[i].old.s)) {
				set_blob(o, &v[i]);
				break;
			}
		set_type(o, w->as);
	}
	return 0;
}

static int put_back(struct image_doc *d, struct json_object *root, struct skf_err *e)
{
	size_t len = 0;
	const char *s = json_object_to_json_string_length(
		root, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &len);
	const char *type = member(root, "mediaType");
	skf_buf_clear(&d->b);
	skf_buf_put(&d->b, s, s ? len : 0);
	if (!len || d->b.err)
		return skf_fail(e, SKF_ENOMEM, "manifest");
	if (type && skf_fmt(d->type, sizeof(d->type), "%s", type) < 0)
		return skf_fail(e, SKF_EINVALID, "the manifest's media type is too long");
	return image_doc_name(d, NULL, e);
}

/* docker's schema 2 has no members for these. */
static const char *const oci_only[] = {"annotations", "subject", "artifactType"};

static int set_family(struct json_object *root, struct image_doc *d, uint32_t as, struct skf_err *e)
{
	const char *now = retyped(d->type, as);
	if (as == SKF_AS_DOCKER && member(root, "subject"))
		return skf_fail(e, SKF_EUNSUPPORTED,
				"'%s' refers to a subject, which docker's formats cannot say", d->digest.s);
	for (size_t i = 0; as == SKF_AS_DOCKER && i < SKF_ARRAY_LEN(oci_only); i++)
		json_object_object_del(root, oci_only[i]);
	if (as != SKF_AS_IS)
		json_object_object_add(root, "mediaType", json_object_new_string(now));
	return 0;
}

int image_convert_manifest(struct image_doc *d, const struct image_wish *w, const struct image_item *v,
			   size_t n, struct skf_err *e)
{
	struct json_object *config, *root = json_tokener_parse(skf_buf_cstr(&d->b));
	int r = root ? set_layers(root, w, v, n, e)
		     : skf_fail(e, SKF_ECORRUPT, "manifest '%s' is no JSON", d->digest.s);
	if (r == 0 && json_object_object_get_ex(root, "config", &config))
		set_type(config, w->as);
	if (r == 0)
		r = set_family(root, d, w->as, e);
	if (r == 0)
		r = put_back(d, root, e);
	json_object_put(root);
	return r;
}

int image_convert_index(struct image_doc *d, const struct image_wish *w, const struct image_moved *v,
			size_t n, struct skf_err *e)
{
	struct json_object *list, *root = json_tokener_parse(skf_buf_cstr(&d->b));
	int r = root && json_object_object_get_ex(root, "manifests", &list)
			? 0
			: skf_fail(e, SKF_ECORRUPT, "index '%s' has no manifests", d->digest.s);
	for (size_t k = 0; r == 0 && k < json_object_array_length(list); k++) {
		struct json_object *o = json_object_array_get_idx(list, k);
		const char *digest = member(o, "digest");
		for (size_t i = 0; i < n; i++) {
			if (!skf_streq(digest, v[i].old.s))
				continue;
			json_object_object_add(o, "digest", json_object_new_string(v[i].now.s));
			json_object_object_add(o, "size", json_object_new_uint64(v[i].size));
			json_object_object_add(o, "mediaType", json_object_new_string(v[i].type));
			break;
		}
	}
	if (r == 0)
		r = set_family(root, d, w->as, e);
	if (r == 0)
		r = put_back(d, root, e);
	json_object_put(root);
	return r;
}
