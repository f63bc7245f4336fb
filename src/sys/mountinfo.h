/* sys/mountinfo.h -- the lines of /proc/<pid>/mountinfo (proc(5)), as text that was read before. */
#pragma once
#include <stdbool.h>

struct skf_mountinfo {                   /* strings are inside the text, without escapes */
	char *dev, *root, *point, *type; /* dev: "8:1" */
};
/* Cuts the next line off *text, in place, and takes the fields that matter out of it; lines that have
 * another form are skipped. False at the end. */
bool skf_mountinfo_next(char **text, struct skf_mountinfo *ret);
