/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "sip/transaction.h"

/*
 * A layer between a wire that remembers what was sent on it and a TU that remembers what it was
 * told, under a clock that stands still until the test moves it.
 */
#define SENT_MAX 64

struct world {
	uint64_t now_us;
	struct timers *timers;
	struct sip_layer *l;
	struct {
		char *text;
		struct sip_flow to;
		uint64_t tag, at_us;
	} sent[SENT_MAX];
	size_t sent_n;
	bool wire_is_cut; /* sending fails at once */

	/* What the TU was told. */
	struct sip_server_txn *st, *to_cancel;
	unsigned requests_n, responses_n, failures_n, strays_n, client_ends_n, server_ends_n;
	char last_method[32];
	int last_status, last_err;
};

static void
on_send(void *arg, const struct sip_flow *to, uint64_t tag, const char *data, size_t n)
{
	struct world *w = arg;

	assert_int_equal(strlen(data), n);
	if (w->sent_n < SENT_MAX) {
		w->sent[w->sent_n].text = mem_dup(data, n);
		w->sent[w->sent_n].to = *to;
		w->sent[w->sent_n].tag = tag;
		w->sent[w->sent_n].at_us = w->now_us;
		w->sent_n++;
	}
	if (w->wire_is_cut)
		sip_layer_send_failed(w->l, &(struct sip_failure){ to->face, tag, ERR_DOWN },
		    w->now_us);
}

static void
on_server_ended(void *arg, struct sip_server_txn *st)
{
	struct world *w = arg;

	w->server_ends_n++;
	if (w->st == st)
		w->st = NULL;
}

static void
on_request(void *arg, struct sip_server_txn *st, const struct sip_msg *req,
    const struct sip_flow *from, struct sip_server_txn *invite)
{
	struct world *w = arg;

	(void)from;
	w->requests_n++;
	snprintf(w->last_method, sizeof(w->last_method), "%s", sip_msg_method_str(req));
	if (st != NULL)
		sip_server_txn_own(st, on_server_ended, w);
	if (st != NULL && invite == NULL)
		w->st = st;
	w->to_cancel = invite;
}

static void
on_stray(void *arg, const struct sip_msg *resp, const struct sip_flow *from)
{
	struct world *w = arg;

	(void)from;
	w->strays_n++;
	w->last_status = sip_msg_status(resp);
}

static void
on_response(void *arg, struct sip_client_txn *ct, const struct sip_msg *resp)
{
	struct world *w = arg;

	(void)ct;
	w->responses_n++;
	w->last_status = sip_msg_status(resp);
}

static void
on_failed(void *arg, struct sip_client_txn *ct, int err)
{
	struct world *w = arg;

	(void)ct;
	w->failures_n++;
	w->last_err = err;
}

static void
on_client_ended(void *arg, struct sip_client_txn *ct)
{
	struct world *w = arg;

	(void)ct;
	w->client_ends_n++;
}

static const struct sip_client_handlers client_handlers = { on_response, on_failed,
	on_client_ended };

static int
set_up(void **state)
{
	static const struct sip_layer_handlers h = { on_send, on_request, on_stray };
	struct world *w = mem_zalloc(sizeof(*w));

	sip_msg_init();
	w->now_us = 1000 * CLOCK_S;
	w->timers = timers_new();
	w->l = sip_layer_new(w->timers, &h, w);
	*state = w;
	return 0;
}

static void
forget_sent(struct world *w)
{
	while (w->sent_n > 0)
		mem_free(w->sent[--w->sent_n].text);
}

static int
tear_down(void **state)
{
	struct world *w = *state;

	sip_layer_free(w->l);
	timers_free(w->timers);
	forget_sent(w);
	mem_free(w);
	return 0;
}

/* Lets the time pass, running each timer at its own time. */
static void
pass(struct world *w, uint64_t us)
{
	uint64_t end_us = w->now_us + us;

	while (timers_next_us(w->timers) <= end_us) {
		if (timers_next_us(w->timers) > w->now_us)
			w->now_us = timers_next_us(w->timers);
		timers_run(w->timers, w->now_us);
	}
	w->now_us = end_us;
}

static struct sip_flow
flow(enum sip_proto proto, const char *peer)
{
	struct sip_flow f = { .proto = proto, .conn = proto == SIP_UDP ? 0 : 7 };

	assert_int_equal(addr_parse(peer, 0, &f.peer), 0);
	return f;
}

static void
receive_from(struct world *w, const struct sip_flow *from, const char *text)
{
	struct sip_msg *m;
	const char *why;

	assert_int_equal(sip_msg_parse(text, strlen(text), &m), 0);
	assert_int_equal(sip_msg_check(m, &why), 0);
	sip_layer_receive(w->l, m, from, w->now_us);
}

/* A request as from 192.0.2.9:5099. */
static char *
request_text(const char *method, const char *via, const char *to_tag)
{
	static char text[1000];

	snprintf(text, sizeof(text),
	    "%s sip:bob@example.org SIP/2.0\r\n"
	    "Via: %s\r\n"
	    "From: <sip:alice@example.com>;tag=ft\r\n"
	    "To: <sip:bob@example.org>%s%s\r\n"
	    "Call-ID: call1\r\n"
	    "CSeq: 7 %s\r\n\r\n",
	    method, via, *to_tag == '\0' ? "" : ";tag=", to_tag, method);
	return text;
}

