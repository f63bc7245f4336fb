/* engine/net_filter.h -- --filter of network ls: docker's words, and podman's until and label!. */
#pragma once
#include "engine/filter.h"
#include "engine/net_int.h"

struct skf_net_filter {
	struct skf_filters words;
	int64_t until;        /* 0: not given */
	int dangling;         /* -1 not given, 0 networks in use, 1 the others */
	struct skf_strv used; /* ids; read only when dangling asks for it */
};
/* INVALID in docker's words. skf_filters_done(&ret->words) in every case. */
int skf_net_filter_init(struct skf_engine *g, const struct skf_strv *words, struct skf_arena *a,
			struct skf_net_filter *ret, struct skf_err *e);
bool skf_net_filter_match(const struct skf_net_filter *f, const struct skf_network_row *r);
