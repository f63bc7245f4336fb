/* sys/quota.c -- project quotas through quotactl_fd(2) (Linux 5.14) and FS_IOC_FSSETXATTR. The project
 * number of a new directory is random and is taken only when nothing has limits or files under it; two
 * makers of the same number at the same moment are a chance of one in two thousand million, so there is no
 * lock. Blocks on the disk. */
#include "sys/quota.h"
#include "base/err.h"
#include <errno.h>
#include <linux/dqblk_xfs.h>
#include <linux/fs.h>
#include <linux/quota.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_quotactl_fd
#define SYS_quotactl_fd 443
#endif

enum { TRIES = 64, FIRST_PROJECT = 1u << 20 }; /* below are the numbers that admins give by hand */

static int quotactl_fd_(int fd, int cmd, uint32_t id, void *addr)
{
	return syscall(SYS_quotactl_fd, (unsigned)fd, (unsigned)QCMD(cmd, PRJQUOTA), id, addr) < 0
		       ? skf_errno()
		       : 0;
}

int skf_quota_probe(int dirfd)
{
	struct fs_quota_stat st = {.qs_version = FS_QSTAT_VERSION};
	int r = quotactl_fd_(dirfd, Q_XGETQSTAT, 0, &st);

	/* what a file system without quotas answers, and a kernel without them */
	if (r == -ENOSYS || r == -EINVAL || r == -EOPNOTSUPP || r == -ENODEV || r == -ENOTBLK || r == -ESRCH)
		return 0;
	return r < 0 ? r : (st.qs_flags & FS_QUOTA_PDQ_ENFD) != 0;
}

int skf_quota_project(int dirfd, uint32_t *ret)
{
	struct fsxattr x = {0};

	if (ioctl(dirfd, FS_IOC_FSGETXATTR, &x) < 0)
		return skf_errno();
	*ret = x.fsx_projid;
	return 0;
}

static int assign(int dirfd, uint32_t project)
{
	struct fsxattr x = {0};

	if (ioctl(dirfd, FS_IOC_FSGETXATTR, &x) < 0)
		return skf_errno();
	x.fsx_projid = project;
	if (project)
		x.fsx_xflags |= FS_XFLAG_PROJINHERIT;
	else
		x.fsx_xflags &= ~(uint32_t)FS_XFLAG_PROJINHERIT;
	return skf_sys(ioctl(dirfd, FS_IOC_FSSETXATTR, &x));
}

static int get(int dirfd, uint32_t project, struct if_dqblk *ret)
{
	memset(ret, 0, sizeof(*ret));
	return quotactl_fd_(dirfd, Q_GETQUOTA, project, ret);
}

static int set_limits(int dirfd, uint32_t project, const struct skf_quota *l)
{
	struct if_dqblk d = {.dqb_valid = QIF_LIMITS};

	d.dqb_bhardlimit = d.dqb_bsoftlimit =
		l->bytes / 1024 + (l->bytes % 1024 != 0); /* blocks of 1024 bytes */
	d.dqb_ihardlimit = d.dqb_isoftlimit = l->inodes;
	return quotactl_fd_(dirfd, Q_SETQUOTA, project, &d);
}

/* 1 free, 0 taken, -errno. */
static int is_free(int dirfd, uint32_t project)
{
	struct if_dqblk d;
	int r = get(dirfd, project, &d);

	if (r == -ENOENT || r == -ESRCH) /* xfs: nobody ever had it */
		return 1;
	if (r < 0)
		return r;
	return !d.dqb_curspace && !d.dqb_curinodes && !d.dqb_bhardlimit && !d.dqb_ihardlimit;
}

/* 1 found, 0 all tries were taken. */
static int choose(int dirfd, uint32_t *ret)
{
	for (unsigned i = 0; i < TRIES; i++) {
		uint32_t id;
		int r;

		if (getrandom(&id, sizeof(id), 0) != (ssize_t)sizeof(id))
			return skf_errno();
		id = (id & 0x7fffffff) | FIRST_PROJECT;
		r = is_free(dirfd, id);
		if (r < 0)
			return r;
		if (r) {
			*ret = id;
			return 1;
		}
	}
	return 0;
}

