/* oci/registries_conf.h -- containers-registries.conf(5), version 2: what short names mean, and where
 * registries really are. Read by the engine (names) and by skiff-image (places). */
#pragma once
#include "base/arena.h"
#include "oci/ref.h"

enum skf_short_mode { SKF_SHORT_ENFORCING = 0, SKF_SHORT_PERMISSIVE, SKF_SHORT_DISABLED };
struct skf_reg_place { /* "host[:port][/path]" */
	const char *location;
	bool insecure, tag_only, digest_only;
};
struct skf_reg {
	const char *prefix; /* "host[:port][/path]", or "*.domain"; as location when the file has none */
	struct skf_reg_place at; /* location NULL: as the prefix says */
	bool blocked, mirrors_by_digest;
	struct skf_reg_place mirror[16];
	size_t n_mirrors;
};
#define SKF_MAX_REGS 512
struct skf_registries {
	struct skf_arena a;
	struct skf_strv search;  /* unqualified-search-registries */
	const char *search_from; /* file that says them; NULL: none does */
	enum skf_short_mode mode;
	struct skf_strv alias, alias_of; /* pairs; a later one wins; "" takes an alias away */
	struct skf_reg *reg;             /* SKF_MAX_REGS */
	size_t n_reg;
};
/* The user's registries.conf ($XDG_CONFIG_HOME or ~/.config, containers/) or else the system's
 * (/etc/containers/), then the drop-ins of both; or only the file that $CONTAINERS_REGISTRIES_CONF names
 * (empty: none). Missing files say nothing. INVALID "FILE:LINE: ...". Blocks on the disk. */
int skf_registries_load(struct skf_registries *c, struct skf_err *e);
/* One more file over what c holds; zero-initialised with an arena at first. Pure; for tests and the fuzzer,
 * too. */
int skf_registries_parse(struct skf_registries *c, const char *name, const char *text, size_t n,
			 struct skf_err *e);
void skf_registries_done(struct skf_registries *c);
/* The entry whose prefix is the longest that "host/repo" begins with (whole components); NULL. repo NULL:
 * entries of a whole host only. */
const struct skf_reg *skf_registries_match(const struct skf_registries *c, const char *host,
					   const char *repo);
/* Where the place of an entry has a repository: host and path of it. INVALID, LIMIT. */
int skf_registries_at(const struct skf_reg *r, const struct skf_reg_place *p, const char *host,
		      const char *repo, char ret_host[SKF_MAX_REPO_BYTES + 1],
		      char ret_repo[SKF_MAX_REPO_BYTES + 1], struct skf_err *e);
/* Whether a word is a short name ("fedora", "fedora:40", "team/app"): nothing in front of its first slash
 * looks like a host, and it is no id. */
bool skf_registries_is_short(const char *word);
/* What a short name may mean, in the order of trial: the alias' target; or one per search registry; none:
 * docker's meaning alone. Arena memory of c. */
int skf_registries_expand(struct skf_registries *c, const char *word, struct skf_strv *ret,
			  struct skf_err *e);
