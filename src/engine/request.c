/* engine/request.c -- the member "request" of a container's own data: written once at create, read by
 * inspect and exec. */
#include "engine/engine_int.h"
#include <string.h>

#define RF(member, key, fn) SKF_J(struct skf_ctr_request, member, key, fn, NULL, SKF_J_NULL_OK)
static const struct skf_jfield request_f[] = {
	RF(image, "image", skf_j_str),
	RF(hostname, "hostname", skf_j_str),
	RF(user, "user", skf_j_str),
	RF(workdir, "workdir", skf_j_str),
	RF(stop_signal, "stopSignal", skf_j_str),
	RF(entrypoint, "entrypoint", skf_j_strv),
	RF(cmd, "cmd", skf_j_strv),
	RF(env, "env", skf_j_strv),
	RF(cap_add, "capAdd", skf_j_strv),
	RF(cap_drop, "capDrop", skf_j_strv),
	RF(binds, "binds", skf_j_strv),
	RF(security_opt, "securityOpt", skf_j_strv),
	RF(storage_opt, "storageOpt", skf_j_strv),
	RF(labels, "labels", skf_j_kvs),
	RF(privileged, "privileged", skf_j_bool),
	RF(attach_stdout, "attachStdout", skf_j_bool),
	RF(attach_stderr, "attachStderr", skf_j_bool),
	RF(init, "init", skf_j_bool),
	RF(memory, "memory", skf_j_i64),
	RF(nano_cpus, "nanoCpus", skf_j_i64),
	RF(pids_limit, "pidsLimit", skf_j_i64),
	SKF_J_END,
};
static const struct skf_jtable request_table = {sizeof(struct skf_ctr_request), request_f, false, NULL};

void skf_ctr_request_write(struct skf_jw *w, const struct skf_ctr_request *r)
{
	skf_jw_obj(w);
	skf_jw_kstr(w, "image", r->image);
	skf_jw_kstr(w, "hostname", r->hostname);
	skf_jw_kstr(w, "user", r->user);
	skf_jw_kstr(w, "workdir", r->workdir);
	skf_jw_kstr(w, "stopSignal", r->stop_signal);
	skf_jw_kstrv(w, "entrypoint", &r->entrypoint);
	skf_jw_kstrv(w, "cmd", &r->cmd);
	skf_jw_kstrv(w, "env", &r->env);
	skf_jw_kstrv(w, "capAdd", &r->cap_add);
	skf_jw_kstrv(w, "capDrop", &r->cap_drop);
	skf_jw_kstrv(w, "binds", &r->binds);
	skf_jw_kstrv(w, "securityOpt", &r->security_opt);
	skf_jw_kstrv(w, "storageOpt", &r->storage_opt);
	skf_jw_kkvs(w, "labels", &r->labels);
	skf_jw_kbool(w, "privileged", r->privileged);
	skf_jw_kbool(w, "attachStdout", r->attach_stdout);
	skf_jw_kbool(w, "attachStderr", r->attach_stderr);
	skf_jw_kbool(w, "init", r->init);
	skf_jw_kint(w, "memory", r->memory);
	skf_jw_kint(w, "nanoCpus", r->nano_cpus);
	skf_jw_kint(w, "pidsLimit", r->pids_limit);
	skf_jw_end(w);
}

int skf_ctr_request_parse(const char *json, struct skf_arena *a, struct skf_ctr_request **ret,
			  struct skf_err *e)
{
	const struct skf_jdoc d = {.name = "config.json: /skiff/request", .max_bytes = SKF_MAX_SPEC_BYTES};
	void *v;

	if (!json)
		json = "{}"; /* a container that another front end made without one */
	if (skf_json_decode(&d, json, strlen(json), &request_table, a, &v, e) < 0)
		return -1;
	*ret = v;
	return 0;
}
