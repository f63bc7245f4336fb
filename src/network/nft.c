/* network/nft.c -- nftables over netlink: batches, tables, chains, sets and their elements. Rules:
 * nft_expr.c.
 *
 * A batch is BEGIN, messages, END in one datagram; only the last message asks for an acknowledgement, and
 * errors come before it. Elements of one set that follow each other share a message, as long as it has room.
 */
#include "network/nft_int.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include <linux/netfilter.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define MAX_BATCH     (64u << 20)
#define MAX_ELEM_NEST 60000 /* an attribute holds 65535 bytes */

static struct nfgenmsg head(uint8_t family, uint16_t res)
{
	return (struct nfgenmsg){.nfgen_family = family, .version = NFNETLINK_V0, .res_id = res};
}

static void batch_mark(struct skf_nft *n, uint16_t type)
{
	struct nfgenmsg g = head(AF_UNSPEC, htons(NFNL_SUBSYS_NFTABLES));

	skf_nlm_end(&n->b, skf_nlm_begin(&n->b, type, 0, &g, sizeof(g)));
}

int skf_nft_open(struct skf_nft **ret, struct skf_err *e)
{
	struct skf_nft *n = calloc(1, sizeof(*n));

	if (!n)
		return skf_fail(e, SKF_ENOMEM, "memory for changes of the firewall");
	n->b.max = MAX_BATCH;
	n->family = NFPROTO_INET;
	memcpy(n->table, SKF_NFT_TABLE, sizeof(SKF_NFT_TABLE));
	n->nl = skf_nlm_open(NETLINK_NETFILTER);
	if (n->nl < 0) {
		int r = n->nl;

		free(n);
		return r == -EPROTONOSUPPORT ? skf_fail(e, SKF_EUNSUPPORTED,
							"this kernel has no nf_tables (CONFIG_NF_TABLES)")
					     : skf_fail_sys(e, r, "open a netlink socket for nf_tables");
	}
	*ret = n;
	return 0;
}

int skf_nft_use(struct skf_nft *n, const char *table)
{
	return skf_fmt(n->table, sizeof(n->table), "%s", table);
}

void skf_nft_watch(struct skf_nft *n, skf_nft_watch_fn fn, void *user)
{
	n->watch = fn;
	n->watch_user = user;
}

void skf_nft_free(struct skf_nft *n)
{
	if (!n)
		return;
	/* Its close waits for what was deleted to be freed, by whomever: a whole grace period. Nobody else
	 * needs to. */
	skf_close_later(&n->nl);
	skf_buf_done(&n->b);
	free(n);
}

/* Ends what is open: the list of elements, the rule. */
static void close_message(struct skf_nft *n)
{
	if (n->in_elems) {
		skf_nlm_nest_end(&n->b, n->nest);
		skf_nlm_end(&n->b, n->msg);
		n->in_elems = false;
	}
	skf_nft_rule_end(n);
}

void skf_nft_begin(struct skf_nft *n, uint16_t type, uint16_t flags)
{
	struct nfgenmsg g = head(n->family, 0);

	close_message(n);
	if (n->b.len == 0)
		batch_mark(n, NFNL_MSG_BATCH_BEGIN);
	n->msg = skf_nlm_begin(&n->b, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), flags, &g, sizeof(g));
}

void skf_nft_family(struct skf_nft *n, uint8_t family)
{
	close_message(n);
	n->family = family;
}

int skf_nft_commit(struct skf_nft *n)
{
	uint16_t flags;
	int r;

	if (n->b.len == 0 && n->b.err == 0)
		return 0;
	close_message(n);
	if (n->b.err == 0) {
		/* the last message carries the request for an acknowledgement */
		memcpy(&flags, n->b.p + n->msg + offsetof(struct nlmsghdr, nlmsg_flags), sizeof(flags));
		flags |= NLM_F_ACK;
		memcpy(n->b.p + n->msg + offsetof(struct nlmsghdr, nlmsg_flags), &flags, sizeof(flags));
	}
	batch_mark(n, NFNL_MSG_BATCH_END);
	r = skf_nlm_talk(n->nl, &n->b, n->msg, NULL);
	skf_buf_clear(&n->b);
	n->msg = n->nest = 0;
	n->set_id = 0;
	return r;
}

