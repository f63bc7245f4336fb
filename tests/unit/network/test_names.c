/* Unit tests of network/names.c. */
#include "network/names.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/limits.h"
#include "../base/util.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NET "n1"
#define STRV(...)                                                                                           \
	((struct skf_strv){(char **)(const char *[]){__VA_ARGS__, NULL},                                    \
			   SKF_ARRAY_LEN(((const char *[]){__VA_ARGS__, NULL})) - 1})

static char run[] = "/tmp/skiff-names.XXXXXX";
static int run_fd = -1;

static int setup(void **state)
{
	strcpy(run + sizeof(run) - 7, "XXXXXX");
	if (!mkdtemp(run))
		return -1;
	run_fd = open(run, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return run_fd < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	skf_closep(&run_fd);
	return skf_rmtree_at(AT_FDCWD, run);
}

static void add(const char *id, struct skf_strv names, struct skf_strv addrs)
{
	struct skf_err e = SKF_ERR_INIT;

	if (skf_names_add(run_fd, NET, id, &names, &addrs, &e) < 0)
		fail_msg("%s", e.msg);
}

static void remove_(const char *id)
{
	struct skf_err e = SKF_ERR_INIT;

	assert_int_equal(skf_names_remove(run_fd, NET, id, &e), 0);
}

/* What the name resolves to, words with a blank between; "-" when it is unknown. */
static const char *lookup(const char *name)
{
	static char out[4096];
	struct skf_ip ip[SKF_MAX_DNS_ADDRS];
	char text[SKF_IP_TEXT];
	size_t n = 0, len = 0;
	SKF_AUTO_FD int networks = skf_openat(run_fd, "networks", O_RDONLY | O_DIRECTORY, 0);
	int r = networks == -ENOENT ? 0 : skf_names_lookup(networks, NET, name, ip, SKF_ARRAY_LEN(ip), &n);

	assert_true(r >= 0);
	if (r == 0)
		return "-";
	out[0] = 0;
	for (size_t i = 0; i < n; i++) {
		skf_ip_text(&ip[i], text);
		len += (size_t)snprintf(out + len, sizeof(out) - len, "%s%s", i ? " " : "", text);
	}
	return out;
}

static const char *reverse(const char *addr)
{
	static char out[256];
	struct skf_ip ip;

	SKF_AUTO_FD int networks = skf_openat(run_fd, "networks", O_RDONLY | O_DIRECTORY, 0);

	assert_int_equal(skf_ip_parse(addr, &ip), 0);
	return networks >= 0 && skf_names_reverse(networks, NET, &ip, out, sizeof(out)) == 1 ? out : "-";
}

static unsigned entries(void)
{
	char path[80];
	unsigned n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "%s/networks/" NET "/names", run);
	d = opendir(path);
	assert_non_null(d);
	for (struct dirent *x; (x = readdir(d));)
		n += strcmp(x->d_name, ".") && strcmp(x->d_name, "..") && strcmp(x->d_name, ".lock");
	closedir(d);
	return n;
}

static void names_and_addresses(void **state)
{
	add("aaaa", STRV("Web", "cache.local"), STRV("10.0.0.2", "fd00::2"));
	assert_string_equal(lookup("web"), "10.0.0.2 fd00::2");
	assert_string_equal(lookup("WEB"), "10.0.0.2 fd00::2");
	assert_string_equal(lookup("cache.local"), "10.0.0.2 fd00::2");
	assert_string_equal(lookup("we"), "-");
	assert_string_equal(lookup("=aaaa"), "-");
	assert_string_equal(lookup("@10.0.0.2"), "-");
	assert_string_equal(lookup(".lock"), "-");
	assert_string_equal(lookup("../names/web"), "-");
	assert_string_equal(lookup(""), "-");
	assert_string_equal(reverse("10.0.0.2"), "web");
	assert_string_equal(reverse("fd00::2"), "web");
	assert_string_equal(reverse("10.0.0.3"), "-");
	remove_("aaaa");
	assert_string_equal(lookup("web"), "-");
	assert_string_equal(reverse("fd00::2"), "-");
	assert_int_equal(entries(), 0);
	remove_("aaaa");
}

