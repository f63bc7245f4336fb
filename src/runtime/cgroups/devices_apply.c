/* devices_apply.c -- puts the device rules of devices.c into force: lines in devices.allow and devices.deny
 * on v1, an eBPF program on the directory on v2. "Everything allowed" on a new directory needs neither: it
 * is what a child is born with, and more than the parent allows cannot be had. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/log.h"
#include "runtime/cgroups/cgroups_int.h"
#include "sys/bpf.h"
#include <fcntl.h>
#include <linux/bpf.h>
#include <string.h>
#include <unistd.h>

#define MAX_ATTACHED 64 /* the kernel's BPF_CGROUP_MAX_PROGS */

/* devices.allow and devices.deny, kept open: a container has a dozen lines. */
struct files {
	struct skf_cgset *s;
	int i;
	int allow, deny;
};

static int put(struct files *f, bool allow, const char *line, struct skf_err *e)
{
	const char *name = allow ? "devices.allow" : "devices.deny";
	int *fd = allow ? &f->allow : &f->deny;
	size_t n = strlen(line);
	ssize_t r = -1;

	if (*fd < 0)
		*fd = skf_openat(skf_cgset_dir(f->s, (unsigned)f->i), name, O_WRONLY, 0);
	if (*fd < 0)
		return skf_cgset_fail(f->s, f->i, name, line, *fd, e);
	do
		r = write(*fd, line, n);
	while (r < 0 && errno == EINTR);
	if (r != (ssize_t)n)
		return skf_cgset_fail(f->s, f->i, name, line, r < 0 ? skf_errno() : -EIO, e);
	return 0;
}

static int put_line(struct files *f, const char *line, struct skf_err *e)
{
	return put(f, line[0] == '+', line + 1, e);
}

/* "c 1:3 rwm": length of what names the device. */
static size_t key_len(const char *line)
{
	const char *last = strrchr(line, ' ');

	return last ? (size_t)(last - line) : strlen(line);
}

/* The access letters of `line` that no line of v names for the same device, as a line of its own in out;
 * false: none. */
static bool leftover(const char *line, const struct skf_strv *v, char *out, size_t size)
{
	size_t n = key_len(line), len = 0;
	char rest[4] = "";

	for (const char *p = line + n; *p; p++) {
		bool kept = *p == ' ';

		for (size_t k = 0; k < v->n && !kept; k++)
			kept = key_len(v->v[k] + 1) == n && !memcmp(v->v[k] + 1, line, n) &&
			       strchr(v->v[k] + 1 + n, *p);
		if (!kept && len < 3)
			rest[len++] = *p;
	}
	return len && skf_fmt(out, size, "%.*s %s", (int)n, line, rest) == 0;
}

/* A list of allowed devices becomes another one: new ones first, then away with what is left over, so that
 * no device that both have closes in between. 1: the lists are of another form, which only a rewrite can
 * change. */
static int transition(struct files *f, const struct skf_devrules *rules, const struct skf_strv *lines,
		      struct skf_err *e)
{
	char text[8192], line[64];
	int r = f->s->update && !rules->allow
			? skf_cg_read(f->s->d, (unsigned)f->i, "devices.list", text, sizeof(text))
			: -ENOENT;

	if (r < 0 || strlen(text) >= sizeof(text) - 64 || text[0] == 'a')
		return 1;
	for (size_t k = 0; k < lines->n; k++)
		if (lines->v[k][0] != '+')
			return 1;
	for (size_t k = 0; k < lines->n; k++)
		if (put_line(f, lines->v[k], e) < 0)
			return -1;
	for (char *next, *p = text; *p; p = next) {
		next = p + strcspn(p, "\n");
		if (*next)
			*next++ = '\0';
		if (leftover(p, lines, line, sizeof(line)) && put(f, false, line, e) < 0)
			return -1;
	}
	return 0;
}

static int write_rules(struct files *f, const struct skf_devrules *rules, struct skf_err *e)
{
	struct skf_strv lines = {0};
	int r;

	if (skf_cg_devices_v1(rules, f->s->arena, &lines, e) < 0)
		return -1;
	r = transition(f, rules, &lines, e);
	if (r <= 0)
		return r;
	if (!(rules->allow && f->s->fresh) && put(f, rules->allow, "a", e) < 0)
		return -1;
	for (size_t k = 0; k < lines.n; k++)
		if (put_line(f, lines.v[k], e) < 0)
			return -1;
	return 0;
}

static int devices_v1(struct skf_cgset *s, int i, const struct skf_devrules *rules, struct skf_err *e)
{
	struct files f = {s, i, -EBADF, -EBADF};
	int r;

	if (rules->allow && !rules->n && s->fresh)
		return 0;
	r = write_rules(&f, rules, e);
	skf_closep(&f.allow);
	skf_closep(&f.deny);
	return r;
}

/* The filter that we attached before; -EBADF: none. */
static int attached(int dir)
{
	uint32_t ids[MAX_ATTACHED];
	int n = skf_bpf_query_device(dir, ids, MAX_ATTACHED);

	for (int k = 0; k < n && k < MAX_ATTACHED; k++) {
		int fd = skf_bpf_prog_by_id(ids[k]);

		if (fd >= 0 && skf_bpf_is_ours(fd))
			return fd;
		skf_closep(&fd);
	}
	return -EBADF;
}

static int attach(int dir, int prog, struct skf_cgset *s, struct skf_err *e)
{
	SKF_AUTO_FD int old = s->fresh ? -EBADF : attached(dir);
	int r = skf_bpf_attach_device(dir, prog, old); /* replaced in one step: no device opens in between */

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
	dir = skf_openat(skf_cgset_dir(s, (unsigned)i), ".", O_RDONLY | O_DIRECTORY, 0);
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

	if (s->update && !s->r->devices.n)
		return 0;
	if (skf_cg_devrules(&s->r->devices, s->arena, &rules, e) < 0)
		return -1;
	if (i < 0 && l->mode == SKF_CG_V2 && skf_cgset_dir(s, 0) >= 0) {
		i = 0;
		v2 = true;
	}
	if (i >= 0)
		r = v2 ? devices_v2(s, i, &rules, e) : devices_v1(s, i, &rules, e);
	else if (s->rootless || (rules.allow && !rules.n) || skf_cg_in_userns())
		return 0;
	else
		return skf_cgset_need(s, "devices", "devices", &v2, e) < 0 ? -1 : 0;
	/* A plain user, or root of a user namespace, can neither load the filter nor make a node of a
	 * device, so nothing opens by going on. */
	if (r < 0 && e->kind == SKF_EDENIED && (s->rootless || skf_cg_in_userns())) {
		skf_debug(s->log, "device rules need privileges, ignoring: %s", e->msg);
		skf_err_clear(e);
		return 0;
	}
	return r;
}
