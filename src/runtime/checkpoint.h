/* runtime/checkpoint.h -- a running container saved to files, and a container made from such files, by
 * criu(8).
 *
 * Criu is a program of its own, found in PATH as "criu"; it is spoken to over its RPC (`criu swrk`), so
 * nothing of it is linked. It needs root. Image files are those that runc and crun write and read
 * (descriptors.json included), so a checkpoint of one runtime can be restored by another. man 8 criu; criu's
 * images/rpc.proto. */
#pragma once
#include "base/fwd.h"

struct skf_rt;
struct skf_rt_create;
struct skf_rt_container;

/* Options of both directions, words as of runc's and crun's command lines; zeroed and status_fd = -1: the
 * defaults. */
struct skf_rt_criu {
	const char *image_path; /* directory of image files; made by a checkpoint */
	const char *work_path;  /* directory of logs and sockets; NULL: the image directory */
	const char
		*parent_path; /* checkpoint: images of the pre-dump before, relative to image_path; NULL */
	const char *page_server;         /* checkpoint: "ADDRESS:PORT"; NULL */
	const char *manage_cgroups_mode; /* none props soft full strict ignore; NULL: soft */
	const char *network_lock;        /* iptables nftables skip; NULL: criu's default */
	const char *lsm_profile;         /* restore: "TYPE:NAME"; NULL */
	const char *lsm_mount_context;   /* restore; NULL */
	struct skf_strv empty_ns;        /* only "network", which is always restored empty (see restore.c) */
	int status_fd; /* checkpoint with lazy_pages: gets a zero byte once pages can be asked for; consumed;
			  -1 */
	bool leave_running, keep_container /* dead, but not deleted: that is its supervisor's business */,
		pre_dump, tcp_established, tcp_skip_in_flight, tcp_close, ext_unix_sk, shell_job, lazy_pages,
		file_locks, auto_dedup, link_remap;
};

/* Saves a running or paused container. Unless leave_running or pre_dump it is dead and deleted after that.
 * On failure the container runs on. Blocks as long as criu needs (its death ends the wait). Fails: NOTFOUND,
 * CONFLICT (not running), EUNSUPPORTED (no or an old criu, a feature that the kernel lacks), INVALID, SYSTEM
 * with the last errors of criu's dump.log. */
int skf_rt_checkpoint(const struct skf_rt *rt, const char *id, const struct skf_rt_criu *o,
		      struct skf_err *e);

/* Makes container c->id out of o->image_path: state directory, cgroup, prestart and createRuntime hooks, the
 * processes, which run when this returns, poststart hooks. Of c the members id, bundle, bundle_fd, spec,
 * root_mount_fd, sources, net_*, stdio (-1: the caller's), console_socket, want_console_fd, pid_file,
 * subreaper are used. The restored init is a child of the caller: the handle is like that of skf_rt_create
 * after skf_rt_go. On failure all that was made is undone. Blocks and fails like skf_rt_checkpoint, and
 * CONFLICT (id in use). */
int skf_rt_restore(const struct skf_rt *rt, const struct skf_rt_create *c, const struct skf_rt_criu *o,
		   struct skf_rt_container **ret, struct skf_err *e);
