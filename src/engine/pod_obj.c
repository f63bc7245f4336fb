/* engine/pod_obj.c -- the pod on the disk: pods/<id>/{pod.json,members/<container>}. */
#include "engine/pod_int.h"
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PF(member, key, fn, flags) SKF_J(struct skf_pod, member, key, fn, NULL, flags)
static const struct skf_jfield pod_f[] = {
	PF(id, "id", skf_j_str_nonempty, SKF_J_REQUIRED),
	PF(name, "name", skf_j_str_nonempty, SKF_J_REQUIRED),
	PF(hostname, "hostname", skf_j_str, SKF_J_REQUIRED),
	PF(created, "created", skf_j_str, SKF_J_REQUIRED),
	PF(share, "share", skf_j_u32, SKF_J_REQUIRED),
	PF(exit_policy, "exitPolicy", skf_j_str, SKF_J_REQUIRED),
	PF(userns, "userns", skf_j_str_nonempty, SKF_J_NULL_OK),
	PF(mount_label, "mountLabel", skf_j_str_nonempty, SKF_J_NULL_OK),
	PF(labels, "labels", skf_j_kvs, SKF_J_NULL_OK),
	SKF_J_END,
};
static const struct skf_jtable pod_table = {sizeof(struct skf_pod), pod_f, false, NULL};

int skf_pod_share_parse(const char *words, uint32_t *ret, struct skf_err *e)
{
	static const struct {
		const char *name;
		uint32_t bit;
	} known[] = {{"net", SKF_POD_NET}, {"network", SKF_POD_NET},
		     {"ipc", SKF_POD_IPC}, {"uts", SKF_POD_UTS},
		     {"pid", SKF_POD_PID}, {"cgroup", 0},
		     {"none", 0},          {"", 0}};
	uint32_t set = 0;

	for (const char *p = words;; p++) {
		size_t n = strcspn(p, ","), i;

		for (i = 0; i < SKF_ARRAY_LEN(known); i++)
			if (strlen(known[i].name) == n && memcmp(known[i].name, p, n) == 0)
				break;
		if (i == SKF_ARRAY_LEN(known))
			return skf_fail(e, SKF_EINVALID,
					"invalid kernel namespace to share '%.*s': options are: net, pid, "
					"ipc, uts, cgroup or none",
					(int)n, p);
		set |= known[i].bit;
		p += n;
		if (!*p)
			break;
	}
	*ret = set;
	return 0;
}

static int pods_dir(struct skf_engine *g)
{
	int fd = skf_openat(g->root_fd, "pods", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);

	return fd == -ENOENT ? skf_mkdirs_at(g->root_fd, "pods", 0700) : fd;
}

int skf_pod_dir(struct skf_engine *g, const char *id, int *ret_fd, struct skf_err *e)
{
	SKF_AUTO_FD int pods = pods_dir(g);
	int fd = pods < 0 ? pods : skf_openat(pods, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);

	if (fd == -ENOENT && pods >= 0)
		return skf_fail(e, SKF_ENOTFOUND, "no pod with ID %.12s: no such pod", id);
	if (fd < 0)
		return skf_fail_sys(e, fd, "open '%s/pods/%s'", g->root, id);
	*ret_fd = fd;
	return 0;
}

int skf_pod_load(struct skf_engine *g, const char *id, struct skf_arena *a, struct skf_pod **ret,
		 struct skf_err *e)
{
	const struct skf_jdoc d = {.name = "pod.json", .max_bytes = SKF_MAX_OBJECT_BYTES};
	SKF_AUTO_FD int dir = -EBADF;
	void *v;

	if (skf_pod_dir(g, id, &dir, e) < 0)
		return -1;
	if (skf_json_decode_at(&d, dir, "pod.json", &pod_table, a, &v, e) < 0)
		return skf_ctx(e, "pod %.12s", id);
	*ret = v;
	return 0;
}

