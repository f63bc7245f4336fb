/* network/dns_forward.c -- queries for the outside: one socket each, connected, in the engine's network
 * namespace, so that the kernel gives it a random port and hands it answers of the asked server only. The id
 * is random per try. UDP is forwarded as UDP, TCP as TCP: a cut answer (TC) goes to the client, which then
 * comes by TCP. A server that is silent for SKF_DNS_TRY_MS, refuses (ICMP), or says SERVFAIL or REFUSED
 * makes room for the next one, all of them at most twice; the last bad answer is what the client gets. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "network/dns_int.h"
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_TRIES 4

static void next_try(struct skf_dns *d, struct skf_dns_pending *f);

void skf_dns_pending_free(struct skf_dns_pending *f)
{
	skf_buf_done(&f->io);
	free(f);
}

void skf_dns_pending_end(struct skf_dns *d, struct skf_dns_pending *f)
{
	if (f->dead)
		return;
	f->dead = true;
	f->c->pending--;
	d->n_pending--;
	if (f->tcp)
		f->tcp->waiting--;
	skf_dns_unwatch(d, &f->s);
	skf_dns_list_del(&f->by_age);
	skf_dns_list_add(&d->dead_pending, &f->by_age);
}

/* --- the way back --- */
void skf_dns_deliver(struct skf_dns *d, struct skf_dns_pending *f, uint8_t *p, size_t n)
{
	struct skf_dns_tcp *t = f->tcp;

	skf_dns_set_id(p, f->client_id);
	skf_dns_learn(d, f, p, n);
	if (t) {
		skf_dns_pending_end(d, f);
		skf_dns_tcp_send(d, t, p, n);
		return;
	}
	if (n > f->client_size) { /* a server that does not care what fits */
		struct skf_dns_query q;
		struct skf_dns_reply r;

		skf_dns_set_id(f->query, f->client_id);
		if (skf_dns_query_read(f->query, f->len, &q) == 0) {
			skf_dns_reply_begin(&r, d->out, f->client_size, f->query, &q, skf_dns_rcode(p));
			r.cut = true;
			p = d->out;
			n = skf_dns_reply_end(&r);
		}
	}
	(void)sendto(f->c->udp.fd, p, n, MSG_DONTWAIT, (struct sockaddr *)&f->from, sizeof(f->from));
	skf_dns_pending_end(d, f);
}

static void give_up(struct skf_dns *d, struct skf_dns_pending *f)
{
	struct skf_dns_query q;
	struct skf_dns_reply r;

	if (skf_dns_query_read(f->query, f->len, &q) < 0) {
		skf_dns_pending_end(d, f);
		return;
	}
	skf_dns_reply_begin(&r, d->out, SKF_DNS_UDP, f->query, &q, SKF_DNS_SERVFAIL);
	skf_dns_deliver(d, f, d->out, skf_dns_reply_end(&r));
}

/* A whole answer of the right question. */
static void on_answer(struct skf_dns *d, struct skf_dns_pending *f, uint8_t *p, size_t n)
{
	unsigned rcode = skf_dns_rcode(p);

	if ((rcode == SKF_DNS_SERVFAIL || rcode == SKF_DNS_REFUSED) && f->tries < f->max_tries)
		next_try(d, f);
	else
		skf_dns_deliver(d, f, p, n);
}

static void udp_ready(struct skf_dns *d, struct skf_dns_source *s, uint32_t events)
{
	struct skf_dns_pending *f = SKF_DNS_OF(s, struct skf_dns_pending, s);
	ssize_t n = recv(s->fd, d->buf, sizeof(d->buf), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0)
		next_try(d, f);
	else if (skf_dns_is_answer(f->query, f->len, d->buf, (size_t)n))
		on_answer(d, f, d->buf, (size_t)n);
	/* anything else is somebody's guess: the answer may still come */
}

