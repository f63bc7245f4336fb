/* engine/engine.h -- the engine as an interface (DESIGN 5a): one function per verb,
 * skf_engine_<verb>(engine, request, progress, err).
 *
 * Requests and answers are plain structs with size and version first (SKF_REQ); blocking, thread-safe for
 * different struct skf_engine, no globals, cancelled by an eventfd in the request. Answers live in the arena
 * that the caller passes. Front ends parse, call, format; they print nothing here and the engine prints
 * nothing. Error kinds: NOTFOUND "No such container: x" / "No such image: x", CONFLICT, INVALID, ECMD_* ...
 * (base/err.h). */
#pragma once
#include "base/json.h"
#include "base/limits.h"
#include "engine/life_req.h"
#include "engine/net_api.h"
#include "engine/net_req.h"
#include "engine/settings.h"
#include "oci/image.h"
#include "oci/ref.h"

#define SKF_ENGINE_API 1
struct skf_reqhdr {
	uint32_t size, version; /* sizeof the request struct, SKF_ENGINE_API */
	int cancel_fd;          /* eventfd or -1 */
};
#define SKF_REQ(type)                                                                                       \
	{                                                                                                   \
		.h = { sizeof(type), SKF_ENGINE_API, -1 }                                                   \
	}

struct skf_engine;
struct skf_engine_opts {
	const char *root, *run_root; /* NULL: defaults, or SKIFF_ROOT / SKIFF_RUN_ROOT */
	const struct skf_log *log;
	const char *self; /* absolute path of `skiff` for the monitor's reap; NULL: /proc/self/exe */
};
/* Opens both trees; makes them when missing. Does not scan. */
int skf_engine_open(const struct skf_engine_opts *o, struct skf_engine **ret, struct skf_err *e);
void skf_engine_free(struct skf_engine *g);
/* Absolute paths of the two trees; they live as long as the engine. */
/* Name of the storage driver that new containers and mounts of images get. NULL: e says why. */
const char *skf_engine_storage_driver(struct skf_engine *g, struct skf_err *e);
void skf_engine_roots(const struct skf_engine *g, const char **ret_root, const char **ret_run_root);
SKF_UNUSED static inline void skf_engine_freep(struct skf_engine **g)
{
	skf_engine_free(*g);
}

/* Progress of long verbs: called from the calling thread. */
enum skf_progress_phase { /* numbers of PROGRESS in registry/wire.h */
			  SKF_PHASE_WAITING = 0,
			  SKF_PHASE_DOWNLOADING = 1,
			  SKF_PHASE_EXTRACTING = 2,
			  SKF_PHASE_DONE = 3,
			  SKF_PHASE_EXISTS = 4,
			  SKF_PHASE_MOUNTED = 5 /* push: from another repository */
};
struct skf_progress_layer {
	struct skf_digest digest;
	uint64_t size, done;
	int phase; /* enum skf_progress_phase */
};
struct skf_progress {
	void (*layers)(void *arg, const struct skf_progress_layer *l, size_t n);
	void (*message)(void *arg, const char *text); /* "Pulling from library/debian" */
	/* Which of the references a short name means; its index, or -1: nobody answers. NULL: there is
	 * nobody to ask. */
	int (*choose)(void *arg, const char *name, const char *const *refs, size_t n);
	void *arg;
};

/* --- images --- */
/* Of one registry: how it is talked to. Strings may be NULL. */
struct skf_registry_how {
	bool plain_http, insecure_tls;
	const char *docker_config, *certs_dir;
	const char *auth_file;       /* in place of docker's and podman's files; NULL */
	const char *user, *password; /* of the registry of the reference, sent to no other host; NULL */
	bool anonymous;              /* without any credentials */
	const char *token; /* bearer token for the registry of the reference, in place of all credentials;
			      sent to no other host. NULL */
	bool retry;        /* the two that follow were chosen */
	uint32_t retries,
		retry_ms; /* of a request that fails for a reason that may pass; 0 ms: longer each time */
};
struct skf_pull_req {
	struct skf_reqhdr h;
	const char *reference, *platform; /* platform NULL: host */
	struct skf_registry_how how;
};
struct skf_pull_ret {
	struct skf_ref ref;
	struct skf_digest top, manifest, config;
	bool up_to_date;
};
int skf_engine_pull(struct skf_engine *g, const struct skf_pull_req *q, const struct skf_progress *p,
		    struct skf_pull_ret *ret, struct skf_err *e);

