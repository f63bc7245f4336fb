/* engine/spec_gen_int.h -- what the files of spec_gen share: one function per section of config.json, each
 * writing into the object that w is in. */
#pragma once
#include "engine/engine_int.h"

int skf_gen_mounts(struct skf_jw *w, const struct skf_gen *g, struct skf_err *e);
int skf_gen_linux(struct skf_jw *w, const struct skf_gen *g, struct skf_err *e);
void skf_gen_resources(struct skf_jw *w, const struct skf_gen *g);
/* The list that the devices cgroup (v2: program) holds. */
void skf_gen_device_rules(struct skf_jw *w, const struct skf_gen *g);
/* "devices": the plan's, and with privileged every node of the host's /dev. */
int skf_gen_devices(struct skf_jw *w, const struct skf_gen *g, struct skf_err *e);
