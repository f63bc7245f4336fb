/* gvariant.c -- values of org.systemd.property.* annotations: GVariant text to a D-Bus value. Pure. GLib
 * "GVariant Text Format"; what systemd's properties need of it: numbers with and without a type word,
 * booleans, strings, object paths, byte strings, arrays, tuples and "@type" before a value.
 *
 * Theory: a D-Bus value must be encoded with its alignment, so its type has to be known first. One pass over
 * the text finds the signature (infer), a second one encodes with that signature (put), in which numbers
 * without a type word take the type that is expected.
 *
 * Invariants: 1. nesting is at most DEPTH; 2. a signature never passes SIG_MAX bytes; 3. the text is used up
 * completely or the value is refused. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "runtime/cgroups/cgroups_int.h"
#include "sys/dbus.h"
#include <string.h>

#define DEPTH   8
#define SIG_MAX 64

struct gv {
	const char *p;
	char *sig; /* infer: what was found so far */
	size_t sig_len;
	struct skf_buf *out;  /* put: NULL while inferring */
	struct skf_buf *word; /* the last string, un-escaped */
	uint64_t factor;      /* of numbers */
};

static const struct type_word {
	const char *word;
	char type;
} type_words[] = {{"boolean", 'b'},    {"byte", 'y'},   {"int16", 'n'},    {"uint16", 'q'}, {"int32", 'i'},
		  {"uint32", 'u'},     {"handle", 'h'}, {"int64", 'x'},    {"uint64", 't'}, {"double", 'd'},
		  {"objectpath", 'o'}, {"string", 's'}, {"signature", 'g'}};

static void space(struct gv *g)
{
	g->p += strspn(g->p, " \t\r\n");
}

static bool eat(struct gv *g, char c)
{
	space(g);
	if (*g->p != c)
		return false;
	g->p++;
	return true;
}

static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* Cuts a leading type word off; 0: there is none. */
static char type_word(struct gv *g)
{
	space(g);
	for (size_t i = 0; i < SKF_ARRAY_LEN(type_words); i++) {
		size_t n = strlen(type_words[i].word);

		if (!strncmp(g->p, type_words[i].word, n) && !is_word(g->p[n])) {
			g->p += n;
			space(g);
			return type_words[i].type;
		}
	}
	return 0;
}

static int add_sig(struct gv *g, char c)
{
	if (g->sig_len + 2 > SIG_MAX)
		return -E2BIG;
	g->sig[g->sig_len++] = c;
	g->sig[g->sig_len] = '\0';
	return 0;
}

/* One complete type of a signature; its length, 0 when it is none. */
static size_t one_type(const char *s, int depth)
{
	size_t n = 1;

	if (depth > DEPTH)
		return 0;
	if (*s == 'a') {
		size_t k = one_type(s + 1, depth + 1);

		return k ? 1 + k : 0;
	}
	if (*s == '(') {
		while (s[n] && s[n] != ')') {
			size_t k = one_type(s + n, depth + 1);

			if (!k)
				return 0;
			n += k;
		}
		return s[n] == ')' && n > 1 ? n + 1 : 0;
	}
	return *s && strchr("bynqiuhxtdsog", *s) ? 1 : 0;
}

static int unicode(struct gv *g, size_t digits)
{
	uint32_t v = 0;

	for (size_t i = 0; i < digits; i++, g->p++) {
		char c = *g->p;
		uint32_t d = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
			     : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10)
			     : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10)
						    : 16;

		if (d == 16)
			return -EINVAL;
		v = v * 16 + d;
	}
	if (v == 0 || v > 0x10ffff || (v >= 0xd800 && v < 0xe000))
		return -EINVAL;
	if (v < 0x80) {
		skf_buf_chr(g->word, (char)v);
		return 0;
	}
	if (v >= 0x10000) {
		skf_buf_chr(g->word, (char)(0xf0 | v >> 18));
		skf_buf_chr(g->word, (char)(0x80 | (v >> 12 & 0x3f)));
	} else if (v >= 0x800) {
		skf_buf_chr(g->word, (char)(0xe0 | v >> 12));
	}
	skf_buf_chr(g->word, v < 0x800 ? (char)(0xc0 | v >> 6) : (char)(0x80 | (v >> 6 & 0x3f)));
	skf_buf_chr(g->word, (char)(0x80 | (v & 0x3f)));
	return 0;
}

