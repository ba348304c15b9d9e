/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <osipparser2/osip_parser.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/mem.h"
#include "sip/context.h"
#include "sip/uri.h"

/* One branch of a forwarded request: its next hops, its client transaction, Timer C. */

#define TIMER_C_US (190 * CLOCK_S) /* RFC 3261 §16.6 step 11: more than 3 minutes */

static void try_hop(struct branch *b, uint64_t now_us);

bool
branch_crossing(const struct branch *b, bool upstream, struct forward *f)
{
	const struct context *ctx = b->ctx;
	const struct sip_flow *there = &b->hop[b->hop_at];

	*f = (struct forward){ .direct = b->direct };
	f->from = faces_find(ctx->s->faces, upstream ? there->face : ctx->from.face);
	f->to = faces_find(ctx->s->faces, upstream ? ctx->from.face : there->face);
	f->source = upstream ? *there : ctx->from;
	f->target = upstream ? ctx->from : *there;
	/* In a response nothing tells a NAT: the way it came is the safe one. */
	f->natted = upstream || ctx->natted;
	f->keep_uri = b->target.uri != NULL || ctx->route.keep_uri;
	return f->from != NULL && f->to != NULL;
}

/* -- Direct or through the pair (internal_calls) -- */

static bool
is_at(const char *uri_string, const struct addr *peer)
{
	osip_uri_t *uri = uri_parse(uri_string);
	struct addr a;
	bool same =
	    uri != NULL && uri_is_sip(uri) && uri_literal(uri, &a) && addr_same_host(&a, peer);

	osip_uri_free(uri);
	return same;
}

static bool
caller_is_at_contact(const struct context *ctx)
{
	const osip_contact_t *c = osip_list_get(&ctx->req->osip->contacts, 0);
	char *uri;
	bool same;

	if (c == NULL || c->url == NULL)
		return false;
	uri = uri_text(c->url);
	same = is_at(uri, &ctx->from.peer);
	osip_free(uri);
	return same;
}

/* Two phones of one inside network can talk directly when each has the address it says it has,
 * and both or none of them are on the agent's own machine. */
static bool
is_direct(const struct branch *b, const struct sip_flow *hop)
{
	const struct context *ctx = b->ctx;
	const struct addr *here = &ctx->from.peer, *there = &hop->peer;

	if (!ctx->s->internal_direct || hop->face == SIP_FACE_OUTSIDE ||
	    hop->face != ctx->from.face || ctx->route.sealed || b->target.by_dns ||
	    addr_is_loopback(here) != addr_is_loopback(there))
		return false;
	if (b->target.registered && !is_at(b->target.uri, &b->target.flow.peer))
		return false;
	return osip_list_size(&ctx->req->osip->contacts) == 0 || caller_is_at_contact(ctx);
}

/* -- Sending -- */

static int
ask_hook(struct branch *b, const struct forward *f, struct sip_msg *out)
{
	struct context *ctx = b->ctx;
	char call_id[SEAL_TOKEN_MAX];
	const struct sip_msg *real = context_real(ctx);
	struct sip_relay r = { .in = real,
		.out = out,
		.request = real,
		.from = ctx->from,
		.to = f->target,
		.caller = ctx->from,
		.branch = ctx->ack != NULL ? 0 : b->id,
		.direct = b->direct,
		.natted = ctx->natted };
	int status;

	if (!context_is_hooked(ctx))
		return 0;
	r.wire_call_id = sip_msg_call_id(ctx->req, call_id, sizeof(call_id));
	b->relayed = true;
	status = ctx->s->h.on_relay(ctx->s->arg, &r);
	b->refused = status != 0;
	b->refusal = r.refusal;
	return status;
}

static void
on_response(void *arg, struct sip_client_txn *ct, const struct sip_msg *resp)
{
	struct branch *b = arg;
	int status = sip_msg_status(resp);

	(void)ct;
	/* §16.7 step 2: Timer C is for silence. */
	if (status > 100 && status < 200 && timer_is_set(&b->timer_c))
		timer_set(b->ctx->s->timers, &b->timer_c, b->ctx->s->now_us + TIMER_C_US);
	else if (status >= 200)
		timer_clear(b->ctx->s->timers, &b->timer_c);
	/* RFC 3263 §4.3 */
	if (status == 503 && b->hop_at + 1 < b->hop_n && !b->ctx->cancelled && !b->done) {
		b->hop_at++;
		try_hop(b, b->ctx->s->now_us);
		return;
	}
	answer_response(b, resp);
}

