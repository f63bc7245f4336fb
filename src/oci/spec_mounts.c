/* oci/spec_mounts.c -- one entry of `mounts` in config.json. What the options mean is mountopt.c; here each
 * mount is parsed once so that a bad option is found before anything was made, and runc's rules about
 * id-mapped and bind mounts are applied. Whether a mapping is implied by the container's user namespace is
 * known only later (runtime/idmap_mount.c). Pure; nothing blocks. */
#include "oci/spec_int.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include "oci/mountopt.h"
#include <sys/mount.h>

static int bad(struct skf_jctx *c, const struct skf_spec_mount *m, const char *sentence)
{
	return skf_j_fail(c, SKF_EINVALID, "mount at '%.200s': %s", m->destination, sentence);
}

static int bind_check(struct skf_jctx *c, const struct skf_spec_mount *m, const struct skf_mountopts *o)
{
	if (*o->data && !(o->flags & MS_REMOUNT))
		return skf_j_fail(
			c, SKF_EINVALID,
			"mount at '%.200s': bind mounts cannot have any filesystem-specific options "
			"applied; remove '%.100s'",
			m->destination, o->data);
	return 0;
}

static int mount_check(struct skf_jctx *c, void *obj)
{
	const struct skf_spec_mount *m = obj;
	struct skf_mountopts o;
	struct skf_err e = SKF_ERR_INIT;

	if (skf_mountopts_parse(&m->options, skf_j_arena(c), &o, &e) < 0)
		return skf_j_fail(c, e.kind, "options of the mount at '%.200s': %s", m->destination, e.msg);
	bool bind = o.flags & MS_BIND || skf_streq(m->type, "bind");
	if (bind && bind_check(c, m, &o) < 0)
		return -1;
	if (!o.idmap && !o.ridmap && !m->uid_mappings.n && !m->gid_mappings.n)
		return 0;
	if (!bind)
		return bad(c, m, "id-mapped mounts are only supported for bind-mounts; add option 'bind'");
	if (!m->uid_mappings.n != !m->gid_mappings.n)
		return bad(c, m, "id-mapped mounts must have both uid and gid mappings specified");
	return 0;
}

static const struct skf_spec_strings options_rule = {NULL, SPEC_MAX_LIST};

static const struct skf_jfield mount_f[] = {
	SPEC_REQ(struct skf_spec_mount, destination, "destination", skf_j_str_nonempty, NULL),
	SPEC_OPT(struct skf_spec_mount, type, "type", skf_j_str, NULL),
	SPEC_OPT(struct skf_spec_mount, source, "source", skf_j_str, NULL),
	SPEC_OPT(struct skf_spec_mount, options, "options", skf_spec_j_strings, &options_rule),
	SPEC_OPT(struct skf_spec_mount, uid_mappings, "uidMappings", skf_j_arr, &skf_spec_idmap_arr),
	SPEC_OPT(struct skf_spec_mount, gid_mappings, "gidMappings", skf_j_arr, &skf_spec_idmap_arr),
	SKF_J_END,
};
const struct skf_jtable skf_spec_mount_table = {sizeof(struct skf_spec_mount), mount_f,
						.check = mount_check};

struct list {
	struct skf_jarr mounts;
};
static const struct skf_jarr_arg mounts_arr = {&skf_spec_mount_table, SKF_MAX_MOUNTS};
static const struct skf_jfield list_f[] = {
	SPEC_REQ(struct list, mounts, "mounts", skf_j_arr, &mounts_arr),
	SKF_J_END,
};
static const struct skf_jtable list_table = {sizeof(struct list), list_f};

int skf_spec_parse_mounts(const char *text, size_t n, const struct skf_spec_opts *o, struct skf_arena *a,
			  struct skf_jarr *ret, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_SPEC_BYTES);
	struct skf_jdoc d = {.name = o->name, .max_bytes = SKF_MAX_SPEC_BYTES};
	void *l = NULL;

	skf_buf_str(&b, "{\"mounts\":");
	skf_buf_put(&b, text, n);
	skf_buf_chr(&b, '}');
	if (b.err < 0)
		return skf_fail_sys(e, b.err, "%s", o->name);
	if (skf_json_decode(&d, b.p, b.len, &list_table, a, &l, e) < 0)
		return -1;
	*ret = ((struct list *)l)->mounts;
	return 0;
}
