/* runtime/lsm.c -- labels that a security module gives to the container's process at its execve.
 *
 * A label that the host cannot enforce is an error, never ignored: whoever asked for it relies on it. The
 * attribute file is opened through a handle that is proven to be procfs, below our own pid, without
 * following links, so that nothing mounted over /proc can swallow the label (CVE-2019-16884). man 5 proc
 * (attr/exec). */
#include "runtime/runtime_int.h"

#include "oci/spec.h"
#include "sys/path.h"
#include "sys/selinux.h"

#include <stdio.h>
#include <string.h>
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

int skf_lsm_check(const struct skf_spec_process *p, struct skf_err *e)
{
	if (wants(p->apparmor_profile) && !apparmor_enabled())
		return skf_fail(e, SKF_EUNSUPPORTED,
				"apparmor profile '%s' is given, but apparmor is not enabled on this host; "
				"remove it",
				p->apparmor_profile);
	if (wants(p->selinux_label) && !skf_selinux_is_on())
		return skf_fail(e, SKF_EUNSUPPORTED,
				"selinux label '%s' is given, but selinux is disabled or not supported on "
				"this host, "
				"or has no policy loaded; remove it",
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

static int apply_apparmor(int procfd, const char *profile, struct skf_err *e)
{
	char value[512];
	int r;

	if (strchr(profile, '\n') || skf_fmt(value, sizeof(value), "exec %s", profile) < 0)
		return skf_fail(
			e, SKF_EINVALID,
			"unable to apply apparmor profile '%.64s': a name is one line of at most %zu bytes",
			profile, sizeof(value) - sizeof("exec "));
	r = write_attr(procfd, "apparmor/exec", value);
	if (r == -ENOENT)
		r = write_attr(procfd, "exec", value); /* before Linux 5.8 the first has no file */
	if (r == -ENOENT)
		return skf_fail_sys(
			e, r,
			"unable to apply apparmor profile '%s', which is not loaded into the kernel; "
			"load it with apparmor_parser",
			profile);
	return r < 0 ? skf_fail_sys(e, r, "unable to apply apparmor profile '%s'", profile) : 0;
}

static int apply_selinux(int procfd, const char *label, struct skf_err *e)
{
	int r = write_attr(procfd, "exec", label);

	if (r == -EINVAL)
		return skf_fail_sys(
			e, r, "unable to apply selinux label '%s', which the loaded policy does not know",
			label);
	return r < 0 ? skf_fail_sys(e, r, "unable to apply selinux label '%s'", label) : 0;
}

int skf_lsm_apply(const struct skf_spec_process *p, struct skf_err *e)
{
	if (!wants(p->apparmor_profile) && !wants(p->selinux_label))
		return 0;
	SKF_AUTO_FD int procfd = skf_path_open_procfs();
	if (procfd < 0)
		return skf_fail_sys(e, procfd, "open procfs to label the container's process");
	if (wants(p->apparmor_profile) && apply_apparmor(procfd, p->apparmor_profile, e) < 0)
		return -1;
	return wants(p->selinux_label) ? apply_selinux(procfd, p->selinux_label, e) : 0;
}
