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

/* --- in the keeper --- */
/* run/networks/.table: which one this root has (engine/net_claim.c); it may change when somebody flushes the
 * ruleset. */
static void use_table(struct skf_dns *d)
{
	char name[SKF_NFT_TABLE_MAX];
	ssize_t n = readlinkat(d->run_fd, "networks/.table", name, sizeof(name) - 1);

	name[n > 0 ? n : 0] = '\0';
	(void)skf_nft_use(d->nft, n > 0 ? name : SKF_NFT_TABLE); /* it is short enough */
}

/* What is there is replaced, which fails for what is not there: so, then as new. */
int skf_dns_learn_one(struct skf_dns *d, const char *id, const struct skf_ip *ip, uint16_t port,
		      uint32_t ttl)
{
	struct skf_err e = SKF_ERR_INIT;
	int r = -ENOENT;

	if (!d->nft && skf_nft_open(&d->nft, &e) < 0)
		return e.sys ? -e.sys : -EOPNOTSUPP;
	use_table(d);
	for (int again = 1; r == -ENOENT && again >= 0; again--) {
		skf_egress_learn(d->nft, id, ip, port, ttl < MIN_S ? MIN_S : ttl, again);
		r = skf_nft_commit(d->nft);
	}
	return r;
}

/* --- in the process that reads packets --- */
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

		if (skf_egress_parse(f->c->conf->egress[i], &r, &e) < 0 ||
		    !skf_egress_name_matches(&r, f->name))
			continue;
		skf_err_clear(&e);
		if (skf_dns_ask_learn(f->d, f->c->id, ip, r.port, ttl, &e) < 0)
			skf_warn(f->d->log, "allow an address to container '%.12s': %s; it will be refused",
				 f->c->id, e.msg);
	}
	return 0;
}

void skf_dns_learn(struct skf_dns *d, const struct skf_dns_pending *f, const uint8_t *p, size_t n)
{
	struct skf_dns_query q;
	struct found found = {d, f->c, q.name};

	if (!f->c->conf->n_egress || skf_dns_query_read(f->query, f->len, &q) < 0 || !q.plain)
		return;
	(void)skf_dns_each_addr(p, n, on_addr, &found); /* a malformed answer has nothing to allow */
}

void skf_dns_learn_own(struct skf_dns *d, const struct skf_dns_container *c, const char *name,
		       const struct skf_ip *ips, size_t n)
{
	struct found found = {d, c, name};

	for (size_t i = 0; i < n && c->conf->n_egress; i++)
		(void)on_addr(&ips[i], 0, &found);
}
