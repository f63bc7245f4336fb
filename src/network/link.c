/* network/link.c -- interfaces over route netlink. Every request that changes something asks for an
 * acknowledgement. */
#include "network/link.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "sys/nlmsg.h"
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define MAX_REQUEST 8192
#define NEW         (NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL)

/* --- looking --- */
static int note_link(const struct nlmsghdr *h, void *user)
{
	const struct ifinfomsg *i = NLMSG_DATA(h);
	struct skf_link *l = user;
	const struct nlattr *a;
	const char *at = (const char *)i + NLMSG_ALIGN(sizeof(*i));
	size_t n;

	if (h->nlmsg_type != RTM_NEWLINK || h->nlmsg_len < NLMSG_LENGTH(sizeof(*i)))
		return 0;
	n = h->nlmsg_len - NLMSG_LENGTH(sizeof(*i));
	l->index = i->ifi_index;
	l->flags = i->ifi_flags;
	a = skf_nla_find(at, n, IFLA_MASTER);
	if (a && skf_nla_len(a) == sizeof(l->master))
		memcpy(&l->master, skf_nla_data(a), sizeof(l->master));
	a = skf_nla_find(at, n, IFLA_MTU);
	if (a && skf_nla_len(a) == sizeof(l->mtu))
		memcpy(&l->mtu, skf_nla_data(a), sizeof(l->mtu));
	a = skf_nla_find(at, n, IFLA_ADDRESS);
	if (a && skf_nla_len(a) == sizeof(l->mac))
		memcpy(l->mac, skf_nla_data(a), sizeof(l->mac));
	return 0;
}

int skf_link_get(int nl, const char *name, struct skf_link *ret)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(MAX_REQUEST);
	struct ifinfomsg i = {.ifi_family = AF_UNSPEC};
	struct skf_link l = {0};
	size_t at = skf_nlm_begin(&b, RTM_GETLINK, 0, &i, sizeof(i));
	int r;

	if (strlen(name) >= IFNAMSIZ)
		return -ENODEV;
	skf_nlm_str(&b, IFLA_IFNAME, name);
	skf_nlm_end(&b, at);
	r = skf_nlm_ask(nl, &b, note_link, &l);
	if (r == 0 && l.index == 0)
		r = -ENODEV;
	if (r == 0)
		*ret = l;
	return r;
}

/* --- making --- */
struct making {
	struct skf_buf b;
	size_t msg, info;
};

/* A link that is up, with its kind; what follows goes into the message, between info_begin and info_end into
 * the kind's own data. */
static void begin_link(struct making *m, const char *name, const uint8_t *mac, uint32_t mtu)
{
	struct ifinfomsg i = {.ifi_family = AF_UNSPEC, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};

	m->b = (struct skf_buf)SKF_BUF(MAX_REQUEST);
	m->msg = skf_nlm_begin(&m->b, RTM_NEWLINK, NEW, &i, sizeof(i));
	skf_nlm_str(&m->b, IFLA_IFNAME, name);
	if (mac)
		skf_nlm_put(&m->b, IFLA_ADDRESS, mac, 6);
	if (mtu)
		skf_nlm_u32(&m->b, IFLA_MTU, mtu);
}

static int end_link(struct making *m, int nl)
{
	int r;

	skf_nlm_end(&m->b, m->msg);
	r = skf_nlm_talk(nl, &m->b, m->msg, NULL);
	skf_buf_done(&m->b);
	return r;
}

static size_t begin_kind(struct making *m, const char *kind)
{
	m->info = skf_nlm_nest(&m->b, IFLA_LINKINFO);
	skf_nlm_str(&m->b, IFLA_INFO_KIND, kind);
	return skf_nlm_nest(&m->b, IFLA_INFO_DATA);
}

static void end_kind(struct making *m, size_t data)
{
	skf_nlm_nest_end(&m->b, data);
	skf_nlm_nest_end(&m->b, m->info);
}

int skf_link_bridge(int nl, const char *name, const uint8_t mac[6], uint32_t mtu)
{
	struct making m;

	begin_link(&m, name, mac, mtu);
	end_kind(&m, begin_kind(&m, "bridge"));
	return end_link(&m, nl);
}

