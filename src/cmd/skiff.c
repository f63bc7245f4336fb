/* cmd/skiff.c -- the command line of skiff. */
#include "cli/cli.h"

int main(int argc, char **argv)
{
	return skf_cli_main(argc, argv);
}
