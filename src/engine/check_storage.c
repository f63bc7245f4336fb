/* engine/check_storage.c -- the check's passes over what roots are made of beside the layers
 * (store/snapshot.h): copies of layers in the ids of user namespaces against their layers, and each
 * container's own part.
 *
 * Invariants: (1) a copy under a container that runs is not taken away; (2) a copy that is gone is made
 * again by the next start, or here. */
#include "engine/check_int.h"
#include "store/snapshot.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define REASON 300

/* --- mapped copies --- */

static bool runs_on(struct check *c, const char *form, const char *hex)
{
	struct skf_err ignored = SKF_ERR_INIT;
	const struct skf_ps_row *v;
	struct skf_jarr rows;

	if (skf_engine_ps(c->g, false, c->a, &rows, &ignored) < 0)
		return true; /* nothing is taken away without knowing */
	v = rows.v;
	for (size_t i = 0; i < rows.n; i++) {
		SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
		struct skf_ctrconf *conf;

		if (skf_ctr_load(c->g, v[i].id, &a, &conf, &ignored) < 0 ||
		    !skf_streq(conf->storage->form, form))
			continue;
		for (size_t k = 0; k < conf->layers.n; k++)
			if (skf_streq(skf_digest_skip_alg(conf->layers.v[k]), hex))
				return true;
	}
	return false;
}

static int check_copy(struct check *c, const struct skf_digest *d, const char *name, struct skf_err *e)
{
	char form[SKF_FORM_MAX], object[SKF_DIGEST_MAX + SKF_FORM_MAX], why[REASON] = "";
	const char *done = "";
	struct skf_err x = SKF_ERR_INIT;
	int r;

	if (skf_fmt(form, sizeof(form), "%s/" SKF_FORM_TREE, name) < 0 || !skf_map_is_form(form))
		return 0; /* of a newer skiff */
	r = skf_map_check(c->g->store, d, form, why, sizeof(why), &x);
	if (r == 1 || (r < 0 && x.kind == SKF_ENOTFOUND))
		return 0; /* fine, or collected meanwhile */
	if (c->repair && runs_on(c, form, skf_digest_hex(d)))
		done = "kept: a container runs on it; stop it and repair again";
	else if (c->repair)
		done = skf_map_drop(c->g->store, d, form, e) < 0 ? NULL : "removed";
	if (!done)
		return -1;
	snprintf(object, sizeof(object), "%s/%.*s", d->s, (int)strlen(SKF_MAP_PREFIX) + 16, name);
	return skf_check_report(c, "mapped layer", object, r < 0 ? x.msg : why, done, e);
}

static int check_layer(struct check *c, const char *hex, struct skf_err *e)
{
	SKF_AUTO_FD int fd = -EBADF;
	SKF_AUTO_DIR DIR *dir = NULL;
	char path[SKF_DIGEST_MAX + 16];
	struct skf_digest d;
	struct dirent *de;

	if (!skf_digest_of_file(hex, &d) || skf_fmt(path, sizeof(path), "layers/%s", hex) < 0)
		return 0;
	fd = skf_openat(c->g->root_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return 0; /* collected meanwhile */
	(void)SKF_TAKE_FD(fd);
	while ((de = readdir(dir)))
		if (skf_startswith(de->d_name, SKF_MAP_PREFIX) && check_copy(c, &d, de->d_name, e) < 0)
			return -1;
	return 0;
}

/* --- containers --- */

static int check_upper(struct check *c, const char *id, int dir, struct skf_err *e)
{
	char lock[SKF_ID_LEN + 24];
	const char *done = "";
	int r;

	if (faccessat(dir, SKF_UPPER_DIR, F_OK, AT_SYMLINK_NOFOLLOW) < 0 ||
	    skf_fmt(lock, sizeof(lock), "container-%s.upper", id) < 0 ||
	    skf_lock_held_at(c->g->locks_fd, lock) == 1)
		return 0;
	if (c->repair) {
		r = skf_rmtree_at(dir, SKF_UPPER_DIR);
		if (r < 0)
			return skf_fail_sys(e, r, "remove '%s/containers/%s/" SKF_UPPER_DIR "'", c->g->root,
					    id);
		done = "removed";
	}
	return skf_check_report(c, "container", id, "changes gathered for a commit that was interrupted",
				done, e);
}

static int check_container(struct check *c, const char *id, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	SKF_AUTO_FD int dir = -EBADF;
	struct skf_err x = SKF_ERR_INIT;
	struct skf_ctrconf *conf;
	char why[REASON] = "";
	const char *done = "";
	int r;

	/* What cannot be read is told by the pass over containers. */
	if (!skf_ctr_id_valid(id) || skf_ctr_load(c->g, id, &a, &conf, &x) < 0 ||
	    skf_ctr_open_dir(c->g, id, &dir, &x) < 0)
		return 0;
	if (check_upper(c, id, dir, e) < 0)
		return -1;
	r = skf_storage_check(c->g, id, conf, dir, why, sizeof(why), &x);
	if (r == 1)
		return 0;
	if (r == 0 && c->repair && skf_storage_ensure(c->g, id, conf, dir, &x) == 0 &&
	    skf_storage_check(c->g, id, conf, dir, why, sizeof(why), &x) == 1)
		done = "made again";
	else if (r == 0 && c->repair && !x.msg[0])
		done = "kept: it cannot be made again";
	else if (c->repair)
		done = skf_arena_fmt(c->a, "repair failed: %s", x.msg);
	return skf_check_report(c, "container", id, r < 0 ? x.msg : why, done ? done : "repair failed", e);
}

int skf_check_storage(struct check *c, struct skf_err *e)
{
	if (!c->q->quick && skf_check_each(c, c->g->root_fd, "layers", check_layer, e) < 0)
		return -1;
	return skf_check_each(c, c->g->ctr_fd, ".", check_container, e);
}
