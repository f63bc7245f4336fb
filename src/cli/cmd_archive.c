/* cli/cmd_archive.c -- save, load, import, export, commit: files and pipes are opened here with the user's
 * own rights, and only handed on. A file that is written appears under its name when it is whole (output.c).
 */
#include "cli/cli_int.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* podman's docker-dir: a dir: place of docker's family; the layers as they are unpacked, or with gzip. */
static int save_dir(struct skf_cli *c)
{
	SKF_AUTO(skf_cli_place_done)
	struct skf_cli_place src = {.fd = -EBADF, .o.fd = -EBADF}, dest = {.fd = -EBADF, .o.fd = -EBADF};
	struct skf_copy_req q = SKF_REQ(struct skf_copy_req);
	struct skf_digest d;
	const char *from = skf_arena_fmt(&c->a, "skiff:%s", c->args.v[0]);
	const char *to = skf_arena_fmt(&c->a, "dir:%s", c->o.output ? c->o.output : "");

	if (!c->o.output)
		return skf_fail(&c->e, SKF_EINVALID, "--format docker-dir needs a directory: use -o");
	if (c->args.n > 1)
		return skf_fail(&c->e, SKF_EINVALID, "--format docker-dir is for one image");
	if (!from || !to)
		return skf_fail(&c->e, SKF_ENOMEM, "memory for the command line");
	if (skf_cli_engine(c) < 0 || skf_cli_place_open(c, from, false, &src) < 0 ||
	    skf_cli_place_open(c, to, true, &dest) < 0)
		return -1;
	q.src = src.p;
	q.dest = dest.p;
	q.as = 2;
	q.squeeze = c->o.compress ? 1 : 4;
	q.level = -1;
	return skf_engine_copy(c->g, &q, NULL, &d, &c->e) < 0 ? -1 : skf_cli_place_close(c, &dest);
}

int skf_cmd_save(struct skf_cli *c)
{
	static const char *const formats[] = {"docker-archive", "oci-archive", "oci-dir"};
	struct skf_save_req q = SKF_REQ(struct skf_save_req);
	SKF_AUTO(skf_cli_output_done) struct skf_cli_output o = {.fd = -EBADF};
	SKF_AUTO_FD int dir = -EBADF;
	size_t f = 0;

	if (c->o.format && skf_streq(c->o.format, "docker-dir"))
		return save_dir(c) < 0 ? skf_cli_fail(c, 1) : 0;
	if (c->o.compress) {
		skf_fail(&c->e, SKF_EINVALID, "--compress can only be set when --format is 'docker-dir'");
		return skf_cli_fail(c, 125);
	}
	while (c->o.format && f < SKF_ARRAY_LEN(formats) && !skf_streq(c->o.format, formats[f]))
		f++;
	if (f == SKF_ARRAY_LEN(formats))
		skf_fail(&c->e, SKF_EINVALID,
			 "unknown format '%s': expected docker-archive, oci-archive, docker-dir or oci-dir",
			 c->o.format);
	else if (f == 2 && !c->o.output)
		skf_fail(&c->e, SKF_EINVALID, "--format oci-dir needs a directory: use -o");
	if (c->e.kind != SKF_OK || skf_cli_engine(c) < 0 ||
	    (f == 2 ? skf_cli_output_dir(c, c->o.output, &dir) < 0
		    : skf_cli_output_open(c, c->o.output, &o) < 0))
		return skf_cli_fail(c, 1);
	q.images = c->args;
	q.format = f == 0 ? SKF_SAVE_DOCKER_ARCHIVE : SKF_SAVE_OCI;
	q.out_fd = f == 2 ? dir : o.fd;
	if (skf_engine_save(c->g, &q, &c->e) < 0 || skf_cli_output_close(c, &o) < 0)
		return skf_cli_fail(c, 1);
	return 0;
}

int skf_cmd_export(struct skf_cli *c)
{
	SKF_AUTO(skf_cli_output_done) struct skf_cli_output o = {.fd = -EBADF};

	if (skf_cli_engine(c) < 0 || skf_cli_output_open(c, c->o.output, &o) < 0 ||
	    skf_engine_export(c->g, c->args.v[0], o.fd, -1, &c->e) < 0 || skf_cli_output_close(c, &o) < 0)
		return skf_cli_fail(c, 1);
	return 0;
}

