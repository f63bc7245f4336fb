/* oci/default_seccomp.h -- the default seccomp profile: what a container gets when nobody asks for another
 * one. The list is docker's (allow what programs need, EPERM for the rest, ENOSYS for clone3 so that libc
 * falls back to clone), with the rules that hang on capabilities resolved at the time the config.json is
 * written. One source: the engine writes it from here, and the build compiles the programs that are embedded
 * in the runtime from the same text. */
#pragma once
#include "base/fwd.h"

/* docker's default capabilities: CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP
 * NET_BIND_SERVICE NET_RAW SYS_CHROOT MKNOD AUDIT_WRITE SETFCAP. Bit n is capability n (capability.h). */
#define SKF_DEFAULT_CAPS 0x00000000a80425fbull

enum skf_seccomp_arch { SKF_SECCOMP_X86_64 = 1, SKF_SECCOMP_AARCH64 };

/* Writes the member "seccomp": {...} (linux.seccomp of runtime-spec) into the object that w is in, for a
 * process that holds the capabilities `caps` (its bounding set), for the architecture of this build. 0, or
 * -EOPNOTSUPP on an architecture without a profile, when nothing is written. Errors of the buffer stay in
 * w->b->err. Does not block. */
int skf_default_seccomp_write(struct skf_jw *w, uint64_t caps);
/* The same for a named architecture (generator of the embedded programs, tests). */
void skf_default_seccomp_write_arch(struct skf_jw *w, uint64_t caps, enum skf_seccomp_arch arch);
