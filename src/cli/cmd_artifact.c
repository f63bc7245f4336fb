/* cli/cmd_artifact.c -- skiff artifact: files of any media type, with podman's and oras' words. Files are
 * opened here with the user's own rights. */
#include "cli/cli_int.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define OCTETS    "application/octet-stream"
#define MAX_FILES 31

struct files {
	struct skf_artifact_file v[MAX_FILES];
	size_t n;
};

static void files_done(struct files *f)
{
	for (size_t i = 0; i < f->n; i++)
		skf_closep(&f->v[i].fd);
}

/* FILE[:MEDIA-TYPE], as oras; a colon belongs to the type when what follows has a slash and no file is
 * called that. */
static int add_file(struct skf_cli *c, struct files *f, const char *word)
{
	const char *colon = strrchr(word, ':'), *slash;
	char *path = skf_arena_strdup(&c->a, word);
	struct skf_artifact_file *x = &f->v[f->n];

	if (f->n >= MAX_FILES)
		return skf_fail(&c->e, SKF_ELIMIT, "an artifact is made of at most %d files", MAX_FILES);
	if (!path)
		return skf_fail(&c->e, SKF_ENOMEM, "memory for the command line");
	x->media_type = OCTETS;
	if (colon && strchr(colon, '/') && access(word, F_OK) < 0) {
		path[colon - word] = '\0';
		x->media_type = colon + 1;
	}
	slash = strrchr(path, '/');
	x->title = slash ? slash + 1 : path;
	x->fd = skf_openat(AT_FDCWD, path, O_RDONLY, 0);
	if (x->fd < 0)
		return skf_fail_sys(&c->e, x->fd, "open '%s'", path);
	f->n++;
	return 0;
}

/* The request of a verb that makes an artifact of args[from...]. */
static int request(struct skf_cli *c, size_t from, struct files *f, struct skf_artifact_req *q)
{
	SKF_AUTO(skf_cli_place_done) struct skf_cli_place p = {.fd = -EBADF, .o.fd = -EBADF};
	const char *word = skf_arena_fmt(&c->a, "docker://%s", c->args.v[0]);

	*q = (struct skf_artifact_req)SKF_REQ(struct skf_artifact_req);
	if (!word)
		return skf_fail(&c->e, SKF_ENOMEM, "memory for the command line");
	if (skf_cli_engine(c) < 0 || skf_cli_place_open(c, word, true, &p) < 0)
		return -1;
	q->name = c->args.v[0];
	q->type = c->o.artifact_type;
	q->annotations = c->o.annotation;
	q->replace = c->o.replace;
	q->registry = p.p;
	for (size_t i = from; i < c->args.n; i++)
		if (add_file(c, f, c->args.v[i]) < 0)
			return -1;
	q->files = (struct skf_jarr){f->v, f->n};
	return 0;
}

int skf_cmd_artifact_add(struct skf_cli *c)
{
	SKF_AUTO(files_done) struct files f = {.n = 0};
	struct skf_artifact_req q;
	struct skf_digest d;

	if (request(c, 1, &f, &q) < 0 || skf_engine_artifact_add(c->g, &q, &d, &c->e) < 0)
		return skf_cli_fail(c, 1);
	printf("%s\n", d.s);
	return 0;
}

typedef int transfer(struct skf_engine *, const struct skf_artifact_req *, const struct skf_progress *,
		     struct skf_digest *, struct skf_err *);

static int transfer_one(struct skf_cli *c, const struct skf_artifact_req *q, transfer *fn)
{
	struct skf_cli_progress p;
	struct skf_digest d;
	int r;

	skf_cli_progress_init(&p, stderr, c->o.quiet);
	r = fn(c->g, q, &p.p, &d, &c->e);
	skf_cli_progress_done(&p);
	if (r == 0)
		printf("%s\n", d.s);
	return r;
}

