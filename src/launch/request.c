/* launch/request.c -- the one request record on the socket: decoded and checked before anything is done. No
 * I/O. */
#include "launch/launch_int.h"
#include "base/buf.h"
#include "base/record.h"
#include "launch/wire.h"
#include <string.h>

static int check_path(const char *what, const char *p, size_t size, struct skf_err *e)
{
	if (p[0] != '/')
		return skf_fail(e, SKF_EINVALID, "the %s '%.100s' is not an absolute path", what, p);
	if (strlen(p) >= size)
		return skf_fail(e, SKF_ELIMIT, "the %s '%.100s...' is longer than %zu bytes", what, p,
				size - 1);
	return 0;
}

static int check(const struct skf_launch_request *q, unsigned n_fds, struct skf_err *e)
{
	const struct skf_mon_handover *h = NULL;
	unsigned want = 0;

	for (unsigned bit = SKF_LAUNCH_STDIN; bit <= SKF_LAUNCH_STDERR; bit <<= 1)
		want += (q->flags & bit) != 0;
	want += (q->flags & SKF_LAUNCH_LOCK) != 0;
	want += (q->flags & SKF_LAUNCH_NETNS) != 0;
	if (want != n_fds)
		return skf_fail(e, SKF_EINVALID, "the request names %u descriptors and carries %u", want,
				n_fds);
	if (!skf_is_hex(q->id, SKF_ID_LEN))
		return skf_fail(e, SKF_EINVALID, "'%.70s' is not a container id of %d hex digits", q->id,
				SKF_ID_LEN);
	if (q->exec_id[0] && !skf_is_hex(q->exec_id, SKF_ID_LEN))
		return skf_fail(e, SKF_EINVALID, "'%.70s' is not an exec id of %d hex digits", q->exec_id,
				SKF_ID_LEN);
	if (q->rows > UINT16_MAX || q->cols > UINT16_MAX)
		return skf_fail(e, SKF_EINVALID, "a terminal of %u rows and %u columns is too large",
				q->rows, q->cols);
	if (check_path("root", q->root, sizeof(h->root), e) < 0 ||
	    check_path("run root", q->run_root, sizeof(h->run_root), e) < 0)
		return -1;
	return q->reaper[0] ? check_path("reaper", q->reaper, sizeof(h->reaper), e) : 0;
}

/* Which fields a request has: START's (… reaper) or EXEC's (exec id, document …). */
static bool is_start(uint16_t type)
{
	return type == SKF_LAUNCH_START || type == SKF_LAUNCH_RESTART || type == SKF_LAUNCH_NETSOCK;
}

static bool is_known(uint16_t type)
{
	return is_start(type) || type == SKF_LAUNCH_EXEC || type == SKF_LAUNCH_HEALTH ||
	       type == SKF_LAUNCH_UPDATE || type == SKF_LAUNCH_LOOK || type == SKF_LAUNCH_MOUNT ||
	       type == SKF_LAUNCH_POD || type == SKF_LAUNCH_CHECKPOINT || type == SKF_LAUNCH_RESTORE ||
	       type == SKF_LAUNCH_IMAGE_MOUNT || type == SKF_LAUNCH_IMAGE_UNMOUNT ||
	       type == SKF_LAUNCH_PROBE || type == SKF_LAUNCH_GO || type == SKF_LAUNCH_CTR_MOUNT ||
	       type == SKF_LAUNCH_CTR_UNMOUNT;
}

int skf_launch_request_read(struct skf_recr *r, unsigned n_fds, struct skf_launch_request *ret,
			    struct skf_err *e)
{
	struct skf_launch_request q = {
		.type = r->type, .exec_id = "", .process_json = "", .reaper = "", .notify = ""};

	if (!is_known(r->type))
		return skf_fail(e, SKF_EUNSUPPORTED, "skiff-launch %s does not know request %u", SKF_VERSION,
				r->type);
	q.flags = skf_recr_u32(r);
	q.id = skf_recr_str(r);
	q.root = skf_recr_str(r);
	q.run_root = skf_recr_str(r);
	if (!is_start(r->type)) {
		q.exec_id = skf_recr_str(r);
		q.process_json = skf_recr_str(r);
	}
	q.rows = skf_recr_u32(r);
	q.cols = skf_recr_u32(r);
	if (is_start(r->type))
		q.reaper = skf_recr_str(r);
	else
		q.detach = skf_recr_u32(r);
	if (r->type == SKF_LAUNCH_START && skf_recr_more(r))
		q.notify = skf_recr_str(r);
	if (r->type == SKF_LAUNCH_RESTART && skf_recr_more(r))
		q.restarts = skf_recr_u32(r);
	if (r->bad)
		return skf_fail(e, SKF_ECORRUPT,
				"the request to skiff-launch is cut short; do both programs come from one "
				"installation?");
	if (check(&q, n_fds, e) < 0)
		return -1;
	*ret = q;
	return 0;
}
