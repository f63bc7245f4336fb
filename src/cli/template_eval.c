/* cli/template_eval.c -- a template's tree over one document. Pure; bounded by SKF_MAX_TEMPLATE_STEPS and
 * SKF_MAX_TEMPLATE_OUT. */
#include "cli/template_int.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN 20 /* Go cuts the source in its errors here */

int skf_tmpl_fail(struct skf_tmpl_ev *ev, const struct skf_tmpl_pos *pos, const char *fmt, ...)
{
	size_t n = pos->src_len > 200 ? 200 : pos->src_len;
	char text[300];
	va_list ap;

	va_start(ap, fmt);
	if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
		text[0] = '\0'; /* only for an invalid format */
	va_end(ap);
	return skf_fail(ev->e, SKF_EINVALID, "template: :%u:%u: executing \"\" at <%.*s%s>: %s", pos->line,
			pos->col, (int)(pos->src_len > n ? SHOWN : n), pos->src,
			pos->src_len > n ? "..." : "", text);
}

int skf_tmpl_charge(struct skf_tmpl_ev *ev, size_t n)
{
	if (n > SKF_MAX_TEMPLATE_OUT || (ev->made += n) > SKF_MAX_TEMPLATE_OUT)
		return skf_fail(ev->e, SKF_ELIMIT, "the template makes more than %u bytes of one document",
				SKF_MAX_TEMPLATE_OUT);
	return 0;
}

static int step(struct skf_tmpl_ev *ev)
{
	if (++ev->steps <= SKF_MAX_TEMPLATE_STEPS)
		return 0;
	return skf_fail(ev->e, SKF_ELIMIT, "the template takes more than %d steps for one document",
			SKF_MAX_TEMPLATE_STEPS);
}

int skf_tmpl_keep(struct skf_tmpl_ev *ev, struct json_object *o, struct json_object **ret)
{
	if (ev->n_pool == ev->cap_pool) {
		size_t cap = ev->cap_pool ? ev->cap_pool * 2 : 64;
		struct json_object **v = reallocarray(ev->pool, cap, sizeof(struct json_object *));

		if (!v) {
			json_object_put(o);
			return skf_fail(ev->e, SKF_ENOMEM, "memory for the template");
		}
		ev->pool = v;
		ev->cap_pool = cap;
	}
	if (!o)
		return skf_fail(ev->e, SKF_ENOMEM, "memory for the template");
	ev->pool[ev->n_pool++] = o;
	*ret = o;
	return 0;
}

int skf_tmpl_mkstr(struct skf_tmpl_ev *ev, const char *p, size_t n, struct skf_tmpl_val *ret)
{
	if (skf_tmpl_charge(ev, n + 64) < 0)
		return -1;
	ret->map = false;
	return skf_tmpl_keep(ev, json_object_new_string_len(p ? p : "", (int)n), &ret->o);
}

bool skf_tmpl_truth(struct json_object *o)
{
	switch (json_object_get_type(o)) {
	case json_type_boolean:
		return json_object_get_boolean(o);
	case json_type_int:
		return json_object_get_int64(o) != 0;
	case json_type_double:
		return json_object_get_double(o) != 0;
	case json_type_string:
		return json_object_get_string_len(o) > 0;
	case json_type_array:
		return json_object_array_length(o) > 0;
	case json_type_object:
		return json_object_object_length(o) > 0;
	default:
		return false;
	}
}

const char *skf_tmpl_type(struct json_object *o)
{
	switch (json_object_get_type(o)) {
	case json_type_boolean:
		return "bool";
	case json_type_int:
		return "int";
	case json_type_double:
		return "float64";
	case json_type_string:
		return "string";
	case json_type_array:
		return "[]interface {}";
	case json_type_object:
		return "map[string]interface {}";
	default:
		return "interface {}";
	}
}

static int by_bytes(const void *x, const void *y)
{
	return strcmp(*(const char *const *)x, *(const char *const *)y);
}

int skf_tmpl_keys(struct skf_tmpl_ev *ev, struct json_object *o, const char ***ret, size_t *ret_n)
{
	size_t n = (size_t)json_object_object_length(o), i = 0;
	const char **v;

	if (skf_tmpl_charge(ev, n * sizeof(*v)) < 0)
		return -1;
	v = skf_arena_array(&ev->a, n + 1, sizeof(*v));
	if (!v)
		return skf_fail(ev->e, SKF_ENOMEM, "memory for the template");
	json_object_object_foreach(o, key, member)
	{
		(void)member;
		v[i++] = key;
	}
	qsort(v, n, sizeof(*v), by_bytes);
	*ret = v;
	*ret_n = n;
	return 0;
}

