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

static const struct mail bye = { .by = 0, .method = "BYE", .cseq = 2, .to_tag = "b" };
static const struct mail bye_ok = {
	.by = 1, .method = "BYE", .status = 200, .cseq = 2, .to_tag = "b"
};

static void
a_call_rings_is_up_ends_and_is_gone(void **state)
{
	struct lab *lab = *state;
	struct mail invite = { INVITE, .sdp = INSIDE_AUDIO };
	struct mail trying = {
		.by = 1, .method = "INVITE", .status = 100, .cseq = 1, .first = true
	};
	struct mail ringing = { ANSWERED, .status = 180 };
	struct mail ok = { ANSWERED, .status = 200, .sdp = OUTSIDE_AUDIO };

	lab_place(lab, OFFICE, OUTSIDE);
	assert_int_equal(lab_relay(lab, &invite), 0);
	assert_int_equal(lab_state(lab), VCIT_CALLING);
	assert_int_equal(lab_relay(lab, &trying), 0);
	assert_int_equal(lab_state(lab), VCIT_CALLING);
	assert_int_equal(lab_relay(lab, &ringing), 0);
	assert_int_equal(lab_state(lab), VCIT_RINGING);
	assert_int_equal(lab_relay(lab, &ok), 0);
	assert_int_equal(lab_state(lab), VCIT_UP);
	assert_int_equal(lab_relay(lab, &bye), 0);
	assert_int_equal(lab_state(lab), VCIT_ENDING);
	assert_int_equal(lab_relay(lab, &bye_ok), 0);
	assert_int_equal(vcit_calls_n(lab->vcit), 0);
	assert_int_equal(lab_metric(lab, "calls_ended_bye"), 1);
	assert_int_equal(lab_metric(lab, "ports_in_use"), 0);
	assert_int_equal(lab->closed_n, 1);
	assert_int_equal(lab->ended_n, 1);
	assert_int_equal(lab->byes_n, 0);
}

static void
the_callee_may_hang_up_as_well(void **state)
{
	struct lab *lab = *state;
	struct mail his_bye = { .by = 1, .method = "BYE", .cseq = 1, .to_tag = "b" };
	struct mail his_ok = { .by = 0, .method = "BYE", .status = 200, .cseq = 1, .to_tag = "b" };

	lab_place(lab, OUTSIDE, OFFICE);
	lab_call_up(lab, OUTSIDE_AUDIO, INSIDE_AUDIO);
	assert_int_equal(lab_relay(lab, &his_bye), 0);
	assert_int_equal(lab_state(lab), VCIT_ENDING);
	assert_int_equal(lab_relay(lab, &his_ok), 0);
	assert_int_equal(vcit_calls_n(lab->vcit), 0);
}

static void
a_bye_that_nobody_answers_ends_the_call_after_32_s(void **state)
{
	struct lab *lab = *state;

	lab_place(lab, OFFICE, OUTSIDE);
	lab_call_up(lab, INSIDE_AUDIO, OUTSIDE_AUDIO);
	assert_int_equal(lab_relay(lab, &bye), 0);
	lab_run(lab, 31 * CLOCK_S);
	assert_int_equal(lab_state(lab), VCIT_ENDING);
	lab_run(lab, 2 * CLOCK_S);
	assert_int_equal(vcit_calls_n(lab->vcit), 0);
	assert_int_equal(lab->byes_n, 0);
}

static void
a_bye_that_is_asked_for_a_password_ends_nothing_yet(void **state)
{
	struct lab *lab = *state;
	struct mail who = bye_ok;
	struct mail again = bye, again_ok = bye_ok;

	who.status = 407;
	again.cseq = again_ok.cseq = 3;
	lab_place(lab, OFFICE, OUTSIDE);
	lab_call_up(lab, INSIDE_AUDIO, OUTSIDE_AUDIO);
	assert_int_equal(lab_relay(lab, &bye), 0);
	assert_int_equal(lab_relay(lab, &who), 0);
	assert_int_equal(lab_state(lab), VCIT_UP);
	assert_int_equal(lab->closed_n, 0);
	assert_int_equal(lab_relay(lab, &again), 0);
	assert_int_equal(lab_relay(lab, &again_ok), 0);
	assert_int_equal(vcit_calls_n(lab->vcit), 0);
}

