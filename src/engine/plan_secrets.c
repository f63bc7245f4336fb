/* engine/plan_secrets.c -- --secret of run and create: which secrets a container gets, where and with which
 * owner. What is in them is read here and copied into the container's directory when that is made (files
 * 0600 of secrets/), never into config.json: launch puts it on a tmpfs, or into the environment, at each
 * start (launch/secrets.c). */
#include "engine/create_int.h"
#include "engine/secret.h"
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define PLACE "/run/secrets"

struct wish {
	const char *source, *target;
	bool env, owned; /* owned: uid, gid or mode are given */
	uint32_t uid, gid, mode;
};

static int wrong(struct skf_err *e, const char *word, const char *why)
{
	return skf_fail(e, SKF_EINVALID, "invalid --secret '%s': %s", word, why);
}

static int set_field(struct wish *x, const char *key, const char *v, const char *word, struct skf_err *e)
{
	if (skf_streq(key, "source") || skf_streq(key, "src"))
		x->source = v;
	else if (skf_streq(key, "type") && (skf_streq(v, "mount") || skf_streq(v, "env")))
		x->env = skf_streq(v, "env");
	else if (skf_streq(key, "target") || skf_streq(key, "dst") || skf_streq(key, "destination"))
		x->target = v;
	else if (skf_streq(key, "uid") && skf_parse_u32(v, &x->uid) == 0)
		x->owned = true;
	else if (skf_streq(key, "gid") && skf_parse_u32(v, &x->gid) == 0)
		x->owned = true;
	else if (skf_streq(key, "mode") && skf_parse_octal(v, &x->mode) == 0 && x->mode <= 07777)
		x->owned = true;
	else
		return wrong(e, word,
			     "expected "
			     "NAME[,type=mount|env][,target=PATH|VARIABLE][,uid=NUMBER][,gid=NUMBER][,mode="
			     "OCTAL]");
	return 0;
}

static int parse(struct skf_plan *p, const char *word, struct wish *ret, struct skf_err *e)
{
	struct wish x = {.mode = 0444};

	for (const char *s = word; *s;) {
		size_t n = strcspn(s, ",");
		char *field = skf_arena_dup(p->a, s, n), *eq = field ? strchr(field, '=') : NULL;

		if (!field)
			return skf_plan_no_memory(e);
		if (eq)
			*eq = '\0';
		if (!eq && (s != word || !*field))
			return wrong(e, word, "the secret's name comes first");
		if (!eq)
			x.source = field;
		else if (set_field(&x, field, eq + 1, word, e) < 0)
			return -1;
		s += n + (s[n] == ',');
	}
	if (!x.source || !*x.source)
		return wrong(e, word, "no secret is named");
	if (x.env && x.owned)
		return wrong(e, word, "uid, gid and mode cannot be set with type=env");
	*ret = x;
	return 0;
}

static bool has_dots(const char *path)
{
	for (const char *s = path; *s; s += strcspn(s, "/"), s += *s == '/') {
		size_t n = strcspn(s, "/");

		if ((n == 1 && s[0] == '.') || (n == 2 && s[0] == '.' && s[1] == '.'))
			return true;
	}
	return false;
}

static int add_mount(struct skf_plan *p, struct skf_ctrconf_secret *s, const char *word, struct skf_err *e)
{
	static const char *const options[] = {"bind", "ro", "nosuid", "nodev", "noexec", "rprivate"};
	struct skf_gen_mount g = {.type = "bind"};

	if (!s->target || !*s->target)
		s->target = s->name;
	if (has_dots(s->target) || skf_endswith(s->target, "/"))
		return wrong(e, word, "the target is no path of a file");
	if (s->target[0] != '/')
		s->target = skf_arena_fmt(p->a, PLACE "/%s", s->target);
	g.target = s->target;
	g.source = skf_arena_fmt(p->a, "%s/" SKF_SECRETS_DIR "/%s", p->dir, s->file);
	if (!g.target || !g.source)
		return skf_plan_no_memory(e);
	for (size_t i = 0; i < p->n_mounts; i++)
		if (skf_streq(p->mounts[i].target, g.target))
			return skf_fail(e, SKF_EINVALID, "Duplicate mount point: %s", g.target);
	for (size_t i = 0; i < SKF_ARRAY_LEN(options); i++)
		if (skf_strv_add(p->a, &g.options, options[i]) < 0)
			return skf_plan_no_memory(e);
	return skf_plan_push(p, (void **)&p->mounts, &p->n_mounts, &p->cap_mounts, &g, sizeof(g), e);
}

