/* tests/unit/store/test_unpack_tree.c -- what entries become (T38-T47). A canary outside of the layer must
 * never change. */
#include "tarwrite.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

static bool priv; /* set once by main: device nodes, foreign owners and trusted.* work */

static int setup(void **state)
{
	struct fix *f;

	if (fix_setup(state) < 0)
		return -1;
	f = *state;
	return skf_write_atomic_at(f->base_fd, "canary", "safe", 4, 0640, 0);
}

static int teardown(void **state)
{
	struct fix *f = *state;
	struct skf_buf b = SKF_BUF(64);
	struct stat st;
	bool same = skf_read_file_at(f->base_fd, "canary", 63, &b) == 0 &&
		    strcmp(skf_buf_cstr(&b), "safe") == 0 && fstatat(f->base_fd, "canary", &st, 0) == 0 &&
		    (st.st_mode & 07777) == 0640 && st.st_nlink == 1 && st.st_uid == 0;

	skf_buf_done(&b);
	if (!same)
		fprintf(stderr, "the canary was touched\n");
	return fix_teardown(state) < 0 || !same ? -1 : 0;
}

static struct stat stat_of(struct fix *f, const struct skf_digest *d, const char *path)
{
	struct stat st = {0};

	if (!in_layer(f, d, path, &st))
		fail_msg("'%s' is not in the layer", path);
	return st;
}

static void link_of(struct fix *f, const struct skf_digest *d, const char *path, char out[256])
{
	ssize_t n;
	int fd;

	OK(skf_store_layer_open(f->s, d, &fd, &f->e), f);
	n = readlinkat(fd, path, out, 255);
	skf_closep(&fd);
	assert_true(n >= 0);
	out[n] = 0;
}

static ssize_t xattr_of(struct fix *f, const struct skf_digest *d, const char *path, const char *name,
			char out[256])
{
	char full[300];
	ssize_t n;
	int fd;

	OK(skf_store_layer_open(f->s, d, &fd, &f->e), f);
	snprintf(full, sizeof(full), "/proc/self/fd/%d/%s", fd, path);
	n = lgetxattr(full, name, out, 255);
	skf_closep(&fd);
	if (n >= 0)
		out[n] = 0;
	return n;
}

/* One archive of one or two entries that must be refused, and leave neither layer nor trace. */
static void refused(struct fix *f, struct tar *t, enum skf_kind k, const char *word)
{
	struct skf_digest d;

	FAILS(up_tar(f, t, &d), k, f);
	if (!strstr(f->e.msg, word))
		fail_msg("expected '%s' in '%s'", word, f->e.msg);
	assert_int_equal(skf_store_layer_has(f->s, &d, NULL, &f->e), 0);
}

static void ordinary(void **state)
{
	struct fix *f = *state;
	struct tar *t = tar_new();
	struct skf_digest d;
	struct stat st, other;
	char text[256];

	t->mode = 0700;
	t->mtime = 77;
	tar_dir(t, "./");
	t->mode = 01777;
	t->mtime = 1234567;
	tar_dir(t, "./tmp/");
	t->mode = 04755;
	t->uid = priv ? 12 : 0;
	t->gid = priv ? 34 : 0;
	tar_file(t, "./bin/su", "binary");
	t->mode = 0;
	t->uid = t->gid = 0;
	tar_sym(t, "bin/sh", "su");
	tar_hard(t, "bin/su2", "bin/su");
	tar_node(t, "fifo", '6', 0, 0);
	tar_file(t, "tmp/late", "changes the time of its directory");
	if (priv)
		tar_node(t, "null", '3', 1, 3);
	OK(up_tar(f, t, &d), f);
	st = stat_of(f, &d, ".");
	assert_int_equal(st.st_mode, S_IFDIR | 0700);
	assert_int_equal(st.st_mtime, 77);
	st = stat_of(f, &d, "tmp");
	assert_int_equal(st.st_mode, S_IFDIR | 01777);
	assert_int_equal(st.st_mtime, 1234567);
	assert_int_equal(stat_of(f, &d, "bin").st_mode, S_IFDIR | 0755); /* no entry of its own */
	st = stat_of(f, &d, "bin/su");
	other = stat_of(f, &d, "bin/su2");
	assert_int_equal(st.st_mode, S_IFREG | 04755);
	assert_int_equal(st.st_uid, priv ? 12 : 0);
	assert_int_equal(st.st_gid, priv ? 34 : 0);
	assert_int_equal(st.st_mtime, 1234567);
	assert_int_equal(st.st_ino, other.st_ino);
	link_of(f, &d, "bin/sh", text);
	assert_string_equal(text, "su");
	assert_int_equal(stat_of(f, &d, "bin/sh").st_mtime, 1234567);
	assert_true(S_ISFIFO(stat_of(f, &d, "fifo").st_mode));
	if (priv) {
		st = stat_of(f, &d, "null");
		assert_true(S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3));
	}
	OK(skf_unpack_verify(f->s, &d, &f->e), f);
}

