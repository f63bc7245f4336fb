/* engine/net_req.h -- what a user says about a container's networks: the part of struct skf_create_req that
 * belongs to networks. Plain strings as they were typed; engine/plan_network.c checks them and says what is
 * wrong in docker's words. */
#pragma once
#include "base/json.h"

struct skf_net_attach { /* one --network, or one `network connect`; strings may be NULL */
	char *name;     /* name or id of a network; "none", "host", "bridge", "default", "container:NAME" */
	char *ip, *ip6, *mac;
	char *interface; /* name inside the container */
	struct skf_strv aliases;
	struct skf_strv driver_opts; /* KEY=VALUE */
};
struct skf_net_req {
	struct skf_jarr networks; /* skf_net_attach; none: the default network */
	struct skf_strv publish;  /* [HOST:][PORT[-END]:]PORT[-END][/PROTO], as -p */
	bool publish_all;         /* -P: every exposed port gets a free one */
	struct skf_strv expose;   /* PORT[-END][/PROTO] */
	struct skf_strv dns, dns_search, dns_opt;
	struct skf_strv add_host;     /* NAME:ADDRESS or NAME=ADDRESS; ADDRESS may be host-gateway */
	struct skf_strv link;         /* CONTAINER[:ALIAS] */
	char *domainname;             /* NULL: none */
	char *egress;                 /* "allow", "deny"; NULL: as the network says */
	struct skf_strv egress_allow; /* CIDR or NAME, with :PORT */
};
