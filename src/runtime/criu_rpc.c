/* runtime/criu_rpc.c -- the wire format of criu's RPC: protocol buffers, proto2, of which the messages
 * criu_req and criu_resp are written and read here. Pure; never blocks.
 *
 * Invariants:
 *  1. Field numbers and types are those of criu's images/rpc.proto; they are tables, so that a new option is
 * a row.
 *  2. An option that is absent or false is not written: criu's own default, or its configuration file,
 * decides.
 *  3. What is read comes from another process: lengths are checked against what is left before they are
 * used, a varint has at most ten bytes, nesting is as deep as the tables, unknown fields are skipped
 * (proto2, "Updating A Message Type"), groups are refused. Encoding:
 * https://protobuf.dev/programming-guides/encoding. */
#include "runtime/criu_int.h"

#include "base/limits.h"

#include <string.h>

enum wire { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };
#define MAX_FIELD ((1u << 29) - 1)

int skf_criu_list_add(struct skf_arena *a, struct skf_criu_list *l, const char *one, const char *two, int n)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 16;
		struct skf_criu_pair *v = skf_arena_array(a, cap, sizeof(*v));

		if (!v)
			return -ENOMEM;
		if (l->n)
			memcpy(v, l->v, l->n * sizeof(*v));
		l->v = v;
		l->cap = cap;
	}
	l->v[l->n++] = (struct skf_criu_pair){.a = one, .b = two, .n = n};
	return 0;
}

/* --- writing --- */
static void put_varint(struct skf_buf *b, uint64_t v)
{
	while (v > 0x7f) {
		skf_buf_chr(b, (char)(v | 0x80));
		v >>= 7;
	}
	skf_buf_chr(b, (char)v);
}

/* int32 is sign-extended to 64 bits before it becomes a varint. */
static void put_int(struct skf_buf *b, unsigned num, int64_t v)
{
	put_varint(b, (uint64_t)num << 3 | VARINT);
	put_varint(b, (uint64_t)v);
}

static void put_bytes(struct skf_buf *b, unsigned num, const void *p, size_t n)
{
	put_varint(b, (uint64_t)num << 3 | BYTES);
	put_varint(b, n);
	skf_buf_put(b, p, n);
}

static void put_str(struct skf_buf *b, unsigned num, const char *s)
{
	if (s)
		put_bytes(b, num, s, strlen(s));
}

/* A message inside of another; what went wrong in it goes wrong in b. */
static void put_msg(struct skf_buf *b, unsigned num, struct skf_buf *inner)
{
	if (inner->err < 0 && b->err == 0)
		b->err = inner->err;
	put_bytes(b, num, skf_buf_cstr(inner), inner->len);
	skf_buf_clear(inner);
}

enum kind { BOOL, HANDLE, NUMBER, STRING };
static const struct opt_field {
	uint8_t num;
	uint8_t kind;
	uint16_t off;
} opt_fields[] = {
#define F(n, k, m)                                                                                          \
	{                                                                                                   \
		n, k, offsetof(struct skf_criu_opts, m)                                                     \
	}
	F(1, HANDLE, images_dir_fd),
	F(2, NUMBER, pid),
	F(3, BOOL, leave_running),
	F(4, BOOL, ext_unix_sk),
	F(5, BOOL, tcp_established),
	F(6, BOOL, evasive_devices),
	F(7, BOOL, shell_job),
	F(8, BOOL, file_locks),
	F(9, NUMBER, log_level),
	F(10, STRING, log_file),
	F(12, BOOL, notify_scripts),
	F(13, STRING, root),
	F(14, STRING, parent_img),
	F(15, BOOL, track_mem),
	F(16, BOOL, auto_dedup),
	F(17, HANDLE, work_dir_fd),
	F(18, BOOL, link_remap),
	F(24, BOOL, manage_cgroups),
	F(26, BOOL, rst_sibling),
	F(34, HANDLE, cgroups_mode),
	F(38, NUMBER, empty_ns),
	F(44, STRING, freeze_cgroup),
	F(46, BOOL, tcp_skip_in_flight),
	F(48, BOOL, lazy_pages),
	F(50, BOOL, orphan_pts_master),
	F(51, STRING, config_file),
	F(52, BOOL, tcp_close),
	F(53, STRING, lsm_profile),
	F(63, STRING, lsm_mount_context),
	F(64, NUMBER, network_lock),
#undef F
};

