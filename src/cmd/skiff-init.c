/* cmd/skiff-init.c -- PID 1 of a container with --init: starts the program, reaps whatever is left to it,
 * passes signals on, and ends with the program's status. `skiff-init [--] PROGRAM [ARGUMENT...]`.
 * `skiff-init --pause`: PID 1 of a pod that shares its PID namespace: reaps until it is killed.
 *
 * It is bound into containers of every image, so that it is one static file without any C library: the
 * kernel's interface and nothing else, a few KB. Invariants: (1) no memory is allocated and nothing but the
 * program is opened or executed; (2) the program runs in a process group of its own, with the signal mask
 * and dispositions that we were started with, and in the foreground of the terminal if there is one; (3) a
 * signal is never lost: all are blocked from the beginning and taken one by one; SIGKILL and SIGSTOP cannot
 * be taken. Blocks in rt_sigtimedwait(2). */

typedef long word;
typedef unsigned long uword;

#if defined(__x86_64__)
enum {
	NR_write = 1,
	NR_sigprocmask = 14,
	NR_ioctl = 16,
	NR_getpid = 39,
	NR_execve = 59,
	NR_wait4 = 61,
	NR_kill = 62,
	NR_setpgid = 109,
	NR_sigtimedwait = 128,
	NR_exit_group = 231,
	NR_clone = 56
};
static word call(word n, word a, word b, word c, word d, word e)
{
	register word r10 __asm__("r10") = d;
	register word r8 __asm__("r8") = e;
	word r;

	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
			 : "rcx", "r11", "memory");
	return r;
}
__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall "
	"skf_init_main\n\thlt\n");
#elif defined(__aarch64__)
enum {
	NR_write = 64,
	NR_sigprocmask = 135,
	NR_ioctl = 29,
	NR_getpid = 172,
	NR_execve = 221,
	NR_wait4 = 260,
	NR_kill = 129,
	NR_setpgid = 154,
	NR_sigtimedwait = 137,
	NR_exit_group = 94,
	NR_clone = 220
};
static word call(word n, word a, word b, word c, word d, word e)
{
	register word x8 __asm__("x8") = n;
	register word x0 __asm__("x0") = a;
	register word x1 __asm__("x1") = b;
	register word x2 __asm__("x2") = c;
	register word x3 __asm__("x3") = d;
	register word x4 __asm__("x4") = e;

	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
	return x0;
}
__asm__(".globl _start\n_start:\n\tmov x29, #0\n\tmov x0, sp\n\tbl skf_init_main\n\tbrk #0\n");
#else
#error "skiff-init: this architecture has no system call yet"
#endif

#define SIG_COUNT    64
#define SIGTTIN      21
#define SIGTTOU      22
#define SIGCHLD      17
#define SIG_BLOCK    0
#define SIG_SET      2
#define WNOHANG      1
#define TIOCSPGRP    0x5410
#define E_NOENT      2
#define E_ACCES      13
#define E_NOTDIR     20
#define E_INTR       4
#define E_AGAIN      11
#define PATH_BYTES   4096
#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static uword length(const char *s)
{
	uword n = 0;

	while (s[n])
		n++;
	return n;
}

static void say(const char *s)
{
	(void)call(NR_write, 2, (word)s, (word)length(s), 0, 0); /* nowhere else to complain */
}

static void __attribute__((noreturn)) leave(int status)
{
	for (;;)
		(void)call(NR_exit_group, status, 0, 0, 0, 0);
}

static const char *path_of(char *const *envp)
{
	for (; *envp; envp++)
		if ((*envp)[0] == 'P' && (*envp)[1] == 'A' && (*envp)[2] == 'T' && (*envp)[3] == 'H' &&
		    (*envp)[4] == '=')
			return *envp + 5;
	return DEFAULT_PATH;
}

