/* tests/faults/inject.c -- runs a program under ptrace and lets exactly one of its system calls fail, or
 * kills it there.
 *
 *   inject -o LOG [-t SECONDS] [-a PID] [-p ROLE -n INDEX [-s NR] (-e ERRNO [-x] | -k)] -- COMMAND...
 *
 * A role is a process: 0 is the command, 1 the first one that was born after it (or the one of -a), and so
 * on. The index counts the calls of a role from 1. Unlike strace's `when=`, one place in one process is hit,
 * not the same number in every process. -s  the first call from INDEX on that has this number: how often
 * malloc asks the kernel is not the same in every run -e  the call is not made and answers with this errno;
 * with -x it is made, and its answer is replaced (close, munmap: what they free is free in any case) -k
 * SIGKILL before the call; so before call n+1 is after call n A process of another role is let go when it
 * executes a program: what comes then is not the runtime. When the command ends, all others are let go.
 *
 * LOG gets "proc ROLE PID", "call ROLE INDEX NR EXECS" (EXECS: how often the role executed something), "hit
 * ROLE INDEX NR", "exec ROLE PID", and at the end one of "exit STATUS", "signal NUMBER", "timeout". After a
 * time-out everything is killed. Blocks until the command ends.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_PROCS 256
#define OPTIONS                                                                                             \
	(PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |           \
	 PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL)

struct proc {
	pid_t pid;
	int role;
	long index, execs;
	bool replace; /* at the exit of the current call */
};

struct run {
	struct proc procs[MAX_PROCS];
	int n, roles;
	FILE *log;
	int want_role, err;
	long want_index, want_nr;
	bool after, kill, hit;
	bool leaving;
	int status; /* of role 0 */
};

static volatile sig_atomic_t expired;

static void on_alarm(int sig)
{
	(void)sig;
	expired = 1;
}

static void die(const char *what)
{
	fprintf(stderr, "inject: %s: %s\n", what, strerror(errno));
	exit(125);
}

static struct proc *find(struct run *r, pid_t pid)
{
	for (int i = 0; i < r->n; i++)
		if (r->procs[i].pid == pid)
			return &r->procs[i];
	if (r->n == MAX_PROCS)
		return NULL;
	r->procs[r->n] = (struct proc){.pid = pid, .role = r->roles++};
	fprintf(r->log, "proc %d %d\n", r->procs[r->n].role, (int)pid);
	return &r->procs[r->n++];
}

static void forget(struct run *r, struct proc *p)
{
	*p = r->procs[--r->n];
}

#if defined(__x86_64__)
static void set_call(pid_t pid, long nr, bool answer, long value)
{
	struct user_regs_struct regs;

	if (ptrace(PTRACE_GETREGS, pid, NULL, &regs) < 0)
		return;
	if (answer)
		regs.rax = (unsigned long)value;
	else
		regs.orig_rax = (unsigned long)nr;
	ptrace(PTRACE_SETREGS, pid, NULL, &regs);
}
#elif defined(__aarch64__)
static void set_call(pid_t pid, long nr, bool answer, long value)
{
	int n = (int)nr;
	struct user_regs_struct regs;
	struct iovec io = {answer ? (void *)&regs : (void *)&n, answer ? sizeof regs : sizeof n};

	if (!answer) {
		ptrace(PTRACE_SETREGSET, pid, 0x404 /* NT_ARM_SYSTEM_CALL */, &io);
		return;
	}
	if (ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &io) < 0)
		return;
	regs.regs[0] = (uint64_t)value;
	ptrace(PTRACE_SETREGSET, pid, NT_PRSTATUS, &io);
}
#else
#error "inject knows x86_64 and aarch64"
#endif

static void syscall_stop(struct run *r, struct proc *p)
{
	struct __ptrace_syscall_info info;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, p->pid, sizeof info, &info) <= 0)
		return;
	if (info.op == PTRACE_SYSCALL_INFO_EXIT) {
		if (p->replace)
			set_call(p->pid, 0, true, -r->err);
		p->replace = false;
		return;
	}
	if (info.op != PTRACE_SYSCALL_INFO_ENTRY)
		return;
	p->index++;
	fprintf(r->log, "call %d %ld %llu %ld\n", p->role, p->index, (unsigned long long)info.entry.nr,
		p->execs);
	if (r->hit || p->role != r->want_role || p->index < r->want_index ||
	    (r->want_nr < 0 ? p->index != r->want_index : (long)info.entry.nr != r->want_nr))
		return;
	fprintf(r->log, "hit %d %ld %llu\n", p->role, p->index, (unsigned long long)info.entry.nr);
	r->hit = true;
	if (r->kill) {
		kill(p->pid, SIGKILL);
		return;
	}
	p->replace = true;
	if (!r->after)
		set_call(p->pid, -1, false, 0);
}

