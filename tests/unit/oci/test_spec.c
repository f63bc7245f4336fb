/* Decoding of config.json: documents that engines write, and one bad document per rule with the exact place
 * of its error. */
#include "oci_test.h"
#include "oci/spec.h"
#include <fcntl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

static const struct skf_spec_opts opts = {.log = NULL, .name = "config.json"};

static int parse(const char *quoted, struct skf_arena *a, struct skf_spec **s, struct skf_err *e)
{
	SKF_AUTO_FREE char *text = json_text(quoted);

	return skf_spec_parse(text, strlen(text), &opts, a, s, e);
}

static void must_fail(const char *doc, enum skf_kind kind, const char *msg)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_spec *s = (void *)1;
	struct skf_err e = SKF_ERR_INIT;

	if (parse(doc, &a, &s, &e) == 0)
		fail_msg("accepted: %s", doc);
	if (e.kind != kind || strcmp(e.msg, msg) != 0)
		fail_msg("%s\n  found    [%s] %s\n  expected [%s] %s", doc, skf_kind_name(e.kind), e.msg,
			 skf_kind_name(kind), msg);
	assert_ptr_equal(s, (void *)1);
}

static void must_pass(const char *doc)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_spec *s;
	struct skf_err e = SKF_ERR_INIT;

	if (parse(doc, &a, &s, &e) < 0)
		fail_msg("%s\n  %s", doc, e.msg);
}

struct row {
	const char *members;
	enum skf_kind kind;
	const char *msg; /* after "config.json: " */
};

static void run(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char doc[4096], msg[1024];
		snprintf(doc, sizeof(doc), "{'ociVersion':'1.0.2',%s}", rows[i].members);
		snprintf(msg, sizeof(msg), "config.json: %s", rows[i].msg);
		must_fail(doc, rows[i].kind, msg);
	}
}
#define RUN(rows) run(rows, SKF_ARRAY_LEN(rows))
#define PROC(m)   "'process':{'cwd':'/'," m "}"
#define LINUX(m)  "'linux':{" m "}"
#define RES(m)    "'linux':{'resources':{" m "}}"
#define SECC(m)   "'linux':{'seccomp':{" m "}}"
#define UNSUP     "this property is not supported by skiff; remove it"
#define ID_RULE   "expected an id below 4294967295, which means 'no change' to the kernel"

/* --- the top --- */
static void test_versions(void **state)
{
	(void)state;
	must_pass("{'ociVersion':'1.0.0'}");
	must_pass("{'ociVersion':'1.0.2-dev'}");
	must_pass("{'ociVersion':'1.3.0'}");
	must_pass("{'ociVersion':'1.4.0+later'}");
	must_fail("{}", SKF_EINVALID, "config.json: required property 'ociVersion' is missing");
	must_fail("{'ociVersion':null}", SKF_EINVALID,
		  "config.json: /ociVersion: expected string, found null");
	must_fail("{'ociVersion':1}", SKF_EINVALID, "config.json: /ociVersion: expected string, found 1");
	must_fail("{'ociVersion':''}", SKF_EINVALID,
		  "config.json: /ociVersion: expected a version such as '1.0.2', found ''");
	must_fail("{'ociVersion':'1'}", SKF_EINVALID,
		  "config.json: /ociVersion: expected a version such as '1.0.2', found '1'");
	must_fail("{'ociVersion':'2.0.0'}", SKF_EUNSUPPORTED,
		  "config.json: /ociVersion: version '2.0.0' is not supported; skiff reads 1.0.0 to 1.3.0 "
		  "and compatible 1.x");
	must_fail("{'ociVersion':'0.9.0'}", SKF_EUNSUPPORTED,
		  "config.json: /ociVersion: version '0.9.0' is not supported; skiff reads 1.0.0 to 1.3.0 "
		  "and compatible 1.x");
	must_fail("{'ociVersion':'10.0.0'}", SKF_EUNSUPPORTED,
		  "config.json: /ociVersion: version '10.0.0' is not supported; skiff reads 1.0.0 to 1.3.0 "
		  "and compatible 1.x");
}

static void test_top(void **state)
{
	static const struct row rows[] = {
		{"'root':{}", SKF_EINVALID, "/root: required property 'path' is missing"},
		{"'root':{'path':''}", SKF_EINVALID, "/root/path: expected a non-empty string, found \"\""},
		{"'root':{'path':'r','readonly':'yes'}", SKF_EINVALID,
		 "/root/readonly: expected boolean, found string"},
		{"'hostname':'h'", SKF_EINVALID,
		 "/hostname: unable to set hostname without a private UTS namespace; add namespace 'uts'"},
		{"'domainname':'d'", SKF_EINVALID,
		 "/domainname: unable to set domainname without a private UTS namespace; add namespace "
		 "'uts'"},
		{"'hostname':'12345678901234567890123456789012345678901234567890123456789012345'",
		 SKF_EINVALID, "/hostname: expected at most 64 bytes, found 65"},
		{"'annotations':{'':'x'}", SKF_EINVALID,
		 "/annotations/: the key of an annotation must not be empty"},
		{"'annotations':{'a':1}", SKF_EINVALID, "/annotations/a: expected string, found 1"},
		{"'vm':{'kernel':{'path':'/k'}}", SKF_EUNSUPPORTED, "/vm: " UNSUP},
		{"'windows':{'layerFolders':[]}", SKF_EUNSUPPORTED, "/windows: " UNSUP},
		{"'solaris':{'milestone':'x'}", SKF_EUNSUPPORTED, "/solaris: " UNSUP},
		{"'freebsd':{'jail':{}}", SKF_EUNSUPPORTED, "/freebsd: " UNSUP},
		{"'zos':{'namespaces':[]}", SKF_EUNSUPPORTED, "/zos: " UNSUP},
		{"'mounts':[{'destination':'/a'},{'type':'proc'}]", SKF_EINVALID,
		 "/mounts/1: required property 'destination' is missing"},
		{"'mounts':[{'destination':''}]", SKF_EINVALID,
		 "/mounts/0/destination: expected a non-empty string, found \"\""},
		{"'mounts':[{'destination':'/a','options':['ro',3]}]", SKF_EINVALID,
		 "/mounts/0/options/1: expected string, found 3"},
		{"'mounts':[{'destination':'/a','type':'tmpfs','options':['idmap']}]", SKF_EINVALID,
		 "/mounts/0: mount at '/a': id-mapped mounts are only supported for bind-mounts; add option "
		 "'bind'"},
		{"'mounts':[{'destination':'/a','options':['bind','idmap=uids']}]", SKF_EINVALID,
		 "/mounts/0: options of the mount at '/a': option 'idmap=uids': expected 'uids=' or 'gids=' "
		 "after 'idmap='"},
		{"'mounts':[{'destination':'/"
		 "a','options':['bind'],'uidMappings':[{'containerID':0,'hostID':0,"
		 "'size':1}]}]",
		 SKF_EINVALID,
		 "/mounts/0: mount at '/a': id-mapped mounts must have both uid and gid mappings specified"},
		{"'mounts':[{'destination':'/a','type':'bind','options':['rbind','size=1']}]", SKF_EINVALID,
		 "/mounts/0: mount at '/a': bind mounts cannot have any filesystem-specific options "
		 "applied; "
		 "remove 'size=1'"},
		{"'mounts':[{'destination':'/a','options':['shared','private']}]", SKF_EINVALID,
		 "/mounts/0: options of the mount at '/a': option 'private' contradicts an earlier one: a "
		 "mount has one kind of "
		 "propagation; keep one"},
		{"'hooks':{'prestart':[{}]}", SKF_EINVALID,
		 "/hooks/prestart/0: required property 'path' is missing"},
		{"'hooks':{'poststop':[{'path':'bin/x'}]}", SKF_EINVALID,
		 "/hooks/poststop/0/path: expected absolute path, found 'bin/x'"},
		{"'hooks':{'createRuntime':[{'path':'/x','timeout':0}]}", SKF_EINVALID,
		 "/hooks/createRuntime/0/timeout: expected a number of seconds above 0, found 0; leave it "
		 "out for the default"},
		{"'linux':[]", SKF_EINVALID, "/linux: expected object, found array"},
		{"'process':{}", SKF_EINVALID, "/process: required property 'cwd' is missing"},
	};

	(void)state;
	RUN(rows);
}