static void climbs(void **state)
{
	static const char *const names[] = {"../x", "a/../../x", "/../x", "..", "x/../.."};
	struct fix *f = *state;
	struct tar *t;

	for (size_t i = 0; i < SKF_ARRAY_LEN(names); i++) {
		t = tar_new();
		tar_file(t, names[i], "evil");
		refused(f, t, SKF_EINVALID, names[i]);
	}
	t = tar_new();
	tar_file(t, "/abs/file", "inside"); /* absolute: below the root */
	OK(up_tar(f, t, NULL), f);
}

/* T38: through links only the layer itself can be reached. */
static void link_climbs(void **state)
{
	struct fix *f = *state;
	struct skf_digest d;
	struct tar *t = tar_new();
	char text[256], deep[128];

	snprintf(deep, sizeof(deep), "%s", f->base);
	tar_dir(t, "etc");
	tar_dir(t, deep + 1);
	tar_sym(t, "abs", f->base);
	tar_sym(t, "up", "../../../../../..");
	tar_sym(t, "chain1", "abs");
	tar_sym(t, "chain2", "up/chain1");
	tar_file(t, "abs/canary", "evil"); /* the layer's own copy of the directory */
	tar_file(t, "chain2/two", "2");
	tar_file(t, "up/etc/three", "3");
	OK(up_tar(f, t, &d), f);
	snprintf(deep, sizeof(deep), "%s/canary", f->base + 1);
	layer_read(f, &d, deep, text, sizeof(text));
	assert_string_equal(text, "evil");
	layer_read(f, &d, "etc/three", text, sizeof(text));
	assert_string_equal(text, "3");
	assert_int_not_equal(faccessat(f->base_fd, "two", F_OK, 0), 0);

	t = tar_new();
	tar_sym(t, "dangling", "/does/not/exist");
	tar_file(t, "dangling/x", "evil");
	refused(f, t, SKF_EINVALID, "dangling");
	t = tar_new();
	tar_sym(t, "magic", "/proc/self/root");
	tar_file(t, "magic/x", "evil");
	refused(f, t, SKF_EINVALID, "magic");
	t = tar_new();
	tar_sym(t, "loop", "loop");
	tar_file(t, "loop/x", "evil");
	refused(f, t, SKF_EINVALID, "loop");
	t = tar_new();
	tar_file(t, "file", "a file");
	tar_file(t, "file/x", "evil");
	refused(f, t, SKF_EINVALID, "file");
}

