/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "vcit/room.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))
#define START_US (1ULL << 40) /* of the fake clock */

/* A tunnel whose calls all send alike, sampled each second by hand. */
struct tunnel {
	struct room r;
	struct room_sample s;
	struct room_load load;
	uint64_t now_us;
	unsigned kbit[2]; /* of IP traffic, of each call that is up */
};

static struct tunnel
tunnel_of(bool measured, uint32_t cap_kbit)
{
	struct tunnel t = {
		.now_us = START_US, .s = { .session = 1, .cap_kbit = cap_kbit }, .kbit = { 80, 80 }
	};

	room_init(&t.r, measured);
	room_sample(&t.r, &t.s, &t.load, t.now_us);
	return t;
}

static void
second(struct tunnel *t)
{
	t->now_us += CLOCK_S;
	for (int dir = 0; dir < 2; dir++)
		t->s.bytes[dir] += t->load.up * t->kbit[dir] * 125;
	room_sample(&t->r, &t->s, &t->load, t->now_us);
}

static void
seconds(struct tunnel *t, unsigned n)
{
	while (n-- > 0)
		second(t);
}

static void
congest(struct tunnel *t, unsigned n)
{
	t->s.congested[1] = true;
	seconds(t, n);
	t->s.congested[1] = false;
}

static enum room_answer
ask(const struct tunnel *t)
{
	return room_ask(&t->r, &t->load, 1);
}

/* -- Bandwidth -- */

static void
a_call_needs_100_kbit_as_long_as_nothing_is_known(void **state)
{
	struct tunnel t = tunnel_of(true, 300);

	(void)state;
	for (t.load.early = 0; t.load.early < 3; t.load.early++)
		assert_int_equal(ask(&t), ROOM_YES);
	assert_int_equal(ask(&t), ROOM_NO_BANDWIDTH);
	t.load = (struct room_load){ .up = 1, .held = 1, .early = 1 };
	assert_int_equal(ask(&t), ROOM_NO_BANDWIDTH);
	t.load.held = 0;
	assert_int_equal(ask(&t), ROOM_YES);
}

static void
without_a_cap_nothing_is_refused_for_bandwidth(void **state)
{
	struct tunnel t = tunnel_of(true, 0);

	(void)state;
	t.load.up = 5000;
	seconds(&t, 60);
	assert_int_equal(ask(&t), ROOM_YES);
}

static void
a_tunnel_without_calls_takes_one_whatever_its_size(void **state)
{
	struct tunnel t = tunnel_of(true, 1);

	(void)state;
	assert_int_equal(room_ask(&t.r, &t.load, 2), ROOM_YES);
	t.load.early = 1;
	assert_int_equal(ask(&t), ROOM_NO_BANDWIDTH);
}

/* Calls come as fast as they are let in; how many there are in the end. */
static size_t
fill(struct tunnel *t, unsigned minutes)
{
	for (unsigned i = 0; i < minutes * 60; i++) {
		if (ask(t) == ROOM_YES)
			t->load.up++;
		second(t);
	}
	return t->load.up;
}

static void
the_cap_is_filled_by_what_calls_really_use_and_not_passed(void **state)
{
	static const struct {
		unsigned up, down, cap, calls;
	} cases[] = {
		{ 80, 80, 2000, 25 }, { 30, 30, 2000, 66 },
		{ 30, 95, 2000, 21 }, /* the greater direction counts */
		{ 95, 30, 2000, 21 }, { 90, 90, 91, 1 }, { 64, 64, 100000, 1562 },
		{ 200, 200, 2000, 10 }, /* wideband, video: more than was thought */
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct tunnel t = tunnel_of(true, cases[i].cap);
		size_t calls;

		t.kbit[0] = cases[i].up;
		t.kbit[1] = cases[i].down;
		calls = fill(&t, 60);
		if (calls > cases[i].calls || calls < cases[i].calls - cases[i].calls / 20)
			fail_msg("case %zu: %zu calls", i, calls);
		assert_true(t.r.kbit[0] <= cases[i].cap && t.r.kbit[1] <= cases[i].cap);
	}
}

