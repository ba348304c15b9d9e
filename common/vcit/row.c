/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "vcit/row.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "log/log.h"

/* -- Dialogs -- */

static void
said_free(struct said *said[static 2])
{
	mem_free(said[0]);
	mem_free(said[1]);
}

void
vcit_dialog_free(struct row *row, struct dialog *d)
{
	if (row->heard == d)
		row->heard = NULL;
	LIST_REMOVE(d, entry);
	row->dialogs_n--;
	sip_dialog_side_clear(&d->side[0]);
	sip_dialog_side_clear(&d->side[1]);
	mem_free(d->offer.said);
	said_free(d->said);
	mem_free(d->to_tag);
	mem_free(d);
}

struct dialog *
vcit_dialog_find(struct row *row, const char *to_tag)
{
	struct dialog *d;

	LIST_FOREACH(d, &row->dialogs, entry)
		if (strcmp(d->to_tag, to_tag) == 0)
			return d;
	return NULL;
}

/* An early dialog that has least to lose, to make room for another. */
static struct dialog *
oldest_early(struct row *row)
{
	struct dialog *d, *oldest = NULL;

	LIST_FOREACH(d, &row->dialogs, entry)
		if (!d->confirmed && d != row->heard)
			oldest = d; /* new ones are put in front */
	return oldest;
}

static struct dialog *
dialog_new(struct row *row, const struct sip_relay *r)
{
	struct sip_relay invite = { .in = r->request,
		.request = r->request,
		.from = r->caller,
		.to = r->from,
		.caller = r->caller,
		.branch = r->branch,
		.wire_call_id = row->wire_call_id,
		.natted = row->natted };
	struct dialog *d = mem_zalloc(sizeof(*d));

	d->to_tag = mem_strdup(sip_msg_to_tag(r->in));
	(void)sip_dialog_side_learn(&d->side[0], &invite); /* no Contact: it cannot be reached */
	d->cseq[0] = row->invite_cseq;
	d->invite = (struct invite_round){
		.requester = 0, .cseq = row->invite_cseq, .offerless = row->offer == NULL
	};
	/* RFC 3264 §4 with RFC 3261 §13.2.1: each dialog answers the one offer anew. */
	if (row->offer != NULL)
		d->offer = (struct offer){ .said = vcit_said_dup(row->offer),
			.by = 0,
			.requester = 0,
			.cseq = row->invite_cseq };
	LIST_INSERT_HEAD(&row->dialogs, d, entry);
	row->dialogs_n++;
	return d;
}

struct dialog *
vcit_dialog_of_response(struct row *row, const struct sip_relay *r)
{
	struct dialog *d = vcit_dialog_find(row, sip_msg_to_tag(r->in));

	if (d != NULL)
		return d;
	if (strlen(sip_msg_to_tag(r->in)) > VCIT_TAG_MAX)
		return NULL;
	if (row->dialogs_n >= VCIT_DIALOGS_MAX) {
		d = oldest_early(row);
		if (d == NULL)
			return NULL;
		vcit_dialog_free(row, d);
	}
	return dialog_new(row, r);
}

/* RFC 3261 §12.2: a target refresh changes the remote target and never the route set. */
static bool
refresh_target(struct dialog *d, int by, const struct sip_relay *r)
{
	struct sip_dialog_side *side = &d->side[by], fresh = { .contact = NULL };
	enum sip_method method = sip_msg_method(r->request);
	char *old = side->contact;
	bool changed;

	if (method != SIP_INVITE && method != SIP_UPDATE)
		return false;
	if (sip_dialog_side_learn(&fresh, r) < 0)
		return false;
	changed = old == NULL || strcmp(old, fresh.contact) != 0;
	side->contact = fresh.contact;
	if (side->route_n == 0) {
		changed |= !sip_flow_equal(&side->flow, &fresh.flow);
		side->flow = fresh.flow;
	}
	fresh.contact = old;
	sip_dialog_side_clear(&fresh);
	return changed;
}

bool
vcit_dialog_learn(struct dialog *d, int by, const struct sip_relay *r)
{
	if (r->upstream && sip_msg_status(r->in) >= 300)
		return false;
	if (!r->upstream || sip_msg_to_tag(r->request)[0] != '\0')
		return refresh_target(d, by, r);
	/* Until the 2xx the route set may still come out differently (§13.2.2.4). */
	(void)sip_dialog_side_learn(&d->side[by], r);
	return true;
}

/* -- Rows -- */

