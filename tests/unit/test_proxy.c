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
#include "sip_world.h"

static const struct world_cfg relay = { .auth = SIP_AUTH_NONE, .direct = false };
static const struct world_cfg direct = { .auth = SIP_AUTH_NONE, .direct = true };

static void
hang_up(struct phone *by, struct dialog *d, struct phone *other)
{
	struct world *w = by->w;
	struct sent *bye;

	dialog_request(d, by, "BYE");
	bye = world_expect(w, "BYE", other->flow.face);
	assert_true(addr_equal(&bye->to.peer, &other->flow.peer));
	phone_answer(other, bye, 200);
	sent_free(bye);
	world_expect_dropped(w, "200", by->flow.face);
}

static struct phone
phone_at(struct world *w, uint32_t face, const char *name, const char *at)
{
	struct phone p;

	phone_init(&p, w, face, name, at);
	return p;
}

static void
expect_ack(struct phone *at)
{
	struct sent *ack = world_expect(at->w, "ACK", at->flow.face);

	assert_true(addr_equal(&ack->to.peer, &at->flow.peer));
	sent_free(ack);
}

/* A call hung up by the caller, and another one hung up by the callee. */
static void
two_calls(struct phone *caller, struct phone *callee, const char *uri)
{
	struct dialog dr, de;

	for (int i = 0; i < 2; i++) {
		call_up(caller, callee, uri, &dr, &de);
		expect_ack(callee);
		assert_string_equal(caller->w->hooked.call_id, caller->call_id);
		if (i == 0)
			hang_up(caller, &dr, callee);
		else
			hang_up(callee, &de, caller);
		assert_string_equal(caller->w->hooked.call_id, caller->call_id);
		dialog_clear(&dr);
		dialog_clear(&de);
		caller->call_id[0] = 'n';
	}
}

/* -- Calls, from every face to every face -- */

static void
inside_calls_outside_and_either_hangs_up(void **state)
{
	struct world *w = world_new(&relay);
	struct phone alice = phone_at(w, OFFICE, "alice", "192.168.1.20:5062");
	struct phone olga = phone_at(w, OUTSIDE, "olga", "198.51.100.7:5060");

	(void)state;
	phone_registered(&olga);
	two_calls(&alice, &olga, "sip:olga@example.com");
	world_free(w);
}

static void
outside_calls_inside_and_either_hangs_up(void **state)
{
	struct world *w = world_new(&relay);
	struct phone alice = phone_at(w, OFFICE, "alice", "192.168.1.20:5062");
	struct phone stranger = phone_at(w, OUTSIDE, "stranger", "198.51.100.7:5060");

	(void)state;
	strcpy(stranger.domain, "elsewhere.example");
	phone_registered(&alice);
	two_calls(&stranger, &alice, "sip:alice@example.com");
	two_calls(&stranger, &alice, "sip:alice@203.0.113.10");
	world_free(w);
}

static void
two_networks_with_the_same_addresses_call_each_other(void **state)
{
	struct world *w = world_new(&direct);
	struct phone alice = phone_at(w, OFFICE, "alice", "192.168.1.20:5060");
	struct phone bob = phone_at(w, BRANCH, "bob", "192.168.1.20:5060");

	(void)state;
	phone_registered(&alice);
	phone_registered(&bob);
	two_calls(&alice, &bob, "sip:bob@192.168.1.5");
	two_calls(&bob, &alice, "sip:alice@example.com");
	world_free(w);
}

static void
two_phones_of_one_network_call_through_the_pair_when_told_so(void **state)
{
	struct world *w = world_new(&relay);
	struct phone alice = phone_at(w, OFFICE, "alice", "192.168.1.20:5060");
	struct phone bob = phone_at(w, OFFICE, "bob", "192.168.1.21:5060");

	(void)state;
	phone_registered(&bob);
	two_calls(&alice, &bob, "sip:bob@example.com");
	assert_false(w->hooked.direct);
	world_free(w);
}