static int
status_of_failure(const struct branch *b, int err)
{
	if (b->ctx->cancelled)
		return 487;
	if (err == ERR_TIMEOUT)
		return 408;
	/* §16.9: as if 503 had come, which is 500 upstream (§16.7 step 6); of a phone that is not
	 * there, what its user is: away. */
	return b->target.registered ? 480 : 500;
}

static void
on_failed_later(void *arg, uint64_t now_us)
{
	struct branch *b = arg;

	if (b->done)
		return;
	if (b->hop_at + 1 < b->hop_n && !b->ctx->cancelled) {
		b->hop_at++;
		try_hop(b, now_us);
	} else {
		answer_local(b, status_of_failure(b, b->err), now_us);
	}
}

/* The transaction layer tells no time: the next turn of the timers does. */
static void
on_failed(void *arg, struct sip_client_txn *ct, int err)
{
	struct branch *b = arg;

	(void)ct;
	if (b->done)
		return;
	b->err = err;
	timer_clear(b->ctx->s->timers, &b->timer_c);
	timer_init(&b->timer_c, on_failed_later, b);
	timer_set(b->ctx->s->timers, &b->timer_c, 0);
}

static void
on_ended(void *arg, struct sip_client_txn *ct)
{
	struct branch *b = arg;

	if (b->ct == ct)
		b->ct = NULL;
	context_release(b->ctx);
}

static void
on_timer_c(void *arg, uint64_t now_us)
{
	struct branch *b = arg;

	/* §16.8: after a provisional response CANCEL; without one Timer B has ended it before. */
	if (b->ct != NULL)
		sip_client_txn_cancel(b->ct, now_us);
}

static int
start_transaction(struct branch *b, struct sip_msg *m, const struct sip_listener *here,
    uint64_t now_us)
{
	static const struct sip_client_handlers handlers = { on_response, on_failed, on_ended };
	struct sip_server *s = b->ctx->s;
	const struct sip_flow *hop = &b->hop[b->hop_at];
	int err;

	if (b->ctx->ack != NULL) { /* §16.11, §13.2.2.4: nothing comes back */
		sip_layer_send_stateless(s->layer, m, here, hop);
		answer_local(b, 0, now_us);
		return 0;
	}
	if (b->ct != NULL)
		sip_client_txn_disown(b->ct);
	b->ct = NULL;
	err = sip_client_txn_start(s->layer, m, here, hop, &handlers, b, now_us, &b->ct);
	if (err == 0 && context_is_invite(b->ctx)) {
		timer_init(&b->timer_c, on_timer_c, b);
		timer_set(s->timers, &b->timer_c, now_us + TIMER_C_US);
	}
	return err;
}

/* 0, or the status the branch ends with. */
static int
send_to_hop(struct branch *b, uint64_t now_us)
{
	struct context *ctx = b->ctx;
	struct forward f;
	struct sip_msg *out;
	int status;

	b->direct = is_direct(b, &b->hop[b->hop_at]);
	if (!branch_crossing(b, false, &f) || !f.to->up)
		return 480;
	if (face_choose(f.to, &f.target) != 0)
		return 500;
	b->hop[b->hop_at] = f.target;
	b->disguised = ctx->real != NULL || (f.from != f.to && f.from->number != SIP_FACE_OUTSIDE);
	if (forward_request(ctx->s, &f, ctx->route.m, b->target.uri, &out, &b->record_routed) != 0)
		return 500;
	status = ask_hook(b, &f, out);
	if (status != 0)
		ctx->s->n.sip_relay_refused++;
	else if (forward_sweep(ctx->s, &f, ctx->req, &out) != 0)
		status = 500;
	if (status != 0) {
		sip_msg_free(out);
		return status;
	}
	ctx->s->n.sip_branches++;
	return start_transaction(b, out, face_listener(f.to, &f.target), now_us) == 0 ? 0 : 503;
}

/* The hop at hop_at, or the first after it that can be tried at all. What the hook refuses it refuses
 * wherever the branch goes. */
