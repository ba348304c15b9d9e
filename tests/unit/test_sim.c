/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "tests/support/sim.h"
#include "tests/support/sim_voice.h"

/* The simulation is an instrument: before it measures anything it is held against known answers. */

#define RTT_US (80 * CLOCK_MS)
#define WRITES_MAX 2000

/* One connection over one line: numbered writes, and when each came. */
struct rig {
	struct sim_clock clock;
	struct sim_line line;
	struct sim_tcp *tcp;
	size_t sent, got;
	uint64_t sent_us[WRITES_MAX], got_us[WRITES_MAX];
	uint8_t part[4];
	size_t part_len;
	bool ended, dead;
};

static void
on_data(void *arg, const uint8_t *data, size_t n, bool end)
{
	struct rig *r = arg;

	for (size_t i = 0; i < n; i++) {
		uint32_t number;

		r->part[r->part_len++] = data[i];
		if (r->part_len < sizeof(r->part))
			continue;
		r->part_len = 0;
		memcpy(&number, r->part, sizeof(number));
		/* The filler repeats the number of its write. */
		assert_in_range(number, r->got == 0 ? 0 : r->got - 1, r->got);
		if (number == r->got)
			r->got_us[r->got++] = r->clock.now_us;
	}
	r->ended |= end;
}

static void
on_room(void *arg)
{
	(void)arg;
}

static void
on_dead(void *arg)
{
	((struct rig *)arg)->dead = true;
}

static struct rig *
rig_new(uint64_t seed)
{
	static const struct sim_tcp_handlers handlers = { on_data, on_room, on_dead };
	struct rig *r = mem_zalloc(sizeof(*r));
	struct sim_tcp_cfg cfg = { .line = &r->line, .rtt_us = RTT_US };

	sim_clock_init(&r->clock, seed);
	sim_line_init(&r->line, &r->clock);
	r->line.set[0].delay_ms = r->line.set[1].delay_ms = 40;
	r->tcp = sim_tcp_new(&cfg, &handlers, r);
	return r;
}

static void
rig_free(struct rig *r)
{
	sim_tcp_close(r->tcp);
	for (size_t i = 0; i < r->clock.n; i++)
		sim_tcp_drop(&r->clock.heap[i]);
	sim_clock_free(&r->clock);
	mem_free(r);
}

static void
rig_run(struct rig *r, uint64_t us)
{
	uint64_t until = r->clock.now_us + us;

	while (sim_next_us(&r->clock) <= until)
		sim_step(&r->clock);
	r->clock.now_us = until;
}

static void
rig_write(struct rig *r, size_t n)
{
	uint32_t words[SIM_TCP_MSS / 4];

	assert_true(r->sent < WRITES_MAX && n % 4 == 0);
	for (size_t i = 0; i < n / 4; i++)
		words[i] = (uint32_t)r->sent;
	r->sent_us[r->sent++] = r->clock.now_us;
	sim_tcp_write(r->tcp, (const uint8_t *)words, n, 0, false);
}

static uint64_t
took_us(const struct rig *r, size_t i)
{
	assert_true(i < r->got);
	return r->got_us[i] - r->sent_us[i];
}

/* The next segment is lost, those after it are not. */
static void
rig_write_lost(struct rig *r, size_t n)
{
	r->line.set[0].on = 0;
	rig_write(r, n);
	r->line.set[0].on = 1;
}

static void
a_segment_takes_the_line_s_delay(void **state)
{
	struct rig *r = rig_new(1);

	(void)state;
	for (int i = 0; i < 50; i++) {
		rig_write(r, 1000);
		rig_run(r, 100 * CLOCK_MS);
		assert_int_equal(took_us(r, r->got - 1), RTT_US / 2);
	}
	rig_free(r);
}

