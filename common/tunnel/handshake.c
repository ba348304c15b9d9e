/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tunnel/handshake.h"

#include <string.h>

#include "base/err.h"
#include "tunnel/handshake_impl.h"

/* The inside end. */

int
handshake_init(struct handshake *h, const char *agent, const char *secret, uint64_t instance,
    bool seal)
{
	size_t agent_len = strlen(agent), secret_len = strlen(secret);

	if (agent_len > HANDSHAKE_AGENT_MAX || secret_len >= sizeof(h->secret))
		return ERR_TOO_BIG;
	memset(h, 0, sizeof(*h));
	memcpy(h->agent, agent, agent_len);
	memcpy(h->secret, secret, secret_len);
	h->instance = instance;
	h->ciphers = CIPHER_NONE;
	if (seal)
		h->ciphers = CIPHER_AES_256_GCM | CIPHER_CHACHA20_POLY1305 |
		    (cipher_aes_is_fast() ? 0 : HANDSHAKE_SLOW_AES);
	return 0;
}

static struct handshake_transcript
transcript_of(const struct handshake *h)
{
	struct handshake_transcript t = { .instance = h->instance,
		.purpose = h->purpose,
		.session = h->session,
		.ciphers = h->ciphers };

	memcpy(t.agent, h->agent, sizeof(t.agent));
	memcpy(t.pub_c, h->pub_c, sizeof(t.pub_c));
	memcpy(t.nonce_c, h->nonce_c, sizeof(t.nonce_c));
	memcpy(t.nonce_s, h->nonce_s, sizeof(t.nonce_s));
	memcpy(t.pub_s, h->pub_s, sizeof(t.pub_s));
	return t;
}

void
handshake_forget(struct handshake *h)
{
	crypto_wipe(h->private_c, sizeof(h->private_c));
	crypto_wipe(h->dh, sizeof(h->dh));
}

void
handshake_hello(struct handshake *h, enum handshake_purpose purpose, uint64_t session, uint8_t *out,
    size_t *out_len)
{
	struct wire_write w = wire_writer(out, HANDSHAKE_BODY_MAX);
	struct handshake_transcript t;

	handshake_forget(h);
	h->purpose = purpose;
	h->session = session;
	crypto_random(h->private_c, sizeof(h->private_c));
	crypto_x25519_public(h->private_c, h->pub_c);
	crypto_random(h->nonce_c, sizeof(h->nonce_c));
	memset(h->nonce_s, 0, sizeof(h->nonce_s));
	memset(h->pub_s, 0, sizeof(h->pub_s));
	t = transcript_of(h);
	handshake_put_header(&w, KIND_HELLO);
	handshake_put_hello(&w, &t);
	*out_len = w.used;
}

static int
take_header(struct handshake *h, struct wire_read *r, enum handshake_kind expected)
{
	enum handshake_kind kind;
	uint8_t version;
	int err = handshake_get_header(r, &kind, &version);

	h->peer_version = err == ERR_UNSUPPORTED ? version : 0;
	return err < 0 ? err : kind == expected ? 0 : ERR_MALFORMED;
}

int
handshake_respond(struct handshake *h, const uint8_t *in, size_t n, uint8_t *out, size_t *out_len)
{
	struct wire_read r = wire_reader(in, n);
	struct wire_write w = wire_writer(out, HANDSHAKE_BODY_MAX);
	struct handshake_transcript t = transcript_of(h);
	uint8_t proof_c[CRYPTO_MAC_LEN];
	int err;

	err = take_header(h, &r, KIND_CHALLENGE);
	if (err < 0)
		return err;
	handshake_get_challenge(&r, &t);
	if (r.bad || r.left != 0 || !crypto_x25519_shared(h->private_c, t.pub_s, h->dh))
		return ERR_MALFORMED;
	memcpy(h->nonce_s, t.nonce_s, sizeof(h->nonce_s));
	memcpy(h->pub_s, t.pub_s, sizeof(h->pub_s));
	handshake_proof(&t, h->dh, h->secret, NULL, proof_c);
	handshake_put_header(&w, KIND_RESPONSE);
	handshake_put_hello(&w, &t);
	handshake_put_challenge(&w, &t);
	wire_put_bytes(&w, proof_c, sizeof(proof_c));
	*out_len = w.used;
	return 0;
}

/* Whether the cipher granted is one of those that we offered. */
static bool
offered(const struct handshake *h, enum cipher_kind cipher)
{
	return (cipher == CIPHER_AES_256_GCM || cipher == CIPHER_CHACHA20_POLY1305 ||
		   cipher == CIPHER_NONE) &&
	    (h->ciphers & cipher) != 0;
}

int
handshake_finish(struct handshake *h, const uint8_t *in, size_t n, struct tunnel_grant *grant)
{
	struct wire_read r = wire_reader(in, n);
	struct handshake_transcript t = transcript_of(h);
	struct tunnel_grant g = { 0 };
	uint8_t proof_s[CRYPTO_MAC_LEN], expected[CRYPTO_MAC_LEN];
	int err;

	err = take_header(h, &r, KIND_WELCOME);
	if (err < 0)
		return err;
	g.session = wire_get_u64(&r);
	g.boot = wire_get_u64(&r);
	g.cipher = (enum cipher_kind)wire_get_u8(&r);
	handshake_get_copy(&r, proof_s, sizeof(proof_s));
	if (r.bad || r.left != 0)
		return ERR_MALFORMED;
	handshake_proof(&t, h->dh, h->secret, &g, expected);
	if (!crypto_equal(proof_s, expected, sizeof(proof_s)))
		return ERR_AUTH;
	if (g.session == 0)
		return ERR_UNSUPPORTED;
	if (!offered(h, g.cipher) || (h->session != 0 && g.session != h->session))
		return ERR_MALFORMED;
	handshake_fill_grant(&t, h->dh, h->secret, &g);
	handshake_forget(h);
	*grant = g;
	crypto_wipe(&g, sizeof(g));
	return 0;
}
