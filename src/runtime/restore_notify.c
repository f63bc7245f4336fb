/* runtime/restore_notify.c -- what a restore does when criu says how far it is: hooks when the namespaces
 * exist, state.json when init exists but does not run yet, the descriptor of its terminal. restore.c has the
 * theory and the invariants. Blocks: hooks, up to their time-outs. */
#include "runtime/restore_int.h"

#include "base/json.h"
#include "base/proc.h"
#include "oci/spec.h"
#include "sys/process.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int journal_pid(struct restoration *x, pid_t pid, struct skf_state_in *in, char boot[37],
		       struct skf_err *e)
{
	int r = skf_proc_start_time(pid, &in->pid_start);

	if (r == 0)
		r = skf_boot_id(boot);
	if (r == 0)
		r = skf_journal_add(x->s.state_fd, "pid %d %llu %s", (int)pid,
				    (unsigned long long)in->pid_start, boot);
	return r < 0 ? skf_fail_sys(e, r, "write the journal of container '%s'", x->s.req->id) : 0;
}

/* Invariant 3 of restore.c. */
static int loopback_up(const struct restoration *x, pid_t pid, struct skf_err *e)
{
	char path[40];
	int r, back;

	if (!(x->s.ns_new & CLONE_NEWNET))
		return 0;
	r = skf_fmt(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	SKF_AUTO_FD int own = skf_openat(AT_FDCWD, "/proc/self/ns/net", O_RDONLY, 0);
	SKF_AUTO_FD int theirs = r < 0 ? r : skf_openat(AT_FDCWD, path, O_RDONLY, 0);
	if (own < 0 || theirs < 0)
		return skf_fail_sys(e, own < 0 ? own : theirs,
				    "open the network namespace of the container");
	r = skf_setns(theirs, CLONE_NEWNET);
	if (r < 0)
		return skf_fail_sys(e, r, "enter the network namespace of the container");
	r = skf_net_loopback_up();
	back = skf_setns(own, CLONE_NEWNET);
	if (r < 0 || back < 0)
		return skf_fail_sys(e, back < 0 ? back : r, "bring up the loopback device of the container");
	return 0;
}

static int on_namespaces(struct restoration *x, pid_t pid, struct skf_err *e)
{
	const struct skf_spec_hooks *h = &x->s.spec->hooks;
	const struct skf_kvs *an = &x->s.spec->annotations;
	const char *bundle = x->s.req->bundle;
	struct skf_state_in in = {0};
	char boot[37];

	if (journal_pid(x, pid, &in, boot, e) < 0 || loopback_up(x, pid, e) < 0)
		return -1;
	if (x->s.req->net_begin && (x->s.req->net_begin(x->s.req->net_arg, pid, e) < 0 ||
				    x->s.req->net_end(x->s.req->net_arg, e) < 0))
		return -1;
	if (h->prestart.n == 0 && h->create_runtime.n == 0)
		return 0;
	SKF_AUTO_FREE char *doc = skf_state_doc(&x->s, x->s.req->id, "creating", pid);
	if (!doc)
		return skf_nomem(e);
	return skf_hooks_run_host(an, bundle, &h->prestart, "prestart", doc, x->s.rt->log, e) < 0
		       ? -1
		       : skf_hooks_run_host(an, bundle, &h->create_runtime, "createRuntime", doc,
					    x->s.rt->log, e);
}

/* Criu puts the processes into a time namespace, so that their clocks go on: exec has to join it. */
static void note_time_namespace(struct restoration *x, pid_t pid)
{
	char path[40];
	struct stat own, theirs;

	if (skf_fmt(path, sizeof(path), "/proc/%d/ns/time", (int)pid) == 0 &&
	    stat("/proc/self/ns/time", &own) == 0 && stat(path, &theirs) == 0 && own.st_ino != theirs.st_ino)
		x->s.ns_new |= CLONE_NEWTIME;
}

static int on_restored(struct restoration *x, pid_t pid, struct skf_err *e)
{
	struct skf_state_in in = {.s = &x->s, .id = x->s.req->id, .pid = pid};
	char created[36], boot[37];
	int r = skf_pidfd_open(pid);

	if (r < 0)
		return skf_fail_sys(e, r, "open the restored init (pid %d)", (int)pid);
	x->c->pidfd = r;
	x->c->pid = pid;
	if (journal_pid(x, pid, &in, boot, e) < 0)
		return -1;
	note_time_namespace(x, pid);
	skf_time_rfc3339(skf_now_ns(), created);
	in.created = created;
	in.boot_id = boot;
	return skf_state_save(&in, e);
}

/* The first terminal without a master was the container's. */
static int on_terminal(struct restoration *x, int *fd, struct skf_err *e)
{
	if (*fd < 0)
		return skf_fail(e, SKF_ECORRUPT, "criu sent no terminal");
	if (x->console_sock >= 0) {
		if (skf_console_send(x->console_sock, *fd, e) < 0)
			return -1;
		skf_closep(&x->console_sock);
	} else if (x->s.req->want_console_fd && x->c->console < 0) {
		x->c->console = SKF_TAKE_FD(*fd);
	}
	return 0;
}

int skf_restore_notify(void *arg, const struct skf_criu_resp *r, int *fd, struct skf_err *e)
{
	struct restoration *x = arg;
	char script[40] = "";

	if (r->script.n < sizeof(script))
		memcpy(script, r->script.p, r->script.n);
	skf_debug(x->s.rt->log, "criu: %s", script);
	if (skf_streq(script, "orphan-pts-master"))
		return on_terminal(x, fd, e);
	if (skf_streq(script, "setup-namespaces") || skf_streq(script, "post-restore")) {
		if (r->notify_pid <= 1)
			return skf_fail(e, SKF_ECORRUPT, "criu restored process %d", r->notify_pid);
		return script[0] == 's' ? on_namespaces(x, r->notify_pid, e)
					: on_restored(x, r->notify_pid, e);
	}
	return 0; /* network-lock, pre-resume ...: nothing to do for us */
}