/* execvp(3): the errno of the failure that says most. */
static word execute(char *const *argv, char *const *envp)
{
	char path[PATH_BYTES];
	const char *p = path_of(envp);
	uword n = length(argv[0]);
	word worst = E_NOENT;

	for (uword i = 0; i < n; i++)
		if (argv[0][i] == '/')
			return -call(NR_execve, (word)argv[0], (word)argv, (word)envp, 0, 0);
	while (n > 0) {
		uword k = 0;
		word r;

		for (; *p && *p != ':' && k + n + 2 < PATH_BYTES; p++)
			path[k++] = *p;
		while (*p && *p != ':')
			p++;
		if (k == 0)
			path[k++] = '.';
		path[k++] = '/';
		for (uword i = 0; i <= n && k < PATH_BYTES; i++)
			path[k++] = argv[0][i];
		r = -call(NR_execve, (word)path, (word)argv, (word)envp, 0, 0);
		if (r != E_NOENT && r != E_NOTDIR)
			worst = r;
		if (!*p++)
			break;
	}
	return worst;
}

static void __attribute__((noreturn)) program(char *const *argv, char *const *envp, const uword *mask)
{
	word pid = call(NR_getpid, 0, 0, 0, 0, 0), e;

	(void)call(NR_setpgid, 0, 0, 0, 0, 0); /* a fresh child: cannot fail */
	/* SIGTTOU is blocked still; without a terminal there is none to be in the foreground of */
	(void)call(NR_ioctl, 0, TIOCSPGRP, (word)&pid, 0, 0);
	(void)call(NR_sigprocmask, SIG_SET, (word)mask, 0, sizeof(*mask), 0);
	e = execute(argv, envp);
	say("skiff-init: exec of '");
	say(argv[0]);
	say(e == E_NOENT   ? "' failed: no such file or directory\n"
	    : e == E_ACCES ? "' failed: permission denied\n"
			   : "' failed\n");
	leave(e == E_NOENT ? 127 : 126);
}

static int exit_status(int status)
{
	return (status & 0x7f) == 0 ? (status >> 8) & 0xff : 128 + (status & 0x7f);
}

/* Every child that has ended; the status when the program is among them, else -1. */
static int reap(word child)
{
	int status = 0, found = -1;
	word pid;

	while ((pid = call(NR_wait4, -1, (word)&status, WNOHANG, 0, 0)) > 0)
		if (pid == child)
			found = exit_status(status);
	return found;
}

static int supervise(word child, const uword *all)
{
	for (;;) {
		word sig = call(NR_sigtimedwait, (word)all, 0, 0, sizeof(*all), 0);
		int status;

		if (sig == -E_INTR || sig == -E_AGAIN)
			continue;
		if (sig == SIGCHLD) {
			status = reap(child);
			if (status >= 0)
				return status;
		} else if (sig > 0 && sig != SIGTTIN && sig != SIGTTOU) {
			(void)call(NR_kill, child, sig, 0, 0, 0); /* ESRCH: its SIGCHLD is on the way */
		}
	}
}

/* Nobody waits for the processes of a pod but us; signals from inside mean nothing, those from outside are
 * SIGKILL. */
static void __attribute__((noreturn)) pause_for_ever(const uword *all)
{
	for (;;)
		if (call(NR_sigtimedwait, (word)all, 0, 0, sizeof(*all), 0) == SIGCHLD)
			(void)reap(0);
}

static int same(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

__attribute__((used, noreturn)) void skf_init_main(word *stack);
void skf_init_main(word *stack)
{
	char **argv = (char **)(stack + 1);
	char **envp = argv + stack[0] + 1;
	uword all = ~0UL, before = 0;
	word child;

	argv++;
	if (*argv && same(*argv, "--pause") && !argv[1]) {
		(void)call(NR_sigprocmask, SIG_BLOCK, (word)&all, (word)&before, sizeof(all), 0);
		pause_for_ever(&all);
	}
	if (*argv && (*argv)[0] == '-' && (*argv)[1] == '-' && !(*argv)[2])
		argv++;
	if (!*argv) {
		say("usage: skiff-init [--] PROGRAM [ARGUMENT...]\n");
		leave(125);
	}
	(void)call(NR_sigprocmask, SIG_BLOCK, (word)&all, (word)&before, sizeof(all),
		   0); /* cannot fail with these arguments */
	child = call(NR_clone, SIGCHLD, 0, 0, 0, 0);
	if (child == 0)
		program(argv, envp, &before);
	if (child < 0) {
		say("skiff-init: cannot make a process\n");
		leave(126);
	}
	leave(supervise(child, &all));
}
