/* engine/secret.c -- secrets as objects: secrets/<name>/secret.json says what there is to know of it, data
 * is what it is.
 *
 * Invariants: (1) a secret exists when its directory has its name; it is filled under another one and
 * renamed. (2) Changes are made under locks/secrets; readers take no lock. (3) Directories are 0700 and
 * files 0600, whatever the umask: nobody but root reads them. (4) A container gets a copy when it is created
 * (plan_secrets.c), so that a secret may go at any time. */
#include "engine/secret.h"
#include "engine/engine_int.h"
#include "base/proc.h"
#include "monitor/event.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/stat.h>
#include <unistd.h>
#include <linux/fs.h>
#include <stdio.h>

#define DIR_NAME    "secrets"
#define SECRET_JSON "secret.json"
#define DATA        "data"

#define SF(member, key, fn, flags) SKF_J(struct skf_secret, member, key, fn, NULL, flags)
static const struct skf_jfield secret_f[] = {
	SF(name, "name", skf_j_str_nonempty, SKF_J_REQUIRED),
	SF(id, "id", skf_j_str_nonempty, SKF_J_REQUIRED),
	SF(created, "created", skf_j_str, SKF_J_REQUIRED),
	SF(updated, "updated", skf_j_str, SKF_J_REQUIRED),
	SF(labels, "labels", skf_j_kvs, SKF_J_NULL_OK),
	SKF_J_END,
};
static const struct skf_jtable secret_table = {sizeof(struct skf_secret), secret_f, false, NULL};

