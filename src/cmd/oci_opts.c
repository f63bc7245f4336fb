/* cmd/oci_opts.c -- the parser of skiff-oci's command line; the options are rows of oci_optrows.c.
 *
 * Go's flag syntax is accepted (-name, --name=value, one dash or two) and the bundles of letters of GNU
 * programs
 * (-dt, -u1000), so that every program that calls runc or crun is understood. Never blocks. */
#include "cmd/oci_int.h"

#include <limits.h>
#include <string.h>

static const struct oci_opt *find_opt(unsigned verb, const char *name, size_t n)
{
	for (size_t i = 0; i < oci_n_opts; i++) {
		const struct oci_opt *p = &oci_opts[i];

		if (!(p->verbs & verb))
			continue;
		if ((n == 1 && p->letter && p->letter == name[0]) ||
		    (strlen(p->name) == n && memcmp(p->name, name, n) == 0))
			return p;
	}
	return NULL;
}

static int add_csv(struct oci *o, struct skf_strv *v, const char *text)
{
	while (*text) {
		size_t n = strcspn(text, ",");
		const char *one = skf_arena_dup(&o->arena, text, n);

		if (!one || (n > 0 && skf_strv_add(&o->arena, v, one) < 0))
			return -ENOMEM;
		text += n + (text[n] == ',');
	}
	return 0;
}

static int set_opt(struct oci *o, const struct oci_opt *p, char *value, struct skf_err *e)
{
	void *dst = (char *)&o->a + p->off;
	int64_t n;
	int r = 0;

	switch (p->type) {
	case O_FLAG:
		if (value && !skf_streq(value, "true") && !skf_streq(value, "false") &&
		    !skf_streq(value, "1") && !skf_streq(value, "0"))
			return skf_fail(e, SKF_EINVALID, "option --%s is true or false, not '%s'", p->name,
					value);
		*(bool *)dst = !skf_streq(value, "false") && !skf_streq(value, "0");
		break;
	case O_STR:
		*(char **)dst = value;
		break;
	case O_U32:
		r = skf_parse_u32(value, dst);
		if (r < 0)
			return skf_fail(e, SKF_EINVALID, "option --%s needs a number, not '%s'", p->name,
					value);
		break;
	case O_INT:
		if (skf_parse_i64(value, &n) < 0 || n < INT_MIN || n > INT_MAX)
			return skf_fail(e, SKF_EINVALID, "option --%s needs a number, not '%s'", p->name,
					value);
		*(int *)dst = (int)n;
		break;
	case O_LIST:
		r = skf_strv_add(&o->arena, dst, value);
		break;
	case O_CSV:
		r = add_csv(o, dst, value);
		break;
	}
	return r < 0 ? skf_fail_sys(e, r, "option --%s", p->name) : 0;
}

static int unknown_opt(const struct oci *o, unsigned verb, const char *word, struct skf_err *e)
{
	if (verb != OCI_GLOBAL)
		return skf_fail(e, SKF_EINVALID, "%s: unknown option '%s'; see %s %s --help", o->verb->name,
				word, o->prog, o->verb->name);
	return skf_fail(e, SKF_EINVALID, "unknown option '%s'; see %s --help", word, o->prog);
}

/* Letters of flags together, the last of which may have a value: -dt, -u1000. */
static int parse_letters(struct oci *o, unsigned verb, char **argv, int argc, int *i, struct skf_err *e)
{
	char *word = argv[*i];

	for (char *c = word + 1; *c; c++) {
		const struct oci_opt *p = find_opt(verb, c, 1);
		char *value = c + 1;

		if (!p)
			return unknown_opt(o, verb, word, e);
		if (p->type == O_FLAG) {
			if (set_opt(o, p, NULL, e) < 0)
				return -1;
			continue;
		}
		if (!*value && *i + 1 >= argc)
			return skf_fail(e, SKF_EINVALID, "option --%s needs %s", p->name, p->arg);
		return set_opt(o, p, *value ? value : argv[++*i], e);
	}
	return 0;
}

/* One word that begins with a dash; *i is moved over its value. */
static int parse_opt(struct oci *o, unsigned verb, char **argv, int argc, int *i, struct skf_err *e)
{
	char *word = argv[*i], *name = word + (word[1] == '-' ? 2 : 1), *eq = strchr(name, '='),
	     *value = eq ? eq + 1 : NULL;
	size_t n = eq ? (size_t)(eq - name) : strlen(name);
	const struct oci_opt *p = find_opt(verb, name, n);

	if (!p && word[1] != '-' && n > 1)
		return parse_letters(o, verb, argv, argc, i, e);
	if (!p)
		return unknown_opt(o, verb, word, e);
	if (p->type != O_FLAG && !value) {
		if (*i + 1 >= argc)
			return skf_fail(e, SKF_EINVALID, "option --%s needs %s", p->name, p->arg);
		value = argv[++*i];
	}
	return set_opt(o, p, value, e);
}

