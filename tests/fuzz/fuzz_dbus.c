/* fuzz_dbus.c -- a D-Bus message and an address list of unknown origin: nothing is read outside of them, and
 * what decodes encodes to a message that decodes to the same. */
#include "sys/dbus.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static bool same(const char *a, const char *b)
{
	return (!a && !b) || (a && b && !strcmp(a, b)) || ((a ? a : b)[0] == '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct skf_buf out = SKF_BUF(1 << 20);
	struct skf_dbus_msg m, again;
	char text[128];

	if (skf_dbus_decode(p, n, &m) == 0) {
		struct skf_dbus_reader r = skf_dbus_read(&m);

		for (const char *s = m.signature; *s && !r.err; s++) {
			if (*s == 'u')
				(void)skf_dbus_get_u32(&r);
			else if (*s == 'g' || *s == 'v')
				(void)strlen(skf_dbus_get_sig(&r));
			else
				(void)strlen(skf_dbus_get_str(&r));
		}
		if (skf_dbus_encode(&m, &out) == 0 &&
		    (skf_dbus_decode(out.p, out.len, &again) < 0 || !same(again.member, m.member) ||
		     again.body_len != m.body_len))
			abort();
	}
	if (n < sizeof(text)) {
		char list[sizeof(text)];

		memcpy(list, p, n);
		list[n] = '\0';
		(void)skf_dbus_address(list, text, sizeof(text) / 2);
	}
	skf_buf_done(&out);
	return 0;
}
