/* engine/pod.h -- pods, podman's kind: containers that share namespaces, are listed, started and stopped
 * together, and have one cgroup above them. The part of the engine's interface (engine.h) that belongs to
 * pods; the same rules hold.
 *
 * A pod is lib/pods/<id>/pod.json and a name in the name space of containers. Its namespaces exist while its
 * holder runs (monitor/hold.h); they are made by `pod start`, or by the start of the first container in it,
 * and go with `pod stop` or the end of the host. Each container has a monitor of its own. */
#pragma once
#include "engine/engine.h"

enum { /* bits of `share`, in the order of enum skf_hold_ns */
       SKF_POD_NET = 1,
       SKF_POD_IPC = 2,
       SKF_POD_UTS = 4,
       SKF_POD_PID = 8,
       SKF_POD_SHARE_DEFAULT = 7
};
/* "net,ipc,uts", "pid", "none", "" -> bits; INVALID names the word. cgroup is accepted: a pod always has one
 * cgroup. */
int skf_pod_share_parse(const char *words, uint32_t *ret, struct skf_err *e);

struct skf_pod_create_req {
	struct skf_reqhdr h;
	const char *name;        /* NULL: two words made up */
	const char *hostname;    /* NULL: the pod's name */
	struct skf_strv labels;  /* K=V */
	uint32_t share;          /* SKF_POD_* */
	const char *exit_policy; /* "continue" (NULL), "stop": when its last container ends */
	bool replace;            /* an older pod of that name is removed first */
	struct skf_net_req net;
	char *userns, *subuidname, *subgidname; /* as of a container; auto, keep-id, private, host */
	struct skf_strv uidmap, gidmap;
};
int skf_engine_pod_create(struct skf_engine *g, const struct skf_pod_create_req *q,
			  char ret_id[SKF_ID_LEN + 1], struct skf_err *e);

/* A new pod like one that exists, with a clone of each of its containers (skf_engine_clone). On failure
 * nothing is left, but when the original could not be removed. */
struct skf_pod_clone_req {
	struct skf_reqhdr h;
	const char *pod, *name;                 /* name NULL: the pod's and "-clone", "-clone1", ... */
	const char *hostname;                   /* NULL: the pod's if it was said, else the new name */
	struct skf_strv labels;                 /* K=V, in addition */
	char *userns, *subuidname, *subgidname; /* as of create; none: the pod's */
	struct skf_strv uidmap, gidmap;
	bool destroy; /* the original is removed, with its containers, running or not */
};
int skf_engine_pod_clone(struct skf_engine *g, const struct skf_pod_clone_req *q,
			 char ret_id[SKF_ID_LEN + 1], struct skf_err *e);

/* Name, id or unique id prefix. NOTFOUND "no pod with name or ID x found: no such pod". */
int skf_engine_pod_resolve(struct skf_engine *g, const char *word, char ret[SKF_ID_LEN + 1],
			   struct skf_err *e);

/* Each of them acts on the pod and on all its containers; a failure of one does not keep the others from it,
 * the first error is told. */
enum skf_pod_verb {
	SKF_POD_START,
	SKF_POD_STOP,
	SKF_POD_RESTART,
	SKF_POD_KILL,
	SKF_POD_PAUSE,
	SKF_POD_UNPAUSE
};
struct skf_pod_do_req {
	struct skf_reqhdr h;
	enum skf_pod_verb verb;
	const char *pod;
	int timeout_s; /* of stop; -1: each container's own */
	int signal;    /* of kill */
};
int skf_engine_pod_do(struct skf_engine *g, const struct skf_pod_do_req *q, char ret_id[SKF_ID_LEN + 1],
		      struct skf_err *e);
/* CONFLICT when it has containers, unless forced: then they go first. */
int skf_engine_pod_rm(struct skf_engine *g, const char *pod, bool force, char ret_id[SKF_ID_LEN + 1],
		      struct skf_err *e);

struct skf_pod_ctr {
	char id[SKF_ID_LEN + 1];
	char *name, *state;
};
struct skf_pod_row {
	char id[SKF_ID_LEN + 1];
	char *name, *status; /* podman's: Created, Running, Degraded, Stopped, Exited, Paused */
	int64_t created_ns;
	struct skf_jarr containers; /* skf_pod_ctr, by name */
	struct skf_kvs labels;
	struct skf_strv networks;
};
/* Newest first. Filters: id, name, label, status, ctr-names, ctr-ids, ctr-status, ctr-number, network,
 * until; INVALID for others. */
int skf_engine_pod_ps(struct skf_engine *g, const struct skf_strv *filters, struct skf_arena *a,
		      struct skf_jarr *ret /* skf_pod_row */, struct skf_err *e);
/* One row. */
int skf_engine_pod_row(struct skf_engine *g, const char *pod, struct skf_arena *a, struct skf_pod_row *ret,
		       struct skf_err *e);
/* podman's pod inspect document. */
int skf_engine_pod_inspect(struct skf_engine *g, const char *pod, struct skf_jw *w, struct skf_err *e);
