/* oci/userdb.c -- resolves a container's user against the image's /etc/passwd and /etc/group. Both files are
 * the image's and hostile: they are read line by line through one bounded buffer, never mapped or held
 * whole. Reads regular files only, so nothing blocks.
 *
 * Invariants:
 * 1. A string that looks like a number in any notation is a plain decimal number up to 2147483647 or an
 * error; it is never looked up as a name, so no passwd line can give it another meaning (T12).
 * 2. A line whose numbers are not such numbers does not exist. Nothing defaults to 0 by being malformed.
 * 3. A file larger than SKF_MAX_PASSWD_BYTES, or with a line longer than SKF_MAX_PASSWD_LINE, is an error
 * and not cut short: half of a group file would give wrong groups (T14).
 * 4. ret->gids begins with ret->gid and has no duplicates (T13). */
#include "oci/userdb.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/limits.h"
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_ID   2147483647u /* docker's range; the kernel's last id but one bit */
#define MAX_NAME 256

/* --- lines of a file --- */
struct lines {
	int fd;
	const char *what; /* "passwd", "group" */
	off_t off;        /* of the byte behind buf */
	char *buf;        /* SKF_MAX_PASSWD_LINE + 1 bytes */
	size_t pos, len;
	bool eof;
};

static void lines_done(struct lines *l)
{
	free(l->buf);
}

/* 1 ready, 0 there is no such file, -1 error. Anything but a regular file counts as absent. */
static int lines_init(struct lines *l, int fd, const char *what, struct skf_err *e)
{
	struct stat st;

	*l = (struct lines){.fd = fd, .what = what};
	if (fd < 0)
		return 0;
	if (fstat(fd, &st) < 0)
		return skf_fail_errno(e, "stat the container's %s file", what);
	if (!S_ISREG(st.st_mode))
		return 0;
	if (st.st_size > (off_t)SKF_MAX_PASSWD_BYTES)
		return skf_fail(e, SKF_ELIMIT,
				"the container's %s file has more than %u bytes; make it smaller", what,
				SKF_MAX_PASSWD_BYTES);
	l->buf = malloc(SKF_MAX_PASSWD_LINE + 1);
	if (!l->buf)
		return skf_nomem(e);
	return 1;
}

