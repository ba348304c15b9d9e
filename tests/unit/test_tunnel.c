/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/err.h"
#include "tests/support/lossy_link.h"

/* What two tunnels do with each other when nothing goes wrong but time. */

static struct lossy_link *
link_up(const struct link_cfg *cfg)
{
	struct lossy_link *l = link_new(cfg);

	link_run(l, 10 * cfg->delay_us);
	assert_int_equal(l->end[LINK_CLIENT].state, TUNNEL_UP_STATE);
	assert_int_equal(l->end[LINK_SERVER].state, TUNNEL_UP_STATE);
	return l;
}

static void
assert_streams(struct lossy_link *l, unsigned n)
{
	for (int side = 0; side < 2; side++) {
		assert_int_equal(tunnel_streams_n(l->end[side].t, TUNNEL_UP), n);
		assert_int_equal(tunnel_streams_n(l->end[side].t, TUNNEL_DOWN), n);
	}
	assert_int_equal(link_living_n(l, TUNNEL_UP), n);
	assert_int_equal(link_living_n(l, TUNNEL_DOWN), n);
}

static void
one_pair_stands_for_an_hour_of_idleness(void **state)
{
	struct link_cfg cfg;
	struct lossy_link *l;

	(void)state;
	link_cfg_default(&cfg);
	l = link_up(&cfg);
	for (int minute = 0; minute < 60; minute++) {
		link_run(l, 60 * CLOCK_S);
		/* At most one stream of each direction is on its way out. */
		assert_in_range(link_living_n(l, TUNNEL_UP), 1, 2);
		assert_in_range(link_living_n(l, TUNNEL_DOWN), 1, 2);
	}
	assert_int_equal(l->end[0].aborted_dead + l->end[1].aborted_dead, 0);
	assert_int_equal(l->end[LINK_CLIENT].state, TUNNEL_UP_STATE);
	assert_true(l->end[LINK_CLIENT].state_us < 2 * CLOCK_S);
	assert_true(l->end[LINK_SERVER].state_us < 2 * CLOCK_S);
	/* Each of the two was replaced about every ten minutes. */
	assert_in_range(l->opened_n, 10, 16);
	link_free(l);
}

/*
 * Every write of a body is a segment: 52 bytes of IPv4 and TCP with timestamps, the chunk's size
 * and line ends, and a TLS 1.2 record (29); and for each there is a pure acknowledgement. A new
 * stream costs, TLS handshake included, what docs/PROTOCOL.md counts for it.
 */
static void
idle_traffic_stays_below_100_bytes_a_second_even_with_tls(void **state)
{
	const uint64_t seconds = 7200, segment = 52 + 6 + 29, ack = 52, stream = 4300;
	uint64_t bytes = 0;
	struct link_cfg cfg;
	struct lossy_link *l;

	(void)state;
	link_cfg_default(&cfg);
	l = link_up(&cfg);
	for (int side = 0; side < 2; side++) {
		bytes -= tunnel_stats(l->end[side].t)->bytes_sent;
		l->end[side].segments = 0;
	}
	link_run(l, seconds * CLOCK_S);
	for (int side = 0; side < 2; side++)
		bytes += tunnel_stats(l->end[side].t)->bytes_sent +
		    l->end[side].segments * (segment + ack);
	bytes += (l->opened_n - 2) * stream;
	print_message("idle: %llu bytes/s\n", (unsigned long long)(bytes / seconds));
	assert_in_range(bytes / seconds, 30, 99);
	link_free(l);
}

static void
all_pairs_open_when_a_call_is_set_up_and_go_30_s_after_its_end(void **state)
{
	struct link_cfg cfg;
	struct lossy_link *l;

	(void)state;
	link_cfg_default(&cfg);
	l = link_up(&cfg);
	link_run(l, 22500 * CLOCK_MS);
	assert_streams(l, 1);
	tunnel_set_busy(l->end[LINK_CLIENT].t, true, l->now_us);
	/* One and a half round trips: the request, and the first bytes back. */
	link_run(l, 65 * CLOCK_MS);
	assert_streams(l, 4);
	link_run(l, 100 * CLOCK_S);
	assert_streams(l, 4);
	/* The first pair was silent for longer than is right with a call, and not to blame. */
	assert_int_equal(l->opened_n, 8);
	tunnel_set_busy(l->end[LINK_CLIENT].t, false, l->now_us);
	link_run(l, 29900 * CLOCK_MS);
	assert_streams(l, 4);
	link_run(l, 500 * CLOCK_MS);
	assert_streams(l, 1);
	assert_int_equal(l->end[0].aborted_dead + l->end[1].aborted_dead, 0);
	link_free(l);
}

