/* cmd/skiff-resolver.c -- answers DNS queries of containers on user networks; one per run root. Never
 * started by hand: network/resolver.c starts it with the run root as its argument and the listening control
 * socket on descriptor 3. It parses packets of containers: the process that does has no rights at all, its
 * parent keeps the capabilities that entering a network namespace and changing its nft need
 * (network/dns_int.h). */
#include "network/dns_server.h"

int main(int argc, char **argv)
{
	return skf_dns_main(argc, argv);
}
