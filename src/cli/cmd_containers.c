/* cli/cmd_containers.c -- ps, logs, stop, kill, rm, wait, inspect: each argument is done by itself, an error
 * of one does not keep the others from being done, and the status is 1 when there was any. */
#include "cli/cli_int.h"
#include "base/proc.h"
#include <stdlib.h>
#include <string.h>

#define SHORT_ID    12
#define COMMAND_MAX 20

static int for_each(struct skf_cli *c, int (*fn)(struct skf_cli *c, const char *name))
{
	int status = 0;

	if (skf_cli_engine(c) < 0)
		return skf_cli_fail(c, 1);
	for (size_t i = 0; i < c->args.n; i++) {
		skf_err_clear(&c->e);
		if (fn(c, c->args.v[i]) < 0) {
			skf_cli_error(&c->e);
			status = 1;
		}
		fflush(stdout);
	}
	return status;
}

/* --- ps --- */

static void status_text(const struct skf_ps_row *r, int64_t now, char *out, size_t size)
{
	char d[64];

	if (skf_streq(r->state, "running") || skf_streq(r->state, "paused")) {
		skf_human_duration(now - r->started_ns, d, sizeof(d));
		snprintf(out, size, "Up %s%s", d, skf_streq(r->state, "paused") ? " (Paused)" : "");
	} else if (skf_streq(r->state, "exited")) {
		skf_human_ago(r->finished_ns, now, d, sizeof(d));
		snprintf(out, size, "Exited (%d) %s", r->exit_code, d);
	} else if (skf_streq(r->state, "created")) {
		snprintf(out, size, "Created");
	} else {
		snprintf(out, size, "Dead");
	}
}

/* Quoted as docker does: quotes and backslashes escaped, control characters by their escapes. */
static void quote(const char *p, size_t n, const char *tail, char *out, size_t size)
{
	static const char from[] = "\"\\\a\b\f\n\r\t\v", to[] = "\"\\abfnrtv";
	size_t len = 0;

	out[len++] = '"';
	for (size_t i = 0; i < n && len + 8 < size; i++) {
		unsigned char c = (unsigned char)p[i];
		const char *at = strchr(from, c);

		if (at)
			len += (size_t)snprintf(out + len, size - len, "\\%c", to[at - from]);
		else if (c < 0x20 || c == 0x7f)
			len += (size_t)snprintf(out + len, size - len, "\\x%02x", c);
		else
			out[len++] = (char)c;
	}
	snprintf(out + len, size - len, "%s\"", tail);
}

/* At most COMMAND_MAX characters, the last one an ellipsis when cut. */
static void command_text(const char *command, bool whole, char *out, size_t size)
{
	size_t chars = 0, cut = 0;
	const char *p;

	for (p = command; *p; p++) {
		if (((unsigned char)*p & 0xc0) == 0x80)
			continue;
		if (++chars == COMMAND_MAX)
			cut = (size_t)(p - command);
	}
	if (whole || chars <= COMMAND_MAX)
		quote(command, strlen(command), "", out, size);
	else
		quote(command, cut, "…", out, size);
}

static int check_filters(struct skf_cli *c)
{
	static const char *const known[] = {"name=", "id=", "status=", "ancestor="};

	for (size_t i = 0; i < c->o.filter.n; i++) {
		bool ok = false;

		for (size_t k = 0; k < SKF_ARRAY_LEN(known); k++)
			ok |= skf_startswith(c->o.filter.v[i], known[k]);
		if (!ok)
			return skf_fail(
				&c->e, SKF_EINVALID,
				"invalid filter '%s': this version has name=, id=, status= and ancestor=",
				c->o.filter.v[i]);
	}
	return 0;
}

static bool ancestor_matches(const char *image, const char *want)
{
	size_t n = strlen(want);

	return skf_streq(image, want) || (skf_startswith(image, want) && image[n] == ':');
}

static bool one_matches(const struct skf_ps_row *r, const char *f)
{
	if (skf_startswith(f, "name="))
		return strstr(r->name, f + 5) != NULL;
	if (skf_startswith(f, "id="))
		return skf_startswith(r->id, f + 3);
	if (skf_startswith(f, "status="))
		return skf_streq(r->state, f + 7) ||
		       (skf_streq(f + 7, "dead") && skf_streq(r->state, "stopping-failed"));
	return ancestor_matches(r->image, f + 9);
}

/* Filters of one key are alternatives, different keys must all hold. */
static bool row_matches(const struct skf_cli *c, const struct skf_ps_row *r)
{
	for (size_t i = 0; i < c->o.filter.n; i++) {
		size_t key = strcspn(c->o.filter.v[i], "=") + 1;
		bool ok = false;

		for (size_t k = 0; k < c->o.filter.n; k++)
			if (!strncmp(c->o.filter.v[i], c->o.filter.v[k], key))
				ok |= one_matches(r, c->o.filter.v[k]);
		if (!ok)
			return false;
	}
	return true;
}

