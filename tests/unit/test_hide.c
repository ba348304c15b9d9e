/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "log/log.h"
#include "sip/hide.h"
#include "sip_world.h"

/*
 * The world fails on any "192.168.1." that leaves on the outside face; here are the messages that
 * try, and the proof that what was hidden is found again.
 */
static const struct world_cfg relay = { .auth = SIP_AUTH_NONE, .direct = false };

struct pair_of_phones {
	struct world *w;
	struct phone alice, olga; /* inside, outside */
};

static struct pair_of_phones
make_pair(void)
{
	struct pair_of_phones p = { .w = world_new(&relay) };

	phone_init(&p.alice, p.w, OFFICE, "alice", "192.168.1.20:5062");
	phone_init(&p.olga, p.w, OUTSIDE, "olga", "198.51.100.7:5060");
	phone_registered(&p.alice);
	phone_registered(&p.olga);
	return p;
}

/* -- Text -- */

static const char *const betraying_headers[] = {
	"Warning: 399 192.168.1.20 \"from 192.168.1.5\"",
	"Call-Info: <http://192.168.1.20/photo.jpg>;purpose=icon",
	"Alert-Info: <http://192.168.1.20:8080/ring.wav>",
	"P-Asserted-Identity: \"Alice\" <sip:alice@192.168.1.5>",
	"P-Preferred-Identity: <sip:alice@192.168.1.20:5062;transport=udp>",
	"Remote-Party-ID: <sip:alice@192.168.1.20>;party=calling",
	"Diversion: <sip:100@192.168.1.5>;reason=user-busy",
	"History-Info: <sip:100@192.168.1.5>;index=1",
	"Subject: call me at 192.168.1.20, or 192.168.1.20:5062.",
	"X-Phone-Address: a192.168.1.20b 1.192.168.1.20 [192.168.1.20]",
	"X-Mapped: ::ffff:192.168.1.20",
	"User-Agent: Phone/1.2 (192.168.1.20)",
	"Organization: 192.168.1.20",
	"Path: <sip:192.168.1.30;lr>",
	"Geolocation: <sip:alice@192.168.1.20>",
	"Via: SIP/2.0/UDP 192.168.1.30;branch=z9hG4bKinner",
	"Record-Route: <sip:192.168.1.30;lr>",
	"Contact: \"192.168.1.20\" <sip:alice@192.168.1.20>;x=\"192.168.1.20\"",
	"Authorization: Basic 192.168.1.20",
	"Refer-To: <sip:bob@192.168.1.21:5064?Replaces=c%40192.168.1.20%3Bto-tag%3D1%3Bfrom-tag%3D2>",
	"Referred-By: <sip:alice@192.168.1.20>",
	"Replaces: c@192.168.1.20;to-tag=1;from-tag=2",
	"In-Reply-To: a@192.168.1.20, b@192.168.1.20",
	"Target-Dialog: c@192.168.1.20;local-tag=1;remote-tag=2",
};
#define BETRAYING_N (sizeof(betraying_headers) / sizeof(betraying_headers[0]))

static void
no_header_of_a_request_tells_an_inside_address(void **state)
{
	struct pair_of_phones p = make_pair();

	(void)state;
	for (size_t i = 0; i < BETRAYING_N; i++) {
		snprintf(p.alice.extra, sizeof(p.alice.extra), "%s\n", betraying_headers[i]);
		phone_request(&p.alice, "SUBSCRIBE", "sip:olga@example.com",
		    "sip:olga@example.com");
		world_expect_dropped(p.w, "SUBSCRIBE", OUTSIDE);
	}
	world_free(p.w);
}

/* A response with a header of one's own. */
static void
answer_with(struct phone *p, const struct sent *request, int status, const char *header)
{
	struct sip_msg *m = sip_msg_response(request->m, status, NULL, p->tag);
	char *text, *with;
	size_t n;

	assert_int_equal(sip_msg_encode(m, &text, &n), 0);
	with = malloc(n + strlen(header) + 128);
	assert_non_null(with);
	sprintf(with, "%.*s%s\r\nContact: <%s>\r\nContent-Length: 0\r\n\r\n",
	    (int)(strstr(text, "Content-Length") - text), text, header, p->contact);
	sip_server_receive(p->w->server, &p->flow, with, strlen(with), p->w->now_us);
	free(with);
	free(text);
	sip_msg_free(m);
}

