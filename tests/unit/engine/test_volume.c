/* Unit tests of engine/mount_words.c and mount_fields.c: the words of -v, --tmpfs and --mount. */
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
	ASSERT_FAILS(skf_engine_parse_volume("name", &a, &m, &err), SKF_EINVALID, "expected HOST:CONTAINER");
}

static void volumes(void **state)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(1 << 16);
	struct skf_mount_req m;

	assert_int_equal(skf_engine_parse_volume("name:/b:nocopy,U", &a, &m, &err), 0);
	assert_int_equal(m.type, SKF_MOUNT_VOLUME);
	assert_string_equal(m.source, "name");
	assert_true(m.nocopy && m.chown);
	assert_int_equal(skf_engine_parse_volume("/b", &a, &m, &err), 0);
	assert_int_equal(m.type, SKF_MOUNT_VOLUME);
	assert_null(m.source);
	assert_int_equal(skf_engine_parse_volume("/a:/b:idmap=uids=0-1-10;gids=0-1-10", &a, &m, &err), 0);
	assert_string_equal(m.idmap, "uids=0-1-10;gids=0-1-10");
}

static bool has(const struct skf_mount_req *m, const char *word)
{
	for (size_t i = 0; i < m->options.n; i++)
		if (!strcmp(m->options.v[i], word))
			return true;
	return false;
}

static void fields(void **state)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(1 << 16);
	struct skf_mount_req m;

	assert_int_equal(
		skf_engine_parse_mount("type=bind,\"src=/a,b\",dst=/c,readonly,bind-propagation=rslave", &a,
				       &m, &err),
		0);
	assert_string_equal(m.source, "/a,b");
	assert_true(m.readonly && m.type == SKF_MOUNT_BIND && !m.make_source);
	assert_string_equal(m.propagation, "rslave");
	assert_int_equal(skf_engine_parse_mount("target=/c", &a, &m, &err), 0);
	assert_true(m.type == SKF_MOUNT_VOLUME && !m.source);
	assert_int_equal(
		skf_engine_parse_mount("type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=1770", &a, &m, &err), 0);
	assert_true(has(&m, "size=1048576") && has(&m, "mode=1770") && has(&m, "noexec"));
	ASSERT_FAILS(skf_engine_parse_mount("type=bind,dst=/c", &a, &m, &err), SKF_EINVALID,
		     "field Source must not be empty");
	ASSERT_FAILS(skf_engine_parse_mount("type=bind,src=/a", &a, &m, &err), SKF_EINVALID,
		     "target is required");
	ASSERT_FAILS(skf_engine_parse_mount("type=nosuch,dst=/a", &a, &m, &err), SKF_EINVALID,
		     "invalid value for type: nosuch");
	ASSERT_FAILS(skf_engine_parse_mount("nosuch=1,dst=/a", &a, &m, &err), SKF_EINVALID,
		     "unexpected key 'nosuch'");
	ASSERT_FAILS(skf_engine_parse_mount("type,dst=/a", &a, &m, &err), SKF_EINVALID,
		     "must be a key=value pair");
	ASSERT_FAILS(skf_engine_parse_mount("type=tmpfs,dst=/a,bind-propagation=shared", &a, &m, &err),
		     SKF_EINVALID, "cannot mix");
	ASSERT_FAILS(skf_engine_parse_mount("type=bind,\"src=/a,dst=/b", &a, &m, &err), SKF_EINVALID,
		     "a quote does not end");
	ASSERT_FAILS(skf_engine_parse_mount(
			     "type=bind,src=/s,dst=/a,ro,bind-recursive=readonly,bind-propagation=rslave",
			     &a, &m, &err),
		     SKF_EINVALID, "requires 'bind-propagation=rprivate'");
	assert_int_equal(
		skf_engine_parse_mount(
			"type=bind,src=/s,dst=/a,ro,bind-recursive=readonly,bind-propagation=rprivate", &a,
			&m, &err),
		0);
	ASSERT_FAILS(skf_engine_parse_mount("dst=/a,bind-recursive=x", &a, &m, &err), SKF_EINVALID,
		     "invalid value");
}

static void tmpfs(void **state)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(1 << 16);
	struct skf_mount_req m;

	assert_int_equal(skf_engine_parse_tmpfs("/run:size=64k,exec,ro", &a, &m, &err), 0);
	assert_true(m.readonly && has(&m, "size=64k") && has(&m, "nosuid") && !has(&m, "noexec"));
	ASSERT_FAILS(skf_engine_parse_tmpfs("run", &a, &m, &err), SKF_EINVALID,
		     "mount path must be absolute");
}

/* 64 fields, one more, and a word that does not fit into the arena. */
static void limits(void **state)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(1 << 16), small = SKF_ARENA(4096);
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(1 << 16);
	struct skf_mount_req m;

	skf_buf_str(&b, "target=/t");
	for (size_t i = 1; i < 64; i++)
		skf_buf_str(&b, ",nodev");
	assert_int_equal(skf_engine_parse_mount(skf_buf_cstr(&b), &a, &m, &err), 0);
	assert_int_equal(m.options.n, 63);
	skf_buf_str(&b, ",nodev");
	ASSERT_FAILS(skf_engine_parse_mount(skf_buf_cstr(&b), &a, &m, &err), SKF_EINVALID,
		     "more than 64 fields");
	skf_buf_clear(&b);
	skf_buf_str(&b, "target=/");
	for (size_t i = 0; i < 8192; i++)
		skf_buf_str(&b, "x");
	ASSERT_FAILS(skf_engine_parse_mount(skf_buf_cstr(&b), &small, &m, &err), SKF_ENOMEM,
		     "memory for the mount");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(good),    cmocka_unit_test(bad),
					   cmocka_unit_test(volumes), cmocka_unit_test(fields),
					   cmocka_unit_test(tmpfs),   cmocka_unit_test(limits)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
