/* cli/cli_int.h -- what the files of cli/ share: the options' values, the tables, and one context per
 * command line. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "engine/engine.h"
#include <stdio.h>

enum skf_opt_kind {
	SKF_OPT_BOOL,
	SKF_OPT_STR,
	SKF_OPT_LIST,
	SKF_OPT_INT /* int64_t */,
	SKF_OPT_SIZE /* int64_t bytes */,
	SKF_OPT_SWAP /* int64_t bytes, or -1 */,
	SKF_OPT_CPUS /* int64_t 10^-9 */,
	SKF_OPT_UNSUPPORTED /* docker's, not ours: refused by name */
};
struct skf_opt {
	skf_cmdset cmds;
	const char *name;
	char chr;          /* 0: none */
	const char *value; /* word in the help; NULL for switches */
	enum skf_opt_kind kind;
	size_t off; /* in struct skf_cli_opts */
	const char *help;
};

struct skf_cli_opts {
	/* global */
	bool help, version, debug;
	char *root, *run_root;
	/* run, exec */
	struct skf_settings s; /* run: written by the option table, copied into the request as it is */
	bool detach, interactive, tty, rm, init, sig_proxy, plain_http, quiet, env_host;
	char *name, *user, *workdir, *entrypoint, *hostname, *platform, *pull, *stop_signal, *cidfile,
		*sdnotify, *detach_keys, *log_driver;
	struct skf_strv storage_opt, env, env_file, label, label_file, log_opt;
	int64_t stop_timeout;
	/* networks of run, create and network connect; network create */
	struct skf_strv dns_add, dns_drop;
	struct skf_strv network, network_alias, publish, expose, dns, dns_search, dns_option, add_host, link,
		egress_allow;
	struct skf_strv subnet, ip_range, gateway, aux_address, opt, ipam_opt, driver_opt;
	char *ip, *ip6, *mac_address, *egress, *driver, *ipam_driver, *interface_name;
	bool publish_all, ipv4, ipv6, internal, attachable, disable_dns;
	/* pull */
	bool tls_verify;
	char *cert_dir;
	/* push, login, remote */
	char *username, *password, *artifact_type, *registry_token;
	bool get_login, password_stdin, remote, raw, config, tag_only, blob;
	int64_t chunk_size, retry;
	char *retry_delay;
	/* copy, sync */
	char *src_creds, *src_username, *src_password, *src_authfile, *src_cert_dir, *src_daemon_host,
		*src_token;
	char *dest_creds, *dest_username, *dest_password, *dest_authfile, *dest_cert_dir, *dest_daemon_host,
		*dest_token;
	bool no_creds, src_no_creds, dest_no_creds, src_tls_verify, dest_tls_verify, preserve_digests,
		dest_compress, dest_decompress;
	char *authfile, *digestfile, *multi_arch, *compress_format, *compression_format;
	bool force_compression;
	bool all_tags, all_platforms;
	/* manifest */
	char *arch, *os, *variant, *os_version;
	struct skf_strv annotation, os_features, features;
	bool amend, purge, insecure;
	/* sync */
	char *src_kind, *dest_kind;
	bool scoped, keep_going, dry_run;
	/* artifact, search */
	bool replace, list_tags, rootfs;
	int64_t run_timeout; /* run --timeout, seconds */
	int64_t limit;
	int64_t compress_level, compression_level;
	struct skf_strv additional_tag;
	/* save, load, import, export, commit, history */
	char *output, *input, *message, *author;
	bool pause, human;
	struct skf_strv change;
	/* lists */
	bool all, no_trunc, digests, size, latest;
	struct skf_strv filter;
	int64_t last;
	char *sort;    /* images */
	char *iidfile; /* commit */
	bool squash, compress, no_tags;
	char *format; /* also of save, inspect, info, version */
	/* logs, events */
	bool follow, timestamps, names, details, link_name;
	char *since, *until, *tail, *cursor;
	/* how a container lives */
	char *restart, *health_cmd, *health_interval, *health_timeout, *health_start_period,
		*health_start_interval, *health_on_failure, *init_path;
	bool no_healthcheck;
	int64_t health_retries;
	/* start, attach, wait, stats, cp */
	bool destroy, run, start; /* clone */
	bool display;             /* runlabel */
	bool attach, no_stdin, no_stream, ignore, archive, follow_link;
	struct skf_strv attach_to, condition;
	/* stop, kill, rm, rmi */
	char *signal;
	int64_t timeout;
	bool force, volumes, no_prune;
	/* pods */
	char *share, *exit_policy, *pod;
	struct skf_strv proxies; /* docker_habits.c: NAME=VALUE of run and create */
	bool show_pod;           /* ps */
	/* checkpoint, restore */
	bool keep, tcp_established, file_locks, print_stats, leave_running, pre_checkpoint, with_previous;
	bool ignore_rootfs, ignore_volumes, ignore_static_ip, ignore_static_mac;
	char *checkpoint, *checkpoint_dir, *ck_export, *ck_import, *ck_compress, *create_image;
	/* secrets */
	bool from_env, noheading, pretty, showsecret;
	/* inspect, check */
	char *type;
	bool diff;                   /* explain */
	bool repair, quick, verbose; /* verbose: of system df */
};