/* --- input --- */
static int input_open(struct skf_cli *c, const char *path, int *ret)
{
	int fd;

	if (!path || !*path || skf_streq(path, "-")) {
		if (isatty(STDIN_FILENO))
			return skf_fail(&c->e, SKF_EINVALID,
					"expected a file, or data on standard input, which is a terminal");
		fd = skf_dup_cloexec(STDIN_FILENO);
	} else {
		fd = skf_openat(AT_FDCWD, path, O_RDONLY, 0);
	}
	if (fd < 0)
		return skf_fail_sys(&c->e, fd, "open '%s'", path ? path : "standard input");
	*ret = fd;
	return 0;
}

int skf_cmd_load(struct skf_cli *c)
{
	struct skf_load_req q = SKF_REQ(struct skf_load_req);
	SKF_AUTO_FD int fd = -EBADF;
	const struct skf_loaded *v;
	struct skf_jarr loaded;

	if (skf_cli_engine(c) < 0 || input_open(c, c->o.input, &fd) < 0)
		return skf_cli_fail(c, 1);
	q.in_fd = fd;
	q.platform = c->o.platform;
	if (skf_engine_load(c->g, &q, &c->a, &loaded, &c->e) < 0)
		return skf_cli_fail(c, 1);
	v = loaded.v;
	for (size_t i = 0; i < loaded.n; i++) {
		if (v[i].name[0])
			printf("Loaded image: %s\n", v[i].name);
		else
			printf("Loaded image ID: %s\n", v[i].config);
	}
	return 0;
}

int skf_cmd_import(struct skf_cli *c)
{
	struct skf_import_req q = SKF_REQ(struct skf_import_req);
	SKF_AUTO_FD int fd = -EBADF;
	struct skf_digest id;

	if (strstr(c->args.v[0], "://")) {
		skf_fail(&c->e, SKF_EUNSUPPORTED,
			 "'%s': import takes a file or standard input; get the URL with curl and pipe it",
			 c->args.v[0]);
		return skf_cli_fail(c, 1);
	}
	if (skf_cli_platform(c) < 0 || skf_cli_engine(c) < 0 || input_open(c, c->args.v[0], &fd) < 0)
		return skf_cli_fail(c, 1);
	q.in_fd = fd;
	q.reference = c->args.n > 1 ? c->args.v[1] : NULL;
	q.message = c->o.message;
	q.platform = c->o.platform;
	q.changes = c->o.change;
	if (skf_engine_import(c->g, &q, &id, &c->e) < 0)
		return skf_cli_fail(c, 1);
	printf("%s\n", id.s);
	return 0;
}

/* As podman: the digits alone. */
static int write_iidfile(struct skf_cli *c, const struct skf_digest *id)
{
	SKF_AUTO_FD int fd = -EBADF;
	const char *hex = skf_digest_hex(id);
	int r;

	if (!c->o.iidfile)
		return 0;
	fd = skf_openat(AT_FDCWD, c->o.iidfile, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	r = fd < 0 ? fd : skf_write_full(fd, hex, strlen(hex));
	return r < 0 ? skf_fail_sys(&c->e, r, "write the image's id to '%s'", c->o.iidfile) : 0;
}

int skf_cmd_commit(struct skf_cli *c)
{
	uint32_t family = 0;
	struct skf_commit_req q = SKF_REQ(struct skf_commit_req);
	struct skf_digest id;

	q.container = c->args.v[0];
	q.reference = c->args.n > 1 ? c->args.v[1] : NULL;
	q.author = c->o.author;
	q.message = c->o.message;
	q.changes = c->o.change;
	q.pause = c->o.pause;
	q.squash = c->o.squash;
	if (skf_cli_family(c, &family) < 0)
		return skf_cli_fail(c, 1);
	q.docker = family == 2;
	if (skf_cli_engine(c) < 0 || skf_engine_commit(c->g, &q, &id, &c->e) < 0 ||
	    write_iidfile(c, &id) < 0)
		return skf_cli_fail(c, 1);
	printf("%s\n", id.s);
	return 0;
}
