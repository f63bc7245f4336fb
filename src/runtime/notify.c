/* runtime/notify.c -- NOTIFY_SOCKET: a service manager starts the runtime and waits for the container's
 * process to say that it is ready (sd_notify(3)).
 *
 * The host's socket is not given to the container. It gets one of its own, <id>/notify/notify, by a
 * read-only mount of that directory at the path of the host's socket, as with crun: programs look at
 * NOTIFY_SOCKET only, so any path would do. Who starts the container binds the socket before the start and
 * passes on what is harmless: READY=1 and STATUS=, with the pid that the service manager shall watch,
 * followed by a barrier, because a message whose sender has gone may be thrown away. Messages of the
 * container never carry a pid or descriptors to the host. Without NOTIFY_SOCKET nothing here runs. Blocks:
 * skf_rt_notify_wait until READY or the end of the process. */
#include "runtime/runtime_int.h"

#include "base/notify.h"
#include "oci/spec.h"
#include "sys/path.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define SOCKET_NAME "notify"

static const char *inside(const struct skf_start *s)
{
	const char *host = s->req->notify_socket;
	size_t max = sizeof(((struct sockaddr_un *)NULL)->sun_path) - sizeof("/" SOCKET_NAME);

	return host[0] == '/' && host[1] && strlen(host) <= max ? host : SKF_NOTIFY_ELSEWHERE;
}

static int add_mount(struct skf_start *s, struct skf_spec *to)
{
	static const char *const options[] = {"bind", "nosuid", "noexec", "nodev", "ro"};
	struct skf_jarr *m = &to->mounts;
	struct skf_spec_mount *v = skf_arena_array(s->arena, m->n + 1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	if (m->n > 0)
		memcpy(v, m->v, m->n * sizeof(*v));
	v[m->n] = (struct skf_spec_mount){
		.destination = skf_arena_strdup(s->arena, inside(s)),
		.type = skf_arena_strdup(s->arena, "bind"),
		.source = skf_arena_fmt(s->arena, "%s/%s/" SKF_NOTIFY_DIR, s->rt->root, s->req->id),
	};
	for (size_t i = 0; i < SKF_ARRAY_LEN(options); i++)
		if (skf_strv_add(s->arena, &v[m->n].options, options[i]) < 0)
			return -ENOMEM;
	if (!v[m->n].destination || !v[m->n].type || !v[m->n].source)
		return -ENOMEM;
	*m = (struct skf_jarr){v, m->n + 1};
	return 0;
}

static int add_env(struct skf_start *s, struct skf_spec_process *p)
{
	struct skf_strv env = {0};
	char *line = skf_arena_fmt(s->arena, "NOTIFY_SOCKET=%s/" SOCKET_NAME, inside(s));

	for (size_t i = 0; i < p->env.n; i++)
		if (!skf_startswith(p->env.v[i], "NOTIFY_SOCKET=") &&
		    skf_strv_add(s->arena, &env, p->env.v[i]) < 0)
			return -ENOMEM;
	p->env = env;
	return line ? skf_strv_add(s->arena, &p->env, line) : -ENOMEM;
}

int skf_notify_make_dir(const struct skf_start *s, struct skf_err *e)
{
	if (mkdirat(s->state_fd, SKF_NOTIFY_DIR, 0755) < 0)
		return skf_fail_errno(e, "make the directory of the notify socket of container '%s'",
				      s->req->id);
	return 0;
}

int skf_notify_prepare(struct skf_start *s, struct skf_err *e)
{
	struct skf_spec *spec = skf_arena_alloc(s->arena, sizeof(*spec));
	struct skf_spec_process *p = skf_arena_alloc(s->arena, sizeof(*p));
	int r;

	if (!spec || !p)
		return skf_nomem(e);
	*spec = *s->spec;
	*p = *s->process;
	r = add_mount(s, spec);
	if (r == 0)
		r = add_env(s, p);
	if (r < 0)
		return skf_fail_sys(e, r, "notify socket of container '%s'", s->req->id);
	spec->process = p;
	s->spec = spec;
	s->process = p;
	return skf_notify_make_dir(s, e);
}

int skf_rt_notify_open(const struct skf_rt *rt, const char *id, struct skf_err *e)
{
	SKF_AUTO_FD int state = skf_openat(rt->rootfd, id, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0),
			dir = state < 0 ? state
					: skf_openat(state, SKF_NOTIFY_DIR,
						     O_PATH | O_DIRECTORY | O_NOFOLLOW, 0);
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	SKF_AUTO_FD int fd = -EBADF;

	if (dir == -ENOENT)
		return -EBADF;
	if (dir < 0)
		return skf_fail_sys(e, dir, "open the directory of the notify socket of container '%s'", id);
	snprintf(sa.sun_path, sizeof(sa.sun_path), "/proc/self/fd/%d/" SOCKET_NAME, dir);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return skf_fail_errno(e, "notify socket of container '%s'", id);
	(void)unlinkat(dir, SOCKET_NAME, 0); /* of a start that failed; else bind says what is wrong */
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || fchmodat(dir, SOCKET_NAME, 0777, 0) < 0)
		return skf_fail_errno(e, "bind the notify socket of container '%s'", id);
	return SKF_TAKE_FD(fd);
}

/* --- relaying --- */

/* What is in text, and with `ready` who the service is. */
static void tell_host(const struct skf_rt *rt, const char *host, struct skf_buf *text, bool ready, pid_t pid)
{
	int r;

	if (ready)
		skf_buf_fmt(text, "MAINPID=%d\n", (int)pid);
	r = skf_notify_send(host, text, ready);
	if (r < 0)
		skf_warn(rt->log, "pass a message on to NOTIFY_SOCKET '%s': %s, ignoring", host,
			 strerror(-r));
}

int skf_rt_notify_relay(const struct skf_rt *rt, int fd, const char *host, pid_t pid)
{
	SKF_AUTO(skf_buf_done) struct skf_buf out = SKF_BUF(8192);
	char text[4096];
	ssize_t n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);
	bool ready;

	if (n <= 0)
		return 0;
	text[n] = '\0';
	ready = skf_notify_harmless(text, &out);
	if (out.len == 0)
		return 0;
	tell_host(rt, host, &out, ready, pid);
	return ready;
}

void skf_rt_notify_ready(const struct skf_rt *rt, const char *host, pid_t pid)
{
	SKF_AUTO(skf_buf_done) struct skf_buf out = SKF_BUF(256);

	skf_buf_str(&out, "READY=1\n");
	tell_host(rt, host, &out, true, pid);
}

void skf_rt_notify_wait(const struct skf_rt *rt, int fd, const char *host, pid_t pid, int pidfd)
{
	struct pollfd p[2] = {{.fd = fd, .events = POLLIN}, {.fd = pidfd, .events = POLLIN}};

	for (;;) {
		if (poll(p, 2, -1) < 0) {
			if (errno == EINTR)
				continue;
			skf_warn(rt->log, "wait for the container to be ready: %s, ignoring",
				 strerror(errno));
			return;
		}
		if (p[0].revents & POLLIN) {
			if (skf_rt_notify_relay(rt, fd, host, pid) == 1)
				return;
		} else if (p[1].revents) {
			return;
		}
	}
}
