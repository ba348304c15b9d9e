/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "log/log.h"
#include "vcit_lab.h"

#define INVITE .by = 0, .method = "INVITE", .cseq = 1, .first = true
#define ANSWERED .by = 1, .method = "INVITE", .cseq = 1, .first = true, .to_tag = "b"
#define INSIDE_AUDIO AUDIO("192.168.1.20", "4000")
#define OUTSIDE_AUDIO AUDIO("203.0.113.99", "6000")

static void
cap(struct lab *lab, uint32_t face, uint32_t kbit)
{
	const struct room_sample s = { .session = 1, .cap_kbit = kbit };

	vcit_room_sample(lab->vcit, face, &s, lab->now_us);
}

static struct vcit_room
room(struct lab *lab, uint32_t face)
{
	struct vcit_room view;

	assert_true(vcit_room_view(lab->vcit, face, &view));
	return view;
}

static int
call_as(struct lab *lab, const char *id)
{
	const struct mail invite = { INVITE, .call_id = id, .sdp = INSIDE_AUDIO };

	return lab_relay(lab, &invite);
}

static void
a_call_that_does_not_fit_is_refused_and_leaves_nothing(void **state)
{
	struct lab *lab = *state;
	const struct mail second = { INVITE, .call_id = "c2", .sdp = INSIDE_AUDIO };

	lab_place(lab, OFFICE, OUTSIDE);
	cap(lab, OFFICE, 300);
	assert_int_equal(call_as(lab, "c1"), 0);
	assert_int_equal(call_as(lab, "c2"), 0);
	assert_int_equal(call_as(lab, "c3"), 0);
	assert_int_equal(call_as(lab, "c4"), 503);
	assert_string_equal(lab->refusal.warning, "The line of this site is full");
	assert_true(lab->refusal.retry_after_s > 0);
	assert_int_equal(vcit_calls_n(lab->vcit), 3);
	assert_int_equal(room(lab, OFFICE).calls, 3);
	assert_int_equal(room(lab, OFFICE).refused, 1);
	assert_int_equal(room(lab, OFFICE).cap_kbit, 300);
	assert_int_equal(lab_metric(lab, "calls_refused_bandwidth"), 1);
	lab_invite_failed(lab, &second, 486);
	assert_int_equal(room(lab, OFFICE).calls, 2);
	assert_int_equal(call_as(lab, "c4"), 0);
	assert_null(lab->refusal.warning);
}

static void
a_place_is_held_from_the_invite_to_the_bye(void **state)
{
	struct lab *lab = *state;
	const struct mail hold = { .by = 0,
		.method = "INVITE",
		.cseq = 2,
		.to_tag = "b",
		.sdp = INSIDE_AUDIO "a=sendonly\r\n" };
	const struct mail held = { .by = 1,
		.method = "INVITE",
		.status = 200,
		.cseq = 2,
		.to_tag = "b",
		.sdp = OUTSIDE_AUDIO "a=recvonly\r\n" };
	const struct mail bye = { .by = 0, .method = "BYE", .cseq = 3, .to_tag = "b" };

	cap(lab, OFFICE, 150);
	lab_place(lab, OUTSIDE, OFFICE);
	lab_call_up(lab, OUTSIDE_AUDIO, INSIDE_AUDIO);
	assert_int_equal(room(lab, OFFICE).calls, 1);
	assert_int_equal(call_as(lab, "c2"), 503);
	assert_string_equal(lab->refusal.warning, "The line to the called site is full");
	assert_int_equal(lab_relay(lab, &hold), 0);
	assert_int_equal(lab_relay(lab, &held), 0);
	assert_int_equal(lab_state(lab), VCIT_HELD);
	assert_int_equal(room(lab, OFFICE).calls, 1);
	assert_int_equal(call_as(lab, "c2"), 503);
	assert_int_equal(lab_relay(lab, &bye), 0);
	assert_int_equal(room(lab, OFFICE).calls, 0);
	assert_int_equal(call_as(lab, "c2"), 0);
}

