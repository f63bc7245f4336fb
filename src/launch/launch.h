/* launch/launch.h -- start and exec of a container of the engine: what skiff-launch runs (protocol:
 * launch/wire.h). */
#pragma once
#include "base/fwd.h"

bool skf_launch_knows(const char *verb); /* "start", "exec", "restart", "health", "update", "mount", "pod",
					    "checkpoint", "restore", ... */
/* verb: as in argv; it must agree with the request. Reads the request from SKF_LAUNCH_FD and does it. 1 on
 * failure, after FAILED was sent and everything that was made is undone. On success start, exec and health
 * do not return: the process has become skiff-monitor, which sends STARTED; the others return 0 after their
 * answer. Blocks for the time-outs of a start. monitor: absolute path of skiff-monitor. The caller has no
 * threads. */
int skf_launch_main(const char *verb, const char *monitor, const struct skf_log *log);
/* Answers FAILED without having read the request, for a failure before skf_launch_main. */
void skf_launch_refuse(const struct skf_err *e, const struct skf_log *log);
