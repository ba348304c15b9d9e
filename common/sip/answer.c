/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <osipparser2/osip_parser.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "sip/context.h"
#include "sip/dialog.h"

/* What comes back (RFC 3261 §16.7). */

#define RETRY_AFTER_S 5

static bool
is_success(int status)
{
	return status >= 200 && status < 300;
}

/* -- One response on its way upstream -- */

struct passage {
	struct branch *b;
	const struct sip_msg *resp; /* as it came */
	struct sip_msg *undisguised;
	char call_id[SEAL_TOKEN_MAX];
	struct sip_relay relay;
};

static void
passage_open(struct passage *p, struct branch *b, const struct sip_msg *resp)
{
	struct context *ctx = b->ctx;

	*p = (struct passage){ .b = b, .resp = resp };
	if (b->disguised)
		p->undisguised = forward_undisguised(resp, context_real(ctx));
	p->relay = (struct sip_relay){ .in = b->disguised ? p->undisguised : resp,
		.request = context_real(ctx),
		.from = b->hop[b->hop_at],
		.to = ctx->from,
		.caller = ctx->from,
		.upstream = true,
		.branch = b->id,
		.direct = b->direct,
		.natted = true };
	p->relay.wire_call_id = sip_msg_call_id(resp, p->call_id, sizeof(p->call_id));
}

static void
passage_close(struct passage *p)
{
	sip_msg_free(p->undisguised);
}

/* 0 and the response to send, or the status that takes its place. */
static int
prepare(struct passage *p, struct sip_msg **out)
{
	struct context *ctx = p->b->ctx;
	struct forward f;
	int status = 0;

	if (!branch_crossing(p->b, true, &f) ||
	    forward_response(ctx->s, &f, p->resp, ctx->req, p->b->record_routed, out) != 0)
		return 500;
	if (context_is_hooked(ctx)) {
		p->relay.out = *out;
		status = ctx->s->h.on_relay(ctx->s->arg, &p->relay);
	}
	if (status != 0)
		ctx->s->n.sip_relay_refused++;
	else if (forward_sweep(ctx->s, &f, p->resp, out) != 0)
		status = 500;
	if (status != 0)
		sip_msg_free(*out);
	return status;
}

/* -- The final response -- */

static void
tell_failure(struct context *ctx, int status)
{
	bool relayed = false;

	for (size_t i = 0; i < ctx->branch_n; i++)
		relayed |= ctx->branch[i].relayed;
	if (relayed && context_is_invite(ctx) && ctx->s->h.on_invite_failed != NULL)
		ctx->s->h.on_invite_failed(ctx->s->arg, context_real(ctx), status);
}

/* RFC 3326 §2: so that the phones that did not answer show no missed call. */
static void
cancel_others(struct context *ctx, int status, uint64_t now_us)
{
	char reason[64];

	snprintf(reason, sizeof(reason), "SIP;cause=%d%s", status,
	    is_success(status) ? ";text=\"Call completed elsewhere\"" : "");
	for (size_t i = 0; i < ctx->branch_n; i++)
		branch_cancel(&ctx->branch[i], reason, now_us);
}

/* Takes over resp. Whatever is still under way is not wanted any more (§16.7 step 10). */
static void
send_final(struct context *ctx, struct sip_msg *resp, uint64_t now_us)
{
	int status = sip_msg_status(resp);

	server_send_response(ctx->s, ctx->st, resp, now_us);
	if (ctx->answered)
		return;
	ctx->answered = true;
	if (!is_success(status))
		tell_failure(ctx, status);
	cancel_others(ctx, status, now_us);
	route_clear(&ctx->route);
}

/* Callers that were refused together shall not come back together. */
static unsigned
retry_after_s(const struct sip_refusal *why)
{
	char random[9];

	if (why->retry_after_s == 0) /* no ports, or a table at its cap: soon there may be */
		return RETRY_AFTER_S;
	sip_random_hex(random, 4);
	return why->retry_after_s + strtoul(random, NULL, 16) % (why->retry_after_s + 1);
}