struct skf_push_req {
	struct skf_reqhdr h;
	const char *image;     /* of the store: reference or id */
	const char *reference; /* where to; NULL: where the image's name says */
	struct skf_registry_how how;
	uint64_t chunk;    /* bytes of one request; 0: a blob in one */
	uint32_t parallel; /* 0: the default */
};
struct skf_push_ret {
	struct skf_ref ref;
	struct skf_digest manifest;
	uint64_t size; /* of the manifest */
};
/* NOTFOUND in docker's words when there is no such image. */
int skf_engine_push(struct skf_engine *g, const struct skf_push_req *q, const struct skf_progress *p,
		    struct skf_push_ret *ret, struct skf_err *e);
enum skf_remote_what { /* numbers of enum skf_img_remote in registry/wire.h */
		       SKF_REMOTE_INSPECT,
		       SKF_REMOTE_RAW,
		       SKF_REMOTE_CONFIG,
		       SKF_REMOTE_TAGS,
		       SKF_REMOTE_REFERRERS,
		       SKF_REMOTE_DELETE,
		       SKF_REMOTE_SEARCH /* reference: "HOST/WORD", or a word for Docker Hub; argument: how
					    many at most */
};
struct skf_remote_req {
	struct skf_reqhdr h;
	enum skf_remote_what what;
	const char *reference, *platform;
	const char *argument; /* REFERRERS: artifact type; DELETE: "tag" or "blob", else the manifest */
	struct skf_registry_how how;
};
/* What a registry says: a document, as text. The store is not touched. */
int skf_engine_remote(struct skf_engine *g, const struct skf_remote_req *q, struct skf_buf *ret,
		      struct skf_err *e);
/* --- copies between places (docs/registries.md "Copies"); numbers of the enums in registry/wire.h --- */
enum skf_copy_kind {
	SKF_COPY_STORE,
	SKF_COPY_REGISTRY,
	SKF_COPY_OCI,
	SKF_COPY_DOCKER_ARCHIVE,
	SKF_COPY_DAEMON, /* name: reference, '\n', path of the socket */
	SKF_COPY_DIR,
	SKF_COPY_LIST /* only of skf_engine_list_push */
};
struct skf_copy_place {
	enum skf_copy_kind kind;
	const char *name;
	int fd; /* borrowed: what OCI, DOCKER_ARCHIVE and DIR are read from or written to; else -1 */
	struct skf_registry_how how;
	const char *auth_file, *user, *password; /* in place of docker's and podman's files; NULL */
	bool anonymous;
};
struct skf_copy_req {
	struct skf_reqhdr h;
	struct skf_copy_place src, dest;
	bool all, preserve, index_only;
	const char *platform; /* NULL: host */
	uint32_t as;          /* enum skf_img_as: 0 as it is, 1 OCI, 2 docker */
	uint32_t squeeze;     /* enum skf_img_squeeze: 0 as it is, gzip, zstd, zstd:chunked, uncompressed */
	int level;            /* of the compressor; -1 its default */
	struct skf_strv tags; /* more names of the destination */
};
/* ret: digest of the top document as it arrived. p->message: a line for each step. */
int skf_engine_copy(struct skf_engine *g, const struct skf_copy_req *q, const struct skf_progress *p,
		    struct skf_digest *ret, struct skf_err *e);
/* --- lists of platforms that are put together here, and pushed as one index --- */
struct skf_list_change { /* NULL and none: as it is */
	const char *os, *arch, *variant, *os_version;
	struct skf_strv os_features, features, annotations; /* annotations: KEY=VALUE */
};
/* CONFLICT when there is one, unless amend. */
int skf_engine_list_create(struct skf_engine *g, const char *name, bool amend,
			   const struct skf_strv *annotations, struct skf_err *e);
/* An image of the store or of a registry: the manifest for platform (NULL: host) or all of its index.
 * Replaces an entry of that digest. */
int skf_engine_list_add(struct skf_engine *g, const char *name, const struct skf_copy_place *image, bool all,
			const char *platform, const struct skf_list_change *c, struct skf_err *e);
/* image: a digest of the list, or the name of an image that was added. NOTFOUND. */
int skf_engine_list_annotate(struct skf_engine *g, const char *name, const char *image,
			     const struct skf_list_change *c, struct skf_err *e);
