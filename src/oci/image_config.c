/* oci/image_config.c -- the config document of an image (OCI and docker): what a container of it runs by
 * default, and its layers' diff-ids. Pure; nothing blocks. */
#include "oci/image_int.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/limits.h"

#define X                    struct skf_image_config
#define OPT(member, k, f, a) SKF_J(X, member, k, f, a, SKF_J_NULL_OK)

/* {"80/tcp": {}, ...} -> its keys */
static int add_key(struct skf_jctx *c, const char *key, struct json_object *v, void *user)
{
	(void)v;
	if (skf_strv_add(skf_j_arena(c), user, key) < 0)
		return skf_j_fail(c, SKF_ELIMIT, "the document needs more memory than one document may use");
	return 0;
}

static int dec_keys(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	struct skf_strv keys = {0};

	(void)arg;
	if (skf_j_each_member(c, v, add_key, &keys) < 0)
		return -1;
	*(struct skf_strv *)dst = keys;
	return 0;
}

static const struct skf_jfield config_f[] = {
	OPT(user, "User", skf_j_str, NULL),
	OPT(working_dir, "WorkingDir", skf_j_str, NULL),
	OPT(stop_signal, "StopSignal", skf_j_str, NULL),
	OPT(env, "Env", skf_j_strv, NULL),
	OPT(entrypoint, "Entrypoint", skf_j_strv, NULL),
	OPT(cmd, "Cmd", skf_j_strv, NULL),
	OPT(exposed_ports, "ExposedPorts", dec_keys, NULL),
	OPT(volumes, "Volumes", dec_keys, NULL),
	OPT(shell, "Shell", skf_j_strv, NULL),
	OPT(labels, "Labels", skf_j_kvs, NULL),
	OPT(healthcheck_raw, "Healthcheck", skf_j_raw, NULL),
	SKF_J_END,
};
static const struct skf_jtable config_table = {sizeof(X), config_f};

static int dec_config(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	X *x = dst;

	(void)arg;
	if (skf_j_obj(c, v, x, &config_table) < 0)
		return -1;
	return skf_j_raw(c, v, &x->config_raw, NULL);
}

static int dec_diff_id(struct skf_jctx *c, size_t i, struct json_object *v, void *user)
{
	struct skf_digest *d = user;

	return skf_image_j_digest(c, v, &d[i], NULL);
}

static int dec_diff_ids(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	struct skf_strv s = {0};
	struct skf_jarr out = {0};

	(void)arg;
	if (skf_j_strv(c, v, &s, NULL) < 0)
		return -1;
	if (s.n > SKF_MAX_LAYERS)
		return skf_j_fail(c, SKF_ELIMIT, "has %zu layers, at most %d are allowed", s.n,
				  SKF_MAX_LAYERS);
	out.n = s.n;
	out.v = skf_arena_array(skf_j_arena(c), s.n, sizeof(struct skf_digest));
	if (!out.v)
		return skf_j_fail(c, SKF_ELIMIT, "the document needs more memory than one document may use");
	if (skf_j_each_elem(c, v, SKF_MAX_LAYERS, dec_diff_id, out.v) < 0)
		return -1;
	*(struct skf_jarr *)dst = out;
	return 0;
}

static const struct skf_jenum rootfs_types[] = {{"layers", 1}, {NULL, 0}};
struct rootfs {
	int type;
	struct skf_jarr diff_ids;
};
static const struct skf_jfield rootfs_f[] = {
	SKF_J(struct rootfs, type, "type", skf_j_enum, rootfs_types, SKF_J_REQUIRED),
	SKF_J(struct rootfs, diff_ids, "diff_ids", dec_diff_ids, NULL, SKF_J_NULL_OK),
	SKF_J_END,
};
static const struct skf_jtable rootfs_table = {sizeof(struct rootfs), rootfs_f};

static int dec_rootfs(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	struct rootfs r = {0};

	(void)arg;
	if (skf_j_obj(c, v, &r, &rootfs_table) < 0)
		return -1;
	*(struct skf_jarr *)dst = r.diff_ids;
	return 0;
}

static const size_t os_size = sizeof(((struct skf_platform *)0)->os);
static const size_t arch_size = sizeof(((struct skf_platform *)0)->arch);
static const size_t variant_size = sizeof(((struct skf_platform *)0)->variant);

static const struct skf_jfield image_f[] = {
	OPT(platform.os, "os", skf_image_j_short, &os_size),
	OPT(platform.arch, "architecture", skf_image_j_short, &arch_size),
	OPT(platform.variant, "variant", skf_image_j_short, &variant_size),
	OPT(created, "created", skf_j_str, NULL),
	OPT(author, "author", skf_j_str, NULL),
	{"config", dec_config, NULL, 0, 0, SKF_J_NULL_OK},
	SKF_J(X, diff_ids, "rootfs", dec_rootfs, NULL, SKF_J_REQUIRED),
	OPT(history_raw, "history", skf_j_raw, NULL),
	SKF_J_END,
};
static const struct skf_jtable image_table = {sizeof(X), image_f};

static const char *const config_keys[] = {
	"os",         "architecture", "variant",     "created",  "author",       "config",
	"rootfs",     "history",      "type",        "diff_ids", "User",         "WorkingDir",
	"StopSignal", "Env",          "Entrypoint",  "Cmd",      "ExposedPorts", "Volumes",
	"Shell",      "Labels",       "Healthcheck", NULL,
};
static const struct skf_image_doc config_doc = {"image config", SKF_MAX_CONFIG_BLOB_BYTES, config_keys};

int skf_image_config_parse(const char *p, size_t n, struct skf_arena *a, struct skf_image_config **ret,
			   struct skf_err *e)
{
	void *x = NULL;

	if (skf_image_decode(&config_doc, p, n, &image_table, a, &x, e) < 0)
		return -1;
	*ret = x;
	return 0;
}
