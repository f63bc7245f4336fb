/* Unit tests of base/proc.c, base/spawn.c and base/signame.c. */
#include "base/buf.h"
#include "base/proc.h"
#include "util.h"
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

static struct skf_buf out = SKF_BUF(1 << 20);

/* Runs a shell script with stdout in a pipe and more fds; returns the exit code, the output is in `out`. */
static int run(const char *script, const int *fds, unsigned n_fds, const struct skf_spawn *base)
{
	char *argv[] = {(char *)"sh", (char *)"-c", (char *)script, NULL};
	struct skf_spawn s = base ? *base : (struct skf_spawn){0};
	int p[2], status, pidfd = -1;
	pid_t pid;

	assert_int_equal(skf_pipe(p, 0), 0);
	s.path = "/bin/sh";
	s.argv = argv;
	s.stdio[0] = -1;
	s.stdio[1] = p[1];
	s.stdio[2] = 2;
	s.fds = fds;
	s.n_fds = n_fds;
	assert_int_equal(skf_spawn(&s, &pid, &pidfd), 0);
	assert_true(fcntl(pidfd, F_GETFD) & FD_CLOEXEC);
	skf_closep(&p[1]);
	skf_buf_clear(&out);
	assert_int_equal(skf_read_fd(p[0], 1 << 20, &out), 0);
	skf_closep(&p[0]);
	assert_int_equal(skf_wait_pid(pid, pidfd, 10000, &status), 0);
	skf_closep(&pidfd);
	return skf_wait_code(status);
}

static void exit_codes(void **state)
{
	unsigned before = count_fds();

	assert_int_equal(run("exit 42", NULL, 0, NULL), 42);
	assert_int_equal(run("kill -KILL $$", NULL, 0, NULL), 137);
	assert_int_equal(run("read x || echo eof", NULL, 0, NULL), 0); /* /dev/null */
	assert_string_equal(skf_buf_cstr(&out), "eof\n");
	assert_int_equal(count_fds(), before);
}

/* Sources below, at and above the targets, in the worst order, with leaky fds around. */
static void fds_arrive_in_order(void **state)
{
	int low[4], a[2], b[2], fds[4], leak;

	assert_int_equal(skf_pipe(low, 0), 0); /* takes 3 and 4, which are used below */
	assert_int_equal(skf_pipe(low + 2, 0), 0);
	assert_int_equal(skf_pipe(a, 0), 0);
	assert_int_equal(skf_pipe(b, 0), 0);
	assert_true(a[0] > 4);
	leak = dup2(a[0], 200);
	assert_int_equal(skf_write_full(a[1], "A\n", 2), 0);
	assert_int_equal(skf_write_full(b[1], "B\n", 2), 0);
	assert_int_equal(dup2(b[0], 3), 3);
	assert_int_equal(dup2(a[0], 4), 4);
	fds[0] = 4; /* becomes 3 */
	fds[1] = 3; /* becomes 4 */
	fds[2] = 4;
	fds[3] = 200;
	assert_int_equal(
		run("read x <&3; read y <&4; echo $x$y; ls /proc/self/fd | tr '\\n' ' '", fds, 4, NULL), 0);
	/* ls itself opens one more */
	assert_memory_equal(skf_buf_cstr(&out), "AB\n0 1 2 3 4 5 6 7 ", 19);
	assert_int_equal(strlen(skf_buf_cstr(&out)), 19);
	close(leak);
	for (int i = 0; i < 4; i++)
		skf_closep(&low[i]);
	for (int i = 0; i < 2; i++) {
		skf_closep(&a[i]);
		skf_closep(&b[i]);
	}
}

static void environment_and_directory(void **state)
{
	char *envp[] = {(char *)"ONLY=1", NULL};
	struct skf_spawn s = {.envp = envp, .cwd = "/proc"};

	assert_int_equal(run("echo $ONLY$HOME; pwd", NULL, 0, &s), 0);
	assert_string_equal(skf_buf_cstr(&out), "1\n/proc\n");
	s.new_session = true;
	s.envp = NULL;
	s.pdeathsig = SIGKILL;
	assert_int_equal(run("test $(cut -d' ' -f6 /proc/$$/stat) = $$", NULL, 0, &s), 0);
}

static void signals_are_reset(void **state)
{
	sigset_t set, old;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, &old);
	assert_int_equal(run("grep -E '^Sig(Blk|Ign)' /proc/self/status | tr -d '\\n\\t '", NULL, 0, NULL),
			 0);
	assert_string_equal(skf_buf_cstr(&out), "SigBlk:0000000000000000SigIgn:0000000000000000");
	sigprocmask(SIG_SETMASK, NULL, &set);
	assert_true(sigismember(&set, SIGUSR1));
	assert_false(sigismember(&set, SIGUSR2));
	sigprocmask(SIG_SETMASK, &old, NULL);
	signal(SIGPIPE, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
}

