/* base/arena.c -- memory of one document or request, in chunks that are freed together.
 * Invariants: (1) what alloc returns is zeroed, aligned to 16 and stays valid until done; (2) `used` counts
 * the rounded sizes handed out and never passes max; (3) head is the chunk that small pieces come from, a
 * big piece has a chunk of its own behind it. */
#include "base/arena.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CHUNK 4096
#define LAST_CHUNK  (256u << 10)
#define ALIGN       16

struct skf_arena_chunk {
	_Alignas(ALIGN) struct skf_arena_chunk *next;
	size_t size, used; /* of data */
	_Alignas(ALIGN) char data[];
};

void skf_arena_done(struct skf_arena *a)
{
	struct skf_arena_chunk *c, *next;

	while (a->n_fin > 0) {
		a->n_fin--;
		a->fin[a->n_fin](a->fin_arg[a->n_fin]);
	}
	for (c = a->head; c; c = next) {
		next = c->next;
		free(c);
	}
	*a = (struct skf_arena)SKF_ARENA(a->max);
}

static struct skf_arena_chunk *new_chunk(size_t size)
{
	struct skf_arena_chunk *c;

	if (size > SIZE_MAX - sizeof(*c))
		return NULL;
	c = calloc(1, sizeof(*c) + size);
	if (c)
		c->size = size;
	return c;
}

static void *big_piece(struct skf_arena *a, size_t n)
{
	struct skf_arena_chunk *c = new_chunk(n);

	if (!c)
		return NULL;
	c->used = n;
	if (a->head) {
		c->next = a->head->next;
		a->head->next = c;
	} else {
		a->head = c;
	}
	return c->data;
}

void *skf_arena_alloc(struct skf_arena *a, size_t n)
{
	struct skf_arena_chunk *c = a->head;
	size_t size;
	void *p;

	if (n > SIZE_MAX - ALIGN)
		return NULL;
	n = n ? (n + ALIGN - 1) & ~(size_t)(ALIGN - 1) : ALIGN;
	if (a->used > a->max || n > a->max - a->used)
		return NULL;
	if (!c || n > c->size - c->used) {
		size = c && c->size >= FIRST_CHUNK ? c->size * 2 : FIRST_CHUNK;
		if (size > LAST_CHUNK)
			size = LAST_CHUNK;
		if (n > size / 4) {
			p = big_piece(a, n);
			if (p)
				a->used += n;
			return p;
		}
		c = new_chunk(size);
		if (!c)
			return NULL;
		c->next = a->head;
		a->head = c;
	}
	p = c->data + c->used;
	c->used += n;
	a->used += n;
	return p;
}

void *skf_arena_array(struct skf_arena *a, size_t n, size_t size)
{
	size_t total;

	if (__builtin_mul_overflow(n, size, &total))
		return NULL;
	return skf_arena_alloc(a, total);
}

char *skf_arena_dup(struct skf_arena *a, const char *s, size_t n)
{
	char *p = n < SIZE_MAX ? skf_arena_alloc(a, n + 1) : NULL;

	if (p && n)
		memcpy(p, s, n);
	return p;
}

char *skf_arena_strdup(struct skf_arena *a, const char *s)
{
	return skf_arena_dup(a, s, strlen(s));
}

char *skf_arena_fmt(struct skf_arena *a, const char *fmt, ...)
{
	va_list ap, again;
	char *p = NULL;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	if (n >= 0)
		p = skf_arena_alloc(a, (size_t)n + 1);
	if (p)
		vsnprintf(p, (size_t)n + 1, fmt, again);
	va_end(again);
	va_end(ap);
	return p;
}

/* How many strings fit into v besides its NULL: known only for a vector that skf_strv_add made itself and
 * that is one of the last few; every other (made by the JSON decoder, by hand, by a copy that was since
 * added to) is full. */
static struct skf_arena_strv *find_grown(struct skf_arena *a, const struct skf_strv *v)
{
	for (size_t i = 0; i < SKF_ARRAY_LEN(a->grown); i++)
		if (v->v && a->grown[i].v == v->v && a->grown[i].n == v->n)
			return &a->grown[i];
	return NULL;
}

int skf_strv_add(struct skf_arena *a, struct skf_strv *v, const char *s)
{
	struct skf_arena_strv *g = find_grown(a, v);
	char *copy = skf_arena_strdup(a, s);

	if (!copy)
		return -ENOMEM;
	if (!g || v->n + 1 >= g->cap) {
		size_t cap = v->n < 3 ? 8 : (v->n + 1) * 2;
		char **p = skf_arena_array(a, cap, sizeof(*p));

		if (!p)
			return -ENOMEM;
		if (v->n)
			memcpy(p, v->v, v->n * sizeof(*p));
		if (!g)
			g = &a->grown[a->grown_next++ % SKF_ARRAY_LEN(a->grown)];
		g->v = p;
		g->cap = cap;
		v->v = p;
	}
	v->v[v->n++] = copy;
	v->v[v->n] = NULL;
	g->n = v->n;
	return 0;
}

int skf_arena_on_done(struct skf_arena *a, void (*fn)(void *), void *arg)
{
	if (a->n_fin >= SKF_ARRAY_LEN(a->fin))
		return -ENOSPC;
	a->fin[a->n_fin] = fn;
	a->fin_arg[a->n_fin++] = arg;
	return 0;
}
