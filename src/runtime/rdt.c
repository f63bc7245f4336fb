/* runtime/rdt.c -- linux.intelRdt of config.json over the resctrl file system: the class of service (control
 * group) and the monitoring group of a container.
 *
 *  closID   schemata   group                              at delete
 *  absent   any        <id>, made here, must be new       removed
 *  given    none       must be there                      stays
 *  given    some       made when missing; when it is      stays
 *                      there it must have these schemata
 *  "/"      any        the root of resctrl, as if there   stays
 * With enableMonitoring <group>/mon_groups/<id> is made, and removed at delete in each case.
 *
 * Invariants: 1. What a delete has to remove is in the journal ("rdt <path>") before it is made. 2. Names
 * are single path components, and everything is opened below the handle of the resctrl mount without
 * following links. 3. Without intelRdt nothing here makes a system call. config-linux.md "IntelRdt";
 * Documentation/filesystems/resctrl.rst. Does not block. */
#include "runtime/runtime_int.h"

#include "base/limits.h"
#include "oci/spec.h"
#include "runtime/rdt_int.h"
#include "sys/mountinfo.h"
#include "sys/path.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_FILE (1u << 20)
enum { MADE_GROUP = 1, MADE_MON = 2 };

/* --- the mount --- */

/* Mount point of the first resctrl file system. */
static bool find_mount(char *mountinfo, char *path, size_t size)
{
	struct skf_mountinfo m;

	while (skf_mountinfo_next(&mountinfo, &m))
		if (skf_streq(m.type, "resctrl"))
			return skf_fmt(path, size, "%s", m.point) == 0;
	return false;
}

static int open_mount(struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_MOUNTINFO);
	char path[PATH_MAX];
	int r = skf_read_file_at(AT_FDCWD, "/proc/self/mountinfo", SKF_MAX_MOUNTINFO, &b);

	if (r < 0)
		return skf_fail_sys(e, r, "look for the resctrl mount in '/proc/self/mountinfo'");
	if (!find_mount(b.p, path, sizeof(path)))
		return skf_fail(e, SKF_EUNSUPPORTED,
				"config.json: /linux/intelRdt: no resctrl file system is mounted: on a "
				"processor with RDT, "
				"mount it with 'mount -t resctrl resctrl /sys/fs/resctrl'; else remove the "
				"property");
	r = skf_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
	return r < 0 ? skf_fail_sys(e, r, "open the resctrl mount '%s'", path) : r;
}

/* --- schemata --- */

static const char *skip_blanks(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	return p;
}

/* The value of one domain, "0=7ff": without blanks and leading zeros, so that the kernel's padding does not
 * matter. */
static size_t plain_value(const char *p, const char *end, char *out, size_t size)
{
	size_t n = 0;
	bool start = true;

	for (p = skip_blanks(p, end); p < end && n + 1 < size; p++) {
		if (*p == ' ' || *p == '\t' || *p == '\r')
			continue;
		if (start && *p == '0' && p + 1 < end && p[1] != ' ' && p[1] != '=')
			continue;
		start = *p == '=';
		out[n++] = *p >= 'A' && *p <= 'F' ? (char)(*p - 'A' + 'a') : *p;
	}
	out[n] = '\0';
	return n;
}

/* Whether the list "0=f;1=f" names this domain with this value. */
static bool list_has(const char *list, const char *end, const char *want)
{
	char have[128];

	for (; list < end; list++) {
		const char *stop = memchr(list, ';', (size_t)(end - list));

		stop = stop ? stop : end;
		if (plain_value(list, stop, have, sizeof(have)) > 0 && skf_streq(have, want))
			return true;
		list = stop;
	}
	return false;
}

/* The list of one resource in the schemata file. */
static const char *find_resource(const char *schemata, const char *name, size_t n, const char **ret_end)
{
	for (const char *line = schemata; *line;) {
		const char *end = line + strcspn(line, "\n"), *p = skip_blanks(line, end);

		if ((size_t)(end - p) > n && memcmp(p, name, n) == 0 && p[n] == ':') {
			*ret_end = end;
			return p + n + 1;
		}
		line = *end ? end + 1 : end;
	}
	return NULL;
}

