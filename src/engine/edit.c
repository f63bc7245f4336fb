/* engine/edit.c -- changing the configuration of a container that exists: config.json is read as a document,
 * edited, and written beside and renamed, so that members that this version does not know stay
 * (docs/formats.md). The caller holds the container's lock. */
#include "engine/edit_int.h"
#include <json-c/json.h>
#include <string.h>

static int parse(const char *text, size_t n, struct json_object **ret)
{
	struct json_tokener *t = json_tokener_new_ex(SKF_MAX_JSON_DEPTH);

	if (!t)
		return -ENOMEM;
	json_tokener_set_flags(t, JSON_TOKENER_STRICT);
	*ret = json_tokener_parse_ex(t, text, (int)n);
	json_tokener_free(t);
	return *ret && json_object_is_type(*ret, json_type_object) ? 0 : -EBADMSG;
}

int skf_edit_config(struct skf_engine *g, const char *id,
		    int (*edit)(struct json_object *root, struct json_object *skiff, void *arg), void *arg,
		    struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_SPEC_BYTES);
	struct json_object *root = NULL, *skiff = NULL;
	SKF_AUTO_FD int dir = -EBADF;
	const char *text;
	int r;

	if (skf_ctr_load_text(g, id, &b, e) < 0 || skf_ctr_open_dir(g, id, &dir, e) < 0)
		return -1;
	r = parse(skf_buf_cstr(&b), b.len, &root);
	if (r == 0 && (!json_object_object_get_ex(root, "skiff", &skiff) ||
		       !json_object_is_type(skiff, json_type_object)))
		r = -EBADMSG;
	if (r == 0)
		r = edit(root, skiff, arg);
	text = r == 0 ? json_object_to_json_string_ext(root, JSON_C_TO_STRING_PLAIN |
								     JSON_C_TO_STRING_NOSLASHESCAPE)
		      : NULL;
	if (r == 0)
		r = text ? skf_write_atomic_at(dir, "config.json", text, strlen(text), 0600, SKF_SYNC)
			 : -ENOMEM;
	json_object_put(root);
	return r < 0 ? skf_fail_sys(e, r, "change '%s/containers/%s/config.json'", g->root, id) : 0;
}

int skf_edit_set(struct json_object *o, const char *key, struct json_object *v)
{
	if (v && json_object_object_add(o, key, v) == 0)
		return 0;
	json_object_put(v);
	return -ENOMEM;
}

int skf_edit_object(struct json_object *o, const char *key, struct json_object **ret)
{
	if (json_object_object_get_ex(o, key, ret) && json_object_is_type(*ret, json_type_object))
		return 0;
	*ret = json_object_new_object();
	return skf_edit_set(o, key, *ret);
}
