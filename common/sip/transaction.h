/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_SIP_TRANSACTION_H
#define VOFW_SIP_TRANSACTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/metric.h"
#include "base/timers.h"
#include "sip/flow.h"
#include "sip/msg.h"

/*
 * The transaction layer (RFC 3261 §17 with RFC 6026's Accepted state): matches messages to
 * transactions by one hash of branch, sent-by and method, repeats over UDP, absorbs repetitions.
 * Pure: sends through a callback, time is given, timers live in the caller's heap. Transactions
 * are capped (SIP_TXNS_MAX, and half of it for the requests of one address); beyond it new requests
 * are answered 503 statelessly, and counted.
 *
 * Why not libosip2's machines: they keep transactions in linear lists, find their timers by
 * scanning them, and know no Accepted state.
 */
#define SIP_TXNS_MAX 65536

struct sip_layer;
struct sip_server_txn; /* IST, NIST */
struct sip_client_txn; /* ICT, NICT */

struct sip_layer_handlers {
	/* Puts a message on the wire. Failures known later: sip_layer_send_failed with the tag. */
	void (*send)(void *arg, const struct sip_flow *to, uint64_t tag, const char *data,
	    size_t n);
	/*
	 * A new request (not a repetition), `st` is its transaction, NULL for an ACK to a 2xx.
	 * req is borrowed while st lives (for ACK: until return). A CANCEL is answered 200 by the
	 * layer when it matches an INVITE and given here with its own st already completed, and
	 * `invite` naming the transaction to cancel; unmatched CANCELs are answered 481 by the layer.
	 * A CANCEL that comes after the final response ends in the layer (§9.2).
	 */
	void (*on_request)(void *arg, struct sip_server_txn *st, const struct sip_msg *req,
	    const struct sip_flow *from, struct sip_server_txn *invite);
	/* A response that matches no client transaction: a 2xx repetition after its transaction
	 * ended, or a stray. Borrowed. */
	void (*on_stray_response)(void *arg, const struct sip_msg *resp,
	    const struct sip_flow *from);
};

struct sip_layer *sip_layer_new(struct timers *timers, const struct sip_layer_handlers *h,
    void *arg);
/* Ends all transactions, with the last call to each owner. Before timers_free. */
void sip_layer_free(struct sip_layer *l);
/* Lowers the cap of live transactions below SIP_TXNS_MAX. */
void sip_layer_limit(struct sip_layer *l, size_t txns_max);

/* A parsed and checked message came. Takes over m. */
void sip_layer_receive(struct sip_layer *l, struct sip_msg *m, const struct sip_flow *from,
    uint64_t now_us);
/* What was sent will not arrive. Harmless for a tag that is not known any more or was not sent to
 * that face; may be called from within `send`. */
void sip_layer_send_failed(struct sip_layer *l, const struct sip_failure *f, uint64_t now_us);

/* -- Server side -- */

const struct sip_msg *sip_server_txn_request(const struct sip_server_txn *st);

/* The owner's data, and the call when the transaction is destroyed (terminated); after it st and
 * its request are gone. */
typedef void sip_server_txn_ended_cb(void *arg, struct sip_server_txn *st);
void sip_server_txn_own(struct sip_server_txn *st, sip_server_txn_ended_cb *cb, void *arg);

/* Sends a response in this transaction (takes over resp); the destination by RFC 3261 §18.2.2 and
 * RFC 3581 (received, rport), the same connection on TCP. 2xx to INVITE may be sent repeatedly in
 * the Accepted state. ERR_STATE when a final response was sent. */
int sip_server_txn_respond(struct sip_server_txn *st, struct sip_msg *resp, uint64_t now_us);

/* Ends it without a response, as RFC 4320 §4.2 wants of a non-INVITE that nobody answered. */
void sip_server_txn_drop(struct sip_server_txn *st, uint64_t now_us);

/* -- Client side -- */

struct sip_client_handlers {
	/* Each response that the TU shall see (repetitions absorbed, but each 2xx to INVITE given).
	 * Borrowed. The ACK for a non-2xx was sent by the layer. */
	void (*on_response)(void *arg, struct sip_client_txn *ct, const struct sip_msg *resp);
	/* No final response in time (ERR_TIMEOUT: timer B, F) or not deliverable (other errors). */
	void (*on_failed)(void *arg, struct sip_client_txn *ct, int err);
	/* Destroyed; forget ct. Always the last call. */
	void (*on_ended)(void *arg, struct sip_client_txn *ct);
};

/*
 * Starts a client transaction: pushes a Via (sent-by `via`, a fresh branch "z9hG4bK" + random,
 * rport) on top of req (taken over), and sends it to `to`. ERR_FULL.
 */
int sip_client_txn_start(struct sip_layer *l, struct sip_msg *req, const struct sip_listener *via,
    const struct sip_flow *to, const struct sip_client_handlers *h, void *arg, uint64_t now_us,
    struct sip_client_txn **out);

const struct sip_msg *sip_client_txn_request(const struct sip_client_txn *ct);
const struct sip_flow *sip_client_txn_flow(const struct sip_client_txn *ct);

/* The value of Reason (RFC 3326) that a CANCEL of it will bring. Copies; NULL = none. */
void sip_client_txn_cancel_reason(struct sip_client_txn *ct, const char *reason);

/* CANCELs an INVITE (RFC 3261 §9.1): at once after a provisional response, else when one comes. */
void sip_client_txn_cancel(struct sip_client_txn *ct, uint64_t now_us);

/* The owner wants no more callbacks; the machine runs to its end alone. */
void sip_client_txn_disown(struct sip_client_txn *ct);

/* Sends a message outside any transaction (ACK to a 2xx; stateless responses): via as above when
 * it is a request and `via` is not NULL. Takes over m. */
void sip_layer_send_stateless(struct sip_layer *l, struct sip_msg *m,
    const struct sip_listener *via, const struct sip_flow *to);
/* A stateless response to a request that came from `from` (§18.2.2); a 503 says Retry-After. */
void sip_layer_respond_stateless(struct sip_layer *l, const struct sip_msg *req,
    const struct sip_flow *from, int status, const char *reason);

struct metric_set sip_layer_metrics(const struct sip_layer *l);
size_t sip_layer_txns_n(const struct sip_layer *l);

#endif
