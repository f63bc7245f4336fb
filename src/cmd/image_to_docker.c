/* cmd/image_to_docker.c -- copies into docker's archive: manifest.json, repositories, <config>.json and a
 * <layer>.tar for each layer; into a file, or into docker's daemon as it is made. One image, layers
 * uncompressed (the wish of the copy sees to that). Blocks: disk, daemon, and the source. */
#include "base/fd.h"
#include "base/json.h"
#include "base/limits.h"
#include "cmd/image_place.h"
#include <stdlib.h>
#include <string.h>

struct to_docker {
	struct image_to x;
	struct image_daemon *daemon;
	struct image_out out;
	struct skf_strv tags; /* familiar, with tag */
};

static int file_name(const struct skf_digest *d, bool config, char out[160], struct skf_err *e)
{
	return skf_fmt(out, 160, "%s.%s", skf_digest_hex(d), config ? "json" : "tar") < 0
		       ? skf_fail(e, SKF_EBUG, "name of blob '%s'", d->s)
		       : 0;
}

static int one(struct image_item *i, void *arg, struct skf_err *e)
{
	struct to_docker *t = arg;
	char name[160];
	if (file_name(&i->desc.digest, i->config, name, e) < 0)
		return -1;
	if (image_out_has(&t->out, name))
		return 0;
	if (image_out_begin(&t->out, name, i->desc.size, e) < 0 ||
	    image_item_pour(i, image_out_write, &t->out, e) < 0)
		return -1;
	image_item_close(i);
	return image_out_end(&t->out, e);
}

static int docker_blobs(struct image_to *x, struct image_item *v, size_t n, struct skf_err *e)
{
	return image_items_each(v, n, 1, one, (struct to_docker *)x, e);
}

static int put_list(struct to_docker *t, const struct skf_manifest *m, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_MANIFEST_BYTES);
	struct skf_jw w = SKF_JW(&b);
	const struct skf_desc *l = m->layers.v;
	char name[160];
	if (file_name(&m->config.digest, true, name, e) < 0)
		return -1;
	skf_jw_arr(&w);
	skf_jw_obj(&w);
	skf_jw_kstr(&w, "Config", name);
	skf_jw_kstrv(&w, "RepoTags", &t->tags);
	skf_jw_karr(&w, "Layers");
	for (size_t i = 0; i < m->layers.n; i++) {
		if (file_name(&l[i].digest, false, name, e) < 0)
			return -1;
		skf_jw_str(&w, name);
	}
	skf_jw_end_arr(&w);
	skf_jw_end(&w);
	skf_jw_end_arr(&w);
	return image_out_small(&t->out, "manifest.json", &b, e);
}

static int put_repositories(struct to_docker *t, const struct skf_manifest *m, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_MANIFEST_BYTES);
	struct skf_jw w = SKF_JW(&b);
	const struct skf_desc *l = m->layers.v;
	skf_jw_obj(&w);
	for (size_t i = 0; m->layers.n && i < t->tags.n; i++) {
		char *colon = strrchr(t->tags.v[i], ':'),
		     *repo = skf_arena_dup(&t->x.a, t->tags.v[i], (size_t)(colon - t->tags.v[i]));
		if (!repo)
			return skf_fail(e, SKF_ENOMEM, "repositories");
		bool first = true, last = true; /* the tags of one repository follow one another */
		if (i > 0)
			first = strncmp(t->tags.v[i - 1], repo, strlen(repo)) != 0 ||
				t->tags.v[i - 1][strlen(repo)] != ':';
		if (i + 1 < t->tags.n)
			last = strncmp(t->tags.v[i + 1], repo, strlen(repo)) != 0 ||
			       t->tags.v[i + 1][strlen(repo)] != ':';
		if (first)
			skf_jw_kobj(&w, repo);
		skf_jw_kstr(&w, colon + 1, skf_digest_hex(&l[m->layers.n - 1].digest));
		if (last)
			skf_jw_end(&w);
	}
	skf_jw_end(&w);
	return image_out_small(&t->out, "repositories", &b, e);
}

static int docker_manifest(struct image_to *x, const struct image_doc *d, bool top, struct skf_err *e)
{
	struct to_docker *t = (struct to_docker *)x;
	struct skf_manifest *m;
	if (d->kind == SKF_MEDIA_INDEX || !top)
		return skf_fail(
			e, SKF_EUNSUPPORTED,
			"docker's archive holds one platform of an image; choose one with --platform");
	if (skf_manifest_parse(skf_buf_cstr(&d->b), d->b.len, d->type, &x->a, &m, e) < 0)
		return -1;
	if (m->config.media != SKF_MEDIA_CONFIG)
		return skf_fail(e, SKF_EUNSUPPORTED,
				"'%s' is no container image: its config has the media type '%.100s'",
				d->digest.s, m->config.media_type);
	return put_repositories(t, m, e) < 0 || put_list(t, m, e) < 0 ? -1 : 0;
}

static int docker_end(struct image_to *x, struct skf_err *e)
{
	struct to_docker *t = (struct to_docker *)x;
	if (image_out_finish(&t->out, e) < 0)
		return -1;
	return image_daemon_end(SKF_TAKE(t->daemon), false, e);
}

static void docker_free(struct image_to *x)
{
	struct skf_err ignored = SKF_ERR_INIT; /* something else has failed before, and is told */
	image_daemon_end(((struct to_docker *)x)->daemon, true, &ignored);
}

static int add_tag(struct to_docker *t, const char *word, struct skf_err *e)
{
	char name[SKF_MAX_REF_BYTES + 1];
	struct skf_ref r;
	if (skf_ref_parse(word, &r, e) < 0)
		return -1;
	if (!r.tag[0])
		return skf_fail(e, SKF_EINVALID, "'%s': docker's archive needs a tag, not a digest", word);
	skf_ref_familiar_name(&r, name);
	char *both = skf_arena_fmt(&t->x.a, "%s:%s", name, r.tag);
	return both && skf_strv_add(&t->x.a, &t->tags, both) == 0 ? 0 : skf_fail(e, SKF_ENOMEM, "tags");
}

static int open_daemon(struct to_docker *t, int *ret_fd, struct skf_err *e)
{
	const char *nl = strchr(t->x.place->name, '\n');
	char *name = nl ? skf_arena_dup(&t->x.a, t->x.place->name, (size_t)(nl - t->x.place->name)) : NULL;
	if (!name || !*name)
		return skf_fail(e, SKF_EINVALID, "docker-daemon: wants a name and a tag for the image");
	return add_tag(t, name, e) < 0 ? -1 : image_daemon_load(t->x.peer, nl + 1, &t->daemon, ret_fd, e);
}

int image_to_docker(struct image_to **x, struct skf_err *e)
{
	static const struct image_to_ops ops = {docker_blobs, docker_manifest, docker_end, docker_free};
	struct to_docker *t = calloc(1, sizeof(*t));
	if (!t)
		return skf_fail(e, SKF_ENOMEM, "destination");
	t->x = **x;
	t->x.ops = &ops;
	free(*x);
	*x = &t->x;
	int fd = t->x.place->fd;
	if (t->x.place->kind == SKF_PLACE_DAEMON) {
		if (open_daemon(t, &fd, e) < 0)
			return -1;
	} else if (*t->x.place->name && add_tag(t, t->x.place->name, e) < 0) {
		return -1;
	}
	for (size_t i = 0; i < t->x.tags.n; i++)
		if (add_tag(t, t->x.tags.v[i], e) < 0)
			return -1;
	return image_out_init(&t->out, t->x.peer, fd, &t->x.a, e);
}
