/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "tunnel/frame.h"

static const struct frame_header full = { .busy = true,
	.has_reliable = true,
	.has_media = true,
	.reliable_next = 300,
	.media_base = 0xfedcba,
	.report = 0x2a,
	.acks_n = 2,
	.acks = { { 1, 5 }, { UINT32_MAX, 1ULL << 60 } } };

/* A batch with every part a header can have and every frame there is; returns its length. */
static size_t
sample(uint8_t out[FRAME_BATCH_MAX])
{
	uint8_t body[FRAME_BODY_MAX];
	struct wire_write w = wire_writer(body, sizeof(body));
	size_t n;

	frame_put(&w,
	    &(struct frame){ .type = FRAME_MEDIA,
		.channel = 700,
		.data = (const uint8_t *)"voice",
		.data_len = 5 });
	frame_put(&w,
	    &(struct frame){ .type = FRAME_RELIABLE,
		.number = 299,
		.bits = FRAME_FIRST,
		.kind = 2,
		.data = (const uint8_t *)"INVITE",
		.data_len = 6 });
	frame_put(&w,
	    &(struct frame){ .type = FRAME_RELIABLE,
		.number = 300,
		.bits = FRAME_LAST,
		.data = (const uint8_t *)"sip:",
		.data_len = 4 });
	frame_put(&w, &(struct frame){ .type = FRAME_PING, .stamp = 0x01020304, .srtt_us = 40000 });
	wire_put_bytes(&w, "\x7f\x03new", 5);
	frame_put(&w, &(struct frame){ .type = FRAME_PONG, .stamp = 0xfffffffe });
	frame_put(&w,
	    &(struct frame){ .type = FRAME_PARITY,
		.parity = { .base = 0xfffffe,
		    .row = 1,
		    .batches_n = 3,
		    .media_n = { 1, 255, 7 },
		    .sum = (const uint8_t *)"\0\3sum",
		    .sum_len = 5 } });
	frame_put(&w,
	    &(struct frame){ .type = FRAME_REPEAT,
		.back = 255,
		.channel = 128,
		.data = (const uint8_t *)"again",
		.data_len = 5 });
	frame_put(&w, &(struct frame){ .type = FRAME_END });
	assert_false(w.bad);
	n = frame_header_put(&full, w.used, out);
	memcpy(out + n, body, w.used);
	return n + w.used;
}

static void
assert_redundancy(struct wire_read *body)
{
	struct frame f;

	assert_int_equal(frame_next(body, &f), 0);
	assert_int_equal(f.type, FRAME_PARITY);
	assert_int_equal(f.parity.base, 0xfffffe);
	assert_int_equal(f.parity.row, 1);
	assert_int_equal(f.parity.batches_n, 3);
	assert_memory_equal(f.parity.media_n, "\1\xff\7", 3);
	assert_int_equal(f.parity.sum_len, 5);
	assert_memory_equal(f.parity.sum, "\0\3sum", 5);
	assert_int_equal(frame_next(body, &f), 0);
	assert_int_equal(f.type, FRAME_REPEAT);
	assert_int_equal(f.back, 255);
	assert_int_equal(f.channel, 128);
	assert_int_equal(f.data_len, 5);
	assert_memory_equal(f.data, "again", 5);
}

