/* cmd/image_daemon.c -- docker's daemon over its Unix socket: an archive comes from /images/NAME/get, or
 * goes to /images/load. A thread runs the request; the other end of its pipe is an archive like any other.
 *
 * Invariants: 1. the socket's path is the user's word, the name is escaped; 2. an answer that is no archive
 * (an error document) never reaches the pipe. Blocks: daemon. */
#include "base/fd.h"
#include "base/limits.h"
#include "cmd/image_place.h"
#include <curl/curl.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ANSWER_BYTES (64u << 10)

struct image_daemon {
	const struct image_peer *peer;
	CURL *c;
	struct curl_slist *headers;
	pthread_t thread;
	bool running, load;
	int ours, theirs; /* ends of the pipe; theirs: of whoever reads or writes the archive */
	bool stop;        /* atomic */
	CURLcode rc;
	long status;
	struct skf_buf answer; /* of a load, or an error */
	char socket[108 + 1];
};

static size_t on_answer(char *p, size_t size, size_t n, void *user)
{
	struct image_daemon *d = user;
	long status = 0;
	curl_easy_getinfo(d->c, CURLINFO_RESPONSE_CODE, &status);
	if (d->load || status != 200)
		skf_buf_put(&d->answer, p,
			    d->answer.len + size * n <= ANSWER_BYTES
				    ? size * n
				    : 0); /* what is too much is not missed */
	else if (skf_write_full(d->ours, p, size * n) < 0)
		return 0;
	return size * n;
}

static size_t on_body(char *p, size_t size, size_t n, void *user)
{
	const struct image_daemon *d = user;
	ssize_t k;
	do
		k = read(d->ours, p, size * n);
	while (k < 0 && errno == EINTR);
	return k < 0 || __atomic_load_n(&d->stop, __ATOMIC_RELAXED) ? CURL_READFUNC_ABORT : (size_t)k;
}

static int on_progress(void *user, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t e)
{
	const struct image_daemon *d = user;
	struct pollfd f = {d->peer->cancel_fd, POLLIN, 0};
	(void)a, (void)b, (void)c, (void)e;
	return __atomic_load_n(&d->stop, __ATOMIC_RELAXED) || poll(&f, 1, 0) > 0;
}

static void *run(void *arg)
{
	struct image_daemon *d = arg;
	d->rc = curl_easy_perform(d->c);
	curl_easy_getinfo(d->c, CURLINFO_RESPONSE_CODE, &d->status);
	skf_closep(&d->ours); /* the other side sees the end */
	return NULL;
}

static void release(struct image_daemon *d)
{
	skf_closep(&d->ours);
	skf_closep(&d->theirs);
	curl_easy_cleanup(d->c);
	curl_slist_free_all(d->headers);
	skf_buf_done(&d->answer);
	free(d);
}

