/* launch/wire.h -- what engine and skiff-launch say to each other over the socketpair that is fd 3 of
 * launch.
 *
 * argv is only {"skiff-launch", "start"|"exec"}; everything else is in one request record (base/record.h),
 * answered by exactly one STARTED or FAILED record. After STARTED launch becomes the monitor, which keeps
 * the socket when SKF_LAUNCH_KEEP is set, sends one EXITED record when the process has ended and its output
 * is drained, and closes it. A closed socket without EXITED means the monitor died (137).
 *
 * Who says what: FAILED comes from launch, after everything that was made is undone. STARTED comes from the
 * monitor, once it has read its handover, so that it is never said of a container whose monitor does not
 * run; summary and event `start` are written before. A socket that is closed without either: launch or the
 * monitor was killed; init dies with it, and the reap removes what is left (cgroup, run directory). EXITED
 * is sent after exit.json, the removal of the cgroup, the summary and event `die`; whoever reads it reaps.
 * Nothing says that it was read: when the engine dies between EXITED and its reap, `skiff system check
 * --repair` does it. Descriptors of clients may be pipes, sockets, terminals or regular files; the monitor
 * never changes flags that it shares with their owner.
 *
 * START   u32 flags, str id, str root ("/var/lib/skiff"), str run_root ("/run/skiff"), u32 tty rows, u32 tty
 * cols, str reaper (absolute path of `skiff`, spawned as `skiff --root R --run-root S system reap ID` after
 * exit; "" : the peer on the socket reaps), str notify (may be missing; "": none. A service manager's
 * socket: the container gets one of its own at such a path, see NOTIFY) fds: with SKF_LAUNCH_STDIN/OUT/ERR
 * the pipe ends that the monitor copies from/to, in this order; with LOCK the lock EXEC    u32 flags, str
 * id, str root, str run_root, str exec_id ("" : no session directory), str process_json (runtime-spec
 * process object), u32 rows, u32 cols, u32 detach;  fds as START STARTED u32 pid, u64 start_time FAILED  err
 * EXITED  u32 exit_code (128+signal), u32 signal, u32 oom_killed, u64 finished_ns
 * RESIZE  u32 rows, u32 cols        (engine -> monitor, any time after STARTED)
 * SIGNAL  u32 signal                (engine -> monitor: to the process)
 * SWEEP   nothing                   (engine -> monitor, after EXITED: what lies in root/trash is to be
 * unlinked; no answer) RESTART u32 flags, str id, str root, str run_root, u32 rows, u32 cols, str ""   from
 * a monitor whose restart policy says so, to a launch that it spawned: init becomes a child of the monitor
 * (CLONE_PARENT), the run directory with its ctl.sock is kept. fds: with SKF_LAUNCH_NETNS the network
 * namespace that the container had RESTARTED as monitor/wire.h's skf_mon_restarted_write; fds: pidfd,
 * terminal or pipes. launch exits. HEALTH  u32 flags, str id, str root, str run_root, str "", str "", u32 0,
 * u32 0, u32 0;  fds as START: the container's health check as EXEC, with the process object of config.json
 * UPDATE  u32 0, str id, str root, str run_root, str "", str resources (runtime-spec linux.resources), u32
 * 0, u32 0, u32 0 -> DONE MOUNT   u32 0, str id, str root, str run_root, str "", str "", u32 0, u32 0, u32 0
 * -> DONE with one fd: the root of a container that does not run, mounted nowhere; it goes with the
 * descriptor POD     u32 flags (SKF_LAUNCH_NET; STDIN, STDOUT, STDERR: a descriptor of an existing network,
 * ipc, uts namespace), str id, str root, str run_root, str "", str {"share","hostname","init","reaper"}, u32
 * 0, u32 0, u32 0 -> STARTED: launch has become the holder of a pod's namespaces (monitor/hold.h), which
 * keeps no socket to the engine IMAGE_MOUNT  u32 0, str manifest (hex digits), str root, str run_root, str
 * "", str diff-ids (one a line, lowest first), 3 * u32 0 -> DONE: the image is mounted read-only at
 * root/mounts/<manifest>, a directory that exists;  IMAGE_UNMOUNT  the same without diff-ids -> DONE (no
 * diff-ids: the directory itself, which has a copy of the image's files) CTR_MOUNT  u32 0, str id, str root,
 * str run_root, str "", str "", 3 * u32 0 -> DONE: the root of the container is mounted at
 * root/containers/<id>/rootfs; CTR_UNMOUNT the same, with str "force" or "" -> DONE PROBE   u32 0, str 64
 * zeros, str root, 2 * str "", str "", 3 * u32 0 -> DONE: layers of this store can be id-mapped; FAILED
 * UNSUPPORTED: they cannot CHECKPOINT  u32 flags (LOCK), str id, str root, str run_root, str "", str options
 * (the table in launch/checkpoint.c), u32 0, u32 0, u32 0 -> DONE: the container is saved; unless it is left
 * running its processes are dead, and its monitor ends as after any other death GO      u32 flags (LOCK),
 * str id, str root, str run_root, str "", str "", 3 * u32 0;  fds: the lock -> DONE: the process of a
 * container that a START with INIT made, and that waits, runs; FAILED: it could not be run, and is dead
 * RESTORE u32 flags, str id, str root, str run_root, str "", str options, u32 rows, u32 cols, u32 0;  fds
 * and answers as START DONE    nothing NETNS_MADE  str id, u32 pid of init; fds: the network namespace, a
 * route netlink socket opened in it   (launch -> engine, with SKF_LAUNCH_NET: init exists and waits; the
 * engine makes the network meanwhile) NOTIFY  nothing; fds: the container's end of sd_notify(3), a pidfd of
 * its process   (launch -> engine, with str notify: before the process runs) NET_READY   nothing (engine ->
 * launch; FAILED err instead when it could not) NETSOCK as RESTART, with SKF_LAUNCH_NETNS -> DONE with one
 * fd: a route netlink socket opened in that network namespace LOOK    u32 flags (NETNS), str id, str root,
 * str run_root, str "", str files below /proc/sys (one a line), 3 * u32 0;  fds: a pidfd of the container's
 * init in the place of the network namespace -> DONE with one fd: their values in its namespaces, a line
 * each Numbers are frozen from the first release; fields are only ever appended. */
