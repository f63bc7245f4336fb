/* launch/joins.c -- namespaces of other containers. Which process has them is looked up at every start: the
 * other container may have been started anew since this one was made. The namespace is held by an fd from
 * the moment that its process was proven to be the container's, so that a number used twice cannot lead
 * elsewhere. */
#include "launch/launch_int.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/proc.h"
#include "oci/spec.h"
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

int skf_launch_ns_of(struct skf_launch *l, const char *id, const char *ns, struct skf_err *e)
{
	SKF_AUTO_FD int fd = -EBADF;
	struct skf_summary s;
	char path[64];
	int r = skf_summary_read(l->run_root_fd, id, &s);

	if (r < 0 || (strcmp(s.state, "running") != 0 && strcmp(s.state, "paused") != 0 &&
		      strcmp(s.state, "initialized") != 0))
		return skf_fail(e, SKF_ECONFLICT,
				"cannot join the %s namespace of container %.12s: it is not running", ns,
				id);
	snprintf(path, sizeof(path), "/proc/%u/ns/%s", s.pid, ns);
	fd = skf_openat(AT_FDCWD, path, O_RDONLY, 0);
	if (fd < 0 || skf_proc_alive((pid_t)s.pid, s.start_time) != 1)
		return skf_fail(e, SKF_ECONFLICT,
				"cannot join the %s namespace of container %.12s: its process is gone", ns,
				id);
	return SKF_TAKE_FD(fd);
}

static const struct {
	const char *oci, *proc;
	int flag;
} kinds[] = {
	{"ipc", "ipc", CLONE_NEWIPC},     {"pid", "pid", CLONE_NEWPID},    {"uts", "uts", CLONE_NEWUTS},
	{"network", "net", CLONE_NEWNET}, {"user", "user", CLONE_NEWUSER},
};

static int join_one(struct skf_launch *l, const char *word, struct skf_err *e)
{
	struct skf_spec_namespace *ns = l->spec->linux_.namespaces.v;
	size_t n = strcspn(word, "="), k = 0;
	int fd;

	while (k < SKF_ARRAY_LEN(kinds) &&
	       !(strlen(kinds[k].oci) == n && memcmp(kinds[k].oci, word, n) == 0))
		k++;
	if (k == SKF_ARRAY_LEN(kinds) || !word[n])
		return skf_fail(e, SKF_ECORRUPT, "config.json: joins: '%s' is not understood", word);
	for (size_t i = 0; i < l->spec->linux_.namespaces.n; i++) {
		if (ns[i].type != kinds[k].flag)
			continue;
		fd = skf_launch_ns_of(l, word + n + 1, kinds[k].proc, e);
		if (fd < 0)
			return -1;
		/* Open until this program is another: the runtime opens it by this name. */
		ns[i].path = skf_arena_fmt(&l->arena, "/proc/self/fd/%d", fd);
		return ns[i].path ? 0 : skf_fail(e, SKF_ENOMEM, "out of memory for container '%s'", l->q.id);
	}
	return skf_fail(e, SKF_ECORRUPT, "config.json: joins: there is no %s namespace to join",
			kinds[k].oci);
}

int skf_launch_joins(struct skf_launch *l, struct skf_err *e)
{
	for (size_t i = 0; i < l->conf->joins.n; i++)
		if (join_one(l, l->conf->joins.v[i], e) < 0)
			return skf_ctx(e, "container '%s'", l->q.id);
	return 0;
}
