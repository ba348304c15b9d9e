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

static const struct world_cfg open_to_all = { .auth = SIP_AUTH_NONE, .direct = true };

/* A REGISTER with these header lines in place of Contact; its answer. */
static struct sent *
ask(struct phone *p, const char *to, const char *headers)
{
	static unsigned serial;
	char text[2048];

	snprintf(text, sizeof(text),
	    "REGISTER sip:example.com SIP/2.0\n"
	    "Via: SIP/2.0/UDP %s;branch=z9hG4bKreg%u;rport\n"
	    "Max-Forwards: 70\nFrom: <%s>;tag=x\nTo: <%s>\nCall-ID: reg-%s\nCSeq: %u REGISTER\n"
	    "%sContent-Length: 0\n\n",
	    p->via, ++serial, to, to, p->name, ++p->cseq, headers);
	phone_raw(p, text);
	return world_take(p->w);
}

static void
expect_status(struct phone *p, const char *headers, int status)
{
	struct sent *s = ask(p, "sip:bob@example.com", headers);

	if (sip_msg_status(s->m) != status)
		fail_msg("expected %d for\n%s, came\n%s", status, headers, s->text);
	sent_free(s);
}

static struct phone
bob_at(struct world *w, uint32_t face, const char *at)
{
	struct phone p;

	phone_init(&p, w, face, "bob", at);
	return p;
}

static size_t
bound(const struct world *w, const char *aor, const struct binding **out)
{
	return location_find(w->location, aor, clock_wall_s(), out, LOCATION_CONTACTS_MAX);
}

static void
a_binding_is_made_listed_renewed_and_removed(void **state)
{
	struct world *w = world_new(&open_to_all);
	struct phone bob = bob_at(w, OFFICE, "192.168.1.21:5060");
	const struct binding *b[LOCATION_CONTACTS_MAX];
	struct sent *s;

	(void)state;
	s = ask(&bob, "sip:bob@example.com",
	    "Contact: <sip:bob@192.168.1.21:5060;ob>;q=0.7;expires=600\n");
	assert_int_equal(sip_msg_status(s->m), 200);
	assert_non_null(strstr(s->text, "<sip:bob@192.168.1.21:5060;ob>;expires=600;q=0.700"));
	assert_non_null(strstr(s->text, "\r\nDate: "));
	sent_free(s);
	assert_int_equal(bound(w, "bob@example.com", b), 1);
	assert_string_equal(b[0]->agent, "office");
	assert_int_equal(b[0]->q, 700);
	s = ask(&bob, "sip:bob@example.com", ""); /* asks only */
	assert_non_null(strstr(s->text, "<sip:bob@192.168.1.21:5060;ob>"));
	sent_free(s);
	expect_status(&bob, "Contact: <sip:bob@192.168.1.21:5060;ob>\nExpires: 900\n", 200);
	assert_int_equal(bound(w, "bob@example.com", b), 1);
	expect_status(&bob, "Contact: <sip:bob@192.168.1.21:5060;ob>;expires=0\n", 200);
	assert_int_equal(location_n(w->location), 0);
	world_free(w);
}

static void
a_star_removes_all_and_only_with_expires_0(void **state)
{
	struct world *w = world_new(&open_to_all);
	struct phone bob = bob_at(w, OFFICE, "192.168.1.21:5060");

	(void)state;
	expect_status(&bob, "Contact: <sip:b@192.168.1.21>, <sip:b@192.168.1.22>\n", 200);
	assert_int_equal(location_n(w->location), 2);
	expect_status(&bob, "Contact: *\n", 400);
	expect_status(&bob, "Contact: *\nExpires: 60\n", 400);
	expect_status(&bob, "Contact: *, <sip:b@192.168.1.23>\nExpires: 0\n", 400);
	assert_int_equal(location_n(w->location), 2);
	expect_status(&bob, "Contact: *\nExpires: 0\n", 200);
	assert_int_equal(location_n(w->location), 0);
	world_free(w);
}

static void
too_brief_is_423_too_long_is_cut(void **state)
{
	struct world *w = world_new(&open_to_all);
	struct phone bob = bob_at(w, OFFICE, "192.168.1.21:5060");
	struct sent *s;

	(void)state;
	s = ask(&bob, "sip:bob@example.com", "Contact: <sip:b@192.168.1.21>;expires=59\n");
	assert_int_equal(sip_msg_status(s->m), 423);
	assert_string_equal(sip_msg_header(s->m, "Min-Expires"), "60");
	sent_free(s);
	s = ask(&bob, "sip:bob@example.com", "Contact: <sip:b@192.168.1.21>;expires=999999\n");
	assert_non_null(strstr(s->text, ";expires=3600"));
	sent_free(s);
	s = ask(&bob, "sip:bob@example.com", "Contact: <sip:b@192.168.1.21>;expires=soon\n");
	assert_non_null(strstr(s->text, ";expires=3600"));
	sent_free(s);
	world_free(w);
}

