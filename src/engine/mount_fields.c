/* engine/mount_fields.c -- the words of --mount: fields as CSV, one table of keys. Pure. Which field belongs
 * to which type is checked after all are read, because `type` may come last. */
#include "engine/mount_words_int.h"
#include <stdio.h>
#include <string.h>

#define T(x) (1u << SKF_MOUNT_##x)
#define ANY  ((1u << SKF_N_MOUNT_TYPES) - 1)

struct fields {
	const char *spec;
	struct skf_arena *a;
	struct skf_mount_req m;
	bool has_type, has_propagation;
	const struct field *seen[64];
	size_t n_seen;
};
/* value NULL: the key stood alone. -EINVAL: the value is wrong; -ENOMEM. */
typedef int (*field_fn)(struct fields *f, const struct field *k, char *value);
struct field {
	const char *key;
	unsigned types; /* set of T() that it belongs to */
	field_fn fn;
	size_t off;
	bool flag; /* may stand alone */
};

static bool parse_bool(const char *v, bool *ret)
{
	*ret = !v || skf_streq(v, "true") || skf_streq(v, "1");
	return *ret || skf_streq(v, "false") || skf_streq(v, "0");
}

static int f_type(struct fields *f, const struct field *k, char *v)
{
	(void)k;
	for (int i = 0; v && i < SKF_N_MOUNT_TYPES; i++)
		if (skf_streq(skf_mount_type_name((enum skf_mount_type)i), v)) {
			f->m.type = (enum skf_mount_type)i;
			f->has_type = true;
			return 0;
		}
	return -EINVAL;
}

static int f_str(struct fields *f, const struct field *k, char *v)
{
	if (!v || !*v)
		return -EINVAL;
	*(char **)(void *)((char *)&f->m + k->off) = v;
	return 0;
}

static int f_bool(struct fields *f, const struct field *k, char *v)
{
	return parse_bool(v, (bool *)(void *)((char *)&f->m + k->off)) ? 0 : -EINVAL;
}

static int f_rw(struct fields *f, const struct field *k, char *v)
{
	bool rw;

	(void)k;
	if (!parse_bool(v, &rw))
		return -EINVAL;
	f->m.readonly = !rw;
	return 0;
}

static int f_pairs(struct fields *f, const struct field *k, char *v)
{
	if (!v || !*v)
		return -EINVAL;
	return skf_strv_add(f->a, (struct skf_strv *)(void *)((char *)&f->m + k->off), v);
}

static int f_ignore(struct fields *f, const struct field *k, char *v)
{
	(void)f, (void)k, (void)v;
	return 0;
}

static int f_propagation(struct fields *f, const struct field *k, char *v)
{
	static const char *const words[] = {"shared", "rshared", "slave", "rslave", "private", "rprivate"};

	(void)k;
	for (size_t i = 0; v && i < SKF_ARRAY_LEN(words); i++)
		if (skf_streq(words[i], v)) {
			f->m.propagation = v;
			return 0;
		}
	return -EINVAL;
}

static int f_recursive(struct fields *f, const struct field *k, char *v)
{
	(void)k;
	if (!v)
		return -EINVAL;
	if (skf_streq(v, "disabled"))
		f->m.nonrecursive = true;
	else if (skf_streq(v, "writable"))
		f->m.writable_below = true;
	else if (skf_streq(v, "readonly"))
		f->m.recursive_ro = true;
	else if (!skf_streq(v, "enabled"))
		return -EINVAL;
	return 0;
}

static int f_size(struct fields *f, const struct field *k, char *v)
{
	int64_t n;
	char *word;

	(void)k;
	if (!v || skf_parse_size(v, &n) < 0)
		return -EINVAL;
	word = skf_arena_fmt(f->a, "size=%lld", (long long)n);
	return word ? skf_strv_add(f->a, &f->m.options, word) : -ENOMEM;
}

static int f_mode(struct fields *f, const struct field *k, char *v)
{
	char *word;
	uint32_t mode;

	(void)k;
	if (!v || skf_parse_octal(v, &mode) < 0 || mode > 07777)
		return -EINVAL;
	word = skf_arena_fmt(f->a, "mode=%o", mode);
	return word ? skf_strv_add(f->a, &f->m.options, word) : -ENOMEM;
}

/* The key itself is the kernel's option, e.g. "noexec", "uid=5". */
static int f_kernel(struct fields *f, const struct field *k, char *v)
{
	char *word = v ? skf_arena_fmt(f->a, "%s=%s", k->key, v) : skf_arena_strdup(f->a, k->key);

	return word ? skf_strv_add(f->a, &f->m.options, word) : -ENOMEM;
}

