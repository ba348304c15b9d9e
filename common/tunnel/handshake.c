/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tunnel/handshake.h"

#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "tunnel/crypto.h"

#define MAGIC 0x564f4657 /* "VOFW" */
#define VERSION 1
#define NONCE_LEN 32
#define MAC_LEN CRYPTO_MAC_LEN

/*
 * nonce_s is the cookie itself: when it was made (8 bytes, us since HRAS started), 16 random bytes,
 * and a MAC over both and the HELLO, under a key that only this process knows.
 */
#define COOKIE_SEAL_LEN 16
#define COOKIE_LEN HANDSHAKE_NONCE_S_LEN
#define COOKIES_USED_MAX 1024

enum kind { KIND_HELLO = 1, KIND_CHALLENGE, KIND_RESPONSE, KIND_WELCOME };

/* What both proofs speak of, whoever makes them. */
struct transcript {
	char agent[HANDSHAKE_AGENT_MAX + 1];
	uint64_t instance;
	uint8_t nonce_c[NONCE_LEN];
	uint8_t nonce_s[COOKIE_LEN];
};

static struct crypto_text
text_of(const struct wire_write *w)
{
	return (struct crypto_text){ w->p - w->used, w->used };
}

static struct crypto_text
text_of_string(const char *s)
{
	return (struct crypto_text){ s, strlen(s) };
}

/* -- The wire -- */

static void
put_header(struct wire_write *w, enum kind kind)
{
	wire_put_u32(w, MAGIC);
	wire_put_u8(w, VERSION);
	wire_put_u8(w, kind);
}

static void
get_header(struct wire_read *r, enum kind *kind)
{
	if (wire_get_u32(r) != MAGIC || wire_get_u8(r) != VERSION)
		r->bad = true;
	*kind = (enum kind)wire_get_u8(r);
}

static void
put_hello(struct wire_write *w, const struct transcript *t)
{
	size_t agent_len = strlen(t->agent);

	wire_put_u8(w, (uint8_t)agent_len);
	wire_put_bytes(w, t->agent, agent_len);
	wire_put_u64(w, t->instance);
	wire_put_bytes(w, t->nonce_c, sizeof(t->nonce_c));
}

static void
put_transcript(struct wire_write *w, const char *label, const struct transcript *t)
{
	wire_put_bytes(w, label, strlen(label) + 1);
	put_hello(w, t);
	wire_put_bytes(w, t->nonce_s, sizeof(t->nonce_s));
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
	get_copy(r, t->nonce_c, sizeof(t->nonce_c));
}

/* -- The proofs -- */

static void
proof_of_client(const char *secret, const struct transcript *t, uint8_t out[static MAC_LEN])
{
	uint8_t text[256];
	struct wire_write w = wire_writer(text, sizeof(text));

	put_transcript(&w, "vofw1 client", t);
	crypto_hmac(text_of_string(secret), text_of(&w), out);
}

static void
proof_of_server(const char *secret, const struct transcript *t, const struct tunnel_grant *grant,
    uint8_t out[static MAC_LEN])
{
	uint8_t text[256];
	struct wire_write w = wire_writer(text, sizeof(text));

	put_transcript(&w, "vofw1 server", t);
	wire_put_u64(&w, grant->session);
	wire_put_u64(&w, grant->boot);
	crypto_hmac(text_of_string(secret), text_of(&w), out);
}

/* Everything of the grant but session and boot follows from what both ends know. */
static void
fill_grant(const char *secret, const struct transcript *t, struct tunnel_grant *grant)
{
	uint8_t salt_mem[NONCE_LEN + COOKIE_LEN], info_mem[256];
	struct wire_write salt = wire_writer(salt_mem, sizeof(salt_mem));
	struct wire_write info = wire_writer(info_mem, sizeof(info_mem));

	memcpy(grant->agent, t->agent, sizeof(grant->agent));
	grant->instance = t->instance;
	wire_put_bytes(&salt, t->nonce_c, sizeof(t->nonce_c));
	wire_put_bytes(&salt, t->nonce_s, sizeof(t->nonce_s));
	put_transcript(&info, "vofw1 key", t);
	wire_put_u64(&info, grant->session);
	wire_put_u64(&info, grant->boot);
	crypto_hkdf(text_of_string(secret), text_of(&salt), text_of(&info), grant->key);
}

/* -- The inside end -- */

