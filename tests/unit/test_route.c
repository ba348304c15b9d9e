/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "log/log.h"
#include "sip_world.h"

static const struct world_cfg relay = { .auth = SIP_AUTH_NONE, .direct = false };

struct scene {
	struct world *w;
	struct phone alice, olga; /* inside, outside */
};

static struct scene
make_scene(void)
{
	struct scene s = { .w = world_new(&relay) };

	phone_init(&s.alice, s.w, OFFICE, "alice", "192.168.1.20:5062");
	phone_init(&s.olga, s.w, OUTSIDE, "olga", "198.51.100.7:5060");
	phone_registered(&s.alice);
	phone_registered(&s.olga);
	return s;
}

/* A request of alice with these header lines besides the usual. */
static void
send_raw(struct phone *p, const char *method, const char *uri, const char *headers)
{
	static unsigned serial;
	char text[2048];

	snprintf(text, sizeof(text),
	    "%s %s SIP/2.0\nVia: SIP/2.0/UDP %s;branch=z9hG4bKraw%u;rport\n"
	    "From: <sip:%s@%s>;tag=t\nTo: <sip:x@example.com>\nCall-ID: %s\n"
	    "CSeq: %u %s\n%sContent-Length: 0\n\n",
	    method, uri, p->via, ++serial, p->name, p->domain, p->call_id, ++p->cseq, method,
	    headers);
	phone_raw(p, text);
}

static void
the_end_of_max_forwards_is_483_and_options_is_answered(void **state)
{
	struct scene s = make_scene();

	(void)state;
	send_raw(&s.alice, "MESSAGE", "sip:olga@example.com", "Max-Forwards: 0\n");
	world_expect_dropped(s.w, "483", OFFICE);
	send_raw(&s.alice, "OPTIONS", "sip:olga@example.com", "Max-Forwards: 0\n");
	world_expect_dropped(s.w, "200", OFFICE);
	world_free(s.w);
}

static void
max_forwards_counts_down_and_is_added_when_absent(void **state)
{
	struct scene s = make_scene();
	struct sent *m;

	(void)state;
	send_raw(&s.alice, "MESSAGE", "sip:olga@example.com", "Max-Forwards: 1\n");
	m = world_expect(s.w, "MESSAGE", OUTSIDE);
	assert_string_equal(sip_msg_header(m->m, "Max-Forwards"), "0");
	sent_free(m);
	send_raw(&s.alice, "MESSAGE", "sip:olga@example.com", "");
	m = world_expect(s.w, "MESSAGE", OUTSIDE);
	assert_string_equal(sip_msg_header(m->m, "Max-Forwards"), "70");
	sent_free(m);
	world_free(s.w);
}

static void
an_extension_asked_of_the_proxy_is_420(void **state)
{
	struct scene s = make_scene();
	struct sent *m;

	(void)state;
	send_raw(&s.alice, "MESSAGE", "sip:olga@example.com", "Proxy-Require: magic\n");
	m = world_expect(s.w, "420", OFFICE);
	assert_string_equal(sip_msg_header(m->m, "Unsupported"), "magic");
	sent_free(m);
	/* What is required of the other end is none of a proxy's business. */
	send_raw(&s.alice, "MESSAGE", "sip:olga@example.com", "Require: magic\n");
	world_expect_dropped(s.w, "MESSAGE", OUTSIDE);
	world_free(s.w);
}

static void
another_scheme_is_416(void **state)
{
	struct scene s = make_scene();

	(void)state;
	send_raw(&s.alice, "MESSAGE", "tel:+15550100", "");
	world_expect_dropped(s.w, "416", OFFICE);
	world_free(s.w);
}

static void
the_pair_answers_options_and_nothing_else_for_itself(void **state)
{
	struct scene s = make_scene();
	struct sent *m;

	(void)state;
	send_raw(&s.alice, "OPTIONS", "sip:192.168.1.5", "");
	m = world_expect(s.w, "200", OFFICE);
	assert_non_null(sip_msg_header(m->m, "Allow"));
	assert_non_null(sip_msg_header(m->m, "Accept"));
	sent_free(m);
	send_raw(&s.olga, "OPTIONS", "sip:example.com", "");
	world_expect_dropped(s.w, "200", OUTSIDE);
	send_raw(&s.alice, "MESSAGE", "sip:example.com", "");
	world_expect_dropped(s.w, "404", OFFICE);
	world_free(s.w);
}

static void
unknown_methods_are_forwarded_by_the_general_rules(void **state)
{
	struct scene s = make_scene();
	struct sent *m;

	(void)state;
	send_raw(&s.alice, "NEWMETHOD", "sip:olga@example.com", "");
	m = world_expect(s.w, "NEWMETHOD", OUTSIDE);
	phone_answer(&s.olga, m, 200);
	sent_free(m);
	world_expect_dropped(s.w, "200", OFFICE);
	world_free(s.w);
}

static void
routes_that_name_the_pair_are_taken_off(void **state)
{
	static const char *const routes[] = { "Route: <sip:192.168.1.5;lr>\n",
		"Route: <sip:192.168.1.5:5060;transport=udp;lr>, <sip:203.0.113.10;lr>\n",
		"Route: <sip:example.com;lr>\n" };
	struct scene s = make_scene();
	struct sent *m;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		send_raw(&s.alice, "MESSAGE", "sip:olga@example.com", routes[i]);
		m = world_expect(s.w, "MESSAGE", OUTSIDE);
		assert_null(strstr(m->text, "Route:"));
		sent_free(m);
	}
	world_free(s.w);
}

