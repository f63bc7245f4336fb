/* oci/spec_net.c -- objects of config.json whose keys are names of devices: linux.netDevices and
 * resources.rdma. Pure; nothing blocks.
 *
 * Invariant: the names are what the kernel takes for such a device; none holds white space or a slash, so it
 * can neither be a path nor end a word or line of a kernel file. */
#include "oci/spec_int.h"
#include "base/arena.h"
#include "base/buf.h"
#include <net/if.h>
#include <string.h>

#define MAX_MEMBERS 4096

struct members {
	struct skf_jarr a;
	size_t cap;
};

/* Room for one more element of `size` bytes. */
static void *grow(struct skf_jctx *c, struct members *m, size_t size)
{
	if (m->a.n == MAX_MEMBERS) {
		(void)skf_j_fail(c, SKF_ELIMIT, "more than %d members; remove some", MAX_MEMBERS);
		return NULL;
	}
	if (m->a.n == m->cap) {
		size_t cap = m->cap ? m->cap * 2 : 4;
		void *p = skf_arena_array(skf_j_arena(c), cap, size);

		if (!p) {
			(void)skf_spec_j_nomem(c);
			return NULL;
		}
		if (m->a.n)
			memcpy(p, m->a.v, m->a.n * size);
		m->a.v = p;
		m->cap = cap;
	}
	return (char *)m->a.v + m->a.n++ * size;
}

/* --- netDevices --- */
/* dev_valid_name() of the kernel. */
static int ifname_check(struct skf_jctx *c, const char *s)
{
	size_t n = strlen(s);

	if (n == 0 || n >= IF_NAMESIZE || skf_streq(s, ".") || skf_streq(s, "..") ||
	    strcspn(s, "/: \t\n\v\f\r") != n)
		return skf_j_fail(c, SKF_EINVALID,
				  "invalid network device name '%.32s'; expected 1 to %d characters without "
				  "'/', ':' and white space",
				  s, IF_NAMESIZE - 1);
	return 0;
}

static int dec_ifname(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	char *s = NULL;

	(void)arg;
	if (skf_j_str(c, v, &s, NULL) < 0)
		return -1;
	if (s[0] == '\0')
		return 0;
	*(char **)dst = s;
	return ifname_check(c, s);
}

static const struct skf_jfield device_f[] = {
	SPEC_OPT(struct skf_spec_net_device, name, "name", dec_ifname, NULL),
	SKF_J_END,
};
static const struct skf_jtable device_table = {sizeof(struct skf_spec_net_device), device_f};

static const char *inner_name(const struct skf_spec_net_device *d)
{
	return d->name ? d->name : d->host_name;
}

static int device_member(struct skf_jctx *c, const char *key, struct json_object *v, void *user)
{
	struct members *m = user;
	struct skf_spec_net_device d = {0}, *all;

	if (ifname_check(c, key) < 0 || skf_j_obj(c, v, &d, &device_table) < 0)
		return -1;
	d.host_name = skf_arena_dup(skf_j_arena(c), key, strlen(key) + 1);
	if (!d.host_name)
		return skf_spec_j_nomem(c);
	all = m->a.v;
	for (size_t i = 0; i < m->a.n; i++) {
		if (skf_streq(inner_name(&all[i]), inner_name(&d)))
			return skf_j_fail(c, SKF_EINVALID,
					  "invalid network device name '%s': '%s' gets it already",
					  inner_name(&d), all[i].host_name);
	}
	all = grow(c, m, sizeof(d));
	if (!all)
		return -1;
	*all = d;
	return 0;
}

int skf_spec_j_net_devices(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	struct members m = {0};

	(void)arg;
	if (skf_j_each_member(c, v, device_member, &m) < 0)
		return -1;
	*(struct skf_jarr *)dst = m.a;
	return 0;
}

/* --- rdma --- */
static const struct skf_jfield rdma_f[] = {
	SPEC_OPTP(struct skf_spec_rdma, handles, has_handles, "hcaHandles", skf_j_u32, NULL),
	SPEC_OPTP(struct skf_spec_rdma, objects, has_objects, "hcaObjects", skf_j_u32, NULL),
	SKF_J_END,
};
static const struct skf_jtable rdma_table = {sizeof(struct skf_spec_rdma), rdma_f};

static int rdma_member(struct skf_jctx *c, const char *key, struct json_object *v, void *user)
{
	size_t n = strlen(key);
	struct skf_spec_rdma r = {0}, *p;

	if (n == 0 || n > 64 || strcspn(key, "/ \t\n\v\f\r") != n)
		return skf_j_fail(c, SKF_EINVALID,
				  "invalid rdma device name '%.32s'; expected a name such as 'mlx5_1'", key);
	if (skf_j_obj(c, v, &r, &rdma_table) < 0)
		return -1;
	r.name = skf_arena_dup(skf_j_arena(c), key, n + 1);
	if (!r.name)
		return skf_spec_j_nomem(c);
	p = grow(c, user, sizeof(r));
	if (!p)
		return -1;
	*p = r;
	return 0;
}

int skf_spec_j_rdma(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	struct members m = {0};

	(void)arg;
	if (skf_j_each_member(c, v, rdma_member, &m) < 0)
		return -1;
	*(struct skf_jarr *)dst = m.a;
	return 0;
}
