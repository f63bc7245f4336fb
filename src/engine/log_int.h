/* engine/log_int.h -- files of a container's log: what logs.c and log_squeeze.c share (monitor/log.c writes
 * them). */
#pragma once
#include "engine/engine_int.h"

#define SKF_LOG_LOCK "lock" /* in containers/<id>/log: held while the names of its files change */
/* attribute of a compressed file: st_ino of what it was, 8 bytes. Its time is that one's, too */
#define SKF_LOG_WAS  "user.skiff.was"
#define SKF_LOG_NAME (SKF_ID_LEN + 40)
