/* registry/yaml.c -- a YAML document of the user's as JSON (skopeo's lists of images for `image sync`):
 * mappings with plain keys, sequences, scalars as strings. Bounded in depth and nodes; aliases are refused,
 * so that a small document cannot become a large one. Pure. */
#include "base/json.h"
#include "registry/registry_int.h"
#include <string.h>
#include <yaml.h>

struct convert {
	yaml_parser_t p;
	struct skf_jw w;
	unsigned nodes;
};

static int bad(const struct convert *c, struct skf_err *e, const char *what)
{
	return skf_fail(e, SKF_EINVALID, "line %zu: %s", c->p.mark.line + 1, what);
}

static int next(struct convert *c, yaml_event_t *v, struct skf_err *e)
{
	if (!yaml_parser_parse(&c->p, v))
		return bad(c, e, c->p.problem ? c->p.problem : "this is no YAML");
	if (++c->nodes > SKF_MAX_YAML_NODES) {
		yaml_event_delete(v);
		return skf_fail(e, SKF_ELIMIT, "more than %d nodes", SKF_MAX_YAML_NODES);
	}
	return 0;
}

static int node(struct convert *c, const char *key, const yaml_event_t *v, int depth, struct skf_err *e);

static int children(struct convert *c, bool map, int depth, struct skf_err *e)
{
	for (int r = 0;;) {
		SKF_AUTO(skf_buf_done) struct skf_buf key = SKF_BUF(4096);
		yaml_event_t v;
		if (next(c, &v, e) < 0)
			return -1;
		bool end = v.type == YAML_MAPPING_END_EVENT || v.type == YAML_SEQUENCE_END_EVENT;
		if (!end && map) {
			if (v.type != YAML_SCALAR_EVENT)
				r = bad(c, e, "expected a plain key");
			else
				skf_buf_put(&key, v.data.scalar.value, v.data.scalar.length);
			yaml_event_delete(&v);
			if (r < 0 || key.err || next(c, &v, e) < 0)
				return key.err ? bad(c, e, "a key is too long") : -1;
		}
		if (!end)
			r = node(c, map ? skf_buf_cstr(&key) : NULL, &v, depth, e);
		yaml_event_delete(&v);
		if (end || r < 0)
			return r;
	}
}

/* One value; key NULL: an element of a sequence, or the top. */
static int node(struct convert *c, const char *key, const yaml_event_t *v, int depth, struct skf_err *e)
{
	if (depth > SKF_MAX_YAML_DEPTH)
		return skf_fail(e, SKF_ELIMIT, "line %zu: nested too deeply, at most %d levels are allowed",
				c->p.mark.line + 1, SKF_MAX_YAML_DEPTH);
	switch (v->type) {
	case YAML_SCALAR_EVENT:
		if (memchr(v->data.scalar.value, 0, v->data.scalar.length))
			return bad(c, e, "a zero byte in a text");
		if (key)
			skf_jw_kstr(&c->w, key, (const char *)v->data.scalar.value);
		else
			skf_jw_str(&c->w, (const char *)v->data.scalar.value);
		return 0;
	case YAML_MAPPING_START_EVENT:
		key ? skf_jw_kobj(&c->w, key) : skf_jw_obj(&c->w);
		if (children(c, true, depth + 1, e) < 0)
			return -1;
		skf_jw_end(&c->w);
		return 0;
	case YAML_SEQUENCE_START_EVENT:
		key ? skf_jw_karr(&c->w, key) : skf_jw_arr(&c->w);
		if (children(c, false, depth + 1, e) < 0)
			return -1;
		skf_jw_end_arr(&c->w);
		return 0;
	case YAML_ALIAS_EVENT:
		return bad(c, e, "aliases are not supported");
	default:
		return bad(c, e, "expected a mapping, a sequence or a text");
	}
}

static int document(struct convert *c, struct skf_err *e)
{
	for (;;) {
		yaml_event_t v;
		if (next(c, &v, e) < 0)
			return -1;
		bool head = v.type == YAML_STREAM_START_EVENT || v.type == YAML_DOCUMENT_START_EVENT;
		int r = head                                 ? 0
			: v.type == YAML_MAPPING_START_EVENT ? node(c, NULL, &v, 0, e)
							     : bad(c, e, "expected a mapping on top");
		yaml_event_delete(&v);
		if (!head)
			return r;
	}
}

int skf_yaml_to_json(const char *text, size_t n, struct skf_buf *ret, struct skf_err *e)
{
	struct convert c = {.w = SKF_JW(ret)};
	if (!yaml_parser_initialize(&c.p))
		return skf_fail(e, SKF_ENOMEM, "YAML");
	yaml_parser_set_input_string(&c.p, (const unsigned char *)text, n);
	int r = document(&c, e);
	yaml_parser_delete(&c.p);
	return r == 0 && ret->err ? skf_fail_sys(e, ret->err, "YAML") : r;
}
