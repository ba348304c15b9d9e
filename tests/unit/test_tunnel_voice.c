/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tests/unit/voice_lab.h"

/* How voice is gathered, which stream it takes, how many streams there are, and how it is protected. */

static double
batches_per_s(const struct lab *l, unsigned seconds)
{
	struct sim_watch_way way;

	sim_watch_way(l->w, TUNNEL_UP, &way);
	return (double)way.batches / seconds;
}

/* -- Batches -- */

static void
with_one_or_two_calls_a_packet_leaves_at_once(void **state)
{
	(void)state;
	for (unsigned calls = 1; calls <= 2; calls++) {
		struct sim_voice_report r = lab_heard(NULL, LAB_LINE(80), calls, 20);

		assert_int_equal(r.got, r.sent);
		assert_true(r.max_ms == 40);
	}
}

static void
with_more_calls_it_waits_at_most_5_ms_for_company(void **state)
{
	static const unsigned calls[] = { 5, 20, 60 };

	(void)state;
	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
		struct sim_voice_report r = lab_heard(NULL, LAB_LINE(80), calls[i], 5);

		assert_int_equal(r.got, r.sent);
		assert_true(r.max_ms <= 45.1);
	}
}

static void
twenty_calls_need_200_batches_a_second_and_two_hundred_fill_theirs(void **state)
{
	struct lab l = lab_new(NULL, LAB_LINE(20), 20);

	(void)state;
	sim_run(l.s, 5 * CLOCK_S);
	sim_watch_reset(l.w);
	sim_run(l.s, 10 * CLOCK_S);
	assert_true(batches_per_s(&l, 10) <= 210);
	sim_voice_calls(l.v, 200);
	sim_run(l.s, 5 * CLOCK_S);
	sim_watch_reset(l.w);
	sim_run(l.s, 5 * CLOCK_S);
	/* Seven packets of 172 bytes are one segment. */
	assert_true(batches_per_s(&l, 5) <= 10000 / 7 + 20);
	lab_free(&l);
}

/* -- The choice of a stream -- */

/* The line does what the seed says, for so many seconds. */
static void
weather(struct lab *l, unsigned seconds)
{
	for (unsigned i = 0; i < seconds; i++) {
		struct line_set *set = &l->s->line.set[sim_random(&l->s->clock, 2)];

		switch (sim_random(&l->s->clock, 8)) {
		case 0:
			set->loss_pct = (double)sim_random(&l->s->clock, 6);
			break;
		case 1:
			set->loss_pct = 0;
			break;
		case 2:
			set->delay_ms = 10 + (double)sim_random(&l->s->clock, 70);
			break;
		case 3:
			set->jitter_ms = (double)sim_random(&l->s->clock, 30);
			break;
		case 4:
			set->burst_ms = (double)sim_random(&l->s->clock, 120);
			break;
		case 5:
			sim_black(l->s, sim_random(&l->s->clock, 400) * CLOCK_MS);
			break;
		case 6:
			sim_voice_calls(l->v, 5 + (unsigned)sim_random(&l->s->clock, 35));
			break;
		default:
			break;
		}
		set->burst_every_ms = set->burst_ms > 0 ? 1000 : 0;
		sim_run(l->s, CLOCK_S);
	}
}

/* VOFW_SIM_SEEDS=40 makes it a million batches. */
static void
no_voice_goes_behind_unacknowledged_data_while_an_idle_stream_exists(void **state)
{
	struct sim_watch_way way;
	const char *more = getenv("VOFW_SIM_SEEDS");
	uint64_t batches = 0, behind_idle = 0, seeds = more != NULL ? strtoull(more, NULL, 10) : 4;

	(void)state;
	for (uint64_t seed = 1; seed <= seeds; seed++) {
		struct sim_cfg cfg;
		struct lab l;

		sim_cfg_default(&cfg);
		cfg.seed = seed;
		l = lab_new(&cfg, LAB_LINE(60, .loss_pct = 1), 10);
		weather(&l, 60);
		for (int dir = 0; dir < 2; dir++) {
			sim_watch_way(l.w, dir, &way);
			behind_idle += way.behind_idle;
			batches += way.batches;
		}
		lab_free(&l);
	}
	print_message("%llu batches of voice, %llu behind others\n", (unsigned long long)batches,
	    (unsigned long long)behind_idle);
	assert_true(batches > 5000 * seeds);
	/* Some are written in a later moment than that in which they were given to their stream. */
	assert_true(behind_idle <= batches / 50000);
}

static void
on_a_steady_line_hardly_any_voice_goes_behind_anything(void **state)
{
	struct lab l = lab_new(NULL, LAB_LINE(80, .loss_pct = 2), 20);
	struct sim_watch_way way;

	(void)state;
	sim_run(l.s, 15 * CLOCK_S);
	sim_watch_reset(l.w);
	sim_run(l.s, 30 * CLOCK_S);
	sim_watch_way(l.w, TUNNEL_UP, &way);
	assert_true(way.batches > 4500);
	assert_true((double)way.behind < 0.02 * (double)way.batches);
	lab_free(&l);
}

