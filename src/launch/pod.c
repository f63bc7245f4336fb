/* launch/pod.c -- pods: making the namespaces that a pod's containers share and becoming their holder
 * (monitor/hold.h), and, at the start of a container, joining them.
 *
 * The holder stays in the host's namespaces: this process makes the new ones by unshare(2), takes
 * descriptors of them and goes back before it does anything else; one that cannot go back ends. A PID
 * namespace cannot be made so: it gets an init, which is skiff-init waiting. */
#include "launch/launch_int.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/proc.h"
#include "launch/wire.h"
#include "monitor/hold.h"
#include "sys/helper.h"
#include "sys/process.h"
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct pod_doc {        /* what the engine says of a pod */
	uint32_t share; /* 1 << enum skf_hold_ns */
	char *hostname, *init, *reaper, *mount_label;
	uint64_t shm_size; /* bytes */
};
static const struct skf_jfield pod_f[] = {
	SKF_J(struct pod_doc, share, "share", skf_j_u32, NULL, SKF_J_REQUIRED),
	SKF_J(struct pod_doc, hostname, "hostname", skf_j_str, NULL, SKF_J_REQUIRED),
	SKF_J(struct pod_doc, shm_size, "shmSize", skf_j_u64, NULL, 0),
	SKF_J(struct pod_doc, init, "init", skf_j_str, NULL, SKF_J_REQUIRED),
	SKF_J(struct pod_doc, reaper, "reaper", skf_j_str, NULL, SKF_J_REQUIRED),
	SKF_J(struct pod_doc, mount_label, "mountLabel", skf_j_str_nonempty, NULL, 0),
	SKF_J_END,
};
static const struct skf_jtable pod_table = {sizeof(struct pod_doc), pod_f, true, NULL};

/* Of a pod in a user namespace. */
static int read_ids(struct skf_launch *l, struct skf_err *e)
{
	char path[600];
	int r = skf_fmt(path, sizeof(path), "%s/pods/%s", l->q.root, l->q.id);
	SKF_AUTO_FD int dir = r < 0 ? r : skf_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);

	r = dir < 0 ? dir : skf_idmaps_read_at(dir, &l->arena, &l->ids);
	return r < 0 ? skf_fail_sys(e, r, "read the id maps of pod '%s'", l->q.id) : 0;
}

static int read_doc(struct skf_launch *l, struct skf_err *e)
{
	const struct skf_jdoc d = {.name = "pod", .max_bytes = SKF_MAX_OBJECT_BYTES};
	struct pod_doc *doc;
	void *v;

	if (skf_json_decode(&d, l->q.process_json, strlen(l->q.process_json), &pod_table, &l->arena, &v, e) <
	    0)
		return -1;
	doc = v;
	if (doc->share >> SKF_HOLD_N)
		return skf_fail(e, SKF_EINVALID,
				"pod '%s' is to share namespaces that this version does not know", l->q.id);
	if (read_ids(l, e) < 0)
		return -1;
	l->pod.share = doc->share;
	l->pod.shm_size = doc->shm_size;
	l->pod.mount_label = doc->mount_label;
	l->pod.hostname = doc->hostname;
	l->pod.init = doc->init;
	l->q.reaper = doc->reaper;
	return 0;
}

