/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "vcit_lab.h"

#define INSIDE_AUDIO AUDIO("192.168.1.20", "4000")
#define OUTSIDE_AUDIO AUDIO("203.0.113.99", "6000")
#define WITH_VIDEO INSIDE_AUDIO "m=video 4002 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\n"

static bool
is_at(const struct addr *a, const char *expected)
{
	char s[ADDR_STR_MAX];

	return strcmp(addr_str(a, s), expected) == 0;
}

/* Inside calls outside, with audio. */
static struct lab *
office_calls_out(void **state)
{
	struct lab *lab = *state;

	lab_place(lab, OFFICE, OUTSIDE);
	lab_call_up(lab, INSIDE_AUDIO, OUTSIDE_AUDIO);
	return lab;
}

static void
a_reinvite_that_fails_leaves_the_media_as_it_was(void **state)
{
	struct lab *lab = office_calls_out(state);
	struct mail reinvite = { .by = 0,
		.method = "INVITE",
		.cseq = 2,
		.to_tag = "b",
		.sdp = AUDIO("192.168.1.21", "5000") "m=video 4002 RTP/AVP 96\r\n" };
	struct mail early = { .by = 1,
		.method = "INVITE",
		.status = 183,
		.cseq = 2,
		.to_tag = "b",
		.sdp = AUDIO("203.0.113.98", "6002") "m=video 0 RTP/AVP 96\r\n" };
	struct mail busy = { .by = 1, .method = "INVITE", .status = 486, .cseq = 2, .to_tag = "b" };
	struct mail refresh = {
		.by = 0, .method = "INVITE", .cseq = 3, .to_tag = "b", .sdp = INSIDE_AUDIO
	};
	struct mail refreshed = { .by = 1,
		.method = "INVITE",
		.status = 200,
		.cseq = 3,
		.to_tag = "b",
		.sdp = OUTSIDE_AUDIO };
	size_t legs_n;

	assert_int_equal(lab_relay(lab, &reinvite), 0);
	assert_int_equal(lab_sdp(lab).n, 2);
	assert_int_equal(lab_metric(lab, "ports_in_use"), 4);
	assert_int_equal(lab_relay(lab, &early), 0);
	assert_int_equal(lab_relay(lab, &busy), 0);
	assert_int_equal(lab_metric(lab, "ports_in_use"), 2);
	assert_int_equal(lab->closed_n, 1);
	/* If the failed one had left a trace, the old session would now be a change. */
	legs_n = lab->legs_n;
	assert_int_equal(lab_relay(lab, &refresh), 0);
	assert_int_equal(lab_relay(lab, &refreshed), 0);
	assert_int_equal(lab->legs_n, legs_n);
	assert_int_equal(lab_state(lab), VCIT_UP);
}

static void
a_reinvite_that_the_proxy_gives_up_is_rolled_back_too(void **state)
{
	struct lab *lab = office_calls_out(state);
	struct mail reinvite = {
		.by = 0, .method = "INVITE", .cseq = 2, .to_tag = "b", .sdp = WITH_VIDEO
	};

	assert_int_equal(lab_relay(lab, &reinvite), 0);
	lab_invite_failed(lab, &reinvite, 408);
	assert_int_equal(lab_metric(lab, "ports_in_use"), 2);
	assert_int_equal(lab_state(lab), VCIT_UP);
}

static void
two_reinvites_that_meet_both_fail_and_leave_the_media_as_it_was(void **state)
{
	struct lab *lab = office_calls_out(state);
	struct mail a = {
		.by = 0, .method = "INVITE", .cseq = 2, .to_tag = "b", .sdp = WITH_VIDEO
	};
	struct mail b = { .by = 1,
		.method = "INVITE",
		.cseq = 1,
		.to_tag = "b",
		.sdp = OUTSIDE_AUDIO "m=video 6002 RTP/AVP 96\r\n" };
	struct mail a_491 = {
		.by = 1, .method = "INVITE", .status = 491, .cseq = 2, .to_tag = "b"
	};
	struct mail b_491 = {
		.by = 0, .method = "INVITE", .status = 491, .cseq = 1, .to_tag = "b"
	};

	assert_int_equal(lab_relay(lab, &a), 0);
	assert_int_equal(lab_relay(lab, &b), 0);
	assert_int_equal(lab_relay(lab, &a_491), 0);
	assert_int_equal(lab_relay(lab, &b_491), 0);
	assert_int_equal(lab_metric(lab, "ports_in_use"), 2);
	assert_int_equal(lab_state(lab), VCIT_UP);
}

