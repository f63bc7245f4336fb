/* store/tarscan.c -- the scanner of tarscan.h: a state machine over blocks of 512 bytes.
 *
 * Invariants: 1. each byte goes to `bytes` or belongs to skipped data, in order; 2. a size is believed only
 * from a header whose checksum is right; 3. what the archive says never allocates more than
 * SKF_TARSCAN_MAX_META; 4. after the first block of zeros everything is tail, as for every reader that we
 * know. Pure, does not block. */
#include "store/tarscan.h"
#include <stdio.h>
#include <string.h>

#define BLOCK 512u

/* Fields of a header: offset and length. */
enum {
	AT_NAME = 0,
	AT_SIZE = 124,
	AT_SUM = 148,
	AT_TYPE = 156,
	AT_LINK = 157,
	AT_MAGIC = 257,
	AT_PREFIX = 345,
	AT_EXTENDED = 482,
	AT_SPARSE_NEXT = 504
};

void skf_tarscan_init(struct skf_tarscan *t, const struct skf_tarscan_sink *sink)
{
	memset(t, 0, sizeof(*t));
	t->sink = *sink;
	t->meta = t->path = t->link = t->pax = (struct skf_buf)SKF_BUF(SKF_TARSCAN_MAX_META + 1);
}

void skf_tarscan_done(struct skf_tarscan *t)
{
	skf_buf_done(&t->meta);
	skf_buf_done(&t->path);
	skf_buf_done(&t->link);
	skf_buf_done(&t->pax);
}

static int odd(struct skf_tarscan *t, const char *why)
{
	snprintf(t->why, sizeof(t->why), "%s at byte %llu of the tar", why, (unsigned long long)t->at);
	return 1;
}

static int give(struct skf_tarscan *t, const uint8_t *p, size_t n, struct skf_err *e)
{
	t->at += n;
	return t->sink.bytes && n ? t->sink.bytes(t->sink.arg, p, n, e) : 0;
}

/* --- fields --- */

/* Octal with blanks around it, or base 256 when the first bit is set. */
bool skf_tarscan_number(const uint8_t *p, size_t n, uint64_t *ret)
{
	uint64_t v = 0;
	size_t i = 0;

	if (p[0] & 0x80) {
		v = p[0] & 0x7f;
		if (p[0] & 0x40)
			return false;
		for (i = 1; i < n; i++) {
			if (v >> 55)
				return false;
			v = v << 8 | p[i];
		}
		*ret = v;
		return true;
	}
	while (i < n && p[i] == ' ')
		i++;
	for (; i < n && p[i] >= '0' && p[i] <= '7'; i++) {
		if (v >> 60)
			return false;
		v = v << 3 | (uint64_t)(p[i] - '0');
	}
	for (; i < n; i++)
		if (p[i] != ' ' && p[i] != 0)
			return false;
	*ret = v;
	return true;
}

static bool checksum_ok(const uint8_t *h)
{
	uint64_t want, sum = 0;
	int64_t sign = 0;

	for (size_t i = 0; i < BLOCK; i++) {
		uint8_t c = i >= AT_SUM && i < AT_SUM + 8 ? ' ' : h[i];

		sum += c;
		sign += (int8_t)c;
	}
	return skf_tarscan_number(h + AT_SUM, 8, &want) && (want == sum || (int64_t)want == sign);
}

static bool all_zero(const uint8_t *h)
{
	return h[0] == 0 && memcmp(h, h + 1, BLOCK - 1) == 0;
}

static void put_field(struct skf_buf *b, const uint8_t *p, size_t n)
{
	skf_buf_put(b, p, strnlen((const char *)p, n));
}

static void header_name(struct skf_tarscan *t, const uint8_t *h)
{
	if (t->has_path)
		return;
	skf_buf_clear(&t->path);
	if (memcmp(h + AT_MAGIC, "ustar\0", 6) == 0 && h[AT_PREFIX]) {
		put_field(&t->path, h + AT_PREFIX, 155);
		if (t->path.p && t->path.p[t->path.len - 1] != '/')
			skf_buf_chr(&t->path, '/');
	}
	put_field(&t->path, h + AT_NAME, 100);
}

