/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tunnel/sched.h"

#define N 4

static struct sched_path paths[N];
static struct sched_path *list[N] = { &paths[0], &paths[1], &paths[2], &paths[3] };

/* All open, idle, heard from at 100, used at 50. */
static int
set_up(void **state)
{
	(void)state;
	for (size_t i = 0; i < N; i++)
		paths[i] = (struct sched_path){ true, 0, 100, 50 };
	return 0;
}

static void
the_idle_one_that_heard_last_is_taken(void **state)
{
	(void)state;
	paths[2].heard_us = 101;
	assert_int_equal(sched_choose(list, N, SCHED_NONE), 2);
	/* However often: none is passed over for the sake of turns. */
	paths[2].used_us = 1000;
	assert_int_equal(sched_choose(list, N, SCHED_NONE), 2);
}

static void
never_behind_what_is_unacknowledged_while_another_is_idle(void **state)
{
	(void)state;
	for (size_t i = 0; i < N; i++) {
		paths[i].outstanding = 1;
		paths[i].heard_us = 1000;
	}
	paths[3].outstanding = 0;
	paths[3].heard_us = 0;
	assert_int_equal(sched_choose(list, N, SCHED_NONE), 3);
}

static void
of_idle_ones_never_heard_from_the_one_that_rested_longest(void **state)
{
	(void)state;
	for (size_t i = 0; i < N; i++) {
		paths[i].heard_us = 0;
		paths[i].used_us = 10 + i;
	}
	paths[1].used_us = 3;
	assert_int_equal(sched_choose(list, N, SCHED_NONE), 1);
	/* One that the peer answered on is better than all of these. */
	paths[3].heard_us = 1;
	assert_int_equal(sched_choose(list, N, SCHED_NONE), 3);
}

static void
with_none_idle_the_one_with_the_fewest_bytes(void **state)
{
	(void)state;
	for (size_t i = 0; i < N; i++)
		paths[i].outstanding = 1000 + i;
	paths[2].outstanding = 999;
	paths[0].heard_us = 5000;
	assert_int_equal(sched_choose(list, N, SCHED_NONE), 2);
}

static void
closed_ones_are_never_taken(void **state)
{
	(void)state;
	paths[0].open = paths[1].open = paths[3].open = false;
	paths[2].outstanding = 1 << 20;
	assert_int_equal(sched_choose(list, N, SCHED_NONE), 2);
	paths[2].open = false;
	assert_int_equal(sched_choose(list, N, SCHED_NONE), SCHED_NONE);
	assert_int_equal(sched_choose(list, N, 2), SCHED_NONE);
	assert_int_equal(sched_choose(list, 0, SCHED_NONE), SCHED_NONE);
}

static void
the_avoided_one_is_taken_only_when_there_is_no_other(void **state)
{
	(void)state;
	paths[1].heard_us = 1000;
	for (size_t i = 0; i < N; i++)
		if (i != 1)
			paths[i].outstanding = 5000 - i;
	assert_int_equal(sched_choose(list, N, 1), 3);
	paths[0].open = paths[2].open = paths[3].open = false;
	assert_int_equal(sched_choose(list, N, 1), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_idle_one_that_heard_last_is_taken, set_up),
		cmocka_unit_test_setup(never_behind_what_is_unacknowledged_while_another_is_idle,
		    set_up),
		cmocka_unit_test_setup(of_idle_ones_never_heard_from_the_one_that_rested_longest,
		    set_up),
		cmocka_unit_test_setup(with_none_idle_the_one_with_the_fewest_bytes, set_up),
		cmocka_unit_test_setup(closed_ones_are_never_taken, set_up),
		cmocka_unit_test_setup(the_avoided_one_is_taken_only_when_there_is_no_other,
		    set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
