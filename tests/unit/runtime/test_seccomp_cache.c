/* Unit tests of runtime/seccomp_cache.c and seccomp.c: what is believed, what is refused, what is evicted.
 */
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include "runtime/runtime_int.h"
#include "runtime/seccomp_int.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char tmp[64];
static int root = -1;

static int setup(void **state)
{
	strcpy(tmp, "/tmp/skf-cache-XXXXXX");
	if (!mkdtemp(tmp))
		return -1;
	root = open(tmp, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return root < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	close(root);
	return skf_rmtree_at(AT_FDCWD, tmp);
}

static const struct sock_filter insns[] = {{BPF_LD | BPF_W | BPF_ABS, 0, 0, 4},
					   {BPF_RET | BPF_K, 0, 0, 0x7fff0000}};
static const struct skf_bpf_prog prog = {.insn = insns, .n = 2, .flags = 6, .notify = false};

static void key_of(unsigned n, uint8_t key[32])
{
	memset(key, 0, 32);
	memcpy(key, &n, sizeof(n));
}

static unsigned count(int dir)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY);
	DIR *d = fdopendir(fd);
	unsigned n = 0;

	for (struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

static void round_trip(void **state)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(1 << 20);
	SKF_AUTO_FD int dir = skf_seccomp_cache_open(root);
	struct skf_bpf_prog got = {0};
	struct stat st;
	uint8_t key[32];

	assert_true(dir >= 0);
	assert_int_equal(fstat(dir, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	key_of(1, key);
	assert_int_equal(skf_seccomp_cache_get(dir, key, &a, &got), 0);
	assert_int_equal(skf_seccomp_cache_put(dir, key, &prog), 0);
	assert_int_equal(skf_seccomp_cache_put(dir, key, &prog), 0); /* the second writer is right too */
	assert_int_equal(skf_seccomp_cache_get(dir, key, &a, &got), 1);
	assert_int_equal(got.n, 2);
	assert_int_equal(got.flags, 6);
	assert_memory_equal(got.insn, insns, sizeof(insns));
	assert_int_equal(count(dir), 1);
	key_of(2, key);
	assert_int_equal(skf_seccomp_cache_get(dir, key, &a, &got), 0);
}

/* Every single changed byte, every cut and every longer file is seen; the entry goes away. */
static void damage_is_seen(void **state)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(1 << 20);
	SKF_AUTO_FD int dir = skf_seccomp_cache_open(root);
	struct skf_bpf_prog got = {0};
	char name[65] = "", bytes[4096];
	uint8_t key[32];
	ssize_t size;

	key_of(3, key);
	for (int i = 0; i < 32; i++)
		snprintf(name + 2 * i, 3, "%02x", key[i]);
	assert_int_equal(skf_seccomp_cache_put(dir, key, &prog), 0);
	SKF_AUTO_FD int fd = openat(dir, name, O_RDONLY);
	size = read(fd, bytes, sizeof(bytes));
	assert_true(size > 0);
	for (ssize_t i = 0; i < size + 2; i++) {
		SKF_AUTO_FD int w = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
		ssize_t n = i == size ? size - 1 : i == size + 1 ? size + 1 : size;

		if (i < size)
			bytes[i] ^= 1;
		assert_int_equal(write(w, bytes, (size_t)n), n);
		if (i < size)
			bytes[i] ^= 1;
		assert_int_equal(skf_seccomp_cache_get(dir, key, &a, &got), 0);
		assert_int_equal(count(dir), 0);
	}
	assert_int_equal(symlinkat("/etc/passwd", dir, name), 0);
	assert_int_equal(skf_seccomp_cache_get(dir, key, &a, &got), 0);
	assert_int_equal(count(dir), 0);
	assert_int_equal(skf_seccomp_cache_put(dir, key, &prog), 0);
	assert_int_equal(fchmodat(dir, name, 0644, 0), 0);
	assert_int_equal(skf_seccomp_cache_get(dir, key, &a, &got), 0);
}

static void other_peoples_directory_is_refused(void **state)
{
	int dir;

	assert_int_equal(mkdirat(root, SKF_SECCOMP_CACHE_DIR, 0755), 0);
	assert_int_equal(fchmodat(root, SKF_SECCOMP_CACHE_DIR, 0770, 0), 0);
	assert_int_equal(skf_seccomp_cache_open(root), -EPERM);
	assert_int_equal(unlinkat(root, SKF_SECCOMP_CACHE_DIR, AT_REMOVEDIR), 0);
	assert_int_equal(symlinkat("/tmp", root, SKF_SECCOMP_CACHE_DIR), 0);
	dir = skf_seccomp_cache_open(root);
	assert_true(dir == -ELOOP || dir == -ENOTDIR);
}

static void oldest_are_evicted(void **state)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(1 << 20);
	SKF_AUTO_FD int dir = skf_seccomp_cache_open(root);
	struct skf_bpf_prog got;
	uint8_t key[32];

	for (unsigned i = 0; i < SKF_SECCOMP_CACHE_ENTRIES + 5; i++) {
		char name[65] = "";

		key_of(i, key);
		assert_int_equal(skf_seccomp_cache_put(dir, key, &prog), 0);
		for (int k = 0; k < 32; k++)
			snprintf(name + 2 * k, 3, "%02x", key[k]);
		struct timespec t[2] = {{1000 + i, 0}, {1000 + i, 0}};
		assert_int_equal(utimensat(dir, name, t, 0), 0);
	}
	assert_int_equal(count(dir), SKF_SECCOMP_CACHE_ENTRIES);
	key_of(0, key);
	assert_int_equal(skf_seccomp_cache_get(dir, key, &a, &got), 0);
	key_of(SKF_SECCOMP_CACHE_ENTRIES + 4, key);
	assert_int_equal(skf_seccomp_cache_get(dir, key, &a, &got), 1);
}

