/* engine/top_proc.c -- one process of a container as the host's /proc shows it, and the columns that are
 * made of it. Text that the container chose (arguments, names) is data: control characters become '?'.
 * Nothing of the container's files is read. */
#include "engine/top_int.h"
#include "base/proc.h"
#include "sys/process.h"
#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

static int read_proc(pid_t pid, const char *name, struct skf_buf *b)
{
	char path[64];

	skf_buf_clear(b);
	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	return skf_read_file_at(AT_FDCWD, path, b->max, b);
}

static uint64_t field(const char *text, const char *key, int base, unsigned index)
{
	const char *p = strstr(text, key);
	uint64_t v = 0;

	if (!p)
		return 0;
	p += strlen(key);
	for (unsigned i = 0;; i++) {
		p += strspn(p, " \t");
		for (v = 0; isxdigit((unsigned char)*p); p++)
			v = v * (unsigned)base +
			    (unsigned)(isdigit((unsigned char)*p) ? *p - '0' : tolower(*p) - 'a' + 10);
		if (i == index || *p == '\n' || !*p)
			return v;
	}
}

/* The last number of a line: NSpid names a process in every namespace down to its own. */
static uint64_t last_of(const char *text, const char *key)
{
	const char *p = strstr(text, key), *end = p ? strchr(p + 1, '\n') : NULL;

	while (end && end > p && isdigit((unsigned char)end[-1]))
		end--;
	return end ? field(end, "", 10, 0) : 0;
}

static void printable(char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = '?';
}

/* Fields 3 and on: "S ppid pgrp session tty tpgid flags minflt cminflt majflt cmajflt utime stime cutime
 * cstime prio nice threads itreal start vsize rss". */
static int parse_stat(const char *text, struct skf_top_proc *p)
{
	const char *open = strchr(text, '('), *close = strrchr(text, ')');
	long long v[22] = {0};
	const char *s;

	if (!open || !close || close < open || close[1] != ' ')
		return -EBADMSG;
	(void)snprintf(p->comm, sizeof(p->comm), "%.*s", (int)(close - open - 1), open + 1);
	printable(p->comm);
	p->state = close[2];
	s = close + 4;
	for (size_t i = 0; i < SKF_ARRAY_LEN(v) && *s; i++) {
		bool minus = *s == '-';

		for (s += minus; isdigit((unsigned char)*s); s++)
			v[i] = v[i] * 10 + (*s - '0');
		v[i] = minus ? -v[i] : v[i];
		s += *s == ' ';
	}
	p->ppid = (pid_t)v[0];
	p->pgrp = (pid_t)v[1];
	p->tty_nr = (int)v[3];
	p->ticks = (uint64_t)(v[10] + v[11]);
	p->nice = v[15];
	p->start_ticks = (uint64_t)v[18];
	p->vsz = (uint64_t)v[19];
	p->rss_pages = (uint64_t)v[20];
	return 0;
}

static void parse_status(const char *s, struct skf_top_proc *p)
{
	static const char *const caps[] = {"CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"};

	p->uid = (uint32_t)field(s, "\nUid:", 10, 0);
	p->euid = (uint32_t)field(s, "\nUid:", 10, 1);
	p->gid = (uint32_t)field(s, "\nGid:", 10, 0);
	p->egid = (uint32_t)field(s, "\nGid:", 10, 1);
	p->seccomp = field(s, "\nSeccomp:", 10, 0);
	p->cpid = (pid_t)last_of(s, "\nNSpid:");
	for (size_t i = 0; i < SKF_ARRAY_LEN(caps); i++)
		p->caps[i] = field(s, caps[i], 16, 0);
}

int skf_top_read(pid_t pid, struct skf_top_proc *ret)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(1u << 20);
	struct skf_top_proc p = {.pid = pid};

	if (read_proc(pid, "stat", &b) < 0 || parse_stat(skf_buf_cstr(&b), &p) < 0 ||
	    read_proc(pid, "status", &b) < 0)
		return 0;
	parse_status(skf_buf_cstr(&b), &p);
	if (read_proc(pid, "cmdline", &b) >= 0 && b.len) {
		for (size_t i = 0; i + 1 < b.len; i++)
			if (!b.p[i])
				b.p[i] = ' ';
		(void)snprintf(p.args, sizeof(p.args), "%s", skf_buf_cstr(&b)); /* cut: it is for people */
		printable(p.args);
	} else {
		(void)snprintf(p.args, sizeof(p.args), "[%s]", p.comm);
	}
	if (read_proc(pid, "attr/current", &b) >= 0)
		(void)snprintf(p.label, sizeof(p.label), "%.*s", (int)strcspn(skf_buf_cstr(&b), "\n"),
			       skf_buf_cstr(&b));
	if (p.ppid > 0 && read_proc(p.ppid, "status", &b) >= 0)
		p.cppid = (pid_t)last_of(skf_buf_cstr(&b), "\nNSpid:");
	if (p.cpid == 1)
		p.cppid = 0;
	*ret = p;
	return 1;
}

