/* oci/spec_validate.c -- rules between properties of config.json that need no kernel. They are those of
 * runc's validator, because engines rely on what it accepts. Each check is one function in `checks`, run in
 * order; the first that fails names the property. Pure; nothing blocks. */
#include "oci/spec_int.h"
#include "base/buf.h"
#include "base/log.h"
#include <sched.h>
#include <string.h>

struct check_ctx {
	const struct skf_spec *s;
	const struct skf_spec_opts *o;
	struct skf_err *e;
};

static bool has_ns(const struct check_ctx *x, int type)
{
	return skf_spec_ns(x->s, type) != NULL;
}

static int bad(const struct check_ctx *x, const char *path, const char *sentence)
{
	return skf_fail(x->e, SKF_EINVALID, "%s: %s: %s", x->o->name, path, sentence);
}

static int check_uts(const struct check_ctx *x)
{
	if (has_ns(x, CLONE_NEWUTS))
		return 0;
	if (x->s->hostname && x->s->hostname[0])
		return bad(x, "/hostname",
			   "unable to set hostname without a private UTS namespace; add namespace 'uts'");
	if (x->s->domainname && x->s->domainname[0])
		return bad(x, "/domainname",
			   "unable to set domainname without a private UTS namespace; add namespace 'uts'");
	return 0;
}

static int check_paths(const struct check_ctx *x)
{
	const struct skf_spec_linux *l = &x->s->linux_;

	if (has_ns(x, CLONE_NEWNS))
		return 0;
	if (l->masked_paths.n)
		return bad(x, "/linux/maskedPaths",
			   "unable to mask paths without a private mount namespace; add namespace 'mount'");
	if (l->readonly_paths.n)
		return bad(x, "/linux/readonlyPaths",
			   "unable to make paths read-only without a private mount namespace; add namespace "
			   "'mount'");
	return 0;
}

static int check_userns(const struct check_ctx *x)
{
	const struct skf_spec_linux *l = &x->s->linux_;
	const struct skf_spec_namespace *user = skf_spec_ns(x->s, CLONE_NEWUSER);

	if (!user) {
		if (l->uid_mappings.n)
			return bad(x, "/linux/uidMappings",
				   "mappings are given, but there is no namespace 'user'; add it or remove "
				   "them");
		if (l->gid_mappings.n)
			return bad(x, "/linux/gidMappings",
				   "mappings are given, but there is no namespace 'user'; add it or remove "
				   "them");
		return 0;
	}
	if (user->path ||
	    (!l->uid_mappings.n && !l->gid_mappings.n)) /* none at all: the runtime's defaults */
		return 0;
	if (!l->uid_mappings.n)
		return bad(x, "/linux/uidMappings",
			   "a new user namespace is asked for with gid mappings, but no uid mappings are "
			   "given; add them");
	if (!l->gid_mappings.n)
		return bad(x, "/linux/gidMappings",
			   "a new user namespace is asked for with uid mappings, but no gid mappings are "
			   "given; add them");
	return 0;
}

static int check_timens(const struct check_ctx *x)
{
	const struct skf_spec_namespace *ns = skf_spec_ns(x->s, CLONE_NEWTIME);

	if (x->s->linux_.time_offsets.n == 0)
		return 0;
	if (!ns)
		return bad(x, "/linux/timeOffsets",
			   "time namespace offsets specified, but there is no namespace 'time'; add it");
	if (ns->path)
		return bad(x, "/linux/timeOffsets",
			   "both a time namespace path and time offsets are specified; keep one of them");
	return 0;
}

static int check_net_devices(const struct check_ctx *x)
{
	if (x->s->linux_.net_devices.n && !has_ns(x, CLONE_NEWNET))
		return bad(x, "/linux/netDevices",
			   "unable to move network devices without a NET namespace; add namespace "
			   "'network'");
	return 0;
}

static int check_mounts(const struct check_ctx *x)
{
	const struct skf_spec_mount *m = x->s->mounts.v;

	for (size_t i = 0; i < x->s->mounts.n; i++) {
		if (m[i].destination[0] != '/')
			skf_debug(x->o->log,
				  "%s: /mounts/%zu/destination: relative path '%s' is deprecated, using it "
				  "as relative to /",
				  x->o->name, i, m[i].destination);
	}
	return 0;
}

/* --- sysctl --- */
static const char *const ipc_sysctls[] = {
	"kernel/msgmax", "kernel/msgmnb", "kernel/msgmni", "kernel/sem",
	"kernel/shmall", "kernel/shmmax", "kernel/shmmni", "kernel/shm_rmid_forced",
};

