/* cli/cmd_transfer.c -- pull and push: one image, every tag of a repository (--all-tags), or every platform
 * of an image with its index (--all-platforms, which is a copy between registry and store). */
#include "cli/cli_int.h"
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

/* NAME without tag and digest. */
static int repository(struct skf_cli *c, const char *word, char **ret)
{
	char name[SKF_MAX_REF_BYTES + 1];
	struct skf_ref ref;
	const char *slash = strrchr(word, '/');

	if (skf_ref_parse(word, &ref, &c->e) < 0)
		return -1;
	if (strpbrk(slash ? slash : word, ":@"))
		return skf_fail(&c->e, SKF_EINVALID, "tag can't be used with --all-tags/-a");
	skf_ref_familiar_name(&ref, name);
	*ret = skf_arena_strdup(&c->a, name);
	return *ret ? 0 : skf_fail(&c->e, SKF_ENOMEM, "memory for the name");
}

/* --- all platforms, or layers that are compressed anew: a copy --- */
static int copy_all(struct skf_cli *c, struct skf_copy_req *q, const char *name)
{
	struct skf_cli_progress p;
	struct skf_digest d;
	int r;

	q->src.fd = q->dest.fd = -1;
	q->all = c->o.all_platforms;
	q->platform = c->o.platform;
	if (skf_cli_how(c, &q->src.how) < 0 || skf_cli_engine(c) < 0)
		return skf_cli_fail(c, 1);
	q->src.auth_file = SKF_TAKE(q->src.how.auth_file);
	q->src.user = SKF_TAKE(q->src.how.user);
	q->src.password = SKF_TAKE(q->src.how.password);
	q->src.anonymous = q->src.how.anonymous;
	struct skf_copy_place there = q->src;
	there.kind = q->dest.kind;
	there.name = q->dest.name;
	q->dest = there;
	skf_cli_progress_init(&p, stdout, c->o.quiet);
	r = skf_engine_copy(c->g, q, &p.p, &d, &c->e);
	skf_cli_progress_done(&p);
	if (r < 0 || skf_cli_write_digest(c, &d) < 0)
		return skf_cli_fail(c, 1);
	if (!c->o.quiet)
		printf("Digest: %s\n", d.s);
	printf("%s\n", name);
	return 0;
}

static int between(struct skf_cli *c, bool pull, const char *image, const char *dest)
{
	struct skf_copy_req q = SKF_REQ(struct skf_copy_req);
	char full[SKF_MAX_REF_BYTES + 1];
	struct skf_ref ref;

	if (skf_ref_parse(dest, &ref, &c->e) < 0)
		return skf_cli_fail(c, 1);
	skf_ref_full(&ref, full);
	q.src.kind = pull ? SKF_COPY_REGISTRY : SKF_COPY_STORE;
	q.dest.kind = pull ? SKF_COPY_STORE : SKF_COPY_REGISTRY;
	q.src.name = image;
	q.dest.name = full;
	if (!skf_cli_squeeze(c, c->o.compression_format, "compression-format", c->o.compression_level,
			     "compression-level", &q) ||
	    skf_cli_family(c, &q.as) < 0)
		return skf_cli_fail(c, 1);
	q.preserve = q.squeeze == 0 && q.as == 0;
	return copy_all(c, &q, full);
}

/* --- all tags --- */
/* Tags of a repository of a registry, out of the document of `image tags`. */
int skf_cli_remote_tags(struct skf_cli *c, const char *repo, bool plain, struct skf_strv *ret)
{
	struct skf_remote_req q = SKF_REQ(struct skf_remote_req);
	SKF_AUTO(skf_buf_done) struct skf_buf text = SKF_BUF(64u << 20);
	struct json_object *doc, *tags;
	int r = 0;

	q.what = SKF_REMOTE_TAGS;
	q.reference = repo;
	if (skf_cli_how(c, &q.how) < 0)
		return -1;
	if (!plain) {
		q.how.plain_http = q.how.insecure_tls = !c->o.src_tls_verify;
		q.how.certs_dir = c->o.src_cert_dir;
		q.how.auth_file = c->o.src_authfile ? c->o.src_authfile : c->o.authfile;
		q.how.user = c->o.src_username;
		q.how.password = c->o.src_password;
		q.how.token = c->o.src_token;
	}
	if (skf_engine_remote(c->g, &q, &text, &c->e) < 0)
		return -1;
	doc = json_tokener_parse(skf_buf_cstr(&text));
	if (!doc || !json_object_object_get_ex(doc, "Tags", &tags))
		r = skf_fail(&c->e, SKF_ECORRUPT, "the list of tags of '%s'", repo);
	for (size_t i = 0; r == 0 && i < json_object_array_length(tags); i++)
		if (skf_strv_add(&c->a, ret, json_object_get_string(json_object_array_get_idx(tags, i))) < 0)
			r = skf_fail(&c->e, SKF_ENOMEM, "memory for the tags of '%s'", repo);
	json_object_put(doc);
	return r;
}