static bool line_matches(const char *schemata, const char *line, const char *end)
{
	const char *p = skip_blanks(line, end), *colon = memchr(p, ':', (size_t)(end - p)), *have_end = NULL;
	const char *have = colon ? find_resource(schemata, p, (size_t)(colon - p), &have_end) : NULL;
	char want[128];

	for (p = have ? colon + 1 : end; p < end; p++) {
		const char *stop = memchr(p, ';', (size_t)(end - p));

		stop = stop ? stop : end;
		if (plain_value(p, stop, want, sizeof(want)) > 0 && !list_has(have, have_end, want))
			return false;
		p = stop;
	}
	return have != NULL;
}

bool skf_rdt_matches(const char *schemata, const char *wanted)
{
	for (const char *line = wanted; *line;) {
		const char *end = line + strcspn(line, "\n");

		if (skip_blanks(line, end) < end && !line_matches(schemata, line, end))
			return false;
		line = *end ? end + 1 : end;
	}
	return true;
}

/* All lines to be written, in the order that the clause demands. */
static void wanted_lines(const char *l3, const char *mb, const struct skf_strv *schemata, struct skf_buf *b)
{
	if (l3 && *l3)
		skf_buf_fmt(b, "%s\n", l3);
	if (mb && *mb)
		skf_buf_fmt(b, "%s\n", mb);
	for (size_t i = 0; schemata && i < schemata->n; i++)
		skf_buf_fmt(b, "%s\n", schemata->v[i]);
}

/* What the kernel did not like about the last write. */
static void last_status(int root, struct skf_buf *b)
{
	if (skf_read_file_at(root, "info/last_cmd_status", 4096, b) < 0)
		skf_buf_clear(b); /* the error number has to do */
	while (b->len > 0 && b->p[b->len - 1] == '\n')
		b->p[--b->len] = '\0';
}

static int write_schemata(int root, int dir, const char *group, const char *lines, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf why = SKF_BUF(4096);
	int r = skf_write_existing_at(dir, "schemata", lines);

	if (r == 0)
		return 0;
	last_status(root, &why);
	return skf_fail_sys(e, r, "write the schemata of resctrl group '%s'%s%.200s", group,
			    why.len ? ": " : "", skf_buf_cstr(&why));
}

/* --- groups --- */

static bool is_group_name(const char *s)
{
	static const char *const reserved[] = {".", "..", "info", "mon_groups", "mon_data"};

	for (size_t i = 0; i < SKF_ARRAY_LEN(reserved); i++)
		if (skf_streq(s, reserved[i]))
			return false;
	return *s && !strchr(s, '/') && !strchr(s, '\n') && strlen(s) <= NAME_MAX;
}

static int open_group(int root, const char *group)
{
	return skf_path_open_nolinks(root, skf_streq(group, "/") ? "." : group, O_RDONLY | O_DIRECTORY, 0);
}

static int make_dir(int root, const char *path, const char *what, struct skf_err *e)
{
	if (mkdirat(root, path, 0755) == 0)
		return 0;
	return skf_fail_errno(e, "make the resctrl %s '%s'%s", what, path,
			      errno == ENOSPC ? " (the processor has no more of them)" : "");
}

static int check_existing(int root, const char *group, const char *lines, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf have = SKF_BUF(MAX_FILE);
	SKF_AUTO_FD int dir = open_group(root, group);
	int r = dir;

	if (dir >= 0 && !*lines)
		return 0;
	if (dir >= 0)
		r = skf_read_file_at(dir, "schemata", MAX_FILE, &have);
	if (r < 0)
		return skf_fail_sys(e, r, "config.json: /linux/intelRdt/closID: open resctrl group '%s'%s",
				    group,
				    r == -ENOENT ? " (without a schema it must be there already)" : "");
	if (skf_rdt_matches(skf_buf_cstr(&have), lines))
		return 0;
	return skf_fail(e, SKF_ECONFLICT,
			"config.json: /linux/intelRdt: resctrl group '%s' exists with other schemata: "
			"'%.200s' was asked "
			"for; leave the schemata out to use the group as it is",
			group, lines);
}

static int new_group(const struct skf_rdt_in *in, struct skf_rdt *g, const char *group, const char *lines,
		     struct skf_err *e)
{
	SKF_AUTO_FD int dir = -EBADF;

	if (make_dir(in->root, group, "group", e) < 0)
		return -1;
	g->made |= MADE_GROUP;
	if (!*lines)
		return 0;
	dir = open_group(in->root, group);
	if (dir < 0)
		return skf_fail_sys(e, dir, "open the resctrl group '%s'", group);
	return write_schemata(in->root, dir, group, lines, e);
}

