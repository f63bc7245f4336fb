/* Decoding of the properties about scheduling, NUMA, time, intelRdt, devices by name and personality: values
 * as the kernel wants them, one bad document per rule, and what state.json gets can be read back. */
#include "oci_test.h"
#include "oci/spec.h"
#include "base/json.h"
#include <sched.h>
#include <stdio.h>
#include <sys/personality.h>
#include <time.h>

static const struct skf_spec_opts opts = {.log = NULL, .name = "c"};

static int parse(const char *quoted, struct skf_arena *a, struct skf_spec **s, struct skf_err *e)
{
	SKF_AUTO_FREE char *text = json_text(quoted);

	return skf_spec_parse(text, strlen(text), &opts, a, s, e);
}

static struct skf_spec *good(const char *members, struct skf_arena *a)
{
	struct skf_err e = SKF_ERR_INIT;
	struct skf_spec *s = NULL;
	char doc[4096];

	snprintf(doc, sizeof(doc), "{'ociVersion':'1.3.0',%s}", members);
	if (parse(doc, a, &s, &e) < 0)
		fail_msg("%s\n  %s", doc, e.msg);
	return s;
}

struct row {
	const char *value, *msg;
};

/* frame has one %s for the value. */
static void refused(const char *frame, const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
		struct skf_err e = SKF_ERR_INIT;
		struct skf_spec *s;
		char doc[2048], *hole;

		snprintf(doc, sizeof(doc), "{'ociVersion':'1.3.0',%s", frame);
		hole = strstr(doc, "%s");
		assert_non_null(hole);
		snprintf(hole, sizeof(doc) - (size_t)(hole - doc), "%s%s}", rows[i].value,
			 strstr(frame, "%s") + 2);
		if (parse(doc, &a, &s, &e) == 0)
			fail_msg("accepted: %s", doc);
		if (e.kind != SKF_EINVALID || !strstr(e.msg, rows[i].msg))
			fail_msg("%s\n  found %s\n  expected %s", doc, e.msg, rows[i].msg);
	}
}
#define REFUSED(frame, rows) refused(frame, rows, SKF_ARRAY_LEN(rows))
#define PROC(m)              "'process':{'cwd':'/'," m "}"
#define LINUX(m)             "'linux':{" m "}"
#define DL                   "'policy':'SCHED_DEADLINE',"

static void test_scheduler_values(void **state)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	static const char *const policies[] = {"OTHER", "FIFO", "RR", "BATCH", "ISO", "IDLE"};
	const struct skf_spec_scheduler *p;
	char doc[256];

	(void)state;
	for (int i = 0; i < (int)SKF_ARRAY_LEN(policies); i++) {
		snprintf(doc, sizeof(doc), PROC("'scheduler':{'policy':'SCHED_%s'}"), policies[i]);
		p = good(doc, &a)->process->scheduler;
		assert_int_equal(p->policy, i);
		assert_true(p->nice == 0 && p->priority == 0 && p->flags == 0);
	}
	p = good(PROC("'scheduler':{" DL "'flags':['SCHED_FLAG_RESET_ON_FORK','SCHED_FLAG_RECLAIM',"
		      "'SCHED_FLAG_DL_OVERRUN','SCHED_FLAG_UTIL_CLAMP_MIN','SCHED_FLAG_UTIL_CLAMP_MAX'],"
		      "'nice':19,'runtime':42000,'deadline':1000000}"),
		 &a)
		    ->process->scheduler;
	assert_int_equal(p->policy, 6);
	assert_int_equal(p->flags, 0x67);
	assert_true(p->nice == 19 && p->runtime == 42000 && p->deadline == 1000000 && p->period == 0);
	p = good(PROC("'scheduler':{" DL "'flags':['SCHED_FLAG_KEEP_POLICY','SCHED_FLAG_KEEP_PARAMS']}"), &a)
		    ->process->scheduler;
	assert_int_equal(p->flags, 0x18);
}

