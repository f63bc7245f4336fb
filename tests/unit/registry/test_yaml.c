/* YAML lists as JSON: what is understood, what is refused, and the limits, one over. */
#include "registry_test.h"
#include "base/buf.h"
#include "registry/registry.h"

static void yields(const char *yaml, const char *json)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(1u << 20);
	struct skf_err e = SKF_ERR_INIT;

	assert_int_equal(skf_yaml_to_json(yaml, strlen(yaml), &b, &e), 0);
	assert_string_equal(skf_buf_cstr(&b), json);
}

static void refused(const char *yaml, enum skf_kind kind, const char *word)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(8u << 20);
	struct skf_err e = SKF_ERR_INIT;

	assert_int_equal(skf_yaml_to_json(yaml, strlen(yaml), &b, &e), -1);
	assert_int_equal(e.kind, kind);
	assert_non_null(strstr(e.msg, word));
}

static void forms(void **state)
{
	(void)state;
	yields("a: b\n", "{\"a\":\"b\"}");
	yields("# c\n---\na: {b: [1, \"2\", '3']}\nc: |\n  x\n  y\n",
	       "{\"a\":{\"b\":[\"1\",\"2\",\"3\"]},\"c\":\"x\\ny\\n\"}");
	yields("{}", "{}");
}

static void wrong(void **state)
{
	(void)state;
	refused("a: [", SKF_EINVALID, "line");
	refused("- a", SKF_EINVALID, "mapping");
	refused("", SKF_EINVALID, "mapping");
	refused("a: &x 1\nb: *x\n", SKF_EINVALID, "alias");
	refused("? [a]\n: b\n", SKF_EINVALID, "key");
}

/* n mappings in one another */
static char *nested(unsigned n)
{
	struct skf_buf b = SKF_BUF(1u << 20);

	for (unsigned i = 0; i < n; i++)
		skf_buf_str(&b, "{a: ");
	skf_buf_str(&b, "x");
	for (unsigned i = 0; i < n; i++)
		skf_buf_chr(&b, '}');
	return skf_buf_take(&b);
}

static void limits(void **state)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(1u << 20), out = SKF_BUF(1u << 20);
	struct skf_err e = SKF_ERR_INIT;
	char *deep = nested(SKF_MAX_YAML_DEPTH), *deeper = nested(SKF_MAX_YAML_DEPTH + 1);

	(void)state;
	assert_int_equal(skf_yaml_to_json(deep, strlen(deep), &out, &e), 0);
	refused(deeper, SKF_ELIMIT, "deep");
	free(deep);
	free(deeper);
	skf_buf_str(&b, "a: [");
	for (unsigned i = 0; i < SKF_MAX_YAML_NODES; i++)
		skf_buf_str(&b, "1,");
	skf_buf_str(&b, "]\n");
	refused(skf_buf_cstr(&b), SKF_ELIMIT, "nodes");
}

int main(void)
{
	const struct CMUnitTest t[] = {cmocka_unit_test(forms), cmocka_unit_test(wrong),
				       cmocka_unit_test(limits)};

	return cmocka_run_group_tests(t, NULL, NULL);
}