/* Directory of a pod in /run; made when asked for. */
static int pod_dir(int run_root_fd, const char *id, bool make)
{
	char path[SKF_ID_LEN + 8];
	int r = skf_fmt(path, sizeof(path), "pods/%s", id);

	if (r < 0)
		return r;
	return make ? skf_mkdirs_at(run_root_fd, path, 0700)
		    : skf_openat(run_root_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
}

static int open_run(struct skf_launch *l, struct skf_err *e)
{
	l->run_root_fd = skf_openat(AT_FDCWD, l->q.run_root, O_RDONLY | O_DIRECTORY, 0);
	if (l->run_root_fd < 0)
		return skf_fail_sys(e, l->run_root_fd, "open '%s'", l->q.run_root);
	l->run_dir = pod_dir(l->run_root_fd, l->q.id, true);
	return l->run_dir < 0 ? skf_fail_sys(e, l->run_dir, "make '%s/pods/%s'", l->q.run_root, l->q.id) : 0;
}

static const char *const ns_files[SKF_HOLD_N] = {[SKF_HOLD_NET] = "/proc/self/ns/net",
						 [SKF_HOLD_IPC] = "/proc/self/ns/ipc",
						 [SKF_HOLD_UTS] = "/proc/self/ns/uts",
						 [SKF_HOLD_PID] = NULL};

/* To be made: shared, and not come along from a container that outlived the holder before. */
static bool shares(const struct skf_launch *l, unsigned n)
{
	return ns_files[n] && l->pod.share >> n & 1 && !(l->pod.adopted >> n & 1);
}

/* Descriptors in the places of streams: of namespaces that exist (launch/wire.h). */
static int adopt(struct skf_launch *l, struct skf_err *e)
{
	static const unsigned bits[] = {SKF_LAUNCH_STDIN, SKF_LAUNCH_STDOUT, SKF_LAUNCH_STDERR};
	unsigned at = 0;

	_Static_assert(SKF_HOLD_NET == 0 && SKF_HOLD_IPC == 1 && SKF_HOLD_UTS == 2,
		       "the order of the descriptors");
	for (unsigned i = 0; i < SKF_ARRAY_LEN(bits); i++) {
		if (!(l->q.flags & bits[i]))
			continue;
		l->pod.ns[i] = skf_dup_cloexec(l->fds.fd[at++]);
		if (l->pod.ns[i] < 0)
			return skf_fail_sys(e, l->pod.ns[i], "take over a namespace of pod '%s'", l->q.id);
		l->pod.adopted |= 1u << i;
	}
	return 0;
}

static int open_shared(const struct skf_launch *l, int fds[SKF_HOLD_N])
{
	for (unsigned i = 0; i < SKF_HOLD_N; i++) {
		if (!shares(l, i))
			continue;
		fds[i] = skf_openat(AT_FDCWD, ns_files[i], O_RDONLY, 0);
		if (fds[i] < 0)
			return fds[i];
	}
	return 0;
}

static int set_up(const struct skf_launch *l, struct skf_err *e)
{
	int r = 0;

	if (shares(l, SKF_HOLD_UTS) && l->pod.hostname[0])
		r = skf_sethostname(l->pod.hostname);
	if (r < 0)
		return skf_fail_sys(e, r, "set the host name '%s' of pod '%s'", l->pod.hostname, l->q.id);
	if (shares(l, SKF_HOLD_NET))
		r = skf_net_loopback_up();
	return r < 0 ? skf_fail_sys(e, r, "bring up the loopback of pod '%s'", l->q.id) : 0;
}

/* --- a pod in a user namespace: a child enters that and makes the others there, because nobody comes back
 * from it --- */

struct made { /* what the child says */
	int32_t error;
	pid_t init;
};

struct inside { /* what the child is told */
	struct skf_launch *l;
	int flags; /* CLONE_NEW* */
};

static void become_init(const struct skf_launch *l);

static void make_inside(void *arg, int sock)
{
	const struct inside *in = arg;
	struct skf_launch *l = in->l;
	const struct skf_clone c = {.flags = CLONE_NEWPID | CLONE_PARENT, .cgroup_fd = -1};
	struct skf_err e = SKF_ERR_INIT;
	struct made m = {0};
	char end;

	m.error = skf_setns(l->userns, CLONE_NEWUSER);
	if (m.error == 0)
		m.error = skf_setresgid(0);
	if (m.error == 0)
		m.error = skf_setresuid(0);
	if (m.error == 0 && in->flags)
		m.error = skf_unshare(in->flags);
	if (m.error == 0 && set_up(l, &e) < 0)
		m.error = e.sys ? -e.sys : -EIO;
	if (m.error == 0 && l->pod.share >> SKF_HOLD_PID & 1) {
		m.init = skf_clone3(&c, NULL);
		if (m.init == 0)
			become_init(l);
		m.error = m.init < 0 ? (int)m.init : 0;
	}
	(void)skf_write_full(sock, &m, sizeof(m)); /* a parent that is gone needs no answer */
	(void)!read(sock, &end, 1);
}

static int take_inside(struct skf_launch *l, pid_t pid, const struct made *m, struct skf_err *e)
{
	static const char *const names[SKF_HOLD_N] = {"net", "ipc", "uts", "pid"};
	char path[48];

	if (m->error < 0)
		return skf_fail_sys(e, m->error, "make the namespaces of pod '%s' in its user namespace",
				    l->q.id);
	for (unsigned i = 0; i < SKF_HOLD_N; i++) {
		if (i == SKF_HOLD_PID ? !m->init : !shares(l, i))
			continue;
		snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)(i == SKF_HOLD_PID ? m->init : pid),
			 names[i]);
		l->pod.ns[i] = skf_openat(AT_FDCWD, path, O_RDONLY, 0);
		if (l->pod.ns[i] < 0)
			return skf_fail_sys(e, l->pod.ns[i], "open '%s' of pod '%s'", path, l->q.id);
	}
	if (!m->init)
		return 0;
	l->pod.pid = m->init;
	l->pod.pidfd = skf_pidfd_open(m->init);
	return l->pod.pidfd < 0 ? skf_fail_sys(e, l->pod.pidfd, "watch the init of pod '%s'", l->q.id) : 0;
}

