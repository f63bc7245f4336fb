/* cli/semver.c -- versions and conditions (semver.h). A version may lack minor and patch and may begin with
 * v; in a condition what is missing or x or * leaves that part open ("dirty"). The rules follow the library
 * that skopeo uses, because lists are shared with it. */
#include "cli/semver.h"
#include "base/err.h"
#include <string.h>

struct version {
	uint64_t n[3];
	unsigned open;   /* first part that is left open: 0 all, 3 none */
	const char *pre; /* after '-' */
	size_t pre_n;
};
struct term {
	enum { EQ, NE, GT, GE, LT, LE, TILDE, CARET } op;
	struct version v;
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_ident(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
}

/* Identifiers with dots between them. */
static const char *identifiers(const char *p)
{
	const char *from = p;

	while (is_ident(*p) || (*p == '.' && p > from && p[-1] != '.'))
		p++;
	return p > from && p[-1] != '.' ? p : NULL;
}

/* Behind the version, NULL: none. loose: parts may be x, X or *. */
static const char *parse_version(const char *p, bool loose, struct version *ret)
{
	unsigned i;

	*ret = (struct version){.open = 3};
	p += *p == 'v';
	for (i = 0; i < 3; i++) {
		if (loose && strchr("xX*", *p) && *p) {
			ret->open = ret->open > i ? i : ret->open;
			p++;
		} else if (is_digit(*p)) {
			for (; is_digit(*p); p++) {
				if (ret->n[i] > UINT64_MAX / 10 - 1)
					return NULL;
				ret->n[i] = ret->n[i] * 10 + (uint64_t)(*p - '0');
			}
		} else {
			return NULL;
		}
		if (*p != '.')
			break;
		p++;
	}
	if (i < 2 && ret->open > i + 1)
		ret->open = i + 1;
	if (i == 3)
		return NULL; /* a dot behind the last part */
	if (*p == '-') {
		ret->pre = p + 1;
		p = identifiers(p + 1);
		ret->pre_n = p ? (size_t)(p - ret->pre) : 0;
	}
	return p && *p == '+' ? identifiers(p + 1) : p;
}

static int compare_ident(const char *a, size_t na, const char *b, size_t nb)
{
	bool number_a = strspn(a, "0123456789") >= na, number_b = strspn(b, "0123456789") >= nb;
	int r;

	if (number_a != number_b)
		return number_a ? -1 : 1;
	if (number_a && na != nb)
		return na < nb ? -1 : 1; /* the same number of digits decides below */
	r = memcmp(a, b, na < nb ? na : nb);
	return r ? r : na == nb ? 0 : na < nb ? -1 : 1;
}

static int compare_pre(const struct version *a, const struct version *b)
{
	const char *p = a->pre, *pe = p + a->pre_n, *q = b->pre, *qe = q + b->pre_n;

	if (!a->pre_n || !b->pre_n)
		return a->pre_n ? -1 : b->pre_n ? 1 : 0;
	while (p < pe && q < qe) {
		size_t n = strcspn(p, ".+"), m = strcspn(q, ".+");
		int r;

		n = n > (size_t)(pe - p) ? (size_t)(pe - p) : n;
		m = m > (size_t)(qe - q) ? (size_t)(qe - q) : m;
		r = compare_ident(p, n, q, m);
		if (r)
			return r;
		p += n + (p + n < pe);
		q += m + (q + m < qe);
	}
	return p < pe ? 1 : q < qe ? -1 : 0;
}

static int compare(const struct version *a, const struct version *b)
{
	for (unsigned i = 0; i < 3; i++)
		if (a->n[i] != b->n[i])
			return a->n[i] < b->n[i] ? -1 : 1;
	return compare_pre(a, b);
}

/* The first `n` parts are the same. */
static bool same(const struct version *a, const struct version *b, unsigned n)
{
	return memcmp(a->n, b->n, n * sizeof(a->n[0])) == 0;
}

static bool caret(const struct version *c, const struct version *v)
{
	/* the first part that is not zero, or the last one that is not open, must stay */
	unsigned i = 0;

	while (i < 2 && c->n[i] == 0 && i + 1 < c->open)
		i++;
	return compare(v, c) >= 0 && same(v, c, i + 1);
}

static bool fits(const struct term *t, const struct version *v)
{
	const struct version *c = &t->v;
	bool all_open = c->open == 0, dirty = c->open < 3;

	if (v->pre_n && !c->pre_n)
		return false;
	if (all_open)
		return t->op != NE && t->op != GT && t->op != LT;
	switch (t->op) {
	case EQ:
		return dirty ? same(v, c, c->open) : compare(v, c) == 0;
	case NE:
		return dirty ? !same(v, c, c->open) : compare(v, c) != 0;
	case GT:
		return compare(v, c) > 0 && !(dirty && same(v, c, c->open));
	case GE:
		return compare(v, c) >= 0;
	case LT:
		return compare(v, c) < 0;
	case LE:
		return compare(v, c) <= 0 || (dirty && same(v, c, c->open));
	case TILDE:
		return compare(v, c) >= 0 && same(v, c, c->open < 2 ? c->open : 2);
	case CARET:
		return caret(c, v);
	}
	return false;
}

static const char *blanks(const char *p)
{
	return p + strspn(p, " \t");
}

/* One term, or the first half of "A - B" (then *half). NULL: none. */
static const char *parse_term(const char *p, struct term *ret, const char **half)
{
	static const struct {
		const char *word;
		int op;
	} ops[] = {{"!=", NE}, {">=", GE}, {"=>", GE}, {"<=", LE},   {"=<", LE},   {"~>", TILDE},
		   {"=", EQ},  {">", GT},  {"<", LT},  {"~", TILDE}, {"^", CARET}, {"", EQ}};
	size_t i = 0;
	const char *end;

	while (strncmp(p, ops[i].word, strlen(ops[i].word)) != 0)
		i++;
	ret->op = ops[i].op;
	p = parse_version(blanks(p + strlen(ops[i].word)), true, &ret->v);
	*half = NULL;
	if (!p || (*p && !strchr(" \t,|", *p)))
		return NULL;
	end = blanks(p);
	if (end > p && end[0] == '-' && (end[1] == ' ' || end[1] == '\t') && !*ops[i].word) {
		ret->op = GE;
		*half = blanks(end + 1);
	}
	return end;
}

/* 1 fits, 0 does not, -1 is no condition. v NULL: only looks at its form. */
static int judge(const char *p, const struct version *v)
{
	bool any = false, all = true;

	for (p = blanks(p);; p = blanks(p)) {
		const char *half;
		struct term t;

		p = parse_term(p, &t, &half);
		if (!p)
			return -1;
		all &= !v || fits(&t, v);
		if (half) {
			t.op = LE;
			p = parse_version(half, true, &t.v);
			if (!p)
				return -1;
			p = blanks(p);
			all &= !v || fits(&t, v);
		}
		if (p[0] == '|' && p[1] == '|') {
			any |= all;
			all = true;
			p += 2;
		} else if (!*p) {
			return any || all;
		} else {
			p += *p == ',';
		}
	}
}

int skf_semver_check(const char *condition, struct skf_err *e)
{
	return judge(condition, NULL) < 0 ? skf_fail(e, SKF_EINVALID,
						     "'%.100s' is no condition on versions, like '>= 1.2, < "
						     "2' or '~1.4 || ^2.0.1'",
						     condition)
					  : 0;
}

bool skf_semver_fits(const char *condition, const char *tag)
{
	struct version v;
	const char *end = parse_version(tag, false, &v);

	return end && !*end && judge(condition, &v) == 1;
}