int
handshake_init(struct handshake *h, const char *agent, const char *secret, uint64_t instance)
{
	size_t agent_len = strlen(agent), secret_len = strlen(secret);

	if (agent_len > HANDSHAKE_AGENT_MAX || secret_len >= sizeof(h->secret))
		return ERR_TOO_BIG;
	memset(h, 0, sizeof(*h));
	memcpy(h->agent, agent, agent_len);
	memcpy(h->secret, secret, secret_len);
	h->instance = instance;
	return 0;
}

static struct transcript
transcript_of(const struct handshake *h)
{
	struct transcript t = { .instance = h->instance };

	memcpy(t.agent, h->agent, sizeof(t.agent));
	memcpy(t.nonce_c, h->nonce_c, sizeof(t.nonce_c));
	memcpy(t.nonce_s, h->nonce_s, sizeof(t.nonce_s));
	return t;
}

void
handshake_hello(struct handshake *h, uint8_t *out, size_t *out_len)
{
	struct wire_write w = wire_writer(out, HANDSHAKE_BODY_MAX);
	struct transcript t;

	crypto_random(h->nonce_c, sizeof(h->nonce_c));
	memset(h->nonce_s, 0, sizeof(h->nonce_s));
	t = transcript_of(h);
	put_header(&w, KIND_HELLO);
	put_hello(&w, &t);
	*out_len = w.used;
}

int
handshake_respond(struct handshake *h, const uint8_t *in, size_t n, uint8_t *out, size_t *out_len)
{
	struct wire_read r = wire_reader(in, n);
	struct wire_write w = wire_writer(out, HANDSHAKE_BODY_MAX);
	uint8_t nonce_s[COOKIE_LEN], proof[MAC_LEN];
	struct transcript t;
	enum kind kind;

	get_header(&r, &kind);
	get_copy(&r, nonce_s, sizeof(nonce_s));
	if (r.bad || r.left != 0 || kind != KIND_CHALLENGE)
		return ERR_MALFORMED;
	memcpy(h->nonce_s, nonce_s, sizeof(nonce_s));
	t = transcript_of(h);
	proof_of_client(h->secret, &t, proof);
	put_header(&w, KIND_RESPONSE);
	put_hello(&w, &t);
	wire_put_bytes(&w, t.nonce_s, sizeof(t.nonce_s));
	wire_put_bytes(&w, proof, sizeof(proof));
	*out_len = w.used;
	return 0;
}

int
handshake_finish(struct handshake *h, const uint8_t *in, size_t n, struct tunnel_grant *grant)
{
	struct wire_read r = wire_reader(in, n);
	struct transcript t = transcript_of(h);
	struct tunnel_grant g = { 0 };
	uint8_t proof[MAC_LEN], expected[MAC_LEN];
	enum kind kind;

	get_header(&r, &kind);
	g.session = wire_get_u64(&r);
	g.boot = wire_get_u64(&r);
	get_copy(&r, proof, sizeof(proof));
	if (r.bad || r.left != 0 || kind != KIND_WELCOME || g.session == 0)
		return ERR_MALFORMED;
	proof_of_server(h->secret, &t, &g, expected);
	if (!crypto_equal(proof, expected, sizeof(proof)))
		return ERR_AUTH;
	fill_grant(h->secret, &t, &g);
	*grant = g;
	return 0;
}

/* -- The outside end -- */

