/* engine/net_gone.c -- the check's pass over firewall tables and bridges of roots that were removed as a
 * directory (rm -rf) while they had networks. Nobody else can find them: what knew of them was in the
 * directory. Only the check of the host's root does this.
 *
 * A table says where its root is: chain `home_<major>_<minor>_<type>_<handle>`, of the root's directory a
 * file handle (name_to_handle_at(2)) and the device of its file system. A handle means one inode for ever,
 * whatever the directory is called, and in every mount namespace; a number that is used again is another
 * handle. Each bridge says it, too, behind the mark in its alias: for when somebody flushed the tables.
 *
 * Invariant: a table of a root that exists is never touched. Gone is certain only: the file system is
 * mounted here, and the kernel says that it has no such inode any more, or that it has no name. A root whose
 * file system is not mounted here, that has no handles, or whose table has no such chain (made by an older
 * version) counts as one that exists. A copied root has the same mark and a chain of its own: all of them
 * have to be gone. And while a container has a port on one of its bridges (it may run on after its root was
 * removed) everything stays: its rules are what keeps others out of it, and it in its place. */
#include "engine/check_int.h"
#include "engine/net_int.h"
#include "network/table.h"
#include "sys/mountinfo.h"
#include "sys/nlmsg.h"
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define HOME       "home_"
#define ROOT       "root_"
#define MAX_HANDLE 64
#define MAX_MOUNTS 8 /* of one file system, that are tried */

struct handle {
	struct file_handle h;
	unsigned char bytes[MAX_HANDLE];
};

int skf_net_home(int root_fd, char ret[SKF_NET_HOME])
{
	struct handle x = {.h.handle_bytes = MAX_HANDLE};
	char hex[2 * MAX_HANDLE + 1] = "";
	struct stat st;
	int mount;

	if (name_to_handle_at(root_fd, "", &x.h, &mount, AT_EMPTY_PATH) < 0 || fstat(root_fd, &st) < 0)
		return -errno;
	for (unsigned i = 0; i < x.h.handle_bytes; i++)
		snprintf(hex + (size_t)2 * i, 3, "%02x", x.bytes[i]);
	return skf_fmt(ret, SKF_NET_HOME, HOME "%u_%u_%d_%s", major(st.st_dev), minor(st.st_dev),
		       x.h.handle_type, hex);
}

bool skf_net_alias_is_of(const char *alias, const char *mark)
{
	const char *p = alias && skf_startswith(alias, SKF_NET_ALIAS) ? alias + strlen(SKF_NET_ALIAS) : NULL;

	return p && skf_startswith(p, mark) && (p[strlen(mark)] == '\0' || p[strlen(mark)] == ' ');
}

/* 1 it is gone, 0 it is there or nobody can say. mount: a directory of its file system. */
static int is_gone_from(int mount, struct handle *x)
{
	SKF_AUTO_FD int fd = open_by_handle_at(mount, &x->h, O_PATH | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return errno == ESTALE;
	return fstat(fd, &st) == 0 && st.st_nlink == 0; /* somebody has it open */
}

/* False for a name that the function above did not make. */
static bool parse_home(const char *home, uint32_t *ret_major, uint32_t *ret_minor, struct handle *ret)
{
	char mem[SKF_NET_HOME], *save = NULL, *word[4];
	uint32_t type;

	if (!skf_startswith(home, HOME) || skf_fmt(mem, sizeof(mem), "%s", home + strlen(HOME)) < 0)
		return false;
	for (size_t i = 0; i < SKF_ARRAY_LEN(word); i++) {
		word[i] = strtok_r(i == 0 ? mem : NULL, "_", &save);
		if (!word[i])
			return false;
	}
	if (skf_parse_u32(word[0], ret_major) < 0 || skf_parse_u32(word[1], ret_minor) < 0 ||
	    skf_parse_u32(word[2], &type) < 0 || type > INT_MAX || strlen(word[3]) % 2 ||
	    strlen(word[3]) / 2 > MAX_HANDLE || skf_hex_bytes(word[3], ret->bytes, strlen(word[3]) / 2) < 0)
		return false;
	ret->h.handle_type = (int)type;
	ret->h.handle_bytes = (unsigned)strlen(word[3]) / 2;
	return true;
}

static int is_gone(const char *home)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_MOUNTINFO);
	char dev[32], *text = NULL;
	struct skf_mountinfo m;
	struct handle x = {0};
	uint32_t maj, min;
	unsigned tries = 0;

	if (!parse_home(home, &maj, &min, &x))
		return 0;
	snprintf(dev, sizeof(dev), "%u:%u", maj, min);
	if (skf_read_file_at(AT_FDCWD, "/proc/self/mountinfo", SKF_MAX_MOUNTINFO, &b) >= 0)
		text = b.p; /* NUL behind it */
	while (tries < MAX_MOUNTS && skf_mountinfo_next(&text, &m)) {
		SKF_AUTO_FD int fd = -EBADF;
		struct stat st;

		if (!skf_streq(m.dev, dev))
			continue;
		tries++;
		fd = skf_openat(AT_FDCWD, m.point, O_RDONLY | O_NONBLOCK, 0);
		if (fd >= 0 && fstat(fd, &st) == 0 &&
		    st.st_dev == makedev(maj, min)) /* nothing is mounted over it */
			return is_gone_from(fd, &x);
	}
	return 0;
}

