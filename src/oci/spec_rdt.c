/* oci/spec_rdt.c -- linux.intelRdt of config.json. Pure; nothing blocks.
 *
 * Invariant: closID becomes the name of a directory below the resctrl mount, so it is one plain name, or "/"
 * for the default class; schema lines become lines of a file, so they hold no newline. */
#include "oci/spec_int.h"
#include "base/buf.h"
#include <string.h>

static int line_check(struct skf_jctx *c, const char *s)
{
	if (strchr(s, '\n'))
		return skf_j_fail(c, SKF_EINVALID, "a line of the schemata file must not contain a newline");
	return 0;
}

static int dec_line(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	const char *prefix = arg;
	char *s = NULL;

	if (skf_j_str(c, v, &s, NULL) < 0 || line_check(c, s) < 0)
		return -1;
	if (s[0] == '\0')
		return 0;
	if (prefix && !skf_startswith(s, prefix))
		return skf_j_fail(c, SKF_EINVALID, "expected a schema that begins with '%s', found '%.64s'",
				  prefix, s);
	*(char **)dst = s;
	return 0;
}

static int dec_clos(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	char *s = NULL;

	(void)arg;
	if (skf_j_str(c, v, &s, NULL) < 0)
		return -1;
	if (s[0] == '\0')
		return 0;
	if (skf_streq(s, ".") || skf_streq(s, "..") || (s[1] != '\0' && strchr(s, '/')) || strchr(s, '\n') ||
	    strlen(s) > 255)
		return skf_j_fail(
			c, SKF_EINVALID,
			"invalid intelRdt.ClosID '%.64s'; expected the name of a directory, or '/'", s);
	*(char **)dst = s;
	return 0;
}

static const struct skf_spec_strings lines_rule = {line_check, 4096};

#define R struct skf_spec_intel_rdt
static const struct skf_jfield rdt_f[] = {
	SPEC_OPT(R, clos_id, "closID", dec_clos, NULL),
	SPEC_OPT(R, l3_schema, "l3CacheSchema", dec_line, NULL),
	SPEC_OPT(R, mem_bw_schema, "memBwSchema", dec_line, "MB:"),
	SPEC_OPT(R, schemata, "schemata", skf_spec_j_strings, &lines_rule),
	SPEC_OPT(R, enable_monitoring, "enableMonitoring", skf_j_bool, NULL),
	SKF_J_END,
};
#undef R
const struct skf_jtable skf_spec_intel_rdt_table = {sizeof(struct skf_spec_intel_rdt), rdt_f};