static void test_syntax(void **state)
{
	static const char *const bad[] = {"",
					  "{",
					  "[]",
					  "null",
					  "{'ociVersion':'1.0.2'} x",
					  "{'ociVersion':'1.0.2',}",
					  "{'ociVersion':'1.0.2','ociVersion':'1.0.2'}",
					  "{'ociVersion':'1.0\\u0000.2'}"};

	(void)state;
	for (size_t i = 0; i < SKF_ARRAY_LEN(bad); i++) {
		SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
		struct skf_spec *s;
		struct skf_err e = SKF_ERR_INIT;
		assert_int_equal(parse(bad[i], &a, &s, &e), -1);
		assert_int_equal(e.kind, SKF_EINVALID);
		assert_memory_equal(e.msg, "config.json: ", 13);
	}
}

/* --- process --- */
static void test_process(void **state)
{
	static const struct row rows[] = {
		{"'process':{'cwd':'x'}", SKF_EINVALID, "/process/cwd: expected absolute path, found 'x'"},
		{"'process':{'cwd':''}", SKF_EINVALID, "/process/cwd: expected absolute path, found ''"},
		{PROC("'user':{'uid':-1}"), SKF_EINVALID,
		 "/process/user/uid: expected unsigned integer, found -1"},
		{PROC("'user':{'uid':4294967295}"), SKF_EINVALID, "/process/user/uid: " ID_RULE},
		{PROC("'user':{'uid':4294967296}"), SKF_EINVALID,
		 "/process/user/uid: expected unsigned integer up to 4294967295, found 4294967296"},
		{PROC("'user':{'uid':'0'}"), SKF_EINVALID,
		 "/process/user/uid: expected unsigned integer, found string"},
		{PROC("'user':{'uid':1.5}"), SKF_EINVALID,
		 "/process/user/uid: expected unsigned integer, found number 1.5"},
		{PROC("'user':{'gid':4294967295}"), SKF_EINVALID, "/process/user/gid: " ID_RULE},
		{PROC("'user':{'additionalGids':[1,4294967295]}"), SKF_EINVALID,
		 "/process/user/additionalGids/1: " ID_RULE},
		{PROC("'user':{'umask':512}"), SKF_EINVALID,
		 "/process/user/umask: expected a file mode mask of at most 511 (octal 777), found 512"},
		{PROC("'env':['A=1','B']"), SKF_EINVALID,
		 "/process/env/1: invalid environment variable 'B': expected NAME=value"},
		{PROC("'env':['=x']"), SKF_EINVALID,
		 "/process/env/0: invalid environment variable '=x': its name is empty"},
		{PROC("'args':'sh'"), SKF_EINVALID,
		 "/process/args: expected array of strings, found string"},
		{PROC("'args':['sh',null]"), SKF_EINVALID, "/process/args/1: expected string, found null"},
		{PROC("'rlimits':[{'type':'RLIMIT_X','hard':1,'soft':1}]"), SKF_EINVALID,
		 "/process/rlimits/0/type: expected one of 'RLIMIT_AS', 'RLIMIT_CORE', 'RLIMIT_CPU', "
		 "'RLIMIT_DATA', "
		 "'RLIMIT_FSIZE', 'RLIMIT_LOCKS', 'RLIMIT_MEMLOCK', 'RLIMIT_MSGQUEUE', 'RLIMIT_NICE', "
		 "'RLIMIT_NOFILE', "
		 "'RLIMIT_NPROC', 'RLIMIT_RSS', 'RLIMIT_RTPRIO', 'RLIMIT_RTTIME', 'RLIMIT_SIGPENDING', "
		 "'RLIMIT_STACK', "
		 "found 'RLIMIT_X'"},
		{PROC("'rlimits':[{'type':'RLIMIT_CORE','hard':1}]"), SKF_EINVALID,
		 "/process/rlimits/0: required property 'soft' is missing"},
		{PROC("'rlimits':[{'type':'RLIMIT_CORE','hard':1,'soft':1},{'type':'RLIMIT_CPU','hard':1,'"
		      "soft':1},"
		      "{'type':'RLIMIT_CORE','hard':2,'soft':2}]"),
		 SKF_EINVALID,
		 "/process/rlimits/2: RLIMIT_CORE is already set by entry 0; keep one of them"},
		{PROC("'rlimits':[{'type':'RLIMIT_CORE','hard':1,'soft':2}]"), SKF_EINVALID,
		 "/process/rlimits/0: the soft limit 2 is above the hard limit 1; lower it"},
		{PROC("'rlimits':[{'type':'RLIMIT_CORE','hard':1,'soft':'2'}]"), SKF_EINVALID,
		 "/process/rlimits/0/soft: expected unsigned integer, found string"},
		{PROC("'oomScoreAdj':1001"), SKF_EINVALID,
		 "/process/oomScoreAdj: expected a value from -1000 to 1000, found 1001"},
		{PROC("'terminal':true,'consoleSize':{'height':70000,'width':1}"), SKF_EINVALID,
		 "/process: consoleSize 70000x1 is too large; a terminal has at most 65535 rows and "
		 "columns"},
		{PROC("'consoleSize':{'height':1}"), SKF_EINVALID,
		 "/process/consoleSize: required property 'width' is missing"},
		{PROC("'capabilities':['CAP_CHOWN']"), SKF_EINVALID,
		 "/process/capabilities: expected object, found array"},
		{PROC("'capabilities':{'ambient':[1]}"), SKF_EINVALID,
		 "/process/capabilities/ambient/0: expected string, found 1"},
	};

	(void)state;
	RUN(rows);
	must_pass("{'ociVersion':'1.0.2'," PROC("'consoleSize':{'height':70000,'width':1}") "}");
	must_pass("{'ociVersion':'1.0.2'," PROC(
		"'execCPUAffinity':{},'scheduler':null,'commandLine':'x','user':{'username':'u'}") "}");
}

