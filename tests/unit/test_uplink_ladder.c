/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which route is asked when, and which is taken, under a clock of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above before itself */
#include <cmocka.h>

#include "base/clock.h"
#include "hrac/uplink/ladder.h"

#define T0 (1000 * CLOCK_S)

/* A ladder of n rungs to one HRAS, and m to another one behind it, that climbs since T0. */
static struct ladder
climbing(unsigned n, unsigned m)
{
	struct ladder l;

	ladder_init(&l, 7);
	for (unsigned i = 0; i < n + m; i++)
		assert_true(ladder_insert(&l, i, i >= n, T0));
	ladder_climb(&l, T0, false);
	return l;
}

static void
rungs_are_asked_one_a_little_after_the_other_the_best_first(void **state)
{
	struct ladder l = climbing(3, 0);

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		uint64_t due_us = T0 + i * LADDER_STAGGER_US;

		assert_int_equal(ladder_due_us(&l, true), due_us);
		assert_true(ladder_next(&l, true, due_us - 1) == LADDER_NONE);
		assert_int_equal(ladder_next(&l, true, due_us), i);
		ladder_asked(&l, i, due_us);
	}
	assert_true(ladder_due_us(&l, true) == CLOCK_NEVER);
}

static void
when_a_rung_fails_at_once_the_next_need_not_wait(void **state)
{
	struct ladder l = climbing(3, 0);

	(void)state;
	ladder_asked(&l, 0, T0);
	ladder_failed(&l, 0, 0, T0 + CLOCK_MS);
	assert_int_equal(ladder_next(&l, true, T0 + CLOCK_MS), 1);
	ladder_asked(&l, 1, T0 + CLOCK_MS);
	/* And the one behind it has the same distance as before. */
	l.rung[0].due_us = CLOCK_NEVER;
	assert_int_equal(ladder_due_us(&l, true), T0 + CLOCK_MS + LADDER_STAGGER_US);
}

static void
the_best_that_answers_is_taken_at_once(void **state)
{
	struct ladder l = climbing(2, 0);

	(void)state;
	ladder_asked(&l, 0, T0);
	ladder_answered(&l, 0, T0 + 20 * CLOCK_MS);
	assert_int_equal(ladder_winner(&l, T0 + 20 * CLOCK_MS), 0);
}

static void
an_answer_of_a_worse_rung_waits_for_a_better_one_but_not_for_long(void **state)
{
	struct ladder l = climbing(2, 0), better;
	uint64_t answered_us = T0 + LADDER_STAGGER_US + 40 * CLOCK_MS;
	uint64_t grace_us = LADDER_GRACE_US + 40 * CLOCK_MS;

	(void)state;
	ladder_asked(&l, 0, T0);
	ladder_asked(&l, 1, T0 + LADDER_STAGGER_US);
	ladder_answered(&l, 1, answered_us);
	assert_true(ladder_winner(&l, answered_us) == LADDER_NONE);
	assert_int_equal(ladder_due_us(&l, true), answered_us + grace_us);
	better = l;
	ladder_answered(&better, 0, answered_us + grace_us - 1);
	assert_int_equal(ladder_winner(&better, answered_us + grace_us - 1), 0);
	assert_int_equal(ladder_winner(&l, answered_us + grace_us), 1);
}

static void
a_better_rung_that_failed_is_not_waited_for(void **state)
{
	struct ladder l = climbing(2, 0);

	(void)state;
	ladder_asked(&l, 0, T0);
	ladder_failed(&l, 0, 0, T0 + CLOCK_MS);
	ladder_asked(&l, 1, T0 + CLOCK_MS);
	ladder_answered(&l, 1, T0 + 3 * CLOCK_MS);
	assert_int_equal(ladder_winner(&l, T0 + 3 * CLOCK_MS), 1);
}

/* As the uplink does it: what is due is asked; black holes never answer, the last one does. */
static void
behind_black_holes_it_settles_within_five_seconds(void **state)
{
	struct ladder l = climbing(4, 4);
	uint64_t now_us = T0, asked_us = 0, rtt_us = 200 * CLOCK_MS;
	size_t i;

	(void)state;
	for (; ladder_winner(&l, now_us) == LADDER_NONE; now_us += CLOCK_MS) {
		assert_true(now_us - T0 < 5 * CLOCK_S);
		while ((i = ladder_next(&l, true, now_us)) != LADDER_NONE) {
			ladder_asked(&l, i, now_us);
			if (i == 7)
				asked_us = now_us;
		}
		if (asked_us != 0 && now_us == asked_us + rtt_us)
			ladder_answered(&l, 7, now_us);
	}
	assert_int_equal(ladder_winner(&l, now_us), 7);
}

static void
the_next_hras_is_asked_only_after_a_while_or_when_all_before_have_failed(void **state)
{
	struct ladder l = climbing(1, 1);

	(void)state;
	ladder_asked(&l, 0, T0);
	assert_int_equal(ladder_due_us(&l, true), T0 + LADDER_NEXT_HRAS_US);
	ladder_failed(&l, 0, 0, T0 + 5 * CLOCK_MS);
	assert_int_equal(ladder_next(&l, true, T0 + 5 * CLOCK_MS), 1);
}

