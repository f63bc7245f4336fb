/* network/dns_ctl.c -- run/resolver/ctl.sock: one request, one answer, then the connection is closed (wire:
 * resolver_int.h). Peers are uid 0 and our own. A container is watched by its pidfd and forgotten, file and
 * all, when its init ends. Its file is removed only under the lock that every join holds: what a join is
 * writing now is never taken away. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/record.h"
#include "network/dns_int.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define REQUEST_MAX 1024
#define ANSWER_MAX  1024

struct conn { /* of a client that has not said what it wants yet */
	struct skf_dns_source s;
};

/* --- containers --- */
void skf_dns_container_end(struct skf_dns *d, struct skf_dns_container *c)
{
	if (c->dead)
		return;
	for (struct skf_dns_list *x = d->tcp_clients.next, *next; x != &d->tcp_clients; x = next) {
		struct skf_dns_tcp *t = SKF_DNS_OF(x, struct skf_dns_tcp, by_age);

		next = x->next;
		if (t->c == c)
			skf_dns_tcp_end(d, t);
	}
	for (struct skf_dns_list *x = d->pending.next, *next; x != &d->pending; x = next) {
		struct skf_dns_pending *f = SKF_DNS_OF(x, struct skf_dns_pending, by_age);

		next = x->next;
		if (f->c == c)
			skf_dns_pending_end(d, f);
	}
	skf_dns_unwatch(d, &c->udp);
	skf_dns_unwatch(d, &c->tcp);
	skf_dns_unwatch(d, &c->pidfd);
	c->dead = true;
	d->n_containers--;
	skf_dns_list_del(&c->by_id);
	skf_dns_list_add(&d->dead_containers, &c->by_id);
}

static struct skf_dns_list *bucket_of(struct skf_dns *d, const char *id)
{
	uint32_t h = 2166136261u; /* FNV-1a */

	for (const char *p = id; *p; p++)
		h = (h ^ (uint8_t)*p) * 16777619u;
	return &d->containers[h % SKF_DNS_BUCKETS];
}

static struct skf_dns_container *find(struct skf_dns *d, const char *id)
{
	struct skf_dns_list *head = bucket_of(d, id);

	for (struct skf_dns_list *x = head->next; x != head; x = x->next) {
		struct skf_dns_container *c = SKF_DNS_OF(x, struct skf_dns_container, by_id);

		if (strcmp(c->id, id) == 0)
			return c;
	}
	return NULL;
}

static void container_gone(struct skf_dns *d, struct skf_dns_source *s, uint32_t events)
{
	struct skf_dns_container *c = SKF_DNS_OF(s, struct skf_dns_container, pidfd);

	skf_dns_container_end(d, c);
	skf_dns_ask_drop(d, c->id, false);
}

static int watch_all(struct skf_dns *d, struct skf_dns_container *c)
{
	int r = skf_dns_watch(d, &c->udp, EPOLLIN);

	if (r == 0)
		r = skf_dns_watch(d, &c->tcp, EPOLLIN);
	if (r == 0)
		r = skf_dns_watch(d, &c->pidfd, EPOLLIN);
	return r;
}

/* A container that is not known yet, by its file. */
static int adopt(struct skf_dns *d, const char *id, struct skf_resolver_file *f, int netns,
		 struct skf_err *e)
{
	struct skf_dns_container *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return skf_fail(e, SKF_ENOMEM, "memory for container '%.12s'", id);
	memcpy(c->id, id, strlen(id) + 1);
	c->pidfd = (struct skf_dns_source){-EBADF, container_gone};
	c->udp = (struct skf_dns_source){-EBADF, skf_dns_udp_ready};
	c->tcp = (struct skf_dns_source){-EBADF, skf_dns_tcp_accept};
	r = skf_dns_ask_sockets(d, id, netns, &c->pidfd.fd, &c->udp.fd, &c->tcp.fd, e);
	if (r == 0 && watch_all(d, c) < 0)
		r = skf_fail_sys(e, -errno, "watch the sockets of container '%.12s'", id);
	if (r < 0) {
		skf_dns_unwatch(d, &c->udp);
		skf_dns_unwatch(d, &c->tcp);
		skf_dns_unwatch(d, &c->pidfd);
		free(c);
		return -1;
	}
	c->conf = f;
	skf_dns_list_add(bucket_of(d, id), &c->by_id);
	d->n_containers++;
	return 0;
}