static void
two_users_outside_behind_their_nats_call_each_other(void **state)
{
	struct world *w = world_new(&relay);
	struct phone alice = phone_at(w, OUTSIDE, "alice", "198.51.100.7:40000");
	struct phone bob = phone_at(w, OUTSIDE, "bob", "198.51.100.99:50000");

	(void)state;
	phone_be_natted(&alice, "10.0.0.2:5060");
	phone_be_natted(&bob, "10.0.0.2:5060");
	phone_registered(&alice);
	phone_registered(&bob);
	two_calls(&alice, &bob, "sip:bob@example.com");
	world_free(w);
}

static void
a_phone_on_tcp_is_reached_by_its_connection(void **state)
{
	struct world *w = world_new(&relay);
	struct phone alice = phone_at(w, OFFICE, "alice", "192.168.1.20:41234");
	struct phone olga = phone_at(w, OUTSIDE, "olga", "198.51.100.7:51234");
	struct dialog da, db;
	struct sent *s;

	(void)state;
	phone_be_natted(&alice, "192.168.1.20:5060");
	phone_use_tcp(&alice, 7);
	phone_use_tcp(&olga, 9);
	phone_registered(&olga);
	call_up(&alice, &olga, "sip:olga@example.com", &da, &db);
	s = world_expect(w, "ACK", OUTSIDE);
	assert_int_equal(s->to.proto, SIP_TCP);
	assert_int_equal(s->to.conn, 9);
	sent_free(s);
	dialog_request(&db, &olga, "BYE");
	s = world_expect(w, "BYE", OFFICE);
	assert_int_equal(s->to.proto, SIP_TCP);
	assert_int_equal(s->to.conn, 7);
	phone_answer(&alice, s, 200);
	sent_free(s);
	world_expect_dropped(w, "200", OUTSIDE);
	dialog_clear(&da);
	dialog_clear(&db);
	world_free(w);
}

static void
a_call_outlives_a_restart_of_the_server(void **state)
{
	struct world *w = world_new(&relay);
	struct phone alice = phone_at(w, OFFICE, "alice", "192.168.1.20:5062");
	struct phone olga = phone_at(w, OUTSIDE, "olga", "198.51.100.7:5060");
	struct dialog da, db;

	(void)state;
	phone_registered(&olga);
	call_up(&alice, &olga, "sip:olga@example.com", &da, &db);
	expect_ack(&olga);
	world_restart(w, &relay);
	hang_up(&olga, &db, &alice);
	dialog_clear(&da);
	dialog_clear(&db);
	world_free(w);
}

/* -- Direct calls -- */

static void
two_phones_of_one_network_talk_directly_after_the_200(void **state)
{
	struct world *w = world_new(&direct);
	struct phone alice = phone_at(w, OFFICE, "alice", "192.168.1.20:5060");
	struct phone bob = phone_at(w, OFFICE, "bob", "192.168.1.21:5062");
	struct sent *invite, *ok;
	struct dialog da;

	(void)state;
	phone_registered(&bob);
	phone_invite(&alice, "sip:bob@example.com");
	world_expect_dropped(w, "100", OFFICE);
	invite = world_expect(w, "INVITE", OFFICE);
	assert_true(w->hooked.direct);
	assert_non_null(strstr(invite->text, "<sip:alice@192.168.1.20:5060>"));
	assert_non_null(strstr(invite->text, "c=IN IP4 192.168.1.20"));
	assert_null(strstr(invite->text, "Record-Route"));
	phone_answer(&bob, invite, 200);
	sent_free(invite);
	ok = world_expect(w, "200", OFFICE);
	assert_true(w->hooked.direct);
	dialog_of_caller(&da, &alice, ok);
	assert_string_equal(da.target, "sip:bob@192.168.1.21:5062");
	assert_string_equal(da.routes, "");
	sent_free(ok);
	dialog_clear(&da);
	world_free(w);
}

