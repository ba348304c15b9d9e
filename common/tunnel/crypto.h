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

/* HKDF-Expand with SHA-256 (RFC 5869, 2.3), one block of it: of a key that is uniform already.
 * info: at most CRYPTO_INFO_MAX bytes. */
#define CRYPTO_INFO_MAX 64
void crypto_expand(const uint8_t key[static CRYPTO_KEY_LEN], struct crypto_text info,
    uint8_t out[static CRYPTO_KEY_LEN]);

/* X25519 (RFC 7748); a private key is any 32 random bytes. */
#define CRYPTO_X25519_LEN 32
void crypto_x25519_public(const uint8_t private_key[static CRYPTO_X25519_LEN],
    uint8_t out[static CRYPTO_X25519_LEN]);
/* False when the peer's key is one of those few that make the secret zero, whatever ours is; `out` is
 * zero then. */
bool crypto_x25519_shared(const uint8_t private_key[static CRYPTO_X25519_LEN],
    const uint8_t peer_public[static CRYPTO_X25519_LEN], uint8_t out[static CRYPTO_X25519_LEN]);

/* Overwrites n bytes for good. */
void crypto_wipe(void *p, size_t n);

/* Whether n bytes are the same, in a time that does not tell where they differ. */
bool crypto_equal(const void *a, const void *b, size_t n);

#endif