static void
headers_of_batches_and_their_acknowledgements_are_traffic(void **state)
{
	struct tunnel t = tunnel_of(true, 0);

	(void)state;
	for (int i = 0; i < 30; i++) {
		t.s.bytes[0] += 1000;
		t.s.batches[0] += 10;
		second(&t);
	}
	/* 1000 B and ten times 60 B up; ten times 52 B down. */
	assert_true(t.r.kbit[0] > 12.79 && t.r.kbit[0] < 12.81);
	assert_true(t.r.kbit[1] > 4.15 && t.r.kbit[1] < 4.17);
}

static void
silent_and_held_calls_keep_their_places(void **state)
{
	struct tunnel t = tunnel_of(true, 800);

	(void)state;
	t.load.up = 8;
	seconds(&t, 300);
	assert_true(t.r.need[0] < 85);
	t.load = (struct room_load){ .up = 2, .held = 7 };
	t.kbit[0] = t.kbit[1] = 0;
	seconds(&t, 3600);
	assert_int_equal(ask(&t), ROOM_NO_BANDWIDTH);
	t.load.held = 6;
	assert_int_equal(ask(&t), ROOM_YES);
}

static void
a_cap_that_changes_counts_from_the_next_sample(void **state)
{
	struct tunnel t = tunnel_of(true, 0);

	(void)state;
	t.load.up = 20;
	seconds(&t, 10);
	assert_int_equal(ask(&t), ROOM_YES);
	t.s.cap_kbit = 1000;
	second(&t);
	assert_int_equal(ask(&t), ROOM_NO_BANDWIDTH);
}

static void
counters_of_a_new_session_begin_anew(void **state)
{
	struct tunnel t = tunnel_of(true, 1000);

	(void)state;
	t.load.up = 5;
	seconds(&t, 30);
	t.s = (struct room_sample){ .session = 2, .cap_kbit = 1000 };
	second(&t);
	assert_true(t.r.kbit[0] == 0);
	seconds(&t, 30);
	assert_true(t.r.kbit[0] > 399 && t.r.kbit[0] < 401);
	t.s = (struct room_sample){ .cap_kbit = 1000 }; /* none now */
	seconds(&t, 3);
	assert_true(t.r.kbit[0] == 0 && t.r.kbit[1] == 0);
}

/* -- The line -- */

static void
congestion_of_three_seconds_lets_nobody_in(void **state)
{
	struct tunnel t = tunnel_of(true, 0);

	(void)state;
	t.load.up = 10;
	seconds(&t, 10);
	t.s.congested[0] = true;
	seconds(&t, 3);
	assert_int_equal(ask(&t), ROOM_YES);
	second(&t);
	assert_int_equal(ask(&t), ROOM_NO_CONGESTED);
	t.load.up = 3;
	assert_int_equal(ask(&t), ROOM_NO_CONGESTED);
	t.load.up = 0;
	assert_int_equal(ask(&t), ROOM_YES);
}

static void
a_short_congestion_is_none(void **state)
{
	struct tunnel t = tunnel_of(true, 0);

	(void)state;
	t.load.up = 10;
	for (int i = 0; i < 100; i++) {
		congest(&t, 3);
		seconds(&t, 1);
		assert_int_equal(ask(&t), ROOM_YES);
	}
	for (int i = 0; i < 100; i++) { /* one direction after the other */
		t.s.congested[i % 2] = true;
		t.s.congested[1 - i % 2] = false;
		second(&t);
		assert_int_equal(ask(&t), ROOM_YES);
	}
	assert_int_equal(t.r.ceiling, 0);
}

