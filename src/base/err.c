/* base/err.c -- error values. Nothing here allocates, locks or depends on the locale, so that a child
 * between clone3() and execve() may use all of it. Messages are built in a second array first: an argument
 * may point into *e. */
#include "base/err.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MSG_SIZE sizeof(((struct skf_err *)0)->msg)

static const struct {
	int err;
	enum skf_kind kind;
} errno_kinds[] = {
	{ENOENT, SKF_ENOTFOUND},
	{ESRCH, SKF_ENOTFOUND},
	{ENXIO, SKF_ENOTFOUND},
	{EEXIST, SKF_ECONFLICT},
	{EBUSY, SKF_ECONFLICT},
	{ENOTEMPTY, SKF_ECONFLICT},
	{ETXTBSY, SKF_ECONFLICT},
	{EADDRINUSE, SKF_ECONFLICT},
	{EPERM, SKF_EDENIED},
	{EACCES, SKF_EDENIED},
	{EROFS, SKF_EDENIED},
	{EINVAL, SKF_EINVALID},
	{ERANGE, SKF_EINVALID},
	{EDOM, SKF_EINVALID},
	{ENAMETOOLONG, SKF_EINVALID},
	{ENOTDIR, SKF_EINVALID},
	{EISDIR, SKF_EINVALID},
	{ELOOP, SKF_EINVALID},
	{ENOSPC, SKF_ELIMIT},
	{EDQUOT, SKF_ELIMIT},
	{EMFILE, SKF_ELIMIT},
	{ENFILE, SKF_ELIMIT},
	{E2BIG, SKF_ELIMIT},
	{EFBIG, SKF_ELIMIT},
	{EMSGSIZE, SKF_ELIMIT},
	{EUSERS, SKF_ELIMIT},
	{EMLINK, SKF_ELIMIT},
	{ETIMEDOUT, SKF_ETIMEOUT},
	{ETIME, SKF_ETIMEOUT},
	{ENOSYS, SKF_EUNSUPPORTED},
	{EOPNOTSUPP, SKF_EUNSUPPORTED},
	{EPROTONOSUPPORT, SKF_EUNSUPPORTED},
	{EAFNOSUPPORT, SKF_EUNSUPPORTED},
	{ENOPROTOOPT, SKF_EUNSUPPORTED},
	{ESOCKTNOSUPPORT, SKF_EUNSUPPORTED},
	{EAGAIN, SKF_EUNAVAILABLE},
	{ECONNREFUSED, SKF_EUNAVAILABLE},
	{ECONNRESET, SKF_EUNAVAILABLE},
	{ECONNABORTED, SKF_EUNAVAILABLE},
	{EHOSTUNREACH, SKF_EUNAVAILABLE},
	{EHOSTDOWN, SKF_EUNAVAILABLE},
	{ENETUNREACH, SKF_EUNAVAILABLE},
	{ENETDOWN, SKF_EUNAVAILABLE},
	{EPIPE, SKF_EUNAVAILABLE},
	{ENOTCONN, SKF_EUNAVAILABLE},
	{EBADMSG, SKF_ECORRUPT},
	{EILSEQ, SKF_ECORRUPT},
	{EUCLEAN, SKF_ECORRUPT},
	{ENOMEM, SKF_ENOMEM},
};

static const char *const kind_names[SKF_KIND_MAX] = {
	[SKF_OK] = "ok",
	[SKF_EINVALID] = "invalid",
	[SKF_ENOTFOUND] = "not-found",
	[SKF_ECONFLICT] = "conflict",
	[SKF_EDENIED] = "denied",
	[SKF_EUNSUPPORTED] = "unsupported",
	[SKF_ELIMIT] = "limit",
	[SKF_ETIMEOUT] = "timeout",
	[SKF_EUNAVAILABLE] = "unavailable",
	[SKF_ECORRUPT] = "corrupt",
	[SKF_ENOMEM] = "no-memory",
	[SKF_ESYSTEM] = "system",
	[SKF_EBUG] = "bug",
	[SKF_ECMD_NOTFOUND] = "command-not-found",
	[SKF_ECMD_NOTEXEC] = "command-not-executable",
};

enum skf_kind skf_kind_of_errno(int err)
{
	for (size_t i = 0; i < SKF_ARRAY_LEN(errno_kinds); i++)
		if (errno_kinds[i].err == err)
			return errno_kinds[i].kind;
	return err == 0 ? SKF_OK : SKF_ESYSTEM;
}

const char *skf_kind_name(enum skf_kind k)
{
	if ((unsigned)k >= SKF_KIND_MAX || !kind_names[k])
		return "unknown";
	return kind_names[k];
}