static void test_process_values(void **state)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	SKF_AUTO_FREE char *text = json_text("{'terminal':true,'consoleSize':{'height':24,'width':80},'cwd':"
					     "'/w','args':['a','b'],'env':['A=','B=x=y'],"
					     "'user':{'uid':4294967294,'gid':7,'umask':18,'additionalGids':["
					     "1,2,3,4,5,6,7,8,9,10]},'noNewPrivileges':true,"
					     "'capabilities':{'bounding':['CAP_CHOWN','CAP_CHECKPOINT_"
					     "RESTORE','CAP_NOPE','CAP_chown','chown'],"
					     "'effective':['CAP_CHOWN','CAP_NOPE'],'ambient':null},"
					     "'rlimits':[{'type':'RLIMIT_NOFILE','hard':"
					     "18446744073709551615,'soft':5}],'oomScoreAdj':-500,"
					     "'apparmorProfile':'p','selinuxLabel':'l'}");
	struct skf_spec_process *p;
	struct skf_err e = SKF_ERR_INIT;
	const struct skf_spec_rlimit *l;

	(void)state;
	assert_int_equal(skf_spec_parse_process(text, strlen(text), &opts, &a, &p, &e), 0);
	assert_true(p->terminal && p->has_console_size && p->no_new_privs && p->has_caps &&
		    p->has_oom_score_adj);
	assert_int_equal(p->console_size.height, 24);
	assert_int_equal(p->user.uid, 4294967294u);
	assert_int_equal(p->user.gid, 7);
	assert_true(p->user.has_umask && p->user.umask == 022);
	assert_int_equal(p->user.n_gids, 10);
	for (uint32_t i = 0; i < 10; i++)
		assert_int_equal(p->user.gids[i], i + 1);
	assert_int_equal(p->args.n, 2);
	assert_null(p->args.v[2]);
	assert_string_equal(p->env.v[1], "B=x=y");
	assert_int_equal(p->caps.bounding, 1 | UINT64_C(1) << 40);
	assert_int_equal(p->caps.effective, 1);
	assert_int_equal(p->caps.permitted | p->caps.inheritable | p->caps.ambient, 0);
	assert_int_equal(p->caps.unknown.n, 3);
	assert_string_equal(p->caps.unknown.v[0], "CAP_NOPE");
	l = p->rlimits.v;
	assert_int_equal(l->type, RLIMIT_NOFILE);
	assert_true(l->hard == UINT64_MAX && l->soft == 5);
	assert_int_equal(p->oom_score_adj, -500);
	assert_string_equal(p->apparmor_profile, "p");
	assert_string_equal(p->selinux_label, "l");
}

