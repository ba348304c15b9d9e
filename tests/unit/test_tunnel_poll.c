/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/err.h"
#include "tests/support/alone.h"
#include "tests/unit/voice_lab.h"

/* Streams that end with their first burst, over a line that is simulated. */

static struct sim_cfg
bounded(bool up, bool down)
{
	struct sim_cfg cfg;

	sim_cfg_default(&cfg);
	cfg.bounded[TUNNEL_UP] = up;
	cfg.bounded[TUNNEL_DOWN] = down;
	return cfg;
}

static bool
is_up(const struct sim *s)
{
	return s->end[SIM_CLIENT].state == TUNNEL_UP_STATE &&
	    s->end[SIM_SERVER].state == TUNNEL_UP_STATE;
}

static uint64_t
line_bytes(const struct sim *s)
{
	return s->line.facts[0].bytes + s->line.facts[1].bytes;
}

/* -- Voice -- */

struct ask {
	unsigned calls;
	double rtt_ms, loss_pct;
	double late_max; /* share that is late by 60 ms, or missing */
	double above_ms; /* p50 above half the round trip */
};

static void
hear(const struct sim_cfg *cfg, const struct ask *a)
{
	struct sim_voice_report r =
	    lab_heard(cfg, LAB_LINE(a->rtt_ms, .loss_pct = a->loss_pct), a->calls, 20);

	printf("%s%s %3u calls, RTT %3.0f ms, loss %g %%: late or missing %.2f %%, p50 %.0f ms, "
	       "p99 %.0f ms, %.0f bytes a packet\n",
	    cfg->bounded[TUNNEL_UP] ? "up" : "  ", cfg->bounded[TUNNEL_DOWN] ? " down" : "     ",
	    a->calls, a->rtt_ms, a->loss_pct, 100 * r.late60, r.p50_ms, r.p99_ms, r.bytes);
	assert_true(r.late60 <= a->late_max);
	assert_true(r.p50_ms <= a->rtt_ms / 2 + a->above_ms);
}

static void
voice_comes_half_a_round_trip_and_10_ms_later_at_most_and_all_of_it(void **state)
{
	static const struct ask asks[] = {
		{ 1, 20, 0, 0, 0.5 },
		{ 1, 80, 0, 0, 0.5 },
		{ 1, 160, 0, 0, 0.5 },
		{ 20, 20, 0, 0, 10 },
		{ 20, 80, 0, 0, 10 },
		{ 20, 160, 0, 0, 10 },
	};
	struct sim_cfg cfg = bounded(true, true);

	(void)state;
	for (size_t i = 0; i < sizeof(asks) / sizeof(*asks); i++)
		hear(&cfg, &asks[i]);
}

static void
of_a_line_that_loses_2_percent_little_is_heard(void **state)
{
	static const struct ask asks[] = {
		{ 1, 20, 2, 0.004, 0.5 },
		{ 1, 80, 2, 0.004, 0.5 },
		{ 1, 160, 2, 0.004, 0.5 },
		{ 20, 20, 2, 0.004, 10 },
		{ 20, 80, 2, 0.004, 10 },
		{ 20, 160, 2, 0.008, 10 },
	};
	struct sim_cfg cfg = bounded(true, true);

	(void)state;
	for (size_t i = 0; i < sizeof(asks) / sizeof(*asks); i++)
		hear(&cfg, &asks[i]);
}

static void
one_direction_may_be_bounded_and_the_other_not(void **state)
{
	static const struct ask asks[] = { { 1, 40, 0, 0, 0.5 }, { 20, 80, 0, 0, 10 },
		{ 20, 80, 2, 0.008, 10 } };
	struct sim_cfg up = bounded(true, false), down = bounded(false, true);

	(void)state;
	for (size_t i = 0; i < sizeof(asks) / sizeof(*asks); i++) {
		hear(&up, &asks[i]);
		hear(&down, &asks[i]);
	}
}

