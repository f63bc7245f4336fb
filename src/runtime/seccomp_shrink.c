/* seccomp_shrink.c -- rebuilds a classic BPF seccomp program around ranges of system call numbers.
 *
 * Theory: libseccomp emits one comparison per system call. For a given architecture the outcome of such a
 * program, as long as it looks at no argument, can only change at the constants that the number is compared
 * with. So it is enough to run the program, by an interpreter that knows arch and nr and nothing else, at
 * each of those points: between two points the outcome is the same. An outcome is either "returns X" or
 * "begins to look at arguments at instruction I". Neighbours with the same outcome are merged, and the new
 * program is arch -> binary search over the ranges -> ret X, or a jump to a copy of what can be reached from
 * I. The copy keeps every load, so it is correct whatever was known before it. Numbers whose answer is known
 * without a program (seccomp_calls.c) are put over the ranges that the program has.
 *
 * Why: the kernel runs the filter for every number of two architectures when it is loaded (to find those
 * that are always allowed) and translates each instruction; both costs shrink with the program.
 *
 * Invariants: 1. only instructions that are fully understood are touched, anything else makes the caller
 * keep the original; 2. a range is only merged when its outcome is the same; 3. jumps go forward; 4. once
 * the architecture is known, a comparison is about the number, whether or not that was loaded: libseccomp
 * (2.5.4 to 2.6.1) forgets the load when the rule that it sorts first is for a call that the architecture
 * does not have, and would compare the architecture with system call numbers. Pure; memory of the arena. */
#include "base/arena.h"
#include "runtime/seccomp_int.h"
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>

#define OFF_NR       offsetof(struct seccomp_data, nr)
#define OFF_ARCH     offsetof(struct seccomp_data, arch)
#define MAX_ARCH     16
#define MAX_OUTCOMES 64 /* different outcomes of one architecture */

struct outcome {
	bool dynamic; /* looks at arguments from instruction `value` on; else returns value */
	uint32_t value;
};
struct range {
	uint32_t start;
	struct outcome o;
};
struct shrink {
	const struct sock_filter *p;
	size_t n;
	const struct skf_seccomp_fixed *fixed;
	size_t n_fixed;
	struct skf_arena *a;
	uint32_t *points; /* numbers at which an outcome may change, sorted */
	size_t n_points;
	uint32_t arch[MAX_ARCH];
	unsigned n_arch;
	bool *keep; /* instructions that a dynamic outcome can reach */
	struct sock_filter *out;
	size_t n_out, max_out;
	struct {
		size_t at; /* a JA that goes to the copy of instruction `to` */
		uint32_t to;
	} * fix;
	size_t n_fix;
};

static bool is_load(const struct sock_filter *i, uint32_t off)
{
	return i->code == (BPF_LD | BPF_W | BPF_ABS) && i->k == off;
}

/* Does a comparison hold? -1: not one that is understood. */
static int compare(const struct sock_filter *i, uint32_t v)
{
	switch (i->code) {
	case BPF_JMP | BPF_JEQ | BPF_K:
		return v == i->k;
	case BPF_JMP | BPF_JGT | BPF_K:
		return v > i->k;
	case BPF_JMP | BPF_JGE | BPF_K:
		return v >= i->k;
	default:
		return -1;
	}
}

enum holds { NOTHING, ARCH, NR };

/* Runs p for (arch, nr). nr_known false: reaching a load of nr is an error (used to find what other
 * architectures get). */
static bool run(struct shrink *s, bool other_arch, uint32_t arch, bool nr_known, uint32_t nr,
		struct outcome *ret)
{
	enum holds a = NOTHING;

