/* launch/steps.c -- one request: read it, leave the session and its cgroups, walk the steps, and on failure
 * undo them and say why. */
#include "launch/launch.h"
#include "launch/launch_int.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/log.h"
#include "launch/wire.h"
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void init(struct skf_launch *l, const struct skf_log *log)
{
	*l = (struct skf_launch){.log = log,
				 .record = SKF_BUF(SKF_MAX_RECORD),
				 .arena = SKF_ARENA(SKF_MAX_ARENA_DOC),
				 .config = SKF_BUF(SKF_MAX_SPEC_BYTES),
				 .root_fd = -EBADF,
				 .run_root_fd = -EBADF,
				 .disk_dir = -EBADF,
				 .userns = -EBADF,
				 .foreign = {.pidfd = -EBADF, .console = -EBADF, .netns = -EBADF},
				 .run_dir = -1,
				 .alone = -1,
				 .listen_fd = -1,
				 .log_fd = -1,
				 .root_mount = -EBADF,
				 .rt.rootfd = -EBADF};
	for (unsigned i = 0; i < 3; i++)
		l->ours[i] = l->theirs[i] = -1;
	for (unsigned i = 0; i < SKF_HOLD_N; i++)
		l->pod.ns[i] = -EBADF;
	l->pod.pidfd = l->pod.shm = -1;
}

static void done(struct skf_launch *l)
{
	int *fds[] = {&l->alone,         &l->root_fd,         &l->run_root_fd,  &l->disk_dir,  &l->run_dir,
		      &l->listen_fd,     &l->log_fd,          &l->root_mount,   &l->rt.rootfd, &l->userns,
		      &l->foreign.pidfd, &l->foreign.console, &l->foreign.netns};

	for (size_t i = 0; i < SKF_ARRAY_LEN(fds); i++)
		skf_closep(fds[i]);
	for (unsigned i = 0; i < 3; i++) {
		skf_closep(&l->ours[i]);
		skf_closep(&l->theirs[i]);
	}
	for (unsigned i = 0; i < SKF_HOLD_N; i++)
		skf_closep(&l->pod.ns[i]);
	skf_closep(&l->pod.pidfd);
	skf_closep(&l->pod.shm);
	skf_fds_done(&l->fds);
	skf_arena_done(&l->arena);
	skf_buf_done(&l->config);
	skf_buf_done(&l->record);
}

static const struct {
	const char *verb;
	uint16_t type;
	const struct skf_launch_step *steps;
} lists[] = {
	{"start", SKF_LAUNCH_START, skf_launch_start_steps},
	{"exec", SKF_LAUNCH_EXEC, skf_launch_exec_steps},
	{"restart", SKF_LAUNCH_RESTART, skf_launch_restart_steps},
	{"health", SKF_LAUNCH_HEALTH, skf_launch_health_steps},
	{"netsock", SKF_LAUNCH_NETSOCK, skf_launch_netsock_steps},
	{"look", SKF_LAUNCH_LOOK, skf_launch_look_steps},
	{"update", SKF_LAUNCH_UPDATE, skf_launch_update_steps},
	{"mount", SKF_LAUNCH_MOUNT, skf_launch_mount_steps},
	{"pod", SKF_LAUNCH_POD, skf_launch_pod_steps},
	{"checkpoint", SKF_LAUNCH_CHECKPOINT, skf_launch_checkpoint_steps},
	{"restore", SKF_LAUNCH_RESTORE, skf_launch_restore_steps},
	{"image-mount", SKF_LAUNCH_IMAGE_MOUNT, skf_launch_image_mount_steps},
	{"image-unmount", SKF_LAUNCH_IMAGE_UNMOUNT, skf_launch_image_unmount_steps},
	{"probe", SKF_LAUNCH_PROBE, skf_launch_probe_steps},
	{"go", SKF_LAUNCH_GO, skf_launch_go_steps},
	{"ctr-mount", SKF_LAUNCH_CTR_MOUNT, skf_launch_ctr_mount_steps},
	{"ctr-unmount", SKF_LAUNCH_CTR_UNMOUNT, skf_launch_ctr_unmount_steps},
};

