/* runtime/copyup.h -- a directory of an image copied to where something is about to be mounted over it: a
 * tmpfs with the option tmpcopyup, an empty volume. */
#pragma once
#include "base/fwd.h"

/* Copies the tree below directory fd `from` into the empty directory `to`. Blocks on disk. */
int skf_tmpcopyup(int from, int to, const struct skf_log *log, struct skf_err *e);
