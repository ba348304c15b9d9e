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

static struct addr
address(const char *s)
{
	struct addr a;

	assert_int_equal(addr_parse(s, 0, &a), 0);
	return a;
}

static struct lab *
office_calls_out(void **state)
{
	struct lab *lab = *state;

	lab_place(lab, OFFICE, OUTSIDE);
	lab_call_up(lab, INSIDE_AUDIO, OUTSIDE_AUDIO);
	return lab;
}

static void
an_agent_is_busy_from_its_first_call_to_the_end_of_its_last(void **state)
{
	struct lab *lab = *state;
	struct mail one = { INVITE, .call_id = "c1", .sdp = INSIDE_AUDIO };
	struct mail two = { INVITE, .call_id = "c2", .sdp = INSIDE_AUDIO };

	lab_place(lab, OFFICE, OUTSIDE);
	assert_false(lab->busy[OFFICE]);
	assert_int_equal(lab_relay(lab, &one), 0);
	assert_true(lab->busy[OFFICE]);
	assert_int_equal(lab_relay(lab, &two), 0);
	lab_invite_failed(lab, &one, 486);
	assert_true(lab->busy[OFFICE]);
	lab_invite_failed(lab, &two, 486);
	assert_false(lab->busy[OFFICE]);
	assert_int_equal(lab->busy_changes, 2);
}

static void
a_call_between_two_agents_has_a_leg_and_a_name_at_each(void **state)
{
	struct lab *lab = *state;
	struct mail invite = { INVITE, .sdp = INSIDE_AUDIO };
	struct mail ok = { ANSWERED, .status = 200, .sdp = AUDIO("192.168.1.20", "8000") };
	struct sdp sdp;
	char s[ADDR_STR_MAX];

	lab_agent_up(lab, BRANCH_OFFICE, "192.168.1.77"); /* both networks use the same addresses */
	lab_place(lab, OFFICE, BRANCH_OFFICE);
	assert_int_equal(lab_relay(lab, &invite), 0);
	sdp = lab_sdp(lab);
	assert_string_equal(addr_str(&sdp.stream[0].rtp_addr, s), "192.168.1.77:30000");
	assert_int_equal(lab_relay(lab, &ok), 0);
	sdp = lab_sdp(lab);
	assert_string_equal(addr_str(&sdp.stream[0].rtp_addr, s), "192.168.1.5:30000");
	assert_true(lab->busy[OFFICE] && lab->busy[BRANCH_OFFICE]);
	assert_string_equal(addr_str(&lab_last_leg(lab, OFFICE)->o.rtp, s), "192.168.1.20:4000");
	assert_string_equal(addr_str(&lab_last_leg(lab, BRANCH_OFFICE)->o.rtp, s),
	    "192.168.1.20:8000");
	assert_string_equal(addr_str(&lab_last_leg(lab, BRANCH_OFFICE)->o.far, s),
	    "192.168.1.20:4000");
	assert_int_not_equal(lab_last_leg(lab, OFFICE)->o.leg,
	    lab_last_leg(lab, BRANCH_OFFICE)->o.leg);
	assert_true(lab_last_call(lab, OFFICE)->will);
	assert_true(lab_last_call(lab, BRANCH_OFFICE)->will);
}

static void
an_agent_that_is_up_again_is_taught_the_same_calls_and_legs(void **state)
{
	struct lab *lab = office_calls_out(state);
	struct lab_leg before = *lab_last_leg(lab, OFFICE);
	struct lab_call call = *lab_last_call(lab, OFFICE);
	struct mail second = { INVITE, .call_id = "c2", .sdp = INSIDE_AUDIO };

	lab->legs_n = lab->calls_n = 0;
	lab_agent_up(lab, OFFICE, "192.168.1.5");
	assert_int_equal(lab->calls_n, 1);
	assert_int_equal(lab->call[0].call, call.call);
	assert_int_equal(lab->call[0].state, VCIT_UP);
	assert_true(lab->call[0].will);
	assert_int_equal(lab->legs_n, 1);
	assert_int_equal(lab->leg[0].o.leg, before.o.leg);
	assert_int_equal(lab->leg[0].o.call, call.call);
	assert_int_equal(lab->leg[0].o.port, before.o.port);
	assert_true(addr_equal(&lab->leg[0].o.rtp, &before.o.rtp));
	assert_true(addr_equal(&lab->leg[0].o.far, &before.o.far));
	assert_true(lab->leg[0].o.latch);
	assert_int_equal(lab->byes_n, 0);
	/* Its port is still its own. */
	assert_int_equal(lab_relay(lab, &second), 0);
	assert_int_not_equal(lab_last_leg(lab, OFFICE)->o.port, before.o.port);
	lab_invite_failed(lab, &second, 486);
	assert_int_equal(lab_metric(lab, "ports_in_use"), 2);
}

