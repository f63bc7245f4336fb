/* engine/list_int.h -- lists of platforms (image indexes) that are being made: the document that is kept of
 * one. */
#pragma once
#include "base/json.h"
#include "engine/engine_int.h"

struct skf_list_entry {
	char *media_type, *digest, *artifact_type;
	uint64_t size;
	struct skf_list_platform {
		char *os, *arch, *variant, *os_version;
		struct skf_strv os_features, features;
	} platform;
	struct skf_kvs annotations;
	char *from; /* where its bytes come from: "docker://NAME" or "skiff:NAME" */
};
struct skf_list {
	uint32_t v, min;
	char *name; /* full */
	struct skf_kvs annotations;
	struct skf_jarr manifests; /* struct skf_list_entry */
};
/* Decodes the file's text. */
int skf_list_parse(const char *text, size_t n, struct skf_arena *a, struct skf_list **ret,
		   struct skf_err *e);
/* The entries of what skiff-image says of an image (registry/wire.h DESCRIBE). */
int skf_list_parse_entries(const char *text, size_t n, struct skf_arena *a, struct skf_jarr *ret,
			   struct skf_err *e);
/* The file. */
void skf_list_write(struct skf_jw *w, const struct skf_list *l);
/* The index that the list stands for: docker's list when all entries are docker's, else OCI's. */
void skf_list_write_index(struct skf_jw *w, const struct skf_list *l);
/* v, with k set; LIMIT of memory only. */
int skf_list_set(struct skf_arena *a, struct skf_kvs *v, const char *k, const char *value);
/* "KEY=VALUE" each. INVALID. */
int skf_list_annotate_kvs(struct skf_arena *a, struct skf_kvs *m, const struct skf_strv *words,
			  struct skf_err *e);
/* --- copy.c --- */
/* Descriptors of an image as skiff-image sees it, as JSON. */
int skf_copy_describe(struct skf_engine *g, const struct skf_copy_place *p, bool all, const char *platform,
		      struct skf_buf *ret, struct skf_err *e);
/* An artifact of files into the OCI layout that dest is. subject: kind REGISTRY, name NULL none. */
int skf_copy_make_artifact(struct skf_engine *g, const struct skf_copy_place *dest, const char *type,
			   const struct skf_copy_place *subject, const struct skf_strv *annotations,
			   const struct skf_artifact_file *files, size_t n, struct skf_digest *ret,
			   struct skf_err *e);
