/* store/inflate.h -- decompressors behind one door, no I/O (unpack_inflate.c). Linked by skiff-image only.
 */
#pragma once
#include "base/fwd.h"
#include "store/pack.h"

struct skf_inflate;
/* Memory of zstd's windows, shared by several streams: `want` may block until `bytes` are free, after it has
 * taken back what this stream had; 0 gives it back. A window above SKF_MAX_ZSTD_WINDOW is refused without
 * asking. */
struct skf_window_gate {
	int (*want)(void *arg, uint64_t bytes, struct skf_err *e);
	void *arg;
};
/* By magic bytes; needs 4 bytes unless the stream is shorter. */
enum skf_compression skf_compression_of(const uint8_t *p, size_t n);
const char *skf_compression_name(enum skf_compression c);
int skf_inflate_new(enum skf_compression c, struct skf_inflate **ret, struct skf_err *e);
void skf_inflate_free(struct skf_inflate *i);
void skf_inflate_set_gate(struct skf_inflate *i,
			  const struct skf_window_gate *gate); /* before the first step; arg outlives i */
/* Takes from in, gives to out; returns when in is used up or out is full. CORRUPT. */
int skf_inflate_step(struct skf_inflate *i, const uint8_t *in, size_t n_in, size_t *ret_used, uint8_t *out,
		     size_t n_out, size_t *ret_made, struct skf_err *e);
/* True when the stream may end here: after a whole member or frame, not within one. */
bool skf_inflate_complete(const struct skf_inflate *i);
/* Bytes may still come out without further input. */
bool skf_inflate_pending(const struct skf_inflate *i);
