/* cmd/skiff-oci.c -- the OCI runtime as a program: runc's command line over the runtime library.
 *
 * A failure is one line on stderr and, with --log, one record in that file, which is what podman, containerd
 * and docker read. Exit status: 1 for any error of ours, the container's own status for run and exec in the
 * foreground. */
#include "cmd/oci_int.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define DEFAULT_ROOT "/run/skiff-oci"
#define SPEC_VERSION "1.3.0"
#define NAME_CHARS   "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

const struct oci_verb_desc oci_verbs[] = {
	{"checkpoint", OCI_CHECKPOINT, "CONTAINER", "save a running container to files", 1, 1, false, false,
	 true, oci_checkpoint},
	{"create", OCI_CREATE, "CONTAINER", "create a container", 1, 1, false, true, true, oci_create},
	{"delete", OCI_DELETE, "CONTAINER", "delete a stopped container", 1, 1, false, false, true,
	 oci_delete},
	{"events", OCI_EVENTS, "CONTAINER", "print statistics and out-of-memory events of a container", 1, 1,
	 false, false, true, oci_events},
	{"exec", OCI_EXEC, "CONTAINER cmd [ARG...]", "execute a process in a running container", 1, -1, true,
	 true, true, oci_exec},
	{"features", OCI_FEATURES, "", "print what this runtime can do as JSON", 0, 0, false, false, false,
	 oci_features},
	{"kill", OCI_KILL, "CONTAINER [SIGNAL]", "send a signal (default SIGTERM) to a container's init", 1,
	 2, false, false, true, oci_kill},
	{"list", OCI_LIST, "", "list containers", 0, 0, false, false, true, oci_list},
	{"mounts", OCI_MOUNTS, "[add|remove] CONTAINER FILE", "mount or unmount in a container that exists",
	 3, 3, false, false, true, oci_mounts},
	{"pause", OCI_PAUSE, "CONTAINER", "freeze all processes of a container", 1, 1, false, false, true,
	 oci_pause},
	{"ps", OCI_PS, "CONTAINER [PS-OPTION...]", "list the processes of a container", 1, -1, true, false,
	 true, oci_ps},
	{"restore", OCI_RESTORE, "CONTAINER", "go on with a container that was saved", 1, 1, false, true,
	 true, oci_restore},
	{"resume", OCI_RESUME, "CONTAINER", "let a paused container go on", 1, 1, false, false, true,
	 oci_resume},
	{"run", OCI_RUN, "CONTAINER", "create and start a container", 1, 1, false, true, true, oci_run},
	{"spec", OCI_SPEC, "", "write a default config.json", 0, 0, false, false, false, oci_spec},
	{"start", OCI_START, "CONTAINER", "execute the process of a created container", 1, 1, false, false,
	 true, oci_start},
	{"state", OCI_STATE, "CONTAINER", "print the state of a container as JSON", 1, 1, false, false, true,
	 oci_state},
	{"update", OCI_UPDATE, "CONTAINER", "change the resource limits of a container", 1, 1, false, false,
	 true, oci_update},
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

/* What we are called: messages and help say runc or crun where we stand in for one of them by a link. */
static const char *program_name(char **argv)
{
	const char *path = argv[0] ? argv[0] : "", *slash = strrchr(path, '/'),
		   *name = slash ? slash + 1 : path;
	size_t n = strlen(name);

	if (n == 0 || n > 32 || strspn(name, NAME_CHARS) != n)
		return "skiff-oci";
	return name;
}

/* runc's rule: where the environment's directory belongs to a plain user, or to a root that is none. */
static const char *default_root(struct oci *o)
{
	const char *xdg = getenv("XDG_RUNTIME_DIR");
	const char *path;

	if (geteuid() == 0 || !xdg || xdg[0] != '/')
		return DEFAULT_ROOT;
	path = skf_arena_fmt(&o->arena, "%s/skiff-oci", xdg);
	return path ? path : DEFAULT_ROOT;
}

static int find_root(struct oci *o, struct skf_err *e)
{
	char path[PATH_MAX];

	o->rt.root = o->a.root ? o->a.root : default_root(o);
	if (realpath(o->rt.root, path) && skf_streq(path, "/"))
		return skf_fail(e, SKF_EINVALID, "Option --root argument should not be set to /");
	if (o->rt.root[0] == '/')
		return 0;
	if (!getcwd(path, sizeof(path)))
		return skf_fail_errno(e, "find the working directory");
	o->rt.root = skf_arena_fmt(&o->arena, "%s/%s", path, o->rt.root);
	return o->rt.root ? 0 : skf_nomem(e);
}

static int setup_runtime(struct oci *o, struct skf_err *e)
{
	const char *m = o->a.cgroup_manager, *rootless = o->a.rootless;

	o->rt.log = &o->log;
	o->rt.rootless = geteuid() != 0;
	if (skf_streq(rootless, "true"))
		o->rt.rootless = true;
	else if (skf_streq(rootless, "false"))
		o->rt.rootless = false;
	else if (rootless && !skf_streq(rootless, "auto"))
		return skf_fail(e, SKF_EINVALID, "option --rootless is true, false or auto, not '%s'",
				rootless);
	if (o->a.systemd_cgroup || skf_streq(m, "systemd"))
		o->rt.cgroup_manager = SKF_RT_SYSTEMD;
	else if (skf_streq(m, "disabled"))
		o->rt.cgroup_manager = SKF_RT_CG_DISABLED;
	else if (m && !skf_streq(m, "cgroupfs"))
		return skf_fail(e, SKF_EINVALID,
				"option --cgroup-manager is cgroupfs, systemd or disabled, not '%s'", m);
	if (!o->verb->root)
		return 0;
	if (find_root(o, e) < 0)
		return -1;
	if (o->verb->bit == OCI_LIST && faccessat(AT_FDCWD, o->rt.root, F_OK, 0) < 0 && errno == ENOENT)
		return o->a.root ? skf_fail(e, SKF_ENOTFOUND, "state root '%s' does not exist", o->rt.root)
				 : 0;
	return skf_rt_open(&o->rt, e);
}

/* The lines that runc's and crun's callers look for; the last one is crun's list of what was built in. */
static void version(struct oci *o, struct skf_buf *b)
{
	skf_buf_fmt(b,
		    "%s version " SKF_VERSION "\ncommit: " SKF_COMMIT "\nspec: " SPEC_VERSION
		    "\nrundir: %s\n",
		    o->prog, o->a.root ? o->a.root : default_root(o));
	skf_buf_str(b, "+SYSTEMD +SELINUX +APPARMOR +CAP +SECCOMP +EBPF +CRIU +JSON_C\n");
}

static int print_info(struct oci *o, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(65536);

	if (o->a.version)
		version(o, &b);
	else
		oci_help(o, &b);
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
	if (oci_setup_log(o, e) < 0 || setup_runtime(o, e) < 0)
		return -1;
	return o->verb->run(o, e);
}

int main(int argc, char **argv)
{
	struct oci o = {
		.arena = SKF_ARENA(64 << 20),
		.prog = program_name(argv),
		.log = {.fd = STDERR_FILENO, .max = SKF_LOG_WARN},
		.rt = {.rootfd = -EBADF},
		.argv = argv,
		.a.cr.status_fd = -1,
	};
	struct skf_err e = SKF_ERR_INIT;
	int r;

	o.log.prog = o.prog;
	ensure_stdio();
	(void)prctl(PR_SET_NAME, "skiff-oci"); /* executing a handle left a number there; only for ps */
	r = run(&o, argc, &e);
	if (r < 0) {
		oci_log_failure(&o, &e);
		r = o.failure_status ? o.failure_status : 1;
	}
	skf_closep(&o.rt.rootfd);
	skf_arena_done(&o.arena);
	if (o.verb && o.verb->seal)
		skf_rt_seal_end();
	return r;
}
