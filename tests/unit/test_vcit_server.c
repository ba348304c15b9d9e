/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <event2/event.h>
#include <osipparser2/osip_parser.h>

#include "base/mem.h"
#include "log/log.h"
#include "media/media.h"
#include "sip_world.h"
#include "vcit/vcit.h"

/* The table behind a real server, with whole phones around it. */
struct pair {
	struct world *w;
	struct event_base *base;
	struct media *media;
	struct vcit *vcit;
	char *will;
	size_t will_len;
	struct sip_flow will_flow;
};

/* -- The wiring -- */

static void
on_send(void *arg, const struct sip_flow *to, uint64_t tag, const char *data, size_t n)
{
	struct pair *p = arg;
	struct sent *s = mem_zalloc(sizeof(*s)), **last = &p->w->out;

	s->to = *to;
	s->tag = tag;
	s->text = mem_dup(data, n);
	s->n = n;
	assert_int_equal(sip_msg_parse(data, n, &s->m), 0);
	if (to->face == OUTSIDE)
		assert_null(strstr(s->text, "192.168."));
	while (*last != NULL)
		last = &(*last)->next;
	*last = s;
}

static int
on_relay(void *arg, struct sip_relay *r)
{
	struct pair *p = arg;

	return vcit_relay(p->vcit, r, p->w->now_us);
}

static void
on_invite_failed(void *arg, const struct sip_msg *request, int status)
{
	struct pair *p = arg;

	vcit_invite_failed(p->vcit, request, status, p->w->now_us);
}

static void
on_branch_failed(void *arg, const struct sip_msg *request, uint64_t branch)
{
	struct pair *p = arg;

	vcit_branch_failed(p->vcit, request, branch, p->w->now_us);
}

static void
on_leg(void *arg, uint32_t face, const struct vcit_leg_order *o)
{
	(void)arg;
	(void)face;
	(void)o;
}

static void
on_number(void *arg, uint32_t face, uint32_t number)
{
	(void)arg;
	(void)face;
	(void)number;
}

static void
on_call(void *arg, uint32_t face, const struct vcit_call_order *o)
{
	struct pair *p = arg;

	(void)face;
	mem_free(p->will);
	p->will = o->will == NULL ? NULL : mem_dup(o->will, o->will_len);
	p->will_len = o->will_len;
	p->will_flow = o->will_flow;
}

static void
on_busy(void *arg, uint32_t face, bool busy)
{
	(void)arg;
	(void)face;
	(void)busy;
}

static struct addr
at(const char *s)
{
	struct addr a;

	assert_int_equal(addr_parse(s, 0, &a), 0);
	return a;
}

static void
start_server(struct pair *p)
{
	static const struct sip_server_handlers handlers = { on_send, on_relay, on_invite_failed,
		on_branch_failed };
	static const char *const domains[] = { "example.com" };
	const struct sip_listener inside[] = { { SIP_UDP, at("192.168.1.5:5060") } };
	struct sip_server_cfg cfg = { .domains = domains,
		.domains_n = 1,
		.listen = { { SIP_UDP, at("203.0.113.10:5060") } },
		.listen_n = 1 };

	sip_server_free(p->w->server);
	p->w->server = sip_server_new(&cfg, p->w->timers, NULL, p->w->location, &handlers, p);
	sip_server_face_up(p->w->server, OFFICE, "office", inside, 1);
	vcit_set_server(p->vcit, p->w->server);
}

static int
setup(void **state)
{
	static const struct media_handlers media_handlers;
	static const struct vcit_handlers handlers = { on_leg, on_number, on_call, on_number,
		on_busy };
	static const struct world_cfg world = { .auth = SIP_AUTH_NONE, .direct = false };
	const struct media_cfg media = { .address = at("127.0.0.1") };
	const struct vcit_cfg cfg = { .calls_max = 8,
		.media_address = at("203.0.113.10"),
		.port_min = 42100,
		.port_max = 42119,
		.linger_us = 10 * CLOCK_S,
		.media_timeout_us = 90 * CLOCK_S };
	const struct vcit_agent office = {
		.name = "office", .media = at("192.168.1.5"), .port_min = 30000, .port_max = 30003
	};
	struct pair *p = mem_zalloc(sizeof(*p));

	sip_msg_init();
	p->w = world_new(&world);
	p->base = event_base_new();
	p->media = media_new(p->base, &media, &media_handlers, p);
	p->vcit = vcit_new(&cfg, p->w->timers, p->media, &handlers, p);
	start_server(p);
	vcit_agent_up(p->vcit, OFFICE, &office, p->w->now_us);
	*state = p;
	return 0;
}

