/* store/unpack_tar.c -- the tar thread: libarchive reads the format from the ring, unpack_entry.c places the
 * entries.
 *
 * libarchive is used without filters, other formats and locale. The thread runs in the "C" locale, whatever
 * the program chose: there libarchive fails to convert any name of a pax header that is not ASCII, says so
 * in a warning and hands the bytes over as they are, which is what a layer needs (a UTF-8 locale would
 * normalise them). That warning is expected; every other one is an error. Blocks on the ring and the disk.
 * */
#include "store/unpack_int.h"
#include <archive.h>
#include <archive_entry.h>
#include <locale.h>
#include <string.h>

struct reader {
	struct skf_tar_job *j;
	const uint8_t *block;
	size_t n;
	bool peeked, gone; /* gone: the producer gave up */
};

static ssize_t next_block(struct archive *ar, void *arg, const void **ret)
{
	struct reader *r = arg;
	struct skf_tar_job *j = r->j;

	if (r->peeked) {
		r->peeked = false;
	} else {
		int got = skf_ring_get(j->ring, SKF_RING_TAR, &r->block, &r->n);

		if (got <= 0) {
			r->gone = got < 0;
			return got;
		}
		j->got += r->n;
	}
	if (j->in_header && j->got - j->header_at > (uint64_t)j->tree->lim.header + SKF_UNPACK_BLOCK) {
		skf_fail(&j->err, SKF_ELIMIT, "the header of entry %llu of the layer has more than %u bytes",
			 (unsigned long long)j->tree->entries + 1, j->tree->lim.header);
		archive_set_error(ar, EFBIG, "header too large");
		return -1;
	}
	*ret = r->block;
	return (ssize_t)r->n;
}

/* See the top: names that are not ASCII, of files, links, users and groups; and ACLs in text form, which are
 * not used. */
static bool expected_warning(struct archive *ar)
{
	const char *s = archive_error_string(ar);

	return s && (strstr(s, "can't be converted") || strstr(s, "SCHILY.acl."));
}

static int tar_fail(struct archive *ar, struct skf_tar_job *j)
{
	const char *s = archive_error_string(ar);

	if (j->err.kind != SKF_OK)
		return -1;
	if (archive_errno(ar) == ENOMEM)
		return skf_fail(&j->err, SKF_ENOMEM, "no memory to read the tar of the layer");
	return skf_fail(&j->err, SKF_ECORRUPT, "tar of the layer, after %llu entries: %s",
			(unsigned long long)j->tree->entries, s ? s : "damaged");
}

static int one_entry(struct archive *ar, struct archive_entry *ae, struct skf_tar_job *j)
{
	int r;

	j->header_at = j->got;
	j->in_header = true;
	r = archive_read_next_header2(ar, ae);
	j->in_header = false;
	if (r == ARCHIVE_EOF)
		return 0;
	if (r != ARCHIVE_OK && !(r == ARCHIVE_WARN && expected_warning(ar)))
		return tar_fail(ar, j);
	if (skf_tree_place(j->tree, ar, ae, &j->err) < 0)
		return -1;
	/* Data that nobody asked for (of a hard link, a skipped name): not part of the next header's limit.
	 * */
	if (archive_read_data_skip(ar) != ARCHIVE_OK)
		return tar_fail(ar, j);
	return 1;
}

static int read_all(struct archive *ar, struct archive_entry *ae, struct reader *r)
{
	struct skf_tar_job *j = r->j;
	int more;

	if (!ar || !ae || archive_read_support_format_tar(ar) != ARCHIVE_OK)
		return skf_fail(&j->err, SKF_ENOMEM, "no memory to read the tar of the layer");
	if (archive_read_open(ar, r, NULL, next_block, NULL) != ARCHIVE_OK)
		return tar_fail(ar, j);
	do
		more = one_entry(ar, ae, j);
	while (more > 0);
	if (more < 0)
		return -1;
	/* What follows the end of the archive is hashed by the other thread and means nothing here, as with
	 * docker. */
	while ((more = skf_ring_get(j->ring, SKF_RING_TAR, &r->block, &r->n)) > 0)
		;
	r->gone = more < 0;
	return more;
}

static void run(struct reader *r)
{
	struct archive *ar = archive_read_new();
	struct archive_entry *ae = archive_entry_new();

	if (read_all(ar, ae, r) < 0 && r->gone)
		skf_fail(&r->j->err, SKF_ECORRUPT, "the layer's data ended early");
	archive_entry_free(ae);
	archive_read_free(ar);
}

void *skf_tar_thread(void *job)
{
	struct skf_tar_job *j = job;
	struct reader r = {.j = j};
	locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
	int got;

	if (c == (locale_t)0) {
		skf_fail(&j->err, SKF_ENOMEM, "no memory for the C locale");
	} else {
		uselocale(c);
		/* An empty stream is an empty layer for docker, but no format that libarchive knows. */
		got = skf_ring_get(j->ring, SKF_RING_TAR, &r.block, &r.n);
		if (got > 0) {
			j->got = r.n;
			r.peeked = true;
			run(&r);
		} else if (got < 0) {
			skf_fail(&j->err, SKF_ECORRUPT, "the layer's data ended early");
		}
		uselocale(LC_GLOBAL_LOCALE);
		freelocale(c);
	}
	if (j->err.kind != SKF_OK)
		skf_ring_stop(j->ring);
	return NULL;
}
