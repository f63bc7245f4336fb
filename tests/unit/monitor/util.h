/* util.h -- what the unit tests of the monitor share. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct tmp_dir {
	char path[64];
	int fd;
};

SKF_UNUSED static struct tmp_dir tmp_make(void)
{
	struct tmp_dir t = {.path = "/tmp/skiff-monitor-XXXXXX"};

	assert_non_null(mkdtemp(t.path));
	t.fd = skf_openat(AT_FDCWD, t.path, O_RDONLY | O_DIRECTORY, 0);
	assert_true(t.fd >= 0);
	return t;
}

SKF_UNUSED static void tmp_done(struct tmp_dir *t)
{
	skf_closep(&t->fd);
	skf_rmtree_at(AT_FDCWD, t->path);
}