static void
one_call_less_than_at_its_onset_is_the_ceiling(void **state)
{
	struct tunnel t = tunnel_of(true, 0);

	(void)state;
	t.load.up = 20;
	seconds(&t, 10);
	t.load.up = 21;
	second(&t);
	congest(&t, 4);
	assert_int_equal(t.r.ceiling, 20);
	t.load.up = 20;
	second(&t);
	assert_int_equal(ask(&t), ROOM_NO_CEILING);
	t.load.up = 19;
	assert_int_equal(ask(&t), ROOM_YES);
	assert_int_equal(room_ask(&t.r, &t.load, 2), ROOM_NO_CEILING);
	t.load.early = 1;
	assert_int_equal(ask(&t), ROOM_NO_CEILING);
}

static void
a_burst_of_calls_is_judged_again_as_it_ends(void **state)
{
	struct tunnel t = tunnel_of(true, 0);

	(void)state;
	t.load.up = 30;
	congest(&t, 4);
	assert_int_equal(t.r.ceiling, 29);
	while (t.load.up > 21) {
		t.load.up--;
		congest(&t, 11);
	}
	assert_true(t.r.ceiling >= 20 && t.r.ceiling <= 21);
}

static void
one_call_is_always_within_the_ceiling(void **state)
{
	struct tunnel t = tunnel_of(true, 0);

	(void)state;
	t.load.up = 1;
	congest(&t, 100);
	assert_int_equal(t.r.ceiling, 1);
	t.load.up = 0;
	second(&t);
	assert_int_equal(ask(&t), ROOM_YES);
	t.load.up = 1;
	second(&t);
	assert_int_equal(ask(&t), ROOM_NO_CEILING);
}

static void
a_plain_number_of_calls_is_not_measured(void **state)
{
	struct tunnel t = tunnel_of(false, 0);

	(void)state;
	t.load.up = 10;
	congest(&t, 60);
	assert_int_equal(ask(&t), ROOM_YES);
	assert_int_equal(t.r.ceiling, 0);
}

static void
the_ceiling_rises_only_where_it_is_reached(void **state)
{
	struct tunnel t = tunnel_of(true, 0);

	(void)state;
	t.load.up = 11;
	congest(&t, 4);
	t.load.up = 9;
	seconds(&t, 600);
	assert_int_equal(t.r.ceiling, 10);
	t.load.up = 10;
	seconds(&t, 29);
	assert_int_equal(t.r.ceiling, 10);
	second(&t);
	assert_int_equal(t.r.ceiling, 11);
	seconds(&t, 600);
	assert_int_equal(t.r.ceiling, 11);
}

static void
a_line_that_grew_is_found_ever_faster(void **state)
{
	struct tunnel t = tunnel_of(true, 0);
	size_t at_5_min;

	(void)state;
	t.load.up = 11;
	congest(&t, 4);
	t.load.up = 10;
	at_5_min = fill(&t, 5);
	assert_true(at_5_min >= 19 && at_5_min <= 21);
	assert_true(fill(&t, 10) >= at_5_min + 10 * 2 + 10 * 3);
}

static void
a_rise_in_vain_doubles_the_wait_for_the_next(void **state)
{
	struct tunnel t = tunnel_of(true, 0);
	unsigned wait_s = 30;

	(void)state;
	t.load.up = 11;
	congest(&t, 4);
	for (int i = 0; i < 10; i++) {
		t.load.up = 10;
		seconds(&t, wait_s - 1);
		assert_int_equal(t.r.ceiling, 10);
		second(&t);
		assert_int_equal(t.r.ceiling, 11);
		t.load.up = 11;
		congest(&t, 4);
		assert_int_equal(t.r.ceiling, 10);
		wait_s = wait_s * 2 < 600 ? wait_s * 2 : 600;
	}
}

static void
a_ceiling_is_forgotten_after_half_an_hour_of_quiet(void **state)
{
	struct tunnel t = tunnel_of(true, 0);

	(void)state;
	t.load.up = 11;
	congest(&t, 4);
	t.load.up = 5;
	seconds(&t, 1799);
	assert_int_equal(t.r.ceiling, 10);
	seconds(&t, 2);
	assert_int_equal(t.r.ceiling, 0);
	t.load.up = 500;
	assert_int_equal(ask(&t), ROOM_YES);
}

