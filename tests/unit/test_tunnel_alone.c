/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "tests/support/alone.h"
#include "tunnel/control.h"
#include "tunnel/frame.h"

static void
a_request_is_good_once_and_only_with_its_mac(void **state)
{
	struct tunnel_stream *s;
	struct tunnel_request r;
	struct alone a;

	(void)state;
	alone_new(&a);
	alone_request(TUNNEL_UP, 3, &r);
	for (size_t i = 0; i < sizeof(r.mac) * 8; i++) {
		r.mac[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_int_equal(tunnel_stream_accept(a.t, &r, NULL, 1, &s), ERR_AUTH);
		r.mac[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	r.dir = TUNNEL_DOWN;
	assert_int_equal(tunnel_stream_accept(a.t, &r, NULL, 1, &s), ERR_AUTH);
	r.dir = TUNNEL_UP;
	r.serial++;
	assert_int_equal(tunnel_stream_accept(a.t, &r, NULL, 1, &s), ERR_AUTH);
	r.serial--;
	r.session++;
	assert_int_equal(tunnel_stream_accept(a.t, &r, NULL, 1, &s), ERR_AUTH);
	r.session--;
	assert_int_equal(tunnel_stream_accept(a.t, &r, NULL, 1, &s), 0);
	assert_int_equal(tunnel_stream_accept(a.t, &r, NULL, 1, &s), ERR_EXISTS);
	/* What is far below the highest counts as used. */
	alone_request(TUNNEL_UP, 9000, &r);
	assert_int_equal(tunnel_stream_accept(a.t, &r, NULL, 1, &s), 0);
	alone_request(TUNNEL_UP, 4, &r);
	assert_int_equal(tunnel_stream_accept(a.t, &r, NULL, 1, &s), ERR_EXISTS);
	alone_request(TUNNEL_UP, 9000 - 8191, &r);
	assert_int_equal(tunnel_stream_accept(a.t, &r, NULL, 1, &s), 0);
	/* A long jump leaves nothing behind: 3 was used, 3 + 2 x 8192 was not. */
	alone_request(TUNNEL_UP, 20000, &r);
	assert_int_equal(tunnel_stream_accept(a.t, &r, NULL, 1, &s), 0);
	alone_request(TUNNEL_UP, 3 + 16384, &r);
	assert_int_equal(tunnel_stream_accept(a.t, &r, NULL, 1, &s), 0);
	tunnel_free(a.t);
}

static void
voice_older_than_its_age_is_dropped_when_it_is_written_and_not_before(void **state)
{
	uint8_t voice[172] = { 0 }, out[4096];
	struct alone a;
	uint64_t now = CLOCK_S;

	(void)state;
	alone_new(&a);
	assert_true(tunnel_output(a.t, a.down, out, sizeof(out), now) > 0);
	assert_int_equal(tunnel_output(a.t, a.down, out, sizeof(out), now), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(tunnel_send_media(a.t, 1, voice, sizeof(voice),
				     now + (uint64_t)i * 2000),
		    0);
		tunnel_flush(a.t, now + (uint64_t)i * 2000);
	}
	assert_int_equal(a.woken_n, 1);
	/* The first is too old by one microsecond, the others are not. */
	assert_in_range(tunnel_output(a.t, a.down, out, sizeof(out), now + 150 * CLOCK_MS + 1),
	    2 * 180, 2 * 190);
	assert_int_equal(tunnel_stats(a.t)->media_late_dropped, 1);
	assert_int_equal(a.late_n, 1);
	assert_int_equal(tunnel_stats(a.t)->media_sent, 2);
	tunnel_free(a.t);
}

static void
voice_for_which_there_is_no_room_is_refused_and_counted(void **state)
{
	uint8_t voice[172] = { 0 }, out[4096];
	uint64_t now = CLOCK_S, dropped;
	struct alone a;
	int err = 0;

	(void)state;
	alone_new(&a);
	for (int i = 0; i < 100000 && err == 0; i++) {
		err = tunnel_send_media(a.t, 1, voice, sizeof(voice), now);
		tunnel_flush(a.t, now);
	}
	assert_int_equal(err, ERR_FULL);
	assert_int_equal(tunnel_stats(a.t)->media_full_dropped, 1);
	/* Soon all that waits is too old, and makes room for what is young. */
	now += 150 * CLOCK_MS;
	assert_int_equal(tunnel_send_media(a.t, 1, voice, sizeof(voice), now), ERR_FULL);
	now += 21 * CLOCK_MS;
	assert_int_equal(tunnel_send_media(a.t, 1, voice, sizeof(voice), now), 0);
	now += 5 * CLOCK_MS;
	tunnel_flush(a.t, now);
	dropped = tunnel_stats(a.t)->media_late_dropped;
	assert_true(dropped > 4000);
	while (tunnel_output(a.t, a.down, out, sizeof(out), now) > 0)
		;
	assert_int_equal(tunnel_stats(a.t)->media_late_dropped, dropped);
	assert_int_equal(tunnel_stats(a.t)->media_sent, 1);
	tunnel_free(a.t);
}

static void
one_or_two_calls_leave_at_once(void **state)
{
	struct alone_batch b[8];
	struct alone a;

	(void)state;
	alone_new(&a);
	alone_written(&a, a.down, CLOCK_S, b, 8);
	alone_send_voice(&a, 1, CLOCK_S);
	assert_int_equal(alone_written(&a, a.down, CLOCK_S, b, 8), 1);
	assert_int_equal(b[0].media_n, 1);
	tunnel_free(a.t);
}

static void
frames_of_many_calls_wait_5_ms_for_company(void **state)
{
	const uint64_t start = CLOCK_S;
	struct alone_batch b[16];
	struct alone a;
	size_t n;

	(void)state;
	alone_new(&a);
	alone_written(&a, a.down, start, b, 16);
	alone_send_voice(&a, 49, start); /* seven to a batch */
	assert_int_equal(alone_media_in(b, alone_written(&a, a.down, start, b, 16)), 49);
	alone_send_voice(&a, 1, start + 1000);
	alone_send_voice(&a, 1, start + 5000);
	assert_int_equal(alone_written(&a, a.down, start + 5000, b, 16), 0);
	assert_true(tunnel_deadline(a.t) <= start + 6000);
	tunnel_tick(a.t, start + 6000);
	n = alone_written(&a, a.down, start + 6000, b, 16);
	assert_int_equal(n, 1);
	assert_int_equal(b[0].media_n, 2);
	tunnel_free(a.t);
}

static void
a_batch_has_the_age_of_its_first_frame(void **state)
{
	const uint64_t late = CLOCK_S + 150 * CLOCK_MS + 1;
	uint8_t voice[172] = { 0 };
	struct alone_batch b[8];
	struct alone a;

	(void)state;
	alone_new(&a);
	assert_int_equal(alone_written(&a, a.down, CLOCK_S, b, 8), 1);
	tunnel_send_media(a.t, 1, voice, sizeof(voice), CLOCK_S);
	tunnel_send_media(a.t, 1, voice, sizeof(voice), CLOCK_S + 400);
	tunnel_flush(a.t, CLOCK_S + 400);
	assert_int_equal(alone_written(&a, a.down, late, b, 8), 0);
	assert_int_equal(tunnel_stats(a.t)->media_late_dropped, 2);
	assert_int_equal(a.late_n, 2);
	tunnel_free(a.t);
}

static void
gathered_batches_are_at_most_1400_bytes(void **state)
{
	struct alone_batch b[16];
	struct alone a;
	size_t n;

	(void)state;
	alone_new(&a);
	alone_written(&a, a.down, CLOCK_S, b, 16);
	alone_send_voice(&a, 56, CLOCK_S);
	n = alone_written(&a, a.down, CLOCK_S, b, 16);
	assert_int_equal(n, 8);
	assert_int_equal(alone_media_in(b, n), 56);
	for (size_t i = 0; i < n; i++)
		assert_in_range(b[i].len, 170, 1400);
	tunnel_free(a.t);
}

static void
voice_given_to_a_stream_that_is_lost_goes_to_another_one(void **state)
{
	struct tunnel_stream *second;
	struct alone_batch b[8];
	struct alone a;

	(void)state;
	alone_new(&a);
	second = alone_accepted(&a, TUNNEL_DOWN, 3);
	alone_written(&a, a.down, CLOCK_S, b, 8);
	alone_written(&a, second, CLOCK_S, b, 8);
	alone_hear_preamble(&a, a.up, 2);
	alone_hear_ack(&a, 1, 1, CLOCK_S);
	alone_send_voice(&a, 1, CLOCK_S);
	assert_int_equal(a.woken_n, 1);
	assert_int_equal(alone_written(&a, second, CLOCK_S, b, 8), 0);
	tunnel_stream_gone(a.t, a.down, TUNNEL_WHY_CUT, CLOCK_S);
	tunnel_flush(a.t, CLOCK_S);
	assert_int_equal(alone_media_in(b, alone_written(&a, second, CLOCK_S, b, 8)), 1);
	tunnel_free(a.t);
}

static void
a_stream_that_was_not_heard_from_is_not_trusted_with_voice(void **state)
{
	struct tunnel_stream *second;
	struct alone_batch b[8];
	struct alone a;

	(void)state;
	alone_new(&a);
	alone_written(&a, a.down, CLOCK_S, b, 8);
	alone_hear_preamble(&a, a.up, 2);
	alone_hear_ack(&a, 1, 1, CLOCK_S);
	alone_send_voice(&a, 5, CLOCK_S);
	second = alone_accepted(&a, TUNNEL_DOWN, 3);
	alone_written(&a, a.down, CLOCK_S, b, 8);
	alone_written(&a, second, CLOCK_S, b, 8);
	/* The first has a lot outstanding, the second only its first question. */
	alone_send_voice(&a, 1, CLOCK_S);
	assert_int_equal(alone_written(&a, second, CLOCK_S, b, 8), 0);
	assert_int_equal(alone_media_in(b, alone_written(&a, a.down, CLOCK_S, b, 8)), 1);
	tunnel_free(a.t);
}

/* With two idle streams the one acknowledged last is used; what must not change that: */
static void
neither_late_acknowledgements_nor_mere_acknowledgements_make_a_stream_wait(void **state)
{
	struct tunnel_stream *second;
	struct alone_batch b[8];
	struct alone a;

	(void)state;
	alone_new(&a);
	second = alone_accepted(&a, TUNNEL_DOWN, 3);
	alone_hear_preamble(&a, a.up, 2);
	alone_written(&a, second, CLOCK_S, b, 8);
	alone_written(&a, a.down, CLOCK_S, b, 8);
	alone_hear_ack(&a, 3, 1, CLOCK_S);
	alone_hear_ack(&a, 1, 1, CLOCK_S + 1);
	alone_send_voice(&a, 1, CLOCK_S + 2);
	assert_int_equal(alone_written(&a, a.down, CLOCK_S + 2, b, 8), 1);
	alone_hear_ack(&a, 1, 2, CLOCK_S + 3);
	/* An older count that took a longer way. */
	alone_hear_ack(&a, 1, 1, CLOCK_S + 4);
	/* A batch that only acknowledges asks for nothing. */
	alone_hear_media(&a, a.up, 0, CLOCK_S + 5);
	tunnel_tick(a.t, CLOCK_S + 6 + 20 * CLOCK_MS);
	assert_int_equal(alone_written(&a, a.down, CLOCK_S + 7 + 20 * CLOCK_MS, b, 8), 1);
	assert_int_equal(b[0].frames_n, 0);
	assert_int_equal(b[0].h.acks_n, 1);
	alone_send_voice(&a, 1, CLOCK_S + 30 * CLOCK_MS);
	assert_int_equal(alone_written(&a, second, CLOCK_S + 30 * CLOCK_MS, b, 8), 0);
	assert_int_equal(alone_media_in(b,
			     alone_written(&a, a.down, CLOCK_S + 30 * CLOCK_MS, b, 8)),
	    1);
	tunnel_free(a.t);
}

/* Two streams with everything outstanding; the first has more, of which a little is confirmed. */
static void
what_is_outstanding_is_not_underestimated_when_a_lot_is(void **state)
{
	static struct alone_batch b[1000];
	struct tunnel_stream *second;
	uint64_t now = CLOCK_S;
	struct alone a;

	(void)state;
	alone_new(&a);
	alone_hear_preamble(&a, a.up, 2);
	alone_written(&a, a.down, now, b, 1000);
	for (int i = 0; i < 300; i++) {
		alone_send_voice(&a, 7, now); /* a full batch */
		assert_int_equal(alone_written(&a, a.down, now, b, 1000), 1);
	}
	second = alone_accepted(&a, TUNNEL_DOWN, 3);
	alone_written(&a, second, now, b, 1000);
	alone_hear_ack(&a, 3, 1, now);
	for (int i = 0; i < 100; i++) {
		alone_send_voice(&a, 7, now);
		assert_int_equal(alone_written(&a, second, now, b, 1000), 1);
	}
	alone_hear_ack(&a, 1, 11, now);
	alone_send_voice(&a, 7, now);
	assert_int_equal(alone_written(&a, a.down, now, b, 1000), 0);
	assert_int_equal(alone_written(&a, second, now, b, 1000), 1);
	/* And when most of it is confirmed that is seen, too. */
	alone_hear_ack(&a, 1, 280, now);
	alone_send_voice(&a, 7, now);
	assert_int_equal(alone_written(&a, a.down, now, b, 1000), 1);
	tunnel_free(a.t);
}

static void
voice_is_acknowledged_after_20_ms_or_eight_batches_and_a_question_at_once(void **state)
{
	const struct frame_header none = { 0 };
	const uint64_t now = CLOCK_S;
	struct alone_batch b[8];
	struct alone a;

	(void)state;
	alone_new(&a);
	tunnel_tick(a.t, now);
	alone_written(&a, a.down, now, b, 8);
	alone_hear_preamble(&a, a.up, 2);
	alone_hear_ack(&a, 1, 1, now);
	tunnel_tick(a.t, now);
	alone_hear_media(&a, a.up, 0, now);
	assert_int_equal(tunnel_deadline(a.t), now + 20 * CLOCK_MS);
	for (uint32_t i = 1; i < 7; i++)
		alone_hear_media(&a, a.up, i, now + i);
	assert_int_equal(tunnel_deadline(a.t), now + 20 * CLOCK_MS);
	alone_hear_media(&a, a.up, 7, now + 7);
	assert_int_equal(tunnel_deadline(a.t), now + 7);
	tunnel_flush(a.t, now + 7);
	assert_int_equal(alone_written(&a, a.down, now + 7, b, 8), 1);
	assert_int_equal(b[0].h.acks_n, 1);
	assert_int_equal(b[0].h.acks[0].serial, 2);
	assert_int_equal(b[0].h.acks[0].batches_n, 9);
	assert_false(b[0].h.has_reliable);
	/* Said once, it is not said again. */
	tunnel_tick(a.t, now + CLOCK_S);
	assert_int_equal(alone_written(&a, a.down, now + CLOCK_S, b, 8), 0);
	assert_int_equal(alone_hear(&a, a.up, &none, ALONE_PING, sizeof(ALONE_PING) - 1,
			     now + CLOCK_S),
	    0);
	tunnel_flush(a.t, now + CLOCK_S);
	assert_int_equal(alone_written(&a, a.down, now + CLOCK_S, b, 8), 1);
	assert_int_equal(b[0].pongs_n, 1);
	assert_int_equal(b[0].h.acks[0].batches_n, 10);
	tunnel_free(a.t);
}

static void
acknowledgements_of_many_streams_go_eight_to_a_batch_and_none_is_forgotten(void **state)
{
	struct tunnel_stream *s;
	struct alone_batch b[8];
	struct alone a;

	(void)state;
	alone_new(&a);
	alone_written(&a, a.down, CLOCK_S, b, 8);
	alone_hear_preamble(&a, a.up, 2);
	alone_hear_media(&a, a.up, 0, CLOCK_S);
	for (uint32_t i = 1; i < 9; i++) {
		s = alone_accepted(&a, TUNNEL_UP, 2 + i);
		alone_hear_preamble(&a, s, 2 + i);
		alone_hear_media(&a, s, i, CLOCK_S);
	}
	tunnel_flush(a.t, CLOCK_S);
	assert_int_equal(alone_written(&a, a.down, CLOCK_S, b, 8), 1);
	assert_int_equal(b[0].h.acks_n, 8);
	tunnel_flush(a.t, CLOCK_S);
	assert_int_equal(alone_written(&a, a.down, CLOCK_S, b, 8), 1);
	assert_int_equal(b[0].h.acks_n, 1);
	tunnel_flush(a.t, CLOCK_S);
	assert_int_equal(alone_written(&a, a.down, CLOCK_S, b, 8), 0);
	tunnel_free(a.t);
}

static void
what_was_acknowledged_on_a_lost_stream_is_acknowledged_again_on_another(void **state)
{
	const struct frame_header none = { 0 };
	struct tunnel_stream *second;
	struct alone_batch b[8];
	struct alone a;

	(void)state;
	alone_new(&a);
	alone_written(&a, a.down, CLOCK_S, b, 8);
	alone_hear_preamble(&a, a.up, 2);
	assert_int_equal(alone_hear(&a, a.up, &none, ALONE_RELIABLE_1, sizeof(ALONE_RELIABLE_1) - 1,
			     CLOCK_S),
	    0);
	tunnel_tick(a.t, CLOCK_S + 20 * CLOCK_MS);
	assert_int_equal(alone_written(&a, a.down, CLOCK_S + 20 * CLOCK_MS, b, 8), 1);
	assert_int_equal(b[0].h.acks[0].batches_n, 1);
	assert_int_equal(b[0].h.reliable_next, 2);
	second = alone_accepted(&a, TUNNEL_DOWN, 3);
	assert_int_equal(alone_written(&a, second, CLOCK_S + 20 * CLOCK_MS, b, 8), 1);
	assert_int_equal(b[0].h.acks_n, 0);
	tunnel_stream_gone(a.t, a.down, TUNNEL_WHY_CUT, CLOCK_S + 30 * CLOCK_MS);
	tunnel_flush(a.t, CLOCK_S + 30 * CLOCK_MS);
	assert_int_equal(alone_written(&a, second, CLOCK_S + 30 * CLOCK_MS, b, 8), 1);
	assert_int_equal(b[0].h.acks_n, 1);
	assert_int_equal(b[0].h.acks[0].batches_n, 1);
	assert_true(b[0].h.has_reliable);
	assert_int_equal(b[0].h.reliable_next, 2);
	tunnel_free(a.t);
}

/* The sender repeats because our word for it was lost: it must be given again. */
static void
a_reliable_frame_that_comes_again_is_acknowledged_again(void **state)
{
	const struct frame_header none = { 0 };
	uint64_t now = CLOCK_S;
	struct alone_batch b[8];
	struct alone a;

	(void)state;
	alone_new(&a);
	alone_written(&a, a.down, now, b, 8);
	alone_hear_preamble(&a, a.up, 2);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(alone_hear(&a, a.up, &none, ALONE_RELIABLE_1,
				     sizeof(ALONE_RELIABLE_1) - 1, now),
		    0);
		now += 20 * CLOCK_MS;
		tunnel_tick(a.t, now);
		assert_int_equal(alone_written(&a, a.down, now, b, 8), 1);
		assert_true(b[0].h.has_reliable);
		assert_int_equal(b[0].h.reliable_next, 2);
		assert_int_equal(tunnel_stats(a.t)->reliable_duplicate, i);
	}
	assert_int_equal(tunnel_stats(a.t)->reliable_received, 1);
	/* And no more than again: a batch of voice need not carry it. */
	alone_send_voice(&a, 1, now);
	assert_int_equal(alone_written(&a, a.down, now, b, 8), 1);
	assert_false(b[0].h.has_reliable);
	tunnel_free(a.t);
}

static void
a_flood_of_sip_leaves_room_for_control_and_breaks_nothing(void **state)
{
	struct alone a;
	int n = 0;

	(void)state;
	alone_new(&a);
	while (tunnel_send(a.t, CONTROL_SIP, "OPTIONS", 7, CLOCK_S) == 0)
		n++;
	assert_int_equal(n, 4096);
	assert_int_equal(tunnel_send(a.t, CONTROL_SIP, "OPTIONS", 7, CLOCK_S), ERR_FULL);
	assert_int_equal(tunnel_stats(a.t)->reliable_refused, 2);
	for (; n < 8192; n++)
		assert_int_equal(tunnel_send(a.t, CONTROL_LEG_CLOSE, "x", 1, CLOCK_S), 0);
	tunnel_tick(a.t, CLOCK_S);
	assert_int_equal(a.broken_n, 0);
	assert_int_equal(tunnel_send(a.t, CONTROL_LEG_CLOSE, "x", 1, CLOCK_S), ERR_FULL);
	tunnel_tick(a.t, CLOCK_S);
	assert_int_equal(a.broken_n, 1);
	tunnel_free(a.t);
}

static void
media_is_delivered_once_in_any_order_and_not_from_long_ago(void **state)
{
	static const struct {
		uint32_t number;
		bool fresh;
	} steps[] = {
		{ 0xfffffe, true },
		{ 1, true },
		{ 0xffffff, true },
		{ 0, true },
		{ 0xffffff, false },
		{ 0xfffffe, false },
		{ 0xfffffd, true }, /* before the first that came, but never seen */
		{ 65536, true },
		{ 65536 - 65535, false },
		{ 2, true },
		{ 2, false },
		{ 100000, true },
		{ 65536, false },
		{ 50000, true },
		{ 200000, true },
		{ 100, false }, /* never seen, but too far below to tell */
		{ 200000 - 65535, true },
		{ 200000 - 65536, false },
	};
	unsigned expected = 0;
	struct alone a;

	(void)state;
	alone_new(&a);
	alone_hear_preamble(&a, a.up, 2);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		alone_hear_media(&a, a.up, steps[i].number, CLOCK_S);
		expected += steps[i].fresh;
		if (a.media_n != expected)
			fail_msg("step %zu, number %u", i, steps[i].number);
	}
	tunnel_free(a.t);
}

/* Ticks as the daemon would, from `from` to `to`, and gives the time of the first abort, or 0. */
static uint64_t
tick_until_abort(struct alone *a, uint64_t from, uint64_t to)
{
	uint64_t now = from;

	while (now <= to && a->aborted_n == 0) {
		tunnel_tick(a->t, now);
		tunnel_flush(a->t, now);
		if (a->aborted_n != 0)
			return now;
		now = tunnel_deadline(a->t) > now ? tunnel_deadline(a->t) : now + 1000;
	}
	return 0;
}

static void
a_machine_that_stood_still_does_not_blame_its_streams(void **state)
{
	struct alone a;

	(void)state;
	/* A machine that is awake finds a silent stream at the dead-man's time... */
	alone_new(&a);
	assert_in_range(tick_until_abort(&a, CLOCK_S, 20 * CLOCK_S), 5 * CLOCK_S, 6 * CLOCK_S);
	tunnel_free(a.t);
	/* ... one that slept reads what waits for it first, but not for ever. */
	alone_new(&a);
	assert_int_equal(tick_until_abort(&a, CLOCK_S, 2 * CLOCK_S), 0);
	assert_in_range(tick_until_abort(&a, 30 * CLOCK_S, 50 * CLOCK_S), 31 * CLOCK_S,
	    32 * CLOCK_S);
	tunnel_free(a.t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_good_once_and_only_with_its_mac),
		cmocka_unit_test(
		    voice_older_than_its_age_is_dropped_when_it_is_written_and_not_before),
		cmocka_unit_test(voice_for_which_there_is_no_room_is_refused_and_counted),
		cmocka_unit_test(one_or_two_calls_leave_at_once),
		cmocka_unit_test(frames_of_many_calls_wait_5_ms_for_company),
		cmocka_unit_test(a_batch_has_the_age_of_its_first_frame),
		cmocka_unit_test(gathered_batches_are_at_most_1400_bytes),
		cmocka_unit_test(voice_given_to_a_stream_that_is_lost_goes_to_another_one),
		cmocka_unit_test(a_stream_that_was_not_heard_from_is_not_trusted_with_voice),
		cmocka_unit_test(
		    neither_late_acknowledgements_nor_mere_acknowledgements_make_a_stream_wait),
		cmocka_unit_test(what_is_outstanding_is_not_underestimated_when_a_lot_is),
		cmocka_unit_test(
		    voice_is_acknowledged_after_20_ms_or_eight_batches_and_a_question_at_once),
		cmocka_unit_test(
		    acknowledgements_of_many_streams_go_eight_to_a_batch_and_none_is_forgotten),
		cmocka_unit_test(
		    what_was_acknowledged_on_a_lost_stream_is_acknowledged_again_on_another),
		cmocka_unit_test(a_reliable_frame_that_comes_again_is_acknowledged_again),
		cmocka_unit_test(a_flood_of_sip_leaves_room_for_control_and_breaks_nothing),
		cmocka_unit_test(media_is_delivered_once_in_any_order_and_not_from_long_ago),
		cmocka_unit_test(a_machine_that_stood_still_does_not_blame_its_streams),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
