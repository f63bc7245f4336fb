/* Cgroup paths: first line the base, second the id, the rest linux.cgroupsPath. The result is a clean path
 * below the base (or below the root when it is absolute), is never one of the two itself, and comes out of
 * the rule unchanged. */
#include "base/arena.h"
#include "base/err.h"
#include "runtime/cgroups/cgroups_int.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_clean(const char *p)
{
	if (p[0] != '/' || !p[1])
		abort();
	for (const char *c = p; *c; c += 1 + strcspn(c + 1, "/")) {
		size_t n = strcspn(c + 1, "/");

		if (*c != '/' || n == 0 || (n == 1 && c[1] == '.') || (n == 2 && c[1] == '.' && c[2] == '.'))
			abort();
	}
	if (strchr(p, '\n'))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[2048], out[512], again[512], base[512], *id, *want;
	struct skf_err e = SKF_ERR_INIT;

	if (size >= sizeof(text) || memchr(data, '\0', size))
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	id = strchr(text, '\n');
	want = id ? strchr(id + 1, '\n') : NULL;
	if (!want)
		return 0;
	*id++ = *want++ = '\0';
	/* an id is checked where it comes in: no slash, no leading dot */
	if (!*id || *id == '.' || strpbrk(id, "/\n") || text[0] != '/')
		return 0;
	if (skf_cgroups_path(text, "/", "x", base, sizeof(base), &e) < 0 ||
	    skf_cgroups_path(want, base, id, out, sizeof(out), &e) < 0)
		return 0;
	check_clean(out);
	if (want[0] != '/' && (strncmp(out, base, strlen(base)) != 0 || out[strlen(base)] != '/'))
		abort();
	if (skf_cgroups_path(out, "/other", "x", again, sizeof(again), &e) < 0 || strcmp(out, again) != 0)
		abort();
	skf_cgroups_common(base, out);
	if (base[0] != '/' || strlen(base) > strlen(out))
		abort();
	return 0;
}