static void test_scheduler_refused(void **state)
{
	static const struct row rows[] = {
		{"", "/process/scheduler: required property 'policy' is missing"},
		{"'policy':''", "/process/scheduler/policy: invalid scheduler policy ''"},
		{"'policy':'SCHED_NORMAL'",
		 "invalid scheduler policy 'SCHED_NORMAL'; expected one of SCHED_OTHER,"},
		{"'policy':'SCHED_BATCH','flags':['x']",
		 "/process/scheduler/flags/0: invalid scheduler flag 'x'"},
		{"'policy':'SCHED_BATCH','nice':20", "invalid scheduler.nice 20"},
		{"'policy':'SCHED_OTHER','nice':-21", "invalid scheduler.nice -21"},
		{"'policy':'SCHED_BATCH','priority':1", "scheduler.priority can only be specified for"},
		{"'policy':'SCHED_FIFO','priority':-1", "invalid scheduler.priority -1"},
		{"'policy':'SCHED_FIFO','priority':100", "invalid scheduler.priority 100"},
		{"'policy':'SCHED_RR','runtime':1",
		 "runtime, deadline and period can only be specified for"},
		{DL "'deadline':20000000", "sched_setattr: `SCHED_DEADLINE` requires `runtime`"},
		{DL "'runtime':20000000", "sched_setattr: `SCHED_DEADLINE` requires `deadline`"},
		{DL "'runtime':0,'deadline':20000000",
		 "sched_setattr: `SCHED_DEADLINE` runtime must be greater than 0"},
		{DL "'runtime':3000,'deadline':2000",
		 "sched_setattr: `SCHED_DEADLINE` runtime (3000) must be <= deadline"},
		{DL "'runtime':1024,'deadline':3000,'period':2000",
		 "deadline (3000) must be <= period (2000)"},
		{DL "'runtime':1023,'deadline':10000000",
		 "sched_setattr: `SCHED_DEADLINE` runtime (1023) must be between"},
		{DL "'runtime':9223372036854775809,'deadline':9223372036854775810",
		 "sched_setattr: `SCHED_DEADLINE` runtime (9223372036854775809) must be between"},
	};
	static const struct row io[] = {
		{"", "required property 'class' is missing"},
		{"'class':'IOPRIO_CLASS_NONE'", "invalid ioPriority.class 'IOPRIO_CLASS_NONE'"},
		{"'class':'IOPRIO_CLASS_BE','priority':8", "invalid ioPriority.priority 8"},
		{"'class':'IOPRIO_CLASS_BE','priority':-1", "invalid ioPriority.priority -1"},
	};
	static const struct row affinity[] = {
		{"'initial':'a'", "/process/execCPUAffinity/initial: invalid CPUs 'a'"},
		{"'final':'3-1'", "/process/execCPUAffinity/final: invalid CPUs '3-1'"},
		{"'final':' , '", "invalid CPUs ' , '"},
		{"'final':'65536'", "numbers above 65535 are not supported"},
		{"'final':[0]", "expected string, found array"},
	};

	(void)state;
	REFUSED(PROC("'scheduler':{%s}"), rows);
	REFUSED(PROC("'ioPriority':{%s}"), io);
	REFUSED(PROC("'execCPUAffinity':{%s}"), affinity);
}

static void test_process_values(void **state)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	const struct skf_spec_process *p;

	(void)state;
	p = good(PROC("'ioPriority':{'class':'IOPRIO_CLASS_IDLE'},'execCPUAffinity':{'initial':'0-1','final'"
		      ":''}"),
		 &a)
		    ->process;
	assert_true(p->io_priority->class == 3 && p->io_priority->priority == 0);
	assert_string_equal(p->affinity_initial, "0-1");
	assert_null(p->affinity_final);
	p = good(PROC("'ioPriority':{'class':'IOPRIO_CLASS_RT','priority':7},'scheduler':null"), &a)
		    ->process;
	assert_true(p->io_priority->class == 1 && p->io_priority->priority == 7);
	assert_null(p->scheduler);
}

