/* sys/mountinfo.c -- /proc/<pid>/mountinfo: "<id> <parent> <dev> <root> <mount point> <options> [...] -
 * <type> <source> ...".
 *
 * Must hold: works on the text alone, allocates nothing. Whoever names a mount chooses its bytes: blanks,
 * newlines and backslashes are escaped by the kernel, so that a name cannot look like a line or a field. */
#include "sys/mountinfo.h"

#include <string.h>

/* "\040" -> " ", in place. */
static void unescape(char *s)
{
	char *out = s;

	while (*s) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' &&
		    s[3] >= '0' && s[3] <= '7') {
			*out++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 4;
		} else {
			*out++ = *s++;
		}
	}
	*out = '\0';
}

static bool split(char *line, struct skf_mountinfo *m)
{
	char *f[5], *p = line, *dash = strstr(line, " - ");

	if (!dash)
		return false;
	for (int i = 0; i < 5; i++) {
		f[i] = p;
		p = strchr(p, ' ');
		if (!p)
			return false;
		*p++ = '\0';
	}
	*m = (struct skf_mountinfo){.dev = f[2], .root = f[3], .point = f[4], .type = dash + 3};
	m->type[strcspn(m->type, " ")] = '\0';
	unescape(m->root);
	unescape(m->point);
	return true;
}

bool skf_mountinfo_next(char **text, struct skf_mountinfo *ret)
{
	char *line, *end;

	while (*text && **text) {
		line = *text;
		end = strchr(line, '\n');
		if (end)
			*end = '\0';
		*text = end ? end + 1 : line + strlen(line);
		if (split(line, ret))
			return true;
	}
	return false;
}
