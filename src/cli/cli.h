/* cli/cli.h -- the command line: parse, call the engine, format. docker's words, output and exit codes
 * (docs/cli.md). */
#pragma once
#include "base/fwd.h"

/* Runs one command line; returns the exit status: 125 for an error of the engine in run, 126 and 127 for a
 * workload that cannot be started, the workload's own status, 1 for errors of the other verbs. Blocks as
 * long as the verb does. */
int skf_cli_main(int argc, char **argv);
