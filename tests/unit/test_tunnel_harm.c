/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "tests/support/lossy_link.h"

/* What two tunnels do with each other when the link is cut, swallowed, stalled or refused. */

#define VANISH_US (5 * CLOCK_S) /* a peer that is gone is noticed within this */

static struct lossy_link *
link_up(const struct link_cfg *cfg)
{
	struct lossy_link *l = link_new(cfg);

	do
		link_run(l, 10 * cfg->delay_us);
	while (l->end[LINK_CLIENT].state != TUNNEL_UP_STATE && l->now_us < 10 * CLOCK_S);
	assert_int_equal(l->end[LINK_CLIENT].state, TUNNEL_UP_STATE);
	return l;
}

/* One round of bad luck: something is sent, and something may break. */
static void
harm_round(struct lossy_link *l)
{
	for (int side = 0; side < 2; side++) {
		for (uint64_t n = link_random(l, 4); n > 0; n--)
			link_send_media(l, side, 4 + link_random(l, 400));
		if (link_random(l, 4) == 0)
			assert_int_equal(link_send(l, side, 4 + link_random(l, 3000)), 0);
		if (link_random(l, 300) == 0)
			assert_int_equal(link_send(l, side, 60000), 0);
	}
	switch (link_random(l, 60)) {
	case 0:
		link_cut(l, TUNNEL_UP, link_random(l, 4));
		break;
	case 1:
		link_cut(l, TUNNEL_DOWN, link_random(l, 4));
		break;
	case 2:
		if (link_random(l, 4) == 0)
			link_blackhole(l, link_random(l, 2), link_random(l, 4));
		break;
	case 3:
		l->refuse = !l->refuse;
		break;
	case 4:
		if (link_random(l, 8) == 0)
			l->swallow = true;
		break;
	case 5:
		tunnel_set_busy(l->end[link_random(l, 2)].t, link_random(l, 2), l->now_us);
		break;
	case 6:
		if (link_random(l, 20) == 0)
			link_blackhole_all(l);
		break;
	case 7:
		if (link_random(l, 8) == 0)
			tunnel_kick(l->end[LINK_CLIENT].t, l->now_us);
		break;
	}
	if (link_random(l, 10) == 0)
		l->refuse = l->swallow = false;
	link_run(l, link_random(l, 60 * CLOCK_MS));
}

static void
harm(uint64_t seed, unsigned rounds_n)
{
	struct link_cfg cfg;
	struct lossy_link *l;

	link_cfg_default(&cfg);
	cfg.seed = seed;
	cfg.chop = true;
	cfg.stall_permille = 50;
	cfg.stall_us = 400 * CLOCK_MS;
	cfg.window = seed % 3 == 0 ? 0 : 20000;
	cfg.end[LINK_CLIENT].rotate_bytes = 50000;
	cfg.end[LINK_CLIENT].rotate_age_us = 5 * CLOCK_S;
	/* Some with new keys, of which some get lost; and some unsealed. */
	cfg.end[LINK_CLIENT].rekey_age_us = seed % 2 == 0 ? CLOCK_S : 0;
	cfg.rekey_lost_permille = 300;
	if (seed % 4 == 1)
		cfg.cipher = seed % 8 == 1 ? CIPHER_NONE : CIPHER_CHACHA20_POLY1305;
	l = link_up(&cfg);
	for (unsigned i = 0; i < rounds_n; i++)
		harm_round(l);
	l->refuse = l->swallow = false;
	link_run(l, 20 * CLOCK_S);
	for (int side = 0; side < 2; side++) {
		assert_int_equal(l->end[side].broken, 0);
		assert_int_equal(l->end[side].state, TUNNEL_UP_STATE);
		assert_int_equal(l->end[side].reliable_got, l->end[!side].reliable_sent);
		assert_true(l->end[side].media_got > l->end[!side].media_sent / 4);
		assert_int_equal(tunnel_stats(l->end[side].t)->malformed, 0);
	}
	link_free(l);
}

static void
whatever_breaks_reliable_frames_come_once_and_in_order(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 24; seed++)
		harm(seed, 1000);
}

