/* cmd/oci_state.c -- state, list, kill and delete: output formats and words of runc. */
#include "cmd/oci_int.h"

#include "base/json.h"
#include "base/limits.h"
#include "base/proc.h"

#include <regex.h>
#include <signal.h>
#include <string.h>

int oci_state(struct oci *o, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_STATE_BYTES);
	struct skf_jw w = {.b = &b, .indent = 2};
	struct skf_rt_state *s;

	if (skf_rt_state_load(&o->rt, o->a.rest.v[0], &o->arena, &s, e) < 0)
		return -1;
	skf_rt_state_write(s, &w);
	skf_buf_chr(&b, '\n');
	return oci_print(&b, e);
}

/* runc's tabwriter: columns at least 12 wide, 3 apart, the last one as it is. */
static void table(const struct skf_rt_state *const *s, size_t n, struct skf_buf *b)
{
	static const char *const head[6] = {"ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"};
	size_t width[6] = {0};
	char pid[16];

	for (size_t row = 0; row <= 2 * n + 1; row++) { /* n + 1 rows to measure, the same to write */
		bool measure = row <= n;
		size_t k = measure ? row : row - n - 1;
		const char *cell[6];

		if (k == 0) {
			memcpy(cell, head, sizeof(cell));
		} else {
			const struct skf_rt_state *x = s[k - 1];

			if (skf_fmt(pid, sizeof(pid), "%d", (int)x->pid) < 0)
				pid[0] = '\0';
			memcpy(cell,
			       (const char *[6]){x->id, pid, skf_rt_status_name(x->status), x->bundle,
						 x->created, x->owner},
			       sizeof(cell));
		}
		for (unsigned c = 0; c < 6; c++) {
			size_t len = strlen(cell[c]);

			if (measure) {
				size_t want = len + 3 > 12 ? len + 3 : 12;

				width[c] = row == 0 || want > width[c] ? want : width[c];
				continue;
			}
			skf_buf_str(b, cell[c]);
			for (; c < 5 && len < width[c]; len++)
				skf_buf_chr(b, ' ');
		}
		if (!measure)
			skf_buf_chr(b, '\n');
	}
}

static void json_list(const struct skf_rt_state *const *s, size_t n, struct skf_buf *b)
{
	struct skf_jw w = SKF_JW(b);

	if (n == 0) { /* what Go writes for an empty list, and tools expect */
		skf_buf_str(b, "null");
		return;
	}
	skf_jw_arr(&w);
	for (size_t i = 0; i < n; i++)
		skf_rt_state_write(s[i], &w);
	skf_jw_end_arr(&w);
}

int oci_list(struct oci *o, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(64u << 20);
	struct skf_strv ids = {0};
	const struct skf_rt_state **s;
	size_t n = 0;

	if (o->a.format && !skf_streq(o->a.format, "table") && !skf_streq(o->a.format, "json"))
		return skf_fail(e, SKF_EINVALID, "invalid format option '%s': table or json", o->a.format);
	/* no state root: no container */
	if (o->rt.rootfd >= 0 && skf_rt_list(&o->rt, &o->arena, &ids, e) < 0)
		return -1;
	s = skf_arena_array(&o->arena, ids.n + 1, sizeof(*s));
	if (!s)
		return skf_nomem(e);
	for (size_t i = 0; i < ids.n; i++) {
		struct skf_err se = SKF_ERR_INIT;
		struct skf_rt_state *one;

		if (o->a.quiet) {
			skf_buf_fmt(&b, "%s\n", ids.v[i]);
			continue;
		}
		if (skf_rt_state_load(&o->rt, ids.v[i], &o->arena, &one, &se) == 0)
			s[n++] = one;
		else if (se.kind != SKF_ENOTFOUND) /* deleted since */
			skf_warn(&o->log, "%s, ignoring", se.msg);
	}
	if (!o->a.quiet && skf_streq(o->a.format, "json"))
		json_list(s, n, &b);
	else if (!o->a.quiet)
		table(s, n, &b);
	return oci_print(&b, e);
}

/* One container, or with --regex all whose id matches: then a failure is a warning and the next one follows.
 */
static int for_each(struct oci *o, int (*fn)(struct oci *o, const char *id, struct skf_err *e),
		    struct skf_err *e)
{
	const char *pattern = o->a.rest.v[0];
	struct skf_strv ids = {0};
	regex_t re;
	int r;

	if (!o->a.regex)
		return fn(o, pattern, e);
	if (skf_rt_list(&o->rt, &o->arena, &ids, e) < 0)
		return -1;
	r = regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB);
	if (r != 0)
		return skf_fail(e, SKF_EINVALID, "invalid regular expression '%s'", pattern);
	for (size_t i = 0; i < ids.n; i++) {
		struct skf_err one = SKF_ERR_INIT;

		if (regexec(&re, ids.v[i], 0, NULL, 0) == 0 && fn(o, ids.v[i], &one) < 0)
			skf_warn(&o->log, "%s, ignoring", one.msg);
	}
	regfree(&re);
	return 0;
}

static int kill_one(struct oci *o, const char *id, struct skf_err *e)
{
	const char *name = o->a.rest.n > 1 && *o->a.rest.v[1] ? o->a.rest.v[1] : "TERM";
	int sig = skf_signal_parse(name);

	if (skf_streq(name, "0"))
		sig = 0;
	if (sig < 0)
		return skf_fail(e, SKF_EINVALID, "unknown signal '%s'", name);
	return skf_rt_kill(&o->rt, id, sig, o->a.all, e);
}

static int delete_one(struct oci *o, const char *id, struct skf_err *e)
{
	return skf_rt_delete(&o->rt, id, o->a.force, e);
}

int oci_kill(struct oci *o, struct skf_err *e)
{
	return for_each(o, kill_one, e);
}

int oci_delete(struct oci *o, struct skf_err *e)
{
	return for_each(o, delete_one, e);
}
