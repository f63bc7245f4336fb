/* dbus_wire.c -- D-Bus messages as bytes: encoder and decoder. Pure: no I/O, no state; the decoder is what
 * the fuzzer feeds.
 *
 * Invariants:
 * 1. Nothing outside [p, p + n) is read; every length is checked against what is left before it is used.
 * 2. Strings that the decoder returns end in NUL inside the message and hold no other NUL.
 * 3. We write in our own byte order, which the first byte of a message names. */
#include "sys/dbus.h"
#include "base/err.h"
#include "base/limits.h"
#include <byteswap.h>
#include <endian.h>
#include <errno.h>
#include <string.h>

#define HEADER 16 /* fixed part, with the length of the fields */
#define NATIVE (__BYTE_ORDER == __LITTLE_ENDIAN ? 'l' : 'B')

enum field {
	F_PATH = 1,
	F_INTERFACE,
	F_MEMBER,
	F_ERROR_NAME,
	F_REPLY_SERIAL,
	F_DESTINATION,
	F_SENDER,
	F_SIGNATURE
};

static size_t padded(size_t n, unsigned to)
{
	return (n + to - 1) & ~(size_t)(to - 1);
}

/* --- encoder --- */

void skf_dbus_align(struct skf_buf *b, unsigned to)
{
	static const char zero[8];

	skf_buf_put(b, zero, padded(b->len, to) - b->len);
}

void skf_dbus_byte(struct skf_buf *b, uint8_t v)
{
	skf_buf_put(b, &v, 1);
}

void skf_dbus_u16(struct skf_buf *b, uint16_t v)
{
	skf_dbus_align(b, 2);
	skf_buf_put(b, &v, sizeof(v));
}

void skf_dbus_u32(struct skf_buf *b, uint32_t v)
{
	skf_dbus_align(b, 4);
	skf_buf_put(b, &v, sizeof(v));
}

void skf_dbus_u64(struct skf_buf *b, uint64_t v)
{
	skf_dbus_align(b, 8);
	skf_buf_put(b, &v, sizeof(v));
}

void skf_dbus_str(struct skf_buf *b, const char *s)
{
	size_t n = strlen(s);

	if (n > SKF_MAX_DBUS_BYTES) {
		b->err = b->err ? b->err : -E2BIG;
		return;
	}
	skf_dbus_u32(b, (uint32_t)n);
	skf_buf_put(b, s, n + 1);
}

void skf_dbus_sig(struct skf_buf *b, const char *s)
{
	size_t n = strlen(s);

	if (n > UINT8_MAX) {
		b->err = b->err ? b->err : -E2BIG;
		return;
	}
	skf_dbus_byte(b, (uint8_t)n);
	skf_buf_put(b, s, n + 1);
}

size_t skf_dbus_array(struct skf_buf *b, unsigned align)
{
	size_t at;

	skf_dbus_u32(b, 0);
	at = b->len - (b->err ? 0 : 4);
	skf_dbus_align(b, align);
	return at;
}

void skf_dbus_array_end(struct skf_buf *b, size_t at, unsigned align)
{
	uint32_t n;

	if (b->err)
		return;
	n = (uint32_t)(b->len - padded(at + 4, align));
	memcpy(b->p + at, &n, sizeof(n));
}

unsigned skf_dbus_align_of(char type)
{
	switch (type) {
	case 'y':
	case 'g':
	case 'v':
		return 1;
	case 'n':
	case 'q':
		return 2;
	case 'b':
	case 'i':
	case 'u':
	case 'h':
	case 's':
	case 'o':
	case 'a':
		return 4;
	case 'x':
	case 't':
	case 'd':
	case '(':
	case '{':
		return 8;
	default:
		return 0;
	}
}

void skf_dbus_prop(struct skf_buf *b, const char *name, const char *sig)
{
	skf_dbus_align(b, 8);
	skf_dbus_str(b, name);
	skf_dbus_sig(b, sig);
}

void skf_dbus_prop_str(struct skf_buf *b, const char *name, const char *v)
{
	skf_dbus_prop(b, name, "s");
	skf_dbus_str(b, v);
}

void skf_dbus_prop_bool(struct skf_buf *b, const char *name, bool v)
{
	skf_dbus_prop(b, name, "b");
	skf_dbus_u32(b, v);
}