static void
a_cut_of_everything_in_mid_call_costs_a_round_trip_or_two(void **state)
{
	struct link_cfg cfg;
	struct lossy_link *l;
	uint32_t got;

	(void)state;
	link_cfg_default(&cfg);
	l = link_up(&cfg);
	tunnel_set_busy(l->end[LINK_CLIENT].t, true, l->now_us);
	link_run(l, CLOCK_S);
	assert_int_equal(link_send(l, LINK_SERVER, 50000), 0);
	link_run(l, 10 * CLOCK_MS);
	for (int i = 0; i < 4; i++) {
		link_cut(l, TUNNEL_UP, 0);
		link_cut(l, TUNNEL_DOWN, 0);
	}
	/* Each end learns within 100 ms, then the client opens anew at once. */
	link_run(l, 250 * CLOCK_MS);
	assert_true(link_settled(l));
	got = l->end[LINK_SERVER].media_got;
	for (int i = 0; i < 50; i++) {
		link_send_media(l, LINK_CLIENT, 172);
		link_run(l, 20 * CLOCK_MS);
	}
	assert_int_equal(l->end[LINK_SERVER].media_got, got + 50);
	assert_true(l->end[LINK_CLIENT].state_us < CLOCK_S + 10 * cfg.delay_us);
	link_free(l);
}

static void
a_peer_that_vanishes_is_noticed_within_5_s(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 40; i++) {
		bool busy = i % 2;
		struct link_cfg cfg;
		struct lossy_link *l;
		uint64_t vanished;

		link_cfg_default(&cfg);
		cfg.seed = i;
		l = link_up(&cfg);
		tunnel_set_busy(l->end[LINK_CLIENT].t, busy, l->now_us);
		link_run(l, 10 * CLOCK_S + i * 150 * CLOCK_MS);
		link_blackhole_all(l);
		l->swallow = true;
		vanished = l->now_us;
		link_run(l, VANISH_US);
		for (int side = 0; side < 2; side++) {
			assert_int_equal(l->end[side].state, TUNNEL_DOWN_STATE);
			assert_true(l->end[side].state_us > vanished);
			assert_true(l->end[side].aborted_dead > 0);
		}
		assert_int_equal(link_living_n(l, TUNNEL_UP), 0);
		link_free(l);
	}
}

static void
a_black_hole_in_mid_call_is_left_before_the_dead_man_strikes(void **state)
{
	struct link_cfg cfg;
	struct lossy_link *l;
	uint64_t since;

	(void)state;
	link_cfg_default(&cfg);
	l = link_up(&cfg);
	tunnel_set_busy(l->end[LINK_CLIENT].t, true, l->now_us);
	link_run(l, 10 * CLOCK_S);
	link_blackhole_all(l);
	since = l->now_us;
	while (l->end[LINK_SERVER].media_got == 0 || l->end[LINK_CLIENT].media_got == 0) {
		link_send_media(l, LINK_CLIENT, 172);
		link_send_media(l, LINK_SERVER, 172);
		link_run(l, 20 * CLOCK_MS);
	}
	assert_in_range(l->now_us - since, 150 * CLOCK_MS, 400 * CLOCK_MS);
	assert_int_equal(l->end[LINK_CLIENT].state, TUNNEL_UP_STATE);
	link_free(l);
}

static void
one_black_hole_among_four_costs_no_more_voice_than_patience_lasts(void **state)
{
	struct link_cfg cfg;
	struct lossy_link *l;

	(void)state;
	link_cfg_default(&cfg);
	l = link_up(&cfg);
	tunnel_set_busy(l->end[LINK_CLIENT].t, true, l->now_us);
	link_run(l, CLOCK_S);
	link_blackhole(l, TUNNEL_UP, 2);
	for (int i = 0; i < 500; i++) {
		link_send_media(l, LINK_CLIENT, 172);
		if (i % 10 == 0)
			assert_int_equal(link_send(l, LINK_CLIENT, 700), 0);
		link_run(l, 20 * CLOCK_MS);
	}
	link_run(l, CLOCK_S);
	assert_true(link_settled(l));
	/* 1.25 round trips and 15 ms, in packets of 20 ms. */
	assert_true(l->end[LINK_SERVER].media_got >= 500 - 6);
	link_free(l);
}