static void
ports_that_an_agent_reports_busy_are_not_given(void **state)
{
	static const uint8_t busy[] = { 0xfb, 0x03 }; /* all of the ten but the third */
	struct lab *lab = *state;
	struct vcit_agent a = { .name = "office",
		.media = address("192.168.1.5"),
		.port_min = 30000,
		.port_max = 30019,
		.busy = busy,
		.busy_len = sizeof(busy) };
	struct mail one = { INVITE, .call_id = "c1", .sdp = INSIDE_AUDIO };
	struct mail two = { INVITE, .call_id = "c2", .sdp = INSIDE_AUDIO };

	vcit_agent_up(lab->vcit, OFFICE, &a, lab->now_us);
	lab_place(lab, OFFICE, OUTSIDE);
	assert_int_equal(lab_relay(lab, &one), 0);
	assert_int_equal(lab_last_leg(lab, OFFICE)->o.port, 30004);
	assert_int_equal(lab_relay(lab, &two), 503);
	assert_int_equal(lab_metric(lab, "calls_refused_ports"), 1);
}

static void
a_call_whose_port_has_left_the_agents_range_ends_without_giving_it_back(void **state)
{
	struct lab *lab = office_calls_out(state);
	struct vcit_agent a = { .name = "office",
		.media = address("192.168.1.5"),
		.port_min = 31000,
		.port_max = 31001 };
	struct mail two = { INVITE, .call_id = "c2", .sdp = INSIDE_AUDIO };
	struct mail three = { INVITE, .call_id = "c3", .sdp = INSIDE_AUDIO };

	vcit_agent_up(lab->vcit, OFFICE, &a, lab->now_us);
	vcit_end_all(lab->vcit, "test", lab->now_us);
	lab_run(lab, 20 * CLOCK_S);
	assert_int_equal(lab_relay(lab, &two), 0);
	assert_int_equal(lab_last_leg(lab, OFFICE)->o.port, 31000);
	assert_int_equal(lab_relay(lab, &three), 503);
}

static void
a_range_and_bitmap_that_make_no_sense_harm_nothing(void **state)
{
	static const uint8_t busy[300] = { [0 ... 299] = 0xff };
	struct lab *lab = *state;
	struct vcit_agent a = { .name = "office",
		.media = address("192.168.1.5"),
		.port_min = 65534,
		.port_max = 65535,
		.busy = busy,
		.busy_len = sizeof(busy) };
	struct mail invite = { INVITE, .sdp = INSIDE_AUDIO };

	vcit_agent_up(lab->vcit, OFFICE, &a, lab->now_us);
	a.port_min = 40000;
	a.port_max = 30000;
	vcit_agent_up(lab->vcit, OFFICE, &a, lab->now_us);
	lab_place(lab, OFFICE, OUTSIDE);
	assert_int_equal(lab_relay(lab, &invite), 503);
}

static void
an_agent_that_has_moved_ends_its_calls_on_both_sides(void **state)
{
	struct lab *lab = office_calls_out(state);

	lab_agent_up(lab, OFFICE, "192.168.9.9");
	assert_int_equal(lab->byes_n, 2);
	assert_int_equal(vcit_calls_n(lab->vcit), 0);
	assert_int_equal(lab_metric(lab, "calls_ended_agent_gone"), 1);
	assert_false(lab->busy[OFFICE]);
}