#pragma once
#include "base/fwd.h"

enum skf_launch_type {
	SKF_LAUNCH_START = 1,
	SKF_LAUNCH_EXEC = 2,
	SKF_LAUNCH_STARTED = 3,
	SKF_LAUNCH_FAILED = 4,
	SKF_LAUNCH_EXITED = 5,
	SKF_LAUNCH_RESIZE = 6,
	SKF_LAUNCH_SIGNAL = 7,
	SKF_LAUNCH_RESTART = 8,
	SKF_LAUNCH_RESTARTED = 9,
	SKF_LAUNCH_HEALTH = 10,
	SKF_LAUNCH_UPDATE = 11,
	SKF_LAUNCH_MOUNT = 12,
	SKF_LAUNCH_DONE = 13,
	SKF_LAUNCH_POD = 14,
	SKF_LAUNCH_IMAGE_MOUNT = 15,
	SKF_LAUNCH_IMAGE_UNMOUNT = 16,
	SKF_LAUNCH_CHECKPOINT = 17,
	SKF_LAUNCH_RESTORE = 18,
	SKF_LAUNCH_NETNS_MADE = 20,
	SKF_LAUNCH_NET_READY = 21,
	SKF_LAUNCH_NETSOCK = 22,
	SKF_LAUNCH_SWEEP = 23,
	SKF_LAUNCH_NOTIFY = 24,
	SKF_LAUNCH_LOOK = 30,
	SKF_LAUNCH_PROBE = 31,
	SKF_LAUNCH_GO = 32,
	SKF_LAUNCH_CTR_MOUNT = 33,
	SKF_LAUNCH_CTR_UNMOUNT = 34
};
enum {
	SKF_LAUNCH_STDIN = 1,
	SKF_LAUNCH_STDOUT = 2,
	SKF_LAUNCH_STDERR = 4,
	SKF_LAUNCH_KEEP = 8, /* foreground: keep the socket, report EXITED */
	SKF_LAUNCH_TTY = 16, /* exec with a terminal (start takes it from config.json) */
	SKF_LAUNCH_NETNS =
		32, /* start, restart: the last descriptor is the network namespace to be joined */
	SKF_LAUNCH_QUIET = 64, /* exec, health: no event of its end */
	SKF_LAUNCH_NET = 128,  /* start: the engine makes the network of the new namespace (NETNS_MADE) */
	SKF_LAUNCH_INIT = 512, /* start: made ready, its init waits for GO under its monitor */
	SKF_LAUNCH_LOCK = 256  /* start, go, pod: after the streams the lock of the object; whoever waits for
				  it waits for the end of the start, also when  the engine that asked has
				  died.  Launch lets go of it by becoming the monitor or by ending */
};
/* In the run directory of a container: held by a restart for as long as it works. */
#define SKF_RESTART_LOCK   "restart.lock"
#define SKF_LAUNCH_VERSION 1
#define SKF_LAUNCH_FD      3
