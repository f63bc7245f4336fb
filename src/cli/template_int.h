/* cli/template_int.h -- the tree of a template, and what its evaluation shares with its functions.
 *
 * Invariants:
 *  1. The tree is read-only after skf_tmpl_parse; source texts point into the copy that the arena holds.
 *  2. A value is a json-c object (NULL: null) that lives until the evaluation ends: part of the document or
 * in the evaluation's pool. No value is changed.
 *  3. Each loop turn and each node costs a step, each byte made costs budget: evaluation always ends. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/limits.h"
#include "cli/template.h"
#include <json-c/json.h>

struct skf_tmpl_pos {
	unsigned line, col; /* col counts bytes from 0, as Go's do */
	const char *src;    /* source of the piece */
	size_t src_len;
};
enum skf_tmpl_arg_kind {
	SKF_TA_DOT,
	SKF_TA_FIELD, /* chain from the dot */
	SKF_TA_VAR,
	SKF_TA_FUNC,
	SKF_TA_LITERAL,
	SKF_TA_NIL,
	SKF_TA_PAREN
};
struct skf_tmpl_pipe;
struct skf_tmpl_fn;
struct skf_tmpl_arg {
	enum skf_tmpl_arg_kind kind;
	struct skf_tmpl_pos pos;
	const char *name; /* variable with its $ */
	const struct skf_tmpl_fn *fn;
	struct json_object *literal; /* owned by the template's arena */
	struct skf_tmpl_pipe *sub;
	const char **chain;
	size_t n_chain;
	struct skf_tmpl_arg *next;
};
struct skf_tmpl_cmd {
	struct skf_tmpl_arg *args;
	size_t n;
	struct skf_tmpl_pos pos;
	struct skf_tmpl_cmd *next;
};
struct skf_tmpl_pipe {
	const char *var[2];
	unsigned n_vars;
	bool assign; /* "=", not ":=" */
	struct skf_tmpl_pos pos;
	struct skf_tmpl_cmd *cmds;
};
enum skf_tmpl_node_kind {
	SKF_TN_TEXT,
	SKF_TN_PIPE,
	SKF_TN_IF,
	SKF_TN_WITH,
	SKF_TN_RANGE,
	SKF_TN_BREAK,
	SKF_TN_CONTINUE
};
struct skf_tmpl_node {
	enum skf_tmpl_node_kind kind;
	struct skf_tmpl_pos pos; /* TEXT: src is the text */
	struct skf_tmpl_pipe *pipe;
	struct skf_tmpl_node *body, *other, *next;
};
struct skf_tmpl {
	struct skf_tmpl_node *root;
	const char **fields; /* every field name that occurs */
	size_t n_fields, cap_fields;
	struct json_object **literals;
	size_t n_literals, cap_literals;
};

/* --- template_lex.c --- */
enum skf_tmpl_tok {
	SKF_TT_END, /* of the action */
	SKF_TT_IDENT,
	SKF_TT_FIELD, /* text without the dot */
	SKF_TT_DOT,
	SKF_TT_VAR,
	SKF_TT_STRING,
	SKF_TT_INT,
	SKF_TT_FLOAT,
	SKF_TT_OPEN,
	SKF_TT_CLOSE,
	SKF_TT_PIPE,
	SKF_TT_COMMA,
	SKF_TT_DECLARE,
	SKF_TT_ASSIGN
};
struct skf_tmpl_lex {
	const char *text, *p, *line_start;
	unsigned line;
	struct skf_arena *a;
	struct skf_err *e;
	/* the current token */
	enum skf_tmpl_tok tok;
	bool space; /* before it */
	const char *at;
	unsigned tok_line, tok_col;
	const char *word; /* identifier, field, variable; string with its escapes undone */
	size_t word_len;
	int64_t num;
	double real;
	bool trim; /* the action ended with "-}}" */
};
/* Reads the next token inside an action. 0 or -1. */
int skf_tmpl_next(struct skf_tmpl_lex *l);
/* INVALID at the current token. */
int skf_tmpl_syntax(struct skf_tmpl_lex *l, const char *fmt, ...) SKF_PRINTF(2, 3);

/* --- template_eval.c --- */
struct skf_tmpl_val {
	struct json_object *o;
	bool map; /* members may be missing */
};
struct skf_tmpl_var {
	const char *name;
	struct skf_tmpl_val v;
};
struct skf_tmpl_ev {
	const struct skf_tmpl *t;
	const struct skf_tmpl_env *env;
	struct json_object *root;
	struct skf_arena a; /* scratch */
	struct skf_buf *out;
	struct skf_err *e;
	struct json_object **pool;
	size_t n_pool, cap_pool, made, steps;
	struct skf_tmpl_var *vars;
	size_t n_vars, cap_vars;
	bool brk, cont;
};
int skf_tmpl_fail(struct skf_tmpl_ev *ev, const struct skf_tmpl_pos *pos, const char *fmt, ...)
	SKF_PRINTF(3, 4);
/* Takes a fresh object into the pool; NULL (no memory) fails. */
int skf_tmpl_keep(struct skf_tmpl_ev *ev, struct json_object *o, struct json_object **ret);
/* Counts n bytes about to be made. LIMIT. */
int skf_tmpl_charge(struct skf_tmpl_ev *ev, size_t n);
int skf_tmpl_mkstr(struct skf_tmpl_ev *ev, const char *p, size_t n, struct skf_tmpl_val *ret);
bool skf_tmpl_truth(struct json_object *o);
const char *skf_tmpl_type(struct json_object *o); /* Go's word */
/* Keys of an object in Go's order (by bytes); arena memory. */
int skf_tmpl_keys(struct skf_tmpl_ev *ev, struct json_object *o, const char ***ret, size_t *ret_n);
/* The member `name` of v, as `.name`. */
int skf_tmpl_member(struct skf_tmpl_ev *ev, const struct skf_tmpl_pos *pos, struct skf_tmpl_val v,
		    const char *name, struct skf_tmpl_val *ret);

/* --- template_funcs.c --- */
struct skf_tmpl_call {
	struct skf_tmpl_ev *ev;
	const struct skf_tmpl_cmd *cmd;
	const struct skf_tmpl_fn *fn;
	const struct skf_tmpl_arg *const *arg; /* NULL where the value came down the pipeline */
	const struct skf_tmpl_val *v;
	size_t n;
};
struct skf_tmpl_fn {
	const char *name;
	unsigned min, max; /* max ~0u: any number */
	bool docker;       /* counts as "want exactly" in errors; header mode passes the first argument on */
	int (*fn)(const struct skf_tmpl_call *c, struct skf_tmpl_val *ret);
};
const struct skf_tmpl_fn *skf_tmpl_find_fn(const char *name, size_t n);
enum skf_tmpl_logic { SKF_TL_NONE, SKF_TL_AND, SKF_TL_OR };
/* and, or: evaluated by template_eval.c, because they stop early. */
enum skf_tmpl_logic skf_tmpl_fn_logic(const struct skf_tmpl_fn *fn);
/* Checks the number of arguments, then calls. */
int skf_tmpl_call_fn(const struct skf_tmpl_call *c, struct skf_tmpl_val *ret);

/* --- template_print.c --- */
/* Appends v as Go's %v does; null is `null`. Charged. */
int skf_tmpl_print(struct skf_tmpl_ev *ev, struct skf_buf *b, struct json_object *v, const char *null);
/* Go's printf. */
int skf_tmpl_printf(const struct skf_tmpl_call *c, struct skf_tmpl_val *ret);
