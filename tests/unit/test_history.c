/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "status/history.h"
#include "status/trend.h"
#include "status/worst.h"

static const char *const names[] = { "one", "two" };

static json_t *
at(const json_t *root, const char *name, size_t i)
{
	return json_array_get(json_object_get(root, name), i);
}

static void
history_is_empty_at_first(void **state)
{
	struct history *h = history_new(names, 2);
	json_t *root = history_json(h);

	(void)state;
	assert_int_equal(json_array_size(json_object_get(root, "one")), 0);
	assert_int_equal(json_object_size(root), 2);
	json_decref(root);
	history_free(h);
}

static void
history_tells_the_oldest_first_and_what_is_not_known_as_null(void **state)
{
	struct history *h = history_new(names, 2);
	const double values[][2] = { { 1, NAN }, { 2.345, 7 }, { -3, INFINITY } };
	json_t *root;

	(void)state;
	for (size_t i = 0; i < 3; i++)
		history_add(h, values[i]);
	root = history_json(h);
	assert_int_equal(json_array_size(json_object_get(root, "one")), 3);
	assert_int_equal(json_integer_value(at(root, "one", 0)), 1);
	assert_true(fabs(json_number_value(at(root, "one", 1)) - 2.35) < 0.011);
	assert_int_equal(json_integer_value(at(root, "one", 2)), -3);
	assert_true(json_is_null(at(root, "two", 0)) && json_is_null(at(root, "two", 2)));
	assert_int_equal(json_integer_value(at(root, "two", 1)), 7);
	json_decref(root);
	history_free(h);
}

static void
history_forgets_the_oldest_when_it_is_full(void **state)
{
	struct history *h = history_new(names, 2);
	json_t *root;

	(void)state;
	for (int i = 0; i < HISTORY_POINTS + 77; i++)
		history_add(h, (const double[]){ i, -i });
	root = history_json(h);
	assert_int_equal(json_array_size(json_object_get(root, "two")), HISTORY_POINTS);
	assert_int_equal(json_integer_value(at(root, "one", 0)), 77);
	assert_int_equal(json_integer_value(at(root, "two", 0)), -77);
	assert_int_equal(json_integer_value(at(root, "one", HISTORY_POINTS - 1)),
	    HISTORY_POINTS + 76);
	json_decref(root);
	history_free(h);
}

/* -- Trend -- */

static struct trend_tunnel
office(uint64_t packets)
{
	return (struct trend_tunnel){ .agent = "office",
		.session = 9,
		.up = true,
		.connections = 4,
		.rtt_us = 40000,
		.min_rtt_us = 38000,
		.way = { { .bytes = packets * 180, .batches = packets / 5, .packets = packets },
		    { .bytes = packets * 200,
			.batches = packets / 2,
			.packets = packets,
			.loss_level = 2,
			.redundancy = 5 } } };
}

static double
number(const json_t *root, const char *object, const char *key)
{
	return json_number_value(json_object_get(json_object_get(root, object), key));
}

static void
assert_about(double is, double should)
{
	if (fabs(is - should) > 0.006)
		fail_msg("%g is not %g", is, should);
}

static void
trend_tells_shares_and_means_of_what_was_heard(void **state)
{
	struct trend *t = trend_new(0);
	struct trend_now now = { .now_us = 5 * CLOCK_S,
		.calls = 2,
		.heard_inside = { .streams = 2,
		    .packets = 600,
		    .audio = 490,
		    .lost = 10,
		    .late = 5,
		    .runs = 4,
		    .run_missed = 15,
		    .mos_sum = 840,
		    .mos_worst = 400 } };
	json_t *heard, *all;

	(void)state;
	trend_sample(t, &now);
	heard = trend_heard_json(t);
	assert_about(number(heard, "inside", "streams"), 2);
	assert_about(number(heard, "inside", "mos_mean"), 4.2);
	assert_about(number(heard, "inside", "mos_worst"), 4);
	assert_about(number(heard, "inside", "lost_percent"), 2);
	assert_about(number(heard, "inside", "late_percent"), 1);
	assert_about(number(heard, "inside", "burst_mean"), 3.75);
	assert_about(number(heard, "inside", "packets_s"), 120);
	/* Nobody listens outside. */
	assert_true(json_is_null(json_object_get(json_object_get(heard, "outside"), "mos_mean")));
	json_decref(heard);
	all = trend_json(t);
	assert_int_equal(json_integer_value(json_object_get(all, "interval_s")), 5);
	assert_int_equal(json_integer_value(json_object_get(all, "points")), HISTORY_POINTS);
	assert_int_equal(json_integer_value(at(all, "calls", 0)), 2);
	assert_about(json_number_value(at(json_object_get(all, "heard_inside"), "mos_worst", 0)),
	    4);
	assert_true(json_is_null(at(json_object_get(all, "heard_outside"), "mos_worst", 0)));
	json_decref(all);
	trend_free(t);
}