/* A quoted string into g->word. */
static int quoted(struct gv *g)
{
	static const char from[] = "abfnrtv", to[] = "\a\b\f\n\r\t\v";
	char quote;

	space(g);
	quote = *g->p;
	if (quote != '\'' && quote != '"')
		return -EINVAL;
	skf_buf_clear(g->word);
	for (g->p++; *g->p && *g->p != quote;) {
		const char *e;

		if (*g->p != '\\') {
			skf_buf_chr(g->word, *g->p++);
			continue;
		}
		g->p++;
		if (*g->p == 'u' || *g->p == 'U') {
			size_t digits = *g->p++ == 'u' ? 4 : 8;
			int r = unicode(g, digits);

			if (r < 0)
				return r;
			continue;
		}
		if (!*g->p)
			return -EINVAL;
		e = strchr(from, *g->p);
		skf_buf_chr(g->word, e ? to[e - from] : *g->p);
		g->p++;
	}
	if (!*g->p)
		return -EINVAL;
	g->p++;
	return g->word->err;
}

/* --- numbers --- */

static int put_double(struct gv *g, const char *text, size_t n)
{
	double v = 0, scale = 1;
	bool point = false, minus = *text == '-';
	uint64_t bits;

	for (size_t i = minus || *text == '+'; i < n; i++) {
		if (text[i] == '.' && !point) {
			point = true;
			continue;
		}
		if (text[i] < '0' || text[i] > '9')
			return -EINVAL;
		v = v * 10 + (text[i] - '0');
		if (point)
			scale *= 10;
	}
	v = v / scale * (double)g->factor;
	v = minus ? -v : v;
	memcpy(&bits, &v, sizeof(bits));
	if (g->out)
		skf_dbus_u64(g->out, bits);
	return 0;
}

static int digits_of(const char *t, size_t n, uint64_t *ret)
{
	unsigned base = 10;
	uint64_t v = 0;

	if (n > 2 && t[0] == '0' && (t[1] == 'x' || t[1] == 'X'))
		base = 16, t += 2, n -= 2;
	else if (n > 1 && t[0] == '0')
		base = 8, t++, n--;
	if (!n)
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		unsigned d = t[i] >= '0' && t[i] <= '9'   ? (unsigned)(t[i] - '0')
			     : t[i] >= 'a' && t[i] <= 'f' ? (unsigned)(t[i] - 'a' + 10)
			     : t[i] >= 'A' && t[i] <= 'F' ? (unsigned)(t[i] - 'A' + 10)
							  : 99;

		if (d >= base)
			return -EINVAL;
		if (__builtin_mul_overflow(v, base, &v) || __builtin_add_overflow(v, d, &v))
			return -ERANGE;
	}
	*ret = v;
	return 0;
}

static int put_integer(struct gv *g, const char *t, size_t n, char type)
{
	static const struct {
		char type;
		unsigned bits;
		bool sign;
	} types[] = {{'y', 8, false},  {'n', 16, true}, {'q', 16, false}, {'i', 32, true},
		     {'u', 32, false}, {'h', 32, true}, {'x', 64, true},  {'t', 64, false}};
	bool minus = *t == '-';
	uint64_t v, max = 0;
	size_t i = 0;
	int r = digits_of(t + (minus || *t == '+'), n - (minus || *t == '+'), &v);

	if (r < 0)
		return r;
	while (i < SKF_ARRAY_LEN(types) && types[i].type != type)
		i++;
	if (i == SKF_ARRAY_LEN(types))
		return -EINVAL;
	if (__builtin_mul_overflow(v, g->factor, &v))
		return -ERANGE;
	max = types[i].bits == 64 ? UINT64_MAX : (1ull << types[i].bits) - 1;
	if (types[i].sign)
		max = max / 2 + minus;
	if (v > max || (minus && !types[i].sign && v))
		return -ERANGE;
	v = minus ? 0 - v : v;
	if (!g->out)
		return 0;
	if (types[i].bits == 8)
		skf_dbus_byte(g->out, (uint8_t)v);
	else if (types[i].bits == 16)
		skf_dbus_u16(g->out, (uint16_t)v);
	else if (types[i].bits == 32)
		skf_dbus_u32(g->out, (uint32_t)v);
	else
		skf_dbus_u64(g->out, v);
	return 0;
}

