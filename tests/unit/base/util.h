/* util.h -- what the unit tests of base share: cmocka with what it needs, and a scratch directory. */
#pragma once
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/fwd.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

struct tdir {
	char path[64];
	int fd;
};

static inline int tdir_setup(void **state)
{
	struct tdir *d = calloc(1, sizeof(*d));

	snprintf(d->path, sizeof(d->path), "/tmp/skf-unit-XXXXXX");
	if (!mkdtemp(d->path))
		return -1;
	d->fd = open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = d;
	return d->fd < 0;
}

static inline int tdir_teardown(void **state)
{
	struct tdir *d = *state;

	close(d->fd);
	skf_rmtree_at(AT_FDCWD, d->path);
	free(d);
	return 0;
}

static inline unsigned tdir_count(const struct tdir *d)
{
	DIR *dir = opendir(d->path);
	unsigned n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 2;
}

/* Open fds of this process, to see leaks. */
static inline unsigned count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}
#define DIR_TEST(f) cmocka_unit_test_setup_teardown(f, tdir_setup, tdir_teardown)
