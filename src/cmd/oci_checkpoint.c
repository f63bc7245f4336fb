/* cmd/oci_checkpoint.c -- checkpoint and restore: options to struct skf_rt_criu. Blocks as long as criu
 * works, restore in the foreground for the container. */
#include "cmd/oci_int.h"

#include "runtime/checkpoint.h"

#include <unistd.h>

/* An empty path counts as none: that is how engines pass what was not asked for. */
static const char *path_or(const char *given, const char *otherwise)
{
	return given && *given ? given : otherwise;
}

static struct skf_rt_criu criu_options(const struct oci *o)
{
	return (struct skf_rt_criu){
		.image_path = path_or(o->a.cr.image_path, "checkpoint"),
		.work_path = path_or(o->a.cr.work_path, NULL),
		.parent_path = path_or(o->a.cr.parent_path, NULL),
		.page_server = path_or(o->a.cr.page_server, NULL),
		.manage_cgroups_mode = o->a.cr.manage_cgroups_mode,
		.network_lock = o->a.cr.network_lock,
		.lsm_profile = path_or(o->a.cr.lsm_profile, NULL),
		.lsm_mount_context = path_or(o->a.cr.lsm_mount_context, NULL),
		.empty_ns = o->a.cr.empty_ns,
		.status_fd = o->a.cr.status_fd,
		.leave_running = o->a.cr.leave_running,
		.pre_dump = o->a.cr.pre_dump,
		.tcp_established = o->a.cr.tcp_established,
		.tcp_skip_in_flight = o->a.cr.tcp_skip_in_flight,
		.tcp_close = o->a.cr.tcp_close,
		.ext_unix_sk = o->a.cr.ext_unix_sk,
		.shell_job = o->a.cr.shell_job,
		.lazy_pages = o->a.cr.lazy_pages,
		.file_locks = o->a.cr.file_locks,
		.auto_dedup = o->a.cr.auto_dedup,
		.link_remap = o->a.cr.link_remap,
	};
}

int oci_checkpoint(struct oci *o, struct skf_err *e)
{
	struct skf_rt_criu c = criu_options(o);

	return skf_rt_checkpoint(&o->rt, o->a.rest.v[0], &c, e);
}

static int restore(struct oci *o, struct skf_rt_container **ret, struct skf_err *e)
{
	struct skf_rt_criu c = criu_options(o);
	struct skf_rt_create q;
	int r = oci_fill_request(o, o->a.detach, &q, e);

	if (r == 0)
		r = skf_rt_restore(&o->rt, &q, &c, ret, e);
	skf_closep(&q.bundle_fd);
	return r;
}

int oci_restore(struct oci *o, struct skf_err *e)
{
	SKF_AUTO(oci_container_freep) struct skf_rt_container *c = NULL;
	SKF_AUTO(oci_foreground_endp) struct oci_foreground *f = NULL;
	int code = 0;

	if (o->a.no_pivot)
		skf_warn(&o->log, "option --no-pivot: criu decides how the root is entered, ignoring");
	if (!o->a.detach && oci_foreground_begin(&f, e) < 0)
		return -1;
	if (restore(o, &c, e) < 0)
		return -1;
	if (oci_notify_host())
		skf_rt_notify_ready(&o->rt, oci_notify_host(), o->a.detach ? skf_rt_pid(c) : getpid());
	if (o->a.detach)
		return 0;
	if (oci_foreground_run(f, c, &code, e) < 0) {
		skf_rt_abort(c);
		return -1;
	}
	return skf_rt_delete(&o->rt, o->a.rest.v[0], true, e) < 0 ? -1 : code;
}