static void
a_call_that_only_the_server_knows_of_opens_all_pairs_too(void **state)
{
	struct link_cfg cfg;
	struct lossy_link *l;

	(void)state;
	link_cfg_default(&cfg);
	l = link_up(&cfg);
	tunnel_set_busy(l->end[LINK_SERVER].t, true, l->now_us);
	link_run(l, 150 * CLOCK_MS);
	assert_streams(l, 4);
	link_run(l, 60 * CLOCK_S);
	assert_streams(l, 4);
	assert_int_equal(l->end[0].aborted_dead + l->end[1].aborted_dead, 0);
	link_free(l);
}

static void
reliable_and_media_pass_both_ways_however_the_bytes_are_cut(void **state)
{
	struct link_cfg cfg;
	struct lossy_link *l;

	(void)state;
	link_cfg_default(&cfg);
	cfg.chop = true;
	l = link_up(&cfg);
	for (int i = 0; i < 1000; i++) {
		for (int side = 0; side < 2; side++) {
			assert_int_equal(link_send_media(l, side,
					     4 + link_random(l, TUNNEL_MEDIA_MAX - 3)),
			    0);
			if (i % 10 == 0)
				assert_int_equal(link_send(l, side,
						     4 + link_random(l, TUNNEL_RELIABLE_MAX - 3)),
				    0);
		}
		link_run(l, 20 * CLOCK_MS);
	}
	link_run(l, CLOCK_S);
	assert_true(link_settled(l));
	for (int side = 0; side < 2; side++) {
		assert_int_equal(l->end[side].media_got, l->end[!side].media_sent);
		assert_int_equal(tunnel_stats(l->end[side].t)->reliable_resent, 0);
		/* One or two calls are not held back: what is sent comes when the way is over. */
		assert_int_equal(l->end[side].media_worst_us, cfg.delay_us);
	}
	link_free(l);
}

static void
the_largest_payloads_pass_and_larger_ones_are_refused(void **state)
{
	static const uint8_t big[TUNNEL_RELIABLE_MAX + 1];
	struct link_cfg cfg;
	struct lossy_link *l;

	(void)state;
	link_cfg_default(&cfg);
	l = link_up(&cfg);
	assert_int_equal(link_send(l, LINK_CLIENT, TUNNEL_RELIABLE_MAX), 0);
	assert_int_equal(link_send_media(l, LINK_CLIENT, TUNNEL_MEDIA_MAX), 0);
	assert_int_equal(tunnel_send(l->end[0].t, 7, big, TUNNEL_RELIABLE_MAX + 1, l->now_us),
	    ERR_TOO_BIG);
	assert_int_equal(tunnel_send_media(l->end[0].t, 7, big, TUNNEL_MEDIA_MAX + 1, l->now_us),
	    ERR_TOO_BIG);
	assert_int_equal(tunnel_send(l->end[0].t, 0xf0, big, 1, l->now_us), ERR_UNSUPPORTED);
	link_run(l, 100 * CLOCK_MS);
	assert_true(link_settled(l));
	assert_int_equal(l->end[LINK_SERVER].media_got, 1);
	link_free(l);
}

static void
rotation_by_tiny_limits_loses_nothing_and_repeats_nothing(void **state)
{
	struct link_cfg cfg;
	struct lossy_link *l;

	(void)state;
	link_cfg_default(&cfg);
	cfg.chop = true;
	cfg.end[LINK_CLIENT].rotate_bytes = 8000;
	l = link_up(&cfg);
	tunnel_set_busy(l->end[LINK_CLIENT].t, true, l->now_us);
	for (int i = 0; i < 3000; i++) {
		for (int side = 0; side < 2; side++) {
			assert_int_equal(link_send_media(l, side, 172), 0);
			if (i % 7 == 0)
				assert_int_equal(link_send(l, side, 4 + link_random(l, 1500)), 0);
		}
		link_run(l, 20 * CLOCK_MS);
	}
	link_run(l, CLOCK_S);
	assert_true(link_settled(l));
	for (int side = 0; side < 2; side++) {
		const struct tunnel_stats *st = tunnel_stats(l->end[side].t);

		assert_int_equal(l->end[side].media_got, l->end[!side].media_sent);
		assert_int_equal(st->media_down_dropped + st->media_late_dropped, 0);
		assert_int_equal(st->streams_ended[TUNNEL_WHY_ORDERLY],
		    st->streams_opened - tunnel_streams_n(l->end[side].t, TUNNEL_UP) -
			tunnel_streams_n(l->end[side].t, TUNNEL_DOWN));
		assert_true(st->streams_rotated > 100);
	}
	assert_int_equal(l->end[0].aborted_dead + l->end[1].aborted_dead, 0);
	link_free(l);
}

