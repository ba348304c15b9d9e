/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"
#include "tunnel/datagram.h"

static const struct tunnel_grant grant = {
	.session = 0x0123456789abcdef, .cipher = CIPHER_AES_256_GCM, .key = { 1, 2, 3 }
};

struct pair {
	struct datagram_end *client, *server;
};

static struct pair
pair_new(void)
{
	return (struct pair){ datagram_end_new(&grant, TUNNEL_CLIENT, 0),
		datagram_end_new(&grant, TUNNEL_SERVER, 0) };
}

static void
pair_free(struct pair *p)
{
	datagram_end_free(p->client);
	datagram_end_free(p->server);
}

struct sealed {
	uint8_t p[DATAGRAM_MAX];
	size_t n;
};

static struct sealed
seal(struct datagram_end *e, const char *text)
{
	struct sealed s;

	memset(&s, 0, sizeof(s));
	memcpy(s.p + DATAGRAM_HEADER_LEN, text, strlen(text));
	(void)datagram_seal(e, s.p, strlen(text), &s.n);
	return s;
}

static int
open_copy(struct datagram_end *e, const struct sealed *s, struct datagram *out)
{
	static uint8_t copy[DATAGRAM_MAX];

	memcpy(copy, s->p, s->n);
	return datagram_open(e, copy, s->n, out);
}

static void
what_is_sealed_comes_out_and_costs_25_bytes(void **state)
{
	struct pair p = pair_new();
	struct sealed s = seal(p.client, "voice");
	struct datagram d;
	uint32_t id;

	(void)state;
	assert_int_equal(s.n, 5 + 25);
	assert_true(datagram_peek(s.p, s.n, &id));
	assert_int_equal(id, 0x01234567);
	assert_null(memmem(s.p, s.n, "voice", 5));
	assert_int_equal(open_copy(p.server, &s, &d), 0);
	assert_int_equal(d.number, 1);
	assert_true(d.newest);
	assert_int_equal(d.batch_len, 5);
	assert_memory_equal(d.batch, "voice", 5);
	pair_free(&p);
}

