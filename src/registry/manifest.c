/* registry/manifest.c -- opening a registry, manifests and small blobs. Their digests are computed
 * over the raw bytes, before anything is parsed. */
#include "base/fd.h"
#include "registry/registry_int.h"
#include <fcntl.h>
#include <string.h>

static int load_credentials(struct skf_registry *r, const char *path, const char *repo, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_DOCKER_CONFIG_BYTES + 1);
	int x = skf_read_file_at(AT_FDCWD, path, SKF_MAX_DOCKER_CONFIG_BYTES, &b);
	if (x == -ENOENT)
		return 0;
	if (x < 0)
		return skf_fail_sys(e, x, "read '%s'", path);
	struct skf_creds c;
	x = skf_dockerconf_lookup(skf_buf_cstr(&b), b.len, r->host, repo, &c, e);
	if (x < 0)
		return skf_ctx(e, "'%s'", path);
	if (c.helper)
		x = skf_credhelper_get(c.helper, skf_dockerconf_server(r->host), &c, e);
	if (x < 0 && e->kind == SKF_ENOTFOUND) { /* a file that came from another machine: most pulls need no
						    credentials */
		skf_warn(r->log, "'%s': %s; going on without", path, e->msg);
		skf_err_clear(e);
		x = 0;
	}
	r->user = SKF_TAKE(c.user);
	r->password = SKF_TAKE(c.password);
	r->identity_token = SKF_TAKE(c.token);
	skf_creds_done(&c);
	return x < 0 ? skf_ctx(e, "'%s'", path) : 0;
}

/* docker's file first, then podman's; or those that the caller was told. */
static int find_credentials(struct skf_registry *r, const struct skf_registry_opts *o, struct skf_err *e)
{
	const char *const paths[] = {o->docker_config, o->auth_file};
	if (o->token) {
		for (const char *p = o->token; *p; p++)
			if ((unsigned char)*p <= 0x20 || *p == 0x7f)
				return skf_fail(
					e, SKF_EINVALID,
					"registry '%s': the registry token has a control byte or a space",
					r->host);
		r->given_token = strdup(o->token);
		return r->given_token ? 0 : skf_fail(e, SKF_ENOMEM, "registry '%s'", r->host);
	}
	if (o->user) {
		r->user = strdup(o->user);
		r->password = strdup(o->password ? o->password : "");
		return r->user && r->password ? 0 : skf_fail(e, SKF_ENOMEM, "registry '%s'", r->host);
	}
	for (size_t i = 0; i < SKF_ARRAY_LEN(paths) && !r->user && !r->identity_token; i++)
		if (paths[i] && load_credentials(r, paths[i], o->repo, e) < 0)
			return -1;
	return 0;
}

static int load_certs(struct skf_registry *r, const char *dir, struct skf_err *e)
{
	if (dir)
		return skf_certs_load(r, dir, e);
	if (skf_certs_load(r, "/etc/skiff/certs.d", e) < 0)
		return -1;
	return r->ca_pem || r->client_cert ? 0 : skf_certs_load(r, "/etc/docker/certs.d", e);
}