#define VIA_UDP "SIP/2.0/UDP 192.0.2.9:5099;branch=z9hG4bKone;rport"
#define VIA_TCP "SIP/2.0/TCP 192.0.2.9:5060;branch=z9hG4bKone"

static void
receive_request(struct world *w, const char *method)
{
	struct sip_flow from = flow(SIP_UDP, "192.0.2.9:5099");

	receive_from(w, &from, request_text(method, VIA_UDP, ""));
}

static struct sip_flow
tcp_flow(void)
{
	return flow(SIP_TCP, "192.0.2.9:33333");
}

static int
respond(struct world *w, int status)
{
	struct sip_msg *resp;

	assert_non_null(w->st);
	resp = sip_msg_response(sip_server_txn_request(w->st), status, NULL, "tt");
	return sip_server_txn_respond(w->st, resp, w->now_us);
}

static struct sip_client_txn *
start_over(struct world *w, const char *method, enum sip_proto proto)
{
	struct sip_listener via = { .proto = proto };
	struct sip_flow to = flow(proto, "198.51.100.2:5060");
	struct sip_client_txn *ct = NULL;
	struct sip_msg *m;
	char *text = request_text(method, "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKup", "");

	assert_int_equal(addr_parse("203.0.113.10:5060", 0, &via.addr), 0);
	assert_int_equal(sip_msg_parse(text, strlen(text), &m), 0);
	assert_int_equal(sip_client_txn_start(w->l, m, &via, &to, &client_handlers, w, w->now_us,
			     &ct),
	    0);
	return ct;
}

static struct sip_client_txn *
start(struct world *w, const char *method)
{
	return start_over(w, method, SIP_UDP);
}

/* The peer's response to `ct`, on its face. */
static void
answer(struct world *w, struct sip_client_txn *ct, int status)
{
	struct sip_flow from = *sip_client_txn_flow(ct);

	sip_layer_receive(w->l, sip_msg_response(sip_client_txn_request(ct), status, NULL, "tt"),
	    &from, w->now_us);
}

static bool
sent_starts(const struct world *w, size_t i, const char *start_of)
{
	assert_true(i < w->sent_n);
	return strncmp(w->sent[i].text, start_of, strlen(start_of)) == 0;
}

static void
assert_peer(const struct sip_flow *f, const char *expected)
{
	char buf[ADDR_STR_MAX];

	assert_string_equal(addr_str(&f->peer, buf), expected);
}

/* -- INVITE client -- */

static void
invite_client_repeats_over_udp_ever_more_slowly_until_timer_b(void **state)
{
	static const unsigned at_ms[] = { 0, 500, 1500, 3500, 7500, 15500, 31500 };
	struct world *w = *state;
	uint64_t began_us = w->now_us;

	start(w, "INVITE");
	pass(w, 31999 * CLOCK_MS);
	assert_int_equal(w->failures_n, 0);
	pass(w, 2 * CLOCK_MS);
	assert_int_equal(w->sent_n, 7);
	for (size_t i = 0; i < 7; i++) {
		assert_int_equal((w->sent[i].at_us - began_us) / CLOCK_MS, at_ms[i]);
		assert_string_equal(w->sent[i].text, w->sent[0].text);
	}
	assert_int_equal(w->failures_n, 1);
	assert_int_equal(w->last_err, ERR_TIMEOUT);
	assert_int_equal(w->client_ends_n, 1);
	assert_int_equal(sip_layer_txns_n(w->l), 0);
}

static void
invite_client_does_not_repeat_over_tcp_but_times_out_too(void **state)
{
	struct world *w = *state;

	start_over(w, "INVITE", SIP_TCP);
	pass(w, 33 * CLOCK_S);
	assert_int_equal(w->sent_n, 1);
	assert_non_null(strstr(w->sent[0].text,
	    "Via: SIP/2.0/TCP 203.0.113.10:5060;branch=z9hG4bK"));
	assert_non_null(strstr(w->sent[0].text, ";rport\r\n"));
	assert_int_equal(w->last_err, ERR_TIMEOUT);
}

static void
invite_client_waits_without_end_after_a_provisional_response(void **state)
{
	struct world *w = *state;
	struct sip_client_txn *ct = start(w, "INVITE");

	answer(w, ct, 180);
	pass(w, 600 * CLOCK_S);
	assert_int_equal(w->sent_n, 1);
	assert_int_equal(w->responses_n, 1);
	assert_int_equal(w->failures_n, 0);
	assert_int_equal(sip_layer_txns_n(w->l), 1);
}

