/* oci/spec.c -- the top of config.json and the doors to the decoder. One static table per object (spec_*.c),
 * the rules between properties afterwards (spec_validate.c). Only skf_spec_load_at reads a file; the rest is
 * pure.
 *
 * Invariants:
 * 1. A property that runtime-spec 1.3 defines has a row in a table: it is decoded, or refused with its path,
 * or marked as meaningless on Linux. Anything else is unknown, ignored as the spec demands, and named at
 * debug level.
 * 2. Nothing is returned that skf_spec_validate has not seen. */
#include "oci/spec_int.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/limits.h"
#include "base/log.h"
#include <string.h>

static int dec_oci_version(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	char *s = NULL;
	size_t major, minor;

	(void)arg;
	if (skf_j_str(c, v, &s, NULL) < 0)
		return -1;
	major = strspn(s, "0123456789");
	minor = s[major] == '.' ? strspn(s + major + 1, "0123456789") : 0;
	if (major == 0 || minor == 0)
		return skf_j_fail(c, SKF_EINVALID, "expected a version such as '1.0.2', found '%.64s'", s);
	if (major != 1 || s[0] != '1')
		return skf_j_fail(
			c, SKF_EUNSUPPORTED,
			"version '%.64s' is not supported; skiff reads 1.0.0 to 1.3.0 and compatible 1.x",
			s);
	*(char **)dst = s;
	return 0;
}

struct root {
	char *path;
	bool readonly;
};
static const struct skf_jfield root_f[] = {
	SPEC_REQ(struct root, path, "path", skf_j_str_nonempty, NULL),
	SPEC_OPT(struct root, readonly, "readonly", skf_j_bool, NULL),
	SKF_J_END,
};
static const struct skf_jtable root_table = {sizeof(struct root), root_f};

static int dec_root(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	struct skf_spec *s = dst;
	struct root r = {0};

	(void)arg;
	if (skf_j_obj(c, v, &r, &root_table) < 0)
		return -1;
	s->root_path = r.path;
	s->root_readonly = r.readonly;
	return 0;
}

/* sethostname(2) and setdomainname(2) take at most 64 bytes (__NEW_UTS_LEN). */
static int dec_uts_name(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	char *s = NULL;

	(void)arg;
	if (skf_j_str(c, v, &s, NULL) < 0)
		return -1;
	if (strlen(s) > 64)
		return skf_j_fail(c, SKF_EINVALID, "expected at most 64 bytes, found %zu", strlen(s));
	*(char **)dst = s;
	return 0;
}

static int annotation_key(struct skf_jctx *c, const char *key, struct json_object *v, void *user)
{
	(void)v;
	(void)user;
	return key[0] ? 0 : skf_j_fail(c, SKF_EINVALID, "the key of an annotation must not be empty");
}

static int dec_annotations(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	(void)arg;
	if (skf_j_each_member(c, v, annotation_key, NULL) < 0)
		return -1;
	return skf_j_kvs(c, v, dst, NULL);
}

static const struct skf_jarr_arg mounts_arr = {&skf_spec_mount_table, SKF_MAX_MOUNTS};

#define S struct skf_spec
static const struct skf_jfield spec_f[] = {
	SPEC_REQ(S, oci_version, "ociVersion", dec_oci_version, NULL),
	SPEC_WHOLE("root", dec_root),
	SPEC_OPT(S, hostname, "hostname", dec_uts_name, NULL),
	SPEC_OPT(S, domainname, "domainname", dec_uts_name, NULL),
	SPEC_OPT(S, process, "process", skf_j_objp, &skf_spec_process_table),
	SPEC_OPT(S, mounts, "mounts", skf_j_arr, &mounts_arr),
	SPEC_OPT(S, hooks, "hooks", skf_j_obj, &skf_spec_hooks_table),
	SPEC_OPT(S, annotations, "annotations", dec_annotations, NULL),
	SPEC_OPT(S, linux_, "linux", skf_j_obj, &skf_spec_linux_table),
	SPEC_REFUSE("vm"),
	SPEC_REFUSE("windows"),
	SPEC_REFUSE("solaris"),
	SPEC_REFUSE("freebsd"),
	SPEC_REFUSE("zos"),
	SKF_J_END,
};
#undef S
static const struct skf_jtable spec_table = {sizeof(struct skf_spec), spec_f};

static void name_unknown(const char *path, void *user)
{
	const struct skf_spec_opts *o = user;

	skf_debug(o->log, "%s: %s: not a property of the runtime-spec, ignoring it", o->name, path);
}

static struct skf_jdoc document(const struct skf_spec_opts *o, size_t max)
{
	return (struct skf_jdoc){
		.name = o->name, .max_bytes = max, .on_unknown = name_unknown, .user = (void *)o};
}

int skf_spec_parse(const char *text, size_t n, const struct skf_spec_opts *o, struct skf_arena *a,
		   struct skf_spec **ret, struct skf_err *e)
{
	struct skf_jdoc d = document(o, SKF_MAX_SPEC_BYTES);
	void *s = NULL;

	if (skf_json_decode(&d, text, n, &spec_table, a, &s, e) < 0 || skf_spec_validate(s, o, e) < 0)
		return -1;
	*ret = s;
	return 0;
}

int skf_spec_load_at(int dirfd, const char *path, const struct skf_spec_opts *o, struct skf_arena *a,
		     struct skf_spec **ret, struct skf_err *e)
{
	struct skf_jdoc d = document(o, SKF_MAX_SPEC_BYTES);
	void *s = NULL;

	if (skf_json_decode_at(&d, dirfd, path, &spec_table, a, &s, e) < 0 || skf_spec_validate(s, o, e) < 0)
		return -1;
	*ret = s;
	return 0;
}

int skf_spec_parse_process(const char *text, size_t n, const struct skf_spec_opts *o, struct skf_arena *a,
			   struct skf_spec_process **ret, struct skf_err *e)
{
	struct skf_jdoc d = document(o, SKF_MAX_SPEC_BYTES);
	void *p = NULL;

	if (skf_json_decode(&d, text, n, &skf_spec_process_table, a, &p, e) < 0)
		return -1;
	*ret = p;
	return 0;
}

int skf_spec_parse_seccomp(const char *text, size_t n, const struct skf_spec_opts *o, struct skf_arena *a,
			   struct skf_spec_seccomp **ret, struct skf_err *e)
{
	struct skf_jdoc d = document(o, SKF_MAX_SECCOMP_BYTES);
	void *s = NULL;

	if (skf_json_decode(&d, text, n, &skf_spec_seccomp_table, a, &s, e) < 0)
		return -1;
	*ret = s;
	return 0;
}

int skf_spec_parse_linux(const char *text, size_t n, const struct skf_spec_opts *o, struct skf_arena *a,
			 struct skf_spec_linux **ret, struct skf_err *e)
{
	struct skf_jdoc d = document(o, SKF_MAX_SPEC_BYTES);
	void *l = NULL;

	if (skf_json_decode(&d, text, n, &skf_spec_linux_table, a, &l, e) < 0)
		return -1;
	*ret = l;
	return 0;
}

const struct skf_spec_namespace *skf_spec_ns(const struct skf_spec *s, int type)
{
	const struct skf_spec_namespace *ns = s->linux_.namespaces.v;

	for (size_t i = 0; i < s->linux_.namespaces.n; i++) {
		if (ns[i].type == type)
			return &ns[i];
	}
	return NULL;
}
