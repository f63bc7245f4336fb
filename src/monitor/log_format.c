/* monitor/log_format.c -- entries of the log drivers that write files. Pure.
 *     json-file: {"log":"line\n","stream":"stdout","time":"<RFC 3339 with nanoseconds>"} per line, docker's,
 *                with "attrs":{...} before the time when --log-opt asks for it
 *     k8s-file:  <RFC 3339 with nanoseconds> stdout F line, Kubernetes' and podman's; P instead of F: the
 * line goes on in the next entry */
#include "monitor/monitor_int.h"
#include "base/json.h"

static void json(struct skf_buf *b, unsigned stream, const char *p, const struct skf_mon_cut *c,
		 int64_t time_ns, const char *attrs)
{
	char t[36];

	skf_time_rfc3339(time_ns, t);
	skf_buf_str(b, "{\"log\":\"");
	skf_json_escape(b, p, c->len);
	skf_buf_str(b, c->newline ? "\\n\",\"stream\":\"" : "\",\"stream\":\"");
	skf_buf_str(b, stream == SKF_MON_STDERR ? "stderr\"," : "stdout\",");
	skf_buf_str(b, attrs);
	skf_buf_str(b, "\"time\":\"");
	skf_buf_str(b, t);
	skf_buf_str(b, "\"}\n");
}

static void k8s(struct skf_buf *b, unsigned stream, const char *p, const struct skf_mon_cut *c,
		int64_t time_ns, const char *attrs)
{
	char t[36];

	(void)attrs;
	skf_time_rfc3339(time_ns, t);
	skf_buf_str(b, t);
	skf_buf_str(b, stream == SKF_MON_STDERR ? " stderr " : " stdout ");
	skf_buf_str(b, c->newline ? "F " : "P ");
	skf_buf_put(b, p, c->len);
	skf_buf_chr(b, '\n');
}

const struct skf_mon_logdrv skf_mon_log_json = {.suffix = "-json.log", .format = json};
const struct skf_mon_logdrv skf_mon_log_k8s = {.suffix = ".log", .format = k8s};
