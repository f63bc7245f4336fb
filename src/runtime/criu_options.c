/* runtime/criu_options.c -- what checkpoint and restore have in common besides the conversation of criu.c:
 * the options of a request, the directories that they name, and what criu's log says of a failure.
 *
 * Invariant: criu follows links when it opens its files as root. So nothing is begun when the image
 * directory, which may come out of an archive of somebody else's, has links or special files, or the work
 * directory has them in the place of criu's own files (T25). Whoever can change the directories meanwhile is
 * trusted.
 *
 * Blocks on the disk only. */
#include "runtime/criu_int.h"

#include "base/limits.h"
#include "oci/spec.h"

#include <dirent.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- options --- */
static const struct word {
	const char *name;
	int value;
} cg_modes[] =
	{
		{"none", SKF_CRIU_CG_NONE},
		{"props", SKF_CRIU_CG_PROPS},
		{"soft", SKF_CRIU_CG_SOFT},
		{"full", SKF_CRIU_CG_FULL},
		{"strict", SKF_CRIU_CG_STRICT},
		{"ignore", SKF_CRIU_CG_IGNORE},
		{NULL, 0},
},
  lock_methods[] = {{"iptables", 1}, {"nftables", 2}, {"skip", 3}, {NULL, 0}};

/* An empty word counts as absent: that is how engines pass what was not asked for. */
static int find_word(const struct word *w, const char *option, const char *name, int *ret, struct skf_err *e)
{
	if (!name || !*name)
		return 0;
	for (; w->name; w++)
		if (skf_streq(w->name, name)) {
			*ret = w->value;
			return 0;
		}
	return skf_fail(e, SKF_EINVALID, "option --%s: unknown value '%s'; see --help", option, name);
}

static const char *present(const char *s)
{
	return s && *s ? s : NULL;
}

static int open_dir(const char *what, const char *path, bool create, struct skf_err *e)
{
	int fd = create ? skf_mkdirs_at(AT_FDCWD, path, 0700)
			: skf_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);

	return fd < 0 ? skf_fail_sys(e, fd, "open %s directory '%s'", what, path) : fd;
}

/* What criu itself makes in a work directory, which may be somebody's directory of other things. */
static bool is_work_file(const char *name)
{
	return skf_endswith(name, ".log") || skf_startswith(name, "stats-") || skf_startswith(name, ".criu");
}

/* The invariant. The one link of an image directory is to the pre-dump before. */
static int check_entry(int dir, const char *name, bool images, const char *path, struct skf_err *e)
{
	struct stat st;

	if ((!images && !is_work_file(name)) || (images && skf_streq(name, "parent")))
		return 0;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : skf_fail_errno(e, "'%s/%s'", path, name);
	if (S_ISDIR(st.st_mode) || S_ISSOCK(st.st_mode) || (S_ISREG(st.st_mode) && st.st_nlink == 1))
		return 0;
	return skf_fail(e, SKF_EDENIED,
			"'%s/%s' is %s: criu would follow it as root; remove it or choose another directory",
			path, name,
			S_ISLNK(st.st_mode)   ? "a symbolic link"
			: S_ISREG(st.st_mode) ? "a file with another name"
					      : "not a regular file");
}

static int check_dir(int dir, bool images, const char *path, struct skf_err *e)
{
	int fd = skf_openat(dir, ".", O_RDONLY | O_DIRECTORY, 0), r = 0;
	SKF_AUTO_DIR DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;

	if (!d) {
		r = fd < 0 ? fd : skf_errno();
		skf_closep(&fd);
		return skf_fail_sys(e, r, "read directory '%s'", path);
	}
	while (r == 0 && (de = readdir(d)))
		if (!skf_streq(de->d_name, ".") && !skf_streq(de->d_name, ".."))
			r = check_entry(dir, de->d_name, images, path, e);
	return r;
}

/* Ours first, then those of crun and runc, whose users may move over. A file that is not there is ignored by
 * criu. */
static const char *config_file(const struct skf_kvs *annotations)
{
	static const char *const files[] = {"/etc/criu/skiff.conf", "/etc/criu/crun.conf",
					    "/etc/criu/runc.conf"};
	const char *own = skf_kvs_get(annotations, "org.criu.config");

	if (own)
		return present(own);
	for (size_t i = 0; i + 1 < SKF_ARRAY_LEN(files); i++)
		if (access(files[i], F_OK) == 0)
			return files[i];
	return files[SKF_ARRAY_LEN(files) - 1];
}