int skf_cmd_artifact_push(struct skf_cli *c)
{
	SKF_AUTO(files_done) struct files f = {.n = 0};
	struct skf_artifact_req q;
	struct skf_digest d;

	if (request(c, 1, &f, &q) < 0 || (f.n && skf_engine_artifact_add(c->g, &q, &d, &c->e) < 0) ||
	    transfer_one(c, &q, skf_engine_artifact_push) < 0)
		return skf_cli_fail(c, 1);
	return 0;
}

static int extract(struct skf_cli *c, const char *name, const char *path)
{
	SKF_AUTO_FD int dir = -EBADF;

	return skf_cli_output_dir(c, path, &dir) < 0 ? -1
						     : skf_engine_artifact_extract(c->g, name, dir, &c->e);
}

int skf_cmd_artifact_pull(struct skf_cli *c)
{
	struct files none = {.n = 0};
	struct skf_artifact_req q;

	if (request(c, 1, &none, &q) < 0 || transfer_one(c, &q, skf_engine_artifact_pull) < 0 ||
	    (c->o.output && extract(c, q.name, c->o.output) < 0))
		return skf_cli_fail(c, 1);
	return 0;
}

int skf_cmd_artifact_attach(struct skf_cli *c)
{
	SKF_AUTO(files_done) struct files f = {.n = 0};
	struct skf_artifact_req q;

	if (request(c, 1, &f, &q) < 0)
		return skf_cli_fail(c, 1);
	q.subject = q.name;
	return transfer_one(c, &q, skf_engine_artifact_attach) < 0 ? skf_cli_fail(c, 1) : 0;
}

int skf_cmd_artifact_ls(struct skf_cli *c)
{
	SKF_AUTO(skf_table_done) struct skf_table t = SKF_TABLE(4);
	static const char *const head[] = {"REPOSITORY", "TAG", "DIGEST", "SIZE"};
	const struct skf_artifact_row *v;
	struct skf_jarr rows;

	if (skf_cli_engine(c) < 0 || skf_engine_artifacts(c->g, &c->a, &rows, &c->e) < 0)
		return skf_cli_fail(c, 1);
	for (size_t i = 0; i < SKF_ARRAY_LEN(head); i++)
		skf_table_add(&t, head[i]);
	v = rows.v;
	for (size_t i = 0; i < rows.n; i++) {
		char size[32], repo[SKF_MAX_REF_BYTES + 1], digest[13];
		struct skf_ref ref;

		if (skf_ref_parse(v[i].name, &ref, &c->e) < 0)
			return skf_cli_fail(c, 1);
		if (skf_fmt(repo, sizeof(repo), "%s/%s", ref.registry, ref.repo) < 0 ||
		    skf_fmt(digest, sizeof(digest), "%.12s", skf_digest_hex(&v[i].digest)) < 0)
			repo[0] = '\0'; /* cannot happen: the parts have their limits */
		skf_human_size(v[i].size, size, sizeof(size));
		skf_table_add(&t, repo);
		skf_table_add(&t, ref.tag[0] ? ref.tag : "<none>");
		skf_table_add(&t, digest);
		skf_table_add(&t, size);
	}
	skf_table_print(&t);
	return 0;
}

int skf_cmd_artifact_inspect(struct skf_cli *c)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_MANIFEST_BYTES * 2);
	struct skf_jw w = SKF_JW(&b);

	if (skf_cli_engine(c) < 0 || skf_engine_artifact_inspect(c->g, c->args.v[0], &w, &c->e) < 0)
		return skf_cli_fail(c, 1);
	printf("%s\n", skf_buf_cstr(&b));
	return 0;
}

int skf_cmd_artifact_rm(struct skf_cli *c)
{
	struct skf_digest d;

	if (skf_cli_engine(c) < 0)
		return skf_cli_fail(c, 1);
	for (size_t i = 0; i < c->args.n; i++) {
		if (skf_engine_artifact_rm(c->g, c->args.v[i], &d, &c->e) < 0)
			return skf_cli_fail(c, 1);
		printf("%s\n", d.s);
	}
	return 0;
}

int skf_cmd_artifact_extract(struct skf_cli *c)
{
	return skf_cli_engine(c) < 0 || extract(c, c->args.v[0], c->args.v[1]) < 0 ? skf_cli_fail(c, 1) : 0;
}
