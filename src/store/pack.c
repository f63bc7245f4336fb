/* store/pack.c -- the tar of a layer again: the record's bytes and the tree's files in the record's order
 * (pack.h).
 *
 * The record and the tree are the store's own, but a disk may have changed them: every number is checked,
 * names go through the same cleaning as when they were unpacked and are opened below the tree only, and the
 * digest of the whole has to be the diff-id. Blocks on the disk and in the sink. */
#include "base/arena.h"
#include "base/fd.h"
#include "store/unpack_int.h"
#include "sys/path.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define IN_BYTES   (64u << 10)
#define RAW_BYTES  (128u << 10)
#define DATA_BYTES (256u << 10)

struct job {
	const struct skf_digest *diff_id;
	int layer, tree, record; /* directories and file of the layer */
	struct skf_seal *seal;
	struct skf_arena a;
	struct skf_packer *out;
	struct skf_inflate *inf;
	uint8_t *in, *raw, *data;
	size_t in_at, in_n, raw_at, raw_n;
	bool eof;
	int parent; /* of the file read last */
	char parent_path[SKF_MAX_TAR_PATH];
	uint64_t n_tar;
};

static void job_done(struct job *j)
{
	skf_packer_free(j->out);
	skf_inflate_free(j->inf);
	free(j->in);
	free(j->raw);
	free(j->data);
	skf_closep(&j->layer);
	skf_closep(&j->tree);
	skf_closep(&j->record);
	skf_closep(&j->parent);
	skf_arena_done(&j->a);
}

static int damaged(const struct job *j, const char *what, struct skf_err *e)
{
	return skf_fail(
		e, SKF_ECORRUPT,
		"layer '%s': its tar record %s; run 'skiff system check --repair' and pull the image again",
		j->diff_id->s, what);
}

static void job_init(struct job *j, const struct skf_digest *diff_id)
{
	j->layer = j->tree = j->record = j->parent = -EBADF;
	j->a = (struct skf_arena)SKF_ARENA(SKF_MAX_OBJECT_BYTES * 4);
	j->diff_id = diff_id;
}

static int open_record(struct job *j, int layer, struct skf_err *e)
{
	if (!j->seal->record.s[0])
		return 0;
	j->record = skf_openat(layer, SKF_RECORD_NAME, O_RDONLY | O_NOFOLLOW, 0);
	return j->record < 0 ? damaged(j, "cannot be opened", e) : 0;
}

static int layer_open(struct skf_store *s, const struct skf_digest *diff_id, struct job *j,
		      struct skf_err *e)
{
	SKF_AUTO_FD int layers = -EBADF;

	job_init(j, diff_id);
	if (skf_store_layer_open(s, diff_id, &j->tree, e) < 0 || skf_store_dir(s, "layers", &layers, e) < 0)
		return -1;
	j->layer = skf_openat(layers, skf_digest_hex(diff_id), O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (j->layer < 0)
		return skf_fail_sys(e, j->layer, "open the layer '%s'", diff_id->s);
	if (skf_store_seal_read(j->layer, &j->a, &j->seal, e) < 0)
		return skf_ctx(e, "layer '%s'", diff_id->s);
	return open_record(j, j->layer, e);
}

/* --- reading the record --- */

static int more(struct job *j, struct skf_err *e)
{
	ssize_t n;

	j->raw_at = j->raw_n = 0;
	while (j->raw_n == 0) {
		size_t used = 0;

		if (j->in_at == j->in_n && !j->eof && !skf_inflate_pending(j->inf)) {
			do
				n = read(j->record, j->in, IN_BYTES);
			while (n < 0 && errno == EINTR);
			if (n < 0)
				return skf_fail_sys(e, -errno, "read the tar record of the layer '%s'",
						    j->diff_id->s);
			j->eof = n == 0;
			j->in_at = 0;
			j->in_n = (size_t)n;
		}
		if (j->in_at == j->in_n && j->eof)
			return damaged(j, "is cut short", e);
		if (skf_inflate_step(j->inf, j->in + j->in_at, j->in_n - j->in_at, &used, j->raw, RAW_BYTES,
				     &j->raw_n, e) < 0)
			return damaged(j, "cannot be decompressed", e);
		j->in_at += used;
	}
	return 0;
}

static int get_bytes(struct job *j, void *to, size_t n, struct skf_err *e)
{
	for (uint8_t *p = to; n > 0;) {
		size_t k;

		if (j->raw_at == j->raw_n && more(j, e) < 0)
			return -1;
		k = j->raw_n - j->raw_at < n ? j->raw_n - j->raw_at : n;
		memcpy(p, j->raw + j->raw_at, k);
		j->raw_at += k;
		p += k;
		n -= k;
	}
	return 0;
}

static int get_number(struct job *j, uint64_t *ret, struct skf_err *e)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		uint8_t b;

