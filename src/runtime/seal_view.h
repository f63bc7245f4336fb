/* runtime/seal_view.h -- a handle of the running program that nobody can open for writing; for seal.c, and
 * for programs that take it before the C library is set up (cmd/early.c). */
#pragma once

/* O_PATH descriptor (close-on-exec) of the program in a detached read-only overlay; -errno when there cannot
 * be one. Needs privilege. Does not block. */
int skf_seal_view(void);
/* Executes the program again through that handle, with these arguments and this environment, when it does
 * not run from a read-only mount already and the caller is root. Returns when it cannot, or need not; then
 * skf_rt_seal_self has the last word. Callable before the C library's set-up. Only where sys/raw.h has
 * SKF_RAW. */
void skf_seal_early(char *const argv[], char *const envp[]);