struct skf_cli;
struct skf_cmd {
	const char *group; /* "container", "image", "system" or NULL: the plain verb */
	const char *name;
	skf_cmdset bit;
	const char *args; /* of the usage line: "[OPTIONS] IMAGE [COMMAND] [ARG...]" */
	const char *about;
	unsigned min_args, max_args; /* ~0u: any number */
	bool stop_at_arg;            /* what follows the first argument is the workload's */
	bool hidden;
	int (*fn)(struct skf_cli *c); /* returns the exit status */
};
extern const struct skf_cmd skf_cmds[];
extern const size_t skf_n_cmds;
extern const struct skf_opt skf_opts[];
extern const size_t skf_n_opts;

struct skf_cli {
	const struct skf_cmd *cmd;
	struct skf_cli_opts o;
	struct skf_strv args;
	struct skf_arena a;
	struct skf_log log;
	struct skf_engine *g; /* NULL until skf_cli_engine */
	struct skf_err e;
};

/* --- parse.c --- */
#define SKF_CLI_UNSET INT64_MIN /* a number that was not given, where 0 has a meaning */
/* Options of argv[0..n) for the commands in `bit` into o; what is not an option goes to args (with
 * stop_at_arg everything from the first argument on). *ret_used: words consumed (for global options the
 * command's name is the first left). INVALID with docker's words, UNSUPPORTED. */
int skf_cli_parse(skf_cmdset bit, bool stop_at_arg, int n, char **argv, struct skf_arena *a,
		  struct skf_cli_opts *o, struct skf_strv *args, int *ret_used, struct skf_err *e);
void skf_cli_opts_init(struct skf_cli_opts *o);
/* "1.5" -> 1500000000. 0 or -EINVAL. */
int skf_cli_parse_cpus(const char *s, int64_t *ret);

/* --- help.c --- */
void skf_cli_help(const struct skf_cmd *cmd); /* NULL: the list of commands */
/* One line per command and option, tab-separated, for tests and completion. */
void skf_cli_list(void);
/* "skiff run", "skiff image ls" */
void skf_cli_cmd_name(const struct skf_cmd *cmd, char out[64]);

/* --- human.c --- */
void skf_human_duration(int64_t ns, char *out, size_t size); /* "About a minute" */
void skf_human_ago(int64_t then_ns, int64_t now_ns, char *out, size_t size);
void skf_human_size(uint64_t bytes, char *out, size_t size); /* "142MB", three digits */
/* "10m", "2h30m", "2026-11-23T02:17:15Z", "2026-11-23", "1764000000.5" -> Unix ns; now_ns for durations. 0
 * or -EINVAL. */
int skf_human_parse_time(const char *s, int64_t now_ns, int64_t *ret);

/* --- table.c: columns padded as docker's --- */
struct skf_table {
	char **cell;
	size_t n, cap;
	unsigned cols;
};
#define SKF_TABLE(columns)                                                                                  \
	{                                                                                                   \
		.cols = (columns)                                                                           \
	}
void skf_table_add(struct skf_table *t, const char *cell); /* cell after cell, row after row */
void skf_table_print(const struct skf_table *t);
void skf_table_done(struct skf_table *t);

/* --- targets.c: the containers that a verb is for --- */
/* c->args becomes the list: the words, or what --all, --latest and --filter name (states: only those in
 * `states`, NULL any). -1 with docker's words when there is neither. */
int skf_cli_targets(struct skf_cli *c, const char *const *states);
/* fn for each of c->args; an error of one is told and does not keep the others from being done; status 1
 * when there was any. */
int skf_cli_for_each(struct skf_cli *c, int (*fn)(struct skf_cli *c, const char *name));

