/* engine/cdi_spec.c -- the format of a CDI specification: tables that decode it and what must hold of it. It
 * is the administrator's file and gives a container the host's devices and programs, so it is read strictly:
 * a key that is not known is an error. */
#include "engine/cdi_int.h"
#include "engine/cdi.h"
#include <string.h>

#define MAX_DEVICES 4096
#define MAX_HOOKS   256

const char *const cdi_hook_kinds[] = {
	"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop", NULL};

/* A number; in a document that was YAML it is a text, octal as YAML writes it. */
static int dec_number(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	uint32_t octal;
	char *s;

	if (!*(const bool *)skf_j_user(c))
		return skf_j_i64(c, v, dst, arg);
	if (skf_j_str(c, v, &s, NULL) < 0)
		return -1;
	if (s[0] == '0' && s[1] != '\0') {
		if (skf_parse_octal(s[1] == 'o' ? s + 2 : s, &octal) < 0)
			return skf_j_fail(c, SKF_EINVALID, "expected a number, found '%.40s'", s);
		*(int64_t *)dst = octal;
		return 0;
	}
	return skf_parse_i64(s, dst) < 0 ? skf_j_fail(c, SKF_EINVALID, "expected a number, found '%.40s'", s)
					 : 0;
}

static int dec_flag(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	char *s;

	if (!*(const bool *)skf_j_user(c))
		return skf_j_bool(c, v, dst, arg);
	if (skf_j_str(c, v, &s, NULL) < 0)
		return -1;
	*(bool *)dst = skf_streq(s, "true");
	return *(bool *)dst || skf_streq(s, "false")
		       ? 0
		       : skf_j_fail(c, SKF_EINVALID, "expected true or false, found '%.40s'", s);
}

static int dec_gid(struct skf_jctx *c, size_t i, struct json_object *v, void *user)
{
	char word[24];
	int64_t n;

	(void)i;
	if (dec_number(c, v, &n, NULL) < 0)
		return -1;
	if (n < 0 || n > UINT32_MAX - 1 || skf_fmt(word, sizeof(word), "%lld", (long long)n) < 0)
		return skf_j_fail(c, SKF_EINVALID, "%lld is no group", (long long)n);
	if (n == 0)
		return 0; /* means nothing, as in CDI's own library */
	return skf_strv_add(skf_j_arena(c), user, word) < 0 ? skf_j_fail(c, SKF_ENOMEM, "memory") : 0;
}

static int dec_gids(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	(void)arg;
	return skf_j_each_elem(c, v, SKF_MAX_GIDS, dec_gid, dst);
}

static int check_node(struct skf_jctx *c, void *obj)
{
	const struct cdi_node *n = obj;

	if (n->type && *n->type && !(strchr("bcup", *n->type) && !n->type[1]))
		return skf_j_fail(c, SKF_EINVALID,
				  "'%.20s' is no type of a device node: expected b, c, u or p", n->type);
	if (n->permissions && strspn(n->permissions, "rwm") != strlen(n->permissions))
		return skf_j_fail(c, SKF_EINVALID, "invalid permissions '%.20s': expected letters of rwm",
				  n->permissions);
	if (n->major < 0 || n->major > 0xffffff || n->minor < 0 || n->minor > 0xffffff || n->mode < 0 ||
	    n->uid < 0 || n->uid > UINT32_MAX || n->gid < 0 || n->gid > UINT32_MAX)
		return skf_j_fail(c, SKF_EINVALID, "a number of the device node '%.200s' is out of range",
				  n->path);
	return 0;
}

static int check_hook(struct skf_jctx *c, void *obj)
{
	const struct cdi_hook *h = obj;

	for (size_t i = 0; cdi_hook_kinds[i]; i++)
		if (skf_streq(h->name, cdi_hook_kinds[i]))
			return 0;
	return skf_j_fail(c, SKF_EINVALID, "invalid hook name '%.40s'", h->name);
}

static bool is_empty(const struct cdi_edits *x)
{
	return !x->env.n && !x->gids.n && !x->nodes.n && !x->mounts.n && !x->hooks.n && !x->rdt;
}

static int check_env(struct skf_jctx *c, void *obj)
{
	const struct cdi_edits *x = obj;

	for (size_t i = 0; i < x->env.n; i++)
		if (!strchr(x->env.v[i], '=') || x->env.v[i][0] == '=')
			return skf_j_fail(c, SKF_EINVALID,
					  "invalid environment variable '%.80s': expected NAME=VALUE",
					  x->env.v[i]);
	return 0;
}