int skf_criu_common(const struct skf_rt_criu *o, const struct skf_kvs *annotations, bool create, int dirs[2],
		    struct skf_criu_opts *ret, struct skf_err *e)
{
	if (geteuid() != 0)
		return skf_fail(e, SKF_EUNSUPPORTED, "checkpoint and restore need root, as criu does");
	for (size_t i = 0; i < o->empty_ns.n; i++)
		if (!skf_streq(o->empty_ns.v[i], "network"))
			return skf_fail(e, SKF_EINVALID,
					"option --empty-ns: namespace '%s' is not supported; only "
					"'network' is",
					o->empty_ns.v[i]);
	ret->cgroups_mode = SKF_CRIU_CG_SOFT;
	if (find_word(cg_modes, "manage-cgroups-mode", o->manage_cgroups_mode, &ret->cgroups_mode, e) < 0 ||
	    find_word(lock_methods, "network-lock", o->network_lock, &ret->network_lock, e) < 0)
		return -1;
	if (!present(o->image_path))
		return skf_fail(e, SKF_EINVALID, "the directory of the image files is missing");
	dirs[0] = open_dir("image", o->image_path, create, e);
	if (dirs[0] < 0 || check_dir(dirs[0], true, o->image_path, e) < 0)
		return -1;
	if (present(o->work_path)) {
		dirs[1] = open_dir("work", o->work_path, true, e);
		if (dirs[1] < 0 || check_dir(dirs[1], false, o->work_path, e) < 0)
			return -1;
	}
	ret->log_level = 4;
	ret->notify_scripts = ret->manage_cgroups = ret->orphan_pts_master = true;
	ret->empty_ns = CLONE_NEWNET;
	ret->config_file = config_file(annotations);
	ret->tcp_established = o->tcp_established;
	ret->tcp_close = o->tcp_close;
	ret->ext_unix_sk = o->ext_unix_sk;
	ret->shell_job = o->shell_job;
	ret->file_locks = o->file_locks;
	ret->auto_dedup = o->auto_dedup;
	ret->lazy_pages = o->lazy_pages;
	return 0;
}

/* --- failures --- */
/* The end of the log; its first line may be cut. */
static void read_log(int dir, const char *name, struct skf_buf *b)
{
	SKF_AUTO_FD int fd = skf_openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return;
	if (st.st_size > (off_t)SKF_MAX_CRIU_LOG &&
	    lseek(fd, st.st_size - (off_t)SKF_MAX_CRIU_LOG, SEEK_SET) < 0)
		return;
	if (skf_read_fd(fd, SKF_MAX_CRIU_LOG, b) < 0)
		skf_buf_clear(b);
}

/* "(00.012) Error (criu/file.c:12): it went wrong" -> "it went wrong"; NULL: no error. */
static const char *error_of(char *line)
{
	char *p = strstr(line, "Error (");
	char *text = p ? strstr(p, "): ") : NULL;

	if (!text)
		return NULL;
	text += 3;
	for (p = text; *p; p++)
		if ((unsigned char)*p < ' ')
			*p = ' ';
	return text;
}

/* The last errors that fit, in their order. */
static void last_errors(struct skf_buf *log, size_t room, char *out, size_t size)
{
	size_t used = 0;

	out[0] = '\0';
	for (size_t at = log->len; log->p && at > 0;) {
		const char *text;
		size_t n;

		while (at > 0 && log->p[at - 1] != '\n')
			at--;
		text = error_of(log->p + at);
		if (at > 0)
			log->p[--at] = '\0';
		n = text ? strlen(text) : 0;
		if (!text || strstr(text, "RLIMIT_NOFILE")) /* criu goes on after that one */
			continue;
		if (used == 0 && n > room)
			n = room;
		if (used + n + 2 > room + 2 || used + n + 3 > size)
			return;
		memmove(out + n + (used ? 2 : 0), out, used + 1);
		memcpy(out, text, n);
		if (used)
			memcpy(out + n, "; ", 2);
		used = strlen(out);
	}
}

int skf_criu_failed(const struct skf_rt_criu *o, const int dirs[2], const char *log_name,
		    const struct skf_criu_resp *r, const char *what, struct skf_err *e)
{
	const char *dir = dirs[1] >= 0 ? o->work_path : o->image_path;
	SKF_AUTO(skf_buf_done) struct skf_buf log = SKF_BUF(SKF_MAX_CRIU_LOG + 4096);
	size_t fixed = strlen(dir) + strlen(log_name) + strlen(what) + 64,
	       room = fixed < 400 ? 460 - fixed : 60;
	char errors[sizeof(e->msg)], code[80] = "";

	read_log(dirs[1] >= 0 ? dirs[1] : dirs[0], log_name, &log);
	last_errors(&log, room, errors, sizeof(errors));
	if (!errors[0] && r->errmsg.n > 0) {
		size_t n = r->errmsg.n < room ? r->errmsg.n : room;

		memcpy(errors, r->errmsg.p, n);
		errors[n] = '\0';
		(void)error_of(errors); /* makes it one line */
	}
	if (!errors[0] && r->cr_errno > 0 && skf_fmt(code, sizeof(code), "%s", strerror(r->cr_errno)) < 0)
		code[0] = '\0';
	return skf_fail(e, SKF_ESYSTEM, "criu cannot %s: %s (log: %s/%s)", what,
			errors[0] ? errors
			: code[0] ? code
				  : "it does not say why",
			dir, log_name);
}
