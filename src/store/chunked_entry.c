/* store/chunked_entry.c -- one entry of a tar as a member of zstd:chunked's list (chunked.c): what its
 * header and its pax records say, as Go's reader of tars understands them, because readers compare the two.
 * Pure. */
#include "base/json.h"
#include "store/unpack_int.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

void skf_chunked_base64(struct skf_buf *b, const void *p, size_t n)
{
	const uint8_t *in = p;
	char out[65];

	for (size_t k; n > 0; in += k, n -= k) {
		k = n > 48 ? 48 : n;
		skf_buf_put(b, out, (size_t)EVP_EncodeBlock((unsigned char *)out, in, (int)k));
	}
}

/* What is no UTF-8 comes out of the escaping as U+FFFD. */
static bool is_utf8(const char *s)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_TARSCAN_MAX_META * 8);

	skf_json_escape(&b, s, strlen(s));
	return !b.err && !strstr(skf_buf_cstr(&b), "\xef\xbf\xbd");
}

static bool put_time(struct skf_jw *w, const char *key, uint64_t sec, const char *fraction)
{
	char text[64], ns[10] = "000000000";
	struct tm tm;
	time_t t = (time_t)sec;
	size_t n = strlen(fraction);

	if (sec > 253402300799u || !gmtime_r(&t, &tm) || fraction[strspn(fraction, "0123456789")])
		return false;
	memcpy(ns, fraction, n < 9 ? n : 9);
	n = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + n, sizeof(text) - n, strcmp(ns, "000000000") == 0 ? "Z" : ".%sZ", ns);
	skf_jw_kstr(w, key, text);
	return true;
}

/* What a tar's header and its pax records say. */
struct said {
	uint64_t mode, uid, gid, mtime, dev[2];
	char times[3][40]; /* mtime, atime, ctime of pax; "" */
	struct skf_buf xattrs;
};

static bool pax_number(const char *v, size_t n, uint64_t *ret)
{
	char text[24];

	if (n == 0)
		return true; /* the header's stays */
	if (n >= sizeof(text))
		return false;
	memcpy(text, v, n);
	text[n] = 0;
	return skf_parse_u64(text, ret) == 0;
}

static bool pax_key(struct said *s, const char *k, size_t nk, const char *v, size_t nv)
{
	static const char *const times[] = {"mtime", "atime", "ctime"};
	static const char xattr[] = "SCHILY.xattr.";

	for (size_t i = 0; i < SKF_ARRAY_LEN(times); i++)
		if (nk == 5 && memcmp(k, times[i], 5) == 0) {
			if (nv >= sizeof(s->times[i]))
				return false;
			memcpy(s->times[i], v, nv);
			s->times[i][nv] = 0;
			return true;
		}
	if (nk == 3 && (memcmp(k, "uid", 3) == 0 || memcmp(k, "gid", 3) == 0))
		return pax_number(v, nv, *k == 'u' ? &s->uid : &s->gid);
	if (nk <= strlen(xattr) || memcmp(k, xattr, strlen(xattr)) != 0)
		return true;
	skf_buf_str(&s->xattrs, s->xattrs.len ? ",\"" : "{\"");
	skf_json_escape(&s->xattrs, k + strlen(xattr), nk - strlen(xattr));
	skf_buf_str(&s->xattrs, "\":\"");
	skf_chunked_base64(&s->xattrs, v, nv);
	skf_buf_str(&s->xattrs, "\"");
	return true;
}

static bool read_header(const struct skf_tar_entry *t, struct said *s)
{
	const uint8_t *h = t->header;
	bool ustar = h && memcmp(h + 257, "ustar", 5) == 0;

	if (!h || !skf_tarscan_number(h + 100, 8, &s->mode) || !skf_tarscan_number(h + 108, 8, &s->uid) ||
	    !skf_tarscan_number(h + 116, 8, &s->gid) || !skf_tarscan_number(h + 136, 12, &s->mtime))
		return false;
	if (ustar && h[262] == ' ' && (h[345] || h[357])) /* GNU's other times */
		return false;
	if (ustar &&
	    (!skf_tarscan_number(h + 329, 8, &s->dev[0]) || !skf_tarscan_number(h + 337, 8, &s->dev[1])))
		return false;
	for (const char *p = t->pax, *end = p + t->pax_n;
	     p < end;) { /* the scanner has checked their form */
		size_t digits = strspn(p, "0123456789"), len = 0;

		for (size_t i = 0; i < digits; i++)
			len = len * 10 + (size_t)(p[i] - '0');
		const char *k = p + digits + 1, *eq = memchr(k, '=', (size_t)(p + len - k));

		if (!eq || !pax_key(s, k, (size_t)(eq - k), eq + 1, (size_t)(p + len - 1 - eq) - 1))
			return false;
		p += len;
	}
	return !s->xattrs.err;
}

static bool put_times(struct skf_jw *w, struct said *s)
{
	static const char *const keys[] = {"modtime", "accesstime", "changetime"};
	bool ok = s->times[0][0] || put_time(w, keys[0], s->mtime, "");

	for (size_t i = 0; ok && i < SKF_ARRAY_LEN(keys); i++) {
		char *dot = strchr(s->times[i], '.');
		uint64_t sec = 0;

		if (dot)
			*dot++ = 0;
		ok = !s->times[i][0] ||
		     (skf_parse_u64(s->times[i], &sec) == 0 && put_time(w, keys[i], sec, dot ? dot : ""));
	}
	return ok;
}

static void put_some(struct skf_jw *w, const char *key, uint64_t v)
{
	if (v)
		skf_jw_ku64(w, key, v);
}

static bool put_members(struct skf_jw *w, const struct skf_tar_entry *t, struct said *s)
{
	static const char *const types[] = {"reg", "hardlink", "symlink", "char", "block", "dir", "fifo"};

	if (!read_header(t, s))
		return false;
	skf_jw_kstr(w, "type", types[t->type - '0']);
	skf_jw_kstr(w, "name", t->name);
	if (t->type == '1' || t->type == '2')
		skf_jw_kstr(w, "linkName", t->link);
	put_some(w, "mode", s->mode);
	put_some(w, "size", t->size);
	put_some(w, "uid", s->uid);
	put_some(w, "gid", s->gid);
	if (!put_times(w, s))
		return false;
	put_some(w, "devMajor", s->dev[0]);
	put_some(w, "devMinor", s->dev[1]);
	if (s->xattrs.len) {
		skf_buf_chr(&s->xattrs, '}');
		skf_jw_kraw(w, "xattrs", skf_buf_cstr(&s->xattrs));
	}
	return true;
}

bool skf_chunked_describe(struct skf_jw *w, const struct skf_tar_entry *t)
{
	struct said s = {.xattrs = SKF_BUF(SKF_MAX_XATTR_BYTES * 8)};
	bool ok = !t->sparse && t->type >= '0' && t->type <= '6' && !strstr(t->name, "//") &&
		  is_utf8(t->name) && is_utf8(t->link) && put_members(w, t, &s);

	skf_buf_done(&s.xattrs);
	return ok;
}
