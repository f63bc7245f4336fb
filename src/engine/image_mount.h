/* engine/image_mount.h -- an image's files, read-only, at <root>/mounts/<manifest>, as podman's image mount.
 */
#pragma once
#include "engine/engine.h"

struct skf_image_mount {
	char *id, *path; /* config digest; where it is mounted */
};
/* Mounts, or counts one up. *ret_path: absolute. Blocks on skiff-launch. NOTFOUND. */
int skf_engine_image_mount(struct skf_engine *g, const char *image, struct skf_arena *a, char **ret_path,
			   struct skf_err *e);
/* Counts one down and unmounts with the last, or with force at once. NOTFOUND when it is not mounted,
 * CONFLICT when somebody works in it. */
int skf_engine_image_unmount(struct skf_engine *g, const char *image, bool force, struct skf_arena *a,
			     char **ret_id, struct skf_err *e);
/* What is mounted: struct skf_image_mount. */
int skf_engine_image_mounts(struct skf_engine *g, struct skf_arena *a, struct skf_jarr *ret,
			    struct skf_err *e);
