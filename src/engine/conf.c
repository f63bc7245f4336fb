/* engine/conf.c -- the configuration files. One table has every key, its kind, its default and its words for
 * people; reading, `system config` and the checks come from it.
 *
 * Grammar: one KEY = VALUE per line; blank lines and lines that begin with # are skipped; a value may stand
 * in double quotes, then it keeps blanks at its ends. Lists are words with blanks between them, or the key
 * again. A later file's value replaces an earlier file's, a list as a whole. Unknown keys are errors: a
 * misspelt limit must not be silence. */
#include "engine/conf.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/limits.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define SYSTEM_FILE "/etc/skiff/skiff.conf"

enum kind { STR, INT, SIZE, BOOL, LIST, PULL };
struct key {
	const char *name;
	enum kind kind;
	size_t off;
	const char *fallback, *about;
};
#define KEY(name, kind, fallback, about)                                                                    \
	{                                                                                                   \
#name, kind, offsetof(struct skf_conf, name), fallback, about                               \
	}
static const struct key keys[] = {
	KEY(apparmor_profile, STR, "", "AppArmor profile of a container when AppArmor is on; empty: none"),
	KEY(cdi_dirs, LIST, "/etc/cdi /var/run/cdi",
	    "directories of CDI's specifications; a device in a later one wins"),
	KEY(cgroup_parent, STR, "/skiff/c", "cgroup below which containers have theirs"),
	KEY(cni_conf_dirs, LIST, "", "directories of CNI networks; empty: /etc/cni/net.d"),
	KEY(cni_gc, BOOL, "false",
	    "boot and network prune tell CNI plugins what is in use (GC): only where no other program uses "
	    "these CNI networks"),
	KEY(cni_plugin_dirs, LIST, "",
	    "directories of CNI plugins; empty: /opt/cni/bin /usr/lib/cni /usr/libexec/cni"),
	KEY(detach_keys, STR, "ctrl-p,ctrl-q", "keys that leave a container running"),
	KEY(env, LIST, "", "environment variables of every container, NAME=VALUE"),
	KEY(init, BOOL, "false", "run an init in every container, as --init"),
	KEY(mapped_copies, BOOL, "false",
	    "copy layers once per id map for containers in user namespaces, also where id-mapped mounts "
	    "work"),
	KEY(no_new_privileges, BOOL, "false", "as --security-opt no-new-privileges"),
	KEY(pids_limit, INT, "2048", "processes of a container; -1: no limit"),
	KEY(pull, PULL, "missing", "when run pulls the image: always, missing, never, newer"),
	KEY(read_only, BOOL, "false", "as --read-only"),
	KEY(runtime, STR, "", "OCI runtime of a container, a name or a path; empty: our own"),
	KEY(runtime_flags, LIST, "",
	    "flags of OCI runtimes, NAME=FLAG, without the --; before those of --runtime-flag"),
	KEY(runtimes, LIST, "",
	    "where OCI runtimes are, NAME=PATH[:PATH...]; those that are not named are looked for along "
	    "PATH"),
	KEY(seccomp_profile, STR, "builtin", "builtin, unconfined, or the path of a profile"),
	KEY(selinux, BOOL, "true", "label containers where SELinux is on"),
	KEY(shm_size, SIZE, "64m", "size of /dev/shm"),
	KEY(stop_timeout, INT, "10", "seconds that stop waits before it kills; -1: for ever"),
	KEY(storage_driver, STR, "",
	    "how new containers get their files: overlay (mounted), vfs (copied); empty: overlay where it "
	    "works"),
	KEY(tz, STR, "", "time zone of containers, e.g. Europe/Paris or local; empty: the image's"),
	KEY(ulimits, LIST, "", "resource limits, NAME=SOFT[:HARD]"),
	KEY(umask, STR, "", "umask of a container's process, octal; empty: 0022"),
	KEY(userns, STR, "host", "user namespace of a container: host, auto, ..., as --userns"),
	KEY(userns_ids, LIST, "",
	    "ids that --userns=auto gives away, START:SIZE; none: the subordinate ids of userns_user"),
	KEY(userns_max_size, INT, "65536", "most ids that --userns=auto takes by itself"),
	KEY(userns_min_size, INT, "1024", "fewest ids that --userns=auto takes by itself"),
	KEY(userns_user, STR, "containers", "whose subordinate ids --userns=auto gives away"),
};
_Static_assert(SKF_ARRAY_LEN(keys) <= SKF_ARRAY_LEN(((struct skf_conf *)0)->origin),
	       "room for every key's origin");

static int set_bool(const char *v, bool *ret)
{
	*ret = strcmp(v, "true") == 0;
	return *ret || strcmp(v, "false") == 0 ? 0 : -EINVAL;
}

/* Numbers that count something; -1 stands for no limit. */
static int set_int(const char *v, int64_t *ret)
{
	int r = skf_parse_i64(v, ret);

	return r < 0 ? r : *ret < -1 || *ret > INT32_MAX ? -ERANGE : 0;
}