static int join(struct skf_dns *d, const char *id, int netns, struct skf_err *e)
{
	struct skf_dns_container *c = find(d, id);
	struct skf_resolver_file *f = NULL;
	SKF_AUTO_FD int fd = -EBADF;

	if (skf_dns_ask_file(d, id, &fd, e) < 0 || skf_resolver_file_read_fd(fd, id, &f, e) < 0)
		return -1;
	if (c && c->conf->pid == f->pid && c->conf->start_time == f->start_time) {
		skf_resolver_file_free(c->conf);
		c->conf = f;
		return 0;
	}
	if (c) /* its next life */
		skf_dns_container_end(d, c);
	if (adopt(d, id, f, netns, e) == 0)
		return 0;
	skf_resolver_file_free(f);
	return -1;
}

/* At start, by who holds the lock for us. */
void skf_dns_adopt_all(struct skf_dns *d)
{
	for (size_t i = 0; i < d->n_start_ids && !d->stop; i++) {
		const char *id = d->start_ids[i];
		struct skf_err e = SKF_ERR_INIT;

		if (join(d, id, -1, &e) == 0)
			continue;
		if (e.sys != ESRCH) /* the usual: it ended while nobody was there to see it */
			skf_log_err(d->log, &e);
		skf_dns_ask_drop(d, id, true);
	}
	free(d->start_ids);
	d->start_ids = NULL;
	d->n_start_ids = 0;
}

/* --- requests --- */
static bool peer_allowed(const struct skf_dns *d, int fd)
{
	struct ucred c;
	socklen_t n = sizeof(c);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &n) == 0 && (c.uid == 0 || c.uid == d->owner);
}

static int handle(struct skf_dns *d, struct skf_recr *r, struct skf_fds *fds, struct skf_err *e)
{
	struct skf_dns_container *c;
	const char *id;

	if (r->type == SKF_RESOLVER_PING)
		return 0;
	if (r->type != SKF_RESOLVER_JOIN && r->type != SKF_RESOLVER_LEAVE)
		return skf_fail(e, SKF_EUNSUPPORTED, "this resolver (skiff %s) does not know request %u",
				SKF_VERSION, r->type);
	id = skf_recr_str(r);
	if (r->bad || !skf_resolver_id_ok(id))
		return skf_fail(e, SKF_EINVALID, "'%.80s' is not the id of a container", id);
	if (r->type == SKF_RESOLVER_JOIN)
		return join(d, id, fds->n ? fds->fd[0] : -1, e);
	c = find(d, id);
	if (c)
		skf_dns_container_end(d, c);
	return 0;
}

static void answer(struct skf_dns *d, int fd, const struct skf_err *e)
{
	char mem[ANSWER_MAX];
	struct skf_buf b = {.p = mem, .cap = sizeof(mem), .max = sizeof(mem) - 1};
	struct skf_rec w;

	skf_rec_begin(&w, &b, e ? SKF_RESOLVER_ERROR : SKF_RESOLVER_OK, SKF_RESOLVER_VERSION);
	if (e) {
		skf_rec_err(&w, e);
	} else {
		skf_rec_u32(&w, (uint32_t)getpid());
		skf_rec_u32(&w, d->n_containers);
	}
	skf_rec_end(&w);
	(void)skf_record_send(fd, &b, NULL, 0); /* a peer that is gone needs no answer */
}

static void conn_ready(struct skf_dns *d, struct skf_dns_source *s, uint32_t events)
{
	SKF_AUTO(skf_fds_done) struct skf_fds fds = {.n = 0};
	struct conn *k = SKF_DNS_OF(s, struct conn, s);
	struct skf_err e = SKF_ERR_INIT;
	char mem[REQUEST_MAX];
	struct skf_buf b = {.p = mem, .cap = sizeof(mem), .max = sizeof(mem) - 1};
	struct skf_recr r;
	int n = skf_record_recv(s->fd, &b, &r, &fds, 0);

	if (n == -EAGAIN || n == -ETIMEDOUT)
		return;
	if (n == 1)
		answer(d, s->fd, handle(d, &r, &fds, &e) < 0 ? &e : NULL);
	skf_dns_unwatch(d, s);
	free(k); /* it has one descriptor, and this was its event */
}

void skf_dns_ctl_accept(struct skf_dns *d, struct skf_dns_source *s, uint32_t events)
{
	SKF_AUTO_FD int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct skf_err e = SKF_ERR_INIT;
	struct conn *k;

	if (fd < 0)
		return; /* gone again, or no descriptors now: epoll comes back */
	if (!peer_allowed(d, fd)) {
		skf_fail(&e, SKF_EDENIED, "the resolver takes requests of its owner and of root only");
		answer(d, fd, &e);
		return;
	}
	k = calloc(1, sizeof(*k));
	if (!k)
		return;
	k->s = (struct skf_dns_source){SKF_TAKE_FD(fd), conn_ready};
	if (skf_dns_watch(d, &k->s, EPOLLIN) < 0) {
		skf_closep(&k->s.fd);
		free(k);
	}
}