static void
phones_that_cannot_reach_each_other_are_relayed_all_the_same(void **state)
{
	struct world *w = world_new(&direct);
	struct phone softphone = phone_at(w, OFFICE, "soft", "127.0.0.1:5070");
	struct phone natted = phone_at(w, OFFICE, "natted", "192.168.1.30:5999");
	struct phone bob = phone_at(w, OFFICE, "bob", "192.168.1.21:5062");

	(void)state;
	phone_be_natted(&natted, "172.16.0.2:5060");
	phone_registered(&bob);
	two_calls(&softphone, &bob, "sip:bob@example.com");
	assert_false(w->hooked.direct);
	two_calls(&natted, &bob, "sip:bob@example.com");
	assert_false(w->hooked.direct);
	world_free(w);
}

/* -- Ends without a call -- */

/* The same request with another method: CANCEL and ACK belong to their INVITE by its branch. */
static const char *
invite_text(const char *branch, const char *method)
{
	static char text[1024];

	snprintf(text, sizeof(text),
	    "%s sip:olga@example.com SIP/2.0\n"
	    "Via: SIP/2.0/UDP 192.168.1.20:5062;branch=%s\n"
	    "Max-Forwards: 70\nFrom: <sip:alice@example.com>;tag=a1\n"
	    "To: <sip:olga@example.com>\nCall-ID: c1@192.168.1.20\nCSeq: 1 %s\n"
	    "Contact: <sip:alice@192.168.1.20:5062>\nContent-Length: 0\n\n",
	    method, branch, method);
	return text;
}

static void
cancel_goes_to_the_callee_and_487_comes_back(void **state)
{
	struct world *w = world_new(&relay);
	struct phone alice = phone_at(w, OFFICE, "alice", "192.168.1.20:5062");
	struct phone olga = phone_at(w, OUTSIDE, "olga", "198.51.100.7:5060");
	struct sent *invite, *cancel;

	(void)state;
	phone_registered(&olga);
	phone_raw(&alice, invite_text("z9hG4bKcancel", "INVITE"));
	world_expect_dropped(w, "100", OFFICE);
	invite = world_expect(w, "INVITE", OUTSIDE);
	phone_answer(&olga, invite, 180);
	world_expect_dropped(w, "180", OFFICE);
	phone_raw(&alice, invite_text("z9hG4bKcancel", "CANCEL"));
	world_expect_dropped(w, "200", OFFICE);
	cancel = world_expect(w, "CANCEL", OUTSIDE);
	phone_answer(&olga, cancel, 200);
	phone_answer(&olga, invite, 487);
	world_expect_dropped(w, "ACK", OUTSIDE);
	world_expect_dropped(w, "487", OFFICE);
	assert_int_equal(w->hooked.invites_failed, 1);
	assert_int_equal(w->hooked.failed_status, 487);
	sent_free(invite);
	sent_free(cancel);
	phone_raw(&alice, invite_text("z9hG4bKcancel", "ACK"));
	world_free(w);
}

static void
busy_comes_back_and_is_told_to_the_hook_once(void **state)
{
	struct world *w = world_new(&relay);
	struct phone alice = phone_at(w, OFFICE, "alice", "192.168.1.20:5062");
	struct phone olga = phone_at(w, OUTSIDE, "olga", "198.51.100.7:5060");
	struct sent *invite, *busy;

	(void)state;
	phone_registered(&olga);
	phone_invite(&alice, "sip:olga@example.com");
	world_expect_dropped(w, "100", OFFICE);
	invite = world_expect(w, "INVITE", OUTSIDE);
	phone_answer(&olga, invite, 486);
	world_expect_dropped(w, "ACK", OUTSIDE);
	busy = world_expect(w, "486", OFFICE);
	assert_non_null(strstr(busy->text, alice.call_id));
	assert_non_null(strstr(busy->text, alice.via));
	assert_int_equal(w->hooked.invites_failed, 1);
	assert_int_equal(w->hooked.branches_failed, 1);
	sent_free(invite);
	sent_free(busy);
	world_free(w);
}

static void
who_is_not_there_is_480_who_is_nobody_404(void **state)
{
	struct world *w = world_new(&relay);
	struct phone alice = phone_at(w, OFFICE, "alice", "192.168.1.20:5062");

	(void)state;
	phone_invite(&alice, "sip:bob@example.com");
	world_expect_dropped(w, "480", OFFICE);
	alice.call_id[0] = 'x';
	phone_invite(&alice, "sip:nobody@example.com");
	world_expect_dropped(w, "404", OFFICE);
	assert_int_equal(w->hooked.calls, 0);
	assert_int_equal(w->hooked.invites_failed, 0);
	world_free(w);
}

