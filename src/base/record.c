/* base/record.c -- records of our sockets.
 * Layout, host byte order, nothing is padded: header { u32 size of the whole record, u16 type, u16 version
 * }, then u32 and u64 as they are; bytes as u32 length + bytes; a string as u32 length without its NUL +
 * bytes + NUL. Invariants: (1) the decoder never reads behind `end` and trusts no length; (2) a string it
 * returns ends in NUL inside the record and holds no other; (3) fds of a record that is refused are closed.
 */
#include "base/record.h"
#include "base/base_int.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/limits.h"
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct header {
	uint32_t size;
	uint16_t type, version;
};
_Static_assert(sizeof(struct header) == 8, "the header is part of the protocol");
_Static_assert(SKF_ARRAY_LEN(((struct skf_fds *)0)->fd) == SKF_MAX_RECORD_FDS,
	       "record.h names the limit's value");

void skf_rec_begin(struct skf_rec *r, struct skf_buf *b, uint16_t type, uint16_t version)
{
	struct header h = {.type = type, .version = version};

	r->b = b;
	r->start = b->len;
	skf_buf_put(b, &h, sizeof(h));
}

void skf_rec_u32(struct skf_rec *r, uint32_t v)
{
	skf_buf_put(r->b, &v, sizeof(v));
}

void skf_rec_u64(struct skf_rec *r, uint64_t v)
{
	skf_buf_put(r->b, &v, sizeof(v));
}

void skf_rec_bytes(struct skf_rec *r, const void *p, size_t n)
{
	if (n > SKF_MAX_RECORD) {
		if (!r->b->err)
			r->b->err = -E2BIG;
		return;
	}
	skf_rec_u32(r, (uint32_t)n);
	skf_buf_put(r->b, p, n);
}

void skf_rec_str(struct skf_rec *r, const char *s)
{
	skf_rec_bytes(r, s ? s : "", s ? strlen(s) : 0);
	skf_buf_chr(r->b, 0);
}

void skf_rec_err(struct skf_rec *r, const struct skf_err *e)
{
	skf_rec_u32(r, e->kind);
	skf_rec_u32(r, (uint32_t)e->sys);
	skf_rec_str(r, e->msg);
}

void skf_rec_end(struct skf_rec *r)
{
	size_t n = r->b->len - r->start;
	uint32_t size = (uint32_t)n;

	if (r->b->err)
		return;
	if (n > SKF_MAX_RECORD)
		r->b->err = -E2BIG;
	else
		memcpy(r->b->p + r->start, &size, sizeof(size));
}

int skf_recr_init(struct skf_recr *r, const void *p, size_t n)
{
	struct header h;

	if (n < sizeof(h) || n > SKF_MAX_RECORD)
		return -EBADMSG;
	memcpy(&h, p, sizeof(h));
	if (h.size != n)
		return -EBADMSG;
	*r = (struct skf_recr){(const char *)p + sizeof(h), (const char *)p + n, h.type, h.version, false};
	return 0;
}

bool skf_recr_more(const struct skf_recr *r)
{
	return !r->bad && r->p < r->end;
}

static const char *take(struct skf_recr *r, size_t n)
{
	const char *p = r->p;

	if (r->bad || n > (size_t)(r->end - r->p)) {
		r->bad = true;
		return NULL;
	}
	r->p += n;
	return p;
}

uint32_t skf_recr_u32(struct skf_recr *r)
{
	const char *p = take(r, sizeof(uint32_t));
	uint32_t v = 0;

	if (p)
		memcpy(&v, p, sizeof(v));
	return v;
}

uint64_t skf_recr_u64(struct skf_recr *r)
{
	const char *p = take(r, sizeof(uint64_t));
	uint64_t v = 0;

	if (p)
		memcpy(&v, p, sizeof(v));
	return v;
}

struct skf_str skf_recr_bytes(struct skf_recr *r)
{
	uint32_t n = skf_recr_u32(r);
	const char *p = take(r, n);

	return p ? (struct skf_str){p, n} : (struct skf_str){"", 0};
}

const char *skf_recr_str(struct skf_recr *r)
{
	uint32_t n = skf_recr_u32(r);
	const char *p = take(r, (size_t)n + 1);

	if (!p)
		return "";
	if (p[n] != 0 || memchr(p, 0, n)) {
		r->bad = true;
		return "";
	}
	return p;
}

/* A cut error must not look like success, and a kind that a newer peer invented must not leave the enum. */
void skf_recr_err(struct skf_recr *r, struct skf_err *ret)
{
	uint32_t kind = skf_recr_u32(r);
	int32_t sys = (int32_t)skf_recr_u32(r);
	const char *msg = skf_recr_str(r);

	if (r->bad) {
		skf_fail(ret, SKF_ECORRUPT,
			 "a peer's record holds a malformed error; restart both programs");
		return;
	}
	skf_fail(ret, SKF_ESYSTEM, "%s", msg);
	ret->kind = kind < SKF_KIND_MAX ? kind : SKF_ESYSTEM;
	ret->sys = sys;
}

