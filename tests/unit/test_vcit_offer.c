/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "vcit_lab.h"

#define INVITE .by = 0, .method = "INVITE", .cseq = 1, .first = true
#define ANSWERED .by = 1, .method = "INVITE", .cseq = 1, .first = true, .to_tag = "b"
#define INSIDE_AUDIO AUDIO("192.168.1.20", "4000")
#define OUTSIDE_AUDIO AUDIO("203.0.113.99", "6000")
#define WITH_VIDEO INSIDE_AUDIO "m=video 4002 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\n"

static bool
is_at(const struct addr *a, const char *expected)
{
	char s[ADDR_STR_MAX];

	return strcmp(addr_str(a, s), expected) == 0;
}

static void
an_offer_leaves_with_the_address_of_the_agent_on_the_other_side(void **state)
{
	struct lab *lab = *state;
	struct mail invite = { INVITE, .sdp = INSIDE_AUDIO };
	struct sdp sdp;
	size_t n;

	lab_place(lab, OFFICE, OUTSIDE);
	assert_int_equal(lab_relay(lab, &invite), 0);
	sdp = lab_sdp(lab);
	assert_int_equal(sdp.n, 1);
	assert_true(sdp.stream[0].port >= PORT_MIN && sdp.stream[0].port < PORT_MAX);
	assert_int_equal(sdp.stream[0].port % 2, 0);
	assert_null(strstr(sip_msg_sdp(lab->out, &n), "192.168.1."));
	/* The office must have its port open before its phone hears of it. */
	assert_int_equal(lab_last_leg(lab, OFFICE)->o.port, 30000);
	assert_true(is_at(&lab_last_leg(lab, OFFICE)->o.rtp, "192.168.1.20:4000"));
	assert_true(is_at(&lab_last_leg(lab, OFFICE)->o.rtcp, "192.168.1.20:4001"));
	assert_true(lab_last_leg(lab, OFFICE)->o.latch);
	assert_true(lab_last_leg(lab, OFFICE)->o.is_rtp);
	assert_int_equal(lab_last_leg(lab, OFFICE)->o.clock_rate, 8000);
}

static void
the_answer_names_the_agent_on_the_callers_side(void **state)
{
	struct lab *lab = *state;
	struct mail invite = { INVITE, .sdp = INSIDE_AUDIO };
	struct mail ok = { ANSWERED, .status = 200, .sdp = OUTSIDE_AUDIO };
	struct sdp sdp;

	lab_place(lab, OFFICE, OUTSIDE);
	assert_int_equal(lab_relay(lab, &invite), 0);
	assert_int_equal(lab_relay(lab, &ok), 0);
	sdp = lab_sdp(lab);
	assert_true(is_at(&sdp.stream[0].rtp_addr, "192.168.1.5:30000"));
	assert_true(is_at(&lab_last_leg(lab, OFFICE)->o.far, "203.0.113.99:6000"));
	assert_int_equal(lab_state(lab), VCIT_UP);
}

static void
outside_calls_inside_and_each_hears_of_its_own_agent(void **state)
{
	struct lab *lab = *state;
	struct mail invite = { INVITE, .sdp = OUTSIDE_AUDIO };
	struct mail ok = { ANSWERED, .status = 200, .sdp = INSIDE_AUDIO };
	struct sdp sdp;

	lab_place(lab, OUTSIDE, OFFICE);
	assert_int_equal(lab_relay(lab, &invite), 0);
	sdp = lab_sdp(lab);
	assert_true(is_at(&sdp.stream[0].rtp_addr, "192.168.1.5:30000"));
	assert_false(addr_is_set(&lab_last_leg(lab, OFFICE)->o.rtp));
	assert_int_equal(lab_relay(lab, &ok), 0);
	assert_true(lab_port(lab, 0) >= PORT_MIN && lab_port(lab, 0) < PORT_MAX);
	assert_true(is_at(&lab_last_leg(lab, OFFICE)->o.rtp, "192.168.1.20:4000"));
	assert_int_equal(lab->closed_n, 0);
}

