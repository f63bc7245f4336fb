/* tests/unit/store/test_tarscan.c -- the tar scanner alone: what it tells of a stream, cut anywhere. */
#include "tarwrite.h"
#include <string.h>

struct seen {
	struct skf_buf bytes, log; /* log: "type name size@offset;" */
	bool take;
};

static int on_bytes(void *arg, const uint8_t *p, size_t n, struct skf_err *e)
{
	(void)e;
	skf_buf_put(&((struct seen *)arg)->bytes, p, n);
	return 0;
}

static int on_entry(void *arg, const struct skf_tar_entry *t, struct skf_err *e)
{
	struct seen *s = arg;

	(void)e;
	skf_buf_fmt(&s->log, "%c %s %llu@%llu%s;", t->type, t->name, (unsigned long long)t->size,
		    (unsigned long long)t->offset, t->sparse ? " sparse" : "");
	return s->take ? SKF_TAR_TAKE : SKF_TAR_SKIP;
}

/* Feeds in pieces; returns what the scanner said. */
static int scan(struct seen *s, const struct tar *t, size_t piece, char *why)
{
	const struct skf_tarscan_sink sink = {on_bytes, on_entry, s};
	struct skf_err e = SKF_ERR_INIT;
	struct skf_tarscan x;
	int r = 0;

	skf_buf_clear(&s->bytes);
	skf_buf_clear(&s->log);
	skf_tarscan_init(&x, &sink);
	for (size_t i = 0; r == 0 && i < t->b.len; i += piece)
		r = skf_tarscan_feed(&x, (const uint8_t *)t->b.p + i,
				     t->b.len - i < piece ? t->b.len - i : piece, &e);
	if (r == 0)
		r = skf_tarscan_end(&x, &e);
	if (r == 0)
		assert_true(skf_tarscan_complete(&x) && x.at == t->b.len);
	if (why)
		memcpy(why, x.why, sizeof(x.why));
	skf_tarscan_done(&x);
	return r;
}

#define SEEN                                                                                                \
	{                                                                                                   \
		.bytes = SKF_BUF(16 << 20), .log = SKF_BUF(1 << 20)                                         \
	}
static void seen_done(struct seen *s)
{
	skf_buf_done(&s->bytes);
	skf_buf_done(&s->log);
}

static void kinds(void **state)
{
	static const size_t pieces[] = {1, 511, 512, 513, 1000, 1 << 20};
	struct seen s = SEEN;
	struct tar *t = tar_new();
	char name[300];

	(void)state;
	memset(name, 'n', sizeof(name));
	memcpy(name, "long/", 5);
	name[299] = 0;
	tar_dir(t, "d/");
	tar_file(t, "d/f", "hello");
	tar_pax(t, "path", name, 299);
	tar_file(t, "short", "data of the long one");
	tar_pax(t, "mtime", "1.5", 3);
	tar_file(t, "plain", "");
	tar_hard(t, "h", "d/f");
	tar_sym(t, "s", "d");
	tar_node(t, "c", '3', 1, 3);
	tar_end(t);
	skf_buf_str(&t->b, "garbage after the end");
	for (size_t i = 0; i < SKF_ARRAY_LEN(pieces); i++) {
		const char *l;

		s.take = false;
		assert_int_equal(scan(&s, t, pieces[i], NULL), 0);
		l = skf_buf_cstr(&s.log);
		assert_non_null(strstr(l, "5 d/ 0@512;0 d/f 5@1024;0 long/nnn"));
		assert_non_null(strstr(l, ";0 plain 0@"));
		assert_non_null(strstr(l, ";1 h 0@"));
		assert_non_null(strstr(l, ";3 c 0@"));
		assert_int_equal(s.bytes.len, t->b.len - 5 - 20);
		s.take = true;
		assert_int_equal(scan(&s, t, pieces[i], NULL), 0);
		assert_int_equal(s.bytes.len, t->b.len);
		assert_memory_equal(s.bytes.p, t->b.p, t->b.len);
	}
	tar_free(t);
	seen_done(&s);
}

static void odd(const char *what, void (*make)(struct tar *t))
{
	struct seen s = SEEN;
	struct tar *t = tar_new();
	char why[160];

	make(t);
	tar_end(t);
	assert_int_equal(scan(&s, t, 4096, why), 1);
	if (!strstr(why, what))
		fail_msg("expected '%s', got '%s'", what, why);
	tar_free(t);
	seen_done(&s);
}

static void make_unknown(struct tar *t)
{
	tar_header(t, "x", 'V', 0, "", 0, 0);
}
static void make_dir_data(struct tar *t)
{
	tar_header(t, "x", '5', 512, "", 0, 0);
}
static void make_link_data(struct tar *t)
{
	tar_header(t, "x", '1', 5, "y", 0, 0);
}
static void make_checksum(struct tar *t)
{
	tar_file(t, "x", "");
	t->b.p[3] ^= 1;
}
static void make_global(struct tar *t)
{
	tar_pax(t, "path", "abc", 3);
	t->b.p[156] = 'g';
	memcpy(t->b.p + 148, "        ", 8);
	unsigned sum = 0;
	for (size_t i = 0; i < 512; i++)
		sum += (unsigned char)t->b.p[i];
	snprintf(t->b.p + 148, 7, "%06o", sum);
}
static void make_pax_nul(struct tar *t)
{
	tar_pax(t, "path", "a\0c", 3);
	tar_file(t, "x", "");
}
static void make_pax_size(struct tar *t)
{
	tar_pax(t, "size", "-1", 2);
	tar_file(t, "x", "");
}
static void make_pax_huge(struct tar *t)
{
	tar_pax(t, "size", "18446744073709551615", 20);
	tar_file(t, "x", "");
}
static void make_large_meta(struct tar *t)
{
	tar_header(t, "x", 'x', SKF_TARSCAN_MAX_META + 1, "", 0, 0);
}
static void make_long_name(struct tar *t)
{
	tar_header(t, "x", 'L', 0, "", 0, 0);
}

static void not_understood(void **state)
{
	(void)state;
	odd("unknown type", make_unknown);
	odd("whose type has none", make_dir_data);
	odd("whose type has none", make_link_data);
	odd("checksum", make_checksum);
	odd("global pax", make_global);
	odd("NUL", make_pax_nul);
	odd("no number", make_pax_size);
	odd("impossible size", make_pax_huge);
	odd("very large", make_large_meta);
	odd("empty long name", make_long_name);
}

static void seeking(void **state)
{
	struct seen s = SEEN;
	const struct skf_tarscan_sink sink = {on_bytes, on_entry, &s};
	struct skf_err e = SKF_ERR_INIT;
	struct skf_tarscan x;
	struct tar *t = tar_new();

	(void)state;
	tar_header(t, "big", '0', 1000000, "", 0, 0);
	skf_tarscan_init(&x, &sink);
	assert_int_equal(skf_tarscan_feed(&x, (const uint8_t *)t->b.p, 512, &e), 0);
	assert_int_equal(skf_tarscan_skippable(&x), 1000000);
	skf_tarscan_seek(&x, 999999);
	assert_int_equal(skf_tarscan_skippable(&x), 1);
	skf_tarscan_seek(&x, 1);
	assert_int_equal(skf_tarscan_skippable(&x), 0);
	assert_int_equal(x.left, 448); /* padding */
	assert_int_equal(x.at, 1000512);
	skf_tarscan_done(&x);
	tar_free(t);
	seen_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(kinds), cmocka_unit_test(not_understood),
					   cmocka_unit_test(seeking)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
