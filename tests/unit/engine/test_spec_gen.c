/* Unit tests of engine/spec_gen.c and process_gen.c: what is written is read back by the runtime's own
 * decoder. */
#include "util.h"
#include "oci/default_seccomp.h"
#include "oci/spec.h"
#include <linux/capability.h>
#include <sched.h>
#include <sys/mount.h>

#define ID     "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define CAP(n) (1ull << (n))

static struct skf_err err;

struct fixture {
	struct skf_arena a;
	struct skf_ctrconf conf;
	struct skf_gen g;
	struct skf_buf text;
	struct skf_spec *s;
};

static char *own(struct fixture *f, const char *s)
{
	return skf_arena_strdup(&f->a, s);
}

static void start(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	f->a = (struct skf_arena)SKF_ARENA(SKF_MAX_ARENA_DOC);
	f->text = (struct skf_buf)SKF_BUF(SKF_MAX_SPEC_BYTES);
	f->conf = (struct skf_ctrconf){.name = own(f, "web"),
				       .image = own(f, "docker.io/library/x:1"),
				       .image_id = own(f, "sha256:00"),
				       .manifest = own(f, "sha256:00"),
				       .created = own(f, "2026-01-01T00:00:00Z"),
				       .network = own(f, "none"),
				       .log_driver = own(f, "json-file"),
				       .stop_signal = 15,
				       .stop_timeout = 10};
	f->g = (struct skf_gen){.id = ID,
				.hostname = "box",
				.hosts_dir = "/c",
				.conf = &f->conf,
				.cgroup = "/skiff/c/" ID,
				.seccomp = "",
				.shm_size = 64 << 20};
	for (int i = 0; i < SKF_N_NS; i++)
		f->g.ns[i].on = i != SKF_NS_USER;
	f->g.process.cwd = "/";
	f->g.process.caps = SKF_DEFAULT_CAPS;
	assert_int_equal(skf_strv_add(&f->a, &f->g.process.args, "sh"), 0);
	assert_int_equal(skf_strv_add(&f->a, &f->g.process.env, "A=\"b\"\n"), 0);
}

static void generate(struct fixture *f)
{
	const struct skf_spec_opts o = {.name = "config.json"};

	skf_buf_clear(&f->text);
	if (skf_spec_gen(&f->g, &f->text, &err) < 0 ||
	    skf_spec_parse(f->text.p, f->text.len, &o, &f->a, &f->s, &err) < 0)
		fail_msg("%s", err.msg);
}

static void finish(struct fixture *f)
{
	skf_buf_done(&f->text);
	skf_arena_done(&f->a);
}

static const struct skf_spec_mount *mount_at(const struct fixture *f, const char *target, size_t *ret_index)
{
	const struct skf_spec_mount *m = f->s->mounts.v, *found = NULL;

	for (size_t i = 0; i < f->s->mounts.n; i++)
		if (!strcmp(m[i].destination, target)) {
			assert_null(found); /* never twice */
			found = &m[i];
			if (ret_index)
				*ret_index = i;
		}
	return found;
}

static bool has(const struct skf_strv *v, const char *word)
{
	for (size_t i = 0; i < v->n; i++)
		if (!strcmp(v->v[i], word))
			return true;
	return false;
}

