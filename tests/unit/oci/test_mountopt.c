/* Mount options: all that the runtime-spec names, their order, and what becomes data. */
#include "oci_test.h"
#include "oci/mountopt.h"
#include "oci/spec.h"
#include <sys/mount.h>

/* options: comma-separated here for brevity, one string each in the list */
static int parse(const char *options, struct skf_arena *a, struct skf_mountopts *o, struct skf_err *e)
{
	struct skf_strv v = {0};
	SKF_AUTO_FREE char *copy = strdup(options);
	char *p = copy;

	while (p && *p) {
		char *comma = strchr(p, ',');
		if (comma)
			*comma = '\0';
		assert_int_equal(skf_strv_add(a, &v, p), 0);
		p = comma ? comma + 1 : NULL;
	}
	return skf_mountopts_parse(&v, a, o, e);
}

static void test_flags(void **state)
{
	static const struct {
		const char *in;
		unsigned long flags, clear, propagation;
		uint64_t set, clr;
		const char *data;
	} rows[] = {
		{"", 0, 0, 0, 0, 0, ""},
		{"defaults", 0, 0, 0, 0, 0, ""},
		{"ro,nosuid,nodev,noexec", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, 0, 0, 0, 0, ""},
		{"rw,suid,dev,exec", 0, MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, 0, 0, 0, ""},
		{"ro,rw", 0, MS_RDONLY, 0, 0, 0, ""},
		{"rw,ro", MS_RDONLY, 0, 0, 0, 0, ""},
		{"async,sync", MS_SYNCHRONOUS, 0, 0, 0, 0, ""},
		{"sync,async", 0, MS_SYNCHRONOUS, 0, 0, 0, ""},
		{"atime,diratime,norelatime,nostrictatime", 0,
		 MS_NOATIME | MS_NODIRATIME | MS_RELATIME | MS_STRICTATIME, 0, 0, 0, ""},
		{"noatime,nodiratime,relatime,strictatime",
		 MS_NOATIME | MS_NODIRATIME | MS_RELATIME | MS_STRICTATIME, 0, 0, 0, 0, ""},
		{"lazytime,iversion,silent,mand,dirsync",
		 MS_LAZYTIME | MS_I_VERSION | MS_SILENT | MS_MANDLOCK | MS_DIRSYNC, 0, 0, 0, 0, ""},
		{"nolazytime,noiversion,loud,nomand", 0,
		 MS_LAZYTIME | MS_I_VERSION | MS_SILENT | MS_MANDLOCK, 0, 0, 0, ""},
		{"nosymfollow", MS_NOSYMFOLLOW, 0, 0, 0, 0, ""},
		{"symfollow", 0, MS_NOSYMFOLLOW, 0, 0, 0, ""},
		{"remount,bind", MS_REMOUNT | MS_BIND, 0, 0, 0, 0, ""},
		{"rbind", MS_BIND | MS_REC, 0, 0, 0, 0, ""},
		{"private", 0, 0, MS_PRIVATE, 0, 0, ""},
		{"rprivate,private", 0, 0, MS_PRIVATE | MS_REC, 0, 0, ""},
		{"shared", 0, 0, MS_SHARED, 0, 0, ""},
		{"rshared", 0, 0, MS_SHARED | MS_REC, 0, 0, ""},
		{"slave", 0, 0, MS_SLAVE, 0, 0, ""},
		{"rslave", 0, 0, MS_SLAVE | MS_REC, 0, 0, ""},
		{"unbindable", 0, 0, MS_UNBINDABLE, 0, 0, ""},
		{"runbindable", 0, 0, MS_UNBINDABLE | MS_REC, 0, 0, ""},
		{"rro,rnosuid,rnodev,rnoexec", 0, 0, 0,
		 MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, 0, ""},
		{"rrw,rsuid,rdev,rexec", 0, 0, 0, 0,
		 MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, ""},
		{"rro,rrw", 0, 0, 0, 0, MOUNT_ATTR_RDONLY, ""},
		{"rrw,rro", 0, 0, 0, MOUNT_ATTR_RDONLY, 0, ""},
		{"rnodiratime,rnosymfollow", 0, 0, 0, MOUNT_ATTR_NODIRATIME | MOUNT_ATTR_NOSYMFOLLOW, 0, ""},
		{"rdiratime,rsymfollow", 0, 0, 0, 0, MOUNT_ATTR_NODIRATIME | MOUNT_ATTR_NOSYMFOLLOW, ""},
		{"rnoatime", 0, 0, 0, MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME, ""},
		{"rnoatime,rstrictatime", 0, 0, 0, MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME, ""},
		{"rstrictatime,rrelatime", 0, 0, 0, MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME, ""},
		{"rnoatime,ratime", 0, 0, 0, 0, MOUNT_ATTR__ATIME, ""},
		{"rnorelatime", 0, 0, 0, 0, MOUNT_ATTR__ATIME, ""},
		{"rstrictatime,rnostrictatime", 0, 0, 0, 0, MOUNT_ATTR__ATIME, ""},
		{"mode=755,ro,size=64k,newinstance", MS_RDONLY, 0, 0, 0, 0, "mode=755,size=64k,newinstance"},
		{"Ro,roo,r", 0, 0, 0, 0, 0, "Ro,roo,r"},
	};

	(void)state;
	for (size_t i = 0; i < SKF_ARRAY_LEN(rows); i++) {
		SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(1 << 20);
		struct skf_mountopts o;
		struct skf_err e = SKF_ERR_INIT;
		if (parse(rows[i].in, &a, &o, &e) < 0)
			fail_msg("%s: %s", rows[i].in, e.msg);
		if (o.flags != rows[i].flags || o.clear != rows[i].clear ||
		    o.propagation != rows[i].propagation || o.attr_rec_set != rows[i].set ||
		    o.attr_rec_clr != rows[i].clr || strcmp(o.data, rows[i].data) != 0)
			fail_msg("%s: flags %lx clear %lx propagation %lx set %lx clr %lx data '%s'",
				 rows[i].in, o.flags, o.clear, o.propagation, (unsigned long)o.attr_rec_set,
				 (unsigned long)o.attr_rec_clr, o.data);
	}
}

