/* cmd/image_item.c -- blobs on their way: readers, pouring one into a sink with its digest checked, and
 * doing several at a time. Blocks: network, disk. */
#include "base/fd.h"
#include "base/limits.h"
#include "cmd/image_place.h"
#include "registry/digest.h"
#include "registry/registry.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIECE       (256u << 10)
#define MAX_THREADS 8

/* --- documents --- */
void image_doc_done(struct image_doc *d)
{
	skf_buf_done(&d->b);
}

int image_doc_name(struct image_doc *d, const struct skf_digest *like, struct skf_err *e)
{
	return d->b.err ? skf_fail_sys(e, d->b.err, "manifest")
			: skf_registry_digest(like, skf_buf_cstr(&d->b), d->b.len, &d->digest, e);
}

struct typed {
	char *media_type;
};
static const struct skf_jfield typed_f[] = {
	SKF_J(struct typed, media_type, "mediaType", skf_j_str, NULL, SKF_J_NULL_OK), SKF_J_END};
static const struct skf_jtable typed_table = {sizeof(struct typed), typed_f, false, NULL};

int image_doc_kind(struct image_doc *d, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	const struct skf_jdoc j = {.name = "manifest", .max_bytes = SKF_MAX_MANIFEST_BYTES};
	const char *type;
	void *t;
	if (skf_manifest_kind(skf_buf_cstr(&d->b), d->b.len, d->type, &d->kind, e) < 0 ||
	    skf_json_decode(&j, skf_buf_cstr(&d->b), d->b.len, &typed_table, &a, &t, e) < 0)
		return -1;
	type = ((struct typed *)t)->media_type;
	if (!type || !*type) /* OCI's, in which the member is optional */
		type = skf_media_parse(d->type) == d->kind ? d->type
		       : d->kind == SKF_MEDIA_INDEX        ? "application/vnd.oci.image.index.v1+json"
							   : "application/vnd.oci.image.manifest.v1+json";
	if (type != d->type && skf_fmt(d->type, sizeof(d->type), "%s", type) < 0)
		return skf_fail(e, SKF_EINVALID, "manifest '%s': its mediaType is too long", d->digest.s);
	return 0;
}

/* --- readers --- */
static int64_t file_read(void *arg, uint64_t off, void *p, size_t n, struct skf_err *e)
{
	const struct image_region *r = arg;
	ssize_t k;
	if (off >= r->size)
		return skf_fail(e, SKF_ECORRUPT, "a blob has %llu bytes, more were expected",
				(unsigned long long)r->size);
	if (n > r->size - off)
		n = (size_t)(r->size - off);
	do
		k = pread(r->fd, p, n, (off_t)(r->off + off));
	while (k < 0 && errno == EINTR);
	if (k < 0)
		return skf_fail_sys(e, -errno, "read a blob");
	return k ? k
		 : skf_fail(e, SKF_ECORRUPT, "a blob is cut short at byte %llu", (unsigned long long)off);
}

static void file_close(void *arg)
{
	image_region_done(arg);
	free(arg);
}

int image_reader_file(struct image_region *region_own, struct image_reader *ret, struct skf_err *e)
{
	struct image_region *r = malloc(sizeof(*r));
	if (!r) {
		image_region_done(region_own);
		return skf_fail(e, SKF_ENOMEM, "reader of a blob");
	}
	*r = *region_own;
	*ret = (struct image_reader){file_read, file_close, r};
	return 0;
}

int64_t image_item_read(void *item, uint64_t off, void *p, size_t n, struct skf_err *e)
{
	struct image_item *i = item;
	ssize_t k;
	if (i->fd < 0) {
		if (!i->rd.read && i->from->ops->blob(i->from, &i->desc, &i->rd, e) < 0)
			return -1;
		return i->rd.read(i->rd.arg, off, p, n, e);
	}
	do
		k = pread(i->fd, p, n, (off_t)off);
	while (k < 0 && errno == EINTR);
	return k > 0 ? k
		     : skf_fail_sys(e, k < 0 ? -errno : -EIO, "read the converted layer '%s'",
				    i->desc.digest.s);
}

void image_item_close(struct image_item *i)
{
	if (i->rd.close)
		i->rd.close(i->rd.arg);
	i->rd = (struct image_reader){0};
	skf_closep(&i->fd);
}