static void
requests_at_a_time_are_few_dozen_however_many_calls_there_are(void **state)
{
	struct sim_cfg cfg = bounded(true, true);
	struct lab l = lab_new(&cfg, LAB_LINE(160), 200);

	(void)state;
	for (unsigned i = 0; i < 200; i++) {
		sim_run(l.s, 50 * CLOCK_MS);
		/* What is overdue is not counted by the rule, but is there. */
		for (int dir = 0; dir < 2; dir++)
			assert_in_range(lab_line(&l, SIM_CLIENT).way[dir].streams, 1, 64);
	}
	for (int dir = 0; dir < 2; dir++)
		assert_in_range(lab_line(&l, SIM_CLIENT).way[dir].streams, 24, 49);
	lab_free(&l);
}

/* -- Rest -- */

static void
without_calls_500_bytes_a_second_are_not_reached(void **state)
{
	(void)state;
	for (unsigned which = 1; which < 4; which++) {
		struct sim_cfg cfg = bounded(which & 1, which & 2);
		struct sim *s = sim_new(&cfg);
		uint64_t before;

		sim_set_loss(s, which - 1);
		sim_run(s, 10 * CLOCK_S);
		before = line_bytes(s);
		for (unsigned i = 0; i < 600; i++) {
			sim_run(s, CLOCK_S);
			assert_true(is_up(s));
		}
		printf("%s%s: %.0f bytes a second\n", which & 1 ? "up" : "",
		    which & 2 ? " down" : "", (double)(line_bytes(s) - before) / 600);
		assert_in_range(line_bytes(s) - before, 1, 600 * 500);
		if (which == 1) /* and nothing is lost */
			assert_int_equal(s->end[SIM_CLIENT].aborted_dead +
				s->end[SIM_SERVER].aborted_dead,
			    0);
		sim_free(s);
	}
}

static void
a_held_call_is_no_reason_to_take_the_line_for_dead(void **state)
{
	struct sim_cfg cfg = bounded(true, true);
	struct sim *s = sim_new(&cfg);

	(void)state;
	sim_set_loss(s, 2);
	sim_run(s, 2 * CLOCK_S);
	sim_busy(s, true);
	for (unsigned i = 0; i < 120; i++) {
		sim_run(s, CLOCK_S);
		assert_true(is_up(s));
	}
	/* Six a second do. */
	assert_in_range(s->opened_n, 120 * 2, 120 * 10);
	sim_free(s);
}

static void
the_tunnel_is_up_after_a_handshake_and_two_round_trips(void **state)
{
	struct sim_cfg cfg = bounded(true, true);
	struct sim *s = sim_new(&cfg);

	(void)state;
	sim_set_rtt(s, 80);
	sim_run(s, 3 * 80 * CLOCK_MS + CLOCK_MS);
	assert_true(is_up(s));
	sim_free(s);
}

/* What was said in the bodies that are held back is said again. */
static void
when_bodies_are_held_back_it_is_up_a_moment_after_that_is_known(void **state)
{
	(void)state;
	for (unsigned which = 1; which < 4; which++) {
		struct sim_cfg cfg = bounded(false, false);
		struct sim *s;

		cfg.holds[TUNNEL_UP] = which & 1;
		cfg.holds[TUNNEL_DOWN] = which & 2;
		s = sim_new(&cfg);
		sim_send(s, SIM_CLIENT, 500);
		sim_run(s, 800 * CLOCK_MS);
		assert_false(is_up(s));
		for (enum tunnel_dir dir = TUNNEL_UP; dir <= TUNNEL_DOWN; dir++)
			tunnel_set_bounded(s->end[SIM_CLIENT].t, dir, cfg.holds[dir],
			    sim_now_us(s));
		s->end[SIM_CLIENT].touched = true;
		sim_run(s, 200 * CLOCK_MS);
		assert_true(is_up(s));
		assert_int_equal(s->end[SIM_SERVER].reliable_got, 1);
		for (unsigned i = 0; i < 300; i++) {
			sim_run(s, 100 * CLOCK_MS);
			assert_true(is_up(s));
		}
		sim_free(s);
	}
}

static void
a_tunnel_without_a_stream_that_lasts_gets_its_new_keys_too(void **state)
{
	struct sim_cfg cfg = bounded(true, true);
	struct sim *s;

	(void)state;
	cfg.datagrams = true; /* for the sake of the seal: none comes through */
	cfg.end[SIM_CLIENT].rekey_age_us = 10 * CLOCK_S;
	s = sim_new(&cfg);
	s->udp_blocked = true;
	sim_run(s, 65 * CLOCK_S);
	assert_true(is_up(s));
	for (int side = 0; side < 2; side++)
		assert_in_range(tunnel_stats(s->end[side].t)->rekeys, 5, 6);
	assert_int_equal(s->end[SIM_CLIENT].broken + s->end[SIM_SERVER].broken, 0);
	sim_free(s);
}