static void
a_phone_behind_a_nat_outside_comes_back_within_a_minute(void **state)
{
	struct world *w = world_new(&open_to_all);
	struct phone bob = bob_at(w, OUTSIDE, "198.51.100.7:40000");
	const struct binding *b[LOCATION_CONTACTS_MAX];
	struct sent *s;

	(void)state;
	phone_be_natted(&bob, "10.1.2.3:5060");
	s = ask(&bob, "sip:bob@example.com", "Contact: <sip:bob@10.1.2.3:5060>;expires=3600\n");
	assert_non_null(strstr(s->text, "<sip:bob@10.1.2.3:5060>;expires=60"));
	assert_true(addr_equal(&s->to.peer, &bob.flow.peer));
	sent_free(s);
	assert_int_equal(bound(w, "bob@example.com", b), 1);
	assert_true(addr_equal(&b[0]->flow.peer, &bob.flow.peer));
	assert_null(b[0]->agent);
	world_free(w);
}

static void
an_old_request_of_the_same_phone_changes_nothing(void **state)
{
	struct world *w = world_new(&open_to_all);
	struct phone bob = bob_at(w, OFFICE, "192.168.1.21:5060");

	(void)state;
	bob.cseq = 9;
	expect_status(&bob, "Contact: <sip:b@192.168.1.21>\n", 200);
	bob.cseq = 8;
	expect_status(&bob, "Contact: <sip:b@192.168.1.21>;expires=0\n", 500);
	bob.cseq = 8;
	expect_status(&bob, "Contact: *\nExpires: 0\n", 500);
	assert_int_equal(location_n(w->location), 1);
	world_free(w);
}

static void
an_address_of_the_pair_stands_for_the_first_domain(void **state)
{
	struct world *w = world_new(&open_to_all);
	struct phone bob = bob_at(w, OFFICE, "192.168.1.21:5060");
	const struct binding *b[LOCATION_CONTACTS_MAX];

	(void)state;
	sent_free(ask(&bob, "sip:bob@192.168.1.5", "Contact: <sip:b@192.168.1.21>\n"));
	assert_int_equal(bound(w, "bob@example.com", b), 1);
	sent_free(ask(&bob, "sip:bob@EXAMPLE.org", "Contact: <sip:b@192.168.1.21>\n"));
	assert_int_equal(bound(w, "bob@example.org", b), 1);
	world_free(w);
}

static void
wrong_registers_are_refused(void **state)
{
	struct world *w = world_new(&open_to_all);
	struct phone bob = bob_at(w, OFFICE, "192.168.1.21:5060");
	struct sent *s;

	(void)state;
	s = ask(&bob, "sip:bob@elsewhere.example", "Contact: <sip:b@192.168.1.21>\n");
	assert_int_equal(sip_msg_status(s->m), 404);
	sent_free(s);
	s = ask(&bob, "sip:example.com", "Contact: <sip:b@192.168.1.21>\n");
	assert_int_equal(sip_msg_status(s->m), 404);
	sent_free(s);
	s = ask(&bob, "sip:bob@example.com", "Require: path\nContact: <sip:b@192.168.1.21>\n");
	assert_int_equal(sip_msg_status(s->m), 420);
	assert_string_equal(sip_msg_header(s->m, "Unsupported"), "path");
	sent_free(s);
	expect_status(&bob, "Contact: <mailto:bob@example.com>\n", 400);
	assert_int_equal(location_n(w->location), 0);
	world_free(w);
}

/* RFC 5393: else a few such bindings would make one call a million. */
static void
a_contact_that_leads_back_to_the_pair_is_refused(void **state)
{
	struct world *w = world_new(&open_to_all);
	struct phone bob = bob_at(w, OFFICE, "192.168.1.5:5070"); /* on the agent's machine */

	(void)state;
	expect_status(&bob, "Contact: <sip:bob@example.com;n=1>\n", 200);
	expect_status(&bob, "Contact: <sip:bob@203.0.113.10;n=1>\n", 403);
	expect_status(&bob, "Contact: <sip:bob@192.168.1.5:5060>\n", 403);
	expect_status(&bob, "Contact: <sip:bob@192.168.1.5:5070>\n", 200);
	world_free(w);
}

