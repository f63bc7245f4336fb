/* tests/unit/store/test_unpack_stream.c -- what arrives: compression, digests, sizes, damage (T46, T50).
 * Whatever fails leaves nothing. */
#include "tarwrite.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <signal.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

static struct skf_buf gz(const void *p, size_t n)
{
	struct skf_buf out = SKF_BUF(256u << 20);
	z_stream z = {0};
	size_t room = compressBound(n) + 64;

	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_in = (Bytef *)(uintptr_t)p;
	z.avail_in = (uInt)n;
	z.next_out = (Bytef *)skf_buf_reserve(&out, room);
	z.avail_out = (uInt)room;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	out.len = room - z.avail_out;
	deflateEnd(&z);
	return out;
}

static struct skf_buf zs(const void *p, size_t n)
{
	struct skf_buf out = SKF_BUF(256u << 20);
	size_t room = ZSTD_compressBound(n), r;
	char *to = skf_buf_reserve(&out, room);

	r = ZSTD_compress(to, room, p, n, 3);
	assert_false(ZSTD_isError(r));
	out.len = r;
	return out;
}

/* A tar with a few files, one of 600 KB of noise. */
static struct tar *sample(void)
{
	struct tar *t = tar_new();
	size_t n = 600000;
	char *noise = malloc(n);
	uint32_t x = 12345;

	assert_non_null(noise);
	for (size_t i = 0; i < n; i++) {
		x = x * 1103515245 + 12345;
		noise[i] = (char)(x >> 16 & 0x3f);
	}
	tar_dir(t, "etc");
	tar_file(t, "etc/hello", "hello\n");
	tar_header(t, "noise", '0', n, NULL, 0, 0);
	tar_body(t, noise, n);
	tar_file(t, "last", "end\n");
	tar_end(t);
	free(noise);
	return t;
}

static void nothing_left(struct fix *f)
{
	int fd = skf_openat(skf_store_fd(f->s), "layers", O_RDONLY | O_DIRECTORY, 0);
	DIR *d = fdopendir(fd);
	struct dirent *de;

	assert_non_null(d);
	while ((de = readdir(d)) != NULL)
		if (strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0)
			fail_msg("'%s' was left in layers/", de->d_name);
	closedir(d);
}

static void check_sample(struct fix *f, const struct skf_digest *d)
{
	struct skf_layer_info info;
	struct stat st;
	char text[32];

	OK(skf_store_layer_has(f->s, d, &info, &f->e), f);
	assert_int_equal(info.inodes, 5);
	assert_int_equal(info.size, 600010);
	assert_true(info.synced);
	layer_read(f, d, "etc/hello", text, sizeof(text));
	assert_string_equal(text, "hello\n");
	layer_read(f, d, "last", text, sizeof(text));
	assert_string_equal(text, "end\n");
	assert_true(in_layer(f, d, "noise", &st));
	assert_int_equal(st.st_size, 600000);
	OK(skf_unpack_verify(f->s, d, &f->e), f);
}

static void each_compression_and_chunk(void **state)
{
	static const size_t chunks[] = {0, 13, 4096, 65537, 262144, 262145};
	struct tar *t = sample();
	struct skf_buf g = gz(t->b.p, t->b.len), z = zs(t->b.p, t->b.len);

	for (size_t i = 0; i < SKF_ARRAY_LEN(chunks); i++) {
		for (int c = 0; c < 3; c++) {
			static const enum skf_media media[] = {SKF_MEDIA_LAYER_TAR, SKF_MEDIA_LAYER_GZIP,
							       SKF_MEDIA_LAYER_ZSTD};
			const struct skf_buf *b = c == 0 ? &t->b : c == 1 ? &g : &z;
			struct fix *f;
			struct up u;

			assert_int_equal(fix_setup(state), 0);
			f = *state;
			u = (struct up){
				.f = f, .media = i % 2 ? SKF_MEDIA_UNKNOWN : media[c], .chunk = chunks[i]};
			OK(up_bytes(&u, b->p, b->len, t->b.p, t->b.len), f);
			check_sample(f, &u.diff_id);
			assert_int_equal(fix_teardown(state), 0);
		}
	}
	skf_buf_done(&g);
	skf_buf_done(&z);
	tar_free(t);
}

