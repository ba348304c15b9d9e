/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/err.h"
#include "tests/unit/voice_lab.h"

/* What keeps the tunnel from being the reason why its own voice is late: narrow, broken and changing
 * lines, proxies with few connections, and SIP beside it all. */

#define NARROW(rtt, ms) LAB_LINE(rtt, .loss_pct = 1, .rate_kbit = 1720, .queue_ms = (ms))

/* -- Narrow lines -- */

static void
on_a_narrow_line_voice_is_hardly_later_than_plain_udp(void **state)
{
	static const unsigned rtts[] = { 20, 80 };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		double tunnel = 0, udp = lab_heard_udp(NARROW(rtts[i], 100), 20, 120).late60;

		for (uint64_t seed = 1; seed <= 2; seed++) {
			struct sim_cfg cfg;

			sim_cfg_default(&cfg);
			cfg.seed = seed;
			tunnel += lab_heard(&cfg, NARROW(rtts[i], 100), 20, 60).late60 / 2;
		}
		assert_true(tunnel <= 1.2 * udp + 0.001);
	}
}

static void
a_deep_queue_is_not_filled(void **state)
{
	const struct line_set *line = NARROW(40, 1000);
	struct lab l = lab_new(NULL, line, 20);
	struct sim_voice_report r;

	(void)state;
	sim_run(l.s, 30 * CLOCK_S);
	r = lab_hear(&l, 60);
	assert_true(r.p50_ms < 20 + 50);
	assert_true(r.late100 < 0.03);
	lab_free(&l);
}

static void
what_is_in_flight_is_bounded_whatever_the_line_holds(void **state)
{
	struct lab l = lab_new(NULL, LAB_LINE(40, .rate_kbit = 800, .queue_ms = 5000), 20);
	struct sim_watch_way way;

	(void)state;
	sim_run(l.s, 20 * CLOCK_S);
	sim_watch_reset(l.w);
	sim_run(l.s, 30 * CLOCK_S);
	for (int dir = 0; dir < 2; dir++) {
		sim_watch_way(l.w, dir, &way);
		/* Twenty times as much would fit into the queue. */
		assert_true(way.in_flight_max < 120);
	}
	lab_free(&l);
}

static void
redundancy_stays_off_where_it_has_no_room(void **state)
{
	struct lab l = lab_new(NULL, NARROW(80, 100), 20);
	unsigned redundant_n = 0;

	(void)state;
	sim_run(l.s, 20 * CLOCK_S);
	for (int i = 0; i < 600; i++) {
		sim_run(l.s, 100 * CLOCK_MS);
		redundant_n += lab_way(&l, TUNNEL_UP).redundancy > TUNNEL_REDUNDANCY_RESEND;
	}
	assert_true(redundant_n < 60);
	lab_free(&l);
}

/* -- Black-outs -- */

static void
after_a_black_out_of_3_s_voice_is_back_within_400_ms(void **state)
{
	(void)state;
	for (uint64_t phase = 0; phase < 6; phase++) {
		struct lab l = lab_new(NULL, LAB_LINE(40), 20);
		uint64_t end;

		sim_run(l.s, 15 * CLOCK_S + phase * 237 * CLOCK_MS);
		sim_black(l.s, 3 * CLOCK_S);
		end = sim_now_us(l.s) + 3 * CLOCK_S;
		sim_run(l.s, 8 * CLOCK_S);
		assert_true(sim_voice_recovery_us(l.v, end) <= 400 * CLOCK_MS);
		/* And it stays. */
		assert_true(sim_voice_late(l.v, end + CLOCK_S, end + 4 * CLOCK_S) < 0.01);
		assert_int_equal(l.s->end[SIM_CLIENT].state, TUNNEL_UP_STATE);
		lab_free(&l);
	}
}

static void
a_shorter_cut_is_over_soon_after_its_end(void **state)
{
	static const unsigned ms[] = { 50, 200, 500, 1000 };

	(void)state;
	for (size_t i = 0; i < sizeof(ms) / sizeof(*ms); i++) {
		struct lab l = lab_new(NULL, LAB_LINE(40), 20);
		uint64_t end;

		sim_run(l.s, 15 * CLOCK_S);
		sim_black(l.s, ms[i] * CLOCK_MS);
		end = sim_now_us(l.s) + ms[i] * CLOCK_MS;
		sim_run(l.s, 5 * CLOCK_S);
		assert_true(sim_voice_recovery_us(l.v, end) <= 400 * CLOCK_MS);
		lab_free(&l);
	}
}

/* -- Lines that change -- */

