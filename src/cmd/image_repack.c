/* cmd/image_repack.c -- layers of which nobody has the compressed bytes any more, made again from the
 * unpacked ones for a push. The tar is the original one bit for bit (store/pack.h); its compressed form may
 * be another, and the manifest then names that. Blocks: disk, CPU. */
#include "base/fd.h"
#include "base/limits.h"
#include "cmd/image_int.h"
#include "store/pack.h"
#include <fcntl.h>
#include <json-c/json.h>
#include <string.h>
#include <unistd.h>

static int to_file(void *arg, const void *p, size_t n, struct skf_err *e)
{
	const int *fd = arg;
	int r = skf_write_full(*fd, p, n);
	return r < 0 ? skf_fail_sys(e, r, "write a packed layer into the store") : 0;
}

int image_repack_layer(struct skf_store *s, const struct skf_digest *diff_id, enum skf_media media,
		       int *ret_fd, struct skf_digest *ret_digest, uint64_t *ret_size, struct skf_err *e)
{
	enum skf_compression c = media == SKF_MEDIA_LAYER_TAR    ? SKF_COMP_NONE
				 : media == SKF_MEDIA_LAYER_ZSTD ? SKF_COMP_ZSTD
								 : SKF_COMP_GZIP;
	SKF_AUTO_FD int fd = skf_openat(skf_store_fd(s), ".", O_TMPFILE | O_RDWR, 0600);
	const struct skf_pack_sink sink = {to_file, &fd};
	struct skf_packed x;
	if (fd < 0)
		return skf_fail_sys(e, fd, "make a file without a name in the store '%s'",
				    skf_store_root(s));
	if (skf_pack_layer_as(s, diff_id, c, -1, &sink, &x, e) < 0)
		return skf_ctx(e, "pack layer '%s' again", diff_id->s);
	if (!x.exact)
		return skf_fail(e, SKF_EUNSUPPORTED,
				"layer '%s' cannot be packed again bit for bit, and nobody has its blob any "
				"more; commit or import it anew",
				diff_id->s);
	*ret_fd = SKF_TAKE_FD(fd);
	*ret_digest = x.digest;
	*ret_size = x.size;
	return 0;
}

static void replace(struct json_object *layer, const struct image_renamed *v, size_t n)
{
	struct json_object *d;
	if (!json_object_object_get_ex(layer, "digest", &d))
		return;
	for (size_t i = 0; i < n; i++) {
		if (!skf_streq(json_object_get_string(d), v[i].old.s))
			continue;
		json_object_object_add(layer, "digest", json_object_new_string(v[i].now.s));
		json_object_object_add(layer, "size", json_object_new_uint64(v[i].size));
		if (v[i].type)
			json_object_object_add(layer, "mediaType", json_object_new_string(v[i].type));
		return;
	}
}

int image_manifest_rename(struct skf_buf *manifest, const struct image_renamed *v, size_t n,
			  struct skf_err *e)
{
	struct json_object *layers, *root = json_tokener_parse(skf_buf_cstr(
					    manifest)); /* it was read by our own tables before */
	size_t len = 0;
	if (!root || !json_object_object_get_ex(root, "layers", &layers) ||
	    !json_object_is_type(layers, json_type_array)) {
		json_object_put(root);
		return skf_fail(e, SKF_ECORRUPT, "the manifest has no layers");
	}
	for (size_t i = 0; i < json_object_array_length(layers); i++)
		replace(json_object_array_get_idx(layers, i), v, n);
	const char *s = json_object_to_json_string_length(
		root, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &len);
	skf_buf_clear(manifest);
	skf_buf_put(manifest, s, s ? len : 0);
	json_object_put(root);
	return manifest->err || !len ? skf_fail(e, SKF_ENOMEM, "manifest") : 0;
}