/* --- pax --- */

static int take_string(struct skf_tarscan *t, struct skf_buf *b, const char *v, size_t n)
{
	if (n == 0 || memchr(v, 0, n))
		return odd(t, "an empty name or one with a NUL in a pax header");
	skf_buf_clear(b);
	skf_buf_put(b, v, n);
	return b->err ? odd(t, "no memory for a name") : 0;
}

static int pax_size(struct skf_tarscan *t, const char *v, size_t n)
{
	char text[24];

	if (n >= sizeof(text))
		return odd(t, "a size in a pax header that is no number");
	memcpy(text, v, n);
	text[n] = 0;
	if (skf_parse_u64(text, &t->size) < 0)
		return odd(t, "a size in a pax header that is no number");
	t->has_size = true;
	return 0;
}

static bool key_is(const char *k, size_t n, const char *want)
{
	return strlen(want) == n && memcmp(k, want, n) == 0;
}

static int pax_record(struct skf_tarscan *t, const char *k, size_t nk, const char *v, size_t nv)
{
	bool path = key_is(k, nk, "path"), link = key_is(k, nk, "linkpath"), size = key_is(k, nk, "size");
	bool sparse = nk > 11 && memcmp(k, "GNU.sparse.", 11) == 0;

	if (t->meta_type == 'g')
		return path || link || size || sparse
			       ? odd(t, "a global pax header that names or sizes entries")
			       : 0;
	if (path && t->long_path)
		return odd(t, "an entry with two long names");
	t->sparse |= sparse;
	if (path) {
		t->has_path = true;
		return take_string(t, &t->path, v, nv);
	}
	if (link) {
		t->has_link = true;
		return take_string(t, &t->link, v, nv);
	}
	return size ? pax_size(t, v, nv) : 0;
}

/* "LENGTH KEY=VALUE\n", where LENGTH counts the whole record. */
static int pax(struct skf_tarscan *t)
{
	const char *p = skf_buf_cstr(&t->meta), *end = p + t->meta.len;

	while (p < end) {
		size_t len = 0, digits = 0;
		const char *eq;
		int r;

		while (p + digits < end && p[digits] >= '0' && p[digits] <= '9' && digits < 8)
			len = len * 10 + (size_t)(p[digits++] - '0');
		if (digits == 0 || p + digits >= end || p[digits] != ' ' || len < digits + 3 ||
		    len > (size_t)(end - p) || p[len - 1] != '\n')
			return odd(t, "a damaged pax header");
		eq = memchr(p + digits + 1, '=', len - digits - 2);
		if (!eq)
			return odd(t, "a pax record without '='");
		r = pax_record(t, p + digits + 1, (size_t)(eq - p) - digits - 1, eq + 1,
			       (size_t)(p + len - 1 - eq) - 1);
		if (r)
			return r;
		p += len;
	}
	return 0;
}

static int gnu_name(struct skf_tarscan *t)
{
	struct skf_buf *b = t->meta_type == 'L' ? &t->path : &t->link;
	bool *has = t->meta_type == 'L' ? &t->has_path : &t->has_link;

	if (*has)
		return odd(t, "an entry with two long names");
	*has = true;
	if (t->meta_type == 'L')
		t->long_path = true;
	skf_buf_clear(b);
	skf_buf_put(b, skf_buf_cstr(&t->meta), strnlen(skf_buf_cstr(&t->meta), t->meta.len));
	return b->err ? odd(t, "no memory for a name") : b->len == 0 ? odd(t, "an empty long name") : 0;
}

/* --- entries --- */

static void begin_meta(struct skf_tarscan *t, char type, uint64_t size)
{
	t->meta_type = type;
	t->left = size;
	t->pad = -size % BLOCK;
	t->state = SKF_TS_META;
	skf_buf_clear(&t->meta);
}

