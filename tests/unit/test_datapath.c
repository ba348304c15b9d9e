/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "tests/support/sim.h"
#include "tests/support/sim_voice.h"

/* Voice in datagrams beside the streams: over the simulated line, where UDP may fare worse than TCP. */

struct lab {
	struct sim *s;
	struct sim_voice *v;
};

static struct lab
lab_new(unsigned calls, double rtt_ms)
{
	struct sim_cfg cfg;
	struct lab l;

	sim_cfg_default(&cfg);
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
		l.s->udp_loss_pct = 3;
		left = time_to_leave(&l, 10 * CLOCK_S);
		sim_run(l.s, 3 * CLOCK_S);
		l.s->udp_loss_pct = 0;
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(on_a_clean_line_all_voice_goes_by_datagrams_and_the_streams_rest),
		cmocka_unit_test(
		    a_loss_of_3_percent_is_left_within_2_s_and_returned_to_when_it_is_over),
		cmocka_unit_test(blocked_in_mid_call_it_is_hardly_heard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
