/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "tunnel/reliable.h"

#define STREAM_A 11
#define STREAM_B 12
#define TIMEOUT (250 * CLOCK_MS)

static struct reliable_tx tx;
static struct reliable_rx rx;

static int
set_up(void **state)
{
	(void)state;
	reliable_tx_init(&tx, 3000, 4 << 20);
	reliable_rx_init(&rx);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	reliable_tx_free(&tx);
	reliable_rx_free(&rx);
	return 0;
}

static struct frame
frame_of(const struct reliable_fragment *f)
{
	return (struct frame){ .type = FRAME_RELIABLE,
		.number = f->number,
		.bits = f->bits,
		.kind = f->kind,
		.data = f->data,
		.data_len = f->len };
}

/* Marks all that may go now as sent on `serial`; how many. */
static size_t
send_all(uint32_t serial, uint64_t now_us)
{
	struct reliable_fragment *f = NULL;
	size_t n = 0;

	while ((f = reliable_tx_next(&tx, f)) != NULL) {
		reliable_tx_sent(&tx, f, serial, now_us);
		n++;
	}
	return n;
}

static void
push(size_t n, uint64_t now_us)
{
	static uint8_t payload[TUNNEL_RELIABLE_MAX];

	for (size_t i = 0; i < n; i++)
		assert_int_equal(reliable_tx_push(&tx, 1, payload, 10, now_us), 0);
}

static int
put(uint64_t number, uint8_t bits, const char *data)
{
	struct frame f = { .type = FRAME_RELIABLE,
		.number = number,
		.bits = bits,
		.kind = 9,
		.data = (const uint8_t *)data,
		.data_len = strlen(data) };

	return reliable_rx_put(&rx, &f);
}

static void
assert_next(const char *expected)
{
	const uint8_t *data;
	uint8_t kind;
	size_t n;

	assert_int_equal(reliable_rx_next(&rx, &kind, &data, &n), 0);
	assert_int_equal(kind, 9);
	assert_int_equal(n, strlen(expected));
	assert_memory_equal(data, expected, n);
}

static void
assert_nothing(int err)
{
	const uint8_t *data;
	uint8_t kind;
	size_t n;

	assert_int_equal(reliable_rx_next(&rx, &kind, &data, &n), err);
}

/* -- The sender -- */

static void
payloads_of_every_length_come_out_as_they_went_in(void **state)
{
	uint8_t *payload = mem_alloc(TUNNEL_RELIABLE_MAX + 1);

	(void)state;
	for (size_t i = 0; i <= TUNNEL_RELIABLE_MAX; i++)
		payload[i] = (uint8_t)(i * 7 + i / 256);
	for (size_t n = 0; n <= TUNNEL_RELIABLE_MAX; n += n < 3 * FRAME_FRAGMENT_MAX ? 1 : 6257) {
		struct reliable_fragment *f = NULL;
		const uint8_t *data;
		uint8_t kind;
		size_t got;

		assert_int_equal(reliable_tx_push(&tx, 5, payload, n, 1), 0);
		while ((f = reliable_tx_next(&tx, f)) != NULL) {
			struct frame frame = frame_of(f);

			assert_nothing(ERR_NOT_FOUND);
			assert_int_equal(reliable_rx_put(&rx, &frame), 0);
			reliable_tx_sent(&tx, f, STREAM_A, 1);
		}
		assert_int_equal(reliable_rx_next(&rx, &kind, &data, &got), 0);
		assert_int_equal(kind, 5);
		assert_int_equal(got, n);
		assert_memory_equal(data, payload, n);
		assert_int_equal(reliable_tx_ack(&tx, rx.next), 0);
		assert_int_equal(tx.n, 0);
		assert_int_equal(tx.bytes, 0);
	}
	assert_int_equal(reliable_tx_push(&tx, 5, payload, TUNNEL_RELIABLE_MAX + 1, 1),
	    ERR_TOO_BIG);
	mem_free(payload);
}

static void
what_is_beyond_the_caps_is_refused_whole(void **state)
{
	static uint8_t payload[TUNNEL_RELIABLE_MAX];

	(void)state;
	push(2999, 1);
	assert_int_equal(reliable_tx_push(&tx, 1, payload, FRAME_FRAGMENT_MAX + 1, 1), ERR_FULL);
	assert_int_equal(tx.n, 2999);
	push(1, 1);
	assert_int_equal(reliable_tx_push(&tx, 1, payload, 0, 1), ERR_FULL);
	reliable_tx_free(&tx);
	reliable_tx_init(&tx, 3000, 1000);
	assert_int_equal(reliable_tx_push(&tx, 1, payload, 1001, 1), ERR_FULL);
	assert_int_equal(reliable_tx_push(&tx, 1, payload, 1000, 1), 0);
}

