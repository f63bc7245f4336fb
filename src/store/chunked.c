/* store/chunked.c -- zstd:chunked: a layer that every reader of zstd unpacks, and of which podman fetches
 * single files.
 *
 * Each file's data is a frame of its own. Behind the tar stand three skippable frames: a list of all entries
 * with the place and SHA-256 of their data (JSON in zstd), what tar-split needs to make the tar again (JSON
 * lines in zstd), and 64 bytes that say where both are; the annotations of the layer say the same. Readers
 * take the list in place of the tar's headers, so whatever the list could not say as the tar says it
 * (unknown entries, sparse files, names that are no UTF-8, an entry twice) makes the layer a plain zstd one:
 * never a list that differs. Invariants: 1. the frames without the skippable ones are the tar, whatever
 * becomes of the list; 2. `done` never runs ahead of what the scanner has looked at, and a frame ends
 * exactly where a file's data begin and end. Memory: three zstd contexts and at most 2 * LIST_MAX. Blocks in
 * the sink. */
#include "base/json.h"
#include "store/unpack_int.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#define OUT_BYTES  (128u << 10)
#define LIST_MAX   (16u << 20) /* compressed, of each list: about a million files */
#define LEVEL      3
#define SEGMENT    (64u << 10)
#define FRAME_HEAD 8u
#define FOOTER     64u
#define LIST_TYPE  1u

struct list { /* JSON on its way into a buffer */
	ZSTD_CCtx *z;
	struct skf_buf packed;
	uint64_t size; /* uncompressed */
};
struct skf_chunked {
	struct skf_pack_sink sink;
	struct skf_hash in, out, file;
	uint64_t n_out;
	ZSTD_CCtx *z;
	int level;
	bool open; /* the frame has bytes */
	uint8_t *buf;
	struct skf_tarscan scan;
	const uint8_t *p;    /* the input and where in the tar it begins */
	uint64_t base, done; /* done: compressed so far */
	struct list toc, split;
	struct skf_buf text, line, raw; /* entry of the list, file of tar-split, bytes of its next segment */
	struct skf_jw w;
	uint64_t left, crc, start; /* of the file whose data pass by */
	uint64_t *names;           /* hashes; 0: free */
	size_t n_names, cap_names, position;
	char why[160]; /* there will be no list */
};

/* --- out --- */
static int put(struct skf_chunked *c, const void *p, size_t n, struct skf_err *e)
{
	c->n_out += n;
	if (skf_hash_add(&c->out, p, n, e) < 0)
		return -1;
	return n ? c->sink.write(c->sink.arg, p, n, e) : 0;
}

static int deflate(struct skf_chunked *c, const void *p, size_t n, ZSTD_EndDirective how, struct skf_err *e)
{
	ZSTD_inBuffer in = {p, n, 0};
	size_t left;

	do {
		ZSTD_outBuffer out = {c->buf, OUT_BYTES, 0};

		left = ZSTD_compressStream2(c->z, &out, &in, how);
		if (ZSTD_isError(left))
			return skf_fail(e, SKF_ENOMEM, "zstd: %s", ZSTD_getErrorName(left));
		if (put(c, c->buf, out.pos, e) < 0)
			return -1;
	} while (in.pos < in.size || (how == ZSTD_e_end && left));
	c->open = how != ZSTD_e_end && (c->open || n > 0);
	return 0;
}

static int compress_to(struct skf_chunked *c, uint64_t at, struct skf_err *e)
{
	size_t n = (size_t)(at - c->done);
	const uint8_t *p = c->p + (c->done - c->base);

	c->done = at;
	return n ? deflate(c, p, n, ZSTD_e_continue, e) : 0;
}

static int end_frame(struct skf_chunked *c, struct skf_err *e)
{
	return c->open ? deflate(c, NULL, 0, ZSTD_e_end, e) : 0;
}

/* --- lists --- */
static void list_done(struct list *l)
{
	ZSTD_freeCCtx(l->z);
	l->z = NULL;
	skf_buf_done(&l->packed);
}

static int no_list(struct skf_chunked *c, const char *why)
{
	if (c->why[0])
		return 0;
	snprintf(c->why, sizeof(c->why), "%s", why);
	list_done(&c->toc);
	list_done(&c->split);
	c->left = 0;
	return 0;
}

static int add(struct skf_chunked *c, struct list *l, const char *p, size_t n, ZSTD_EndDirective how,
	       struct skf_err *e)
{
	ZSTD_inBuffer in = {p, n, 0};
	size_t left;

