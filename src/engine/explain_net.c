/* engine/explain_net.c -- explain: networks, published ports, egress policy with what it refused, and the
 * sysctls of the container's namespaces, which a skiff-launch reads from inside them (launch/look.c). */
#include "engine/explain_int.h"
#include "base/proc.h"
#include "launch/wire.h"
#include "network/egress.h"
#include "sys/process.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define P(group, name, key, flag, show)                                                                     \
	{                                                                                                   \
		group, name, key, flag, show, NULL                                                          \
	}

static const char *owner(const struct skf_ex *x)
{
	return x->pod && x->pod->share & SKF_POD_NET ? x->pod->id : x->id;
}

/* What it has now; NULL: nothing. */
static struct skf_netrec *record(struct skf_ex *x)
{
	struct skf_err e = SKF_ERR_INIT;
	struct skf_netrec *r;
	int n = x->running ? skf_netrec_read(x->g->run_fd, owner(x), x->a, &r, &e) : 0;

	if (n < 0)
		skf_warn(&x->g->log, "%s; ignoring", e.msg);
	return n == 1 ? r : NULL;
}

/* Interfaces that the container's process sees, by /proc/PID/net/dev. */
static char *interfaces(struct skf_ex *x)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_OBJECT_BYTES);
	const char *text = skf_ex_proc_file(x, "net/dev");

	for (const char *p = text; p && *p; p += strcspn(p, "\n"), p += *p == '\n') {
		const char *name = p + strspn(p, " "), *colon = strpbrk(name, ":\n");

		if (colon && *colon == ':')
			skf_buf_fmt(&b, "%s%.*s", b.len ? " " : "", (int)(colon - name), name);
	}
	return skf_ex_text(x, "%s", !text ? "?" : b.len ? skf_buf_cstr(&b) : "no interface");
}

static void mode(struct skf_ex *x, const struct skf_ex_prop *p)
{
	const struct skf_ex_line l = {.value = x->c->network && *x->c->network ? x->c->network : "none",
				      .kernel = interfaces(x),
				      .cmp = SKF_EX_NONE};

	skf_ex_put(x, p, &l);
}

static bool has_interface(const char *list, const char *name)
{
	size_t n = strlen(name);

	for (const char *s = list; (s = strstr(s, name)); s += n)
		if ((s == list || s[-1] == ' ') && (!s[n] || s[n] == ' '))
			return true;
	return false;
}

static void addresses(struct skf_ex *x, const struct skf_ex_prop *p)
{
	const struct skf_netrec *r = record(x);
	const struct skf_endpoint *v = r ? r->endpoints.v : NULL;
	const char *have = interfaces(x);

	for (size_t i = 0; r && i < r->endpoints.n; i++) {
		const struct skf_ex_line l = {
			.name = skf_ex_text(x, "network %s", v[i].name),
			.value = skf_ex_text(x, "%s %s%s%s", v[i].ifname, v[i].ip ? v[i].ip : "",
					     v[i].ip6 ? " " : "", v[i].ip6 ? v[i].ip6 : ""),
			.kernel = has_interface(have, v[i].ifname) ? "the interface is there"
								   : "no such interface",
			.cmp = has_interface(have, v[i].ifname) ? SKF_EX_SAME : SKF_EX_DIFFERS};

		skf_ex_put(x, p, &l);
	}
}

/* The ports that lead into it now, as the engine's record has them: the elements of the firewall are made
 * from it. */
static void ports(struct skf_ex *x, const struct skf_ex_prop *p)
{
	const struct skf_publish *want = x->net->ports.v;
	const struct skf_netrec *r = record(x);
	const struct skf_portmap *m = r ? r->ports.v : NULL;
	const struct skf_ex_line none = {.value = "none"};

	if (!x->net->ports.n && !(r && r->ports.n))
		skf_ex_put(x, p, &none);
	for (size_t i = 0; i < x->net->ports.n; i++) {
		SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_OBJECT_BYTES);
		struct skf_ex_line l = {.name = skf_ex_text(x, "port %u/%s", want[i].port, want[i].proto),
					.cmp = SKF_EX_SAME};

		for (size_t k = 0; r && k < r->ports.n; k++)
			if (m[k].port == want[i].port && skf_streq(m[k].proto, want[i].proto))
				skf_buf_fmt(&b, "%s%s:%u", b.len ? " " : "", m[k].host_ip, m[k].host);
		l.value = want[i].host_first
				  ? skf_ex_text(x, "%s:%u%s", *want[i].host_ip ? want[i].host_ip : "*",
						want[i].host_first,
						want[i].host_last > want[i].host_first ? " or later" : "")
				  : "any free port";
		l.kernel = b.len ? skf_buf_cstr(&b) : "no port leads here";
		if (!b.len)
			l.cmp = SKF_EX_DIFFERS;
		skf_ex_put(x, p, &l);
	}
	for (size_t i = 0; !x->net->ports.n && r && i < r->ports.n; i++) { /* -P, or a pod's */
		const struct skf_ex_line l = {.name = skf_ex_text(x, "port %u/%s", m[i].port, m[i].proto),
					      .value = "any free port",
					      .kernel = skf_ex_text(x, "%s:%u", m[i].host_ip, m[i].host),
					      .cmp = SKF_EX_SAME};

		skf_ex_put(x, p, &l);
	}
}

