/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The two ends of the tunnel's HTTP, joined over the loopback: sessions and traffic. */
#include "tests/support/http_pair_assert.h"

#include <event2/event.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "tests/support/tls_ca.h"

#define FRAMES 2000

/* -- Opening a session -- */

static void
a_session_opens_and_one_pair_stands_while_no_call_is_up(void **state)
{
	struct http_pair p;
	struct uplink_facts u;
	struct gateway_facts g;

	(void)state;
	start_pair(&p);
	assert_up(&p);
	p.loops_n = 0;
	http_pair_sleep(&p, 1000);
	assert_true(p.loops_n < 300); /* nothing spins */
	uplink_facts(p.uplink, &u);
	gateway_agent_facts(p.agent, &g);
	assert_int_equal(u.up_n, 1);
	assert_int_equal(u.down_n, 1);
	assert_int_equal(g.up_n, 1);
	assert_int_equal(g.down_n, 1);
	assert_string_equal(u.transport, "http");
	assert_string_equal(g.transport, "http");
	assert_string_equal(g.agent, "office");
	assert_string_equal(u.last_error, "");
	assert_true(addr_is_loopback(&g.peer));
	assert_string_not_equal(u.peer, "-");
	assert_int_equal(p.agent_sessions_n, 1);
	assert_int_equal(p.agent_fresh_n, 1);
	assert_int_equal(p.uplink_restarted_n, 1);
	assert_ptr_equal(gateway_agent_find(p.gateway, "office"), p.agent);
	assert_ptr_equal(gateway_agent_user(p.agent), &p);
	http_pair_free(&p);
}

static void
all_pairs_open_when_a_call_is_set_up(void **state)
{
	struct http_pair p;

	(void)state;
	start_pair(&p);
	assert_up(&p);
	uplink_set_busy(p.uplink, true);
	gateway_set_busy(p.agent, true);
	assert_true(http_pair_wait(&p, four_pairs, &p, SOON_MS));
	http_pair_free(&p);
}

static void
assert_refused_once(struct http_pair *p)
{
	struct uplink_facts u;

	assert_true(http_pair_wait(p, was_refused, p, SOON_MS));
	http_pair_sleep(p, 2000);
	uplink_facts(p->uplink, &u);
	assert_int_equal(u.state, TUNNEL_CONNECTING);
	assert_non_null(strstr(u.last_error, "wrong secret, unknown agent, or the certificate"));
	assert_int_equal(http_pair_metric(uplink_metrics(p->uplink), "uplink_handshakes"), 1);
	assert_int_equal(http_pair_metric(gateway_metrics(p->gateway), "gateway_refused"), 1);
	assert_int_equal(p->agent_sessions_n, 0);
}

static void
a_wrong_secret_is_refused_named_and_not_tried_again_at_once(void **state)
{
	struct http_pair p;

	(void)state;
	http_pair_init(&p);
	http_pair_start_gateway(&p);
	p.uplink_config.secret = "herring";
	http_pair_start_uplink(&p);
	assert_refused_once(&p);
	assert_true(logged_n("office") > 0);
	assert_int_equal(logged_n("herring"), 0);
	assert_int_equal(logged_n("swordfish"), 0);
	http_pair_free(&p);
}

static void
an_unknown_agent_is_refused_in_the_same_way(void **state)
{
	struct http_pair p;

	(void)state;
	http_pair_init(&p);
	http_pair_start_gateway(&p);
	p.uplink_config.agent = "attic";
	http_pair_start_uplink(&p);
	assert_refused_once(&p);
	http_pair_free(&p);
}

/* -- Traffic -- */

static void
frames_pass_both_ways_in_order_and_media_at_most_once(void **state)
{
	struct http_pair p;
	unsigned i;

	(void)state;
	start_pair(&p);
	assert_up(&p);
	uplink_set_busy(p.uplink, true);
	gateway_set_busy(p.agent, true);
	assert_true(http_pair_wait(&p, four_pairs, &p, SOON_MS));
	for (i = 0; i < FRAMES / 20; i++) {
		http_pair_send(&p, 20);
		http_pair_send_media(&p, 20);
		event_base_loop(p.base, EVLOOP_NONBLOCK);
	}
	assert_all_come(&p, SOON_MS);
	http_pair_sleep(&p, 200);
	assert_int_equal(p.up.media_n, p.up_media_sent);
	assert_int_equal(p.down.media_n, p.down_media_sent);
	assert_clean(&p);
	assert_true(http_pair_metric(uplink_metrics(p.uplink), "tunnel_media_sent") >= FRAMES);
	assert_true(http_pair_metric(gateway_metrics(p.gateway), "tunnel_media_sent") >= FRAMES);
	http_pair_free(&p);
}

static void
a_frame_sent_before_any_session_is_refused_and_after_it_waits(void **state)
{
	struct http_pair p;

	(void)state;
	start_pair(&p);
	assert_int_equal(uplink_send(p.uplink, 2, "x", 1), ERR_DOWN);
	assert_int_equal(uplink_send_media(p.uplink, 2, "x", 1), ERR_DOWN);
	assert_up(&p);
	http_pair_send(&p, 1);
	assert_all_come(&p, SOON_MS);
	http_pair_free(&p);
}

