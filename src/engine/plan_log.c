/* engine/plan_log.c -- where a container's output goes: the log driver and its options, checked against a
 * table, in docker's words. docker's "local" is a promise of rotation and of `logs`, its files are docker's
 * own business: here it is json-file with local's defaults. */
#include "engine/create_int.h"
#include <regex.h>
#include <string.h>

#define D(n) (1u << (n))
enum driver { JSON_FILE, K8S_FILE, JOURNALD, SYSLOG, NONE, LOCAL, N_DRIVERS };
#define LOCAL_MAX_SIZE (20u << 20) /* docker's defaults of it */
#define LOCAL_MAX_FILE 5
static const char *const drivers[N_DRIVERS] = {"json-file", "k8s-file", "journald",
					       "syslog",    "none",     "local"};
#define FILES (D(JSON_FILE) | D(K8S_FILE) | D(LOCAL))

struct option {
	const char *key;
	unsigned drivers;
	int (*take)(struct skf_plan *p, const char *v); /* NULL: only kept; -EINVAL: not a value */
};

static int size_of(const char *v, uint64_t *ret)
{
	int64_t n;

	if (skf_parse_size(v, &n) < 0 || n <= 0)
		return -EINVAL;
	*ret = (uint64_t)n;
	return 0;
}

static int take_max_size(struct skf_plan *p, const char *v)
{
	if (!skf_streq(v, "-1"))
		return size_of(v, &p->conf.log_max_size);
	p->conf.log_max_size = 0; /* docker: no limit */
	return 0;
}

static int take_max_file(struct skf_plan *p, const char *v)
{
	return skf_parse_u32(v, &p->conf.log_max_file) < 0 || p->conf.log_max_file == 0 ||
			       p->conf.log_max_file > 1000
		       ? -EINVAL
		       : 0;
}

static int take_mode(struct skf_plan *p, const char *v)
{
	(void)p;
	return skf_streq(v, "blocking") || skf_streq(v, "non-blocking") ? 0 : -EINVAL;
}

static int take_buffer(struct skf_plan *p, const char *v)
{
	uint64_t n;

	(void)p;
	return size_of(v, &n);
}

static int take_address(struct skf_plan *p, const char *v)
{
	static const char *const forms[] = {"unix:///", "unixgram:///", "udp://", "tcp://"};

	(void)p;
	for (size_t i = 0; i < SKF_ARRAY_LEN(forms); i++)
		if (skf_startswith(v, forms[i]) && strlen(v) < 120 && !strpbrk(v, "\n"))
			return 0;
	return -EINVAL;
}

static int take_facility(struct skf_plan *p, const char *v)
{
	static const char *const names[] = {"kern",     "user",   "mail",   "daemon", "auth",
					    "syslog",   "lpr",    "news",   "uucp",   "cron",
					    "authpriv", "ftp",    "local0", "local1", "local2",
					    "local3",   "local4", "local5", "local6", "local7"};

	(void)p;
	for (size_t i = 0; i < SKF_ARRAY_LEN(names); i++)
		if (skf_streq(v, names[i]))
			return 0;
	return -EINVAL;
}

static int take_rfc(struct skf_plan *p, const char *v)
{
	(void)p;
	return skf_streq(v, "rfc3164") || !*v ? 0 : -EINVAL;
}

static int take_regex(struct skf_plan *p, const char *v)
{
	regex_t re;

	(void)p;
	if (regcomp(&re, v, REG_EXTENDED | REG_NOSUB) != 0)
		return -EINVAL;
	regfree(&re);
	return 0;
}

static int take_compress(struct skf_plan *p, const char *v)
{
	p->conf.log_compress = skf_streq(v, "true");
	return p->conf.log_compress || skf_streq(v, "false") ? 0 : -EINVAL;
}

#define ALL (FILES | D(JOURNALD) | D(SYSLOG))
static const struct option options[] = {
	{"mode", ALL, take_mode},
	{"max-buffer-size", ALL, take_buffer},
	{"tag", D(JSON_FILE) | D(JOURNALD) | D(SYSLOG), NULL},
	{"env", D(JSON_FILE) | D(JOURNALD), NULL},
	{"env-regex", D(JSON_FILE), take_regex},
	{"labels", D(JSON_FILE), NULL},
	{"labels-regex", D(JSON_FILE), take_regex},
	{"compress", D(JSON_FILE) | D(LOCAL), take_compress},
	{"syslog-address", D(SYSLOG), take_address},
	{"syslog-facility", D(SYSLOG), take_facility},
	{"syslog-format", D(SYSLOG), take_rfc},
	{"max-size", FILES, take_max_size},
	{"max-file", FILES, take_max_file},
};

static int set(struct skf_plan *p, enum driver d, const char *word, struct skf_err *e)
{
	const char *eq = strchr(word, '='), *name = drivers[d];
	size_t n = eq ? (size_t)(eq - word) : strlen(word);
	struct skf_kv *kv;

	for (size_t i = 0; i < SKF_ARRAY_LEN(options); i++) {
		const struct option *o = &options[i];

		if (strlen(o->key) != n || strncmp(o->key, word, n) != 0 || !(o->drivers & D(d)))
			continue;
		if (!eq || (o->take && o->take(p, eq + 1) < 0))
			return skf_fail(e, SKF_EINVALID, "invalid --log-opt '%.100s' for log driver %s",
					word, name);
		kv = &p->conf.log_opts.v[p->conf.log_opts.n++];
		kv->k = skf_arena_strdup(p->a, o->key);
		kv->v = skf_arena_strdup(p->a, eq + 1);
		return kv->k && kv->v ? 0 : skf_plan_no_memory(e);
	}
	return skf_fail(e, SKF_EINVALID, "unknown log opt '%.*s' for %s log driver", (int)n, word, name);
}

int skf_plan_log(struct skf_plan *p, struct skf_err *e)
{
	const struct skf_life_req *q = &p->q->life;
	const char *name = q->log_driver && *q->log_driver ? q->log_driver : "json-file";
	enum driver d = 0;

	while (d < N_DRIVERS && !skf_streq(drivers[d], name))
		d++;
	if (d == N_DRIVERS)
		return skf_fail(e, SKF_EINVALID,
				"logger: no log driver named '%.60s' is registered: there are json-file, "
				"k8s-file, local, journald, syslog and none",
				name);
	p->conf.log_driver = skf_arena_strdup(p->a, name);
	p->conf.log_compress = d == LOCAL;
	p->conf.log_max_size = d == LOCAL ? LOCAL_MAX_SIZE : 0;
	p->conf.log_max_file = d == LOCAL ? LOCAL_MAX_FILE : 1;
	p->conf.log_opts.v = skf_arena_array(p->a, q->log_opts.n + 1, sizeof(*p->conf.log_opts.v));
	if (!p->conf.log_driver || !p->conf.log_opts.v)
		return skf_plan_no_memory(e);
	for (size_t i = 0; i < q->log_opts.n; i++)
		if (set(p, d, q->log_opts.v[i], e) < 0)
			return -1;
	if (!p->conf.log_compress || (p->conf.log_max_size && p->conf.log_max_file > 1))
		return 0;
	if (d != LOCAL)
		return skf_fail(
			e, SKF_EINVALID,
			"compress cannot be true when max-file is less than 2 or max-size is not set");
	p->conf.log_compress = false; /* nothing is rotated */
	return 0;
}