/* -- Trouble -- */

static void
after_a_cut_voice_is_back_as_soon_as_with_streams(void **state)
{
	(void)state;
	for (unsigned which = 1; which < 4; which++)
		for (unsigned ms = 100; ms <= 3000; ms += 725) {
			struct sim_cfg cfg = bounded(which & 1, which & 2);
			struct lab l = lab_new(&cfg, LAB_LINE(40), 5);
			uint64_t since, took;

			sim_run(l.s, 5 * CLOCK_S);
			sim_black(l.s, ms * CLOCK_MS);
			since = sim_now_us(l.s) + ms * CLOCK_MS;
			sim_run(l.s, 8 * CLOCK_S);
			took = sim_voice_recovery_us(l.v, since);
			printf("%s%s: nothing passes for %u ms, and %.0f ms later voice is back\n",
			    which & 1 ? "up" : "", which & 2 ? " down" : "", ms,
			    (double)took / 1e3);
			assert_in_range(took, 0, 300 * CLOCK_MS);
			since = sim_now_us(l.s);
			sim_cut_all(l.s);
			sim_run(l.s, 3 * CLOCK_S);
			assert_in_range(sim_voice_recovery_us(l.v, since), 0, 250 * CLOCK_MS);
			lab_free(&l);
		}
}

/* The line does what the seed says. */
static void
trouble(struct sim *s)
{
	switch (sim_random(&s->clock, 24)) {
	case 0:
		sim_cut_all(s);
		break;
	case 1:
		sim_black(s, sim_random(&s->clock, 2000) * CLOCK_MS);
		break;
	case 2:
		s->refuse = !s->refuse;
		break;
	case 3:
		tunnel_kick(s->end[SIM_CLIENT].t, sim_now_us(s));
		s->end[SIM_CLIENT].touched = true;
		break;
	case 4:
		/* To another rung and back, in mid-call. */
		tunnel_set_bounded(s->end[SIM_CLIENT].t, sim_random(&s->clock, 2),
		    sim_random(&s->clock, 2), sim_now_us(s));
		s->end[SIM_CLIENT].touched = true;
		break;
	case 5:
		sim_busy(s, sim_random(&s->clock, 2));
		break;
	default:
		break;
	}
}

static void
reliable_frames_come_once_and_in_order_through_all_of_it(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 12; seed++) {
		struct sim_cfg cfg = bounded(seed & 1, seed & 2);
		struct sim *s;

		cfg.seed = seed;
		cfg.tls = seed & 4;
		s = sim_new(&cfg);
		sim_set_loss(s, (double)(seed % 4));
		for (unsigned i = 0; i < 400; i++) {
			sim_send(s, (int)sim_random(&s->clock, 2),
			    12 + sim_random(&s->clock, 4000));
			trouble(s);
			sim_run(s, sim_random(&s->clock, 300 * CLOCK_MS));
		}
		s->refuse = false;
		sim_set_loss(s, 0);
		sim_run(s, 30 * CLOCK_S);
		/* That they come in order the simulation sees to. */
		for (int side = 0; side < 2; side++) {
			assert_int_equal(s->end[side].reliable_sent, s->end[!side].reliable_got);
			assert_int_equal(s->end[side].broken, 0);
		}
		assert_true(is_up(s));
		sim_free(s);
	}
}

static void
a_call_goes_on_while_the_kind_of_stream_changes(void **state)
{
	struct sim_cfg cfg = bounded(false, false);
	struct lab l = lab_new(&cfg, LAB_LINE(40), 5);
	struct sim_voice_report r;

	(void)state;
	sim_run(l.s, 5 * CLOCK_S);
	sim_voice_begin(l.v);
	for (unsigned i = 0; i < 8; i++) {
		for (enum tunnel_dir dir = TUNNEL_UP; dir <= TUNNEL_DOWN; dir++)
			tunnel_set_bounded(l.s->end[SIM_CLIENT].t, dir, i % 2 == 0,
			    sim_now_us(l.s));
		l.s->end[SIM_CLIENT].touched = true;
		sim_run(l.s, 3 * CLOCK_S);
		for (int dir = 0; dir < 2; dir++)
			assert_true(lab_way(&l, dir).bounded == (i % 2 == 0));
	}
	sim_voice_end(l.v);
	sim_voice_report(l.v, 2, &r);
	printf("changed eight times: late or missing %.2f %%, p99 %.0f ms\n", 100 * r.late60,
	    r.p99_ms);
	assert_true(r.late60 < 0.01);
	lab_free(&l);
}

