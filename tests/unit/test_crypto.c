/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tunnel/crypto.h"

static size_t
hex(const char *text, uint8_t *out)
{
	unsigned byte;
	size_t n = 0;

	for (; sscanf(text, "%2x", &byte) == 1; text += 2)
		out[n++] = (uint8_t)byte;
	return n;
}

/* RFC 7748, 6.1 */
static void
x25519_is_that_of_the_rfc(void **state)
{
	static const char *const private[2] = {
		"77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
		"5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
	};
	static const char *const public[2] = {
		"8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
		"de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
	};
	uint8_t key[2][32], pub[2][32], expected[32], out[32];

	(void)state;
	for (int i = 0; i < 2; i++) {
		hex(private[i], key[i]);
		hex(public[i], expected);
		crypto_x25519_public(key[i], pub[i]);
		assert_memory_equal(pub[i], expected, 32);
	}
	hex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742", expected);
	for (int i = 0; i < 2; i++) {
		assert_true(crypto_x25519_shared(key[i], pub[!i], out));
		assert_memory_equal(out, expected, 32);
	}
}

static void
a_point_of_small_order_gives_no_secret(void **state)
{
	static const uint8_t key[32] = { 1, 2, 3 }, zero[32];
	uint8_t out[32] = { 9 };

	(void)state;
	assert_false(crypto_x25519_shared(key, zero, out));
	assert_memory_equal(out, zero, 32);
}

/* RFC 5869, A.1: its key and its first 32 bytes. */
static void
hkdf_is_that_of_the_rfc(void **state)
{
	uint8_t ikm[22], salt[13], info[10], prk[32], expected[32], out[32];

	(void)state;
	memset(ikm, 0x0b, sizeof(ikm));
	hex("000102030405060708090a0b0c", salt);
	hex("f0f1f2f3f4f5f6f7f8f9", info);
	hex("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf", expected);
	crypto_hkdf((struct crypto_text){ ikm, sizeof(ikm) },
	    (struct crypto_text){ salt, sizeof(salt) }, (struct crypto_text){ info, sizeof(info) },
	    out);
	assert_memory_equal(out, expected, 32);
	hex("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5", prk);
	crypto_expand(prk, (struct crypto_text){ info, sizeof(info) }, out);
	assert_memory_equal(out, expected, 32);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(x25519_is_that_of_the_rfc),
		cmocka_unit_test(a_point_of_small_order_gives_no_secret),
		cmocka_unit_test(hkdf_is_that_of_the_rfc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