static void
a_lost_segment_with_another_behind_it_costs_a_round_trip_and_an_eighth(void **state)
{
	struct rig *r = rig_new(1);

	(void)state;
	rig_write(r, 1000);
	rig_run(r, CLOCK_S);
	rig_write_lost(r, 1000);
	rig_run(r, 10 * CLOCK_MS);
	rig_write(r, 1000);
	rig_run(r, CLOCK_S);
	/* RACK knows of it a round trip after the later one was sent, and waits srtt / 8 more. */
	assert_in_range(took_us(r, 1), RTT_US * 3 / 2 + RTT_US / 8, RTT_US * 3 / 2 + 21 * CLOCK_MS);
	/* The one behind it was held up, and no longer. */
	assert_int_equal(r->got_us[1], r->got_us[2]);
	rig_free(r);
}

static void
a_lost_segment_alone_waits_for_the_timer(void **state)
{
	struct rig *r = rig_new(1);
	struct sim_tcp_facts f;

	(void)state;
	for (int i = 0; i < 20; i++) {
		rig_write(r, 1000);
		rig_run(r, 200 * CLOCK_MS);
	}
	rig_write_lost(r, 1000);
	rig_run(r, 3 * CLOCK_S);
	sim_tcp_facts(r->tcp, &f);
	/* 200 ms and a round trip, which acknowledgements that are held back make longer. */
	assert_in_range(took_us(r, 20), 200 * CLOCK_MS + RTT_US + RTT_US / 2, 400 * CLOCK_MS);
	assert_int_equal(f.probes + f.timeouts, 1);
	rig_free(r);
}

/* Repetitions at about 0.3, 0.6, 1.2, 2.4, 4.8 s: what was lost at its start comes long after. */
static void
the_back_off_outlives_a_black_out_of_3_s(void **state)
{
	struct rig *r = rig_new(1);

	(void)state;
	rig_write(r, 1000);
	rig_run(r, CLOCK_S);
	r->line.set[0].on = 0;
	rig_write(r, 1000);
	rig_run(r, 3 * CLOCK_S);
	r->line.set[0].on = 1;
	rig_run(r, 10 * CLOCK_S);
	assert_in_range(took_us(r, 1), 4200 * CLOCK_MS, 5500 * CLOCK_MS);
	rig_free(r);
}

static void
what_exceeds_the_first_window_waits_a_round_trip(void **state)
{
	struct rig *r = rig_new(1);

	(void)state;
	for (int i = 0; i < 15; i++)
		rig_write(r, SIM_TCP_MSS);
	rig_run(r, CLOCK_S);
	for (size_t i = 0; i < 10; i++)
		assert_int_equal(took_us(r, i), RTT_US / 2);
	for (size_t i = 10; i < 15; i++)
		assert_int_equal(took_us(r, i), RTT_US / 2 + RTT_US);
	rig_free(r);
}

static void
a_bottleneck_spaces_what_it_takes_and_drops_what_it_cannot(void **state)
{
	struct rig *r = rig_new(1);

	(void)state;
	r->line.set[0].rate_kbit = 1000 * 8; /* 1500 bytes in 1.5 ms */
	r->line.set[0].queue_bytes = 6 * 1500.0;
	for (int i = 0; i < 10; i++)
		rig_write(r, SIM_TCP_MSS);
	rig_run(r, 100 * CLOCK_MS);
	assert_in_range(r->got, 6, 7);
	for (size_t i = 0; i < r->got; i++)
		assert_int_equal(took_us(r, i), RTT_US / 2 + (i + 1) * 1500);
	assert_int_equal(r->line.facts[0].dropped, 10 - r->got);
	rig_run(r, 2 * CLOCK_S);
	assert_int_equal(r->got, 10);
	rig_free(r);
}

static void
every_byte_comes_in_order_whatever_the_line_loses(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct rig *r = rig_new(seed);

		r->line.set[0].loss_pct = r->line.set[1].loss_pct = (double)(seed * 2);
		r->line.set[0].jitter_ms = (double)(seed % 4 * 10);
		for (int i = 0; i < 200; i++) {
			rig_write(r, 4 + 4 * sim_random(&r->clock, 360));
			rig_run(r, sim_random(&r->clock, 100 * CLOCK_MS));
		}
		sim_tcp_write(r->tcp, NULL, 0, 0, true);
		r->line.set[0].loss_pct = r->line.set[1].loss_pct = 0;
		rig_run(r, 300 * CLOCK_S);
		assert_int_equal(r->got, r->sent);
		assert_true(r->ended && !r->dead);
		rig_free(r);
	}
}

