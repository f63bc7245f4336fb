/* launch/labels.c -- SELinux labels of files that a container gets and that no mount option can label: its
 * hosts, hostname and resolv.conf, a root that is copied, volumes. The label itself is the engine's
 * (skf_ctrconf.mount_label). Only through descriptors. Blocks on the disk. */
#include "launch/launch_int.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/log.h"
#include "sys/selinux.h"
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* The same for all containers: without categories. */
static const char *shared(struct skf_launch *l)
{
	struct skf_selinux_label s;
	char text[512];

	if (skf_selinux_parse(l->conf->mount_label, &s) < 0)
		return NULL;
	s.level[strcspn(s.level, ":")] = '\0';
	return skf_selinux_format(&s, text, sizeof(text)) < 0 ? NULL : skf_arena_strdup(&l->arena, text);
}

static bool labels(const struct skf_launch *l)
{
	return l->conf->mount_label && skf_selinux_is_on();
}

int skf_launch_relabel(struct skf_launch *l, int fd, bool private_, const char *target, struct skf_err *e)
{
	const char *label;

	if (!labels(l))
		return 0;
	label = private_ ? l->conf->mount_label : shared(l);
	if (!label)
		return skf_fail(e, SKF_ECORRUPT, "container '%s' has the wrong SELinux label '%.200s'",
				l->q.id, l->conf->mount_label);
	return skf_selinux_set_tree(fd, label, e) < 0 ? skf_ctx(e, "label the mount at '%s'", target) : 0;
}

/* Those of a pod's directory are everybody's in it, whatever pair each has. */
static int label_hostfile(struct skf_launch *l, const struct skf_spec_mount *m, struct skf_err *e)
{
	size_t n = strlen(l->q.root);
	bool of_pod = strncmp(m->source, l->q.root, n) == 0 && strncmp(m->source + n, "/pods/", 6) == 0;
	SKF_AUTO_FD int fd = skf_openat(AT_FDCWD, m->source, O_PATH | O_NOFOLLOW, 0);

	if (fd < 0)
		return skf_fail_sys(e, fd, "open '%s' to label it", m->source);
	return skf_launch_relabel(l, fd, !of_pod, m->destination, e);
}

static bool is_hostfile(const struct skf_launch *l, const struct skf_spec_mount *m)
{
	static const char *const places[] = {"/etc/hosts", "/etc/hostname", "/etc/resolv.conf"};

	for (size_t i = 0; m->source && i < SKF_ARRAY_LEN(places); i++)
		if (strcmp(m->destination, places[i]) == 0)
			return strncmp(m->source, l->q.root, strlen(l->q.root)) == 0;
	return false;
}

static int label_copy(struct skf_launch *l, struct skf_err *e)
{
	SKF_AUTO_FD int rw = -EBADF;

	if (l->conf->rootfs || l->conf->storage->lower) /* the overlay has it as a mount option */
		return 0;
	rw = skf_openat(l->disk_dir, "rw", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (rw < 0)
		return skf_fail_sys(e, rw, "open '%s/containers/%s/rw'", l->q.root, l->q.id);
	return skf_launch_relabel(l, rw, true, "/", e);
}

int skf_launch_labels(struct skf_launch *l, struct skf_err *e)
{
	const struct skf_spec_mount *m = l->spec->mounts.v;

	if (!labels(l))
		return 0;
	for (size_t i = 0; i < l->spec->mounts.n; i++)
		if (is_hostfile(l, &m[i]) && label_hostfile(l, &m[i], e) < 0)
			return -1;
	return label_copy(l, e);
}
