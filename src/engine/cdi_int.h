/* engine/cdi_int.h -- a specification of the Container Device Interface as read (cdi_spec.c), and where a
 * device was found (cdi_find.c), for who turns it into the plan of a container (cdi.c). All strings are
 * arena memory. */
#pragma once
#include "base/json.h"
#include "engine/create_int.h"

struct cdi_node {
	char *path, *host_path, *type, *permissions; /* path: in the container */
	bool has_major, has_minor, has_mode, has_uid, has_gid;
	int64_t major, minor, mode, uid, gid;
};
struct cdi_mount {
	char *host, *container, *type;
	struct skf_strv options;
};
struct cdi_hook {
	char *name, *path;
	struct skf_strv args, env;
	bool has_timeout;
	int64_t timeout;
};
struct cdi_rdt {
	char *clos, *l3, *mem_bw;
	struct skf_strv schemata;
	bool monitoring, cmt, mbm;
};
struct cdi_edits {
	struct skf_strv env, gids;            /* gids: decimal */
	struct skf_jarr nodes, mounts, hooks; /* cdi_node, cdi_mount, cdi_hook */
	struct cdi_rdt *rdt;                  /* NULL: none */
};
struct cdi_device {
	char *name;
	struct cdi_edits edits;
};
struct cdi_spec {
	char *version, *kind;
	struct skf_jarr devices; /* cdi_device */
	struct cdi_edits edits;  /* with each of its devices, once */
};
/* Text of the file `path` (for messages) as a specification; yaml: the text is JSON that was made of YAML,
 * where numbers are texts. INVALID, UNSUPPORTED with file and place. Pure. */
int cdi_spec_parse(const char *path, const char *text, size_t n, bool yaml, struct skf_arena *a,
		   struct cdi_spec **ret, struct skf_err *e);
extern const char *const cdi_hook_kinds[]; /* of the runtime-spec, in its order; NULL at the end */

struct cdi_found {
	const struct cdi_spec *spec;
	const struct cdi_device *device;
	const char *file;
};
/* The device VENDOR/CLASS=NAME in the directories of the configuration. NOTFOUND "unresolvable CDI devices
 * x", with what could not be read on the way; CONFLICT when two files of one directory have it. */
int cdi_find(struct skf_plan *p, const char *name, struct cdi_found *ret, struct skf_err *e);
