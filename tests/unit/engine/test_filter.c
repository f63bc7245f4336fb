/* Unit tests of engine/filter.c: docker's --filter words. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "engine/filter.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static const char *const known[] = {"name", "label", "dangling", NULL};

struct fixture {
	struct skf_arena a;
	struct skf_filters f;
	struct skf_err e;
};

static int parse(struct fixture *x, const char *const *words)
{
	struct skf_strv v = {0};

	memset(x, 0, sizeof(*x));
	x->a = (struct skf_arena)SKF_ARENA(1 << 20);
	for (; *words; words++)
		assert_int_equal(skf_strv_add(&x->a, &v, *words), 0);
	return skf_filters_parse(&v, known, &x->a, &x->f, &x->e);
}
#define PARSE(x, ...) parse(x, (const char *const[]){__VA_ARGS__, NULL})

static void done(struct fixture *x)
{
	skf_filters_done(&x->f);
	skf_arena_done(&x->a);
}

static void words(void **state)
{
	struct fixture x;

	assert_int_equal(PARSE(&x, " Name = we.*b ", "name=^/db$", "name=[", "label=a"), 0);
	assert_int_equal(x.f.n, 2);
	assert_true(skf_filters_match(&x.f, "name", "xweeb1") && skf_filters_match(&x.f, "name", "/db") &&
		    skf_filters_match(&x.f, "name", "["));
	assert_false(skf_filters_match(&x.f, "name", "/db2") || skf_filters_exact(&x.f, "name", "weeb"));
	assert_true(skf_filters_match(&x.f, "dangling", "anything"));
	done(&x);
	assert_int_equal(PARSE(&x, "nope=1"), -1);
	assert_string_equal(x.e.msg, "invalid filter 'nope'");
	done(&x);
	assert_int_equal(PARSE(&x, "name"), -1);
	assert_string_equal(x.e.msg, "bad format of filter 'name' (expected name=value)");
	done(&x);
}

static void labels(void **state)
{
	struct skf_kv kv[] = {{(char *)(uintptr_t) "a", (char *)(uintptr_t) "1"},
			      {(char *)(uintptr_t) "bc", (char *)(uintptr_t) ""}};
	const struct skf_kvs m = {kv, 2};
	struct fixture x;

	assert_int_equal(PARSE(&x, "label=a", "label=a=1", "label=bc="), 0);
	assert_true(skf_filters_labels(&x.f, &m));
	done(&x);
	assert_int_equal(PARSE(&x, "label=a", "label=b"), 0); /* all of them have to be there */
	assert_false(skf_filters_labels(&x.f, &m));
	done(&x);
	assert_int_equal(PARSE(&x, "label=a=2"), 0);
	assert_false(skf_filters_labels(&x.f, &m));
	done(&x);
	assert_int_equal(PARSE(&x, "name=x"), 0);
	assert_true(skf_filters_labels(&x.f, &m));
	done(&x);
}

static void bools(void **state)
{
	struct fixture x;
	int v;

	assert_int_equal(PARSE(&x, "dangling=1"), 0);
	assert_int_equal(skf_filters_bool(&x.f, "dangling", &v, &x.e), 0);
	assert_int_equal(v, 1);
	assert_int_equal(skf_filters_bool(&x.f, "name", &v, &x.e), 0);
	assert_int_equal(v, -1);
	done(&x);
	assert_int_equal(PARSE(&x, "dangling=maybe"), 0);
	assert_int_equal(skf_filters_bool(&x.f, "dangling", &v, &x.e), -1);
	assert_string_equal(x.e.msg, "invalid filter 'dangling=maybe'");
	done(&x);
}

/* One over SKF_MAX_FILTER_BYTES is no expression any more. */
static void limit(void **state)
{
	char text[SKF_MAX_FILTER_BYTES + 8] = "name=";
	struct fixture x;

	memset(text + 5, '.', SKF_MAX_FILTER_BYTES);
	assert_int_equal(PARSE(&x, text), 0);
	assert_true(x.f.f[0].re_ok[0]);
	done(&x);
	text[5 + SKF_MAX_FILTER_BYTES] = '.';
	assert_int_equal(PARSE(&x, text), 0);
	assert_false(x.f.f[0].re_ok[0]);
	done(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(words), cmocka_unit_test(labels),
					   cmocka_unit_test(bools), cmocka_unit_test(limit)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