static void
no_header_of_a_response_tells_an_inside_address(void **state)
{
	struct pair_of_phones p = make_pair();
	struct sent *s;

	(void)state;
	for (size_t i = 0; i < BETRAYING_N; i++) {
		if (strncmp(betraying_headers[i], "Via", 3) == 0)
			continue;
		phone_request(&p.olga, "SUBSCRIBE", "sip:alice@example.com",
		    "sip:alice@example.com");
		s = world_expect(p.w, "SUBSCRIBE", OFFICE);
		answer_with(&p.alice, s, 200, betraying_headers[i]);
		sent_free(s);
		world_expect_dropped(p.w, "200", OUTSIDE);
	}
	world_free(p.w);
}

static void
a_redirection_tells_no_inside_address_and_can_be_followed(void **state)
{
	struct pair_of_phones p = make_pair();
	char uri[1024];
	struct sent *s;

	(void)state;
	phone_invite(&p.olga, "sip:alice@example.com");
	world_expect_dropped(p.w, "100", OUTSIDE);
	s = world_expect(p.w, "INVITE", OFFICE);
	strcpy(p.alice.contact, "sip:desk@192.168.1.44:5066");
	answer_with(&p.alice, s, 302, "X: y");
	sent_free(s);
	world_expect_dropped(p.w, "ACK", OFFICE);
	s = world_expect(p.w, "302", OUTSIDE);
	assert_int_equal(sscanf(strstr(s->text, "Contact:"), "Contact: <%1023[^>]>", uri), 1);
	sent_free(s);
	phone_invite(&p.olga, uri);
	world_expect_dropped(p.w, "100", OUTSIDE);
	s = world_expect(p.w, "INVITE", OFFICE);
	assert_non_null(strstr(s->text, "INVITE sip:desk@192.168.1.44:5066 SIP/2.0"));
	sent_free(s);
	world_free(p.w);
}

static void
no_body_tells_an_inside_address(void **state)
{
	static const struct {
		const char *type, *body;
	} bodies[] = {
		{ "text/plain", "meet me at 192.168.1.20" },
		{ "application/pidf+xml", "<contact>sip:alice@192.168.1.20:5062</contact>" },
		{ "message/sipfrag", "SIP/2.0 200 OK\r\nContact: <sip:alice@192.168.1.20>\r\n" },
		{ "application/sdp",
		    "v=0\r\no=- 1 1 IN IP4 192.168.1.20\r\ns=192.168.1.20\r\n"
		    "c=IN IP4 192.168.1.20\r\nt=0 0\r\nm=audio 1 RTP/AVP 0\r\n" },
	};
	struct pair_of_phones p = make_pair();
	struct sent *s;
	size_t n;

	(void)state;
	p.w->rewrite = false;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		strcpy(p.alice.body, bodies[i].body);
		p.alice.type = bodies[i].type;
		phone_request(&p.alice, "MESSAGE", "sip:olga@example.com", "sip:olga@example.com");
		s = world_expect(p.w, "MESSAGE", OUTSIDE);
		assert_non_null(sip_msg_body(s->m, &n));
		assert_true(n >= strlen(bodies[i].body) - 4);
		sent_free(s);
	}
	assert_int_equal(world_metric(p.w, "sip_swept"), 4);
	world_free(p.w);
}

