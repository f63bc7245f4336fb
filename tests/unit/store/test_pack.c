/* tests/unit/store/test_pack.c -- a layer's tar again: bit for bit with a record, as a canonical one
 * without. */
#include "store/pack.h"
#include "tarwrite.h"
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static int to_buf(void *arg, const void *p, size_t n, struct skf_err *e)
{
	struct skf_buf *b = arg;

	skf_buf_put(b, p, n);
	return b->err ? skf_fail(e, SKF_ELIMIT, "test buffer") : 0;
}

static int sealed(struct fix *f, struct tar *t, struct up *u)
{
	memset(u, 0, sizeof(*u));
	u->f = f;
	u->media = SKF_MEDIA_LAYER_TAR;
	return up_bytes(u, t->b.p, t->b.len, t->b.p, t->b.len);
}

static void same(struct fix *f, struct tar *t)
{
	static const enum skf_compression how[] = {SKF_COMP_NONE, SKF_COMP_GZIP, SKF_COMP_ZSTD};
	struct skf_packed plan;
	struct up u;

	OK(sealed(f, t, &u), f);
	assert_string_equal(u.res.no_record, "");
	OK(skf_pack_layer_plan(f->s, &u.diff_id, &plan, &f->e), f);
	assert_true(plan.exact && plan.size == t->b.len && skf_digest_eq(&plan.digest, &u.diff_id));
	for (size_t i = 0; i < SKF_ARRAY_LEN(how); i++) {
		struct skf_buf b = SKF_BUF(64 << 20);
		const struct skf_pack_sink sink = {to_buf, &b};
		struct skf_digest d, want;
		uint64_t size;

		assert_int_equal(skf_pack_layer(f->s, &u.diff_id, how[i], -1, &sink, &d, &size, &f->e), 0);
		assert_int_equal(size, b.len);
		OK(skf_unpack_sha256(b.p, b.len, &want, &f->e), f);
		assert_true(skf_digest_eq(&d, &want));
		if (how[i] == SKF_COMP_NONE) {
			assert_int_equal(b.len, t->b.len);
			assert_memory_equal(b.p, t->b.p, b.len);
		} else { /* unpacks to the same diff-id: the layer is there already, so it is checked only */
			struct up again = {.f = f,
					   .media = how[i] == SKF_COMP_GZIP ? SKF_MEDIA_LAYER_GZIP
									    : SKF_MEDIA_LAYER_ZSTD};

			OK(up_bytes(&again, b.p, b.len, t->b.p, t->b.len), f);
		}
		skf_buf_done(&b);
	}
	OK(skf_unpack_verify(f->s, &u.diff_id, &f->e), f);
	tar_free(t);
}

static void exact(void **state)
{
	struct fix *f = *state;
	struct tar *t = tar_new();
	char big[70000];

	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * 7 + i / 251);
	tar_dir(t, "d/");
	tar_file(t, "./d/../d//f", "hello");
	tar_header(t, "big", '0', sizeof(big), "", 0, 0);
	tar_body(t, big, sizeof(big));
	tar_pax(t, "path", "d/other", 7);
	tar_file(t, "x", "pax name");
	tar_hard(t, "h", "big");
	tar_sym(t, "l", "d");
	tar_file(t, "l/through", "a link to a directory");
	tar_file(t, ".wh.gone", "a whiteout with data");
	tar_file(t, "d/.wh..wh..opq", "");
	tar_file(t, "zero", "");
	tar_end(t);
	skf_buf_str(&t->b, "bytes after the end, and not a multiple of 512");
	same(f, t);
	t = tar_new();
	tar_end(t);
	same(f, t);
}

static void padding_is_kept(void **state)
{
	struct tar *t = tar_new();

	tar_file(t, "f", "x");
	t->b.p[t->b.len - 1] = '!';
	tar_end(t);
	same(*state, t);
}

