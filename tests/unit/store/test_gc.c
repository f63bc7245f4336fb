/* tests/unit/store/test_gc.c -- leases, downloads and collection, also while others work. */
#include "objects.h"
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct skf_gc_result gc(struct fix *f, bool dry)
{
	struct skf_gc_result r;

	OK(skf_store_gc(f->s, dry, &r, &f->e), f);
	return r;
}

static void marks(void **state)
{
	struct fix *f = *state;
	struct obj kept = obj_image(f, "kept", "base"), gone = obj_image(f, "gone", "base");
	struct skf_gc_result r;
	struct skf_ref ref = obj_parse(f, "kept");

	obj_ref(f, "kept", &kept);
	r = gc(f, true);
	assert_int_equal(r.n_images, 1);
	assert_int_equal(r.n_blobs, 2);
	assert_int_equal(r.n_layers, 1); /* the base is shared */
	assert_true(obj_there(f, &gone));
	r = gc(f, false);
	assert_int_equal(r.n_images, 1);
	assert_true(r.bytes > 0);
	assert_true(obj_there(f, &kept));
	assert_false(obj_there(f, &gone));
	assert_int_equal(skf_store_layer_has(f->s, &gone.diff_id[1], NULL, &f->e), 0);
	r = gc(f, false);
	assert_int_equal(r.n_images + r.n_blobs + r.n_layers + r.n_ingests + r.n_leases, 0);
	OK(skf_store_ref_remove(f->s, &ref, &f->e), f);
	r = gc(f, false);
	assert_int_equal(r.n_layers, 2);
	/* directories of references that are empty now went as well */
	assert_int_not_equal(faccessat(skf_store_fd(f->s), "refs/docker.io", F_OK, 0), 0);
	assert_int_equal(faccessat(skf_store_fd(f->s), "refs", F_OK, 0), 0);
}

static void containers(void **state)
{
	struct fix *f = *state;
	struct obj o = obj_image(f, "used", "base");
	struct skf_gc_result r;
	char text[1024];
	int dir;

	assert_int_equal(mkdirat(skf_store_fd(f->s), "containers", 0700), 0);
	assert_int_equal(mkdirat(skf_store_fd(f->s), "containers/abc", 0700), 0);
	assert_int_equal(mkdirat(skf_store_fd(f->s), "containers/beingmade", 0700), 0);
	dir = skf_openat(skf_store_fd(f->s), "containers/abc", O_RDONLY | O_DIRECTORY, 0);
	snprintf(text, sizeof(text),
		 "{\"v\":1,\"min\":1,\"ociVersion\":\"1.0.2\",\"process\":{\"args\":[\"x\"]},\"skiff\":{"
		 "\"name\":\"web\",\"imageId\":\"%s\","
		 "\"manifest\":\"%s\",\"layers\":[\"%s\",\"%s\"],\"request\":{\"a\":[1]}}}",
		 o.config.s, o.manifest.s, o.diff_id[0].s, o.diff_id[1].s);
	assert_int_equal(skf_write_atomic_at(dir, "config.json", text, strlen(text), 0600, 0), 0);
	r = gc(f, false);
	assert_int_equal(r.n_images + r.n_blobs + r.n_layers, 0);
	assert_true(obj_there(f, &o));
	/* one that cannot be read stops collection before anything is lost */
	assert_int_equal(skf_write_atomic_at(dir, "config.json", "{\"skiff\":{}}", 12, 0600, 0), 0);
	assert_true(skf_store_gc(f->s, false, &r, &f->e) < 0);
	assert_non_null(strstr(f->e.msg, "container 'abc'"));
	assert_true(obj_there(f, &o));
	assert_int_equal(unlinkat(dir, "config.json", 0), 0);
	gc(f, false);
	assert_false(obj_there(f, &o));
	close(dir);
}

static void live_lease(void **state)
{
	struct fix *f = *state;
	struct obj o = obj_image(f, "leased", "base"), lone = obj_image(f, "lone", "base");
	struct skf_lease *l;
	struct skf_gc_result r;

	OK(skf_lease_new(f->s, &l, &f->e), f);
	OK(skf_lease_add(l, &o.manifest, &f->e), f); /* brings config and layers with it */
	OK(skf_lease_add(l, &lone.diff_id[1], &f->e), f);
	r = gc(f, false);
	assert_int_equal(r.n_leases, 0);
	assert_true(obj_there(f, &o));
	assert_false(obj_there(f, &lone));
	assert_int_equal(skf_store_layer_has(f->s, &lone.diff_id[1], NULL, &f->e), 1);
	skf_lease_free(l);
	r = gc(f, false);
	assert_int_equal(r.n_leases, 0);
	assert_false(obj_there(f, &o));
	skf_lease_free(NULL);
}

