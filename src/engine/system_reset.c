/* engine/system_reset.c -- podman's `system reset`: everything of this root goes. What the kernel has for it
 * is undone by the same functions as each object's own removal, in the order in which things stop being
 * used; only then the trees are emptied.
 *
 * Must hold: it can be repeated, after a kill at any point; the directories themselves stay, because they
 * may be mount points, and so does nothing that others made below them but as a mount, which is told. Blocks
 * on the disk. */
#include "engine/engine_int.h"
#include "engine/image_mount.h"
#include "engine/life.h"
#include "engine/net_int.h"
#include "engine/pod.h"
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int reset_pods(struct skf_engine *g, struct skf_arena *a, struct skf_err *e)
{
	struct skf_strv none = {0};
	const struct skf_pod_row *v;
	struct skf_jarr rows;
	char id[SKF_ID_LEN + 1];

	if (skf_engine_pod_ps(g, &none, a, &rows, e) < 0)
		return -1;
	v = rows.v;
	for (size_t i = 0; i < rows.n; i++)
		if (skf_engine_pod_rm(g, v[i].id, true, id, e) < 0) {
			if (e->kind != SKF_ENOTFOUND)
				return skf_ctx(e, "remove pod '%s'", v[i].name);
			skf_err_clear(e); /* removed meanwhile */
		}
	return 0;
}

static int reset_containers(struct skf_engine *g, struct skf_arena *a, struct skf_err *e)
{
	const struct skf_ps_row *v;
	struct skf_jarr rows;

	if (skf_engine_ps(g, true, a, &rows, e) < 0)
		return -1;
	v = rows.v;
	for (size_t i = 0; i < rows.n; i++)
		if (skf_engine_rm(g, v[i].id, true, true, e) < 0) {
			if (e->kind != SKF_ENOTFOUND)
				return skf_ctx(e, "remove container '%s'", v[i].name);
			skf_err_clear(e);
		}
	return 0;
}

/* What is left of starts and containers that were killed in the middle: cgroups, records, mounts. */
static int reset_leftovers(struct skf_engine *g, struct skf_arena *a, struct skf_err *e)
{
	struct skf_check_req q = SKF_REQ(struct skf_check_req);
	struct skf_jarr rows;

	q.repair = q.quick = true;
	return skf_engine_check(g, &q, a, &rows, e);
}

static int reset_images(struct skf_engine *g, struct skf_arena *a, struct skf_err *e)
{
	const struct skf_image_mount *v;
	struct skf_jarr rows;
	char *id;

	/* Only the mounts need to be undone; what is on the disk goes with the tree. */
	if (skf_engine_image_mounts(g, a, &rows, e) < 0)
		return -1;
	v = rows.v;
	for (size_t i = 0; i < rows.n; i++)
		if (skf_engine_image_unmount(g, v[i].id, true, a, &id, e) < 0)
			return skf_ctx(e, "unmount '%s'", v[i].path);
	return 0;
}

static int reset_networks(struct skf_engine *g, struct skf_arena *a, struct skf_err *e)
{
	struct skf_strv ids = {0};

	/* Nobody uses one any more; the default network and the firewall table go when they are idle. */
	if (skf_network_list(g->root_fd, a, &ids, e) < 0)
		return -1;
	for (size_t i = 0; i < ids.n; i++) {
		struct skf_network *n;

		if (skf_network_load(g->root_fd, ids.v[i], a, &n, e) < 0)
			return -1;
		if (!skf_streq(n->name, SKF_NET_DEFAULT) && skf_engine_network_rm(g, n->name, true, e) < 0)
			return skf_ctx(e, "remove network '%s'", n->name);
	}
	return skf_net_idle_down(g, e);
}

static const struct {
	const char *what;
	int (*fn)(struct skf_engine *g, struct skf_arena *a, struct skf_err *e);
} steps[] = {
	{"pods", reset_pods},
	{"containers", reset_containers},
	{"what killed starts left", reset_leftovers},
	{"mounted images", reset_images},
	{"networks", reset_networks},
};

/* Everything below fd (borrowed). */
static int empty(int fd, const char *path, struct skf_err *e)
{
	SKF_AUTO_FD int copy = skf_openat(fd, ".", O_RDONLY | O_DIRECTORY, 0);
	SKF_AUTO_DIR DIR *d = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *de;

	if (!d)
		return skf_fail_sys(e, copy < 0 ? copy : -errno, "list '%s'", path);
	(void)SKF_TAKE_FD(copy); /* d closes it */
	while ((de = readdir(d))) {
		int r = skf_streq(de->d_name, ".") || skf_streq(de->d_name, "..")
				? 0
				: skf_rmtree_at(fd, de->d_name);

		if (r < 0)
			return skf_fail_sys(e, r, "remove '%s/%s'", path, de->d_name);
	}
	return 0;
}

/* Who ended last looks once more, and would make the trees anew: the reapers that monitors spawn. They hold
 * their container's lock, and the monitors that spawn them have run directories. */
static void wait_for_monitors(struct skf_engine *g)
{
	const struct timespec pause = {.tv_nsec = 10000000};

	for (int ms = 0; ms < SKF_KILL_WAIT_MS; ms += 10) {
		SKF_AUTO_FD int fd = skf_openat(g->run_ctr_fd, ".", O_RDONLY | O_DIRECTORY, 0);
		SKF_AUTO_DIR DIR *d = fd < 0 ? NULL : fdopendir(fd);
		struct dirent *de;
		bool any = false;

		if (!d)
			return;
		(void)SKF_TAKE_FD(fd); /* d closes it */
		while ((de = readdir(d)))
			any |= skf_ctr_id_valid(de->d_name);
		if (!any)
			return;
		(void)nanosleep(&pause, NULL);
	}
}

int skf_engine_system_reset(struct skf_engine *g, struct skf_err *e)
{
	for (size_t i = 0; i < SKF_ARRAY_LEN(steps); i++) {
		SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);

		if (steps[i].fn(g, &a, e) < 0)
			return skf_ctx(e, "reset: %s", steps[i].what);
	}
	wait_for_monitors(g);
	return empty(g->root_fd, g->root, e) < 0 ? -1 : empty(g->run_fd, g->run_root, e);
}
