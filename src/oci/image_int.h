/* oci/image_int.h -- shared by the decoders of image documents. */
#pragma once
#include "oci/image.h"

/* Decoders; dst in brackets. */
int skf_image_j_digest(struct skf_jctx *, struct json_object *, void *,
		       const void *); /* [struct skf_digest] */
int skf_image_j_short(struct skf_jctx *, struct json_object *, void *,
		      const void *); /* [char[]] arg: const size_t, its size */
/* A kind of document. keys: those that we read, ends with NULL; a key that differs from one of them only in
 * case is refused, because readers that ignore case (Go's) would take it for that key (T48). */
struct skf_image_doc {
	const char *name;
	size_t max_bytes;
	const char *const *keys;
};
int skf_image_decode(const struct skf_image_doc *d, const char *p, size_t n, const struct skf_jtable *t,
		     struct skf_arena *a, void **ret, struct skf_err *e);
/* A media type without parameters and surrounding blanks. */
struct skf_str skf_media_base(const char *s);