static void
header_and_frames_travel(void **state)
{
	uint8_t bytes[FRAME_BATCH_MAX];
	size_t n = sample(bytes), len;
	struct frame_header h;
	struct wire_read body;
	struct frame f;

	(void)state;
	assert_int_equal(frame_batch_get(bytes, n, &h, &body, &len), 0);
	assert_int_equal(len, n);
	assert_true(h.busy && h.has_reliable && h.has_media);
	assert_int_equal(h.reliable_next, 300);
	assert_int_equal(h.media_base, 0xfedcba);
	assert_int_equal(h.report, 0x2a);
	assert_int_equal(h.acks_n, 2);
	assert_int_equal(h.acks[1].serial, UINT32_MAX);
	assert_true(h.acks[1].batches_n == 1ULL << 60);

	assert_int_equal(frame_next(&body, &f), 0);
	assert_int_equal(f.type, FRAME_MEDIA);
	assert_int_equal(f.channel, 700);
	assert_int_equal(f.data_len, 5);
	assert_memory_equal(f.data, "voice", 5);
	assert_int_equal(frame_next(&body, &f), 0);
	assert_int_equal(f.type, FRAME_RELIABLE);
	assert_int_equal(f.number, 299);
	assert_int_equal(f.bits, FRAME_FIRST);
	assert_int_equal(f.kind, 2);
	assert_memory_equal(f.data, "INVITE", 6);
	assert_int_equal(frame_next(&body, &f), 0);
	assert_int_equal(f.bits, FRAME_LAST);
	assert_int_equal(f.data_len, 4);
	assert_int_equal(frame_next(&body, &f), 0);
	assert_int_equal(f.type, FRAME_PING);
	assert_int_equal(f.stamp, 0x01020304);
	assert_int_equal(f.srtt_us, 40000);
	assert_int_equal(frame_next(&body, &f), 0);
	assert_int_equal(f.type, FRAME_PONG);
	assert_int_equal(f.stamp, 0xfffffffe);
	assert_redundancy(&body);
	assert_int_equal(frame_next(&body, &f), 0);
	assert_int_equal(f.type, FRAME_END);
	assert_int_equal(frame_next(&body, &f), ERR_NOT_FOUND);
}

static void
decode_asks_for_more_when_cut_anywhere(void **state)
{
	uint8_t bytes[FRAME_BATCH_MAX];
	size_t n = sample(bytes), len;
	struct frame_header h;
	struct wire_read body;

	(void)state;
	for (size_t i = 0; i < n; i++) {
		/* A block of just that size, so that the sanitizer sees a read past the end. */
		uint8_t *cut = mem_alloc(i);

		memcpy(cut, bytes, i);
		assert_int_equal(frame_batch_get(cut, i, &h, &body, &len), ERR_INCOMPLETE);
		mem_free(cut);
	}
}

/* The length says that the batch ends at each byte: then its last part is cut, or it is shorter. */
static void
a_batch_that_ends_within_a_frame_is_malformed(void **state)
{
	uint8_t bytes[FRAME_BATCH_MAX];
	size_t n = sample(bytes), good_n = 0;

	(void)state;
	for (size_t i = 3; i < n; i++) {
		uint8_t *cut = mem_dup(bytes, i);
		struct frame_header h;
		struct wire_read body;
		struct frame f;
		size_t len;
		int err;

		cut[0] = (uint8_t)((i - 2) >> 8);
		cut[1] = (uint8_t)(i - 2);
		err = frame_batch_get(cut, i, &h, &body, &len);
		while (err == 0)
			err = frame_next(&body, &f);
		assert_true(err == ERR_MALFORMED || err == ERR_NOT_FOUND);
		good_n += err == ERR_NOT_FOUND;
		mem_free(cut);
	}
	/* Between frames it may end: behind the header and each of eight frames. */
	assert_int_equal(good_n, 9);
}

static void
headers_are_as_short_as_they_can_be_and_never_too_long(void **state)
{
	struct frame_header h = { 0 };
	uint8_t out[FRAME_HEADER_MAX];

	(void)state;
	assert_int_equal(frame_header_put(&h, 100, out), 3);
	assert_int_equal(out[0] << 8 | out[1], 101);
	h.has_media = true;
	assert_int_equal(frame_header_put(&h, 100, out), 6);
	h.report = 1;
	assert_int_equal(frame_header_put(&h, 100, out), 7);
	h.busy = h.has_reliable = true;
	h.reliable_next = UINT64_MAX;
	h.acks_n = FRAME_ACKS_MAX;
	for (size_t i = 0; i < FRAME_ACKS_MAX; i++)
		h.acks[i] = (struct frame_ack){ UINT32_MAX, UINT64_MAX };
	assert_in_range(frame_header_put(&h, FRAME_BODY_MAX, out), 100, FRAME_HEADER_MAX);
	/* What is gathered makes, with its header, no more than 1400 bytes. */
	assert_true(FRAME_BODY_FILL + FRAME_HEADER_MAX + CIPHER_TAG_LEN <= 1400);
}

static void
headers_with_reserved_bits_are_malformed(void **state)
{
	static const uint8_t cases[][4] = { { 0, 1, 0x20 }, { 0, 1, 0x80 }, { 0, 2, 0x10, 0x80 },
		{ 0, 1, 0x10 } };
	static const uint8_t good[] = { 0, 2, 0x10, 0x7f };
	struct frame_header h;
	struct wire_read body;
	size_t len;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(frame_batch_get(cases[i], 4, &h, &body, &len), ERR_MALFORMED);
	assert_int_equal(frame_batch_get(good, sizeof(good), &h, &body, &len), 0);
	assert_int_equal(h.report, 0x7f);
}