static void ps_row(const struct skf_cli *c, struct skf_table *t, const struct skf_ps_row *r, int64_t now)
{
	char id[SKF_ID_LEN + 1], command[1200], created[80], status[128];

	snprintf(id, sizeof(id), "%.*s", c->o.no_trunc ? SKF_ID_LEN : SHORT_ID, r->id);
	if (c->o.quiet) {
		printf("%s\n", id);
		return;
	}
	command_text(r->command, c->o.no_trunc, command, sizeof(command));
	skf_human_ago(r->created_ns, now, created, sizeof(created));
	status_text(r, now, status, sizeof(status));
	skf_table_add(t, id);
	skf_table_add(t, r->image);
	skf_table_add(t, command);
	skf_table_add(t, created);
	skf_table_add(t, status);
	skf_table_add(t, r->ports);
	skf_table_add(t, r->name);
}

int skf_cmd_ps(struct skf_cli *c)
{
	static const char *const head[] = {"CONTAINER ID", "IMAGE", "COMMAND", "CREATED",
					   "STATUS",       "PORTS", "NAMES"};
	SKF_AUTO(skf_table_done) struct skf_table t = SKF_TABLE(SKF_ARRAY_LEN(head));
	bool by_status = false;
	const struct skf_ps_row *v;
	struct skf_jarr rows;
	int64_t now = skf_now_ns(), left;

	if (c->o.latest)
		c->o.last = 1;
	for (size_t i = 0; i < c->o.filter.n; i++)
		by_status |= skf_startswith(c->o.filter.v[i], "status=");
	if (check_filters(c) < 0 || skf_cli_engine(c) < 0 ||
	    skf_engine_ps(c->g, c->o.all || by_status || c->o.last >= 0, &c->a, &rows, &c->e) < 0)
		return skf_cli_fail(c, 1);
	v = rows.v;
	left = c->o.last >= 0 ? c->o.last : INT64_MAX;
	for (size_t i = 0; !c->o.quiet && i < SKF_ARRAY_LEN(head); i++)
		skf_table_add(&t, head[i]);
	for (size_t i = 0; i < rows.n && left > 0; i++)
		if (row_matches(c, &v[i])) {
			ps_row(c, &t, &v[i], now);
			left--;
		}
	skf_table_print(&t);
	return 0;
}

/* --- logs --- */

static int print_line(void *arg, int stream, int64_t time_ns, const char *p, size_t n, struct skf_err *e)
{
	const struct skf_cli *c = arg;
	FILE *f = stream == 2 ? stderr : stdout;
	char t[36];

	if (c->o.timestamps) {
		skf_time_rfc3339(time_ns, t);
		fprintf(f, "%s ", t);
	}
	if (fwrite(p, 1, n, f) != n || (c->o.follow && fflush(f) != 0))
		return skf_fail_sys(e, -errno, "write the log");
	return 0;
}

int skf_cmd_logs(struct skf_cli *c)
{
	struct skf_logs_req q = SKF_REQ(struct skf_logs_req);
	int64_t now = skf_now_ns();

	q.container = c->args.v[0];
	q.follow = c->o.follow;
	q.timestamps = c->o.timestamps;
	q.out = q.err_ = true;
	q.tail = -1;
	q.line = print_line;
	q.arg = c;
	if (c->o.tail && !skf_streq(c->o.tail, "all") &&
	    (skf_parse_i64(c->o.tail, &q.tail) < 0 || q.tail < -1))
		skf_fail(&c->e, SKF_EINVALID, "invalid --tail '%s': expected a number or all", c->o.tail);
	else if (c->o.since && skf_human_parse_time(c->o.since, now, &q.since_ns) < 0)
		skf_fail(&c->e, SKF_EINVALID,
			 "invalid --since '%s': expected a time like 2026-11-23T02:17:15Z or a duration "
			 "like 10m",
			 c->o.since);
	else if (c->o.until && skf_human_parse_time(c->o.until, now, &q.until_ns) < 0)
		skf_fail(&c->e, SKF_EINVALID,
			 "invalid --until '%s': expected a time like 2026-11-23T02:17:15Z or a duration "
			 "like 10m",
			 c->o.until);
	else if (skf_cli_engine(c) == 0 && skf_engine_logs(c->g, &q, &c->e) == 0)
		return 0;
	return skf_cli_fail(c, 1);
}

/* --- stop, kill, rm, wait --- */

static int signal_option(struct skf_cli *c, int otherwise)
{
	int n = c->o.signal ? skf_signal_parse(c->o.signal) : otherwise;

	return n < 0 ? skf_fail(&c->e, SKF_EINVALID, "invalid signal: %s", c->o.signal) : n;
}

