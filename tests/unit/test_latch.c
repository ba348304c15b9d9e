/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "media/latch.h"

#define S 1000000ULL
#define SDP "198.51.100.5:4000"
#define NATTED "198.51.100.5:61000"
#define PHONE "203.0.113.7:5000"
#define THIEF "192.0.2.66:6666"

static struct addr
at(const char *text)
{
	struct addr a;

	memset(&a, 0, sizeof(a));
	if (text != NULL)
		assert_int_equal(addr_parse(text, 0, &a), 0);
	return a;
}

static struct latch
latch_to(const char *sdp)
{
	struct addr a = at(sdp);
	struct latch l;

	memset(&l, 0, sizeof(l));
	latch_signal(&l, &a, true, 1 * S);
	return l;
}

static enum latch_verdict
packet(struct latch *l, const char *from, uint64_t now_us)
{
	struct addr a = at(from);

	return latch_packet(l, &a, true, now_us);
}

static void
signal_again(struct latch *l, const char *sdp, bool anew, uint64_t now_us)
{
	struct addr a = at(sdp);

	latch_signal(l, &a, anew, now_us);
}

static void
assert_target(const struct latch *l, const char *want)
{
	char str[ADDR_STR_MAX];

	assert_string_equal(addr_str(latch_target(l), str), want);
}

static void
latch_sends_where_sdp_said_until_the_phone_is_heard(void **state)
{
	struct latch l = latch_to(SDP);

	(void)state;
	assert_target(&l, SDP);
	assert_int_equal(packet(&l, PHONE, 50 * S), LATCH_LEARNT);
	assert_target(&l, PHONE);
	assert_int_equal(packet(&l, PHONE, 51 * S), LATCH_ACCEPTED);
}

static void
latch_sends_nowhere_before_anything_is_known(void **state)
{
	struct latch l = latch_to(NULL);

	(void)state;
	assert_target(&l, "-");
	assert_int_equal(packet(&l, PHONE, 2 * S), LATCH_LEARNT);
	assert_target(&l, PHONE);
}

static void
latch_does_not_believe_a_packet_of_the_wrong_form(void **state)
{
	struct latch l = latch_to(SDP);
	struct addr from = at(SDP);

	(void)state;
	assert_int_equal(latch_packet(&l, &from, false, 2 * S), LATCH_FOREIGN);
	assert_int_equal(packet(&l, SDP, 2 * S), LATCH_LEARNT);
	/* Who is believed may send what he likes. */
	assert_int_equal(latch_packet(&l, &from, false, 3 * S), LATCH_ACCEPTED);
}

static void
latch_never_yields_the_signalled_phone_to_a_stranger(void **state)
{
	struct latch l = latch_to(SDP);

	(void)state;
	assert_int_equal(packet(&l, SDP, 2 * S), LATCH_LEARNT);
	for (uint64_t t = 2 * S; t < 200 * S; t += S / 2)
		assert_int_equal(packet(&l, THIEF, t), LATCH_FOREIGN);
	assert_target(&l, SDP);
}

static void
latch_gives_a_thief_s_place_to_the_signalled_phone_whenever_it_speaks(void **state)
{
	struct latch l = latch_to(SDP);

	(void)state;
	assert_int_equal(packet(&l, THIEF, 2 * S), LATCH_LEARNT);
	assert_int_equal(packet(&l, THIEF, 60 * S), LATCH_ACCEPTED);
	assert_int_equal(packet(&l, NATTED, 60 * S + 1), LATCH_LEARNT);
	assert_int_equal(packet(&l, THIEF, 60 * S + 2), LATCH_FOREIGN);
	assert_int_equal(packet(&l, SDP, 60 * S + 3), LATCH_LEARNT);
	assert_int_equal(packet(&l, NATTED, 60 * S + 4), LATCH_FOREIGN);
	assert_target(&l, SDP);
}

