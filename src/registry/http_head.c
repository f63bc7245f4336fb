/* registry/http_head.c -- the headers of an answer, taken line by line into struct skf_http_resp; the values
 * are read by headers.c and challenge.c. Bytes that a registry chose: all of one request's together are
 * bounded, a value that does not fit is cut or no value. Does not block. */
#include "registry/registry_int.h"
#include <string.h>
#include <strings.h>

static bool header_is(struct skf_str line, const char *name, struct skf_str *value)
{
	size_t n = strlen(name);
	if (line.n <= n || strncasecmp(line.p, name, n) != 0 || line.p[n] != ':')
		return false;
	const char *p = line.p + n + 1, *end = line.p + line.n;
	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	while (end > p && (end[-1] == '\r' || end[-1] == '\n' || end[-1] == ' '))
		end--;
	*value = (struct skf_str){p, (size_t)(end - p)};
	return true;
}

/* A value that does not fit is cut: a cut Content-Type matches no type. */
static void keep(struct skf_str v, char *dst, size_t size)
{
	size_t n = v.n < size ? v.n : size - 1;

	memcpy(dst, v.p, n);
	dst[n] = 0;
}

static int retry_after(struct skf_str v)
{
	char s[16];
	uint32_t sec;
	if (v.n >= sizeof(s))
		return -1;
	memcpy(s, v.p, v.n);
	s[v.n] = 0;
	if (skf_parse_u32(s, &sec) < 0) /* the date form: the default back-off serves */
		return -1;
	return sec > SKF_MAX_RETRY_AFTER_MS / 1000 ? SKF_MAX_RETRY_AFTER_MS : (int)(sec * 1000);
}

static void keep_number(struct skf_str v, bool *has, uint64_t *ret)
{
	char s[24];
	keep(v, s, sizeof(s));
	*has = skf_parse_u64(s, ret) == 0;
}

/* Headers that only say something about the object; true when it was one. */
static bool object_header(struct skf_http_resp *r, struct skf_str line)
{
	struct skf_str v;
	bool has;
	if (header_is(line, "Docker-Content-Digest", &v)) {
		keep(v, r->digest, sizeof(r->digest));
	} else if (header_is(line, "OCI-Subject", &v)) {
		keep(v, r->subject, sizeof(r->subject));
	} else if (header_is(line, "OCI-Tag", &v)) {
		size_t n = strlen(r->tags); /* what does not fit gets a PUT of its own */
		if (n + v.n + 2 < sizeof(r->tags)) {
			r->tags[n] = ',';
			keep(v, r->tags + n + 1, sizeof(r->tags) - n - 1);
		}
	} else if (header_is(line, "Content-Length", &v)) {
		keep_number(v, &r->has_length, &r->length);
	} else if (header_is(line, "OCI-Chunk-Min-Length", &v)) {
		keep_number(v, &has, &r->chunk_min);
	} else if (header_is(line, "Link", &v)) {
		if (!r->link[0] && skf_http_link_next(v.p, v.n, r->link, sizeof(r->link)) != 1)
			r->link[0] = 0;
	} else if (header_is(line, "Range", &v)) {
		r->has_uploaded = skf_http_parse_uploaded(v.p, v.n, &r->uploaded);
	} else if (header_is(line, "Warning", &v)) {
		char text[256];
		if (r->r && r->from_origin && skf_http_parse_warning(v.p, v.n, text, sizeof(text)))
			skf_http_warn(r->r, text);
	} else {
		return false;
	}
	return true;
}

size_t skf_http_on_header(char *p, size_t size, size_t n, void *user)
{
	struct skf_http_resp *r = user;
	struct skf_str line = {p, size * n}, v;
	r->header_bytes += line.n;
	if (r->header_bytes > SKF_MAX_HTTP_HEADER)
		return 0;
	if (line.n > 5 &&
	    memcmp(p, "HTTP/", 5) == 0) { /* a new response (100 Continue, proxy): forget the old headers */
		memset(&r->challenge, 0, sizeof(r->challenge));
		r->content_type[0] = r->location[0] = r->link[0] = r->digest[0] = r->subject[0] =
			r->tags[0] = 0;
		r->has_range = r->has_length = r->has_uploaded = false;
		r->chunk_min = 0;
		r->retry_after_ms = -1;
		skf_err_clear(&r->hdr_err);
	} else if (header_is(line, "WWW-Authenticate", &v)) {
		if (skf_challenge_parse(v.p, v.n, &r->challenge, &r->hdr_err) < 0)
			memset(&r->challenge, 0, sizeof(r->challenge));
	} else if (header_is(line, "Content-Type", &v)) {
		keep(v, r->content_type, sizeof(r->content_type));
	} else if (header_is(line, "Location", &v)) {
		if (v.n < sizeof(r->location))
			keep(v, r->location, sizeof(r->location));
	} else if (header_is(line, "Content-Range", &v)) {
		r->has_range = skf_http_parse_content_range(v.p, v.n, &r->range_start);
	} else if (header_is(line, "Retry-After", &v)) {
		r->retry_after_ms = retry_after(v);
	} else if (!object_header(r, line)) {
		return line.n;
	}
	return line.n;
}
