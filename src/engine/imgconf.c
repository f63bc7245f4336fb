/* engine/imgconf.c -- the config object of an image that commit and import make: taken from another, changed
 * by instructions of a Dockerfile, written. Pure. */
#include "base/arena.h"
#include "base/json.h"
#include "engine/archive_int.h"
#include <ctype.h>
#include <string.h>

static int nomem(struct skf_err *e)
{
	return skf_fail(e, SKF_ENOMEM, "memory for the configuration of an image");
}

static int copy_strv(struct skf_strv *to, const struct skf_strv *from, struct skf_arena *a,
		     struct skf_err *e)
{
	*to = (struct skf_strv){0};
	for (size_t i = 0; i < from->n; i++)
		if (skf_strv_add(a, to, from->v[i]) < 0)
			return nomem(e);
	return 0;
}

int skf_imgconf_from(struct skf_imgconf *c, const struct skf_image_config *x, struct skf_arena *a,
		     struct skf_err *e)
{
	*c = (struct skf_imgconf){.user = x->user,
				  .working_dir = x->working_dir,
				  .stop_signal = x->stop_signal,
				  .healthcheck_raw = x->healthcheck_raw};
	if (copy_strv(&c->env, &x->env, a, e) < 0 || copy_strv(&c->entrypoint, &x->entrypoint, a, e) < 0 ||
	    copy_strv(&c->cmd, &x->cmd, a, e) < 0 || copy_strv(&c->ports, &x->exposed_ports, a, e) < 0 ||
	    copy_strv(&c->volumes, &x->volumes, a, e) < 0 || copy_strv(&c->shell, &x->shell, a, e) < 0)
		return -1;
	for (size_t i = 0; i < x->labels.n; i++)
		if (skf_imgconf_label(c, x->labels.v[i].k, x->labels.v[i].v, a, e) < 0)
			return -1;
	return 0;
}

int skf_imgconf_env(struct skf_imgconf *c, const char *name_value, struct skf_arena *a, struct skf_err *e)
{
	const char *eq = strchr(name_value, '=');
	size_t n = eq ? (size_t)(eq - name_value) + 1 : strlen(name_value);

	for (size_t i = 0; i < c->env.n; i++)
		if (strncmp(c->env.v[i], name_value, n) == 0) {
			c->env.v[i] = skf_arena_strdup(a, name_value);
			return c->env.v[i] ? 0 : nomem(e);
		}
	return skf_strv_add(a, &c->env, name_value) < 0 ? nomem(e) : 0;
}

int skf_imgconf_label(struct skf_imgconf *c, const char *k, const char *v, struct skf_arena *a,
		      struct skf_err *e)
{
	struct skf_kv *new;
	char *value = skf_arena_strdup(a, v);

	if (!value)
		return nomem(e);
	for (size_t i = 0; i < c->labels.n; i++)
		if (skf_streq(c->labels.v[i].k, k)) {
			c->labels.v[i].v = value;
			return 0;
		}
	new = skf_arena_array(a, c->labels.n + 1, sizeof(*new));
	if (!new)
		return nomem(e);
	if (c->labels.n)
		memcpy(new, c->labels.v, c->labels.n * sizeof(*new));
	new[c->labels.n] = (struct skf_kv){skf_arena_strdup(a, k), value};
	if (!new[c->labels.n].k)
		return nomem(e);
	c->labels.v = new;
	c->labels.n++;
	return 0;
}

/* --- instructions --- */
struct words {
	struct skf_strv v;
};
static const struct skf_jfield words_f[] = {SKF_J(struct words, v, "v", skf_j_strv, NULL, SKF_J_REQUIRED),
					    SKF_J_END};
static const struct skf_jtable words_table = {sizeof(struct words), words_f, true, NULL};

/* ["a", "b"]: 1; anything else 0, as Dockerfiles have it. */
static int json_form(const char *s, struct skf_arena *a, struct skf_strv *ret)
{
	const struct skf_jdoc d = {.name = "instruction", .max_bytes = SKF_MAX_RECORD};
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	struct skf_err why = SKF_ERR_INIT;
	void *v;

	if (s[0] != '[')
		return 0;
	skf_buf_fmt(&b, "{\"v\":%s}", s);
	if (b.err || skf_json_decode(&d, b.p, b.len, &words_table, a, &v, &why) < 0)
		return 0;
	*ret = ((struct words *)v)->v;
	return 1;
}

