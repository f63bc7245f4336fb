/* engine/remote.c -- what is in a registry, asked through skiff-image. Blocks on the network. */
#include "engine/archive_int.h"
#include <string.h>

/* "HOST/WORD" or "WORD" into a reference of that registry and the argument of the request. */
static int search(const struct skf_remote_req *q, struct skf_ref *ref, char *argument, size_t size,
		  struct skf_err *e)
{
	const char *word = q->reference, *slash = strchr(word, '/');
	size_t n = slash ? (size_t)(slash - word) : 0;
	char name[SKF_MAX_REPO_BYTES + 8];

	if (n && !memchr(word, '.', n) && !memchr(word, ':', n) &&
	    !(n == 9 && !memcmp(word, "localhost", 9)))
		n = 0;
	if (n >= SKF_MAX_REPO_BYTES ||
	    skf_fmt(name, sizeof(name), "%.*s%sx", (int)n, word, n ? "/" : "") < 0 ||
	    skf_fmt(argument, size, "%s\n%s", q->argument ? q->argument : "25", n ? slash + 1 : word) < 0)
		return skf_fail(e, SKF_EINVALID, "'%.100s' is too long to search for", word);
	return skf_ref_parse(name, ref, e);
}

int skf_engine_remote(struct skf_engine *g, const struct skf_remote_req *q, struct skf_buf *ret,
		      struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	char full[SKF_MAX_REF_BYTES + 1], argument[SKF_MAX_REF_BYTES + 32];
	struct skf_ref ref;
	struct skf_rec r;

	if (q->what == SKF_REMOTE_SEARCH ? search(q, &ref, argument, sizeof(argument), e) < 0
					 : skf_ref_parse(q->reference, &ref, e) < 0)
		return -1;
	skf_ref_full(&ref, full);
	skf_rec_begin(&r, &b, SKF_IMG_REMOTE, SKF_IMG_VERSION);
	skf_rec_u32(&r, (uint32_t)q->what);
	skf_rec_str(&r, full);
	skf_rec_str(&r, q->what == SKF_REMOTE_SEARCH ? argument : q->argument);
	skf_rec_str(&r, q->platform);
	skf_worker_put_how(&r, &q->how);
	skf_rec_end(&r);
	return skf_worker_text(g, &b, q->h.cancel_fd, ret, e);
}

int skf_engine_yaml(struct skf_engine *g, int fd, struct skf_buf *ret, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	struct skf_rec r;

	skf_rec_begin(&r, &b, SKF_IMG_YAML, SKF_IMG_VERSION);
	skf_rec_end(&r);
	return skf_archive_call(g, &b, fd, -1, ret, NULL, e);
}
