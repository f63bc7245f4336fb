/* store/tarscan.h -- what the bytes of a tar are, while they pass by: headers, names, padding, and whose
 * data follows.
 *
 * A push parser without I/O; every byte is looked at once, file data not at all. It understands v7, ustar,
 * GNU (long names, sparse) and pax; anything else, and anything on which readers of tar disagree, makes it
 * stop with a reason
 * ("not understood"), which is no error of the tar. Memory: one header and at most SKF_TARSCAN_MAX_META
 * bytes. */
#pragma once
#include "base/buf.h"
#include "base/err.h"

#define SKF_TARSCAN_MAX_META (1u << 20) /* one pax header or long name */

struct skf_tar_entry {
	char type;               /* '0' regular ... '6', as in the header; '\0' and '7' are told as '0' */
	const char *name, *link; /* as written, until the call returns; link "" when there is none */
	uint64_t size;           /* bytes of data that follow */
	uint64_t offset;         /* where in the stream they begin */
	bool sparse;             /* the data are a map and pieces, not the file's content */
	const uint8_t *header;   /* its block; NULL: more than that and one pax header speak of it */
	const char *pax;         /* "LENGTH KEY=VALUE\n" records, checked */
	size_t pax_n;
};
enum { SKF_TAR_SKIP = 0, SKF_TAR_TAKE = 1 };
struct skf_tarscan_sink {
	/* Bytes that are no file data, or data that were taken. May be NULL. */
	int (*bytes)(void *arg, const uint8_t *p, size_t n, struct skf_err *e);
	/* An entry; its data are skipped or handed to bytes: SKF_TAR_SKIP, SKF_TAR_TAKE, -1. */
	int (*entry)(void *arg, const struct skf_tar_entry *t, struct skf_err *e);
	void *arg;
};

enum skf_tarscan_state { SKF_TS_HEADER, SKF_TS_META, SKF_TS_SPARSE, SKF_TS_DATA, SKF_TS_PAD, SKF_TS_TAIL };
struct skf_tarscan {
	struct skf_tarscan_sink sink;
	enum skf_tarscan_state state;
	uint8_t block[512];
	size_t fill;   /* of block */
	uint64_t at;   /* bytes of the stream taken */
	uint64_t left; /* of the data, the padding or the meta data */
	uint64_t pad;  /* that follows it */
	char meta_type;
	struct skf_buf meta, path, link, pax;
	bool has_path, has_link, long_path, has_size, sparse, take;
	bool mixed; /* a second pax header, or a global one */
	uint64_t size;
	struct skf_tar_entry cur; /* an old GNU sparse file whose map is being read */
	char why[160];            /* not understood: the reason; "" otherwise */
};
void skf_tarscan_init(struct skf_tarscan *t, const struct skf_tarscan_sink *sink);
void skf_tarscan_done(struct skf_tarscan *t);
/* 0; 1 not understood (t->why; stays so); -1 the sink failed. */
int skf_tarscan_feed(struct skf_tarscan *t, const uint8_t *p, size_t n, struct skf_err *e);
/* The end of the stream: hands over what is left of a block. 0, 1, -1 as feed. */
int skf_tarscan_end(struct skf_tarscan *t, struct skf_err *e);
/* Bytes that may be left out from here on by skf_tarscan_seek: data that are skipped. */
uint64_t skf_tarscan_skippable(const struct skf_tarscan *t);
void skf_tarscan_seek(struct skf_tarscan *t, uint64_t n);
/* A number of a header's field: octal or base 256. False: neither, or negative. */
bool skf_tarscan_number(const uint8_t *p, size_t n, uint64_t *ret);
/* The stream may end here: between two entries, or after the end mark. */
bool skf_tarscan_complete(const struct skf_tarscan *t);