static int command_words(const char *s, struct skf_arena *a, struct skf_strv *ret, struct skf_err *e)
{
	*ret = (struct skf_strv){0};
	if (json_form(s, a, ret))
		return 0;
	return skf_strv_add(a, ret, "/bin/sh") < 0 || skf_strv_add(a, ret, "-c") < 0 ||
			       skf_strv_add(a, ret, s) < 0
		       ? nomem(e)
		       : 0;
}

/* The next word: blanks separate, quotes and backslashes keep. NULL at the end; -1 as *bad. */
static char *next_word(const char **s, struct skf_arena *a, bool *bad)
{
	char *out, *p, quote = 0;

	while (isspace((unsigned char)**s))
		(*s)++;
	if (!**s)
		return NULL;
	p = out = skf_arena_alloc(a, strlen(*s) + 1);
	for (; p && **s && (quote || !isspace((unsigned char)**s)); (*s)++) {
		if (**s == '\\' && quote != '\'' && (*s)[1])
			*p++ = *++*s;
		else if (quote ? **s == quote : **s == '"' || **s == '\'')
			quote = quote ? 0 : **s;
		else
			*p++ = **s;
	}
	*bad |= !p || quote;
	return out;
}

static int split(const char *s, struct skf_arena *a, struct skf_strv *ret, struct skf_err *e)
{
	bool bad = false;
	char *w;

	if (json_form(s, a, ret))
		return 0;
	*ret = (struct skf_strv){0};
	while ((w = next_word(&s, a, &bad)) != NULL && !bad)
		if (skf_strv_add(a, ret, w) < 0)
			return nomem(e);
	return bad ? skf_fail(e, SKF_EINVALID, "a quote is not closed") : 0;
}

/* "K=V K2=V2", or the old "K V". */
static int pairs(struct skf_imgconf *c, const char *s, bool label, struct skf_arena *a, struct skf_err *e)
{
	struct skf_strv v;

	if (split(s, a, &v, e) < 0)
		return -1;
	if (v.n && !strchr(v.v[0], '=')) {
		const char *rest = s + strcspn(s, " \t");

		rest += strspn(rest, " \t");
		if (!*rest)
			return skf_fail(e, SKF_EINVALID, "expected NAME=VALUE");
		return label ? skf_imgconf_label(c, v.v[0], rest, a, e)
			     : skf_imgconf_env(c, skf_arena_fmt(a, "%s=%s", v.v[0], rest), a, e);
	}
	for (size_t i = 0; i < v.n; i++) {
		char *eq = strchr(v.v[i], '=');

		if (!eq || eq == v.v[i])
			return skf_fail(e, SKF_EINVALID, "expected NAME=VALUE, found '%.80s'", v.v[i]);
		if (!label) {
			if (skf_imgconf_env(c, v.v[i], a, e) < 0)
				return -1;
			continue;
		}
		*eq = '\0';
		if (skf_imgconf_label(c, v.v[i], eq + 1, a, e) < 0)
			return -1;
	}
	return v.n ? 0 : skf_fail(e, SKF_EINVALID, "expected NAME=VALUE");
}

static int add_each(struct skf_strv *to, const char *s, const char *suffix, struct skf_arena *a,
		    struct skf_err *e)
{
	struct skf_strv v;

	if (split(s, a, &v, e) < 0)
		return -1;
	for (size_t i = 0; i < v.n; i++) {
		char *w = skf_arena_fmt(a, "%s%s", v.v[i], strchr(v.v[i], '/') ? "" : suffix);
		bool have = false;

		for (size_t k = 0; w && k < to->n; k++)
			have |= skf_streq(to->v[k], w);
		if (!w || (!have && skf_strv_add(a, to, w) < 0))
			return nomem(e);
	}
	return 0;
}

enum how { ENV, LABEL, CMD, ENTRYPOINT, EXPOSE, VOLUME, ONBUILD, USER, WORKDIR, STOPSIGNAL };
static const struct {
	const char *word;
	enum how how;
} instructions[] = {
	{"ENV", ENV},         {"LABEL", LABEL},          {"CMD", CMD},         {"ENTRYPOINT", ENTRYPOINT},
	{"EXPOSE", EXPOSE},   {"VOLUME", VOLUME},        {"ONBUILD", ONBUILD}, {"USER", USER},
	{"WORKDIR", WORKDIR}, {"STOPSIGNAL", STOPSIGNAL}};

