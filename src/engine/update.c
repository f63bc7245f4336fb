/* engine/update.c -- docker's update: limits of a container and its restart policy. The running container is
 * changed first, by the runtime in a skiff-launch (update), because the kernel may refuse; then config.json,
 * which the next start reads; then the monitor, for the policy. */
#include "engine/edit_int.h"
#include "engine/life.h"
#include "launch/wire.h"
#include "monitor/event.h"
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#define CPU_PERIOD 100000 /* docker's, for --cpus */
#define MIN_MEMORY (6 << 20)

int skf_restart_parse(const char *s, const char **ret_word, uint32_t *ret_max, struct skf_err *e)
{
	static const char *const words[] = {"no", "always", "on-failure", "unless-stopped"};
	const char *colon = strchr(s, ':');
	size_t n = colon ? (size_t)(colon - s) : strlen(s);
	uint32_t max = 0;

	if (!*s) /* docker takes "" for no */
		s = "no", n = 2;
	for (size_t i = 0; i < SKF_ARRAY_LEN(words); i++) {
		if (strlen(words[i]) != n || strncmp(words[i], s, n) != 0)
			continue;
		if (colon && i != 2)
			return skf_fail(e, SKF_EINVALID,
					"invalid restart policy: maximum retry count can only be used with "
					"'on-failure'");
		if (colon && skf_parse_u32(colon + 1, &max) < 0)
			return skf_fail(
				e, SKF_EINVALID,
				"invalid restart policy format: maximum retry count must be an integer");
		*ret_word = words[i];
		*ret_max = max;
		return 0;
	}
	return skf_fail(e, SKF_EINVALID,
			"invalid restart policy: unknown policy '%.60s'; use one of 'no', 'always', "
			"'on-failure', or 'unless-stopped'",
			s);
}

struct update {
	const struct skf_update_req *q;
	const char *restart;
	uint32_t restart_max;
};

static int put_int(struct json_object *o, const char *key, int64_t v)
{
	return v ? skf_edit_set(o, key, json_object_new_int64(v)) : 0;
}

static int put_str(struct json_object *o, const char *key, const char *v)
{
	return v && *v ? skf_edit_set(o, key, json_object_new_string(v)) : 0;
}

/* What the request changes of linux.resources. */
static int put_resources(const struct skf_update_req *q, struct json_object *res)
{
	struct json_object *memory, *cpu, *pids, *block;
	int64_t period = q->nano_cpus ? CPU_PERIOD : q->cpu_period;
	int64_t quota = q->nano_cpus ? q->nano_cpus * CPU_PERIOD / 1000000000 : q->cpu_quota;
	int r = 0;

	if (q->memory || q->memory_reservation || q->memory_swap)
		r = skf_edit_object(res, "memory", &memory) < 0 || put_int(memory, "limit", q->memory) < 0 ||
		    put_int(memory, "reservation", q->memory_reservation) < 0 ||
		    put_int(memory, "swap", q->memory_swap) < 0;
	if (!r && (period || quota || q->cpu_shares || q->cpuset_cpus || q->cpuset_mems))
		r = skf_edit_object(res, "cpu", &cpu) < 0 || put_int(cpu, "period", period) < 0 ||
		    put_int(cpu, "quota", quota) < 0 || put_int(cpu, "shares", q->cpu_shares) < 0 ||
		    put_str(cpu, "cpus", q->cpuset_cpus) < 0 || put_str(cpu, "mems", q->cpuset_mems) < 0;
	if (!r && q->pids_limit)
		r = skf_edit_object(res, "pids", &pids) < 0 || put_int(pids, "limit", q->pids_limit) < 0;
	if (!r && q->blkio_weight)
		r = skf_edit_object(res, "blockIO", &block) < 0 ||
		    put_int(block, "weight", q->blkio_weight) < 0;
	return r ? -ENOMEM : 0;
}

/* What explain shows as where a limit comes from (plan_from.c). */
static int put_sources(const struct skf_update_req *q, struct json_object *request)
{
	const struct {
		const char *key;
		bool given;
	} rows[] = {
		{"memory", q->memory != 0},
		{"memoryReservation", q->memory_reservation != 0},
		{"memorySwap", q->memory_swap != 0},
		{"nanoCpus", q->nano_cpus || q->cpu_period || q->cpu_quota},
		{"cpuShares", q->cpu_shares != 0},
		{"cpusetCpus", q->cpuset_cpus && *q->cpuset_cpus},
		{"cpusetMems", q->cpuset_mems && *q->cpuset_mems},
		{"pidsLimit", q->pids_limit != 0},
		{"blkioWeight", q->blkio_weight != 0},
		{"restart", q->has_restart},
	};
	struct json_object *from;

	if (skf_edit_object(request, "from", &from) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < SKF_ARRAY_LEN(rows); i++)
		if (rows[i].given && skf_edit_set(from, rows[i].key, json_object_new_string("update")) < 0)
			return -ENOMEM;
	return 0;
}

