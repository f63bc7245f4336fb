/* network/network.c -- network objects on disk: one table for reading, one function for writing, names as
 * links. */
#include "network/network.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define MAX_SUBNETS 16
#define NAMES       "networks/.names"

#define S(member, key, fn) SKF_J(struct skf_netsub, member, key, fn, NULL, SKF_J_NULL_OK)
static const struct skf_jfield sub_f[] = {
	SKF_J(struct skf_netsub, subnet, "subnet", skf_j_str_nonempty, NULL, SKF_J_REQUIRED),
	S(gateway, "gateway", skf_j_str),
	S(range, "range", skf_j_str),
	S(reserved, "reserved", skf_j_kvs),
	SKF_J_END,
};
static const struct skf_jtable sub_table = {sizeof(struct skf_netsub), sub_f, false, NULL};
static const struct skf_jarr_arg subs_arg = {&sub_table, MAX_SUBNETS};

#define N(member, key, fn, arg, flags) SKF_J(struct skf_network, member, key, fn, arg, flags)
static const struct skf_jfield net_f[] = {
	N(id, "id", skf_j_str_nonempty, NULL, SKF_J_REQUIRED),
	N(name, "name", skf_j_str_nonempty, NULL, SKF_J_REQUIRED),
	N(driver, "driver", skf_j_str_nonempty, NULL, SKF_J_REQUIRED),
	N(created, "created", skf_j_str, NULL, 0),
	N(interface, "interface", skf_j_str, NULL, 0),
	N(subnets, "subnets", skf_j_arr, &subs_arg, SKF_J_NULL_OK),
	N(internal, "internal", skf_j_bool, NULL, 0),
	N(ipv6, "ipv6", skf_j_bool, NULL, 0),
	N(attachable, "attachable", skf_j_bool, NULL, 0),
	N(dns, "dns", skf_j_bool, NULL, 0),
	N(masquerade, "masquerade", skf_j_bool, NULL, 0),
	N(icc, "icc", skf_j_bool, NULL, 0),
	N(is_default, "default", skf_j_bool, NULL, 0),
	N(mtu, "mtu", skf_j_u32, NULL, 0),
	N(vlan, "vlan", skf_j_u32, NULL, 0),
	N(mode, "mode", skf_j_str, NULL, SKF_J_NULL_OK),
	N(ifname_prefix, "ifnamePrefix", skf_j_str, NULL, SKF_J_NULL_OK),
	N(host_ip, "hostIp", skf_j_str, NULL, SKF_J_NULL_OK),
	N(dns_servers, "dnsServers", skf_j_strv, NULL, SKF_J_NULL_OK),
	N(egress, "egress", skf_j_str, NULL, SKF_J_NULL_OK),
	N(egress_allow, "egressAllow", skf_j_strv, NULL, SKF_J_NULL_OK),
	N(options, "options", skf_j_kvs, NULL, SKF_J_NULL_OK),
	N(labels, "labels", skf_j_kvs, NULL, SKF_J_NULL_OK),
	N(ipam_options, "ipamOptions", skf_j_kvs, NULL, SKF_J_NULL_OK),
	SKF_J_END,
};
static const struct skf_jtable net_table = {sizeof(struct skf_network), net_f, false, NULL};

static void opt_str(struct skf_jw *w, const char *key, const char *v)
{
	if (v && *v)
		skf_jw_kstr(w, key, v);
}

static void write_subnets(struct skf_jw *w, const struct skf_network *n)
{
	const struct skf_netsub *s = n->subnets.v;

	skf_jw_karr(w, "subnets");
	for (size_t i = 0; i < n->subnets.n; i++) {
		skf_jw_obj(w);
		skf_jw_kstr(w, "subnet", s[i].subnet);
		opt_str(w, "gateway", s[i].gateway);
		opt_str(w, "range", s[i].range);
		if (s[i].reserved.n)
			skf_jw_kkvs(w, "reserved", &s[i].reserved);
		skf_jw_end(w);
	}
	skf_jw_end_arr(w);
}

