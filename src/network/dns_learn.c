/* network/dns_learn.c -- addresses of allowed names into the container's egress set, before the container
 * sees the answer: its first packet is already allowed. They stay as long as the answer may be kept, but at
 * least MIN_S: programs use an address a little longer than they should. */
#include "base/err.h"
#include "base/log.h"
#include "network/dns_int.h"
#include "network/egress.h"
#include <string.h>
#include <unistd.h>

#define MIN_S 30

struct learning {
	struct skf_dns *d;
	const char *id;
	uint16_t port;
	bool again;
};

static int put(const struct skf_ip *ip, uint32_t ttl, void *arg)
{
	struct learning *l = arg;

	skf_egress_learn(l->d->nft, l->id, ip, l->port, ttl < MIN_S ? MIN_S : ttl, l->again);
	return 0;
}

/* What is there is replaced, which fails for what is not there: so, first as new. */
static void learn_one(struct learning *l, const struct skf_ip *ip, uint32_t ttl)
{
	int r;

	l->again = true;
	put(ip, ttl, l);
	r = skf_nft_commit(l->d->nft);
	if (r == -ENOENT) {
		l->again = false;
		put(ip, ttl, l);
		r = skf_nft_commit(l->d->nft);
	}
	if (r < 0)
		skf_warn(l->d->log, "allow an address to container '%.12s': %s; it will be refused", l->id,
			 strerrordesc_np(-r));
}

struct found {
	struct skf_dns *d;
	const struct skf_dns_container *c;
	const char *name;
};

static int on_addr(const struct skf_ip *ip, uint32_t ttl, void *arg)
{
	const struct found *f = arg;

	for (unsigned i = 0; i < f->c->conf->n_egress; i++) {
		struct skf_err e = SKF_ERR_INIT;
		struct skf_egress_rule r;
		struct learning l = {.d = f->d, .id = f->c->id};

		if (skf_egress_parse(f->c->conf->egress[i], &r, &e) < 0 ||
		    !skf_egress_name_matches(&r, f->name))
			continue;
		l.port = r.port;
		learn_one(&l, ip, ttl);
	}
	return 0;
}

/* run/networks/.table: which one this root has (engine/net_claim.c); it may change when somebody flushes the ruleset. */
static void use_table(struct skf_dns *d)
{
	char name[SKF_NFT_TABLE_MAX];
	ssize_t n = readlinkat(d->run_fd, "networks/.table", name, sizeof(name) - 1);

	name[n > 0 ? n : 0] = '\0';
	(void)skf_nft_use(d->nft, n > 0 ? name : SKF_NFT_TABLE); /* it is short enough */
}

static bool ready(struct skf_dns *d, const struct skf_dns_container *c)
{
	struct skf_err e = SKF_ERR_INIT;

	if (!c->conf->n_egress)
		return false;
	if (!d->nft && skf_nft_open(&d->nft, &e) < 0)
		skf_log_err(d->log, &e);
	else if (d->nft)
		use_table(d);
	return d->nft != NULL;
}

void skf_dns_learn(struct skf_dns *d, const struct skf_dns_pending *f, const uint8_t *p, size_t n)
{
	struct skf_dns_query q;
	struct found found = {d, f->c, q.name};

	if (!ready(d, f->c) || skf_dns_query_read(f->query, f->len, &q) < 0 || !q.plain)
		return;
	(void)skf_dns_each_addr(p, n, on_addr, &found); /* a malformed answer has nothing to allow */
}

void skf_dns_learn_own(struct skf_dns *d, const struct skf_dns_container *c, const char *name,
		       const struct skf_ip *ips, size_t n)
{
	struct found found = {d, c, name};

	for (size_t i = 0; i < n && ready(d, c); i++)
		(void)on_addr(&ips[i], 0, &found);
}
