/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tunnel/guard.h"

#define START (100 * CLOCK_S)
#define RATE 200.0 /* batches a second */

struct line {
	struct guard g;
	uint64_t now_us;
};

static void
line_new(struct line *l)
{
	l->now_us = START;
	guard_init(&l->g, l->now_us);
}

/* For `us`, RATE samples a second: rtt_us, and `slow_us` more for every slow_n-th (0: none). */
static void
samples(struct line *l, uint64_t us, uint64_t rtt_us, unsigned slow_n, uint64_t slow_us)
{
	uint64_t until = l->now_us + us;

	for (unsigned i = 1; l->now_us < until; i++) {
		l->now_us += 5 * CLOCK_MS;
		guard_sample(&l->g, rtt_us + (slow_n != 0 && i % slow_n == 0 ? slow_us : 0),
		    l->now_us);
	}
}

/* A round trip that grows evenly. */
static void
growing(struct line *l, uint64_t us, uint64_t from_us, uint64_t to_us)
{
	for (uint64_t t = 0; t < us; t += 5 * CLOCK_MS)
		samples(l, 5 * CLOCK_MS, from_us + (to_us - from_us) * t / us, 0, 0);
}

static void
repetitions_of_tcp_do_not_lengthen_the_round_trip(void **state)
{
	struct line l;

	(void)state;
	line_new(&l);
	samples(&l, 5 * CLOCK_S, 80 * CLOCK_MS, 10, 300 * CLOCK_MS);
	assert_in_range(l.g.srtt_us, 80 * CLOCK_MS, 82 * CLOCK_MS);
	assert_in_range(guard_min_us(&l.g), 80 * CLOCK_MS, 80 * CLOCK_MS);
	assert_true(guard_spare(&l.g, l.now_us));
	assert_false(guard_congested(&l.g, l.now_us));
}

static void
nothing_is_added_while_the_round_trip_is_40_ms_above_its_minimum(void **state)
{
	struct line l;

	(void)state;
	line_new(&l);
	samples(&l, 2 * CLOCK_S, 80 * CLOCK_MS, 0, 0);
	samples(&l, CLOCK_S, 118 * CLOCK_MS, 0, 0);
	assert_true(guard_spare(&l.g, l.now_us));
	growing(&l, CLOCK_S, 118 * CLOCK_MS, 170 * CLOCK_MS);
	assert_false(guard_spare(&l.g, l.now_us));
	assert_true(guard_congested(&l.g, l.now_us));
}

/* How long nothing may be added after a queue that was there for a moment. */
static uint64_t
off_after_a_queue(struct line *l)
{
	uint64_t from_us;

	growing(l, CLOCK_S, 80 * CLOCK_MS, 200 * CLOCK_MS);
	samples(l, 300 * CLOCK_MS, 80 * CLOCK_MS, 0, 0);
	from_us = l->now_us;
	while (!guard_spare(&l->g, l->now_us)) {
		samples(l, 10 * CLOCK_MS, 80 * CLOCK_MS, 0, 0);
		assert_true(l->now_us - from_us < 40 * CLOCK_S);
	}
	return l->now_us - from_us;
}

static void
each_time_it_is_held_back_for_twice_as_long_until_a_minute_of_peace(void **state)
{
	uint64_t first, second, later;
	struct line l;

	(void)state;
	line_new(&l);
	samples(&l, 2 * CLOCK_S, 80 * CLOCK_MS, 0, 0);
	first = off_after_a_queue(&l);
	second = off_after_a_queue(&l);
	assert_in_range(first, 500 * CLOCK_MS, 2 * CLOCK_S);
	assert_in_range(second, first + CLOCK_S, 4 * CLOCK_S);
	for (int i = 0; i < 6; i++)
		later = off_after_a_queue(&l);
	assert_in_range(later, 20 * CLOCK_S, 32 * CLOCK_S);
	samples(&l, 61 * CLOCK_S, 80 * CLOCK_MS, 0, 0);
	assert_in_range(off_after_a_queue(&l), 500 * CLOCK_MS, 2 * CLOCK_S);
}