static void
an_early_answer_and_its_repetitions_name_the_same_port(void **state)
{
	struct lab *lab = *state;
	struct mail invite = { INVITE, .sdp = INSIDE_AUDIO };
	struct mail early = { ANSWERED, .status = 183, .sdp = OUTSIDE_AUDIO };
	struct mail ok = { ANSWERED, .status = 200, .sdp = OUTSIDE_AUDIO };
	uint16_t port;
	size_t legs_n;

	lab_place(lab, OFFICE, OUTSIDE);
	assert_int_equal(lab_relay(lab, &invite), 0);
	assert_int_equal(lab_relay(lab, &early), 0);
	port = lab_port(lab, 0);
	assert_int_equal(port, 30000);
	assert_true(is_at(&lab_last_leg(lab, OFFICE)->o.far, "203.0.113.99:6000"));
	legs_n = lab->legs_n;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(lab_relay(lab, &ok), 0);
		assert_int_equal(lab_port(lab, 0), port);
	}
	assert_int_equal(lab->legs_n, legs_n);
	assert_int_equal(lab_metric(lab, "calls_answered"), 1);
}

static void
a_200_without_sdp_after_an_early_answer_means_that_answer(void **state)
{
	struct lab *lab = *state;
	struct mail invite = { INVITE, .sdp = INSIDE_AUDIO };
	struct mail early = { ANSWERED, .status = 183, .sdp = OUTSIDE_AUDIO };
	struct mail ok = { ANSWERED, .status = 200 };
	struct mail reinvite = {
		.by = 1, .method = "INVITE", .cseq = 1, .to_tag = "b", .sdp = OUTSIDE_AUDIO
	};

	lab_place(lab, OFFICE, OUTSIDE);
	assert_int_equal(lab_relay(lab, &invite), 0);
	assert_int_equal(lab_relay(lab, &early), 0);
	assert_int_equal(lab_relay(lab, &ok), 0);
	assert_int_equal(lab->closed_n, 0);
	assert_int_equal(lab_relay(lab, &reinvite), 0);
	assert_int_equal(lab_port(lab, 0), 30000);
}

static void
an_offer_in_the_200_is_answered_by_the_ack(void **state)
{
	struct lab *lab = *state;
	struct mail invite = { INVITE };
	struct mail ok = { ANSWERED, .status = 200, .sdp = OUTSIDE_AUDIO };
	struct mail ack = {
		.by = 0, .method = "ACK", .cseq = 1, .to_tag = "b", .sdp = INSIDE_AUDIO
	};
	struct sdp sdp;
	uint16_t port;

	lab_place(lab, OFFICE, OUTSIDE);
	assert_int_equal(lab_relay(lab, &invite), 0);
	assert_false(lab_has_sdp(lab));
	assert_int_equal(lab->legs_n, 0);
	for (int i = 0; i < 2; i++) { /* the 200 comes again until the ACK is there */
		assert_int_equal(lab_relay(lab, &ok), 0);
		sdp = lab_sdp(lab);
		assert_true(is_at(&sdp.stream[0].rtp_addr, "192.168.1.5:30000"));
	}
	assert_false(addr_is_set(&lab_last_leg(lab, OFFICE)->o.rtp));
	assert_int_equal(lab_relay(lab, &ack), 0);
	port = lab_port(lab, 0);
	assert_true(port >= PORT_MIN && port < PORT_MAX);
	assert_true(is_at(&lab_last_leg(lab, OFFICE)->o.rtp, "192.168.1.20:4000"));
	/* Both come again: the same is said, and nothing is negotiated anew. */
	assert_int_equal(lab_relay(lab, &ok), 0);
	assert_int_equal(lab_port(lab, 0), 30000);
	assert_int_equal(lab_relay(lab, &ack), 0);
	assert_int_equal(lab_port(lab, 0), port);
	assert_int_equal(lab_metric(lab, "ports_in_use"), 2);
}

static void
an_offer_in_a_reliable_183_is_answered_by_the_prack(void **state)
{
	struct lab *lab = *state;
	struct mail invite = { INVITE };
	struct mail early = { ANSWERED, .status = 183, .sdp = OUTSIDE_AUDIO,
		.headers = "Require: 100rel\r\nRSeq: 1\r\n" };
	struct mail prack = {
		.by = 0, .method = "PRACK", .cseq = 2, .to_tag = "b", .sdp = INSIDE_AUDIO
	};
	struct mail prack_ok = {
		.by = 1, .method = "PRACK", .status = 200, .cseq = 2, .to_tag = "b"
	};
	/* More than was offered: no offer any more, and to be ignored (RFC 6337 §3.1.1). */
	struct mail ok = { ANSWERED, .status = 200,
		.sdp = OUTSIDE_AUDIO "m=video 6002 RTP/AVP 96\r\n" };
	size_t legs_n;

	lab_place(lab, OFFICE, OUTSIDE);
	assert_int_equal(lab_relay(lab, &invite), 0);
	assert_int_equal(lab_relay(lab, &early), 0);
	assert_int_equal(lab_port(lab, 0), 30000);
	assert_int_equal(lab_relay(lab, &prack), 0);
	assert_true(lab_port(lab, 0) >= PORT_MIN);
	assert_true(is_at(&lab_last_leg(lab, OFFICE)->o.rtp, "192.168.1.20:4000"));
	assert_int_equal(lab_relay(lab, &prack_ok), 0);
	legs_n = lab->legs_n;
	assert_int_equal(lab_relay(lab, &ok), 0);
	assert_int_equal(lab_port(lab, 0), 30000);
	assert_int_equal(lab->legs_n, legs_n);
}

