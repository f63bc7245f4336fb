/* tests/unit/registry/registry_test.h -- what the tests of src/registry share. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/cleanup.h"
#include "base/err.h"
#include "base/limits.h"