static void
an_agent_that_is_gone_ends_its_calls_for_the_phones_elsewhere(void **state)
{
	struct lab *lab = office_calls_out(state);
	struct mail ringing_call = { INVITE, .call_id = "c2", .sdp = INSIDE_AUDIO };
	struct mail ringing = { ANSWERED, .call_id = "c2", .status = 180 };
	struct mail ok = { ANSWERED, .call_id = "c2", .status = 200, .sdp = OUTSIDE_AUDIO };
	struct mail third = { INVITE, .call_id = "c3", .sdp = INSIDE_AUDIO };

	lab->branch = 2;
	assert_int_equal(lab_relay(lab, &ringing_call), 0);
	assert_int_equal(lab_relay(lab, &ringing), 0);
	vcit_agent_gone(lab->vcit, OFFICE, lab->now_us);
	/* The one that is up, and the one that rings: both phones outside are told. */
	assert_int_equal(lab->byes_n, 2);
	assert_int_equal(lab->bye[0].to.face, OUTSIDE);
	assert_int_equal(lab->bye[1].to.face, OUTSIDE);
	assert_int_equal(lab_metric(lab, "ports_in_use"), 0);
	assert_false(lab->busy[OFFICE]);
	/* Too late: the phone answers all the same. */
	assert_int_equal(lab_relay(lab, &ok), 503);
	assert_int_equal(lab->byes_n, 2);
	lab_invite_failed(lab, &ringing_call, 503);
	assert_int_equal(vcit_calls_n(lab->vcit), 0);
	assert_int_equal(lab_relay(lab, &third), 503);
	assert_int_equal(lab_metric(lab, "calls_refused_agent"), 1);
	vcit_agent_gone(lab->vcit, OFFICE, lab->now_us); /* again: nothing */
}

static void
a_call_inside_one_network_ends_silently_with_its_agent(void **state)
{
	struct lab *lab = *state;
	struct mail invite = { INVITE, .sdp = INSIDE_AUDIO, .direct = true };

	lab_place(lab, OFFICE, OFFICE);
	assert_int_equal(lab_relay(lab, &invite), 0);
	vcit_agent_gone(lab->vcit, OFFICE, lab->now_us);
	assert_int_equal(lab->byes_n, 0);
	assert_int_equal(vcit_calls_n(lab->vcit), 1);
	lab_invite_failed(lab, &invite, 408);
	assert_int_equal(vcit_calls_n(lab->vcit), 0);
}

static void
a_port_that_cannot_be_opened_ends_the_call_and_rests_long(void **state)
{
	struct lab *lab = office_calls_out(state);
	uint32_t leg = lab_last_leg(lab, OFFICE)->o.leg;
	char id[16];
	struct mail invite = { INVITE, .call_id = id, .sdp = INSIDE_AUDIO };

	vcit_leg_failed(lab->vcit, BRANCH_OFFICE, leg, 30000, lab->now_us);
	vcit_leg_failed(lab->vcit, OFFICE, leg, 30002, lab->now_us);
	vcit_leg_failed(lab->vcit, OFFICE, leg + 1000, 30000, lab->now_us);
	assert_int_equal(lab->byes_n, 0); /* all that was about nobody's leg */
	vcit_leg_failed(lab->vcit, OFFICE, leg, 30000, lab->now_us);
	assert_int_equal(lab->byes_n, 2);
	assert_int_equal(vcit_calls_n(lab->vcit), 0);
	assert_int_equal(lab_metric(lab, "calls_ended_leg_failed"), 1);
	lab_run(lab,
	    60 * CLOCK_S); /* the linger is over, yet the other nine ports are taken first */
	for (int i = 0; i < 8; i++) {
		snprintf(id, sizeof(id), "x%d", i);
		assert_int_equal(lab_relay(lab, &invite), 0);
		assert_int_not_equal(lab_last_leg(lab, OFFICE)->o.port, 30000);
	}
}

static void
a_port_that_fails_while_it_rings_refuses_the_answer(void **state)
{
	struct lab *lab = *state;
	struct mail invite = { INVITE, .sdp = INSIDE_AUDIO };
	struct mail ringing = { ANSWERED, .status = 180 };
	struct mail ok = { ANSWERED, .status = 200, .sdp = OUTSIDE_AUDIO };

	lab_place(lab, OFFICE, OUTSIDE);
	assert_int_equal(lab_relay(lab, &invite), 0);
	assert_int_equal(lab_relay(lab, &ringing), 0);
	vcit_leg_failed(lab->vcit, OFFICE, lab_last_leg(lab, OFFICE)->o.leg, 30000, lab->now_us);
	assert_int_equal(lab->byes_n, 1);
	assert_int_equal(lab->bye[0].to.face, OUTSIDE);
	assert_int_equal(lab_metric(lab, "ports_in_use"), 0);
	assert_int_equal(lab_relay(lab, &ok), 503);
	assert_int_equal(lab->byes_n, 1); /* the other one is the proxy's */
	lab_invite_failed(lab, &invite, 503);
	assert_int_equal(vcit_calls_n(lab->vcit), 0);
}

