/* cmd/skiff-oci.c -- the OCI runtime as a program: runc's command line over the runtime library.
 *
 * A failure is one line on stderr and, with --log, one record in that file, which is what podman, containerd
 * and docker read. Exit status: 1 for any error of ours, the container's own status for run and exec in the
 * foreground. */
#include "cmd/oci_int.h"

#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define DEFAULT_ROOT "/run/skiff-oci"
#define SPEC_VERSION "1.3.0"

const struct oci_verb_desc oci_verbs[] = {
	{"create", OCI_CREATE, "ID", "create a container", 1, 1, false, true, true, oci_create},
	{"start", OCI_START, "ID", "execute the process of a created container", 1, 1, false, false, true,
	 oci_start},
	{"run", OCI_RUN, "ID", "create and start a container", 1, 1, false, true, true, oci_run},
	{"exec", OCI_EXEC, "ID [COMMAND ARG...]", "execute a process in a running container", 1, -1, true,
	 true, true, oci_exec},
	{"state", OCI_STATE, "ID", "print the state of a container as JSON", 1, 1, false, false, true,
	 oci_state},
	{"list", OCI_LIST, "", "list containers", 0, 0, false, false, true, oci_list},
	{"kill", OCI_KILL, "ID [SIGNAL]", "send a signal (default SIGTERM) to a container's init", 1, 2,
	 false, false, true, oci_kill},
	{"delete", OCI_DELETE, "ID", "delete a stopped container", 1, 1, false, false, true, oci_delete},
	{"spec", OCI_SPEC, "", "write a default config.json", 0, 0, false, false, false, oci_spec},
	{"features", OCI_FEATURES, "", "print what this runtime can do as JSON", 0, 0, false, false, false,
	 oci_features},
	{NULL},
};

int oci_print(const struct skf_buf *b, struct skf_err *e)
{
	int r = b->err < 0 ? b->err : b->len ? skf_write_full(STDOUT_FILENO, b->p, b->len) : 0;

	return r < 0 ? skf_fail_sys(e, r, "write to standard output") : 0;
}

/* Descriptors 0, 1 and 2 exist: what we open must not take their place. */
static void ensure_stdio(void)
{
	int fd;

	do
		fd = skf_openat(AT_FDCWD, "/dev/null", O_RDWR, 0);
	while (fd >= 0 && fd <= 2);
	if (fd > 2)
		close(fd);
	for (fd = 0; fd <= 2; fd++)
		(void)skf_set_cloexec(fd, false); /* they are open now, so it cannot fail */
}

static int log_level(const struct oci_args *a, struct skf_err *e)
{
	static const struct {
		const char *name;
		int level;
	} levels[] = {
		{"error", SKF_LOG_ERROR},  {"fatal", SKF_LOG_ERROR}, {"panic", SKF_LOG_ERROR},
		{"warning", SKF_LOG_WARN}, {"warn", SKF_LOG_WARN},   {"info", SKF_LOG_INFO},
		{"debug", SKF_LOG_DEBUG},  {"trace", SKF_LOG_DEBUG},
	};

	if (a->debug)
		return SKF_LOG_DEBUG;
	for (size_t i = 0; a->log_level && i < SKF_ARRAY_LEN(levels); i++)
		if (skf_streq(levels[i].name, a->log_level))
			return levels[i].level;
	if (a->log_level)
		return skf_fail(e, SKF_EINVALID,
				"option --log-level is error, warning, info or debug, not '%s'",
				a->log_level);
	return SKF_LOG_WARN;
}

static int setup_log(struct oci *o, struct skf_err *e)
{
	const struct oci_args *a = &o->a;
	int level = log_level(a, e);

	if (level < 0)
		return -1;
	o->log.max = level;
	if (a->log_format && !skf_streq(a->log_format, "text") && !skf_streq(a->log_format, "json"))
		return skf_fail(e, SKF_EINVALID, "option --log-format is text or json, not '%s'",
				a->log_format);
	if (a->log_path && *a->log_path && !skf_streq(a->log_path, "/dev/stderr")) {
		/* crun's name of this backend */
		const char *path = skf_startswith(a->log_path, "file:") ? a->log_path + 5 : a->log_path;
		int fd = skf_openat(AT_FDCWD, path, O_WRONLY | O_APPEND | O_CREAT, 0644);

		if (fd < 0)
			return skf_fail_sys(e, fd, "open log file '%s'", path);
		o->log.fd = fd;
	}
	if (o->log.fd != STDERR_FILENO) {
		o->log.prog = NULL;
		o->log.json = skf_streq(a->log_format, "json");
	}
	return 0;
}

static int setup_runtime(struct oci *o, struct skf_err *e)
{
	const char *m = o->a.cgroup_manager;

	o->rt.log = &o->log;
	o->rt.root = o->a.root ? o->a.root : DEFAULT_ROOT;
	o->rt.rootless = geteuid() != 0;
	if (o->a.systemd_cgroup || skf_streq(m, "systemd"))
		o->rt.cgroup_manager = SKF_RT_SYSTEMD;
	else if (skf_streq(m, "disabled"))
		o->rt.cgroup_manager = SKF_RT_CG_DISABLED;
	else if (m && !skf_streq(m, "cgroupfs"))
		return skf_fail(e, SKF_EINVALID,
				"option --cgroup-manager is cgroupfs, systemd or disabled, not '%s'", m);
	if (o->rt.root[0] != '/') {
		SKF_AUTO_FREE char *cwd = getcwd(NULL, 0);

		o->rt.root = cwd ? skf_arena_fmt(&o->arena, "%s/%s", cwd, o->rt.root) : NULL;
		if (!o->rt.root)
			return skf_fail_sys(e, -errno, "find the working directory");
	}
	return o->verb->root ? skf_rt_open(&o->rt, e) : 0;
}

static int print_info(struct oci *o, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(65536);

	if (o->a.version)
		skf_buf_str(&b, "skiff-oci version " SKF_VERSION "\nspec: " SPEC_VERSION "\n");
	else
		oci_help(o->verb, &b);
	return oci_print(&b, e);
}

static int run(struct oci *o, int argc, struct skf_err *e)
{
	if (oci_parse(o, argc, o->argv, e) < 0)
		return -1;
	if (o->a.version || o->a.help || !o->verb)
		return print_info(o, e);
	/* before the log or anything else is opened */
	if (o->verb->seal && skf_rt_seal_self(o->argv, e) < 0)
		return -1;
	if (setup_log(o, e) < 0 || setup_runtime(o, e) < 0)
		return -1;
	return o->verb->run(o, e);
}

int main(int argc, char **argv)
{
	struct oci o = {
		.arena = SKF_ARENA(64 << 20),
		.log = {.fd = STDERR_FILENO, .max = SKF_LOG_WARN, .prog = "skiff-oci"},
		.rt = {.rootfd = -EBADF},
		.argv = argv,
	};
	struct skf_err e = SKF_ERR_INIT;
	int r;

	ensure_stdio();
	(void)prctl(PR_SET_NAME, "skiff-oci"); /* executing a handle left a number there; only for ps */
	r = run(&o, argc, &e);
	if (r < 0) {
		const struct skf_log human = {
			.fd = STDERR_FILENO, .max = SKF_LOG_ERROR, .prog = "skiff-oci"};

		skf_log_err(&human, &e);
		if (o.log.fd != STDERR_FILENO)
			skf_log_err(&o.log, &e);
		r = o.failure_status ? o.failure_status : 1;
	}
	skf_closep(&o.rt.rootfd);
	skf_arena_done(&o.arena);
	return r;
}
