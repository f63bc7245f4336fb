/* network/cni_result.c -- what plugins answer, and what is kept of an ADD:
 * run/cni/<network>/<container>-<ifname>, written before the first plugin runs and again with the result.
 * Clause: CNI SPEC.md section 5. */
#include "base/cleanup.h"
#include "base/fd.h"
#include "network/cni_int.h"
#include <dirent.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* --- results --- */
struct ip {
	char *address, *gateway;
	int64_t interface;
};
static const struct skf_jfield ip_fields[] = {
	SKF_J(struct ip, address, "address", skf_j_str_nonempty, NULL, SKF_J_REQUIRED),
	SKF_J(struct ip, gateway, "gateway", skf_j_str, NULL, SKF_J_NULL_OK),
	SKF_J(struct ip, interface, "interface", skf_j_i64, NULL, SKF_J_NULL_OK),
	SKF_J_END,
};
static const struct skf_jtable ip_table = {sizeof(struct ip), ip_fields, false, NULL};
static const struct skf_jarr_arg ip_arg = {&ip_table, SKF_MAX_CNI_IPS};

struct interface {
	char *name, *mac, *sandbox;
};
static const struct skf_jfield interface_fields[] = {
	SKF_J(struct interface, name, "name", skf_j_str, NULL, 0),
	SKF_J(struct interface, mac, "mac", skf_j_str, NULL, SKF_J_NULL_OK),
	SKF_J(struct interface, sandbox, "sandbox", skf_j_str, NULL, SKF_J_NULL_OK),
	SKF_J_END,
};
static const struct skf_jtable interface_table = {sizeof(struct interface), interface_fields, false, NULL};
static const struct skf_jarr_arg interface_arg = {&interface_table, SKF_MAX_CNI_IPS};

struct dns {
	char *domain;
	struct skf_strv servers, search, options;
};
static const struct skf_jfield dns_fields[] = {
	SKF_J(struct dns, servers, "nameservers", skf_j_strv, NULL, SKF_J_NULL_OK),
	SKF_J(struct dns, domain, "domain", skf_j_str, NULL, SKF_J_NULL_OK),
	SKF_J(struct dns, search, "search", skf_j_strv, NULL, SKF_J_NULL_OK),
	SKF_J(struct dns, options, "options", skf_j_strv, NULL, SKF_J_NULL_OK),
	SKF_J_END,
};
static const struct skf_jtable dns_table = {sizeof(struct dns), dns_fields, false, NULL};

struct result {
	char *version;
	struct skf_jarr ips, interfaces;
	struct dns dns;
};
static const struct skf_jfield result_fields[] = {
	SKF_J(struct result, version, "cniVersion", skf_j_str, NULL, 0),
	SKF_J(struct result, ips, "ips", skf_j_arr, &ip_arg, SKF_J_NULL_OK),
	SKF_J(struct result, interfaces, "interfaces", skf_j_arr, &interface_arg, SKF_J_NULL_OK),
	SKF_J(struct result, dns, "dns", skf_j_obj, &dns_table, SKF_J_NULL_OK),
	SKF_J_END,
};
static const struct skf_jtable result_table = {sizeof(struct result), result_fields, false, NULL};

static int fill(const struct result *r, struct skf_arena *a, struct skf_cni_result *out)
{
	const struct interface *f = r->interfaces.v;
	const struct ip *ip = r->ips.v;

	for (size_t i = 0; i < r->ips.n; i++)
		if (skf_strv_add(a, &out->ips, ip[i].address) < 0 ||
		    skf_strv_add(a, &out->gateways, ip[i].gateway ? ip[i].gateway : "") < 0)
			return -ENOMEM;
	for (size_t i = 0; i < r->interfaces.n; i++)
		if (f[i].sandbox && *f[i].sandbox && f[i].mac && *f[i].mac)
			out->mac = f[i].mac;
	out->dns_servers = r->dns.servers;
	if (r->dns.domain && *r->dns.domain && r->dns.search.n == 0 &&
	    skf_strv_add(a, &out->dns_search, r->dns.domain) < 0)
		return -ENOMEM; /* resolv.conf(5): of the two, search counts */
	if (r->dns.search.n)
		out->dns_search = r->dns.search;
	out->dns_options = r->dns.options;
	return 0;
}

