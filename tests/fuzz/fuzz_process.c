/* process.json of exec. What decodes keeps its bounds, and comes back the same from state.json, where create
 * keeps it for exec. */
#include "base/limits.h"
#include "oci/spec.h"
#include "runtime/runtime_int.h"
#include "fuzzdir.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same_list(const struct skf_strv *a, const struct skf_strv *b)
{
	if (a->n != b->n)
		abort();
	for (size_t i = 0; i < a->n; i++)
		if (strcmp(a->v[i], b->v[i]) != 0)
			abort();
}

static void same(const struct skf_spec_process *a, const struct skf_spec_process *b)
{
	same_list(&a->args, &b->args);
	same_list(&a->env, &b->env);
	if (strcmp(a->cwd, b->cwd) != 0 || a->user.uid != b->user.uid || a->user.gid != b->user.gid ||
	    a->user.n_gids != b->user.n_gids || a->user.has_umask != b->user.has_umask ||
	    a->no_new_privs != b->no_new_privs || a->has_caps != b->has_caps ||
	    a->rlimits.n != b->rlimits.n || a->has_oom_score_adj != b->has_oom_score_adj ||
	    a->oom_score_adj != b->oom_score_adj)
		abort();
	if (a->has_caps &&
	    (a->caps.bounding != b->caps.bounding || a->caps.effective != b->caps.effective ||
	     a->caps.permitted != b->caps.permitted || a->caps.inheritable != b->caps.inheritable ||
	     a->caps.ambient != b->caps.ambient))
		abort();
	for (size_t i = 0; i < a->user.n_gids; i++)
		if (a->user.gids[i] != b->user.gids[i])
			abort();
}

static void through_state(const struct skf_spec_process *p, struct skf_arena *a)
{
	struct skf_rt rt = {.root = "/dev/shm"};
	struct skf_rt_create req = {.id = "box", .bundle = "/b", .root_mount_fd = -1};
	struct skf_spec spec = {.oci_version = (char *)"1.2.0", .root_path = (char *)"rootfs"};
	struct skf_start s = {.rt = &rt, .req = &req, .spec = &spec, .process = p, .state_fd = fuzz_dir()};
	struct skf_state_in in = {.s = &s,
				  .id = "box",
				  .created = "2026-01-01T00:00:00Z",
				  .boot_id = "b",
				  .pid = 1,
				  .pid_start = 1};
	struct skf_rt_state *st;
	struct skf_err e = SKF_ERR_INIT;

	if (skf_state_save(&in, &e) < 0) {
		if (e.kind != SKF_ELIMIT && e.kind != SKF_ENOMEM)
			abort(); /* too long for the file is the only way out */
		return;
	}
	if (skf_state_load_full(&rt, fuzz_dir(), true, "box", a, &st, NULL, &e) < 0) {
		if (e.kind != SKF_ELIMIT && e.kind != SKF_ENOMEM)
			abort();
		return;
	}
	if (!st->process)
		abort();
	same(p, st->process);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SKF_AUTO(skf_arena_done)
	struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC), again = SKF_ARENA(SKF_MAX_ARENA_DOC);
	const struct skf_spec_opts o = {.name = "process.json"};
	struct skf_err e = SKF_ERR_INIT;
	struct skf_spec_process *p;

	if (skf_spec_parse_process((const char *)data, size, &o, &a, &p, &e) < 0) {
		if (e.kind == SKF_OK || e.kind == SKF_EBUG || !e.msg[0])
			abort();
		return 0;
	}
	if (p->user.n_gids > SKF_MAX_GIDS || p->rlimits.n > SKF_MAX_RLIMITS || p->env.n > SKF_MAX_ENV ||
	    p->args.n > SKF_MAX_ARGS)
		abort();
	if (p->cwd)
		through_state(p, &again);
	return 0;
}
