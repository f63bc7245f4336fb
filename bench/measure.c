/* bench/measure.c -- runs commands in turn and prints what they took, side by side.
 *
 * Usage: measure ab RUNS -n NAME CMD ARG... [-n NAME CMD...]   one after the other, in alternating order,
 * RUNS times measure burst COUNT -n NAME CMD ARG...                 COUNT at once; per process the time
 * until it ended In a command "+" begins the next command of a sequence, "+@" one that is not counted
 * (cleaning up); "{}" in an argument becomes a number that is new each time. Input and output of the
 * commands are /dev/null (MEASURE_STDERR=1 shows their errors).
 *
 * ab prints per name: median, lower quartile and minimum of the wall time; median and minimum of the
 * processor time (user and system, children included, as wait4(2) has it); page faults and peak resident
 * memory (medians); last the ratio of the first name's median, and of its median processor time, to this
 * one's. Alternating order, so that a machine that gets slower or faster in between does so for all. Exit
 * status 1 when a command fails. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_NAMES 16
#define MAX_ARGS  64

struct sample {
	double wall, cpu, faults, rss;
};
struct subject {
	const char *name;
	char **words; /* up to NULL */
	struct sample *v;
};
extern char **environ;
static unsigned counter;

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static char *with_number(const char *word)
{
	const char *at = strstr(word, "{}");
	char *out = NULL;

	if (asprintf(&out, "%.*s%u%s", at ? (int)(at - word) : (int)strlen(word), word, counter,
		     at ? at + 2 : "") < 0)
		exit(2);
	if (!at)
		strcpy(out, word);
	return out;
}

static pid_t start(char **argv)
{
	pid_t pid;

	if (posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ) != 0) {
		fprintf(stderr, "measure: cannot run %s\n", argv[0]);
		exit(2);
	}
	return pid;
}

static void add(struct sample *s, double wall, const struct rusage *u)
{
	s->wall += wall;
	s->cpu += (double)(u->ru_utime.tv_sec + u->ru_stime.tv_sec) * 1e3 +
		  (double)(u->ru_utime.tv_usec + u->ru_stime.tv_usec) / 1e3;
	s->faults += (double)u->ru_minflt;
	if ((double)u->ru_maxrss > s->rss)
		s->rss = (double)u->ru_maxrss;
}

/* One command of the sequence; *p is moved behind it. */
static bool run_one(char ***p, struct sample *s, const char *name)
{
	char *argv[MAX_ARGS + 1];
	bool counted = true;
	struct rusage u;
	int n = 0, status;
	double t;
	pid_t pid;

	if (**p && (*p)[0][0] == '+') {
		counted = strcmp((*p)[0], "+@") != 0;
		(*p)++;
	}
	while (**p && strcmp(**p, "+") != 0 && strcmp(**p, "+@") != 0 && n < MAX_ARGS)
		argv[n++] = with_number(*(*p)++);
	argv[n] = NULL;
	t = now_ms();
	pid = start(argv);
	while (wait4(pid, &status, 0, &u) < 0)
		;
	t = now_ms() - t;
	if (counted)
		add(s, t, &u);
	if (status != 0 && counted)
		fprintf(stderr, "measure: %s: '%s %s' ended with status %#x\n", name, argv[0],
			n > 1 ? argv[1] : "", (unsigned)status);
	for (int i = 0; i < n; i++)
		free(argv[i]);
	return status == 0 || !counted;
}