static void
a_proxy_that_refuses_what_is_too_much_is_asked_for_less(void **state)
{
	struct sim_cfg cfg = bounded(true, true);
	struct sim_voice_report r;
	struct lab l;

	(void)state;
	cfg.proxy_max = 8;
	l = lab_new(&cfg, LAB_LINE(40), 1);
	sim_run(l.s, 5 * CLOCK_S);
	r = lab_hear(&l, 20);
	assert_true(r.late60 < 0.02);
	lab_free(&l);
}

/* -- One end alone -- */

static void
a_burst_is_all_that_waits_and_its_end(void **state)
{
	const struct tunnel_request get = { .dir = TUNNEL_DOWN, .serial = 9, .bounded = true };
	struct tunnel_request r = get;
	struct tunnel_stream *s;
	uint8_t out[8192];
	struct alone a;
	long n;

	(void)state;
	alone_new(&a);
	alone_request_of(&r);
	assert_true(r.bounded);
	assert_int_equal(tunnel_stream_accept(a.t, &r, NULL, 1, &s), 0);
	assert_true(tunnel_stream_bounded(s));
	assert_int_equal(tunnel_output(a.t, s, out, sizeof(out), 1), 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(tunnel_send(a.t, 9, "payload", 7, 2), 0);
	tunnel_flush(a.t, 2);
	n = tunnel_output(a.t, s, out, sizeof(out), 3);
	assert_in_range(n, 8 + 3 * 7, 120);
	/* END closes it. */
	assert_memory_equal(out + n - 2, "\5\0", 2);
	assert_int_equal(tunnel_output(a.t, s, out, sizeof(out), 3), TUNNEL_OUTPUT_END);
	tunnel_stream_gone(a.t, s, TUNNEL_WHY_ORDERLY, 4);
	tunnel_free(a.t);
}

static void
the_kind_of_a_stream_is_part_of_what_its_mac_proves(void **state)
{
	struct tunnel_request r = { .dir = TUNNEL_DOWN, .serial = 9, .bounded = true };
	struct tunnel_stream *s;
	struct alone a;

	(void)state;
	alone_new(&a);
	alone_request_of(&r);
	r.bounded = false;
	assert_int_equal(tunnel_stream_accept(a.t, &r, NULL, 1, &s), ERR_AUTH);
	tunnel_free(a.t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    voice_comes_half_a_round_trip_and_10_ms_later_at_most_and_all_of_it),
		cmocka_unit_test(of_a_line_that_loses_2_percent_little_is_heard),
		cmocka_unit_test(one_direction_may_be_bounded_and_the_other_not),
		cmocka_unit_test(requests_at_a_time_are_few_dozen_however_many_calls_there_are),
		cmocka_unit_test(without_calls_500_bytes_a_second_are_not_reached),
		cmocka_unit_test(a_held_call_is_no_reason_to_take_the_line_for_dead),
		cmocka_unit_test(the_tunnel_is_up_after_a_handshake_and_two_round_trips),
		cmocka_unit_test(when_bodies_are_held_back_it_is_up_a_moment_after_that_is_known),
		cmocka_unit_test(a_tunnel_without_a_stream_that_lasts_gets_its_new_keys_too),
		cmocka_unit_test(after_a_cut_voice_is_back_as_soon_as_with_streams),
		cmocka_unit_test(reliable_frames_come_once_and_in_order_through_all_of_it),
		cmocka_unit_test(a_call_goes_on_while_the_kind_of_stream_changes),
		cmocka_unit_test(a_proxy_that_refuses_what_is_too_much_is_asked_for_less),
		cmocka_unit_test(a_burst_is_all_that_waits_and_its_end),
		cmocka_unit_test(the_kind_of_a_stream_is_part_of_what_its_mac_proves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
