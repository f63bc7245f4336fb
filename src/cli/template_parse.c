/* cli/template_parse.c -- from the text of a template to its tree: recursive descent, as deep as
 * SKF_MAX_TEMPLATE_DEPTH. Variables are resolved by name here, so that an unknown one is an error before
 * anything is printed. Pure. */
#include "cli/template_int.h"
#include <stdio.h>
#include <string.h>

#define MAX_VARS 64

struct parse {
	struct skf_tmpl_lex l;
	struct skf_tmpl *t;
	unsigned depth, loops;
	size_t nodes;
	const char *vars[MAX_VARS];
	unsigned n_vars;
	bool trim_left; /* the text that follows loses its leading white space */
	/* what ended a list */
	enum { END_TEXT, END_END, END_ELSE } end;
	struct skf_tmpl_pos end_pos;
};

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static int next(struct parse *p)
{
	return skf_tmpl_next(&p->l);
}

static void *node_alloc(struct parse *p, size_t size)
{
	void *v = NULL;

	if (++p->nodes > SKF_MAX_TEMPLATE_NODES)
		skf_fail(p->l.e, SKF_ELIMIT, "template: :%u:%u: more than %d pieces", p->l.tok_line,
			 p->l.tok_col, SKF_MAX_TEMPLATE_NODES);
	else if (!(v = skf_arena_alloc(p->l.a, size)))
		skf_fail(p->l.e, SKF_ENOMEM, "memory for the template");
	return v;
}

static int too_deep(struct parse *p)
{
	return skf_fail(p->l.e, SKF_ELIMIT, "template: :%u:%u: nested deeper than %d", p->l.tok_line,
			p->l.tok_col, SKF_MAX_TEMPLATE_DEPTH);
}

static int deeper(struct parse *p)
{
	return p->depth++ < SKF_MAX_TEMPLATE_DEPTH ? 0 : too_deep(p);
}

static void pos_start(const struct parse *p, struct skf_tmpl_pos *pos)
{
	pos->line = p->l.tok_line;
	pos->col = p->l.tok_col;
	pos->src = p->l.at;
}

/* Up to the current token, without the white space before it. */
static void pos_end(const struct parse *p, struct skf_tmpl_pos *pos)
{
	const char *end = p->l.at;

	while (end > pos->src && is_space(end[-1]))
		end--;
	pos->src_len = (size_t)(end - pos->src);
}

static int grow(struct parse *p, void *v, size_t n, size_t *cap)
{
	void **list = v, **more;
	size_t want = *cap ? *cap * 2 : 16;

	if (n < *cap)
		return 0;
	more = skf_arena_array(p->l.a, want, sizeof(*more));
	if (!more)
		return skf_fail(p->l.e, SKF_ENOMEM, "memory for the template");
	if (n)
		memcpy(more, *list, n * sizeof(*more));
	*list = more;
	*cap = want;
	return 0;
}

static int note_field(struct parse *p, const char *name)
{
	struct skf_tmpl *t = p->t;

	if (grow(p, &t->fields, t->n_fields, &t->cap_fields) < 0)
		return -1;
	t->fields[t->n_fields++] = name;
	return 0;
}

/* --- operands --- */

static int parse_pipe(struct parse *p, const char *context, unsigned max_vars, struct skf_tmpl_pipe **ret);

static int set_literal(struct parse *p, struct skf_tmpl_arg *arg, struct json_object *o)
{
	struct skf_tmpl *t = p->t;

	if (!o)
		return skf_fail(p->l.e, SKF_ENOMEM, "memory for the template");
	if (grow(p, &t->literals, t->n_literals, &t->cap_literals) < 0) {
		json_object_put(o);
		return -1;
	}
	t->literals[t->n_literals++] = o;
	arg->kind = SKF_TA_LITERAL;
	arg->literal = o;
	return 0;
}

static int identifier(struct parse *p, struct skf_tmpl_arg *arg)
{
	const char *w = p->l.word;

	if (skf_streq(w, "true") || skf_streq(w, "false"))
		return set_literal(p, arg, json_object_new_boolean(w[0] == 't'));
	if (skf_streq(w, "nil")) {
		arg->kind = SKF_TA_NIL;
		return 0;
	}
	arg->kind = SKF_TA_FUNC;
	arg->fn = skf_tmpl_find_fn(w, p->l.word_len);
	if (arg->fn)
		return 0;
	return skf_tmpl_syntax(&p->l, "function \"%s\" not defined", w);
}