static int make_in_userns(struct skf_launch *l, struct skf_err *e)
{
	struct made m = {.error = -EPIPE};
	struct inside in = {.l = l};
	struct skf_helper h;
	int r;

	l->userns = skf_rt_userns(&l->ids.uids, &l->ids.gids, e);
	if (l->userns < 0)
		return -1;
	for (unsigned i = 0; i < SKF_HOLD_N; i++)
		in.flags |= shares(l, i) ? skf_hold_ns_flag((enum skf_hold_ns)i) : 0;
	r = skf_helper_start(0, make_inside, &in, &h);
	if (r < 0)
		return skf_fail_sys(e, r, "start the child that makes the namespaces of pod '%s'", l->q.id);
	if (read(h.sock, &m, sizeof(m)) != (ssize_t)sizeof(m))
		m.error = -EPIPE;
	r = take_inside(l, h.pid, &m, e);
	skf_helper_end(&h, false);
	return r;
}

static int make_namespaces(struct skf_launch *l, struct skf_err *e)
{
	int own[SKF_HOLD_N] = {-EBADF, -EBADF, -EBADF, -EBADF}, flags = 0, r, back;

	if (l->ids.uids.n && !l->pod.adopted)
		return make_in_userns(l, e);
	r = open_shared(l, own);

	for (unsigned i = 0; i < SKF_HOLD_N; i++)
		flags |= shares(l, i) ? skf_hold_ns_flag((enum skf_hold_ns)i) : 0;
	if (r == 0)
		r = skf_unshare(flags);
	if (r < 0) {
		skf_fail_sys(e, r, "make the namespaces of pod '%s'", l->q.id);
	} else {
		r = set_up(l, e);
		if (r == 0 && (r = open_shared(l, l->pod.ns)) < 0)
			skf_fail_sys(e, r, "open the namespaces of pod '%s'", l->q.id);
		for (unsigned i = 0; i < SKF_HOLD_N; i++) {
			back = shares(l, i) ? skf_setns(own[i], skf_hold_ns_flag((enum skf_hold_ns)i)) : 0;
			if (back < 0)
				r = skf_fail_sys(e, back, "return to the %s namespace of the host",
						 skf_hold_ns_name((enum skf_hold_ns)i));
		}
	}
	for (unsigned i = 0; i < SKF_HOLD_N; i++)
		skf_closep(&own[i]);
	return r < 0 ? -1 : 0;
}

