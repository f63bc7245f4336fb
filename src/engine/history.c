/* engine/history.c -- how an image came to be, as its config tells it, with the sizes of the layers that are
 * here. Reads the disk. */
#include "base/arena.h"
#include "base/json.h"
#include "engine/archive_int.h"
#include <string.h>

struct step {
	char *created, *created_by, *comment;
	bool empty;
};
struct doc {
	struct skf_jarr v;
};

#define S(member, key, fn) SKF_J(struct step, member, key, fn, NULL, SKF_J_NULL_OK)
static const struct skf_jfield step_f[] = {
	S(created, "created", skf_j_str), S(created_by, "created_by", skf_j_str),
	S(comment, "comment", skf_j_str), S(empty, "empty_layer", skf_j_bool), SKF_J_END};
#undef S
static const struct skf_jtable step_table = {sizeof(struct step), step_f, false, NULL};
static const struct skf_jarr_arg step_arr = {&step_table, 10000};
static const struct skf_jfield doc_f[] = {SKF_J(struct doc, v, "history", skf_j_arr, &step_arr, 0),
					  SKF_J_END};
static const struct skf_jtable doc_table = {sizeof(struct doc), doc_f, false, NULL};

static int one_layer(struct skf_engine *g, const struct skf_image *i, size_t k, struct skf_arena *a,
		     struct skf_history_row *row, struct skf_err *e)
{
	const struct skf_image_layer *l = i->layers.v;
	struct skf_layer_info info = {0};

	if (k >= i->layers.n)
		return 0; /* a history longer than the image: shown without a size */
	if (skf_store_layer_has(g->store, &l[k].diff_id, &info, e) < 0)
		return -1;
	row->size = info.size;
	row->layer = skf_arena_strdup(a, l[k].diff_id.s);
	return row->layer ? 0 : skf_fail(e, SKF_ENOMEM, "memory for the history");
}

static int decode(const char *text, size_t len, struct skf_arena *a, struct doc **ret, struct skf_err *e)
{
	const struct skf_jdoc j = {.name = "config", .max_bytes = SKF_MAX_CONFIG_BLOB_BYTES};
	void *v;

	if (skf_json_decode(&j, text, len, &doc_table, a, &v, e) < 0)
		return -1;
	*ret = v;
	return 0;
}

int skf_history_comment(const char *config, size_t len, struct skf_arena *a, const char **ret,
			struct skf_err *e)
{
	const struct step *s;
	struct doc *d;

	if (decode(config, len, a, &d, e) < 0)
		return -1;
	s = d->v.v;
	*ret = d->v.n && s[d->v.n - 1].comment ? s[d->v.n - 1].comment : "";
	return 0;
}

int skf_engine_history(struct skf_engine *g, const char *image, struct skf_arena *a, struct skf_jarr *ret,
		       struct skf_digest *ret_config, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_CONFIG_BLOB_BYTES);
	struct skf_history_row *rows;
	const struct step *s;
	struct skf_refrec ref;
	struct skf_image *i;
	struct doc *d;
	char *none = skf_arena_strdup(a, "");
	size_t layer = 0, n;

	if (skf_store_resolve(g->store, image, a, &i, &ref, e) < 0 ||
	    skf_store_blob_read(g->store, &i->config, SKF_MAX_CONFIG_BLOB_BYTES, &b, e) < 0 ||
	    decode(skf_buf_cstr(&b), b.len, a, &d, e) < 0)
		return -1;
	s = d->v.v;
	n = d->v.n ? d->v.n : i->layers.n; /* without a history: one row per layer */
	rows = skf_arena_array(a, n ? n : 1, sizeof(*rows));
	if (!rows || !none)
		return skf_fail(e, SKF_ENOMEM, "memory for the history");
	for (size_t k = 0; k < n; k++)
		layer += !(d->v.n && s[k].empty);
	layer = layer < i->layers.n ? i->layers.n - layer
				    : 0; /* steps that nobody wrote down were the first ones */
	for (size_t k = 0; k < n; k++) {
		struct skf_history_row *row = &rows[n - 1 - k];
		bool empty = d->v.n && s[k].empty;

		row->created_by = row->comment = row->layer = none;
		if (d->v.n && s[k].created_by)
			row->created_by = s[k].created_by;
		if (d->v.n && s[k].comment)
			row->comment = s[k].comment;
		if (d->v.n && s[k].created && skf_parse_rfc3339(s[k].created, &row->created_ns) < 0)
			row->created_ns = 0; /* a date that is none: shown as N/A */
		if (!empty && one_layer(g, i, layer++, a, row, e) < 0)
			return -1;
	}
	*ret = (struct skf_jarr){rows, n};
	*ret_config = i->config;
	return 0;
}
