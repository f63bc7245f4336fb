/* cli/cmd_image_copy.c -- skiff image copy: skopeo copy's command line over the engine's copy. */
#include "cli/cli_int.h"
#include "base/fd.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

struct word {
	const char *word;
	uint32_t value;
};
/* Index into the engine's numbers; words that skopeo, podman and docker use. */
static const struct word families[] = {{"oci", 1}, {"docker", 2}, {"v2s2", 2}};
static const struct word formats[] = {{"gzip", 1}, {"zstd", 2}, {"zstd:chunked", 3}};

static int look_up(struct skf_cli *c, const char *flag, const char *word, const struct word *v, size_t n,
		   uint32_t *ret)
{
	if (!word)
		return 0;
	for (size_t i = 0; i < n; i++)
		if (skf_streq(v[i].word, word)) {
			*ret = v[i].value;
			return 0;
		}
	return skf_fail(&c->e, SKF_EINVALID, "invalid argument \"%s\" for \"--%s\": expected %s or %s", word,
			flag, v[0].word, v[1].word);
}

int skf_cli_family(struct skf_cli *c, uint32_t *ret)
{
	return look_up(c, "format", c->o.format, families, SKF_ARRAY_LEN(families), ret);
}

bool skf_cli_squeeze(struct skf_cli *c, const char *format, const char *format_flag, int64_t level,
		     const char *level_flag, struct skf_copy_req *q)
{
	q->level = (int)level;
	if (level < -1 || level > 22) {
		skf_fail(&c->e, SKF_EINVALID, "invalid argument \"%lld\" for \"--%s\": expected 0 to 22",
			 (long long)level, level_flag);
		return false;
	}
	if (look_up(c, format_flag, format, formats, SKF_ARRAY_LEN(formats), &q->squeeze) < 0)
		return false;
	if (!q->squeeze && level >= 0)
		q->squeeze = 1;
	return true;
}

static int which(struct skf_cli *c, struct skf_copy_req *q)
{
	const char *w = c->o.multi_arch;

	q->all = c->o.all;
	if (w && c->o.all)
		return skf_fail(&c->e, SKF_EINVALID, "--all and --multi-arch are mutually exclusive");
	if (w && !skf_streq(w, "all") && !skf_streq(w, "system") && !skf_streq(w, "index-only"))
		return skf_fail(
			&c->e, SKF_EINVALID,
			"invalid argument \"%s\" for \"--multi-arch\": expected system, all or index-only",
			w);
	q->all |= w && skf_streq(w, "all");
	q->index_only = w && skf_streq(w, "index-only");
	if (c->o.platform && (q->all || q->index_only))
		return skf_fail(&c->e, SKF_EINVALID,
				"--platform chooses one of the platforms, --all copies all of them");
	return 0;
}

static int wish(struct skf_cli *c, struct skf_copy_req *q)
{
	q->platform = c->o.platform;
	q->preserve = c->o.preserve_digests;
	q->tags = c->o.additional_tag;
	if (c->o.dest_decompress && (c->o.dest_compress || c->o.compress_format))
		return skf_fail(&c->e, SKF_EINVALID,
				"--dest-compress and --dest-decompress are mutually exclusive");
	if (skf_cli_family(c, &q->as) < 0 ||
	    !skf_cli_squeeze(c, c->o.compress_format, "dest-compress-format", c->o.compress_level,
			     "dest-compress-level", q))
		return -1;
	if (!q->squeeze && c->o.dest_compress)
		q->squeeze = 1;
	if (c->o.dest_decompress)
		q->squeeze = 4;
	return which(c, q);
}

int skf_cli_write_digest(struct skf_cli *c, const struct skf_digest *d)
{
	SKF_AUTO_FD int fd = -EBADF;
	int r;

	if (!c->o.digestfile)
		return 0;
	fd = skf_openat(AT_FDCWD, c->o.digestfile, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	r = fd < 0 ? fd : skf_write_full(fd, d->s, strlen(d->s));
	return r < 0 ? skf_fail_sys(&c->e, r, "write the digest to '%s'", c->o.digestfile) : 0;
}

int skf_cmd_image_copy(struct skf_cli *c)
{
	SKF_AUTO(skf_cli_place_done)
	struct skf_cli_place src = {.fd = -EBADF, .o.fd = -EBADF}, dest = {.fd = -EBADF, .o.fd = -EBADF};
	struct skf_copy_req q = SKF_REQ(struct skf_copy_req);
	struct skf_cli_progress p;
	struct skf_digest d;
	int r;

	if (wish(c, &q) < 0 || skf_cli_engine(c) < 0 ||
	    skf_cli_place_open(c, c->args.v[0], false, &src) < 0 ||
	    skf_cli_place_open(c, c->args.v[1], true, &dest) < 0)
		return skf_cli_fail(c, 1);
	q.src = src.p;
	q.dest = dest.p;
	skf_cli_progress_init(&p, stdout, c->o.quiet);
	r = skf_engine_copy(c->g, &q, &p.p, &d, &c->e);
	skf_cli_progress_done(&p);
	if (r < 0 || skf_cli_place_close(c, &dest) < 0 || skf_cli_write_digest(c, &d) < 0)
		return skf_cli_fail(c, 1);
	return 0;
}