void skf_dbus_prop_u64(struct skf_buf *b, const char *name, uint64_t v)
{
	skf_dbus_prop(b, name, "t");
	skf_dbus_u64(b, v);
}

static void field_str(struct skf_buf *b, enum field f, const char *sig, const char *v)
{
	if (!v || !*v)
		return;
	skf_dbus_align(b, 8);
	skf_dbus_byte(b, (uint8_t)f);
	skf_dbus_sig(b, sig);
	if (*sig == 'g')
		skf_dbus_sig(b, v);
	else
		skf_dbus_str(b, v);
}

static bool complete(const struct skf_dbus_msg *m)
{
	switch (m->type) {
	case SKF_DBUS_CALL:
		return m->path && m->member;
	case SKF_DBUS_SIGNAL:
		return m->path && m->interface && m->member;
	case SKF_DBUS_ERROR:
		return m->reply_serial && m->error_name;
	case SKF_DBUS_RETURN:
		return m->reply_serial;
	default:
		return false;
	}
}

int skf_dbus_encode(const struct skf_dbus_msg *m, struct skf_buf *out)
{
	size_t fields;

	if (!complete(m) || !m->serial || out->len % 8 || m->body_len > SKF_MAX_DBUS_BYTES)
		return -EINVAL;
	skf_dbus_byte(out, NATIVE);
	skf_dbus_byte(out, m->type);
	skf_dbus_byte(out, m->flags);
	skf_dbus_byte(out, 1); /* version of the protocol */
	skf_dbus_u32(out, (uint32_t)m->body_len);
	skf_dbus_u32(out, m->serial);
	fields = skf_dbus_array(out, 8);
	field_str(out, F_PATH, "o", m->path);
	field_str(out, F_INTERFACE, "s", m->interface);
	field_str(out, F_MEMBER, "s", m->member);
	field_str(out, F_ERROR_NAME, "s", m->error_name);
	field_str(out, F_DESTINATION, "s", m->destination);
	field_str(out, F_SIGNATURE, "g", m->signature);
	if (m->reply_serial) {
		skf_dbus_align(out, 8);
		skf_dbus_byte(out, F_REPLY_SERIAL);
		skf_dbus_sig(out, "u");
		skf_dbus_u32(out, m->reply_serial);
	}
	skf_dbus_array_end(out, fields, 8);
	skf_dbus_align(out, 8);
	if (m->body_len)
		skf_buf_put(out, m->body, m->body_len);
	return out->err;
}

/* --- decoder --- */

static bool skip_to(struct skf_dbus_reader *r, unsigned align, size_t need)
{
	size_t at = padded(r->at, align);

	if (r->err || at > r->n || r->n - at < need) {
		r->err = -EBADMSG;
		return false;
	}
	r->at = at;
	return true;
}

static uint32_t u32_at(const uint8_t *p, bool swap)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return swap ? bswap_32(v) : v;
}

uint32_t skf_dbus_get_u32(struct skf_dbus_reader *r)
{
	uint32_t v;

	if (!skip_to(r, 4, 4))
		return 0;
	v = u32_at(r->p + r->at, r->swap);
	r->at += 4;
	return v;
}

/* n bytes and a NUL at r->at. */
static const char *text(struct skf_dbus_reader *r, size_t n)
{
	const char *s = (const char *)r->p + r->at;

	if (r->n - r->at <= n || memchr(s, '\0', n) || s[n]) {
		r->err = -EBADMSG;
		return "";
	}
	r->at += n + 1;
	return s;
}

const char *skf_dbus_get_str(struct skf_dbus_reader *r)
{
	uint32_t n = skf_dbus_get_u32(r);

	return r->err ? "" : text(r, n);
}

const char *skf_dbus_get_sig(struct skf_dbus_reader *r)
{
	uint8_t n;

	if (!skip_to(r, 1, 1))
		return "";
	n = r->p[r->at++];
	return text(r, n);
}

struct skf_dbus_reader skf_dbus_read(const struct skf_dbus_msg *m)
{
	return (struct skf_dbus_reader){.p = m->body, .n = m->body_len, .swap = m->swap};
}

/* A value of a header field that we do not know: those are of basic types. */
static void skip_basic(struct skf_dbus_reader *r, char type)
{
	unsigned size = skf_dbus_align_of(type);

	if (type == 's' || type == 'o')
		(void)skf_dbus_get_str(r);
	else if (type == 'g')
		(void)skf_dbus_get_sig(r);
	else if (size == 0 || strchr("av({", type))
		r->err = -EBADMSG;
	else if (skip_to(r, size, size))
		r->at += size;
}