/* Members and frames may follow one another, also empty ones, and be cut anywhere by the network. */
static void members(void **state)
{
	struct fix *f;
	struct tar *t = sample();
	size_t half = t->b.len / 3;

	for (int c = 0; c < 2; c++) {
		struct skf_buf (*pack)(const void *, size_t) = c ? zs : gz;
		struct skf_buf a = pack(t->b.p, half), none = pack("", 0),
			       b = pack(t->b.p + half, t->b.len - half);
		struct skf_buf all = SKF_BUF(64u << 20);

		skf_buf_put(&all, a.p, a.len);
		skf_buf_put(&all, none.p, none.len);
		skf_buf_put(&all, b.p, b.len);
		if (c)
			skf_buf_put(&all, "\x50\x2a\x4d\x18\x04\0\0\0skip", 12); /* a skippable frame */
		for (size_t chunk = 1; chunk < 100; chunk += 31) {
			struct up u;

			assert_int_equal(fix_setup(state), 0);
			f = *state;
			u = (struct up){.f = f, .chunk = chunk};
			OK(up_bytes(&u, all.p, all.len, t->b.p, t->b.len), f);
			check_sample(f, &u.diff_id);
			assert_int_equal(fix_teardown(state), 0);
		}
		skf_buf_done(&a);
		skf_buf_done(&b);
		skf_buf_done(&none);
		skf_buf_done(&all);
	}
	tar_free(t);
}

static void fails(struct fix *f, struct up u, const struct skf_buf *b, size_t n, const struct tar *t,
		  const char *word)
{
	u.f = f;
	FAILS(up_bytes(&u, b->p, n, t->b.p, t->b.len), SKF_ECORRUPT, f);
	if (!strstr(f->e.msg, word))
		fail_msg("expected '%s' in '%s'", word, f->e.msg);
	nothing_left(f);
}

static void digests_and_sizes(void **state)
{
	struct fix *f = *state;
	struct tar *t = sample();
	struct skf_buf g = gz(t->b.p, t->b.len);
	struct skf_digest wrong = fix_digest("wrong");

	fails(f, (struct up){.digest = wrong}, &g, g.len, t, "expected sha256:");
	fails(f, (struct up){.diff_id = wrong}, &g, g.len, t,
	      "unpacked data are not what the image's config says");
	fails(f, (struct up){.size = g.len - 1}, &g, g.len, t, "is longer than");
	fails(f, (struct up){.size = g.len + 1}, &g, g.len, t, "ended after");
	fails(f, (struct up){.media = SKF_MEDIA_LAYER_ZSTD}, &g, g.len, t, "begin as gzip");
	fails(f, (struct up){.media = SKF_MEDIA_LAYER_TAR}, &g, g.len, t, "begin as gzip");
	fails(f, (struct up){.media = SKF_MEDIA_LAYER_GZIP}, &t->b, t->b.len, t, "begin as uncompressed");
	skf_buf_done(&g);
	tar_free(t);
}

static void damage(void **state)
{
	struct fix *f = *state;
	struct tar *t = sample();
	struct skf_buf g = gz(t->b.p, t->b.len), z = zs(t->b.p, t->b.len);

	/* cut off: within the data, within the trailer */
	fails(f, (struct up){0}, &g, g.len / 2, t, "cut off");
	fails(f, (struct up){0}, &g, g.len - 1, t, "cut off");
	fails(f, (struct up){0}, &g, 12, t, "cut off");
	fails(f, (struct up){0}, &g, 3, t, "cut off");
	fails(f, (struct up){0}, &z, z.len / 2, t, "cut off");
	fails(f, (struct up){0}, &z, z.len - 1, t, "cut off");
	/* trailing garbage */
	skf_buf_put(&g, "garbage", 7);
	fails(f, (struct up){0}, &g, g.len, t, "gzip");
	g.len -= 7;
	skf_buf_put(&z, "garbage", 7);
	fails(f, (struct up){0}, &z, z.len, t, "zstd");
	z.len -= 7;
	/* a wrong checksum, then a flipped bit in the data */
	g.p[g.len - 6] ^= 1;
	fails(f, (struct up){0}, &g, g.len, t, "gzip stream");
	g.p[g.len - 6] ^= 1;
	g.p[g.len - 1] ^= 1;
	fails(f, (struct up){0}, &g, g.len, t, "gzip");
	skf_buf_done(&g);
	skf_buf_done(&z);
	tar_free(t);
}

