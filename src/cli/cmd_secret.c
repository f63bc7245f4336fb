/* cli/cmd_secret.c -- secret create, ls, inspect, rm, exists: podman's words and columns, which are docker's
 * where docker has them. */
#include "cli/cli_int.h"
#include "cli/listing.h"
#include "engine/secret.h"
#include <json-c/json.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int read_data(struct skf_cli *c, const char *from, struct skf_buf *ret)
{
	SKF_AUTO_FD int fd = -EBADF;
	const char *v;
	int r;

	if (c->o.from_env) {
		v = getenv(from);
		if (!v)
			return skf_fail(
				&c->e, SKF_ENOTFOUND,
				"cannot create store secret data: environment variable %s is not set", from);
		skf_buf_str(ret, v);
		return ret->err < 0 ? skf_fail_sys(&c->e, ret->err, "read the variable %s", from) : 0;
	}
	if (!skf_streq(from, "-"))
		fd = skf_openat(AT_FDCWD, from, O_RDONLY, 0);
	r = skf_streq(from, "-") ? skf_read_fd(STDIN_FILENO, SKF_MAX_SECRET_BYTES, ret)
	    : fd < 0             ? fd
				 : skf_read_fd(fd, SKF_MAX_SECRET_BYTES, ret);
	if (r == -EFBIG)
		return skf_fail(&c->e, SKF_ELIMIT, "secret data must be larger than 0 and at most %d bytes",
				SKF_MAX_SECRET_BYTES);
	return r < 0 ? skf_fail_sys(&c->e, r, "read the secret from '%s'", from) : 0;
}

int skf_cmd_secret_create(struct skf_cli *c)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_SECRET_BYTES + 1);
	struct skf_secret_create_req q = SKF_REQ(struct skf_secret_create_req);
	char id[SKF_SECRET_ID_LEN + 1];

	if (read_data(c, c->args.v[1], &b) < 0 || skf_cli_engine(c) < 0)
		return skf_cli_fail(c, 1);
	q.name = c->args.v[0];
	q.driver = c->o.driver;
	q.driver_opts = c->o.driver_opt;
	q.labels = c->o.label;
	q.data = skf_buf_cstr(&b);
	q.n = b.len;
	q.replace = c->o.replace;
	q.ignore = c->o.ignore;
	if (skf_engine_secret_create(c->g, &q, id, &c->e) < 0)
		return skf_cli_fail(c, 1);
	printf("%s\n", id);
	return 0;
}

/* --- ls --- */

/* "name=", "id=" as prefixes, "label=KEY[=VALUE]": values of one name are alternatives. */
static bool matches_one(const struct skf_secret *s, const char *name, size_t n, const char *v)
{
	const char *eq = strchr(v, '=');

	if (n == 4 && memcmp(name, "name", 4) == 0)
		return strstr(s->name, v);
	if (n == 2)
		return skf_startswith(s->id, v);
	for (size_t i = 0; i < s->labels.n; i++) {
		const char *k = s->labels.v[i].k;

		if (eq ? strlen(k) == (size_t)(eq - v) && strncmp(k, v, (size_t)(eq - v)) == 0 &&
				    skf_streq(s->labels.v[i].v, eq + 1)
		       : skf_streq(k, v))
			return true;
	}
	return false;
}

static bool matches(const struct skf_secret *s, const struct skf_strv *filters)
{
	for (size_t i = 0; i < filters->n; i++) {
		size_t n = strcspn(filters->v[i], "=");
		bool any = false;

		for (size_t k = 0; k < filters->n; k++)
			if (strncmp(filters->v[k], filters->v[i], n + 1) == 0)
				any |= matches_one(s, filters->v[i], n, filters->v[k] + n + 1);
		if (!any)
			return false;
	}
	return true;
}