/* T38, T41: the last component is never followed; a replaced link takes nothing of the new entry with it. */
static void last_link(void **state)
{
	struct fix *f = *state;
	struct skf_digest d;
	struct tar *t = tar_new();
	char target[128], text[256];
	struct stat st;

	snprintf(target, sizeof(target), "%s/canary", f->base);
	tar_sym(t, "a", target);
	t->mode = 04777;
	tar_file(t, "a", "new");
	t->mode = 0;
	tar_file(t, "b", "first");
	tar_hard(t, "c", "b");
	tar_sym(t, "b", target);
	t->mode = 0600;
	tar_file(t, "b", "third");
	tar_sym(t, "d", target);
	t->mode = 0777;
	tar_dir(t, "d");
	OK(up_tar(f, t, &d), f);
	st = stat_of(f, &d, "a");
	assert_int_equal(st.st_mode, S_IFREG | 04777);
	layer_read(f, &d, "c", text, sizeof(text));
	assert_string_equal(text, "first");
	assert_int_equal(stat_of(f, &d, "c").st_mode, S_IFREG | 0644);
	layer_read(f, &d, "b", text, sizeof(text));
	assert_string_equal(text, "third");
	assert_int_equal(stat_of(f, &d, "d").st_mode, S_IFDIR | 0777);
	OK(skf_unpack_verify(f->s, &d, &f->e), f);
}

/* T39 */
static void root_replaced(void **state)
{
	static const char *const names[] = {".", "/", "./", "//", "././.", "x/.."};
	struct fix *f = *state;
	struct tar *t;

	for (size_t i = 0; i < SKF_ARRAY_LEN(names); i++) {
		t = tar_new();
		tar_sym(t, names[i], "/etc");
		refused(f, t, SKF_EINVALID, "root of the layer");
		t = tar_new();
		tar_hard(t, names[i], "x");
		refused(f, t, SKF_EINVALID, "root of the layer");
	}
	t = tar_new();
	tar_file(t, ".", "evil");
	refused(f, t, SKF_EINVALID, "root of the layer");
}

/* T40 */
static void hardlinks(void **state)
{
	struct fix *f = *state;
	struct skf_digest d;
	char path[128];
	struct tar *t;

	snprintf(path, sizeof(path), "%s/canary", f->base);
	t = tar_new();
	tar_hard(t, "x", "../../../../canary");
	refused(f, t, SKF_EINVALID, "climbs out");
	t = tar_new();
	tar_hard(t, "x", path);
	refused(f, t, SKF_EINVALID, "not in this layer");
	t = tar_new();
	tar_sym(t, "l", f->base);
	tar_hard(t, "x", "l/canary");
	refused(f, t, SKF_EINVALID, "not in this layer");
	t = tar_new();
	tar_hard(t, "x", "later");
	tar_file(t, "later", "");
	refused(f, t, SKF_EINVALID, "not in this layer");
	t = tar_new();
	tar_dir(t, "dir");
	tar_hard(t, "x", "dir");
	refused(f, t, SKF_EINVALID, "is a directory");
	t = tar_new();
	tar_hard(t, "x", ".");
	refused(f, t, SKF_EINVALID, "not in this layer");
	t = tar_new();
	tar_file(t, "d/x", "in the directory that the link replaces");
	tar_hard(t, "d", "d/x");
	refused(f, t, SKF_EINVALID, "replaces itself");
	/* a link to a link is the link; a link onto itself changes nothing; an absolute target is below the
	 * root */
	t = tar_new();
	tar_sym(t, "l", path);
	tar_hard(t, "l2", "l");
	tar_file(t, "a", "a");
	tar_hard(t, "a", "./a");
	tar_hard(t, "b", "/a");
	OK(up_tar(f, t, &d), f);
	assert_true(S_ISLNK(stat_of(f, &d, "l2").st_mode));
	assert_int_equal(stat_of(f, &d, "a").st_nlink, 2);
	OK(skf_unpack_verify(f->s, &d, &f->e), f);
}

static bool is_whiteout(struct fix *f, const struct skf_digest *d, const char *path)
{
	struct stat st = stat_of(f, d, path);

	return S_ISCHR(st.st_mode) && st.st_rdev == 0;
}

static bool is_opaque(struct fix *f, const struct skf_digest *d, const char *path)
{
	char v[256];

	return xattr_of(f, d, path, priv ? "trusted.overlay.opaque" : "user.overlay.opaque", v) == 1 &&
	       v[0] == 'y';
}