static void
no_more_than_the_window_is_on_the_way(void **state)
{
	(void)state;
	push(RELIABLE_WINDOW + 10, 1);
	assert_int_equal(send_all(STREAM_A, 1), RELIABLE_WINDOW);
	assert_int_equal(send_all(STREAM_A, 1), 0);
	assert_int_equal(reliable_tx_ack(&tx, 4), 0);
	assert_int_equal(send_all(STREAM_A, 1), 3);
}

static void
an_acknowledgement_of_what_was_not_sent_is_malformed(void **state)
{
	(void)state;
	push(5, 1);
	assert_int_equal(reliable_tx_ack(&tx, 0), ERR_MALFORMED);
	assert_int_equal(reliable_tx_ack(&tx, 2), ERR_MALFORMED);
	assert_int_equal(reliable_tx_ack(&tx, 1), 0);
	reliable_tx_sent(&tx, reliable_tx_next(&tx, NULL), STREAM_A, 1);
	assert_int_equal(reliable_tx_ack(&tx, 3), ERR_MALFORMED);
	assert_int_equal(reliable_tx_ack(&tx, 2), 0);
	/* Old ones come late from other streams. */
	assert_int_equal(reliable_tx_ack(&tx, 1), 0);
	assert_int_equal(tx.n, 4);
}

static void
what_a_lost_stream_had_is_sent_again_and_nothing_else(void **state)
{
	struct reliable_fragment *f;

	(void)state;
	push(6, 1);
	f = reliable_tx_next(&tx, NULL);
	for (int i = 0; i < 4; i++) {
		reliable_tx_sent(&tx, f, i % 2 == 0 ? STREAM_A : STREAM_B, 1);
		f = reliable_tx_next(&tx, f);
	}
	reliable_tx_lost(&tx, STREAM_A);
	reliable_tx_lost(&tx, STREAM_A);
	f = reliable_tx_next(&tx, NULL);
	assert_int_equal(f->number, 1);
	assert_int_equal(f->last_serial, STREAM_A);
	reliable_tx_sent(&tx, f, STREAM_B, 2);
	f = reliable_tx_next(&tx, f);
	assert_int_equal(f->number, 3);
	reliable_tx_sent(&tx, f, STREAM_B, 2);
	/* Then those that were never sent. */
	f = reliable_tx_next(&tx, f);
	assert_int_equal(f->number, 5);
	assert_int_equal(f->last_serial, 0);
	assert_int_equal(send_all(STREAM_B, 2), 2);
	assert_int_equal(send_all(STREAM_B, 2), 0);
}

static void
what_is_lost_and_then_acknowledged_is_not_sent_again(void **state)
{
	(void)state;
	push(4, 1);
	assert_int_equal(send_all(STREAM_A, 1), 4);
	reliable_tx_lost(&tx, STREAM_A);
	assert_int_equal(reliable_tx_ack(&tx, 4), 0);
	assert_int_equal(reliable_tx_next(&tx, NULL)->number, 4);
	assert_int_equal(send_all(STREAM_B, 1), 1);
	assert_int_equal(reliable_tx_ack(&tx, 5), 0);
	assert_int_equal(tx.n, 0);
	push(1, 2);
	assert_int_equal(send_all(STREAM_B, 2), 1);
}

static void
what_is_not_acknowledged_in_time_is_sent_again_ever_more_slowly(void **state)
{
	uint64_t now = CLOCK_S, wait = TIMEOUT;

	(void)state;
	assert_int_equal(reliable_tx_retry_us(&tx, TIMEOUT), CLOCK_NEVER);
	push(1, now);
	assert_int_equal(reliable_tx_retry_us(&tx, TIMEOUT), CLOCK_NEVER);
	for (int i = 0; i < 8; i++) {
		assert_int_equal(send_all(STREAM_A, now), 1);
		assert_int_equal(reliable_tx_retry_us(&tx, TIMEOUT), now + wait);
		reliable_tx_retry(&tx, TIMEOUT, now + wait - 1);
		assert_null(reliable_tx_next(&tx, NULL));
		reliable_tx_retry(&tx, TIMEOUT, now + wait);
		assert_non_null(reliable_tx_next(&tx, NULL));
		now += wait;
		wait = wait * 2 < RELIABLE_RETRY_CAP_US ? wait * 2 : RELIABLE_RETRY_CAP_US;
	}
	/* A line that is slower than the cap is waited for. */
	assert_int_equal(send_all(STREAM_A, now), 1);
	assert_int_equal(reliable_tx_retry_us(&tx, 10 * CLOCK_S), now + 10 * CLOCK_S);
	assert_int_equal(reliable_tx_oldest_us(&tx), CLOCK_S);
}

