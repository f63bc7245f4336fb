/* runtime/mempolicy.c -- linux.memoryPolicy and linux.personality of config.json. */
#include "runtime/runtime_int.h"

int skf_mempolicy_apply(const struct skf_spec_linux *l, struct skf_err *e)
{
	if (l->memory_policy)
		return skf_fail(e, SKF_EUNSUPPORTED, "config.json: /linux/memoryPolicy is not supported");
	return 0;
}

int skf_personality_apply(const struct skf_spec_linux *l, struct skf_err *e)
{
	if (l->has_personality && l->personality)
		return skf_fail(e, SKF_EUNSUPPORTED, "config.json: /linux/personality is not supported");
	return 0;
}
