/* cli/cmd_inspect.c -- inspect: docker's documents of containers and images, whole or through --format. */
#include "cli/cli_int.h"
#include "cli/template.h"
#include <json-c/json.h>
#include <string.h>

/* The document of one object into b; what it may be is said by --type, else containers come first, as in
 * docker. */
static int inspect_one(struct skf_cli *c, const char *name, unsigned indent, struct skf_buf *b)
{
	struct skf_jw w = {.b = b, .indent = indent};
	const char *type = c->o.type ? c->o.type : "";
	bool only_container =
		skf_streq(type, "container") || (c->cmd->group && skf_streq(c->cmd->group, "container"));

	if (!skf_streq(type, "image") && !skf_streq(type, "volume")) {
		if (skf_engine_inspect(c->g, name, c->o.size, &w, &c->e) == 0)
			return 0;
		if (only_container || c->e.kind != SKF_ENOTFOUND)
			return -1;
		skf_err_clear(&c->e);
		skf_buf_clear(b);
		w = (struct skf_jw){.b = b, .indent = indent};
	}
	if (!skf_streq(type, "volume")) {
		if (skf_engine_image_inspect(c->g, name, &w, &c->e) == 0)
			return 0;
		if (c->e.kind != SKF_ENOTFOUND || *type)
			return -1;
		skf_err_clear(&c->e);
		skf_buf_clear(b);
		w = (struct skf_jw){.b = b, .indent = indent};
	}
	if (skf_engine_volume_inspect(c->g, name, &w, &c->e) == 0)
		return 0;
	if (c->e.kind != SKF_ENOTFOUND || *type)
		return -1;
	skf_err_clear(&c->e);
	return skf_fail(&c->e, SKF_ENOTFOUND, "No such object: %s", name);
}

/* The documents stand in one array; each is moved in by its level. */
static void print_indented(const char *text)
{
	while (*text) {
		size_t n = strcspn(text, "\n");

		printf("    %.*s", (int)n, text);
		text += n;
		if (*text)
			putchar(*text++);
	}
}

/* --- through --format --- */

/* Objects whose members users choose: one that is missing is no error there. */
static const char *const free_maps[] = {
	"Annotations",  "Data",  "DriverOpts", "ExposedPorts", "Labels", "Networks", "Options",
	"PortBindings", "Ports", "StorageOpt", "Sysctls",      "Tmpfs",  "Volumes",  NULL};
/* Docker's structs have these names, its JSON those. */
static const struct skf_tmpl_alias go_names[] = {{"ID", "Id"},
						 {"NanoCPUs", "NanoCpus"},
						 {"CPUShares", "CpuShares"},
						 {"CPUPeriod", "CpuPeriod"},
						 {"CPUQuota", "CpuQuota"},
						 {"CPURealtimePeriod", "CpuRealtimePeriod"},
						 {"DNS", "Dns"},
						 {"CPURealtimeRuntime", "CpuRealtimeRuntime"},
						 {"DNSOptions", "DnsOptions"},
						 {"DNSSearch", "DnsSearch"},
						 {NULL, NULL}};

static struct json_object *parse_document(const char *text, size_t n)
{
	struct json_tokener *t = json_tokener_new_ex(SKF_MAX_JSON_DEPTH);
	struct json_object *o = t ? json_tokener_parse_ex(t, text, (int)n) : NULL;

	if (t)
		json_tokener_free(t);
	return o;
}

int skf_cli_doc_format(struct skf_cli *c, struct skf_tmpl **ret)
{
	const char *f = skf_streq(c->o.format, "json") ? "{{json .}}" : c->o.format;

	return skf_tmpl_parse(f, &c->a, ret, &c->e) < 0 ? skf_ctx(&c->e, "template parsing error") : 0;
}

