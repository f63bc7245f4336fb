/* engine/rename.c -- another name for a container. Order: the new name is claimed before anything says so,
 * the old one is given back last; who is killed in between leaves a name too much, which the check finds. */
#include "engine/edit_int.h"
#include "engine/life.h"
#include "monitor/event.h"
#include <json-c/json.h>
#include <string.h>

static int set_name(struct json_object *root, struct json_object *skiff, void *arg)
{
	(void)root;
	return skf_edit_set(skiff, "name", json_object_new_string(arg));
}

static void set_summary(struct skf_summary *s, void *arg)
{
	memcpy(s->name, arg, strlen(arg) + 1); /* its length was checked with its letters */
}

static int rename_locked(struct skf_engine *g, const char *id, char *name, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_err ignored = SKF_ERR_INIT;
	struct skf_ctrconf *c;
	int r;

	if (skf_ctr_load(g, id, &a, &c, e) < 0)
		return -1;
	if (skf_streq(c->name, name))
		return skf_fail(e, SKF_EINVALID,
				"Renaming a container with the same name as its current name");
	if (skf_name_claim(g, name, id, e) < 0)
		return -1;
	if (skf_edit_config(g, id, set_name, name, e) < 0) {
		(void)skf_name_release(g, name, id, &ignored); /* the check finds it otherwise */
		return -1;
	}
	r = skf_summary_edit(g->run_fd, id, set_summary, name);
	if (r < 0 && r != -ENOENT)
		skf_warn(&g->log, "write the summary of container %.12s: %s; ignoring", id, strerror(-r));
	r = skf_event_emit(g->run_fd, "container", "rename", id, name, c->image, -1);
	if (r < 0)
		skf_warn(&g->log, "write the event 'rename' of container %.12s: %s; ignoring", id,
			 strerror(-r));
	return skf_name_release(g, c->name, id, e);
}

int skf_engine_rename(struct skf_engine *g, const char *container, const char *name, struct skf_err *e)
{
	char id[SKF_ID_LEN + 1], copy[SKF_MAX_NAME_BYTES + 1];
	SKF_AUTO_FD int lock = -EBADF;

	if (name[0] == '/')
		name++; /* as docker takes it */
	if (!skf_name_valid(name))
		return skf_fail(e, SKF_EINVALID,
				"Invalid container name (%s), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
				name);
	memcpy(copy, name, strlen(name) + 1);
	if (skf_engine_resolve(g, container, id, e) < 0 || skf_ctr_lock(g, id, &lock, e) < 0)
		return -1;
	return rename_locked(g, id, copy, e);
}
