/* sys/netlink.c -- the loopback device of the calling task's network namespace.
 *
 * An ioctl on a datagram socket instead of a netlink round trip: two system calls and a close, no parsing,
 * and lo is always interface "lo" in a fresh namespace. Nothing blocks. man 7 netdevice. */
#include "sys/process.h"

#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

int skf_net_loopback_up(void)
{
	struct ifreq ifr = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), r = 0;

	/* any family will do: the request goes to the network namespace of the socket */
	if (fd < 0)
		return -errno;
	if (ioctl(fd, SIOCSIFFLAGS, &ifr) < 0)
		r = -errno;
	close(fd);
	return r;
}
