/* network/dns_server.h -- the door of skiff-resolver's main(). */
#pragma once

/* argv: the run root. Returns the exit status: 0 after its last container has ended, 1 on a failure (told in
 * run/resolver/.log), 2 on a wrong call. */
int skf_dns_main(int argc, char **argv);