/* --- linux --- */
static void test_linux(void **state)
{
	static const struct row rows[] = {
		{LINUX("'namespaces':[{'type':'net'}]"), SKF_EINVALID,
		 "/linux/namespaces/0/type: expected one of 'cgroup', 'ipc', 'mount', 'network', 'pid', "
		 "'time', 'user', 'uts', "
		 "found 'net'"},
		{LINUX("'namespaces':[{'type':'pid'},{'type':'ipc'},{'type':'pid','path':'/p'}]"),
		 SKF_EINVALID,
		 "/linux/namespaces/2: namespace 'pid' is already named by entry 0; keep one of them"},
		{LINUX("'namespaces':[{'type':'pid','path':'p'}]"), SKF_EINVALID,
		 "/linux/namespaces/0/path: expected absolute path, found 'p'"},
		{LINUX("'personality':{'domain':'BSD'}"), SKF_EINVALID,
		 "/linux/personality/domain: expected one of 'LINUX', 'LINUX32', found 'BSD'"},
		{LINUX("'uidMappings':[{'containerID':0,'hostID':0,'size':1}]"), SKF_EINVALID,
		 "/linux/uidMappings: mappings are given, but there is no namespace 'user'; add it or "
		 "remove them"},
		{LINUX("'gidMappings':[{'containerID':0,'hostID':0,'size':1}]"), SKF_EINVALID,
		 "/linux/gidMappings: mappings are given, but there is no namespace 'user'; add it or "
		 "remove them"},
		{LINUX("'namespaces':[{'type':'user'}],'gidMappings':[{'containerID':0,'hostID':0,'size':1}"
		       "]"),
		 SKF_EINVALID,
		 "/linux/uidMappings: a new user namespace is asked for with gid mappings, but no uid "
		 "mappings are "
		 "given; add them"},
		{LINUX("'namespaces':[{'type':'user'}],'uidMappings':[{'containerID':0,'hostID':0,'size':1}"
		       "]"),
		 SKF_EINVALID,
		 "/linux/gidMappings: a new user namespace is asked for with uid mappings, but no gid "
		 "mappings are "
		 "given; add them"},
		{LINUX("'uidMappings':[{'containerID':0,'hostID':0,'size':0}]"), SKF_EINVALID,
		 "/linux/uidMappings/0: a mapping of size 0 maps nothing; expected a size of at least 1"},
		{LINUX("'uidMappings':[{'containerID':1,'hostID':4294967295,'size':1}]"), SKF_EINVALID,
		 "/linux/uidMappings/0: the mapping goes past the last id 4294967294; make its size "
		 "smaller"},
		{LINUX("'uidMappings':[{'containerID':1,'hostID':1}]"), SKF_EINVALID,
		 "/linux/uidMappings/0: required property 'size' is missing"},
		{LINUX("'maskedPaths':['/x']"), SKF_EINVALID,
		 "/linux/maskedPaths: unable to mask paths without a private mount namespace; add namespace "
		 "'mount'"},
		{LINUX("'readonlyPaths':['/x']"), SKF_EINVALID,
		 "/linux/readonlyPaths: unable to make paths read-only without a private mount namespace; "
		 "add namespace 'mount'"},
		{LINUX("'maskedPaths':['/x','y']"), SKF_EINVALID,
		 "/linux/maskedPaths/1: expected an absolute path, found 'y'"},
		{LINUX("'rootfsPropagation':'public'"), SKF_EINVALID,
		 "/linux/rootfsPropagation: expected private, slave, shared or unbindable (or with a "
		 "leading 'r'), found 'public'"},
		{LINUX("'devices':[{'path':'/dev/x','type':'c','major':1}]"), SKF_EINVALID,
		 "/linux/devices/0: device '/dev/x' of type 'c' needs major and minor"},
		{LINUX("'devices':[{'path':'/dev/x','type':'d'}]"), SKF_EINVALID,
		 "/linux/devices/0/type: expected one letter of 'cbup', found 'd'"},
		{LINUX("'devices':[{'path':'/dev/x','type':''}]"), SKF_EINVALID,
		 "/linux/devices/0/type: expected one letter of 'cbup', found ''"},
		{LINUX("'devices':[{'path':'dev/x','type':'p'}]"), SKF_EINVALID,
		 "/linux/devices/0/path: expected absolute path, found 'dev/x'"},
		{LINUX("'devices':[{'path':'/dev/x','type':'b','major':-1,'minor':0}]"), SKF_EINVALID,
		 "/linux/devices/0: device '/dev/x': no device can have the numbers -1:0"},
		{LINUX("'devices':[{'path':'/dev/x','type':'b','major':1,'minor':1048576}]"), SKF_EINVALID,
		 "/linux/devices/0: device '/dev/x': no device can have the numbers 1:1048576"},
	};

	(void)state;
	RUN(rows);
	must_pass("{'ociVersion':'1.0.2'," LINUX(
		"'personality':{'domain':'LINUX'},'timeOffsets':{},'netDevices':null") "}");
	must_pass("{'ociVersion':'1.0.2'," LINUX(
		"'namespaces':[{'type':'user','path':'/proc/1/ns/user'}]") "}");
	must_pass("{'ociVersion':'1.0.2','hostname':'h','domainname':'d'," LINUX(
		"'namespaces':[{'type':'uts','path':''}]") "}");
}

static void test_sysctl(void **state)
{
	static const struct row rows[] = {
		{LINUX("'sysctl':{'kernel.sem':'1'}"), SKF_EINVALID,
		 "/linux/sysctl: sysctl 'kernel.sem' is not allowed in the host's ipc namespace; add "
		 "namespace 'ipc'"},
		{LINUX("'sysctl':{'fs/mqueue/msg_max':'1'}"), SKF_EINVALID,
		 "/linux/sysctl: sysctl 'fs/mqueue/msg_max' is not allowed in the host's ipc namespace; add "
		 "namespace 'ipc'"},
		{LINUX("'sysctl':{'net.ipv4.ip_forward':'1'}"), SKF_EINVALID,
		 "/linux/sysctl: sysctl 'net.ipv4.ip_forward' is not allowed in the host's network "
		 "namespace; add namespace "
		 "'network'"},
		{LINUX("'namespaces':[{'type':'uts'}],'sysctl':{'kernel.hostname':'x'}"), SKF_EINVALID,
		 "/linux/sysctl: sysctl 'kernel.hostname' is not allowed as it conflicts with the property "
		 "'hostname'; use that"},
		{LINUX("'sysctl':{'kernel.domainname':'x'}"), SKF_EINVALID,
		 "/linux/sysctl: sysctl 'kernel.domainname' is not in a separate kernel namespace; set it "
		 "on the host"},
		{LINUX("'sysctl':{'kernel.core_pattern':'x'}"), SKF_EINVALID,
		 "/linux/sysctl: sysctl 'kernel.core_pattern' is not in a separate kernel namespace; set it "
		 "on the host"},
		{LINUX("'namespaces':[{'type':'network'}],'sysctl':{'net/../kernel/core_pattern':'x'}"),
		 SKF_EINVALID,
		 "/linux/sysctl: sysctl 'net/../kernel/core_pattern' is not a valid name; expected words "
		 "joined by '.'"},
		{LINUX("'namespaces':[{'type':'network'}],'sysctl':{'net.//.kernel.core_pattern':'x'}"),
		 SKF_EINVALID,
		 "/linux/sysctl: sysctl 'net.//.kernel.core_pattern' is not a valid name; expected words "
		 "joined by '.'"},
		{LINUX("'sysctl':{'':'x'}"), SKF_EINVALID,
		 "/linux/sysctl: sysctl '' is not a valid name; expected words joined by '.'"},
		{LINUX("'sysctl':{'kernel.sem':1}"), SKF_EINVALID,
		 "/linux/sysctl/kernel.sem: expected string, found 1"},
	};
	char path[64];

	(void)state;
	RUN(rows);
	must_pass("{'ociVersion':'1.0.2'," LINUX(
		"'namespaces':[{'type':'ipc'},{'type':'network'},{'type':'uts'}],'sysctl':{"
		"'kernel.shmmax':'1','fs.mqueue.msg_max':'1','net.ipv4.ip_forward':'1',"
		"'net/ipv4/conf/eth0.5/rp_filter':'1','kernel.domainname':'x'}") "}");
	assert_int_equal(skf_spec_sysctl_path("net.ipv4.conf.eno2/100.rp_filter", path, sizeof(path)), 0);
	assert_string_equal(path, "net/ipv4/conf/eno2.100/rp_filter");
	assert_int_equal(skf_spec_sysctl_path("net/ipv4/conf/eno2.100/rp_filter", path, sizeof(path)), 0);
	assert_string_equal(path, "net/ipv4/conf/eno2.100/rp_filter");
	assert_int_equal(skf_spec_sysctl_path("kernel.msgmax", path, 13), -ENAMETOOLONG);
	assert_int_equal(skf_spec_sysctl_path("kernel.msgmax", path, 14), 0);
	assert_int_equal(skf_spec_sysctl_path("kernel..msgmax", path, sizeof(path)), -EINVAL);
	assert_int_equal(skf_spec_sysctl_path(".kernel", path, sizeof(path)), -EINVAL);
	assert_int_equal(skf_spec_sysctl_path("kernel.", path, sizeof(path)), -EINVAL);
	assert_int_equal(skf_spec_sysctl_path("/etc/passwd", path, sizeof(path)), -EINVAL);
	assert_int_equal(skf_spec_sysctl_path("net.a\nb", path, sizeof(path)), -EINVAL);
}

