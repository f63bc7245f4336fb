/* sys/netlink.c -- network interfaces: the loopback of a fresh namespace, and moving one to another
 * namespace.
 *
 * Loopback: an ioctl on a datagram socket instead of a netlink round trip: two system calls and a close, no
 * parsing, and lo is always interface "lo" in a fresh namespace. The rest is route netlink by hand: a
 * request with attributes in a fixed buffer, then datagrams until the acknowledgement or the end of the
 * list. Every length that the kernel gives is checked against the datagram before it is believed. Nothing
 * blocks. man 7 netdevice, rtnetlink. */
#include "sys/netlink.h"
#include "sys/process.h"

#include "base/cleanup.h"
#include "base/fd.h"

#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef IFLA_NEW_IFINDEX /* linux/if_link.h of 5.13 */
#define IFLA_NEW_IFINDEX 49
#endif
#ifndef IFA_RT_PRIORITY
#define IFA_RT_PRIORITY 9
#endif
#define MAX_ADDRS 4096

int skf_net_loopback_up(void)
{
	struct ifreq ifr = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), r = 0;

	/* any family will do: the request goes to the network namespace of the socket */
	if (fd < 0)
		return skf_errno();
	if (ioctl(fd, SIOCSIFFLAGS, &ifr) < 0)
		r = skf_errno();
	close(fd);
	return r;
}

/* --- requests --- */
struct request {
	struct nlmsghdr h;
	union {
		struct ifinfomsg link;
		struct ifaddrmsg addr;
		char room[512];
	} u;
};

static struct request request_of(uint16_t type, uint16_t flags, size_t body)
{
	struct request q;

	memset(&q, 0, sizeof(q));
	q.h.nlmsg_len = (uint32_t)NLMSG_LENGTH(body);
	q.h.nlmsg_type = type;
	q.h.nlmsg_flags = NLM_F_REQUEST | flags;
	return q;
}

/* The callers' attributes fit: names of IFNAMSIZ, numbers and addresses. */
static void put(struct request *q, uint16_t type, const void *p, size_t n)
{
	size_t at = NLMSG_ALIGN(q->h.nlmsg_len);
	struct rtattr a = {.rta_len = (uint16_t)RTA_LENGTH(n), .rta_type = type};

	if (at + RTA_SPACE(n) > sizeof(*q))
		return;
	memcpy((char *)q + at, &a, sizeof(a));
	memcpy((char *)q + at + RTA_LENGTH(0), p, n);
	q->h.nlmsg_len = (uint32_t)(at + RTA_SPACE(n));
}

int skf_nl_open(void)
{
	SKF_AUTO_FD int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	struct sockaddr_nl sa = {.nl_family = AF_NETLINK};

	if (fd < 0)
		return skf_errno();
	return bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ? skf_errno() : SKF_TAKE_FD(fd);
}

/* Called for each message of an answer; 0 or -errno, which ends it. */
typedef int (*on_message)(const struct nlmsghdr *h, void *user);

