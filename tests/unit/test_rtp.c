/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "media/rtp.h"

#define MS 1000ULL
#define START (1000000 * MS)

/* A packet of G.711: version 2, payload type 0, 160 bytes. */
static void
voice(uint8_t out[static 172], uint16_t seq, uint32_t timestamp, uint32_t ssrc)
{
	struct wire_write w = wire_writer(out, 12);

	memset(out, 0, 172);
	wire_put_u8(&w, 0x80);
	wire_put_u8(&w, 0);
	wire_put_u16(&w, seq);
	wire_put_u32(&w, timestamp);
	wire_put_u32(&w, ssrc);
}

static void
heard_at(struct rtp_counter *c, uint16_t seq, uint32_t ssrc, uint64_t now_us)
{
	uint8_t p[172];

	voice(p, seq, seq * 160U, ssrc);
	rtp_counter_packet(c, p, sizeof(p), now_us);
}

static void
heard(struct rtp_counter *c, uint16_t seq, uint32_t ssrc)
{
	heard_at(c, seq, ssrc, START + c->packets * 20 * MS);
}

static struct rtp_counter
counter(void)
{
	struct rtp_counter c;

	rtp_counter_init(&c, 8000);
	return c;
}

static enum rtp_kind
kind_of(uint8_t first, uint8_t second, size_t n)
{
	uint8_t *p = calloc(1, n + 2);
	enum rtp_kind kind;

	p[0] = first;
	p[1] = second;
	p = realloc(p, n == 0 ? 1 : n);
	kind = rtp_kind(p, n);
	free(p);
	return kind;
}

static void
kind_tells_what_shares_a_port_with_rtp(void **state)
{
	(void)state;
	assert_int_equal(kind_of(0x80, 0, 172), RTP_KIND_RTP);
	assert_int_equal(kind_of(0x80, 0x80 | 101, 16), RTP_KIND_RTP); /* marker, telephone-event */
	assert_int_equal(kind_of(0x80, 200, 28), RTP_KIND_RTCP);
	assert_int_equal(kind_of(0x81, 201, 32), RTP_KIND_RTCP);
	assert_int_equal(kind_of(0x81, 207, 8), RTP_KIND_RTCP);
	assert_int_equal(kind_of(0x00, 1, 20), RTP_KIND_STUN);
	assert_int_equal(kind_of(0x16, 0xfe, 60), RTP_KIND_DTLS);
	assert_int_equal(kind_of(0x10, 0, 60), RTP_KIND_ZRTP);
}

static void
kind_of_what_is_cut_or_foreign_is_other(void **state)
{
	(void)state;
	assert_int_equal(kind_of(0x80, 0, 0), RTP_KIND_OTHER);
	assert_int_equal(kind_of(0x80, 0, 1), RTP_KIND_OTHER);
	assert_int_equal(kind_of(0x80, 0, 11), RTP_KIND_OTHER);
	assert_int_equal(kind_of(0x80, 200, 7), RTP_KIND_OTHER);
	assert_int_equal(kind_of(0x00, 1, 19), RTP_KIND_OTHER);
	assert_int_equal(kind_of(0x16, 0xfe, 12), RTP_KIND_OTHER);
	assert_int_equal(kind_of(0x40, 0, 172), RTP_KIND_OTHER);
	assert_int_equal(kind_of(0xc0, 0, 172), RTP_KIND_OTHER);
	assert_int_equal(kind_of('I', 'N', 172), RTP_KIND_OTHER);
}

static void
counter_sees_no_loss_where_none_is_even_over_the_wrap(void **state)
{
	struct rtp_counter c = counter();

	(void)state;
	for (uint32_t seq = 65000; seq < 65000 + 70000; seq++)
		heard(&c, (uint16_t)seq, 1);
	assert_int_equal(c.packets, 70000);
	assert_int_equal(c.bytes, 70000 * 172);
	assert_int_equal(rtp_counter_lost(&c), 0);
}

static void
counter_counts_gaps_and_forgives_what_comes_late(void **state)
{
	struct rtp_counter c = counter();

	(void)state;
	heard(&c, 65534, 1);
	heard(&c, 1, 1); /* 65535 and 0 are missing */
	assert_int_equal(rtp_counter_lost(&c), 2);
	heard(&c, 65535, 1);
	assert_int_equal(rtp_counter_lost(&c), 1);
	heard(&c, 2, 1);
	assert_int_equal(rtp_counter_lost(&c), 1);
}