static void
too_many_contacts_are_503_and_none_of_them_is_kept(void **state)
{
	struct world *w = world_new(&open_to_all);
	struct phone bob = bob_at(w, OFFICE, "192.168.1.21:5060");
	char headers[64];

	(void)state;
	for (int i = 0; i < LOCATION_CONTACTS_MAX - 1; i++) {
		snprintf(headers, sizeof(headers), "Contact: <sip:b@192.168.1.%d>\n", 30 + i);
		expect_status(&bob, headers, 200);
	}
	expect_status(&bob, "Contact: <sip:b@192.168.1.80>, <sip:b@192.168.1.81>\n", 503);
	assert_int_equal(location_n(w->location), LOCATION_CONTACTS_MAX - 1);
	world_free(w);
}

static void
a_phone_sees_its_own_contact_and_others_only_sealed(void **state)
{
	struct world *w = world_new(&open_to_all);
	struct phone desk = bob_at(w, OFFICE, "192.168.1.21:5060");
	struct phone mobile = bob_at(w, OUTSIDE, "198.51.100.7:5060");
	struct sent *s;

	(void)state;
	expect_status(&desk, "Contact: <sip:bob@192.168.1.21>\n", 200);
	/* The world itself fails on any inside address that leaves. */
	s = ask(&mobile, "sip:bob@example.com", "Contact: <sip:bob@198.51.100.7>\n");
	assert_non_null(strstr(s->text, "<sip:bob@198.51.100.7>"));
	assert_non_null(strstr(s->text, "<sip:vofw-"));
	sent_free(s);
	s = ask(&desk, "sip:bob@example.com", "");
	assert_non_null(strstr(s->text, "<sip:bob@192.168.1.21>"));
	assert_null(strstr(s->text, "198.51.100.7"));
	sent_free(s);
	world_free(w);
}

static void
a_binding_that_is_not_renewed_is_gone(void **state)
{
	struct world *w = world_new(&open_to_all);
	struct phone bob = bob_at(w, OFFICE, "192.168.1.21:5060");

	(void)state;
	expect_status(&bob, "Contact: <sip:bob@192.168.1.21>;expires=60\n", 200);
	location_expire(w->location, clock_wall_s() + 61);
	assert_int_equal(location_n(w->location), 0);
	world_free(w);
}

/* The phone's provider is outside: its calls come to us, by the sealed Contact. */
static void
a_register_at_a_foreign_registrar_is_forwarded_and_its_calls_come_back(void **state)
{
	struct world *w = world_new(&open_to_all);
	struct phone bob = bob_at(w, OFFICE, "192.168.1.21:5060");
	struct phone provider;
	struct sent *s;
	struct dialog d = { 0 };
	char uri[512], *end;

	(void)state;
	phone_init(&provider, w, OUTSIDE, "provider", "198.51.100.50:5060");
	strcpy(provider.domain, "provider.example");
	phone_request(&bob, "REGISTER", "sip:198.51.100.50", "sip:bob@provider.example");
	s = world_expect(w, "REGISTER", OUTSIDE);
	assert_true(addr_equal(&s->to.peer, &provider.flow.peer));
	end = strstr(s->text, "Contact: <sip:vofw-");
	assert_non_null(end);
	assert_int_equal(sscanf(end, "Contact: <%511[^>]>", uri), 1);
	phone_answer(&provider, s, 200);
	sent_free(s);
	world_expect_dropped(w, "200", OFFICE);
	phone_invite(&provider, uri);
	world_expect_dropped(w, "100", OUTSIDE);
	s = world_expect(w, "INVITE", OFFICE);
	assert_non_null(strstr(s->text, "INVITE sip:bob@192.168.1.21:5060 SIP/2.0"));
	assert_true(addr_equal(&s->to.peer, &bob.flow.peer));
	sent_free(s);
	dialog_clear(&d);
	world_free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_binding_is_made_listed_renewed_and_removed),
		cmocka_unit_test(a_star_removes_all_and_only_with_expires_0),
		cmocka_unit_test(too_brief_is_423_too_long_is_cut),
		cmocka_unit_test(a_phone_behind_a_nat_outside_comes_back_within_a_minute),
		cmocka_unit_test(an_old_request_of_the_same_phone_changes_nothing),
		cmocka_unit_test(an_address_of_the_pair_stands_for_the_first_domain),
		cmocka_unit_test(wrong_registers_are_refused),
		cmocka_unit_test(a_contact_that_leads_back_to_the_pair_is_refused),
		cmocka_unit_test(too_many_contacts_are_503_and_none_of_them_is_kept),
		cmocka_unit_test(a_phone_sees_its_own_contact_and_others_only_sealed),
		cmocka_unit_test(a_binding_that_is_not_renewed_is_gone),
		cmocka_unit_test(
		    a_register_at_a_foreign_registrar_is_forwarded_and_its_calls_come_back),
	};

	sip_msg_init();
	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
