/* engine/net_check_host.c -- the check's pass over what networks have on the host: bridges and veths that no
 * network and no record knows, and what of our firewall table belongs to nothing, or is missing. With repair
 * it goes, or comes back; and when no container uses a network, the default bridge and the table go, too
 * (net_idle.c).
 *
 * Invariants: (1) ours is what says so: a bridge with our alias, a port of such a bridge with a veth's name
 * of ours, our own table (net_claim.c); what another root has in the same network namespace is never
 * touched. (2) A start writes its record before it makes a link or element, and a reap removes it last: so
 * links are listed before the records, and the table is read under the lock of all who change it. */
#include "engine/check_int.h"
#include "engine/net_int.h"
#include "network/egress.h"
#include "sys/nlmsg.h"
#include <linux/netfilter.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

static int told(struct check *c, const char *kind, const char *object, const char *problem, const char *done,
		const struct skf_err *x, struct skf_err *e)
{
	char text[600];

	snprintf(text, sizeof(text), x->kind ? "repair failed: %s" : "%s", x->kind ? x->msg : done);
	return skf_check_report(c, kind, object, problem, c->repair ? text : "", e);
}

/* --- links --- */
struct links {
	struct check *c;
	char mark[SKF_NET_MARK + 1];
	struct skf_strv bridges; /* of networks that exist */
	struct skf_strv orphans; /* bridges that say they are ours */
	struct skf_strv ports;   /* veths with names of ours */
	int masters[4096];       /* of the ports, and ours */
	int ours[1024];
	size_t n_ours;
};

static int note_network(struct links *l, const char *id)
{
	struct skf_err x = SKF_ERR_INIT;
	struct skf_network *n;

	if (skf_network_load(l->c->g->root_fd, id, l->c->a, &n, &x) < 0 || !skf_streq(n->driver, "bridge"))
		return 0; /* a damaged one has its own row; its bridge stays */
	return skf_strv_add(l->c->a, &l->bridges, n->interface);
}

bool skf_net_is_veth_name(const char *name)
{
	return skf_startswith(name, "veth") && strlen(name) > 4 + SKF_LINK_ID &&
	       skf_is_hex(name + 4, strlen(name) - 4);
}

static int note_link(const struct skf_link_row *row, void *user)
{
	struct links *l = user;
	bool known = false;

	if (skf_streq(row->kind, "veth") && row->master && skf_net_is_veth_name(row->name) &&
	    l->ports.n < SKF_ARRAY_LEN(l->masters)) {
		l->masters[l->ports.n] = row->master;
		return skf_strv_add(l->c->a, &l->ports, row->name);
	}
	if (!skf_streq(row->kind, "bridge") || !skf_net_alias_is_of(row->alias, l->mark))
		return 0;
	if (l->n_ours < SKF_ARRAY_LEN(l->ours))
		l->ours[l->n_ours++] = row->index;
	for (size_t i = 0; i < l->bridges.n && !known; i++)
		known = skf_streq(l->bridges.v[i], row->name);
	return known ? 0 : skf_strv_add(l->c->a, &l->orphans, row->name);
}

/* Links that a record names. */
static int recorded(struct check *c, struct skf_strv *ret, struct skf_err *e)
{
	struct skf_strv ids = {0};

	if (skf_netrec_list(c->g->run_fd, c->a, &ids, e) < 0)
		return -1;
	for (size_t i = 0; i < ids.n; i++) {
		const struct skf_endpoint *p;
		struct skf_netrec *r;
		int k = skf_netrec_read(c->g->run_fd, ids.v[i], c->a, &r, e);

		if (k < 0)
			return -1;
		p = k ? r->endpoints.v : NULL;
		for (size_t j = 0; k && j < r->endpoints.n; j++)
			if (p[j].link && *p[j].link && skf_strv_add(c->a, ret, p[j].link) < 0)
				return skf_net_no_memory(e);
	}
	return 0;
}

