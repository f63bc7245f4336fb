/* cli/cmd_images.c -- pull, images, rmi. */
#include "cli/cli_int.h"
#include <stdio.h>
#include <string.h>

#define SHORT_ID 12

/* A colon before the last slash belongs to the registry's port. */
static bool has_tag(const char *reference)
{
	const char *slash = strrchr(reference, '/');

	return strpbrk(slash ? slash : reference, ":@") != NULL;
}

int skf_cmd_pull(struct skf_cli *c)
{
	struct skf_pull_req q = SKF_REQ(struct skf_pull_req);
	struct skf_cli_progress p;
	struct skf_pull_ret ret;
	char full[SKF_MAX_REF_BYTES + 1];
	int r;

	q.reference = c->args.v[0];
	q.platform = c->o.platform;
	q.plain_http = c->o.plain_http;
	q.insecure_tls = !c->o.tls_verify;
	q.certs_dir = c->o.cert_dir;
	q.docker_config = skf_cli_docker_config(c);
	if (skf_cli_engine(c) < 0)
		return skf_cli_fail(c, 1);
	skf_cli_progress_init(&p, stdout, c->o.quiet);
	if (!c->o.quiet && !has_tag(c->args.v[0]))
		printf("Using default tag: latest\n");
	r = skf_engine_pull(c->g, &q, &p.p, &ret, &c->e);
	skf_cli_progress_done(&p);
	if (r < 0)
		return skf_cli_fail(c, 1);
	skf_ref_full(&ret.ref, full);
	if (!c->o.quiet) {
		char name[SKF_MAX_REF_BYTES + 1];

		skf_ref_familiar_name(&ret.ref, name);
		printf("Digest: %s\nStatus: %s for %s%s%s\n", ret.top.s,
		       ret.up_to_date ? "Image is up to date" : "Downloaded newer image", name,
		       ret.ref.tag[0] ? ":" : "@", ret.ref.tag[0] ? ret.ref.tag : ret.ref.digest.s);
	}
	printf("%s\n", full);
	return 0;
}

static void image_row(const struct skf_cli *c, struct skf_table *t, const struct skf_image_row *r,
		      int64_t now)
{
	const char *hex = strchr(r->id, ':');
	char id[SKF_DIGEST_MAX], created[80], size[32];

	if (c->o.no_trunc)
		snprintf(id, sizeof(id), "%s", r->id);
	else
		snprintf(id, sizeof(id), "%.*s", SHORT_ID, hex ? hex + 1 : r->id);
	if (c->o.quiet) {
		printf("%s\n", id);
		return;
	}
	skf_human_ago(r->created_ns, now, created, sizeof(created));
	skf_human_size(r->size, size, sizeof(size));
	skf_table_add(t, r->repository);
	skf_table_add(t, r->tag);
	if (c->o.digests)
		skf_table_add(t, r->digest);
	skf_table_add(t, id);
	skf_table_add(t, created);
	skf_table_add(t, size);
}

int skf_cmd_images(struct skf_cli *c)
{
	static const char *const head[] = {"REPOSITORY", "TAG", "DIGEST", "IMAGE ID", "CREATED", "SIZE"};
	SKF_AUTO(skf_table_done) struct skf_table t = SKF_TABLE(c->o.digests ? 6 : 5);
	const struct skf_image_row *v;
	struct skf_jarr rows;
	int64_t now = skf_now_ns();

	if (skf_cli_engine(c) < 0 ||
	    skf_engine_images(c->g, c->args.n ? c->args.v[0] : NULL, &c->a, &rows, &c->e) < 0)
		return skf_cli_fail(c, 1);
	v = rows.v;
	for (size_t i = 0; !c->o.quiet && i < SKF_ARRAY_LEN(head); i++)
		if (i != 2 || c->o.digests)
			skf_table_add(&t, head[i]);
	for (size_t i = 0; i < rows.n; i++)
		image_row(c, &t, &v[i], now);
	skf_table_print(&t);
	return 0;
}

int skf_cmd_rmi(struct skf_cli *c)
{
	int status = 0;

	if (skf_cli_engine(c) < 0)
		return skf_cli_fail(c, 1);
	for (size_t i = 0; i < c->args.n; i++) {
		struct skf_rmi_req q = SKF_REQ(struct skf_rmi_req);
		struct skf_strv untagged = {0}, deleted = {0};
		int r;

		q.name = c->args.v[i];
		q.force = c->o.force;
		q.no_prune = c->o.no_prune;
		skf_err_clear(&c->e);
		r = skf_engine_rmi(c->g, &q, &c->a, &untagged, &deleted, &c->e);
		for (size_t k = 0; k < untagged.n; k++)
			printf("Untagged: %s\n", untagged.v[k]);
		for (size_t k = 0; k < deleted.n; k++)
			printf("Deleted: %s\n", deleted.v[k]);
		if (r < 0) {
			skf_cli_error(&c->e);
			status = c->o.force && c->e.kind == SKF_ENOTFOUND ? status : 1;
		}
	}
	return status;
}