static int journal_group(const struct skf_rdt_in *in, const char *path, struct skf_err *e)
{
	int r = in->state_fd < 0 ? 0 : skf_journal_add(in->state_fd, "rdt %s", path);

	return r < 0 ? skf_fail_sys(e, r, "write the journal of container '%s'", in->id) : 0;
}

static int monitoring_group(const struct skf_rdt_in *in, struct skf_rdt *g, const char *group,
			    struct skf_err *e)
{
	const char *slash = skf_streq(group, "/") ? "" : "/", *top = *slash ? group : "";

	if (skf_fmt(g->path, sizeof(g->path), "%s%smon_groups/%s", top, slash, in->id) < 0)
		return skf_fail_sys(e, -ENAMETOOLONG, "resctrl monitoring group of container '%s'", in->id);
	/* below a group of ours it goes with that one, which is in the journal already */
	if ((in->x->clos_id && journal_group(in, g->path, e) < 0) ||
	    make_dir(in->root, g->path, "monitoring group", e) < 0)
		return -1;
	g->made |= MADE_MON;
	return 0;
}

int skf_rdt_setup(const struct skf_rdt_in *in, struct skf_rdt *g, struct skf_err *e)
{
	const struct skf_spec_intel_rdt *x = in->x;
	SKF_AUTO(skf_buf_done) struct skf_buf lines = SKF_BUF(MAX_FILE);
	const char *group = x->clos_id ? x->clos_id : in->id;
	bool top = skf_streq(group, "/"), there;
	int r;

	if (!top && !is_group_name(group))
		return skf_fail(
			e, SKF_EINVALID,
			"config.json: /linux/intelRdt/closID: '%.64s' cannot be the name of a resctrl group",
			group);
	wanted_lines(x->l3_schema, x->mem_bw_schema, &x->schemata, &lines);
	if (lines.err < 0 || skf_fmt(g->path, sizeof(g->path), "%s", group) < 0)
		return skf_fail(e, SKF_ELIMIT, "config.json: /linux/intelRdt: the schemata are too long");
	there = top || faccessat(in->root, group, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
	if (x->clos_id && (there || lines.len == 0)) {
		r = check_existing(in->root, group, skf_buf_cstr(&lines), e);
	} else {
		r = x->clos_id ? 0 : journal_group(in, group, e);
		if (r == 0)
			r = new_group(in, g, group, skf_buf_cstr(&lines), e);
	}
	return r == 0 && x->enable_monitoring ? monitoring_group(in, g, group, e) : r;
}

static int write_task(int root, const char *group, pid_t pid, struct skf_err *e)
{
	SKF_AUTO_FD int dir = open_group(root, group);
	char text[16];
	int r = dir;

	snprintf(text, sizeof(text), "%d", (int)pid);
	if (dir >= 0)
		r = skf_write_existing_at(dir, "tasks", text);
	return r < 0 ? skf_fail_sys(e, r, "put process %d into the resctrl group '%s'", (int)pid, group) : 0;
}

/* The control group of path; -ENAMETOOLONG. */
static int control_group(const char *path, char *out, size_t size)
{
	const char *mon = strstr(path, "mon_groups/");

	if (mon == path)
		return skf_fmt(out, size, "/");
	return mon ? skf_fmt(out, size, "%.*s", (int)(mon - path - 1), path)
		   : skf_fmt(out, size, "%s", path);
}

int skf_rdt_enter(int root, const char *path, pid_t pid, struct skf_err *e)
{
	char group[SKF_MAX_RDT_PATH];

	if (control_group(path, group, sizeof(group)) < 0)
		return skf_fail(e, SKF_ECORRUPT, "resctrl group '%s' of the state has too long a name",
				path);
	/* a monitoring group takes tasks of its own control group only */
	if (write_task(root, group, pid, e) < 0)
		return -1;
	return skf_streq(group, path) ? 0 : write_task(root, path, pid, e);
}

int skf_rdt_remove_at(int root, const char *path, struct skf_err *e)
{
	char mon[2 * SKF_MAX_RDT_PATH];

	/* a control group of ours: its monitoring group has the same name */
	if (!strchr(path, '/') && skf_fmt(mon, sizeof(mon), "%s/mon_groups/%s", path, path) == 0 &&
	    unlinkat(root, mon, AT_REMOVEDIR) < 0 && errno != ENOENT && errno != ENOTDIR)
		return skf_fail_errno(e, "remove the resctrl group '%s'", mon);
	if (unlinkat(root, path, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return skf_fail_errno(e, "remove the resctrl group '%s'", path);
	return 0;
}

/* A group that a failed start made and that a delete would leave: only while nobody else uses it. */
static void undo_at(int root, const struct skf_rdt *g, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf tasks = SKF_BUF(MAX_FILE);
	char group[SKF_MAX_RDT_PATH], file[SKF_MAX_RDT_PATH + 8];

	if ((g->made & MADE_MON) && skf_rdt_remove_at(root, g->path, e) < 0)
		return;
	if (!(g->made & MADE_GROUP) || control_group(g->path, group, sizeof(group)) < 0 ||
	    skf_fmt(file, sizeof(file), "%s/tasks", group) < 0)
		return;
	if (skf_read_file_at(root, file, MAX_FILE, &tasks) >= 0 && tasks.len > 0)
		return;
	(void)skf_rdt_remove_at(root, group, e); /* the caller tells by e */
}

/* --- what create, exec, update and delete call --- */

int skf_rdt_prepare(struct skf_start *s, struct skf_err *e)
{
	struct skf_rdt g = {.path = ""};
	SKF_AUTO_FD int root = -EBADF;
	int r;

	if (!s->spec->linux_.intel_rdt)
		return 0;
	root = open_mount(e);
	if (root < 0)
		return -1;
	const struct skf_rdt_in in = {
		.root = root, .x = s->spec->linux_.intel_rdt, .id = s->req->id, .state_fd = s->state_fd};
	r = skf_rdt_setup(&in, &g, e);
	memcpy(s->rdt, g.path, sizeof(s->rdt));
	s->rdt_made = g.made;
	return r;
}

int skf_rdt_join(const char *group, pid_t pid, struct skf_err *e)
{
	SKF_AUTO_FD int root = group && *group ? open_mount(e) : -EBADF;

	if (!group || !*group)
		return 0;
	return root < 0 ? -1 : skf_rdt_enter(root, group, pid, e);
}

int skf_rdt_attach(const struct skf_start *s, pid_t pid, struct skf_err *e)
{
	return skf_rdt_join(s->rdt, pid, e);
}

void skf_rdt_undo(const struct skf_start *s)
{
	struct skf_err e = SKF_ERR_INIT;
	struct skf_rdt g = {.made = s->rdt_made};

	if (!s->rdt_made)
		return;
	SKF_AUTO_FD int root = open_mount(&e);
	memcpy(g.path, s->rdt, sizeof(g.path));
	if (root >= 0)
		undo_at(root, &g, &e);
	if (e.kind != SKF_OK)
		skf_warn(s->rt->log, "%s, ignoring", e.msg);
}

int skf_rdt_remove(const char *group, struct skf_err *e)
{
	struct skf_err none = SKF_ERR_INIT;

	if (!group || !*group)
		return 0;
	SKF_AUTO_FD int root = open_mount(&none);
	if (root < 0) /* unmounted meanwhile: its groups went with it */
		return none.kind == SKF_EUNSUPPORTED ? 0 : (*e = none, -1);
	return skf_rdt_remove_at(root, group, e);
}

int skf_rdt_update_at(int root, const char *path, const char *l3, const char *mb, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf lines = SKF_BUF(MAX_FILE);
	char group[SKF_MAX_RDT_PATH];
	int r = control_group(path, group, sizeof(group));

	wanted_lines(l3, mb, NULL, &lines);
	if (r < 0 || lines.err < 0)
		return skf_fail_sys(e, r < 0 ? r : lines.err, "schemata of resctrl group '%s'", path);
	SKF_AUTO_FD int dir = open_group(root, group);
	if (dir < 0)
		return skf_fail_sys(e, dir, "open the resctrl group '%s'", group);
	return write_schemata(root, dir, group, skf_buf_cstr(&lines), e);
}

int skf_rdt_update(const char *group, const char *l3, const char *mb, struct skf_err *e)
{
	SKF_AUTO_FD int root = -EBADF;

	if ((!l3 || !*l3) && (!mb || !*mb))
		return 0;
	if (!group || !*group)
		return skf_fail(e, SKF_EINVALID,
				"Intel RDT: the container has no resctrl group: create it with "
				"linux.intelRdt to change its "
				"L3 cache or memory bandwidth schema");
	root = open_mount(e);
	return root < 0 ? -1 : skf_rdt_update_at(root, group, l3, mb, e);
}
