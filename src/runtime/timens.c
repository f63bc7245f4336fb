/* runtime/timens.c -- a new time namespace with its offsets.
 *
 * The offsets can be written only while no process is in the namespace, and a process that is cloned into it
 * is in it at once. So the namespace is unshared (which concerns future children only), its offsets are
 * written, and then it is entered: by setns on one's own time_for_children, or by a clone. All of this is
 * done by init, or by the intermediate process that makes init: the caller's own namespaces never change.
 *
 * Invariants:
 *  1. The file of the offsets is opened before the uid changes: a process that changed its uid is not
 * dumpable, so its files in /proc belong to root, and the root of a user namespace may not write them.
 *  2. It is reached through a handle of /proc that was taken by the parent: the /proc of a mount namespace
 * that was joined may be anything. Nothing blocks. man 7 time_namespaces. */
#include "runtime/runtime_int.h"

#include "base/proc.h"
#include "oci/spec.h"
#include "sys/process.h"

#include <time.h>
#include <unistd.h>

int skf_timens_prepare(struct skf_err *e)
{
	int fd = skf_openat(AT_FDCWD, "/proc", O_PATH | O_DIRECTORY, 0);

	if (fd >= 0 && faccessat(fd, "self/timens_offsets", F_OK, 0) < 0) {
		close(fd);
		return skf_fail(
			e, SKF_EUNSUPPORTED,
			"config.json: /linux/namespaces: time namespaces aren't enabled in the kernel "
			"(no /proc/self/timens_offsets)");
	}
	return fd < 0 ? skf_fail_sys(e, fd, "open /proc") : fd;
}

static int write_offsets(int fd, const struct skf_jarr *offsets, struct skf_err *e)
{
	const struct skf_spec_time_offset *o = offsets->v;
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(256);
	int r;

	for (size_t i = 0; i < offsets->n; i++)
		skf_buf_fmt(&b, "%s %lld %u\n", o[i].clock == CLOCK_MONOTONIC ? "monotonic" : "boottime",
			    (long long)o[i].secs, o[i].nanosecs);
	r = b.err < 0 ? b.err : skf_write_full(fd, b.p, b.len);
	if (r == -ERANGE)
		return skf_fail(
			e, SKF_EINVALID,
			"config.json: /linux/timeOffsets: an offset is out of range: a clock must stay "
			"above 0 and below 146 years");
	return r < 0 ? skf_fail_sys(e, r, "config.json: /linux/timeOffsets: write timens_offsets") : 0;
}

int skf_timens_unshare(int proc_fd, const struct skf_jarr *offsets, struct skf_err *e)
{
	SKF_AUTO_FD int fd = -EBADF;
	int r;

	if (offsets->n > 0) {
		fd = skf_openat(proc_fd, "self/timens_offsets", O_WRONLY, 0);
		if (fd < 0)
			return skf_fail_sys(e, fd, "open /proc/self/timens_offsets");
	}
	r = skf_unshare(CLONE_NEWTIME);
	if (r < 0)
		return skf_fail_sys(e, r, "unshare the time namespace");
	return fd >= 0 ? write_offsets(fd, offsets, e) : 0;
}

int skf_timens_enter(int proc_fd, struct skf_err *e)
{
	SKF_AUTO_FD int fd = skf_openat(proc_fd, "self/ns/time_for_children", O_RDONLY, 0);
	int r = fd < 0 ? fd : skf_setns(fd, CLONE_NEWTIME);

	return r < 0 ? skf_fail_sys(e, r, "enter the container's time namespace") : 0;
}