void skf_fds_done(struct skf_fds *f)
{
	for (unsigned i = 0; i < f->n; i++)
		skf_closep(&f->fd[i]);
	f->n = 0;
}

int skf_record_send(int sock, const struct skf_buf *b, const int *fds, unsigned n_fds)
{
	_Alignas(struct cmsghdr) char ctl[CMSG_SPACE(sizeof(int) * SKF_MAX_RECORD_FDS)] = {0};
	struct iovec io = {.iov_base = b->p, .iov_len = b->len};
	struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1};
	ssize_t r;

	if (b->err)
		return b->err;
	if (b->len < sizeof(struct header) || n_fds > SKF_MAX_RECORD_FDS)
		return -EINVAL;
	if (b->len > SKF_MAX_RECORD)
		return -EMSGSIZE;
	if (n_fds > 0) {
		struct cmsghdr *c = (struct cmsghdr *)ctl;

		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
		m.msg_control = ctl;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
	}
	do
		r = sendmsg(sock, &m, MSG_NOSIGNAL);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return skf_errno();
	return (size_t)r == b->len ? 0 : -EIO;
}

/* Waits until the socket has a record or EOF: the size of the next record, 0 at EOF. */
static ssize_t next_size(int sock, int timeout_ms)
{
	int64_t end = skf_mono_ms() + (timeout_ms > 0 ? timeout_ms : 0), left;
	struct pollfd p = {.fd = sock, .events = POLLIN};
	int flags;

	for (;;) {
		ssize_t n = recv(sock, NULL, 0, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);

		if (n >= 0)
			return n;
		/* The peer closed with records of ours unread. Reported once, before records that it had
		 * sent. */
		if (errno == ECONNRESET)
			continue;
		if (errno != EAGAIN && errno != EINTR)
			return skf_errno();
		flags = fcntl(sock, F_GETFL);
		if (flags < 0)
			return skf_errno();
		if (timeout_ms <= 0 && (flags & O_NONBLOCK))
			return -EAGAIN;
		left = timeout_ms < 0 ? -1 : end - skf_mono_ms();
		if (timeout_ms >= 0 && left <= 0)
			return -ETIMEDOUT;
		if (poll(&p, 1, (int)left) < 0 && errno != EINTR)
			return skf_errno();
	}
}

static void take_fds(struct msghdr *m, struct skf_fds *fds)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		size_t n = c->cmsg_len > CMSG_LEN(0) ? (c->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (fds->n < SKF_MAX_RECORD_FDS)
				fds->fd[fds->n++] = fd;
			else
				skf_closep(&fd);
		}
	}
}

static int receive(int sock, struct skf_buf *b, size_t size, struct skf_fds *fds)
{
	/* room for credentials too, in case somebody set SO_PASSCRED on the socket */
	_Alignas(struct cmsghdr) char
		ctl[CMSG_SPACE(sizeof(int) * SKF_MAX_RECORD_FDS) + CMSG_SPACE(sizeof(struct ucred))];
	char *p = size <= SKF_MAX_RECORD ? skf_buf_room(b, size) : NULL;
	char scrap[1];
	struct iovec io = {.iov_base = p ? p : scrap, .iov_len = p ? size : sizeof(scrap)};
	struct msghdr m = {
		.msg_iov = &io, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = sizeof(ctl)};
	ssize_t r;

	do
		r = recvmsg(sock, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	while (r < 0 && (errno == EINTR || errno == ECONNRESET));
	if (r < 0)
		return skf_errno();
	take_fds(&m, fds);
	if (!p)
		return b->err == -ENOMEM ? -ENOMEM : -EBADMSG;
	b->len = (size_t)r;
	p[r] = 0;
	return m.msg_flags & (MSG_TRUNC | MSG_CTRUNC) ? -EBADMSG : 0;
}

int skf_record_recv(int sock, struct skf_buf *b, struct skf_recr *r, struct skf_fds *fds, int timeout_ms)
{
	struct skf_fds got = {.n = 0};
	ssize_t size;
	int res;

	skf_buf_clear(b);
	if (fds)
		fds->n = 0;
	size = next_size(sock, timeout_ms);
	if (size <= 0)
		return (int)size;
	res = receive(sock, b, (size_t)size, &got);
	if (res == 0)
		res = skf_recr_init(r, b->p, b->len);
	if (res == 0 && fds) {
		*fds = got;
		return 1;
	}
	skf_fds_done(&got);
	return res == 0 ? 1 : res;
}
