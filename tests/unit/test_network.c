/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is taken for sleep, and which addresses are ours. Changes of the network: test_ladder.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above before itself */
#include <cmocka.h>

#include <event2/event.h>

#include "base/clock.h"
#include "hrac/network.h"

#define S ((int64_t)CLOCK_S)

static void
sleep_is_seen_by_the_clock_that_went_on(void **state)
{
	(void)state;
	assert_true(network_slept(0, 30 * S));
	assert_true(network_slept(3600 * S, 3603 * S));
	assert_false(network_slept(0, 0));
	/* The two clocks are not read in one instant. */
	assert_false(network_slept(100 * S, 100 * S + S / 2));
	assert_false(network_slept(100 * S, 100 * S - S));
}

static void
an_address_is_ours_or_not(void **state)
{
	struct addr a;

	(void)state;
	assert_int_equal(addr_parse("127.0.0.1:5060", 0, &a), 0);
	assert_true(network_has(&a));
	assert_int_equal(addr_parse("192.0.2.1:5060", 0, &a), 0);
	assert_false(network_has(&a));
	assert_int_equal(addr_parse("[2001:db8::1]:5060", 0, &a), 0);
	assert_false(network_has(&a));
}

static void
the_source_is_the_address_that_a_way_starts_from(void **state)
{
	struct addr to, source, local;

	(void)state;
	assert_int_equal(addr_parse("127.0.0.5:7", 0, &to), 0);
	assert_int_equal(addr_parse("127.0.0.1:7", 0, &local), 0);
	assert_true(network_source(&to, &source));
	assert_true(addr_same_host(&source, &local));
}

static void
on_shaken(void *arg, bool slept)
{
	unsigned *n = arg;

	(void)slept;
	(*n)++;
}

static void
where_nothing_changes_nothing_is_told(void **state)
{
	static const struct timeval while_us = { 1, 300000 };
	struct event_base *base = event_base_new();
	unsigned n = 0;
	struct network *net = network_new(base, on_shaken, &n);

	(void)state;
	event_base_loopexit(base, &while_us);
	event_base_dispatch(base);
	assert_int_equal(n, 0);
	network_free(net);
	network_free(NULL);
	event_base_free(base);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sleep_is_seen_by_the_clock_that_went_on),
		cmocka_unit_test(an_address_is_ours_or_not),
		cmocka_unit_test(the_source_is_the_address_that_a_way_starts_from),
		cmocka_unit_test(where_nothing_changes_nothing_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