/* What inspect shows. */
static int put_request(const struct skf_update_req *q, struct json_object *request)
{
	int r = put_sources(q, request) < 0 || put_int(request, "memory", q->memory) < 0 ||
		put_int(request, "memoryReservation", q->memory_reservation) < 0 ||
		put_int(request, "memorySwap", q->memory_swap) < 0 ||
		put_int(request, "nanoCpus", q->nano_cpus) < 0 ||
		put_int(request, "cpuPeriod", q->cpu_period) < 0 ||
		put_int(request, "cpuQuota", q->cpu_quota) < 0 ||
		put_int(request, "cpuShares", q->cpu_shares) < 0 ||
		put_int(request, "pidsLimit", q->pids_limit) < 0 ||
		put_int(request, "blkioWeight", q->blkio_weight) < 0 ||
		put_str(request, "cpusetCpus", q->cpuset_cpus) < 0 ||
		put_str(request, "cpusetMems", q->cpuset_mems) < 0;

	return r ? -ENOMEM : 0;
}

static int edit(struct json_object *root, struct json_object *skiff, void *arg)
{
	const struct update *u = arg;
	struct json_object *linux_, *res, *request;

	if (skf_edit_object(root, "linux", &linux_) < 0 || skf_edit_object(linux_, "resources", &res) < 0 ||
	    put_resources(u->q, res) < 0 || skf_edit_object(skiff, "request", &request) < 0 ||
	    put_request(u->q, request) < 0)
		return -ENOMEM;
	if (!u->restart)
		return 0;
	return skf_edit_set(skiff, "restart", json_object_new_string(u->restart)) < 0 ||
			       skf_edit_set(skiff, "restartMax", json_object_new_int64(u->restart_max)) < 0
		       ? -ENOMEM
		       : 0;
}

static int change_running(struct skf_engine *g, const char *id, const struct update *u, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	SKF_AUTO_FD int sock = -EBADF, none = -EBADF;
	struct json_object *res = json_object_new_object();
	int r = res ? put_resources(u->q, res) : -ENOMEM;

	if (r == 0 && json_object_object_length(res) > 0) {
		skf_launch_request(g, &b, SKF_LAUNCH_UPDATE, 0, id,
				   json_object_to_json_string_ext(res, JSON_C_TO_STRING_PLAIN));
		json_object_put(res);
		if (skf_launch_ask(g, "update", &b, &none, e) < 0)
			return -1;
	} else {
		json_object_put(res);
	}
	if (r < 0)
		return skf_fail(e, SKF_ENOMEM, "memory for the new limits");
	if (!u->restart)
		return 0;
	if (skf_ctr_monitor(g, id, &sock, e) < 0)
		return -1;
	return skf_mon_update_restart(sock, id, (uint32_t)skf_ctrconf_restart_parse(u->restart),
				      u->restart_max, e);
}

static int check(const struct skf_update_req *q, const struct skf_ctrconf *c, const struct update *u,
		 struct skf_err *e)
{
	if (q->memory && q->memory < MIN_MEMORY)
		return skf_fail(e, SKF_EINVALID, "Minimum memory limit allowed is 6MB");
	if (q->nano_cpus && (q->cpu_period || q->cpu_quota))
		return skf_fail(
			e, SKF_EINVALID,
			"Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set");
	if (q->pids_limit < -1)
		return skf_fail(e, SKF_EINVALID,
				"invalid --pids-limit %lld: expected a number, or -1 for no limit",
				(long long)q->pids_limit);
	if (u->restart && c->remove && !skf_streq(u->restart, "no"))
		return skf_fail(
			e, SKF_ECONFLICT,
			"Restart policy cannot be updated because AutoRemove is enabled for the container");
	return 0;
}

int skf_engine_update(struct skf_engine *g, const struct skf_update_req *q, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	char id[SKF_ID_LEN + 1];
	SKF_AUTO_FD int lock = -EBADF;
	struct update u = {.q = q};
	struct skf_ctrconf *c;
	struct skf_ctr_live l;
	int r;

	if (q->has_restart && skf_restart_parse(q->restart, &u.restart, &u.restart_max, e) < 0)
		return -1;
	if (skf_engine_resolve(g, q->container, id, e) < 0 || skf_ctr_lock(g, id, &lock, e) < 0 ||
	    skf_ctr_load(g, id, &a, &c, e) < 0 || skf_ctr_live(g, id, &l, e) < 0 || check(q, c, &u, e) < 0)
		return -1;
	if (skf_ctr_is_made(l.state) && change_running(g, id, &u, e) < 0)
		return -1;
	if (skf_edit_config(g, id, edit, &u, e) < 0)
		return -1;
	r = skf_event_emit(g->run_fd, "container", "update", id, c->name, c->image, -1);
	if (r < 0)
		skf_warn(&g->log, "write the event 'update' of container %.12s: %s; ignoring", id,
			 strerror(-r));
	return 0;
}
