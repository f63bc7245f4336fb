/* cmd/image_remote.c -- requests about what is in a registry (inspect, tags, referrers, delete), and what
 * all requests to registries share: opening a registry as the user has configured it, and the thread that
 * watches the peer. Blocks: network. */
#include "oci/registries_conf.h"
#include "base/arena.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/limits.h"
#include "cmd/image_int.h"
#include "registry/registry.h"
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define PROGRESS_MS 100
#define TEXT_BYTES  (64u << 10)

/* --- shared --- */
/* podman's and skopeo's file of credentials; NULL when there is none. */
const char *image_auth_file(char *out, size_t size)
{
	static const struct {
		const char *variable, *below;
	} places[] = {{"REGISTRY_AUTH_FILE", ""},
		      {"XDG_RUNTIME_DIR", "/containers/auth.json"},
		      {"HOME", "/.config/containers/auth.json"}};
	for (size_t i = 0; i < SKF_ARRAY_LEN(places); i++) {
		const char *v = getenv(places[i].variable);
		if (v && *v == '/' && skf_fmt(out, size, "%s%s", v, places[i].below) == 0 &&
		    access(out, R_OK) == 0)
			return out;
	}
	return NULL;
}

static const char *word(const char *s)
{
	return s && *s ? s : NULL;
}

void image_how_get(struct image_how *h, struct skf_recr *q)
{
	h->docker_config = skf_recr_str(q);
	h->certs_dir = skf_recr_str(q);
	image_how_flags(h, q);
}

void image_how_flags(struct image_how *h, struct skf_recr *q)
{
	h->flags = skf_recr_u32(q);
	if (h->flags & SKF_IMG_TOKEN)
		h->token = skf_recr_str(q);
	if (h->flags & SKF_IMG_CREDS) {
		h->auth_file = skf_recr_str(q);
		h->user = skf_recr_str(q);
		h->password = skf_recr_str(q);
		h->bound = true;
	}
	if (h->flags & SKF_IMG_RETRY) {
		h->retries = skf_recr_u32(q);
		h->retry_ms = skf_recr_u32(q);
	}
}

int image_how_bind(struct image_how *h, const char *reference, struct skf_err *e)
{
	struct skf_ref ref;
	if (!word(h->token) && !h->bound)
		return 0;
	if (skf_ref_parse(reference, &ref, e) < 0)
		return -1;
	return skf_fmt(h->token_host, sizeof(h->token_host), "%s", ref.registry) < 0
		       ? skf_fail(e, SKF_EBUG, "registry '%s'", ref.registry)
		       : 0;
}

int image_registry_open(const struct image_peer *peer, const char *host, const char *repo,
			const struct image_how *how, struct skf_registry **ret, struct skf_err *e)
{
	char path[4096];
	bool anonymous = how->flags & SKF_IMG_ANONYMOUS, own_file = word(how->auth_file) != NULL;
	const struct skf_registry_opts o = {
		.log = peer->log,
		.auth_file = anonymous  ? NULL
			     : own_file ? how->auth_file
					: image_auth_file(path, sizeof(path)),
		.docker_config = anonymous || own_file ? NULL : word(how->docker_config),
		.user = how->bound && !skf_streq(how->token_host, host) ? NULL : word(how->user),
		.password = how->password,
		.token = skf_streq(how->token_host, host) ? word(how->token) : NULL,
		.certs_dir = word(how->certs_dir),
		.plain_http = how->flags & SKF_IMG_PLAIN_HTTP,
		.insecure_tls = how->flags & SKF_IMG_INSECURE_TLS,
		.retry = how->flags & SKF_IMG_RETRY,
		.retries = how->retries,
		.retry_ms = how->retry_ms,
		.cancel_fd = peer->cancel_fd,
		.repo = repo,
		.conf_dir = getenv("SKIFF_REGISTRIES_D"),
	};
	return skf_registry_new(host, &o, ret, e);
}

int image_registry_open_at(const struct image_peer *peer, struct skf_ref *ref, const struct image_how *how,
			   struct skf_registry **ret, struct skf_err *e)
{
	struct image_how there = *how;
	struct skf_registries all;
	const struct skf_reg *reg;
	char host[SKF_MAX_REPO_BYTES + 1], repo[SKF_MAX_REPO_BYTES + 1];
	int r = skf_registries_load(&all, e);

