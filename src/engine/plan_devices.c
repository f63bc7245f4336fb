/* engine/plan_devices.c -- devices of a container: --device, --gpus and --device-cgroup-rule. A device is a
 * node in /dev of the container and a rule of its cgroup; directories of devices are taken with all that is
 * in them; what a name of CDI stands for is cdi.c's business. Looks at the host's nodes. */
#include "engine/create_int.h"
#include "engine/cdi.h"
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define MAX_DEPTH 8
#define MAX_GPUS  64

int skf_plan_device(struct skf_plan *p, const struct skf_gen_device *d, const char *access,
		    struct skf_err *e)
{
	struct skf_gen_rule r = {.type = d->type, .major = d->major, .minor = d->minor, .access = access};

	/* --privileged has every node already */
	if (!p->gen.privileged &&
	    skf_plan_push(p, (void **)&p->devices, &p->n_devices, &p->cap_devices, d, sizeof(*d), e) < 0)
		return -1;
	return *access ? skf_plan_push(p, (void **)&p->rules, &p->n_rules, &p->cap_rules, &r, sizeof(r), e)
		       : 0;
}

static int add_device(struct skf_plan *p, const char *inside, const struct stat *st, const char *access,
		      struct skf_err *e)
{
	const struct skf_gen_device d = {.path = inside,
					 .type = S_ISCHR(st->st_mode) ? 'c' : 'b',
					 .major = major(st->st_rdev),
					 .minor = minor(st->st_rdev),
					 .mode = st->st_mode & 07777,
					 .uid = st->st_uid,
					 .gid = st->st_gid};

	return skf_plan_device(p, &d, access, e);
}

static int add_dir(struct skf_plan *p, const char *host, const char *inside, const char *access,
		   unsigned depth, struct skf_err *e);

/* 1 taken, 0 no device. */
static int add_path(struct skf_plan *p, const char *host, const char *inside, const char *access,
		    unsigned depth, struct skf_err *e)
{
	struct stat st;

	if (stat(host, &st) < 0)
		return skf_fail(e, SKF_EINVALID,
				"error gathering device information while adding custom device \"%s\": %s",
				host, errno == ENOENT ? "no such file or directory" : strerror(errno));
	if (S_ISDIR(st.st_mode))
		return add_dir(p, host, inside, access, depth, e);
	if (!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode))
		return 0;
	return add_device(p, inside, &st, access, e) < 0 ? -1 : 1;
}

static int add_dir(struct skf_plan *p, const char *host, const char *inside, const char *access,
		   unsigned depth, struct skf_err *e)
{
	SKF_AUTO_FD int fd = skf_openat(AT_FDCWD, host, O_RDONLY | O_DIRECTORY, 0);
	SKF_AUTO_DIR DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;
	int found = 0;

	if (!d || depth > MAX_DEPTH)
		return skf_fail_sys(e,
				    fd < 0              ? fd
				    : depth > MAX_DEPTH ? -ELOOP
							: -errno,
				    "list the devices in '%s'", host);
	(void)SKF_TAKE_FD(fd); /* d closes it */
	while ((de = readdir(d))) {
		char *from, *to;
		int r;

		if (skf_streq(de->d_name, ".") || skf_streq(de->d_name, "..") || de->d_type == DT_LNK)
			continue;
		from = skf_arena_fmt(p->a, "%s/%s", host, de->d_name);
		to = skf_arena_fmt(p->a, "%s/%s", inside, de->d_name);
		r = from && to ? add_path(p, from, to, access, depth + 1, e) : skf_plan_no_memory(e);
		if (r < 0)
			return -1;
		found |= r;
	}
	return found;
}

static bool is_access(const char *s)
{
	return *s && strlen(s) <= 3 && strspn(s, "rwm") == strlen(s);
}

/* "HOST[:CONTAINER][:ACCESS]" */
static int add_word(struct skf_plan *p, const char *word, struct skf_err *e)
{
	const char *c1 = strchr(word, ':'), *c2 = c1 ? strchr(c1 + 1, ':') : NULL, *access = "rwm";
	char *host = c1 ? skf_arena_dup(p->a, word, (size_t)(c1 - word)) : skf_arena_strdup(p->a, word),
	     *inside = host;
	int r;

	if (c1 && !c2 && is_access(c1 + 1))
		access = c1 + 1;
	else if (c1)
		inside = c2 ? skf_arena_dup(p->a, c1 + 1, (size_t)(c2 - c1 - 1))
			    : skf_arena_strdup(p->a, c1 + 1);
	if (c2)
		access = c2 + 1;
	if (!host || !inside)
		return skf_plan_no_memory(e);
	if (!is_access(access))
		return skf_fail(e, SKF_EINVALID, "invalid device mode: %s", access);
	if (host[0] != '/' || inside[0] != '/')
		return skf_fail(e, SKF_EINVALID,
				"invalid device specification: %s: expected /HOST[:/CONTAINER[:rwm]]", word);
	r = add_path(p, host, inside, access, 0, e);
	if (r < 0)
		return -1;
	return r ? 0
		 : skf_fail(e, SKF_EINVALID,
			    "error gathering device information while adding custom device \"%s\": not a "
			    "device node",
			    host);
}

static int number(const char **s, int64_t *ret)
{
	uint32_t v;
	int r;

	if (**s == '*') {
		*ret = -1;
		(*s)++;
		return 0;
	}
	r = skf_scan_u32(s, &v);
	*ret = v;
	return r < 0 || v > 0xffffff ? -EINVAL : 0;
}

