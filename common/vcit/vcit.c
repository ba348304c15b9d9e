/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "vcit/vcit.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "log/log.h"
#include "vcit/row.h"

struct vcit *
vcit_new(const struct vcit_cfg *cfg, struct timers *timers, struct media *media,
    const struct vcit_handlers *h, void *arg)
{
	struct vcit *v = mem_zalloc(sizeof(*v));

	v->cfg = *cfg;
	v->timers = timers;
	v->media = media;
	v->h = *h;
	v->arg = arg;
	vcit_face_new_outside(v);
	return v;
}

static void
tell_nobody(void *arg, uint32_t face, uint32_t number)
{
	(void)arg;
	(void)face;
	(void)number;
}

static void
tell_nobody_busy(void *arg, uint32_t face, bool busy)
{
	(void)arg;
	(void)face;
	(void)busy;
}

void
vcit_free(struct vcit *v)
{
	if (v == NULL)
		return;
	v->h = (struct vcit_handlers){
		.on_leg_close = tell_nobody, .on_call_end = tell_nobody, .on_busy = tell_nobody_busy
	};
	while (v->calls != NULL)
		vcit_call_free(v->calls);
	vcit_faces_free(v);
	mem_free(v);
}

void
vcit_set_server(struct vcit *v, struct sip_server *s)
{
	v->server = s;
}

/* -- The INVITE that begins a call, and what comes back -- */

static bool
is_first_invite(const struct sip_msg *request)
{
	return sip_msg_method(request) == SIP_INVITE && sip_msg_to_tag(request)[0] == '\0';
}

static int
first_invite(struct vcit *v, struct sip_relay *r)
{
	struct call *call = vcit_call_find(v, r->in, sip_msg_from_tag(r->in));
	struct row *row;
	int status = 503;

	if (!vcit_place_ask(v, call, r))
		return 503;
	if (call == NULL)
		call = vcit_call_new(v, r->in);
	if (call == NULL)
		return 503;
	/* RFC 3263 §4.3: the next hop was mute, and the branch goes to another one. */
	row = vcit_row_of_branch(call, r->branch);
	if (row != NULL && !vcit_row_is_confirmed(row))
		vcit_row_free(row);
	row = NULL;
	if (vcit_row_new(call, r, &row) == 0)
		status = row->direct ? 0 : vcit_sdp_relay(row, NULL, 0, r);
	if (status == 0) {
		vcit_call_started(call, row);
		return 0;
	}
	if (row != NULL)
		vcit_row_free(row);
	if (!call->started)
		vcit_call_free(call);
	return status;
}

/* What a refused 2xx began at the callee is ended by the proxy (sip.h, on_relay). */
static int
refuse_answer(struct row *row, struct dialog *d, int status)
{
	if (vcit_row_is_confirmed(row))
		vcit_dialog_free(row, d);
	else if (!row->doomed)
		vcit_row_doom(row);
	return status;
}

static void
confirm(struct row *row, struct dialog *d)
{
	if (d->confirmed)
		return; /* a repeated 2xx (RFC 3261 §13.3.1.4) */
	d->confirmed = true;
	if (vcit_row_may_hear(row, d))
		vcit_sdp_confirm(row, d);
	vcit_call_answered(row->call, row);
	if (!vcit_row_is_confirmed(row))
		vcit_row_settle(row);
}

static int
first_invite_answered(struct row *row, const struct sip_relay *r)
{
	int response = sip_msg_status(r->in), status;
	struct dialog *d = vcit_dialog_of_response(row, r);

	if (d == NULL) {
		vcit_sdp_hide(row->v, r);
		return 0;
	}
	(void)vcit_dialog_learn(d, 1, r);
	if (row->doomed)
		return 503;
	status = vcit_sdp_relay(row, d, 1, r);
	if (status != 0 && response >= 200 && !d->confirmed)
		return refuse_answer(row, d, status);
	if (status != 0) /* only a foretaste or a repetition: the call is good without it */
		sip_msg_body_set(r->out, NULL, NULL, 0);
	if (response >= 200)
		confirm(row, d);
	else if (response >= 180 && row->state == VCIT_CALLING)
		vcit_row_set_state(row, VCIT_RINGING);
	return 0;
}

