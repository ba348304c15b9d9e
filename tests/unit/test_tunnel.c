/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/err.h"
#include "tests/support/lossy_link.h"

static void
tunnel_comes_up_with_one_pair_when_idle(void **state)
{
	struct link_cfg cfg;
	struct lossy_link *l;

	(void)state;
	link_cfg_default(&cfg);
	l = link_new(&cfg);
	link_run(l, 200 * CLOCK_MS);
	for (int side = 0; side < 2; side++) {
		assert_int_equal(tunnel_state(l->end[side].t), TUNNEL_UP_STATE);
		assert_int_equal(tunnel_streams_n(l->end[side].t, TUNNEL_UP), 1);
		assert_int_equal(tunnel_streams_n(l->end[side].t, TUNNEL_DOWN), 1);
	}
	link_run(l, 3600 * CLOCK_S);
	assert_int_equal(l->end[0].aborted_dead + l->end[1].aborted_dead, 0);
	assert_int_equal(l->end[0].state, TUNNEL_UP_STATE);
	assert_true(l->end[0].state_us < 2 * CLOCK_S);
	link_free(l);
}

static void
reliable_and_media_pass_both_ways(void **state)
{
	struct link_cfg cfg;
	struct lossy_link *l;

	(void)state;
	link_cfg_default(&cfg);
	cfg.chop = true;
	l = link_new(&cfg);
	link_run(l, 200 * CLOCK_MS);
	for (int i = 0; i < 1000; i++) {
		for (int side = 0; side < 2; side++) {
			assert_int_equal(link_send_media(l, side, 172), 0);
			if (i % 10 == 0)
				assert_int_equal(link_send(l, side, 4 + link_random(l, 65996)), 0);
		}
		link_run(l, 20 * CLOCK_MS);
	}
	link_run(l, CLOCK_S);
	assert_true(link_settled(l));
	assert_int_equal(l->end[0].media_got, l->end[1].media_sent);
	assert_int_equal(l->end[1].media_got, l->end[0].media_sent);
	link_free(l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tunnel_comes_up_with_one_pair_when_idle),
		cmocka_unit_test(reliable_and_media_pass_both_ways),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