int skf_err_exit_code(const struct skf_err *e, int other)
{
	switch (e->kind) {
	case SKF_OK:
		return 0;
	case SKF_ECMD_NOTFOUND:
		return 127;
	case SKF_ECMD_NOTEXEC:
		return 126;
	default:
		return other;
	}
}

/* Formats into dst[0..size); what does not fit ends in "...", never in the middle of a UTF-8 sequence. */
static size_t format_cut(char *dst, size_t size, const char *fmt, va_list ap)
	__attribute__((format(printf, 3, 0)));
static size_t format_cut(char *dst, size_t size, const char *fmt, va_list ap)
{
	int n = vsnprintf(dst, size, fmt, ap);
	size_t at;

	if (n < 0) {
		dst[0] = 0;
		return 0;
	}
	if ((size_t)n < size)
		return (size_t)n;
	if (size < 5) {
		dst[0] = 0;
		return 0;
	}
	at = size - 4;
	while (at > 0 && ((unsigned char)dst[at] & 0xc0) == 0x80)
		at--;
	memcpy(dst + at, "...", 4);
	return at + 3;
}

static void set_msg(struct skf_err *e, const char *head, size_t head_n, const char *tail)
{
	size_t n = strnlen(tail, MSG_SIZE - 1 - head_n);

	memmove(e->msg + head_n, tail, n);
	memcpy(e->msg, head, head_n);
	e->msg[head_n + n] = 0;
}

int(skf_fail)(struct skf_err *e, enum skf_kind k, const char *fmt, ...)
{
	int saved = errno;
	char msg[MSG_SIZE];
	size_t n;
	va_list ap;

	va_start(ap, fmt);
	n = format_cut(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	e->kind = k == SKF_OK ? SKF_EBUG : k;
	e->sys = 0;
	set_msg(e, msg, n, "");
	errno = saved;
	return -1;
}

static int fail_sys(struct skf_err *e, int err, const char *fmt, va_list ap)
	__attribute__((format(printf, 3, 0)));
static int fail_sys(struct skf_err *e, int err, const char *fmt, va_list ap)
{
	int saved = errno;
	const char *text = strerrordesc_np(err);
	char msg[MSG_SIZE], tail[80];
	size_t n;

	if (text && err)
		snprintf(tail, sizeof(tail), ": %.70s", text);
	else
		snprintf(tail, sizeof(tail), ": error number %d", err);
	errno = saved;
	n = format_cut(msg, sizeof(msg) - strlen(tail), fmt, ap);
	e->kind = err ? skf_kind_of_errno(err) : SKF_EBUG;
	e->sys = err;
	set_msg(e, msg, n, tail);
	errno = saved;
	return -1;
}

int(skf_fail_sys)(struct skf_err *e, int r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	r = fail_sys(e, r < 0 ? -r : r, fmt, ap);
	va_end(ap);
	return r;
}

int(skf_fail_errno)(struct skf_err *e, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = fail_sys(e, errno, fmt, ap);
	va_end(ap);
	return r;
}

int(skf_nomem)(struct skf_err *e)
{
	return skf_fail(e, SKF_ENOMEM, "out of memory");
}

int(skf_errno)(void)
{
	return errno > 0 ? -errno : -EIO;
}

int skf_sys(long r)
{
	return r < 0 ? -errno : (int)r;
}

/* The cause at the end of a message matters more than the places it came through, so that a context which
 * would push it out is itself cut, to half of the room. */
int(skf_ctx)(struct skf_err *e, const char *fmt, ...)
{
	int saved = errno;
	char head[MSG_SIZE], old[MSG_SIZE];
	size_t old_n, room, n;
	va_list ap;

	if (e->kind == SKF_OK) {
		e->kind = SKF_EBUG;
		set_msg(e, "", 0, "failed without an error message");
	}
	old_n = strnlen(e->msg, MSG_SIZE - 1);
	memcpy(old, e->msg, old_n);
	old[old_n] = 0;
	room = MSG_SIZE - 2 - old_n; /* for the context and its NUL */
	if (room < MSG_SIZE / 2)
		room = MSG_SIZE / 2;
	va_start(ap, fmt);
	n = format_cut(head, room < sizeof(head) - 2 ? room : sizeof(head) - 2, fmt, ap);
	va_end(ap);
	memcpy(head + n, ": ", 2);
	n += 2;
	if (n + old_n > MSG_SIZE - 1) {
		size_t at = MSG_SIZE - 1 - n - 3;

		while (at > 0 && ((unsigned char)old[at] & 0xc0) == 0x80)
			at--;
		memcpy(old + at, "...", 4);
	}
	set_msg(e, head, n, old);
	errno = saved;
	return -1;
}

void skf_err_clear(struct skf_err *e)
{
	e->kind = SKF_OK;
	e->sys = 0;
	e->msg[0] = 0;
}
