/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a wall clock that jumps changes, and what it does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above before itself */
#include <cmocka.h>

#include <time.h>

#include "base/clock.h"

static time_t jump_s, slept_s;

int __real_clock_gettime(clockid_t clock, struct timespec *t);
int __wrap_clock_gettime(clockid_t clock, struct timespec *t);

int
__wrap_clock_gettime(clockid_t clock, struct timespec *t)
{
	int err = __real_clock_gettime(clock, t);

	if (clock == CLOCK_REALTIME)
		t->tv_sec += jump_s + slept_s;
	if (clock == CLOCK_BOOTTIME)
		t->tv_sec += slept_s;
	return err;
}

static void
a_wall_clock_that_jumps_moves_only_what_is_told_to_people(void **state)
{
	static const time_t jumps_s[] = { 3600, -3600, 50L * 365 * 86400, -50L * 365 * 86400 };
	uint64_t wall_s = clock_wall_s(), steady_s = clock_steady_s(), us = clock_us();

	(void)state;
	assert_in_range(steady_s, wall_s - 1, wall_s + 1);
	for (size_t i = 0; i < sizeof(jumps_s) / sizeof(jumps_s[0]); i++) {
		jump_s = jumps_s[i];
		assert_in_range(clock_wall_s(), wall_s + (uint64_t)jump_s,
		    wall_s + (uint64_t)jump_s + 60);
		assert_in_range(clock_steady_s(), steady_s, steady_s + 60);
		assert_in_range(clock_us(), us, us + 60 * CLOCK_S);
	}
	jump_s = 0;
}

static void
what_lasts_for_a_time_grows_older_in_sleep(void **state)
{
	uint64_t steady_s = clock_steady_s(), us = clock_us();

	(void)state;
	slept_s = 7200;
	assert_in_range(clock_steady_s(), steady_s + 7200, steady_s + 7260);
	assert_in_range(clock_us(), us, us + 60 * CLOCK_S);
	slept_s = 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_wall_clock_that_jumps_moves_only_what_is_told_to_people),
		cmocka_unit_test(what_lasts_for_a_time_grows_older_in_sleep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
