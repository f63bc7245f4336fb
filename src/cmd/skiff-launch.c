/* cmd/skiff-launch.c -- starts a container or a process in one, then becomes its monitor. Spawned by the
 * engine with a socket on descriptor 3 (launch/wire.h), never by hand. SKIFF_DEBUG=1 names the steps on
 * stderr. */
#include "base/log.h"
#include "launch/launch.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	const char *debug = getenv("SKIFF_DEBUG");
	struct skf_log log = {.fd = STDERR_FILENO,
			      .max = debug && *debug ? SKF_LOG_DEBUG : SKF_LOG_WARN,
			      .prog = "skiff-launch"};

	if (argc != 2 || (strcmp(argv[1], "start") != 0 && strcmp(argv[1], "exec") != 0)) {
		skf_error(&log, "usage: skiff-launch start|exec, with a request on descriptor 3; use `skiff "
				"run` instead");
		return 125;
	}
	return skf_launch_main(argv[1], &log);
}
