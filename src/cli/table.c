/* cli/table.c -- columns for people: each as wide as its widest cell and three spaces, at least ten; the
 * last one unpadded, as docker prints. */
#include "cli/cli_int.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIN_WIDTH 10
#define PADDING   3

/* Characters, not bytes; control characters of a hostile name are shown as '?', so that they cannot drive
 * the terminal. */
static size_t width(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

void skf_table_add(struct skf_table *t, const char *cell)
{
	char *s = strdup(cell ? cell : "");

	if (t->n == t->cap) {
		size_t cap = t->cap ? t->cap * 2 : 64;
		char **v = reallocarray(t->cell, cap, sizeof(*v));

		if (!v) {
			free(s);
			return; /* a shorter table is all that is possible */
		}
		t->cell = v;
		t->cap = cap;
	}
	for (char *p = s; p && *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	t->cell[t->n++] = s;
}

/* printf's own padding costs more than the rest of a line. */
static void pad(size_t n)
{
	static const char blanks[] = "                                ";

	for (; n > sizeof(blanks) - 1; n -= sizeof(blanks) - 1)
		fwrite(blanks, 1, sizeof(blanks) - 1, stdout);
	fwrite(blanks, 1, n, stdout);
}

void skf_table_print(const struct skf_table *t)
{
	size_t w[16] = {0};

	for (size_t i = 0; i < t->n; i++) {
		size_t c = i % t->cols, n = t->cell[i] ? width(t->cell[i]) + PADDING : 0;

		if (n < MIN_WIDTH)
			n = MIN_WIDTH;
		if (n > w[c])
			w[c] = n;
	}
	for (size_t i = 0; i < t->n; i++) {
		const char *s = t->cell[i] ? t->cell[i] : "";
		size_t c = i % t->cols;

		fputs(s, stdout);
		if (c + 1 == t->cols)
			putchar('\n');
		else
			pad(w[c] - width(s));
	}
}

void skf_table_done(struct skf_table *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->cell[i]);
	free(t->cell);
	memset(t, 0, sizeof(*t));
}
