/* engine/hostfiles.c -- hosts, hostname and resolv.conf of a container: files in its own directory, bound
 * over /etc/... With
 * --network host they are copies of the host's; without a network the names are those of the loopback, and
 * no server is asked. */
#include "engine/engine_int.h"
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define MAX_HOSTFILE (1u << 20)

static const char hosts_text[] = "127.0.0.1\tlocalhost\n"
				 "::1\tlocalhost ip6-localhost ip6-loopback\n"
				 "fe00::\tip6-localnet\n"
				 "ff00::\tip6-mcastprefix\n"
				 "ff02::1\tip6-allnodes\n"
				 "ff02::2\tip6-allrouters\n";

static int put(int dirfd, const char *name, const char *p, size_t n, struct skf_err *e)
{
	/* A new file in a directory that nobody else knows yet: no rename needed. */
	SKF_AUTO_FD int fd = skf_openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644);
	int r = fd < 0 ? fd : n ? skf_write_full(fd, p, n) : 0;

	return r < 0 ? skf_fail_sys(e, r, "write the container's file '%s'", name) : 0;
}

static int copy(int dirfd, const char *name, const char *from, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(MAX_HOSTFILE);
	int r = skf_read_file_at(AT_FDCWD, from, MAX_HOSTFILE, &b);

	if (r < 0 && r != -ENOENT)
		return skf_fail_sys(e, r, "read the host's '%s' for --network host", from);
	return put(dirfd, name, skf_buf_cstr(&b), b.len, e);
}

int skf_ctr_hostfiles(int dirfd, const char *hostname, bool host_network, struct skf_err *e)
{
	char line[320];

	if (skf_fmt(line, sizeof(line), "%s\n", hostname) < 0)
		return skf_fail(e, SKF_EINVALID, "the hostname '%.64s...' is too long", hostname);
	if (put(dirfd, "hostname", line, strlen(line), e) < 0)
		return -1;
	if (host_network)
		return copy(dirfd, "hosts", "/etc/hosts", e) < 0
			       ? -1
			       : copy(dirfd, "resolv.conf", "/etc/resolv.conf", e);
	if (put(dirfd, "hosts", hosts_text, sizeof(hosts_text) - 1, e) < 0)
		return -1;
	return put(dirfd, "resolv.conf", "", 0, e);
}