/* T43: whiteouts hide what is below, never what this layer brings, in whatever order. */
static void whiteouts(void **state)
{
	struct fix *f = *state;
	struct skf_digest d;
	struct tar *t = tar_new();
	char text[256];

	tar_file(t, "gone/.wh.a", "");
	tar_dir(t, "opaque");
	tar_file(t, "opaque/.wh..wh..opq", "");
	tar_file(t, "implied/.wh..wh..opq", "");
	tar_file(t, "before", "new");
	tar_file(t, ".wh.before", "");
	tar_file(t, ".wh.after", "");
	tar_file(t, "after", "new");
	tar_dir(t, "dirbefore");
	tar_file(t, "dirbefore/x", "new");
	tar_file(t, ".wh.dirbefore", "");
	tar_file(t, ".wh.dirafter", "");
	tar_dir(t, "dirafter");
	tar_file(t, ".wh.parent", "");
	tar_file(t, "parent/child", "new");
	tar_file(t, "plain/x", "");
	tar_file(t, ".wh..wh.plnk/1.2", "aufs");
	tar_file(t, ".wh..wh.aufs", "aufs");
	OK(up_tar(f, t, &d), f);
	assert_true(is_whiteout(f, &d, "gone/a"));
	assert_true(is_opaque(f, &d, "opaque"));
	assert_true(is_opaque(f, &d, "implied"));
	layer_read(f, &d, "before", text, sizeof(text));
	assert_string_equal(text, "new");
	layer_read(f, &d, "after", text, sizeof(text));
	assert_string_equal(text, "new");
	layer_read(f, &d, "dirbefore/x", text, sizeof(text));
	assert_true(is_opaque(f, &d, "dirbefore"));
	assert_true(is_opaque(f, &d, "dirafter"));
	assert_true(is_opaque(f, &d, "parent"));
	layer_read(f, &d, "parent/child", text, sizeof(text));
	assert_false(is_opaque(f, &d, "plain"));
	assert_false(in_layer(f, &d, ".wh..wh.plnk", NULL));
	assert_false(in_layer(f, &d, ".wh..wh.aufs", NULL));
	assert_false(in_layer(f, &d, "opaque/.wh..wh..opq", NULL));
	OK(skf_unpack_verify(f->s, &d, &f->e), f);

	t = tar_new();
	tar_file(t, "a/.wh...", "");
	refused(f, t, SKF_EINVALID, "whiteout");
	t = tar_new();
	tar_file(t, ".wh.a/b", "");
	refused(f, t, SKF_EINVALID, "reserved");
	t = tar_new(); /* a whiteout is no source of hard links */
	tar_file(t, ".wh.a", "");
	tar_hard(t, "b", "a");
	refused(f, t, SKF_EINVALID, "not in this layer");
}

static void replaced(void **state)
{
	struct fix *f = *state;
	struct skf_digest d;
	struct tar *t = tar_new();
	char text[256];

	tar_file(t, "tree/a/b/c", "old");
	tar_file(t, "tree", "a file now");
	tar_dir(t, "dir");
	tar_file(t, "dir/kept", "kept");
	t->mode = 0500;
	t->mtime = 5;
	tar_dir(t, "dir"); /* only its metadata change */
	t->mode = 0;
	tar_file(t, "twice", "one");
	tar_file(t, "twice", "two and longer");
	tar_file(t, "twice", "3");
	OK(up_tar(f, t, &d), f);
	layer_read(f, &d, "tree", text, sizeof(text));
	assert_string_equal(text, "a file now");
	layer_read(f, &d, "dir/kept", text, sizeof(text));
	layer_read(f, &d, "twice", text, sizeof(text));
	assert_string_equal(text, "3");
	assert_int_equal(stat_of(f, &d, "dir").st_mode, S_IFDIR | 0500);
	assert_int_equal(stat_of(f, &d, "dir").st_mtime, 5);
	OK(skf_unpack_verify(f->s, &d, &f->e), f);
}

