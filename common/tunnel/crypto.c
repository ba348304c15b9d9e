/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tunnel/crypto.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

/* base/err.h stays out of this file: OpenSSL has a type ERR_STATE. */

void
crypto_random(void *out, size_t n)
{
	if (RAND_bytes(out, (int)n) != 1)
		abort();
}

uint64_t
crypto_random_u64(void)
{
	uint64_t v;

	do
		crypto_random(&v, sizeof(v));
	while (v == 0);
	return v;
}

void
crypto_hmac(struct crypto_text key, struct crypto_text text, uint8_t out[static CRYPTO_MAC_LEN])
{
	unsigned out_len = CRYPTO_MAC_LEN;

	if (HMAC(EVP_sha256(), key.p, (int)key.n, text.p, text.n, out, &out_len) == NULL)
		abort();
}

static OSSL_PARAM
octets(const char *name, struct crypto_text t)
{
	/* OpenSSL's type has no const, but only reads what is passed in. */
	return OSSL_PARAM_construct_octet_string(name, (void *)(uintptr_t)t.p, t.n);
}

void
crypto_hkdf(struct crypto_text ikm, struct crypto_text salt, struct crypto_text info,
    uint8_t out[static CRYPTO_KEY_LEN])
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string("digest", digest, 0),
		octets("key", ikm),
		octets("salt", salt),
		octets("info", info),
		OSSL_PARAM_construct_end(),
	};

	if (EVP_KDF_derive(ctx, out, CRYPTO_KEY_LEN, params) != 1)
		abort();
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
}

void
crypto_expand(const uint8_t key[static CRYPTO_KEY_LEN], struct crypto_text info,
    uint8_t out[static CRYPTO_KEY_LEN])
{
	uint8_t text[CRYPTO_INFO_MAX + 1];

	if (info.n > CRYPTO_INFO_MAX)
		abort();
	memcpy(text, info.p, info.n);
	text[info.n] = 1;
	crypto_hmac((struct crypto_text){ key, CRYPTO_KEY_LEN },
	    (struct crypto_text){ text, info.n + 1 }, out);
}

static EVP_PKEY *
x25519_key(const uint8_t private_key[static CRYPTO_X25519_LEN])
{
	EVP_PKEY *key;

	key = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, private_key, CRYPTO_X25519_LEN);
	if (key == NULL)
		abort();
	return key;
}

void
crypto_x25519_public(const uint8_t private_key[static CRYPTO_X25519_LEN],
    uint8_t out[static CRYPTO_X25519_LEN])
{
	EVP_PKEY *key = x25519_key(private_key);
	size_t n = CRYPTO_X25519_LEN;

	if (EVP_PKEY_get_raw_public_key(key, out, &n) != 1)
		abort();
	EVP_PKEY_free(key);
}

bool
crypto_x25519_shared(const uint8_t private_key[static CRYPTO_X25519_LEN],
    const uint8_t peer_public[static CRYPTO_X25519_LEN], uint8_t out[static CRYPTO_X25519_LEN])
{
	EVP_PKEY *key = x25519_key(private_key);
	EVP_PKEY *peer =
	    EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, peer_public, CRYPTO_X25519_LEN);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	size_t n = CRYPTO_X25519_LEN;
	bool good;

	if (peer == NULL || ctx == NULL || EVP_PKEY_derive_init(ctx) != 1 ||
	    EVP_PKEY_derive_set_peer(ctx, peer) != 1)
		abort();
	/* It checks for the secret that is all zero (RFC 7748, 6.1). */
	good = EVP_PKEY_derive(ctx, out, &n) == 1;
	if (!good)
		memset(out, 0, CRYPTO_X25519_LEN);
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(peer);
	EVP_PKEY_free(key);
	return good;
}

void
crypto_wipe(void *p, size_t n)
{
	OPENSSL_cleanse(p, n);
}

bool
crypto_equal(const void *a, const void *b, size_t n)
{
	return CRYPTO_memcmp(a, b, n) == 0;
}
