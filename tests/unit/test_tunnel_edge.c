/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "tests/support/alone.h"
#include "tunnel/parity.h"

/* What a hostile peer or an unlucky network can do to one end of a tunnel. */

/* A stream as a client would write it, given to the server in pieces of `piece` bytes. */
static int
feed(const uint8_t *bytes, size_t n, size_t piece, unsigned *media_n)
{
	struct alone a;
	int err = 0;

	alone_new(&a);
	for (size_t done = 0; done < n && err == 0; done += piece) {
		size_t take = n - done < piece ? n - done : piece;
		uint8_t *copy = mem_dup(bytes + done, take);

		err = tunnel_input(a.t, a.up, copy, take, 2);
		mem_free(copy);
	}
	*media_n = a.media_n;
	tunnel_free(a.t);
	return err;
}

static const uint8_t sample[] = {
	0x56, 0x46, 1, 0, 0, 0, 0, 2,                               /* preamble: UP, serial 2 */
	0, 10, 0x04, 0, 0, 7, 1, 4, 3, 'a', 'b', 'c',               /* media 7 on channel 3 */
	0, 4, 0x00, 0x40, 1, 'x',                                   /* an extension */
	0, 19, 0x04, 0, 0, 8, 1, 4, 3, 'a', 'b', 'c', 1, 5, 3, 'd', /* media 8 and 9 ... */
	'e', 'f', 'g', 0x41, 0,                                     /* ... and an extension */
	0, 10, 0x04, 0, 0, 7, 1, 4, 3, 'a', 'b', 'c',               /* media 7 once more */
	0, 3, 0x00, 5, 0,                                           /* END */
};

static void
input_is_the_same_however_it_is_cut(void **state)
{
	unsigned media_n;

	(void)state;
	for (size_t piece = 1; piece <= sizeof(sample); piece++) {
		assert_int_equal(feed(sample, sizeof(sample), piece, &media_n), 0);
		assert_int_equal(media_n, 3);
	}
}

static void
input_that_is_no_stream_is_malformed(void **state)
{
	static const struct {
		const char *why;
		size_t at;
		uint8_t byte;
	} cases[] = {
		{ "magic", 0, 0x57 },
		{ "version", 2, 2 },
		{ "direction", 3, 1 },
		{ "serial", 7, 1 },
		{ "length 0", 9, 0 },
		{ "length beyond the maximum", 8, 0x08 },
		{ "unknown flag", 10, 0x14 },
		{ "media without a base", 10, 0x00 },
		{ "frame longer than its batch", 15, 5 },
		{ "unknown frame", 14, 0x3f },
		{ "frame type 0", 14, 0 },
	};
	uint8_t bytes[sizeof(sample) + 3];
	unsigned media_n;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memcpy(bytes, sample, sizeof(sample));
		bytes[cases[i].at] = cases[i].byte;
		for (size_t piece = 1; piece < 40; piece += 6)
			if (feed(bytes, sizeof(sample), piece, &media_n) != ERR_MALFORMED)
				fail_msg("%s passed in pieces of %zu", cases[i].why, piece);
	}
	/* Nothing follows an END. */
	memcpy(bytes, sample, sizeof(sample));
	memcpy(bytes + sizeof(sample), "\0\1\0", 3);
	assert_int_equal(feed(bytes, sizeof(sample), 7, &media_n), 0);
	assert_int_equal(feed(bytes, sizeof(bytes), 7, &media_n), ERR_MALFORMED);
}

static void
acknowledging_what_was_never_sent_is_malformed(void **state)
{
	static const uint8_t preamble[] = { 0x56, 0x46, 1, 0, 0, 0, 0, 2 };
	static const struct {
		uint8_t bytes[8];
		size_t n;
	} cases[] = {
		{ { 0, 4, 0x01, 1, 1, 2 }, 6 }, /* two batches of stream 1, which had one */
		{ { 0, 2, 0x02, 2 }, 4 },       /* waits for reliable frame 2 */
		{ { 0, 2, 0x02, 0 }, 4 },       /* ... 0 */
		{ { 0, 2, 0x01, 0 }, 4 },       /* no acknowledgements in the list of them */
		{ { 0, 2, 0x01, 9 }, 4 },       /* more of them than there may be */
	};
	static const uint8_t good[] = { 0, 5, 0x03, 1, 1, 1, 1 };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t out[4096];
		struct alone a;

		alone_new(&a);
		assert_true(tunnel_output(a.t, a.down, out, sizeof(out), 1) > 0);
		assert_int_equal(tunnel_input(a.t, a.up, preamble, sizeof(preamble), 2), 0);
		assert_int_equal(tunnel_input(a.t, a.up, good, sizeof(good), 2), 0);
		assert_int_equal(tunnel_input(a.t, a.up, cases[i].bytes, cases[i].n, 2),
		    ERR_MALFORMED);
		tunnel_free(a.t);
	}
}

