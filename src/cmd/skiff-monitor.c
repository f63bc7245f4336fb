/* cmd/skiff-monitor.c -- the supervisor of one container, or (first argument "pod") the holder of a pod's
 * namespaces. Never started by hand: skiff-launch becomes it by execve, with the handover record on
 * descriptor 3 (monitor/wire.h, monitor/hold.h). Other arguments are only for who reads a process list. */
#include "monitor/hold.h"
#include "monitor/monitor.h"
#include <string.h>

int main(int argc, char **argv)
{
	return argc == 3 && strcmp(argv[1], "pod") == 0 ? skf_hold_main() : skf_monitor_main();
}
