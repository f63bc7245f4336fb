/* cli/cmd_system.c -- version, info, system check, system reap, and the hidden list for completion and
 * tests. */
#include "cli/cli_int.h"
#include "engine/life.h"
#include "base/fd.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/utsname.h>
#include <unistd.h>

/* A document through --format. Returns the exit status. */
static int formatted(struct skf_cli *c, const struct skf_buf *b)
{
	struct skf_tmpl *t;

	if (skf_cli_doc_format(c, &t) < 0 || skf_cli_doc_print(c, t, skf_buf_cstr(b), b->len) < 0)
		return skf_cli_fail(c, 1);
	return 0;
}

/* Docker's names of Go's architectures. */
static const char *go_arch(const char *machine)
{
	return skf_streq(machine, "x86_64") ? "amd64" : skf_streq(machine, "aarch64") ? "arm64" : machine;
}

/* Client and server are one program here. */
static int version_document(struct skf_cli *c, const struct utsname *u)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_OBJECT_BYTES);
	struct skf_jw w = SKF_JW(&b);
	static const char *const sides[] = {"Client", "Server"};

	skf_jw_obj(&w);
	for (size_t i = 0; i < SKF_ARRAY_LEN(sides); i++) {
		skf_jw_kobj(&w, sides[i]);
		skf_jw_kstr(&w, "Version", SKF_VERSION);
		skf_jw_kstr(&w, "Os", "linux");
		skf_jw_kstr(&w, "Arch", go_arch(u->machine));
		skf_jw_kstr(&w, "KernelVersion", u->release);
		skf_jw_end(&w);
	}
	skf_jw_end(&w);
	return formatted(c, &b);
}

int skf_cmd_version(struct skf_cli *c)
{
	struct utsname u = {0};

	if (uname(&u) < 0)
		u.machine[0] = '\0'; /* cannot happen with a buffer of our own */
	if (c->o.format && *c->o.format)
		return version_document(c, &u);
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

struct info {
	size_t containers, running, paused, images;
	const char *root, *run_root, *driver;
	struct utsname u;
	int cgroup;
};

static int info_document(struct skf_cli *c, const struct info *i)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_OBJECT_BYTES);
	struct skf_jw w = SKF_JW(&b);

	skf_jw_obj(&w);
	skf_jw_ku64(&w, "Containers", i->containers);
	skf_jw_ku64(&w, "ContainersRunning", i->running);
	skf_jw_ku64(&w, "ContainersPaused", i->paused);
	skf_jw_ku64(&w, "ContainersStopped", i->containers - i->running - i->paused);
	skf_jw_ku64(&w, "Images", i->images);
	skf_jw_kstr(&w, "Driver", i->driver);
	skf_jw_kstr(&w, "LoggingDriver", "json-file");
	skf_jw_kstr(&w, "CgroupDriver", "cgroupfs");
	skf_jw_kstr(&w, "CgroupVersion", i->cgroup == 2 ? "2" : "1");
	skf_jw_kstr(&w, "KernelVersion", i->u.release);
	skf_jw_kstr(&w, "OSType", "linux");
	skf_jw_kstr(&w, "Architecture", i->u.machine);
	skf_jw_kint(&w, "NCPU", sysconf(_SC_NPROCESSORS_ONLN));
	skf_jw_kint(&w, "MemTotal", (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE));
	skf_jw_kstr(&w, "Name", i->u.nodename);
	skf_jw_kstr(&w, "DockerRootDir", i->root);
	skf_jw_kstr(&w, "RunRoot", i->run_root);
	skf_jw_kstr(&w, "ServerVersion", SKF_VERSION);
	skf_jw_end(&w);
	return formatted(c, &b);
}

int skf_cmd_info(struct skf_cli *c)
{
	struct info i = {.cgroup = access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0 ? 2 : 1};
	struct skf_jarr rows, images;

	if (skf_cli_engine(c) < 0 || skf_engine_ps(c->g, true, &c->a, &rows, &c->e) < 0 ||
	    skf_engine_images(c->g, NULL, &c->a, &images, &c->e) < 0)
		return skf_cli_fail(c, 1);
	if (uname(&i.u) < 0)
		i.u.machine[0] = '\0'; /* cannot happen with a buffer of our own */
	i.containers = rows.n;
	i.images = images.n;
	i.running = count_state(&rows, "running");
	i.paused = count_state(&rows, "paused");
	skf_engine_roots(c->g, &i.root, &i.run_root);
	i.driver = skf_engine_storage_driver(c->g, &c->e);
	if (!i.driver)
		return skf_cli_fail(c, 1);
	if (c->o.format && *c->o.format)
		return info_document(c, &i);
	printf("Containers: %zu\n Running: %zu\n Paused: %zu\n Stopped: %zu\nImages: %zu\n", i.containers,
	       i.running, i.paused, i.containers - i.running - i.paused, i.images);
	printf("Server Version: %s\nStorage Driver: %s\nLogging Driver: json-file\nCgroup Driver: "
	       "cgroupfs\nCgroup Version: %d\n",
	       SKF_VERSION, i.driver, i.cgroup);
	printf("Network: bridge, host, ipvlan, macvlan, none, and those of CNI\nKernel Version: "
	       "%s\nArchitecture: %s\nCPUs: %ld\nRoot Dir: %s\nRun "
	       "Dir: %s\n",
	       i.u.release, i.u.machine, sysconf(_SC_NPROCESSORS_ONLN), i.root, i.run_root);
	return 0;
}

int skf_cmd_check(struct skf_cli *c)
{
	struct skf_check_req q = SKF_REQ(struct skf_check_req);
	const struct skf_check_row *v;
	struct skf_jarr rows;
	size_t left = 0;

	q.repair = c->o.repair;
	q.quick = c->o.quick;
	q.docker_config = skf_cli_docker_config(c);
	if (skf_cli_engine(c) < 0 || skf_engine_check(c->g, &q, &c->a, &rows, &c->e) < 0)
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

int skf_cmd_squeeze_logs(struct skf_cli *c)
{
	/* The monitor, whose child this is, is spared by the OOM killer; raising the score is always
	 * permitted. */
	(void)skf_write_existing_at(AT_FDCWD, "/proc/self/oom_score_adj", "0");
	if (skf_cli_engine(c) < 0 || skf_engine_squeeze_logs(c->g, c->args.v[0], &c->e) < 0)
		return skf_cli_fail(c, 1);
	return 0;
}

int skf_cmd_list(struct skf_cli *c)
{
	(void)c;
	skf_cli_list();
	return 0;
}
