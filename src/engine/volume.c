/* engine/volume.c -- volumes as objects: volumes/<name>/volume.json says how it was made, _data is what
 * containers see.
 *
 * Invariants: (1) a volume exists when volume.json does; it is written last. (2) Volumes are made under
 * locks/store shared and their own lock, and removed under locks/store exclusive, after a look at every
 * container: so a container that is being made with a volume never loses it. (3) Who uses a volume is not
 * counted anywhere; it is what containers' own files say. (4) Nothing is mounted on the host: a volume with
 * a device is mounted in each container. Blocks on the disk. */
#include "engine/engine_int.h"
#include "base/proc.h"
#include "sys/quota.h"
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define VOLUME_JSON "volume.json"
#define DATA        "_data"

static int open_volumes(struct skf_engine *g, bool make, int *ret, struct skf_err *e)
{
	int fd = skf_openat(g->root_fd, "volumes", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);

	if (fd == -ENOENT && make) {
		fd = skf_mkdir_at(g->root_fd, "volumes", 0711);
		if (fd == 0)
			fd = skf_openat(g->root_fd, "volumes", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	}
	if (fd < 0 && fd != -ENOENT)
		return skf_fail_sys(e, fd, "open '%s/volumes'", g->root);
	*ret = fd;
	return 0;
}

#define VF(member, key, fn, flags) SKF_J(struct skf_volume, member, key, fn, NULL, flags)
static const struct skf_jfield volume_f[] = {
	VF(name, "name", skf_j_str_nonempty, SKF_J_REQUIRED),
	VF(driver, "driver", skf_j_str_nonempty, SKF_J_REQUIRED),
	VF(created, "created", skf_j_str, SKF_J_REQUIRED),
	VF(labels, "labels", skf_j_kvs, SKF_J_NULL_OK),
	VF(options, "options", skf_j_kvs, SKF_J_NULL_OK),
	VF(anonymous, "anonymous", skf_j_bool, SKF_J_NULL_OK),
	SKF_J_END,
};
static const struct skf_jtable volume_table = {sizeof(struct skf_volume), volume_f, false, NULL};

int skf_engine_volume_get(struct skf_engine *g, const char *name, struct skf_arena *a,
			  struct skf_volume **ret, struct skf_err *e)
{
	SKF_AUTO_FD int all = -EBADF;
	const struct skf_jdoc d = {.name = VOLUME_JSON, .max_bytes = SKF_MAX_OBJECT_BYTES};
	char path[SKF_MAX_NAME_BYTES + 32];
	struct skf_volume *v;
	void *p;

	if (open_volumes(g, false, &all, e) < 0)
		return -1;
	if (all < 0 || !skf_name_valid(name) || skf_fmt(path, sizeof(path), "%s/" VOLUME_JSON, name) < 0)
		return skf_fail(e, SKF_ENOTFOUND, "get %s: no such volume", name);
	if (skf_json_decode_at(&d, all, path, &volume_table, a, &p, e) < 0) {
		if (e->kind != SKF_ENOTFOUND)
			return skf_ctx(e, "volume '%s'", name);
		skf_err_clear(e);
		return skf_fail(e, SKF_ENOTFOUND, "get %s: no such volume", name);
	}
	v = p;
	v->mountpoint = skf_arena_fmt(a, "%s/volumes/%s/" DATA, g->root, name);
	if (!v->mountpoint)
		return skf_fail(e, SKF_ENOMEM, "memory for volume '%s'", name);
	*ret = v;
	return 0;
}

/* --- making --- */

struct making {
	struct skf_engine *g;
	const struct skf_volume_req *q;
	bool anonymous, strict;
	struct skf_kvs options;
	struct skf_quota limit;
};

static int pairs(const struct skf_strv *v, struct skf_arena *a, struct skf_kvs *ret)
{
	ret->v = skf_arena_array(a, v->n + 1, sizeof(*ret->v));
	if (!ret->v)
		return -ENOMEM;
	for (ret->n = 0; ret->n < v->n; ret->n++) {
		const char *s = v->v[ret->n], *eq = strchr(s, '=');

		ret->v[ret->n].k = skf_arena_dup(a, s, eq ? (size_t)(eq - s) : strlen(s));
		ret->v[ret->n].v = skf_arena_strdup(a, eq ? eq + 1 : "");
		if (!ret->v[ret->n].k || !ret->v[ret->n].v)
			return -ENOMEM;
	}
	return 0;
}

/* size=, or size= inside o= of a volume without a file system of its own. */
static int plan_size(struct making *m, struct skf_err *e)
{
	const char *size = skf_kvs_get(&m->options, "size"), *o = skf_kvs_get(&m->options, "o"),
		   *type = skf_kvs_get(&m->options, "type");
	char word[64];
	int64_t n;

	if (!size && !type && o && (size = strstr(o, "size=")))
		size = skf_fmt(word, sizeof(word), "%.*s", (int)strcspn(size + 5, ","), size + 5) == 0 ? word
												       : "";
	if (!size)
		return 0;
	if (skf_parse_size(size, &n) < 0 || n <= 0)
		return skf_fail(e, SKF_EINVALID, "invalid size for volume '%s': '%s'", m->q->name, size);
	m->limit.bytes = (uint64_t)n;
	return 0;
}

static int check_options(struct making *m, struct skf_err *e)
{
	static const char *const known[] = {"type", "device", "o", "size"};
	const char *device = skf_kvs_get(&m->options, "device"), *o = skf_kvs_get(&m->options, "o"),
		   *type = skf_kvs_get(&m->options, "type");
	size_t k;

	for (size_t i = 0; i < m->options.n; i++) {
		for (k = 0; k < SKF_ARRAY_LEN(known) && !skf_streq(known[k], m->options.v[i].k); k++)
			;
		if (k == SKF_ARRAY_LEN(known))
			return skf_fail(e, SKF_EINVALID,
					"create %s: invalid option: \"%s\": the local driver takes type, "
					"device, o and size",
					m->q->name, m->options.v[i].k);
	}
	if (type && !device)
		return skf_fail(e, SKF_EINVALID, "create %s: missing device in volume options", m->q->name);
	if (device && !type && !(o && strstr(o, "bind")))
		return skf_fail(e, SKF_EINVALID, "create %s: missing type in volume options", m->q->name);
	return plan_size(m, e);
}

static bool same_options(const struct skf_kvs *a, const struct skf_kvs *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++) {
		const char *v = skf_kvs_get(b, a->v[i].k);

		if (!v || !skf_streq(v, a->v[i].v))
			return false;
	}
	return true;
}