static void
an_answer_that_crosses_the_bye_does_not_revive_the_call(void **state)
{
	struct lab *lab = *state;
	struct mail reinvite = {
		.by = 1, .method = "INVITE", .cseq = 1, .to_tag = "b", .sdp = OUTSIDE_AUDIO
	};
	struct mail ok = { .by = 0,
		.method = "INVITE",
		.status = 200,
		.cseq = 1,
		.to_tag = "b",
		.sdp = INSIDE_AUDIO };

	lab_place(lab, OFFICE, OUTSIDE);
	lab_call_up(lab, INSIDE_AUDIO, OUTSIDE_AUDIO);
	assert_int_equal(lab_relay(lab, &reinvite), 0);
	assert_int_equal(lab_relay(lab, &bye), 0);
	assert_int_equal(lab_relay(lab, &ok), 0);
	assert_int_equal(lab_state(lab), VCIT_ENDING);
	lab_run(lab, 33 * CLOCK_S);
	assert_int_equal(vcit_calls_n(lab->vcit), 0);
}

static void
a_cancelled_call_leaves_nothing_but_resting_ports(void **state)
{
	struct lab *lab = *state;
	struct mail invite = { INVITE, .sdp = INSIDE_AUDIO };
	struct mail second = { INVITE, .call_id = "c2", .sdp = INSIDE_AUDIO };
	struct mail ringing = { ANSWERED, .status = 180 };

	lab_place(lab, OFFICE, OUTSIDE);
	assert_int_equal(lab_relay(lab, &invite), 0);
	assert_int_equal(lab_relay(lab, &ringing), 0);
	lab_invite_failed(lab, &invite, 487);
	assert_int_equal(vcit_calls_n(lab->vcit), 0);
	assert_int_equal(lab_metric(lab, "calls_ended_cancelled"), 1);
	assert_int_equal(lab_metric(lab, "ports_in_use"), 0);
	/* Late packets of the first must not reach the second. */
	assert_int_equal(lab_relay(lab, &second), 0);
	assert_int_not_equal(lab_last_leg(lab, OFFICE)->o.port, 30000);
	lab_invite_failed(lab, &second, 486);
	assert_int_equal(lab_metric(lab, "calls_ended_failed"), 1);
}

static void
an_invite_with_credentials_after_407_is_a_new_call(void **state)
{
	struct lab *lab = *state;
	struct mail invite = { INVITE, .sdp = INSIDE_AUDIO };
	struct mail again = { INVITE, .sdp = INSIDE_AUDIO };

	again.cseq = 2;
	lab_place(lab, OFFICE, OUTSIDE);
	assert_int_equal(lab_relay(lab, &invite), 0);
	lab_invite_failed(lab, &invite, 407);
	assert_int_equal(lab_relay(lab, &again), 0);
	assert_int_equal(lab_state(lab), VCIT_CALLING);
	lab_invite_failed(lab, &again, 404);
}

static void
a_branch_that_fails_gives_its_legs_back_and_the_others_go_on(void **state)
{
	struct lab *lab = *state;
	struct mail invite = { INVITE, .sdp = INSIDE_AUDIO };
	struct mail ok = { ANSWERED, .status = 200, .sdp = OUTSIDE_AUDIO };

	lab_place(lab, OFFICE, OUTSIDE);
	assert_int_equal(lab_relay(lab, &invite), 0);
	lab->branch = 2;
	assert_int_equal(lab_relay(lab, &invite), 0);
	assert_int_equal(vcit_calls_n(lab->vcit), 1);
	assert_int_equal(lab_metric(lab, "calls_started"), 1);
	assert_int_equal(lab_metric(lab, "ports_in_use"), 4);
	assert_int_equal(lab_relay(lab, &ok), 0);
	assert_int_equal(lab_port(lab, 0), 30002);
	lab_branch_failed(lab, &invite, 1);
	assert_int_equal(lab_metric(lab, "ports_in_use"), 2);
	assert_int_equal(lab_state(lab), VCIT_UP);
	lab_branch_failed(lab, &invite, 2); /* nonsense: it was answered */
	assert_int_equal(lab_state(lab), VCIT_UP);
}