static void
every_changed_bit_is_refused_and_changes_nothing(void **state)
{
	struct pair p = pair_new();
	struct sealed s = seal(p.client, "voice");
	uint64_t through, missing;
	struct datagram d;

	(void)state;
	for (size_t i = 0; i < s.n * 8; i++) {
		s.p[i / 8] ^= (uint8_t)(1u << i % 8);
		assert_true(open_copy(p.server, &s, &d) < 0);
		s.p[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	for (size_t n = 0; n < s.n; n++) {
		struct sealed cut = s;

		cut.n = n;
		assert_true(open_copy(p.server, &cut, &d) < 0);
	}
	datagram_came(p.server, &through, &missing);
	assert_int_equal(through, 0);
	assert_int_equal(open_copy(p.server, &s, &d), 0);
	pair_free(&p);
}

static void
one_direction_s_datagram_means_nothing_in_the_other(void **state)
{
	struct pair p = pair_new();
	struct sealed s = seal(p.client, "voice");
	struct datagram d;

	(void)state;
	assert_int_equal(open_copy(p.client, &s, &d), ERR_AUTH);
	pair_free(&p);
}

static void
each_number_is_taken_once_in_any_order_within_the_window(void **state)
{
	static struct sealed s[DATAGRAM_WINDOW + 200];
	struct pair p = pair_new();
	uint64_t through, missing;
	struct datagram d;
	size_t n = sizeof(s) / sizeof(s[0]);

	(void)state;
	for (size_t i = 0; i < n; i++)
		s[i] = seal(p.client, "voice");
	assert_int_equal(open_copy(p.server, &s[100], &d), 0);
	for (size_t i = 0; i < 100; i++) {
		assert_int_equal(open_copy(p.server, &s[99 - i], &d), 0);
		assert_false(d.newest);
	}
	datagram_came(p.server, &through, &missing);
	assert_int_equal(through, 101);
	assert_int_equal(missing, 0);
	for (size_t i = 0; i <= 100; i++)
		assert_int_equal(open_copy(p.server, &s[i], &d), ERR_EXISTS);
	/* A jump: what is further behind than the window counts as a repetition. */
	assert_int_equal(open_copy(p.server, &s[n - 1], &d), 0);
	assert_true(d.newest);
	for (size_t i = 101; i < n - 1; i++)
		assert_int_equal(open_copy(p.server, &s[i], &d),
		    i + DATAGRAM_WINDOW <= n - 1 ? ERR_EXISTS : 0);
	assert_int_equal(open_copy(p.server, &s[n - 2], &d), ERR_EXISTS);
	datagram_came(p.server, &through, &missing);
	assert_int_equal(through, n);
	assert_int_equal(missing, n - 101 - DATAGRAM_WINDOW);
	pair_free(&p);
}

static void
after_a_new_key_both_are_opened_and_the_client_follows_the_server(void **state)
{
	static const uint8_t key[CIPHER_KEY_LEN] = { 9 }, other[CIPHER_KEY_LEN] = { 8 };
	struct pair p = pair_new();
	struct sealed before = seal(p.client, "before"), s;
	struct datagram d;

	(void)state;
	datagram_end_rekey(p.client, CIPHER_CHACHA20_POLY1305, key);
	s = seal(p.client, "old key");
	assert_int_equal(open_copy(p.server, &s, &d), 0);
	datagram_end_rekey(p.server, CIPHER_CHACHA20_POLY1305, key);
	s = seal(p.client, "old key");
	assert_int_equal(s.p[0], 0x40);
	assert_int_equal(open_copy(p.server, &s, &d), 0);
	s = seal(p.server, "new key");
	assert_int_equal(s.p[0], 0x41);
	assert_int_equal(open_copy(p.client, &s, &d), 0);
	s = seal(p.client, "new key");
	assert_int_equal(s.p[0], 0x41);
	assert_int_equal(open_copy(p.server, &s, &d), 0);
	assert_int_equal(open_copy(p.server, &before, &d), 0);
	/* With the key after that the first is gone. */
	datagram_end_rekey(p.client, CIPHER_AES_256_GCM, other);
	datagram_end_rekey(p.server, CIPHER_AES_256_GCM, other);
	s = seal(p.server, "another key");
	assert_int_equal(s.p[0], 0x40);
	assert_int_equal(open_copy(p.client, &s, &d), 0);
	pair_free(&p);
}

static void
a_question_is_answered_with_the_address_and_never_with_more_bytes(void **state)
{
	static const char *const addresses[] = { "192.0.2.1:40000", "[2001:db8:1:2:3:4:5:6]:65535",
		"[fe80::1%1]:5" };
	struct pair p = pair_new();

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		uint8_t question[DATAGRAM_MAX], answer[DATAGRAM_MAX];
		size_t n = datagram_ask(p.client, DATAGRAM_PROBE_LEN, question), len;
		struct datagram_said said;
		struct addr from;

		assert_int_equal(addr_parse(addresses[i], 0, &from), 0);
		assert_int_equal(datagram_answer(p.server, question, n, &from, answer, &len), 0);
		assert_true(len > 0 && len <= n);
		assert_int_equal(datagram_said(p.client, answer, len, &said), 0);
		assert_true(addr_equal(&said.mapped, &from));
		assert_int_equal(said.through, i + 1);
		assert_int_equal(said.missing, 0);
		/* The same question again is none. */
		assert_int_equal(datagram_answer(p.server, question, n, &from, answer, &len),
		    ERR_EXISTS);
	}
	pair_free(&p);
}

/* One of any number, as only the peer can make it. */
static struct sealed
seal_as(uint64_t number)
{
	struct cipher *c = cipher_derive(grant.cipher, grant.key,
	    &(struct cipher_use){ "vofw2 datagrams", TUNNEL_UP, grant.session, 0 });
	struct sealed s = { .n = DATAGRAM_HEADER_LEN + 5 + CIPHER_TAG_LEN };
	struct wire_write w = wire_writer(s.p, DATAGRAM_HEADER_LEN);

	wire_put_u8(&w, 0x40);
	wire_put_u32(&w, datagram_id(grant.session));
	wire_put_u32(&w, (uint32_t)number);
	cipher_seal(c, &(struct cipher_message){ number, s.p, DATAGRAM_HEADER_LEN },
	    s.p + DATAGRAM_HEADER_LEN, 5);
	cipher_free(c);
	return s;
}

static void
numbers_go_on_beyond_32_bits_though_the_low_half_alone_travels(void **state)
{
	static const uint64_t numbers[] = { 0x7fffffff, 0xfffffff0, 0x100000005, 0xfffffffe,
		0x17fffffff, 0x1fffffff0, 0x200000001 };
	struct pair p = pair_new();
	struct datagram d;

	(void)state;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		struct sealed s = seal_as(numbers[i]);

		assert_int_equal(open_copy(p.server, &s, &d), 0);
		assert_true(d.number == numbers[i]);
		assert_int_equal(d.newest, i != 3);
	}
	pair_free(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_sealed_comes_out_and_costs_25_bytes),
		cmocka_unit_test(every_changed_bit_is_refused_and_changes_nothing),
		cmocka_unit_test(one_direction_s_datagram_means_nothing_in_the_other),
		cmocka_unit_test(each_number_is_taken_once_in_any_order_within_the_window),
		cmocka_unit_test(after_a_new_key_both_are_opened_and_the_client_follows_the_server),
		cmocka_unit_test(a_question_is_answered_with_the_address_and_never_with_more_bytes),
		cmocka_unit_test(numbers_go_on_beyond_32_bits_though_the_low_half_alone_travels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