/* --- columns --- */
static uint64_t hertz(void)
{
	long hz = sysconf(_SC_CLK_TCK);

	return hz > 0 ? (uint64_t)hz : 100;
}

static int64_t age_ms(const struct skf_top_proc *p)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000 - (int64_t)(p->start_ticks * 1000 / hertz());
}

/* /etc/passwd and /etc/group of the host: "name:x:number:". */
static void name_of(const char *file, uint32_t n, char *out, size_t size)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_PASSWD_BYTES);
	char want[16];

	snprintf(want, sizeof(want), "%u", n);
	snprintf(out, size, "%s", want);
	if (skf_read_file_at(AT_FDCWD, file, b.max, &b) < 0)
		return;
	for (const char *p = skf_buf_cstr(&b); p && *p; p = strchr(p, '\n'), p = p ? p + 1 : NULL) {
		size_t name = strcspn(p, ":\n"), skip;

		if (p[name] != ':')
			continue;
		skip = name + 1 + strcspn(p + name + 1, ":\n");
		if (p[skip] == ':' && strncmp(p + skip + 1, want, strlen(want)) == 0 &&
		    p[skip + 1 + strlen(want)] == ':') {
			snprintf(out, size, "%.*s", (int)name, p);
			return;
		}
	}
}

static void t_euser(const struct skf_top_proc *p, char *out, size_t n)
{
	name_of("/etc/passwd", p->euid, out, n);
}
static void t_ruser(const struct skf_top_proc *p, char *out, size_t n)
{
	name_of("/etc/passwd", p->uid, out, n);
}
static void t_egroup(const struct skf_top_proc *p, char *out, size_t n)
{
	name_of("/etc/group", p->egid, out, n);
}
static void t_rgroup(const struct skf_top_proc *p, char *out, size_t n)
{
	name_of("/etc/group", p->gid, out, n);
}
static void t_pid(const struct skf_top_proc *p, char *out, size_t n)
{
	snprintf(out, n, "%d", (int)p->cpid);
}
static void t_ppid(const struct skf_top_proc *p, char *out, size_t n)
{
	snprintf(out, n, "%d", (int)p->cppid);
}
static void t_hpid(const struct skf_top_proc *p, char *out, size_t n)
{
	snprintf(out, n, "%d", (int)p->pid);
}
static void t_hppid(const struct skf_top_proc *p, char *out, size_t n)
{
	snprintf(out, n, "%d", (int)p->ppid);
}
static void t_pgid(const struct skf_top_proc *p, char *out, size_t n)
{
	snprintf(out, n, "%d", (int)p->pgrp);
}
static void t_args(const struct skf_top_proc *p, char *out, size_t n)
{
	snprintf(out, n, "%s", p->args);
}
static void t_comm(const struct skf_top_proc *p, char *out, size_t n)
{
	snprintf(out, n, "%s", p->comm);
}
static void t_label(const struct skf_top_proc *p, char *out, size_t n)
{
	snprintf(out, n, "%s", p->label);
}
static void t_nice(const struct skf_top_proc *p, char *out, size_t n)
{
	snprintf(out, n, "%lld", (long long)p->nice);
}
static void t_state(const struct skf_top_proc *p, char *out, size_t n)
{
	snprintf(out, n, "%c", p->state);
}
static void t_vsz(const struct skf_top_proc *p, char *out, size_t n)
{
	snprintf(out, n, "%llu", (unsigned long long)p->vsz / 1024);
}

static void t_rss(const struct skf_top_proc *p, char *out, size_t n)
{
	snprintf(out, n, "%llu",
		 (unsigned long long)p->rss_pages * (unsigned long long)sysconf(_SC_PAGESIZE) / 1024);
}

static double percent(const struct skf_top_proc *p)
{
	int64_t age = age_ms(p);

	return age > 0 ? (double)p->ticks * 1000 / (double)hertz() * 100 / (double)age : 0;
}

static void t_pcpu(const struct skf_top_proc *p, char *out, size_t n)
{
	snprintf(out, n, "%.3f", percent(p));
}
static void t_c(const struct skf_top_proc *p, char *out, size_t n)
{
	snprintf(out, n, "%d", (int)percent(p));
}

static void t_time(const struct skf_top_proc *p, char *out, size_t n)
{
	uint64_t s = p->ticks / hertz();

	snprintf(out, n, "%02llu:%02llu:%02llu", (unsigned long long)s / 3600,
		 (unsigned long long)s / 60 % 60, (unsigned long long)s % 60);
}