int skf_engine_list_remove(struct skf_engine *g, const char *name, const char *image, struct skf_err *e);
int skf_engine_list_rm(struct skf_engine *g, const char *name, struct skf_err *e);
/* The index into w: 1, 0 there is no such list. */
int skf_engine_list_show(struct skf_engine *g, const char *name, struct skf_jw *w, struct skf_err *e);
/* q: destination (its name NULL: the list's own) and wishes. Copies what the destination has not got yet,
 * then the index. */
int skf_engine_list_push(struct skf_engine *g, const char *name, const struct skf_copy_req *q,
			 const struct skf_progress *p, struct skf_digest *ret, struct skf_err *e);
/* --- artifacts: files of any media type, kept apart from the images --- */
struct skf_artifact_file {
	const char *title, *media_type;
	int fd; /* borrowed */
};
struct skf_artifact_req {
	struct skf_reqhdr h;
	const char *name;               /* reference; not of attach */
	const char *subject;            /* of attach: an image of a registry; else NULL */
	const char *type;               /* artifactType; NULL: unknown */
	struct skf_strv annotations;    /* KEY=VALUE */
	struct skf_jarr files;          /* struct skf_artifact_file, at most 31 */
	struct skf_copy_place registry; /* how it is reached; kind, name and fd are not read */
	bool replace;
};
/* ret: the manifest's digest. CONFLICT when there is one of that name, unless replace. */
int skf_engine_artifact_add(struct skf_engine *g, const struct skf_artifact_req *q, struct skf_digest *ret,
			    struct skf_err *e);
int skf_engine_artifact_push(struct skf_engine *g, const struct skf_artifact_req *q,
			     const struct skf_progress *p, struct skf_digest *ret, struct skf_err *e);
int skf_engine_artifact_pull(struct skf_engine *g, const struct skf_artifact_req *q,
			     const struct skf_progress *p, struct skf_digest *ret, struct skf_err *e);
int skf_engine_artifact_attach(struct skf_engine *g, const struct skf_artifact_req *q,
			       const struct skf_progress *p, struct skf_digest *ret, struct skf_err *e);
int skf_engine_artifact_rm(struct skf_engine *g, const char *name, struct skf_digest *ret,
			   struct skf_err *e);
struct skf_artifact_row {
	char *name;
	struct skf_digest digest;
	uint64_t size; /* of its files */
};
int skf_engine_artifacts(struct skf_engine *g, struct skf_arena *a,
			 struct skf_jarr *ret /* skf_artifact_row */, struct skf_err *e);
/* podman's document of one artifact. */
int skf_engine_artifact_inspect(struct skf_engine *g, const char *name, struct skf_jw *w, struct skf_err *e);
/* Its files into a directory, under their titles where those are plain names, else under their digests.
 * CONFLICT-free: an existing file is an error. */
int skf_engine_artifact_extract(struct skf_engine *g, const char *name, int dirfd, struct skf_err *e);
/* Is there such an image here? 1, 0, -1. */
int skf_engine_image_has(struct skf_engine *g, const char *name, struct skf_err *e);
/* A YAML document of the user (fd, borrowed) as JSON. INVALID names the line. */
int skf_engine_yaml(struct skf_engine *g, int fd, struct skf_buf *ret, struct skf_err *e);
struct skf_login_req {
	struct skf_reqhdr h;
	const char *server, *user, *password; /* logout: server only */
	struct skf_registry_how how;          /* docker_config is the file that is written */
	uint32_t what; /* of a logout: enum skf_img_logout of registry/wire.h: 0 this server, 1 all, 2 who is
			  logged in (3: by this file alone), which ret is then */
};
/* ret: lines for the user. DENIED when the registry refuses; then nothing is stored. */
int skf_engine_login(struct skf_engine *g, const struct skf_login_req *q, struct skf_buf *ret,
		     struct skf_err *e);
int skf_engine_logout(struct skf_engine *g, const struct skf_login_req *q, struct skf_buf *ret,
		      struct skf_err *e);

/* digest: of the top document, as pulled. Rows of images without a name have "<none>" for both. Newest
 * first. */
struct skf_image_row {
	char *repository, *tag, *digest, *id; /* repository in docker's familiar form; "<none>" */
	int64_t created_ns;
	uint64_t size; /* unpacked bytes */
};
int skf_engine_images(struct skf_engine *g, const char *filter_ref, struct skf_arena *a,
		      struct skf_jarr *ret /* skf_image_row */, struct skf_err *e);