		if (get_bytes(j, &b, 1, e) < 0)
			return -1;
		v |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80)) {
			*ret = v;
			return 0;
		}
	}
	return damaged(j, "has a number that does not end", e);
}

static int copy_bytes(struct job *j, struct skf_err *e)
{
	uint64_t n;

	if (get_number(j, &n, e) < 0)
		return -1;
	j->n_tar += n;
	while (n > 0) {
		size_t k;

		if (j->raw_at == j->raw_n && more(j, e) < 0)
			return -1;
		k = j->raw_n - j->raw_at < n ? j->raw_n - j->raw_at : (size_t)n;
		if (skf_packer_write(j->out, j->raw + j->raw_at, k, e) < 0)
			return -1;
		j->raw_at += k;
		n -= k;
	}
	return 0;
}

/* --- files --- */

static int open_file(struct job *j, const char *name, int *ret_fd, struct skf_err *e)
{
	struct skf_entry_name n;
	int fd;

	if (skf_entry_name_parse(name, SKF_MAX_TAR_DEPTH, &n, e) < 0)
		return -1;
	if (n.kind != SKF_ENTRY_PLAIN)
		return damaged(j, "names what is no file", e);
	if (j->parent < 0 || !skf_streq(j->parent_path, n.parent)) {
		skf_closep(&j->parent);
		j->parent = skf_path_open(j->tree, n.parent[0] ? n.parent : ".", O_PATH | O_DIRECTORY, 0);
		memcpy(j->parent_path, n.parent, strlen(n.parent) + 1);
	}
	fd = j->parent < 0 ? j->parent : skf_path_open_nolinks(j->parent, n.base, O_RDONLY | O_NONBLOCK, 0);
	if (fd < 0)
		return skf_fail(e, SKF_ECORRUPT,
				"layer '%s': '/%.200s' cannot be opened (%s); run 'skiff system check'",
				j->diff_id->s, n.path, strerror(-fd));
	*ret_fd = fd;
	return 0;
}

