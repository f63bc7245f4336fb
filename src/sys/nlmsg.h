/* sys/nlmsg.h -- netlink messages built in a buffer: headers, attributes, nests; sent as one datagram and
 * answered one by one. The buffer's sticky error covers everything that is appended (base/buf.h). Encoding:
 * man 7 netlink, linux/netlink.h. */
#pragma once
#include "base/buf.h"
#include <linux/netlink.h>

/* Starts a message (NLM_F_REQUEST is added) with a fixed body; the value goes to skf_nlm_end. The sequence
 * number is its place in the buffer. */
size_t skf_nlm_begin(struct skf_buf *b, uint16_t type, uint16_t flags, const void *body, size_t n);
void skf_nlm_end(struct skf_buf *b, size_t at);
/* Attributes of the message that was begun last. */
void skf_nlm_put(struct skf_buf *b, uint16_t type, const void *p, size_t n);
void skf_nlm_u8(struct skf_buf *b, uint16_t type, uint8_t v);
void skf_nlm_u16(struct skf_buf *b, uint16_t type, uint16_t v);
void skf_nlm_u32(struct skf_buf *b, uint16_t type, uint32_t v);
void skf_nlm_be32(struct skf_buf *b, uint16_t type, uint32_t v); /* v in host order */
void skf_nlm_be64(struct skf_buf *b, uint16_t type, uint64_t v);
void skf_nlm_str(struct skf_buf *b, uint16_t type, const char *s); /* with its NUL */
size_t skf_nlm_nest(struct skf_buf *b, uint16_t type);
void skf_nlm_nest_end(struct skf_buf *b, size_t at);

/* A socket of the protocol (NETLINK_ROUTE, NETLINK_NETFILTER) in the calling task's network namespace,
 * CLOEXEC, acknowledgements short. -errno. */
int skf_nlm_open(int protocol);
/* Sends the buffer and reads answers until message `last` (its skf_nlm_begin value) is acknowledged. 0, or
 * the first error that the kernel reported
 * (-errno); *ret_at (may be NULL): which message. Blocks only for the kernel's own locks. */
int skf_nlm_talk(int nl, const struct skf_buf *b, size_t last, size_t *ret_at);
/* One request with NLM_F_DUMP or an answer: fn for each message until the end; fn returns 0 or -errno, which
 * ends it. */
int skf_nlm_ask(int nl, const struct skf_buf *b, int (*fn)(const struct nlmsghdr *h, void *user),
		void *user);
/* The attribute of that type among those in p[0..n), or NULL. Lengths are checked. */
const struct nlattr *skf_nla_find(const void *p, size_t n, uint16_t type);
static inline const void *skf_nla_data(const struct nlattr *a)
{
	return (const char *)a + NLA_HDRLEN;
}
static inline size_t skf_nla_len(const struct nlattr *a)
{
	return a->nla_len - NLA_HDRLEN;
}
