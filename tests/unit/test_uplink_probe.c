/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the uplink's probes and the gateway's answers to them find out about a path. */
#include "tests/support/http_pair_assert.h"

#include <event2/event.h>
#include <event2/event_struct.h>

#include "base/clock.h"
#include "hrac/uplink/http.h"
#include "hrac/uplink/probe.h"
#include "hrac/uplink/route.h"
#include "tunnel/handshake.h"
#include "tunnel/request.h"

/* Requests beside those of the running uplink. */
struct prober {
	struct http_pair pair;
	struct tcp_forwarder *forwarder;
	struct uplink_http *http;
	struct uplink_route *route;
	struct event turn;
	struct tunnel_grant grant;
	uint32_t serial;
	unsigned over_n;
	struct uplink_probe *probe;
	struct uplink_probe_result result;
	struct uplink_body_result body; /* without what it borrowed */
	char cause[UPLINK_HTTP_CAUSE_MAX];
};

static void
on_turn(void *arg)
{
	event_active(&((struct prober *)arg)->turn, EV_TIMEOUT, 0);
}

static void
on_turn_event(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	uplink_http_run(((struct prober *)arg)->http);
}

static const struct uplink_http_handlers handlers = { .on_turn = on_turn };

static void
start(struct prober *p)
{
	struct uplink_http_config config = { 0 };
	char *url;

	memset(p, 0, sizeof(*p));
	p->forwarder = start_over_forwarder(&p->pair);
	assert_up(&p->pair);
	evtimer_assign(&p->turn, p->pair.base, on_turn_event, p);
	p->http = uplink_http_new(p->pair.base, &config, &handlers, p);
	url = mem_printf("http://127.0.0.1:%u", tcp_forwarder_port(p->forwarder));
	p->route = uplink_route_new(url, NULL);
	mem_free(url);
	p->serial = 1000; /* the uplink itself probes, and counts from 1 */
	p->grant = *tunnel_grant(uplink_tunnel(p->pair.uplink));
}

static void
stop(struct prober *p)
{
	uplink_probe_free(p->probe);
	event_del(&p->turn);
	uplink_http_free(p->http);
	uplink_route_free(p->route);
	tcp_forwarder_free(p->forwarder);
	http_pair_free(&p->pair);
}

static struct uplink_body_way
way_of(struct prober *p)
{
	return (struct uplink_body_way){ p->pair.base, p->http, p->route, &p->grant, &p->serial };
}

static void
on_probe(void *arg, const struct uplink_probe_result *r)
{
	struct prober *p = arg;

	p->result = *r;
	p->over_n++;
	uplink_probe_free(p->probe);
	p->probe = NULL;
}

static void
on_body(void *arg, const struct uplink_body_result *r)
{
	struct prober *p = arg;

	p->body = *r;
	snprintf(p->cause, sizeof(p->cause), "%s", r->cause);
	p->over_n++;
}

static bool
is_over(void *arg)
{
	return ((struct prober *)arg)->over_n > 0;
}

/* Gives how long it took, ms. */
static uint64_t
probe(struct prober *p)
{
	struct uplink_body_way way = way_of(p);
	uint64_t begin_us = clock_us();

	p->over_n = 0;
	p->probe = uplink_probe_start(&way, on_probe, p);
	assert_true(http_pair_wait(&p->pair, is_over, p, SOON_MS));
	return (clock_us() - begin_us) / CLOCK_MS;
}

static void
send_body(struct prober *p, const struct uplink_body_cfg *cfg)
{
	struct uplink_body_way way = way_of(p);

	p->over_n = 0;
	(void)uplink_body_start(&way, cfg, on_body, p);
	assert_true(http_pair_wait(&p->pair, is_over, p, SOON_MS));
}

/* -- Visits -- */

struct opening {
	struct prober *prober;
	struct handshake handshake;
	bool responded;
};

static void on_opened(void *arg, void *user, const struct uplink_http_result *r);
static const struct uplink_http_handlers open_handlers = { .on_done = on_opened };

static void
send_open(struct opening *o, const uint8_t *body, size_t n)
{
	struct uplink_request *r =
	    uplink_http_exchange(o->prober->http, o->prober->route, "vofw/1/open", body, n, NULL);

	uplink_http_handle(r, &open_handlers, o);
}

static void
on_opened(void *arg, void *user, const struct uplink_http_result *r)
{
	struct opening *o = arg;
	uint8_t body[HANDSHAKE_BODY_MAX];
	size_t n;

	(void)user;
	assert_string_equal(r->cause, "");
	if (o->responded) {
		assert_int_equal(handshake_finish(&o->handshake, r->body, r->body_len,
				     &o->prober->grant),
		    0);
		o->prober->over_n++;
		return;
	}
	o->responded = true;
	assert_int_equal(handshake_respond(&o->handshake, r->body, r->body_len, body, &n), 0);
	send_open(o, body, n);
}

