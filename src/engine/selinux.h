/* engine/selinux.h -- SELinux labels of containers: which contexts the policy has for them, the pair of
 * categories that tells one container from the next, and what --security-opt label= makes of them. */
#pragma once
#include "base/err.h"
#include "base/json.h"
#include "sys/selinux.h"

struct skf_engine;

struct skf_selinux_contexts { /* <policy>/contexts/lxc_contexts; NULL: not in it */
	char *process, *init_process, *file;
};
/* Those of the policy that etc_fd (/etc/selinux) is configured for. 1, or 0: the policy has none, -1: the
 * file is there and wrong. */
int skf_selinux_contexts(int etc_fd, struct skf_arena *a, struct skf_selinux_contexts *ret,
			 struct skf_err *e);

#define SKF_MCS_LINK "mcs" /* in the directory of a container or pod: its pair */

#define SKF_MCS_SIZE 16 /* "c1022,c1023" */
/* Level of what no container may share, and of what all may. */
#define SKF_MCS_PRIVILEGED "s0:c1022,c1023"
#define SKF_MCS_SHARED     "s0"

/* A pair that no other container or pod of this root has, claimed as selinux/<pair>, a link to the id. The
 * id's lock is held: a claim whose id has neither a lock nor a directory is for the check to remove. LIMIT:
 * all are taken. */
int skf_mcs_take(struct skf_engine *g, const char *id, char ret[SKF_MCS_SIZE], struct skf_err *e);
/* Gives it back when it is the id's. "": nothing to do. */
int skf_mcs_release(struct skf_engine *g, const char *pair, const char *id, struct skf_err *e);
/* That of the container or pod in directory dir, "" without. 0 or -errno. */
int skf_mcs_of(int dir, char ret[SKF_MCS_SIZE]);
/* The number-th pair, of SKF_MCS_PAIRS; pure. */
#define SKF_MCS_PAIRS (1024u * 1023u / 2u - 1u) /* all but that of the privileged */
void skf_mcs_pair(uint32_t number, char ret[SKF_MCS_SIZE]);

/* The option's words after "label=" applied to a process's and a file's label: user, role, type and level of
 * the process, user, level and filetype of the file. -EINVAL for a word that is none, -ENAMETOOLONG. */
int skf_selinux_option(const char *word, struct skf_selinux_label *process, struct skf_selinux_label *file);
