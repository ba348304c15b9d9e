/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_SIP_SIP_H
#define VOFW_SIP_SIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/metric.h"
#include "base/timers.h"
#include "sip/flow.h"
#include "sip/msg.h"
#include "sip/resolve.h"

/*
 * The SIP server of HRAS as its wiring sees it: one transaction-stateful proxy and registrar (RFC
 * 3261 §10, §16) with an outside face and one inside face for each agent. It hides topology: what
 * leaves on any face names only the pair's address on that face (docs/ARCHITECTURE.md, "Hiding").
 * It sends through a callback and is given what comes; media is left to the relay hook.
 */
struct sip_server;
struct location;

enum sip_auth { SIP_AUTH_NONE, SIP_AUTH_OUTSIDE, SIP_AUTH_ALL };
/* Many phones give up on a challenge of SHA-256, also when one of MD5 stands beside it. */
enum sip_offer { SIP_OFFER_BOTH, SIP_OFFER_MD5, SIP_OFFER_SHA256 };

struct sip_user {
	const char *name, *password;
};

struct sip_server_cfg {             /* copied, strings too */
	const char *const *domains; /* lower case; the first replaces hidden hosts */
	size_t domains_n;
	struct sip_listener listen[SIP_LISTEN_MAX]; /* of the outside face */
	size_t listen_n;
	struct addr bound[SIP_LISTEN_MAX]; /* where listener i really is, if others are told another
					    * address (a NAT); not set = there */
	enum sip_auth auth;
	enum sip_offer digest;
	const struct sip_user *users;
	size_t users_n;
	bool internal_direct;
	uint8_t key[32]; /* seals what is hidden; the same after a restart (from the store) */
};

/* What the hook says beside a 503, to the caller's side: it names nobody and no address. */
struct sip_refusal {
	const char *warning;    /* static, without quotes (RFC 3261 §20.43); NULL = none */
	unsigned retry_after_s; /* as much again is added at random; 0 = the server's own */
};

/*
 * A message that is about to be relayed from one side of a dialog to the other. Call-ID, From and
 * To of `in` are the real ones on both ways (hidden forms are undone before).
 */
struct sip_relay {
	const struct sip_msg *in; /* as it came */
	struct sip_msg *out;      /* as it will leave; the hook may rewrite the SDP in it */
	const struct sip_msg
	    *request;             /* the request it belongs to, as it came (== in for requests) */
	struct sip_flow from, to; /* where it came from, where it goes to */
	struct sip_flow caller;   /* request: == from; response: where the request came from */
	bool upstream;            /* response, or request? true = response */
	uint64_t branch;          /* which branch of a forked request, unique; 0 for ACK */
	bool direct; /* both ends in one inside network, and it shall stay out of the pair */
	const char *wire_call_id; /* the Call-ID as the sender of `in` knows it; borrowed */
	bool natted;              /* the sender's Contact may not be reachable: answer to `from` */
	struct sip_refusal refusal; /* written by the hook */
};

struct sip_server_handlers {
	/* Puts a message on a face's wire; failures known later: sip_server_send_failed. */
	void (*send)(void *arg, const struct sip_flow *to, uint64_t tag, const char *data,
	    size_t n);
	/*
	 * Every request that is relayed and its responses (all but 100), before each
	 * leaves. 0, or the status to answer the request with instead (a response is then replaced
	 * by it; what a 2xx began is ended by ACK and BYE): 488, 503. Refused, no other next hop of
	 * the branch is tried, and r->refusal goes into the answer. The same branch may come again
	 * when a next hop did not answer and another one is tried (RFC 3263 §4.3).
	 */
	int (*on_relay)(void *arg, struct sip_relay *r);
	/* The final non-2xx response to an INVITE was sent upstream, or it was never relayed; the
	 * request as it came. No more comes of it. */
	void (*on_invite_failed)(void *arg, const struct sip_msg *request, int status);
	/* A branch of a forked INVITE ended without success. */
	void (*on_branch_failed)(void *arg, const struct sip_msg *request, uint64_t branch);
};

struct sip_server *sip_server_new(const struct sip_server_cfg *cfg, struct timers *timers,
    struct sip_resolver *resolver, struct location *location, const struct sip_server_handlers *h,
    void *arg);
void sip_server_free(struct sip_server *s);
/* SIGHUP: users, domains, auth and internal_direct change at once; listeners do not. */
void sip_server_reload(struct sip_server *s, const struct sip_server_cfg *cfg);

/* An inside face is there (again) with these listeners (at least one); name = the agent. */
void sip_server_face_up(struct sip_server *s, uint32_t face, const char *name,
    const struct sip_listener *listen, size_t n);
/* Its tunnel is down: requests to it are answered 480 at once. */
void sip_server_face_down(struct sip_server *s, uint32_t face);

/* Bytes of one message came on `from` (borrowed). */
void sip_server_receive(struct sip_server *s, const struct sip_flow *from, const char *data,
    size_t n, uint64_t now_us);
/* A failure that the face it is of did not cause is ignored: an agent speaks for its own LAN only. */
void sip_server_send_failed(struct sip_server *s, const struct sip_failure *f, uint64_t now_us);

/* -- Requests of our own in a dialog of others (BYE both ways) -- */

struct sip_dialog_side {      /* how to reach one end; strings owned by the holder */
	struct sip_flow flow; /* how to reach its contact, or the first of its route set */
	char *contact;        /* its remote target, real form */
	char **route;         /* its route set, real form, the pair's own entries left out */
	size_t route_n;
	char *call_id; /* the Call-ID as this end knows it */
};

struct sip_originate {
	enum sip_method method; /* BYE */
	const struct sip_dialog_side *to;
	const char *call_id;          /* real form; used when to->call_id is NULL */
	const char *from, *to_header; /* whole From and To values, tags included, real form */
	uint32_t cseq;
	const char *reason; /* value of Reason (RFC 3326), NULL = none */
};
/* Sends it; nobody waits for the answer. Copies everything. */
int sip_server_originate(struct sip_server *s, const struct sip_originate *o, uint64_t now_us);
/* The same, as the bytes that would be sent (newly allocated): the last will for HRAC. */
int sip_server_render(struct sip_server *s, const struct sip_originate *o, char **out, size_t *n,
    struct sip_flow *to);

/* Takes out of a relayed message what sip_originate needs: the sender's Contact and route set.
 * ERR_NOT_FOUND when it has no Contact. `side` is filled (old content freed). */
int sip_dialog_side_learn(struct sip_dialog_side *side, const struct sip_relay *r);
void sip_dialog_side_clear(struct sip_dialog_side *side);

size_t sip_server_metrics(const struct sip_server *s, struct metric_set *out, size_t cap);

#endif