static int
first_invite_response(struct vcit *v, const struct sip_relay *r)
{
	struct call *call = vcit_call_find(v, r->in, sip_msg_from_tag(r->in));
	struct row *row = call == NULL ? NULL : vcit_row_of_branch(call, r->branch);
	int response = sip_msg_status(r->in);

	if (r->direct || (row != NULL && row->direct)) {
		if (row != NULL && response >= 180 && response < 200)
			vcit_row_set_state(row, VCIT_RINGING);
		if (row != NULL && response >= 200 && response < 300)
			vcit_call_end(call, CAUSE_DIRECT, "answered; goes direct from here");
		return 0;
	}
	if (row == NULL || response <= 100 || response >= 300) {
		vcit_sdp_hide(v, r);
		return 0;
	}
	return first_invite_answered(row, r);
}

/* -- Inside a dialog -- */

struct place { /* where a message belongs */
	struct row *row;
	struct dialog *d;
	int requester; /* the side that sent the request */
};

static bool
is_between(const struct row *row, int requester, const struct sip_relay *r)
{
	uint32_t from = r->upstream ? r->caller.face : r->from.face;
	uint32_t to = r->upstream ? r->from.face : r->to.face;
	const struct face *a = row->side[requester].face, *b = row->side[1 - requester].face;

	return a != NULL && b != NULL && a->number == from && b->number == to;
}

/* A call that went out to a proxy and came back by it is here twice, under the same tags: the
 * faces tell which one is meant. */
static bool
find_as(struct vcit *v, const struct sip_relay *r, int requester, struct place *out)
{
	const char *tag[2] = { sip_msg_from_tag(r->request), sip_msg_to_tag(r->request) };
	struct call *call = vcit_call_find(v, r->request, tag[requester]);
	struct row *row;
	struct dialog *d;

	out->row = NULL;
	if (call == NULL)
		return false;
	TAILQ_FOREACH(row, &call->rows, entry) {
		d = vcit_dialog_find(row, tag[1 - requester]);
		if (d == NULL || (out->row != NULL && !is_between(row, requester, r)))
			continue;
		*out = (struct place){ .row = row, .d = d, .requester = requester };
		if (is_between(row, requester, r))
			return true;
	}
	return out->row != NULL;
}

static bool
find_place(struct vcit *v, const struct sip_relay *r, struct place *out)
{
	return find_as(v, r, 0, out) || find_as(v, r, 1, out);
}

/* Nothing is known of its dialog. Inside one network it may pass: there is nothing to hide. */
static int
stranger(struct vcit *v, const struct sip_relay *r)
{
	enum sip_method method = sip_msg_method(r->request);
	size_t n;

	if (r->direct || (r->from.face == r->to.face && r->from.face != SIP_FACE_OUTSIDE))
		return 0;
	if (!r->upstream && sip_msg_sdp(r->in, &n) != NULL && sip_msg_to_tag(r->in)[0] != '\0' &&
	    (method == SIP_INVITE || method == SIP_UPDATE || method == SIP_PRACK))
		return 481; /* a session that cannot be relayed again (HRAS was restarted) */
	vcit_sdp_hide(v, r);
	return 0;
}

static void
bye_request(const struct place *p)
{
	const struct dialog *d;

	p->d->bye = true;
	if (!vcit_row_is_confirmed(p->row))
		return; /* of an early dialog: its INVITE fails by itself */
	LIST_FOREACH(d, &p->row->dialogs, entry)
		if (d->confirmed && !d->bye)
			return;
	vcit_row_set_state(p->row, VCIT_ENDING);
}

/* Two phones behind one proxy had answered: the call goes on with the other one. */
static bool
go_on_with_another(const struct place *p)
{
	struct row *row = p->row;
	struct dialog *d;

	LIST_FOREACH(d, &row->dialogs, entry) {
		if (d == p->d || !d->confirmed || d->bye)
			continue;
		vcit_dialog_free(row, p->d);
		if (row->heard == NULL)
			vcit_sdp_hear(row, d);
		vcit_row_settle(row);
		return true;
	}
	return false;
}

static void
bye_response(const struct place *p, int status)
{
	if (status < 200 || !vcit_row_is_confirmed(p->row))
		return;
	if (status == 401 || status == 407) { /* asked who it is; it will say so in another BYE */
		p->d->bye = false;
		if (p->row->state == VCIT_ENDING)
			vcit_row_settle(p->row);
		return;
	}
	if (!go_on_with_another(p))
		vcit_row_end(p->row, CAUSE_BYE,
		    p->requester == 0 ? "the caller hung up" : "the callee hung up");
}

/* They go where the phone is now, and count on from the CSeq it has seen last. */
static void
renew_wills(const struct row *row)
{
	if (!vcit_row_is_confirmed(row))
		return;
	for (int s = 0; s < 2; s++)
		vcit_side_teach(&row->side[s]);
}

