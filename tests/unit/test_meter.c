/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "tunnel/frame.h"
#include "tunnel/meter.h"

#define PTIME_US (20 * CLOCK_MS)
#define BATCH_FRAMES 7
#define GATHER_US (5 * CLOCK_MS)
#define DELAY_US (40 * CLOCK_MS)
#define BEGIN (100 * CLOCK_S)
#define FIRST (FRAME_MEDIA_MASK - 300) /* the numbers wrap early */

static struct meter *m;
static unsigned seed;

static int
setup(void **state)
{
	(void)state;
	seed = 1;
	m = meter_new();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	meter_free(m);
	return 0;
}

static double
chance(void)
{
	return (double)rand_r(&seed) / ((double)RAND_MAX + 1);
}

/* -- A flow of calls over a line, with what is true of it -- */

struct line {
	unsigned calls;
	double loss;                 /* share of batches, at random */
	uint64_t burst_us, every_us; /* all that is sent in burst_us is lost, once in every_us */
	uint64_t jitter_us;          /* 0 to that much, for each batch: they change places */
	uint64_t us;                 /* how long */
};

struct batch {
	uint64_t at_us; /* arrival */
	uint32_t base;
	unsigned n;
	bool lost;
};

static struct batch *batches;
static size_t batches_n;
static uint64_t sent_frames, lost_frames; /* up to the last batch that was not lost */
static uint32_t next_number;

static int
by_arrival(const void *a, const void *b)
{
	const struct batch *x = a, *y = b;

	if (x->at_us != y->at_us)
		return x->at_us > y->at_us ? 1 : -1;
	return ((x->base - y->base) & FRAME_MEDIA_MASK) < FRAME_MEDIA_MASK / 2 ? 1 : -1;
}

static bool
hit(const struct line *l, uint64_t sent_us, uint64_t burst_at_us)
{
	if (chance() < l->loss)
		return true;
	return l->burst_us != 0 && sent_us >= burst_at_us && sent_us < burst_at_us + l->burst_us;
}

static void
send_batch(const struct line *l, uint64_t sent_us, unsigned n, uint64_t burst_at_us)
{
	struct batch *b = &batches[batches_n++];

	*b = (struct batch){ .at_us = sent_us + DELAY_US,
		.base = next_number,
		.n = n,
		.lost = batches_n > 1 && hit(l, sent_us, burst_at_us) };
	b->at_us += (uint64_t)(chance() * (double)l->jitter_us);
	next_number = (next_number + n) & FRAME_MEDIA_MASK;
}

/* Each call sends a frame every 20 ms, with a phase of its own; batches as the engine makes them. */
static void
send_flow(const struct line *l, uint64_t from_us)
{
	uint64_t phase[256], burst_at_us = 0, period = UINT64_MAX;
	unsigned n = 0;
	uint64_t made_us = 0;

	for (unsigned c = 0; c < l->calls; c++)
		phase[c] = (uint64_t)(chance() * (double)PTIME_US) / 250 * 250;
	mem_free(batches);
	batches = mem_calloc(l->us / PTIME_US * l->calls + l->calls + 1, sizeof(*batches));
	batches_n = 0;
	for (uint64_t us = from_us; us < from_us + l->us; us += 250) {
		if (l->burst_us != 0 && us / l->every_us != period) {
			period = us / l->every_us;
			burst_at_us = period * l->every_us +
			    (uint64_t)(chance() * (double)(l->every_us - l->burst_us));
		}
		if (n > 0 && us - made_us >= GATHER_US) {
			send_batch(l, us, n, burst_at_us);
			n = 0;
		}
		for (unsigned c = 0; c < l->calls; c++) {
			if (us % PTIME_US != phase[c])
				continue;
			if (n == 0)
				made_us = us;
			n++;
			if (n == BATCH_FRAMES || l->calls <= 2) {
				send_batch(l, us, n, burst_at_us);
				n = 0;
			}
		}
	}
	qsort(batches, batches_n, sizeof(*batches), by_arrival);
}