/* -- How many streams -- */

static unsigned
streams(const struct lab *l)
{
	return lab_way(l, TUNNEL_UP).streams;
}

static void
streams_are_few_on_a_clean_line_grow_with_loss_and_shrink_after_it(void **state)
{
	struct lab l = lab_new(NULL, LAB_LINE(80), 20);
	unsigned clean, lossy, opened;

	(void)state;
	sim_run(l.s, 60 * CLOCK_S);
	clean = streams(&l);
	assert_in_range(clean, 2, 10);
	sim_set_loss(l.s, 2);
	sim_run(l.s, 10 * CLOCK_S);
	lossy = streams(&l);
	assert_in_range(lossy, 20, 40);
	opened = l.s->opened_n;
	sim_set_loss(l.s, 0);
	sim_run(l.s, 60 * CLOCK_S);
	assert_in_range(streams(&l), 2, clean + 2);
	/* Letting go opens none. */
	assert_in_range(l.s->opened_n, opened, opened + 4);
	lab_free(&l);
}

static void
a_longer_way_and_more_calls_need_more_streams_up_to_the_cap(void **state)
{
	unsigned last = 0, n;

	(void)state;
	for (unsigned rtt = 20; rtt <= 160; rtt *= 2) {
		struct lab l = lab_new(NULL, LAB_LINE(rtt, .loss_pct = 1), 20);

		sim_run(l.s, 20 * CLOCK_S);
		n = streams(&l);
		assert_true(n >= last);
		last = n;
		lab_free(&l);
	}
	assert_in_range(last, 40, 192);
}

/* -- Loss levels and redundancy -- */

static bool
at_peace(const struct lab *l)
{
	for (int dir = 0; dir < 2; dir++)
		if (lab_way(l, dir).level != 0 ||
		    lab_way(l, dir).redundancy != TUNNEL_REDUNDANCY_NONE)
			return false;
	return true;
}

static void
the_level_is_nought_without_loss_two_with_much_and_nought_again(void **state)
{
	struct lab l = lab_new(NULL, LAB_LINE(80), 20);

	(void)state;
	sim_run(l.s, 20 * CLOCK_S);
	for (int dir = 0; dir < 2; dir++) {
		assert_int_equal(lab_way(&l, dir).level, 0);
		assert_int_equal(lab_way(&l, dir).redundancy, TUNNEL_REDUNDANCY_NONE);
	}
	sim_set_loss(l.s, 4);
	sim_run(l.s, 8 * CLOCK_S);
	for (int dir = 0; dir < 2; dir++) {
		assert_int_equal(lab_way(&l, dir).level, 2);
		assert_int_equal(lab_way(&l, dir).redundancy, TUNNEL_REDUNDANCY_PARITY_2);
	}
	sim_set_loss(l.s, 0);
	for (unsigned seconds = 0; !at_peace(&l); seconds++) {
		assert_true(seconds < 30);
		sim_run(l.s, CLOCK_S);
	}
	lab_free(&l);
}

static void
each_direction_is_protected_for_its_own_loss(void **state)
{
	struct lab l = lab_new(NULL, LAB_LINE(80), 20);

	(void)state;
	l.s->line.set[TUNNEL_UP].loss_pct = 3;
	sim_run(l.s, 20 * CLOCK_S);
	assert_int_equal(lab_way(&l, TUNNEL_UP).level, 2);
	assert_int_equal(lab_way(&l, TUNNEL_DOWN).level, 0);
	assert_int_equal(lab_way(&l, TUNNEL_DOWN).redundancy, TUNNEL_REDUNDANCY_NONE);
	lab_free(&l);
}

