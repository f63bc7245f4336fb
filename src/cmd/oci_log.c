/* cmd/oci_log.c -- the global options that say what is logged and where: a file, the journal or syslog.
 *
 * Without --log everything goes to stderr: as one human line, or with --debug or --log-format json as
 * records, as runc has it. With --log stderr gets only the error that ends us. The journal and syslog are
 * reached by their sockets: no library. Does not block. */
#include "cmd/oci_int.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int parse_level(const struct oci_args *a, struct skf_err *e)
{
	static const struct {
		const char *name;
		int level;
	} levels[] = {
		{"error", SKF_LOG_ERROR},  {"fatal", SKF_LOG_ERROR}, {"panic", SKF_LOG_ERROR},
		{"warning", SKF_LOG_WARN}, {"warn", SKF_LOG_WARN},   {"info", SKF_LOG_INFO},
		{"debug", SKF_LOG_DEBUG},  {"trace", SKF_LOG_DEBUG},
	};

	if (a->debug)
		return SKF_LOG_DEBUG;
	for (size_t i = 0; a->log_level && i < SKF_ARRAY_LEN(levels); i++)
		if (skf_streq(levels[i].name, a->log_level))
			return levels[i].level;
	if (a->log_level)
		return skf_fail(e, SKF_EINVALID,
				"option --log-level is error, warning, info or debug, not '%s'",
				a->log_level);
	return SKF_LOG_WARN;
}

static int open_socket(struct oci *o, enum skf_log_sink sink, const char *path, const char *ident,
		       struct skf_err *e)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	SKF_AUTO_FD int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int r = fd < 0 ? skf_errno() : skf_fmt(sa.sun_path, sizeof(sa.sun_path), "%s", path);

	if (r == 0 && connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		r = skf_errno();
	if (r < 0)
		return skf_fail_sys(e, r, "option --log: connect to '%s'", path);
	o->log.sink = sink;
	o->log.prog = *ident ? ident : o->prog;
	o->log.fd = SKF_TAKE_FD(fd);
	return 0;
}

static int open_file(struct oci *o, const char *path, struct skf_err *e)
{
	int fd = skf_openat(AT_FDCWD, path, O_WRONLY | O_APPEND | O_CREAT, 0644);

	if (fd < 0)
		return skf_fail_sys(e, fd, "open log file '%s'", path);
	o->log.fd = fd;
	o->log.prog = NULL;
	return 0;
}

int oci_setup_log(struct oci *o, struct skf_err *e)
{
	const char *to = o->a.log_path, *format = o->a.log_format;
	int level = parse_level(&o->a, e);

	if (level < 0)
		return -1;
	if (format && !skf_streq(format, "text") && !skf_streq(format, "json"))
		return skf_fail(e, SKF_EINVALID,
				"invalid log-format: option --log-format is text or json, not '%s'", format);
	o->log.max = level;
	o->log.json = skf_streq(format, "json");
	if (level == SKF_LOG_DEBUG)
		o->log.prog = NULL; /* records with time and level */
	if (to && skf_startswith(to, "journald:"))
		return open_socket(o, SKF_LOG_JOURNALD, "/run/systemd/journal/socket",
				   to + strlen("journald:"), e);
	if (to && skf_startswith(to, "syslog:"))
		return open_socket(o, SKF_LOG_SYSLOG, "/dev/log", to + strlen("syslog:"), e);
	if (to && skf_startswith(to, "file:"))
		to += strlen("file:");
	return to && *to && !skf_streq(to, "/dev/stderr") ? open_file(o, to, e) : 0;
}

void oci_log_failure(const struct oci *o, const struct skf_err *e)
{
	const struct skf_log human = {.fd = STDERR_FILENO, .max = SKF_LOG_ERROR, .prog = o->prog};

	if (o->log.fd != STDERR_FILENO)
		skf_log_err(&o->log, e);
	skf_log_err(o->log.fd == STDERR_FILENO && o->log.json ? &o->log : &human, e);
}
