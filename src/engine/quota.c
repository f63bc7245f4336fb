/* engine/quota.c -- `--storage-opt size=` and inodes=: the writable layer of a container under one project
 * quota (sys/quota.h). rw/ and work/ are in the same project, because overlay renames between them. The
 * numbers live in the file system; what was asked for stays in the request for inspect. A container's log
 * and configuration do not count. */
#include "engine/create_int.h"
#include "sys/quota.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

int skf_plan_storage(struct skf_plan *p, struct skf_err *e)
{
	const struct skf_strv *v = &p->q->storage_opt;

	for (size_t i = 0; i < v->n; i++) {
		const char *s = v->v[i];
		int64_t n;

		if (skf_startswith(s, "size=") && skf_parse_size(s + 5, &n) == 0 && n > 0)
			p->quota.bytes = (uint64_t)n;
		else if (skf_startswith(s, "inodes=") && skf_parse_i64(s + 7, &n) == 0 && n > 0)
			p->quota.inodes = (uint64_t)n;
		else
			return skf_fail(e, SKF_EINVALID,
					"invalid --storage-opt '%s': expected size=BYTES (e.g. 10g) or "
					"inodes=NUMBER",
					s);
	}
	p->req.storage_opt = *v;
	return 0;
}

int skf_plan_make_quota(struct skf_plan *p, int dir, struct skf_err *e)
{
	static const char *const sub[] = {"rw", "work"};
	char what[80];
	int fd[2], r = 0, n = 0;

	if (!p->quota.bytes && !p->quota.inodes)
		return 0;
	snprintf(what, sizeof(what), "the writable layer of container '%.12s'", p->id);
	for (; n < 2 && r == 0; n++) {
		fd[n] = skf_openat(dir, sub[n], O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
		r = fd[n] < 0 ? skf_fail_sys(e, fd[n], "open '%s/%s'", p->dir, sub[n]) : 0;
	}
	if (r == 0)
		r = skf_quota_new(fd, 2, &p->quota, what, e);
	while (n > 0)
		skf_closep(&fd[--n]);
	return r;
}

void skf_ctr_quota_release(struct skf_engine *g, const char *id)
{
	char path[SKF_ID_LEN + 8];
	int fd, r;

	if (skf_fmt(path, sizeof(path), "%s/rw", id) < 0)
		return;
	fd = skf_openat(g->ctr_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (fd < 0)
		return; /* not made yet, or gone */
	r = skf_quota_release(fd);
	if (r < 0)
		skf_warn(&g->log, "take the limits of container %.12s's writable layer away: %s; ignoring",
			 id, strerror(-r));
	skf_closep(&fd);
}