static bool is_ipc_sysctl(const char *path)
{
	if (skf_startswith(path, "fs/mqueue/"))
		return true;
	for (size_t i = 0; i < SKF_ARRAY_LEN(ipc_sysctls); i++) {
		if (skf_streq(ipc_sysctls[i], path))
			return true;
	}
	return false;
}

static int bad_sysctl(const struct check_ctx *x, const char *key, const char *sentence)
{
	return skf_fail(x->e, SKF_EINVALID, "%s: /linux/sysctl: sysctl '%.200s' %s", x->o->name, key,
			sentence);
}

/* The namespaced sysctls by the namespace that owns them. Whether a network namespace given by path is the
 * host's own needs the kernel, so it is the runtime that asks (spec.h). */
static int check_one_sysctl(const struct check_ctx *x, const char *key)
{
	char path[256];

	if (skf_spec_sysctl_path(key, path, sizeof(path)) < 0)
		return bad_sysctl(x, key, "is not a valid name; expected words joined by '.'");
	if (is_ipc_sysctl(path))
		return has_ns(x, CLONE_NEWIPC)
			       ? 0
			       : bad_sysctl(
					 x, key,
					 "is not allowed in the host's ipc namespace; add namespace 'ipc'");
	if (skf_startswith(path, "net/"))
		return has_ns(x, CLONE_NEWNET) ? 0
					       : bad_sysctl(x, key,
							    "is not allowed in the host's network "
							    "namespace; add namespace 'network'");
	if (skf_streq(path, "kernel/hostname") && has_ns(x, CLONE_NEWUTS))
		return bad_sysctl(x, key,
				  "is not allowed as it conflicts with the property 'hostname'; use that");
	if (skf_streq(path, "kernel/domainname") && has_ns(x, CLONE_NEWUTS))
		return 0;
	if (skf_startswith(path,
			   "user/")) /* counts of the user namespace; the host's would hold for everybody */
		return has_ns(x, CLONE_NEWUSER) ? 0
						: bad_sysctl(x, key,
							     "is not allowed without a user namespace; add "
							     "namespace 'user'");
	return bad_sysctl(x, key, "is not in a separate kernel namespace; set it on the host");
}

/* As crun: two ways to say it, so they must say the same. */
static int check_domainname(const struct check_ctx *x, const struct skf_kv *kv)
{
	const char *name = x->s->domainname;
	char path[256];

	if (!name || !*name || skf_spec_sysctl_path(kv->k, path, sizeof(path)) < 0 ||
	    !skf_streq(path, "kernel/domainname") || skf_streq(kv->v, name))
		return 0;
	return bad_sysctl(x, kv->k, "conflicts with the property 'domainname'; keep one of them");
}

static int check_sysctl(const struct check_ctx *x)
{
	const struct skf_kvs *m = &x->s->linux_.sysctl;

	for (size_t i = 0; i < m->n; i++) {
		if (check_one_sysctl(x, m->v[i].k) < 0 || check_domainname(x, &m->v[i]) < 0)
			return -1;
	}
	return 0;
}

/* "net.ipv4.conf.eno2/100.rp_filter" or "net/ipv4/conf/eno2.100/rp_filter" -> the latter, see sysctl(8). */
int skf_spec_sysctl_path(const char *key, char *out, size_t size)
{
	size_t n = strlen(key), first = strcspn(key, "./"), start = 0;
	bool dots = key[first] == '.';

	if (n == 0 || n >= size)
		return n ? -ENAMETOOLONG : -EINVAL;
	for (size_t i = 0; i <= n; i++) {
		char ch = key[i];
		if ((unsigned char)ch <= ' ' && ch != '\0')
			return -EINVAL;
		if (dots && (ch == '.' || ch == '/'))
			ch = ch == '.' ? '/' : '.';
		out[i] = ch;
		if (ch != '/' && ch != '\0')
			continue;
		/* A component ends: never empty, never "." or "..". */
		if (i == start ||
		    (out[start] == '.' && (i - start == 1 || (i - start == 2 && out[start + 1] == '.'))))
			return -EINVAL;
		start = i + 1;
	}
	return 0;
}

static int (*const checks[])(const struct check_ctx *x) = {
	check_uts, check_paths, check_userns, check_timens, check_net_devices, check_mounts, check_sysctl,
};

int skf_spec_validate(const struct skf_spec *s, const struct skf_spec_opts *o, struct skf_err *e)
{
	struct check_ctx x = {.s = s, .o = o, .e = e};

	for (size_t i = 0; i < SKF_ARRAY_LEN(checks); i++) {
		if (checks[i](&x) < 0)
			return -1;
	}
	return 0;
}
