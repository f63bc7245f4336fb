/* base/record.h -- the records of our sockets (DESIGN 4a): one SOCK_SEQPACKET message is
 *     { u32 size, u16 type, u16 version } + fields, host byte order, fds by SCM_RIGHTS.
 * Fields are only ever appended: a reader that knows fewer fields stops early, a reader that knows more gets
 * the default for those that are missing (skf_recr_more() is false). The codec does no I/O and is fuzzed. */
#pragma once
#include "base/fwd.h"

struct skf_rec { /* encoder */
	struct skf_buf *b;
	size_t start;
};
/* Starts a record at the end of b. */
void skf_rec_begin(struct skf_rec *r, struct skf_buf *b, uint16_t type, uint16_t version);
void skf_rec_u32(struct skf_rec *r, uint32_t v);
void skf_rec_u64(struct skf_rec *r, uint64_t v);
void skf_rec_str(struct skf_rec *r, const char *s); /* NULL as "" */
void skf_rec_bytes(struct skf_rec *r, const void *p, size_t n);
void skf_rec_err(struct skf_rec *r, const struct skf_err *e); /* kind, sys, msg */
void skf_rec_end(struct skf_rec *r);                          /* fills in the size */

struct skf_recr { /* decoder: views into the received bytes */
	const char *p, *end;
	uint16_t type, version;
	bool bad; /* sticky: a field was cut short; every later read gives 0 / "" */
};
/* 0, or -EBADMSG when the header and n disagree. */
int skf_recr_init(struct skf_recr *r, const void *p, size_t n);
bool skf_recr_more(const struct skf_recr *r);
uint32_t skf_recr_u32(struct skf_recr *r);
uint64_t skf_recr_u64(struct skf_recr *r);
const char *skf_recr_str(struct skf_recr *r); /* NUL-terminated in place; never NULL */
struct skf_str skf_recr_bytes(struct skf_recr *r);
void skf_recr_err(struct skf_recr *r, struct skf_err *ret);

/* --- I/O --- */
struct skf_fds {
	int fd[32]; /* SKF_MAX_RECORD_FDS */
	unsigned n;
};
void skf_fds_done(struct skf_fds *f); /* closes those that nobody took (SKF_TAKE_FD on fd[i]) */
/* Sends the bytes of b as one record with n_fds borrowed fds. 0 or -errno (-EPIPE without a signal). Blocks
 * only when the socket is blocking. */
int skf_record_send(int sock, const struct skf_buf *b, const int *fds, unsigned n_fds);
/* Receives one record into b (cleared first) and initialises r on it; fds come with CLOEXEC.
 * 1 got one, 0 orderly EOF, -errno; -ETIMEDOUT after timeout_ms (< 0: wait for ever; only for sockets whose
 * peer's death ends the wait), -EBADMSG for a cut or malformed record, -EAGAIN on a non-blocking socket. */
int skf_record_recv(int sock, struct skf_buf *b, struct skf_recr *r, struct skf_fds *fds, int timeout_ms);
