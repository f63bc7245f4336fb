/* engine/archive_int.h -- what the verbs share that make, take in and give out images. */
#pragma once
#include "engine/worker.h"
#include "oci/image.h"

/* One request to skiff-image with a borrowed fd (-1 none), to its end. TEXT records go to text, the config
 * digest of DONE to ret_config; both may be NULL. */
int skf_archive_call(struct skf_engine *g, const struct skf_buf *request, int fd, int cancel_fd,
		     struct skf_buf *text, struct skf_digest *ret_config, struct skf_err *e);
/* What can be read from one fd (both borrowed) to the other, compressed by how (enum skf_img_squeeze; AS_IS:
 * decompressed). */
int skf_archive_squeeze(struct skf_engine *g, uint32_t how, int from, int to, struct skf_err *e);
/* The same for a request whose first fd is a stream that this process writes: fill(arg, fd) does. out_fd:
 * its second fd, borrowed; -1 none. */
int skf_archive_feed(struct skf_engine *g, const struct skf_buf *request, int out_fd,
		     int (*fill)(void *arg, int fd, struct skf_err *e), void *arg,
		     struct skf_digest *ret_config, struct skf_err *e);
void skf_image_event(struct skf_engine *g, const char *action, const char *id, const char *name);

/* --- history.c: what the last step of a config's history says of itself (`commit -m`), "" none; in the
 * arena --- */
int skf_history_comment(const char *config, size_t len, struct skf_arena *a, const char **ret,
			struct skf_err *e);

/* --- imgconf.c: the config object of an image, changed --- */
struct skf_imgconf {
	char *user, *working_dir, *stop_signal, *healthcheck_raw;
	struct skf_strv env, entrypoint, cmd, ports, volumes, shell, onbuild;
	struct skf_kvs labels;
};
int skf_imgconf_from(struct skf_imgconf *c, const struct skf_image_config *x, struct skf_arena *a,
		     struct skf_err *e);
/* Dockerfile instructions: CMD ENTRYPOINT ENV EXPOSE LABEL ONBUILD STOPSIGNAL USER VOLUME WORKDIR. INVALID
 * names the one that is wrong. */
int skf_imgconf_changes(struct skf_imgconf *c, const struct skf_strv *changes, struct skf_arena *a,
			struct skf_err *e);
int skf_imgconf_env(struct skf_imgconf *c, const char *name_value, struct skf_arena *a, struct skf_err *e);
int skf_imgconf_label(struct skf_imgconf *c, const char *k, const char *v, struct skf_arena *a,
		      struct skf_err *e);
void skf_imgconf_write(const struct skf_imgconf *c, struct skf_buf *b);
/* rmi.c: skf_engine_rmi that says how many bytes the collection freed. */
int skf_image_remove(struct skf_engine *g, const struct skf_rmi_req *q, struct skf_arena *a,
		     struct skf_strv *untagged, struct skf_strv *deleted, uint64_t *ret_bytes,
		     struct skf_err *e);
