/* oci/idmaps.h -- id maps of a user namespace: looking an id up in either direction, and the file "ids" of a
 * container's or pod's directory (docs/formats.md), by which those who handle its files from outside know
 * whose they are. */
#pragma once
#include "oci/spec.h"

struct skf_idmaps {
	struct skf_jarr uids,
		gids; /* struct skf_idmap; none: no user namespace of its own, every id is itself */
};
#define SKF_IDS_FILE "ids"

/* The host's id of a container's, and back. false: it is not mapped. An empty map maps every id to itself.
 */
bool skf_idmap_to_host(const struct skf_jarr *maps, uint32_t id, uint32_t *ret);
bool skf_idmap_from_host(const struct skf_jarr *maps, uint32_t id, uint32_t *ret);
/* The same for owners of files: what is not mapped is the kernel's nobody (65534), as the container sees it.
 */
uint32_t skf_idmap_owner(const struct skf_jarr *maps, uint32_t host_id);
/* No id twice, on either side; sizes above 0, nothing beyond 2^32 - 2. -EEXIST, -ERANGE. */
int skf_idmap_check(const struct skf_jarr *maps);
/* Text of the file. LIMIT is the buffer's. */
void skf_idmaps_text(const struct skf_idmaps *m, struct skf_buf *b);
/* 1 read, 0 there is none, -errno; -EINVAL for a file that is not understood. */
int skf_idmaps_read_at(int dirfd, struct skf_arena *a, struct skf_idmaps *ret);
/* A map as the kernel shows it (/proc/<pid>/uid_map), seen from the reader's namespace. -errno. */
int skf_idmap_read_proc(const char *path, struct skf_arena *a, struct skf_jarr *ret);
/* Both maps of a user namespace, seen from ours. -EPERM: it cannot be entered (our own, too); -EINVAL: it
 * has no maps yet; -errno. Blocks (idmaps_ns.c). */
int skf_idmaps_of_userns(int userns, struct skf_arena *a, struct skf_idmaps *ret);