struct skf_images_req {
	struct skf_reqhdr h;
	const char *reference;   /* REPOSITORY[:TAG] with shell patterns; NULL: all */
	struct skf_strv filters; /* reference, dangling, label, before, since, until; until as RFC 3339 */
};
int skf_engine_images_list(struct skf_engine *g, const struct skf_images_req *q, struct skf_arena *a,
			   struct skf_jarr *ret /* skf_image_row */, struct skf_err *e);
/* docker's image inspect document of one image, as JSON text into w. */
int skf_engine_image_inspect(struct skf_engine *g, const char *name, struct skf_jw *w, struct skf_err *e);
struct skf_rmi_req {
	struct skf_reqhdr h;
	const char *name;
	bool force, no_prune;
};
/* untagged: references removed; deleted: digests collected; in docker's order. */
int skf_engine_rmi(struct skf_engine *g, const struct skf_rmi_req *q, struct skf_arena *a,
		   struct skf_strv *untagged, struct skf_strv *deleted, struct skf_err *e);

/* --- archives, and images of one's own (worked on by skiff-image) --- */
enum skf_save_format { SKF_SAVE_DOCKER_ARCHIVE, SKF_SAVE_OCI }; /* OCI: a directory when out_fd is one */
struct skf_save_req {
	struct skf_reqhdr h;
	struct skf_strv images;
	enum skf_save_format format;
	int out_fd; /* borrowed */
};
int skf_engine_save(struct skf_engine *g, const struct skf_save_req *q, struct skf_err *e);
struct skf_load_req {
	struct skf_reqhdr h;
	const char *platform, *name; /* NULL: host; name of images that have none */
	int in_fd;                   /* borrowed: file, pipe or directory */
};
struct skf_loaded {
	char *name, *config; /* familiar with tag, "" none; digest */
};
int skf_engine_load(struct skf_engine *g, const struct skf_load_req *q, struct skf_arena *a,
		    struct skf_jarr *ret /* skf_loaded */, struct skf_err *e);
struct skf_import_req {
	struct skf_reqhdr h;
	int in_fd;                                  /* borrowed: a tar */
	const char *reference, *message, *platform; /* NULL: none, none, host */
	struct skf_strv changes;                    /* Dockerfile instructions */
};
int skf_engine_import(struct skf_engine *g, const struct skf_import_req *q, struct skf_digest *ret_config,
		      struct skf_err *e);
struct skf_commit_req {
	struct skf_reqhdr h;
	const char *container, *reference, *author, *message;
	struct skf_strv changes;
	bool pause;          /* freeze a running container meanwhile */
	bool docker, squash; /* a manifest of docker's family; one layer for everything */
};
int skf_engine_commit(struct skf_engine *g, const struct skf_commit_req *q, struct skf_digest *ret_config,
		      struct skf_err *e);
/* The container's files as one tar to out_fd (borrowed), running or not. */
int skf_engine_export(struct skf_engine *g, const char *container, int out_fd, int cancel_fd,
		      struct skf_err *e);
struct skf_diff_row {
	char kind; /* 'A', 'C', 'D' */
	char *path;
};
/* What a container changed of its image, sorted by path. */
int skf_engine_diff(struct skf_engine *g, const char *container, struct skf_arena *a,
		    struct skf_jarr *ret /* skf_diff_row */, struct skf_err *e);
/* What the layers of image do to base; base NULL: what its topmost layer does to those below. */
int skf_engine_image_diff(struct skf_engine *g, const char *image, const char *base, struct skf_arena *a,
			  struct skf_jarr *ret, struct skf_err *e);
/* Another name for an image. NOTFOUND, INVALID. */
int skf_engine_tag(struct skf_engine *g, const char *image, const char *name, struct skf_err *e);
/* Takes names from an image and keeps the image; without names all of them. */
int skf_engine_untag(struct skf_engine *g, const char *image, const struct skf_strv *names,
		     struct skf_err *e);
struct skf_history_row {
	char *created_by, *comment, *layer; /* layer: diff-id, "" none */
	int64_t created_ns;
	uint64_t size;
};
/* Newest first. ret_config: the image's id. */
int skf_engine_history(struct skf_engine *g, const char *image, struct skf_arena *a, struct skf_jarr *ret,
		       struct skf_digest *ret_config, struct skf_err *e);
