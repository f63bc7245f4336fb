/* engine/pod_int.h -- what the files of pods share: the object on the disk, and how a container belongs to
 * it.
 *
 * Invariants: a pod exists when pods/<id>/pod.json exists. A container belongs to a pod when its config says
 * so; pods/<id>/members/<container> is made between the container's directory and its config.json and
 * removed by whoever finds that the directory is gone, so that it can name one that is not there, never the
 * other way round. Who changes a pod holds locks/container-<id> of the pod; it is taken before that of a
 * container. */
#pragma once
#include "engine/engine_int.h"
#include "engine/pod.h"

#define SKF_POD_CGROUP "/skiff/p" /* above pod and container, DESIGN 3b */

struct skf_pod {
	char *id, *name, *hostname, *created; /* created: RFC 3339 */
	uint32_t share;
	char *exit_policy, *userns; /* userns: as --userns; NULL: the host's */
	char *mount_label;          /* of what the pod itself mounts (SELinux); NULL: none */
	struct skf_kvs labels;
};
/* Categories of a pod whose containers share IPC or PIDs, where SELinux is on (plan_selinux.c); the pod's
 * lock is held. */
int skf_pod_categories(struct skf_engine *g, const char *id, int dir, struct skf_pod *pod,
		       struct skf_arena *a, struct skf_err *e);
int skf_pod_dir(struct skf_engine *g, const char *id, int *ret_fd, struct skf_err *e);
int skf_pod_load(struct skf_engine *g, const char *id, struct skf_arena *a, struct skf_pod **ret,
		 struct skf_err *e);
/* dir: the pod's, which has no pod.json yet. */
int skf_pod_save(int dir, const struct skf_pod *p, struct skf_err *e);
bool skf_pod_exists(struct skf_engine *g, const char *id);
/* All ids, unsorted. */
int skf_pod_list(struct skf_engine *g, struct skf_arena *a, struct skf_strv *ret, struct skf_err *e);
/* Containers that exist and say that they belong to the pod. */
int skf_pod_members(struct skf_engine *g, const char *id, struct skf_arena *a, struct skf_strv *ret,
		    struct skf_err *e);
int skf_pod_member_add(struct skf_engine *g, const char *id, const char *container, struct skf_err *e);
/* A missing one is success. */
int skf_pod_member_remove(struct skf_engine *g, const char *id, const char *container, struct skf_err *e);

/* Event of a pod; a failure is a warning. */
void skf_pod_tell(struct skf_engine *g, const char *action, const char *id, const char *name);

/* --- pod_hold.c: the holder --- */
/* Socket of the pod's holder. UNAVAILABLE when there is none. */
int skf_pod_holder(struct skf_engine *g, const char *id, int *ret_sock, struct skf_err *e);
/* Starts it when it does not run. lock: the pod's. */
int skf_pod_hold(struct skf_engine *g, const struct skf_pod *p, int lock, struct skf_err *e);
/* Starts it when it does not run; takes the pod's lock itself. Before the start of a container in the pod.
 */
int skf_pod_ensure(struct skf_engine *g, const char *id, struct skf_err *e);
/* The same by name or id (NULL: nothing to do), and for the pod of a container. Not under the container's
 * lock. */
int skf_pod_ensure_named(struct skf_engine *g, const char *pod, struct skf_err *e);
int skf_pod_ensure_of(struct skf_engine *g, const char *container, struct skf_err *e);
/* 1 and the pod's id, 0 the container is in none, -1. */
int skf_pod_of(struct skf_engine *g, const char *container, char ret[SKF_ID_LEN + 1], struct skf_err *e);
/* A container of the pod has ended: with the exit policy "stop" the last one ends the pod. Takes the pod's
 * lock, not under a container's. */
int skf_pod_after_end(struct skf_engine *g, const char *id, struct skf_err *e);
/* Ends it and undoes what was made for it. The pod's lock is held; may be repeated. */
int skf_pod_unhold(struct skf_engine *g, const char *id, struct skf_err *e);
