/* registry/http_fail.c -- what a failed transfer means: whether it is worth another go and after how long,
 * and the sentence for the user. Only the pause blocks, and it ends when the user cancels. */
#include "registry/registry_int.h"
#include <poll.h>

bool skf_http_transient(const struct skf_registry *r, CURLcode rc)
{
	switch (rc) {
	case CURLE_COULDNT_CONNECT: /* nobody listens on this host: waiting will not start a registry */
		return !r->loopback;
	case CURLE_OPERATION_TIMEDOUT:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
	case CURLE_GOT_NOTHING:
	case CURLE_PARTIAL_FILE:
	case CURLE_HTTP2:
	case CURLE_HTTP2_STREAM:
	case CURLE_COULDNT_RESOLVE_HOST:
		return true;
	default:
		return false;
	}
}

int skf_http_fail_curl(const struct skf_registry *r, CURLcode rc, const char *detail, const char *url,
		       struct skf_err *e)
{
	const char *why = detail && *detail ? detail : curl_easy_strerror(rc);
	switch (rc) {
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
		return skf_fail(e, SKF_EDENIED,
				"registry '%s': the TLS certificate is not trusted: %s; put its CA into "
				"certs.d/%s/ca.crt or use --tls-verify=false",
				r->host, why, r->host);
	case CURLE_OPERATION_TIMEDOUT:
		return skf_fail(e, SKF_ETIMEOUT, "registry '%s': no answer in time for %s: %s", r->host, url,
				why);
	case CURLE_ABORTED_BY_CALLBACK:
		return skf_fail(e, SKF_EUNAVAILABLE, "cancelled");
	case CURLE_OUT_OF_MEMORY:
		return skf_fail(e, SKF_ENOMEM, "registry '%s'", r->host);
	default:
		return skf_fail(e, SKF_EUNAVAILABLE, "registry '%s' cannot be reached (%s): %s", r->host,
				url, why);
	}
}

int skf_http_fail_headers(const struct skf_registry *r, const char *url, struct skf_err *e)
{
	return skf_fail(e, SKF_ELIMIT,
			"registry '%s': the headers of the answer to %s are larger than %d bytes", r->host,
			url, SKF_MAX_HTTP_HEADER);
}

int skf_http_backoff_ms(const struct skf_registry *r, int attempt)
{
	if (r->retry_ms)
		return r->retry_ms;
	uint16_t jitter = 0;
	char hex[5] = "";
	if (skf_random_hex(hex, 2) == 0)
		for (int i = 0; i < 4; i++)
			jitter =
				(uint16_t)(jitter << 4 | (hex[i] <= '9' ? hex[i] - '0' : hex[i] - 'a' + 10));
	int base = 200 << (attempt > 5 ? 5 : attempt);
	return base / 2 + jitter % (base / 2 + 1);
}

int skf_http_pause(const struct skf_registry *r, int ms, struct skf_err *e)
{
	struct pollfd p = {r->cancel_fd, POLLIN, 0};
	if (poll(&p, r->cancel_fd >= 0 ? 1 : 0, ms) > 0)
		return skf_fail(e, SKF_EUNAVAILABLE, "cancelled");
	return 0;
}

bool skf_http_status_transient(long s)
{
	return s == 429 || s == 408 || s == 500 || s == 502 || s == 503 || s == 504;
}