static int local_tags(struct skf_cli *c, const char *repo, struct skf_strv *ret)
{
	const struct skf_image_row *v;
	struct skf_jarr rows;

	if (skf_engine_images(c->g, repo, &c->a, &rows, &c->e) < 0)
		return -1;
	v = rows.v;
	for (size_t i = 0; i < rows.n; i++)
		if (skf_streq(v[i].repository, repo) && !skf_streq(v[i].tag, "<none>") &&
		    skf_strv_add(&c->a, ret, v[i].tag) < 0)
			return skf_fail(&c->e, SKF_ENOMEM, "memory for the tags of '%s'", repo);
	return ret->n ? 0
		      : skf_fail(&c->e, SKF_ENOTFOUND, "An image does not exist locally with the tag: %s",
				 repo);
}

static int one(struct skf_cli *c, bool pull, const char *image, const char *dest)
{
	if (c->o.all_platforms || (!pull && (c->o.platform || c->o.format || c->o.compression_format ||
					     c->o.compression_level >= 0)))
		return between(c, pull, image, dest ? dest : image);
	return pull ? skf_cli_pull_one(c, image) : skf_cli_push_one(c, image, dest);
}

static int each_tag(struct skf_cli *c, bool pull)
{
	struct skf_strv tags = {0};
	char *repo;
	int status = 0;

	if (skf_cli_engine(c) < 0 || repository(c, c->args.v[0], &repo) < 0 ||
	    (pull ? skf_cli_remote_tags(c, repo, true, &tags) : local_tags(c, repo, &tags)) < 0)
		return skf_cli_fail(c, 1);
	for (size_t i = 0; status == 0 && i < tags.n; i++) {
		const char *name = skf_arena_fmt(&c->a, "%s:%s", repo, tags.v[i]);

		if (!name) {
			skf_fail(&c->e, SKF_ENOMEM, "memory for the names of '%s'", repo);
			return skf_cli_fail(c, 1);
		}
		status = one(c, pull, name, NULL);
	}
	return status;
}

int skf_cli_platform(struct skf_cli *c)
{
	struct skf_platform p;
	const char *variant = c->o.variant ? c->o.variant : "";

	if (!c->o.arch && !c->o.os && !c->o.variant)
		return 0;
	if (c->o.platform)
		return skf_fail(&c->e, SKF_EINVALID,
				"--platform option can not be specified with --arch, --os or --variant");
	skf_platform_host(&p);
	if (!c->o.arch && !c->o.variant)
		variant = p.variant;
	c->o.platform = skf_arena_fmt(&c->a, "%s/%s%s%s", c->o.os ? c->o.os : p.os,
				      c->o.arch ? c->o.arch : p.arch, *variant ? "/" : "", variant);
	return c->o.platform ? 0 : skf_fail(&c->e, SKF_ENOMEM, "memory for the platform");
}

static int transfer(struct skf_cli *c, bool pull)
{
	const char *wrong = NULL;

	if (skf_cli_platform(c) < 0)
		return skf_cli_fail(c, 1);
	if (c->o.all_tags && c->args.n > 1)
		wrong = "--all-tags pushes to where the images' names say: a destination cannot be given";
	else if (c->o.all_platforms && c->o.platform)
		wrong = "--platform and --all-platforms are mutually exclusive";
	else if (c->o.all_tags && c->o.digestfile)
		wrong = "--digestfile is for one image, and --all-tags pushes several";
	else if (c->o.force_compression && !c->o.compression_format)
		wrong = "--force-compression needs --compression-format";
	if (wrong) {
		skf_fail(&c->e, SKF_EINVALID, "%s", wrong);
		return skf_cli_fail(c, 1);
	}
	return c->o.all_tags ? each_tag(c, pull)
			     : one(c, pull, c->args.v[0], c->args.n > 1 ? c->args.v[1] : NULL);
}

int skf_cmd_pull(struct skf_cli *c)
{
	return transfer(c, true);
}

int skf_cmd_push(struct skf_cli *c)
{
	return transfer(c, false);
}
