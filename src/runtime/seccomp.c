/* seccomp.c -- the program for a container's profile: the embedded default, else the cache, else compiled
 * and cached. The order is by cost: comparing a key, one file, 10 ms of libseccomp. Blocks on the state
 * root's file system. */
#include "base/cleanup.h"
#include "base/fd.h"
#include "runtime/runtime_int.h"
#include "runtime/seccomp_int.h"
#include <string.h>

static bool find_embedded(const uint8_t key[SKF_SECCOMP_KEY], struct skf_bpf_prog *ret)
{
	for (const struct skf_seccomp_embedded *x = skf_seccomp_embedded; x->prog.n; x++)
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
	if (find_embedded(key, ret))
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

int skf_seccomp_prepare(struct skf_start *s, struct skf_err *e)
{
	return skf_seccomp_program(s->rt, s->spec->linux_.seccomp, s->arena, &s->seccomp, e);
}
