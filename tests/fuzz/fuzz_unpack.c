/* tests/fuzz/fuzz_unpack.c -- whole tar entry handling into a temporary store: any bytes, whatever
 * compression they begin as (T38-T47). The digests are computed from the input, so that what can be unpacked
 * also reaches the walk, the seal and verification. A canary beside the store must stay as it was, and
 * nothing unfinished may stay in layers/. Runs in a user namespace and a tmpfs of its own where it can. */
#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "store/store.h"
#include "store/unpack_int.h"
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
size_t LLVMFuzzerCustomMutator(uint8_t *p, size_t n, size_t max, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *p, size_t n, size_t max)
	__attribute__((weak)); /* absent where inputs are only replayed */

#define INPUT_MAX (1u << 20)

struct bench {
	struct skf_store *s;
	int dir;
};

static struct bench *get_bench(void)
{
	static struct bench b; /* libFuzzer offers no other place for what outlives one input */

	return &b;
}

static void die(const char *what, const struct skf_err *e)
{
	fprintf(stderr, "fuzz_unpack: %s: %s\n", what, e ? e->msg : "");
	abort();
}

/* Device nodes and foreign owners must not come into being on the machine that fuzzes; without namespaces it
 * works all the same. True when dir is a tmpfs of our own. */
static bool hide(const char *dir)
{
	uid_t uid = geteuid(); /* both are unmapped once the namespace is new */
	gid_t gid = getegid();
	char map[32];

	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return false;
	snprintf(map, sizeof(map), "0 %u 1", uid);
	(void)!skf_write_existing_at(AT_FDCWD, "/proc/self/setgroups", "deny");
	(void)!skf_write_existing_at(AT_FDCWD, "/proc/self/uid_map", map);
	snprintf(map, sizeof(map), "0 %u 1", gid);
	(void)!skf_write_existing_at(AT_FDCWD, "/proc/self/gid_map", map);
	if (mount("fuzz", dir, "tmpfs", MS_NODEV | MS_NOSUID, "size=256m,nr_inodes=100000") == 0)
		return true;
	perror("fuzz_unpack: no tmpfs, using the directory as it is");
	return false;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static char dir[] = "/tmp/skf-fuzz-XXXXXX"; /* mkdtemp writes to it */
	struct bench *b = get_bench();
	struct skf_err e = SKF_ERR_INIT;
	char root[64];
	bool hidden;

	(void)argc;
	(void)argv;
	signal(SIGXFSZ, SIG_IGN);
	if (!mkdtemp(dir))
		die("temporary directory", NULL);
	hidden = hide(dir);
	b->dir = skf_openat(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0);
	if (b->dir < 0 || skf_write_atomic_at(b->dir, "canary", "safe", 4, 0640, 0) < 0)
		die("canary", NULL);
	snprintf(root, sizeof(root), "%s/store", dir);
	if (skf_store_open(root, true, &b->s, &e) < 0)
		die("store", &e);
	/* Everything is reached by file descriptors from here: the tmpfs lives on without a name. */
	if (hidden && (umount2(dir, MNT_DETACH) < 0 || rmdir(dir) < 0))
		perror("fuzz_unpack: the temporary directory stays");
	return 0;
}

