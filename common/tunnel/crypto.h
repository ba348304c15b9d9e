/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_TUNNEL_CRYPTO_H
#define VOFW_TUNNEL_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The little cryptography that the tunnel needs, in its own words; hides OpenSSL. Nothing here can
 * fail for a reason other than a broken host: then the process aborts, since going on without
 * randomness or without a MAC would be worse.
 */
#define CRYPTO_MAC_LEN 32
#define CRYPTO_KEY_LEN 32

struct crypto_text { /* a borrowed run of bytes */
	const void *p;
	size_t n;
};

void crypto_random(void *out, size_t n); /* n random bytes, fit for keys */
uint64_t crypto_random_u64(void);        /* a random number, never 0 */

/* HMAC-SHA-256 (RFC 2104). */
void crypto_hmac(struct crypto_text key, struct crypto_text text,
    uint8_t out[static CRYPTO_MAC_LEN]);

/* HKDF with SHA-256 (RFC 5869), one block of it. */
void crypto_hkdf(struct crypto_text ikm, struct crypto_text salt, struct crypto_text info,
    uint8_t out[static CRYPTO_KEY_LEN]);

/* Whether n bytes are the same, in a time that does not tell where they differ. */
bool crypto_equal(const void *a, const void *b, size_t n);

#endif
