/* launch/log_attrs.c -- docker's "attrs" of a json-file log: the labels and variables of the container that
 * --log-opt labels, labels-regex, env and env-regex choose, and the tag, as the member that the monitor
 * copies into each entry. Sorted by key, as docker has them. Does not block. */
#include "launch/launch_int.h"
#include <json-c/json.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

struct choice {
	const char *list; /* "a,b" or NULL */
	regex_t re;
	bool has_re;
};

bool skf_launch_listed(const char *list, const char *word)
{
	size_t n = strlen(word);

	for (; list && *list; list += strcspn(list, ","), list += *list == ',')
		if (strncmp(list, word, n) == 0 && (list[n] == ',' || !list[n]))
			return true;
	return false;
}

static void choose(const struct skf_launch *l, struct choice *c, const char *list, const char *regex)
{
	const char *re = skf_kvs_get(&l->conf->log_opts, regex);

	*c = (struct choice){.list = skf_kvs_get(&l->conf->log_opts, list)};
	c->has_re =
		re && *re && regcomp(&c->re, re, REG_EXTENDED | REG_NOSUB) == 0; /* was checked at create */
}

static bool chosen(const struct choice *c, const char *word)
{
	return skf_launch_listed(c->list, word) || (c->has_re && regexec(&c->re, word, 0, NULL, 0) == 0);
}

static void choice_done(struct choice *c)
{
	if (c->has_re)
		regfree(&c->re);
}

static int put(struct json_object *to, const char *key, const char *value)
{
	struct json_object *v = json_object_new_string(value);

	if (v && json_object_object_add(to, key, v) == 0)
		return 0;
	json_object_put(v);
	return -ENOMEM;
}

static int labels(const struct skf_launch *l, struct json_object *to)
{
	struct json_object *q = l->conf->request ? json_tokener_parse(l->conf->request) : NULL, *all;
	struct choice c;
	int r = 0;

	choose(l, &c, "labels", "labels-regex");
	if (q && json_object_object_get_ex(q, "labels", &all) &&
	    json_object_is_type(all, json_type_object)) {
		json_object_object_foreach(all, key, v) if (r == 0 && chosen(&c, key)) r =
			put(to, key, json_object_get_string(v));
	}
	json_object_put(q);
	choice_done(&c);
	return r;
}

static int variables(const struct skf_launch *l, struct json_object *to)
{
	struct choice c;
	int r = 0;

	choose(l, &c, "env", "env-regex");
	for (size_t i = 0; r == 0 && i < l->process->env.n; i++) {
		const char *v = l->process->env.v[i];
		char key[256];

		if (strchr(v, '=') && skf_fmt(key, sizeof(key), "%.*s", (int)strcspn(v, "="), v) == 0 &&
		    chosen(&c, key))
			r = put(to, key, v + strlen(key) + 1);
	}
	choice_done(&c);
	return r;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int write_sorted(struct json_object *o, struct skf_buf *b)
{
	size_t n = (size_t)json_object_object_length(o), i = 0;
	const char **names = calloc(n + 1, sizeof(*names));

	if (!names)
		return -ENOMEM;
	json_object_object_foreach(o, key, unused)
	{
		(void)unused;
		names[i++] = key;
	}
	qsort(names, n, sizeof(*names), by_name);
	skf_buf_str(b, "\"attrs\":{");
	for (i = 0; i < n; i++) {
		const char *v = json_object_get_string(json_object_object_get(o, names[i]));

		skf_buf_str(b, i ? ",\"" : "\"");
		skf_json_escape(b, names[i], strlen(names[i]));
		skf_buf_str(b, "\":\"");
		skf_json_escape(b, v, strlen(v));
		skf_buf_chr(b, '"');
	}
	skf_buf_str(b, "},");
	free(names);
	return 0;
}

int skf_launch_log_attrs(const struct skf_launch *l, const char *tag, struct skf_buf *b)
{
	struct json_object *o = json_object_new_object();
	int r = o ? labels(l, o) : -ENOMEM;

	if (r == 0)
		r = variables(l, o);
	if (r == 0 && tag)
		r = put(o, "tag", tag);
	if (r == 0 && json_object_object_length(o))
		r = write_sorted(o, b);
	json_object_put(o);
	return r;
}
