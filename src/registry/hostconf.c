/* registry/hostconf.c -- registries.d: one file of lines per registry (docs/registries.md): mirrors in their
 * order, what each is good for, and what is insecure by explicit choice. The parser is pure and refuses what
 * it does not know, by line: a word that is skipped could be the one that protects. */
#include "base/fd.h"
#include "registry/registry_int.h"
#include <fcntl.h>
#include <string.h>

struct line {
	const char *p, *end;
	unsigned no;
	char word[1024];
};

/* The next word of the line into l->word. 1, 0 at its end, -1 when it is too long. */
static int next_word(struct line *l, struct skf_err *e)
{
	size_t n = 0;
	while (l->p < l->end && (*l->p == ' ' || *l->p == '\t' || *l->p == '\r'))
		l->p++;
	if (l->p == l->end || *l->p == '#')
		return 0;
	for (; l->p < l->end && *l->p != ' ' && *l->p != '\t' && *l->p != '\r'; l->p++) {
		if (n + 1 >= sizeof(l->word) || !*l->p)
			return skf_fail(e, SKF_EINVALID, "line %u: a word is too long or has a zero byte",
					l->no);
		l->word[n++] = *l->p;
	}
	l->word[n] = 0;
	return 1;
}

static int split_url(const char *url, struct skf_hostconf_mirror *m, struct skf_err *e, unsigned no)
{
	m->plain_http = skf_startswith(url, "http://");
	if (!m->plain_http && !skf_startswith(url, "https://"))
		return skf_fail(
			e, SKF_EINVALID,
			"line %u: '%.200s' should begin with https:// (or http://, which is insecure)", no,
			url);
	const char *host = strstr(url, "://") + 3, *path = strchr(host, '/');
	size_t n = path ? (size_t)(path - host) : strlen(host);
	if (!n || strcspn(host, "@?#\\%") < strlen(host) ||
	    skf_fmt(m->host, sizeof(m->host), "%.*s", (int)(n < 4096 ? n : 4096), host) < 0)
		return skf_fail(e, SKF_EINVALID, "line %u: '%.200s' is not scheme://host[:port][/path]", no,
				url);
	while (path && *path == '/')
		path++;
	n = path ? strlen(path) : 0;
	while (n && path[n - 1] == '/')
		n--;
	if (n && (strstr(path, "..") ||
		  skf_fmt(m->prefix, sizeof(m->prefix), "%.*s/", (int)(n < 4096 ? n : 4096), path) < 0))
		return skf_fail(e, SKF_EINVALID, "line %u: the path of '%.200s' is too long or climbs", no,
				url);
	return 0;
}

static int mirror_line(struct line *l, struct skf_hostconf *c, struct skf_err *e)
{
	int r = next_word(l, e);
	if (r <= 0)
		return r < 0 ? -1 : skf_fail(e, SKF_EINVALID, "line %u: 'mirror' wants a URL", l->no);
	if (c->n >= SKF_ARRAY_LEN(c->mirror))
		return skf_fail(e, SKF_ELIMIT, "line %u: more than %zu mirrors", l->no,
				SKF_ARRAY_LEN(c->mirror));
	struct skf_hostconf_mirror *m = &c->mirror[c->n];
	memset(m, 0, sizeof(*m));
	if (split_url(l->word, m, e, l->no) < 0)
		return -1;
	while ((r = next_word(l, e)) == 1) {
		if (skf_streq(l->word, "pull"))
			m->pull = true;
		else if (skf_streq(l->word, "resolve"))
			m->resolve = true;
		else if (skf_streq(l->word, "insecure"))
			m->insecure = true;
		else if (skf_streq(l->word, "ns"))
			m->ns = true;
		else
			return skf_fail(e, SKF_EINVALID,
					"line %u: '%.80s' is none of pull, resolve, insecure, ns", l->no,
					l->word);
	}
	if (!m->pull && !m->resolve)
		m->pull = m->resolve = true;
	c->n++;
	return r;
}

static int one_line(struct line *l, struct skf_hostconf *c, struct skf_err *e)
{
	const struct {
		const char *word;
		bool *flag;
	} flags[] = {{"insecure", &c->insecure},
		     {"plain-http", &c->plain_http},
		     {"blocked", &c->blocked},
		     {"no-fallback", &c->no_fallback}};
	int r = next_word(l, e);
	if (r <= 0)
		return r;
	if (skf_streq(l->word, "mirror"))
		return mirror_line(l, c, e);
	for (size_t i = 0; i < SKF_ARRAY_LEN(flags); i++) {
		if (!skf_streq(l->word, flags[i].word))
			continue;
		*flags[i].flag = true;
		r = next_word(l, e);
		return r == 1 ? skf_fail(e, SKF_EINVALID, "line %u: nothing is expected after '%s'", l->no,
					 flags[i].word)
			      : r;
	}
	return skf_fail(e, SKF_EINVALID,
			"line %u: '%.80s' is none of mirror, insecure, plain-http, blocked, no-fallback",
			l->no, l->word);
}

int skf_hostconf_parse(const char *text, size_t n, struct skf_hostconf *ret, struct skf_err *e)
{
	struct line l = {.no = 0};
	memset(ret, 0, sizeof(*ret));
	for (const char *p = text, *end = text + n; p < end; p = l.end + 1) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		l.p = p;
		l.end = nl ? nl : end;
		l.no++;
		if (one_line(&l, ret, e) < 0)
			return -1;
	}
	return 0;
}

int skf_hostconf_load(const char *dir, const char *host, struct skf_hostconf *ret, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_OBJECT_BYTES + 1);
	SKF_AUTO_FREE char *path = NULL;
	memset(ret, 0, sizeof(*ret));
	if (asprintf(&path, "%s/%s.conf", dir, host) < 0)
		return skf_fail(e, SKF_ENOMEM, "path of a registry's configuration");
	int r = skf_read_file_at(AT_FDCWD, path, SKF_MAX_OBJECT_BYTES, &b);
	if (r == -ENOENT || r == -ENOTDIR)
		return 0;
	if (r < 0)
		return skf_fail_sys(e, r, "read '%s'", path);
	return skf_hostconf_parse(skf_buf_cstr(&b), b.len, ret, e) < 0 ? skf_ctx(e, "'%s'", path) : 0;
}