static void
a_prack_and_an_update_may_offer_anew_before_the_call_is_up(void **state)
{
	struct lab *lab = *state;
	struct mail invite = { INVITE, .sdp = INSIDE_AUDIO };
	struct mail early = { ANSWERED, .status = 183, .sdp = OUTSIDE_AUDIO,
		.headers = "Require: 100rel\r\nRSeq: 1\r\n" };
	struct mail prack = { .by = 0,
		.method = "PRACK",
		.cseq = 2,
		.to_tag = "b",
		.sdp = AUDIO("192.168.1.20", "4100") };
	struct mail prack_ok = { .by = 1,
		.method = "PRACK",
		.status = 200,
		.cseq = 2,
		.to_tag = "b",
		.sdp = OUTSIDE_AUDIO };
	struct mail update = { .by = 1,
		.method = "UPDATE",
		.cseq = 1,
		.to_tag = "b",
		.sdp = AUDIO("203.0.113.99", "6100") };
	struct mail update_ok = { .by = 0,
		.method = "UPDATE",
		.status = 200,
		.cseq = 1,
		.to_tag = "b",
		.sdp = AUDIO("192.168.1.20", "4200") };
	struct mail ok = { ANSWERED, .status = 200 };

	lab_place(lab, OFFICE, OUTSIDE);
	assert_int_equal(lab_relay(lab, &invite), 0);
	assert_int_equal(lab_relay(lab, &early), 0);
	assert_int_equal(lab_relay(lab, &prack), 0);
	assert_true(is_at(&lab_last_leg(lab, OFFICE)->o.rtp, "192.168.1.20:4000"));
	assert_int_equal(lab_relay(lab, &prack_ok), 0);
	assert_int_equal(lab_port(lab, 0), 30000);
	assert_true(is_at(&lab_last_leg(lab, OFFICE)->o.rtp, "192.168.1.20:4100"));
	assert_int_equal(lab_relay(lab, &update), 0);
	assert_int_equal(lab_relay(lab, &update_ok), 0);
	assert_true(is_at(&lab_last_leg(lab, OFFICE)->o.rtp, "192.168.1.20:4200"));
	assert_true(is_at(&lab_last_leg(lab, OFFICE)->o.far, "203.0.113.99:6100"));
	assert_int_equal(lab_relay(lab, &ok), 0);
	assert_int_equal(lab_state(lab), VCIT_UP);
	assert_int_equal(lab_metric(lab, "ports_in_use"), 2);
	assert_int_equal(lab->closed_n, 0);
}

static void
a_stream_that_the_callee_refuses_gives_its_ports_back(void **state)
{
	struct lab *lab = *state;

	lab_place(lab, OFFICE, OUTSIDE);
	lab_call_up(lab, WITH_VIDEO, OUTSIDE_AUDIO "m=video 0 RTP/AVP 96\r\n");
	assert_int_equal(lab_metric(lab, "ports_in_use"), 2);
	assert_int_equal(lab->closed_n, 1);
}

static void
an_answer_with_too_few_or_too_many_streams_harms_nothing(void **state)
{
	struct lab *lab = *state;
	struct mail invite = { INVITE, .sdp = WITH_VIDEO };
	struct mail few = { ANSWERED, .status = 183, .sdp = OUTSIDE_AUDIO };
	struct mail many = { ANSWERED, .status = 200,
		.sdp = OUTSIDE_AUDIO "m=video 6002 RTP/AVP 96\r\nm=audio 6004 RTP/AVP 0\r\n" };

	lab_place(lab, OFFICE, OUTSIDE);
	assert_int_equal(lab_relay(lab, &invite), 0);
	assert_int_equal(lab_relay(lab, &few), 0);
	assert_int_equal(lab_sdp(lab).n, 1);
	assert_int_equal(lab_relay(lab, &many), 0);
	assert_int_equal(lab_port(lab, 0), 30000);
	assert_int_equal(lab_port(lab, 1), 30002);
	assert_int_equal(lab_port(lab, 2), 0);
}

