/* cli/run_env.c -- -e and --env-file of run and exec, and where docker's own configuration is. */
#include "cli/cli_int.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_ENV_FILE (8u << 20)

const char *skf_cli_docker_config(struct skf_cli *c)
{
	const char *dir = getenv("DOCKER_CONFIG"), *home = getenv("HOME");
	const char *path = NULL;

	if (dir && *dir)
		path = skf_arena_fmt(&c->a, "%s/config.json", dir);
	else if (home && *home)
		path = skf_arena_fmt(&c->a, "%s/.docker/config.json", home);
	return path && access(path, F_OK) == 0 ? path : NULL;
}

static int add_env(struct skf_cli *c, struct skf_strv *v, const char *word, struct skf_err *e)
{
	const char *value = strchr(word, '=') ? NULL : getenv(word);
	const char *full = value ? skf_arena_fmt(&c->a, "%s=%s", word, value)
				 : word; /* unknown here: the engine takes it away */

	if (word[0] == '=' || !*word)
		return skf_fail(e, SKF_EINVALID, "invalid environment variable: %s", word);
	if (!full || skf_strv_add(&c->a, v, full) < 0)
		return skf_fail(e, SKF_ENOMEM, "memory for the environment");
	return 0;
}

/* The lines of a file of NAME=VALUE words: blank lines and comments are skipped, put() takes the others. */
static int each_line(struct skf_cli *c, const char *path, const char *what,
		     int (*put)(struct skf_cli *c, struct skf_strv *v, const char *word, struct skf_err *e),
		     struct skf_strv *v, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(MAX_ENV_FILE);
	int r = skf_read_file_at(AT_FDCWD, path, MAX_ENV_FILE, &b);
	const char *p = skf_buf_cstr(&b);

	if (r < 0)
		return skf_fail_sys(e, r, "open the %s file '%s'", what, path);
	if (strlen(p) != b.len)
		return skf_fail(e, SKF_EINVALID, "the %s file '%s' has a zero byte", what, path);
	for (unsigned line = 1; *p; line++) {
		size_t n = strcspn(p, "\n"), skip = strspn(p, " \t");
		char *word;

		if (skip < n && p[skip] != '#' && p[skip] != '\r') {
			word = skf_arena_dup(&c->a, p + skip, n - skip - (p[n - 1] == '\r'));
			if (!word)
				return skf_fail(e, SKF_ENOMEM, "memory for the %s", what);
			if (strcspn(word, " \t") < strcspn(word, "="))
				return skf_fail(e, SKF_EINVALID, "'%s' line %u: the name has a space", path,
						line);
			if (put(c, v, word, e) < 0)
				return skf_ctx(e, "'%s' line %u", path, line);
		}
		p += n + (p[n] == '\n');
	}
	return 0;
}

static int add_word(struct skf_cli *c, struct skf_strv *v, const char *word, struct skf_err *e)
{
	return skf_strv_add(&c->a, v, word) < 0 ? skf_fail(e, SKF_ENOMEM, "memory for the labels") : 0;
}

int skf_cli_word_file(struct skf_cli *c, const char *path, struct skf_strv *ret, struct skf_err *e)
{
	return each_line(c, path, "label", add_word, ret, e);
}

int skf_cli_env(struct skf_cli *c, struct skf_strv *ret, struct skf_err *e)
{
	for (char **v = c->o.env_host ? environ : NULL; v && *v; v++)
		if (strchr(*v, '=') && skf_strv_add(&c->a, ret, *v) < 0)
			return skf_fail(e, SKF_ENOMEM, "memory for the environment");
	/* Files first: docker lets -e win over them wherever it stands. */
	for (size_t i = 0; i < c->o.env_file.n; i++)
		if (each_line(c, c->o.env_file.v[i], "environment", add_env, ret, e) < 0)
			return -1;
	for (size_t i = 0; i < c->o.env.n; i++)
		if (add_env(c, ret, c->o.env.v[i], e) < 0)
			return -1;
	return 0;
}