static int f_idmap(struct fields *f, const struct field *k, char *v)
{
	(void)k;
	f->m.idmap = v ? v : skf_arena_strdup(f->a, "");
	return f->m.idmap ? 0 : -ENOMEM;
}

static int f_relabel(struct fields *f, const struct field *k, char *v)
{
	if (v && !skf_streq(v, "shared") && !skf_streq(v, "private"))
		return -EINVAL;
	f->m.relabel = true;
	f->m.relabel_private = skf_streq(v, "private") || skf_streq(k->key, "Z");
	return 0;
}

#define M(member) offsetof(struct skf_mount_req, member)
static const struct field fields[] = {
	{"type", ANY, f_type, 0, false},
	{"source", ANY, f_str, M(source), false},
	{"src", ANY, f_str, M(source), false},
	{"target", ANY, f_str, M(target), false},
	{"dst", ANY, f_str, M(target), false},
	{"destination", ANY, f_str, M(target), false},
	{"readonly", ANY, f_bool, M(readonly), true},
	{"ro", ANY, f_bool, M(readonly), true},
	{"rw", ANY, f_rw, 0, true},
	{"readwrite", ANY, f_rw, 0, true},
	{"consistency", ANY, f_ignore, 0, false},
	{"bind-propagation", T(BIND) | T(GLOB), f_propagation, 0, false},
	{"bind-nonrecursive", T(BIND) | T(GLOB), f_bool, M(nonrecursive), true},
	{"bind-recursive", T(BIND) | T(GLOB), f_recursive, 0, false},
	{"bind-create-src", T(BIND), f_bool, M(make_source), true},
	{"volume-nocopy", T(VOLUME), f_bool, M(nocopy), true},
	{"volume-driver", T(VOLUME), f_str, M(driver), false},
	{"volume-opt", T(VOLUME), f_pairs, M(driver_opts), false},
	{"volume-label", T(VOLUME), f_pairs, M(labels), false},
	{"volume-subpath", T(VOLUME), f_str, M(subpath), false},
	{"image-subpath", T(IMAGE), f_str, M(subpath), false},
	{"subpath", T(VOLUME) | T(IMAGE), f_str, M(subpath), false},
	{"tmpfs-size", T(TMPFS) | T(RAMFS), f_size, 0, false},
	{"tmpfs-mode", T(TMPFS) | T(RAMFS), f_mode, 0, false},
	{"U", T(BIND) | T(VOLUME) | T(GLOB) | T(TMPFS), f_bool, M(chown), true},
	{"chown", T(BIND) | T(VOLUME) | T(GLOB) | T(TMPFS), f_bool, M(chown), true},
	{"idmap", T(BIND) | T(VOLUME) | T(GLOB), f_idmap, 0, true},
	{"relabel", T(BIND) | T(VOLUME) | T(GLOB), f_relabel, 0, false},
	{"z", T(BIND) | T(VOLUME) | T(GLOB), f_relabel, 0, true},
	{"Z", T(BIND) | T(VOLUME) | T(GLOB), f_relabel, 0, true},
	{"tmpcopyup", T(TMPFS) | T(RAMFS), f_kernel, 0, true},
	{"noexec", ANY, f_kernel, 0, true},
	{"exec", ANY, f_kernel, 0, true},
	{"nosuid", ANY, f_kernel, 0, true},
	{"suid", ANY, f_kernel, 0, true},
	{"nodev", ANY, f_kernel, 0, true},
	{"dev", ANY, f_kernel, 0, true},
	{"uid", T(DEVPTS), f_kernel, 0, false},
	{"gid", T(DEVPTS), f_kernel, 0, false},
	{"mode", T(DEVPTS), f_kernel, 0, false},
	{"max", T(DEVPTS), f_kernel, 0, false},
};

static int bad(const struct fields *f, struct skf_err *e, const char *what)
{
	return skf_fail(e, SKF_EINVALID, "invalid argument \"%s\" for \"--mount\" flag: %s", f->spec, what);
}