static void
invite_client_acks_a_failure_and_its_repetitions_itself(void **state)
{
	struct world *w = *state;
	struct sip_client_txn *ct = start(w, "INVITE");
	const char *branch = sip_msg_branch(sip_client_txn_request(ct));

	answer(w, ct, 486);
	answer(w, ct, 486);
	assert_int_equal(w->responses_n, 1);
	assert_int_equal(w->sent_n, 3);
	assert_true(sent_starts(w, 1, "ACK sip:bob@example.org SIP/2.0\r\n"));
	assert_string_equal(w->sent[1].text, w->sent[2].text);
	assert_non_null(strstr(w->sent[1].text, branch));
	assert_null(strstr(w->sent[1].text, "z9hG4bKup"));
	assert_non_null(strstr(w->sent[1].text, "To: <sip:bob@example.org>;tag=tt\r\n"));
	assert_non_null(strstr(w->sent[1].text, "CSeq: 7 ACK\r\n"));
	assert_non_null(strstr(w->sent[1].text, "Max-Forwards: 70\r\n"));
	pass(w, 31 * CLOCK_S);
	assert_int_equal(w->client_ends_n, 0);
	pass(w, 2 * CLOCK_S);
	assert_int_equal(w->client_ends_n, 1);
	assert_int_equal(w->failures_n, 0);
}

static void
invite_client_over_tcp_is_gone_after_its_ack(void **state)
{
	struct world *w = *state;
	struct sip_client_txn *ct = start_over(w, "INVITE", SIP_TCP);

	answer(w, ct, 404);
	assert_true(sent_starts(w, 1, "ACK "));
	pass(w, 0);
	assert_int_equal(w->client_ends_n, 1);
}

static void
invite_client_gives_every_2xx_for_as_long_as_one_may_come(void **state)
{
	struct world *w = *state;
	struct sip_client_txn *ct = start(w, "INVITE");

	answer(w, ct, 200);
	pass(w, 31 * CLOCK_S);
	answer(w, ct, 200);
	answer(w, ct, 180);
	answer(w, ct, 486);
	assert_int_equal(w->responses_n, 2);
	assert_int_equal(w->sent_n, 1);
	pass(w, 2 * CLOCK_S);
	assert_int_equal(w->client_ends_n, 1);
	assert_int_equal(w->failures_n, 0);
}

static void
cancel_waits_for_a_provisional_response(void **state)
{
	struct world *w = *state;
	struct sip_client_txn *ct = start(w, "INVITE");

	sip_client_txn_cancel(ct, w->now_us);
	assert_int_equal(w->sent_n, 1);
	answer(w, ct, 100);
	assert_int_equal(w->sent_n, 2);
	assert_true(sent_starts(w, 1, "CANCEL sip:bob@example.org SIP/2.0\r\n"));
	assert_non_null(strstr(w->sent[1].text, sip_msg_branch(sip_client_txn_request(ct))));
	assert_non_null(strstr(w->sent[1].text, "CSeq: 7 CANCEL\r\n"));
	assert_null(strstr(w->sent[1].text, "z9hG4bKup"));
	sip_client_txn_cancel(ct, w->now_us);
	answer(w, ct, 180);
	assert_int_equal(w->sent_n, 2);
	answer(w, ct, 487);
	assert_int_equal(w->last_status, 487);
	assert_int_equal(w->responses_n, 3);
}

static void
cancel_is_repeated_like_any_request_and_its_response_is_not_the_invites(void **state)
{
	struct world *w = *state;
	struct sip_client_txn *ct = start(w, "INVITE");
	struct sip_flow from = *sip_client_txn_flow(ct);
	struct sip_msg *cancel;

	answer(w, ct, 180);
	sip_client_txn_cancel(ct, w->now_us);
	pass(w, 600 * CLOCK_MS);
	assert_int_equal(w->sent_n, 3);
	assert_string_equal(w->sent[1].text, w->sent[2].text);
	assert_int_equal(sip_msg_parse(w->sent[1].text, strlen(w->sent[1].text), &cancel), 0);
	sip_layer_receive(w->l, sip_msg_response(cancel, 200, NULL, "x"), &from, w->now_us);
	sip_msg_free(cancel);
	assert_int_equal(w->responses_n, 1);
	assert_int_equal(w->strays_n, 0);
	pass(w, 5 * CLOCK_S);
	assert_int_equal(w->sent_n, 3);
	assert_int_equal(sip_layer_txns_n(w->l), 1);
}

static void
cancelled_invite_that_nobody_ends_fails_after_64_t1(void **state)
{
	struct world *w = *state;
	struct sip_client_txn *ct = start(w, "INVITE");

	answer(w, ct, 180);
	sip_client_txn_cancel(ct, w->now_us);
	pass(w, 33 * CLOCK_S);
	assert_int_equal(w->failures_n, 1);
	assert_int_equal(w->last_err, ERR_TIMEOUT);
	assert_int_equal(sip_layer_txns_n(w->l), 0);
}

/* -- Other clients -- */

static void
other_client_repeats_at_most_every_t2_until_timer_f(void **state)
{
	static const unsigned at_ms[] = { 0, 500, 1500, 3500, 7500, 11500, 15500, 19500, 23500,
		27500, 31500 };
	struct world *w = *state;
	uint64_t began_us = w->now_us;

	start(w, "OPTIONS");
	pass(w, 33 * CLOCK_S);
	assert_int_equal(w->sent_n, 11);
	for (size_t i = 0; i < 11; i++)
		assert_int_equal((w->sent[i].at_us - began_us) / CLOCK_MS, at_ms[i]);
	assert_int_equal(w->last_err, ERR_TIMEOUT);
}

