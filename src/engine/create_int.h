/* engine/create_int.h -- the plan of a container: everything decided before anything is made (plan.c), and
 * then made (create.c). */
#pragma once
#include "engine/engine_int.h"
#include "engine/net_int.h"
#include "engine/selinux.h"
#include "sys/quota.h"

struct skf_plan_volume {
	struct skf_volume_req q;
	bool anonymous, made; /* made: by this create, so that a failure takes it back */
};

struct skf_plan_secret {
	struct skf_ctrconf_secret c;
	const char *data;
	size_t n;
};
/* gen.ids has the maps that are known before the container is made; auto completes them. */
struct skf_plan_userns {
	bool is_auto;
	uint32_t size;     /* of auto; 0: what the image's users need */
	const char *user;  /* keep-id:uid=,gid=: of the process, unless --user says otherwise; NULL */
	uint32_t uid, gid; /* the same, as numbers */
	bool path; /* of gen.ns[SKF_NS_USER], whose maps launch reads at each start, and storage.c where
		      files are copied for them */
};

struct skf_pod;
struct skf_plan {
	struct skf_engine *g;
	struct skf_create_req *q;
	struct skf_arena *a;
	struct skf_image *image;
	struct skf_refrec ref;
	struct skf_image_config *ic;
	struct skf_ctrconf conf;
	struct skf_pod *pod; /* NULL: in none */
	struct skf_ctr_request req;
	struct skf_gen gen;
	struct skf_plan_userns userns;
	bool systemd; /* the command is one, and gets what it needs */
	struct skf_net_conf net;
	const char *seccomp;         /* --security-opt seccomp=, as given; NULL: not given */
	struct skf_strv label_words; /* --security-opt label=, but for the two below */
	bool label_disable, label_nested;
	char mcs[SKF_MCS_SIZE];                  /* claimed for this container; "": none */
	struct skf_strv extra_env, extra_groups; /* of devices, secrets, ... */
	struct skf_gen_mount *mounts;
	size_t n_mounts, cap_mounts;
	struct skf_mount_point *points;
	size_t n_points, cap_points;
	struct skf_ctrconf_source *sources;
	size_t n_sources, cap_sources;
	struct skf_plan_volume *volumes; /* to be there when the container is made */
	size_t n_volumes, cap_volumes;
	struct skf_gen_device *devices;
	size_t n_devices, cap_devices;
	struct skf_gen_rule *rules;
	size_t n_rules, cap_rules;
	struct skf_plan_secret *secrets;
	size_t n_secrets, cap_secrets;
	char id[SKF_ID_LEN + 1];
	char name[SKF_MAX_NAME_BYTES + 1];
	char hostname[256];
	char created[36];
	char dir[4096];         /* <root>/containers/<id> */
	struct skf_quota quota; /* of the writable layer; 0: none */
	struct skf_ctrconf_storage storage;
	struct skf_lease *lease;   /* on the image while its files are copied; NULL */
	bool copied;               /* there was one */
	int dir_fd;                /* the container's directory, once it is made */
	int lock;                  /* of the container; taken before anything of it is made */
	struct skf_layered layers; /* open trees, highest first */
};
/* What can be decided, and refused, without the image: before a pull of minutes. */
int skf_plan_check(struct skf_plan *p, struct skf_err *e);
/* The rest: reads the image's config and passwd files. Makes nothing but missing -v sources (docker makes
 * those too). */
int skf_plan_make(struct skf_plan *p, struct skf_err *e);

/* --- steps of the plan, one part each; order: plan.c. 0 or -1 with e in docker's words --- */
int skf_plan_no_memory(struct skf_err *e); /* -1 */
int skf_plan_resources(struct skf_plan *p, struct skf_err *e);
int skf_plan_security(struct skf_plan *p, struct skf_err *e);
int skf_plan_storage(struct skf_plan *p, struct skf_err *e);
int skf_plan_streams(struct skf_plan *p, struct skf_err *e);
int skf_plan_devices(struct skf_plan *p, struct skf_err *e);
/* One node and the rule that lets the container use it ("": no rule). */
int skf_plan_device(struct skf_plan *p, const struct skf_gen_device *d, const char *access,
		    struct skf_err *e);
