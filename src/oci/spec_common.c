/* oci/spec_common.c -- decoders that several objects of config.json share. Pure; nothing blocks. */
#include "oci/spec_int.h"
#include "base/buf.h"
#include "base/limits.h"
#include <string.h>

int skf_spec_j_nomem(struct skf_jctx *c)
{
	return skf_j_fail(c, SKF_ELIMIT,
			  "the document needs more memory than one document may use; make it smaller");
}

static const char *const nothing[] = {"null", "{}", "[]", "\"\"", "false"};

int skf_spec_j_refuse(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	char *text = NULL;

	if (skf_j_raw(c, v, &text, NULL) < 0)
		return -1;
	for (size_t i = 0; i < SKF_ARRAY_LEN(nothing); i++) {
		if (skf_streq(text, nothing[i]))
			return 0;
	}
	return skf_j_unsupported(c, v, dst, arg);
}

/* (uid_t)-1 means "leave it as it is" to setresuid(2) and fchown(2): a process asked to run as it would stay
 * root. */
int skf_spec_j_id(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	uint32_t id;

	(void)arg;
	if (skf_j_u32(c, v, &id, NULL) < 0)
		return -1;
	if (id == UINT32_MAX)
		return skf_j_fail(c, SKF_EINVALID,
				  "expected an id below 4294967295, which means 'no change' to the kernel");
	*(uint32_t *)dst = id;
	return 0;
}

int skf_spec_j_char(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	const char *allowed = arg;
	char *s = NULL;

	if (skf_j_str(c, v, &s, NULL) < 0)
		return -1;
	if (strlen(s) != 1 || !strchr(allowed, s[0]))
		return skf_j_fail(c, SKF_EINVALID, "expected one letter of '%s', found '%.32s'", allowed, s);
	*(char *)dst = s[0];
	return 0;
}

struct strings_ctx {
	const struct skf_strv *list;
	int (*check)(struct skf_jctx *c, const char *s);
};

static int strings_elem(struct skf_jctx *c, size_t i, struct json_object *v, void *user)
{
	const struct strings_ctx *x = user;

	(void)v;
	return x->check ? x->check(c, x->list->v[i]) : 0;
}

int skf_spec_j_strings(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	const struct skf_spec_strings *a = arg;
	struct strings_ctx x = {.list = dst, .check = a->check};

	if (skf_j_strv(c, v, dst, NULL) < 0)
		return -1;
	return skf_j_each_elem(c, v, a->max, strings_elem, &x);
}

static int path_check(struct skf_jctx *c, const char *s)
{
	if (s[0] != '/')
		return skf_j_fail(c, SKF_EINVALID, "expected an absolute path, found '%.200s'", s);
	return 0;
}

int skf_spec_j_paths(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	static const struct skf_spec_strings rule = {path_check, SPEC_MAX_LIST};

	(void)arg;
	return skf_spec_j_strings(c, v, dst, &rule);
}

static int idmap_check(struct skf_jctx *c, void *obj)
{
	const struct skf_idmap *m = obj;

	if (m->size == 0)
		return skf_j_fail(c, SKF_EINVALID,
				  "a mapping of size 0 maps nothing; expected a size of at least 1");
	if ((uint64_t)m->container_id + m->size > UINT32_MAX || (uint64_t)m->host_id + m->size > UINT32_MAX)
		return skf_j_fail(c, SKF_EINVALID,
				  "the mapping goes past the last id 4294967294; make its size smaller");
	return 0;
}

static const struct skf_jfield idmap_f[] = {
	SPEC_REQ(struct skf_idmap, container_id, "containerID", skf_j_u32, NULL),
	SPEC_REQ(struct skf_idmap, host_id, "hostID", skf_j_u32, NULL),
	SPEC_REQ(struct skf_idmap, size, "size", skf_j_u32, NULL),
	SKF_J_END,
};
static const struct skf_jtable idmap_table = {sizeof(struct skf_idmap), idmap_f, .check = idmap_check};
const struct skf_jarr_arg skf_spec_idmap_arr = {&idmap_table, SKF_MAX_IDMAPS};

const char *skf_spec_enum_name(const struct skf_jenum *t, int value)
{
	for (; t->name; t++) {
		if (t->value == value)
			return t->name;
	}
	return NULL;
}
