/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "media/playout.h"

#define RATE 8000
#define MS (RATE / 1000)
#define FRAME (20 * MS)

/* A stream of voice whose clock and numbers wrap within a second. */
struct line {
	struct playout p;
	struct playout_tally t;
	uint32_t base;
	int64_t newest; /* number; -1 = none came */
};

static struct line
line(void)
{
	struct line l = { .base = UINT32_MAX - RATE / 2, .newest = -1 };

	playout_tally_init(&l.t, RATE);
	return l;
}

/* Packet n, sent when its time was there, comes delay_ms later. */
static void
comes(struct line *l, int64_t n, int delay_ms)
{
	uint32_t timestamp = l->base + (uint32_t)n * FRAME;
	uint32_t arrival = timestamp + 77 + (uint32_t)(delay_ms * MS);

	if (l->newest < 0)
		playout_begin(&l->p, timestamp, arrival);
	else
		playout_packet(&l->p, &l->t, (int)(n - l->newest), timestamp, arrival);
	if (n > l->newest)
		l->newest = n;
}

static void
come(struct line *l, int64_t from, int64_t to, int delay_ms)
{
	for (int64_t n = from; n < to; n++)
		comes(l, n, delay_ms);
}

static void
assert_heard(const struct line *l, uint64_t late, uint64_t runs, uint64_t missed, uint32_t longest)
{
	assert_int_equal(l->t.late, late);
	assert_int_equal(l->t.runs, runs);
	assert_int_equal(l->t.run_missed, missed);
	assert_int_equal(playout_longest(&l->t, &l->p), longest);
}

static void
nothing_is_missed_of_a_steady_stream(void **state)
{
	struct line l = line();

	(void)state;
	come(&l, 0, 5000, 40);
	assert_heard(&l, 0, 0, 0, 0);
}

static void
late_is_more_than_the_playout_behind_the_fastest(void **state)
{
	struct line l = line();

	(void)state;
	comes(&l, 0, 45);
	comes(&l, 1, 40); /* the fastest */
	comes(&l, 2, 100);
	assert_int_equal(l.t.late, 0);
	comes(&l, 3, 101);
	assert_int_equal(l.t.late, 1);
	come(&l, 4, 200, 45);
	assert_heard(&l, 1, 1, 1, 1);
}

static void
packets_out_of_order_are_no_gap_as_long_as_they_are_in_time(void **state)
{
	struct line l = line();

	(void)state;
	for (int64_t n = 0; n < 400; n += 4) {
		comes(&l, n, 40);
		comes(&l, n + 3, 40);
		comes(&l, n + 1, 90);
		comes(&l, n + 2, 60);
	}
	assert_heard(&l, 0, 0, 0, 0);
}

static void
runs_are_what_is_lost_or_late_one_behind_the_other(void **state)
{
	struct line l = line();

	(void)state;
	come(&l, 0, 100, 40);
	comes(&l, 102, 40);  /* 100, 101 lost */
	comes(&l, 101, 150); /* or late, it is the same */
	comes(&l, 104, 40);  /* 103 lost */
	comes(&l, 105, 40);
	comes(&l, 106, 140); /* late, 107 to 110 lost: a run of five */
	come(&l, 111, 400, 40);
	assert_heard(&l, 2, 3, 8, 5);
}

static void
a_run_counts_once_nothing_of_it_can_come_any_more(void **state)
{
	struct line l = line();

	(void)state;
	comes(&l, 0, 0);
	come(&l, 3, 65, 0);
	assert_heard(&l, 0, 0, 0, 0);
	comes(&l, 65, 0); /* packet 1 is too old now */
	assert_heard(&l, 0, 0, 0, 1);
	comes(&l, 66, 0);
	assert_heard(&l, 0, 0, 0, 2); /* still open */
	comes(&l, 67, 0);
	assert_heard(&l, 0, 1, 2, 2);
}

static void
a_gap_longer_than_the_window_is_one_run(void **state)
{
	struct line l = line();

	(void)state;
	come(&l, 0, 10, 40);
	come(&l, 1010, 1100, 40);
	assert_heard(&l, 0, 1, 1000, 1000);
}

static void
duplicates_are_neither_late_nor_heard_twice(void **state)
{
	struct line l = line();

	(void)state;
	for (int64_t n = 0; n < 300; n++) {
		comes(&l, n, 40);
		if (n >= 30)
			comes(&l, n - 30, 640);
	}
	assert_heard(&l, 0, 0, 0, 0);
}

static void
the_fastest_packet_is_forgotten_so_that_clocks_may_drift(void **state)
{
	struct line l = line();

	(void)state;
	/* 500 ms in 100 minutes, far more than the playout in all. */
	for (int64_t n = 0; n < 300000; n++)
		comes(&l, n, (int)(40 + n / 600));
	assert_heard(&l, 0, 0, 0, 0);
	for (int64_t n = 0; n < 300000; n++)
		comes(&l, 300000 + n, (int)(540 - n / 600));
	assert_heard(&l, 0, 0, 0, 0);
}