static int start(struct image_daemon *d, const char *url, struct skf_err *e)
{
	int pair[2], r = skf_pipe(pair, 0);
	if (r < 0)
		return skf_fail_sys(e, r, "pipe for docker's archive");
	d->ours = pair[d->load ? 0 : 1];
	d->theirs = pair[d->load ? 1 : 0];
	d->headers = curl_slist_append(NULL, d->load ? "Content-Type: application/x-tar"
						     : "Accept: application/x-tar");
	if (d->load)
		d->headers = curl_slist_append(d->headers, "Expect:");
	curl_easy_setopt(d->c, CURLOPT_UNIX_SOCKET_PATH, d->socket);
	curl_easy_setopt(d->c, CURLOPT_URL, url);
	curl_easy_setopt(d->c, CURLOPT_PROXY, "");
	curl_easy_setopt(d->c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(d->c, CURLOPT_HTTPHEADER, d->headers);
	curl_easy_setopt(d->c, CURLOPT_WRITEFUNCTION, on_answer);
	curl_easy_setopt(d->c, CURLOPT_WRITEDATA, d);
	curl_easy_setopt(d->c, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(d->c, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(d->c, CURLOPT_XFERINFODATA, d);
	if (d->load) {
		curl_easy_setopt(d->c, CURLOPT_POST, 1L); /* of unknown length: chunked */
		curl_easy_setopt(d->c, CURLOPT_READFUNCTION, on_body);
		curl_easy_setopt(d->c, CURLOPT_READDATA, d);
	}
	r = pthread_create(&d->thread, NULL, run, d);
	if (r)
		return skf_fail_sys(e, -r, "start a thread for docker's daemon");
	d->running = true;
	return 0;
}

static int begin(const struct image_peer *peer, const char *socket, const char *path, const char *name,
		 const char *rest, bool load, struct image_daemon **ret, int *ret_fd, struct skf_err *e)
{
	struct image_daemon *d = calloc(1, sizeof(*d));
	char url[2048];
	if (!d)
		return skf_fail(e, SKF_ENOMEM, "docker's daemon");
	d->peer = peer;
	d->load = load;
	d->ours = d->theirs = -EBADF;
	d->answer = (struct skf_buf)SKF_BUF(ANSWER_BYTES);
	d->c = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? curl_easy_init() : NULL;
	char *escaped = d->c ? curl_easy_escape(d->c, name, 0) : NULL;
	int r = 0;
	if (!escaped)
		r = skf_fail(e, SKF_ENOMEM, "docker's daemon");
	else if (skf_fmt(d->socket, sizeof(d->socket), "%s", socket) < 0 ||
		 skf_fmt(url, sizeof(url), "http://docker%s%s%s", path, escaped, rest) < 0)
		r = skf_fail(e, SKF_EINVALID, "the socket '%s' or the name '%.200s' is too long", socket,
			     name);
	curl_free(escaped);
	if (r == 0)
		r = start(d, url, e);
	if (r < 0) {
		release(d);
		return -1;
	}
	*ret = d;
	*ret_fd = d->theirs;
	return 0;
}

int image_daemon_get(const struct image_peer *peer, const char *socket, const char *name,
		     struct image_daemon **ret, int *ret_fd, struct skf_err *e)
{
	return begin(peer, socket, "/images/", name, "/get", false, ret, ret_fd, e);
}

int image_daemon_load(const struct image_peer *peer, const char *socket, struct image_daemon **ret,
		      int *ret_fd, struct skf_err *e)
{
	return begin(peer, socket, "/images/load?quiet=1", "", "", true, ret, ret_fd, e);
}

int image_daemon_end(struct image_daemon *d, bool failed, struct skf_err *e)
{
	int r = 0;
	if (!d)
		return 0;
	if (failed)
		__atomic_store_n(&d->stop, true, __ATOMIC_RELAXED);
	skf_closep(&d->theirs);
	if (d->running)
		pthread_join(d->thread, NULL);
	if (d->rc != CURLE_OK && d->status == 0)
		r = skf_fail(e, SKF_EUNAVAILABLE, "docker's daemon at '%s': %s", d->socket,
			     curl_easy_strerror(d->rc));
	else if (d->status != 200)
		r = skf_fail(e, d->status == 404 ? SKF_ENOTFOUND : SKF_EUNAVAILABLE,
			     "docker's daemon at '%s' answered %ld: %.200s", d->socket, d->status,
			     skf_buf_cstr(&d->answer));
	else if (d->load && strstr(skf_buf_cstr(&d->answer), "\"errorDetail\""))
		r = skf_fail(e, SKF_EUNAVAILABLE, "docker's daemon at '%s': %.200s", d->socket,
			     skf_buf_cstr(&d->answer));
	else if (d->rc != CURLE_OK && !failed)
		r = skf_fail(e, SKF_EUNAVAILABLE, "docker's daemon at '%s': %s", d->socket,
			     curl_easy_strerror(d->rc));
	release(d);
	return r;
}