static void
a_call_survives_its_branches_while_another_is_tried(void **state)
{
	struct lab *lab = *state;
	struct mail invite = { INVITE, .sdp = INSIDE_AUDIO };

	lab_place(lab, OFFICE, OUTSIDE);
	assert_int_equal(lab_relay(lab, &invite), 0);
	lab_branch_failed(lab, &invite, 1);
	assert_int_equal(vcit_calls_n(lab->vcit), 1);
	assert_int_equal(lab_metric(lab, "ports_in_use"), 0);
	lab_run(lab, 1 * CLOCK_S);
	lab->branch = 2;
	assert_int_equal(lab_relay(lab, &invite), 0);
	lab_run(lab, 400 * CLOCK_S);
	assert_int_equal(vcit_calls_n(lab->vcit), 1);
	lab_branch_failed(lab, &invite, 2);
	lab_invite_failed(lab, &invite, 480);
	assert_int_equal(vcit_calls_n(lab->vcit), 0);
	assert_int_equal(lab_metric(lab, "calls_started"), 1);
}

static void
a_call_that_is_forgotten_by_the_proxy_does_not_stay_for_ever(void **state)
{
	struct lab *lab = *state;
	struct mail invite = { INVITE, .sdp = INSIDE_AUDIO };

	lab_place(lab, OFFICE, OUTSIDE);
	assert_int_equal(lab_relay(lab, &invite), 0);
	lab_branch_failed(lab, &invite, 1);
	lab_run(lab, 301 * CLOCK_S);
	assert_int_equal(vcit_calls_n(lab->vcit), 0);
}

static void
a_branch_that_tries_its_next_hop_begins_anew(void **state)
{
	struct lab *lab = *state;
	struct mail invite = { INVITE, .sdp = INSIDE_AUDIO };
	struct mail ok = { ANSWERED, .status = 200, .sdp = OUTSIDE_AUDIO };

	lab_place(lab, OFFICE, OUTSIDE);
	assert_int_equal(lab_relay(lab, &invite), 0);
	assert_int_equal(lab_relay(lab, &invite), 0);
	assert_int_equal(lab_metric(lab, "ports_in_use"), 2);
	assert_int_equal(lab_metric(lab, "calls_started"), 1);
	assert_int_equal(lab_relay(lab, &ok), 0);
	assert_int_equal(lab_state(lab), VCIT_UP);
}

static void
two_branches_that_both_answer_are_two_sound_calls_until_one_ends(void **state)
{
	struct lab *lab = *state;
	struct mail invite = { INVITE, .sdp = INSIDE_AUDIO };
	struct mail ok1 = { ANSWERED, .status = 200, .sdp = OUTSIDE_AUDIO };
	struct mail ok2 = { ANSWERED, .status = 200, .sdp = OUTSIDE_AUDIO };
	struct mail bye2 = bye, bye2_ok = bye_ok;

	ok2.to_tag = bye2.to_tag = bye2_ok.to_tag = "b2";
	lab_place(lab, OFFICE, OUTSIDE);
	assert_int_equal(lab_relay(lab, &invite), 0);
	lab->branch = 2;
	assert_int_equal(lab_relay(lab, &invite), 0);
	assert_int_equal(lab_relay(lab, &ok2), 0);
	assert_int_equal(lab_port(lab, 0), 30002);
	lab->branch = 1;
	assert_int_equal(lab_relay(lab, &ok1), 0);
	assert_int_equal(lab_port(lab, 0), 30000);
	assert_int_equal(lab_metric(lab, "calls_answered"), 1);
	assert_int_equal(lab_relay(lab, &bye2), 0);
	assert_int_equal(lab_relay(lab, &bye2_ok), 0);
	assert_int_equal(lab_state(lab), VCIT_UP);
	assert_int_equal(lab_metric(lab, "ports_in_use"), 2);
	assert_int_equal(lab_relay(lab, &bye), 0);
	assert_int_equal(lab_relay(lab, &bye_ok), 0);
	assert_int_equal(vcit_calls_n(lab->vcit), 0);
}

