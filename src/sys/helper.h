/* sys/helper.h -- a short-lived child of the caller that does one thing in namespaces of its own and answers
 * over a socket. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct skf_helper {
	pid_t pid;
	int pidfd; /* owned */
	int sock;  /* owned; a seqpacket socket to the child */
};

/* clone(2) with flags (CLONE_NEW*); the child calls run(arg, its end of the socket) and ends. It shares
 * nothing with the caller but what is open. -errno: nothing was started. Each helper that was started needs
 * skf_helper_end. */
int skf_helper_start(uint64_t flags, void (*run)(void *arg, int sock), void *arg, struct skf_helper *ret);

/* Closes the socket (a child that waits on it goes on), kills it first if kill is set, and waits for it, at
 * most SKF_KILL_WAIT_MS. Its answer counts, not its status. */
void skf_helper_end(struct skf_helper *h, bool kill);
