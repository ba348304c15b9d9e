/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "base/err.h"
#include "tunnel/handshake_impl.h"

/* The bodies of the handshake, and the proofs and the key that are made of them. */

#define MAGIC 0x564f4657 /* "VOFW" */
#define CIPHERS (CIPHER_AES_256_GCM | CIPHER_CHACHA20_POLY1305 | CIPHER_NONE | HANDSHAKE_SLOW_AES)

struct crypto_text
handshake_text(const struct wire_write *w)
{
	return (struct crypto_text){ w->p - w->used, w->used };
}

/* -- The wire -- */

void
handshake_put_header(struct wire_write *w, enum handshake_kind kind)
{
	wire_put_u32(w, MAGIC);
	wire_put_u8(w, HANDSHAKE_VERSION);
	wire_put_u8(w, kind);
}

int
handshake_get_header(struct wire_read *r, enum handshake_kind *kind, uint8_t *version)
{
	uint32_t magic = wire_get_u32(r);

	*version = wire_get_u8(r);
	*kind = (enum handshake_kind)wire_get_u8(r);
	if (r->bad || magic != MAGIC)
		return ERR_MALFORMED;
	return *version == HANDSHAKE_VERSION ? 0 : ERR_UNSUPPORTED;
}

void
handshake_put_hello(struct wire_write *w, const struct handshake_transcript *t)
{
	size_t agent_len = strlen(t->agent);

	wire_put_u8(w, (uint8_t)agent_len);
	wire_put_bytes(w, t->agent, agent_len);
	wire_put_u64(w, t->instance);
	wire_put_u8(w, (uint8_t)t->purpose);
	wire_put_u64(w, t->session);
	wire_put_u8(w, t->ciphers);
	wire_put_bytes(w, t->pub_c, sizeof(t->pub_c));
	wire_put_bytes(w, t->nonce_c, sizeof(t->nonce_c));
}

void
handshake_put_challenge(struct wire_write *w, const struct handshake_transcript *t)
{
	wire_put_bytes(w, t->nonce_s, sizeof(t->nonce_s));
	wire_put_bytes(w, t->pub_s, sizeof(t->pub_s));
}

static void
put_transcript(struct wire_write *w, const char *label, const struct handshake_transcript *t)
{
	wire_put_bytes(w, label, strlen(label) + 1);
	handshake_put_hello(w, t);
	handshake_put_challenge(w, t);
}

void
handshake_put_welcome(struct wire_write *w, const struct tunnel_grant *grant)
{
	wire_put_u64(w, grant->session);
	wire_put_u64(w, grant->boot);
	wire_put_u8(w, (uint8_t)grant->cipher);
}

static bool
agent_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	    c == '.' || c == '_' || c == '-';
}

static bool
agent_valid(const char *agent, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!agent_char(agent[i]))
			return false;
	return n > 0 && n <= HANDSHAKE_AGENT_MAX;
}

void
handshake_get_copy(struct wire_read *r, void *out, size_t n)
{
	const uint8_t *p = wire_get_bytes(r, n);

	if (p != NULL)
		memcpy(out, p, n);
}

void
handshake_get_hello(struct wire_read *r, struct handshake_transcript *t)
{
	size_t n = wire_get_u8(r);
	const uint8_t *agent = wire_get_bytes(r, n);

	if (agent == NULL || !agent_valid((const char *)agent, n)) {
		r->bad = true;
		return;
	}
	memcpy(t->agent, agent, n);
	t->agent[n] = '\0';
	t->instance = wire_get_u64(r);
	t->purpose = (enum handshake_purpose)wire_get_u8(r);
	t->session = wire_get_u64(r);
	t->ciphers = wire_get_u8(r);
	handshake_get_copy(r, t->pub_c, sizeof(t->pub_c));
	handshake_get_copy(r, t->nonce_c, sizeof(t->nonce_c));
	if (t->purpose > HANDSHAKE_REKEY || (t->ciphers & ~CIPHERS) != 0 ||
	    (t->session != 0) != (t->purpose == HANDSHAKE_REKEY))
		r->bad = true;
}

void
handshake_get_challenge(struct wire_read *r, struct handshake_transcript *t)
{
	handshake_get_copy(r, t->nonce_s, sizeof(t->nonce_s));
	handshake_get_copy(r, t->pub_s, sizeof(t->pub_s));
}

/* -- The proofs -- */

/*
 * A key for one use, of all that both ends know: of the secret, and of dh, which no listener knows.
 */
static void
derive(const struct handshake_transcript *t, const uint8_t *dh, const char *secret,
    struct crypto_text info, uint8_t out[static CRYPTO_KEY_LEN])
{
	uint8_t ikm_mem[HANDSHAKE_TEXT_MAX], salt_mem[HANDSHAKE_NONCE_LEN + HANDSHAKE_NONCE_S_LEN];
	struct wire_write ikm = wire_writer(ikm_mem, sizeof(ikm_mem));
	struct wire_write salt = wire_writer(salt_mem, sizeof(salt_mem));

	wire_put_bytes(&ikm, dh, CRYPTO_X25519_LEN);
	wire_put_bytes(&ikm, secret, strlen(secret));
	wire_put_bytes(&salt, t->nonce_c, sizeof(t->nonce_c));
	wire_put_bytes(&salt, t->nonce_s, sizeof(t->nonce_s));
	crypto_hkdf(handshake_text(&ikm), handshake_text(&salt), info, out);
	crypto_wipe(ikm_mem, sizeof(ikm_mem));
}

void
handshake_proof(const struct handshake_transcript *t, const uint8_t *dh, const char *secret,
    const struct tunnel_grant *grant, uint8_t out[static CRYPTO_MAC_LEN])
{
	uint8_t text[HANDSHAKE_TEXT_MAX], key[CRYPTO_KEY_LEN];
	struct wire_write w = wire_writer(text, sizeof(text));

	put_transcript(&w, "vofw2 proof", t);
	derive(t, dh, secret, handshake_text(&w), key);
	w = wire_writer(text, sizeof(text));
	put_transcript(&w, grant == NULL ? "vofw2 client" : "vofw2 server", t);
	if (grant != NULL)
		handshake_put_welcome(&w, grant);
	crypto_hmac((struct crypto_text){ key, sizeof(key) }, handshake_text(&w), out);
	crypto_wipe(key, sizeof(key));
}

void
handshake_fill_grant(const struct handshake_transcript *t, const uint8_t *dh, const char *secret,
    struct tunnel_grant *grant)
{
	uint8_t info_mem[HANDSHAKE_TEXT_MAX];
	struct wire_write info = wire_writer(info_mem, sizeof(info_mem));

	memcpy(grant->agent, t->agent, sizeof(grant->agent));
	grant->instance = t->instance;
	grant->purpose = t->purpose;
	put_transcript(&info, "vofw2 key", t);
	handshake_put_welcome(&info, grant);
	derive(t, dh, secret, handshake_text(&info), grant->key);
}
