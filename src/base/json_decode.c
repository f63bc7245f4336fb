/* base/json_decode.c -- table-driven decoding: walks a json-c tree by the caller's tables.
 * Invariants: (1) the text passed skf_json_scan first, so that json-c sees only what is well-formed, bounded
 * and free of duplicate keys; (2) the tree is gone when skf_json_decode returns, all that was decoded is in
 * the arena; (3) a decoder that fails has set the error, with document and path; (4) *ret is set on success
 * only. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/json_int.h"
#include "base/limits.h"
#include <inttypes.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct skf_jctx {
	const struct skf_jdoc *doc;
	struct skf_arena *arena;
	struct skf_err *e;
	size_t path_len;
	char path[SKF_JPATH_SIZE];
};

int(skf_j_fail)(struct skf_jctx *c, enum skf_kind k, const char *fmt, ...)
{
	char msg[sizeof(c->e->msg)];
	va_list ap;

	va_start(ap, fmt);
	if (vsnprintf(msg, sizeof(msg), fmt, ap) < 0)
		msg[0] = 0;
	va_end(ap);
	return skf_fail(c->e, k, "%s: %s%s%s", c->doc->name, c->path, *c->path ? ": " : "", msg);
}

struct skf_arena *skf_j_arena(struct skf_jctx *c)
{
	return c->arena;
}

void *skf_j_user(struct skf_jctx *c)
{
	return c->doc->user;
}

static size_t push_key(struct skf_jctx *c, const char *key)
{
	size_t old = c->path_len;

	c->path_len = skf_jpath_push(c->path, old, key, strlen(key));
	return old;
}

static size_t push_index(struct skf_jctx *c, size_t i)
{
	char num[SKF_DIGITS];

	return push_key(c, skf_digits(num, i));
}

static void pop(struct skf_jctx *c, size_t old)
{
	c->path_len = old;
	c->path[old] = 0;
}

static void *alloc(struct skf_jctx *c, size_t n, size_t size)
{
	void *p = skf_arena_array(c->arena, n, size);

	if (!p)
		skf_j_fail(c, c->arena->used + n * size > c->arena->max ? SKF_ELIMIT : SKF_ENOMEM,
			   "no memory for the decoded document (at most %zu bytes are allowed)",
			   c->arena->max);
	return p;
}

/* "found -5", "found number 1.5", "found string" ... at the end of an error. */
static int wrong_type(struct skf_jctx *c, struct json_object *v, const char *expected)
{
	switch (json_object_get_type(v)) {
	case json_type_int:
		return skf_j_fail(c, SKF_EINVALID, "expected %s, found %s", expected,
				  json_object_get_string(v));
	case json_type_double:
		return skf_j_fail(c, SKF_EINVALID, "expected %s, found number %.40s", expected,
				  json_object_get_string(v));
	default:
		return skf_j_fail(c, SKF_EINVALID, "expected %s, found %s", expected,
				  json_type_to_name(json_object_get_type(v)));
	}
}

/* --- scalars --- */

int skf_j_str(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	size_t n;
	char *s;

	(void)arg;
	if (!json_object_is_type(v, json_type_string))
		return wrong_type(c, v, "string");
	n = (size_t)json_object_get_string_len(v);
	s = alloc(c, n + 1, 1);
	if (!s)
		return -1;
	memcpy(s, json_object_get_string(v), n);
	*(char **)dst = s;
	return 0;
}

int skf_j_str_nonempty(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	if (json_object_is_type(v, json_type_string) && json_object_get_string_len(v) == 0)
		return skf_j_fail(c, SKF_EINVALID, "expected a non-empty string, found \"\"");
	return skf_j_str(c, v, dst, arg);
}

int skf_j_abspath(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	if (json_object_is_type(v, json_type_string)) {
		if (json_object_get_string(v)[0] != '/')
			return skf_j_fail(c, SKF_EINVALID, "expected absolute path, found '%.200s'",
					  json_object_get_string(v));
		if (json_object_get_string_len(v) >= PATH_MAX)
			return skf_j_fail(c, SKF_ELIMIT, "path has %d bytes, at most %d are allowed",
					  json_object_get_string_len(v), PATH_MAX - 1);
	}
	return skf_j_str(c, v, dst, arg);
}