	if (c->why[0])
		return 0;
	l->size += n;
	do {
		ZSTD_outBuffer out = {c->buf, OUT_BYTES, 0};

		left = ZSTD_compressStream2(l->z, &out, &in, how);
		if (ZSTD_isError(left))
			return skf_fail(e, SKF_ENOMEM, "zstd: %s", ZSTD_getErrorName(left));
		skf_buf_put(&l->packed, c->buf, out.pos);
	} while (in.pos < in.size || (how == ZSTD_e_end && left));
	return l->packed.err ? no_list(c, "its list of files is too long") : 0;
}

static int add_buf(struct skf_chunked *c, struct list *l, const struct skf_buf *b, struct skf_err *e)
{
	return b->err ? no_list(c, "an entry of it is too long for a list")
		      : add(c, l, b->p, b->len, ZSTD_e_continue, e);
}

static int segment(struct skf_chunked *c, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SEGMENT * 3);

	if (c->raw.len == 0)
		return 0;
	skf_buf_str(&b, "{\"type\":2,\"payload\":\"");
	skf_chunked_base64(&b, c->raw.p, c->raw.len);
	skf_buf_fmt(&b, "\",\"position\":%zu}\n", c->position++);
	skf_buf_clear(&c->raw);
	return add_buf(c, &c->split, &b, e);
}

static int split_file(struct skf_chunked *c, bool data, struct skf_err *e)
{
	uint8_t sum[8];

	for (int i = 0; i < 8; i++)
		sum[i] = (uint8_t)(c->crc >> (56 - 8 * i));
	skf_buf_str(&c->line, data ? ",\"payload\":\"" : ",\"payload\":null");
	if (data)
		skf_chunked_base64(&c->line, sum, sizeof(sum));
	skf_buf_fmt(&c->line, "%s,\"position\":%zu}\n", data ? "\"" : "", c->position++);
	return add_buf(c, &c->split, &c->line, e);
}

/* --- entries --- */
/* True: seen before (or no memory to know). By hash: two names of one hash only cost the list. */
static bool seen(struct skf_chunked *c, const char *name)
{
	size_t n = strlen(name);
	uint64_t h;

	while (name[0] == '.' && name[1] == '/') {
		name += 2;
		n -= 2;
	}
	while (n > 1 && name[n - 1] == '/')
		n--;
	h = skf_crc64(1, name, n) | 1;
	if (c->n_names * 2 >= c->cap_names) {
		size_t cap = c->cap_names ? c->cap_names * 2 : 1024;
		uint64_t *v = calloc(cap, sizeof(*v));

		if (!v)
			return true;
		for (size_t i = 0; i < c->cap_names; i++) {
			size_t k = c->names[i] >> 1 & (cap - 1);

			while (c->names[i] && v[k])
				k = (k + 1) & (cap - 1);
			if (c->names[i])
				v[k] = c->names[i];
		}
		free(c->names);
		c->names = v;
		c->cap_names = cap;
	}
	for (size_t k = h >> 1 & (c->cap_names - 1);; k = (k + 1) & (c->cap_names - 1)) {
		if (c->names[k] == h)
			return true;
		if (c->names[k])
			continue;
		c->names[k] = h;
		c->n_names++;
		return false;
	}
}

/* Everything of the entry but where its data are. */
static bool describe(struct skf_chunked *c, const struct skf_tar_entry *t)
{
	if (seen(c, t->name))
		return false;
	skf_buf_clear(&c->text);
	if (c->toc.size)
		skf_buf_chr(&c->text, ',');
	c->w = (struct skf_jw)SKF_JW(&c->text);
	skf_jw_obj(&c->w);
	if (!skf_chunked_describe(&c->w, t))
		return false;
	skf_buf_clear(&c->line);
	skf_buf_str(&c->line, "{\"type\":1,\"name\":\"");
	skf_json_escape(&c->line, t->name, strlen(t->name));
	skf_buf_str(&c->line, "\"");
	if (t->size)
		skf_buf_fmt(&c->line, ",\"size\":%llu", (unsigned long long)t->size);
	return true;
}

static int end_entry(struct skf_chunked *c, bool data, struct skf_err *e)
{
	skf_jw_end(&c->w);
	return add_buf(c, &c->toc, &c->text, e) < 0 ? -1 : split_file(c, data, e);
}

