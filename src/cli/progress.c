/* cli/progress.c -- a pull for people: on a terminal one line per layer with a bar, drawn over again;
 * elsewhere one line per layer when it is done. */
#include "cli/cli_int.h"
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define BAR      50
#define SHORT_ID 12

static void short_id(const struct skf_digest *d, char out[SHORT_ID + 1])
{
	const char *hex = skf_digest_hex(d);
	size_t n = strlen(hex);

	n = n < SHORT_ID ? n : SHORT_ID;
	memcpy(out, hex, n);
	out[n] = '\0';
}

static const char *phase_text(const struct skf_cli_progress *x, int phase)
{
	static const char *const push[] = {
		"Preparing", "Pushing", "Pushing", "Pushed", "Layer already exists", "Mounted"};

	if (x->push && phase >= 0 && phase < (int)SKF_ARRAY_LEN(push))
		return push[phase];
	switch (phase) {
	case SKF_PHASE_DOWNLOADING:
		return "Downloading";
	case SKF_PHASE_EXTRACTING:
		return "Extracting";
	case SKF_PHASE_DONE:
		return "Pull complete";
	case SKF_PHASE_EXISTS:
		return "Already exists";
	default:
		return "Waiting";
	}
}

static void draw_line(const struct skf_cli_progress *x, FILE *f, const struct skf_progress_layer *l)
{
	char id[SHORT_ID + 1], done[32], all[32], bar[BAR + 1];
	size_t n = l->size ? (size_t)((double)l->done / (double)l->size * BAR) : 0;

	short_id(&l->digest, id);
	if (l->phase != SKF_PHASE_DOWNLOADING && l->phase != SKF_PHASE_EXTRACTING) {
		fprintf(f, "\033[2K\r%s: %s\n", id, phase_text(x, l->phase));
		return;
	}
	n = n < BAR ? n : BAR - 1;
	memset(bar, ' ', BAR);
	memset(bar, '=', n);
	bar[n] = '>';
	bar[BAR] = '\0';
	skf_human_size(l->done, done, sizeof(done));
	skf_human_size(l->size, all, sizeof(all));
	fprintf(f, "\033[2K\r%s: %s [%s] %s/%s\n", id, phase_text(x, l->phase), bar, done, all);
}

/* More layers than the terminal has lines cannot be drawn over; then the plain form is used. */
static bool fits(const struct skf_cli_progress *x, size_t n)
{
	struct winsize w;

	return ioctl(fileno(x->out), TIOCGWINSZ, &w) == 0 && w.ws_row > n + 1 &&
	       w.ws_col >= SHORT_ID + BAR + 40;
}

static void draw_plain(struct skf_cli_progress *x, const struct skf_progress_layer *l, size_t n)
{
	char id[SHORT_ID + 1];

	for (size_t i = 0; i < n; i++) {
		if (x->phase[i] == l[i].phase ||
		    (l[i].phase != SKF_PHASE_DONE && l[i].phase != SKF_PHASE_EXISTS &&
		     l[i].phase != SKF_PHASE_MOUNTED))
			continue;
		x->phase[i] = l[i].phase;
		short_id(&l[i].digest, id);
		fprintf(x->out, "%s: %s\n", id, phase_text(x, l[i].phase));
	}
	fflush(x->out);
}

static void layers(void *arg, const struct skf_progress_layer *l, size_t n)
{
	struct skf_cli_progress *x = arg;

	if (x->quiet)
		return;
	if (!x->phase) {
		x->phase = calloc(n, sizeof(*x->phase));
		if (!x->phase)
			return; /* a pull without progress is still a pull */
		x->n = n;
		x->tty = x->tty && fits(x, n);
	}
	if (n > x->n)
		return;
	if (!x->tty) {
		draw_plain(x, l, n);
		return;
	}
	if (x->n_lines)
		fprintf(x->out, "\033[%zuA", x->n_lines);
	for (size_t i = 0; i < n; i++)
		draw_line(x, x->out, &l[i]);
	x->n_lines = n;
	fflush(x->out);
}

static void message(void *arg, const char *text)
{
	struct skf_cli_progress *x = arg;

	if (x->quiet)
		return;
	fprintf(x->out, "%s\n", text);
	fflush(x->out);
}

/* podman's question, with numbers: of the terminal alone, so that a pipe never answers it. */
static int choose(void *arg, const char *name, const char *const *refs, size_t n)
{
	char line[32];
	uint64_t k;

	(void)arg;
	fprintf(stderr, "Please select an image for %s:\n", name);
	for (size_t i = 0; i < n; i++)
		fprintf(stderr, "  %zu) %s\n", i + 1, refs[i]);
	for (int tries = 0; tries < 3; tries++) {
		fprintf(stderr, "Number: ");
		if (!fgets(line, sizeof(line), stdin))
			return -1;
		line[strcspn(line, "\r\n")] = '\0';
		if (skf_parse_u64(line, &k) == 0 && k >= 1 && k <= n)
			return (int)k - 1;
	}
	return -1;
}

void skf_cli_progress_init(struct skf_cli_progress *x, FILE *out, bool quiet)
{
	memset(x, 0, sizeof(*x));
	x->p = (struct skf_progress){.layers = layers, .message = message, .arg = x};
	x->out = out;
	x->quiet = quiet;
	x->tty = isatty(fileno(out)) == 1;
	if (isatty(STDIN_FILENO) == 1 && isatty(STDERR_FILENO) == 1)
		x->p.choose = choose;
}

void skf_cli_progress_done(struct skf_cli_progress *x)
{
	free(x->phase);
	x->phase = NULL;
}