static void
video_comes_and_goes_by_reinvite(void **state)
{
	struct lab *lab = office_calls_out(state);
	struct mail add = {
		.by = 0, .method = "INVITE", .cseq = 2, .to_tag = "b", .sdp = WITH_VIDEO
	};
	struct mail added = { .by = 1,
		.method = "INVITE",
		.status = 200,
		.cseq = 2,
		.to_tag = "b",
		.sdp = OUTSIDE_AUDIO "m=video 6002 RTP/AVP 96\r\n" };
	struct mail drop = { .by = 1,
		.method = "INVITE",
		.cseq = 1,
		.to_tag = "b",
		.sdp = OUTSIDE_AUDIO "m=video 0 RTP/AVP 96\r\n" };
	struct mail dropped = { .by = 0,
		.method = "INVITE",
		.status = 200,
		.cseq = 1,
		.to_tag = "b",
		.sdp = INSIDE_AUDIO "m=video 0 RTP/AVP 96\r\n" };

	assert_int_equal(lab_relay(lab, &add), 0);
	assert_int_equal(lab_relay(lab, &added), 0);
	assert_int_equal(lab_port(lab, 1), 30002);
	assert_int_equal(lab_last_leg(lab, OFFICE)->o.kind, MEDIA_VIDEO);
	assert_int_equal(lab_last_leg(lab, OFFICE)->o.stream, 1);
	assert_int_equal(lab_metric(lab, "ports_in_use"), 4);
	assert_int_equal(lab_relay(lab, &drop), 0);
	assert_int_equal(lab_port(lab, 1), 0);
	assert_int_equal(lab_metric(lab, "ports_in_use"), 4); /* until it is agreed */
	assert_int_equal(lab_relay(lab, &dropped), 0);
	assert_int_equal(lab_port(lab, 0) >= PORT_MIN, 1);
	assert_int_equal(lab_port(lab, 1), 0);
	assert_int_equal(lab_metric(lab, "ports_in_use"), 2);
	assert_int_equal(lab->closed_n, 1);
}

#define INSIDE_FAX                                                                        \
	"v=0\r\no=- 1 2 IN IP4 192.168.1.20\r\ns=-\r\nc=IN IP4 192.168.1.20\r\nt=0 0\r\n" \
	"m=image 4500 udptl t38\r\n"
#define OUTSIDE_FAX                                                                       \
	"v=0\r\no=- 1 2 IN IP4 203.0.113.99\r\ns=-\r\nc=IN IP4 203.0.113.99\r\nt=0 0\r\n" \
	"m=image 6500 udptl t38\r\n"

static void
voice_that_becomes_fax_gets_legs_of_its_own(void **state)
{
	struct lab *lab = office_calls_out(state);
	struct mail fax = {
		.by = 1, .method = "INVITE", .cseq = 1, .to_tag = "b", .sdp = OUTSIDE_FAX
	};
	struct mail ok = { .by = 0,
		.method = "INVITE",
		.status = 200,
		.cseq = 1,
		.to_tag = "b",
		.sdp = INSIDE_FAX };
	uint32_t voice = lab_last_leg(lab, OFFICE)->o.leg;

	assert_int_equal(lab_relay(lab, &fax), 0);
	assert_int_equal(lab_port(lab, 0), 30002);
	assert_int_equal(lab_last_leg(lab, OFFICE)->o.kind, MEDIA_IMAGE);
	assert_false(lab_last_leg(lab, OFFICE)->o.is_rtp);
	assert_int_equal(lab->closed_n, 0);
	assert_int_equal(lab_relay(lab, &ok), 0);
	assert_int_equal(lab->closed_n, 1);
	assert_int_equal(lab->closed[0], voice);
	assert_int_equal(lab_metric(lab, "ports_in_use"), 2);
	assert_true(is_at(&lab_last_leg(lab, OFFICE)->o.rtp, "192.168.1.20:4500"));
	assert_true(is_at(&lab_last_leg(lab, OFFICE)->o.far, "203.0.113.99:6500"));
}