	reg = r == 0 ? skf_registries_match(&all, ref->registry, ref->repo) : NULL;
	if (reg && reg->blocked)
		r = skf_fail(e, SKF_EDENIED, "registry '%s' is blocked: registries.conf says so for '%s'",
			     ref->registry, reg->prefix);
	else if (reg && reg->at.location &&
		 (r = skf_registries_at(reg, &reg->at, ref->registry, ref->repo, host, repo, e)) == 0) {
		if (!skf_streq(host,
			       ref->registry)) /* T51: what was said for the one is not shown to the other */
			there.user = there.password = NULL;
		memcpy(ref->registry, host, strlen(host) + 1); /* of the same sizes */
		memcpy(ref->repo, repo, strlen(repo) + 1);
		there.flags |= reg->at.insecure ? SKF_IMG_PLAIN_HTTP | SKF_IMG_INSECURE_TLS : 0u;
	}
	skf_registries_done(&all);
	return r < 0 ? -1 : image_registry_open(peer, ref->registry, ref->repo, &there, ret, e);
}

void image_send_text(const struct image_peer *peer, const char *p, size_t n)
{
	while (n) {
		SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
		size_t k = n < TEXT_BYTES ? n : TEXT_BYTES;
		struct skf_rec r;
		skf_rec_begin(&r, &b, SKF_IMG_TEXT, SKF_IMG_VERSION);
		skf_rec_bytes(&r, p, k);
		skf_rec_end(&r);
		image_send(peer, &b);
		p += k;
		n -= k;
	}
}

static void *watch(void *arg)
{
	const struct image_watch *w = arg;
	for (;;) {
		struct pollfd f[2] = {{w->stop_fd, POLLIN, 0}, {w->peer->sock, 0, 0}};
		int n = poll(f, 2, PROGRESS_MS);
		if (n > 0 && f[0].revents)
			return NULL;
		if (n > 0 && f[1].revents & (POLLHUP | POLLERR)) {
			image_cancel(w->peer);
			return NULL;
		}
		if (w->progress)
			w->progress(w->arg);
	}
}

int image_watch_start(struct image_watch *w, struct skf_err *e)
{
	w->stop_fd = eventfd(0, EFD_CLOEXEC);
	if (w->stop_fd < 0)
		return skf_fail_sys(e, -errno, "eventfd");
	int r = pthread_create(&w->thread, NULL, watch, w);
	if (!r)
		return 0;
	skf_closep(&w->stop_fd);
	return skf_fail_sys(e, -r, "start the watching thread");
}

void image_watch_stop(struct image_watch *w)
{
	uint64_t one = 1;
	if (w->stop_fd < 0)
		return;
	if (write(w->stop_fd, &one, sizeof(one)) < 0) {
		/* cannot fail: the counter is written once */
	}
	pthread_join(w->thread, NULL);
	skf_closep(&w->stop_fd);
}

/* --- requests --- */
struct remote {
	const struct image_peer *peer;
	uint32_t what;
	const char *reference, *argument, *platform;
	struct image_how how;
	struct skf_arena arena;
	struct skf_registry *reg;
	struct skf_ref ref;
	struct skf_buf out;
};

static int fetch(struct remote *x, const struct skf_ref *ref, struct skf_buf *b, struct skf_digest *d,
		 enum skf_media *kind, char type[128], struct skf_err *e)
{
	if (skf_registry_manifest(x->reg, ref, b, type, d, e) < 0)
		return -1;
	return skf_manifest_kind(skf_buf_cstr(b), b->len, type, kind, e);
}

/* The manifest for the platform, through an index if there is one. */
static int fetch_image(struct remote *x, struct skf_digest *top, struct skf_manifest **ret,
		       struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_MANIFEST_BYTES + 1);
	struct skf_platform want;
	struct skf_ref ref = x->ref;
	struct skf_digest d;
	struct skf_index *index;
	const struct skf_desc *chosen;
	enum skf_media kind;
	char type[128];
	if (x->platform[0] && skf_platform_parse(x->platform, &want, e) < 0)
		return -1;
	if (!x->platform[0])
		skf_platform_host(&want);
	if (fetch(x, &ref, &b, top, &kind, type, e) < 0)
		return -1;
	if (kind == SKF_MEDIA_INDEX) {
		if (skf_index_parse(skf_buf_cstr(&b), b.len, type, &x->arena, &index, e) < 0 ||
		    skf_index_choose(index, &want, &chosen, e) < 0)
			return skf_ctx(e, "index '%s'", top->s);
		ref.digest = chosen->digest;
		skf_buf_clear(&b);
		if (fetch(x, &ref, &b, &d, &kind, type, e) < 0)
			return -1;
	}
	return skf_manifest_parse(skf_buf_cstr(&b), b.len, type, &x->arena, ret, e);
}

