/* registry/login.c -- are credentials good, and where do they go: docker's config.json or the credential
 * helper that it names.
 *
 * Invariants: 1. what is in the file beside the one entry is kept, in its order, also what this version does
 * not know; 2. the new file has mode 0600 and replaces the old one by rename; a symbolic link is followed,
 * so that the link stays; 3. nothing is stored that the registry did not accept (the caller asks
 * skf_registry_login first). Blocks: network, disk, credential helper. */
#include "base/fd.h"
#include "base/base64.h"
#include "base/json.h"
#include "registry/registry_int.h"
#include <fcntl.h>
#include <json-c/json.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int skf_registry_login(struct skf_registry *r, char **ret_token, struct skf_err *e)
{
	SKF_AUTO(skf_http_resp_done) struct skf_http_resp p = {0};
	char url[sizeof(r->base) + 8];
	if (skf_http_find_scheme(r, e) < 0)
		return -1;
	if (skf_fmt(url, sizeof(url), "%s/v2/", r->base) < 0)
		return skf_fail(e, SKF_EINVALID, "registry '%s': the name is too long", r->host);
	const struct skf_http_req q = {.url = url, .max_body = 65536, .with_auth = true};
	r->offline = true;
	if (skf_http_call(r, "", &q, &p, e) < 0)
		return -1;
	if (p.status == 401 || p.status == 403)
		return skf_fail(e, SKF_EDENIED, "registry '%s' does not accept the user name and password",
				r->host);
	if (p.status != 200)
		return skf_http_fail_status(r, &p, "login", e);
	*ret_token = SKF_TAKE(r->refresh_token);
	return 0;
}

/* --- the file --- */
struct conf {
	char path[PATH_MAX];
	char *name; /* last component, in path */
	int dir;
	struct json_object *root;
};

static void conf_done(struct conf *c)
{
	skf_closep(&c->dir);
	json_object_put(c->root);
}

/* A link to the file is the user's own arrangement (dotfiles): what it points to is replaced. */
static int resolve(struct conf *c, const char *path, struct skf_err *e)
{
	char *real = realpath(path, NULL);
	int r = skf_fmt(c->path, sizeof(c->path), "%s", real ? real : path);
	free(real);
	char *slash = strrchr(c->path, '/');
	if (r < 0 || !slash || slash == c->path || !slash[1])
		return skf_fail(e, SKF_EINVALID, "'%s' is no absolute path of a file", path);
	c->name = slash + 1;
	*slash = 0;
	c->dir = skf_mkdirs_at(AT_FDCWD, c->path, 0700);
	if (c->dir < 0)
		return skf_fail_sys(e, c->dir, "open or make '%s'", c->path);
	*slash = '/';
	return 0;
}

static int conf_open(struct conf *c, const char *path, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_DOCKER_CONFIG_BYTES + 1);
	*c = (struct conf){.dir = -EBADF};
	if (resolve(c, path, e) < 0)
		return -1;
	int r = skf_read_file_at(c->dir, c->name, SKF_MAX_DOCKER_CONFIG_BYTES, &b);
	if (r < 0 && r != -ENOENT)
		return skf_fail_sys(e, r, "read '%s'", c->path);
	if (r < 0 || !b.len) {
		c->root = json_object_new_object();
		return c->root ? 0 : skf_fail(e, SKF_ENOMEM, "'%s'", c->path);
	}
	struct json_tokener *t = json_tokener_new_ex(SKF_MAX_JSON_DEPTH);
	if (t)
		c->root = json_tokener_parse_ex(t, b.p, (int)b.len);
	bool good = t && json_tokener_get_error(t) == json_tokener_success &&
		    json_object_is_type(c->root, json_type_object);
	json_tokener_free(t);
	return good ? 0
		    : skf_fail(e, SKF_EINVALID,
			       "'%s' is not a JSON object; repair or remove it, then log in again", c->path);
}

static int conf_write(const struct conf *c, struct skf_err *e)
{
	size_t n;
	const char *s = json_object_to_json_string_length(
		c->root,
		JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_PRETTY_TAB | JSON_C_TO_STRING_NOSLASHESCAPE, &n);
	int r = s ? skf_write_atomic_at(c->dir, c->name, s, n, 0600, SKF_SYNC) : -ENOMEM;
	return r < 0 ? skf_fail_sys(e, r, "write '%s'", c->path) : 0;
}