static void
voice_goes_on_when_the_fax_is_refused(void **state)
{
	struct lab *lab = office_calls_out(state);
	struct mail fax = {
		.by = 1, .method = "INVITE", .cseq = 1, .to_tag = "b", .sdp = OUTSIDE_FAX
	};
	struct mail no = { .by = 0, .method = "INVITE", .status = 488, .cseq = 1, .to_tag = "b" };
	struct mail refresh = {
		.by = 0, .method = "INVITE", .cseq = 2, .to_tag = "b", .sdp = INSIDE_AUDIO
	};
	struct mail ok = { .by = 1,
		.method = "INVITE",
		.status = 200,
		.cseq = 2,
		.to_tag = "b",
		.sdp = OUTSIDE_AUDIO };
	uint32_t voice = lab_last_leg(lab, OFFICE)->o.leg;
	size_t legs_n;

	assert_int_equal(lab_relay(lab, &fax), 0);
	lab->legs_n = 0;
	lab_agent_up(lab, OFFICE, "192.168.1.5"); /* just now: it must hear of both */
	assert_int_equal(lab->legs_n, 2);
	assert_int_equal(lab_relay(lab, &no), 0);
	assert_int_equal(lab->closed_n, 1);
	assert_int_not_equal(lab->closed[0], voice);
	assert_int_equal(lab_metric(lab, "ports_in_use"), 2);
	legs_n = lab->legs_n;
	assert_int_equal(lab_relay(lab, &refresh), 0);
	assert_int_equal(lab_relay(lab, &ok), 0);
	assert_int_equal(lab_port(lab, 0), 30000);
	assert_int_equal(lab->legs_n, legs_n);
}

static void
hold_and_resume_are_seen_in_all_their_forms(void **state)
{
	static const char *const holds[] = { INSIDE_AUDIO "a=sendonly\r\n",
		INSIDE_AUDIO "a=inactive\r\n", AUDIO("0.0.0.0", "4000") };
	struct lab *lab = office_calls_out(state);

	for (uint32_t i = 0; i < 3; i++) {
		struct mail hold = { .by = 0,
			.method = "INVITE",
			.cseq = 2 + 2 * i,
			.to_tag = "b",
			.sdp = holds[i] };
		struct mail held = { .by = 1,
			.method = "INVITE",
			.status = 200,
			.cseq = 2 + 2 * i,
			.to_tag = "b",
			.sdp = i == 2 ? OUTSIDE_AUDIO : OUTSIDE_AUDIO "a=recvonly\r\n" };
		struct mail resume = { .by = 0,
			.method = "INVITE",
			.cseq = 3 + 2 * i,
			.to_tag = "b",
			.sdp = INSIDE_AUDIO };
		struct mail resumed = { .by = 1,
			.method = "INVITE",
			.status = 200,
			.cseq = 3 + 2 * i,
			.to_tag = "b",
			.sdp = OUTSIDE_AUDIO };

		assert_int_equal(lab_relay(lab, &hold), 0);
		assert_int_equal(lab_state(lab), VCIT_UP);
		assert_int_equal(lab_relay(lab, &held), 0);
		assert_int_equal(lab_state(lab), VCIT_HELD);
		assert_int_equal(lab_last_call(lab, OFFICE)->state, VCIT_HELD);
		assert_int_equal(lab_relay(lab, &resume), 0);
		assert_int_equal(lab_relay(lab, &resumed), 0);
		assert_int_equal(lab_state(lab), VCIT_UP);
		assert_int_equal(lab_port(lab, 0), 30000);
	}
	assert_int_equal(lab->closed_n, 0);
}