void skf_nft_table(struct skf_nft *n)
{
	skf_nft_begin(n, NFT_MSG_NEWTABLE, NLM_F_CREATE);
	skf_nlm_str(&n->b, NFTA_TABLE_NAME, n->table);
	skf_nlm_end(&n->b, n->msg);
}

void skf_nft_table_delete(struct skf_nft *n)
{
	skf_nft_begin(n, NFT_MSG_DELTABLE, 0);
	skf_nlm_str(&n->b, NFTA_TABLE_NAME, n->table);
	skf_nlm_end(&n->b, n->msg);
}

void skf_nft_chain_claim(struct skf_nft *n, const char *name)
{
	skf_nft_begin(n, NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_EXCL);
	skf_nlm_str(&n->b, NFTA_CHAIN_TABLE, n->table);
	skf_nlm_str(&n->b, NFTA_CHAIN_NAME, name);
	skf_nlm_end(&n->b, n->msg);
}

void skf_nft_chain(struct skf_nft *n, const char *name)
{
	skf_nft_base_chain(n, name, NULL);
}

void skf_nft_base_chain(struct skf_nft *n, const char *name, const struct skf_nft_hook *h)
{
	size_t nest;

	skf_nft_begin(n, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
	skf_nlm_str(&n->b, NFTA_CHAIN_TABLE, n->table);
	skf_nlm_str(&n->b, NFTA_CHAIN_NAME, name);
	if (h) {
		nest = skf_nlm_nest(&n->b, NFTA_CHAIN_HOOK);
		skf_nlm_be32(&n->b, NFTA_HOOK_HOOKNUM, h->hook);
		skf_nlm_be32(&n->b, NFTA_HOOK_PRIORITY, (uint32_t)h->priority);
		if (h->device)
			skf_nlm_str(&n->b, NFTA_HOOK_DEV, h->device);
		skf_nlm_nest_end(&n->b, nest);
		skf_nlm_be32(&n->b, NFTA_CHAIN_POLICY, NF_ACCEPT);
		skf_nlm_str(&n->b, NFTA_CHAIN_TYPE, h->type);
	}
	skf_nlm_end(&n->b, n->msg);
}

void skf_nft_chain_flush(struct skf_nft *n, const char *name)
{
	skf_nft_begin(n, NFT_MSG_DELRULE, 0);
	skf_nlm_str(&n->b, NFTA_RULE_TABLE, n->table);
	skf_nlm_str(&n->b, NFTA_RULE_CHAIN, name);
	skf_nlm_end(&n->b, n->msg);
}

/* How the parts of a concatenation are split, which the kernel needs for sets of intervals. */
static void put_parts(struct skf_nft *n, const struct skf_nft_set *s)
{
	size_t desc = skf_nlm_nest(&n->b, NFTA_SET_DESC), all = skf_nlm_nest(&n->b, NFTA_SET_DESC_CONCAT),
	       one;

	for (size_t i = 0; i < SKF_ARRAY_LEN(s->parts) && s->parts[i]; i++) {
		one = skf_nlm_nest(&n->b, NFTA_LIST_ELEM);
		skf_nlm_be32(&n->b, NFTA_SET_FIELD_LEN, s->parts[i]);
		skf_nlm_nest_end(&n->b, one);
	}
	skf_nlm_nest_end(&n->b, all);
	skf_nlm_nest_end(&n->b, desc);
}

/* libnftnl's notes for `nft list`: key byte order (0), 4 bytes, host (1). */
static const uint8_t host_order[] = {0, 4, 1, 0, 0, 0};

void skf_nft_set(struct skf_nft *n, const struct skf_nft_set *s)
{
	uint32_t flags = (s->interval ? NFT_SET_INTERVAL : 0u) | (s->timeout ? NFT_SET_TIMEOUT : 0u) |
			 (s->data_len || s->verdict ? NFT_SET_MAP : 0u) |
			 (s->interval && s->parts[1] ? NFT_SET_CONCAT : 0u);

	skf_nft_begin(n, NFT_MSG_NEWSET, NLM_F_CREATE);
	skf_nlm_str(&n->b, NFTA_SET_TABLE, n->table);
	skf_nlm_str(&n->b, NFTA_SET_NAME, s->name);
	skf_nlm_be32(&n->b, NFTA_SET_ID, ++n->set_id);
	skf_nlm_be32(&n->b, NFTA_SET_FLAGS, flags);
	skf_nlm_be32(&n->b, NFTA_SET_KEY_TYPE, s->key_type);
	skf_nlm_be32(&n->b, NFTA_SET_KEY_LEN, s->key_len);
	if (s->data_len || s->verdict) {
		skf_nlm_be32(&n->b, NFTA_SET_DATA_TYPE, s->verdict ? NFT_DATA_VERDICT : s->data_type);
		if (!s->verdict)
			skf_nlm_be32(&n->b, NFTA_SET_DATA_LEN, s->data_len);
	}
	if (s->interval && s->parts[1])
		put_parts(n, s);
	if (s->host_order)
		skf_nlm_put(&n->b, NFTA_SET_USERDATA, host_order, sizeof(host_order));
	skf_nlm_end(&n->b, n->msg);
}

void skf_nft_set_flush(struct skf_nft *n, const char *name)
{
	skf_nft_begin(n, NFT_MSG_DELSETELEM, 0);
	skf_nlm_str(&n->b, NFTA_SET_ELEM_LIST_TABLE, n->table);
	skf_nlm_str(&n->b, NFTA_SET_ELEM_LIST_SET, name);
	skf_nlm_end(&n->b, n->msg);
}

static void put_value(struct skf_buf *b, uint16_t type, const void *p, uint32_t len)
{
	size_t nest = skf_nlm_nest(b, type);

	skf_nlm_put(b, NFTA_DATA_VALUE, p, len);
	skf_nlm_nest_end(b, nest);
}

static void put_elem(struct skf_nft *n, const struct skf_nft_elem *x, bool del)
{
	size_t one = skf_nlm_nest(&n->b, NFTA_LIST_ELEM);

	if (x->interval_end)
		skf_nlm_be32(&n->b, NFTA_SET_ELEM_FLAGS, NFT_SET_ELEM_INTERVAL_END);
	put_value(&n->b, NFTA_SET_ELEM_KEY, x->key, x->key_len);
	if (x->key_end)
		put_value(&n->b, NFTA_SET_ELEM_KEY_END, x->key_end, x->key_len);
	if (x->timeout_ms && !del)
		skf_nlm_be64(&n->b, NFTA_SET_ELEM_TIMEOUT, x->timeout_ms);
	if (x->data && !del)
		put_value(&n->b, NFTA_SET_ELEM_DATA, x->data, x->data_len);
	if (x->jump && !del)
		skf_nft_put_verdict(&n->b, NFTA_SET_ELEM_DATA, NFT_JUMP, x->jump);
	skf_nlm_nest_end(&n->b, one);
}

static void element(struct skf_nft *n, const char *set, const struct skf_nft_elem *x, bool del)
{
	if (n->in_elems &&
	    (n->elems_del != del || !skf_streq(n->elems_set, set) || n->b.len - n->nest > MAX_ELEM_NEST))
		close_message(n);
	if (!n->in_elems) {
		skf_nft_begin(n, del ? NFT_MSG_DELSETELEM : NFT_MSG_NEWSETELEM, del ? 0 : NLM_F_CREATE);
		skf_nlm_str(&n->b, NFTA_SET_ELEM_LIST_TABLE, n->table);
		skf_nlm_str(&n->b, NFTA_SET_ELEM_LIST_SET, set);
		n->nest = skf_nlm_nest(&n->b, NFTA_SET_ELEM_LIST_ELEMENTS);
		n->in_elems = true;
		n->elems_del = del;
		n->b.err = n->b.err ? n->b.err : skf_fmt(n->elems_set, sizeof(n->elems_set), "%s", set);
	}
	put_elem(n, x, del);
}

void skf_nft_elem_add(struct skf_nft *n, const char *set, const struct skf_nft_elem *x)
{
	if (n->watch && n->watch(n->family, set, x, n->watch_user) < 0 && !n->b.err)
		n->b.err = -ENOMEM;
	element(n, set, x, false);
}

void skf_nft_elem_del(struct skf_nft *n, const char *set, const struct skf_nft_elem *x)
{
	element(n, set, x, true);
}
