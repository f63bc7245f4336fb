/* monitor/hold_wire.c -- the records of a pod's holder: its handover, and the client's side of NAMESPACES.
 */
#include "monitor/hold.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/record.h"
#include "monitor/wire.h"
#include <sched.h>
#include <string.h>

#define TYPE 2 /* 1 is the handover of a container's monitor */

static const struct {
	const char *name;
	int flag;
} kinds[SKF_HOLD_N] = {
	[SKF_HOLD_NET] = {"network", CLONE_NEWNET},
	[SKF_HOLD_IPC] = {"ipc", CLONE_NEWIPC},
	[SKF_HOLD_UTS] = {"uts", CLONE_NEWUTS},
	[SKF_HOLD_PID] = {"pid", CLONE_NEWPID},
};

const char *skf_hold_ns_name(enum skf_hold_ns n)
{
	return kinds[n].name;
}

int skf_hold_ns_flag(enum skf_hold_ns n)
{
	return kinds[n].flag;
}

void skf_hold_write(const struct skf_hold_handover *h, struct skf_buf *b)
{
	struct skf_rec r;

	skf_rec_begin(&r, b, TYPE, SKF_MON_VERSION);
	skf_rec_str(&r, h->id);
	skf_rec_str(&r, h->reaper);
	skf_rec_str(&r, h->root);
	skf_rec_str(&r, h->run_root);
	skf_rec_u32(&r, (uint32_t)h->listen_fd);
	skf_rec_u32(&r, (uint32_t)h->run_dir);
	skf_rec_u32(&r, (uint32_t)h->engine_sock);
	for (unsigned i = 0; i < SKF_HOLD_N; i++)
		skf_rec_u32(&r, (uint32_t)h->ns[i]);
	skf_rec_u32(&r, (uint32_t)h->pidfd);
	skf_rec_u32(&r, h->init_pid);
	skf_rec_u32(&r, (uint32_t)h->shm);
	skf_rec_end(&r);
}

static void read_str(struct skf_recr *r, char *out, size_t size)
{
	const char *s = skf_recr_str(r);
	size_t n = strlen(s);

	if (n >= size)
		r->bad = true;
	else
		memcpy(out, s, n + 1);
}

int skf_hold_read(const void *p, size_t n, struct skf_hold_handover *ret)
{
	struct skf_hold_handover h = {0};
	struct skf_recr r;

	if (skf_recr_init(&r, p, n) < 0 || r.type != TYPE)
		return -EBADMSG;
	read_str(&r, h.id, sizeof(h.id));
	read_str(&r, h.reaper, sizeof(h.reaper));
	read_str(&r, h.root, sizeof(h.root));
	read_str(&r, h.run_root, sizeof(h.run_root));
	h.listen_fd = (int32_t)skf_recr_u32(&r);
	h.run_dir = (int32_t)skf_recr_u32(&r);
	h.engine_sock = (int32_t)skf_recr_u32(&r);
	for (unsigned i = 0; i < SKF_HOLD_N; i++)
		h.ns[i] = (int32_t)skf_recr_u32(&r);
	h.pidfd = (int32_t)skf_recr_u32(&r);
	h.init_pid = skf_recr_u32(&r);
	h.shm = skf_recr_more(&r) ? (int32_t)skf_recr_u32(&r) : -1;
	if (r.bad || h.listen_fd < 0 || h.run_dir < 0 || h.engine_sock < 0)
		return -EBADMSG;
	*ret = h;
	return 0;
}

static int take(struct skf_recr *r, struct skf_fds *fds, const char *id, int ret[SKF_HOLD_N],
		struct skf_err *e)
{
	uint32_t set = skf_recr_u32(r);
	unsigned at = 0;

	if (r->bad || set >> SKF_HOLD_N || (unsigned)__builtin_popcount(set) != fds->n)
		return skf_fail(e, SKF_ECORRUPT, "the holder of pod '%s' sent a malformed answer", id);
	for (unsigned i = 0; i < SKF_HOLD_N; i++)
		ret[i] = set >> i & 1 ? SKF_TAKE_FD(fds->fd[at++]) : -EBADF;
	return 0;
}

/* 0 answered with a record of that type or an ERROR, -1. */
static int ask(int sock, const char *id, uint16_t type, struct skf_buf *b, struct skf_recr *r,
	       struct skf_fds *fds, struct skf_err *e)
{
	struct skf_rec w;
	int n;

	skf_rec_begin(&w, b, type, SKF_MON_VERSION);
	skf_rec_str(&w, id);
	skf_rec_end(&w);
	n = skf_record_send(sock, b, NULL, 0);
	if (n == 0)
		n = skf_record_recv(sock, b, r, fds, SKF_HELLO_MS);
	if (n == -ETIMEDOUT)
		return skf_fail(e, SKF_ETIMEOUT, "the holder of pod '%s' gave no answer in time", id);
	if (n <= 0)
		return skf_fail(e, SKF_EUNAVAILABLE, "the holder of pod '%s' is gone", id);
	if (r->type != SKF_MON_ERROR && r->type != type)
		return skf_fail(e, SKF_ECORRUPT,
				"the holder of pod '%s' answered with the unknown record %u", id, r->type);
	return 0;
}

int skf_hold_namespaces(int sock, const char *id, int ret[SKF_HOLD_N], struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	SKF_AUTO(skf_fds_done) struct skf_fds fds = {.n = 0};
	struct skf_recr r;

	if (ask(sock, id, SKF_MON_NAMESPACES, &b, &r, &fds, e) < 0)
		return -1;
	if (r.type == SKF_MON_ERROR) {
		skf_recr_err(&r, e);
		return -1;
	}
	return take(&r, &fds, id, ret, e);
}

int skf_hold_shm(int sock, const char *id, int *ret, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	SKF_AUTO(skf_fds_done) struct skf_fds fds = {.n = 0};
	struct skf_err x = SKF_ERR_INIT;
	struct skf_recr r;

	if (ask(sock, id, SKF_MON_SHM, &b, &r, &fds, e) < 0)
		return -1;
	if (r.type == SKF_MON_ERROR) {
		skf_recr_err(&r, &x);
		if (x.kind != SKF_EUNSUPPORTED)
			return skf_fail(e, x.kind, "%s", x.msg);
	}
	*ret = r.type == SKF_MON_SHM && fds.n == 1 ? SKF_TAKE_FD(fds.fd[0]) : -EBADF;
	return 0;
}
