/* runtime/criu_int.h -- what criu_rpc.c, criu.c, criu_mounts.c, checkpoint.c and restore.c share. */
#pragma once
#include "runtime/checkpoint.h"
#include "runtime/runtime_int.h"

/* --- criu_rpc.c: the messages of criu's images/rpc.proto (proto2) that we need; no I/O --- */
enum skf_criu_type { /* criu_req_type */
		     SKF_CRIU_DUMP = 1,
		     SKF_CRIU_RESTORE = 2,
		     SKF_CRIU_PRE_DUMP = 4,
		     SKF_CRIU_NOTIFY = 6,
		     SKF_CRIU_FEATURE_CHECK = 9,
		     SKF_CRIU_VERSION = 10,
};
enum skf_criu_cg_mode { /* criu_cg_mode */
			SKF_CRIU_CG_IGNORE = 0,
			SKF_CRIU_CG_NONE,
			SKF_CRIU_CG_PROPS,
			SKF_CRIU_CG_SOFT,
			SKF_CRIU_CG_FULL,
			SKF_CRIU_CG_STRICT,
};
/* One of the small messages with two fields: ext_mount_map (key, val), cgroup_root (ctrl, path),
 * join_namespace (ns, ns_file), inherit_fd (key, fd). A NULL a is left out; b NULL: the number is the second
 * field. */
struct skf_criu_pair {
	const char *a, *b;
	int n;
};
struct skf_criu_list {
	struct skf_criu_pair *v;
	size_t n, cap;
};
/* Appends to an arena's list; the strings are borrowed. 0 or -ENOMEM. */
int skf_criu_list_add(struct skf_arena *a, struct skf_criu_list *l, const char *one, const char *two, int n);

struct skf_criu_opts { /* criu_opts; descriptors and enumerations: < 0 is absent, other numbers: 0 is absent
			*/
	int images_dir_fd, work_dir_fd,
		cgroups_mode; /* numbers in criu's process, see skf_criu_launch.fds */
	int pid, log_level, empty_ns, network_lock, page_server_port;
	const char *log_file, *root, *parent_img, *freeze_cgroup, *config_file, *lsm_profile,
		*lsm_mount_context, *page_server_address;
	bool leave_running, ext_unix_sk, tcp_established, evasive_devices, shell_job, file_locks,
		notify_scripts, track_mem, auto_dedup, link_remap, manage_cgroups, rst_sibling,
		tcp_skip_in_flight, lazy_pages, orphan_pts_master, tcp_close;
	struct skf_criu_list ext_mnt, cg_root, inherit_fd, join_ns;
	struct skf_strv external;
};
#define SKF_CRIU_OPTS_INIT                                                                                  \
	{                                                                                                   \
		.images_dir_fd = -1, .work_dir_fd = -1, .cgroups_mode = -1                                  \
	}
struct skf_criu_req {
	enum skf_criu_type type;
	const struct skf_criu_opts *opts;     /* NULL: none */
	bool notify_success;                  /* written with type NOTIFY only */
	bool want_mem_track, want_lazy_pages; /* written with type FEATURE_CHECK only */
};
/* Appends the message to b, whose error is sticky. */
void skf_criu_req_encode(const struct skf_criu_req *q, struct skf_buf *b);

struct skf_criu_resp { /* strings point into the decoded bytes */
	int type;
	bool success;
	int cr_errno;                  /* 0: none */
	int restore_pid, notify_pid;   /* 0: none */
	struct skf_str script, errmsg; /* of a notification; criu's first error */
	int major, minor, sublevel;
	bool mem_track, lazy_pages;
};
/* 0, -EBADMSG (malformed, or without type and success), -E2BIG above SKF_MAX_CRIU_REPLY. Unknown fields are
 * skipped. */
int skf_criu_resp_decode(const void *p, size_t n, struct skf_criu_resp *ret);

/* --- criu.c: the program and the conversation --- */
struct skf_criu {
	pid_t pid; /* 0: not running */
	int pidfd, sock;
};
#define SKF_CRIU_INIT                                                                                       \
	{                                                                                                   \
		.pidfd = -EBADF, .sock = -EBADF                                                             \
	}
