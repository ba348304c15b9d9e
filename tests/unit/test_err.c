/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/err.h"

static void
err_str_has_a_phrase_of_its_own_for_each_error(void **state)
{
	(void)state;
	for (int a = ERR_DOWN; a <= ERR_OK; a++) {
		assert_string_not_equal(err_str(a), err_str(1));
		for (int b = ERR_DOWN; b < a; b++)
			assert_string_not_equal(err_str(a), err_str(b));
	}
	assert_string_equal(err_str(1), "unknown error");
	assert_string_equal(err_str(ERR_DOWN - 1), "unknown error");
}

static void
clock_never_goes_back_and_wall_time_is_of_this_century(void **state)
{
	uint64_t last = clock_us();

	(void)state;
	for (int i = 0; i < 1000; i++) {
		uint64_t now = clock_us();

		assert_true(now >= last);
		last = now;
	}
	assert_true(last > 0 && last < CLOCK_NEVER);
	assert_true(clock_wall_s() > 1700000000 && clock_wall_s() < 4102444800);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(err_str_has_a_phrase_of_its_own_for_each_error),
		cmocka_unit_test(clock_never_goes_back_and_wall_time_is_of_this_century),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