static bool key_is(const char *key, const char *host)
{
	struct skf_creds c;
	struct skf_err e = SKF_ERR_INIT;
	struct json_object *o = json_object_new_object(), *auths = json_object_new_object(),
			   *x = json_object_new_object();
	bool is = false;
	if (o && auths && x) { /* the reader itself decides which keys are this host's */
		json_object_object_add(x, "identitytoken", json_object_new_string("x"));
		json_object_object_add(auths, key, x);
		json_object_object_add(o, "auths", auths);
		const char *s = json_object_to_json_string(o);
		int r = skf_dockerconf_lookup(s, strlen(s), host, NULL, &c, &e);
		is = r == 1 && (strstr(key, "://") || !strchr(key, '/'));
		if (r >= 0)
			skf_creds_done(&c);
	}
	json_object_put(o);
	return is;
}

/* The host's entries in auths, also in docker's older forms. */
static int remove_auths(struct json_object *root, const char *host)
{
	struct json_object *auths;
	int n = 0;
	if (!json_object_object_get_ex(root, "auths", &auths) ||
	    !json_object_is_type(auths, json_type_object))
		return 0;
	for (bool found = true; found;) {
		found = false;
		json_object_object_foreach(auths, key, v)
		{
			(void)v;
			if (!key_is(key, host))
				continue;
			json_object_object_del(auths, key);
			found = true;
			n++;
			break;
		}
	}
	return n;
}

static const char *helper_of(const struct conf *c, const char *host, struct skf_creds *x, struct skf_err *e)
{
	const char *s = json_object_to_json_string(c->root);
	return skf_dockerconf_lookup(s, strlen(s), host, NULL, x, e) == 1 ? x->helper : NULL;
}

static struct json_object *auths_of(struct conf *c)
{
	struct json_object *auths;
	if (json_object_object_get_ex(c->root, "auths", &auths) &&
	    json_object_is_type(auths, json_type_object))
		return auths;
	auths = json_object_new_object();
	if (auths)
		json_object_object_add(c->root, "auths", auths);
	return auths;
}

static int put_entry(struct conf *c, const char *host, const char *user, const char *password,
		     const char *token, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done)
	struct skf_buf plain = SKF_BUF(SKF_MAX_TOKEN_BYTES), enc = SKF_BUF(2 * SKF_MAX_TOKEN_BYTES);
	struct json_object *auths = auths_of(c), *x = json_object_new_object();
	skf_buf_fmt(&plain, "%s:%s", user, token ? "" : password);
	skf_base64_put(&enc, skf_buf_cstr(&plain), plain.len);
	if (!auths || !x || plain.err || enc.err) {
		json_object_put(x);
		return skf_fail(e, SKF_ENOMEM, "credentials of '%s'", host);
	}
	remove_auths(c->root, host);
	if (enc.len)
		json_object_object_add(x, "auth", json_object_new_string(enc.p));
	if (token)
		json_object_object_add(x, "identitytoken", json_object_new_string(token));
	json_object_object_add(auths, skf_dockerconf_server(host), x);
	return 0;
}

static int helper_store(const char *helper, const char *host, const char *user, const char *secret,
			struct skf_err *e)
{
	SKF_AUTO(skf_buf_done)
	struct skf_buf in = SKF_BUF(SKF_MAX_TOKEN_BYTES), out = SKF_BUF(SKF_MAX_TOKEN_BYTES);
	struct skf_jw w = SKF_JW(&in);
	skf_jw_obj(&w);
	skf_jw_kstr(&w, "ServerURL", skf_dockerconf_server(host));
	skf_jw_kstr(&w, "Username", user);
	skf_jw_kstr(&w, "Secret", secret);
	skf_jw_end(&w);
	if (in.err)
		return skf_fail_sys(e, in.err, "credentials of '%s'", host);
	int r = skf_credhelper_run(helper, "store", in.p, &out, e);
	return r == 1  ? 0
	       : r < 0 ? -1
		       : skf_fail(e, SKF_EDENIED,
				  "credential helper 'docker-credential-%s' did not store the credentials",
				  helper);
}