static void put_option(struct skf_buf *b, const struct opt_field *f, const void *at)
{
	switch ((enum kind)f->kind) {
	case BOOL:
		if (*(const bool *)at)
			put_int(b, f->num, 1);
		break;
	case HANDLE:
		if (*(const int *)at >= 0)
			put_int(b, f->num, *(const int *)at);
		break;
	case NUMBER:
		if (*(const int *)at != 0)
			put_int(b, f->num, *(const int *)at);
		break;
	case STRING:
		put_str(b, f->num, *(const char *const *)at);
		break;
	}
}

static void put_pairs(struct skf_buf *b, struct skf_buf *scratch, unsigned num,
		      const struct skf_criu_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		put_str(scratch, 1, l->v[i].a);
		if (l->v[i].b)
			put_str(scratch, 2, l->v[i].b);
		else
			put_int(scratch, 2, l->v[i].n);
		put_msg(b, num, scratch);
	}
}

static void put_opts(struct skf_buf *b, const struct skf_criu_opts *o)
{
	SKF_AUTO(skf_buf_done) struct skf_buf in = SKF_BUF(SKF_MAX_CRIU_REQUEST);

	for (size_t i = 0; i < SKF_ARRAY_LEN(opt_fields); i++)
		put_option(b, &opt_fields[i], (const char *)o + opt_fields[i].off);
	if (o->page_server_address || o->page_server_port) {
		put_str(&in, 1, o->page_server_address);
		put_int(&in, 2, o->page_server_port);
		put_msg(b, 11, &in);
	}
	put_pairs(b, &in, 23, &o->ext_mnt);
	put_pairs(b, &in, 25, &o->cg_root);
	put_pairs(b, &in, 27, &o->inherit_fd);
	for (size_t i = 0; i < o->external.n; i++)
		put_str(b, 37, o->external.v[i]);
	put_pairs(b, &in, 39, &o->join_ns);
}

void skf_criu_req_encode(const struct skf_criu_req *q, struct skf_buf *b)
{
	SKF_AUTO(skf_buf_done) struct skf_buf in = SKF_BUF(SKF_MAX_CRIU_REQUEST);

	put_int(b, 1, q->type);
	if (q->opts) {
		put_opts(&in, q->opts);
		put_msg(b, 2, &in);
	}
	if (q->type == SKF_CRIU_NOTIFY)
		put_int(b, 3, q->notify_success);
	if (q->type == SKF_CRIU_FEATURE_CHECK) {
		if (q->want_mem_track)
			put_int(&in, 1, 1);
		if (q->want_lazy_pages)
			put_int(&in, 2, 1);
		put_msg(b, 5, &in);
	}
}

/* --- reading --- */
struct reader {
	const unsigned char *p, *end;
};
struct field {
	uint64_t num;
	enum wire wire;
	uint64_t value;   /* VARINT */
	struct skf_str s; /* BYTES */
};

static int get_varint(struct reader *r, uint64_t *ret)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 70; shift += 7) {
		unsigned char c;

		if (r->p == r->end)
			return -EBADMSG;
		c = *r->p++;
		if (shift == 63 && c > 1)
			return -EBADMSG; /* more than 64 bits */
		v |= (uint64_t)(c & 0x7f) << shift;
		if (!(c & 0x80)) {
			*ret = v;
			return 0;
		}
	}
	return -EBADMSG;
}

static int get_bytes(struct reader *r, uint64_t n, struct skf_str *ret)
{
	if (n > (uint64_t)(r->end - r->p))
		return -EBADMSG;
	*ret = (struct skf_str){(const char *)r->p, (size_t)n};
	r->p += n;
	return 0;
}

