/* engine/userns_take.c -- --userns=auto: ids that no other container or pod has, and the file "ids" that
 * says who has which.
 *
 * Invariants: (1) the file is written, and others' are read, only under locks/userns; (2) it lives in the
 * container's directory and goes with it, so that ids are free as soon as the container is gone, whatever
 * killed whom. Costs one look at each container of this root. */
#include "engine/create_int.h"
#include "engine/subid.h"
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

struct used {
	struct skf_plan *p;
	struct skf_jarr uids, gids; /* struct skf_range */
	size_t cap_uids, cap_gids;
};

static int push(struct skf_arena *a, struct skf_jarr *to, size_t *cap, const void *elem, size_t size,
		struct skf_err *e)
{
	void *more;

	if (to->n == *cap) {
		more = skf_arena_array(a, *cap ? *cap * 2 : 16, size);
		if (!more)
			return skf_plan_no_memory(e);
		if (to->n)
			memcpy(more, to->v, to->n * size);
		to->v = more;
		*cap = *cap ? *cap * 2 : 16;
	}
	memcpy((char *)to->v + to->n++ * size, elem, size);
	return 0;
}

static int add_used(struct used *u, const struct skf_jarr *maps, struct skf_jarr *to, size_t *cap,
		    struct skf_err *e)
{
	const struct skf_idmap *m = maps->v;

	for (size_t i = 0; i < maps->n; i++) {
		struct skf_range r = {m[i].host_id, m[i].size};

		if (push(u->p->a, to, cap, &r, sizeof(r), e) < 0)
			return -1;
	}
	return 0;
}

/* One container or pod: what it has. One that is not readable is an error: its ids would be given away a
 * second time. */