void skf_link_bridge_mac(const char *network_id, uint8_t ret[6])
{
	memset(ret, 0, 6);
	ret[0] = 0x02;
	(void)skf_hex_bytes(network_id, ret + 1, 5); /* an id is hex digits */
}

int skf_link_dummy(int nl, const char *name)
{
	struct making m;

	begin_link(&m, name, NULL, 0);
	end_kind(&m, begin_kind(&m, "dummy"));
	return end_link(&m, nl);
}

int skf_link_vlan(int nl, const char *name, int parent, uint32_t id)
{
	struct making m;
	size_t data;

	begin_link(&m, name, NULL, 0);
	skf_nlm_u32(&m.b, IFLA_LINK, (uint32_t)parent);
	data = begin_kind(&m, "vlan");
	skf_nlm_u16(&m.b, IFLA_VLAN_ID, (uint16_t)id);
	end_kind(&m, data);
	return end_link(&m, nl);
}

int skf_link_subif(int nl, const struct skf_subif *s)
{
	struct making m;
	size_t data;
	bool mac = strcmp(s->kind, "macvlan") == 0;

	begin_link(&m, s->name, s->mac, s->mtu);
	skf_nlm_u32(&m.b, IFLA_LINK, (uint32_t)s->parent);
	skf_nlm_u32(&m.b, IFLA_NET_NS_FD, (uint32_t)s->netns_fd);
	data = begin_kind(&m, s->kind);
	if (mac)
		skf_nlm_u32(&m.b, IFLA_MACVLAN_MODE, s->mode);
	else
		skf_nlm_u16(&m.b, IFLA_IPVLAN_MODE, (uint16_t)s->mode);
	end_kind(&m, data);
	return end_link(&m, nl);
}

/* One queue: a link that is born with one for each processor and cut down costs a grace period, with the
 * lock of all links held. */
static void one_queue(struct skf_buf *b)
{
	skf_nlm_u32(b, IFLA_NUM_TX_QUEUES, 1);
	skf_nlm_u32(b, IFLA_NUM_RX_QUEUES, 1);
}

int skf_link_veth(int nl, const struct skf_veth *v)
{
	struct ifinfomsg i = {.ifi_family = AF_UNSPEC};
	struct making m = {.b = SKF_BUF(MAX_REQUEST)};
	size_t data, info;

	m.msg = skf_nlm_begin(&m.b, RTM_NEWLINK, NEW, &i, sizeof(i));
	skf_nlm_str(&m.b, IFLA_IFNAME, v->host);
	if (v->mtu)
		skf_nlm_u32(&m.b, IFLA_MTU, v->mtu);
	one_queue(&m.b);
	skf_nlm_u32(&m.b, IFLA_MASTER, (uint32_t)v->bridge);
	data = begin_kind(&m, "veth");
	info = skf_nlm_nest(&m.b, VETH_INFO_PEER);
	skf_buf_put(&m.b, &i, sizeof(i));
	skf_nlm_str(&m.b, IFLA_IFNAME, v->peer);
	skf_nlm_u32(&m.b, IFLA_NET_NS_FD, (uint32_t)v->netns_fd);
	one_queue(&m.b);
	if (v->mac)
		skf_nlm_put(&m.b, IFLA_ADDRESS, v->mac, 6);
	if (v->mtu)
		skf_nlm_u32(&m.b, IFLA_MTU, v->mtu);
	skf_nlm_nest_end(&m.b, info);
	end_kind(&m, data);
	return end_link(&m, nl);
}

int skf_link_veth_up(int nl, const struct skf_veth *v)
{
	struct ifinfomsg i = {.ifi_family = AF_UNSPEC, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
	struct making m = {.b = SKF_BUF(MAX_REQUEST)};
	size_t data;

	m.msg = skf_nlm_begin(&m.b, RTM_NEWLINK, NLM_F_ACK, &i, sizeof(i));
	skf_nlm_str(&m.b, IFLA_IFNAME, v->host);
	if (v->isolated || v->hairpin) {
		m.info = skf_nlm_nest(&m.b, IFLA_LINKINFO);
		skf_nlm_str(&m.b, IFLA_INFO_SLAVE_KIND, "bridge");
		data = skf_nlm_nest(&m.b, IFLA_INFO_SLAVE_DATA);
		if (v->isolated)
			skf_nlm_u8(&m.b, IFLA_BRPORT_ISOLATED, 1);
		if (v->hairpin)
			skf_nlm_u8(&m.b, IFLA_BRPORT_MODE, 1);
		end_kind(&m, data);
	}
	return end_link(&m, nl);
}

int skf_link_delete(int nl, const char *name)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(MAX_REQUEST);
	struct ifinfomsg i = {.ifi_family = AF_UNSPEC};
	size_t at = skf_nlm_begin(&b, RTM_DELLINK, NLM_F_ACK, &i, sizeof(i));

	skf_nlm_str(&b, IFLA_IFNAME, name);
	skf_nlm_end(&b, at);
	return skf_nlm_talk(nl, &b, at, NULL);
}

