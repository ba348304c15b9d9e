/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_SIP_SERVER_H
#define VOFW_SIP_SERVER_H

#include "sip/auth.h"
#include "sip/face.h"
#include "sip/location.h"
#include "sip/seal.h"
#include "sip/sip.h"
#include "sip/transaction.h"

/*
 * What the files of the SIP server share: server.c (its life, who gets a message), route.c (where
 * a request goes), access.c (who may send it), proxy.c, branch.c, answer.c (RFC 3261 §16),
 * forward.c (what is changed on the way), registrar.c (§10), dialog.c (requests of our own). Nobody
 * else includes it.
 */
struct context;

struct server_counters {
	uint64_t sip_invites, sip_acks, sip_cancels, sip_byes, sip_registers, sip_options,
	    sip_messages, sip_other_requests;
	uint64_t sip_answers_1xx, sip_answers_2xx, sip_answers_3xx, sip_answers_4xx,
	    sip_answers_5xx, sip_answers_6xx;
	uint64_t sip_malformed, sip_unanswerable, sip_branches, sip_originated, sip_relay_refused,
	    sip_face_down, sip_loops, sip_forged_tokens, sip_swept, sip_foreign_refused,
	    sip_auth_challenges, sip_auth_failures, sip_auth_stale, sip_registrations_refused,
	    sip_strays_dropped, sip_killed;
};

struct sip_server {
	char **domains; /* lower case */
	size_t domains_n;
	enum sip_auth auth_mode;
	bool internal_direct;
	struct seal *seal;
	struct auth *auth;
	struct faces *faces;
	struct timers *timers;
	struct sip_layer *layer;
	struct sip_resolver *resolver;
	struct location *location;
	struct sip_server_handlers h;
	void *arg;
	struct timer expiry;         /* of bindings, every second */
	struct context *by_txn;      /* proxy.c: by server transaction */
	struct context *by_identity; /* ... and by what makes two requests the same */
	struct context *all;         /* a list */
	uint64_t last_branch;
	uint64_t now_us; /* of the last call from outside: for callbacks that are told no time */
	struct server_counters n;
};

/* A request that came, as the files pass it on. */
struct arrival {
	struct sip_server *s;
	struct sip_server_txn *st; /* NULL: an ACK */
	const struct sip_msg *req;
	const struct sip_flow *from;
	const struct face *face; /* of `from` */
	uint64_t now_us;
};

/* True for a SIP URI of one of our domains, or of an address of ours that a phone on `face` sees. */
bool server_is_ours(const struct sip_server *s, const struct face *face, const osip_uri_t *uri);

/* The address-of-record of such a URI, "alice@example.com". ERR_MALFORMED without a user,
 * ERR_TOO_BIG. */
int server_aor(const struct sip_server *s, const osip_uri_t *uri, char *out, size_t cap);

/* A response of our own to the request; `name`, `value`: one more header field, or NULL. */
void server_answer(const struct arrival *a, int status, const char *reason);
void server_answer_with(const struct arrival *a, int status, const char *name, const char *value);
struct sip_msg *server_response(const struct arrival *a, int status, const char *reason);
/* Sends (takes over) and counts it. */
void server_send_response(struct sip_server *s, struct sip_server_txn *st, struct sip_msg *resp,
    uint64_t now_us);

#endif
