/* fuzzdir.h -- a directory in memory that lives as long as the fuzz target, for what reads from a directory.
 */
#pragma once
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char fuzz_dir_path[40];

static void fuzz_dir_remove(void)
{
	static const char *const names[] = {"state.json", "seccomp.bpf", "journal"};
	char path[80];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", fuzz_dir_path, names[i]);
		unlink(path);
	}
	rmdir(fuzz_dir_path);
}

/* The directory's descriptor; made at the first call, removed at exit. */
static inline int fuzz_dir(void)
{
	static int fd = -1;

	if (fd < 0) {
		strcpy(fuzz_dir_path, "/dev/shm/skiff-fuzz.XXXXXX");
		if (!mkdtemp(fuzz_dir_path))
			abort();
		atexit(fuzz_dir_remove);
		fd = open(fuzz_dir_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	return fd;
}

static inline void fuzz_dir_put(const char *name, const uint8_t *data, size_t size)
{
	int fd = openat(fuzz_dir(), name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	close(fd);
}