static size_t number(const struct gv *g)
{
	size_t n = *g->p == '-' || *g->p == '+';

	while (is_word(g->p[n]) || g->p[n] == '.')
		n++;
	return n;
}

static bool literal(struct gv *g, const char *w)
{
	size_t n = strlen(w);

	if (strncmp(g->p, w, n) != 0 || is_word(g->p[n]))
		return false;
	g->p += n;
	return true;
}

/* --- pass 1: the type --- */

static int skip_and_infer(struct gv *g, int depth);

static int infer_list(struct gv *g, char close, bool tuple, int depth)
{
	size_t first = 0, start = g->sig_len;

	for (size_t i = 0; !eat(g, close); i++) {
		size_t at = g->sig_len;
		int r;

		if (i && !eat(g, ','))
			return -EINVAL;
		if (i == 1 && tuple && eat(g, close)) /* "(1,)" is how a tuple of one is written */
			return 0;
		r = skip_and_infer(g, depth + 1);
		if (r < 0)
			return r;
		if (!tuple && i == 0)
			first = g->sig_len - at;
		if (!tuple && i > 0) /* the first element tells the type of all; put checks them */
			g->sig[g->sig_len = start + first] = '\0';
	}
	return g->sig_len == start ? -ENODATA : 0;
}

static int skip_and_infer(struct gv *g, int depth)
{
	char t;
	int r;

	if (depth > DEPTH)
		return -E2BIG;
	space(g);
	if (*g->p == '@') {
		size_t n = one_type(++g->p, depth);
		size_t at = g->sig_len;

		if (!n)
			return -EINVAL;
		for (size_t i = 0; i < n; i++)
			if (add_sig(g, g->p[i]) < 0)
				return -E2BIG;
		g->p += n;
		at = g->sig_len;
		r = skip_and_infer(g, depth + 1);
		g->sig[g->sig_len = at] = '\0';
		return r == -ENODATA ? 0 : r; /* the type of an empty array was just told */
	}
	if (*g->p == '[') {
		g->p++;
		return add_sig(g, 'a') < 0 ? -E2BIG : infer_list(g, ']', false, depth);
	}
	if (*g->p == '(') {
		g->p++;
		if (add_sig(g, '(') < 0)
			return -E2BIG;
		r = infer_list(g, ')', true, depth);
		return r < 0 ? r : add_sig(g, ')');
	}
	if (*g->p == 'b' && (g->p[1] == '\'' || g->p[1] == '"')) {
		g->p++;
		r = quoted(g);
		return r < 0 ? r : add_sig(g, 'a') < 0 ? -E2BIG : add_sig(g, 'y');
	}
	t = type_word(g);
	if (*g->p == '\'' || *g->p == '"') {
		r = quoted(g);
		return r < 0 ? r : add_sig(g, t ? t : 's');
	}
	if (literal(g, "true") || literal(g, "false"))
		return add_sig(g, 'b');
	size_t n = number(g);
	if (!n)
		return -EINVAL;
	t = t ? t : memchr(g->p, '.', n) ? 'd' : 'i';
	g->p += n;
	return add_sig(g, t);
}

/* --- pass 2: the bytes --- */

static int put(struct gv *g, const char *sig, int depth);

