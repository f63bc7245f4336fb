/* network/endpoint.c -- the network record of a running container: one table for reading, one function for
 * writing. */
#include "network/endpoint.h"
#include "network/publish.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define MAX_ENDPOINTS 64
#define MAX_RECORD    (16u << 20) /* 65536 ports of some 100 bytes each, both families */
#define DIRECTORY     "networks/.ctr"

#define E(member, key, fn) SKF_J(struct skf_endpoint, member, key, fn, NULL, SKF_J_NULL_OK)
static const struct skf_jfield endpoint_f[] = {
	E(network, "network", skf_j_str),
	E(name, "name", skf_j_str),
	E(driver, "driver", skf_j_str),
	E(interface, "interface", skf_j_str),
	E(link, "link", skf_j_str),
	E(ifname, "ifname", skf_j_str),
	E(mac, "mac", skf_j_str),
	E(ip, "ip", skf_j_str),
	E(ip6, "ip6", skf_j_str),
	E(prefix, "prefix", skf_j_u32),
	E(prefix6, "prefix6", skf_j_u32),
	E(gateway, "gateway", skf_j_str),
	E(gateway6, "gateway6", skf_j_str),
	E(names, "names", skf_j_strv),
	E(dns_servers, "dns", skf_j_strv),
	E(dns_search, "dnsSearch", skf_j_strv),
	E(dns_options, "dnsOptions", skf_j_strv),
	SKF_J_END,
};
static const struct skf_jtable endpoint_table = {sizeof(struct skf_endpoint), endpoint_f, false, NULL};
static const struct skf_jarr_arg endpoints_arg = {&endpoint_table, MAX_ENDPOINTS};

#define P(member, key, fn) SKF_J(struct skf_portmap, member, key, fn, NULL, SKF_J_REQUIRED)
static const struct skf_jfield port_f[] = {
	P(proto, "proto", skf_j_str), P(host_ip, "hostIp", skf_j_str), P(ip, "ip", skf_j_str),
	P(host, "host", skf_j_u32),   P(port, "port", skf_j_u32),      SKF_J_END,
};
static const struct skf_jtable port_table = {sizeof(struct skf_portmap), port_f, false, NULL};
static const struct skf_jarr_arg ports_arg = {&port_table, 2 * SKF_MAX_PUBLISH};

#define R(member, key, fn, arg) SKF_J(struct skf_netrec, member, key, fn, arg, SKF_J_NULL_OK)
static const struct skf_jfield rec_f[] = {
	R(container, "container", skf_j_str, NULL),
	R(name, "name", skf_j_str, NULL),
	R(endpoints, "endpoints", skf_j_arr, &endpoints_arg),
	R(ports, "ports", skf_j_arr, &ports_arg),
	R(resolver, "resolver", skf_j_bool, NULL),
	R(egress, "egress", skf_j_bool, NULL),
	R(egress_allow, "egressAllow", skf_j_strv, NULL),
	SKF_J_END,
};
static const struct skf_jtable rec_table = {sizeof(struct skf_netrec), rec_f, false, NULL};

static void opt_str(struct skf_jw *w, const char *key, const char *v)
{
	if (v && *v)
		skf_jw_kstr(w, key, v);
}

static void opt_strv(struct skf_jw *w, const char *key, const struct skf_strv *v)
{
	if (v->n)
		skf_jw_kstrv(w, key, v);
}

static void write_endpoint(struct skf_jw *w, const struct skf_endpoint *p)
{
	skf_jw_obj(w);
	skf_jw_kstr(w, "network", p->network);
	skf_jw_kstr(w, "name", p->name);
	skf_jw_kstr(w, "driver", p->driver);
	opt_str(w, "interface", p->interface);
	opt_str(w, "link", p->link);
	opt_str(w, "ifname", p->ifname);
	opt_str(w, "mac", p->mac);
	opt_str(w, "ip", p->ip);
	opt_str(w, "ip6", p->ip6);
	skf_jw_kint(w, "prefix", p->prefix);
	skf_jw_kint(w, "prefix6", p->prefix6);
	opt_str(w, "gateway", p->gateway);
	opt_str(w, "gateway6", p->gateway6);
	skf_jw_kstrv(w, "names", &p->names);
	opt_strv(w, "dns", &p->dns_servers);
	opt_strv(w, "dnsSearch", &p->dns_search);
	opt_strv(w, "dnsOptions", &p->dns_options);
	skf_jw_end(w);
}

