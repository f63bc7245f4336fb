/* systemd_props.c -- names and properties of a container's transient scope. Pure.
 *
 * systemd writes the cgroup files of its units again whenever it likes (daemon-reload, a property that
 * changes), from what it was told. So each limit that it has a property for is told to it, with the value
 * that the cgroup file gets; the files are written after that, with what has no property.
 *
 * Devices: on v2 a filter of ours is one more program that systemd does not know of and leaves alone, so no
 * DeviceAllow= is sent there. On v1 systemd would open all devices again when it applies DevicePolicy=auto:
 * there the rules go to it, as far as it can express them; the rest is in the files. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include "runtime/cgroups/cgroups_int.h"
#include "sys/dbus.h"
#include <linux/bpf.h>
#include <string.h>

/* --- names --- */

int skf_slice_path(const char *slice, char *out, size_t size)
{
	size_t n = strlen(slice), len = 0;

	if (size)
		out[0] = '\0';
	if (n < 7 || !skf_endswith(slice, ".slice") || strchr(slice, '/') || size < 1)
		return -EINVAL;
	if (!strcmp(slice, "-.slice"))
		return 0;
	n -= 6;
	if (slice[0] == '-' || slice[n - 1] == '-')
		return -EINVAL;
	for (size_t i = 1; i <= n; i++) {
		int r;

		if (i < n && slice[i] != '-')
			continue;
		if (i < n && slice[i - 1] == '-')
			return -EINVAL;
		r = skf_fmt(out + len, size - len, "/%.*s.slice", (int)i, slice);
		if (r < 0)
			return r;
		len += strlen(out + len);
	}
	return 0;
}

