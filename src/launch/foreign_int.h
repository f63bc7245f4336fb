/* launch/foreign_int.h -- what the files of foreign runtimes share. */
#pragma once
#include "launch/launch_int.h"

/* and a number: where the source of that mount stands, below l->foreign.base */
#define SKF_FOREIGN_SOURCE "source-"

/* Makes the mount namespace that the runtime is to be started in, and is in it when it returns, in case of
 * an error too; sets l->foreign.base and root. bundle_fd is the bundle's directory. Takes l->root_mount and
 * l->sources to their places. SYSTEM, UNSUPPORTED. */
int skf_foreign_mounts(struct skf_launch *l, int bundle_fd, const char *bundle, struct skf_err *e);
/* The source of the mount i of config.json stands at l->foreign.base/source-<i>. */
bool skf_foreign_is_placed(const struct skf_launch *l, size_t i);
/* config.json into the bundle (dir is its descriptor). */
int skf_foreign_bundle(const struct skf_launch *l, int dir, const char *bundle, struct skf_err *e);
/* The process of an exec or a health check into the file name of dir, with the environment of l->process.
 * -errno. */
int skf_foreign_process(const struct skf_launch *l, int dir, const char *name);
void skf_foreign_last_message(const char *log, char *out, size_t size);
