/* engine/spec_gen_devices.c -- devices of a container: which it may open (the cgroup's list), and the nodes
 * of the host that --privileged gives it. Looks at /dev for the latter. */
#include "engine/spec_gen_int.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define DEV_DEPTH 8

struct device_rule {
	char type;
	int major, minor; /* -1: any */
	const char *access;
};
/* What a container may open and make: docker's list and the runtime's own default devices. */
static const struct device_rule device_rules[] = {
	{'c', -1, -1, "m"}, {'b', -1, -1, "m"}, {'c', 1, 3, "rwm"},    {'c', 1, 5, "rwm"},
	{'c', 1, 7, "rwm"}, {'c', 1, 8, "rwm"}, {'c', 1, 9, "rwm"},    {'c', 5, 0, "rwm"},
	{'c', 5, 1, "rwm"}, {'c', 5, 2, "rwm"}, {'c', 136, -1, "rwm"},
};

static void write_rule(struct skf_jw *w, char type, int64_t major_, int64_t minor_, const char *access)
{
	const char t[2] = {type, '\0'};

	skf_jw_obj(w);
	skf_jw_kbool(w, "allow", true);
	skf_jw_kstr(w, "type", t);
	if (major_ >= 0)
		skf_jw_kint(w, "major", major_);
	if (minor_ >= 0)
		skf_jw_kint(w, "minor", minor_);
	skf_jw_kstr(w, "access", access);
	skf_jw_end(w);
}

void skf_gen_device_rules(struct skf_jw *w, const struct skf_gen *g)
{
	skf_jw_karr(w, "devices");
	skf_jw_obj(w);
	skf_jw_kbool(w, "allow", g->privileged);
	skf_jw_kstr(w, "access", "rwm");
	skf_jw_end(w);
	for (size_t i = 0; !g->privileged && i < SKF_ARRAY_LEN(device_rules); i++)
		write_rule(w, device_rules[i].type, device_rules[i].major, device_rules[i].minor,
			   device_rules[i].access);
	for (size_t i = 0; !g->privileged && i < g->n_rules; i++)
		write_rule(w, g->rules[i].type, g->rules[i].major, g->rules[i].minor, g->rules[i].access);
	skf_jw_end_arr(w);
}

static void write_device(struct skf_jw *w, const struct skf_gen *g, const struct skf_gen_device *d)
{
	const char type[2] = {d->type, '\0'};

	skf_jw_obj(w);
	skf_jw_kstr(w, "path", d->path);
	skf_jw_kstr(w, "type", type);
	if (d->type != 'p') {
		skf_jw_ku64(w, "major", d->major);
		skf_jw_ku64(w, "minor", d->minor);
	}
	skf_jw_ku64(w, "fileMode", d->mode);
	skf_jw_ku64(w, "uid", d->users_uid ? g->process.uid : d->uid);
	skf_jw_ku64(w, "gid", d->users_gid ? g->process.gid : d->gid);
	skf_jw_end(w);
}

static void write_node(struct skf_jw *w, const struct skf_gen *g, const char *path, const struct stat *st)
{
	const struct skf_gen_device d = {.path = path,
					 .type = S_ISCHR(st->st_mode) ? 'c' : 'b',
					 .major = major(st->st_rdev),
					 .minor = minor(st->st_rdev),
					 .mode = st->st_mode & 07777,
					 .uid = st->st_uid,
					 .gid = st->st_gid};

	write_device(w, g, &d);
}

/* Directories of /dev that the container has of its own, and the nodes that the runtime makes. */
static bool dev_skipped(const char *path)
{
	static const char *const own[] = {
		"/dev/pts",         "/dev/shm",   "/dev/fd",      "/dev/mqueue",  "/dev/.lxc",
		"/dev/.lxd-mounts", "/dev/.udev", "/dev/console", "/dev/ptmx",    "/dev/null",
		"/dev/zero",        "/dev/full",  "/dev/random",  "/dev/urandom", "/dev/tty",
	};

	for (size_t i = 0; i < SKF_ARRAY_LEN(own); i++)
		if (skf_streq(path, own[i]))
			return true;
	return false;
}

static int write_host_devices(struct skf_jw *w, const struct skf_gen *g, const char *dir, unsigned depth,
			      struct skf_err *e)
{
	SKF_AUTO_FD int fd = skf_openat(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	SKF_AUTO_DIR DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;
	unsigned n = 0;

	if (!d)
		return skf_fail_sys(e, fd < 0 ? fd : -errno, "list the host's devices in '%s'", dir);
	(void)SKF_TAKE_FD(fd); /* d closes it */
	while ((de = readdir(d))) {
		char path[1024];
		struct stat st;

		if (skf_streq(de->d_name, ".") || skf_streq(de->d_name, "..") ||
		    skf_fmt(path, sizeof(path), "%s/%s", dir, de->d_name) < 0 || dev_skipped(path))
			continue;
		if (fstatat(dirfd(d), de->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue; /* unplugged this moment */
		if (S_ISDIR(st.st_mode) && depth < DEV_DEPTH) {
			if (write_host_devices(w, g, path, depth + 1, e) < 0)
				return -1;
		} else if ((S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) && st.st_rdev != makedev(0, 0)) {
			if (++n > SKF_MAX_DEVICES)
				return skf_fail(e, SKF_ELIMIT, "'%s' has more than %d devices", dir,
						SKF_MAX_DEVICES);
			write_node(w, g, path, &st);
		}
	}
	return 0;
}

int skf_gen_devices(struct skf_jw *w, const struct skf_gen *g, struct skf_err *e)
{
	skf_jw_karr(w, "devices");
	for (size_t i = 0; i < g->n_devices; i++)
		write_device(w, g, &g->devices[i]);
	if (g->privileged && write_host_devices(w, g, "/dev", 0, e) < 0)
		return -1;
	skf_jw_end_arr(w);
	return 0;
}
