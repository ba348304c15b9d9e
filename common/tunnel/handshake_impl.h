/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_TUNNEL_HANDSHAKE_IMPL_H
#define VOFW_TUNNEL_HANDSHAKE_IMPL_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "tunnel/crypto.h"
#include "tunnel/handshake.h"

/*
 * What the two ends of the handshake share (docs/PROTOCOL.md, "Opening a session"): handshake.c is
 * the inside end, handshake_server.c the outside one, handshake_wire.c the bodies and what is made
 * of them.
 */
#define HANDSHAKE_NONCE_LEN 32
#define HANDSHAKE_TEXT_MAX 512  /* what a proof or a key is made of */
#define HANDSHAKE_SLOW_AES 0x80 /* of an offer: ChaCha20 is faster here */

enum handshake_kind { KIND_HELLO = 1, KIND_CHALLENGE, KIND_RESPONSE, KIND_WELCOME };

/* What both proofs speak of, whoever makes them. */
struct handshake_transcript {
	char agent[HANDSHAKE_AGENT_MAX + 1];
	uint64_t instance;
	enum handshake_purpose purpose;
	uint64_t session; /* as in HELLO */
	uint8_t ciphers;
	uint8_t pub_c[HANDSHAKE_PUBLIC_LEN], nonce_c[HANDSHAKE_NONCE_LEN];
	uint8_t nonce_s[HANDSHAKE_NONCE_S_LEN], pub_s[HANDSHAKE_PUBLIC_LEN];
};

struct crypto_text handshake_text(const struct wire_write *w); /* what was written, borrowed */

/* Parts of bodies; what is read and is not as it must be sets r->bad. */
void handshake_put_header(struct wire_write *w, enum handshake_kind kind);
void handshake_put_hello(struct wire_write *w, const struct handshake_transcript *t);
void handshake_put_challenge(struct wire_write *w, const struct handshake_transcript *t);
void handshake_put_welcome(struct wire_write *w, const struct tunnel_grant *grant);
/* ERR_UNSUPPORTED, with *version, for one that is not ours: what follows may be anything. */
int handshake_get_header(struct wire_read *r, enum handshake_kind *kind, uint8_t *version);
void handshake_get_hello(struct wire_read *r, struct handshake_transcript *t);
void handshake_get_challenge(struct wire_read *r, struct handshake_transcript *t);
void handshake_get_copy(struct wire_read *r, void *out, size_t n);

/* grant: of the server's proof, what it grants; NULL for the client's. */
void handshake_proof(const struct handshake_transcript *t, const uint8_t *dh, const char *secret,
    const struct tunnel_grant *grant, uint8_t out[static CRYPTO_MAC_LEN]);

/* Everything of the grant but session, boot and cipher follows from what both ends know. */
void handshake_fill_grant(const struct handshake_transcript *t, const uint8_t *dh,
    const char *secret, struct tunnel_grant *grant);

#endif