static void
count_truth(void)
{
	uint64_t tail = 0;

	sent_frames = lost_frames = 0;
	for (size_t i = 0; i < batches_n; i++) {
		sent_frames += batches[i].n;
		lost_frames += batches[i].lost ? batches[i].n : 0;
		tail = batches[i].lost ? tail + batches[i].n : 0;
	}
	/* Nothing behind these tells that they are missing. */
	sent_frames -= tail;
	lost_frames -= tail;
}

typedef void each_tick(uint64_t now_us, void *arg);

/* Runs the flow through the meter and calls `tick` every 50 ms of it. Returns when it was over. */
static uint64_t
receive_flow(const struct line *l, uint64_t from_us, each_tick *tick, void *arg)
{
	uint64_t next_us = from_us;

	send_flow(l, from_us);
	count_truth();
	for (size_t i = 0; i < batches_n; i++) {
		for (; next_us <= batches[i].at_us; next_us += 50 * CLOCK_MS)
			if (tick != NULL)
				tick(next_us, arg);
		if (!batches[i].lost)
			meter_batch(m, batches[i].base, batches[i].n, batches[i].at_us);
	}
	return from_us + l->us + DELAY_US + l->jitter_us;
}

static uint64_t
begin_flow(const struct line *l, each_tick *tick, void *arg)
{
	next_number = FIRST;
	return receive_flow(l, BEGIN, tick, arg);
}

static struct meter_facts
facts_at(uint64_t us)
{
	struct meter_facts f;

	meter_facts(m, us, &f);
	return f;
}

/* -- What is counted -- */

static void
every_miss_is_counted_and_nothing_else(void **state)
{
	static const unsigned calls[] = { 1, 2, 20, 200 };
	static const double loss[] = { 0, 0.005, 0.02, 0.05, 0.3 };

	(void)state;
	for (size_t c = 0; c < 4; c++)
		for (size_t i = 0; i < 5; i++) {
			struct line l = { .calls = calls[c], .loss = loss[i], .us = 30 * CLOCK_S };
			struct meter_facts f;

			teardown(NULL);
			m = meter_new();
			f = facts_at(begin_flow(&l, NULL, NULL) + CLOCK_S);
			assert_int_equal(f.missed, lost_frames);
			assert_int_equal(f.frames, sent_frames);
		}
}

struct mean {
	uint64_t from_us;
	double sum, n;
};

static void
add_loss(uint64_t now_us, void *arg)
{
	struct mean *mean = arg;

	if (now_us < mean->from_us)
		return;
	mean->sum += meter_loss(m, now_us);
	mean->n++;
}

static void
a_line_of_two_percent_measures_two_percent(void **state)
{
	static const unsigned calls[] = { 1, 20, 200 };

	(void)state;
	for (size_t c = 0; c < 3; c++) {
		struct line l = { .calls = calls[c], .loss = 0.02, .us = 120 * CLOCK_S };
		struct mean mean = { .from_us = BEGIN + 3 * CLOCK_S };
		double truth, measured;

		teardown(NULL);
		m = meter_new();
		begin_flow(&l, add_loss, &mean);
		truth = (double)lost_frames / (double)sent_frames;
		measured = mean.sum / mean.n;
		assert_true(measured > 0.93 * truth && measured < 1.07 * truth);
		assert_true(truth > 0.015 && truth < 0.025);
	}
}

static void
what_changes_places_within_25_ms_is_no_miss(void **state)
{
	struct line l = { .calls = 200, .jitter_us = 24 * CLOCK_MS, .us = 20 * CLOCK_S };
	uint64_t end_us;

	(void)state;
	end_us = begin_flow(&l, NULL, NULL);
	assert_int_equal(facts_at(end_us + CLOCK_S).missed, 0);
	assert_int_equal(meter_level(m, end_us), 0);
	/* And together with loss only that is counted. */
	l.loss = 0.03;
	end_us = receive_flow(&l, end_us + PTIME_US, NULL, NULL);
	assert_true(lost_frames > 1000);
	assert_in_range(facts_at(end_us + CLOCK_S).missed, lost_frames - 100, lost_frames + 100);
}

