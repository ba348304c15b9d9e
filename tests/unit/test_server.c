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
what_is_no_sip_is_dropped_and_counted(void **state)
{
	struct world *w = world_new(&relay);
	struct phone p;

	(void)state;
	phone_init(&p, w, OUTSIDE, "stranger", "198.51.100.7:5060");
	phone_raw(&p, "GET / HTTP/1.1\nHost: x\n\n");
	phone_raw(&p, "");
	phone_raw(&p, "MESSAGE sip:bob@example.com SIP/2.0\n\n"); /* nobody to answer to */
	assert_int_equal(world_metric(w, "sip_malformed") + world_metric(w, "sip_unanswerable"), 3);
	world_free(w);
}

static void
what_is_wrong_is_answered_400(void **state)
{
	struct world *w = world_new(&relay);
	struct phone p;

	(void)state;
	phone_init(&p, w, OUTSIDE, "stranger", "198.51.100.7:5060");
	phone_raw(&p,
	    "MESSAGE sip:bob@example.com SIP/2.0\nVia: SIP/2.0/UDP 198.51.100.7;branch=z9hG4bKx\n"
	    "From: <sip:a@b>;tag=1\nTo: <sip:bob@example.com>\nCall-ID: c\nCSeq: 1 INVITE\n\n");
	world_expect_dropped(w, "400", OUTSIDE);
	world_free(w);
}

static void
a_message_of_an_unknown_face_is_dropped(void **state)
{
	struct world *w = world_new(&relay);
	struct phone p;

	(void)state;
	phone_init(&p, w, 77, "ghost", "192.168.1.20:5060");
	phone_request(&p, "OPTIONS", "sip:example.com", "sip:example.com");
	world_free(w);
}

static void
a_response_without_a_request_is_dropped(void **state)
{
	struct world *w = world_new(&relay);
	struct phone p;

	(void)state;
	phone_init(&p, w, OUTSIDE, "stranger", "198.51.100.7:5060");
	phone_raw(&p,
	    "SIP/2.0 200 OK\nVia: SIP/2.0/UDP 203.0.113.10;branch=z9hG4bKx\n"
	    "From: <sip:a@b>;tag=1\nTo: <sip:c@d>;tag=2\nCall-ID: c\nCSeq: 1 INVITE\n\n");
	assert_int_equal(world_metric(w, "sip_strays_dropped"), 1);
	world_free(w);
}

static void
every_metric_has_a_name_of_its_own(void **state)
{
	struct world *w = world_new(&relay);
	struct metric_set sets[8];
	size_t n = sip_server_metrics(w->server, sets, 8);

	(void)state;
	assert_int_equal(n, 3);
	for (size_t i = 0; i < n; i++)
		for (const struct metric *a = sets[i].table; a->name != NULL; a++)
			for (size_t j = 0; j < n; j++)
				for (const struct metric *b = sets[j].table; b->name != NULL; b++)
					assert_true(a == b || strcmp(a->name, b->name) != 0);
	world_free(w);
}

static void
requests_and_answers_are_counted_by_kind(void **state)
{
	struct world *w = world_new(&relay);
	struct phone p;

	(void)state;
	phone_init(&p, w, OFFICE, "alice", "192.168.1.20:5060");
	phone_request(&p, "OPTIONS", "sip:example.com", "sip:example.com");
	world_expect_dropped(w, "200", OFFICE);
	phone_request(&p, "MESSAGE", "sip:nobody@example.com", "sip:nobody@example.com");
	world_expect_dropped(w, "404", OFFICE);
	assert_int_equal(world_metric(w, "sip_options"), 1);
	assert_int_equal(world_metric(w, "sip_messages"), 1);
	assert_int_equal(world_metric(w, "sip_answers_2xx"), 1);
	assert_int_equal(world_metric(w, "sip_answers_4xx"), 1);
	world_free(w);
}

