/* network/dns_client.c -- clients in a container: datagrams, and connections with a length before each
 * message (RFC 1035 4.2.2, RFC 7766). A container can ask as fast as it likes: it only gets its own answers
 * later. A connection that is silent for SKF_DNS_TCP_IDLE_MS, does not take its answers or sends nonsense is
 * closed; one connection too many is closed at once. */
#include "base/buf.h"
#include "base/fd.h"
#include "network/dns_int.h"
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BURST   32           /* datagrams of one container before others have their turn */
#define MAX_OUT (256u << 10) /* answers that a client has not taken */

void skf_dns_udp_ready(struct skf_dns *d, struct skf_dns_source *s, uint32_t events)
{
	struct skf_dns_from from = {.c = SKF_DNS_OF(s, struct skf_dns_container, udp)};

	for (unsigned i = 0; i < BURST; i++) {
		socklen_t alen = sizeof(from.addr);
		ssize_t n = recvfrom(s->fd, d->buf, sizeof(d->buf), MSG_DONTWAIT,
				     (struct sockaddr *)&from.addr, &alen);
		size_t len;

		if (n < 0)
			return; /* EAGAIN; or an ICMP error of an answer that nobody took */
		len = skf_dns_query(d, &from, d->buf, (size_t)n);
		if (len > 0) /* a full buffer drops it, as any network may */
			(void)sendto(s->fd, d->out, len, MSG_DONTWAIT, (struct sockaddr *)&from.addr, alen);
	}
}

/* --- TCP --- */
void skf_dns_tcp_free(struct skf_dns_tcp *t)
{
	skf_buf_done(&t->in);
	skf_buf_done(&t->out);
	free(t);
}

void skf_dns_tcp_end(struct skf_dns *d, struct skf_dns_tcp *t)
{
	if (t->dead)
		return;
	t->dead = true;
	t->c->clients--;
	skf_dns_unwatch(d, &t->s);
	skf_dns_list_del(&t->by_age);
	skf_dns_list_add(&d->dead_clients, &t->by_age);
	for (struct skf_dns_list *x = d->pending.next, *next; x != &d->pending; x = next) {
		struct skf_dns_pending *f = SKF_DNS_OF(x, struct skf_dns_pending, by_age);

		next = x->next;
		if (f->tcp == t)
			skf_dns_pending_end(d, f);
	}
}

static void touch(struct skf_dns *d, struct skf_dns_tcp *t)
{
	t->until = skf_mono_ms() + SKF_DNS_TCP_IDLE_MS;
	skf_dns_list_del(&t->by_age);
	skf_dns_list_add(&d->tcp_clients, &t->by_age);
}

/* Sends what there is; what the client does not take now waits for EPOLLOUT. A client that has said
 * everything is closed after its last answer. */
static void flush(struct skf_dns *d, struct skf_dns_tcp *t)
{
	while (t->sent < t->out.len) {
		ssize_t n =
			send(t->s.fd, t->out.p + t->sent, t->out.len - t->sent, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN) {
			skf_dns_tcp_end(d, t);
			return;
		}
		if (n < 0)
			break;
		t->sent += (size_t)n;
	}
	if (t->sent == t->out.len) {
		skf_buf_clear(&t->out);
		t->sent = 0;
	}
	if ((t->no_more && !t->out.len && !t->waiting) ||
	    skf_dns_rewatch(d, &t->s, (t->no_more ? 0u : EPOLLIN) | (t->out.len ? EPOLLOUT : 0u)) < 0)
		skf_dns_tcp_end(d, t);
}

void skf_dns_tcp_send(struct skf_dns *d, struct skf_dns_tcp *t, const uint8_t *p, size_t n)
{
	uint8_t len[2] = {(uint8_t)(n >> 8), (uint8_t)n};

	skf_buf_put(&t->out, len, 2);
	skf_buf_put(&t->out, p, n);
	if (t->out.err)
		skf_dns_tcp_end(d, t);
	else
		flush(d, t);
}

/* Answers each whole message; what is left of the next one moves to the front. */
static void take_messages(struct skf_dns *d, struct skf_dns_tcp *t)
{
	struct skf_dns_from from = {.c = t->c, .tcp = t};
	size_t at = 0;

	while (!t->dead && t->in.len - at >= 2) {
		const uint8_t *p = (const uint8_t *)t->in.p + at;
		size_t n = (size_t)p[0] << 8 | p[1], len;

		if (t->in.len - at < 2 + n)
			break;
		at += 2 + n;
		len = skf_dns_query(d, &from, p + 2, n);
		if (len > 0)
			skf_dns_tcp_send(d, t, d->out, len);
	}
	if (t->dead || at == 0)
		return;
	memmove(t->in.p, t->in.p + at, t->in.len - at);
	t->in.len -= at;
}

static void tcp_ready(struct skf_dns *d, struct skf_dns_source *s, uint32_t events)
{
	struct skf_dns_tcp *t = SKF_DNS_OF(s, struct skf_dns_tcp, s);
	char *room;
	ssize_t n;

	if (events & EPOLLOUT)
		flush(d, t);
	if (t->dead || !(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return;
	room = skf_buf_reserve(&t->in, 2048);
	n = room ? recv(s->fd, room, 2048, MSG_DONTWAIT) : -1;
	if (n < 0 && room && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		skf_dns_tcp_end(d, t);
		return;
	}
	t->no_more = n == 0;
	t->in.len += (size_t)n;
	touch(d, t);
	take_messages(d, t);
	if (!t->dead)
		flush(d, t);
}

void skf_dns_tcp_accept(struct skf_dns *d, struct skf_dns_source *s, uint32_t events)
{
	struct skf_dns_container *c = SKF_DNS_OF(s, struct skf_dns_container, tcp);
	int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct skf_dns_tcp *t;

	if (fd < 0)
		return; /* gone again, or no descriptors now: epoll comes back */
	t = c->clients < SKF_MAX_DNS_TCP_EACH ? calloc(1, sizeof(*t)) : NULL;
	if (!t) {
		close(fd);
		return;
	}
	t->s = (struct skf_dns_source){fd, tcp_ready};
	t->c = c;
	t->in.max = SKF_MAX_DNS_MESSAGE + 2 + 2048;
	t->out.max = MAX_OUT;
	t->by_age.next = t->by_age.prev = &t->by_age;
	c->clients++;
	touch(d, t);
	if (skf_dns_watch(d, &t->s, EPOLLIN) < 0)
		skf_dns_tcp_end(d, t);
}