static int variable(struct parse *p, struct skf_tmpl_arg *arg)
{
	arg->kind = SKF_TA_VAR;
	arg->name = p->l.word;
	for (unsigned i = p->n_vars; i-- > 0;)
		if (skf_streq(p->vars[i], p->l.word))
			return 0;
	return skf_tmpl_syntax(&p->l, "undefined variable \"%s\"", p->l.word);
}

static int paren(struct parse *p, struct skf_tmpl_arg *arg)
{
	arg->kind = SKF_TA_PAREN;
	if (deeper(p) < 0 || next(p) < 0 || parse_pipe(p, "parenthesized pipeline", 0, &arg->sub) < 0)
		return -1;
	p->depth--;
	if (p->l.tok != SKF_TT_CLOSE)
		return skf_tmpl_syntax(&p->l, "unclosed left paren");
	return 0;
}

/* The term at the current token; leaves that token current. */
static int term(struct parse *p, struct skf_tmpl_arg *arg, bool *ret_chain)
{
	struct skf_tmpl_lex *l = &p->l;

	*ret_chain = false;
	switch (l->tok) {
	case SKF_TT_IDENT:
		return identifier(p, arg);
	case SKF_TT_DOT:
		arg->kind = SKF_TA_DOT;
		return 0;
	case SKF_TT_FIELD:
		arg->kind = SKF_TA_FIELD;
		*ret_chain = true;
		return 0;
	case SKF_TT_VAR:
		*ret_chain = true;
		return variable(p, arg);
	case SKF_TT_STRING:
		return set_literal(p, arg, json_object_new_string_len(l->word, (int)l->word_len));
	case SKF_TT_INT:
		return set_literal(p, arg, json_object_new_int64(l->num));
	case SKF_TT_FLOAT:
		return set_literal(p, arg, json_object_new_double(l->real));
	case SKF_TT_OPEN:
		*ret_chain = true;
		return paren(p, arg);
	default:
		return skf_tmpl_syntax(l, "unexpected <%.*s> in operand", (int)(l->p - l->at), l->at);
	}
}

/* .A.B behind a term: fields that follow without a space. The current token is the first of them. */
static int chain(struct parse *p, struct skf_tmpl_arg *arg, bool first)
{
	size_t cap = 0;
	unsigned links = 0;

	while (p->l.tok == SKF_TT_FIELD && (first || !p->l.space)) {
		if (++links > SKF_MAX_TEMPLATE_DEPTH)
			return too_deep(p);
		/* Go names the second field as the place of a chain. */
		if (links == (first || arg->kind == SKF_TA_FIELD ? 2 : 1)) {
			arg->pos.line = p->l.tok_line;
			arg->pos.col = p->l.tok_col;
		}
		if (grow(p, &arg->chain, arg->n_chain, &cap) < 0 || note_field(p, p->l.word) < 0)
			return -1;
		arg->chain[arg->n_chain++] = p->l.word;
		first = false;
		if (next(p) < 0)
			return -1;
	}
	return 0;
}

static int operand(struct parse *p, struct skf_tmpl_arg **ret)
{
	struct skf_tmpl_arg *arg = node_alloc(p, sizeof(*arg));
	bool chains, is_field = p->l.tok == SKF_TT_FIELD;

	if (!arg)
		return -1;
	pos_start(p, &arg->pos);
	if (term(p, arg, &chains) < 0)
		return -1;
	if (!is_field && next(p) < 0)
		return -1;
	if (chains && chain(p, arg, is_field) < 0)
		return -1;
	pos_end(p, &arg->pos);
	if ((p->l.tok == SKF_TT_FIELD || p->l.tok == SKF_TT_DOT) && !p->l.space) {
		if (chains)
			return skf_tmpl_syntax(&p->l, "unexpected <.> in operand");
		return skf_tmpl_syntax(&p->l, "unexpected . after term \"%.*s\"", (int)arg->pos.src_len,
				       arg->pos.src);
	}
	*ret = arg;
	return 0;
}

/* --- pipelines --- */

static bool ends_command(enum skf_tmpl_tok t)
{
	return t == SKF_TT_END || t == SKF_TT_PIPE || t == SKF_TT_CLOSE;
}

static int parse_command(struct parse *p, struct skf_tmpl_cmd **ret)
{
	struct skf_tmpl_cmd *c = node_alloc(p, sizeof(*c));
	struct skf_tmpl_arg **tail;

	if (!c)
		return -1;
	pos_start(p, &c->pos);
	tail = &c->args;
	while (!ends_command(p->l.tok)) {
		if (c->n && !p->l.space)
			return skf_tmpl_syntax(&p->l, "unexpected <%.*s> in operand",
					       (int)(p->l.p - p->l.at), p->l.at);
		if (operand(p, tail) < 0)
			return -1;
		tail = &(*tail)->next;
		c->n++;
	}
	pos_end(p, &c->pos);
	*ret = c;
	return 0;
}