static void
a_ceiling_is_forgotten_with_its_session_but_a_cut_keeps_it(void **state)
{
	struct tunnel t = tunnel_of(true, 0);

	(void)state;
	t.load.up = 11;
	congest(&t, 4);
	t.s.session = 0;
	second(&t);
	assert_int_equal(t.r.ceiling, 10);
	t.s.session = 2;
	second(&t);
	assert_int_equal(t.r.ceiling, 0);
}

static void
the_reason_is_told_in_words(void **state)
{
	struct tunnel t = tunnel_of(true, 850);
	char text[ROOM_TEXT_MAX];

	(void)state;
	t.load.up = 10;
	seconds(&t, 120);
	assert_string_equal(room_text(&t.r, ask(&t), &t.load, t.now_us, text),
	    "its 10 calls need 830 kbit/s up and 830 down of the 850 of bandwidth_max");
	t.s.cap_kbit = 0;
	congest(&t, 4);
	assert_string_equal(room_text(&t.r, ask(&t), &t.load, t.now_us, text),
	    "its line is congested now, with 10 calls");
	seconds(&t, 7);
	assert_string_equal(room_text(&t.r, ask(&t), &t.load, t.now_us, text),
	    "its line is trusted with 9 calls: it was congested with 10, 7 s ago");
}

/* -- A line that carries K calls, and more people than that who want to talk -- */

struct line {
	struct tunnel t;
	unsigned carries;
	double backlog;         /* of what calls beyond that sent, in call-seconds */
	bool full;              /* the backlog shows, until it has nearly gone */
	unsigned ends_s[4096];  /* of each call */
	unsigned rings_s[4096]; /* until when it is not answered */
	unsigned n, now_s;
	uint64_t seed;
	unsigned asked, refused, refused_below; /* after the first congestion has been digested */
	unsigned over_s, carried_s, judged_s;
};

static double
drawn(struct line *l)
{
	l->seed = l->seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (double)(l->seed >> 11) / (double)(1ULL << 53);
}

static void
line_calls_end(struct line *l)
{
	l->t.load = (struct room_load){ 0 };
	for (unsigned i = 0; i < l->n;) {
		if (l->ends_s[i] <= l->now_s) {
			l->n--;
			l->ends_s[i] = l->ends_s[l->n];
			l->rings_s[i] = l->rings_s[l->n];
			continue;
		}
		if (l->rings_s[i] > l->now_s)
			l->t.load.early++;
		else
			l->t.load.up++;
		i++;
	}
}

static void
line_caller(struct line *l, bool judged)
{
	bool yes = ask(&l->t) == ROOM_YES;

	l->asked += judged;
	l->refused += judged && !yes;
	/* A call more than is up would still be carried well, and nothing is full. */
	l->refused_below += judged && !yes && !l->full && l->n + 1 <= l->carries;
	if (!yes || l->n == N(l->ends_s))
		return;
	l->rings_s[l->n] = l->now_s + 2 + (unsigned)(drawn(l) * 10);
	l->ends_s[l->n] = l->rings_s[l->n] + (unsigned)(60 + drawn(l) * 240);
	l->n++;
	l->t.load.early++;
}

static void
line_second(struct line *l, double callers, bool judged)
{
	l->now_s++;
	line_calls_end(l);
	for (; callers > 0 && drawn(l) < callers; callers -= 1)
		line_caller(l, judged);
	l->backlog += (double)l->t.load.up - (double)l->carries - 0.3;
	if (l->backlog < 0)
		l->backlog = 0;
	if (l->backlog > 2)
		l->backlog = 2; /* what is older is dropped */
	l->full = l->backlog > (l->full ? 0.2 : 0.6);
	l->t.s.congested[1] = l->full;
	second(&l->t);
	if (!judged)
		return;
	l->judged_s++;
	l->over_s += l->t.load.up > l->carries;
	l->carried_s += (unsigned)l->t.load.up;
}