/* §20.33, §20.43. The domain stands for the pair on every face. */
static void
add_reasons(const struct context *ctx, struct sip_msg *resp, const struct sip_refusal *why)
{
	char *warning, seconds[16];

	snprintf(seconds, sizeof(seconds), "%u", retry_after_s(why));
	sip_msg_header_set(resp, "Retry-After", seconds);
	if (why->warning == NULL)
		return;
	warning = mem_printf("399 %s \"%s\"", ctx->s->domains[0], why->warning);
	sip_msg_header_set(resp, "Warning", warning);
	mem_free(warning);
}

static void
send_own(struct context *ctx, int status, const struct sip_refusal *why, uint64_t now_us)
{
	struct sip_msg *resp;
	char tag[17];

	sip_random_hex(tag, 8);
	resp = sip_msg_response(ctx->req, status, NULL, tag);
	if (status == 503)
		add_reasons(ctx, resp, why);
	send_final(ctx, resp, now_us);
}

/* -- Choosing (§16.7 step 6) -- */

/* Lower is better: 6xx before all; then the lowest class; within 4xx what tells the caller how to
 * go on; an answer of somebody before one of our own. */
static int
rank(const struct branch *b)
{
	static const int telling[] = { 401, 407, 415, 420, 484 };
	int class = b->status / 100;
	int order = class == 6 ? 0 : class * 100;

	if (class == 4) {
		order += 50;
		for (size_t i = 0; i < sizeof(telling) / sizeof(telling[0]); i++)
			if (b->status == telling[i])
				order = 400 + (int)i;
	}
	return order + (b->final == NULL ? 1000 : 0);
}

static struct branch *
best_branch(struct context *ctx)
{
	struct branch *best = &ctx->branch[0];

	for (size_t i = 1; i < ctx->branch_n; i++)
		if (rank(&ctx->branch[i]) < rank(best))
			best = &ctx->branch[i];
	return best;
}

static void
add_challenges(struct sip_msg *to, const char *name, const osip_list_t *from)
{
	osip_list_iterator_t it;
	osip_www_authenticate_t *c = osip_list_get_first(from, &it);
	char *text;

	for (; osip_list_iterator_has_elem(it); c = osip_list_get_next(&it)) {
		if (osip_www_authenticate_to_str(c, &text) != 0)
			continue;
		osip_message_set_header(to->osip, name, text);
		osip_free(text);
	}
}

/* Step 7: the challenges of all branches, when one of them is chosen. */
static void
aggregate_challenges(struct context *ctx, const struct branch *best, struct sip_msg *out)
{
	for (size_t i = 0; i < ctx->branch_n; i++) {
		const struct branch *b = &ctx->branch[i];

		if (b == best || b->final == NULL || (b->status != 401 && b->status != 407))
			continue;
		add_challenges(out, "WWW-Authenticate", &b->final->osip->www_authenticates);
		add_challenges(out, "Proxy-Authenticate", &b->final->osip->proxy_authenticates);
	}
}

static void
send_best(struct context *ctx, struct branch *b, uint64_t now_us)
{
	struct passage p;
	struct sip_msg *out;
	int status;

	if (b->status == 408 && !context_is_invite(ctx)) { /* RFC 4320 §4.2: it would be too late */
		ctx->answered = true;
		sip_server_txn_drop(ctx->st, now_us);
		return;
	}
	/* The 503 of another would say upstream that we are overloaded. */
	if (b->final == NULL || b->status == 503) {
		send_own(ctx, b->final != NULL ? 500 : b->status, &b->refusal, now_us);
		return;
	}
	passage_open(&p, b, b->final);
	status = prepare(&p, &out);
	passage_close(&p);
	if (status != 0) {
		send_own(ctx, status, &p.relay.refusal, now_us);
		return;
	}
	if (b->status == 401 || b->status == 407)
		aggregate_challenges(ctx, b, out);
	send_final(ctx, out, now_us);
}