static void t_etime(const struct skf_top_proc *p, char *out, size_t n)
{
	int64_t s = age_ms(p) / 1000;

	if (s >= 86400)
		snprintf(out, n, "%lld-%02lld:%02lld:%02lld", (long long)s / 86400, (long long)s / 3600 % 24,
			 (long long)s / 60 % 60, (long long)s % 60);
	else if (s >= 3600)
		snprintf(out, n, "%02lld:%02lld:%02lld", (long long)s / 3600, (long long)s / 60 % 60,
			 (long long)s % 60);
	else
		snprintf(out, n, "%02lld:%02lld", (long long)s / 60, (long long)s % 60);
}

static void t_stime(const struct skf_top_proc *p, char *out, size_t n)
{
	int64_t age = age_ms(p);
	time_t t = (time_t)(skf_now_ns() / 1000000000) - (time_t)(age / 1000);
	struct tm tm;

	if (!localtime_r(&t, &tm) || strftime(out, n, age < 86400000 ? "%H:%M" : "%b%d", &tm) == 0)
		snprintf(out, n, "?");
}

static void t_tty(const struct skf_top_proc *p, char *out, size_t n)
{
	dev_t d = (dev_t)p->tty_nr;

	if (p->tty_nr && major(d) >= 136 && major(d) <= 143)
		snprintf(out, n, "pts/%u", (major(d) - 136) * 256 + minor(d));
	else if (p->tty_nr && major(d) == 4)
		snprintf(out, n, "tty%u", minor(d));
	else
		snprintf(out, n, "?");
}

static void t_seccomp(const struct skf_top_proc *p, char *out, size_t n)
{
	static const char *const words[] = {"disabled", "strict", "filter"};

	snprintf(out, n, "%s", p->seccomp < SKF_ARRAY_LEN(words) ? words[p->seccomp] : "?");
}

static void caps_text(uint64_t set, char *out, size_t n)
{
	int last = skf_cap_last();
	uint64_t all = last < 0 || last > 62 ? ~0ULL : (1ULL << (last + 1)) - 1;
	size_t len = 0;

	snprintf(out, n, "%s", set == 0 ? "none" : (set & all) == all ? "full" : "");
	for (unsigned i = 0; *out == '\0' || len; i++) {
		const char *name = skf_cap_name(i);

		if (!name || len + 32 > n)
			return;
		if (set & (1ULL << i))
			len += (size_t)snprintf(out + len, n - len, "%s%s", len ? "," : "", name + 4);
	}
}

static void t_capinh(const struct skf_top_proc *p, char *out, size_t n)
{
	caps_text(p->caps[0], out, n);
}
static void t_capprm(const struct skf_top_proc *p, char *out, size_t n)
{
	caps_text(p->caps[1], out, n);
}
static void t_capeff(const struct skf_top_proc *p, char *out, size_t n)
{
	caps_text(p->caps[2], out, n);
}
static void t_capbnd(const struct skf_top_proc *p, char *out, size_t n)
{
	caps_text(p->caps[3], out, n);
}
static void t_capamb(const struct skf_top_proc *p, char *out, size_t n)
{
	caps_text(p->caps[4], out, n);
}

const struct skf_top_column skf_top_columns[] = {
	/* `ps -ef`, docker's default: the first eight, in its order; the words are not podman's */
	{"-uid", "UID", t_euser},
	{"-pid", "PID", t_hpid},
	{"-ppid", "PPID", t_hppid},
	{"-c", "C", t_c},
	{"-stime", "STIME", t_stime},
	{"-tty", "TTY", t_tty},
	{"-time", "TIME", t_time},
	{"-cmd", "CMD", t_args},
	/* podman's descriptors */
	{"args", "COMMAND", t_args},
	{"capamb", "AMBIENT CAPS", t_capamb},
	{"capbnd", "BOUNDING CAPS", t_capbnd},
	{"capeff", "EFFECTIVE CAPS", t_capeff},
	{"capinh", "INHERITED CAPS", t_capinh},
	{"capprm", "PERMITTED CAPS", t_capprm},
	{"comm", "COMMAND", t_comm},
	{"etime", "ELAPSED", t_etime},
	{"group", "GROUP", t_egroup},
	{"hgroup", "HGROUP", t_egroup},
	{"hpid", "HPID", t_hpid},
	{"huser", "HUSER", t_euser},
	{"label", "LABEL", t_label},
	{"nice", "NI", t_nice},
	{"pcpu", "%CPU", t_pcpu},
	{"pgid", "PGID", t_pgid},
	{"pid", "PID", t_pid},
	{"ppid", "PPID", t_ppid},
	{"rgroup", "RGROUP", t_rgroup},
	{"rss", "RSS", t_rss},
	{"ruser", "RUSER", t_ruser},
	{"seccomp", "SECCOMP", t_seccomp},
	{"state", "STATE", t_state},
	{"stime", "STIME", t_stime},
	{"time", "TIME", t_time},
	{"tty", "TTY", t_tty},
	{"user", "USER", t_euser},
	{"vsz", "VSZ", t_vsz},
	{NULL, NULL, NULL},
};