static int lines_fill(struct lines *l, struct skf_err *e)
{
	ssize_t n;

	memmove(l->buf, l->buf + l->pos, l->len - l->pos);
	l->len -= l->pos;
	l->pos = 0;
	if (l->len == SKF_MAX_PASSWD_LINE)
		return skf_fail(e, SKF_ELIMIT,
				"the container's %s file has a line of more than %d bytes; make it shorter",
				l->what, SKF_MAX_PASSWD_LINE);
	do {
		n = pread(l->fd, l->buf + l->len, SKF_MAX_PASSWD_LINE - l->len, l->off);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return skf_fail_errno(e, "read the container's %s file", l->what);
	l->off += n;
	l->len += (size_t)n;
	l->eof = n == 0;
	/* The file may grow while it is read. */
	if (l->off > (off_t)SKF_MAX_PASSWD_BYTES)
		return skf_fail(e, SKF_ELIMIT,
				"the container's %s file has more than %u bytes; make it smaller", l->what,
				SKF_MAX_PASSWD_BYTES);
	return 0;
}

/* 1 and a NUL-terminated line, which lives until the next call; 0 at the end; -1. */
static int lines_next(struct lines *l, char **ret, struct skf_err *e)
{
	char *end;

	while (!(end = memchr(l->buf + l->pos, '\n', l->len - l->pos)) && !l->eof) {
		if (lines_fill(l, e) < 0)
			return -1;
	}
	if (!end && l->pos == l->len)
		return 0;
	*ret = l->buf + l->pos;
	l->pos = end ? (size_t)(end - l->buf) + 1 : l->len;
	l->buf[end ? (size_t)(end - l->buf) : l->len] = '\0';
	return 1;
}

/* Cuts the line at its colons into n fields; the last keeps the rest, those behind `min` may be missing and
 * are then empty. */
static bool fields(char *line, char **f, size_t n, size_t min)
{
	size_t found = 0;

	while (found < n && line) {
		f[found++] = line;
		line = found < n ? strchr(line, ':') : NULL;
		if (line)
			*line++ = '\0';
	}
	for (size_t i = found; i < n; i++)
		f[i] = f[found - 1] + strlen(f[found - 1]);
	return found >= min;
}

static bool parse_id(const char *s, uint32_t *ret)
{
	uint32_t id;

	if (skf_parse_u32(s, &id) < 0 || id > MAX_ID)
		return false;
	*ret = id;
	return true;
}

/* --- what the user string says --- */
/* Anything that some parser of numbers would take: blanks, signs, decimal, hexadecimal. */
static bool looks_numeric(const char *s)
{
	s += strspn(s, " \t\r\n\v\f");
	s += strspn(s, "+-");
	if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X'))
		return s[2 + strspn(s + 2, "0123456789abcdefABCDEF")] == '\0';
	return s[0] && s[strspn(s, "0123456789")] == '\0';
}

struct who {
	const char *name; /* NULL: id is meant */
	uint32_t id;
};

static int parse_who(const char *s, const char *what, struct who *ret, struct skf_err *e)
{
	*ret = (struct who){0};
	if (looks_numeric(s)) {
		if (!parse_id(s, &ret->id))
			return skf_fail(e, SKF_EINVALID,
					"%s '%.64s': uids and gids must be plain decimal numbers in range "
					"0-2147483647",
					what, s);
		return 0;
	}
	if (strlen(s) > MAX_NAME)
		return skf_fail(e, SKF_EINVALID, "%s '%.64s...' is too long; a name has at most %d bytes",
				what, s, MAX_NAME);
	for (const char *p = s; *p; p++) {
		if ((unsigned char)*p <= ' ' || *p == 0x7f)
			return skf_fail(
				e, SKF_EINVALID,
				"%s '%.64s' has a blank or control character; expected a name or a number",
				what, s);
	}
	ret->name = s;
	return 0;
}

static bool matches(const struct who *w, const char *name, uint32_t id)
{
	return w->name ? skf_streq(w->name, name) : w->id == id;
}

/* --- passwd --- */
struct account {
	bool found;
	uint32_t uid, gid;
	char *name, *home; /* arena */
};

/* The first line that fits. */
static int find_account(const struct who *w, int fd, struct skf_arena *a, struct account *ret,
			struct skf_err *e)
{
	SKF_AUTO(lines_done) struct lines l;
	char *line, *f[7];
	uint32_t uid, gid;
	int r = lines_init(&l, fd, "passwd", e);

	*ret = (struct account){0};
	if (r <= 0)
		return r;
	while ((r = lines_next(&l, &line, e)) > 0) {
		if (!fields(line, f, 7, 4) || !f[0][0] || !parse_id(f[2], &uid) || !parse_id(f[3], &gid) ||
		    !matches(w, f[0], uid))
			continue;
		*ret = (struct account){
			.found = true,
			.uid = uid,
			.gid = gid,
			.name = skf_arena_strdup(a, f[0]),
			.home = skf_arena_strdup(a, f[5][0] ? f[5] : "/"),
		};
		if (!ret->name || !ret->home)
			return skf_nomem(e);
		return 0;
	}
	return r;
}

/* --- group --- */
struct gids {
	uint32_t *v;
	size_t n, cap;
};

static int gids_add(struct gids *g, uint32_t gid, struct skf_arena *a, struct skf_err *e)
{
	for (size_t i = 0; i < g->n; i++) {
		if (g->v[i] == gid)
			return 0;
	}
	if (g->n == SKF_MAX_GIDS)
		return skf_fail(e, SKF_ELIMIT,
				"the user is in more than %d groups; the kernel allows no more",
				SKF_MAX_GIDS);
	if (g->n == g->cap) {
		size_t cap = g->cap ? g->cap * 2 : 16;
		uint32_t *p = skf_arena_array(a, cap, sizeof(*p));
		if (!p)
			return skf_nomem(e);
		if (g->n)
			memcpy(p, g->v, g->n * sizeof(*p));
		g->v = p;
		g->cap = cap;
	}
	g->v[g->n++] = gid;
	return 0;
}

/* The list "a,b,c" has the name. Does not change it. */
static bool lists(const char *members, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = members;; p++) {
		size_t len = strcspn(p, ",");
		if (len == n && memcmp(p, name, n) == 0)
			return true;
		p += len;
		if (!*p)
			return false;
	}
}

/* Names to look up, answered in one pass over the file. */
struct wanted {
	const char *name;
	uint32_t gid;
	bool found;
};

static int scan_groups(int fd, const char *member, struct wanted *w, size_t n_w, struct gids *member_of,
		       struct skf_arena *a, struct skf_err *e)
{
	SKF_AUTO(lines_done) struct lines l;
	char *line, *f[4];
	uint32_t gid;
	int r = lines_init(&l, fd, "group", e);

	if (r <= 0)
		return r;
	while ((r = lines_next(&l, &line, e)) > 0) {
		if (!fields(line, f, 4, 3) || !f[0][0] || !parse_id(f[2], &gid))
			continue;
		for (size_t i = 0; i < n_w; i++) {
			if (!w[i].found && skf_streq(w[i].name, f[0])) {
				w[i].gid = gid;
				w[i].found = true;
			}
		}
		if (member && lists(f[3], member) && gids_add(member_of, gid, a, e) < 0)
			return -1;
	}
	return r;
}

/* --- the whole --- */
struct request {
	struct who user, group;
	bool has_group;
	struct who *extra; /* arena */
	size_t n_extra;
};

/* "user[:group]"; "user:" is docker's other way to write "user", but an empty user with a group is not: it
 * would mean root. */
static int parse_request(const char *s, const struct skf_strv *extra, struct skf_arena *a,
			 struct request *ret, struct skf_err *e)
{
	const char *colon = strchr(s, ':');
	char *user = skf_arena_dup(a, s, colon ? (size_t)(colon - s) : strlen(s));
	size_t n = extra ? extra->n : 0;