static void next_entry(struct skf_tarscan *t)
{
	t->has_path = t->has_link = t->long_path = t->has_size = t->sparse = false;
	t->size = 0;
	skf_buf_clear(&t->pax);
}

/* The entry is complete; its data follow. */
static int announce(struct skf_tarscan *t, struct skf_tar_entry *c, struct skf_err *e)
{
	int r;

	c->name = skf_buf_cstr(&t->path);
	c->link = skf_buf_cstr(&t->link);
	c->offset = t->at;
	c->pax = skf_buf_cstr(&t->pax);
	c->pax_n = t->pax.len;
	if (t->path.err || t->link.err)
		return odd(t, "no memory for a name");
	if (c->size > UINT64_MAX / 2 - t->at)
		return odd(t, "an impossible size");
	r = t->sink.entry ? t->sink.entry(t->sink.arg, c, e) : SKF_TAR_SKIP;
	if (r < 0)
		return -1;
	t->take = r == SKF_TAR_TAKE;
	t->left = c->size;
	t->pad = -c->size % BLOCK;
	t->state = t->left ? SKF_TS_DATA : SKF_TS_HEADER;
	next_entry(t);
	return 0;
}

static int plain_header(struct skf_tarscan *t, const uint8_t *h, char type, uint64_t size, struct skf_err *e)
{
	struct skf_tar_entry c = {.type = type,
				  .size = t->has_size ? t->size : size,
				  .sparse = t->sparse,
				  .header = t->mixed ? NULL : h};
	bool regular = type == 0 || type == '0' || type == '7' || type == 'S';

	header_name(t, h);
	if (!t->has_link) {
		skf_buf_clear(&t->link);
		put_field(&t->link, h + AT_LINK, 100);
	}
	if (!regular && (type < '1' || type > '6'))
		return odd(t, "an entry of an unknown type");
	if (!regular && c.size)
		return odd(t, "an entry with data whose type has none");
	if (regular && t->path.len && t->path.p[t->path.len - 1] == '/') {
		if (c.size || type == 'S')
			return odd(t, "a directory with data");
		c.type = '5'; /* as v7 wrote directories */
	} else if (regular) {
		c.type = '0';
	}
	if (type != 'S')
		return announce(t, &c, e);
	c.sparse = true;
	if (!h[AT_EXTENDED])
		return announce(t, &c, e);
	t->cur = c;
	t->cur.header = NULL;
	t->state = SKF_TS_SPARSE;
	return 0;
}

static int header(struct skf_tarscan *t, const uint8_t *h, struct skf_err *e)
{
	uint64_t size;
	char type = (char)h[AT_TYPE];

	if (all_zero(h)) {
		t->state = SKF_TS_TAIL;
		return give(t, h, BLOCK, e);
	}
	if (!checksum_ok(h))
		return odd(t, "a header with a wrong checksum");
	if (!skf_tarscan_number(h + AT_SIZE, 12, &size))
		return odd(t, "a header with a size that is no number");
	if (give(t, h, BLOCK, e) < 0)
		return -1;
	if (type != 'x' && type != 'g' && type != 'L' && type != 'K')
		return plain_header(t, h, type, size, e);
	if (size > SKF_TARSCAN_MAX_META)
		return odd(t, "a very large pax header or name");
	begin_meta(t, type, size);
	return 0;
}

/* The records of this entry for whoever wants them all; the buffers change places. */
static void keep_pax(struct skf_tarscan *t)
{
	struct skf_buf b = t->pax;

	t->mixed |= b.len > 0;
	t->pax = t->meta;
	t->meta = b;
}

static int end_of_meta(struct skf_tarscan *t)
{
	int r = t->meta.err                                  ? odd(t, "no memory for a header")
		: t->meta_type == 'L' || t->meta_type == 'K' ? gnu_name(t)
							     : pax(t);

	if (r == 0 && t->meta_type == 'x')
		keep_pax(t);
	t->mixed |= t->meta_type == 'g';
	t->state = t->pad ? SKF_TS_PAD : SKF_TS_HEADER;
	t->left = t->pad;
	return r;
}

