/* cmd/oci_create.c -- create, run and start. Blocks for hooks and for the container in the foreground. */
#include "cmd/oci_int.h"

#include "oci/spec.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* LISTEN_FDS is not meant for us when LISTEN_PID names somebody else (sd_listen_fds(3)); without LISTEN_PID
 * it is, as for runc and crun. */
static unsigned listen_fds(void)
{
	const char *pid = getenv("LISTEN_PID"), *n = getenv("LISTEN_FDS");
	uint32_t want, count;

	if (pid && (skf_parse_u32(pid, &want) < 0 || want != (uint32_t)getpid()))
		return 0;
	if (!n || skf_parse_u32(n, &count) < 0)
		return 0;
	return count;
}

/* The names of those descriptors go along with them. */
static int listen_names(struct oci *o, struct skf_strv *env)
{
	const char *names = getenv("LISTEN_FDNAMES");
	char *line = names ? skf_arena_fmt(&o->arena, "LISTEN_FDNAMES=%s", names) : NULL;

	return !names ? 0 : line ? skf_strv_add(&o->arena, env, line) : -ENOMEM;
}

int oci_preserved_fds(struct oci *o, struct skf_strv *env, unsigned *ret, struct skf_err *e)
{
	unsigned n = o->a.preserve_fds, activated = listen_fds(), missing = 0;

	if (n > SKF_MAX_PRESERVE_FDS || activated > SKF_MAX_PRESERVE_FDS)
		return skf_fail(e, SKF_ELIMIT, "option --preserve-fds: at most %d descriptors can be passed",
				SKF_MAX_PRESERVE_FDS);
	if (activated > 0) {
		char *line = skf_arena_fmt(&o->arena, "LISTEN_FDS=%u", activated);

		if (!line || skf_strv_add(&o->arena, env, line) < 0 ||
		    skf_strv_add(&o->arena, env, "LISTEN_PID=1") < 0 || listen_names(o, env) < 0)
			return skf_nomem(e);
	}
	n += activated;
	for (unsigned i = 0; i < n; i++) {
		int flags = fcntl((int)(3 + i), F_GETFD);

		/* what is our own has the flag, and does not outlive the execve */
		missing += flags < 0 || (flags & FD_CLOEXEC);
	}
	if (missing > 0)
		skf_warn(&o->log,
			 "option --preserve-fds: %u of the descriptors 3 to %u are not open, ignoring",
			 missing, 2 + n);
	*ret = n;
	return 0;
}

static int open_bundle(struct oci *o, struct skf_rt_create *q, struct skf_spec **ret, struct skf_err *e)
{
	const char *dir = o->a.bundle && *o->a.bundle ? o->a.bundle : ".",
		   *file = o->a.config ? o->a.config : "config.json";
	struct skf_spec_opts so = {.log = &o->log, .name = "config.json"};
	char path[PATH_MAX];

	if (!realpath(dir, path))
		return skf_fail_errno(e, "bundle '%s'", dir);
	q->bundle = skf_arena_strdup(&o->arena, path);
	if (o->a.config)
		q->config_path = *file == '/' ? file : skf_arena_fmt(&o->arena, "%s/%s", path, file);
	if (!q->bundle || (o->a.config && !q->config_path))
		return skf_nomem(e);
	q->bundle_fd = skf_openat(AT_FDCWD, path, O_PATH | O_DIRECTORY, 0);
	if (q->bundle_fd < 0)
		return skf_fail_sys(e, q->bundle_fd, "open bundle '%s'", path);
	if (skf_spec_load_at(q->bundle_fd, file, &so, &o->arena, ret, e) < 0)
		return skf_ctx(e, "bundle '%s'", path);
	q->spec = *ret;
	return 0;
}

static int check_terminal(const struct oci *o, const struct skf_spec *s, bool detach, struct skf_err *e)
{
	bool tty = s->process && s->process->terminal;

	if (detach && tty && !o->a.console_socket)
		return skf_fail(e, SKF_EINVALID,
				"cannot allocate tty if %s will detach without setting console socket",
				o->prog);
	if (o->a.console_socket && (!detach || !tty))
		return skf_fail(e, SKF_EINVALID,
				"cannot use console socket if %s will not detach or allocate tty", o->prog);
	return 0;
}

