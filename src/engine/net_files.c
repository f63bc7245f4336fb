/* engine/net_files.c -- hosts and resolv.conf of a container with networks. The files are bound into the
 * container: they are rewritten in place, never replaced. */
#include "engine/net_int.h"
#include "network/resolver.h"
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define MAX_HOSTFILE  (1u << 20)
#define RESOLVED_STUB "127.0.0.53"
#define RESOLVED_FILE "/run/systemd/resolve/resolv.conf" /* the servers behind the stub */

static const char hosts_head[] = "127.0.0.1\tlocalhost\n"
				 "::1\tlocalhost ip6-localhost ip6-loopback\n"
				 "fe00::\tip6-localnet\n"
				 "ff00::\tip6-mcastprefix\n"
				 "ff02::1\tip6-allnodes\n"
				 "ff02::2\tip6-allrouters\n";

static int rewrite(int dir, const char *name, const struct skf_buf *b, struct skf_err *e)
{
	SKF_AUTO_FD int fd = skf_openat(dir, name, O_WRONLY | O_CREAT | O_NOFOLLOW, 0644);
	int r = fd < 0 ? fd : b->err < 0 ? b->err : 0;

	if (r == 0 && b->len)
		r = skf_write_full(fd, b->p, b->len);
	if (r == 0 && ftruncate(fd, (off_t)b->len) < 0) /* last: a reader sees no empty file */
		r = -errno;
	return r < 0 ? skf_fail_sys(e, r, "write the container's file '%s'", name) : 0;
}

/* The host as the container reaches it. */
static const char *host_gateway(const struct skf_netrec *r)
{
	const struct skf_endpoint *p = r->endpoints.v;

	for (size_t i = 0; i < r->endpoints.n; i++)
		if (p[i].gateway)
			return p[i].gateway;
	return r->endpoints.n && p[0].gateway6 ? p[0].gateway6 : NULL;
}

/* NAME:ADDRESS or NAME=ADDRESS; several names joined by ';' as podman. */
static int add_extra(struct skf_buf *b, const char *word, const struct skf_netrec *r, struct skf_err *e)
{
	size_t n = strcspn(word, "=");
	const char *addr;

	if (!word[n])
		n = strcspn(word, ":");
	addr = word + n + (word[n] != '\0');
	if (skf_streq(addr, "host-gateway"))
		addr = host_gateway(r);
	if (!addr)
		return skf_fail(e, SKF_EINVALID,
				"unable to derive the IP value for host-gateway: the container is on no "
				"network with a gateway");
	skf_buf_fmt(b, "%s\t", addr);
	for (size_t i = 0; i < n; i++)
		skf_buf_chr(b, word[i] == ';' ? ' ' : word[i]);
	skf_buf_chr(b, '\n');
	return 0;
}

static void add_self(struct skf_buf *b, const char *ip, const struct skf_net_conf *c)
{
	if (!ip || !c->hostname)
		return;
	skf_buf_fmt(b, "%s\t", ip);
	if (c->domainname && *c->domainname)
		skf_buf_fmt(b, "%s.%s ", c->hostname, c->domainname);
	skf_buf_fmt(b, "%s\n", c->hostname);
}

static int write_hosts(int dir, const struct skf_net_conf *c, const struct skf_netrec *r, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(MAX_HOSTFILE);
	const struct skf_endpoint *p = r->endpoints.v;

	skf_buf_str(&b, hosts_head);
	for (size_t i = 0; i < c->add_host.n; i++)
		if (add_extra(&b, c->add_host.v[i], r, e) < 0)
			return -1;
	for (size_t i = 0; i < r->endpoints.n; i++) {
		add_self(&b, p[i].ip, c);
		add_self(&b, p[i].ip6, c);
	}
	return rewrite(dir, "hosts", &b, e);
}

