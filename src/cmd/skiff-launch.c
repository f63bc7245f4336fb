/* cmd/skiff-launch.c -- starts a container or a process in one, then becomes its monitor. Spawned by the
 * engine with a socket on descriptor 3 (launch/wire.h), never by hand. SKIFF_DEBUG=1 names the steps on
 * stderr.
 *
 * It becomes container init's program file for a moment, so it executes itself once more through a handle
 * that cannot be written (T01, runtime/seal.c), before the C library is set up where that can be
 * (early_launch.c). That handle has no path, so that the path before goes along as the second argument:
 * skiff-monitor lies beside it. */
#include "base/err.h"
#include "base/log.h"
#include "base/proc.h"
#include "launch/launch.h"
#include "runtime/runtime.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Finds skiff-monitor and returns 0 when the program runs sealed; -1 when one of both cannot be. */
static int seal(int argc, char **argv, char *monitor, size_t size, struct skf_err *e)
{
	char self[PATH_MAX], *again[] = {argv[0], argv[1], self, NULL};
	ssize_t n;
	int r;

	if (argc == 2) {
		n = readlink("/proc/self/exe", self, sizeof(self));
		if (n < 0 || (size_t)n >= sizeof(self))
			return skf_fail_sys(e, n < 0 ? -errno : -ENAMETOOLONG,
					    "read '/proc/self/exe' (is /proc mounted?)");
		self[n] = '\0';
		if (skf_rt_seal_self(again, e) < 0)
			return -1;
	}
	r = skf_sibling_of(argc == 2 ? self : argv[2], "skiff-monitor", monitor, size);
	if (r < 0)
		return skf_fail_sys(e, r,
				    "find skiff-monitor beside skiff-launch; is the installation complete?");
	return 0;
}

int main(int argc, char **argv)
{
	const char *debug = getenv("SKIFF_DEBUG");
	struct skf_log log = {.fd = STDERR_FILENO,
			      .max = debug && *debug ? SKF_LOG_DEBUG : SKF_LOG_WARN,
			      .prog = "skiff-launch"};
	struct skf_err e = SKF_ERR_INIT;
	char monitor[PATH_MAX];

	if (argc < 2 || argc > 3 || !skf_launch_knows(argv[1])) {
		skf_error(&log, "usage: skiff-launch "
				"start|go|exec|restart|health|update|mount|pod|checkpoint|restore|image-"
				"mount|image-unmount|ctr-mount|ctr-unmount|probe, with "
				"a request on "
				"descriptor 3; use `skiff run` instead");
		return 125;
	}
	if (seal(argc, argv, monitor, sizeof(monitor), &e) < 0) {
		skf_launch_refuse(&e, &log);
		return 1;
	}
	return skf_launch_main(argv[1], monitor, &log);
}
