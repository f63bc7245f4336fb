/* cli/cmd_watch.c -- top, stats, events: what containers do, in docker's tables, templates and JSON. */
#include "cli/cli_int.h"
#include "cli/listing.h"
#include "engine/life.h"
#include <json-c/json.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define SHORT_ID   12
#define WINDOW_MS  50 /* between the two looks that a CPU share is made of: a dozen of the kernel's ticks */
#define REFRESH_MS 1000

/* --- top --- */
static int print_rows(const struct skf_table_ret *t)
{
	SKF_AUTO(skf_table_done) struct skf_table out = SKF_TABLE((unsigned)t->titles.n);
	const struct skf_strv *rows = t->rows.v;

	for (size_t k = 0; k < t->titles.n; k++)
		skf_table_add(&out, t->titles.v[k]);
	for (size_t i = 0; i < t->rows.n; i++)
		for (size_t k = 0; k < t->titles.n; k++)
			skf_table_add(&out, k < rows[i].n ? rows[i].v[k] : "");
	skf_table_print(&out);
	return 0;
}

int skf_cmd_top(struct skf_cli *c)
{
	const struct skf_strv args = {c->args.v + 1, c->args.n - 1};
	struct skf_table_ret t;

	if (skf_cli_engine(c) < 0 || skf_engine_top(c->g, c->args.v[0], &args, &c->a, &t, &c->e) < 0)
		return skf_cli_fail(c, 1);
	return print_rows(&t);
}

/* --- stats --- */
struct look {
	struct skf_stats_row now;
	double cpu;       /* percent of one CPU; < 0: not known yet */
	const char *word; /* as the user named it; NULL */
};
struct looks {
	struct look *v;
	size_t n;
};

static void binary_size(uint64_t bytes, char *out, size_t size)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
	double v = (double)bytes;
	size_t u = 0;

	for (; v >= 1024 && u + 1 < SKF_ARRAY_LEN(units); u++)
		v /= 1024;
	snprintf(out, size, "%.4g%s", v, units[u]);
}

struct cells {
	char id[SKF_ID_LEN + 1], cpu[16], usage[64], percent[16], net[64], block[64], pids[24];
};

static void pair(uint64_t a, uint64_t b, char *out, size_t size)
{
	char x[24], y[24];

	skf_human_size(a, x, sizeof(x));
	skf_human_size(b, y, sizeof(y));
	snprintf(out, size, "%s / %s", x, y);
}

static struct cells cells_of(const struct skf_cli *c, const struct look *l)
{
	const struct skf_stats_row *r = &l->now;
	struct cells x = {.cpu = "0.00%",
			  .usage = "0B / 0B",
			  .percent = "0.00%",
			  .net = "0B / 0B",
			  .block = "0B / 0B",
			  .pids = "0"};
	char used[24], limit[24];

	snprintf(x.id, sizeof(x.id), "%.*s", c->o.no_trunc ? SKF_ID_LEN : SHORT_ID, r->id);
	if (!r->running)
		return x;
	if (l->cpu >= 0)
		snprintf(x.cpu, sizeof(x.cpu), "%.2f%%", l->cpu);
	else
		snprintf(x.cpu, sizeof(x.cpu), "--");
	binary_size(r->memory, used, sizeof(used));
	binary_size(r->memory_limit, limit, sizeof(limit));
	snprintf(x.usage, sizeof(x.usage), "%s / %s", used, limit);
	snprintf(x.percent, sizeof(x.percent), "%.2f%%",
		 r->memory_limit ? (double)r->memory * 100 / (double)r->memory_limit : 0.0);
	pair(r->net_rx, r->net_tx, x.net, sizeof(x.net));
	pair(r->block_read, r->block_write, x.block, sizeof(x.block));
	snprintf(x.pids, sizeof(x.pids), "%llu", (unsigned long long)r->pids);
	return x;
}

