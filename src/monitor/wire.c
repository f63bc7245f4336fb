/* monitor/wire.c -- requests of the control socket, as the monitor sees them. No I/O: record in, plain
 * struct out. */
#include "monitor/wire.h"
#include "base/record.h"

int skf_mon_request_read(struct skf_recr *r, struct skf_mon_request *ret)
{
	struct skf_mon_request q = {.type = r->type};

	if (r->type < SKF_MON_HELLO || r->type > SKF_MON_START)
		return -EOPNOTSUPP;
	q.container = skf_recr_str(r);
	switch (r->type) {
	case SKF_MON_KILL:
		q.signal = skf_recr_u32(r);
		q.all = skf_recr_u32(r);
		q.manual = skf_recr_more(r) ? skf_recr_u32(r) : 0;
		break;
	case SKF_MON_UPDATE:
		q.what = skf_recr_more(r) ? skf_recr_u32(r) : 0;
		q.policy = q.what ? skf_recr_u32(r) : 0;
		q.policy_max = q.what ? skf_recr_u32(r) : 0;
		break;
	case SKF_MON_START:
		q.started_ns = skf_recr_u64(r);
		break;
	case SKF_MON_ATTACH:
		q.flags = skf_recr_u32(r);
		break;
	case SKF_MON_RESIZE:
		q.rows = skf_recr_u32(r);
		q.cols = skf_recr_u32(r);
		break;
	default:
		break;
	}
	if (r->bad)
		return -EBADMSG;
	*ret = q;
	return 0;
}
