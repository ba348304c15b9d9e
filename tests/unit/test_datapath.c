/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "tests/support/sim.h"
#include "tests/support/sim_voice.h"

/* Voice in datagrams beside the streams: over the simulated line, where UDP may fare worse than TCP. */

struct lab {
	struct sim *s;
	struct sim_voice *v;
};

static struct lab
lab_of(unsigned calls, double rtt_ms, bool bounded)
{
	struct sim_cfg cfg;
	struct lab l;

	sim_cfg_default(&cfg);
	cfg.bounded[TUNNEL_UP] = cfg.bounded[TUNNEL_DOWN] = bounded;
	cfg.datagrams = true;
	l.s = sim_new(&cfg);
	sim_set_rtt(l.s, rtt_ms);
	sim_run(l.s, 2 * CLOCK_S);
	sim_busy(l.s, true);
	sim_run(l.s, CLOCK_S);
	l.v = sim_voice_new(l.s, calls, false);
	sim_run(l.s, 5 * CLOCK_S);
	(void)sim_by_datagram(l.s, SIM_CLIENT);
	(void)sim_by_datagram(l.s, SIM_SERVER);
	return l;
}

static struct lab
lab_new(unsigned calls, double rtt_ms)
{
	return lab_of(calls, rtt_ms, false);
}

static void
lab_free(struct lab *l)
{
	sim_free(l->s);
	sim_voice_free(l->v);
}

static struct tunnel_datagrams
facts(const struct lab *l, int side)
{
	struct tunnel_datagrams d;

	assert_true(tunnel_datagrams(l->s->end[side].t, sim_now_us(l->s), &d));
	return d;
}

/* How long it takes until voice of both ends goes by streams alone; CLOCK_NEVER: longer than max_us. */
static uint64_t
time_to_leave(struct lab *l, uint64_t max_us)
{
	uint64_t begin = sim_now_us(l->s);

	while (sim_now_us(l->s) - begin < max_us) {
		sim_run(l->s, 20 * CLOCK_MS);
		if (!facts(l, SIM_CLIENT).good && !facts(l, SIM_SERVER).good)
			return sim_now_us(l->s) - begin;
	}
	return CLOCK_NEVER;
}

static uint64_t
time_to_return(struct lab *l, uint64_t max_us)
{
	uint64_t begin = sim_now_us(l->s);

	while (sim_now_us(l->s) - begin < max_us) {
		sim_run(l->s, 100 * CLOCK_MS);
		if (facts(l, SIM_CLIENT).good && facts(l, SIM_SERVER).good)
			return sim_now_us(l->s) - begin;
	}
	return CLOCK_NEVER;
}

static void
on_a_clean_line_all_voice_goes_by_datagrams_and_the_streams_rest(void **state)
{
	static const unsigned calls[] = { 1, 2, 20, 100 };

	(void)state;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		struct lab l = lab_new(calls[i], 40);
		struct sim_voice_report r;
		const struct tunnel_stats *st = tunnel_stats(l.s->end[SIM_CLIENT].t);
		uint64_t opened, stream_batches;

		sim_run(l.s, 30 * CLOCK_S);
		opened = st->streams_opened;
		stream_batches = st->batches_sent - st->datagrams_sent;
		sim_voice_begin(l.v);
		sim_run(l.s, 30 * CLOCK_S);
		/* Heartbeats alone: some of each stream a second, and their acknowledgements. */
		stream_batches = st->batches_sent - st->datagrams_sent - stream_batches;
		assert_true(stream_batches < 30 * 5);
		sim_voice_end(l.v);
		sim_voice_report(l.v, 2, &r);
		printf("%u calls: MOS %.2f, %.1f bytes a packet, p99 %.1f ms, %lu stream batches\n",
		    calls[i], r.mos, r.bytes, r.p99_ms, (unsigned long)stream_batches);
		assert_int_equal(st->streams_opened, opened);
		assert_true(sim_by_datagram(l.s, SIM_CLIENT) > 0.999);
		assert_true(sim_by_datagram(l.s, SIM_SERVER) > 0.999);
		assert_int_equal(r.got, r.sent);
		assert_true(r.late60 == 0);
		lab_free(&l);
	}
}

