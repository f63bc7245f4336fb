/* network/nft_int.h -- what nft.c and nft_expr.c share. */
#pragma once
#include "network/nft.h"
#include "sys/nlmsg.h"
#include <arpa/inet.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

struct skf_nft {
	int nl;
	struct skf_buf b;
	size_t msg;  /* the message that was begun last */
	size_t nest; /* its list of elements or expressions */
	bool in_elems, in_rule, elems_del;
	uint32_t set_id;
	uint8_t family; /* of the messages that follow */
	char elems_set[256];
	char table[SKF_NFT_TABLE_MAX];
	skf_nft_watch_fn watch;
	void *watch_user;
};
/* A message of nf_tables; ends what is open before it. */
void skf_nft_begin(struct skf_nft *n, uint16_t type, uint16_t flags);
void skf_nft_put_verdict(struct skf_buf *b, uint16_t type, int32_t verdict, const char *chain);
