/* engine/plan.c -- from a request and an image to a complete plan of a container. Each step fills one part
 * and lives in plan_TOPIC.c; the tables at the end are the order: a step may use what an earlier one
 * decided. */
#include "engine/create_int.h"
#include "base/proc.h"
#include <stdlib.h>
#include <string.h>

int skf_plan_no_memory(struct skf_err *e)
{
	return skf_fail(e, SKF_ENOMEM, "memory for the plan of a container");
}

static int plan_ids(struct skf_plan *p, struct skf_err *e)
{
	int r = skf_id_random(p->id);

	if (r < 0)
		return skf_fail_sys(e, r, "make up a container id");
	if (skf_fmt(p->dir, sizeof(p->dir), "%s/containers/%s", p->g->root, p->id) < 0)
		return skf_fail(e, SKF_ELIMIT, "the root directory '%.64s...' is too long", p->g->root);
	skf_time_rfc3339(skf_now_ns(), p->created);
	p->conf.created = p->created;
	p->gen.id = p->id;
	p->gen.hosts_dir = p->dir;
	return 0;
}

/* What inspect and explain read is what was given. */
static int plan_settings(struct skf_plan *p, struct skf_err *e)
{
	(void)e;
	p->req.s = p->q->s;
	return 0;
}

int skf_plan_push(struct skf_plan *p, void **v, size_t *n, size_t *cap, const void *elem, size_t size,
		  struct skf_err *e)
{
	if (*n == *cap) {
		size_t room = *cap ? *cap * 2 : 8;
		void *more = *n < SKF_MAX_MOUNTS ? skf_arena_array(p->a, room, size) : NULL;

		if (*n >= SKF_MAX_MOUNTS)
			return skf_fail(e, SKF_ELIMIT, "more than %d mounts or devices are asked for",
					SKF_MAX_MOUNTS);
		if (!more)
			return skf_plan_no_memory(e);
		if (*n)
			memcpy(more, *v, *n * size);
		*v = more;
		*cap = room;
	}
	memcpy((char *)*v + *n * size, elem, size);
	(*n)++;
	return 0;
}

typedef int (*plan_step)(struct skf_plan *, struct skf_err *);
static const plan_step before_image[] = {
	plan_ids,          plan_settings,       skf_plan_resources,   skf_plan_storage, skf_plan_security,
	skf_plan_devices,  skf_plan_secrets,    skf_plan_streams,     skf_plan_pod,     skf_plan_network,
	skf_plan_log,      skf_plan_namespaces, skf_plan_userns,      skf_plan_rootfs,  skf_plan_runtime,
	skf_plan_hostname, skf_plan_process,    skf_plan_annotations, skf_plan_restart,
};
static const plan_step
	with_image[] =
		{
			skf_plan_image,   skf_plan_exposed,  skf_plan_command,     skf_plan_systemd,
			skf_plan_selinux, skf_plan_user,     skf_plan_userns_size, skf_plan_workdir,
			skf_plan_stop,    skf_plan_labels,   skf_plan_mounts,      skf_plan_init,
			skf_plan_health,  skf_plan_sdnotify, /* after what the container's process is:
								it runs as that does */
			skf_plan_from,
};

static int run_steps(struct skf_plan *p, const plan_step *s, size_t n, struct skf_err *e)
{
	for (size_t i = 0; i < n; i++)
		if (s[i](p, e) < 0)
			return -1;
	return 0;
}

int skf_plan_check(struct skf_plan *p, struct skf_err *e)
{
	return run_steps(p, before_image, SKF_ARRAY_LEN(before_image), e);
}

int skf_plan_make(struct skf_plan *p, struct skf_err *e)
{
	p->gen.conf = &p->conf;
	return run_steps(p, with_image, SKF_ARRAY_LEN(with_image), e);
}