/* --- main.c --- */
/* Opens the engine once; -1 with c->e set. */
int skf_cli_engine(struct skf_cli *c);
/* "skiff: <sentence>." on stderr. */
void skf_cli_error(const struct skf_err *e);
/* The same for a failing verb; returns the exit status (126, 127, else `other`). */
int skf_cli_fail(struct skf_cli *c, int other);

/* c->e and a hint at --help on stderr; returns the status of a wrong command line. */
int skf_cli_usage(const struct skf_cli *c);

/* --- cmd_images.c, cmd_registry.c --- */
int skf_cli_how(struct skf_cli *c, struct skf_registry_how *ret);
/* --retry or --retry-times, and --retry-delay, into how. */
int skf_cli_retry(struct skf_cli *c, struct skf_registry_how *how);
/* Exit statuses. dest NULL: where the image's name says. */
int skf_cli_pull_one(struct skf_cli *c, const char *reference);
int skf_cli_push_one(struct skf_cli *c, const char *image, const char *dest);

/* --- cmd_transfer.c --- */
/* --arch, --os and --variant as one --platform; what is not said is the host's. */
int skf_cli_platform(struct skf_cli *c);
/* All tags of a repository of a registry. plain: reached as --plain-http and --tls-verify say, else as the
 * source's options of copy and sync. */
int skf_cli_remote_tags(struct skf_cli *c, const char *repo, bool plain, struct skf_strv *ret);

/* --- output.c --- */
struct skf_cli_output {
	int fd;           /* STDOUT_FILENO, or owned */
	const char *path; /* NULL: standard output */
	char part[4096];
};
void skf_cli_output_done(struct skf_cli_output *o);
/* path NULL, "" or "-": standard output, unless it is a terminal. */
int skf_cli_output_open(struct skf_cli *c, const char *path, struct skf_cli_output *o);
/* Gives the file its name. */
int skf_cli_output_close(struct skf_cli *c, struct skf_cli_output *o);
/* Made when it is not there. */
int skf_cli_output_dir(struct skf_cli *c, const char *path, int *ret);

/* --- place.c: "docker://...", "oci:PATH:NAME" ... --- */
struct skf_cli_place {
	struct skf_copy_place p;
	int fd;                  /* owned */
	struct skf_cli_output o; /* of a destination that is a file */
	char *path;
};
/* word: containers-transports(5) words, skiff:NAME, or a plain name: an image of the store where there is
 * one (source), else a registry's; as a destination a name that begins with a host is a registry's, another
 * one is of the store. */
int skf_cli_place_open(struct skf_cli *c, const char *word, bool dest, struct skf_cli_place *ret);
/* --digestfile, when it was given. */
int skf_cli_write_digest(struct skf_cli *c, const struct skf_digest *d);
/* Gives a written file its name. */
int skf_cli_place_close(struct skf_cli *c, struct skf_cli_place *x);
void skf_cli_place_done(struct skf_cli_place *x);

/* --- cmd_inspect.c: a document through --format --- */
struct skf_tmpl;
int skf_cli_doc_format(struct skf_cli *c, struct skf_tmpl **ret);
/* text: JSON of our own making. */
int skf_cli_doc_print(struct skf_cli *c, const struct skf_tmpl *t, const char *text, size_t n);

/* Writes the document of one object into b; -1 with c->e. */
typedef int skf_cli_inspect_fn(struct skf_cli *c, const char *name, unsigned indent, struct skf_buf *b);
/* Documents of all words, as docker's inspect prints them; the exit status. */
int skf_cli_inspect_all(struct skf_cli *c, skf_cli_inspect_fn *fn);

/* --- cmd_ps.c --- */
void skf_cli_ps_status(const struct skf_ps_row *r, int64_t now, char *out, size_t size);
void skf_cli_ps_command(const char *command, bool whole, char *out, size_t size);
/* Go's time.String() of whole seconds, local time: "2026-11-23 02:17:15 +0000 UTC". */
void skf_cli_time_text(int64_t ns, char out[64]);
/* NAME=VALUE, all of them; else c->e in docker's words. */
int skf_cli_check_filters(struct skf_cli *c);

/* --- progress.c --- */
/* Which compression a copy writes, of flags of these names; a level alone is gzip's. false: said in c->e. */
bool skf_cli_squeeze(struct skf_cli *c, const char *format, const char *format_flag, int64_t level,
		     const char *level_flag, struct skf_copy_req *q);
