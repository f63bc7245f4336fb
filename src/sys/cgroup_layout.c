/* cgroup_layout.c -- which hierarchies exist, and where a process is in them.
 *
 * Theory: /proc/self/mountinfo knows every hierarchy, but it has a line for each mount of the host, among
 * them one or more for each container of other engines. So the usual places are asked first, one by one:
 * what /proc/self/cgroup lists is looked for at /sys/fs/cgroup/<its name>, as the root directory of a cgroup
 * file system (inode 1). Only when something is elsewhere, is a part of a hierarchy, or we have a cgroup
 * namespace of our own, mountinfo is read.
 *
 * Invariants: 1. both ways find the same places; 2. nothing here allocates or uses stdio (cgroup.c, 1). Does
 * not block. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "sys/cgroup_int.h"
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define CGROUP_ROOT     "/sys/fs/cgroup"
#define FIRST_CGROUP_NS 0xEFFFFFFBU /* inode of the first cgroup namespace: PROC_CGROUP_INIT_INO */
#define ROOT_INODE      1           /* of each cgroup file system's root */

/* Cuts the next space-separated word off *p; NULL at the end. */
static char *word(char **p)
{
	char *w = *p, *end;

	if (!w || !*w)
		return NULL;
	end = strchr(w, ' ');
	if (end)
		*end++ = '\0';
	*p = end;
	return w;
}

static bool is_controller(const char *o)
{
	static const char *const flags[] = {"rw",
					    "ro",
					    "none",
					    "xattr",
					    "noprefix",
					    "clone_children",
					    "cpuset_v2_mode",
					    "favordynmods",
					    "nofavordynmods",
					    "seclabel",
					    "memory_recursiveprot"};

	for (size_t i = 0; i < SKF_ARRAY_LEN(flags); i++)
		if (!strcmp(o, flags[i]))
			return false;
	return !skf_startswith(o, "release_agent=");
}

static bool controllers_of(char *opts, char *out, size_t size)
{
	size_t len = 0;

	out[0] = '\0';
	for (char *next; opts; opts = next) {
		size_t n;

		next = strchr(opts, ',');
		if (next)
			*next++ = '\0';
		if (!*opts || !is_controller(opts))
			continue;
		n = strlen(opts);
		if (len + n + 2 > size)
			return false;
		if (len)
			out[len++] = ',';
		memcpy(out + len, opts, n + 1);
		len += n;
	}
	return len > 0;
}

int skf_cg_parse_mount(char *line, struct skf_cg_hier *h, char *root, size_t root_size)
{
	char *p = line, *mroot, *mpoint, *w, *type, *opts;

	word(&p), word(&p), word(&p); /* mount id, parent, device */
	mroot = word(&p);
	mpoint = word(&p);
	while ((w = word(&p)) && strcmp(w, "-") != 0)
		;
	type = word(&p);
	word(&p); /* source */
	opts = word(&p);
	if (!mroot || !mpoint || !type || !opts || !skf_startswith(mpoint, CGROUP_ROOT))
		return 0;
	if (mpoint[sizeof(CGROUP_ROOT) - 1] != '/' && mpoint[sizeof(CGROUP_ROOT) - 1] != '\0')
		return 0;
	*h = (struct skf_cg_hier){.v2 = !strcmp(type, "cgroup2")};
	if (!h->v2 &&
	    (strcmp(type, "cgroup") != 0 || !controllers_of(opts, h->controllers, sizeof(h->controllers))))
		return 0;
	if (skf_fmt(h->mountpoint, sizeof(h->mountpoint), "%s", mpoint) < 0 ||
	    skf_fmt(root, root_size, "%s", mroot) < 0)
		return 0;
	return 1;
}

void skf_cg_layout_add(struct skf_cg_layout *l, const struct skf_cg_hier *h)
{
	for (unsigned i = 0; i < l->n; i++) {
		if (!strcmp(l->h[i].mountpoint, h->mountpoint)) {
			l->h[i] = *h;
			return;
		}
		if (l->h[i].v2 == h->v2 && !strcmp(l->h[i].controllers, h->controllers))
			return;
	}
	if (l->n < SKF_CG_MAX)
		l->h[l->n++] = *h;
}

/* By name, so that both ways give the same list: its order is that of the mounts in a container. */
static void sort_places(struct skf_cg_layout *l)
{
	for (unsigned i = 1; i < l->n; i++) {
		struct skf_cg_hier h = l->h[i];
		unsigned k = i;

		for (; k > 0 && strcmp(l->h[k - 1].mountpoint, h.mountpoint) > 0; k--)
			l->h[k] = l->h[k - 1];
		l->h[k] = h;
	}
}