static void
a_phone_behind_a_tunnel_that_is_down_is_480_at_once(void **state)
{
	struct world *w = world_new(&relay);
	struct phone alice = phone_at(w, OFFICE, "alice", "192.168.1.20:5062");
	struct phone olga = phone_at(w, OUTSIDE, "olga", "198.51.100.7:5060");

	(void)state;
	phone_registered(&alice);
	sip_server_face_down(w->server, OFFICE);
	phone_invite(&olga, "sip:alice@example.com");
	world_expect_dropped(w, "100", OUTSIDE);
	world_expect_dropped(w, "480", OUTSIDE);
	assert_int_equal(world_metric(w, "sip_face_down"), 1);
	world_free(w);
}

static void
a_phone_that_does_not_answer_is_408_in_the_end(void **state)
{
	struct world *w = world_new(&relay);
	struct phone alice = phone_at(w, OFFICE, "alice", "192.168.1.20:5062");
	struct phone olga = phone_at(w, OUTSIDE, "olga", "198.51.100.7:5060");
	struct sent *s;
	unsigned invites = 0;

	(void)state;
	phone_registered(&olga);
	phone_invite(&alice, "sip:olga@example.com");
	world_pass(w, 31600 * CLOCK_MS);
	world_expect_dropped(w, "100", OFFICE);
	for (; !world_is_empty(w); invites++)
		world_expect_dropped(w, "INVITE", OUTSIDE);
	assert_int_equal(invites, 7); /* 0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5 s */
	world_pass(w, 2 * CLOCK_S);
	s = world_expect(w, "408", OFFICE);
	assert_int_equal(w->hooked.failed_status, 408);
	sent_free(s);
	world_drop_all(w);
	world_free(w);
}

static void
an_undeliverable_invite_is_480_for_a_registered_phone(void **state)
{
	struct world *w = world_new(&relay);
	struct phone alice = phone_at(w, OFFICE, "alice", "192.168.1.20:5062");
	struct phone olga = phone_at(w, OUTSIDE, "olga", "198.51.100.7:5060");
	struct sent *invite;

	(void)state;
	phone_registered(&olga);
	phone_invite(&alice, "sip:olga@example.com");
	world_expect_dropped(w, "100", OFFICE);
	invite = world_expect(w, "INVITE", OUTSIDE);
	sip_server_send_failed(w->server,
	    &(struct sip_failure){ invite->to.face, invite->tag, ERR_IO }, w->now_us);
	world_pass(w, 1000);
	world_expect_dropped(w, "480", OFFICE);
	sent_free(invite);
	world_free(w);
}

static void
a_closed_connection_is_followed_by_the_contact(void **state)
{
	struct world *w = world_new(&relay);
	struct phone alice = phone_at(w, OFFICE, "alice", "192.168.1.20:41234");
	struct phone olga = phone_at(w, OUTSIDE, "olga", "198.51.100.7:5060");
	struct sent *invite, *again;
	char peer[ADDR_STR_MAX];

	(void)state;
	phone_be_natted(&alice, "192.168.1.20:5060");
	phone_use_tcp(&alice, 7);
	phone_registered(&alice);
	phone_invite(&olga, "sip:alice@example.com");
	world_expect_dropped(w, "100", OUTSIDE);
	invite = world_expect(w, "INVITE", OFFICE);
	assert_int_equal(invite->to.conn, 7);
	sip_server_send_failed(w->server,
	    &(struct sip_failure){ invite->to.face, invite->tag, ERR_IO }, w->now_us);
	world_pass(w, 1000);
	again = world_expect(w, "INVITE", OFFICE);
	assert_int_equal(again->to.conn, 0);
	assert_string_equal(addr_str(&again->to.peer, peer), "192.168.1.20:5060");
	sent_free(invite);
	sent_free(again);
	world_free(w);
}