static void
a_gap_is_a_miss_after_25_ms_and_once(void **state)
{
	(void)state;
	meter_batch(m, 10, 5, BEGIN);
	meter_batch(m, 25, 5, BEGIN + 10 * CLOCK_MS);
	/* The middle of the gap, at the last moment. */
	meter_batch(m, 18, 2, BEGIN + 35 * CLOCK_MS);
	assert_int_equal(facts_at(BEGIN + 35 * CLOCK_MS).missed, 0);
	assert_int_equal(meter_level(m, BEGIN + 35 * CLOCK_MS), 0);
	assert_int_equal(facts_at(BEGIN + 36 * CLOCK_MS).missed, 8);
	assert_int_equal(facts_at(BEGIN + 36 * CLOCK_MS).gaps, 2);
	/* They come after all, by a repetition or by TCP; and what came comes once more. */
	meter_batch(m, 15, 10, BEGIN + 80 * CLOCK_MS);
	meter_batch(m, 10, 20, BEGIN + 90 * CLOCK_MS);
	assert_int_equal(facts_at(BEGIN + CLOCK_S).missed, 8);
	assert_int_equal(facts_at(BEGIN + CLOCK_S).frames, 20);
}

static void
a_pause_is_no_miss_and_no_run(void **state)
{
	struct line l = { .calls = 1, .us = 2 * CLOCK_S };
	uint64_t us = BEGIN;

	(void)state;
	next_number = FIRST;
	for (unsigned i = 0; i < 10; i++) {
		us = receive_flow(&l, us, NULL, NULL) + (i + 1) * CLOCK_S;
		assert_int_equal(meter_level(m, us), 0);
		assert_true(meter_loss(m, us) == 0);
	}
	/* The first packet of each burst of speech is lost: each time one packet, not a run. */
	for (unsigned i = 0; i < 5; i++) {
		next_number++;
		us = receive_flow(&l, us, NULL, NULL) + CLOCK_S / 2;
		assert_int_equal(facts_at(us).missed, i + 1);
		assert_int_equal(meter_level(m, us - CLOCK_S), 1);
		assert_false(meter_runs(m, us));
	}
}

static void
numbers_that_begin_anew_are_not_missed(void **state)
{
	struct line l = { .calls = 20, .us = 2 * CLOCK_S };
	uint64_t us = begin_flow(&l, NULL, NULL);

	(void)state;
	next_number = 5000000;
	us = receive_flow(&l, us, NULL, NULL);
	assert_int_equal(facts_at(us + CLOCK_S).missed, 0);
	next_number = 0;
	us = receive_flow(&l, us, NULL, NULL);
	assert_int_equal(facts_at(us + CLOCK_S).missed, 0);
	/* From the new beginning on losses count as ever. */
	l.loss = 0.05;
	us = receive_flow(&l, us, NULL, NULL);
	assert_true(lost_frames > 20);
	assert_int_equal(facts_at(us + CLOCK_S).missed, lost_frames);
}

static void
very_late_batches_do_not_turn_the_numbers_back(void **state)
{
	struct line l = { .calls = 200, .us = 10 * CLOCK_S };
	uint64_t us = begin_flow(&l, NULL, NULL);

	(void)state;
	for (unsigned i = 0; i < 31; i++)
		meter_batch(m, FIRST + i * 7, 7, us);
	us = receive_flow(&l, us, NULL, NULL);
	assert_int_equal(facts_at(us + CLOCK_S).missed, 0);
	assert_int_equal(facts_at(us).frames, sent_frames * 2);
}

/* -- The level -- */

static void
one_miss_is_level_1_for_ten_seconds(void **state)
{
	struct line l = { .calls = 20, .us = 30 * CLOCK_S };
	uint64_t seen_us = 0;

	(void)state;
	next_number = FIRST;
	send_flow(&l, BEGIN);
	for (size_t i = 0; i < batches_n; i++) {
		uint64_t now_us = batches[i].at_us;

		if (i == 1000)
			continue;
		if (i == 1001)
			seen_us = now_us;
		meter_batch(m, batches[i].base, batches[i].n, now_us);
		if (seen_us == 0 || now_us <= seen_us + 25 * CLOCK_MS ||
		    now_us >= seen_us + 25 * CLOCK_MS + 10 * CLOCK_S)
			assert_int_equal(meter_level(m, now_us), 0);
		else
			assert_int_equal(meter_level(m, now_us), 1);
	}
	assert_true(batches[batches_n - 1].at_us > seen_us + 11 * CLOCK_S);
	assert_int_equal(facts_at(BEGIN + 40 * CLOCK_S).gaps, 1);
}

