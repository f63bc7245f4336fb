/* sys/nlmsg.c -- netlink messages: building in one growing buffer, sending, reading acknowledgements. Every
 * length that the kernel gives is checked against the datagram before it is believed. */
#include "sys/nlmsg.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include <arpa/inet.h>
#include <endian.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#define ANSWER_BYTES 65536
#define ANSWER_MS    20000 /* the kernel answers in the same call; only a broken one is waited for */
#define SEND_BUFFER  (8 << 20)

static void pad(struct skf_buf *b)
{
	static const char zero[4];

	skf_buf_put(b, zero, (4 - (b->len & 3)) & 3);
}

size_t skf_nlm_begin(struct skf_buf *b, uint16_t type, uint16_t flags, const void *body, size_t n)
{
	struct nlmsghdr h = {.nlmsg_type = type,
			     .nlmsg_flags = (uint16_t)(flags | NLM_F_REQUEST),
			     .nlmsg_seq = (uint32_t)b->len + 1};
	size_t at = b->len;

	skf_buf_put(b, &h, sizeof(h));
	skf_buf_put(b, body, n);
	pad(b);
	return at;
}

void skf_nlm_end(struct skf_buf *b, size_t at)
{
	uint32_t n = (uint32_t)(b->len - at);

	if (!b->err)
		memcpy(b->p + at, &n, sizeof(n));
}

void skf_nlm_put(struct skf_buf *b, uint16_t type, const void *p, size_t n)
{
	struct nlattr a = {.nla_len = (uint16_t)(NLA_HDRLEN + n), .nla_type = type};

	if (n > UINT16_MAX - NLA_HDRLEN) {
		b->err = b->err ? b->err : -E2BIG;
		return;
	}
	skf_buf_put(b, &a, sizeof(a));
	skf_buf_put(b, p, n);
	pad(b);
}

void skf_nlm_u8(struct skf_buf *b, uint16_t type, uint8_t v)
{
	skf_nlm_put(b, type, &v, sizeof(v));
}

void skf_nlm_u16(struct skf_buf *b, uint16_t type, uint16_t v)
{
	skf_nlm_put(b, type, &v, sizeof(v));
}

void skf_nlm_u32(struct skf_buf *b, uint16_t type, uint32_t v)
{
	skf_nlm_put(b, type, &v, sizeof(v));
}

void skf_nlm_be32(struct skf_buf *b, uint16_t type, uint32_t v)
{
	v = htonl(v);
	skf_nlm_put(b, type, &v, sizeof(v));
}

void skf_nlm_be64(struct skf_buf *b, uint16_t type, uint64_t v)
{
	v = htobe64(v);
	skf_nlm_put(b, type, &v, sizeof(v));
}

void skf_nlm_str(struct skf_buf *b, uint16_t type, const char *s)
{
	skf_nlm_put(b, type, s, strlen(s) + 1);
}

size_t skf_nlm_nest(struct skf_buf *b, uint16_t type)
{
	size_t at = b->len;

	skf_nlm_put(b, type | NLA_F_NESTED, NULL, 0);
	return at;
}

void skf_nlm_nest_end(struct skf_buf *b, size_t at)
{
	size_t n = b->len - at;
	uint16_t len = (uint16_t)n;

	if (n > UINT16_MAX)
		b->err = b->err ? b->err : -E2BIG;
	if (!b->err)
		memcpy(b->p + at, &len, sizeof(len));
}

int skf_nlm_open(int protocol)
{
	SKF_AUTO_FD int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
	struct sockaddr_nl sa = {.nl_family = AF_NETLINK};
	int on = 1;

	if (fd < 0)
		return skf_errno();
	/* An old kernel repeats the whole request in an error; that is only slower. */
	(void)setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
	return bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ? skf_errno() : SKF_TAKE_FD(fd);
}

