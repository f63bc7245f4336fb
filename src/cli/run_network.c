/* cli/run_network.c -- the network flags of run and create: from words to struct skf_net_req. --network
 * takes docker's long form (name=NET,ip=...,alias=...) and podman's (NET:ip=...,alias=...). */
#include "cli/cli_int.h"
#include <string.h>

static int no_memory(struct skf_cli *c)
{
	return skf_fail(&c->e, SKF_ENOMEM, "memory for the networks");
}

static int set_key(struct skf_cli *c, struct skf_net_attach *v, const char *key, char *value)
{
	struct skf_ip_key {
		const char *key;
		char **to;
	} keys[] = {{"name", &v->name},       {"ip", &v->ip},   {"ip6", &v->ip6},
		    {"mac-address", &v->mac}, {"mac", &v->mac}, {"interface_name", &v->interface}};

	if (skf_streq(key, "alias"))
		return skf_strv_add(&c->a, &v->aliases, value) < 0 ? no_memory(c) : 0;
	if (skf_streq(key, "driver-opt"))
		return skf_strv_add(&c->a, &v->driver_opts, value) < 0 ? no_memory(c) : 0;
	for (size_t i = 0; i < SKF_ARRAY_LEN(keys); i++)
		if (skf_streq(key, keys[i].key)) {
			if (skf_streq(key, "ip") && strchr(value, ':'))
				v->ip6 = value; /* podman writes both as ip */
			else
				*keys[i].to = value;
			return 0;
		}
	return skf_fail(&c->e, SKF_EINVALID, "invalid field key %s of --network", key);
}

static int parse_long(struct skf_cli *c, char *s, struct skf_net_attach *v)
{
	while (*s) {
		size_t n = strcspn(s, ",");
		char *next = s[n] ? s + n + 1 : s + n, *eq;

		s[n] = '\0';
		eq = strchr(s, '=');
		if (!eq)
			return skf_fail(&c->e, SKF_EINVALID,
					"invalid field %s of --network: expected KEY=VALUE", s);
		*eq = '\0';
		if (set_key(c, v, s, eq + 1) < 0)
			return -1;
		s = next;
	}
	return 0;
}

static int parse_network(struct skf_cli *c, const char *word, struct skf_net_attach *v)
{
	char *s = skf_arena_strdup(&c->a, word), *colon;

	if (!s)
		return no_memory(c);
	if (skf_startswith(s, "name=") || strstr(s, ",name="))
		return parse_long(c, s, v) < 0 ? -1 : 0;
	v->name = s;
	colon = strchr(s, ':');
	if (!colon || skf_startswith(s, "container:") || skf_startswith(s, "ns:"))
		return 0;
	*colon = '\0';
	return parse_long(c, colon + 1, v);
}

/* --ip, --ip6, --mac-address and --network-alias belong to the first network. */
static int set_single(struct skf_cli *c, struct skf_net_attach *v, size_t n)
{
	const struct skf_cli_opts *o = &c->o;

	if (n > 1 && (o->ip || o->ip6 || o->mac_address))
		return skf_fail(
			&c->e, SKF_EINVALID,
			"conflicting options: with several networks give the address with its network: "
			"--network name=NAME,ip=ADDRESS");
	v->ip = o->ip ? o->ip : v->ip;
	v->ip6 = o->ip6 ? o->ip6 : v->ip6;
	v->mac = o->mac_address ? o->mac_address : v->mac;
	for (size_t k = 0; k < n; k++)
		for (size_t i = 0; i < o->network_alias.n; i++)
			if (skf_strv_add(&c->a, &v[k].aliases, o->network_alias.v[i]) < 0)
				return no_memory(c);
	return 0;
}

int skf_cli_net(struct skf_cli *c, struct skf_net_req *q)
{
	const struct skf_cli_opts *o = &c->o;
	size_t n = o->network.n ? o->network.n : 1;
	struct skf_net_attach *v = skf_arena_array(&c->a, n, sizeof(*v));

	if (!v)
		return no_memory(c);
	v[0].name = skf_arena_strdup(&c->a, "default");
	for (size_t i = 0; i < o->network.n; i++)
		if (parse_network(c, o->network.v[i], &v[i]) < 0)
			return -1;
	if (!v[0].name || set_single(c, v, n) < 0)
		return v[0].name ? -1 : no_memory(c);
	if (!o->network.n && !o->ip && !o->ip6 && !o->mac_address && !o->network_alias.n)
		n = 0; /* nothing was said: the engine's default, or the pod's */
	*q = (struct skf_net_req){.networks = {v, n},
				  .publish = o->publish,
				  .publish_all = o->publish_all,
				  .expose = o->expose,
				  .dns = o->dns,
				  .dns_search = o->dns_search,
				  .dns_opt = o->dns_option,
				  .add_host = o->add_host,
				  .link = o->link,
				  .domainname = o->s.domainname,
				  .egress = o->egress,
				  .egress_allow = o->egress_allow};
	if (q->egress_allow.n && !q->egress)
		q->egress =
			skf_arena_strdup(&c->a, "deny"); /* a list of what is allowed means: nothing else */
	return 0;
}