/* From now on the probes are those of a visit. */
static void
visit(struct prober *p)
{
	struct opening o = { .prober = p };
	uint8_t body[HANDSHAKE_BODY_MAX];
	size_t n;

	assert_int_equal(handshake_init(&o.handshake, "office", p->pair.secret, 4711, true), 0);
	handshake_hello(&o.handshake, HANDSHAKE_VISIT, 0, body, &n);
	p->over_n = 0;
	p->serial = 0;
	send_open(&o, body, n);
	assert_true(http_pair_wait(&p->pair, is_over, p, SOON_MS));
}

static void
a_visit_disturbs_no_session_and_moves_no_more_than_its_share(void **state)
{
	struct uplink_body_cfg large = {
		.dir = TUNNEL_DOWN, .plan = { PROBE_COUNT_MAX, PROBE_SIZE_MAX, 0 }, .limit_ms = 4000
	};
	struct uplink_facts facts;
	struct prober p;

	(void)state;
	start(&p);
	visit(&p);
	assert_int_not_equal(p.grant.session, tunnel_grant(uplink_tunnel(p.pair.uplink))->session);
	probe(&p);
	assert_true(p.result.down_streams && p.result.up_streams);
	for (unsigned i = 0; i < 7; i++) { /* of 4 MiB each, and what the echo probe took */
		send_body(&p, &large);
		assert_string_equal(p.cause, "");
		assert_int_equal(p.body.n, PROBE_COUNT_MAX);
	}
	send_body(&p, &large);
	assert_non_null(strstr(p.cause, "503"));
	uplink_facts(p.pair.uplink, &facts);
	assert_int_equal(facts.reconnects, 0);
	assert_int_equal(p.pair.agent_sessions_n, 1);
	http_pair_send(&p.pair, 20);
	assert_all_come(&p.pair, SOON_MS);
	stop(&p);
}

static void
a_path_that_is_heard_again_takes_nothing_from_its_visit(void **state)
{
	struct uplink_body_cfg large = {
		.dir = TUNNEL_DOWN, .plan = { PROBE_COUNT_MAX, PROBE_SIZE_MAX, 0 }, .limit_ms = 4000
	};
	struct prober p;

	(void)state;
	start(&p);
	visit(&p);
	send_body(&p, &large);
	assert_string_equal(p.cause, "");
	for (unsigned i = 0; i < 10; i++) { /* of 4 MiB each, and it may have 32 */
		p.serial--;
		send_body(&p, &large);
		assert_non_null(strstr(p.cause, "409"));
	}
	send_body(&p, &large);
	assert_string_equal(p.cause, "");
	assert_int_equal(p.body.n, PROBE_COUNT_MAX);
	stop(&p);
}

static void
the_eldest_visit_goes_when_there_are_too_many(void **state)
{
	struct uplink_body_cfg small = { .dir = TUNNEL_UP, .whole = true, .limit_ms = 2000 };
	struct tunnel_grant second, first;
	struct prober p;

	(void)state;
	start(&p);
	visit(&p);
	first = p.grant;
	visit(&p);
	second = p.grant;
	for (unsigned i = 2; i < 65; i++)
		visit(&p);
	send_body(&p, &small);
	assert_string_equal(p.cause, "");
	p.grant = second;
	send_body(&p, &small);
	assert_string_equal(p.cause, "");
	p.grant = first;
	send_body(&p, &small);
	assert_non_null(strstr(p.cause, "does not know our session"));
	assert_int_equal(http_pair_metric(gateway_metrics(p.pair.gateway), "gateway_visits"), 65);
	stop(&p);
}

static void
a_path_that_streams_is_found_to_do_so(void **state)
{
	struct prober p;

	(void)state;
	start(&p);
	tcp_forwarder_delay(p.forwarder, 20);
	assert_in_range(probe(&p), 400, 1500);
	assert_string_equal(p.result.cause, "");
	assert_true(p.result.down_streams);
	assert_true(p.result.up_streams);
	assert_in_range(p.result.down_held_ms, 0, 390);
	assert_in_range(p.result.up_held_ms, 0, 390);
	assert_in_range(p.result.rtt_us, 30000, 120000);
	assert_clean(&p.pair);
	stop(&p);
}

static void
what_collects_is_found_in_the_direction_in_which_it_does(void **state)
{
	struct prober p;

	(void)state;
	start(&p);
	for (int up = 0; up < 2; up++) {
		tcp_forwarder_collect(p.forwarder, up == 1, 600);
		probe(&p);
		assert_int_equal(p.result.up_streams, up == 0);
		assert_int_equal(p.result.down_streams, up == 1);
		assert_in_range(up ? p.result.up_held_ms : p.result.down_held_ms, 300, 500);
		tcp_forwarder_collect(p.forwarder, up == 1, 0);
	}
	stop(&p);
}

