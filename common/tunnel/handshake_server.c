/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "tunnel/handshake_impl.h"

/* The outside end. */

#define LIFETIME_US (HANDSHAKE_KEYPAIR_S * CLOCK_S)
#define COOKIE_US (HANDSHAKE_COOKIE_S * CLOCK_S)

/*
 * nonce_s is the cookie itself: when it was made (8 bytes, us since HRAS started), 16 random bytes,
 * and a MAC over both, the HELLO and pub_s, under a key that only this process knows.
 */
#define COOKIE_SEAL_LEN 16
#define COOKIES_USED_MAX 1024

struct handshake_server {
	handshake_secret_cb *secret;
	void *arg;
	bool seal;
	/* The one that is given out and the one before it, of which there may still be cookies. */
	struct keypair {
		bool there;
		uint64_t since_us;
		uint8_t private_s[CRYPTO_X25519_LEN], pub_s[HANDSHAKE_PUBLIC_LEN];
	} now, before;
	uint64_t boot;
	uint64_t epoch_us; /* cookies count from here, so that they do not tell the host's uptime */
	bool running;
	uint8_t cookie_key[32];
	char nobody[HANDSHAKE_KEY_LEN * 2 + 1]; /* the secret of agents that do not exist */
	/*
	 * Cookies that were used, in a ring, the oldest first; those too old to be used fall off.
	 */
	struct used {
		uint8_t seal[COOKIE_SEAL_LEN];
		uint64_t until_us;
	} used[COOKIES_USED_MAX];
	size_t used_first, used_n;
};

struct handshake_server *
handshake_server_new(handshake_secret_cb *cb, void *arg, bool seal)
{
	struct handshake_server *s = mem_zalloc(sizeof(*s));
	uint8_t raw[HANDSHAKE_KEY_LEN];

	s->secret = cb;
	s->arg = arg;
	s->seal = seal;
	s->boot = crypto_random_u64();
	crypto_random(s->cookie_key, sizeof(s->cookie_key));
	crypto_random(raw, sizeof(raw));
	for (size_t i = 0; i < sizeof(raw); i++) {
		s->nobody[2 * i] = "0123456789abcdef"[raw[i] >> 4];
		s->nobody[2 * i + 1] = "0123456789abcdef"[raw[i] & 15];
	}
	return s;
}

void
handshake_server_free(struct handshake_server *s)
{
	mem_wipe_free(s, sizeof(*s));
}

uint64_t
handshake_server_boot(const struct handshake_server *s)
{
	return s->boot;
}

void
handshake_server_tidy(struct handshake_server *s, uint64_t now_us)
{
	if (s->before.there && now_us - s->before.since_us > LIFETIME_US + COOKIE_US)
		crypto_wipe(&s->before, sizeof(s->before));
	if (!s->now.there || now_us - s->now.since_us < LIFETIME_US)
		return;
	s->before = s->now;
	crypto_wipe(&s->now, sizeof(s->now));
	/* It may have been long since anybody came. */
	if (now_us - s->before.since_us > LIFETIME_US + COOKIE_US)
		crypto_wipe(&s->before, sizeof(s->before));
}

static const uint8_t *
public_now(struct handshake_server *s, uint64_t now_us)
{
	handshake_server_tidy(s, now_us);
	if (!s->now.there) {
		crypto_random(s->now.private_s, sizeof(s->now.private_s));
		crypto_x25519_public(s->now.private_s, s->now.pub_s);
		s->now.since_us = now_us;
		s->now.there = true;
	}
	return s->now.pub_s;
}

static const struct keypair *
keypair_of(const struct handshake_server *s, const uint8_t *pub_s)
{
	if (s->now.there && memcmp(s->now.pub_s, pub_s, HANDSHAKE_PUBLIC_LEN) == 0)
		return &s->now;
	if (s->before.there && memcmp(s->before.pub_s, pub_s, HANDSHAKE_PUBLIC_LEN) == 0)
		return &s->before;
	return NULL;
}

