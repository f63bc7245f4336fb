/* network/publish.h -- the words of -p and --expose. Pure. */
#pragma once
#include "base/json.h"
#include "network/ip.h"

#define SKF_MAX_PUBLISH 65536 /* ports of one container */
#define SKF_MAX_EXPOSED 65536

struct skf_publish {                    /* one port of the container */
	char *proto;                    /* "tcp", "udp", "sctp" */
	char *host_ip;                  /* "": every address */
	uint16_t host_first, host_last; /* 0, 0: any free one; a range: any free one of it */
	uint16_t port;
};
/* [HOST:][PORT[-END]:]PORT[-END][/PROTO], HOST an IPv4 address or an IPv6 address in brackets: one element
 * for each port of the container, added to v (grown in the arena). INVALID in docker's words, LIMIT. */
int skf_publish_parse(const char *spec, struct skf_arena *a, struct skf_jarr *v /* skf_publish */,
		      struct skf_err *e);
/* "tcp", "udp", "sctp". */
bool skf_proto_known(const char *p);
/* PORT[-END][/PROTO] as "80/tcp" words, added to v. INVALID, LIMIT. */
int skf_expose_parse(const char *spec, struct skf_arena *a, struct skf_strv *v, struct skf_err *e);
/* "80/tcp" of an image's config or of skf_expose_parse. 0 or -EINVAL. */
int skf_exposed_split(const char *word, uint16_t *ret_port, char proto[8]);
