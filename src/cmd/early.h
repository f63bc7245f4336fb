/* cmd/early.h -- what a program does before the C library is set up: see early.c. */
#pragma once

/* stack: argc, argv, NULL, environment, NULL, auxiliary vector (System V ABI, "Initial Stack"). */
void skf_early(long *stack);