static void
of_two_phones_behind_one_proxy_the_other_takes_over_when_the_first_is_left(void **state)
{
	struct lab *lab = *state;
	struct mail invite = { INVITE, .sdp = INSIDE_AUDIO };
	struct mail ok1 = { ANSWERED, .status = 200, .sdp = OUTSIDE_AUDIO };
	struct mail ok2 = { ANSWERED, .status = 200, .sdp = AUDIO("203.0.113.50", "7000") };
	char far[ADDR_STR_MAX];

	ok2.to_tag = "b2";
	lab_place(lab, OFFICE, OUTSIDE);
	assert_int_equal(lab_relay(lab, &invite), 0);
	assert_int_equal(lab_relay(lab, &ok1), 0);
	assert_int_equal(lab_relay(lab, &ok2), 0);
	assert_int_equal(lab_port(lab, 0), 30000);
	assert_string_equal(addr_str(&lab_last_leg(lab, OFFICE)->o.far, far), "203.0.113.99:6000");
	assert_int_equal(lab_relay(lab, &bye), 0);
	assert_int_equal(lab_state(lab), VCIT_UP);
	assert_int_equal(lab_relay(lab, &bye_ok), 0);
	assert_int_equal(lab_state(lab), VCIT_UP);
	assert_string_equal(addr_str(&lab_last_leg(lab, OFFICE)->o.far, far), "203.0.113.50:7000");
	assert_int_equal(lab_last_call(lab, OFFICE)->will, true);
}

static void
one_call_more_than_the_cap_gets_503(void **state)
{
	struct lab *lab = *state;
	char id[16];
	struct mail invite = { INVITE, .call_id = id, .sdp = INSIDE_AUDIO };

	lab_place(lab, OFFICE, OUTSIDE);
	for (int i = 0; i < 8; i++) {
		snprintf(id, sizeof(id), "x%d", i);
		assert_int_equal(lab_relay(lab, &invite), 0);
	}
	snprintf(id, sizeof(id), "y");
	assert_int_equal(lab_relay(lab, &invite), 503);
	assert_int_equal(vcit_calls_n(lab->vcit), 8);
	assert_int_equal(lab_metric(lab, "calls_refused_full"), 1);
	assert_int_equal(lab_metric(lab, "calls_active"), 8);
	snprintf(id, sizeof(id), "x3");
	lab_invite_failed(lab, &invite, 486);
	snprintf(id, sizeof(id), "y");
	assert_int_equal(lab_relay(lab, &invite), 0);
}

static void
branches_and_to_tags_beyond_their_caps_cost_nothing(void **state)
{
	struct lab *lab = *state;
	struct mail invite = { INVITE };
	struct mail ok = { ANSWERED, .status = 200, .sdp = OUTSIDE_AUDIO };
	char tag[16];

	lab_place(lab, OFFICE, OUTSIDE);
	for (lab->branch = 1; lab->branch <= 10; lab->branch++)
		assert_int_equal(lab_relay(lab, &invite), 0);
	assert_int_equal(lab_relay(lab, &invite), 503);
	lab->branch = 3;
	for (int i = 0; i < 50; i++) {
		struct mail ringing = { ANSWERED, .status = 180 };

		snprintf(tag, sizeof(tag), "t%d", i);
		ringing.to_tag = tag;
		assert_int_equal(lab_relay(lab, &ringing), 0);
	}
	assert_int_equal(lab_relay(lab, &ok), 0);
	assert_int_equal(lab_state(lab), VCIT_UP);
	for (int i = 0; i < 50; i++) { /* and so do those who all answer */
		snprintf(tag, sizeof(tag), "u%d", i);
		ok.to_tag = tag;
		assert_int_equal(lab_relay(lab, &ok), 0);
	}
}

static void
a_call_inside_one_network_passes_untouched_and_is_let_go_at_its_200(void **state)
{
	struct lab *lab = *state;
	struct mail invite = { INVITE, .sdp = INSIDE_AUDIO, .direct = true };
	struct mail ringing = { ANSWERED, .status = 180, .direct = true };
	struct mail ok = { ANSWERED, .status = 200, .sdp = AUDIO("192.168.1.30", "4000"),
		.direct = true };

	lab_place(lab, OFFICE, OFFICE);
	assert_int_equal(lab_relay(lab, &invite), 0);
	assert_int_equal(lab_port(lab, 0), 4000);
	assert_int_equal(lab->legs_n, 0);
	assert_false(lab->busy[OFFICE]);
	assert_int_equal(lab_state(lab), VCIT_CALLING);
	assert_int_equal(lab_relay(lab, &ringing), 0);
	assert_int_equal(lab_state(lab), VCIT_RINGING);
	assert_int_equal(lab_last_call(lab, OFFICE)->state, VCIT_RINGING);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(lab_relay(lab, &ok), 0);
		assert_int_equal(lab_port(lab, 0), 4000);
		assert_int_equal(vcit_calls_n(lab->vcit), 0);
	}
	assert_int_equal(lab_metric(lab, "calls_ended_direct"), 1);
	assert_int_equal(lab->ended_n, 2);
}