static void write_record(struct skf_jw *w, const struct skf_netrec *r)
{
	const struct skf_endpoint *p = r->endpoints.v;
	const struct skf_portmap *m = r->ports.v;

	skf_jw_obj(w);
	skf_jw_kint(w, "v", 1);
	skf_jw_kint(w, "min", 1);
	skf_jw_kstr(w, "container", r->container);
	skf_jw_kstr(w, "name", r->name);
	skf_jw_karr(w, "endpoints");
	for (size_t i = 0; i < r->endpoints.n; i++)
		write_endpoint(w, &p[i]);
	skf_jw_end_arr(w);
	skf_jw_karr(w, "ports");
	for (size_t i = 0; i < r->ports.n; i++) {
		skf_jw_obj(w);
		skf_jw_kstr(w, "proto", m[i].proto);
		skf_jw_kstr(w, "hostIp", m[i].host_ip);
		skf_jw_kstr(w, "ip", m[i].ip);
		skf_jw_kint(w, "host", m[i].host);
		skf_jw_kint(w, "port", m[i].port);
		skf_jw_end(w);
	}
	skf_jw_end_arr(w);
	skf_jw_kbool(w, "resolver", r->resolver);
	if (r->egress) {
		skf_jw_kbool(w, "egress", true);
		skf_jw_kstrv(w, "egressAllow", &r->egress_allow);
	}
	skf_jw_end(w);
}

int skf_netrec_write(int run_fd, const struct skf_netrec *r, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(MAX_RECORD);
	struct skf_jw w = SKF_JW(&b);
	SKF_AUTO_FD int dir = skf_openat(run_fd, DIRECTORY, O_RDONLY | O_DIRECTORY, 0);
	int n;

	if (dir == -ENOENT)
		dir = skf_mkdirs_at(run_fd, DIRECTORY, 0700);
	write_record(&w, r);
	n = dir < 0 ? dir : b.err < 0 ? b.err : skf_write_atomic_at(dir, r->container, b.p, b.len, 0600, 0);
	return n < 0 ? skf_fail_sys(e, n, "write the network record of container '%.12s'", r->container) : 0;
}

int skf_netrec_read(int run_fd, const char *container, struct skf_arena *a, struct skf_netrec **ret,
		    struct skf_err *e)
{
	static const struct skf_jdoc doc = {.name = "network record", .max_bytes = MAX_RECORD};
	char path[SKF_ID_LEN + 24];
	void *v;

	if (skf_fmt(path, sizeof(path), DIRECTORY "/%s", container) < 0)
		return 0;
	if (skf_json_decode_at(&doc, run_fd, path, &rec_table, a, &v, e) < 0) {
		if (e->kind != SKF_ENOTFOUND)
			return skf_ctx(e, "container '%.12s'", container);
		skf_err_clear(e);
		return 0;
	}
	*ret = v;
	(*ret)->container = skf_arena_strdup(a, container);
	return (*ret)->container ? 1 : skf_fail(e, SKF_ENOMEM, "memory for a network record");
}

int skf_netrec_remove(int run_fd, const char *container)
{
	char path[SKF_ID_LEN + 24];
	int r = skf_fmt(path, sizeof(path), DIRECTORY "/%s", container);

	return r < 0 ? r : unlinkat(run_fd, path, 0) < 0 && errno != ENOENT && errno != ENOTDIR ? -errno : 0;
}

int skf_netrec_any(int run_fd)
{
	SKF_AUTO_FD int fd = skf_openat(run_fd, DIRECTORY, O_RDONLY | O_DIRECTORY, 0);
	SKF_AUTO_DIR DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;

	if (!d)
		return fd == -ENOENT ? 0 : fd < 0 ? fd : -errno;
	(void)SKF_TAKE_FD(fd); /* d closes it */
	while ((de = readdir(d)))
		if (skf_is_hex(de->d_name, SKF_ID_LEN))
			return 1;
	return 0;
}

int skf_netrec_list(int run_fd, struct skf_arena *a, struct skf_strv *ret, struct skf_err *e)
{
	SKF_AUTO_FD int fd = skf_openat(run_fd, DIRECTORY, O_RDONLY | O_DIRECTORY, 0);
	SKF_AUTO_DIR DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct skf_strv v = {0};
	struct dirent *de;

	if (fd == -ENOENT) {
		*ret = v;
		return 0;
	}
	if (!d)
		return skf_fail_sys(e, fd < 0 ? fd : -errno, "list the network records");
	(void)SKF_TAKE_FD(fd); /* d closes it */
	while ((de = readdir(d)))
		if (skf_is_hex(de->d_name, SKF_ID_LEN) && skf_strv_add(a, &v, de->d_name) < 0)
			return skf_fail(e, SKF_ENOMEM, "memory for the list of network records");
	*ret = v;
	return 0;
}