static void defaults(void **state)
{
	struct skf_ctrconf *c;
	struct fixture f;

	start(&f);
	generate(&f);
	assert_string_equal(f.s->process->args.v[0], "sh");
	assert_string_equal(f.s->process->env.v[0], "A=\"b\"\n");
	assert_int_equal(f.s->process->caps.bounding, SKF_DEFAULT_CAPS);
	assert_int_equal(f.s->process->caps.effective, SKF_DEFAULT_CAPS);
	assert_int_equal(f.s->process->caps.inheritable, 0);
	assert_int_equal(f.s->process->caps.ambient, 0);
	assert_false(f.s->process->no_new_privs);
	assert_string_equal(f.s->root_path, "rootfs");
	assert_string_equal(f.s->hostname, "box");
	assert_string_equal(f.s->linux_.cgroups_path, "/skiff/c/" ID);
	for (int t = 0; t < 6; t++) {
		static const int types[] = {CLONE_NEWPID, CLONE_NEWNS,     CLONE_NEWIPC,
					    CLONE_NEWUTS, CLONE_NEWCGROUP, CLONE_NEWNET};

		assert_non_null(skf_spec_ns(f.s, types[t]));
	}
	assert_null(skf_spec_ns(f.s, CLONE_NEWUSER));
	assert_non_null(f.s->linux_.seccomp);
	assert_true(has(&f.s->linux_.masked_paths, "/proc/kcore") &&
		    has(&f.s->linux_.readonly_paths, "/proc/sys"));
	assert_true(has(&mount_at(&f, "/sys", NULL)->options, "ro") &&
		    has(&mount_at(&f, "/sys/fs/cgroup", NULL)->options, "ro"));
	assert_string_equal(mount_at(&f, "/etc/hosts", NULL)->source, "/c/hosts");
	assert_int_equal(f.s->linux_.resources.memory.has_limit, 0);
	assert_int_equal(skf_ctrconf_parse(f.text.p, f.text.len, &f.a, &c, &err), 0);
	assert_string_equal(c->name, "web");
	assert_true(strncmp(f.text.p, "{\"v\":1,\"min\":1,", 15) == 0);
	finish(&f);
}

static void another_user_has_no_effective_caps(void **state)
{
	struct fixture f;

	start(&f);
	f.g.process.uid = 1000;
	generate(&f);
	assert_int_equal(f.s->process->caps.bounding, SKF_DEFAULT_CAPS);
	assert_int_equal(f.s->process->caps.effective, 0);
	assert_int_equal(f.s->process->caps.permitted, 0);
	assert_int_equal(f.s->process->caps.inheritable, 0);
	finish(&f);
}

static void privileged(void **state)
{
	struct fixture f;
	const struct skf_spec_device_rule *r;

	start(&f);
	f.g.privileged = true;
	f.g.seccomp = NULL;
	generate(&f);
	assert_null(f.s->linux_.seccomp);
	assert_int_equal(f.s->linux_.masked_paths.n + f.s->linux_.readonly_paths.n, 0);
	assert_true(has(&mount_at(&f, "/sys", NULL)->options, "rw"));
	r = f.s->linux_.resources.devices.v;
	assert_int_equal(f.s->linux_.resources.devices.n, 1);
	assert_true(r[0].allow);
	finish(&f);
}

static void host_network(void **state)
{
	struct fixture f;

	start(&f);
	f.g.host_network = true;
	f.g.ns[SKF_NS_NET].on = false;
	generate(&f);
	assert_null(skf_spec_ns(f.s, CLONE_NEWNET));
	assert_int_equal(f.s->linux_.sysctl.n, 0);
	finish(&f);
}

static void limits(void **state)
{
	struct fixture f;

	start(&f);
	f.g.res = (struct skf_gen_res){
		.memory = 64 << 20, .swap = 128 << 20, .quota = 150000, .period = 100000, .pids = 100};
	f.g.readonly = true;
	f.g.process.no_new_privs = true;
	f.g.seccomp = NULL;
	generate(&f);
	assert_int_equal(f.s->linux_.resources.memory.limit, 64 << 20);
	assert_int_equal(f.s->linux_.resources.memory.swap, 128 << 20);
	assert_int_equal(f.s->linux_.resources.cpu.quota, 150000);
	assert_int_equal(f.s->linux_.resources.cpu.period, 100000);
	assert_int_equal(f.s->linux_.resources.pids.limit, 100);
	assert_true(f.s->root_readonly && f.s->process->no_new_privs);
	assert_null(f.s->linux_.seccomp);
	finish(&f);
}

