/* The documents that skiff writes itself: `spec` (runc's default, seen through a JSON reader) and
 * `features`. */
#include "oci_test.h"
#include "oci/spec.h"
#include <json-c/json.h>
#include <stdio.h>

static const struct skf_spec_opts opts = {.log = NULL, .name = "config.json"};

static struct json_object *read_json(const char *name)
{
	char path[512];
	struct json_object *o;

	assert_int_equal(skf_fmt(path, sizeof(path), "%s/%s", DATA_DIR, name), 0);
	o = json_object_from_file(path);
	assert_non_null(o);
	return o;
}

/* What may differ: our name and version, and the cgroup namespace that runc adds where cgroup is v2. */
static void drop_differences(struct json_object *o)
{
	struct json_object *l, *ns;

	json_object_object_del(o, "ociVersion");
	json_object_object_del(o, "hostname");
	/* of runc 1.1: without inheritable ones none of them can be raised, and later versions warn */
	if (json_object_object_get_ex(o, "process", &l) && json_object_object_get_ex(l, "capabilities", &ns))
		json_object_object_del(ns, "ambient");
	assert_true(json_object_object_get_ex(o, "linux", &l) &&
		    json_object_object_get_ex(l, "namespaces", &ns));
	for (size_t i = json_object_array_length(ns); i-- > 0;) {
		struct json_object *t;
		assert_true(json_object_object_get_ex(json_object_array_get_idx(ns, i), "type", &t));
		if (strcmp(json_object_get_string(t), "cgroup") == 0)
			json_object_array_del_idx(ns, i, 1);
	}
}

static void write_and_compare(bool rootless, const char *name)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(1u << 20);
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_jw w = SKF_JW(&b);
	struct skf_spec *s;
	struct skf_err e = SKF_ERR_INIT;
	struct json_object *ours, *theirs;

	skf_spec_write_default(&w, rootless, 1000, 1001);
	assert_int_equal(b.err, 0);
	if (skf_spec_parse(b.p, b.len, &opts, &a, &s, &e) < 0)
		fail_msg("%s", e.msg);
	ours = json_tokener_parse(b.p);
	theirs = read_json(name);
	drop_differences(ours);
	drop_differences(theirs);
	if (!json_object_equal(ours, theirs))
		fail_msg("ours:   %s\ntheirs: %s", json_object_to_json_string(ours),
			 json_object_to_json_string(theirs));
	json_object_put(ours);
	json_object_put(theirs);
}

static void test_default(void **state)
{
	(void)state;
	write_and_compare(false, "runc-spec.json");
	write_and_compare(true, "runc-spec-rootless.json");
}

static struct json_object *get(struct json_object *o, const char *k)
{
	struct json_object *v = NULL;

	if (!json_object_object_get_ex(o, k, &v))
		fail_msg("'%s' is missing", k);
	return v;
}

static bool has_string(struct json_object *arr, const char *s)
{
	for (size_t i = 0; i < json_object_array_length(arr); i++) {
		if (strcmp(json_object_get_string(json_object_array_get_idx(arr, i)), s) == 0)
			return true;
	}
	return false;
}

static void test_features(void **state)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(1u << 20);
	struct skf_jw w = SKF_JW(&b);
	struct json_object *f, *l, *s;

	(void)state;
	skf_spec_write_features(&w);
	assert_int_equal(b.err, 0);
	f = json_tokener_parse(b.p);
	assert_non_null(f);
	assert_string_equal(json_object_get_string(get(f, "ociVersionMin")), "1.0.0");
	assert_string_equal(json_object_get_string(get(f, "ociVersionMax")), "1.3.0");
	assert_int_equal(json_object_array_length(get(f, "hooks")), 6);
	assert_true(has_string(get(f, "mountOptions"), "rbind"));
	assert_true(has_string(get(f, "mountOptions"), "idmap"));
	l = get(f, "linux");
	assert_int_equal(json_object_array_length(get(l, "namespaces")), 8);
	assert_true(has_string(get(l, "namespaces"), "time"));
	assert_true(has_string(get(l, "capabilities"), "CAP_CHECKPOINT_RESTORE"));
	assert_int_equal(json_object_array_length(get(l, "capabilities")), 41);
	s = get(l, "seccomp");
	assert_true(has_string(get(s, "actions"), "SCMP_ACT_NOTIFY"));
	assert_int_equal(json_object_array_length(get(s, "actions")), 9);
	assert_true(has_string(get(s, "supportedFlags"), "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"));
	assert_int_equal(json_object_array_length(get(s, "operators")), 7);
	assert_true(has_string(get(s, "archs"), "SCMP_ARCH_RISCV64"));
	assert_false(has_string(get(s, "archs"), "SCMP_ARCH_SH"));
	assert_int_equal(json_object_array_length(get(get(l, "memoryPolicy"), "modes")), 7);
	assert_int_equal(json_object_array_length(get(get(l, "memoryPolicy"), "flags")), 3);
	assert_true(json_object_get_boolean(get(get(l, "intelRdt"), "monitoring")));
	assert_true(has_string(get(f, "potentiallyUnsafeConfigAnnotations"), "run.oci."));
	json_object_put(f);
}

#define OP_DOC                                                                                              \
	"{'defaultAction':'SCMP_ACT_LOG','syscalls':[{'names':['x'],'action':'SCMP_ACT_LOG',"               \
	"'args':[{'index':0,'value':0,'op':'%s'}]}]}"

/* What `features` publishes, the decoder accepts. */
static void test_features_hold(void **state)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(1u << 20);
	struct skf_jw w = SKF_JW(&b);
	struct json_object *f, *l, *s;
	static const char *const lists[] = {"actions", "operators", "archs", "supportedFlags"};
	static const char *const docs[] = {
		"{'defaultAction':'SCMP_ACT_LOG','syscalls':[{'names':['x'],'action':'%s'}]}",
		OP_DOC,
		"{'defaultAction':'SCMP_ACT_LOG','architectures':['%s']}",
		"{'defaultAction':'SCMP_ACT_LOG','flags':['%s']}",
	};

	(void)state;
	skf_spec_write_features(&w);
	f = json_tokener_parse(b.p);
	l = get(f, "linux");
	s = get(l, "seccomp");
	for (size_t k = 0; k < SKF_ARRAY_LEN(lists); k++) {
		struct json_object *arr = get(s, lists[k]);
		SKF_AUTO_FREE char *fmt = json_text(docs[k]);
		char *hole = strstr(fmt, "%s");
		*hole = '\0';
		for (size_t i = 0; i < json_object_array_length(arr); i++) {
			SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
			struct skf_spec_seccomp *p;
			struct skf_err e = SKF_ERR_INIT;
			char doc[512];
			int n = snprintf(doc, sizeof(doc), "%s%s%s", fmt,
					 json_object_get_string(json_object_array_get_idx(arr, i)),
					 hole + 2);
			if (skf_spec_parse_seccomp(doc, (size_t)n, &opts, &a, &p, &e) < 0)
				fail_msg("%s: %s", doc, e.msg);
		}
	}
	json_object_put(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_default),
		cmocka_unit_test(test_features),
		cmocka_unit_test(test_features_hold),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
