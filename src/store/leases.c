/* store/leases.c -- leases/<random>: what a running pull uses or is about to make, one JSON line per digest.
 *
 * Invariants:
 *  1. A lease file is locked (OFD) from the moment it is made until its process ends or frees it; one that
 *     nobody holds locked is garbage.
 *  2. Making a lease and each line of it happen under locks/store shared, and an object is looked for only
 *     after its line is written. So collection either sees the line, or has already renamed the object away
 *     when it is looked for.
 *
 * Nothing is synced: a lease means nothing after its process. Blocks on locks/store for as long as a
 * collection marks. */
#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "store/store_int.h"
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

struct skf_lease {
	struct skf_store *s;
	int dir, fd;
	char name[33];
};

int skf_lease_new(struct skf_store *s, struct skf_lease **ret, struct skf_err *e)
{
	SKF_AUTO_FD int dir = -EBADF;
	SKF_AUTO_FD int lock = -EBADF;
	SKF_AUTO_FREE struct skf_lease *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return skf_fail(e, SKF_ENOMEM, "no memory for a lease");
	r = skf_random_hex(l->name, 16);
	if (r < 0)
		return skf_fail_sys(e, r, "name of a lease");
	if (skf_store_dir(s, "leases", &dir, e) < 0 || skf_store_lock(s, false, &lock, e) < 0)
		return -1;
	l->fd = skf_lock_at(dir, l->name, true, 0);
	if (l->fd < 0)
		return skf_fail_sys(e, l->fd, "make the lease '%s' in the store '%s'", l->name, s->root);
	l->s = s;
	l->dir = SKF_TAKE_FD(dir);
	*ret = SKF_TAKE(l);
	return 0;
}

int skf_lease_add(struct skf_lease *l, const struct skf_digest *d, struct skf_err *e)
{
	SKF_AUTO_FD int lock = -EBADF;
	char line[SKF_DIGEST_MAX + 40];
	int r;

	if (skf_store_check_digest(d, e) < 0 || skf_store_lock(l->s, false, &lock, e) < 0)
		return -1;
	r = skf_fmt(line, sizeof(line), "{\"v\":1,\"min\":1,\"digest\":\"%s\"}\n", d->s);
	if (r == 0 && lseek(l->fd, 0, SEEK_END) < 0)
		r = -errno;
	if (r == 0)
		r = skf_write_full(l->fd, line, __builtin_strlen(line));
	return r < 0 ? skf_fail_sys(e, r, "write '%s' to the lease '%s'", d->s, l->name) : 0;
}

void skf_lease_free(struct skf_lease *l)
{
	if (!l)
		return;
	unlinkat(l->dir, l->name, 0); /* what stays is unlocked, so collection removes it */
	skf_closep(&l->fd);
	skf_closep(&l->dir);
	free(l);
}
