/* engine/net_ports.c -- ports of the host for what a container publishes: leased against other containers,
 * and tried against the host's own listeners. One word of -p becomes one mapping for IPv4 and, when the
 * container has an IPv6 address, one for IPv6 with the same number. */
#include "engine/net_cni.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define RANDOM_FIRST 32768 /* when the kernel's own range cannot be read */
#define RANDOM_LAST  60999
#define MAX_RANDOM   1000

struct ports {
	struct skf_engine *g;
	struct skf_netrec *r;
	struct skf_arena *a;
	const char *ip4, *ip6; /* targets; NULL */
	const char *host_ip;   /* for ports without an address of their own; NULL: every address */
	struct skf_portmap *v;
	size_t n;
};

/* 0 nobody listens there, -EADDRINUSE, other -errno. */
static int try_bind(const char *proto, const struct skf_ip *ip, uint16_t port)
{
	bool udp = skf_streq(proto, "udp"), sctp = skf_streq(proto, "sctp");
	SKF_AUTO_FD int fd =
		socket(ip->family, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, sctp ? IPPROTO_SCTP : 0);
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	bool v6 = ip->family == AF_INET6;
	int on = 1;

	if (fd < 0) /* a protocol that this kernel does not have on sockets can still be forwarded */
		return errno == EPROTONOSUPPORT || errno == EAFNOSUPPORT ? 0 : -errno;
	memcpy(v6 ? (void *)&a6.sin6_addr : (void *)&a4.sin_addr, ip->b, skf_ip_len(ip));
	if (v6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (!udp) /* connections that linger from before are no listeners */
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	return bind(fd, v6 ? (void *)&a6 : (void *)&a4, v6 ? sizeof(a6) : sizeof(a4)) < 0 ? -errno : 0;
}

static int in_use(const char *addr, uint16_t port, const char *why, struct skf_err *e)
{
	bool v6 = strchr(addr, ':') != NULL;

	return skf_fail(e, SKF_ECONFLICT,
			"failed to set up container networking: Bind for %s%s%s:%u failed: port is already "
			"allocated%s",
			v6 ? "[" : "", addr, v6 ? "]" : "", port, why);
}

static int append(struct ports *x, const struct skf_publish *p, const char *host_ip, const char *ip,
		  uint16_t port, struct skf_err *e)
{
	char *h = skf_arena_strdup(x->a, host_ip), *t = skf_arena_strdup(x->a, ip);

	if (!h || !t)
		return skf_fail(e, SKF_ENOMEM, "memory for the published ports");
	x->v[x->n++] = (struct skf_portmap){
		.proto = p->proto, .host_ip = h, .ip = t, .host = port, .port = p->port};
	x->r->ports = (struct skf_jarr){x->v, x->n};
	return 0;
}

/* 1 taken, 0 not free, -1. The mapping is noted before the lease is taken, for who cleans up. */
static int take_one(struct ports *x, const struct skf_publish *p, const char *addr, const char *ip,
		    uint16_t port, struct skf_err *e)
{
	struct skf_ip host;
	const char *lease;
	size_t n = x->n;
	int r;

	if (skf_ip_parse(addr, &host) < 0)
		return skf_fail(e, SKF_EINVALID, "invalid IP address: %s", addr);
	lease = skf_ip_is_any(&host) ? "" : addr;
	r = skf_port_take(x->g->run_fd, p->proto, host.family, lease, port, x->r->container, e);
	if (r <= 0)
		return r < 0 ? -1 : (in_use(addr, port, "", e), 0);
	r = try_bind(p->proto, &host, port);
	if (r == 0)
		return append(x, p, addr, ip, port, e) < 0 ? -1 : 1;
	(void)skf_port_drop(x->g->run_fd, p->proto, host.family, lease, port, x->r->container);
	x->n = n;
	if (r == -EADDRINUSE)
		return in_use(addr, port, " (a process of the host listens there)", e), 0;
	return skf_fail_sys(e, r, "failed to set up container networking: bind %s:%u", addr, port);
}

static void give_back(struct ports *x, size_t to)
{
	while (x->n > to) {
		const struct skf_portmap *m = &x->v[--x->n];
		struct skf_ip ip;

		if (skf_ip_parse(m->host_ip, &ip) == 0)
			(void)skf_port_drop(x->g->run_fd, m->proto, ip.family,
					    skf_ip_is_any(&ip) ? "" : m->host_ip, (uint16_t)m->host,
					    x->r->container);
	}
	x->r->ports.n = x->n;
}

/* Both families on one number, or none: 1, 0, -1. */
static int take_both(struct ports *x, const struct skf_publish *p, uint16_t port, struct skf_err *e)
{
	const char *ip = p->host_ip && *p->host_ip ? p->host_ip : x->host_ip;
	bool any = !ip, v6 = !any && strchr(ip, ':');
	size_t before = x->n;
	int r = 1;

	if (x->ip4 && !v6)
		r = take_one(x, p, any ? "0.0.0.0" : ip, x->ip4, port, e);
	if (r == 1 && x->ip6 && (any || v6))
		r = take_one(x, p, any ? "::" : ip, x->ip6, port, e);
	if (r != 1)
		give_back(x, before);
	return r;
}

static void kernel_range(uint32_t *first, uint32_t *last)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(64);
	int r = skf_read_file_at(AT_FDCWD, "/proc/sys/net/ipv4/ip_local_port_range", 64, &b);
	const char *p = skf_buf_cstr(&b);

	if (r >= 0)
		r = skf_scan_u32(&p, first);
	p += strspn(p, " \t");
	if (r >= 0)
		r = skf_scan_u32(&p, last);
	if (r < 0 || *first > *last || *last > UINT16_MAX) {
		*first = RANDOM_FIRST;
		*last = RANDOM_LAST;
	}
}