static int declare(struct parse *p, struct skf_tmpl_pipe *pipe)
{
	for (unsigned i = 0; i < pipe->n_vars; i++) {
		if (p->n_vars == MAX_VARS)
			return skf_fail(p->l.e, SKF_ELIMIT, "template: :%u:%u: more than %d variables",
					p->l.tok_line, p->l.tok_col, MAX_VARS);
		p->vars[p->n_vars++] = pipe->var[i];
	}
	return 0;
}

/* $x := and $x, $y := (the latter only for range), $x =. A variable without them is an operand: the lexer is
 * put back. */
static int declarations(struct parse *p, const char *context, unsigned max_vars, struct skf_tmpl_pipe *pipe)
{
	struct skf_tmpl_lex before = p->l;
	unsigned n = 0;
	struct skf_tmpl_arg unused = {0};

	while (p->l.tok == SKF_TT_VAR) {
		if (n < 2)
			pipe->var[n] = p->l.word;
		n++;
		if (next(p) < 0)
			return -1;
		if (p->l.tok != SKF_TT_COMMA)
			break;
		if (n >= max_vars)
			return skf_tmpl_syntax(&p->l, "too many declarations in %s", context);
		if (next(p) < 0)
			return -1;
	}
	if (n == 0 || (p->l.tok != SKF_TT_DECLARE && p->l.tok != SKF_TT_ASSIGN)) {
		p->l = before;
		return 0;
	}
	if (n > max_vars)
		return skf_tmpl_syntax(&p->l, "too many declarations in %s", context);
	pipe->n_vars = n;
	pipe->assign = p->l.tok == SKF_TT_ASSIGN;
	if (pipe->assign) {
		struct skf_tmpl_lex after = p->l;

		p->l = before;
		for (unsigned i = 0; i < n; i++) {
			p->l.word = pipe->var[i];
			if (variable(p, &unused) < 0)
				return -1;
		}
		p->l = after;
	}
	return next(p);
}

static int parse_pipe(struct parse *p, const char *context, unsigned max_vars, struct skf_tmpl_pipe **ret)
{
	struct skf_tmpl_pipe *pipe = node_alloc(p, sizeof(*pipe));
	struct skf_tmpl_cmd **tail;
	unsigned stage = 0;

	if (!pipe)
		return -1;
	pos_start(p, &pipe->pos);
	tail = &pipe->cmds;
	if (max_vars && declarations(p, context, max_vars, pipe) < 0)
		return -1;
	for (;;) {
		if (ends_command(p->l.tok)) {
			if (p->l.tok == SKF_TT_PIPE)
				return skf_tmpl_syntax(&p->l, "unexpected \"|\" in %s", context);
			if (p->l.tok == SKF_TT_CLOSE &&
			    skf_streq(context, "parenthesized pipeline") == false)
				return skf_tmpl_syntax(&p->l, "unexpected right paren");
			if (!stage)
				return skf_tmpl_syntax(&p->l, "missing value for %s", context);
			break;
		}
		if (parse_command(p, tail) < 0)
			return -1;
		if (stage++ && ((*tail)->args->kind == SKF_TA_LITERAL || (*tail)->args->kind == SKF_TA_NIL ||
				(*tail)->args->kind == SKF_TA_DOT))
			return skf_tmpl_syntax(&p->l, "non executable command in pipeline stage %u", stage);
		tail = &(*tail)->next;
		if (p->l.tok == SKF_TT_PIPE && next(p) < 0)
			return -1;
	}
	pos_end(p, &pipe->pos);
	*ret = pipe;
	return pipe->assign ? 0 : declare(p, pipe);
}

/* --- lists of nodes --- */

static int parse_list(struct parse *p, struct skf_tmpl_node **ret);

static int action_end(struct parse *p, const char *context)
{
	if (p->l.tok == SKF_TT_CLOSE)
		return skf_tmpl_syntax(&p->l, "unexpected right paren");
	if (p->l.tok != SKF_TT_END)
		return skf_tmpl_syntax(&p->l, "unexpected <%.*s> in %s", (int)(p->l.p - p->l.at), p->l.at,
				       context);
	p->trim_left = p->l.trim;
	p->l.trim = false;
	return 0;
}

static int control(struct parse *p, struct skf_tmpl_node *n, const char *word);

