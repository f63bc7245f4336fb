/* network/cni.h -- CNI networks by name: configuration lists of the usual directories and the plugins that
 * they name, as CNI 1.1 says (github.com/containernetworking/cni SPEC.md). A plugin is a program: its
 * configuration on stdin, CNI_* in its environment, JSON on stdout.
 *
 * What ADD was given and what it answered is kept in run/cni/<network>/<container>-<ifname>
 * (docs/formats.md) from before the first plugin runs until DEL succeeded, so that DEL uses the
 * configuration of ADD even when the file has changed or is gone. Calls block while plugins run: at most
 * SKF_CNI_PLUGIN_MS each, after which the plugin is killed. Nothing here holds a lock: one caller per
 * container. */
#pragma once
#include "base/fwd.h"
#include "base/json.h"

struct skf_cni_dirs {         /* an empty list: the usual directories */
	struct skf_strv conf; /* /etc/cni/net.d */
	struct skf_strv bin;  /* /opt/cni/bin, /usr/lib/cni, /usr/libexec/cni */
};
struct skf_cni_list; /* one network: a .conflist, or a .conf or .json that holds a single plugin */

/* The network of that name; of two files with it the first by file name, as libcni. NOTFOUND names the
 * directories; INVALID the file and the place. In the arena. */
int skf_cni_find(const struct skf_cni_dirs *d, const char *name, struct skf_arena *a,
		 struct skf_cni_list **ret, struct skf_err *e);
/* Names of all networks, sorted by file. A file that is not valid is left out, with one sentence in
 * *ret_bad. */
int skf_cni_names(const struct skf_cni_dirs *d, struct skf_arena *a, struct skf_strv *ret,
		  struct skf_strv *ret_bad, struct skf_err *e);
const char *
skf_cni_version(const struct skf_cni_list *l); /* "1.0.0": the version that is spoken with its plugins */
const char *skf_cni_text(const struct skf_cni_list *l); /* the file's text, for inspect */
const char *skf_cni_file(const struct skf_cni_list *l); /* its path */
const char *skf_cni_name(const struct skf_cni_list *l);
/* Does a plugin of it ask for that capability ("portMappings")? */
bool skf_cni_can(const struct skf_cni_list *l, const char *capability);

struct skf_cni_port { /* runtimeConfig.portMappings */
	uint16_t host_port, container_port;
	const char *protocol; /* "tcp" */
	const char *host_ip;  /* NULL: all */
};
struct skf_cni_call {
	const char *container_id, *ifname; /* "eth0" */
	const char *netns;                 /* path, normally run/netns/<id>; NULL is allowed for DEL only */
	struct skf_strv args;              /* CNI_ARGS: "K8S_POD_NAME=web" */
	const struct skf_cni_port *ports;
	size_t n_ports;
	struct skf_strv ips;     /* runtimeConfig.ips: wanted addresses "10.1.0.5/24" */
	const char *mac;         /* runtimeConfig.mac; NULL */
	struct skf_strv aliases; /* runtimeConfig.aliases of this network */
};
struct skf_cni_result {                /* of the last plugin */
	char *json;                    /* as it was answered, for caches and inspect */
	struct skf_strv ips, gateways; /* "10.1.0.5/24"; "" for none; parallel */
	char *mac;                     /* of the interface in the namespace; NULL */
	struct skf_strv dns_servers, dns_search, dns_options;
};
/* Runs all plugins, each with the result of the one before. When one fails, DEL is run for the list and
 * nothing is left. Errors are the plugin's: "CNI plugin 'bridge' of network 'n': ADD failed: <msg>
 * (<details>) [code 7]". */
int skf_cni_add(int run_fd, const struct skf_cni_dirs *d, const struct skf_cni_list *l,
		const struct skf_cni_call *c, struct skf_arena *a, struct skf_cni_result **ret,
		struct skf_err *e);
/* With the configuration, result and plugin directories of ADD when they are still there, else with l (NULL
 * then: nothing to do). All plugins are asked, last first, even after one failed; the first failure is told
 * and the cache stays. */
int skf_cni_del(int run_fd, const struct skf_cni_dirs *d, const char *network, const struct skf_cni_list *l,
		const struct skf_cni_call *c, struct skf_err *e);
/* NOTFOUND when the container was not added. Lists older than 0.4.0 or with disableCheck: success. portmap
 * is not asked about containers with addresses of one family: its CHECK is wrong then. */
int skf_cni_check(int run_fd, const struct skf_cni_dirs *d, const struct skf_cni_list *l,
		  const struct skf_cni_call *c, struct skf_err *e);
struct skf_cni_attachment {
	const char *container_id, *ifname;
	const char *network, *netns; /* of skf_cni_attached() only */
};
/* All ADDs of this run root that no DEL has undone. */
int skf_cni_attached(int run_fd, struct skf_arena *a, struct skf_jarr *ret /* skf_cni_attachment */,
		     struct skf_err *e);
/* Everything of the network but these attachments is given back: cached ones by DEL, then GC (1.1) of every
 * plugin. */
int skf_cni_gc(int run_fd, const struct skf_cni_dirs *d, const struct skf_cni_list *l,
	       const struct skf_cni_attachment *valid, size_t n, struct skf_err *e);
/* Can the network take containers now? Every plugin is there and, since 1.1, says so. UNAVAILABLE with its
 * words. */
int skf_cni_status(const struct skf_cni_dirs *d, const struct skf_cni_list *l, struct skf_err *e);
/* What a plugin answers to VERSION. */
int skf_cni_plugin_versions(const struct skf_cni_dirs *d, const char *type, struct skf_arena *a,
			    struct skf_strv *ret, struct skf_err *e);