static void
latch_follows_a_nat_that_changed_the_port_only_after_silence(void **state)
{
	struct latch l = latch_to("10.0.0.5:4000");

	(void)state;
	assert_int_equal(packet(&l, "203.0.113.7:5000", 2 * S), LATCH_LEARNT);
	assert_int_equal(packet(&l, "203.0.113.7:5002", 2 * S + LATCH_REBIND_US - 1),
	    LATCH_FOREIGN);
	assert_int_equal(packet(&l, "203.0.113.7:5002", 2 * S + LATCH_REBIND_US), LATCH_LEARNT);
	assert_target(&l, "203.0.113.7:5002");
	assert_int_equal(packet(&l, "203.0.113.8:5002", 100 * S), LATCH_FOREIGN);
}

static void
latch_forgets_the_source_when_the_phone_is_signalled_elsewhere(void **state)
{
	struct latch l = latch_to(SDP);

	(void)state;
	assert_int_equal(packet(&l, SDP, 2 * S), LATCH_LEARNT);
	signal_again(&l, "198.51.100.99:7000", true, 3 * S);
	assert_target(&l, "198.51.100.99:7000");
	assert_int_equal(packet(&l, "198.51.100.99:7000", 3 * S), LATCH_LEARNT);
}

static void
latch_keeps_the_source_when_nothing_new_was_asked(void **state)
{
	struct latch l = latch_to(SDP);

	(void)state;
	assert_int_equal(packet(&l, PHONE, 2 * S), LATCH_LEARNT);
	signal_again(&l, "198.51.100.99:7000", false, 3 * S);
	assert_target(&l, PHONE);
	assert_int_equal(packet(&l, THIEF, 9 * S), LATCH_FOREIGN);
}

static void
latch_lets_a_natted_phone_move_only_in_the_window_and_only_if_silent(void **state)
{
	struct latch l = latch_to("10.0.0.5:4000");

	(void)state;
	assert_int_equal(packet(&l, PHONE, 2 * S), LATCH_LEARNT);
	assert_int_equal(packet(&l, THIEF, 4 * S), LATCH_FOREIGN); /* nobody asked yet */
	signal_again(&l, "10.0.0.5:4000", true, 20 * S);
	assert_target(&l, PHONE);
	assert_int_equal(packet(&l, PHONE, 20 * S), LATCH_ACCEPTED);
	assert_int_equal(packet(&l, THIEF, 20 * S + LATCH_MOVE_US - 1), LATCH_FOREIGN);
	assert_int_equal(packet(&l, "203.0.113.9:9", 20 * S + LATCH_MOVE_US), LATCH_LEARNT);
	assert_int_equal(packet(&l, THIEF, 20 * S + LATCH_WINDOW_US), LATCH_FOREIGN);
}

static void
latch_opens_no_window_for_a_phone_that_is_where_sdp_said(void **state)
{
	struct latch l = latch_to(SDP);

	(void)state;
	assert_int_equal(packet(&l, SDP, 2 * S), LATCH_LEARNT);
	signal_again(&l, SDP, true, 3 * S);
	assert_int_equal(packet(&l, THIEF, 3 * S + 5 * LATCH_MOVE_US), LATCH_FOREIGN);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(latch_sends_where_sdp_said_until_the_phone_is_heard),
		cmocka_unit_test(latch_sends_nowhere_before_anything_is_known),
		cmocka_unit_test(latch_does_not_believe_a_packet_of_the_wrong_form),
		cmocka_unit_test(latch_never_yields_the_signalled_phone_to_a_stranger),
		cmocka_unit_test(
		    latch_gives_a_thief_s_place_to_the_signalled_phone_whenever_it_speaks),
		cmocka_unit_test(latch_follows_a_nat_that_changed_the_port_only_after_silence),
		cmocka_unit_test(latch_forgets_the_source_when_the_phone_is_signalled_elsewhere),
		cmocka_unit_test(latch_keeps_the_source_when_nothing_new_was_asked),
		cmocka_unit_test(
		    latch_lets_a_natted_phone_move_only_in_the_window_and_only_if_silent),
		cmocka_unit_test(latch_opens_no_window_for_a_phone_that_is_where_sdp_said),
	};

	return cmocka_run_group_tests_name("latch", tests, NULL, NULL);
}
