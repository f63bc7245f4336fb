/* engine/subid.c -- subordinate ids: /etc/subuid and /etc/subgid, and ranges less ranges. Lines that are not
 * understood are skipped, as the shadow tools do (man 5 subuid). Reads one file; nothing else blocks. */
#include "engine/subid.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define MAX_FILE (4u << 20)

int skf_range_parse(const char *word, struct skf_range *ret)
{
	char text[40], *colon;

	if (skf_fmt(text, sizeof(text), "%s", word) < 0)
		return -EINVAL;
	colon = strchr(text, ':');
	if (!colon)
		return -EINVAL;
	*colon = '\0';
	if (skf_parse_u32(text, &ret->start) < 0 || skf_parse_u32(colon + 1, &ret->size) < 0)
		return -EINVAL;
	return ret->size == 0 || ret->size > UINT32_MAX - ret->start ? -ERANGE : 0;
}

int skf_subid_read(const char *file, const char *name, struct skf_arena *a, struct skf_jarr *ret)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(MAX_FILE);
	int r = skf_read_file_at(AT_FDCWD, file, MAX_FILE, &b);
	size_t n = strlen(name), k = 0, lines = 1;
	struct skf_range *v;
	char *save = NULL;

	if (r < 0)
		return r;
	for (size_t i = 0; i < b.len; i++)
		lines += b.p[i] == '\n';
	v = skf_arena_array(a, lines, sizeof(*v));
	if (!v)
		return -ENOMEM;
	for (char *line = b.len ? strtok_r(b.p, "\n", &save) : NULL; line && k < lines;
	     line = strtok_r(NULL, "\n", &save))
		if (strncmp(line, name, n) == 0 && line[n] == ':' &&
		    skf_range_parse(line + n + 1, &v[k]) == 0)
			k++;
	*ret = (struct skf_jarr){v, k};
	return k ? 0 : -ENOENT;
}

static int by_start(const void *x, const void *y)
{
	const struct skf_range *a = x, *b = y;

	return a->start < b->start ? -1 : a->start > b->start;
}

static struct skf_range *sorted(const struct skf_jarr *r, struct skf_arena *a)
{
	struct skf_range *v = skf_arena_array(a, r->n + 1, sizeof(*v));

	if (v && r->n) {
		memcpy(v, r->v, r->n * sizeof(*v));
		qsort(v, r->n, sizeof(*v), by_start);
	}
	return v;
}

int skf_ranges_free(const struct skf_jarr *all, const struct skf_jarr *used, struct skf_arena *a,
		    struct skf_jarr *ret)
{
	struct skf_range *x = sorted(all, a), *u = sorted(used, a),
			 *v = skf_arena_array(a, all->n + used->n + 1, sizeof(*v));
	uint64_t from = 0; /* everything below is dealt with: ranges of `all` may overlap */
	size_t n = 0;

	if (!x || !u || !v)
		return -ENOMEM;
	for (size_t i = 0, k = 0; i < all->n; i++) {
		uint64_t at = x[i].start > from ? x[i].start : from, end = (uint64_t)x[i].start + x[i].size;

		while (k < used->n && (uint64_t)u[k].start + u[k].size <= at)
			k++;
		for (size_t j = k; j < used->n && u[j].start < end && at < end; j++) {
			if (u[j].start > at)
				v[n++] = (struct skf_range){(uint32_t)at, u[j].start - (uint32_t)at};
			if ((uint64_t)u[j].start + u[j].size > at)
				at = (uint64_t)u[j].start + u[j].size;
		}
		if (at < end)
			v[n++] = (struct skf_range){(uint32_t)at, (uint32_t)(end - at)};
		from = end > from ? end : from;
	}
	*ret = (struct skf_jarr){v, n};
	return 0;
}