#define SKF_CRIU_FD 4
struct skf_criu_launch {
	const char *program; /* absolute path */
	int stdio[3];        /* borrowed; < 0: the null device */
	const int *fds; /* borrowed; become SKF_CRIU_FD, SKF_CRIU_FD + 1, ...; looked at after in_child */
	unsigned n_fds;
	uint64_t clone_flags;                          /* CLONE_NEWNS or 0 */
	int cgroup_fd;                                 /* v2 directory to be born in, or -1 */
	int (*in_child)(void *arg, struct skf_err *e); /* before execve; may be NULL */
	void *arg;
};
/* "criu" in PATH. EUNSUPPORTED when there is none. */
int skf_criu_find(char *out, size_t size, struct skf_err *e);
/* Starts `criu swrk 3`, a child of ours. The caller ends it with skf_criu_end on every path. */
int skf_criu_start(struct skf_criu *c, const struct skf_criu_launch *l, struct skf_err *e);
/* Sends the request and answers notifications by `notify` until the final response. fd of notify: a
 * descriptor that came along, taken with SKF_TAKE_FD or closed; its failure makes criu give up, and then is
 * ours. 0: resp is a success, whose strings point into b. 1: criu says that it failed (no error set). -1:
 * error. */
int skf_criu_talk(struct skf_criu *c, const struct skf_criu_req *q,
		  int (*notify)(void *arg, const struct skf_criu_resp *r, int *fd, struct skf_err *e),
		  void *arg, struct skf_buf *b, struct skf_criu_resp *resp, struct skf_err *e);
/* Lets it end (kill: makes it) and reaps it. */
void skf_criu_end(struct skf_criu *c, bool kill, const struct skf_log *log);
/* Asks for the version and the features that o needs. *ret_version: 31500 is 3.15. EUNSUPPORTED below
 * SKF_CRIU_MIN. */
#define SKF_CRIU_MIN 31500
int skf_criu_check(const char *program, bool mem_track, bool lazy_pages, int *ret_version,
		   const struct skf_log *log, struct skf_err *e);
/* The options that both directions have in common, and the two directories, which are opened (made, when
 * `create`). dirs: images, work (-EBADF: none); closed by the caller. */
int skf_criu_common(const struct skf_rt_criu *o, const struct skf_kvs *annotations, bool create, int dirs[2],
		    struct skf_criu_opts *ret, struct skf_err *e);
/* Sets *e to "cannot <what>: <errors of the log, or of the response>; ... <log>"; -1. */
int skf_criu_failed(const struct skf_rt_criu *o, const int dirs[2], const char *log_name,
		    const struct skf_criu_resp *r, const char *what, struct skf_err *e);

/* --- criu_mounts.c: which mounts of a container are not criu's to save --- */
struct skf_criu_view {
	const struct skf_spec *spec;
	const struct skf_cg_dirs *cg; /* of the container */
	const char *bundle;
	int root;     /* its root directory as seen now: of the running container, or of the bundle */
	bool restore; /* names -> sources, else mount points -> names */
	struct skf_arena *arena;
	const struct skf_rt_create *req; /* restore: whose sources stand at <places>-<n>; NULL */
	const char *places;
};
/* name, in an image, of the mount with the notify socket, wherever it is mounted */
#define SKF_CRIU_NOTIFY_MOUNT "NOTIFY_SOCKET"
int skf_criu_ext_mounts(const struct skf_criu_view *v, struct skf_criu_list *ret, struct skf_err *e);
/* Restore, in a mount namespace of its own: makes the missing mount points of the spec below s->root_fd,
 * which is an attached mount. Nothing stays mounted. */
int skf_criu_mount_points(struct skf_start *s, const char *places, struct skf_err *e);
/* Restore, there: attaches the sources that the caller opened at <places>-<n>, where criu takes them from.
 */
int skf_criu_attach_sources(const struct skf_rt_create *q, const char *places, struct skf_err *e);
/* Takes these places away again, from the state directory: they are empty files and directories outside of
 * that mount namespace. */
void skf_criu_remove_places(const struct skf_rt_create *q, const char *places);