static int
teardown(void **state)
{
	struct pair *p = *state;

	vcit_free(p->vcit);
	assert_int_equal(media_legs_n(p->media), 0);
	world_free(p->w);
	media_free(p->media);
	event_base_free(p->base);
	mem_free(p->will);
	mem_free(p);
	return 0;
}

/* -- A call between the two -- */

struct talk {
	struct phone alice, olga; /* in the office, outside */
	struct dialog da, db;
};

static struct talk *
talk_new(struct pair *p)
{
	struct talk *t = mem_zalloc(sizeof(*t));

	phone_init(&t->alice, p->w, OFFICE, "alice", "192.168.1.20:5062");
	phone_init(&t->olga, p->w, OUTSIDE, "olga", "198.51.100.7:5060");
	phone_registered(&t->olga);
	phone_registered(&t->alice);
	return t;
}

static void
talk_free(struct talk *t)
{
	dialog_clear(&t->da);
	dialog_clear(&t->db);
	mem_free(t);
}

static struct talk *
alice_calls_olga(struct pair *p)
{
	struct talk *t = talk_new(p);

	call_up(&t->alice, &t->olga, "sip:olga@example.com", &t->da, &t->db);
	world_expect_dropped(p->w, "ACK", OUTSIDE);
	assert_int_equal(vcit_calls_n(p->vcit), 1);
	return t;
}

static const char *
call_id_of(const struct sip_msg *m)
{
	static char id[512];

	return sip_msg_call_id(m, id, sizeof(id));
}

/* The phone finds it in its dialog `d`, in which it last saw `cseq`, and answers. */
static void
expect_bye(struct phone *phone, const struct dialog *d, uint32_t cseq)
{
	struct sent *bye = world_expect(phone->w, "BYE", phone->flow.face);

	assert_true(addr_equal(&bye->to.peer, &phone->flow.peer));
	assert_string_equal(call_id_of(bye->m), d->call_id);
	assert_non_null(strstr(d->local, sip_msg_to_tag(bye->m)));
	assert_non_null(strstr(d->remote, sip_msg_from_tag(bye->m)));
	assert_true(sip_msg_cseq(bye->m) > cseq);
	assert_non_null(sip_msg_header(bye->m, "Reason"));
	phone_answer(phone, bye, 200);
	sent_free(bye);
}

static void
a_call_is_in_the_table_until_it_is_hung_up(void **state)
{
	struct pair *p = *state;
	struct talk *t = alice_calls_olga(p);
	struct sent *bye;

	dialog_request(&t->da, &t->alice, "BYE");
	bye = world_expect(p->w, "BYE", OUTSIDE);
	phone_answer(&t->olga, bye, 200);
	sent_free(bye);
	world_expect_dropped(p->w, "200", OFFICE);
	assert_int_equal(vcit_calls_n(p->vcit), 0);
	talk_free(t);
}

static void
a_call_without_media_is_ended_for_both_phones_in_their_own_terms(void **state)
{
	struct pair *p = *state;
	struct talk *t = alice_calls_olga(p);

	world_pass(p->w, 90 * CLOCK_S);
	expect_bye(&t->alice, &t->da, 0);
	expect_bye(&t->olga, &t->db, 1);
	assert_int_equal(vcit_calls_n(p->vcit), 0);
	world_pass(p->w, 60 * CLOCK_S);
	talk_free(t);
}

static void
an_agent_that_is_gone_is_told_to_the_phone_outside(void **state)
{
	struct pair *p = *state;
	struct talk *t = alice_calls_olga(p);

	vcit_agent_gone(p->vcit, OFFICE, p->w->now_us);
	expect_bye(&t->olga, &t->db, 1);
	world_pass(p->w, 60 * CLOCK_S);
	talk_free(t);
}

static void
the_last_will_is_a_bye_that_the_inside_phone_understands(void **state)
{
	struct pair *p = *state;
	struct talk *t = alice_calls_olga(p);
	struct sip_msg *bye;
	const char *why;

	assert_non_null(p->will);
	assert_int_equal(sip_msg_parse(p->will, p->will_len, &bye), 0);
	assert_int_equal(sip_msg_check(bye, &why), 0);
	assert_int_equal(sip_msg_method(bye), SIP_BYE);
	assert_string_equal(call_id_of(bye), t->da.call_id);
	assert_non_null(strstr(t->da.local, sip_msg_to_tag(bye)));
	assert_non_null(strstr(t->da.remote, sip_msg_from_tag(bye)));
	assert_int_equal(p->will_flow.face, OFFICE);
	assert_true(addr_equal(&p->will_flow.peer, &t->alice.flow.peer));
	sip_msg_free(bye);
	vcit_end_all(p->vcit, "test", p->w->now_us);
	expect_bye(&t->alice, &t->da, 0);
	expect_bye(&t->olga, &t->db, 1);
	talk_free(t);
}

