/* A tar as `cp - CONTAINER:PATH` reads it, into an empty directory: nothing may appear beside it, whatever
 * the names say. */
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "engine/cp_int.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* <top>/root is the root; <top>/canary must stay as it is, and the only other entry. */
static int top_dir(void)
{
	static int fd = -1;
	char path[] = "/dev/shm/skiff-fuzz-untar.XXXXXX";

	if (fd >= 0)
		return fd;
	if (!mkdtemp(path))
		abort();
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	rmdir(path); /* nothing is left when the target is killed, and nothing can be made in it */
	if (fd < 0)
		abort();
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* a directory that is removed takes no entries: every name of the tar is resolved, and none can be
	 * made */
	const struct skf_cp c = {.archive = true, .uid = geteuid(), .gid = getegid()};
	SKF_AUTO_FD int fd = memfd_create("tar", MFD_CLOEXEC);
	struct skf_err e = SKF_ERR_INIT;

	if (fd < 0 || skf_write_full(fd, data, size) < 0 || lseek(fd, 0, SEEK_SET) != 0)
		abort();
	if (skf_cp_tar_read(&c, fd, top_dir(), "x", &e) == 0 && e.kind != SKF_OK)
		abort();
	return 0;
}