static void
other_client_slows_down_but_still_times_out_after_a_provisional_response(void **state)
{
	struct world *w = *state;
	struct sip_client_txn *ct = start(w, "OPTIONS");

	answer(w, ct, 100);
	pass(w, 5 * CLOCK_S); /* 0, 0.5, 4.5 s */
	assert_int_equal(w->sent_n, 3);
	pass(w, 28 * CLOCK_S);
	assert_int_equal(w->last_err, ERR_TIMEOUT);
	assert_int_equal(w->client_ends_n, 1);
}

static void
other_client_absorbs_repetitions_of_its_response_for_t4(void **state)
{
	struct world *w = *state;
	struct sip_client_txn *ct = start(w, "BYE");
	struct sip_msg *late = sip_msg_response(sip_client_txn_request(ct), 200, NULL, "tt");
	struct sip_flow from = *sip_client_txn_flow(ct);

	answer(w, ct, 200);
	pass(w, 4 * CLOCK_S);
	answer(w, ct, 200);
	assert_int_equal(w->responses_n, 1);
	pass(w, 2 * CLOCK_S);
	assert_int_equal(w->client_ends_n, 1);
	assert_int_equal(w->sent_n, 1);
	sip_layer_receive(w->l, late, &from, w->now_us);
	assert_int_equal(w->strays_n, 1);
}

/* What was sent as the i-th does not arrive. */
static void
lose(struct world *w, size_t i)
{
	const struct sip_failure f = { w->sent[i].to.face, w->sent[i].tag, ERR_DOWN };

	sip_layer_send_failed(w->l, &f, w->now_us);
}

static void
a_face_cannot_fail_what_was_sent_to_another(void **state)
{
	struct world *w = *state;
	struct sip_failure f = { .err = ERR_DOWN };

	start(w, "INVITE");
	f.tag = w->sent[0].tag;
	f.face = w->sent[0].to.face + 1;
	sip_layer_send_failed(w->l, &f, w->now_us);
	pass(w, 0);
	assert_int_equal(w->failures_n, 0);
	lose(w, 0);
	pass(w, 0);
	assert_int_equal(w->failures_n, 1);
}

static void
client_whose_message_cannot_be_delivered_fails_in_the_next_turn(void **state)
{
	struct world *w = *state;

	w->wire_is_cut = true;
	start(w, "INVITE");
	start(w, "BYE");
	assert_int_equal(w->failures_n, 0);
	pass(w, 0);
	assert_int_equal(w->failures_n, 2);
	assert_int_equal(w->last_err, ERR_DOWN);
	assert_int_equal(w->client_ends_n, 2);
	lose(w, 0);
	sip_layer_send_failed(w->l, &(struct sip_failure){ .err = ERR_DOWN }, w->now_us);
	pass(w, CLOCK_S);
	assert_int_equal(w->failures_n, 2);
}

static void
disowned_client_runs_to_its_end_in_silence(void **state)
{
	struct world *w = *state;
	struct sip_client_txn *ct = start(w, "INVITE");

	sip_client_txn_disown(ct);
	answer(w, ct, 180);
	answer(w, ct, 486);
	assert_true(sent_starts(w, 1, "ACK "));
	pass(w, 33 * CLOCK_S);
	assert_int_equal(w->responses_n + w->failures_n + w->client_ends_n, 0);
	assert_int_equal(sip_layer_txns_n(w->l), 0);
}

static void
response_from_another_face_is_a_stray(void **state)
{
	struct world *w = *state;
	struct sip_client_txn *ct = start(w, "INVITE");
	struct sip_flow from = *sip_client_txn_flow(ct);

	from.face = 3;
	sip_layer_receive(w->l, sip_msg_response(sip_client_txn_request(ct), 200, NULL, "tt"),
	    &from, w->now_us);
	assert_int_equal(w->responses_n, 0);
	assert_int_equal(w->strays_n, 1);
}

/* -- INVITE server -- */

static void
invite_server_says_100_when_the_tu_is_silent_for_200_ms(void **state)
{
	struct world *w = *state;

	receive_request(w, "INVITE");
	pass(w, 199 * CLOCK_MS);
	assert_int_equal(w->sent_n, 0);
	pass(w, CLOCK_MS);
	assert_int_equal(w->sent_n, 1);
	assert_true(sent_starts(w, 0, "SIP/2.0 100 Trying\r\n"));
	pass(w, 60 * CLOCK_S);
	assert_int_equal(w->sent_n, 1);
	assert_int_equal(respond(w, 180), 0);
}

static void
invite_server_says_no_100_when_the_tu_was_quick(void **state)
{
	struct world *w = *state;

	receive_request(w, "INVITE");
	assert_int_equal(respond(w, 180), 0);
	pass(w, CLOCK_S);
	assert_int_equal(w->sent_n, 1);
}

static void
invite_server_repeats_its_last_provisional_response_to_a_repetition(void **state)
{
	struct world *w = *state;

	receive_request(w, "INVITE");
	receive_request(w, "INVITE");
	assert_int_equal(w->sent_n, 0);
	respond(w, 180);
	respond(w, 183);
	receive_request(w, "INVITE");
	assert_int_equal(w->requests_n, 1);
	assert_int_equal(w->sent_n, 3);
	assert_string_equal(w->sent[2].text, w->sent[1].text);
}

