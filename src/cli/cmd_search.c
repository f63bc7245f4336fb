/* cli/cmd_search.c -- skiff search: Docker Hub, or the registry that the term begins with; its repositories,
 * or with --list-tags the tags of one. */
#include "cli/cli_int.h"
#include "cli/listing.h"
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#define MAX_LIMIT   100
#define DESCRIPTION 45

static const struct skf_listing_head heads[] = {{"Index", "INDEX"},
						{"Name", "NAME"},
						{"Description", "DESCRIPTION"},
						{"Stars", "STARS"},
						{"StarCount", "STARS"},
						{"Official", "OFFICIAL"},
						{"IsOfficial", "OFFICIAL"},
						{"IsAutomated", "AUTOMATED"},
						{"Tag", "TAG"},
						{NULL, NULL}};

struct wanted {
	int64_t stars;
	int official, automated; /* -1: either */
};

static int read_bool(struct skf_cli *c, const char *word, const char *v, int *ret)
{
	*ret = skf_streq(v, "true") || skf_streq(v, "1")    ? 1
	       : skf_streq(v, "false") || skf_streq(v, "0") ? 0
							    : -1;
	return *ret < 0 ? skf_fail(&c->e, SKF_EINVALID, "invalid filter '%s'", word) : 0;
}

static int read_filters(struct skf_cli *c, struct wanted *w)
{
	*w = (struct wanted){0, -1, -1};
	for (size_t i = 0; i < c->o.filter.n; i++) {
		const char *f = c->o.filter.v[i];
		int r = -1;

		if (skf_startswith(f, "stars="))
			r = skf_parse_i64(f + 6, &w->stars) < 0
				    ? skf_fail(&c->e, SKF_EINVALID, "invalid filter '%s'", f)
				    : 0;
		else if (skf_startswith(f, "is-official="))
			r = read_bool(c, f, f + 12, &w->official);
		else if (skf_startswith(f, "is-automated="))
			r = read_bool(c, f, f + 13, &w->automated);
		else
			skf_fail(&c->e, SKF_EINVALID, "invalid filter '%s'", f);
		if (r < 0)
			return -1;
	}
	return 0;
}

static struct json_object *get(struct json_object *o, const char *k)
{
	struct json_object *v = NULL;

	json_object_object_get_ex(o, k, &v);
	return v;
}

/* One line, printable: the words are a stranger's. */
static char *one_line(struct skf_cli *c, const char *s)
{
	size_t n = s ? strlen(s) : 0;
	char *out = !c->o.no_trunc && n > DESCRIPTION ? skf_arena_fmt(&c->a, "%.44s…", s)
						      : skf_arena_strdup(&c->a, s ? s : "");

	for (char *p = out; p && *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = ' ';
	return out;
}

static int print_row(struct skf_cli *c, struct skf_listing *l, struct skf_table *t, struct json_object *x,
		     bool table)
{
	bool official = json_object_get_boolean(get(x, "is_official"));
	int64_t stars = json_object_get_int64(get(x, "star_count"));
	char *name = one_line(c, json_object_get_string(get(x, "name"))),
	     *about = one_line(c, json_object_get_string(get(x, "description")));
	struct json_object *row;
	char number[24];
	int r;

	if (!name || !about)
		return skf_fail(&c->e, SKF_ENOMEM, "memory for the answer");
	if (table) {
		snprintf(number, sizeof(number), "%lld", (long long)stars);
		skf_table_add(t, name);
		skf_table_add(t, about);
		skf_table_add(t, number);
		skf_table_add(t, official ? "[OK]" : "");
		return 0;
	}
	row = json_object_new_object();
	json_object_object_add(row, "Index", json_object_get(get(x, "index")));
	json_object_object_add(row, "Name", json_object_new_string(name));
	json_object_object_add(row, "Description", json_object_new_string(about));
	json_object_object_add(row, "Stars", json_object_new_int64(stars));
	json_object_object_add(row, "StarCount", json_object_new_int64(stars));
	json_object_object_add(row, "Official", json_object_new_string(official ? "[OK]" : ""));
	json_object_object_add(row, "IsOfficial", json_object_new_boolean(official));
	json_object_object_add(row, "IsAutomated",
			       json_object_new_boolean(json_object_get_boolean(get(x, "is_automated"))));
	r = skf_listing_row(l, row, &c->e);
	json_object_put(row);
	return r;
}

static bool fits(const struct wanted *w, struct json_object *x)
{
	return json_object_get_int64(get(x, "star_count")) >= w->stars &&
	       (w->official < 0 || json_object_get_boolean(get(x, "is_official")) == w->official) &&
	       (w->automated < 0 || json_object_get_boolean(get(x, "is_automated")) == w->automated);
}

static int print_all(struct skf_cli *c, const struct wanted *w, struct json_object *list)
{
	SKF_AUTO(skf_listing_done) struct skf_listing l = {.heads = heads};
	SKF_AUTO(skf_table_done) struct skf_table t = SKF_TABLE(4);
	static const char *const head[] = {"NAME", "DESCRIPTION", "STARS", "OFFICIAL"};
	bool table;

	if (skf_listing_init(&l, c->o.format, &c->a, &table, &c->e) < 0)
		return -1;
	for (size_t i = 0; table && i < SKF_ARRAY_LEN(head); i++)
		skf_table_add(&t, head[i]);
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *x = json_object_array_get_idx(list, i);

		if (fits(w, x) && print_row(c, &l, &t, x, table) < 0)
			return -1;
	}
	if (table)
		skf_table_print(&t);
	return table ? 0 : skf_listing_end(&l, &c->e);
}