/* --- pouring --- */
static int check(EVP_MD_CTX *md, const struct skf_digest *want, struct skf_err *e)
{
	struct skf_digest got;
	if (skf_md_end(md, &got, e) < 0)
		return -1;
	return skf_digest_eq(&got, want) ? 0
					 : skf_fail(e, SKF_ECORRUPT, "blob '%s' has other bytes: %s",
						    want->s, skf_digest_hex(&got));
}

static int pour(struct image_item *i, EVP_MD_CTX *md, void *buf,
		int (*write)(void *arg, const void *p, size_t n, struct skf_err *e), void *arg,
		struct skf_err *e)
{
	for (uint64_t at = 0; at < i->desc.size;) {
		uint64_t left = i->desc.size - at;
		int64_t k = image_item_read(i, at, buf, left < PIECE ? (size_t)left : PIECE, e);
		if (k < 0)
			return -1;
		if (EVP_DigestUpdate(md, buf, (size_t)k) != 1)
			return skf_fail(e, SKF_ESYSTEM, "libcrypto cannot hash blob '%s'", i->desc.digest.s);
		at += (uint64_t)k;
		if (at == i->desc.size &&
		    check(md, &i->desc.digest, e) < 0) /* before the last bytes are let go */
			return -1;
		if (write(arg, buf, (size_t)k, e) < 0)
			return -1;
	}
	return i->desc.size ? 0 : check(md, &i->desc.digest, e);
}

int image_item_pour(struct image_item *i,
		    int (*write)(void *arg, const void *p, size_t n, struct skf_err *e), void *arg,
		    struct skf_err *e)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	SKF_AUTO_FREE void *buf = malloc(PIECE);
	int r = -1;
	if (!buf)
		skf_fail(e, SKF_ENOMEM, "blob '%s'", i->desc.digest.s);
	else if (skf_md_begin(&i->desc.digest, md, e) == 0)
		r = pour(i, md, buf, write, arg, e);
	EVP_MD_CTX_free(md);
	return r;
}

static int to_buf(void *arg, const void *p, size_t n, struct skf_err *e)
{
	struct skf_buf *b = arg;
	skf_buf_put(b, p, n);
	return b->err ? skf_fail_sys(e, b->err, "blob") : 0;
}

int image_from_small(struct image_from *x, const struct skf_desc *d, size_t max, struct skf_buf *ret,
		     struct skf_err *e)
{
	struct image_item i = {.desc = *d, .from = x, .fd = -EBADF};
	if (d->size > max)
		return skf_fail(e, SKF_ELIMIT, "blob '%s' has %llu bytes, at most %zu are allowed",
				d->digest.s, (unsigned long long)d->size, max);
	int r = image_item_pour(&i, to_buf, ret, e);
	image_item_close(&i);
	return r;
}

/* --- several at a time --- */
struct pool {
	struct image_item *v;
	size_t n, next; /* next: atomic */
	int (*fn)(struct image_item *i, void *arg, struct skf_err *e);
	void *arg;
	pthread_mutex_t m;
	bool stop; /* atomic */
	struct skf_err err;
};

static void *work(void *arg)
{
	struct pool *p = arg;
	while (!__atomic_load_n(&p->stop, __ATOMIC_RELAXED)) {
		struct skf_err e = SKF_ERR_INIT;
		size_t i = __atomic_fetch_add(&p->next, 1, __ATOMIC_RELAXED);
		if (i >= p->n)
			break;
		if (p->fn(&p->v[i], p->arg, &e) == 0)
			continue;
		pthread_mutex_lock(&p->m);
		if (!p->err.kind)
			p->err = e;
		pthread_mutex_unlock(&p->m);
		__atomic_store_n(&p->stop, true, __ATOMIC_RELAXED);
	}
	return NULL;
}

int image_items_each(struct image_item *v, size_t n, unsigned threads,
		     int (*fn)(struct image_item *i, void *arg, struct skf_err *e), void *arg,
		     struct skf_err *e)
{
	struct pool p = {.v = v, .n = n, .fn = fn, .arg = arg, .m = PTHREAD_MUTEX_INITIALIZER};
	pthread_t t[MAX_THREADS];
	size_t started = 0;
	while (started + 1 < n && started + 1 < threads && started < MAX_THREADS &&
	       pthread_create(&t[started], NULL, work, &p) == 0)
		started++;
	work(&p); /* also when no thread could be made */
	while (started > 0)
		pthread_join(t[--started], NULL);
	if (!p.err.kind)
		return 0;
	*e = p.err;
	return -1;
}
