/* engine/clone_int.h -- what clones of containers and of pods share. */
#pragma once
#include "engine/engine_int.h"

/* A free name for a clone: "NAME-clone", then "NAME-clone1", ...; a clone's own clone counts on. Claims
 * nothing. */
int skf_clone_name(struct skf_engine *g, const char *of, char ret[SKF_MAX_NAME_BYTES + 1],
		   struct skf_err *e);