static bool has(const struct skf_strv *v, const char *word)
{
	for (size_t i = 0; i < v->n; i++)
		if (skf_streq(v->v[i], word))
			return true;
	return false;
}

/* The kernel takes the namespace of a container that has just ended down when it finds the time, and the
 * link with it. */
static bool goes_by_itself(int nl, const char *name)
{
	const struct timespec moment = {.tv_nsec = 20000000};
	struct skf_link l;

	for (int i = 0; i < 50; i++) {
		if (skf_link_get(nl, name, &l) == -ENODEV)
			return true;
		nanosleep(&moment, NULL);
	}
	return false;
}

static int remove_link(struct check *c, int nl, const char *kind, const char *name, const char *problem,
		       struct skf_err *e)
{
	struct skf_err x = SKF_ERR_INIT;
	int r = c->repair ? skf_link_delete(nl, name) : 0;

	if (r < 0 && r != -ENODEV)
		skf_fail_sys(&x, r, "remove the interface '%s'", name);
	return told(c, kind, name, problem, "removed", &x, e);
}

static bool is_ours(const struct links *l, int master)
{
	for (size_t i = 0; i < l->n_ours; i++)
		if (l->ours[i] == master)
			return true;
	return false;
}

static int check_links(struct check *c, struct skf_err *e)
{
	SKF_AUTO_FD int nl = skf_nlm_open(NETLINK_ROUTE);
	struct links *l = skf_arena_alloc(c->a, sizeof(*l));
	struct skf_strv ids = {0}, known = {0};
	int r;

	if (nl < 0 || !l)
		return skf_fail_sys(e, nl < 0 ? nl : -ENOMEM, "look at the host's interfaces");
	*l = (struct links){.c = c};
	if (skf_net_mark(c->g, l->mark, e) < 0 || skf_network_list(c->g->root_fd, c->a, &ids, e) < 0)
		return -1;
	for (size_t i = 0; i < ids.n; i++)
		if (note_network(l, ids.v[i]) < 0)
			return skf_net_no_memory(e);
	r = skf_link_each(nl, note_link, l);
	if (r < 0)
		return skf_fail_sys(e, r, "list the host's interfaces");
	if (recorded(c, &known, e) < 0)
		return -1;
	for (size_t i = 0; i < l->ports.n; i++)
		if (is_ours(l, l->masters[i]) && !has(&known, l->ports.v[i]) &&
		    !goes_by_itself(nl, l->ports.v[i]) &&
		    remove_link(c, nl, "interface", l->ports.v[i],
				"it is on a bridge of ours and belongs to no container", e) < 0)
			return -1;
	for (size_t i = 0; i < l->orphans.n; i++)
		if (remove_link(c, nl, "bridge", l->orphans.v[i], "it belongs to no network", e) < 0)
			return -1;
	return 0;
}

/* --- the table --- */
struct key {
	char set[20];
	uint8_t family, end, len, key[40], to[40]; /* to: key_end */
};
struct keys {
	struct skf_buf b; /* struct key after struct key */
	const char *set;
	uint8_t family;
};

static int by_bytes(const void *x, const void *y)
{
	return memcmp(x, y, sizeof(struct key));
}

static int note_key(uint8_t family, const char *set, const struct skf_nft_elem *x, struct keys *k)
{
	struct key one;

	memset(&one, 0, sizeof(one));
	if (x->key_len > sizeof(one.key) || strlen(set) >= sizeof(one.set))
		return 0; /* none of ours is that long */
	memcpy(one.set, set, strlen(set));
	one.family = family;
	one.end = x->interval_end;
	one.len = (uint8_t)x->key_len;
	memcpy(one.key, x->key, x->key_len);
	if (x->key_end)
		memcpy(one.to, x->key_end, x->key_len);
	skf_buf_put(&k->b, &one, sizeof(one));
	return k->b.err;
}

