/* engine/filter.c -- docker's --filter words. Pure. */
#include "engine/filter.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include <string.h>

/* Without white space around it. */
static char *trimmed(struct skf_arena *a, const char *p, size_t n, bool lower)
{
	char *s;

	while (n && strchr(" \t\r\n", *p))
		p++, n--;
	while (n && strchr(" \t\r\n", p[n - 1]))
		n--;
	s = skf_arena_dup(a, p, n);
	for (size_t i = 0; s && lower && i < n; i++)
		s[i] = (char)(s[i] >= 'A' && s[i] <= 'Z' ? s[i] + 32 : s[i]);
	return s;
}

static struct skf_filter *find_or_add(struct skf_filters *f, char *name)
{
	for (size_t i = 0; i < f->n; i++)
		if (skf_streq(f->f[i].name, name))
			return &f->f[i];
	if (f->n == SKF_MAX_FILTERS)
		return NULL; /* cannot happen: no list of known names is that long */
	f->f[f->n].name = name;
	return &f->f[f->n++];
}

static int compile(struct skf_filters *f, struct skf_arena *a)
{
	for (size_t i = 0; i < f->n; i++) {
		struct skf_filter *x = &f->f[i];

		x->re = skf_arena_array(a, x->v.n, sizeof(*x->re));
		x->re_ok = skf_arena_array(a, x->v.n, sizeof(*x->re_ok));
		if (!x->re || !x->re_ok)
			return -ENOMEM;
		x->re_n = x->v.n;
		for (size_t k = 0; k < x->v.n;
		     k++) /* one that is no expression matches itself only, as in docker */
			x->re_ok[k] = strlen(x->v.v[k]) <= SKF_MAX_FILTER_BYTES &&
				      regcomp(&x->re[k], x->v.v[k], REG_EXTENDED | REG_NOSUB) == 0;
	}
	return 0;
}

int skf_filters_invalid(const char *name, const char *value, struct skf_err *e)
{
	return skf_fail(e, SKF_EINVALID, "invalid filter '%s=%s'", name, value);
}

int skf_filters_parse(const struct skf_strv *words, const char *const *known, struct skf_arena *a,
		      struct skf_filters *ret, struct skf_err *e)
{
	memset(ret, 0, sizeof(*ret));
	for (size_t i = 0; i < words->n; i++) {
		const char *w = words->v[i], *eq = strchr(w, '=');
		size_t k = 0;
		struct skf_filter *f;
		char *name, *value;

		if (!eq)
			return skf_fail(e, SKF_EINVALID, "bad format of filter '%s' (expected name=value)",
					w);
		name = trimmed(a, w, (size_t)(eq - w), true);
		value = trimmed(a, eq + 1, strlen(eq + 1), false);
		if (!name || !value)
			return skf_fail(e, SKF_ENOMEM, "memory for the filters");
		while (known[k] && !skf_streq(known[k], name))
			k++;
		if (!known[k])
			return skf_fail(e, SKF_EINVALID, "invalid filter '%s'", name);
		f = find_or_add(ret, name);
		if (!f || skf_strv_add(a, &f->v, value) < 0)
			return skf_fail(e, SKF_ENOMEM, "memory for the filters");
	}
	return compile(ret, a) < 0 ? skf_fail(e, SKF_ENOMEM, "memory for the filters") : 0;
}

void skf_filters_done(struct skf_filters *f)
{
	for (size_t i = 0; i < f->n; i++)
		for (size_t k = 0; k < f->f[i].re_n; k++)
			if (f->f[i].re_ok[k])
				regfree(&f->f[i].re[k]);
	memset(f, 0, sizeof(*f));
}

const struct skf_filter *skf_filters_get(const struct skf_filters *f, const char *name)
{
	for (size_t i = 0; i < f->n; i++)
		if (skf_streq(f->f[i].name, name))
			return &f->f[i];
	return NULL;
}

bool skf_filters_exact(const struct skf_filters *f, const char *name, const char *text)
{
	const struct skf_filter *x = skf_filters_get(f, name);

	for (size_t k = 0; x && k < x->v.n; k++)
		if (skf_streq(x->v.v[k], text))
			return true;
	return !x;
}

bool skf_filters_match(const struct skf_filters *f, const char *name, const char *text)
{
	const struct skf_filter *x = skf_filters_get(f, name);

	if (skf_filters_exact(f, name, text))
		return true;
	for (size_t k = 0; k < x->v.n; k++)
		if (x->re_ok[k] && regexec(&x->re[k], text, 0, NULL, 0) == 0)
			return true;
	return false;
}

bool skf_filters_labels(const struct skf_filters *f, const struct skf_kvs *labels)
{
	const struct skf_filter *x = skf_filters_get(f, "label");

	for (size_t k = 0; x && k < x->v.n; k++) {
		const char *w = x->v.v[k], *eq = strchr(w, '=');
		size_t n = eq ? (size_t)(eq - w) : strlen(w);
		bool found = false;

		for (size_t i = 0; i < labels->n && !found; i++)
			found = strlen(labels->v[i].k) == n && !memcmp(labels->v[i].k, w, n) &&
				(!eq || skf_streq(labels->v[i].v, eq + 1));
		if (!found)
			return false;
	}
	return true;
}

int skf_filters_bool(const struct skf_filters *f, const char *name, int *ret, struct skf_err *e)
{
	const struct skf_filter *x = skf_filters_get(f, name);

	*ret = -1;
	for (size_t k = 0; x && k < x->v.n; k++) {
		bool yes = skf_streq(x->v.v[k], "true") || skf_streq(x->v.v[k], "1");

		if (!yes && !skf_streq(x->v.v[k], "false") && !skf_streq(x->v.v[k], "0"))
			return skf_filters_invalid(name, x->v.v[k], e);
		if (*ret >= 0 && *ret != yes)
			return skf_filters_invalid(name, x->v.v[k], e);
		*ret = yes;
	}
	return 0;
}

int skf_filters_until(const struct skf_filters *f, int64_t *ret, struct skf_err *e)
{
	const struct skf_filter *u = skf_filters_get(f, "until");
	int64_t until = 0;

	for (size_t i = 0; u && i < u->v.n; i++)
		if (skf_parse_rfc3339(u->v.v[i], &until) < 0)
			return skf_filters_invalid("until", u->v.v[i], e);
	*ret = until;
	return 0;
}

static bool label_matches(const struct skf_kvs *labels, const char *word)
{
	const char *eq = strchr(word, '=');

	for (size_t i = 0; i < labels->n; i++) {
		size_t n = strlen(labels->v[i].k);

		if (strncmp(labels->v[i].k, word, n) == 0 &&
		    (eq ? (size_t)(eq - word) == n && skf_streq(eq + 1, labels->v[i].v) : !word[n]))
			return true;
	}
	return false;
}

bool skf_filters_prune(const struct skf_filters *f, const struct skf_kvs *labels, int64_t created_ns,
		       int64_t until)
{
	const struct skf_filter *without = skf_filters_get(f, "label!");

	for (size_t i = 0; without && i < without->v.n; i++)
		if (label_matches(labels, without->v.v[i]))
			return false;
	return (!until || created_ns < until) && skf_filters_labels(f, labels);
}