static void failures_leave_nothing(void **state)
{
	char *argv[] = {(char *)"x", NULL};
	struct skf_spawn s = {.path = "/nonexistent/program", .argv = argv, .stdio = {-1, -1, -1}};
	unsigned before = count_fds();
	int bad = 999, status, pidfd = 5;
	pid_t pid = 5;

	assert_int_equal(skf_spawn(&s, &pid, &pidfd), -ENOENT);
	s.path = "/dev/null";
	assert_int_equal(skf_spawn(&s, &pid, &pidfd), -EACCES);
	s.path = "/bin/true";
	s.cwd = "/nonexistent";
	assert_int_equal(skf_spawn(&s, &pid, &pidfd), -ENOENT);
	s.cwd = NULL;
	s.fds = &bad;
	s.n_fds = 1;
	assert_int_equal(skf_spawn(&s, &pid, &pidfd), -EBADF);
	s.n_fds = 0;
	s.path = "true";
	assert_int_equal(skf_spawn(&s, &pid, &pidfd), -EINVAL);
	assert_int_equal(pid, 5);
	assert_int_equal(pidfd, 5);
	assert_int_equal(waitpid(-1, &status, WNOHANG), -1); /* no zombie */
	assert_int_equal(errno, ECHILD);
	assert_int_equal(count_fds(), before);
}

