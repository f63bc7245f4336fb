/* Builds, enters and checks real roots in new namespaces: with a user namespace (any user), and again
 * without when run as root. A case gives the mounts of the spec, a shell-free preparation of the root
 * directory and a check that runs inside after the last step. Skipped with a reason where namespaces are
 * refused. */
#include "../base/util.h"
#include "base/arena.h"
#include "base/buf.h"
#include "runtime/rootfs_int.h"
#include "sys/process.h"
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#define ALL_NS (CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWUTS)
#define PROC   "{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":\"proc\"}"
#define DEV                                                                                                 \
	"{\"destination\":\"/"                                                                              \
	"dev\",\"type\":\"tmpfs\",\"source\":\"tmpfs\",\"options\":[\"nosuid\",\"strictatime\",\"mode="     \
	"755\","                                                                                            \
	"\"size=65536k\"]}"
#define PTS                                                                                                 \
	"{\"destination\":\"/dev/"                                                                          \
	"pts\",\"type\":\"devpts\",\"source\":\"devpts\",\"options\":[\"nosuid\",\"noexec\","               \
	"\"newinstance\",\"ptmxmode=0666\",\"mode=0620\"]}"

struct tcase {
	const char *mounts, *linux_, *top; /* members of the JSON objects, may be NULL */
	void (*prepare)(const struct tdir *d, int root);
	void (*check)(struct skf_start *s);
	const char *fails; /* part of the expected message */
	bool no_pivot, terminal;
	bool detached; /* the root is given as a detached mount (needs root) ... */
	bool no_path;  /* ... and the spec has no root.path */
};

#define CHECK(x)                                                                                            \
	do {                                                                                                \
		if (!(x)) {                                                                                 \
			fprintf(stderr, "inside, line %d: %s (%m)\n", __LINE__, #x);                        \
			_exit(3);                                                                           \
		}                                                                                           \
	} while (0)

static bool is_null(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3);
}

static bool link_is(const char *path, const char *want)
{
	char b[256];
	ssize_t n = readlink(path, b, sizeof(b));
	return n == (ssize_t)strlen(want) && memcmp(b, want, (size_t)n) == 0;
}

static bool gone(const char *path)
{
	return access(path, F_OK) < 0 && errno == ENOENT;
}

static bool is_readonly_mount(const char *path)
{
	struct statfs f;
	return statfs(path, &f) == 0 && f.f_flags & ST_RDONLY;
}

static bool file_is(const char *path, const char *want)
{
	char b[256];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, b, sizeof(b));
	close(fd);
	return n == (ssize_t)strlen(want) && memcmp(b, want, (size_t)n) == 0;
}

