/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tunnel/trust.h"

#define RTT_US (40 * CLOCK_MS)
#define EVERY_US (20 * CLOCK_MS)

/* A flow of one datagram each 20 ms, of which the peer tells a round trip later. */
struct flow {
	struct trust t;
	uint64_t now_us, sent, missing;
	unsigned lose_every; /* 0 = none */
	bool silent, busy;
};

static struct flow
flow_new(void)
{
	struct flow f = { .now_us = 1000 * CLOCK_S, .busy = true };

	trust_init(&f.t, f.now_us);
	return f;
}

static void
flow_run(struct flow *f, uint64_t us)
{
	for (uint64_t until = f->now_us + us; f->now_us < until; f->now_us += EVERY_US) {
		trust_sent(&f->t, ++f->sent, true, f->now_us);
		f->missing += f->lose_every != 0 && f->sent % f->lose_every == 0;
		if (!f->silent && f->sent > 2)
			trust_told(&f->t, f->sent - 2, f->missing, f->now_us - RTT_US, f->now_us);
		trust_run(&f->t, RTT_US, f->busy, f->now_us);
	}
}

static void
the_first_answer_makes_it_good(void **state)
{
	struct flow f = flow_new();

	(void)state;
	assert_int_equal(f.t.state, TRUST_NONE);
	flow_run(&f, 100 * CLOCK_MS);
	assert_int_equal(f.t.state, TRUST_GOOD);
}

static void
one_lost_in_200_is_borne_and_one_in_33_is_not(void **state)
{
	struct flow f = flow_new();

	(void)state;
	f.lose_every = 200;
	flow_run(&f, 120 * CLOCK_S);
	assert_int_equal(f.t.state, TRUST_GOOD);
	f.lose_every = 33;
	flow_run(&f, 2 * CLOCK_S);
	assert_int_equal(f.t.state, TRUST_LEFT);
	assert_int_equal(f.t.why, TRUST_WHY_LOSS);
	assert_int_equal(f.t.left_n[TRUST_WHY_LOSS], 1);
}

static void
a_burst_makes_doubt_that_passes(void **state)
{
	struct flow f = flow_new();

	(void)state;
	flow_run(&f, 10 * CLOCK_S);
	f.missing += 2;
	flow_run(&f, 400 * CLOCK_MS);
	assert_int_equal(f.t.state, TRUST_DOUBT);
	flow_run(&f, 4 * CLOCK_S);
	assert_int_equal(f.t.state, TRUST_GOOD);
	assert_int_equal(f.t.left_n[TRUST_WHY_LOSS], 0);
}

static void
silence_makes_doubt_after_a_round_trip_and_is_left_after_a_second(void **state)
{
	struct flow f = flow_new();

	(void)state;
	flow_run(&f, 10 * CLOCK_S);
	f.silent = true;
	flow_run(&f, 160 * CLOCK_MS);
	assert_int_equal(f.t.state, TRUST_DOUBT);
	assert_true(f.t.silent);
	flow_run(&f, 900 * CLOCK_MS);
	assert_int_equal(f.t.state, TRUST_LEFT);
	assert_int_equal(f.t.why, TRUST_WHY_SILENCE);
}

static void
silence_without_a_call_only_means_that_nothing_is_known(void **state)
{
	struct flow f = flow_new();

	(void)state;
	flow_run(&f, 10 * CLOCK_S);
	f.silent = true;
	f.busy = false;
	flow_run(&f, 2 * CLOCK_S);
	assert_int_equal(f.t.state, TRUST_NONE);
	assert_int_equal(f.t.left_n[TRUST_WHY_SILENCE], 0);
}

/* How long it takes until it is GOOD again, in whole seconds. */
static unsigned
seconds_to_return(struct flow *f)
{
	unsigned s = 0;

	for (; f->t.state != TRUST_GOOD && s < 1000; s++)
		flow_run(f, CLOCK_S);
	return s;
}

static void
lose_until_left(struct flow *f)
{
	f->lose_every = 20;
	while (f->t.state != TRUST_LEFT)
		flow_run(f, EVERY_US);
	f->lose_every = 0;
}

static void
the_way_back_takes_10_s_30_s_and_then_twice_as_long_up_to_10_minutes(void **state)
{
	static const unsigned waits[] = { 10, 30, 60, 120, 240, 480, 600, 600 };
	struct flow f = flow_new();

	(void)state;
	flow_run(&f, 5 * CLOCK_S);
	for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
		lose_until_left(&f);
		assert_in_range(seconds_to_return(&f), waits[i], waits[i] + 1);
		assert_int_equal(f.t.returned_n, i + 1);
	}
	/* A minute in which it was good begins at 10 s again. */
	flow_run(&f, 61 * CLOCK_S);
	lose_until_left(&f);
	assert_in_range(seconds_to_return(&f), 10, 11);
}

static void
what_was_lost_before_a_trial_does_not_count_in_it(void **state)
{
	struct flow f = flow_new();

	(void)state;
	flow_run(&f, 5 * CLOCK_S);
	f.silent = true;
	flow_run(&f, 4 * CLOCK_S);
	assert_int_equal(f.t.state, TRUST_LEFT);
	f.missing += 190;
	f.silent = false;
	assert_in_range(seconds_to_return(&f), 10, 12);
}

static void
what_changes_places_is_not_lost(void **state)
{
	struct flow f = flow_new();

	(void)state;
	flow_run(&f, 5 * CLOCK_S);
	for (int i = 0; i < 1000; i++) {
		/* Two of three are overtaken, and come 20 ms later. */
		f.missing += i % 3 == 0 ? 2 : 0;
		flow_run(&f, EVERY_US);
		f.missing -= i % 3 == 1 ? 2 : 0;
		assert_int_equal(f.t.state, TRUST_GOOD);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_answer_makes_it_good),
		cmocka_unit_test(one_lost_in_200_is_borne_and_one_in_33_is_not),
		cmocka_unit_test(a_burst_makes_doubt_that_passes),
		cmocka_unit_test(silence_makes_doubt_after_a_round_trip_and_is_left_after_a_second),
		cmocka_unit_test(silence_without_a_call_only_means_that_nothing_is_known),
		cmocka_unit_test(
		    the_way_back_takes_10_s_30_s_and_then_twice_as_long_up_to_10_minutes),
		cmocka_unit_test(what_was_lost_before_a_trial_does_not_count_in_it),
		cmocka_unit_test(what_changes_places_is_not_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