static const char *const pull_words[] = {[SKF_PULL_MISSING] = "missing",
					 [SKF_PULL_ALWAYS] = "always",
					 [SKF_PULL_NEVER] = "never",
					 [SKF_PULL_NEWER] = "newer"};

int skf_pull_policy_parse(const char *v, enum skf_pull_policy *ret)
{
	for (size_t i = SKF_PULL_MISSING; i < SKF_ARRAY_LEN(pull_words); i++)
		if (skf_streq(v, pull_words[i])) {
			*ret = (enum skf_pull_policy)i;
			return 0;
		}
	return -EINVAL;
}

static int add_words(struct skf_arena *a, struct skf_strv *to, const char *v)
{
	while (*v) {
		size_t skip = strspn(v, " \t"), n = strcspn(v + skip, " \t");
		char *word = n ? skf_arena_dup(a, v + skip, n) : NULL;

		if (n && (!word || skf_strv_add(a, to, word) < 0))
			return -ENOMEM;
		v += skip + n;
	}
	return 0;
}

static int set_key(struct skf_conf *c, const struct key *k, const char *v)
{
	char *at = (char *)c + k->off;

	switch (k->kind) {
	case STR:
		*(char **)(void *)at = skf_arena_strdup(&c->a, v);
		return *(char **)(void *)at ? 0 : -ENOMEM;
	case INT:
		return set_int(v, (int64_t *)(void *)at);
	case SIZE:
		return skf_parse_size(v, (int64_t *)(void *)at);
	case BOOL:
		return set_bool(v, (bool *)(void *)at);
	case LIST:
		return add_words(&c->a, (struct skf_strv *)(void *)at, v);
	case PULL:
		return skf_pull_policy_parse(v, (enum skf_pull_policy *)(void *)at);
	}
	return -EINVAL;
}

static const struct key *find_key(const char *p, size_t n)
{
	for (size_t i = 0; i < SKF_ARRAY_LEN(keys); i++)
		if (strlen(keys[i].name) == n && memcmp(keys[i].name, p, n) == 0)
			return &keys[i];
	return NULL;
}

static const char *const kind_words[] = {
	"", "a number, -1 or more",           "a size like 64m", "true or false",
	"", "always, missing, never or newer"};

int skf_conf_defaults(struct skf_conf *c, struct skf_err *e)
{
	memset(c, 0, sizeof(*c));
	c->a = (struct skf_arena)SKF_ARENA(SKF_MAX_OBJECT_BYTES);
	for (size_t i = 0; i < SKF_ARRAY_LEN(keys); i++)
		if (set_key(c, &keys[i], keys[i].fallback) < 0)
			return skf_fail(e, SKF_ENOMEM, "memory for the configuration");
	return 0;
}

/* The value of a line, without blanks around it and without its quotes; -EINVAL: a quote that does not end.
 */
static int value_of(struct skf_arena *a, const char *p, size_t n, char **ret)
{
	while (n && strchr(" \t\r", p[n - 1]))
		n--;
	if (n && p[0] == '"') {
		if (n < 2 || p[n - 1] != '"')
			return -EINVAL;
		p++;
		n -= 2;
	}
	*ret = skf_arena_dup(a, p, n);
	return *ret ? 0 : -ENOMEM;
}

struct place {
	const char *name;
	unsigned line;
	bool seen[SKF_ARRAY_LEN(keys)]; /* in this file */
};

static int fail_at(const struct place *at, struct skf_err *e, const char *what, size_t n, const char *word,
		   const char *expected)
{
	return skf_fail(e, SKF_EINVALID, "%s:%u: %s '%.*s'%s%s", at->name, at->line, what,
			(int)(n > 80 ? 80 : n), word, *expected ? ": expected " : "", expected);
}

static int parse_line(struct skf_conf *c, struct place *at, const char *p, size_t n, struct skf_err *e)
{
	const char *eq = memchr(p, '=', n), *value;
	size_t name = eq ? (size_t)(eq - p) : n;
	const struct key *k;
	char *v;
	int r;

	if (!eq)
		return fail_at(at, e, "not understood:", n, p, "KEY = VALUE");
	while (name && strchr(" \t", p[name - 1]))
		name--;
	k = find_key(p, name);
	if (!k)
		return fail_at(at, e, "unknown key", name, p, "");
	value = eq + 1;
	while (value < p + n && strchr(" \t", *value))
		value++;
	r = value_of(&c->a, value, n - (size_t)(value - p), &v);
	if (r == 0 && k->kind == LIST && !at->seen[k - keys])
		*(struct skf_strv *)(void *)((char *)c + k->off) = (struct skf_strv){0};
	if (r == 0)
		r = set_key(c, k, v);
	if (r == -ENOMEM)
		return skf_fail(e, SKF_ELIMIT, "%s:%u: the configuration is too large", at->name, at->line);
	if (r < 0)
		return fail_at(at, e, "wrong value", n - (size_t)(value - p), value, kind_words[k->kind]);
	at->seen[k - keys] = true;
	c->any = true;
	c->origin[k - keys] = skf_arena_fmt(&c->a, "%s:%u", at->name, at->line);
	return c->origin[k - keys] ? 0
				   : skf_fail(e, SKF_ELIMIT, "%s: the configuration is too large", at->name);
}

