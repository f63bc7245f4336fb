/* registry/dockerconf.c -- credentials of docker's config.json: {"auths": {"<server>": {"auth":
 * base64("user:password"), "identitytoken": ..}}}. Keys are compared by host, as docker writes them in
 * several forms ("https://index.docker.io/v1/", "host:port"); podman's auth.json has keys of a name space,
 * too ("host/team/app"). Credential helpers (credsStore, credHelpers) are named here and asked by
 * credhelper.c. */
#include "base/arena.h"
#include "base/base64.h"
#include "base/json.h"
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
static const struct skf_jtable auth_table = {.size = sizeof(struct auth_entry), .f = auth_fields};

struct find {
	const char *host, *repo;
	size_t rank; /* of the entry found; 0 none */
	bool helper; /* of this host, not credsStore */
};
struct conf {
	struct auth_entry entry; /* of the wanted host */
	char *host_helper, *store;
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

/* How well a key fits: 0 not at all, 1 the host with a path that says nothing (docker ignores paths), 2 the
 * host, more: so much of the repository's name. */
static size_t rank_of(const char *key, const struct find *f)
{
	char host[SKF_MAX_REPO_BYTES + 1];
	host_of_key(key, host, sizeof(host));
	if (!skf_streq(host, f->host))
		return 0;
	const char *path = strstr(key, "://") ? NULL : strchr(key, '/');
	if (!path || !f->repo || !path[1] || skf_startswith(path, "/v1/") || skf_startswith(path, "/v2/"))
		return 2;
	size_t n = strlen(++path);
	return strncmp(f->repo, path, n) == 0 && (!f->repo[n] || f->repo[n] == '/') ? 2 + n : 1;
}

static int on_auth(struct skf_jctx *c, const char *key, struct json_object *v, void *user)
{
	struct find *f = skf_j_user(c);
	size_t rank = rank_of(key, f);
	if (rank <= f->rank)
		return 0;
	f->rank = rank;
	memset(user, 0, sizeof(struct auth_entry));
	return skf_j_obj(c, v, user, &auth_table);
}

static int on_helper(struct skf_jctx *c, const char *key, struct json_object *v, void *user)
{
	char host[SKF_MAX_REPO_BYTES + 1];
	struct find *f = skf_j_user(c);
	host_of_key(key, host, sizeof(host));
	if (f->helper || !skf_streq(host, f->host))
		return 0;
	f->helper = true;
	return skf_j_str(c, v, user, NULL);
}

static int decode_helpers(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	return skf_j_each_member(c, v, on_helper, dst);
}

static int decode_auths(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	return skf_j_each_member(c, v, on_auth, dst);
}
static const struct skf_jfield conf_fields[] = {
	SKF_J(struct conf, entry, "auths", decode_auths, NULL, SKF_J_NULL_OK),
	SKF_J(struct conf, host_helper, "credHelpers", decode_helpers, NULL, SKF_J_NULL_OK),
	SKF_J(struct conf, store, "credsStore", skf_j_str, NULL, SKF_J_NULL_OK),
	SKF_J_END,
};
static const struct skf_jtable conf_table = {.size = sizeof(struct conf), .f = conf_fields};

static int split_auth(const struct auth_entry *a, char **user, char **password, struct skf_err *e)
{
	SKF_AUTO_FREE char *plain = NULL;
	char *colon;
	ssize_t n;

	if (a->username && a->username[0]) {
		*user = strdup(a->username);
		*password = strdup(a->password ? a->password : "");
		return *user && *password ? 0 : skf_fail(e, SKF_ENOMEM, "credentials");
	}
	plain = malloc(strlen(a->auth) / 4 * 3 + 1);
	if (!plain)
		return skf_fail(e, SKF_ENOMEM, "credentials");
	n = skf_base64_decode(a->auth, (uint8_t *)plain);
	if (n <= 0)
		return skf_fail(e, SKF_EINVALID,
				"docker config.json: /auths: 'auth' is not base64 of user:password; run "
				"docker login again");
	plain[n] = '\0';
	colon = strchr(plain, ':');
	if (!colon || strlen(plain) != (size_t)n)
		return skf_fail(e, SKF_EINVALID,
				"docker config.json: /auths: 'auth' has no ':' between user and password; "
				"run docker login again");
	*colon = 0;
	*user = strdup(plain);
	*password = strdup(colon + 1);
	return *user && *password ? 0 : skf_fail(e, SKF_ENOMEM, "credentials");
}

void skf_creds_done(struct skf_creds *c)
{
	free(c->user);
	free(c->password);
	free(c->token);
	free(c->helper);
	memset(c, 0, sizeof(*c));
}

static int take_entry(const struct auth_entry *x, struct skf_creds *c, struct skf_err *e)
{
	if (((x->auth && x->auth[0]) || (x->username && x->username[0])) &&
	    split_auth(x, &c->user, &c->password, e) < 0)
		return -1;
	if (x->identity_token && x->identity_token[0] && !(c->token = strdup(x->identity_token)))
		return skf_fail(e, SKF_ENOMEM, "credentials");
	return 0;
}

int skf_dockerconf_lookup(const char *text, size_t n, const char *host, const char *repo,
			  struct skf_creds *ret, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	SKF_AUTO(skf_creds_done) struct skf_creds c = {0};
	struct find f = {.host = host, .repo = repo};
	const struct skf_jdoc d = {
		.name = "docker config.json", .max_bytes = SKF_MAX_DOCKER_CONFIG_BYTES, .user = &f};
	void *doc;
	if (skf_json_decode(&d, text, n, &conf_table, &a, &doc, e) < 0)
		return -1;
	const struct conf *x = doc;
	const char *helper = f.helper ? x->host_helper : x->store;
	if (f.rank && take_entry(&x->entry, &c, e) < 0)
		return -1;
	if (helper && *helper && !(c.helper = strdup(helper)))
		return skf_fail(e, SKF_ENOMEM, "credentials");
	int found = c.user || c.token || c.helper || (f.rank && x->entry.auth);
	*ret = c;
	memset(&c, 0, sizeof(c));
	return found;
}

int skf_dockerconf_find(const char *text, size_t n, const char *host, char **ret_user, char **ret_password,
			char **ret_token, struct skf_err *e)
{
	struct skf_creds c;
	int r = skf_dockerconf_lookup(text, n, host, NULL, &c, e);
	if (r < 0)
		return -1;
	*ret_user = SKF_TAKE(c.user);
	*ret_password = SKF_TAKE(c.password);
	*ret_token = SKF_TAKE(c.token);
	if (r == 1 && c.helper && !*ret_user && !*ret_token)
		r = 0;
	skf_creds_done(&c);
	return r;
}

const char *skf_dockerconf_server(const char *host)
{
	return skf_streq(host, "docker.io") ? "https://index.docker.io/v1/" : host;
}