static void
a_loss_of_3_percent_is_left_within_2_s_and_returned_to_when_it_is_over(void **state)
{
	(void)state;
	for (unsigned calls = 4; calls <= 100; calls *= 5) {
		struct lab l = lab_new(calls, 40);
		uint64_t left, back;
		struct sim_voice_report r;

		sim_voice_begin(l.v);
		l.s->udp_loss_pct[0] = l.s->udp_loss_pct[1] = 3;
		left = time_to_leave(&l, 10 * CLOCK_S);
		sim_run(l.s, 3 * CLOCK_S);
		l.s->udp_loss_pct[0] = l.s->udp_loss_pct[1] = 0;
		sim_voice_end(l.v);
		back = time_to_return(&l, 60 * CLOCK_S);
		sim_voice_report(l.v, 2, &r);
		printf("%u calls: left after %.2f s, back after %.1f s; MOS %.2f, late %.2f %%\n",
		    calls, (double)left / 1e6, (double)back / 1e6, r.mos, 100 * r.late60);
		assert_true(left <= 2 * CLOCK_S);
		assert_true(back <= 60 * CLOCK_S);
		assert_string_equal(facts(&l, SIM_CLIENT).why, "loss");
		assert_true(r.late60 < 0.005);
		lab_free(&l);
	}
}

/* HRAS has each new key a way before HRAC, whose first stream under it tells HRAS to use it. */
static void
new_keys_in_mid_call_cost_no_voice(void **state)
{
	struct tunnel_grant grant;
	struct sim_voice_report r;
	struct lab l;

	(void)state;
	l = lab_new(10, 80);
	grant = *tunnel_grant(l.s->end[SIM_CLIENT].t);
	grant.purpose = HANDSHAKE_REKEY;
	sim_voice_begin(l.v);
	for (uint8_t key = 1; key <= 5; key++) {
		grant.key[0] = key;
		for (int side = SIM_SERVER; side >= SIM_CLIENT; side--) {
			assert_int_equal(tunnel_rekey(l.s->end[side].t, &grant, sim_now_us(l.s)),
			    0);
			l.s->end[side].touched = true;
			sim_run(l.s, 40 * CLOCK_MS);
		}
		sim_run(l.s, 2 * CLOCK_S);
		assert_int_equal(tunnel_stats(l.s->end[SIM_SERVER].t)->rekeys, key);
	}
	sim_voice_end(l.v);
	sim_voice_report(l.v, 2, &r);
	printf("five new keys in 10 s: MOS %.2f, lost %.2f %%\n", r.mos, 100 * r.lost);
	assert_true(r.lost == 0);
	for (int side = 0; side < 2; side++) {
		assert_int_equal(tunnel_stats(l.s->end[side].t)->datagrams_forged, 0);
		assert_true(sim_by_datagram(l.s, side) > 0.99);
	}
	lab_free(&l);
}

static void
blocked_in_mid_call_it_is_hardly_heard(void **state)
{
	static const double rtts[] = { 5, 40, 160 };

	(void)state;
	for (size_t i = 0; i < 3; i++)
		for (unsigned calls = 1; calls <= 20; calls += 19) {
			struct lab l = lab_new(calls, rtts[i]);
			uint64_t begin, left, gap, back;

			l.s->udp_blocked = true;
			begin = sim_now_us(l.s);
			left = time_to_leave(&l, 5 * CLOCK_S);
			sim_run(l.s, 3 * CLOCK_S);
			gap = sim_voice_recovery_us(l.v, begin);
			l.s->udp_blocked = false;
			back = time_to_return(&l, 60 * CLOCK_S);
			printf(
			    "rtt %.0f, %u calls: gap %.0f ms, left after %.2f s, back after %.1f s\n",
			    rtts[i], calls, (double)gap / 1e3, (double)left / 1e6,
			    (double)back / 1e6);
			assert_true(gap <= 500 * CLOCK_MS);
			assert_true(left <= 2 * CLOCK_S);
			assert_true(back <= 20 * CLOCK_S);
			assert_string_equal(facts(&l, SIM_CLIENT).why, "silence");
			lab_free(&l);
		}
}