static void
what_goes_nowhere_is_over_in_time_and_says_so(void **state)
{
	struct prober p;

	(void)state;
	start(&p);
	tcp_forwarder_black_hole(p.forwarder, true);
	assert_in_range(probe(&p), 2000, 4500);
	assert_false(p.result.down_streams);
	assert_false(p.result.up_streams);
	assert_string_not_equal(p.result.cause, "");
	stop(&p);
}

static void
a_probe_may_be_given_up_at_any_time(void **state)
{
	struct uplink_body_way way;
	struct prober p;

	(void)state;
	start(&p);
	way = way_of(&p);
	for (unsigned ms = 0; ms < 600; ms += 60) {
		p.probe = uplink_probe_start(&way, on_probe, &p);
		http_pair_sleep(&p.pair, ms);
		uplink_probe_free(p.probe);
		p.probe = NULL;
	}
	stop(&p);
}

static void
nobody_probes_without_the_key_or_twice_with_it(void **state)
{
	struct uplink_body_cfg small = { .dir = TUNNEL_UP, .whole = true, .limit_ms = 2000 };
	struct prober p;

	(void)state;
	start(&p);
	send_body(&p, &small);
	assert_string_equal(p.cause, "");
	assert_int_equal(p.body.n, 1);
	p.serial--;
	send_body(&p, &small);
	assert_non_null(strstr(p.cause, "409"));
	p.grant.key[0] ^= 1;
	send_body(&p, &small);
	assert_non_null(strstr(p.cause, "does not know our session"));
	stop(&p);
}

static void
a_session_moves_no_more_than_its_share(void **state)
{
	struct uplink_body_cfg large = {
		.dir = TUNNEL_DOWN, .plan = { 256, PROBE_SIZE_MAX, 0 }, .limit_ms = 3000
	};
	struct prober p;

	(void)state;
	start(&p);
	send_body(&p, &large);
	assert_non_null(strstr(p.cause, "503"));
	large.plan = (struct probe_plan){ 4, PROBE_SIZE_MAX, 0 };
	send_body(&p, &large);
	assert_string_equal(p.cause, "");
	assert_int_equal(p.body.n, 4);
	stop(&p);
}

static void
a_body_up_may_end_when_it_was_enough(void **state)
{
	struct uplink_body_cfg cfg = {
		.dir = TUNNEL_UP, .plan = { 20, 1000, 50 }, .enough_ms = 220, .limit_ms = 3000
	};
	struct prober p;

	(void)state;
	start(&p);
	send_body(&p, &cfg);
	assert_string_equal(p.cause, "");
	assert_in_range(p.body.n, 3, 6);
	stop(&p);
}

static void
a_connection_that_is_cut_while_it_is_silent_is_told_with_its_time(void **state)
{
	struct uplink_body_cfg cfg = { .plan = { 2, 16, 3000 }, .limit_ms = 5000 };
	struct prober p;

	(void)state;
	start(&p);
	for (cfg.dir = TUNNEL_UP; cfg.dir <= TUNNEL_DOWN; cfg.dir++) {
		struct uplink_body_way way = way_of(&p);

		p.over_n = 0;
		(void)uplink_body_start(&way, &cfg, on_body, &p);
		http_pair_sleep(&p.pair, 700);
		tcp_forwarder_cut_all(p.forwarder);
		assert_true(http_pair_wait(&p.pair, is_over, &p, SOON_MS));
		assert_string_not_equal(p.cause, "");
		assert_false(p.body.late);
		assert_in_range(p.body.over_us - p.body.last_us, 500000, 1500000);
	}
	stop(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_path_that_streams_is_found_to_do_so),
		cmocka_unit_test(what_collects_is_found_in_the_direction_in_which_it_does),
		cmocka_unit_test(what_goes_nowhere_is_over_in_time_and_says_so),
		cmocka_unit_test(a_probe_may_be_given_up_at_any_time),
		cmocka_unit_test(nobody_probes_without_the_key_or_twice_with_it),
		cmocka_unit_test(a_session_moves_no_more_than_its_share),
		cmocka_unit_test(a_body_up_may_end_when_it_was_enough),
		cmocka_unit_test(a_visit_disturbs_no_session_and_moves_no_more_than_its_share),
		cmocka_unit_test(a_path_that_is_heard_again_takes_nothing_from_its_visit),
		cmocka_unit_test(the_eldest_visit_goes_when_there_are_too_many),
		cmocka_unit_test(a_connection_that_is_cut_while_it_is_silent_is_told_with_its_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
