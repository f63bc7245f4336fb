/* runtime/begin.c -- what create.c and restore.c begin with, and how it is undone: the start's own struct,
 * the state directory, the cgroup.
 *
 * Must hold: the directory is locked from its making on; each undo may be called after a step that did only
 * a part of its work, and reports what it cannot undo as a warning. Blocks on the state directory and
 * cgroupfs. */
#include "runtime/runtime_int.h"

#include "base/limits.h"
#include "oci/spec.h"
#include "sys/process.h"

#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct skf_start skf_begin(const struct skf_rt *rt, const struct skf_rt_create *q)
{
	struct skf_start s = {
		.rt = rt,
		.req = q,
		.spec = q->spec,
		.state_fd = -EBADF,
		.cg_fd = -EBADF,
		.root_fd = -EBADF,
		.proc_fd = -EBADF,
		.own_pidns = -EBADF,
		.sync = {-EBADF, -EBADF},
		.go_fifo = -EBADF,
		.err_fifo = -EBADF,
		.hook_out = -EBADF,
		.hook_err = -EBADF,
		.listener.sock = -EBADF,
	};

	for (int i = 0; i < SKF_NS_COUNT; i++)
		s.ns_fd[i] = -EBADF;
	return s;
}

struct skf_rt_container *skf_begin_handle(const struct skf_rt *rt, const struct skf_rt_create *q,
					  struct skf_err *e)
{
	struct skf_rt_container *c = skf_rt_container_new(q->id);
	int r = c && q->subreaper ? skf_set_subreaper() : 0;

	if (!c)
		skf_nomem(e);
	if (r < 0)
		skf_warn(rt->log, "become a child subreaper: %s, ignoring", strerror(-r));
	return c;
}

int skf_begin_dir(struct skf_start *s, struct skf_err *e)
{
	const char *id = s->req->id, *root = s->rt->root;
	int r;

	if (!s->req->keep_dir) {
		if (mkdirat(s->rt->rootfd, id, 0700) < 0)
			return errno == EEXIST
				       ? skf_fail(e, SKF_ECONFLICT,
						  "container with given ID already exists: '%s'", id)
				       : skf_fail_errno(e, "make the state directory '%s/%s'", root, id);
		s->dir_made = true;
	}
	s->state_fd = skf_openat(s->rt->rootfd, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (s->state_fd < 0)
		return skf_fail_sys(e, s->state_fd, "open the state directory '%s/%s'", root, id);
	if (flock(s->state_fd, LOCK_EX | LOCK_NB) < 0)
		return skf_fail_errno(e, "lock the state directory '%s/%s'", root, id);
	r = s->dir_made ? 0 : skf_state_clear(s->state_fd);
	return r < 0 ? skf_fail_sys(e, r, "empty the state directory '%s/%s'", root, id) : 0;
}

void skf_begin_undo_dir(struct skf_start *s)
{
	int r = 0;

	if (s->dir_made)
		r = skf_rmtree_at(s->rt->rootfd, s->req->id);
	else if (s->req->keep_dir && s->state_fd >= 0)
		r = skf_state_clear(s->state_fd);
	if (r < 0 && r != -ENOENT)
		skf_warn(s->rt->log, "remove the state directory '%s/%s': %s, ignoring", s->rt->root,
			 s->req->id, strerror(-r));
}

void skf_begin_undo_cgroup(struct skf_start *s)
{
	struct skf_err e = SKF_ERR_INIT;

	if (skf_cgroups_undo(&s->cg, &e) < 0)
		skf_warn(s->rt->log, "%s, ignoring", e.msg);
	if (skf_cgroups_stop_scope(s->rt, s->systemd_scope, &e) < 0)
		skf_warn(s->rt->log, "%s, ignoring", e.msg);
}