static int ask(struct skf_cli *c, enum skf_remote_what what, const char *key, struct json_object **ret_doc,
	       struct json_object **ret_list)
{
	SKF_AUTO(skf_buf_done) struct skf_buf text = SKF_BUF(64u << 20);
	struct skf_remote_req q = SKF_REQ(struct skf_remote_req);
	char limit[24];

	snprintf(limit, sizeof(limit), "%lld", (long long)(c->o.limit > 0 ? c->o.limit : 25));
	q.what = what;
	q.reference = c->args.v[0];
	q.argument = what == SKF_REMOTE_SEARCH ? limit : NULL;
	if (skf_cli_how(c, &q.how) < 0 || skf_cli_engine(c) < 0 ||
	    skf_engine_remote(c->g, &q, &text, &c->e) < 0)
		return -1;
	*ret_doc = json_tokener_parse(skf_buf_cstr(&text));
	*ret_list = *ret_doc ? get(*ret_doc, key) : NULL;
	return *ret_list ? 0
			 : skf_fail(&c->e, SKF_ECORRUPT, "the answer about '%s' is no list", c->args.v[0]);
}

static int list_tags(struct skf_cli *c)
{
	SKF_AUTO(skf_table_done) struct skf_table t = SKF_TABLE(2);
	struct json_object *doc = NULL, *tags;
	size_t max = c->o.limit > 0 ? (size_t)c->o.limit : 25;
	int r = ask(c, SKF_REMOTE_TAGS, "Tags", &doc, &tags);

	skf_table_add(&t, "NAME");
	skf_table_add(&t, "TAG");
	for (size_t i = 0; r == 0 && i < json_object_array_length(tags) && i < max; i++) {
		char *tag = one_line(c, json_object_get_string(json_object_array_get_idx(tags, i)));

		skf_table_add(&t, c->args.v[0]);
		skf_table_add(&t, tag ? tag : "");
	}
	if (r == 0)
		skf_table_print(&t);
	json_object_put(doc);
	return r;
}

int skf_cmd_search(struct skf_cli *c)
{
	struct json_object *doc = NULL, *list;
	struct wanted w;
	int r = -1;

	if (c->o.limit < 0 || (c->o.limit > MAX_LIMIT && !c->o.list_tags))
		skf_fail(&c->e, SKF_EINVALID, "invalid argument \"%lld\" for \"--limit\": expected 0 to %d",
			 (long long)c->o.limit, MAX_LIMIT);
	else if (read_filters(c, &w) == 0)
		r = c->o.list_tags ? list_tags(c) : ask(c, SKF_REMOTE_SEARCH, "results", &doc, &list);
	if (r == 0 && !c->o.list_tags)
		r = print_all(c, &w, list);
	json_object_put(doc);
	return r < 0 ? skf_cli_fail(c, 1) : 0;
}
