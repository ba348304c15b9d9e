/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "log/log.h"
#include "sip/txn.h"

/* The server transactions of RFC 3261 §17.2 with the Accepted state of RFC 6026 §7.1. */

static const char *const state_names[] = { "trying", "proceeding", "completed", "confirmed",
	"accepted", "terminated" };

static bool
is_reliable(const struct sip_server_txn *st)
{
	return sip_proto_reliable(st->t.flow.proto);
}

static uint64_t
entry_lifetime(const struct sip_server_txn *st, enum server_state state)
{
	switch (state) {
	case SERVER_ACCEPTED: /* L */
		return TXN_64_T1_US;
	case SERVER_CONFIRMED: /* I */
		return is_reliable(st) ? 0 : T4_US;
	case SERVER_COMPLETED: /* H, J */
		return st->t.invite || !is_reliable(st) ? TXN_64_T1_US : 0;
	default:
		return CLOCK_NEVER;
	}
}

static void
set_state(struct sip_server_txn *st, enum server_state state, uint64_t now_us)
{
	struct timers *timers = st->t.layer->timers;
	uint64_t lifetime_us = entry_lifetime(st, state);

	log_debug("sip", "server transaction %llu %s: %s -> %s", (unsigned long long)st->t.id,
	    sip_msg_method_str(st->t.req), state_names[st->state], state_names[state]);
	st->state = state;
	timer_clear(timers, &st->t.repeat);
	timer_clear(timers, &st->t.end);
	if (state == SERVER_COMPLETED && st->t.invite && !is_reliable(st)) { /* G */
		st->t.interval_us = T1_US;
		timer_set(timers, &st->t.repeat, now_us + T1_US);
	}
	if (state == SERVER_TERMINATED || lifetime_us == 0) {
		st->state = SERVER_TERMINATED;
		txn_end(&st->t, now_us);
	} else if (lifetime_us != CLOCK_NEVER) {
		timer_set(timers, &st->t.end, now_us + lifetime_us);
	}
}

/* -- Timers -- */

static void
on_repeat(void *arg, uint64_t now_us)
{
	struct sip_server_txn *st = arg;

	if (st->state == SERVER_PROCEEDING) { /* the TU is silent */
		sip_server_txn_respond(st, sip_msg_response(st->t.req, 100, NULL, NULL), now_us);
		return;
	}
	txn_send_again(&st->t, &st->to);
	st->t.interval_us = st->t.interval_us * 2 < T2_US ? st->t.interval_us * 2 : T2_US;
	timer_set(st->t.layer->timers, &st->t.repeat, now_us + st->t.interval_us);
}

static void
on_end(void *arg, uint64_t now_us)
{
	struct sip_server_txn *st = arg;

	if (st->state == SERVER_COMPLETED && st->t.invite) /* H: the ACK never came */
		st->t.layer->n.sip_txn_timeouts++;
	set_state(st, SERVER_TERMINATED, now_us);
}

/* §18.2.2: the connection is gone; a new one to the address in Via is tried once. */
static void
on_failure(void *arg, uint64_t now_us)
{
	struct sip_server_txn *st = arg;

	if (is_reliable(st) && !st->to_sent_by) {
		st->to_sent_by = true;
		st->to = txn_via_sent_by(st->t.req, &st->t.flow);
		txn_send_again(&st->t, &st->to);
		return;
	}
	st->t.layer->n.sip_txn_undeliverable++;
	/* RFC 6026 §7.1: an accepted INVITE lives on, its 2xx may come through another time. */
	if (st->state == SERVER_COMPLETED || st->state == SERVER_CONFIRMED)
		set_state(st, SERVER_TERMINATED, now_us);
}

/* -- Responses of the TU -- */

static bool
may_respond(const struct sip_server_txn *st, int status)
{
	switch (st->state) {
	case SERVER_TRYING:
	case SERVER_PROCEEDING:
		return true;
	case SERVER_ACCEPTED:
		return status >= 200 && status < 300;
	default:
		return false;
	}
}