static void
a_stream_is_let_go_only_when_its_successor_works(void **state)
{
	struct link_cfg cfg;
	struct lossy_link *l;

	(void)state;
	link_cfg_default(&cfg);
	cfg.end[LINK_CLIENT].rotate_age_us = 10 * CLOCK_S;
	l = link_up(&cfg);
	l->refuse = true;
	link_run(l, 60 * CLOCK_S);
	/* It was tried, it never worked, and the old ones carry on. */
	assert_true(tunnel_stats(l->end[LINK_CLIENT].t)->streams_ended[TUNNEL_WHY_REFUSED] > 10);
	assert_streams(l, 1);
	assert_int_equal(l->end[LINK_CLIENT].state, TUNNEL_UP_STATE);
	assert_int_equal(link_send(l, LINK_SERVER, 500), 0);
	link_run(l, 50 * CLOCK_MS);
	assert_true(link_settled(l));
	l->refuse = false;
	link_run(l, 6 * CLOCK_S);
	assert_true(tunnel_stats(l->end[LINK_CLIENT].t)->streams_ended[TUNNEL_WHY_ORDERLY] >= 2);
	assert_int_equal(l->end[LINK_CLIENT].state, TUNNEL_UP_STATE);
	link_free(l);
}

static void
streams_are_not_replaced_all_at_once(void **state)
{
	uint64_t opened[64];
	struct link_cfg cfg;
	struct lossy_link *l;
	size_t n = 0, before;

	(void)state;
	link_cfg_default(&cfg);
	cfg.end[LINK_CLIENT].rotate_age_us = 100 * CLOCK_S;
	l = link_up(&cfg);
	tunnel_set_busy(l->end[LINK_CLIENT].t, true, l->now_us);
	link_run(l, CLOCK_S);
	before = l->opened_n;
	assert_int_equal(before, 8);
	while (n < 8) {
		link_run(l, 100 * CLOCK_MS);
		for (; before < l->opened_n && n < 8; before++)
			opened[n++] = l->now_us;
	}
	assert_in_range(opened[0], 90 * CLOCK_S, 112 * CLOCK_S);
	assert_in_range(opened[7] - opened[0], 5 * CLOCK_S, 21 * CLOCK_S);
	link_free(l);
}

static void
both_ends_know_the_round_trip(void **state)
{
	struct link_cfg cfg;
	struct lossy_link *l;

	(void)state;
	link_cfg_default(&cfg);
	cfg.delay_us = 70 * CLOCK_MS;
	l = link_up(&cfg);
	for (int busy = 0; busy < 2; busy++) {
		tunnel_set_busy(l->end[LINK_CLIENT].t, busy, l->now_us);
		link_run(l, 60 * CLOCK_S);
		for (int side = 0; side < 2; side++)
			assert_in_range(tunnel_srtt_us(l->end[side].t), 140 * CLOCK_MS,
			    141 * CLOCK_MS);
	}
	link_free(l);
}

static void
the_round_trip_is_measured_under_load_too(void **state)
{
	struct link_cfg cfg;
	struct lossy_link *l;

	(void)state;
	link_cfg_default(&cfg);
	l = link_up(&cfg);
	tunnel_set_busy(l->end[LINK_CLIENT].t, true, l->now_us);
	l->cfg.delay_us = 60 * CLOCK_MS;
	for (int i = 0; i < 40000; i++) {
		link_send_media(l, LINK_CLIENT, 172);
		link_send_media(l, LINK_SERVER, 172);
		link_run(l, CLOCK_MS);
	}
	for (int side = 0; side < 2; side++)
		assert_in_range(tunnel_srtt_us(l->end[side].t), 115 * CLOCK_MS, 130 * CLOCK_MS);
	link_free(l);
}