static bool is_server_line(const char *line, size_t n, const char **ret, size_t *ret_n)
{
	static const char word[] = "nameserver";
	size_t k = sizeof(word) - 1, end;

	if (n <= k || memcmp(line, word, k) != 0 || (line[k] != ' ' && line[k] != '\t'))
		return false;
	while (k < n && (line[k] == ' ' || line[k] == '\t'))
		k++;
	for (end = k; end < n && line[end] != ' ' && line[end] != '\t'; end++)
		;
	*ret = line + k;
	*ret_n = end - k;
	return true;
}

static bool is_loopback_server(const char *s, size_t n)
{
	char text[64];
	struct skf_ip ip;

	if (n >= sizeof(text))
		return true; /* no address */
	memcpy(text, s, n);
	text[n] = '\0';
	text[strcspn(text, "%")] = '\0';
	return skf_ip_parse(text, &ip) < 0 || skf_ip_is_loopback(&ip);
}

/* The host's file; with resolved's stub the one with the real servers. */
static int read_host_file(struct skf_buf *b)
{
	int r = skf_read_file_at(AT_FDCWD, "/etc/resolv.conf", MAX_HOSTFILE, b);

	if (r >= 0 && strstr(skf_buf_cstr(b), "nameserver " RESOLVED_STUB)) {
		SKF_AUTO(skf_buf_done) struct skf_buf real = SKF_BUF(MAX_HOSTFILE);

		if (skf_read_file_at(AT_FDCWD, RESOLVED_FILE, MAX_HOSTFILE, &real) >= 0) {
			skf_buf_clear(b);
			skf_buf_put(b, skf_buf_cstr(&real), real.len);
		}
	}
	return r == -ENOENT ? 0 : r;
}

/* Copies what a container can use; returns how many servers that were. skip: words of lines that the user
 * replaces. */
static unsigned filter_host_file(const struct skf_buf *host, const struct skf_net_conf *c,
				 struct skf_buf *out)
{
	const char *p = skf_buf_cstr(host);
	unsigned servers = 0;

	while (*p) {
		size_t n = strcspn(p, "\n"), len;
		const char *s;
		bool keep = true;

		if (is_server_line(p, n, &s, &len)) {
			keep = c->dns.n == 0 && !is_loopback_server(s, len);
			servers += keep;
		} else if ((c->dns_search.n &&
			    (skf_startswith(p, "search") || skf_startswith(p, "domain"))) ||
			   (c->dns_opt.n && skf_startswith(p, "options"))) {
			keep = false;
		}
		if (keep && out) {
			skf_buf_put(out, p, n);
			skf_buf_chr(out, '\n');
		}
		p += n + (p[n] == '\n');
	}
	return servers;
}

bool skf_net_host_dns_usable(void)
{
	SKF_AUTO(skf_buf_done) struct skf_buf host = SKF_BUF(MAX_HOSTFILE);
	const struct skf_net_conf none = {0};

	return read_host_file(&host) >= 0 && filter_host_file(&host, &none, NULL) > 0;
}

static void add_words(struct skf_buf *b, const char *key, const struct skf_strv *v)
{
	if (v->n == 0 || skf_streq(v->v[0], ".")) /* docker: "." means no search domain */
		return;
	skf_buf_str(b, key);
	for (size_t i = 0; i < v->n; i++)
		skf_buf_fmt(b, " %s", v->v[i]);
	skf_buf_chr(b, '\n');
}

/* Words of the host's last line of that kind; ndots is left to the container: with it our resolver keeps
 * single labels to itself. */
static int host_words(const struct skf_buf *host, const char *key, struct skf_arena *a, struct skf_strv *ret)
{
	char *text = skf_arena_strdup(a, skf_buf_cstr(host)), *save = NULL, *word_save = NULL;

	if (!text)
		return -ENOMEM;
	for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		char *w = strtok_r(l, " \t\r", &word_save);

		if (!w || (!skf_streq(w, key) && !(skf_streq(key, "search") && skf_streq(w, "domain"))))
			continue;
		*ret = (struct skf_strv){0};
		while ((w = strtok_r(NULL, " \t\r", &word_save)))
			if (!skf_startswith(w, "ndots:") && skf_strv_add(a, ret, w) < 0)
				return -ENOMEM;
	}
	return 0;
}

