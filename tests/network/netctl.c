/* netctl.c -- the libraries of src/network from a shell, for tests that want no engine around them:
 *     netctl RUN names-add NETWORK CONTAINER NAME,NAME ADDRESS,ADDRESS      netctl RUN names-remove NETWORK
 * CONTAINER netctl RUN join CONTAINER PID
 * [network=ID[:NAME]|server=A|search=D|option=O|egress=N|address=A|internal|ndots]... netctl RUN leave
 * CONTAINER      netctl RUN restart      netctl RUN ping Prints what it is told; an error's sentence on
 * stderr, and exit status 1. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/proc.h"
#include "network/names.h"
#include "network/resolver.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct skf_arena arena = SKF_ARENA(1 << 20);

static struct skf_strv split(char *text)
{
	struct skf_strv v = {0};
	char *save = NULL;

	for (char *w = strtok_r(text, ",", &save); w; w = strtok_r(NULL, ",", &save))
		if (skf_strv_add(&arena, &v, w) < 0)
			abort();
	return v;
}

static int join(const char *run, char **argv, struct skf_err *e)
{
	struct skf_resolver_join j = {
		.container_id = argv[0], .pid = (uint32_t)atoi(argv[1]), .netns_fd = -1};
	struct {
		const char *key;
		struct skf_strv *v;
	} lists[] = {{"server=", &j.servers},
		     {"search=", &j.search},
		     {"option=", &j.options},
		     {"egress=", &j.egress_names},
		     {"address=", &j.egress_addrs}};
	char path[40];
	int r = skf_proc_start_time((pid_t)j.pid, &j.start_time);

	if (r < 0)
		return skf_fail_sys(e, r, "process %u", j.pid);
	snprintf(path, sizeof(path), "/proc/%u/ns/net", j.pid);
	j.netns_fd = open(path, O_RDONLY | O_CLOEXEC);
	for (char **a = argv + 2; *a; a++) {
		char *name;

		j.internal = j.internal || strcmp(*a, "internal") == 0;
		j.ndots = j.ndots || strcmp(*a, "ndots") == 0;
		for (size_t i = 0; i < SKF_ARRAY_LEN(lists); i++)
			if (skf_startswith(*a, lists[i].key) &&
			    skf_strv_add(&arena, lists[i].v, *a + strlen(lists[i].key)) < 0)
				abort();
		if (!skf_startswith(*a, "network="))
			continue;
		name = strchr(*a, ':');
		if (name)
			*name++ = 0;
		if (skf_strv_add(&arena, &j.networks, *a + 8) < 0 ||
		    skf_strv_add(&arena, &j.network_names, name ? name : "") < 0)
			abort();
	}
	return skf_resolver_join(run, &j, e);
}

static int names(const char *run, const char *verb, int argc, char **argv, struct skf_err *e)
{
	int fd = open(run, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct skf_strv n, a;

	if (strcmp(verb, "names-remove") == 0)
		return skf_names_remove(fd, argv[0], argv[1], e);
	if (argc < 4)
		exit(2);
	n = split(argv[2]);
	a = split(argv[3]);
	return skf_names_add(fd, argv[0], argv[1], &n, &a, e);
}

static int ping(const char *run, struct skf_err *e)
{
	uint32_t pid = 0, n = 0;
	int r = skf_resolver_ping(run, &pid, &n, e);

	if (r >= 0)
		printf("%u %u\n", pid, n);
	return r;
}

int main(int argc, char **argv)
{
	struct skf_err e = SKF_ERR_INIT;
	const char *verb = argc > 2 ? argv[2] : "";
	int r;

	if (strcmp(verb, "join") == 0 && argc >= 5)
		r = join(argv[1], argv + 3, &e);
	else if (skf_startswith(verb, "names-") && argc >= 5)
		r = names(argv[1], verb, argc - 3, argv + 3, &e);
	else if (strcmp(verb, "leave") == 0 && argc == 4)
		r = skf_resolver_leave(argv[1], argv[3], &e);
	else if (strcmp(verb, "restart") == 0)
		r = skf_resolver_restart(argv[1], &e);
	else if (strcmp(verb, "ping") == 0)
		r = ping(argv[1], &e);
	else
		return 2;
	if (r < 0)
		fprintf(stderr, "%s\n", e.msg);
	skf_arena_done(&arena);
	return r < 0;
}
