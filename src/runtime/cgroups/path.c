/* path.c -- where a container's cgroup is, as text. Pure, except for skf_cgroups_base which reads
 * /proc/self/cgroup. Does not block. */
#include "base/buf.h"
#include "runtime/cgroups/cgroups_int.h"
#include <string.h>

/* Appends the components of p to out[0..len), resolving "." and ".."; out never gets a trailing slash. New
 * length or -ENAMETOOLONG. */
static int append_clean(char *out, size_t size, size_t len, size_t floor, const char *p)
{
	while (*p) {
		size_t n = strcspn(p, "/");

		if (n == 2 && !memcmp(p, "..", 2)) {
			while (len > floor && out[len - 1] != '/')
				len--;
			if (len > floor)
				len--;
		} else if (n && !(n == 1 && *p == '.')) {
			if (len + n + 2 > size)
				return -ENAMETOOLONG;
			out[len++] = '/';
			memcpy(out + len, p, n);
			len += n;
		}
		p += n;
		p += *p == '/';
	}
	out[len] = '\0';
	return (int)len;
}

int skf_cgroups_path(const char *want, const char *base, const char *id, char *out, size_t size,
		     struct skf_err *e)
{
	bool relative = !want || want[0] != '/';
	int floor = 0, len;

	if (want && strchr(want, '\n'))
		return skf_fail(e, SKF_EINVALID,
				"linux.cgroupsPath contains a newline; a cgroup path is a single line");
	if (relative)
		floor = append_clean(out, size, 0, 0, base);
	len = floor < 0 ? floor
			: append_clean(out, size, (size_t)floor, (size_t)floor, want && *want ? want : id);
	if (len < 0)
		return skf_fail(e, SKF_ELIMIT,
				"cgroup path of container '%s' is longer than %zu bytes; choose a shorter "
				"linux.cgroupsPath",
				id, size - 1);
	if (len == floor)
		return skf_fail(e, SKF_EINVALID,
				"linux.cgroupsPath '%s' names the root of the hierarchy; a container needs "
				"a directory of "
				"its own below it",
				want ? want : "");
	return 0;
}

void skf_cgroups_common(char *a, const char *b)
{
	size_t i = 0, end = 0;

	while (a[i] && a[i] == b[i]) {
		i++;
		if (a[i] == '/' || !a[i])
			if (b[i] == '/' || !b[i])
				end = i;
	}
	if (end == 0) {
		strncpy(a, "/", 2);
		return;
	}
	a[end] = '\0';
}

struct base {
	char *out;
	size_t size;
	bool first;
};

static int base_of_one(unsigned i, int err, const char *path, void *arg)
{
	struct base *b = arg;
	char own[512];
	int r;

	(void)i;
	if (err < 0 && err != -EXDEV && err != -ENOENT)
		return err;
	r = skf_fmt(own, sizeof(own), "%s", err < 0 ? "/" : path);
	if (r < 0)
		return r;
	if (b->first)
		r = skf_fmt(b->out, b->size, "%s", own);
	else
		skf_cgroups_common(b->out, own);
	b->first = false;
	return r;
}

int skf_cgroups_base(const struct skf_cg_layout *l, char *out, size_t size)
{
	struct base b = {out, size, true};
	char *slash;
	int r;

	if (l->mode != SKF_CG_V2)
		return skf_cg_each_path(0, l, ~0u, base_of_one, &b);
	r = skf_cg_path_of(0, &l->h[0], out, size);
	if (r < 0)
		return r;
	slash = strrchr(out, '/');
	if (slash)
		slash[slash == out] = '\0';
	return 0;
}
