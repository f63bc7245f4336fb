/* monitor/sweep.c -- the last thing that a monitor may do: unlink what lies in the store's trash/, for the
 * foreground `skiff run --rm` that has moved its container there and wants to end. On a disk that discards
 * each freed block that takes as long as the rest of a short run, and the monitor is there, holds no stream
 * of anybody, and would only end. Invariants: nothing is unlinked before it was asked for (SWEEP of
 * launch/wire.h); what cannot be unlinked, or is left by a monitor that was killed, is taken by the next one
 * who empties the trash. Blocks on the disk. */
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/record.h"
#include "launch/wire.h"
#include "monitor/monitor_int.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int empty_trash(const struct skf_monitor *m)
{
	char path[sizeof(m->h.root) + 8];
	SKF_AUTO_DIR DIR *d = NULL;
	const struct dirent *de;
	int fd, r = skf_fmt(path, sizeof(path), "%s/trash", m->h.root);

	fd = r < 0 ? r : skf_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (fd < 0)
		return fd;
	d = fdopendir(fd);
	if (!d) {
		r = -errno;
		close(fd);
		return r;
	}
	while ((de = readdir(d)))
		if (!skf_streq(de->d_name, ".") && !skf_streq(de->d_name, "..") &&
		    (r = skf_rmtree_at(fd, de->d_name)) < 0)
			return r;
	return 0;
}

void skf_mon_sweep_if_asked(struct skf_monitor *m)
{
	char mem[256];
	struct skf_buf b = {.p = mem, .cap = sizeof(mem), .max = sizeof(mem) - 1};
	struct skf_recr r = {0};
	int n;

	do /* a signal or a size that was under way comes before it */
		n = skf_record_recv(m->h.engine_sock, &b, &r, NULL, SKF_HELLO_MS);
	while (n > 0 && r.type != SKF_LAUNCH_SWEEP);
	skf_closep(&m->h.engine_sock); /* from here on whoever asks is told that nobody listens */
	if (n <= 0)
		return;
	n = empty_trash(m);
	if (n < 0)
		skf_mon_warn(m, n, "empty the trash: the next removal does it; ignoring");
}