static void
a_stream_over_tcp_is_refused_and_keeps_its_place(void **state)
{
	struct lab *lab = *state;
	struct mail invite = { INVITE,
		.sdp =
		    "v=0\r\no=- 1 1 IN IP4 192.168.1.20\r\ns=-\r\nc=IN IP4 192.168.1.20\r\nt=0 0\r\n"
		    "m=message 2855 TCP/MSRP *\r\nm=audio 4000 RTP/AVP 0\r\n" };
	struct mail ok = { ANSWERED, .status = 200,
		.sdp =
		    "v=0\r\no=- 1 1 IN IP4 203.0.113.99\r\ns=-\r\nc=IN IP4 203.0.113.99\r\nt=0 0\r\n"
		    "m=message 0 TCP/MSRP *\r\nm=audio 6000 RTP/AVP 0\r\n" };

	lab_place(lab, OFFICE, OUTSIDE);
	assert_int_equal(lab_relay(lab, &invite), 0);
	assert_int_equal(lab_port(lab, 0), 0);
	assert_true(lab_port(lab, 1) >= PORT_MIN);
	assert_int_equal(lab_relay(lab, &ok), 0);
	assert_int_equal(lab_sdp(lab).n, 2);
	assert_int_equal(lab_port(lab, 0), 0);
	assert_int_equal(lab_port(lab, 1), 30000);
	assert_int_equal(lab_last_leg(lab, OFFICE)->o.stream, 1);
}

static void
rtcp_is_muxed_only_when_both_phones_agree(void **state)
{
	struct lab *lab = *state;

	lab_place(lab, OFFICE, OUTSIDE);
	lab_call_up(lab, INSIDE_AUDIO "a=rtcp-mux\r\n", OUTSIDE_AUDIO);
	assert_false(lab_last_leg(lab, OFFICE)->o.mux);
	assert_true(is_at(&lab_last_leg(lab, OFFICE)->o.rtcp, "192.168.1.20:4001"));
}

static void
rtcp_is_muxed_when_both_phones_agree(void **state)
{
	struct lab *lab = *state;

	lab_place(lab, OFFICE, OUTSIDE);
	lab_call_up(lab, INSIDE_AUDIO "a=rtcp-mux\r\n", OUTSIDE_AUDIO "a=rtcp-mux\r\n");
	assert_true(lab_last_leg(lab, OFFICE)->o.mux);
}

static void
unreadable_sdp_in_an_invite_gets_488_and_leaves_nothing(void **state)
{
	struct lab *lab = *state;
	struct mail invite = { INVITE, .sdp = "v=0\r\nm=audio rubbish\r\n" };

	lab_place(lab, OFFICE, OUTSIDE);
	assert_int_equal(lab_relay(lab, &invite), 488);
	assert_int_equal(vcit_calls_n(lab->vcit), 0);
	assert_int_equal(lab_metric(lab, "sdp_refused"), 1);
	assert_int_equal(lab_metric(lab, "calls_started"), 0);
}

static void
more_streams_than_the_cap_get_488(void **state)
{
	struct lab *lab = *state;
	char sdp[4096] = INSIDE_AUDIO;
	struct mail invite = { INVITE, .sdp = sdp };

	for (int i = 0; i < 16; i++)
		strcat(sdp, "m=audio 4000 RTP/AVP 0\r\n");
	lab_place(lab, OFFICE, OUTSIDE);
	assert_int_equal(lab_relay(lab, &invite), 488);
	assert_int_equal(vcit_calls_n(lab->vcit), 0);
}

static void
unreadable_sdp_in_a_200_refuses_it_and_gives_the_ports_back(void **state)
{
	struct lab *lab = *state;
	struct mail invite = { INVITE, .sdp = INSIDE_AUDIO };
	struct mail ok = { ANSWERED, .status = 200, .sdp = "v=0\r\nm=audio rubbish\r\n" };

	lab_place(lab, OFFICE, OUTSIDE);
	assert_int_equal(lab_relay(lab, &invite), 0);
	assert_int_equal(lab_relay(lab, &ok), 488);
	assert_int_equal(lab_metric(lab, "ports_in_use"), 0);
	assert_int_equal(lab_relay(lab, &ok), 503);
	assert_int_equal(lab->byes_n, 0); /* the proxy's: it has refused what came */
	lab_invite_failed(lab, &invite, 488);
	assert_int_equal(vcit_calls_n(lab->vcit), 0);
	assert_int_equal(lab_metric(lab, "ports_in_use"), 0);
}

