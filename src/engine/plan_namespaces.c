/* engine/plan_namespaces.c -- what a container sees of its own: host name, and which namespaces it shares. */
#include "engine/create_int.h"
#include <string.h>
#include <unistd.h>

#define MAX_HOSTNAME 64 /* the kernel's __NEW_UTS_LEN */

int skf_plan_hostname(struct skf_plan *p, struct skf_err *e)
{
	const char *h = p->q->hostname && *p->q->hostname ? p->q->hostname : NULL;

	if (h) {
		if (strlen(h) > MAX_HOSTNAME || strpbrk(h, " \t\n/"))
			return skf_fail(e, SKF_EINVALID,
					"invalid hostname '%.80s': expected at most %d characters without "
					"spaces and slashes",
					h, MAX_HOSTNAME);
		memcpy(p->hostname, h, strlen(h) + 1);
	} else if (p->gen.host_network) {
		if (gethostname(p->hostname, sizeof(p->hostname) - 1) < 0)
			return skf_fail_sys(e, -errno, "read the host's name for --network host");
	} else {
		memcpy(p->hostname, p->id, SKF_SHORT_ID);
		p->hostname[SKF_SHORT_ID] = '\0';
	}
	p->gen.hostname = p->req.hostname = p->hostname;
	return 0;
}
