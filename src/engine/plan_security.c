/* engine/plan_security.c -- what a container may do: capabilities, seccomp, privileges. */
#include "engine/create_int.h"

int skf_plan_security(struct skf_plan *p, struct skf_err *e)
{
	const struct skf_create_req *q = p->q;

	p->gen.privileged = p->req.privileged = q->privileged;
	p->gen.readonly = p->conf.readonly = q->readonly;
	p->gen.seccomp_unconfined = q->seccomp_unconfined;
	p->gen.process.no_new_privs = q->no_new_privs;
	p->req.cap_add = q->cap_add;
	p->req.cap_drop = q->cap_drop;
	if (q->no_new_privs && skf_strv_add(p->a, &p->req.security_opt, "no-new-privileges") < 0)
		return skf_plan_no_memory(e);
	if (q->seccomp_unconfined && skf_strv_add(p->a, &p->req.security_opt, "seccomp=unconfined") < 0)
		return skf_plan_no_memory(e);
	return skf_caps_gen(&q->cap_add, &q->cap_drop, q->privileged, &p->gen.process.caps, e);
}
