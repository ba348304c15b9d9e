/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tunnel/guard.h"

#define RATE 200.0
#define STEP_US 5000ULL /* between two batches at that rate */

/* A flow over a line whose round trip the test sets: each batch is acknowledged when it is over. */
struct flow {
	struct guard g;
	uint64_t now_us;
	unsigned refused_n;
	bool left[1024]; /* of the last steps: whether a batch left */
	unsigned steps_n;
};

static struct flow
flow_new(void)
{
	struct flow f = { .now_us = CLOCK_S };

	guard_init(&f.g, 0, f.now_us);
	return f;
}

/* `us` of voice with as many batches in flight as the round trip makes. */
static void
flow_run(struct flow *f, uint64_t rtt_us, uint64_t us)
{
	for (uint64_t until = f->now_us + us; f->now_us < until; f->now_us += STEP_US) {
		size_t in_flight = 0;
		bool *left = &f->left[f->steps_n++ % 1024];

		*left = false;
		for (unsigned i = 0; i < rtt_us / STEP_US; i++)
			in_flight += f->left[(f->steps_n + 1023 - i) % 1024];
		*left = guard_admit(&f->g, in_flight, RATE, f->now_us);
		f->refused_n += !*left;
		if (f->left[(f->steps_n + 1023 - rtt_us / STEP_US) % 1024])
			guard_sample(&f->g, rtt_us, true, f->now_us);
	}
}

static void
on_a_quiet_line_all_is_admitted_and_redundancy_may_be(void **state)
{
	struct flow f = flow_new();

	(void)state;
	flow_run(&f, 80 * CLOCK_MS, 60 * CLOCK_S);
	assert_int_equal(f.refused_n, 0);
	assert_true(guard_spare(&f.g, f.now_us));
	assert_false(guard_congested(&f.g, f.now_us));
	assert_int_equal(guard_min_us(&f.g), 80 * CLOCK_MS);
}

static void
redundancy_is_off_while_the_round_trip_is_40_ms_above_its_minimum_and_2_s_more(void **state)
{
	struct flow f = flow_new();

	(void)state;
	flow_run(&f, 80 * CLOCK_MS, 5 * CLOCK_S);
	flow_run(&f, 118 * CLOCK_MS, CLOCK_S);
	assert_true(guard_spare(&f.g, f.now_us));
	flow_run(&f, 130 * CLOCK_MS, CLOCK_S);
	assert_false(guard_spare(&f.g, f.now_us));
	assert_true(guard_congested(&f.g, f.now_us));
	flow_run(&f, 80 * CLOCK_MS, CLOCK_S / 2);
	assert_false(guard_spare(&f.g, f.now_us));
	flow_run(&f, 80 * CLOCK_MS, 2 * CLOCK_S);
	assert_true(guard_spare(&f.g, f.now_us));
	assert_false(guard_congested(&f.g, f.now_us));
}

/* How long redundancy stays off after a short excess. */
static uint64_t
off_us(struct flow *f)
{
	uint64_t since;

	for (uint64_t rtt = 90; rtt <= 140; rtt += 10)
		flow_run(f, rtt * CLOCK_MS, 100 * CLOCK_MS);
	assert_false(guard_spare(&f->g, f->now_us));
	since = f->now_us;
	while (!guard_spare(&f->g, f->now_us))
		flow_run(f, 80 * CLOCK_MS, 50 * CLOCK_MS);
	return f->now_us - since;
}

static void
each_time_it_is_off_for_twice_as_long_up_to_32_s_and_a_minute_in_peace_forgets(void **state)
{
	struct flow f = flow_new();
	uint64_t want = 2 * CLOCK_S;

	(void)state;
	flow_run(&f, 80 * CLOCK_MS, 5 * CLOCK_S);
	for (int i = 0; i < 7; i++) {
		assert_in_range(off_us(&f), want - 400 * CLOCK_MS, want + 200 * CLOCK_MS);
		want = want < 32 * CLOCK_S ? 2 * want : want;
		/* On trial for 4 s; then it is on. */
		flow_run(&f, 80 * CLOCK_MS, 5 * CLOCK_S);
	}
	flow_run(&f, 80 * CLOCK_MS, 70 * CLOCK_S);
	assert_in_range(off_us(&f), 1600 * CLOCK_MS, 2200 * CLOCK_MS);
}