static bool valid_unit(const char *s)
{
	for (; *s; s++)
		if (!((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9') ||
		      strchr(":-_.\\@", *s)))
			return false;
	return true;
}

static int scope_name(const char *prefix, size_t n_prefix, const char *name, struct skf_unit *u,
		      struct skf_err *e)
{
	const char *tail = skf_endswith(name, ".scope") ? "" : ".scope";
	int r = prefix ? skf_fmt(u->scope, sizeof(u->scope), "%.*s-%s.scope", (int)n_prefix, prefix, name)
		       : skf_fmt(u->scope, sizeof(u->scope), "%s%s", name, tail);

	if (skf_endswith(name, ".slice"))
		return skf_fail(e, SKF_EINVALID,
				"linux.cgroupsPath: '%s' is a slice; a container is a scope in a slice: "
				"\"slice:prefix:name\"",
				name);
	if (r < 0 || !*name || !valid_unit(u->scope))
		return skf_fail(e, SKF_EINVALID,
				"linux.cgroupsPath: '%.200s' cannot be the name of a systemd scope; "
				"expected 1 to %d letters, digits and : - _ . \\ @",
				u->scope, SKF_MAX_UNIT_NAME);
	return 0;
}

int skf_unit_of(const char *path, const char *id, bool rootless, struct skf_unit *ret, struct skf_err *e)
{
	const char *first, *second;
	char dir[1024];
	size_t n;

	*ret = (struct skf_unit){0};
	if (!path || !*path)
		return skf_fmt(ret->slice, sizeof(ret->slice), "%s",
			       rootless ? "user.slice" : "system.slice") < 0
			       ? skf_fail(e, SKF_EBUG, "name of the slice")
			       : scope_name("skiff", 5, id, ret, e);
	if (strchr(path, '/'))
		return skf_fail(e, SKF_EINVALID,
				"linux.cgroupsPath '%s' is a path; the systemd cgroup manager expects "
				"cgroupsPath to be of format \"slice:prefix:name\"",
				path);
	first = strchr(path, ':');
	n = first ? (size_t)(first - path) : 0;
	if (n >= sizeof(ret->slice))
		return skf_fail(e, SKF_EINVALID,
				"linux.cgroupsPath: the slice's name is longer than %d bytes",
				SKF_MAX_UNIT_NAME);
	memcpy(ret->slice, path, n);
	if (n == 1 && path[0] == '-') /* "-": the root slice */
		n = skf_fmt(ret->slice, sizeof(ret->slice), "-.slice") == 0;
	else if (!n &&
		 skf_fmt(ret->slice, sizeof(ret->slice), "%s", rootless ? "user.slice" : "system.slice") < 0)
		return skf_fail(e, SKF_EBUG, "name of the slice");
	if (skf_slice_path(ret->slice, dir, sizeof(dir)) < 0 || !valid_unit(ret->slice))
		return skf_fail(e, SKF_EINVALID,
				"linux.cgroupsPath: '%s' is not the name of a slice; expected for example "
				"\"machine.slice\" or \"a-b.slice\"",
				ret->slice);
	second = first ? strchr(first + 1, ':') : NULL;
	if (!second)
		return scope_name(NULL, 0, first ? first + 1 : path, ret, e);
	return scope_name(first + 1, (size_t)(second - first - 1), second + 1, ret, e);
}

/* --- values --- */

int skf_cpuset_mask(const char *list, uint8_t *out, size_t size)
{
	size_t used = 0;

	memset(out, 0, size);
	for (const char *p = list; *p;) {
		size_t n = strcspn(p, ","), dash;
		char a[16], b[16];
		uint32_t from, to;

		if (n == 0 || strspn(p, " \n") == n) { /* the kernel takes "0,,2" too */
			p += n + (p[n] == ',');
			continue;
		}
		dash = strcspn(p, "-,");
		if (skf_fmt(a, sizeof(a), "%.*s", (int)dash, p) < 0 || skf_parse_u32(a, &from) < 0)
			return -EINVAL;
		to = from;
		if (dash < n && (skf_fmt(b, sizeof(b), "%.*s", (int)(n - dash - 1), p + dash + 1) < 0 ||
				 skf_parse_u32(b, &to) < 0))
			return -EINVAL;
		if (to < from)
			return -EINVAL;
		if (to / 8 >= size)
			return -E2BIG;
		for (uint32_t i = from; i <= to; i++)
			out[i / 8] |= (uint8_t)(1u << i % 8);
		used = to / 8 + 1 > used ? to / 8 + 1 : used;
		p += n + (p[n] == ',');
	}
	return used ? (int)used : -EINVAL;
}

bool skf_prop_skip_add(struct skf_prop_skip *s, const char *text)
{
	static const char *const heads[] = {"Cannot set property ", "Value specified in ",
					    "Failed to set unit properties: "};

	for (size_t i = 0; i < SKF_ARRAY_LEN(heads); i++) {
		const char *p = text;
		size_t n;

		if (!skf_startswith(p, heads[i]))
			continue;
		p += strlen(heads[i]);
		n = strspn(p, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
		for (unsigned k = 0; k < s->n; k++)
			if (strlen(s->name[k]) == n && !memcmp(s->name[k], p, n))
				return false; /* left out already and still refused */
		if (!n || n >= sizeof(s->name[0]) || s->n == SKF_ARRAY_LEN(s->name))
			return false;
		memcpy(s->name[s->n], p, n);
		s->name[s->n++][n] = '\0';
		return true;
	}
	return false;
}

struct props {
	struct skf_buf *out;
	const struct skf_prop_skip *skip;
	struct skf_err *e;
	bool v2;
	bool cpu_weight; /* cpu.idle took CPUWeight= */
};

static bool wanted(const struct props *p, const char *name)
{
	for (unsigned i = 0; i < p->skip->n; i++)
		if (!strcmp(p->skip->name[i], name))
			return false;
	return true;
}

static void put_u64(struct props *p, const char *name, uint64_t v)
{
	if (wanted(p, name))
		skf_dbus_prop_u64(p->out, name, v);
}

static int put_mask(struct props *p, const char *name, const char *list, const char *what)
{
	uint8_t mask[1024]; /* 8192 processors or nodes, the kernel's NR_CPUS */
	int n;
	size_t at;

	if (!list || !*list || !wanted(p, name))
		return 0;
	n = skf_cpuset_mask(list, mask, sizeof(mask));
	if (n < 0)
		return skf_fail(p->e, SKF_EINVALID,
				"linux.resources.%s: '%s' is not a list such as \"0-3,7\"", what, list);
	skf_dbus_prop(p->out, name, "ay");
	at = skf_dbus_array(p->out, 1);
	skf_buf_put(p->out, mask, (size_t)n);
	skf_dbus_array_end(p->out, at, 1);
	return 0;
}

/* Quota and period in microseconds; quota 0: none. Returns the quota as rounded. */
static int64_t put_quota(struct props *p, int64_t quota, uint64_t period)
{
	uint64_t per_sec = UINT64_MAX;

	if (!quota && !period)
		return quota;
	if (period)
		put_u64(p, "CPUQuotaPeriodUSec", period);
	if (quota > 0) {
		uint64_t span = period ? period : 100000;

		per_sec = (uint64_t)((unsigned __int128)quota * 1000000 / span);
		if (per_sec % 10000) {
			per_sec += 10000 - per_sec % 10000;
			quota = (int64_t)((unsigned __int128)per_sec * span / 1000000);
		}
	}
	put_u64(p, "CPUQuotaPerSecUSec", per_sec);
	return quota;
}

/* --- unified: the keys that systemd has a property for --- */

static int number_or_max(const char *v, uint64_t *ret)
{
	char text[24];
	size_t n = strcspn(v, " \t\n");

	if (n == 3 && !memcmp(v, "max", 3)) {
		*ret = UINT64_MAX;
		return 0;
	}
	return skf_fmt(text, sizeof(text), "%.*s", (int)n, v) < 0 ? -EINVAL : skf_parse_u64(text, ret);
}

static int unified_cpu_max(struct props *p, const char *v)
{
	uint64_t quota = 0, period = 100000;
	const char *rest = v + strcspn(v, " \t");

	if (number_or_max(v, &quota) < 0)
		return -EINVAL;
	rest += strspn(rest, " \t\n");
	if (*rest && (number_or_max(rest, &period) < 0 || period == UINT64_MAX))
		return -EINVAL;
	(void)put_quota(p, quota > INT64_MAX ? 0 : (int64_t)quota, period);
	return 0;
}

static int put_unified(struct props *p, const struct skf_kv *kv)
{
	static const struct {
		const char *key, *prop;
	} sizes[] = {{"memory.min", "MemoryMin"},
		     {"memory.low", "MemoryLow"},
		     {"memory.high", "MemoryHigh"},
		     {"memory.max", "MemoryMax"},
		     {"memory.swap.max", "MemorySwapMax"},
		     {"memory.zswap.max", "MemoryZSwapMax"},
		     {"pids.max", "TasksMax"},
		     {"cpu.weight", "CPUWeight"}};
	const char *v = kv->v + strspn(kv->v, " \t\n");
	uint64_t n;
	int r = 0;

	for (size_t i = 0; i < SKF_ARRAY_LEN(sizes); i++) {
		if (strcmp(kv->k, sizes[i].key) != 0)
			continue;
		r = number_or_max(v, &n);
		if (r == 0 && !strcmp(kv->k, "pids.max") && n == 0)
			n = 1; /* systemd takes no 0 */
		if (r == 0 && !(p->cpu_weight && !strcmp(kv->k, "cpu.weight")))
			put_u64(p, sizes[i].prop, n);
	}
	if (!strcmp(kv->k, "cpu.max"))
		r = unified_cpu_max(p, v);
	else if (!strcmp(kv->k, "cpuset.cpus"))
		return put_mask(p, "AllowedCPUs", v, "unified 'cpuset.cpus'");
	else if (!strcmp(kv->k, "cpuset.mems"))
		return put_mask(p, "AllowedMemoryNodes", v, "unified 'cpuset.mems'");
	if (r < 0)
		return skf_fail(p->e, SKF_EINVALID,
				"linux.resources.unified: '%s' of '%s' is not a value that this file takes",
				kv->v, kv->k);
	return 0;
}

static const char *unified_value(const struct skf_spec_resources *r, const char *key)
{
	for (size_t i = 0; i < r->unified.n; i++)
		if (!strcmp(r->unified.v[i].k, key))
			return r->unified.v[i].v;
	return NULL;
}

static bool idle_set(const struct skf_spec_resources *r)
{
	const char *u = unified_value(r, "cpu.idle");

	return (r->cpu.has_idle && r->cpu.idle == 1) || (u && *(u + strspn(u, " \t")) == '1');
}

/* --- devices, v1 --- */

static void put_device(struct props *p, const struct skf_devrule *r)
{
	char path[64], acc[4] = "";
	const char *kind = r->type == 'b' ? "block" : "char";
	size_t n = 0;
	int err;

	if (r->major < 0 && r->minor >= 0)
		return; /* "any major" has no form in DeviceAllow= */
	if (r->access & BPF_DEVCG_ACC_READ)
		acc[n++] = 'r';
	if (r->access & BPF_DEVCG_ACC_WRITE)
		acc[n++] = 'w';
	if (r->access & BPF_DEVCG_ACC_MKNOD)
		acc[n++] = 'm';
	if (r->major < 0)
		err = skf_fmt(path, sizeof(path), "%s-*", kind);
	else if (r->minor < 0)
		err = skf_fmt(path, sizeof(path), "%s-%lld", kind, (long long)r->major);
	else
		err = skf_fmt(path, sizeof(path), "/dev/%s/%lld:%lld", kind, (long long)r->major,
			      (long long)r->minor);
	if (err < 0)
		return;
	skf_dbus_align(p->out, 8);
	skf_dbus_str(p->out, path);
	skf_dbus_str(p->out, acc);
}

static int put_devices(struct props *p, const struct skf_spec_resources *r, struct skf_arena *a)
{
	struct skf_devrules rules;
	size_t at;

	if (skf_cg_devrules(&r->devices, a, &rules, p->e) < 0)
		return -1;
	skf_dbus_prop_str(p->out, "DevicePolicy", rules.allow ? "auto" : "strict");
	skf_dbus_prop(p->out, "DeviceAllow", "a(ss)"); /* an empty list takes back what was there */
	skf_dbus_array_end(p->out, skf_dbus_array(p->out, 8), 8);
	if (rules.allow)
		return 0;
	skf_dbus_prop(p->out, "DeviceAllow", "a(ss)");
	at = skf_dbus_array(p->out, 8);
	for (size_t i = 0; i < rules.n; i++)
		if (rules.v[i].allow)
			put_device(p, &rules.v[i]);
	skf_dbus_array_end(p->out, at, 8);
	return 0;
}

/* --- all --- */

static int put_memory(struct props *p, const struct skf_spec_resources *r)
{
	char swap[24];
	uint64_t n;

	if (r->memory.has_limit && r->memory.limit)
		put_u64(p, p->v2 ? "MemoryMax" : "MemoryLimit",
			(uint64_t)r->memory.limit); /* -1 is systemd's infinity */
	if (!p->v2)
		return 0;
	if (r->memory.has_reservation && r->memory.reservation)
		put_u64(p, "MemoryLow", (uint64_t)r->memory.reservation);
	if (skf_cg_swap_to_v2(r, swap, p->e) < 0)
		return -1;
	if (swap[0] && number_or_max(swap, &n) == 0)
		put_u64(p, "MemorySwapMax", n);
	return 0;
}

static void put_cpu(struct props *p, struct skf_spec_resources *r)
{
	if (p->v2 && idle_set(r)) {
		put_u64(p, "CPUWeight", 0); /* systemd 252: 0 stands for cpu.idle */
		p->cpu_weight = true;
	} else if (r->cpu.has_shares && r->cpu.shares) {
		if (p->v2)
			put_u64(p, "CPUWeight", skf_cg_shares_to_weight(r->cpu.shares));
		else
			put_u64(p, "CPUShares", r->cpu.shares);
	}
	/* A quota of its own in unified goes there too, and a property may be given once only. */
	if (!unified_value(r, "cpu.max"))
		r->cpu.quota = put_quota(p, r->cpu.has_quota ? r->cpu.quota : 0,
					 r->cpu.has_period ? r->cpu.period : 0);
}

int skf_unit_resources(const struct skf_cg_layout *l, struct skf_spec_resources *r, bool update,
		       const struct skf_prop_skip *skip, struct skf_arena *a, struct skf_buf *out,
		       struct skf_err *e)
{
	struct props p = {.out = out, .skip = skip, .e = e, .v2 = l->mode == SKF_CG_V2};

	if (!p.v2 && (!update || r->devices.n) && put_devices(&p, r, a) < 0)
		return -1;
	if (put_memory(&p, r) < 0)
		return -1;
	put_cpu(&p, r);
	if (!p.v2 && r->block_io.has_weight && r->block_io.weight)
		put_u64(&p, "BlockIOWeight", r->block_io.weight);
	if (r->pids.has_limit)
		put_u64(&p, "TasksMax",
			r->pids.limit < 0 ? UINT64_MAX
			: r->pids.limit   ? (uint64_t)r->pids.limit
					  : 1);
	if (put_mask(&p, "AllowedCPUs", r->cpu.cpus, "cpu.cpus") < 0 ||
	    put_mask(&p, "AllowedMemoryNodes", r->cpu.mems, "cpu.mems") < 0)
		return -1;
	for (size_t i = 0; p.v2 && i < r->unified.n; i++)
		if (put_unified(&p, &r->unified.v[i]) < 0)
			return -1;
	return 0;
}