/* 1: a field, 0: the end. */
static int get_field(struct reader *r, struct field *f)
{
	uint64_t key;

	if (r->p == r->end)
		return 0;
	if (get_varint(r, &key) < 0)
		return -EBADMSG;
	f->num = key >> 3;
	f->wire = (enum wire)(key & 7);
	f->s = (struct skf_str){0};
	f->value = 0;
	if (f->num == 0 || f->num > MAX_FIELD)
		return -EBADMSG;
	switch ((unsigned)f->wire) {
	case VARINT:
		return get_varint(r, &f->value) < 0 ? -EBADMSG : 1;
	case BYTES:
		return get_varint(r, &key) < 0 || get_bytes(r, key, &f->s) < 0 ? -EBADMSG : 1;
	case FIXED64:
	case FIXED32:
		return get_bytes(r, f->wire == FIXED64 ? 8 : 4, &f->s) < 0 ? -EBADMSG : 1;
	default:
		return -EBADMSG;
	}
}

/* One row of a message: where a field of criu_resp goes, or the table of the message that it is. */
struct in_field {
	uint8_t num;
	enum { IN_BOOL, IN_INT, IN_STR, IN_MSG } kind;
	uint16_t off;
	const struct in_field *sub;
};
#define I(n, k, m)                                                                                          \
	{                                                                                                   \
		n, k, offsetof(struct skf_criu_resp, m), NULL                                               \
	}
#define SUB(n, t)                                                                                           \
	{                                                                                                   \
		n, IN_MSG, 0, t                                                                             \
	}
static const struct in_field restore_fields[] = {I(1, IN_INT, restore_pid), {0}};
static const struct in_field notify_fields[] = {I(1, IN_STR, script), I(2, IN_INT, notify_pid), {0}};
static const struct in_field feature_fields[] = {I(1, IN_BOOL, mem_track), I(2, IN_BOOL, lazy_pages), {0}};
static const struct in_field version_fields[] = {
	I(1, IN_INT, major), I(2, IN_INT, minor), I(4, IN_INT, sublevel), {0}};
static const struct in_field resp_fields[] = {
	I(1, IN_INT, type),    I(2, IN_BOOL, success),  SUB(4, restore_fields),
	SUB(5, notify_fields), I(7, IN_INT, cr_errno),  SUB(8, feature_fields),
	I(9, IN_STR, errmsg),  SUB(10, version_fields), {0},
};
#undef I
#undef SUB

static int store(const struct field *f, const struct in_field *t, struct skf_criu_resp *ret)
{
	void *dst = (char *)ret + t->off;
	bool number = t->kind == IN_BOOL || t->kind == IN_INT;

	if (f->wire != (number ? VARINT : BYTES))
		return -EBADMSG;
	if (t->kind == IN_BOOL)
		*(bool *)dst = f->value != 0;
	else if (t->kind == IN_INT)
		*(int *)dst = (int)(uint32_t)f->value;
	else
		*(struct skf_str *)dst = f->s;
	return 0;
}

/* Fields 1 and 2 that were seen, as bits 1 and 2; -EBADMSG. Recursion ends with the tables: two levels. */
static int get_message(struct skf_str s, const struct in_field *table, struct skf_criu_resp *ret)
{
	struct reader r = {(const unsigned char *)s.p, (const unsigned char *)s.p + s.n};
	struct field f;
	int seen = 0, n;

	while ((n = get_field(&r, &f)) > 0) {
		const struct in_field *t = table;

		while (t->num && t->num != f.num)
			t++;
		if (!t->num)
			continue;
		if (t->kind == IN_MSG)
			n = f.wire == BYTES ? get_message(f.s, t->sub, ret) : -EBADMSG;
		else
			n = store(&f, t, ret);
		if (n < 0)
			return n;
		if (f.num <= 2)
			seen |= 1 << f.num;
	}
	return n < 0 ? n : seen;
}

int skf_criu_resp_decode(const void *p, size_t n, struct skf_criu_resp *ret)
{
	struct skf_criu_resp resp = {0};
	int seen;

	if (n > SKF_MAX_CRIU_REPLY)
		return -E2BIG;
	seen = n ? get_message((struct skf_str){p, n}, resp_fields, &resp) : 0;
	if (seen < 0)
		return seen;
	if (seen != (1 << 1 | 1 << 2)) /* both are required */
		return -EBADMSG;
	*ret = resp;
	return 0;
}
