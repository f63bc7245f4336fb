/* devices_apply.c -- puts the device rules of devices.c into force: lines in devices.allow and devices.deny
 * on v1, an eBPF program on the directory on v2. "Everything allowed" on a new directory needs neither: it
 * is what a child is born with, and more than the parent allows cannot be had. */
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/log.h"
#include "runtime/cgroups/cgroups_int.h"
#include "sys/bpf.h"
#include <fcntl.h>
#include <linux/bpf.h>

#define MAX_ATTACHED 64 /* the kernel's BPF_CGROUP_MAX_PROGS */

static int devices_v1(struct skf_cgset *s, int i, const struct skf_devrules *rules, struct skf_err *e)
{
	struct skf_strv lines = {0};

	if (rules->allow && !rules->n && s->fresh)
		return 0;
	if (skf_cg_devices_v1(rules, s->arena, &lines, e) < 0)
		return -1;
	if (!(rules->allow && s->fresh) &&
	    skf_cgset_write(s, i, rules->allow ? "devices.allow" : "devices.deny", "a", e) < 0)
		return -1;
	for (size_t k = 0; k < lines.n; k++)
		if (skf_cgset_write(s, i, lines.v[k][0] == '+' ? "devices.allow" : "devices.deny",
				    lines.v[k] + 1, e) < 0)
			return -1;
	return 0;
}

static int attach(int dir, int prog, struct skf_cgset *s, struct skf_err *e)
{
	uint32_t ids[MAX_ATTACHED];
	int n = s->fresh ? 0 : skf_bpf_query_device(dir, ids, MAX_ATTACHED), r;
	SKF_AUTO_FD int old = n == 1 ? skf_bpf_prog_by_id(ids[0]) : -EBADF;

	/* One program that is there is the one we attached before: it is replaced in one step, so no device
	 * opens in between. */
	r = skf_bpf_attach_device(dir, prog, old);
	return r < 0 ? skf_fail_sys(e, r, "attach the device filter to cgroup '%s'", s->d->path) : 0;
}

static int devices_v2(struct skf_cgset *s, int i, const struct skf_devrules *rules, struct skf_err *e)
{
	SKF_AUTO_FD int dir = -EBADF;
	SKF_AUTO_FD int prog = -EBADF;
	struct bpf_insn *insn;
	char log[256] = "";
	unsigned n;

	if (rules->allow && !rules->n && s->fresh)
		return 0;
	if (skf_cg_devices_bpf(rules, s->arena, &insn, &n, e) < 0)
		return -1;
	dir = skf_openat(s->fd[i], ".", O_RDONLY | O_DIRECTORY, 0);
	if (dir < 0)
		return skf_fail_sys(e, dir, "open cgroup '%s'", s->d->path);
	prog = skf_bpf_load_device_prog(insn, n, log, sizeof(log));
	if (prog < 0)
		return skf_fail_sys(e, prog, "load the device filter (%u instructions%s%s)", n,
				    log[0] ? "; verifier: " : "", log);
	return attach(dir, prog, s, e);
}

int skf_cg_devices(struct skf_cgset *s, struct skf_err *e)
{
	const struct skf_cg_layout *l = &s->d->layout;
	struct skf_devrules rules;
	bool v2;
	int i = skf_cgset_find(s, "devices", &v2), r;

	if (skf_cg_devrules(&s->r->devices, s->arena, &rules, e) < 0)
		return -1;
	if (i < 0 && l->mode == SKF_CG_V2 && s->fd[0] >= 0) {
		i = 0;
		v2 = true;
	}
	if (i >= 0)
		r = v2 ? devices_v2(s, i, &rules, e) : devices_v1(s, i, &rules, e);
	else if (s->rootless || (rules.allow && !rules.n))
		return 0;
	else
		return skf_cgset_need(s, "devices", "devices", &v2, e) < 0 ? -1 : 0;
	/* A plain user can neither load the filter nor make a node of a device, so nothing opens by going
	 * on. */
	if (r < 0 && s->rootless && e->kind == SKF_EDENIED) {
		skf_debug(s->log, "device rules need privileges, ignoring: %s", e->msg);
		skf_err_clear(e);
		return 0;
	}
	return r;
}