static int one_field(struct fields *f, char *text, struct skf_err *e)
{
	char *eq = strchr(text, '='), what[200];
	const struct field *k = NULL;
	int r;

	if (eq)
		*eq = '\0';
	for (size_t i = 0; !k && i < SKF_ARRAY_LEN(fields); i++)
		if (skf_streq(fields[i].key, text))
			k = &fields[i];
	if (!k)
		snprintf(what, sizeof(what), "unexpected key '%.60s' in '%.60s%s%.40s'", text, text,
			 eq ? "=" : "", eq ? eq + 1 : "");
	else if (!eq && !k->flag)
		snprintf(what, sizeof(what), "invalid field '%.60s' must be a key=value pair", text);
	else if (f->n_seen == SKF_ARRAY_LEN(f->seen))
		snprintf(what, sizeof(what), "more than %zu fields", SKF_ARRAY_LEN(f->seen));
	else {
		f->seen[f->n_seen++] = k;
		r = k->fn(f, k, eq ? eq + 1 : NULL);
		if (r == -ENOMEM)
			return skf_mount_no_memory(f->spec, e);
		if (r == 0)
			return 0;
		snprintf(what, sizeof(what), "invalid value for %.60s: %.80s", text, eq ? eq + 1 : "");
	}
	return bad(f, e, what);
}

/* The next field of CSV; quotes are taken off. NULL: the end; *broken: a quote that does not end. */
static char *next_field(const char **p, char *room, bool *broken)
{
	char *out = room;

	*broken = false;
	if (!*p)
		return NULL;
	if (**p == '"') {
		for ((*p)++; **p && !(**p == '"' && (*p)[1] != '"'); (*p)++) {
			*p += **p == '"';
			*out++ = **p;
		}
		*broken = **p != '"' || ((*p)[1] && (*p)[1] != ',');
		*p += **p == '"';
	} else {
		while (**p && **p != ',')
			*out++ = *(*p)++;
	}
	*out = '\0';
	*p = **p == ',' ? *p + 1 : NULL;
	return room;
}

static int check_type(struct fields *f, struct skf_err *e)
{
	char what[200];
	const struct skf_mount_req *m = &f->m;
	const char *type = skf_mount_type_name(m->type);

	for (size_t i = 0; i < f->n_seen; i++)
		if (!(f->seen[i]->types & 1u << m->type)) {
			snprintf(what, sizeof(what), "cannot mix '%s' with mount type '%s'", f->seen[i]->key,
				 type);
			return bad(f, e, what);
		}
	if (!m->target)
		return bad(f, e, "target is required");
	if ((m->type == SKF_MOUNT_BIND || m->type == SKF_MOUNT_IMAGE || m->type == SKF_MOUNT_GLOB) &&
	    !m->source)
		return skf_fail(e, SKF_EINVALID,
				"invalid mount config for type \"%s\": field Source must not be empty",
				type);
	if ((m->type == SKF_MOUNT_TMPFS || m->type == SKF_MOUNT_RAMFS || m->type == SKF_MOUNT_DEVPTS) &&
	    m->source)
		return skf_fail(e, SKF_EINVALID,
				"invalid mount config for type \"%s\": field Source must not be specified",
				type);
	if (m->type == SKF_MOUNT_VOLUME && m->source && !skf_name_valid(m->source))
		return skf_fail(
			e, SKF_EINVALID,
			"create %s: \"%s\" includes invalid characters for a local volume name, only "
			"\"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host "
			"directory, use "
			"type=bind",
			m->source, m->source);
	if ((m->type == SKF_MOUNT_BIND || m->type == SKF_MOUNT_GLOB) && m->source[0] != '/')
		return skf_fail(e, SKF_EINVALID,
				"invalid mount config for type \"%s\": invalid mount path: '%s' mount path "
				"must be absolute",
				type, m->source);
	if (m->recursive_ro && !m->readonly)
		return bad(f, e,
			   "option 'bind-recursive=readonly' requires 'readonly' to be specified in "
			   "conjunction");
	if (m->recursive_ro && m->propagation && !strstr(m->propagation, "private"))
		return bad(f, e,
			   "option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be "
			   "specified in conjunction");
	return 0;
}

int skf_engine_parse_mount(const char *spec, struct skf_arena *a, struct skf_mount_req *ret,
			   struct skf_err *e)
{
	struct fields f = {.spec = spec, .a = a, .m = {.type = SKF_MOUNT_VOLUME}};
	const char *p = spec;
	bool broken = false;

	while (p) {
		char *room = skf_arena_alloc(a, strlen(p) + 1);

		if (!room)
			return skf_mount_no_memory(spec, e);
		if (!next_field(&p, room, &broken) || broken)
			return bad(&f, e, "a quote does not end");
		if (one_field(&f, room, e) < 0)
			return -1;
	}
	if (check_type(&f, e) < 0 ||
	    skf_mount_check_target(spec, skf_mount_type_name(f.m.type), a, &f.m, e) < 0)
		return -1;
	if (f.m.type == SKF_MOUNT_TMPFS && skf_mount_tmpfs_options(a, &f.m) < 0)
		return skf_mount_no_memory(spec, e);
	*ret = f.m;
	return 0;
}
