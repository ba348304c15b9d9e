/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tunnel/crypto.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <stdlib.h>

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

bool
crypto_equal(const void *a, const void *b, size_t n)
{
	return CRYPTO_memcmp(a, b, n) == 0;
}