struct handshake_server {
	handshake_secret_cb *secret;
	void *arg;
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
handshake_server_new(handshake_secret_cb *cb, void *arg)
{
	struct handshake_server *s = mem_zalloc(sizeof(*s));
	uint8_t raw[HANDSHAKE_KEY_LEN];

	s->secret = cb;
	s->arg = arg;
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

/* The seal of the cookie in t->nonce_s, whose first 20 bytes are there already. */
static void
seal(const struct handshake_server *s, const struct transcript *t, uint8_t out[static MAC_LEN])
{
	uint8_t text[256];
	struct wire_write w = wire_writer(text, sizeof(text));

	put_hello(&w, t);
	wire_put_bytes(&w, t->nonce_s, COOKIE_LEN - COOKIE_SEAL_LEN);
	crypto_hmac((struct crypto_text){ s->cookie_key, sizeof(s->cookie_key) }, text_of(&w), out);
}

static void
challenge(const struct handshake_server *s, uint64_t now_us, struct transcript *t, uint8_t *out,
    size_t *out_len)
{
	struct wire_write cookie = wire_writer(t->nonce_s, sizeof(t->nonce_s));
	struct wire_write w = wire_writer(out, HANDSHAKE_BODY_MAX);
	uint8_t salt[COOKIE_LEN - COOKIE_SEAL_LEN - 8], mac[MAC_LEN];

	crypto_random(salt, sizeof(salt));
	wire_put_u64(&cookie, now_us - s->epoch_us);
	wire_put_bytes(&cookie, salt, sizeof(salt));
	seal(s, t, mac);
	wire_put_bytes(&cookie, mac, COOKIE_SEAL_LEN);
	put_header(&w, KIND_CHALLENGE);
	wire_put_bytes(&w, t->nonce_s, sizeof(t->nonce_s));
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
	return crypto_equal(cookie_seal, mac, COOKIE_SEAL_LEN) &&
	    age_us <= HANDSHAKE_COOKIE_S * CLOCK_S && !cookie_used(s, cookie_seal);
}

static void
cookie_use_up(struct handshake_server *s, uint64_t now_us, const struct transcript *t)
{
	struct used *u = &s->used[(s->used_first + s->used_n++) % COOKIES_USED_MAX];

	memcpy(u->seal, t->nonce_s + COOKIE_LEN - COOKIE_SEAL_LEN, COOKIE_SEAL_LEN);
	u->until_us = now_us + HANDSHAKE_COOKIE_S * CLOCK_S;
}

static void
welcome(const char *secret, const struct transcript *t, const struct tunnel_grant *grant,
    uint8_t *out, size_t *out_len)
{
	struct wire_write w = wire_writer(out, HANDSHAKE_BODY_MAX);
	uint8_t proof[MAC_LEN];

	proof_of_server(secret, t, grant, proof);
	put_header(&w, KIND_WELCOME);
	wire_put_u64(&w, grant->session);
	wire_put_u64(&w, grant->boot);
	wire_put_bytes(&w, proof, sizeof(proof));
	*out_len = w.used;
}

/*
 * A wrong secret, an unknown agent and a bad cookie all take the same way through here, so that
 * neither the answer nor its time tells them apart.
 */
static int
check_response(struct handshake_server *s, uint64_t now_us, const struct transcript *t,
    const uint8_t *proof, struct tunnel_grant *grant)
{
	const char *secret = s->secret(s->arg, t->agent);
	const char *used = secret != NULL ? secret : s->nobody;
	uint8_t expected[MAC_LEN];
	bool good;

	proof_of_client(used, t, expected);
	good = crypto_equal(proof, expected, sizeof(expected));
	good &= secret != NULL;
	good &= cookie_good(s, now_us, t);
	if (!good)
		return ERR_AUTH;
	if (s->used_n == COOKIES_USED_MAX)
		return ERR_FULL;
	cookie_use_up(s, now_us, t);
	grant->session = crypto_random_u64();
	grant->boot = s->boot;
	fill_grant(secret, t, grant);
	return 0;
}

static int
respond(struct handshake_server *s, uint64_t now_us, struct wire_read *r, struct transcript *t,
    struct tunnel_grant *grant)
{
	uint8_t proof[MAC_LEN];

	get_copy(r, t->nonce_s, sizeof(t->nonce_s));
	get_copy(r, proof, sizeof(proof));
	if (r->bad || r->left != 0)
		return ERR_MALFORMED;
	memcpy(grant->agent, t->agent, sizeof(grant->agent));
	return check_response(s, now_us, t, proof, grant);
}

int
handshake_server_input(struct handshake_server *s, uint64_t now_us, const uint8_t *in, size_t n,
    uint8_t *out, size_t *out_len, bool *granted, struct tunnel_grant *grant)
{
	struct wire_read r = wire_reader(in, n);
	struct transcript t = { 0 };
	enum kind kind;
	int err;

	if (!s->running) {
		s->epoch_us = now_us;
		s->running = true;
	}
	*granted = false;
	memset(grant, 0, sizeof(*grant));
	forget_old_cookies(s, now_us);
	get_header(&r, &kind);
	get_hello(&r, &t);
	if (r.bad)
		return ERR_MALFORMED;
	if (kind == KIND_HELLO && r.left == 0) {
		challenge(s, now_us, &t, out, out_len);
		return 0;
	}
	if (kind != KIND_RESPONSE)
		return ERR_MALFORMED;
	err = respond(s, now_us, &r, &t, grant);
	if (err < 0)
		return err;
	welcome(s->secret(s->arg, t.agent), &t, grant, out, out_len);
	*granted = true;
	return 0;
}
