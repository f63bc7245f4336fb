/* monitor/hold.h -- the namespaces that the containers of a pod share, held by one small process: what
 * skiff-monitor is when skiff-launch becomes it for a pod. A container of the pod has a monitor of its own,
 * so that neither's death takes the other along; there is no pause process, except skiff-init when the PID
 * namespace is shared, because a PID namespace lives only as long as its init. */
#pragma once
#include "base/fwd.h"

/* In the order of the descriptors in records. */
enum skf_hold_ns { SKF_HOLD_NET, SKF_HOLD_IPC, SKF_HOLD_UTS, SKF_HOLD_PID, SKF_HOLD_N };
/* "network", "ipc", "uts", "pid": the runtime-spec's names. */
const char *skf_hold_ns_name(enum skf_hold_ns n);
int skf_hold_ns_flag(enum skf_hold_ns n); /* CLONE_NEW* */

struct skf_hold_handover { /* fds: -1 when absent */
	char id[65], reaper[256], root[512], run_root[512];
	int32_t listen_fd, run_dir, engine_sock; /* run_dir: run/pods/<id>; engine_sock: launch/wire.h */
	int32_t ns[SKF_HOLD_N];
	int32_t shm;   /* mount namespace with the /dev/shm that goes with the IPC namespace */
	int32_t pidfd; /* of skiff-init, when there is one */
	uint32_t init_pid;
};
void skf_hold_write(const struct skf_hold_handover *h, struct skf_buf *b);
/* -EBADMSG for anything that skf_hold_write did not make. */
int skf_hold_read(const void *p, size_t n, struct skf_hold_handover *ret);

/* Takes over what the record on SKF_MON_HANDOVER_FD describes, reports STARTED (pid: its own) to the engine,
 * and answers requests on ctl.sock until KILL, or until the pod's init has ended: then the reaper is
 * spawned. 0, or 1 when there was no usable handover. */
int skf_hold_main(void);

/* Asks a pod's holder for its namespaces; ret[n] is -EBADF for one that the pod does not share, else a
 * descriptor of the caller's. Waits at most SKF_HELLO_MS. UNAVAILABLE, TIMEOUT, or the holder's own error.
 */
int skf_hold_namespaces(int sock, const char *id, int ret[SKF_HOLD_N], struct skf_err *e);
/* The mount namespace that has the pod's /dev/shm: *ret is a descriptor of the caller's, or -EBADF when
 * there is none, as in a pod of an older version. */
int skf_hold_shm(int sock, const char *id, int *ret, struct skf_err *e);
