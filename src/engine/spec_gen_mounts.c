/* engine/spec_gen_mounts.c -- "mounts" of a container's config.json: the file systems that every container
 * has, its own hosts, hostname and resolv.conf, and what the plan mounts. Pure, but for a look whether the
 * host has /dev/mqueue. A mount of the plan replaces a default one at the same place. */
#include "engine/spec_gen_int.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum row_kind { PLAIN, PROC, SYS, CGROUP, MQUEUE, SHM };
struct mount_row {
	enum row_kind kind;
	const char *target, *type, *source;
	const char *options; /* comma-joined */
};
static const struct mount_row default_mounts[] = {
	{PROC, "/proc", "proc", "proc", "nosuid,noexec,nodev"},
	{PLAIN, "/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=755,size=65536k"},
	{PLAIN, "/dev/pts", "devpts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5"},
	{SYS, "/sys", "sysfs", "sysfs", "nosuid,noexec,nodev,ro"},
	{CGROUP, "/sys/fs/cgroup", "cgroup", "cgroup", "ro,nosuid,noexec,nodev"},
	{MQUEUE, "/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev"},
	{SHM, "/dev/shm", "tmpfs", "shm", "nosuid,noexec,nodev,mode=1777"},
};

static void write_options(struct skf_jw *w, const char *list, bool writable)
{
	char word[64];

	while (*list) {
		size_t n = strcspn(list, ",");

		if (n < sizeof(word)) {
			memcpy(word, list, n);
			word[n] = '\0';
			skf_jw_str(w, writable && skf_streq(word, "ro") ? "rw" : word);
		}
		list += n + (list[n] == ',');
	}
}

static void begin_mount(struct skf_jw *w, const char *target, const char *type, const char *source)
{
	skf_jw_obj(w);
	skf_jw_kstr(w, "destination", target);
	skf_jw_kstr(w, "type", type);
	skf_jw_kstr(w, "source", source);
	skf_jw_karr(w, "options");
}

static void end_mount(struct skf_jw *w)
{
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

/* A namespace that the container's user namespace does not own: what shows it cannot be mounted from there.
 */
static bool foreign(const struct skf_gen *g, enum skf_gen_ns_kind k)
{
	return g->ns[SKF_NS_USER].on && (!g->ns[k].on || g->ns[k].borrowed);
}

/* The host's own: with its IPC or PID namespace, and where a user namespace may not mount. */
static bool from_host(const struct skf_gen *g, enum row_kind k)
{
	if (k == SHM)
		return !g->ns[SKF_NS_IPC].on;
	if (k == MQUEUE) /* a new mount shows the host's queues, but a user namespace may not make it */
		return foreign(g, SKF_NS_IPC);
	if (k == SYS)
		return foreign(g, SKF_NS_NET);
	return k == PROC && foreign(g, SKF_NS_PID);
}

static void write_default(struct skf_jw *w, const struct skf_gen *g, const struct mount_row *m)
{
	bool writable = g->privileged || (m->kind == CGROUP && g->cgroup_writable);
	char size[40];

	if (from_host(g, m->kind)) {
		begin_mount(w, m->target, "bind", m->target);
		skf_jw_str(w, "rbind");
		write_options(w, "nosuid,noexec,nodev", false);
		if (m->kind == SYS && !writable)
			skf_jw_str(w, "ro");
		end_mount(w);
		return;
	}
	begin_mount(w, m->target, m->type, m->source);
	/* The terminals' group 5 may have no number in a user namespace. */
	if (g->ns[SKF_NS_USER].on && skf_streq(m->type, "devpts"))
		write_options(w, "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620", false);
	else
		write_options(w, m->options, writable);
	if (m->kind == PROC && g->proc_opts)
		write_options(w, g->proc_opts, false);
	if (m->kind == SHM) {
		snprintf(size, sizeof(size), "size=%lld", (long long)g->shm_size);
		skf_jw_str(w, size);
	}
	end_mount(w);
}

static int write_hostfiles(struct skf_jw *w, const struct skf_gen *g, struct skf_err *e)
{
	static const char *const files[] = {"resolv.conf", "hostname", "hosts"};
	char source[4096], target[64];

	for (size_t i = 0; g->hosts_dir && i < SKF_ARRAY_LEN(files); i++) {
		if (skf_fmt(target, sizeof(target), "/etc/%s", files[i]) < 0 ||
		    skf_fmt(source, sizeof(source), "%s/%s", g->hosts_dir, files[i]) < 0)
			return skf_fail(e, SKF_ELIMIT, "the path '%s/%s' is too long", g->hosts_dir,
					files[i]);
		if (has_target(g, target))
			continue; /* the user's own mount wins */
		begin_mount(w, target, "bind", source);
		write_options(w, "rbind,rprivate", false);
		end_mount(w);
	}
	return 0;
}

static void write_init(struct skf_jw *w, const struct skf_gen *g)
{
	static const char target[] = "/sbin/docker-init";

	if (!g->init_path || has_target(g, target))
		return;
	begin_mount(w, target, "bind", g->init_path);
	write_options(w, "rbind,ro,rprivate", false);
	end_mount(w);
}

int skf_gen_mounts(struct skf_jw *w, const struct skf_gen *g, struct skf_err *e)
{
	bool files = false;

	skf_jw_karr(w, "mounts");
	for (size_t i = 0; i < SKF_ARRAY_LEN(default_mounts); i++) {
		const struct mount_row *m = &default_mounts[i];

		if (has_target(g, m->target) || (m->kind == SHM && g->no_shm))
			continue;
		/* Not every host has it mounted. */
		if (m->kind == MQUEUE && from_host(g, MQUEUE) && faccessat(AT_FDCWD, m->target, F_OK, 0) < 0)
			continue;
		write_default(w, g, m);
	}
	for (size_t i = 0; i <= g->n_mounts; i++) {
		const struct skf_gen_mount *m = &g->mounts[i];

		/* A mount over /etc comes before the files in it, one below /etc after them. */
		if (!files && (i == g->n_mounts || strchr(m->target + 1, '/'))) {
			files = true;
			if (write_hostfiles(w, g, e) < 0)
				return -1;
			write_init(w, g);
		}
		if (i == g->n_mounts)
			break;
		begin_mount(w, m->target, m->type, m->source);
		for (size_t j = 0; j < m->options.n; j++)
			skf_jw_str(w, m->options.v[j]);
		end_mount(w);
	}
	skf_jw_end_arr(w);
	return 0;
}
