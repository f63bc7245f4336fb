/* engine/cdi_find.c -- where a CDI device is defined. The directories of `cdi_dirs` are looked at in their
 * order and the last one that has the device wins; within one directory two files may not have it both. A
 * file that cannot be read does not make the devices of others unusable: it is a warning, and it is named
 * when the device is found nowhere. */
#include "engine/cdi_int.h"
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

struct search {
	struct skf_plan *p;
	const char *name; /* VENDOR/CLASS=NAME */
	size_t kind;      /* bytes of VENDOR/CLASS */
	struct cdi_found in_dir, found;
	const char *other; /* a second file of the directory that has it */
	char bad[400];     /* what is wrong with the first file that could not be read */
};

/* The whole file as JSON. 1, or 0: a YAML file in which the kind does not even appear; it is not worth a
 * worker. */
static int read_text(struct search *s, int fd, bool yaml, struct skf_buf *ret, struct skf_err *e)
{
	char *kind = skf_arena_dup(s->p->a, s->name, s->kind);
	int r = kind ? skf_read_fd(fd, SKF_MAX_OBJECT_BYTES, ret) : -ENOMEM;

	if (r < 0)
		return skf_fail_sys(e, r, "read it (at most %u bytes)", SKF_MAX_OBJECT_BYTES);
	if (!yaml)
		return 1;
	if (!strstr(skf_buf_cstr(ret), kind))
		return 0;
	skf_buf_clear(ret);
	if (lseek(fd, 0, SEEK_SET) < 0)
		return skf_fail_sys(e, -errno, "read it from its start");
	return skf_engine_yaml(s->p->g, fd, ret, e) < 0 ? -1 : 1;
}

static int look_in(struct search *s, int dirfd, const char *name, const char *path, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_OBJECT_BYTES * 8);
	SKF_AUTO_FD int fd = skf_openat(dirfd, name, O_RDONLY | O_NONBLOCK, 0);
	bool yaml = skf_endswith(name, ".yaml");
	const struct cdi_device *v;
	struct cdi_spec *x;
	int r = fd < 0 ? skf_fail_sys(e, fd, "open it") : read_text(s, fd, yaml, &b, e);

	if (r < 0)
		return skf_ctx(e, "%s", path);
	if (r == 0)
		return 0;
	if (cdi_spec_parse(path, skf_buf_cstr(&b), b.len, yaml, s->p->a, &x, e) < 0)
		return -1;
	v = x->devices.v;
	for (size_t i = 0;
	     strlen(x->kind) == s->kind && memcmp(x->kind, s->name, s->kind) == 0 && i < x->devices.n; i++) {
		if (!skf_streq(v[i].name, s->name + s->kind + 1))
			continue;
		if (s->in_dir.device)
			s->other = path;
		else
			s->in_dir = (struct cdi_found){x, &v[i], path};
	}
	return 0;
}

static void note_bad(struct search *s, const struct skf_err *x)
{
	skf_warn(&s->p->g->log, "CDI: %s; ignoring", x->msg);
	if (!s->bad[0] && skf_fmt(s->bad, sizeof(s->bad), " (not read: %.380s)", x->msg) < 0)
		s->bad[0] = '\0'; /* the warning has said it */
}

static int look_in_dir(struct search *s, const char *dir, struct skf_err *e)
{
	SKF_AUTO_FD int fd = skf_openat(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0);
	SKF_AUTO_DIR DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;

	s->in_dir = (struct cdi_found){0};
	s->other = NULL;
	if (fd == -ENOENT)
		return 0;
	if (!d)
		return skf_fail_sys(e, fd < 0 ? fd : -errno, "CDI: list '%s'", dir);
	(void)SKF_TAKE_FD(fd); /* d closes it */
	while ((de = readdir(d))) {
		struct skf_err x = SKF_ERR_INIT;
		char *path;

		if (!skf_endswith(de->d_name, ".json") && !skf_endswith(de->d_name, ".yaml"))
			continue;
		path = skf_arena_fmt(s->p->a, "%s/%s", dir, de->d_name);
		if (!path)
			return skf_plan_no_memory(e);
		if (look_in(s, dirfd(d), de->d_name, path, &x) < 0)
			note_bad(s, &x);
	}
	if (s->in_dir.device)
		s->found = s->in_dir;
	if (s->other)
		return skf_fail(e, SKF_ECONFLICT,
				"conflicting CDI device '%s': it is in '%s' and in '%s'; one directory may "
				"have it once",
				s->name, s->in_dir.file, s->other);
	return 0;
}

int cdi_find(struct skf_plan *p, const char *name, struct cdi_found *ret, struct skf_err *e)
{
	const struct skf_strv *dirs = &p->g->conf.cdi_dirs;
	struct search s = {.p = p, .name = name, .kind = strcspn(name, "=")};
	struct skf_err conflict = SKF_ERR_INIT;

	/* A conflict counts only when no later directory decides it. */
	for (size_t i = 0; i < dirs->n; i++) {
		struct skf_err x = SKF_ERR_INIT;

		if (look_in_dir(&s, dirs->v[i], &x) < 0 && x.kind != SKF_ECONFLICT) {
			*e = x;
			return -1;
		}
		if (s.in_dir.device)
			conflict = x;
	}
	if (conflict.kind) {
		*e = conflict;
		return -1;
	}
	if (!s.found.device)
		return skf_fail(e, SKF_ENOTFOUND, "unresolvable CDI devices %s%s", name, s.bad);
	*ret = s.found;
	return 0;
}