int skf_j_bool(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	(void)arg;
	if (!json_object_is_type(v, json_type_boolean))
		return wrong_type(c, v, "boolean");
	*(bool *)dst = json_object_get_boolean(v);
	return 0;
}

static int get_unsigned(struct skf_jctx *c, struct json_object *v, uint64_t max, uint64_t *ret)
{
	uint64_t u;

	if (!json_object_is_type(v, json_type_int) || json_object_get_int64(v) < 0)
		return wrong_type(c, v, "unsigned integer");
	u = json_object_get_uint64(v);
	if (u > max)
		return skf_j_fail(c, SKF_EINVALID,
				  "expected unsigned integer up to %" PRIu64 ", found %" PRIu64, max, u);
	*ret = u;
	return 0;
}

static int get_signed(struct skf_jctx *c, struct json_object *v, int64_t min, int64_t max, int64_t *ret)
{
	int64_t i;

	if (!json_object_is_type(v, json_type_int))
		return wrong_type(c, v, "integer");
	i = json_object_get_int64(v);
	if (i < min || i > max || json_object_get_uint64(v) > INT64_MAX)
		return skf_j_fail(c, SKF_EINVALID,
				  "expected integer from %" PRId64 " to %" PRId64 ", found %s", min, max,
				  json_object_get_string(v));
	*ret = i;
	return 0;
}

int skf_j_u32(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	uint64_t u = 0;

	(void)arg;
	if (get_unsigned(c, v, UINT32_MAX, &u) < 0)
		return -1;
	*(uint32_t *)dst = (uint32_t)u;
	return 0;
}

int skf_j_u64(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	(void)arg;
	return get_unsigned(c, v, UINT64_MAX, dst);
}

int skf_j_i32(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	int64_t i = 0;

	(void)arg;
	if (get_signed(c, v, INT32_MIN, INT32_MAX, &i) < 0)
		return -1;
	*(int32_t *)dst = (int32_t)i;
	return 0;
}

int skf_j_i64(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	(void)arg;
	return get_signed(c, v, INT64_MIN, INT64_MAX, dst);
}

int skf_j_enum(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	SKF_AUTO(skf_buf_done) struct skf_buf list = SKF_BUF(300);
	const struct skf_jenum *t = arg;
	const char *s;

	if (!json_object_is_type(v, json_type_string))
		return wrong_type(c, v, "string");
	s = json_object_get_string(v);
	for (; t->name; t++) {
		if (strcmp(t->name, s) == 0) {
			*(int *)dst = t->value;
			return 0;
		}
	}
	for (t = arg; t->name; t++)
		skf_buf_fmt(&list, "%s'%s'", t == arg ? "" : ", ", t->name);
	return skf_j_fail(c, SKF_EINVALID, "expected one of %s%s, found '%.100s'", skf_buf_cstr(&list),
			  list.err ? " ..." : "", s);
}

