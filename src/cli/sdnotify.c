/* cli/sdnotify.c -- `run --sdnotify=conmon` (podman's word): a service manager that waits for READY=1 on NOTIFY_SOCKET (sd_notify(3)) hears it once the
 * container runs, with the monitor as the service's main process, so that a unit of Type=notify ends with the container. */
#include "cli/cli_int.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int skf_cli_sdnotify_check(struct skf_cli *c)
{
	const char *mode = c->o.sdnotify;

	if (!mode || skf_streq(mode, "ignore") || skf_streq(mode, "conmon"))
		return 0;
	if (skf_streq(mode, "container") || skf_streq(mode, "healthy"))
		return skf_fail(&c->e, SKF_EUNSUPPORTED, "--sdnotify=%s is not supported: conmon says that the container runs, ignore says nothing", mode);
	return skf_fail(&c->e, SKF_EINVALID, "invalid --sdnotify '%s': expected conmon or ignore", mode);
}

/* The monitor is the parent of the container's first process; 0 when that has ended already. */
static unsigned monitor_of(uint32_t pid)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_OBJECT_BYTES);
	char path[40], *line;
	unsigned ppid = 0;

	snprintf(path, sizeof(path), "/proc/%u/status", pid);
	if (skf_read_file_at(AT_FDCWD, path, SKF_MAX_OBJECT_BYTES, &b) < 0 || !(line = strstr(skf_buf_cstr(&b), "\nPPid:\t")))
		return 0;
	line += strlen("\nPPid:\t");
	line[strcspn(line, "\n")] = '\0';
	return skf_parse_u32(line, &ppid) == 0 && ppid > 1 ? ppid : 0;
}

static int send_ready(const char *path, unsigned monitor)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	SKF_AUTO_FD int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	size_t n = strlen(path);
	char text[64];
	int len = monitor ? snprintf(text, sizeof(text), "MAINPID=%u\nREADY=1", monitor) : snprintf(text, sizeof(text), "READY=1");

	if (fd < 0)
		return -errno;
	if ((path[0] != '/' && path[0] != '@') || n >= sizeof(a.sun_path))
		return -EINVAL;
	memcpy(a.sun_path, path, n);
	if (path[0] == '@')
		a.sun_path[0] = '\0';
	return sendto(fd, text, (size_t)len, MSG_NOSIGNAL, (struct sockaddr *)&a, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) < 0 ? -errno : 0;
}

void skf_cli_sdnotify_ready(struct skf_cli *c, uint32_t pid)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct skf_err x = SKF_ERR_INIT;
	int r;

	if (!c->o.sdnotify || !skf_streq(c->o.sdnotify, "conmon") || !path || !*path)
		return;
	r = send_ready(path, monitor_of(pid));
	if (r < 0) { /* the container runs: the service manager gives up in its own time */
		skf_fail_sys(&x, r, "tell the service manager at '%s' (NOTIFY_SOCKET) that the container runs", path);
		skf_cli_error(&x);
	}
}
