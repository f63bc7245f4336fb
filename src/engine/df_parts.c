/* engine/df_parts.c -- every file below the root, by what it is for. Each top-level name is counted exactly
 * once and files with several names once in all, so that the sum is what du(1) says of the root; a name that
 * no row of the table knows is "other". */
#include "engine/df_int.h"
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static const struct {
	const char *path, *what;
} known[] = {
	{"layers", "unpacked layers, with seal, listing and tar record"},
	{"blobs", "manifests, configs, kept layers"},
	{"images", "records of images"},
	{"refs", "names of images"},
	{"containers", "writable layers, logs, configurations"},
	{"names", "names of containers"},
	{"pods", "pods"},
	{"volumes", "volumes"},
	{"networks", "networks"},
	{"secrets", "secrets"},
	{"ingest", "downloads under way, or to be gone on with"},
	{"leases", "what running pulls use"},
	{"trash", "waits to be unlinked"},
	{"mounts", "where images are mounted for a look"},
	{"locks", "lock files"},
	{"", "other, and the root itself"},
};

static size_t part_of(const char *name)
{
	size_t i = 0;

	while (known[i].path[0] && !skf_streq(known[i].path, name))
		i++;
	return i;
}

int skf_df_parts(struct skf_engine *g, struct skf_arena *a, struct skf_df *ret, struct skf_err *e)
{
	SKF_AUTO_FD int fd = skf_openat(g->root_fd, ".", O_RDONLY | O_DIRECTORY, 0);
	SKF_AUTO_DIR DIR *d = fd < 0 ? NULL : fdopendir(fd);
	SKF_AUTO(skf_du_done) struct skf_du all = {0};
	struct skf_df_part *v = skf_arena_array(a, SKF_ARRAY_LEN(known), sizeof(*v));
	struct dirent *de;
	struct stat st;

	if (!v)
		return skf_fail(e, SKF_ENOMEM, "memory to count what takes the disk");
	if (!d || fstat(dirfd(d), &st) < 0)
		return skf_fail_sys(e, fd < 0 ? fd : -errno, "list '%s'", g->root);
	(void)SKF_TAKE_FD(fd); /* d closes it */
	for (size_t i = 0; i < SKF_ARRAY_LEN(known); i++)
		v[i] = (struct skf_df_part){.path = known[i].path, .what = known[i].what};
	v[part_of("")].disk = (uint64_t)st.st_blocks * 512;
	v[part_of("")].files = 1;
	while ((de = readdir(d))) {
		struct skf_df_part *p = &v[part_of(de->d_name)];
		uint64_t disk = all.disk, files = all.files;

		if (skf_streq(de->d_name, ".") || skf_streq(de->d_name, ".."))
			continue;
		if (skf_du_add(&all, dirfd(d), de->d_name, e) < 0)
			return -1;
		p->disk += all.disk - disk;
		p->files += all.files - files;
	}
	for (size_t i = 0; i < SKF_ARRAY_LEN(known); i++)
		ret->disk += v[i].disk;
	ret->partial |= all.partial;
	ret->parts = (struct skf_jarr){v, SKF_ARRAY_LEN(known)};
	return 0;
}
