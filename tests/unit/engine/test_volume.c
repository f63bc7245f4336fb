/* Unit tests of engine/volume.c: the words of -v. */
#include "util.h"

static struct skf_err err;

static void good(void **state)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(1 << 16);
	struct skf_mount_req m;

	assert_int_equal(skf_engine_parse_volume("/a:/b", &a, &m, &err), 0);
	assert_string_equal(m.source, "/a");
	assert_string_equal(m.target, "/b");
	assert_false(m.readonly);
	assert_null(m.propagation);
	assert_int_equal(skf_engine_parse_volume("/a/./x//../b/:/c/../d:ro,rslave,z", &a, &m, &err), 0);
	assert_string_equal(m.source, "/a/b");
	assert_string_equal(m.target, "/d");
	assert_true(m.readonly && m.relabel);
	assert_string_equal(m.propagation, "rslave");
	assert_int_equal(skf_engine_parse_volume("/:/host:rw,cached", &a, &m, &err), 0);
	assert_string_equal(m.source, "/");
}

static void bad(void **state)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(1 << 16);
	struct skf_mount_req m;

	ASSERT_FAILS(skf_engine_parse_volume("", &a, &m, &err), SKF_EINVALID,
		     "invalid volume specification");
	ASSERT_FAILS(skf_engine_parse_volume(":", &a, &m, &err), SKF_EINVALID,
		     "invalid volume specification: ':'");
	ASSERT_FAILS(skf_engine_parse_volume("/a:", &a, &m, &err), SKF_EINVALID, "'/a:'");
	ASSERT_FAILS(skf_engine_parse_volume("/a:/b:", &a, &m, &err), SKF_EINVALID, "'/a:/b:'");
	ASSERT_FAILS(skf_engine_parse_volume("/a:/b:ro:x", &a, &m, &err), SKF_EINVALID, "'/a:/b:ro:x'");
	ASSERT_FAILS(skf_engine_parse_volume("/a:b", &a, &m, &err), SKF_EINVALID,
		     "mount path must be absolute");
	ASSERT_FAILS(skf_engine_parse_volume("/a:/", &a, &m, &err), SKF_EINVALID,
		     "destination can't be '/'");
	ASSERT_FAILS(skf_engine_parse_volume("/a:/x/..", &a, &m, &err), SKF_EINVALID,
		     "destination can't be '/'");
	ASSERT_FAILS(skf_engine_parse_volume("/a:/b:ro,rw", &a, &m, &err), SKF_EINVALID, "invalid mode");
	ASSERT_FAILS(skf_engine_parse_volume("/a:/b:rshared,private", &a, &m, &err), SKF_EINVALID,
		     "invalid mode");
	ASSERT_FAILS(skf_engine_parse_volume("./a:/b", &a, &m, &err), SKF_EINVALID, "use absolute path");
	ASSERT_FAILS(skf_engine_parse_volume("name:/b", &a, &m, &err), SKF_EUNSUPPORTED, "named volume");
	ASSERT_FAILS(skf_engine_parse_volume("/b", &a, &m, &err), SKF_EUNSUPPORTED, "anonymous");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(good), cmocka_unit_test(bad)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