/* --format oci, docker or v2s2 as the engine's number; 0 when it was not given. */
int skf_cli_family(struct skf_cli *c, uint32_t *ret);
struct skf_cli_progress {
	struct skf_progress p;
	FILE *out;
	bool tty, quiet, push; /* push: docker's words for a push */
	size_t n_lines;        /* drawn so far */
	int *phase;            /* last phase told per layer, for plain output */
	size_t n;
};
void skf_cli_progress_init(struct skf_cli_progress *x, FILE *out, bool quiet);
void skf_cli_progress_done(struct skf_cli_progress *x);

/* --- pump.c --- */
struct skf_pump {
	struct skf_engine *g;
	struct skf_run_handle *h;
	bool tty, interactive, sig_proxy;
	const char *detach_keys; /* NULL: as configured */
	unsigned streams;        /* of run -a: 1 input, 2 output, 4 errors; 0: all */
	int in, out, err; /* our ends: stdin of the workload (written), its output (read); -EBADF absent;
			     consumed */
};
/* What a foreground is of: run and start reap afterwards; exec and attach do not. */
enum skf_foreground { SKF_FG_RUN, SKF_FG_EXEC, SKF_FG_ATTACH };
/* Pumps until the end and returns the exit status for ours. */
int skf_cli_foreground(struct skf_cli *c, struct skf_pump *p, enum skf_foreground kind);
/* sdnotify.c: NOTIFY_SOCKET, or NULL. */
const char *skf_cli_sdnotify_host(void);
/* Tells it that the container is ready, as mode ("" and NULL: ignore) says; pid: its first process. Waits
 * for that, or (beside) starts a process that does. Closes n's descriptors. Failures are warnings. */
void skf_cli_sdnotify(struct skf_cli *c, const char *mode, const char *id, struct skf_notify *n,
		      uint32_t pid, bool beside);
int skf_cmd_notify(struct skf_cli *c);
int skf_cmd_squeeze_logs(struct skf_cli *c);
/* --cidfile, if given. */
int skf_cli_write_cidfile(struct skf_cli *c, const char *id);
enum skf_pump_end { SKF_PUMP_EXITED, SKF_PUMP_DETACHED };
/* Pipes for a workload's stdio: the ends for the engine in stdio[], ours in p. */
int skf_pump_pipes(struct skf_pump *p, int stdio[3], struct skf_err *e);
/* Copies until the workload has ended and its output is drained, or the user typed the detach keys. */
int skf_pump_run(struct skf_pump *p, enum skf_pump_end *ret, struct skf_exit *ret_exit, struct skf_err *e);
void skf_pump_done(struct skf_pump *p);
/* Size of the terminal on stdout or stdin; 0 0 when there is none. */
void skf_pump_size(unsigned *rows, unsigned *cols);
/* "ctrl-p,ctrl-q" -> bytes. Number of bytes or -EINVAL. */
int skf_pump_parse_keys(const char *s, unsigned char *out, size_t max);

/* --- flags of run and exec --- */
/* -e and --env-file in order: KEY=VALUE, or KEY taken from our environment. */
int skf_cli_env(struct skf_cli *c, struct skf_strv *ret, struct skf_err *e);
/* The request of run and create from the flags: c->args.v[0] is the image. */
int skf_cli_run_request(struct skf_cli *c, struct skf_create_req *q);
/* --restart, --health-*, --log-*: run_life.c. */
int skf_cli_life(struct skf_cli *c, struct skf_life_req *q);
/* What the option table wrote, and which of the numbers were given at all. */
void skf_cli_settings(struct skf_cli *c, struct skf_settings *ret);
/* --label-file and --label. */
int skf_cli_labels(struct skf_cli *c, struct skf_strv *ret);
/* -a: bits of struct skf_pump.streams. */
int skf_cli_streams(struct skf_cli *c, unsigned *ret);
/* -it needs a terminal on standard input. */
int skf_cli_check_tty(struct skf_cli *c);
/* run_network.c: the flags of networks; -1 with c->e set. */
int skf_cli_net(struct skf_cli *c, struct skf_net_req *q);
/* Relative sources of -v and --mount made absolute. */
int skf_cli_run_paths(struct skf_cli *c, struct skf_settings *s);
/* docker_habits.c: what ~/.docker/config.json says of this command goes to the options that were not given.
 */
int skf_cli_docker_habits(struct skf_cli *c);
/* --label-file: KEY=VALUE lines. */
int skf_cli_word_file(struct skf_cli *c, const char *path, struct skf_strv *ret, struct skf_err *e);
/* $DOCKER_CONFIG/config.json or ~/.docker/config.json when it exists, else NULL. */
const char *skf_cli_docker_config(struct skf_cli *c);