/* *ret is -ENOENT when there was never one. */
static int open_secrets(struct skf_engine *g, bool make, int *ret, struct skf_err *e)
{
	int r = make ? skf_mkdir_at(g->root_fd, DIR_NAME, 0700) : 0;

	if (r == 0)
		r = skf_openat(g->root_fd, DIR_NAME, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (r < 0 && (make || r != -ENOENT))
		return skf_fail_sys(e, r, "open '%s/" DIR_NAME "'", g->root);
	*ret = r;
	return 0;
}

/* 1, or 0 when there is none of that name. */
static int load(struct skf_engine *g, int all, const char *name, struct skf_arena *a,
		struct skf_secret **ret, struct skf_err *e)
{
	const struct skf_jdoc d = {.name = SECRET_JSON, .max_bytes = SKF_MAX_OBJECT_BYTES};
	char path[SKF_MAX_NAME_BYTES + 32];
	void *p;

	if (all < 0 || !skf_name_valid(name) || skf_fmt(path, sizeof(path), "%s/" SECRET_JSON, name) < 0)
		return 0;
	if (skf_json_decode_at(&d, all, path, &secret_table, a, &p, e) < 0) {
		if (e->kind != SKF_ENOTFOUND)
			return skf_ctx(e, "secret '%s' in '%s/" DIR_NAME "'", name, g->root);
		skf_err_clear(e);
		return 0;
	}
	*ret = p;
	return 1;
}

static int by_name(const void *x, const void *y)
{
	return strcmp(((const struct skf_secret *)x)->name, ((const struct skf_secret *)y)->name);
}

int skf_engine_secrets(struct skf_engine *g, struct skf_arena *a, struct skf_jarr *ret, struct skf_err *e)
{
	SKF_AUTO_FD int fd = -EBADF;
	SKF_AUTO_DIR DIR *d = NULL;
	struct skf_secret *v = NULL;
	size_t n = 0, cap = 0;
	struct dirent *de;

	if (open_secrets(g, false, &fd, e) < 0)
		return -1;
	d = fd < 0 ? NULL : fdopendir(fd);
	if (fd >= 0 && !d)
		return skf_fail_sys(e, -errno, "list '%s/" DIR_NAME "'", g->root);
	if (d)
		(void)SKF_TAKE_FD(fd); /* d closes it */
	while (d && (de = readdir(d))) {
		struct skf_secret *s = NULL;
		int r = load(g, dirfd(d), de->d_name, a, &s, e);

		if (r < 0)
			return -1;
		if (r == 0)
			continue; /* one that is being made, or was removed this moment */
		if (n == cap) {
			struct skf_secret *more = skf_arena_array(a, cap ? cap * 2 : 16, sizeof(*v));

			if (!more)
				return skf_fail(e, SKF_ENOMEM, "memory for the list of secrets");
			if (n)
				memcpy(more, v, n * sizeof(*v));
			v = more;
			cap = cap ? cap * 2 : 16;
		}
		v[n++] = *s;
	}
	if (n)
		qsort(v, n, sizeof(*v), by_name);
	*ret = (struct skf_jarr){v, n};
	return 0;
}

int skf_engine_secret_get(struct skf_engine *g, const char *word, struct skf_arena *a,
			  struct skf_secret **ret, struct skf_err *e)
{
	SKF_AUTO_FD int fd = -EBADF;
	struct skf_secret *s, *found = NULL;
	struct skf_jarr rows;
	int r;

	if (open_secrets(g, false, &fd, e) < 0)
		return -1;
	r = load(g, fd, word, a, ret, e);
	if (r)
		return r < 0 ? -1 : 0;
	if (skf_engine_secrets(g, a, &rows, e) < 0)
		return -1;
	s = rows.v;
	for (size_t i = 0; *word && i < rows.n; i++) {
		if (!skf_startswith(s[i].id, word))
			continue;
		if (found)
			return skf_fail(e, SKF_ECONFLICT,
					"more than one result secret with prefix %s: say more of the id",
					word);
		found = &s[i];
	}
	if (!found)
		return skf_fail(e, SKF_ENOTFOUND, "no secret with name or id \"%s\": no such secret", word);
	*ret = found;
	return 0;
}

int skf_engine_secret_data(struct skf_engine *g, const struct skf_secret *s, struct skf_buf *ret,
			   struct skf_err *e)
{
	char path[SKF_MAX_NAME_BYTES + 32];
	int r = skf_fmt(path, sizeof(path), DIR_NAME "/%s/" DATA, s->name);

	if (r == 0)
		r = skf_read_file_at(g->root_fd, path, SKF_MAX_SECRET_BYTES, ret);
	return r < 0 ? skf_fail_sys(e, r, "read '%s/" DIR_NAME "/%s/" DATA "'", g->root, s->name) : 0;
}

/* --- making --- */

static int check_request(const struct skf_secret_create_req *q, struct skf_err *e)
{
	if (!q->name || !skf_name_valid(q->name))
		return skf_fail(e, SKF_EINVALID,
				"secret name \"%s\" is invalid: expected [a-zA-Z0-9][a-zA-Z0-9_.-]*, at "
				"most %d characters",
				q->name ? q->name : "", SKF_MAX_NAME_BYTES);
	if (q->driver && *q->driver && !skf_streq(q->driver, "file"))
		return skf_fail(e, SKF_EUNSUPPORTED,
				"the secret driver '%s' is not supported: there is file", q->driver);
	if (q->driver_opts.n)
		return skf_fail(e, SKF_EUNSUPPORTED,
				"the option '%s' is not supported: the secret driver file has none",
				q->driver_opts.v[0]);
	if (!q->n || q->n > SKF_MAX_SECRET_BYTES)
		return skf_fail(e, SKF_ELIMIT, "secret data must be larger than 0 and at most %d bytes",
				SKF_MAX_SECRET_BYTES);
	return 0;
}

static void write_labels(struct skf_jw *w, const struct skf_strv *v)
{
	char key[1024];

	skf_jw_kobj(w, "labels");
	for (size_t i = 0; i < v->n; i++) {
		const char *eq = strchr(v->v[i], '=');

		if (skf_fmt(key, sizeof(key), "%.*s", (int)(eq ? eq - v->v[i] : (ptrdiff_t)strlen(v->v[i])),
			    v->v[i]) < 0)
			w->b->err = -E2BIG;
		skf_jw_kstr(w, key, eq ? eq + 1 : "");
	}
	skf_jw_end(w);
}

static int fill(const struct skf_secret_create_req *q, int dir, const char *id, const char *created)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_OBJECT_BYTES);
	struct skf_jw w = SKF_JW(&b);
	char now[36];
	int r;

	skf_time_rfc3339(skf_now_ns(), now);
	skf_jw_obj(&w);
	skf_jw_kint(&w, "v", 1);
	skf_jw_kint(&w, "min", 1);
	skf_jw_kstr(&w, "name", q->name);
	skf_jw_kstr(&w, "id", id);
	skf_jw_kstr(&w, "created", created ? created : now);
	skf_jw_kstr(&w, "updated", now);
	write_labels(&w, &q->labels);
	skf_jw_end(&w);
	r = b.err < 0 ? b.err : skf_write_atomic_at(dir, DATA, q->data, q->n, 0600, SKF_SYNC);
	return r < 0 ? r : skf_write_atomic_at(dir, SECRET_JSON, b.p, b.len, 0600, SKF_SYNC);
}

