/* engine/net_pool.c -- which subnet a network gets when the user names none: the first that overlaps neither
 * a route of the host nor a network of ours. The default network takes one of docker's /16 pools; user
 * networks a /24, of which there are thousands; IPv6 a random ULA /64 (RFC 4193). */
#include "engine/net_int.h"
#include "sys/nlmsg.h"
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#define MAX_TAKEN 8192

struct taken {
	struct skf_cidr v[MAX_TAKEN];
	size_t n;
};

static int note(const struct skf_cidr *c, void *user)
{
	struct taken *t = user;

	if (t->n == MAX_TAKEN)
		return -E2BIG;
	t->v[t->n++] = *c;
	return 0;
}

static const struct skf_cidr *overlapping(const struct taken *t, const struct skf_cidr *c)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->v[i].ip.family == c->ip.family && skf_cidr_overlap(&t->v[i], c))
			return &t->v[i];
	return NULL;
}

static int note_networks(struct skf_engine *g, struct taken *t, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_strv ids = {0};

	if (skf_network_list(g->root_fd, &a, &ids, e) < 0)
		return -1;
	for (size_t i = 0; i < ids.n; i++) {
		struct skf_err gone = SKF_ERR_INIT;
		struct skf_network *n;

		if (skf_network_load(g->root_fd, ids.v[i], &a, &n, &gone) < 0)
			continue; /* removed since; a damaged one is the check's business */
		for (size_t k = 0; k < n->subnets.n; k++) {
			const struct skf_netsub *s = n->subnets.v;
			struct skf_cidr c;

			if (skf_cidr_parse(s[k].subnet, false, &c) == 0 && note(&c, t) < 0)
				return skf_fail(e, SKF_ELIMIT,
						"more than %d subnets are in use on this host", MAX_TAKEN);
		}
	}
	return 0;
}

static int note_routes(struct taken *t, struct skf_err *e)
{
	SKF_AUTO_FD int nl = skf_nlm_open(NETLINK_ROUTE);
	int r = nl < 0 ? nl : skf_link_each_route(nl, note, t);

	return r < 0 ? skf_fail_sys(e, r, "read the routes of the host") : 0;
}

static struct skf_cidr subnet_of(uint8_t a, uint8_t b, uint8_t c, uint8_t prefix)
{
	return (struct skf_cidr){{AF_INET, {a, b, c, 0}}, prefix};
}

/* Candidate i; false: no more. */
static bool large_pool(unsigned i, struct skf_cidr *ret)
{
	if (i < 15)
		*ret = subnet_of(172, (uint8_t)(17 + i), 0, 16);
	else if (i < 31)
		*ret = subnet_of(192, 168, (uint8_t)((i - 15) * 16), 20);
	else
		return false;
	return true;
}

static bool small_pool(unsigned i, struct skf_cidr *ret)
{
	if (i < 64 * 256)
		*ret = subnet_of(10, (uint8_t)(89 + i / 256), (uint8_t)(i % 256), 24);
	else
		return false;
	return true;
}

static int pool_v6(const struct taken *t, struct skf_cidr *ret)
{
	for (unsigned i = 0; i < 64; i++) {
		struct skf_cidr c = {{AF_INET6, {0}}, 64};

		if (getrandom(c.ip.b, 8, 0) != 8)
			return -errno;
		c.ip.b[0] = 0xfd;
		if (!overlapping(t, &c)) {
			*ret = c;
			return 0;
		}
	}
	return -ENOSPC;
}

int skf_net_pool(struct skf_engine *g, int family, bool small, struct skf_arena *a, char **ret,
		 struct skf_err *e)
{
	SKF_AUTO_FREE struct taken *t = calloc(1, sizeof(*t));
	char text[SKF_CIDR_TEXT];
	struct skf_cidr c;
	int r = -ENOSPC;

	if (!t)
		return skf_fail(e, SKF_ENOMEM, "memory for the subnets of this host");
	if (note_networks(g, t, e) < 0 || note_routes(t, e) < 0)
		return -1;
	if (family == AF_INET6)
		r = pool_v6(t, &c);
	for (unsigned i = 0;
	     r == -ENOSPC && family == AF_INET && (small ? small_pool(i, &c) : large_pool(i, &c)); i++)
		if (!overlapping(t, &c))
			r = 0;
	if (r == -ENOSPC)
		return skf_fail(e, SKF_ELIMIT,
				"could not find an available, non-overlapping IPv%d address pool among the "
				"defaults to assign to the "
				"network; name one with --subnet",
				family == AF_INET6 ? 6 : 4);
	if (r < 0)
		return skf_fail_sys(e, r, "choose a subnet");
	skf_cidr_text(&c, text);
	*ret = skf_arena_strdup(a, text);
	return *ret ? 0 : skf_fail(e, SKF_ENOMEM, "memory for a subnet");
}

int skf_net_pool_check(struct skf_engine *g, const struct skf_cidr *c, struct skf_err *e)
{
	SKF_AUTO_FREE struct taken *t = calloc(1, sizeof(*t));
	char mine[SKF_CIDR_TEXT], other[SKF_CIDR_TEXT];
	const struct skf_cidr *o;

	if (!t)
		return skf_fail(e, SKF_ENOMEM, "memory for the subnets of this host");
	if (note_networks(g, t, e) < 0)
		return -1;
	o = overlapping(t, c);
	if (!o)
		return 0;
	skf_cidr_text(c, mine);
	skf_cidr_text(o, other);
	return skf_fail(
		e, SKF_ECONFLICT,
		"invalid pool request: Pool overlaps with other one on this address space: %s and %s", mine,
		other);
}

char *skf_net_first_address(const char *subnet, struct skf_arena *a)
{
	char text[SKF_IP_TEXT];
	struct skf_cidr c;
	struct skf_ip ip;

	if (skf_cidr_parse(subnet, false, &c) < 0)
		return NULL;
	ip = skf_cidr_first(&c);
	ip = skf_ip_add(&ip, 1);
	skf_ip_text(&ip, text);
	return skf_arena_strdup(a, text);
}
