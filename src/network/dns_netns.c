/* network/dns_netns.c -- the resolver's place inside a container's network namespace: sockets on 127.0.0.11
 * at ports that the kernel chooses, and a table of our own there that leads port 53 of that address to them,
 * so that a workload may own port 53 (docker's way, with nft). Invariant: the process is back in its own
 * namespace when this returns; if it cannot go back it ends, because every later socket would be in the
 * wrong place. A table from before (a resolver that was killed) is replaced. */
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "network/dns_int.h"
#include "network/nft_int.h"
#include "sys/process.h"
#include <linux/netfilter.h>
#include <netinet/ip.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define CHAIN    "dns"
#define PRIORITY (-100) /* NF_IP_PRI_NAT_DST */
#define BACKLOG  64

static const uint8_t address[4] = {127, 0, 0, 11};

/* FREEBIND: a namespace whose loopback is still down has no such address yet. */
static int open_socket(int type, uint16_t port, uint16_t *ret_port)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(port)};
	SKF_AUTO_FD int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	socklen_t n = sizeof(sa);
	int one = 1;

	if (fd < 0)
		return -errno;
	memcpy(&sa.sin_addr, address, sizeof(address));
	if (setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &one, sizeof(one)) < 0 ||
	    bind(fd, (struct sockaddr *)&sa, n) < 0 || (type == SOCK_STREAM && listen(fd, BACKLOG) < 0) ||
	    getsockname(fd, (struct sockaddr *)&sa, &n) < 0)
		return -errno;
	*ret_port = ntohs(sa.sin_port);
	return SKF_TAKE_FD(fd);
}

/* ip daddr 127.0.0.11 <proto> dport 53 dnat to 127.0.0.11:<port> */
static void redirect_rule(struct skf_nft *n, uint8_t proto, uint16_t port)
{
	uint8_t family = NFPROTO_IPV4;
	uint16_t from = htons(53), to = htons(port);

	skf_nft_rule(n, CHAIN);
	skf_nft_x_meta(n, NFT_META_NFPROTO, NFT_REG_1);
	skf_nft_x_cmp(n, NFT_CMP_EQ, NFT_REG_1, &family, 1);
	skf_nft_x_meta(n, NFT_META_L4PROTO, NFT_REG_1);
	skf_nft_x_cmp(n, NFT_CMP_EQ, NFT_REG_1, &proto, 1);
	skf_nft_x_payload(n, NFT_PAYLOAD_NETWORK_HEADER, offsetof(struct iphdr, daddr), 4, NFT_REG_1);
	skf_nft_x_cmp(n, NFT_CMP_EQ, NFT_REG_1, address, 4);
	skf_nft_x_payload(n, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, NFT_REG_1);
	skf_nft_x_cmp(n, NFT_CMP_EQ, NFT_REG_1, &from, 2);
	skf_nft_x_value(n, NFT_REG_1, address, 4);
	skf_nft_x_value(n, NFT_REG_2, &to, 2);
	skf_nft_x_dnat(n, NFPROTO_IPV4, NFT_REG_1, NFT_REG_2);
	skf_nft_rule_end(n);
}

static int redirect(uint16_t udp, uint16_t tcp)
{
	SKF_AUTO(skf_nft_freep) struct skf_nft *n = NULL;
	struct skf_err e = SKF_ERR_INIT;
	struct skf_nft_hook hook = {"nat", NF_INET_LOCAL_OUT, PRIORITY};
	int r = skf_nft_open(&n, &e);

	if (r < 0)
		return e.sys ? -e.sys : -EOPNOTSUPP;
	skf_nft_table_delete(n);
	r = skf_nft_commit(n);
	if (r < 0 && r != -ENOENT)
		return r;
	skf_nft_table(n);
	skf_nft_base_chain(n, CHAIN, &hook);
	redirect_rule(n, IPPROTO_UDP, udp);
	redirect_rule(n, IPPROTO_TCP, tcp);
	return skf_nft_commit(n);
}

/* Inside the namespace. Without nat in its kernel port 53 itself has to do. */
static int open_inside(struct skf_dns *d, int *ret_udp, int *ret_tcp, const char **step)
{
	SKF_AUTO_FD int udp = -EBADF, tcp = -EBADF;
	uint16_t up = 0, tp = 0;
	int r;

	*step = "sockets on " SKF_RESOLVER_ADDR;
	udp = open_socket(SOCK_DGRAM, 0, &up);
	tcp = udp < 0 ? udp : open_socket(SOCK_STREAM, 0, &tp);
	if (tcp < 0)
		return tcp;
	r = redirect(up, tp);
	if (r < 0) {
		skf_warn(d->log, "nft cannot redirect port 53 there (%s): using port 53 itself",
			 strerrordesc_np(-r));
		skf_closep(&udp);
		skf_closep(&tcp);
		*step = "port 53 of " SKF_RESOLVER_ADDR;
		udp = open_socket(SOCK_DGRAM, 53, &up);
		tcp = udp < 0 ? udp : open_socket(SOCK_STREAM, 53, &tp);
		if (tcp < 0)
			return tcp;
	}
	*ret_udp = SKF_TAKE_FD(udp);
	*ret_tcp = SKF_TAKE_FD(tcp);
	return 0;
}

/* What is done inside (a table is deleted) must not be done to the host. */
static bool is_host(const struct skf_dns *d, int netns_fd)
{
	struct stat a, b;

	return fstat(netns_fd, &a) < 0 || fstat(d->host_netns, &b) < 0 || a.st_ino == b.st_ino;
}

int skf_dns_netns_open(struct skf_dns *d, const char *id, int netns_fd, int *ret_udp, int *ret_tcp,
		       struct skf_err *e)
{
	const char *step = "enter it";
	int udp = -EBADF, tcp = -EBADF, r;

	if (is_host(d, netns_fd))
		return skf_fail(e, SKF_EDENIED, "the network namespace of container '%.12s' is the host's",
				id);
	r = d->lost ? -ENOTRECOVERABLE : skf_setns(netns_fd, CLONE_NEWNET);
	if (r == 0) {
		r = open_inside(d, &udp, &tcp, &step);
		if (skf_setns(d->host_netns, CLONE_NEWNET) < 0) {
			d->lost = true;
			skf_closep(&udp);
			skf_closep(&tcp);
			return skf_fail_sys(e, -errno,
					    "return from the network namespace of container '%.12s'", id);
		}
	}
	if (r < 0)
		return skf_fail_sys(e, r, "resolver in the network namespace of container '%.12s': %s", id,
				    step);
	*ret_udp = udp;
	*ret_tcp = tcp;
	return 0;
}
