/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "vcit_lab.h"

#define INVITE .by = 0, .method = "INVITE", .cseq = 1, .first = true
#define ANSWERED .by = 1, .method = "INVITE", .cseq = 1, .first = true, .to_tag = "b"
#define CALLER_AUDIO AUDIO("127.0.0.1", "43000")
#define CALLEE_AUDIO AUDIO("127.0.0.1", "43010")
#define INSIDE_AUDIO AUDIO("192.168.1.20", "4000")

/* Two phones outside, with real sockets: `port` is where each finds the agent. */
struct talk {
	struct lab *lab;
	int fd[2];
	uint16_t port[2];
};

static struct talk
talk_begin(struct lab *lab)
{
	struct talk t = { .lab = lab, .fd = { lab_phone(43000), lab_phone(43010) } };
	struct mail invite = { INVITE, .sdp = CALLER_AUDIO };
	struct mail ok = { ANSWERED, .status = 200, .sdp = CALLEE_AUDIO };

	lab_place(lab, OUTSIDE, OUTSIDE);
	lab_on_loopback(lab);
	assert_int_equal(lab_relay(lab, &invite), 0);
	t.port[1] = lab_port(lab, 0);
	assert_int_equal(lab_relay(lab, &ok), 0);
	t.port[0] = lab_port(lab, 0);
	return t;
}

static void
talk_end(struct talk *t)
{
	close(t->fd[0]);
	close(t->fd[1]);
}

static void
voice_passes_between_two_phones_outside_and_stops_with_the_call(void **state)
{
	struct lab *lab = *state;
	struct talk t = talk_begin(lab);
	struct mail bye = { .by = 0, .method = "BYE", .cseq = 2, .to_tag = "b" };
	struct mail bye_ok = { .by = 1, .method = "BYE", .status = 200, .cseq = 2, .to_tag = "b" };

	for (unsigned i = 0; i < 3; i++) {
		lab_phone_say(t.fd[0], t.port[0], 100 + i);
		assert_int_equal(lab_phone_hear(lab, t.fd[1]), 100 + i);
		lab_phone_say(t.fd[1], t.port[1], 200 + i);
		assert_int_equal(lab_phone_hear(lab, t.fd[0]), 200 + i);
	}
	assert_int_equal(lab_relay(lab, &bye), 0);
	assert_int_equal(lab_relay(lab, &bye_ok), 0);
	lab_phone_say(t.fd[0], t.port[0], 110);
	assert_int_equal(lab_phone_hear(lab, t.fd[1]), -1);
	talk_end(&t);
}

static void
what_the_callee_says_before_its_200_arrives_is_heard(void **state)
{
	struct lab *lab = *state;
	struct mail invite = { INVITE, .sdp = CALLER_AUDIO };
	int caller = lab_phone(43000), callee = lab_phone(43010);

	lab_place(lab, OUTSIDE, OUTSIDE);
	lab_on_loopback(lab);
	assert_int_equal(lab_relay(lab, &invite), 0);
	lab_phone_say(callee, lab_port(lab, 0), 7);
	assert_int_equal(lab_phone_hear(lab, caller), 7);
	close(caller);
	close(callee);
}

static void
voice_from_outside_goes_into_the_tunnel_under_the_legs_number(void **state)
{
	struct lab *lab = *state;
	struct mail invite = { INVITE, .sdp = CALLER_AUDIO };
	struct mail ok = { ANSWERED, .status = 200, .sdp = INSIDE_AUDIO };
	static const uint8_t rtp[172] = { 0x80, 0, 0, 9, 0, 0, 0, 0, 1, 2, 3, 4 };
	int caller = lab_phone(43000);
	uint32_t leg;

	lab_place(lab, OUTSIDE, OFFICE);
	lab_on_loopback(lab);
	assert_int_equal(lab_relay(lab, &invite), 0);
	assert_int_equal(lab_relay(lab, &ok), 0);
	leg = lab_last_leg(lab, OFFICE)->o.leg;
	lab_phone_say(caller, lab_port(lab, 0), 5);
	for (int i = 0; i < 20 && lab->tunnel.n == 0; i++)
		lab_turn(lab);
	assert_int_equal(lab->tunnel.n, 172);
	assert_int_equal(lab->tunnel.face, OFFICE);
	assert_int_equal(lab->tunnel.channel, leg * 2);
	media_from_tunnel(lab->media, OFFICE, leg * 2, rtp, sizeof(rtp), clock_us());
	assert_int_equal(lab_phone_hear(lab, caller), 9);
	close(caller);
}

static void
a_call_without_media_ends_by_bye_both_ways(void **state)
{
	struct lab *lab = *state;

	lab_place(lab, OFFICE, OUTSIDE);
	lab_call_up(lab, INSIDE_AUDIO, CALLEE_AUDIO);
	lab_run(lab, 89 * CLOCK_S);
	assert_int_equal(lab->byes_n, 0);
	lab_run(lab, 2 * CLOCK_S);
	assert_int_equal(lab->byes_n, 2);
	assert_int_equal(vcit_calls_n(lab->vcit), 0);
	assert_int_equal(lab_metric(lab, "calls_ended_media_timeout"), 1);
	assert_int_equal(lab_metric(lab, "byes_originated"), 2);
	assert_int_equal(lab_metric(lab, "ports_in_use"), 0);
}