/* --- tables --- */
struct tables {
	struct check *c;
	struct skf_strv names, marks; /* marks: of the roots of these tables */
};

static int note_table(const char *name, void *user)
{
	struct tables *t = user;

	return skf_startswith(name, SKF_NFT_TABLE) && strlen(name) < SKF_NFT_TABLE_MAX &&
			       (name[strlen(SKF_NFT_TABLE)] == '\0' || name[strlen(SKF_NFT_TABLE)] == '_')
		       ? skf_strv_add(t->c->a, &t->names, name)
		       : 0;
}

struct owner {
	char mark[SKF_NET_MARK + 1];
	size_t homes, gone;
};

static int note_owner(const char *chain, void *user)
{
	struct owner *o = user;

	if (skf_startswith(chain, ROOT) && skf_is_hex(chain + strlen(ROOT), SKF_NET_MARK))
		memcpy(o->mark, chain + strlen(ROOT), SKF_NET_MARK);
	if (skf_startswith(chain, HOME)) {
		o->homes++;
		o->gone += (size_t)is_gone(chain);
	}
	return 0;
}

/* --- links --- */
struct links {
	struct check *c;
	const char *mark;
	struct skf_strv named;   /* set `bridges` of the table */
	struct skf_strv bridges; /* with the root's mark */
	struct skf_strv ports;   /* veths with names of ours */
	int of[1024], masters[4096];
	size_t n_of;
	const char *port; /* one that is still there */
};

static int note_named(const struct skf_nft_elem *x, void *user)
{
	struct links *l = user;
	char name[IFNAMSIZ + 1] = "";

	memcpy(name, x->key, x->key_len < IFNAMSIZ ? x->key_len : IFNAMSIZ);
	return skf_strv_add(l->c->a, &l->named, name);
}

static int note_link(const struct skf_link_row *row, void *user)
{
	struct links *l = user;
	bool ours = skf_streq(row->kind, "bridge") && skf_net_alias_is_of(row->alias, l->mark), known = ours;

	if (skf_streq(row->kind, "veth") && row->master && skf_net_is_veth_name(row->name)) {
		if (l->ports.n == SKF_ARRAY_LEN(l->masters))
			return -E2BIG;
		l->masters[l->ports.n] = row->master;
		return skf_strv_add(l->c->a, &l->ports, row->name);
	}
	for (size_t i = 0; i < l->named.n && !known; i++)
		known = skf_streq(l->named.v[i], row->name);
	if (!known)
		return 0;
	if (l->n_of == SKF_ARRAY_LEN(l->of))
		return -E2BIG;
	l->of[l->n_of++] = row->index;
	return ours ? skf_strv_add(l->c->a, &l->bridges, row->name) : 0;
}

/* Bridges of the root, and whether a container is left on one. */
static int look_at_links(struct links *l, int nl, struct skf_nft *n)
{
	int r = skf_nft_each_elem(n, "bridges", note_named, l);

	if (r == 0 || r == -ENOENT)
		r = skf_link_each(nl, note_link, l);
	for (size_t i = 0; r == 0 && i < l->ports.n; i++)
		for (size_t k = 0; k < l->n_of; k++)
			if (l->masters[i] == l->of[k])
				l->port = l->ports.v[i];
	return r;
}

static int tell(struct check *c, const char *kind, const char *object, int r, const char *kept,
		struct skf_err *e)
{
	char text[160];

	if (kept)
		snprintf(text, sizeof(text), "kept: %s", kept);
	else if (r < 0)
		snprintf(text, sizeof(text), "repair failed: %s", strerror(-r));
	return skf_check_report(c, kind, object, "the directory of its root was removed",
				!c->repair      ? ""
				: kept || r < 0 ? text
						: "removed",
				e);
}

static int clear(struct check *c, struct links *l, int nl, struct skf_nft *n, const char *table,
		 struct skf_err *e)
{
	char why[96];
	const char *kept = NULL;
	unsigned rules = 0;
	int r = skf_nft_count_rules(n, SKF_NFT_USER, &rules);

	if (l->port) {
		snprintf(why, sizeof(why), "a container of it runs (interface %s)", l->port);
		kept = why;
	} else if (r < 0 && r != -ENOENT) {
		return skf_fail_sys(e, r, "read chain " SKF_NFT_USER " of the firewall table %s", table);
	}
	for (size_t i = 0; i < l->bridges.n; i++) {
		r = c->repair && !kept ? skf_link_delete(nl, l->bridges.v[i]) : 0;
		if (tell(c, "bridge", l->bridges.v[i], r == -ENODEV ? 0 : r, kept, e) < 0)
			return -1;
	}
	if (rules && !kept)
		kept = "its chain " SKF_NFT_USER " has rules of the administrator";
	r = c->repair && !kept ? skf_net_table_delete(n) : 0;
	return tell(c, "firewall table", table, r, kept, e);
}

