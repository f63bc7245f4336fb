/* cli/cmd_system.c -- version, info, system check, system reap, and the hidden list for completion and
 * tests. */
#include "cli/cli_int.h"
#include <stdio.h>
#include <sys/utsname.h>
#include <unistd.h>

int skf_cmd_version(struct skf_cli *c)
{
	struct utsname u = {0};

	(void)c;
	if (uname(&u) < 0)
		u.machine[0] = '\0'; /* cannot happen with a buffer of our own */
	printf("skiff version %s\n OS/Arch: linux/%s\n Kernel:  %s\n", SKF_VERSION, u.machine, u.release);
	return 0;
}

static size_t count_state(const struct skf_jarr *rows, const char *state)
{
	const struct skf_ps_row *v = rows->v;
	size_t n = 0;

	for (size_t i = 0; i < rows->n; i++)
		n += skf_streq(v[i].state, state);
	return n;
}

int skf_cmd_info(struct skf_cli *c)
{
	struct skf_jarr rows, images;
	struct utsname u = {0};
	size_t running, paused;
	const char *root, *run_root;

	if (skf_cli_engine(c) < 0 || skf_engine_ps(c->g, true, &c->a, &rows, &c->e) < 0 ||
	    skf_engine_images(c->g, NULL, &c->a, &images, &c->e) < 0)
		return skf_cli_fail(c, 1);
	if (uname(&u) < 0)
		u.machine[0] = '\0'; /* cannot happen with a buffer of our own */
	running = count_state(&rows, "running");
	paused = count_state(&rows, "paused");
	skf_engine_roots(c->g, &root, &run_root);
	printf("Containers: %zu\n Running: %zu\n Paused: %zu\n Stopped: %zu\nImages: %zu\n", rows.n, running,
	       paused, rows.n - running - paused, images.n);
	printf("Server Version: %s\nStorage Driver: overlay\nLogging Driver: json-file\nCgroup Driver: "
	       "cgroupfs\nCgroup Version: %d\n",
	       SKF_VERSION, access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0 ? 2 : 1);
	printf("Network: none, host\nKernel Version: %s\nArchitecture: %s\nCPUs: %ld\nRoot Dir: %s\nRun "
	       "Dir: %s\n",
	       u.release, u.machine, sysconf(_SC_NPROCESSORS_ONLN), root, run_root);
	return 0;
}

int skf_cmd_check(struct skf_cli *c)
{
	const struct skf_check_row *v;
	struct skf_jarr rows;
	size_t left = 0;

	if (skf_cli_engine(c) < 0 || skf_engine_check(c->g, c->o.repair, &c->a, &rows, &c->e) < 0)
		return skf_cli_fail(c, 1);
	v = rows.v;
	for (size_t i = 0; i < rows.n; i++) {
		printf("%s %s: %s%s%s\n", v[i].kind, v[i].object, v[i].problem, v[i].done[0] ? "; " : "",
		       v[i].done);
		left += !v[i].done[0] || skf_startswith(v[i].done, "repair failed") ||
			skf_startswith(v[i].done, "kept");
	}
	if (rows.n == 0)
		printf("Everything is in order.\n");
	else if (left && !c->o.repair)
		printf("%zu findings; `skiff system check --repair` repairs them.\n", left);
	return left ? 1 : 0;
}

int skf_cmd_reap(struct skf_cli *c)
{
	if (skf_cli_engine(c) < 0 || skf_engine_reap(c->g, c->args.v[0], &c->e) < 0)
		return skf_cli_fail(c, 1);
	return 0;
}

int skf_cmd_list(struct skf_cli *c)
{
	(void)c;
	skf_cli_list();
	return 0;
}
