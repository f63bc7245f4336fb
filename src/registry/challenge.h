/* registry/challenge.h -- WWW-Authenticate parsing (RFC 7235 + distribution token spec). Pure, bounded,
 * fuzzed. */
#pragma once
#include "base/fwd.h"
struct skf_challenge {
	bool basic, bearer;
	char realm[2048], service[512], scope[1024], error[128];
};
/* Adds what one header value says to *c. INVALID for a broken value. */
int skf_challenge_parse(const char *value, size_t n, struct skf_challenge *c, struct skf_err *e);
