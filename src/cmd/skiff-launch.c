/* cmd/skiff-launch.c -- starts a container or a process in one, then becomes its monitor. Spawned by the
 * engine with a socket on descriptor 3 (launch/wire.h), never by hand. SKIFF_DEBUG=1 names the steps on
 * stderr.
 *
 * It becomes container init's program file for a moment, so it executes itself once more through a handle that
 * cannot be written (T01, runtime/seal.c); that handle has no path, so skiff-monitor is looked for before and
 * handed over as the second argument. */
#include "base/err.h"
#include "base/log.h"
#include "base/proc.h"
#include "launch/launch.h"
#include "runtime/runtime.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Returns when the program runs sealed; NULL and the sentence in *e when that cannot be. */
static const char *sealed_monitor_path(int argc, char **argv, char *path, size_t size, struct skf_err *e)
{
	char *again[] = {argv[0], argv[1], path, NULL};
	int r;

	if (argc == 3)
		return argv[2];
	r = skf_sibling_program("skiff-monitor", path, size);
	if (r < 0)
		skf_fail_sys(e, r, "find skiff-monitor beside skiff-launch; is the installation complete?");
	else if (skf_rt_seal_self(again, e) == 0)
		return path;
	return NULL;
}

int main(int argc, char **argv)
{
	const char *debug = getenv("SKIFF_DEBUG"), *monitor;
	struct skf_log log = {.fd = STDERR_FILENO,
			      .max = debug && *debug ? SKF_LOG_DEBUG : SKF_LOG_WARN,
			      .prog = "skiff-launch"};
	struct skf_err e = SKF_ERR_INIT;
	char path[512];

	if (argc < 2 || argc > 3 || !skf_launch_knows(argv[1])) {
		skf_error(&log, "usage: skiff-launch start|exec|restart|health|update|mount|pod|image-mount|image-unmount, with a request on "
				"descriptor 3; use `skiff run` instead");
		return 125;
	}
	monitor = sealed_monitor_path(argc, argv, path, sizeof(path), &e);
	if (!monitor) {
		skf_launch_refuse(&e, &log);
		return 1;
	}
	return skf_launch_main(argv[1], monitor, &log);
}
