/* base/toml.h -- the part of TOML 1.0 that configuration files of containers are written in: tables, arrays
 * of tables, strings of one line, booleans, integers, arrays of strings. Everything else (dates, floats,
 * inline tables, strings of several lines) is refused by line, never skipped. No I/O. */
#pragma once
#include "base/arena.h"
#include "base/fwd.h"

enum skf_toml_type { SKF_TOML_TABLE, SKF_TOML_STR, SKF_TOML_BOOL, SKF_TOML_INT, SKF_TOML_STRV };
struct skf_toml {
	const char *name; /* of the file, for messages */
	unsigned line;
	const char *table; /* "registry.mirror"; "" at the top */
	bool element;      /* TABLE: one more element of an array of tables ([[x]]) */
	const char *key;   /* "" of a TABLE */
	enum skf_toml_type type;
	const char *str; /* arena memory, as strv */
	bool b;
	int64_t i;
	struct skf_strv strv;
};
/* Calls fn for each header and each key, in order; -1 of fn ends it. A key that a table has twice and a
 * table that is there twice are refused. INVALID "NAME:LINE: ...", LIMIT, ENOMEM. */
int skf_toml_parse(const char *name, const char *text, size_t n, struct skf_arena *a,
		   int (*fn)(void *arg, const struct skf_toml *t, struct skf_err *e), void *arg,
		   struct skf_err *e);
/* INVALID "NAME:LINE: ...", for fn. -1. */
int skf_toml_fail(const struct skf_toml *t, struct skf_err *e, const char *what, const char *word);
