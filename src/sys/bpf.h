/* sys/bpf.h -- the few calls of bpf(2) that the device filter of cgroup v2 needs; -errno on failure, fds are
 * CLOEXEC. The program is written by runtime/cgroups. man 2 bpf. */
#pragma once
#include "base/fwd.h"

struct bpf_insn; /* linux/bpf.h */

/* BPF_PROG_LOAD of a BPF_PROG_TYPE_CGROUP_DEVICE program. `log` gets the verifier's text on failure (may be
 * NULL). Fails: EPERM without CAP_BPF or CAP_SYS_ADMIN in the first user namespace. */
int skf_bpf_load_device_prog(const struct bpf_insn *insn, unsigned n, char *log, size_t log_size);
/* Attaches to the cgroup v2 directory (O_RDONLY or O_PATH is refused by old kernels: use O_RDONLY) so that
 * programs of ancestors and others still run (BPF_F_ALLOW_MULTI). replace_fd >= 0: in place of that attached
 * program (BPF_F_REPLACE). */
int skf_bpf_attach_device(int cgroup_fd, int prog_fd, int replace_fd);
int skf_bpf_detach_device(int cgroup_fd, int prog_fd);
/* Ids of the device programs attached to this directory itself: their number, at most max are stored. */
int skf_bpf_query_device(int cgroup_fd, uint32_t *ids, unsigned max);
int skf_bpf_prog_by_id(uint32_t id);
/* Is it one that skf_bpf_load_device_prog loaded? By its name: systemd may have a filter on the same
 * directory. */
bool skf_bpf_is_ours(int prog_fd);