/* The seal of the cookie in t->nonce_s, whose first 24 bytes are there already. */
static void
seal(const struct handshake_server *s, const struct handshake_transcript *t,
    uint8_t out[static CRYPTO_MAC_LEN])
{
	uint8_t text[HANDSHAKE_TEXT_MAX];
	struct wire_write w = wire_writer(text, sizeof(text));

	handshake_put_hello(&w, t);
	wire_put_bytes(&w, t->nonce_s, HANDSHAKE_NONCE_S_LEN - COOKIE_SEAL_LEN);
	wire_put_bytes(&w, t->pub_s, sizeof(t->pub_s));
	crypto_hmac((struct crypto_text){ s->cookie_key, sizeof(s->cookie_key) },
	    handshake_text(&w), out);
}

static void
challenge(struct handshake_server *s, uint64_t now_us, struct handshake_transcript *t, uint8_t *out,
    size_t *out_len)
{
	struct wire_write cookie = wire_writer(t->nonce_s, sizeof(t->nonce_s));
	struct wire_write w = wire_writer(out, HANDSHAKE_BODY_MAX);
	uint8_t salt[HANDSHAKE_NONCE_S_LEN - COOKIE_SEAL_LEN - 8], mac[CRYPTO_MAC_LEN];

	memcpy(t->pub_s, public_now(s, now_us), sizeof(t->pub_s));
	crypto_random(salt, sizeof(salt));
	wire_put_u64(&cookie, now_us - s->epoch_us);
	wire_put_bytes(&cookie, salt, sizeof(salt));
	seal(s, t, mac);
	wire_put_bytes(&cookie, mac, COOKIE_SEAL_LEN);
	handshake_put_header(&w, KIND_CHALLENGE);
	handshake_put_challenge(&w, t);
	*out_len = w.used;
}

static void
forget_old_cookies(struct handshake_server *s, uint64_t now_us)
{
	while (s->used_n > 0 && s->used[s->used_first].until_us < now_us) {
		s->used_first = (s->used_first + 1) % COOKIES_USED_MAX;
		s->used_n--;
	}
}

static bool
cookie_used(const struct handshake_server *s, const uint8_t *cookie_seal)
{
	for (size_t i = 0; i < s->used_n; i++)
		if (memcmp(s->used[(s->used_first + i) % COOKIES_USED_MAX].seal, cookie_seal,
			COOKIE_SEAL_LEN) == 0)
			return true;
	return false;
}

/* Ours, for this very HELLO, and fresh. Its age comes from the wire, but under our own seal. */
static bool
cookie_good(const struct handshake_server *s, uint64_t now_us, const struct handshake_transcript *t)
{
	struct wire_read r = wire_reader(t->nonce_s, sizeof(t->nonce_s));
	uint64_t age_us = now_us - s->epoch_us - wire_get_u64(&r);
	const uint8_t *cookie_seal = t->nonce_s + HANDSHAKE_NONCE_S_LEN - COOKIE_SEAL_LEN;
	uint8_t mac[CRYPTO_MAC_LEN];

	seal(s, t, mac);
	return crypto_equal(cookie_seal, mac, COOKIE_SEAL_LEN) && age_us <= COOKIE_US &&
	    !cookie_used(s, cookie_seal);
}

static void
cookie_use_up(struct handshake_server *s, uint64_t now_us, const struct handshake_transcript *t)
{
	struct used *u = &s->used[(s->used_first + s->used_n++) % COOKIES_USED_MAX];

	memcpy(u->seal, t->nonce_s + HANDSHAKE_NONCE_S_LEN - COOKIE_SEAL_LEN, COOKIE_SEAL_LEN);
	u->until_us = now_us + COOKIE_US;
}

/* AES where both have it in their processors; 0 = none of them will do. */
static enum cipher_kind
choose(const struct handshake_server *s, uint8_t offer)
{
	bool slow = (offer & HANDSHAKE_SLOW_AES) != 0 || !cipher_aes_is_fast();

	if ((offer & CIPHER_AES_256_GCM) != 0 && (!slow || (offer & CIPHER_CHACHA20_POLY1305) == 0))
		return CIPHER_AES_256_GCM;
	if ((offer & CIPHER_CHACHA20_POLY1305) != 0)
		return CIPHER_CHACHA20_POLY1305;
	return (offer & CIPHER_NONE) != 0 && !s->seal ? CIPHER_NONE : 0;
}

static void
grant_it(struct handshake_server *s, const struct handshake_transcript *t,
    struct tunnel_grant *grant)
{
	grant->boot = s->boot;
	grant->cipher = choose(s, t->ciphers);
	if (grant->cipher != 0)
		grant->session = t->purpose == HANDSHAKE_REKEY ? t->session : crypto_random_u64();
}