/* --- fields, variables, operands --- */

static bool in_list(const char *const *list, const char *name)
{
	for (; list && *list; list++)
		if (skf_streq(*list, name))
			return true;
	return false;
}

static bool look_up(const struct skf_tmpl_env *env, struct json_object *o, const char *name,
		    struct json_object **ret)
{
	if (json_object_object_get_ex(o, name, ret))
		return true;
	for (const struct skf_tmpl_alias *k = env->alias; k && k->field; k++)
		if (skf_streq(k->field, name))
			return json_object_object_get_ex(o, k->key, ret);
	return false;
}

int skf_tmpl_member(struct skf_tmpl_ev *ev, const struct skf_tmpl_pos *pos, struct skf_tmpl_val v,
		    const char *name, struct skf_tmpl_val *ret)
{
	struct json_object *o;

	*ret = (struct skf_tmpl_val){0};
	if (!v.o && v.map)
		return 0;
	if (!v.o)
		return skf_tmpl_fail(ev, pos, "nil pointer evaluating interface {}.%s", name);
	if (!json_object_is_type(v.o, json_type_object))
		return skf_tmpl_fail(ev, pos, "can't evaluate field %s in type interface {}", name);
	if (look_up(ev->env, v.o, name, &o)) {
		ret->o = o;
		ret->map = in_list(ev->env->maps, name);
		return 0;
	}
	if (v.map || ev->env->missing_ok)
		return 0;
	if (v.o == ev->root && ev->env->type)
		return skf_tmpl_fail(ev, pos, "can't evaluate field %s in type %s", name, ev->env->type);
	return skf_tmpl_fail(ev, pos, "map has no entry for key \"%s\"", name);
}

static int push_var(struct skf_tmpl_ev *ev, const char *name, struct skf_tmpl_val v)
{
	if (ev->n_vars == ev->cap_vars) {
		size_t cap = ev->cap_vars ? ev->cap_vars * 2 : 16;
		struct skf_tmpl_var *more = reallocarray(ev->vars, cap, sizeof(*more));

		if (!more)
			return skf_fail(ev->e, SKF_ENOMEM, "memory for the template");
		ev->vars = more;
		ev->cap_vars = cap;
	}
	ev->vars[ev->n_vars].name = name;
	ev->vars[ev->n_vars++].v = v;
	return 0;
}

/* The parser has seen that it exists. */
static struct skf_tmpl_var *find_var(struct skf_tmpl_ev *ev, const char *name)
{
	size_t i = ev->n_vars;

	while (--i > 0)
		if (skf_streq(ev->vars[i].name, name))
			break;
	return &ev->vars[i];
}

static int eval_pipe(struct skf_tmpl_ev *ev, struct skf_tmpl_val dot, const struct skf_tmpl_pipe *p,
		     struct skf_tmpl_val *ret);

static int eval_arg(struct skf_tmpl_ev *ev, struct skf_tmpl_val dot, const struct skf_tmpl_arg *arg,
		    struct skf_tmpl_val *ret)
{
	if (step(ev) < 0)
		return -1;
	*ret = (struct skf_tmpl_val){0};
	switch (arg->kind) {
	case SKF_TA_DOT:
	case SKF_TA_FIELD:
		*ret = dot;
		break;
	case SKF_TA_VAR:
		*ret = find_var(ev, arg->name)->v;
		break;
	case SKF_TA_LITERAL:
		ret->o = arg->literal;
		break;
	case SKF_TA_NIL:
		break;
	case SKF_TA_PAREN:
		if (eval_pipe(ev, dot, arg->sub, ret) < 0)
			return -1;
		break;
	case SKF_TA_FUNC: {
		const struct skf_tmpl_cmd cmd = {.pos = arg->pos};

		return skf_tmpl_call_fn(&(struct skf_tmpl_call){.ev = ev, .cmd = &cmd, .fn = arg->fn}, ret);
	}
	}
	for (size_t i = 0; i < arg->n_chain; i++)
		if (skf_tmpl_member(ev, &arg->pos, *ret, arg->chain[i], ret) < 0)
			return -1;
	return 0;
}

/* --- commands --- */