static int on_entry(void *arg, const struct skf_tar_entry *t, struct skf_err *e)
{
	struct skf_chunked *c = arg;

	if (c->why[0] || !describe(c, t)) {
		no_list(c, "it has an entry that such a list cannot tell as the tar does");
		return SKF_TAR_SKIP;
	}
	if (segment(c, e) < 0)
		return -1;
	c->crc = 0;
	if (t->size == 0)
		return end_entry(c, false, e) < 0 ? -1 : SKF_TAR_SKIP;
	if (compress_to(c, t->offset, e) < 0 || end_frame(c, e) < 0)
		return -1;
	c->start = c->n_out;
	c->left = t->size;
	return SKF_TAR_TAKE;
}

static int end_data(struct skf_chunked *c, struct skf_err *e)
{
	struct skf_digest d;

	if (compress_to(c, c->scan.at, e) < 0 || end_frame(c, e) < 0 || skf_hash_end(&c->file, &d, e) < 0)
		return -1;
	skf_jw_kstr(&c->w, "digest", d.s);
	skf_jw_ku64(&c->w, "offset", c->start);
	skf_jw_ku64(&c->w, "endOffset", c->n_out);
	return end_entry(c, true, e);
}

static int on_bytes(void *arg, const uint8_t *p, size_t n, struct skf_err *e)
{
	struct skf_chunked *c = arg;

	if (c->why[0])
		return 0;
	if (c->left) { /* never more than are left: what follows is padding, by itself */
		c->left -= n;
		c->crc = skf_crc64_iso(c->crc, p, n);
		if (skf_hash_add(&c->file, p, n, e) < 0)
			return -1;
		return c->left ? 0 : end_data(c, e);
	}
	while (n > 0) {
		size_t k = SEGMENT - c->raw.len < n ? SEGMENT - c->raw.len : n;

		skf_buf_put(&c->raw, p, k);
		p += k;
		n -= k;
		if (c->raw.len == SEGMENT && segment(c, e) < 0)
			return -1;
	}
	return 0;
}

/* --- the whole --- */
static ZSTD_CCtx *context(int level)
{
	ZSTD_CCtx *z = ZSTD_createCCtx();

	if (z && (ZSTD_isError(ZSTD_CCtx_setParameter(z, ZSTD_c_compressionLevel, level)) ||
		  ZSTD_isError(ZSTD_CCtx_setParameter(z, ZSTD_c_checksumFlag, 1)))) {
		ZSTD_freeCCtx(z);
		z = NULL;
	}
	return z;
}

int skf_chunked_new(int level, const struct skf_pack_sink *sink, const struct skf_digest *like,
		    struct skf_chunked **ret, struct skf_err *e)
{
	SKF_AUTO(skf_chunked_freep) struct skf_chunked *c = calloc(1, sizeof(*c));
	const struct skf_tarscan_sink scan = {on_bytes, on_entry, c};

	if (!c)
		return skf_fail(e, SKF_ENOMEM, "no memory to compress a layer");
	c->sink = *sink;
	c->text = c->line = (struct skf_buf)SKF_BUF(SKF_TARSCAN_MAX_META * 8);
	c->raw = (struct skf_buf)SKF_BUF(SEGMENT);
	c->toc.packed = c->split.packed = (struct skf_buf)SKF_BUF(LIST_MAX);
	skf_tarscan_init(&c->scan, &scan);
	c->buf = malloc(OUT_BYTES);
	c->z = context(level < 0 ? LEVEL : level);
	c->toc.z = context(LEVEL);
	c->split.z = context(LEVEL);
	if (!c->buf || !c->z || !c->toc.z || !c->split.z)
		return skf_fail(e, SKF_ENOMEM, "start to compress as zstd:chunked, level %d", level);
	if (skf_hash_init(&c->in, like, e) < 0 || skf_hash_init(&c->out, NULL, e) < 0 ||
	    skf_hash_init(&c->file, NULL, e) < 0 ||
	    add(c, &c->toc, "{\"version\":1,\"entries\":[", 24, ZSTD_e_continue, e) < 0)
		return -1;
	c->toc.size = 0; /* counted again at the end: nothing before the first entry */
	*ret = SKF_TAKE(c);
	return 0;
}

int skf_chunked_write(struct skf_chunked *c, const void *d, size_t n, struct skf_err *e)
{
	int r = 0;

	if (skf_hash_add(&c->in, d, n, e) < 0)
		return -1;
	c->p = d;
	c->base = c->done;
	if (!c->why[0])
		r = skf_tarscan_feed(&c->scan, d, n, e);
	if (r > 0)
		no_list(c, c->scan.why);
	return r < 0 ? -1 : compress_to(c, c->base + n, e);
}