/* `load`: how many would talk at once if all were let in, in units of what the line carries. */
static void
run_line(unsigned carries, double load, uint64_t seed)
{
	static struct line l;
	double callers = load * carries / 186.0; /* mean of a call with its ringing */

	l = (struct line){ .carries = carries, .seed = seed, .t = tunnel_of(true, 0) };
	for (unsigned s = 0; s < 8 * 3600; s++)
		line_second(&l, callers, s >= 3600);
	/* A small line is tried, in vain, as often as a great one, and for a whole call each time. */
	assert_true(l.over_s * (carries < 5 ? 8 : 20) <= l.judged_s);
	assert_int_equal(l.refused_below, 0);
	if (load > 1)
		assert_true(l.refused > 0 && l.t.r.ceiling >= carries);
	if (load > 2)
		assert_true(l.carried_s >= l.judged_s * 0.8 * carries);
}

static void
a_full_line_converges_to_what_it_carries(void **state)
{
	static const unsigned carries[] = { 1, 2, 5, 20, 100, 500 };

	(void)state;
	for (size_t i = 0; i < N(carries); i++)
		for (uint64_t seed = 1; seed <= 3; seed++) {
			run_line(carries[i], 3, seed);
			run_line(carries[i], 1.2, seed);
			run_line(carries[i], 0.6, seed);
		}
}

static double
share_carried(struct line *l, unsigned hours)
{
	l->judged_s = l->carried_s = l->over_s = 0;
	for (unsigned s = 0; s < hours * 3600; s++)
		line_second(l, 60.0 * 2 / 186, true);
	return (double)l->carried_s / l->judged_s / l->carries;
}

static void
a_line_that_shrinks_and_grows_is_followed(void **state)
{
	static struct line l;

	(void)state;
	l = (struct line){ .carries = 60, .seed = 4, .t = tunnel_of(true, 0) };
	share_carried(&l, 1);
	assert_true(share_carried(&l, 3) > 0.85);
	l.carries = 20;
	share_carried(&l, 1);
	assert_true(share_carried(&l, 3) > 0.85);
	assert_true(l.over_s * 20 < l.judged_s);
	l.carries = 60;
	share_carried(&l, 1);
	assert_true(share_carried(&l, 3) > 0.85);
	assert_true(l.over_s * 20 < l.judged_s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_call_needs_100_kbit_as_long_as_nothing_is_known),
		cmocka_unit_test(without_a_cap_nothing_is_refused_for_bandwidth),
		cmocka_unit_test(a_tunnel_without_calls_takes_one_whatever_its_size),
		cmocka_unit_test(the_cap_is_filled_by_what_calls_really_use_and_not_passed),
		cmocka_unit_test(headers_of_batches_and_their_acknowledgements_are_traffic),
		cmocka_unit_test(silent_and_held_calls_keep_their_places),
		cmocka_unit_test(a_cap_that_changes_counts_from_the_next_sample),
		cmocka_unit_test(counters_of_a_new_session_begin_anew),
		cmocka_unit_test(congestion_of_three_seconds_lets_nobody_in),
		cmocka_unit_test(a_short_congestion_is_none),
		cmocka_unit_test(one_call_less_than_at_its_onset_is_the_ceiling),
		cmocka_unit_test(a_burst_of_calls_is_judged_again_as_it_ends),
		cmocka_unit_test(one_call_is_always_within_the_ceiling),
		cmocka_unit_test(a_plain_number_of_calls_is_not_measured),
		cmocka_unit_test(the_ceiling_rises_only_where_it_is_reached),
		cmocka_unit_test(a_line_that_grew_is_found_ever_faster),
		cmocka_unit_test(a_rise_in_vain_doubles_the_wait_for_the_next),
		cmocka_unit_test(a_ceiling_is_forgotten_after_half_an_hour_of_quiet),
		cmocka_unit_test(a_ceiling_is_forgotten_with_its_session_but_a_cut_keeps_it),
		cmocka_unit_test(the_reason_is_told_in_words),
		cmocka_unit_test(a_full_line_converges_to_what_it_carries),
		cmocka_unit_test(a_line_that_shrinks_and_grows_is_followed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