static int copy_data(struct job *j, int fd, const char *name, uint64_t size, struct skf_err *e)
{
	uint64_t got = 0;
	ssize_t n;

	while ((n = read(fd, j->data, DATA_BYTES)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return skf_fail_sys(e, -errno, "read '/%.200s' of the layer '%s'", name,
					    j->diff_id->s);
		got += (uint64_t)n;
		if (got > size)
			break;
		if (skf_packer_write(j->out, j->data, (size_t)n, e) < 0)
			return -1;
	}
	if (got != size)
		return skf_fail(e, SKF_ECORRUPT,
				"layer '%s': '/%.200s' no longer has the %llu bytes of its tar; pull the "
				"image again",
				j->diff_id->s, name, (unsigned long long)size);
	return 0;
}

static int copy_file(struct job *j, struct skf_err *e)
{
	char name[SKF_MAX_TAR_PATH];
	SKF_AUTO_FD int fd = -EBADF;
	uint64_t size, n;

	if (get_number(j, &size, e) < 0 || get_number(j, &n, e) < 0)
		return -1;
	if (n == 0 || n >= sizeof(name))
		return damaged(j, "has a name of an impossible length", e);
	if (get_bytes(j, name, (size_t)n, e) < 0)
		return -1;
	name[n] = 0;
	j->n_tar += size;
	return open_file(j, name, &fd, e) < 0 ? -1 : copy_data(j, fd, name, size, e);
}

static int replay(struct job *j, struct skf_err *e)
{
	char magic[sizeof(SKF_RECORD_MAGIC) - 1];
	uint64_t total;
	uint8_t what;

	if (get_bytes(j, magic, sizeof(magic), e) < 0)
		return -1;
	if (memcmp(magic, SKF_RECORD_MAGIC, sizeof(magic)) != 0)
		return damaged(j, "is of another version", e);
	for (;;) {
		if (get_bytes(j, &what, 1, e) < 0)
			return -1;
		if (what == SKF_RECORD_END)
			break;
		if (what != SKF_RECORD_BYTES && what != SKF_RECORD_FILE)
			return damaged(j, "has a piece of an unknown kind", e);
		if ((what == SKF_RECORD_BYTES ? copy_bytes(j, e) : copy_file(j, e)) < 0)
			return -1;
	}
	if (get_number(j, &total, e) < 0)
		return -1;
	return total == j->n_tar ? 0 : damaged(j, "does not add up", e);
}

static int pack_exact(struct job *j, struct skf_packed *ret, struct skf_err *e)
{
	j->in = malloc(IN_BYTES);
	j->raw = malloc(RAW_BYTES);
	j->data = malloc(DATA_BYTES);
	if (!j->in || !j->raw || !j->data)
		return skf_fail(e, SKF_ENOMEM, "no memory to pack the layer '%s'", j->diff_id->s);
	if (skf_inflate_new(SKF_COMP_ZSTD, &j->inf, e) < 0 || replay(j, e) < 0 ||
	    skf_packer_end(j->out, ret, e) < 0)
		return -1;
	if (!skf_digest_eq(&ret->diff_id, j->diff_id))
		return skf_fail(e, SKF_ECORRUPT,
				"layer '%s': its files no longer make its tar (%s); run 'skiff system check "
				"--repair' and pull the "
				"image again",
				j->diff_id->s, ret->diff_id.s);
	ret->exact = true;
	return 0;
}

int skf_pack_check(int layer_fd, const struct skf_digest *diff_id, struct skf_seal *seal, struct skf_err *e)
{
	SKF_AUTO(job_done) struct job j = {0};
	struct skf_packed x = {0};

	job_init(&j, diff_id);
	j.seal = seal;
	j.tree = skf_openat(layer_fd, "tree", O_PATH | O_DIRECTORY | O_NOFOLLOW, 0);
	if (j.tree < 0)
		return skf_fail_sys(e, j.tree, "open the files of the layer '%s'", diff_id->s);
	if (open_record(&j, layer_fd, e) < 0 ||
	    skf_packer_new_like(SKF_COMP_NONE, -1, NULL, diff_id, &j.out, e) < 0)
		return -1;
	return pack_exact(&j, &x, e);
}

static int to_packer(void *arg, const void *p, size_t n, struct skf_err *e)
{
	return skf_packer_write(arg, p, n, e);
}

static int pack_canonical(struct job *j, struct skf_packed *ret, struct skf_err *e)
{
	const struct skf_pack_sink sink = {to_packer, j->out};

	if (skf_pack_tree(j->tree, NULL, NULL, &sink, e) < 0)
		return skf_ctx(e, "layer '%s'", j->diff_id->s);
	return skf_packer_end(j->out, ret, e);
}

int skf_pack_layer_as(struct skf_store *s, const struct skf_digest *diff_id, enum skf_compression c,
		      int level, const struct skf_pack_sink *sink, struct skf_packed *ret, struct skf_err *e)
{
	SKF_AUTO(job_done) struct job j = {0};
	struct skf_packed x = {0};
	int r;

	if (layer_open(s, diff_id, &j, e) < 0 || skf_packer_new_like(c, level, sink, diff_id, &j.out, e) < 0)
		return -1;
	r = j.record >= 0 ? pack_exact(&j, &x, e) : pack_canonical(&j, &x, e);
	if (r == 0)
		*ret = x;
	return r;
}

int skf_pack_layer(struct skf_store *s, const struct skf_digest *diff_id, enum skf_compression c, int level,
		   const struct skf_pack_sink *sink, struct skf_digest *ret_digest, uint64_t *ret_size,
		   struct skf_err *e)
{
	struct skf_packed x;

	if (skf_pack_layer_as(s, diff_id, c, level, sink, &x, e) < 0)
		return -1;
	*ret_digest = x.digest;
	*ret_size = x.size;
	return x.exact ? 0 : 1;
}

int skf_pack_layer_plan(struct skf_store *s, const struct skf_digest *diff_id, struct skf_packed *ret,
			struct skf_err *e)
{
	SKF_AUTO(job_done) struct job j = {0};

	if (layer_open(s, diff_id, &j, e) < 0)
		return -1;
	if (j.record < 0)
		return skf_pack_layer_as(s, diff_id, SKF_COMP_NONE, -1, NULL, ret, e);
	*ret = (struct skf_packed){*diff_id, *diff_id, j.seal->tar_size, true};
	return 0;
}