void
answer_choose(struct context *ctx, uint64_t now_us)
{
	if (ctx->starting || ctx->answered || ctx->st == NULL)
		return;
	for (size_t i = 0; i < ctx->branch_n; i++)
		if (!ctx->branch[i].done)
			return;
	send_best(ctx, best_branch(ctx), now_us);
}

/* -- A branch ends -- */

static void
end_branch(struct branch *b, int status, struct sip_msg *final, uint64_t now_us)
{
	struct context *ctx = b->ctx;

	if (b->done) {
		sip_msg_free(final);
		return;
	}
	b->done = true;
	b->status = status;
	b->final = final;
	timer_clear(ctx->s->timers, &b->timer_c);
	/* After on_invite_failed nothing more is told of it. */
	if (b->relayed && status >= 300 && context_is_invite(ctx) &&
	    (!ctx->answered || ctx->success) && ctx->s->h.on_branch_failed != NULL)
		ctx->s->h.on_branch_failed(ctx->s->arg, context_real(ctx), b->id);
	/* Step 5: nobody will take it. */
	if (status >= 600)
		cancel_others(ctx, status, now_us);
	answer_choose(ctx, now_us);
}

void
answer_local(struct branch *b, int status, uint64_t now_us)
{
	end_branch(b, status, NULL, now_us);
}

/* -- Responses that go upstream at once (§16.7 step 5) -- */

static void
relay_provisional(struct branch *b, const struct sip_msg *resp, uint64_t now_us)
{
	struct context *ctx = b->ctx;
	struct passage p;
	struct sip_msg *out;
	int status;

	/* §16.7 step 5: 100 is for one hop. RFC 4320 §4.1: the others are for INVITE. */
	if (sip_msg_status(resp) == 100 || !context_is_invite(ctx) || ctx->answered ||
	    ctx->st == NULL)
		return;
	passage_open(&p, b, resp);
	status = prepare(&p, &out);
	passage_close(&p);
	if (status == 0)
		server_send_response(ctx->s, ctx->st, out, now_us);
	else
		send_own(ctx, status, &p.relay.refusal, now_us);
}

/* A 2xx that does not reach the caller: the callee must not think that it talks. */
static void
kill_dialog(struct passage *p, uint64_t now_us)
{
	struct branch *b = p->b;

	if (!context_is_invite(b->ctx) || *sip_msg_to_tag(p->resp) == '\0')
		return;
	dialog_kill(b->ctx->s, &p->relay, !b->killed, now_us);
	b->killed = true;
}

/* Another answer went upstream before. A 2xx to INVITE may still follow a 2xx. */
static bool
is_late(const struct branch *b)
{
	const struct context *ctx = b->ctx;

	return b->killed || (ctx->answered && !(context_is_invite(ctx) && ctx->success));
}

static void
relay_success(struct branch *b, const struct sip_msg *resp, uint64_t now_us)
{
	struct context *ctx = b->ctx;
	bool late = is_late(b);
	struct passage p;
	struct sip_msg *out;
	int status;

	if (ctx->st == NULL)
		return;
	passage_open(&p, b, resp);
	status = late ? 0 : prepare(&p, &out);
	if (late || status != 0)
		kill_dialog(&p, now_us);
	passage_close(&p);
	if (status != 0) {
		send_own(ctx, status, &p.relay.refusal, now_us);
	} else if (!late) {
		ctx->success = true;
		send_final(ctx, out, now_us);
	}
	end_branch(b, status != 0 ? status : sip_msg_status(resp), NULL, now_us);
}

void
answer_response(struct branch *b, const struct sip_msg *resp)
{
	uint64_t now_us = b->ctx->s->now_us;
	int status = sip_msg_status(resp);

	if (status < 200)
		relay_provisional(b, resp, now_us);
	else if (is_success(status))
		relay_success(b, resp, now_us);
	else
		end_branch(b, status, sip_msg_clone(resp), now_us);
}