int skf_link_alias(int nl, int index, const char *alias)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(MAX_REQUEST);
	struct ifinfomsg i = {.ifi_family = AF_UNSPEC, .ifi_index = index};
	size_t at = skf_nlm_begin(&b, RTM_NEWLINK, NLM_F_ACK, &i, sizeof(i));

	skf_nlm_put(&b, IFLA_IFALIAS, alias, strlen(alias));
	skf_nlm_end(&b, at);
	return skf_nlm_talk(nl, &b, at, NULL);
}

struct each_link {
	int (*fn)(const struct skf_link_row *l, void *user);
	void *user;
};

static const char *text_of(const void *p, size_t n, uint16_t type)
{
	const struct nlattr *a = skf_nla_find(p, n, type);
	const char *s = a ? skf_nla_data(a) : NULL;

	return s && skf_nla_len(a) && !s[skf_nla_len(a) - 1] ? s : NULL;
}

static int note_row(const struct nlmsghdr *h, void *user)
{
	const struct ifinfomsg *i = NLMSG_DATA(h);
	const struct each_link *x = user;
	const char *at = (const char *)i + NLMSG_ALIGN(sizeof(*i));
	const struct nlattr *a;
	struct skf_link_row l = {0};
	size_t n;

	if (h->nlmsg_type != RTM_NEWLINK || h->nlmsg_len < NLMSG_LENGTH(sizeof(*i)))
		return 0;
	n = h->nlmsg_len - NLMSG_LENGTH(sizeof(*i));
	l.index = i->ifi_index;
	l.name = text_of(at, n, IFLA_IFNAME);
	l.alias = text_of(at, n, IFLA_IFALIAS);
	a = skf_nla_find(at, n, IFLA_MASTER);
	if (a && skf_nla_len(a) == sizeof(l.master))
		memcpy(&l.master, skf_nla_data(a), sizeof(l.master));
	a = skf_nla_find(at, n, IFLA_LINKINFO);
	l.kind = a ? text_of(skf_nla_data(a), skf_nla_len(a), IFLA_INFO_KIND) : NULL;
	return l.name ? x->fn(&l, x->user) : 0;
}

int skf_link_each(int nl, int (*fn)(const struct skf_link_row *l, void *user), void *user)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(MAX_REQUEST);
	struct ifinfomsg i = {.ifi_family = AF_UNSPEC};
	struct each_link x = {fn, user};

	skf_nlm_end(&b, skf_nlm_begin(&b, RTM_GETLINK, NLM_F_DUMP, &i, sizeof(i)));
	return skf_nlm_ask(nl, &b, note_row, &x);
}

void skf_mac_text(const uint8_t mac[6], char out[18])
{
	snprintf(out, 18, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
}

int skf_mac_parse(const char *s, uint8_t ret[6])
{
	static const char hex[] = "0123456789abcdef";
	uint8_t m[6];

	for (size_t i = 0; i < 6; i++, s += 3) {
		const char *hi = *s ? strchr(hex, *s | 0x20) : NULL,
			   *lo = hi && s[1] ? strchr(hex, s[1] | 0x20) : NULL;

		if (!hi || !lo || s[2] != (i < 5 ? s[2] == '-' ? '-' : ':' : '\0'))
			return -EINVAL;
		m[i] = (uint8_t)((hi - hex) << 4 | (lo - hex));
	}
	if (m[0] & 1) /* a group's address */
		return -EINVAL;
	memcpy(ret, m, 6);
	return 0;
}
