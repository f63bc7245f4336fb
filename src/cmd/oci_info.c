/* cmd/oci_info.c -- spec and features. */
#include "cmd/oci_int.h"

#include "base/json.h"
#include "base/limits.h"
#include "oci/spec.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

/* Directory and name of the file to write: --file is relative to the bundle. */
static int split_path(const struct oci *o, char dir[PATH_MAX], const char **ret_name)
{
	const char *file = o->a.file ? o->a.file : "config.json", *slash = strrchr(file, '/'),
		   *bundle = o->a.bundle ? o->a.bundle : ".";
	int n = slash ? (int)(slash - file) + 1 : 0;

	*ret_name = slash ? slash + 1 : file;
	if (!**ret_name)
		return -EISDIR;
	return skf_fmt(dir, PATH_MAX, "%s%s%.*s", *file == '/' ? "" : bundle, *file == '/' ? "" : "/", n,
		       file);
}

int oci_spec(struct oci *o, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_SPEC_BYTES);
	struct skf_jw w = {.b = &b, .indent = 4};
	SKF_AUTO_FD int fd = -EBADF;
	char dir[PATH_MAX];
	const char *name;
	int r = split_path(o, dir, &name);

	if (r < 0)
		return skf_fail_sys(e, r, "write '%s'", o->a.file ? o->a.file : o->a.bundle);
	r = fd = skf_openat(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0);
	if (r < 0)
		return skf_fail_sys(e, r, "open bundle '%s'", dir);
	skf_spec_write_default(&w, o->a.spec_rootless, geteuid(), getegid());
	skf_buf_chr(&b, '\n');
	r = b.err < 0 ? b.err : skf_write_atomic_at(fd, name, b.p, b.len, 0644, SKF_NOREPLACE);
	if (r == -EEXIST)
		return skf_fail(e, SKF_ECONFLICT, "file %s exists. Remove it first", name);
	return r < 0 ? skf_fail_sys(e, r, "write '%s/%s'", dir, name) : 0;
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