static int add_owner(struct used *u, int all, const char *id, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	SKF_AUTO_FD int dir = skf_openat(all, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	struct skf_idmaps m;
	int r = dir == -ENOENT || dir == -ENOTDIR ? 0 : dir < 0 ? dir : skf_idmaps_read_at(dir, &a, &m);

	if (r < 0)
		return skf_fail_sys(e, r, "read the file '" SKF_IDS_FILE "' of '%.64s'", id);
	return r == 0 ? 0
	       : add_used(u, &m.uids, &u->uids, &u->cap_uids, e) < 0
		       ? -1
		       : add_used(u, &m.gids, &u->gids, &u->cap_gids, e);
}

static int add_all(struct used *u, const char *path, struct skf_err *e)
{
	SKF_AUTO_FD int fd = skf_openat(u->p->g->root_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	SKF_AUTO_DIR DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;

	if (!d)
		return fd == -ENOENT
			       ? 0
			       : skf_fail_sys(e, fd < 0 ? fd : -errno, "list '%s/%s'", u->p->g->root, path);
	(void)SKF_TAKE_FD(fd); /* d closes it */
	while ((de = readdir(d)))
		if (skf_ctr_id_valid(de->d_name) && !skf_streq(de->d_name, u->p->id) &&
		    add_owner(u, dirfd(d), de->d_name, e) < 0)
			return -1;
	return 0;
}

/* Which ids may be given away: the configuration's, or the subordinate ones of its user. */
static int available(struct skf_plan *p, const char *file, struct skf_jarr *ret, struct skf_err *e)
{
	const struct skf_strv *own = &p->g->conf.userns_ids;
	size_t cap = 0;
	int r;

	*ret = (struct skf_jarr){0};
	for (size_t i = 0; i < own->n; i++) {
		struct skf_range x;

		if (skf_range_parse(own->v[i], &x) < 0)
			return skf_fail(e, SKF_EINVALID,
					"%s: userns_ids: wrong range '%s': expected START:SIZE",
					skf_conf_origin(&p->g->conf, "userns_ids"), own->v[i]);
		if (push(p->a, ret, &cap, &x, sizeof(x), e) < 0)
			return -1;
	}
	if (own->n)
		return 0;
	r = skf_subid_read(file, p->g->conf.userns_user, p->a, ret);
	if (r == -ENOENT)
		return skf_fail(
			e, SKF_EUNSUPPORTED,
			"--userns=auto: no ranges of ids found for user \"%s\" in %s: add a line like "
			"'%s:2147483647:2147483648' there and in the other of /etc/subuid and /etc/subgid, "
			"or set "
			"userns_ids in skiff.conf",
			p->g->conf.userns_user, file, p->g->conf.userns_user);
	return r < 0 ? skf_fail_sys(e, r, "read '%s'", file) : 0;
}

/* The container's ids `from` to `from + size` onto free ids of the host: in one piece where there is one,
 * else in several. */
static int place(struct skf_plan *p, struct skf_jarr *free_, uint32_t from, uint32_t size,
		 struct skf_jarr *ret, size_t *cap, struct skf_err *e)
{
	struct skf_range *f = free_->v;
	size_t at = 0;

	while (at < free_->n && f[at].size < size)
		at++;
	for (size_t i = at < free_->n ? at : 0; i < free_->n && size > 0; i++) {
		struct skf_idmap m = {from, f[i].start, f[i].size < size ? f[i].size : size};

		if (m.size == 0)
			continue;
		if (push(p->a, ret, cap, &m, sizeof(m), e) < 0)
			return -1;
		f[i].start += m.size;
		f[i].size -= m.size;
		from += m.size;
		size -= m.size;
	}
	return size == 0 ? 0 : 1;
}

static int by_container(const struct skf_jarr *given, uint32_t at, const struct skf_idmap **ret)
{
	const struct skf_idmap *m = given->v, *next = NULL;

	for (size_t i = 0; i < given->n; i++)
		if (m[i].container_id >= at && (!next || m[i].container_id < next->container_id))
			next = &m[i];
	*ret = next;
	return next ? 1 : 0;
}

/* maps: what uidmapping= says; completed to p->userns.size ids. */
static int complete(struct skf_plan *p, const char *file, const struct skf_jarr *used, struct skf_jarr *maps,
		    struct skf_err *e)
{
	struct skf_jarr all, free_, taken = *used, out = {0}, given = *maps;
	const struct skf_idmap *g, *m = maps->v;
	size_t cap = 0, cap_taken = taken.n;
	uint32_t at = 0;
	int r = 0;

	for (size_t i = 0; i < maps->n; i++) {
		struct skf_range x = {m[i].host_id, m[i].size};

		if (push(p->a, &taken, &cap_taken, &x, sizeof(x), e) < 0)
			return -1;
	}
	if (available(p, file, &all, e) < 0)
		return -1;
	if (skf_ranges_free(&all, &taken, p->a, &free_) < 0)
		return skf_plan_no_memory(e);
	while (r == 0 && by_container(&given, at, &g) == 1) {
		uint32_t end = g->container_id < p->userns.size ? g->container_id : p->userns.size;

		if (end > at)
			r = place(p, &free_, at, end - at, &out, &cap, e);
		if (r == 0)
			r = push(p->a, &out, &cap, g, sizeof(*g), e);
		at = g->container_id + g->size;
	}
	if (r == 0 && at < p->userns.size)
		r = place(p, &free_, at, p->userns.size - at, &out, &cap, e);
	if (r > 0 || out.n > SKF_MAX_IDMAPS)
		return skf_fail(e, SKF_ELIMIT,
				"--userns=auto: not enough unused ids: %u are wanted, and the other "
				"containers have those of %s; ask for less "
				"with --userns=auto:size=, or give user \"%s\" more there (or userns_ids in "
				"skiff.conf)",
				p->userns.size, p->g->conf.userns_ids.n ? "userns_ids" : file,
				p->g->conf.userns_user);
	*maps = out;
	return r;
}

static int pick(struct skf_plan *p, struct skf_err *e)
{
	struct used u = {.p = p};

	if (add_all(&u, "containers", e) < 0 || add_all(&u, "pods", e) < 0)
		return -1;
	return complete(p, "/etc/subuid", &u.uids, &p->gen.ids.uids, e) < 0
		       ? -1
		       : complete(p, "/etc/subgid", &u.gids, &p->gen.ids.gids, e);
}

static int write_ids(struct skf_plan *p, int dir, const struct skf_idmaps *m, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_OBJECT_BYTES);
	int r;

	skf_idmaps_text(m, &b);
	r = b.err < 0
		    ? b.err
		    : skf_write_atomic_at(dir, SKF_IDS_FILE, b.p, b.len, 0600, p->q->remove ? 0 : SKF_SYNC);
	return r < 0 ? skf_fail_sys(e, r, "write '%s/" SKF_IDS_FILE "'", p->dir) : 0;
}

int skf_plan_userns_path(struct skf_plan *p, int dir, struct skf_idmaps *ret, struct skf_err *e)
{
	const char *path = p->gen.ns[SKF_NS_USER].path;
	SKF_AUTO_FD int fd = skf_openat(AT_FDCWD, path, O_RDONLY | O_NONBLOCK, 0);
	SKF_AUTO_FD int lock = -EBADF;
	int r = fd < 0 ? fd : skf_idmaps_of_userns(fd, p->a, ret);

	if (r < 0)
		return skf_fail_sys(e, r,
				    "--userns=ns:%s: the image is copied for the ids of this user "
				    "namespace, whose maps must be readable when the container is made",
				    path);
	lock = skf_lock_at(p->g->locks_fd, "userns", true, SKF_LOCK_MS);
	return lock < 0 ? skf_fail_sys(e, lock, "lock '%s/locks/userns'", p->g->root)
			: write_ids(p, dir, ret, e);
}

/* The files that are bound over /etc: the container's root may write them, as it may without a user
 * namespace. */
static int own_files(struct skf_plan *p, int dir, struct skf_err *e)
{
	static const char *const files[] = {"hosts", "hostname", "resolv.conf"};
	uint32_t uid, gid;

	if (!skf_idmap_to_host(&p->gen.ids.uids, 0, &uid) || !skf_idmap_to_host(&p->gen.ids.gids, 0, &gid))
		return 0; /* without a root nobody writes them */
	for (size_t i = 0; i < SKF_ARRAY_LEN(files); i++)
		if (fchownat(dir, files[i], uid, gid, AT_SYMLINK_NOFOLLOW) < 0 &&
		    errno != ENOENT) /* a pod without a network has none */
			return skf_fail_sys(e, -errno, "give '%s/%s' to the container's root", p->dir,
					    files[i]);
	return 0;
}

int skf_plan_userns_take(struct skf_plan *p, int dir, struct skf_err *e)
{
	SKF_AUTO_FD int lock = -EBADF;

	if (!p->gen.ns[SKF_NS_USER].on || p->userns.path)
		return 0;
	lock = skf_lock_at(p->g->locks_fd, "userns", true, SKF_LOCK_MS);
	if (lock < 0)
		return skf_fail_sys(e, lock, "lock '%s/locks/userns'", p->g->root);
	if ((p->userns.is_auto && pick(p, e) < 0) || write_ids(p, dir, &p->gen.ids, e) < 0)
		return -1;
	return own_files(p, dir, e);
}
