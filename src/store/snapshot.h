/* store/snapshot.h -- how the layers of an image become the root of a container: one table of functions per
 * way (DESIGN 5a).
 *
 * A way says what is to be mounted as plain data (struct skf_snapshot, kept in the container's config.json),
 * so that skiff-launch mounts without knowing the ways: the layers in the given form below rw/, or rw/ by
 * itself. Everything that a way makes for a container lies in the container's directory and goes with it;
 * what it makes for an image lies in layers/<diff-id>/ beside tree/ and is collected as that is
 * (store/gc.c). So there is nothing to unmount, to release or to count, and a process that is killed leaves
 * nothing but what collection finds.
 *
 * Ways to come: EROFS images and lazily loaded layers are one more form beside tree/ (form) that launch
 * learns to mount; prepare fetches what must be there. */
#pragma once
#include "base/fwd.h"
#include "oci/idmaps.h"
#include "store/store.h"

#define SKF_FORM_TREE "tree"
#define SKF_FORM_MAX  40

struct skf_snapshot {
	const char *driver;      /* name of the way, static */
	bool lower;              /* the layers are mounted below rw/; false: rw/ has everything */
	char form[SKF_FORM_MAX]; /* of each layer: path below layers/<diff-id>/ */
};
struct skf_snapshot_req {
	struct skf_store *store;
	const struct skf_strv
		*layers; /* diff-ids, lowest first; they are there, and a lease or a reference keeps them */
	int dir;         /* of the container */
	const struct skf_idmaps *ids; /* of its user namespace; NULL: none */
	bool copy_mapped; /* the layers cannot be seen through the maps, or shall not: mapped copies */
	bool sync;        /* what is made must survive a power cut once this returned */
};
struct skf_change { /* as docker's diff: 'A' added, 'C' changed, 'D' deleted */
	char kind;
	const char *path; /* absolute, in the container */
};
struct skf_snapshotter {
	const char *name, *about;
	bool copies; /* prepare and view take long: the caller holds a lease, not locks/store */
	/* Does it work on this store, by doing? 0, or -1 with the reason: UNSUPPORTED, or what failed. */
	int (*probe)(struct skf_store *s, struct skf_err *e);
	/* rw/ in q->dir is there and empty. Blocks for as long as copying takes. */
	int (*prepare)(const struct skf_snapshot_req *q, struct skf_snapshot *ret, struct skf_err *e);
	/* The image's files to be looked at only: *ret_copy true when they were copied to the new directory
	 * q->dir/name, false when the layers in ret's form are to be mounted. */
	int (*view)(const struct skf_snapshot_req *q, const char *name, struct skf_snapshot *ret,
		    bool *ret_copy, struct skf_err *e);
	/* Before every start: makes again what may be gone since (a layer that was pulled anew has lost its
	 * copies). */
	int (*ensure)(const struct skf_snapshot_req *q, const struct skf_snapshot *s, struct skf_err *e);
	/* What the container changed, as a directory in overlay's form below the empty directory `to`, on
	 * the same file system; files are hard links. NULL: rw/ is such a directory. */
	int (*upper)(int rw, const struct skf_change *v, size_t n, int to, struct skf_err *e);
	/* 1 fine, 0 damaged (why). Blocks for as long as reading the directories takes. */
	int (*check)(const struct skf_snapshot_req *q, const struct skf_snapshot *s, char *why, size_t size,
		     struct skf_err *e);
};
/* All ways, the preferred one first; NULL-terminated. */
extern const struct skf_snapshotter *const skf_snapshotters[];
extern const struct skf_snapshotter skf_snapshot_overlay, skf_snapshot_vfs;
/* By its name, or by another engine's word for it ("overlay2"); NULL. */
const struct skf_snapshotter *skf_snapshotter_find(const char *name);

/* --- mapped copies (snapshot_map.c): layers/<diff-id>/map-<hash of the maps>/{ids,tree/}, complete and on
 * the disk when it has its name; shared by all containers with these maps --- */
/* The form's path below a layer's directory. */
int skf_map_form(const struct skf_idmaps *ids, char ret[SKF_FORM_MAX], struct skf_err *e);
bool skf_map_is_form(const char *form);
/* Makes what is missing of the copies of the layers. */
int skf_map_ensure(struct skf_store *s, const struct skf_strv *layers, const struct skf_idmaps *ids,
		   struct skf_err *e);
/* 1 there, 0 not. */
int skf_map_has(struct skf_store *s, const struct skf_digest *layer, const char *form, struct skf_err *e);
/* 1 fine, 0 damaged: why. form as skf_map_form gives it. NOTFOUND: no such copy. */
int skf_map_check(struct skf_store *s, const struct skf_digest *layer, const char *form, char *why,
		  size_t size, struct skf_err *e);
/* Moves the copy away. */
int skf_map_drop(struct skf_store *s, const struct skf_digest *layer, const char *form, struct skf_err *e);
#define SKF_MAP_PREFIX "map-"