/* Behind {{else: "}}", or "if ..." / "with ...", which is a node of its own that shares the {{end}}. */
static int else_part(struct parse *p, struct skf_tmpl_node *n)
{
	const char *word;

	if (next(p) < 0)
		return -1;
	if (p->l.tok == SKF_TT_IDENT && ((n->kind == SKF_TN_IF && skf_streq(p->l.word, "if")) ||
					 (n->kind == SKF_TN_WITH && skf_streq(p->l.word, "with")))) {
		word = p->l.word;
		n->other = node_alloc(p, sizeof(*n->other));
		if (!n->other)
			return -1;
		n->other->kind = n->kind;
		pos_start(p, &n->other->pos);
		return next(p) < 0 || control(p, n->other, word) < 0 ? -1 : 0;
	}
	if (action_end(p, "else") < 0 || parse_list(p, &n->other) < 0)
		return -1;
	if (p->end == END_ELSE)
		return skf_fail(p->l.e, SKF_EINVALID, "template: :%u:%u: expected end; found {{else}}",
				p->end_pos.line, p->end_pos.col);
	return 0;
}

static int control(struct parse *p, struct skf_tmpl_node *n, const char *word)
{
	unsigned vars = p->n_vars;

	if (deeper(p) < 0 || parse_pipe(p, word, n->kind == SKF_TN_RANGE ? 2 : 1, &n->pipe) < 0 ||
	    action_end(p, word) < 0)
		return -1;
	p->loops += n->kind == SKF_TN_RANGE;
	if (parse_list(p, &n->body) < 0)
		return -1;
	p->loops -= n->kind == SKF_TN_RANGE;
	if (p->end == END_ELSE && else_part(p, n) < 0)
		return -1;
	if (p->end == END_TEXT)
		return skf_fail(p->l.e, SKF_EINVALID,
				"template: :%u:%u: unexpected EOF: {{%s}} has no {{end}}", n->pos.line,
				n->pos.col, word);
	p->depth--;
	p->n_vars = vars;
	return 0;
}

/* Words that begin an action. 1: the list ends here. */
static int keyword(struct parse *p, struct skf_tmpl_node *n, bool *ret_known)
{
	static const struct {
		const char *word;
		enum skf_tmpl_node_kind kind;
	} words[] = {{"if", SKF_TN_IF},
		     {"with", SKF_TN_WITH},
		     {"range", SKF_TN_RANGE},
		     {"break", SKF_TN_BREAK},
		     {"continue", SKF_TN_CONTINUE}};
	const char *w = p->l.word;

	*ret_known = true;
	for (size_t i = 0; i < SKF_ARRAY_LEN(words); i++) {
		if (!skf_streq(w, words[i].word))
			continue;
		n->kind = words[i].kind;
		if (n->kind != SKF_TN_BREAK && n->kind != SKF_TN_CONTINUE)
			return next(p) < 0 ? -1 : control(p, n, words[i].word);
		if (!p->loops)
			return skf_tmpl_syntax(&p->l, "{{%s}} outside {{range}}", w);
		return next(p) < 0 ? -1 : action_end(p, w);
	}
	if (skf_streq(w, "end") || skf_streq(w, "else")) {
		p->end = w[1] == 'n' ? END_END : END_ELSE;
		pos_start(p, &p->end_pos);
		if (p->end == END_END && (next(p) < 0 || action_end(p, w) < 0))
			return -1;
		return 1;
	}
	if (skf_streq(w, "define") || skf_streq(w, "template") || skf_streq(w, "block"))
		return skf_tmpl_syntax(&p->l, "{{%s}} is not supported", w);
	*ret_known = false;
	return 0;
}

/* The text before the next "{{", without white space at trimmed ends. 0 or -1; *ret NULL: nothing left. */
static int text_node(struct parse *p, const char *end, struct skf_tmpl_node **ret)
{
	const char *s = p->l.p, *e = end;

	for (const char *q = s; q < end; q++)
		if (*q == '\n') {
			p->l.line++;
			p->l.line_start = q + 1;
		}
	while (p->trim_left && s < e && is_space(*s))
		s++;
	if (end[0] && end[2] == '-' && is_space(end[3]))
		while (e > s && is_space(e[-1]))
			e--;
	p->trim_left = false;
	p->l.p = end;
	*ret = NULL;
	if (s == e)
		return 0;
	*ret = node_alloc(p, sizeof(**ret));
	if (!*ret)
		return -1;
	(*ret)->kind = SKF_TN_TEXT;
	(*ret)->pos.src = s;
	(*ret)->pos.src_len = (size_t)(e - s);
	return 0;
}