static void
invite_server_repeats_a_failure_until_the_ack(void **state)
{
	struct world *w = *state;

	receive_request(w, "INVITE");
	respond(w, 486);
	pass(w, 1600 * CLOCK_MS); /* 0, 0.5, 1.5 */
	assert_int_equal(w->sent_n, 3);
	receive_request(w, "INVITE");
	assert_int_equal(w->sent_n, 4);
	receive_request(w, "ACK");
	receive_request(w, "ACK");
	pass(w, 4 * CLOCK_S);
	assert_int_equal(w->sent_n, 4);
	assert_int_equal(w->requests_n, 1);
	assert_int_equal(w->server_ends_n, 0);
	pass(w, 2 * CLOCK_S);
	assert_int_equal(w->server_ends_n, 1);
}

static void
invite_server_gives_up_on_a_missing_ack_after_64_t1(void **state)
{
	struct world *w = *state;

	receive_request(w, "INVITE");
	respond(w, 500);
	pass(w, 33 * CLOCK_S); /* 0, 0.5, 1.5, 3.5, then every 4 s until 31.5 */
	assert_int_equal(w->sent_n, 11);
	assert_int_equal(w->server_ends_n, 1);
}

static void
invite_server_over_tcp_sends_a_failure_once(void **state)
{
	struct world *w = *state;
	struct sip_flow from = tcp_flow();

	receive_from(w, &from, request_text("INVITE", VIA_TCP, ""));
	respond(w, 486);
	pass(w, 10 * CLOCK_S);
	assert_int_equal(w->sent_n, 1);
	receive_from(w, &from, request_text("ACK", VIA_TCP, "tt"));
	pass(w, 0);
	assert_int_equal(w->server_ends_n, 1);
}

static void
invite_server_leaves_2xx_and_their_acks_to_the_tu(void **state)
{
	struct world *w = *state;

	receive_request(w, "INVITE");
	assert_int_equal(respond(w, 200), 0);
	pass(w, 10 * CLOCK_S);
	receive_request(w, "INVITE");
	assert_int_equal(w->sent_n, 1);
	assert_int_equal(respond(w, 200), 0);
	assert_int_equal(w->sent_n, 2);
	assert_int_equal(respond(w, 486), ERR_STATE);
	assert_int_equal(respond(w, 180), ERR_STATE);
	receive_request(w, "ACK");
	assert_string_equal(w->last_method, "ACK");
	assert_int_equal(w->requests_n, 2);
	pass(w, 23 * CLOCK_S);
	assert_int_equal(w->server_ends_n, 1);
}

static void
ack_that_matches_nothing_goes_to_the_tu(void **state)
{
	struct world *w = *state;

	receive_request(w, "ACK");
	assert_int_equal(w->requests_n, 1);
	assert_null(w->st);
	assert_int_equal(sip_layer_txns_n(w->l), 0);
}

/* -- Other servers -- */

static void
other_server_is_silent_until_the_tu_speaks_and_then_repeats_it(void **state)
{
	struct world *w = *state;

	receive_request(w, "OPTIONS");
	pass(w, 5 * CLOCK_S);
	receive_request(w, "OPTIONS");
	assert_int_equal(w->sent_n, 0);
	assert_int_equal(respond(w, 200), 0);
	assert_int_equal(respond(w, 200), ERR_STATE);
	receive_request(w, "OPTIONS");
	assert_int_equal(w->sent_n, 2);
	assert_int_equal(w->requests_n, 1);
	pass(w, 31 * CLOCK_S);
	assert_int_equal(w->server_ends_n, 0);
	pass(w, 2 * CLOCK_S);
	assert_int_equal(w->server_ends_n, 1);
	receive_request(w, "OPTIONS");
	assert_int_equal(w->requests_n, 2);
}

static void
other_server_over_tcp_is_gone_after_its_response(void **state)
{
	struct world *w = *state;
	struct sip_flow from = tcp_flow();

	receive_from(w, &from, request_text("OPTIONS", VIA_TCP, ""));
	respond(w, 200);
	assert_int_equal(w->server_ends_n, 0); /* not under our feet */
	pass(w, 0);
	assert_int_equal(w->server_ends_n, 1);
}

/* -- CANCEL -- */

static void
cancel_of_a_ringing_invite_is_answered_and_told(void **state)
{
	struct world *w = *state;

	receive_request(w, "INVITE");
	respond(w, 180);
	receive_request(w, "CANCEL");
	assert_int_equal(w->requests_n, 2);
	assert_string_equal(w->last_method, "CANCEL");
	assert_ptr_equal(w->to_cancel, w->st);
	assert_true(sent_starts(w, 1, "SIP/2.0 200 OK\r\n"));
	assert_non_null(strstr(w->sent[1].text, "CSeq: 7 CANCEL"));
	assert_non_null(strstr(w->sent[1].text, ";tag=tt")); /* §9.2: the INVITE's */
	receive_request(w, "CANCEL");
	assert_int_equal(w->requests_n, 2);
	assert_string_equal(w->sent[2].text, w->sent[1].text);
	assert_int_equal(respond(w, 487), 0);
}