static int on_wanted(uint8_t family, const char *set, const struct skf_nft_elem *x, void *user)
{
	return note_key(family, set, x, user);
}

static int on_found(const struct skf_nft_elem *x, void *user)
{
	struct keys *k = user;

	return note_key(k->family, k->set, x, k);
}

static int read_sets(struct skf_nft *n, struct keys *k)
{
	static const struct {
		uint8_t family;
		const char *set;
	} sets[] = {
		{NFPROTO_INET, "bridges"},     {NFPROTO_INET, "internal"},  {NFPROTO_INET, "same"},
		{NFPROTO_INET, "hairpin4"},    {NFPROTO_INET, "hairpin6"},  {NFPROTO_INET, "masq4"},
		{NFPROTO_INET, "masq6"},       {NFPROTO_INET, "dnat4"},     {NFPROTO_INET, "dnat4_any"},
		{NFPROTO_INET, "dnat6"},       {NFPROTO_INET, "dnat6_any"}, {NFPROTO_INET, "egress4"},
		{NFPROTO_INET, "egress6"},     {NFPROTO_BRIDGE, "ports"},   {NFPROTO_BRIDGE, "mac"},
		{NFPROTO_BRIDGE, "addr4"},     {NFPROTO_BRIDGE, "addr6"},   {NFPROTO_BRIDGE, "bridge_of"},
		{NFPROTO_BRIDGE, "bridge_to"},
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < SKF_ARRAY_LEN(sets); i++) {
		k->family = sets[i].family;
		k->set = sets[i].set;
		skf_nft_family(n, k->family);
		r = skf_nft_each_elem(n, k->set, on_found, k);
		if (r == -ENOENT || r == -EAFNOSUPPORT)
			r = 0;
	}
	skf_nft_family(n, NFPROTO_INET);
	return r;
}

static int delete_key(struct skf_nft *n, const struct key *k)
{
	const struct skf_nft_elem x = {
		.key = k->key,
		.key_len = k->len,
		.interval_end = k->end,
		.key_end = skf_streq(k->set, "hairpin4") || skf_streq(k->set, "hairpin6") ? k->to : NULL};
	int r;

	skf_nft_family(n, k->family);
	skf_nft_elem_del(n, k->set, &x);
	r = skf_nft_commit(n);
	skf_nft_family(n, NFPROTO_INET);
	return r == -ENOENT ? 0 : r;
}

static size_t count_of(const struct keys *k)
{
	return k->b.len / sizeof(struct key);
}

/* How many of `a` are not in `b`; each of them is deleted when n is given. Sorted by the caller. */
static size_t without(const struct keys *a, const struct keys *b, struct skf_nft *n, int *ret)
{
	const struct key *v = (const void *)a->b.p;
	size_t more = 0;

	for (size_t i = 0; i < count_of(a); i++) {
		if (count_of(b) && bsearch(&v[i], b->b.p, count_of(b), sizeof(*v), by_bytes))
			continue;
		more++;
		if (n && *ret == 0)
			*ret = delete_key(n, &v[i]);
	}
	return more;
}

static void sort(struct keys *k)
{
	if (count_of(k))
		qsort(k->b.p, count_of(k), sizeof(struct key), by_bytes);
}

struct chains {
	struct check *c;
	struct skf_strv ids; /* of containers with a policy */
	struct skf_strv orphans;
};

static int note_chain(const char *name, void *user)
{
	struct chains *x = user;

	if (!skf_startswith(name, "e_") || strlen(name) != 2 + SKF_EGRESS_ID)
		return 0;
	for (size_t i = 0; i < x->ids.n; i++)
		if (strncmp(x->ids.v[i], name + 2, SKF_EGRESS_ID) == 0)
			return 0;
	return skf_strv_add(x->c->a, &x->orphans, name);
}

