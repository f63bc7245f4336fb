/* One line of a log, of either form that logs reads: json-file and k8s-file. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "engine/logline.h"
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int (*const parsers[])(const char *, size_t, struct skf_logline *,
				      struct skf_buf *) = {skf_logline_parse, skf_logline_parse_k8s};

	for (size_t i = 0; i < sizeof(parsers) / sizeof(parsers[0]); i++) {
		SKF_AUTO(skf_buf_done) struct skf_buf text = SKF_BUF(1u << 20);
		struct skf_logline l = {0};

		if (parsers[i]((const char *)data, size, &l, &text) == 0 && l.stream != 1 && l.stream != 2)
			abort();
	}
	return 0;
}