struct skf_prune_req {
	struct skf_reqhdr h;
	bool all;                /* also images that have names and no container */
	struct skf_strv filters; /* until=, dangling=, label=, label!= */
};
int skf_engine_image_prune(struct skf_engine *g, const struct skf_prune_req *q, struct skf_arena *a,
			   struct skf_strv *untagged, struct skf_strv *deleted, uint64_t *ret_bytes,
			   struct skf_err *e);

/* --- what takes the disk (engine/df.c) --- */
struct skf_df_row { /* docker's table: "Images", "Containers", "Local Volumes", "Build Cache", and ours */
	const char *type;
	uint64_t total, active, size, reclaimable; /* bytes */
};
struct skf_df_image {
	char *repository, *tag, *id; /* as in skf_image_row */
	int64_t created_ns;
	uint64_t size, shared, unique; /* bytes of layers: all, those that another image has too, the rest */
	uint64_t containers;
};
struct skf_ps_row;
struct skf_df_container {
	struct skf_ps_row *row;
	uint64_t size, volumes; /* bytes on the disk with logs; named volumes in use */
};
struct skf_df_volume {
	char *name;
	uint64_t links, size;
};
struct skf_df_part { /* every file below the root, by what it is for: together they are what du(1) says of
			the root */
	const char *path, *what;
	uint64_t files, disk; /* disk: allocated bytes */
};
struct skf_df {
	struct skf_jarr rows;                               /* skf_df_row */
	struct skf_jarr images, containers, volumes, parts; /* with detail only */
	uint64_t disk;                                      /* sum of parts */
	bool partial; /* a tree of a container was too deep to be counted to its end */
};
/* Layers count by the sizes that their seals say, all else by its blocks. detail walks the whole root. Takes
 * no lock. */
int skf_engine_df(struct skf_engine *g, bool detail, struct skf_arena *a, struct skf_df *ret,
		  struct skf_err *e);
struct skf_system_prune_req {
	struct skf_reqhdr h;
	bool all, volumes;
	struct skf_strv filters; /* until= as RFC 3339, label=, label!= */
};
struct skf_pruned { /* one group of docker's output: "Deleted Containers" */
	const char *title;
	struct skf_strv lines;
};
/* Stopped containers, then (what they no longer hold) networks, volumes with `volumes`, images, unfinished
 * downloads. ret: struct skf_pruned of every group that lost something. */
int skf_engine_system_prune(struct skf_engine *g, const struct skf_system_prune_req *q, struct skf_arena *a,
			    struct skf_jarr *ret, uint64_t *ret_bytes, struct skf_err *e);

/* podman's system reset: every pod, container, image, volume, secret and network of this root, and what the
 * kernel has for them; both trees are empty then. Can be repeated. The engine is of no further use
 * afterwards but to be freed. */
int skf_engine_system_reset(struct skf_engine *g, struct skf_err *e);
struct skf_conf_row {
	const char *key, *about, *origin; /* origin: "FILE:LINE", NULL: the default */
	char *value;
};
/* What is configured now, key by key. */
int skf_engine_conf(struct skf_engine *g, struct skf_arena *a, struct skf_jarr *ret /* skf_conf_row */,
		    struct skf_err *e);

/* --- containers --- */
enum skf_mount_type {
	SKF_MOUNT_BIND,
	SKF_MOUNT_VOLUME,
	SKF_MOUNT_TMPFS,
	SKF_MOUNT_IMAGE,
	SKF_MOUNT_DEVPTS,
	SKF_MOUNT_RAMFS,
	SKF_MOUNT_GLOB,
	SKF_N_MOUNT_TYPES
};
/* "bind", "volume", ... */
const char *skf_mount_type_name(enum skf_mount_type t);
struct skf_mount_req { /* one -v, --mount or --tmpfs */
	enum skf_mount_type type;
	char *source, *target;   /* source: a host path, a volume's name (NULL: anonymous), an image */
	char *mode;              /* the options as given, for inspect; NULL: none */
	char *propagation;       /* NULL: rprivate */
	char *subpath;           /* of a volume or an image; NULL: all of it */
	char *idmap;             /* "": the container's own map; else the words of crun; NULL: none */
	char *driver;            /* of a volume that is made; NULL: local */
	struct skf_strv options; /* mount options that go to the kernel as they are */
	struct skf_strv driver_opts, labels; /* of a volume that is made: KEY=VALUE */
	bool readonly, writable_below,       /* read-only, but not what is mounted below it */
		recursive_ro;                /* refuse where the kernel cannot make all of it read-only */
	bool relabel, relabel_private, make_source, nocopy, chown, nonrecursive, overlay;
};
/* One word of -v, "[SOURCE:]TARGET[:OPTIONS]", in docker's grammar with podman's options; arena memory.
 * INVALID in docker's words. Does not look at the host. */
