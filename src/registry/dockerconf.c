/* registry/dockerconf.c -- credentials of docker's config.json: {"auths": {"<server>": {"auth": base64("user:password"), "identitytoken": ..}}}.
 * Keys are compared by host only, as docker writes them in several forms ("https://index.docker.io/v1/", "host:port", "host:port/path").
 * Credential helpers (credsStore, credHelpers) are not asked by this version. */
#include "base/json.h"
#include "base/arena.h"
#include "registry/registry_int.h"
#include <string.h>

struct auth_entry {
	char *auth, *username, *password, *identity_token;
};
static const struct skf_jfield auth_fields[] = {
	SKF_J(struct auth_entry, auth, "auth", skf_j_str, NULL, SKF_J_NULL_OK),
	SKF_J(struct auth_entry, username, "username", skf_j_str, NULL, SKF_J_NULL_OK),
	SKF_J(struct auth_entry, password, "password", skf_j_str, NULL, SKF_J_NULL_OK),
	SKF_J(struct auth_entry, identity_token, "identitytoken", skf_j_str, NULL, SKF_J_NULL_OK),
	SKF_J_END,
};
static const struct skf_jtable auth_table = { .size = sizeof(struct auth_entry), .f = auth_fields };

struct find {
	const char *host;
	bool found;
};
struct conf {
	struct auth_entry entry; /* of the wanted host */
};

static void host_of_key(const char *key, char *out, size_t size)
{
	const char *p = strstr(key, "://");
	p = p ? p + 3 : key;
	size_t n = strcspn(p, "/");
	if (n >= size) /* longer than any host: cut, it might be another's */
		n = 0;
	memcpy(out, p, n);
	out[n] = 0;
	if (skf_streq(out, "index.docker.io") || skf_streq(out, "registry-1.docker.io"))
		memcpy(out, "docker.io", sizeof("docker.io"));
}

static int on_auth(struct skf_jctx *c, const char *key, struct json_object *v, void *user)
{
	char host[SKF_MAX_REPO_BYTES + 1];
	struct find *f = skf_j_user(c);
	host_of_key(key, host, sizeof(host));
	if (f->found || !skf_streq(host, f->host))
		return 0;
	f->found = true;
	return skf_j_obj(c, v, user, &auth_table);
}

static int decode_auths(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	return skf_j_each_member(c, v, on_auth, dst);
}
static const struct skf_jfield conf_fields[] = {
	SKF_J(struct conf, entry, "auths", decode_auths, NULL, SKF_J_NULL_OK),
	SKF_J_END,
};
static const struct skf_jtable conf_table = { .size = sizeof(struct conf), .f = conf_fields };

static int b64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static int b64_decode(const char *s, struct skf_buf *out)
{
	unsigned acc = 0, bits = 0;
	for (; *s && *s != '='; s++) {
		int v = b64_value(*s);
		if (v < 0)
			return -1;
		acc = (acc << 6 | (unsigned)v) & 0xffffff;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			skf_buf_chr(out, (char)(acc >> bits & 0xff));
		}
	}
	return out->err;
}

static int split_auth(const struct auth_entry *a, char **user, char **password, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf plain = SKF_BUF(SKF_MAX_TOKEN_BYTES);
	if (a->username && a->username[0]) {
		*user = strdup(a->username);
		*password = strdup(a->password ? a->password : "");
		return *user && *password ? 0 : skf_fail(e, SKF_ENOMEM, "credentials");
	}
	if (b64_decode(a->auth, &plain) < 0 || !plain.len)
		return skf_fail(e, SKF_EINVALID, "docker config.json: /auths: 'auth' is not base64 of user:password; run docker login again");
	char *colon = memchr(plain.p, ':', plain.len);
	if (!colon || memchr(plain.p, 0, plain.len))
		return skf_fail(e, SKF_EINVALID, "docker config.json: /auths: 'auth' has no ':' between user and password; run docker login again");
	*colon = 0;
	*user = strdup(plain.p);
	*password = strdup(colon + 1);
	return *user && *password ? 0 : skf_fail(e, SKF_ENOMEM, "credentials");
}

int skf_dockerconf_find(const char *text, size_t n, const char *host, char **ret_user, char **ret_password, char **ret_token,
                        struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct find f = { host, false };
	const struct skf_jdoc d = { .name = "docker config.json", .max_bytes = SKF_MAX_DOCKER_CONFIG_BYTES, .user = &f };
	void *doc;
	if (skf_json_decode(&d, text, n, &conf_table, &a, &doc, e) < 0)
		return -1;
	const struct auth_entry *x = &((struct conf *)doc)->entry;
	if (!f.found || (!x->auth && !x->username && !x->identity_token))
		return 0;
	SKF_AUTO_FREE char *user = NULL, *password = NULL, *token = NULL;
	if (((x->auth && x->auth[0]) || (x->username && x->username[0])) && split_auth(x, &user, &password, e) < 0)
		return -1;
	if (x->identity_token && x->identity_token[0] && !(token = strdup(x->identity_token)))
		return skf_fail(e, SKF_ENOMEM, "credentials");
	*ret_user = SKF_TAKE(user);
	*ret_password = SKF_TAKE(password);
	*ret_token = SKF_TAKE(token);
	return 1;
}