/* One datagram. 1: go on, 0: the answer is complete, -errno. */
static int read_answer(int nl, on_message fn, void *user, bool dump)
{
	_Alignas(struct nlmsghdr) char buf[32768];
	ssize_t n;
	size_t left;

	do
		n = recv(nl, buf, sizeof(buf), MSG_TRUNC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return skf_errno();
	if ((size_t)n > sizeof(buf))
		return -EMSGSIZE;
	left = (size_t)n;
	for (const struct nlmsghdr *h = (const void *)buf; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
		int r = 0;

		if (h->nlmsg_type == NLMSG_DONE)
			return 0;
		if (h->nlmsg_type == NLMSG_ERROR)
			return h->nlmsg_len < NLMSG_LENGTH(sizeof(int)) ? -EBADMSG
									: *(const int *)NLMSG_DATA(h);
		if (fn)
			r = fn(h, user);
		if (r < 0)
			return r;
		if (!dump && fn)
			return 0;
	}
	return 1;
}

static int ask(int nl, const struct request *q, on_message fn, void *user)
{
	bool dump = (q->h.nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
	ssize_t n;
	int r;

	do
		n = send(nl, q, q->h.nlmsg_len, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return skf_errno();
	do
		r = read_answer(nl, fn, user, dump);
	while (r == 1);
	return r;
}

/* --- links --- */
static int note_index(const struct nlmsghdr *h, void *user)
{
	const struct ifinfomsg *i = NLMSG_DATA(h);
	int *max = user;

	if (h->nlmsg_type == RTM_NEWLINK && h->nlmsg_len >= NLMSG_LENGTH(sizeof(*i)) && i->ifi_index > *max)
		*max = i->ifi_index;
	return 0;
}

int skf_nl_link_index(int nl, const char *name)
{
	struct request q = request_of(RTM_GETLINK, 0, sizeof(struct ifinfomsg));
	int index = 0, r;

	if (strlen(name) >= IFNAMSIZ)
		return -ENODEV;
	put(&q, IFLA_IFNAME, name, strlen(name) + 1);
	r = ask(nl, &q, note_index, &index);
	return r < 0 ? r : index > 0 ? index : -ENODEV;
}

int skf_nl_link_max(int nl)
{
	struct request q = request_of(RTM_GETLINK, NLM_F_DUMP, sizeof(struct ifinfomsg));
	int max = 0, r = ask(nl, &q, note_index, &max);

	return r < 0 ? r : max;
}

int skf_nl_link_move(int nl, int index, int netns_fd, const char *new_name, int new_index)
{
	struct request q = request_of(RTM_NEWLINK, NLM_F_ACK, sizeof(struct ifinfomsg));

	if (strlen(new_name) >= IFNAMSIZ)
		return -ENAMETOOLONG;
	q.u.link.ifi_index = index;
	put(&q, IFLA_NET_NS_FD, &netns_fd, sizeof(netns_fd));
	put(&q, IFLA_IFNAME, new_name, strlen(new_name) + 1);
	put(&q, IFLA_NEW_IFINDEX, &new_index, sizeof(new_index));
	return ask(nl, &q, NULL, NULL);
}

int skf_nl_link_up(int nl, int index)
{
	struct request q = request_of(RTM_NEWLINK, NLM_F_ACK, sizeof(struct ifinfomsg));

	q.u.link.ifi_index = index;
	q.u.link.ifi_flags = q.u.link.ifi_change = IFF_UP;
	return ask(nl, &q, NULL, NULL);
}

/* --- addresses --- */
struct collect {
	int index;
	struct skf_nl_addr *v;
	size_t n;
};

/* Flags that say how an address behaves; the others are the kernel's notes on its state. */
#define KEPT_FLAGS                                                                                          \
	(IFA_F_NODAD | IFA_F_HOMEADDRESS | IFA_F_MANAGETEMPADDR | IFA_F_NOPREFIXROUTE | IFA_F_MCAUTOJOIN)

static size_t address_size(uint8_t family)
{
	return family == AF_INET ? 4 : 16;
}

static void take_attr(const struct rtattr *a, struct skf_nl_addr *to, uint32_t *flags)
{
	const void *p = RTA_DATA(a);
	size_t n = RTA_PAYLOAD(a);

	if (a->rta_type == IFA_FLAGS && n == sizeof(*flags))
		memcpy(flags, p, n);
	else if (a->rta_type == IFA_RT_PRIORITY && n == sizeof(to->metric))
		memcpy(&to->metric, p, n);
	if (n != address_size(to->family))
		return;
	if (a->rta_type == IFA_LOCAL) {
		memcpy(to->local, p, n);
		to->has_local = true;
	} else if (a->rta_type == IFA_ADDRESS) {
		memcpy(to->peer, p, n);
		to->has_peer = true;
	} else if (a->rta_type == IFA_BROADCAST) {
		memcpy(to->broadcast, p, n);
		to->has_broadcast = true;
	}
}

static int note_address(const struct nlmsghdr *h, void *user)
{
	struct collect *c = user;
	const struct ifaddrmsg *m = NLMSG_DATA(h);
	struct skf_nl_addr a = {0}, *v;
	uint32_t flags;
	size_t left;

	if (h->nlmsg_type != RTM_NEWADDR || h->nlmsg_len < NLMSG_LENGTH(sizeof(*m)) ||
	    (int)m->ifa_index != c->index || m->ifa_scope != RT_SCOPE_UNIVERSE ||
	    (m->ifa_family != AF_INET && m->ifa_family != AF_INET6))
		return 0;
	a.family = m->ifa_family;
	a.prefix = m->ifa_prefixlen;
	flags = m->ifa_flags;
	left = IFA_PAYLOAD(h);
	for (const struct rtattr *t = IFA_RTA(m); RTA_OK(t, left); t = RTA_NEXT(t, left))
		take_attr(t, &a, &flags);
	if (!(flags & IFA_F_PERMANENT) || (!a.has_local && !a.has_peer))
		return 0;
	a.flags = flags & KEPT_FLAGS;
	if (c->n == MAX_ADDRS)
		return -E2BIG;
	v = reallocarray(c->v, c->n + 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	c->v = v;
	c->v[c->n++] = a;
	return 0;
}

int skf_nl_addrs(int nl, int index, struct skf_nl_addr **ret, size_t *ret_n)
{
	struct request q = request_of(RTM_GETADDR, NLM_F_DUMP, sizeof(struct ifaddrmsg));
	struct collect c = {.index = index};
	int r = ask(nl, &q, note_address, &c);

	if (r < 0) {
		free(c.v);
		return r;
	}
	*ret = c.v;
	*ret_n = c.n;
	return 0;
}

int skf_nl_addr_add(int nl, int index, const struct skf_nl_addr *a)
{
	struct request q =
		request_of(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifaddrmsg));
	size_t n = address_size(a->family);

	q.u.addr.ifa_family = a->family;
	q.u.addr.ifa_prefixlen = a->prefix;
	q.u.addr.ifa_scope = RT_SCOPE_UNIVERSE;
	q.u.addr.ifa_index = (unsigned)index;
	if (a->has_local)
		put(&q, IFA_LOCAL, a->local, n);
	if (a->has_peer)
		put(&q, IFA_ADDRESS, a->peer, n);
	if (a->has_broadcast)
		put(&q, IFA_BROADCAST, a->broadcast, n);
	if (a->flags)
		put(&q, IFA_FLAGS, &a->flags, sizeof(a->flags));
	if (a->metric)
		put(&q, IFA_RT_PRIORITY, &a->metric, sizeof(a->metric));
	return ask(nl, &q, NULL, NULL);
}
