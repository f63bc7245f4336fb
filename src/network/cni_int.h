/* network/cni_int.h -- what the files of the CNI client share.
 *
 * cni_conf.c    configuration lists: finding and decoding     cni_exec.c   running one plugin
 * cni_result.c  results, errors, the cache file               cni.c        the verbs over a list
 *
 * Documents of plugins travel as text: what a plugin said passed our decoder once, and its next reader gets
 * the same bytes. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/limits.h"
#include "network/cni.h"

enum skf_cni_level {
	SKF_CNI_0_3_0,
	SKF_CNI_0_3_1,
	SKF_CNI_0_4_0,
	SKF_CNI_1_0_0,
	SKF_CNI_1_1_0,
	SKF_CNI_LEVELS
};
extern const char *const skf_cni_levels[SKF_CNI_LEVELS];

struct skf_cni_plugin {
	char *type;
	char *body;           /* members of the object but name, cniVersion, runtimeConfig and prevResult:
				 ,"type":"bridge",... */
	struct skf_strv caps; /* capabilities that are true */
};
struct skf_cni_list {
	char *name, *file, *text;
	enum skf_cni_level level;
	bool disable_check, disable_gc;
	struct skf_jarr plugins; /* skf_cni_plugin */
};
/* text: a list, or a single plugin's configuration. file: for errors. */
int skf_cni_list_decode(const char *file, const char *text, size_t n, bool single, struct skf_arena *a,
			struct skf_cni_list **ret, struct skf_err *e);
/* [A-Za-z0-9][A-Za-z0-9_.-]*: names of networks, ids, interfaces, types as the spec has them. */
bool skf_cni_word_ok(const char *s);

/* --- cni_exec.c --- */
struct skf_cni_exec {
	const char *verb, *container_id, *netns, *ifname, *args; /* CNI_*; NULL: not set */
	const char *in;                                          /* configuration */
};
/* Runs the plugin of that type; *out is what it said on stdout. Its failure is told with its own words.
 * *ret_code (may be NULL): the code of its error, 0 for none. */
int skf_cni_exec(const struct skf_cni_dirs *d, const struct skf_cni_list *l, const char *type,
		 const struct skf_cni_exec *x, struct skf_buf *out, uint32_t *ret_code, struct skf_err *e);
int skf_cni_find_plugin(const struct skf_cni_dirs *d, const char *type, char *path, size_t size,
			struct skf_err *e);

/* --- cni_result.c --- */
/* text must be a result; *ret may be NULL. who is named in errors. */
int skf_cni_result_decode(const char *who, const char *text, size_t n, struct skf_arena *a,
			  struct skf_cni_result **ret, struct skf_err *e);
struct skf_cni_failure {
	char *msg, *details;
	uint32_t code;
};
/* 0, or -1 when it is not an error document. */
int skf_cni_error_decode(const char *text, size_t n, struct skf_arena *a, struct skf_cni_failure **ret);
int skf_cni_versions_decode(const char *type, const char *text, size_t n, struct skf_arena *a,
			    struct skf_strv *ret, struct skf_err *e);

struct skf_cni_cache {
	char *container_id, *ifname, *netns, *file, *list, *args;
	char *result; /* NULL: ADD had not finished */
	bool single;
	struct skf_kvs caps; /* capability -> its JSON text */
	struct skf_strv bin; /* directories of plugins; none: the usual ones */
};
int skf_cni_cache_write(int run_fd, const char *network, const struct skf_cni_cache *c, struct skf_err *e);
/* NOTFOUND when there is none. */
int skf_cni_cache_read(int run_fd, const char *network, const char *container_id, const char *ifname,
		       struct skf_arena *a, struct skf_cni_cache **ret, struct skf_err *e);
int skf_cni_cache_remove(int run_fd, const char *network, const char *container_id, const char *ifname,
			 struct skf_err *e);
/* All of a network: calls fn until it fails. */
int skf_cni_cache_each(int run_fd, const char *network, struct skf_arena *a,
		       int (*fn)(const struct skf_cni_cache *c, void *arg, struct skf_err *e), void *arg,
		       struct skf_err *e);
