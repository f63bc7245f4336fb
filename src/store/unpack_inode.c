/* store/unpack_inode.c -- table of inodes by number: open addressing, never deletes (a number that comes
 * back is reset by whoever made the new inode). 56 bytes per inode, so that SKF_MAX_LAYER_ENTRIES bounds it.
 * Nothing blocks. */
#include "store/unpack_int.h"
#include <stdlib.h>

void skf_inodes_done(struct skf_inodes *t)
{
	for (size_t i = 0; i < t->n_acl; i++)
		free(t->acl[i].p);
	free(t->acl);
	free(t->v);
	*t = (struct skf_inodes){0};
}

static struct skf_inode *slot(struct skf_inode *v, size_t cap, uint64_t ino)
{
	size_t i = (size_t)(ino * 0x9e3779b97f4a7c15u >> 20) & (cap - 1);

	while (v[i].ino && v[i].ino != ino)
		i = (i + 1) & (cap - 1);
	return &v[i];
}

static int grow(struct skf_inodes *t)
{
	size_t cap = t->cap ? t->cap * 2 : 1024;
	struct skf_inode *v = calloc(cap, sizeof(*v));

	if (!v)
		return -ENOMEM;
	for (size_t i = 0; i < t->cap; i++)
		if (t->v[i].ino)
			*slot(v, cap, t->v[i].ino) = t->v[i];
	free(t->v);
	t->v = v;
	t->cap = cap;
	return 0;
}

struct skf_inode *skf_inodes_get(struct skf_inodes *t, uint64_t ino)
{
	struct skf_inode *i;

	if (t->n * 4 >= t->cap * 3 && grow(t) < 0)
		return NULL;
	i = slot(t->v, t->cap, ino);
	if (!i->ino) {
		i->ino = ino;
		t->n++;
	}
	return i;
}

struct skf_inode *skf_inodes_find(const struct skf_inodes *t, uint64_t ino)
{
	struct skf_inode *i = t->cap ? slot(t->v, t->cap, ino) : NULL;

	return i && i->ino ? i : NULL;
}