static bool run_sequence(struct subject *x, struct sample *s)
{
	char **p = x->words;

	counter++;
	*s = (struct sample){0};
	while (*p)
		if (!run_one(&p, s, x->name))
			return false;
	return true;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Quantile q of the field at `offset`. */
static double quantile(const struct sample *v, unsigned n, size_t offset, double q)
{
	double *d = calloc(n, sizeof(*d)), r;

	for (unsigned i = 0; d && i < n; i++)
		d[i] = *(const double *)((const char *)&v[i] + offset);
	if (!d)
		exit(2);
	qsort(d, n, sizeof(*d), compare);
	r = d[(unsigned)((double)(n - 1) * q + 0.5)];
	free(d);
	return r;
}

#define Q(s, field, q) quantile((s)->v, n, offsetof(struct sample, field), q)

static int ab(struct subject *x, unsigned k, unsigned n)
{
	struct sample warm;

	for (unsigned i = 0; i < k; i++) {
		x[i].v = calloc(n, sizeof(struct sample));
		for (int w = 0; w < 2; w++)
			if (!x[i].v || !run_sequence(&x[i], &warm))
				return 1;
	}
	for (unsigned r = 0; r < n; r++)
		for (unsigned i = 0; i < k; i++) {
			unsigned at = r & 1 ? k - 1 - i : i;

			if (!run_sequence(&x[at], &x[at].v[r]))
				return 1;
		}
	printf("%-22s %8s %8s %8s | %8s %8s | %6s %7s | %11s %10s\n", "", "median", "p25", "min ms",
	       "cpu med", "cpu min", "faults", "RSS KiB", "first/wall", "first/cpu");
	for (unsigned i = 0; i < k; i++)
		printf("%-22s %8.2f %8.2f %8.2f | %8.2f %8.2f | %6.0f %7.0f | %11.2f %10.2f\n", x[i].name,
		       Q(&x[i], wall, 0.5), Q(&x[i], wall, 0.25), Q(&x[i], wall, 0), Q(&x[i], cpu, 0.5),
		       Q(&x[i], cpu, 0), Q(&x[i], faults, 0.5), Q(&x[i], rss, 0.5),
		       Q(&x[0], wall, 0.5) / Q(&x[i], wall, 0.5), Q(&x[0], cpu, 0.5) / Q(&x[i], cpu, 0.5));
	return 0;
}

static int burst(struct subject *x, unsigned n)
{
	pid_t *pids = calloc(n, sizeof(*pids));
	double *begin = calloc(n, sizeof(*begin));
	int bad = 0;

	x->v = calloc(n, sizeof(struct sample));
	if (!pids || !begin || !x->v)
		return 2;
	for (unsigned i = 0; i < n; i++) {
		char *argv[MAX_ARGS + 1];
		int k = 0;

		counter++;
		for (char **p = x->words; *p && k < MAX_ARGS; p++)
			argv[k++] = with_number(*p);
		argv[k] = NULL;
		begin[i] = now_ms();
		pids[i] = start(argv);
	}
	for (unsigned done = 0; done < n; done++) {
		struct rusage u;
		int status;
		pid_t pid = wait4(-1, &status, 0, &u);

		for (unsigned i = 0; i < n; i++)
			if (pids[i] == pid)
				add(&x->v[i], now_ms() - begin[i], &u);
		bad += status != 0;
	}
	printf("%-22s p50 %8.2f  p99 %8.2f  max %8.2f ms  p99/p50 %5.2f  failed %d\n", x->name,
	       Q(x, wall, 0.5), Q(x, wall, 0.99), Q(x, wall, 1), Q(x, wall, 0.99) / Q(x, wall, 0.5), bad);
	return bad != 0;
}

int main(int argc, char **argv)
{
	struct subject x[MAX_NAMES] = {{0}};
	unsigned k = 0, n = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), out, err;

	for (int i = 3; i < argc; i++)
		if (strcmp(argv[i], "-n") == 0 && i + 2 < argc && k < MAX_NAMES) {
			argv[i] = NULL;
			x[k++] = (struct subject){.name = argv[i + 1], .words = argv + i + 2};
			i++;
		}
	if (!n || !k || null < 0) {
		fprintf(stderr, "usage: measure ab|burst RUNS -n NAME CMD ARG... [-n NAME CMD...]\n");
		return 2;
	}
	out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 10); /* ours; the commands get /dev/null */
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	err = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
	if (!getenv("MEASURE_STDERR"))
		dup2(null, STDERR_FILENO);
	stdout = fdopen(out, "w");
	stderr = fdopen(err, "w");
	if (!stdout || !stderr)
		return 2;
	return strcmp(argv[1], "burst") == 0 ? burst(&x[0], n) : ab(x, k, n);
}
