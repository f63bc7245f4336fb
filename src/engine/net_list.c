/* engine/net_list.c -- networks as a list and as docker's document. "host" and "none" are shown as docker
 * does, and are no objects. */
#include "engine/net_cni.h"
#include "engine/net_filter.h"
#include "network/egress.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* the words in hex: constant, and never a random id */
#define HOST_ID "686f737400000000000000000000000000000000000000000000000000000000"
#define NONE_ID "6e6f6e6500000000000000000000000000000000000000000000000000000000"

static int no_memory(struct skf_err *e)
{
	return skf_fail(e, SKF_ENOMEM, "memory for the list of networks");
}

struct rows {
	struct skf_network_row *v;
	size_t n;
};

static bool has_family(const struct skf_network *n, bool v6)
{
	const struct skf_netsub *s = n->subnets.v;

	for (size_t i = 0; i < n->subnets.n; i++)
		if ((strchr(s[i].subnet, ':') != NULL) == v6)
			return true;
	return false;
}

static int add_row(struct skf_engine *g, const char *id, struct skf_arena *a, struct rows *r,
		   struct skf_err *e)
{
	struct skf_network *n;
	struct skf_network_row *row = &r->v[r->n];

	if (skf_network_load(g->root_fd, id, a, &n, e) < 0) {
		if (e->kind != SKF_ENOTFOUND)
			return -1;
		skf_err_clear(e);
		return 0;
	}
	*row = (struct skf_network_row){.id = n->id,
					.name = n->name,
					.driver = n->driver,
					.scope = skf_arena_strdup(a, "local"),
					.created = n->created ? n->created : skf_arena_strdup(a, ""),
					.ipv4 = has_family(n, false),
					.ipv6 = n->ipv6,
					.internal = n->internal,
					.labels = n->labels};
	if (!row->scope || !row->created)
		return no_memory(e);
	if (skf_parse_rfc3339(row->created, &row->created_ns) < 0)
		row->created_ns = 0;
	r->n++;
	return 0;
}

static int add_plain(struct skf_arena *a, const char *id, const char *name, const char *driver,
		     struct rows *r)
{
	struct skf_network_row *row = &r->v[r->n++];

	*row = (struct skf_network_row){.id = skf_arena_strdup(a, id),
					.name = skf_arena_strdup(a, name),
					.driver = skf_arena_strdup(a, driver),
					.scope = skf_arena_strdup(a, "local"),
					.created = skf_arena_strdup(a, ""),
					.ipv4 = true};
	return row->id && row->name && row->driver && row->scope && row->created ? 0 : -ENOMEM;
}

static int add_cni(struct skf_arena *a, const struct skf_strv *names, struct rows *r, struct skf_err *e)
{
	for (size_t i = 0; i < names->n; i++) {
		char id[SKF_ID_LEN + 1];

		skf_net_cni_id(names->v[i], id);
		if (add_plain(a, id, names->v[i], SKF_NET_CNI, r) < 0)
			return skf_net_no_memory(e);
	}
	return 0;
}

static int by_name(const void *x, const void *y)
{
	return strcmp(((const struct skf_network_row *)x)->name, ((const struct skf_network_row *)y)->name);
}

static int all_rows(struct skf_engine *g, const struct skf_strv *ids, const struct skf_strv *cni,
		    struct skf_arena *a, struct rows *r, struct skf_err *e)
{
	r->v = skf_arena_array(a, ids->n + cni->n + 2, sizeof(*r->v));
	if (!r->v || add_plain(a, HOST_ID, "host", "host", r) < 0 ||
	    add_plain(a, NONE_ID, "none", "null", r) < 0)
		return no_memory(e);
	for (size_t i = 0; i < ids->n; i++)
		if (add_row(g, ids->v[i], a, r, e) < 0)
			return -1;
	if (add_cni(a, cni, r, e) < 0)
		return -1;
	qsort(r->v, r->n, sizeof(*r->v), by_name);
	return 0;
}

