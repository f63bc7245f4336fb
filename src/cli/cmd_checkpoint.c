/* cli/cmd_checkpoint.c -- container checkpoint and restore with podman's words, checkpoint create, ls and rm with docker's. */
#include "cli/cli_int.h"
#include "engine/checkpoint.h"
#include "engine/life.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int skf_cli_checkpoint_dir(struct skf_cli *c, const char **ret)
{
	char here[4096];
	const char *d = c->o.checkpoint_dir;

	*ret = NULL;
	if (!d || !*d)
		return 0;
	if (d[0] != '/' && !getcwd(here, sizeof(here)))
		return skf_fail_sys(&c->e, -errno, "find out the current directory");
	*ret = d[0] == '/' ? d : skf_arena_fmt(&c->a, "%s/%s", here, d);
	return *ret ? 0 : skf_fail(&c->e, SKF_ENOMEM, "memory for the path '%s'", d);
}

/* --- podman's --- */

/* podman's document of --print-stats, microseconds; several containers share one. */
static void print_stats(const char *verb, const char *what, const char *id, int64_t us)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(4096);
	struct skf_jw w = {.b = &b, .indent = 4};
	char key[64];

	snprintf(key, sizeof(key), "podman_%s_duration", verb);
	skf_jw_obj(&w);
	skf_jw_kint(&w, key, us);
	skf_jw_karr(&w, "container_statistics");
	skf_jw_obj(&w);
	skf_jw_kstr(&w, "Id", id);
	skf_jw_kint(&w, what, us);
	skf_jw_end(&w);
	skf_jw_end_arr(&w);
	skf_jw_end(&w);
	printf("%s\n", skf_buf_cstr(&b));
}

static int checkpoint_one(struct skf_cli *c, const char *name)
{
	struct skf_checkpoint_req q = SKF_REQ(struct skf_checkpoint_req);
	char id[SKF_ID_LEN + 1];
	int64_t us;

	q.container = name;
	q.leave_running = c->o.leave_running;
	q.tcp_established = c->o.tcp_established;
	q.file_locks = c->o.file_locks;
	q.keep_logs = c->o.keep;
	q.pre = c->o.pre_checkpoint;
	q.with_previous = c->o.with_previous;
	q.replace = true;
	if (skf_engine_resolve(c->g, name, id, &c->e) < 0 || skf_engine_checkpoint(c->g, &q, &us, &c->e) < 0)
		return -1;
	if (c->o.print_stats)
		print_stats("checkpoint", "runtime_checkpoint_duration", id, us);
	else
		printf("%s\n", name);
	return 0;
}

int skf_cmd_checkpoint(struct skf_cli *c)
{
	static const char *const up[] = {"running", "paused", NULL};

	if (c->o.pre_checkpoint && c->o.with_previous) {
		skf_fail(&c->e, SKF_EINVALID, "--with-previous cannot be set with --pre-checkpoint");
		return skf_cli_fail(c, 125);
	}
	return skf_cli_targets(c, up) < 0 ? skf_cli_usage(c) : skf_cli_for_each(c, checkpoint_one);
}

static int restore_one(struct skf_cli *c, const char *name)
{
	const struct skf_restore_opts o = {.tcp_established = c->o.tcp_established, .file_locks = c->o.file_locks};
	struct skf_start_req q = SKF_REQ(struct skf_start_req);
	struct skf_run_handle h = {.sock = -EBADF};
	int64_t since = skf_mono_ms();

	q.container = name;
	q.stdio[0] = q.stdio[1] = q.stdio[2] = -EBADF;
	q.restore = &o;
	if (skf_engine_start(c->g, &q, &h, &c->e) < 0)
		return -1;
	if (c->o.print_stats)
		print_stats("restore", "runtime_restore_duration", h.id, (skf_mono_ms() - since) * 1000);
	else
		printf("%s\n", name);
	return c->o.keep ? 0 : skf_engine_checkpoint_rm(c->g, h.id, NULL, SKF_CHECKPOINT_DEFAULT, &c->e);
}

int skf_cmd_restore(struct skf_cli *c)
{
	static const char *const resting[] = {"exited", NULL};

	return skf_cli_targets(c, resting) < 0 ? skf_cli_usage(c) : skf_cli_for_each(c, restore_one);
}

/* --- docker's --- */

int skf_cmd_checkpoint_create(struct skf_cli *c)
{
	struct skf_checkpoint_req q = SKF_REQ(struct skf_checkpoint_req);
	int64_t us;

	q.container = c->args.v[0];
	q.name = c->args.v[1];
	q.leave_running = c->o.leave_running;
	if (skf_cli_checkpoint_dir(c, &q.dir) < 0 || skf_cli_engine(c) < 0 || skf_engine_checkpoint(c->g, &q, &us, &c->e) < 0)
		return skf_cli_fail(c, 1);
	printf("%s\n", q.name);
	return 0;
}

int skf_cmd_checkpoint_ls(struct skf_cli *c)
{
	SKF_AUTO(skf_table_done) struct skf_table t = SKF_TABLE(1);
	struct skf_strv names = {0};
	const char *dir;

	if (skf_cli_checkpoint_dir(c, &dir) < 0 || skf_cli_engine(c) < 0 || skf_engine_checkpoints(c->g, c->args.v[0], dir, &c->a, &names, &c->e) < 0)
		return skf_cli_fail(c, 1);
	skf_table_add(&t, "CHECKPOINT NAME");
	for (size_t i = 0; i < names.n; i++)
		skf_table_add(&t, names.v[i]);
	skf_table_print(&t);
	return 0;
}

int skf_cmd_checkpoint_rm(struct skf_cli *c)
{
	const char *dir;

	if (skf_cli_checkpoint_dir(c, &dir) < 0 || skf_cli_engine(c) < 0 ||
	    skf_engine_checkpoint_rm(c->g, c->args.v[0], dir, c->args.v[1], &c->e) < 0)
		return skf_cli_fail(c, 1);
	return 0;
}