static void test_memory_policy(void **state)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	static const struct {
		const char *name;
		int value;
	} modes[] = {{"BIND", 2},
		     {"INTERLEAVE", 3},
		     {"WEIGHTED_INTERLEAVE", 6},
		     {"PREFERRED", 1},
		     {"PREFERRED_MANY", 5}};
	static const struct row rows[] = {
		{"", "/linux/memoryPolicy: invalid memory policy mode"},
		{"'mode':'INTERLEAVE'", "invalid memory policy mode 'INTERLEAVE'"},
		{"'mode':'MPOL_PREFERRED','flags':['MPOL_F_RELATIVE_NODES','x']",
		 "flags/1: invalid memory policy flag 'x'"},
		{"'nodes':'0-7'", "invalid memory policy mode"},
		{"'mode':'MPOL_DEFAULT','nodes':'0-7'", "mode requires 0 nodes but got 8"},
		{"'mode':'MPOL_LOCAL','nodes':'3'", "mode requires 0 nodes but got 1"},
		{"'mode':'MPOL_BIND'", "mode requires at least one node but got 0"},
		{"'mode':'MPOL_BIND','nodes':'0-9876543210'", "invalid memory policy nodes '0-9876543210'"},
		{"'mode':'MPOL_BIND','nodes':'bad'", "invalid memory policy nodes 'bad'"},
	};
	const struct skf_spec_memory_policy *p;
	char doc[256];

	(void)state;
	REFUSED(LINUX("'memoryPolicy':{%s}"), rows);
	for (size_t i = 0; i < SKF_ARRAY_LEN(modes); i++) {
		snprintf(doc, sizeof(doc), LINUX("'memoryPolicy':{'mode':'MPOL_%s','nodes':'0,2'}"),
			 modes[i].name);
		p = good(doc, &a)->linux_.memory_policy;
		assert_int_equal(p->mode, modes[i].value);
		assert_string_equal(p->nodes, "0,2");
	}
	p = good(LINUX("'memoryPolicy':{'mode':'MPOL_LOCAL','flags':['MPOL_F_NUMA_BALANCING','MPOL_F_STATIC_"
		       "NODES']}"),
		 &a)
		    ->linux_.memory_policy;
	assert_int_equal(p->mode, 4);
	assert_int_equal(p->flags, 1 << 13 | 1 << 15);
	assert_null(p->nodes);
	assert_null(good(LINUX("'memoryPolicy':null"), &a)->linux_.memory_policy);
}

static void test_time(void **state)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	static const struct row rows[] = {
		{"'timeOffsets':{'monotonic':{'secs':1}}", "there is no namespace 'time'"},
		{"'namespaces':[{'type':'time','path':'/p'}],'timeOffsets':{'boottime':{'secs':1}}",
		 "keep one of them"},
		{"'namespaces':[{'type':'time'}],'timeOffsets':{'boottime':{'nanosecs':1000000000}}",
		 "/linux/timeOffsets/boottime: expected nanosecs from 0 to 999999999"},
		{"'namespaces':[{'type':'time'}],'timeOffsets':{'boottime':{'secs':'1'}}",
		 "expected integer, found string"},
		{"'timeOffsets':[]", "expected object, found array"},
	};
	const struct skf_spec_time_offset *o;
	const struct skf_spec *s;

	(void)state;
	REFUSED(LINUX("%s"), rows);
	s = good(LINUX("'namespaces':[{'type':'time'}],'timeOffsets':{'boottime':{'secs':-3,'nanosecs':4},"
		       "'monotonic':{'nanosecs':2}}"),
		 &a);
	assert_non_null(skf_spec_ns(s, CLONE_NEWTIME));
	assert_int_equal(s->linux_.time_offsets.n, 2);
	o = s->linux_.time_offsets.v;
	assert_true(o[0].clock == CLOCK_MONOTONIC && o[0].secs == 0 && o[0].nanosecs == 2);
	assert_true(o[1].clock == CLOCK_BOOTTIME && o[1].secs == -3 && o[1].nanosecs == 4);
	assert_int_equal(good(LINUX("'timeOffsets':{}"), &a)->linux_.time_offsets.n, 0);
}