static void
assert_voice_costs(enum cipher_kind cipher, uint64_t tag)
{
	struct link_cfg cfg;
	struct lossy_link *l;
	uint64_t sent;

	link_cfg_default(&cfg);
	cfg.cipher = cipher;
	l = link_up(&cfg);
	link_run(l, CLOCK_S);
	sent = tunnel_stats(l->end[LINK_CLIENT].t)->bytes_sent;
	link_send_media(l, LINK_CLIENT, 172);
	tunnel_flush(l->end[LINK_CLIENT].t, l->now_us);
	link_run(l, 0);
	sent = tunnel_stats(l->end[LINK_CLIENT].t)->bytes_sent - sent;
	assert_int_equal(sent, 172 + 10 + tag);
	link_run(l, CLOCK_S);
	sent = tunnel_stats(l->end[LINK_CLIENT].t)->bytes_sent;
	for (int i = 0; i < 7; i++)
		link_send_media(l, LINK_CLIENT, 172);
	link_run(l, 0);
	sent = tunnel_stats(l->end[LINK_CLIENT].t)->bytes_sent - sent;
	assert_in_range(sent, 7 * (172 + 4) + tag, 7 * (172 + 4) + 20 + tag);
	link_run(l, CLOCK_S);
	assert_int_equal(l->end[LINK_SERVER].media_got, 8);
	link_free(l);
}

static void
a_voice_packet_costs_ten_bytes_and_sixteen_for_its_seal_and_a_full_batch_less(void **state)
{
	(void)state;
	assert_voice_costs(CIPHER_NONE, 0);
	assert_voice_costs(CIPHER_AES_256_GCM, 16);
	assert_voice_costs(CIPHER_CHACHA20_POLY1305, 16);
}

static void
rekeying_every_second_loses_nothing_and_repeats_nothing(void **state)
{
	struct link_cfg cfg;
	struct lossy_link *l;

	(void)state;
	link_cfg_default(&cfg);
	cfg.chop = true;
	cfg.end[LINK_CLIENT].rekey_age_us = CLOCK_S;
	cfg.end[LINK_CLIENT].rekey_bytes = 0;
	l = link_up(&cfg);
	tunnel_set_busy(l->end[LINK_CLIENT].t, true, l->now_us);
	for (int i = 0; i < 6000; i++) {
		for (int side = 0; side < 2; side++) {
			assert_int_equal(link_send_media(l, side, 172), 0);
			if (i % 7 == 0)
				assert_int_equal(link_send(l, side, 4 + link_random(l, 1500)), 0);
		}
		link_run(l, 20 * CLOCK_MS);
	}
	link_run(l, CLOCK_S);
	assert_true(link_settled(l));
	for (int side = 0; side < 2; side++) {
		const struct tunnel_stats *st = tunnel_stats(l->end[side].t);

		assert_int_equal(l->end[side].media_got, l->end[!side].media_sent);
		assert_int_equal(l->end[side].media_late, 0);
		assert_int_equal(st->media_down_dropped + st->media_late_dropped, 0);
		assert_int_equal(st->malformed, 0);
		assert_in_range(st->rekeys, 100, 121);
	}
	assert_memory_equal(tunnel_grant(l->end[0].t)->key, tunnel_grant(l->end[1].t)->key, 32);
	assert_memory_not_equal(tunnel_grant(l->end[0].t)->key, l->rekey.key, 32);
	link_free(l);
}

static void
a_new_key_comes_after_so_many_bytes(void **state)
{
	struct link_cfg cfg;
	struct lossy_link *l;

	(void)state;
	link_cfg_default(&cfg);
	cfg.end[LINK_CLIENT].rekey_bytes = 500000;
	l = link_up(&cfg);
	tunnel_set_busy(l->end[LINK_CLIENT].t, true, l->now_us);
	for (int i = 0; i < 1000; i++) {
		for (int k = 0; k < 4; k++)
			link_send_media(l, k % 2, 200);
		link_run(l, 20 * CLOCK_MS);
		if (i == 900 / 4)
			assert_int_equal(tunnel_stats(l->end[LINK_SERVER].t)->rekeys, 0);
	}
	assert_int_equal(tunnel_stats(l->end[LINK_CLIENT].t)->rekeys, 1);
	assert_int_equal(tunnel_stats(l->end[LINK_SERVER].t)->rekeys, 1);
	link_free(l);
}

/* HRAS has a key then that nobody uses, and with the next attempt another one. */
static void
an_answer_that_was_lost_leaves_the_key_as_it_is_until_the_next_attempt(void **state)
{
	struct link_cfg cfg;
	struct lossy_link *l;

	(void)state;
	link_cfg_default(&cfg);
	cfg.rekey_lost_permille = 1000;
	cfg.end[LINK_CLIENT].rekey_age_us = 10 * CLOCK_S;
	cfg.end[LINK_CLIENT].rotate_age_us = 5 * CLOCK_S;
	l = link_up(&cfg);
	link_run(l, 65 * CLOCK_S);
	for (int side = 0; side < 2; side++)
		assert_int_equal(tunnel_stats(l->end[side].t)->rekeys, 0);
	l->cfg.rekey_lost_permille = 0;
	link_run(l, 30 * CLOCK_S);
	for (int side = 0; side < 2; side++) {
		assert_in_range(tunnel_stats(l->end[side].t)->rekeys, 2, 3);
		assert_int_equal(l->end[side].state, TUNNEL_UP_STATE);
		assert_int_equal(tunnel_stats(l->end[side].t)->streams_ended[TUNNEL_WHY_REFUSED],
		    0);
	}
	link_free(l);
}