static void write_network(struct skf_jw *w, const struct skf_network *n)
{
	skf_jw_obj(w);
	skf_jw_kint(w, "v", 1);
	skf_jw_kint(w, "min", 1);
	skf_jw_kstr(w, "id", n->id);
	skf_jw_kstr(w, "name", n->name);
	skf_jw_kstr(w, "driver", n->driver);
	skf_jw_kstr(w, "created", n->created);
	skf_jw_kstr(w, "interface", n->interface);
	write_subnets(w, n);
	skf_jw_kbool(w, "internal", n->internal);
	skf_jw_kbool(w, "ipv6", n->ipv6);
	skf_jw_kbool(w, "attachable", n->attachable);
	skf_jw_kbool(w, "dns", n->dns);
	skf_jw_kbool(w, "masquerade", n->masquerade);
	skf_jw_kbool(w, "icc", n->icc);
	skf_jw_kbool(w, "default", n->is_default);
	skf_jw_kint(w, "mtu", n->mtu);
	skf_jw_kint(w, "vlan", n->vlan);
	opt_str(w, "mode", n->mode);
	opt_str(w, "ifnamePrefix", n->ifname_prefix);
	opt_str(w, "hostIp", n->host_ip);
	skf_jw_kstrv(w, "dnsServers", &n->dns_servers);
	opt_str(w, "egress", n->egress);
	skf_jw_kstrv(w, "egressAllow", &n->egress_allow);
	skf_jw_kkvs(w, "options", &n->options);
	skf_jw_kkvs(w, "labels", &n->labels);
	skf_jw_kkvs(w, "ipamOptions", &n->ipam_options);
	skf_jw_end(w);
}

int skf_network_save(int lib_fd, const struct skf_network *n, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_OBJECT_BYTES);
	struct skf_jw w = SKF_JW(&b);
	SKF_AUTO_FD int dir = -EBADF;
	char path[SKF_ID_LEN + 16];
	int r = skf_fmt(path, sizeof(path), "networks/%s", n->id);

	write_network(&w, n);
	if (r == 0)
		r = dir = skf_mkdirs_at(lib_fd, path, 0700);
	if (r >= 0)
		r = b.err < 0 ? b.err : skf_write_atomic_at(dir, "network.json", b.p, b.len, 0600, SKF_SYNC);
	return r < 0 ? skf_fail_sys(e, r, "write the network '%s'", n->name) : 0;
}

int skf_network_load(int lib_fd, const char *id, struct skf_arena *a, struct skf_network **ret,
		     struct skf_err *e)
{
	static const struct skf_jdoc doc = {.name = "network.json", .max_bytes = SKF_MAX_OBJECT_BYTES};
	char path[SKF_ID_LEN + 32];
	void *v;

	if (!skf_is_hex(id, SKF_ID_LEN) || skf_fmt(path, sizeof(path), "networks/%s/network.json", id) < 0)
		return skf_fail(e, SKF_ENOTFOUND, "network %s not found", id);
	if (skf_json_decode_at(&doc, lib_fd, path, &net_table, a, &v, e) < 0) {
		if (e->kind == SKF_ENOTFOUND)
			return skf_fail(e, SKF_ENOTFOUND, "network %s not found", id);
		return skf_ctx(e, "network '%.12s'", id);
	}
	*ret = v;
	return 0;
}

static bool name_fits(const char *name)
{
	return *name && *name != '.' && !strchr(name, '/') && strlen(name) <= SKF_MAX_NAME_BYTES;
}

/* 1 found, 0 not. */
static int by_name(int lib_fd, const char *name, char id[SKF_ID_LEN + 1])
{
	char path[SKF_MAX_NAME_BYTES + 32];
	ssize_t n;

	if (!name_fits(name) || skf_fmt(path, sizeof(path), NAMES "/%s", name) < 0)
		return 0;
	n = readlinkat(lib_fd, path, id, SKF_ID_LEN);
	if (n != SKF_ID_LEN)
		return 0;
	id[n] = '\0';
	return 1;
}