static void test_rdt(void **state)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	static const struct row rows[] = {
		{"'closID':'.'", "/linux/intelRdt/closID: invalid intelRdt.ClosID '.'"},
		{"'closID':'..'", "invalid intelRdt.ClosID '..'"},
		{"'closID':'a/b'", "invalid intelRdt.ClosID 'a/b'"},
		{"'closID':'/a'", "invalid intelRdt.ClosID '/a'"},
		{"'l3CacheSchema':'L3:0=f\\n1=f'", "must not contain a newline"},
		{"'memBwSchema':'0=70'", "begins with 'MB:'"},
		{"'schemata':['L3:0=f','a\\nb']", "/linux/intelRdt/schemata/1: a line of the schemata file"},
		{"'enableMonitoring':1", "expected boolean"},
	};
	const struct skf_spec_intel_rdt *r;

	(void)state;
	REFUSED(LINUX("'intelRdt':{%s}"), rows);
	r = good(LINUX("'intelRdt':{'closID':'/','l3CacheSchema':'L3:0=7f0','memBwSchema':'MB:0=20',"
		       "'schemata':['L2:0=1','L3:0=2'],'enableMonitoring':true}"),
		 &a)
		    ->linux_.intel_rdt;
	assert_string_equal(r->clos_id, "/");
	assert_string_equal(r->l3_schema, "L3:0=7f0");
	assert_string_equal(r->mem_bw_schema, "MB:0=20");
	assert_int_equal(r->schemata.n, 2);
	assert_true(r->enable_monitoring);
	r = good(LINUX("'intelRdt':{'closID':'','enableCMT':true}"), &a)->linux_.intel_rdt;
	assert_true(r && !r->clos_id && !r->enable_monitoring);
}

static void test_devices(void **state)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	static const struct row net[] = {
		{"'a/b':{}", "invalid network device name 'a/b'"},
		{"'a b':{}", "invalid network device name 'a b'"},
		{"'a:b':{}", "invalid network device name 'a:b'"},
		{"'..':{}", "invalid network device name '..'"},
		{"'':{}", "invalid network device name ''"},
		{"'0123456789abcdef':{}", "invalid network device name '0123456789abcdef'"},
		{"'eth0':{'name':'.'}", "/linux/netDevices/eth0/name: invalid network device name '.'"},
		{"'eth0':{'name':'e'},'eth1':{'name':'e'}",
		 "invalid network device name 'e': 'eth0' gets it already"},
		{"'eth0':{'name':'eth1'},'eth1':{}", "'eth0' gets it already"},
		{"'eth0':'e'", "expected object, found string"},
		{"'eth0':{}", "unable to move network devices without a NET namespace"},
	};
	static const struct row rdma[] = {
		{"'a b':{}", "invalid rdma device name 'a b'"},
		{"'a\\nb':{}", "invalid rdma device name"},
		{"'':{}", "invalid rdma device name ''"},
		{"'m':{'hcaHandles':-1}", "/linux/resources/rdma/m/hcaHandles: expected"},
	};
	const struct skf_spec_net_device *d;
	const struct skf_spec_rdma *r;
	const struct skf_spec *s;

	(void)state;
	REFUSED(LINUX("'netDevices':{%s}"), net);
	REFUSED(LINUX("'resources':{'rdma':{%s}}"), rdma);
	s = good(LINUX("'namespaces':[{'type':'network'}],'netDevices':{'eth0':{'name':'eth1'},'eth1':{'"
		       "name':'eth0'},"
		       "'a':{},'b':{'name':''},'c':{}},"
		       "'resources':{'rdma':{'mlx5_1':{'hcaHandles':3,'hcaObjects':10000},'m2':{'hcaObjects'"
		       ":1},'m3':{}}}"),
		 &a);
	d = s->linux_.net_devices.v;
	assert_int_equal(s->linux_.net_devices.n, 5);
	assert_string_equal(d[0].host_name, "eth0");
	assert_string_equal(d[0].name, "eth1");
	assert_string_equal(d[4].host_name, "c");
	assert_null(d[3].name);
	r = s->linux_.resources.rdma.v;
	assert_int_equal(s->linux_.resources.rdma.n, 3);
	assert_string_equal(r[0].name, "mlx5_1");
	assert_true(r[0].has_handles && r[0].handles == 3 && r[0].has_objects && r[0].objects == 10000);
	assert_true(!r[1].has_handles && r[1].has_objects && !r[2].has_objects);
}

