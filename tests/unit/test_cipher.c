/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "tunnel/cipher.h"

static const enum cipher_kind kinds[] = { CIPHER_AES_256_GCM, CIPHER_CHACHA20_POLY1305 };

static size_t
hex(const char *text, uint8_t *out)
{
	unsigned byte;
	size_t n = 0;

	for (; sscanf(text, "%2x", &byte) == 1; text += 2)
		out[n++] = (uint8_t)byte;
	return n;
}

/* The plain text of RFC 8439, A.5. */
static const char draft[] =
    "Internet-Drafts are draft documents valid for a maximum of six months and may be updated, "
    "replaced, or obsoleted by other documents at any time. It is inappropriate to use "
    "Internet-Drafts as reference material or to cite them other than as /\xe2\x80\x9cwork in "
    "progress./\xe2\x80\x9d";

/* RFC 8439, A.5, whose nonce begins with zeros as ours do. */
static void
chacha20_poly1305_is_that_of_the_rfc(void **state)
{
	uint8_t key[32], ad[12], tag[16], first[16], text[sizeof(draft) + 16], out[sizeof(draft)];
	struct cipher_message m = { 0x0102030405060708, ad, sizeof(ad) };
	struct cipher *c;
	size_t n = strlen(draft);

	(void)state;
	hex("1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0", key);
	hex("f33388860000000000004e91", ad);
	hex("64a0861575861af460f062c79be643bd", first);
	hex("eead9d67890cbb22392336fea1851f38", tag);
	assert_int_equal(n, 265);
	c = cipher_new(CIPHER_CHACHA20_POLY1305, key);
	memcpy(text, draft, n);
	cipher_seal(c, &m, text, n);
	assert_memory_equal(text, first, sizeof(first));
	assert_memory_equal(text + n, tag, sizeof(tag));
	assert_true(cipher_open(c, &m, text, n + 16, out));
	assert_memory_equal(out, draft, n);
	cipher_free(c);
}

/* The GCM specification, test cases 13 and 14. */
static void
aes_256_gcm_is_that_of_its_specification(void **state)
{
	static const uint8_t key[32];
	struct cipher_message m = { 0, NULL, 0 };
	uint8_t text[32] = { 0 }, expected[32], tag[16];
	struct cipher *c = cipher_new(CIPHER_AES_256_GCM, key);

	(void)state;
	cipher_seal(c, &m, text, 0);
	hex("530f8afbc74536b9a963b4f1c4cb738b", tag);
	assert_memory_equal(text, tag, 16);
	assert_true(cipher_open(c, &m, text, 16, expected));
	memset(text, 0, sizeof(text));
	cipher_seal(c, &m, text, 16);
	hex("cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919", expected);
	assert_memory_equal(text, expected, 32);
	cipher_free(c);
}

#define TEXT_N 61

static void
what_was_changed_anywhere_does_not_open(void **state)
{
	uint8_t key[32] = { 7 }, ad[2] = { 0, TEXT_N + 16 }, text[TEXT_N + 16], out[TEXT_N];

	(void)state;
	for (size_t k = 0; k < 2; k++) {
		struct cipher *c = cipher_new(kinds[k], key);
		struct cipher_message m = { 5, ad, sizeof(ad) };

		memset(text, 0x55, TEXT_N);
		cipher_seal(c, &m, text, TEXT_N);
		for (size_t i = 0; i < sizeof(text) * 8; i++) {
			text[i / 8] ^= (uint8_t)(1 << i % 8);
			assert_false(cipher_open(c, &m, text, sizeof(text), out));
			text[i / 8] ^= (uint8_t)(1 << i % 8);
		}
		for (size_t i = 0; i < 16; i++) {
			ad[i / 8] ^= (uint8_t)(1 << i % 8);
			assert_false(cipher_open(c, &m, text, sizeof(text), out));
			ad[i / 8] ^= (uint8_t)(1 << i % 8);
		}
		m.number = 6;
		assert_false(cipher_open(c, &m, text, sizeof(text), out));
		m.number = 5;
		assert_true(cipher_open(c, &m, text, sizeof(text), out));
		assert_int_equal(out[0], 0x55);
		cipher_free(c);
	}
}

/* From a block of just that size, so that the sanitizer sees a read past the end. */
static void
what_was_cut_anywhere_does_not_open(void **state)
{
	uint8_t key[32] = { 7 }, text[TEXT_N + 16] = { 0 }, out[TEXT_N];
	struct cipher_message m = { 1, NULL, 0 };

	(void)state;
	for (size_t k = 0; k < 2; k++) {
		struct cipher *c = cipher_new(kinds[k], key);

		cipher_seal(c, &m, text, TEXT_N);
		for (size_t n = 1; n < sizeof(text); n++) {
			uint8_t *copy = mem_dup(text, n);

			copy = mem_realloc(copy, n);
			assert_false(cipher_open(c, &m, copy, n, out));
			mem_free(copy);
		}
		cipher_free(c);
	}
}

static void
each_use_of_a_session_has_a_key_of_its_own(void **state)
{
	static const struct cipher_use uses[] = {
		{ "vofw2 batches", 0, 1, 1 },
		{ "vofw2 batches", 1, 1, 1 },
		{ "vofw2 batches", 0, 2, 1 },
		{ "vofw2 batches", 0, 1, 2 },
		{ "vofw2 datagrams", 0, 1, 1 },
	};
	const size_t n = sizeof(uses) / sizeof(uses[0]);
	struct cipher_message m = { 1, NULL, 0 };
	uint8_t key[32] = { 3 }, out[8];

	(void)state;
	for (size_t i = 0; i < n; i++) {
		uint8_t text[8 + 16] = { 0 };
		struct cipher *c = cipher_derive(CIPHER_AES_256_GCM, key, &uses[i]);

		cipher_seal(c, &m, text, 8);
		cipher_free(c);
		for (size_t j = 0; j < n; j++) {
			c = cipher_derive(CIPHER_AES_256_GCM, key, &uses[j]);
			assert_int_equal(cipher_open(c, &m, text, sizeof(text), out), i == j);
			cipher_free(c);
		}
	}
}

static void
no_cipher_leaves_all_as_it_is(void **state)
{
	static const uint8_t key[32];
	struct cipher *c = cipher_new(CIPHER_NONE, key);
	struct cipher_message m = { 1, NULL, 0 };
	uint8_t text[] = "as it is", out[sizeof(text)];

	(void)state;
	assert_null(c);
	assert_int_equal(cipher_tag_len(c), 0);
	cipher_seal(c, &m, text, sizeof(text));
	assert_true(cipher_open(c, &m, text, sizeof(text), out));
	assert_string_equal(out, "as it is");
	cipher_free(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chacha20_poly1305_is_that_of_the_rfc),
		cmocka_unit_test(aes_256_gcm_is_that_of_its_specification),
		cmocka_unit_test(what_was_changed_anywhere_does_not_open),
		cmocka_unit_test(what_was_cut_anywhere_does_not_open),
		cmocka_unit_test(each_use_of_a_session_has_a_key_of_its_own),
		cmocka_unit_test(no_cipher_leaves_all_as_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
