/* sys/cap.c -- capabilities as bit masks: names, the kernel's highest one, capset, bounding and ambient
 * sets.
 *
 * The name table is the only list of capabilities in skiff. Raw capset: libcap is not needed for three
 * system calls. Nothing blocks. man 7 capabilities. */
#include "sys/process.h"

#include <linux/capability.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *const cap_names[] = {
	"CAP_CHOWN",
	"CAP_DAC_OVERRIDE",
	"CAP_DAC_READ_SEARCH",
	"CAP_FOWNER",
	"CAP_FSETID",
	"CAP_KILL",
	"CAP_SETGID",
	"CAP_SETUID",
	"CAP_SETPCAP",
	"CAP_LINUX_IMMUTABLE",
	"CAP_NET_BIND_SERVICE",
	"CAP_NET_BROADCAST",
	"CAP_NET_ADMIN",
	"CAP_NET_RAW",
	"CAP_IPC_LOCK",
	"CAP_IPC_OWNER",
	"CAP_SYS_MODULE",
	"CAP_SYS_RAWIO",
	"CAP_SYS_CHROOT",
	"CAP_SYS_PTRACE",
	"CAP_SYS_PACCT",
	"CAP_SYS_ADMIN",
	"CAP_SYS_BOOT",
	"CAP_SYS_NICE",
	"CAP_SYS_RESOURCE",
	"CAP_SYS_TIME",
	"CAP_SYS_TTY_CONFIG",
	"CAP_MKNOD",
	"CAP_LEASE",
	"CAP_AUDIT_WRITE",
	"CAP_AUDIT_CONTROL",
	"CAP_SETFCAP",
	"CAP_MAC_OVERRIDE",
	"CAP_MAC_ADMIN",
	"CAP_SYSLOG",
	"CAP_WAKE_ALARM",
	"CAP_BLOCK_SUSPEND",
	"CAP_AUDIT_READ",
	"CAP_PERFMON",
	"CAP_BPF",
	"CAP_CHECKPOINT_RESTORE",
};

int skf_cap_parse(const char *name)
{
	if (!name)
		return -EINVAL;
	if (strncasecmp(name, "CAP_", 4) == 0)
		name += 4;
	for (unsigned i = 0; i < SKF_ARRAY_LEN(cap_names); i++)
		if (strcasecmp(name, cap_names[i] + 4) == 0)
			return (int)i;
	return -EINVAL;
}

const char *skf_cap_name(unsigned cap)
{
	return cap < SKF_ARRAY_LEN(cap_names) ? cap_names[cap] : NULL;
}

int skf_cap_last(void)
{
	unsigned lo = 0, hi = 63; /* lo is known, hi + 1 is not */

	if (prctl(PR_CAPBSET_READ, 0L, 0L, 0L, 0L) < 0)
		return skf_errno();
	if (prctl(PR_CAPBSET_READ, (long)SKF_ARRAY_LEN(cap_names) - 1, 0L, 0L, 0L) >= 0)
		lo = (unsigned)SKF_ARRAY_LEN(cap_names) - 1;
	if (prctl(PR_CAPBSET_READ, (long)lo + 1, 0L, 0L, 0L) < 0)
		return (int)lo; /* the usual case in two calls */
	while (lo < hi) {
		unsigned mid = (lo + hi + 1) / 2;
		if (prctl(PR_CAPBSET_READ, (long)mid, 0L, 0L, 0L) >= 0)
			lo = mid;
		else
			hi = mid - 1;
	}
	return (int)lo;
}

int skf_cap_drop_bounding(uint64_t keep)
{
	for (unsigned i = 0; i < 64; i++) {
		if (keep & (1ULL << i))
			continue;
		if (prctl(PR_CAPBSET_DROP, (long)i, 0L, 0L, 0L) < 0) {
			if (errno == EINVAL)
				return 0; /* past the kernel's last capability */
			return skf_errno();
		}
	}
	return 0;
}

int skf_cap_set(uint64_t effective, uint64_t permitted, uint64_t inheritable)
{
	struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct d[2];

	for (unsigned i = 0; i < 2; i++) {
		d[i].effective = (uint32_t)(effective >> (32 * i));
		d[i].permitted = (uint32_t)(permitted >> (32 * i));
		d[i].inheritable = (uint32_t)(inheritable >> (32 * i));
	}
	return skf_sys(syscall(SYS_capset, &h, d));
}

int skf_cap_get(uint64_t *effective, uint64_t *permitted, uint64_t *inheritable)
{
	struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct d[2];

	if (syscall(SYS_capget, &h, d) < 0)
		return skf_errno();
	*effective = d[0].effective | (uint64_t)d[1].effective << 32;
	*permitted = d[0].permitted | (uint64_t)d[1].permitted << 32;
	*inheritable = d[0].inheritable | (uint64_t)d[1].inheritable << 32;
	return 0;
}

int skf_cap_set_ambient(uint64_t ambient)
{
	if (prctl(PR_CAP_AMBIENT, (long)PR_CAP_AMBIENT_CLEAR_ALL, 0L, 0L, 0L) < 0)
		return skf_errno();
	for (unsigned i = 0; i < 64; i++) {
		if (!(ambient & (1ULL << i)))
			continue;
		if (prctl(PR_CAP_AMBIENT, (long)PR_CAP_AMBIENT_RAISE, (long)i, 0L, 0L) < 0)
			return skf_errno();
	}
	return 0;
}
