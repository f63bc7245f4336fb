/* runtime/rdt_int.h -- the parts of rdt.c below the handle of a resctrl mount, so that tests can use a
 * directory of their own. */
#pragma once
#include "oci/spec.h"
#include "runtime/runtime_int.h"

struct skf_rdt_in {
	int root; /* the resctrl mount */
	const struct skf_spec_intel_rdt *x;
	const char *id;
	int state_fd; /* for the journal; -EBADF: none */
};
struct skf_rdt {
	char path[SKF_MAX_RDT_PATH]; /* "<group>" or "[<group>/]mon_groups/<id>"; "/" the root */
	unsigned made;
};
/* Whether the content of a schemata file has every domain of `wanted` (lines "L3:0=f;1=f") with that value.
 */
bool skf_rdt_matches(const char *schemata, const char *wanted);
/* Groups as the table of rdt.c says. g->made tells the undo what was made, also on failure. */
int skf_rdt_setup(const struct skf_rdt_in *in, struct skf_rdt *g, struct skf_err *e);
int skf_rdt_enter(int root, const char *path, pid_t pid, struct skf_err *e);
int skf_rdt_update_at(int root, const char *path, const char *l3, const char *mb, struct skf_err *e);
int skf_rdt_remove_at(int root, const char *path, struct skf_err *e);
