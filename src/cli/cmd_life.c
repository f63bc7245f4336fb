/* cli/cmd_life.c -- create, start, restart, attach, rename, pause, unpause, wait, update, prune, exists,
 * healthcheck run, system boot. */
#include "cli/cli_int.h"
#include "base/proc.h"
#include "engine/checkpoint.h"
#include "engine/life.h"
#include <string.h>
#include <unistd.h>

#define RUN_STATUS 125

int skf_cmd_create(struct skf_cli *c)
{
	struct skf_create_req q = SKF_REQ(struct skf_create_req);
	struct skf_cli_progress progress;
	char id[SKF_ID_LEN + 1];
	int r;

	q.stdio[0] = q.stdio[1] = q.stdio[2] = -EBADF;
	if (skf_cli_run_request(c, &q) < 0 || skf_cli_engine(c) < 0)
		return skf_cli_fail(c, RUN_STATUS);
	skf_cli_progress_init(&progress, stderr, c->o.quiet);
	r = skf_engine_create(c->g, &q, &progress.p, id, &c->e);
	skf_cli_progress_done(&progress);
	if (r < 0 || skf_cli_write_cidfile(c, id) < 0)
		return skf_cli_fail(c, r < 0 ? RUN_STATUS : 1);
	printf("%s\n", id);
	return 0;
}

/* --- start --- */
/* --checkpoint: *ret is q's to point to. */
static int set_checkpoint(struct skf_cli *c, struct skf_start_req *q, struct skf_restore_opts *ret)
{
	*ret = (struct skf_restore_opts){.name = c->o.checkpoint};
	if (!c->o.checkpoint)
		return c->o.checkpoint_dir
			       ? skf_fail(&c->e, SKF_EINVALID, "--checkpoint-dir needs --checkpoint")
			       : 0;
	if (c->args.n != 1)
		return skf_fail(&c->e, SKF_EINVALID, "you cannot restore multiple containers at once");
	q->restore = ret;
	return skf_cli_checkpoint_dir(c, &ret->dir);
}

/* What a start has to know of sd_notify(3): nothing is read where nobody waits. n is q's to point to. */
static int set_notify(struct skf_cli *c, const char *name, struct skf_start_req *q, struct skf_notify *n,
		      struct skf_ctr_brief *b)
{
	*n = (struct skf_notify){skf_cli_sdnotify_host(), -EBADF, -EBADF};
	b->sdnotify[0] = '\0';
	if (!n->host)
		return 0;
	if (skf_engine_brief(c->g, name, b, &c->e) < 0)
		return -1;
	if (b->up)
		b->sdnotify[0] = '\0'; /* it was ready long ago */
	if (skf_streq(b->sdnotify, "container"))
		q->notify = n;
	return 0;
}

static int start_one(struct skf_cli *c, const char *name)
{
	struct skf_start_req q = SKF_REQ(struct skf_start_req);
	struct skf_restore_opts o;
	struct skf_run_handle h;
	struct skf_ctr_brief b;
	struct skf_notify n;

	q.container = name;
	q.stdio[0] = q.stdio[1] = q.stdio[2] = -EBADF;
	if (set_notify(c, name, &q, &n, &b) < 0 || set_checkpoint(c, &q, &o) < 0 ||
	    skf_engine_start(c->g, &q, &h, &c->e) < 0)
		return -1;
	printf("%s\n", name);
	fflush(stdout);
	skf_cli_sdnotify(c, b.sdnotify, h.id, &n, h.pid, false);
	return 0;
}

static struct skf_pump pump_of(struct skf_cli *c, struct skf_run_handle *h, const struct skf_ctr_brief *b,
			       bool input)
{
	return (struct skf_pump){.g = c->g,
				 .h = h,
				 .tty = b->tty,
				 .interactive = input && b->open_stdin,
				 .sig_proxy = c->o.sig_proxy,
				 .detach_keys = c->o.detach_keys,
				 .in = -EBADF,
				 .out = -EBADF,
				 .err = -EBADF};
}

static int attach_to(struct skf_cli *c, const char *name);

