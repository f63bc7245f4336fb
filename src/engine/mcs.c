/* engine/mcs.c -- the pair of categories that keeps the files and processes of one container from the next
 * one's: selinux/<pair>, a symlink to the id of a container or pod, claimed with symlink(2), which is
 * exclusive by itself. Costs the same whatever number of containers there is. */
#include "engine/engine_int.h"
#include "engine/selinux.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define DIRECTORY    "selinux"
#define RANDOM_TRIES 64

/* 0 is c0,c1; 1 is c0,c2; ...: the larger one counts up within the smaller. */
void skf_mcs_pair(uint32_t number, char ret[SKF_MCS_SIZE])
{
	uint32_t low = 0, room = 1023;

	while (number >= room) {
		number -= room--;
		low++;
	}
	snprintf(ret, SKF_MCS_SIZE, "c%u,c%u", low & 1023u, (low + 1 + number) & 1023u);
}

static int directory(struct skf_engine *g)
{
	int fd = skf_openat(g->root_fd, DIRECTORY, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);

	return fd == -ENOENT ? skf_mkdirs_at(g->root_fd, DIRECTORY, 0700) : fd;
}

int skf_mcs_take(struct skf_engine *g, const char *id, char ret[SKF_MCS_SIZE], struct skf_err *e)
{
	SKF_AUTO_FD int dir = directory(g);
	char pair[SKF_MCS_SIZE];
	uint32_t at;

	if (dir < 0)
		return skf_fail_sys(e, dir, "open '%s/" DIRECTORY "'", g->root);
	if (getrandom(&at, sizeof(at), 0) != (ssize_t)sizeof(at))
		return skf_fail_sys(e, -errno, "make up SELinux categories");
	/* After some chances one by one: with all but a few taken, chance alone would not find them. */
	for (uint32_t i = 0; i < SKF_MCS_PAIRS + RANDOM_TRIES; i++) {
		if (i < RANDOM_TRIES && getrandom(&at, sizeof(at), 0) != (ssize_t)sizeof(at))
			return skf_fail_sys(e, -errno, "make up SELinux categories");
		at = (at + 1) % SKF_MCS_PAIRS;
		skf_mcs_pair(at, pair);
		if (symlinkat(id, dir, pair) == 0) {
			memcpy(ret, pair, sizeof(pair));
			return 0;
		}
		if (errno != EEXIST)
			return skf_fail_sys(e, -errno, "claim '%s/" DIRECTORY "/%s'", g->root, pair);
	}
	return skf_fail(e, SKF_ELIMIT, "all %u pairs of SELinux categories are in use", SKF_MCS_PAIRS);
}

int skf_mcs_release(struct skf_engine *g, const char *pair, const char *id, struct skf_err *e)
{
	SKF_AUTO_FD int dir = *pair ? directory(g) : -EBADF;
	char holder[SKF_ID_LEN + 2];
	ssize_t n;

	if (!*pair)
		return 0;
	if (dir < 0)
		return skf_fail_sys(e, dir, "open '%s/" DIRECTORY "'", g->root);
	n = readlinkat(dir, pair, holder, sizeof(holder) - 1);
	holder[n < 0 ? 0 : n] = '\0';
	/* Only the holder of its lock gives it back: nobody comes between here and the unlink. */
	if (skf_streq(holder, id) && unlinkat(dir, pair, 0) < 0 && errno != ENOENT)
		return skf_fail_sys(e, -errno, "give back '%s/" DIRECTORY "/%s'", g->root, pair);
	return 0;
}

int skf_mcs_of(int dir, char ret[SKF_MCS_SIZE])
{
	ssize_t n = readlinkat(dir, SKF_MCS_LINK, ret, SKF_MCS_SIZE - 1);
	int r = n < 0 && errno != ENOENT ? -errno : 0;

	ret[n < 0 ? 0 : n] = '\0';
	if (strspn(ret, "c0123456789,") != strlen(ret)) /* never a path */
		ret[0] = '\0';
	return r;
}
