/* engine/cp_tar_int.h -- the header of a tar, for its writer (cp_tar.c) and its reader (cp_untar.c). */
#pragma once
#include "engine/cp_int.h"
#include <stddef.h>

#define SKF_TAR_BLOCK   512
#define SKF_TAR_CHUNK   (64u << 10)
#define SKF_TAR_MAX_PAX (1u << 20) /* one extended header */

struct skf_tar_header { /* POSIX ustar */
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8], type, link[100], magic[6],
		version[2], uname[32], gname[32], major[8], minor[8], prefix[155], pad[12];
};
_Static_assert(sizeof(struct skf_tar_header) == SKF_TAR_BLOCK, "a header is one block");