static void test_linux_values(void **state)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_spec *s;
	struct skf_err e = SKF_ERR_INIT;
	const struct skf_spec_device *d;
	const struct skf_idmap *m;

	(void)state;
	if (parse("{'ociVersion':'1.1.0','root':{'path':'rootfs','readonly':true},'linux':{"
		  "'namespaces':[{'type':'user'},{'type':'mount'},{'type':'network','path':'/run/n'}],"
		  "'uidMappings':[{'containerID':0,'hostID':1000,'size':1},{'containerID':1,'hostID':100000,"
		  "'size':65536}],"
		  "'gidMappings':[{'containerID':0,'hostID':1000,'size':1}],'rootfsPropagation':'rslave',"
		  "'devices':[{'path':'/dev/"
		  "fuse','type':'c','major':10,'minor':229,'fileMode':8630,'uid':3,'gid':null},"
		  "{'path':'/p','type':'p'}],'cgroupsPath':'/x/y','mountLabel':'','maskedPaths':['/"
		  "a'],'readonlyPaths':null}}",
		  &a, &s, &e) < 0)
		fail_msg("%s", e.msg);
	assert_string_equal(s->root_path, "rootfs");
	assert_true(s->root_readonly);
	assert_null(s->process);
	assert_non_null(skf_spec_ns(s, CLONE_NEWUSER));
	assert_null(skf_spec_ns(s, CLONE_NEWUSER)->path);
	assert_string_equal(skf_spec_ns(s, CLONE_NEWNET)->path, "/run/n");
	assert_null(skf_spec_ns(s, CLONE_NEWPID));
	assert_int_equal(s->linux_.uid_mappings.n, 2);
	m = s->linux_.uid_mappings.v;
	assert_int_equal(m[1].host_id, 100000);
	assert_true(s->linux_.rootfs_propagation == (MS_SLAVE | MS_REC));
	assert_int_equal(s->linux_.devices.n, 2);
	d = s->linux_.devices.v;
	assert_true(d[0].has_mode && d[0].mode == 0666 && d[0].type == 'c' && d[0].uid == 3 &&
		    d[0].gid == 0);
	assert_true(d[0].major == 10 && d[0].minor == 229);
	assert_true(!d[1].has_mode && d[1].type == 'p');
	assert_string_equal(s->linux_.cgroups_path, "/x/y");
	assert_false(s->linux_.has_resources);
	assert_int_equal(s->linux_.readonly_paths.n, 0);
}

static void test_resources(void **state)
{
	static const struct row rows[] = {
		{RES("'devices':[{'type':'c'}]"), SKF_EINVALID,
		 "/linux/resources/devices/0: required property 'allow' is missing"},
		{RES("'devices':[{'allow':true,'type':'p'}]"), SKF_EINVALID,
		 "/linux/resources/devices/0/type: expected one letter of 'abc', found 'p'"},
		{RES("'devices':[{'allow':true,'access':'rx'}]"), SKF_EINVALID,
		 "/linux/resources/devices/0/access: expected letters of 'rwm', each once, found 'rx'"},
		{RES("'devices':[{'allow':true,'access':'rwa'}]"), SKF_EINVALID,
		 "/linux/resources/devices/0: access of an allowed device: expected letters of 'rwm', found "
		 "'rwa'"},
		{RES("'devices':[{'allow':true,'access':'rr'}]"), SKF_EINVALID,
		 "/linux/resources/devices/0/access: expected letters of 'rwm', each once, found 'rr'"},
		{RES("'devices':[{'allow':true,'major':-2}]"), SKF_EINVALID,
		 "/linux/resources/devices/0: device numbers start at 0, and -1 means any; found -2:0"},
		{RES("'memory':{'limit':-2}"), SKF_EINVALID,
		 "/linux/resources/memory/limit: expected -1 (no limit) or a number from 0, found -2"},
		{RES("'memory':{'swappiness':101}"), SKF_EINVALID,
		 "/linux/resources/memory/swappiness: expected a value from 0 to 100, found 101"},
		{RES("'memory':{'limit':9223372036854775808}"), SKF_EINVALID,
		 "/linux/resources/memory/limit: expected integer from -9223372036854775808 to "
		 "9223372036854775807, found "
		 "9223372036854775808"},
		{RES("'cpu':{'idle':2}"), SKF_EINVALID,
		 "/linux/resources/cpu/idle: expected 0 (not idle) or 1 (idle), found 2"},
		{RES("'cpu':{'shares':-1}"), SKF_EINVALID,
		 "/linux/resources/cpu/shares: expected unsigned integer, found -1"},
		{RES("'pids':{'limit':'5'}"), SKF_EINVALID,
		 "/linux/resources/pids/limit: expected integer, found string"},
		{RES("'blockIO':{'weight':65536}"), SKF_EINVALID,
		 "/linux/resources/blockIO/weight: expected a number from 0 to 65535, found 65536"},
		{RES("'blockIO':{'throttleReadBpsDevice':[{'major':8,'rate':1}]}"), SKF_EINVALID,
		 "/linux/resources/blockIO/throttleReadBpsDevice/0: required property 'minor' is missing"},
		{RES("'hugepageLimits':[{'pageSize':'../x','limit':1}]"), SKF_EINVALID,
		 "/linux/resources/hugepageLimits/0/pageSize: expected a page size such as '64KB', '2MB' or "
		 "'1GB', found '../x'"},
		{RES("'hugepageLimits':[{'pageSize':'02MB','limit':1}]"), SKF_EINVALID,
		 "/linux/resources/hugepageLimits/0/pageSize: expected a page size such as '64KB', '2MB' or "
		 "'1GB', found '02MB'"},
		{RES("'hugepageLimits':[{'pageSize':'2M','limit':1}]"), SKF_EINVALID,
		 "/linux/resources/hugepageLimits/0/pageSize: expected a page size such as '64KB', '2MB' or "
		 "'1GB', found '2M'"},
		{RES("'hugepageLimits':[{'pageSize':'2MB'}]"), SKF_EINVALID,
		 "/linux/resources/hugepageLimits/0: required property 'limit' is missing"},
		{RES("'network':{'priorities':[{'name':'a/b','priority':1}]}"), SKF_EINVALID,
		 "/linux/resources/network/priorities/0/name: expected the name of a network interface, "
		 "found 'a/b'"},
		{RES("'unified':{'../cgroup.procs':'1'}"), SKF_EINVALID,
		 "/linux/resources/unified/..~1cgroup.procs: expected the name of a cgroup file without "
		 "'/', found "
		 "'../cgroup.procs'"},
		{RES("'unified':{'..':'1'}"), SKF_EINVALID,
		 "/linux/resources/unified/..: expected the name of a cgroup file without '/', found '..'"},
		{RES("'unified':{'memory.max':1}"), SKF_EINVALID,
		 "/linux/resources/unified/memory.max: expected string, found 1"},
	};

	(void)state;
	RUN(rows);
}

