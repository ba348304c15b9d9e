/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <osipparser2/osip_parser.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "log/log.h"
#include "sip/txn.h"

/* The client transactions of RFC 3261 §17.1 with the Accepted state of RFC 6026 §7.2. */

static const char *const state_names[] = { "calling", "trying", "proceeding", "completed",
	"accepted", "terminated" };

static bool
is_reliable(const struct sip_client_txn *ct)
{
	return sip_proto_reliable(ct->t.flow.proto);
}

static uint64_t
entry_lifetime(const struct sip_client_txn *ct, enum client_state state)
{
	switch (state) {
	case CLIENT_CALLING: /* B */
	case CLIENT_TRYING:  /* F */
		return TXN_64_T1_US;
	case CLIENT_COMPLETED:
		if (is_reliable(ct))
			return 0;
		return ct->t.invite ? TIMER_D_US : T4_US; /* D, K */
	case CLIENT_ACCEPTED:                             /* M */
		return TXN_64_T1_US;
	default:
		return CLOCK_NEVER;
	}
}

static void
set_state(struct sip_client_txn *ct, enum client_state state, uint64_t now_us)
{
	struct timers *timers = ct->t.layer->timers;
	uint64_t lifetime_us = entry_lifetime(ct, state);

	log_debug("sip", "client transaction %llu %s: %s -> %s", (unsigned long long)ct->t.id,
	    sip_msg_method_str(ct->t.req), state_names[ct->state], state_names[state]);
	ct->state = state;
	if (state == CLIENT_PROCEEDING && !ct->t.invite)
		return; /* E and F run on */
	timer_clear(timers, &ct->t.repeat);
	timer_clear(timers, &ct->t.end);
	if ((state == CLIENT_CALLING || state == CLIENT_TRYING) && !is_reliable(ct)) { /* A, E */
		ct->t.interval_us = T1_US;
		timer_set(timers, &ct->t.repeat, now_us + T1_US);
	}
	if (state == CLIENT_TERMINATED || lifetime_us == 0) {
		ct->state = CLIENT_TERMINATED;
		txn_end(&ct->t, now_us);
	} else if (lifetime_us != CLOCK_NEVER) {
		timer_set(timers, &ct->t.end, now_us + lifetime_us);
	}
}

static void
fail(struct sip_client_txn *ct, int err, uint64_t now_us)
{
	bool waiting = ct->state == CLIENT_CALLING || ct->state == CLIENT_TRYING ||
	    ct->state == CLIENT_PROCEEDING;

	set_state(ct, CLIENT_TERMINATED, now_us);
	if (waiting && ct->h.on_failed != NULL)
		ct->h.on_failed(ct->arg, ct, err);
}

/* -- Timers -- */

static void
on_repeat(void *arg, uint64_t now_us)
{
	struct sip_client_txn *ct = arg;

	txn_send_again(&ct->t, &ct->t.flow);
	ct->t.interval_us *= 2;
	/* §17.1.2.2: E stops doubling at T2, A does not (B ends it). */
	if (!ct->t.invite && (ct->t.interval_us > T2_US || ct->state == CLIENT_PROCEEDING))
		ct->t.interval_us = T2_US;
	timer_set(ct->t.layer->timers, &ct->t.repeat, now_us + ct->t.interval_us);
}

static void
on_end(void *arg, uint64_t now_us)
{
	struct sip_client_txn *ct = arg;

	if (ct->state == CLIENT_COMPLETED || ct->state == CLIENT_ACCEPTED) {
		set_state(ct, CLIENT_TERMINATED, now_us);
		return;
	}
	ct->t.layer->n.sip_txn_timeouts++;
	fail(ct, ERR_TIMEOUT, now_us);
}

/* What cannot be delivered after the final response (an ACK) hurts nobody here: the server will
 * repeat its response. */
static void
on_failure(void *arg, uint64_t now_us)
{
	struct sip_client_txn *ct = arg;

	if (ct->state == CLIENT_COMPLETED || ct->state == CLIENT_ACCEPTED)
		return;
	ct->t.layer->n.sip_txn_undeliverable++;
	fail(ct, ct->t.err, now_us);
}

/* -- Requests that belong to the one sent -- */

