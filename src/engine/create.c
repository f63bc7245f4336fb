/* engine/create.c -- a container comes into being: plan, directory, name, summary, what is in the directory.
 * Its config.json is written last; a failure at any step takes back what the steps before it made. Who is
 * killed on the way leaves a container that `ps -a` shows as created and `rm` removes: nothing has a name
 * that is not shown; the rest is found by `skiff system check`. */
#include "engine/create_int.h"
#include "engine/pod_int.h"
#include "monitor/event.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What the request can be refused for without an image: said before a pull of minutes. */
static int check_early(const struct skf_create_req *q, struct skf_err *e)
{
	if (q->s.rootfs ? !*q->s.rootfs : !q->image || !*q->image)
		return skf_fail(e, SKF_EINVALID, "no image is given");
	if (q->name && !skf_name_valid(q->name))
		return skf_fail(e, SKF_EINVALID,
				"Invalid container name (%s), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
				q->name);
	return 0;
}

/* The root directory of the container is the upper directory: it takes over mode and owner of the image's.
 */
static int make_upper(struct skf_plan *p, int dir, struct skf_err *e)
{
	struct stat st = {.st_mode = 0755};
	int r = mkdirat(dir, "rw", 0700) < 0 ? -errno : 0;

	if (r == 0 && p->layers.n && fstat(p->layers.fd[0], &st) < 0)
		r = -errno;
	if (r == 0 && (st.st_uid || st.st_gid) &&
	    fchownat(dir, "rw", st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW) < 0)
		r = -errno;
	if (r == 0 && fchmodat(dir, "rw", st.st_mode & 07777, 0) < 0)
		r = -errno;
	return r < 0 ? skf_fail_sys(e, r, "make the directory '%s/rw'", p->dir) : 0;
}

static int make_place(struct skf_plan *p, struct skf_err *e)
{
	return mkdirat(p->g->ctr_fd, p->id, 0700) < 0
		       ? skf_fail_sys(e, -errno, "make the directory '%s'", p->dir)
		       : 0;
}

static int make_dirs(struct skf_plan *p, int *ret_dir, struct skf_err *e)
{
	static const char *const sub[] = {"work", "rootfs", "log"};
	SKF_AUTO_FD int dir = -EBADF;

	dir = skf_openat(p->g->ctr_fd, p->id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (dir < 0)
		return skf_fail_sys(e, dir, "open the directory '%s'", p->dir);
	for (size_t i = 0; i < SKF_ARRAY_LEN(sub); i++)
		if (mkdirat(dir, sub[i], 0700) < 0)
			return skf_fail_sys(e, -errno, "make the directory '%s/%s'", p->dir, sub[i]);
	if (make_upper(p, dir, e) < 0 || skf_plan_make_quota(p, dir, e) < 0 ||
	    skf_plan_make_secrets(p, dir, e) < 0 ||
	    skf_ctr_hostfiles(dir, p->hostname,
			      p->gen.host_network || skf_streq(p->net.mode, SKF_NET_MODE_PATH), e) < 0)
		return -1;
	if (skf_plan_mcs_link(p, dir, e) < 0 || skf_plan_userns_take(p, dir, e) < 0)
		return -1;
	*ret_dir = SKF_TAKE_FD(dir);
	return 0;
}

static int write_config(struct skf_plan *p, int dir, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done)
	struct skf_buf b = SKF_BUF(SKF_MAX_SPEC_BYTES), req = SKF_BUF(SKF_MAX_SPEC_BYTES);
	struct skf_jw w = SKF_JW(&req);
	int r;

	p->req.mount_points = (struct skf_jarr){p->points, p->n_points};
	p->conf.sources = (struct skf_jarr){p->sources, p->n_sources};
	skf_ctr_request_write(&w, &p->req);
	if (req.err < 0)
		return skf_fail_sys(e, req.err, "write the request of container '%.12s'", p->id);
	p->conf.request = req.p;
	r = skf_spec_gen(&p->gen, &b, e);
	p->conf.request = NULL;
	if (r < 0 || skf_net_conf_write(dir, &p->net, e) < 0)
		return -1;
	/* A container that goes away with its process need not survive a power cut. */
	r = skf_write_atomic_at(dir, "config.json", b.p, b.len, 0600, p->q->remove ? 0 : SKF_SYNC);
	return r < 0 ? skf_fail_sys(e, r, "write '%s/config.json'", p->dir) : 0;
}

