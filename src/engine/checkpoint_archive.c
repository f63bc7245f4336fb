/* engine/checkpoint_archive.c -- the head of a checkpoint archive, and criu's figures.
 *
 * Both are read from files that somebody else may have made: the head by its table, the figures by a reader
 * of the few protobuf messages that they are (criu's images/stats.proto), which takes nothing that does not
 * lie in the file. */
#include "engine/checkpoint_int.h"
#include <string.h>

#define V(member, key, fn) SKF_J(struct skf_cka_volume, member, key, fn, NULL, SKF_J_REQUIRED)
static const struct skf_jfield volume_f[] = {
	V(name, "name", skf_j_str_nonempty),
	V(target, "destination", skf_j_abspath),
	SKF_J(struct skf_cka_volume, anonymous, "anonymous", skf_j_bool, NULL, 0),
	SKF_J_END,
};
static const struct skf_jtable volume_table = {sizeof(struct skf_cka_volume), volume_f, false, NULL};
static const struct skf_jarr_arg volumes_arg = {&volume_table, SKF_CKA_MAX_VOLUMES};

#define H(member, key, fn, flags) SKF_J(struct skf_cka_head, member, key, fn, NULL, flags)
static const struct skf_jfield head_f[] = {
	H(id, "id", skf_j_str_nonempty, SKF_J_REQUIRED),
	H(name, "name", skf_j_str_nonempty, SKF_J_REQUIRED),
	H(image, "rootfsImageName", skf_j_str, SKF_J_REQUIRED),
	H(image_id, "rootfsImageID", skf_j_str, SKF_J_REQUIRED),
	H(created, "createdTime", skf_j_str, SKF_J_REQUIRED),
	H(checkpointed, "checkpointedTime", skf_j_str, SKF_J_REQUIRED),
	H(version, "skiffVersion", skf_j_str_nonempty, SKF_J_REQUIRED),
	H(changes, "rootfsChanges", skf_j_bool, 0),
	SKF_J(struct skf_cka_head, volumes, "volumes", skf_j_arr, &volumes_arg, 0),
	SKF_J_END,
};
static const struct skf_jtable head_table = {sizeof(struct skf_cka_head), head_f, false, NULL};

void skf_cka_head_write(struct skf_jw *w, const struct skf_cka_head *h)
{
	const struct skf_cka_volume *v = h->volumes.v;

	skf_jw_obj(w);
	skf_jw_kint(w, "v", 1);
	skf_jw_kint(w, "min", 1);
	skf_jw_kstr(w, "id", h->id);
	skf_jw_kstr(w, "name", h->name);
	skf_jw_kstr(w, "rootfsImageName", h->image);
	skf_jw_kstr(w, "rootfsImageID", h->image_id);
	skf_jw_kstr(w, "createdTime", h->created);
	skf_jw_kstr(w, "checkpointedTime", h->checkpointed);
	skf_jw_kstr(w, "ociRuntime", "skiff");
	skf_jw_kstr(w, "skiffVersion", h->version);
	skf_jw_kbool(w, "rootfsChanges", h->changes);
	skf_jw_karr(w, "volumes");
	for (size_t i = 0; i < h->volumes.n; i++) {
		skf_jw_obj(w);
		skf_jw_kstr(w, "name", v[i].name);
		skf_jw_kstr(w, "destination", v[i].target);
		skf_jw_kbool(w, "anonymous", v[i].anonymous);
		skf_jw_end(w);
	}
	skf_jw_end_arr(w);
	skf_jw_end(w);
}

int skf_cka_head_parse(const char *text, size_t n, struct skf_arena *a, struct skf_cka_head **ret,
		       struct skf_err *e)
{
	const struct skf_jdoc d = {.name = SKF_CKA_HEAD, .max_bytes = SKF_MAX_OBJECT_BYTES};
	void *v;

	if (skf_json_decode(&d, text, n, &head_table, a, &v, e) < 0)
		return -1;
	*ret = v;
	return 0;
}

/* --- figures --- */
#define SERVICE_MAGIC 0x55105940u
#define STATS_MAGIC   0x57093306u
#define MAX_STATS     65536

struct span {
	const unsigned char *p, *end;
};

static bool varint(struct span *s, uint64_t *ret)
{
	uint64_t v = 0;

	for (unsigned shift = 0; s->p < s->end && shift < 64; shift += 7) {
		unsigned char c = *s->p++;

		v |= (uint64_t)(c & 0x7f) << shift;
		if (!(c & 0x80)) {
			*ret = v;
			return true;
		}
	}
	return false;
}

/* The next field: its number, and its value or the bytes of it. False: the end, or nonsense. */
static bool field(struct span *s, unsigned *number, uint64_t *value, struct span *inner)
{
	uint64_t key;

	*inner = (struct span){NULL, NULL};
	if (s->p == s->end || !varint(s, &key) || !varint(s, value))
		return false;
	*number = (unsigned)(key >> 3);
	if ((key & 7) == 0)
		return true;
	if ((key & 7) != 2 || *value > (uint64_t)(s->end - s->p))
		return false;
	*inner = (struct span){s->p, s->p + *value};
	s->p += *value;
	return true;
}

static uint32_t word(const unsigned char *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void take(struct span s, bool restore, struct skf_criu_stats *r)
{
	uint64_t *const dump[] = {NULL,
				  &r->freezing_time,
				  &r->frozen_time,
				  &r->memdump_time,
				  &r->memwrite_time,
				  &r->pages_scanned,
				  NULL,
				  &r->pages_written};
	uint64_t *const back[] = {NULL, NULL, NULL, &r->forking_time, &r->restore_time, &r->pages_restored};
	size_t n = restore ? SKF_ARRAY_LEN(back) : SKF_ARRAY_LEN(dump);
	struct span inner;
	unsigned number;
	uint64_t v;

	while (field(&s, &number, &v, &inner))
		if (!inner.p && number < n && (restore ? back[number] : dump[number]))
			*(restore ? back[number] : dump[number]) = v;
}

bool skf_criu_stats_parse(const void *bytes, size_t n, struct skf_criu_stats *ret)
{
	const unsigned char *p = bytes;
	struct span s, inner;
	unsigned number;
	uint64_t v;

	*ret = (struct skf_criu_stats){0};
	if (n < 12 || word(p) != SERVICE_MAGIC || word(p + 4) != STATS_MAGIC || word(p + 8) > n - 12)
		return false;
	s = (struct span){p + 12, p + 12 + word(p + 8)};
	while (field(&s, &number, &v, &inner))
		if (inner.p && (number == 1 || number == 2)) {
			take(inner, number == 2, ret);
			ret->known = true;
		}
	return ret->known;
}

bool skf_criu_stats_read(int dir, const char *name, struct skf_criu_stats *ret)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(MAX_STATS);

	*ret = (struct skf_criu_stats){0};
	return skf_read_file_at(dir, name, MAX_STATS, &b) == 0 && skf_criu_stats_parse(b.p, b.len, ret);
}