static int take_random(struct ports *x, const struct skf_publish *p, struct skf_err *e)
{
	uint32_t first, last, at;
	int r = 0;

	kernel_range(&first, &last);
	for (unsigned i = 0; r == 0 && i < MAX_RANDOM; i++) {
		if (getrandom(&at, sizeof(at), 0) != sizeof(at))
			return skf_fail_sys(e, -errno, "choose a port");
		skf_err_clear(e);
		r = take_both(x, p, (uint16_t)(first + at % (last - first + 1)), e);
	}
	return r == 1  ? 0
	       : r < 0 ? -1
		       : skf_fail(e, SKF_ELIMIT,
				  "failed to set up container networking: no free port for %u/%s", p->port,
				  p->proto);
}

static int take(struct ports *x, const struct skf_publish *p, struct skf_err *e)
{
	int r = 0;

	if (p->host_first == 0)
		return take_random(x, p, e);
	for (unsigned port = p->host_first; r == 0 && port <= p->host_last; port++) {
		skf_err_clear(e);
		r = take_both(x, p, (uint16_t)port, e);
	}
	return r == 1 ? 0 : -1;
}

/* -P: what is exposed and not published yet. */
static int take_exposed(struct ports *x, const struct skf_net_conf *c, struct skf_err *e)
{
	const struct skf_publish *have = c->ports.v;

	for (size_t i = 0; c->publish_all && i < c->exposed.n; i++) {
		char proto[8];
		struct skf_publish p = {.proto = proto, .host_ip = NULL};
		bool done = false;

		if (skf_exposed_split(c->exposed.v[i], &p.port, proto) < 0)
			continue;
		for (size_t k = 0; k < c->ports.n; k++)
			done |= have[k].port == p.port && skf_streq(have[k].proto, proto);
		p.proto = skf_arena_strdup(x->a, proto);
		if (!done && (!p.proto || take(x, &p, e) < 0))
			return -1;
	}
	return 0;
}

/* macvlan and internal networks: the container is reached directly, or not at all. */
static bool can_publish(const struct skf_endpoint *p)
{
	return skf_streq(p->driver, "bridge") && (p->gateway || p->gateway6);
}

int skf_net_ports_take(struct skf_engine *g, const struct skf_net_conf *c, struct skf_network *const *nets,
		       struct skf_netrec *r, struct skf_arena *a, struct skf_err *e)
{
	const struct skf_endpoint *p = r->endpoints.v;
	const struct skf_publish *w = c->ports.v;
	struct ports x = {.g = g, .r = r, .a = a};
	size_t max = 2 * (c->ports.n + (c->publish_all ? c->exposed.n : 0));
	bool cni = false;

	for (size_t i = 0; i < r->endpoints.n; i++) {
		cni |= skf_streq(p[i].driver, SKF_NET_CNI);
		if (!can_publish(&p[i]))
			continue;
		if (!x.ip4 && !x.ip6)
			x.host_ip = nets[i]->host_ip;
		x.ip4 = x.ip4 ? x.ip4 : p[i].ip;
		x.ip6 = x.ip6 ? x.ip6 : p[i].ip6;
	}
	if (cni && !x.ip4 && !x.ip6) /* its plugins forward: the ports are leased all the same; families are
					known after ADD */
		x.ip4 = x.ip6 = "";
	if (max == 0 || (!x.ip4 && !x.ip6))
		return 0;
	x.v = skf_arena_array(a, max, sizeof(*x.v));
	if (!x.v)
		return skf_fail(e, SKF_ENOMEM, "memory for the published ports");
	for (size_t i = 0; i < c->ports.n; i++)
		if (take(&x, &w[i], e) < 0)
			return -1;
	return take_exposed(&x, c, e);
}

