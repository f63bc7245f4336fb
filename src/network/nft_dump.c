/* network/nft_dump.c -- reading chains, elements and rules of our table back: for the check, which compares
 * them with the records. */
#include "network/nft_int.h"
#include "base/cleanup.h"
#include <string.h>

struct dump {
	int (*chain)(const char *name, void *user); /* or table */
	int (*elem)(const struct skf_nft_elem *x, void *user);
	void *user;
	const char *table, *only; /* only: chain whose rules are counted */
	unsigned rules;
};

static int ask(struct skf_nft *n, uint16_t type, uint16_t table_attr, uint16_t name_attr, const char *name,
	       int (*fn)(const struct nlmsghdr *h, void *user), struct dump *d)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(4096);
	struct nfgenmsg g = {.nfgen_family = n->family, .version = NFNETLINK_V0};
	size_t at =
		skf_nlm_begin(&b, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), NLM_F_DUMP, &g, sizeof(g));

	skf_nlm_str(&b, table_attr, n->table);
	if (name)
		skf_nlm_str(&b, name_attr, name);
	skf_nlm_end(&b, at);
	d->table = n->table;
	return skf_nlm_ask(n->nl, &b, fn, d);
}

static const struct nlattr *find(const struct nlmsghdr *h, uint16_t type)
{
	size_t head = NLMSG_LENGTH(sizeof(struct nfgenmsg));

	return h->nlmsg_len > head
		       ? skf_nla_find((const char *)NLMSG_DATA(h) + NLMSG_ALIGN(sizeof(struct nfgenmsg)),
				      h->nlmsg_len - head, type)
		       : NULL;
}

static bool is_text(const struct nlattr *a, const char *want)
{
	return a && skf_nla_len(a) == strlen(want) + 1 &&
	       memcmp(skf_nla_data(a), want, strlen(want) + 1) == 0;
}

static int on_chain(const struct nlmsghdr *h, void *user)
{
	struct dump *d = user;
	const struct nlattr *name = find(h, NFTA_CHAIN_NAME);
	const char *text = name ? skf_nla_data(name) : NULL;

	if (!is_text(find(h, NFTA_CHAIN_TABLE), d->table) || !text || !skf_nla_len(name) ||
	    text[skf_nla_len(name) - 1])
		return 0; /* the kernel lists the chains of all tables */
	return d->chain(text, d->user);
}

static int on_table(const struct nlmsghdr *h, void *user)
{
	struct dump *d = user;
	const struct nlattr *name = find(h, NFTA_TABLE_NAME);
	const char *text = name ? skf_nla_data(name) : NULL;

	return text && skf_nla_len(name) && !text[skf_nla_len(name) - 1] ? d->chain(text, d->user) : 0;
}

int skf_nft_each_table(struct skf_nft *n, int (*fn)(const char *name, void *user), void *user)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(4096);
	struct nfgenmsg g = {.nfgen_family = n->family, .version = NFNETLINK_V0};
	struct dump d = {.chain = fn, .user = user};

	skf_nlm_end(&b, skf_nlm_begin(&b, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE, NLM_F_DUMP, &g,
				      sizeof(g)));
	return skf_nlm_ask(n->nl, &b, on_table, &d);
}

int skf_nft_each_chain(struct skf_nft *n, int (*fn)(const char *name, void *user), void *user)
{
	struct dump d = {.chain = fn, .user = user};

	return ask(n, NFT_MSG_GETCHAIN, NFTA_CHAIN_TABLE, 0, NULL, on_chain, &d);
}

static int on_rule(const struct nlmsghdr *h, void *user)
{
	struct dump *d = user;

	d->rules +=
		is_text(find(h, NFTA_RULE_TABLE), d->table) && is_text(find(h, NFTA_RULE_CHAIN), d->only);
	return 0;
}

int skf_nft_count_rules(struct skf_nft *n, const char *chain, unsigned *ret)
{
	struct dump d = {.only = chain};
	int r = ask(n, NFT_MSG_GETRULE, NFTA_RULE_TABLE, NFTA_RULE_CHAIN, chain, on_rule, &d);

	*ret = d.rules;
	return r;
}

/* The value in a nest NFTA_SET_ELEM_KEY or _KEY_END. */
static const struct nlattr *value_of(const struct nlattr *elem, uint16_t type)
{
	const struct nlattr *a = skf_nla_find(skf_nla_data(elem), skf_nla_len(elem), type);

	return a ? skf_nla_find(skf_nla_data(a), skf_nla_len(a), NFTA_DATA_VALUE) : NULL;
}

static int on_elem(const struct nlattr *one, struct dump *d)
{
	const struct nlattr *key = value_of(one, NFTA_SET_ELEM_KEY),
			    *end = value_of(one, NFTA_SET_ELEM_KEY_END),
			    *flags = skf_nla_find(skf_nla_data(one), skf_nla_len(one), NFTA_SET_ELEM_FLAGS);
	struct skf_nft_elem x = {0};
	uint32_t f = 0;

	if (!key)
		return 0;
	if (flags && skf_nla_len(flags) == sizeof(f))
		memcpy(&f, skf_nla_data(flags), sizeof(f));
	x.key = skf_nla_data(key);
	x.key_len = (uint32_t)skf_nla_len(key);
	x.key_end = end && skf_nla_len(end) == x.key_len ? skf_nla_data(end) : NULL;
	x.interval_end = ntohl(f) & NFT_SET_ELEM_INTERVAL_END;
	return d->elem(&x, d->user);
}

static int on_elems(const struct nlmsghdr *h, void *user)
{
	const struct nlattr *list = find(h, NFTA_SET_ELEM_LIST_ELEMENTS);
	const char *p = list ? skf_nla_data(list) : NULL;
	size_t left = list ? skf_nla_len(list) : 0;
	int r = 0;

	while (r == 0 && left >= NLA_HDRLEN) {
		const struct nlattr *one = (const void *)p;
		size_t n = NLA_ALIGN(one->nla_len);

		if (one->nla_len < NLA_HDRLEN || one->nla_len > left)
			return -EBADMSG;
		r = on_elem(one, user);
		left = n < left ? left - n : 0;
		p += n;
	}
	return r;
}

int skf_nft_each_elem(struct skf_nft *n, const char *set,
		      int (*fn)(const struct skf_nft_elem *x, void *user), void *user)
{
	struct dump d = {.elem = fn, .user = user};

	return ask(n, NFT_MSG_GETSETELEM, NFTA_SET_ELEM_LIST_TABLE, NFTA_SET_ELEM_LIST_SET, set, on_elems,
		   &d);
}

static void delete_object(struct skf_nft *n, uint16_t type, uint16_t table_attr, uint16_t name_attr,
			  const char *name)
{
	skf_nft_begin(n, type, 0);
	skf_nlm_str(&n->b, table_attr, n->table);
	skf_nlm_str(&n->b, name_attr, name);
	skf_nlm_end(&n->b, n->msg);
}

void skf_nft_chain_delete(struct skf_nft *n, const char *name)
{
	skf_nft_chain_flush(n, name);
	delete_object(n, NFT_MSG_DELCHAIN, NFTA_CHAIN_TABLE, NFTA_CHAIN_NAME, name);
}

void skf_nft_set_delete(struct skf_nft *n, const char *name)
{
	delete_object(n, NFT_MSG_DELSET, NFTA_SET_TABLE, NFTA_SET_NAME, name);
}
