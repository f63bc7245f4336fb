/* registry/upload.h -- one blob into a repository; what push.c runs in several threads. */
#pragma once
#include "registry/registry.h"

/* What all uploads of one push share. */
struct skf_upload_run {
	const struct skf_ref *ref; /* the repository */
	uint64_t chunk;            /* bytes of a PATCH; 0: one PUT */
	bool stop;                 /* atomic: end with "cancelled" */
};
/* The upload of skf_registry_push_blobs for one blob; calls p->src.done. Blocks. */
int skf_upload_blob(const struct skf_upload_run *u, struct skf_registry *r, struct skf_blob_put *p,
		    struct skf_err *e);
/* HEAD: 1 the repository has the blob, 0 not. */
int skf_upload_exists(const struct skf_upload_run *u, struct skf_registry *r, struct skf_blob_put *p,
		      struct skf_err *e);