int skf_engine_parse_volume(const char *spec, struct skf_arena *a, struct skf_mount_req *ret,
			    struct skf_err *e);
/* One word of --mount: KEY=VALUE fields with commas, quoted as CSV. */
int skf_engine_parse_mount(const char *spec, struct skf_arena *a, struct skf_mount_req *ret,
			   struct skf_err *e);
/* One word of --tmpfs, "TARGET[:OPTIONS]". */
int skf_engine_parse_tmpfs(const char *spec, struct skf_arena *a, struct skf_mount_req *ret,
			   struct skf_err *e);
/* When the image is asked for at its registry. NEWER: whenever that can be asked; what the store has will do
 * when it cannot. */
enum skf_pull_policy {
	SKF_PULL_CONFIGURED,
	SKF_PULL_MISSING,
	SKF_PULL_ALWAYS,
	SKF_PULL_NEVER,
	SKF_PULL_NEWER
};
/* "missing", "always", "never", "newer"; -EINVAL. */
int skf_pull_policy_parse(const char *word, enum skf_pull_policy *ret);
/* Of the configuration: the keys that leave a container running, as "ctrl-p,ctrl-q"; lives as long as g. */
const char *skf_engine_detach_keys(const struct skf_engine *g);
/* sd_notify(3) of a start, where the container's sdnotify says "container". host: the manager's socket. Out:
 * the socket that the container writes to, and a pidfd of its process: the caller's; -1: it has none. */
struct skf_notify {
	const char *host;
	int sock, pidfd;
};
struct skf_create_req {
	struct skf_reqhdr h;
	const char *image; /* NULL with s.rootfs */
	const char *name;  /* NULL: two words made up */
	const char *hostname, *user, *workdir, *platform, *stop_signal;
	struct skf_net_req net;
	struct skf_strv command; /* after the image */
	bool has_entrypoint;
	struct skf_strv entrypoint; /* --entrypoint: one word, or none to reset */
	struct skf_strv
		env; /* KEY=VALUE, or KEY from the caller's environment (resolved by the front end) */
	struct skf_strv storage_opt; /* size=, inodes= of the writable layer */
	struct skf_settings s;
	struct skf_strv labels; /* K=V */
	bool tty, interactive, attach, detach, remove, init;
	bool replace;         /* an older container of that name is removed first */
	uint32_t timeout;     /* seconds after which it is killed; 0: never */
	int32_t stop_timeout; /* seconds; -1: as configured */
	enum skf_pull_policy pull;
	const char *docker_config; /* for an implied pull */
	bool plain_http;
	const char *pod; /* name or id of the pod that it joins; NULL: none */
	struct skf_life_req life;
	/* start */
	struct skf_notify *notify; /* NULL: nobody waits to hear that it is ready */
	int stdio[3]; /* pipe ends for the monitor: stdin source, stdout and stderr targets; -1 not attached;
			 consumed */
	unsigned rows, cols;
};
struct skf_run_handle {
	char id[SKF_ID_LEN + 1];
	int sock; /* launch/wire.h socket when attached (SKF_LAUNCH_KEEP), else -1; the caller's */
	uint32_t pid;
	bool remove;   /* --rm: skf_engine_run_end removes the container */
	bool attached; /* of skf_engine_attach: sock is one to the monitor's control socket */
};
struct skf_exit {
	uint32_t code, signal;
	bool oom, lost; /* lost: the monitor died */
};
/* create + start. On failure nothing is left (ECMD_* too, as `docker run` leaves a created container: we
 * follow docker only without --rm: the container stays in state created with the error in its record). */
int skf_engine_run(struct skf_engine *g, struct skf_create_req *q, const struct skf_progress *p,
		   struct skf_run_handle *ret, struct skf_err *e);
