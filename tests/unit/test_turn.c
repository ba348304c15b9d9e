/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <event2/event.h>

#include "base/clock.h"
#include "base/turn.h"

struct fixture {
	struct event_base *base;
	struct timers *timers;
	struct turn *turn;
	struct event *first, *second;
	int handled, ends, handled_at_end;
	int fired;
};

static void
on_end(void *arg)
{
	struct fixture *f = arg;

	f->ends++;
	f->handled_at_end = f->handled;
}

static void
on_handler(evutil_socket_t fd, short what, void *arg)
{
	struct fixture *f = arg;

	(void)fd, (void)what;
	f->handled++;
	turn_soon(f->turn);
}

static void
on_timer(void *arg, uint64_t now_us)
{
	struct fixture *f = arg;

	(void)now_us;
	f->fired++;
}

static int
setup(void **state)
{
	static struct fixture fixture;
	struct fixture *f = &fixture;

	*f = (struct fixture){ .base = event_base_new(), .timers = timers_new() };
	f->turn = turn_new(f->base, f->timers, on_end, f);
	f->first = event_new(f->base, -1, 0, on_handler, f);
	f->second = event_new(f->base, -1, 0, on_handler, f);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	event_free(f->first);
	event_free(f->second);
	turn_free(f->turn);
	timers_free(f->timers);
	event_base_free(f->base);
	return 0;
}

static void
the_end_comes_once_after_all_handlers_of_the_turn(void **state)
{
	struct fixture *f = *state;

	event_active(f->first, EV_TIMEOUT, 0);
	event_active(f->second, EV_TIMEOUT, 0);
	event_base_loop(f->base, EVLOOP_NONBLOCK);
	assert_int_equal(f->handled, 2);
	assert_int_equal(f->ends, 1);
	assert_int_equal(f->handled_at_end, 2);
}

static void
a_timer_set_by_a_handler_wakes_the_loop(void **state)
{
	struct fixture *f = *state;
	struct timer timer;

	timer_init(&timer, on_timer, f);
	timer_set(f->timers, &timer, clock_us() + 2 * CLOCK_MS);
	turn_soon(f->turn);
	while (f->fired == 0)
		event_base_loop(f->base, EVLOOP_ONCE);
	assert_false(timer_is_set(&timer));
}

static void
without_timers_nothing_keeps_the_loop(void **state)
{
	struct fixture *f = *state;

	turn_soon(f->turn);
	/* 1: no events are pending or active any more. */
	assert_int_equal(event_base_loop(f->base, 0), 1);
	assert_int_equal(f->ends, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_end_comes_once_after_all_handlers_of_the_turn,
		    setup, teardown),
		cmocka_unit_test_setup_teardown(a_timer_set_by_a_handler_wakes_the_loop, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(without_timers_nothing_keeps_the_loop, setup,
		    teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