/* type 0: any */
static const struct skf_launch_step *list_of(const char *verb, uint16_t type)
{
	for (size_t i = 0; i < SKF_ARRAY_LEN(lists); i++)
		if (strcmp(lists[i].verb, verb) == 0 && (type == 0 || lists[i].type == type))
			return lists[i].steps;
	return NULL;
}

bool skf_launch_knows(const char *verb)
{
	return list_of(verb, 0) != NULL;
}

static int read_request(struct skf_launch *l, const char *verb, struct skf_err *e)
{
	struct skf_recr r;
	int n = skf_record_recv(SKF_LAUNCH_FD, &l->record, &r, &l->fds, SKF_START_MS);

	if (n < 0)
		return skf_fail_sys(e, n, "read the request from descriptor %d", SKF_LAUNCH_FD);
	if (n == 0)
		return skf_fail(e, SKF_EINVALID, "descriptor %d was closed without a request",
				SKF_LAUNCH_FD);
	if (skf_launch_request_read(&r, l->fds.n, &l->q, e) < 0)
		return -1;
	if (!list_of(verb, l->q.type))
		return skf_fail(e, SKF_EINVALID,
				"skiff-launch was started for '%.20s' and asked for something else", verb);
	return 0;
}

static int walk(struct skf_launch *l, const struct skf_launch_step *s, struct skf_err *e)
{
	size_t i;

	for (i = 0; s[i].run; i++) {
		skf_debug(l->log, "launch %.12s: %s", l->q.id, s[i].name);
		if (s[i].run(l, e) < 0)
			break;
	}
	if (!s[i].run)
		return 0; /* answered: only a list that ends in a monitor does not come here */
	/* The step that failed is undone as well: every undo takes a half-done step. */
	for (i++; i > 0; i--)
		if (s[i - 1].undo)
			s[i - 1].undo(l);
	return -1;
}

static void send_failed(const struct skf_log *log, const struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	struct skf_rec w;
	int r;

	skf_rec_begin(&w, &b, SKF_LAUNCH_FAILED, SKF_LAUNCH_VERSION);
	skf_rec_err(&w, e);
	skf_rec_end(&w);
	r = skf_record_send(SKF_LAUNCH_FD, &b, NULL, 0);
	if (r < 0) /* nobody listens: the only other place */
		skf_log_err(log, e);
}

void skf_launch_refuse(const struct skf_err *e, const struct skf_log *log)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	SKF_AUTO(skf_fds_done) struct skf_fds fds = {.n = 0};
	struct skf_recr r;

	/* A socket that is closed with an unread request gives its peer ECONNRESET in place of the answer:
	 * unix(7). */
	(void)skf_record_recv(SKF_LAUNCH_FD, &b, &r, &fds, SKF_HELLO_MS);
	send_failed(log, e);
}

/* A descriptor of ours below 3 would be taken for stdio by the monitor. */
static int fill_stdio(void)
{
	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) < 0 && skf_openat(AT_FDCWD, "/dev/null", O_RDWR, 0) != fd)
			return -EBADF;
	return 0;
}

int skf_launch_main(const char *verb, const char *monitor, const struct skf_log *log)
{
	struct skf_err e = SKF_ERR_INIT;
	struct skf_launch l;
	int r = -1;

	init(&l, log);
	l.monitor = monitor;
	umask(022);
	if (fill_stdio() < 0) {
		skf_fail(&e, SKF_ESYSTEM, "open '/dev/null' for skiff-launch's missing stdio");
	} else {
		(void)setsid();               /* EPERM: we lead a session already */
		skf_launch_enter_cgroup(log); /* before the request comes: who spawned us early is still busy
						 making the container */
		r = read_request(&l, verb, &e);
		if (r == 0)
			r = walk(&l, list_of(verb, l.q.type), &e);
	}
	done(&l);
	if (r == 0)
		return 0;
	send_failed(log, &e);
	return 1;
}
