/* runtime/annotations.c -- the annotations by which engines steer an OCI runtime: the names that crun gave
 * them, which podman and CRI-O write.
 *
 *  name                                  value and effect used by run.oci.seccomp.receiver absolute path of
 * a socket that gets the seccomp listener when        seccomp_notify.c the profile has no listenerPath
 *  run.oci.seccomp_fail_unknown_syscall  not "0": a system call that is not known here is an error seccomp.c
 *  run.oci.seccomp_bpf_data              BPF program in base64 that takes the place of linux.seccomp
 * seccomp.c run.oci.keep_original_groups          not "0": the caller's additional groups stay (no
 * setgroups)          process.c run.oci.pidfd_receiver                absolute path of a socket that gets a
 * pidfd of the container's init  create.c run.oci.hooks.stdout, .stderr         absolute path of a file that
 * the output of hooks is appended to      hooks.c run.oci.mount_context_type            context, fscontext,
 * defcontext or rootcontext: how mountLabel is     mounts.c given to a mount run.oci.systemd.subgroup name
 * of the cgroup below the scope; "" for none                      cgroups/ run.oci.delegate-cgroup name of
 * one more cgroup below it, for the payload                    cgroups/ run.oci.systemd.force_cgroup_v1
 * absolute path of a mount that becomes a name=systemd hierarchy       mount_cgroup.c run.oci.handler
 * refused: no handler is built in
 *
 * Every other annotation belongs to somebody else and is only handed on (config.md "Annotations": an unknown
 * key must not be an error). Pure; nothing blocks. */
#include "runtime/runtime_int.h"

#include <string.h>

enum rule { ANY, ABSOLUTE, NAME, CONTEXT, REFUSED };

static const struct annotation {
	const char *name;
	enum rule rule;
} table[] = {
	[SKF_AN_SECCOMP_RECEIVER] = {"run.oci.seccomp.receiver", ABSOLUTE},
	[SKF_AN_SECCOMP_FAIL_UNKNOWN] = {"run.oci.seccomp_fail_unknown_syscall", ANY},
	[SKF_AN_SECCOMP_BPF] = {"run.oci.seccomp_bpf_data", ANY},
	[SKF_AN_KEEP_GROUPS] = {"run.oci.keep_original_groups", ANY},
	[SKF_AN_PIDFD_RECEIVER] = {"run.oci.pidfd_receiver", ABSOLUTE},
	[SKF_AN_HOOKS_STDOUT] = {"run.oci.hooks.stdout", ABSOLUTE},
	[SKF_AN_HOOKS_STDERR] = {"run.oci.hooks.stderr", ABSOLUTE},
	[SKF_AN_MOUNT_CONTEXT_TYPE] = {"run.oci.mount_context_type", CONTEXT},
	[SKF_AN_SYSTEMD_SUBGROUP] = {"run.oci.systemd.subgroup", NAME},
	[SKF_AN_DELEGATE_CGROUP] = {"run.oci.delegate-cgroup", NAME},
	[SKF_AN_FORCE_CGROUP_V1] = {"run.oci.systemd.force_cgroup_v1", ABSOLUTE},
	[SKF_AN_HANDLER] = {"run.oci.handler", REFUSED},
};
#define PREFIX "run.oci."

const char *skf_annotation(const struct skf_kvs *a, enum skf_annotation_key which)
{
	return a->n ? skf_kvs_get(a, table[which].name) : NULL;
}

bool skf_annotation_on(const struct skf_kvs *a, enum skf_annotation_key which)
{
	const char *v = skf_annotation(a, which);

	return v && strcmp(v, "0") != 0;
}

static bool is_context_type(const char *v)
{
	return skf_streq(v, "context") || skf_streq(v, "fscontext") || skf_streq(v, "defcontext") ||
	       skf_streq(v, "rootcontext");
}

/* A name of cgroups: relative, and no way up. "" is a statement of its own. */
static bool is_group_name(const char *v)
{
	for (const char *p = v; *p;) {
		size_t n = strcspn(p, "/");

		if (n == 0 || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
			return false;
		p += n;
		if (*p == '/' && *++p == '\0')
			return false;
	}
	return true;
}

static int check_value(const struct annotation *t, const char *v, struct skf_err *e)
{
	switch (t->rule) {
	case ABSOLUTE:
		return v[0] == '/' ? 0
				   : skf_fail(e, SKF_EINVALID,
					      "annotation %s: '%.128s' is not an absolute path", t->name, v);
	case NAME:
		return is_group_name(v) ? 0
					: skf_fail(e, SKF_EINVALID,
						   "annotation %s: '%.128s' is not the name of a cgroup "
						   "below another one",
						   t->name, v);
	case CONTEXT:
		return is_context_type(v) ? 0
					  : skf_fail(e, SKF_EINVALID,
						     "annotation %s: '%.128s' is not context, fscontext, "
						     "defcontext or rootcontext",
						     t->name, v);
	case REFUSED:
		return skf_fail(
			e, SKF_EUNSUPPORTED,
			"annotation %s: handler '%.128s' is not available: no custom handler (krun, wasm) "
			"is built into this runtime; remove the annotation",
			t->name, v);
	case ANY:
		break;
	}
	return 0;
}

int skf_annotations_check(const struct skf_kvs *a, struct skf_err *e)
{
	for (size_t i = 0; i < a->n; i++) {
		if (!skf_startswith(a->v[i].k, PREFIX))
			continue;
		for (size_t k = 0; k < SKF_ARRAY_LEN(table); k++) {
			if (!skf_streq(a->v[i].k, table[k].name))
				continue;
			/* the pause container of a pod is an ordinary process, whatever the pod's handler */
			if (k == SKF_AN_HANDLER &&
			    skf_streq(skf_kvs_get(a, "io.kubernetes.cri.container-type"), "sandbox"))
				continue;
			if (check_value(&table[k], a->v[i].v, e) < 0)
				return -1;
		}
	}
	return 0;
}