static void
unreadable_sdp_in_a_183_is_left_out_and_the_call_goes_on(void **state)
{
	struct lab *lab = *state;
	struct mail invite = { INVITE, .sdp = INSIDE_AUDIO };
	struct mail early = { ANSWERED, .status = 183, .sdp = "rubbish" };
	struct mail ok = { ANSWERED, .status = 200, .sdp = OUTSIDE_AUDIO };

	lab_place(lab, OFFICE, OUTSIDE);
	assert_int_equal(lab_relay(lab, &invite), 0);
	assert_int_equal(lab_relay(lab, &early), 0);
	assert_false(lab_has_sdp(lab));
	assert_int_equal(lab_relay(lab, &ok), 0);
	assert_int_equal(lab_port(lab, 0), 30000);
	assert_int_equal(lab_state(lab), VCIT_UP);
}

static void
a_phone_behind_a_nat_is_looked_for_where_its_sip_comes_from(void **state)
{
	struct lab *lab = *state;

	lab_place(lab, OFFICE, OUTSIDE);
	lab_call_up(lab, INSIDE_AUDIO, AUDIO("10.1.2.3", "6000"));
	assert_true(is_at(&lab_last_leg(lab, OFFICE)->o.far, "203.0.113.99:6000"));
	assert_true(is_at(&lab_last_leg(lab, OFFICE)->o.rtp, "192.168.1.20:4000"));
}

static void
no_free_port_gets_503_and_takes_nothing(void **state)
{
	struct lab *lab = *state;
	char sdp[4096] = INSIDE_AUDIO;
	struct mail invite = { INVITE, .sdp = sdp };
	struct mail small = { INVITE, .call_id = "c2", .sdp = INSIDE_AUDIO };

	for (int i = 0; i < 10; i++) /* the office has ten pairs, this wants eleven */
		strcat(sdp, "m=audio 4000 RTP/AVP 0\r\n");
	lab_place(lab, OFFICE, OUTSIDE);
	assert_int_equal(lab_relay(lab, &invite), 503);
	assert_int_equal(lab_metric(lab, "calls_refused_ports"), 1);
	assert_int_equal(lab_metric(lab, "ports_in_use"), 0);
	assert_int_equal(vcit_calls_n(lab->vcit), 0);
	assert_int_equal(lab_relay(lab, &small), 503); /* they rest */
	lab_run(lab, 11 * CLOCK_S);
	assert_int_equal(lab_relay(lab, &small), 0);
}

static void
an_sdp_outside_any_session_leaves_without_addresses_and_ports(void **state)
{
	struct lab *lab = *state;
	struct mail options = { .by = 0, .method = "OPTIONS", .cseq = 1, .sdp = INSIDE_AUDIO };
	struct mail garbled = { .by = 0,
		.method = "INFO",
		.cseq = 2,
		.to_tag = "b",
		.sdp = "c=IN IP4 192.168.1.20\r\n" };
	size_t n;

	lab_place(lab, OFFICE, OUTSIDE);
	assert_int_equal(lab_relay(lab, &options), 0);
	assert_int_equal(lab_port(lab, 0), 0);
	assert_null(strstr(sip_msg_sdp(lab->out, &n), "192.168."));
	assert_int_equal(lab_relay(lab, &garbled), 0);
	assert_false(lab_has_sdp(lab));
	assert_int_equal(vcit_calls_n(lab->vcit), 0);
}

