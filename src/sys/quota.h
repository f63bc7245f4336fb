/* sys/quota.h -- project quotas: a directory, and all that is ever made below it, is accounted to one
 * number, and the file system refuses what goes over that number's limits (EDQUOT). ext4 (features quota and
 * project, mounted prjquota) and xfs (mounted prjquota); man 2 quotactl, man 5 xfs_quota. Needs
 * CAP_SYS_ADMIN. A process with CAP_SYS_RESOURCE in the initial user namespace is not held back by any
 * quota: docker's default set lacks it. */
#pragma once
#include "base/fwd.h"

struct skf_quota {
	uint64_t bytes, inodes; /* 0: no limit; as an answer of skf_quota_get: what is used or allowed */
};
/* 1 when the file system of dirfd enforces project quotas, 0 when it does not, -errno. Asked of the kernel,
 * not guessed from the mount options. */
int skf_quota_probe(int dirfd);
/* The project of a directory; 0: none. -ENOTTY or -EOPNOTSUPP where the file system has no projects. */
int skf_quota_project(int dirfd, uint32_t *ret);
/* Puts directories that are still empty under one new project with these limits: what is made in them later
 * belongs to it (the flag is inherited). One container's upper and work directory must be in one project,
 * because overlay renames between them. `what` names the object for messages. LIMIT when no free project was
 * found, UNSUPPORTED with a sentence where the file system has no project quota, DENIED, SYSTEM. On failure
 * no limits stay behind. */
int skf_quota_new(const int *dirfds, size_t n, const struct skf_quota *limit, const char *what,
		  struct skf_err *e);
/* Other limits for the project of a directory. */
int skf_quota_set(int dirfd, const struct skf_quota *limit, const char *what, struct skf_err *e);
/* What the project of a directory uses and may use. NOTFOUND when it has none. */
int skf_quota_get(int dirfd, struct skf_quota *used, struct skf_quota *limit, const char *what,
		  struct skf_err *e);
/* Takes the limits of a directory's project away, before the directory itself goes: the number is then free
 * as soon as its last file is. A directory without a project is fine. */
int skf_quota_release(int dirfd);
