/* engine/checkpoint.h -- containers saved to files and gone on with, by criu(8). The part of the engine's interface (engine.h) that belongs to
 * checkpoints; the same rules hold. A checkpoint is containers/<id>/checkpoints/<name>/, or DIR/<name>/ with a directory of the caller's;
 * it holds criu's image files. */
#pragma once
#include "engine/engine.h"

#define SKF_CHECKPOINT_DEFAULT  "checkpoint" /* podman's, which has one of a container */
#define SKF_CHECKPOINT_PREVIOUS "pre-checkpoint"

struct skf_checkpoint_req {
	struct skf_reqhdr h;
	const char *container, *name /* NULL: SKF_CHECKPOINT_DEFAULT */, *dir /* absolute; NULL: the container's */;
	bool leave_running, tcp_established, file_locks, ext_unix, keep_logs;
	bool pre;           /* memory only, the container runs on: makes a later checkpoint short */
	bool with_previous; /* only what has changed since `pre` */
	bool replace;       /* an older one of that name; else CONFLICT */
};
/* CONFLICT (not running; a name in use), UNSUPPORTED (shares namespaces of others, no criu). A failure leaves the container running.
 * ret_us: how long the container's processes were worked on. */
int skf_engine_checkpoint(struct skf_engine *g, const struct skf_checkpoint_req *q, int64_t *ret_us, struct skf_err *e);
struct skf_restore_opts { /* of skf_start_req: a start that goes on where the checkpoint was made */
	const char *name, *dir; /* as above */
	bool tcp_established, file_locks, ext_unix;
};
/* Names, sorted. */
int skf_engine_checkpoints(struct skf_engine *g, const char *container, const char *dir, struct skf_arena *a, struct skf_strv *ret, struct skf_err *e);
int skf_engine_checkpoint_rm(struct skf_engine *g, const char *container, const char *dir, const char *name, struct skf_err *e);

/* --- for engine/start_again.c --- */
struct skf_ctrconf;
/* The options of a RESTORE request. NOTFOUND when there is no such checkpoint. */
int skf_restore_options(struct skf_engine *g, const char *id, const struct skf_ctrconf *c, const struct skf_restore_opts *o, struct skf_buf *ret,
			struct skf_err *e);