static void xattrs(void **state)
{
	static const unsigned char cap[20] = {1, 0, 0, 2, 0, 0x20}; /* cap_net_raw=ep */
	/* version 2; user::rwx, user:0:r--, group::r--, mask::rwx, other::r-- */
	static const unsigned char acl[] = {2, 0, 0,   0,   1,   0,   7,  0, 255, 255, 255, 255, 2,   0,  4,
					    0, 0, 0,   0,   0,   4,   0,  4, 0,   255, 255, 255, 255, 16, 0,
					    7, 0, 255, 255, 255, 255, 32, 0, 4,   0,   255, 255, 255, 255};
	struct fix *f = *state;
	struct skf_digest d, plain;
	struct tar *t = tar_new();
	char v[256];

	tar_file(t, "ping", "binary");
	OK(up_tar(f, t, &plain), f);
	t = tar_new();
	tar_pax(t, "SCHILY.xattr.security.capability", cap, sizeof(cap));
	t->mode = 04755;
	tar_file(t, "ping", "binary");
	t->mode = 0;
	tar_pax(t, "SCHILY.xattr.user.colour", "blue", 4);
	tar_file(t, "user", "");
	tar_pax(t, "SCHILY.xattr.trusted.overlay.opaque", "y", 1);
	tar_dir(t, "notopaque");
	tar_pax(t, "SCHILY.xattr.user.overlay.redirect", "/etc", 4);
	tar_dir(t, "notredirect");
	tar_pax(t, "SCHILY.xattr.trusted.evil", "y", 1);
	tar_file(t, "nottrusted", "");
	tar_pax(t, "SCHILY.xattr.system.posix_acl_default", acl, sizeof(acl));
	tar_dir(t, "acl");
	tar_file(t, "acl/child", "");
	OK(up_tar(f, t, &d), f);
	if (xattr_of(f, &d, "user", "user.colour", v) < 0)
		printf("this file system has no user.* attributes\n");
	else
		assert_string_equal(v, "blue");
	if (priv)
		assert_int_equal(xattr_of(f, &d, "ping", "security.capability", v), 20);
	assert_int_equal(xattr_of(f, &d, "notopaque", "trusted.overlay.opaque", v), -1);
	assert_int_equal(xattr_of(f, &d, "notopaque", "user.overlay.opaque", v), -1);
	assert_int_equal(xattr_of(f, &d, "notredirect", "user.overlay.redirect", v), -1);
	assert_int_equal(xattr_of(f, &d, "nottrusted", "trusted.evil", v), -1);
	/* a default ACL is there at the end and was not inherited by what lay in the archive */
	if (xattr_of(f, &d, "acl", "system.posix_acl_default", v) > 0)
		assert_int_equal(xattr_of(f, &d, "acl/child", "system.posix_acl_access", v), -1);
	OK(skf_unpack_verify(f->s, &d, &f->e), f);
}

static void prefixed(char out[64], const char *name)
{
	memcpy(out, "u-", 2);
	memcpy(out + 2, name, strlen(name) + 1);
}

static void names_of_any_bytes(void **state)
{
	static const char *const names[] = {"F\xc5\x91tan\xc3\xbas\xc3\xadtv\xc3\xa1ny.crt",
					    "nfd-e\xcc\x81",
					    "nfc-\xc3\xa9",
					    "bad-\xff\xfe\x80",
					    "\xed\xa0\x80",
					    "back\\slash new\nline"};
	struct fix *f = *state;
	struct skf_digest d;
	struct tar *t = tar_new();
	char text[256];

	for (size_t i = 0; i < SKF_ARRAY_LEN(names); i++) {
		char old[64];

		tar_pax(t, "path", names[i], strlen(names[i]));
		tar_file(t, "short", "pax");
		prefixed(old, names[i]);
		tar_file(t, old, "ustar");
		tar_pax(t, "linkpath", names[i], strlen(names[i]));
		snprintf(old, sizeof(old), "l%zu", i);
		tar_sym(t, old, "short");
	}
	OK(up_tar(f, t, &d), f);
	for (size_t i = 0; i < SKF_ARRAY_LEN(names); i++) {
		char old[64];

		layer_read(f, &d, names[i], text, sizeof(text));
		assert_string_equal(text, "pax");
		prefixed(old, names[i]);
		layer_read(f, &d, old, text, sizeof(text));
		assert_string_equal(text, "ustar");
		snprintf(old, sizeof(old), "l%zu", i);
		link_of(f, &d, old, text);
		assert_string_equal(text, names[i]);
	}
	OK(skf_unpack_verify(f->s, &d, &f->e), f);
}