static void
rotation_by_few_bytes_loses_nothing(void **state)
{
	struct http_pair p;
	unsigned i;

	(void)state;
	http_pair_init(&p);
	p.gateway_config.rotate_bytes = p.uplink_config.rotate_bytes = 65536;
	http_pair_start_gateway(&p);
	http_pair_start_uplink(&p);
	assert_up(&p);
	for (i = 0; i < FRAMES / 20; i++) {
		http_pair_send(&p, 20);
		http_pair_send_media(&p, 20);
		http_pair_sleep(&p, 10);
	}
	assert_all_come(&p, SOON_MS);
	assert_int_equal(p.up.media_n, p.up_media_sent);
	assert_int_equal(p.down.media_n, p.down_media_sent);
	assert_true(http_pair_metric(uplink_metrics(p.uplink), "tunnel_streams_rotated") > 5);
	assert_true(http_pair_metric(gateway_metrics(p.gateway), "tunnel_streams_rotated") > 5);
	assert_int_equal(p.agent_sessions_n, 1);
	assert_int_equal(http_pair_metric(uplink_metrics(p.uplink), "tunnel_streams_cut"), 0);
	assert_int_equal(http_pair_metric(gateway_metrics(p.gateway), "tunnel_streams_cut"), 0);
	http_pair_free(&p);
}

/* Another agent, which only counts what comes. */
static unsigned branch_came_n;

static void
on_branch_reliable(void *arg, uint8_t type, const uint8_t *data, size_t n)
{
	(void)arg;
	assert_int_equal(type, 3);
	assert_int_equal(n, 6);
	assert_memory_equal(data, "branch", n);
	branch_came_n++;
}

static bool
branch_is_up(void *arg)
{
	struct gateway_agent *a = gateway_agent_find(((struct http_pair *)arg)->gateway, "branch");
	struct gateway_facts g;

	if (a == NULL)
		return false;
	gateway_agent_facts(a, &g);
	return g.state == TUNNEL_UP_STATE;
}

static bool
branch_got_ten(void *arg)
{
	(void)arg;
	return branch_came_n == 10;
}

static void
two_agents_at_two_addresses_do_not_hear_each_other(void **state)
{
	static const struct uplink_handlers handlers = { .on_reliable = on_branch_reliable };
	struct uplink_config config = { .agent = "branch", .secret = "swordfish" };
	struct gateway_agent *office, *branch;
	char text[ADDR_STR_MAX], *url;
	struct addr second;
	struct http_pair p;
	struct uplink *u;
	unsigned i;

	(void)state;
	http_pair_init(&p);
	assert_int_equal(addr_parse("[::1]:0", 0, &p.gateway_config.listen[1].addr), 0);
	p.gateway_config.listen_n = 2;
	http_pair_start_gateway(&p);
	second = gateway_addr(p.gateway, 1);
	url = mem_printf("http://%s/", addr_str(&second, text));
	http_pair_start_uplink(&p);
	assert_up(&p);
	office = p.agent;
	config.urls[0] = url;
	assert_int_equal(uplink_new(p.base, &config, &handlers, NULL, &u), 0);
	assert_true(http_pair_wait(&p, branch_is_up, &p, SOON_MS));
	p.agent = office; /* its last on_session was the other's */
	branch = gateway_agent_find(p.gateway, "branch");
	assert_ptr_not_equal(branch, office);
	for (i = 0; i < 10; i++)
		assert_int_equal(gateway_send(branch, 3, "branch", 6), 0);
	http_pair_send(&p, 10);
	assert_true(http_pair_wait(&p, branch_got_ten, NULL, SOON_MS));
	assert_all_come(&p, SOON_MS);
	uplink_free(u);
	mem_free(url);
	http_pair_free(&p);
}

static void
tls_is_verified_by_the_authority_given(void **state)
{
	struct http_pair p;
	struct uplink_facts u;
	struct gateway_facts g;
	struct tls_ca ca;

	(void)state;
	tls_ca_make(&ca);
	http_pair_init(&p);
	p.gateway_config.tls.certificate = ca.server.certificate;
	p.gateway_config.tls.key = ca.server.key;
	p.gateway_config.listen[0].tls = true;
	p.uplink_config.ca = ca.file;
	http_pair_start_gateway(&p);
	http_pair_start_uplink(&p);
	assert_up(&p);
	uplink_set_busy(p.uplink, true);
	assert_true(http_pair_wait(&p, four_pairs, &p, SOON_MS));
	http_pair_send(&p, 500);
	http_pair_send_media(&p, 100);
	assert_all_come(&p, SOON_MS);
	uplink_facts(p.uplink, &u);
	gateway_agent_facts(p.agent, &g);
	assert_string_equal(u.transport, "https");
	assert_string_equal(g.transport, "https");
	http_pair_free(&p);
	tls_ca_free(&ca);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_session_opens_and_one_pair_stands_while_no_call_is_up),
		cmocka_unit_test(all_pairs_open_when_a_call_is_set_up),
		cmocka_unit_test(a_wrong_secret_is_refused_named_and_not_tried_again_at_once),
		cmocka_unit_test(an_unknown_agent_is_refused_in_the_same_way),
		cmocka_unit_test(frames_pass_both_ways_in_order_and_media_at_most_once),
		cmocka_unit_test(a_frame_sent_before_any_session_is_refused_and_after_it_waits),
		cmocka_unit_test(rotation_by_few_bytes_loses_nothing),
		cmocka_unit_test(two_agents_at_two_addresses_do_not_hear_each_other),
		cmocka_unit_test(tls_is_verified_by_the_authority_given),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests_name("uplink and gateway", tests, NULL, NULL);
}
