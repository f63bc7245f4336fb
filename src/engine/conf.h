/* engine/conf.h -- the configuration: /etc/skiff/skiff.conf, then the user's own over it;
 * docs/configuration.md. */
#pragma once
#include "base/arena.h"
#include "base/json.h"
#include "engine/engine.h"

struct skf_conf {
	struct skf_arena a;
	char *cgroup_parent, *seccomp_profile, *apparmor_profile, *detach_keys, *tz, *umask, *userns,
		*userns_user, *runtime, *storage_driver;
	int64_t pids_limit, shm_size, stop_timeout; /* processes, bytes, seconds */
	enum skf_pull_policy pull;
	bool init, selinux, no_new_privileges, read_only, cni_gc, mapped_copies;
	struct skf_strv ulimits, env, cdi_dirs, userns_ids, runtimes, runtime_flags, cni_conf_dirs,
		cni_plugin_dirs;
	int64_t userns_min_size, userns_max_size; /* ids */
	bool any;                                 /* some key has an origin */
	const char *origin[32]; /* of each key, in the table's order: "FILE:LINE", NULL: the default */
};
/* Defaults, then every file that exists. SKIFF_CONF in the environment names the one file to read instead.
 * INVALID "FILE:LINE: ..." for an unknown key or a wrong value, LIMIT. Blocks on the disk. */
int skf_conf_load(struct skf_conf *c, struct skf_err *e);
/* Text of one file over what c holds; name is for messages. For the fuzzer and unit tests, too. */
int skf_conf_parse(struct skf_conf *c, const char *name, const char *text, size_t n, struct skf_err *e);
int skf_conf_defaults(struct skf_conf *c, struct skf_err *e);
void skf_conf_done(struct skf_conf *c);
/* One line per key: fn(key, value as it would be written, origin or NULL, about). */
void skf_conf_each(const struct skf_conf *c,
		   void (*fn)(void *arg, const char *key, const char *value, const char *origin,
			      const char *about),
		   void *arg);
/* The same as struct skf_conf_row in the arena; origins are c's. */
int skf_conf_rows(const struct skf_conf *c, struct skf_arena *a, struct skf_jarr *ret, struct skf_err *e);
/* Where a key's value comes from: "FILE:LINE", or NULL when it is the default. */
const char *skf_conf_origin(const struct skf_conf *c, const char *key);