/* GNU sparse 1.0: a map of "count, (offset, size)..." in the first block of the data. */
static void add_sparse(struct tar *t, const char *name, const char *realsize, const char *map,
		       const char *data)
{
	char body[1024] = {0};
	size_t n = strlen(map), m = strlen(data);

	memcpy(body, map, n);
	memcpy(body + 512, data, m);
	tar_pax(t, "GNU.sparse.major", "1", 1);
	/* records of one header each would replace one another: one header with all of them */
	t->b.len -= 1024;
	{
		struct skf_buf rec = SKF_BUF(4096);

		skf_buf_fmt(&rec, "22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n");
		skf_buf_fmt(&rec, "%zu GNU.sparse.name=%s\n", strlen(name) + 20, name);
		skf_buf_fmt(&rec, "%zu GNU.sparse.realsize=%s\n", strlen(realsize) + 24, realsize);
		tar_header(t, "PaxHeaders/x", 'x', rec.len, NULL, 0, 0);
		tar_body(t, rec.p, rec.len);
		skf_buf_done(&rec);
	}
	tar_header(t, "GNUSparseFile.0/x", '0', 512 + m, NULL, 0, 0);
	tar_body(t, body, 512 + m);
}

static void sparse(void **state)
{
	struct fix *f = *state;
	struct skf_digest d;
	struct tar *t = tar_new();
	struct timespec a, b;
	struct stat st;
	char text[16] = {0};
	int fd, file;

	add_sparse(t, "five-gigabytes", "5368709120", "2\n1048576\n4\n5368709116\n4\n", "AAAABBBB");
	add_sparse(t, "trailing-hole", "1000000000000", "2\n0\n4\n1000000000000\n0\n", "DATA");
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
	OK(up_tar(f, t, &d), f);
	OK(skf_unpack_verify(f->s, &d, &f->e), f);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
	assert_true(b.tv_sec - a.tv_sec <= 5); /* holes are neither written nor read */
	st = stat_of(f, &d, "five-gigabytes");
	assert_int_equal(st.st_size, 5368709120);
	assert_true(st.st_blocks < 1000);
	assert_int_equal(stat_of(f, &d, "trailing-hole").st_size, 1000000000000);
	OK(skf_store_layer_open(f->s, &d, &fd, &f->e), f);
	file = skf_openat(fd, "five-gigabytes", O_RDONLY, 0);
	assert_int_equal(pread(file, text, 4, 1048576), 4);
	assert_string_equal(text, "AAAA");
	assert_int_equal(pread(file, text, 4, 5368709116), 4);
	assert_string_equal(text, "BBBB");
	skf_closep(&file);
	skf_closep(&fd);

	t = tar_new(); /* claims more than a layer may have: nothing is made of it */
	add_sparse(t, "huge", "9000000000000000000", "1\n0\n4\n", "DATA");
	refused(f, t, SKF_ELIMIT, "huge");
	t = tar_new();
	add_sparse(t, "backwards", "4096", "2\n2048\n4\n0\n4\n", "AAAABBBB");
	refused(f, t, SKF_ECORRUPT, "");
}

