/* seccomp.c -- the program for a container's profile: the embedded default, else the cache, else compiled
 * and cached. The order is by cost: comparing a key, one file, 10 ms of libseccomp. Blocks on the state
 * root's file system. */
#include "base/base64.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "runtime/runtime_int.h"
#include "runtime/seccomp_int.h"
#include <linux/seccomp.h>
#include <seccomp.h>
#include <string.h>

const struct skf_seccomp_embedded *skf_seccomp_default(void)
{
	return skf_seccomp_embedded;
}

static bool find_embedded(const struct skf_seccomp_embedded *x, const uint8_t key[SKF_SECCOMP_KEY],
			  struct skf_bpf_prog *ret)
{
	for (; x && x->prog.n; x++)
		if (!memcmp(x->key, key, SKF_SECCOMP_KEY)) {
			*ret = x->prog;
			return true;
		}
	return false;
}

int skf_seccomp_program(const struct skf_rt *rt, const struct skf_spec_seccomp *p, struct skf_arena *a,
			struct skf_bpf_prog *ret, struct skf_err *e)
{
	uint8_t key[SKF_SECCOMP_KEY];
	SKF_AUTO_FD int dir = -EBADF;
	int r = 0;

	if (!p) {
		*ret = (struct skf_bpf_prog){0};
		return 0;
	}
	skf_seccomp_key(p, 0, key);
	if (find_embedded(rt->embedded, key, ret))
		return 0;
	if (rt->rootfd >= 0)
		dir = skf_seccomp_cache_open(rt->rootfd);
	if (dir >= 0)
		r = skf_seccomp_cache_get(dir, key, a, ret);
	else if (rt->rootfd >= 0)
		skf_warn(rt->log, "the seccomp cache '%s/%s' cannot be used (%s), ignoring it", rt->root,
			 SKF_SECCOMP_CACHE_DIR, strerror(-dir));
	if (r == 1)
		return 0;
	if (r < 0)
		skf_debug(rt->log, "read the seccomp cache: %s, compiling", strerror(-r));
	if (skf_seccomp_compile(p, 0, rt->log, a, ret, e) < 0)
		return skf_ctx(e, "linux.seccomp");
	r = dir >= 0 ? skf_seccomp_cache_put(dir, key, ret) : 0;
	if (r < 0)
		skf_debug(rt->log, "write the seccomp cache: %s, ignoring", strerror(-r));
	return 0;
}

static bool notifies(const struct sock_filter *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (v[i].code == (BPF_RET | BPF_K) &&
		    (v[i].k & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_USER_NOTIF)
			return true;
	return false;
}

int skf_seccomp_raw(const char *base64, struct skf_arena *a, struct skf_bpf_prog *ret, struct skf_err *e)
{
	static const char name[] = "annotation run.oci.seccomp_bpf_data";
	size_t max = (size_t)BPF_MAXINSNS * sizeof(struct sock_filter), len = strlen(base64);
	struct sock_filter *v;
	ssize_t n;

	if (len > (max + 2) / 3 * 4)
		return skf_fail(e, SKF_ELIMIT, "%s: the kernel takes at most %d BPF instructions", name,
				BPF_MAXINSNS);
	v = skf_arena_array(a, len / sizeof(*v) + 1, sizeof(*v));
	if (!v)
		return skf_nomem(e);
	n = skf_base64_decode(base64, (uint8_t *)v);
	if (n <= 0 || (size_t)n % sizeof(*v))
		return skf_fail(e, SKF_EINVALID, "%s: expected BPF instructions of %zu bytes each in base64",
				name, sizeof(*v));
	*ret = (struct skf_bpf_prog){.insn = v,
				     .n = (uint16_t)((size_t)n / sizeof(*v)),
				     .flags = SECCOMP_FILTER_FLAG_SPEC_ALLOW,
				     .notify = notifies(v, (size_t)n / sizeof(*v))};
	return 0;
}

/* Of one jump. */
static bool holds(const struct sock_filter *i, uint32_t a)
{
	switch (BPF_OP(i->code)) {
	case BPF_JEQ:
		return a == i->k;
	case BPF_JGT:
		return a > i->k;
	case BPF_JGE:
		return a >= i->k;
	default:
		return a & i->k; /* BPF_JSET, the only other one */
	}
}

bool skf_seccomp_lets(const struct skf_bpf_prog *p, int nr)
{
	uint32_t a = 0, answer;

	for (size_t at = 0; at < p->n; at++) {
		const struct sock_filter *i = &p->insn[at];

		switch (i->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			if (i->k != offsetof(struct seccomp_data, nr) &&
			    i->k != offsetof(struct seccomp_data, arch))
				return false; /* it depends on arguments */
			a = i->k == offsetof(struct seccomp_data, nr) ? (uint32_t)nr : seccomp_arch_native();
			break;
		case BPF_JMP | BPF_JA:
			at += i->k;
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
		case BPF_JMP | BPF_JGT | BPF_K:
		case BPF_JMP | BPF_JGE | BPF_K:
		case BPF_JMP | BPF_JSET | BPF_K:
			at += holds(i, a) ? i->jt : i->jf;
			break;
		case BPF_RET | BPF_K:
			answer = i->k & SECCOMP_RET_ACTION_FULL;
			return answer == SECCOMP_RET_ALLOW || answer == SECCOMP_RET_LOG;
		default:
			return false;
		}
	}
	return false;
}

int skf_seccomp_prepare(struct skf_start *s, struct skf_err *e)
{
	const struct skf_spec_seccomp *p = s->spec->linux_.seccomp;
	const struct skf_kvs *an = &s->spec->annotations;
	const char *raw = skf_annotation(an, SKF_AN_SECCOMP_BPF), *path = p ? p->listener_path : NULL;

	if (raw ? skf_seccomp_raw(raw, s->arena, &s->seccomp, e) < 0
		: ((p && skf_annotation_on(an, SKF_AN_SECCOMP_FAIL_UNKNOWN) &&
		    skf_seccomp_check_names(p, e) < 0) ||
		   skf_seccomp_program(s->rt, p, s->arena, &s->seccomp, e) < 0))
		return -1;
	if (!path || !*path)
		path = skf_annotation(an, SKF_AN_SECCOMP_RECEIVER);
	if (s->seccomp.notify)
		return skf_listener_plan(&s->listener, &s->seccomp, path, p ? p->listener_metadata : NULL,
					 e);
	return path && s->seccomp.n > 0 ? skf_listener_offer(&s->listener, &s->seccomp, path,
							     p ? p->listener_metadata : NULL, s->rt->log, e)
					: 0;
}
