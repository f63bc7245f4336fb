/* runtime/lsm.c -- labels that a security module gives to the container's process at its execve.
 *
 * A label that the host cannot enforce is an error, never ignored: whoever asked for it relies on it. The
 * attribute file is opened through a handle that is proven to be procfs, below our own pid, without
 * following links, so that nothing mounted over /proc can swallow the label (CVE-2019-16884). man 5 proc
 * (attr/exec). */
#include "runtime/runtime_int.h"

#include "oci/spec.h"
#include "sys/path.h"

#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

static bool wants(const char *label)
{
	return label && *label;
}

static bool apparmor_enabled(void)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(16);

	return skf_read_file_at(AT_FDCWD, "/sys/module/apparmor/parameters/enabled", 15, &b) >= 0 &&
	       skf_buf_cstr(&b)[0] == 'Y';
}

static bool selinux_enabled(void)
{
	struct statfs fs;

	return statfs("/sys/fs/selinux", &fs) == 0 && fs.f_type == SELINUX_MAGIC;
}

int skf_lsm_check(const struct skf_spec_process *p, struct skf_err *e)
{
	if (wants(p->apparmor_profile) && !apparmor_enabled())
		return skf_fail(e, SKF_EUNSUPPORTED,
				"apparmor profile '%s' is given, but apparmor is not enabled on this host",
				p->apparmor_profile);
	if (wants(p->selinux_label) && !selinux_enabled())
		return skf_fail(e, SKF_EUNSUPPORTED,
				"selinux label '%s' is given, but selinux is not enabled on this host",
				p->selinux_label);
	return 0;
}

static int write_attr(int procfd, const char *attr, const char *value)
{
	char path[64];

	snprintf(path, sizeof(path), "%d/attr/%s", (int)getpid(), attr);
	SKF_AUTO_FD int fd = skf_path_open_in_proc(procfd, path, O_WRONLY);
	return fd < 0 ? fd : skf_write_full(fd, value, strlen(value));
}

int skf_lsm_apply(const struct skf_spec_process *p, struct skf_err *e)
{
	int r;

	if (!wants(p->apparmor_profile) && !wants(p->selinux_label))
		return 0;
	SKF_AUTO_FD int procfd = skf_path_open_procfs();
	if (procfd < 0)
		return skf_fail_sys(e, procfd, "open procfs to label the container's process");
	if (wants(p->apparmor_profile)) {
		char value[512];

		if (skf_fmt(value, sizeof(value), "exec %s", p->apparmor_profile) < 0)
			return skf_fail(e, SKF_EINVALID,
					"apparmor profile '%.64s...' has a name that is too long",
					p->apparmor_profile);
		r = write_attr(procfd, "apparmor/exec", value);
		if (r == -ENOENT)
			r = write_attr(procfd, "exec", value); /* before Linux 5.8 */
		if (r < 0)
			return skf_fail_sys(e, r, "set apparmor profile '%s' (is it loaded?)",
					    p->apparmor_profile);
	}
	if (wants(p->selinux_label)) {
		r = write_attr(procfd, "exec", p->selinux_label);
		if (r < 0)
			return skf_fail_sys(e, r, "set selinux label '%s'", p->selinux_label);
	}
	return 0;
}
