/* runtime/restore_int.h -- a restore under way: what restore.c and restore_notify.c share. */
#pragma once
#include "runtime/criu_int.h"
#include "runtime/rootfs_int.h"

#include "base/limits.h"

struct restoration {
	const struct skf_rt_criu *o;
	struct skf_rt_container *c;
	int dirs[2], console_sock;
	unsigned n_fds;
	struct skf_start s;
	struct skf_arena arena;
	struct skf_criu criu;
	struct skf_criu_opts opts;
	int fds[SKF_MAX_CRIU_FDS];
	char program[PATH_MAX], root[PATH_MAX]; /* where the root is attached */
};

/* --- restore_notify.c --- */
/* One notification of criu (skf_criu_talk); arg: the struct restoration. *fd: a descriptor that came with
 * it, taken when it is used. */
int skf_restore_notify(void *arg, const struct skf_criu_resp *r, int *fd, struct skf_err *e);