/* The engine's part; it outlives this process's program: the holder has its pid. */
static int network(struct skf_launch *l, struct skf_err *e)
{
	if (!(l->q.flags & SKF_LAUNCH_NET) || l->pod.ns[SKF_HOLD_NET] < 0)
		return 0;
	return skf_launch_net_offer(l, l->pod.ns[SKF_HOLD_NET], getpid(), e) < 0 ? -1
										 : skf_launch_net_end(l, e);
}

/* In the child: nothing but system calls until execve. The holder's death is its own: nobody else would end
 * it. */
static void become_init(const struct skf_launch *l)
{
	char *argv[] = {(char[]){"skiff-init"}, (char[]){"--pause"}, NULL}, *envp[] = {NULL};

	if (skf_set_pdeathsig(SIGKILL) == 0 && skf_signals_default() == 0 && setsid() >= 0 &&
	    skf_close_from(3) == 0)
		execve(l->pod.init, argv, envp);
	_exit(127);
}

static int start_init(struct skf_launch *l, struct skf_err *e)
{
	const struct skf_clone c = {.flags = CLONE_NEWPID, .exit_signal = SIGCHLD, .cgroup_fd = -1};
	char path[40];
	pid_t pid;

	if (!(l->pod.share >> SKF_HOLD_PID & 1) || l->pod.pidfd >= 0)
		return 0;
	if (access(l->pod.init, X_OK) < 0)
		return skf_fail_sys(e, -errno, "find '%s', the init of a pod that shares its PID namespace",
				    l->pod.init);
	pid = skf_clone3(&c, &l->pod.pidfd);
	if (pid == 0)
		become_init(l);
	if (pid < 0)
		return skf_fail_sys(e, (int)pid, "start the init of pod '%s'", l->q.id);
	l->pod.pid = pid;
	snprintf(path, sizeof(path), "/proc/%d/ns/pid", (int)pid);
	l->pod.ns[SKF_HOLD_PID] = skf_openat(AT_FDCWD, path, O_RDONLY, 0);
	return l->pod.ns[SKF_HOLD_PID] < 0 ? skf_fail_sys(e, l->pod.ns[SKF_HOLD_PID],
							  "open the PID namespace of pod '%s'", l->q.id)
					   : 0;
}

static void undo_init(struct skf_launch *l)
{
	int status;

	if (l->pod.pidfd < 0)
		return;
	(void)skf_pidfd_kill(l->pod.pidfd, SIGKILL); /* ESRCH: it ended by itself */
	(void)skf_wait_pid(l->pod.pid, l->pod.pidfd, SKF_KILL_WAIT_MS, &status);
	skf_closep(&l->pod.pidfd);
}

static int fill(const struct skf_launch *l, int sock, struct skf_hold_handover *h, struct skf_err *e)
{
	*h = (struct skf_hold_handover){.listen_fd = l->listen_fd,
					.run_dir = l->run_dir,
					.engine_sock = sock,
					.pidfd = l->pod.pidfd,
					.init_pid = (uint32_t)l->pod.pid};
	h->shm = l->pod.shm < 0 ? -1 : l->pod.shm;
	for (unsigned i = 0; i < SKF_HOLD_N; i++)
		h->ns[i] = l->pod.ns[i] < 0 ? -1 : l->pod.ns[i];
	if (skf_fmt(h->id, sizeof(h->id), "%s", l->q.id) < 0 ||
	    skf_fmt(h->reaper, sizeof(h->reaper), "%s", l->q.reaper) < 0 ||
	    skf_fmt(h->root, sizeof(h->root), "%s", l->q.root) < 0 ||
	    skf_fmt(h->run_root, sizeof(h->run_root), "%s", l->q.run_root) < 0)
		return skf_fail(e, SKF_ELIMIT, "a path of pod '%s' is too long for its holder", l->q.id);
	return 0;
}

