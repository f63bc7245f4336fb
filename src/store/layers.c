/* store/layers.c -- unpacked layers: when one is usable, and its seal (docs/formats.md).
 * A layer is usable when its seal exists and says that the files reached the disk ("yes") or were written
 * since the machine started (its boot id): page cache and disk can only disagree after a crash of the
 * machine. Blocks on the disk. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/proc.h"
#include "store/store_int.h"
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int seal_check(struct skf_jctx *c, void *obj)
{
	return skf_store_check_ver(c, &((struct skf_seal *)obj)->ver, SKF_SEAL_FORMAT);
}

static const struct skf_jfield seal_f[] = {
	SKF_J(struct skf_seal, ver.v, "v", skf_j_u32, NULL, SKF_J_REQUIRED),
	SKF_J(struct skf_seal, ver.min, "min", skf_j_u32, NULL, SKF_J_REQUIRED),
	SKF_J(struct skf_seal, diff_id, "diffId", skf_store_j_digest, NULL, SKF_J_REQUIRED),
	SKF_J(struct skf_seal, tree, "tree", skf_store_j_digest, NULL, SKF_J_REQUIRED),
	SKF_J(struct skf_seal, files, "files", skf_store_j_digest, NULL, 0),
	SKF_J(struct skf_seal, record, "tar", skf_store_j_digest, NULL, 0),
	SKF_J(struct skf_seal, tar_size, "tarSize", skf_j_u64, NULL, 0),
	SKF_J(struct skf_seal, size, "size", skf_j_u64, NULL, SKF_J_REQUIRED),
	SKF_J(struct skf_seal, inodes, "inodes", skf_j_u64, NULL, SKF_J_REQUIRED),
	SKF_J(struct skf_seal, synced, "synced", skf_j_str_nonempty, NULL, SKF_J_REQUIRED),
	SKF_J_END,
};
static const struct skf_jtable seal_table = {sizeof(struct skf_seal), seal_f, false, seal_check};

int skf_store_seal_read(int layer_fd, struct skf_arena *a, struct skf_seal **ret, struct skf_err *e)
{
	const struct skf_jdoc doc = {.name = "seal", .max_bytes = SKF_MAX_OBJECT_BYTES};
	void *v;

	if (skf_json_decode_at(&doc, layer_fd, "seal", &seal_table, a, &v, e) < 0)
		return -1;
	*ret = v;
	return 0;
}

static int open_layer_dir(struct skf_store *s, const struct skf_digest *diff_id, int *ret_fd,
			  struct skf_err *e)
{
	SKF_AUTO_FD int layers = -EBADF;
	int fd;

	if (skf_store_check_digest(diff_id, e) < 0 || skf_store_dir(s, "layers", &layers, e) < 0)
		return -1;
	fd = skf_openat(layers, skf_digest_hex(diff_id), O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return skf_fail_sys(e, fd, "open the layer '%s'", diff_id->s);
	*ret_fd = fd;
	return 1;
}

/* 1 usable, 2 sealed in an earlier boot and not synced (or with a seal that cannot be read), 0 absent. */
static int layer_state(int layer_fd, const struct skf_digest *diff_id, struct skf_layer_info *ret,
		       struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_OBJECT_BYTES * 4);
	struct skf_err why = SKF_ERR_INIT;
	struct skf_layer_info info = {.diff_id = *diff_id};
	struct skf_seal *seal;
	char boot[37];
	int r;

	if (skf_store_seal_read(layer_fd, &a, &seal, &why) < 0) {
		if (why.kind == SKF_ENOTFOUND)
			return 0;
		if (why.kind == SKF_ESYSTEM || why.kind == SKF_ENOMEM || why.kind == SKF_EDENIED) {
			*e = why;
			return skf_ctx(e, "layer '%s'", diff_id->s);
		}
		/* A seal that a crash left empty or cut: the same as one that was never synced. */
		if (ret)
			*ret = info;
		return 2;
	}
	if (!skf_digest_eq(&seal->diff_id, diff_id))
		return skf_fail(e, SKF_ECORRUPT, "layer '%s': its seal is of '%s'; run 'skiff system check'",
				diff_id->s, seal->diff_id.s);
	info.size = seal->size;
	info.inodes = seal->inodes;
	info.tar_size = seal->record.s[0] ? seal->tar_size : 0;
	info.synced = skf_streq(seal->synced, "yes");
	if (!info.synced) {
		r = skf_boot_id(boot);
		if (r < 0)
			return skf_fail_sys(e, r, "read the boot id");
		info.synced = skf_streq(seal->synced, boot);
	}
	if (ret)
		*ret = info;
	return info.synced ? 1 : 2;
}