/* A whole block, from p when it is there as a whole, else collected. NULL: more input is needed. */
static const uint8_t *whole_block(struct skf_tarscan *t, const uint8_t **p, size_t *n)
{
	const uint8_t *b = *p;
	size_t k = BLOCK - t->fill < *n ? BLOCK - t->fill : *n;

	if (t->fill == 0 && *n >= BLOCK) {
		*p += BLOCK;
		*n -= BLOCK;
		return b;
	}
	memcpy(t->block + t->fill, b, k);
	t->fill += k;
	*p += k;
	*n -= k;
	if (t->fill < BLOCK)
		return NULL;
	t->fill = 0;
	return t->block;
}

static int sparse_block(struct skf_tarscan *t, const uint8_t *b, struct skf_err *e)
{
	bool more = b[AT_SPARSE_NEXT];

	if (give(t, b, BLOCK, e) < 0)
		return -1;
	return more ? 0 : announce(t, &t->cur, e);
}

/* Data, padding, meta data: up to `left` bytes of p. */
static int run(struct skf_tarscan *t, const uint8_t *p, size_t n, struct skf_err *e)
{
	enum skf_tarscan_state s = t->state;

	t->left -= n;
	if (s == SKF_TS_META)
		skf_buf_put(&t->meta, p, n);
	if (s == SKF_TS_DATA && !t->take)
		t->at += n;
	else if (give(t, p, n, e) < 0)
		return -1;
	if (t->left)
		return 0;
	if (s == SKF_TS_META)
		return end_of_meta(t);
	t->state = s == SKF_TS_DATA && t->pad ? SKF_TS_PAD : SKF_TS_HEADER;
	t->left = s == SKF_TS_DATA ? t->pad : 0;
	return 0;
}

static int step(struct skf_tarscan *t, const uint8_t **p, size_t *n, struct skf_err *e)
{
	const uint8_t *b = *p;
	size_t k;

	if (t->state == SKF_TS_HEADER || t->state == SKF_TS_SPARSE) {
		b = whole_block(t, p, n);
		return !b ? 0 : t->state == SKF_TS_HEADER ? header(t, b, e) : sparse_block(t, b, e);
	}
	k = t->state != SKF_TS_TAIL && t->left < *n ? (size_t)t->left : *n;
	*p += k;
	*n -= k;
	return t->state == SKF_TS_TAIL ? give(t, b, k, e) : run(t, b, k, e);
}

int skf_tarscan_feed(struct skf_tarscan *t, const uint8_t *p, size_t n, struct skf_err *e)
{
	int r = t->why[0] ? 1 : 0;

	while (r == 0 && n > 0) {
		/* an empty pax header has no bytes to wait for */
		r = t->state == SKF_TS_META && t->left == 0 ? end_of_meta(t) : step(t, &p, &n, e);
	}
	return r;
}

int skf_tarscan_end(struct skf_tarscan *t, struct skf_err *e)
{
	size_t n = t->fill;

	if (t->why[0])
		return 1;
	t->fill = 0;
	if (give(t, t->block, n, e) < 0)
		return -1;
	return t->state == SKF_TS_DATA || t->state == SKF_TS_META || t->state == SKF_TS_SPARSE
		       ? odd(t, "an early end")
		       : 0;
}

uint64_t skf_tarscan_skippable(const struct skf_tarscan *t)
{
	return t->state == SKF_TS_DATA && !t->take && !t->why[0] ? t->left : 0;
}

void skf_tarscan_seek(struct skf_tarscan *t, uint64_t n)
{
	t->left -= n;
	t->at += n;
	if (t->left)
		return;
	t->state = t->pad ? SKF_TS_PAD : SKF_TS_HEADER;
	t->left = t->pad;
}

bool skf_tarscan_complete(const struct skf_tarscan *t)
{
	return t->state == SKF_TS_TAIL || (t->state == SKF_TS_HEADER && t->fill == 0);
}