static int look_at_table(struct tables *t, int nl, struct skf_nft *n, const char *table, const char *mark,
			 struct skf_err *e)
{
	struct check *c = t->c;
	struct links *l = skf_arena_alloc(c->a, sizeof(*l));
	struct owner o = {.homes = 0};
	int r = l ? skf_nft_use(n, table) : -ENOMEM;

	if (r == 0)
		r = skf_nft_each_chain(n, note_owner, &o);
	if (*o.mark && skf_strv_add(c->a, &t->marks, o.mark) < 0)
		r = -ENOMEM;
	if (r == -ENOENT ||
	    (r == 0 && (!*o.mark || o.homes == 0 || o.gone != o.homes || skf_streq(o.mark, mark))))
		return 0;
	if (r == 0) {
		*l = (struct links){.c = c, .mark = o.mark};
		r = look_at_links(l, nl, n);
	}
	return r < 0 ? skf_fail_sys(e, r, "look at the firewall table %s", table)
		     : clear(c, l, nl, n, table, e);
}

/* --- bridges whose table somebody flushed --- */
struct bare {
	struct tables *t;
	const char *mark;        /* ours */
	struct skf_strv bridges; /* of roots that are gone */
	int of[1024];
	const char *ports[1024]; /* one container's interface on each, or NULL */
	size_t n;
};

static int note_bare(const struct skf_link_row *row, void *user)
{
	struct bare *b = user;
	const char *p = row->alias && skf_startswith(row->alias, SKF_NET_ALIAS)
				? row->alias + strlen(SKF_NET_ALIAS)
				: "";
	const char *home = strchr(p, ' ');

	if (!skf_streq(row->kind, "bridge") || !home || home - p != SKF_NET_MARK ||
	    skf_net_alias_is_of(row->alias, b->mark))
		return 0;
	for (size_t i = 0; i < b->t->marks.n; i++)
		if (skf_net_alias_is_of(row->alias, b->t->marks.v[i]))
			return 0; /* its table is there, and was asked */
	if (!is_gone(home + 1))
		return 0;
	if (b->n == SKF_ARRAY_LEN(b->of))
		return 0; /* the next check finds the others */
	b->of[b->n++] = row->index;
	return skf_strv_add(b->t->c->a, &b->bridges, row->name);
}

static int note_bare_port(const struct skf_link_row *row, void *user)
{
	struct bare *b = user;

	for (size_t i = 0; row->master && i < b->n; i++)
		if (b->of[i] == row->master && !b->ports[i]) {
			b->ports[i] = skf_arena_strdup(b->t->c->a, row->name);
			return b->ports[i] ? 0 : -ENOMEM;
		}
	return 0;
}

static int look_at_bridges(struct tables *t, int nl, const char *mark, struct skf_err *e)
{
	struct bare *b = skf_arena_alloc(t->c->a, sizeof(*b));
	int r = b ? 0 : -ENOMEM;

	if (r == 0) {
		*b = (struct bare){.t = t, .mark = mark};
		r = skf_link_each(nl, note_bare, b);
	}
	if (r == 0 && b->n)
		r = skf_link_each(nl, note_bare_port, b);
	if (r < 0)
		return skf_fail_sys(e, r, "list the host's interfaces");
	for (size_t i = 0; i < b->n; i++) {
		char why[96];

		if (b->ports[i])
			snprintf(why, sizeof(why), "a container of it runs (interface %s)", b->ports[i]);
		r = t->c->repair && !b->ports[i] ? skf_link_delete(nl, b->bridges.v[i]) : 0;
		if (tell(t->c, "bridge", b->bridges.v[i], r == -ENODEV ? 0 : r, b->ports[i] ? why : NULL,
			 e) < 0)
			return -1;
	}
	return 0;
}

int skf_check_networks_gone(struct check *c, struct skf_err *e)
{
	SKF_AUTO_FD int nl = -EBADF;
	SKF_AUTO(skf_nft_freep) struct skf_nft *n = NULL;
	struct tables t = {.c = c};
	struct skf_err x = SKF_ERR_INIT;
	char mark[SKF_NET_MARK + 1];
	int r;

	if (!skf_net_is_host_root(c->g))
		return 0;
	if (skf_nft_open(&n, &x) < 0)
		return 0; /* no nf_tables, no tables */
	nl = skf_nlm_open(NETLINK_ROUTE);
	if (nl < 0)
		return skf_fail_sys(e, nl, "open a netlink socket");
	if (skf_net_mark(c->g, mark, e) < 0)
		return -1;
	r = skf_nft_each_table(n, note_table, &t);
	if (r < 0)
		return skf_fail_sys(e, r, "list the firewall tables");
	for (size_t i = 0; i < t.names.n; i++)
		if (look_at_table(&t, nl, n, t.names.v[i], mark, e) < 0)
			return -1;
	return look_at_bridges(&t, nl, mark, e);
}