/* What processes leave that are killed: leases, layers being made, downloads, temporary files. */
static void after_a_crash(void **state)
{
	struct fix *f = *state;
	struct skf_digest a = fix_digest("a");
	struct skf_gc_result r;
	char path[200];
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		struct skf_err e = SKF_ERR_INIT;
		struct skf_lease *l;
		struct skf_unpack *u;
		struct skf_unpack_opts o = {.size = 1 << 20, .digest = a, .diff_id = a};
		int lock, dir;
		bool ok = skf_lease_new(f->s, &l, &e) == 0 && skf_lease_add(l, &a, &e) == 0 &&
			  skf_unpack_new(f->s, &o, &u, &e) == 0 &&
			  skf_ingest_open(f->s, &a, 1000, &lock, &dir, &e) == 0 &&
			  skf_write_atomic_at(dir, "data", "part", 4, 0600, 0) == 0;

		_exit(ok ? 0 : 1); /* as SIGKILL would: nothing is cleaned up */
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	skf_mkdirs_at(skf_store_fd(f->s), "refs/docker.io/library/x/_tags", 0700);
	assert_int_equal(symlinkat("x", skf_store_fd(f->s), "blobs/sha256/.half.0123"), 0);
	assert_int_equal(symlinkat("x", skf_store_fd(f->s), "images/.half.0123"), 0);
	assert_int_equal(symlinkat("x", skf_store_fd(f->s), "refs/docker.io/library/x/_tags/.half.0123"), 0);
	r = gc(f, false);
	assert_int_equal(r.n_leases, 1);
	assert_int_equal(r.n_ingests, 1);
	assert_int_equal(r.bytes, 4 + 1 + 1); /* the half-made links have a size of one byte */
	for (size_t i = 0; i < 8; i++) {
		static const char *const dirs[] = {"leases", "layers", "ingest", "blobs/sha256",
						   "images", "refs",   "trash",  "locks"};
		struct stat st;

		assert_int_equal(fstatat(skf_store_fd(f->s), dirs[i], &st, 0), 0);
		if (i < 7 &&
		    rmdir((snprintf(path, sizeof(path), "%s/%s", skf_store_root(f->s), dirs[i]), path)) < 0)
			fail_msg("'%s' is not empty after collection", dirs[i]);
	}
}

static void being_made(void **state)
{
	struct fix *f = *state;
	struct skf_digest a = fix_digest("a");
	struct skf_unpack_opts o = {.size = 1 << 20, .digest = a, .diff_id = a};
	struct skf_gc_result r;
	struct skf_unpack *u;
	char path[200];
	struct stat st;
	int lock, dir;

	OK(skf_unpack_new(f->s, &o, &u, &f->e), f);
	snprintf(path, sizeof(path), "layers/%s/tree", u->tmp);
	OK(skf_ingest_open(f->s, &a, 1000, &lock, &dir, &f->e), f);
	r = gc(f, false);
	assert_int_equal(r.n_ingests, 0);
	assert_int_equal(fstatat(skf_store_fd(f->s), path, &st, 0), 0);
	skf_closep(&lock);
	r = gc(f, false);
	assert_int_equal(r.n_ingests, 1);
	skf_unpack_free(u);
	skf_closep(&dir);
}

static void download(struct fix *f, const struct skf_digest *d, int64_t age_s)
{
	const struct timespec t[2] = {{.tv_nsec = UTIME_OMIT},
				      {.tv_sec = skf_now_ns() / 1000000000 - age_s}};
	int lock, dir;

	OK(skf_ingest_open(f->s, d, 1000, &lock, &dir, &f->e), f);
	assert_int_equal(skf_write_atomic_at(dir, "data", "part", 4, 0600, 0), 0);
	assert_int_equal(utimensat(dir, "data", t, 0), 0);
	skf_closep(&lock);
	skf_closep(&dir);
}

/* Kept for a day when asked to, unless the image is complete without it. */
static void downloads(void **state)
{
	struct fix *f = *state;
	struct obj o = obj_image(f, "kept", "base");
	struct skf_digest young = fix_digest("young"), old = fix_digest("old");
	struct skf_image *im;
	struct skf_arena a = SKF_ARENA(1 << 20);
	struct skf_gc_result r;

	obj_ref(f, "kept", &o);
	OK(skf_store_image_get(f->s, &o.manifest, &a, &im, &f->e), f);
	download(f, &young, SKF_DOWNLOAD_KEEP_S - 60);
	download(f, &old, SKF_DOWNLOAD_KEEP_S + 60);
	download(f, &((struct skf_image_layer *)im->layers.v)[0].digest, 0);
	OK(skf_store_gc(f->s, SKF_GC_KEEP_DOWNLOADS, &r, &f->e), f);
	assert_int_equal(r.n_ingests, 2);
	assert_int_equal(r.n_blobs + r.n_layers + r.n_images, 0);
	OK(skf_store_gc(f->s, SKF_GC_KEEP_DOWNLOADS, &r, &f->e), f);
	assert_int_equal(r.n_ingests, 0);
	OK(skf_store_gc(f->s, 0, &r, &f->e), f);
	assert_int_equal(r.n_ingests, 1);
	skf_arena_done(&a);
}

