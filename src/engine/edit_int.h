/* engine/edit_int.h -- config.json of a container as a document that is edited (edit.c). */
#pragma once
#include "engine/engine_int.h"

struct json_object;
/* edit: 0 or -errno; root is the whole document, skiff our own member. Nothing is written when it fails. */
int skf_edit_config(struct skf_engine *g, const char *id,
		    int (*edit)(struct json_object *root, struct json_object *skiff, void *arg), void *arg,
		    struct skf_err *e);
/* o[key] = v; consumes v, which may be NULL (no memory). 0 or -ENOMEM. */
int skf_edit_set(struct json_object *o, const char *key, struct json_object *v);
/* The object o[key], made when it is missing. */
int skf_edit_object(struct json_object *o, const char *key, struct json_object **ret);
