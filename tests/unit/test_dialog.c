/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "log/log.h"
#include "sip_world.h"

static const struct world_cfg relay = { .auth = SIP_AUTH_NONE, .direct = false };

static struct sip_msg *
message(const char *start, const char *headers)
{
	char text[1024];
	struct sip_msg *m;
	int n = snprintf(text, sizeof(text),
	    "%s\r\nVia: SIP/2.0/UDP 192.168.1.20:5062;branch=z9hG4bKx\r\n"
	    "From: <sip:a@example.com>;tag=1\r\nTo: <sip:b@example.com>;tag=2\r\n"
	    "Call-ID: real@192.168.1.20\r\nCSeq: 1 INVITE\r\n%s\r\n",
	    start, headers);

	assert_int_equal(sip_msg_parse(text, (size_t)n, &m), 0);
	return m;
}

static struct sip_flow
flow_of(uint32_t face, enum sip_proto proto, uint64_t conn, const char *peer)
{
	struct sip_flow f = { .face = face, .proto = proto, .conn = conn };

	assert_int_equal(addr_parse(peer, 0, &f.peer), 0);
	return f;
}

static void
the_side_of_a_request_has_its_contact_and_its_routes_in_order(void **state)
{
	struct sip_msg *m = message("INVITE sip:b@example.com SIP/2.0",
	    "Contact: <sip:a@192.168.1.20:5062>\r\n"
	    "Record-Route: <sip:192.168.1.31;lr>, <sip:192.168.1.30;lr>\r\n");
	struct sip_relay r = { .in = m, .request = m, .wire_call_id = "wire" };
	struct sip_dialog_side side = { 0 };

	(void)state;
	r.from = flow_of(OFFICE, SIP_UDP, 0, "192.168.1.31:5060");
	assert_int_equal(sip_dialog_side_learn(&side, &r), 0);
	assert_string_equal(side.contact, "sip:a@192.168.1.20:5062");
	assert_int_equal(side.route_n, 2);
	assert_string_equal(side.route[0], "sip:192.168.1.31;lr");
	assert_string_equal(side.call_id, "wire");
	assert_true(addr_equal(&side.flow.peer, &r.from.peer));
	sip_dialog_side_clear(&side);
	assert_null(side.contact);
	sip_msg_free(m);
}

static void
the_side_of_a_response_has_what_stands_above_our_entry_in_reverse(void **state)
{
	struct sip_msg *request =
	    message("INVITE sip:b@example.com SIP/2.0", "Record-Route: <sip:192.168.1.30;lr>\r\n");
	struct sip_msg *m = message("SIP/2.0 200 OK",
	    "Contact: <sip:b@198.51.100.7>\r\n"
	    "Record-Route: <sip:near.example;lr>, <sip:far.example;lr>\r\n"
	    "Record-Route: <sip:203.0.113.10:5060;lr>, <sip:vofw-x@203.0.113.10;lr>\r\n");
	struct sip_relay r = { .in = m, .request = request, .upstream = true, .natted = true };
	struct sip_dialog_side side = { 0 };

	(void)state;
	r.from = flow_of(OUTSIDE, SIP_UDP, 0, "198.51.100.1:5060");
	assert_int_equal(sip_dialog_side_learn(&side, &r), 0);
	assert_int_equal(side.route_n, 2);
	assert_string_equal(side.route[0], "sip:far.example;lr");
	assert_string_equal(side.route[1], "sip:near.example;lr");
	sip_dialog_side_clear(&side);
	sip_msg_free(request);
	sip_msg_free(m);
}

static void
a_message_without_contact_teaches_nothing_and_forgets_nothing(void **state)
{
	struct sip_msg *m = message("INVITE sip:b@example.com SIP/2.0", "");
	struct sip_relay r = { .in = m, .request = m };
	struct sip_dialog_side side = { .contact = strdup("sip:kept@example.com") };

	(void)state;
	assert_int_equal(sip_dialog_side_learn(&side, &r), ERR_NOT_FOUND);
	assert_string_equal(side.contact, "sip:kept@example.com");
	sip_dialog_side_clear(&side);
	sip_msg_free(m);
}

