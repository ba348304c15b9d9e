/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sip/crypto.h"

/* base/err.h stays out of this file: OpenSSL has a type ERR_STATE. */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct sip_siv {
	uint8_t key[32];
	EVP_CIPHER *cipher;
	EVP_CIPHER_CTX *ctx;
};

struct sip_siv *
sip_siv_new(const uint8_t key[static 32])
{
	struct sip_siv *s = mem_zalloc(sizeof(*s));

	memcpy(s->key, key, sizeof(s->key));
	s->cipher = EVP_CIPHER_fetch(NULL, "AES-128-SIV", NULL);
	s->ctx = EVP_CIPHER_CTX_new();
	if (s->cipher == NULL || s->ctx == NULL)
		abort();
	return s;
}

void
sip_siv_free(struct sip_siv *s)
{
	if (s == NULL)
		return;
	EVP_CIPHER_CTX_free(s->ctx);
	EVP_CIPHER_free(s->cipher);
	mem_wipe_free(s, sizeof(*s));
}

void
sip_siv_seal(struct sip_siv *s, const uint8_t *in, size_t n, uint8_t *out)
{
	uint8_t *text = out + SIP_SIV_TAG_LEN;
	int len, rest;

	if (EVP_EncryptInit_ex2(s->ctx, s->cipher, s->key, NULL, NULL) != 1 ||
	    EVP_EncryptUpdate(s->ctx, text, &len, in, (int)n) != 1 ||
	    EVP_EncryptFinal_ex(s->ctx, text + len, &rest) != 1 ||
	    EVP_CIPHER_CTX_ctrl(s->ctx, EVP_CTRL_AEAD_GET_TAG, SIP_SIV_TAG_LEN, out) != 1)
		abort();
}

bool
sip_siv_open(struct sip_siv *s, const uint8_t *in, size_t n, uint8_t *out)
{
	uint8_t tag[SIP_SIV_TAG_LEN];
	int len;

	memcpy(tag, in, sizeof(tag));
	if (EVP_DecryptInit_ex2(s->ctx, s->cipher, s->key, NULL, NULL) != 1 ||
	    EVP_CIPHER_CTX_ctrl(s->ctx, EVP_CTRL_AEAD_SET_TAG, sizeof(tag), tag) != 1)
		abort();
	return EVP_DecryptUpdate(s->ctx, out, &len, in + sizeof(tag), (int)(n - sizeof(tag))) == 1;
}

const char *
sip_digest_hex(enum sip_digest alg, const char *in, size_t n, char out[static SIP_DIGEST_HEX_MAX])
{
	static const char hex[] = "0123456789abcdef";
	const EVP_MD *md = alg == SIP_DIGEST_MD5 ? EVP_md5() : EVP_sha256();
	uint8_t raw[EVP_MAX_MD_SIZE];
	unsigned len;

	if (EVP_Digest(in, n, raw, &len, md, NULL) != 1)
		abort();
	for (unsigned i = 0; i < len; i++) {
		out[2 * i] = hex[raw[i] >> 4];
		out[2 * i + 1] = hex[raw[i] & 15];
	}
	out[2 * len] = '\0';
	return out;
}

void
sip_hmac(const uint8_t key[static 32], const void *in, size_t n, uint8_t out[static SIP_HMAC_LEN])
{
	unsigned len;

	if (HMAC(EVP_sha256(), key, 32, in, n, out, &len) == NULL)
		abort();
}

bool
sip_equal_const_time(const void *a, const void *b, size_t n)
{
	return CRYPTO_memcmp(a, b, n) == 0;
}