static void
a_packet_costs_what_went_by_between_two_samples(void **state)
{
	struct trend *t = trend_new(0);
	struct trend_tunnel tunnel = office(1000);
	struct trend_now now = { .now_us = 5 * CLOCK_S, .tunnels = &tunnel, .tunnels_n = 1 };

	(void)state;
	trend_sample(t, &now);
	assert_about(trend_cost(t, "office", 0, TREND_UP).body_bytes, 180);
	tunnel = office(1600);
	tunnel.way[TREND_UP].bytes += 600;
	trend_sample(t, &now);
	assert_about(trend_cost(t, "office", 0, TREND_UP).body_bytes, 181);
	assert_about(trend_cost(t, "office", 7, TREND_UP).wire_bytes, 181 + 59.0 / 5);
	assert_about(trend_cost(t, "office", 0, TREND_DOWN).wire_bytes, 200 + 59.0 / 2);
	/* Silence: what goes by is not the packets'. */
	tunnel.way[TREND_UP].bytes += 5000;
	trend_sample(t, &now);
	assert_true(trend_cost(t, "office", 0, TREND_UP).body_bytes == 0);
	/* A new session counts from 0 again. */
	tunnel = office(100);
	tunnel.session++;
	trend_sample(t, &now);
	assert_about(trend_cost(t, "office", 0, TREND_UP).body_bytes, 180);
	assert_true(trend_cost(t, "nobody", 0, TREND_UP).body_bytes == 0);
	trend_free(t);
}

static void
tunnels_keep_their_histories_wherever_they_stand_and_go_with_their_agents(void **state)
{
	struct trend *t = trend_new(0);
	struct trend_tunnel tunnels[2] = { office(1000), office(1000) };
	struct trend_now now = { .now_us = 5 * CLOCK_S, .tunnels = tunnels, .tunnels_n = 2 };
	json_t *root, *list;

	(void)state;
	tunnels[1].agent = "branch";
	tunnels[1].connections = 7;
	trend_sample(t, &now);
	tunnels[0] = tunnels[1];
	tunnels[1] = office(2000);
	trend_sample(t, &now);
	root = trend_json(t);
	list = json_object_get(root, "tunnels");
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "agent")),
	    "branch");
	assert_int_equal(json_integer_value(at(json_array_get(list, 0), "connections", 0)), 7);
	assert_int_equal(json_integer_value(at(json_array_get(list, 0), "connections", 1)), 7);
	assert_int_equal(json_integer_value(at(json_array_get(list, 1), "rtt_ms", 1)), 40);
	assert_int_equal(json_integer_value(at(json_array_get(list, 1), "loss_level_down", 1)), 2);
	assert_int_equal(json_integer_value(at(json_array_get(list, 1), "redundancy_down", 1)), 5);
	json_decref(root);
	now.tunnels_n = 1;
	trend_sample(t, &now);
	root = trend_json(t);
	assert_int_equal(json_array_size(json_object_get(root, "tunnels")), 1);
	json_decref(root);
	trend_free(t);
}

