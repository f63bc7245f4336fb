/* launch/logging.c -- opens the log of a container and prepares what its monitor needs to know of the
 * driver, so that the monitor parses nothing: files get their descriptor; journald and syslog get lines, the
 * first of which is the address. Labels and environment variables are in them by name
 * (--log-opt labels, env), the tag by docker's {{.ID}}, {{.FullID}}, {{.Name}}, {{.ImageName}}. */
#include "launch/launch_int.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "oci/spec.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define JOURNAL         "unix:///run/systemd/journal/socket"
#define SYSLOG          "unixgram:///dev/log"
#define DEFAULT_BUFFER  (1u << 20) /* docker's max-buffer-size */
#define FACILITY_DAEMON 3

static int driver_of(const char *name)
{
	static const char *const names[] = {[SKF_LOGD_NONE] = "none",
					    [SKF_LOGD_JSON_FILE] = "json-file",
					    [SKF_LOGD_K8S_FILE] = "k8s-file",
					    [SKF_LOGD_JOURNALD] = "journald",
					    [SKF_LOGD_SYSLOG] = "syslog"};

	if (strcmp(name, "local") ==
	    0) /* docker's word for files that nobody else reads: engine/plan_log.c */
		return SKF_LOGD_JSON_FILE;
	for (size_t i = 0; i < SKF_ARRAY_LEN(names); i++)
		if (strcmp(names[i], name) == 0)
			return (int)i;
	return -EINVAL;
}

int skf_launch_open_log(struct skf_launch *l, struct skf_err *e)
{
	char name[SKF_ID_LEN + 20];
	int r = driver_of(l->conf->log_driver);
	bool json = r == SKF_LOGD_JSON_FILE;

	if (r < 0)
		return skf_fail(
			e, SKF_EUNSUPPORTED,
			"container '%s' asks for log driver '%.60s', which this version does not have",
			l->q.id, l->conf->log_driver);
	l->log_driver = (uint32_t)r;
	if (!json && r != SKF_LOGD_K8S_FILE)
		return 0;
	r = skf_mkdir_at(l->disk_dir, "log", 0700);
	snprintf(name, sizeof(name), json ? "log/%s-json.log" : "log/%s.log", l->q.id);
	if (r == 0)
		r = l->log_fd =
			skf_openat(l->disk_dir, name, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, 0640);
	return r < 0 ? skf_fail_sys(e, r, "open the log of container '%s'", l->q.id) : 0;
}

static const char *option(const struct skf_launch *l, const char *key)
{
	return skf_kvs_get(&l->conf->log_opts, key);
}

/* docker's tag: a template of four words. */
static void tag(const struct skf_launch *l, char *out, size_t size)
{
	const struct {
		const char *word, *value;
		int max;
	} words[] = {{"{{.ID}}", l->q.id, 12},
		     {"{{.FullID}}", l->q.id, 64},
		     {"{{.Name}}", l->conf->name, 128},
		     {"{{.ImageName}}", l->conf->image, 512}};
	const char *p = option(l, "tag");
	size_t n = 0;

	for (p = p && *p ? p : "{{.ID}}"; *p && n + 1 < size;) {
		size_t i = 0;

		while (i < SKF_ARRAY_LEN(words) && strncmp(p, words[i].word, strlen(words[i].word)) != 0)
			i++;
		if (i == SKF_ARRAY_LEN(words)) {
			out[n++] = (unsigned char)*p < 0x20 ? '_' : *p;
			p++;
			continue;
		}
		n += (size_t)snprintf(out + n, size - n, "%.*s", words[i].max, words[i].value);
		n = n < size ? n : size - 1;
		p += strlen(words[i].word);
	}
	out[n] = '\0';
}