/* An outside face in a DMZ is private itself: what the relay wrote stays, what it left goes. */
static void
what_the_relay_wrote_stays_also_when_it_is_private(void **state)
{
	struct pair_of_phones p = make_pair();
	struct sent *s;

	(void)state;
	p.w->media = "10.99.0.1";
	strcpy(p.alice.body,
	    "v=0\r\no=- 1 1 IN IP4 10.0.0.3\r\ns=10.0.0.3\r\nc=IN IP4 10.0.0.3\r\n"
	    "t=0 0\r\nm=audio 4000 RTP/AVP 0\r\n");
	snprintf(p.alice.extra, sizeof(p.alice.extra), "X-Media: 10.0.0.3\n");
	phone_request(&p.alice, "INVITE", "sip:olga@example.com", "sip:olga@example.com");
	world_expect_dropped(p.w, "100", OFFICE);
	s = world_expect(p.w, "INVITE", OUTSIDE);
	assert_non_null(strstr(s->text, "c=IN IP4 10.99.0.1"));
	assert_null(strstr(s->text, "10.0.0.3"));
	sent_free(s);
	/* What is no call of the relay's is not rewritten by it. */
	p.w->rewrite = false;
	strcpy(p.alice.body,
	    "v=0\r\no=- 1 1 IN IP4 10.0.0.3\r\ns=-\r\nc=IN IP4 10.0.0.3\r\n"
	    "t=0 0\r\nm=audio 4000 RTP/AVP 0\r\n");
	phone_request(&p.alice, "OPTIONS", "sip:olga@example.com", "sip:olga@example.com");
	s = world_expect(p.w, "OPTIONS", OUTSIDE);
	assert_null(strstr(s->text, "10.0.0.3"));
	assert_non_null(strstr(s->text, "c=IN IP4 203.0.113.10"));
	sent_free(s);
	world_free(p.w);
}

/* The usual call needs no second writing: the sweep finds nothing. */
static void
a_usual_call_is_hidden_before_the_last_look(void **state)
{
	struct pair_of_phones p = make_pair();
	struct dialog da, dolga;

	(void)state;
	call_up(&p.alice, &p.olga, "sip:olga@example.com", &da, &dolga);
	world_expect_dropped(p.w, "ACK", OUTSIDE);
	dialog_clear(&da);
	dialog_clear(&dolga);
	call_up(&p.olga, &p.alice, "sip:alice@example.com", &dolga, &da);
	world_expect_dropped(p.w, "ACK", OFFICE);
	assert_int_equal(world_metric(p.w, "sip_swept"), 0);
	dialog_clear(&da);
	dialog_clear(&dolga);
	world_free(p.w);
}

static void
a_public_address_used_inside_is_hidden_too(void **state)
{
	struct pair_of_phones p = make_pair();
	struct phone carol;
	struct sent *s;

	(void)state;
	phone_init(&carol, p.w, OFFICE, "carol", "11.22.33.44:5060");
	strcpy(carol.domain, "11.22.33.44");
	strcpy(carol.extra, "X-My-Address: 11.22.33.44\n");
	phone_request(&carol, "SUBSCRIBE", "sip:olga@example.com", "sip:olga@example.com");
	s = world_expect(p.w, "SUBSCRIBE", OUTSIDE);
	assert_null(strstr(s->text, "11.22.33.44"));
	sent_free(s);
	world_free(p.w);
}

static void
ipv6_of_the_inside_is_hidden_too(void **state)
{
	struct pair_of_phones p = make_pair();
	struct sent *s;

	(void)state;
	strcpy(p.alice.extra,
	    "X-A: fd12::20 [fd12:0::20]:5060 12:34:56 FE80::1\n"
	    "Date: Sat, 13 Nov 2010 23:29:00 GMT\n");
	phone_request(&p.alice, "SUBSCRIBE", "sip:olga@example.com", "sip:olga@example.com");
	s = world_expect(p.w, "SUBSCRIBE", OUTSIDE);
	assert_non_null(strstr(s->text,
	    "X-A: 203.0.113.10 203.0.113.10:5060 12:34:56 203.0.113.10"));
	assert_non_null(strstr(s->text, "23:29:00 GMT"));
	sent_free(s);
	world_free(p.w);
}

static void
what_is_harmless_stays_as_it_was(void **state)
{
	struct pair_of_phones p = make_pair();
	struct sent *s;

	(void)state;
	strcpy(p.alice.extra, "X-Version: 1.2.3.4 8.8.8.8\nSubject: 192.168 and 1.1\n");
	phone_request(&p.alice, "SUBSCRIBE", "sip:olga@example.com", "sip:olga@example.com");
	s = world_expect(p.w, "SUBSCRIBE", OUTSIDE);
	assert_non_null(strstr(s->text, "X-Version: 1.2.3.4 8.8.8.8"));
	assert_non_null(strstr(s->text, "Subject: 192.168 and 1.1"));
	assert_int_equal(world_metric(p.w, "sip_swept"), 0);
	sent_free(s);
	world_free(p.w);
}