int skf_store_layer_has(struct skf_store *s, const struct skf_digest *diff_id, struct skf_layer_info *ret,
			struct skf_err *e)
{
	SKF_AUTO_FD int fd = -EBADF;
	int r = open_layer_dir(s, diff_id, &fd, e);

	return r <= 0 ? r : layer_state(fd, diff_id, ret, e);
}

int skf_store_layer_open(struct skf_store *s, const struct skf_digest *diff_id, int *ret_fd,
			 struct skf_err *e)
{
	SKF_AUTO_FD int fd = -EBADF;
	int r = open_layer_dir(s, diff_id, &fd, e), tree;

	if (r > 0)
		r = layer_state(fd, diff_id, NULL, e);
	if (r < 0)
		return -1;
	if (r == 0)
		return skf_fail(e, SKF_ENOTFOUND, "the store '%s' has no layer '%s'; pull the image again",
				s->root, diff_id->s);
	if (r == 2)
		return skf_fail(e, SKF_ENOTFOUND,
				"layer '%s' is damaged, or was not safely on the disk when the machine last "
				"stopped; pull the image again",
				diff_id->s);
	tree = skf_openat(fd, "tree", O_PATH | O_DIRECTORY | O_NOFOLLOW, 0);
	if (tree < 0)
		return skf_fail_sys(e, tree, "open the files of the layer '%s'", diff_id->s);
	*ret_fd = tree;
	return 0;
}

/* The value is replaced in the text, so that members of a newer version stay. A seal holds no foreign
 * strings. */
int skf_store_seal_set_synced(struct skf_store *s, const struct skf_digest *d, const char *value,
			      struct skf_err *e)
{
	static const char key[] = "\"synced\":\"";
	SKF_AUTO(skf_buf_done) struct skf_buf in = SKF_BUF(SKF_MAX_OBJECT_BYTES);
	SKF_AUTO(skf_buf_done) struct skf_buf out = SKF_BUF(SKF_MAX_OBJECT_BYTES);
	SKF_AUTO_FD int dir = -EBADF;
	const char *at, *end;
	int r = open_layer_dir(s, d, &dir, e);

	if (r < 0)
		return -1;
	if (r > 0)
		r = skf_read_file_at(dir, "seal", SKF_MAX_OBJECT_BYTES, &in);
	else
		r = -ENOENT;
	if (r < 0)
		return skf_fail_sys(e, r, "read the seal of the layer '%s'", d->s);
	at = strstr(skf_buf_cstr(&in), key);
	end = at ? strchr(at + strlen(key), '"') : NULL;
	if (!end)
		return skf_fail(
			e, SKF_ECORRUPT,
			"the seal of the layer '%s' does not say whether it is synced; pull the image again",
			d->s);
	skf_buf_put(&out, in.p, (size_t)(at - in.p) + strlen(key));
	skf_buf_str(&out, value);
	skf_buf_str(&out, end);
	if (skf_streq(skf_buf_cstr(&in), skf_buf_cstr(&out)))
		return 0;
	r = out.err ? out.err : skf_write_atomic_at(dir, "seal", out.p, out.len, 0600, 0);
	return r < 0 ? skf_fail_sys(e, r, "rewrite the seal of the layer '%s'", d->s) : 0;
}

int skf_store_layer_distrust(struct skf_store *s, const struct skf_digest *diff_id, struct skf_err *e)
{
	SKF_AUTO_FD int lock = -EBADF;

	if (skf_store_lock_layer(s, diff_id, &lock, e) < 0)
		return -1;
	if (skf_store_seal_set_synced(s, diff_id, "damaged", e) == 0)
		return 0;
	if (e->kind != SKF_ECORRUPT && e->kind != SKF_ENOTFOUND)
		return -1;
	skf_err_clear(e);
	return 0;
}
