/* engine/net_choice.c -- one --network of run and create, or one `network connect`: addresses, interface and
 * driver options checked, before anything is written. Words of errors are docker's. */
#include "engine/net_int.h"
#include "engine/net_req.h"
#include <net/if.h>
#include <string.h>

/* dev_valid_name() of the kernel, and not the loopback. */
static int check_ifname(const char *name, struct skf_err *e)
{
	size_t n = strlen(name);
	bool ok = n > 0 && n < IFNAMSIZ && !skf_streq(name, ".") && !skf_streq(name, "..") &&
		  !skf_streq(name, "lo");

	for (size_t i = 0; ok && i < n; i++)
		ok = name[i] > ' ' && name[i] <= '~' && name[i] != '/' && name[i] != ':';
	return ok ? 0
		  : skf_fail(e, SKF_EINVALID,
			     "invalid interface name '%s': expected at most %d characters, none of them a "
			     "space, / or :",
			     name, IFNAMSIZ - 1);
}

/* Of docker's options of an endpoint there is one; another one would be a promise that nobody keeps. */
static int take_driver_opts(const struct skf_strv *opts, struct skf_net_choice *c, struct skf_err *e)
{
	static const char ifname[] = "com.docker.network.endpoint.ifname=";

	for (size_t i = 0; i < opts->n; i++) {
		if (!skf_startswith(opts->v[i], ifname))
			return skf_fail(e, SKF_EUNSUPPORTED,
					"driver option %s is not supported: there is %sNAME", opts->v[i],
					ifname);
		c->ifname = opts->v[i] + strlen(ifname);
	}
	return c->ifname ? check_ifname(c->ifname, e) : 0;
}

int skf_net_choose(const struct skf_network *n, const struct skf_net_attach *v, struct skf_net_choice *ret,
		   struct skf_err *e)
{
	uint8_t mac[6];
	struct skf_ip ip;

	if (n->is_default && (v->ip || v->ip6))
		return skf_fail(e, SKF_EINVALID,
				"user specified IP address is supported on user defined networks only");
	if (n->is_default && v->aliases.n)
		return skf_fail(
			e, SKF_EINVALID,
			"network-scoped alias is supported only for containers in user defined networks");
	if (v->ip && (skf_ip_parse(v->ip, &ip) < 0 || ip.family != AF_INET))
		return skf_fail(e, SKF_EINVALID, "invalid IPv4 address: %s", v->ip);
	if (v->ip6 && (skf_ip_parse(v->ip6, &ip) < 0 || ip.family != AF_INET6))
		return skf_fail(e, SKF_EINVALID, "invalid IPv6 address: %s", v->ip6);
	if (v->mac && skf_mac_parse(v->mac, mac) < 0)
		return skf_fail(e, SKF_EINVALID, "invalid MAC address: %s", v->mac);
	*ret = (struct skf_net_choice){.network = n->id,
				       .name = n->name,
				       .ip = v->ip,
				       .ip6 = v->ip6,
				       .mac = v->mac,
				       .ifname = v->interface,
				       .aliases = v->aliases};
	return take_driver_opts(&v->driver_opts, ret, e);
}