int oci_fill_request(struct oci *o, bool detach, struct skf_rt_create *q, struct skf_err *e)
{
	const struct oci_args *a = &o->a;
	struct skf_strv none = {0};
	struct skf_spec *spec;

	*q = (struct skf_rt_create){
		.id = a->rest.v[0],
		.bundle_fd = -EBADF,
		.root_mount_fd = -1,
		.stdio = {-1, -1, -1},
		.console_socket = a->console_socket,
		.want_console_fd = !detach,
		.no_pivot = a->no_pivot,
		.no_new_keyring = a->no_new_keyring,
		.subreaper = !detach && !a->no_subreaper,
		.pid_file = a->pid_file,
		.notify_socket = oci_notify_host(),
	};
	if (open_bundle(o, q, &spec, e) < 0 || check_terminal(o, spec, detach, e) < 0)
		return -1;
	return oci_preserved_fds(o, spec->process ? &spec->process->env : &none, &q->preserve_fds, e);
}

int oci_create(struct oci *o, struct skf_err *e)
{
	SKF_AUTO(oci_container_freep) struct skf_rt_container *c = NULL;
	SKF_AUTO_FD int pidfd_socket = -EBADF;
	struct skf_rt_create q;
	int r = oci_fill_request(o, true, &q, e);

	q.fifo = true;
	if (r == 0)
		r = oci_pidfd_connect(o, &pidfd_socket, e);
	if (r == 0)
		r = skf_rt_create(&o->rt, &q, &c, e);
	if (r == 0 && oci_pidfd_send(pidfd_socket, c, e) < 0) {
		skf_rt_abort(c);
		r = -1;
	}
	skf_closep(&q.bundle_fd);
	return r;
}

static int run_foreground(struct oci *o, struct oci_foreground *f, struct skf_rt_container *c,
			  struct skf_err *e)
{
	int code = 0, r = oci_foreground_run(f, c, &code, e);

	if (r < 0) {
		skf_rt_abort(c);
		return -1;
	}
	if (!o->a.keep && skf_rt_delete(&o->rt, o->a.rest.v[0], true, e) < 0)
		return -1;
	return code;
}

int oci_run(struct oci *o, struct skf_err *e)
{
	SKF_AUTO(oci_container_freep) struct skf_rt_container *c = NULL;
	SKF_AUTO(oci_foreground_endp) struct oci_foreground *f = NULL;
	SKF_AUTO_FD int pidfd_socket = -EBADF, notify = -EBADF;
	struct skf_rt_create q;
	int r = oci_fill_request(o, o->a.detach, &q, e);

	q.console_lf = q.want_console_fd;
	if (r == 0)
		r = oci_pidfd_connect(o, &pidfd_socket, e);
	if (r == 0 && !o->a.detach) {
		oci_console_size(q.spec->process);
		r = oci_foreground_begin(&f, e);
	}
	if (r == 0)
		r = skf_rt_create(&o->rt, &q, &c, e);
	skf_closep(&q.bundle_fd);
	if (r < 0)
		return -1;
	if (oci_pidfd_send(pidfd_socket, c, e) < 0 || oci_notify_open(o, &notify, e) < 0) {
		skf_rt_abort(c);
		return -1;
	}
	if (skf_rt_go(c, e) < 0)
		return -1;
	if (o->a.detach)
		return oci_notify_await(o, notify, e);
	oci_foreground_notify(f, &o->rt, notify, q.notify_socket);
	return run_foreground(o, f, c, e);
}

int oci_start(struct oci *o, struct skf_err *e)
{
	SKF_AUTO_FD int notify = -EBADF;

	if (oci_notify_open(o, &notify, e) < 0 || skf_rt_start(&o->rt, o->a.rest.v[0], e) < 0)
		return -1;
	return oci_notify_await(o, notify, e);
}