/* No fd number is left for the child: the error comes from inside it. */
static void child_runs_out_of_fds(void **state)
{
	char *argv[] = {(char *)"true", NULL};
	int fds[4] = {0, 0, 0, 0}, status;
	struct skf_spawn s = {.path = "/bin/true", .argv = argv, .fds = fds, .n_fds = 4};
	struct rlimit old, few;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	few = (struct rlimit){10, old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	assert_int_equal(skf_spawn(&s, NULL, NULL), -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(waitpid(-1, &status, WNOHANG), -1);
}

static void waiting(void **state)
{
	char *argv[] = {(char *)"sleep", (char *)"30", NULL};
	struct skf_spawn s = {.path = "/bin/sleep", .argv = argv, .stdio = {-1, -1, -1}};
	int status, pidfd;
	uint64_t start;
	pid_t pid;

	assert_int_equal(skf_spawn(&s, &pid, NULL), 0);
	assert_int_equal(skf_wait_pid(pid, -1, 30, &status), -ETIMEDOUT);
	assert_int_equal(skf_proc_start_time(pid, &start), 0);
	assert_int_equal(skf_proc_alive(pid, start), 1);
	assert_int_equal(skf_proc_alive(pid, start + 1), 0);
	kill(pid, SIGTERM);
	usleep(50000);
	assert_int_equal(skf_proc_alive(pid, start), 0); /* a zombie */
	assert_int_equal(skf_wait_pid(pid, -1, 5000, &status), 0);
	assert_int_equal(skf_wait_code(status), 128 + SIGTERM);
	assert_int_equal(skf_proc_alive(pid, start), 0);
	assert_int_equal(skf_wait_pid(pid, -1, 10, &status), -ECHILD);
	/* by pidfd alone */
	assert_int_equal(skf_spawn(&s, &pid, &pidfd), 0);
	kill(pid, SIGKILL);
	assert_int_equal(skf_wait_pid(0, pidfd, 5000, &status), 0);
	assert_int_equal(skf_wait_code(status), 137);
	skf_closep(&pidfd);
}

/* The kernel's own number: of this process and no other, gone with it, and with a zombie. */
static void kernel_number(void **state)
{
	char *argv[] = {(char *)"sleep", (char *)"100", NULL};
	struct skf_spawn s = {.path = "/bin/sleep", .argv = argv, .stdio = {-1, -1, -1}};
	uint64_t own, id;
	pid_t pid;
	int status;

	if (skf_proc_id(getpid(), &own) == -EOPNOTSUPP)
		skip(); /* before Linux 6.9 */
	assert_int_equal(skf_proc_alive_id(getpid(), own), 1);
	assert_int_equal(skf_spawn(&s, &pid, NULL), 0);
	assert_int_equal(skf_proc_id(pid, &id), 0);
	assert_true(id != own);
	assert_int_equal(skf_proc_alive_id(pid, id), 1);
	assert_int_equal(skf_proc_alive_id(pid, own), 0);
	kill(pid, SIGKILL);
	usleep(50000);
	assert_int_equal(skf_proc_alive_id(pid, id), 0); /* a zombie */
	assert_int_equal(skf_wait_pid(pid, -1, 5000, &status), 0);
	assert_int_equal(skf_proc_alive_id(pid, id), 0);
	assert_int_equal(skf_proc_id(0, &id), -ESRCH);
}

static void identity(void **state)
{
	char a[37], b[37];
	uint64_t t, u;

	assert_int_equal(skf_boot_id(a), 0);
	assert_int_equal(skf_boot_id(b), 0);
	assert_string_equal(a, b);
	assert_int_equal(strlen(a), 36);
	assert_int_equal(skf_proc_start_time(getpid(), &t), 0);
	prctl(PR_SET_NAME, "a) R 1 (b"); /* a name that imitates the line */
	assert_int_equal(skf_proc_start_time(getpid(), &u), 0);
	assert_true(t == u && t > 0);
	assert_int_equal(skf_proc_start_time(0, &t), -ESRCH);
	assert_int_equal(skf_proc_start_time(-5, &t), -ESRCH);
	assert_int_equal(skf_proc_start_time(INT32_MAX, &t), -ESRCH);
}

static void siblings(void **state)
{
	struct tdir *d = *state;
	char p[4096], want[4096], tiny[8];

	unsetenv("SKIFF_LIBEXEC");
	assert_int_equal(skf_sibling_program("no-such-program", p, sizeof(p)), -ENOENT);
	assert_int_equal(skf_sibling_program("test_proc", p, sizeof(p)), 0);
	assert_non_null(realpath("/proc/self/exe", want));
	assert_string_equal(p, want);
	assert_int_equal(skf_sibling_program("test_proc", tiny, sizeof(tiny)), -ENAMETOOLONG);
	setenv("SKIFF_LIBEXEC", d->path, 1);
	assert_int_equal(skf_sibling_program("skiff-x", p, sizeof(p)), -ENOENT);
	assert_int_equal(skf_write_atomic_at(d->fd, "skiff-x", "", 0, 0755, 0), 0);
	assert_int_equal(skf_sibling_program("skiff-x", p, sizeof(p)), 0);
	snprintf(want, sizeof(want), "%s/skiff-x", d->path);
	assert_string_equal(p, want);
	setenv("SKIFF_LIBEXEC", "relative", 1);
	assert_int_equal(skf_sibling_program("skiff-x", p, sizeof(p)), -EINVAL);
	unsetenv("SKIFF_LIBEXEC");
}

static void signal_names(void **state)
{
	static const struct {
		const char *s;
		int sig;
	} t[] = {
		{"TERM", 15},
		{"SIGTERM", 15},
		{"sigterm", 15},
		{"15", 15},
		{"kill", 9},
		{"RTMIN", 34},
		{"RTMIN+3", 37},
		{"SIGRTMIN+30", 64},
		{"RTMAX", 64},
		{"SIGRTMAX-14", 50},
		{"64", 64},
		{"IOT", 6},
		{"POLL", 29},
		{"CLD", 17},
		{"0", -EINVAL},
		{"65", -EINVAL},
		{"", -EINVAL},
		{"SIG", -EINVAL},
		{"SIGSIGTERM", -EINVAL},
		{"RTMIN-1", -EINVAL},
		{"RTMIN+31", -EINVAL},
		{"RTMIN+", -EINVAL},
		{"RTMAX+1", -EINVAL},
		{"-9", -EINVAL},
		{"TERMX", -EINVAL},
		{"4294967305", -EINVAL},
	};

	for (size_t i = 0; i < SKF_ARRAY_LEN(t); i++)
		if (skf_signal_parse(t[i].s) != t[i].sig)
			fail_msg("'%s' gave %d", t[i].s, skf_signal_parse(t[i].s));
	assert_int_equal(skf_signal_parse(NULL), -EINVAL);
	for (int s = 1; s <= 64; s++) {
		const char *n = skf_signal_name(s);

		if (s == 32 || s == 33)
			assert_null(n);
		else
			assert_int_equal(skf_signal_parse(n), s);
	}
	assert_string_equal(skf_signal_name(6), "SIGABRT");
	assert_null(skf_signal_name(0));
	assert_null(skf_signal_name(65));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exit_codes),
		cmocka_unit_test(fds_arrive_in_order),
		cmocka_unit_test(environment_and_directory),
		cmocka_unit_test(signals_are_reset),
		cmocka_unit_test(failures_leave_nothing),
		cmocka_unit_test(child_runs_out_of_fds),
		cmocka_unit_test(waiting),
		cmocka_unit_test(kernel_number),
		cmocka_unit_test(identity),
		DIR_TEST(siblings),
		cmocka_unit_test(signal_names),
	};
	int r = cmocka_run_group_tests(tests, NULL, NULL);

	skf_buf_done(&out);
	return r;
}
