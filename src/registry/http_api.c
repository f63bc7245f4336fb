/* registry/http_api.c -- requests to the distribution API: which scheme, which credentials.
 *
 * Invariants: 1. plain HTTP is used only for a loopback registry or by explicit choice, and only after HTTPS
 * was tried; 2. only the registry itself may ask for authentication: a 401 from a host that it redirects to
 * gets nothing; 3. a token is good for one repository. Blocks: network. */
#include "registry/registry_int.h"
#include <stdlib.h>
#include <string.h>

static int set_base(struct skf_registry *r, const char *scheme, struct skf_err *e)
{
	const char *host = skf_streq(r->host, "docker.io") ? "registry-1.docker.io" : r->host;
	if (skf_fmt(r->base, sizeof(r->base), "%s://%s", scheme, host) < 0)
		return skf_fail(e, SKF_EINVALID, "registry '%s': the name is too long", r->host);
	return 0;
}

static int ping(struct skf_registry *r, const char *scheme, struct skf_err *e)
{
	SKF_AUTO(skf_http_resp_done) struct skf_http_resp p = {0};
	char url[sizeof(r->base) + 8];
	if (set_base(r, scheme, e) < 0)
		return -1;
	if (skf_fmt(url, sizeof(url), "%s/v2/", r->base) < 0)
		return skf_fail(e, SKF_EINVALID, "registry '%s': the name is too long", r->host);
	struct skf_http_req q = {.url = url, .max_body = 65536};
	return skf_http_do(r, &q, &p, e);
}

int skf_http_force_plain(struct skf_registry *r, struct skf_err *e)
{
	r->scheme_known = true;
	return set_base(r, "http", e);
}

int skf_http_find_scheme(struct skf_registry *r, struct skf_err *e)
{
	if (r->scheme_known)
		return 0;
	struct skf_err https = SKF_ERR_INIT;
	if (!r->plain_http && !r->loopback) {
		r->scheme_known = true;
		return set_base(r, "https", e);
	}
	if (ping(r, "https", &https) == 0) {
		r->scheme_known = true;
		return 0;
	}
	if (https.kind == SKF_EDENIED) {
		*e = https;
		return -1;
	}
	r->scheme_known = true;
	if (ping(r, "http", e) == 0)
		return 0;
	r->scheme_known = false;
	return -1;
}

int skf_http_url(struct skf_registry *r, const char *repo, const char *path, char *out, size_t size,
		 struct skf_err *e)
{
	if (skf_http_find_scheme(r, e) < 0)
		return -1;
	if (skf_fmt(out, size, "%s/v2/%s/%s%s", r->base, repo, path, strchr(path, '?') ? "" : r->ns) < 0)
		return skf_fail(e, SKF_EINVALID, "registry '%s': the URL of '%s' is too long", r->host,
				repo);
	return 0;
}

int skf_http_call(struct skf_registry *r, const char *repo, const struct skf_http_req *q,
		  struct skf_http_resp *ret, struct skf_err *e)
{
	if (r->auth_header && !skf_streq(r->auth_repo, repo)) { /* a token is good for one repository */
		free(r->auth_header);
		r->auth_header = NULL;
	}
	if (skf_http_do(r, q, ret, e) < 0)
		return -1;
	if (ret->status != 401 || !ret->from_origin || !q->with_auth)
		return 0;
	struct skf_challenge c = ret->challenge;
	if (!c.basic && !c.bearer && ret->hdr_err.kind) {
		*e = ret->hdr_err;
		return skf_ctx(e, "registry '%s'", r->host);
	}
	if (skf_token_get(r, repo, &c, e) < 0)
		return -1;
	return skf_http_do(r, q, ret, e);
}

int skf_http_api(struct skf_registry *r, const char *repo, const char *path, const char *accept,
		 size_t max_body, struct skf_http_resp *ret, struct skf_err *e)
{
	char url[2048];
	if (skf_http_url(r, repo, path, url, sizeof(url), e) < 0)
		return -1;
	struct skf_http_req q = {
		.url = url, .accept = accept, .max_body = max_body, .with_auth = true, .follow = true};
	return skf_http_call(r, repo, &q, ret, e);
}