static void
counter_never_counts_negative_loss_for_duplicates(void **state)
{
	struct rtp_counter c = counter();

	(void)state;
	for (int i = 0; i < 10; i++)
		heard(&c, 7, 1);
	heard(&c, 6, 1);
	assert_int_equal(rtp_counter_lost(&c), 0);
	assert_int_equal(c.packets, 11);
}

static void
counter_keeps_the_loss_of_a_source_that_another_one_follows(void **state)
{
	struct rtp_counter c = counter();

	(void)state;
	heard(&c, 1, 100);
	heard(&c, 4, 100); /* 2 lost */
	for (uint32_t ssrc = 200; ssrc < 220; ssrc++) {
		heard(&c, 10, ssrc);
		heard(&c, 12, ssrc); /* 1 lost each */
	}
	assert_int_equal(rtp_counter_lost(&c), 22);
}

static void
counter_follows_two_sources_in_turns_without_inventing_loss(void **state)
{
	struct rtp_counter c = counter();

	(void)state;
	for (uint16_t seq = 0; seq < 100; seq++) {
		heard(&c, seq, 1);
		heard(&c, (uint16_t)(40000 + seq), 2);
	}
	assert_int_equal(rtp_counter_lost(&c), 0);
	assert_int_equal(c.packets, 200);
}

static void
counter_starts_over_after_two_packets_far_off_but_not_after_one(void **state)
{
	struct rtp_counter c = counter();

	(void)state;
	heard(&c, 100, 1);
	heard(&c, 102, 1); /* 1 lost */
	heard(&c, 30000, 1);
	heard(&c, 103, 1); /* the other one was a stray */
	assert_int_equal(rtp_counter_lost(&c), 1);
	heard(&c, 50000, 1);
	heard(&c, 50001, 1);
	heard(&c, 50002, 1);
	assert_int_equal(rtp_counter_lost(&c), 1);
}

static void
jitter_is_zero_on_a_steady_beat_and_grows_with_unrest(void **state)
{
	struct rtp_counter steady = counter(), restless = counter();

	(void)state;
	for (uint16_t i = 0; i < 500; i++) {
		heard_at(&steady, i, 1, START + i * 20 * MS);
		heard_at(&restless, i, 1, START + i * 20 * MS + (i % 2) * 8 * MS);
	}
	assert_true(rtp_counter_jitter_ms(&steady) < 0.001);
	/* Each step is 8 ms off: the mean deviation goes to 8. */
	assert_true(fabs(rtp_counter_jitter_ms(&restless) - 8) < 0.1);
}

static void
jitter_ignores_further_packets_of_one_frame_and_a_new_time_base(void **state)
{
	struct rtp_counter c = counter();
	uint8_t p[172];

	(void)state;
	for (uint16_t i = 0; i < 100; i++) {
		voice(p, i, 160U * (i / 2), 1); /* two packets a timestamp, 5 ms apart */
		rtp_counter_packet(&c, p, sizeof(p),
		    START + (uint64_t)(i / 2) * 20 * MS + (i % 2) * 5 * MS);
	}
	assert_true(rtp_counter_jitter_ms(&c) < 0.001);
	voice(p, 100, 0x80000000, 1);
	rtp_counter_packet(&c, p, sizeof(p), START + 50 * 20 * MS);
	assert_true(rtp_counter_jitter_ms(&c) < 0.001);
}

/* -- RTCP -- */

static size_t
sender_report(uint8_t out[static 64], uint32_t ntp_s, uint32_t ntp_frac)
{
	struct wire_write w = wire_writer(out, 64);

	wire_put_u16(&w, 0x80c8);
	wire_put_u16(&w, 6);
	wire_put_u32(&w, 1);
	wire_put_u32(&w, ntp_s);
	wire_put_u32(&w, ntp_frac);
	wire_put_u32(&w, 0);
	wire_put_u32(&w, 0);
	wire_put_u32(&w, 0);
	return w.used;
}

static size_t
receiver_report(uint8_t out[static 64], uint32_t answered, uint32_t waited, uint32_t lost)
{
	struct wire_write w = wire_writer(out, 64);

	wire_put_u16(&w, 0x81c9);
	wire_put_u16(&w, 7);
	wire_put_u32(&w, 2);
	wire_put_u32(&w, 1);
	wire_put_u32(&w, lost);
	wire_put_u32(&w, 0);
	wire_put_u32(&w, 0);
	wire_put_u32(&w, answered);
	wire_put_u32(&w, waited);
	return w.used;
}

