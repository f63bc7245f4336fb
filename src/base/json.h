/* base/json.h -- table-driven JSON decoding over json-c, and a streaming writer.
 *
 * Decoding: one static table per object type. The decoder (not its callers) checks syntax, size, depth,
 * duplicate keys, types and number ranges, and names the place of each error: "config.json:
 * /process/rlimits/2/hard: expected unsigned integer, found string" Everything decoded lives in the caller's
 * arena. Strings with an embedded NUL are refused.
 *
 * Unknown keys: SKF_J_IGNORE tables report them through skf_jdoc.on_unknown (for the debug log);
 * SKF_J_STRICT tables refuse them. A key the spec defines and we do not implement is a row with
 * skf_j_unsupported. */
#pragma once
#include "base/err.h"
#include "base/fwd.h"

struct json_object;
struct skf_jctx; /* decoder state: document name, path so far, arena, error */

/* Decodes v into dst (the field's address). Returns 0 or -1 with the error set through skf_j_fail. */
typedef int (*skf_jdecode)(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg);

enum { SKF_J_REQUIRED = 1, SKF_J_NULL_OK = 2 /* null means absent (Go encoders write it) */ };

struct skf_jfield {
	const char *key;
	skf_jdecode fn;
	const void *arg;      /* sub-table, enum table, limits ... */
	uint32_t off;         /* offset of the field in the struct */
	uint16_t present_off; /* offset + 1 of a bool set to true when the key is there; 0 = none */
	uint8_t flags;
};
#define SKF_J(type, member, k, f, a, fl)                                                                    \
	{                                                                                                   \
		(k), (f), (a), offsetof(type, member), 0, (fl)                                              \
	}
/* also sets bool `pres` of the struct when the key is present */
#define SKF_JP(type, member, pres, k, f, a, fl)                                                             \
	{                                                                                                   \
		(k), (f), (a), offsetof(type, member), offsetof(type, pres) + 1, (fl)                       \
	}
#define SKF_J_UNSUPPORTED(k)                                                                                \
	{                                                                                                   \
		(k), skf_j_unsupported, NULL, 0, 0, 0                                                       \
	}
#define SKF_J_END                                                                                           \
	{                                                                                                   \
		0                                                                                           \
	}

struct skf_jtable {
	size_t size; /* of the struct */
	const struct skf_jfield *f;
	bool strict;                                 /* unknown keys are errors */
	int (*check)(struct skf_jctx *c, void *obj); /* after the fields; may be NULL */
};

/* Decoders. dst types in brackets; arg as said. */
int skf_j_str(struct skf_jctx *, struct json_object *, void *, const void *); /* [char *] */
int skf_j_str_nonempty(struct skf_jctx *, struct json_object *, void *, const void *);
int skf_j_abspath(struct skf_jctx *, struct json_object *, void *,
		  const void *);                                               /* [char *] begins with '/' */
int skf_j_bool(struct skf_jctx *, struct json_object *, void *, const void *); /* [bool] */
int skf_j_u32(struct skf_jctx *, struct json_object *, void *, const void *);  /* [uint32_t] */
int skf_j_u64(struct skf_jctx *, struct json_object *, void *, const void *);  /* [uint64_t] */
int skf_j_i32(struct skf_jctx *, struct json_object *, void *, const void *);  /* [int32_t] */
int skf_j_i64(struct skf_jctx *, struct json_object *, void *, const void *);  /* [int64_t] */
int skf_j_strv(struct skf_jctx *, struct json_object *, void *, const void *); /* [struct skf_strv] */
int skf_j_obj(struct skf_jctx *, struct json_object *, void *, const void *);  /* [struct] arg: skf_jtable */
int skf_j_objp(struct skf_jctx *, struct json_object *, void *,
	       const void *); /* [struct *] allocated; arg: skf_jtable */
int skf_j_raw(struct skf_jctx *, struct json_object *, void *,
	      const void *); /* [char *] compact JSON text */
int skf_j_unsupported(struct skf_jctx *, struct json_object *, void *,
		      const void *); /* always SKF_EUNSUPPORTED with the path */
int skf_j_ignore(struct skf_jctx *, struct json_object *, void *,
		 const void *); /* known, meaningless here */

/* Array of objects: dst is [struct skf_jarr], elements are consecutive structs. arg: struct skf_jarr_arg. */
struct skf_jarr {
	void *v;
	size_t n;
};
struct skf_jarr_arg {
	const struct skf_jtable *elem;
	size_t max;
};
int skf_j_arr(struct skf_jctx *, struct json_object *, void *, const void *);