static void
what_is_lost_and_repeated_agrees_with_the_line(void **state)
{
	struct rig *r = rig_new(1);
	struct sim_tcp_facts f;

	(void)state;
	r->line.set[0].loss_pct = 2;
	for (int i = 0; i < WRITES_MAX; i++) {
		rig_write(r, 1000);
		rig_run(r, 40 * CLOCK_MS);
	}
	rig_run(r, 10 * CLOCK_S);
	sim_tcp_facts(r->tcp, &f);
	assert_int_equal(r->got, WRITES_MAX);
	assert_in_range(r->line.facts[0].lost, 20, 60);
	/* Each loss is repaired once; a probe that was not needed is rare. */
	assert_in_range(f.repeated, r->line.facts[0].lost, r->line.facts[0].lost + 10);
	rig_free(r);
}

/* -- Two tunnels on it -- */

static struct sim_voice_report
heard(unsigned connections, bool udp, double loss)
{
	struct sim_voice_report report;
	struct sim_cfg cfg;
	struct sim_voice *v;
	struct sim *s;

	sim_cfg_default(&cfg);
	cfg.end[0].connections_max = cfg.end[1].connections_max = connections;
	s = sim_new(&cfg);
	sim_set_rtt(s, 80);
	sim_set_loss(s, loss);
	sim_run(s, 2 * CLOCK_S);
	v = sim_voice_new(s, 20, udp);
	sim_run(s, 5 * CLOCK_S);
	sim_voice_begin(v);
	sim_run(s, 30 * CLOCK_S);
	sim_voice_end(v);
	sim_voice_report(v, 2, &report);
	sim_free(s);
	sim_voice_free(v);
	return report;
}

static void
plain_udp_on_a_line_of_2_percent_loses_2_percent(void **state)
{
	struct sim_voice_report r = heard(1, true, 2);

	(void)state;
	assert_int_equal(r.sent, 2 * 20 * 50 * 30);
	assert_true(r.lost > 0.018 && r.lost < 0.022);
	assert_true(r.late60 == r.lost && r.late100 == r.lost);
	assert_true(r.min_ms == 40 && r.p99_ms == 40);
	assert_true(r.bytes > 199 && r.bytes < 201);
	assert_true(r.mos > 4.1 && r.mos < 4.25);
}

static void
on_a_clean_line_everything_comes_in_time(void **state)
{
	struct sim_voice_report r = heard(8, false, 0);

	(void)state;
	assert_int_equal(r.got, r.sent);
	assert_true(r.late60 == 0 && r.mos > 4.3);
}

static void
voice_over_a_single_connection_breaks_up_at_2_percent(void **state)
{
	struct sim_voice_report r = heard(1, false, 2);

	(void)state;
	assert_true(r.late60 > 0.2);
	assert_true(r.mos < 3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_segment_takes_the_line_s_delay),
		cmocka_unit_test(
		    a_lost_segment_with_another_behind_it_costs_a_round_trip_and_an_eighth),
		cmocka_unit_test(a_lost_segment_alone_waits_for_the_timer),
		cmocka_unit_test(the_back_off_outlives_a_black_out_of_3_s),
		cmocka_unit_test(what_exceeds_the_first_window_waits_a_round_trip),
		cmocka_unit_test(a_bottleneck_spaces_what_it_takes_and_drops_what_it_cannot),
		cmocka_unit_test(every_byte_comes_in_order_whatever_the_line_loses),
		cmocka_unit_test(what_is_lost_and_repeated_agrees_with_the_line),
		cmocka_unit_test(plain_udp_on_a_line_of_2_percent_loses_2_percent),
		cmocka_unit_test(on_a_clean_line_everything_comes_in_time),
		cmocka_unit_test(voice_over_a_single_connection_breaks_up_at_2_percent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