static void truncated_tar(void **state)
{
	struct fix *f = *state;
	struct tar *t = sample(), cut = *t;

	cut.b.len = 512 * 300 + 100; /* within the data of 'noise' */
	fails(f, (struct up){0}, &cut.b, cut.b.len, &cut, "runcated");
	cut.b.len = 700; /* within a header */
	fails(f, (struct up){0}, &cut.b, cut.b.len, &cut, "tar");
	cut.b.len = t->b.len;
	cut.b.p[512 + 20] ^= 1; /* checksum of the second header */
	fails(f, (struct up){0}, &cut.b, cut.b.len, &cut, "amaged");
	tar_free(t);
}

static void not_a_tar(void **state)
{
	struct fix *f = *state;
	struct tar t = {.b = SKF_BUF(4096)};

	for (int i = 0; i < 100; i++)
		skf_buf_str(&t.b, "this is no tar; ");
	fails(f, (struct up){0}, &t.b, t.b.len, &t, "tar");
	skf_buf_done(&t.b);
}

static void empty_layers(void **state)
{
	static const char zero[1024];
	struct fix *f = *state;
	struct skf_buf g = gz("", 0);
	struct up u = {.f = f};

	OK(up_bytes(&u, zero, sizeof(zero), zero, sizeof(zero)), f);
	assert_int_equal(u.res.inodes, 1);
	u = (struct up){.f = f};
	OK(up_bytes(&u, g.p, g.len, "", 0), f);
	assert_int_equal(u.res.inodes, 1);
	skf_buf_done(&g);
}

static void bomb(void **state)
{
	struct fix *f = *state;
	struct skf_unpack_limits lim = skf_unpack_default_limits;
	struct tar *t = tar_new();
	size_t n = 8u << 20;
	char *zero = calloc(1, n);
	struct skf_buf g;
	struct up u;

	assert_non_null(zero);
	tar_header(t, "zeros", '0', n, NULL, 0, 0);
	tar_body(t, zero, n);
	tar_end(t);
	g = gz(t->b.p, t->b.len);
	lim.ratio = 100;
	lim.ratio_from = 1u << 20;
	u = (struct up){.f = f, .lim = &lim};
	FAILS(up_bytes(&u, g.p, g.len, t->b.p, t->b.len), SKF_ELIMIT, f);
	assert_non_null(strstr(f->e.msg, "bomb"));
	lim = skf_unpack_default_limits;
	lim.bytes = 4u << 20;
	u = (struct up){.f = f, .lim = &lim};
	FAILS(up_bytes(&u, g.p, g.len, t->b.p, t->b.len), SKF_ELIMIT, f);
	nothing_left(f);
	u = (struct up){.f = f};
	OK(up_bytes(&u, g.p, g.len, t->b.p, t->b.len), f);
	skf_buf_done(&g);
	tar_free(t);
	free(zero);
}

/* A limit on the size of files stands for a full disk: the write fails, the error names the entry, nothing
 * is left. */
static void disk_full(void **state)
{
	struct fix *f = *state;
	struct tar *t = sample();
	struct rlimit old, lim;
	struct up u = {.f = f};

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	lim = old;
	lim.rlim_cur = 300000;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &lim), 0);
	FAILS(up_bytes(&u, t->b.p, t->b.len, t->b.p, t->b.len), SKF_ELIMIT, f);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_non_null(strstr(f->e.msg, "noise"));
	nothing_left(f);
	tar_free(t);
}

