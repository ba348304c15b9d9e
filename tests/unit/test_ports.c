/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "media/ports.h"

#define LINGER 1000

static uint16_t
taken(struct media_ports *p, uint64_t now_us)
{
	uint16_t port = 0;

	assert_int_equal(media_ports_take(p, now_us, &port), 0);
	return port;
}

static void
take_gives_each_even_port_once_and_then_says_full(void **state)
{
	struct media_ports *p = media_ports_new(20000, 20005, LINGER);
	uint16_t port = 7;

	(void)state;
	assert_int_equal(media_ports_total_n(p), 3);
	assert_int_equal(taken(p, 0), 20000);
	assert_int_equal(taken(p, 0), 20002);
	assert_int_equal(taken(p, 0), 20004);
	assert_int_equal(media_ports_free_n(p), 0);
	assert_int_equal(media_ports_take(p, 0, &port), ERR_FULL);
	assert_int_equal(port, 7);
	media_ports_free(p);
}

static void
range_keeps_only_whole_pairs(void **state)
{
	static const struct {
		uint16_t min, max;
		size_t n;
	} want[] = { { 20001, 20004, 1 }, { 20000, 20000, 0 }, { 20001, 20002, 0 },
		{ 20002, 20000, 0 }, { 65535, 65535, 0 }, { 65534, 65535, 1 },
		{ 0, 65535, 32768 } };

	(void)state;
	for (size_t i = 0; i < sizeof(want) / sizeof(*want); i++) {
		struct media_ports *p = media_ports_new(want[i].min, want[i].max, LINGER);

		assert_int_equal(media_ports_total_n(p), want[i].n);
		assert_int_equal(media_ports_free_n(p), want[i].n);
		media_ports_free(p);
	}
}

static void
port_given_back_rests_for_the_linger(void **state)
{
	struct media_ports *p = media_ports_new(20000, 20001, LINGER);
	uint16_t port;

	(void)state;
	assert_int_equal(taken(p, 5), 20000);
	media_ports_give(p, 20000, 10);
	assert_int_equal(media_ports_take(p, 10 + LINGER - 1, &port), ERR_FULL);
	assert_int_equal(taken(p, 10 + LINGER), 20000);
	media_ports_free(p);
}

static void
port_that_rested_longest_is_given_first(void **state)
{
	struct media_ports *p = media_ports_new(20000, 20007, LINGER);

	(void)state;
	for (int i = 0; i < 4; i++)
		(void)taken(p, 0);
	media_ports_give(p, 20004, 1);
	media_ports_give(p, 20000, 2);
	media_ports_give(p, 20006, 3);
	assert_int_equal(taken(p, 5000), 20004);
	assert_int_equal(taken(p, 5000), 20000);
	assert_int_equal(taken(p, 5000), 20006);
	media_ports_free(p);
}

static void
avoided_port_rests_by_its_own_time(void **state)
{
	struct media_ports *p = media_ports_new(20000, 20003, LINGER);
	uint16_t port;

	(void)state;
	(void)taken(p, 0);
	(void)taken(p, 0);
	media_ports_avoid(p, 20000, 0, 10 * LINGER);
	media_ports_give(p, 20002, 0);
	assert_int_equal(taken(p, LINGER), 20002);
	assert_int_equal(media_ports_take(p, 10 * LINGER - 1, &port), ERR_FULL);
	assert_int_equal(taken(p, 10 * LINGER), 20000);
	media_ports_free(p);
}

static void
certain_port_can_be_taken_free_or_resting_but_not_twice(void **state)
{
	struct media_ports *p = media_ports_new(20000, 20003, LINGER);
	uint16_t port;

	(void)state;
	assert_int_equal(media_ports_take_this(p, 20002), 0);
	assert_int_equal(media_ports_take_this(p, 20002), ERR_IN_USE);
	assert_int_equal(media_ports_free_n(p), 1);
	media_ports_give(p, 20002, 0);
	assert_int_equal(media_ports_take_this(p, 20002), 0);
	assert_int_equal(media_ports_take_this(p, 20001), ERR_NOT_FOUND);
	assert_int_equal(media_ports_take_this(p, 19998), ERR_NOT_FOUND);
	assert_int_equal(media_ports_take_this(p, 20004), ERR_NOT_FOUND);
	assert_int_equal(taken(p, 5000), 20000);
	assert_int_equal(media_ports_take(p, 5000, &port), ERR_FULL);
	media_ports_free(p);
}

static void
giving_what_is_not_taken_does_nothing(void **state)
{
	struct media_ports *p = media_ports_new(20000, 20003, 0);

	(void)state;
	media_ports_give(p, 20000, 0);
	media_ports_give(p, 20001, 0);
	media_ports_give(p, 1, 0);
	(void)taken(p, 0);
	media_ports_give(p, 20000, 0);
	media_ports_give(p, 20000, 0);
	assert_int_equal(media_ports_free_n(p), 2);
	media_ports_free(p);
}

/* Against a plain model: no port is ever out twice, and none gets lost. */
static void
ten_thousand_random_steps_lose_and_double_no_port(void **state)
{
	enum { PAIRS = 50 };
	struct media_ports *p = media_ports_new(30000, 30000 + 2 * PAIRS - 1, 7);
	bool out[PAIRS] = { false };
	uint64_t now = 0;
	uint16_t port;
	unsigned seed = 1;

	(void)state;
	for (int step = 0; step < 10000; step++) {
		unsigned i = (unsigned)rand_r(&seed) % PAIRS;

		now += (unsigned)rand_r(&seed) % 3;
		switch (rand_r(&seed) % 4) {
		case 0:
			if (media_ports_take(p, now, &port) == 0) {
				assert_false(out[(port - 30000) / 2]);
				out[(port - 30000) / 2] = true;
			}
			break;
		case 1:
			assert_int_equal(media_ports_take_this(p, (uint16_t)(30000 + 2 * i)),
			    out[i] ? ERR_IN_USE : 0);
			out[i] = true;
			break;
		case 2:
			media_ports_give(p, (uint16_t)(30000 + 2 * i), now);
			out[i] = false;
			break;
		default:
			media_ports_avoid(p, (uint16_t)(30000 + 2 * i), now, 20);
			out[i] = false;
		}
	}
	for (unsigned i = 0; i < PAIRS; i++)
		media_ports_give(p, (uint16_t)(30000 + 2 * i), now);
	now += 100;
	for (unsigned i = 0; i < PAIRS; i++)
		(void)taken(p, now);
	assert_int_equal(media_ports_take(p, now, &port), ERR_FULL);
	media_ports_free(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(take_gives_each_even_port_once_and_then_says_full),
		cmocka_unit_test(range_keeps_only_whole_pairs),
		cmocka_unit_test(port_given_back_rests_for_the_linger),
		cmocka_unit_test(port_that_rested_longest_is_given_first),
		cmocka_unit_test(avoided_port_rests_by_its_own_time),
		cmocka_unit_test(certain_port_can_be_taken_free_or_resting_but_not_twice),
		cmocka_unit_test(giving_what_is_not_taken_does_nothing),
		cmocka_unit_test(ten_thousand_random_steps_lose_and_double_no_port),
	};

	return cmocka_run_group_tests_name("ports", tests, NULL, NULL);
}
