/* state.json: what create writes is what later commands read; ids; the lock; damaged files. */
#include "base/json.h"
#include "base/proc.h"
#include "oci/spec.h"
#include "runtime/runtime_int.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const char config[] =
	"{\"ociVersion\":\"1.2.0\",\"root\":{\"path\":\"rootfs\"},\"annotations\":{\"k\":\"v \\\"q\\\"\"},"
	"\"process\":{\"args\":[\"sh\"],\"env\":[\"A=1\",\"B=\\u00e9\"],\"cwd\":\"/"
	"w\",\"noNewPrivileges\":true,\"oomScoreAdj\":-5,"
	"\"user\":{\"uid\":7,\"gid\":8,\"umask\":23,\"additionalGids\":[9,10]},"
	"\"capabilities\":{\"bounding\":[\"CAP_KILL\",\"CAP_CHOWN\"],\"effective\":[\"CAP_KILL\"]},"
	"\"rlimits\":[{\"type\":\"RLIMIT_NOFILE\",\"hard\":18446744073709551615,\"soft\":5}]},"
	"\"hooks\":{\"poststop\":[{\"path\":\"/bin/"
	"true\",\"args\":[\"true\",\"x\"],\"env\":[\"E=1\"],\"timeout\":3}]},"
	"\"linux\":{\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"pid\"}]}}";

struct ctx {
	char dir[40];
	struct skf_rt rt;
	struct skf_arena arena;
	struct skf_spec *spec;
	struct skf_rt_create req;
	struct skf_start s;
};