static void check_canary(struct bench *b)
{
	struct skf_buf t = SKF_BUF(16);
	struct stat st;

	if (skf_read_file_at(b->dir, "canary", 15, &t) < 0 || strcmp(skf_buf_cstr(&t), "safe") != 0 ||
	    fstatat(b->dir, "canary", &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_mode != (S_IFREG | 0640) ||
	    st.st_nlink != 1)
		die("the canary was touched", NULL);
	skf_buf_done(&t);
}

/* Bound what one input may cost; the limits themselves are fuzzed with it. */
static const struct skf_unpack_limits lim = {.entries = 2000,
					     .bytes = 1u << 26,
					     .ratio = 2000,
					     .ratio_from = 1u << 22,
					     .header = SKF_UNPACK_MAX_HEADER,
					     .depth = SKF_MAX_TAR_DEPTH,
					     .xattrs = 16,
					     .xattr_bytes = 4096};

/* Digest of what the input inflates to, as far as it does; "" when it does not. */
static int tar_digest(const uint8_t *p, size_t n, struct skf_digest *ret)
{
	struct skf_err e = SKF_ERR_INIT;
	struct skf_inflate *inf = NULL;
	struct skf_buf out = SKF_BUF(1u << 26);
	static uint8_t block[65536];
	int r = skf_inflate_new(skf_compression_of(p, n), &inf, &e);

	while (r == 0 && (n > 0 || skf_inflate_pending(inf))) {
		size_t used, made;

		r = skf_inflate_step(inf, p, n, &used, block, sizeof(block), &made, &e);
		if (r < 0)
			break;
		p += used;
		n -= used;
		skf_buf_put(&out, block, made);
		r = out.err;
	}
	if (r == 0)
		r = skf_unpack_sha256(skf_buf_cstr(&out), out.len, ret, &e);
	skf_inflate_free(inf);
	skf_buf_done(&out);
	return r;
}

static void unpack(struct bench *b, const uint8_t *p, size_t n, const struct skf_unpack_opts *o)
{
	struct skf_err e = SKF_ERR_INIT;
	struct skf_unpack *u;
	struct skf_unpack_result res;
	size_t half = n / 2;
	int r;

	if (skf_unpack_new(b->s, o, &u, &e) < 0)
		die("new", &e);
	skf_unpack_set_limits(u, &lim);
	r = skf_unpack_write(u, p, half, &e);
	if (r == 0)
		r = skf_unpack_write(u, p + half, n - half, &e);
	if (r == 0)
		r = skf_unpack_finish(u, &res, &e);
	skf_unpack_free(u);
	if (r < 0 && (e.kind == SKF_OK || e.kind == SKF_EBUG || !e.msg[0]))
		die("failed without a reason", &e);
	if (r == 0 && skf_unpack_verify(b->s, &o->diff_id, &e) < 0)
		die("what was unpacked does not verify", &e);
}

static void empty_layers(struct bench *b)
{
	int fd = skf_openat(skf_store_fd(b->s), "layers", O_RDONLY | O_DIRECTORY, 0);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *de;

	if (!d)
		die("layers", NULL);
	while ((de = readdir(d)) != NULL) {
		if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
			continue;
		if (de->d_name[0] == '.')
			die("something unfinished was left", NULL);
		if (skf_rmtree_at(dirfd(d), de->d_name) < 0)
			die("a layer cannot be removed", NULL);
	}
	closedir(d);
}

/* A header whose checksum is wrong ends the archive: after a mutation the checksums are made right again,
 * mostly. */
size_t LLVMFuzzerCustomMutator(uint8_t *p, size_t n, size_t max, unsigned seed)
{
	if (!LLVMFuzzerMutate)
		return n;
	n = LLVMFuzzerMutate(p, n, max);
	for (size_t at = 0; seed % 8 && at + 512 <= n; at += 512) {
		uint8_t *h = p + at;
		unsigned sum = 8 * ' ';
		char text[8];

		if (memcmp(h + 257, "ustar", 5) != 0)
			continue;
		for (size_t i = 0; i < 512; i++)
			sum += i >= 148 && i < 156 ? 0 : h[i];
		snprintf(text, sizeof(text), "%06o", sum);
		memcpy(h + 148, text, 7);
		h[155] = ' ';
	}
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct bench *b = get_bench();
	struct skf_unpack_opts o = {.size = n};
	struct skf_err e = SKF_ERR_INIT;

	if (!b->s)
		LLVMFuzzerInitialize(NULL, NULL); /* a replaying main does not call it */
	if (n > INPUT_MAX)
		return 0;
	if (skf_unpack_sha256(p, n, &o.digest, &e) < 0)
		die("sha256", &e);
	if (tar_digest(p, n, &o.diff_id) < 0)
		o.diff_id = o.digest; /* cannot succeed, must fail well */
	unpack(b, p, n, &o);
	check_canary(b);
	empty_layers(b);
	return 0;
}
