/* engine/spec_gen_mounts.c -- "mounts" of a container's config.json: the file systems that every container has, its own
 * hosts, hostname and resolv.conf, and what the user mounts. Pure. */
#include "engine/spec_gen_int.h"
#include <string.h>

#define SHM_SIZE "size=67108864"

struct mount_row {
	const char *target, *type, *source;
	const char *options; /* comma-joined */
};
static const struct mount_row default_mounts[] = {
	{"/proc", "proc", "proc", "nosuid,noexec,nodev"},
	{"/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=755,size=65536k"},
	{"/dev/pts", "devpts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5"},
	{"/sys", "sysfs", "sysfs", "nosuid,noexec,nodev,ro"},
	{"/sys/fs/cgroup", "cgroup", "cgroup", "ro,nosuid,noexec,nodev"},
	{"/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev"},
	{"/dev/shm", "tmpfs", "shm", "nosuid,noexec,nodev,mode=1777," SHM_SIZE},
};

static void write_options(struct skf_jw *w, const char *list, bool writable)
{
	char word[64];

	skf_jw_karr(w, "options");
	while (*list) {
		size_t n = strcspn(list, ",");

		if (n < sizeof(word)) {
			memcpy(word, list, n);
			word[n] = '\0';
			skf_jw_str(w, writable && skf_streq(word, "ro") ? "rw" : word);
		}
		list += n + (list[n] == ',');
	}
	skf_jw_end_arr(w);
}

static void write_bind(struct skf_jw *w, const struct skf_gen_mount *m)
{
	skf_jw_obj(w);
	skf_jw_kstr(w, "destination", m->target);
	skf_jw_kstr(w, "type", "bind");
	skf_jw_kstr(w, "source", m->source);
	skf_jw_karr(w, "options");
	skf_jw_str(w, "rbind");
	if (m->readonly)
		skf_jw_str(w, "ro");
	skf_jw_str(w, m->propagation && *m->propagation ? m->propagation : "rprivate");
	skf_jw_end_arr(w);
	skf_jw_end(w);
}

static bool has_target(const struct skf_gen *g, const char *target)
{
	for (size_t i = 0; i < g->n_mounts; i++)
		if (skf_streq(g->mounts[i].target, target))
			return true;
	return false;
}

static int write_hostfiles(struct skf_jw *w, const struct skf_gen *g, struct skf_err *e)
{
	static const char *const files[] = {"resolv.conf", "hostname", "hosts"};
	char source[4096], target[64];

	for (size_t i = 0; g->hosts_dir && i < SKF_ARRAY_LEN(files); i++) {
		struct skf_gen_mount m = {.source = source, .target = target};

		if (skf_fmt(target, sizeof(target), "/etc/%s", files[i]) < 0 ||
		    skf_fmt(source, sizeof(source), "%s/%s", g->hosts_dir, files[i]) < 0)
			return skf_fail(e, SKF_ELIMIT, "the path '%s/%s' is too long", g->hosts_dir,
					files[i]);
		if (!has_target(g, target)) /* the user's own mount wins */
			write_bind(w, &m);
	}
	return 0;
}

static void write_init(struct skf_jw *w, const struct skf_gen *g)
{
	const struct skf_gen_mount m = {.source = g->init_path, .target = "/sbin/docker-init", .readonly = true};

	if (g->init_path && !has_target(g, m.target))
		write_bind(w, &m);
}

int skf_gen_mounts(struct skf_jw *w, const struct skf_gen *g, struct skf_err *e)
{
	skf_jw_karr(w, "mounts");
	for (size_t i = 0; i < SKF_ARRAY_LEN(default_mounts); i++) {
		const struct mount_row *m = &default_mounts[i];

		if (has_target(g, m->target))
			continue;
		skf_jw_obj(w);
		skf_jw_kstr(w, "destination", m->target);
		skf_jw_kstr(w, "type", m->type);
		skf_jw_kstr(w, "source", m->source);
		write_options(w, m->options, g->privileged);
		skf_jw_end(w);
	}
	if (write_hostfiles(w, g, e) < 0)
		return -1;
	write_init(w, g);
	for (size_t i = 0; i < g->n_mounts; i++)
		write_bind(w, &g->mounts[i]);
	skf_jw_end_arr(w);
	return 0;
}
