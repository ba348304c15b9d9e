/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_TUNNEL_HANDSHAKE_H
#define VOFW_TUNNEL_HANDSHAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tunnel/cipher.h"

/*
 * How an agent and HRAS prove to each other that they know the shared secret, and agree on a
 * session (docs/PROTOCOL.md, "Opening a session"). Two bodies of POST <url>/vofw/1/open each way:
 *
 *   HELLO      agent, instance, purpose, session, ciphers, pub_c, nonce_c    ->
 *                   <- CHALLENGE  nonce_s (a sealed cookie: HRAS keeps nothing yet), pub_s
 *   RESPONSE   HELLO's fields, nonce_s, pub_s, proof_c                       ->
 *                   <- WELCOME    session, boot, cipher, proof_s
 *
 * pub_c and pub_s are X25519 keys that live for one opening and for about a minute; the proofs and the
 * session's key are made of what both ends compute of them (dh), the secret, and all of the above. So
 * the secret never travels, who only listens can neither try secrets at home nor read later what he
 * recorded, whoever comes to know the secret (forward secrecy); a recorded exchange is worth nothing (a
 * cookie is good once and for HANDSHAKE_COOKIE_S), and nobody in between can make the two agree on a
 * weaker cipher. Comparisons take constant time, and an unknown agent's answer looks and takes as long
 * as a wrong secret's. Pure: bytes in, bytes out, time given. Randomness by OpenSSL.
 */
#define HANDSHAKE_BODY_MAX 512 /* no body of either side is longer */
#define HANDSHAKE_COOKIE_S 20
#define HANDSHAKE_KEYPAIR_S 60 /* so long HRAS gives out the same public key */
#define HANDSHAKE_AGENT_MAX 64
#define HANDSHAKE_KEY_LEN 32
#define HANDSHAKE_NONCE_S_LEN 40
#define HANDSHAKE_PUBLIC_LEN 32
#define HANDSHAKE_VERSION 2

enum handshake_purpose {
	HANDSHAKE_SESSION, /* a new session of the agent, which replaces the one it had */
	HANDSHAKE_VISIT, /* a key and a name for probes alone; the agent's session is not touched */
	HANDSHAKE_REKEY, /* a new key for the session that is named */
};

/* What both ends hold once the session is agreed upon. */
struct tunnel_grant {
	char agent[HANDSHAKE_AGENT_MAX + 1];
	enum handshake_purpose purpose;
	uint64_t instance; /* random at each start of HRAC: a new one means it lost its memory */
	uint64_t boot;     /* random at each start of HRAS: likewise */
	uint64_t session;  /* public name of the session, random, non-zero */
	enum cipher_kind cipher; /* by which what the key is for is sealed */
	/*
	 * HKDF of dh, secret, and all that was said above. Of HANDSHAKE_REKEY: what the two then seal by
	 * is made of it and of the key that they had (tunnel_rekey), and tunnel_grant has that.
	 */
	uint8_t key[HANDSHAKE_KEY_LEN];
};

/* The inside end. A value; start over with handshake_hello after any error. */
struct handshake {
	char agent[HANDSHAKE_AGENT_MAX + 1];
	char secret[256];
	uint64_t instance;
	uint8_t ciphers; /* offered */
	enum handshake_purpose purpose;
	uint64_t session; /* that is to get a new key; 0 = none */
	uint8_t private_c[32], pub_c[HANDSHAKE_PUBLIC_LEN], nonce_c[32];
	uint8_t nonce_s[HANDSHAKE_NONCE_S_LEN], pub_s[HANDSHAKE_PUBLIC_LEN];
	uint8_t dh[32];
	uint8_t peer_version; /* of what came last, when it was another than ours; else 0 */
};

/*
 * Copies agent and secret. `seal`: offers the ciphers, the one first that is fast here; else offers
 * to leave all unsealed, and nothing else. ERR_TOO_BIG when a text is too long.
 */
int handshake_init(struct handshake *h, const char *agent, const char *secret, uint64_t instance,
    bool seal);

/*
 * Writes a HELLO with a fresh nonce and key into out (>= HANDSHAKE_BODY_MAX bytes). `session`: the
 * one that gets a new key, of HANDSHAKE_REKEY; else 0.
 */
void handshake_hello(struct handshake *h, enum handshake_purpose purpose, uint64_t session,
    uint8_t *out, size_t *out_len);

/*
 * Takes a CHALLENGE, writes the RESPONSE. ERR_MALFORMED; ERR_UNSUPPORTED when HRAS speaks another
 * version of the protocol, h->peer_version.
 */
int handshake_respond(struct handshake *h, const uint8_t *in, size_t n, uint8_t *out,
    size_t *out_len);

/*
 * Takes the WELCOME; wipes what was secret of this opening. ERR_MALFORMED; ERR_AUTH when HRAS does
 * not know the secret; ERR_UNSUPPORTED when HRAS, proved, takes none of the ciphers offered.
 */
int handshake_finish(struct handshake *h, const uint8_t *in, size_t n, struct tunnel_grant *grant);

/* Wipes what was secret of the opening at hand, as after an error. */
void handshake_forget(struct handshake *h);

/* The outside end. */
struct handshake_server;

/* Gives the agent's secret, borrowed until the next turn of the loop; NULL when unknown. */
typedef const char *handshake_secret_cb(void *arg, const char *agent);

/* `seal`: an agent that offers to leave all unsealed is turned away. */
struct handshake_server *handshake_server_new(handshake_secret_cb *cb, void *arg, bool seal);
void handshake_server_free(struct handshake_server *s);
uint64_t handshake_server_boot(const struct handshake_server *s);

/* Draws no new keys, but wipes those whose time is over; about once a second. */
void handshake_server_tidy(struct handshake_server *s, uint64_t now_us);

enum handshake_step {
	HANDSHAKE_CHALLENGED,
	HANDSHAKE_GRANTED,  /* *grant is filled */
	HANDSHAKE_UNSEALED, /* a proved agent that offers no cipher that we take; *grant tells who */
};

/*
 * One body of an open request at `now_us`. 0: out (>= HANDSHAKE_BODY_MAX bytes) is the answer, and
 * *step tells what it was. ERR_MALFORMED -> answer 400; ERR_UNSUPPORTED -> likewise: another
 * version of the protocol, *out its number; ERR_AUTH (wrong proof, unknown agent, cookie used or
 * old) -> answer 403. On ERR_AUTH grant->agent still names the claimed agent, for the log. ERR_FULL
 * -> answer 503: more good cookies were used up in the last HANDSHAKE_COOKIE_S than are remembered.
 * That the session of a HANDSHAKE_REKEY exists and is the agent's is for the caller to see.
 */
int handshake_server_input(struct handshake_server *s, uint64_t now_us, const uint8_t *in, size_t n,
    uint8_t *out, size_t *out_len, enum handshake_step *step, struct tunnel_grant *grant);

#endif
