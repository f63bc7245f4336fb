/* tests/unit/store/fixture.c */
#include "fixture.h"
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

static void write_proc(const char *path, const char *text)
{
	if (skf_write_existing_at(AT_FDCWD, path, text) < 0)
		fprintf(stderr, "cannot write %s\n", path);
}

static void become_root(void)
{
	char map[64];
	uid_t uid = geteuid();
	gid_t gid = getegid();

	if (uid == 0)
		return;
	if (unshare(CLONE_NEWUSER) < 0) {
		fprintf(stderr, "no user namespace here: running as uid %u\n", uid);
		return;
	}
	write_proc("/proc/self/setgroups", "deny");
	snprintf(map, sizeof(map), "0 %u 1", uid);
	write_proc("/proc/self/uid_map", map);
	snprintf(map, sizeof(map), "0 %u 1", gid);
	write_proc("/proc/self/gid_map", map);
}

bool fix_privileged(void)
{
	char dir[] = "/tmp/skf-priv-XXXXXX";
	int fd;
	bool ok;

	if (!mkdtemp(dir))
		return false;
	fd = skf_openat(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0);
	ok = mknodat(fd, "null", S_IFCHR | 0600, makedev(1, 3)) == 0 &&
	     fsetxattr(fd, "trusted.skf-test", "y", 1, 0) == 0 && fchownat(fd, "null", 12, 34, 0) == 0;
	unlinkat(fd, "null", 0);
	skf_closep(&fd);
	rmdir(dir);
	if (!ok)
		printf("no device nodes, trusted attributes or foreign owners here (user namespace): those "
		       "checks are left out\n");
	return ok;
}

int fix_setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));
	char root[96];

	if (!f)
		return -1;
	become_root();
	snprintf(f->base, sizeof(f->base), "%s/skf-store-XXXXXX",
		 access("/var/tmp", W_OK) == 0 ? "/var/tmp" : "/tmp");
	if (!mkdtemp(f->base))
		return -1;
	f->base_fd = skf_openat(AT_FDCWD, f->base, O_RDONLY | O_DIRECTORY, 0);
	snprintf(root, sizeof(root), "%s/store", f->base);
	if (skf_store_open(root, true, &f->s, &f->e) < 0) {
		fprintf(stderr, "%s\n", f->e.msg);
		return -1;
	}
	*state = f;
	return 0;
}

int fix_teardown(void **state)
{
	struct fix *f = *state;
	int r;

	skf_store_free(f->s);
	skf_closep(&f->base_fd);
	r = skf_rmtree_at(AT_FDCWD, f->base);
	free(f);
	return r;
}

void fix_ok(int r, struct fix *f, const char *file, int line)
{
	if (r >= 0)
		return;
	fprintf(stderr, "%s:%d: %s\n", file, line, f->e.msg);
	_fail(file, line);
}

void fix_fails(int r, enum skf_kind k, struct fix *f, const char *file, int line)
{
	if (r < 0 && f->e.kind == k && f->e.msg[0])
		return;
	fprintf(stderr, "%s:%d: expected a failure of kind %s, got %d, kind %s, '%s'\n", file, line,
		skf_kind_name(k), r, skf_kind_name(f->e.kind), f->e.msg);
	_fail(file, line);
}

struct skf_digest fix_digest(const char *seed)
{
	struct skf_digest d = {0};
	char hex[65];
	uint64_t h = 1469598103934665603u;

	for (int i = 0; i < 64; i++) {
		h = (h ^ (unsigned char)seed[(size_t)i % strlen(seed)] ^ (unsigned)i) * 1099511628211u;
		hex[i] = "0123456789abcdef"[h >> 60];
	}
	hex[64] = 0;
	snprintf(d.s, sizeof(d.s), "sha256:%s", hex);
	return d;
}
