/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_SIP_TXN_H
#define VOFW_SIP_TXN_H

#include <uthash.h>

#include "base/clock.h"
#include "sip/transaction.h"

/*
 * What the files of the transaction layer share: transaction.c (the layer, who gets a message),
 * txn_table.c (the one table), txn_client.c and txn_server.c (the machines), txn_via.c (Via: keys,
 * destinations). Nobody else includes it.
 */
#define T1_US (500 * CLOCK_MS) /* RFC 3261 §17.1.1.1: round-trip time estimate */
#define T2_US (4 * CLOCK_S)    /* longest interval of repetition, non-INVITE and responses */
#define T4_US (5 * CLOCK_S)    /* how long a message can stay in the network */
#define TXN_64_T1_US (64 * T1_US)
#define TIMER_D_US (32 * CLOCK_S)
#define TIMER_100_US (200 * CLOCK_MS) /* §17.2.1: 100 when the TU is silent for so long */

#define TXN_TAG_LEN 16

enum txn_role { TXN_CLIENT, TXN_SERVER };

/* An address that sends requests: none may have more than its share of the table. */
struct txn_source {
	struct {
		uint32_t face;
		uint8_t host[16];
	} key;
	size_t txns_n;
	UT_hash_handle hh;
};

/* What both kinds of transactions are made of: the first member of each. */
struct txn {
	struct sip_layer *layer;
	enum txn_role role;
	bool invite;
	bool in_table;
	uint64_t id;          /* the tag of what it sends; never used again */
	char *key;            /* in the table */
	struct sip_flow flow; /* client: where to; server: where from */
	struct sip_msg *req;
	char *sent; /* what would be repeated: request or ACK; the last response */
	size_t sent_len;
	struct timer repeat;       /* A, E; G and the 100 */
	struct timer end;          /* B, D, F, K, M; H, I, J, L */
	struct timer failure;      /* runs at once when a message could not be delivered */
	int err;                   /* why */
	struct txn_source *source; /* server: who counts it */
	uint64_t interval_us;      /* of `repeat` */
	struct txn *next_ended;
	UT_hash_handle hh_key, hh_id;
};

enum client_state {
	CLIENT_CALLING,
	CLIENT_TRYING,
	CLIENT_PROCEEDING,
	CLIENT_COMPLETED,
	CLIENT_ACCEPTED,
	CLIENT_TERMINATED
};

struct sip_client_txn {
	struct txn t;
	enum client_state state;
	struct sip_client_handlers h; /* all NULL when nobody owns it */
	void *arg;
	bool cancel_wanted, cancel_sent;
	char *cancel_reason;
};

enum server_state {
	SERVER_TRYING,
	SERVER_PROCEEDING,
	SERVER_COMPLETED,
	SERVER_CONFIRMED,
	SERVER_ACCEPTED,
	SERVER_TERMINATED
};

struct sip_server_txn {
	struct txn t;
	enum server_state state;
	struct sip_flow to; /* where responses go */
	bool to_sent_by;    /* the connection was gone: tried the address in Via */
	char *to_tag;       /* of the last response; NULL before */
	sip_server_txn_ended_cb *on_ended;
	void *arg;
};

struct sip_layer_counters {
	uint64_t sip_requests_received, sip_responses_received;
	uint64_t sip_repetitions_absorbed, sip_repetitions_sent;
	uint64_t sip_stray_responses, sip_stray_cancels;
	uint64_t sip_txn_timeouts, sip_txn_undeliverable;
	uint64_t sip_txns_refused;
	uint64_t sip_client_txns, sip_server_txns; /* gauges */
};

struct sip_layer {
	struct timers *timers;
	struct sip_layer_handlers h;
	void *arg;
	char secret[33]; /* in front of every key and tag, so that none can be foreseen */
	size_t txns_max;
	uint64_t last_id;
	struct txn *by_key, *by_id;
	struct txn_source *sources;
	struct txn *ended; /* out of the table, to be destroyed by the reaper */
	struct timer reaper;
	struct sip_layer_counters n;
};

/* -- txn_table.c -- */

/* Fills a transaction's common part and puts it into the table; takes over key and req. */
void txn_add(struct sip_layer *l, struct txn *t, char *key, struct sip_msg *req);
struct txn *txn_find(struct sip_layer *l, const char *key);
struct txn *txn_find_id(struct sip_layer *l, uint64_t id);
bool txn_table_is_full(const struct sip_layer *l);
/* Whether a server transaction more of this source would be beyond either cap. */
bool txn_source_is_full(struct sip_layer *l, const struct sip_flow *from);

/* Takes it out of the table and leaves it to the reaper: whoever called us may still hold it. */
void txn_end(struct txn *t, uint64_t now_us);
void txn_reap(void *layer, uint64_t now_us);

/* Encodes m (takes it over) as what t repeats from now on. */
int txn_set_sent(struct txn *t, struct sip_msg *m);
void txn_send(struct txn *t, const struct sip_flow *to);
void txn_send_again(struct txn *t, const struct sip_flow *to);

/* -- txn_via.c -- */

/* Keys of §17.1.3 and §17.2.3, newly allocated; ACK counts as INVITE. */
char *txn_client_key(const struct sip_layer *l, const struct sip_msg *m, uint32_t face);
char *txn_server_key(const struct sip_layer *l, const struct sip_msg *m, uint32_t face,
    const char *method);

/* §18.2.1, RFC 3581 §4: writes the source into the top Via. */
void txn_via_mark(struct sip_msg *m, const struct sip_flow *from);
/* §18.2.2: where a response to `m`, which came from `from` and is marked, goes. */
struct sip_flow txn_via_destination(const struct sip_msg *m, const struct sip_flow *from);
/* ... and when its connection is gone: the address of Via's sent-by. */
struct sip_flow txn_via_sent_by(const struct sip_msg *m, const struct sip_flow *from);
/* Pushes a Via with a fresh branch and rport on top. */
void txn_via_push(struct sip_msg *m, const struct sip_listener *via);
/* A To tag that is the same for each repetition of m (§8.2.7). */
void txn_tag(const struct sip_layer *l, const struct sip_msg *m, char out[static TXN_TAG_LEN + 1]);

/* -- txn_client.c, txn_server.c -- */

void txn_client_receive(struct sip_client_txn *ct, const struct sip_msg *resp, uint64_t now_us);
void txn_client_destroy(struct sip_client_txn *ct); /* calls on_ended, frees */

/* Takes over req and key. */
struct sip_server_txn *txn_server_receive_new(struct sip_layer *l, struct sip_msg *req,
    const struct sip_flow *from, char *key, uint64_t now_us);
void txn_server_receive_again(struct sip_server_txn *st);
/* Whether the ACK was for a non-2xx response and is thus absorbed. */
bool txn_server_receive_ack(struct sip_server_txn *st, const struct sip_msg *ack, uint64_t now_us);
void txn_server_destroy(struct sip_server_txn *st);

#endif
