/* runtime/process.c -- from a process inside the container's root to the credentials and the confinement of
 * the workload.
 *
 * Invariants:
 *  1. Order: keyring and labels (need nothing, must precede execve), bounding set (needs CAP_SETPCAP),
 * groups, gid, uid (each needs what the next takes away), then, as the workload's user, working directory
 * and program, then limits (low ones would break all before), capabilities last.
 *  2. The seccomp filter is loaded as late as the kernel lets us: right before execve when no_new_privs is
 * set or CAP_SYS_ADMIN is kept, else right before the drop of capabilities. What runs after it is kept to
 * capset, capget, prctl, read, write and execve. A filter that notifies is loaded before READY in any case:
 * its listener goes to the agent through the parent of the creation, which is not there any more later.
 *  3. The working directory is resolved without magic links below the root, as the workload's user, and then
 * asked for by getcwd: a directory outside of the root, reached through whatever descriptor, ends the start
 * (CVE-2024-21626).
 *  4. A capability that this caller cannot give is warned about and left out (runtime-spec: MUST warn,
 * SHOULD NOT fail).
 *  5. The death signal is set after the last change of credentials, which resets it.
 *  6. Set-id bits and file capabilities of the workload are the kernel's business; nothing here depends on
 * them. Blocks on the container's file system only. man 7 capabilities, credentials(7). */
#include "runtime/runtime_int.h"

#include "oci/spec.h"
#include "sys/path.h"
#include "sys/process.h"

#include <linux/capability.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CAP_BIT(c) (1ULL << (c))

static int join_keyring(const struct skf_proc_setup *x, struct skf_err *e)
{
	int r;

	if (!x->new_keyring)
		return 0;
	r = skf_new_session_keyring(x->keyring_name);
	if (r == -ENOSYS ||
	    r == -EPERM) { /* a kernel without keys, or an outer seccomp filter (containers in containers) */
		skf_debug(x->log, "session keyring '%s': %s, ignoring", x->keyring_name, strerror(-r));
		return 0;
	}
	return r < 0 ? skf_fail_sys(e, r, "join session keyring '%s'", x->keyring_name) : 0;
}

static uint64_t grantable(const struct skf_proc_setup *x, uint64_t want, uint64_t have)
{
	uint64_t missing = want & ~have;

	for (unsigned i = 0; missing && i < 64; i++) {
		if (!(missing & CAP_BIT(i)))
			continue;
		missing &= ~CAP_BIT(i);
		if (skf_cap_name(i))
			skf_warn(x->log, "capability %s cannot be granted here, ignoring", skf_cap_name(i));
	}
	return want & have;
}

/* Ambient capabilities need to be permitted and inheritable. */
static uint64_t raisable(const struct skf_proc_setup *x, uint64_t can)
{
	uint64_t want = x->p->caps.ambient;

	for (unsigned i = 0; i < 64; i++)
		if ((want & ~can & CAP_BIT(i)) && skf_cap_name(i))
			skf_warn(x->log,
				 "can't raise ambient capability %s: operation not permitted, ignoring",
				 skf_cap_name(i));
	return want & can;
}

/* The five sets as they can be had here. */
static struct skf_spec_caps effective_caps(const struct skf_proc_setup *x, uint64_t have)
{
	struct skf_spec_caps c = {0};

	if (!x->p->has_caps)
		return c;
	c.bounding = x->p->caps.bounding;
	c.permitted = grantable(x, x->p->caps.permitted, have);
	c.effective = x->p->caps.effective & c.permitted;
	c.inheritable = x->p->caps.inheritable & have;
	c.ambient = raisable(x, c.permitted & c.inheritable);
	return c;
}

/* Invariant 2: whether a process with these effective capabilities may load the filter. */
static bool filter_is_late(const struct skf_proc_setup *x, uint64_t effective)
{
	return x->p->no_new_privs || (effective & CAP_BIT(CAP_SYS_ADMIN));
}

static int load_filter(const struct skf_proc_setup *x, struct skf_err *e)
{
	int r;

	skf_debug(x->log, "seccomp filter flags: %u", skf_seccomp_flags(x->seccomp));
	r = x->listener ? skf_listener_load_filter(x->listener, x->seccomp, x->sync)
			: skf_seccomp_load(x->seccomp);
	return r < 0 ? skf_fail_sys(e, r, "load the seccomp filter (%u instructions)", x->seccomp->n) : 0;
}

static int set_ids(const struct skf_proc_setup *x, struct skf_err *e)
{
	const struct skf_spec_user *u = &x->p->user;
	int r;

	if (x->keep_groups) {
		r = 0;
	} else if (x->setgroups_ok) {
		r = skf_setgroups(u->gids, u->n_gids);
		if (r < 0)
			return skf_fail_sys(e, r, "set %zu additional groups", u->n_gids);
	} else if (u->n_gids > 0) {
		return skf_fail(
			e, SKF_EINVALID,
			"config.json: /process/user/additionalGids: the user namespace forbids setgroups");
	}
	r = skf_setresgid(u->gid);
	if (r < 0)
		return skf_fail_sys(e, r, "become gid %u%s", u->gid,
				    r == -EINVAL ? " (not mapped in the user namespace)" : "");
	r = skf_setresuid(u->uid);
	if (r < 0)
		return skf_fail_sys(e, r, "become uid %u%s", u->uid,
				    r == -EINVAL ? " (not mapped in the user namespace)" : "");
	return 0;
}

/* -ENOENT: missing; the directory is entered as whoever we are now. */
static int enter_cwd(const char *cwd)
{
	SKF_AUTO_FD int root = skf_openat(AT_FDCWD, "/", O_PATH | O_DIRECTORY, 0);
	SKF_AUTO_FD int fd = -EBADF;

	if (root < 0)
		return root;
	fd = skf_path_open(root, cwd, O_PATH | O_DIRECTORY, 0);
	if (fd < 0)
		return fd;
	return skf_sys(fchdir(fd));
}

