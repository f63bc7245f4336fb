/* network/lease.c -- leases of addresses and ports as symlinks; see lease.h. A lease is taken with
 * symlink(2), which succeeds for one; it is given back by its holder's reap only, so that reading it first
 * and unlinking it then is no race. */
#include "network/lease.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* all of a /16; of a larger subnet this many in a row must be taken before it counts as full */
#define MAX_TRIES 70000
#define LAST      "last"

static int addr_dir(int run_fd, const char *network)
{
	char path[SKF_ID_LEN + 24];
	int r = skf_fmt(path, sizeof(path), "networks/%s/addr", network);
	int fd = r < 0 ? r : skf_openat(run_fd, path, O_RDONLY | O_DIRECTORY, 0);

	return fd == -ENOENT ? skf_mkdirs_at(run_fd, path, 0700) : fd;
}

/* 1 taken (or ours before), 0 another has it, -errno. */
static int take(int dir, const char *name, const char *container)
{
	char who[SKF_ID_LEN + 1];
	ssize_t n;

	if (symlinkat(container, dir, name) == 0)
		return 1;
	if (errno != EEXIST)
		return -errno;
	n = readlinkat(dir, name, who, SKF_ID_LEN);
	return n == SKF_ID_LEN && !memcmp(who, container, SKF_ID_LEN);
}

static bool has(int dir, const char *name, const char *container)
{
	char who[SKF_ID_LEN + 1];

	return readlinkat(dir, name, who, SKF_ID_LEN) == SKF_ID_LEN && !memcmp(who, container, SKF_ID_LEN);
}

static int drop(int dir, const char *name, const char *container)
{
	if (!has(dir, name, container))
		return 0;
	return unlinkat(dir, name, 0) < 0 && errno != ENOENT ? -errno : 0;
}

static bool is_reserved(const struct skf_netsub *s, const struct skf_cidr *subnet, const struct skf_ip *ip)
{
	struct skf_ip first = skf_cidr_first(subnet), last = skf_cidr_last(subnet), x;

	if (skf_ip_equal(ip, &first) ||
	    (ip->family == AF_INET && subnet->prefix < 31 && skf_ip_equal(ip, &last)))
		return true;
	if (s->gateway && skf_ip_parse(s->gateway, &x) == 0 && skf_ip_equal(ip, &x))
		return true;
	for (size_t i = 0; i < s->reserved.n; i++)
		if (skf_ip_parse(s->reserved.v[i].v, &x) == 0 && skf_ip_equal(ip, &x))
			return true;
	return false;
}

/* Where to look first: behind the address that was given last. Only a hint: it may be missing, old or lost.
 */
static struct skf_ip start_at(int dir, const char *hint, const struct skf_cidr *range)
{
	char text[SKF_IP_TEXT];
	ssize_t n = readlinkat(dir, hint, text, sizeof(text) - 1);
	struct skf_ip ip;

	if (n > 0) {
		text[n] = '\0';
		if (skf_ip_parse(text, &ip) == 0 && skf_cidr_has(range, &ip)) {
			struct skf_ip next = skf_ip_add(&ip, 1);

			if (skf_cidr_has(range, &next))
				return next;
		}
	}
	return skf_cidr_first(range);
}

static void note_last(int dir, const char *hint, const char *text)
{
	char tmp[32];

	if (skf_fmt(tmp, sizeof(tmp), ".%s.%d", hint, (int)getpid()) < 0)
		return;
	(void)unlinkat(dir, tmp, 0);
	if (symlinkat(text, dir, tmp) == 0 && renameat(dir, tmp, dir, hint) < 0)
		(void)unlinkat(dir, tmp, 0);
}

static int search(int dir, const struct skf_netsub *s, const struct skf_cidr *subnet,
		  const struct skf_cidr *range, const char *container, struct skf_ip *ret)
{
	const char *hint = range->ip.family == AF_INET ? LAST "4" : LAST "6";
	struct skf_ip ip = start_at(dir, hint, range), first = ip;
	char text[SKF_IP_TEXT];

	for (unsigned i = 0; i < MAX_TRIES; i++) {
		int r = 0;

		skf_ip_text(&ip, text);
		if (!is_reserved(s, subnet, &ip))
			r = symlinkat(container, dir, text) == 0 ? 1 : errno == EEXIST ? 0 : -errno;
		if (r < 0)
			return r;
		if (r == 1) {
			note_last(dir, hint, text);
			*ret = ip;
			return 0;
		}
		ip = skf_ip_add(&ip, 1);
		if (!skf_cidr_has(range, &ip))
			ip = skf_cidr_first(range);
		if (skf_ip_equal(&ip, &first))
			break;
	}
	return -ENOSPC;
}

int skf_lease_any(int run_fd, const struct skf_network *n, const struct skf_netsub *s, const char *container,
		  struct skf_ip *ret, struct skf_err *e)
{
	SKF_AUTO_FD int dir = addr_dir(run_fd, n->id);
	struct skf_cidr subnet, range;
	int r;

	if (dir < 0)
		return skf_fail_sys(e, dir, "open the leases of network '%s'", n->name);
	if (skf_cidr_parse(s->subnet, false, &subnet) < 0 ||
	    skf_cidr_parse(s->range ? s->range : s->subnet, false, &range) < 0)
		return skf_fail(e, SKF_ECORRUPT, "network '%s': '%s' is not a subnet", n->name,
				s->range ? s->range : s->subnet);
	r = search(dir, s, &subnet, &range, container, ret);
	if (r == -ENOSPC)
		return skf_fail(e, SKF_ELIMIT,
				"no available %s addresses on this network's address pools: %s (%.12s), all "
				"of %s are in use",
				range.ip.family == AF_INET ? "IPv4" : "IPv6", n->name, n->id,
				s->range ? s->range : s->subnet);
	return r < 0 ? skf_fail_sys(e, r, "take an address of network '%s'", n->name) : 0;
}