static struct sent *
alice_rings_olga(struct pair *p, struct talk *t)
{
	struct sent *invite;

	phone_invite(&t->alice, "sip:olga@example.com");
	world_expect_dropped(p->w, "100", OFFICE);
	invite = world_expect(p->w, "INVITE", OUTSIDE);
	phone_answer(&t->olga, invite, 180);
	world_expect_dropped(p->w, "180", OFFICE);
	assert_int_equal(vcit_calls_n(p->vcit), 1);
	return invite;
}

static void
a_busy_phone_leaves_nothing_in_the_table(void **state)
{
	struct pair *p = *state;
	struct talk *t = talk_new(p);
	struct sent *invite = alice_rings_olga(p, t);

	phone_answer(&t->olga, invite, 486);
	sent_free(invite);
	world_expect_dropped(p->w, "ACK", OUTSIDE);
	world_expect_dropped(p->w, "486", OFFICE);
	assert_int_equal(vcit_calls_n(p->vcit), 0);
	talk_free(t);
}

static void
answer_with_rubbish(struct phone *phone, const struct sent *invite)
{
	struct sip_msg *m = sip_msg_response(invite->m, 200, NULL, phone->tag);
	char contact[160], *text;
	size_t n;

	snprintf(contact, sizeof(contact), "<%s>", phone->contact);
	osip_message_set_contact(m->osip, contact);
	osip_list_clone(&invite->m->osip->record_routes, &m->osip->record_routes,
	    (int (*)(void *, void **))osip_record_route_clone);
	sip_msg_body_set(m, "application/sdp", "rubbish", 7);
	assert_int_equal(sip_msg_encode(m, &text, &n), 0);
	sip_server_receive(phone->w->server, &phone->flow, text, n, phone->w->now_us);
	mem_free(text);
	sip_msg_free(m);
}

static void
an_answer_that_cannot_be_read_is_refused_and_its_phone_hung_up_on(void **state)
{
	struct pair *p = *state;
	struct talk *t = talk_new(p);
	struct sent *invite = alice_rings_olga(p, t), *bye;

	answer_with_rubbish(&t->olga, invite);
	sent_free(invite);
	world_expect_dropped(p->w, "ACK", OUTSIDE);
	bye = world_expect(p->w, "BYE", OUTSIDE);
	phone_answer(&t->olga, bye, 200);
	sent_free(bye);
	world_expect_dropped(p->w, "488", OFFICE);
	assert_int_equal(vcit_calls_n(p->vcit), 0);
	talk_free(t);
}

static void
a_caller_without_a_free_port_hears_503(void **state)
{
	struct pair *p = *state;
	struct talk *t = talk_new(p);
	struct phone caller[3];
	struct sent *invite[2];

	for (int i = 0; i < 3; i++) { /* the office has two pairs of ports */
		phone_init(&caller[i], p->w, OFFICE, "otto", "192.168.1.21:5060");
		phone_invite(&caller[i], "sip:olga@example.com");
		world_expect_dropped(p->w, "100", OFFICE);
		if (i < 2)
			invite[i] = world_expect(p->w, "INVITE", OUTSIDE);
		else
			world_expect_dropped(p->w, "503", OFFICE);
	}
	assert_int_equal(vcit_calls_n(p->vcit), 2);
	for (int i = 0; i < 2; i++) {
		phone_answer(&t->olga, invite[i], 486);
		sent_free(invite[i]);
		world_expect_dropped(p->w, "ACK", OUTSIDE);
		world_expect_dropped(p->w, "486", OFFICE);
	}
	assert_int_equal(vcit_calls_n(p->vcit), 0);
	talk_free(t);
}

static void
a_bye_of_ours_counts_on_from_every_request_in_the_dialog(void **state)
{
	struct pair *p = *state;
	struct talk *t = alice_calls_olga(p);
	struct sent *info, *notify;

	dialog_request(&t->db, &t->olga, "INFO");
	info = world_expect(p->w, "INFO", OFFICE);
	phone_answer(&t->alice, info, 200);
	world_expect_dropped(p->w, "200", OUTSIDE);
	dialog_request(&t->db, &t->olga, "NOTIFY");
	notify = world_expect(p->w, "NOTIFY", OFFICE);
	phone_answer(&t->alice, notify, 200);
	world_expect_dropped(p->w, "200", OUTSIDE);
	world_pass(p->w, 90 * CLOCK_S);
	expect_bye(&t->alice, &t->da, sip_msg_cseq(notify->m));
	expect_bye(&t->olga, &t->db, 1);
	sent_free(info);
	sent_free(notify);
	talk_free(t);
}