static const char *cwd_of(const struct skf_spec_process *p)
{
	return p->cwd && *p->cwd ? p->cwd : "/";
}

int skf_process_make_cwd(const struct skf_spec_process *p, struct skf_err *e)
{
	const char *cwd = cwd_of(p);
	SKF_AUTO_FD int root = skf_openat(AT_FDCWD, "/", O_PATH | O_DIRECTORY, 0);
	SKF_AUTO_FD int fd = -EBADF;

	if (root < 0)
		return skf_fail_sys(e, root, "open the container's root");
	fd = skf_path_open(root, cwd, O_PATH | O_DIRECTORY, 0);
	if (fd != -ENOENT)
		return 0; /* there, or the user's chdir will say what is wrong with it */
	fd = skf_path_mkdirs(root, cwd, 0755);
	return fd < 0 ? skf_fail_sys(e, fd, "make the working directory '%s'", cwd) : 0;
}

/* entered: the directory was entered before the change of ids already. */
static int check_cwd(const char *cwd, bool entered, struct skf_err *e)
{
	char path[PATH_MAX];
	int r = entered ? 0 : enter_cwd(cwd);

	if (r < 0)
		return skf_fail_sys(e, r, "change to the working directory '%s' as the container's user",
				    cwd);
	/* the kernel's own answer, not the C library's, which may search */
	if (syscall(SYS_getcwd, path, sizeof(path)) < 0)
		return skf_fail_errno(e, "working directory '%s'", cwd);
	if (path[0] != '/')
		return skf_fail(e, SKF_EDENIED, "working directory '%s' is outside of the container's root",
				cwd);
	return 0;
}

/* The change of ids, with all capabilities kept for what is still to do. */
static int change_user(const struct skf_proc_setup *x, struct skf_spec_caps *c, uint64_t *have,
		       struct skf_err *e)
{
	uint64_t eff, inh;
	int r = skf_cap_get(&eff, have, &inh);

	if (r < 0)
		return skf_fail_sys(e, r, "read own capabilities");
	*c = effective_caps(x, *have);
	r = skf_cap_drop_bounding(c->bounding);
	if (r < 0 &&
	    !(r == -EPERM && *have == 0)) /* nothing to drop it with, and nothing that it would bound */
		return skf_fail_sys(e, r, "drop capabilities from the bounding set");
	r = skf_keep_caps(true);
	if (r < 0)
		return skf_fail_sys(e, r, "keep capabilities over the change of uid");
	return set_ids(x, e);
}

/* Invariant 2. */
static int drop_capabilities(const struct skf_proc_setup *x, const struct skf_spec_caps *c, uint64_t have,
			     struct skf_err *e)
{
	int r;

	if (x->seccomp && x->seccomp->n > 0 && !filter_is_late(x, c->effective)) {
		r = skf_cap_set(have, have, 0); /* the change of uid emptied the effective set */
		if (r < 0)
			return skf_fail_sys(e, r, "raise the capabilities that load the seccomp filter");
		if (load_filter(x, e) < 0)
			return -1;
	}
	r = skf_cap_set(c->effective, c->permitted, c->inheritable);
	if (r < 0)
		return skf_fail_sys(e, r, "set capabilities");
	r = skf_cap_set_ambient(c->ambient);
	if (r < 0 && r != -EINVAL) /* before Linux 4.3 there is no ambient set */
		return skf_fail_sys(e, r, "set ambient capabilities");
	return 0;
}

int skf_process_apply(const struct skf_proc_setup *x, char *path, size_t path_size, struct skf_err *e)
{
	const struct skf_spec_process *p = x->p;
	const char *cwd = cwd_of(p);
	struct skf_spec_caps caps = {0};
	uint64_t have;
	bool entered;
	int r;

	if (join_keyring(x, e) < 0 || skf_lsm_apply(p, e) < 0)
		return -1;
	umask(p->user.has_umask ? p->user.umask : 0022);
	skf_stdio_chown(p->user.uid, p->user.gid, x->log);
	/* as runc: first with the runtime's rights, for a directory that the container's user may be in but
	 * not search the way to; what root may not enter (a network file system) is tried again as the user
	 */
	entered = enter_cwd(cwd) == 0;
	if (change_user(x, &caps, &have, e) < 0 || check_cwd(cwd, entered, e) < 0)
		return -1;
	/* the program is looked for with the rights that execve will find */
	r = skf_cap_set(caps.effective, have, caps.inheritable);
	if (r < 0)
		return skf_fail_sys(e, r, "set the effective capabilities");
	if (skf_exec_lookup(p, path, path_size, e) < 0 || skf_rlimits_apply(p, e) < 0)
		return -1;
	if (p->no_new_privs) {
		r = skf_no_new_privs();
		if (r < 0)
			return skf_fail_sys(e, r, "set no_new_privs");
	}
	if (drop_capabilities(x, &caps, have, e) < 0)
		return -1;
	r = skf_set_pdeathsig(x->pdeathsig);
	if (r < 0)
		return skf_fail_sys(e, r, "set the parent death signal");
	return x->listener && filter_is_late(x, caps.effective) ? load_filter(x, e) : 0;
}

int skf_process_seal(const struct skf_proc_setup *x, struct skf_err *e)
{
	uint64_t eff, perm, inh;

	if (!x->seccomp || x->seccomp->n == 0 || x->listener)
		return 0;
	if (skf_cap_get(&eff, &perm, &inh) < 0)
		eff = 0; /* the filter that was loaded early forbids to ask */
	return filter_is_late(x, eff) ? load_filter(x, e) : 0;
}
