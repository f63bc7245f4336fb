/* engine/checkpoint_int.h -- archives of checkpoints: what checkpoint_export.c writes and
 * checkpoint_import.c reads (docs/formats.md, "Checkpoint archive"). */
#pragma once
#include "engine/checkpoint.h"
#include "engine/engine_int.h"

#define SKF_CKA_HEAD        "config.dump"
#define SKF_CKA_SPEC        "spec.dump"
#define SKF_CKA_NETWORK     "network.dump"
#define SKF_CKA_CHANGES     "rootfs-diff.tar"
#define SKF_CKA_IMAGES      "checkpoint"
#define SKF_CKA_VOLUMES     "volumes"
#define SKF_CKA_MAX_VOLUMES 1000u

struct skf_cka_volume {
	char *name, *target;
	bool anonymous;
};
struct skf_cka_head { /* config.dump */
	char *id, *name, *image, *image_id, *created, *checkpointed, *version;
	struct skf_jarr volumes; /* skf_cka_volume; the content of number N is volumes/N.tar */
	bool changes;            /* rootfs-diff.tar is there */
};
void skf_cka_head_write(struct skf_jw *w, const struct skf_cka_head *h);
/* INVALID, LIMIT: it came with an archive. */
int skf_cka_head_parse(const char *text, size_t n, struct skf_arena *a, struct skf_cka_head **ret,
		       struct skf_err *e);

struct skf_cka_export {
	const struct skf_checkpoint_req *q;
	const char *id;
	int place;          /* the directory of checkpoints */
	const char *images; /* below it: criu's */
};
/* Writes the archive, or makes the image, that q asks for. The container's lock is held. */
int skf_cka_export(struct skf_engine *g, const struct skf_cka_export *x, struct skf_err *e);

/* stats-dump, stats-restore of criu in directory dir. False: not there, or not understood. */
bool skf_criu_stats_parse(const void *bytes, size_t n, struct skf_criu_stats *ret);
bool skf_criu_stats_read(int dir, const char *name, struct skf_criu_stats *ret);
