/* monitor/summary.c -- one line per container in the target of a symlink (docs/formats.md, DESIGN 7.7).
 * Invariants: (1) a reader sees the old or the new line, never a mix (rename); (2) fields that a later
 * release appends are ignored; (3) nothing here allocates. Does not block but on tmpfs, and in an edit
 * for another one, at most EDIT_LOCK_MS. */
#include "monitor/summary.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define VERSION      "1"
#define DIR_NAME     "summary"
#define EDIT_LOCK_MS 2000
#define PATH_SIZE    (sizeof(DIR_NAME) + 1 + SKF_ID_LEN + 24)

static bool plain(unsigned char c)
{
	return c >= 0x20 && c != 0x7f && c != '%' && c != '|';
}

static void put_field(struct skf_buf *b, const char *s)
{
	static const char hex[] = "0123456789ABCDEF";

	skf_buf_chr(b, '|');
	for (const unsigned char *p = (const unsigned char *)s; *p; p++) {
		if (plain(*p)) {
			skf_buf_chr(b, (char)*p);
			continue;
		}
		skf_buf_chr(b, '%');
		skf_buf_chr(b, hex[*p >> 4]);
		skf_buf_chr(b, hex[*p & 15]);
	}
}

static void put_u64(struct skf_buf *b, uint64_t v)
{
	skf_buf_chr(b, '|');
	skf_buf_u64(b, v);
}