/* 64 KB of SIP is on its way through narrow connections, and a call goes on beside it. */
static void
voice_does_not_wait_behind_a_large_sip_message(void **state)
{
	struct link_cfg cfg;
	struct lossy_link *l;

	(void)state;
	link_cfg_default(&cfg);
	cfg.window = 16384;
	l = link_up(&cfg);
	tunnel_set_busy(l->end[LINK_CLIENT].t, true, l->now_us);
	link_run(l, CLOCK_S);
	assert_int_equal(link_send(l, LINK_CLIENT, TUNNEL_RELIABLE_MAX), 0);
	for (int i = 0; i < 100; i++) {
		link_send_media(l, LINK_CLIENT, 172);
		link_run(l, 20 * CLOCK_MS);
	}
	assert_true(link_settled(l));
	assert_int_equal(l->end[LINK_SERVER].media_got, 100);
	assert_in_range(l->end[LINK_SERVER].media_worst_us, cfg.delay_us, 40 * CLOCK_MS);
	link_free(l);
}

/* The late ones of a minute of one call, for each segment that TCP had to repeat. */
static double
late_for_each_stall(unsigned connections)
{
	struct link_cfg cfg;
	struct lossy_link *l;
	double late;

	link_cfg_default(&cfg);
	cfg.end[LINK_CLIENT].connections_max = connections;
	l = link_up(&cfg);
	tunnel_set_busy(l->end[LINK_CLIENT].t, true, l->now_us);
	link_run(l, CLOCK_S);
	l->cfg.stall_permille = 20;
	l->cfg.stall_us = 250 * CLOCK_MS;
	for (int i = 0; i < 50 * 600; i++) {
		link_send_media(l, LINK_CLIENT, 172);
		link_send_media(l, LINK_SERVER, 172);
		link_run(l, 20 * CLOCK_MS);
	}
	assert_true(l->stalls > 500);
	late = (double)(l->end[0].media_late + l->end[1].media_late) / l->stalls;
	link_free(l);
	return late;
}

/* What all of this is for: a repetition holds up its own packet, and no other one. */
static void
a_stalled_stream_does_not_hold_up_the_voice_behind_it(void **state)
{
	double one = late_for_each_stall(1), four = late_for_each_stall(4);

	(void)state;
	print_message("late voice for each stall: %.2f on one stream, %.2f on four\n", one, four);
	assert_true(one > 2.0);
	assert_true(four < 0.9);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_pair_stands_for_an_hour_of_idleness),
		cmocka_unit_test(idle_traffic_stays_below_100_bytes_a_second_even_with_tls),
		cmocka_unit_test(all_pairs_open_when_a_call_is_set_up_and_go_30_s_after_its_end),
		cmocka_unit_test(a_call_that_only_the_server_knows_of_opens_all_pairs_too),
		cmocka_unit_test(reliable_and_media_pass_both_ways_however_the_bytes_are_cut),
		cmocka_unit_test(the_largest_payloads_pass_and_larger_ones_are_refused),
		cmocka_unit_test(rotation_by_tiny_limits_loses_nothing_and_repeats_nothing),
		cmocka_unit_test(a_stream_is_let_go_only_when_its_successor_works),
		cmocka_unit_test(streams_are_not_replaced_all_at_once),
		cmocka_unit_test(both_ends_know_the_round_trip),
		cmocka_unit_test(the_round_trip_is_measured_under_load_too),
		cmocka_unit_test(
		    a_voice_packet_costs_ten_bytes_and_sixteen_for_its_seal_and_a_full_batch_less),
		cmocka_unit_test(rekeying_every_second_loses_nothing_and_repeats_nothing),
		cmocka_unit_test(a_new_key_comes_after_so_many_bytes),
		cmocka_unit_test(
		    an_answer_that_was_lost_leaves_the_key_as_it_is_until_the_next_attempt),
		cmocka_unit_test(a_stalled_stream_does_not_hold_up_the_voice_behind_it),
		cmocka_unit_test(voice_does_not_wait_behind_a_large_sip_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
