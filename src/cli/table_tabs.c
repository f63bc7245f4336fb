/* cli/table_tabs.c -- elastic tab stops, as Go's text/tabwriter: a column is a run of neighbouring lines
 * that have a cell there which ends in a tab; each run is as wide as its widest cell and three spaces, at
 * least ten. What follows the last tab of a line belongs to no column. Pure. */
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include "cli/listing.h"
#include <string.h>

#define MIN_WIDTH 10
#define PADDING   3

struct cell {
	const char *p;
	size_t n, width, pad; /* width in characters; pad: of the column, 0 for a last cell */
};
struct line {
	struct cell *c;
	size_t n; /* cells; the last one ends the line */
};

static size_t characters(const char *p, size_t n)
{
	size_t k = 0;

	for (size_t i = 0; i < n; i++)
		k += ((unsigned char)p[i] & 0xc0) != 0x80;
	return k;
}

static size_t count(const char *p, size_t n, char c)
{
	size_t k = 0;

	for (size_t i = 0; i < n; i++)
		k += p[i] == c;
	return k;
}

static void cut(const char *p, size_t n, struct line *l, struct cell *c)
{
	l->c = c;
	l->n = 0;
	for (;;) {
		const char *tab = memchr(p, '\t', n);
		size_t k = tab ? (size_t)(tab - p) : n;

		l->c[l->n++] = (struct cell){p, k, characters(p, k), 0};
		if (!tab)
			return;
		p += k + 1;
		n -= k + 1;
	}
}

/* The run of lines that has column `col` from line `from` on. */
static size_t align_run(struct line *v, size_t from, size_t n, size_t col)
{
	size_t width = MIN_WIDTH, end = from;

	for (; end < n && v[end].n > col + 1; end++)
		if (v[end].c[col].width + PADDING > width)
			width = v[end].c[col].width + PADDING;
	for (size_t i = from; i < end; i++)
		v[i].c[col].pad = width;
	return end;
}

void skf_tabs_align(const char *text, size_t n, struct skf_buf *out)
{
	size_t lines = count(text, n, '\n') + 1, cells = lines + count(text, n, '\t'), cols = 0, k = 0;
	SKF_AUTO_FREE struct line *v = calloc(lines, sizeof(struct line));
	SKF_AUTO_FREE struct cell *c = calloc(cells, sizeof(struct cell));
	struct cell *next = c;

	if (!v || !c) {
		out->err = -ENOMEM;
		return;
	}
	for (const char *p = text, *end = text + n; p < end;) {
		const char *nl = memchr(p, '\n', (size_t)(end - p)), *stop = nl ? nl : end;

		cut(p, (size_t)(stop - p), &v[k], next);
		next += v[k].n;
		cols = v[k].n > cols ? v[k].n : cols;
		k++;
		p = stop + (nl != NULL);
	}
	for (size_t col = 0; col + 1 < cols; col++)
		for (size_t i = 0; i < k;) {
			size_t end = align_run(v, i, k, col);

			i = end > i ? end : i + 1;
		}
	for (size_t i = 0; i < k; i++) {
		for (size_t j = 0; j < v[i].n; j++) {
			skf_buf_put(out, v[i].c[j].p, v[i].c[j].n);
			for (size_t w = v[i].c[j].width; w < v[i].c[j].pad; w++)
				skf_buf_chr(out, ' ');
		}
		skf_buf_chr(out, '\n');
	}
}
