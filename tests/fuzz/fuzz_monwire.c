/* fuzz_monwire.c -- what monitor and engine read from each other and from the summaries, on any bytes:
 * requests of the control socket, the handover record, a summary line. What decodes must encode to something
 * that decodes to the same. */
#include "base/buf.h"
#include "base/record.h"
#include "monitor/summary.h"
#include "monitor/wire.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void fuzz_request(char *rec, size_t n)
{
	struct skf_mon_request q;
	struct skf_recr r;

	if (skf_recr_init(&r, rec, n) < 0 || skf_mon_request_read(&r, &q) < 0)
		return;
	if (q.container < rec || q.container + strlen(q.container) >= rec + n)
		abort();
}

static void fuzz_handover(const char *rec, size_t n)
{
	static struct skf_mon_handover a, b;
	struct skf_buf buf = SKF_BUF(2 * SKF_MON_HANDOVER_MAX);

	if (skf_mon_handover_read(rec, n, &a) < 0)
		return;
	skf_mon_handover_write(&a, &buf);
	if (buf.err || skf_mon_handover_read(buf.p, buf.len, &b) < 0 ||
	    memcmp(&a.cg, &b.cg, sizeof(a.cg)) != 0 || a.log_fd != b.log_fd)
		abort();
	skf_buf_done(&buf);
}

static void fuzz_summary(const char *line)
{
	static struct skf_summary a, b;
	char out[SKF_MAX_SUMMARY_BYTES + 1];

	if (skf_summary_decode(line, &a) < 0)
		return;
	if (skf_summary_encode(&a, out) < 0 || skf_summary_decode(out, &b) < 0 ||
	    memcmp(&a, &b, sizeof(a)) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	uint32_t size = (uint32_t)(n - 1);
	char *copy;

	if (n < 9)
		return 0;
	copy = malloc(n); /* exact, so that the sanitizer sees every byte beyond */
	if (!copy)
		return 0;
	memcpy(copy, data + 1, n - 1);
	copy[n - 1] = 0;
	if (data[0] % 3 == 0) {
		fuzz_summary(copy);
	} else {
		char *rec = malloc(n - 1);

		if (rec) {
			memcpy(rec, copy, n - 1);
			if (data[0] &
			    0x80) /* else the size field is mostly wrong and nothing else is reached */
				memcpy(rec, &size, sizeof(size));
			if (data[0] % 3 == 1)
				fuzz_request(rec, n - 1);
			else
				fuzz_handover(rec, n - 1);
		}
		free(rec);
	}
	free(copy);
	return 0;
}
