/* engine/mount_words_int.h -- what the parsers of -v, --tmpfs and --mount share. Pure. */
#pragma once
#include "engine/engine_int.h"

int skf_mount_no_memory(const char *spec, struct skf_err *e); /* -1 */
/* "/a//b/./c/../d/" -> "/a/b/d"; NULL: no memory. */
char *skf_mount_clean_path(struct skf_arena *a, const char *p);
/* Absolute, cleaned, and not the root. */
int skf_mount_check_target(const char *spec, const char *type, struct skf_arena *a, struct skf_mount_req *m,
			   struct skf_err *e);
/* docker's default options of a tmpfs before those in m. -ENOMEM. */
int skf_mount_tmpfs_options(struct skf_arena *a, struct skf_mount_req *m);