static void
a_session_refresh_learns_nothing_anew_but_a_moved_phone_does(void **state)
{
	struct lab *lab = office_calls_out(state);
	size_t legs_n = lab->legs_n;
	struct mail refresh = {
		.by = 0, .method = "UPDATE", .cseq = 2, .to_tag = "b", .sdp = INSIDE_AUDIO
	};
	struct mail refreshed = { .by = 1,
		.method = "UPDATE",
		.status = 200,
		.cseq = 2,
		.to_tag = "b",
		.sdp = OUTSIDE_AUDIO };
	struct mail move = { .by = 0,
		.method = "INVITE",
		.cseq = 3,
		.to_tag = "b",
		.sdp = AUDIO("192.168.1.44", "4000") };
	struct mail moved = { .by = 1,
		.method = "INVITE",
		.status = 200,
		.cseq = 3,
		.to_tag = "b",
		.sdp = OUTSIDE_AUDIO };

	assert_int_equal(lab_relay(lab, &refresh), 0);
	assert_int_equal(lab_relay(lab, &refreshed), 0);
	assert_int_equal(lab->legs_n, legs_n);
	assert_int_equal(lab_relay(lab, &move), 0);
	assert_int_equal(lab->legs_n, legs_n); /* not before the other side agrees */
	assert_int_equal(lab_relay(lab, &moved), 0);
	assert_int_equal(lab->legs_n, legs_n + 1);
	assert_true(lab_last_leg(lab, OFFICE)->o.latch);
	assert_true(is_at(&lab_last_leg(lab, OFFICE)->o.rtp, "192.168.1.44:4000"));
}

static void
unreadable_sdp_in_a_reinvite_gets_488_and_the_call_goes_on(void **state)
{
	struct lab *lab = office_calls_out(state);
	struct mail reinvite = {
		.by = 1, .method = "INVITE", .cseq = 1, .to_tag = "b", .sdp = "rubbish"
	};

	assert_int_equal(lab_relay(lab, &reinvite), 488);
	assert_int_equal(lab_state(lab), VCIT_UP);
	assert_int_equal(lab_metric(lab, "ports_in_use"), 2);
}

static void
unreadable_sdp_in_the_200_of_a_reinvite_ends_the_call(void **state)
{
	struct lab *lab = office_calls_out(state);
	struct mail reinvite = {
		.by = 0, .method = "INVITE", .cseq = 2, .to_tag = "b", .sdp = INSIDE_AUDIO
	};
	struct mail ok = { .by = 1,
		.method = "INVITE",
		.status = 200,
		.cseq = 2,
		.to_tag = "b",
		.sdp = "rubbish" };

	assert_int_equal(lab_relay(lab, &reinvite), 0);
	assert_int_equal(lab_relay(lab, &ok), 488);
	/* The proxy hangs up on the one that answered so, we on the other. */
	assert_int_equal(lab->byes_n, 1);
	assert_int_equal(lab->bye[0].to.face, OFFICE);
	assert_int_equal(vcit_calls_n(lab->vcit), 0);
}

static void
no_port_for_more_streams_refuses_the_reinvite_only(void **state)
{
	struct lab *lab = office_calls_out(state);
	char sdp[4096] = INSIDE_AUDIO;
	struct mail reinvite = {
		.by = 0, .method = "INVITE", .cseq = 2, .to_tag = "b", .sdp = sdp
	};

	for (int i = 0; i < 10; i++)
		strcat(sdp, "m=audio 4000 RTP/AVP 0\r\n");
	assert_int_equal(lab_relay(lab, &reinvite), 503);
	assert_int_equal(lab_metric(lab, "ports_in_use"), 2);
	assert_int_equal(lab_state(lab), VCIT_UP);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, lab_setup, lab_teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_reinvite_that_fails_leaves_the_media_as_it_was),
		TEST(a_reinvite_that_the_proxy_gives_up_is_rolled_back_too),
		TEST(two_reinvites_that_meet_both_fail_and_leave_the_media_as_it_was),
		TEST(video_comes_and_goes_by_reinvite),
		TEST(voice_that_becomes_fax_gets_legs_of_its_own),
		TEST(voice_goes_on_when_the_fax_is_refused),
		TEST(hold_and_resume_are_seen_in_all_their_forms),
		TEST(a_session_refresh_learns_nothing_anew_but_a_moved_phone_does),
		TEST(unreadable_sdp_in_a_reinvite_gets_488_and_the_call_goes_on),
		TEST(unreadable_sdp_in_the_200_of_a_reinvite_ends_the_call),
		TEST(no_port_for_more_streams_refuses_the_reinvite_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
