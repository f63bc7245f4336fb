/* oci/idmaps_ns.c -- the id maps of a user namespace of which only a descriptor is known. The kernel shows
 * maps by process alone, so a short-lived child enters the namespace and is looked at. The caller keeps its
 * own namespaces. Blocks on the child (SKF_KILL_WAIT_MS at the end). */
#include "oci/idmaps.h"
#include "sys/helper.h"
#include "sys/process.h"
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

/* As seen from our own namespace. */
static int read_map(pid_t pid, const char *name, struct skf_arena *a, struct skf_jarr *ret)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	return skf_idmap_read_proc(path, a, ret);
}

/* In the child: enters and waits to be looked at, until the socket is closed. */
static void visit(void *userns, int sock)
{
	char c = 0;

	if (skf_setns(*(int *)userns, CLONE_NEWUSER) == 0 && write(sock, &c, 1) == 1)
		(void)!read(sock, &c, 1);
}

int skf_idmaps_of_userns(int userns, struct skf_arena *a, struct skf_idmaps *ret)
{
	struct skf_helper h;
	char ready;
	int r = skf_helper_start(0, visit, &userns, &h);

	if (r < 0)
		return r;
	r = read(h.sock, &ready, 1) == 1 ? 0 : -EPERM;
	if (r == 0)
		r = read_map(h.pid, "uid_map", a, &ret->uids);
	if (r == 0)
		r = read_map(h.pid, "gid_map", a, &ret->gids);
	skf_helper_end(&h, false);
	return r;
}
