/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sip/transaction.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "sip/txn.h"

#define RETRY_AFTER_S "5" /* seconds in a stateless 503 */

struct sip_layer *
sip_layer_new(struct timers *timers, const struct sip_layer_handlers *h, void *arg)
{
	struct sip_layer *l = mem_zalloc(sizeof(*l));

	l->timers = timers;
	l->h = *h;
	l->arg = arg;
	l->txns_max = SIP_TXNS_MAX;
	sip_random_hex(l->secret, sizeof(l->secret) / 2);
	timer_init(&l->reaper, txn_reap, l);
	return l;
}

void
sip_layer_free(struct sip_layer *l)
{
	if (l == NULL)
		return;
	while (l->by_id != NULL || l->ended != NULL) {
		while (l->by_id != NULL)
			txn_end(l->by_id, 0);
		txn_reap(l, 0);
	}
	timer_clear(l->timers, &l->reaper);
	mem_free(l);
}

void
sip_layer_limit(struct sip_layer *l, size_t txns_max)
{
	l->txns_max = txns_max < SIP_TXNS_MAX ? txns_max : SIP_TXNS_MAX;
}

/* -- Who gets a message -- */

static struct txn *
find_server(struct sip_layer *l, const struct sip_msg *m, uint32_t face, const char *method)
{
	char *key = txn_server_key(l, m, face, method);
	struct txn *t = txn_find(l, key);

	mem_free(key);
	return t;
}

/* §17.1.3 */
static void
receive_response(struct sip_layer *l, struct sip_msg *m, const struct sip_flow *from,
    uint64_t now_us)
{
	char *key = txn_client_key(l, m, from->face);
	struct txn *t = txn_find(l, key);

	mem_free(key);
	l->n.sip_responses_received++;
	if (t != NULL) {
		txn_client_receive((struct sip_client_txn *)t, m, now_us);
	} else {
		l->n.sip_stray_responses++;
		l->h.on_stray_response(l->arg, m, from);
	}
	sip_msg_free(m);
}

/* §17.2.1: an ACK to a non-2xx ends here; that to a 2xx is a request of its own to the TU. */
static void
receive_ack(struct sip_layer *l, struct sip_msg *m, const struct sip_flow *from, uint64_t now_us)
{
	struct txn *t = find_server(l, m, from->face, "INVITE");

	if (t == NULL || !txn_server_receive_ack((struct sip_server_txn *)t, m, now_us))
		l->h.on_request(l->arg, NULL, m, from, NULL);
	sip_msg_free(m);
}

static void
respond(struct sip_server_txn *st, int status, const char *tag, uint64_t now_us)
{
	char made[TXN_TAG_LEN + 1];

	if (tag == NULL) {
		txn_tag(st->t.layer, st->t.req, made);
		tag = made;
	}
	sip_server_txn_respond(st, sip_msg_response(st->t.req, status, NULL, tag), now_us);
}

/* §9.2 */
static void
receive_cancel(struct sip_layer *l, struct sip_server_txn *st, const struct sip_flow *from,
    uint64_t now_us)
{
	struct sip_server_txn *invite =
	    (struct sip_server_txn *)find_server(l, st->t.req, from->face, "INVITE");

	if (invite == NULL) {
		l->n.sip_stray_cancels++;
		respond(st, 481, NULL, now_us);
		return;
	}
	respond(st, 200, invite->to_tag, now_us);
	if (invite->state == SERVER_PROCEEDING)
		l->h.on_request(l->arg, st, st->t.req, from, invite);
}

static void
receive_new(struct sip_layer *l, struct sip_msg *m, const struct sip_flow *from, char *key,
    uint64_t now_us)
{
	struct sip_server_txn *st;

	if (txn_source_is_full(l, from)) {
		l->n.sip_txns_refused++;
		sip_layer_respond_stateless(l, m, from, 503, NULL);
		sip_msg_free(m);
		mem_free(key);
		return;
	}
	st = txn_server_receive_new(l, m, from, key, now_us);
	if (sip_msg_method(m) == SIP_CANCEL)
		receive_cancel(l, st, from, now_us);
	else
		l->h.on_request(l->arg, st, m, from, NULL);
}

