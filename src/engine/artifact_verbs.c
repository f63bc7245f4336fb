/* engine/artifact_verbs.c -- what is done with artifacts: made of files, pushed, pulled, attached to an
 * image, listed, written out again. The bytes go through skiff-image; what a title may be as a file name is
 * decided here. Blocks: disk; push, pull and attach on the network. */
#include "base/arena.h"
#include "base/fd.h"
#include "engine/archive_int.h"
#include "engine/artifact_int.h"
#include "engine/list_int.h"
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define TITLE "org.opencontainers.image.title"

static int full_name(const char *word, bool tagged, struct skf_ref *ref, char full[SKF_MAX_REF_BYTES + 1],
		     struct skf_err *e)
{
	if (skf_ref_parse(word, ref, e) < 0)
		return -1;
	if (tagged && ref->digest.s[0])
		return skf_fail(e, SKF_EINVALID, "'%s': an artifact is named by a tag here", word);
	skf_ref_full(ref, full);
	return 0;
}

/* --- made of files --- */
static int make(struct skf_art *x, const struct skf_artifact_req *q, const char *name,
		struct skf_digest *ret, struct skf_err *e)
{
	const struct skf_copy_place dest = {.kind = SKF_COPY_OCI, .name = name, .fd = x->tmp};
	const struct skf_artifact_file *f = q->files.v;
	struct skf_copy_place subject = q->registry;

	subject.kind = SKF_COPY_REGISTRY;
	subject.name = q->subject;
	subject.fd = -1;
	return skf_copy_make_artifact(x->g, &dest, q->type ? q->type : "application/vnd.unknown.artifact.v1",
				      &subject, &q->annotations, f, q->files.n, ret, e);
}

int skf_engine_artifact_add(struct skf_engine *g, const struct skf_artifact_req *q, struct skf_digest *ret,
			    struct skf_err *e)
{
	SKF_AUTO(skf_art_done) struct skf_art x;
	char full[SKF_MAX_REF_BYTES + 1];
	const struct skf_desc *old;
	struct skf_err none = SKF_ERR_INIT;
	struct skf_ref ref;

	if (skf_art_open(g, false, &x, e) < 0 || full_name(q->name, true, &ref, full, e) < 0)
		return -1;
	if (!q->replace && skf_art_find(&x, full, &old, &none) == 0)
		return skf_fail(e, SKF_ECONFLICT, "the artifact '%s' exists already; use --replace", full);
	if (!q->type && !q->files.n)
		return skf_fail(e, SKF_EINVALID, "an artifact without files needs a type");
	return skf_art_begin(&x, e) < 0 || make(&x, q, full, ret, e) < 0 ? -1 : skf_art_commit(&x, full, e);
}

/* --- registries --- */
static int copy(struct skf_art *x, const struct skf_copy_place *src, const struct skf_copy_place *dest,
		const struct skf_progress *p, struct skf_digest *ret, struct skf_err *e)
{
	struct skf_copy_req c = SKF_REQ(struct skf_copy_req);

	c.src = *src;
	c.dest = *dest;
	c.all = c.preserve = true;
	c.level = -1;
	return skf_engine_copy(x->g, &c, p, ret, e);
}

static struct skf_copy_place layout(int fd, const char *name)
{
	return (struct skf_copy_place){.kind = SKF_COPY_OCI, .name = name, .fd = fd};
}

static struct skf_copy_place remote(const struct skf_artifact_req *q, const char *name)
{
	struct skf_copy_place p = q->registry;

	p.kind = SKF_COPY_REGISTRY;
	p.name = name;
	p.fd = -1;
	return p;
}

int skf_engine_artifact_push(struct skf_engine *g, const struct skf_artifact_req *q,
			     const struct skf_progress *p, struct skf_digest *ret, struct skf_err *e)
{
	SKF_AUTO(skf_art_done) struct skf_art x;
	const struct skf_desc *d;
	struct skf_copy_place src, dest;

	if (skf_art_open(g, false, &x, e) < 0 || skf_art_find(&x, q->name, &d, e) < 0)
		return -1;
	src = layout(x.dir, skf_art_name(d));
	dest = remote(q, skf_art_name(d));
	return copy(&x, &src, &dest, p, ret, e);
}

int skf_engine_artifact_pull(struct skf_engine *g, const struct skf_artifact_req *q,
			     const struct skf_progress *p, struct skf_digest *ret, struct skf_err *e)
{
	SKF_AUTO(skf_art_done) struct skf_art x;
	char full[SKF_MAX_REF_BYTES + 1];
	struct skf_copy_place src, dest;
	struct skf_ref ref;

	if (skf_art_open(g, false, &x, e) < 0 || full_name(q->name, false, &ref, full, e) < 0 ||
	    skf_art_begin(&x, e) < 0)
		return -1;
	src = remote(q, full);
	dest = layout(x.tmp, full);
	return copy(&x, &src, &dest, p, ret, e) < 0 ? -1 : skf_art_commit(&x, full, e);
}

