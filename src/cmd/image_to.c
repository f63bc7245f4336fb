/* cmd/image_to.c -- places that images are copied to: opening them, and registries. Blobs go before
 * manifests, manifests of platforms before their index, the tags last. Blobs that the registry has, or can
 * mount from the source's repository, are not sent. Blocks: network. */
#include "base/fd.h"
#include "base/limits.h"
#include "cmd/image_place.h"
#include "registry/registry.h"
#include <stdlib.h>
#include <string.h>

#define PARALLEL 4

void image_to_free(struct image_to *x)
{
	if (!x)
		return;
	if (x->ops && x->ops->free)
		x->ops->free(x);
	skf_arena_done(&x->a);
	free(x);
}

/* --- registry --- */
static void close_item(void *arg)
{
	image_item_close(arg);
}

struct to_registry {
	struct image_to x;
	struct skf_registry *reg;
};

static int registry_blobs(struct image_to *x, struct image_item *v, size_t n, struct skf_err *e)
{
	struct to_registry *r = (struct to_registry *)x;
	struct skf_blob_put *put = calloc(n ? n : 1, sizeof(*put));
	bool mount = skf_streq(x->from->ref.registry, x->ref.registry) &&
		     !skf_streq(x->from->ref.repo, x->ref.repo);
	size_t k = 0;
	if (!put)
		return skf_fail(e, SKF_ENOMEM, "blobs");
	for (size_t i = 0; i < n; i++) {
		bool twice = false;
		for (size_t j = 0; j < k; j++)
			twice |= skf_digest_eq(&put[j].desc.digest, &v[i].desc.digest);
		if (twice)
			continue;
		put[k++] =
			(struct skf_blob_put){.desc = v[i].desc,
					      .mount_from = mount && v[i].fd < 0 ? x->from->ref.repo : NULL,
					      .src = {image_item_read, &v[i], close_item}};
	}
	int rc = skf_registry_push_blobs(r->reg, &x->ref, put, k, PARALLEL, 0, e);
	free(put);
	return rc;
}

static int registry_manifest(struct image_to *x, const struct image_doc *d, bool top, struct skf_err *e)
{
	struct to_registry *r = (struct to_registry *)x;
	struct skf_ref ref = x->ref;
	struct skf_digest got;
	if (top && ref.digest.s[0] && !skf_digest_eq(&ref.digest, &d->digest))
		return skf_fail(e, SKF_EINVALID,
				"the image has the digest '%s', which is not the one of the destination",
				d->digest.s);
	if (!top || ref.digest.s[0]) {
		ref.digest = d->digest;
		ref.tag[0] = 0;
	}
	return skf_registry_push_manifest(r->reg, &ref, &d->digest, top ? &x->tags : NULL, d->type, d->b.p,
					  d->b.len, &got, e);
}

static void registry_free(struct image_to *x)
{
	skf_registry_free(((struct to_registry *)x)->reg);
}

int image_to_registry(struct image_to **x, struct skf_err *e)
{
	static const struct image_to_ops ops = {registry_blobs, registry_manifest, NULL, registry_free};
	struct to_registry *r = calloc(1, sizeof(*r));
	if (!r)
		return skf_fail(e, SKF_ENOMEM, "destination");
	r->x = **x;
	r->x.ops = &ops;
	free(*x);
	*x = &r->x;
	if (skf_ref_parse(r->x.place->name, &r->x.ref, e) < 0 ||
	    image_registry_open_at(r->x.peer, &r->x.ref, &r->x.place->how, &r->reg, e) < 0)
		return -1;
	skf_registry_set_actions(r->reg, "pull,push");
	if (skf_streq(r->x.from->ref.registry, r->x.ref.registry) &&
	    !skf_streq(r->x.from->ref.repo, r->x.ref.repo))
		return skf_registry_add_from(r->reg, r->x.from->ref.repo, e);
	return 0;
}

int image_to_open(const struct image_peer *peer, const char *root, const struct image_place *p,
		  const struct skf_strv *tags, struct image_from *from, struct image_to **ret,
		  struct skf_err *e)
{
	static int (*const makers[])(struct image_to **, struct skf_err *) = {
		[SKF_PLACE_STORE] = image_to_store,   [SKF_PLACE_REGISTRY] = image_to_registry,
		[SKF_PLACE_OCI] = image_to_files,     [SKF_PLACE_DOCKER_ARCHIVE] = image_to_docker,
		[SKF_PLACE_DAEMON] = image_to_docker, [SKF_PLACE_DIR] = image_to_files,
	};
	if (p->kind >= SKF_ARRAY_LEN(makers))
		return skf_fail(e, SKF_EUNSUPPORTED, "skiff-image %s does not know the place %u",
				SKF_VERSION, p->kind);
	struct image_to *x = calloc(1, sizeof(*x));
	if (!x)
		return skf_fail(e, SKF_ENOMEM, "destination");
	*x = (struct image_to){.peer = peer,
			       .root = root,
			       .place = p,
			       .a = SKF_ARENA(SKF_MAX_ARENA_DOC),
			       .tags = *tags,
			       .from = from};
	if (makers[p->kind](&x, e) < 0) {
		image_to_free(x);
		return -1;
	}
	*ret = x;
	return 0;
}