static void print_table(const struct skf_cli *c, const struct looks *l)
{
	static const char *const head[] = {"CONTAINER ID", "NAME",    "CPU %",     "MEM USAGE / LIMIT",
					   "MEM %",        "NET I/O", "BLOCK I/O", "PIDS"};
	SKF_AUTO(skf_table_done) struct skf_table t = SKF_TABLE(SKF_ARRAY_LEN(head));

	for (size_t i = 0; i < SKF_ARRAY_LEN(head); i++)
		skf_table_add(&t, head[i]);
	for (size_t i = 0; i < l->n; i++) {
		const struct cells x = cells_of(c, &l->v[i]);

		skf_table_add(&t, x.id);
		skf_table_add(&t, l->v[i].now.name);
		skf_table_add(&t, x.cpu);
		skf_table_add(&t, x.usage);
		skf_table_add(&t, x.percent);
		skf_table_add(&t, x.net);
		skf_table_add(&t, x.block);
		skf_table_add(&t, x.pids);
	}
	skf_table_print(&t);
}

static const struct skf_listing_head stats_heads[] = {{"Container", "CONTAINER"},
						      {"Name", "NAME"},
						      {"ID", "CONTAINER ID"},
						      {"CPUPerc", "CPU %"},
						      {"MemUsage", "MEM USAGE / LIMIT"},
						      {"MemPerc", "MEM %"},
						      {"NetIO", "NET I/O"},
						      {"BlockIO", "BLOCK I/O"},
						      {"PIDs", "PIDS"},
						      {NULL, NULL}};

static int put(struct json_object *o, const char *key, const char *text)
{
	struct json_object *s = json_object_new_string(text);

	return s && json_object_object_add(o, key, s) == 0 ? 0 : -ENOMEM;
}

static int format_row(struct skf_cli *c, struct skf_listing *out, const struct look *l)
{
	const struct cells x = cells_of(c, l);
	struct json_object *o = json_object_new_object();
	int r = !o || put(o, "BlockIO", x.block) < 0 || put(o, "CPUPerc", x.cpu) < 0 ||
				put(o, "Container", l->word ? l->word : x.id) < 0 ||
				put(o, "ID", x.id) < 0 || put(o, "MemPerc", x.percent) < 0 ||
				put(o, "MemUsage", x.usage) < 0 || put(o, "Name", l->now.name) < 0 ||
				put(o, "NetIO", x.net) < 0 || put(o, "PIDs", x.pids) < 0
			? skf_fail(&c->e, SKF_ENOMEM, "memory for the list")
			: skf_listing_row(out, o, &c->e);

	json_object_put(o);
	return r;
}

static int print_looks(struct skf_cli *c, const struct looks *l)
{
	SKF_AUTO(skf_listing_done) struct skf_listing out = {.heads = stats_heads, .env = {.type = "stats"}};
	bool plain;

	if (skf_listing_init(&out, c->o.format, &c->a, &plain, &c->e) < 0)
		return -1;
	if (plain) {
		print_table(c, l);
		return 0;
	}
	for (size_t i = 0; i < l->n; i++)
		if (format_row(c, &out, &l->v[i]) < 0)
			return -1;
	return skf_listing_end(&out, &c->e);
}

/* The containers to look at, each with its counters. */
static int first_look(struct skf_cli *c, struct skf_arena *a, struct looks *ret)
{
	struct skf_jarr rows = {0};
	const struct skf_ps_row *v;
	size_t n = c->args.n;

	if (n == 0 && skf_engine_ps(c->g, c->o.all, a, &rows, &c->e) < 0)
		return -1;
	v = rows.v;
	n = n ? n : rows.n;
	ret->v = skf_arena_array(a, n ? n : 1, sizeof(*ret->v));
	ret->n = 0;
	if (!ret->v)
		return skf_fail(&c->e, SKF_ENOMEM, "memory for the list");
	for (size_t i = 0; i < n; i++) {
		struct look *l = &ret->v[ret->n];
		char id[SKF_ID_LEN + 1];

		*l = (struct look){.cpu = -1, .word = c->args.n ? c->args.v[i] : NULL};
		if (c->args.n && skf_engine_resolve(c->g, c->args.v[i], id, &c->e) < 0)
			return -1;
		if (skf_engine_stats(c->g, c->args.n ? id : v[i].id, true, &l->now, &c->e) == 0)
			ret->n++;
		else if (c->args.n || c->e.kind != SKF_ENOTFOUND)
			return -1;
		else
			skf_err_clear(&c->e); /* removed since the list was made */
	}
	return 0;
}

