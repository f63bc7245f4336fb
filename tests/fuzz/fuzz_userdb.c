/* A user string and an image's passwd and group files: input is "user NUL passwd NUL group". A string that
 * is a number in any notation must never come out as another number than the plain decimal one. */
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "oci/userdb.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int file_of(const char *p, size_t n)
{
	int fd = memfd_create("userdb", MFD_CLOEXEC);

	if (fd < 0 || skf_write_full(fd, p, n) < 0)
		abort();
	return fd;
}

static void check(const char *user, const struct skf_userdb_result *r)
{
	char *end;
	unsigned long long n;

	if (r->n_gids == 0 || r->gids[0] != r->gid || !r->home || !r->home[0] || r->uid > 2147483647u)
		abort();
	if (user[0] < '0' || user[0] > '9')
		return;
	n = strtoull(user, &end, 10);
	if ((*end == '\0' || *end == ':') && n != r->uid)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(4u << 20);
	const char *user = (const char *)data, *passwd, *group;
	const char *end = user + size;
	struct skf_userdb_result r;
	struct skf_err e = SKF_ERR_INIT;

	passwd = memchr(user, '\0', size);
	group = passwd ? memchr(passwd + 1, '\0', (size_t)(end - passwd) - 1) : NULL;
	if (!group)
		return 0;
	SKF_AUTO_FD int pw = file_of(passwd + 1, (size_t)(group - passwd) - 1);
	SKF_AUTO_FD int gr = file_of(group + 1, (size_t)(end - group) - 1);
	if (skf_userdb_resolve(user, pw, gr, NULL, &a, &r, &e) == 0)
		check(user, &r);
	return 0;
}