int skf_summary_encode(const struct skf_summary *s, char out[SKF_MAX_SUMMARY_BYTES + 1])
{
	/* on the caller's memory: cap > max keeps the buffer from ever growing */
	struct skf_buf b = {.p = out, .cap = SKF_MAX_SUMMARY_BYTES + 1, .max = SKF_MAX_SUMMARY_BYTES};

	skf_buf_str(&b, VERSION);
	put_field(&b, s->name);
	put_field(&b, s->image);
	put_field(&b, s->state);
	put_u64(&b, s->pid);
	put_u64(&b, s->start_time);
	skf_buf_chr(&b, '|');
	if (s->exit_code < 0)
		skf_buf_chr(&b, '-');
	skf_buf_u64(&b, s->exit_code < 0 ? (uint64_t) - (int64_t)s->exit_code : (uint64_t)s->exit_code);
	put_u64(&b, s->created_ns);
	put_u64(&b, s->started_ns);
	put_u64(&b, s->finished_ns);
	put_field(&b, s->ports);
	put_field(&b, s->command);
	put_field(&b, s->health);
	put_u64(&b, s->restarts);
	put_u64(&b, s->proc_id);
	return b.err;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Copies the field at *p, which ends in '|' or NUL, and moves *p behind its '|' (NULL after the last one).
 */
static int take_field(const char **p, char *out, size_t size)
{
	const char *s = *p;
	size_t n = 0;

	if (!s)
		return -EBADMSG;
	for (;;) {
		size_t run = strcspn(s, "|%");
		int hi, lo;

		if (n + run >= size)
			return -EBADMSG;
		memcpy(out + n, s, run);
		n += run;
		s += run;
		if (*s != '%')
			break;
		hi = hex_digit(s[1]);
		lo = hi < 0 ? -1 : hex_digit(s[2]);
		if (hi < 0 || lo < 0 || (hi | lo) == 0 || n + 1 >= size)
			return -EBADMSG;
		out[n++] = (char)(hi << 4 | lo);
		s += 3;
	}
	out[n] = 0;
	*p = *s ? s + 1 : NULL;
	return 0;
}

static int take_u64(const char **p, uint64_t *ret)
{
	char t[24];

	if (take_field(p, t, sizeof(t)) < 0 || skf_parse_u64(t, ret) < 0)
		return -EBADMSG;
	return 0;
}

static int take_exit(const char **p, int32_t *ret)
{
	char t[24];
	int64_t v;

	if (take_field(p, t, sizeof(t)) < 0 || skf_parse_i64(t, &v) < 0 || v < INT32_MIN || v > INT32_MAX)
		return -EBADMSG;
	*ret = (int32_t)v;
	return 0;
}

int skf_summary_decode(const char *line, struct skf_summary *ret)
{
	struct skf_summary s = {0};
	const char *p = line;
	uint64_t pid = 0, restarts = 0;
	char v[8];

	if (take_field(&p, v, sizeof(v)) < 0 || strcmp(v, VERSION) != 0)
		return -EBADMSG;
	if (take_field(&p, s.name, sizeof(s.name)) < 0 || take_field(&p, s.image, sizeof(s.image)) < 0 ||
	    take_field(&p, s.state, sizeof(s.state)) < 0 || take_u64(&p, &pid) < 0 || pid > INT32_MAX ||
	    take_u64(&p, &s.start_time) < 0 || take_exit(&p, &s.exit_code) < 0 ||
	    take_u64(&p, &s.created_ns) < 0 || take_u64(&p, &s.started_ns) < 0 ||
	    take_u64(&p, &s.finished_ns) < 0 || take_field(&p, s.ports, sizeof(s.ports)) < 0 ||
	    take_field(&p, s.command, sizeof(s.command)) < 0)
		return -EBADMSG;
	s.pid = (uint32_t)pid;
	if (p && (take_field(&p, s.health, sizeof(s.health)) < 0 || take_u64(&p, &restarts) < 0 ||
		  restarts > UINT32_MAX))
		return -EBADMSG; /* the two were appended later: both or none */
	if (p && take_u64(&p, &s.proc_id) < 0)
		s.proc_id = 0; /* appended after those two; start_time decides without it */
	s.restarts = (uint32_t)restarts;
	*ret = s;
	return 0;
}

static int path_of(const char *id, char out[PATH_SIZE])
{
	if (!*id || *id == '.' || strchr(id, '/'))
		return -EINVAL;
	return skf_fmt(out, PATH_SIZE, DIR_NAME "/%s", id);
}

/* Begins with a dot as all temporary names: listings skip it. */
static int temp_path(const char *id, char out[PATH_SIZE])
{
	char rnd[17];
	int r = skf_random_hex(rnd, 8);

	return r < 0 ? r : skf_fmt(out, PATH_SIZE, DIR_NAME "/.%s.%s", id, rnd);
}

int skf_summary_read(int run_root_fd, const char *id, struct skf_summary *ret)
{
	char path[PATH_SIZE], line[SKF_MAX_SUMMARY_BYTES + 1];
	int r = path_of(id, path);
	ssize_t n;

	if (r < 0)
		return r;
	n = readlinkat(run_root_fd, path, line, sizeof(line));
	if (n < 0)
		return -errno;
	if ((size_t)n >= sizeof(line))
		return -EBADMSG;
	line[n] = 0;
	return skf_summary_decode(line, ret);
}

static int place_link(int run_root_fd, const char *line, const char *tmp)
{
	int r;

	if (symlinkat(line, run_root_fd, tmp) == 0)
		return 0;
	if (errno != ENOENT)
		return -errno;
	r = skf_mkdir_at(run_root_fd, DIR_NAME, 0700);
	if (r < 0)
		return r;
	return symlinkat(line, run_root_fd, tmp) < 0 ? -errno : 0;
}

int skf_summary_write(int run_root_fd, const char *id, const struct skf_summary *s)
{
	char path[PATH_SIZE], tmp[PATH_SIZE], line[SKF_MAX_SUMMARY_BYTES + 1];
	int r = path_of(id, path);

	if (r == 0)
		r = temp_path(id, tmp);
	if (r == 0)
		r = skf_summary_encode(s, line);
	if (r == 0)
		r = place_link(run_root_fd, line, tmp);
	if (r < 0)
		return r;
	if (renameat(run_root_fd, tmp, run_root_fd, path) < 0) {
		r = -errno;
		unlinkat(run_root_fd, tmp, 0); /* r tells why; a second failure adds nothing */
	}
	return r;
}

/* Who edits holds the directory, by flock(2): no file of its own is left, and the lock ends with its
 * process. -ETIMEDOUT after EDIT_LOCK_MS: somebody was stopped in the middle of it. */
static int lock_dir(int run_root_fd)
{
	SKF_AUTO_FD int fd = skf_openat(run_root_fd, DIR_NAME, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	const struct timespec pause = {.tv_nsec = 200000};
	int64_t end = skf_mono_ms() + EDIT_LOCK_MS;

	if (fd < 0)
		return fd;
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		if (skf_mono_ms() >= end)
			return -ETIMEDOUT;
		(void)nanosleep(&pause, NULL);
	}
	return SKF_TAKE_FD(fd);
}

int skf_summary_edit(int run_root_fd, const char *id, void (*edit)(struct skf_summary *s, void *arg),
		     void *arg)
{
	char path[PATH_SIZE], tmp[PATH_SIZE], line[SKF_MAX_SUMMARY_BYTES + 1];
	SKF_AUTO_FD int lock = lock_dir(run_root_fd);
	struct skf_summary s;
	int r = lock < 0 ? lock : path_of(id, path);

	if (r == 0)
		r = temp_path(id, tmp);
	if (r == 0)
		r = skf_summary_read(run_root_fd, id, &s);
	if (r < 0)
		return r;
	edit(&s, arg);
	r = skf_summary_encode(&s, line);
	if (r == 0)
		r = place_link(run_root_fd, line, tmp);
	if (r < 0)
		return r;
	/* Not a plain rename: a line that was removed meanwhile does not come back. */
	r = renameat2(run_root_fd, tmp, run_root_fd, path, RENAME_EXCHANGE) < 0 ? -errno : 0;
	(void)unlinkat(run_root_fd, tmp, 0); /* the old line, or ours; r tells of everything else */
	return r;
}

int skf_summary_remove(int run_root_fd, const char *id)
{
	char path[PATH_SIZE];
	int r = path_of(id, path);

	if (r < 0)
		return r;
	return unlinkat(run_root_fd, path, 0) < 0 ? -errno : 0;
}