static int setup(void **state)
{
	static struct ctx c;
	struct skf_spec_opts o = {.name = "config.json"};
	struct skf_err e = SKF_ERR_INIT;

	memset(&c, 0, sizeof(c));
	c.arena = (struct skf_arena)SKF_ARENA(1 << 20);
	strcpy(c.dir, "/tmp/skf-state-XXXXXX");
	if (!mkdtemp(c.dir))
		return -1;
	c.rt.root = c.dir;
	assert_int_equal(skf_rt_open(&c.rt, &e), 0);
	assert_int_equal(skf_spec_parse(config, sizeof(config) - 1, &o, &c.arena, &c.spec, &e), 0);
	assert_int_equal(mkdirat(c.rt.rootfd, "box", 0700), 0);
	c.req = (struct skf_rt_create){.id = "box", .bundle = "/the/bundle", .root_mount_fd = -1};
	c.s = (struct skf_start){.rt = &c.rt,
				 .req = &c.req,
				 .spec = c.spec,
				 .process = c.spec->process,
				 .ns_new = 0x24000000};
	c.s.state_fd = openat(c.rt.rootfd, "box", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	c.s.cg = (struct skf_cg_dirs){.path = "/skiff/c/box",
				      .used = 1u << 1,
				      .layout = {.mode = SKF_CG_HYBRID,
						 .n = 2,
						 .h = {{"cpu", "/x/cpu", false}, {"", "/x/unified", true}}}};
	*state = &c;
	return 0;
}

static int teardown(void **state)
{
	struct ctx *c = *state;

	close(c->s.state_fd);
	close(c->rt.rootfd);
	skf_arena_done(&c->arena);
	return skf_rmtree_at(AT_FDCWD, c->dir);
}

static void save(struct ctx *c, pid_t pid)
{
	struct skf_err e = SKF_ERR_INIT;
	char boot[37];
	struct skf_state_in in = {
		.s = &c->s, .id = "box", .created = "2026-01-01T00:00:00Z", .boot_id = boot, .pid = pid};

	assert_int_equal(skf_boot_id(boot), 0);
	assert_int_equal(skf_proc_start_time(pid, &in.pid_start), 0);
	assert_int_equal(skf_state_save(&in, &e), 0);
}

static void round_trip(void **state)
{
	struct ctx *c = *state;
	struct skf_err e = SKF_ERR_INIT;
	struct skf_rt_state *s;
	struct skf_state_hooks h;
	const struct skf_spec_hook *hook;
	const struct skf_spec_rlimit *l;

	save(c, getpid());
	assert_int_equal(skf_state_load_full(&c->rt, c->s.state_fd, true, "box", &c->arena, &s, &h, &e), 0);
	assert_string_equal(s->id, "box");
	assert_string_equal(s->bundle, "/the/bundle");
	assert_string_equal(s->rootfs, "/the/bundle/rootfs");
	assert_string_equal(s->oci_version, "1.2.0");
	assert_int_equal(s->status, SKF_RT_RUNNING);
	assert_int_equal(s->pid, getpid());
	assert_int_equal(s->ns_flags, 0x24000000);
	assert_string_equal(skf_kvs_get(&s->annotations, "k"), "v \"q\"");
	assert_string_equal(s->cg.path, "/skiff/c/box");
	assert_int_equal(s->cg.layout.n, 1);
	assert_int_equal(s->cg.used, 1);
	assert_true(s->cg.layout.h[0].v2);
	assert_string_equal(s->cg.layout.h[0].mountpoint, "/x/unified");
	assert_int_equal(s->process->user.uid, 7);
	assert_int_equal(s->process->user.umask, 23);
	assert_int_equal(s->process->user.n_gids, 2);
	assert_string_equal(s->process->env.v[1], "B=\xc3\xa9");
	assert_string_equal(s->process->cwd, "/w");
	assert_true(s->process->no_new_privs);
	assert_int_equal(s->process->oom_score_adj, -5);
	assert_int_equal(s->process->caps.bounding, 1 << 5 | 1 << 0);
	l = s->process->rlimits.v;
	assert_true(l[0].hard == UINT64_MAX && l[0].soft == 5);
	assert_int_equal(h.poststop.n, 1);
	hook = h.poststop.v;
	assert_string_equal(hook->args.v[1], "x");
	assert_int_equal(hook->timeout, 3);
}

static void status_follows_the_process(void **state)
{
	struct ctx *c = *state;
	struct skf_err e = SKF_ERR_INIT;
	struct skf_rt_state *s;
	char text[4096], *p;
	ssize_t n;

	save(c, getpid());
	assert_int_equal(mkfifoat(c->s.state_fd, "exec.fifo", 0600), 0);
	int reader = openat(c->s.state_fd, "exec.fifo", O_RDWR | O_CLOEXEC);
	assert_true(reader >= 0);
	assert_int_equal(skf_rt_state_load(&c->rt, "box", &c->arena, &s, &e), 0);
	assert_int_equal(s->status, SKF_RT_CREATED);
	/* a fifo that nobody waits on is what a killed start left */
	close(reader);
	assert_int_equal(skf_rt_state_load(&c->rt, "box", &c->arena, &s, &e), 0);
	assert_int_equal(s->status, SKF_RT_RUNNING);
	assert_true(s->has_fifo);
	/* the same pid of another boot is another process */
	SKF_AUTO_FD int fd = openat(c->s.state_fd, "state.json", O_RDWR | O_CLOEXEC);
	n = read(fd, text, sizeof(text) - 1);
	assert_true(n > 0);
	text[n] = '\0';
	p = strstr(text, "\"bootId\":\"");
	p[10] = p[10] == '0' ? '1' : '0';
	assert_int_equal(pwrite(fd, text, (size_t)n, 0), n);
	assert_int_equal(skf_rt_state_load(&c->rt, "box", &c->arena, &s, &e), 0);
	assert_int_equal(s->status, SKF_RT_STOPPED);
	assert_int_equal(s->pid, 0);
}

static void damaged_and_missing(void **state)
{
	struct ctx *c = *state;
	struct skf_err e = SKF_ERR_INIT;
	struct skf_rt_state *s;
	static const char *const bad[] = {"", "{", "{\"v\":1,\"min\":1}",
					  "{\"v\":2,\"min\":2,\"ociVersion\":\"1\"}", "[]"};

	assert_int_equal(skf_rt_state_load(&c->rt, "box", &c->arena, &s, &e), -1);
	assert_int_equal(e.kind, SKF_ENOTFOUND);
	assert_int_equal(skf_rt_state_load(&c->rt, "other", &c->arena, &s, &e), -1);
	assert_int_equal(e.kind, SKF_ENOTFOUND);
	for (size_t i = 0; i < SKF_ARRAY_LEN(bad); i++) {
		assert_int_equal(
			skf_write_atomic_at(c->s.state_fd, "state.json", bad[i], strlen(bad[i]), 0600, 0),
			0);
		assert_int_equal(skf_rt_state_load(&c->rt, "box", &c->arena, &s, &e), -1);
		assert_non_null(strstr(e.msg, "'box'"));
	}
}

static void filter_round_trip(void **state)
{
	struct ctx *c = *state;
	struct skf_err e = SKF_ERR_INIT;
	struct sock_filter insn[2] = {{0x20, 0, 0, 4}, {0x06, 0, 0, 0x7fff0000}};
	struct skf_bpf_prog p = {.insn = insn, .n = 2, .flags = 2}, q;

	assert_int_equal(skf_state_load_bpf(c->s.state_fd, &c->arena, &q, &e), 0);
	assert_int_equal(q.n, 0);
	assert_int_equal(skf_state_save_bpf(c->s.state_fd, &p, &e), 0);
	assert_int_equal(skf_state_load_bpf(c->s.state_fd, &c->arena, &q, &e), 0);
	assert_int_equal(q.n, 2);
	assert_int_equal(q.flags, 2);
	assert_memory_equal(q.insn, insn, sizeof(insn));
	assert_int_equal(skf_write_atomic_at(c->s.state_fd, "seccomp.bpf", "cut", 3, 0600, 0), 0);
	assert_int_equal(skf_state_load_bpf(c->s.state_fd, &c->arena, &q, &e), -1); /* fails closed */
	assert_int_equal(e.kind, SKF_ECORRUPT);
}

static void ids(void **state)
{
	static const char *const good[] = {"a", "A_b+c-d.e", "0", "x.y"};
	static const char *const bad[] = {"", ".", "..", ".seccomp-cache", "a/b", "a b", "\xc3\xa9", "a\n"};
	struct skf_err e = SKF_ERR_INIT;
	char longid[300];

	(void)state;
	for (size_t i = 0; i < SKF_ARRAY_LEN(good); i++)
		assert_int_equal(skf_state_check_id(good[i], &e), 0);
	for (size_t i = 0; i < SKF_ARRAY_LEN(bad); i++)
		assert_int_equal(skf_state_check_id(bad[i], &e), -1);
	memset(longid, 'a', sizeof(longid));
	longid[255] = '\0';
	assert_int_equal(skf_state_check_id(longid, &e), 0);
	longid[255] = 'a';
	longid[256] = '\0';
	assert_int_equal(skf_state_check_id(longid, &e), -1);
	assert_int_equal(skf_state_check_id(NULL, &e), -1);
}

static void lock_excludes_and_notices_removal(void **state)
{
	struct ctx *c = *state;
	int a = skf_state_lock(&c->rt, "box", 100);

	assert_true(a >= 0);
	assert_int_equal(skf_state_lock(&c->rt, "box", 10), -ETIMEDOUT);
	close(a);
	a = skf_state_lock(&c->rt, "box", 100);
	assert_true(a >= 0);
	close(a);
	assert_int_equal(skf_state_lock(&c->rt, "nosuch", 10), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(round_trip, setup, teardown),
		cmocka_unit_test_setup_teardown(status_follows_the_process, setup, teardown),
		cmocka_unit_test_setup_teardown(damaged_and_missing, setup, teardown),
		cmocka_unit_test_setup_teardown(filter_round_trip, setup, teardown),
		cmocka_unit_test_setup_teardown(lock_excludes_and_notices_removal, setup, teardown),
		cmocka_unit_test(ids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
