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
#include "network/cni.h"
#include "network/egress.h"
#include "network/names.h"
#include "network/table.h"
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

/* --- egress --- */
static int commit(struct skf_nft *n, struct skf_err *e)
{
	int r = skf_nft_commit(n);

	return r < 0 ? skf_fail_sys(e, r, "commit") : 0;
}

static int egress(const char *verb, int argc, char **argv, struct skf_err *e)
{
	struct skf_strv none = {0}, rest = {argv + 2, argc > 2 ? (size_t)argc - 2 : 0};
	struct skf_egress g = {argc > 0 ? argv[0] : "", argc > 1 ? split(argv[1]) : none, rest};
	struct skf_nft *n = NULL;
	uint64_t packets, bytes;
	int r = skf_nft_open(&n, e);

	if (r == 0 && strcmp(verb, "egress-load") == 0) {
		skf_table_load(n, true);
		skf_egress_load(n);
		r = commit(n, e);
	} else if (r == 0 && strcmp(verb, "egress-add") == 0) {
		r = skf_egress_add(n, &g, e);
		r = r == 0 ? commit(n, e) : r;
	} else if (r == 0 && strcmp(verb, "egress-remove") == 0) {
		r = skf_egress_remove(n, g.container_id, &g.addrs, e);
	} else if (r == 0) {
		r = skf_egress_denied(g.container_id, &packets, &bytes, e);
		if (r == 0)
			printf("%llu %llu\n", (unsigned long long)packets, (unsigned long long)bytes);
	}
	skf_nft_free(n);
	return r;
}

/* --- CNI --- */
static struct skf_cni_port ports[8];

static struct skf_cni_call cni_call(int argc, char **argv)
{
	struct skf_cni_call c = {.container_id = argv[0],
				 .ifname = "eth0",
				 .netns = *argv[1] ? argv[1] : NULL,
				 .ports = ports};

	for (int i = 2; i < argc; i++) {
		char proto[8];

		if (skf_startswith(argv[i], "arg=")) {
			if (skf_strv_add(&arena, &c.args, argv[i] + 4) < 0)
				abort();
		} else if (c.n_ports < SKF_ARRAY_LEN(ports) &&
			   sscanf(argv[i], "port=%hu:%hu:%7s", &ports[c.n_ports].host_port,
				  &ports[c.n_ports].container_port, proto) == 3) {
			ports[c.n_ports++].protocol = skf_arena_strdup(&arena, proto);
		} else {
			exit(2);
		}
	}
	return c;
}

static int cni_list(int run, const struct skf_cni_dirs *d, const char *verb, int argc, char **argv,
		    struct skf_err *e)
{
	struct skf_cni_attachment valid[16];
	struct skf_cni_list *l = NULL;

	if (skf_cni_find(d, argv[1], &arena, &l, e) < 0)
		return -1;
	if (strcmp(verb, "cni-status") == 0)
		return skf_cni_status(d, l, e);
	for (int i = 2; i < argc && i < 18; i++)
		valid[i - 2] = (struct skf_cni_attachment){argv[i], "eth0"};
	return skf_cni_gc(run, d, l, valid, (size_t)argc - 2, e);
}

static int cni(const char *root, const char *verb, int argc, char **argv, struct skf_err *e)
{
	struct skf_cni_dirs d = {.conf = {argv, 1}};
	int run = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;
	struct skf_cni_result *res = NULL;
	struct skf_cni_list *l = NULL;
	struct skf_cni_call c;

	if (argc < 2)
		exit(2);
	if (strcmp(verb, "cni-status") == 0 || strcmp(verb, "cni-gc") == 0)
		return cni_list(run, &d, verb, argc, argv, e);
	if (argc < 4)
		exit(2);
	c = cni_call(argc - 2, argv + 2);
	r = skf_cni_find(&d, argv[1], &arena, &l, e);
	if (strcmp(verb, "cni-del") == 0) {
		skf_err_clear(e);
		return skf_cni_del(run, &d, argv[1], l, &c, e);
	}
	if (r < 0)
		return r;
	if (strcmp(verb, "cni-check") == 0)
		return skf_cni_check(run, &d, l, &c, e);
	r = skf_cni_add(run, &d, l, &c, &arena, &res, e);
	if (r == 0)
		puts(res->json);
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
	else if (skf_startswith(verb, "egress-"))
		r = egress(verb, argc - 3, argv + 3, &e);
	else if (skf_startswith(verb, "cni-"))
		r = cni(argv[1], verb, argc - 3, argv + 3, &e);
	else
		return 2;
	if (r < 0)
		fprintf(stderr, "%s\n", e.msg);
	skf_arena_done(&arena);
	return r < 0;
}