static int write_json(struct making *m, int dir, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_OBJECT_BYTES);
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_OBJECT_BYTES * 4);
	struct skf_jw w = SKF_JW(&b);
	struct skf_kvs labels;
	char now[36];
	int r = pairs(&m->q->labels, &a, &labels);

	if (r == 0) {
		skf_time_rfc3339(skf_now_ns(), now);
		skf_jw_obj(&w);
		skf_jw_kint(&w, "v", 1);
		skf_jw_kint(&w, "min", 1);
		skf_jw_kstr(&w, "name", m->q->name);
		skf_jw_kstr(&w, "driver", "local");
		skf_jw_kstr(&w, "created", now);
		skf_jw_kbool(&w, "anonymous", m->anonymous);
		skf_jw_kkvs(&w, "labels", &labels);
		skf_jw_kkvs(&w, "options", &m->options);
		skf_jw_end(&w);
		r = b.err < 0 ? b.err
			      : skf_write_atomic_at(dir, VOLUME_JSON, b.p, b.len, 0600,
						    m->anonymous ? 0 : SKF_SYNC);
	}
	return r < 0 ? skf_fail_sys(e, r, "write '%s/volumes/%s/" VOLUME_JSON "'", m->g->root, m->q->name)
		     : 0;
}

static int make_dirs(struct making *m, int all, struct skf_err *e)
{
	SKF_AUTO_FD int dir = -EBADF, data = -EBADF;
	char what[SKF_MAX_NAME_BYTES + 16];
	int r = skf_mkdir_at(all, m->q->name, 0711);

	if (r == 0)
		r = dir = skf_openat(all, m->q->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (r >= 0)
		r = skf_mkdir_at(dir, DATA, 0755);
	if (r >= 0)
		r = data = skf_openat(dir, DATA, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (r < 0)
		return skf_fail_sys(e, r, "make the volume '%s/volumes/%s'", m->g->root, m->q->name);
	if (m->limit.bytes && (skf_fmt(what, sizeof(what), "volume '%s'", m->q->name) < 0 ||
			       skf_quota_new(&data, 1, &m->limit, what, e) < 0))
		return -1;
	return write_json(m, dir, e);
}

static int lock_volume(struct skf_engine *g, const char *name, int *ret, struct skf_err *e)
{
	char file[SKF_MAX_NAME_BYTES + 16];
	int fd = skf_fmt(file, sizeof(file), "volume-%s", name);

	if (fd == 0)
		fd = skf_lock_at(g->locks_fd, file, true, SKF_LOCK_MS);
	if (fd < 0)
		return skf_fail_sys(e, fd, "lock the volume '%s'", name);
	*ret = fd;
	return 0;
}

int skf_volume_ensure(struct skf_engine *g, const struct skf_volume_req *q, bool anonymous, bool strict,
		      bool *ret_made, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_OBJECT_BYTES * 4);
	SKF_AUTO_FD int lock = -EBADF, all = -EBADF;
	struct making m = {.g = g, .q = q, .anonymous = anonymous, .strict = strict};
	struct skf_err x = SKF_ERR_INIT;
	struct skf_volume *old;
	int r;

	*ret_made = false;
	if (q->driver && *q->driver && !skf_streq(q->driver, "local"))
		return skf_fail(e, SKF_EUNSUPPORTED,
				"create %s: the volume driver '%s' is not supported: there is local",
				q->name, q->driver);
	if (pairs(&q->options, &a, &m.options) < 0)
		return skf_fail(e, SKF_ENOMEM, "memory for volume '%s'", q->name);
	if (check_options(&m, e) < 0 || lock_volume(g, q->name, &lock, e) < 0 ||
	    open_volumes(g, true, &all, e) < 0)
		return -1;
	r = skf_engine_volume_get(g, q->name, &a, &old, e);
	if (r == 0)
		return m.strict && !same_options(&m.options, &old->options)
			       ? skf_fail(e, SKF_ECONFLICT,
					  "A volume named %s already exists with other options. Choose a "
					  "different name",
					  q->name)
			       : 0;
	if (e->kind != SKF_ENOTFOUND)
		return -1;
	skf_err_clear(e);
	if (make_dirs(&m, all, e) < 0) {
		if (skf_store_to_trash(g->store, all, q->name, &x) < 0)
			skf_warn(&g->log, "%s; ignoring", x.msg);
		return -1;
	}
	*ret_made = true;
	return 0;
}

int skf_engine_volume_create(struct skf_engine *g, const struct skf_volume_req *q, struct skf_arena *a,
			     struct skf_volume **ret, struct skf_err *e)
{
	SKF_AUTO_FD int store = -EBADF;
	struct skf_volume_req named = *q;
	char name[SKF_ID_LEN + 1];
	bool made, anonymous = !q->name || !*q->name;
	int r = anonymous ? skf_random_hex(name, SKF_ID_LEN / 2) : 0;

	if (r < 0)
		return skf_fail_sys(e, r, "make up a volume's name");
	if (anonymous)
		named.name = name;
	if (!skf_name_valid(named.name))
		return skf_fail(
			e, SKF_EINVALID,
			"create %s: \"%s\" includes invalid characters for a local volume name, only "
			"\"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed",
			named.name, named.name);
	store = skf_lock_at(g->locks_fd, "store", false, SKF_LOCK_MS);
	if (store < 0)
		return skf_fail_sys(e, store, "lock '%s/locks/store'", g->root);
	if (skf_volume_ensure(g, &named, anonymous, true, &made, e) < 0)
		return -1;
	return skf_engine_volume_get(g, named.name, a, ret, e);
}

/* --- removing --- */

/* 1 when the container mounts it, 0, -1. */
static int uses(struct skf_engine *g, const char *id, const char *name, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	const struct skf_mount_point *m;
	struct skf_ctr_request *q;
	struct skf_ctrconf *c;

	if (skf_ctr_load(g, id, &a, &c, e) < 0) {
		if (e->kind != SKF_ENOTFOUND)
			return -1;
		skf_err_clear(e); /* removed meanwhile */
		return 0;
	}
	if (skf_ctr_request_parse(c->request, &a, &q, e) < 0)
		return -1;
	m = q->mount_points.v;
	for (size_t i = 0; i < q->mount_points.n; i++)
		if (m[i].name && skf_streq(m[i].name, name))
			return 1;
	return 0;
}

static int count_users(struct skf_engine *g, const char *name, const char *except, struct skf_buf *users,
		       unsigned *ret, struct skf_err *e)
{
	SKF_AUTO_DIR DIR *d = skf_ctr_opendir(g, e);
	const char *id;

	*ret = 0;
	if (!d)
		return -1;
	while ((id = skf_ctr_next(d))) {
		int r;

		if (except && skf_streq(id, except))
			continue;
		r = uses(g, id, name, e);
		if (r < 0)
			return skf_ctx(e, "who uses volume '%s'", name);
		if (r && users)
			skf_buf_fmt(users, "%s%.12s", *ret ? ", " : "", id);
		*ret += (unsigned)r;
	}
	return 0;
}

/* Under locks/store exclusive. */
static int to_trash(struct skf_engine *g, const char *name, struct skf_err *e)
{
	SKF_AUTO_FD int all = -EBADF, data = -EBADF;
	char path[SKF_MAX_NAME_BYTES + 16];

	if (open_volumes(g, false, &all, e) < 0)
		return -1;
	if (all < 0 || faccessat(all, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	if (skf_fmt(path, sizeof(path), "%s/" DATA, name) == 0)
		data = skf_openat(all, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (data >= 0 && skf_quota_release(data) < 0)
		skf_warn(&g->log, "take the quota of volume '%s' away: the number stays in use; ignoring",
			 name);
	if (skf_store_to_trash(g->store, all, name, e) < 0)
		return skf_ctx(e, "remove volume '%s'", name);
	if (skf_fmt(path, sizeof(path), "volume-%s", name) == 0)
		(void)unlinkat(g->locks_fd, path,
			       0); /* an empty file: left behind it is found by the check */
	return 1;
}

int skf_volume_drop(struct skf_engine *g, const char *name, const char *except, struct skf_buf *users,
		    struct skf_err *e)
{
	SKF_AUTO_FD int store = skf_lock_at(g->locks_fd, "store", true, SKF_LOCK_MS);
	struct skf_err x = SKF_ERR_INIT;
	unsigned n;
	int r;

	if (store < 0)
		return skf_fail_sys(e, store, "lock '%s/locks/store'", g->root);
	if (count_users(g, name, except, users, &n, e) < 0)
		return -1;
	r = n ? 0 : to_trash(g, name, e);
	skf_closep(&store);
	if (r == 1 && skf_store_empty_trash(g->store, &x) < 0)
		skf_warn(&g->log, "%s; ignoring", x.msg);
	return r;
}

int skf_engine_volume_rm(struct skf_engine *g, const char *name, bool force, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_OBJECT_BYTES * 4);
	SKF_AUTO(skf_buf_done) struct skf_buf users = SKF_BUF(SKF_MAX_OBJECT_BYTES);
	struct skf_volume *v;
	int r = skf_engine_volume_get(g, name, &a, &v, e);

	if (r < 0 && force && e->kind == SKF_ENOTFOUND) {
		skf_err_clear(e);
		return 0;
	}
	if (r == 0)
		r = skf_volume_drop(g, name, NULL, &users, e);
	if (r < 0)
		return -1;
	return r == 1 ? 0
		      : skf_fail(e, SKF_ECONFLICT, "remove %s: volume is in use - [%s]", name,
				 skf_buf_cstr(&users));
}

int skf_volume_anonymous_of(struct skf_engine *g, const char *id, struct skf_arena *a, struct skf_strv *ret,
			    struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_OBJECT_BYTES);
	char path[SKF_ID_LEN + 16], *save = NULL;
	int r = skf_fmt(path, sizeof(path), "%s/" SKF_ANON_FILE, id);

	if (r == 0)
		r = skf_read_file_at(g->ctr_fd, path, SKF_MAX_OBJECT_BYTES, &b);
	if (r == -ENOENT || r == -ENOTDIR)
		return 0;
	if (r < 0)
		return skf_fail_sys(e, r, "read '%s/containers/%s'", g->root, path);
	for (char *line = b.p ? strtok_r(b.p, "\n", &save) : NULL; line; line = strtok_r(NULL, "\n", &save))
		if (skf_strv_add(a, ret, line) < 0)
			return skf_fail(e, SKF_ENOMEM, "memory for the volumes of container %.12s", id);
	return 0;
}
