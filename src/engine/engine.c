/* engine/engine.c -- opening both trees. The fast path is five openat calls; whatever is missing is made and
 * tried again. */
#include "engine/engine_int.h"
#include "base/proc.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FORMAT_TEXT "1\n"

static const char *pick(const char *given, const char *env, const char *fallback)
{
	const char *v = given && *given ? given : getenv(env);

	return v && *v ? v : fallback;
}

/* Absolute, without resolving links: the path is written into config.json and shown to people. */
static int absolute(const char *path, char **ret, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(4096);

	if (path[0] != '/') {
		SKF_AUTO_FREE char *cwd = getcwd(NULL, 0);

		if (!cwd)
			return skf_fail_sys(e, -errno, "find the working directory, below which '%s' lies",
					    path);
		skf_buf_str(&b, cwd);
		skf_buf_chr(&b, '/');
	}
	skf_buf_str(&b, path);
	while (!b.err && b.len > 1 && b.p[b.len - 1] == '/')
		b.p[--b.len] = '\0';
	*ret = skf_buf_take(&b);
	if (!*ret)
		return skf_fail(e, SKF_ELIMIT, "the path '%.64s...' is longer than 4096 bytes", path);
	return 0;
}

struct subdir {
	const char *path;
	mode_t mode;
};

static int make_tree(const char *root, const struct subdir *d, size_t n, int *ret_fd, struct skf_err *e)
{
	SKF_AUTO_FD int fd = skf_mkdirs_at(AT_FDCWD, root, 0711);
	int r;

	if (fd < 0)
		return skf_fail_sys(e, fd, "make the directory '%s'", root);
	for (size_t i = 0; i < n; i++) {
		r = skf_mkdir_at(fd, d[i].path, d[i].mode);
		if (r < 0)
			return skf_fail_sys(e, r, "make the directory '%s/%s'", root, d[i].path);
	}
	*ret_fd = SKF_TAKE_FD(fd);
	return 0;
}

static const struct subdir root_dirs[] = {{"containers", 0700}, {"names", 0700}, {"locks", 0700}};
static const struct subdir run_dirs[] = {{"containers", 0700}, {"summary", 0700}, {"events", 0700}};

static int check_format(int fd, const char *root, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(64);
	int r = skf_read_file_at(fd, "format", 64, &b);

	if (r == -ENOENT)
		r = skf_write_atomic_at(fd, "format", FORMAT_TEXT, strlen(FORMAT_TEXT), 0644, 0);
	else if (r >= 0 && strcmp(skf_buf_cstr(&b), FORMAT_TEXT) != 0)
		return skf_fail(
			e, SKF_EINVALID,
			"'%s' was written by a newer skiff (format %.20s); this version reads format 1",
			root, skf_buf_cstr(&b));
	return r < 0 ? skf_fail_sys(e, r, "read '%s/format'", root) : 0;
}

/* The first skiff after a boot: /run is empty, the containers on the disk get their rows back. */
static int rebuild_summaries(struct skf_engine *g, struct skf_err *e)
{
	SKF_AUTO_DIR DIR *d = skf_ctr_opendir(g, e);
	const char *id;

	if (!d)
		return -1;
	while ((id = skf_ctr_next(d))) {
		SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
		struct skf_err x = SKF_ERR_INIT;
		struct skf_ctrconf *c;

		if (skf_ctr_load(g, id, &a, &c, &x) < 0 || skf_ctr_summary_rebuild(g, id, c, false, &x) < 0)
			skf_warn(&g->log, "%s; `skiff system check` says more; ignoring", x.msg);
	}
	return 0;
}

static int open_run(struct skf_engine *g, struct skf_err *e)
{
	int fd = -EBADF;

	g->run_fd = skf_openat(AT_FDCWD, g->run_root, O_RDONLY | O_DIRECTORY, 0);
	if (g->run_fd >= 0)
		g->run_ctr_fd = skf_openat(g->run_fd, "containers", O_RDONLY | O_DIRECTORY, 0);
	if (g->run_ctr_fd >= 0 && faccessat(g->run_fd, "format", F_OK, 0) == 0)
		return check_format(g->run_fd, g->run_root, e);
	skf_closep(&g->run_fd);
	skf_closep(&g->run_ctr_fd);
	if (make_tree(g->run_root, run_dirs, SKF_ARRAY_LEN(run_dirs), &fd, e) < 0)
		return -1;
	g->run_fd = fd;
	g->run_ctr_fd = skf_openat(fd, "containers", O_RDONLY | O_DIRECTORY, 0);
	if (g->run_ctr_fd < 0)
		return skf_fail_sys(e, g->run_ctr_fd, "open '%s/containers'", g->run_root);
	if (rebuild_summaries(g, e) < 0)
		return -1;
	return check_format(fd, g->run_root, e); /* written last: until then the next one starts over */
}

