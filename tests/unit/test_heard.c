/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the facts of a leg say of those who listen. Only the sockets are real. */
#include <arpa/inet.h>
#include <event2/event.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "media/media.h"

#define FACE 3
#define LEG 77
#define PORT_MIN 31000
#define PORT_MAX 39000

static struct event_base *base;
static struct media *media;
static uint64_t round_trip_us;
static const struct media_leg_cfg voice = { MEDIA_AUDIO, 8000, true, NULL };
static const struct media_leg_cfg video = { MEDIA_VIDEO, 90000, true, NULL };

static uint64_t
on_round_trip(void *arg, uint32_t face)
{
	(void)arg;
	return face == FACE ? round_trip_us : 0;
}

static void
on_tunnel(void *arg, uint32_t face, uint32_t channel, const uint8_t *data, size_t n)
{
	(void)arg, (void)face, (void)channel, (void)data, (void)n;
}

static void
on_turn(void *arg)
{
	(void)arg;
}

static int
start(void **state)
{
	static const struct media_handlers handlers = { on_tunnel, NULL, on_turn, on_round_trip };
	struct media_cfg cfg;

	(void)state;
	if (addr_parse("127.0.0.1", 0, &cfg.address) != 0)
		return -1;
	round_trip_us = 0;
	base = event_base_new();
	media = media_new(base, &cfg, &handlers, NULL);
	return 0;
}

static int
stop(void **state)
{
	(void)state;
	media_free(media);
	event_base_free(base);
	return 0;
}

static struct media_leg *
tunnel_leg(const struct media_leg_cfg *cfg, uint32_t number)
{
	struct media_leg *leg;

	assert_int_equal(media_leg_tunnel(media, cfg, FACE, number, &leg), 0);
	return leg;
}

/* The tunnel leg of `number`, joined to a phone of this agent. */
static struct media_leg *
to_phone(const struct media_leg_cfg *cfg, uint32_t number)
{
	struct media_leg *leg = tunnel_leg(cfg, number), *phone = NULL;

	for (uint16_t port = PORT_MIN; phone == NULL && port < PORT_MAX; port += 2)
		if (media_leg_open(media, cfg, port, &phone) != ERR_IN_USE)
			break;
	assert_non_null(phone);
	media_join(leg, phone);
	return leg;
}

static struct media_stats
stats(const struct media_leg *leg)
{
	struct media_stats s;

	media_leg_stats(leg, &s);
	return s;
}

static struct heard_sum
sample(void)
{
	struct heard_sum s;

	media_sample(media, &s);
	return s;
}

/* 1000 packets of 20 ms to the leg of `number`; of ten packets one is lost and the next comes 100 ms
 * late. */
static void
bad_line(uint32_t number)
{
	uint8_t p[172] = { 0x80, 0 };

	for (unsigned i = 0; i < 1000; i++) {
		uint32_t timestamp = htonl(i * 160);

		p[2] = (uint8_t)(i >> 8);
		p[3] = (uint8_t)i;
		memcpy(p + 4, &timestamp, 4);
		if (i % 10 != 5)
			media_from_tunnel(media, FACE, 2 * number, p, sizeof(p),
			    1000000 + i * 20000 + (i % 10 == 6) * 100000);
	}
}

static void
assert_about(double is, double should)
{
	assert_true(fabs(is - should) < 1e-9);
}

static void
assert_mos(unsigned hundredths, double should)
{
	assert_true(fabs(hundredths - 100 * should) <= 0.5);
}

static void
stats_tell_what_is_lost_late_and_in_runs(void **state)
{
	struct media_leg *leg = tunnel_leg(&voice, LEG);
	struct media_stats s;

	(void)state;
	bad_line(LEG);
	s = stats(leg);
	assert_int_equal(s.packets, 900);
	assert_int_equal(s.lost, 100);
	assert_int_equal(s.late, 100);
	/* What the last 64 have missed may still come. */
	assert_int_equal(s.runs, 93);
	assert_int_equal(s.run_missed, 186);
	assert_int_equal(s.run_longest, 2);
	assert_about(s.mos, media_mos(20 + 60, 0.2));
	assert_false(s.to_phone);
}

static void
the_tunnel_is_part_of_the_delay_when_rtcp_does_not_tell_it(void **state)
{
	struct media_leg *a = tunnel_leg(&voice, 1), *b = tunnel_leg(&voice, 2);
	struct media_leg *c = to_phone(&voice, 3);

	(void)state;
	media_join(a, b);
	round_trip_us = 60000;
	bad_line(1);
	bad_line(3);
	assert_about(stats(a).delay_ms, 60); /* two tunnels */
	assert_about(stats(a).mos, media_mos(60 + 20 + 60, 0.2));
	assert_about(stats(c).delay_ms, 30);
}