static void stopped(struct run *r, struct proc *p, int st)
{
	int sig = WSTOPSIG(st), event = st >> 16;

	if (event == PTRACE_EVENT_EXEC) {
		p->execs++;
		if (p->role > 0) {
			fprintf(r->log, "exec %d %d\n", p->role, (int)p->pid);
			ptrace(PTRACE_DETACH, p->pid, NULL, 0L);
			forget(r, p);
			return;
		}
	}
	if (sig == (SIGTRAP | 0x80) && !r->leaving)
		syscall_stop(r, p);
	if (r->leaving && event != PTRACE_EVENT_FORK && event != PTRACE_EVENT_VFORK &&
	    event != PTRACE_EVENT_CLONE) {
		ptrace(PTRACE_DETACH, p->pid, NULL, (long)(event || sig == (SIGTRAP | 0x80) ? 0 : sig));
		forget(r, p);
		return;
	}
	if (event == PTRACE_EVENT_STOP && sig != SIGTRAP) {
		ptrace(PTRACE_LISTEN, p->pid, NULL, 0L);
		return;
	}
	ptrace(PTRACE_SYSCALL, p->pid, NULL, (long)(event || sig == (SIGTRAP | 0x80) ? 0 : sig));
}

static void leave(struct run *r)
{
	r->leaving = true;
	for (int i = 0; i < r->n; i++)
		ptrace(PTRACE_INTERRUPT, r->procs[i].pid, NULL, 0L);
}

static void loop(struct run *r)
{
	while (r->n > 0 && !expired) {
		int st;
		pid_t pid = waitpid(-1, &st, __WALL);
		struct proc *p;

		if (pid < 0 && errno == EINTR)
			continue;
		if (pid < 0)
			return;
		p = find(r, pid);
		if (!p)
			die("too many processes");
		if (WIFSTOPPED(st)) {
			stopped(r, p, st);
			continue;
		}
		if (p->role == 0) {
			r->status = st;
			forget(r, p);
			leave(r);
		} else {
			forget(r, p);
		}
	}
}

static pid_t launch(char **argv)
{
	int gate[2];
	char c = 'g';
	pid_t pid;

	if (pipe2(gate, O_CLOEXEC) < 0)
		die("pipe");
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		close(gate[1]);
		if (read(gate[0], &c, 1) != 1)
			_exit(125);
		execvp(argv[0], argv);
		_exit(126);
	}
	if (ptrace(PTRACE_SEIZE, pid, NULL, (long)OPTIONS) < 0)
		die("trace the command");
	close(gate[0]);
	if (write(gate[1], &c, 1) != 1)
		die("start the command");
	close(gate[1]);
	return pid;
}

static void attach(struct run *r, pid_t pid)
{
	if (ptrace(PTRACE_SEIZE, pid, NULL, (long)OPTIONS) < 0 ||
	    ptrace(PTRACE_INTERRUPT, pid, NULL, 0L) < 0)
		die("trace the other process");
	find(r, pid);
}

static int finish(struct run *r)
{
	if (expired) {
		for (int i = 0; i < r->n; i++)
			kill(r->procs[i].pid, SIGKILL);
		fprintf(r->log, "timeout\n");
	} else if (WIFSIGNALED(r->status)) {
		fprintf(r->log, "signal %d\n", WTERMSIG(r->status));
	} else {
		fprintf(r->log, "exit %d\n", WEXITSTATUS(r->status));
	}
	fclose(r->log);
	return 0;
}

int main(int argc, char **argv)
{
	static struct run r = {.want_role = -1, .want_nr = -1};
	struct sigaction sa = {.sa_handler = on_alarm};
	unsigned seconds = 60;
	pid_t other = 0;
	int o;

	while ((o = getopt(argc, argv, "+o:t:a:p:n:s:e:xk")) != -1)
		switch (o) {
		case 'o':
			r.log = fopen(optarg, "we");
			break;
		case 't':
			seconds = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'a':
			other = (pid_t)strtol(optarg, NULL, 10);
			break;
		case 'p':
			r.want_role = (int)strtol(optarg, NULL, 10);
			break;
		case 'n':
			r.want_index = strtol(optarg, NULL, 10);
			break;
		case 's':
			r.want_nr = strtol(optarg, NULL, 10);
			break;
		case 'e':
			r.err = (int)strtol(optarg, NULL, 10);
			break;
		case 'x':
			r.after = true;
			break;
		case 'k':
			r.kill = true;
			break;
		default:
			return 125;
		}
	if (!r.log || optind == argc) {
		fprintf(stderr, "inject: -o LOG and a command are needed\n");
		return 125;
	}
	sigaction(SIGALRM, &sa, NULL);
	alarm(seconds);
	find(&r, launch(argv + optind));
	if (other)
		attach(&r, other);
	loop(&r);
	return finish(&r);
}