/* -- Names -- */

static void
inside_addresses_in_from_and_to_become_the_domain_and_come_back(void **state)
{
	struct pair_of_phones p = make_pair();
	struct sent *s;

	(void)state;
	strcpy(p.alice.domain, "192.168.1.5");
	phone_request(&p.alice, "MESSAGE", "sip:olga@192.168.1.5", "sip:olga@192.168.1.5:5060");
	s = world_expect(p.w, "MESSAGE", OUTSIDE);
	assert_non_null(strstr(s->text, "<sip:alice@example.com>;tag="));
	assert_non_null(strstr(s->text, "To: <sip:olga@example.com>"));
	phone_answer(&p.olga, s, 200);
	sent_free(s);
	s = world_expect(p.w, "200", OFFICE);
	assert_non_null(strstr(s->text, "<sip:alice@192.168.1.5>;tag="));
	assert_non_null(strstr(s->text, "To: <sip:olga@192.168.1.5:5060>;tag=olga"));
	sent_free(s);
	world_free(p.w);
}

static void
the_vias_of_the_caller_stay_at_home_and_come_back(void **state)
{
	struct pair_of_phones p = make_pair();
	struct sent *s;

	(void)state;
	phone_be_natted(&p.olga, "10.0.0.7:5099");
	strcpy(p.olga.extra, "Via: SIP/2.0/UDP behind.example;branch=z9hG4bKinner\n");
	phone_request(&p.olga, "MESSAGE", "sip:alice@example.com", "sip:alice@example.com");
	s = world_expect(p.w, "MESSAGE", OFFICE);
	assert_int_equal(osip_list_size(&s->m->osip->vias), 1);
	phone_answer(&p.alice, s, 200);
	sent_free(s);
	s = world_expect(p.w, "200", OUTSIDE);
	assert_int_equal(osip_list_size(&s->m->osip->vias), 2);
	assert_non_null(strstr(s->text, "10.0.0.7:5099"));
	assert_non_null(strstr(s->text, "received=198.51.100.7"));
	assert_true(addr_equal(&s->to.peer, &p.olga.flow.peer));
	sent_free(s);
	world_free(p.w);
}

static void
a_call_id_is_sealed_on_the_way_out_and_the_hook_sees_the_real_one(void **state)
{
	struct pair_of_phones p = make_pair();
	struct dialog da, dolga;

	(void)state;
	call_up(&p.alice, &p.olga, "sip:olga@example.com", &da, &dolga);
	world_expect_dropped(p.w, "ACK", OUTSIDE);
	assert_string_equal(da.call_id, p.alice.call_id);
	assert_true(seal_marked(dolga.call_id));
	dialog_request(&dolga, &p.olga, "INFO");
	world_expect_dropped(p.w, "INFO", OFFICE);
	assert_string_equal(p.w->hooked.call_id, p.alice.call_id);
	assert_string_equal(p.w->hooked.wire_call_id, dolga.call_id);
	dialog_clear(&da);
	dialog_clear(&dolga);
	world_free(p.w);
}

static void
replaces_of_a_hidden_dialog_names_the_real_one_inside(void **state)
{
	struct pair_of_phones p = make_pair();
	struct dialog da, dolga;
	char expected[256];
	struct sent *s;

	(void)state;
	call_up(&p.alice, &p.olga, "sip:olga@example.com", &da, &dolga);
	world_expect_dropped(p.w, "ACK", OUTSIDE);
	snprintf(p.olga.extra, sizeof(p.olga.extra), "Replaces: %s;to-tag=1;from-tag=2\n",
	    dolga.call_id);
	phone_invite(&p.olga, "sip:alice@example.com");
	world_expect_dropped(p.w, "100", OUTSIDE);
	s = world_expect(p.w, "INVITE", OFFICE);
	snprintf(expected, sizeof(expected), "Replaces: %s;to-tag=1;from-tag=2", p.alice.call_id);
	assert_non_null(strstr(s->text, expected));
	sent_free(s);
	dialog_clear(&da);
	dialog_clear(&dolga);
	world_free(p.w);
}