int skf_lease_take(int run_fd, const struct skf_network *n, const struct skf_ip *ip, const char *container,
		   struct skf_err *e)
{
	SKF_AUTO_FD int dir = addr_dir(run_fd, n->id);
	char text[SKF_IP_TEXT];
	int r = dir < 0 ? dir : 1;

	skf_ip_text(ip, text);
	if (r > 0)
		r = take(dir, text, container);
	if (r < 0)
		return skf_fail_sys(e, r, "take the address %s of network '%s'", text, n->name);
	return r == 1 ? 0
		      : skf_fail(e, SKF_ECONFLICT,
				 "Address already in use: %s of network '%s' belongs to another container",
				 text, n->name);
}

int skf_lease_drop(int run_fd, const char *network, const char *ip, const char *container)
{
	char path[SKF_ID_LEN + SKF_IP_TEXT + 24];
	int r = skf_fmt(path, sizeof(path), "networks/%s/addr/%s", network, ip);

	return r < 0 ? r : drop(run_fd, path, container);
}

bool skf_lease_has(int run_fd, const char *network, const char *ip, const char *container)
{
	char path[SKF_ID_LEN + SKF_IP_TEXT + 24];

	return skf_fmt(path, sizeof(path), "networks/%s/addr/%s", network, ip) == 0 &&
	       has(run_fd, path, container);
}

/* --- ports --- */

#define PORTS "networks/.ports"

static int port_name(char *out, size_t size, const char *proto, int family, const char *addr, uint16_t port)
{
	return skf_fmt(out, size, PORTS "/%s%s_%u_%s", proto, family == AF_INET ? "4" : "6", port,
		       *addr ? addr : "any");
}

/* 1 when another container has an address that overlaps: "any" and each single one exclude each other. */
static int overlapped(int run_fd, const char *proto, int family, const char *addr, uint16_t port,
		      const char *container)
{
	char path[96], prefix[48];
	SKF_AUTO_DIR DIR *d = NULL;
	SKF_AUTO_FD int fd = -EBADF;
	struct dirent *de;

	if (*addr) { /* then only "any" can */
		if (port_name(path, sizeof(path), proto, family, "", port) < 0 ||
		    faccessat(run_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
			return 0;
		return !has(run_fd, path, container);
	}
	if (skf_fmt(prefix, sizeof(prefix), "%s%s_%u_", proto, family == AF_INET ? "4" : "6", port) < 0)
		return -ENAMETOOLONG;
	fd = skf_openat(run_fd, PORTS "/.single", O_RDONLY | O_DIRECTORY, 0);
	if (fd == -ENOENT)
		return 0; /* nobody ever published on a single address */
	if (fd < 0)
		return fd;
	d = fdopendir(fd);
	if (!d)
		return -errno;
	(void)SKF_TAKE_FD(fd);
	while ((de = readdir(d)))
		if (skf_startswith(de->d_name, prefix) && !has(dirfd(d), de->d_name, container))
			return 1;
	return 0;
}

/* Beside the lease, so that "any" finds the single ones without reading all ports. */
static int single_name(char *out, size_t size, const char *proto, int family, const char *addr,
		       uint16_t port)
{
	return skf_fmt(out, size, PORTS "/.single/%s%s_%u_%s", proto, family == AF_INET ? "4" : "6", port,
		       addr);
}

static int make_port_dirs(int run_fd)
{
	int fd = skf_mkdirs_at(run_fd, PORTS "/.single", 0700);

	if (fd >= 0)
		skf_closep(&fd);
	return fd == -EBADF ? 0 : fd;
}

int skf_port_take(int run_fd, const char *proto, int family, const char *addr, uint16_t port,
		  const char *container, struct skf_err *e)
{
	char path[96], single[112];
	int r = port_name(path, sizeof(path), proto, family, addr, port);

	if (r == 0)
		r = take(run_fd, path, container);
	if (r == -ENOENT) {
		r = make_port_dirs(run_fd);
		if (r == 0)
			r = take(run_fd, path, container);
	}
	if (r == 1 && *addr) {
		r = single_name(single, sizeof(single), proto, family, addr, port);
		if (r == 0)
			r = take(run_fd, single, container);
	}
	/* Both sides take first and look then, so that of two at the same moment at least one sees the
	 * other. */
	if (r == 1) {
		r = overlapped(run_fd, proto, family, addr, port, container);
		if (r != 0)
			(void)skf_port_drop(run_fd, proto, family, addr, port, container);
		r = r < 0 ? r : !r;
	}
	return r < 0 ? skf_fail_sys(e, r, "take port %u/%s of the host", port, proto) : r;
}

int skf_port_drop(int run_fd, const char *proto, int family, const char *addr, uint16_t port,
		  const char *container)
{
	char path[112];
	int r = 0;

	if (*addr && single_name(path, sizeof(path), proto, family, addr, port) == 0)
		r = drop(run_fd, path, container);
	if (r == 0)
		r = port_name(path, sizeof(path), proto, family, addr, port);
	return r < 0 ? r : drop(run_fd, path, container);
}

bool skf_port_has(int run_fd, const char *proto, int family, const char *addr, uint16_t port,
		  const char *container)
{
	char path[96];

	return port_name(path, sizeof(path), proto, family, addr, port) == 0 && has(run_fd, path, container);
}