static int do_raw(struct remote *x, struct skf_err *e)
{
	struct skf_digest d;
	char type[128];
	return skf_registry_manifest(x->reg, &x->ref, &x->out, type, &d, e);
}

static int fetch_config(struct remote *x, struct skf_digest *top, struct skf_manifest **m, struct skf_buf *b,
			struct skf_err *e)
{
	if (fetch_image(x, top, m, e) < 0)
		return -1;
	return skf_registry_blob_small(x->reg, &x->ref, &(*m)->config, SKF_MAX_CONFIG_BLOB_BYTES, b, e);
}

static int do_config(struct remote *x, struct skf_err *e)
{
	struct skf_digest top;
	struct skf_manifest *m;
	return fetch_config(x, &top, &m, &x->out, e);
}

static void put_layers(struct skf_jw *w, const struct skf_manifest *m)
{
	const struct skf_desc *l = m->layers.v;
	skf_jw_karr(w, "Layers");
	for (size_t i = 0; i < m->layers.n; i++)
		skf_jw_str(w, l[i].digest.s);
	skf_jw_end_arr(w);
	skf_jw_karr(w, "LayersData");
	for (size_t i = 0; i < m->layers.n; i++) {
		skf_jw_obj(w);
		skf_jw_kstr(w, "MIMEType", l[i].media_type);
		skf_jw_kstr(w, "Digest", l[i].digest.s);
		skf_jw_ku64(w, "Size", l[i].size);
		if (l[i].annotations.n)
			skf_jw_kkvs(w, "Annotations", &l[i].annotations);
		else
			skf_jw_knull(w, "Annotations");
		skf_jw_end(w);
	}
	skf_jw_end_arr(w);
}

static void put_name(struct skf_jw *w, const struct remote *x)
{
	char name[2 * SKF_MAX_REPO_BYTES + 2];
	if (skf_fmt(name, sizeof(name), "%s/%s", x->ref.registry, x->ref.repo) ==
	    0) /* both parts have their limit */
		skf_jw_kstr(w, w->depth && x->what == SKF_IMG_REMOTE_TAGS ? "Repository" : "Name", name);
}

/* The document of `skopeo inspect`. */
static int do_inspect(struct remote *x, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_CONFIG_BLOB_BYTES + 1);
	struct skf_jw w = SKF_JW(&x->out);
	struct skf_strv tags = {0};
	struct skf_digest top;
	struct skf_manifest *m;
	struct skf_image_config *c;
	if (fetch_config(x, &top, &m, &b, e) < 0 ||
	    skf_image_config_parse(skf_buf_cstr(&b), b.len, &x->arena, &c, e) < 0 ||
	    (!skf_streq(x->argument, "no-tags") &&
	     skf_registry_tags(x->reg, &x->ref, &x->arena, &tags, e) < 0))
		return -1;
	w.indent = 4;
	skf_jw_obj(&w);
	put_name(&w, x);
	skf_jw_kstr(&w, "Digest", top.s);
	skf_jw_kstrv(&w, "RepoTags", &tags);
	skf_jw_kstr(&w, "Created", c->created);
	skf_jw_kstr(&w, "DockerVersion", "");
	if (c->labels.n)
		skf_jw_kkvs(&w, "Labels", &c->labels);
	else
		skf_jw_knull(&w, "Labels");
	skf_jw_kstr(&w, "Architecture", c->platform.arch);
	if (c->platform.variant[0])
		skf_jw_kstr(&w, "Variant", c->platform.variant);
	skf_jw_kstr(&w, "Os", c->platform.os);
	put_layers(&w, m);
	skf_jw_kstrv(&w, "Env", &c->env);
	skf_jw_end(&w);
	skf_buf_chr(&x->out, '\n');
	return 0;
}

static int do_tags(struct remote *x, struct skf_err *e)
{
	struct skf_jw w = SKF_JW(&x->out);
	struct skf_strv tags = {0};
	if (skf_registry_tags(x->reg, &x->ref, &x->arena, &tags, e) < 0)
		return -1;
	w.indent = 4;
	skf_jw_obj(&w);
	put_name(&w, x);
	skf_jw_kstrv(&w, "Tags", &tags);
	skf_jw_end(&w);
	skf_buf_chr(&x->out, '\n');
	return 0;
}