static void
the_kind_of_redundancy_follows_the_way_and_the_load(void **state)
{
	static const struct {
		unsigned rtt, calls;
		enum tunnel_redundancy least, most;
	} cases[] = {
		{ 80, 1, TUNNEL_REDUNDANCY_REPEAT_1, TUNNEL_REDUNDANCY_REPEAT_2 },
		{ 160, 2, TUNNEL_REDUNDANCY_REPEAT_1, TUNNEL_REDUNDANCY_REPEAT_2 },
		{ 80, 20, TUNNEL_REDUNDANCY_PARITY_1, TUNNEL_REDUNDANCY_PARITY_2 },
		{ 160, 20, TUNNEL_REDUNDANCY_PARITY_1, TUNNEL_REDUNDANCY_PARITY_2 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct lab l = lab_new(NULL, LAB_LINE(cases[i].rtt, .loss_pct = 2), cases[i].calls);

		sim_run(l.s, 20 * CLOCK_S);
		assert_in_range(lab_way(&l, TUNNEL_UP).redundancy, cases[i].least, cases[i].most);
		lab_free(&l);
	}
}

static void
on_a_short_way_what_is_lost_goes_again_and_nothing_else(void **state)
{
	struct lab l = lab_new(NULL, LAB_LINE(20, .loss_pct = 2), 20);
	const struct tunnel_stats *stats = tunnel_stats(l.s->end[SIM_CLIENT].t);

	(void)state;
	sim_run(l.s, 20 * CLOCK_S);
	assert_int_equal(stats->parity_sent, 0);
	assert_int_equal(stats->media_repeated, 0);
	/* About 4000 batches of five. */
	assert_in_range(stats->media_resent, 4000 * 5 / 100, 4000 * 5 / 10);
	lab_free(&l);
}

/* -- What a listener hears -- */

static void
at_random_loss_it_sounds_better_than_plain_udp(void **state)
{
	static const struct {
		unsigned calls, rtt;
		double loss, margin;
	} cases[] = {
		{ 1, 20, 1, 0 },
		{ 1, 20, 5, 0.15 },
		{ 1, 80, 0.5, 0 },
		{ 1, 80, 2, 0.15 },
		{ 1, 160, 1, 0 },
		{ 1, 160, 5, 0.15 },
		{ 20, 20, 0.5, 0 },
		{ 20, 20, 2, 0.15 },
		{ 20, 80, 1, 0 },
		{ 20, 80, 5, 0.15 },
		{ 20, 160, 0.5, 0 },
		{ 20, 160, 2, 0.15 },
		{ 20, 160, 5, 0.15 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const struct line_set *line = LAB_LINE(cases[i].rtt, .loss_pct = cases[i].loss);
		struct sim_voice_report t = lab_heard(NULL, line, cases[i].calls, 20),
					u = lab_heard_udp(line, cases[i].calls, 20);

		if (t.mos < u.mos + cases[i].margin)
			print_message("%u calls, %u ms, %.1f %%: %.2f, UDP %.2f\n", cases[i].calls,
			    cases[i].rtt, cases[i].loss, t.mos, u.mos);
		assert_true(t.mos >= u.mos + cases[i].margin);
	}
}

static void
at_twenty_calls_hardly_a_packet_is_late(void **state)
{
	(void)state;
	for (unsigned rtt = 20; rtt <= 160; rtt *= 2)
		assert_true(lab_heard(NULL, LAB_LINE(rtt, .loss_pct = 2), 20, 20).late60 <= 0.003);
}

static void
on_a_clean_line_it_takes_no_more_bytes_than_plain_udp(void **state)
{
	(void)state;
	for (unsigned rtt = 20; rtt <= 80; rtt *= 2)
		assert_true(lab_heard(NULL, LAB_LINE(rtt), 20, 10).bytes <= 200);
	assert_true(lab_heard(NULL, LAB_LINE(80), 200, 2).bytes <= 200);
}

static void
one_call_on_a_clean_line_takes_at_most_1_4_times_as_many(void **state)
{
	(void)state;
	for (unsigned rtt = 20; rtt <= 160; rtt *= 2)
		assert_true(lab_heard(NULL, LAB_LINE(rtt), 1, 20).bytes <= 1.4 * 200);
}

static void
at_5_percent_it_takes_at_most_1_6_times_as_many(void **state)
{
	(void)state;
	for (unsigned rtt = 20; rtt <= 160; rtt *= 2)
		assert_true(lab_heard(NULL, LAB_LINE(rtt, .loss_pct = 5), 20, 20).bytes <=
		    1.6 * 200);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(with_one_or_two_calls_a_packet_leaves_at_once),
		cmocka_unit_test(with_more_calls_it_waits_at_most_5_ms_for_company),
		cmocka_unit_test(
		    twenty_calls_need_200_batches_a_second_and_two_hundred_fill_theirs),
		cmocka_unit_test(
		    no_voice_goes_behind_unacknowledged_data_while_an_idle_stream_exists),
		cmocka_unit_test(on_a_steady_line_hardly_any_voice_goes_behind_anything),
		cmocka_unit_test(
		    streams_are_few_on_a_clean_line_grow_with_loss_and_shrink_after_it),
		cmocka_unit_test(a_longer_way_and_more_calls_need_more_streams_up_to_the_cap),
		cmocka_unit_test(the_level_is_nought_without_loss_two_with_much_and_nought_again),
		cmocka_unit_test(each_direction_is_protected_for_its_own_loss),
		cmocka_unit_test(the_kind_of_redundancy_follows_the_way_and_the_load),
		cmocka_unit_test(on_a_short_way_what_is_lost_goes_again_and_nothing_else),
		cmocka_unit_test(at_random_loss_it_sounds_better_than_plain_udp),
		cmocka_unit_test(at_twenty_calls_hardly_a_packet_is_late),
		cmocka_unit_test(on_a_clean_line_it_takes_no_more_bytes_than_plain_udp),
		cmocka_unit_test(one_call_on_a_clean_line_takes_at_most_1_4_times_as_many),
		cmocka_unit_test(at_5_percent_it_takes_at_most_1_6_times_as_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
