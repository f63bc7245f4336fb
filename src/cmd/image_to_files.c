/* cmd/image_to_files.c -- copies into files: an OCI layout (directory or archive) and skopeo's dir:.
 *
 * Invariants: 1. names are made of digests that passed their grammar; 2. a file has its name when it is
 * whole; 3. index.json, manifest.json and version are written last, what other images a layout directory has
 * stays. In directories several blobs are written at a time. Blocks: disk, and the source. */
#include "base/fd.h"
#include "base/limits.h"
#include "cmd/image_place.h"
#include "sys/path.h"
#include <fcntl.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_OCI "org.opencontainers.image.ref.name"
#define PARALLEL 4
#define VERSION  "Directory Transport Version: 1.1\n"

struct to_files {
	struct image_to x;
	struct image_out out;
	bool oci;
	struct skf_digest top;
	char type[128];
	size_t size;
};

static int name_of(const struct to_files *t, const struct skf_digest *d, bool manifest, char out[160],
		   struct skf_err *e)
{
	const char *hex = skf_digest_hex(d);
	int r = t->oci ? skf_fmt(out, 160, "blobs/%.*s/%s", (int)(hex - 1 - d->s), d->s, hex)
		       : skf_fmt(out, 160, "%s%s%s", skf_digest_is_sha256(d) ? "" : SKF_DIR_SHA512, hex,
				 manifest ? ".manifest.json" : "");
	return r < 0 ? skf_fail(e, SKF_EBUG, "name of blob '%s'", d->s) : 0;
}

/* 1 a file of that name and size is there. */
static int there(const struct to_files *t, const char *name, uint64_t size, struct skf_err *e)
{
	struct stat st;
	if (!t->out.dir)
		return image_out_has(&t->out, name);
	int fd = skf_path_open_nolinks(t->out.fd, name, O_PATH, 0);
	if (fd == -ENOENT || fd == -ENOTDIR)
		return 0;
	if (fd < 0)
		return skf_fail_sys(e, fd, "look for '%s' in the directory", name);
	bool same = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == size;
	skf_closep(&fd);
	return same;
}

static int put_blob(struct image_item *i, struct image_out *out, const char *name, struct skf_err *e)
{
	if (image_out_begin(out, name, i->desc.size, e) < 0 ||
	    image_item_pour(i, image_out_write, out, e) < 0)
		return -1;
	return image_out_end(out, e);
}

static int one(struct image_item *i, void *arg, struct skf_err *e)
{
	struct to_files *t = arg;
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(1u << 20);
	struct image_out out = {
		.peer = t->x.peer, .fd = t->out.fd, .dir = t->out.dir, .file = -EBADF, .a = &a};
	char name[160];
	if (name_of(t, &i->desc.digest, false, name, e) < 0)
		return -1;
	int has = there(t, name, i->desc.size, e);
	if (has)
		return has < 0 ? -1 : 0;
	int r = put_blob(i, t->out.dir ? &out : &t->out, name, e);
	if (r < 0 && t->out.dir)
		image_out_drop(&out);
	image_item_close(i);
	return r;
}

static int files_blobs(struct image_to *x, struct image_item *v, size_t n, struct skf_err *e)
{
	struct to_files *t = (struct to_files *)x;
	size_t k = 0;
	for (size_t i = 0; i < n; i++) { /* two threads must not write one file */
		bool twice = false;
		for (size_t j = 0; j < k; j++)
			twice |= skf_digest_eq(&v[j].desc.digest, &v[i].desc.digest);
		if (twice)
			continue;
		struct image_item tmp = v[k];
		v[k++] = v[i];
		if (k - 1 != i)
			v[i] = tmp;
	}
	return image_items_each(v, k, t->out.dir ? PARALLEL : 1, one, t, e);
}

static int files_manifest(struct image_to *x, const struct image_doc *d, bool top, struct skf_err *e)
{
	struct to_files *t = (struct to_files *)x;
	char name[160];
	if (top) {
		t->top = d->digest;
		t->size = d->b.len;
		memcpy(t->type, d->type, sizeof(t->type));
	}
	if (!t->oci && top)
		return image_out_small(&t->out, "manifest.json", &d->b, e);
	if (name_of(t, &d->digest, true, name, e) < 0)
		return -1;
	return image_out_small(&t->out, name, &d->b, e);
}

/* --- index.json --- */
static bool same_name(struct json_object *entry, const char *name)
{
	struct json_object *notes, *v;
	bool has = json_object_object_get_ex(entry, "annotations", &notes) &&
		   json_object_object_get_ex(notes, NAME_OCI, &v);
	return *name ? has && skf_streq(json_object_get_string(v), name) : !has;
}