/* Object with free keys and string values, in document order: dst [struct skf_kvs]. */
struct skf_kv {
	char *k, *v;
};
struct skf_kvs {
	struct skf_kv *v;
	size_t n;
};
int skf_j_kvs(struct skf_jctx *, struct json_object *, void *, const void *);
const char *skf_kvs_get(const struct skf_kvs *m, const char *key); /* NULL when absent */
/* Object with free keys and string-array or any values, iterated by the caller's decoder: calls fn(c, value,
 * key, arg) with the path set, for each member. */
int skf_j_each_member(struct skf_jctx *c, struct json_object *v,
		      int (*fn)(struct skf_jctx *c, const char *key, struct json_object *v, void *user),
		      void *user);
int skf_j_each_elem(struct skf_jctx *c, struct json_object *v, size_t max,
		    int (*fn)(struct skf_jctx *c, size_t i, struct json_object *v, void *user), void *user);

/* Strings out of a fixed set to an int: dst [int]. arg: table that ends with a NULL name. */
struct skf_jenum {
	const char *name;
	int value;
};
int skf_j_enum(struct skf_jctx *, struct json_object *, void *, const void *);

/* For decoders of other modules. */
int skf_j_fail(struct skf_jctx *c, enum skf_kind k, const char *fmt, ...)
	SKF_PRINTF(3, 4); /* adds doc and path; -1 */
#define skf_j_fail(...) skf_negative(skf_j_fail(__VA_ARGS__))
struct skf_arena *skf_j_arena(struct skf_jctx *c);
void *skf_j_user(struct skf_jctx *c);

struct skf_jdoc {
	const char *name; /* shown in errors: "config.json" */
	size_t max_bytes;
	void (*on_unknown)(const char *path, void *user); /* may be NULL */
	void *user;
};
/* Parses text[0..n) and decodes it by t into *ret (arena memory of t->size). Trailing bytes, NUL bytes,
 * duplicate keys are errors (INVALID; LIMIT when too large or deep). Does not block. */
int skf_json_decode(const struct skf_jdoc *d, const char *text, size_t n, const struct skf_jtable *t,
		    struct skf_arena *a, void **ret, struct skf_err *e);
/* The same on a file. NOTFOUND when it does not exist; name in errors is d->name. */
int skf_json_decode_at(const struct skf_jdoc *d, int dirfd, const char *path, const struct skf_jtable *t,
		       struct skf_arena *a, void **ret, struct skf_err *e);

/* --- writer: no tree, appends to a skf_buf, commas and escapes are its business, sticky error in the buf
 * --- */
struct skf_jw {
	struct skf_buf *b;
	unsigned depth;
	bool need_comma;
	unsigned indent; /* 0: compact; else spaces per level (docker inspect uses 4) */
};
#define SKF_JW(buf)                                                                                         \
	{                                                                                                   \
		.b = (buf)                                                                                  \
	}
/* The k-forms write a member of an object, the others an element of an array (or the top value). Strings are
 * escaped; bytes that are not UTF-8 become U+FFFD. NULL strings are written as "". */
void skf_jw_obj(struct skf_jw *w);
void skf_jw_kobj(struct skf_jw *w, const char *k);
void skf_jw_arr(struct skf_jw *w);
void skf_jw_karr(struct skf_jw *w, const char *k);
void skf_jw_end(struct skf_jw *w); /* closes an object */
void skf_jw_end_arr(struct skf_jw *w);
void skf_jw_str(struct skf_jw *w, const char *v);
void skf_jw_kstr(struct skf_jw *w, const char *k, const char *v);
void skf_jw_kstrn(struct skf_jw *w, const char *k, struct skf_str v);
void skf_jw_int(struct skf_jw *w, int64_t v);
void skf_jw_kint(struct skf_jw *w, const char *k, int64_t v);
void skf_jw_ku64(struct skf_jw *w, const char *k, uint64_t v);
void skf_jw_kbool(struct skf_jw *w, const char *k, bool v);
void skf_jw_knull(struct skf_jw *w, const char *k);
void skf_jw_kraw(struct skf_jw *w, const char *k, const char *json); /* trusted JSON text */
void skf_jw_raw(struct skf_jw *w, const char *json);
void skf_jw_kstrv(struct skf_jw *w, const char *k, const struct skf_strv *v);
void skf_jw_kkvs(struct skf_jw *w, const char *k, const struct skf_kvs *m);
/* JSON string escaping alone, without quotes (log writer of the monitor: no tree, no malloc besides b). */
void skf_json_escape(struct skf_buf *b, const char *p, size_t n);