/* Waits on a handle's socket until EXITED; forwards nothing. -1 ETIMEDOUT kinds as usual. */
int skf_engine_run_wait(struct skf_engine *g, struct skf_run_handle *h, int timeout_ms, struct skf_exit *ret,
			struct skf_err *e);
/* Last step of an attached run whose socket reported the exit (or broke): reaps in this process and, when
 * the container was made with `remove`, removes it. Closes h->sock. The files of a removed container are
 * unlinked by its monitor, which ends after that and is not waited for. */
int skf_engine_run_end(struct skf_engine *g, struct skf_run_handle *h, struct skf_err *e);
int skf_engine_run_signal(struct skf_run_handle *h, int sig, struct skf_err *e);
int skf_engine_run_resize(struct skf_run_handle *h, unsigned rows, unsigned cols, struct skf_err *e);

struct skf_ps_row {
	char id[SKF_ID_LEN + 1];
	char *name, *image, *command, *state, *ports;
	int64_t created_ns, started_ns, finished_ns;
	int exit_code;
	uint32_t pid;
	const char *health; /* "none", "starting", "healthy", "unhealthy" */
	uint32_t restarts;
	struct skf_ps_detail *detail; /* NULL unless asked for */
};
struct skf_ps_mount {
	char *name, *target; /* name: of the volume, else the host's path */
	bool volume;
};
struct skf_ps_detail {
	struct skf_kvs labels;
	char *image_id;
	struct skf_strv layers, networks, exposed; /* exposed: "80/tcp" */
	struct skf_jarr mounts;                    /* skf_ps_mount */
	const char *health;                        /* "none", "starting", "healthy", "unhealthy" */
	struct skf_ctr_size {
		uint64_t rw, root; /* bytes that it wrote; with those of its image */
	} size;                    /* 0 unless asked for */
	char *pod, *pod_name;      /* "": in none */
	bool unfinished; /* being made, or killed while it was: nothing but the row is known of it */
};
struct skf_ps_req {
	struct skf_reqhdr h;
	bool all;
	int64_t last; /* at most so many, running or not; 0: no limit */
	bool detail, size;
	struct skf_strv filters; /* NAME=VALUE, docker's names and meaning */
};
/* The filtered list, newest first. INVALID "invalid filter 'x'", NOTFOUND of before and since. */
int skf_engine_ps_list(struct skf_engine *g, const struct skf_ps_req *q, struct skf_arena *a,
		       struct skf_jarr *ret /* skf_ps_row */, struct skf_err *e);
int skf_engine_ps(struct skf_engine *g, bool all, struct skf_arena *a,
		  struct skf_jarr *ret /* skf_ps_row, newest first */, struct skf_err *e);

/* name, id or unique id prefix -> id. NOTFOUND "No such container: x"; CONFLICT for an ambiguous prefix. */
int skf_engine_resolve(struct skf_engine *g, const char *word, char ret[SKF_ID_LEN + 1], struct skf_err *e);

struct skf_exec_req {
	struct skf_reqhdr h;
	const char *container;
	struct skf_strv command, env;
	const char *user, *workdir;
	bool tty, interactive, privileged, detach;
	int stdio[3]; /* as in create */
	unsigned rows, cols;
};
int skf_engine_exec(struct skf_engine *g, struct skf_exec_req *q, struct skf_run_handle *ret,
		    struct skf_err *e);

struct skf_stop_req {
	struct skf_reqhdr h;
	const char *container;
	int timeout_s; /* -1: the container's own */
	int signal;    /* 0: the container's own */
};
/* Stop = signal, wait, cgroup kill, wait, then state stopping-failed with the stuck tasks named. A stopped
 * container is success. */
int skf_engine_stop(struct skf_engine *g, const struct skf_stop_req *q, struct skf_err *e);
int skf_engine_kill(struct skf_engine *g, const char *container, int sig, struct skf_err *e);
int skf_engine_rm(struct skf_engine *g, const char *container, bool force, bool volumes, struct skf_err *e);
/* Blocks until the container is not running. */
int skf_engine_wait(struct skf_engine *g, const char *container, int cancel_fd, struct skf_exit *ret,
		    struct skf_err *e);
/* size: with SizeRw and SizeRootFs, which reads the whole writable layer. */
int skf_engine_inspect(struct skf_engine *g, const char *container, bool size, struct skf_jw *w,
		       struct skf_err *e);