static struct json_object *new_entry(const struct to_files *t)
{
	struct json_object *o = json_object_new_object(), *notes;
	json_object_object_add(o, "mediaType", json_object_new_string(t->type));
	json_object_object_add(o, "digest", json_object_new_string(t->top.s));
	json_object_object_add(o, "size", json_object_new_uint64(t->size));
	if (*t->x.place->name) {
		notes = json_object_new_object();
		json_object_object_add(notes, NAME_OCI, json_object_new_string(t->x.place->name));
		json_object_object_add(o, "annotations", notes);
	}
	return o;
}

/* The entries of an index that is there, but for the one that is replaced. */
static struct json_object *kept(const struct to_files *t, const struct skf_buf *old)
{
	struct json_object *root = old->len ? json_tokener_parse(skf_buf_cstr(old)) : NULL, *list,
			   *out = json_object_new_array();
	if (root && json_object_object_get_ex(root, "manifests", &list))
		for (size_t i = 0; i < json_object_array_length(list); i++) {
			struct json_object *o = json_object_array_get_idx(list, i), *d;
			bool same = !*t->x.place->name && json_object_object_get_ex(o, "digest", &d) &&
				    skf_streq(json_object_get_string(d), t->top.s);
			if (!same && !same_name(o, t->x.place->name))
				json_object_array_add(out, json_object_get(o));
		}
	json_object_put(root);
	return out;
}

static int read_old(const struct to_files *t, struct skf_buf *old, struct skf_err *e)
{
	enum skf_media kind;
	if (!t->out.dir)
		return 0;
	SKF_AUTO_FD int fd = skf_path_open_nolinks(t->out.fd, "index.json", O_RDONLY, 0);
	if (fd == -ENOENT)
		return 0;
	int r = fd < 0 ? fd : skf_read_fd(fd, SKF_MAX_MANIFEST_BYTES, old);
	if (r < 0)
		return skf_fail_sys(e, r, "read index.json of the layout");
	return skf_manifest_kind(skf_buf_cstr(old), old->len, "", &kind, e) < 0
		       ? skf_ctx(e, "index.json of the layout")
		       : 0;
}

static int put_index(struct to_files *t, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done)
	struct skf_buf b = SKF_BUF(SKF_MAX_MANIFEST_BYTES), old = SKF_BUF(SKF_MAX_MANIFEST_BYTES + 1),
		       layout = SKF_BUF(128);
	if (read_old(t, &old, e) < 0)
		return -1;
	struct json_object *root = json_object_new_object(), *list = kept(t, &old);
	json_object_array_add(list, new_entry(t));
	json_object_object_add(root, "schemaVersion", json_object_new_int(2));
	json_object_object_add(root, "mediaType",
			       json_object_new_string("application/vnd.oci.image.index.v1+json"));
	json_object_object_add(root, "manifests", list);
	skf_buf_str(&b, json_object_to_json_string_ext(root, JSON_C_TO_STRING_PLAIN |
								     JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(root);
	skf_buf_str(&layout, "{\"imageLayoutVersion\":\"1.0.0\"}");
	if (image_out_small(&t->out, "oci-layout", &layout, e) < 0 ||
	    image_out_small(&t->out, "index.json", &b, e) < 0)
		return -1;
	return 0;
}

static int files_end(struct image_to *x, struct skf_err *e)
{
	struct to_files *t = (struct to_files *)x;
	SKF_AUTO(skf_buf_done) struct skf_buf version = SKF_BUF(64);
	skf_buf_str(&version, VERSION);
	if ((t->oci ? put_index(t, e) : image_out_small(&t->out, "version", &version, e)) < 0)
		return -1;
	return image_out_finish(&t->out, e);
}

static void files_free(struct image_to *x)
{
	image_out_drop(&((struct to_files *)x)->out);
}

int image_to_files(struct image_to **x, struct skf_err *e)
{
	static const struct image_to_ops ops = {files_blobs, files_manifest, files_end, files_free};
	struct to_files *t = calloc(1, sizeof(*t));
	if (!t)
		return skf_fail(e, SKF_ENOMEM, "destination");
	t->x = **x;
	t->x.ops = &ops;
	t->oci = t->x.place->kind == SKF_PLACE_OCI;
	t->out.file = -EBADF;
	free(*x);
	*x = &t->x;
	if (image_out_init(&t->out, t->x.peer, t->x.place->fd, &t->x.a, e) < 0)
		return -1;
	if (!t->oci && !t->out.dir)
		return skf_fail(e, SKF_EINVALID, "dir: wants a directory");
	return t->oci && t->out.dir ? image_out_layout(&t->out, e) : 0;
}