static void
clone_top_via(const osip_message_t *from, osip_message_t *to)
{
	osip_via_t *via;

	if (osip_via_clone(osip_list_get(&from->vias, 0), &via) == 0)
		osip_list_add(&to->vias, via, 0);
}

/* CANCEL (§9.1) and the ACK for a non-2xx (§17.1.1.3): Request-URI, Route, From, Call-ID and the
 * number of CSeq of the INVITE, and just its top Via. */
static struct sip_msg *
derived(const struct sip_client_txn *ct, const char *method, const osip_to_t *to)
{
	const osip_message_t *invite = ct->t.req->osip;
	struct sip_msg *m = mem_zalloc(sizeof(*m));

	osip_message_init(&m->osip);
	m->osip->sip_version = mem_strdup("SIP/2.0");
	m->osip->sip_method = mem_strdup(method);
	osip_uri_clone(invite->req_uri, &m->osip->req_uri);
	clone_top_via(invite, m->osip);
	osip_list_clone(&invite->routes, &m->osip->routes,
	    (int (*)(void *, void **))osip_route_clone);
	osip_from_clone(invite->from, &m->osip->from);
	osip_to_clone(to, &m->osip->to);
	osip_call_id_clone(invite->call_id, &m->osip->call_id);
	osip_cseq_init(&m->osip->cseq);
	m->osip->cseq->number = mem_strdup(invite->cseq->number);
	m->osip->cseq->method = mem_strdup(method);
	sip_msg_header_set(m, "Max-Forwards", "70");
	return m;
}

static void
send_ack(struct sip_client_txn *ct, const struct sip_msg *resp)
{
	if (txn_set_sent(&ct->t, derived(ct, "ACK", resp->osip->to)) == 0)
		txn_send(&ct->t, &ct->t.flow);
}

static int
start(struct sip_layer *l, struct sip_msg *req, const struct sip_flow *to, uint64_t now_us,
    struct sip_client_txn **out)
{
	struct sip_client_txn *ct;
	char *bytes;
	size_t n;
	int err = sip_msg_encode(req, &bytes, &n);

	if (err != 0) {
		sip_msg_free(req);
		return err;
	}
	ct = mem_zalloc(sizeof(*ct));
	ct->t.role = TXN_CLIENT;
	ct->t.invite = sip_msg_method(req) == SIP_INVITE;
	ct->t.flow = *to;
	ct->t.sent = bytes;
	ct->t.sent_len = n;
	timer_init(&ct->t.repeat, on_repeat, ct);
	timer_init(&ct->t.end, on_end, ct);
	timer_init(&ct->t.failure, on_failure, ct);
	txn_add(l, &ct->t, txn_client_key(l, req, to->face), req);
	*out = ct;
	txn_send(&ct->t, to);
	set_state(ct, ct->t.invite ? CLIENT_CALLING : CLIENT_TRYING, now_us);
	return 0;
}

static void
send_cancel(struct sip_client_txn *ct, uint64_t now_us)
{
	struct sip_msg *m = derived(ct, "CANCEL", ct->t.req->osip->to);
	struct sip_client_txn *cancel;

	ct->cancel_wanted = false;
	ct->cancel_sent = true;
	if (ct->cancel_reason != NULL)
		sip_msg_header_set(m, "Reason", ct->cancel_reason);
	/* A transaction of its own that nobody waits for: only the INVITE's response counts. The
	 * cap does not hold it up, there is one at most for an INVITE that was let in. */
	start(ct->t.layer, m, &ct->t.flow, now_us, &cancel);
	/* §9.1: no final response to the INVITE in 64*T1 after the CANCEL: none will come. */
	timer_set(ct->t.layer->timers, &ct->t.end, now_us + TXN_64_T1_US);
}

/* -- Responses: a handler for each state -- */

static void
give(struct sip_client_txn *ct, const struct sip_msg *resp)
{
	if (ct->h.on_response != NULL)
		ct->h.on_response(ct->arg, ct, resp);
}

static void
on_invite_response(struct sip_client_txn *ct, const struct sip_msg *resp, uint64_t now_us)
{
	int status = sip_msg_status(resp);

	if (status < 200) {
		if (ct->state == CLIENT_CALLING)
			set_state(ct, CLIENT_PROCEEDING, now_us);
		if (ct->cancel_wanted)
			send_cancel(ct, now_us);
	} else if (status < 300) {
		set_state(ct, CLIENT_ACCEPTED, now_us);
	} else {
		send_ack(ct, resp);
		set_state(ct, CLIENT_COMPLETED, now_us);
	}
	give(ct, resp);
}