static void test_resources_values(void **state)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_spec *s;
	struct skf_err e = SKF_ERR_INIT;
	const struct skf_spec_resources *r;
	const struct skf_spec_device_rule *d;
	const struct skf_spec_weight_device *w;

	(void)state;
	if (parse("{'ociVersion':'1.0.2','linux':{'resources':{'devices':[{'allow':false,'access':'rwm'},"
		  "{'allow':true,'type':'c','major':1,'minor':-1,'access':'rw'},{'allow':true,'type':'b','"
		  "major':null,'minor':3},{'allow':false,'access':'rwa'}],"
		  "'memory':{'limit':536870912,'swap':-1,'disableOOMKiller':false,'useHierarchy':true,'"
		  "kernel':null,'swappiness':0},"
		  "'cpu':{'shares':1024,'quota':-1,'period':100000,'realtimeRuntime':0,'cpus':'0-1','idle':"
		  "1,'burst':5},"
		  "'pids':{'limit':0},'blockIO':{'weight':10,'weightDevice':[{'major':8,'minor':1,'"
		  "leafWeight':300}],"
		  "'throttleWriteIOPSDevice':[{'major':8,'minor':0,'rate':300}]},'hugepageLimits':[{'"
		  "pageSize':'2MB','limit':9}],"
		  "'network':{'classID':7,'priorities':[{'name':'eth0','priority':500}]},'unified':{'memory."
		  "high':'5'},'rdma':{}}}}",
		  &a, &s, &e) < 0)
		fail_msg("%s", e.msg);
	assert_true(s->linux_.has_resources);
	r = &s->linux_.resources;
	assert_int_equal(r->devices.n, 4);
	d = r->devices.v;
	assert_true(!d[3].allow && d[3].access[0] == '\0');
	assert_true(!d[0].allow && d[0].type == 'a' && !d[0].has_major && !d[0].has_minor);
	assert_string_equal(d[0].access, "rwm");
	assert_true(d[1].allow && d[1].type == 'c' && d[1].has_major && d[1].major == 1 && !d[1].has_minor);
	assert_string_equal(d[1].access, "rw");
	assert_true(!d[2].has_major && d[2].has_minor && d[2].minor == 3 && d[2].access[0] == '\0');
	assert_true(r->memory.has_limit && r->memory.limit == 536870912 && r->memory.has_swap &&
		    r->memory.swap == -1);
	assert_true(!r->memory.has_kernel && !r->memory.has_reservation && r->memory.has_swappiness);
	assert_true(r->memory.has_disable_oom_killer && !r->memory.disable_oom_killer &&
		    r->memory.use_hierarchy);
	assert_true(r->cpu.has_shares && r->cpu.shares == 1024 && r->cpu.quota == -1 &&
		    r->cpu.has_rt_runtime);
	assert_true(r->cpu.has_burst && r->cpu.has_idle && r->cpu.idle == 1 && !r->cpu.has_rt_period &&
		    !r->cpu.mems);
	assert_string_equal(r->cpu.cpus, "0-1");
	assert_true(r->pids.has_limit && r->pids.limit == 0);
	assert_true(r->block_io.has_weight && r->block_io.weight == 10 && !r->block_io.has_leaf_weight);
	w = r->block_io.weight_device.v;
	assert_true(!w->has_weight && w->has_leaf_weight && w->leaf_weight == 300);
	assert_int_equal(((const struct skf_spec_throttle *)r->block_io.write_iops.v)->rate, 300);
	assert_int_equal(r->block_io.read_bps.n, 0);
	assert_string_equal(((const struct skf_spec_hugepage *)r->hugepages.v)->page_size, "2MB");
	assert_true(r->network.has_class_id && r->network.class_id == 7);
	assert_int_equal(((const struct skf_spec_if_prio *)r->network.priorities.v)->priority, 500);
	assert_string_equal(skf_kvs_get(&r->unified, "memory.high"), "5");
}