static void
a_way_that_becomes_longer_and_shorter_is_followed(void **state)
{
	struct lab l = lab_new(NULL, LAB_LINE(20), 20);
	unsigned changes_n = 0;
	struct tunnel_way last = { 0 };

	(void)state;
	sim_run(l.s, 15 * CLOCK_S);
	sim_voice_begin(l.v);
	for (unsigned i = 0; i < 800; i++) {
		struct tunnel_way way = lab_way(&l, TUNNEL_UP);

		changes_n += way.redundancy != last.redundancy;
		last = way;
		sim_set_rtt(l.s, i / 100 % 2 == 0 ? 20 : 160);
		sim_run(l.s, 100 * CLOCK_MS);
	}
	assert_true(sim_voice_late(l.v, sim_now_us(l.s) - 80 * CLOCK_S, sim_now_us(l.s) - CLOCK_S) <
	    0.02);
	assert_true(changes_n <= 16);
	lab_free(&l);
}

static void
loss_that_comes_and_goes_is_not_heard(void **state)
{
	struct lab l = lab_new(NULL, LAB_LINE(80), 20);
	uint64_t from;
	unsigned opened;

	(void)state;
	sim_run(l.s, 15 * CLOCK_S);
	from = sim_now_us(l.s);
	opened = l.s->opened_n;
	for (unsigned i = 0; i < 12; i++) {
		sim_set_loss(l.s, i % 2 == 0 ? 5 : 0);
		sim_run(l.s, 4 * CLOCK_S);
	}
	assert_true(sim_voice_late(l.v, from, sim_now_us(l.s) - CLOCK_S) < 0.006);
	/* The streams are not opened and let go with each change. */
	assert_true(l.s->opened_n - opened < 150);
	lab_free(&l);
}

static void
jitter_alone_is_no_loss(void **state)
{
	struct lab l = lab_new(NULL, LAB_LINE(80, .jitter_ms = 30), 20);
	struct sim_voice_report r;

	(void)state;
	sim_run(l.s, 20 * CLOCK_S);
	r = lab_hear(&l, 30);
	assert_true(r.late60 < 0.001);
	assert_int_equal(lab_way(&l, TUNNEL_UP).redundancy, TUNNEL_REDUNDANCY_NONE);
	lab_free(&l);
}

/* -- Acknowledgements -- */

static void
acknowledgements_survive_the_loss_of_the_way_back(void **state)
{
	struct lab l = lab_new(NULL, LAB_LINE(80), 20);
	struct sim_voice_report r;

	(void)state;
	l.s->line.set[TUNNEL_DOWN].loss_pct = 10;
	sim_run(l.s, 15 * CLOCK_S);
	sim_voice_begin(l.v);
	sim_run(l.s, 20 * CLOCK_S);
	sim_voice_end(l.v);
	sim_voice_report(l.v, TUNNEL_UP, &r);
	assert_true(r.late60 < 0.003);
	lab_free(&l);
}

static void
nothing_stays_unacknowledged_when_the_line_is_good_again(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 4; seed++) {
		struct sim_cfg cfg;
		struct lab l;

		sim_cfg_default(&cfg);
		cfg.seed = seed;
		l = lab_new(&cfg, LAB_LINE(60, .loss_pct = 10), 20);
		sim_run(l.s, 20 * CLOCK_S);
		sim_set_loss(l.s, 0);
		sim_run(l.s, 5 * CLOCK_S);
		sim_voice_calls(l.v, 0);
		sim_run(l.s, 400 * CLOCK_MS);
		assert_int_equal(sim_watch_outstanding(l.w, TUNNEL_UP), 0);
		assert_int_equal(sim_watch_outstanding(l.w, TUNNEL_DOWN), 0);
		lab_free(&l);
	}
}

static void
a_direction_that_is_silent_acknowledges_all_the_same(void **state)
{
	struct sim_cfg cfg;
	struct sim *s;
	uint8_t payload[172] = { 0 };
	struct sim_watch *w;
	struct sim_watch_way way;

	(void)state;
	sim_cfg_default(&cfg);
	s = sim_new(&cfg);
	w = sim_watch_new(s);
	sim_run(s, 2 * CLOCK_S);
	sim_busy(s, true);
	sim_run(s, 2 * CLOCK_S);
	sim_watch_reset(w);
	for (int i = 0; i < 500; i++) {
		tunnel_send_media(s->end[SIM_CLIENT].t, 2, payload, sizeof(payload), sim_now_us(s));
		s->end[SIM_CLIENT].touched = true;
		sim_run(s, 20 * CLOCK_MS);
	}
	sim_watch_way(w, TUNNEL_UP, &way);
	assert_int_equal(way.batches, 500);
	/* A round trip of 40 ms, 20 ms of waiting for company: three or four at 50 a second. */
	assert_true(way.in_flight_max <= 4);
	sim_free(s);
	sim_watch_free(w);
}

