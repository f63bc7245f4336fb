/* launch/config.h -- the member "skiff" of a container's config.json (docs/formats.md): plain data shared by
 * the engine (writes) and launch (reads). Unknown members are kept by whoever rewrites the file. */
#pragma once
#include "base/json.h"
#include "oci/digest.h"

/* Containers of other OCI runtimes. In run/containers/<id>/: the runtime's program, then each of its flags,
 * one a line; absent: our own. Its state is below run/<SKF_FOREIGN_ROOT>/. */
#define SKF_FOREIGN_FILE "runtime"
#define SKF_FOREIGN_ROOT "runtime"

struct skf_ctrconf_health {   /* docker's HEALTHCHECK; times in milliseconds */
	struct skf_strv test; /* "CMD", word ...; "CMD-SHELL", line */
	uint64_t interval, timeout, start_period, start_interval;
	uint32_t retries;
	char *on_failure; /* "none", "kill", "restart", "stop" */
	char *process;    /* raw JSON: the process object of runtime-spec that is run */
};
struct skf_ctrconf_source { /* where a bind mount of config.json really comes from: opened by launch at each
			       start */
	char *target;       /* the mount's destination */
	char *volume;       /* a volume's name, or NULL */
	char *container;    /* /dev/shm of this container, or NULL */
	char *directory;    /* a host path, or NULL */
	bool overlay;  /* what is written to the directory goes to the container's own upper directory */
	char *subpath; /* below the volume or image; NULL: all of it */
	struct skf_strv layers; /* of an image, lowest first */
	char *view; /* directory of the container that has a copy of the image's files; NULL: the layers are
		       mounted */
	bool copy_up;  /* fill the volume from the image's directory when it is empty */
	bool chown;    /* give it to the container's user, once */
	char *relabel; /* "shared" or "private": label it at each start (SELinux); NULL: a new volume only */
};
#define SKF_SECRETS_DIR "secrets" /* in a container's directory: copies of its secrets, 0600 */
struct skf_ctrconf_secret {       /* one --secret: a file on a tmpfs, or a variable */
	char *name, *id;          /* of the secret, when the container was created */
	char *file;               /* its copy in SKF_SECRETS_DIR */
	char *target;             /* absolute path, or (env) name of the variable */
	bool env;
	uint32_t uid, gid, mode;
};
struct skf_ctrconf_storage { /* how its root is made of its layers (store/snapshot.h) */
	char *driver;
	bool lower; /* the layers are mounted below rw/; false: rw/ has everything */
	char *form; /* of each layer: path below layers/<diff-id>/ */
};
struct skf_ctrconf {
	char *name, *image;        /* image: full reference as resolved */
	char *image_id, *manifest; /* digests */
	char *created;             /* RFC 3339 */
	struct skf_strv layers;    /* diff-ids, lowest first */
	struct skf_strv command;   /* entrypoint and arguments */
	struct skf_ctrconf_storage
		*storage;        /* never NULL once decoded: overlay over tree/ when the file says nothing */
	struct skf_jarr sources; /* skf_ctrconf_source */
	struct skf_strv mount_layers; /* of all image mounts: what collection must keep */
	struct skf_jarr secrets;      /* skf_ctrconf_secret */
	struct skf_strv
		joins; /* "ipc=<container id>": namespaces of other containers, found at each start */
	bool tty, open_stdin, stdin_once, attach_stdin;
	int32_t stop_signal;  /* number */
	int32_t stop_timeout; /* seconds */
	bool remove, readonly;
	char *network;         /* "none", "host" */
	char *pod;             /* id of the pod that it belongs to; NULL: none */
	char *log_driver;      /* "json-file", "none" */
	uint64_t log_max_size; /* bytes, 0: no rotation */
	uint32_t log_max_file;
	bool log_compress;                 /* what is rotated */
	char *request;                     /* raw JSON, NULL when absent */
	char *process_label, *mount_label; /* of SELinux; NULL: none */
	char *runtime;                     /* absolute path of another OCI runtime; NULL: our own */
	char *runtime_name;                /* as it was asked for */
	struct skf_strv runtime_flags;
	char *rootfs;        /* absolute path of the directory that it runs on, in place of layers; NULL */
	bool rootfs_overlay; /* what is written goes to rw/ */
	bool rootfs_idmap;   /* its files are seen through the user namespace's maps */
	char *sdnotify;      /* "conmon", "container", "healthy": what its starts say to NOTIFY_SOCKET; NULL:
				nothing */
	uint32_t timeout;    /* seconds after its start at which it is killed; 0: never */
	char *restart;       /* "no", "always", "on-failure", "unless-stopped" */
	uint32_t restart_max;              /* of on-failure; 0: no limit */
	struct skf_kvs log_opts;           /* as given, checked */
	struct skf_ctrconf_health *health; /* NULL: none */
};
/* Number of enum skf_restart (monitor/wire.h), enum skf_health_action, or -EINVAL. */
int skf_ctrconf_restart_parse(const char *word);
int skf_ctrconf_action_parse(const char *word);
extern const struct skf_jtable skf_ctrconf_table; /* of the member */
/* Finds and decodes the member in a whole config.json. CORRUPT when it is missing or wrong. */
int skf_ctrconf_parse(const char *config_json, size_t n, struct skf_arena *a, struct skf_ctrconf **ret,
		      struct skf_err *e);
/* Writes "skiff": {...} as a member of the object that w is in. */
void skf_ctrconf_write(struct skf_jw *w, const struct skf_ctrconf *c);