struct skf_logs_req {
	struct skf_reqhdr h;
	const char *container;
	bool follow, timestamps, out, err_;
	bool details;               /* docker's --details: the attributes and a space before each line */
	int64_t tail;               /* -1: all */
	int64_t since_ns, until_ns; /* 0: none */
	int (*line)(void *arg, int stream /* 1, 2 */, int64_t time_ns, const char *p, size_t n,
		    struct skf_err *e);
	void *arg;
};
int skf_engine_logs(struct skf_engine *g, const struct skf_logs_req *q, struct skf_err *e);

/* --- volumes: <root>/volumes/<name>/{volume.json,_data}; driver "local" --- */
struct skf_volume {
	char *name, *driver, *created; /* RFC 3339 */
	char *mountpoint;              /* absolute path of _data */
	struct skf_kvs labels, options;
	bool anonymous;
};
struct skf_volume_req {
	struct skf_reqhdr h;
	const char *name, *driver;       /* NULL: a random name, "local" */
	struct skf_strv labels, options; /* KEY=VALUE; options: type, device, o, size */
};
/* Makes it, or finds the one of that name when it has the same options. CONFLICT "A volume named x already
 * exists with other options", INVALID, UNSUPPORTED (driver; size where the file system has no project
 * quota). */
int skf_engine_volume_create(struct skf_engine *g, const struct skf_volume_req *q, struct skf_arena *a,
			     struct skf_volume **ret, struct skf_err *e);
/* docker's document of one volume. */
int skf_engine_volume_inspect(struct skf_engine *g, const char *name, struct skf_jw *w, struct skf_err *e);
/* NOTFOUND "get x: no such volume". */
int skf_engine_volume_get(struct skf_engine *g, const char *name, struct skf_arena *a,
			  struct skf_volume **ret, struct skf_err *e);
struct skf_volume_row {
	struct skf_volume *v;
	unsigned users; /* containers that mount it */
	uint64_t size;  /* bytes; 0 unless asked for */
};
struct skf_volumes_req {
	struct skf_reqhdr h;
	bool usage, size;        /* count users; measure */
	struct skf_strv filters; /* dangling, driver, label, label!, name */
};
/* By name. */
int skf_engine_volumes(struct skf_engine *g, const struct skf_volumes_req *q, struct skf_arena *a,
		       struct skf_jarr *ret /* skf_volume_row */, struct skf_err *e);
/* NOTFOUND, CONFLICT "remove x: volume is in use - [ids]". force: absent is success. */
int skf_engine_volume_rm(struct skf_engine *g, const char *name, bool force, struct skf_err *e);
/* The volume's files as one tar to fd, or out of one (borrowed). UNSUPPORTED for a volume with a device,
 * which is mounted in containers only. */
int skf_engine_volume_export(struct skf_engine *g, const char *name, int fd, struct skf_err *e);
int skf_engine_volume_import(struct skf_engine *g, const char *name, int fd, struct skf_err *e);
struct skf_volume_prune_req {
	struct skf_reqhdr h;
	bool all;                /* also those with a name */
	struct skf_strv filters; /* label, label!, until, all */
};
int skf_engine_volume_prune(struct skf_engine *g, const struct skf_volume_prune_req *q, struct skf_arena *a,
			    struct skf_strv *removed, uint64_t *ret_bytes, struct skf_err *e);

/* --- cleaning up (DESIGN 3) --- */
/* Undoes what the engine made for a container that ended; with "remove" removes the container. Each step can
 * be repeated; two reapers meet at the container's lock. */
int skf_engine_reap(struct skf_engine *g, const char *id, struct skf_err *e);
struct skf_check_row {
	char *kind, *object, *problem, *done; /* done: "" or what repair did */
};
struct skf_check_req {
	struct skf_reqhdr h;
	bool repair;
	bool quick;                /* do not read every file of every layer */
	const char *docker_config; /* for what is pulled again; NULL none */
};
/* Looks at every object of both trees, cgroups and processes, and recomputes every digest; repairs when
 * asked: what is damaged or missing of an image is pulled again from where the image came. ret:
 * skf_check_row. */
int skf_engine_check(struct skf_engine *g, const struct skf_check_req *q, struct skf_arena *a,
		     struct skf_jarr *ret, struct skf_err *e);
