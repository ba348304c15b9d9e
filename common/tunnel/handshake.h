/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_TUNNEL_HANDSHAKE_H
#define VOFW_TUNNEL_HANDSHAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * How an agent and HRAS prove to each other that they know the shared secret, and agree on a
 * session (docs/PROTOCOL.md, "Opening a session"). Two bodies of POST <url>/vofw/1/open each way:
 *
 *   HELLO      agent, instance, nonce_c                          ->
 *                            <- CHALLENGE  nonce_s (a sealed cookie: HRAS keeps nothing yet)
 *   RESPONSE   agent, instance, nonce_c, nonce_s, proof_c        ->
 *                            <- WELCOME    session, boot, proof_s
 *
 * proof_x = HMAC-SHA-256(secret, label_x | all of the above); the secret never travels, a recorded
 * exchange is worth nothing (a cookie is good once and for HANDSHAKE_COOKIE_S), comparisons take
 * constant time, and an unknown agent's answer looks and takes as long as a wrong secret's.
 * Pure: bytes in, bytes out, time given. Randomness by OpenSSL.
 */
#define HANDSHAKE_BODY_MAX 512 /* no body of either side is longer */
#define HANDSHAKE_COOKIE_S 20
#define HANDSHAKE_AGENT_MAX 64
#define HANDSHAKE_KEY_LEN 32
#define HANDSHAKE_NONCE_S_LEN 40

/* What both ends hold once the session is agreed upon. */
struct tunnel_grant {
	char agent[HANDSHAKE_AGENT_MAX + 1];
	uint64_t instance; /* random at each start of HRAC: a new one means it lost its memory */
	uint64_t boot;     /* random at each start of HRAS: likewise */
	uint64_t session;  /* public name of the session, random, non-zero */
	uint8_t key[HANDSHAKE_KEY_LEN]; /* session key, HKDF of secret and both nonces */
};

/* The inside end. A value; start over with handshake_hello after any error. */
struct handshake {
	char agent[HANDSHAKE_AGENT_MAX + 1];
	char secret[256];
	uint64_t instance;
	uint8_t nonce_c[32], nonce_s[HANDSHAKE_NONCE_S_LEN];
};

/* Copies agent and secret. ERR_TOO_BIG when one is too long. */
int handshake_init(struct handshake *h, const char *agent, const char *secret, uint64_t instance);

/* Writes a HELLO with a fresh nonce into out (>= HANDSHAKE_BODY_MAX bytes). */
void handshake_hello(struct handshake *h, uint8_t *out, size_t *out_len);

/* Takes a CHALLENGE, writes the RESPONSE. ERR_MALFORMED. */
int handshake_respond(struct handshake *h, const uint8_t *in, size_t n, uint8_t *out,
    size_t *out_len);

/* Takes the WELCOME. ERR_MALFORMED; ERR_AUTH when HRAS does not know the secret. */
int handshake_finish(struct handshake *h, const uint8_t *in, size_t n, struct tunnel_grant *grant);

/* The outside end. */
struct handshake_server;

/* Gives the agent's secret, borrowed until the next turn of the loop; NULL when unknown. */
typedef const char *handshake_secret_cb(void *arg, const char *agent);

struct handshake_server *handshake_server_new(handshake_secret_cb *cb, void *arg);
void handshake_server_free(struct handshake_server *s);
uint64_t handshake_server_boot(const struct handshake_server *s);

/*
 * One body of an open request at `now_us`. 0: out (>= HANDSHAKE_BODY_MAX bytes) is the answer, and
 * *granted tells whether this was a good RESPONSE, with *grant filled. ERR_MALFORMED -> answer 400;
 * ERR_AUTH (wrong proof, unknown agent, cookie used or old) -> answer 403. On ERR_AUTH grant->agent
 * still names the claimed agent, for the log. ERR_FULL -> answer 503: more good cookies were used
 * up in the last HANDSHAKE_COOKIE_S than are remembered.
 */
int handshake_server_input(struct handshake_server *s, uint64_t now_us, const uint8_t *in, size_t n,
    uint8_t *out, size_t *out_len, bool *granted, struct tunnel_grant *grant);

#endif
