/* oci/spec_hooks.c -- the `hooks` object of config.json. Pure; nothing blocks. */
#include "oci/spec_int.h"
#include "base/limits.h"

static int dec_timeout(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	int32_t s;

	(void)arg;
	if (skf_j_i32(c, v, &s, NULL) < 0)
		return -1;
	if (s <= 0)
		return skf_j_fail(
			c, SKF_EINVALID,
			"expected a number of seconds above 0, found %d; leave it out for the default", s);
	*(int32_t *)dst = s;
	return 0;
}

static const struct skf_spec_strings args_rule = {NULL, SKF_MAX_ARGS};
static const struct skf_spec_strings env_rule = {NULL, SKF_MAX_ENV};

static const struct skf_jfield hook_f[] = {
	SPEC_REQ(struct skf_spec_hook, path, "path", skf_j_abspath, NULL),
	SPEC_OPT(struct skf_spec_hook, args, "args", skf_spec_j_strings, &args_rule),
	SPEC_OPT(struct skf_spec_hook, env, "env", skf_spec_j_strings, &env_rule),
	SPEC_OPTP(struct skf_spec_hook, timeout, has_timeout, "timeout", dec_timeout, NULL),
	SKF_J_END,
};
static const struct skf_jtable hook_table = {sizeof(struct skf_spec_hook), hook_f};
static const struct skf_jarr_arg hook_arr = {&hook_table, SPEC_MAX_HOOKS};

static const struct skf_jfield hooks_f[] = {
	SPEC_OPT(struct skf_spec_hooks, prestart, "prestart", skf_j_arr, &hook_arr),
	SPEC_OPT(struct skf_spec_hooks, create_runtime, "createRuntime", skf_j_arr, &hook_arr),
	SPEC_OPT(struct skf_spec_hooks, create_container, "createContainer", skf_j_arr, &hook_arr),
	SPEC_OPT(struct skf_spec_hooks, start_container, "startContainer", skf_j_arr, &hook_arr),
	SPEC_OPT(struct skf_spec_hooks, poststart, "poststart", skf_j_arr, &hook_arr),
	SPEC_OPT(struct skf_spec_hooks, poststop, "poststop", skf_j_arr, &hook_arr),
	SKF_J_END,
};
const struct skf_jtable skf_spec_hooks_table = {sizeof(struct skf_spec_hooks), hooks_f};
