/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdio.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "log/log.h"
#include "vcit/row.h"

#define BYE_US (32 * CLOCK_S)     /* 64*T1: Timer F of the BYE (RFC 3261 §17.1.2.2) */
#define DOOMED_US (300 * CLOCK_S) /* longer than Timer C: the INVITE must have failed by then */

struct bye {
	struct sip_originate o;
	char *from, *to;
	char reason[160];
};

/* RFC 3261 §12.2.1.1: what the other phone would send. The names of the two never matter, the tags
 * do; without a tag the phone is one of RFC 2543. */
static char *
party(const struct call *call, const struct dialog *d, int side)
{
	const char *uri = side == 0 ? call->from : call->to;
	const char *tag = side == 0 ? call->caller_tag : d->to_tag;

	if (tag[0] == '\0')
		return mem_printf("<%s>", uri);
	return mem_printf("<%s>;tag=%s", uri, tag);
}

static int
compose(struct bye *b, const struct row *row, const struct dialog *d, int to)
{
	if (row->v->server == NULL || d->side[to].contact == NULL)
		return ERR_NOT_FOUND;
	b->from = party(row->call, d, 1 - to);
	b->to = party(row->call, d, to);
	b->o = (struct sip_originate){ .method = SIP_BYE,
		.to = &d->side[to],
		.call_id = row->call->call_id,
		.from = b->from,
		.to_header = b->to,
		.cseq = d->cseq[1 - to] + 1,
		.reason = b->reason };
	return 0;
}

static void
explain(struct bye *b, int status, const char *text)
{
	snprintf(b->reason, sizeof(b->reason), "SIP;cause=%d;text=\"%s\"", status, text);
}

static void
clear(struct bye *b)
{
	mem_free(b->from);
	mem_free(b->to);
}

void
vcit_dialog_bye(struct row *row, struct dialog *d, int to, const struct vcit_ending *e)
{
	struct vcit *v = row->v;
	struct bye b;
	int err;

	if (compose(&b, row, d, to) < 0)
		return;
	explain(&b, e->status, e->text);
	err = sip_server_originate(v->server, &b.o, v->now_us);
	if (err < 0)
		log_info("vcit", "call %u: no BYE to the %s: %s", row->call->number,
		    to == 0 ? "caller" : "callee", err_str(err));
	else
		v->n.byes_originated++;
	d->cseq[1 - to]++;
	d->bye = true;
	clear(&b);
}

int
vcit_row_will(const struct row *row, int side, char **out, size_t *n, struct sip_flow *to)
{
	const struct dialog *d = row->heard;
	struct bye b;
	int err;

	if ((row->state != VCIT_UP && row->state != VCIT_HELD) || d == NULL || d->bye)
		return ERR_NOT_FOUND;
	err = compose(&b, row, d, side);
	if (err < 0)
		return err;
	explain(&b, 503, "relay is gone");
	err = sip_server_render(row->v->server, &b.o, out, n, to);
	clear(&b);
	return err;
}

/*
 * Before the 2xx only the callee can be told: the caller's INVITE is still to be answered, which
 * the proxy does with the next response. A BYE in an early dialog makes a phone stop ringing (RFC
 * 3261 §15).
 */
static void
send_byes(struct row *row, const struct vcit_ending *e)
{
	bool confirmed = vcit_row_is_confirmed(row);
	struct dialog *d;

	LIST_FOREACH(d, &row->dialogs, entry) {
		if (d->bye || d->confirmed != confirmed)
			continue;
		for (int s = confirmed ? 0 : 1; s < 2; s++)
			if (e->sides & 1u << s)
				vcit_dialog_bye(row, d, s, e);
	}
}

void
vcit_row_kill(struct row *row, const struct vcit_ending *e)
{
	if (row->doomed)
		return;
	send_byes(row, e);
	if (vcit_row_is_confirmed(row))
		vcit_row_end(row, e->cause, e->text);
	else
		vcit_row_doom(row);
}

void
vcit_end_all(struct vcit *v, const char *reason, uint64_t now_us)
{
	struct vcit_ending e = {
		.cause = CAUSE_SHUTDOWN, .status = 503, .text = reason, .sides = VCIT_BOTH_SIDES
	};
	struct call *call, *next;

	v->now_us = now_us;
	HASH_ITER(hh, v->calls, call, next) {
		struct row *row;

		TAILQ_FOREACH(row, &call->rows, entry)
			send_byes(row, &e);
		vcit_call_end(call, e.cause, e.text);
	}
}

/* -- Watching -- */

static uint64_t
last_heard_us(const struct row *row, bool *any)
{
	uint64_t last_us = row->quiet_us;
	struct media_stats stats;

	for (size_t i = 0; i < VCIT_STREAMS_MAX; i++) {
		for (int s = 0; s < 2; s++) {
			if (row->stream[i].leg[s] == NULL)
				continue;
			*any = true;
			media_leg_stats(row->stream[i].leg[s]->media, &stats);
			if (stats.last_us > last_us)
				last_us = stats.last_us;
		}
	}
	return last_us;
}

/* One direction may be silent for long (a muted phone that suppresses silence); both may not. */
static void
check_media(struct row *row)
{
	static const struct vcit_ending e = { .cause = CAUSE_MEDIA_TIMEOUT,
		.status = 408,
		.text = "no media",
		.sides = VCIT_BOTH_SIDES };
	struct vcit *v = row->v;
	bool any = false;
	uint64_t last_us = last_heard_us(row, &any);

	if (!any)
		last_us = v->now_us; /* a session without streams has nothing to miss */
	if (v->now_us >= last_us + v->cfg.media_timeout_us)
		vcit_row_kill(row, &e);
	else
		timer_set(v->timers, &row->timer, last_us + v->cfg.media_timeout_us);
}

void
vcit_row_on_timer(void *arg, uint64_t now_us)
{
	struct row *row = arg;

	row->v->now_us = now_us;
	if (row->doomed)
		vcit_row_free(row); /* the call stays until its INVITE fails */
	else if (row->state == VCIT_ENDING)
		vcit_row_end(row, CAUSE_BYE, "BYE without an answer");
	else if (row->state == VCIT_UP)
		check_media(row);
}

void
vcit_row_watch(struct row *row)
{
	struct vcit *v = row->v;

	timer_clear(v->timers, &row->timer);
	if (row->doomed)
		timer_set(v->timers, &row->timer, v->now_us + DOOMED_US);
	else if (row->state == VCIT_ENDING)
		timer_set(v->timers, &row->timer, v->now_us + BYE_US);
	else if (row->state == VCIT_UP && v->cfg.media_timeout_us != 0)
		timer_set(v->timers, &row->timer, row->quiet_us + v->cfg.media_timeout_us);
}
