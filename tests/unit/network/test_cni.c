/* Unit tests of network/cni*.c: plugins are shell scripts that write down what they were given. */
#include "network/cni_int.h"
#include "../base/util.h"
#include <sys/stat.h>

#define NET "blue"

static char dir[40];
static int run_fd = -1;
static struct skf_arena arena = SKF_ARENA(32u << 20);
static char *dirs_v[2][2];
static struct skf_cni_dirs dirs;

static void write_file(const char *name, const char *text, mode_t mode)
{
	char path[200];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

/* A plugin that appends to "log" what it gets, and then does `rest`. */
static void plugin(const char *type, const char *rest)
{
	char name[80], text[2000];

	snprintf(name, sizeof(name), "bin/%s", type);
	snprintf(text, sizeof(text),
		 "#!/bin/sh\nin=$(cat)\necho \"%s $CNI_COMMAND id=$CNI_CONTAINERID ns=$CNI_NETNS "
		 "if=$CNI_IFNAME args=$CNI_ARGS $in\" >>%s/log\n%s\n",
		 type, dir, rest);
	write_file(name, text, 0755);
}

static const char *read_log(void)
{
	static char text[20000];
	char path[80];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/log", dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	text[n] = 0;
	if (fd >= 0)
		close(fd);
	unlink(path);
	return text;
}

static int setup(void **state)
{
	static char conf[60], bin[60];

	strcpy(dir, "/tmp/skf-cni-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(conf, sizeof(conf), "%s/net.d", dir);
	snprintf(bin, sizeof(bin), "%s/bin", dir);
	if (mkdir(conf, 0700) < 0 || mkdir(bin, 0700) < 0)
		return -1;
	dirs_v[0][0] = conf;
	dirs_v[1][0] = bin;
	dirs.conf = (struct skf_strv){dirs_v[0], 1};
	dirs.bin = (struct skf_strv){dirs_v[1], 1};
	run_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return run_fd < 0;
}

static int teardown(void **state)
{
	skf_closep(&run_fd);
	skf_arena_done(&arena);
	return skf_rmtree_at(AT_FDCWD, dir);
}

static struct skf_cni_list *find(const char *name)
{
	struct skf_err e = SKF_ERR_INIT;
	struct skf_cni_list *l = NULL;

	if (skf_cni_find(&dirs, name, &arena, &l, &e) < 0)
		fail_msg("%s", e.msg);
	return l;
}

#define TWO                                                                                                 \
	"{\"cniVersion\":\"1.0.0\",\"name\":\"" NET                                                         \
	"\",\"plugins\":[{\"type\":\"first\",\"x\":{\"y\":[1,2]},"                                          \
	"\"capabilities\":{\"ips\":true,\"mac\":false}},{\"type\":\"second\",\"capabilities\":{"            \
	"\"portMappings\":true}}]}"
#define R1 "{\"cniVersion\":\"1.0.0\",\"ips\":[{\"address\":\"10.1.0.5/24\",\"gateway\":\"10.1.0.1\"}]}"
#define R2                                                                                                  \
	"{\"cniVersion\":\"1.0.0\",\"interfaces\":[{\"name\":\"br\",\"mac\":\"02:00:00:00:00:01\"},{"       \
	"\"name\":\"eth0\","                                                                                \
	"\"mac\":\"02:00:00:00:00:02\",\"sandbox\":\"/ns\"}],\"ips\":[{\"address\":\"10.1.0.5/"             \
	"24\",\"gateway\":\"10.1.0.1\","                                                                    \
	"\"interface\":1},{\"address\":\"fd00::5/"                                                          \
	"64\"}],\"dns\":{\"nameservers\":[\"10.1.0.1\"],\"search\":[\"a.b\"]}}"

static const struct skf_cni_port ports[] = {{8080, 80, "tcp", NULL}, {53, 53, "udp", "127.0.0.1"}};
static struct skf_cni_call call_of(const char *id)
{
	static char *args[] = {(char *)"K8S_POD_NAME=web"};
	static char *ips[] = {(char *)"10.1.0.5/24"};

	return (struct skf_cni_call){.container_id = id,
				     .ifname = "eth0",
				     .netns = "/ns",
				     .args = {args, 1},
				     .ports = ports,
				     .n_ports = 2,
				     .ips = {ips, 1},
				     .mac = "02:00:00:00:00:02"};
}

static bool cached(const char *id)
{
	char path[100];

	snprintf(path, sizeof(path), "%s/cni/" NET "/%s-eth0", dir, id);
	return access(path, F_OK) == 0;
}

static void a_chain(void **state)
{
	struct skf_err e = SKF_ERR_INIT;
	struct skf_cni_call c = call_of("c1");
	struct skf_cni_result *r = NULL;
	struct skf_cni_list *l;

	write_file("net.d/10-blue.conflist", TWO, 0644);
	plugin("first", "[ $CNI_COMMAND != ADD ] || echo '" R1 "'");
	plugin("second", "[ $CNI_COMMAND != ADD ] || echo '" R2 "'");
	l = find(NET);
	if (skf_cni_add(run_fd, &dirs, l, &c, &arena, &r, &e) < 0)
		fail_msg("%s", e.msg);
	assert_string_equal(
		read_log(),
		"first ADD id=c1 ns=/ns if=eth0 args=K8S_POD_NAME=web "
		"{\"cniVersion\":\"1.0.0\",\"name\":\"blue\",\"type\":\"first\",\"x\":{\"y\":[1,2]},"
		"\"capabilities\":{\"ips\":true,\"mac\":false},\"runtimeConfig\":{\"ips\":[\"10.1.0.5/"
		"24\"]}}\n"
		"second ADD id=c1 ns=/ns if=eth0 args=K8S_POD_NAME=web "
		"{\"cniVersion\":\"1.0.0\",\"name\":\"blue\",\"type\":\"second\","
		"\"capabilities\":{\"portMappings\":true},\"runtimeConfig\":{\"portMappings\":[{"
		"\"hostPort\":8080,\"containerPort\":80,"
		"\"protocol\":\"tcp\"},{\"hostPort\":53,\"containerPort\":53,\"protocol\":\"udp\","
		"\"hostIP\":\"127.0.0.1\"}]},"
		"\"prevResult\":" R1 "\n}\n");
	assert_int_equal(r->ips.n, 2);
	assert_string_equal(r->ips.v[1], "fd00::5/64");
	assert_string_equal(r->gateways.v[0], "10.1.0.1");
	assert_string_equal(r->gateways.v[1], "");
	assert_string_equal(r->mac, "02:00:00:00:00:02");
	assert_string_equal(r->dns_servers.v[0], "10.1.0.1");
	assert_true(cached("c1"));

	assert_int_equal(skf_cni_check(run_fd, &dirs, l, &c, &e), 0);
	assert_non_null(strstr(read_log(), "second CHECK"));
	/* the file is gone: DEL does what ADD's file said, last first */
	write_file("net.d/10-blue.conflist", "{", 0644);
	c = (struct skf_cni_call){.container_id = "c1", .ifname = "eth0"};
	if (skf_cni_del(run_fd, &dirs, NET, NULL, &c, &e) < 0)
		fail_msg("%s", e.msg);
	const char *log = read_log();
	assert_non_null(strstr(log, "second DEL id=c1 ns= if=eth0 args=K8S_POD_NAME=web"));
	assert_true(strstr(log, "second DEL") < strstr(log, "first DEL"));
	assert_non_null(strstr(log, "\"runtimeConfig\":{\"ips\":"));
	assert_non_null(strstr(log, "\"prevResult\":" R2));
	assert_false(cached("c1"));
	assert_int_equal(skf_cni_del(run_fd, &dirs, NET, NULL, &c, &e), 0);
	assert_true(
		skf_cni_check(run_fd, &dirs, l,
			      &(struct skf_cni_call){.container_id = "c1", .ifname = "eth0", .netns = "/ns"},
			      &e) < 0);
	assert_int_equal(e.kind, SKF_ENOTFOUND);
}

static void a_failing_add_is_undone(void **state)
{
	struct skf_err e = SKF_ERR_INIT;
	struct skf_cni_call c = call_of("c1");
	struct skf_cni_result *r = NULL;

	write_file("net.d/10-blue.conflist", TWO, 0644);
	plugin("first", "[ $CNI_COMMAND != ADD ] || echo '" R1 "'");
	plugin("second",
	       "[ $CNI_COMMAND = DEL ] || { echo '{\"cniVersion\":\"1.0.0\",\"code\":11,\"msg\":\"no "
	       "address\",\"details\":\"pool is full\"}'; exit 1; }");
	assert_true(skf_cni_add(run_fd, &dirs, find(NET), &c, &arena, &r, &e) < 0);
	assert_null(r);
	assert_int_equal(e.kind, SKF_EUNAVAILABLE);
	assert_string_equal(
		e.msg,
		"CNI plugin 'second' of network 'blue': ADD failed: no address (pool is full) [code 11]");
	const char *log = read_log();
	assert_non_null(strstr(log, "second DEL"));
	assert_non_null(strstr(log, "first DEL"));
	assert_false(cached("c1"));
}

static void a_failing_del_is_kept(void **state)
{
	struct skf_err e = SKF_ERR_INIT;
	struct skf_cni_call c = call_of("c1");
	struct skf_cni_result *r = NULL;

	write_file("net.d/10-blue.conflist", TWO, 0644);
	plugin("first", "[ $CNI_COMMAND != ADD ] || echo '" R1 "'");
	plugin("second", "[ $CNI_COMMAND != ADD ] || { echo '" R2 "'; exit 0; }; echo sorry >&2; exit 3");
	assert_int_equal(skf_cni_add(run_fd, &dirs, find(NET), &c, &arena, &r, &e), 0);
	(void)read_log();
	assert_true(skf_cni_del(run_fd, &dirs, NET, NULL, &c, &e) < 0);
	assert_string_equal(e.msg,
			    "CNI plugin 'second' of network 'blue': DEL failed with exit status 3: sorry");
	assert_non_null(strstr(read_log(), "first DEL"));
	assert_true(cached("c1"));
	plugin("second", "");
	assert_int_equal(
		skf_cni_gc(run_fd, &dirs, find(NET), &(struct skf_cni_attachment){"c1", "eth0"}, 1, &e), 0);
	assert_true(cached("c1"));
	assert_string_equal(read_log(), ""); /* 1.0.0 has no GC */
	assert_int_equal(skf_cni_gc(run_fd, &dirs, find(NET), NULL, 0, &e), 0);
	assert_false(cached("c1"));
}

/* What a plugin says is refused where it is not a result, and nothing is left. */
static void bad_results(void **state)
{
	static const char *const said[] = {"",
					   "x",
					   "[]",
					   "{\"ips\":[{}]}",
					   "{\"ips\":[{\"address\":5}]}",
					   "{\"dns\":{\"search\":[1]}}"};
	struct skf_cni_call c = call_of("c1");
	char text[200];

	write_file("net.d/10-blue.conf",
		   "{\"cniVersion\":\"0.3.1\",\"name\":\"" NET "\",\"type\":\"first\"}", 0644);
	for (size_t i = 0; i < SKF_ARRAY_LEN(said); i++) {
		struct skf_err e = SKF_ERR_INIT;
		struct skf_cni_result *r = NULL;

		snprintf(text, sizeof(text), "[ $CNI_COMMAND != ADD ] || printf '%%s' '%s'", said[i]);
		plugin("first", text);
		assert_true(skf_cni_add(run_fd, &dirs, find(NET), &c, &arena, &r, &e) < 0);
		assert_non_null(strstr(e.msg, "result of CNI plugin 'first'"));
		assert_non_null(strstr(read_log(), "first DEL"));
		assert_false(cached("c1"));
	}
	plugin("first", "[ $CNI_COMMAND != ADD ] || head -c 1048577 /dev/zero");
	struct skf_err e = SKF_ERR_INIT;
	struct skf_cni_result *r = NULL;
	assert_true(skf_cni_add(run_fd, &dirs, find(NET), &c, &arena, &r, &e) < 0);
	assert_int_equal(e.kind, SKF_ELIMIT);
}

static void versions(void **state)
{
	struct skf_err e = SKF_ERR_INIT;
	struct skf_cni_list *l = NULL;
	struct skf_strv v;

	write_file("net.d/a.conflist",
		   "{\"cniVersion\":\"0.4.0\",\"cniVersions\":[\"1.0.0\",\"1.1.0\",\"9.9.9\"],\"name\":"
		   "\"a\",\"plugins\":[{\"type\":\"first\"}]}",
		   0644);
	assert_string_equal(skf_cni_version(find("a")), "1.1.0");
	write_file("net.d/b.conflist",
		   "{\"cniVersion\":\"0.2.0\",\"name\":\"b\",\"plugins\":[{\"type\":\"first\"}]}", 0644);
	assert_true(skf_cni_find(&dirs, "b", &arena, &l, &e) < 0);
	assert_int_equal(e.kind, SKF_ENOTFOUND);
	assert_non_null(strstr(e.msg, "'0.2.0' is not supported"));
	plugin("first", "echo '{\"cniVersion\":\"1.0.0\",\"supportedVersions\":[\"0.4.0\",\"1.0.0\"]}'");
	assert_int_equal(skf_cni_plugin_versions(&dirs, "first", &arena, &v, &e), 0);
	assert_int_equal(v.n, 2);
	assert_string_equal(v.v[1], "1.0.0");
}

static void status_and_gc_of_1_1(void **state)
{
	struct skf_err e = SKF_ERR_INIT;
	struct skf_cni_list *l;

	write_file("net.d/a.conflist",
		   "{\"cniVersion\":\"1.1.0\",\"name\":\"" NET "\",\"plugins\":[{\"type\":\"first\"}]}",
		   0644);
	l = find(NET);
	assert_true(skf_cni_status(&dirs, l, &e) < 0);
	assert_int_equal(e.kind, SKF_EUNAVAILABLE);
	assert_non_null(strstr(e.msg, "CNI plugin 'first' is not in"));
	plugin("first",
	       "[ $CNI_COMMAND != STATUS ] || { echo '{\"code\":50,\"msg\":\"not yet\"}'; exit 1; }");
	skf_err_clear(&e);
	assert_true(skf_cni_status(&dirs, l, &e) < 0);
	assert_string_equal(e.msg, "CNI plugin 'first' of network 'blue': STATUS failed: not yet [code 50]");
	assert_int_equal(e.kind, SKF_EUNAVAILABLE);
	(void)read_log();
	assert_int_equal(skf_cni_gc(run_fd, &dirs, l, &(struct skf_cni_attachment){"c1", "eth0"}, 1, &e), 0);
	assert_string_equal(
		read_log(),
		"first GC id= ns= if= args= {\"cniVersion\":\"1.1.0\",\"name\":\"blue\",\"type\":\"first\","
		"\"cni.dev/valid-attachments\":[{\"containerID\":\"c1\",\"ifname\":\"eth0\"}]}\n");
}

static void bad_configurations(void **state)
{
	static const struct {
		const char *text, *says;
	} bad[] = {
		{"{\"cniVersion\":\"1.0.0\",\"name\":\"../x\",\"plugins\":[{\"type\":\"a\"}]}",
		 "not possible as the name"},
		{"{\"cniVersion\":\"1.0.0\",\"name\":\"x\",\"plugins\":[]}", "at least one plugin"},
		{"{\"cniVersion\":\"1.0.0\",\"name\":\"x\",\"plugins\":[{\"type\":\"../a\"}]}",
		 "/plugins/0: '../a' is not possible"},
		{"{\"cniVersion\":\"1.0.0\",\"name\":\"x\",\"plugins\":[{}]}", "needs a \"type\""},
		{"{\"cniVersion\":\"1.0.0\",\"name\":\"x\",\"plugins\":{}}", "/plugins: expected array"},
		{"{\"name\":\"x\",\"plugins\":[{\"type\":\"a\"}]}", "/cniVersion: '' is not supported"},
	};
	struct skf_buf many = SKF_BUF(1 << 20);
	struct skf_cni_list *l = NULL;
	struct skf_err e = SKF_ERR_INIT;

	for (size_t i = 0; i < SKF_ARRAY_LEN(bad); i++) {
		skf_err_clear(&e);
		assert_true(skf_cni_list_decode("f", bad[i].text, strlen(bad[i].text), false, &arena, &l,
						&e) < 0);
		if (!strstr(e.msg, bad[i].says))
			fail_msg("%s", e.msg);
	}
	skf_buf_str(&many, "{\"cniVersion\":\"1.0.0\",\"name\":\"x\",\"plugins\":[{\"type\":\"a\"}");
	for (int i = 0; i < SKF_MAX_CNI_PLUGINS; i++)
		skf_buf_str(&many, ",{\"type\":\"a\"}");
	skf_buf_str(&many, "]}");
	assert_true(skf_cni_list_decode("f", many.p, many.len, false, &arena, &l, &e) < 0);
	assert_int_equal(e.kind, SKF_ELIMIT);
	skf_buf_done(&many);
}

/* The first file by name wins; what is not valid is told by names. */
static void several_files(void **state)
{
	struct skf_err e = SKF_ERR_INIT;
	struct skf_strv names, bad;

	write_file("net.d/20.conflist",
		   "{\"cniVersion\":\"1.0.0\",\"name\":\"n\",\"plugins\":[{\"type\":\"second\"}]}", 0644);
	write_file("net.d/10.conf", "{\"cniVersion\":\"0.4.0\",\"name\":\"n\",\"type\":\"first\"}", 0644);
	write_file("net.d/30.json", "{\"cniVersion\":\"0.4.0\",\"name\":\"m\",\"type\":\"first\"}", 0644);
	write_file("net.d/40.conflist", "{", 0644);
	write_file("net.d/50.txt", "{", 0644);
	assert_string_equal(skf_cni_version(find("n")), "0.4.0");
	assert_int_equal(skf_cni_names(&dirs, &arena, &names, &bad, &e), 0);
	assert_int_equal(names.n, 3);
	assert_string_equal(names.v[2], "m");
	assert_int_equal(bad.n, 1);
	assert_non_null(strstr(bad.v[0], "40.conflist"));
}

static void bad_calls(void **state)
{
	struct skf_err e = SKF_ERR_INIT;
	struct skf_cni_result *r = NULL;
	struct skf_cni_call c;

	write_file("net.d/10-blue.conflist", TWO, 0644);
	c = call_of("../c");
	assert_true(skf_cni_add(run_fd, &dirs, find(NET), &c, &arena, &r, &e) < 0);
	assert_int_equal(e.kind, SKF_EINVALID);
	c = call_of("c");
	c.ifname = "name-of-16-chars";
	assert_true(skf_cni_add(run_fd, &dirs, find(NET), &c, &arena, &r, &e) < 0);
	assert_int_equal(e.kind, SKF_EINVALID);
	c = call_of("c");
	c.args.v = (char *[]){(char *)"A=1;B=2"};
	assert_true(skf_cni_add(run_fd, &dirs, find(NET), &c, &arena, &r, &e) < 0);
	assert_int_equal(e.kind, SKF_EINVALID);
	assert_string_equal(read_log(), "");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_chain),   T(a_failing_add_is_undone), T(a_failing_del_is_kept), T(bad_results),
		T(versions),  T(status_and_gc_of_1_1),    T(bad_configurations),    T(several_files),
		T(bad_calls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
