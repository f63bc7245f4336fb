/* cmd/oci_checkpoint.c -- checkpoint and restore: options to struct skf_rt_criu. Blocks as long as criu
 * works, restore in the foreground for the container. */
#include "cmd/oci_int.h"

#include "oci/spec.h"
#include "runtime/checkpoint.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
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

/* The request, with the bundle's descriptor for the caller to close. */
static int fill_request(struct oci *o, char bundle[PATH_MAX], struct skf_rt_create *q, struct skf_err *e)
{
	struct skf_spec_opts so = {.log = &o->log, .name = "config.json"};
	const char *dir = path_or(o->a.bundle, ".");
	struct skf_spec *spec;

	if (!realpath(dir, bundle))
		return skf_fail_sys(e, -errno, "bundle '%s'", dir);
	q->bundle_fd = skf_openat(AT_FDCWD, bundle, O_PATH | O_DIRECTORY, 0);
	if (q->bundle_fd < 0)
		return skf_fail_sys(e, q->bundle_fd, "open bundle '%s'", bundle);
	if (skf_spec_load_at(q->bundle_fd, "config.json", &so, &o->arena, &spec, e) < 0)
		return skf_ctx(e, "bundle '%s'", bundle);
	q->bundle = bundle;
	q->spec = spec;
	if (!spec->process)
		return 0;
	if (o->a.detach && spec->process->terminal && !o->a.console_socket)
		return skf_fail(e, SKF_EINVALID,
				"cannot allocate tty if %s will detach without setting console socket",
				o->prog);
	if (o->a.console_socket && (!o->a.detach || !spec->process->terminal))
		return skf_fail(e, SKF_EINVALID,
				"cannot use console socket if %s will not detach or allocate tty", o->prog);
	return 0;
}

static int restore(struct oci *o, struct skf_rt_container **ret, struct skf_err *e)
{
	struct skf_rt_criu c = criu_options(o);
	char bundle[PATH_MAX];
	struct skf_rt_create q = {
		.id = o->a.rest.v[0],
		.bundle_fd = -EBADF,
		.root_mount_fd = -1,
		.stdio = {-1, -1, -1},
		.console_socket = o->a.console_socket,
		.want_console_fd = !o->a.detach,
		.pid_file = o->a.pid_file,
		.subreaper = !o->a.detach && !o->a.no_subreaper,
	};
	int r = fill_request(o, bundle, &q, e);

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
	if (o->a.detach)
		return 0;
	if (oci_foreground_run(f, c, &code, e) < 0) {
		skf_rt_abort(c);
		return -1;
	}
	return skf_rt_delete(&o->rt, o->a.rest.v[0], true, e) < 0 ? -1 : code;
}
