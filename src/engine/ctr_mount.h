/* engine/ctr_mount.h -- a container's root file system on the host, at <root>/containers/<id>/rootfs, as
 * podman's mount. */
#pragma once
#include "engine/engine.h"

struct skf_ctr_mount {
	char *id, *name, *path;
};
/* Mounts, or counts one up. *ret_path: absolute. Blocks on the container's lock and on skiff-launch.
 * NOTFOUND. */
int skf_engine_mount(struct skf_engine *g, const char *container, struct skf_arena *a, char **ret_path,
		     struct skf_err *e);
/* Counts one down and unmounts with the last, or with force at once. One that is not mounted is success, as
 * podman's. CONFLICT when somebody works in it; force detaches it. */
int skf_engine_unmount(struct skf_engine *g, const char *container, bool force, struct skf_err *e);
/* What is mounted: struct skf_ctr_mount. */
int skf_engine_mounts(struct skf_engine *g, struct skf_arena *a, struct skf_jarr *ret, struct skf_err *e);