int skf_plan_secrets(struct skf_plan *p, struct skf_err *e);
/* Their copies below dir, the container's directory. */
int skf_plan_make_secrets(struct skf_plan *p, int dir, struct skf_err *e);
int skf_plan_pod(struct skf_plan *p, struct skf_err *e);
int skf_plan_network(struct skf_plan *p, struct skf_err *e);
int skf_plan_exposed(struct skf_plan *p, struct skf_err *e);
int skf_plan_log(struct skf_plan *p, struct skf_err *e);
int skf_plan_restart(struct skf_plan *p, struct skf_err *e);
/* Before the health check, which runs without it: skf_plan_command has set the command. */
int skf_plan_init(struct skf_plan *p, struct skf_err *e);
int skf_plan_health(struct skf_plan *p, struct skf_err *e);
/* After the health check and the runtime are known. */
int skf_plan_sdnotify(struct skf_plan *p, struct skf_err *e);
/* Last: where the properties come from, for explain. */
int skf_plan_from(struct skf_plan *p, struct skf_err *e);
int skf_plan_namespaces(struct skf_plan *p, struct skf_err *e);
int skf_plan_process(struct skf_plan *p, struct skf_err *e);
int skf_plan_annotations(struct skf_plan *p, struct skf_err *e);
/* KEY=VALUE words as pairs; a later one of a key wins. */
int skf_plan_pairs(struct skf_plan *p, const struct skf_strv *v, struct skf_kvs *ret, struct skf_err *e);
int skf_plan_hostname(struct skf_plan *p, struct skf_err *e);
int skf_plan_rootfs(struct skf_plan *p, struct skf_err *e);
/* --runtime; after the namespaces are known. */
int skf_plan_runtime(struct skf_plan *p, struct skf_err *e);
int skf_plan_image(struct skf_plan *p, struct skf_err *e);
int skf_plan_command(struct skf_plan *p, struct skf_err *e);
/* --systemd; once the command is known, before user (environment), stop signal and mounts. */
int skf_plan_systemd(struct skf_plan *p, struct skf_err *e);
/* Mounts that --systemd adds where nothing else is, as words of --tmpfs; NULL-terminated. */
extern const char *const skf_systemd_tmpfs[];
/* After systemd and namespaces are known, before the health check, which has the labels. Takes the
 * container's lock and claims a pair. */
int skf_plan_selinux(struct skf_plan *p, struct skf_err *e);
/* A word of --security-opt label=. -EINVAL: it is none. */
int skf_plan_label_word(struct skf_plan *p, const char *v);
int skf_plan_mcs_link(struct skf_plan *p, int dir, struct skf_err *e);
void skf_plan_mcs_undo(struct skf_plan *p);
/* Whether z or Z may be done to the source. */
int skf_plan_relabel(const struct skf_mount_req *m, struct skf_err *e);
int skf_plan_user(struct skf_plan *p, struct skf_err *e);
int skf_plan_workdir(struct skf_plan *p, struct skf_err *e);
int skf_plan_stop(struct skf_plan *p, struct skf_err *e);
int skf_plan_labels(struct skf_plan *p, struct skf_err *e);
/* Appends elem to an array of the plan's arena; LIMIT. */
int skf_plan_push(struct skf_plan *p, void **v, size_t *n, size_t *cap, const void *elem, size_t size,
		  struct skf_err *e);
/* One wish as a mount of config.json. */
int skf_plan_mount(struct skf_plan *p, const struct skf_mount_req *m, struct skf_err *e);
int skf_plan_mounts(struct skf_plan *p, struct skf_err *e);

/* --- quota.c --- */
/* rw/ and work/ below dir, still empty, under one project with the plan's limits. UNSUPPORTED says what the
 * file system lacks. */
int skf_plan_make_quota(struct skf_plan *p, int dir, struct skf_err *e);

/* --- storage.c --- */
/* rw/ becomes what the storage driver makes of the image, copies of images that are mounted are made, and
 * the plan says so. */
int skf_plan_make_storage(struct skf_plan *p, int dir, struct skf_err *e);

/* --- plan_userns.c, userns_take.c: the user namespace --- */
/* What the flags mean; before the image. */
int skf_plan_userns(struct skf_plan *p, struct skf_err *e);
/* With the image and the user: how many ids --userns=auto needs. */
int skf_plan_userns_size(struct skf_plan *p, struct skf_err *e);
/* In the container's new directory: picks free ids for auto, and writes the maps down, both under
 * locks/userns, so that no two containers have an id in common; hosts, hostname and resolv.conf become the
 * mapped root's. */
int skf_plan_userns_take(struct skf_plan *p, int dir, struct skf_err *e);
/* --userns=ns:PATH: the maps that the namespace has now, written down for what is copied for them. Blocks on
 * a child. */
int skf_plan_userns_path(struct skf_plan *p, int dir, struct skf_idmaps *ret, struct skf_err *e);