static int send_all(int nl, const struct skf_buf *b)
{
	int room = SEND_BUFFER;
	ssize_t n;

	if (b->err < 0)
		return b->err;
	if (b->len > 100000) /* more than the default of a socket; without CAP_NET_ADMIN the send says so */
		(void)setsockopt(nl, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room));
	do
		n = send(nl, b->p, b->len, 0);
	while (n < 0 && errno == EINTR);
	return n < 0 ? skf_errno() : 0;
}

/* One datagram into buf; its length or -errno. */
static ssize_t receive(int nl, char *buf, size_t size)
{
	struct pollfd p = {.fd = nl, .events = POLLIN};
	ssize_t n;
	int r;

	do
		r = poll(&p, 1, ANSWER_MS);
	while (r < 0 && errno == EINTR);
	if (r <= 0)
		return r < 0 ? skf_errno() : -ETIMEDOUT;
	do
		n = recv(nl, buf, size, MSG_TRUNC);
	while (n < 0 && errno == EINTR);
	return n < 0 ? skf_errno() : (size_t)n > size ? -EMSGSIZE : n;
}

static int error_of(const struct nlmsghdr *h)
{
	return h->nlmsg_len < NLMSG_LENGTH(sizeof(int)) ? -EBADMSG : *(const int *)NLMSG_DATA(h);
}

int skf_nlm_talk(int nl, const struct skf_buf *b, size_t last, size_t *ret_at)
{
	SKF_AUTO_FREE char *buf = malloc(ANSWER_BYTES);
	int first = 0, r = buf ? send_all(nl, b) : -ENOMEM;

	if (r < 0)
		return r;
	for (;;) {
		ssize_t n = receive(nl, buf, ANSWER_BYTES);
		size_t left = n < 0 ? 0 : (size_t)n;

		if (n < 0)
			return (int)n;
		for (const struct nlmsghdr *h = (const void *)buf; NLMSG_OK(h, left);
		     h = NLMSG_NEXT(h, left)) {
			if (h->nlmsg_type != NLMSG_ERROR)
				continue;
			r = error_of(h);
			if (r < 0 && first == 0) {
				first = r;
				if (ret_at)
					*ret_at = h->nlmsg_seq - 1;
			}
			if (h->nlmsg_seq == last + 1)
				return first;
		}
	}
}

int skf_nlm_ask(int nl, const struct skf_buf *b, int (*fn)(const struct nlmsghdr *h, void *user), void *user)
{
	SKF_AUTO_FREE char *buf = malloc(ANSWER_BYTES);
	int r = buf ? send_all(nl, b) : -ENOMEM;

	if (r < 0)
		return r;
	for (;;) {
		ssize_t n = receive(nl, buf, ANSWER_BYTES);
		size_t left = n < 0 ? 0 : (size_t)n;
		bool multi = false;

		if (n < 0)
			return (int)n;
		for (const struct nlmsghdr *h = (const void *)buf; NLMSG_OK(h, left);
		     h = NLMSG_NEXT(h, left)) {
			if (h->nlmsg_type == NLMSG_DONE)
				return r;
			if (h->nlmsg_type == NLMSG_ERROR)
				return r < 0 ? r : error_of(h);
			multi = h->nlmsg_flags & NLM_F_MULTI;
			if (r == 0) /* a failure of fn still reads the rest, so that the socket can be used
				       again */
				r = fn(h, user);
		}
		if (!multi)
			return r;
	}
}

const struct nlattr *skf_nla_find(const void *p, size_t n, uint16_t type)
{
	const struct nlattr *a = p;

	while (n >= NLA_HDRLEN && a->nla_len >= NLA_HDRLEN && a->nla_len <= n) {
		size_t step = NLA_ALIGN(a->nla_len);

		if ((a->nla_type & NLA_TYPE_MASK) == type)
			return a;
		if (step >= n)
			return NULL;
		n -= step;
		a = (const void *)((const char *)a + step);
	}
	return NULL;
}