int skf_j_raw(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	const char *text =
		json_object_to_json_string_ext(v, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
	char *s;

	(void)arg;
	if (!text)
		return skf_j_fail(c, SKF_ENOMEM, "no memory to copy the value");
	s = alloc(c, strlen(text) + 1, 1);
	if (!s)
		return -1;
	memcpy(s, text, strlen(text));
	*(char **)dst = s;
	return 0;
}

int skf_j_unsupported(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	(void)v;
	(void)dst;
	(void)arg;
	return skf_j_fail(c, SKF_EUNSUPPORTED, "this property is not supported by skiff; remove it");
}

int skf_j_ignore(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	(void)c;
	(void)v;
	(void)dst;
	(void)arg;
	return 0;
}

/* --- objects --- */

static int decode_field(struct skf_jctx *c, const struct skf_jfield *f, struct json_object *obj, char *dst)
{
	struct json_object *v;
	size_t old;
	int r;

	if (!json_object_object_get_ex(obj, f->key, &v) || (!v && (f->flags & SKF_J_NULL_OK))) {
		if (f->flags & SKF_J_REQUIRED)
			return skf_j_fail(c, SKF_EINVALID, "required property '%s' is missing", f->key);
		return 0;
	}
	old = push_key(c, f->key);
	r = f->fn(c, v, dst + f->off, f->arg);
	if (r < 0)
		return -1;
	pop(c, old);
	if (f->present_off)
		*(bool *)(dst + f->present_off - 1) = true;
	return 0;
}

static bool is_known(const struct skf_jtable *t, const char *key)
{
	for (const struct skf_jfield *f = t->f; f->key; f++)
		if (strcmp(f->key, key) == 0)
			return true;
	return false;
}

static int visit_unknown(struct skf_jctx *c, const struct skf_jtable *t, struct json_object *obj)
{
	if (!t->strict && !c->doc->on_unknown)
		return 0;
	json_object_object_foreach(obj, key, val)
	{
		size_t old;

		(void)val;
		if (is_known(t, key))
			continue;
		old = push_key(c, key);
		if (t->strict)
			return skf_j_fail(c, SKF_EINVALID, "unknown property; remove it");
		c->doc->on_unknown(c->path, c->doc->user);
		pop(c, old);
	}
	return 0;
}

int skf_j_obj(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	const struct skf_jtable *t = arg;

	if (!json_object_is_type(v, json_type_object))
		return wrong_type(c, v, "object");
	for (const struct skf_jfield *f = t->f; f->key; f++)
		if (decode_field(c, f, v, dst) < 0)
			return -1;
	if (visit_unknown(c, t, v) < 0)
		return -1;
	return t->check ? t->check(c, dst) : 0;
}

int skf_j_objp(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	const struct skf_jtable *t = arg;
	void *p = alloc(c, 1, t->size);

	if (!p || skf_j_obj(c, v, p, arg) < 0)
		return -1;
	*(void **)dst = p;
	return 0;
}

int skf_j_each_member(struct skf_jctx *c, struct json_object *v,
		      int (*fn)(struct skf_jctx *c, const char *key, struct json_object *v, void *user),
		      void *user)
{
	if (!json_object_is_type(v, json_type_object))
		return wrong_type(c, v, "object");
	json_object_object_foreach(v, key, val)
	{
		size_t old = push_key(c, key);

		if (fn(c, key, val, user) < 0)
			return -1;
		pop(c, old);
	}
	return 0;
}

static int add_kv(struct skf_jctx *c, const char *key, struct json_object *v, void *user)
{
	struct skf_kvs *m = user;
	struct skf_kv *kv = &m->v[m->n];
	size_t n = strlen(key);

	kv->k = alloc(c, n + 1, 1);
	if (!kv->k || skf_j_str(c, v, &kv->v, NULL) < 0)
		return -1;
	memcpy(kv->k, key, n);
	m->n++;
	return 0;
}

int skf_j_kvs(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	struct skf_kvs m = {0};

	(void)arg;
	if (!json_object_is_type(v, json_type_object))
		return wrong_type(c, v, "object");
	if (json_object_object_length(v) > 0) {
		m.v = alloc(c, (size_t)json_object_object_length(v), sizeof(*m.v));
		if (!m.v || skf_j_each_member(c, v, add_kv, &m) < 0)
			return -1;
	}
	*(struct skf_kvs *)dst = m;
	return 0;
}

/* --- arrays --- */

int skf_j_each_elem(struct skf_jctx *c, struct json_object *v, size_t max,
		    int (*fn)(struct skf_jctx *c, size_t i, struct json_object *v, void *user), void *user)
{
	size_t n;

	if (!json_object_is_type(v, json_type_array))
		return wrong_type(c, v, "array");
	n = json_object_array_length(v);
	if (n > max)
		return skf_j_fail(c, SKF_ELIMIT, "has %zu elements, at most %zu are allowed", n, max);
	for (size_t i = 0; i < n; i++) {
		size_t old = push_index(c, i);

		if (fn(c, i, json_object_array_get_idx(v, i), user) < 0)
			return -1;
		pop(c, old);
	}
	return 0;
}

static int add_str(struct skf_jctx *c, size_t i, struct json_object *v, void *user)
{
	return skf_j_str(c, v, (char **)user + i, NULL);
}

int skf_j_strv(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	struct skf_strv s = {0};

	(void)arg;
	if (!json_object_is_type(v, json_type_array))
		return wrong_type(c, v, "array of strings");
	s.n = json_object_array_length(v);
	if (s.n > 0) {
		s.v = alloc(c, s.n + 1, sizeof(*s.v));
		if (!s.v || skf_j_each_elem(c, v, s.n, add_str, s.v) < 0)
			return -1;
	}
	*(struct skf_strv *)dst = s;
	return 0;
}

struct arr_ctx {
	const struct skf_jtable *elem;
	char *base;
};

static int add_elem(struct skf_jctx *c, size_t i, struct json_object *v, void *user)
{
	const struct arr_ctx *a = user;

	return skf_j_obj(c, v, a->base + i * a->elem->size, a->elem);
}

int skf_j_arr(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	const struct skf_jarr_arg *a = arg;
	struct arr_ctx ctx = {.elem = a->elem};
	size_t n;

	if (!json_object_is_type(v, json_type_array))
		return wrong_type(c, v, "array");
	n = json_object_array_length(v);
	if (n > a->max)
		return skf_j_fail(c, SKF_ELIMIT, "has %zu elements, at most %zu are allowed", n, a->max);
	if (n > 0) {
		ctx.base = alloc(c, n, a->elem->size);
		if (!ctx.base || skf_j_each_elem(c, v, a->max, add_elem, &ctx) < 0)
			return -1;
	}
	*(struct skf_jarr *)dst = (struct skf_jarr){ctx.base, n};
	return 0;
}

/* --- documents --- */

static void put_tree(struct json_object **v)
{
	json_object_put(*v);
}

static void free_tokener(struct json_tokener **t)
{
	if (*t)
		json_tokener_free(*t);
}

static int parse(const struct skf_jdoc *d, const char *text, size_t n, struct json_object **ret,
		 struct skf_err *e)
{
	/* json-c counts a scalar as a level of its own */
	SKF_AUTO(free_tokener) struct json_tokener *t = json_tokener_new_ex(SKF_MAX_JSON_DEPTH + 1);
	struct json_object *v;
	enum json_tokener_error err;

	if (!t)
		return skf_nomem(e);
	json_tokener_set_flags(t, JSON_TOKENER_STRICT); /* UTF-8 was checked by the scan */
	v = json_tokener_parse_ex(t, text, (int)n);
	err = json_tokener_get_error(t);
	/* A number ends only where something else begins; the scan has shown that the text is complete. */
	if (err == json_tokener_continue) {
		v = json_tokener_parse_ex(t, "", 1);
		err = json_tokener_get_error(t);
	}
	if (err != json_tokener_success)
		return skf_fail(e, SKF_EINVALID, "%s: not valid JSON: %s", d->name,
				json_tokener_error_desc(err));
	*ret = v;
	return 0;
}

static int decode_tree(const struct skf_jdoc *d, struct json_object *v, const struct skf_jtable *t,
		       struct skf_arena *a, void **ret, struct skf_err *e)
{
	struct skf_jctx c = {.doc = d, .arena = a, .e = e};
	void *obj = alloc(&c, 1, t->size);

	if (!obj)
		return -1;
	skf_err_clear(e);
	if (skf_j_obj(&c, v, obj, t) < 0) {
		if (e->kind == SKF_OK)
			return skf_j_fail(&c, SKF_EBUG, "a decoder failed without an error message");
		return -1;
	}
	*ret = obj;
	return 0;
}

int skf_json_decode(const struct skf_jdoc *d, const char *text, size_t n, const struct skf_jtable *t,
		    struct skf_arena *a, void **ret, struct skf_err *e)
{
	SKF_AUTO(put_tree) struct json_object *v = NULL;

	if (n > d->max_bytes || n > INT_MAX - 1)
		return skf_fail(e, SKF_ELIMIT, "%s: has %zu bytes, at most %zu are allowed", d->name, n,
				d->max_bytes);
	if (skf_json_scan(d, text, n, e) < 0 || parse(d, text, n, &v, e) < 0)
		return -1;
	return decode_tree(d, v, t, a, ret, e);
}

int skf_json_decode_at(const struct skf_jdoc *d, int dirfd, const char *path, const struct skf_jtable *t,
		       struct skf_arena *a, void **ret, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(d->max_bytes);
	int r = skf_read_file_at(dirfd, path, d->max_bytes, &b);

	if (r == -EFBIG)
		return skf_fail(e, SKF_ELIMIT, "%s: has more than the %zu bytes that are allowed", d->name,
				d->max_bytes);
	if (r < 0)
		return skf_fail_sys(e, r, "read '%s'", d->name);
	return skf_json_decode(d, skf_buf_cstr(&b), b.len, t, a, ret, e);
}