static void mounts_of_the_user_win(void **state)
{
	struct skf_gen_mount m[] = {{"/etc/hosts", "bind", "/h", {0}}, {"/dev/shm", "bind", "/s", {0}}};
	struct fixture f;
	size_t dev, shm;

	start(&f);
	assert_int_equal(skf_strv_add(&f.a, &m[0].options, "rbind"), 0);
	assert_int_equal(skf_strv_add(&f.a, &m[0].options, "ro"), 0);
	assert_int_equal(skf_strv_add(&f.a, &m[1].options, "rbind"), 0);
	assert_int_equal(skf_strv_add(&f.a, &m[1].options, "rslave"), 0);
	f.g.mounts = m;
	f.g.n_mounts = 2;
	generate(&f);
	assert_string_equal(mount_at(&f, "/etc/hosts", NULL)->source, "/h");
	assert_true(has(&mount_at(&f, "/etc/hosts", NULL)->options, "ro"));
	assert_string_equal(mount_at(&f, "/dev/shm", &shm)->source, "/s");
	assert_true(has(&mount_at(&f, "/dev/shm", NULL)->options, "rslave"));
	assert_non_null(mount_at(&f, "/dev", &dev));
	assert_true(dev < shm);
	finish(&f);
}

static struct skf_strv words(struct skf_arena *a, const char *const *w)
{
	struct skf_strv v = {0};

	for (; *w; w++)
		assert_int_equal(skf_strv_add(a, &v, *w), 0);
	return v;
}
#define WORDS(...) words(&a, (const char *const[]){__VA_ARGS__, NULL})

static void capabilities(void **state)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(1 << 20);
	const struct skf_strv none = {0};
	struct skf_strv all = WORDS("ALL"), x = WORDS("CAP_SYS_TIME", "net_raw"), bogus = WORDS("CAP_NOPE");
	uint64_t m, everything;

	assert_int_equal(skf_caps_gen(&none, &none, false, &m, &err), 0);
	assert_int_equal(m, SKF_DEFAULT_CAPS);
	assert_int_equal(skf_caps_gen(&none, &none, true, &everything, &err), 0);
	assert_true(everything & CAP(CAP_SYS_ADMIN));
	assert_int_equal(skf_caps_gen(&x, &none, false, &m, &err), 0);
	assert_int_equal(m, SKF_DEFAULT_CAPS | CAP(CAP_SYS_TIME));
	assert_int_equal(skf_caps_gen(&none, &x, false, &m, &err), 0);
	assert_int_equal(m, SKF_DEFAULT_CAPS & ~CAP(CAP_NET_RAW));
	assert_int_equal(skf_caps_gen(&x, &all, false, &m, &err), 0);
	assert_int_equal(m, CAP(CAP_SYS_TIME) | CAP(CAP_NET_RAW));
	assert_int_equal(skf_caps_gen(&all, &x, false, &m, &err), 0);
	assert_int_equal(m, everything & ~CAP(CAP_SYS_TIME) & ~CAP(CAP_NET_RAW));
	ASSERT_FAILS(skf_caps_gen(&bogus, &none, false, &m, &err), SKF_EINVALID,
		     "unknown capability: \"CAP_NOPE\"");
}

static void environment(void **state)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(1 << 20);
	struct skf_strv image = WORDS("PATH=/x", "A=1", "B=2"), user = WORDS("A=3", "B", "C=", "NOT_THERE"),
			out;
	struct skf_env_gen q = {
		.hostname = "h", .home = "/home/u", .tty = true, .image = &image, .user = &user};

	assert_int_equal(skf_env_gen(&q, &a, &out, &err), 0);
	assert_int_equal(out.n, 6);
	assert_string_equal(out.v[0], "PATH=/x");
	assert_string_equal(out.v[1], "HOSTNAME=h");
	assert_string_equal(out.v[2], "TERM=xterm");
	assert_string_equal(out.v[3], "A=3");
	assert_string_equal(out.v[4], "C=");
	assert_string_equal(out.v[5], "HOME=/home/u");
	user = WORDS("HOME=/mine");
	assert_int_equal(skf_env_gen(&q, &a, &out, &err), 0);
	assert_string_equal(out.v[out.n - 1], "HOME=/mine");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),     cmocka_unit_test(another_user_has_no_effective_caps),
		cmocka_unit_test(privileged),   cmocka_unit_test(host_network),
		cmocka_unit_test(limits),       cmocka_unit_test(mounts_of_the_user_win),
		cmocka_unit_test(capabilities), cmocka_unit_test(environment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
