/* cmd/skiff-image.c -- the transfer worker: one request on fd 3 (registry/wire.h), spawned by `skiff`. The
 * only program that meets bytes of registries and archives, so it drops what it can before the first of
 * them: no new privileges, and only the capabilities that writing a layer needs. */
#include "base/fd.h"
#include "base/limits.h"
#include "base/log.h"
#include "cmd/image_place.h"
#include "cmd/image_int.h"
#include "store/unpack.h"
#include "sys/process.h"
#include <linux/capability.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

void image_send(const struct image_peer *p, const struct skf_buf *b)
{
	int r = skf_record_send(p->sock, b, NULL, 0);
	if (r < 0) {
		/* the peer has gone: its POLLHUP ends the work, and nobody is left to be told */
	}
}

void image_cancel(const struct image_peer *p)
{
	uint64_t one = 1;
	if (write(p->cancel_fd, &one, sizeof(one)) < 0) {
		/* the counter is full: the descriptor is readable already, which is all that is wanted */
	}
}

/* chown, modes, file capabilities, device nodes, trusted.* xattrs (SYS_ADMIN), and reading what it wrote */
static const unsigned needed_caps[] = {CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER,   CAP_FSETID,
				       CAP_MKNOD, CAP_SETFCAP,      CAP_SYS_ADMIN};

static int drop_privileges(struct skf_err *e)
{
	uint64_t eff, perm, inh, keep = 0;
	int r = skf_cap_get(&eff, &perm, &inh);
	for (size_t i = 0; i < SKF_ARRAY_LEN(needed_caps); i++)
		keep |= 1ull << needed_caps[i];
	if (r == 0)
		r = skf_cap_set(eff & keep, perm & keep, 0);
	if (r == 0)
		r = skf_no_new_privs();
	return r < 0 ? skf_fail_sys(e, r, "drop privileges") : 0;
}

/* Messages quote names of entries, headers and words of registries. Whoever prints them writes to a terminal
 * and wants one line: control bytes (C1 in UTF-8 too) become '?'. */
void image_printable(struct skf_err *e)
{
	for (unsigned char *p = (unsigned char *)e->msg; *p; p++) {
		if (*p == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f)
			p[0] = p[1] = '?';
		else if (*p < 0x20 || *p == 0x7f)
			*p = '?';
	}
}

static int serve_pull(const struct image_peer *peer, struct skf_recr *q, struct skf_buf *answer,
		      struct skf_err *e)
{
	struct image_pull p = {0};
	struct image_done d;
	struct skf_rec r;
	p.root = skf_recr_str(q);
	p.reference = skf_recr_str(q);
	p.platform = skf_recr_str(q);
	image_how_get(&p.how, q);
	if (q->bad)
		return skf_fail(e, SKF_EINVALID, "the pull request is cut short");
	if (image_how_bind(&p.how, p.reference, e) < 0 || image_pull_run(peer, &p, &d, e) < 0)
		return -1;
	skf_rec_begin(&r, answer, SKF_IMG_DONE, SKF_IMG_VERSION);
	skf_rec_str(&r, d.top.s);
	skf_rec_str(&r, d.manifest.s);
	skf_rec_str(&r, d.config.s);
	skf_rec_u32(&r, d.up_to_date);
	skf_rec_end(&r);
	return 0;
}

static const struct {
	uint16_t type;
	int (*fn)(const struct image_peer *, struct skf_recr *, struct skf_buf *, struct skf_err *);
} requests[] = {{SKF_IMG_PULL, serve_pull},
		{SKF_IMG_VERIFY, image_serve_verify},
		{SKF_IMG_PUSH, image_serve_push},
		{SKF_IMG_REMOTE, image_serve_remote},
		{SKF_IMG_LOGIN, image_serve_login},
		{SKF_IMG_LOGOUT, image_serve_logout},
		{SKF_IMG_SAVE, image_serve_save},
		{SKF_IMG_LOAD, image_serve_load},
		{SKF_IMG_IMPORT, image_serve_import},
		{SKF_IMG_COMMIT, image_serve_commit},
		{SKF_IMG_EXPORT, image_serve_export},
		{SKF_IMG_CHANGES, image_serve_changes},
		{SKF_IMG_APPLY, image_serve_apply},
		{SKF_IMG_SQUEEZE, image_serve_squeeze},
		{SKF_IMG_COPY, image_serve_copy},
		{SKF_IMG_DESCRIBE, image_serve_describe},
		{SKF_IMG_ARTIFACT, image_serve_artifact},
		{SKF_IMG_YAML, image_serve_yaml}};

static int serve(struct image_peer *peer, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf in = SKF_BUF(SKF_MAX_RECORD), out = SKF_BUF(SKF_MAX_RECORD);
	struct skf_recr q;
	struct skf_rec r;
	int x = skf_record_recv(peer->sock, &in, &q, peer->fds, SKF_HELLO_MS);
	if (x <= 0)
		return skf_fail_sys(e, x < 0 ? x : -EPIPE, "no request on fd %d", peer->sock);
	x = skf_fail(
		e, SKF_EUNSUPPORTED,
		"skiff-image %s does not know the request %u; skiff and skiff-image must be of one release",
		SKF_VERSION, (unsigned)q.type);
	for (size_t i = 0; i < SKF_ARRAY_LEN(requests); i++)
		if (requests[i].type == q.type) {
			skf_err_clear(e);
			x = drop_privileges(e) < 0 ? -1 : requests[i].fn(peer, &q, &out, e);
		}
	if (x < 0) {
		skf_buf_clear(&out);
		image_printable(e);
		skf_rec_begin(&r, &out, SKF_IMG_FAILED, SKF_IMG_VERSION);
		skf_rec_err(&r, e);
		skf_rec_end(&r);
	}
	image_send(peer, &out);
	return x;
}

int main(int argc, char **argv)
{
	const struct skf_log log = {.fd = 2, .max = SKF_LOG_WARN, .prog = "skiff-image"};
	struct skf_err e = SKF_ERR_INIT;
	struct stat st;
	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		puts("skiff-image " SKF_VERSION);
		return 0;
	}
	if (argc != 2 || strcmp(argv[1], "serve") != 0 || fstat(SKF_IMG_FD, &st) < 0 ||
	    !S_ISSOCK(st.st_mode)) {
		skf_error(&log,
			  "this is skiff's transfer worker; it is started by skiff with a socket as fd %d",
			  SKF_IMG_FD);
		return 125;
	}
	SKF_AUTO(skf_fds_done) struct skf_fds fds = {.n = 0};
	struct image_peer peer = {SKF_IMG_FD, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), &log, &fds};
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT,
	       SIG_IGN); /* ^C is for skiff, whose end closes the socket: then we cancel and leave nothing */
	signal(SIGHUP, SIG_IGN);
	skf_set_cloexec(SKF_IMG_FD, true);
	umask(022);
	mallopt(M_MMAP_THRESHOLD, 256 << 10); /* a window or a ring that is freed goes back to the kernel:
						 the bound of image_layers.c */
	if (peer.cancel_fd < 0) {
		skf_error(&log, "eventfd: out of file descriptors");
		return 125;
	}
	/* the sentence went to the peer; the status is for whoever looks at the process */
	return serve(&peer, &e) < 0 ? skf_err_exit_code(&e, 125) : 0;
}