static void read_field(struct skf_dbus_reader *r, struct skf_dbus_msg *m)
{
	static const char types[] = {0, 'o', 's', 's', 's', 'u', 's', 's', 'g'};
	const char **str[] = {NULL, &m->path,        &m->interface, &m->member,   &m->error_name,
			      NULL, &m->destination, &m->sender,    &m->signature};
	const char *sig, *s;
	uint8_t code;

	if (!skip_to(r, 8, 1))
		return;
	code = r->p[r->at++];
	sig = skf_dbus_get_sig(r);
	if (r->err)
		return;
	if (code >= sizeof(types) || !code) {
		if (sig[0] && !sig[1])
			skip_basic(r, sig[0]);
		else
			r->err = -EBADMSG;
		return;
	}
	if (sig[0] != types[code] || sig[1]) {
		r->err = -EBADMSG;
		return;
	}
	if (code == F_REPLY_SERIAL) {
		m->reply_serial = skf_dbus_get_u32(r);
		return;
	}
	s = sig[0] == 'g' ? skf_dbus_get_sig(r) : skf_dbus_get_str(r);
	*str[code] = s;
}

int64_t skf_dbus_length(const void *p, size_t n)
{
	const uint8_t *b = p;
	uint64_t body, fields, total;
	bool swap;

	if (n < HEADER)
		return 0;
	if ((b[0] != 'l' && b[0] != 'B') || b[3] != 1)
		return -EBADMSG;
	swap = b[0] != NATIVE;
	body = u32_at(b + 4, swap);
	fields = u32_at(b + 12, swap);
	total = HEADER + padded(fields, 8) + body;
	return total > SKF_MAX_DBUS_WIRE ? -EBADMSG : (int64_t)total;
}

int skf_dbus_decode(const void *p, size_t n, struct skf_dbus_msg *ret)
{
	const uint8_t *b = p;
	struct skf_dbus_msg m = {.signature = ""};
	struct skf_dbus_reader r = {.p = b};
	size_t fields;

	if (skf_dbus_length(p, n) != (int64_t)n || n == 0)
		return -EBADMSG;
	m.type = b[1];
	m.flags = b[2];
	m.swap = r.swap = b[0] != NATIVE;
	m.body_len = u32_at(b + 4, m.swap);
	m.serial = u32_at(b + 8, m.swap);
	fields = u32_at(b + 12, m.swap);
	r.n = HEADER + fields;
	r.at = HEADER;
	while (!r.err && r.at < r.n)
		read_field(&r, &m);
	m.body = b + n - m.body_len;
	if (r.err || !m.serial || !complete(&m))
		return -EBADMSG;
	*ret = m;
	return 0;
}

/* --- addresses --- */

static int hex(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

static int unescape(const char *v, size_t n, char *out, size_t size)
{
	size_t len = 0;

	for (size_t i = 0; i < n; i++) {
		char c = v[i];

		if (c == '%') {
			if (n - i < 3 || hex(v[i + 1]) < 0 || hex(v[i + 2]) < 0)
				return -EINVAL;
			c = (char)(hex(v[i + 1]) * 16 + hex(v[i + 2]));
			i += 2;
		}
		if (!c)
			return -EINVAL;
		if (len + 1 >= size)
			return -ENAMETOOLONG;
		out[len++] = c;
	}
	out[len] = '\0';
	return len ? 0 : -EINVAL;
}

int skf_dbus_address(const char *list, char *out, size_t size)
{
	for (const char *a = list; *a;) {
		size_t len = strcspn(a, ";");
		const char *end = a + len;

		if (len > 5 && !strncmp(a, "unix:", 5)) {
			for (const char *k = a + 5; k < end;) {
				size_t n = strcspn(k, ",;");

				if (n > 5 && !strncmp(k, "path=", 5))
					return unescape(k + 5, n - 5, out, size);
				if (n > 9 && !strncmp(k, "abstract=", 9) && size > 1) {
					out[0] = '@';
					return unescape(k + 9, n - 9, out + 1, size - 1);
				}
				k += n + (k + n < end);
			}
		}
		a = *end ? end + 1 : end;
	}
	return -EAFNOSUPPORT;
}
