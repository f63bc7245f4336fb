/* fuzz_netconf.c -- the words of -p and --expose, and network.json: what is taken keeps the promises of its
 * header. */
#include "base/arena.h"
#include "base/err.h"
#include "engine/net_int.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void check_ports(const struct skf_jarr *v)
{
	const struct skf_publish *p = v->v;

	if (v->n > SKF_MAX_PUBLISH)
		abort();
	for (size_t i = 0; i < v->n; i++)
		if (!skf_proto_known(p[i].proto) || p[i].port == 0 || p[i].host_first > p[i].host_last)
			abort();
}

static void check_words(const char *s, struct skf_arena *a)
{
	struct skf_err e = SKF_ERR_INIT;
	struct skf_jarr ports = {0};
	struct skf_strv exposed = {0};
	struct skf_ip ip;
	const struct skf_publish *p;
	char proto[8];
	uint16_t port;

	if (skf_publish_parse(s, a, &ports, &e) == 0) {
		p = ports.v;
		check_ports(&ports);
		if (ports.n == 0 || (*p->host_ip && skf_ip_parse(p->host_ip, &ip) < 0))
			abort();
	}
	if (skf_expose_parse(s, a, &exposed, &e) == 0)
		for (size_t i = 0; i < exposed.n; i++)
			if (skf_exposed_split(exposed.v[i], &port, proto) < 0)
				abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct skf_arena a = SKF_ARENA(64u << 20);
	struct skf_err e = SKF_ERR_INIT;
	struct skf_net_conf *c;
	char *s = malloc(n + 1);

	if (!s)
		return 0;
	memcpy(s, p, n);
	s[n] = '\0';
	if (n < 256)
		check_words(s, &a);
	if (skf_net_conf_decode(s, n, &a, &c, &e) == 0) {
		const struct skf_net_choice *v = c->networks.v;

		check_ports(&c->ports);
		for (size_t i = 0; i < c->networks.n; i++)
			if (!*v[i].network || !*v[i].name)
				abort();
	}
	free(s);
	skf_arena_done(&a);
	return 0;
}