static int start_attached(struct skf_cli *c)
{
	struct skf_start_req q = SKF_REQ(struct skf_start_req);
	struct skf_run_handle h = {.sock = -EBADF};
	struct skf_restore_opts o;
	struct skf_ctr_brief b;
	struct skf_notify n;

	if (c->args.n != 1) {
		skf_fail(&c->e, SKF_EINVALID, "you cannot start and attach multiple containers at once");
		return skf_cli_fail(c, 1);
	}
	if (skf_cli_engine(c) < 0 || skf_engine_brief(c->g, c->args.v[0], &b, &c->e) < 0)
		return skf_cli_fail(c, 1);
	if (b.up)
		return attach_to(c, c->args.v[0]);
	SKF_AUTO(skf_pump_done) struct skf_pump p = pump_of(c, &h, &b, c->o.interactive);
	q.container = c->args.v[0];
	q.attach = true;
	if (set_notify(c, q.container, &q, &n, &b) < 0 || set_checkpoint(c, &q, &o) < 0 ||
	    skf_pump_pipes(&p, q.stdio, &c->e) < 0)
		return skf_cli_fail(c, 1);
	if (b.tty)
		skf_pump_size(&q.rows, &q.cols);
	if (skf_engine_start(c->g, &q, &h, &c->e) < 0)
		return skf_cli_fail(c, 1);
	skf_cli_sdnotify(c, b.sdnotify, h.id, &n, h.pid, true);
	return skf_cli_foreground(c, &p, SKF_FG_RUN);
}

int skf_cmd_start(struct skf_cli *c)
{
	static const char *const resting[] = {"created", "exited", "initialized", NULL};

	if (skf_cli_targets(c, resting) < 0)
		return skf_cli_usage(c);
	return c->o.attach || c->o.interactive ? start_attached(c) : skf_cli_for_each(c, start_one);
}

/* --- init --- */
static int init_one(struct skf_cli *c, const char *name)
{
	struct skf_start_req q = SKF_REQ(struct skf_start_req);
	struct skf_run_handle h;

	q.container = name;
	q.init = true;
	q.stdio[0] = q.stdio[1] = q.stdio[2] = -EBADF;
	if (skf_engine_start(c->g, &q, &h, &c->e) < 0)
		return -1;
	printf("%s\n", name);
	return 0;
}

int skf_cmd_init(struct skf_cli *c)
{
	static const char *const resting[] = {"created", "exited", NULL};

	return skf_cli_targets(c, resting) < 0 ? skf_cli_usage(c) : skf_cli_for_each(c, init_one);
}

/* --- container cleanup --- */
static int cleanup_one(struct skf_cli *c, const char *name)
{
	struct skf_ctr_brief b;

	if (skf_engine_brief(c->g, name, &b, &c->e) < 0)
		return -1;
	if (b.up)
		return skf_fail(&c->e, SKF_ECONFLICT,
				"container %s is running: only what has ended is cleaned up", name);
	if (skf_engine_reap(c->g, b.id, &c->e) < 0)
		return -1;
	/* --rm: the reap has removed it already when it was made with --rm */
	if (c->o.rm && skf_engine_rm(c->g, b.id, false, true, &c->e) < 0 && c->e.kind != SKF_ENOTFOUND)
		return -1;
	skf_err_clear(&c->e);
	printf("%s\n", name);
	return 0;
}

int skf_cmd_cleanup(struct skf_cli *c)
{
	static const char *const resting[] = {"created", "exited", NULL};

	return skf_cli_targets(c, resting) < 0 ? skf_cli_usage(c) : skf_cli_for_each(c, cleanup_one);
}

/* --- attach --- */
static int attach_to(struct skf_cli *c, const char *name)
{
	struct skf_attach_req q = SKF_REQ(struct skf_attach_req);
	struct skf_run_handle h = {.sock = -EBADF};
	struct skf_ctr_brief b;
	struct skf_err ignored = SKF_ERR_INIT;
	unsigned rows = 0, cols = 0;

	if (skf_engine_brief(c->g, name, &b, &c->e) < 0)
		return skf_cli_fail(c, 1);
	SKF_AUTO(skf_pump_done) struct skf_pump p = pump_of(c, &h, &b, !c->o.no_stdin);
	q.container = name;
	if (skf_pump_pipes(&p, q.stdio, &c->e) < 0 || skf_engine_attach(c->g, &q, &h, &c->e) < 0)
		return skf_cli_fail(c, 1);
	if (b.tty)
		skf_pump_size(&rows, &cols);
	if (rows && cols)
		(void)skf_engine_run_resize(&h, rows, cols,
					    &ignored); /* it may have ended: the pump sees that */
	return skf_cli_foreground(c, &p, SKF_FG_ATTACH);
}

