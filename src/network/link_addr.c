/* network/link_addr.c -- interfaces that come up, their addresses and routes, over route netlink. Every
 * request that changes something asks for an acknowledgement; what belongs together goes in one datagram. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "network/link.h"
#include "sys/nlmsg.h"
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>

#define MAX_REQUEST 8192

static size_t put_up(struct skf_buf *b, int index)
{
	struct ifinfomsg i = {
		.ifi_family = AF_UNSPEC, .ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
	size_t at = skf_nlm_begin(b, RTM_NEWLINK, NLM_F_ACK, &i, sizeof(i));

	skf_nlm_end(b, at);
	return at;
}

int skf_link_up(int nl, int index)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(MAX_REQUEST);
	size_t at = put_up(&b, index);

	return skf_nlm_talk(nl, &b, at, NULL);
}

int skf_link_quiet(int nl, const char *name)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(MAX_REQUEST);
	struct ifinfomsg i = {.ifi_family = AF_UNSPEC};
	size_t at = skf_nlm_begin(&b, RTM_NEWLINK, NLM_F_ACK, &i, sizeof(i)), spec, inet6;
	int r;

	skf_nlm_str(&b, IFLA_IFNAME, name);
	spec = skf_nlm_nest(&b, IFLA_AF_SPEC);
	inet6 = skf_nlm_nest(&b, AF_INET6);
	skf_nlm_u8(&b, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	skf_nlm_nest_end(&b, inet6);
	skf_nlm_nest_end(&b, spec);
	skf_nlm_end(&b, at);
	r = skf_nlm_talk(nl, &b, at, NULL);
	return r == -EAFNOSUPPORT ? 0 : r; /* a kernel without IPv6 */
}

/* --- addresses and routes --- */
static size_t put_addr(struct skf_buf *b, int index, const struct skf_cidr *c)
{
	struct ifaddrmsg m = {
		.ifa_family = c->ip.family, .ifa_prefixlen = c->prefix, .ifa_index = (unsigned)index};
	struct skf_ip last = skf_cidr_last(c);
	size_t at = skf_nlm_begin(b, RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &m, sizeof(m)),
	       n = skf_ip_len(&c->ip);

	skf_nlm_put(b, IFA_LOCAL, c->ip.b, n);
	skf_nlm_put(b, IFA_ADDRESS, c->ip.b, n);
	if (c->ip.family == AF_INET && c->prefix < 31)
		skf_nlm_put(b, IFA_BROADCAST, last.b, n);
	if (c->ip.family == AF_INET6) /* the lease is the proof that nobody else has it; waiting a second
					 would be no better one */
		skf_nlm_u32(b, IFA_FLAGS, IFA_F_NODAD);
	skf_nlm_end(b, at);
	return at;
}

static size_t put_route(struct skf_buf *b, int index, const struct skf_link_addr *a, bool add)
{
	struct rtmsg m = {.rtm_family = a->addr.ip.family,
			  .rtm_table = RT_TABLE_MAIN,
			  .rtm_protocol = RTPROT_BOOT,
			  .rtm_scope = a->device_route && a->addr.ip.family == AF_INET ? RT_SCOPE_LINK
										       : RT_SCOPE_UNIVERSE,
			  .rtm_type = RTN_UNICAST};
	size_t at = skf_nlm_begin(b, add ? RTM_NEWROUTE : RTM_DELROUTE,
				  NLM_F_ACK | (add ? NLM_F_CREATE | NLM_F_REPLACE : 0), &m, sizeof(m));

	if (!a->device_route)
		skf_nlm_put(b, RTA_GATEWAY, a->gateway.b, skf_ip_len(&a->gateway));
	skf_nlm_u32(b, RTA_OIF, (uint32_t)index);
	skf_nlm_end(b, at);
	return at;
}

