/* engine/inspect_int.h -- parts of the document of `inspect`, each writing into the object that w is in. */
#pragma once
#include "engine/engine_int.h"

/* Members of HostConfig that are settings. conf: what stands where nothing was said. */
void skf_inspect_settings(struct skf_jw *w, const struct skf_settings *s, const struct skf_conf *conf);
/* "Mounts": struct skf_mount_point. */
void skf_inspect_mounts(struct skf_jw *w, const struct skf_jarr *points);