int skf_login_store(const char *path, const char *host, const char *user, const char *password,
		    const char *token, enum skf_login_place *ret_where, struct skf_err *e)
{
	SKF_AUTO(conf_done) struct conf c;
	SKF_AUTO(skf_creds_done) struct skf_creds x = {0};
	if (conf_open(&c, path, e) < 0)
		return -1;
	const char *helper = helper_of(&c, host, &x, e);
	if (e->kind)
		return skf_ctx(e, "'%s'", c.path);
	if (helper) {
		if (helper_store(helper, host, token ? "<token>" : user, token ? token : password, e) < 0)
			return -1;
		remove_auths(c.root, host);
		struct json_object *auths = auths_of(&c),
				   *mark = json_object_new_object(); /* docker lists logins by these */
		if (!auths || !mark) {
			json_object_put(mark);
			return skf_fail(e, SKF_ENOMEM, "credentials of '%s'", host);
		}
		json_object_object_add(auths, skf_dockerconf_server(host), mark);
	} else if (put_entry(&c, host, user, password, token, e) < 0) {
		return -1;
	}
	*ret_where = helper ? SKF_LOGIN_HELPER : SKF_LOGIN_FILE;
	return conf_write(&c, e);
}

int skf_login_erase(const char *path, const char *host, struct skf_err *e)
{
	SKF_AUTO(conf_done) struct conf c;
	SKF_AUTO(skf_creds_done) struct skf_creds x = {0};
	SKF_AUTO(skf_buf_done) struct skf_buf out = SKF_BUF(SKF_MAX_TOKEN_BYTES);
	if (conf_open(&c, path, e) < 0)
		return -1;
	const char *helper = helper_of(&c, host, &x, e);
	if (e->kind)
		return skf_ctx(e, "'%s'", c.path);
	int had = helper ? skf_credhelper_run(helper, "erase", skf_dockerconf_server(host), &out, e) : 0;
	if (had < 0)
		return -1;
	int n = remove_auths(c.root, host);
	if (n && conf_write(&c, e) < 0)
		return -1;
	return had || n;
}

/* A key of auths or credHelpers: "host", "https://host/v1/". */
static int helper_erase(const struct conf *c, const char *key, struct skf_err *e)
{
	SKF_AUTO(skf_creds_done) struct skf_creds x = {0};
	SKF_AUTO(skf_buf_done) struct skf_buf out = SKF_BUF(SKF_MAX_TOKEN_BYTES);
	const char *p = strstr(key, "://");
	char host[SKF_MAX_REPO_BYTES + 1];
	p = p ? p + 3 : key;
	if (skf_fmt(host, sizeof(host), "%.*s", (int)strcspn(p, "/"), p) < 0)
		return 0; /* no registry has such a name */
	if (skf_streq(host, "index.docker.io"))
		memcpy(host, "docker.io", sizeof("docker.io"));
	const char *helper = helper_of(c, host, &x, e);
	if (e->kind)
		return skf_ctx(e, "'%s'", c->path);
	return helper ? skf_credhelper_run(helper, "erase", skf_dockerconf_server(host), &out, e) : 0;
}

static int helpers_erase(const struct conf *c, const char *object, struct skf_err *e)
{
	struct json_object *o;
	if (!json_object_object_get_ex(c->root, object, &o) || !json_object_is_type(o, json_type_object))
		return 0;
	json_object_object_foreach(o, key, v)
	{
		(void)v;
		if (helper_erase(c, key, e) < 0)
			return -1;
	}
	return 0;
}

int skf_login_erase_all(const char *path, struct skf_err *e)
{
	SKF_AUTO(conf_done) struct conf c;
	struct json_object *auths;
	if (conf_open(&c, path, e) < 0 || helpers_erase(&c, "auths", e) < 0 ||
	    helpers_erase(&c, "credHelpers", e) < 0)
		return -1;
	if (!json_object_object_get_ex(c.root, "auths", &auths))
		return 0;
	json_object_object_add(c.root, "auths", json_object_new_object());
	return conf_write(&c, e);
}

int skf_login_user(const char *path, const char *host, char *ret, size_t size, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_DOCKER_CONFIG_BYTES + 1);
	SKF_AUTO(skf_creds_done) struct skf_creds x = {0};
	int r = skf_read_file_at(AT_FDCWD, path, SKF_MAX_DOCKER_CONFIG_BYTES, &b);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return skf_fail_sys(e, r, "read '%s'", path);
	r = skf_dockerconf_lookup(skf_buf_cstr(&b), b.len, host, NULL, &x, e);
	if (r == 1 && x.helper)
		r = skf_credhelper_get(x.helper, skf_dockerconf_server(host), &x, e);
	if (r != 1 || !x.user)
		return r < 0 ? -1 : 0;
	return skf_fmt(ret, size, "%s", x.user) < 0 ? 0 : 1;
}