static void shared_names(void **state)
{
	add("aaaa", STRV("one", "svc"), STRV("10.0.0.2"));
	add("bbbb", STRV("two", "svc"), STRV("10.0.0.3"));
	add("aaab", STRV("three", "svc"), STRV("10.0.0.2")); /* a pod: the same address */
	assert_string_equal(lookup("svc"), "10.0.0.2 10.0.0.3 10.0.0.2");
	remove_("aaaa");
	assert_string_equal(lookup("svc"), "10.0.0.3 10.0.0.2");
	assert_string_equal(reverse("10.0.0.2"), "three");
	assert_string_equal(lookup("one"), "-");
	add("bbbb", STRV("four"), STRV("10.0.0.9")); /* replaces */
	assert_string_equal(lookup("svc"), "10.0.0.2");
	assert_string_equal(lookup("two"), "-");
	assert_string_equal(lookup("four"), "10.0.0.9");
	assert_string_equal(reverse("10.0.0.3"), "-");
	remove_("bbbb");
	remove_("aaab");
	assert_int_equal(entries(), 0);
}

/* The entry turns from a link into a file and back; one over the limit is refused and leaves the others. */
static void many_share_a_name(void **state)
{
	struct skf_err e = SKF_ERR_INIT;
	char id[20], ip[20], path[80];
	struct stat st;
	unsigned n = 0;
	int r;

	do {
		snprintf(id, sizeof(id), "%016u", n);
		snprintf(ip, sizeof(ip), "10.1.%u.%u", n / 256, n % 256);
		r = skf_names_add(run_fd, NET, id, &STRV("svc"), &STRV(ip), &e);
	} while (r == 0 && ++n < 5000);
	assert_in_range(n, 700, SKF_MAX_DNS_ADDRS);
	assert_int_equal(e.kind, SKF_ELIMIT);
	assert_string_equal(reverse(ip), "-");
	snprintf(path, sizeof(path), "%s/networks/" NET "/names/svc", run);
	assert_int_equal(lstat(path, &st), 0);
	assert_true(S_ISREG(st.st_mode));
	for (unsigned i = 1; i < n; i++) {
		snprintf(id, sizeof(id), "%016u", i);
		remove_(id);
	}
	assert_string_equal(lookup("svc"), "10.1.0.0");
	assert_int_equal(lstat(path, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	remove_("0000000000000000");
	assert_int_equal(entries(), 0);
}

static void bad_requests(void **state)
{
	static const char *const bad[] = {"", ".x", "a..b", "a b", "a/b", "=a", "@a", "\xc3\xa4", "a\n"};
	struct skf_err e = SKF_ERR_INIT;
	char label[80];

	for (size_t i = 0; i < SKF_ARRAY_LEN(bad); i++) {
		assert_true(skf_names_add(run_fd, NET, "aaaa", &STRV("ok", bad[i]), &STRV("10.0.0.2"), &e) <
			    0);
		assert_int_equal(e.kind, SKF_EINVALID);
	}
	assert_true(skf_names_add(run_fd, NET, "aaaa", &STRV("ok"), &STRV("10.0.0.256"), &e) < 0);
	assert_true(skf_names_add(run_fd, NET, "aaaa", &STRV("ok"), &(struct skf_strv){0}, &e) < 0);
	assert_true(skf_names_add(run_fd, "../x", "aaaa", &STRV("ok"), &STRV("10.0.0.2"), &e) < 0);
	assert_true(skf_names_add(run_fd, NET, "a/b", &STRV("ok"), &STRV("10.0.0.2"), &e) < 0);
	assert_true(faccessat(run_fd, "networks", F_OK, 0) < 0);
	/* a container may be called what no query can hold */
	memset(label, 'a', 64);
	label[64] = 0;
	add("aaaa", STRV(label, "short"), STRV("10.0.0.2"));
	assert_string_equal(lookup(label), "-");
	assert_string_equal(reverse("10.0.0.2"), "short");
	add("aaaa", STRV(label), STRV("10.0.0.2"));
	assert_string_equal(reverse("10.0.0.2"), "-");
	remove_("aaaa");
	assert_int_equal(entries(), 0);
}

/* A writer that was killed after any of its steps leaves what the next one undoes: here, the record and half
 * of the names. */
static void half_done(void **state)
{
	char path[80];

	add("aaaa", STRV("one", "two"), STRV("10.0.0.2"));
	snprintf(path, sizeof(path), "%s/networks/" NET "/names/two", run);
	assert_int_equal(unlink(path), 0);
	remove_("aaaa");
	assert_int_equal(entries(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(names_and_addresses, setup, teardown),
		cmocka_unit_test_setup_teardown(shared_names, setup, teardown),
		cmocka_unit_test_setup_teardown(many_share_a_name, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_requests, setup, teardown),
		cmocka_unit_test_setup_teardown(half_done, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