/* The round trip is 80 ms, and the peer reports: with losses and one call each frame comes twice. */
static uint64_t
reported(struct alone *a, uint8_t report)
{
	const struct frame_header h = {
		.report = report, .acks_n = 1, .acks = { { .serial = 1, .batches_n = 1 } }
	};
	const uint64_t now = CLOCK_S + 80 * CLOCK_MS;
	struct alone_batch b[8];

	alone_written(a, a->down, CLOCK_S, b, 8);
	alone_hear_preamble(a, a->up, 2);
	assert_int_equal(alone_hear(a, a->up, &h, "", 0, now), 0);
	return now;
}

static void
voice_saved_from_a_lost_stream_is_not_its_own_repetition(void **state)
{
	struct tunnel_stream *second;
	struct alone_batch b[8];
	struct alone a;
	uint64_t now;

	(void)state;
	alone_new(&a);
	now = reported(&a, 1);
	alone_send_voice(&a, 1, now);
	assert_int_equal(alone_written(&a, a.down, now, b, 8), 1);
	now += 20 * CLOCK_MS;
	second = alone_accepted(&a, TUNNEL_DOWN, 3);
	alone_send_voice(&a, 1, now);
	tunnel_stream_gone(a.t, a.down, TUNNEL_WHY_CUT, now);
	tunnel_flush(a.t, now);
	/* A repetition of number - 0 would be malformed, and cost this stream, too. */
	assert_int_equal(alone_written(&a, second, now, b, 8), 2);
	assert_int_equal(b[1].h.media_base, 1);
	assert_int_equal(b[1].media_n, 1);
	assert_int_equal(b[1].repeats_n, 1);
	tunnel_free(a.t);
}

static void
a_level_of_loss_that_there_is_not_counts_as_the_highest(void **state)
{
	struct tunnel_line line;
	struct alone a;
	uint64_t now;

	(void)state;
	alone_new(&a);
	now = reported(&a, 0x73);
	tunnel_line(a.t, now, &line);
	assert_int_equal(line.way[TUNNEL_DOWN].level, 2);
	assert_int_equal(line.way[TUNNEL_UP].redundancy, TUNNEL_REDUNDANCY_NONE);
	tunnel_free(a.t);
}

/* A sum over the batches 0 and 1 with one media frame each; the second never comes. */
static int
hear_sum(struct alone *a, const char *second, size_t n, uint64_t now)
{
	uint8_t body[FRAME_BODY_MAX];
	struct wire_write w = wire_writer(body, sizeof(body));
	struct parity_sum sum;
	struct frame f;

	parity_start(&sum, 1);
	assert_int_equal(parity_add(&sum, 0, 1, (const uint8_t *)ALONE_MEDIA,
			     sizeof(ALONE_MEDIA) - 1),
	    0);
	assert_int_equal(parity_add(&sum, 1, 1, (const uint8_t *)second, n), 0);
	parity_frame(&sum, 0, &f);
	frame_put(&w, &f);
	return alone_hear(a, a->up, &(struct frame_header){ 0 }, (char *)body, w.used, now);
}

static void
what_was_rebuilt_and_is_no_row_of_frames_is_thrown_away_whole_and_counted(void **state)
{
	static const struct {
		const char *body;
		size_t n;
		unsigned media_n, malformed;
	} cases[] = {
		{ ALONE_MEDIA, 4, 1, 0 }, { ALONE_MEDIA "\x41\0", 6, 1, 0 }, /* an extension */
		{ ALONE_MEDIA "\7\3\1\7x", 9, 1, 0 },                        /* a repetition */
		{ ALONE_MEDIA "\1\7x", 7, 0, 1 },                            /* cut */
		{ ALONE_MEDIA "\x3f\0", 6, 0, 1 },                           /* unknown */
		{ ALONE_MEDIA ALONE_MEDIA, 8, 0, 1 }, /* one more than the sum tells */
		{ "\x41\0", 2, 0, 1 },                /* one less */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct alone a;

		alone_new(&a);
		alone_hear_preamble(&a, a.up, 2);
		alone_hear_media(&a, a.up, 5, CLOCK_S);
		alone_hear_media(&a, a.up, 7, CLOCK_S);
		/* A miss: from now on what comes is kept. */
		alone_hear_media(&a, a.up, 8, CLOCK_S + 30 * CLOCK_MS);
		alone_hear_media(&a, a.up, 0, CLOCK_S + 30 * CLOCK_MS);
		a.media_n = 0;
		assert_int_equal(hear_sum(&a, cases[i].body, cases[i].n, CLOCK_S + 31 * CLOCK_MS),
		    0);
		if (a.media_n != cases[i].media_n ||
		    tunnel_stats(a.t)->media_rebuilt != cases[i].media_n ||
		    tunnel_stats(a.t)->malformed != cases[i].malformed)
			fail_msg("case %zu: %u frames, %d malformed", i, a.media_n,
			    (int)tunnel_stats(a.t)->malformed);
		tunnel_free(a.t);
	}
}