static void
each_phone_gets_its_bye_as_if_from_the_other(void **state)
{
	struct lab *lab = *state;
	struct mail info = { .by = 0, .method = "INFO", .cseq = 5, .to_tag = "b" };
	struct mail move = { .by = 0,
		.method = "UPDATE",
		.cseq = 6,
		.to_tag = "b",
		.contact = "sip:alice@192.0.2.44" };
	struct mail his = { .by = 1,
		.method = "INFO",
		.cseq = 31,
		.to_tag = "b",
		.contact = "sip:ignored@192.0.2.55" };

	lab_place(lab, OFFICE, OUTSIDE);
	lab_call_up(lab, INSIDE_AUDIO, CALLEE_AUDIO);
	assert_int_equal(lab_relay(lab, &info), 0);
	assert_int_equal(lab_relay(lab, &move), 0);
	assert_int_equal(lab_relay(lab, &his), 0);
	lab_run(lab, 91 * CLOCK_S);
	assert_int_equal(lab->byes_n, 2);
	/* To the caller: From the callee, above the CSeq that the callee used. */
	assert_int_equal(lab->bye[0].to.face, OFFICE);
	assert_string_equal(lab->bye[0].contact, "sip:alice@192.0.2.44");
	assert_string_equal(lab->bye[0].from, "<sip:bob@example.com>;tag=b");
	assert_string_equal(lab->bye[0].to_header, "<sip:alice@example.com>;tag=a");
	assert_string_equal(lab->bye[0].call_id, "c1");
	assert_int_equal(lab->bye[0].cseq, 32);
	assert_string_equal(lab->bye[0].reason, "SIP;cause=408;text=\"no media\"");
	assert_int_equal(lab->bye[1].to.face, OUTSIDE);
	assert_string_equal(lab->bye[1].contact, "sip:bob@192.0.2.11");
	assert_string_equal(lab->bye[1].from, "<sip:alice@example.com>;tag=a");
	assert_string_equal(lab->bye[1].to_header, "<sip:bob@example.com>;tag=b");
	assert_int_equal(lab->bye[1].cseq, 7);
}

static void
a_phone_behind_a_proxy_moves_but_the_way_to_it_stays(void **state)
{
	struct lab *lab = *state;
	struct mail invite = { INVITE, .sdp = INSIDE_AUDIO };
	struct mail ok = { ANSWERED, .status = 200, .sdp = CALLEE_AUDIO,
		.headers = "Record-Route: <sip:203.0.113.5;lr>\r\n" };
	struct mail update = { .by = 1,
		.method = "UPDATE",
		.cseq = 1,
		.to_tag = "b",
		.contact = "sip:bob@192.0.2.44" };
	struct addr proxy;

	lab_place(lab, OFFICE, OUTSIDE);
	assert_int_equal(lab_relay(lab, &invite), 0);
	assert_int_equal(lab_relay(lab, &ok), 0);
	proxy = lab->phone[1].peer;
	addr_set_port(&lab->phone[1].peer, 9999);
	assert_int_equal(lab_relay(lab, &update), 0);
	vcit_end_all(lab->vcit, "test", lab->now_us);
	assert_int_equal(lab->byes_n, 2);
	assert_string_equal(lab->bye[1].contact, "sip:bob@192.0.2.44");
	assert_true(addr_equal(&lab->bye[1].to.peer, &proxy));
}

static void
one_voice_alone_keeps_the_call_and_the_time_counts_from_its_last_packet(void **state)
{
	struct lab *lab = *state;
	struct talk t = talk_begin(lab);

	lab_run(lab, 80 * CLOCK_S);
	/* The media's clock is the real one: the packet comes now, as its clock has it. */
	lab->now_us = clock_us();
	lab_phone_say(t.fd[0], t.port[0], 1);
	assert_int_equal(lab_phone_hear(lab, t.fd[1]), 1);
	lab_run(lab, 89 * CLOCK_S);
	assert_int_equal(lab_state(lab), VCIT_UP);
	lab_run(lab, 3 * CLOCK_S);
	assert_int_equal(vcit_calls_n(lab->vcit), 0);
	talk_end(&t);
}

