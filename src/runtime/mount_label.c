/* runtime/mount_label.c -- linux.mountLabel: the SELinux label of the file systems that are made for a
 * container.
 *
 * By a mount option where the kernel takes one, by the label of its root for mqueue, not at all for those
 * whose files the policy labels by name. Must hold: nothing of the host's gets another label. Without
 * SELinux nothing is done. */
#include "runtime/rootfs_int.h"

#include <fcntl.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

static bool has_label(const struct skf_start *s)
{
	const char *label = s->spec->linux_.mount_label;

	return label && *label && faccessat(AT_FDCWD, "/sys/fs/selinux/enforce", F_OK, 0) == 0;
}

const char *skf_mount_label_option(const struct skf_start *s, const char *type)
{
	static const char *const no[] = {"proc", "sysfs", "cgroup", "cgroup2", "mqueue"},
				 *const known[] = {"context", "fscontext", "defcontext", "rootcontext"};
	const char *want = skf_kvs_get(&s->spec->annotations, "run.oci.mount_context_type");

	for (size_t i = 0; i < SKF_ARRAY_LEN(no); i++)
		if (skf_streq(type, no[i]))
			return NULL;
	if (!has_label(s))
		return NULL;
	for (size_t i = 0; want && i < SKF_ARRAY_LEN(known); i++)
		if (skf_streq(known[i], want))
			return known[i];
	if (want)
		skf_warn(s->rt->log,
			 "annotation 'run.oci.mount_context_type': '%.64s' is not a kind of context, using "
			 "'context'",
			 want);
	return "context";
}

int skf_mount_label_root(const struct skf_start *s, const struct skf_mnt *m, struct skf_err *e)
{
	const char *label = s->spec->linux_.mount_label;

	if (!skf_streq(m->spec->type, "mqueue") || !((s->ns_new | s->ns_join) & CLONE_NEWIPC) ||
	    !has_label(s))
		return 0;
	SKF_AUTO_FD int fd = skf_openat(m->tree, ".", O_RDONLY | O_DIRECTORY, 0);
	int r = fd < 0                                                               ? fd
		: fsetxattr(fd, "security.selinux", label, strlen(label) + 1, 0) < 0 ? skf_errno()
										     : 0;
	if (r == -EOPNOTSUPP) {
		skf_debug(s->rt->log, "mount '%s': the policy has no labels for mqueue",
			  m->spec->destination);
		return 0;
	}
	return r < 0 ? skf_fail_sys(e, r, "mount '%s': cannot give it the label '%s'", m->spec->destination,
				    label)
		     : 0;
}