static void
blocked_beside_requests_that_end_with_each_burst_it_is_left_as_fast(void **state)
{
	(void)state;
	for (unsigned calls = 1; calls <= 20; calls += 19) {
		struct lab l = lab_of(calls, 40, true);
		uint64_t begin, gap;

		assert_true(sim_by_datagram(l.s, SIM_CLIENT) >= 0);
		l.s->udp_blocked = true;
		begin = sim_now_us(l.s);
		sim_run(l.s, 5 * CLOCK_S);
		gap = sim_voice_recovery_us(l.v, begin);
		printf("polled, %u calls: gap %.0f ms\n", calls, (double)gap / 1e3);
		assert_true(gap <= 500 * CLOCK_MS);
		lab_free(&l);
	}
}

static void
each_direction_is_judged_by_itself(void **state)
{
	struct lab l = lab_new(20, 40);

	(void)state;
	l.s->udp_loss_pct[SIM_SERVER] = 5;
	sim_run(l.s, 3 * CLOCK_S);
	assert_true(facts(&l, SIM_CLIENT).good);
	assert_false(facts(&l, SIM_SERVER).good);
	(void)sim_by_datagram(l.s, SIM_CLIENT);
	(void)sim_by_datagram(l.s, SIM_SERVER);
	sim_run(l.s, 5 * CLOCK_S);
	assert_true(sim_by_datagram(l.s, SIM_CLIENT) > 0.99);
	assert_true(sim_by_datagram(l.s, SIM_SERVER) == 0);
	lab_free(&l);
}

static void
packets_that_overtake_each_other_are_no_reason_to_leave(void **state)
{
	struct lab l = lab_new(20, 40);

	(void)state;
	for (int way = 0; way < 2; way++) {
		l.s->line.set[way].jitter_ms = 15;
		l.s->line.set[way].reorder = 1;
	}
	sim_run(l.s, 60 * CLOCK_S);
	assert_int_equal(facts(&l, SIM_CLIENT).left_n + facts(&l, SIM_SERVER).left_n, 0);
	assert_true(sim_by_datagram(l.s, SIM_CLIENT) > 0.99);
	lab_free(&l);
}

static struct sim_voice_report
heard_of(unsigned calls, bool datagrams, double loss, double rate_kbit)
{
	struct sim_voice_report r;
	struct sim_voice *v;
	struct sim_cfg cfg;
	struct sim *s;

	sim_cfg_default(&cfg);
	cfg.datagrams = datagrams;
	s = sim_new(&cfg);
	sim_set_rtt(s, 40);
	sim_set_loss(s, loss);
	for (int way = 0; way < 2; way++) {
		s->line.set[way].rate_kbit = rate_kbit;
		s->line.set[way].queue_ms = rate_kbit != 0 ? 300 : 0;
	}
	sim_busy(s, true);
	sim_run(s, CLOCK_S);
	v = sim_voice_new(s, calls, false);
	sim_run(s, 5 * CLOCK_S);
	sim_voice_begin(v);
	sim_run(s, 60 * CLOCK_S);
	sim_voice_end(v);
	sim_voice_report(v, 2, &r);
	sim_free(s);
	sim_voice_free(v);
	return r;
}

/* Where datagrams lose as much as segments: the pair finds the better way, or one as good. */
static void
on_a_line_that_loses_voice_sounds_as_good_as_without_datagrams(void **state)
{
	static const double losses[] = { 0, 0.2, 0.5, 1, 2 };

	(void)state;
	for (unsigned calls = 1; calls <= 20; calls += 19)
		for (size_t i = 0; i < sizeof(losses) / sizeof(losses[0]); i++) {
			struct sim_voice_report with = heard_of(calls, true, losses[i], 0);
			struct sim_voice_report without = heard_of(calls, false, losses[i], 0);

			printf(
			    "%u calls, %.1f %%: MOS %.3f, late %.2f %%, %.0f bytes; without %.3f, "
			    "%.2f %%, %.0f\n",
			    calls, losses[i], with.mos, 100 * with.late60, with.bytes, without.mos,
			    100 * without.late60, without.bytes);
			assert_true(with.mos > without.mos - 0.02);
		}
}