static bool is_word(const char *p, size_t n, const char *more)
{
	for (size_t i = 0; i < n; i++)
		if (!((p[i] >= 'a' && p[i] <= 'z') || (p[i] >= 'A' && p[i] <= 'Z') ||
		      (p[i] >= '0' && p[i] <= '9') || (i > 0 && i + 1 < n && strchr(more, p[i]))))
			return false;
	return n > 0;
}

static bool is_kind(const char *s, size_t n)
{
	const char *slash = memchr(s, '/', n);

	return slash && is_word(s, (size_t)(slash - s), "_-.") &&
	       is_word(slash + 1, n - (size_t)(slash - s) - 1, "_-");
}

static bool is_device_name(const char *s)
{
	return is_word(s, strlen(s), "_-.:");
}

bool skf_cdi_is_name(const char *s)
{
	const char *eq = strchr(s, '=');

	return eq && is_kind(s, (size_t)(eq - s)) && is_device_name(eq + 1);
}

static int check_device(struct skf_jctx *c, void *obj)
{
	const struct cdi_device *d = obj;

	if (!is_device_name(d->name))
		return skf_j_fail(c, SKF_EINVALID, "invalid device name '%.80s'", d->name);
	return is_empty(&d->edits)
		       ? skf_j_fail(c, SKF_EINVALID, "the device '%.80s' has empty edits", d->name)
		       : 0;
}

static int check_spec(struct skf_jctx *c, void *obj)
{
	static const char *const versions[] = {"0.1.0", "0.2.0", "0.3.0", "0.4.0", "0.5.0",
					       "0.6.0", "0.7.0", "0.8.0", "1.0.0", "1.1.0"};
	const struct cdi_spec *s = obj;
	const struct cdi_device *d = s->devices.v;
	size_t k = 0;

	while (k < SKF_ARRAY_LEN(versions) && !skf_streq(versions[k], s->version))
		k++;
	if (k == SKF_ARRAY_LEN(versions))
		return skf_j_fail(c, SKF_EUNSUPPORTED, "unknown cdiVersion '%.40s': expected 0.1.0 to 1.1.0",
				  s->version);
	if (!is_kind(s->kind, strlen(s->kind)))
		return skf_j_fail(c, SKF_EINVALID, "invalid kind '%.80s': expected VENDOR/CLASS", s->kind);
	if (!s->devices.n)
		return skf_j_fail(c, SKF_EINVALID, "there are no devices");
	for (size_t i = 0; i < s->devices.n; i++)
		for (size_t j = 0; j < i; j++)
			if (skf_streq(d[i].name, d[j].name))
				return skf_j_fail(c, SKF_EINVALID, "the device '%.80s' is there twice",
						  d[i].name);
	return 0;
}