static void
a_sum_is_of_use_before_the_first_miss(void **state)
{
	struct alone a;

	(void)state;
	alone_new(&a);
	alone_hear_preamble(&a, a.up, 2);
	assert_int_equal(hear_sum(&a, ALONE_MEDIA, 4, CLOCK_S), 0);
	alone_hear_media(&a, a.up, 0, CLOCK_S);
	assert_int_equal(a.media_n, 2);
	tunnel_free(a.t);
}

static void
what_is_missed_is_counted(void **state)
{
	struct alone a;

	(void)state;
	alone_new(&a);
	alone_hear_preamble(&a, a.up, 2);
	alone_hear_media(&a, a.up, 0, CLOCK_S);
	alone_hear_media(&a, a.up, 3, CLOCK_S + 20 * CLOCK_MS);
	assert_int_equal(tunnel_stats(a.t)->media_missed, 0);
	alone_hear_media(&a, a.up, 4, CLOCK_S + 50 * CLOCK_MS);
	assert_int_equal(tunnel_stats(a.t)->media_missed, 2);
	tunnel_free(a.t);
}

/* As many batches as there may be wait at a stream that takes nothing. */
static void
an_acknowledgement_for_which_there_is_no_room_does_not_spin(void **state)
{
	uint8_t voice[1000] = { 0 };
	uint64_t now = CLOCK_S;
	struct alone a;
	int err = 0;

	(void)state;
	alone_new(&a);
	alone_hear_preamble(&a, a.up, 2);
	for (int i = 0; i < 100000 && err == 0; i++) {
		err = tunnel_send_media(a.t, 1, voice, sizeof(voice), now);
		tunnel_flush(a.t, now);
	}
	assert_int_equal(err, ERR_FULL);
	tunnel_tick(a.t, now);
	now += CLOCK_MS;
	assert_int_equal(alone_hear(&a, a.up, &(struct frame_header){ 0 }, ALONE_PING,
			     sizeof(ALONE_PING) - 1, now),
	    0);
	for (int i = 0; i < 3 && tunnel_deadline(a.t) <= now; i++)
		tunnel_tick(a.t, now);
	assert_true(tunnel_deadline(a.t) > now);
	tunnel_free(a.t);
}

static void
fewer_streams_are_wanted_only_when_fewer_would_have_done_for_20_s(void **state)
{
	uint64_t now = 100 * CLOCK_S;
	unsigned told_n[2] = { 0 };
	struct alone_batch b[8];
	struct alone a;
	uint64_t acks = 0;

	(void)state;
	alone_new(&a);
	alone_hear_preamble(&a, a.up, 2);
	tunnel_set_busy(a.t, true, now);
	/* One call on a clean line needs less than the four streams of the beginning. */
	for (int i = 0; i < 1200; i++, now += 20 * CLOCK_MS) {
		size_t n;

		alone_send_voice(&a, 1, now);
		tunnel_tick(a.t, now);
		n = alone_written(&a, a.down, now, b, 8);
		for (size_t k = 0; k < n; k++)
			told_n[i >= 1000] += b[k].reliable_n;
		acks += n;
		alone_hear_ack(&a, 1, acks, now + CLOCK_MS);
	}
	assert_int_equal(told_n[0], 0);
	assert_int_equal(told_n[1], 2); /* one by one */
	tunnel_free(a.t);
}

static void
do_not_open(void *arg, enum tunnel_dir dir)
{
	(void)arg, (void)dir;
}

/* A cut, and not one place is left for a fresh stream beside those that hang. */
static void
a_client_with_all_the_streams_that_there_may_be_does_not_spin(void **state)
{
	const struct tunnel_grant grant = { .session = 5 };
	struct tunnel_handlers h = alone_handlers;
	uint64_t now = 100 * CLOCK_S;
	struct tunnel_stream *s;
	char path[TUNNEL_PATH_MAX];
	struct alone a = { 0 };
	struct tunnel_cfg cfg;
	unsigned n = 0;

	(void)state;
	tunnel_cfg_default(TUNNEL_CLIENT, &cfg);
	h.on_wanted = do_not_open;
	a.t = tunnel_new(&cfg, &h, &a, &grant, now);
	tunnel_set_busy(a.t, true, now);
	while (tunnel_stream_open(a.t, TUNNEL_UP, NULL, now, path, &s) == 0)
		n++;
	assert_in_range(n, 250, 1000);
	now += CLOCK_S;
	for (int i = 0; i < 4 && tunnel_deadline(a.t) <= now; i++)
		tunnel_tick(a.t, now);
	assert_true(tunnel_deadline(a.t) > now);
	assert_true(a.aborted_n <= 1);
	tunnel_free(a.t);
}