static void program_through_the_cache(void **state)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	const char *json = "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"mount\"],"
			   "\"action\":\"SCMP_ACT_ERRNO\"}]}";
	const struct skf_rt rt = {.root = tmp, .rootfd = root};
	const struct skf_spec_opts o = {.name = "profile"};
	struct skf_bpf_prog one, two;
	struct skf_spec_seccomp *p;
	struct skf_err e = SKF_ERR_INIT;

	assert_int_equal(skf_seccomp_program(&rt, NULL, &a, &one, &e), 0);
	assert_int_equal(one.n, 0);
	assert_int_equal(skf_spec_parse_seccomp(json, strlen(json), &o, &a, &p, &e), 0);
	assert_int_equal(skf_seccomp_program(&rt, p, &a, &one, &e), 0);
	SKF_AUTO_FD int dir = skf_seccomp_cache_open(root);
	assert_int_equal(count(dir), 1);
	assert_int_equal(skf_seccomp_program(&rt, p, &a, &two, &e), 0);
	assert_int_equal(count(dir), 1);
	assert_int_equal(one.n, two.n);
	assert_int_equal(one.flags, two.flags);
	assert_memory_equal(one.insn, two.insn, one.n * sizeof(*one.insn));
}

/* A program that is there already is neither compiled nor written to the cache. */
static void program_that_is_known(void **state)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	const char *json = "{\"defaultAction\":\"SCMP_ACT_ALLOW\"}";
	struct skf_seccomp_embedded known[2] = {{.prog = {.n = 1}}, {.prog = {.n = 0}}};
	const struct skf_rt rt = {.root = tmp, .rootfd = root, .embedded = known};
	const struct skf_spec_opts o = {.name = "profile"};
	struct skf_spec_seccomp *p;
	struct skf_bpf_prog got;
	struct skf_err e = SKF_ERR_INIT;

	assert_int_equal(skf_spec_parse_seccomp(json, strlen(json), &o, &a, &p, &e), 0);
	skf_seccomp_key(p, 0, known[0].key);
	known[0].prog.insn = (void *)known; /* never looked into */
	assert_int_equal(skf_seccomp_program(&rt, p, &a, &got, &e), 0);
	assert_ptr_equal(got.insn, known);
	assert_int_equal(faccessat(root, SKF_SECCOMP_CACHE_DIR, F_OK, 0), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(round_trip, setup, teardown),
		cmocka_unit_test_setup_teardown(damage_is_seen, setup, teardown),
		cmocka_unit_test_setup_teardown(other_peoples_directory_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(oldest_are_evicted, setup, teardown),
		cmocka_unit_test_setup_teardown(program_through_the_cache, setup, teardown),
		cmocka_unit_test_setup_teardown(program_that_is_known, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