static void
while_nothing_gets_through_each_is_asked_again_after_waits_that_grow(void **state)
{
	struct ladder l = climbing(1, 0);
	uint64_t now_us = T0, longest_us = 0;

	(void)state;
	assert_false(ladder_all_failed(&l));
	for (unsigned i = 0; i < 200; i++) {
		uint64_t wait_us;

		ladder_asked(&l, 0, now_us);
		ladder_failed(&l, 0, 0, now_us);
		assert_true(ladder_all_failed(&l));
		wait_us = ladder_due_us(&l, true) - now_us;
		assert_true(wait_us <= LADDER_RETRY_CAP_US);
		if (i < 2)
			assert_true(wait_us <= 4 * LADDER_RETRY_BASE_US);
		longest_us = wait_us > longest_us ? wait_us : longest_us;
		now_us += wait_us;
	}
	assert_true(longest_us > LADDER_RETRY_CAP_US / 2);
	ladder_asked(&l, 0, now_us);
	ladder_failed(&l, 0, 30 * CLOCK_S, now_us);
	ladder_refresh(&l, now_us);
	assert_true(ladder_due_us(&l, true) >= now_us + 30 * CLOCK_S);
}

static void
a_better_rung_is_asked_again_after_fifteen_seconds_to_five_minutes(void **state)
{
	struct ladder l = climbing(2, 0);
	uint64_t now_us = T0;

	(void)state;
	ladder_asked(&l, 0, T0);
	ladder_failed(&l, 0, 0, T0);
	ladder_asked(&l, 1, T0);
	ladder_answered(&l, 1, T0);
	ladder_settle(&l, 1, T0);
	for (unsigned i = 0; i < 20; i++) {
		uint64_t wait_us = ladder_due_us(&l, true) - now_us;

		assert_true(wait_us >= LADDER_BETTER_MIN_US * 9 / 10);
		assert_true(wait_us <= LADDER_BETTER_MAX_US * 11 / 10);
		if (i == 0)
			assert_true(wait_us <= LADDER_BETTER_MIN_US * 11 / 10);
		if (i > 5)
			assert_true(wait_us >= LADDER_BETTER_MAX_US * 9 / 10);
		now_us += wait_us;
		assert_int_equal(ladder_next(&l, true, now_us), 0);
		ladder_asked(&l, 0, now_us);
		ladder_failed(&l, 0, 0, now_us);
	}
	ladder_refresh(&l, now_us);
	assert_int_equal(ladder_next(&l, true, now_us), 0);
}

static void
worse_rungs_are_left_alone_once_one_is_in_use(void **state)
{
	struct ladder l = climbing(3, 0);

	(void)state;
	ladder_asked(&l, 0, T0);
	ladder_answered(&l, 0, T0);
	ladder_settle(&l, 0, T0);
	assert_true(ladder_next(&l, true, T0 + 3600 * CLOCK_S) == LADDER_NONE);
	assert_true(ladder_due_us(&l, true) == CLOCK_NEVER);
}

static void
a_better_hras_is_not_asked_while_there_are_calls(void **state)
{
	struct ladder l = climbing(1, 1);
	uint64_t later_us = T0 + 60 * CLOCK_S;

	(void)state;
	ladder_settle(&l, 1, T0);
	assert_true(ladder_next(&l, false, later_us) == LADDER_NONE);
	assert_int_equal(ladder_next(&l, true, later_us), 0);
}

static void
a_barred_rung_is_neither_taken_nor_waited_for(void **state)
{
	struct ladder l = climbing(2, 0);

	(void)state;
	l.rung[0].barred = true;
	ladder_asked(&l, 0, T0);
	ladder_asked(&l, 1, T0);
	ladder_answered(&l, 1, T0);
	assert_int_equal(ladder_winner(&l, T0), 1);
	ladder_answered(&l, 0, T0);
	assert_int_equal(ladder_winner(&l, T0), 1);
}

static void
what_was_answered_to_another_hello_counts_for_nothing(void **state)
{
	struct ladder l = climbing(2, 0);

	(void)state;
	ladder_asked(&l, 0, T0);
	ladder_answered(&l, 0, T0);
	assert_true(ladder_again(&l, 0, T0));
	assert_false(ladder_again(&l, 1, T0));
	assert_true(ladder_winner(&l, T0 + 10 * CLOCK_S) == LADDER_NONE);
	assert_int_equal(ladder_next(&l, true, T0), 0);
}