static void
what_belongs_to_a_call_is_never_refused(void **state)
{
	static const char *const methods[] = { "INVITE", "UPDATE", "INFO", "REFER", "BYE" };
	struct lab *lab = *state;

	lab_place(lab, OFFICE, OUTSIDE);
	lab_call_up(lab, INSIDE_AUDIO, OUTSIDE_AUDIO);
	cap(lab, OFFICE, 1);
	assert_int_equal(call_as(lab, "c2"), 503);
	for (uint32_t i = 0; i < 5; i++) {
		struct mail request = {
			.by = 0, .method = methods[i], .cseq = 2 + i, .to_tag = "b"
		};
		struct mail ok = request;

		ok.by = 1;
		ok.status = 200;
		if (i < 2) {
			request.sdp = INSIDE_AUDIO;
			ok.sdp = OUTSIDE_AUDIO;
		}
		assert_int_equal(lab_relay(lab, &request), 0);
		assert_int_equal(lab_relay(lab, &ok), 0);
	}
	assert_int_equal(vcit_calls_n(lab->vcit), 0);
}

static void
a_call_that_rings_at_many_phones_takes_one_place(void **state)
{
	struct lab *lab = *state;
	const struct mail invite = { INVITE };
	const struct mail ok = { ANSWERED, .status = 200, .sdp = INSIDE_AUDIO };

	cap(lab, OFFICE, 100);
	lab_place(lab, OUTSIDE, OFFICE);
	for (lab->branch = 1; lab->branch <= 4; lab->branch++)
		assert_int_equal(lab_relay(lab, &invite), 0);
	assert_int_equal(room(lab, OFFICE).calls, 1);
	assert_int_equal(call_as(lab, "c2"), 503);
	lab_branch_failed(lab, &invite, 1); /* the one that was counted */
	assert_int_equal(room(lab, OFFICE).calls, 1);
	lab_branch_failed(lab, &invite, 3);
	assert_int_equal(room(lab, OFFICE).calls, 1);
	lab->branch = 2;
	assert_int_equal(lab_relay(lab, &ok), 0);
	lab_branch_failed(lab, &invite, 4);
	assert_int_equal(room(lab, OFFICE).calls, 1);
	assert_int_equal(lab_state(lab), VCIT_UP);
}

static void
the_next_address_of_a_branch_is_no_new_call(void **state)
{
	struct lab *lab = *state;
	const struct mail invite = { INVITE, .sdp = INSIDE_AUDIO };

	cap(lab, OFFICE, 100);
	lab_place(lab, OFFICE, OUTSIDE);
	assert_int_equal(lab_relay(lab, &invite), 0);
	assert_int_equal(lab_relay(lab, &invite), 0);
	assert_int_equal(room(lab, OFFICE).calls, 1);
}

static void
branches_that_are_refused_together_are_one_call(void **state)
{
	struct lab *lab = *state;
	const struct mail invite = { INVITE, .call_id = "c2" };

	lab_place(lab, OUTSIDE, OFFICE);
	lab_call_up(lab, OUTSIDE_AUDIO, INSIDE_AUDIO);
	cap(lab, OFFICE, 100);
	for (lab->branch = 5; lab->branch <= 8; lab->branch++)
		assert_int_equal(lab_relay(lab, &invite), 503);
	assert_int_equal(room(lab, OFFICE).refused, 1);
	assert_int_equal(call_as(lab, "c3"), 503);
	assert_int_equal(room(lab, OFFICE).refused, 2);
	assert_int_equal(lab_metric(lab, "calls_refused_bandwidth"), 2);
}

static void
a_call_between_two_agents_needs_room_in_both(void **state)
{
	struct lab *lab = *state;

	lab_agent_up(lab, BRANCH_OFFICE, "192.168.2.5");
	lab_place(lab, OFFICE, BRANCH_OFFICE);
	cap(lab, BRANCH_OFFICE, 100);
	assert_int_equal(call_as(lab, "c1"), 0);
	assert_int_equal(call_as(lab, "c2"), 503);
	assert_string_equal(lab->refusal.warning, "The line to the called site is full");
	assert_int_equal(room(lab, OFFICE).calls, 1);
	assert_int_equal(room(lab, BRANCH_OFFICE).calls, 1);
	lab_place(lab, OFFICE, OUTSIDE);
	assert_int_equal(call_as(lab, "c2"), 0);
	cap(lab, OFFICE, 200);
	assert_int_equal(call_as(lab, "c3"), 503);
	assert_string_equal(lab->refusal.warning, "The line of this site is full");
}