static void
a_call_inside_one_network_can_be_relayed_with_two_legs_there(void **state)
{
	struct lab *lab = *state;
	struct mail invite = { INVITE, .sdp = INSIDE_AUDIO };
	struct mail ok = { ANSWERED, .status = 200, .sdp = AUDIO("192.168.1.30", "4000") };

	lab_place(lab, OFFICE, OFFICE);
	assert_int_equal(lab_relay(lab, &invite), 0);
	assert_int_equal(lab_port(lab, 0), 30002);
	assert_int_equal(lab_relay(lab, &ok), 0);
	assert_int_equal(lab_port(lab, 0), 30000);
	assert_int_equal(lab_state(lab), VCIT_UP);
	/* Each phone has its own call there, so that each has a last will. */
	assert_int_not_equal(lab->call[lab->calls_n - 1].call, lab->call[lab->calls_n - 2].call);
	assert_true(lab->call[lab->calls_n - 1].will && lab->call[lab->calls_n - 2].will);
}

static void
a_reinvite_of_an_unknown_call_gets_481_and_its_bye_passes(void **state)
{
	struct lab *lab = *state;
	struct mail reinvite = {
		.by = 0, .method = "INVITE", .cseq = 9, .to_tag = "b", .sdp = INSIDE_AUDIO
	};
	struct mail ack = {
		.by = 0, .method = "ACK", .cseq = 9, .to_tag = "b", .sdp = INSIDE_AUDIO
	};

	lab_place(lab, OFFICE, OUTSIDE);
	assert_int_equal(lab_relay(lab, &reinvite), 481);
	assert_int_equal(lab_relay(lab, &ack), 0);
	assert_int_equal(lab_port(lab, 0), 0);
	assert_int_equal(lab_relay(lab, &bye), 0);
	assert_int_equal(lab_relay(lab, &bye_ok), 0);
	assert_int_equal(vcit_calls_n(lab->vcit), 0);
}

static void
a_wrong_tag_finds_no_call(void **state)
{
	struct lab *lab = *state;
	struct mail other = bye;

	other.to_tag = "c";
	lab_place(lab, OFFICE, OUTSIDE);
	lab_call_up(lab, INSIDE_AUDIO, OUTSIDE_AUDIO);
	assert_int_equal(lab_relay(lab, &other), 0);
	assert_int_equal(lab_state(lab), VCIT_UP);
}

static void
a_call_that_comes_back_from_a_proxy_is_two_rows_told_apart_by_their_faces(void **state)
{
	struct lab *lab = *state;
	struct mail invite = { INVITE, .sdp = INSIDE_AUDIO };
	struct mail back = { INVITE, .sdp = OUTSIDE_AUDIO };
	struct mail ok = { ANSWERED, .status = 200, .sdp = AUDIO("192.168.1.30", "4000") };
	struct mail ok_back = { ANSWERED, .status = 200, .sdp = OUTSIDE_AUDIO };
	struct mail hold = {
		.by = 0, .method = "INVITE", .cseq = 2, .to_tag = "b", .sdp = OUTSIDE_AUDIO
	};
	uint16_t port;

	lab_place(lab, OFFICE, OUTSIDE); /* alice to the proxy ... */
	assert_int_equal(lab_relay(lab, &invite), 0);
	lab_place(lab, OUTSIDE, OFFICE); /* ... and the proxy to bob, of the same office */
	lab->branch = 2;
	assert_int_equal(lab_relay(lab, &back), 0);
	assert_int_equal(vcit_calls_n(lab->vcit), 1);
	assert_int_equal(lab_relay(lab, &ok), 0);
	port = lab_port(lab, 0);
	lab_place(lab, OFFICE, OUTSIDE);
	lab->branch = 1;
	assert_int_equal(lab_relay(lab, &ok_back), 0);
	assert_int_equal(lab_port(lab, 0), 30000);
	lab_place(lab, OUTSIDE, OFFICE);
	assert_int_equal(lab_relay(lab, &hold), 0);
	assert_int_equal(lab_port(lab, 0), 30002); /* bob's leg, not alice's */
	lab_place(lab, OFFICE, OUTSIDE);
	assert_int_equal(lab_relay(lab, &bye), 0);
	assert_int_equal(lab_relay(lab, &bye_ok), 0);
	assert_int_equal(lab_state(lab), VCIT_UP);
	lab_place(lab, OUTSIDE, OFFICE);
	assert_int_equal(lab_relay(lab, &bye), 0);
	assert_int_equal(lab_relay(lab, &bye_ok), 0);
	assert_int_equal(vcit_calls_n(lab->vcit), 0);
	assert_true(port >= PORT_MIN);
}

