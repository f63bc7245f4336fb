/* oci/seccomp_profile.h -- seccomp profiles as docker and podman keep them in files: a linux.seccomp object
 * with rules that hang on capabilities, architecture and kernel version. */
#pragma once
#include "base/fwd.h"

/* Resolves text[0..n) for this machine and a process with the capabilities `caps` (its bounding set) and
 * appends the runtime-spec's object to ret. name is for messages. A plain runtime-spec object passes as it
 * is. INVALID with the place, LIMIT. Does not block. */
int skf_seccomp_profile(const char *name, const char *text, size_t n, uint64_t caps, struct skf_buf *ret,
			struct skf_err *e);