int skf_cmd_attach(struct skf_cli *c)
{
	if (skf_cli_targets(c, NULL) < 0)
		return skf_cli_usage(c);
	return skf_cli_engine(c) < 0 || c->args.n == 0 ? skf_cli_fail(c, 1) : attach_to(c, c->args.v[0]);
}

/* --- restart, pause, unpause, rename --- */
static int restart_one(struct skf_cli *c, const char *name)
{
	struct skf_stop_req q = SKF_REQ(struct skf_stop_req);

	q.container = name;
	q.timeout_s = c->o.timeout > INT32_MAX ? INT32_MAX : (int)c->o.timeout;
	q.signal = c->o.signal ? skf_signal_parse(c->o.signal) : 0;
	if (q.signal < 0)
		return skf_fail(&c->e, SKF_EINVALID, "invalid signal: %s", c->o.signal);
	if (skf_engine_restart(c->g, &q, &c->e) < 0)
		return -1;
	printf("%s\n", name);
	return 0;
}

int skf_cmd_restart(struct skf_cli *c)
{
	return skf_cli_targets(c, NULL) < 0 ? skf_cli_usage(c) : skf_cli_for_each(c, restart_one);
}

static int pause_one(struct skf_cli *c, const char *name)
{
	if (skf_engine_pause(c->g, name, c->cmd->bit == C_PAUSE, &c->e) < 0)
		return -1;
	printf("%s\n", name);
	return 0;
}

int skf_cmd_pause(struct skf_cli *c)
{
	static const char *const states[] = {"running", NULL};

	return skf_cli_targets(c, states) < 0 ? skf_cli_usage(c) : skf_cli_for_each(c, pause_one);
}

int skf_cmd_unpause(struct skf_cli *c)
{
	static const char *const states[] = {"paused", NULL};

	return skf_cli_targets(c, states) < 0 ? skf_cli_usage(c) : skf_cli_for_each(c, pause_one);
}

int skf_cmd_rename(struct skf_cli *c)
{
	if (skf_cli_engine(c) < 0 || skf_engine_rename(c->g, c->args.v[0], c->args.v[1], &c->e) < 0)
		return skf_cli_fail(c, 1);
	return 0;
}

/* --- wait --- */
static int wait_one(struct skf_cli *c, const char *name)
{
	unsigned conditions = 0;
	struct skf_exit x;

	for (size_t i = 0; i < c->o.condition.n; i++) {
		int n = skf_condition_parse(c->o.condition.v[i]);

		if (n < 0)
			return skf_fail(&c->e, SKF_EINVALID, "invalid condition: \"%s\"",
					c->o.condition.v[i]);
		conditions |= 1u << n;
	}
	if (skf_engine_wait_for(c->g, name, conditions ? conditions : 1u << SKF_COND_NOT_RUNNING, -1, &x,
				&c->e) < 0)
		return -1;
	printf("%u\n", x.code);
	return 0;
}

int skf_cmd_wait(struct skf_cli *c)
{
	return skf_cli_targets(c, NULL) < 0 ? skf_cli_usage(c) : skf_cli_for_each(c, wait_one);
}

/* --- update --- */
static int update_one(struct skf_cli *c, const char *name)
{
	struct skf_update_req q = SKF_REQ(struct skf_update_req);
	const struct skf_settings *s = &c->o.s;

	q.container = name;
	q.has_restart = c->o.restart != NULL;
	q.restart = c->o.restart;
	q.memory = s->memory;
	q.memory_swap = s->memory_swap;
	q.memory_reservation = s->memory_reservation;
	q.nano_cpus = s->nano_cpus;
	q.cpu_shares = s->cpu_shares;
	q.cpu_period = s->cpu_period;
	q.cpu_quota = s->cpu_quota;
	q.cpuset_cpus = s->cpuset_cpus;
	q.cpuset_mems = s->cpuset_mems;
	q.blkio_weight = (uint32_t)s->blkio_weight;
	q.pids_limit = s->pids_limit == SKF_CLI_UNSET ? 0 : s->pids_limit ? s->pids_limit : -1;
	if (skf_engine_update(c->g, &q, &c->e) < 0)
		return -1;
	printf("%s\n", name);
	return 0;
}