static void
nothing_reliable_is_lost_when_all_streams_are_away_for_20_s(void **state)
{
	struct link_cfg cfg;
	struct lossy_link *l;

	(void)state;
	link_cfg_default(&cfg);
	l = link_up(&cfg);
	link_blackhole_all(l);
	l->refuse = true;
	for (int i = 0; i < 100; i++) {
		assert_int_equal(link_send(l, LINK_CLIENT, 900), 0);
		assert_int_equal(link_send(l, LINK_SERVER, 900), 0);
		link_run(l, 200 * CLOCK_MS);
	}
	assert_int_equal(l->end[LINK_CLIENT].reliable_got + l->end[LINK_SERVER].reliable_got, 0);
	assert_int_equal(link_send_media(l, LINK_CLIENT, 100), ERR_DOWN);
	l->refuse = false;
	link_run(l, 6 * CLOCK_S);
	assert_true(link_settled(l));
	assert_int_equal(l->end[0].broken + l->end[1].broken, 0);
	link_free(l);
}

static void
a_frame_that_waits_for_32_s_breaks_the_session_once(void **state)
{
	struct link_cfg cfg;
	struct lossy_link *l;

	(void)state;
	link_cfg_default(&cfg);
	l = link_up(&cfg);
	link_blackhole_all(l);
	l->swallow = true;
	link_send(l, LINK_CLIENT, 900);
	link_run(l, 31900 * CLOCK_MS);
	assert_int_equal(l->end[LINK_CLIENT].broken, 0);
	link_run(l, 200 * CLOCK_MS);
	assert_int_equal(l->end[LINK_CLIENT].broken, 1);
	link_run(l, 60 * CLOCK_S);
	assert_int_equal(l->end[LINK_CLIENT].broken, 1);
	assert_int_equal(l->end[LINK_SERVER].broken, 0);
	link_free(l);
}

static void
more_reliable_frames_than_the_cap_are_refused_and_break_the_session(void **state)
{
	struct link_cfg cfg;
	struct lossy_link *l;

	(void)state;
	link_cfg_default(&cfg);
	cfg.end[LINK_CLIENT].reliable_max = 50;
	l = link_up(&cfg);
	for (int i = 0; i < 50; i++)
		assert_int_equal(link_send(l, LINK_CLIENT, 10), 0);
	assert_int_equal(l->end[LINK_CLIENT].broken, 0);
	assert_int_equal(link_send(l, LINK_CLIENT, 10), ERR_FULL);
	link_run(l, 1);
	assert_int_equal(l->end[LINK_CLIENT].broken, 1);
	link_free(l);
}

static void
attempts_are_immediate_at_first_then_slow_and_one_at_a_time(void **state)
{
	struct link_cfg cfg;
	struct lossy_link *l;
	unsigned n;

	(void)state;
	link_cfg_default(&cfg);
	l = link_up(&cfg);
	tunnel_set_busy(l->end[LINK_CLIENT].t, true, l->now_us);
	link_run(l, 10 * CLOCK_S);
	l->refuse = true;
	for (int i = 0; i < 4; i++) {
		link_cut(l, TUNNEL_UP, 0);
		link_cut(l, TUNNEL_DOWN, 0);
	}
	n = l->end[LINK_CLIENT].wanted[TUNNEL_UP];
	link_run(l, 300 * CLOCK_MS);
	assert_true(l->end[LINK_CLIENT].wanted[TUNNEL_UP] > n);
	link_run(l, 30 * CLOCK_S);
	n = l->end[LINK_CLIENT].wanted[TUNNEL_UP];
	/* Full jitter over 0 .. 5 s: about 24 in a minute. */
	link_run(l, 60 * CLOCK_S);
	assert_in_range(l->end[LINK_CLIENT].wanted[TUNNEL_UP] - n, 12, 48);
	assert_true(tunnel_deadline(l->end[LINK_CLIENT].t) > l->now_us);
	/* And when the way is free again, they come back and four are there soon. */
	l->refuse = false;
	link_run(l, 6 * CLOCK_S);
	assert_int_equal(tunnel_streams_n(l->end[LINK_CLIENT].t, TUNNEL_UP), 4);
	/* Then all is forgiven: after the next failure two attempts are made at once. */
	link_run(l, 10 * CLOCK_S);
	l->refuse = true;
	n = l->end[LINK_CLIENT].wanted[TUNNEL_UP];
	link_cut(l, TUNNEL_UP, 0);
	link_run(l, 100 * CLOCK_MS + 2 * cfg.delay_us);
	assert_true(l->end[LINK_CLIENT].wanted[TUNNEL_UP] >= n + 2);
	link_free(l);
}

