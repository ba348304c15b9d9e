/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tunnel/sched.h"

#define N 4
#define NOW (100 * CLOCK_S)
#define PATIENCE (100 * CLOCK_MS)

static struct sched_path paths[N];
static struct sched_path *list[N] = { &paths[0], &paths[1], &paths[2], &paths[3] };

/* All open, idle, heard from and used at the same times. */
static int
set_up(void **state)
{
	(void)state;
	for (size_t i = 0; i < N; i++)
		paths[i] = (struct sched_path){ .open = true,
			.connected = true,
			.oldest_us = CLOCK_NEVER,
			.waiting_us = CLOCK_NEVER,
			.heard_us = NOW - 100,
			.used_us = NOW - 200 };
	return 0;
}

static void
make_wait(size_t i, size_t batches, uint64_t since_us)
{
	paths[i].outstanding = batches;
	paths[i].waiting_us = paths[i].oldest_us = since_us;
}

static size_t
choose(size_t n, size_t avoid, bool together)
{
	return sched_choose(list, n,
	    &(struct sched_ask){
		.avoid = avoid, .patience_us = PATIENCE, .together = together, .now_us = NOW });
}

static void
assert_choice(size_t expected)
{
	assert_int_equal(choose(N, SCHED_NONE, false), expected);
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
with_none_idle_the_one_with_the_fewest_batches(void **state)
{
	(void)state;
	for (size_t i = 0; i < N; i++)
		make_wait(i, 1000 + i, NOW);
	paths[2].outstanding = 999;
	paths[0].heard_us = NOW;
	assert_choice(2);
}

static void
one_out_of_patience_comes_after_all_that_are_in_time(void **state)
{
	(void)state;
	for (size_t i = 0; i < N; i++)
		make_wait(i, 1, NOW - PATIENCE - 1);
	make_wait(2, 50, NOW - PATIENCE);
	assert_choice(2);
	/* Of those without hope the one whose oldest batch is youngest. */
	make_wait(2, 1, NOW - PATIENCE - 3);
	make_wait(3, 9, NOW - PATIENCE - 2);
	paths[0].open = paths[1].open = false;
	assert_choice(3);
}

static void
one_that_is_still_opening_comes_after_all_that_work(void **state)
{
	(void)state;
	for (size_t i = 0; i < N; i++)
		make_wait(i, 20, NOW - PATIENCE);
	paths[1].heard_us = 0;
	make_wait(1, 1, NOW);
	assert_int_not_equal(choose(N, SCHED_NONE, false), 1);
	make_wait(1, 0, CLOCK_NEVER);
	assert_int_not_equal(choose(N, SCHED_NONE, false), 1);
	paths[0].open = paths[2].open = paths[3].open = false;
	assert_choice(1);
}

/* When all streams fell into a black hole, what opens in their place must be used to be heard. */
static void
one_that_is_late_comes_after_those_that_are_opening(void **state)
{
	(void)state;
	for (size_t i = 0; i < N; i++)
		make_wait(i, 2, NOW - PATIENCE - 1);
	paths[1].heard_us = 0;
	make_wait(1, 20, NOW);
	assert_choice(1);
}

static void
one_that_may_not_be_connected_comes_before_the_stalled_and_the_youngest_first(void **state)
{
	(void)state;
	for (size_t i = 0; i < N; i++) {
		make_wait(i, 2, NOW - PATIENCE - 1);
		paths[i].opened_us = i;
	}
	paths[1].connected = paths[2].connected = false;
	paths[1].heard_us = paths[2].heard_us = 0;
	assert_choice(0);
	make_wait(0, 2, NOW - 2 * PATIENCE - 100 * CLOCK_MS);
	make_wait(3, 2, NOW - 2 * PATIENCE - 100 * CLOCK_MS - 1);
	assert_choice(0);
	make_wait(0, 2, NOW - 2 * PATIENCE - 100 * CLOCK_MS - 1);
	assert_choice(2);
	assert_true(sched_stalled(&paths[0], PATIENCE, NOW));
	assert_false(sched_stalled(&paths[1], PATIENCE, NOW));
}

/* TCP acknowledges two segments of one connection at a time, which saves bytes on a clean line. */
static void
a_thin_flow_on_a_clean_line_goes_in_pairs(void **state)
{
	(void)state;
	make_wait(2, 1, NOW - 20 * CLOCK_MS);
	paths[2].voice_us = NOW - 20 * CLOCK_MS;
	paths[2].half = true;
	assert_int_equal(choose(N, SCHED_NONE, true), 2);
	/* Only then, only in time, and only if the first one may still be on its way. */
	assert_int_not_equal(choose(N, SCHED_NONE, false), 2);
	paths[2].voice_us = NOW - 31 * CLOCK_MS;
	assert_int_not_equal(choose(N, SCHED_NONE, true), 2);
	paths[2].voice_us = NOW - 20 * CLOCK_MS;
	make_wait(2, 1, NOW - PATIENCE - 1);
	assert_int_not_equal(choose(N, SCHED_NONE, true), 2);
}

/* A loss shows itself by what comes on other streams. */
static void
no_third_one_goes_with_a_pair(void **state)
{
	(void)state;
	make_wait(2, 2, NOW - 30 * CLOCK_MS);
	paths[2].voice_us = NOW - 10 * CLOCK_MS;
	paths[2].half = false;
	assert_int_not_equal(choose(N, SCHED_NONE, true), 2);
}

static void
patience_is_a_round_trip_and_some(void **state)
{
	(void)state;
	assert_int_equal(sched_patience_us(80000), 115000);
	assert_int_equal(sched_patience_us(0), 400000);
}

/* The experiment's 16, 28 and 52 for 20 calls at 20, 80 and 160 ms, with a sixth of parity. */
static void
streams_follow_the_rate_the_round_trip_and_the_loss(void **state)
{
	struct sched_flow flow = { .batches_per_s = 233, .level = 1 };

	(void)state;
	flow.srtt_us = 25000;
	assert_in_range(sched_streams(&flow, 64), 12, 16);
	flow.srtt_us = 80000;
	assert_in_range(sched_streams(&flow, 64), 27, 29);
	flow.srtt_us = 160000;
	assert_in_range(sched_streams(&flow, 64), 50, 54);
	assert_int_equal(sched_streams(&flow, 40), 40);
	flow.level = 0;
	assert_in_range(sched_streams(&flow, 64), 6, 8);
	flow.batches_per_s = 5000;
	assert_int_equal(sched_streams(&flow, 64), 16);
	flow.batches_per_s = 10;
	assert_int_equal(sched_streams(&flow, 64), 4);
	flow.thin = true;
	assert_int_equal(sched_streams(&flow, 64), 2);
	flow.batches_per_s = 50;
	assert_in_range(sched_streams(&flow, 64), 6, 8);
	assert_int_equal(sched_streams(&flow, 1), 1);
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
	assert_int_equal(choose(N, 2, false), SCHED_NONE);
	assert_int_equal(choose(0, SCHED_NONE, false), SCHED_NONE);
}

static void
the_avoided_one_is_taken_only_when_there_is_no_other(void **state)
{
	(void)state;
	for (size_t i = 0; i < N; i++)
		if (i != 1)
			make_wait(i, 5000 - i, 1);
	assert_int_equal(choose(N, 1, false), 3);
	paths[0].open = paths[2].open = paths[3].open = false;
	assert_int_equal(choose(N, 1, false), 1);
}

static void
polls_suffice_for_one_always_to_wait_and_are_few_however_much_flows(void **state)
{
	struct sched_flow one = { 50, true, 40 * 1000, 0 }, many = { 1500, false, 160 * 1000, 0 };

	(void)state;
	/* Three are under way in a round trip and 20 ms, a fifth more, and two wait. */
	assert_in_range(sched_polls(&one, 48), 5, 6);
	one.srtt_us = 0;
	assert_in_range(sched_polls(&one, 48), 3, 4);
	/* Bursts grow instead: as many as a hundred and ten a second take, and more where they are lost. */
	assert_in_range(sched_polls(&many, 48), 25, 27);
	many.level = 1;
	assert_int_equal(sched_polls(&many, 48), 48);
	assert_int_equal(sched_polls(&many, 3), 3);
}

#define TEST(f) cmocka_unit_test_setup(f, set_up)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_idle_one_that_heard_last_is_taken),
		TEST(of_those_that_heard_at_the_same_time_the_one_that_rested_longest),
		TEST(never_behind_what_is_unacknowledged_while_another_is_idle),
		TEST(with_none_idle_the_one_with_the_fewest_batches),
		TEST(one_that_is_still_opening_comes_after_all_that_work),
		TEST(one_out_of_patience_comes_after_all_that_are_in_time),
		TEST(one_that_is_late_comes_after_those_that_are_opening),
		TEST(one_that_may_not_be_connected_comes_before_the_stalled_and_the_youngest_first),
		TEST(a_thin_flow_on_a_clean_line_goes_in_pairs),
		TEST(no_third_one_goes_with_a_pair),
		TEST(patience_is_a_round_trip_and_some),
		TEST(streams_follow_the_rate_the_round_trip_and_the_loss),
		TEST(closed_ones_are_never_taken),
		TEST(the_avoided_one_is_taken_only_when_there_is_no_other),
		TEST(polls_suffice_for_one_always_to_wait_and_are_few_however_much_flows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