static int text(char **to, const char *s, struct skf_arena *a, struct skf_err *e)
{
	*to = skf_arena_strdup(a, s);
	return *to ? 0 : nomem(e);
}

static int apply(struct skf_imgconf *c, enum how how, const char *s, struct skf_arena *a, struct skf_err *e)
{
	switch (how) {
	case ENV:
	case LABEL:
		return pairs(c, s, how == LABEL, a, e);
	case CMD:
		return command_words(s, a, &c->cmd, e);
	case ENTRYPOINT:
		return command_words(s, a, &c->entrypoint, e);
	case EXPOSE:
		return add_each(&c->ports, s, "/tcp", a, e);
	case VOLUME:
		return add_each(&c->volumes, s, "", a, e);
	case ONBUILD:
		return skf_strv_add(a, &c->onbuild, s) < 0 ? nomem(e) : 0;
	case USER:
		return text(&c->user, s, a, e);
	case WORKDIR:
		if (s[0] != '/' && c->working_dir && c->working_dir[0])
			s = skf_arena_fmt(a, "%s/%s", c->working_dir, s);
		else if (s[0] != '/')
			s = skf_arena_fmt(a, "/%s", s);
		return s ? text(&c->working_dir, s, a, e) : nomem(e);
	default:
		return text(&c->stop_signal, s, a, e);
	}
}

int skf_imgconf_changes(struct skf_imgconf *c, const struct skf_strv *changes, struct skf_arena *a,
			struct skf_err *e)
{
	for (size_t i = 0; i < changes->n; i++) {
		const char *s = changes->v[i] + strspn(changes->v[i], " \t");
		size_t n = strcspn(s, " \t"), k = 0;
		const char *rest = s + n + strspn(s + n, " \t");

		while (k < SKF_ARRAY_LEN(instructions) &&
		       (strlen(instructions[k].word) != n || strncasecmp(instructions[k].word, s, n) != 0))
			k++;
		if (k == SKF_ARRAY_LEN(instructions))
			return skf_fail(e, SKF_EINVALID,
					"'%.120s' is not a valid change: expected CMD, ENTRYPOINT, ENV, "
					"EXPOSE, LABEL, ONBUILD, STOPSIGNAL, "
					"USER, VOLUME or WORKDIR",
					changes->v[i]);
		if (!*rest)
			return skf_fail(e, SKF_EINVALID, "change '%.120s' has no value", changes->v[i]);
		if (apply(c, instructions[k].how, rest, a, e) < 0)
			return skf_ctx(e, "change '%.120s'", changes->v[i]);
	}
	return 0;
}

/* --- writing --- */
static void put_text(struct skf_jw *w, const char *k, const char *v)
{
	if (v && *v)
		skf_jw_kstr(w, k, v);
}

static void put_list(struct skf_jw *w, const char *k, const struct skf_strv *v)
{
	if (v->n)
		skf_jw_kstrv(w, k, v);
}

static void put_set(struct skf_jw *w, const char *k, const struct skf_strv *v)
{
	if (!v->n)
		return;
	skf_jw_kobj(w, k);
	for (size_t i = 0; i < v->n; i++) {
		skf_jw_kobj(w, v->v[i]);
		skf_jw_end(w);
	}
	skf_jw_end(w);
}

void skf_imgconf_write(const struct skf_imgconf *c, struct skf_buf *b)
{
	struct skf_jw w = SKF_JW(b);

	skf_jw_obj(&w);
	put_text(&w, "User", c->user);
	put_set(&w, "ExposedPorts", &c->ports);
	put_list(&w, "Env", &c->env);
	put_list(&w, "Entrypoint", &c->entrypoint);
	put_list(&w, "Cmd", &c->cmd);
	if (c->healthcheck_raw)
		skf_jw_kraw(&w, "Healthcheck", c->healthcheck_raw);
	put_set(&w, "Volumes", &c->volumes);
	put_text(&w, "WorkingDir", c->working_dir);
	if (c->labels.n)
		skf_jw_kkvs(&w, "Labels", &c->labels);
	put_text(&w, "StopSignal", c->stop_signal);
	put_list(&w, "OnBuild", &c->onbuild);
	put_list(&w, "Shell", &c->shell);
	skf_jw_end(&w);
}