/* One that was removed meanwhile does not run: 0. */
static int look_again(struct skf_cli *c, bool cpu_only, struct skf_stats_row *row)
{
	if (skf_engine_stats(c->g, row->id, cpu_only, row, &c->e) == 0)
		return 0;
	if (c->e.kind != SKF_ENOTFOUND)
		return -1;
	skf_err_clear(&c->e);
	row->running = false;
	return 0;
}

static double share(const struct skf_stats_row *a, const struct skf_stats_row *b)
{
	return b->time_ns > a->time_ns && b->cpu_ns >= a->cpu_ns
		       ? (double)(b->cpu_ns - a->cpu_ns) * 100 / (double)(b->time_ns - a->time_ns)
		       : 0;
}

/* Everything, and the CPU share of the time since the first look. */
static int second_look(struct skf_cli *c, struct looks *l)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct skf_stats_row before = l->v[i].now;

		if (look_again(c, false, &l->v[i].now) < 0)
			return -1;
		l->v[i].cpu = share(&before, &l->v[i].now);
	}
	return 0;
}

/* The same at once: what is read in any case is read while the time passes that a CPU share is of. */
static int brief_look(struct skf_cli *c, struct looks *l, int64_t begun_ms)
{
	struct skf_stats_row *before = skf_arena_array(&c->a, l->n ? l->n : 1, sizeof(*before)), last;
	int64_t left;

	if (!before)
		return skf_fail(&c->e, SKF_ENOMEM, "memory for the list");
	for (size_t i = 0; i < l->n; i++) {
		before[i] = l->v[i].now;
		if (look_again(c, false, &l->v[i].now) < 0)
			return -1;
	}
	left = begun_ms + WINDOW_MS - skf_mono_ms();
	if (left > 0)
		(void)poll(NULL, 0, (int)left);
	for (size_t i = 0; i < l->n; i++) {
		last = l->v[i].now;
		if (look_again(c, true, &last) < 0)
			return -1;
		l->v[i].now.running &= last.running;
		l->v[i].cpu = share(&before[i], &last);
	}
	return 0;
}

static int stream(struct skf_cli *c)
{
	bool screen = isatty(STDOUT_FILENO) == 1 && !(c->o.format && *c->o.format);

	for (;;) {
		SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
		struct looks l;

		if (first_look(c, &a, &l) < 0)
			return skf_cli_fail(c, 1);
		(void)poll(NULL, 0, REFRESH_MS);
		if (second_look(c, &l) < 0)
			return skf_cli_fail(c, 1);
		if (screen)
			fputs("\033[H\033[J", stdout);
		if (print_looks(c, &l) < 0)
			return skf_cli_fail(c, 1);
		if (fflush(stdout) != 0)
			return 0; /* nobody reads it any more */
	}
}

int skf_cmd_stats(struct skf_cli *c)
{
	struct looks l;
	int64_t begun_ms;

	if (skf_cli_engine(c) < 0)
		return skf_cli_fail(c, 1);
	if (!c->o.no_stream)
		return stream(c);
	begun_ms = skf_mono_ms();
	return first_look(c, &c->a, &l) < 0 || brief_look(c, &l, begun_ms) < 0 || print_looks(c, &l) < 0
		       ? skf_cli_fail(c, 1)
		       : 0;
}