/* Made, pushed by its digest into the subject's repository, and not kept. */
int skf_engine_artifact_attach(struct skf_engine *g, const struct skf_artifact_req *q,
			       const struct skf_progress *p, struct skf_digest *ret, struct skf_err *e)
{
	SKF_AUTO(skf_art_done) struct skf_art x;
	char full[SKF_MAX_REF_BYTES + 1];
	struct skf_copy_place src, dest;
	struct skf_ref ref;

	if (skf_art_open(g, false, &x, e) < 0 || full_name(q->subject, false, &ref, full, e) < 0 ||
	    skf_art_begin(&x, e) < 0)
		return -1;
	if (!q->type)
		return skf_fail(e, SKF_EINVALID,
				"what is attached needs an artifact type: use --artifact-type");
	if (make(&x, q, "attached", &ref.digest, e) < 0)
		return -1;
	ref.tag[0] = '\0';
	skf_ref_full(&ref, full);
	src = layout(x.tmp, "attached");
	dest = remote(q, full);
	return copy(&x, &src, &dest, p, ret, e);
}

/* --- looking at them --- */
int skf_engine_artifacts(struct skf_engine *g, struct skf_arena *a, struct skf_jarr *ret, struct skf_err *e)
{
	SKF_AUTO(skf_art_done) struct skf_art x;
	struct skf_artifact_row *v;
	const struct skf_desc *d;

	if (skf_art_open(g, false, &x, e) < 0)
		return -1;
	d = x.index->manifests.v;
	v = skf_arena_array(a, x.index->manifests.n ? x.index->manifests.n : 1, sizeof(*v));
	if (!v)
		return skf_fail(e, SKF_ENOMEM, "list of artifacts");
	for (size_t i = 0; i < x.index->manifests.n; i++) {
		SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_MANIFEST_BYTES + 1);
		const struct skf_desc *l;
		struct skf_manifest *m;

		if (skf_art_manifest(&x, &d[i], &b, &m, e) < 0)
			return -1;
		l = m->layers.v;
		for (size_t k = 0; k < m->layers.n; k++)
			v[i].size += l[k].size;
		v[i].name = skf_arena_strdup(a, skf_art_name(&d[i]));
		v[i].digest = d[i].digest;
		if (!v[i].name)
			return skf_fail(e, SKF_ENOMEM, "list of artifacts");
	}
	*ret = (struct skf_jarr){v, x.index->manifests.n};
	return 0;
}

int skf_engine_artifact_inspect(struct skf_engine *g, const char *name, struct skf_jw *w, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_MANIFEST_BYTES + 1);
	SKF_AUTO(skf_art_done) struct skf_art x;
	const struct skf_desc *d;
	struct skf_manifest *m;

	if (skf_art_open(g, false, &x, e) < 0 || skf_art_find(&x, name, &d, e) < 0 ||
	    skf_art_manifest(&x, d, &b, &m, e) < 0)
		return -1;
	skf_jw_obj(w);
	skf_jw_kraw(w, "Manifest", skf_buf_cstr(&b));
	skf_jw_kstr(w, "Name", skf_art_name(d));
	skf_jw_kstr(w, "Digest", d->digest.s);
	skf_jw_end(w);
	return w->b->err ? skf_fail_sys(e, w->b->err, "artifact '%s'", name) : 0;
}

/* --- written out again --- */
/* A title is a stranger's word: one component that is no dot-file, else the digest's digits take its place.
 */
static const char *file_name(const struct skf_desc *l)
{
	const char *t = skf_kvs_get(&l->annotations, TITLE);
	bool good = t && *t && *t != '.' && strlen(t) < 256;

	for (const char *p = t; good && *p; p++)
		good = *p != '/' && (unsigned char)*p >= 0x20 && *p != 0x7f;
	return good ? t : skf_digest_hex(&l->digest);
}

static int write_out(struct skf_art *x, const struct skf_desc *l, int dirfd, struct skf_err *e)
{
	SKF_AUTO_FD int from = -EBADF;
	SKF_AUTO_FD int to = -EBADF;
	const char *name = file_name(l);
	char buf[65536];
	ssize_t n;
	int r = 0;

	if (skf_art_blob(x, &l->digest, &from, e) < 0)
		return -1;
	to = skf_openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644);
	if (to < 0)
		return skf_fail_sys(e, to, "make the file '%s'", name);
	while (r == 0 && (n = read(from, buf, sizeof(buf))) != 0)
		r = n < 0 ? (errno == EINTR ? 0 : -errno) : skf_write_full(to, buf, (size_t)n);
	return r < 0 ? skf_fail_sys(e, r, "write the file '%s'", name) : 0;
}

int skf_engine_artifact_extract(struct skf_engine *g, const char *name, int dirfd, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_MANIFEST_BYTES + 1);
	SKF_AUTO(skf_art_done) struct skf_art x;
	const struct skf_desc *d, *l;
	struct skf_manifest *m;

	if (skf_art_open(g, false, &x, e) < 0 || skf_art_find(&x, name, &d, e) < 0 ||
	    skf_art_manifest(&x, d, &b, &m, e) < 0)
		return -1;
	l = m->layers.v;
	for (size_t i = 0; i < m->layers.n; i++)
		if (!skf_streq(l[i].media_type, "application/vnd.oci.empty.v1+json") &&
		    write_out(&x, &l[i], dirfd, e) < 0)
			return -1;
	return 0;
}