/* and, or: the arguments behind the one that decides are not looked at. */
static int logic(struct skf_tmpl_ev *ev, struct skf_tmpl_val dot, const struct skf_tmpl_cmd *c,
		 const struct skf_tmpl_val *final, enum skf_tmpl_logic how, struct skf_tmpl_val *ret)
{
	const struct skf_tmpl_arg *a = c->args->next;

	if (!a && !final)
		return skf_tmpl_fail(ev, &c->pos, "wrong number of args for %s: want at least 1 got 0",
				     how == SKF_TL_AND ? "and" : "or");
	for (; a; a = a->next) {
		if (eval_arg(ev, dot, a, ret) < 0)
			return -1;
		if (skf_tmpl_truth(ret->o) == (how == SKF_TL_OR))
			return 0;
	}
	if (final)
		*ret = *final;
	return 0;
}

static int call(struct skf_tmpl_ev *ev, struct skf_tmpl_val dot, const struct skf_tmpl_cmd *c,
		const struct skf_tmpl_val *final, struct skf_tmpl_val *ret)
{
	size_t n = c->n - 1 + (final != NULL), i = 0;
	const struct skf_tmpl_arg **arg;
	struct skf_tmpl_val *v;

	if (skf_tmpl_fn_logic(c->args->fn) != SKF_TL_NONE)
		return logic(ev, dot, c, final, skf_tmpl_fn_logic(c->args->fn), ret);
	if (skf_tmpl_charge(ev, (n + 1) * (sizeof(*v) + sizeof(*arg))) < 0)
		return -1;
	v = skf_arena_array(&ev->a, n + 1, sizeof(*v));
	arg = skf_arena_array(&ev->a, n + 1, sizeof(*arg));
	if (!v || !arg)
		return skf_fail(ev->e, SKF_ENOMEM, "memory for the template");
	for (const struct skf_tmpl_arg *a = c->args->next; a; a = a->next, i++) {
		arg[i] = a;
		if (eval_arg(ev, dot, a, &v[i]) < 0)
			return -1;
	}
	if (final)
		v[i] = *final;
	return skf_tmpl_call_fn(
		&(struct skf_tmpl_call){.ev = ev, .cmd = c, .fn = c->args->fn, .arg = arg, .v = v, .n = n},
		ret);
}

/* A field with arguments: the document's method, or docker's error. */
static int method(struct skf_tmpl_ev *ev, struct skf_tmpl_val dot, const struct skf_tmpl_cmd *c,
		  const struct skf_tmpl_val *final, struct skf_tmpl_val *ret)
{
	const struct skf_tmpl_arg *a = c->args;
	const struct skf_tmpl_method *m = ev->env->method;
	const char *name = a->n_chain ? a->chain[a->n_chain - 1] : "";
	struct skf_tmpl_val on = a->kind == SKF_TA_VAR ? find_var(ev, a->name)->v : dot, word;

	if (a->kind == SKF_TA_PAREN)
		return skf_tmpl_fail(ev, &a->pos, "can't give argument to non-function %.*s",
				     (int)(a->pos.src_len > 60 ? 60 : a->pos.src_len), a->pos.src);
	if (!m || a->n_chain != 1 || on.o != ev->root || !skf_streq(name, m->name))
		return skf_tmpl_fail(ev, &a->pos, "%s is not a method but has arguments",
				     a->n_chain              ? name
				     : a->kind == SKF_TA_VAR ? a->name
							     : ".");
	if (c->n - 1 + (final != NULL) != 1)
		return skf_tmpl_fail(ev, &a->pos, "wrong number of args for %s: want 1 got %zu", name,
				     c->n - 1 + (final != NULL));
	if (final)
		word = *final;
	else if (eval_arg(ev, dot, a->next, &word) < 0)
		return -1;
	if (!json_object_is_type(word.o, json_type_string))
		return skf_tmpl_fail(ev, &a->pos, "wrong type for value; expected string; got %s",
				     skf_tmpl_type(word.o));
	ret->map = false;
	return skf_tmpl_keep(ev, m->fn(m->ctx, json_object_get_string(word.o)), &ret->o);
}

