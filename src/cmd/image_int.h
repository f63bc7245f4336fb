/* cmd/image_int.h -- what the files of skiff-image share. */
#pragma once
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/record.h"
#include "oci/image.h"
#include "registry/wire.h"
#include "store/store.h"

struct image_peer {
	int sock;       /* SKF_IMG_FD */
	int cancel_fd;  /* eventfd: readable once the peer has gone */
	const struct skf_log *log;
};
/* Sends one record; a peer that has gone is no error (the worker is about to be cancelled). */
void image_send(const struct image_peer *p, const struct skf_buf *b);
/* From any thread: every wait and transfer of this process ends with UNAVAILABLE "cancelled". For good: a process serves one request. */
void image_cancel(const struct image_peer *p);

struct image_pull {
	const char *root, *reference, *platform, *docker_config, *certs_dir;
	uint32_t flags; /* SKF_IMG_PLAIN_HTTP ... */
};
struct image_done {
	struct skf_digest top, manifest, config;
	bool up_to_date;
};
/* The whole of a pull; progress goes to the peer. On failure nothing but collectable garbage is left. */
int image_pull_run(const struct image_peer *peer, const struct image_pull *q, struct image_done *ret, struct skf_err *e);
/* Re-hashes one layer or all; BAD records go to the peer. */
int image_verify_run(const struct image_peer *peer, const char *root, const char *diff_id, struct skf_err *e);

/* --- image_layers.c: fetch and unpack the missing layers of one image in parallel --- */
struct image_layer_job {
	struct skf_desc desc;
	struct skf_digest diff_id;
	bool present;            /* nothing to do */
	uint64_t received;       /* atomic: compressed bytes handed to the unpacker */
	uint32_t phase;          /* atomic: registry/wire.h */
};
struct skf_registry;
/* Marks usable layers as present (layers of an earlier boot that were never synced are verified first). */
int image_layers_check(struct skf_store *s, struct image_layer_job *j, size_t n, struct skf_err *e);
int image_layers_fetch(const struct image_peer *peer, struct skf_store *s, struct skf_registry *r, const struct skf_ref *ref,
                       struct image_layer_job *j, size_t n, struct skf_err *e);