static void
cancel_of_nothing_is_answered_481(void **state)
{
	struct world *w = *state;

	receive_request(w, "CANCEL");
	assert_int_equal(w->requests_n, 0);
	assert_true(sent_starts(w, 0, "SIP/2.0 481 "));
	assert_non_null(strstr(w->sent[0].text, "To: <sip:bob@example.org>;tag="));
}

static void
cancel_of_an_answered_invite_is_answered_and_has_no_effect(void **state)
{
	struct world *w = *state;

	receive_request(w, "INVITE");
	respond(w, 200);
	receive_request(w, "CANCEL");
	assert_int_equal(w->requests_n, 1);
	assert_true(sent_starts(w, 1, "SIP/2.0 200 OK\r\n"));
}

/* -- Matching -- */

static void
requests_without_the_cookie_are_matched_by_what_they_are(void **state)
{
	static const char via[] = "SIP/2.0/UDP 192.0.2.9:5099";
	struct world *w = *state;
	struct sip_flow from = flow(SIP_UDP, "192.0.2.9:5099");
	char other[1000];

	receive_from(w, &from, request_text("INVITE", via, ""));
	receive_from(w, &from, request_text("INVITE", via, ""));
	assert_int_equal(w->requests_n, 1);
	snprintf(other, sizeof(other), "%s", request_text("INVITE", via, ""));
	memcpy(strstr(other, "call1"), "call2", 5);
	receive_from(w, &from, other);
	assert_int_equal(w->requests_n, 2);
	receive_from(w, &from, request_text("OPTIONS", via, ""));
	assert_int_equal(w->requests_n, 3);
}

static void
ack_without_the_cookie_belongs_to_the_response_of_its_to_tag(void **state)
{
	static const char via[] = "SIP/2.0/UDP 192.0.2.9:5099;branch=1";
	struct world *w = *state;
	struct sip_flow from = flow(SIP_UDP, "192.0.2.9:5099");

	receive_from(w, &from, request_text("INVITE", via, ""));
	respond(w, 486);
	receive_from(w, &from, request_text("ACK", via, "another"));
	assert_int_equal(w->requests_n, 2);
	receive_from(w, &from, request_text("ACK", via, "tt"));
	assert_int_equal(w->requests_n, 2);
	pass(w, 5 * CLOCK_S);
	assert_int_equal(w->server_ends_n, 1);
}

static void
bare_cookie_is_no_branch(void **state)
{
	static const char via[] = "SIP/2.0/UDP 192.0.2.9:5099;branch=z9hG4bK";
	struct world *w = *state;
	struct sip_flow from = flow(SIP_UDP, "192.0.2.9:5099");
	char other[1000];

	receive_from(w, &from, request_text("OPTIONS", via, ""));
	snprintf(other, sizeof(other), "%s", request_text("OPTIONS", via, ""));
	memcpy(strstr(other, "call1"), "call2", 5);
	receive_from(w, &from, other);
	assert_int_equal(w->requests_n, 2);
}

static void
same_branch_on_another_face_or_sent_by_or_method_is_another_transaction(void **state)
{
	struct world *w = *state;
	struct sip_flow from = flow(SIP_UDP, "192.0.2.9:5099");

	receive_from(w, &from, request_text("OPTIONS", VIA_UDP, ""));
	receive_from(w, &from, request_text("INFO", VIA_UDP, ""));
	receive_from(w, &from,
	    request_text("OPTIONS", "SIP/2.0/UDP 192.0.2.9:5098;branch=z9hG4bKone;rport", ""));
	from.face = 2;
	receive_from(w, &from, request_text("OPTIONS", VIA_UDP, ""));
	assert_int_equal(w->requests_n, 4);
	receive_from(w, &from,
	    request_text("OPTIONS", "SIP/2.0/UDP 192.0.2.9:5099;branch=z9hG4bKone", ""));
	assert_int_equal(w->requests_n, 4);
}

/* -- Where responses go (§18.2.2, RFC 3581) -- */

static const struct {
	const char *via, *peer, *to;
	const char *mark; /* what the top Via of the response has to have; NULL = no received */
} ways[] = {
	{ "SIP/2.0/UDP 192.0.2.9:5070;branch=z9hG4bKa", "192.0.2.9:40000", "192.0.2.9:5070", NULL },
	{ "SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKa", "192.0.2.9:40000", "192.0.2.9:5060", NULL },
	{ "SIP/2.0/UDP 192.0.2.9:5070;branch=z9hG4bKa;rport", "192.0.2.9:40000", "192.0.2.9:40000",
	    ";rport=40000;received=192.0.2.9" },
	{ "SIP/2.0/UDP 192.0.2.8:5070;branch=z9hG4bKa", "192.0.2.9:40000", "192.0.2.9:5070",
	    ";received=192.0.2.9" },
	{ "SIP/2.0/UDP pc.example.com:5070;branch=z9hG4bKa", "192.0.2.9:40000", "192.0.2.9:5070",
	    ";received=192.0.2.9" },
	{ "SIP/2.0/UDP 10.0.0.5:5070;branch=z9hG4bKa", "192.0.2.9:40000", "192.0.2.9:40000",
	    ";received=192.0.2.9" },
	{ "SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKa;received=203.0.113.66;rport=1", "192.0.2.9:40000",
	    "192.0.2.9:40000", ";received=192.0.2.9;rport=40000" },
	{ "SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKa;received=203.0.113.66", "192.0.2.9:40000",
	    "192.0.2.9:5060", ";received=192.0.2.9" },
	{ "SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKa;maddr=203.0.113.66", "192.0.2.9:40000",
	    "192.0.2.9:5060", NULL },
	{ "SIP/2.0/UDP [2001:db8::9]:5070;branch=z9hG4bKa", "[2001:db8::9]:40000",
	    "[2001:db8::9]:5070", NULL },
	{ "SIP/2.0/UDP [2001:db8::8];branch=z9hG4bKa;rport", "[2001:db8::9]:40000",
	    "[2001:db8::9]:40000", ";rport=40000;received=2001:db8::9" },
};