static void
of_two_phones_behind_a_forking_proxy_the_last_is_heard_and_the_confirmed_wins(void **state)
{
	struct lab *lab = *state;
	struct mail invite = { INVITE, .sdp = WITH_VIDEO };
	struct mail first = { .by = 1,
		.method = "INVITE",
		.status = 183,
		.cseq = 1,
		.first = true,
		.to_tag = "b1",
		.sdp = OUTSIDE_AUDIO "m=video 6002 RTP/AVP 96\r\n" };
	struct mail second = { .by = 1,
		.method = "INVITE",
		.status = 183,
		.cseq = 1,
		.first = true,
		.to_tag = "b2",
		.sdp = AUDIO("203.0.113.50", "7000") "m=video 0 RTP/AVP 96\r\n" };

	lab_place(lab, OFFICE, OUTSIDE);
	assert_int_equal(lab_relay(lab, &invite), 0);
	assert_int_equal(lab_relay(lab, &first), 0);
	assert_int_equal(lab_port(lab, 0), 30000);
	assert_int_equal(lab_relay(lab, &second), 0);
	assert_int_equal(lab_port(lab, 0), 30000);
	assert_true(is_at(&lab->leg[lab->legs_n - 2].o.far, "203.0.113.50:7000"));
	assert_int_equal(lab->closed_n, 0); /* the first may still want its video */
	first.status = 200;
	assert_int_equal(lab_relay(lab, &first), 0);
	assert_int_equal(lab_port(lab, 0), 30000);
	assert_int_equal(lab_port(lab, 1), 30002);
	assert_true(is_at(&lab->leg[lab->legs_n - 2].o.far, "203.0.113.99:6000"));
	assert_true(is_at(&lab->leg[lab->legs_n - 1].o.far, "203.0.113.99:6002"));
	assert_int_equal(lab->closed_n, 0);
	/* What the loser still says does not interrupt. */
	assert_int_equal(lab_relay(lab, &second), 0);
	assert_true(is_at(&lab_last_leg(lab, OFFICE)->o.far, "203.0.113.99:6002"));
}

static void
an_sdp_in_a_multipart_body_is_rewritten_where_it_is(void **state)
{
	static const char body[] =
	    "--b\r\nContent-Type: application/sdp\r\n\r\n" INSIDE_AUDIO
	    "\r\n--b\r\nContent-Type: application/isup\r\n\r\nkeep me\r\n--b--\r\n";
	struct lab *lab = *state;
	struct mail invite = { INVITE };
	struct mail ok = { ANSWERED, .status = 200, .sdp = OUTSIDE_AUDIO };
	size_t n;

	invite.headers = "Content-Type: multipart/mixed;boundary=b\r\n";
	invite.sdp = body;
	invite.typed = true;
	lab_place(lab, OFFICE, OUTSIDE);
	assert_int_equal(lab_relay(lab, &invite), 0);
	assert_true(lab_port(lab, 0) >= PORT_MIN);
	assert_non_null(strstr(sip_msg_body(lab->out, &n), "keep me"));
	assert_null(strstr(sip_msg_body(lab->out, &n), "192.168."));
	assert_int_equal(lab_relay(lab, &ok), 0);
	assert_int_equal(lab_port(lab, 0), 30000);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, lab_setup, lab_teardown)
	const struct CMUnitTest tests[] = {
		TEST(an_offer_leaves_with_the_address_of_the_agent_on_the_other_side),
		TEST(the_answer_names_the_agent_on_the_callers_side),
		TEST(outside_calls_inside_and_each_hears_of_its_own_agent),
		TEST(an_early_answer_and_its_repetitions_name_the_same_port),
		TEST(a_200_without_sdp_after_an_early_answer_means_that_answer),
		TEST(an_offer_in_the_200_is_answered_by_the_ack),
		TEST(an_offer_in_a_reliable_183_is_answered_by_the_prack),
		TEST(a_prack_and_an_update_may_offer_anew_before_the_call_is_up),
		TEST(a_stream_that_the_callee_refuses_gives_its_ports_back),
		TEST(an_answer_with_too_few_or_too_many_streams_harms_nothing),
		TEST(a_stream_over_tcp_is_refused_and_keeps_its_place),
		TEST(rtcp_is_muxed_only_when_both_phones_agree),
		TEST(rtcp_is_muxed_when_both_phones_agree),
		TEST(unreadable_sdp_in_an_invite_gets_488_and_leaves_nothing),
		TEST(more_streams_than_the_cap_get_488),
		TEST(unreadable_sdp_in_a_200_refuses_it_and_gives_the_ports_back),
		TEST(unreadable_sdp_in_a_183_is_left_out_and_the_call_goes_on),
		TEST(a_phone_behind_a_nat_is_looked_for_where_its_sip_comes_from),
		TEST(no_free_port_gets_503_and_takes_nothing),
		TEST(an_sdp_outside_any_session_leaves_without_addresses_and_ports),
		TEST(of_two_phones_behind_a_forking_proxy_the_last_is_heard_and_the_confirmed_wins),
		TEST(an_sdp_in_a_multipart_body_is_rewritten_where_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
