/* oci/spec_mounts.c -- one entry of `mounts` in config.json. What the options mean is mountopt.c; here each
 * mount is parsed once so that a bad option is found before anything was made. Pure; nothing blocks. */
#include "oci/spec_int.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/limits.h"
#include "oci/mountopt.h"

static int option_check(struct skf_jctx *c, const char *s)
{
	if (skf_streq(s, "idmap") || skf_streq(s, "ridmap") || skf_startswith(s, "idmap="))
		return skf_j_fail(
			c, SKF_EUNSUPPORTED,
			"mount option '%.100s' is not supported by this version of skiff; remove it", s);
	return 0;
}

static int mount_check(struct skf_jctx *c, void *obj)
{
	const struct skf_spec_mount *m = obj;
	struct skf_mountopts o;
	struct skf_err e = SKF_ERR_INIT;

	if (skf_mountopts_parse(&m->options, skf_j_arena(c), &o, &e) < 0)
		return skf_j_fail(c, e.kind, "options of the mount at '%.200s': %s", m->destination, e.msg);
	return 0;
}

static const struct skf_spec_strings options_rule = {option_check, SPEC_MAX_LIST};

static const struct skf_jfield mount_f[] = {
	SPEC_REQ(struct skf_spec_mount, destination, "destination", skf_j_str_nonempty, NULL),
	SPEC_OPT(struct skf_spec_mount, type, "type", skf_j_str, NULL),
	SPEC_OPT(struct skf_spec_mount, source, "source", skf_j_str, NULL),
	SPEC_OPT(struct skf_spec_mount, options, "options", skf_spec_j_strings, &options_rule),
	SPEC_REFUSE("uidMappings"),
	SPEC_REFUSE("gidMappings"),
	SKF_J_END,
};
const struct skf_jtable skf_spec_mount_table = {sizeof(struct skf_spec_mount), mount_f,
						.check = mount_check};