int skf_link_configure(int nl, int index, const struct skf_link_addr *v, size_t n)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(MAX_REQUEST);
	size_t last = put_up(&b, index);

	for (size_t i = 0; i < n; i++)
		last = put_addr(&b, index, &v[i].addr);
	for (size_t i = 0; i < n; i++)
		if (v[i].gateway.family || v[i].device_route)
			last = put_route(&b, index, &v[i], true);
	return skf_nlm_talk(nl, &b, last, NULL);
}

int skf_link_addr_add(int nl, int index, const struct skf_cidr *addr)
{
	struct skf_link_addr a = {.addr = *addr};

	return skf_link_configure(nl, index, &a, 1);
}

int skf_link_default_route(int nl, int index, const struct skf_link_addr *a, bool add)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(MAX_REQUEST);
	size_t at = put_route(&b, index, a, add);

	return skf_nlm_talk(nl, &b, at, NULL);
}

int skf_link_loopback6_route(int nl, int index, bool add)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(MAX_REQUEST);
	static const uint8_t one[16] = {[15] = 1};
	struct rtmsg m = {.rtm_family = AF_INET6,
			  .rtm_dst_len = 128,
			  .rtm_table = RT_TABLE_LOCAL,
			  .rtm_protocol = RTPROT_BOOT,
			  .rtm_scope = RT_SCOPE_HOST,
			  .rtm_type = RTN_LOCAL};
	size_t at = skf_nlm_begin(&b, add ? RTM_NEWROUTE : RTM_DELROUTE,
				  NLM_F_ACK | (add ? NLM_F_CREATE : 0), &m, sizeof(m));
	int r;

	skf_nlm_put(&b, RTA_DST, one, sizeof(one));
	skf_nlm_u32(&b, RTA_OIF, (uint32_t)index);
	skf_nlm_u32(&b, RTA_PRIORITY,
		    4096 + (uint32_t)index); /* behind the loopback's own, one per bridge */
	skf_nlm_end(&b, at);
	r = skf_nlm_talk(nl, &b, at, NULL);
	if (add)
		return r == -EEXIST ? 0 : r;
	return r == -ESRCH || r == -EOPNOTSUPP ? 0 : r; /* EOPNOTSUPP: a kernel without IPv6 */
}

struct each_route {
	int (*fn)(const struct skf_cidr *dst, void *user);
	void *user;
};

static int note_route(const struct nlmsghdr *h, void *user)
{
	const struct rtmsg *m = NLMSG_DATA(h);
	struct each_route *x = user;
	struct skf_cidr c = {.ip.family = m->rtm_family, .prefix = m->rtm_dst_len};
	const struct nlattr *a;

	if (h->nlmsg_type != RTM_NEWROUTE || h->nlmsg_len < NLMSG_LENGTH(sizeof(*m)) ||
	    m->rtm_dst_len == 0 || m->rtm_table != RT_TABLE_MAIN ||
	    (m->rtm_family != AF_INET && m->rtm_family != AF_INET6))
		return 0;
	a = skf_nla_find((const char *)m + NLMSG_ALIGN(sizeof(*m)), h->nlmsg_len - NLMSG_LENGTH(sizeof(*m)),
			 RTA_DST);
	if (!a || skf_nla_len(a) != skf_ip_len(&c.ip))
		return 0;
	memcpy(c.ip.b, skf_nla_data(a), skf_nla_len(a));
	return x->fn(&c, x->user);
}

int skf_link_each_route(int nl, int (*fn)(const struct skf_cidr *dst, void *user), void *user)
{
	static const uint8_t families[] = {AF_INET, AF_INET6};
	struct each_route x = {fn, user};
	int r = 0;

	for (size_t i = 0; r == 0 && i < SKF_ARRAY_LEN(families); i++) {
		SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(MAX_REQUEST);
		struct rtmsg m = {.rtm_family = families[i]};

		skf_nlm_end(&b, skf_nlm_begin(&b, RTM_GETROUTE, NLM_F_DUMP, &m, sizeof(m)));
		r = skf_nlm_ask(nl, &b, note_route, &x);
	}
	return r;
}
