/* cmd/oci_info.c -- spec and features. */
#include "cmd/oci_int.h"

#include "base/json.h"
#include "base/limits.h"
#include "oci/spec.h"

#include <unistd.h>

int oci_spec(struct oci *o, struct skf_err *e)
{
	const char *dir = o->a.bundle ? o->a.bundle : ".";
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_SPEC_BYTES);
	struct skf_jw w = {.b = &b, .indent = 4};
	SKF_AUTO_FD int fd = skf_openat(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0);
	int r = fd;

	if (r < 0)
		return skf_fail_sys(e, r, "open bundle '%s'", dir);
	skf_spec_write_default(&w, o->a.spec_rootless, geteuid(), getegid());
	skf_buf_chr(&b, '\n');
	r = b.err < 0 ? b.err : skf_write_atomic_at(fd, "config.json", b.p, b.len, 0644, SKF_NOREPLACE);
	if (r == -EEXIST)
		return skf_fail(e, SKF_ECONFLICT, "file config.json exists. Remove it first");
	return r < 0 ? skf_fail_sys(e, r, "write '%s/config.json'", dir) : 0;
}

int oci_features(struct oci *o, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_SPEC_BYTES);
	struct skf_jw w = {.b = &b, .indent = 2};

	(void)o;
	skf_spec_write_features(&w);
	skf_buf_chr(&b, '\n');
	return oci_print(&b, e);
}
