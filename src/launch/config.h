/* launch/config.h -- the member "skiff" of a container's config.json (docs/formats.md): plain data shared by the engine (writes) and
 * launch (reads). Unknown members are kept by whoever rewrites the file. */
#pragma once
#include "base/json.h"
#include "oci/digest.h"

struct skf_ctrconf {
	char *name, *image;           /* image: full reference as resolved */
	char *image_id, *manifest;    /* digests */
	char *created;                /* RFC 3339 */
	struct skf_strv layers;       /* diff-ids, lowest first */
	struct skf_strv command;      /* entrypoint and arguments */
	bool tty, open_stdin, stdin_once, attach_stdin;
	int32_t stop_signal;          /* number */
	int32_t stop_timeout;         /* seconds */
	bool remove, readonly;
	char *network;                /* "none", "host" */
	char *log_driver;             /* "json-file", "none" */
	uint64_t log_max_size;        /* bytes, 0: no rotation */
	uint32_t log_max_file;
	char *request;                /* raw JSON, NULL when absent */
};
extern const struct skf_jtable skf_ctrconf_table;   /* of the member */
/* Finds and decodes the member in a whole config.json. CORRUPT when it is missing or wrong. */
int skf_ctrconf_parse(const char *config_json, size_t n, struct skf_arena *a, struct skf_ctrconf **ret, struct skf_err *e);
/* Writes "skiff": {...} as a member of the object that w is in. */
void skf_ctrconf_write(struct skf_jw *w, const struct skf_ctrconf *c);