static void
a_request_that_nobody_answers_is_not_answered_408(void **state)
{
	struct world *w = world_new(&relay);
	struct phone alice = phone_at(w, OFFICE, "alice", "192.168.1.20:5062");
	struct phone olga = phone_at(w, OUTSIDE, "olga", "198.51.100.7:5060");

	(void)state;
	phone_registered(&olga);
	phone_request(&alice, "MESSAGE", "sip:olga@example.com", "sip:olga@example.com");
	world_pass(w, 40 * CLOCK_S);
	while (!world_is_empty(w))
		world_expect_dropped(w, "MESSAGE", OUTSIDE);
	assert_int_equal(world_metric(w, "sip_server_txns"), 0);
	assert_int_equal(world_metric(w, "sip_client_txns"), 0);
	world_free(w);
}

static void
a_phone_that_rings_for_ever_is_cancelled_after_three_minutes(void **state)
{
	struct world *w = world_new(&relay);
	struct phone alice = phone_at(w, OFFICE, "alice", "192.168.1.20:5062");
	struct phone olga = phone_at(w, OUTSIDE, "olga", "198.51.100.7:5060");
	struct sent *invite;

	(void)state;
	phone_registered(&olga);
	phone_invite(&alice, "sip:olga@example.com");
	world_expect_dropped(w, "100", OFFICE);
	invite = world_expect(w, "INVITE", OUTSIDE);
	phone_answer(&olga, invite, 180);
	world_expect_dropped(w, "180", OFFICE);
	world_pass(w, 120 * CLOCK_S);
	phone_answer(&olga, invite, 180); /* Timer C begins anew */
	world_expect_dropped(w, "180", OFFICE);
	world_pass(w, 181 * CLOCK_S);
	assert_true(world_is_silent(w));
	world_pass(w, 10 * CLOCK_S);
	world_expect_dropped(w, "CANCEL", OUTSIDE);
	world_pass(w, 33 * CLOCK_S);
	while (w->out->to.face == OUTSIDE)
		world_expect_dropped(w, "CANCEL", OUTSIDE);
	world_expect_dropped(w, "408", OFFICE);
	sent_free(invite);
	world_drop_all(w);
	world_free(w);
}

static void
an_answer_too_long_to_be_relayed_becomes_500(void **state)
{
	static char header[65000];
	struct world *w = world_new(&relay);
	struct phone alice = phone_at(w, OFFICE, "alice", "192.168.1.20:5062");
	struct phone olga = phone_at(w, OUTSIDE, "olga", "198.51.100.7:5060");
	struct sent *s;

	(void)state;
	phone_registered(&alice);
	snprintf(olga.extra, sizeof(olga.extra),
	    "Via: SIP/2.0/UDP %0300d.example;branch=z9hG4bKx\n", 1);
	phone_request(&olga, "MESSAGE", "sip:alice@example.com", "sip:alice@example.com");
	s = world_expect(w, "MESSAGE", OFFICE);
	memset(header, 'x', sizeof(header) - 1);
	phone_answer_with(&alice, s, 200, "X", header);
	sent_free(s);
	world_expect_dropped(w, "500", OUTSIDE);
	world_free(w);
}

/* -- Forks -- */

static void
register_twice(struct phone *inside, struct phone *outside)
{
	phone_registered(inside);
	phone_registered(outside);
}