/* -- References -- */

/* What stands in the Refer-To of the REFER that comes out. */
static void
refer(struct phone *from, const char *to_user, const char *refer_to, char uri[static 2048])
{
	char target[128];
	struct sent *s;

	snprintf(target, sizeof(target), "sip:%s@example.com", to_user);
	snprintf(from->extra, sizeof(from->extra), "Refer-To: <%s>\n", refer_to);
	phone_request(from, "REFER", target, target);
	s = world_take(from->w);
	assert_string_equal(sip_msg_method_str(s->m), "REFER");
	assert_int_equal(sscanf(sip_msg_header(s->m, "Refer-To"), "<%2047[^>]>", uri), 1);
	sent_free(s);
}

static void
a_reference_to_an_inside_phone_can_be_called_from_outside(void **state)
{
	struct pair_of_phones p = make_pair();
	char uri[2048];
	struct sent *s;

	(void)state;
	refer(&p.alice, "olga", "sip:bob@192.168.1.21:5064", uri);
	phone_invite(&p.olga, uri);
	world_expect_dropped(p.w, "100", OUTSIDE);
	s = world_expect(p.w, "INVITE", OFFICE);
	assert_non_null(strstr(s->text, "INVITE sip:bob@192.168.1.21:5064 SIP/2.0"));
	sent_free(s);
	world_free(p.w);
}

static void
references_to_domains_stay_and_our_address_becomes_that_of_the_other_side(void **state)
{
	struct pair_of_phones p = make_pair();
	char uri[2048];

	(void)state;
	refer(&p.alice, "olga", "sip:carol@elsewhere.example", uri);
	assert_string_equal(uri, "sip:carol@elsewhere.example");
	refer(&p.alice, "olga", "sip:bob@192.168.1.5", uri);
	assert_string_equal(uri, "sip:bob@203.0.113.10:5060");
	refer(&p.olga, "alice", "sip:bob@203.0.113.10", uri);
	assert_string_equal(uri, "sip:bob@192.168.1.5:5060");
	world_free(p.w);
}

static void
a_token_given_on_by_refer_names_the_pair_where_it_arrives(void **state)
{
	struct pair_of_phones p = make_pair();
	struct dialog da, dolga;
	struct phone bob;
	char uri[2048];
	struct sent *s;

	(void)state;
	phone_init(&bob, p.w, BRANCH, "bob", "192.168.1.31:5060");
	phone_registered(&bob);
	call_up(&p.alice, &p.olga, "sip:olga@example.com", &da, &dolga);
	world_expect_dropped(p.w, "ACK", OUTSIDE);
	refer(&p.olga, "bob", dolga.target, uri); /* olga sends bob to alice */
	assert_non_null(strstr(uri, "@192.168.1.5:5060"));
	phone_invite(&bob, uri);
	world_expect_dropped(p.w, "100", BRANCH);
	s = world_expect(p.w, "INVITE", OFFICE);
	assert_non_null(strstr(s->text, "INVITE sip:alice@192.168.1.20:5062 SIP/2.0"));
	sent_free(s);
	dialog_clear(&da);
	dialog_clear(&dolga);
	world_free(p.w);
}

/* -- Proxies behind the faces -- */

