/* launch/pod_shm.c -- the /dev/shm that the containers of a pod with a shared IPC namespace have in common,
 * as podman's pods do: a tmpfs in a mount namespace that holds nothing else, whose descriptor the pod's
 * holder keeps. A container's start clones it from there.
 *
 * Invariants: (1) nothing of the host's is mounted in that namespace, so that it keeps no file system busy;
 * (2) no process lives in it. Blocks on a helper (SKF_KILL_WAIT_MS). */
#include "launch/launch_int.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "sys/helper.h"
#include "sys/mount.h"
#include "sys/process.h"
#include "sys/selinux.h"
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FLAGS   (MS_NOSUID | MS_NODEV | MS_NOEXEC)
#define POD_SHM "/dev/shm"

/* place: a directory of the host that is mounted over. */
static int fill_namespace(const struct skf_launch *l, const char *place)
{
	uint32_t uid = 0, gid = 0;
	const char *label = skf_selinux_is_on() ? l->pod.mount_label : NULL;
	char options[700];
	int r;

	(void)skf_idmap_to_host(&l->ids.uids, 0,
				&uid); /* a root that is not mapped: the host's, and everybody may write */
	(void)skf_idmap_to_host(&l->ids.gids, 0, &gid);
	r = skf_fmt(options, sizeof(options), "mode=1777,size=%llu,uid=%u,gid=%u%s%s%s",
		    (unsigned long long)l->pod.shm_size, uid, gid, label ? ",context=\"" : "",
		    label ? label : "", label ? "\"" : "");
	if (r == 0)
		r = skf_mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	if (r == 0)
		r = skf_mount("tmpfs", place, "tmpfs", FLAGS, "mode=755,size=64k");
	if (r == 0 && (chdir(place) < 0 || mkdir("dev", 0755) < 0 || mkdir("dev/shm", 0755) < 0))
		r = -errno;
	if (r == 0)
		r = skf_mount("shm", "dev/shm", "tmpfs", FLAGS, options);
	if (r == 0)
		r = skf_pivot_root(".", ".");
	return r == 0 ? skf_umount(".", MNT_DETACH) : r;
}

struct job {
	const struct skf_launch *l;
	const char *place;
};

/* Lives until its namespace was opened. */
static void helper(void *arg, int sock)
{
	const struct job *j = arg;
	int32_t r = fill_namespace(j->l, j->place);
	char end;

	(void)skf_write_full(sock, &r, sizeof(r)); /* a parent that is gone needs no answer */
	(void)!read(sock, &end, 1);
}

static int take(struct skf_launch *l, const struct skf_helper *h)
{
	int32_t answer = -EPIPE;
	char path[40];

	if (read(h->sock, &answer, sizeof(answer)) != (ssize_t)sizeof(answer))
		answer = -EPIPE;
	if (answer < 0)
		return answer;
	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", (int)h->pid);
	l->pod.shm = skf_openat(AT_FDCWD, path, O_RDONLY, 0);
	return l->pod.shm < 0 ? l->pod.shm : 0;
}

static int make(struct skf_launch *l, const char *place)
{
	struct job j = {l, place};
	struct skf_helper h;
	int r = skf_helper_start(CLONE_NEWNS, helper, &j, &h);

	if (r < 0)
		return r;
	r = take(l, &h);
	skf_helper_end(&h, r < 0);
	return r;
}

int skf_launch_pod_shm_make(struct skf_launch *l, struct skf_err *e)
{
	char place[PATH_MAX];
	int r;

	if (!(l->pod.share >> SKF_HOLD_IPC & 1) || !l->pod.shm_size)
		return 0;
	r = skf_fmt(place, sizeof(place), "%s/pods/%s", l->q.run_root, l->q.id);
	if (r == 0)
		r = make(l, place);
	return r < 0 ? skf_fail_sys(e, r, "make the /dev/shm that pod '%s' shares", l->q.id) : 0;
}

int skf_launch_pod_shm_source(struct skf_launch *l, struct skf_rt_source *ret, struct skf_err *e)
{
	static char bind[] = "bind", *options[] = {bind};
	struct skf_spec_mount *m = l->spec->mounts.v;
	int tree;

	for (size_t i = 0; l->pod.shm >= 0 && i < l->spec->mounts.n; i++) {
		if (strcmp(m[i].destination, POD_SHM) != 0 || !m[i].type ||
		    strcmp(m[i].type, "tmpfs") != 0 || !m[i].source || strcmp(m[i].source, "shm") != 0)
			continue; /* not the engine's default: what the user mounts there comes first */
		tree = skf_launch_shm_of(l->pod.shm, e);
		if (tree < 0)
			return -1;
		m[i].type = m[i].source = bind;
		m[i].options = (struct skf_strv){options, 1};
		*ret = (struct skf_rt_source){m[i].destination, tree};
		return 1;
	}
	return 0;
}