int skf_cg_layout_finish(struct skf_cg_layout *l)
{
	unsigned v1 = 0, v2 = 0;

	for (unsigned i = 0; i < l->n; i++) {
		if (l->h[i].v2 && !strcmp(l->h[i].mountpoint, CGROUP_ROOT)) {
			struct skf_cg_hier h = l->h[i];

			l->h[0] = h;
			l->n = 1;
			l->mode = SKF_CG_V2;
			return 0;
		}
		*(l->h[i].v2 ? &v2 : &v1) += 1;
	}
	if (!l->n)
		return -ENOENT;
	sort_places(l);
	l->mode = !v1 ? SKF_CG_V2 : v2 ? SKF_CG_HYBRID : SKF_CG_V1;
	return 0;
}

/* Is the whole hierarchy, from its root, mounted at `path`? */
static bool root_at(const char *path, bool v2)
{
	struct statfs fs;
	struct stat st;

	return statfs(path, &fs) == 0 && fs.f_type == (v2 ? CGROUP2_SUPER_MAGIC : CGROUP_SUPER_MAGIC) &&
	       stat(path, &st) == 0 && st.st_ino == ROOT_INODE;
}

/* In another one the paths of /proc/<pid>/cgroup do not begin at the root of the hierarchy. */
static bool in_first_namespace(void)
{
	struct stat st;

	return stat("/proc/self/ns/cgroup", &st) == 0 && st.st_ino == FIRST_CGROUP_NS;
}

/* One line of /proc/self/cgroup: "4:cpu,cpuacct:/path", "1:name=systemd:/path", "0::/path". */
static int usual_place(char *line, void *arg)
{
	struct skf_cg_layout *l = arg;
	char *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL;
	struct skf_cg_hier h = {0};
	const char *name;

	if (!path)
		return -ENOENT;
	*list++ = '\0';
	*path = '\0';
	h.v2 = !strcmp(line, "0") && !*list;
	name = h.v2 ? "unified" : skf_startswith(list, "name=") ? list + 5 : list;
	if (!*name || strchr(name, '/') || l->n == SKF_CG_MAX ||
	    skf_fmt(h.controllers, sizeof(h.controllers), "%s", list) < 0 ||
	    skf_fmt(h.mountpoint, sizeof(h.mountpoint), CGROUP_ROOT "/%s", name) < 0 ||
	    !root_at(h.mountpoint, h.v2))
		return -ENOENT;
	h.whole = true;
	skf_cg_layout_add(l, &h);
	return 0;
}

static int usual_places(struct skf_cg_layout *l)
{
	const struct skf_cg_hier v2 = {.mountpoint = CGROUP_ROOT, .v2 = true, .whole = true};

	if (!in_first_namespace())
		return -ENOENT;
	if (root_at(CGROUP_ROOT, true)) {
		skf_cg_layout_add(l, &v2);
		return 0;
	}
	return skf_cg_each_line("/proc/self/cgroup", usual_place, l);
}

static int layout_line(char *line, void *arg)
{
	struct skf_cg_hier h;
	char root[SKF_CG_PATH_MAX];

	if (skf_cg_parse_mount(line, &h, root, sizeof(root))) {
		h.whole = !strcmp(root, "/");
		skf_cg_layout_add(arg, &h);
	}
	return 0;
}

int skf_cg_layout(struct skf_cg_layout *ret)
{
	struct skf_cg_layout l = {0};
	int r = usual_places(&l);

	if (r < 0) {
		l = (struct skf_cg_layout){0};
		r = skf_cg_each_line("/proc/self/mountinfo", layout_line, &l);
	}
	if (r >= 0)
		r = skf_cg_layout_finish(&l);
	if (r < 0)
		return r;
	*ret = l;
	return 0;
}

const struct skf_cg_hier *skf_cg_find(const struct skf_cg_layout *l, const char *controller)
{
	for (unsigned i = 0; i < l->n; i++)
		if (!l->h[i].v2 && skf_cg_in_list(l->h[i].controllers, controller))
			return &l->h[i];
	return NULL;
}