	for (size_t pc = 0; pc < s->n; pc++) {
		const struct sock_filter *i = &s->p[pc];
		int yes;

		if (is_load(i, OFF_NR)) {
			if (!nr_known)
				return false;
			a = NR;
			continue;
		}
		if (is_load(i, OFF_ARCH)) {
			a = ARCH;
			continue;
		}
		if (i->code == (BPF_RET | BPF_K)) {
			*ret = (struct outcome){false, i->k};
			return true;
		}
		if (i->code == (BPF_LD | BPF_W | BPF_ABS)) {
			*ret = (struct outcome){true, (uint32_t)pc};
			return nr_known;
		}
		if (i->code == (BPF_JMP | BPF_JA)) {
			pc += i->k;
			continue;
		}
		if (a == NOTHING)
			return false;
		if (a == ARCH && other_arch) {
			if (i->code != (BPF_JMP | BPF_JEQ | BPF_K) || s->n_arch == MAX_ARCH)
				return false;
			s->arch[s->n_arch++] = i->k;
			yes = 0;
		} else {
			yes = compare(i, a == ARCH ? arch : nr);
		}
		if (yes < 0)
			return false;
		if (yes && a == ARCH)
			a = NR; /* invariant 4 */
		pc += yes ? i->jt : i->jf;
	}
	return false;
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static int find_points(struct shrink *s)
{
	size_t n = 0, k = 1;

	s->points = skf_arena_array(s->a, 2 * s->n + 1, sizeof(*s->points));
	if (!s->points)
		return -ENOMEM;
	s->points[n++] = 0;
	for (size_t i = 0; i < s->n; i++) {
		if (compare(&s->p[i], 0) < 0)
			continue;
		s->points[n++] = s->p[i].k;
		if (s->p[i].k != UINT32_MAX)
			s->points[n++] = s->p[i].k + 1;
	}
	qsort(s->points, n, sizeof(*s->points), by_value);
	for (size_t i = 1; i < n; i++)
		if (s->points[i] != s->points[k - 1])
			s->points[k++] = s->points[i];
	s->n_points = k;
	return 0;
}

static bool same(struct outcome a, struct outcome b)
{
	return a.dynamic == b.dynamic && a.value == b.value;
}

static void add_range(struct range *v, int *n, uint32_t start, struct outcome o)
{
	if (*n && v[*n - 1].start == start) /* nothing was left of it */
		--*n;
	if (!*n || !same(v[*n - 1].o, o))
		v[(*n)++] = (struct range){start, o};
}

/* Number of ranges, or -1. What the table has goes before the program. */
static int find_ranges(struct shrink *s, uint32_t arch, struct range *v)
{
	const struct skf_seccomp_fixed *f = s->fixed, *end = s->fixed + s->n_fixed;
	int n = 0;

	while (f < end && f->arch < arch)
		f++;
	while (end > f && end[-1].arch != arch)
		end--;
	for (size_t i = 0; i < s->n_points; i++) {
		struct outcome o;

		if (!run(s, false, arch, true, s->points[i], &o))
			return -1;
		add_range(v, &n, s->points[i], o);
		for (; f < end && (i + 1 == s->n_points || f->nr < s->points[i + 1]); f++) {
			add_range(v, &n, f->nr, (struct outcome){false, f->action});
			if (f->nr != UINT32_MAX)
				add_range(v, &n, f->nr + 1, o);
		}
	}
	return n;
}

/* Marks what can be reached from pc; -1 for an instruction whose jumps are not understood. */
static int mark(struct shrink *s, size_t from)
{
	s->keep[from] = true;
	for (size_t pc = from; pc < s->n; pc++) {
		const struct sock_filter *i = &s->p[pc];

		if (!s->keep[pc])
			continue;
		if (i->code == (BPF_RET | BPF_K))
			continue;
		if (i->code == (BPF_JMP | BPF_JA)) {
			if (pc + 1 + i->k >= s->n)
				return -1;
			s->keep[pc + 1 + i->k] = true;
			continue;
		}
		if (pc + 1 >= s->n)
			return -1;
		if (BPF_CLASS(i->code) == BPF_JMP) {
			if (BPF_SRC(i->code) != BPF_K || pc + 1 + i->jt >= s->n || pc + 1 + i->jf >= s->n)
				return -1;
			s->keep[pc + 1 + i->jt] = true;
			s->keep[pc + 1 + i->jf] = true;
			continue;
		}
		if (i->code != (BPF_LD | BPF_W | BPF_ABS) && i->code != (BPF_ALU | BPF_AND | BPF_K))
			return -1;
		s->keep[pc + 1] = true;
	}
	return 0;
}

static bool emit(struct shrink *s, uint16_t code, uint32_t k, uint8_t jt, uint8_t jf)
{
	if (s->n_out == s->max_out)
		return false;
	s->out[s->n_out++] = (struct sock_filter){code, jt, jf, k};
	return true;
}

static bool emit_outcome(struct shrink *s, struct outcome o)
{
	if (!o.dynamic)
		return emit(s, BPF_RET | BPF_K, o.value, 0, 0);
	s->fix[s->n_fix].at = s->n_out;
	s->fix[s->n_fix++].to = o.value;
	return emit(s, BPF_JMP | BPF_JA, 0, 0, 0);
}

/* The search tree over v: one comparison per inner node; leaves are jumps to the shared outcomes behind the
 * tree. */
struct tree {
	const struct range *v;
	struct outcome shared[MAX_OUTCOMES];
	unsigned n_shared;
	struct {
		size_t at;
		int t, f; /* index of the shared outcome on the two sides; -1: an inner node */
	} * node;
	size_t n_node;
};

static int outcome_id(struct tree *t, struct outcome o)
{
	for (unsigned i = 0; i < t->n_shared; i++)
		if (same(t->shared[i], o))
			return (int)i;
	if (t->n_shared == MAX_OUTCOMES)
		return -1;
	t->shared[t->n_shared] = o;
	return (int)t->n_shared++;
}

static bool emit_tree(struct shrink *s, struct tree *t, int lo, int hi)
{
	int mid = (lo + hi + 1) / 2;
	size_t at = s->n_out, n = t->n_node++, jump;

	t->node[n].at = at;
	t->node[n].t = t->node[n].f = -1;
	if (!emit(s, BPF_JMP | BPF_JGE | BPF_K, t->v[mid].start, 0, 0))
		return false;
	if (mid - lo == 1)
		t->node[n].f = outcome_id(t, t->v[lo].o);
	else if (!emit_tree(s, t, lo, mid))
		return false;
	jump = s->n_out - at - 1;
	if (hi - mid == 1) {
		t->node[n].t = outcome_id(t, t->v[mid].o);
	} else {
		if (jump > 255 || !emit_tree(s, t, mid, hi))
			return false;
		s->out[at].jt = (uint8_t)jump;
	}
	return (mid - lo > 1 || t->node[n].f >= 0) && (hi - mid > 1 || t->node[n].t >= 0);
}

static bool emit_ranges(struct shrink *s, const struct range *v, int n)
{
	struct tree *t = skf_arena_alloc(s->a, sizeof(*t));
	size_t base;

	if (n == 1)
		return emit_outcome(s, v[0].o);
	if (!t || !(t->node = skf_arena_array(s->a, (size_t)n, sizeof(*t->node))))
		return false;
	t->v = v;
	if (!emit(s, BPF_LD | BPF_W | BPF_ABS, OFF_NR, 0, 0) || !emit_tree(s, t, 0, n))
		return false;
	base = s->n_out;
	for (unsigned i = 0; i < t->n_shared; i++)
		if (!emit_outcome(s, t->shared[i]))
			return false;
	for (size_t i = 0; i < t->n_node; i++) {
		size_t at = t->node[i].at;

		if (base + t->n_shared - at - 1 > 255) /* the farthest shared outcome must be in reach */
			return false;
		if (t->node[i].t >= 0)
			s->out[at].jt = (uint8_t)(base + (size_t)t->node[i].t - at - 1);
		if (t->node[i].f >= 0)
			s->out[at].jf = (uint8_t)(base + (size_t)t->node[i].f - at - 1);
	}
	return true;
}

/* Copies the kept instructions behind the tables; distances only shrink, so every jump still fits. */
static bool emit_kept(struct shrink *s)
{
	size_t *to = skf_arena_array(s->a, s->n + 1, sizeof(*to)), at = s->n_out;

	if (!to)
		return false;
	for (size_t i = 0; i < s->n; i++) {
		to[i] = at;
		at += s->keep[i];
	}
	for (size_t i = 0; i < s->n; i++) {
		struct sock_filter x = s->p[i];

		if (!s->keep[i])
			continue;
		if (x.code == (BPF_JMP | BPF_JA)) {
			x.k = (uint32_t)(to[i + 1 + x.k] - to[i] - 1);
		} else if (BPF_CLASS(x.code) == BPF_JMP) {
			x.jt = (uint8_t)(to[i + 1 + x.jt] - to[i] - 1);
			x.jf = (uint8_t)(to[i + 1 + x.jf] - to[i] - 1);
		}
		if (!emit(s, x.code, x.k, x.jt, x.jf))
			return false;
	}
	for (size_t i = 0; i < s->n_fix; i++)
		s->out[s->fix[i].at].k = (uint32_t)(to[s->fix[i].to] - s->fix[i].at - 1);
	return true;
}

static int mark_dynamic(struct shrink *s, const struct range *v, int n)
{
	for (int i = 0; i < n; i++)
		if (v[i].o.dynamic && mark(s, v[i].o.value) < 0)
			return -1;
	return 0;
}

static bool rebuild(struct shrink *s, struct outcome other)
{
	size_t heads[MAX_ARCH];

	if (!emit(s, BPF_LD | BPF_W | BPF_ABS, OFF_ARCH, 0, 0))
		return false;
	for (unsigned k = 0; k < s->n_arch;
	     k++) { /* jeq arch -> behind the JA; the JA goes to the next comparison */
		struct range *v = skf_arena_array(s->a, s->n_points + 2 * s->n_fixed, sizeof(*v));
		int n = v ? find_ranges(s, s->arch[k], v) : -1;

		if (n < 0 || mark_dynamic(s, v, n) < 0 ||
		    !emit(s, BPF_JMP | BPF_JEQ | BPF_K, s->arch[k], 1, 0))
			return false;
		heads[k] = s->n_out;
		if (!emit(s, BPF_JMP | BPF_JA, 0, 0, 0) || !emit_ranges(s, v, n))
			return false;
		s->out[heads[k]].k = (uint32_t)(s->n_out - heads[k] - 1);
	}
	return emit_outcome(s, other) && emit_kept(s);
}

/* The same architecture may be compared twice (the stub, then libseccomp's own list). */
static void unique_archs(struct shrink *s)
{
	unsigned n = 0;

	for (unsigned i = 0; i < s->n_arch; i++) {
		unsigned k = 0;

		while (k < n && s->arch[k] != s->arch[i])
			k++;
		if (k == n)
			s->arch[n++] = s->arch[i];
	}
	s->n_arch = n;
}

int skf_seccomp_shrink(const struct skf_seccomp_built *b, struct skf_arena *a, struct sock_filter **ret,
		       size_t *ret_n)
{
	struct shrink s = {.p = b->v,
			   .n = b->n,
			   .fixed = b->fixed,
			   .n_fixed = b->n_fixed,
			   .a = a,
			   .max_out = 4 * b->n + 3 * b->n_fixed + 64};
	struct outcome other;

	s.out = skf_arena_array(a, s.max_out, sizeof(*s.out));
	s.fix = skf_arena_array(a, s.max_out, sizeof(*s.fix));
	s.keep = skf_arena_array(a, b->n, sizeof(*s.keep));
	if (!s.out || !s.fix || !s.keep || find_points(&s) < 0)
		return -ENOMEM;
	if (!run(&s, true, 0, false, 0, &other) || other.dynamic)
		return 0;
	unique_archs(&s);
	if (!rebuild(&s, other))
		return 0;
	*ret = s.out;
	*ret_n = s.n_out;
	return 1;
}