/* 20 calls need 1500 kbit/s in datagrams, and more in segments. */
static void
on_a_line_that_is_too_narrow_datagrams_cost_no_more_voice(void **state)
{
	struct sim_voice_report with = heard_of(20, true, 0, 1300);
	struct sim_voice_report without = heard_of(20, false, 0, 1300);

	(void)state;
	printf(
	    "1300 kbit/s: lost %.1f %%, late %.1f %%, p99 %.0f ms; without %.1f %%, %.1f %%, %.0f ms\n",
	    100 * with.lost, 100 * with.late100, with.p99_ms, 100 * without.lost,
	    100 * without.late100, without.p99_ms);
	assert_true(with.lost <= without.lost + 0.02);
	assert_true(with.p99_ms < 20 + 300);
}

/* A trial would take the place of voice, and the NAT must not forget all the same. */
static void
on_a_line_that_stays_full_the_way_left_is_kept_open_and_nothing_spins(void **state)
{
	struct lab l = lab_new(20, 40);
	struct tunnel *t = l.s->end[SIM_CLIENT].t;
	uint64_t sent_n, sent_us, congested_n = 0;
	struct tunnel_line line;

	(void)state;
	l.s->udp_blocked = true;
	assert_true(time_to_leave(&l, 5 * CLOCK_S) <= 2 * CLOCK_S);
	for (int way = 0; way < 2; way++) {
		l.s->line.set[way].rate_kbit = 700;
		l.s->line.set[way].queue_ms = 300;
	}
	sim_run(l.s, CLOCK_S);
	sent_n = tunnel_stats(t)->datagrams_sent;
	sent_us = sim_now_us(l.s);
	for (int i = 0; i < 40 * 100; i++) {
		sim_run(l.s, 10 * CLOCK_MS);
		tunnel_tick(t, sim_now_us(l.s));
		assert_true(tunnel_deadline(t) > sim_now_us(l.s));
		if (tunnel_stats(t)->datagrams_sent != sent_n)
			sent_us = sim_now_us(l.s);
		sent_n = tunnel_stats(t)->datagrams_sent;
		assert_true(sim_now_us(l.s) - sent_us <= 11 * CLOCK_S);
		tunnel_line(t, sim_now_us(l.s), &line);
		congested_n += line.way[TUNNEL_UP].congested;
	}
	printf("full for %.1f s of 40\n", (double)congested_n / 100);
	assert_true(congested_n > 30 * 100);
	lab_free(&l);
}

static uint64_t
keep_after_idling(uint64_t nat_us)
{
	struct sim_cfg cfg;
	struct lab l = { 0 };
	uint64_t last_us, n, keep_us;

	sim_cfg_default(&cfg);
	cfg.datagrams = true;
	l.s = sim_new(&cfg);
	last_us = sim_now_us(l.s);
	for (int i = 0; i < 1800; i++) {
		n = l.s->udp_n[SIM_CLIENT];
		/* The NAT gives another port when it has forgotten. */
		if (sim_now_us(l.s) - last_us > nat_us) {
			addr_set_port(&l.s->udp_from, addr_port(&l.s->udp_from) + 1);
			last_us = sim_now_us(l.s);
		}
		sim_run(l.s, CLOCK_S);
		if (l.s->udp_n[SIM_CLIENT] != n)
			last_us = sim_now_us(l.s);
	}
	assert_true(facts(&l, SIM_CLIENT).good);
	keep_us = facts(&l, SIM_CLIENT).keep_us;
	sim_free(l.s);
	return keep_us;
}

static void
how_long_a_nat_remembers_is_found_out(void **state)
{
	(void)state;
	assert_int_equal(keep_after_idling(3600 * CLOCK_S), 25 * CLOCK_S);
	assert_in_range(keep_after_idling(20 * CLOCK_S), 10 * CLOCK_S, 20 * CLOCK_S);
	assert_in_range(keep_after_idling(8 * CLOCK_S), 5 * CLOCK_S, 9 * CLOCK_S);
}