/* Filled beside and renamed; what it replaces is removed after it. */
static int make(struct skf_engine *g, const struct skf_secret_create_req *q, int all, const char *id,
		const char *created, struct skf_err *e)
{
	SKF_AUTO_FD int dir = -EBADF;
	char temp[SKF_SECRET_ID_LEN + 16];
	int r = skf_fmt(temp, sizeof(temp), ".tmp-%s", id);

	if (r == 0)
		r = skf_mkdir_at(all, temp, 0700);
	if (r == 0)
		r = dir = skf_openat(all, temp, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (r >= 0)
		r = fill(q, dir, id, created);
	if (r == 0 && renameat2(all, temp, all, q->name, created ? RENAME_EXCHANGE : RENAME_NOREPLACE) < 0)
		r = -errno;
	if (r == 0 && fsync(all) < 0)
		r = -errno;
	if (r < 0 || created)
		(void)skf_rmtree_at(
			all,
			temp); /* of the failure that is told, or the old one, which has no name any more */
	return r < 0 ? skf_fail_sys(e, r, "make the secret '%s/" DIR_NAME "/%s'", g->root, q->name) : 0;
}

static void tell(struct skf_engine *g, const char *action, const char *id, const char *name)
{
	int r = skf_event_emit(g->run_fd, "secret", action, id, name, "", -1);

	if (r < 0)
		skf_warn(&g->log, "write the event '%s' of secret %s: %s; ignoring", action, name,
			 strerror(-r));
}

static int lock_secrets(struct skf_engine *g, int *ret, struct skf_err *e)
{
	*ret = skf_lock_at(g->locks_fd, DIR_NAME, true, SKF_LOCK_MS);
	return *ret < 0 ? skf_fail_sys(e, *ret, "lock '%s/locks/" DIR_NAME "'", g->root) : 0;
}

int skf_engine_secret_create(struct skf_engine *g, const struct skf_secret_create_req *q,
			     char ret_id[SKF_SECRET_ID_LEN + 1], struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_OBJECT_BYTES * 4);
	SKF_AUTO_FD int lock = -EBADF, all = -EBADF;
	char id[SKF_SECRET_ID_LEN + 2];
	struct skf_secret *old = NULL;
	int r;

	if (check_request(q, e) < 0 || lock_secrets(g, &lock, e) < 0 || open_secrets(g, true, &all, e) < 0 ||
	    (r = load(g, all, q->name, &a, &old, e)) < 0)
		return -1;
	if (r == 1 && q->ignore) {
		memcpy(ret_id, old->id, strnlen(old->id, SKF_SECRET_ID_LEN) + 1);
		return 0;
	}
	if (r == 1 && !q->replace)
		return skf_fail(e, SKF_ECONFLICT, "%s: secret name in use", q->name);
	r = skf_random_hex(id, (SKF_SECRET_ID_LEN + 1) / 2);
	if (r < 0)
		return skf_fail_sys(e, r, "make up a secret's id");
	id[SKF_SECRET_ID_LEN] = '\0';
	if (make(g, q, all, id, old ? old->created : NULL, e) < 0)
		return -1;
	tell(g, "create", id, q->name);
	memcpy(ret_id, id, SKF_SECRET_ID_LEN + 1);
	return 0;
}

int skf_engine_secret_rm(struct skf_engine *g, const char *word, char ret_id[SKF_SECRET_ID_LEN + 1],
			 struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_OBJECT_BYTES * 4);
	SKF_AUTO_FD int lock = -EBADF, all = -EBADF;
	struct skf_secret *s;
	int r;

	if (lock_secrets(g, &lock, e) < 0 || skf_engine_secret_get(g, word, &a, &s, e) < 0 ||
	    open_secrets(g, false, &all, e) < 0)
		return -1;
	r = skf_fmt(ret_id, SKF_SECRET_ID_LEN + 1, "%s", s->id);
	if (r == 0)
		r = skf_rmtree_at(all, s->name);
	if (r < 0)
		return skf_fail_sys(e, r, "remove '%s/" DIR_NAME "/%s'", g->root, s->name);
	tell(g, "remove", s->id, s->name);
	return 0;
}

/* --- showing --- */

int skf_engine_secret_inspect(struct skf_engine *g, const char *word, bool with_data, struct skf_jw *w,
			      struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_OBJECT_BYTES * 4);
	SKF_AUTO(skf_buf_done) struct skf_buf data = SKF_BUF(SKF_MAX_SECRET_BYTES);
	struct skf_secret *s;

	if (skf_engine_secret_get(g, word, &a, &s, e) < 0 ||
	    (with_data && skf_engine_secret_data(g, s, &data, e) < 0))
		return -1;
	skf_jw_obj(w);
	skf_jw_kstr(w, "ID", s->id);
	skf_jw_kstr(w, "CreatedAt", s->created);
	skf_jw_kstr(w, "UpdatedAt", s->updated);
	skf_jw_kobj(w, "Spec");
	skf_jw_kstr(w, "Name", s->name);
	skf_jw_kobj(w, "Driver");
	skf_jw_kstr(w, "Name", "file");
	skf_jw_kobj(w, "Options");
	skf_jw_end(w);
	skf_jw_end(w);
	skf_jw_kkvs(w, "Labels", &s->labels);
	skf_jw_end(w);
	if (with_data)
		skf_jw_kstrn(w, "SecretData", (struct skf_str){data.p, data.len});
	skf_jw_end(w);
	return 0;
}
