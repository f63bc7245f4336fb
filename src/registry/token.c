/* registry/token.c -- from a 401 to an Authorization header (distribution: "Token Authentication
 * Specification", OAuth2 for identity tokens). The realm is foreign input: https when the registry is https,
 * never link-local, loopback only for a loopback registry (judged as it is written and on the address
 * connected to), no redirect is followed, service and scope are URL-encoded, and the scope asked for is our
 * own (T52). */
#include "base/arena.h"
#include "base/base64.h"
#include "base/json.h"
#include "registry/registry_int.h"
#include <string.h>

struct token_doc {
	char *token, *access_token, *refresh_token;
};
static const struct skf_jfield token_fields[] = {
	SKF_J(struct token_doc, token, "token", skf_j_str, NULL, SKF_J_NULL_OK),
	SKF_J(struct token_doc, access_token, "access_token", skf_j_str, NULL, SKF_J_NULL_OK),
	SKF_J(struct token_doc, refresh_token, "refresh_token", skf_j_str, NULL, SKF_J_NULL_OK),
	SKF_J_END,
};
static const struct skf_jtable token_table = {.size = sizeof(struct token_doc), .f = token_fields};

/* RFC 3986 unreserved bytes stay. */
static void put_encoded(struct skf_buf *b, const char *s)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;
		if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		    strchr("-._~", c))
			skf_buf_chr(b, (char)c);
		else
			skf_buf_fmt(b, "%%%02X", c);
	}
}

static int set_header(struct skf_registry *r, const char *repo, const char *kind, const char *value,
		      struct skf_err *e)
{
	char *h = NULL;
	for (const char *p = value; *p; p++)
		if ((unsigned char)*p <= 0x20 || *p == 0x7f)
			return skf_fail(e, SKF_EDENIED,
					"registry '%s': the token server sent a token with a control byte "
					"or a space",
					r->host);
	if (asprintf(&h, "Authorization: %s %s", kind, value) < 0)
		return skf_fail(e, SKF_ENOMEM, "Authorization header");
	free(r->auth_header);
	r->auth_header = h;
	r->auth_serial++;
	return skf_fmt(r->auth_repo, sizeof(r->auth_repo), "%s", repo) < 0
		       ? skf_fail(e, SKF_EBUG, "repository name '%s'", repo)
		       : 0;
}

static int basic_header(struct skf_registry *r, const char *repo, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done)
	struct skf_buf plain = SKF_BUF(SKF_MAX_TOKEN_BYTES), out = SKF_BUF(2 * SKF_MAX_TOKEN_BYTES);
	skf_buf_fmt(&plain, "%s:%s", r->user, r->password);
	skf_base64_put(&out, skf_buf_cstr(&plain), plain.len);
	if (plain.err || out.err)
		return skf_fail_sys(e, plain.err ? plain.err : out.err, "credentials of registry '%s'",
				    r->host);
	return set_header(r, repo, "Basic", skf_buf_cstr(&out), e);
}

static int check_realm(const struct skf_registry *r, const char *realm, struct skf_err *e)
{
	bool https = skf_startswith(realm, "https://");
	if (!https && !skf_startswith(realm, "http://"))
		return skf_fail(e, SKF_EDENIED, "registry '%s': the token realm '%.200s' is no http(s) URL",
				r->host, realm);
	if (!https && skf_startswith(r->base, "https://"))
		return skf_fail(e, SKF_EDENIED,
				"registry '%s': the token realm '%.200s' is not https although the registry "
				"is: refused",
				r->host, realm);
	CURLU *u = curl_url();
	char *part = NULL;
	bool bad = !u || curl_url_set(u, CURLUPART_URL, realm, 0) != CURLUE_OK ||
		   curl_url_get(u, CURLUPART_USER, &part, 0) == CURLUE_OK ||
		   curl_url_get(u, CURLUPART_PASSWORD, &part, 0) == CURLUE_OK ||
		   curl_url_get(u, CURLUPART_FRAGMENT, &part, 0) == CURLUE_OK;
	curl_free(part);
	curl_url_cleanup(u);
	if (bad)
		return skf_fail(e, SKF_EDENIED, "registry '%s': the token realm '%.200s' is not a plain URL",
				r->host, realm);
	if (skf_http_url_forbidden(realm, r->loopback))
		return skf_fail(e, SKF_EDENIED,
				"registry '%s': the token realm '%.200s' is an address that no token server "
				"may have: refused",
				r->host, realm);
	return 0;
}