static int by_prefix(int lib_fd, const char *word, char id[SKF_ID_LEN + 1], struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_strv all = {0};
	int found = 0;

	if (skf_network_list(lib_fd, &a, &all, e) < 0)
		return -1;
	for (size_t i = 0; i < all.n; i++)
		if (skf_startswith(all.v[i], word)) {
			memcpy(id, all.v[i], SKF_ID_LEN + 1);
			found++;
		}
	if (found > 1)
		return skf_fail(e, SKF_ECONFLICT,
				"network %s is ambiguous (%d matches found based on ID prefix)", word,
				found);
	return found;
}

int skf_network_find(int lib_fd, const char *word, struct skf_arena *a, struct skf_network **ret,
		     struct skf_err *e)
{
	char id[SKF_ID_LEN + 1];
	int r = by_name(lib_fd, word, id);

	if (r == 0 && *word)
		r = by_prefix(lib_fd, word, id, e);
	if (r < 0)
		return -1;
	if (r == 0)
		return skf_fail(e, SKF_ENOTFOUND, "network %s not found", word);
	return skf_network_load(lib_fd, id, a, ret, e);
}

static int by_text(const void *x, const void *y)
{
	return strcmp(*(char *const *)x, *(char *const *)y);
}

int skf_network_list(int lib_fd, struct skf_arena *a, struct skf_strv *ret, struct skf_err *e)
{
	SKF_AUTO_FD int fd = skf_openat(lib_fd, "networks", O_RDONLY | O_DIRECTORY, 0);
	SKF_AUTO_DIR DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct skf_strv v = {0};
	struct dirent *de;

	if (fd == -ENOENT) {
		*ret = v;
		return 0;
	}
	if (!d)
		return skf_fail_sys(e, fd < 0 ? fd : -errno, "list the networks");
	(void)SKF_TAKE_FD(fd); /* d closes it */
	while ((de = readdir(d))) {
		char path[SKF_ID_LEN + 32];

		if (!skf_is_hex(de->d_name, SKF_ID_LEN) ||
		    skf_fmt(path, sizeof(path), "networks/%s/network.json", de->d_name) < 0 ||
		    faccessat(lib_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (skf_strv_add(a, &v, de->d_name) < 0)
			return skf_fail(e, SKF_ENOMEM, "memory for the list of networks");
	}
	if (v.n)
		qsort(v.v, v.n, sizeof(*v.v), by_text);
	*ret = v;
	return 0;
}

int skf_network_claim(int lib_fd, const char *name, const char *id, struct skf_err *e)
{
	SKF_AUTO_FD int dir = skf_mkdirs_at(lib_fd, NAMES, 0700);

	if (dir < 0)
		return skf_fail_sys(e, dir, "make the directory of the networks' names");
	if (symlinkat(id, dir, name) == 0)
		return 1;
	return errno == EEXIST ? 0 : skf_fail_sys(e, -errno, "claim the network name '%s'", name);
}

int skf_network_remove(int lib_fd, const char *id, const char *name, struct skf_err *e)
{
	SKF_AUTO_FD int dir = skf_openat(lib_fd, "networks", O_RDONLY | O_DIRECTORY, 0);
	char path[SKF_MAX_NAME_BYTES + 16], holder[SKF_ID_LEN + 1];
	int r = dir == -ENOENT ? 0 : dir < 0 ? dir : skf_rmtree_at(dir, id);

	if (r < 0)
		return skf_fail_sys(e, r, "remove the network '%s'", name);
	if (!name_fits(name) || by_name(lib_fd, name, holder) != 1 || !skf_streq(holder, id))
		return 0;
	if (skf_fmt(path, sizeof(path), ".names/%s", name) < 0 ||
	    (unlinkat(dir, path, 0) < 0 && errno != ENOENT))
		return skf_fail_sys(e, -errno, "give back the network name '%s'", name);
	return 0;
}
