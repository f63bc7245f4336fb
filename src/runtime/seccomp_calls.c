/* runtime/seccomp_calls.c -- which system calls a profile names, by number and architecture, and which of
 * them have an answer that nobody has to compile.
 *
 * Theory: libseccomp's time grows with the square of the number of rules, and nearly all rules of a real
 * profile say "this number: that action", which is a line of a table. So a system call is *fixed* when all
 * rules that name it have no arguments and the same action, and no architecture of the filter reaches it by
 * another call (socketcall, ipc). Fixed ones go into the table that seccomp_shrink.c works in; the others,
 * with all of their rules, to libseccomp.
 *
 * Invariants: 1. all rules of one system call go the same way; 2. no pair (architecture, number) is on both
 * ways or twice in the table: where names are aliases so that it would be, nothing is fixed; 3. a rule whose
 * action is the default one is left out, but counts for the highest number (the ENOSYS stub), as without the
 * table. Pure; memory of the arena. */
#include "base/arena.h"
#include "runtime/seccomp_int.h"
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>

/* libseccomp's numbers for calls that are made through socketcall(2) and ipc(2) lie between -100 and -299;
 * those below -10000 do not exist on the architecture. */
#define MULTIPLEXED(nr) ((nr) <= -100 && (nr) > -10000)

uint32_t skf_seccomp_action(uint32_t action, bool has_errno, uint32_t errno_ret)
{
	uint32_t value = has_errno ? errno_ret & 0xffff : EPERM;

	switch (action) {
	case SECCOMP_RET_ERRNO:
		return SCMP_ACT_ERRNO(value);
	case SECCOMP_RET_TRACE:
		return SCMP_ACT_TRACE(value);
	default:
		return action; /* libseccomp's numbers are the kernel's */
	}
}

/* By number, highest first (libseccomp keeps sorted lists that it searches from their lowest number on);
 * those of one number in the order of the profile. */
static int compare_calls(const void *x, const void *y)
{
	const struct skf_seccomp_call *a = x, *b = y;

	if (a->nr != b->nr)
		return a->nr < b->nr ? 1 : -1;
	if (a->rule != b->rule)
		return a->rule < b->rule ? -1 : 1;
	return (a->name > b->name) - (a->name < b->name);
}

static int compare_fixed(const void *x, const void *y)
{
	const struct skf_seccomp_fixed *a = x, *b = y;

	if (a->arch != b->arch)
		return a->arch < b->arch ? -1 : 1;
	return (a->nr > b->nr) - (a->nr < b->nr);
}

/* x32 has no number of its own in seccomp_data.arch. */
static uint32_t audit_arch(uint32_t token)
{
	return token == SCMP_ARCH_X32 ? AUDIT_ARCH_X86_64 : token;
}

static const char *name_of(const struct skf_spec_seccomp *p, const struct skf_seccomp_call *c)
{
	const struct skf_spec_seccomp_rule *rules = p->syscalls.v;

	return rules[c->rule].names.v[c->name];
}

int skf_seccomp_calls(const struct skf_spec_seccomp *p, uint32_t default_action, const uint32_t *arch,
		      unsigned n_arch, struct skf_arena *a, struct skf_seccomp_calls *ret)
{
	const struct skf_spec_seccomp_rule *rules = p->syscalls.v;
	size_t n = 0, total = 0;
	int *at;

	*ret = (struct skf_seccomp_calls){.n_arch = n_arch};
	for (unsigned k = 0; k < n_arch; k++)
		ret->arch[k] = arch[k];
	for (size_t i = 0; i < p->syscalls.n; i++)
		total += rules[i].names.n;
	ret->v = skf_arena_array(a, total + 1, sizeof(*ret->v));
	at = skf_arena_array(a, (total + 1) * n_arch, sizeof(*at));
	if (!ret->v || !at)
		return -ENOMEM;
	for (size_t i = 0; i < p->syscalls.n; i++) {
		uint32_t action =
			skf_seccomp_action(rules[i].action, rules[i].has_errno, rules[i].errno_ret);

		for (size_t k = 0; k < rules[i].names.n; k++) {
			struct skf_seccomp_call *c = &ret->v[n++];

			*c = (struct skf_seccomp_call){seccomp_syscall_resolve_name(rules[i].names.v[k]),
						       (unsigned)i,
						       (unsigned)k,
						       action,
						       action == default_action,
						       false,
						       at};
			for (unsigned x = 0; x < n_arch; x++, at++) {
				*at = seccomp_syscall_resolve_name_arch(arch[x], rules[i].names.v[k]);
				if (*at > 0 && (uint32_t)*at > ret->last[x])
					ret->last[x] = (uint32_t)*at;
			}
		}
	}
	ret->n = n;
	qsort(ret->v, n, sizeof(*ret->v), compare_calls);
	return 0;
}

/* Of the calls of one number: may they be a line of the table? */
static bool is_fixed(const struct skf_spec_seccomp *p, const struct skf_seccomp_calls *c, size_t from,
		     size_t to)
{
	const struct skf_spec_seccomp_rule *rules = p->syscalls.v;
	const char *name = name_of(p, &c->v[from]);

	if (c->v[from].nr == __NR_SCMP_ERROR || !strcmp(name, "socketcall") || !strcmp(name, "ipc"))
		return false;
	for (unsigned x = 0; x < c->n_arch; x++)
		if (MULTIPLEXED(c->v[from].at[x]))
			return false;
	for (size_t i = from; i < to; i++)
		if (strcmp(name_of(p, &c->v[i]), name) != 0 || c->v[i].is_default != c->v[from].is_default ||
		    c->v[i].action != c->v[from].action || rules[c->v[i].rule].args.n)
			return false;
	return true;
}

/* Invariant 2. */
static bool is_clear(const struct skf_seccomp_calls *c, const struct skf_seccomp_fixed *v, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if (!compare_fixed(&v[i - 1], &v[i]))
			return false;
	for (size_t i = 0; i < c->n; i++)
		for (unsigned x = 0; !c->v[i].fixed && x < c->n_arch; x++) {
			const struct skf_seccomp_fixed key = {audit_arch(c->arch[x]),
							      (uint32_t)c->v[i].at[x], 0};

			if (c->v[i].at[x] >= 0 && n && bsearch(&key, v, n, sizeof(*v), compare_fixed))
				return false;
		}
	return true;
}

int skf_seccomp_fix(const struct skf_spec_seccomp *p, struct skf_seccomp_calls *c, struct skf_arena *a,
		    struct skf_seccomp_fixed **ret, size_t *ret_n)
{
	struct skf_seccomp_fixed *v = skf_arena_array(a, (c->n + 1) * c->n_arch, sizeof(*v));
	size_t n = 0, to;

	if (!v)
		return -ENOMEM;
	for (size_t from = 0; from < c->n; from = to) {
		for (to = from + 1; to < c->n && c->v[to].nr == c->v[from].nr; to++)
			;
		if (!is_fixed(p, c, from, to))
			continue;
		for (size_t i = from; i < to; i++)
			c->v[i].fixed = true;
		for (unsigned x = 0; !c->v[from].is_default && x < c->n_arch; x++)
			if (c->v[from].at[x] >= 0)
				v[n++] = (struct skf_seccomp_fixed){audit_arch(c->arch[x]),
								    (uint32_t)c->v[from].at[x],
								    c->v[from].action};
	}
	qsort(v, n, sizeof(*v), compare_fixed);
	if (!is_clear(c, v, n)) {
		for (size_t i = 0; i < c->n; i++)
			c->v[i].fixed = false;
		n = 0;
	}
	*ret = v;
	*ret_n = n;
	return 0;
}