/* The request first, then the answer into the same buffer. */
static int tcp_write(struct skf_dns_pending *f)
{
	while (f->sent < f->io.len) {
		ssize_t n =
			send(f->s.fd, f->io.p + f->sent, f->io.len - f->sent, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
		f->sent += n > 0 ? (size_t)n : 0;
	}
	skf_buf_clear(&f->io);
	f->connected = true;
	return 1;
}

/* 1 the answer is whole, 0 wait, -errno. */
static int tcp_read(struct skf_dns_pending *f)
{
	for (;;) {
		const uint8_t *p = (const uint8_t *)f->io.p;
		size_t want = f->io.len < 2 ? 2 : 2 + ((size_t)p[0] << 8 | p[1]);
		char *room;
		ssize_t n;

		if (f->io.len >= 2 && f->io.len == want)
			return 1;
		room = skf_buf_reserve(&f->io, want - f->io.len);
		if (!room)
			return f->io.err;
		n = recv(f->s.fd, room, want - f->io.len, MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n == 0 ? -EPIPE : errno == EAGAIN ? 0 : -errno;
		f->io.len += (size_t)n;
	}
}

static void tcp_ready(struct skf_dns *d, struct skf_dns_source *s, uint32_t events)
{
	struct skf_dns_pending *f = SKF_DNS_OF(s, struct skf_dns_pending, s);
	int r = 1;

	if (!f->connected) {
		r = tcp_write(f);
		if (r == 1)
			r = skf_dns_rewatch(d, s, EPOLLIN);
	} else {
		r = tcp_read(f);
		if (r == 1) {
			size_t n = f->io.len - 2;

			memcpy(d->buf, f->io.p + 2, n);
			r = skf_dns_is_answer(f->query, f->len, d->buf, n) ? 0 : -EBADMSG;
			if (r == 0)
				on_answer(d, f, d->buf, n);
		}
	}
	if (r < 0)
		next_try(d, f);
}

/* --- the way out --- */
static int connect_to(const struct skf_dns_server_addr *a, bool tcp)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(a->port)};
	struct sockaddr_in6 v6 = {
		.sin6_family = AF_INET6, .sin6_port = htons(a->port), .sin6_scope_id = a->scope};
	bool four = a->ip.family == AF_INET;
	SKF_AUTO_FD int fd =
		socket(a->ip.family, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	memcpy(&v4.sin_addr, a->ip.b, 4);
	memcpy(&v6.sin6_addr, a->ip.b, 16);
	if (connect(fd, four ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6,
		    four ? sizeof(v4) : sizeof(v6)) < 0 &&
	    errno != EINPROGRESS)
		return -errno;
	return SKF_TAKE_FD(fd);
}

static int send_to(struct skf_dns *d, struct skf_dns_pending *f, const struct skf_dns_server_addr *a)
{
	uint8_t len[2] = {(uint8_t)(f->len >> 8), (uint8_t)f->len};
	uint16_t id;

	if (getrandom(&id, sizeof(id), 0) != sizeof(id))
		return -errno;
	skf_dns_set_id(f->query, id);
	f->s.fd = connect_to(a, f->tcp != NULL);
	if (f->s.fd < 0)
		return f->s.fd;
	f->s.fn = f->tcp ? tcp_ready : udp_ready;
	f->connected = false;
	if (!f->tcp)
		return send(f->s.fd, f->query, f->len, MSG_DONTWAIT) < 0 ? -errno
									 : skf_dns_watch(d, &f->s, EPOLLIN);
	skf_buf_clear(&f->io);
	f->sent = 0;
	skf_buf_put(&f->io, len, 2);
	skf_buf_put(&f->io, f->query, f->len);
	return f->io.err ? f->io.err : skf_dns_watch(d, &f->s, EPOLLOUT);
}

/* Asks the next server, or ends it with SERVFAIL. The host's servers may be others than at the last try. */
static void next_try(struct skf_dns *d, struct skf_dns_pending *f)
{
	const struct skf_dns_server_addr *servers;
	unsigned n = skf_dns_servers(d, f->c, &servers);

	while (n > 0 && f->tries < f->max_tries) {
		skf_dns_unwatch(d, &f->s);
		f->until = skf_mono_ms() + SKF_DNS_TRY_MS;
		skf_dns_list_del(&f->by_age);
		skf_dns_list_add(&d->pending, &f->by_age);
		if (send_to(d, f, &servers[f->tries++ % n]) == 0)
			return;
	}
	give_up(d, f);
}

void skf_dns_pending_timeout(struct skf_dns *d, struct skf_dns_pending *f)
{
	next_try(d, f);
}

int skf_dns_forward(struct skf_dns *d, const struct skf_dns_from *from, const struct skf_dns_query *q,
		    const uint8_t *p, size_t n)
{
	const struct skf_dns_server_addr *servers;
	unsigned n_servers = skf_dns_servers(d, from->c, &servers);
	struct skf_dns_pending *f;

	if (n_servers == 0)
		return -EHOSTUNREACH;
	if (d->n_pending >= SKF_MAX_DNS_PENDING || from->c->pending >= SKF_MAX_DNS_PENDING_EACH)
		return -EAGAIN;
	f = calloc(1, sizeof(*f) + n);
	if (!f)
		return -ENOMEM;
	memcpy(f->query, p, n);
	f->len = (uint16_t)n;
	f->s.fd = -EBADF;
	f->io.max = SKF_MAX_DNS_MESSAGE + 2;
	f->c = from->c;
	f->tcp = from->tcp;
	f->from = from->addr;
	f->client_id = q->id;
	f->client_size = from->tcp ? SKF_MAX_DNS_MESSAGE : q->udp_size;
	f->max_tries = (uint8_t)(n_servers * 2 < MAX_TRIES ? n_servers * 2 : MAX_TRIES);
	f->by_age.next = f->by_age.prev = &f->by_age;
	f->c->pending++;
	d->n_pending++;
	if (f->tcp)
		f->tcp->waiting++;
	next_try(d, f);
	return 0;
}
