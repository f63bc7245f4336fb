/* state.json, and seccomp.bpf where the input begins with its magic. What loads has every member that later
 * commands use without asking, cannot lead a signal to a process of this boot, and its state document is
 * JSON again. */
#include "base/json.h"
#include "base/limits.h"
#include "base/proc.h"
#include "oci/spec.h"
#include "runtime/runtime_int.h"
#include "fuzzdir.h"
#include <linux/filter.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_state(const struct skf_rt_state *s)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(4 * SKF_MAX_STATE_BYTES);
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_jdoc doc = {.name = "state", .max_bytes = 4 * SKF_MAX_STATE_BYTES};
	static const struct skf_jfield any[] = {SKF_J_END};
	static const struct skf_jtable table = {8, any, false, NULL};
	struct skf_jw w = SKF_JW(&b);
	struct skf_err e = SKF_ERR_INIT;
	void *out;

	if (!s->id || !s->bundle || !s->rootfs || !s->created || !s->owner || !s->oci_version ||
	    !s->config_path)
		abort();
	if (strlen(s->boot_id) >= sizeof(s->boot_id) || strlen(s->cg.path) >= sizeof(s->cg.path) ||
	    s->cg.layout.n > SKF_CG_MAX)
		abort();
	if (s->status != SKF_RT_STOPPED && s->pid <= 0)
		abort();
	skf_rt_state_write(s, &w);
	if (b.err == 0 && skf_json_decode(&doc, skf_buf_cstr(&b), b.len, &table, &a, &out, &e) < 0 &&
	    e.kind != SKF_ELIMIT)
		abort();
}

static void load_bpf(const uint8_t *data, size_t size)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(1u << 20);
	struct skf_bpf_prog p;
	struct skf_err e = SKF_ERR_INIT;
	uint32_t sum = 0;

	fuzz_dir_put("seccomp.bpf", data, size);
	if (skf_state_load_bpf(fuzz_dir(), &a, &p, &e) < 0)
		return;
	if (p.n == 0)
		abort(); /* nothing may be executed without the filter that was there */
	for (unsigned i = 0; i < p.n; i++)
		sum += p.insn[i].k; /* reads all of it under the sanitizer */
	(void)sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_rt rt = {.root = "/dev/shm"};
	struct skf_state_hooks hooks = {0};
	struct skf_rt_state *s = NULL;
	struct skf_err e = SKF_ERR_INIT;

	if (size >= 8 && memcmp(data, "skfbpf1\n", 8) == 0)
		load_bpf(data, size);
	fuzz_dir_put("state.json", data, size);
	if (skf_state_load_full(&rt, fuzz_dir(), true, "box", &a, &s, &hooks, &e) == 0)
		check_state(s);
	else if (e.kind == SKF_OK || e.kind == SKF_EBUG || !e.msg[0])
		abort();
	return 0;
}
