/* sys/cgroup_int.h -- shared by cgroup.c, cgroup_layout.c and cgroup_kill.c, and the pure parsers for their
 * unit test. */
#pragma once
#include "sys/cgroup.h"

#define SKF_CG_PATH_MAX 768 /* mount point, path, "/", file */

/* One line of mountinfo (NUL-terminated, modified). 1: a cgroup mount below /sys/fs/cgroup, *h filled, root
 * copied ("/..." of the hierarchy that is mounted); 0: something else. */
int skf_cg_parse_mount(char *line, struct skf_cg_hier *h, char *root, size_t root_size);
/* Adds a mount: a later mount at the same place hides the earlier one, a second mount of the same
 * controllers is left out. */
void skf_cg_layout_add(struct skf_cg_layout *l, const struct skf_cg_hier *h);
/* Mode from what was added; a v2 mount at /sys/fs/cgroup itself is the only hierarchy that counts. -ENOENT
 * when there is none. */
int skf_cg_layout_finish(struct skf_cg_layout *l);
/* The path in one line of /proc/<pid>/cgroup when the line is about h; NULL otherwise. */
const char *skf_cg_parse_proc_line(char *line, const struct skf_cg_hier *h);
/* path as the mount shows it: `root` (the mounted part of the hierarchy) taken off. -EXDEV when path is
 * outside of root. */
int skf_cg_below_root(const char *path, const char *root, char *out, size_t size);
/* Is `name` one of the comma-separated words of list? */
bool skf_cg_in_list(const char *list, const char *name);
/* Value of "<key> <number>" in a file of such lines; -ENOENT. */
int64_t skf_cg_parse_key(const char *text, const char *key);

/* Calls fn for each line of the file (without newline; lines longer than 4 KB are left out) until it returns
 * non-zero; that value. */
int skf_cg_each_line(const char *path, int (*fn)(char *line, void *arg), void *arg);
/* Directory of hierarchy i as text. -ENAMETOOLONG. */
int skf_cg_dir_path(const struct skf_cg_dirs *d, unsigned i, char *out, size_t size);
/* Post-order walk: fn(dirfd of a cgroup directory, its parent's fd, its name, arg) for every directory below
 * dirfd, deepest first; then fn for dirfd itself with parent -1. dirfd is O_RDONLY. Stops at the first
 * non-zero value and returns it. No malloc. */
int skf_cg_walk(int dirfd, int (*fn)(int fd, int parent, const char *name, void *arg), void *arg);