static void
response_goes_where_its_via_and_the_source_say(void **state)
{
	struct world *w = *state;

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		struct sip_flow from = flow(SIP_UDP, ways[i].peer);

		forget_sent(w);
		receive_from(w, &from, request_text("OPTIONS", ways[i].via, ""));
		respond(w, 200);
		assert_peer(&w->sent[0].to, ways[i].to);
		if (ways[i].mark == NULL)
			assert_null(strstr(w->sent[0].text, "received="));
		else
			assert_non_null(strstr(w->sent[0].text, ways[i].mark));
		pass(w, 40 * CLOCK_S);
	}
}

static void
response_goes_back_on_the_connection_of_its_request(void **state)
{
	struct world *w = *state;
	struct sip_flow from = tcp_flow();

	receive_from(w, &from, request_text("INVITE", VIA_TCP, ""));
	respond(w, 486);
	assert_true(sip_flow_equal(&w->sent[0].to, &from));
}

static void
response_whose_connection_is_gone_goes_to_the_address_in_via_once(void **state)
{
	struct world *w = *state;
	struct sip_flow from = tcp_flow();

	receive_from(w, &from, request_text("INVITE", VIA_TCP, ""));
	respond(w, 486);
	lose(w, 0);
	pass(w, 0);
	assert_int_equal(w->sent_n, 2);
	assert_peer(&w->sent[1].to, "192.0.2.9:5060");
	assert_int_equal(w->sent[1].to.conn, 0);
	assert_string_equal(w->sent[1].text, w->sent[0].text);
	lose(w, 1);
	pass(w, 0);
	assert_int_equal(w->sent_n, 2);
	assert_int_equal(w->server_ends_n, 1);
}

static void
stateless_response_is_marked_and_tagged_the_same_each_time(void **state)
{
	struct world *w = *state;
	struct sip_flow from = flow(SIP_UDP, "192.0.2.9:40000");
	char *text = request_text("BYE", VIA_UDP, "");
	struct sip_msg *m;

	assert_int_equal(sip_msg_parse(text, strlen(text), &m), 0);
	sip_layer_respond_stateless(w->l, m, &from, 400, "Bad Everything");
	sip_layer_respond_stateless(w->l, m, &from, 400, "Bad Everything");
	sip_msg_free(m);
	assert_int_equal(w->sent_n, 2);
	assert_true(sent_starts(w, 0, "SIP/2.0 400 Bad Everything\r\n"));
	assert_string_equal(w->sent[0].text, w->sent[1].text);
	assert_non_null(strstr(w->sent[0].text, "To: <sip:bob@example.org>;tag="));
	assert_non_null(strstr(w->sent[0].text, ";rport=40000"));
	assert_peer(&w->sent[0].to, "192.0.2.9:40000");
	text = request_text("ACK", VIA_UDP, "");
	assert_int_equal(sip_msg_parse(text, strlen(text), &m), 0);
	sip_layer_respond_stateless(w->l, m, &from, 400, NULL);
	sip_msg_free(m);
	assert_int_equal(w->sent_n, 2);
}

/* -- Caps and numbers -- */

static void
full_table_answers_503_and_has_room_again_later(void **state)
{
	struct world *w = *state;
	struct sip_listener via = { .proto = SIP_UDP };
	struct sip_flow to = flow(SIP_UDP, "198.51.100.2:5060");
	struct sip_client_txn *ct;
	struct sip_msg *m;
	char *text;

	sip_layer_limit(w->l, 1);
	receive_request(w, "OPTIONS");
	receive_request(w, "INFO");
	assert_int_equal(w->requests_n, 1);
	assert_true(sent_starts(w, 0, "SIP/2.0 503 "));
	text = request_text("BYE", VIA_UDP, "");
	assert_int_equal(sip_msg_parse(text, strlen(text), &m), 0);
	assert_int_equal(addr_parse("203.0.113.10:5060", 0, &via.addr), 0);
	assert_int_equal(sip_client_txn_start(w->l, m, &via, &to, &client_handlers, w, w->now_us,
			     &ct),
	    ERR_FULL);
	respond(w, 200);
	pass(w, 33 * CLOCK_S);
	receive_request(w, "INFO");
	assert_int_equal(w->requests_n, 2);
}

