/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Several ways to HRAS, over the loopback: which is taken, and what happens when it is shut. */
#include "tests/support/http_pair_assert.h"

#include <unistd.h>

#include "base/clock.h"

#define WAYS 3

/* A pair with forwarders as its ways: a host of 127.0.0.x for each HRAS, a port for each URL. */
struct ways {
	struct http_pair pair;
	struct tcp_forwarder *forwarder[WAYS];
	char *url[WAYS];
};

static void
ways_start(struct ways *w, unsigned n)
{
	memset(w, 0, sizeof(*w));
	http_pair_init(&w->pair);
	http_pair_start_gateway(&w->pair);
	for (unsigned i = 0; i < n; i++) {
		w->forwarder[i] =
		    tcp_forwarder_new(w->pair.base, &w->pair.gateway_config.listen[0].addr);
		w->url[i] = mem_printf("http://127.0.0.1:%u/", tcp_forwarder_port(w->forwarder[i]));
		w->pair.uplink_config.urls[i] = w->url[i];
	}
}

static void
ways_end(struct ways *w)
{
	http_pair_stop_uplink(&w->pair);
	for (unsigned i = 0; i < WAYS; i++) {
		if (w->forwarder[i] != NULL)
			tcp_forwarder_free(w->forwarder[i]);
		mem_free(w->url[i]);
	}
	http_pair_free(&w->pair);
}

static const char *
route_of(struct ways *w)
{
	struct uplink_facts f;

	uplink_facts(w->pair.uplink, &f);
	return f.route;
}

struct wish {
	struct ways *ways;
	const char *route;
};

static bool
goes_that_way(void *arg)
{
	struct wish *wish = arg;

	return http_pair_is_up(&wish->ways->pair) && strcmp(route_of(wish->ways), wish->route) == 0;
}

static void
assert_goes(struct ways *w, unsigned i, unsigned ms)
{
	struct wish wish = { w, w->url[i] };

	http_pair_wait(&w->pair, goes_that_way, &wish, ms);
	assert_string_equal(route_of(w), w->url[i]);
	assert_up(&w->pair);
}

static void
the_first_url_is_taken_when_all_work(void **state)
{
	struct ways w;

	(void)state;
	ways_start(&w, 3);
	http_pair_start_uplink(&w.pair);
	assert_goes(&w, 0, SOON_MS);
	ways_end(&w);
}

static void
a_black_hole_on_the_better_ways_costs_less_than_five_seconds(void **state)
{
	struct uplink_facts f;
	struct ways w;
	uint64_t began_us;

	(void)state;
	ways_start(&w, 3);
	tcp_forwarder_black_hole(w.forwarder[0], true);
	tcp_forwarder_black_hole(w.forwarder[1], true);
	began_us = clock_us();
	http_pair_start_uplink(&w.pair);
	assert_goes(&w, 2, SOON_MS);
	print_message("settled after %llu ms\n",
	    (unsigned long long)((clock_us() - began_us) / CLOCK_MS));
	assert_true(clock_us() - began_us < 5 * CLOCK_S);
	uplink_facts(w.pair.uplink, &f);
	assert_string_equal(f.rung, "stream");
	assert_int_equal(f.refused_n, 2);
	assert_string_equal(f.refused[1].route, w.url[1]);
	assert_string_equal(f.refused[1].why, "no answer so far");
	ways_end(&w);
}

static void
a_way_that_is_shut_in_mid_call_is_left_for_another_and_the_session_stays(void **state)
{
	struct ways w;
	uint64_t began_us;

	(void)state;
	ways_start(&w, 2);
	http_pair_start_uplink(&w.pair);
	assert_goes(&w, 0, SOON_MS);
	uplink_set_busy(w.pair.uplink, true);
	assert_true(http_pair_wait(&w.pair, four_pairs, &w.pair, SOON_MS));
	for (unsigned i = 0; i < 40; i++) {
		http_pair_send(&w.pair, 2);
		http_pair_send_media(&w.pair, 1);
		http_pair_sleep(&w.pair, 20);
	}
	tcp_forwarder_black_hole(w.forwarder[0], true);
	began_us = clock_us();
	for (unsigned i = 0; i < 100 && strcmp(route_of(&w), w.url[1]) != 0; i++) {
		http_pair_send(&w.pair, 2);
		http_pair_send_media(&w.pair, 1);
		http_pair_sleep(&w.pair, 20);
	}
	print_message("left after %llu ms\n",
	    (unsigned long long)((clock_us() - began_us) / CLOCK_MS));
	assert_true(clock_us() - began_us < CLOCK_S);
	assert_goes(&w, 1, SOON_MS);
	assert_all_come(&w.pair, SOON_MS);
	assert_int_equal(w.pair.agent_sessions_n, 1);
	assert_int_equal(http_pair_metric(uplink_metrics(w.pair.uplink), "uplink_route_changes"),
	    1);
	/* It works again, and the network tells of a change: back without a new session. */
	tcp_forwarder_black_hole(w.forwarder[0], false);
	tcp_forwarder_cut_all(w.forwarder[0]);
	uplink_shaken(w.pair.uplink, false);
	assert_goes(&w, 0, SOON_MS);
	http_pair_send(&w.pair, 10);
	assert_all_come(&w.pair, SOON_MS);
	assert_int_equal(w.pair.agent_sessions_n, 1);
	ways_end(&w);
}

