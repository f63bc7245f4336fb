/* launch/secrets.c -- the secrets of a container at its start: those that are files stand on a tmpfs that
 * exists in no mount namespace but the container's, each with its owner and mode, and are handed to the
 * runtime as sources; those that are variables go into the environment of its process. The copies in the
 * container's directory are read at each start.
 *
 * A helper in a mount namespace of its own mounts the tmpfs, because only a mounted one has files that can
 * be cloned before Linux 6.15. */
#include "launch/launch_int.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/proc.h"
#include "sys/helper.h"
#include "sys/mount.h"
#include "sys/process.h"
#include "sys/selinux.h"
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef const struct skf_ctrconf_secret secret;

static int read_secret(const struct skf_launch *l, secret *s, struct skf_buf *ret)
{
	char path[64];
	int r = skf_fmt(path, sizeof(path), SKF_SECRETS_DIR "/%s", s->file);

	return r < 0 ? r : skf_read_file_at(l->disk_dir, path, SKF_MAX_SECRET_BYTES, ret);
}

/* --- files --- */

static int put_file(const struct skf_launch *l, secret *s)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_SECRET_BYTES);
	SKF_AUTO_FD int fd = -EBADF;
	uint32_t uid, gid;
	int r = read_secret(l, s, &b);

	if (r >= 0)
		r = fd = skf_openat(AT_FDCWD, s->file, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	if (r >= 0)
		r = skf_write_full(fd, b.p, b.len);
	if (r == 0 && (!skf_idmap_to_host(&l->ids.uids, s->uid, &uid) ||
		       !skf_idmap_to_host(&l->ids.gids, s->gid, &gid)))
		r = -EOVERFLOW;
	if (r == 0 && (fchown(fd, uid, gid) < 0 || fchmod(fd, (mode_t)s->mode) < 0))
		r = -errno;
	return r < 0 ? r : skf_open_tree(fd, "", OPEN_TREE_CLONE | AT_EMPTY_PATH);
}

static int mount_tmpfs(const struct skf_launch *l)
{
	const char *label = skf_selinux_is_on() ? l->conf->mount_label : NULL;
	char options[600];
	char place[PATH_MAX] =
		""; /* by name: descriptors lead to the mounts of the namespace that we came from */
	int r = skf_fmt(place, sizeof(place), "%s/containers/%s/rootfs", l->q.root, l->q.id);

	if (r == 0)
		r = skf_mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	if (r == 0)
		r = skf_fmt(options, sizeof(options), "mode=0755%s%s%s", label ? ",context=\"" : "",
			    label ? label : "", label ? "\"" : "");
	if (r == 0)
		r = skf_mount("tmpfs", place, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, options);
	return r == 0 && chdir(place) < 0 ? -errno : r;
}

/* One record for each file, or one that says why not. */
static void helper(void *arg, int sock)
{
	const struct skf_launch *l = arg;
	secret *s = l->conf->secrets.v;
	int r = mount_tmpfs(l);

	for (size_t i = 0; r >= 0 && i < l->conf->secrets.n; i++) {
		SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(64);
		SKF_AUTO_FD int tree = -EBADF;
		struct skf_rec w;

		if (s[i].env)
			continue;
		r = tree = put_file(l, &s[i]);
		if (r < 0)
			break;
		skf_rec_begin(&w, &b, 1, 1);
		skf_rec_u32(&w, 0);
		skf_rec_end(&w);
		r = skf_record_send(sock, &b, &tree, 1);
	}
	if (r < 0) {
		SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(64);
		struct skf_rec w;

		skf_rec_begin(&w, &b, 1, 1);
		skf_rec_u32(&w, (uint32_t)-r);
		skf_rec_end(&w);
		(void)skf_record_send(sock, &b, NULL,
				      0); /* the parent sees the closed socket when this fails */
	}
}

static int take(struct skf_launch *l, int sock, secret *s, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	SKF_AUTO(skf_fds_done) struct skf_fds fds = {.n = 0};
	struct skf_recr r;
	int n = skf_record_recv(sock, &b, &r, &fds, SKF_START_MS);
	uint32_t code = n > 0 ? skf_recr_u32(&r) : 0;

	if (n <= 0 || code || fds.n != 1)
		return skf_fail_sys(e,
				    n < 0  ? n
				    : code ? -(int)code
					   : -EPIPE,
				    "prepare the secret '%s'", s->name);
	l->sources[l->n_sources++] = (struct skf_rt_source){s->target, SKF_TAKE_FD(fds.fd[0])};
	return 0;
}

static size_t count_files(const struct skf_launch *l)
{
	secret *s = l->conf->secrets.v;
	size_t n = 0;

	for (size_t i = 0; i < l->conf->secrets.n; i++)
		n += !s[i].env;
	return n;
}

static int from_helper(struct skf_launch *l, struct skf_err *e)
{
	secret *s = l->conf->secrets.v;
	struct skf_helper h;
	int r = skf_helper_start(CLONE_NEWNS, helper, l, &h);

	if (r < 0)
		return skf_fail_sys(e, r, "start the helper that prepares secrets");
	for (size_t i = 0; r == 0 && i < l->conf->secrets.n; i++)
		if (!s[i].env)
			r = take(l, h.sock, &s[i], e);
	skf_helper_end(&h, r < 0);
	return r;
}

int skf_launch_secrets(struct skf_launch *l, struct skf_err *e)
{
	return count_files(l) && from_helper(l, e) < 0 ? skf_ctx(e, "container '%s'", l->q.id) : 0;
}

/* --- variables --- */

/* In place of one of that name that is there. */
static int put_env(struct skf_launch *l, char *word)
{
	struct skf_strv *env = &l->process->env;
	size_t n = strcspn(word, "=") + 1;

	for (size_t i = 0; i < env->n; i++)
		if (strncmp(env->v[i], word, n) == 0) {
			env->v[i] = word;
			return 0;
		}
	return skf_strv_add(&l->arena, env, word);
}

int skf_launch_secret_env(struct skf_launch *l, struct skf_err *e)
{
	secret *s = l->conf->secrets.v;

	for (size_t i = 0; i < l->conf->secrets.n; i++) {
		SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_SECRET_BYTES);
		int r = s[i].env ? read_secret(l, &s[i], &b) : 0;
		char *word = r < 0 || !s[i].env
				     ? NULL
				     : skf_arena_fmt(&l->arena, "%s=%s", s[i].target, skf_buf_cstr(&b));

		if (s[i].env && r >= 0)
			r = word ? put_env(l, word) : -ENOMEM;
		if (r < 0)
			return skf_fail_sys(e, r, "prepare the secret '%s' of container '%s'", s[i].name,
					    l->q.id);
	}
	return 0;
}
