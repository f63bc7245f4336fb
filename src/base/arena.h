/* base/arena.h -- memory of one document or one request: allocated in pieces, freed as a whole, hard cap.
 * Pointers into an arena never outlive it and never enter a long-lived struct without a copy. */
#pragma once
#include "base/fwd.h"

struct skf_arena {
	struct skf_arena_chunk *head;
	size_t used, max;
	void (*fin[8])(void *); /* finalizers of foreign objects (json-c trees), run by done */
	void *fin_arg[8];
	unsigned n_fin;
	struct skf_arena_strv { /* private to skf_strv_add: spare room of the vectors it grew last */
		char **v;
		size_t n, cap;
	} grown[4];
	unsigned grown_next;
};
#define SKF_ARENA(maximum)                                                                                  \
	{                                                                                                   \
		.max = (maximum)                                                                            \
	}

void skf_arena_done(struct skf_arena *a);
/* Zeroed, aligned to 16; NULL when memory or the cap is used up. */
void *skf_arena_alloc(struct skf_arena *a, size_t n);
void *skf_arena_array(struct skf_arena *a, size_t n, size_t size); /* checked n*size */
char *skf_arena_dup(struct skf_arena *a, const char *s, size_t n); /* adds NUL */
char *skf_arena_strdup(struct skf_arena *a, const char *s);
char *skf_arena_fmt(struct skf_arena *a, const char *fmt, ...) SKF_PRINTF(2, 3);
/* Appends a copy of s (v is re-allocated in the arena by doubling); 0 or -ENOMEM. v[n] stays NULL. Of two
 * copies of one struct skf_strv only one may be added to. */
int skf_strv_add(struct skf_arena *a, struct skf_strv *v, const char *s);
/* Runs fn(arg) when the arena is done, last first. 0 or -ENOSPC. */
int skf_arena_on_done(struct skf_arena *a, void (*fn)(void *), void *arg);