static int eval_cmd(struct skf_tmpl_ev *ev, struct skf_tmpl_val dot, const struct skf_tmpl_cmd *c,
		    const struct skf_tmpl_val *final, struct skf_tmpl_val *ret)
{
	const struct skf_tmpl_arg *a = c->args;
	bool more = c->n > 1 || final;

	if (step(ev) < 0)
		return -1;
	if (a->kind == SKF_TA_FUNC)
		return call(ev, dot, c, final, ret);
	if (a->kind == SKF_TA_NIL)
		return skf_tmpl_fail(ev, &a->pos, "nil is not a command");
	if (more && (a->kind == SKF_TA_LITERAL || a->kind == SKF_TA_DOT))
		return skf_tmpl_fail(ev, &a->pos, "can't give argument to non-function %.*s",
				     (int)(a->pos.src_len > 60 ? 60 : a->pos.src_len), a->pos.src);
	if (more)
		return method(ev, dot, c, final, ret);
	return eval_arg(ev, dot, a, ret);
}

static int eval_pipe(struct skf_tmpl_ev *ev, struct skf_tmpl_val dot, const struct skf_tmpl_pipe *p,
		     struct skf_tmpl_val *ret)
{
	const struct skf_tmpl_val *final = NULL;
	struct skf_tmpl_val v = {0}, before;

	for (const struct skf_tmpl_cmd *c = p->cmds; c; c = c->next) {
		if (eval_cmd(ev, dot, c, final, &v) < 0)
			return -1;
		before = v;
		final = &before;
	}
	*ret = v;
	return 0;
}

/* Declares or sets what the pipeline names; range does so itself. */
static int set_vars(struct skf_tmpl_ev *ev, const struct skf_tmpl_pipe *p, struct skf_tmpl_val v)
{
	if (p->n_vars == 0)
		return 0;
	if (!p->assign)
		return push_var(ev, p->var[0], v);
	find_var(ev, p->var[0])->v = v;
	return 0;
}

/* --- nodes --- */

static int walk(struct skf_tmpl_ev *ev, struct skf_tmpl_val dot, const struct skf_tmpl_node *n);

static int turn(struct skf_tmpl_ev *ev, const struct skf_tmpl_node *n, struct skf_tmpl_val key,
		struct skf_tmpl_val v)
{
	const struct skf_tmpl_pipe *p = n->pipe;
	size_t vars = ev->n_vars;
	struct skf_tmpl_val of[2] = {p->n_vars == 2 ? key : v, v};
	int r = step(ev);

	for (unsigned i = 0; r == 0 && i < p->n_vars; i++) {
		if (p->assign)
			find_var(ev, p->var[i])->v = of[i];
		else
			r = push_var(ev, p->var[i], of[i]);
	}
	if (r == 0)
		r = walk(ev, v, n->body);
	ev->n_vars = vars;
	ev->cont = false;
	return r;
}

static int mkint(struct skf_tmpl_ev *ev, int64_t i, struct skf_tmpl_val *ret)
{
	ret->map = false;
	return skf_tmpl_charge(ev, 64) < 0 ? -1 : skf_tmpl_keep(ev, json_object_new_int64(i), &ret->o);
}

static int range_array(struct skf_tmpl_ev *ev, const struct skf_tmpl_node *n, struct json_object *o)
{
	for (size_t i = 0; i < json_object_array_length(o) && !ev->brk; i++) {
		struct skf_tmpl_val k = {0}, v = {.o = json_object_array_get_idx(o, i)};

		if (n->pipe->n_vars == 2 && mkint(ev, (int64_t)i, &k) < 0)
			return -1;
		if (turn(ev, n, k, v) < 0)
			return -1;
	}
	return 0;
}

static int range_object(struct skf_tmpl_ev *ev, const struct skf_tmpl_node *n, struct json_object *o)
{
	const char **keys;
	size_t count;

	if (skf_tmpl_keys(ev, o, &keys, &count) < 0)
		return -1;
	for (size_t i = 0; i < count && !ev->brk; i++) {
		struct skf_tmpl_val k = {0}, v = {.o = json_object_object_get(o, keys[i])};

		if (n->pipe->n_vars == 2 && skf_tmpl_mkstr(ev, keys[i], strlen(keys[i]), &k) < 0)
			return -1;
		if (turn(ev, n, k, v) < 0)
			return -1;
	}
	return 0;
}