/* As docker: what the user says, else the host's search domains and options, whoever is asked for names. */
static int what_counts(const struct skf_buf *host, const struct skf_net_conf *c, struct skf_arena *a,
		       struct skf_strv *search, struct skf_strv *options)
{
	int r = 0;

	*search = c->dns_search;
	*options = c->dns_opt;
	if (search->n && skf_streq(search->v[0], ".")) /* no domain at all */
		*search = (struct skf_strv){0};
	else if (search->n == 0)
		r = host_words(host, "search", a, search);
	return r == 0 && options->n == 0 ? host_words(host, "options", a, options) : r;
}

static int write_resolv(int dir, const struct skf_net_conf *c, const struct skf_netrec *r, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(MAX_HOSTFILE), host = SKF_BUF(MAX_HOSTFILE);
	int n;

	if (r->resolver) {
		SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
		struct skf_strv search = {0}, options = {0};

		n = read_host_file(&host);
		if (n >= 0)
			n = what_counts(&host, c, &a, &search, &options);
		if (n < 0)
			return skf_fail_sys(e, n, "read the host's /etc/resolv.conf");
		skf_resolver_conf(&b, &search, &options);
		return rewrite(dir, "resolv.conf", &b, e);
	}
	n = read_host_file(&host);
	if (n < 0)
		return skf_fail_sys(e, n, "read the host's /etc/resolv.conf");
	for (size_t i = 0; i < c->dns.n; i++)
		skf_buf_fmt(&b, "nameserver %s\n", c->dns.v[i]);
	(void)filter_host_file(&host, c, &b);
	add_words(&b, "search", &c->dns_search);
	add_words(&b, "options", &c->dns_opt);
	return rewrite(dir, "resolv.conf", &b, e);
}

static int copy_file(int to, int from, const char *name, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(MAX_HOSTFILE);
	int r = skf_read_file_at(from, name, MAX_HOSTFILE, &b);

	return r < 0 ? skf_fail_sys(e, r, "read the file '%s' of the container whose network is shared",
				    name)
		     : rewrite(to, name, &b, e);
}

int skf_net_files_of(struct skf_engine *g, const char *id, const char *target, struct skf_err *e)
{
	SKF_AUTO_FD int to = -EBADF, from = -EBADF;

	if (skf_ctr_open_dir(g, id, &to, e) < 0 || skf_ctr_open_dir(g, target, &from, e) < 0)
		return -1;
	return copy_file(to, from, "hosts", e) < 0 ? -1 : copy_file(to, from, "resolv.conf", e);
}

static int add_all(struct skf_arena *a, const struct skf_strv *from, struct skf_strv *to)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < from->n; i++)
		r = skf_strv_add(a, to, from->v[i]);
	return r;
}

/* What the user did not say, a network may have said. */
static int with_networks(const struct skf_net_conf *c, const struct skf_netrec *r, struct skf_arena *a,
			 struct skf_net_conf *ret)
{
	const struct skf_endpoint *p = r->endpoints.v;
	int n = 0;

	*ret = *c;
	for (size_t i = 0; n == 0 && i < r->endpoints.n; i++) {
		n = c->dns.n ? 0 : add_all(a, &p[i].dns_servers, &ret->dns);
		if (n == 0 && c->dns_search.n == 0)
			n = add_all(a, &p[i].dns_search, &ret->dns_search);
		if (n == 0 && c->dns_opt.n == 0)
			n = add_all(a, &p[i].dns_options, &ret->dns_opt);
	}
	return n;
}

int skf_net_files(struct skf_engine *g, const char *id, const struct skf_net_conf *c,
		  const struct skf_netrec *r, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	SKF_AUTO_FD int dir = -EBADF;
	struct skf_net_conf all;
	char *name;

	if (with_networks(c, r, &a, &all) < 0)
		return skf_net_no_memory(e);
	if (skf_net_owner(g, id, &a, &name, &dir, e) < 0)
		return -1;
	return write_hosts(dir, c, r, e) < 0 ? -1 : write_resolv(dir, &all, r, e);
}
