/* cmd/skiff-monitor.c -- the supervisor of one container. Never started by hand: skiff-launch becomes it by
 * execve, with the handover record on descriptor 3 (monitor/wire.h). Its arguments are only for who reads a
 * process list. */
#include "monitor/monitor.h"

int main(void)
{
	return skf_monitor_main();
}
