/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_TUNNEL_CIPHER_H
#define VOFW_TUNNEL_CIPHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Sealing: what leaves is encrypted and carries a tag by which the other end sees that it came
 * whole and from whom (AEAD, RFC 5116). Hides OpenSSL's ciphers and the derivation of their keys
 * from the key of a session (docs/PROTOCOL.md, "Sealing"). A `struct cipher` is one key for one
 * direction of one thing, a stream or the datagrams; each message under it has a number, which is
 * its nonce and which the caller never uses twice for sealing. No cipher, NULL, leaves everything
 * as it is and adds nothing.
 */
enum cipher_kind { /* bits, of an offer */
	CIPHER_AES_256_GCM = 1,
	CIPHER_CHACHA20_POLY1305 = 2,
	CIPHER_NONE = 4,
};
#define CIPHER_KEY_LEN 32
#define CIPHER_TAG_LEN 16

const char *cipher_str(enum cipher_kind kind); /* "AES-256-GCM", "ChaCha20-Poly1305", "none" */

/* Whether this host's processor does AES by itself; where it does not, ChaCha20 is faster. */
bool cipher_aes_is_fast(void);

struct cipher;

/* NULL for CIPHER_NONE. Copies the key. */
struct cipher *cipher_new(enum cipher_kind kind, const uint8_t key[static CIPHER_KEY_LEN]);
void cipher_free(struct cipher *c); /* takes over, and wipes; NULL is fine */

/* What a cipher is for: its key is that of the session, expanded by all of this. */
struct cipher_use {
	const char *label; /* "vofw2 batches", "vofw2 datagrams" */
	uint8_t dir;       /* enum tunnel_dir */
	uint64_t session;
	uint32_t serial; /* of the stream; 0 for datagrams */
};

/* cipher_new with the key of this use, made of a session's key (struct tunnel_grant). */
struct cipher *cipher_derive(enum cipher_kind kind, const uint8_t key[static CIPHER_KEY_LEN],
    const struct cipher_use *use);

/* How many bytes sealing adds: CIPHER_TAG_LEN, or 0 for no cipher. */
size_t cipher_tag_len(const struct cipher *c);

struct cipher_message {
	uint64_t number; /* of this message under this cipher */
	const void *ad;  /* borrowed; goes in the clear, and counts for the tag; may be NULL */
	size_t ad_len;
};

/* Seals n bytes where they stand and writes the tag behind them. */
void cipher_seal(struct cipher *c, const struct cipher_message *m, uint8_t *text, size_t n);

/*
 * Opens n bytes, the tag included, into `out` (n - cipher_tag_len bytes; may be `in` itself).
 * False, and `out` is of no use, when they are not just what was sealed as this message.
 */
bool cipher_open(struct cipher *c, const struct cipher_message *m, const uint8_t *in, size_t n,
    uint8_t *out);

#endif