static void
a_longer_way_is_told_from_a_queue_by_standing_still(void **state)
{
	struct line l;

	(void)state;
	line_new(&l);
	samples(&l, 2 * CLOCK_S, 20 * CLOCK_MS, 0, 0);
	for (int i = 0; i < 700; i++) {
		samples(&l, 5 * CLOCK_MS, 160 * CLOCK_MS, 0, 0);
		/* What is on its way is what a way of 160 ms holds: nothing is dropped for it. */
		assert_true(guard_admit(&l.g, (size_t)(RATE * 0.165), RATE, l.now_us));
	}
	assert_in_range(guard_min_us(&l.g), 159 * CLOCK_MS, 161 * CLOCK_MS);
	assert_false(guard_congested(&l.g, l.now_us));
}

static void
a_queue_that_voice_is_dropped_for_never_becomes_the_minimum(void **state)
{
	struct line l;

	(void)state;
	line_new(&l);
	samples(&l, 2 * CLOCK_S, 20 * CLOCK_MS, 0, 0);
	for (int i = 0; i < 200 * 120; i++) {
		samples(&l, 5 * CLOCK_MS, 85 * CLOCK_MS, 0, 0);
		if (i % 20 == 0)
			(void)guard_admit(&l.g, 100, RATE, l.now_us);
	}
	assert_in_range(guard_min_us(&l.g), 20 * CLOCK_MS, 20 * CLOCK_MS);
	assert_true(guard_congested(&l.g, l.now_us));
}

static void
the_minimum_of_a_minute_ago_is_forgotten(void **state)
{
	struct line l;

	(void)state;
	line_new(&l);
	samples(&l, 2 * CLOCK_S, 50 * CLOCK_MS, 0, 0);
	samples(&l, 25 * CLOCK_S, 70 * CLOCK_MS, 0, 0);
	assert_in_range(guard_min_us(&l.g), 50 * CLOCK_MS, 50 * CLOCK_MS);
	samples(&l, 40 * CLOCK_S, 70 * CLOCK_MS, 0, 0);
	assert_in_range(guard_min_us(&l.g), 70 * CLOCK_MS, 70 * CLOCK_MS);
}

static void
more_than_the_line_holds_is_refused_after_a_little_patience(void **state)
{
	struct line l;
	size_t room = 4 + (size_t)(RATE * 0.14), much = 4 + (size_t)(RATE * 0.28);

	(void)state;
	line_new(&l);
	assert_true(guard_admit(&l.g, 1000, RATE, l.now_us)); /* nothing is known yet */
	samples(&l, 2 * CLOCK_S, 80 * CLOCK_MS, 0, 0);
	assert_true(guard_admit(&l.g, 1000, 0, l.now_us));
	assert_true(guard_admit(&l.g, room, RATE, l.now_us));
	assert_true(guard_admit(&l.g, much, RATE, l.now_us));
	assert_false(guard_admit(&l.g, much + 1, RATE, l.now_us));
	l.now_us += 2400 * CLOCK_MS;
	assert_true(guard_admit(&l.g, much, RATE, l.now_us));
	l.now_us += 100 * CLOCK_MS;
	assert_false(guard_admit(&l.g, room + 1, RATE, l.now_us));
	assert_true(guard_admit(&l.g, room, RATE, l.now_us));
	assert_true(guard_congested(&l.g, l.now_us));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(repetitions_of_tcp_do_not_lengthen_the_round_trip),
		cmocka_unit_test(nothing_is_added_while_the_round_trip_is_40_ms_above_its_minimum),
		cmocka_unit_test(
		    each_time_it_is_held_back_for_twice_as_long_until_a_minute_of_peace),
		cmocka_unit_test(a_longer_way_is_told_from_a_queue_by_standing_still),
		cmocka_unit_test(a_queue_that_voice_is_dropped_for_never_becomes_the_minimum),
		cmocka_unit_test(the_minimum_of_a_minute_ago_is_forgotten),
		cmocka_unit_test(more_than_the_line_holds_is_refused_after_a_little_patience),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