/* What --rm and `rm -v` take away with the container. */
static int write_anonymous(struct skf_plan *p, int dir, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_OBJECT_BYTES);
	int r;

	for (size_t i = 0; i < p->n_volumes; i++)
		if (p->volumes[i].anonymous)
			skf_buf_fmt(&b, "%s\n", p->volumes[i].q.name);
	if (!b.len)
		return 0;
	r = b.err < 0 ? b.err : skf_write_atomic_at(dir, SKF_ANON_FILE, b.p, b.len, 0600, 0);
	return r < 0 ? skf_fail_sys(e, r, "write '%s/" SKF_ANON_FILE "'", p->dir) : 0;
}

static int make_volumes(struct skf_plan *p, struct skf_err *e)
{
	for (size_t i = 0; i < p->n_volumes; i++) {
		struct skf_plan_volume *v = &p->volumes[i];

		if (skf_volume_ensure(p->g, &v->q, v->anonymous, false, &v->made, e) < 0)
			return -1;
	}
	return 0;
}

/* After the store's lock: a failed create leaves no anonymous volume; one with a name stays, as with docker.
 */
static void undo_volumes(struct skf_plan *p)
{
	struct skf_err x = SKF_ERR_INIT;

	for (size_t i = 0; i < p->n_volumes; i++)
		if (p->volumes[i].made && p->volumes[i].anonymous &&
		    skf_volume_drop(p->g, p->volumes[i].q.name, NULL, NULL, &x) < 0)
			skf_warn(&p->g->log, "%s; ignoring", x.msg);
}

/* Where the cgroup is when it is not at the usual place: read by who stops and reaps. */
static int link_cgroup(struct skf_plan *p, int dir, struct skf_err *e)
{
	char usual[SKF_ID_LEN + 32];

	if (skf_fmt(usual, sizeof(usual), SKF_CGROUP_PARENT "/%s", p->id) == 0 &&
	    skf_streq(usual, p->gen.cgroup))
		return 0;
	return symlinkat(p->gen.cgroup, dir, SKF_CGROUP_LINK) < 0
		       ? skf_fail_sys(e, -errno, "make '%s/" SKF_CGROUP_LINK "'", p->dir)
		       : 0;
}

static int make_summary(struct skf_plan *p, struct skf_err *e)
{
	struct skf_summary s;
	int r;

	skf_ctr_summary_init(&p->conf, p->conf.rootfs ? p->conf.rootfs : p->q->image, &s);
	r = skf_summary_write(p->g->run_fd, p->id, &s);
	return r < 0 ? skf_fail_sys(e, r, "write '%s/summary/%s'", p->g->run_root, p->id) : 0;
}

/* Takes back in reverse; each failure is only a warning, because the error that brought us here is the one
 * to tell. */
static void undo(struct skf_plan *p)
{
	struct skf_err x = SKF_ERR_INIT;
	int r = skf_summary_remove(p->g->run_fd, p->id);

	if (r < 0 && r != -ENOENT)
		skf_warn(&p->g->log, "remove the summary of container %.12s: %s; ignoring", p->id,
			 strerror(-r));
	skf_ctr_quota_release(p->g, p->id);
	skf_plan_mcs_undo(p);
	r = skf_rmtree_at(p->g->ctr_fd, p->id);
	if (r < 0)
		skf_warn(&p->g->log, "remove '%s': %s; ignoring", p->dir, strerror(-r));
	if (skf_name_release(p->g, p->name, p->id, &x) < 0)
		skf_warn(&p->g->log, "%s; ignoring", x.msg);
}

static int claim(struct skf_plan *p, struct skf_err *e)
{
	if (!p->q->name)
		return skf_name_claim_random(p->g, p->id, p->name, e);
	memcpy(p->name, p->q->name, strlen(p->q->name) + 1);
	return skf_name_claim(p->g, p->name, p->id, e);
}

/* The directory and what may take as long as copying an image: nothing but a lease keeps the layers
 * meanwhile. */
