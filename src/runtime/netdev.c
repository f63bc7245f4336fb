/* runtime/netdev.c -- linux.netDevices of config.json: host interfaces moved into the container. */
#include "runtime/runtime_int.h"

int skf_netdev_move(const struct skf_start *s, pid_t pid, struct skf_err *e)
{
	(void)pid;
	if (s->spec->linux_.net_devices.n)
		return skf_fail(e, SKF_EUNSUPPORTED, "config.json: /linux/netDevices is not supported");
	return 0;
}