static const struct oci_verb_desc *find_verb(const char *name)
{
	for (const struct oci_verb_desc *v = oci_verbs; v->name; v++)
		if (skf_streq(v->name, name))
			return v;
	return NULL;
}

/* Options and operands of one level. Returns the index of the first word that is not ours; -1. */
static int parse_level(struct oci *o, unsigned verb, int argc, char **argv, int i, struct skf_err *e)
{
	for (; i < argc; i++) {
		/* "ID -- COMMAND": later ones are the command's */
		if (skf_streq(argv[i], "--") && !(verb != OCI_GLOBAL && o->verb->cmd && o->a.rest.n > 1)) {
			for (i++; verb != OCI_GLOBAL && i < argc; i++)
				if (skf_strv_add(&o->arena, &o->a.rest, argv[i]) < 0)
					return skf_nomem(e);
			return i;
		}
		if (argv[i][0] == '-' && argv[i][1] != '\0') {
			/* the command of exec has options of its own: after the first operand they are not
			 * ours */
			if (!(verb != OCI_GLOBAL && o->verb->cmd && o->a.rest.n > 0)) {
				if (parse_opt(o, verb, argv, argc, &i, e) < 0)
					return -1;
				continue;
			}
		}
		if (verb == OCI_GLOBAL)
			return i;
		if (skf_strv_add(&o->arena, &o->a.rest, argv[i]) < 0)
			return skf_nomem(e);
	}
	return i;
}

int oci_parse(struct oci *o, int argc, char **argv, struct skf_err *e)
{
	int i = parse_level(o, OCI_GLOBAL, argc, argv, 1, e), n;

	if (i < 0)
		return -1;
	if (i >= argc || o->a.help || o->a.version)
		return 0;
	o->verb = find_verb(argv[i]);
	if (!o->verb && skf_streq(argv[i], "help")) {
		o->a.help = true;
		if (++i >= argc)
			return 0;
		o->verb = find_verb(argv[i]);
		if (o->verb)
			return 0;
	}
	if (!o->verb)
		return skf_fail(e, SKF_EINVALID, "No help topic for '%s': unknown command; see %s --help",
				argv[i], o->prog);
	if (parse_level(o, o->verb->bit, argc, argv, i + 1, e) < 0)
		return -1;
	if (o->a.help)
		return 0;
	n = (int)o->a.rest.n;
	if (n < o->verb->min || (o->verb->max >= 0 && n > o->verb->max))
		return skf_fail(e, SKF_EINVALID, "%s: %s; usage: %s [OPTION...] %s %s", o->verb->name,
				n < o->verb->min ? "an operand is missing" : "too many operands", o->prog,
				o->verb->name, o->verb->operands);
	return 0;
}

static void help_options(unsigned verb, struct skf_buf *b)
{
	for (size_t i = 0; i < oci_n_opts; i++) {
		const struct oci_opt *p = &oci_opts[i];
		size_t at = b->len;

		if (!(p->verbs & verb))
			continue;
		skf_buf_str(b, "  --");
		skf_buf_str(b, p->name);
		if (p->letter)
			skf_buf_fmt(b, ", -%c", p->letter);
		if (p->arg)
			skf_buf_fmt(b, " %s", p->arg);
		do
			skf_buf_chr(b, ' ');
		while (b->err == 0 && b->len - at < 34);
		skf_buf_fmt(b, "%s\n", p->help);
	}
}

/* The first lines are those of runc, the line "Usage:" is crun's: both are looked for by others' tests. */
void oci_help(const struct oci *o, struct skf_buf *b)
{
	const struct oci_verb_desc *v = o->verb;

	if (v) {
		skf_buf_fmt(b, "NAME:\n   %s %s - %s\n\nUsage: %s [OPTION...] %s%s%s\n\nOptions:\n", o->prog,
			    v->name, v->summary, o->prog, v->name, *v->operands ? " " : "", v->operands);
		help_options(v->bit, b);
		return;
	}
	skf_buf_fmt(b,
		    "NAME:\n   %s - Open Container Initiative runtime\n\nUsage: %s [OPTION...] COMMAND "
		    "[OPTION...]\n\nCommands:\n",
		    o->prog, o->prog);
	for (v = oci_verbs; v->name; v++)
		skf_buf_fmt(b, "  %-10s %s\n", v->name, v->summary);
	skf_buf_fmt(b, "\nGlobal options:\n");
	help_options(OCI_GLOBAL, b);
}