static void
a_phone_that_listens_elsewhere_than_it_sends_is_reached_where_it_listens(void **state)
{
	struct sip_msg *m =
	    message("INVITE sip:b@example.com SIP/2.0", "Contact: <sip:a@192.168.1.20:5062>\r\n");
	struct sip_relay r = { .in = m, .request = m };
	struct sip_dialog_side side = { 0 };

	(void)state;
	r.from = flow_of(OFFICE, SIP_UDP, 0, "192.168.1.20:33333");
	assert_int_equal(sip_dialog_side_learn(&side, &r), 0);
	assert_int_equal(addr_port(&side.flow.peer), 5062);
	/* On a stream, by the stream. */
	r.from = flow_of(OFFICE, SIP_TCP, 9, "192.168.1.20:33333");
	assert_int_equal(sip_dialog_side_learn(&side, &r), 0);
	assert_int_equal(addr_port(&side.flow.peer), 33333);
	assert_int_equal(side.flow.conn, 9);
	sip_dialog_side_clear(&side);
	sip_msg_free(m);
}

static struct sip_originate
bye(const struct sip_dialog_side *side)
{
	return (struct sip_originate){ .method = SIP_BYE,
		.to = side,
		.call_id = "real@192.168.1.20",
		.from = "<sip:alice@192.168.1.20>;tag=1",
		.to_header = "<sip:olga@example.com>;tag=2",
		.cseq = 7 };
}

static void
a_bye_names_no_private_address_and_follows_the_route(void **state)
{
	struct world *w = world_new(&relay);
	char *routes[] = { (char *)(uintptr_t) "sip:198.51.100.1;lr" };
	struct sip_dialog_side side = { .contact = (char *)(uintptr_t) "sip:olga@198.51.100.7",
		.route = routes,
		.route_n = 1,
		.call_id = (char *)(uintptr_t) "sealed" };
	struct sip_originate o = bye(&side);
	struct sent *s;

	(void)state;
	side.flow = flow_of(OUTSIDE, SIP_UDP, 0, "198.51.100.1:5060");
	assert_int_equal(sip_server_originate(w->server, &o, w->now_us), 0);
	s = world_expect(w, "BYE", OUTSIDE);
	assert_non_null(strstr(s->text, "From: <sip:alice@example.com>;tag=1"));
	assert_non_null(strstr(s->text, "Call-ID: sealed"));
	assert_non_null(strstr(s->text, "Route: <sip:198.51.100.1;lr>"));
	assert_non_null(strstr(s->text, "CSeq: 7 BYE"));
	sent_free(s);
	world_free(w);
}

static void
what_cannot_be_sent_is_an_error(void **state)
{
	struct world *w = world_new(&relay);
	struct sip_dialog_side side = { .contact = (char *)(uintptr_t) "sip:olga@198.51.100.7" };
	struct sip_originate o = bye(&side);
	struct sip_flow to;
	char *text;
	size_t n;

	(void)state;
	side.flow = flow_of(77, SIP_UDP, 0, "198.51.100.1:5060");
	assert_int_equal(sip_server_originate(w->server, &o, w->now_us), ERR_DOWN);
	assert_int_equal(sip_server_render(w->server, &o, &text, &n, &to), ERR_DOWN);
	side.flow = flow_of(OUTSIDE, SIP_UDP, 0, "[2001:db8::1]:5060");
	assert_int_equal(sip_server_originate(w->server, &o, w->now_us), ERR_UNSUPPORTED);
	side.flow = flow_of(OUTSIDE, SIP_UDP, 0, "198.51.100.1:5060");
	side.contact = NULL;
	assert_int_equal(sip_server_originate(w->server, &o, w->now_us), ERR_MALFORMED);
	side.contact = (char *)(uintptr_t) "sip:olga@198.51.100.7";
	o.from = "<<<";
	assert_int_equal(sip_server_originate(w->server, &o, w->now_us), ERR_MALFORMED);
	world_free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_side_of_a_request_has_its_contact_and_its_routes_in_order),
		cmocka_unit_test(the_side_of_a_response_has_what_stands_above_our_entry_in_reverse),
		cmocka_unit_test(a_message_without_contact_teaches_nothing_and_forgets_nothing),
		cmocka_unit_test(
		    a_phone_that_listens_elsewhere_than_it_sends_is_reached_where_it_listens),
		cmocka_unit_test(a_bye_names_no_private_address_and_follows_the_route),
		cmocka_unit_test(what_cannot_be_sent_is_an_error),
	};

	sip_msg_init();
	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