static int add_env(struct skf_ctrconf_secret *s, const struct skf_buf *data, const char *word,
		   struct skf_err *e)
{
	if (!s->target || !*s->target)
		s->target = s->name;
	if (strchr(s->target, '='))
		return wrong(e, word, "the target is no name of a variable");
	if (memchr(data->p, 0, data->len))
		return wrong(e, word, "it has a zero byte, which a variable cannot hold");
	s->env = true;
	return 0;
}

static int add(struct skf_plan *p, const char *word, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_SECRET_BYTES);
	struct skf_plan_secret x = {0};
	struct skf_secret *s;
	struct wish w = {0};

	if (parse(p, word, &w, e) < 0 || skf_engine_secret_get(p->g, w.source, p->a, &s, e) < 0 ||
	    skf_engine_secret_data(p->g, s, &b, e) < 0)
		return -1;
	x.c = (struct skf_ctrconf_secret){.name = s->name,
					  .id = s->id,
					  .target = (char *)(uintptr_t)w.target,
					  .uid = w.uid,
					  .gid = w.gid,
					  .mode = w.mode};
	x.c.file = skf_arena_fmt(p->a, "%zu", p->n_secrets);
	x.data = skf_arena_dup(p->a, skf_buf_cstr(&b), b.len);
	x.n = b.len;
	if (!x.c.file || !x.data)
		return skf_plan_no_memory(e);
	if ((w.env ? add_env(&x.c, &b, word, e) : add_mount(p, &x.c, word, e)) < 0)
		return -1;
	return skf_plan_push(p, (void **)&p->secrets, &p->n_secrets, &p->cap_secrets, &x, sizeof(x), e);
}

int skf_plan_secrets(struct skf_plan *p, struct skf_err *e)
{
	struct skf_ctrconf_secret *v = skf_arena_array(p->a, p->q->s.secrets.n + 1, sizeof(*v));

	if (!v)
		return skf_plan_no_memory(e);
	for (size_t i = 0; i < p->q->s.secrets.n; i++)
		if (add(p, p->q->s.secrets.v[i], e) < 0)
			return -1;
	for (size_t i = 0; i < p->n_secrets; i++)
		v[i] = p->secrets[i].c;
	p->conf.secrets = (struct skf_jarr){v, p->n_secrets};
	return 0;
}

int skf_plan_make_secrets(struct skf_plan *p, int dir, struct skf_err *e)
{
	SKF_AUTO_FD int fd = -EBADF;
	int r = p->n_secrets ? skf_mkdir_at(dir, SKF_SECRETS_DIR, 0700) : 0;

	if (r == 0 && p->n_secrets)
		r = fd = skf_openat(dir, SKF_SECRETS_DIR, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	for (size_t i = 0; r >= 0 && i < p->n_secrets; i++)
		r = skf_write_atomic_at(fd, p->secrets[i].c.file, p->secrets[i].data, p->secrets[i].n, 0600,
					0);
	return r < 0 ? skf_fail_sys(e, r,
				    "copy the secrets of container '%.12s' to '%s/" SKF_SECRETS_DIR "'",
				    p->id, p->dir)
		     : 0;
}

/* --- exec --- */

int skf_ctr_secret_env(struct skf_engine *g, const char *id, const struct skf_ctrconf *c,
		       struct skf_arena *a, struct skf_strv *ret, struct skf_err *e)
{
	const struct skf_ctrconf_secret *s = c->secrets.v;

	for (size_t i = 0; i < c->secrets.n; i++) {
		SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_SECRET_BYTES);
		char path[SKF_ID_LEN + 64];
		char *word;
		int r = s[i].env ? skf_fmt(path, sizeof(path), "%s/" SKF_SECRETS_DIR "/%s", id, s[i].file)
				 : 0;

		if (!s[i].env)
			continue;
		if (r == 0)
			r = skf_read_file_at(g->ctr_fd, path, SKF_MAX_SECRET_BYTES, &b);
		if (r < 0)
			return skf_fail_sys(e, r, "read the secret '%s' of container '%.12s'", s[i].name,
					    id);
		word = skf_arena_fmt(a, "%s=%s", s[i].target, skf_buf_cstr(&b));
		if (!word || skf_strv_add(a, ret, word) < 0)
			return skf_fail(e, SKF_ENOMEM, "memory for the secrets of container '%.12s'", id);
	}
	return 0;
}