/* FIELD=value; a value with a newline has no place in this form. */
static void field(struct skf_buf *b, const char *key, const char *value)
{
	if (strchr(value, '\n'))
		return;
	for (const char *p = key; *p; p++) /* a name of the journal: capital letters, digits, underscores */
		skf_buf_chr(b, *p >= 'a' && *p <= 'z'                                 ? (char)(*p - 32)
			       : (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ? *p
										      : '_');
	skf_buf_chr(b, '=');
	skf_buf_str(b, value);
	skf_buf_chr(b, '\n');
}

/* The variables that --log-opt env names, as the process has them. */
static void environment(const struct skf_launch *l, struct skf_buf *b)
{
	const char *list = option(l, "env");
	char key[128];

	for (size_t i = 0; list && i < l->process->env.n; i++) {
		const char *v = l->process->env.v[i], *eq = strchr(v, '=');

		if (eq && skf_fmt(key, sizeof(key), "%.*s", (int)(eq - v), v) == 0 &&
		    skf_launch_listed(list, key))
			field(b, key, eq + 1);
	}
}

static void journald(const struct skf_launch *l, struct skf_buf *b)
{
	char text[160], id[13];

	snprintf(id, sizeof(id), "%s", l->q.id);
	tag(l, text, sizeof(text));
	skf_buf_str(b, JOURNAL "\n");
	field(b, "CONTAINER_ID", id);
	field(b, "CONTAINER_ID_FULL", l->q.id);
	field(b, "CONTAINER_NAME", l->conf->name);
	field(b, "CONTAINER_TAG", text);
	field(b, "IMAGE_NAME", l->conf->image);
	field(b, "SYSLOG_IDENTIFIER", text);
	environment(l, b);
}

static void syslog_(const struct skf_launch *l, struct skf_buf *b)
{
	static const char *const names[] = {"kern",   "user",   "mail",   "daemon", "auth",     "syslog",
					    "lpr",    "news",   "uucp",   "cron",   "authpriv", "ftp",
					    "",       "",       "",       "",       "local0",   "local1",
					    "local2", "local3", "local4", "local5", "local6",   "local7"};
	const char *address = option(l, "syslog-address"), *facility = option(l, "syslog-facility");
	unsigned f = FACILITY_DAEMON;
	char text[160];

	for (unsigned i = 0; facility && i < SKF_ARRAY_LEN(names); i++)
		if (*names[i] && strcmp(names[i], facility) == 0)
			f = i;
	tag(l, text, sizeof(text));
	skf_buf_fmt(b, "%s\n%u\n%s\n", address && *address ? address : SYSLOG, f, text);
}

static int json_attrs(const struct skf_launch *l, struct skf_buf *b)
{
	const char *asked = option(l, "tag");
	char text[160];

	if (asked)
		tag(l, text, sizeof(text));
	return skf_launch_log_attrs(l, asked ? text : NULL, b);
}

int skf_launch_fill_log(const struct skf_launch *l, struct skf_mon_handover *h, struct skf_err *e)
{
	struct skf_buf b = {.p = h->log_opts, .cap = sizeof(h->log_opts), .max = sizeof(h->log_opts) - 1};
	const char *mode = option(l, "mode"), *size = option(l, "max-buffer-size");
	int64_t n = DEFAULT_BUFFER;

	h->log_driver = l->log_driver;
	h->log_max_size = l->conf->log_max_size;
	h->log_max_file = l->conf->log_max_file;
	h->log_squeeze = l->conf->log_compress;
	h->log_nonblocking = mode && strcmp(mode, "non-blocking") == 0;
	if (size && skf_parse_size(size, &n) < 0)
		n = DEFAULT_BUFFER; /* was checked at create */
	h->log_buffer = (uint64_t)n;
	if (l->log_driver == SKF_LOGD_JOURNALD)
		journald(l, &b);
	else if (l->log_driver == SKF_LOGD_SYSLOG)
		syslog_(l, &b);
	else if (l->log_driver == SKF_LOGD_JSON_FILE && json_attrs(l, &b) < 0)
		return skf_fail(e, SKF_ENOMEM, "out of memory for the log of container '%s'", l->q.id);
	return b.err ? skf_fail(e, SKF_ELIMIT,
				"names, tag and environment for the log of container '%s' are longer than "
				"%zu bytes",
				l->q.id, sizeof(h->log_opts) - 1)
		     : 0;
}
