/* What the unit tests of engine/ share. */
#pragma once
#include "engine/engine_int.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define ASSERT_FAILS(call, k, words)                                                                        \
	do {                                                                                                \
		struct skf_err *e_ = &err;                                                                  \
		skf_err_clear(e_);                                                                          \
		assert_int_equal((call), -1);                                                               \
		assert_int_equal(e_->kind, (k));                                                            \
		if (!strstr(e_->msg, (words)))                                                              \
			fail_msg("'%s' lacks '%s'", e_->msg, (words));                                      \
	} while (0)
