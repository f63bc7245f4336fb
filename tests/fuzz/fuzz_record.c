/* fuzz_record.c -- the record decoder on any bytes. The first byte of the input chooses the order in which
 * fields are read. Every view must lie inside the record, every string must end inside it. */
#include "base/err.h"
#include "base/record.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void inside(const char *rec, size_t n, const char *p, size_t len)
{
	if (len > 0 && (p < rec || len > n || p > rec + n - len))
		abort();
}

static void read_field(struct skf_recr *r, unsigned how, const char *rec, size_t n)
{
	struct skf_err e = SKF_ERR_INIT;
	struct skf_str s;
	const char *str;

	switch (how % 5) {
	case 0:
		skf_recr_u32(r);
		break;
	case 1:
		skf_recr_u64(r);
		break;
	case 2:
		str = skf_recr_str(r);
		inside(rec, n, str, strlen(str));
		break;
	case 3:
		s = skf_recr_bytes(r);
		inside(rec, n, s.p, s.n);
		break;
	default:
		skf_recr_err(r, &e);
		if (e.kind >= SKF_KIND_MAX || !memchr(e.msg, 0, sizeof(e.msg)))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct skf_recr r;
	uint32_t size = (uint32_t)(n - 1);
	unsigned how;
	char *rec;

	if (n < 9)
		return 0;
	how = data[0];
	rec = malloc(n - 1); /* exact, so that the sanitizer sees every byte beyond */
	if (!rec)
		return 0;
	memcpy(rec, data + 1, n - 1);
	if (how & 0x80) /* else the size field is mostly wrong and nothing else is reached */
		memcpy(rec, &size, sizeof(size));
	if (skf_recr_init(&r, rec, n - 1) == 0) {
		while (skf_recr_more(&r)) {
			read_field(&r, how, rec, n - 1);
			how = how * 5 + 3;
		}
		if (!r.bad && r.p != r.end)
			abort();
		read_field(&r, 4, rec, n - 1);
	}
	free(rec);
	return 0;
}
