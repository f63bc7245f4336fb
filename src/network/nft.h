/* network/nft.h -- nftables over netlink: one batch is one transaction of the tables `skiff_v1`, most of it
 * of that of family inet.
 *
 * Calls append to the batch and remember the first failure; skf_nft_commit sends it and says whether all of
 * it was done or nothing. A batch is for one thread. The socket belongs to the network namespace it was
 * opened in. Names are the kernel's (at most 255 bytes). Nothing blocks but the kernel's own locks.
 * Encoding: linux/netfilter/nf_tables.h. */
#pragma once
#include "base/fwd.h"

#define SKF_NFT_TABLE     "skiff_v1"
#define SKF_NFT_TABLE_MAX 32

struct skf_nft;
/* SYSTEM, UNSUPPORTED when the kernel has no nf_tables. */
int skf_nft_open(struct skf_nft **ret, struct skf_err *e);
void skf_nft_free(struct skf_nft *n);
static inline void skf_nft_freep(struct skf_nft **n)
{
	skf_nft_free(*n);
}
/* 0 done, and the batch is empty again; -ENOENT: an object that the batch names is not there (the table was
 * flushed, or an element that is to be deleted is gone); -EEXIST; any other -errno. Nothing was changed
 * then; the batch is empty all the same. */
int skf_nft_commit(struct skf_nft *n);

/* What follows is for the table of that name of another family (NFPROTO_BRIDGE): the same transaction. It
 * begins with NFPROTO_INET. */
void skf_nft_family(struct skf_nft *n, uint8_t family);

/* Another table than skiff_v1: a second root of skiff in one network namespace has its own. -ENAMETOOLONG.
 */
int skf_nft_use(struct skf_nft *n, const char *table);

/* --- table, chains, sets: at load only --- */
void skf_nft_table(struct skf_nft *n); /* made when it is not there */
void skf_nft_table_delete(struct skf_nft *n);
void skf_nft_chain(struct skf_nft *n, const char *name);
void skf_nft_chain_flush(struct skf_nft *n, const char *name);
void skf_nft_chain_claim(struct skf_nft *n,
			 const char *name); /* the commit fails with -EEXIST when it is there */
struct skf_nft_hook {
	const char *type; /* "filter", "nat" */
	uint32_t hook;    /* NF_INET_*, NF_NETDEV_* */
	int32_t priority;
	const char *device; /* family netdev: the interface; else NULL */
};
void skf_nft_base_chain(struct skf_nft *n, const char *name,
			const struct skf_nft_hook *h); /* policy accept */
struct skf_nft_set {
	const char *name;
	uint32_t key_len;  /* a concatenation: each part padded to 4 bytes */
	uint8_t parts[4];  /* bytes of each part of a concatenation, 0 ends; only for sets with intervals */
	uint32_t data_len; /* a map: bytes of its data, padded like the key; 0: a set */
	bool verdict;      /* a map to verdicts */
	bool interval, timeout;
	bool host_order; /* shown by nft as text or number of the host's byte order: names of interfaces */
	uint32_t key_type, data_type; /* for `nft list`: nft's own type numbers, 6 bits each; 0: a number */
};
/* Made when it is not there; -EEXIST when it is there and different. */
void skf_nft_set(struct skf_nft *n, const struct skf_nft_set *s);
void skf_nft_set_flush(struct skf_nft *n, const char *name);

/* --- elements --- */
struct skf_nft_elem {
	const void *key,
		*key_end; /* key_end: an interval's last, for sets of concatenations with intervals; NULL */
	uint32_t key_len;
	const void *data; /* NULL: none */
	uint32_t data_len;
	const char *jump;    /* a map to verdicts: chain to jump to */
	uint64_t timeout_ms; /* 0: stays */
	bool interval_end;   /* a plain interval set: this key ends what the one before began */
};
void skf_nft_elem_add(struct skf_nft *n, const char *set, const struct skf_nft_elem *x);
void skf_nft_elem_del(struct skf_nft *n, const char *set, const struct skf_nft_elem *x);