struct levels {
	uint64_t from_us; /* counted from here on */
	unsigned changes_n, last;
	uint64_t changed_us, shortest_us; /* of the stays on level 2 */
	uint64_t at_us[3];                /* time on each */
};

static void
watch_level(uint64_t now_us, void *arg)
{
	struct levels *v = arg;
	unsigned level = meter_level(m, now_us);

	if (now_us < v->from_us) {
		v->last = level;
		return;
	}
	v->at_us[level] += 50 * CLOCK_MS;
	if (level == v->last)
		return;
	if (v->last == 2 && v->changed_us != 0 && now_us - v->changed_us < v->shortest_us)
		v->shortest_us = now_us - v->changed_us;
	v->changes_n++;
	v->changed_us = now_us;
	v->last = level;
}

static struct levels
levels_of(unsigned calls, double loss)
{
	struct line l = { .calls = calls, .loss = loss, .us = 120 * CLOCK_S };
	struct levels v = { .from_us = BEGIN + 10 * CLOCK_S, .shortest_us = UINT64_MAX };

	meter_free(m);
	m = meter_new();
	begin_flow(&l, watch_level, &v);
	return v;
}

static void
levels_follow_the_loss_and_do_not_flap(void **state)
{
	static const unsigned calls[] = { 1, 20, 200 };

	(void)state;
	for (size_t c = 0; c < 3; c++) {
		struct levels v = levels_of(calls[c], 0);

		assert_int_equal(v.at_us[1] + v.at_us[2], 0);
		v = levels_of(calls[c], 0.05);
		assert_int_equal(v.at_us[0], 0);
		assert_true(v.at_us[2] > 100 * CLOCK_S);
		/* Right at the threshold. */
		v = levels_of(calls[c], 0.015);
		assert_true(v.shortest_us >= 3 * CLOCK_S);
		assert_in_range(v.changes_n, 0, 40);
	}
	/* With few packets chance alone makes more of it. */
	assert_int_equal(levels_of(20, 0.005).at_us[0], 0);
	assert_true(levels_of(20, 0.005).at_us[2] < 10 * CLOCK_S);
	assert_int_equal(levels_of(200, 0.005).at_us[2], 0);
}

static void
much_loss_is_heard_soon(void **state)
{
	struct line clean = { .calls = 20, .us = 20 * CLOCK_S }, bad = clean;
	uint64_t us = begin_flow(&clean, NULL, NULL);
	struct levels v = { .from_us = us };

	(void)state;
	bad.loss = 0.1;
	bad.us = 3 * CLOCK_S;
	receive_flow(&bad, us, watch_level, &v);
	assert_true(v.at_us[2] > 2 * CLOCK_S);
}

/* -- Runs -- */

struct runs {
	uint64_t from_us;
	unsigned yes_n, no_n;
};

static void
watch_runs(uint64_t now_us, void *arg)
{
	struct runs *v = arg;

	if (now_us < v->from_us)
		return;
	if (meter_runs(m, now_us))
		v->yes_n++;
	else
		v->no_n++;
}

static struct runs
runs_of(const struct line *l, uint64_t after_us)
{
	struct runs v = { .from_us = BEGIN + after_us };

	meter_free(m);
	m = meter_new();
	begin_flow(l, watch_runs, &v);
	return v;
}

static void
random_loss_does_not_look_like_runs(void **state)
{
	static const unsigned calls[] = { 1, 2, 20, 200 };
	static const double loss[] = { 0.005, 0.01, 0.02, 0.05 };

	(void)state;
	for (size_t c = 0; c < 4; c++)
		for (size_t i = 0; i < 4; i++)
			for (unsigned s = 1; s <= 10; s++) {
				struct line l = {
					.calls = calls[c], .loss = loss[i], .us = 60 * CLOCK_S
				};

				seed = s;
				if (runs_of(&l, 0).yes_n != 0)
					fail_msg("%u calls, %g, seed %u", l.calls, l.loss, s);
			}
}

