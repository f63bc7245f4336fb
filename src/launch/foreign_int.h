/* launch/foreign_int.h -- what the two files of foreign runtimes share. */
#pragma once
#include "launch/launch_int.h"

#define SKF_FOREIGN_SOURCE "source-" /* and a number: where a source is mounted, below the bundle */

/* config.json into the bundle (dir is its descriptor). */
int skf_foreign_bundle(const struct skf_launch *l, int dir, const char *bundle, struct skf_err *e);
void skf_foreign_last_message(const char *log, char *out, size_t size);