	*ret = (struct request){0};
	if (n > SKF_MAX_GIDS)
		return skf_fail(e, SKF_ELIMIT, "%zu additional groups are given; the kernel allows %d", n,
				SKF_MAX_GIDS);
	ret->extra = skf_arena_array(a, n, sizeof(*ret->extra));
	if (!user || !ret->extra)
		return skf_nomem(e);
	if (colon && !user[0])
		return skf_fail(e, SKF_EINVALID,
				"user '%.64s' has nothing before ':'; expected user[:group], each a name or "
				"a number",
				s);
	if (colon && strchr(colon + 1, ':'))
		return skf_fail(e, SKF_EINVALID,
				"user '%.64s' has two ':'; expected user[:group], each a name or a number",
				s);
	if (user[0] && parse_who(user, "user", &ret->user, e) < 0)
		return -1;
	ret->has_group = colon && colon[1];
	if (ret->has_group && parse_who(colon + 1, "group", &ret->group, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++, ret->n_extra++) {
		if (!extra->v[i][0])
			return skf_fail(e, SKF_EINVALID,
					"an additional group is empty; expected a name or a number");
		if (parse_who(extra->v[i], "group", &ret->extra[i], e) < 0)
			return -1;
	}
	return 0;
}

/* Takes the answers of the scan in the order in which they were asked. */
static int take_gid(const struct who *w, struct wanted **next, uint32_t *ret, struct skf_err *e)
{
	struct wanted *x;

	if (!w->name) {
		*ret = w->id;
		return 0;
	}
	x = (*next)++;
	if (!x->found)
		return skf_fail(e, SKF_ENOTFOUND,
				"unable to find group %s: no matching entries in group file", x->name);
	*ret = x->gid;
	return 0;
}

static int resolve_groups(const struct request *q, const struct account *acc, int group_fd,
			  struct skf_arena *a, struct skf_userdb_result *r, struct skf_err *e)
{
	struct wanted *w = skf_arena_array(a, q->n_extra + 1, sizeof(*w)), *next = w;
	struct gids member_of = {0}, all = {0};
	/* docker: with an explicit group the image's memberships do not count. */
	const char *member = acc->found && !q->has_group ? acc->name : NULL;
	size_t n_w = 0;
	uint32_t gid = 0;

	if (!w)
		return skf_nomem(e);
	if (q->has_group && q->group.name)
		w[n_w++].name = q->group.name;
	for (size_t i = 0; i < q->n_extra; i++) {
		if (q->extra[i].name)
			w[n_w++].name = q->extra[i].name;
	}
	if ((n_w || member) && scan_groups(group_fd, member, w, n_w, &member_of, a, e) < 0)
		return -1;
	if (q->has_group && take_gid(&q->group, &next, &r->gid, e) < 0)
		return -1;
	if (gids_add(&all, r->gid, a, e) < 0)
		return -1;
	for (size_t i = 0; i < member_of.n; i++) {
		if (gids_add(&all, member_of.v[i], a, e) < 0)
			return -1;
	}
	for (size_t i = 0; i < q->n_extra; i++) {
		if (take_gid(&q->extra[i], &next, &gid, e) < 0 || gids_add(&all, gid, a, e) < 0)
			return -1;
	}
	r->gids = all.v;
	r->n_gids = all.n;
	return 0;
}

int skf_userdb_resolve(const char *user, int passwd_fd, int group_fd, const struct skf_strv *extra_groups,
		       struct skf_arena *a, struct skf_userdb_result *ret, struct skf_err *e)
{
	struct skf_userdb_result r = {0};
	struct request q;
	struct account acc;

	if (parse_request(user, extra_groups, a, &q, e) < 0 ||
	    find_account(&q.user, passwd_fd, a, &acc, e) < 0)
		return -1;
	if (!acc.found && q.user.name)
		return skf_fail(e, SKF_ENOTFOUND,
				"unable to find user %s: no matching entries in passwd file", q.user.name);
	r.uid = acc.found ? acc.uid : q.user.id;
	r.gid = acc.found ? acc.gid : 0;
	r.name = acc.found ? acc.name : skf_arena_strdup(a, "");
	r.home = acc.found ? acc.home : skf_arena_strdup(a, "/");
	if (!r.name || !r.home)
		return skf_nomem(e);
	if (resolve_groups(&q, &acc, group_fd, a, &r, e) < 0)
		return -1;
	*ret = r;
	return 0;
}

int skf_userdb_home(uint32_t uid, int passwd_fd, struct skf_arena *a, char **ret, struct skf_err *e)
{
	struct who w = {.id = uid};
	struct account acc;
	char *home;

	if (find_account(&w, passwd_fd, a, &acc, e) < 0)
		return -1;
	home = acc.found ? acc.home : skf_arena_strdup(a, "/");
	if (!home)
		return skf_nomem(e);
	*ret = home;
	return 0;
}
