/* oci/idmaps.c -- id maps: look-up, checks, and the file "ids": lines "u CONTAINER HOST SIZE" and "g
 * CONTAINER HOST SIZE". No I/O but that file's. */
#include "oci/idmaps.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include <fcntl.h>
#include <string.h>

#define NOBODY   65534u
#define MAX_TEXT (SKF_MAX_IDMAPS * 2 * 40)

bool skf_idmap_to_host(const struct skf_jarr *maps, uint32_t id, uint32_t *ret)
{
	const struct skf_idmap *m = maps->v;

	*ret = id;
	for (size_t i = 0; i < maps->n; i++)
		if (id >= m[i].container_id && id - m[i].container_id < m[i].size) {
			*ret = m[i].host_id + (id - m[i].container_id);
			return true;
		}
	return maps->n == 0;
}

bool skf_idmap_from_host(const struct skf_jarr *maps, uint32_t id, uint32_t *ret)
{
	const struct skf_idmap *m = maps->v;

	*ret = id;
	for (size_t i = 0; i < maps->n; i++)
		if (id >= m[i].host_id && id - m[i].host_id < m[i].size) {
			*ret = m[i].container_id + (id - m[i].host_id);
			return true;
		}
	return maps->n == 0;
}

uint32_t skf_idmap_owner(const struct skf_jarr *maps, uint32_t host_id)
{
	uint32_t id;

	return skf_idmap_from_host(maps, host_id, &id) ? id : NOBODY;
}

static bool overlap(uint32_t a, uint32_t na, uint32_t b, uint32_t nb)
{
	return a < b ? b - a < na : a - b < nb;
}

int skf_idmap_check(const struct skf_jarr *maps)
{
	const struct skf_idmap *m = maps->v;

	for (size_t i = 0; i < maps->n; i++) {
		if (m[i].size == 0 || m[i].size > UINT32_MAX - m[i].container_id ||
		    m[i].size > UINT32_MAX - m[i].host_id)
			return -ERANGE;
		for (size_t k = 0; k < i; k++)
			if (overlap(m[i].container_id, m[i].size, m[k].container_id, m[k].size) ||
			    overlap(m[i].host_id, m[i].size, m[k].host_id, m[k].size))
				return -EEXIST;
	}
	return 0;
}

static void put(struct skf_buf *b, char kind, const struct skf_jarr *maps)
{
	const struct skf_idmap *m = maps->v;

	for (size_t i = 0; i < maps->n; i++)
		skf_buf_fmt(b, "%c %u %u %u\n", kind, m[i].container_id, m[i].host_id, m[i].size);
}

void skf_idmaps_text(const struct skf_idmaps *m, struct skf_buf *b)
{
	put(b, 'u', &m->uids);
	put(b, 'g', &m->gids);
}

static int parse3(char **save, struct skf_idmap *m)
{
	char *word[3];

	for (size_t i = 0; i < SKF_ARRAY_LEN(word); i++)
		word[i] = strtok_r(NULL, " ", save);
	return word[2] && skf_parse_u32(word[0], &m->container_id) == 0 &&
			       skf_parse_u32(word[1], &m->host_id) == 0 &&
			       skf_parse_u32(word[2], &m->size) == 0
		       ? 0
		       : -EINVAL;
}

static int take_line(char *line, struct skf_idmap *uids, size_t *n_uids, struct skf_idmap *gids,
		     size_t *n_gids)
{
	char *save = NULL, *kind = strtok_r(line, " ", &save);
	struct skf_idmap m;

	if (!kind || parse3(&save, &m) < 0)
		return -EINVAL;
	if (*kind == 'u' && *n_uids < SKF_MAX_IDMAPS)
		uids[(*n_uids)++] = m;
	else if (*kind == 'g' && *n_gids < SKF_MAX_IDMAPS)
		gids[(*n_gids)++] = m;
	else
		return -EINVAL;
	return 0;
}

int skf_idmaps_read_at(int dirfd, struct skf_arena *a, struct skf_idmaps *ret)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(MAX_TEXT);
	int r = skf_read_file_at(dirfd, SKF_IDS_FILE, MAX_TEXT, &b);
	struct skf_idmap *uids, *gids;
	size_t lines = 0, n_uids = 0, n_gids = 0;
	char *save = NULL;

	*ret = (struct skf_idmaps){0};
	if (r == -ENOENT)
		return 0;
	if (r < 0 || !b.len)
		return r < 0 ? r : -EINVAL;
	for (size_t i = 0; i < b.len; i++)
		lines += b.p[i] == '\n';
	uids = skf_arena_array(a, lines + 1, sizeof(*uids));
	gids = skf_arena_array(a, lines + 1, sizeof(*gids));
	if (!uids || !gids)
		return -ENOMEM;
	for (char *line = strtok_r(b.p, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		r = n_uids + n_gids <= lines ? take_line(line, uids, &n_uids, gids, &n_gids) : -EINVAL;
		if (r < 0)
			return r;
	}
	*ret = (struct skf_idmaps){{uids, n_uids}, {gids, n_gids}};
	return 1;
}

int skf_idmap_read_proc(const char *path, struct skf_arena *a, struct skf_jarr *ret)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(MAX_TEXT);
	int r = skf_read_file_at(AT_FDCWD, path, MAX_TEXT, &b);
	struct skf_idmap *v = skf_arena_array(a, SKF_MAX_IDMAPS, sizeof(*v));
	char *save = NULL, *at;
	size_t n = 0;

	if (r < 0 || !v)
		return r < 0 ? r : -ENOMEM;
	for (char *line = b.len ? strtok_r(b.p, "\n", &save) : NULL; line && n < SKF_MAX_IDMAPS;
	     line = strtok_r(NULL, "\n", &save)) {
		at = line;
		if (parse3(&at, &v[n++]) < 0)
			return -EINVAL;
	}
	*ret = (struct skf_jarr){v, n};
	return n ? 0 : -EINVAL;
}
