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
#include <pthread.h>

struct image_peer {
	int sock;      /* SKF_IMG_FD */
	int cancel_fd; /* eventfd: readable once the peer has gone */
	const struct skf_log *log;
	struct skf_fds *fds; /* that came with the request; closed by main */
};
/* Sends one record; a peer that has gone is no error (the worker is about to be cancelled). */
void image_send(const struct image_peer *p, const struct skf_buf *b);
/* From any thread: every wait and transfer of this process ends with UNAVAILABLE "cancelled". For good: a
 * process serves one request. */
void image_cancel(const struct image_peer *p);

/* How a registry is reached. NULL and "" mean the default: docker's and podman's files, certs.d. */
struct image_how {
	const char *docker_config, *certs_dir;
	const char *auth_file;                   /* in place of both files */
	const char *user, *password;             /* these and no others */
	uint32_t flags;                          /* SKF_IMG_PLAIN_HTTP ... */
	uint32_t retries, retry_ms;              /* with SKF_IMG_RETRY */
	bool bound;                              /* user and password are for token_host alone */
	const char *token;                       /* bearer token, for token_host alone (T51); NULL */
	char token_host[SKF_MAX_REPO_BYTES + 1]; /* "": nothing was bound to a host, and goes nowhere */
};
/* docker_config, certs_dir, flags and the token of a request. */
void image_how_get(struct image_how *h, struct skf_recr *q);
/* Flags, and the token when they say that there is one. */
void image_how_flags(struct image_how *h, struct skf_recr *q);
/* The token, and user and password that came with the flags, are for the registry of this reference. */
int image_how_bind(struct image_how *h, const char *reference, struct skf_err *e);

struct image_pull {
	const char *root, *reference, *platform;
	struct image_how how;
};
struct image_done {
	struct skf_digest top, manifest, config;
	bool up_to_date;
};
/* The whole of a pull; progress goes to the peer. On failure nothing but collectable garbage is left. */
int image_pull_run(const struct image_peer *peer, const struct image_pull *q, struct image_done *ret,
		   struct skf_err *e);
/* A message on its way to a terminal: control bytes become '?'. */
void image_printable(struct skf_err *e);

/* --- image_remote.c --- */
/* Podman's file of credentials: REGISTRY_AUTH_FILE, else the user's auth.json; NULL. */
const char *image_auth_file(char *path, size_t size);
struct skf_registry;
/* Where registries.conf says that the repository really is, which ref becomes: for what is written, listed
 * or removed there, without mirrors. */
int image_registry_open_at(const struct image_peer *peer, struct skf_ref *ref, const struct image_how *how,
			   struct skf_registry **ret, struct skf_err *e);
/* Credentials, certificates, mirrors and flags as the user has them. repo: for credentials of one
 * repository, or NULL. */
int image_registry_open(const struct image_peer *peer, const char *host, const char *repo,
			const struct image_how *how, struct skf_registry **ret, struct skf_err *e);
/* --- image_through.c: a blob of a registry, read like a file --- */
struct skf_ref;
struct image_through;
/* A thread receives into a ring of 1 MiB from the first read on. All arguments but desc are borrowed. NULL:
 * no memory. */
struct image_through *image_through_new(const struct image_peer *peer, const struct skf_ref *from,
					const struct image_how *how, const struct skf_desc *desc);
/* At most n of the bytes at off; 0 < return, or -1. Going anywhere but on costs a new request. One thread at
 * a time. */
int64_t image_through_read(struct image_through *t, uint64_t off, void *p, size_t n, struct skf_err *e);
void image_through_free(struct image_through *t); /* NULL is fine */
/* DONE without digests. */
void image_put_done(struct skf_buf *answer);
/* Text to the peer, in TEXT records. */
void image_send_text(const struct image_peer *peer, const char *p, size_t n);
/* --- image_repack.c --- */
/* The layer's tar again, compressed as `media` says, in a file without a name. UNSUPPORTED when it would be
 * another tar. */
int image_repack_layer(struct skf_store *s, const struct skf_digest *diff_id, enum skf_media media,
		       int *ret_fd, struct skf_digest *ret_digest, uint64_t *ret_size, struct skf_err *e);
struct image_renamed {
	struct skf_digest old, now;
	uint64_t size;
	const char *type; /* the media type that it has now; NULL: as it was */
};
/* Layers of a manifest get other digests and sizes; all else stays. */
int image_manifest_rename(struct skf_buf *manifest, const struct image_renamed *v, size_t n,
			  struct skf_err *e);

/* The watching thread of a request: ends the work when the peer has gone, and calls progress ten times a
 * second. */
struct image_watch {
	const struct image_peer *peer;
	void (*progress)(void *arg);
	void *arg;
	pthread_t thread;
	int stop_fd;
};
int image_watch_start(struct image_watch *w, struct skf_err *e);
void image_watch_stop(struct image_watch *w); /* a zeroed struct with stop_fd < 0 is fine */
/* Requests: decode q, work, write DONE into answer. */
int image_serve_verify(const struct image_peer *peer, struct skf_recr *q, struct skf_buf *answer,
		       struct skf_err *e);
int image_serve_push(const struct image_peer *peer, struct skf_recr *q, struct skf_buf *answer,
		     struct skf_err *e);
int image_serve_remote(const struct image_peer *peer, struct skf_recr *q, struct skf_buf *answer,
		       struct skf_err *e);
int image_serve_copy(const struct image_peer *peer, struct skf_recr *q, struct skf_buf *answer,
		     struct skf_err *e);
int image_serve_login(const struct image_peer *peer, struct skf_recr *q, struct skf_buf *answer,
		      struct skf_err *e);
int image_serve_logout(const struct image_peer *peer, struct skf_recr *q, struct skf_buf *answer,
		       struct skf_err *e);

/* --- image_layers.c: fetch and unpack the missing layers of one image in parallel --- */
struct image_layer_job {
	struct skf_desc desc;
	struct skf_digest diff_id;
	bool present;      /* nothing to do */
	uint64_t received; /* atomic: compressed bytes handed to the unpacker */
	uint32_t phase;    /* atomic: registry/wire.h */
};
/* Marks usable layers as present (layers of an earlier boot that were never synced are verified first). */
int image_layers_check(struct skf_store *s, struct image_layer_job *j, size_t n, struct skf_err *e);
int image_layers_fetch(const struct image_peer *peer, struct skf_store *s, struct skf_registry *r,
		       const struct skf_ref *ref, struct image_layer_job *j, size_t n, struct skf_err *e);
