/* base/log.h -- one place prints; usable between clone3 and execve (one write(2), no malloc).
 * The log is passed in a context, never global. Below cli/cmd only debug and warn are allowed; a warning
 * about an ignored failure says "ignoring". */
#pragma once
#include "base/fwd.h"

enum skf_level { SKF_LOG_ERROR = 0, SKF_LOG_WARN, SKF_LOG_INFO, SKF_LOG_DEBUG };

/* Where the records go: a file (lines), or a connected datagram socket with the journal's native protocol
 * (systemd.journal-fields(7)) or the local form of RFC 3164. */
enum skf_log_sink { SKF_LOG_FILE = 0, SKF_LOG_JOURNALD, SKF_LOG_SYSLOG };

struct skf_log {
	int fd;           /* borrowed; < 0: nothing is written */
	int max;          /* enum skf_level: the most verbose level that is written */
	bool json;        /* runc's --log-format json: {"level","msg","time"} */
	const char *prog; /* text form: "prog: msg", may be NULL; journal and syslog: the identifier */
	enum skf_log_sink sink;
};

/* One line, cut at 4 KB. Never fails, never changes errno. */
void skf_logf(const struct skf_log *l, int level, const char *fmt, ...) SKF_PRINTF(3, 4);
#define skf_debug(l, ...)                                                                                   \
	do {                                                                                                \
		if ((l) && (l)->max >= SKF_LOG_DEBUG)                                                       \
			skf_logf((l), SKF_LOG_DEBUG, __VA_ARGS__);                                          \
	} while (0)
#define skf_warn(l, ...)  skf_logf((l), SKF_LOG_WARN, __VA_ARGS__)
#define skf_error(l, ...) skf_logf((l), SKF_LOG_ERROR, __VA_ARGS__)
/* The error's sentence at level error. */
void skf_log_err(const struct skf_log *l, const struct skf_err *e);
