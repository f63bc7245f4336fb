/* Unit tests of launch/config.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/arena.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include "launch/config.h"
#include <string.h>

#define MIN                                                                                                 \
	"\"name\":\"web\",\"image\":\"img\",\"created\":\"2026-01-01T00:00:00Z\",\"layers\":[\"sha256:a\"," \
	"\"sha256:b\"]"

static int parse(const char *text, struct skf_arena *a, struct skf_ctrconf **c, struct skf_err *e)
{
	return skf_ctrconf_parse(text, strlen(text), a, c, e);
}

static void defaults(void **state)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(1 << 20);
	struct skf_err e = SKF_ERR_INIT;
	struct skf_ctrconf *c = NULL;

	assert_int_equal(parse("{\"v\":1,\"min\":1,\"ociVersion\":\"1.0.2\",\"skiff\":{" MIN
			       ",\"later\":[1]}}",
			       &a, &c, &e),
			 0);
	assert_string_equal(c->name, "web");
	assert_int_equal(c->layers.n, 2);
	assert_string_equal(c->layers.v[0], "sha256:a");
	assert_string_equal(c->network, "none");
	assert_string_equal(c->log_driver, "json-file");
	assert_false(c->tty);
	assert_null(c->request);
}

static void round_trip(void **state)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(1 << 20);
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(65536);
	char name[] = "n", digest[] = "sha256:1", host[] = "host", driver[] = "none",
	     request[] = "{\"a\":[1,2]}";
	struct skf_ctrconf in = {.name = name,
				 .image = name,
				 .image_id = digest,
				 .manifest = digest,
				 .created = name,
				 .tty = true,
				 .open_stdin = true,
				 .stop_signal = 15,
				 .stop_timeout = 10,
				 .remove = true,
				 .network = host,
				 .log_driver = driver,
				 .log_max_size = UINT64_MAX,
				 .log_max_file = 3,
				 .request = request};
	struct skf_err e = SKF_ERR_INIT;
	struct skf_ctrconf *c = NULL;
	struct skf_jw w = SKF_JW(&b);

	assert_int_equal(skf_strv_add(&a, &in.layers, "sha256:x"), 0);
	assert_int_equal(skf_strv_add(&a, &in.command, "sh"), 0);
	skf_jw_obj(&w);
	skf_jw_kint(&w, "v", 1);
	skf_ctrconf_write(&w, &in);
	skf_jw_end(&w);
	assert_int_equal(b.err, 0);
	assert_int_equal(skf_ctrconf_parse(b.p, b.len, &a, &c, &e), 0);
	assert_true(c->tty && c->open_stdin && !c->stdin_once && c->remove && !c->readonly);
	assert_true(c->log_max_size == UINT64_MAX && c->log_max_file == 3 && c->stop_signal == 15);
	assert_string_equal(c->request, "{\"a\":[1,2]}");
	assert_string_equal(c->network, "host");
	assert_string_equal(c->command.v[0], "sh");
}

static void refused(void **state)
{
	static const struct {
		const char *text;
		enum skf_kind kind;
		const char *says;
	} bad[] = {
		{"{}", SKF_ECORRUPT, "skiff"},
		{"{\"skiff\":[]}", SKF_ECORRUPT, "/skiff"},
		{"{\"skiff\":{\"name\":\"x\"}}", SKF_ECORRUPT, "/skiff"},
		{"{\"skiff\":{" MIN ",\"stopSignal\":65}}", SKF_ECORRUPT, "stopSignal"},
		{"{\"skiff\":{" MIN ",\"tty\":1}}", SKF_ECORRUPT, "/skiff/tty"},
		{"{\"skiff\":{" MIN "}", SKF_ECORRUPT, "config.json"},
	};
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(1 << 20);
	struct skf_ctrconf *c = NULL;

	for (size_t i = 0; i < SKF_ARRAY_LEN(bad); i++) {
		struct skf_err e = SKF_ERR_INIT;

		assert_int_equal(parse(bad[i].text, &a, &c, &e), -1);
		assert_int_equal(e.kind, bad[i].kind);
		assert_non_null(strstr(e.msg, bad[i].says));
		assert_null(c);
	}
}

static void too_many_layers(void **state)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(1 << 20);
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(65536);
	struct skf_err e = SKF_ERR_INIT;
	struct skf_ctrconf *c = NULL;

	skf_buf_str(&b, "{\"skiff\":{\"name\":\"x\",\"image\":\"\",\"created\":\"\",\"layers\":[\"\"");
	for (int i = 0; i < SKF_MAX_LAYERS; i++)
		skf_buf_str(&b, ",\"\"");
	skf_buf_str(&b, "]}}");
	assert_int_equal(parse(b.p, &a, &c, &e), -1);
	assert_int_equal(e.kind, SKF_ELIMIT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(defaults), cmocka_unit_test(round_trip),
					   cmocka_unit_test(refused), cmocka_unit_test(too_many_layers)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
