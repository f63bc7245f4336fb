/* cli/cmd_runlabel.c -- podman's unshare, which is not for root, and container runlabel: the command line
 * that a label of an image is, with its IMAGE and NAME filled in. An image is not asked what to do on the
 * host: the first word must mean this program (skiff, podman, docker), another one is shown by --display and
 * refused else. There is no shell: words are split, quotes and backslashes are as in sh, and no other
 * character means anything. */
#include "cli/cli_int.h"
#include <ctype.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STATUS    125
#define MAX_WORDS 1024

struct label {
	struct skf_cli *c;
	const char *image, *name, *text;
};

static int no_memory(struct skf_cli *c)
{
	return skf_fail(&c->e, SKF_ENOMEM, "memory for the command of a label");
}

/* --- words --- */
/* One word from *s on into b, which is as long as all of it. false: a quote is not closed. */
static bool next_word(const char **s, char *b)
{
	char quote = '\0';

	for (; **s && (quote || !isspace((unsigned char)**s)); (*s)++) {
		char ch = **s;

		if (quote ? ch == quote : ch == '\'' || ch == '"')
			quote = quote ? '\0' : ch;
		else if (ch == '\\' && quote != '\'' && (*s)[1])
			*b++ = *++(*s);
		else
			*b++ = ch;
	}
	*b = '\0';
	return !quote;
}

/* $NAME and ${NAME}; what podman does not know is empty. */
static const char *variable(const struct label *l, const char *name, size_t n)
{
	const struct {
		const char *name, *value;
	} known[] = {{"IMAGE", l->image}, {"NAME", l->name}, {"PWD", getenv("PWD")}};

	for (size_t i = 0; i < SKF_ARRAY_LEN(known); i++)
		if (strlen(known[i].name) == n && memcmp(known[i].name, name, n) == 0)
			return known[i].value ? known[i].value : "";
	return "";
}

static char *expand(const struct label *l, const char *s)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);

	while (*s) {
		bool braces = s[0] == '$' && s[1] == '{' && strchr(s, '}');
		const char *name = s + (braces ? 2 : 1);
		size_t n = 0;

		while (*s == '$' && (isalnum((unsigned char)name[n]) || name[n] == '_'))
			n++;
		if (n && (!braces || name[n] == '}')) {
			skf_buf_fmt(&b, "%s", variable(l, name, n));
			s = name + n + braces;
		} else {
			skf_buf_fmt(&b, "%c", *s++);
		}
	}
	return b.err < 0 ? NULL : skf_arena_strdup(&l->c->a, skf_buf_cstr(&b));
}

static char *fill_in(const struct label *l, const char *word)
{
	if (skf_streq(word, "IMAGE") || skf_streq(word, "NAME"))
		return skf_arena_strdup(&l->c->a, variable(l, word, strlen(word)));
	if (skf_streq(word, "IMAGE=IMAGE"))
		return skf_arena_fmt(&l->c->a, "IMAGE=%s", l->image);
	if (skf_streq(word, "NAME=NAME"))
		return skf_arena_fmt(&l->c->a, "NAME=%s", l->name);
	return expand(l, word);
}

static int split(const struct label *l, struct skf_strv *ret)
{
	char *b = skf_arena_alloc(&l->c->a, strlen(l->text) + 1);

	if (!b)
		return no_memory(l->c);
	for (const char *s = l->text;;) {
		char *word;

		while (isspace((unsigned char)*s))
			s++;
		if (!*s)
			break;
		if (!next_word(&s, b))
			return skf_fail(&l->c->e, SKF_EINVALID,
					"the label's command has a quote that is not closed: %.200s",
					l->text);
		word = ret->n ? fill_in(l, b) : skf_arena_strdup(&l->c->a, b);
		if (!word || skf_strv_add(&l->c->a, ret, word) < 0)
			return no_memory(l->c);
		if (ret->n > MAX_WORDS)
			return skf_fail(&l->c->e, SKF_ELIMIT, "the label's command has more than %d words",
					MAX_WORDS);
	}
	return ret->n ? 0 : skf_fail(&l->c->e, SKF_EINVALID, "the label's command is empty");
}

/* --- the image --- */
static int pull(struct skf_cli *c, const char *image)
{
	struct skf_pull_req q = SKF_REQ(struct skf_pull_req);
	struct skf_cli_progress p;
	struct skf_pull_ret ret;
	int r = skf_engine_image_has(c->g, image, &c->e);

	if (r)
		return r < 0 ? -1 : 0;
	q.reference = image;
	if (skf_cli_how(c, &q.how) < 0)
		return -1;
	skf_cli_progress_init(&p, stderr, c->o.quiet);
	r = skf_engine_pull(c->g, &q, &p.p, &ret, &c->e);
	skf_cli_progress_done(&p);
	return r;
}

/* What --name is by default: the last part of the image's, without tag and digest. */
static const char *name_of(struct skf_cli *c, const char *image)
{
	const char *slash = strrchr(image, '/'), *last = slash ? slash + 1 : image;

	return skf_arena_dup(&c->a, last, strcspn(last, ":@"));
}

static bool is_id(const char *id, const char *word)
{
	const char *hex = strchr(id, ':');

	return skf_startswith(id, word) || (hex && skf_startswith(hex + 1, word));
}

