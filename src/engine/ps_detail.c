/* engine/ps_detail.c -- what a list of containers shows only on request: labels, mounts, networks, sizes.
 * Reads config.json of the container, for sizes its writable layer. Blocks on the disk. */
#include "engine/pod_int.h"
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Bytes of the files below fd (consumed). Files with several names count once per name: a container's own
 * layer hardly has any. Best effort, as the layer changes while it is read. */
static uint64_t tree_bytes(int fd, unsigned depth)
{
	SKF_AUTO_DIR DIR *d = fdopendir(fd);
	struct dirent *de;
	struct stat st;
	uint64_t sum = 0;
	int sub;

	if (!d) {
		close(fd);
		return 0;
	}
	while ((de = readdir(d))) {
		if (skf_streq(de->d_name, ".") || skf_streq(de->d_name, "..") ||
		    fstatat(dirfd(d), de->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (!S_ISDIR(st.st_mode)) {
			sum += S_ISREG(st.st_mode) || S_ISLNK(st.st_mode) ? (uint64_t)st.st_size : 0;
			continue;
		}
		sub = depth ? skf_openat(dirfd(d), de->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0)
			    : -ELOOP;
		if (sub >= 0)
			sum += tree_bytes(sub, depth - 1);
	}
	return sum;
}

int skf_ctr_sizes(struct skf_engine *g, const char *id, const struct skf_ctrconf *c, struct skf_arena *a,
		  struct skf_ctr_size *ret, struct skf_err *e)
{
	SKF_AUTO_FD int dir = -EBADF;
	struct skf_digest manifest;
	struct skf_image *i;
	int rw;

	*ret = (struct skf_ctr_size){0};
	if (skf_ctr_open_dir(g, id, &dir, e) < 0)
		return -1;
	rw = skf_openat(dir, "rw", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (rw >= 0)
		ret->rw = tree_bytes(rw, SKF_MAX_TAR_DEPTH);
	ret->root = ret->rw;
	if (!c->storage->lower) /* rw/ has the image as well */
		return skf_storage_usage(g, id, &ret->rw, e);
	if (c->manifest && skf_digest_parse(c->manifest, &manifest, e) == 0 &&
	    skf_store_image_get(g->store, &manifest, a, &i, e) == 0)
		ret->root += i->unpacked;
	else
		skf_err_clear(e); /* the image is gone: its size is not known any more */
	return 0;
}

static int load_exposed(struct skf_engine *g, const struct skf_ctrconf *c, struct skf_arena *a,
			struct skf_ps_detail *d, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_CONFIG_BLOB_BYTES);
	struct skf_image_config *config;
	struct skf_digest id;

	if (c->image_id && skf_digest_parse(c->image_id, &id, e) == 0 &&
	    skf_store_blob_read(g->store, &id, SKF_MAX_CONFIG_BLOB_BYTES, &b, e) == 0 &&
	    skf_image_config_parse(skf_buf_cstr(&b), b.len, a, &config, e) == 0)
		d->exposed = config->exposed_ports;
	else
		skf_err_clear(e); /* the image is gone, and what it exposed with it */
	return 0;
}

static int load_mounts(const struct skf_ctr_request *q, struct skf_arena *a, struct skf_ps_detail *d,
		       struct skf_err *e)
{
	struct skf_ps_mount *m = skf_arena_array(a, q->mount_points.n + 1, sizeof(*m));
	const struct skf_mount_point *p = q->mount_points.v;

	if (!m)
		return skf_fail(e, SKF_ENOMEM, "memory for the list of containers");
	for (size_t i = 0; i < q->mount_points.n; i++) {
		m[i].volume = p[i].name && *p[i].name;
		m[i].name = m[i].volume ? p[i].name : p[i].source ? p[i].source : (char *)"";
		m[i].target = p[i].target;
	}
	d->mounts.v = m;
	d->mounts.n = q->mount_points.n;
	return 0;
}

static int load_pod(struct skf_engine *g, const struct skf_ctrconf *c, struct skf_arena *a,
		    struct skf_ps_detail *d, struct skf_err *e)
{
	struct skf_pod *p;

	d->pod = c->pod ? c->pod : (char *)"";
	d->pod_name = (char *)"";
	if (!*d->pod)
		return 0;
	if (skf_pod_load(g, d->pod, a, &p, e) == 0)
		d->pod_name = p->name;
	else if (e->kind != SKF_ENOTFOUND)
		return -1;
	skf_err_clear(e); /* removed since the list was made */
	return 0;
}

int skf_ps_detail_load(struct skf_engine *g, struct skf_ps_row *row, bool size, bool exposed,
		       struct skf_arena *a, struct skf_err *e)
{
	struct skf_ps_detail *d = skf_arena_alloc(a, sizeof(*d));
	struct skf_ctr_request *q;
	struct skf_ctrconf *c;

	if (!d)
		return skf_fail(e, SKF_ENOMEM, "memory for the list of containers");
	if (skf_ctr_load(g, row->id, a, &c, e) < 0) {
		if (e->kind != SKF_ENOTFOUND)
			return -1;
		skf_err_clear(e);
		if (faccessat(g->ctr_fd, row->id, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
			return 0; /* removed since the list was made */
		d->health = row->health;
		d->unfinished = true;
		d->pod = d->pod_name = (char *)"";
		row->detail = d;
		return 1;
	}
	if (skf_ctr_request_parse(c->request, a, &q, e) < 0 || load_mounts(q, a, d, e) < 0)
		return skf_ctx(e, "container '%.12s'", row->id);
	if (load_pod(g, c, a, d, e) < 0)
		return -1;
	d->labels = q->labels;
	d->image_id = c->image_id;
	d->layers = c->layers;
	d->health = row->health;
	if (c->network && *c->network && skf_strv_add(a, &d->networks, c->network) < 0)
		return skf_fail(e, SKF_ENOMEM, "memory for the list of containers");
	if (size && skf_ctr_sizes(g, row->id, c, a, &d->size, e) < 0)
		return -1;
	if (exposed && load_exposed(g, c, a, d, e) < 0)
		return -1;
	row->detail = d;
	return 1;
}
