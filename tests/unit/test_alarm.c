/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/alarm.h"

#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/clock.h"

static struct event_base *base;
static struct alarm *alarm_clock;
static unsigned rung_n;
static uint64_t rung_us, again_us;

static void
on_ring(void *arg, uint64_t now_us)
{
	(void)arg;
	rung_n++;
	rung_us = now_us;
	if (again_us != 0)
		alarm_set(alarm_clock, again_us);
	again_us = 0;
}

static int
start(void **state)
{
	(void)state;
	rung_n = 0;
	again_us = 0;
	base = event_base_new();
	alarm_clock = alarm_new(base, on_ring, NULL);
	assert_non_null(alarm_clock);
	return 0;
}

static int
stop(void **state)
{
	(void)state;
	alarm_free(alarm_clock);
	event_base_free(base);
	return 0;
}

static void
run_until_rung(unsigned n)
{
	while (rung_n < n)
		event_base_loop(base, EVLOOP_ONCE);
	assert_int_equal(rung_n, n);
}

/* Nothing rings until then. */
static void
assert_no_more_rings(uint64_t until_us)
{
	unsigned n = rung_n;

	while (clock_us() <= until_us)
		event_base_loop(base, EVLOOP_NONBLOCK);
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(rung_n, n);
}

static void
alarm_rings_once_and_not_before_it_is_due(void **state)
{
	uint64_t due_us = clock_us() + 2 * CLOCK_MS;

	(void)state;
	alarm_set(alarm_clock, due_us);
	run_until_rung(1);
	assert_true(rung_us >= due_us);
	assert_no_more_rings(due_us + 4 * CLOCK_MS);
}

static void
alarm_of_the_past_rings_on_the_next_turn(void **state)
{
	(void)state;
	alarm_set(alarm_clock, 0);
	assert_int_equal(rung_n, 0);
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(rung_n, 1);
	alarm_set(alarm_clock, clock_us());
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(rung_n, 2);
}

static void
alarm_moved_to_an_earlier_time_rings_then_only(void **state)
{
	uint64_t now_us = clock_us(), late_us = now_us + 3600 * CLOCK_S;

	(void)state;
	alarm_set(alarm_clock, late_us);
	alarm_set(alarm_clock, now_us + CLOCK_MS);
	run_until_rung(1);
	assert_in_range(rung_us, now_us + CLOCK_MS, late_us - 1);
}

static void
alarm_moved_to_a_later_time_rings_then_only(void **state)
{
	uint64_t now_us = clock_us();

	(void)state;
	alarm_set(alarm_clock, now_us + CLOCK_MS);
	alarm_set(alarm_clock, now_us + 5 * CLOCK_MS);
	run_until_rung(1);
	assert_true(rung_us >= now_us + 5 * CLOCK_MS);
	assert_no_more_rings(clock_us() + 2 * CLOCK_MS);
}

static void
alarm_taken_back_does_not_ring(void **state)
{
	uint64_t due_us = clock_us() + CLOCK_MS;

	(void)state;
	alarm_set(alarm_clock, due_us);
	alarm_set(alarm_clock, CLOCK_NEVER);
	assert_no_more_rings(due_us + 2 * CLOCK_MS);
}

static void
alarm_moved_when_it_has_gone_off_already_rings_when_it_says_now(void **state)
{
	uint64_t due_us = clock_us() + CLOCK_MS;

	(void)state;
	alarm_set(alarm_clock, due_us);
	while (clock_us() <= due_us)
		;
	alarm_set(alarm_clock, due_us + 5 * CLOCK_MS);
	event_base_loop(base, EVLOOP_NONBLOCK);
	if (clock_us() < due_us + 5 * CLOCK_MS)
		assert_int_equal(rung_n, 0);
	run_until_rung(1);
	assert_true(rung_us >= due_us + 5 * CLOCK_MS);
}

static void
alarm_may_be_set_again_by_its_callback(void **state)
{
	(void)state;
	again_us = clock_us() + 2 * CLOCK_MS;
	alarm_set(alarm_clock, clock_us());
	run_until_rung(1);
	run_until_rung(2);
	assert_no_more_rings(clock_us() + 2 * CLOCK_MS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(alarm_rings_once_and_not_before_it_is_due, start,
		    stop),
		cmocka_unit_test_setup_teardown(alarm_of_the_past_rings_on_the_next_turn, start,
		    stop),
		cmocka_unit_test_setup_teardown(alarm_moved_to_an_earlier_time_rings_then_only,
		    start, stop),
		cmocka_unit_test_setup_teardown(alarm_moved_to_a_later_time_rings_then_only, start,
		    stop),
		cmocka_unit_test_setup_teardown(alarm_taken_back_does_not_ring, start, stop),
		cmocka_unit_test_setup_teardown(
		    alarm_moved_when_it_has_gone_off_already_rings_when_it_says_now, start, stop),
		cmocka_unit_test_setup_teardown(alarm_may_be_set_again_by_its_callback, start,
		    stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