/* What the tree cannot give back has no record, and is packed as what the tree is. */
static void canonical(void **state)
{
	struct fix *f = *state;
	struct skf_buf a = SKF_BUF(1 << 20), b = SKF_BUF(1 << 20);
	const struct skf_pack_sink sink = {to_buf, &a}, sink2 = {to_buf, &b};
	struct skf_packed x, y;
	struct tar *t = tar_new();
	struct up u, again = {.f = f, .media = SKF_MEDIA_LAYER_TAR};

	tar_dir(t, "d/");
	tar_file(t, "f", "first");
	tar_file(t, "f", "second");
	tar_hard(t, "d/h", "f");
	tar_sym(t, "l", "f");
	tar_file(t, ".wh.gone", "");
	tar_file(t, "d/.wh..wh..opq", "");
	tar_end(t);
	OK(sealed(f, t, &u), f);
	assert_non_null(strstr(u.res.no_record, "place of another"));
	OK(skf_unpack_verify(f->s, &u.diff_id, &f->e), f);
	OK(skf_pack_layer_as(f->s, &u.diff_id, SKF_COMP_NONE, -1, &sink, &x, &f->e), f);
	assert_false(x.exact);
	assert_false(skf_digest_eq(&x.diff_id, &u.diff_id));
	OK(skf_pack_layer_plan(f->s, &u.diff_id, &y, &f->e), f);
	assert_true(skf_digest_eq(&x.digest, &y.digest) && x.size == y.size && y.size == a.len);
	assert_int_equal(
		skf_pack_layer(f->s, &u.diff_id, SKF_COMP_NONE, -1, &sink2, &y.digest, &y.size, &f->e), 1);
	assert_int_equal(a.len, b.len);
	assert_memory_equal(a.p, b.p, a.len);
	OK(up_bytes(&again, a.p, a.len, a.p, a.len), f);
	assert_string_equal(again.res.no_record, "");
	for (int i = 0; i < 2; i++) { /* the same content */
		const struct skf_digest *d = i ? &again.diff_id : &u.diff_id;
		char text[16];
		struct stat st, st2;

		layer_read(f, d, "f", text, sizeof(text));
		assert_string_equal(text, "second");
		assert_true(in_layer(f, d, "d/h", &st) && in_layer(f, d, "f", &st2) &&
			    st.st_ino == st2.st_ino);
		assert_true(in_layer(f, d, "l", &st) && S_ISLNK(st.st_mode));
		assert_true(in_layer(f, d, "gone", &st) && S_ISCHR(st.st_mode));
	}
	tar_free(t);
	skf_buf_done(&a);
	skf_buf_done(&b);
}

static int open_in(struct fix *f, const struct skf_digest *d, const char *name, int flags)
{
	char path[300];

	assert_true(skf_fmt(path, sizeof(path), "layers/%s/%s", skf_digest_hex(d), name) == 0);
	return openat(skf_store_fd(f->s), path, flags | O_CLOEXEC);
}

static void damage(void **state)
{
	struct fix *f = *state;
	struct skf_digest d;
	struct tar *t = tar_new();
	uint64_t size;
	struct up u;
	int fd;

	tar_file(t, "f", "hello");
	tar_file(t, "g", "hello");
	tar_end(t);
	OK(sealed(f, t, &u), f);
	fd = open_in(f, &u.diff_id, "tree/f", O_WRONLY);
	assert_true(fd >= 0 && pwrite(fd, "J", 1, 0) == 1);
	FAILS(skf_pack_layer(f->s, &u.diff_id, SKF_COMP_NONE, -1, NULL, &d, &size, &f->e), SKF_ECORRUPT, f);
	assert_int_equal(ftruncate(fd, 3), 0);
	FAILS(skf_pack_layer(f->s, &u.diff_id, SKF_COMP_NONE, -1, NULL, &d, &size, &f->e), SKF_ECORRUPT, f);
	close(fd);
	fd = open_in(f, &u.diff_id, "tar", O_WRONLY);
	assert_true(fd >= 0 && pwrite(fd, "zz", 2, 20) == 2);
	close(fd);
	FAILS(skf_pack_layer(f->s, &u.diff_id, SKF_COMP_NONE, -1, NULL, &d, &size, &f->e), SKF_ECORRUPT, f);
	FAILS(skf_unpack_verify(f->s, &u.diff_id, &f->e), SKF_ECORRUPT, f);
	assert_non_null(strstr(f->e.msg, "record"));
	tar_free(t);
}

