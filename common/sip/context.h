/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_SIP_CONTEXT_H
#define VOFW_SIP_CONTEXT_H

#include <uthash.h>

#include "sip/forward.h"
#include "sip/route.h"

/*
 * The response context of RFC 3261 §16.6: one request under way and its branches. It lives as long
 * as the server transaction or a client transaction of it does. proxy.c makes and ends it, branch.c
 * sends, answer.c relays and chooses responses.
 */
#define BRANCHES_MAX LOCATION_CONTACTS_MAX

struct target {
	char *uri;            /* the Request-URI to send; NULL = that of the request */
	struct sip_flow flow; /* not used with by_dns */
	bool by_dns;          /* of route.next */
	bool down;            /* its agent is not there */
	bool registered;      /* a binding */
};

struct branch {
	struct context *ctx;
	uint64_t id; /* as in struct sip_relay */
	struct target target;
	struct sip_flow hop[SIP_TARGETS_MAX]; /* tried one after the other, RFC 3263 §4.3 */
	size_t hop_n, hop_at;
	bool resolving;
	struct sip_query *query;
	struct sip_client_txn *ct;
	struct timer timer_c; /* and, once its transaction has failed, what deals with that */
	int err;              /* of the failure */
	bool direct, record_routed;
	bool disguised; /* what was sent has other From, To or Call-ID than the real ones */
	bool relayed;   /* the hook was asked */
	bool killed;    /* its 2xx was refused: ACK and BYE were sent */
	bool refused;   /* by the hook, which said ... */
	struct sip_refusal refusal;
	bool done;
	int status;            /* when done */
	struct sip_msg *final; /* the response with it; NULL: our own */
};

struct context {
	struct sip_server *s;
	struct sip_server_txn *st; /* NULL: an ACK, or the transaction is over */
	const struct sip_msg *req; /* as it came; of st, or `ack` */
	struct sip_msg *ack;
	struct sip_msg
	    *real; /* req with its real Call-ID; NULL when that is the one it came with */
	struct route route;
	struct sip_flow from;
	bool natted;
	bool starting; /* branches are being started: no choice yet */
	bool answered; /* a final response was sent upstream */
	bool success;  /* ... and it was a 2xx */
	bool cancelled;
	enum sip_method method;
	struct branch *branch;
	size_t branch_n;
	char *identity; /* Call-ID, From tag, CSeq, Request-URI (RFC 3261 §8.2.2.2) */
	struct context *prev, *next;
	UT_hash_handle hh_txn, hh_identity;
};

/* -- proxy.c -- */

/* Frees it when nothing can come any more. */
void context_release(struct context *ctx);
const struct sip_msg *context_real(const struct context *ctx);
bool context_is_invite(const struct context *ctx);
/* True when there is a relay hook to ask. */
bool context_is_hooked(const struct context *ctx);

/* -- branch.c -- */

/* Ends are told to answer.c, also from within. */
void branch_start(struct branch *b, uint64_t now_us);
/* §16.10, and when another branch has won. reason: of RFC 3326, NULL = none. */
void branch_cancel(struct branch *b, const char *reason, uint64_t now_us);
void branch_clear(struct branch *b); /* frees what it owns */

/* The crossing of a branch's request, or of its responses; false when a face is gone. */
bool branch_crossing(const struct branch *b, bool upstream, struct forward *f);

/* -- answer.c -- */

/* A response came on a branch; `now_us` of the server. */
void answer_response(struct branch *b, const struct sip_msg *resp);
/* The branch has ended with `status`, which is our own. */
void answer_local(struct branch *b, int status, uint64_t now_us);
/* §16.7 step 6, once all branches are done. */
void answer_choose(struct context *ctx, uint64_t now_us);

#endif