/* --- events --- */
struct events {
	struct skf_cli *c;
	struct skf_tmpl *t; /* NULL: docker's line */
};

/* docker's document of an event, with a cursor. */
static void event_document(const struct skf_event *ev, struct skf_jw *w)
{
	bool is_ctr = skf_streq(ev->type, "container");
	char code[16];

	snprintf(code, sizeof(code), "%d", ev->exit_code);
	skf_jw_obj(w);
	skf_jw_kstr(w, "status", ev->action);
	skf_jw_kstr(w, "id", ev->id);
	if (is_ctr)
		skf_jw_kstr(w, "from", ev->image);
	skf_jw_kstr(w, "Type", ev->type);
	skf_jw_kstr(w, "Action", ev->action);
	skf_jw_kobj(w, "Actor");
	skf_jw_kstr(w, "ID", ev->id);
	skf_jw_kobj(w, "Attributes");
	if (ev->exit_code >= 0)
		skf_jw_kstr(w, "exitCode", code);
	if (is_ctr)
		skf_jw_kstr(w, "image", ev->image);
	skf_jw_kstr(w, "name", ev->name);
	skf_jw_end(w);
	skf_jw_end(w);
	skf_jw_kstr(w, "scope", "local");
	skf_jw_kint(w, "time", ev->time_ns / 1000000000);
	skf_jw_kint(w, "timeNano", ev->time_ns);
	skf_jw_kstr(w, "Cursor", ev->cursor);
	skf_jw_end(w);
}

static int print_event(void *arg, const struct skf_event *ev, struct skf_err *e)
{
	struct events *x = arg;
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_OBJECT_BYTES);
	struct skf_jw w = SKF_JW(&b);
	char t[36];

	if (x->t) {
		event_document(ev, &w);
		if (skf_cli_doc_print(x->c, x->t, skf_buf_cstr(&b), b.len) < 0) {
			*e = x->c->e;
			return -1;
		}
	} else {
		skf_time_rfc3339(ev->time_ns, t);
		printf("%s %s %s %s (", t, ev->type, ev->action, ev->id);
		if (ev->exit_code >= 0)
			printf("exitCode=%d, ", ev->exit_code);
		if (skf_streq(ev->type, "container"))
			printf("image=%s, ", ev->image);
		printf("name=%s)\n", ev->name);
	}
	return fflush(stdout) == 0 ? 0 : skf_fail_sys(e, -errno, "write the event");
}

static int time_option(struct skf_cli *c, const char *flag, const char *text, int64_t *ret)
{
	if (!text || skf_human_parse_time(text, skf_now_ns(), ret) == 0)
		return 0;
	return skf_fail(
		&c->e, SKF_EINVALID,
		"invalid --%s '%s': expected a time like 2026-11-23T02:17:15Z or a duration like 10m", flag,
		text);
}

int skf_cmd_events(struct skf_cli *c)
{
	struct skf_events_req q = SKF_REQ(struct skf_events_req);
	struct events x = {.c = c};

	if (time_option(c, "since", c->o.since, &q.since_ns) < 0 ||
	    time_option(c, "until", c->o.until, &q.until_ns) < 0 || skf_cli_check_filters(c) < 0)
		return skf_cli_fail(c, 1);
	if (c->o.format && *c->o.format && skf_cli_doc_format(c, &x.t) < 0)
		return skf_cli_fail(c, 1);
	q.filters = c->o.filter;
	q.cursor = c->o.cursor;
	q.past = q.since_ns || q.until_ns || q.cursor;
	q.follow = !q.until_ns || q.until_ns > skf_now_ns();
	q.event = print_event;
	q.arg = &x;
	if (skf_cli_engine(c) < 0 || skf_engine_events(c->g, &q, &c->e) < 0)
		return skf_cli_fail(c, 1);
	return 0;
}
