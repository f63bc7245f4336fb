/* cmd/image_login.c -- login and logout: credentials are tried at the registry, then kept where docker's
 * config.json says. Blocks: network, disk, credential helper. */
#include "base/cleanup.h"
#include "base/limits.h"
#include "cmd/image_int.h"
#include "oci/ref.h"
#include "registry/registry.h"
#include <string.h>

/* "registry.example:5000", also as a URL or with docker's own names of the Hub. */
static int host_of(const char *server, char *out, size_t size, struct skf_err *e)
{
	const char *p = strstr(server, "://");
	p = p ? p + 3 : server;
	size_t n = strcspn(p, "/");
	if (!n || skf_fmt(out, size, "%.*s", (int)(n < size ? n : size), p) < 0)
		return skf_fail(e, SKF_EINVALID, "'%.200s' is no name of a registry", server);
	if (skf_streq(out, "index.docker.io") || skf_streq(out, "registry-1.docker.io"))
		return skf_fmt(out, size, "docker.io");
	return 0;
}

static void say(const struct image_peer *peer, const char *fmt, const char *what)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(8192);
	skf_buf_str(&b, fmt);
	skf_buf_str(&b, what);
	skf_buf_chr(&b, '\n');
	if (!b.err)
		image_send_text(peer, b.p, b.len);
}

static int login(const struct image_peer *peer, struct skf_recr *q, struct skf_err *e)
{
	const char *server = skf_recr_str(q), *user = skf_recr_str(q), *password = skf_recr_str(q),
		   *path = skf_recr_str(q), *certs = skf_recr_str(q);
	uint32_t flags = skf_recr_u32(q);
	char host[SKF_MAX_REPO_BYTES + 1];
	struct skf_registry *r = NULL;
	SKF_AUTO_FREE char *token = NULL;
	enum skf_login_place where;
	if (q->bad)
		return skf_fail(e, SKF_EINVALID, "the login request is cut short");
	if (host_of(server, host, sizeof(host), e) < 0)
		return -1;
	const struct skf_registry_opts o = {.log = peer->log,
					    .user = user,
					    .password = password,
					    .certs_dir = certs[0] ? certs : NULL,
					    .cancel_fd = peer->cancel_fd,
					    .plain_http = flags & SKF_IMG_PLAIN_HTTP,
					    .insecure_tls = flags & SKF_IMG_INSECURE_TLS};
	int x = skf_registry_new(host, &o, &r, e);
	if (x == 0)
		x = skf_registry_login(r, &token, e);
	skf_registry_free(r);
	if (x < 0)
		return skf_ctx(e, "login to '%s'", host);
	if (skf_login_store(path, host, user, password, token, &where, e) < 0)
		return skf_ctx(e, "the credentials are good, but were not stored");
	if (where == SKF_LOGIN_FILE)
		say(peer, "The credentials are stored unencrypted in ", path);
	return 0;
}

static int who(const struct image_peer *peer, const char *server, const char *path, bool more,
	       struct skf_err *e)
{
	char host[SKF_MAX_REPO_BYTES + 1], user[1024], other[4096];
	const char *podman = more ? image_auth_file(other, sizeof(other)) : NULL;
	if (host_of(server, host, sizeof(host), e) < 0)
		return -1;
	int r = path[0] ? skf_login_user(path, host, user, sizeof(user), e) : 0;
	if (r == 0 && podman)
		r = skf_login_user(podman, host, user, sizeof(user), e);
	if (r == 0)
		return skf_fail(e, SKF_ENOTFOUND, "not logged into %s", host);
	if (r > 0)
		say(peer, user, "");
	return r < 0 ? -1 : 0;
}

static int logout(const struct image_peer *peer, struct skf_recr *q, struct skf_err *e)
{
	const char *server = skf_recr_str(q), *path = skf_recr_str(q);
	uint32_t what = skf_recr_more(q) ? skf_recr_u32(q) : SKF_LOGOUT_ONE; /* none of older front ends */
	char host[SKF_MAX_REPO_BYTES + 1];
	if (q->bad)
		return skf_fail(e, SKF_EINVALID, "the logout request is cut short");
	if (what == SKF_LOGOUT_ALL) {
		if (skf_login_erase_all(path, e) < 0)
			return -1;
		say(peer, "Removed login credentials for all registries", "");
		return 0;
	}
	if (what != SKF_LOGOUT_ONE)
		return who(peer, server, path, what == SKF_LOGIN_WHO, e);
	if (host_of(server, host, sizeof(host), e) < 0)
		return -1;
	int had = skf_login_erase(path, host, e);
	if (had < 0)
		return -1;
	say(peer, had ? "Removing login credentials for " : "Not logged in to ", host);
	return 0;
}

static int serve(const struct image_peer *peer, struct skf_recr *q,
		 int (*fn)(const struct image_peer *, struct skf_recr *, struct skf_err *),
		 struct skf_buf *answer, struct skf_err *e)
{
	struct image_watch w = {.peer = peer, .stop_fd = -EBADF};
	int r = image_watch_start(&w, e);
	if (r == 0)
		r = fn(peer, q, e);
	image_watch_stop(&w);
	if (r == 0)
		image_put_done(answer);
	return r;
}

int image_serve_login(const struct image_peer *peer, struct skf_recr *q, struct skf_buf *answer,
		      struct skf_err *e)
{
	return serve(peer, q, login, answer, e);
}

int image_serve_logout(const struct image_peer *peer, struct skf_recr *q, struct skf_buf *answer,
		       struct skf_err *e)
{
	return serve(peer, q, logout, answer, e);
}