static int range_int(struct skf_tmpl_ev *ev, const struct skf_tmpl_node *n, int64_t count)
{
	if (n->pipe->n_vars == 2)
		return skf_tmpl_fail(ev, &n->pipe->cmds->args->pos,
				     "can't use %lld to iterate over more than one variable",
				     (long long)count);
	for (int64_t i = 0; i < count && !ev->brk; i++) {
		struct skf_tmpl_val v;

		if (mkint(ev, i, &v) < 0 || turn(ev, n, v, v) < 0)
			return -1;
	}
	return 0;
}

static int range(struct skf_tmpl_ev *ev, struct skf_tmpl_val dot, const struct skf_tmpl_node *n)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(4096);
	struct skf_tmpl_val v;
	int r;

	if (eval_pipe(ev, dot, n->pipe, &v) < 0)
		return -1;
	switch (json_object_get_type(v.o)) {
	case json_type_array:
	case json_type_object:
	case json_type_int:
		if (!skf_tmpl_truth(v.o))
			return walk(ev, dot, n->other);
		r = json_object_is_type(v.o, json_type_array) ? range_array(ev, n, v.o)
		    : json_object_is_type(v.o, json_type_object)
			    ? range_object(ev, n, v.o)
			    : range_int(ev, n, json_object_get_int64(v.o));
		ev->brk = false;
		return r;
	case json_type_null:
		return walk(ev, dot, n->other);
	default:
		if (skf_tmpl_print(ev, &b, v.o, "<nil>") < 0)
			return -1;
		return skf_tmpl_fail(ev, &n->pipe->cmds->args->pos, "range can't iterate over %.100s",
				     skf_buf_cstr(&b));
	}
}

static int branch(struct skf_tmpl_ev *ev, struct skf_tmpl_val dot, const struct skf_tmpl_node *n)
{
	size_t vars = ev->n_vars;
	struct skf_tmpl_val v;
	int r;

	if (eval_pipe(ev, dot, n->pipe, &v) < 0 || set_vars(ev, n->pipe, v) < 0)
		return -1;
	if (!skf_tmpl_truth(v.o))
		r = walk(ev, dot, n->other);
	else
		r = walk(ev, n->kind == SKF_TN_WITH ? v : dot, n->body);
	ev->n_vars = vars;
	return r;
}

static int output(struct skf_tmpl_ev *ev, struct skf_tmpl_val dot, const struct skf_tmpl_node *n)
{
	struct skf_tmpl_val v;

	if (eval_pipe(ev, dot, n->pipe, &v) < 0)
		return -1;
	return n->pipe->n_vars ? set_vars(ev, n->pipe, v) : skf_tmpl_print(ev, ev->out, v.o, "<no value>");
}

static int walk(struct skf_tmpl_ev *ev, struct skf_tmpl_val dot, const struct skf_tmpl_node *n)
{
	size_t vars = ev->n_vars;
	int r = 0;

	for (; n && r == 0 && !ev->brk && !ev->cont; n = n->next) {
		r = step(ev);
		if (r < 0)
			break;
		switch (n->kind) {
		case SKF_TN_TEXT:
			r = skf_tmpl_charge(ev, n->pos.src_len);
			if (r == 0)
				skf_buf_put(ev->out, n->pos.src, n->pos.src_len);
			break;
		case SKF_TN_PIPE:
			r = output(ev, dot, n);
			break;
		case SKF_TN_IF:
		case SKF_TN_WITH:
			r = branch(ev, dot, n);
			break;
		case SKF_TN_RANGE:
			r = range(ev, dot, n);
			break;
		case SKF_TN_BREAK:
			ev->brk = true;
			break;
		case SKF_TN_CONTINUE:
			ev->cont = true;
			break;
		}
	}
	ev->n_vars = vars;
	return r;
}

int skf_tmpl_eval(const struct skf_tmpl *t, const struct skf_tmpl_env *env, struct json_object *doc,
		  struct skf_buf *out, struct skf_err *e)
{
	const struct skf_tmpl_val dot = {.o = doc};
	struct skf_tmpl_ev ev = {
		.t = t, .env = env, .root = doc, .a = SKF_ARENA(SKF_MAX_ARENA_DOC), .out = out, .e = e};
	int r = push_var(&ev, "$", dot);

	if (r == 0)
		r = walk(&ev, dot, t->root);
	if (r == 0 && out->err < 0)
		r = skf_fail_sys(e, out->err, "keep what the template makes");
	for (size_t i = 0; i < ev.n_pool; i++)
		json_object_put(ev.pool[i]);
	free(ev.pool);
	free(ev.vars);
	skf_arena_done(&ev.a);
	return r;
}
