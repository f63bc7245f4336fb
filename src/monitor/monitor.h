/* monitor/monitor.h -- the supervisor of one container or one exec session: what skiff-monitor runs. */
#pragma once
#include "base/fwd.h"

/* Takes over what the handover record on SKF_MON_HANDOVER_FD describes, reports STARTED to the engine, and
 * returns when the process has ended, its output is drained and its exit is recorded: 0, or 1 when there was
 * no usable handover. Blocks for the life of the container. */
int skf_monitor_main(void);
