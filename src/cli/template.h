/* cli/template.h -- the part of Go's text/template that people give to --format.
 *
 * Fields (.A.B), variables, index, slice, len, range with break and continue, if, with, else if, and, or,
 * not, eq ne lt le gt ge, print, printf, println, and docker's join, split, upper, lower, title, json, pad
 * and truncate; pipelines, parentheses, literals, comments, white space trimming. Anything else is refused
 * by its name and place. Pure: nothing here blocks, prints or looks at the host. Limits: SKF_MAX_TEMPLATE_*.
 */
#pragma once
#include "base/fwd.h"

struct json_object;
struct skf_tmpl;

/* A field that Go's structs call otherwise than their JSON. */
struct skf_tmpl_alias {
	const char *field, *key;
};
/* `.Name "word"`; returns a new reference, or NULL without memory. */
struct skf_tmpl_method {
	const char *name;
	struct json_object *(*fn)(const void *ctx, const char *word);
	const void *ctx;
};
struct skf_tmpl_env {
	const char *const *maps;            /* keys of objects whose members a user chose; ends with NULL */
	const struct skf_tmpl_alias *alias; /* ends with a NULL field */
	const struct skf_tmpl_method *method; /* of the document itself; NULL: none */
	bool missing_ok;                      /* a member that is not there is "<no value>" everywhere */
	bool header;      /* docker's table heads: json, upper, lower, title, truncate pass on */
	const char *type; /* of the document, in errors; NULL: a map */
};

/* Parses text into the arena. INVALID "template: :LINE:COLUMN: <docker's words>", LIMIT. */
int skf_tmpl_parse(const char *text, struct skf_arena *a, struct skf_tmpl **ret, struct skf_err *e);
/* Appends what the template makes of the document (borrowed; NULL is null). INVALID in docker's words with
 * the place, LIMIT when it works too long or writes too much. */
int skf_tmpl_eval(const struct skf_tmpl *t, const struct skf_tmpl_env *env, struct json_object *doc,
		  struct skf_buf *out, struct skf_err *e);
/* Does any field of this name occur? Tells whether something costly has to be found out. */
bool skf_tmpl_uses(const struct skf_tmpl *t, const char *field);
