/* engine/create_int.h -- the plan of a container: everything decided before anything is made (plan.c), and
 * then made (create.c). */
#pragma once
#include "engine/engine_int.h"
#include "engine/net_int.h"
#include "sys/quota.h"

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
	struct skf_net_conf net;
	struct skf_gen_mount *mounts;
	char id[SKF_ID_LEN + 1];
	char name[SKF_MAX_NAME_BYTES + 1];
	char hostname[256];
	char created[36];
	char dir[4096];            /* <root>/containers/<id> */
	struct skf_quota quota;    /* of the writable layer; 0: none */
	int lock;                  /* of the container; taken before anything of it is made */
	struct skf_layered layers; /* open trees, highest first */
};
/* What can be decided, and refused, without the image: before a pull of minutes. */
int skf_plan_check(struct skf_plan *p, struct skf_err *e);
/* The rest: reads the image's config and passwd files. Makes nothing but missing -v sources (docker makes
 * those too). */
int skf_plan_make(struct skf_plan *p, struct skf_err *e);

/* --- steps of the plan, one part each; order: plan.c. 0 or -1 with e in docker's words --- */
int skf_plan_no_memory(struct skf_err *e); /* -1 */
int skf_plan_resources(struct skf_plan *p, struct skf_err *e);
int skf_plan_security(struct skf_plan *p, struct skf_err *e);
int skf_plan_storage(struct skf_plan *p, struct skf_err *e);
int skf_plan_streams(struct skf_plan *p, struct skf_err *e);
int skf_plan_network(struct skf_plan *p, struct skf_err *e);
int skf_plan_exposed(struct skf_plan *p, struct skf_err *e);
int skf_plan_log(struct skf_plan *p, struct skf_err *e);
int skf_plan_restart(struct skf_plan *p, struct skf_err *e);
/* Before the health check, which runs without it: skf_plan_command has set the command. */
int skf_plan_init(struct skf_plan *p, struct skf_err *e);
int skf_plan_health(struct skf_plan *p, struct skf_err *e);
int skf_plan_hostname(struct skf_plan *p, struct skf_err *e);
int skf_plan_image(struct skf_plan *p, struct skf_err *e);
int skf_plan_command(struct skf_plan *p, struct skf_err *e);
int skf_plan_user(struct skf_plan *p, struct skf_err *e);
int skf_plan_workdir(struct skf_plan *p, struct skf_err *e);
int skf_plan_stop(struct skf_plan *p, struct skf_err *e);
int skf_plan_labels(struct skf_plan *p, struct skf_err *e);
int skf_plan_mounts(struct skf_plan *p, struct skf_err *e);

/* --- quota.c --- */
/* rw/ and work/ below dir, still empty, under one project with the plan's limits. UNSUPPORTED says what the file system lacks. */
int skf_plan_make_quota(struct skf_plan *p, int dir, struct skf_err *e);