static int do_referrers(struct remote *x, struct skf_err *e)
{
	struct skf_ref ref = x->ref;
	uint64_t size;
	int has = ref.digest.s[0] ? 1 : skf_registry_head(x->reg, &x->ref, &ref.digest, &size, e);
	if (has < 0)
		return -1;
	if (!has)
		return skf_fail(e, SKF_ENOTFOUND, "'%s' is not in the registry", x->reference);
	if (skf_registry_referrers(x->reg, &ref, x->argument[0] ? x->argument : NULL, &x->out, e) < 0)
		return -1;
	skf_buf_chr(&x->out, '\n');
	return 0;
}

static int do_delete(struct remote *x, struct skf_err *e)
{
	enum skf_delete_what what = skf_streq(x->argument, "tag")    ? SKF_DELETE_TAG
				    : skf_streq(x->argument, "blob") ? SKF_DELETE_BLOB
								     : SKF_DELETE_MANIFEST;
	struct skf_digest d;
	skf_registry_set_actions(x->reg, "pull,push,delete");
	if (skf_registry_delete(x->reg, &x->ref, what, &d, e) < 0)
		return -1;
	if (d.s[0])
		skf_buf_fmt(&x->out, "Deleted: %s\n", d.s);
	else
		skf_buf_fmt(&x->out, "Untagged: %s/%s:%s\n", x->ref.registry, x->ref.repo, x->ref.tag);
	return 0;
}

static int do_search(struct remote *x, struct skf_err *e)
{
	const char *nl = strchr(x->argument, '\n');
	char number[16];
	uint32_t limit;
	if (!nl || skf_fmt(number, sizeof(number), "%.*s", (int)(nl - x->argument), x->argument) < 0 ||
	    skf_parse_u32(number, &limit) < 0)
		return skf_fail(e, SKF_EINVALID, "the search request is cut short");
	return skf_registry_search(x->reg, nl + 1, limit, &x->out, e);
}

static int run(struct remote *x, struct skf_err *e)
{
	static int (*const fn[])(struct remote *, struct skf_err *) = {
		[SKF_IMG_REMOTE_INSPECT] = do_inspect,     [SKF_IMG_REMOTE_RAW] = do_raw,
		[SKF_IMG_REMOTE_CONFIG] = do_config,       [SKF_IMG_REMOTE_TAGS] = do_tags,
		[SKF_IMG_REMOTE_REFERRERS] = do_referrers, [SKF_IMG_REMOTE_DELETE] = do_delete,
		[SKF_IMG_REMOTE_SEARCH] = do_search,
	};
	if (x->what >= SKF_ARRAY_LEN(fn))
		return skf_fail(e, SKF_EUNSUPPORTED, "skiff-image %s does not know the remote request %u",
				SKF_VERSION, x->what);
	if (skf_ref_parse(x->reference, &x->ref, e) < 0 ||
	    image_registry_open_at(x->peer, &x->ref, &x->how, &x->reg, e) < 0 || fn[x->what](x, e) < 0)
		return -1;
	if (x->out.err)
		return skf_fail_sys(e, x->out.err, "answer about '%s'", x->reference);
	image_send_text(x->peer, x->out.p, x->out.len);
	return 0;
}

int image_serve_remote(const struct image_peer *peer, struct skf_recr *q, struct skf_buf *answer,
		       struct skf_err *e)
{
	struct remote x = {.peer = peer, .arena = SKF_ARENA(SKF_MAX_ARENA_DOC), .out = SKF_BUF(64u << 20)};
	struct image_watch w = {.peer = peer, .stop_fd = -EBADF};
	x.what = skf_recr_u32(q);
	x.reference = skf_recr_str(q);
	x.argument = skf_recr_str(q);
	x.platform = skf_recr_str(q);
	image_how_get(&x.how, q);
	if (!x.how.bound && skf_recr_more(q)) { /* of front ends from before SKF_IMG_CREDS */
		x.how.auth_file = skf_recr_str(q);
		x.how.user = skf_recr_str(q);
		x.how.password = skf_recr_str(q);
	}
	int r = q->bad ? skf_fail(e, SKF_EINVALID, "the request is cut short")
		: image_how_bind(&x.how, x.reference, e) < 0 ? -1
							     : image_watch_start(&w, e);
	if (r == 0)
		r = run(&x, e);
	image_watch_stop(&w);
	skf_registry_free(x.reg);
	skf_buf_done(&x.out);
	skf_arena_done(&x.arena);
	if (r == 0)
		image_put_done(answer);
	return r;
}

void image_put_done(struct skf_buf *answer)
{
	struct skf_rec r;
	skf_rec_begin(&r, answer, SKF_IMG_DONE, SKF_IMG_VERSION);
	for (int i = 0; i < 3; i++)
		skf_rec_str(&r, "");
	skf_rec_u32(&r, 0);
	skf_rec_end(&r);
}