int skf_engine_network_list(struct skf_engine *g, const struct skf_strv *filters, struct skf_arena *a,
			    struct skf_jarr *ret, struct skf_err *e)
{
	struct skf_strv ids = {0}, cni;
	struct skf_net_filter f;
	struct skf_network *def;
	struct rows r = {0};
	size_t kept = 0;
	int k = skf_net_filter_init(g, filters, a, &f, e);

	if (k == 0 && (skf_net_default(g, a, &def, e) < 0 || skf_network_list(g->root_fd, a, &ids, e) < 0 ||
		       skf_net_cni_names(g, a, &cni, e) < 0))
		k = -1;
	if (k == 0)
		k = all_rows(g, &ids, &cni, a, &r, e);
	for (size_t i = 0; k == 0 && i < r.n; i++)
		if (skf_net_filter_match(&f, &r.v[i]))
			r.v[kept++] = r.v[i];
	skf_filters_done(&f.words);
	*ret = (struct skf_jarr){r.v, kept};
	return k;
}

int skf_engine_network_exists(struct skf_engine *g, const char *name, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_network *n;

	if (skf_streq(name, "host") || skf_streq(name, "none"))
		return 1;
	if (skf_net_find(g, name, &a, &n, e) == 0)
		return 1;
	if (e->kind != SKF_ENOTFOUND)
		return -1;
	skf_err_clear(e);
	return 0;
}

/* --- inspect --- */
static void write_ipam(struct skf_jw *w, const struct skf_network *n)
{
	const struct skf_netsub *s = n->subnets.v;

	skf_jw_kobj(w, "IPAM");
	skf_jw_kstr(w, "Driver", "default");
	if (n->ipam_options.n)
		skf_jw_kkvs(w, "Options", &n->ipam_options);
	else
		skf_jw_knull(w, "Options");
	skf_jw_karr(w, "Config");
	for (size_t i = 0; i < n->subnets.n; i++) {
		skf_jw_obj(w);
		skf_jw_kstr(w, "Subnet", s[i].subnet);
		if (s[i].range)
			skf_jw_kstr(w, "IPRange", s[i].range);
		if (s[i].gateway)
			skf_jw_kstr(w, "Gateway", s[i].gateway);
		if (s[i].reserved.n)
			skf_jw_kkvs(w, "AuxiliaryAddresses", &s[i].reserved);
		skf_jw_end(w);
	}
	skf_jw_end_arr(w);
	skf_jw_end(w);
}

static void write_with_prefix(struct skf_jw *w, const char *key, const char *ip, uint32_t prefix)
{
	char text[SKF_IP_TEXT + 8] = "";

	if (ip && skf_fmt(text, sizeof(text), "%s/%u", ip, prefix) < 0)
		text[0] = '\0';
	skf_jw_kstr(w, key, text);
}

/* What its egress policy refused so far; a table that somebody flushed has no counters. */
static void write_denied(struct skf_engine *g, struct skf_jw *w, const char *id)
{
	SKF_AUTO(skf_nft_freep) struct skf_nft *n = NULL;
	struct skf_err none = SKF_ERR_INIT;
	uint64_t packets = 0, bytes = 0;

	if (skf_net_nft(g, &n, &none) < 0 || skf_egress_denied_in(n, id, &packets, &bytes, &none) < 0)
		return;
	skf_jw_kobj(w, "EgressDenied");
	skf_jw_ku64(w, "Packets", packets);
	skf_jw_ku64(w, "Bytes", bytes);
	skf_jw_end(w);
}

static int write_containers(struct skf_engine *g, struct skf_jw *w, const struct skf_network *n,
			    struct skf_arena *a, struct skf_err *e)
{
	struct skf_strv ids = {0};