static void
on_trial_a_little_growth_ends_it(void **state)
{
	struct flow f = flow_new();

	(void)state;
	flow_run(&f, 80 * CLOCK_MS, 5 * CLOCK_S);
	off_us(&f);
	assert_true(guard_spare(&f.g, f.now_us));
	flow_run(&f, 100 * CLOCK_MS, 200 * CLOCK_MS);
	assert_false(guard_spare(&f.g, f.now_us));
}

static void
what_later_batches_have_overtaken_tells_nothing_of_the_round_trip(void **state)
{
	struct flow f = flow_new();

	(void)state;
	flow_run(&f, 80 * CLOCK_MS, 5 * CLOCK_S);
	for (int i = 0; i < 600; i++) {
		flow_run(&f, 80 * CLOCK_MS, STEP_US);
		/* Lost ones and their repetitions, more than the others. */
		guard_sample(&f.g, 300 * CLOCK_MS, true, f.now_us);
		guard_sample(&f.g, 400 * CLOCK_MS, true, f.now_us);
	}
	assert_true(guard_spare(&f.g, f.now_us));
	assert_int_equal(f.refused_n, 0);
}

static void
what_is_in_flight_beyond_the_minimum_and_60_ms_is_refused(void **state)
{
	struct flow f = flow_new();

	(void)state;
	flow_run(&f, 80 * CLOCK_MS, 5 * CLOCK_S);
	/* 4 + 200/s x 140 ms */
	assert_true(guard_admit(&f.g, 32, RATE, f.now_us));
	/* A few behind a burst of losses are no full line yet. */
	for (int i = 0; i < 5; i++)
		assert_false(guard_admit(&f.g, 33, RATE, f.now_us));
	assert_false(guard_congested(&f.g, f.now_us));
	assert_true(guard_spare(&f.g, f.now_us));
	assert_false(guard_admit(&f.g, 33, RATE, f.now_us));
	assert_true(guard_congested(&f.g, f.now_us));
	assert_false(guard_spare(&f.g, f.now_us));
	flow_run(&f, 80 * CLOCK_MS, 1100 * CLOCK_MS);
	assert_false(guard_congested(&f.g, f.now_us));
}

static void
in_a_cut_there_is_room_for_200_ms_and_no_blame(void **state)
{
	struct flow f = flow_new();

	(void)state;
	flow_run(&f, 80 * CLOCK_MS, 5 * CLOCK_S);
	f.now_us += 100 * CLOCK_MS;
	assert_true(guard_admit(&f.g, 60, RATE, f.now_us));
	assert_false(guard_admit(&f.g, 61, RATE, f.now_us));
	assert_false(guard_congested(&f.g, f.now_us));
	assert_true(guard_spare(&f.g, f.now_us));
}

static void
a_way_that_became_longer_costs_no_voice_and_is_the_new_minimum_after_2_s(void **state)
{
	struct flow f = flow_new();

	(void)state;
	flow_run(&f, 20 * CLOCK_MS, 10 * CLOCK_S);
	f.now_us += 140 * CLOCK_MS; /* no acknowledgement comes for as long as it grew */
	flow_run(&f, 160 * CLOCK_MS, 3 * CLOCK_S);
	assert_int_equal(guard_min_us(&f.g), 160 * CLOCK_MS);
	assert_int_equal(f.refused_n, 0);
	flow_run(&f, 160 * CLOCK_MS, 10 * CLOCK_S);
	assert_true(guard_spare(&f.g, f.now_us));
}

static void
a_shorter_way_is_the_new_minimum_at_once(void **state)
{
	struct flow f = flow_new();

	(void)state;
	flow_run(&f, 160 * CLOCK_MS, 10 * CLOCK_S);
	flow_run(&f, 20 * CLOCK_MS, 100 * CLOCK_MS);
	assert_int_equal(guard_min_us(&f.g), 20 * CLOCK_MS);
}

static void
the_minimum_of_a_minute_ago_is_forgotten(void **state)
{
	struct flow f = flow_new();

	(void)state;
	flow_run(&f, 50 * CLOCK_MS, 2 * CLOCK_S);
	flow_run(&f, 70 * CLOCK_MS, 25 * CLOCK_S);
	assert_int_equal(guard_min_us(&f.g), 50 * CLOCK_MS);
	flow_run(&f, 70 * CLOCK_MS, 40 * CLOCK_S);
	assert_int_equal(guard_min_us(&f.g), 70 * CLOCK_MS);
}