static void put_over(char *in, const char *key, const char *value)
{
	char *at = strstr(in, key);

	assert_non_null(at);
	memcpy(at + strlen(key), value, strlen(value));
}

/* The listing that version 1 of the seal had: a SHA-256 of each file. */
static void old_listing(struct fix *f, int layer, struct skf_buf *seal)
{
	struct skf_buf old = SKF_BUF(4096), new = SKF_BUF(4096);
	struct skf_digest hello, tree;
	char *at;

	OK(skf_unpack_sha256("hello", 5, &hello, &f->e), f);
	assert_int_equal(skf_read_file_at(layer, "files", 4096, &old), 0);
	at = strstr(skf_buf_cstr(&old), "crc64:");
	skf_buf_put(&new, old.p, at ? (size_t)(at - old.p) : old.len);
	if (at) {
		skf_buf_str(&new, hello.s);
		skf_buf_str(&new, at + strlen("crc64:0123456789abcdef"));
	}
	OK(skf_unpack_sha256(new.p, new.len, &tree, &f->e), f);
	put_over(seal->p, "\"min\":", "1");
	put_over(seal->p, "\"tree\":\"", tree.s);
	put_over(seal->p, "\"files\":\"", tree.s);
	assert_int_equal(skf_write_atomic_at(layer, "files", new.p, new.len, 0600, 0), 0);
	assert_int_equal(skf_write_atomic_at(layer, "seal", seal->p, strlen(seal->p), 0600, 0), 0);
	skf_buf_done(&old);
	skf_buf_done(&new);
}

/* Every change of a file is found, also one that its checksum does not see, and the file is named where it
 * does. */
static void changes(void **state)
{
	static const uint8_t blind[9] = {
		0x85, 0x1e, 0x0e, 0xaf, 0x2b,
		0xaf, 0xd8, 0x92, 0x01}; /* the polynomial: adding it keeps the sum */
	struct fix *f = *state;
	struct tar *t = tar_new();
	uint8_t data[64], was[64];
	struct skf_buf b = SKF_BUF(4096);
	struct up u;
	int fd;

	assert_int_equal(skf_crc64(0, "123456789", 9), 0x995dc9bbdf1939fa);
	assert_int_equal(skf_crc64(skf_crc64(0, "1234", 4), "56789", 5), 0x995dc9bbdf1939fa);
	tar_header(t, "d/f", '0', sizeof(data), "", 0, 0);
	for (size_t i = 0; i < sizeof(data); i++)
		was[i] = data[i] = (uint8_t)(i * 31);
	tar_body(t, data, sizeof(data));
	tar_file(t, "g", "other");
	tar_end(t);
	OK(sealed(f, t, &u), f);
	OK(skf_unpack_verify(f->s, &u.diff_id, &f->e), f);
	fd = open_in(f, &u.diff_id, "files", O_RDONLY);
	assert_true(fd >= 0 && skf_read_fd(fd, 4096, &b) == 0);
	close(fd);
	assert_true(!!strstr(skf_buf_cstr(&b), "/d/f f 0644 0 0 64 crc64:") == skf_crc64_fast());
	fd = open_in(f, &u.diff_id, "tree/d/f", O_RDWR);
	assert_true(fd >= 0 && pwrite(fd, "!", 1, 40) == 1);
	FAILS(skf_unpack_verify(f->s, &u.diff_id, &f->e), SKF_ECORRUPT, f);
	assert_non_null(strstr(f->e.msg, "'/d/f' differs"));
	for (size_t i = 0; i < sizeof(blind); i++)
		data[20 + i] ^= blind[i];
	assert_int_equal(skf_crc64(0, data, sizeof(data)), skf_crc64(0, was, sizeof(was)));
	assert_int_equal(pwrite(fd, data, sizeof(data), 0), sizeof(data));
	FAILS(skf_unpack_verify(f->s, &u.diff_id, &f->e), SKF_ECORRUPT, f);
	assert_int_equal(pwrite(fd, was, sizeof(was), 0), sizeof(was));
	OK(skf_unpack_verify(f->s, &u.diff_id, &f->e), f);
	close(fd);
	skf_buf_done(&b);
	tar_free(t);
}