static void
a_better_way_that_answers_but_swallows_bodies_is_tried_and_left_again(void **state)
{
	struct uplink_facts f;
	struct ways w;

	(void)state;
	ways_start(&w, 2);
	tcp_forwarder_black_hole(w.forwarder[0], true);
	http_pair_start_uplink(&w.pair);
	assert_goes(&w, 1, SOON_MS);
	tcp_forwarder_black_hole(w.forwarder[0], false);
	tcp_forwarder_cut_all(w.forwarder[0]);
	tcp_forwarder_swallow(w.forwarder[0], "POST /vofw/1/up/");
	uplink_shaken(w.pair.uplink, false);
	http_pair_sleep(&w.pair, 1000);
	for (unsigned i = 0; i < 100; i++) {
		http_pair_send(&w.pair, 1);
		http_pair_sleep(&w.pair, 40);
	}
	assert_goes(&w, 1, SOON_MS);
	assert_all_come(&w.pair, SOON_MS);
	assert_int_equal(w.pair.agent_sessions_n, 1);
	uplink_facts(w.pair.uplink, &f);
	assert_int_equal(f.refused_n, 1);
	assert_string_equal(f.refused[0].why, "it answers, but holds back what should pass");
	ways_end(&w);
}

static bool
has_two_sessions(void *arg)
{
	struct ways *w = arg;

	return w->pair.agent_sessions_n == 2 && http_pair_is_up(&w->pair);
}

static void
a_session_lost_while_a_better_way_is_still_asked_is_replaced_at_once(void **state)
{
	struct ways w;

	(void)state;
	ways_start(&w, 2);
	tcp_forwarder_black_hole(w.forwarder[0], true);
	http_pair_start_uplink(&w.pair);
	assert_goes(&w, 1, SOON_MS);
	http_pair_stop_gateway(&w.pair);
	http_pair_start_gateway(&w.pair);
	assert_true(http_pair_wait(&w.pair, has_two_sessions, &w, SOON_MS));
	assert_int_equal(http_pair_metric(uplink_metrics(w.pair.uplink), "uplink_refused"), 0);
	ways_end(&w);
}

static void
when_nothing_gets_through_one_line_says_why_for_each_way(void **state)
{
	struct http_pair p;

	(void)state;
	http_pair_init(&p);
	p.uplink_config.urls[0] = "http://127.0.0.1:9/nothing/";
	p.uplink_config.urls[1] = "http://127.0.0.1:19/nothing/";
	http_pair_start_gateway(&p);
	http_pair_start_uplink(&p);
	assert_true(http_pair_wait(&p, has_error, &p, SOON_MS));
	http_pair_sleep(&p, 2500);
	assert_int_equal(
	    logged_n("nothing gets through to HRAS: http://127.0.0.1:9/nothing/: cannot "
		     "connect to HRAS: Connection refused; "
		     "http://127.0.0.1:19/nothing/: cannot connect"),
	    1);
	http_pair_free(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_url_is_taken_when_all_work),
		cmocka_unit_test(a_black_hole_on_the_better_ways_costs_less_than_five_seconds),
		cmocka_unit_test(
		    a_way_that_is_shut_in_mid_call_is_left_for_another_and_the_session_stays),
		cmocka_unit_test(
		    a_better_way_that_answers_but_swallows_bodies_is_tried_and_left_again),
		cmocka_unit_test(
		    a_session_lost_while_a_better_way_is_still_asked_is_replaced_at_once),
		cmocka_unit_test(when_nothing_gets_through_one_line_says_why_for_each_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