static int take_label(struct label *l, const char *word, const char *key)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_SPEC_BYTES);
	struct json_object *doc, *id, *tags, *config, *labels, *value;
	struct skf_cli *c = l->c;
	struct skf_jw w = SKF_JW(&b);

	if (skf_engine_image_inspect(c->g, word, &w, &c->e) < 0)
		return -1;
	doc = b.err < 0 ? NULL : json_tokener_parse(skf_buf_cstr(&b));
	if (!doc)
		return no_memory(c);
	l->image = word;
	/* A name may mean something in the command, an id is the image's own. */
	if (json_object_object_get_ex(doc, "Id", &id) && is_id(json_object_get_string(id), word) &&
	    json_object_object_get_ex(doc, "RepoTags", &tags) && json_object_array_length(tags))
		l->image =
			skf_arena_strdup(&c->a, json_object_get_string(json_object_array_get_idx(tags, 0)));
	l->text = NULL;
	if (json_object_object_get_ex(doc, "Config", &config) &&
	    json_object_object_get_ex(config, "Labels", &labels) &&
	    json_object_object_get_ex(labels, key, &value))
		l->text = skf_arena_strdup(&c->a, json_object_get_string(value));
	json_object_put(doc);
	if (!l->text)
		return skf_fail(&c->e, SKF_ENOTFOUND, "cannot find the value of label: %s in image: %s", key,
				word);
	l->name = c->o.name ? c->o.name : l->image ? name_of(c, l->image) : NULL;
	return l->image && l->name ? 0 : no_memory(c);
}

/* --- the command --- */
static bool is_ours(const char *program)
{
	const char *slash = strrchr(program, '/'), *base = slash ? slash + 1 : program;

	return skf_streq(base, "skiff") || skf_streq(base, "podman") || skf_streq(base, "docker");
}

/* --replace: whatever has the name that the command gives. */
static int replace(struct skf_cli *c, const struct skf_strv *words)
{
	for (size_t i = 1; c->o.replace && i < words->n; i++) {
		const char *w = words->v[i];
		const char *name = skf_startswith(w, "--name=")                 ? w + strlen("--name=")
				   : skf_streq(w, "--name") && i + 1 < words->n ? words->v[i + 1]
										: NULL;

		if (!name)
			continue;
		if (skf_engine_rm(c->g, name, true, false, &c->e) < 0 && c->e.kind != SKF_ENOTFOUND)
			return -1;
		skf_err_clear(&c->e);
		break;
	}
	return 0;
}

/* On the same trees. Returns only when it fails. */
static int go(const struct label *l, const struct skf_strv *words)
{
	struct skf_cli *c = l->c;
	char *const global[] = {c->o.root ? skf_arena_fmt(&c->a, "--root=%s", c->o.root) : NULL,
				c->o.run_root ? skf_arena_fmt(&c->a, "--run-root=%s", c->o.run_root) : NULL};
	struct skf_strv argv = {0};
	int r = skf_strv_add(&c->a, &argv, "skiff");

	for (size_t i = 0; r == 0 && i < SKF_ARRAY_LEN(global); i++)
		if (global[i])
			r = skf_strv_add(&c->a, &argv, global[i]);
	for (size_t i = 1; r == 0 && i < words->n; i++)
		r = skf_strv_add(&c->a, &argv, words->v[i]);
	if (r < 0 || setenv("IMAGE", l->image, 1) < 0 || setenv("NAME", l->name, 1) < 0)
		return no_memory(c);
	(void)execv("/proc/self/exe", argv.v);
	return skf_fail_sys(&c->e, -errno, "run skiff for the label's command");
}

int skf_cmd_runlabel(struct skf_cli *c)
{
	struct label l = {.c = c};
	struct skf_strv words = {0};

	if (skf_cli_engine(c) < 0 || pull(c, c->args.v[1]) < 0 ||
	    take_label(&l, c->args.v[1], c->args.v[0]) < 0 || split(&l, &words) < 0)
		return skf_cli_fail(c, STATUS);
	for (size_t i = 2; i < c->args.n; i++)
		if (skf_strv_add(&c->a, &words, c->args.v[i]) < 0)
			return no_memory(c), skf_cli_fail(c, STATUS);
	if (c->o.display) {
		printf("command: %s", is_ours(words.v[0]) ? "skiff" : words.v[0]);
		for (size_t i = 1; i < words.n; i++)
			printf(" %s", words.v[i]);
		printf("\n");
		return 0;
	}
	if (!is_ours(words.v[0]))
		skf_fail(&c->e, SKF_EUNSUPPORTED,
			 "label '%s' of image '%s' runs the host's program '%s': only skiff, podman and "
			 "docker are run (as skiff); see --display",
			 c->args.v[0], c->args.v[1], words.v[0]);
	else if (replace(c, &words) == 0)
		go(&l, &words);
	return skf_cli_fail(c, STATUS);
}

/* podman's word for a plain user's namespace. The engine runs as root and has none. */
int skf_cmd_unshare(struct skf_cli *c)
{
	skf_fail(&c->e, SKF_EUNSUPPORTED, "please use unshare with rootless");
	return skf_cli_fail(c, STATUS);
}