static int check_chains(struct check *c, struct skf_nft *n, struct skf_err *e)
{
	static const struct skf_strv none;
	struct chains x = {.c = c};
	int r;

	if (skf_netrec_list(c->g->run_fd, c->a, &x.ids, e) < 0)
		return -1;
	r = skf_nft_each_chain(n, note_chain, &x);
	if (r < 0 && r != -ENOENT)
		return skf_fail_sys(e, r, "list the chains of the firewall table");
	for (size_t i = 0; i < x.orphans.n; i++) {
		struct skf_err problem = SKF_ERR_INIT;

		if (c->repair)
			(void)skf_egress_remove(n, x.orphans.v[i] + 2, &none,
						&problem); /* the row says it */
		if (told(c, "firewall chain", x.orphans.v[i], "it belongs to no container", "removed",
			 &problem, e) < 0)
			return -1;
	}
	return 0;
}

/* Elements that nothing means, then chains, which elements may have led to. *ret_missing: what has to be
 * loaded. */
static int compare(struct check *c, struct skf_nft *n, struct keys *found, struct keys *wanted,
		   size_t *ret_missing, struct skf_err *e)
{
	SKF_AUTO(skf_nft_freep) struct skf_nft *dry = NULL;
	struct skf_err x = SKF_ERR_INIT;
	char text[64];
	size_t more;
	int r = read_sets(n, found);

	if (r < 0)
		return skf_fail_sys(e, r, "read the sets of the firewall table");
	if (skf_net_nft(c->g, &dry, e) < 0)
		return -1;
	skf_nft_watch(dry, on_wanted, wanted); /* never sent */
	if (skf_net_table_fill(c->g, dry, c->a, e) < 0)
		return -1;
	if (wanted->b.err)
		return skf_net_no_memory(e);
	sort(found);
	sort(wanted);
	r = 0;
	more = without(found, wanted, c->repair ? n : NULL, &r);
	if (r < 0)
		skf_fail_sys(&x, r, "delete elements");
	snprintf(text, sizeof(text), "%zu elements belong to nothing", more);
	if (more && told(c, "firewall table", "skiff", text, "deleted", &x, e) < 0)
		return -1;
	*ret_missing = without(wanted, found, NULL, &r);
	return check_chains(c, n, e);
}

static int check_table(struct check *c, struct skf_err *e)
{
	SKF_AUTO(skf_nft_freep) struct skf_nft *n = NULL;
	SKF_AUTO_FD int lock = skf_lock_at(c->g->locks_fd, "nft", true, SKF_LOCK_MS);
	struct keys found = {.b = SKF_BUF(SKF_MAX_ARENA_DOC)}, wanted = {.b = SKF_BUF(SKF_MAX_ARENA_DOC)};
	struct skf_err x = SKF_ERR_INIT;
	char name[SKF_NFT_TABLE_MAX], text[64];
	struct skf_strv records = {0};
	size_t missing = 0;
	int r;

	if (lock < 0)
		return skf_fail_sys(e, lock, "lock the firewall table");
	if (!skf_net_table_name(c->g, name))
		return 0;
	if (skf_net_nft(c->g, &n, e) < 0 || skf_netrec_list(c->g->run_fd, c->a, &records, e) < 0)
		return -1;
	r = compare(c, n, &found, &wanted, &missing, e);
	skf_buf_done(&found.b);
	skf_buf_done(&wanted.b);
	skf_closep(&lock);
	if (r < 0 || !missing ||
	    !records.n) /* without a container nobody misses it: the next start loads it */
		return r;
	if (c->repair)
		(void)skf_net_table_load(c->g, &x); /* the row says it */
	snprintf(text, sizeof(text), "%zu elements are missing: somebody flushed it", missing);
	return told(c, "firewall table", name, text, "loaded", &x, e);
}

int skf_check_network_host(struct check *c, struct skf_err *e)
{
	if (check_links(c, e) < 0 || check_table(c, e) < 0)
		return -1;
	return c->repair ? skf_net_idle_down(c->g, e) : 0;
}