static int check_filters(struct skf_cli *c)
{
	static const char *const known[] = {"id", "label", "name"};

	if (skf_cli_check_filters(c) < 0)
		return -1;
	for (size_t i = 0; i < c->o.filter.n; i++) {
		size_t n = strcspn(c->o.filter.v[i], "="), k = 0;

		while (k < SKF_ARRAY_LEN(known) &&
		       !(strlen(known[k]) == n && memcmp(known[k], c->o.filter.v[i], n) == 0))
			k++;
		if (k == SKF_ARRAY_LEN(known))
			return skf_fail(&c->e, SKF_EINVALID,
					"invalid filter '%.*s': expected id, label or name", (int)n,
					c->o.filter.v[i]);
	}
	return 0;
}

static void ago(const char *when, char *out, size_t size)
{
	int64_t ns;

	if (skf_parse_rfc3339(when, &ns) < 0)
		snprintf(out, size, "%s", when);
	else
		skf_human_ago(ns, skf_now_ns(), out, size);
}

static char *labels_text(struct skf_cli *c, const struct skf_kvs *m)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_OBJECT_BYTES);

	for (size_t i = 0; i < m->n; i++)
		skf_buf_fmt(&b, "%s%s=%s", i ? "," : "", m->v[i].k, m->v[i].v);
	return skf_arena_dup(&c->a, skf_buf_cstr(&b), b.len);
}

static struct json_object *document(struct skf_cli *c, const struct skf_secret *s)
{
	const char *labels = labels_text(c, &s->labels);
	char created[80], updated[80];
	const char *const pairs[][2] = {{"CreatedAt", created}, {"Driver", "file"}, {"ID", s->id},
					{"Labels", labels},     {"Name", s->name},  {"UpdatedAt", updated}};

	ago(s->created, created, sizeof(created));
	ago(s->updated, updated, sizeof(updated));
	return labels ? skf_listing_document(pairs, SKF_ARRAY_LEN(pairs)) : NULL;
}

static void print_plain(struct skf_cli *c, const struct skf_jarr *rows)
{
	static const char *const heads[] = {"ID", "NAME", "DRIVER", "CREATED", "UPDATED"};
	SKF_AUTO(skf_table_done) struct skf_table t = SKF_TABLE(5);
	const struct skf_secret *s = rows->v;

	for (size_t i = 0; !c->o.noheading && i < SKF_ARRAY_LEN(heads); i++)
		skf_table_add(&t, heads[i]);
	for (size_t i = 0; i < rows->n; i++) {
		char created[80], updated[80];

		ago(s[i].created, created, sizeof(created));
		ago(s[i].updated, updated, sizeof(updated));
		skf_table_add(&t, s[i].id);
		skf_table_add(&t, s[i].name);
		skf_table_add(&t, "file");
		skf_table_add(&t, created);
		skf_table_add(&t, updated);
	}
	skf_table_print(&t);
}

static int print_formatted(struct skf_cli *c, struct skf_listing *l, const struct skf_jarr *rows)
{
	const struct skf_secret *s = rows->v;

	for (size_t i = 0; i < rows->n; i++) {
		struct json_object *o = document(c, &s[i]);
		int r = o ? skf_listing_row(l, o, &c->e)
			  : skf_fail(&c->e, SKF_ENOMEM, "memory for the list");

		json_object_put(o);
		if (r < 0)
			return -1;
	}
	return skf_listing_end(l, &c->e);
}

static int list(struct skf_cli *c, struct skf_listing *l)
{
	struct skf_jarr rows;
	struct skf_secret *s;
	bool plain;
	size_t n = 0;

	if (check_filters(c) < 0)
		return skf_cli_usage(c);
	if (skf_listing_init(l, c->o.format, &c->a, &plain, &c->e) < 0 || skf_cli_engine(c) < 0 ||
	    skf_engine_secrets(c->g, &c->a, &rows, &c->e) < 0)
		return skf_cli_fail(c, 1);
	s = rows.v;
	for (size_t i = 0; i < rows.n; i++)
		if (matches(&s[i], &c->o.filter))
			s[n++] = s[i];
	rows.n = n;
	for (size_t i = 0; c->o.quiet && i < n; i++)
		printf("%s\n", s[i].id);
	if (c->o.quiet)
		return 0;
	if (!plain)
		return print_formatted(c, l, &rows) < 0 ? skf_cli_fail(c, 1) : 0;
	print_plain(c, &rows);
	return 0;
}