/* --- cmd_system_prune.c --- */
/* --filter of a prune, with until= as RFC 3339: what the engine takes. */
int skf_cli_prune_filters(struct skf_cli *c, struct skf_strv *ret);
/* --filter with until= as RFC 3339: what the engine takes. */
int skf_cli_until_filters(struct skf_cli *c, struct skf_strv *ret);

/* --- commands --- */
int skf_cmd_clone(struct skf_cli *c);
int skf_cmd_runlabel(struct skf_cli *c);
int skf_cmd_unshare(struct skf_cli *c);
int skf_cmd_pod_clone(struct skf_cli *c);
int skf_cmd_pod_create(struct skf_cli *c);
int skf_cmd_pod_start(struct skf_cli *c);
int skf_cmd_pod_stop(struct skf_cli *c);
int skf_cmd_pod_restart(struct skf_cli *c);
int skf_cmd_pod_kill(struct skf_cli *c);
int skf_cmd_pod_pause(struct skf_cli *c);
int skf_cmd_pod_unpause(struct skf_cli *c);
int skf_cmd_pod_rm(struct skf_cli *c);
int skf_cmd_pod_ps(struct skf_cli *c);
int skf_cmd_pod_inspect(struct skf_cli *c);
int skf_cmd_pod_prune(struct skf_cli *c);
int skf_cmd_pod_exists(struct skf_cli *c);
int skf_cmd_pod_logs(struct skf_cli *c);
int skf_cmd_pod_stats(struct skf_cli *c);
int skf_cmd_pod_top(struct skf_cli *c);
int skf_cmd_explain(struct skf_cli *c);
int skf_cmd_run(struct skf_cli *c);
int skf_cmd_exec(struct skf_cli *c);
int skf_cmd_ps(struct skf_cli *c);
int skf_cmd_create(struct skf_cli *c);
int skf_cmd_start(struct skf_cli *c);
int skf_cmd_init(struct skf_cli *c);
int skf_cmd_mount(struct skf_cli *c);
int skf_cmd_unmount(struct skf_cli *c);
int skf_cmd_restart(struct skf_cli *c);
int skf_cmd_attach(struct skf_cli *c);
int skf_cmd_rename(struct skf_cli *c);
int skf_cmd_pause(struct skf_cli *c);
int skf_cmd_unpause(struct skf_cli *c);
int skf_cmd_update(struct skf_cli *c);
int skf_cmd_top(struct skf_cli *c);
int skf_cmd_stats(struct skf_cli *c);
int skf_cmd_events(struct skf_cli *c);
int skf_cmd_container_prune(struct skf_cli *c);
int skf_cmd_container_exists(struct skf_cli *c);
int skf_cmd_healthcheck(struct skf_cli *c);
int skf_cmd_checkpoint(struct skf_cli *c);
int skf_cmd_restore(struct skf_cli *c);
int skf_cmd_checkpoint_create(struct skf_cli *c);
int skf_cmd_checkpoint_ls(struct skf_cli *c);
int skf_cmd_checkpoint_rm(struct skf_cli *c);
/* --checkpoint-dir as an absolute path, arena memory; NULL: not given. */
int skf_cli_checkpoint_dir(struct skf_cli *c, const char **ret);
int skf_cmd_cp(struct skf_cli *c);
int skf_cmd_boot(struct skf_cli *c);
int skf_cmd_shutdown(struct skf_cli *c);
int skf_cmd_logs(struct skf_cli *c);
int skf_cmd_stop(struct skf_cli *c);
int skf_cmd_kill(struct skf_cli *c);
int skf_cmd_rm(struct skf_cli *c);
int skf_cmd_wait(struct skf_cli *c);
int skf_cmd_inspect(struct skf_cli *c);
int skf_cmd_pull(struct skf_cli *c);
int skf_cmd_images(struct skf_cli *c);
int skf_cmd_push(struct skf_cli *c);
int skf_cmd_image_copy(struct skf_cli *c);
int skf_cmd_image_sync(struct skf_cli *c);
int skf_cmd_search(struct skf_cli *c);
int skf_cmd_artifact_add(struct skf_cli *c);
int skf_cmd_artifact_push(struct skf_cli *c);
int skf_cmd_artifact_pull(struct skf_cli *c);
int skf_cmd_artifact_attach(struct skf_cli *c);
int skf_cmd_artifact_ls(struct skf_cli *c);
int skf_cmd_artifact_inspect(struct skf_cli *c);
int skf_cmd_artifact_rm(struct skf_cli *c);
int skf_cmd_artifact_extract(struct skf_cli *c);
int skf_cmd_manifest_create(struct skf_cli *c);
int skf_cmd_manifest_add(struct skf_cli *c);
int skf_cmd_manifest_annotate(struct skf_cli *c);
int skf_cmd_manifest_inspect(struct skf_cli *c);
int skf_cmd_manifest_push(struct skf_cli *c);
int skf_cmd_manifest_remove(struct skf_cli *c);
int skf_cmd_manifest_rm(struct skf_cli *c);
int skf_cmd_manifest_exists(struct skf_cli *c);
int skf_cmd_login(struct skf_cli *c);
int skf_cmd_logout(struct skf_cli *c);
int skf_cmd_image_tags(struct skf_cli *c);
int skf_cmd_image_referrers(struct skf_cli *c);
int skf_cmd_image_delete(struct skf_cli *c);
int skf_cmd_image_remote(struct skf_cli *c); /* image inspect: of the store, or with --remote */
int skf_cmd_image_inspect(struct skf_cli *c);
int skf_cmd_rmi(struct skf_cli *c);
int skf_cmd_save(struct skf_cli *c);
int skf_cmd_load(struct skf_cli *c);
int skf_cmd_import(struct skf_cli *c);
int skf_cmd_export(struct skf_cli *c);
int skf_cmd_commit(struct skf_cli *c);
int skf_cmd_tag(struct skf_cli *c);
int skf_cmd_untag(struct skf_cli *c);
int skf_cmd_history(struct skf_cli *c);
int skf_cmd_image_tree(struct skf_cli *c);
int skf_cmd_image_diff(struct skf_cli *c);
int skf_cmd_diff(struct skf_cli *c);
int skf_cmd_image_prune(struct skf_cli *c);
int skf_cmd_image_mount(struct skf_cli *c);
int skf_cmd_image_unmount(struct skf_cli *c);
int skf_cmd_network_create(struct skf_cli *c);
int skf_cmd_network_ls(struct skf_cli *c);
int skf_cmd_network_inspect(struct skf_cli *c);
int skf_cmd_network_rm(struct skf_cli *c);
int skf_cmd_network_connect(struct skf_cli *c);
int skf_cmd_network_disconnect(struct skf_cli *c);
int skf_cmd_network_prune(struct skf_cli *c);
int skf_cmd_network_update(struct skf_cli *c);
int skf_cmd_network_reload(struct skf_cli *c);
int skf_cmd_network_exists(struct skf_cli *c);
int skf_cmd_port(struct skf_cli *c);
int skf_cmd_volume_create(struct skf_cli *c);
int skf_cmd_volume_ls(struct skf_cli *c);
int skf_cmd_volume_inspect(struct skf_cli *c);
int skf_cmd_volume_exists(struct skf_cli *c);
int skf_cmd_volume_rm(struct skf_cli *c);
int skf_cmd_volume_prune(struct skf_cli *c);
int skf_cmd_volume_export(struct skf_cli *c);
int skf_cmd_volume_import(struct skf_cli *c);
int skf_cmd_volume_mount(struct skf_cli *c);
int skf_cmd_volume_unmount(struct skf_cli *c);
int skf_cmd_volume_reload(struct skf_cli *c);
int skf_cmd_cleanup(struct skf_cli *c);
int skf_cmd_secret_create(struct skf_cli *c);
int skf_cmd_secret_ls(struct skf_cli *c);
int skf_cmd_secret_inspect(struct skf_cli *c);
int skf_cmd_secret_rm(struct skf_cli *c);
int skf_cmd_secret_exists(struct skf_cli *c);
int skf_cmd_version(struct skf_cli *c);
int skf_cmd_info(struct skf_cli *c);
int skf_cmd_check(struct skf_cli *c);
int skf_cmd_df(struct skf_cli *c);
int skf_cmd_system_prune(struct skf_cli *c);
int skf_cmd_system_reset(struct skf_cli *c);
int skf_cmd_system_config(struct skf_cli *c);
int skf_cmd_reap(struct skf_cli *c);
int skf_cmd_list(struct skf_cli *c);
int skf_cmd_complete(struct skf_cli *c);
int skf_cmd_completion(struct skf_cli *c);