static int put_array(struct gv *g, const char *elem, int depth)
{
	unsigned align = skf_dbus_align_of(*elem);
	size_t at = skf_dbus_array(g->out, align);

	if (*elem == 'y' && *g->p == 'b') {
		int r;

		g->p++;
		r = quoted(g);
		if (r < 0)
			return r;
		skf_buf_put(g->out, skf_buf_cstr(g->word),
			    g->word->len + 1); /* a byte string includes its NUL */
		skf_dbus_array_end(g->out, at, align);
		return 0;
	}
	if (!eat(g, '['))
		return -EINVAL;
	for (size_t i = 0; !eat(g, ']'); i++) {
		int r;

		if (i && !eat(g, ','))
			return -EINVAL;
		r = put(g, elem, depth + 1);
		if (r < 0)
			return r;
	}
	skf_dbus_array_end(g->out, at, align);
	return 0;
}

static int put_tuple(struct gv *g, const char *sig, int depth)
{
	if (!eat(g, '('))
		return -EINVAL;
	skf_dbus_align(g->out, 8);
	for (sig++; *sig != ')';) {
		size_t n = one_type(sig, depth);
		int r = put(g, sig, depth + 1);

		if (r < 0)
			return r;
		sig += n;
		if (*sig != ')' && !eat(g, ','))
			return -EINVAL;
	}
	(void)eat(g, ',');
	return eat(g, ')') ? 0 : -EINVAL;
}

static int put(struct gv *g, const char *sig, int depth)
{
	char t;
	size_t n;

	if (depth > DEPTH)
		return -E2BIG;
	space(g);
	if (*g->p == '@') {
		n = one_type(++g->p, depth);
		if (!n || strncmp(g->p, sig, n) != 0)
			return -EINVAL;
		g->p += n;
		space(g);
	}
	if (*sig == 'a')
		return put_array(g, sig + 1, depth);
	if (*sig == '(')
		return put_tuple(g, sig, depth);
	t = type_word(g);
	if (t && t != *sig && g->factor == 1)
		return -EINVAL;
	if (strchr("sog", *sig)) {
		int r = quoted(g);

		if (r < 0)
			return r;
		if (*sig == 'g')
			skf_dbus_sig(g->out, skf_buf_cstr(g->word));
		else
			skf_dbus_str(g->out, skf_buf_cstr(g->word));
		return 0;
	}
	if (*sig == 'b') {
		bool yes = literal(g, "true");

		if (!yes && !literal(g, "false"))
			return -EINVAL;
		skf_dbus_u32(g->out, yes);
		return 0;
	}
	n = number(g);
	int r = !n ? -EINVAL : *sig == 'd' ? put_double(g, g->p, n) : put_integer(g, g->p, n, *sig);
	g->p += n;
	return r;
}

int skf_gvariant_prop(const char *name, const char *text, struct skf_buf *out)
{
	SKF_AUTO(skf_buf_done) struct skf_buf word = SKF_BUF(65536);
	char sig[SIG_MAX] = "", usec[128];
	struct gv g = {.p = text, .sig = sig, .word = &word, .factor = 1};
	size_t n = strlen(name);
	int r = skip_and_infer(&g, 0);

	space(&g);
	if (r < 0 || *g.p)
		return r < 0 ? r : -EINVAL;
	/* "TimeoutStopSec" of unit files is "TimeoutStopUSec" on the bus, in microseconds. */
	if (n > 4 && skf_endswith(name, "Sec") && name[n - 4] != 'U' && sig[0] && !sig[1] &&
	    strchr("nqiuxtyd", sig[0])) {
		if (skf_fmt(usec, sizeof(usec), "%.*sUSec", (int)(n - 3), name) < 0)
			return -ENAMETOOLONG;
		if (sig[0] == 'd')
			return -EINVAL;
		name = usec;
		sig[0] = 't';
		g.factor = 1000000;
	}
	skf_dbus_prop(out, name, sig);
	g.p = text;
	g.out = out;
	r = put(&g, sig, 0);
	space(&g);
	return r < 0 ? r : *g.p ? -EINVAL : out->err;
}