static void
all_phones_ring_and_when_one_answers_the_others_are_cancelled(void **state)
{
	struct world *w = world_new(&relay);
	struct phone caller = phone_at(w, OUTSIDE, "stranger", "198.51.100.7:5060");
	struct phone desk = phone_at(w, OFFICE, "bob", "192.168.1.21:5060");
	struct phone mobile = phone_at(w, OUTSIDE, "bob", "198.51.100.8:5060");
	struct sent *to_desk, *to_mobile, *ok, *cancel;
	struct dialog d;

	(void)state;
	strcpy(caller.domain, "elsewhere.example");
	register_twice(&desk, &mobile);
	phone_invite(&caller, "sip:bob@example.com");
	world_expect_dropped(w, "100", OUTSIDE);
	to_desk = world_expect(w, "INVITE", OFFICE);
	to_mobile = world_expect(w, "INVITE", OUTSIDE);
	phone_answer(&desk, to_desk, 180);
	world_expect_dropped(w, "180", OUTSIDE);
	phone_answer(&mobile, to_mobile, 180);
	world_expect_dropped(w, "180", OUTSIDE);
	phone_answer(&mobile, to_mobile, 200);
	ok = world_expect(w, "200", OUTSIDE);
	cancel = world_expect(w, "CANCEL", OFFICE);
	assert_non_null(strstr(cancel->text, "Call completed elsewhere"));
	phone_answer(&desk, cancel, 200);
	phone_answer(&desk, to_desk, 487);
	world_expect_dropped(w, "ACK", OFFICE);
	assert_int_equal(w->hooked.branches_failed, 1);
	assert_int_equal(w->hooked.invites_failed, 0);
	dialog_of_caller(&d, &caller, ok);
	dialog_request(&d, &caller, "ACK");
	expect_ack(&mobile);
	dialog_clear(&d);
	sent_free(to_desk);
	sent_free(to_mobile);
	sent_free(ok);
	sent_free(cancel);
	world_free(w);
}

static void
the_best_of_all_refusals_is_chosen(void **state)
{
	struct world *w = world_new(&relay);
	struct phone caller = phone_at(w, OUTSIDE, "stranger", "198.51.100.7:5060");
	struct phone desk = phone_at(w, OFFICE, "bob", "192.168.1.21:5060");
	struct phone mobile = phone_at(w, OUTSIDE, "bob", "198.51.100.8:5060");
	struct sent *to_desk, *to_mobile;

	(void)state;
	strcpy(caller.domain, "elsewhere.example");
	register_twice(&desk, &mobile);
	phone_invite(&caller, "sip:bob@example.com");
	world_expect_dropped(w, "100", OUTSIDE);
	to_desk = world_expect(w, "INVITE", OFFICE);
	to_mobile = world_expect(w, "INVITE", OUTSIDE);
	phone_answer(&desk, to_desk, 503);
	world_expect_dropped(w, "ACK", OFFICE);
	assert_true(world_is_silent(w));
	phone_answer(&mobile, to_mobile, 486);
	world_expect_dropped(w, "ACK", OUTSIDE);
	world_expect_dropped(w, "486", OUTSIDE);
	assert_int_equal(w->hooked.branches_failed, 2);
	assert_int_equal(w->hooked.invites_failed, 1);
	sent_free(to_desk);
	sent_free(to_mobile);
	world_free(w);
}

static void
the_challenges_of_all_phones_come_back_together(void **state)
{
	struct world *w = world_new(&relay);
	struct phone caller = phone_at(w, OUTSIDE, "stranger", "198.51.100.7:5060");
	struct phone desk = phone_at(w, OFFICE, "bob", "192.168.1.21:5060");
	struct phone mobile = phone_at(w, OUTSIDE, "bob", "198.51.100.8:5060");
	struct sent *to_desk, *to_mobile, *s;

	(void)state;
	strcpy(caller.domain, "elsewhere.example");
	register_twice(&desk, &mobile);
	phone_invite(&caller, "sip:bob@example.com");
	world_expect_dropped(w, "100", OUTSIDE);
	to_desk = world_expect(w, "INVITE", OFFICE);
	to_mobile = world_expect(w, "INVITE", OUTSIDE);
	phone_answer_with(&desk, to_desk, 401, "WWW-Authenticate",
	    "Digest realm=\"desk\", nonce=\"1\"");
	world_expect_dropped(w, "ACK", OFFICE);
	phone_answer_with(&mobile, to_mobile, 407, "Proxy-Authenticate",
	    "Digest realm=\"mobile\", nonce=\"2\"");
	world_expect_dropped(w, "ACK", OUTSIDE);
	s = world_expect(w, "401", OUTSIDE);
	assert_non_null(strstr(s->text, "realm=\"desk\""));
	assert_non_null(strstr(s->text, "realm=\"mobile\""));
	sent_free(s);
	sent_free(to_desk);
	sent_free(to_mobile);
	world_free(w);
}