static void
link_row(struct call *call, struct row *row)
{
	TAILQ_INSERT_TAIL(&call->rows, row, entry);
	call->rows_n++;
	timer_clear(call->v->timers, &call->timer);
}

static void
unlink_row(struct row *row)
{
	struct call *call = row->call;

	TAILQ_REMOVE(&call->rows, row, entry);
	call->rows_n--;
	if (call->rows_n == 0)
		vcit_call_orphan(call);
}

int
vcit_row_new(struct call *call, const struct sip_relay *r, struct row **out)
{
	struct vcit *v = call->v;
	struct face *face[2] = { vcit_face_find(v, r->from.face), vcit_face_find(v, r->to.face) };
	struct row *row;

	if (call->rows_n >= VCIT_ROWS_MAX) {
		v->n.calls_refused_full++;
		return ERR_FULL;
	}
	if (face[0] == NULL || face[1] == NULL) {
		v->n.calls_refused_agent++;
		return ERR_DOWN;
	}
	row = mem_zalloc(sizeof(*row));
	row->v = v;
	row->call = call;
	row->branch = r->branch;
	row->transaction = mem_strdup(sip_msg_branch(r->in));
	row->state = VCIT_CALLING;
	row->direct = r->direct;
	row->wire_call_id = mem_strdup(r->wire_call_id);
	row->natted = r->natted;
	row->invite_cseq = sip_msg_cseq(r->in);
	LIST_INIT(&row->dialogs);
	timer_init(&row->timer, vcit_row_on_timer, row);
	link_row(call, row);
	for (int s = 0; s < 2; s++) {
		row->side[s].row = row;
		vcit_side_attach(&row->side[s], face[s]);
		vcit_side_teach(&row->side[s]);
	}
	*out = row;
	return 0;
}

/* Gives back what the faces hold for it. */
static void
release(struct row *row)
{
	for (size_t i = 0; i < VCIT_STREAMS_MAX; i++)
		vcit_stream_close(row, i);
	for (int s = 0; s < 2; s++)
		vcit_side_detach(&row->side[s]);
}

void
vcit_row_free(struct row *row)
{
	struct dialog *d;

	release(row);
	timer_clear(row->v->timers, &row->timer);
	while ((d = LIST_FIRST(&row->dialogs)) != NULL)
		vcit_dialog_free(row, d);
	for (int s = 0; s < 2; s++)
		row->call->packets[s] += row->packets[s];
	unlink_row(row);
	mem_free(row->offer);
	mem_free(row->transaction);
	mem_free(row->wire_call_id);
	mem_free(row);
}

bool
vcit_row_is_confirmed(const struct row *row)
{
	return row->state >= VCIT_UP;
}

bool
vcit_row_may_hear(const struct row *row, const struct dialog *d)
{
	return row->heard == NULL || row->heard == d || !row->heard->confirmed;
}

void
vcit_row_end(struct row *row, enum vcit_cause cause, const char *why)
{
	struct call *call = row->call;
	struct row *other;

	vcit_row_free(row);
	TAILQ_FOREACH(other, &call->rows, entry)
		if (vcit_row_is_confirmed(other))
			return;
	vcit_call_end(call, cause, why);
}

void
vcit_row_set_state(struct row *row, enum vcit_state state)
{
	if (row->state == state)
		return;
	log_debug("vcit", "call %u: %s, was %s", row->call->number, vcit_state_str(state),
	    vcit_state_str(row->state));
	row->state = state;
	row->quiet_us = row->v->now_us;
	vcit_row_watch(row);
	for (int s = 0; s < 2; s++) {
		vcit_place_settle(&row->side[s]);
		vcit_side_teach(&row->side[s]);
	}
}

void
vcit_row_settle(struct row *row)
{
	const struct dialog *d = row->heard;
	bool held;

	if (d != NULL && d->bye)
		return; /* an answer that crossed the BYE */
	held = d != NULL && d->said[0] != NULL && vcit_said_held(d->said[0], d->said[1]);

	vcit_row_set_state(row, held ? VCIT_HELD : VCIT_UP);
}

void
vcit_row_doom(struct row *row)
{
	row->doomed = true;
	release(row);
	vcit_row_watch(row);
}

struct row *
vcit_row_of_branch(struct call *call, uint64_t branch)
{
	struct row *row;

	TAILQ_FOREACH(row, &call->rows, entry)
		if (row->branch == branch)
			return row;
	return NULL;
}