static void
after_response(struct sip_server_txn *st, int status, uint64_t now_us)
{
	if (st->state == SERVER_ACCEPTED)
		return;
	if (status < 200) {
		set_state(st, SERVER_PROCEEDING, now_us);
	} else if (st->t.invite && status < 300) {
		set_state(st, SERVER_ACCEPTED, now_us);
	} else {
		set_state(st, SERVER_COMPLETED, now_us);
	}
}

int
sip_server_txn_respond(struct sip_server_txn *st, struct sip_msg *resp, uint64_t now_us)
{
	int status = sip_msg_status(resp), err;

	if (!may_respond(st, status)) {
		sip_msg_free(resp);
		return ERR_STATE;
	}
	if (*sip_msg_to_tag(resp) != '\0') {
		mem_free(st->to_tag);
		st->to_tag = mem_strdup(sip_msg_to_tag(resp));
	}
	err = txn_set_sent(&st->t, resp);
	if (err != 0)
		return err;
	txn_send(&st->t, &st->to);
	after_response(st, status, now_us);
	return 0;
}

void
sip_server_txn_drop(struct sip_server_txn *st, uint64_t now_us)
{
	set_state(st, SERVER_TERMINATED, now_us);
}

/* -- Messages from the network -- */

struct sip_server_txn *
txn_server_receive_new(struct sip_layer *l, struct sip_msg *req, const struct sip_flow *from,
    char *key, uint64_t now_us)
{
	struct sip_server_txn *st = mem_zalloc(sizeof(*st));

	st->t.role = TXN_SERVER;
	st->t.invite = sip_msg_method(req) == SIP_INVITE;
	st->t.flow = *from;
	st->to = txn_via_destination(req, from);
	timer_init(&st->t.repeat, on_repeat, st);
	timer_init(&st->t.end, on_end, st);
	timer_init(&st->t.failure, on_failure, st);
	txn_add(l, &st->t, key, req);
	st->state = SERVER_TRYING;
	if (st->t.invite) {
		st->state = SERVER_PROCEEDING;
		timer_set(l->timers, &st->t.repeat, now_us + TIMER_100_US);
	}
	return st;
}

void
txn_server_receive_again(struct sip_server_txn *st)
{
	st->t.layer->n.sip_repetitions_absorbed++;
	/* RFC 6026 §7.1: in Accepted the TU alone repeats its 2xx. */
	if (st->t.sent != NULL && (st->state == SERVER_PROCEEDING || st->state == SERVER_COMPLETED))
		txn_send_again(&st->t, &st->to);
}

/* §17.2.3: of a client without the cookie the To tag tells for which response the ACK is. */
static bool
is_for_response(const struct sip_server_txn *st, const struct sip_msg *ack)
{
	const char *tag = sip_msg_to_tag(ack);

	return *tag == '\0' || st->to_tag == NULL || strcmp(tag, st->to_tag) == 0;
}

bool
txn_server_receive_ack(struct sip_server_txn *st, const struct sip_msg *ack, uint64_t now_us)
{
	if (st->state == SERVER_ACCEPTED || !is_for_response(st, ack))
		return false;
	if (st->state == SERVER_COMPLETED)
		set_state(st, SERVER_CONFIRMED, now_us);
	return true;
}

/* -- The owner -- */

const struct sip_msg *
sip_server_txn_request(const struct sip_server_txn *st)
{
	return st->t.req;
}

void
sip_server_txn_own(struct sip_server_txn *st, sip_server_txn_ended_cb *cb, void *arg)
{
	st->on_ended = cb;
	st->arg = arg;
}

void
txn_server_destroy(struct sip_server_txn *st)
{
	if (st->on_ended != NULL)
		st->on_ended(st->arg, st);
	sip_msg_free(st->t.req);
	mem_free(st->t.sent);
	mem_free(st->t.key);
	mem_free(st->to_tag);
	mem_free(st);
}