/* -- The receiver -- */

static void
whatever_the_order_of_arrival_delivery_is_in_order_and_once(void **state)
{
	(void)state;
	assert_int_equal(put(3, FRAME_FIRST | FRAME_LAST, "three"), 0);
	assert_nothing(ERR_NOT_FOUND);
	assert_int_equal(put(2, FRAME_FIRST | FRAME_LAST, "two"), 0);
	assert_int_equal(put(3, FRAME_FIRST | FRAME_LAST, "three"), ERR_EXISTS);
	assert_nothing(ERR_NOT_FOUND);
	assert_int_equal(put(1, FRAME_FIRST | FRAME_LAST, "one"), 0);
	assert_next("one");
	assert_next("two");
	assert_next("three");
	assert_nothing(ERR_NOT_FOUND);
	assert_int_equal(put(2, FRAME_FIRST | FRAME_LAST, "two"), ERR_EXISTS);
	assert_int_equal(rx.next, 4);
}

static void
fragments_are_put_together(void **state)
{
	(void)state;
	assert_int_equal(put(3, FRAME_LAST, "c"), 0);
	assert_int_equal(put(2, 0, "b"), 0);
	assert_int_equal(put(1, FRAME_FIRST, "a"), 0);
	assert_int_equal(put(4, FRAME_FIRST | FRAME_LAST, "d"), 0);
	assert_next("abc");
	assert_next("d");
}

static void
what_is_beyond_the_window_is_malformed(void **state)
{
	(void)state;
	assert_int_equal(put(RELIABLE_WINDOW, FRAME_FIRST | FRAME_LAST, "x"), 0);
	assert_int_equal(put(RELIABLE_WINDOW + 1, FRAME_FIRST | FRAME_LAST, "x"), ERR_MALFORMED);
	assert_int_equal(put(UINT64_MAX, FRAME_FIRST | FRAME_LAST, "x"), ERR_MALFORMED);
	assert_int_equal(put(0, FRAME_FIRST | FRAME_LAST, "x"), ERR_EXISTS);
}

static void
fragments_that_make_no_sense_are_malformed(void **state)
{
	(void)state;
	assert_int_equal(put(1, FRAME_LAST, "end without beginning"), 0);
	assert_nothing(ERR_MALFORMED);
	tear_down(NULL);
	set_up(NULL);
	assert_int_equal(put(1, FRAME_FIRST, "beginning"), 0);
	assert_int_equal(put(2, FRAME_FIRST | FRAME_LAST, "in the middle"), 0);
	assert_nothing(ERR_MALFORMED);
}

static void
a_payload_beyond_the_maximum_is_malformed(void **state)
{
	char data[1101];
	int err = ERR_NOT_FOUND;
	uint64_t number = 1;

	(void)state;
	memset(data, 'x', 1100);
	data[1100] = '\0';
	for (; number < 100 && err == ERR_NOT_FOUND; number++) {
		const uint8_t *p;
		uint8_t kind;
		size_t n;

		assert_int_equal(put(number, number == 1 ? FRAME_FIRST : 0, data), 0);
		err = reliable_rx_next(&rx, &kind, &p, &n);
	}
	assert_int_equal(err, ERR_MALFORMED);
	assert_int_equal(number - 1, TUNNEL_RELIABLE_MAX / 1100 + 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(payloads_of_every_length_come_out_as_they_went_in),
		TEST(what_is_beyond_the_caps_is_refused_whole),
		TEST(no_more_than_the_window_is_on_the_way),
		TEST(an_acknowledgement_of_what_was_not_sent_is_malformed),
		TEST(what_a_lost_stream_had_is_sent_again_and_nothing_else),
		TEST(what_is_lost_and_then_acknowledged_is_not_sent_again),
		TEST(what_is_not_acknowledged_in_time_is_sent_again_ever_more_slowly),
		TEST(whatever_the_order_of_arrival_delivery_is_in_order_and_once),
		TEST(fragments_are_put_together),
		TEST(what_is_beyond_the_window_is_malformed),
		TEST(fragments_that_make_no_sense_are_malformed),
		TEST(a_payload_beyond_the_maximum_is_malformed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