static void test_booleans(void **state)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(1 << 20);
	struct skf_mountopts o;
	struct skf_err e = SKF_ERR_INIT;

	(void)state;
	assert_int_equal(parse("tmpcopyup", &a, &o, &e), 0);
	assert_true(o.tmpcopyup && !o.copy_symlink && !o.idmap);
	assert_int_equal(parse("copy-symlink,src-nofollow,dest-nofollow", &a, &o, &e), 0);
	assert_true(o.copy_symlink && o.src_nofollow && o.dest_nofollow && !o.tmpcopyup);
	assert_int_equal(parse("idmap", &a, &o, &e), 0);
	assert_true(o.idmap && !o.ridmap && !o.idmap_spec);
	assert_int_equal(parse("ridmap", &a, &o, &e), 0);
	assert_true(o.ridmap);
	assert_int_equal(parse("idmap=uids=@0-1-10#11-1-1;gids=0-1-10", &a, &o, &e), 0);
	assert_true(o.idmap);
	assert_string_equal(o.idmap_spec, "uids=@0-1-10#11-1-1;gids=0-1-10");
	assert_string_equal(o.data, "");
}

static void test_bad(void **state)
{
	static const char *const bad[] = {"private,shared", "rslave,rprivate", "idmap=", "idmap=x",
					  "idmap=uids=1,idmap=uids=2"};
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(1 << 20);
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(1 << 20);
	struct skf_mountopts o;
	struct skf_err e = SKF_ERR_INIT;

	(void)state;
	for (size_t i = 0; i < SKF_ARRAY_LEN(bad); i++) {
		e = (struct skf_err)SKF_ERR_INIT;
		if (parse(bad[i], &a, &o, &e) == 0)
			fail_msg("accepted %s", bad[i]);
		assert_int_equal(e.kind, SKF_EINVALID);
	}
	while (b.len <= 65536)
		skf_buf_str(&b, "x=0123456789abcdef");
	assert_int_equal(parse(b.p, &a, &o, &e), -1);
	assert_int_equal(e.kind, SKF_ELIMIT);
}