static void
silence_on_hold_is_no_fault_and_counts_anew_after_it(void **state)
{
	struct lab *lab = *state;
	struct mail hold = { .by = 1,
		.method = "INVITE",
		.cseq = 1,
		.to_tag = "b",
		.sdp = CALLEE_AUDIO "a=sendonly\r\n" };
	struct mail held = { .by = 0,
		.method = "INVITE",
		.status = 200,
		.cseq = 1,
		.to_tag = "b",
		.sdp = INSIDE_AUDIO "a=recvonly\r\n" };
	struct mail resume = {
		.by = 1, .method = "INVITE", .cseq = 2, .to_tag = "b", .sdp = CALLEE_AUDIO
	};
	struct mail resumed = { .by = 0,
		.method = "INVITE",
		.status = 200,
		.cseq = 2,
		.to_tag = "b",
		.sdp = INSIDE_AUDIO };

	lab_place(lab, OFFICE, OUTSIDE);
	lab_call_up(lab, INSIDE_AUDIO, CALLEE_AUDIO);
	assert_int_equal(lab_relay(lab, &hold), 0);
	assert_int_equal(lab_relay(lab, &held), 0);
	lab_run(lab, 3600 * CLOCK_S);
	assert_int_equal(lab_state(lab), VCIT_HELD);
	assert_int_equal(lab_relay(lab, &resume), 0);
	assert_int_equal(lab_relay(lab, &resumed), 0);
	lab_run(lab, 89 * CLOCK_S);
	assert_int_equal(lab_state(lab), VCIT_UP);
	lab_run(lab, 2 * CLOCK_S);
	assert_int_equal(vcit_calls_n(lab->vcit), 0);
}

static void
a_session_without_streams_has_nothing_to_miss(void **state)
{
	struct lab *lab = *state;

	lab_place(lab, OFFICE, OUTSIDE);
	lab_call_up(lab, NULL, NULL);
	lab_run(lab, 3600 * CLOCK_S);
	assert_int_equal(lab_state(lab), VCIT_UP);
}

static void
without_a_media_timeout_no_call_is_ended(void **state)
{
	struct vcit_cfg cfg = { .calls_max = 8, .port_min = PORT_MIN, .port_max = PORT_MAX };
	struct lab *lab;

	(void)state;
	assert_int_equal(addr_parse("127.0.0.1", 0, &cfg.media_address), 0);
	lab = lab_with(&cfg);
	lab_place(lab, OFFICE, OUTSIDE);
	lab_call_up(lab, INSIDE_AUDIO, CALLEE_AUDIO);
	lab_run(lab, 86400 * CLOCK_S);
	assert_int_equal(lab_state(lab), VCIT_UP);
	lab_free(lab);
}

static void
the_end_of_the_server_ends_every_call(void **state)
{
	struct lab *lab = *state;
	struct mail invite = { INVITE, .call_id = "c2", .sdp = INSIDE_AUDIO };
	struct mail ringing = { ANSWERED, .call_id = "c2", .status = 180 };
	struct mail third = { INVITE, .call_id = "c3", .sdp = INSIDE_AUDIO };

	lab_place(lab, OFFICE, OUTSIDE);
	lab_call_up(lab, INSIDE_AUDIO, CALLEE_AUDIO);
	lab->branch = 2;
	assert_int_equal(lab_relay(lab, &invite), 0);
	assert_int_equal(lab_relay(lab, &ringing), 0);
	lab->branch = 3;
	assert_int_equal(lab_relay(lab, &third), 0);
	vcit_end_all(lab->vcit, "shutting down", lab->now_us);
	assert_int_equal(lab->byes_n, 3); /* two to the first call, one to the phone that rings */
	assert_int_equal(vcit_calls_n(lab->vcit), 0);
	assert_int_equal(lab_metric(lab, "calls_ended_shutdown"), 3);
}

static void
a_call_that_hangs_up_already_gets_no_bye_of_ours(void **state)
{
	struct lab *lab = *state;
	struct mail bye = { .by = 0, .method = "BYE", .cseq = 2, .to_tag = "b" };

	lab_place(lab, OFFICE, OUTSIDE);
	lab_call_up(lab, INSIDE_AUDIO, CALLEE_AUDIO);
	assert_int_equal(lab_relay(lab, &bye), 0);
	vcit_end_all(lab->vcit, "shutting down", lab->now_us);
	assert_int_equal(lab->byes_n, 0);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, lab_setup, lab_teardown)
	const struct CMUnitTest tests[] = {
		TEST(voice_passes_between_two_phones_outside_and_stops_with_the_call),
		TEST(what_the_callee_says_before_its_200_arrives_is_heard),
		TEST(voice_from_outside_goes_into_the_tunnel_under_the_legs_number),
		TEST(a_call_without_media_ends_by_bye_both_ways),
		TEST(each_phone_gets_its_bye_as_if_from_the_other),
		TEST(a_phone_behind_a_proxy_moves_but_the_way_to_it_stays),
		TEST(one_voice_alone_keeps_the_call_and_the_time_counts_from_its_last_packet),
		TEST(silence_on_hold_is_no_fault_and_counts_anew_after_it),
		TEST(a_session_without_streams_has_nothing_to_miss),
		cmocka_unit_test(without_a_media_timeout_no_call_is_ended),
		TEST(the_end_of_the_server_ends_every_call),
		TEST(a_call_that_hangs_up_already_gets_no_bye_of_ours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
