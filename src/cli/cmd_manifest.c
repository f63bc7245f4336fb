/* cli/cmd_manifest.c -- skiff manifest: lists of platforms, with the words of docker and podman. */
#include "cli/cli_int.h"
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

static struct skf_list_change change(const struct skf_cli *c)
{
	return (struct skf_list_change){.os = c->o.os,
					.arch = c->o.arch,
					.variant = c->o.variant,
					.os_version = c->o.os_version,
					.os_features = c->o.os_features,
					.features = c->o.features,
					.annotations = c->o.annotation};
}

static int add(struct skf_cli *c, const char *word, const struct skf_list_change *change)
{
	SKF_AUTO(skf_cli_place_done) struct skf_cli_place p = {.fd = -EBADF, .o.fd = -EBADF};

	if (skf_cli_place_open(c, word, false, &p) < 0)
		return -1;
	return skf_engine_list_add(c->g, c->args.v[0], &p.p, c->o.all, c->o.platform, change, &c->e);
}

int skf_cmd_manifest_create(struct skf_cli *c)
{
	const struct skf_list_change none = {0};
	const struct skf_strv annotations = c->o.annotation;
	char full[SKF_MAX_REF_BYTES + 1];
	struct skf_ref ref;

	if (skf_cli_engine(c) < 0 || skf_ref_parse(c->args.v[0], &ref, &c->e) < 0 ||
	    skf_engine_list_create(c->g, c->args.v[0], c->o.amend, &annotations, &c->e) < 0)
		return skf_cli_fail(c, 1);
	for (size_t i = 1; i < c->args.n; i++)
		if (add(c, c->args.v[i], &none) < 0) {
			struct skf_err ignored = SKF_ERR_INIT; /* the image's error is the one to tell */

			if (!c->o.amend)
				skf_engine_list_rm(c->g, c->args.v[0], &ignored);
			return skf_cli_fail(c, 1);
		}
	skf_ref_full(&ref, full);
	printf("Created manifest list %s\n", full);
	return 0;
}

int skf_cmd_manifest_add(struct skf_cli *c)
{
	const struct skf_list_change ch = change(c);

	if (skf_cli_engine(c) < 0)
		return skf_cli_fail(c, 1);
	for (size_t i = 1; i < c->args.n; i++)
		if (add(c, c->args.v[i], &ch) < 0)
			return skf_cli_fail(c, 1);
	printf("%s\n", c->args.v[0]);
	return 0;
}

int skf_cmd_manifest_annotate(struct skf_cli *c)
{
	const struct skf_list_change ch = change(c);

	if (skf_cli_engine(c) < 0 ||
	    skf_engine_list_annotate(c->g, c->args.v[0], c->args.v[1], &ch, &c->e) < 0)
		return skf_cli_fail(c, 1);
	printf("%s\n", c->args.v[0]);
	return 0;
}

int skf_cmd_manifest_remove(struct skf_cli *c)
{
	if (skf_cli_engine(c) < 0 || skf_engine_list_remove(c->g, c->args.v[0], c->args.v[1], &c->e) < 0)
		return skf_cli_fail(c, 1);
	printf("%s\n", c->args.v[0]);
	return 0;
}

int skf_cmd_manifest_rm(struct skf_cli *c)
{
	if (skf_cli_engine(c) < 0)
		return skf_cli_fail(c, 1);
	for (size_t i = 0; i < c->args.n; i++) {
		if (skf_engine_list_rm(c->g, c->args.v[i], &c->e) < 0)
			return skf_cli_fail(c, 1);
		printf("%s\n", c->args.v[i]);
	}
	return 0;
}

int skf_cmd_manifest_exists(struct skf_cli *c)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_MANIFEST_BYTES);
	struct skf_jw w = SKF_JW(&b);
	int r = skf_cli_engine(c) < 0 ? -1 : skf_engine_list_show(c->g, c->args.v[0], &w, &c->e);

	return r < 0 ? skf_cli_fail(c, 125) : !r;
}

/* Laid out for people; the bytes of `image inspect --raw` are the registry's. */
static int print(struct skf_cli *c, const struct skf_buf *b)
{
	struct json_object *o = json_tokener_parse(skf_buf_cstr(b));
	const char *s =
		o ? json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
							      JSON_C_TO_STRING_NOSLASHESCAPE)
		  : NULL;
	int r = s ? printf("%s\n", s) < 0
		  : skf_fail(&c->e, SKF_ECORRUPT, "the manifest of '%s' is no JSON", c->args.v[0]);

	json_object_put(o);
	return r;
}

int skf_cmd_manifest_inspect(struct skf_cli *c)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_MANIFEST_BYTES + 1);
	struct skf_remote_req q = SKF_REQ(struct skf_remote_req);
	struct skf_jw w = SKF_JW(&b);
	int r = skf_cli_engine(c) < 0 ? -1 : skf_engine_list_show(c->g, c->args.v[0], &w, &c->e);

	if (r == 0) {
		q.what = SKF_REMOTE_RAW;
		q.reference = c->args.v[0] + (skf_startswith(c->args.v[0], "docker://") ? 9 : 0);
		r = skf_cli_how(c, &q.how);
		q.how.insecure_tls |= c->o.insecure;
		q.how.plain_http |= c->o.insecure;
		r = r < 0 ? -1 : skf_engine_remote(c->g, &q, &b, &c->e);
	}
	return r < 0 || print(c, &b) < 0 ? skf_cli_fail(c, 1) : 0;
}

int skf_cmd_manifest_push(struct skf_cli *c)
{
	SKF_AUTO(skf_cli_place_done) struct skf_cli_place dest = {.fd = -EBADF, .o.fd = -EBADF};
	struct skf_copy_req q = SKF_REQ(struct skf_copy_req);
	const char *list = c->args.v[0],
		   *word = c->args.n > 1 ? c->args.v[1] : skf_arena_fmt(&c->a, "docker://%s", list);
	struct skf_cli_progress p;
	struct skf_digest d;
	int r;

	if (!word)
		skf_fail(&c->e, SKF_ENOMEM, "memory for the command line");
	if (!word || skf_cli_engine(c) < 0 || skf_cli_place_open(c, word, true, &dest) < 0)
		return skf_cli_fail(c, 1);
	q.src.fd = q.level = -1;
	q.src.how = dest.p.how;
	q.src.auth_file = dest.p.auth_file;
	q.dest = dest.p;
	if (skf_cli_family(c, &q.as) < 0)
		return skf_cli_fail(c, 1);
	q.preserve = q.as == 0;
	skf_cli_progress_init(&p, stderr, c->o.quiet);
	r = skf_engine_list_push(c->g, list, &q, &p.p, &d, &c->e);
	skf_cli_progress_done(&p);
	if (r < 0 || skf_cli_place_close(c, &dest) < 0 || skf_cli_write_digest(c, &d) < 0 ||
	    (c->o.purge && skf_engine_list_rm(c->g, list, &c->e) < 0))
		return skf_cli_fail(c, 1);
	printf("%s\n", d.s);
	return 0;
}
