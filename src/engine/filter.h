/* engine/filter.h -- docker's --filter words: NAME=VALUE, several of one name are alternatives, different
 * names must all hold. Values are matched exactly or, where docker does, as an unanchored regular
 * expression. */
#pragma once
#include "base/arena.h"
#include "engine/engine.h"
#include <regex.h>

struct skf_filter {
	char *name;
	struct skf_strv v;
	regex_t *re; /* one per value; only those of re_ok are compiled */
	bool *re_ok;
	size_t re_n;
};
struct skf_filters {
	struct skf_filter f[SKF_MAX_FILTERS];
	size_t n;
};
/* known ends with NULL. INVALID in docker's words: "invalid filter 'x'". On failure and success
 * skf_filters_done frees what was compiled; strings live in the arena. */
int skf_filters_parse(const struct skf_strv *words, const char *const *known, struct skf_arena *a,
		      struct skf_filters *ret, struct skf_err *e);
void skf_filters_done(struct skf_filters *f);
const struct skf_filter *skf_filters_get(const struct skf_filters *f,
					 const char *name); /* NULL: not given */
/* True when the filter was not given. */
bool skf_filters_exact(const struct skf_filters *f, const char *name, const char *text);
bool skf_filters_match(const struct skf_filters *f, const char *name, const char *text);
/* label=K or label=K=V: all of them. */
bool skf_filters_labels(const struct skf_filters *f, const struct skf_kvs *labels);
/* until=RFC 3339; 0: not given. */
int skf_filters_until(const struct skf_filters *f, int64_t *ret, struct skf_err *e);
/* Whether label=, label!= and until leave it to a prune. */
bool skf_filters_prune(const struct skf_filters *f, const struct skf_kvs *labels, int64_t created_ns,
		       int64_t until);
/* INVALID "invalid filter 'name=value'". */
int skf_filters_invalid(const char *name, const char *value, struct skf_err *e);
/* A value that is true/1 or false/0; otherwise INVALID. *ret: -1 not given, 0, 1. */
int skf_filters_bool(const struct skf_filters *f, const char *name, int *ret, struct skf_err *e);
