/* engine/log_details.c -- what `logs --details` shows before a line: the attributes of docker's json-file
 * log as "k=v,k=v ", sorted, each escaped as in the query of a URL. Pure; what is not JSON is left out. */
#include "engine/engine_int.h"
#include "engine/logline.h"
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

static void escape(struct skf_buf *b, const char *p)
{
	static const char hex[] = "0123456789ABCDEF";

	for (; *p; p++) {
		unsigned char c = (unsigned char)*p;

		if (c == ' ') {
			skf_buf_chr(b, '+');
		} else if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
			   strchr("-_.~", c)) {
			skf_buf_chr(b, *p);
		} else {
			skf_buf_chr(b, '%');
			skf_buf_chr(b, hex[c >> 4]);
			skf_buf_chr(b, hex[c & 15]);
		}
	}
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void write_all(struct json_object *o, struct skf_buf *b)
{
	size_t n = (size_t)json_object_object_length(o), i = 0;
	const char **names = calloc(n + 1, sizeof(*names));

	if (!names)
		return;
	json_object_object_foreach(o, key, unused)
	{
		(void)unused;
		names[i++] = key;
	}
	qsort(names, n, sizeof(*names), by_name);
	for (i = 0; i < n; i++) {
		const char *v = json_object_get_string(json_object_object_get(o, names[i]));

		if (i)
			skf_buf_chr(b, ',');
		escape(b, names[i]);
		skf_buf_chr(b, '=');
		escape(b, v ? v : "");
	}
	free(names);
}

void skf_log_details(const char *attrs, size_t n, struct skf_buf *b)
{
	struct json_tokener *t = attrs ? json_tokener_new_ex(4) : NULL;
	struct json_object *o = t ? json_tokener_parse_ex(t, attrs, (int)n) : NULL;

	if (o && json_object_is_type(o, json_type_object))
		write_all(o, b);
	json_object_put(o);
	if (t)
		json_tokener_free(t);
	skf_buf_chr(b, ' ');
}
