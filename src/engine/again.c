/* engine/again.c -- what was asked for when a container was made, as a request again: of a container that
 * exists, or that came out of an archive. It goes through the whole plan like one that a user typed, so
 * nothing of it is trusted that a command line would not be. Pointers are shared with what is passed.
 *
 * Kept: all that struct skf_ctr_request, skf_ctrconf and network.json record. Not kept: --init-path (the
 * init of this machine is used), and what the configuration has changed since. */
#include "engine/create_int.h"
#include "engine/net_int.h"
#include <stdio.h>
#include <string.h>

#define NS_PER_MS 1000000

static int pairs(const struct skf_kvs *from, struct skf_arena *a, struct skf_strv *to)
{
	for (size_t i = 0; i < from->n; i++) {
		char *word = skf_arena_fmt(a, "%s=%s", from->v[i].k, from->v[i].v);

		if (!word || skf_strv_add(a, to, word) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int health(const struct skf_ctrconf_health *h, struct skf_arena *a, struct skf_health_req *q)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	struct skf_jw w = SKF_JW(&b);

	if (!h) {
		q->none = true;
		return 0;
	}
	skf_jw_arr(&w);
	for (size_t i = 0; i < h->test.n; i++)
		skf_jw_str(&w, h->test.v[i]);
	skf_jw_end_arr(&w);
	q->cmd = b.err < 0 ? NULL : skf_arena_strdup(a, skf_buf_cstr(&b));
	q->interval_ns = (int64_t)h->interval * NS_PER_MS;
	q->timeout_ns = (int64_t)h->timeout * NS_PER_MS;
	q->start_period_ns = (int64_t)h->start_period * NS_PER_MS;
	q->start_interval_ns = (int64_t)h->start_interval * NS_PER_MS;
	q->retries = h->retries;
	q->on_failure = h->on_failure;
	return q->cmd ? 0 : -ENOMEM;
}

static int life(const struct skf_ctrconf *c, struct skf_arena *a, struct skf_life_req *q)
{
	q->restart = c->restart;
	if (c->restart && skf_streq(c->restart, "on-failure") && c->restart_max)
		q->restart = skf_arena_fmt(a, "on-failure:%u", c->restart_max);
	q->sdnotify = c->sdnotify;
	q->log_driver = c->log_driver;
	if ((c->restart && !q->restart) || pairs(&c->log_opts, a, &q->log_opts) < 0)
		return -ENOMEM;
	return health(c->health, a, &q->health);
}

/* -p of one port. */
static char *publish(const struct skf_publish *p, struct skf_arena *a)
{
	const char *ip = p->host_ip ? p->host_ip : "";
	bool six = strchr(ip, ':') != NULL;
	char host[32] = "";

	if (p->host_first)
		(void)snprintf(host, sizeof(host), "%u-%u", p->host_first, p->host_last);
	return skf_arena_fmt(a, "%s%s%s%s%s%s%u/%s", six ? "[" : "", ip, six ? "]" : "", *ip ? ":" : "",
			     host, *ip || *host ? ":" : "", p->port, p->proto);
}

static int attachments(const struct skf_net_conf *n, struct skf_arena *a, struct skf_net_req *q)
{
	bool bridge = skf_streq(n->mode, SKF_NET_MODE_BRIDGE);
	const struct skf_net_choice *c = n->networks.v;
	size_t k = bridge ? n->networks.n : 1;
	struct skf_net_attach *v = skf_arena_array(a, k + 1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	for (size_t i = 0; bridge && i < k; i++)
		v[i] = (struct skf_net_attach){.name = c[i].name,
					       .ip = c[i].ip,
					       .ip6 = c[i].ip6,
					       .mac = c[i].mac,
					       .interface = c[i].ifname,
					       .aliases = c[i].aliases};
	if (!bridge)
		v[0].name =
			n->target && *n->target ? skf_arena_fmt(a, "%s:%s", n->mode, n->target) : n->mode;
	q->networks = (struct skf_jarr){v, k};
	return bridge || v[0].name ? 0 : -ENOMEM;
}

void skf_net_again_elsewhere(struct skf_net_req *q, bool ip, bool mac)
{
	struct skf_net_attach *v = q->networks.v;

	for (size_t i = 0; i < q->networks.n; i++) {
		if (ip)
			v[i].ip = v[i].ip6 = NULL;
		if (mac)
			v[i].mac = NULL;
	}
}

int skf_net_again(const struct skf_net_conf *n, struct skf_arena *a, struct skf_net_req *q)
{
	const struct skf_publish *p = n->ports.v;

	*q = (struct skf_net_req){.publish_all = n->publish_all,
				  .expose = n->exposed,
				  .dns = n->dns,
				  .dns_search = n->dns_search,
				  .dns_opt = n->dns_opt,
				  .add_host = n->add_host,
				  .domainname = n->domainname,
				  .egress = n->egress,
				  .egress_allow = n->egress_allow};
	for (size_t i = 0; i < n->ports.n; i++) {
		char *word = publish(&p[i], a);

		if (!word || skf_strv_add(a, &q->publish, word) < 0)
			return -ENOMEM;
	}
	return skf_streq(n->mode, "pod") ? 0 : attachments(n, a, q);
}

int skf_ctr_again(const struct skf_ctrconf *c, const struct skf_ctr_request *r, const struct skf_net_conf *n,
		  struct skf_arena *a, struct skf_create_req *q, struct skf_err *e)
{
	struct skf_create_req x = SKF_REQ(struct skf_create_req);

	x.image = r->s.rootfs ? NULL : r->image;
	x.name = c->name;
	x.hostname = r->s.uts && skf_streq(r->s.uts, "host") ? NULL : r->hostname;
	x.user = r->user;
	x.workdir = r->workdir;
	x.stop_signal = r->stop_signal;
	x.has_entrypoint = true;
	x.entrypoint = r->entrypoint;
	x.command = r->cmd;
	x.env = r->env;
	x.storage_opt = r->storage_opt;
	x.s = r->s;
	x.tty = c->tty;
	x.interactive = c->open_stdin;
	x.detach = !r->attach_stdout;
	x.remove = c->remove;
	x.init = r->init;
	x.timeout = c->timeout;
	x.stop_timeout = c->stop_timeout;
	x.pod = c->pod;
	x.stdio[0] = x.stdio[1] = x.stdio[2] = -EBADF;
	if (pairs(&r->labels, a, &x.labels) < 0 || life(c, a, &x.life) < 0 ||
	    skf_net_again(n, a, &x.net) < 0)
		return skf_fail(e, SKF_ENOMEM, "memory for the request of container '%s'", c->name);
	*q = x;
	return 0;
}
