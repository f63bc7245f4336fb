/* base/notify.h -- sd_notify(3): what a service says to the manager that started it. */
#pragma once
#include "base/buf.h"
#include "base/fwd.h"

/* One message to the manager's socket (NOTIFY_SOCKET: a path, or '@' and an abstract name). wait: until the
 * manager has dealt with it, because a message whose sender has gone may be thrown away. -errno. */
int skf_notify_send(const char *host, const struct skf_buf *text, bool wait);
/* Appends the lines of a container's message that may be passed on, READY=1 and STATUS=...; true when
 * READY=1 is among them. */
bool skf_notify_harmless(const char *text, struct skf_buf *out);
/* n > 0 bytes, the descriptor with the first of them. -errno. */
int skf_unix_send_fd(int sock, int fd, const void *data, size_t n);
