/* engine/subid.h -- subordinate ids of a user: ranges of the host that are given away. */
#pragma once
#include "base/fwd.h"
#include "base/json.h"

struct skf_range {
	uint32_t start, size;
};
/* Ranges of a name in a file like /etc/subuid, in its order; arena memory. -ENOENT when it has none. */
int skf_subid_read(const char *file, const char *name, struct skf_arena *a,
		   struct skf_jarr *ret /* struct skf_range */);
/* "START:SIZE". -EINVAL, -ERANGE. */
int skf_range_parse(const char *word, struct skf_range *ret);
/* What of `all` is not in `used`, ascending; arena memory. -ENOMEM. */
int skf_ranges_free(const struct skf_jarr *all, const struct skf_jarr *used, struct skf_arena *a,
		    struct skf_jarr *ret);
