/* seccomp_cache.c -- compiled seccomp programs on disk: <root>/.seccomp-cache/<key in hex>.
 *
 * Invariants:
 * 1. The directory belongs to us alone (owner, mode 0700), seen through its fd, so nobody else can put a
 * program there.
 * 2. An entry is believed only when its magic, key, size, instruction count and checksum agree; otherwise it
 * is removed and the profile is compiled again. The cache can be deleted at any time.
 * 3. Entries appear by rename: a reader never sees half of one.
 * Blocks: on the file system of the state root. */
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "runtime/seccomp_int.h"
#include "runtime/sha256.h"
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct header {
	char magic[8];
	uint8_t key[SKF_SECCOMP_KEY];
	uint32_t n, flags, notify, reserved;
	uint8_t sum[32]; /* of the header up to here and the instructions */
};
static const char magic[8] = "SKFBPF1\n";

static void entry_name(const uint8_t key[SKF_SECCOMP_KEY], char out[2 * SKF_SECCOMP_KEY + 1])
{
	static const char hex[] = "0123456789abcdef";

	for (int i = 0; i < SKF_SECCOMP_KEY; i++) {
		out[2 * i] = hex[key[i] >> 4];
		out[2 * i + 1] = hex[key[i] & 15];
	}
	out[2 * SKF_SECCOMP_KEY] = '\0';
}

static void checksum(const struct header *h, const struct sock_filter *insn, uint8_t out[32])
{
	struct skf_sha256 c;

	skf_sha256_init(&c);
	skf_sha256_add(&c, h, offsetof(struct header, sum));
	skf_sha256_add(&c, insn, h->n * sizeof(*insn));
	skf_sha256_end(&c, out);
}

static bool ours(const struct stat *st)
{
	return st->st_uid == geteuid() && !(st->st_mode & 077);
}

int skf_seccomp_cache_open(int rootfd)
{
	struct stat st;
	SKF_AUTO_FD int fd =
		skf_openat(rootfd, SKF_SECCOMP_CACHE_DIR, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);

	if (fd == -ENOENT) {
		int r = skf_mkdir_at(rootfd, SKF_SECCOMP_CACHE_DIR, 0700);

		if (r < 0)
			return r;
		fd = skf_openat(rootfd, SKF_SECCOMP_CACHE_DIR, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	}
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return skf_errno();
	return ours(&st) ? SKF_TAKE_FD(fd) : -EPERM;
}

static int read_entry(int fd, const uint8_t key[SKF_SECCOMP_KEY], struct skf_arena *a,
		      struct skf_bpf_prog *ret)
{
	struct header h;
	struct stat st;
	struct sock_filter *insn;
	uint8_t sum[32];
	int r;

	if (fstat(fd, &st) < 0)
		return skf_errno();
	if (!S_ISREG(st.st_mode) || !ours(&st) || st.st_size < (off_t)sizeof(h))
		return -EBADMSG;
	r = skf_read_full(fd, &h, sizeof(h));
	if (r < 0)
		return r == -EPIPE ? -EBADMSG : r;
	if (memcmp(h.magic, magic, sizeof(magic)) != 0 || memcmp(h.key, key, sizeof(h.key)) != 0 ||
	    h.n == 0 || h.n > BPF_MAXINSNS || st.st_size != (off_t)(sizeof(h) + h.n * sizeof(*insn)))
		return -EBADMSG;
	insn = skf_arena_array(a, h.n, sizeof(*insn));
	if (!insn)
		return -ENOMEM;
	r = skf_read_full(fd, insn, h.n * sizeof(*insn));
	if (r < 0)
		return r == -EPIPE ? -EBADMSG : r;
	checksum(&h, insn, sum);
	if (memcmp(sum, h.sum, sizeof(sum)) != 0)
		return -EBADMSG;
	*ret = (struct skf_bpf_prog){
		.insn = insn, .n = (uint16_t)h.n, .flags = h.flags, .notify = h.notify != 0};
	return 1;
}

int skf_seccomp_cache_get(int dirfd, const uint8_t key[SKF_SECCOMP_KEY], struct skf_arena *a,
			  struct skf_bpf_prog *ret)
{
	char name[2 * SKF_SECCOMP_KEY + 1];
	SKF_AUTO_FD int fd = -EBADF;
	int r;

	entry_name(key, name);
	fd = skf_openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	if (fd == -ENOENT)
		return 0;
	r = fd < 0 ? fd : read_entry(fd, key, a, ret);
	if (r != -EBADMSG && r != -ELOOP)
		return r;
	(void)unlinkat(dirfd, name,
		       0); /* it will be written again; when it cannot be removed it is refused again */
	return 0;
}

struct entry {
	char name[256];
	struct timespec at;
};

static bool older(const struct entry *a, const struct entry *b)
{
	return a->at.tv_sec != b->at.tv_sec ? a->at.tv_sec < b->at.tv_sec : a->at.tv_nsec < b->at.tv_nsec;
}

/* One pass: counts the entries and finds the oldest. Temporary files of writers that died (names with a dot)
 * count as entries. */
static int scan(int dirfd, unsigned *ret_n, struct entry *oldest)
{
	SKF_AUTO_DIR DIR *d = NULL;
	struct dirent *de;
	int fd = skf_openat(dirfd, ".", O_RDONLY | O_DIRECTORY, 0);

	*ret_n = 0;
	if (fd < 0)
		return fd;
	d = fdopendir(fd);
	if (!d) {
		int r = skf_errno();

		close(fd);
		return r;
	}
	while ((de = readdir(d))) {
		struct entry x;
		struct stat st;

		if (!strcmp(de->d_name, ".") || !strcmp(de->d_name, ".."))
			continue;
		if (fstatat(dirfd, de->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    strlen(de->d_name) >= sizeof(x.name))
			continue;
		memcpy(x.name, de->d_name, strlen(de->d_name) + 1);
		x.at = st.st_mtim;
		if (!(*ret_n)++ || older(&x, oldest))
			*oldest = x;
	}
	return 0;
}

static void evict(int dirfd)
{
	/* More than one may be too many after a race of writers; each pass removes the oldest. */
	for (int pass = 0; pass < 8; pass++) {
		struct entry oldest;
		unsigned n;

		if (scan(dirfd, &n, &oldest) < 0 || n <= SKF_SECCOMP_CACHE_ENTRIES)
			return;
		if (unlinkat(dirfd, oldest.name, 0) < 0 && errno != ENOENT)
			return; /* a cache that is too large does no harm; the next writer tries again */
	}
}

int skf_seccomp_cache_put(int dirfd, const uint8_t key[SKF_SECCOMP_KEY], const struct skf_bpf_prog *p)
{
	size_t n = sizeof(struct header) + p->n * sizeof(*p->insn);
	char name[2 * SKF_SECCOMP_KEY + 1];
	SKF_AUTO_FREE char *buf = malloc(n);
	struct header h = {.n = p->n, .flags = p->flags, .notify = p->notify};
	int r;

	if (!buf)
		return -ENOMEM;
	memcpy(h.magic, magic, sizeof(magic));
	memcpy(h.key, key, sizeof(h.key));
	checksum(&h, p->insn, h.sum);
	memcpy(buf, &h, sizeof(h));
	memcpy(buf + sizeof(h), p->insn, p->n * sizeof(*p->insn));
	entry_name(key, name);
	r = skf_write_atomic_at(dirfd, name, buf, n, 0600, 0);
	if (r == 0)
		evict(dirfd);
	return r;
}
