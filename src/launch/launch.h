/* launch/launch.h -- start and exec of a container of the engine: what skiff-launch runs (protocol:
 * launch/wire.h). */
#pragma once
#include "base/fwd.h"

/* verb: "start" or "exec", as in argv; it must agree with the request. Reads the request from SKF_LAUNCH_FD
 * and does it. Returns only on failure, after FAILED was sent and everything that was made is undone; on
 * success the process has become skiff-monitor, which sends STARTED. Blocks for the time-outs of a start.
 * monitor: absolute path of skiff-monitor. The caller has no threads. */
int skf_launch_main(const char *verb, const char *monitor, const struct skf_log *log);
/* Answers FAILED without having read the request, for a failure before skf_launch_main. */
void skf_launch_refuse(const struct skf_err *e, const struct skf_log *log);
