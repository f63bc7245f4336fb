/* engine/plan_mounts.c -- what is mounted into a container, in which order: the wishes of -v, --mount,
 * --tmpfs,
 * --volumes-from and the image's VOLUMEs as one list without two at one place, then each as a mount of
 * config.json (plan_mount_kinds.c). Makes missing sources of -v, as docker does; volumes are made by
 * create.c. */
#include "engine/create_int.h"
#include <stdlib.h>
#include <string.h>

struct wishes {
	struct skf_plan *p;
	struct skf_mount_req *v;
	size_t n, cap;
};

static int add(struct wishes *w, const struct skf_mount_req *m, bool replace, struct skf_err *e)
{
	/* A CDI device's own mount is part of the device (cdi.c). */
	for (size_t i = 0; i < w->p->n_mounts; i++)
		if (skf_streq(w->p->mounts[i].target, m->target))
			return 0;
	for (size_t i = 0; i < w->n; i++) {
		if (!skf_streq(w->v[i].target, m->target))
			continue;
		if (!replace)
			return skf_fail(e, SKF_EINVALID, "Duplicate mount point: %s", m->target);
		return 0; /* what the user said himself stays */
	}
	return skf_plan_push(w->p, (void **)&w->v, &w->n, &w->cap, m, sizeof(*m), e);
}

typedef int (*word_fn)(const char *spec, struct skf_arena *a, struct skf_mount_req *ret, struct skf_err *e);

static int add_words(struct wishes *w, const struct skf_strv *words, word_fn parse, struct skf_err *e)
{
	for (size_t i = 0; i < words->n; i++) {
		struct skf_mount_req m;

		if (parse(words->v[i], w->p->a, &m, e) < 0 || add(w, &m, false, e) < 0)
			return -1;
	}
	return 0;
}

/* "NAME[:ro|rw[,z]]": every bind and volume of that container. */
static int add_from(struct wishes *w, const char *word, struct skf_err *e)
{
	const char *colon = strchr(word, ':'), *mode = colon ? colon + 1 : "";
	char *name = skf_arena_dup(w->p->a, word, colon ? (size_t)(colon - word) : strlen(word));
	const struct skf_mount_point *m;
	struct skf_ctr_request *q;
	struct skf_ctrconf *c;
	char id[SKF_ID_LEN + 1];

	if (!name)
		return skf_plan_no_memory(e);
	if (*mode && !skf_streq(mode, "ro") && !skf_streq(mode, "rw") && !skf_streq(mode, "z") &&
	    !skf_streq(mode, "ro,z"))
		return skf_fail(e, SKF_EINVALID, "invalid mode: %s: --volumes-from takes ro, rw and z",
				mode);
	if (skf_engine_resolve(w->p->g, name, id, e) < 0 || skf_ctr_load(w->p->g, id, w->p->a, &c, e) < 0 ||
	    skf_ctr_request_parse(c->request, w->p->a, &q, e) < 0)
		return skf_ctx(e, "--volumes-from %s", word);
	m = q->mount_points.v;
	for (size_t i = 0; i < q->mount_points.n; i++) {
		bool volume = skf_streq(m[i].type, "volume");
		struct skf_mount_req r = {
			.type = volume ? SKF_MOUNT_VOLUME : SKF_MOUNT_BIND,
			.source = volume ? m[i].name : m[i].source,
			.target = m[i].target,
			.propagation = m[i].propagation && *m[i].propagation ? m[i].propagation : NULL,
			.readonly = !m[i].rw || skf_startswith(mode, "ro"),
			.nocopy = true};

		if ((volume || skf_streq(m[i].type, "bind")) && add(w, &r, true, e) < 0)
			return -1;
	}
	return 0;
}

/* The image's VOLUMEs where nothing else is: anonymous volumes. */
static int add_image(struct wishes *w, struct skf_err *e)
{
	const struct skf_strv *v = &w->p->ic->volumes;

	for (size_t i = 0; i < v->n; i++) {
		struct skf_mount_req m;

		if (v->v[i][0] != '/')
			return skf_fail(e, SKF_EINVALID, "the image's volume '%s' is not an absolute path",
					v->v[i]);
		if (skf_engine_parse_volume(v->v[i], w->p->a, &m, e) < 0 || add(w, &m, true, e) < 0)
			return -1;
	}
	return 0;
}