static int
dialog_request(struct vcit *v, const struct sip_relay *r)
{
	enum sip_method method = sip_msg_method(r->in);
	uint32_t cseq = sip_msg_cseq(r->in);
	struct place p;
	int by, status;
	bool fresh;

	if (!find_place(v, r, &p))
		return stranger(v, r);
	by = p.requester;
	fresh = vcit_dialog_learn(p.d, by, r) || cseq > p.d->cseq[by];
	if (cseq > p.d->cseq[by])
		p.d->cseq[by] = cseq;
	if (p.row->doomed) {
		vcit_sdp_hide(v, r);
		return 0;
	}
	status = vcit_sdp_relay(p.row, p.d, by, r);
	if (status != 0 &&
	    method == SIP_ACK) { /* cannot be answered; it must arrive all the same */
		sip_msg_body_set(r->out, NULL, NULL, 0);
		status = 0;
	}
	if (method == SIP_BYE)
		bye_request(&p);
	else if (fresh)
		renew_wills(p.row);
	return status;
}

static int
dialog_response(struct vcit *v, const struct sip_relay *r)
{
	enum sip_method method = sip_msg_method(r->request);
	int status = sip_msg_status(r->in), err;
	struct vcit_ending unusable = {
		.cause = CAUSE_FAILED, .status = 488, .text = "session cannot be relayed"
	};
	struct place p;

	if (!find_place(v, r, &p))
		return stranger(v, r);
	if (p.row->doomed || status >= 300)
		vcit_sdp_hide(v, r);
	if (status >= 300)
		vcit_sdp_roll_back(p.row, p.d, p.requester, sip_msg_cseq(r->request));
	if (method == SIP_BYE) {
		bye_response(&p, status);
		return 0;
	}
	if (p.row->doomed || status >= 300)
		return 0;
	if (vcit_dialog_learn(p.d, 1 - p.requester, r))
		renew_wills(p.row);
	err = vcit_sdp_relay(p.row, p.d, 1 - p.requester, r);
	if (err == 0)
		return 0;
	if (status < 200) { /* only a foretaste */
		sip_msg_body_set(r->out, NULL, NULL, 0);
		return 0;
	}
	if (method == SIP_INVITE) { /* which the proxy ends for the one that answered */
		unusable.sides = 1u << p.requester;
		vcit_row_kill(p.row, &unusable);
	} else {
		vcit_sdp_roll_back(p.row, p.d, p.requester, sip_msg_cseq(r->request));
	}
	return err;
}

int
vcit_relay(struct vcit *v, struct sip_relay *r, uint64_t now_us)
{
	int status;

	v->now_us = now_us;
	if (is_first_invite(r->request))
		status = r->upstream ? first_invite_response(v, r) : first_invite(v, r);
	else
		status = r->upstream ? dialog_response(v, r) : dialog_request(v, r);
	if (status == 488)
		v->n.calls_refused_sdp++;
	return status;
}

/* -- INVITEs that fail -- */

static void
reinvite_failed(struct vcit *v, const struct sip_msg *request)
{
	struct sip_relay r = { .in = request, .request = request };
	struct place p;

	if (find_place(v, &r, &p))
		vcit_sdp_roll_back(p.row, p.d, p.requester, sip_msg_cseq(request));
}

void
vcit_invite_failed(struct vcit *v, const struct sip_msg *request, int status, uint64_t now_us)
{
	struct call *call;
	struct row *row, *next;

	v->now_us = now_us;
	if (!is_first_invite(request)) {
		reinvite_failed(v, request);
		return;
	}
	call = vcit_call_find(v, request, sip_msg_from_tag(request));
	if (call == NULL)
		return;
	for (row = TAILQ_FIRST(&call->rows); row != NULL; row = next) {
		next = TAILQ_NEXT(row, entry);
		if (!vcit_row_is_confirmed(row) &&
		    strcmp(row->transaction, sip_msg_branch(request)) == 0)
			vcit_row_free(row);
	}
	if (call->rows_n == 0) {
		char why[64];

		snprintf(why, sizeof(why), "%d %s", status, sip_status_phrase(status));
		vcit_call_end(call, status == 487 ? CAUSE_CANCELLED : CAUSE_FAILED, why);
	}
}

void
vcit_branch_failed(struct vcit *v, const struct sip_msg *request, uint64_t branch, uint64_t now_us)
{
	struct call *call = vcit_call_find(v, request, sip_msg_from_tag(request));
	struct row *row = call == NULL ? NULL : vcit_row_of_branch(call, branch);

	v->now_us = now_us;
	if (row != NULL && !vcit_row_is_confirmed(row))
		vcit_row_free(row); /* the call stays: another branch may be tried (§16.7 step 5) */
}
