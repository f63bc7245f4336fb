/* cmd/oci_opts.c -- the command line of skiff-oci as one table.
 *
 * A row names an option once, with the verbs that know it; parser, help and error messages come from it. The
 * words are runc's, so that every program that calls runc or crun finds what it passes; Go's flag syntax is
 * accepted as well (-name, --name=value, one dash or two). */
#include "cmd/oci_int.h"

#include <string.h>

enum opt_type { O_FLAG, O_STR, O_U32, O_LIST, O_CSV };

struct opt {
	const char *name;
	char letter;
	enum opt_type type;
	unsigned verbs;
	size_t off;
	const char *arg, *help;
};

#define OPT(n, l, t, v, m, a, h)                                                                            \
	{                                                                                                   \
		n, l, t, v, offsetof(struct oci_args, m), a, h                                              \
	}
#define START_VERBS (OCI_CREATE | OCI_RUN)

static const struct opt opts[] = {
	OPT("root", 0, O_STR, OCI_GLOBAL, root, "DIR",
	    "where the state of containers is kept (default /run/skiff-oci)"),
	OPT("log", 0, O_STR, OCI_GLOBAL, log_path, "FILE", "append warnings and errors to FILE as well"),
	OPT("log-format", 0, O_STR, OCI_GLOBAL, log_format, "text|json",
	    "format of the log file (default text)"),
	OPT("log-level", 0, O_STR, OCI_GLOBAL, log_level, "LEVEL",
	    "error, warning, info or debug (default warning)"),
	OPT("debug", 0, O_FLAG, OCI_GLOBAL, debug, NULL, "same as --log-level debug"),
	OPT("systemd-cgroup", 0, O_FLAG, OCI_GLOBAL, systemd_cgroup, NULL,
	    "systemd makes the cgroups (not available in this version: create and run refuse it)"),
	OPT("cgroup-manager", 0, O_STR, OCI_GLOBAL, cgroup_manager, "MANAGER",
	    "cgroupfs, systemd or disabled (default cgroupfs)"),
	OPT("rootless", 0, O_STR, OCI_GLOBAL, rootless, "true|false|auto",
	    "accepted for compatibility: found out by itself"),
	OPT("version", 'v', O_FLAG, OCI_GLOBAL, version, NULL, "print the version"),
	OPT("help", 'h', O_FLAG, ~0u, help, NULL, "print this text"),

	OPT("bundle", 'b', O_STR, START_VERBS | OCI_SPEC, bundle, "DIR",
	    "the bundle (default: the working directory)"),
	OPT("config", 'f', O_STR, START_VERBS, config, "FILE",
	    "name of the configuration in the bundle (default config.json)"),
	OPT("console-socket", 0, O_STR, START_VERBS | OCI_EXEC, console_socket, "PATH",
	    "AF_UNIX socket that gets the terminal's master"),
	OPT("pid-file", 0, O_STR, START_VERBS | OCI_EXEC, pid_file, "FILE", "write the process id to FILE"),
	OPT("no-pivot", 0, O_FLAG, START_VERBS, no_pivot, NULL,
	    "do not use pivot_root (for a root on an initramfs; less safe)"),
	OPT("no-new-keyring", 0, O_FLAG, START_VERBS, no_new_keyring, NULL,
	    "do not make a session keyring for the container"),
	OPT("preserve-fds", 0, O_U32, START_VERBS | OCI_EXEC, preserve_fds, "N",
	    "pass N descriptors from 3 on"),
	OPT("detach", 'd', O_FLAG, OCI_RUN | OCI_EXEC, detach, NULL, "do not wait for the process"),
	OPT("keep", 0, O_FLAG, OCI_RUN, keep, NULL, "do not delete the container after it exited"),
	OPT("no-subreaper", 0, O_FLAG, OCI_RUN, no_subreaper, NULL, "do not become a child subreaper"),
	OPT("process", 'p', O_STR, OCI_EXEC, process, "FILE", "process.json to execute"),
	OPT("tty", 't', O_FLAG, OCI_EXEC, tty, NULL, "allocate a terminal"),
	OPT("cwd", 0, O_STR, OCI_EXEC, cwd, "DIR", "working directory in the container"),
	OPT("env", 'e', O_LIST, OCI_EXEC, env, "NAME=VALUE", "set an environment variable (repeatable)"),
	OPT("user", 'u', O_STR, OCI_EXEC, user, "UID[:GID]", "user of the process"),
	OPT("additional-gids", 'g', O_CSV, OCI_EXEC, gids, "GID", "additional group (repeatable)"),
	OPT("cap", 'c', O_LIST, OCI_EXEC, caps, "CAP", "add a capability (repeatable)"),
	OPT("no-new-privs", 0, O_FLAG, OCI_EXEC, no_new_privs, NULL, "set no_new_privs"),
	OPT("process-label", 0, O_STR, OCI_EXEC, process_label, "LABEL", "SELinux label of the process"),
	OPT("apparmor", 0, O_STR, OCI_EXEC, apparmor, "PROFILE", "AppArmor profile of the process"),
	OPT("cgroup", 0, O_STR, OCI_EXEC, cgroup, "PATH", "cgroup below the container's own"),
	OPT("ignore-paused", 0, O_FLAG, OCI_EXEC, ignore_paused, NULL, "allow exec in a paused container"),
	OPT("all", 'a', O_FLAG, OCI_KILL, all, NULL, "signal all processes of the container"),
	OPT("force", 'f', O_FLAG, OCI_DELETE, force, NULL,
	    "kill a running container first; a missing one is no error"),
	OPT("format", 'f', O_STR, OCI_LIST, format, "table|json", "format of the list (default table)"),
	OPT("quiet", 'q', O_FLAG, OCI_LIST, quiet, NULL, "ids only"),
	OPT("rootless", 0, O_FLAG, OCI_SPEC, spec_rootless, NULL, "a configuration for a plain user"),
};