/* The numbers that a jump passes over are new, and those just below it are not. */
static void
a_jump_of_the_numbers_makes_new_just_those_that_it_passes_over(void **state)
{
	static const uint32_t steps[] = { 1, 2, 7, 8, 9, 15, 16, 17, 63, 64, 65, 1001, 30000, 65528,
		65535, 65536, 65537, 1 << 20 };
	const uint64_t now = CLOCK_S;
	uint32_t top = 0xffff00;
	struct alone a;

	(void)state;
	alone_new(&a);
	alone_hear_preamble(&a, a.up, 2);
	alone_hear_media(&a, a.up, top - 1, now);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		/* All places are those of numbers that were seen. */
		for (uint32_t n = 0; n < 65536; n++, top++)
			alone_hear_media(&a, a.up, top & FRAME_MEDIA_MASK, now);
		a.media_n = 0;
		alone_hear_media(&a, a.up, (top - 1) & FRAME_MEDIA_MASK, now);
		assert_int_equal(a.media_n, 0);
		alone_hear_media(&a, a.up, (top + steps[i] - 1) & FRAME_MEDIA_MASK, now);
		assert_int_equal(a.media_n, 1);
		for (uint32_t n = 2; n <= steps[i] && n < 65536; n++)
			alone_hear_media(&a, a.up, (top + steps[i] - n) & FRAME_MEDIA_MASK, now);
		assert_int_equal(a.media_n, steps[i] < 65536 ? steps[i] : 65535);
		alone_hear_media(&a, a.up, (top - 1) & FRAME_MEDIA_MASK, now);
		assert_int_equal(a.media_n, steps[i] < 65536 ? steps[i] : 65535);
		top += steps[i];
	}
	tunnel_free(a.t);
}

static void
an_acknowledgement_does_not_wait_for_a_stream_that_is_not_connected(void **state)
{
	uint64_t now = CLOCK_S + 20 * CLOCK_MS;
	struct tunnel_stream *second;
	struct alone_batch b[8];
	struct alone a;

	(void)state;
	alone_new(&a);
	alone_hear_preamble(&a, a.up, 2);
	alone_hear_media(&a, a.up, 0, CLOCK_S);
	/* There is no other stream; it is due, but the loop does not spin for it. */
	for (int i = 0; i < 3 && tunnel_deadline(a.t) <= now; i++)
		tunnel_tick(a.t, now);
	assert_true(tunnel_deadline(a.t) > now);
	second = alone_accepted(&a, TUNNEL_DOWN, 3);
	assert_int_equal(alone_written(&a, second, now, b, 8), 1);
	assert_int_equal(b[0].h.acks_n, 1);
	alone_hear_media(&a, a.up, 1, now);
	now += 20 * CLOCK_MS;
	tunnel_tick(a.t, now);
	assert_int_equal(alone_written(&a, second, now, b, 8), 1);
	assert_int_equal(b[0].h.acks_n, 1);
	assert_int_equal(b[0].h.acks[0].batches_n, 2);
	tunnel_free(a.t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(input_is_the_same_however_it_is_cut),
		cmocka_unit_test(input_that_is_no_stream_is_malformed),
		cmocka_unit_test(acknowledging_what_was_never_sent_is_malformed),
		cmocka_unit_test(voice_saved_from_a_lost_stream_is_not_its_own_repetition),
		cmocka_unit_test(a_level_of_loss_that_there_is_not_counts_as_the_highest),
		cmocka_unit_test(
		    what_was_rebuilt_and_is_no_row_of_frames_is_thrown_away_whole_and_counted),
		cmocka_unit_test(a_sum_is_of_use_before_the_first_miss),
		cmocka_unit_test(what_is_missed_is_counted),
		cmocka_unit_test(an_acknowledgement_for_which_there_is_no_room_does_not_spin),
		cmocka_unit_test(fewer_streams_are_wanted_only_when_fewer_would_have_done_for_20_s),
		cmocka_unit_test(a_client_with_all_the_streams_that_there_may_be_does_not_spin),
		cmocka_unit_test(a_jump_of_the_numbers_makes_new_just_those_that_it_passes_over),
		cmocka_unit_test(
		    an_acknowledgement_does_not_wait_for_a_stream_that_is_not_connected),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