int skf_cmd_update(struct skf_cli *c)
{
	return skf_cli_for_each(c, update_one);
}

/* --- prune, exists --- */
/* docker asks; without a terminal nobody can answer, and that is a no. */
static bool agreed(const struct skf_cli *c)
{
	char line[16];

	if (c->o.force)
		return true;
	printf("WARNING! This will remove all stopped containers.\nAre you sure you want to continue? "
	       "[y/N] ");
	fflush(stdout);
	return fgets(line, sizeof(line), stdin) && (line[0] == 'y' || line[0] == 'Y');
}

int skf_cmd_container_prune(struct skf_cli *c)
{
	struct skf_strv filters = {0}, ids;
	uint64_t bytes;
	char size[32];

	if (!agreed(c))
		return 0;
	for (size_t i = 0; i < c->o.filter.n; i++) {
		char *f = c->o.filter.v[i], when[36];
		int64_t ns;

		if (skf_startswith(f, "until=") && skf_human_parse_time(f + 6, skf_now_ns(), &ns) == 0) {
			skf_time_rfc3339(ns, when);
			f = skf_arena_fmt(&c->a, "until=%s", when);
		}
		if (!f || skf_strv_add(&c->a, &filters, f) < 0) {
			skf_fail(&c->e, SKF_ENOMEM, "memory for the filters");
			return skf_cli_fail(c, 1);
		}
	}
	if (skf_cli_engine(c) < 0 || skf_engine_prune(c->g, &filters, &c->a, &ids, &bytes, &c->e) < 0)
		return skf_cli_fail(c, 1);
	if (ids.n)
		printf("Deleted Containers:\n");
	for (size_t i = 0; i < ids.n; i++)
		printf("%s\n", ids.v[i]);
	skf_human_size(bytes, size, sizeof(size));
	printf("%sTotal reclaimed space: %s\n", ids.n ? "\n" : "", size);
	return 0;
}

int skf_cmd_container_exists(struct skf_cli *c)
{
	char id[SKF_ID_LEN + 1];

	if (skf_cli_engine(c) < 0)
		return skf_cli_fail(c, RUN_STATUS);
	if (skf_engine_resolve(c->g, c->args.v[0], id, &c->e) == 0)
		return 0;
	return c->e.kind == SKF_ENOTFOUND ? 1 : skf_cli_fail(c, RUN_STATUS);
}

/* --- health --- */
int skf_cmd_healthcheck(struct skf_cli *c)
{
	char health[16];
	uint32_t code;

	if (skf_cli_engine(c) < 0 || skf_engine_healthcheck(c->g, c->args.v[0], &code, health, &c->e) < 0)
		return skf_cli_fail(c, RUN_STATUS);
	if (code == 0)
		return 0;
	printf("%s\n", skf_streq(health, "healthy") ? "" : health);
	return 1;
}

/* --- boot, shutdown --- */
static void booted(void *arg, const char *id, const char *name, const struct skf_err *error)
{
	int *status = arg;

	if (!error) {
		printf("%s\n", name && *name ? name : id);
		return;
	}
	skf_cli_error(error);
	*status = 1;
}

int skf_cmd_boot(struct skf_cli *c)
{
	int status = 0;

	if (skf_cli_engine(c) < 0 || skf_engine_boot(c->g, booted, &status, &c->e) < 0)
		return skf_cli_fail(c, 1);
	return status;
}

int skf_cmd_shutdown(struct skf_cli *c)
{
	int status = 0;

	if (skf_cli_engine(c) < 0 || skf_engine_shutdown(c->g, booted, &status, &c->e) < 0)
		return skf_cli_fail(c, 1);
	return status;
}