static int make_files(struct skf_plan *p, struct skf_err *e)
{
	if (p->lock < 0 && skf_ctr_lock(p->g, p->id, &p->lock, e) < 0)
		return -1;
	p->conf.name = p->name;
	if (make_place(p, e) == 0 && claim(p, e) == 0 && make_summary(p, e) == 0 &&
	    make_dirs(p, &p->dir_fd, e) == 0 && skf_plan_make_storage(p, p->dir_fd, e) == 0)
		return 0;
	undo(p);
	skf_ctr_drop_lock(p->g, p->id, &p->lock);
	return -1;
}

/* Runs under locks/store shared: image and layers are there, and with config.json they are referred to. */
static int refer(void *arg, struct skf_err *e)
{
	struct skf_plan *p = arg;

	return (p->pod && skf_pod_member_add(p->g, p->pod->id, p->id, e) < 0) ||
			       link_cgroup(p, p->dir_fd, e) < 0 || make_volumes(p, e) < 0 ||
			       write_anonymous(p, p->dir_fd, e) < 0 || write_config(p, p->dir_fd, e) < 0
		       ? -1
		       : 0;
}

static int make_container(struct skf_plan *p, struct skf_err *e)
{
	int r = make_files(p, e);

	if (r == 0 && skf_store_with_image(p->g->store, p->image, refer, p, e) < 0) {
		undo(p);
		skf_ctr_drop_lock(p->g, p->id, &p->lock);
		r = -1;
	}
	p->copied = p->lease != NULL;
	skf_lease_free(p->lease);
	skf_closep(&p->dir_fd);
	return r;
}

/* podman's --replace: once it is sure that the new one can be made. */
static int remove_older(struct skf_engine *g, const char *name, struct skf_err *e)
{
	char id[SKF_ID_LEN + 1];
	int r = skf_name_find(g, name, id, e);

	if (r <= 0)
		return r;
	if (skf_pod_exists(g, id))
		return skf_fail(e, SKF_ECONFLICT,
				"the name \"%s\" belongs to a pod: --replace removes containers only", name);
	if (skf_engine_rm(g, id, true, true, e) == 0)
		return 0;
	if (e->kind != SKF_ENOTFOUND)
		return skf_ctx(e, "replace container '%s'", name);
	skf_err_clear(e); /* removed meanwhile */
	return 0;
}

int skf_ctr_create(struct skf_engine *g, struct skf_create_req *q, const struct skf_progress *progress,
		   struct skf_launch_proc *launch, struct skf_created *ret, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	SKF_AUTO_FREE struct skf_plan *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return skf_fail(e, SKF_ENOMEM, "memory for a container");
	p->g = g;
	p->q = q;
	p->a = &a;
	p->lock = p->dir_fd = -EBADF;
	if (check_early(q, e) < 0 || skf_plan_check(p, e) < 0 ||
	    (!q->s.rootfs && skf_image_find_or_pull(g, q, progress, &a, &p->image, &p->ref, e) < 0))
		return -1;
	if (launch && skf_launch_spawn(g, "start", launch, e) < 0)
		return -1;
	r = skf_plan_make(p, e);
	if (r == 0 && q->replace && q->name)
		r = remove_older(g, q->name, e);
	if (r == 0)
		r = make_container(p, e);
	skf_layered_done(&p->layers);
	if (launch && p->copied) /* it may not have waited so long: a new one is started */
		skf_launch_end(launch);
	if (r < 0) {
		undo_volumes(p);
		skf_plan_mcs_undo(p);
		if (p->lock >= 0)
			skf_ctr_drop_lock(p->g, p->id, &p->lock);
		return -1;
	}
	r = skf_event_emit(g->run_fd, "container", "create", p->id, p->name, p->conf.image, -1);
	if (r < 0)
		skf_warn(&g->log, "write the event 'create' of container %.12s: %s; ignoring", p->id,
			 strerror(-r));
	memcpy(ret->id, p->id, sizeof(ret->id));
	memcpy(ret->name, p->name, sizeof(ret->name));
	ret->remove = q->remove;
	ret->lock = SKF_TAKE_FD(p->lock);
	return 0;
}