int skf_cmd_secret_ls(struct skf_cli *c)
{
	static const struct skf_listing_head heads[] = {
		{"CreatedAt", "CREATED"}, {"Driver", "DRIVER"},     {"ID", "ID"}, {"Labels", "LABELS"},
		{"Name", "NAME"},         {"UpdatedAt", "UPDATED"}, {NULL, NULL}};
	struct skf_listing l = {.heads = heads, .env = {.type = "*formatter.secretContext"}};
	int r = list(c, &l);

	skf_listing_done(&l);
	return r;
}

/* --- inspect, rm, exists --- */

static int inspect_one(struct skf_cli *c, const char *name, unsigned indent, struct skf_buf *b)
{
	struct skf_jw w = {.b = b, .indent = indent};

	return skf_engine_secret_inspect(c->g, name, c->o.showsecret, &w, &c->e);
}

static int show_pretty(struct skf_cli *c, const char *name)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_SECRET_BYTES);
	struct skf_secret *s;

	if (skf_engine_secret_get(c->g, name, &c->a, &s, &c->e) < 0 ||
	    (c->o.showsecret && skf_engine_secret_data(c->g, s, &b, &c->e) < 0))
		return -1;
	printf("ID:              %s\nName:            %s\n", s->id, s->name);
	for (size_t i = 0; i < s->labels.n; i++)
		printf("%s%s=%s\n", i ? " - " : "Labels:\n - ", s->labels.v[i].k, s->labels.v[i].v);
	printf("Driver:          file\nCreated at:      %s\nUpdated at:      %s\n", s->created, s->updated);
	if (c->o.showsecret)
		printf("Secret data:     %s\n", skf_buf_cstr(&b));
	return 0;
}

int skf_cmd_secret_inspect(struct skf_cli *c)
{
	if (!c->o.pretty)
		return skf_cli_inspect_all(c, inspect_one);
	if (c->o.format) {
		skf_fail(&c->e, SKF_EINVALID, "--format is incompatible with human friendly format");
		return skf_cli_fail(c, 1);
	}
	return skf_cli_engine(c) < 0 ? skf_cli_fail(c, 1) : skf_cli_for_each(c, show_pretty);
}

static int remove_one(struct skf_cli *c, const char *name)
{
	char id[SKF_SECRET_ID_LEN + 1];

	if (skf_engine_secret_rm(c->g, name, id, &c->e) == 0) {
		printf("%s\n", id);
		return 0;
	}
	if (!c->o.ignore || c->e.kind != SKF_ENOTFOUND)
		return -1;
	skf_err_clear(&c->e);
	return 0;
}

int skf_cmd_secret_rm(struct skf_cli *c)
{
	const struct skf_secret *s;
	struct skf_jarr rows;

	if (c->o.all == (c->args.n > 0)) {
		skf_fail(&c->e, SKF_EINVALID,
			 c->o.all ? "`secret rm` takes --all or secrets, not both"
				  : "`secret rm` requires at least one argument, or the --all flag");
		return skf_cli_fail(c, 1);
	}
	if (skf_cli_engine(c) < 0 || (c->o.all && skf_engine_secrets(c->g, &c->a, &rows, &c->e) < 0))
		return skf_cli_fail(c, 1);
	s = c->o.all ? rows.v : NULL;
	for (size_t i = 0; c->o.all && i < rows.n; i++)
		if (skf_strv_add(&c->a, &c->args, s[i].name) < 0) {
			skf_fail(&c->e, SKF_ENOMEM, "memory for the list of secrets");
			return skf_cli_fail(c, 1);
		}
	return skf_cli_for_each(c, remove_one);
}

int skf_cmd_secret_exists(struct skf_cli *c)
{
	struct skf_secret *s;

	if (skf_cli_engine(c) < 0)
		return skf_cli_fail(c, 125);
	if (skf_engine_secret_get(c->g, c->args.v[0], &c->a, &s, &c->e) == 0)
		return 0;
	return c->e.kind == SKF_ENOTFOUND ? 1 : skf_cli_fail(c, 125);
}
