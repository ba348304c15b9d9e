/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"

static void
buf_gives_back_what_was_appended_in_order(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	assert_int_equal(buf_append(&b, "hello ", 6), 0);
	assert_int_equal(buf_append(&b, "world", 5), 0);
	buf_consume(&b, 2);
	assert_int_equal(buf_len(&b), 9);
	assert_memory_equal(buf_data(&b), "llo world", 9);
	buf_free(&b);
}

static void
buf_refuses_a_byte_beyond_its_cap_and_keeps_the_rest(void **state)
{
	struct buf b;
	uint8_t *room;

	(void)state;
	buf_init(&b, 4);
	assert_int_equal(buf_append(&b, "abcd", 4), 0);
	assert_int_equal(buf_append(&b, "e", 1), ERR_FULL);
	assert_int_equal(buf_reserve(&b, 1, &room), ERR_FULL);
	assert_int_equal(buf_reserve(&b, SIZE_MAX, &room), ERR_FULL);
	assert_int_equal(buf_printf(&b, "%d", 1), ERR_FULL);
	assert_int_equal(buf_len(&b), 4);
	assert_memory_equal(buf_data(&b), "abcd", 4);
	buf_consume(&b, 1);
	assert_int_equal(buf_append(&b, "e", 1), 0);
	assert_memory_equal(buf_data(&b), "bcde", 4);
	buf_free(&b);
}

static void
buf_printf_writes_no_nul_and_fits_to_the_last_byte(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 6);
	assert_int_equal(buf_printf(&b, "%s", "abc"), 0);
	assert_int_equal(buf_printf(&b, "%d", 123), 0);
	assert_int_equal(buf_len(&b), 6);
	assert_memory_equal(buf_data(&b), "abc123", 6);
	buf_free(&b);
}

static void
buf_takes_nothing_from_nowhere(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 0);
	assert_int_equal(buf_append(&b, NULL, 0), 0);
	assert_int_equal(buf_len(&b), 0);
	buf_consume(&b, 0);
	buf_free(&b);
	buf_free(&b);
}

/* A queue of random traffic against a plain array; its memory must not grow with what passed. */
static void
buf_stays_a_queue_and_small_under_random_traffic(void **state)
{
	uint8_t chunk[97];
	unsigned seed = 7;
	uint32_t in = 0, out = 0;
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	for (int round = 0; round < 20000; round++) {
		size_t n = (size_t)rand_r(&seed) % sizeof(chunk);

		for (size_t i = 0; i < n; i++)
			chunk[i] = (uint8_t)(in + i);
		if (buf_append(&b, chunk, n) == 0)
			in += (uint32_t)n;
		assert_int_equal(buf_len(&b), in - out);
		n = (size_t)rand_r(&seed) % (sizeof(chunk) + 5);
		if (n > buf_len(&b))
			n = buf_len(&b);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(buf_data(&b)[i], (uint8_t)(out + i));
		buf_consume(&b, n);
		out += (uint32_t)n;
		assert_true(b.cap <= 4 * 1000);
	}
	assert_true(in > 100000);
	buf_free(&b);
}

static const uint64_t varints[] = { 0, 1, 127, 128, 300, 16383, 16384, UINT32_MAX, 1ULL << 62,
	UINT64_MAX };
#define VARINTS_N (sizeof(varints) / sizeof(varints[0]))

static void
write_everything(struct wire_write *w)
{
	wire_put_u8(w, 0x01);
	wire_put_u16(w, 0x0203);
	wire_put_u32(w, 0x04050607);
	wire_put_u64(w, 0x08090a0b0c0d0e0f);
	for (size_t i = 0; i < VARINTS_N; i++)
		wire_put_varint(w, varints[i]);
	wire_put_bytes(w, "end", 3);
}

/* Reads it and says whether all was there and right. */
static bool
read_everything(struct wire_read *r)
{
	const uint8_t *end;
	bool same = true;

	same &= wire_get_u8(r) == 0x01;
	same &= wire_get_u16(r) == 0x0203;
	same &= wire_get_u32(r) == 0x04050607;
	same &= wire_get_u64(r) == 0x08090a0b0c0d0e0f;
	for (size_t i = 0; i < VARINTS_N; i++)
		same &= wire_get_varint(r) == varints[i];
	end = wire_get_bytes(r, 3);
	return !r->bad && same && memcmp(end, "end", 3) == 0;
}