static void
an_ack_to_many_phones_goes_to_none(void **state)
{
	struct world *w = world_new(&relay);
	struct phone desk = phone_at(w, OFFICE, "bob", "192.168.1.21:5060");
	struct phone mobile = phone_at(w, OUTSIDE, "bob", "198.51.100.8:5060");

	(void)state;
	register_twice(&desk, &mobile);
	phone_request(&mobile, "ACK", "sip:bob@example.com", "sip:bob@example.com");
	world_free(w);
}

static void
a_decline_of_all_cancels_the_other_phones(void **state)
{
	struct world *w = world_new(&relay);
	struct phone caller = phone_at(w, OUTSIDE, "stranger", "198.51.100.7:5060");
	struct phone desk = phone_at(w, OFFICE, "bob", "192.168.1.21:5060");
	struct phone mobile = phone_at(w, OUTSIDE, "bob", "198.51.100.8:5060");
	struct sent *to_desk, *to_mobile, *cancel;

	(void)state;
	strcpy(caller.domain, "elsewhere.example");
	register_twice(&desk, &mobile);
	phone_invite(&caller, "sip:bob@example.com");
	world_expect_dropped(w, "100", OUTSIDE);
	to_desk = world_expect(w, "INVITE", OFFICE);
	to_mobile = world_expect(w, "INVITE", OUTSIDE);
	phone_answer(&mobile, to_mobile, 180);
	world_expect_dropped(w, "180", OUTSIDE);
	phone_answer(&desk, to_desk, 603);
	world_expect_dropped(w, "ACK", OFFICE);
	cancel = world_expect(w, "CANCEL", OUTSIDE);
	phone_answer(&mobile, cancel, 200);
	phone_answer(&mobile, to_mobile, 487);
	world_expect_dropped(w, "ACK", OUTSIDE);
	world_expect_dropped(w, "603", OUTSIDE);
	sent_free(to_desk);
	sent_free(to_mobile);
	sent_free(cancel);
	world_free(w);
}

/* -- The relay hook -- */

static void
a_refused_offer_is_answered_and_goes_nowhere(void **state)
{
	struct world *w = world_new(&relay);
	struct phone alice = phone_at(w, OFFICE, "alice", "192.168.1.20:5062");
	struct phone olga = phone_at(w, OUTSIDE, "olga", "198.51.100.7:5060");

	(void)state;
	phone_registered(&olga);
	w->refuse_requests = 488;
	phone_invite(&alice, "sip:olga@example.com");
	world_expect_dropped(w, "100", OFFICE);
	world_expect_dropped(w, "488", OFFICE);
	assert_int_equal(w->hooked.invites_failed, 1);
	world_free(w);
}

static void
a_refused_answer_ends_the_call_at_the_callee(void **state)
{
	struct world *w = world_new(&relay);
	struct phone alice = phone_at(w, OFFICE, "alice", "192.168.1.20:5062");
	struct phone olga = phone_at(w, OUTSIDE, "olga", "198.51.100.7:5060");
	struct sent *invite, *bye;

	(void)state;
	phone_registered(&olga);
	phone_invite(&alice, "sip:olga@example.com");
	world_expect_dropped(w, "100", OFFICE);
	invite = world_expect(w, "INVITE", OUTSIDE);
	w->refuse_responses = 503;
	w->refuse_status = 200;
	phone_answer(&olga, invite, 200);
	expect_ack(&olga);
	bye = world_expect(w, "BYE", OUTSIDE);
	assert_non_null(strstr(bye->text, "BYE sip:olga@198.51.100.7:5060 SIP/2.0"));
	phone_answer(&olga, bye, 200);
	world_expect_dropped(w, "503", OFFICE);
	assert_int_equal(w->hooked.invites_failed, 1);
	phone_answer(&olga, invite, 200);
	expect_ack(&olga);
	sent_free(invite);
	sent_free(bye);
	world_free(w);
}

static struct sip_originate
bye_to(const struct world *w, bool callee)
{
	struct sip_originate o = { .method = SIP_BYE,
		.to = callee ? &w->callee : &w->caller,
		.call_id = w->real_call_id,
		.cseq = 1000,
		.reason = "Q.850;cause=102" };

	o.from = callee ? w->caller_header : w->callee_header;
	o.to_header = callee ? w->callee_header : w->caller_header;
	return o;
}