int skf_conf_parse(struct skf_conf *c, const char *name, const char *text, size_t n, struct skf_err *e)
{
	struct place at = {.name = name};
	const char *p = text, *end = text + n;

	if (memchr(text, 0, n))
		return skf_fail(e, SKF_EINVALID, "%s: a zero byte in the configuration", name);
	for (at.line = 1; p < end; at.line++) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		size_t len = nl ? (size_t)(nl - p) : (size_t)(end - p), skip = 0;

		while (skip < len && strchr(" \t\r", p[skip]))
			skip++;
		if (skip < len && p[skip] != '#' && parse_line(c, &at, p + skip, len - skip, e) < 0)
			return -1;
		p += len + (nl != NULL);
	}
	return 0;
}

static int read_one(struct skf_conf *c, const char *path, bool required, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_CONF_BYTES);
	int r = skf_read_file_at(AT_FDCWD, path, SKF_MAX_CONF_BYTES, &b);

	if ((r == -ENOENT || r == -ENOTDIR) && !required)
		return 0;
	if (r < 0)
		return skf_fail_sys(e, r, "read the configuration '%s'", path);
	return skf_conf_parse(c, path, skf_buf_cstr(&b), b.len, e);
}

int skf_conf_load(struct skf_conf *c, struct skf_err *e)
{
	const char *only = getenv("SKIFF_CONF"), *dir = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	char path[4096] = "";
	int r = 0;

	if (skf_conf_defaults(c, e) < 0)
		return -1;
	if (only)
		return *only ? read_one(c, only, true, e) : 0;
	if (read_one(c, SYSTEM_FILE, false, e) < 0)
		return -1;
	if (dir && *dir)
		r = skf_fmt(path, sizeof(path), "%s/skiff/skiff.conf", dir);
	else if (home && *home)
		r = skf_fmt(path, sizeof(path), "%s/.config/skiff/skiff.conf", home);
	return r < 0 || !*path
		       ? 0
		       : read_one(c, path, false, e); /* a path longer than any: there is no such file */
}

void skf_conf_done(struct skf_conf *c)
{
	skf_arena_done(&c->a);
}

static void put_value(struct skf_buf *b, const struct key *k, const struct skf_conf *c)
{
	const void *at = (const char *)c + k->off;
	const struct skf_strv *v = at;

	switch (k->kind) {
	case STR:
		skf_buf_str(b, *(char *const *)at);
		return;
	case INT:
	case SIZE:
		skf_buf_fmt(b, "%lld", (long long)*(const int64_t *)at);
		return;
	case BOOL:
		skf_buf_str(b, *(const bool *)at ? "true" : "false");
		return;
	case LIST:
		for (size_t i = 0; i < v->n; i++)
			skf_buf_fmt(b, "%s%s", i ? " " : "", v->v[i]);
		return;
	case PULL:
		skf_buf_str(b, pull_words[*(const enum skf_pull_policy *)at]);
	}
}

void skf_conf_each(const struct skf_conf *c,
		   void (*fn)(void *arg, const char *key, const char *value, const char *origin,
			      const char *about),
		   void *arg)
{
	for (size_t i = 0; i < SKF_ARRAY_LEN(keys); i++) {
		SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_CONF_BYTES);

		put_value(&b, &keys[i], c);
		fn(arg, keys[i].name, skf_buf_cstr(&b), c->origin[i], keys[i].about);
	}
}

struct conf_rows {
	struct skf_arena *a;
	struct skf_conf_row *v;
	size_t n;
	bool failed;
};

static void add_row(void *arg, const char *key, const char *value, const char *origin, const char *about)
{
	struct conf_rows *r = arg;

	r->v[r->n] = (struct skf_conf_row){
		.key = key, .about = about, .origin = origin, .value = skf_arena_strdup(r->a, value)};
	r->failed |= !r->v[r->n++].value;
}

int skf_conf_rows(const struct skf_conf *c, struct skf_arena *a, struct skf_jarr *ret, struct skf_err *e)
{
	struct conf_rows r = {.a = a,
			      .v = skf_arena_array(a, SKF_ARRAY_LEN(keys), sizeof(struct skf_conf_row))};

	if (r.v)
		skf_conf_each(c, add_row, &r);
	if (!r.v || r.failed)
		return skf_fail(e, SKF_ENOMEM, "memory for the configuration");
	*ret = (struct skf_jarr){r.v, r.n};
	return 0;
}

const char *skf_conf_origin(const struct skf_conf *c, const char *key)
{
	const struct key *k = find_key(key, strlen(key));

	return k ? c->origin[k - keys] : NULL;
}
