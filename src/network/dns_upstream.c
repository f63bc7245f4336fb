/* network/dns_upstream.c -- who is asked: the container's own --dns servers, or the host's, as
 * /etc/resolv.conf says now. The file is looked at before each forwarded query (one stat) and read again
 * when it is another: no event can be missed, and a link that is pointed elsewhere (systemd-resolved,
 * resolvconf, NetworkManager) counts as a change. Its servers are reached from the host's network namespace,
 * so that 127.0.0.53 works. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "network/dns_int.h"
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

unsigned skf_dns_resolv_conf_parse(char *text, struct skf_dns_server_addr *ret, unsigned max)
{
	char *save = NULL, *word_save = NULL;
	unsigned n = 0;

	for (char *l = strtok_r(text, "\n", &save); l && n < max; l = strtok_r(NULL, "\n", &save)) {
		char *word = strtok_r(l, " \t\r", &word_save),
		     *value = word ? strtok_r(NULL, " \t\r", &word_save) : NULL;

		if (value && strcmp(word, "nameserver") == 0 && skf_dns_server_parse(value, &ret[n]) == 0)
			n++;
	}
	return n;
}

static void refresh(struct skf_dns *d)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RESOLV_CONF + 1);
	struct skf_dns_upstream u = {0};
	struct stat st;

	if (stat(d->resolv_conf, &st) < 0) {
		d->up = u; /* none: SERVFAIL */
		return;
	}
	u.dev = st.st_dev;
	u.ino = st.st_ino;
	u.size = (uint64_t)st.st_size;
	u.mtime_ns = (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec;
	if (u.dev == d->up.dev && u.ino == d->up.ino && u.size == d->up.size && u.mtime_ns == d->up.mtime_ns)
		return;
	if (skf_read_file_at(AT_FDCWD, d->resolv_conf, SKF_MAX_RESOLV_CONF, &b) == 0 && b.p)
		u.n = skf_dns_resolv_conf_parse(b.p, u.servers, SKF_MAX_DNS_SERVERS);
	d->up = u;
}

unsigned skf_dns_servers(struct skf_dns *d, const struct skf_dns_container *c,
			 const struct skf_dns_server_addr **ret)
{
	if (c->conf->n_servers) {
		*ret = c->conf->servers;
		return c->conf->n_servers;
	}
	refresh(d);
	*ret = d->up.servers;
	return d->up.n;
}