static void put(int dir, const char *path, const char *text)
{
	int fd = openat(dir, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

/* --- the harness --- */

static struct skf_spec *make_spec(const struct tcase *c, bool userns, struct skf_arena *a)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(1 << 20);
	struct skf_err e = SKF_ERR_INIT;
	struct skf_spec *spec = NULL;
	static const struct skf_spec_opts o = {.name = "config.json"};

	skf_buf_fmt(&b,
		    "{\"ociVersion\":\"1.0.2\",%s%s%s\"process\":{\"cwd\":\"/\",\"args\":[\"x\"],"
		    "\"user\":{\"uid\":0,\"gid\":0}},\"mounts\":[%s],\"linux\":{\"namespaces\":[{\"type\":"
		    "\"mount\"},{\"type\":\"pid\"},"
		    "{\"type\":\"ipc\"},{\"type\":\"network\"},{\"type\":\"uts\"}%s]%s%s}}",
		    c->no_path ? "" : "\"root\":{\"path\":\"root\"",
		    c->no_path ? ""
		    : c->top   ? c->top
			       : "",
		    c->no_path ? "" : "},", c->mounts ? c->mounts : "", userns ? ",{\"type\":\"user\"}" : "",
		    userns ? ",\"uidMappings\":[{\"containerID\":0,\"hostID\":0,\"size\":1}],"
			     "\"gidMappings\":[{\"containerID\":0,"
			     "\"hostID\":0,\"size\":1}]"
			   : "",
		    c->linux_ ? c->linux_ : "");
	if (skf_spec_parse(b.p, b.len, &o, a, &spec, &e) < 0)
		fail_msg("%s\n%s", e.msg, b.p);
	return spec;
}

/* The order of runtime_int.h. */
static int run_steps(struct skf_start *s, const struct tcase *c, struct skf_err *e)
{
	SKF_AUTO_FD int pts = -EBADF, master = -EBADF, peer = -EBADF;

	if (skf_rootfs_build(s, e) < 0)
		return -1;
	if (c->terminal) {
		pts = skf_rootfs_ptsdir(s);
		CHECK(pts >= 0);
		CHECK(skf_pty_open(pts, &master, &peer) == 0);
		if (skf_rootfs_console(s, peer, e) < 0)
			return -1;
	}
	if (skf_rootfs_enter(s, e) < 0)
		return -1;
	return skf_rootfs_finish(s, e);
}

static void child(struct skf_start *s, const struct tcase *c, int go)
{
	struct skf_err e = SKF_ERR_INIT;
	char b;

	CHECK(read(go, &b, 1) == 1);
	int r = run_steps(s, c, &e);
	if (c->fails) {
		if (r == 0 || !strstr(e.msg, c->fails)) {
			fprintf(stderr, "expected a failure with '%s', got '%s'\n", c->fails,
				r ? e.msg : "success");
			_exit(4);
		}
	} else if (r < 0) {
		fprintf(stderr, "%s\n", e.msg);
		_exit(5);
	} else {
		CHECK(gone("/tmp/skf-unit-host"));
		if (c->check)
			c->check(s);
	}
	_exit(0);
}

static void write_map(pid_t pid, const char *name, const char *text)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void close_fds(struct skf_start *s)
{
	skf_sources_release(s, true);
	skf_closep(&s->root_fd);
	for (size_t i = 0; i < s->spec->mounts.n; i++)
		skf_closep(&s->mount_fds[i]);
}

static void run_one(const struct tcase *c, struct tdir *d, bool userns)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(8 << 20);
	struct skf_err e = SKF_ERR_INIT;
	struct skf_log log = {.fd = 2, .max = getenv("SKF_TEST_DEBUG") ? SKF_LOG_DEBUG : SKF_LOG_WARN};
	struct skf_rt rt = {.log = &log, .rootfd = -EBADF};
	struct skf_rt_create req = {.id = "t",
				    .bundle = d->path,
				    .bundle_fd = d->fd,
				    .root_mount_fd = -1,
				    .no_pivot = c->no_pivot};
	struct skf_start s = {.rt = &rt,
			      .req = &req,
			      .arena = &a,
			      .state_fd = -EBADF,
			      .cg_fd = -EBADF,
			      .root_fd = -EBADF,
			      .proc_fd = -EBADF,
			      .userns = userns,
			      .ns_new = ALL_NS | (userns ? CLONE_NEWUSER : 0)};
	struct skf_clone cl = {.flags = s.ns_new, .exit_signal = SIGCHLD, .cgroup_fd = -1};
	int go[2], pidfd = -EBADF, status;
	char map[32];

	s.spec = make_spec(c, userns, &a);
	SKF_AUTO_FD int root = c->detached ? skf_open_tree(d->fd, "root", OPEN_TREE_CLONE) : -EBADF;
	if (c->detached) {
		struct mount_attr private = {.propagation = MS_PRIVATE};
		assert_true(root >= 0);
		assert_int_equal(skf_mount_setattr(root, "", AT_EMPTY_PATH, &private), 0);
		req.root_mount_fd = root;
	}
	int r = skf_rootfs_prepare(&s, &e);
	if (r < 0 && c->fails && strstr(e.msg, c->fails)) {
		close_fds(&s);
		return;
	}
	if (r < 0)
		fail_msg("prepare: %s", e.msg);
	assert_int_equal(pipe(go), 0);
	pid_t pid = skf_clone3(&cl, &pidfd);
	if (pid == -EPERM || pid == -ENOSPC) {
		print_message("skipped: new namespaces are refused here\n");
		skip();
	}
	assert_true(pid >= 0);
	if (pid == 0)
		child(&s, c, go[0]);
	if (userns) {
		write_map(pid, "setgroups", "deny");
		snprintf(map, sizeof(map), "0 %u 1", geteuid());
		write_map(pid, "uid_map", map);
		snprintf(map, sizeof(map), "0 %u 1", getegid());
		write_map(pid, "gid_map", map);
	}
	assert_int_equal(write(go[1], "x", 1), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(go[0]);
	close(go[1]);
	close(pidfd);
	close_fds(&s);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		fail_msg("case failed %s a user namespace: status %x", userns ? "with" : "without",
			 (unsigned)status);
}

static void run_case(const struct tcase *c, bool userns)
{
	void *state = NULL;

	assert_int_equal(tdir_setup(&state), 0);
	struct tdir *d = state;
	assert_int_equal(chmod(d->path, 0755), 0);
	assert_int_equal(mkdirat(d->fd, "root", 0755), 0);
	assert_int_equal(mkdirat(d->fd, "canary", 0755), 0);
	put(d->fd, "canary/ptmx", "decoy");
	SKF_AUTO_FD int root = openat(d->fd, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c->prepare)
		c->prepare(d, root);
	run_one(c, d, userns);
	/* The host's side is as it was: one decoy, unchanged. */
	char path[128];
	snprintf(path, sizeof(path), "%s/canary/ptmx", d->path);
	assert_true(file_is(path, "decoy"));
	SKF_AUTO_DIR DIR *dir = fdopendir(openat(d->fd, "canary", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	unsigned n = 0;
	while (readdir(dir))
		n++;
	assert_int_equal(n, 3);
	tdir_teardown(&state);
}

static void run(const struct tcase *c)
{
	unsigned before = count_fds();

	run_case(c, true);
	if (geteuid() == 0)
		run_case(c, false);
	assert_int_equal(count_fds(), before);
}

/* --- the default set --- */

static void check_default(struct skf_start *s)
{
	struct stat st;

	CHECK(s->proc_fd >= 0);
	CHECK(is_null("/dev/null"));
	CHECK(stat("/dev/zero", &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 5));
	CHECK(stat("/dev/tty", &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(5, 0));
	CHECK(stat("/dev/full", &st) == 0 && stat("/dev/random", &st) == 0 &&
	      stat("/dev/urandom", &st) == 0);
	CHECK(link_is("/dev/ptmx", "pts/ptmx") && link_is("/dev/fd", "/proc/self/fd") &&
	      link_is("/dev/stderr", "/proc/self/fd/2"));
	CHECK(stat("/dev/pts/ptmx", &st) == 0);
	CHECK(stat("/dev", &st) == 0 && (st.st_mode & 07777) == 0755);
	CHECK((is_null("/proc/kcore") || gone("/proc/kcore")) &&
	      (is_null("/proc/keys") || gone("/proc/keys")) && is_null("/proc/uptime"));
	CHECK(is_readonly_mount("/proc/acpi") || gone("/proc/acpi"));
	CHECK(is_readonly_mount("/proc/sys") &&
	      open("/proc/sys/net/ipv4/ip_forward", O_WRONLY | O_CLOEXEC) < 0 && errno == EROFS);
	CHECK(file_is("/proc/sys/net/ipv4/ip_forward", "1\n"));
	CHECK(is_readonly_mount("/") && open("/new", O_WRONLY | O_CREAT | O_CLOEXEC, 0600) < 0 &&
	      errno == EROFS);
	CHECK(access("/secret/file", F_OK) < 0 && is_readonly_mount("/secret"));
	CHECK(is_null("/hidden"));
	CHECK(file_is("/keep", "kept"));
	CHECK(mkdir("/secret/x", 0700) < 0 && errno == EROFS);
}

static void prepare_default(const struct tdir *d, int root)
{
	assert_int_equal(mkdirat(root, "secret", 0755), 0);
	put(root, "secret/file", "s");
	put(root, "hidden", "h");
	put(root, "keep", "kept");
}

static const struct tcase default_case = {
	.mounts = PROC "," DEV "," PTS,
	.top = ",\"readonly\":true",
	.linux_ = ",\"sysctl\":{\"net.ipv4.ip_forward\":\"1\"},\"maskedPaths\":[\"/proc/kcore\",\"/proc/"
		  "uptime\",\"/proc/keys\",\"/proc/acpi\",\"/secret\","
		  "\"/hidden\",\"/not/there\",\"/keep/not-a-dir\"],\"readonlyPaths\":[\"/proc/sys\",\"/proc/"
		  "bus\",\"/nor/this\"]",
	.prepare = prepare_default,
	.check = check_default,
};

static void default_set(void **state)
{
	run(&default_case);
}

static void no_pivot(void **state)
{
	struct tcase c = default_case;

	c.no_pivot = true;
	run(&c);
}

/* --- T02: what covers /proc --- */

static void prepare_fake_proc(const struct tdir *d, int root)
{
	assert_int_equal(mkdirat(d->fd, "fake", 0755), 0);
	put(d->fd, "fakefile", "f");
	assert_int_equal(symlinkat("proc", root, "alias"), 0);
}

static void proc_is_not_covered(void **state)
{
	static const struct tcase c[] = {
		{.mounts = PROC
		 ",{\"destination\":\"/proc\",\"type\":\"bind\",\"source\":\"fake\",\"options\":[\"bind\"]}",
		 .fails = "only be covered by procfs"},
		{.mounts = "{\"destination\":\"/"
			   "proc\",\"type\":\"bind\",\"source\":\"fake\",\"options\":[\"bind\"]}",
		 .fails = "only be covered by procfs"},
		{.mounts = "{\"destination\":\"/x/../proc/\",\"type\":\"tmpfs\",\"source\":\"tmpfs\"}",
		 .fails = "only be covered by procfs"},
		{.mounts = PROC ",{\"destination\":\"/alias\",\"type\":\"tmpfs\",\"source\":\"tmpfs\"}",
		 .fails = "only be covered by procfs"},
		{.mounts = PROC ",{\"destination\":\"/alias/sys\",\"type\":\"tmpfs\",\"source\":\"tmpfs\"}",
		 .fails = "is inside /proc"},
		{.mounts = PROC ",{\"destination\":\"/proc/sys/"
				"kernel\",\"type\":\"bind\",\"source\":\"fake\",\"options\":[\"rbind\"]}",
		 .fails = "is inside /proc"},
		{.mounts =
			 PROC ",{\"destination\":\"/proc/1/attr\",\"type\":\"tmpfs\",\"source\":\"tmpfs\"}",
		 .fails = "is inside /proc"},
		{.mounts = PROC ",{\"destination\":\"/\",\"type\":\"tmpfs\",\"source\":\"tmpfs\"}",
		 .fails = "the root itself"},
	};

	for (size_t i = 0; i < SKF_ARRAY_LEN(c); i++) {
		struct tcase one = c[i];
		one.prepare = prepare_fake_proc;
		run(&one);
	}
}

static void check_cpuinfo(struct skf_start *s)
{
	CHECK(file_is("/proc/cpuinfo", "f"));
}

static void emulated_proc_files(void **state)
{
	run(&(struct tcase){
		.mounts = PROC ",{\"destination\":\"/proc/"
			       "cpuinfo\",\"type\":\"bind\",\"source\":\"fakefile\",\"options\":[\"bind\"]}",
		.prepare = prepare_fake_proc,
		.check = check_cpuinfo,
	});
}

static void prepare_linked_proc(const struct tdir *d, int root)
{
	assert_int_equal(mkdirat(root, "elsewhere", 0755), 0);
	assert_int_equal(symlinkat("elsewhere", root, "proc"), 0);
}

static void prepare_file_proc(const struct tdir *d, int root)
{
	put(root, "proc", "");
}

static void proc_needs_a_directory(void **state)
{
	run(&(struct tcase){.mounts = PROC, .prepare = prepare_linked_proc, .fails = "ordinary directory"});
	run(&(struct tcase){.mounts = PROC, .prepare = prepare_file_proc, .fails = "ordinary directory"});
}

/* --- T04, T05, T06, T08: hostile /dev and mount points --- */

static void prepare_dev_abs(const struct tdir *d, int root)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/canary", d->path);
	assert_int_equal(symlinkat(path, root, "dev"), 0);
}

static void prepare_dev_rel(const struct tdir *d, int root)
{
	assert_int_equal(symlinkat("../canary", root, "dev"), 0);
}

static void check_dev_inside(struct skf_start *s)
{
	CHECK(is_null("/dev/null") && link_is("/dev/ptmx", "pts/ptmx"));
}

static void dev_link_stays_inside(void **state)
{
	static void (*const prep[])(const struct tdir *, int) = {prepare_dev_abs, prepare_dev_rel};
	static const char *const mounts[] = {NULL, DEV, DEV "," PTS, PTS};

	for (size_t i = 0; i < SKF_ARRAY_LEN(prep); i++)
		for (size_t k = 0; k < SKF_ARRAY_LEN(mounts); k++)
			run(&(struct tcase){
				.mounts = mounts[k], .prepare = prep[i], .check = check_dev_inside});
}

static void prepare_false_null(const struct tdir *d, int root)
{
	assert_int_equal(mkdirat(d->fd, "dev", 0755), 0);
	put(d->fd, "dev/null", "not null");
	put(root, "hidden", "h");
}

static void prepare_link_null(const struct tdir *d, int root)
{
	assert_int_equal(mkdirat(d->fd, "dev", 0755), 0);
	assert_int_equal(symlinkat("/keep", d->fd, "dev/null"), 0);
	put(root, "keep", "k");
	put(root, "hidden", "h");
}

static void masks_need_the_real_null(void **state)
{
	struct tcase c = {
		.mounts = "{\"destination\":\"/"
			  "dev\",\"type\":\"bind\",\"source\":\"dev\",\"options\":[\"rbind\"]}",
		.linux_ = ",\"maskedPaths\":[\"/hidden\"]",
		.prepare = prepare_false_null,
		.fails = "not the null device",
	};
	run(&c);
	c.prepare = prepare_link_null;
	run(&c);
}

static void prepare_wrong_nodes(const struct tdir *d, int root)
{
	assert_int_equal(mkdirat(root, "dev", 0755), 0);
	put(root, "dev/null", "file");
	put(root, "dev/ptmx", "file");
	put(root, "keep", "k");
	assert_int_equal(symlinkat("/keep", root, "dev/zero"), 0);
	assert_int_equal(symlinkat("/keep", root, "dev/console"), 0);
}

static void check_right_nodes(struct skf_start *s)
{
	struct stat st;

	CHECK(is_null("/dev/null") && link_is("/dev/ptmx", "pts/ptmx"));
	CHECK(lstat("/dev/zero", &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 5));
	CHECK(lstat("/dev/console", &st) == 0 && S_ISCHR(st.st_mode) && major(st.st_rdev) == 136);
	CHECK(file_is("/keep", "k"));
}

static void wrong_nodes_are_replaced(void **state)
{
	run(&(struct tcase){.mounts = PTS,
			    .prepare = prepare_wrong_nodes,
			    .check = check_right_nodes,
			    .terminal = true});
}

static void check_console(struct skf_start *s)
{
	struct stat st;
	CHECK(lstat("/dev/console", &st) == 0 && S_ISCHR(st.st_mode) && major(st.st_rdev) == 136);
}

static void console(void **state)
{
	run(&(struct tcase){.mounts = PROC "," DEV "," PTS, .check = check_console, .terminal = true});
}

static void prepare_linked_targets(const struct tdir *d, int root)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/canary", d->path);
	assert_int_equal(symlinkat(path, root, "data"), 0);
	assert_int_equal(mkdirat(d->fd, "vol", 0755), 0);
	put(d->fd, "vol/v", "volume");
}

static void check_linked_targets(struct skf_start *s)
{
	CHECK(file_is("/data/v", "volume") && file_is("/data2/deep/v", "volume") &&
	      file_is("/one/file", "volume"));
}

static void missing_targets_are_made_inside(void **state)
{
	run(&(struct tcase){
		.mounts =
			"{\"destination\":\"/"
			"data\",\"type\":\"bind\",\"source\":\"vol\",\"options\":[\"bind\"]},"
			"{\"destination\":\"/data2/"
			"deep\",\"type\":\"none\",\"source\":\"vol\",\"options\":[\"rbind\",\"rprivate\"]},"
			"{\"destination\":\"/one/file\",\"source\":\"vol/v\",\"options\":[\"bind\"]}",
		.prepare = prepare_linked_targets,
		.check = check_linked_targets,
	});
}

/* --- binds --- */

static void check_bind_flags(struct skf_start *s)
{
	struct statfs f;

	CHECK(statfs("/a", &f) == 0 && (f.f_flags & (ST_RDONLY | ST_NOSUID | ST_NODEV | ST_NOEXEC)) ==
					       (ST_RDONLY | ST_NOSUID | ST_NODEV | ST_NOEXEC));
	CHECK(statfs("/b", &f) == 0 && !(f.f_flags & ST_RDONLY));
	CHECK(mkdir("/b/made", 0755) == 0);
	CHECK(statfs("/c", &f) == 0 && f.f_flags & ST_RDONLY);
	/* The access-time field is locked where the mounts come from an outer user namespace. */
	CHECK(f.f_flags & ST_NOATIME || s->userns);
	CHECK(link_is("/copied", "v"));
}

static void prepare_bind(const struct tdir *d, int root)
{
	assert_int_equal(mkdirat(d->fd, "vol", 0755), 0);
	put(d->fd, "vol/v", "volume");
	assert_int_equal(symlinkat("v", d->fd, "vol/link"), 0);
	put(root, "file", "f");
}

static void binds(void **state)
{
	run(&(struct tcase){
		.mounts = "{\"destination\":\"/"
			  "a\",\"type\":\"bind\",\"source\":\"vol\",\"options\":[\"bind\",\"ro\",\"nosuid\","
			  "\"nodev\",\"noexec\"]},"
			  "{\"destination\":\"/"
			  "b\",\"type\":\"bind\",\"source\":\"vol\",\"options\":[\"rbind\",\"rw\","
			  "\"rslave\"]},"
			  "{\"destination\":\"/"
			  "c\",\"type\":\"bind\",\"source\":\"vol\",\"options\":[\"rbind\",\"rro\","
			  "\"rnoatime\"]},"
			  "{\"destination\":\"/copied\",\"type\":\"bind\",\"source\":\"vol/"
			  "link\",\"options\":[\"rbind\",\"copy-symlink\"]}",
		.prepare = prepare_bind,
		.check = check_bind_flags,
	});
	run(&(struct tcase){.mounts = "{\"destination\":\"/"
				      "a\",\"type\":\"bind\",\"source\":\"absent\",\"options\":[\"bind\"]}",
			    .prepare = prepare_bind,
			    .fails = "cannot open source 'absent'"});
	run(&(struct tcase){.mounts = "{\"destination\":\"/"
				      "file\",\"type\":\"bind\",\"source\":\"vol\",\"options\":[\"bind\"]}",
			    .prepare = prepare_bind,
			    .fails = "mount '/file'"});
	run(&(struct tcase){.mounts = "{\"destination\":\"/b\",\"type\":\"nosuchfs\",\"source\":\"x\"}",
			    .fails = "nosuchfs"});
	run(&(struct tcase){
		.mounts = "{\"destination\":\"/b\",\"type\":\"tmpfs\",\"options\":[\"nonsense=1\"]}",
		.fails = "nonsense"});
	run(&(struct tcase){.mounts = "{\"destination\":\"/b\",\"source\":\"vol\"}",
			    .fails = "neither a type"});
}

/* --- tmpfs --- */

static void prepare_copyup(const struct tdir *d, int root)
{
	assert_int_equal(mkdirat(root, "var", 0755), 0);
	assert_int_equal(mkdirat(root, "var/sub", 0700), 0);
	put(root, "var/sub/file", "content");
	assert_int_equal(symlinkat("/etc/shadow", root, "var/link"), 0);
	assert_int_equal(mkfifoat(root, "var/fifo", 0600), 0);
	assert_int_equal(mkdirat(root, "sticky", 0755), 0);
	assert_int_equal(fchmodat(root, "sticky", 01777, 0), 0);
}

static void check_copyup(struct skf_start *s)
{
	struct stat st;

	CHECK(file_is("/var/sub/file", "content") && link_is("/var/link", "/etc/shadow"));
	CHECK(stat("/var/sub", &st) == 0 && (st.st_mode & 07777) == 0700);
	CHECK(lstat("/var/fifo", &st) == 0 && S_ISFIFO(st.st_mode));
	CHECK(stat("/var", &st) == 0 && (st.st_mode & 07777) == 0755 && is_readonly_mount("/var"));
	CHECK(stat("/var/late", &st) == 0 && S_ISDIR(st.st_mode));
	CHECK(stat("/sticky", &st) == 0 && (st.st_mode & 07777) == 01777);
	CHECK(stat("/mode", &st) == 0 && (st.st_mode & 07777) == 0711);
}

static void tmpfs(void **state)
{
	run(&(struct tcase){
		.mounts = "{\"destination\":\"/"
			  "var\",\"type\":\"tmpfs\",\"source\":\"tmpfs\",\"options\":[\"ro\",\"tmpcopyup\","
			  "\"size=1m\"]},"
			  "{\"destination\":\"/var/late\",\"type\":\"tmpfs\",\"source\":\"tmpfs\"},"
			  "{\"destination\":\"/sticky\",\"type\":\"tmpfs\",\"source\":\"tmpfs\"},"
			  "{\"destination\":\"/"
			  "mode\",\"type\":\"tmpfs\",\"source\":\"tmpfs\",\"options\":[\"mode=0711\"]}",
		.prepare = prepare_copyup,
		.check = check_copyup,
	});
}

/* Longer than an fsconfig string: the classic call. */
static void check_long(struct skf_start *s)
{
	CHECK(file_is("/merged/v", "volume"));
}

static void long_options(void **state)
{
	static char mounts[2048];
	char pad[400];

	if (geteuid() != 0)
		skip(); /* overlay of foreign directories needs root here */
	memset(pad, '/', sizeof(pad) - 1);
	pad[sizeof(pad) - 1] = '\0';
	void *state2 = NULL;
	assert_int_equal(tdir_setup(&state2), 0);
	struct tdir *d = state2;
	assert_int_equal(mkdirat(d->fd, "l1", 0755), 0);
	assert_int_equal(mkdirat(d->fd, "l2", 0755), 0);
	put(d->fd, "l1/v", "volume");
	snprintf(mounts, sizeof(mounts),
		 "{\"destination\":\"/"
		 "merged\",\"type\":\"overlay\",\"source\":\"overlay\",\"options\":[\"lowerdir=%s%sl1:%s/"
		 "l2\",\"ro\"]}",
		 d->path, pad, d->path);
	run_case(&(struct tcase){.mounts = mounts, .check = check_long}, false);
	tdir_teardown(&state2);
}

/* --- propagation --- */

static void propagation(void **state)
{
	static const char *const kinds[] = {"shared",  "slave",  "private", "unbindable",
					    "rshared", "rslave", "rprivate"};
	char l[64];

	for (size_t i = 0; i < SKF_ARRAY_LEN(kinds); i++) {
		snprintf(l, sizeof(l), ",\"rootfsPropagation\":\"%s\"", kinds[i]);
		run(&(struct tcase){.mounts = PROC, .linux_ = l});
	}
}

static void detached_root(void **state)
{
	struct tcase c = default_case;

	if (geteuid() != 0)
		skip(); /* open_tree on the host's mounts */
	c.detached = true;
	run(&c);
	c.no_path = true;
	c.top = NULL;
	c.check = check_dev_inside;
	run(&c);
	c.no_pivot = true;
	run(&c);
}

/* A host with shared mounts everywhere: what the container mounts and drops must not be seen there. */
static void run_shared(const struct tcase *c, bool userns)
{
	SKF_AUTO(skf_buf_done) struct skf_buf before = SKF_BUF(1 << 20), after = SKF_BUF(1 << 20);
	void *state = NULL;
	char vol[128];

	assert_int_equal(tdir_setup(&state), 0);
	struct tdir *d = state;
	assert_int_equal(mount("tmpfs", d->path, "tmpfs", 0, "mode=755"), 0);
	close(d->fd);
	d->fd = open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(mkdirat(d->fd, "root", 0755), 0);
	/* The mount that the root lies on becomes private in the container, so the volume is another one. */
	assert_int_equal(mkdirat(d->fd, "vol", 0755), 0);
	snprintf(vol, sizeof(vol), "%s/vol", d->path);
	assert_int_equal(mount("tmpfs", vol, "tmpfs", 0, "mode=755"), 0);
	assert_int_equal(mount(NULL, "/", NULL, MS_SHARED | MS_REC, NULL), 0);
	assert_int_equal(skf_read_file_at(AT_FDCWD, "/proc/self/mountinfo", 1 << 20, &before), 0);
	run_one(c, d, userns);
	assert_int_equal(skf_read_file_at(AT_FDCWD, "/proc/self/mountinfo", 1 << 20, &after), 0);
	assert_string_equal(skf_buf_cstr(&before), skf_buf_cstr(&after));
	assert_int_equal(umount2(d->path, MNT_DETACH), 0);
	tdir_teardown(&state);
}

static void check_volume(struct skf_start *s)
{
	CHECK(mount("x", "/vol", "tmpfs", 0, NULL) == 0);
}

/* A volume of a shared root is shared on purpose: it must have survived the drop of the old root. */
static void check_shared_volume(struct skf_start *s)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(1 << 20);

	CHECK(skf_read_file_at(AT_FDCWD, "/proc/self/mountinfo", 1 << 20, &b) == 0);
	char *line = strstr(b.p, " /vol ");
	CHECK(line);
	line[strcspn(line, "\n")] = '\0';
	CHECK(strstr(line, " shared:"));
	if (s->userns) {
		CHECK(strstr(line, " master:"));
		check_volume(s);
	}
}

static void nothing_propagates_in_fork(void)
{
	static const char *const kinds[] = {"",       "shared",  "rshared",  "slave",
					    "rslave", "private", "rprivate", "unbindable"};

	for (size_t i = 0; i < SKF_ARRAY_LEN(kinds); i++) {
		char l[64] = "";
		if (kinds[i][0])
			snprintf(l, sizeof(l), ",\"rootfsPropagation\":\"%s\"", kinds[i]);
		bool shared = strstr(kinds[i], "shared");
		struct tcase c = {.mounts = PROC
				  "," DEV "," PTS ",{\"destination\":\"/"
				  "vol\",\"type\":\"bind\",\"source\":\"vol\",\"options\":[\"rbind\"]}",
				  .linux_ = l,
				  .check = shared ? check_shared_volume : check_volume};
		for (int k = 0; k < 4; k++) {
			c.no_pivot = k & 1;
			run_shared(&c, k & 2);
		}
	}
}

static void nothing_propagates(void **state)
{
	int status;

	if (geteuid() != 0)
		skip(); /* makes mounts in a namespace of its own */
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_PRIVATE | MS_REC, NULL) < 0)
			_exit(77);
		nothing_propagates_in_fork();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(default_set),
		cmocka_unit_test(no_pivot),
		cmocka_unit_test(proc_is_not_covered),
		cmocka_unit_test(emulated_proc_files),
		cmocka_unit_test(proc_needs_a_directory),
		cmocka_unit_test(dev_link_stays_inside),
		cmocka_unit_test(masks_need_the_real_null),
		cmocka_unit_test(wrong_nodes_are_replaced),
		cmocka_unit_test(console),
		cmocka_unit_test(missing_targets_are_made_inside),
		cmocka_unit_test(binds),
		cmocka_unit_test(tmpfs),
		cmocka_unit_test(long_options),
		cmocka_unit_test(propagation),
		cmocka_unit_test(detached_root),
		cmocka_unit_test(nothing_propagates),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
