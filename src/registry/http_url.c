/* registry/http_url.c -- where a request may go: origins, redirects, addresses.
 *
 * Invariants: 1. a Location may not leave http(s) and may not go from https to http; 2. two URLs are of one
 * origin only when scheme, host and port are the same (T51); 3. an address that a token realm may not have
 * is known in every form that an address can be written in (T52). Pure, but for the environment's proxies.
 */
#include "registry/registry_int.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static char *url_part(CURLU *u, CURLUPart what)
{
	char *s = NULL;
	return curl_url_get(u, what, &s, CURLU_DEFAULT_PORT) == CURLUE_OK ? s : NULL;
}

bool skf_http_same_origin(const char *url_a, const char *url_b)
{
	static const CURLUPart parts[] = {CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT};
	CURLU *a = curl_url(), *b = curl_url();
	bool same = a && b && curl_url_set(a, CURLUPART_URL, url_a, 0) == CURLUE_OK &&
		    curl_url_set(b, CURLUPART_URL, url_b, 0) == CURLUE_OK;
	for (size_t i = 0; same && i < SKF_ARRAY_LEN(parts); i++) {
		char *x = url_part(a, parts[i]), *y = url_part(b, parts[i]);
		same = x && y && strcasecmp(x, y) == 0;
		curl_free(x);
		curl_free(y);
	}
	curl_url_cleanup(a);
	curl_url_cleanup(b);
	return same;
}

int skf_http_redirect(const char *url, const char *location, char *out, size_t size, struct skf_err *e)
{
	int r = -1;
	char *next = NULL;
	CURLU *u = curl_url();
	if (!u || curl_url_set(u, CURLUPART_URL, url, 0) != CURLUE_OK ||
	    curl_url_set(u, CURLUPART_URL, location, 0) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_URL, &next, 0) != CURLUE_OK)
		skf_fail(e, SKF_EUNAVAILABLE, "'%s' redirects to '%.200s', which is no URL", url, location);
	else if (!skf_startswith(next, "https://") && !skf_startswith(next, "http://"))
		skf_fail(e, SKF_EDENIED, "'%s' redirects to '%.200s': only http and https are followed", url,
			 next);
	else if (skf_startswith(url, "https://") && !skf_startswith(next, "https://"))
		skf_fail(e, SKF_EDENIED, "'%s' redirects from https to '%.200s': refused", url, next);
	else if (skf_fmt(out, size, "%s", next) < 0)
		skf_fail(e, SKF_ELIMIT, "'%s' redirects to a URL longer than %zu bytes", url, size);
	else
		r = 0;
	curl_free(next);
	curl_url_cleanup(u);
	return r;
}

/* --- addresses that a token realm may not name (T52): judged on the address that is connected to --- */
static bool v4_forbidden(uint32_t a, bool loopback_ok)
{
	static const struct {
		uint32_t net, mask;
	} never[] = {
		{0xa9fe0000, 0xffff0000}, /* 169.254.0.0/16: link-local, metadata services */
		{0x00000000, 0xff000000}, /* 0.0.0.0/8 */
		{0xe0000000, 0xe0000000}, /* multicast, reserved, broadcast */
		{0x646464c8, 0xffffffff}, /* 100.100.100.200: metadata service */
	};
	if (a >> 24 == 127)
		return !loopback_ok;
	for (size_t i = 0; i < SKF_ARRAY_LEN(never); i++)
		if ((a & never[i].mask) == never[i].net)
			return true;
	return false;
}

static bool v6_forbidden(const struct in6_addr *a, bool loopback_ok)
{
	static const unsigned char nat64[12] = {0x00, 0x64, 0xff, 0x9b},
				   metadata[16] = {0xfd, 0x00, 0x0e, 0xc2, [14] = 0x02, [15] = 0x54};
	uint32_t v4;
	if (IN6_IS_ADDR_LOOPBACK(a))
		return !loopback_ok;
	memcpy(&v4, a->s6_addr + 12, 4);
	if (IN6_IS_ADDR_V4MAPPED(a) || IN6_IS_ADDR_V4COMPAT(a) ||
	    memcmp(a->s6_addr, nat64, sizeof(nat64)) == 0)
		return v4_forbidden(ntohl(v4), loopback_ok);
	return IN6_IS_ADDR_LINKLOCAL(a) || IN6_IS_ADDR_UNSPECIFIED(a) || IN6_IS_ADDR_MULTICAST(a) ||
	       memcmp(a->s6_addr, metadata, 16) == 0;
}

bool skf_http_address_forbidden(const struct sockaddr *sa, bool loopback_ok)
{
	if (sa->sa_family == AF_INET)
		return v4_forbidden(ntohl(((const struct sockaddr_in *)(const void *)sa)->sin_addr.s_addr),
				    loopback_ok);
	if (sa->sa_family == AF_INET6)
		return v6_forbidden(&((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr,
				    loopback_ok);
	return true;
}

/* Host part of "host", "host:port", "[v6]" or "[v6]:port" without brackets and port. */
static int bare_host(const char *s, char *out, size_t size)
{
	bool v6 = *s == '[';
	size_t n = strcspn(s + v6, v6 ? "]" : ":");
	return skf_fmt(out, size, "%.*s", (int)(n < size ? n : size), s + v6);
}

static bool host_address(const char *host, struct sockaddr_storage *ret)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)ret;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)ret;
	memset(ret, 0, sizeof(*ret));
	if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
		ret->ss_family = AF_INET;
		return true;
	}
	if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
		ret->ss_family = AF_INET6;
		return true;
	}
	return false;
}

bool skf_http_host_is_loopback(const char *host)
{
	char h[SKF_MAX_REPO_BYTES + 1];
	struct sockaddr_storage a;
	if (bare_host(host, h, sizeof(h)) < 0)
		return false;
	if (!host_address(h, &a))
		return strcasecmp(h, "localhost") == 0;
	return !skf_http_address_forbidden((struct sockaddr *)&a, true) &&
	       skf_http_address_forbidden((struct sockaddr *)&a, false);
}

bool skf_http_url_forbidden(const char *url, bool loopback_ok)
{
	CURLU *u = curl_url();
	char *host = u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK ? url_part(u, CURLUPART_HOST)
									      : NULL;
	char h[SKF_MAX_REPO_BYTES + 1] = "";
	struct sockaddr_storage a;
	bool bad = !host || bare_host(host, h, sizeof(h)) < 0;
	if (!bad && host_address(h, &a))
		bad = skf_http_address_forbidden((struct sockaddr *)&a, loopback_ok);
	else if (!bad && (strcasecmp(h, "localhost") == 0 ||
			  (strlen(h) > 10 && strcasecmp(h + strlen(h) - 10, ".localhost") == 0)))
		bad = !loopback_ok;
	curl_free(host);
	curl_url_cleanup(u);
	return bad;
}

/* curl asks the same variables. A proxy connects in our place, so only the realm as it is written can be
 * judged then; the proxy's own address may be the loopback. */
bool skf_http_may_use_proxy(const char *url)
{
	static const char *const https[] = {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", NULL};
	static const char *const http[] = {"http_proxy", "all_proxy", "ALL_PROXY", NULL};
	for (const char *const *name = skf_startswith(url, "https:") ? https : http; *name; name++) {
		const char *v = getenv(*name);
		if (v && *v)
			return true;
	}
	return false;
}