/* fn for every element that is added, before it goes into the batch; it returns 0 or -ENOMEM. For who wants
 * to know what a batch would do. */
typedef int (*skf_nft_watch_fn)(uint8_t family, const char *set, const struct skf_nft_elem *x, void *user);
void skf_nft_watch(struct skf_nft *n, skf_nft_watch_fn fn, void *user);

/* --- what is there (nft_dump.c), of the family and table that n has; -ENOENT: no such table. fn returns 0
 * or -errno, which ends it. */
/* Of the family, all tables. */
int skf_nft_each_table(struct skf_nft *n, int (*fn)(const char *name, void *user), void *user);
int skf_nft_each_chain(struct skf_nft *n, int (*fn)(const char *name, void *user), void *user);
int skf_nft_each_elem(struct skf_nft *n, const char *set,
		      int (*fn)(const struct skf_nft_elem *x, void *user),
		      void *user); /* key, key_end, interval_end */
int skf_nft_count_rules(struct skf_nft *n, const char *chain, unsigned *ret);
void skf_nft_chain_delete(struct skf_nft *n, const char *name); /* with its rules */
void skf_nft_set_delete(struct skf_nft *n, const char *name);

/* --- rules: skf_nft_rule begins one at the end of a chain, expressions follow, the next call of another
 * kind ends it --- */
void skf_nft_rule(struct skf_nft *n, const char *chain);
void skf_nft_rule_end(struct skf_nft *n);
void skf_nft_x_meta(struct skf_nft *n, uint32_t key, uint32_t reg); /* NFT_META_* -> register */
void skf_nft_x_payload(struct skf_nft *n, uint32_t base, uint32_t off, uint32_t len, uint32_t reg);
void skf_nft_x_meta_set(struct skf_nft *n, uint32_t key, uint32_t reg); /* register -> NFT_META_* */
void skf_nft_x_payload_set(struct skf_nft *n, uint32_t base, uint32_t off, uint32_t len,
			   uint32_t reg);                         /* the frame is changed; no checksum is */
void skf_nft_x_ct(struct skf_nft *n, uint32_t key, uint32_t reg); /* NFT_CT_* */
/* Of the connection's first direction: NFT_CT_DST_IP6 ... */
void skf_nft_x_ct_original(struct skf_nft *n, uint32_t key, uint32_t reg);
void skf_nft_x_fib(struct skf_nft *n, uint32_t flags, uint32_t result, uint32_t reg);
void skf_nft_x_cmp(struct skf_nft *n, uint32_t op, uint32_t reg, const void *p, uint32_t len);
void skf_nft_x_bitmask(struct skf_nft *n, uint32_t reg, uint32_t len, const void *mask); /* reg &= mask */
void skf_nft_x_lookup(struct skf_nft *n, const char *set, uint32_t reg, bool invert);
void skf_nft_x_map(struct skf_nft *n, const char *map, uint32_t reg,
		   uint32_t dreg); /* no element: the rule does not match */
void skf_nft_x_vmap(struct skf_nft *n, const char *map, uint32_t reg);
void skf_nft_x_value(struct skf_nft *n, uint32_t reg, const void *p,
		     uint32_t len); /* a constant -> register */
void skf_nft_x_verdict(struct skf_nft *n, int32_t verdict,
		       const char *chain); /* NF_DROP, NF_ACCEPT, NFT_JUMP, ... */
void skf_nft_x_counter(struct skf_nft *n);
void skf_nft_x_masquerade(struct skf_nft *n);
void skf_nft_x_dnat(struct skf_nft *n, uint32_t family, uint32_t reg_addr,
		    uint32_t reg_port);              /* reg_port 0: keeps it */
void skf_nft_x_fwd(struct skf_nft *n, uint32_t reg); /* family netdev: out through the interface with the
							index in reg */
void skf_nft_x_reject(struct skf_nft *n);            /* icmpx admin-prohibited */