static void
media_frames_are_written_as_they_are_read(void **state)
{
	static const uint32_t channels[] = { 0, 127, 128, 16383, 16384, UINT32_MAX };
	uint8_t data[TUNNEL_MEDIA_MAX];

	(void)state;
	memset(data, 0xa5, sizeof(data));
	for (size_t i = 0; i < sizeof(channels) / sizeof(channels[0]); i++)
		for (size_t n = 0; n <= sizeof(data); n += n < 140 ? 1 : 97) {
			uint8_t fast[FRAME_BODY_MAX], slow[FRAME_BODY_MAX];
			struct wire_write w = wire_writer(slow, sizeof(slow));
			size_t len = frame_media_put(channels[i], data, n, fast);

			frame_put(&w,
			    &(struct frame){ .type = FRAME_MEDIA,
				.channel = channels[i],
				.data = data,
				.data_len = n });
			assert_false(w.bad);
			assert_int_equal(len, w.used);
			assert_int_equal(len, frame_media_len(channels[i], n));
			assert_memory_equal(fast, slow, len);
		}
	assert_true(frame_media_len(UINT32_MAX, TUNNEL_MEDIA_MAX) <= FRAME_BODY_MAX);
	assert_int_equal(frame_media_len(127, 172) - 172, 4);
	assert_int_equal(frame_media_len(16383, 172) - 172, 5);
}