int skf_cni_result_decode(const char *who, const char *text, size_t n, struct skf_arena *a,
			  struct skf_cni_result **ret, struct skf_err *e)
{
	struct skf_jdoc doc = {who, SKF_MAX_CNI_RESULT, NULL, NULL};
	struct skf_cni_result *out = skf_arena_alloc(a, sizeof(*out));
	void *r = NULL;

	if (!out)
		return skf_fail(e, SKF_ENOMEM, "memory for a result of CNI");
	if (skf_json_decode(&doc, text, n, &result_table, a, &r, e) < 0)
		return -1;
	out->json = skf_arena_dup(a, text, n);
	if (!out->json || fill(r, a, out) < 0)
		return skf_fail(e, SKF_ENOMEM, "memory for a result of CNI");
	if (ret)
		*ret = out;
	return 0;
}

/* --- errors and versions --- */
static const struct skf_jfield failure_fields[] = {
	SKF_J(struct skf_cni_failure, code, "code", skf_j_u32, NULL, SKF_J_REQUIRED),
	SKF_J(struct skf_cni_failure, msg, "msg", skf_j_str, NULL, SKF_J_REQUIRED),
	SKF_J(struct skf_cni_failure, details, "details", skf_j_str, NULL, SKF_J_NULL_OK),
	SKF_J_END,
};
static const struct skf_jtable failure_table = {sizeof(struct skf_cni_failure), failure_fields, false, NULL};

int skf_cni_error_decode(const char *text, size_t n, struct skf_arena *a, struct skf_cni_failure **ret)
{
	struct skf_jdoc doc = {"error", SKF_MAX_CNI_RESULT, NULL, NULL};
	struct skf_err ignored = SKF_ERR_INIT;
	void *p = NULL;

	if (skf_json_decode(&doc, text, n, &failure_table, a, &p, &ignored) < 0)
		return -1;
	*ret = p;
	return 0;
}

struct versions {
	struct skf_strv supported;
};
static const struct skf_jfield versions_fields[] = {
	SKF_J(struct versions, supported, "supportedVersions", skf_j_strv, NULL, SKF_J_REQUIRED),
	SKF_J_END,
};
static const struct skf_jtable versions_table = {sizeof(struct versions), versions_fields, false, NULL};

int skf_cni_versions_decode(const char *type, const char *text, size_t n, struct skf_arena *a,
			    struct skf_strv *ret, struct skf_err *e)
{
	struct skf_jdoc doc = {type, SKF_MAX_CNI_RESULT, NULL, NULL};
	void *p = NULL;

	if (skf_json_decode(&doc, text, n, &versions_table, a, &p, e) < 0)
		return skf_ctx(e, "VERSION of CNI plugin");
	*ret = ((struct versions *)p)->supported;
	return 0;
}