static void
a_reload_changes_how_internal_calls_go(void **state)
{
	struct world *w = world_new(&relay);
	struct phone alice, bob;

	(void)state;
	phone_init(&alice, w, OFFICE, "alice", "192.168.1.20:5060");
	phone_init(&bob, w, OFFICE, "bob", "192.168.1.21:5060");
	phone_registered(&bob);
	phone_invite(&alice, "sip:bob@example.com");
	world_expect_dropped(w, "100", OFFICE);
	world_expect_dropped(w, "INVITE", OFFICE);
	assert_false(w->hooked.direct);
	world_reload(w, &direct);
	alice.call_id[0] = 'x';
	phone_invite(&alice, "sip:bob@example.com");
	world_expect_dropped(w, "100", OFFICE);
	world_expect_dropped(w, "INVITE", OFFICE);
	assert_true(w->hooked.direct);
	world_free(w);
}

static void
an_agent_that_comes_back_as_another_face_keeps_its_phones(void **state)
{
	struct sip_listener inside = { .proto = SIP_UDP };
	struct world *w = world_new(&relay);
	struct phone alice, olga;

	(void)state;
	assert_int_equal(addr_parse("192.168.1.5:5060", 0, &inside.addr), 0);
	phone_init(&alice, w, OFFICE, "alice", "192.168.1.20:5060");
	phone_init(&olga, w, OUTSIDE, "olga", "198.51.100.7:5060");
	phone_registered(&alice);
	sip_server_face_down(w->server, OFFICE);
	sip_server_face_up(w->server, 9, "office", &inside, 1);
	phone_invite(&olga, "sip:alice@example.com");
	world_expect_dropped(w, "100", OUTSIDE);
	world_expect_dropped(w, "INVITE", 9);
	world_free(w);
}

static void
a_server_ends_in_the_middle_of_everything(void **state)
{
	struct world *w = world_new(&relay);
	struct phone alice, olga;

	(void)state;
	phone_init(&alice, w, OFFICE, "alice", "192.168.1.20:5060");
	phone_init(&olga, w, OUTSIDE, "olga", "198.51.100.7:5060");
	phone_registered(&olga);
	phone_invite(&alice, "sip:olga@example.com");
	phone_request(&alice, "MESSAGE", "sip:olga@example.com", "sip:olga@example.com");
	world_drop_all(w);
	world_free(w); /* the sanitizer tells what was forgotten */
}

static void
without_free_ports_the_caller_is_told_to_come_back(void **state)
{
	struct world *w = world_new(&relay);
	struct phone alice, olga;
	struct sent *s;

	(void)state;
	phone_init(&alice, w, OFFICE, "alice", "192.168.1.20:5060");
	phone_init(&olga, w, OUTSIDE, "olga", "198.51.100.7:5060");
	phone_registered(&olga);
	w->refuse_requests = 503;
	phone_invite(&alice, "sip:olga@example.com");
	world_expect_dropped(w, "100", OFFICE);
	s = world_expect(w, "503", OFFICE);
	assert_string_equal(sip_msg_header(s->m, "Retry-After"), "5");
	sent_free(s);
	world_free(w);
}

static void
a_hook_that_refuses_says_why_and_when_to_come_back(void **state)
{
	struct world *w = world_new(&relay);
	struct phone alice, olga;
	bool seen[8] = { false };
	struct sent *s;
	int seconds;

	(void)state;
	phone_init(&alice, w, OFFICE, "alice", "192.168.1.20:5060");
	phone_init(&olga, w, OUTSIDE, "olga", "198.51.100.7:5060");
	phone_registered(&olga);
	w->refuse_requests = 503;
	w->refusal = (struct sip_refusal){ "The line is full", 3 };
	for (int i = 0; i < 200; i++) {
		phone_invite(&alice, "sip:olga@example.com");
		world_expect_dropped(w, "100", OFFICE);
		s = world_expect(w, "503", OFFICE);
		assert_string_equal(sip_msg_header(s->m, "Warning"),
		    "399 example.com \"The line is full\"");
		seconds = atoi(sip_msg_header(s->m, "Retry-After"));
		assert_in_range(seconds, 3, 6);
		seen[seconds] = true;
		sent_free(s);
	}
	assert_true(seen[3] && seen[4] && seen[5] && seen[6]);
	world_free(w);
}