static void
frames_with_values_outside_their_range_are_malformed(void **state)
{
	static const struct {
		const char *why;
		const char *bytes;
		size_t n;
	} cases[] = {
		{ "media without channel", "\1\0", 2 },
		{ "channel beyond 32 bits", "\1\5\xff\xff\xff\xff\x10", 7 },
		{ "reliable without bits", "\2\1\1", 3 },
		{ "reliable with unknown bits", "\2\3\1\4x", 5 },
		{ "first fragment without type", "\2\2\1\1", 4 },
		{ "ping without round trip", "\3\4\0\0\0\1", 6 },
		{ "ping too long", "\3\6\0\0\0\1\0\0", 8 },
		{ "pong too short", "\4\3\0\0\0", 5 },
		{ "pong too long", "\4\5\0\0\0\0\0", 7 },
		{ "end with payload", "\5\1\0", 3 },
		{ "type 10", "\x0a\0", 2 },
		{ "type 63", "\x3f\0", 2 },
		{ "parity without anything", "\6\0", 2 },
		{ "parity with a third row", "\6\x09\0\0\1\2\2\1\1\0\0", 11 },
		{ "parity over one batch", "\6\x08\0\0\1\0\1\1\0\0", 10 },
		{ "parity over 17 batches",
		    "\6\x18\0\0\1\0\x11\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\0\0", 26 },
		{ "parity over a batch without media", "\6\x09\0\0\1\0\2\1\0\0\0", 11 },
		{ "parity that ends within its table", "\6\6\0\0\1\0\2\1", 8 },
		{ "parity without sum", "\6\7\0\0\1\0\2\1\1", 9 },
		{ "parity with half a length", "\6\x08\0\0\1\0\2\1\1\0", 10 },
		{ "repetition without anything", "\7\0", 2 },
		{ "repetition of itself", "\7\3\0\1x", 5 },
		{ "repetition without channel", "\7\1\1", 3 },
		{ "length without end", "\1\x80", 2 },
		{ "extension longer than the body", "\x40\2x", 3 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct wire_read body = wire_reader(cases[i].bytes, cases[i].n);
		struct frame f;

		if (frame_next(&body, &f) != ERR_MALFORMED)
			fail_msg("%s passed", cases[i].why);
	}
}

static void
repetitions_are_written_as_they_are_read(void **state)
{
	static const uint32_t channels[] = { 0, 127, 128, 16384, UINT32_MAX };
	uint8_t data[FRAME_BODY_FILL];

	(void)state;
	memset(data, 0x5a, sizeof(data));
	for (size_t i = 0; i < sizeof(channels) / sizeof(channels[0]); i++)
		for (size_t n = 0; n <= sizeof(data); n += n < 140 ? 1 : 97) {
			uint8_t fast[FRAME_BODY_MAX], slow[FRAME_BODY_MAX],
			    back = (uint8_t)(n % 255 + 1);
			struct wire_write w = wire_writer(slow, sizeof(slow));
			size_t len = frame_repeat_put(back, channels[i], data, n, fast);

			frame_put(&w,
			    &(struct frame){ .type = FRAME_REPEAT,
				.back = back,
				.channel = channels[i],
				.data = data,
				.data_len = n });
			assert_false(w.bad);
			assert_int_equal(len, w.used);
			assert_int_equal(len, frame_repeat_len(channels[i], n));
			assert_memory_equal(fast, slow, len);
		}
	assert_int_equal(frame_repeat_len(127, 172), frame_media_len(127, 172) + 1);
}

/* The largest group of the longest bodies that are gathered. */
static void
the_longest_parity_frame_fits_into_a_batch(void **state)
{
	uint8_t sum[FRAME_SUM_MAX + 1] = { 1 }, mem[FRAME_BATCH_MAX];
	struct frame f = { .type = FRAME_PARITY,
		.parity = { .batches_n = FRAME_GROUP_MAX,
		    .sum = sum,
		    .sum_len = FRAME_LENGTH_LEN + FRAME_BODY_FILL } };
	struct wire_write w = wire_writer(mem, FRAME_BODY_MAX);
	struct wire_read r;

	(void)state;
	memset(f.parity.media_n, 255, sizeof(f.parity.media_n));
	frame_put(&w, &f);
	assert_false(w.bad);
	r = wire_reader(mem, w.used);
	assert_int_equal(frame_next(&r, &f), 0);
	assert_int_equal(f.parity.sum_len, FRAME_LENGTH_LEN + FRAME_BODY_FILL);
	assert_memory_equal(f.parity.sum, sum, f.parity.sum_len);
}

/* The batch has room for a sum that no body can make. */
static void
a_sum_longer_than_any_body_is_malformed(void **state)
{
	uint8_t mem[FRAME_BATCH_MAX] = { FRAME_PARITY };
	struct wire_write w = wire_writer(mem + 1, sizeof(mem) - 1);
	struct frame f;

	(void)state;
	for (size_t extra = 0; extra < 2; extra++) {
		struct wire_read r;

		w = wire_writer(mem + 1, sizeof(mem) - 1);
		wire_put_varint(&w, 7 + FRAME_SUM_MAX + extra);
		wire_put_bytes(&w, "\0\0\1\0\2\1\1", 7);
		assert_true(w.left >= FRAME_SUM_MAX + extra);
		r = wire_reader(mem, 1 + w.used + FRAME_SUM_MAX + extra);
		assert_int_equal(frame_next(&r, &f), extra == 0 ? 0 : ERR_MALFORMED);
	}
}

static void
a_preamble_is_good_for_its_own_stream_only(void **state)
{
	uint8_t p[FRAME_PREAMBLE_LEN];

	(void)state;
	frame_preamble_put(TUNNEL_DOWN, 0x01020304, p);
	assert_memory_equal(p, "VF\1\1\1\2\3\4", sizeof(p));
	assert_int_equal(frame_preamble_check(TUNNEL_DOWN, 0x01020304, p), 0);
	assert_int_equal(frame_preamble_check(TUNNEL_UP, 0x01020304, p), ERR_MALFORMED);
	assert_int_equal(frame_preamble_check(TUNNEL_DOWN, 0x01020305, p), ERR_MALFORMED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(header_and_frames_travel),
		cmocka_unit_test(decode_asks_for_more_when_cut_anywhere),
		cmocka_unit_test(a_batch_that_ends_within_a_frame_is_malformed),
		cmocka_unit_test(headers_are_as_short_as_they_can_be_and_never_too_long),
		cmocka_unit_test(headers_with_reserved_bits_are_malformed),
		cmocka_unit_test(media_frames_are_written_as_they_are_read),
		cmocka_unit_test(repetitions_are_written_as_they_are_read),
		cmocka_unit_test(the_longest_parity_frame_fits_into_a_batch),
		cmocka_unit_test(a_sum_longer_than_any_body_is_malformed),
		cmocka_unit_test(frames_with_values_outside_their_range_are_malformed),
		cmocka_unit_test(a_preamble_is_good_for_its_own_stream_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