/* -- A tunnel that is full -- */

static void
fill_office(struct pair *p, uint32_t cap_kbit)
{
	const struct room_sample s = { .session = 1, .cap_kbit = cap_kbit };

	vcit_room_sample(p->vcit, OFFICE, &s, p->w->now_us);
}

static void
a_caller_outside_of_a_full_tunnel_hears_503_and_learns_no_name(void **state)
{
	struct pair *p = *state;
	struct talk *t = alice_calls_olga(p);
	struct phone other;
	struct sent *s;

	fill_office(p, 199);
	phone_init(&other, p->w, OUTSIDE, "oskar", "198.51.100.9:5060");
	phone_invite(&other, "sip:alice@example.com");
	world_expect_dropped(p->w, "100", OUTSIDE);
	s = world_expect(p->w, "503", OUTSIDE);
	assert_in_range(atoi(sip_msg_header(s->m, "Retry-After")), 3, 6);
	assert_string_equal(sip_msg_header(s->m, "Warning"),
	    "399 example.com \"The line to the called site is full\"");
	assert_null(strstr(s->text, "office"));
	sent_free(s);
	assert_int_equal(vcit_calls_n(p->vcit), 1);
	talk_free(t);
}

static void
what_is_said_inside_a_call_passes_a_full_tunnel(void **state)
{
	static const char *const methods[] = { "INVITE", "UPDATE", "INFO", "BYE" };
	struct pair *p = *state;
	struct talk *t = alice_calls_olga(p);

	fill_office(p, 1);
	for (size_t i = 0; i < 4; i++) {
		bool invite = i == 0;
		struct sent *s;

		dialog_request(&t->da, &t->alice, methods[i]);
		if (invite)
			world_expect_dropped(p->w, "100", OFFICE);
		s = world_expect(p->w, methods[i], OUTSIDE);
		phone_answer(&t->olga, s, 200);
		world_expect_dropped(p->w, "200", OFFICE);
		sent_free(s);
		if (!invite)
			continue;
		dialog_request(&t->da, &t->alice, "ACK");
		world_expect_dropped(p->w, "ACK", OUTSIDE);
	}
	assert_int_equal(vcit_calls_n(p->vcit), 0);
	talk_free(t);
}

static void
another_phone_of_the_callee_rings_where_there_is_room(void **state)
{
	struct pair *p = *state;
	struct talk *t = alice_calls_olga(p);
	struct phone desk, mobile, caller;
	struct sent *s;

	phone_init(&desk, p->w, OFFICE, "bob", "192.168.1.21:5060");
	phone_init(&mobile, p->w, OUTSIDE, "bob", "198.51.100.8:5060");
	phone_init(&caller, p->w, OUTSIDE, "oskar", "198.51.100.9:5060");
	phone_registered(&desk);
	phone_registered(&mobile);
	fill_office(p, 199);
	phone_invite(&caller, "sip:bob@example.com");
	world_expect_dropped(p->w, "100", OUTSIDE);
	s = world_expect(p->w, "INVITE", OUTSIDE);
	assert_true(world_is_silent(p->w));
	phone_answer(&mobile, s, 486);
	world_expect_dropped(p->w, "ACK", OUTSIDE);
	world_expect_dropped(p->w, "486", OUTSIDE); /* §16.7 step 6: a lower class than our 503 */
	sent_free(s);
	talk_free(t);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_call_is_in_the_table_until_it_is_hung_up),
		TEST(a_call_without_media_is_ended_for_both_phones_in_their_own_terms),
		TEST(an_agent_that_is_gone_is_told_to_the_phone_outside),
		TEST(the_last_will_is_a_bye_that_the_inside_phone_understands),
		TEST(a_busy_phone_leaves_nothing_in_the_table),
		TEST(an_answer_that_cannot_be_read_is_refused_and_its_phone_hung_up_on),
		TEST(a_caller_without_a_free_port_hears_503),
		TEST(a_bye_of_ours_counts_on_from_every_request_in_the_dialog),
		TEST(a_caller_outside_of_a_full_tunnel_hears_503_and_learns_no_name),
		TEST(what_is_said_inside_a_call_passes_a_full_tunnel),
		TEST(another_phone_of_the_callee_rings_where_there_is_room),
	};

	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