static void
wire_reads_what_it_wrote_in_network_order(void **state)
{
	uint8_t bytes[256];
	struct wire_write w = wire_writer(bytes, sizeof(bytes));
	struct wire_read r;

	(void)state;
	write_everything(&w);
	assert_false(w.bad);
	assert_int_equal(w.used + w.left, sizeof(bytes));
	assert_memory_equal(bytes, "\1\2\3\4\5\6\7\x8\x9\xa\xb\xc\xd\xe\xf", 15);
	r = wire_reader(bytes, w.used);
	assert_true(read_everything(&r));
	assert_int_equal(r.left, 0);
}

static void
wire_read_notices_a_cut_at_every_byte(void **state)
{
	uint8_t bytes[256];
	struct wire_write w = wire_writer(bytes, sizeof(bytes));

	(void)state;
	write_everything(&w);
	for (size_t n = 0; n < w.used; n++) {
		uint8_t *copy = malloc(n); /* exact, so that the sanitizer guards its end */
		struct wire_read r = wire_reader(copy, n);

		memcpy(copy, bytes, n);
		assert_false(read_everything(&r));
		assert_true(r.bad);
		assert_int_equal(wire_get_u8(&r), 0);
		assert_null(wire_get_bytes(&r, 0));
		free(copy);
	}
}

static void
wire_write_notices_a_cut_at_every_byte_and_never_passes_it(void **state)
{
	uint8_t bytes[256];
	struct wire_write whole = wire_writer(bytes, sizeof(bytes));

	(void)state;
	write_everything(&whole);
	for (size_t n = 0; n < whole.used; n++) {
		uint8_t *room = malloc(n);
		struct wire_write w = wire_writer(room, n);

		write_everything(&w);
		assert_true(w.bad);
		assert_true(w.used <= n);
		assert_memory_equal(room, bytes, w.used);
		free(room);
	}
}

static void
varint_is_as_long_as_its_length_says(void **state)
{
	uint8_t bytes[10];

	(void)state;
	for (size_t i = 0; i < VARINTS_N; i++) {
		struct wire_write w = wire_writer(bytes, sizeof(bytes));

		wire_put_varint(&w, varints[i]);
		assert_int_equal(w.used, wire_varint_len(varints[i]));
	}
	assert_int_equal(wire_varint_len(0), 1);
	assert_int_equal(wire_varint_len(UINT64_MAX), 10);
}

static void
varint_of_more_than_64_bits_is_bad(void **state)
{
	static const uint8_t eleven[] = { 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
		0x80, 0x01 };
	static const uint8_t bit_64[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0x02 };
	struct wire_read r = wire_reader(eleven, sizeof(eleven));

	(void)state;
	assert_int_equal(wire_get_varint(&r), 0);
	assert_true(r.bad);
	r = wire_reader(bit_64, sizeof(bit_64));
	assert_int_equal(wire_get_varint(&r), 0);
	assert_true(r.bad);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buf_gives_back_what_was_appended_in_order),
		cmocka_unit_test(buf_refuses_a_byte_beyond_its_cap_and_keeps_the_rest),
		cmocka_unit_test(buf_printf_writes_no_nul_and_fits_to_the_last_byte),
		cmocka_unit_test(buf_takes_nothing_from_nowhere),
		cmocka_unit_test(buf_stays_a_queue_and_small_under_random_traffic),
		cmocka_unit_test(wire_reads_what_it_wrote_in_network_order),
		cmocka_unit_test(wire_read_notices_a_cut_at_every_byte),
		cmocka_unit_test(wire_write_notices_a_cut_at_every_byte_and_never_passes_it),
		cmocka_unit_test(varint_is_as_long_as_its_length_says),
		cmocka_unit_test(varint_of_more_than_64_bits_is_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