static void
a_rung_that_holds_bodies_back_is_behind_all_others_and_asked_again(void **state)
{
	struct ladder l = climbing(2, 0);
	uint64_t later_us = T0 + 20 * CLOCK_S;

	(void)state;
	l.rung[0].held = true;
	for (size_t i = 0; i < 2; i++) {
		ladder_asked(&l, i, T0);
		ladder_answered(&l, i, T0);
	}
	assert_int_equal(ladder_winner(&l, T0), 1);
	ladder_settle(&l, 1, T0);
	assert_int_equal(ladder_next(&l, true, later_us), 0);
	/* And where it is all that there was, a worse one that does not is looked for. */
	ladder_settle(&l, 0, T0);
	assert_int_equal(ladder_next(&l, true, later_us), 1);
	assert_true(ladder_better(&l, 1, 0));
}

static void
a_rung_that_becomes_known_takes_its_place_and_is_asked(void **state)
{
	struct ladder l = climbing(2, 0);

	(void)state;
	ladder_asked(&l, 0, T0);
	ladder_answered(&l, 0, T0);
	ladder_settle(&l, 1, T0);
	assert_true(ladder_insert(&l, 1, 0, T0));
	assert_int_equal(l.in_use, 2);
	assert_int_equal(ladder_next(&l, true, T0), 1);
}

static void
a_rung_that_is_absent_is_left_out(void **state)
{
	struct ladder l = climbing(2, 0);

	(void)state;
	l.rung[0].absent = true;
	ladder_climb(&l, T0, false);
	assert_int_equal(ladder_next(&l, true, T0), 1);
	ladder_asked(&l, 1, T0);
	ladder_failed(&l, 1, 0, T0);
	assert_true(ladder_all_failed(&l));
}

static void
a_grace_that_is_past_asks_for_nothing_more(void **state)
{
	struct ladder l = climbing(2, 0);
	uint64_t past_us = T0 + 10 * CLOCK_S;

	(void)state;
	ladder_asked(&l, 0, T0);
	ladder_asked(&l, 1, T0);
	ladder_answered(&l, 1, T0);
	ladder_end_grace(&l, T0);
	assert_int_equal(ladder_due_us(&l, true), T0 + LADDER_GRACE_US);
	ladder_end_grace(&l, past_us);
	assert_true(ladder_due_us(&l, true) == CLOCK_NEVER);
	assert_int_equal(ladder_winner(&l, past_us), 1);
}

static void
when_the_only_one_that_answered_fails_there_is_no_grace_any_more(void **state)
{
	struct ladder l = climbing(1, 0);
	uint64_t past_us = T0 + 10 * CLOCK_S;

	(void)state;
	ladder_asked(&l, 0, T0);
	ladder_answered(&l, 0, T0);
	ladder_failed(&l, 0, 30 * CLOCK_S, past_us);
	assert_true(ladder_due_us(&l, true) >= past_us + 30 * CLOCK_S);
	assert_true(ladder_insert(&l, 0, 0, past_us));
	ladder_asked(&l, 1, past_us);
	ladder_answered(&l, 1, past_us);
	assert_true(ladder_winner(&l, past_us) == LADDER_NONE);
	assert_int_equal(ladder_winner(&l, past_us + LADDER_GRACE_US), 1);
}

static void
no_more_rungs_than_fit(void **state)
{
	struct ladder l = climbing(LADDER_MAX, 0);

	(void)state;
	assert_false(ladder_insert(&l, 0, 0, T0));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rungs_are_asked_one_a_little_after_the_other_the_best_first),
		cmocka_unit_test(when_a_rung_fails_at_once_the_next_need_not_wait),
		cmocka_unit_test(the_best_that_answers_is_taken_at_once),
		cmocka_unit_test(an_answer_of_a_worse_rung_waits_for_a_better_one_but_not_for_long),
		cmocka_unit_test(a_better_rung_that_failed_is_not_waited_for),
		cmocka_unit_test(behind_black_holes_it_settles_within_five_seconds),
		cmocka_unit_test(
		    the_next_hras_is_asked_only_after_a_while_or_when_all_before_have_failed),
		cmocka_unit_test(
		    while_nothing_gets_through_each_is_asked_again_after_waits_that_grow),
		cmocka_unit_test(
		    a_better_rung_is_asked_again_after_fifteen_seconds_to_five_minutes),
		cmocka_unit_test(worse_rungs_are_left_alone_once_one_is_in_use),
		cmocka_unit_test(a_better_hras_is_not_asked_while_there_are_calls),
		cmocka_unit_test(a_barred_rung_is_neither_taken_nor_waited_for),
		cmocka_unit_test(what_was_answered_to_another_hello_counts_for_nothing),
		cmocka_unit_test(
		    a_rung_that_holds_bodies_back_is_behind_all_others_and_asked_again),
		cmocka_unit_test(a_rung_that_becomes_known_takes_its_place_and_is_asked),
		cmocka_unit_test(a_rung_that_is_absent_is_left_out),
		cmocka_unit_test(a_grace_that_is_past_asks_for_nothing_more),
		cmocka_unit_test(when_the_only_one_that_answered_fails_there_is_no_grace_any_more),
		cmocka_unit_test(no_more_rungs_than_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