static void
streams_that_fail_together_are_one_failure(void **state)
{
	struct link_cfg cfg;
	struct lossy_link *l;

	(void)state;
	link_cfg_default(&cfg);
	l = link_up(&cfg);
	l->refuse = true;
	tunnel_set_busy(l->end[LINK_CLIENT].t, true, l->now_us);
	link_run(l, 1);
	assert_int_equal(l->end[LINK_CLIENT].wanted[TUNNEL_DOWN], 4);
	/* Three are refused after a round trip, and one tries again in the same moment. */
	link_run(l, 2 * cfg.delay_us);
	assert_int_equal(l->end[LINK_CLIENT].wanted[TUNNEL_DOWN], 5);
	link_free(l);
}

static void
backoff_is_spread_over_the_whole_wait_and_capped(void **state)
{
	uint64_t seed = 3, sum = 0;

	(void)state;
	for (int i = 0; i < 10000; i++) {
		assert_true(tunnel_backoff_us(0, 100, 5000, &seed) <= 100);
		assert_true(tunnel_backoff_us(3, 100, 5000, &seed) <= 800);
		sum += tunnel_backoff_us(200, 100, 5000, &seed);
	}
	assert_in_range(sum / 10000, 2400, 2600);
}

static void
a_kick_opens_new_streams_at_once_and_keeps_the_old_ones_until_then(void **state)
{
	struct link_cfg cfg;
	struct lossy_link *l;
	size_t before;

	(void)state;
	link_cfg_default(&cfg);
	l = link_up(&cfg);
	link_run(l, CLOCK_S);
	before = l->opened_n;
	tunnel_kick(l->end[LINK_CLIENT].t, l->now_us);
	link_run(l, 1);
	assert_int_equal(l->opened_n, before + 2);
	assert_int_equal(tunnel_streams_n(l->end[LINK_CLIENT].t, TUNNEL_UP), 1);
	link_run(l, CLOCK_S);
	assert_int_equal(link_living_n(l, TUNNEL_UP), 1);
	assert_int_equal(link_living_n(l, TUNNEL_DOWN), 1);
	assert_int_equal(tunnel_stats(l->end[LINK_CLIENT].t)->streams_ended[TUNNEL_WHY_ORDERLY], 2);
	link_free(l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whatever_breaks_reliable_frames_come_once_and_in_order),
		cmocka_unit_test(a_cut_of_everything_in_mid_call_costs_a_round_trip_or_two),
		cmocka_unit_test(a_peer_that_vanishes_is_noticed_within_5_s),
		cmocka_unit_test(a_black_hole_in_mid_call_is_left_before_the_dead_man_strikes),
		cmocka_unit_test(one_black_hole_among_four_costs_no_more_voice_than_patience_lasts),
		cmocka_unit_test(nothing_reliable_is_lost_when_all_streams_are_away_for_20_s),
		cmocka_unit_test(a_frame_that_waits_for_32_s_breaks_the_session_once),
		cmocka_unit_test(
		    more_reliable_frames_than_the_cap_are_refused_and_break_the_session),
		cmocka_unit_test(attempts_are_immediate_at_first_then_slow_and_one_at_a_time),
		cmocka_unit_test(streams_that_fail_together_are_one_failure),
		cmocka_unit_test(backoff_is_spread_over_the_whole_wait_and_capped),
		cmocka_unit_test(
		    a_kick_opens_new_streams_at_once_and_keeps_the_old_ones_until_then),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