static void
while_nothing_is_known_all_is_admitted(void **state)
{
	struct flow f = flow_new();

	(void)state;
	assert_true(guard_admit(&f.g, 1000, RATE, f.now_us));
	flow_run(&f, 80 * CLOCK_MS, 2 * CLOCK_S);
	assert_true(guard_admit(&f.g, 1000, 0, f.now_us));
}

static void
what_the_idle_line_showed_is_the_first_minimum(void **state)
{
	struct flow f = { .now_us = CLOCK_S };

	(void)state;
	guard_init(&f.g, 40 * CLOCK_MS, f.now_us);
	/* The call begins, and with it a queue. */
	flow_run(&f, 95 * CLOCK_MS, CLOCK_S);
	assert_int_equal(guard_min_us(&f.g), 40 * CLOCK_MS);
	assert_false(guard_spare(&f.g, f.now_us));
}

/* The line became longer by more than was foreseen: voice is refused, and the round trip stays. */
static void
a_much_longer_way_is_found_by_letting_all_through_for_a_moment(void **state)
{
	struct flow f = flow_new();

	(void)state;
	flow_run(&f, 20 * CLOCK_MS, 10 * CLOCK_S);
	f.now_us += 480 * CLOCK_MS;
	flow_run(&f, 500 * CLOCK_MS, CLOCK_S);
	assert_true(f.refused_n > 0);
	flow_run(&f, 500 * CLOCK_MS, 5 * CLOCK_S);
	assert_in_range(guard_min_us(&f.g), 495 * CLOCK_MS, 500 * CLOCK_MS);
	f.refused_n = 0;
	flow_run(&f, 500 * CLOCK_MS, 10 * CLOCK_S);
	assert_int_equal(f.refused_n, 0);
}

/* A line that carries half of what is sent: its queue, and with it the round trip, follows. */
static void
a_queue_is_never_taken_for_the_way(void **state)
{
	struct flow f = flow_new();
	uint64_t worst_us = 0, n = 0;
	double queued = 0;

	(void)state;
	flow_run(&f, 40 * CLOCK_MS, 10 * CLOCK_S);
	for (int i = 0; i < 60 * 200; i++, f.now_us += STEP_US) {
		uint64_t rtt_us = 40 * CLOCK_MS + (uint64_t)(queued * 2 * STEP_US);

		if (guard_admit(&f.g, (size_t)(queued + 8), RATE, f.now_us))
			queued += 1;
		else
			f.refused_n++;
		queued = queued > 0.5 ? queued - 0.5 : 0;
		if (i % 2 == 0)
			guard_sample(&f.g, rtt_us, true, f.now_us);
		if (i > 400)
			n += rtt_us > 40 * CLOCK_MS + 150 * CLOCK_MS;
		if (rtt_us > worst_us)
			worst_us = rtt_us;
	}
	assert_true(guard_min_us(&f.g) < 60 * CLOCK_MS);
	assert_in_range(f.refused_n, 60 * 200 * 4 / 10, 60 * 200 * 6 / 10);
	/* Now and then it is asked whether the queue is one; that is all that exceeds. */
	assert_true(n < 60 * 200 / 20);
	assert_true(worst_us < 400 * CLOCK_MS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(on_a_quiet_line_all_is_admitted_and_redundancy_may_be),
		cmocka_unit_test(
		    redundancy_is_off_while_the_round_trip_is_40_ms_above_its_minimum_and_2_s_more),
		cmocka_unit_test(
		    each_time_it_is_off_for_twice_as_long_up_to_32_s_and_a_minute_in_peace_forgets),
		cmocka_unit_test(on_trial_a_little_growth_ends_it),
		cmocka_unit_test(what_later_batches_have_overtaken_tells_nothing_of_the_round_trip),
		cmocka_unit_test(what_is_in_flight_beyond_the_minimum_and_60_ms_is_refused),
		cmocka_unit_test(in_a_cut_there_is_room_for_200_ms_and_no_blame),
		cmocka_unit_test(
		    a_way_that_became_longer_costs_no_voice_and_is_the_new_minimum_after_2_s),
		cmocka_unit_test(a_shorter_way_is_the_new_minimum_at_once),
		cmocka_unit_test(the_minimum_of_a_minute_ago_is_forgotten),
		cmocka_unit_test(while_nothing_is_known_all_is_admitted),
		cmocka_unit_test(what_the_idle_line_showed_is_the_first_minimum),
		cmocka_unit_test(a_much_longer_way_is_found_by_letting_all_through_for_a_moment),
		cmocka_unit_test(a_queue_is_never_taken_for_the_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
