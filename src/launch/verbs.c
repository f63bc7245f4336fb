/* launch/verbs.c -- what the engine has launch do because it takes the runtime or a mount, and what leaves
 * no process behind: new limits for a running container, and the root of one that does not run. Both are
 * answered by DONE. */
#include "launch/launch_int.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "launch/wire.h"
#include <string.h>
#include <unistd.h>

int skf_launch_answer(struct skf_launch *l, int fd, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	struct skf_rec w;
	int r;

	skf_rec_begin(&w, &b, SKF_LAUNCH_DONE, SKF_LAUNCH_VERSION);
	skf_rec_end(&w);
	r = skf_record_send(SKF_LAUNCH_FD, &b, &fd, fd >= 0);
	return r < 0 ? skf_fail_sys(e, r, "answer for container '%s'", l->q.id) : 0;
}

/* The document is the value of `resources` in a linux object: so it is decoded by the same table. */
static int update(struct skf_launch *l, struct skf_err *e)
{
	struct skf_spec_opts o = {.log = l->log, .name = "resources"};
	char *text = skf_arena_fmt(&l->arena, "{\"resources\":%s}", l->q.process_json);
	struct skf_spec_linux *linux_;
	struct skf_rt_update u = {0};
	int r = skf_launch_foreign_known(l, e);

	if (r != 0)
		return r < 0 ? -1 : skf_launch_foreign_update(l, e);
	if (!text)
		return skf_fail(e, SKF_ENOMEM, "out of memory for the limits of container '%s'", l->q.id);
	if (skf_spec_parse_linux(text, strlen(text), &o, &l->arena, &linux_, e) < 0)
		return -1;
	u.resources = &linux_->resources;
	return skf_rt_update(&l->rt, l->q.id, &u, e);
}

static int done(struct skf_launch *l, struct skf_err *e)
{
	return skf_launch_answer(l, l->root_mount, e);
}

const struct skf_launch_step skf_launch_update_steps[] = {
	{"trees", skf_launch_open_trees, NULL},
	{"update", update, NULL},
	{"answer", done, NULL},
	{NULL, NULL, NULL},
};

const struct skf_launch_step skf_launch_mount_steps[] = {
	{"trees", skf_launch_open_trees, NULL},
	{"config", skf_launch_load_config, NULL},
	{"user namespace", skf_launch_userns, NULL},
	{"root", skf_launch_mount_root, NULL},
	{"answer", done, NULL},
	{NULL, NULL, NULL},
};
