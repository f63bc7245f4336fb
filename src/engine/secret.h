/* engine/secret.h -- secrets as objects: secrets/<name>/{secret.json,data}; driver "file". The part of the
 * engine's interface (engine.h) that belongs to secrets; the same rules hold. What is in a secret leaves the
 * engine only through skf_engine_secret_data and in containers that ask for it. */
#pragma once
#include "engine/engine.h"

#define SKF_SECRET_ID_LEN 25 /* hex digits, as podman */
struct skf_secret {
	char *name, *id, *created, *updated; /* RFC 3339 */
	struct skf_kvs labels;
};
struct skf_secret_create_req {
	struct skf_reqhdr h;
	const char *name, *driver;           /* NULL: file */
	struct skf_strv driver_opts, labels; /* KEY=VALUE */
	const char *data;                    /* borrowed */
	size_t n;
	bool replace, ignore; /* one of that name is replaced; is kept and is no error */
};
/* CONFLICT "secret name in use", INVALID, LIMIT (1 to SKF_MAX_SECRET_BYTES bytes), UNSUPPORTED (driver). */
int skf_engine_secret_create(struct skf_engine *g, const struct skf_secret_create_req *q,
			     char ret_id[SKF_SECRET_ID_LEN + 1], struct skf_err *e);
/* By name. */
int skf_engine_secrets(struct skf_engine *g, struct skf_arena *a, struct skf_jarr *ret /* skf_secret */,
		       struct skf_err *e);
/* Name, id or unique id prefix. NOTFOUND in podman's words. */
int skf_engine_secret_get(struct skf_engine *g, const char *word, struct skf_arena *a,
			  struct skf_secret **ret, struct skf_err *e);
/* What is in it: appended to ret. */
int skf_engine_secret_data(struct skf_engine *g, const struct skf_secret *s, struct skf_buf *ret,
			   struct skf_err *e);
/* docker's and podman's document; with_data: what is in it, too. */
int skf_engine_secret_inspect(struct skf_engine *g, const char *word, bool with_data, struct skf_jw *w,
			      struct skf_err *e);
/* Containers that have it keep what they have. */
int skf_engine_secret_rm(struct skf_engine *g, const char *word, char ret_id[SKF_SECRET_ID_LEN + 1],
			 struct skf_err *e);