static void
bursts_look_like_runs(void **state)
{
	static const struct {
		unsigned calls;
		uint64_t burst_ms, every_ms, jitter_ms;
	} cases[] = { { 20, 20, 1000, 0 }, { 200, 20, 1000, 0 }, { 1, 60, 2000, 0 },
		{ 2, 60, 2000, 0 }, { 20, 60, 2000, 0 }, { 200, 60, 2000, 0 }, { 1, 120, 5000, 0 },
		{ 20, 120, 5000, 0 }, { 200, 120, 5000, 0 }, { 20, 60, 1000, 5 },
		{ 200, 60, 1000, 5 } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (unsigned s = 1; s <= 3; s++) {
			struct line l = { .calls = cases[i].calls,
				.burst_us = cases[i].burst_ms * CLOCK_MS,
				.every_us = cases[i].every_ms * CLOCK_MS,
				.jitter_us = cases[i].jitter_ms * CLOCK_MS,
				.us = 60 * CLOCK_S };
			struct runs v;

			seed = s;
			v = runs_of(&l, 11 * CLOCK_S);
			if (v.no_n != 0)
				fail_msg("%u calls, %llu ms: %u times not", l.calls,
				    (unsigned long long)cases[i].burst_ms, v.no_n);
		}
}

static void
the_length_of_gaps_is_told(void **state)
{
	struct line l = {
		.calls = 20, .burst_us = 60 * CLOCK_MS, .every_us = CLOCK_S, .us = 20 * CLOCK_S
	};
	struct meter_facts f;
	uint64_t us;

	(void)state;
	us = begin_flow(&l, NULL, NULL);
	f = facts_at(us);
	assert_in_range(f.run_mean_us, 50 * CLOCK_MS, 65 * CLOCK_MS);
	assert_in_range(f.run_longest_us, 55 * CLOCK_MS, 75 * CLOCK_MS);
	assert_in_range(f.gaps, 18, 20);
	f = facts_at(us + 11 * CLOCK_S);
	assert_int_equal(f.run_mean_us, 0);
	assert_int_equal(f.run_longest_us, 0);
	assert_false(meter_runs(m, us + 11 * CLOCK_S));
}

/* -- Gaps that are set by hand: 20 calls, five frames each 5 ms -- */

#define STEP_US (5 * CLOCK_MS)

static uint64_t hand_us;
static uint32_t hand_number;

static void
come(unsigned n)
{
	for (; n > 0; n--, hand_us += STEP_US, hand_number += 5)
		meter_batch(m, hand_number, 5, hand_us);
}

static void
lack(unsigned n)
{
	hand_us += n * STEP_US;
	hand_number += n * 5;
}

static void
begin_by_hand(void)
{
	hand_us = BEGIN;
	hand_number = FIRST;
	come(200);
}

static void
one_batch_is_not_much_even_of_a_young_flow(void **state)
{
	(void)state;
	hand_us = BEGIN;
	hand_number = FIRST;
	come(3);
	lack(1);
	come(10);
	assert_true(meter_loss(m, hand_us) > 0.07);
	assert_int_equal(meter_level(m, hand_us), 1);
	lack(1);
	come(10);
	assert_int_equal(meter_level(m, hand_us), 2);
}

static void
three_batches_in_a_row_are_much_of_a_young_flow(void **state)
{
	(void)state;
	hand_us = BEGIN;
	hand_number = FIRST;
	come(3);
	lack(3);
	come(10);
	assert_int_equal(meter_level(m, hand_us), 2);
}

static void
two_batches_around_a_pause_are_no_run(void **state)
{
	(void)state;
	begin_by_hand();
	for (unsigned i = 0; i < 6; i++) {
		lack(1);
		hand_us += CLOCK_S;
		lack(1);
		come(200);
	}
	assert_int_equal(facts_at(hand_us).gaps, 6);
	assert_false(meter_runs(m, hand_us));
	assert_in_range(facts_at(hand_us).run_longest_us, 8 * CLOCK_MS, 12 * CLOCK_MS);
}

static void
a_flow_that_just_grew_has_no_runs_from_that(void **state)
{
	(void)state;
	for (hand_us = BEGIN; hand_us < BEGIN + 2 * CLOCK_S; hand_us += PTIME_US)
		meter_batch(m, hand_number++, 1, hand_us);
	for (unsigned i = 0; i < 4; i++) {
		lack(1);
		come(4);
	}
	come(10);
	assert_int_equal(facts_at(hand_us).gaps, 4);
	assert_false(meter_runs(m, hand_us));
}

static void
a_flow_with_pauses_has_the_rate_that_it_has_between_them(void **state)
{
	(void)state;
	hand_us = BEGIN;
	for (unsigned i = 0; i < 10; i++, hand_us += 800 * CLOCK_MS) {
		come(20);
		lack(1);
		come(19);
	}
	assert_in_range(facts_at(hand_us).run_mean_us, 4 * CLOCK_MS, 6 * CLOCK_MS);
}

static void
runs_begin_at_a_half_and_end_at_a_third(void **state)
{
	unsigned single_n = 0;

	(void)state;
	begin_by_hand();
	lack(4);
	come(50);
	assert_false(meter_runs(m, hand_us)); /* may be an accident */
	lack(4);
	come(50);
	assert_true(meter_runs(m, hand_us));
	for (; meter_runs(m, hand_us); single_n++) {
		lack(1);
		come(20);
	}
	/* 40 frames in runs, and five in each single batch. */
	assert_int_equal(single_n, 16);
	lack(4);
	come(30);
	assert_false(meter_runs(m, hand_us));
	assert_true(hand_us < BEGIN + 10 * CLOCK_S);
}

/* -- Hostile numbers -- */

static void
any_numbers_leave_the_meter_sane(void **state)
{
	uint64_t us = BEGIN, came = 0;
	uint32_t base = 0;

	(void)state;
	for (unsigned i = 0; i < 300000; i++) {
		size_t n = 1 + (size_t)(chance() * 255);

		if (i % 1000 < 700)
			base += 2 + (uint32_t)(chance() * 400) - 100u * (i % 3);
		else
			base = (uint32_t)rand_r(&seed);
		us += (uint64_t)(chance() * 60);
		meter_batch(m, base, n, us);
		came += n;
		if (i % 7 == 0) {
			double loss = meter_loss(m, us);

			assert_true(loss >= 0 && loss <= 1);
			assert_in_range(meter_level(m, us), 0, 2);
		}
	}
	assert_true(facts_at(us + CLOCK_S).missed <= facts_at(us + CLOCK_S).frames);
	assert_true(came > 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static int
free_batches(void **state)
{
	(void)state;
	mem_free(batches);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_miss_is_counted_and_nothing_else),
		TEST(a_line_of_two_percent_measures_two_percent),
		TEST(what_changes_places_within_25_ms_is_no_miss),
		TEST(a_gap_is_a_miss_after_25_ms_and_once),
		TEST(a_pause_is_no_miss_and_no_run),
		TEST(numbers_that_begin_anew_are_not_missed),
		TEST(very_late_batches_do_not_turn_the_numbers_back),
		TEST(one_miss_is_level_1_for_ten_seconds),
		TEST(levels_follow_the_loss_and_do_not_flap),
		TEST(much_loss_is_heard_soon),
		TEST(random_loss_does_not_look_like_runs),
		TEST(bursts_look_like_runs),
		TEST(the_length_of_gaps_is_told),
		TEST(one_batch_is_not_much_even_of_a_young_flow),
		TEST(three_batches_in_a_row_are_much_of_a_young_flow),
		TEST(two_batches_around_a_pause_are_no_run),
		TEST(a_flow_that_just_grew_has_no_runs_from_that),
		TEST(a_flow_with_pauses_has_the_rate_that_it_has_between_them),
		TEST(runs_begin_at_a_half_and_end_at_a_third),
		TEST(any_numbers_leave_the_meter_sane),
	};

	return cmocka_run_group_tests(tests, NULL, free_batches);
}