static void
a_doomed_call_is_given_up_when_the_proxy_forgets_it(void **state)
{
	struct lab *lab = *state;
	struct mail invite = { INVITE, .sdp = INSIDE_AUDIO };

	lab_place(lab, OFFICE, OUTSIDE);
	assert_int_equal(lab_relay(lab, &invite), 0);
	vcit_leg_failed(lab->vcit, OFFICE, lab_last_leg(lab, OFFICE)->o.leg, 30000, lab->now_us);
	lab_run(lab, 602 * CLOCK_S);
	assert_int_equal(vcit_calls_n(lab->vcit), 0);
}

static void
the_real_source_of_a_phone_is_shown_at_the_other_agent(void **state)
{
	struct lab *lab = *state;
	struct addr source = address("192.168.1.20:4444");
	size_t legs_n;
	char s[ADDR_STR_MAX];

	lab_agent_up(lab, BRANCH_OFFICE, "10.0.0.5");
	lab_place(lab, OFFICE, BRANCH_OFFICE);
	lab_call_up(lab, INSIDE_AUDIO, AUDIO("10.0.0.20", "4000"));
	legs_n = lab->legs_n;
	vcit_leg_source(lab->vcit, OFFICE, lab_last_leg(lab, OFFICE)->o.leg, false, &source);
	assert_int_equal(lab->legs_n, legs_n + 1);
	assert_string_equal(addr_str(&lab_last_leg(lab, BRANCH_OFFICE)->o.far, s),
	    "192.168.1.20:4444");
	assert_false(lab_last_leg(lab, BRANCH_OFFICE)->o.latch);
	vcit_leg_source(lab->vcit, OFFICE, lab_last_leg(lab, OFFICE)->o.leg, true, &source);
	vcit_leg_source(lab->vcit, OFFICE, 4711, false, &source);
	assert_int_equal(lab->legs_n, legs_n + 1);
}

struct heard_seen {
	unsigned n;
	uint32_t face, leg;
	struct heard heard;
};

static void
on_heard(void *arg, uint32_t face, uint32_t leg, const struct heard *h)
{
	struct heard_seen *seen = arg;

	*seen = (struct heard_seen){ seen->n + 1, face, leg, *h };
}

static void
see_stream(void *arg, const struct vcit_call_view *call)
{
	assert_int_equal(call->streams_n, 1);
	*(struct vcit_stream_view *)arg = call->streams[0];
}

static void
what_an_inside_phone_hears_is_known_from_its_agent(void **state)
{
	struct lab *lab = office_calls_out(state);
	struct heard h = { .packets = 100, .lost = 3, .mos = 400, .mos_recent = 410 };
	uint32_t leg = lab_last_leg(lab, OFFICE)->o.leg;
	struct vcit_stream_view s;
	struct heard_seen seen = { 0 };

	vcit_leg_heard(lab->vcit, BRANCH_OFFICE, leg, &h); /* not its leg */
	vcit_leg_heard(lab->vcit, OFFICE, leg + 100, &h);
	vcit_each(lab->vcit, see_stream, &s);
	assert_int_equal(s.heard_of_outside.packets, 0);
	vcit_leg_heard(lab->vcit, OFFICE, leg, &h);
	vcit_each(lab->vcit, see_stream, &s);
	assert_int_equal(s.heard_of_outside.packets, 100);
	assert_int_equal(s.heard_of_outside.mos, 400);
	assert_int_equal(s.heard_of_inside.packets, 0); /* the phone outside hears nothing yet */
	assert_int_equal(vcit_take_heard(lab->vcit).lost, 3);
	assert_int_equal(vcit_take_heard(lab->vcit).lost, 0);
	/* It is no news for that agent. */
	vcit_each_heard(lab->vcit, 0, 1, on_heard, &seen);
	assert_int_equal(seen.n, 0);
}

static void
what_is_heard_of_a_phone_is_told_to_its_agent_once(void **state)
{
	struct lab *lab = office_calls_out(state);
	uint32_t leg = lab_last_leg(lab, OFFICE)->o.leg;
	struct heard_seen seen = { 0 };
	const uint8_t p[172] = { 0x80 };

	media_from_tunnel(lab->media, OFFICE, 2 * leg, p, sizeof(p), 1000000);
	vcit_each_heard(lab->vcit, (leg + 1) % 5, 5, on_heard, &seen);
	assert_int_equal(seen.n, 0);
	vcit_each_heard(lab->vcit, leg % 5, 5, on_heard, &seen);
	vcit_each_heard(lab->vcit, leg % 5, 5, on_heard, &seen);
	assert_int_equal(seen.n, 1);
	assert_int_equal(seen.face, OFFICE);
	assert_int_equal(seen.leg, leg);
	assert_int_equal(seen.heard.packets, 1);
}