/* --- seccomp --- */
static void test_seccomp(void **state)
{
	static const struct row rows[] = {
		{SECC("'architectures':[]"), SKF_EINVALID,
		 "/linux/seccomp: required property 'defaultAction' is missing"},
		{SECC("'defaultAction':'SCMP_ACT_NOTIFY'"), SKF_EINVALID,
		 "/linux/seccomp: SCMP_ACT_NOTIFY cannot be used as default action; choose another one"},
		{SECC("'defaultAction':'SCMP_ACT_ALLOW','listenerPath':1"), SKF_EINVALID,
		 "/linux/seccomp/listenerPath: expected string, found 1"},
		{SECC("'defaultAction':'SCMP_ACT_ALLOW','architectures':['SCMP_ARCH_X86_64','amd64']"),
		 SKF_EINVALID,
		 "/linux/seccomp/architectures/1: 'amd64' is not a seccomp architecture of the "
		 "runtime-spec"},
		{SECC("'defaultAction':'SCMP_ACT_ALLOW','flags':['X']"), SKF_EINVALID,
		 "/linux/seccomp/flags/0: 'X' is not a seccomp flag of the runtime-spec"},
		{SECC("'defaultAction':'SCMP_ACT_ERRNO','defaultErrnoRet':4096"), SKF_EINVALID,
		 "/linux/seccomp: the value 4096 does not fit; an errno is at most 4095"},
		{SECC("'defaultAction':'SCMP_ACT_ALLOW','syscalls':[{'names':[],'action':'SCMP_ACT_KILL'}]"),
		 SKF_EINVALID,
		 "/linux/seccomp/syscalls/0: names is empty; name at least one system call or remove the "
		 "rule"},
		{SECC("'defaultAction':'SCMP_ACT_ALLOW','syscalls':[{'names':['']}]"), SKF_EINVALID,
		 "/linux/seccomp/syscalls/0/names/0: expected the name of a system call, found an empty "
		 "string"},
		{SECC("'defaultAction':'SCMP_ACT_ALLOW','syscalls':[{'names':['read']}]"), SKF_EINVALID,
		 "/linux/seccomp/syscalls/0: required property 'action' is missing"},
		{SECC("'defaultAction':'SCMP_ACT_ALLOW','syscalls':[{'names':['read','write'],'action':"
		      "'SCMP_ACT_NOTIFY'}]"),
		 SKF_EINVALID,
		 "/linux/seccomp/syscalls/0: SCMP_ACT_NOTIFY cannot be used for the write syscall; remove "
		 "it"},
		{SECC("'defaultAction':'SCMP_ACT_ALLOW','syscalls':[{'names':['read'],'action':'SCMP_ACT_"
		      "TRAP','args':"
		      "[{'index':6,'value':0,'op':'SCMP_CMP_EQ'}]}]"),
		 SKF_EINVALID,
		 "/linux/seccomp/syscalls/0/args/0: argument index 6: a system call has arguments 0 to 5"},
		{SECC("'defaultAction':'SCMP_ACT_ALLOW','syscalls':[{'names':['read'],'action':'SCMP_ACT_"
		      "TRAP','args':"
		      "[{'index':0,'value':0}]}]"),
		 SKF_EINVALID, "/linux/seccomp/syscalls/0/args/0: required property 'op' is missing"},
	};

	(void)state;
	RUN(rows);
}

static struct skf_spec_seccomp *seccomp(const char *quoted, struct skf_arena *a)
{
	SKF_AUTO_FREE char *text = json_text(quoted);
	struct skf_spec_seccomp *s;
	struct skf_err e = SKF_ERR_INIT;

	if (skf_spec_parse_seccomp(text, strlen(text), &opts, a, &s, &e) < 0)
		fail_msg("%s\n  %s", quoted, e.msg);
	return s;
}

static void test_seccomp_values(void **state)
{
	static const struct {
		const char *name;
		uint32_t value;
	} actions[] = {
		{"SCMP_ACT_KILL", SECCOMP_RET_KILL_THREAD},
		{"SCMP_ACT_KILL_THREAD", SECCOMP_RET_KILL_THREAD},
		{"SCMP_ACT_KILL_PROCESS", SECCOMP_RET_KILL_PROCESS},
		{"SCMP_ACT_TRAP", SECCOMP_RET_TRAP},
		{"SCMP_ACT_ERRNO", SECCOMP_RET_ERRNO},
		{"SCMP_ACT_TRACE", SECCOMP_RET_TRACE},
		{"SCMP_ACT_ALLOW", SECCOMP_RET_ALLOW},
		{"SCMP_ACT_LOG", SECCOMP_RET_LOG},
	};
	static const char *const ops[] = {"NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"};
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	char doc[512];

	(void)state;
	for (size_t i = 0; i < SKF_ARRAY_LEN(actions); i++) {
		snprintf(doc, sizeof(doc), "{'defaultAction':'%s'}", actions[i].name);
		assert_int_equal(seccomp(doc, &a)->default_action, actions[i].value);
	}
	for (size_t i = 0; i < SKF_ARRAY_LEN(ops); i++) {
		snprintf(doc, sizeof(doc),
			 "{'defaultAction':'SCMP_ACT_ALLOW','syscalls':[{'names':['x'],'action':'SCMP_ACT_"
			 "LOG',"
			 "'args':[{'index':5,'value':18446744073709551615,'op':'SCMP_CMP_%s'}]}]}",
			 ops[i]);
		const struct skf_spec_seccomp_rule *r = seccomp(doc, &a)->syscalls.v;
		const struct skf_spec_seccomp_arg *g = r->args.v;
		assert_int_equal(g->op, (int)i + 1);
		assert_true(g->index == 5 && g->value == UINT64_MAX && g->value_two == 0);
	}
}

/* The canonical text depends on the meaning alone, and decodes to itself. */
static void test_seccomp_canonical(void **state)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_spec_seccomp *x, *y, *z;

	(void)state;
	x = seccomp("{ 'syscalls': [ { 'comment':'c', 'action':'SCMP_ACT_ERRNO', 'errnoRet':1, "
		    "'names':['a','b'], 'args':null } ],"
		    " 'architectures':null, 'defaultAction':'SCMP_ACT_KILL_THREAD', 'flags':null }",
		    &a);
	y = seccomp("{'defaultAction':'SCMP_ACT_KILL','syscalls':[{'names':['a','b'],'action':'SCMP_ACT_"
		    "ERRNO','errnoRet':1,"
		    "'args':[]}]}",
		    &a);
	assert_string_equal(x->raw, y->raw);
	assert_string_equal(x->raw,
			    "{\"defaultAction\":\"SCMP_ACT_KILL\",\"syscalls\":[{\"names\":[\"a\",\"b\"],"
			    "\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":1}]}");
	/* an empty list of flags is not the default one */
	y = seccomp("{'defaultAction':'SCMP_ACT_ALLOW','flags':[]}", &a);
	assert_true(y->has_flags && y->flags.n == 0 && !x->has_flags);
	assert_string_equal(y->raw, "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"flags\":[]}");
	z = seccomp(
		"{'defaultAction':'SCMP_ACT_ERRNO','defaultErrnoRet':38,'architectures':['SCMP_ARCH_X86_64']"
		","
		"'flags':['SECCOMP_FILTER_FLAG_LOG'],'syscalls':[{'names':['a'],'action':'SCMP_ACT_ALLOW',"
		"'args':[{'index':1,'value':2,'valueTwo':3,'op':'SCMP_CMP_MASKED_EQ'}]}]}",
		&a);
	assert_string_equal(seccomp(z->raw, &a)->raw, z->raw);
	assert_non_null(strstr(z->raw, "\"defaultErrnoRet\":38"));
	assert_non_null(strstr(z->raw, "\"valueTwo\":3,\"op\":\"SCMP_CMP_MASKED_EQ\""));
}

