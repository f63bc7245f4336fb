/* Mount options, one per line. No flag is both set and cleared, no option of the table becomes data, and
 * what an "idmap=" text gives has no empty mapping. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "oci/mountopt.h"
#include "oci/spec.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct skf_mountopts *o)
{
	if (o->flags & o->clear || (o->attr_rec_set & o->attr_rec_clr & ~(uint64_t)MOUNT_ATTR__ATIME))
		abort();
	if ((o->attr_rec_set & MOUNT_ATTR__ATIME) &&
	    (o->attr_rec_clr & MOUNT_ATTR__ATIME) != MOUNT_ATTR__ATIME)
		abort();
	for (size_t i = 0; skf_spec_mount_options[i]; i++) {
		if (skf_streq(o->data, skf_spec_mount_options[i]))
			abort();
	}
}

static void check_idmap(const char *text, struct skf_arena *a)
{
	struct skf_idmap c[] = {{0, 1000, 1}, {1, 100000, 65535}};
	const struct skf_jarr container = {c, SKF_ARRAY_LEN(c)};
	struct skf_err e = SKF_ERR_INIT;
	struct skf_jarr m[2];

	if (skf_mountopts_idmap(text, &container, &container, a, &m[0], &m[1], &e) < 0)
		return;
	for (size_t k = 0; k < 2; k++) {
		const struct skf_idmap *v = m[k].v;
		for (size_t i = 0; i < m[k].n; i++) {
			if (v[i].size == 0)
				abort();
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(4u << 20);
	struct skf_strv v = {0};
	struct skf_mountopts o;
	struct skf_err e = SKF_ERR_INIT;
	char *p, *copy = skf_arena_dup(&a, (const char *)data, size);

	if (!copy)
		return 0;
	for (p = copy; p;) {
		char *nl = strchr(p, '\n');
		if (nl)
			*nl++ = '\0';
		if (skf_strv_add(&a, &v, p) < 0)
			return 0;
		p = nl;
	}
	if (skf_mountopts_parse(&v, &a, &o, &e) == 0) {
		check(&o);
		if (o.idmap_spec)
			check_idmap(o.idmap_spec, &a);
	}
	return 0;
}
