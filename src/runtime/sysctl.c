/* runtime/sysctl.c -- linux.sysctl. Which keys belong to a namespace of the container is checked by the
 * decoder; here each value is written, in one write, to the one file its key names, through a handle that is
 * proven to be procfs (DESIGN 8.2). Runs in the child after pivot_root. Does not block. */
#include "base/buf.h"
#include "runtime/rootfs_int.h"
#include "sys/path.h"
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_own_netns(const char *path)
{
	struct stat a, b;

	return stat("/proc/self/ns/net", &a) == 0 && stat(path, &b) == 0 && a.st_dev == b.st_dev &&
	       a.st_ino == b.st_ino;
}

int skf_sysctl_check(const struct skf_start *s, struct skf_err *e)
{
	const struct skf_spec_namespace *net = skf_spec_ns(s->spec, CLONE_NEWNET);
	const struct skf_kvs *m = &s->spec->linux_.sysctl;
	char path[PATH_MAX];
	int known = -1;

	for (size_t i = 0; net && net->path && i < m->n; i++) {
		if (skf_spec_sysctl_path(m->v[i].k, path, sizeof(path)) < 0 || !skf_startswith(path, "net/"))
			continue;
		if (known < 0)
			known = is_own_netns(net->path);
		if (known)
			return skf_fail(
				e, SKF_EINVALID,
				"config.json: /linux/sysctl: sysctl '%.200s' not allowed in host network "
				"namespace: '%.200s' is the caller's own",
				m->v[i].k, net->path);
	}
	return 0;
}

static int write_one(const struct skf_start *s, const struct skf_kv *kv, struct skf_err *e)
{
	char path[PATH_MAX] = "sys/";

	int r = skf_spec_sysctl_path(kv->k, path + strlen("sys/"), sizeof(path) - strlen("sys/"));
	if (r < 0)
		return skf_fail_sys(e, r, "sysctl '%s'", kv->k);
	SKF_AUTO_FD int fd = skf_path_open_in_proc(s->proc_fd, path, O_WRONLY);
	if (fd < 0)
		return skf_fail_sys(e, fd, "sysctl '%s': cannot open '/proc/%s'", kv->k, path);
	ssize_t n = write(fd, kv->v, strlen(kv->v));
	if (n < 0 || (size_t)n != strlen(kv->v))
		return skf_fail_sys(e, n < 0 ? skf_errno() : -EIO,
				    "sysctl '%s': the kernel does not take value '%.100s'", kv->k, kv->v);
	return 0;
}

int skf_sysctl_apply(struct skf_start *s, struct skf_err *e)
{
	const struct skf_kvs *m = &s->spec->linux_.sysctl;

	if (m->n == 0)
		return 0;
	if (s->proc_fd < 0) {
		int fd = skf_path_open_procfs();
		if (fd < 0)
			return skf_fail_sys(e, fd, "sysctl '%s': no procfs can be opened in the container",
					    m->v[0].k);
		s->proc_fd = fd;
	}
	for (size_t i = 0; i < m->n; i++) {
		if (write_one(s, &m->v[i], e) < 0)
			return -1;
	}
	return 0;
}