int skf_pod_save(int dir, const struct skf_pod *p, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_OBJECT_BYTES);
	struct skf_jw w = SKF_JW(&b);
	int r;

	skf_jw_obj(&w);
	skf_jw_kint(&w, "v", 1);
	skf_jw_kint(&w, "min", 1);
	skf_jw_kstr(&w, "id", p->id);
	skf_jw_kstr(&w, "name", p->name);
	skf_jw_kstr(&w, "hostname", p->hostname);
	skf_jw_kstr(&w, "created", p->created);
	skf_jw_kint(&w, "share", p->share);
	skf_jw_kstr(&w, "exitPolicy", p->exit_policy);
	if (p->userns)
		skf_jw_kstr(&w, "userns", p->userns);
	if (p->mount_label)
		skf_jw_kstr(&w, "mountLabel", p->mount_label);
	skf_jw_kkvs(&w, "labels", &p->labels);
	skf_jw_end(&w);
	r = b.err < 0 ? b.err : skf_write_atomic_at(dir, "pod.json", b.p, b.len, 0600, SKF_SYNC);
	return r < 0 ? skf_fail_sys(e, r, "write pod.json of pod '%s'", p->name) : 0;
}

bool skf_pod_exists(struct skf_engine *g, const char *id)
{
	char path[SKF_ID_LEN + 16];

	return skf_fmt(path, sizeof(path), "pods/%s/pod.json", id) == 0 &&
	       faccessat(g->root_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int list_ids(int fd_own, struct skf_arena *a, struct skf_strv *ret)
{
	SKF_AUTO_DIR DIR *d = fdopendir(fd_own);
	struct dirent *de;

	if (!d) {
		skf_closep(&fd_own);
		return -errno;
	}
	while ((de = readdir(d)))
		if (skf_ctr_id_valid(de->d_name) && skf_strv_add(a, ret, de->d_name) < 0)
			return -ENOMEM;
	return 0;
}

int skf_pod_list(struct skf_engine *g, struct skf_arena *a, struct skf_strv *ret, struct skf_err *e)
{
	int fd = pods_dir(g), r = fd < 0 ? fd : list_ids(fd, a, ret);

	return r < 0 ? skf_fail_sys(e, r, "list '%s/pods'", g->root) : 0;
}

int skf_pod_members(struct skf_engine *g, const char *id, struct skf_arena *a, struct skf_strv *ret,
		    struct skf_err *e)
{
	struct skf_strv all = {0};
	char path[SKF_ID_LEN + 24];
	int fd, r = skf_fmt(path, sizeof(path), "pods/%s/members", id);

	fd = r < 0 ? r : skf_openat(g->root_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	r = fd < 0 ? fd : list_ids(fd, a, &all);
	if (r < 0 && r != -ENOENT)
		return skf_fail_sys(e, r, "list '%s/%s'", g->root, path);
	for (size_t i = 0; i < all.n; i++) {
		if (faccessat(g->ctr_fd, all.v[i], F_OK, AT_SYMLINK_NOFOLLOW) <
		    0) { /* removed; its directory was there before its line here */
			if (skf_pod_member_remove(g, id, all.v[i], e) < 0)
				return -1;
			continue;
		}
		if (skf_fmt(path, sizeof(path), "%s/config.json", all.v[i]) < 0 ||
		    faccessat(g->ctr_fd, path, F_OK, 0) < 0)
			continue; /* not there yet */
		if (skf_strv_add(a, ret, all.v[i]) < 0)
			return skf_fail(e, SKF_ENOMEM, "memory for the containers of pod %.12s", id);
	}
	return 0;
}

static int member_path(const char *id, const char *container, char *out, size_t size)
{
	return skf_fmt(out, size, "pods/%s/members/%s", id, container);
}

int skf_pod_member_add(struct skf_engine *g, const char *id, const char *container, struct skf_err *e)
{
	char path[2 * SKF_ID_LEN + 24];
	int fd, r = member_path(id, container, path, sizeof(path));

	fd = r < 0 ? r : skf_openat(g->root_fd, path, O_WRONLY | O_CREAT | O_NOFOLLOW, 0600);
	if (fd == -ENOENT)
		return skf_fail(e, SKF_ENOTFOUND, "no pod with ID %.12s: no such pod", id);
	if (fd < 0)
		return skf_fail_sys(e, fd, "put container %.12s into pod %.12s", container, id);
	skf_closep(&fd);
	return 0;
}

int skf_pod_member_remove(struct skf_engine *g, const char *id, const char *container, struct skf_err *e)
{
	char path[2 * SKF_ID_LEN + 24];
	int r = member_path(id, container, path, sizeof(path));

	if (r == 0 && unlinkat(g->root_fd, path, 0) < 0 && errno != ENOENT)
		r = -errno;
	return r < 0 ? skf_fail_sys(e, r, "take container %.12s out of pod %.12s", container, id) : 0;
}
