/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_SIP_SEAL_H
#define VOFW_SIP_SEAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sip/flow.h"

/*
 * Tokens that stand for what must not be seen on another face: "vofw-" and base64url of AES-SIV
 * (RFC 5297) over it. Whoever holds a token can send it back and do nothing else with it. The
 * same content always gives the same token, so that retransmissions and re-INVITEs are stable,
 * and a token outlives a restart as the key does: no table is kept. Every byte of a token may
 * stand in the user part of a SIP URI and in a Call-ID.
 */
struct seal;

#define SEAL_AGENT_MAX 65 /* longest agent name with its NUL */
#define SEAL_URI_MAX 1024 /* longest sealed URI with its NUL */
#define SEAL_CALL_ID_MAX 512
#define SEAL_TOKEN_MAX 1600 /* longest token with its NUL */

/* A URI of a phone, and how to reach it. `flow.face` is not sealed: numbers change, names do not. */
struct seal_uri {
	char agent[SEAL_AGENT_MAX]; /* "" = outside */
	struct sip_flow flow;       /* peer not set: ask the DNS about the URI */
	char uri[SEAL_URI_MAX];
};

struct seal *seal_new(const uint8_t key[static 32]); /* copies the key */
void seal_free(struct seal *s);

/* True when `s` looks like a token: cheap, proves nothing. NULL is fine. */
bool seal_marked(const char *s);

/* Writes the token of `u`. ERR_TOO_BIG when it does not fit into cap (SEAL_TOKEN_MAX always does). */
int seal_uri(struct seal *s, const struct seal_uri *u, char *token, size_t cap);
/* Reads a token back; `out->flow.face` is 0. ERR_AUTH when it was not made by us. */
int seal_uri_open(struct seal *s, const char *token, struct seal_uri *out);

/* The same for a Call-ID that was made inside the network of `agent`. */
int seal_call_id(struct seal *s, const char *agent, const char *call_id, char *token, size_t cap);
int seal_call_id_open(struct seal *s, const char *token, char agent[static SEAL_AGENT_MAX],
    char call_id[static SEAL_CALL_ID_MAX]);

#endif