static void put_scope(const struct skf_registry *r, const char *repo, struct skf_buf *args)
{
	if (!*repo) /* login: a token that only says who we are */
		return;
	skf_buf_str(args, "&scope=");
	put_encoded(args, "repository:");
	put_encoded(args, repo);
	skf_buf_chr(args, ':');
	put_encoded(args, r->actions);
}

/* Mounting a blob needs to read the repository where it is: one more scope each. */
static void put_from_scopes(const struct skf_registry *r, struct skf_buf *args)
{
	for (size_t i = 0; i < r->n_from; i++) {
		skf_buf_str(args, "&scope=");
		put_encoded(args, "repository:");
		put_encoded(args, r->from[i]);
		put_encoded(args, ":pull");
	}
}

static int request_token(struct skf_registry *r, const char *repo, const struct skf_challenge *c,
			 struct skf_http_resp *p, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf url = SKF_BUF(8192), form = SKF_BUF(SKF_MAX_TOKEN_BYTES);
	struct skf_buf *args = r->identity_token ? &form : &url;
	skf_buf_str(&url, c->realm);
	if (!r->identity_token)
		skf_buf_chr(&url, strchr(c->realm, '?') ? '&' : '?');
	skf_buf_str(args, "service=");
	put_encoded(args, c->service);
	put_scope(r, repo, args);
	put_from_scopes(r, args);
	if (r->identity_token) {
		skf_buf_str(args, "&grant_type=refresh_token&client_id=skiff&refresh_token=");
		put_encoded(args, r->identity_token);
	} else if (r->user) {
		skf_buf_str(args, "&account=");
		put_encoded(args, r->user);
		if (r->offline)
			skf_buf_str(args, "&client_id=skiff&offline_token=true");
	}
	if (url.err || form.err)
		return skf_fail(e, SKF_ELIMIT, "registry '%s': the token request is too long", r->host);
	struct skf_http_req q = {.url = url.p, .max_body = SKF_MAX_TOKEN_BYTES, .foreign = true};
	if (r->identity_token)
		q.post = skf_buf_cstr(&form);
	else if (r->user) {
		q.userpwd_user = r->user;
		q.userpwd_password = r->password;
	}
	return skf_http_do(r, &q, p, e);
}

int skf_token_get(struct skf_registry *r, const char *repo, const struct skf_challenge *c, struct skf_err *e)
{
	if (r->given_token && !c->bearer)
		return skf_fail(e, SKF_EDENIED,
				"registry '%s' does not take bearer tokens: leave the registry token out, "
				"and log in",
				r->host);
	if (r->given_token)
		return set_header(r, repo, "Bearer", r->given_token, e);
	if (!c->bearer) {
		if (c->basic && r->user)
			return basic_header(r, repo, e);
		return skf_fail(e, SKF_EDENIED,
				"registry '%s': authentication required%s%s%s, and docker's config.json has "
				"no credentials for it; run skiff login %s",
				r->host, *repo ? " for '" : "", repo, *repo ? "'" : "", r->host);
	}
	SKF_AUTO(skf_http_resp_done) struct skf_http_resp p = {0};
	if (check_realm(r, c->realm, e) < 0)
		return -1;
	if (request_token(r, repo, c, &p, e) < 0)
		return skf_ctx(e, "token for '%s' from '%.200s'", repo, c->realm);
	if (p.status >= 300 && p.status <= 399)
		return skf_fail(e, SKF_EDENIED,
				"registry '%s': the token server '%.200s' redirects: refused", r->host,
				c->realm);
	if (p.status != 200)
		return skf_http_fail_status(r, &p, "token request", e);
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(4u << 20);
	const struct skf_jdoc d = {.name = "token answer", .max_bytes = SKF_MAX_TOKEN_BYTES};
	void *doc;
	if (skf_json_decode(&d, p.body.p ? p.body.p : "", p.body.len, &token_table, &a, &doc, e) < 0)
		return skf_ctx(e, "registry '%s'", r->host);
	const struct token_doc *t = doc;
	const char *tok = t->token && *t->token ? t->token : t->access_token;
	if (!tok || !*tok)
		return skf_fail(e, SKF_EDENIED, "registry '%s': the token server '%.200s' sent no token",
				r->host, c->realm);
	if (r->offline && t->refresh_token && *t->refresh_token) {
		free(r->refresh_token);
		r->refresh_token = strdup(t->refresh_token);
		if (!r->refresh_token)
			return skf_fail(e, SKF_ENOMEM, "refresh token");
	}
	return set_header(r, repo, "Bearer", tok, e);
}