static void egress(struct skf_ex *x, const struct skf_ex_prop *p)
{
	const struct skf_netrec *r = record(x);
	bool deny = r ? r->egress : skf_streq(x->net->egress, "deny");
	const struct skf_strv *allow = r && r->egress ? &r->egress_allow : &x->net->egress_allow;
	struct skf_ex_line l = {.value = deny ? "deny" : "allow",
				.kernel = "no chain",
				.cmp = deny ? SKF_EX_DIFFERS : SKF_EX_SAME};
	struct skf_err e = SKF_ERR_INIT;
	SKF_AUTO(skf_nft_freep) struct skf_nft *n = NULL;
	uint64_t packets, bytes;

	/* A network may have the policy: then the container's own flag is not there. */
	if (deny && !skf_streq(x->net->egress, "deny"))
		l.source = "network";
	if (!x->running || !r)
		l.cmp = SKF_EX_NONE;
	if (x->running && skf_net_nft(x->g, &n, &e) == 0 &&
	    skf_egress_denied_in(n, owner(x), &packets, &bytes, &e) == 0) {
		l.kernel = skf_ex_text(x, "denied %" PRIu64 " packets, %" PRIu64 " bytes", packets, bytes);
		l.cmp = deny ? SKF_EX_SAME : SKF_EX_DIFFERS;
	} else if (x->running && e.kind != SKF_ENOTFOUND) {
		l.kernel = skf_ex_text(x, "? (%s)", e.msg);
		l.cmp = SKF_EX_NONE;
	}
	skf_ex_put(x, p, &l);
	for (size_t i = 0; deny && i < allow->n; i++) {
		const struct skf_ex_line a = {.name = skf_ex_text(x, "egress to %s", allow->v[i]),
					      .value = "allow",
					      .source = skf_ex_has(&x->net->egress_allow, allow->v[i])
								? "flag --egress-allow"
								: "network"};

		skf_ex_put(x, p, &a);
	}
}

/* --- sysctls --- */

/* Values of the files below /proc/sys (one a line) in the container's namespaces, a line each; NULL: they
 * could not be asked for. */
static char *look(struct skf_ex *x, const char *files)
{
	SKF_AUTO(skf_buf_done)
	struct skf_buf b = SKF_BUF(SKF_MAX_RECORD), out = SKF_BUF(SKF_MAX_OBJECT_BYTES);
	SKF_AUTO_FD int pidfd = skf_pidfd_open((pid_t)x->live.sum.pid), fd = -EBADF;
	struct skf_err e = SKF_ERR_INIT;
	char *text;

	if (pidfd < 0 || skf_proc_alive((pid_t)x->live.sum.pid, x->live.sum.start_time) != 1)
		return NULL;
	skf_launch_request(x->g, &b, SKF_LAUNCH_LOOK, SKF_LAUNCH_NETNS, x->id, files);
	if (b.err < 0 || skf_launch_ask_in(x->g, "look", &b, pidfd, &fd, &e) < 0) {
		skf_warn(&x->g->log, "read the sysctls of container %.12s: %s; ignoring", x->id,
			 e.kind == SKF_OK ? "out of memory" : e.msg);
		return NULL;
	}
	if (fd < 0 || skf_read_fd(fd, SKF_MAX_OBJECT_BYTES - 1, &out) < 0)
		return NULL;
	text = skf_arena_dup(x->a, skf_buf_cstr(&out), out.len);
	return text;
}

/* The kernel puts tabs between numbers. */
static void blanks(char *s)
{
	for (; *s; s++)
		if (*s == '\t')
			*s = ' ';
}

static const char *sysctl_source(const struct skf_ex *x, const char *key)
{
	size_t n = strlen(key);

	for (size_t i = 0; i < x->q->s.sysctls.n; i++)
		if (strncmp(x->q->s.sysctls.v[i], key, n) == 0 && x->q->s.sysctls.v[i][n] == '=')
			return "flag --sysctl";
	return "default";
}

static void sysctls(struct skf_ex *x, const struct skf_ex_prop *p)
{
	SKF_AUTO(skf_buf_done) struct skf_buf files = SKF_BUF(SKF_MAX_RECORD / 2);
	const struct skf_kvs *s = &x->spec->linux_.sysctl;
	char file[512], *have;

	skf_buf_str(&files, "kernel/hostname\n");
	for (size_t i = 0; i < s->n; i++)
		if (skf_spec_sysctl_path(s->v[i].k, file, sizeof(file)) == 0)
			skf_buf_fmt(&files, "%s\n", file);
	have = x->running && files.err == 0 ? look(x, skf_buf_cstr(&files)) : NULL;
	for (size_t i = 0; i <= s->n; i++) {
		struct skf_ex_line l = {.kernel = "?", .cmp = SKF_EX_NONE};
		size_t n = have ? strcspn(have, "\n") : 0;

		if (have) {
			l.kernel = skf_ex_text(x, "%.*s", (int)n, have);
			blanks((char *)(uintptr_t)l.kernel);
			l.cmp = SKF_EX_TEXT;
			have += n + (have[n] == '\n');
		}
		l.name = i ? skf_ex_text(x, "sysctl %s", s->v[i - 1].k) : "host name";
		l.value = i ? s->v[i - 1].v : x->q->hostname ? x->q->hostname : "";
		l.source = i ? sysctl_source(x, s->v[i - 1].k) : skf_ex_source(x, "hostname", "--hostname");
		skf_ex_put(x, p, &l);
	}
}

static const struct skf_ex_prop network[] = {
	P("network", "network", "network", "--network", mode),
	P("network", "address", "network", "--network", addresses),
	P("network", "published ports", "publish", "--publish", ports),
	P("network", "egress", "egress", "--egress", egress),
	P("network", "sysctl", NULL, NULL, sysctls),
};
const struct skf_ex_table skf_ex_network = {network, SKF_ARRAY_LEN(network)};
