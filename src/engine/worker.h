/* engine/worker.h -- what the verbs that need skiff-image share: one process per request (registry/wire.h).
 */
#pragma once
#include "base/cleanup.h"
#include "base/record.h"
#include "engine/engine_int.h"
#include "registry/wire.h"

struct skf_worker {
	int sock, pidfd;
	pid_t pid;
};
/* Starts skiff-image. SYSTEM, NOTFOUND. */
int skf_worker_start(struct skf_engine *g, struct skf_worker *w, struct skf_err *e);
/* Closes the socket; the worker ends at that, or is killed, because what it was doing can be repeated. */
void skf_worker_end(struct skf_worker *w);
int skf_worker_send(struct skf_worker *w, const struct skf_buf *b, struct skf_err *e);
/* The next record. Blocks; TIMEOUT "cancelled" when cancel_fd is readable; UNAVAILABLE when the worker has
 * gone. */
int skf_worker_recv(struct skf_worker *w, int cancel_fd, struct skf_buf *b, struct skf_recr *r,
		    struct skf_err *e);

/* Progress as it comes: LAYERS once (v is malloc'ed, the caller's), then PROGRESS. */
struct skf_transfer {
	struct skf_progress_layer *v;
	size_t n;
};
int skf_worker_take_layers(struct skf_recr *r, struct skf_transfer *t, struct skf_err *e);
void skf_worker_take_progress(struct skf_recr *r, struct skf_transfer *t);
/* FAILED into e; always -1. */
int skf_worker_take_failure(struct skf_recr *r, struct skf_err *e);
/* docker_config, certs_dir and flags, as the requests have them. */
void skf_worker_put_how(struct skf_rec *r, const struct skf_registry_how *how);
/* Its flags and `more`, and the token. */
void skf_worker_put_flags(struct skf_rec *r, const struct skf_registry_how *how, uint32_t more);
/* A request that is answered by text: all TEXT records up to DONE into text (NULL: dropped). */
int skf_worker_text(struct skf_engine *g, const struct skf_buf *request, int cancel_fd, struct skf_buf *text,
		    struct skf_err *e);
