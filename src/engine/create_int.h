/* engine/create_int.h -- the plan of a container: everything decided before anything is made (plan.c), and
 * then made (create.c). */
#pragma once
#include "engine/engine_int.h"

struct skf_plan {
	struct skf_engine *g;
	struct skf_create_req *q;
	struct skf_arena *a;
	struct skf_image *image;
	struct skf_refrec ref;
	struct skf_image_config *ic;
	struct skf_ctrconf conf;
	struct skf_ctr_request req;
	struct skf_gen gen;
	struct skf_gen_mount *mounts;
	char id[SKF_ID_LEN + 1];
	char name[SKF_MAX_NAME_BYTES + 1];
	char hostname[256];
	char created[36];
	char dir[4096];            /* <root>/containers/<id> */
	int lock;                  /* of the container; taken before anything of it is made */
	struct skf_layered layers; /* open trees, highest first */
};
/* What can be decided, and refused, without the image: before a pull of minutes. */
int skf_plan_check(struct skf_plan *p, struct skf_err *e);
/* The rest: reads the image's config and passwd files. Makes nothing but missing -v sources (docker makes
 * those too). */
int skf_plan_make(struct skf_plan *p, struct skf_err *e);