static void
a_route_to_another_proxy_is_followed(void **state)
{
	struct scene s = make_scene();
	struct sent *m;
	char peer[ADDR_STR_MAX];

	(void)state;
	send_raw(&s.alice, "MESSAGE", "sip:carol@elsewhere.example",
	    "Route: <sip:192.168.1.5;lr>, <sip:198.51.100.80:5070;lr>\n");
	m = world_expect(s.w, "MESSAGE", OUTSIDE);
	assert_string_equal(addr_str(&m->to.peer, peer), "198.51.100.80:5070");
	assert_non_null(strstr(m->text, "MESSAGE sip:carol@elsewhere.example SIP/2.0"));
	assert_non_null(strstr(m->text, "Route: <sip:198.51.100.80:5070;lr>"));
	sent_free(m);
	world_free(s.w);
}

static void
a_strict_router_behind_us_gets_its_address_as_request_uri(void **state)
{
	struct scene s = make_scene();
	struct sent *m;

	(void)state;
	send_raw(&s.alice, "MESSAGE", "sip:carol@elsewhere.example",
	    "Route: <sip:198.51.100.80>\n");
	m = world_expect(s.w, "MESSAGE", OUTSIDE);
	assert_non_null(strstr(m->text, "MESSAGE sip:198.51.100.80 SIP/2.0"));
	assert_non_null(strstr(m->text, "Route: <sip:carol@elsewhere.example>"));
	sent_free(m);
	world_free(s.w);
}

static void
a_strict_router_before_us_put_our_record_route_into_the_request_uri(void **state)
{
	struct scene s = make_scene();
	struct sent *m;

	(void)state;
	send_raw(&s.alice, "MESSAGE", "sip:192.168.1.5:5060;lr", "Route: <sip:olga@example.com>\n");
	m = world_expect(s.w, "MESSAGE", OUTSIDE);
	assert_non_null(strstr(m->text, "MESSAGE sip:olga@198.51.100.7:5060 SIP/2.0"));
	sent_free(m);
	world_free(s.w);
}

static void
a_foreign_literal_goes_out_a_private_one_stays_in_its_network(void **state)
{
	struct scene s = make_scene();
	struct sent *m;
	char peer[ADDR_STR_MAX];

	(void)state;
	send_raw(&s.alice, "MESSAGE", "sip:carol@198.51.100.99:5099;transport=tcp", "");
	m = world_expect(s.w, "MESSAGE", OUTSIDE);
	assert_int_equal(m->to.proto, SIP_TCP);
	assert_string_equal(addr_str(&m->to.peer, peer), "198.51.100.99:5099");
	assert_non_null(strstr(m->text, "Via: SIP/2.0/TCP 203.0.113.10:5060"));
	sent_free(m);
	send_raw(&s.alice, "MESSAGE", "sip:dave@192.168.1.77", "");
	m = world_expect(s.w, "MESSAGE", OFFICE);
	assert_string_equal(addr_str(&m->to.peer, peer), "192.168.1.77:5060");
	sent_free(m);
	world_free(s.w);
}

static void
an_address_without_a_listener_of_its_kind_is_500(void **state)
{
	struct scene s = make_scene();

	(void)state;
	send_raw(&s.alice, "MESSAGE", "sip:carol@[2001:db8::1]", "");
	world_expect_dropped(s.w, "500", OFFICE);
	world_free(s.w);
}

static void
a_request_that_comes_back_unchanged_is_482_a_spiral_is_not(void **state)
{
	static const char again[] = "MESSAGE %s SIP/2.0\n"
				    "Via: SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bK%s\n"
				    "Via: SIP/2.0/UDP 203.0.113.10:5060;branch=z9hG4bKours\n"
				    "From: <sip:olga@example.com>;tag=t\n"
				    "To: <sip:x@example.com>\nCall-ID: %s\n"
				    "CSeq: %u MESSAGE\nContent-Length: 0\n\n";
	struct scene s = make_scene();
	char text[1024];

	(void)state;
	send_raw(&s.olga, "MESSAGE", "sip:alice@example.com", "");
	world_expect_dropped(s.w, "MESSAGE", OFFICE);
	snprintf(text, sizeof(text), again, "sip:alice@example.com", "a", s.olga.call_id,
	    s.olga.cseq);
	phone_raw(&s.olga, text);
	world_expect_dropped(s.w, "482", OUTSIDE);
	assert_int_equal(world_metric(s.w, "sip_loops"), 1);
	snprintf(text, sizeof(text), again, "sip:olga@example.com", "b", s.olga.call_id,
	    s.olga.cseq);
	phone_raw(&s.olga, text);
	world_expect_dropped(s.w, "MESSAGE", OUTSIDE);
	world_free(s.w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_end_of_max_forwards_is_483_and_options_is_answered),
		cmocka_unit_test(max_forwards_counts_down_and_is_added_when_absent),
		cmocka_unit_test(an_extension_asked_of_the_proxy_is_420),
		cmocka_unit_test(another_scheme_is_416),
		cmocka_unit_test(the_pair_answers_options_and_nothing_else_for_itself),
		cmocka_unit_test(unknown_methods_are_forwarded_by_the_general_rules),
		cmocka_unit_test(routes_that_name_the_pair_are_taken_off),
		cmocka_unit_test(a_route_to_another_proxy_is_followed),
		cmocka_unit_test(a_strict_router_behind_us_gets_its_address_as_request_uri),
		cmocka_unit_test(
		    a_strict_router_before_us_put_our_record_route_into_the_request_uri),
		cmocka_unit_test(a_foreign_literal_goes_out_a_private_one_stays_in_its_network),
		cmocka_unit_test(an_address_without_a_listener_of_its_kind_is_500),
		cmocka_unit_test(a_request_that_comes_back_unchanged_is_482_a_spiral_is_not),
	};

	sip_msg_init();
	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