struct seen {
	size_t n;
	struct vcit_call_view view;
	struct vcit_stream_view stream[2];
	char inside[ADDR_STR_MAX], outside[ADDR_STR_MAX];
};

static void
on_each(void *arg, const struct vcit_call_view *view)
{
	struct seen *seen = arg;

	seen->n++;
	seen->view = *view;
	if (view->streams_n > 0) {
		addr_str(&view->streams[0].inside, seen->inside);
		addr_str(&view->streams[0].outside, seen->outside);
	}
}

static void
the_view_tells_who_where_and_since_when(void **state)
{
	struct lab *lab = *state;
	struct seen seen = { .n = 0 };

	lab_place(lab, OUTSIDE, OFFICE);
	lab_call_up(lab, OUTSIDE_AUDIO, INSIDE_AUDIO);
	vcit_each(lab->vcit, on_each, &seen);
	assert_int_equal(seen.n, 1);
	assert_string_equal(seen.view.call_id, "c1");
	assert_string_equal(seen.view.from, "sip:alice@example.com");
	assert_string_equal(seen.view.to, "sip:bob@example.com");
	assert_null(seen.view.caller_agent);
	assert_string_equal(seen.view.callee_agent, "office");
	assert_true(seen.view.up_since_wall_s >= seen.view.since_wall_s);
	assert_int_equal(seen.view.streams_n, 1);
	assert_string_equal(seen.inside, "192.168.1.20:4000");
	assert_string_equal(seen.outside, "203.0.113.99:6000");
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, lab_setup, lab_teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_call_rings_is_up_ends_and_is_gone),
		TEST(the_callee_may_hang_up_as_well),
		TEST(a_bye_that_nobody_answers_ends_the_call_after_32_s),
		TEST(a_bye_that_is_asked_for_a_password_ends_nothing_yet),
		TEST(an_answer_that_crosses_the_bye_does_not_revive_the_call),
		TEST(a_cancelled_call_leaves_nothing_but_resting_ports),
		TEST(an_invite_with_credentials_after_407_is_a_new_call),
		TEST(a_branch_that_fails_gives_its_legs_back_and_the_others_go_on),
		TEST(a_call_survives_its_branches_while_another_is_tried),
		TEST(a_call_that_is_forgotten_by_the_proxy_does_not_stay_for_ever),
		TEST(a_branch_that_tries_its_next_hop_begins_anew),
		TEST(two_branches_that_both_answer_are_two_sound_calls_until_one_ends),
		TEST(of_two_phones_behind_one_proxy_the_other_takes_over_when_the_first_is_left),
		TEST(one_call_more_than_the_cap_gets_503),
		TEST(branches_and_to_tags_beyond_their_caps_cost_nothing),
		TEST(a_call_inside_one_network_passes_untouched_and_is_let_go_at_its_200),
		TEST(a_call_inside_one_network_can_be_relayed_with_two_legs_there),
		TEST(a_reinvite_of_an_unknown_call_gets_481_and_its_bye_passes),
		TEST(a_wrong_tag_finds_no_call),
		TEST(a_call_that_comes_back_from_a_proxy_is_two_rows_told_apart_by_their_faces),
		TEST(the_view_tells_who_where_and_since_when),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
