/* engine/selinux.c -- contexts of the policy, and words of --security-opt label=. libselinux's
 * selinux_lxc_contexts_path(3) is the place; a line is `key = "context"`. */
#include "engine/selinux.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include <string.h>

#define MAX_BYTES 65536u

/* The value of `key` in a file of KEY = VALUE lines, with or without quotes; the last one counts. NULL: not
 * there. */
static char *value_of(const char *text, const char *key, struct skf_arena *a)
{
	size_t n = strlen(key);
	char *found = NULL, *save = NULL;
	char *copy = skf_arena_strdup(a, text);

	for (char *l = copy ? strtok_r(copy, "\n", &save) : NULL; l; l = strtok_r(NULL, "\n", &save)) {
		l += strspn(l, " \t");
		if (strncmp(l, key, n) != 0)
			continue;
		l += n + strspn(l + n, " \t");
		if (*l++ != '=')
			continue;
		l += strspn(l, " \t\"");
		l[strcspn(l, "\" \t\r")] = '\0';
		found = l;
	}
	return found;
}

static int policy_name(int etc_fd, struct skf_arena *a, const char **ret)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(MAX_BYTES);
	int r = skf_read_file_at(etc_fd, "config", MAX_BYTES - 1, &b);
	const char *v = r < 0 ? NULL : value_of(skf_buf_cstr(&b), "SELINUXTYPE", a);

	*ret = v && *v && !strchr(v, '/') && v[0] != '.' ? v : "targeted"; /* libselinux's own default */
	return r < 0 && r != -ENOENT ? r : 0;
}

int skf_selinux_contexts(int etc_fd, struct skf_arena *a, struct skf_selinux_contexts *ret,
			 struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(MAX_BYTES);
	struct skf_selinux_contexts c = {0};
	struct skf_selinux_label ignored;
	const char *name;
	char path[300];
	int r = policy_name(etc_fd, a, &name);

	if (r < 0)
		return skf_fail_sys(e, r, "read /etc/selinux/config");
	r = skf_fmt(path, sizeof(path), "%s/contexts/lxc_contexts", name);
	if (r == 0)
		r = skf_read_file_at(etc_fd, path, MAX_BYTES - 1, &b);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return skf_fail_sys(e, r, "read '/etc/selinux/%.200s'", path);
	c.process = value_of(skf_buf_cstr(&b), "process", a);
	c.init_process = value_of(skf_buf_cstr(&b), "init_process", a);
	c.file = value_of(skf_buf_cstr(&b), "file", a);
	if (!c.process || !c.file || skf_selinux_parse(c.process, &ignored) < 0 ||
	    skf_selinux_parse(c.file, &ignored) < 0 ||
	    (c.init_process && skf_selinux_parse(c.init_process, &ignored) < 0))
		return skf_fail(e, SKF_ECORRUPT,
				"'/etc/selinux/%.200s' has no contexts 'process' and 'file' of the form "
				"user:role:type:level",
				path);
	*ret = c;
	return 1;
}

int skf_selinux_option(const char *word, struct skf_selinux_label *process, struct skf_selinux_label *file)
{
	const struct {
		const char *name;
		char *to[2];
		size_t size;
	} rows[] = {
		{"user:", {process->user, file->user}, sizeof(file->user)},
		{"role:", {process->role, NULL}, sizeof(process->role)},
		{"type:", {process->type, NULL}, sizeof(process->type)},
		{"level:", {process->level, file->level}, sizeof(file->level)},
		{"filetype:", {file->type, NULL}, sizeof(file->type)},
	};

	for (size_t i = 0; i < SKF_ARRAY_LEN(rows); i++) {
		const char *v = word + strlen(rows[i].name);

		if (!skf_startswith(word, rows[i].name))
			continue;
		if (!*v)
			return -EINVAL;
		for (size_t k = 0; k < SKF_ARRAY_LEN(rows[i].to) && rows[i].to[k]; k++)
			if (skf_fmt(rows[i].to[k], rows[i].size, "%s", v) < 0)
				return -ENAMETOOLONG;
		return 0;
	}
	return -EINVAL;
}