/* "c 1:3 rwm", "a *:* rwm" */
static int add_rule(struct skf_plan *p, const char *word, struct skf_err *e)
{
	struct skf_gen_rule r = {.type = word[0]};
	const char *s = word + 2;

	if (!strchr("abc", word[0]) || !word[0] || word[1] != ' ' || number(&s, &r.major) < 0 ||
	    *s++ != ':' || number(&s, &r.minor) < 0 || *s++ != ' ' || !is_access(s))
		return skf_fail(e, SKF_EINVALID,
				"invalid device cgroup rule format: '%s': expected e.g. 'c 7:* rmw'", word);
	r.access = s;
	return skf_plan_push(p, (void **)&p->rules, &p->n_rules, &p->cap_rules, &r, sizeof(r), e);
}

static int add_name(struct skf_plan *p, struct skf_strv *names, const char *gpu, size_t n, struct skf_err *e)
{
	char *name = skf_arena_fmt(p->a, "nvidia.com/gpu=%.*s", (int)n, gpu);

	if (name && !skf_cdi_is_name(name))
		return skf_fail(e, SKF_EINVALID,
				"invalid argument for \"--gpus\": '%.*s' is no name of a device", (int)n,
				gpu);
	return !name || skf_strv_add(p->a, names, name) < 0 ? skf_plan_no_memory(e) : 0;
}

static int add_count(struct skf_plan *p, struct skf_strv *names, const char *word, struct skf_err *e)
{
	char digits[24];
	int64_t n;

	if (skf_streq(word, "all") || skf_streq(word, "-1"))
		return add_name(p, names, "all", 3, e);
	if (skf_parse_i64(word, &n) < 0 || n < 0 || n > MAX_GPUS)
		return skf_fail(
			e, SKF_EINVALID,
			"invalid argument for \"--gpus\": '%s': expected all, a number, or device=LIST",
			word);
	for (int64_t i = 0; i < n; i++)
		if (skf_fmt(digits, sizeof(digits), "%lld", (long long)i) < 0 ||
		    add_name(p, names, digits, strlen(digits), e) < 0)
			return -1;
	return 0;
}

/* The value of device=, names with commas between them. */
static int add_list(struct skf_plan *p, struct skf_strv *names, const char *list, struct skf_err *e)
{
	for (;;) {
		size_t n = strcspn(list, ",");

		if (add_name(p, names, list, n, e) < 0)
			return -1;
		if (!list[n])
			return 0;
		list += n + 1;
	}
}

/* --gpus all, 2, device=0, '"device=0,2"', 'all,capabilities=utility': docker's fields as names of
 * nvidia.com/gpu. A field in quotes keeps its commas. Which driver and which capabilities there are is in
 * the specification of CDI, so that these two choose nothing. */
static int add_gpus(struct skf_plan *p, const char *word, struct skf_strv *names, struct skf_err *e)
{
	if (!*word)
		return skf_fail(e, SKF_EINVALID,
				"invalid argument for \"--gpus\": expected all, a number, or device=LIST");
	for (const char *s = word; *s;) {
		bool quoted = *s == '"';
		size_t n = strcspn(s += quoted, quoted ? "\"" : ",");
		char *field = skf_arena_dup(p->a, s, n);
		int r = 0;

		if (!field)
			return skf_plan_no_memory(e);
		if (quoted && s[n] != '"')
			return skf_fail(e, SKF_EINVALID,
					"invalid argument for \"--gpus\": %s: a quote does not end", word);
		if (skf_startswith(field, "device="))
			r = add_list(p, names, field + strlen("device="), e);
		else if (skf_startswith(field, "driver=") && !skf_streq(field, "driver=nvidia") &&
			 !skf_streq(field, "driver=cdi"))
			r = skf_fail(e, SKF_EUNSUPPORTED,
				     "--gpus %s: there is the driver nvidia, over CDI; for another one say "
				     "--device VENDOR/CLASS=NAME",
				     word);
		else if (skf_startswith(field, "options="))
			r = skf_fail(e, SKF_EUNSUPPORTED, "--gpus %s: options are not supported", word);
		else if (!skf_startswith(field, "driver=") && !skf_startswith(field, "capabilities="))
			r = add_count(p, names,
				      skf_startswith(field, "count=") ? field + strlen("count=") : field, e);
		if (r < 0)
			return -1;
		s += n + quoted;
		s += *s == ',';
	}
	return 0;
}

int skf_plan_devices(struct skf_plan *p, struct skf_err *e)
{
	const struct skf_settings *s = &p->q->s;
	struct skf_strv names = {0};

	for (size_t i = 0; i < s->devices.n; i++) {
		const char *word = s->devices.v[i];

		if (skf_cdi_is_name(word) ? skf_strv_add(p->a, &names, word) < 0 && skf_plan_no_memory(e)
					  : add_word(p, word, e) < 0)
			return -1;
	}
	for (size_t i = 0; i < s->gpus.n; i++)
		if (add_gpus(p, s->gpus.v[i], &names, e) < 0)
			return -1;
	for (size_t i = 0; i < s->device_cgroup_rules.n; i++)
		if (add_rule(p, s->device_cgroup_rules.v[i], e) < 0)
			return -1;
	if (names.n && skf_plan_cdi(p, &names, e) < 0)
		return -1;
	p->gen.devices = p->devices;
	p->gen.n_devices = p->n_devices;
	p->gen.rules = p->rules;
	p->gen.n_rules = p->n_rules;
	return 0;
}