static void
one_source_cannot_fill_the_table(void **state)
{
	struct world *w = *state;
	struct sip_flow mad = flow(SIP_UDP, "192.0.2.66:1000"), other;
	char via[100];

	sip_layer_limit(w->l, 20);
	for (unsigned i = 0; i < 30; i++) {
		sprintf(via, "SIP/2.0/UDP 192.0.2.66;branch=z9hG4bK%u;rport", i);
		addr_set_port(&mad.peer, (uint16_t)(1000 + i));
		receive_from(w, &mad, request_text("OPTIONS", via, ""));
	}
	assert_int_equal(w->requests_n, 10);
	assert_int_equal(w->sent_n, 20);
	assert_true(sent_starts(w, 0, "SIP/2.0 503 "));
	receive_request(w, "OPTIONS");
	assert_int_equal(w->requests_n, 11);
	other = mad; /* the same address in another network is another phone */
	other.face = 2;
	receive_from(w, &other, request_text("INFO", via, ""));
	assert_int_equal(w->requests_n, 12);
}

static void
many_transactions_are_found_and_ended_one_by_one(void **state)
{
	enum { MANY = 10000 };
	struct world *w = *state;
	struct sip_client_txn **ct = mem_calloc(MANY, sizeof(*ct));

	for (size_t i = 0; i < MANY; i++)
		ct[i] = start_over(w, "OPTIONS", SIP_TCP);
	assert_int_equal(sip_layer_txns_n(w->l), MANY);
	for (size_t i = 0; i < MANY; i++)
		answer(w, ct[i], 200);
	assert_int_equal(w->responses_n, MANY);
	assert_int_equal(w->strays_n, 0);
	assert_int_equal(sip_layer_txns_n(w->l), 0);
	assert_int_equal(w->client_ends_n, 0);
	pass(w, 0);
	assert_int_equal(w->client_ends_n, MANY);
	mem_free(ct);
}

static void
freeing_the_layer_tells_each_owner(void **state)
{
	struct world *w = *state;

	start(w, "INVITE");
	receive_request(w, "INVITE");
	respond(w, 180);
	sip_layer_free(w->l);
	w->l = NULL;
	assert_int_equal(w->client_ends_n, 1);
	assert_int_equal(w->server_ends_n, 1);
	assert_int_equal(timers_next_us(w->timers), CLOCK_NEVER);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(invite_client_repeats_over_udp_ever_more_slowly_until_timer_b),
		TEST(invite_client_does_not_repeat_over_tcp_but_times_out_too),
		TEST(invite_client_waits_without_end_after_a_provisional_response),
		TEST(invite_client_acks_a_failure_and_its_repetitions_itself),
		TEST(invite_client_over_tcp_is_gone_after_its_ack),
		TEST(invite_client_gives_every_2xx_for_as_long_as_one_may_come),
		TEST(cancel_waits_for_a_provisional_response),
		TEST(cancel_is_repeated_like_any_request_and_its_response_is_not_the_invites),
		TEST(cancelled_invite_that_nobody_ends_fails_after_64_t1),
		TEST(other_client_repeats_at_most_every_t2_until_timer_f),
		TEST(other_client_slows_down_but_still_times_out_after_a_provisional_response),
		TEST(other_client_absorbs_repetitions_of_its_response_for_t4),
		TEST(a_face_cannot_fail_what_was_sent_to_another),
		TEST(client_whose_message_cannot_be_delivered_fails_in_the_next_turn),
		TEST(disowned_client_runs_to_its_end_in_silence),
		TEST(response_from_another_face_is_a_stray),
		TEST(invite_server_says_100_when_the_tu_is_silent_for_200_ms),
		TEST(invite_server_says_no_100_when_the_tu_was_quick),
		TEST(invite_server_repeats_its_last_provisional_response_to_a_repetition),
		TEST(invite_server_repeats_a_failure_until_the_ack),
		TEST(invite_server_gives_up_on_a_missing_ack_after_64_t1),
		TEST(invite_server_over_tcp_sends_a_failure_once),
		TEST(invite_server_leaves_2xx_and_their_acks_to_the_tu),
		TEST(ack_that_matches_nothing_goes_to_the_tu),
		TEST(other_server_is_silent_until_the_tu_speaks_and_then_repeats_it),
		TEST(other_server_over_tcp_is_gone_after_its_response),
		TEST(cancel_of_a_ringing_invite_is_answered_and_told),
		TEST(cancel_of_nothing_is_answered_481),
		TEST(cancel_of_an_answered_invite_is_answered_and_has_no_effect),
		TEST(requests_without_the_cookie_are_matched_by_what_they_are),
		TEST(ack_without_the_cookie_belongs_to_the_response_of_its_to_tag),
		TEST(bare_cookie_is_no_branch),
		TEST(same_branch_on_another_face_or_sent_by_or_method_is_another_transaction),
		TEST(response_goes_where_its_via_and_the_source_say),
		TEST(response_goes_back_on_the_connection_of_its_request),
		TEST(response_whose_connection_is_gone_goes_to_the_address_in_via_once),
		TEST(stateless_response_is_marked_and_tagged_the_same_each_time),
		TEST(full_table_answers_503_and_has_room_again_later),
		TEST(one_source_cannot_fill_the_table),
		TEST(many_transactions_are_found_and_ended_one_by_one),
		TEST(freeing_the_layer_tells_each_owner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