#define OPT(type, member, key, fn, arg) SKF_J(type, member, key, fn, arg, SKF_J_NULL_OK)
#define REQ(type, member, key, fn, arg) SKF_J(type, member, key, fn, arg, SKF_J_REQUIRED)
#define NUM(type, member, key)          SKF_JP(type, member, has_##member, key, dec_number, NULL, SKF_J_NULL_OK)
static const struct skf_jfield node_f[] = {
	REQ(struct cdi_node, path, "path", skf_j_abspath, NULL),
	OPT(struct cdi_node, host_path, "hostPath", skf_j_str, NULL),
	OPT(struct cdi_node, type, "type", skf_j_str, NULL),
	OPT(struct cdi_node, permissions, "permissions", skf_j_str, NULL),
	NUM(struct cdi_node, major, "major"),
	NUM(struct cdi_node, minor, "minor"),
	NUM(struct cdi_node, mode, "fileMode"),
	NUM(struct cdi_node, uid, "uid"),
	NUM(struct cdi_node, gid, "gid"),
	SKF_J_END,
};
static const struct skf_jtable node_table = {sizeof(struct cdi_node), node_f, true, check_node};
static const struct skf_jarr_arg node_arr = {&node_table, MAX_DEVICES};
static const struct skf_jfield mount_f[] = {
	REQ(struct cdi_mount, host, "hostPath", skf_j_str_nonempty, NULL),
	REQ(struct cdi_mount, container, "containerPath", skf_j_abspath, NULL),
	OPT(struct cdi_mount, type, "type", skf_j_str, NULL),
	OPT(struct cdi_mount, options, "options", skf_j_strv, NULL),
	SKF_J_END,
};
static const struct skf_jtable mount_table = {sizeof(struct cdi_mount), mount_f, true, NULL};
static const struct skf_jarr_arg mount_arr = {&mount_table, SKF_MAX_MOUNTS};
static const struct skf_jfield hook_f[] = {
	REQ(struct cdi_hook, name, "hookName", skf_j_str_nonempty, NULL),
	REQ(struct cdi_hook, path, "path", skf_j_abspath, NULL),
	OPT(struct cdi_hook, args, "args", skf_j_strv, NULL),
	OPT(struct cdi_hook, env, "env", skf_j_strv, NULL),
	NUM(struct cdi_hook, timeout, "timeout"),
	SKF_J_END,
};
static const struct skf_jtable hook_table = {sizeof(struct cdi_hook), hook_f, true, check_hook};
static const struct skf_jarr_arg hook_arr = {&hook_table, MAX_HOOKS};
static const struct skf_jfield rdt_f[] = {
	OPT(struct cdi_rdt, clos, "closID", skf_j_str, NULL),
	OPT(struct cdi_rdt, l3, "l3CacheSchema", skf_j_str, NULL),
	OPT(struct cdi_rdt, mem_bw, "memBwSchema", skf_j_str, NULL),
	OPT(struct cdi_rdt, schemata, "schemata", skf_j_strv, NULL),
	OPT(struct cdi_rdt, monitoring, "enableMonitoring", dec_flag, NULL),
	OPT(struct cdi_rdt, cmt, "enableCMT", dec_flag, NULL),
	OPT(struct cdi_rdt, mbm, "enableMBM", dec_flag, NULL),
	SKF_J_END,
};
static const struct skf_jtable rdt_table = {sizeof(struct cdi_rdt), rdt_f, true, NULL};
static const struct skf_jfield edits_f[] = {
	OPT(struct cdi_edits, env, "env", skf_j_strv, NULL),
	OPT(struct cdi_edits, nodes, "deviceNodes", skf_j_arr, &node_arr),
	OPT(struct cdi_edits, mounts, "mounts", skf_j_arr, &mount_arr),
	OPT(struct cdi_edits, hooks, "hooks", skf_j_arr, &hook_arr),
	OPT(struct cdi_edits, gids, "additionalGids", dec_gids, NULL),
	OPT(struct cdi_edits, rdt, "intelRdt", skf_j_objp, &rdt_table),
	SKF_J_UNSUPPORTED("netDevices"),
	SKF_J_END,
};
static const struct skf_jtable edits_table = {sizeof(struct cdi_edits), edits_f, true, check_env};
static const struct skf_jfield device_f[] = {
	REQ(struct cdi_device, name, "name", skf_j_str_nonempty, NULL),
	SKF_J(struct cdi_device, name, "annotations", skf_j_ignore, NULL, 0),
	REQ(struct cdi_device, edits, "containerEdits", skf_j_obj, &edits_table),
	SKF_J_END,
};
static const struct skf_jtable device_table = {sizeof(struct cdi_device), device_f, true, check_device};
static const struct skf_jarr_arg device_arr = {&device_table, MAX_DEVICES};
static const struct skf_jfield spec_f[] = {
	REQ(struct cdi_spec, version, "cdiVersion", skf_j_str_nonempty, NULL),
	REQ(struct cdi_spec, kind, "kind", skf_j_str_nonempty, NULL),
	SKF_J(struct cdi_spec, kind, "annotations", skf_j_ignore, NULL, 0),
	REQ(struct cdi_spec, devices, "devices", skf_j_arr, &device_arr),
	OPT(struct cdi_spec, edits, "containerEdits", skf_j_obj, &edits_table),
	SKF_J_END,
};
static const struct skf_jtable spec_table = {sizeof(struct cdi_spec), spec_f, true, check_spec};

int cdi_spec_parse(const char *path, const char *text, size_t n, bool yaml, struct skf_arena *a,
		   struct cdi_spec **ret, struct skf_err *e)
{
	const struct skf_jdoc d = {.name = path, .max_bytes = SKF_MAX_OBJECT_BYTES * 8, .user = &yaml};
	void *got;

	if (skf_json_decode(&d, text, n, &spec_table, a, &got, e) < 0)
		return -1;
	*ret = got;
	return 0;
}