/* --- limits --- */
static void test_limits(void **state)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(16u << 20);
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_spec *s;
	struct skf_err e = SKF_ERR_INIT;

	(void)state;
	skf_buf_str(&b, "{\"ociVersion\":\"1.0.2\",\"mounts\":[");
	for (int i = 0; i <= SKF_MAX_MOUNTS; i++)
		skf_buf_fmt(&b, "%s{\"destination\":\"/%d\"}", i ? "," : "", i);
	skf_buf_str(&b, "]}");
	assert_int_equal(skf_spec_parse(b.p, b.len, &opts, &a, &s, &e), -1);
	assert_int_equal(e.kind, SKF_ELIMIT);
	assert_string_equal(e.msg, "config.json: /mounts: has 4097 elements, at most 4096 are allowed");

	skf_buf_clear(&b);
	skf_buf_str(&b, "{\"ociVersion\":\"1.0.2\",\"x\":\"");
	while (b.len <= SKF_MAX_SPEC_BYTES)
		skf_buf_str(&b, "0123456789abcdef0123456789abcdef");
	skf_buf_str(&b, "\"}");
	assert_int_equal(skf_spec_parse(b.p, b.len, &opts, &a, &s, &e), -1);
	assert_int_equal(e.kind, SKF_ELIMIT);
}

/* --- what engines write --- */
static struct skf_spec *load(const char *name, struct skf_arena *a)
{
	char path[512];
	struct skf_spec *s;
	struct skf_err e = SKF_ERR_INIT;

	assert_int_equal(skf_fmt(path, sizeof(path), "%s/%s", DATA_DIR, name), 0);
	if (skf_spec_load_at(AT_FDCWD, path, &opts, a, &s, &e) < 0)
		fail_msg("%s: %s", name, e.msg);
	return s;
}

static void test_engines(void **state)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_spec *s;

	(void)state;
	s = load("runc-spec.json", &a);
	assert_int_equal(s->mounts.n, 7);
	assert_true(s->process->terminal && s->process->no_new_privs);
	assert_int_equal(s->process->caps.ambient, UINT64_C(1) << 29 | 1 << 5 | 1 << 10);
	s = load("crun-spec.json", &a);
	assert_string_equal(s->hostname, "crun");
	s = load("podman.json", &a);
	assert_int_equal(s->process->user.uid, 5);
	assert_non_null(s->linux_.seccomp);
	assert_int_equal(s->linux_.resources.memory.limit, 67108864);
	s = load("containerd.json", &a);
	assert_null(skf_spec_ns(s, CLONE_NEWUSER));
	assert_string_equal(skf_spec_ns(s, CLONE_NEWIPC)->path, "/proc/4242/ns/ipc");
	assert_true(s->process->has_oom_score_adj);
	assert_int_equal(s->hooks.prestart.n, 0);
	s = load("docker.json", &a);
	assert_int_equal(s->hooks.prestart.n, 1);
}

static void test_missing_file(void **state)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_spec *s;
	struct skf_err e = SKF_ERR_INIT;

	(void)state;
	assert_int_equal(skf_spec_load_at(AT_FDCWD, DATA_DIR "/no-such.json", &opts, &a, &s, &e), -1);
	assert_int_equal(e.kind, SKF_ENOTFOUND);
}

static void test_list_of_mounts(void **state)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	SKF_AUTO_FREE char *text =
		json_text("[{'destination':'/a','type':'bind','source':'/b','options':['bind','ro']},"
			  "{'destination':'/c'}] ");
	static const struct {
		const char *text, *words;
	} bad[] = {
		{"{}", "expected array"},
		{"[{'type':'tmpfs'}]", "/mounts/0: required property 'destination' is missing"},
		{"[{'destination':'/a','options':['ro','nosuch=1','bind']}]", "filesystem-specific"},
		{"[],'mounts':[]", "mounts"},
		{"[]}", "config.json"},
		{"", "config.json"},
	};
	struct skf_jarr m = {0};
	struct skf_err e = SKF_ERR_INIT;

	(void)state;
	assert_int_equal(skf_spec_parse_mounts(text, strlen(text), &opts, &a, &m, &e), 0);
	assert_int_equal(m.n, 2);
	assert_string_equal(((struct skf_spec_mount *)m.v)[0].source, "/b");
	assert_string_equal(((struct skf_spec_mount *)m.v)[1].destination, "/c");
	for (size_t i = 0; i < SKF_ARRAY_LEN(bad); i++) {
		SKF_AUTO_FREE char *t = json_text(bad[i].text);

		e = (struct skf_err)SKF_ERR_INIT;
		if (skf_spec_parse_mounts(t, strlen(t), &opts, &a, &m, &e) == 0 ||
		    !strstr(e.msg, bad[i].words))
			fail_msg("%s: %s", bad[i].text, e.msg);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_top),
		cmocka_unit_test(test_syntax),
		cmocka_unit_test(test_process),
		cmocka_unit_test(test_process_values),
		cmocka_unit_test(test_linux),
		cmocka_unit_test(test_sysctl),
		cmocka_unit_test(test_linux_values),
		cmocka_unit_test(test_resources),
		cmocka_unit_test(test_resources_values),
		cmocka_unit_test(test_seccomp),
		cmocka_unit_test(test_seccomp_values),
		cmocka_unit_test(test_seccomp_canonical),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_list_of_mounts),
		cmocka_unit_test(test_engines),
		cmocka_unit_test(test_missing_file),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
