/* cli/output.c -- files and directories that commands write: opened here with the user's own rights and only
 * handed on. A file appears under its name when it is whole. */
#include "base/proc.h"
#include "cli/cli_int.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void skf_cli_output_done(struct skf_cli_output *o)
{
	if (!o->path)
		return;
	skf_closep(&o->fd);
	if (o->part[0])
		unlink(o->part); /* what failed; a file that stays has a name that says so */
}

int skf_cli_output_open(struct skf_cli *c, const char *path, struct skf_cli_output *o)
{
	char rnd[9];
	int r;

	if (!path || !*path || skf_streq(path, "-")) {
		if (isatty(STDOUT_FILENO))
			return skf_fail(
				&c->e, SKF_EINVALID,
				"cowardly refusing to save to a terminal. Use the -o flag or redirect");
		o->fd = STDOUT_FILENO;
		return 0;
	}
	o->path = path;
	r = skf_random_hex(rnd, 4);
	if (r == 0)
		r = skf_fmt(o->part, sizeof(o->part), "%s.part-%s", o->path, rnd);
	if (r == 0)
		r = o->fd = skf_openat(AT_FDCWD, o->part, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	if (r < 0) {
		o->part[0] = '\0';
		return skf_fail_sys(&c->e, r, "make the file '%s'", o->path);
	}
	return 0;
}

int skf_cli_output_close(struct skf_cli *c, struct skf_cli_output *o)
{
	int r = 0;

	if (!o->path)
		return 0;
	skf_closep(&o->fd);
	if (renameat(AT_FDCWD, o->part, AT_FDCWD, o->path) < 0)
		r = -errno;
	if (r == 0)
		o->part[0] = '\0';
	return r < 0 ? skf_fail_sys(&c->e, r, "write the file '%s'", o->path) : 0;
}

int skf_cli_output_dir(struct skf_cli *c, const char *path, int *ret)
{
	int fd, r = skf_mkdir_at(AT_FDCWD, path, 0755);

	fd = r < 0 ? r : skf_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return skf_fail_sys(&c->e, fd, "make the directory '%s'", path);
	*ret = fd;
	return 0;
}
