/* network/dns_loop.c -- the loop of skiff-resolver; see dns_int.h.
 * The end: SKF_RESOLVER_LINGER_MS after its last container the keeper takes the lock that every join holds
 * shared, and only then removes the socket: a join either reaches it before, or finds no socket and starts
 * another one. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "network/dns_int.h"
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define ROUND 64 /* events of one round */

int skf_dns_watch(struct skf_dns *d, struct skf_dns_source *s, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = s};

	return epoll_ctl(d->ep, EPOLL_CTL_ADD, s->fd, &ev) < 0 ? -errno : 0;
}

int skf_dns_rewatch(struct skf_dns *d, struct skf_dns_source *s, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = s};

	return epoll_ctl(d->ep, EPOLL_CTL_MOD, s->fd, &ev) < 0 ? -errno : 0;
}

/* Removed by hand: a copy of the descriptor that somebody else holds would keep it in the set. */
void skf_dns_unwatch(struct skf_dns *d, struct skf_dns_source *s)
{
	if (s->fd >= 0)
		(void)epoll_ctl(d->ep, EPOLL_CTL_DEL, s->fd, NULL); /* it may never have been added */
	skf_closep(&s->fd);
}

void skf_dns_list_add(struct skf_dns_list *head, struct skf_dns_list *x)
{
	x->next = head;
	x->prev = head->prev;
	head->prev->next = x;
	head->prev = x;
}

void skf_dns_list_del(struct skf_dns_list *x)
{
	x->prev->next = x->next;
	x->next->prev = x->prev;
	x->next = x->prev = x;
}

static struct skf_dns_pending *oldest_pending(struct skf_dns *d)
{
	return d->pending.next == &d->pending ? NULL
					      : SKF_DNS_OF(d->pending.next, struct skf_dns_pending, by_age);
}

static struct skf_dns_tcp *oldest_client(struct skf_dns *d)
{
	return d->tcp_clients.next == &d->tcp_clients
		       ? NULL
		       : SKF_DNS_OF(d->tcp_clients.next, struct skf_dns_tcp, by_age);
}

/* All waits of one kind have the same length, so that the oldest is the next. */
static int wait_ms(struct skf_dns *d, int64_t now)
{
	const struct skf_dns_pending *f = oldest_pending(d);
	const struct skf_dns_tcp *t = oldest_client(d);
	int64_t next = INT64_MAX;

	if (f && f->until < next)
		next = f->until;
	if (t && t->until < next)
		next = t->until;
	if (d->idle_since && d->idle_since + SKF_RESOLVER_LINGER_MS < next)
		next = d->idle_since + SKF_RESOLVER_LINGER_MS;
	if (next == INT64_MAX)
		return -1;
	return next <= now ? 0 : (int)(next - now);
}

static void expire(struct skf_dns *d, int64_t now)
{
	struct skf_dns_pending *f;
	struct skf_dns_tcp *t;

	while ((f = oldest_pending(d)) && f->until <= now)
		skf_dns_pending_timeout(d, f);
	while ((t = oldest_client(d)) && t->until <= now)
		skf_dns_tcp_end(d, t);
}

/* Frees what ended in this round. */
static void sweep(struct skf_dns *d)
{
	while (d->dead_pending.next != &d->dead_pending) {
		struct skf_dns_pending *f = SKF_DNS_OF(d->dead_pending.next, struct skf_dns_pending, by_age);

		skf_dns_list_del(&f->by_age);
		skf_dns_pending_free(f);
	}
	while (d->dead_clients.next != &d->dead_clients) {
		struct skf_dns_tcp *t = SKF_DNS_OF(d->dead_clients.next, struct skf_dns_tcp, by_age);

		skf_dns_list_del(&t->by_age);
		skf_dns_tcp_free(t);
	}
	while (d->dead_containers.next != &d->dead_containers) {
		struct skf_dns_container *c =
			SKF_DNS_OF(d->dead_containers.next, struct skf_dns_container, by_id);

		skf_dns_list_del(&c->by_id);
		skf_resolver_file_free(c->conf);
		free(c);
	}
}

/* Nobody is left, and has not been for a while. */
static void try_end(struct skf_dns *d, int64_t now)
{
	struct skf_err e = SKF_ERR_INIT;

	if (d->n_containers > 0) {
		d->idle_since = 0;
		return;
	}
	if (!d->idle_since)
		d->idle_since = now;
	if (now < d->idle_since + SKF_RESOLVER_LINGER_MS)
		return;
	if (skf_dns_ask_end(d, &e) == 0) {
		d->idle_since = now; /* somebody is joining: another round */
		return;
	}
	skf_dns_unwatch(d, &d->listen);
	d->stop = true;
}

/* It cannot send us a signal when it dies: its user is another one. */
static void keeper_gone(struct skf_dns *d, struct skf_dns_source *s, uint32_t events)
{
	d->stop = true;
}

int skf_dns_run(struct skf_dns *d, struct skf_err *e)
{
	struct epoll_event ev[ROUND];

	skf_dns_adopt_all(d);
	try_end(d, skf_mono_ms()); /* who started us may never come: the clock of the end runs from here */
	d->listen.fn = skf_dns_ctl_accept;
	d->keeper_end = (struct skf_dns_source){d->keeper, keeper_gone};
	if (skf_dns_watch(d, &d->keeper_end, 0) < 0 || skf_dns_watch(d, &d->listen, EPOLLIN) < 0)
		return skf_fail_sys(e, -errno, "watch the control socket");
	while (!d->stop) {
		int n = epoll_wait(d->ep, ev, ROUND, wait_ms(d, skf_mono_ms()));
		int64_t now;

		if (n < 0 && errno != EINTR)
			return skf_fail_sys(e, -errno, "wait for events");
		for (int i = 0; i < n; i++) {
			struct skf_dns_source *s = ev[i].data.ptr;

			if (s->fd >= 0)
				s->fn(d, s, ev[i].events);
		}
		now = skf_mono_ms();
		expire(d, now);
		sweep(d);
		try_end(d, now);
	}
	return 0;
}
