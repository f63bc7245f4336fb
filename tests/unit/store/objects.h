/* tests/unit/store/objects.h -- images made of small real layers, for the tests of references and
 * collection. */
#pragma once
#include "tarwrite.h"

struct obj {
	struct skf_digest manifest, config, layer_digest[2], diff_id[2];
};
/* An image of two layers (the first one is the same for every `base`), with its blobs and record; no
 * reference. */
struct obj obj_image(struct fix *f, const char *name, const char *base);
void obj_ref(struct fix *f, const char *name, const struct obj *o);
bool obj_there(struct fix *f,
	       const struct obj *o); /* record, blobs and layers; all or (false) at least one missing */
struct skf_ref obj_parse(struct fix *f, const char *name);
