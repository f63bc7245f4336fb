/* launch/checkpoint.c -- a container saved by criu and made again out of what was saved. A checkpoint leaves
 * no process behind; the death of the container is its monitor's to write down. A restore is a start with
 * criu in the place of the new init (start.c has its steps): its processes are ours when this process
 * becomes the monitor. */
#include "launch/launch_int.h"
#include "base/json.h"
#include "launch/wire.h"
#include <string.h>

struct options { /* what the engine says: paths absolute */
	char *images, *parent, *reaper;
	bool leave_running, pre_dump, tcp_established, file_locks, ext_unix;
};
#define OPT(member, key, fn) SKF_J(struct options, member, key, fn, NULL, 0)
static const struct skf_jfield options_f[] = {
	SKF_J(struct options, images, "images", skf_j_abspath, NULL, SKF_J_REQUIRED),
	OPT(parent, "parent", skf_j_str),
	OPT(reaper, "reaper", skf_j_abspath),
	OPT(leave_running, "leaveRunning", skf_j_bool),
	OPT(pre_dump, "preDump", skf_j_bool),
	OPT(tcp_established, "tcpEstablished", skf_j_bool),
	OPT(file_locks, "fileLocks", skf_j_bool),
	OPT(ext_unix, "extUnix", skf_j_bool),
	SKF_J_END,
};
static const struct skf_jtable options_table = {sizeof(struct options), options_f, true, NULL};

int skf_launch_criu_options(struct skf_launch *l, struct skf_err *e)
{
	const struct skf_jdoc d = {.name = "options", .max_bytes = SKF_MAX_OBJECT_BYTES};
	struct skf_rt_criu *c = skf_arena_alloc(&l->arena, sizeof(*c));
	const struct options *o;
	void *v;

	if (!c)
		return skf_fail(e, SKF_ENOMEM, "out of memory for the checkpoint of container '%s'",
				l->q.id);
	if (skf_json_decode(&d, l->q.process_json, strlen(l->q.process_json), &options_table, &l->arena, &v,
			    e) < 0)
		return -1;
	o = v;
	*c = (struct skf_rt_criu){
		.image_path = o->images,
		.parent_path = o->parent && *o->parent ? o->parent : NULL,
		.status_fd = -1,
		.leave_running = o->leave_running,
		.keep_container = true,
		.pre_dump = o->pre_dump,
		.tcp_established = o->tcp_established,
		.ext_unix_sk = o->ext_unix,
		.file_locks = o->file_locks,
	};
	l->criu = c;
	if (o->reaper)
		l->q.reaper = o->reaper;
	return 0;
}

static int refuse_foreign(const struct skf_launch *l, const char *runtime, struct skf_err *e)
{
	return skf_fail(e, SKF_EUNSUPPORTED,
			"container '%s' is run by '%s': only containers of skiff's own runtime can be "
			"checkpointed and restored",
			l->q.id, runtime);
}

static int save(struct skf_launch *l, struct skf_err *e)
{
	int r = skf_launch_foreign_known(l, e);

	if (r != 0)
		return r < 0 ? -1 : refuse_foreign(l, l->foreign.path, e);
	return skf_rt_checkpoint(&l->rt, l->q.id, l->criu, e);
}

static int done(struct skf_launch *l, struct skf_err *e)
{
	return skf_launch_answer(l, -1, e);
}

const struct skf_launch_step skf_launch_checkpoint_steps[] = {
	{"trees", skf_launch_open_trees, NULL},
	{"options", skf_launch_criu_options, NULL},
	{"save", save, NULL},
	{"answer", done, NULL},
	{NULL, NULL, NULL},
};

int skf_launch_restore(struct skf_launch *l, struct skf_err *e)
{
	struct skf_rt_create c;

	if (l->conf->runtime)
		return refuse_foreign(l, l->conf->runtime, e);
	if (skf_launch_fill_create(l, &c, e) < 0 || skf_rt_restore(&l->rt, &c, l->criu, &l->ctr, e) < 0)
		return -1;
	skf_launch_given_away(l);
	return skf_launch_note_start(l, e);
}
