/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "sip/lines.h"
#include "sip/msg.h"

#define START "OPTIONS sip:a@b SIP/2.0\r\n"

/* Frames a copy of just that size, so that the sanitizer sees a read past its end. */
static int
frame(const char *text, size_t n, size_t *skip, size_t *len)
{
	char *copy = malloc(n);
	int err;

	memcpy(copy, text, n);
	*skip = *len = SIZE_MAX;
	err = sip_frame(copy, n, skip, len);
	free(copy);
	return err;
}

static const struct {
	const char *text;
	int err;
	size_t skip, left; /* of a whole message: bytes before it, bytes after it */
} frames[] = {
	{ START "Content-Length: 0\r\n\r\n", 0, 0, 0 },
	{ START "Content-Length: 3\r\n\r\nabcd", 0, 0, 1 },
	{ START "l:3\r\n\r\nabc", 0, 0, 0 },
	{ START "L  :\t3 \r\n\r\nabc", 0, 0, 0 },
	{ START "CONTENT-LENGTH:\r\n 3\r\n\r\nabc", 0, 0, 0 },
	{ START "X: y\r\n Content-Length: 5\r\nl: 3\r\n\r\nabc", 0, 0, 0 },
	{ START "l: 3\r\nContent-Length: 3\r\n\r\nabc", 0, 0, 0 },
	{ START "l: 0003\r\n\r\nabc", 0, 0, 0 },
	{ START "l: 3\n\nabc", 0, 0, 0 },
	{ "\r\n\r\n" START "l: 0\r\n\r\n", 0, 4, 0 },
	{ "\r\n\n\r" START "l: 0\r\n\r\n" START, 0, 4, sizeof(START) - 1 },
	{ "", ERR_INCOMPLETE, 0, 0 },
	{ "\r\n\r\n", ERR_INCOMPLETE, 4, 0 },
	{ START, ERR_INCOMPLETE, 0, 0 },
	{ START "l: 3\r\n\r\nab", ERR_INCOMPLETE, 0, 0 },
	{ START "\r\n", ERR_MALFORMED, 0, 0 },
	{ START "Content-Lengths: 3\r\n\r\nabc", ERR_MALFORMED, 0, 0 },
	{ START "l\r\n\r\n", ERR_MALFORMED, 0, 0 },
	{ START "l:\r\n\r\n", ERR_MALFORMED, 0, 0 },
	{ START "l: -0\r\n\r\n", ERR_MALFORMED, 0, 0 },
	{ START "l: +1\r\n\r\na", ERR_MALFORMED, 0, 0 },
	{ START "l: 0x1\r\n\r\na", ERR_MALFORMED, 0, 0 },
	{ START "l: 1;x\r\n\r\na", ERR_MALFORMED, 0, 0 },
	{ START "l: 3\r\nl: 4\r\n\r\nabcd", ERR_MALFORMED, 0, 0 },
	{ START "l: 4294967299\r\n\r\nabc", ERR_MALFORMED, 0, 0 },
	{ START "l: 18446744073709551619\r\n\r\nabc", ERR_MALFORMED, 0, 0 },
	{ START "l: 65536\r\n\r\n", ERR_TOO_BIG, 0, 0 },
	{ START "l: 2147483647\r\n\r\n", ERR_TOO_BIG, 0, 0 },
};

static void
frame_finds_the_first_message_or_says_why_not(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
		size_t n = strlen(frames[i].text), skip, len;
		int err = frame(frames[i].text, n, &skip, &len);

		if (err != frames[i].err)
			fail_msg("%zu: %d instead of %d for %s", i, err, frames[i].err,
			    frames[i].text);
		assert_int_equal(skip, frames[i].skip);
		if (err == 0)
			assert_int_equal(skip + len + frames[i].left, n);
		else
			assert_int_equal(len, SIZE_MAX);
	}
}

static void
frame_asks_for_more_when_cut_anywhere(void **state)
{
	static const char text[] =
	    "\r\n" START "Via: x\r\n y\r\nContent-Length: 10\r\n\r\n0123456789";
	size_t n = sizeof(text) - 1, skip, len;

	(void)state;
	for (size_t cut = 0; cut < n; cut++)
		assert_int_equal(frame(text, cut, &skip, &len), ERR_INCOMPLETE);
	assert_int_equal(frame(text, n, &skip, &len), 0);
	assert_int_equal(skip + len, n);
}

static void
frame_gives_up_on_a_header_that_does_not_end(void **state)
{
	char *text = mem_alloc(SIP_MSG_MAX);
	size_t skip, len;

	(void)state;
	memset(text, 'x', SIP_MSG_MAX);
	memcpy(text, START, sizeof(START) - 1);
	assert_int_equal(frame(text, SIP_MSG_MAX - 1, &skip, &len), ERR_INCOMPLETE);
	assert_int_equal(frame(text, SIP_MSG_MAX, &skip, &len), ERR_TOO_BIG);
	mem_free(text);
}

static void
frame_takes_a_message_of_exactly_the_cap(void **state)
{
	char *text = mem_zalloc(SIP_MSG_MAX);
	size_t head = (size_t)sprintf(text, START "l: 65490\r\n\r\n"), skip, len;
	size_t body = SIP_MSG_MAX - head;

	(void)state;
	assert_true(body > 10000 && body < 99999);
	sprintf(text, START "l: %zu\r\n\r\n", body);
	assert_int_equal(frame(text, SIP_MSG_MAX, &skip, &len), 0);
	assert_int_equal(len, SIP_MSG_MAX);
	sprintf(text, START "l: %zu\r\n\r\n", body + 1);
	assert_int_equal(frame(text, SIP_MSG_MAX, &skip, &len), ERR_TOO_BIG);
	mem_free(text);
}

/* What the framer takes for a message the parser takes for the same one, of the same length. */
static void
frame_and_parser_agree_where_the_body_is(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
		size_t n = strlen(frames[i].text), skip, len, body_n;
		struct sip_msg *m;

		if (frame(frames[i].text, n, &skip, &len) != 0)
			continue;
		assert_int_equal(sip_msg_parse(frames[i].text + skip, len, &m), 0);
		sip_msg_body(m, &body_n);
		assert_int_equal(body_n, len - sip_lines_end(frames[i].text + skip, n - skip));
		sip_msg_free(m);
	}
}

static void
numbers_are_digits_and_nothing_else(void **state)
{
	unsigned long v = 77;

	(void)state;
	assert_true(sip_number("0", 1, 9, &v));
	assert_int_equal(v, 0);
	assert_true(sip_number("255", 3, 255, &v));
	assert_int_equal(v, 255);
	assert_false(sip_number("256", 3, 255, &v));
	assert_false(sip_number("7", 1, 5, &v));
	assert_false(sip_number("", 0, 9, &v));
	assert_false(sip_number("1 ", 2, 99, &v));
	assert_false(sip_number("-1", 2, 99, &v));
	assert_int_equal(v, 255);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frame_finds_the_first_message_or_says_why_not),
		cmocka_unit_test(frame_asks_for_more_when_cut_anywhere),
		cmocka_unit_test(frame_gives_up_on_a_header_that_does_not_end),
		cmocka_unit_test(frame_takes_a_message_of_exactly_the_cap),
		cmocka_unit_test(frame_and_parser_agree_where_the_body_is),
		cmocka_unit_test(numbers_are_digits_and_nothing_else),
	};

	sip_msg_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