	if (skf_netrec_list(g->run_fd, a, &ids, e) < 0)
		return -1;
	skf_jw_kobj(w, "Containers");
	for (size_t i = 0; i < ids.n; i++) {
		const struct skf_endpoint *p;
		struct skf_netrec *r;
		int k = skf_netrec_read(g->run_fd, ids.v[i], a, &r, e);

		if (k < 0)
			return -1;
		p = k ? r->endpoints.v : NULL;
		for (size_t j = 0; k && j < r->endpoints.n; j++) {
			char endpoint[SKF_ID_LEN + 1];

			if (!skf_streq(p[j].network, n->id))
				continue;
			snprintf(endpoint, sizeof(endpoint), "%.32s%.32s", p[j].network, ids.v[i]);
			skf_jw_kobj(w, ids.v[i]);
			skf_jw_kstr(w, "Name", r->name);
			skf_jw_kstr(w, "EndpointID", endpoint);
			skf_jw_kstr(w, "MacAddress", p[j].mac);
			write_with_prefix(w, "IPv4Address", p[j].ip, p[j].prefix);
			write_with_prefix(w, "IPv6Address", p[j].ip6, p[j].prefix6);
			if (r->egress)
				write_denied(g, w, r->container);
			skf_jw_end(w);
		}
	}
	skf_jw_end(w);
	return 0;
}

static void write_plain(struct skf_jw *w, const char *name)
{
	const struct skf_network n = {.id = (char *)(uintptr_t)HOST_ID};

	skf_jw_obj(w);
	skf_jw_kstr(w, "Name", name);
	skf_jw_kstr(w, "Id", skf_streq(name, "host") ? HOST_ID : NONE_ID);
	skf_jw_kstr(w, "Scope", "local");
	skf_jw_kstr(w, "Driver", skf_streq(name, "host") ? "host" : "null");
	write_ipam(w, &n);
	skf_jw_kbool(w, "Internal", false);
	skf_jw_kobj(w, "Containers");
	skf_jw_end(w);
	skf_jw_kobj(w, "Options");
	skf_jw_end(w);
	skf_jw_kobj(w, "Labels");
	skf_jw_end(w);
	skf_jw_end(w);
}

int skf_engine_network_inspect(struct skf_engine *g, const char *name, struct skf_jw *w, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_network *n;

	if (skf_streq(name, "host") || skf_streq(name, "none")) {
		write_plain(w, name);
		return 0;
	}
	if (skf_net_find(g, name, &a, &n, e) < 0)
		return -1;
	skf_jw_obj(w);
	skf_jw_kstr(w, "Name", n->name);
	skf_jw_kstr(w, "Id", n->id);
	skf_jw_kstr(w, "Created", n->created);
	skf_jw_kstr(w, "Scope", "local");
	skf_jw_kstr(w, "Driver", n->driver);
	skf_jw_kbool(w, "EnableIPv4", has_family(n, false));
	skf_jw_kbool(w, "EnableIPv6", n->ipv6);
	write_ipam(w, n);
	skf_jw_kbool(w, "Internal", n->internal);
	skf_jw_kbool(w, "Attachable", n->attachable);
	skf_jw_kbool(w, "Ingress", false);
	skf_jw_kobj(w, "ConfigFrom");
	skf_jw_kstr(w, "Network", "");
	skf_jw_end(w);
	skf_jw_kbool(w, "ConfigOnly", false);
	if (write_containers(g, w, n, &a, e) < 0)
		return -1;
	skf_jw_kkvs(w, "Options", &n->options);
	skf_jw_kkvs(w, "Labels", &n->labels);
	skf_jw_kstr(w, "Interface", n->interface);
	skf_jw_kbool(w, "DNSEnabled", n->dns);
	skf_jw_kstr(w, "Egress", n->egress ? n->egress : "allow");
	skf_jw_kstrv(w, "EgressAllow", &n->egress_allow);
	if (skf_streq(n->driver, SKF_NET_CNI) && skf_net_cni_inspect(g, n->name, w, e) < 0)
		return -1;
	skf_jw_end(w);
	return w->b->err < 0 ? skf_fail_sys(e, w->b->err, "write the document of network '%s'", name) : 0;
}