static void ingests(void **state)
{
	struct fix *f = *state;
	struct skf_digest d;
	int lock, dir, lock2 = -EBADF, dir2 = -EBADF;
	struct skf_buf b = SKF_BUF(100);

	OK(skf_unpack_sha256("data", 4, &d, &f->e), f);
	OK(skf_ingest_open(f->s, &d, 1000, &lock, &dir, &f->e), f);
	FAILS(skf_ingest_open(f->s, &d, 50, &lock2, &dir2, &f->e), SKF_ETIMEOUT, f);
	assert_int_equal(skf_write_atomic_at(dir, "data", "da", 2, 0600, 0), 0);
	skf_closep(&lock);
	skf_closep(&dir);
	/* the next one takes the bytes over */
	OK(skf_ingest_open(f->s, &d, 0, &lock, &dir, &f->e), f);
	assert_int_equal(skf_read_file_at(dir, "data", 10, &b), 0);
	assert_string_equal(b.p, "da");
	assert_int_equal(skf_write_atomic_at(dir, "data", "data", 4, 0600, 0), 0);
	OK(skf_ingest_done(f->s, &d, true, &f->e), f);
	skf_buf_clear(&b);
	OK(skf_store_blob_read(f->s, &d, 10, &b, &f->e), f);
	assert_string_equal(b.p, "data");
	OK(skf_ingest_done(f->s, &d, false, &f->e), f);
	skf_closep(&lock);
	skf_closep(&dir);
	skf_buf_done(&b);
}

/* A puller that leases before it looks never has what it saw taken away, however the collector runs. */
struct race {
	struct fix *f;
	volatile int stop;
	unsigned collected;
};

static void *collector(void *arg)
{
	struct race *r = arg;
	struct skf_err e = SKF_ERR_INIT;
	struct skf_gc_result res;

	while (!__atomic_load_n(&r->stop, __ATOMIC_RELAXED)) {
		if (skf_store_gc(r->f->s, false, &res, &e) < 0) {
			fprintf(stderr, "%s\n", e.msg);
			return (void *)1;
		}
		__atomic_fetch_add(&r->collected, res.n_blobs > 0, __ATOMIC_RELAXED);
		usleep(500); /* the exclusive lock is no ticket lock: leave the others their turn */
	}
	return NULL;
}

static void race_with_lease(void **state)
{
	struct fix *f = *state;
	struct race r = {.f = f};
	pthread_t t;
	void *res;

	assert_int_equal(pthread_create(&t, NULL, collector, &r), 0);
	/* at least forty rounds, and until something was collected under them */
	for (int i = 0; i < 40 || (i < 4000 && !__atomic_load_n(&r.collected, __ATOMIC_RELAXED)); i++) {
		char text[32];
		struct skf_digest d;
		struct skf_lease *l;
		int has;

		snprintf(text, sizeof(text), "blob %d", i % 4);
		OK(skf_unpack_sha256(text, strlen(text), &d, &f->e), f);
		OK(skf_lease_new(f->s, &l, &f->e), f);
		OK(skf_lease_add(l, &d, &f->e), f);
		has = skf_store_blob_has(f->s, &d, &f->e);
		if (has == 0)
			OK(skf_store_blob_put(f->s, &d, text, strlen(text), &f->e), f);
		for (int n = 0; n < 3; n++) {
			usleep(400);
			assert_int_equal(skf_store_blob_has(f->s, &d, &f->e), 1);
		}
		skf_lease_free(l);
		usleep(200);
	}
	__atomic_store_n(&r.stop, 1, __ATOMIC_RELAXED);
	pthread_join(t, &res);
	assert_null(res);
	assert_true(r.collected > 0);
}

static void trash_of_big_trees(void **state)
{
	struct fix *f = *state;
	int fd = skf_dup_cloexec(skf_store_fd(f->s)), next;

	for (int i = 0; i < 1500; i++) { /* deeper than any number of open files and any path */
		assert_int_equal(mkdirat(fd, "d", 0700), 0);
		next = skf_openat(fd, "d", O_RDONLY | O_DIRECTORY, 0);
		skf_closep(&fd);
		fd = next;
		assert_true(fd >= 0);
	}
	skf_closep(&fd);
	OK(skf_store_to_trash(f->s, skf_store_fd(f->s), "d", &f->e), f);
	assert_int_not_equal(faccessat(skf_store_fd(f->s), "d", F_OK, 0), 0);
	OK(skf_store_empty_trash(f->s, &f->e), f);
	assert_true(skf_store_to_trash(f->s, skf_store_fd(f->s), "../x", &f->e) < 0);
	assert_true(skf_store_to_trash(f->s, skf_store_fd(f->s), "..", &f->e) < 0);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, fix_setup, fix_teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(marks),     T(containers), T(live_lease),      T(after_a_crash),      T(being_made),
		T(downloads), T(ingests),    T(race_with_lease), T(trash_of_big_trees),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