/* Behind "{{" and its trim mark. 1: it was a comment. */
static int comment(struct parse *p)
{
	const char *end;
	size_t n;

	if (p->l.p[0] != '/' || p->l.p[1] != '*')
		return 0;
	end = strstr(p->l.p + 2, "*/");
	if (!end)
		return skf_fail(p->l.e, SKF_EINVALID, "template: :%u:%u: unclosed comment", p->l.line,
				(unsigned)(p->l.p - p->l.line_start));
	for (const char *q = p->l.p; q < end; q++)
		if (*q == '\n') {
			p->l.line++;
			p->l.line_start = q + 1;
		}
	end += 2;
	n = is_space(end[0]) && end[1] == '-' ? 2 : 0;
	if (end[n] != '}' || end[n + 1] != '}')
		return skf_fail(p->l.e, SKF_EINVALID,
				"template: :%u:%u: comment ends before closing delimiter", p->l.line,
				(unsigned)(end - p->l.line_start));
	p->trim_left = n != 0;
	p->l.p = end + n + 2;
	return 1;
}

static int action(struct parse *p, struct skf_tmpl_node **ret, bool *ret_end)
{
	struct skf_tmpl_node *n;
	bool known = false;
	int r;

	p->l.p += 2;
	if (p->l.p[0] == '-' && is_space(p->l.p[1])) {
		p->l.p += 2;
		if (p->l.p[-1] == '\n') {
			p->l.line++;
			p->l.line_start = p->l.p;
		}
	}
	r = comment(p);
	if (r != 0)
		return r < 0 ? -1 : 0;
	n = node_alloc(p, sizeof(*n));
	if (!n || next(p) < 0)
		return -1;
	pos_start(p, &n->pos);
	if (p->l.tok == SKF_TT_IDENT) {
		r = keyword(p, n, &known);
		if (r < 0)
			return -1;
		*ret_end = r == 1;
	}
	if (!known) {
		n->kind = SKF_TN_PIPE;
		if (parse_pipe(p, "command", 1, &n->pipe) < 0 || action_end(p, "command") < 0)
			return -1;
	}
	if (!*ret_end)
		*ret = n;
	return 0;
}

/* Until {{end}}, {{else or the end of the text: p->end. */
static int parse_list(struct parse *p, struct skf_tmpl_node **ret)
{
	struct skf_tmpl_node **tail = ret;
	unsigned vars = p->n_vars;
	bool end = false;

	while (!end) {
		const char *open = strstr(p->l.p, "{{");

		if (text_node(p, open ? open : p->l.p + strlen(p->l.p), tail) < 0)
			return -1;
		if (*tail)
			tail = &(*tail)->next;
		if (!open) {
			p->end = END_TEXT;
			break;
		}
		if (action(p, tail, &end) < 0)
			return -1;
		if (*tail)
			tail = &(*tail)->next;
	}
	p->n_vars = vars;
	return 0;
}

static void free_literals(void *arg)
{
	struct skf_tmpl *t = arg;

	for (size_t i = 0; i < t->n_literals; i++)
		json_object_put(t->literals[i]);
	t->n_literals = 0;
}

int skf_tmpl_parse(const char *text, struct skf_arena *a, struct skf_tmpl **ret, struct skf_err *e)
{
	struct skf_tmpl *t = skf_arena_alloc(a, sizeof(*t));
	char *copy = NULL;
	struct parse p = {.t = t, .vars = {"$"}, .n_vars = 1};

	if (strlen(text) > SKF_MAX_TEMPLATE_BYTES)
		return skf_fail(e, SKF_ELIMIT, "the template is longer than %d bytes",
				SKF_MAX_TEMPLATE_BYTES);
	if (t)
		copy = skf_arena_strdup(a, text);
	if (!copy || skf_arena_on_done(a, free_literals, t) < 0)
		return skf_fail(e, SKF_ENOMEM, "memory for the template");
	p.l = (struct skf_tmpl_lex){
		.text = copy, .p = copy, .at = copy, .line_start = copy, .line = 1, .a = a, .e = e};
	if (parse_list(&p, &t->root) < 0)
		return -1;
	if (p.end != END_TEXT)
		return skf_fail(e, SKF_EINVALID, "template: :%u:%u: unexpected {{%s}}", p.end_pos.line,
				p.end_pos.col, p.end == END_END ? "end" : "else");
	*ret = t;
	return 0;
}

bool skf_tmpl_uses(const struct skf_tmpl *t, const char *field)
{
	for (size_t i = 0; i < t->n_fields; i++)
		if (skf_streq(t->fields[i], field))
			return true;
	return false;
}
