/* engine/logline.h -- one line of docker's json-file log. Pure, fuzzed: the text came out of a container. */
#pragma once
#include "base/fwd.h"

struct skf_logline {
	int stream;        /* 1 stdout, 2 stderr */
	int64_t time_ns;   /* 0 when absent */
	const char *attrs; /* within the line: the object "attrs" as it is written there; NULL */
	size_t n_attrs;
};
/* p[0..n) is one line without its newline, {"log":"...","stream":"stdout","time":"..."}. The unescaped text
 * is appended to `text` (NUL bytes included). 0, or -EBADMSG. Unknown members are skipped. */
/* The same of a line of k8s-file: "<RFC 3339> stdout F text"; of a piece (P) the text goes on in the next
 * line. */
int skf_logline_parse_k8s(const char *p, size_t n, struct skf_logline *ret, struct skf_buf *text);
int skf_logline_parse(const char *p, size_t n, struct skf_logline *ret, struct skf_buf *text);

/* Appends "k=v,k=v " of an object of strings; " " of none (attrs NULL). */
void skf_log_details(const char *attrs, size_t n, struct skf_buf *b);
