/* store/unpack_list.h -- the walk over a layer's tree that unpack_list.c (sealing) and unpack_verify.c
 * share. */
#pragma once
#include "store/unpack_int.h"
#include <stdio.h>

struct skf_list_walk {
	struct skf_tree *t;    /* sealing; NULL: verifying */
	struct skf_hash *hash; /* of one file or attribute set */
	struct skf_hash sum;   /* of the listing */
	struct skf_buf path, line, out;
	int out_fd;
	FILE *want; /* verifying: the stored listing */
	char *want_line;
	size_t want_cap;
	bool want_sparse;
	const char *want_crc; /* of a file, in want_line; NULL: none */
	bool proved;          /* the data of the files with checksums are what they were */
	const char *what;     /* layer, for messages */
	uint64_t size, inodes;
	bool any_crc;
};

int skf_list_init(struct skf_list_walk *w, struct skf_err *e);
void skf_list_done(struct skf_list_walk *w);
/* All of the directory, itself first: sealing finishes the directories and lists, verifying compares with
 * `want`. SYSTEM, LIMIT; CORRUPT for a difference. Blocks on the disk. */
int skf_list_dir(struct skf_list_walk *w, int fd, unsigned depth, struct skf_err *e);
int skf_list_flush(struct skf_list_walk *w, struct skf_err *e);