static int open_root_dirs(struct skf_engine *g)
{
	g->ctr_fd = skf_openat(g->root_fd, "containers", O_RDONLY | O_DIRECTORY, 0);
	g->names_fd = skf_openat(g->root_fd, "names", O_RDONLY | O_DIRECTORY, 0);
	g->locks_fd = skf_openat(g->root_fd, "locks", O_RDONLY | O_DIRECTORY, 0);
	return g->ctr_fd < 0 ? g->ctr_fd : g->names_fd < 0 ? g->names_fd : g->locks_fd < 0 ? g->locks_fd : 0;
}

static int open_root(struct skf_engine *g, struct skf_err *e)
{
	SKF_AUTO_FD int fd = -EBADF;
	int r;

	if (skf_store_open(g->root, true, &g->store, e) < 0)
		return -1;
	skf_store_set_expand(g->store, skf_short_expand, g);
	g->root_fd = skf_store_fd(g->store);
	r = open_root_dirs(g);
	if (r == -ENOENT) {
		skf_closep(&g->ctr_fd);
		skf_closep(&g->names_fd);
		skf_closep(&g->locks_fd);
		if (make_tree(g->root, root_dirs, SKF_ARRAY_LEN(root_dirs), &fd, e) < 0)
			return -1;
		r = open_root_dirs(g);
	}
	return r < 0 ? skf_fail_sys(e, r, "open the directories below '%s'", g->root) : 0;
}

static int find_self(const char *given, char **ret, struct skf_err *e)
{
	char path[4096];
	ssize_t n;

	if (!given) {
		n = readlink("/proc/self/exe", path, sizeof(path) - 1);
		if (n < 0)
			return skf_fail_sys(e, -errno, "find the path of this program in /proc/self/exe");
		path[n] = '\0';
		given = path;
	}
	*ret = strdup(given);
	return *ret ? 0 : skf_fail(e, SKF_ENOMEM, "memory for the path of this program");
}

int skf_engine_open(const struct skf_engine_opts *o, struct skf_engine **ret, struct skf_err *e)
{
	SKF_AUTO(skf_engine_freep) struct skf_engine *g = calloc(1, sizeof(*g));

	if (!g)
		return skf_fail(e, SKF_ENOMEM, "memory for the engine");
	g->root_fd = g->ctr_fd = g->names_fd = g->locks_fd = g->run_fd = g->run_ctr_fd = -EBADF;
	g->log = o->log ? *o->log : (struct skf_log){.fd = -1};
	if (absolute(pick(o->root, "SKIFF_ROOT", SKF_DEFAULT_ROOT), &g->root, e) < 0 ||
	    absolute(pick(o->run_root, "SKIFF_RUN_ROOT", SKF_DEFAULT_RUN_ROOT), &g->run_root, e) < 0 ||
	    find_self(o->self, &g->self, e) < 0 || skf_conf_load(&g->conf, e) < 0)
		return -1;
	if (open_root(g, e) < 0 || open_run(g, e) < 0)
		return -1;
	*ret = SKF_TAKE(g);
	return 0;
}

void skf_engine_roots(const struct skf_engine *g, const char **ret_root, const char **ret_run_root)
{
	*ret_root = g->root;
	*ret_run_root = g->run_root;
}

int skf_engine_conf(struct skf_engine *g, struct skf_arena *a, struct skf_jarr *ret, struct skf_err *e)
{
	return skf_conf_rows(&g->conf, a, ret, e);
}

const char *skf_engine_detach_keys(const struct skf_engine *g)
{
	return g->conf.detach_keys;
}

void skf_engine_free(struct skf_engine *g)
{
	if (!g)
		return;
	skf_closep(&g->ctr_fd);
	skf_closep(&g->names_fd);
	skf_closep(&g->locks_fd);
	skf_closep(&g->run_ctr_fd);
	skf_closep(&g->run_fd);
	skf_store_free(g->store);
	skf_short_done(g);
	skf_conf_done(&g->conf);
	free(g->root);
	free(g->run_root);
	free(g->self);
	free(g);
}