static void limits(void **state)
{
	struct fix *f = *state;
	struct skf_unpack_limits lim = skf_unpack_default_limits;
	struct tar *t = tar_new();
	char name[32], *big;

	lim.entries = 10;
	for (int i = 0; i < 11; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		tar_file(t, name, "");
	}
	FAILS(up_tar_lim(f, t, NULL, &lim), SKF_ELIMIT, f);
	assert_non_null(strstr(f->e.msg, "more than 10 entries"));
	t = tar_new();
	tar_file(t, "1/2/3/4/5/6/7/8/9/10/11", ""); /* directories that no entry names count too */
	FAILS(up_tar_lim(f, t, NULL, &lim), SKF_ELIMIT, f);
	lim = skf_unpack_default_limits;
	lim.depth = 3;
	t = tar_new();
	tar_file(t, "a/b/c/d", "");
	FAILS(up_tar_lim(f, t, NULL, &lim), SKF_ELIMIT, f);
	lim = skf_unpack_default_limits;
	lim.xattrs = 1;
	t = tar_new();
	tar_pax(t, "SCHILY.xattr.user.a", "123", 3);
	tar_file(t, "one", "");
	OK(up_tar_lim(f, t, NULL, &lim), f);
	lim.xattr_bytes = 2;
	t = tar_new();
	tar_pax(t, "SCHILY.xattr.user.a", "123", 3);
	tar_file(t, "two", "");
	FAILS(up_tar_lim(f, t, NULL, &lim), SKF_ELIMIT, f);
	/* T45: a pax record of 2 MB, a sparse map of 4 MB, sizes of 2^63 and below zero */
	big = calloc(1, 4u << 20);
	assert_non_null(big);
	memset(big, 'x', 2u << 20);
	t = tar_new();
	tar_pax(t, "comment", big, 2u << 20);
	tar_file(t, "x", "");
	FAILS(up_tar(f, t, NULL), SKF_ECORRUPT, f);
	t = tar_new();
	for (size_t i = 0; i + 8 < 4u << 20; i += 2)
		memcpy(big + i, "9\n", 2);
	memcpy(big, "500000\n", 7);
	add_sparse(t, "map", "1048576", "", "");
	t->b.len -= 1024;
	tar_header(t, "GNUSparseFile.0/x", '0', 4u << 20, NULL, 0, 0);
	tar_body(t, big, 4u << 20);
	if (up_tar(f, t, NULL) == 0 || (f->e.kind != SKF_ELIMIT && f->e.kind != SKF_ECORRUPT))
		fail_msg("a sparse map of 4 MB was taken: %s", f->e.msg);
	free(big);
	t = tar_new();
	tar_header(t, "x", '0', 1ull << 63, NULL, 0, 0);
	FAILS(up_tar(f, t, NULL), SKF_ECORRUPT, f);
	t = tar_new();
	tar_header(t, "x", '0', 1ull << 50, NULL, 0, 0);
	FAILS(up_tar(f, t, NULL), SKF_ELIMIT, f);
	t = tar_new();
	t->uid = 0xffffffffu;
	tar_file(t, "x", "");
	refused(f, t, SKF_EINVALID, "owner");
}

static void deep_through_links(void **state)
{
	struct fix *f = *state;
	struct tar *t = tar_new();
	char deep[512] = "", name[600];

	for (int i = 0; i < 200; i++)
		memcpy(deep + i * 2, "a/", 3);
	deep[399] = 0;
	tar_pax(t, "path", deep, strlen(deep));
	tar_dir(t, "x");
	tar_pax(t, "linkpath", deep, strlen(deep));
	tar_sym(t, "l", "x");
	snprintf(name, sizeof(name), "l/%s", deep);
	tar_pax(t, "path", name, strlen(name));
	tar_dir(t, "x");
	refused(f, t, SKF_ELIMIT, "directories deep");
}