static void
a_bye_of_our_own_reaches_both_ends_in_their_terms(void **state)
{
	struct world *w = world_new(&relay);
	struct phone alice = phone_at(w, OFFICE, "alice", "192.168.1.20:5062");
	struct phone bob = phone_at(w, BRANCH, "bob", "192.168.1.21:5060");
	struct dialog da, db;
	struct sip_originate o;
	struct sip_flow to;
	struct sent *bye;
	char *will;
	size_t n;

	(void)state;
	phone_registered(&bob);
	call_up(&alice, &bob, "sip:bob@example.com", &da, &db);
	expect_ack(&bob);
	o = bye_to(w, false);
	assert_int_equal(sip_server_originate(w->server, &o, w->now_us), 0);
	bye = world_expect(w, "BYE", OFFICE);
	assert_true(addr_equal(&bye->to.peer, &alice.flow.peer));
	assert_non_null(strstr(bye->text, alice.call_id));
	assert_non_null(strstr(bye->text, "Reason: Q.850;cause=102"));
	phone_answer(&alice, bye, 200);
	sent_free(bye);
	o = bye_to(w, true);
	assert_int_equal(sip_server_render(w->server, &o, &will, &n, &to), 0);
	assert_true(addr_equal(&to.peer, &bob.flow.peer));
	assert_int_equal(to.face, BRANCH);
	assert_non_null(strstr(will, db.call_id));
	assert_null(strstr(will, alice.call_id));
	free(will);
	dialog_clear(&da);
	dialog_clear(&db);
	world_free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(inside_calls_outside_and_either_hangs_up),
		cmocka_unit_test(outside_calls_inside_and_either_hangs_up),
		cmocka_unit_test(two_networks_with_the_same_addresses_call_each_other),
		cmocka_unit_test(two_phones_of_one_network_call_through_the_pair_when_told_so),
		cmocka_unit_test(two_users_outside_behind_their_nats_call_each_other),
		cmocka_unit_test(a_phone_on_tcp_is_reached_by_its_connection),
		cmocka_unit_test(a_call_outlives_a_restart_of_the_server),
		cmocka_unit_test(two_phones_of_one_network_talk_directly_after_the_200),
		cmocka_unit_test(phones_that_cannot_reach_each_other_are_relayed_all_the_same),
		cmocka_unit_test(cancel_goes_to_the_callee_and_487_comes_back),
		cmocka_unit_test(busy_comes_back_and_is_told_to_the_hook_once),
		cmocka_unit_test(who_is_not_there_is_480_who_is_nobody_404),
		cmocka_unit_test(a_phone_behind_a_tunnel_that_is_down_is_480_at_once),
		cmocka_unit_test(a_phone_that_does_not_answer_is_408_in_the_end),
		cmocka_unit_test(a_request_that_nobody_answers_is_not_answered_408),
		cmocka_unit_test(a_phone_that_rings_for_ever_is_cancelled_after_three_minutes),
		cmocka_unit_test(an_answer_too_long_to_be_relayed_becomes_500),
		cmocka_unit_test(an_undeliverable_invite_is_480_for_a_registered_phone),
		cmocka_unit_test(a_closed_connection_is_followed_by_the_contact),
		cmocka_unit_test(all_phones_ring_and_when_one_answers_the_others_are_cancelled),
		cmocka_unit_test(the_best_of_all_refusals_is_chosen),
		cmocka_unit_test(the_challenges_of_all_phones_come_back_together),
		cmocka_unit_test(an_ack_to_many_phones_goes_to_none),
		cmocka_unit_test(a_decline_of_all_cancels_the_other_phones),
		cmocka_unit_test(a_refused_offer_is_answered_and_goes_nowhere),
		cmocka_unit_test(a_refused_answer_ends_the_call_at_the_callee),
		cmocka_unit_test(a_bye_of_our_own_reaches_both_ends_in_their_terms),
	};

	sip_msg_init();
	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