static int require(int dirfd, const char *what, struct skf_err *e)
{
	int r = skf_quota_probe(dirfd);

	if (r < 0)
		return skf_fail_sys(e, r, "ask for the project quotas of the file system of %s", what);
	if (r == 0)
		return skf_fail(e, SKF_EUNSUPPORTED,
				"%s cannot have a size: its file system has no project quotas; use ext4 "
				"(mkfs.ext4 -O "
				"quota,project) or xfs, mounted with 'prjquota'",
				what);
	return 0;
}

int skf_quota_new(const int *dirfds, size_t n, const struct skf_quota *limit, const char *what,
		  struct skf_err *e)
{
	const struct skf_quota none = {0};
	uint32_t project = 0;
	int r;

	if (n == 0)
		return skf_fail(e, SKF_EBUG, "a quota of no directory");
	if (require(dirfds[0], what, e) < 0)
		return -1;
	r = choose(dirfds[0], &project);
	if (r == 0)
		return skf_fail(e, SKF_ELIMIT,
				"the file system of %s has no free project number in %d tries", what, TRIES);
	if (r > 0)
		r = set_limits(dirfds[0], project, limit); /* before any file can be made under it */
	if (r < 0)
		return skf_fail_sys(e, r, "set the size of %s", what);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = assign(dirfds[i], project);
	if (r == 0)
		return 0;
	for (size_t i = 0; i < n; i++)
		(void)assign(dirfds[i],
			     0); /* may never have been assigned; the error below is the one to tell */
	(void)set_limits(dirfds[0], project, &none);
	return skf_fail_sys(e, r, "put %s under a project quota", what);
}

static int project_of(int dirfd, const char *what, uint32_t *ret, struct skf_err *e)
{
	int r = skf_quota_project(dirfd, ret);

	if (r == -ENOTTY || r == -EOPNOTSUPP)
		*ret = 0;
	else if (r < 0)
		return skf_fail_sys(e, r, "read the project of %s", what);
	return *ret ? 0 : skf_fail(e, SKF_ENOTFOUND, "%s has no project quota", what);
}

int skf_quota_set(int dirfd, const struct skf_quota *limit, const char *what, struct skf_err *e)
{
	uint32_t project;
	int r;

	if (require(dirfd, what, e) < 0 || project_of(dirfd, what, &project, e) < 0)
		return -1;
	r = set_limits(dirfd, project, limit);
	return r < 0 ? skf_fail_sys(e, r, "set the size of %s", what) : 0;
}

int skf_quota_get(int dirfd, struct skf_quota *used, struct skf_quota *limit, const char *what,
		  struct skf_err *e)
{
	struct if_dqblk d;
	uint32_t project;
	int r;

	if (require(dirfd, what, e) < 0 || project_of(dirfd, what, &project, e) < 0)
		return -1;
	r = get(dirfd, project, &d);
	if (r < 0)
		return skf_fail_sys(e, r, "read the usage of %s", what);
	*used = (struct skf_quota){.bytes = d.dqb_curspace, .inodes = d.dqb_curinodes};
	*limit = (struct skf_quota){.bytes = d.dqb_bhardlimit * 1024, .inodes = d.dqb_ihardlimit};
	return 0;
}

int skf_quota_release(int dirfd)
{
	const struct skf_quota none = {0};
	uint32_t project = 0;
	int r = skf_quota_project(dirfd, &project);

	if (r == -ENOTTY || r == -EOPNOTSUPP || (r == 0 && project == 0))
		return 0;
	if (r == 0 && skf_quota_probe(dirfd) == 0)
		return 0; /* a number that an admin gave, of a file system that does not count */
	return r < 0 ? r : set_limits(dirfd, project, &none);
}