static int hand_over(const struct skf_hold_handover *h, int *ret_mem)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MON_HANDOVER_MAX);
	const int fds[] = {h->listen_fd, h->run_dir, h->engine_sock, h->pidfd, h->ns[0],
			   h->ns[1],     h->ns[2],   h->ns[3],       h->shm};
	SKF_AUTO_FD int mem = memfd_create("handover", MFD_CLOEXEC);
	int r = mem < 0 ? -errno : 0;

	_Static_assert(SKF_HOLD_N == 4, "every namespace is in the list above");
	skf_hold_write(h, &b);
	if (r == 0)
		r = b.err ? b.err : skf_write_full(mem, b.p, b.len);
	if (r == 0)
		r = skf_cloexec_from(3);
	for (size_t i = 0; i < SKF_ARRAY_LEN(fds) && r == 0; i++)
		if (fds[i] >= 0)
			r = skf_set_cloexec(fds[i], false);
	if (r == 0)
		*ret_mem = SKF_TAKE_FD(mem);
	return r;
}

static int become_holder(struct skf_launch *l, struct skf_err *e)
{
	SKF_AUTO_FD int mem = -EBADF, sock = skf_dup_cloexec(SKF_LAUNCH_FD);
	char shown[13];
	const char *argv[] = {"skiff-monitor", "pod", shown, NULL}, *envp[] = {NULL};
	struct skf_hold_handover h;
	int r = sock;

	if (sock >= 0) {
		if (fill(l, sock, &h, e) < 0)
			return -1;
		r = hand_over(&h, &mem);
	}
	snprintf(shown, sizeof(shown), "%s", l->q.id);
	if (r == 0)
		r = dup2(mem, SKF_MON_HANDOVER_FD) < 0 ? -errno : 0;
	if (r == 0) {
		skf_rt_seal_end();
		execve(l->monitor, (char *const *)argv, (char *const *)envp);
		r = -errno;
		(void)dup2(sock, SKF_LAUNCH_FD); /* FAILED goes out on the usual number */
	}
	return skf_fail_sys(e, r, "become the holder '%s' of pod '%s'", l->monitor, l->q.id);
}

const struct skf_launch_step skf_launch_pod_steps[] = {
	{"document", read_doc, NULL},           {"run directory", open_run, NULL},
	{"living namespaces", adopt, NULL},     {"namespaces", make_namespaces, undo_init},
	{"shm", skf_launch_pod_shm_make, NULL}, {"network", network, NULL},
	{"init", start_init, undo_init},        {"listen", skf_launch_listen, skf_launch_unlisten},
	{"become", become_holder, NULL},        {NULL, NULL, NULL},
};

/* --- a container of a pod --- */

static int use_namespaces(struct skf_launch *l, struct skf_err *e)
{
	struct skf_spec_namespace *n = l->spec->linux_.namespaces.v;

	for (size_t i = 0; i < l->spec->linux_.namespaces.n; i++)
		for (unsigned k = 0; k < SKF_HOLD_N; k++) {
			if (l->pod.ns[k] < 0 || (int)n[i].type != skf_hold_ns_flag((enum skf_hold_ns)k))
				continue;
			n[i].path = skf_arena_fmt(&l->arena, "/proc/self/fd/%d", l->pod.ns[k]);
			if (!n[i].path)
				return skf_fail(e, SKF_ENOMEM,
						"out of memory for the namespaces of container '%s'",
						l->q.id);
		}
	return 0;
}

int skf_launch_join_pod(struct skf_launch *l, struct skf_err *e)
{
	SKF_AUTO_FD int dir = -EBADF, sock = -EBADF;
	const char *pod = l->conf->pod;

	if (!pod || !*pod)
		return 0;
	dir = pod_dir(l->run_root_fd, pod, false);
	sock = dir < 0 ? dir : skf_mon_connect(dir);
	if (sock < 0)
		return skf_fail(e, SKF_EUNAVAILABLE, "pod '%.12s' of container '%s' does not run (%s)", pod,
				l->q.id, strerrordesc_np(-sock));
	if (skf_hold_namespaces(sock, pod, l->pod.ns, e) < 0)
		return -1;
	if (l->pod.ns[SKF_HOLD_IPC] >= 0 && skf_hold_shm(sock, pod, &l->pod.shm, e) < 0)
		return -1;
	return use_namespaces(l, e);
}
