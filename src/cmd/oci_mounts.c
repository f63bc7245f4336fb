/* cmd/oci_mounts.c -- mounts add and mounts remove: crun's verb, with a list as in config.json's `mounts`.
 * Blocks for the container's lock and for the file systems. */
#include "cmd/oci_int.h"

#include "oci/spec.h"

#include <unistd.h>

int oci_mounts(struct oci *o, struct skf_err *e)
{
	const char *what = o->a.rest.v[0], *id = o->a.rest.v[1], *path = o->a.rest.v[2];
	struct skf_spec_opts so = {.log = &o->log, .name = skf_streq(path, "-") ? "standard input" : path};
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_SPEC_BYTES);
	struct skf_jarr mounts;
	int r;

	if (!skf_streq(what, "add") && !skf_streq(what, "remove"))
		return skf_fail(e, SKF_EINVALID,
				"mounts: unknown command '%s'; usage: %s mounts [add|remove] CONTAINER FILE",
				what, o->prog);
	r = skf_streq(path, "-") ? skf_read_fd(STDIN_FILENO, SKF_MAX_SPEC_BYTES / 2, &b)
				 : skf_read_file_at(AT_FDCWD, path, SKF_MAX_SPEC_BYTES / 2, &b);
	if (r < 0)
		return skf_fail_sys(e, r, "read mounts from '%s'", so.name);
	if (skf_spec_parse_mounts(skf_buf_cstr(&b), b.len, &so, &o->arena, &mounts, e) < 0)
		return -1;
	return skf_streq(what, "add") ? skf_rt_mounts_add(&o->rt, id, &mounts, e)
				      : skf_rt_mounts_remove(&o->rt, id, &mounts, e);
}