static void
the_buffer_follows_a_line_that_became_longer_within_a_second(void **state)
{
	struct line l = line();

	(void)state;
	come(&l, 0, 1000, 20);
	come(&l, 1000, 3000, 160);
	/* 51: from the first late packet until one second later. */
	assert_int_equal(l.t.late, 51);
	comes(&l, 3000, 160);
	comes(&l, 3001, 222);
	assert_int_equal(l.t.late, 52);
	come(&l, 3002, 4000, 20); /* back again: at once */
	come(&l, 4000, 4002, 81);
	assert_int_equal(l.t.late, 54);
}

static void
what_a_stall_held_back_is_late_until_it_is_through(void **state)
{
	struct line l = line();

	(void)state;
	come(&l, 0, 500, 20);
	for (int64_t n = 500; n < 530; n++) /* all come together, 620 ms after the first was sent */
		comes(&l, n, (int)(620 - 20 * (n - 500)));
	come(&l, 530, 700, 20);
	/* 620, 600 ... 100 are more than 80 ms. */
	assert_heard(&l, 27, 1, 27, 27);
}

static void
a_new_time_base_is_no_delay(void **state)
{
	struct line l = line();

	(void)state;
	come(&l, 0, 100, 20);
	l.base += 1u << 30;
	come(&l, 100, 200, 20);
	l.base -= 1u << 29;
	come(&l, 200, 300, 20);
	assert_heard(&l, 0, 0, 0, 0);
}

static void
silence_makes_nothing_late(void **state)
{
	struct line l = line();

	(void)state;
	come(&l, 0, 100, 20);
	l.base += 100 * RATE; /* a pause of 100 s: time goes on, numbers do not */
	come(&l, 100, 200, 150);
	assert_heard(&l, 0, 0, 0, 0);
}

static void
packets_that_share_a_timestamp_are_as_good_as_the_first(void **state)
{
	struct line l = line();
	uint32_t start = l.base;

	(void)state;
	/* A key pressed for 400 ms: 20 packets of one timestamp (RFC 4733). */
	comes(&l, 0, 20);
	for (int i = 1; i <= 20; i++)
		playout_packet(&l.p, &l.t, 1, start + FRAME,
		    start + (uint32_t)(i * FRAME) + 77 + 20 * MS);
	l.newest = 20;
	come(&l, 21, 100, 20);
	assert_heard(&l, 0, 0, 0, 0);
}

/* Any line, against a plain reckoning of the same. */
static void
random_lines_agree_with_a_plain_reckoning(void **state)
{
	enum { N = 4000 };
	static bool bad[N];

	(void)state;
	srand(1);
	for (int round = 0; round < 50; round++) {
		struct line l = line();
		uint64_t late = 0, runs = 0, missed = 0;
		uint32_t run = 0, longest = 0;
		int loss = rand() % 40;

		for (int n = 0; n < N; n++) {
			int what = n < 5 || n > N - 200 ? 100 : rand() % 100;

			bad[n] = what < loss;
			if (what < loss / 2)
				late++;
			if (what >= loss || what < loss / 2)
				comes(&l, n, what >= loss ? 40 + rand() % 60 : 110);
			else
				continue; /* lost */
			if (n == 0)
				comes(&l, ++n, 40);
		}
		bad[1] = false;
		for (int n = 0; n < N; n++) {
			if (bad[n]) {
				run++;
				missed++;
			} else if (run > 0) {
				longest = run > longest ? run : longest;
				runs++;
				run = 0;
			}
		}
		assert_heard(&l, late, runs, missed, longest);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_missed_of_a_steady_stream),
		cmocka_unit_test(late_is_more_than_the_playout_behind_the_fastest),
		cmocka_unit_test(packets_out_of_order_are_no_gap_as_long_as_they_are_in_time),
		cmocka_unit_test(runs_are_what_is_lost_or_late_one_behind_the_other),
		cmocka_unit_test(a_run_counts_once_nothing_of_it_can_come_any_more),
		cmocka_unit_test(a_gap_longer_than_the_window_is_one_run),
		cmocka_unit_test(duplicates_are_neither_late_nor_heard_twice),
		cmocka_unit_test(the_fastest_packet_is_forgotten_so_that_clocks_may_drift),
		cmocka_unit_test(the_buffer_follows_a_line_that_became_longer_within_a_second),
		cmocka_unit_test(what_a_stall_held_back_is_late_until_it_is_through),
		cmocka_unit_test(a_new_time_base_is_no_delay),
		cmocka_unit_test(silence_makes_nothing_late),
		cmocka_unit_test(packets_that_share_a_timestamp_are_as_good_as_the_first),
		cmocka_unit_test(random_lines_agree_with_a_plain_reckoning),
	};

	return cmocka_run_group_tests_name("playout", tests, NULL, NULL);
}
