/* monitor/event.h -- one line appended to /run/skiff/events/log.0 (docs/formats.md); used by monitor and
 * engine. Rotated at 4 MiB to log.1 under a lock in the same directory. exit_code < 0: the event has none.
 * -errno; -E2BIG when the line would pass SKF_MAX_EVENT_BYTES. */
#pragma once
#include "base/fwd.h"
int skf_event_emit(int run_root_fd, const char *type, const char *action, const char *id, const char *name,
		   const char *image, int exit_code);