/* §17.2.3 */
static void
receive_request(struct sip_layer *l, struct sip_msg *m, const struct sip_flow *from,
    uint64_t now_us)
{
	struct txn *t;
	char *key;

	l->n.sip_requests_received++;
	txn_via_mark(m, from);
	if (sip_msg_method(m) == SIP_ACK) {
		receive_ack(l, m, from, now_us);
		return;
	}
	key = txn_server_key(l, m, from->face, sip_msg_method_str(m));
	t = txn_find(l, key);
	if (t == NULL) {
		receive_new(l, m, from, key, now_us);
		return;
	}
	txn_server_receive_again((struct sip_server_txn *)t);
	mem_free(key);
	sip_msg_free(m);
}

void
sip_layer_receive(struct sip_layer *l, struct sip_msg *m, const struct sip_flow *from,
    uint64_t now_us)
{
	if (sip_msg_is_request(m))
		receive_request(l, m, from, now_us);
	else
		receive_response(l, m, from, now_us);
}

/* The sender may be on the stack below us: dealt with in the next run of the timers. */
void
sip_layer_send_failed(struct sip_layer *l, const struct sip_failure *f, uint64_t now_us)
{
	struct txn *t = txn_find_id(l, f->tag);

	if (t == NULL || t->flow.face != f->face)
		return;
	t->err = f->err;
	timer_set(l->timers, &t->failure, now_us);
}

/* -- Without transactions -- */

static void
send_once(struct sip_layer *l, const struct sip_msg *m, const struct sip_flow *to)
{
	char *bytes;
	size_t n;

	if (sip_msg_encode(m, &bytes, &n) != 0)
		return;
	l->h.send(l->arg, to, 0, bytes, n);
	mem_free(bytes);
}

void
sip_layer_send_stateless(struct sip_layer *l, struct sip_msg *m, const struct sip_listener *via,
    const struct sip_flow *to)
{
	if (via != NULL && sip_msg_is_request(m))
		txn_via_push(m, via);
	send_once(l, m, to);
	sip_msg_free(m);
}

void
sip_layer_respond_stateless(struct sip_layer *l, const struct sip_msg *req,
    const struct sip_flow *from, int status, const char *reason)
{
	char tag[TXN_TAG_LEN + 1];
	struct sip_msg *resp;
	struct sip_flow to;

	if (sip_msg_method(req) == SIP_ACK)
		return; /* §17: nothing answers an ACK */
	txn_tag(l, req, tag);
	resp = sip_msg_response(req, status, reason, tag);
	if (status == 503)
		sip_msg_header_set(resp, "Retry-After", RETRY_AFTER_S); /* §21.5.4 */
	txn_via_mark(resp, from);
	to = txn_via_destination(resp, from);
	send_once(l, resp, &to);
	sip_msg_free(resp);
}

/* -- Counters -- */

struct metric_set
sip_layer_metrics(const struct sip_layer *l)
{
#define COUNTER(field, help) METRIC(struct sip_layer_counters, field, METRIC_COUNTER, help)
#define GAUGE(field, help) METRIC(struct sip_layer_counters, field, METRIC_GAUGE, help)
	static const struct metric table[] = {
		COUNTER(sip_requests_received, "SIP requests received, repetitions included."),
		COUNTER(sip_responses_received, "SIP responses received, repetitions included."),
		COUNTER(sip_repetitions_absorbed, "Received messages that were repetitions."),
		COUNTER(sip_repetitions_sent,
		    "Messages sent again by a timer or for a repetition."),
		COUNTER(sip_stray_responses, "Responses that matched no transaction."),
		COUNTER(sip_stray_cancels, "CANCELs that matched no INVITE."),
		COUNTER(sip_txn_timeouts, "Transactions that ended without response or ACK."),
		COUNTER(sip_txn_undeliverable, "Transactions whose message was not deliverable."),
		COUNTER(sip_txns_refused, "Requests refused because the table was full."),
		GAUGE(sip_client_txns, "Client transactions alive."),
		GAUGE(sip_server_txns, "Server transactions alive."),
		{ 0 },
	};

	return (struct metric_set){ table, &l->n };
}

size_t
sip_layer_txns_n(const struct sip_layer *l)
{
	return l->n.sip_client_txns + l->n.sip_server_txns;
}
