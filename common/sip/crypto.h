/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_SIP_CRYPTO_H
#define VOFW_SIP_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What sip/ asks of OpenSSL, the only place of sip/ that includes it: AES-SIV for tokens, the
 * hashes of digest authentication, HMAC for nonces. A failure inside OpenSSL aborts: it means a
 * library without its default provider, with which nothing here can work.
 */
#define SIP_SIV_TAG_LEN 16
#define SIP_HMAC_LEN 32
#define SIP_DIGEST_HEX_MAX 65 /* SHA-256 in hex with its NUL */

struct sip_siv; /* deterministic authenticated encryption, RFC 5297, with AES-128 */

struct sip_siv *sip_siv_new(const uint8_t key[static 32]); /* copies the key */
void sip_siv_free(struct sip_siv *s);
/* Writes the tag and then n bytes to `out` (SIP_SIV_TAG_LEN + n bytes of room). */
void sip_siv_seal(struct sip_siv *s, const uint8_t *in, size_t n, uint8_t *out);
/* Reads what sip_siv_seal wrote (n >= SIP_SIV_TAG_LEN); false when it is not authentic. */
bool sip_siv_open(struct sip_siv *s, const uint8_t *in, size_t n, uint8_t *out);

enum sip_digest { SIP_DIGEST_MD5, SIP_DIGEST_SHA256 };

/* The hash of n bytes in lower-case hex; returns out. */
const char *sip_digest_hex(enum sip_digest alg, const char *in, size_t n,
    char out[static SIP_DIGEST_HEX_MAX]);

void sip_hmac(const uint8_t key[static 32], const void *in, size_t n,
    uint8_t out[static SIP_HMAC_LEN]); /* HMAC-SHA-256, RFC 2104 */

bool sip_equal_const_time(const void *a, const void *b, size_t n);

#endif
