/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tunnel/handshake.h"

#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "tunnel/crypto.h"

#define MAGIC 0x564f4657 /* "VOFW" */
#define NONCE_LEN 32
#define PRIVATE_LEN CRYPTO_X25519_LEN
#define PUBLIC_LEN HANDSHAKE_PUBLIC_LEN
#define TEXT_MAX 512  /* what a proof or a key is made of */
#define SLOW_AES 0x80 /* of an offer: ChaCha20 is faster here */
#define CIPHERS (CIPHER_AES_256_GCM | CIPHER_CHACHA20_POLY1305 | CIPHER_NONE | SLOW_AES)
#define LIFETIME_US (HANDSHAKE_KEYPAIR_S * CLOCK_S)
#define COOKIE_US (HANDSHAKE_COOKIE_S * CLOCK_S)
#define MAC_LEN CRYPTO_MAC_LEN

/*
 * nonce_s is the cookie itself: when it was made (8 bytes, us since HRAS started), 16 random bytes,
 * and a MAC over both, the HELLO and pub_s, under a key that only this process knows.
 */
#define COOKIE_SEAL_LEN 16
#define COOKIE_LEN HANDSHAKE_NONCE_S_LEN
#define COOKIES_USED_MAX 1024

enum kind { KIND_HELLO = 1, KIND_CHALLENGE, KIND_RESPONSE, KIND_WELCOME };

/* What both proofs speak of, whoever makes them. */
struct transcript {
	char agent[HANDSHAKE_AGENT_MAX + 1];
	uint64_t instance;
	enum handshake_purpose purpose;
	uint64_t session; /* as in HELLO */
	uint8_t ciphers;
	uint8_t pub_c[PUBLIC_LEN], nonce_c[NONCE_LEN];
	uint8_t nonce_s[COOKIE_LEN], pub_s[PUBLIC_LEN];
};

static struct crypto_text
text_of(const struct wire_write *w)
{
	return (struct crypto_text){ w->p - w->used, w->used };
}

/* -- The wire -- */

static void
put_header(struct wire_write *w, enum kind kind)
{
	wire_put_u32(w, MAGIC);
	wire_put_u8(w, HANDSHAKE_VERSION);
	wire_put_u8(w, kind);
}

/* ERR_UNSUPPORTED, with *version, for one that is not ours: what follows may be anything. */
static int
get_header(struct wire_read *r, enum kind *kind, uint8_t *version)
{
	uint32_t magic = wire_get_u32(r);

	*version = wire_get_u8(r);
	*kind = (enum kind)wire_get_u8(r);
	if (r->bad || magic != MAGIC)
		return ERR_MALFORMED;
	return *version == HANDSHAKE_VERSION ? 0 : ERR_UNSUPPORTED;
}

static void
put_hello(struct wire_write *w, const struct transcript *t)
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

static void
put_challenge(struct wire_write *w, const struct transcript *t)
{
	wire_put_bytes(w, t->nonce_s, sizeof(t->nonce_s));
	wire_put_bytes(w, t->pub_s, sizeof(t->pub_s));
}

static void
put_transcript(struct wire_write *w, const char *label, const struct transcript *t)
{
	wire_put_bytes(w, label, strlen(label) + 1);
	put_hello(w, t);
	put_challenge(w, t);
}

static void
put_welcome(struct wire_write *w, const struct tunnel_grant *grant)
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

static void
get_copy(struct wire_read *r, void *out, size_t n)
{
	const uint8_t *p = wire_get_bytes(r, n);

	if (p != NULL)
		memcpy(out, p, n);
}

static void
get_hello(struct wire_read *r, struct transcript *t)
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
	get_copy(r, t->pub_c, sizeof(t->pub_c));
	get_copy(r, t->nonce_c, sizeof(t->nonce_c));
	if (t->purpose > HANDSHAKE_REKEY || (t->ciphers & ~CIPHERS) != 0 ||
	    (t->session != 0) != (t->purpose == HANDSHAKE_REKEY))
		r->bad = true;
}

static void
get_challenge(struct wire_read *r, struct transcript *t)
{
	get_copy(r, t->nonce_s, sizeof(t->nonce_s));
	get_copy(r, t->pub_s, sizeof(t->pub_s));
}

/* -- The proofs -- */