static void
what_the_hook_refuses_is_not_tried_at_another_address(void **state)
{
	struct world *w = world_new(&relay);
	struct phone alice, olga;
	unsigned asked;

	(void)state;
	phone_init(&alice, w, OFFICE, "alice", "192.168.1.20:41234");
	phone_init(&olga, w, OUTSIDE, "olga", "198.51.100.7:5060");
	phone_be_natted(&alice, "192.168.1.20:5060");
	phone_use_tcp(&alice, 7); /* the other address: where its Contact says */
	phone_registered(&alice);
	w->refuse_requests = 503;
	asked = w->hooked.calls;
	phone_invite(&olga, "sip:alice@example.com");
	world_expect_dropped(w, "100", OUTSIDE);
	world_expect_dropped(w, "503", OUTSIDE);
	assert_int_equal(w->hooked.calls, asked + 1);
	world_free(w);
}

/* Asserts that a message tells the pair's public address, and frees it. */
static void
assert_public(struct sent *s)
{
	assert_non_null(strstr(s->text, "203.0.113.10"));
	assert_null(strstr(s->text, "10.0.0.5"));
	sent_free(s);
}

static void
behind_a_nat_all_are_told_the_public_address_and_the_bound_one_is_ours_as_well(void **state)
{
	static const struct world_cfg cloud = { .auth = SIP_AUTH_NONE, .bound = "10.0.0.5" };
	struct world *w = world_new(&cloud);
	struct phone alice, olga;
	struct sent *s;

	(void)state;
	phone_init(&alice, w, OFFICE, "alice", "192.168.1.20:5060");
	phone_init(&olga, w, OUTSIDE, "olga", "198.51.100.7:5060");
	phone_registered(&alice);
	phone_registered(&olga);
	phone_invite(&alice, "sip:olga@example.com");
	world_expect_dropped(w, "100", OFFICE);
	assert_public(world_expect(w, "INVITE", OUTSIDE));
	world_drop_all(w);
	phone_invite(&olga, "sip:alice@example.com");
	world_expect_dropped(w, "100", OUTSIDE);
	s = world_expect(w, "INVITE", OFFICE);
	phone_answer(&alice, s, 200);
	sent_free(s);
	assert_public(world_expect(w, "200", OUTSIDE));
	world_drop_all(w);
	phone_invite(&olga, "sip:alice@10.0.0.5");
	world_expect_dropped(w, "100", OUTSIDE);
	world_expect_dropped(w, "INVITE", OFFICE);
	world_drop_all(w);
	world_free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_no_sip_is_dropped_and_counted),
		cmocka_unit_test(what_is_wrong_is_answered_400),
		cmocka_unit_test(a_message_of_an_unknown_face_is_dropped),
		cmocka_unit_test(a_response_without_a_request_is_dropped),
		cmocka_unit_test(every_metric_has_a_name_of_its_own),
		cmocka_unit_test(requests_and_answers_are_counted_by_kind),
		cmocka_unit_test(a_reload_changes_how_internal_calls_go),
		cmocka_unit_test(an_agent_that_comes_back_as_another_face_keeps_its_phones),
		cmocka_unit_test(a_server_ends_in_the_middle_of_everything),
		cmocka_unit_test(without_free_ports_the_caller_is_told_to_come_back),
		cmocka_unit_test(a_hook_that_refuses_says_why_and_when_to_come_back),
		cmocka_unit_test(what_the_hook_refuses_is_not_tried_at_another_address),
		cmocka_unit_test(
		    behind_a_nat_all_are_told_the_public_address_and_the_bound_one_is_ours_as_well),
	};

	sip_msg_init();
	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