static void test_idmap_text(void **state)
{
	struct skf_idmap container[] = {{0, 1000, 1}, {1, 100000, 65535}};
	const struct skf_jarr c = {container, 2}, none = {0};
	static const char *const bad[] = {"uids=",
					  "uids=1",
					  "uids=1-2",
					  "uids=1-2-",
					  "uids=1-2-0",
					  "uids=1-2-3-4",
					  "uids=1-2-3#",
					  "uids=-1-2-3",
					  "uids=1-2-4294967296",
					  "uids=1-2-3;uids=1-2-3",
					  "uids=1-2-3;x=1-2-3",
					  "uids=1-2-3 ",
					  "uids=@1-70000-3",
					  "uids=@@1-2-3",
					  "uids=1-2-99999999999999"};
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(1 << 20);
	struct skf_err e = SKF_ERR_INIT;
	struct skf_jarr u, g;

	(void)state;
	assert_int_equal(skf_mountopts_idmap("uids=0-1-10#10-11-5;gids=@3-7-9", &c, &c, &a, &u, &g, &e), 0);
	const struct skf_idmap *m = u.v, *n = g.v;
	assert_true(u.n == 2 && m[0].container_id == 0 && m[0].host_id == 1 && m[0].size == 10);
	assert_true(m[1].container_id == 10 && m[1].host_id == 11 && m[1].size == 5);
	assert_true(g.n == 1 && n[0].container_id == 3 && n[0].host_id == 100006 && n[0].size == 9);
	assert_int_equal(skf_mountopts_idmap("uids=@0-0-1", &c, &c, &a, &u, &g, &e), 0);
	assert_true(u.n == 1 && ((struct skf_idmap *)u.v)->host_id == 1000 && g.n == 0);
	for (size_t i = 0; i < SKF_ARRAY_LEN(bad); i++) {
		e = (struct skf_err)SKF_ERR_INIT;
		if (skf_mountopts_idmap(bad[i], &c, &c, &a, &u, &g, &e) == 0)
			fail_msg("accepted %s", bad[i]);
		assert_int_equal(e.kind, SKF_EINVALID);
	}
	assert_int_equal(skf_mountopts_idmap("uids=@0-0-1", &none, &none, &a, &u, &g, &e), -1);
	assert_non_null(strstr(e.msg, "without user namespace mappings"));
}

/* The published list is sorted (the search relies on it) and none of it becomes data. */
static void test_list(void **state)
{
	static const char *const must[] = {
		"async",      "atime",      "bind",       "defaults",      "dev",
		"diratime",   "dirsync",    "exec",       "iversion",      "lazytime",
		"loud",       "noatime",    "nodev",      "nodiratime",    "noexec",
		"noiversion", "nolazytime", "norelatime", "nostrictatime", "nosuid",
		"private",    "rbind",      "relatime",   "remount",       "ro",
		"rprivate",   "rshared",    "rslave",     "runbindable",   "rw",
		"shared",     "silent",     "slave",      "strictatime",   "suid",
		"sync",       "unbindable",
	};
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(1 << 20);
	struct skf_err e = SKF_ERR_INIT;

	(void)state;
	assert_int_equal(SKF_ARRAY_LEN(must), 37);
	for (size_t i = 0; skf_spec_mount_options[i]; i++) {
		struct skf_mountopts o;
		if (i)
			assert_true(strcmp(skf_spec_mount_options[i - 1], skf_spec_mount_options[i]) < 0);
		assert_int_equal(parse(skf_spec_mount_options[i], &a, &o, &e), 0);
		assert_string_equal(o.data, "");
	}
	for (size_t i = 0; i < SKF_ARRAY_LEN(must); i++) {
		size_t k = 0;
		while (skf_spec_mount_options[k] && strcmp(skf_spec_mount_options[k], must[i]) != 0)
			k++;
		if (!skf_spec_mount_options[k])
			fail_msg("'%s' is missing", must[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flags), cmocka_unit_test(test_booleans),
		cmocka_unit_test(test_bad),   cmocka_unit_test(test_idmap_text),
		cmocka_unit_test(test_list),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