static void
round_trip_is_the_time_since_the_report_less_what_the_phone_waited(void **state)
{
	struct rtcp_watch alice = { .next = 0 }, bob = { .next = 0 };
	uint8_t p[64];

	(void)state;
	rtcp_watch_packet(&alice, &bob, p, sender_report(p, 0x11112222, 0x33334444), START);
	/* Half a second waited, 0.6 s since: 100 ms on the way; 5 lost. */
	rtcp_watch_packet(&bob, &alice, p, receiver_report(p, 0x22223333, 0x8000, 5),
	    START + 600 * MS);
	assert_int_equal(bob.round_trip_us, 100 * MS);
	assert_int_equal(bob.reported_lost, 5);
	assert_int_equal(alice.round_trip_us, 0);
}

static void
round_trip_finds_an_older_report_and_ignores_an_unknown_one(void **state)
{
	struct rtcp_watch alice = { .next = 0 }, bob = { .next = 0 };
	uint8_t p[64];

	(void)state;
	for (uint32_t i = 0; i < 3; i++)
		rtcp_watch_packet(&alice, &bob, p, sender_report(p, i + 1, 0), START + i * MS);
	rtcp_watch_packet(&bob, &alice, p, receiver_report(p, 0x00010000, 0, 0), START + 10 * MS);
	assert_int_equal(bob.round_trip_us, 10 * MS);
	rtcp_watch_packet(&bob, &alice, p, receiver_report(p, 0x00090000, 0, 7), START + 99 * MS);
	rtcp_watch_packet(&bob, &alice, p, receiver_report(p, 0, 0, 7), START + 99 * MS);
	/* An answer that waited longer than the report is gone is a lie. */
	rtcp_watch_packet(&bob, &alice, p, receiver_report(p, 0x00010000, 0xffffffff, 0),
	    START + 99 * MS);
	assert_int_equal(bob.round_trip_us, 10 * MS);
	assert_int_equal(bob.reported_lost, 0);
}

static void
compound_packet_is_read_to_its_end_and_never_beyond(void **state)
{
	struct rtcp_watch alice = { .next = 0 }, bob = { .next = 0 };
	uint8_t p[128];
	size_t n;

	(void)state;
	rtcp_watch_packet(&bob, &alice, p, sender_report(p, 0x11112222, 0x33334444), START);
	n = sender_report(p, 5, 0);
	n += receiver_report(p + n, 0x22223333, 0, 0);
	for (size_t cut = 0; cut < n; cut++) {
		uint8_t *copy = malloc(cut + 1);

		memcpy(copy, p, cut);
		copy = realloc(copy, cut == 0 ? 1 : cut);
		rtcp_watch_packet(&alice, &bob, copy, cut, START + 30 * MS);
		assert_int_equal(alice.round_trip_us, 0);
		free(copy);
	}
	rtcp_watch_packet(&alice, &bob, p, n, START + 30 * MS);
	assert_int_equal(alice.round_trip_us, 30 * MS);
}

static void
reports_without_a_partner_are_harmless(void **state)
{
	struct rtcp_watch alice = { .next = 0 };
	uint8_t p[64];

	(void)state;
	rtcp_watch_packet(&alice, NULL, p, receiver_report(p, 0x22223333, 0, 0), START);
	assert_int_equal(alice.round_trip_us, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kind_tells_what_shares_a_port_with_rtp),
		cmocka_unit_test(kind_of_what_is_cut_or_foreign_is_other),
		cmocka_unit_test(counter_sees_no_loss_where_none_is_even_over_the_wrap),
		cmocka_unit_test(counter_counts_gaps_and_forgives_what_comes_late),
		cmocka_unit_test(counter_never_counts_negative_loss_for_duplicates),
		cmocka_unit_test(counter_keeps_the_loss_of_a_source_that_another_one_follows),
		cmocka_unit_test(counter_follows_two_sources_in_turns_without_inventing_loss),
		cmocka_unit_test(counter_starts_over_after_two_packets_far_off_but_not_after_one),
		cmocka_unit_test(jitter_is_zero_on_a_steady_beat_and_grows_with_unrest),
		cmocka_unit_test(jitter_ignores_further_packets_of_one_frame_and_a_new_time_base),
		cmocka_unit_test(
		    round_trip_is_the_time_since_the_report_less_what_the_phone_waited),
		cmocka_unit_test(round_trip_finds_an_older_report_and_ignores_an_unknown_one),
		cmocka_unit_test(compound_packet_is_read_to_its_end_and_never_beyond),
		cmocka_unit_test(reports_without_a_partner_are_harmless),
	};

	return cmocka_run_group_tests_name("rtp", tests, NULL, NULL);
}
