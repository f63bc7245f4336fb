/* bpf.c -- bpf(2) for the device filter of cgroup v2: no library, one kernel call per function. Does not
 * block. */
#include "sys/bpf.h"
#include <linux/bpf.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define OUR_NAME "skiff_devices" /* at most 15 bytes */

static int sys_bpf(int cmd, union bpf_attr *a)
{
	long r = syscall(SYS_bpf, cmd, a, sizeof(*a));

	return skf_sys(r);
}

int skf_bpf_load_device_prog(const struct bpf_insn *insn, unsigned n, char *log, size_t log_size)
{
	union bpf_attr a;
	int r;

	memset(&a, 0, sizeof(a));
	a.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
	a.insns = (uint64_t)(uintptr_t)insn;
	a.insn_cnt = n;
	memcpy(a.prog_name, OUR_NAME, sizeof(OUR_NAME));
	a.license = (uint64_t)(uintptr_t) "Apache-2.0";
	r = sys_bpf(BPF_PROG_LOAD, &a);
	/* The verifier's text costs time and, when the buffer is too small, fails the load: only asked for
	 * after a failure. */
	if (r < 0 && r != -EPERM && log && log_size) {
		log[0] = '\0';
		a.log_buf = (uint64_t)(uintptr_t)log;
		a.log_size = (uint32_t)log_size;
		a.log_level = 1;
		r = sys_bpf(BPF_PROG_LOAD, &a);
		log[log_size - 1] = '\0';
	}
	return r;
}

int skf_bpf_attach_device(int cgroup_fd, int prog_fd, int replace_fd)
{
	union bpf_attr a;

	memset(&a, 0, sizeof(a));
	a.target_fd = (uint32_t)cgroup_fd;
	a.attach_bpf_fd = (uint32_t)prog_fd;
	a.attach_type = BPF_CGROUP_DEVICE;
	a.attach_flags = BPF_F_ALLOW_MULTI;
	if (replace_fd >= 0) {
		a.attach_flags |= BPF_F_REPLACE;
		a.replace_bpf_fd = (uint32_t)replace_fd;
	}
	return sys_bpf(BPF_PROG_ATTACH, &a);
}

int skf_bpf_detach_device(int cgroup_fd, int prog_fd)
{
	union bpf_attr a;

	memset(&a, 0, sizeof(a));
	a.target_fd = (uint32_t)cgroup_fd;
	a.attach_bpf_fd = (uint32_t)prog_fd;
	a.attach_type = BPF_CGROUP_DEVICE;
	return sys_bpf(BPF_PROG_DETACH, &a);
}

int skf_bpf_query_device(int cgroup_fd, uint32_t *ids, unsigned max)
{
	union bpf_attr a;
	int r;

	memset(&a, 0, sizeof(a));
	a.query.target_fd = (uint32_t)cgroup_fd;
	a.query.attach_type = BPF_CGROUP_DEVICE;
	a.query.prog_ids = (uint64_t)(uintptr_t)ids;
	a.query.prog_cnt = max;
	r = sys_bpf(BPF_PROG_QUERY, &a);
	return r < 0 && r != -ENOSPC ? r : (int)a.query.prog_cnt;
}

int skf_bpf_prog_by_id(uint32_t id)
{
	union bpf_attr a;

	memset(&a, 0, sizeof(a));
	a.prog_id = id;
	return sys_bpf(BPF_PROG_GET_FD_BY_ID, &a);
}

bool skf_bpf_is_ours(int prog_fd)
{
	struct bpf_prog_info info;
	union bpf_attr a;

	memset(&a, 0, sizeof(a));
	memset(&info, 0, sizeof(info));
	a.info.bpf_fd = (uint32_t)prog_fd;
	a.info.info = (uint64_t)(uintptr_t)&info;
	a.info.info_len = sizeof(info);
	return sys_bpf(BPF_OBJ_GET_INFO_BY_FD, &a) >= 0 && !strncmp(info.name, OUR_NAME, sizeof(info.name));
}