static void given_up(void **state)
{
	struct fix *f = *state;
	struct tar *t = sample();
	struct skf_unpack_opts o = {.size = t->b.len, .digest = fix_digest("a"), .diff_id = fix_digest("b")};
	volatile uint64_t progress = 0;
	struct skf_unpack *u;

	o.progress = &progress;
	OK(skf_unpack_new(f->s, &o, &u, &f->e), f);
	skf_unpack_free(u);
	for (size_t n = 1; n < t->b.len; n += 99991) {
		OK(skf_unpack_new(f->s, &o, &u, &f->e), f);
		OK(skf_unpack_write(u, t->b.p, n, &f->e), f);
		assert_int_equal(progress, n);
		skf_unpack_free(u);
	}
	nothing_left(f);
	tar_free(t);
}

static void second_one_wins_nothing(void **state)
{
	struct fix *f = *state;
	struct tar *t = sample();
	struct up u = {.f = f}, again;
	struct stat a, b;

	OK(up_bytes(&u, t->b.p, t->b.len, t->b.p, t->b.len), f);
	assert_true(in_layer(f, &u.diff_id, "last", &a));
	again = (struct up){.f = f};
	OK(up_bytes(&again, t->b.p, t->b.len, t->b.p, t->b.len), f);
	assert_true(in_layer(f, &u.diff_id, "last", &b));
	assert_int_equal(a.st_ino, b.st_ino);
	tar_free(t);
}

static void spoil_seal(struct fix *f, const struct skf_digest *d, const char *text)
{
	char path[200];
	int fd;

	snprintf(path, sizeof(path), "layers/%s", skf_digest_hex(d));
	fd = skf_openat(skf_store_fd(f->s), path, O_RDONLY | O_DIRECTORY, 0);
	assert_true(fd >= 0);
	assert_int_equal(skf_write_atomic_at(fd, "seal", text, strlen(text), 0600, 0), 0);
	skf_closep(&fd);
}

static void another_boot(void **state)
{
	struct fix *f = *state;
	struct tar *t = sample();
	struct up u = {.f = f}, again;
	struct skf_buf seal = SKF_BUF(4096);
	char path[200], *at;
	int fd;

	OK(up_bytes(&u, t->b.p, t->b.len, t->b.p, t->b.len), f);
	snprintf(path, sizeof(path), "layers/%s/seal", skf_digest_hex(&u.diff_id));
	assert_int_equal(skf_read_file_at(skf_store_fd(f->s), path, 4000, &seal), 0);
	at = strstr(seal.p, "\"synced\":\"");
	assert_non_null(at);
	memset(at + 10, '0', 8);
	spoil_seal(f, &u.diff_id, seal.p);
	assert_int_equal(skf_store_layer_has(f->s, &u.diff_id, NULL, &f->e), 2);
	FAILS(skf_store_layer_open(f->s, &u.diff_id, &fd, &f->e), SKF_ENOTFOUND, f);
	/* verified and synced it is usable again */
	OK(skf_unpack_verify(f->s, &u.diff_id, &f->e), f);
	OK(skf_unpack_sync(f->s, &u.diff_id, 1, &f->e), f);
	assert_int_equal(skf_store_layer_has(f->s, &u.diff_id, NULL, &f->e), 1);
	skf_buf_clear(&seal);
	assert_int_equal(skf_read_file_at(skf_store_fd(f->s), path, 4000, &seal), 0);
	assert_non_null(strstr(seal.p, "\"synced\":\"yes\""));
	/* a cut seal is a layer to be pulled again, and the new one replaces it */
	spoil_seal(f, &u.diff_id, "{\"v\":1,");
	assert_int_equal(skf_store_layer_has(f->s, &u.diff_id, NULL, &f->e), 2);
	again = (struct up){.f = f};
	OK(up_bytes(&again, t->b.p, t->b.len, t->b.p, t->b.len), f);
	check_sample(f, &u.diff_id);
	skf_buf_done(&seal);
	tar_free(t);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, fix_setup, fix_teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_compression_and_chunk),
		cmocka_unit_test(members),
		T(digests_and_sizes),
		T(damage),
		T(truncated_tar),
		T(not_a_tar),
		T(empty_layers),
		T(bomb),
		T(disk_full),
		T(given_up),
		T(second_one_wins_nothing),
		T(another_boot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