static void
between_two_agents_each_is_told_what_the_other_ones_phone_hears(void **state)
{
	struct lab *lab = *state;
	struct heard h = { .packets = 70, .mos = 400 };
	struct heard_seen seen = { 0 };

	lab_agent_up(lab, BRANCH_OFFICE, "10.0.0.5");
	lab_place(lab, OFFICE, BRANCH_OFFICE);
	lab_call_up(lab, INSIDE_AUDIO, AUDIO("10.0.0.20", "4000"));
	vcit_leg_heard(lab->vcit, BRANCH_OFFICE, lab_last_leg(lab, BRANCH_OFFICE)->o.leg, &h);
	vcit_each_heard(lab->vcit, 0, 1, on_heard, &seen);
	assert_int_equal(seen.n, 1);
	assert_int_equal(seen.face, OFFICE);
	assert_int_equal(seen.leg, lab_last_leg(lab, OFFICE)->o.leg);
	assert_int_equal(seen.heard.packets, 70);
}

static void
the_last_will_exists_while_the_call_is_up_and_follows_the_cseq(void **state)
{
	struct lab *lab = *state;
	struct mail invite = { INVITE, .sdp = INSIDE_AUDIO };
	struct mail ringing = { ANSWERED, .status = 180 };
	struct mail ok = { ANSWERED, .status = 200, .sdp = OUTSIDE_AUDIO };
	struct mail info = { .by = 1, .method = "INFO", .cseq = 70, .to_tag = "b" };
	struct mail bye = { .by = 1, .method = "BYE", .cseq = 71, .to_tag = "b" };

	lab_place(lab, OFFICE, OUTSIDE);
	assert_int_equal(lab_relay(lab, &invite), 0);
	assert_false(lab_last_call(lab, OFFICE)->will);
	assert_int_equal(lab_relay(lab, &ringing), 0);
	assert_false(lab_last_call(lab, OFFICE)->will);
	assert_int_equal(lab_relay(lab, &ok), 0);
	assert_true(lab_last_call(lab, OFFICE)->will);
	assert_int_equal(lab_last_call(lab, OFFICE)->will_cseq, 1); /* the callee sent none yet */
	assert_int_equal(lab_relay(lab, &info), 0);
	assert_int_equal(lab_last_call(lab, OFFICE)->will_cseq, 71);
	assert_int_equal(lab_relay(lab, &bye), 0);
	assert_false(lab_last_call(lab, OFFICE)->will);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, lab_setup, lab_teardown)
	const struct CMUnitTest tests[] = {
		TEST(an_agent_is_busy_from_its_first_call_to_the_end_of_its_last),
		TEST(a_call_between_two_agents_has_a_leg_and_a_name_at_each),
		TEST(an_agent_that_is_up_again_is_taught_the_same_calls_and_legs),
		TEST(ports_that_an_agent_reports_busy_are_not_given),
		TEST(a_call_whose_port_has_left_the_agents_range_ends_without_giving_it_back),
		TEST(a_range_and_bitmap_that_make_no_sense_harm_nothing),
		TEST(an_agent_that_has_moved_ends_its_calls_on_both_sides),
		TEST(an_agent_that_is_gone_ends_its_calls_for_the_phones_elsewhere),
		TEST(a_call_inside_one_network_ends_silently_with_its_agent),
		TEST(a_port_that_cannot_be_opened_ends_the_call_and_rests_long),
		TEST(a_port_that_fails_while_it_rings_refuses_the_answer),
		TEST(a_doomed_call_is_given_up_when_the_proxy_forgets_it),
		TEST(the_real_source_of_a_phone_is_shown_at_the_other_agent),
		TEST(what_an_inside_phone_hears_is_known_from_its_agent),
		TEST(what_is_heard_of_a_phone_is_told_to_its_agent_once),
		TEST(between_two_agents_each_is_told_what_the_other_ones_phone_hears),
		TEST(the_last_will_exists_while_the_call_is_up_and_follows_the_cseq),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
