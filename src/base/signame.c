/* base/signame.c -- names and numbers of signals. Real-time signals count from 34 and to 64 as in docker and
 * glibc, which keeps 32 and 33 for itself. */
#include "base/buf.h"
#include "base/proc.h"
#include <signal.h>
#include <string.h>
#include <strings.h>

#define RT_MIN 34
#define RT_MAX 64

static const struct {
	int sig;
	const char *name;
} names[] = {
	{SIGHUP, "SIGHUP"},
	{SIGINT, "SIGINT"},
	{SIGQUIT, "SIGQUIT"},
	{SIGILL, "SIGILL"},
	{SIGTRAP, "SIGTRAP"},
	{SIGABRT, "SIGABRT"},
	{SIGBUS, "SIGBUS"},
	{SIGFPE, "SIGFPE"},
	{SIGKILL, "SIGKILL"},
	{SIGUSR1, "SIGUSR1"},
	{SIGSEGV, "SIGSEGV"},
	{SIGUSR2, "SIGUSR2"},
	{SIGPIPE, "SIGPIPE"},
	{SIGALRM, "SIGALRM"},
	{SIGTERM, "SIGTERM"},
	{SIGSTKFLT, "SIGSTKFLT"},
	{SIGCHLD, "SIGCHLD"},
	{SIGCONT, "SIGCONT"},
	{SIGSTOP, "SIGSTOP"},
	{SIGTSTP, "SIGTSTP"},
	{SIGTTIN, "SIGTTIN"},
	{SIGTTOU, "SIGTTOU"},
	{SIGURG, "SIGURG"},
	{SIGXCPU, "SIGXCPU"},
	{SIGXFSZ, "SIGXFSZ"},
	{SIGVTALRM, "SIGVTALRM"},
	{SIGPROF, "SIGPROF"},
	{SIGWINCH, "SIGWINCH"},
	{SIGIO, "SIGIO"},
	{SIGPWR, "SIGPWR"},
	{SIGSYS, "SIGSYS"},
	/* further names of the same numbers, for parsing only: skf_signal_name takes the first */
	{SIGABRT, "SIGIOT"},
	{SIGCHLD, "SIGCLD"},
	{SIGIO, "SIGPOLL"},
};

static const char *const rt_names[] = {
	"SIGRTMIN",    "SIGRTMIN+1",  "SIGRTMIN+2",  "SIGRTMIN+3",  "SIGRTMIN+4",  "SIGRTMIN+5",
	"SIGRTMIN+6",  "SIGRTMIN+7",  "SIGRTMIN+8",  "SIGRTMIN+9",  "SIGRTMIN+10", "SIGRTMIN+11",
	"SIGRTMIN+12", "SIGRTMIN+13", "SIGRTMIN+14", "SIGRTMIN+15", "SIGRTMAX-14", "SIGRTMAX-13",
	"SIGRTMAX-12", "SIGRTMAX-11", "SIGRTMAX-10", "SIGRTMAX-9",  "SIGRTMAX-8",  "SIGRTMAX-7",
	"SIGRTMAX-6",  "SIGRTMAX-5",  "SIGRTMAX-4",  "SIGRTMAX-3",  "SIGRTMAX-2",  "SIGRTMAX-1",
	"SIGRTMAX",
};
_Static_assert(SKF_ARRAY_LEN(rt_names) == RT_MAX - RT_MIN + 1, "one name for each real-time signal");

/* "RTMIN", "RTMIN+n", "RTMAX", "RTMAX-n" with the result inside the range. */
static int parse_rt(const char *s)
{
	bool from_min = strncasecmp(s, "RTMIN", 5) == 0;
	uint32_t n = 0;

	if (!from_min && strncasecmp(s, "RTMAX", 5) != 0)
		return -EINVAL;
	s += 5;
	if (*s && (*s != (from_min ? '+' : '-') || skf_parse_u32(s + 1, &n) < 0 || n > RT_MAX - RT_MIN))
		return -EINVAL;
	return from_min ? RT_MIN + (int)n : RT_MAX - (int)n;
}

int skf_signal_parse(const char *s)
{
	uint32_t n;

	if (!s || !*s)
		return -EINVAL;
	if (skf_parse_u32(s, &n) == 0)
		return n > 0 && n <= RT_MAX ? (int)n : -EINVAL;
	if (strncasecmp(s, "SIG", 3) == 0)
		s += 3;
	for (size_t i = 0; i < SKF_ARRAY_LEN(names); i++)
		if (strcasecmp(s, names[i].name + 3) == 0)
			return names[i].sig;
	return parse_rt(s);
}

const char *skf_signal_name(int sig)
{
	if (sig >= RT_MIN && sig <= RT_MAX)
		return rt_names[sig - RT_MIN];
	for (size_t i = 0; i < SKF_ARRAY_LEN(names); i++)
		if (names[i].sig == sig)
			return names[i].name;
	return NULL;
}