static void
on_other_response(struct sip_client_txn *ct, const struct sip_msg *resp, uint64_t now_us)
{
	set_state(ct, sip_msg_status(resp) < 200 ? CLIENT_PROCEEDING : CLIENT_COMPLETED, now_us);
	give(ct, resp);
}

static void
on_response_waiting(struct sip_client_txn *ct, const struct sip_msg *resp, uint64_t now_us)
{
	if (ct->t.invite)
		on_invite_response(ct, resp, now_us);
	else
		on_other_response(ct, resp, now_us);
}

static void
on_response_completed(struct sip_client_txn *ct, const struct sip_msg *resp, uint64_t now_us)
{
	(void)now_us;
	ct->t.layer->n.sip_repetitions_absorbed++;
	if (ct->t.invite && sip_msg_status(resp) >= 300)
		txn_send_again(&ct->t, &ct->t.flow); /* the ACK */
}

static void
on_response_accepted(struct sip_client_txn *ct, const struct sip_msg *resp, uint64_t now_us)
{
	(void)now_us;
	if (sip_msg_status(resp) >= 200 && sip_msg_status(resp) < 300)
		give(ct, resp);
	else
		ct->t.layer->n.sip_repetitions_absorbed++;
}

void
txn_client_receive(struct sip_client_txn *ct, const struct sip_msg *resp, uint64_t now_us)
{
	static void (*const handlers[])(struct sip_client_txn *, const struct sip_msg *,
	    uint64_t) = {
		[CLIENT_CALLING] = on_response_waiting,
		[CLIENT_TRYING] = on_response_waiting,
		[CLIENT_PROCEEDING] = on_response_waiting,
		[CLIENT_COMPLETED] = on_response_completed,
		[CLIENT_ACCEPTED] = on_response_accepted,
		[CLIENT_TERMINATED] = NULL, /* never: it is not in the table */
	};

	handlers[ct->state](ct, resp, now_us);
}

/* -- The owner -- */

int
sip_client_txn_start(struct sip_layer *l, struct sip_msg *req, const struct sip_listener *via,
    const struct sip_flow *to, const struct sip_client_handlers *h, void *arg, uint64_t now_us,
    struct sip_client_txn **out)
{
	struct sip_client_txn *ct;
	int err;

	if (txn_table_is_full(l)) {
		l->n.sip_txns_refused++;
		sip_msg_free(req);
		return ERR_FULL;
	}
	txn_via_push(req, via);
	err = start(l, req, to, now_us, &ct);
	if (err != 0)
		return err;
	ct->h = *h;
	ct->arg = arg;
	*out = ct;
	return 0;
}

const struct sip_msg *
sip_client_txn_request(const struct sip_client_txn *ct)
{
	return ct->t.req;
}

const struct sip_flow *
sip_client_txn_flow(const struct sip_client_txn *ct)
{
	return &ct->t.flow;
}

void
sip_client_txn_cancel_reason(struct sip_client_txn *ct, const char *reason)
{
	mem_free(ct->cancel_reason);
	ct->cancel_reason = mem_strdup(reason);
}

void
sip_client_txn_cancel(struct sip_client_txn *ct, uint64_t now_us)
{
	if (!ct->t.invite || ct->cancel_sent)
		return;
	if (ct->state == CLIENT_PROCEEDING)
		send_cancel(ct, now_us);
	else if (ct->state == CLIENT_CALLING)
		ct->cancel_wanted = true;
}

void
sip_client_txn_disown(struct sip_client_txn *ct)
{
	memset(&ct->h, 0, sizeof(ct->h));
	ct->arg = NULL;
}

void
txn_client_destroy(struct sip_client_txn *ct)
{
	if (ct->h.on_ended != NULL)
		ct->h.on_ended(ct->arg, ct);
	sip_msg_free(ct->t.req);
	mem_free(ct->t.sent);
	mem_free(ct->t.key);
	mem_free(ct->cancel_reason);
	mem_free(ct);
}
