/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tunnel/sched.h"

#define N 4
#define NOW (100 * CLOCK_S)

static struct sched_path paths[N];
static struct sched_path *list[N] = { &paths[0], &paths[1], &paths[2], &paths[3] };

/* All open, idle, heard from and used at the same times. */
static int
set_up(void **state)
{
	(void)state;
	for (size_t i = 0; i < N; i++)
		paths[i] = (struct sched_path){ .open = true,
			.waiting_us = CLOCK_NEVER,
			.heard_us = NOW - 100,
			.used_us = NOW - 200 };
	return 0;
}

static void
make_wait(size_t i, uint64_t bytes, uint64_t since_us)
{
	paths[i].outstanding = bytes;
	paths[i].waiting_us = since_us;
}

static void
assert_choice(size_t expected)
{
	assert_int_equal(sched_choose(list, N, SCHED_NONE, NOW), expected);
}

static void
the_idle_one_that_heard_last_is_taken(void **state)
{
	(void)state;
	paths[2].heard_us = NOW - 99;
	assert_choice(2);
	/* However often: none is passed over for the sake of turns. */
	paths[2].used_us = NOW;
	assert_choice(2);
}

static void
of_those_that_heard_at_the_same_time_the_one_that_rested_longest(void **state)
{
	(void)state;
	paths[1].used_us = NOW - 5000;
	assert_choice(1);
}

static void
never_behind_what_is_unacknowledged_while_another_is_idle(void **state)
{
	(void)state;
	for (size_t i = 0; i < 3; i++) {
		make_wait(i, 1, NOW);
		paths[i].heard_us = NOW;
	}
	paths[3].heard_us = 1;
	assert_choice(3);
}

static void
with_none_idle_the_one_with_the_fewest_bytes(void **state)
{
	(void)state;
	for (size_t i = 0; i < N; i++)
		make_wait(i, 1000 + i, NOW);
	paths[2].outstanding = 999;
	paths[0].heard_us = NOW;
	assert_choice(2);
}

static void
one_that_is_still_opening_comes_after_all_that_work(void **state)
{
	(void)state;
	for (size_t i = 0; i < N; i++)
		make_wait(i, 20000, NOW - SCHED_LATE_US);
	paths[1].heard_us = 0;
	make_wait(1, 12, NOW);
	assert_int_not_equal(sched_choose(list, N, SCHED_NONE, NOW), 1);
	make_wait(1, 0, CLOCK_NEVER);
	assert_int_not_equal(sched_choose(list, N, SCHED_NONE, NOW), 1);
	paths[0].open = paths[2].open = paths[3].open = false;
	assert_choice(1);
}

/* When all streams fell into a black hole, what opens in their place must be used to be heard. */
static void
one_that_is_late_comes_after_those_that_are_opening(void **state)
{
	(void)state;
	for (size_t i = 0; i < N; i++)
		make_wait(i, 200, NOW - SCHED_LATE_US - 1);
	paths[1].heard_us = 0;
	make_wait(1, 20000, NOW - SCHED_LATE_US - 1);
	assert_choice(1);
	paths[1].open = false;
	paths[3].outstanding = 100;
	assert_choice(3);
}

static void
closed_ones_are_never_taken(void **state)
{
	(void)state;
	paths[0].open = paths[1].open = paths[3].open = false;
	make_wait(2, 1 << 20, 1);
	assert_choice(2);
	paths[2].open = false;
	assert_choice(SCHED_NONE);
	assert_int_equal(sched_choose(list, N, 2, NOW), SCHED_NONE);
	assert_int_equal(sched_choose(list, 0, SCHED_NONE, NOW), SCHED_NONE);
}

static void
the_avoided_one_is_taken_only_when_there_is_no_other(void **state)
{
	(void)state;
	for (size_t i = 0; i < N; i++)
		if (i != 1)
			make_wait(i, 5000 - i, 1);
	assert_int_equal(sched_choose(list, N, 1, NOW), 3);
	paths[0].open = paths[2].open = paths[3].open = false;
	assert_int_equal(sched_choose(list, N, 1, NOW), 1);
}

#define TEST(f) cmocka_unit_test_setup(f, set_up)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_idle_one_that_heard_last_is_taken),
		TEST(of_those_that_heard_at_the_same_time_the_one_that_rested_longest),
		TEST(never_behind_what_is_unacknowledged_while_another_is_idle),
		TEST(with_none_idle_the_one_with_the_fewest_bytes),
		TEST(one_that_is_still_opening_comes_after_all_that_work),
		TEST(one_that_is_late_comes_after_those_that_are_opening),
		TEST(closed_ones_are_never_taken),
		TEST(the_avoided_one_is_taken_only_when_there_is_no_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