const char *skf_cg_parse_proc_line(char *line, const struct skf_cg_hier *h)
{
	char *list = strchr(line, ':'), *path;

	if (!list || !(path = strchr(list + 1, ':')))
		return NULL;
	*list++ = '\0';
	*path++ = '\0';
	if (h->v2)
		return !strcmp(line, "0") && !*list ? path : NULL;
	/* The kernel writes the controllers of a hierarchy in its own order: one common word identifies it.
	 */
	for (char *w = list, *next; *w; w = next) {
		next = w + strcspn(w, ",");
		if (*next)
			*next++ = '\0';
		if (skf_cg_in_list(h->controllers, w))
			return path;
	}
	return NULL;
}

int skf_cg_below_root(const char *path, const char *root, char *out, size_t size)
{
	size_t n = strlen(root);

	if (skf_startswith(path, "/.."))
		return -EXDEV; /* outside of our cgroup namespace */
	if (!strcmp(root, "/"))
		return skf_fmt(out, size, "%s", path);
	if (strncmp(path, root, n) != 0 || (path[n] && path[n] != '/'))
		return -EXDEV;
	return skf_fmt(out, size, "%s", path[n] ? path + n : "/");
}

/* The part of a hierarchy that its mount shows. */
struct root_of {
	const struct skf_cg_hier *h;
	char root[SKF_CG_PATH_MAX];
	bool found;
};

static int root_line(char *line, void *arg)
{
	struct root_of *x = arg;
	struct skf_cg_hier h;
	char root[SKF_CG_PATH_MAX];

	if (!skf_cg_parse_mount(line, &h, root, sizeof(root)) || strcmp(h.mountpoint, x->h->mountpoint) != 0)
		return 0;
	x->found =
		skf_fmt(x->root, sizeof(x->root), "%s", root) == 0; /* a later mount hides this one: go on */
	return 0;
}

/* path of /proc/<pid>/cgroup as the mount of h shows it. */
static int visible_path(const struct skf_cg_hier *h, bool first_ns, const char *path, char *out, size_t size)
{
	struct root_of ro = {.h = h, .root = "/"};
	int r = 0;

	if (!first_ns || !(h->whole || root_at(h->mountpoint, h->v2))) {
		r = skf_cg_each_line("/proc/self/mountinfo", root_line, &ro);
		if (r == 0 && !ro.found)
			r = -ENOENT;
	}
	return r < 0 ? r : skf_cg_below_root(path, ro.root, out, size);
}

struct each_path {
	const struct skf_cg_layout *l;
	uint32_t used;
	bool first_ns;
	int (*fn)(unsigned i, int err, const char *path, void *arg);
	void *arg;
};

static int proc_line(char *line, void *arg)
{
	struct each_path *x = arg;
	char copy[SKF_CG_PATH_MAX], path[SKF_CG_PATH_MAX];

	for (unsigned i = 0; i < x->l->n; i++) {
		const char *p;
		int r;

		if (!(x->used & (1u << i)))
			continue;
		if (skf_fmt(copy, sizeof(copy), "%s", line) < 0)
			return -ENAMETOOLONG;
		p = skf_cg_parse_proc_line(copy, &x->l->h[i]);
		if (!p)
			continue;
		x->used &= ~(1u << i);
		r = skf_endswith(p, " (deleted)")
			    ? -ENOENT
			    : visible_path(&x->l->h[i], x->first_ns, p, path, sizeof(path));
		return x->fn(i, r < 0 ? r : 0, path, x->arg);
	}
	return 0;
}

int skf_cg_each_path(pid_t pid, const struct skf_cg_layout *l, uint32_t used,
		     int (*fn)(unsigned i, int err, const char *path, void *arg), void *arg)
{
	struct each_path x = {l, used, in_first_namespace(), fn, arg};
	char name[40] = "/proc/self/cgroup";
	int r = pid ? skf_fmt(name, sizeof(name), "/proc/%d/cgroup", (int)pid) : 0;

	if (r == 0)
		r = skf_cg_each_line(name, proc_line, &x);
	for (unsigned i = 0; r == 0 && i < l->n; i++)
		if (x.used & (1u << i))
			r = fn(i, -ENOENT, "", arg);
	return r;
}

struct path_out {
	char *out;
	size_t size;
};

static int one_path(unsigned i, int err, const char *path, void *arg)
{
	const struct path_out *x = arg;

	(void)i;
	return err < 0 ? err : skf_fmt(x->out, x->size, "%s", path);
}

int skf_cg_path_of(pid_t pid, const struct skf_cg_hier *h, char *out, size_t size)
{
	struct skf_cg_layout one = {.h = {*h}, .n = 1};
	struct path_out x = {out, size};

	return skf_cg_each_path(pid, &one, 1, one_path, &x);
}