static void
try_hop(struct branch *b, uint64_t now_us)
{
	int status = 500;

	for (; b->hop_at < b->hop_n && !b->refused; b->hop_at++)
		if ((status = send_to_hop(b, now_us)) == 0)
			return;
	b->hop_at = b->hop_n - 1;
	answer_local(b, status, now_us);
}

/* -- Next hops (§16.6 step 7) -- */

static void
add_hop(struct branch *b, const struct sip_flow *flow)
{
	if (b->hop_n < SIP_TARGETS_MAX)
		b->hop[b->hop_n++] = *flow;
}

/* A connection may be gone; the phone may listen where its Contact says. */
static void
add_flow_hops(struct branch *b)
{
	const struct sip_flow *flow = &b->target.flow;
	struct sip_flow other = { .face = flow->face };
	osip_uri_t *uri;

	add_hop(b, flow);
	if (!sip_proto_reliable(flow->proto) || osip_list_size(&b->ctx->route.m->osip->routes) > 0)
		return;
	uri = b->target.uri != NULL ? uri_parse(b->target.uri) : NULL;
	if (uri == NULL)
		osip_uri_clone(b->ctx->route.m->osip->req_uri, &uri);
	if (uri_is_sip(uri) && uri_literal(uri, &other.peer)) {
		other.proto = uri_proto(uri, flow->proto);
		if (!addr_equal(&other.peer, &flow->peer) &&
		    addr_same_host(&other.peer, &flow->peer))
			add_hop(b, &other);
	}
	osip_uri_free(uri);
}

static void
on_resolved(void *arg, int err, const struct sip_targets *targets)
{
	struct branch *b = arg;
	struct context *ctx = b->ctx;
	uint64_t now_us = ctx->starting ? ctx->s->now_us : clock_us();

	b->resolving = false;
	b->query = NULL;
	for (size_t i = 0; err == 0 && i < targets->n; i++) {
		struct sip_flow flow = { .face = SIP_FACE_OUTSIDE,
			.proto = targets->target[i].proto,
			.peer = targets->target[i].addr };

		add_hop(b, &flow);
	}
	if (b->hop_n > 0)
		try_hop(b, now_us);
	else
		answer_local(b, err == ERR_NOT_FOUND ? 404 : 500, now_us);
	context_release(ctx);
}

static void
resolve(struct branch *b, uint64_t now_us)
{
	const osip_uri_t *next = b->ctx->route.next;
	struct sip_resolve_key key = { .host = next->host,
		.port = uri_port(next),
		.transport = uri_param(next, "transport"),
		.sips = strcasecmp(next->scheme, "sips") == 0 };
	struct sip_flow flow = { .face = SIP_FACE_OUTSIDE, .proto = uri_proto(next, SIP_UDP) };
	struct sip_query *query = NULL;

	if (uri_literal(next, &flow.peer)) { /* RFC 3263 §4.1: a literal needs no DNS */
		add_hop(b, &flow);
		try_hop(b, now_us);
		return;
	}
	if (b->ctx->s->resolver == NULL) {
		answer_local(b, 500, now_us);
		return;
	}
	b->resolving = true;
	sip_resolve(b->ctx->s->resolver, &key, on_resolved, b, &query);
	if (b->resolving)
		b->query = query;
}

void
branch_start(struct branch *b, uint64_t now_us)
{
	if (b->target.down) {
		b->ctx->s->n.sip_face_down++;
		answer_local(b, 480, now_us);
	} else if (b->target.by_dns) {
		resolve(b, now_us);
	} else {
		add_flow_hops(b);
		try_hop(b, now_us);
	}
}

void
branch_cancel(struct branch *b, const char *reason, uint64_t now_us)
{
	if (b->done)
		return;
	if (b->resolving) {
		sip_resolve_cancel(b->query);
		b->resolving = false;
		b->query = NULL;
		answer_local(b, 487, now_us);
	} else if (b->ct != NULL) {
		sip_client_txn_cancel_reason(b->ct, reason);
		sip_client_txn_cancel(b->ct, now_us);
	}
}

void
branch_clear(struct branch *b)
{
	if (b->resolving)
		sip_resolve_cancel(b->query);
	if (b->ct != NULL)
		sip_client_txn_disown(b->ct);
	timer_clear(b->ctx->s->timers, &b->timer_c);
	mem_free(b->target.uri);
	sip_msg_free(b->final);
}