/* A layer of an older store, whose seal knows no record. */
static void without_record(void **state)
{
	struct fix *f = *state;
	struct skf_packed x;
	struct tar *t = tar_new();
	SKF_AUTO_FD int layer = -EBADF;
	struct skf_buf b = SKF_BUF(4096);
	struct up u;
	char *at;

	tar_file(t, "f", "hello");
	tar_end(t);
	OK(sealed(f, t, &u), f);
	layer = open_in(f, &u.diff_id, ".", O_RDONLY | O_DIRECTORY);
	assert_true(layer >= 0 && unlinkat(layer, "tar", 0) == 0);
	FAILS(skf_unpack_verify(f->s, &u.diff_id, &f->e), SKF_ECORRUPT, f);
	assert_int_equal(skf_read_file_at(layer, "seal", 4096, &b), 0);
	at = strstr(b.p, ",\"tar\"");
	assert_non_null(at);
	memcpy(at, "}\n", 3);
	assert_int_equal(skf_write_atomic_at(layer, "seal", b.p, strlen(b.p), 0600, 0), 0);
	if (skf_crc64_fast()) { /* checksums alone vouch for nothing */
		FAILS(skf_unpack_verify(f->s, &u.diff_id, &f->e), SKF_ECORRUPT, f);
		assert_non_null(strstr(f->e.msg, "vouches"));
	}
	old_listing(f, layer, &b);
	OK(skf_unpack_verify(f->s, &u.diff_id, &f->e), f);
	OK(skf_pack_layer_as(f->s, &u.diff_id, SKF_COMP_GZIP, -1, NULL, &x, &f->e), f);
	assert_false(x.exact);
	skf_buf_done(&b);
	tar_free(t);
}

static int named(void *arg, const struct skf_digest *d, struct skf_err *e)
{
	(void)e;
	*(struct skf_digest *)arg = *d;
	return 0;
}

static void unknown_digest(void **state)
{
	struct fix *f = *state;
	struct skf_digest told = {""}, want;
	struct skf_unpack_opts o = {.size = UINT64_MAX, .named = named, .arg = &told};
	struct skf_unpack_result res;
	struct skf_unpack *u;
	struct tar *t = tar_new();

	tar_file(t, "f", "hello");
	tar_end(t);
	OK(skf_unpack_sha256(t->b.p, t->b.len, &want, &f->e), f);
	OK(skf_unpack_new(f->s, &o, &u, &f->e), f);
	OK(skf_unpack_write(u, t->b.p, t->b.len, &f->e), f);
	OK(skf_unpack_finish(u, &res, &f->e), f);
	skf_unpack_free(u);
	assert_true(skf_digest_eq(&res.diff_id, &want) && skf_digest_eq(&res.digest, &want) &&
		    skf_digest_eq(&told, &want));
	assert_int_equal(res.packed, t->b.len);
	assert_int_equal(skf_store_layer_has(f->s, &want, NULL, &f->e), 1);
	tar_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(exact, fix_setup, fix_teardown),
		cmocka_unit_test_setup_teardown(padding_is_kept, fix_setup, fix_teardown),
		cmocka_unit_test_setup_teardown(canonical, fix_setup, fix_teardown),
		cmocka_unit_test_setup_teardown(damage, fix_setup, fix_teardown),
		cmocka_unit_test_setup_teardown(changes, fix_setup, fix_teardown),
		cmocka_unit_test_setup_teardown(without_record, fix_setup, fix_teardown),
		cmocka_unit_test_setup_teardown(unknown_digest, fix_setup, fix_teardown),
	};

	fix_privileged();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