static void
voice_that_goes_through_the_tunnel_twice_needs_two_places(void **state)
{
	struct lab *lab = *state;

	lab_place(lab, OFFICE, OFFICE);
	cap(lab, OFFICE, 399);
	assert_int_equal(call_as(lab, "c1"), 0);
	assert_int_equal(room(lab, OFFICE).calls, 2);
	assert_int_equal(call_as(lab, "c2"), 503);
	lab_place(lab, OFFICE, OUTSIDE);
	assert_int_equal(call_as(lab, "c2"), 0);
}

static void
voice_that_does_not_pass_needs_no_place(void **state)
{
	struct lab *lab = *state;
	const struct mail direct = { INVITE, .call_id = "c2", .sdp = INSIDE_AUDIO, .direct = true };

	lab_place(lab, OFFICE, OFFICE);
	cap(lab, OFFICE, 1);
	assert_int_equal(call_as(lab, "c1"), 0); /* the first one always */
	assert_int_equal(lab_relay(lab, &direct), 0);
	assert_int_equal(room(lab, OFFICE).calls, 2);
}

static void
a_line_that_is_congested_takes_no_call(void **state)
{
	const struct vcit_cfg cfg = {
		.calls_max = 8, .measured = true, .port_min = PORT_MIN, .port_max = PORT_MAX
	};
	struct lab *lab = lab_with(&cfg);
	struct room_sample s = { .session = 1 };

	(void)state;
	lab_place(lab, OFFICE, OUTSIDE);
	lab_call_up(lab, INSIDE_AUDIO, OUTSIDE_AUDIO);
	assert_int_equal(room(lab, OFFICE).calls_max, 0);
	for (int i = 0; i < 5; i++) {
		s.congested[i % 2] = i > 0; /* up, or down */
		lab_run(lab, CLOCK_S);
		vcit_room_sample(lab->vcit, OFFICE, &s, lab->now_us);
	}
	assert_int_equal(call_as(lab, "c2"), 503);
	assert_int_equal(lab_metric(lab, "calls_refused_congested"), 1);
	s.congested[0] = s.congested[1] = false;
	lab_run(lab, CLOCK_S);
	vcit_room_sample(lab->vcit, OFFICE, &s, lab->now_us);
	assert_int_equal(call_as(lab, "c3"), 503);
	assert_int_equal(lab_metric(lab, "calls_refused_ceiling"), 1);
	assert_int_equal(room(lab, OFFICE).calls_max, 1);
	lab_free(lab);
}

static void
a_plain_number_is_shown_as_it_is(void **state)
{
	struct lab *lab = *state;

	assert_int_equal(room(lab, OFFICE).calls_max, 8);
}

static void
the_places_of_an_agent_that_is_gone_are_gone(void **state)
{
	struct lab *lab = *state;
	struct vcit_room view;

	lab_place(lab, OFFICE, OUTSIDE);
	lab_call_up(lab, INSIDE_AUDIO, OUTSIDE_AUDIO);
	vcit_agent_gone(lab->vcit, OFFICE, lab->now_us);
	assert_false(vcit_room_view(lab->vcit, OFFICE, &view));
	cap(lab, OFFICE, 100);
	lab_agent_up(lab, OFFICE, "192.168.1.5");
	assert_int_equal(room(lab, OFFICE).calls, 0);
	assert_int_equal(room(lab, OFFICE).cap_kbit, 0);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, lab_setup, lab_teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_call_that_does_not_fit_is_refused_and_leaves_nothing),
		TEST(a_place_is_held_from_the_invite_to_the_bye),
		TEST(what_belongs_to_a_call_is_never_refused),
		TEST(a_call_that_rings_at_many_phones_takes_one_place),
		TEST(the_next_address_of_a_branch_is_no_new_call),
		TEST(branches_that_are_refused_together_are_one_call),
		TEST(a_call_between_two_agents_needs_room_in_both),
		TEST(voice_that_goes_through_the_tunnel_twice_needs_two_places),
		TEST(voice_that_does_not_pass_needs_no_place),
		cmocka_unit_test(a_line_that_is_congested_takes_no_call),
		TEST(a_plain_number_is_shown_as_it_is),
		TEST(the_places_of_an_agent_that_is_gone_are_gone),
	};

	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