int skf_net_ports_move(struct skf_engine *g, struct skf_netrec *r, const struct skf_endpoint *p,
		       struct skf_err *e)
{
	const struct skf_endpoint *v = r->endpoints.v;
	struct skf_portmap *m = r->ports.v;
	char *ip4 = NULL, *ip6 = NULL;
	size_t kept = 0, leading = 0;

	for (size_t i = 0; i < r->ports.n; i++)
		leading += skf_streq(p->driver, SKF_NET_CNI)
				   ? !*m[i].ip
				   : skf_streq(m[i].ip, p->ip) || skf_streq(m[i].ip, p->ip6);
	if (leading == 0)
		return 0;
	if (skf_net_table_del(g, r, e) < 0)
		return -1;
	for (size_t i = 0; i < r->endpoints.n; i++) {
		if (!can_publish(&v[i]))
			continue;
		ip4 = ip4 ? ip4 : v[i].ip;
		ip6 = ip6 ? ip6 : v[i].ip6;
	}
	for (size_t i = 0; i < r->ports.n; i++) {
		bool v6 = strchr(m[i].host_ip, ':') != NULL;
		struct skf_ip ip;
		int n;

		if (v6 ? ip6 != NULL : ip4 != NULL) {
			m[i].ip = v6 ? ip6 : ip4;
			m[kept++] = m[i];
			continue;
		}
		n = skf_ip_parse(m[i].host_ip, &ip) < 0
			    ? 0
			    : skf_port_drop(g->run_fd, m[i].proto, ip.family,
					    skf_ip_is_any(&ip) ? "" : m[i].host_ip, (uint16_t)m[i].host,
					    r->container);
		if (n < 0)
			return skf_fail_sys(e, n, "give back port %u of container %.12s", m[i].host,
					    r->container);
	}
	r->ports.n = kept;
	return 0;
}

int skf_net_ports_show(struct skf_engine *g, const struct skf_netrec *r, const struct skf_net_conf *c,
		       struct skf_err *e)
{
	struct skf_summary s;
	int n = skf_summary_read(g->run_fd, r->container, &s);

	if (n < 0 || (r->ports.n == 0 && c->exposed.n == 0 && !s.ports[0]))
		return 0;
	skf_net_ports_text(r, &c->exposed, s.ports, sizeof(s.ports));
	n = skf_summary_write(g->run_fd, r->container, &s);
	return n < 0 ? skf_fail_sys(e, n, "write the summary of container %.12s", r->container) : 0;
}

static bool continues(const struct skf_portmap *a, const struct skf_portmap *b, unsigned step)
{
	return skf_streq(a->proto, b->proto) && skf_streq(a->host_ip, b->host_ip) &&
	       b->host == a->host + step && b->port == a->port + step;
}

/* docker joins ports that follow each other: "0.0.0.0:8000-8002->8000-8002/tcp". */
void skf_net_ports_text(const struct skf_netrec *r, const struct skf_strv *exposed, char *out, size_t size)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_OBJECT_BYTES);
	const struct skf_portmap *m = r->ports.v;
	bool used[2 * 1024] = {false};

	for (size_t i = 0; i < r->ports.n && i < SKF_ARRAY_LEN(used); i++) {
		bool v6 = strchr(m[i].host_ip, ':') != NULL;
		unsigned run = 0;

		if (used[i])
			continue;
		for (size_t k = i + 1; k < r->ports.n && k < SKF_ARRAY_LEN(used); k++)
			if (!used[k] && continues(&m[i], &m[k], run + 1)) {
				used[k] = true;
				run++;
			}
		skf_buf_fmt(&b, "%s%s%s%s:%u", b.len ? ", " : "", v6 ? "[" : "", m[i].host_ip, v6 ? "]" : "",
			    m[i].host);
		if (run)
			skf_buf_fmt(&b, "-%u->%u-%u/%s", m[i].host + run, m[i].port, m[i].port + run,
				    m[i].proto);
		else
			skf_buf_fmt(&b, "->%u/%s", m[i].port, m[i].proto);
	}
	for (size_t i = 0; i < exposed->n; i++) {
		uint16_t port;
		char proto[8];
		bool published = false;

		if (skf_exposed_split(exposed->v[i], &port, proto) < 0)
			continue;
		for (size_t k = 0; k < r->ports.n && !published; k++)
			published = m[k].port == port && skf_streq(m[k].proto, proto);
		if (!published)
			skf_buf_fmt(&b, "%s%u/%s", b.len ? ", " : "", port, proto);
	}
	snprintf(out, size, "%s", skf_buf_cstr(&b)); /* cut: inspect and port show all */
}