/* -- SIP -- */

static int
by_size(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

#define SIP_N 200

/* How long 95 of 100 SIP messages take at most, one every 100 ms each way. */
static uint32_t
sip_took_us(unsigned calls, double loss)
{
	struct lab l = lab_new(NULL, LAB_LINE(80, .loss_pct = loss), calls);
	struct sim_end *e = &l.s->end[SIM_SERVER];
	uint32_t took;

	sim_busy(l.s, true);
	sim_run(l.s, 15 * CLOCK_S);
	for (int i = 0; i < SIP_N; i++) {
		for (int side = 0; side < 2; side++)
			assert_int_equal(sim_send(l.s, side, 1200), 0);
		sim_run(l.s, 100 * CLOCK_MS);
	}
	sim_run(l.s, 5 * CLOCK_S);
	assert_int_equal(e->reliable_got, SIP_N);
	assert_int_equal(l.s->end[SIM_CLIENT].reliable_got, SIP_N);
	qsort(e->reliable_took_us, SIP_N, sizeof(uint32_t), by_size);
	took = e->reliable_took_us[SIP_N * 95 / 100];
	lab_free(&l);
	return took;
}

static void
sip_is_not_delayed_by_voice_even_at_5_percent(void **state)
{
	uint32_t idle = sip_took_us(0, 0), loaded = sip_took_us(60, 5);

	(void)state;
	assert_in_range(idle, 40 * CLOCK_MS, 50 * CLOCK_MS);
	assert_true(loaded <= idle + 2 * 80 * CLOCK_MS + 200 * CLOCK_MS);
}

/* -- Proxies that allow few connections -- */

static void
a_proxy_with_few_connections_makes_it_worse_but_not_broken(void **state)
{
	static const unsigned max[] = { 4, 8, 16, 32 };
	double last = 1;

	(void)state;
	for (size_t i = 0; i < sizeof(max) / sizeof(*max); i++) {
		struct sim_voice_report r;
		struct sim_cfg cfg;
		struct lab l;

		sim_cfg_default(&cfg);
		cfg.proxy_max = max[i];
		l = lab_new(&cfg, LAB_LINE(40, .loss_pct = 1), 20);
		sim_run(l.s, 15 * CLOCK_S);
		r = lab_hear(&l, 30);
		assert_true(r.late60 < 0.15);
		assert_true(r.late60 <= last + 0.01);
		last = r.late60;
		/* It does not hammer at the door. */
		assert_true(l.s->opened_n < 200);
		assert_int_equal(l.s->end[SIM_CLIENT].state, TUNNEL_UP_STATE);
		lab_free(&l);
	}
}

static void
a_proxy_that_keeps_requests_waiting_does_no_harm(void **state)
{
	struct sim_voice_report r;
	struct sim_cfg cfg;
	struct lab l;

	(void)state;
	sim_cfg_default(&cfg);
	cfg.proxy_max = 8;
	cfg.proxy_hangs = true;
	l = lab_new(&cfg, LAB_LINE(40), 20);
	sim_run(l.s, 15 * CLOCK_S);
	r = lab_hear(&l, 30);
	assert_true(r.late60 < 0.001);
	assert_true(l.s->opened_n < 200);
	lab_free(&l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(on_a_narrow_line_voice_is_hardly_later_than_plain_udp),
		cmocka_unit_test(a_deep_queue_is_not_filled),
		cmocka_unit_test(what_is_in_flight_is_bounded_whatever_the_line_holds),
		cmocka_unit_test(redundancy_stays_off_where_it_has_no_room),
		cmocka_unit_test(after_a_black_out_of_3_s_voice_is_back_within_400_ms),
		cmocka_unit_test(a_shorter_cut_is_over_soon_after_its_end),
		cmocka_unit_test(a_way_that_becomes_longer_and_shorter_is_followed),
		cmocka_unit_test(loss_that_comes_and_goes_is_not_heard),
		cmocka_unit_test(jitter_alone_is_no_loss),
		cmocka_unit_test(acknowledgements_survive_the_loss_of_the_way_back),
		cmocka_unit_test(nothing_stays_unacknowledged_when_the_line_is_good_again),
		cmocka_unit_test(a_direction_that_is_silent_acknowledges_all_the_same),
		cmocka_unit_test(sip_is_not_delayed_by_voice_even_at_5_percent),
		cmocka_unit_test(a_proxy_with_few_connections_makes_it_worse_but_not_broken),
		cmocka_unit_test(a_proxy_that_keeps_requests_waiting_does_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
