/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Uplink and gateway over a bad network, and when one of them is gone for a while. */
#include "tests/support/http_pair_assert.h"

#include <event2/event.h>

#include "base/clock.h"

static void
cut_connections_cost_no_reliable_frame_and_no_session(void **state)
{
	struct http_pair p;
	struct tcp_forwarder *f = start_over_forwarder(&p);
	unsigned i;

	(void)state;
	assert_up(&p);
	uplink_set_busy(p.uplink, true);
	assert_true(http_pair_wait(&p, four_pairs, &p, SOON_MS));
	for (i = 0; i < 40; i++) {
		http_pair_send(&p, 20);
		http_pair_sleep(&p, 10);
		if (i % 10 == 5)
			tcp_forwarder_cut_all(f);
		else if (i % 3 == 0)
			tcp_forwarder_cut_eldest(f);
	}
	assert_all_come(&p, 2 * SOON_MS);
	assert_up(&p);
	assert_int_equal(p.agent_sessions_n, 1);
	assert_true(http_pair_metric(uplink_metrics(p.uplink), "tunnel_streams_cut") > 4);
	tcp_forwarder_free(f);
	http_pair_free(&p);
}

static bool
is_down(void *arg)
{
	return !http_pair_is_up(arg);
}

static void
a_network_that_swallows_all_is_noticed_and_left_behind(void **state)
{
	struct http_pair p;
	struct tcp_forwarder *f = start_over_forwarder(&p);
	uint64_t began_us;

	(void)state;
	assert_up(&p);
	tcp_forwarder_black_hole(f, true);
	began_us = clock_us();
	http_pair_send(&p, 5);
	assert_true(http_pair_wait(&p, is_down, &p, 7000));
	assert_true(clock_us() - began_us < 7 * CLOCK_S);
	http_pair_wait(&p, has_error, &p, 1000); /* the gateway may have been the first to notice */
	assert_error(&p, "carried nothing for too long");
	tcp_forwarder_black_hole(f, false);
	tcp_forwarder_cut_all(f);
	assert_all_come(&p, 3 * SOON_MS);
	assert_up(&p);
	assert_int_equal(p.agent_sessions_n, 1);
	tcp_forwarder_free(f);
	http_pair_free(&p);
}

static void
a_proxy_that_keeps_our_requests_to_itself_is_named(void **state)
{
	struct http_pair p;
	struct tcp_forwarder *f = start_over_forwarder(&p);

	(void)state;
	tcp_forwarder_swallow(f, "POST /vofw/1/up/");
	assert_true(http_pair_wait(&p, has_error, &p, 15000));
	assert_error(&p, "swallows or collects what should pass");
	assert_false(http_pair_is_up(&p));
	tcp_forwarder_free(f);
	http_pair_free(&p);
}

static void
late_bytes_still_arrive_in_order(void **state)
{
	struct http_pair p;
	struct tcp_forwarder *f = start_over_forwarder(&p);
	struct uplink_facts u;
	unsigned i;

	(void)state;
	tcp_forwarder_delay(f, 20);
	assert_up(&p);
	for (i = 0; i < 50; i++) {
		http_pair_send(&p, 10);
		http_pair_sleep(&p, 10);
	}
	assert_all_come(&p, SOON_MS);
	uplink_facts(p.uplink, &u);
	assert_true(u.srtt_us > 10 * CLOCK_MS && u.srtt_us < 400 * CLOCK_MS);
	tcp_forwarder_free(f);
	http_pair_free(&p);
}

static bool
two_uplink_sessions(void *arg)
{
	return ((struct http_pair *)arg)->uplink_sessions_n == 2;
}

static void
a_restarted_hras_is_told_and_taught_anew(void **state)
{
	struct http_pair p;

	(void)state;
	start_pair(&p);
	assert_up(&p);
	http_pair_send(&p, 10);
	assert_all_come(&p, SOON_MS);
	http_pair_stop_gateway(&p);
	http_pair_sleep(&p, 300);
	http_pair_start_gateway(&p);
	http_pair_forget(&p);
	assert_true(http_pair_wait(&p, two_uplink_sessions, &p, 3 * SOON_MS));
	assert_int_equal(p.uplink_restarted_n, 2);
	assert_int_equal(p.agent_fresh_n, 2);
	assert_up(&p);
	http_pair_send(&p, 10);
	assert_all_come(&p, SOON_MS);
	http_pair_free(&p);
}

static bool
two_agent_sessions(void *arg)
{
	return ((struct http_pair *)arg)->agent_sessions_n == 2;
}