static int add_systemd(struct wishes *w, struct skf_err *e)
{
	for (size_t i = 0; w->p->systemd && skf_systemd_tmpfs[i]; i++) {
		struct skf_mount_req m;

		if (skf_engine_parse_tmpfs(skf_systemd_tmpfs[i], w->p->a, &m, e) < 0 ||
		    add(w, &m, true, e) < 0)
			return -1;
	}
	return 0;
}

/* podman's --read-only-tmpfs: the places that programs write to. */
static int add_readonly_tmpfs(struct wishes *w, struct skf_err *e)
{
	static const char *const words[] = {"/run:rw,mode=755", "/tmp:rw,mode=1777",
					    "/var/tmp:rw,mode=1777"};

	for (size_t i = 0; w->p->gen.readonly && w->p->q->s.readonly_tmpfs && i < SKF_ARRAY_LEN(words);
	     i++) {
		struct skf_mount_req m;

		if (skf_engine_parse_tmpfs(words[i], w->p->a, &m, e) < 0 || add(w, &m, true, e) < 0)
			return -1;
	}
	return 0;
}

/* /etc/localtime from the host's zoneinfo: works in images without tzdata. */
static int add_zone(struct wishes *w, struct skf_err *e)
{
	const char *tz = w->p->q->s.tz && *w->p->q->s.tz ? w->p->q->s.tz : w->p->g->conf.tz;
	struct skf_mount_req m = {
		.type = SKF_MOUNT_BIND, .target = (char *)"/etc/localtime", .readonly = true};

	if (!*tz)
		return 0;
	if (tz[0] == '/' || strstr(tz, ".."))
		return skf_fail(e, SKF_EINVALID,
				"invalid time zone '%s': expected a name like Europe/Paris, or local", tz);
	m.source = skf_streq(tz, "local") ? skf_arena_strdup(w->p->a, "/etc/localtime")
					  : skf_arena_fmt(w->p->a, "/usr/share/zoneinfo/%s", tz);
	return m.source ? add(w, &m, true, e) : skf_plan_no_memory(e);
}

static size_t depth_of(const char *path)
{
	size_t n = 0;

	for (; *path; path++)
		n += *path == '/';
	return n;
}

static int by_depth(const void *x, const void *y)
{
	const struct skf_gen_mount *a = x, *b = y;
	size_t da = depth_of(a->target), db = depth_of(b->target);

	return da < db ? -1 : da > db ? 1 : strcmp(a->target, b->target);
}

static int gather(struct wishes *w, struct skf_err *e)
{
	const struct skf_settings *s = &w->p->q->s;

	if (add_words(w, &s->volumes, skf_engine_parse_volume, e) < 0 ||
	    add_words(w, &s->mounts, skf_engine_parse_mount, e) < 0 ||
	    add_words(w, &s->tmpfs, skf_engine_parse_tmpfs, e) < 0)
		return -1;
	for (size_t i = 0; i < s->volumes_from.n; i++)
		if (add_from(w, s->volumes_from.v[i], e) < 0)
			return -1;
	return add_image(w, e) < 0 || add_systemd(w, e) < 0 || add_readonly_tmpfs(w, e) < 0 ||
			       add_zone(w, e) < 0
		       ? -1
		       : 0;
}

int skf_plan_mounts(struct skf_plan *p, struct skf_err *e)
{
	struct wishes w = {.p = p};

	if (p->q->s.volume_driver && *p->q->s.volume_driver && !skf_streq(p->q->s.volume_driver, "local"))
		return skf_fail(e, SKF_EUNSUPPORTED,
				"the volume driver '%s' is not supported: there is local",
				p->q->s.volume_driver);
	if (gather(&w, e) < 0)
		return -1;
	for (size_t i = 0; i < w.n; i++)
		if (skf_plan_mount(p, &w.v[i], e) < 0)
			return -1;
	/* A mount below another one must come after it. */
	if (p->n_mounts)
		qsort(p->mounts, p->n_mounts, sizeof(*p->mounts), by_depth);
	p->gen.mounts = p->mounts;
	p->gen.n_mounts = p->n_mounts;
	return 0;
}