/* A key for one use, of all that both ends know: of the secret, and of dh, which no listener knows. */
static void
derive(const struct transcript *t, const uint8_t *dh, const char *secret, struct crypto_text info,
    uint8_t out[static CRYPTO_KEY_LEN])
{
	uint8_t ikm_mem[TEXT_MAX], salt_mem[NONCE_LEN + COOKIE_LEN];
	struct wire_write ikm = wire_writer(ikm_mem, sizeof(ikm_mem));
	struct wire_write salt = wire_writer(salt_mem, sizeof(salt_mem));

	wire_put_bytes(&ikm, dh, CRYPTO_X25519_LEN);
	wire_put_bytes(&ikm, secret, strlen(secret));
	wire_put_bytes(&salt, t->nonce_c, sizeof(t->nonce_c));
	wire_put_bytes(&salt, t->nonce_s, sizeof(t->nonce_s));
	crypto_hkdf(text_of(&ikm), text_of(&salt), info, out);
	crypto_wipe(ikm_mem, sizeof(ikm_mem));
}

/* grant: of the server's proof, what it grants; NULL for the client's. */
static void
proof(const struct transcript *t, const uint8_t *dh, const char *secret,
    const struct tunnel_grant *grant, uint8_t out[static MAC_LEN])
{
	uint8_t text[TEXT_MAX], key[CRYPTO_KEY_LEN];
	struct wire_write w = wire_writer(text, sizeof(text));

	put_transcript(&w, "vofw2 proof", t);
	derive(t, dh, secret, text_of(&w), key);
	w = wire_writer(text, sizeof(text));
	put_transcript(&w, grant == NULL ? "vofw2 client" : "vofw2 server", t);
	if (grant != NULL)
		put_welcome(&w, grant);
	crypto_hmac((struct crypto_text){ key, sizeof(key) }, text_of(&w), out);
	crypto_wipe(key, sizeof(key));
}

/* Everything of the grant but session, boot and cipher follows from what both ends know. */
static void
fill_grant(const struct transcript *t, const uint8_t *dh, const char *secret,
    struct tunnel_grant *grant)
{
	uint8_t info_mem[TEXT_MAX];
	struct wire_write info = wire_writer(info_mem, sizeof(info_mem));

	memcpy(grant->agent, t->agent, sizeof(grant->agent));
	grant->instance = t->instance;
	grant->purpose = t->purpose;
	put_transcript(&info, "vofw2 key", t);
	put_welcome(&info, grant);
	derive(t, dh, secret, text_of(&info), grant->key);
}

/* -- The inside end -- */

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
		    (cipher_aes_is_fast() ? 0 : SLOW_AES);
	return 0;
}