static void test_personality(void **state)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	const struct skf_spec_linux *l =
		&good(LINUX("'personality':{'domain':'LINUX32','flags':[]}"), &a)->linux_;
	struct skf_err e = SKF_ERR_INIT;
	struct skf_spec *s;

	(void)state;
	assert_true(l->has_personality && l->personality == PER_LINUX32);
	l = &good(LINUX("'personality':{'domain':'LINUX'}"), &a)->linux_;
	assert_true(l->has_personality && l->personality == PER_LINUX);
	assert_false(good(LINUX("'personality':null"), &a)->linux_.has_personality);
	assert_int_equal(
		parse("{'ociVersion':'1.3.0','linux':{'personality':{'domain':'LINUX','flags':['x']}}}", &a,
		      &s, &e),
		-1);
	assert_int_equal(e.kind, SKF_EUNSUPPORTED);
}

static void test_user_sysctl(void **state)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	static const struct row rows[] = {
		{"'user.max_user_namespaces':'1'", "is not allowed without a user namespace"},
	};

	(void)state;
	REFUSED(LINUX("'sysctl':{%s}"), rows);
	good(LINUX("'namespaces':[{'type':'user','path':'/p'}],'sysctl':{'user.max_user_namespaces':'1'}"),
	     &a);
}

/* What is written for state.json is read back as it was. */
static void test_written_back(void **state)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(1u << 16), m = SKF_BUF(1u << 16);
	struct skf_jw w = SKF_JW(&b), wm = SKF_JW(&m);
	struct skf_err e = SKF_ERR_INIT;
	struct skf_spec_process *p;
	struct skf_spec_linux *l;
	const struct skf_spec *s = good(
		PROC("'scheduler':{" DL
		     "'flags':['SCHED_FLAG_RESET_ON_FORK','SCHED_FLAG_RECLAIM'],'runtime':2000,"
		     "'deadline':3000,'period':4000},'ioPriority':{'class':'IOPRIO_CLASS_BE','priority':5},"
		     "'execCPUAffinity':{'final':'1-2'}") "," LINUX("'memoryPolicy':{'mode':'MPOL_BIND','"
								    "nodes':'0','flags':['MPOL_F_STATIC_"
								    "NODES']}"),
		&a);

	(void)state;
	skf_jw_obj(&w);
	skf_jw_kstr(&w, "cwd", "/");
	skf_spec_write_scheduling(&w, s->process);
	skf_jw_end(&w);
	if (skf_spec_parse_process(skf_buf_cstr(&b), b.len, &opts, &a, &p, &e) < 0)
		fail_msg("%s: %s", skf_buf_cstr(&b), e.msg);
	assert_memory_equal(p->scheduler, s->process->scheduler, sizeof(*p->scheduler));
	assert_memory_equal(p->io_priority, s->process->io_priority, sizeof(*p->io_priority));
	assert_null(p->affinity_initial);
	assert_string_equal(p->affinity_final, "1-2");
	skf_jw_obj(&wm);
	skf_spec_write_memory_policy(&wm, s->linux_.memory_policy);
	skf_jw_end(&wm);
	if (skf_spec_parse_linux(skf_buf_cstr(&m), m.len, &opts, &a, &l, &e) < 0)
		fail_msg("%s: %s", skf_buf_cstr(&m), e.msg);
	assert_int_equal(l->memory_policy->mode, 2);
	assert_int_equal(l->memory_policy->flags, 1 << 15);
	assert_string_equal(l->memory_policy->nodes, "0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scheduler_values),
		cmocka_unit_test(test_scheduler_refused),
		cmocka_unit_test(test_process_values),
		cmocka_unit_test(test_memory_policy),
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_rdt),
		cmocka_unit_test(test_devices),
		cmocka_unit_test(test_personality),
		cmocka_unit_test(test_user_sysctl),
		cmocka_unit_test(test_written_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
