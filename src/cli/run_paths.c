/* cli/run_paths.c -- sources of -v and --mount that are relative to the current directory, which only the
 * command line knows: "./x:/y",
 * "..:/y", source=./x. A word that does not begin with a dot is a volume's name or absolute, and stays as it
 * is. */
#include "cli/cli_int.h"
#include <string.h>
#include <unistd.h>

/* The current directory and n bytes of path, without "." and "..": by name, as docker does it. NULL: no
 * memory. */
static char *absolute(struct skf_cli *c, const char *here, const char *path, size_t n)
{
	char *all = skf_arena_fmt(&c->a, "%s/%.*s", here, (int)n, path), *out = all, *in = all;

	while (out && *in) {
		size_t len = strcspn(in + 1, "/");

		if (len == 2 && strncmp(in + 1, "..", 2) == 0) {
			while (out > all && *--out != '/')
				;
		} else if (len > 0 && !(len == 1 && in[1] == '.')) {
			memmove(out, in, len + 1);
			out += len + 1;
		}
		in += len + 1;
	}
	if (out && out == all)
		*out++ = '/';
	if (out)
		*out = '\0';
	return all;
}

static char *volume_word(struct skf_cli *c, const char *here, const char *word)
{
	size_t n = strcspn(word, ":");
	char *source = absolute(c, here, word, n);

	return source ? skf_arena_fmt(&c->a, "%s%s", source, word + n) : NULL;
}

/* The field source= of a --mount that begins with a dot; NULL: none. */
static const char *relative_field(const char *word)
{
	static const char *const keys[] = {"source=.", "src=."};

	for (const char *s = word; *s; s += strcspn(s, ","), s += *s == ',')
		for (size_t i = 0; i < SKF_ARRAY_LEN(keys); i++)
			if (skf_startswith(s, keys[i]))
				return s + strlen(keys[i]) - 1;
	return NULL;
}

static char *mount_word(struct skf_cli *c, const char *here, const char *word, const char *at)
{
	size_t n = strcspn(at, ",");
	char *source = absolute(c, here, at, n);

	return source ? skf_arena_fmt(&c->a, "%.*s%s%s", (int)(at - word), word, source, at + n) : NULL;
}

int skf_cli_run_paths(struct skf_cli *c, struct skf_settings *s)
{
	char here[4096] = "";

	for (size_t i = 0; i < s->volumes.n + s->mounts.n; i++) {
		char **word = i < s->volumes.n ? &s->volumes.v[i] : &s->mounts.v[i - s->volumes.n];
		const char *at = i < s->volumes.n ? (**word == '.' && strchr(*word, ':') ? *word : NULL)
						  : relative_field(*word);

		if (!at)
			continue;
		if (!*here && !getcwd(here, sizeof(here)))
			return skf_fail_sys(&c->e, -errno, "find out the current directory, for '%s'",
					    *word);
		*word = i < s->volumes.n ? volume_word(c, here, *word) : mount_word(c, here, *word, at);
		if (!*word)
			return skf_fail(&c->e, SKF_ENOMEM, "memory for the volumes");
	}
	return 0;
}