/* Verifying finds every kind of change and names the first path that differs. */
static void verify_finds(void **state)
{
	static const char *const words[] = {"'/a'", "'/a'", "'/b'", "'/new'", "'/d'", "'/l'", "missing"};
	struct fix *f = *state;
	struct skf_digest d;

	for (size_t i = 0; i < SKF_ARRAY_LEN(words); i++) {
		struct tar *t = tar_new();
		char mark[16];
		int fd;

		snprintf(mark, sizeof(mark), "%zu", i);
		tar_file(t, "a", "content");
		tar_file(t, "b", "content");
		tar_dir(t, "d");
		tar_sym(t, "l", "a");
		tar_file(t, "z", mark);
		OK(up_tar(f, t, &d), f);
		OK(skf_unpack_verify(f->s, &d, &f->e), f);
		OK(skf_store_layer_open(f->s, &d, &fd, &f->e), f);
		if (i == 0)
			assert_int_equal(skf_write_atomic_at(fd, "a", "c0ntent", 7, 0644, 0), 0);
		else if (i == 1)
			assert_int_equal(fchmodat(fd, "a", 04644, 0), 0);
		else if (i == 2)
			assert_int_equal(unlinkat(fd, "b", 0), 0);
		else if (i == 3)
			assert_int_equal(skf_write_atomic_at(fd, "new", "", 0, 0644, 0), 0);
		else if (i == 4)
			assert_int_equal(fchmodat(fd, "d", 0777, 0), 0);
		else if (i == 5)
			assert_true(unlinkat(fd, "l", 0) == 0 && symlinkat("b", fd, "l") == 0);
		else
			assert_int_equal(unlinkat(fd, "z", 0), 0);
		skf_closep(&fd);
		FAILS(skf_unpack_verify(f->s, &d, &f->e), SKF_ECORRUPT, f);
		if (i != 2 && !strstr(f->e.msg, words[i]))
			fail_msg("expected %s in '%s'", words[i], f->e.msg);
	}
}

/* The same bytes give the same listing, whatever the chunks and the order of unpacking. */
static void deterministic(void **state)
{
	struct fix *f = *state;
	struct skf_buf first = SKF_BUF(1 << 20), second = SKF_BUF(1 << 20);
	char path[200], line[200];

	for (int i = 0; i < 2; i++) {
		struct tar *t = tar_new();
		struct up u = {.f = f, .chunk = i ? 333 : 0};

		tar_file(t, "a-b", "1");
		tar_file(t, "a/b", "2");
		tar_file(t, "a.b", "3");
		tar_hard(t, "z", "a/b");
		tar_end(t);
		OK(up_bytes(&u, t->b.p, t->b.len, t->b.p, t->b.len), f);
		snprintf(path, sizeof(path), "layers/%s/files", skf_digest_hex(&u.diff_id));
		assert_int_equal(skf_read_file_at(skf_store_fd(f->s), path, 1 << 20, i ? &second : &first),
				 0);
		snprintf(path, sizeof(path), "layers/%s", skf_digest_hex(&u.diff_id));
		assert_int_equal(skf_rmtree_at(skf_store_fd(f->s), path), 0);
		tar_free(t);
	}
	assert_string_equal(first.p, second.p);
	snprintf(line, sizeof(line),
		 skf_crc64_fast()
			 ? "\n/a/b f 0644 0 0 1 crc64:%016llx - -\n"
			 : "\n/a/b f 0644 0 0 1 "
			   "sha256:d4735e3a265e16eee03f59718b9b5d03019c07d8b6c51f90da3a666eec13ab35 - -\n",
		 (unsigned long long)skf_crc64(0, "2", 1));
	assert_non_null(strstr(first.p, line));
	skf_buf_done(&first);
	skf_buf_done(&second);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(ordinary),  T(climbs),    T(link_climbs),        T(last_link),    T(root_replaced),
		T(hardlinks), T(whiteouts), T(replaced),           T(xattrs),       T(names_of_any_bytes),
		T(sparse),    T(limits),    T(deep_through_links), T(verify_finds), T(deterministic),
	};
	void *f;

	if (fix_setup(&f) < 0) /* enters the user namespace first */
		return 1;
	priv = fix_privileged();
	if (fix_teardown(&f) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