static int stop_one(struct skf_cli *c, const char *name)
{
	struct skf_stop_req q = SKF_REQ(struct skf_stop_req);

	q.container = name;
	q.timeout_s = c->o.timeout > INT32_MAX ? INT32_MAX : (int)c->o.timeout;
	q.signal = signal_option(c, 0);
	if (q.signal < 0 || skf_engine_stop(c->g, &q, &c->e) < 0)
		return -1;
	printf("%s\n", name);
	return 0;
}

int skf_cmd_stop(struct skf_cli *c)
{
	return for_each(c, stop_one);
}

static int kill_one(struct skf_cli *c, const char *name)
{
	int sig = signal_option(c, 9);

	if (sig < 0 || skf_engine_kill(c->g, name, sig, &c->e) < 0)
		return -1;
	printf("%s\n", name);
	return 0;
}

int skf_cmd_kill(struct skf_cli *c)
{
	return for_each(c, kill_one);
}

static int rm_one(struct skf_cli *c, const char *name)
{
	if (skf_engine_rm(c->g, name, c->o.force, c->o.volumes, &c->e) < 0) {
		if (!c->o.force || c->e.kind != SKF_ENOTFOUND)
			return -1;
		skf_cli_error(&c->e); /* docker: said, but with --force it is no failure */
		return 0;
	}
	printf("%s\n", name);
	return 0;
}

int skf_cmd_rm(struct skf_cli *c)
{
	return for_each(c, rm_one);
}

static int wait_one(struct skf_cli *c, const char *name)
{
	struct skf_exit x;

	if (skf_engine_wait(c->g, name, -1, &x, &c->e) < 0)
		return -1;
	printf("%u\n", x.code);
	return 0;
}

int skf_cmd_wait(struct skf_cli *c)
{
	return for_each(c, wait_one);
}

/* --- inspect --- */

/* The document of one object into b; what it may be is said by --type, else containers come first, as in
 * docker. */
static int inspect_one(struct skf_cli *c, const char *name, struct skf_buf *b)
{
	struct skf_jw w = {.b = b, .indent = 4};
	const char *type = c->o.type ? c->o.type : "";
	bool only_container =
		skf_streq(type, "container") || (c->cmd->group && skf_streq(c->cmd->group, "container"));

	if (!skf_streq(type, "image")) {
		if (skf_engine_inspect(c->g, name, &w, &c->e) == 0)
			return 0;
		if (only_container || c->e.kind != SKF_ENOTFOUND)
			return -1;
		skf_err_clear(&c->e);
		skf_buf_clear(b);
		w = (struct skf_jw){.b = b, .indent = 4};
	}
	if (skf_engine_image_inspect(c->g, name, &w, &c->e) == 0)
		return 0;
	if (c->e.kind != SKF_ENOTFOUND || *type)
		return -1;
	return skf_fail(&c->e, SKF_ENOTFOUND, "No such object: %s", name);
}

/* The documents stand in one array; each is moved in by its level. */
static void print_indented(const char *text)
{
	while (*text) {
		size_t n = strcspn(text, "\n");

		printf("    %.*s", (int)n, text);
		text += n;
		if (*text)
			putchar(*text++);
	}
}

static int inspect_all(struct skf_cli *c, int (*fn)(struct skf_cli *, const char *, struct skf_buf *))
{
	struct skf_err first = SKF_ERR_INIT;
	bool any = false;

	if (c->o.type && !skf_streq(c->o.type, "container") && !skf_streq(c->o.type, "image")) {
		skf_fail(&c->e, SKF_EINVALID, "invalid --type '%s': expected container or image", c->o.type);
		return skf_cli_fail(c, 1);
	}
	if (skf_cli_engine(c) < 0)
		return skf_cli_fail(c, 1);
	printf("[");
	for (size_t i = 0; i < c->args.n; i++) {
		SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_SPEC_BYTES * 4);

		skf_err_clear(&c->e);
		if (fn(c, c->args.v[i], &b) < 0) {
			if (first.kind == SKF_OK)
				first = c->e;
			continue;
		}
		printf("%s\n", any ? "," : "");
		print_indented(skf_buf_cstr(&b));
		any = true;
	}
	printf("%s]\n", any ? "\n" : "");
	if (first.kind == SKF_OK)
		return 0;
	c->e = first;
	return skf_cli_fail(c, 1);
}

int skf_cmd_inspect(struct skf_cli *c)
{
	return inspect_all(c, inspect_one);
}

static int inspect_image(struct skf_cli *c, const char *name, struct skf_buf *b)
{
	struct skf_jw w = {.b = b, .indent = 4};

	return skf_engine_image_inspect(c->g, name, &w, &c->e);
}

int skf_cmd_image_inspect(struct skf_cli *c)
{
	return inspect_all(c, inspect_image);
}