/* A skippable frame; *at is where its content begins. */
static int skippable(struct skf_chunked *c, const void *p, size_t n, uint64_t *at, struct skf_err *e)
{
	uint8_t head[FRAME_HEAD] = {0x50,
				    0x2a,
				    0x4d,
				    0x18,
				    (uint8_t)n,
				    (uint8_t)(n >> 8),
				    (uint8_t)(n >> 16),
				    (uint8_t)(n >> 24)};

	*at = c->n_out + FRAME_HEAD;
	return put(c, head, sizeof(head), e) < 0 ? -1 : put(c, p, n, e);
}

static int write_lists(struct skf_chunked *c, struct skf_chunked_notes *ret, struct skf_err *e)
{
	static const char magic[] = "GNUlInUx";
	struct skf_digest split, toc;
	uint64_t at[3], numbers[7];
	uint8_t foot[FOOTER];
	char end[SKF_DIGEST_MAX + 32];

	if (add(c, &c->split, NULL, 0, ZSTD_e_end, e) < 0 ||
	    skf_unpack_sha256(c->split.packed.p, c->split.packed.len, &split, e) < 0)
		return -1;
	snprintf(end, sizeof(end), "],\"tarSplitDigest\":\"%s\"}", split.s);
	if (add(c, &c->toc, end, strlen(end), ZSTD_e_end, e) < 0)
		return -1;
	if (c->why[0])
		return 0;
	if (skf_unpack_sha256(c->toc.packed.p, c->toc.packed.len, &toc, e) < 0 ||
	    skippable(c, c->toc.packed.p, c->toc.packed.len, &at[0], e) < 0 ||
	    skippable(c, c->split.packed.p, c->split.packed.len, &at[1], e) < 0)
		return -1;
	c->toc.size += 24;
	numbers[0] = at[0];
	numbers[1] = c->toc.packed.len;
	numbers[2] = c->toc.size;
	numbers[3] = LIST_TYPE;
	numbers[4] = at[1];
	numbers[5] = c->split.packed.len;
	numbers[6] = c->split.size;
	for (size_t i = 0; i < sizeof(numbers); i++)
		foot[i] = (uint8_t)(numbers[i / 8] >> (8 * (i % 8)));
	memcpy(foot + sizeof(numbers), magic, 8);
	if (skippable(c, foot, sizeof(foot), &at[2], e) < 0)
		return -1;
	snprintf(ret->checksum, sizeof(ret->checksum), "%s", toc.s);
	snprintf(ret->position, sizeof(ret->position), "%llu:%zu:%llu:%u", (unsigned long long)at[0],
		 c->toc.packed.len, (unsigned long long)c->toc.size, LIST_TYPE);
	snprintf(ret->tarsplit, sizeof(ret->tarsplit), "%llu:%zu:%llu", (unsigned long long)at[1],
		 c->split.packed.len, (unsigned long long)c->split.size);
	return 0;
}

int skf_chunked_end(struct skf_chunked *c, struct skf_packed *ret, struct skf_chunked_notes *notes,
		    struct skf_err *e)
{
	struct skf_packed x = {.exact = true};
	int r = c->why[0] ? 1 : skf_tarscan_end(&c->scan, e);

	memset(notes, 0, sizeof(*notes));
	if (r < 0)
		return -1;
	if (r > 0)
		no_list(c, c->scan.why);
	if (end_frame(c, e) < 0 || segment(c, e) < 0 || (!c->why[0] && write_lists(c, notes, e) < 0))
		return -1;
	if (c->n_out == 0 && deflate(c, NULL, 0, ZSTD_e_end, e) < 0)
		return -1;
	if (skf_hash_end(&c->in, &x.diff_id, e) < 0 || skf_hash_end(&c->out, &x.digest, e) < 0)
		return -1;
	memcpy(notes->why, c->why, sizeof(notes->why));
	x.size = c->n_out;
	*ret = x;
	return 0;
}

void skf_chunked_free(struct skf_chunked *c)
{
	if (!c)
		return;
	skf_tarscan_done(&c->scan);
	list_done(&c->toc);
	list_done(&c->split);
	ZSTD_freeCCtx(c->z);
	skf_buf_done(&c->text);
	skf_buf_done(&c->line);
	skf_buf_done(&c->raw);
	skf_hash_done(&c->in);
	skf_hash_done(&c->out);
	skf_hash_done(&c->file);
	free(c->names);
	free(c->buf);
	free(c);
}