static void
a_tunnel_that_is_down_has_no_round_trip(void **state)
{
	struct trend *t = trend_new(0);
	struct trend_tunnel tunnel = { .agent = "office" };
	struct trend_now now = { .now_us = 5 * CLOCK_S, .tunnels = &tunnel, .tunnels_n = 1 };
	json_t *root, *list;

	(void)state;
	trend_sample(t, &now);
	root = trend_json(t);
	list = json_object_get(root, "tunnels");
	assert_true(json_is_null(at(json_array_get(list, 0), "rtt_ms", 0)));
	assert_true(json_is_null(at(json_array_get(list, 0), "loss_level_up", 0)));
	assert_int_equal(json_integer_value(at(json_array_get(list, 0), "connections", 0)), 0);
	json_decref(root);
	trend_free(t);
}

/* -- The worst -- */

static size_t
taken(struct worst *w, const unsigned *mos, size_t n, unsigned *sum)
{
	size_t taken_n = 0;

	*sum = 0;
	for (size_t i = 0; i < n; i++)
		worst_note(w, mos[i]);
	for (size_t i = 0; i < n; i++) {
		if (worst_take(w, mos[i])) {
			taken_n++;
			*sum += mos[i];
		}
	}
	return taken_n;
}

static void
worst_takes_those_that_are_heard_worst(void **state)
{
	static const unsigned mos[] = { 430, 100, 0, 300, 300, 300, 440, 0 };
	struct worst w;
	unsigned sum;

	(void)state;
	worst_init(&w, 3);
	assert_int_equal(taken(&w, mos, 8, &sum), 3);
	assert_int_equal(sum, 100 + 300 + 300);
	worst_init(&w, 5);
	assert_int_equal(taken(&w, mos, 8, &sum), 5);
	assert_int_equal(sum, 100 + 3 * 300 + 430);
	worst_init(&w, 7); /* those of whom nothing is known come last */
	assert_int_equal(taken(&w, mos, 8, &sum), 7);
	assert_int_equal(sum, 100 + 3 * 300 + 430 + 440);
}

static void
worst_takes_all_when_there_are_no_more(void **state)
{
	static const unsigned mos[] = { 430, 0, 100, 9999 };
	struct worst w;
	unsigned sum;

	(void)state;
	worst_init(&w, 4);
	assert_int_equal(taken(&w, mos, 4, &sum), 4);
	worst_init(&w, 0);
	assert_int_equal(taken(&w, mos, 4, &sum), 4);
	worst_init(&w, 1);
	assert_int_equal(taken(&w, mos, 0, &sum), 0);
}

static void
the_worse_of_what_is_heard_counts_what_is_heard_now(void **state)
{
	const struct heard before = { .mos = 300 }, now = { .mos = 300, .mos_recent = 420 };
	const struct heard nothing = { .packets = 0 };

	(void)state;
	assert_int_equal(worst_of(0, &nothing), 0);
	assert_int_equal(worst_of(0, &now), 420);
	assert_int_equal(worst_of(430, &now), 420);
	assert_int_equal(worst_of(410, &now), 410);
	assert_int_equal(worst_of(410, &before), 300);
	assert_int_equal(worst_of(410, &nothing), 410);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(history_is_empty_at_first),
		cmocka_unit_test(history_tells_the_oldest_first_and_what_is_not_known_as_null),
		cmocka_unit_test(history_forgets_the_oldest_when_it_is_full),
		cmocka_unit_test(trend_tells_shares_and_means_of_what_was_heard),
		cmocka_unit_test(a_packet_costs_what_went_by_between_two_samples),
		cmocka_unit_test(
		    tunnels_keep_their_histories_wherever_they_stand_and_go_with_their_agents),
		cmocka_unit_test(a_tunnel_that_is_down_has_no_round_trip),
		cmocka_unit_test(worst_takes_those_that_are_heard_worst),
		cmocka_unit_test(worst_takes_all_when_there_are_no_more),
		cmocka_unit_test(the_worse_of_what_is_heard_counts_what_is_heard_now),
	};

	return cmocka_run_group_tests_name("history", tests, NULL, NULL);
}
