/* cli/semver.h -- versions of tags and conditions on them, as skopeo's images-by-semver has them: 1.2.3,
 * v1.2, 1.x, with =, !=, <, <=, >, >=, ~, ^, "A - B", blanks or commas for and, || for or. Pure. */
#pragma once
#include "base/fwd.h"

/* INVALID: no condition. */
int skf_semver_check(const char *condition, struct skf_err *e);
/* False also when the tag is no version. A version before a release (1.2.0-rc1) fits only a condition that
 * names one. condition was checked. */
bool skf_semver_fits(const char *condition, const char *tag);