/* Alice's calls pass a PBX in her network that stays in the dialog. */
static void
an_inner_proxy_is_hidden_and_gets_what_comes_back(void **state)
{
	struct pair_of_phones p = make_pair();
	struct dialog dolga;
	struct phone pbx;
	struct sent *s;

	(void)state;
	phone_init(&pbx, p.w, OFFICE, "alice", "192.168.1.30:5060");
	strcpy(pbx.contact, "sip:alice@192.168.1.20:5062");
	strcpy(pbx.extra, "Record-Route: <sip:192.168.1.30;lr;session=7>\n");
	phone_invite(&pbx, "sip:olga@example.com");
	world_expect_dropped(p.w, "100", OFFICE);
	s = world_expect(p.w, "INVITE", OUTSIDE);
	assert_int_equal(osip_list_size(&s->m->osip->record_routes), 2);
	dialog_of_callee(&dolga, &p.olga, s);
	phone_answer(&p.olga, s, 200);
	sent_free(s);
	s = world_expect(p.w, "200", OFFICE);
	assert_non_null(strstr(s->text, "Record-Route: <sip:192.168.1.5:5060;lr>"));
	assert_non_null(strstr(s->text, "Record-Route: <sip:192.168.1.30;lr;session=7>"));
	sent_free(s);
	dialog_request(&dolga, &p.olga, "BYE");
	s = world_expect(p.w, "BYE", OFFICE);
	assert_true(addr_equal(&s->to.peer, &pbx.flow.peer));
	assert_non_null(strstr(s->text, "BYE sip:alice@192.168.1.20:5062 SIP/2.0"));
	assert_non_null(strstr(s->text, "Route: <sip:192.168.1.30;lr;session=7>"));
	sent_free(s);
	dialog_clear(&dolga);
	world_free(p.w);
}

/* The called phone's proxy, of which the caller outside must not know. */
static void
an_inner_proxy_of_the_callee_is_hidden_and_reached_again(void **state)
{
	struct pair_of_phones p = make_pair();
	struct dialog dolga;
	struct sent *s, *ok;
	char *end, extra[256];

	(void)state;
	phone_invite(&p.olga, "sip:alice@example.com");
	world_expect_dropped(p.w, "100", OUTSIDE);
	s = world_expect(p.w, "INVITE", OFFICE);
	end = strstr(s->text, "Record-Route: ");
	assert_non_null(end);
	snprintf(extra, sizeof(extra), "Record-Route: <sip:192.168.1.30;lr>\r\n%.*s",
	    (int)strcspn(end, "\r"), end);
	answer_with(&p.alice, s, 200, extra);
	sent_free(s);
	ok = world_expect(p.w, "200", OUTSIDE);
	assert_int_equal(osip_list_size(&ok->m->osip->record_routes), 2);
	dialog_of_caller(&dolga, &p.olga, ok);
	sent_free(ok);
	dialog_request(&dolga, &p.olga, "ACK");
	s = world_expect(p.w, "ACK", OFFICE);
	assert_non_null(strstr(s->text, "ACK sip:alice@192.168.1.20:5062 SIP/2.0"));
	assert_non_null(strstr(s->text, "Route: <sip:192.168.1.30;lr>"));
	sent_free(s);
	dialog_clear(&dolga);
	world_free(p.w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_header_of_a_request_tells_an_inside_address),
		cmocka_unit_test(no_header_of_a_response_tells_an_inside_address),
		cmocka_unit_test(a_redirection_tells_no_inside_address_and_can_be_followed),
		cmocka_unit_test(no_body_tells_an_inside_address),
		cmocka_unit_test(what_the_relay_wrote_stays_also_when_it_is_private),
		cmocka_unit_test(a_usual_call_is_hidden_before_the_last_look),
		cmocka_unit_test(a_public_address_used_inside_is_hidden_too),
		cmocka_unit_test(ipv6_of_the_inside_is_hidden_too),
		cmocka_unit_test(what_is_harmless_stays_as_it_was),
		cmocka_unit_test(inside_addresses_in_from_and_to_become_the_domain_and_come_back),
		cmocka_unit_test(the_vias_of_the_caller_stay_at_home_and_come_back),
		cmocka_unit_test(a_call_id_is_sealed_on_the_way_out_and_the_hook_sees_the_real_one),
		cmocka_unit_test(replaces_of_a_hidden_dialog_names_the_real_one_inside),
		cmocka_unit_test(a_reference_to_an_inside_phone_can_be_called_from_outside),
		cmocka_unit_test(
		    references_to_domains_stay_and_our_address_becomes_that_of_the_other_side),
		cmocka_unit_test(a_token_given_on_by_refer_names_the_pair_where_it_arrives),
		cmocka_unit_test(an_inner_proxy_is_hidden_and_gets_what_comes_back),
		cmocka_unit_test(an_inner_proxy_of_the_callee_is_hidden_and_reached_again),
	};

	sip_msg_init();
	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