/* --- the cache --- */
static int on_cap(struct skf_jctx *c, const char *key, struct json_object *v, void *user)
{
	struct skf_arena *a = skf_j_arena(c);
	struct skf_kvs *m = user;
	struct skf_kv *grown = skf_arena_array(a, m->n + 1, sizeof(*grown));

	if (!grown)
		return skf_j_fail(c, SKF_ENOMEM, "no memory");
	if (m->n)
		memcpy(grown, m->v, m->n * sizeof(*grown));
	grown[m->n].k = skf_arena_strdup(a, key);
	grown[m->n].v = skf_arena_strdup(
		a,
		json_object_to_json_string_ext(v, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	if (!grown[m->n].k || !grown[m->n].v)
		return skf_j_fail(c, SKF_ENOMEM, "no memory");
	m->v = grown;
	m->n++;
	return 0;
}

static int decode_caps(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	return skf_j_each_member(c, v, on_cap, dst);
}

static const struct skf_jfield cache_fields[] = {
	SKF_J(struct skf_cni_cache, container_id, "container", skf_j_str_nonempty, NULL, SKF_J_REQUIRED),
	SKF_J(struct skf_cni_cache, ifname, "ifname", skf_j_str_nonempty, NULL, SKF_J_REQUIRED),
	SKF_J(struct skf_cni_cache, netns, "netns", skf_j_str, NULL, 0),
	SKF_J(struct skf_cni_cache, args, "args", skf_j_str, NULL, 0),
	SKF_J(struct skf_cni_cache, file, "file", skf_j_str, NULL, SKF_J_REQUIRED),
	SKF_J(struct skf_cni_cache, single, "single", skf_j_bool, NULL, 0),
	SKF_J(struct skf_cni_cache, list, "list", skf_j_str, NULL, SKF_J_REQUIRED),
	SKF_J(struct skf_cni_cache, caps, "capabilityArgs", decode_caps, NULL, 0),
	SKF_J(struct skf_cni_cache, bin, "pluginDirs", skf_j_strv, NULL, 0),
	SKF_J(struct skf_cni_cache, result, "result", skf_j_str, NULL, 0),
	SKF_J_END,
};
static const struct skf_jtable cache_table = {sizeof(struct skf_cni_cache), cache_fields, false, NULL};

static int cache_name(const char *network, const char *container_id, const char *ifname, char *out,
		      size_t size, struct skf_err *e)
{
	if (!skf_cni_word_ok(network) || !skf_cni_word_ok(container_id) || !skf_cni_word_ok(ifname) ||
	    skf_fmt(out, size, "%s-%s", container_id, ifname) < 0)
		return skf_fail(e, SKF_EINVALID,
				"'%.80s', '%.80s' or '%.40s' is not possible as network, container or "
				"interface of CNI",
				network, container_id, ifname);
	return 0;
}

/* -ENOENT without a word when it is not there and is not to be made. */
static int cache_dir(int run_fd, const char *network, bool make, struct skf_err *e)
{
	char path[160];
	int r = skf_fmt(path, sizeof(path), "cni/%s", network);

	if (r == 0)
		r = make ? skf_mkdirs_at(run_fd, path, 0700)
			 : skf_openat(run_fd, path, O_RDONLY | O_DIRECTORY, 0);
	if (r < 0 && (make || r != -ENOENT))
		skf_fail_sys(e, r, "open '%s' of the run root", path);
	return r;
}

int skf_cni_cache_write(int run_fd, const char *network, const struct skf_cni_cache *c, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_CNI_CACHE);
	SKF_AUTO_FD int dir = -EBADF;
	struct skf_jw w = SKF_JW(&b);
	char name[300];
	int r;

	if (cache_name(network, c->container_id, c->ifname, name, sizeof(name), e) < 0)
		return -1;
	dir = cache_dir(run_fd, network, true, e);
	if (dir < 0)
		return -1;
	skf_jw_obj(&w);
	skf_jw_kint(&w, "v", 1);
	skf_jw_kint(&w, "min", 1);
	skf_jw_kstr(&w, "container", c->container_id);
	skf_jw_kstr(&w, "ifname", c->ifname);
	skf_jw_kstr(&w, "netns", c->netns);
	skf_jw_kstr(&w, "args", c->args);
	skf_jw_kstr(&w, "file", c->file);
	skf_jw_kbool(&w, "single", c->single);
	skf_jw_kstr(&w, "list", c->list);
	if (c->bin.n)
		skf_jw_kstrv(&w, "pluginDirs", &c->bin);
	skf_jw_kobj(&w, "capabilityArgs");
	for (size_t i = 0; i < c->caps.n; i++)
		skf_jw_kraw(&w, c->caps.v[i].k, c->caps.v[i].v);
	skf_jw_end(&w);
	if (c->result)
		skf_jw_kstr(&w, "result", c->result);
	skf_jw_end(&w);
	r = b.err ? b.err : skf_write_atomic_at(dir, name, b.p, b.len, 0600, 0);
	return r < 0 ? skf_fail_sys(e, r, "write 'cni/%s/%s' of the run root", network, name) : 0;
}

static int read_in(int dir, const char *name, struct skf_arena *a, struct skf_cni_cache **ret,
		   struct skf_err *e)
{
	struct skf_jdoc doc = {name, SKF_MAX_CNI_CACHE, NULL, NULL};
	void *p = NULL;

	if (skf_json_decode_at(&doc, dir, name, &cache_table, a, &p, e) < 0)
		return -1;
	*ret = p;
	return 0;
}

int skf_cni_cache_read(int run_fd, const char *network, const char *container_id, const char *ifname,
		       struct skf_arena *a, struct skf_cni_cache **ret, struct skf_err *e)
{
	SKF_AUTO_FD int dir = -EBADF;
	char name[300];

	if (cache_name(network, container_id, ifname, name, sizeof(name), e) < 0)
		return -1;
	dir = cache_dir(run_fd, network, false, e);
	if (dir == -ENOENT)
		return skf_fail(e, SKF_ENOTFOUND, "container '%.12s' is not on CNI network '%s'",
				container_id, network);
	return dir < 0 ? -1 : read_in(dir, name, a, ret, e);
}

int skf_cni_cache_remove(int run_fd, const char *network, const char *container_id, const char *ifname,
			 struct skf_err *e)
{
	SKF_AUTO_FD int dir = -EBADF;
	char name[300];

	if (cache_name(network, container_id, ifname, name, sizeof(name), e) < 0)
		return -1;
	dir = cache_dir(run_fd, network, false, e);
	if (dir < 0)
		return dir == -ENOENT ? 0 : -1;
	if (unlinkat(dir, name, 0) < 0 && errno != ENOENT)
		return skf_fail_sys(e, -errno, "remove 'cni/%s/%s' of the run root", network, name);
	return 0;
}

int skf_cni_cache_each(int run_fd, const char *network, struct skf_arena *a,
		       int (*fn)(const struct skf_cni_cache *c, void *arg, struct skf_err *e), void *arg,
		       struct skf_err *e)
{
	SKF_AUTO_FD int dir = skf_cni_word_ok(network) ? cache_dir(run_fd, network, false, e) : -ENOENT,
			dup = -EBADF;
	SKF_AUTO_DIR DIR *d = NULL;

	if (dir < 0)
		return dir == -ENOENT ? 0 : -1;
	dup = skf_dup_cloexec(dir);
	d = dup < 0 ? NULL : fdopendir(dup);
	if (!d)
		return skf_fail_sys(e, -errno, "read 'cni/%s' of the run root", network);
	dup = -EBADF;
	for (struct dirent *x; (x = readdir(d));) {
		struct skf_cni_cache *c = NULL;

		if (x->d_name[0] == '.')
			continue;
		if (read_in(dir, x->d_name, a, &c, e) < 0 || fn(c, arg, e) < 0)
			return -1;
	}
	return 0;
}

/* --- all of a run root --- */
struct attached {
	struct skf_arena *a;
	struct skf_jarr list;
	size_t cap;
	const char *network;
};

static int on_attached(const struct skf_cni_cache *c, void *arg, struct skf_err *e)
{
	struct attached *x = arg;
	struct skf_cni_attachment *v = x->list.v;

	if (x->list.n == x->cap) {
		x->cap = x->cap ? 2 * x->cap : 16;
		v = skf_arena_array(x->a, x->cap, sizeof(*v));
		if (!v)
			return skf_fail(e, SKF_ENOMEM, "memory for the list of CNI attachments");
		if (x->list.n)
			memcpy(v, x->list.v, x->list.n * sizeof(*v));
		x->list.v = v;
	}
	v[x->list.n++] = (struct skf_cni_attachment){c->container_id, c->ifname, x->network, c->netns};
	return 0;
}

int skf_cni_attached(int run_fd, struct skf_arena *a, struct skf_jarr *ret, struct skf_err *e)
{
	SKF_AUTO_FD int fd = skf_openat(run_fd, "cni", O_RDONLY | O_DIRECTORY, 0);
	SKF_AUTO_DIR DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct attached x = {.a = a};

	if (!d && fd != -ENOENT)
		return skf_fail_sys(e, fd < 0 ? fd : -errno, "list 'cni' of the run root");
	if (d)
		(void)SKF_TAKE_FD(fd); /* d closes it */
	for (struct dirent *de; d && (de = readdir(d));) {
		if (!skf_cni_word_ok(de->d_name))
			continue;
		x.network = skf_arena_strdup(a, de->d_name);
		if (!x.network)
			return skf_fail(e, SKF_ENOMEM, "memory for the list of CNI attachments");
		if (skf_cni_cache_each(run_fd, x.network, a, on_attached, &x, e) < 0)
			return -1;
	}
	*ret = x.list;
	return 0;
}