static void
another_key_in_mid_call_costs_no_voice(void **state)
{
	struct lab l = lab_new(20, 40);
	struct sim_voice_report r;

	(void)state;
	sim_voice_begin(l.v);
	for (uint8_t i = 1; i <= 3; i++) {
		struct tunnel_grant g = *tunnel_grant(l.s->end[SIM_CLIENT].t);

		g.purpose = HANDSHAKE_REKEY;
		memset(g.key, i, sizeof(g.key));
		assert_int_equal(tunnel_rekey(l.s->end[SIM_SERVER].t, &g, sim_now_us(l.s)), 0);
		sim_run(l.s, 20 * CLOCK_MS);
		assert_int_equal(tunnel_rekey(l.s->end[SIM_CLIENT].t, &g, sim_now_us(l.s)), 0);
		l.s->end[SIM_CLIENT].touched = true;
		sim_run(l.s, 5 * CLOCK_S);
		assert_int_equal(tunnel_stats(l.s->end[SIM_SERVER].t)->rekeys, i);
	}
	sim_voice_end(l.v);
	sim_voice_report(l.v, 2, &r);
	assert_int_equal(r.got, r.sent);
	assert_true(r.late60 == 0);
	for (int side = 0; side < 2; side++) {
		assert_int_equal(tunnel_stats(l.s->end[side].t)->datagrams_forged, 0);
		assert_true(sim_by_datagram(l.s, side) > 0.999);
	}
	lab_free(&l);
}

static void
what_only_datagrams_may_have_is_malformed_on_a_stream(void **state)
{
	static const uint8_t batch[] = { 0, 3, 0, 8, 0 };
	static const struct tunnel_handlers none = { .on_datagram = NULL };
	struct tunnel_grant grant = { .agent = "office", .session = 5 };
	struct tunnel_cfg cfg;
	struct tunnel_stream *s;
	char path[TUNNEL_PATH_MAX];
	uint8_t preamble[8] = { 'V', 'F', 1, TUNNEL_DOWN, 0, 0, 0, 1 };
	struct tunnel *t;

	(void)state;
	tunnel_cfg_default(TUNNEL_CLIENT, &cfg);
	t = tunnel_new(&cfg, &none, NULL, &grant, CLOCK_S);
	assert_int_equal(tunnel_datagrams_start(t, CLOCK_S), ERR_UNSUPPORTED);
	assert_int_equal(tunnel_stream_open(t, TUNNEL_DOWN, NULL, CLOCK_S, path, &s), 0);
	assert_int_equal(tunnel_input(t, s, preamble, sizeof(preamble), CLOCK_S), 0);
	assert_int_equal(tunnel_input(t, s, batch, sizeof(batch), CLOCK_S), ERR_MALFORMED);
	tunnel_free(t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(on_a_clean_line_all_voice_goes_by_datagrams_and_the_streams_rest),
		cmocka_unit_test(
		    a_loss_of_3_percent_is_left_within_2_s_and_returned_to_when_it_is_over),
		cmocka_unit_test(new_keys_in_mid_call_cost_no_voice),
		cmocka_unit_test(blocked_in_mid_call_it_is_hardly_heard),
		cmocka_unit_test(
		    blocked_beside_requests_that_end_with_each_burst_it_is_left_as_fast),
		cmocka_unit_test(each_direction_is_judged_by_itself),
		cmocka_unit_test(packets_that_overtake_each_other_are_no_reason_to_leave),
		cmocka_unit_test(on_a_line_that_loses_voice_sounds_as_good_as_without_datagrams),
		cmocka_unit_test(on_a_line_that_is_too_narrow_datagrams_cost_no_more_voice),
		cmocka_unit_test(
		    on_a_line_that_stays_full_the_way_left_is_kept_open_and_nothing_spins),
		cmocka_unit_test(how_long_a_nat_remembers_is_found_out),
		cmocka_unit_test(another_key_in_mid_call_costs_no_voice),
		cmocka_unit_test(what_only_datagrams_may_have_is_malformed_on_a_stream),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
