/* tests/unit/store/test_store.c -- opening, blobs, image records, references, resolving a user's word. */
#include "objects.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void opening(void **state)
{
	struct fix *f = *state;
	struct skf_store *s = NULL;
	char path[128];
	struct stat st;

	snprintf(path, sizeof(path), "%s/none", f->base);
	FAILS(skf_store_open(path, false, &s, &f->e), SKF_ENOTFOUND, f);
	assert_int_equal(mkdirat(f->base_fd, "none", 0755), 0);
	FAILS(skf_store_open(path, false, &s, &f->e), SKF_ENOTFOUND, f);
	OK(skf_store_open(path, true, &s, &f->e), f);
	assert_string_equal(skf_store_root(s), path);
	assert_int_equal(fstatat(skf_store_fd(s), "layers", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(skf_write_atomic_at(skf_store_fd(s), "format", "2\n", 2, 0644, 0), 0);
	skf_store_free(s);
	s = NULL;
	FAILS(skf_store_open(path, true, &s, &f->e), SKF_EINVALID, f);
	assert_non_null(strstr(f->e.msg, "use a newer skiff"));
	skf_mkdir_at(f->base_fd, "bad", 0755);
	assert_int_equal(skf_write_atomic_at(f->base_fd, "bad/x", "", 0, 0644, 0), -EINVAL);
	skf_store_free(NULL);
}

static void blobs(void **state)
{
	struct fix *f = *state;
	struct skf_buf b = SKF_BUF(100);
	struct skf_digest d, bad = {"sha256:../../../etc/passwd"}, none = {""};
	uint64_t size;
	int fd;

	OK(skf_unpack_sha256("abc", 3, &d, &f->e), f);
	assert_string_equal(d.s, "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	assert_int_equal(skf_store_blob_has(f->s, &d, &f->e), 0);
	FAILS(skf_store_blob_open(f->s, &d, &fd, &size, &f->e), SKF_ENOTFOUND, f);
	OK(skf_store_blob_put(f->s, &d, "abc", 3, &f->e), f);
	OK(skf_store_blob_put(f->s, &d, "abc", 3, &f->e), f);
	assert_int_equal(skf_store_blob_has(f->s, &d, &f->e), 1);
	OK(skf_store_blob_read(f->s, &d, 3, &b, &f->e), f);
	assert_string_equal(b.p, "abc");
	FAILS(skf_store_blob_read(f->s, &d, 2, &b, &f->e), SKF_ELIMIT, f);
	OK(skf_store_blob_open(f->s, &d, &fd, &size, &f->e), f);
	assert_int_equal(size, 3);
	close(fd);
	FAILS(skf_store_blob_has(f->s, &bad, &f->e), SKF_EINVALID, f);
	FAILS(skf_store_blob_put(f->s, &none, "", 0, &f->e), SKF_EINVALID, f);
	FAILS(skf_store_layer_has(f->s, &bad, NULL, &f->e), SKF_EINVALID, f);
	skf_buf_done(&b);
}

static void records(void **state)
{
	struct fix *f = *state;
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(1 << 20);
	struct obj o = obj_image(f, "one", "base");
	struct skf_digest none = fix_digest("none");
	struct skf_image *i;
	struct skf_image_layer *l;
	struct skf_buf b = SKF_BUF(1 << 16);
	char path[200];
	const char *at;

	OK(skf_store_image_get(f->s, &o.manifest, &a, &i, &f->e), f);
	assert_string_equal(i->config.s, o.config.s);
	assert_string_equal(i->platform, "linux/amd64");
	assert_string_equal(i->from, "docker.io/library/test");
	assert_int_equal(i->size, 200);
	assert_int_equal(i->pulled_ns, 42);
	assert_int_equal(i->layers.n, 2);
	l = i->layers.v;
	assert_string_equal(l[1].diff_id.s, o.diff_id[1].s);
	FAILS(skf_store_image_get(f->s, &none, &a, &i, &f->e), SKF_ENOTFOUND, f);
	/* members of a newer version, and the verdict, stay when the record is written again */
	snprintf(path, sizeof(path), "images/%s", skf_digest_hex(&o.manifest));
	assert_int_equal(skf_read_file_at(skf_store_fd(f->s), path, 1 << 16, &b), 0);
	at = strstr(b.p, "\"verdict\":null");
	assert_non_null(at);
	{
		struct skf_buf n = SKF_BUF(1 << 16);
		int dir = skf_openat(skf_store_fd(f->s), "images", O_RDONLY | O_DIRECTORY, 0);

		skf_buf_put(&n, b.p, (size_t)(at - b.p));
		skf_buf_str(&n, "\"verdict\":{\"ok\":true},\"later\":[1,\"two\"]}\n");
		assert_int_equal(skf_write_atomic_at(dir, skf_digest_hex(&o.manifest), n.p, n.len, 0600, 0),
				 0);
		close(dir);
		skf_buf_done(&n);
	}
	o = obj_image(f, "one", "base");
	skf_buf_clear(&b);
	assert_int_equal(skf_read_file_at(skf_store_fd(f->s), path, 1 << 16, &b), 0);
	assert_non_null(strstr(b.p, "\"verdict\":{\"ok\":true}"));
	assert_non_null(strstr(b.p, "\"later\":[1,\"two\"]"));
	skf_buf_done(&b);
}

static ino_t inode_of(struct fix *f, const char *path)
{
	struct stat st;

	assert_int_equal(fstatat(skf_store_fd(f->s), path, &st, AT_SYMLINK_NOFOLLOW), 0);
	return st.st_ino;
}

/* Blobs and record in one go; what is there stays, and so does a record that differs by its time alone. */
static void record_with_blobs(void **state)
{
	struct fix *f = *state;
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(1 << 20);
	struct obj o = obj_image(f, "one", "base");
	struct skf_digest d[2] = {fix_digest("x"), fix_digest("y")};
	const struct skf_store_doc docs[] = {{&d[0], "x", 1}, {&d[1], "y", 1}, {&o.config, "z", 1}};
	struct skf_image *i, *again;
	struct skf_buf b = SKF_BUF(1 << 16);
	char path[200], config[200];
	ino_t record, blob;

	snprintf(path, sizeof(path), "images/%s", skf_digest_hex(&o.manifest));
	snprintf(config, sizeof(config), "blobs/sha256/%s", skf_digest_hex(&o.config));
	OK(skf_store_image_get(f->s, &o.manifest, &a, &i, &f->e), f);
	record = inode_of(f, path);
	blob = inode_of(f, config);
	i->pulled_ns = 43;
	OK(skf_store_image_put_with(f->s, i, docs, 3, &f->e), f);
	assert_int_equal(inode_of(f, path), record);
	assert_int_equal(inode_of(f, config), blob);
	for (int n = 0; n < 2; n++) {
		skf_buf_clear(&b);
		OK(skf_store_blob_read(f->s, &d[n], 16, &b, &f->e), f);
		assert_string_equal(skf_buf_cstr(&b), n ? "y" : "x");
	}
	i->from = (char *)"docker.io/library/other";
	OK(skf_store_image_put_with(f->s, i, docs, 3, &f->e), f);
	assert_int_not_equal(inode_of(f, path), record);
	OK(skf_store_image_get(f->s, &o.manifest, &a, &again, &f->e), f);
	assert_string_equal(again->from, "docker.io/library/other");
	assert_int_equal(again->pulled_ns, 43);
	skf_buf_done(&b);
}

static void references(void **state)
{
	static const char *const names[] = {"zeta", "localhost:5000/a/b:tag", "alpha:1", "alpha:2",
					    "example.org/x/y/z:_t"};
	static const char *const sorted[] = {"docker.io/library/alpha:1", "docker.io/library/alpha:2",
					     "docker.io/library/zeta:latest", "example.org/x/y/z:_t",
					     "localhost:5000/a/b:tag"};
	struct fix *f = *state;
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(1 << 20);
	struct obj one = obj_image(f, "one", "base"), two = obj_image(f, "two", "base");
	struct skf_digest missing = fix_digest("missing");
	struct skf_refrec rec, *v;
	struct skf_jarr list;
	char full[SKF_MAX_REF_BYTES + 1], text[300];
	struct skf_ref r;

	for (size_t i = 0; i < SKF_ARRAY_LEN(names); i++)
		obj_ref(f, names[i], &one);
	OK(skf_store_ref_list(f->s, &a, &list, &f->e), f);
	assert_int_equal(list.n, SKF_ARRAY_LEN(sorted));
	v = list.v;
	for (size_t i = 0; i < list.n; i++) {
		skf_ref_full(&v[i].ref, full);
		assert_string_equal(full, sorted[i]);
		assert_string_equal(v[i].manifest.s, one.manifest.s);
		assert_true(v[i].updated_ns > 0);
	}
	/* replaced, found, removed */
	obj_ref(f, "alpha:1", &two);
	r = obj_parse(f, "alpha:1");
	assert_int_equal(skf_store_ref_find(f->s, &r, &rec, &f->e), 1);
	assert_string_equal(rec.manifest.s, two.manifest.s);
	OK(skf_store_ref_remove(f->s, &r, &f->e), f);
	assert_int_equal(skf_store_ref_find(f->s, &r, &rec, &f->e), 0);
	FAILS(skf_store_ref_remove(f->s, &r, &f->e), SKF_ENOTFOUND, f);
	r = obj_parse(f, "never/seen");
	FAILS(skf_store_ref_remove(f->s, &r, &f->e), SKF_ENOTFOUND, f);
	/* by digest */
	snprintf(text, sizeof(text), "alpha@%s", two.manifest.s);
	r = obj_parse(f, text);
	assert_int_equal(skf_store_ref_find(f->s, &r, &rec, &f->e), 0);
	obj_ref(f, text, &two);
	assert_int_equal(skf_store_ref_find(f->s, &r, &rec, &f->e), 1);
	OK(skf_store_ref_list(f->s, &a, &list, &f->e), f);
	v = list.v;
	skf_ref_full(&v[1].ref, full);
	assert_string_equal(v[1].ref.digest.s[0] ? v[1].ref.digest.s : v[0].ref.digest.s, two.manifest.s);
	/* tag and digest: only when the tag still means it */
	snprintf(text, sizeof(text), "zeta:latest@%s", two.manifest.s);
	r = obj_parse(f, text);
	assert_int_equal(skf_store_ref_find(f->s, &r, &rec, &f->e), 0);
	snprintf(text, sizeof(text), "zeta:latest@%s", one.manifest.s);
	r = obj_parse(f, text);
	assert_int_equal(skf_store_ref_find(f->s, &r, &rec, &f->e), 1);
	/* no reference to what is not there */
	r = obj_parse(f, "broken");
	FAILS(skf_store_ref_set(f->s, &r, &missing, &missing, &f->e), SKF_ENOTFOUND, f);
	snprintf(text, sizeof(text), "layers/%s", skf_digest_hex(&two.diff_id[1]));
	assert_int_equal(skf_rmtree_at(skf_store_fd(f->s), text), 0);
	FAILS(skf_store_ref_set(f->s, &r, &two.manifest, &two.manifest, &f->e), SKF_ENOTFOUND, f);
	assert_non_null(strstr(f->e.msg, "pull the image again"));
}

/* A struct that no parser made cannot leave refs/. */
static void hostile_references(void **state)
{
	static const struct skf_ref bad[] = {
		{.registry = "..", .repo = "a", .tag = "b"},
		{.registry = "a", .repo = "../../layers", .tag = "b"},
		{.registry = "a", .repo = "b/_tags", .tag = "c"},
		{.registry = "a", .repo = "b", .tag = "../c"},
		{.registry = "a/b", .repo = "b", .tag = "c"},
		{.registry = "a", .repo = "b"},
		{.registry = "a", .repo = "b", .digest = {"sha256:../x"}},
		{.registry = "", .repo = "b", .tag = "c"},
	};
	struct fix *f = *state;
	struct skf_refrec rec;

	for (size_t i = 0; i < SKF_ARRAY_LEN(bad); i++) {
		FAILS(skf_store_ref_find(f->s, &bad[i], &rec, &f->e), SKF_EINVALID, f);
		FAILS(skf_store_ref_remove(f->s, &bad[i], &f->e), SKF_EINVALID, f);
	}
}

static void damaged_reference(void **state)
{
	struct fix *f = *state;
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(1 << 20);
	struct obj one = obj_image(f, "one", "base");
	struct skf_refrec rec;
	struct skf_jarr list;
	struct skf_ref r = obj_parse(f, "alpha");
	struct skf_gc_result res;
	int dir;

	obj_ref(f, "alpha", &one);
	dir = skf_openat(skf_store_fd(f->s), "refs/docker.io/library/alpha/_tags", O_RDONLY | O_DIRECTORY,
			 0);
	assert_int_equal(skf_write_atomic_at(dir, "latest", "{\"v\":1,\"min\":9}", 15, 0600, 0), 0);
	FAILS(skf_store_ref_find(f->s, &r, &rec, &f->e), SKF_EINVALID, f);
	FAILS(skf_store_ref_list(f->s, &a, &list, &f->e), SKF_EINVALID, f);
	/* collection takes nothing away when it cannot read what is in use */
	assert_true(skf_store_gc(f->s, false, &res, &f->e) < 0);
	assert_true(obj_there(f, &one));
	close(dir);
}

static void resolving(void **state)
{
	struct fix *f = *state;
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(1 << 20);
	struct obj o[40];
	struct skf_image *i;
	struct skf_refrec rec;
	char name[32], word[200];

	for (int n = 0; n < 40; n++) {
		snprintf(name, sizeof(name), "image%d", n);
		o[n] = obj_image(f, name, "base");
	}
	obj_ref(f, "alpha", &o[0]);
	obj_ref(f, "abc", &o[1]); /* a name that looks like the beginning of an id is a name */
	OK(skf_store_resolve(f->s, "alpha", &a, &i, &rec, &f->e), f);
	assert_string_equal(i->config.s, o[0].config.s);
	assert_string_equal(rec.ref.repo, "library/alpha");
	assert_string_equal(rec.ref.tag, "latest");
	OK(skf_store_resolve(f->s, "abc", &a, &i, &rec, &f->e), f);
	assert_string_equal(i->config.s, o[1].config.s);
	OK(skf_store_resolve(f->s, o[2].config.s, &a, &i, &rec, &f->e), f);
	assert_string_equal(i->manifest.s, o[2].manifest.s);
	assert_string_equal(rec.ref.tag, "");
	OK(skf_store_resolve(f->s, skf_digest_hex(&o[2].config), &a, &i, &rec, &f->e), f);
	OK(skf_store_resolve(f->s, o[2].manifest.s, &a, &i, &rec, &f->e), f);
	assert_string_equal(i->config.s, o[2].config.s);
	snprintf(word, sizeof(word), "%.12s", skf_digest_hex(&o[3].config));
	OK(skf_store_resolve(f->s, word, &a, &i, &rec, &f->e), f);
	assert_string_equal(i->config.s, o[3].config.s);
	snprintf(word, sizeof(word), "sha256:%.12s", skf_digest_hex(&o[3].config));
	OK(skf_store_resolve(f->s, word, &a, &i, &rec, &f->e), f);
	/* forty images and sixteen digits: some digit begins two ids */
	for (int n = 0; n < 16; n++) {
		snprintf(word, sizeof(word), "%x", n);
		if (skf_store_resolve(f->s, word, &a, &i, &rec, &f->e) < 0 && f->e.kind == SKF_ECONFLICT)
			goto ambiguous;
	}
	fail_msg("no ambiguous prefix");
ambiguous:
	FAILS(skf_store_resolve(f->s, "nothing", &a, &i, &rec, &f->e), SKF_ENOTFOUND, f);
	assert_string_equal(f->e.msg, "No such image: nothing");
	FAILS(skf_store_resolve(f->s, "UPPER", &a, &i, &rec, &f->e), SKF_EINVALID, f);
	FAILS(skf_store_resolve(f->s, "../..", &a, &i, &rec, &f->e), SKF_EINVALID, f);
	FAILS(skf_store_resolve(f->s, "", &a, &i, &rec, &f->e), SKF_EINVALID, f);
}

static int count_call(void *arg, struct skf_err *e)
{
	(void)e;
	++*(int *)arg;
	return 7;
}

static void with_image(void **state)
{
	struct fix *f = *state;
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(1 << 20);
	struct obj o = obj_image(f, "one", "base");
	struct skf_image *i;
	char path[200];
	int calls = 0;

	OK(skf_store_image_get(f->s, &o.manifest, &a, &i, &f->e), f);
	assert_int_equal(skf_store_with_image(f->s, i, count_call, &calls, &f->e), 7);
	snprintf(path, sizeof(path), "images/%s", skf_digest_hex(&o.manifest));
	assert_int_equal(unlinkat(skf_store_fd(f->s), path, 0), 0);
	FAILS(skf_store_with_image(f->s, i, count_call, &calls, &f->e), SKF_ENOTFOUND, f);
	assert_int_equal(calls, 1);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, fix_setup, fix_teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(opening),           T(blobs),      T(records),
		T(record_with_blobs), T(references), T(hostile_references),
		T(damaged_reference), T(resolving),  T(with_image),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
