/* engine/checkpoint.h -- containers saved to files and gone on with, by criu(8). The part of the engine's
 * interface (engine.h) that belongs to checkpoints; the same rules hold. A checkpoint is
 * containers/<id>/checkpoints/<name>/, or DIR/<name>/ with a directory of the caller's; it holds criu's
 * image files. */
#pragma once
#include "engine/engine.h"

#define SKF_CHECKPOINTS_DIR     "checkpoints" /* of a container's directory */
#define SKF_CHECKPOINT_DEFAULT  "checkpoint"  /* podman's, which has one of a container */
#define SKF_CHECKPOINT_PREVIOUS "pre-checkpoint"

enum skf_checkpoint_squeeze { SKF_CHECKPOINT_ZSTD, SKF_CHECKPOINT_GZIP, SKF_CHECKPOINT_PLAIN };
struct skf_checkpoint_req {
	struct skf_reqhdr h;
	const char *container, *name /* NULL: SKF_CHECKPOINT_DEFAULT */,
		*dir /* absolute; NULL: the container's */;
	bool leave_running, tcp_established, file_locks, ext_unix, keep_logs;
	bool pre;           /* memory only, the container runs on: makes a later checkpoint short */
	bool with_previous; /* only what has changed since `pre` */
	bool replace;       /* an older one of that name; else CONFLICT */
	/* --- and as an archive, or as an image, for a restore elsewhere --- */
	bool export;
	int export_fd; /* borrowed: the archive goes there */
	enum skf_checkpoint_squeeze squeeze;
	const char *image;                  /* reference of the image that is made; NULL: none */
	bool ignore_rootfs, ignore_volumes; /* leave out of it */
};
struct skf_criu_stats { /* what criu says of its work; times in microseconds */
	bool known;
	uint64_t freezing_time, frozen_time, memdump_time, memwrite_time, pages_scanned,
		pages_written;                               /* of a checkpoint */
	uint64_t forking_time, restore_time, pages_restored; /* of a restore */
};
struct skf_checkpoint_ret {
	int64_t us; /* how long the container's processes were worked on */
	struct skf_criu_stats stats;
};
/* CONFLICT (not running; a name in use), UNSUPPORTED (shares namespaces of others, no criu). A failure of
 * criu leaves the container running. */
int skf_engine_checkpoint(struct skf_engine *g, const struct skf_checkpoint_req *q,
			  struct skf_checkpoint_ret *ret, struct skf_err *e);
struct skf_restore_opts {       /* of skf_start_req: a start that goes on where the checkpoint was made */
	const char *name, *dir; /* as above */
	bool tcp_established, file_locks, ext_unix;
};
struct skf_restore_import_req { /* a new container that goes on where one of an archive was */
	struct skf_reqhdr h;
	int fd;                  /* the archive, borrowed; -1: an image */
	const char *image;       /* made by --create-image; with fd < 0 */
	const char *name;        /* NULL: the old one's */
	struct skf_strv publish; /* in place of the old one's ports; none: as they were */
	bool ignore_rootfs, ignore_volumes, ignore_ip, ignore_mac, tcp_established, file_locks;
	const char *docker_config; /* for its image, which is pulled when it is not here */
};
/* The archive says what is run, and how: it needs the trust of a command line, and criu reads its memory
 * images as root. CONFLICT (the name, or a volume, is there), NOTFOUND, INVALID. A failure leaves nothing.
 * h: as of skf_engine_start. */
int skf_engine_restore_import(struct skf_engine *g, const struct skf_restore_import_req *q,
			      const struct skf_progress *p, struct skf_run_handle *h, struct skf_err *e);
/* Of the last restore of a container's own checkpoint `name`, which is still there. */
void skf_engine_restore_stats(struct skf_engine *g, const char *id, const char *name,
			      struct skf_criu_stats *ret);
/* Names, sorted. */
int skf_engine_checkpoints(struct skf_engine *g, const char *container, const char *dir, struct skf_arena *a,
			   struct skf_strv *ret, struct skf_err *e);
int skf_engine_checkpoint_rm(struct skf_engine *g, const char *container, const char *dir, const char *name,
			     struct skf_err *e);

/* --- for engine/start_again.c --- */
struct skf_ctrconf;
/* The options of a RESTORE request. NOTFOUND when there is no such checkpoint. */
int skf_restore_options(struct skf_engine *g, const char *id, const struct skf_ctrconf *c,
			const struct skf_restore_opts *o, struct skf_buf *ret, struct skf_err *e);