/* A proof that was good is answered with one, also when there is nothing to be granted. */
static void
welcome(const struct handshake_transcript *t, const uint8_t *dh, const char *secret,
    const struct tunnel_grant *grant, uint8_t *out, size_t *out_len)
{
	struct wire_write w = wire_writer(out, HANDSHAKE_BODY_MAX);
	uint8_t proof_s[CRYPTO_MAC_LEN];

	handshake_proof(t, dh, secret, grant, proof_s);
	handshake_put_header(&w, KIND_WELCOME);
	handshake_put_welcome(&w, grant);
	wire_put_bytes(&w, proof_s, sizeof(proof_s));
	*out_len = w.used;
}

/*
 * A wrong secret and an unknown agent take the same way through here, so that neither the answer
 * nor its time tells them apart. What is no cookie of ours is turned away before it costs a key.
 */
static int
check_response(struct handshake_server *s, uint64_t now_us, const struct handshake_transcript *t,
    const uint8_t *proof_c, uint8_t *dh)
{
	const struct keypair *pair = keypair_of(s, t->pub_s);
	const char *secret = s->secret(s->arg, t->agent);
	uint8_t expected[CRYPTO_MAC_LEN];
	bool good;

	if (pair == NULL || !cookie_good(s, now_us, t))
		return ERR_AUTH;
	if (!crypto_x25519_shared(pair->private_s, t->pub_c, dh))
		return ERR_MALFORMED;
	handshake_proof(t, dh, secret != NULL ? secret : s->nobody, NULL, expected);
	good = crypto_equal(proof_c, expected, sizeof(expected));
	good &= secret != NULL;
	if (!good)
		return ERR_AUTH;
	if (s->used_n == COOKIES_USED_MAX)
		return ERR_FULL;
	cookie_use_up(s, now_us, t);
	return 0;
}

static int
respond(struct handshake_server *s, uint64_t now_us, struct wire_read *r,
    struct handshake_transcript *t, struct tunnel_grant *grant, uint8_t *out, size_t *out_len)
{
	uint8_t proof_c[CRYPTO_MAC_LEN], dh[CRYPTO_X25519_LEN];
	const char *secret;
	int err;

	handshake_get_challenge(r, t);
	handshake_get_copy(r, proof_c, sizeof(proof_c));
	if (r->bad || r->left != 0)
		return ERR_MALFORMED;
	memcpy(grant->agent, t->agent, sizeof(grant->agent));
	err = check_response(s, now_us, t, proof_c, dh);
	if (err == 0) {
		secret = s->secret(s->arg, t->agent);
		grant_it(s, t, grant);
		handshake_fill_grant(t, dh, secret, grant);
		welcome(t, dh, secret, grant, out, out_len);
	}
	crypto_wipe(dh, sizeof(dh));
	return err;
}

int
handshake_server_input(struct handshake_server *s, uint64_t now_us, const uint8_t *in, size_t n,
    uint8_t *out, size_t *out_len, enum handshake_step *step, struct tunnel_grant *grant)
{
	struct wire_read r = wire_reader(in, n);
	struct handshake_transcript t = { 0 };
	enum handshake_kind kind;
	uint8_t version;
	int err;

	if (!s->running) {
		s->epoch_us = now_us;
		s->running = true;
	}
	memset(grant, 0, sizeof(*grant));
	forget_old_cookies(s, now_us);
	err = handshake_get_header(&r, &kind, &version);
	if (err == ERR_UNSUPPORTED)
		out[0] = version;
	if (err < 0)
		return err;
	handshake_get_hello(&r, &t);
	if (r.bad)
		return ERR_MALFORMED;
	if (kind == KIND_HELLO && r.left == 0) {
		challenge(s, now_us, &t, out, out_len);
		*step = HANDSHAKE_CHALLENGED;
		return 0;
	}
	if (kind != KIND_RESPONSE)
		return ERR_MALFORMED;
	handshake_server_tidy(s, now_us);
	err = respond(s, now_us, &r, &t, grant, out, out_len);
	if (err == 0)
		*step = grant->session != 0 ? HANDSHAKE_GRANTED : HANDSHAKE_UNSEALED;
	return err;
}