static const struct opt *find_opt(unsigned verb, const char *name, size_t n)
{
	for (size_t i = 0; i < SKF_ARRAY_LEN(opts); i++) {
		const struct opt *p = &opts[i];

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

static int set_opt(struct oci *o, const struct opt *p, char *value, struct skf_err *e)
{
	void *dst = (char *)&o->a + p->off;
	int r = 0;

	switch (p->type) {
	case O_FLAG:
		if (value && !skf_streq(value, "true") && !skf_streq(value, "false"))
			return skf_fail(e, SKF_EINVALID, "option --%s is true or false, not '%s'", p->name,
					value);
		*(bool *)dst = !skf_streq(value, "false");
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
	case O_LIST:
		r = skf_strv_add(&o->arena, dst, value);
		break;
	case O_CSV:
		r = add_csv(o, dst, value);
		break;
	}
	return r < 0 ? skf_fail_sys(e, r, "option --%s", p->name) : 0;
}

/* One word that begins with a dash; *i is moved over its value. */
static int parse_opt(struct oci *o, unsigned verb, char **argv, int argc, int *i, struct skf_err *e)
{
	char *word = argv[*i], *name = word + (word[1] == '-' ? 2 : 1), *eq = strchr(name, '='),
	     *value = eq ? eq + 1 : NULL;
	size_t n = eq ? (size_t)(eq - name) : strlen(name);
	const struct opt *p = find_opt(verb, name, n);

	if (!p) {
		if (verb != OCI_GLOBAL)
			return skf_fail(e, SKF_EINVALID, "%s: unknown option '%s'; see skiff-oci %s --help",
					o->verb->name, word, o->verb->name);
		return skf_fail(e, SKF_EINVALID, "unknown option '%s'; see skiff-oci --help", word);
	}
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
					return skf_fail(e, SKF_ENOMEM, "command line");
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
			return skf_fail(e, SKF_ENOMEM, "command line");
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
		o->verb = i + 1 < argc ? find_verb(argv[i + 1]) : NULL;
		return 0;
	}
	if (!o->verb)
		return skf_fail(e, SKF_EINVALID, "unknown command '%s'; see skiff-oci --help", argv[i]);
	if (parse_level(o, o->verb->bit, argc, argv, i + 1, e) < 0)
		return -1;
	if (o->a.help)
		return 0;
	n = (int)o->a.rest.n;
	if (n < o->verb->min || (o->verb->max >= 0 && n > o->verb->max))
		return skf_fail(e, SKF_EINVALID, "%s: %s; usage: skiff-oci %s [options] %s", o->verb->name,
				n < o->verb->min ? "an operand is missing" : "too many operands",
				o->verb->name, o->verb->operands);
	return 0;
}

static void help_options(unsigned verb, struct skf_buf *b)
{
	for (size_t i = 0; i < SKF_ARRAY_LEN(opts); i++) {
		const struct opt *p = &opts[i];
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

void oci_help(const struct oci_verb_desc *v, struct skf_buf *b)
{
	if (v) {
		skf_buf_fmt(b, "skiff-oci %s [options] %s\n%s\n\nOptions:\n", v->name, v->operands,
			    v->summary);
		help_options(v->bit, b);
		return;
	}
	skf_buf_str(b, "skiff-oci [global options] COMMAND [options] [operands]\nOCI runtime with runc's "
		       "command line.\n\nCommands:\n");
	for (v = oci_verbs; v->name; v++)
		skf_buf_fmt(b, "  %-10s %s\n", v->name, v->summary);
	skf_buf_str(b, "\nGlobal options:\n");
	help_options(OCI_GLOBAL, b);
}