static void
sample_tells_what_the_phones_here_hear_since_the_last_one(void **state)
{
	struct media_leg *leg = to_phone(&voice, LEG);
	struct heard_sum s = sample();

	(void)state;
	assert_true(stats(leg).to_phone);
	assert_int_equal(s.streams, 0);
	assert_true(s.mos_sum == 0 && s.mos_worst == 0);
	bad_line(LEG);
	s = sample();
	assert_int_equal(s.streams, 1);
	assert_true(s.packets == 900 && s.audio == 900 && s.lost == 100 && s.late == 100);
	assert_true(s.runs == 93 && s.run_missed == 186);
	assert_mos(s.mos_worst, media_mos(80, 0.2));
	assert_int_equal(s.mos_sum, s.mos_worst);
	assert_about(stats(leg).mos_recent, s.mos_worst / 100.0);
	s = sample();
	assert_true(s.streams == 0 && s.packets == 0 && s.lost == 0 && s.late == 0 && s.runs == 0);
	assert_true(stats(leg).mos_recent == 0);
	assert_about(stats(leg).mos, media_mos(80, 0.2)); /* of the whole call */
}

static void
sample_knows_the_worst_of_many_and_leaves_out_who_listens_elsewhere(void **state)
{
	struct heard_sum s;

	(void)state;
	to_phone(&voice, 1);
	to_phone(&voice, 2);
	to_phone(&video, 3);
	tunnel_leg(&voice, 4);
	bad_line(1);
	for (unsigned i = 0; i < 100; i++) {
		uint8_t p[172] = { 0x80, 0, 0, (uint8_t)i };

		media_from_tunnel(media, FACE, 4, p, sizeof(p), 1000000 + i * 20000);
	}
	bad_line(3);
	bad_line(4);
	s = sample();
	assert_int_equal(s.streams, 2);
	assert_int_equal(s.packets, 900 + 100 + 900);
	assert_int_equal(s.audio, 1000);
	assert_int_equal(s.lost, 100);
	assert_mos(s.mos_worst, media_mos(80, 0.2));
	assert_mos((unsigned)s.mos_sum - s.mos_worst, media_mos(80, 0));
}

static void
a_loss_that_is_made_good_between_two_samples_is_no_negative_one(void **state)
{
	uint8_t p[172] = { 0x80, 0, 0, 0 };
	struct heard_sum s;

	(void)state;
	to_phone(&voice, LEG);
	media_from_tunnel(media, FACE, 2 * LEG, p, sizeof(p), 1000000);
	p[3] = 2;
	media_from_tunnel(media, FACE, 2 * LEG, p, sizeof(p), 1000000);
	assert_int_equal(sample().lost, 1);
	p[3] = 1;
	media_from_tunnel(media, FACE, 2 * LEG, p, sizeof(p), 1000000);
	s = sample();
	assert_int_equal(s.lost, 0);
	assert_mos(s.mos_worst, media_mos(80, 0));
}

static void
an_agent_that_starts_over_takes_nothing_away(void **state)
{
	const struct heard last = { .packets = 5000, .lost = 40, .late = 7, .mos = 420 };
	const struct heard now = {
		.packets = 100, .lost = 2, .late = 1, .mos = 410, .mos_recent = 400
	};
	struct heard_sum sum = { 0 };

	(void)state;
	heard_add(&sum, &now, &last);
	assert_true(sum.packets == 100 && sum.lost == 2 && sum.late == 1 && sum.mos_worst == 400);
}

static void
counts_may_wrap(void **state)
{
	const struct heard last = { .packets = UINT32_MAX - 9, .lost = UINT32_MAX, .mos = 420 };
	const struct heard now = { .packets = 90, .lost = 1, .mos = 420, .mos_recent = 420 };
	struct heard_sum sum = { 0 };

	(void)state;
	heard_add(&sum, &now, &last);
	assert_true(sum.packets == 100 && sum.audio == 100 && sum.lost == 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(stats_tell_what_is_lost_late_and_in_runs),
		TEST(the_tunnel_is_part_of_the_delay_when_rtcp_does_not_tell_it),
		TEST(sample_tells_what_the_phones_here_hear_since_the_last_one),
		TEST(sample_knows_the_worst_of_many_and_leaves_out_who_listens_elsewhere),
		TEST(an_agent_that_starts_over_takes_nothing_away),
		TEST(counts_may_wrap),
		TEST(a_loss_that_is_made_good_between_two_samples_is_no_negative_one),
	};

	return cmocka_run_group_tests_name("heard", tests, NULL, NULL);
}