static struct transcript
transcript_of(const struct handshake *h)
{
	struct transcript t = { .instance = h->instance,
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
	struct transcript t;

	handshake_forget(h);
	h->purpose = purpose;
	h->session = session;
	crypto_random(h->private_c, sizeof(h->private_c));
	crypto_x25519_public(h->private_c, h->pub_c);
	crypto_random(h->nonce_c, sizeof(h->nonce_c));
	memset(h->nonce_s, 0, sizeof(h->nonce_s));
	memset(h->pub_s, 0, sizeof(h->pub_s));
	t = transcript_of(h);
	put_header(&w, KIND_HELLO);
	put_hello(&w, &t);
	*out_len = w.used;
}

static int
take_header(struct handshake *h, struct wire_read *r, enum kind expected)
{
	enum kind kind;
	uint8_t version;
	int err = get_header(r, &kind, &version);

	h->peer_version = err == ERR_UNSUPPORTED ? version : 0;
	return err < 0 ? err : kind == expected ? 0 : ERR_MALFORMED;
}

int
handshake_respond(struct handshake *h, const uint8_t *in, size_t n, uint8_t *out, size_t *out_len)
{
	struct wire_read r = wire_reader(in, n);
	struct wire_write w = wire_writer(out, HANDSHAKE_BODY_MAX);
	struct transcript t = transcript_of(h);
	uint8_t proof_c[MAC_LEN];
	int err;

	err = take_header(h, &r, KIND_CHALLENGE);
	if (err < 0)
		return err;
	get_challenge(&r, &t);
	if (r.bad || r.left != 0 || !crypto_x25519_shared(h->private_c, t.pub_s, h->dh))
		return ERR_MALFORMED;
	memcpy(h->nonce_s, t.nonce_s, sizeof(h->nonce_s));
	memcpy(h->pub_s, t.pub_s, sizeof(h->pub_s));
	proof(&t, h->dh, h->secret, NULL, proof_c);
	put_header(&w, KIND_RESPONSE);
	put_hello(&w, &t);
	put_challenge(&w, &t);
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
	struct transcript t = transcript_of(h);
	struct tunnel_grant g = { 0 };
	uint8_t proof_s[MAC_LEN], expected[MAC_LEN];
	int err;

	err = take_header(h, &r, KIND_WELCOME);
	if (err < 0)
		return err;
	g.session = wire_get_u64(&r);
	g.boot = wire_get_u64(&r);
	g.cipher = (enum cipher_kind)wire_get_u8(&r);
	get_copy(&r, proof_s, sizeof(proof_s));
	if (r.bad || r.left != 0)
		return ERR_MALFORMED;
	proof(&t, h->dh, h->secret, &g, expected);
	if (!crypto_equal(proof_s, expected, sizeof(proof_s)))
		return ERR_AUTH;
	if (g.session == 0)
		return ERR_UNSUPPORTED;
	if (!offered(h, g.cipher) || (h->session != 0 && g.session != h->session))
		return ERR_MALFORMED;
	fill_grant(&t, h->dh, h->secret, &g);
	handshake_forget(h);
	*grant = g;
	crypto_wipe(&g, sizeof(g));
	return 0;
}

/* -- The outside end -- */

struct handshake_server {
	handshake_secret_cb *secret;
	void *arg;
	bool seal;
	/* The one that is given out and the one before it, of which there may still be cookies. */
	struct keypair {
		bool there;
		uint64_t since_us;
		uint8_t private_s[PRIVATE_LEN], pub_s[PUBLIC_LEN];
	} now, before;
	uint64_t boot;
	uint64_t epoch_us; /* cookies count from here, so that they do not tell the host's uptime */
	bool running;
	uint8_t cookie_key[32];
	char nobody[HANDSHAKE_KEY_LEN * 2 + 1]; /* the secret of agents that do not exist */
	/* Cookies that were used, in a ring, the oldest first; those too old to be used fall off. */
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
	if (s->now.there && memcmp(s->now.pub_s, pub_s, PUBLIC_LEN) == 0)
		return &s->now;
	if (s->before.there && memcmp(s->before.pub_s, pub_s, PUBLIC_LEN) == 0)
		return &s->before;
	return NULL;
}

/* The seal of the cookie in t->nonce_s, whose first 24 bytes are there already. */
static void
seal(const struct handshake_server *s, const struct transcript *t, uint8_t out[static MAC_LEN])
{
	uint8_t text[TEXT_MAX];
	struct wire_write w = wire_writer(text, sizeof(text));

	put_hello(&w, t);
	wire_put_bytes(&w, t->nonce_s, COOKIE_LEN - COOKIE_SEAL_LEN);
	wire_put_bytes(&w, t->pub_s, sizeof(t->pub_s));
	crypto_hmac((struct crypto_text){ s->cookie_key, sizeof(s->cookie_key) }, text_of(&w), out);
}

static void
challenge(struct handshake_server *s, uint64_t now_us, struct transcript *t, uint8_t *out,
    size_t *out_len)
{
	struct wire_write cookie = wire_writer(t->nonce_s, sizeof(t->nonce_s));
	struct wire_write w = wire_writer(out, HANDSHAKE_BODY_MAX);
	uint8_t salt[COOKIE_LEN - COOKIE_SEAL_LEN - 8], mac[MAC_LEN];

	memcpy(t->pub_s, public_now(s, now_us), sizeof(t->pub_s));
	crypto_random(salt, sizeof(salt));
	wire_put_u64(&cookie, now_us - s->epoch_us);
	wire_put_bytes(&cookie, salt, sizeof(salt));
	seal(s, t, mac);
	wire_put_bytes(&cookie, mac, COOKIE_SEAL_LEN);
	put_header(&w, KIND_CHALLENGE);
	put_challenge(&w, t);
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
cookie_good(const struct handshake_server *s, uint64_t now_us, const struct transcript *t)
{
	struct wire_read r = wire_reader(t->nonce_s, sizeof(t->nonce_s));
	uint64_t age_us = now_us - s->epoch_us - wire_get_u64(&r);
	const uint8_t *cookie_seal = t->nonce_s + COOKIE_LEN - COOKIE_SEAL_LEN;
	uint8_t mac[MAC_LEN];

	seal(s, t, mac);
	return crypto_equal(cookie_seal, mac, COOKIE_SEAL_LEN) && age_us <= COOKIE_US &&
	    !cookie_used(s, cookie_seal);
}

static void
cookie_use_up(struct handshake_server *s, uint64_t now_us, const struct transcript *t)
{
	struct used *u = &s->used[(s->used_first + s->used_n++) % COOKIES_USED_MAX];

	memcpy(u->seal, t->nonce_s + COOKIE_LEN - COOKIE_SEAL_LEN, COOKIE_SEAL_LEN);
	u->until_us = now_us + COOKIE_US;
}

/* AES where both have it in their processors; 0 = none of them will do. */
static enum cipher_kind
choose(const struct handshake_server *s, uint8_t offer)
{
	bool slow = (offer & SLOW_AES) != 0 || !cipher_aes_is_fast();

	if ((offer & CIPHER_AES_256_GCM) != 0 && (!slow || (offer & CIPHER_CHACHA20_POLY1305) == 0))
		return CIPHER_AES_256_GCM;
	if ((offer & CIPHER_CHACHA20_POLY1305) != 0)
		return CIPHER_CHACHA20_POLY1305;
	return (offer & CIPHER_NONE) != 0 && !s->seal ? CIPHER_NONE : 0;
}

static void
grant_it(struct handshake_server *s, const struct transcript *t, struct tunnel_grant *grant)
{
	grant->boot = s->boot;
	grant->cipher = choose(s, t->ciphers);
	if (grant->cipher != 0)
		grant->session = t->purpose == HANDSHAKE_REKEY ? t->session : crypto_random_u64();
}

/* A proof that was good is answered with one, also when there is nothing to be granted. */
static void
welcome(const struct transcript *t, const uint8_t *dh, const char *secret,
    const struct tunnel_grant *grant, uint8_t *out, size_t *out_len)
{
	struct wire_write w = wire_writer(out, HANDSHAKE_BODY_MAX);
	uint8_t proof_s[MAC_LEN];

	proof(t, dh, secret, grant, proof_s);
	put_header(&w, KIND_WELCOME);
	put_welcome(&w, grant);
	wire_put_bytes(&w, proof_s, sizeof(proof_s));
	*out_len = w.used;
}

/*
 * A wrong secret and an unknown agent take the same way through here, so that neither the answer nor its
 * time tells them apart. What is no cookie of ours is turned away before it costs a key.
 */
static int
check_response(struct handshake_server *s, uint64_t now_us, const struct transcript *t,
    const uint8_t *proof_c, uint8_t *dh)
{
	const struct keypair *pair = keypair_of(s, t->pub_s);
	const char *secret = s->secret(s->arg, t->agent);
	uint8_t expected[MAC_LEN];
	bool good;

	if (pair == NULL || !cookie_good(s, now_us, t))
		return ERR_AUTH;
	if (!crypto_x25519_shared(pair->private_s, t->pub_c, dh))
		return ERR_MALFORMED;
	proof(t, dh, secret != NULL ? secret : s->nobody, NULL, expected);
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
respond(struct handshake_server *s, uint64_t now_us, struct wire_read *r, struct transcript *t,
    struct tunnel_grant *grant, uint8_t *out, size_t *out_len)
{
	uint8_t proof_c[MAC_LEN], dh[CRYPTO_X25519_LEN];
	const char *secret;
	int err;

	get_challenge(r, t);
	get_copy(r, proof_c, sizeof(proof_c));
	if (r->bad || r->left != 0)
		return ERR_MALFORMED;
	memcpy(grant->agent, t->agent, sizeof(grant->agent));
	err = check_response(s, now_us, t, proof_c, dh);
	if (err == 0) {
		secret = s->secret(s->arg, t->agent);
		grant_it(s, t, grant);
		fill_grant(t, dh, secret, grant);
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
	struct transcript t = { 0 };
	enum kind kind;
	uint8_t version;
	int err;

	if (!s->running) {
		s->epoch_us = now_us;
		s->running = true;
	}
	memset(grant, 0, sizeof(*grant));
	forget_old_cookies(s, now_us);
	err = get_header(&r, &kind, &version);
	if (err == ERR_UNSUPPORTED)
		out[0] = version;
	if (err < 0)
		return err;
	get_hello(&r, &t);
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