int skf_registry_new_one(const char *host, const struct skf_registry_opts *o, struct skf_registry **ret,
			 struct skf_err *e)
{
	struct skf_registry *r = calloc(1, sizeof(*r));
	if (!r)
		return skf_fail(e, SKF_ENOMEM, "registry '%s'", host);
	r->log = o->log;
	r->cancel_fd = o->cancel_fd;
	r->plain_http = o->plain_http;
	r->insecure_tls = o->insecure_tls;
	r->retries = o->retry ? (int)o->retries : SKF_HTTP_RETRIES;
	r->retry_ms = o->retry ? (int)o->retry_ms : 0;
	r->loopback = skf_http_host_is_loopback(host);
	r->actions = "pull";
	r->warned = skf_http_warned_new();
	r->ca_dir = skf_certs_system_dir();
	int x = 0;
	if (skf_fmt(r->host, sizeof(r->host), "%s", host) < 0 || strchr(host, '/') ||
	    skf_startswith(host, "."))
		x = skf_fail(e, SKF_EINVALID, "registry '%.100s': not a host name", host);
	else if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		x = skf_fail(e, SKF_ESYSTEM, "libcurl does not start");
	else if (!r->warned || !(r->share = curl_share_init()))
		x = skf_fail(e, SKF_ENOMEM, "registry '%s'", host);
	else if (find_credentials(r, o, e) < 0 || load_certs(r, o->certs_dir, e) < 0)
		x = -1;
	if (x < 0) {
		skf_registry_free(r);
		return -1;
	}
	curl_share_setopt(r->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS);
	curl_share_setopt(r->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
	*ret = r;
	return 0;
}

int skf_registry_new(const char *host, const struct skf_registry_opts *o, struct skf_registry **ret,
		     struct skf_err *e)
{
	struct skf_registry *r;
	if (skf_registry_new_one(host, o, &r, e) < 0)
		return -1;
	if (skf_mirrors_open(r, o, e) < 0) {
		skf_registry_free(r);
		return -1;
	}
	*ret = r;
	return 0;
}

static int copy_str(const char *s, char **ret)
{
	*ret = s ? strdup(s) : NULL;
	return s && !*ret ? -1 : 0;
}

/* Everything but what a thread must have of its own: curl's handles. The name caches are not shared: curl
 * would want locks. */
int skf_registry_clone(const struct skf_registry *r, struct skf_registry **ret, struct skf_err *e)
{
	struct skf_registry *c = calloc(1, sizeof(*c));
	int bad = !c;
	if (c) {
		*c = *r;
		c->easy = NULL;
		c->multi = NULL;
		c->share = NULL;
		c->is_clone = true;
		c->refresh_token = NULL;
		c->from = NULL;
		c->n_from = 0;
		c->mirrors = NULL;
		c->n_mirrors = 0;
		bad |= copy_str(r->user, &c->user) | copy_str(r->password, &c->password) |
		       copy_str(r->identity_token, &c->identity_token) |
		       copy_str(r->given_token, &c->given_token);
		bad |= copy_str(r->auth_header, &c->auth_header) |
		       copy_str(r->client_cert, &c->client_cert) | copy_str(r->client_key, &c->client_key);
		c->ca_pem = r->ca_pem ? malloc(r->ca_pem_n) : NULL;
		bad |= r->ca_pem && !c->ca_pem;
		if (c->ca_pem)
			memcpy(c->ca_pem, r->ca_pem, r->ca_pem_n);
	}
	for (size_t i = 0; !bad && i < r->n_from; i++)
		bad = skf_registry_add_from(c, r->from[i], e) < 0;
	if (bad) {
		skf_registry_free(c);
		return skf_fail(e, SKF_ENOMEM, "registry '%s'", r->host);
	}
	*ret = c;
	return 0;
}

int skf_registry_add_from(struct skf_registry *r, const char *repo, struct skf_err *e)
{
	for (size_t i = 0; i < r->n_from; i++)
		if (skf_streq(r->from[i], repo))
			return 0;
	if (r->n_from >= SKF_MAX_MOUNT_REPOS)
		return skf_fail(e, SKF_ELIMIT, "more than %d repositories to mount from",
				SKF_MAX_MOUNT_REPOS);
	char **v = realloc(r->from, (r->n_from + 1) * sizeof(*v));
	char *s = strdup(repo);
	if (v)
		r->from = v;
	if (!v || !s) {
		free(s);
		return skf_fail(e, SKF_ENOMEM, "repositories to mount from");
	}
	r->from[r->n_from++] = s;
	return 0;
}

void skf_registry_set_actions(struct skf_registry *r, const char *actions)
{
	r->actions = actions;
	free(r->auth_header);
	r->auth_header = NULL;
}

void skf_registry_free(struct skf_registry *r)
{
	if (!r)
		return;
	if (r->multi)
		curl_multi_cleanup(r->multi);
	curl_easy_cleanup(r->easy);
	if (r->share)
		curl_share_cleanup(r->share);
	free(r->user);
	free(r->password);
	free(r->identity_token);
	free(r->given_token);
	free(r->auth_header);
	free(r->ca_pem);
	free(r->client_cert);
	free(r->client_key);
	free(r->refresh_token);
	for (size_t i = 0; i < r->n_from; i++)
		free(r->from[i]);
	free(r->from);
	for (size_t i = 0; i < r->n_mirrors; i++)
		skf_registry_free(r->mirrors[i].r);
	free(r->mirrors);
	if (!r->is_clone)
		skf_http_warned_free(r->warned);
	free(r);
}

int skf_manifest_one(struct skf_registry *r, const struct skf_ref *ref, struct skf_buf *ret,
		     char content_type[128], struct skf_digest *ret_digest, struct skf_err *e)
{
	SKF_AUTO(skf_http_resp_done) struct skf_http_resp p = {0};
	char path[512], what[600], full[SKF_MAX_REF_BYTES + 1];
	skf_ref_full(ref, full);
	if (skf_fmt(path, sizeof(path), "manifests/%s", ref->digest.s[0] ? ref->digest.s : ref->tag) < 0 ||
	    skf_fmt(what, sizeof(what), "manifest of '%s'", full) < 0)
		return skf_fail(e, SKF_EINVALID, "reference '%s' is too long", full);
	if (skf_http_api(r, ref->repo, path, SKF_ACCEPT_MANIFEST, SKF_MAX_MANIFEST_BYTES, &p, e) < 0)
		return skf_ctx(e, "%s", what);
	if (p.status != 200)
		return skf_http_fail_status(r, &p, what, e);
	struct skf_digest got = {""}, want = ref->digest;
	struct skf_err no_digest = SKF_ERR_INIT; /* a registry that names none that we know */
	if (!want.s[0] && skf_digest_parse(p.digest, &want, &no_digest) < 0)
		want.s[0] = 0;
	if (skf_registry_digest(&want, skf_buf_cstr(&p.body), p.body.len, &got, e) < 0)
		return -1;
	if (want.s[0] && !skf_digest_eq(&got, &want))
		return skf_fail(e, SKF_ECORRUPT, "%s: registry '%s' sent other bytes: expected %s, got %s",
				what, r->host, want.s, got.s);
	skf_buf_put(ret, p.body.p, p.body.len);
	if (ret->err)
		return skf_fail_sys(e, ret->err, "%s", what);
	memcpy(content_type, p.content_type, 128);
	*ret_digest = got;
	return 0;
}

int skf_blob_small_one(struct skf_registry *r, const struct skf_ref *ref, const struct skf_desc *d,
		       size_t max, struct skf_buf *ret, struct skf_err *e)
{
	SKF_AUTO(skf_http_resp_done) struct skf_http_resp p = {0};
	char path[256];
	struct skf_digest got = {""};
	if (d->size > max)
		return skf_fail(e, SKF_ELIMIT, "blob '%s' of '%s' has %llu bytes, at most %zu are allowed",
				d->digest.s, ref->repo, (unsigned long long)d->size, max);
	if (skf_fmt(path, sizeof(path), "blobs/%s", d->digest.s) < 0)
		return skf_fail(e, SKF_EINVALID, "digest '%s' is too long", d->digest.s);
	/* more than announced, so that a longer answer is seen as a wrong size, and an error document fits
	 */
	if (skf_http_api(r, ref->repo, path, NULL, (size_t)d->size + 65536, &p, e) < 0)
		return skf_ctx(e, "blob '%s'", d->digest.s);
	if (p.status != 200)
		return skf_http_fail_status(r, &p, d->digest.s, e);
	if (p.body.len != d->size)
		return skf_fail(e, SKF_ECORRUPT, "blob '%s' of '%s': expected %llu bytes, got %zu",
				d->digest.s, ref->repo, (unsigned long long)d->size, p.body.len);
	if (skf_registry_digest(&d->digest, skf_buf_cstr(&p.body), p.body.len, &got, e) < 0)
		return -1;
	if (!skf_digest_eq(&got, &d->digest))
		return skf_fail(e, SKF_ECORRUPT, "blob of '%s': expected %s, got %s", ref->repo, d->digest.s,
				got.s);
	skf_buf_put(ret, p.body.p, p.body.len);
	return ret->err ? skf_fail_sys(e, ret->err, "blob '%s'", d->digest.s) : 0;
}
