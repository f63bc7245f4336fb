/* sys/selinux.c -- labels of files and processes by the kernel's own files. A label is given through a
 * descriptor, never by a name that somebody could have exchanged. */
#include "sys/selinux.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/limits.h"
#include "sys/path.h"
#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#define ATTRIBUTE "security.selinux"

bool skf_selinux_is_on(void)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(4096);
	struct statfs fs;

	return statfs("/sys/fs/selinux", &fs) == 0 && fs.f_type == SELINUX_MAGIC &&
	       skf_read_file_at(AT_FDCWD, "/proc/self/attr/current", 4095, &b) >= 0 &&
	       strcmp(skf_buf_cstr(&b), "kernel") != 0;
}

int skf_selinux_set(int fd, const char *label)
{
	size_t n = strlen(label) + 1; /* the kernel shows labels with their zero */
	char path[32], has[512];
	ssize_t m;

	skf_path_of_fd(fd, path); /* fsetxattr refuses O_PATH */
	m = getxattr(path, ATTRIBUTE, has, sizeof(has));
	if (m > 0 && ((size_t)m == n || (size_t)m == n - 1) && memcmp(has, label, (size_t)m) == 0)
		return 0;
	return setxattr(path, ATTRIBUTE, label, n, 0) < 0 ? -errno : 0;
}

static int set_one(int fd, const char *name, const char *label, struct skf_err *e)
{
	int r = skf_selinux_set(fd, label);

	return r < 0 && r != -EOPNOTSUPP
		       ? skf_fail_sys(e, r, "give '%s' the SELinux label '%s'", name, label)
		       : 0;
}

static int set_below(int dirfd, const char *label, int depth, struct skf_err *e)
{
	SKF_AUTO_FD int fd = skf_openat(dirfd, ".", O_RDONLY | O_DIRECTORY, 0);
	SKF_AUTO_DIR DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;

	if (!d)
		return skf_fail_sys(e, fd < 0 ? fd : -errno, "read a directory to label what is in it");
	(void)SKF_TAKE_FD(fd); /* d closes it */
	if (depth > SKF_MAX_TAR_DEPTH)
		return skf_fail(e, SKF_ELIMIT, "directories deeper than %d cannot be labelled",
				SKF_MAX_TAR_DEPTH);
	while ((de = readdir(d))) {
		SKF_AUTO_FD int sub = -EBADF;

		if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
			continue;
		sub = skf_openat(dirfd, de->d_name, O_PATH | O_NOFOLLOW, 0);
		if (sub == -ENOENT)
			continue;
		if (sub < 0)
			return skf_fail_sys(e, sub, "open '%s' to label it", de->d_name);
		if (set_one(sub, de->d_name, label, e) < 0)
			return -1;
		if (de->d_type == DT_DIR && set_below(sub, label, depth + 1, e) < 0)
			return skf_ctx(e, "'%s'", de->d_name);
	}
	return 0;
}

int skf_selinux_set_tree(int fd, const char *label, struct skf_err *e)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return skf_fail_sys(e, -errno, "look at what is to be labelled");
	if (set_one(fd, ".", label, e) < 0)
		return -1;
	return S_ISDIR(st.st_mode) ? set_below(fd, label, 0, e) : 0;
}

static const char *part(const char *p, char *out, size_t size, bool last)
{
	size_t n = last ? strlen(p) : strcspn(p, ":");

	if (n == 0 || n >= size)
		return NULL;
	memcpy(out, p, n);
	out[n] = '\0';
	return p + n;
}

int skf_selinux_parse(const char *text, struct skf_selinux_label *ret)
{
	struct skf_selinux_label l = {.level = ""};
	const char *p = part(text, l.user, sizeof(l.user), false);

	p = p && *p ? part(p + 1, l.role, sizeof(l.role), false) : NULL;
	p = p && *p ? part(p + 1, l.type, sizeof(l.type), false) : NULL;
	if (p && *p) /* a level has colons of its own */
		p = part(p + 1, l.level, sizeof(l.level), true);
	if (!p)
		return -EINVAL;
	*ret = l;
	return 0;
}

int skf_selinux_format(const struct skf_selinux_label *l, char *out, size_t size)
{
	return skf_fmt(out, size, "%s:%s:%s%s%s", l->user, l->role, l->type, l->level[0] ? ":" : "",
		       l->level);
}