static void
a_restarted_hrac_takes_the_place_of_the_one_before(void **state)
{
	struct http_pair p;
	struct gateway_agent *before;

	(void)state;
	start_pair(&p);
	assert_up(&p);
	before = p.agent;
	http_pair_stop_uplink(&p);
	http_pair_start_uplink(&p);
	assert_true(http_pair_wait(&p, two_agent_sessions, &p, SOON_MS));
	assert_int_equal(p.agent_fresh_n, 2);
	assert_ptr_equal(p.agent, before);
	assert_up(&p);
	http_pair_send(&p, 10);
	assert_all_come(&p, SOON_MS);
	assert_int_equal(p.agent_gone_n, 0);
	http_pair_free(&p);
}

static bool
agent_gone(void *arg)
{
	return ((struct http_pair *)arg)->agent_gone_n == 1;
}

static void
an_agent_away_for_longer_than_the_grace_is_gone(void **state)
{
	struct http_pair p;

	(void)state;
	http_pair_init(&p);
	p.gateway_config.grace_s = 1;
	http_pair_start_gateway(&p);
	http_pair_start_uplink(&p);
	assert_up(&p);
	http_pair_stop_uplink(&p);
	assert_true(http_pair_wait(&p, agent_gone, &p, 4 * SOON_MS));
	assert_null(gateway_agent_find(p.gateway, "office"));
	http_pair_start_uplink(&p);
	assert_up(&p);
	http_pair_free(&p);
}

static void
an_agent_whose_secret_is_taken_away_is_gone_at_once(void **state)
{
	struct http_pair p;

	(void)state;
	start_pair(&p);
	assert_up(&p);
	gateway_recheck(p.gateway);
	http_pair_sleep(&p, 50);
	assert_int_equal(p.agent_gone_n, 0);
	p.secret = NULL;
	gateway_recheck(p.gateway);
	assert_true(http_pair_wait(&p, agent_gone, &p, SOON_MS));
	assert_true(http_pair_wait(&p, was_refused, &p, 3 * SOON_MS));
	http_pair_free(&p);
}

static bool
saw_malformed(void *arg)
{
	struct http_pair *p = arg;

	return http_pair_metric(uplink_metrics(p->uplink), "tunnel_streams_malformed") > 0;
}

static void
a_garbled_connection_is_closed_and_counted_and_the_rest_goes_on(void **state)
{
	struct http_pair p;
	struct tcp_forwarder *f = start_over_forwarder(&p);
	unsigned i;

	(void)state;
	assert_up(&p);
	for (i = 0; i < 50 && !saw_malformed(&p); i++) {
		tcp_forwarder_garble(f);
		http_pair_send(&p, 10);
		http_pair_wait(&p, saw_malformed, &p, 100);
	}
	assert_true(saw_malformed(&p));
	http_pair_send(&p, 10);
	assert_up(&p);
	assert_int_equal(p.up.wrong_n, 0);
	tcp_forwarder_free(f);
	http_pair_free(&p);
}

static void
both_ends_may_end_in_the_midst_of_traffic(void **state)
{
	struct http_pair p;

	(void)state;
	start_pair(&p);
	assert_up(&p);
	uplink_set_busy(p.uplink, true);
	http_pair_send(&p, 500);
	event_base_loop(p.base, EVLOOP_NONBLOCK);
	http_pair_send_media(&p, 500);
	http_pair_free(&p);
}

static void
two_boxes_under_one_name_are_told_of(void **state)
{
	struct http_pair p;
	unsigned i;

	(void)state;
	start_pair(&p);
	for (i = 0; i < 4; i++) {
		assert_up(&p);
		assert_int_equal(logged_n("do two boxes use its name?"), i == 3);
		http_pair_stop_uplink(&p);
		http_pair_start_uplink(&p);
		p.agent = NULL;
	}
	http_pair_free(&p);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cut_connections_cost_no_reliable_frame_and_no_session),
		cmocka_unit_test(a_network_that_swallows_all_is_noticed_and_left_behind),
		cmocka_unit_test(a_proxy_that_keeps_our_requests_to_itself_is_named),
		cmocka_unit_test(late_bytes_still_arrive_in_order),
		cmocka_unit_test(a_restarted_hras_is_told_and_taught_anew),
		cmocka_unit_test(a_restarted_hrac_takes_the_place_of_the_one_before),
		cmocka_unit_test(an_agent_away_for_longer_than_the_grace_is_gone),
		cmocka_unit_test(an_agent_whose_secret_is_taken_away_is_gone_at_once),
		cmocka_unit_test(a_garbled_connection_is_closed_and_counted_and_the_rest_goes_on),
		cmocka_unit_test(both_ends_may_end_in_the_midst_of_traffic),
		cmocka_unit_test(two_boxes_under_one_name_are_told_of),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests_name("uplink and gateway, losing each other", tests, NULL,
	    NULL);
}