int skf_cli_doc_print(struct skf_cli *c, const struct skf_tmpl *t, const char *text, size_t n)
{
	const struct skf_tmpl_env env = {.maps = free_maps, .alias = go_names};
	SKF_AUTO(skf_buf_done) struct skf_buf out = SKF_BUF(SKF_MAX_TEMPLATE_OUT);
	struct json_object *doc = parse_document(text, n);
	int r;

	if (!doc)
		return skf_fail(&c->e, SKF_EBUG, "a document of our own is no JSON");
	r = skf_tmpl_eval(t, &env, doc, &out, &c->e);
	json_object_put(doc);
	if (r < 0)
		return c->e.kind == SKF_EINVALID ? skf_ctx(&c->e, "template parsing error") : -1;
	fwrite(skf_buf_cstr(&out), 1, out.len, stdout); /* the verb's end looks at stdout */
	putchar('\n');
	return 0;
}

/* Documents, one after the other: docker's array, its compact one for "json", or lines of a template. */
struct printer {
	struct skf_cli *c;
	struct skf_tmpl *t; /* NULL: an array */
	bool compact, any;
};

static int print_document(struct printer *p, const struct skf_buf *b)
{
	if (p->t)
		return skf_cli_doc_print(p->c, p->t, skf_buf_cstr(b), b->len);
	printf("%s%s", p->any ? "," : "", p->compact ? "" : "\n");
	if (p->compact)
		fputs(skf_buf_cstr(b), stdout);
	else
		print_indented(skf_buf_cstr(b));
	p->any = true;
	return 0;
}

static int print_all(struct printer *p, skf_cli_inspect_fn *fn)
{
	struct skf_cli *c = p->c;
	struct skf_err first = SKF_ERR_INIT;

	if (!p->t)
		printf("[");
	for (size_t i = 0; i < c->args.n; i++) {
		SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_SPEC_BYTES * 4);

		skf_err_clear(&c->e);
		if (fn(c, c->args.v[i], p->compact || p->t ? 0 : 4, &b) == 0 && print_document(p, &b) == 0)
			continue;
		if (first.kind == SKF_OK)
			first = c->e;
	}
	if (!p->t)
		printf("%s]\n", p->any && !p->compact ? "\n" : "");
	if (first.kind == SKF_OK)
		return 0;
	c->e = first;
	return skf_cli_fail(c, 1);
}

int skf_cli_inspect_all(struct skf_cli *c, skf_cli_inspect_fn *fn)
{
	struct printer p = {.c = c, .compact = skf_streq(c->o.format, "json")};

	if (c->o.type && !skf_streq(c->o.type, "container") && !skf_streq(c->o.type, "image") &&
	    !skf_streq(c->o.type, "volume")) {
		skf_fail(&c->e, SKF_EINVALID, "invalid --type '%s': expected container, image or volume",
			 c->o.type);
		return skf_cli_fail(c, 1);
	}
	if (c->o.format && *c->o.format && !p.compact && skf_cli_doc_format(c, &p.t) < 0)
		return skf_cli_fail(c, 1);
	return skf_cli_engine(c) < 0 ? skf_cli_fail(c, 1) : print_all(&p, fn);
}

int skf_cmd_inspect(struct skf_cli *c)
{
	return skf_cli_inspect_all(c, inspect_one);
}

static int inspect_image(struct skf_cli *c, const char *name, unsigned indent, struct skf_buf *b)
{
	struct skf_jw w = {.b = b, .indent = indent};

	return skf_engine_image_inspect(c->g, name, &w, &c->e);
}

static int inspect_volume(struct skf_cli *c, const char *name, unsigned indent, struct skf_buf *b)
{
	struct skf_jw w = {.b = b, .indent = indent};

	return skf_engine_volume_inspect(c->g, name, &w, &c->e);
}

int skf_cmd_volume_inspect(struct skf_cli *c)
{
	return skf_cli_inspect_all(c, inspect_volume);
}

int skf_cmd_image_inspect(struct skf_cli *c)
{
	return skf_cli_inspect_all(c, inspect_image);
}

static int inspect_network(struct skf_cli *c, const char *name, unsigned indent, struct skf_buf *b)
{
	struct skf_jw w = {.b = b, .indent = indent};

	return skf_engine_network_inspect(c->g, name, &w, &c->e);
}

int skf_cmd_network_inspect(struct skf_cli *c)
{
	return skf_cli_inspect_all(c, inspect_network);
}
