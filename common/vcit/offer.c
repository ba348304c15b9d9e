/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "log/log.h"
#include "vcit/row.h"

/*
 * Offers and answers (RFC 3264, 6337). Which of the two a body is follows from the dialog: an
 * offer that waits for its answer, and whether the INVITE in progress brought one.
 */
enum role {
	ROLE_OFFER,
	ROLE_PREVIEW, /* the answer in an unreliable 18x: the 2xx repeats it (RFC 3261 §13.2.1) */
	ROLE_ANSWER,
	ROLE_REPEAT,  /* of what has been negotiated: rewritten alike, nothing changes */
	ROLE_FOREIGN, /* no part of the call's session */
};

static struct said *
said_of(const struct sdp *sdp)
{
	struct said *said = mem_alloc(sizeof(*said) + sdp->n * sizeof(said->stream[0]));

	said->n = sdp->n;
	memcpy(said->stream, sdp->stream, sdp->n * sizeof(said->stream[0]));
	return said;
}

struct said *
vcit_said_dup(const struct said *said)
{
	return mem_dup(said, sizeof(*said) + said->n * sizeof(said->stream[0]));
}

/* Streams that do not run over UDP cannot be relayed: for us they are refused. */
static bool
is_active(const struct sdp_stream *s)
{
	return s->port != 0 && s->udp;
}

static bool
both_active(const struct dialog *d, size_t i)
{
	for (int s = 0; s < 2; s++)
		if (d->said[s] == NULL || i >= d->said[s]->n || !is_active(&d->said[s]->stream[i]))
			return false;
	return true;
}

bool
vcit_said_held(const struct said *a, const struct said *b)
{
	size_t active_n = 0;

	for (size_t i = 0; i < a->n && i < b->n; i++) {
		const struct sdp_stream *x = &a->stream[i], *y = &b->stream[i];

		if (!is_active(x) || !is_active(y))
			continue;
		active_n++;
		if (x->direction == SDP_SENDRECV && y->direction == SDP_SENDRECV &&
		    !x->zero_address && !y->zero_address)
			return false;
	}
	return active_n > 0;
}

/* -- Which one is it -- */

static bool
offered_by(const struct dialog *d, int side)
{
	return d->offer.said != NULL && d->offer.by == side;
}

static enum role
role_in_request(const struct dialog *d, int by, const struct sip_relay *r)
{
	switch (sip_msg_method(r->in)) {
	case SIP_INVITE:
	case SIP_UPDATE:
		return ROLE_OFFER;
	case SIP_PRACK: /* RFC 3262 §5 */
		return offered_by(d, 1 - by) ? ROLE_ANSWER : ROLE_OFFER;
	case SIP_ACK:
		return offered_by(d, 1 - by) ? ROLE_ANSWER : ROLE_REPEAT;
	default:
		return ROLE_FOREIGN;
	}
}

static enum role
role_in_response(const struct dialog *d, int by, const struct sip_relay *r)
{
	enum sip_method method = sip_msg_method(r->request);
	uint32_t cseq = sip_msg_cseq(r->request);
	int status = sip_msg_status(r->in);
	bool awaited =
	    offered_by(d, 1 - by) && d->offer.requester == 1 - by && d->offer.cseq == cseq;

	if (status >= 300)
		return ROLE_FOREIGN;
	if (method == SIP_PRACK || method == SIP_UPDATE)
		return awaited ? ROLE_ANSWER : ROLE_REPEAT;
	if (method != SIP_INVITE)
		return ROLE_FOREIGN;
	if (awaited) {
		bool reliable = status >= 200 || sip_msg_header(r->in, "RSeq") != NULL;

		return reliable ? ROLE_ANSWER : ROLE_PREVIEW;
	}
	if (d->invite.requester == 1 - by && d->invite.cseq == cseq && d->invite.offerless &&
	    !d->invite.settled)
		return ROLE_OFFER;
	return ROLE_REPEAT;
}

static enum role
role_of(const struct dialog *d, int by, const struct sip_relay *r)
{
	if (d == NULL)
		return ROLE_OFFER;
	return r->upstream ? role_in_response(d, by, r) : role_in_request(d, by, r);
}

/* -- Offers -- */

static int
refuse_ports(struct row *row, int err)
{
	static struct log_limit limit;

	row->v->n.calls_refused_ports++;
	log_warn_limited(&limit, "vcit", "call %u: no media port between %s and %s: %s",
	    row->call->number, row->side[0].face->name, row->side[1].face->name, err_str(err));
	return 503;
}

static void
undo(struct row *row, uint32_t opened)
{
	for (size_t i = 0; i < VCIT_STREAMS_MAX; i++)
		if (opened & 1u << i)
			vcit_stream_undo(row, i);
}

void
vcit_sdp_drop_offer(struct row *row, struct dialog *d)
{
	undo(row, d->offer.opened);
	mem_free(d->offer.said);
	d->offer = (struct offer){ .said = NULL };
}

void
vcit_sdp_roll_back(struct row *row, struct dialog *d, int requester, uint32_t cseq)
{
	if (d->offer.said != NULL && d->offer.requester == requester && d->offer.cseq == cseq)
		vcit_sdp_drop_offer(row, d);
}

/* Opens what the offer needs and is not open; *opened tells which. All or nothing. */
static int
open_streams(struct row *row, int by, const struct sdp *sdp, uint32_t *opened)
{
	uint32_t bits = 0;

	for (size_t i = 0; i < sdp->n; i++) {
		const struct sdp_stream *said = &sdp->stream[i];
		int err;

		if (!is_active(said) || vcit_stream_fits(row, i, said))
			continue;
		err = vcit_stream_open(row, i, by, said);
		if (err < 0) {
			undo(row, bits);
			return refuse_ports(row, err);
		}
		bits |= 1u << i;
	}
	*opened = bits;
	return 0;
}

static int
take_offer(struct row *row, struct dialog *d, int by, const struct sip_relay *r,
    const struct sdp *sdp)
{
	struct offer fresh = {
		.by = by, .requester = r->upstream ? 1 - by : by, .cseq = sip_msg_cseq(r->request)
	};
	uint32_t opened;
	int status;

	/* An offer that was never answered nor refused is out of date, unless it is this one again
	 * (a 2xx that brings an offer is repeated until the ACK comes). */
	if (d != NULL && d->offer.said != NULL) {
		if (offered_by(d, by) && d->offer.requester == fresh.requester &&
		    d->offer.cseq == fresh.cseq)
			fresh.opened = d->offer.opened;
		else
			vcit_sdp_drop_offer(row, d);
	}
	status = open_streams(row, by, sdp, &opened);
	if (status != 0)
		return status;
	if (d == NULL) {
		row->offer = said_of(sdp);
		return 0;
	}
	mem_free(d->offer.said);
	fresh.said = said_of(sdp);
	fresh.opened |= opened;
	d->offer = fresh;
	return 0;
}

/* -- Answers -- */

static void
close_unused(struct row *row, const struct dialog *d)
{
	for (size_t i = 0; i < VCIT_STREAMS_MAX; i++)
		if (!both_active(d, i) && !(d->offer.opened & 1u << i))
			vcit_stream_close(row, i);
}

static void
hear_stream(struct row *row, const struct dialog *d, size_t i)
{
	for (int s = 0; s < 2; s++) {
		struct leg_remote remote = { .mux = false };

		if (both_active(d, i)) {
			remote.rtp = d->said[s]->stream[i].rtp_addr;
			remote.rtcp = d->said[s]->stream[i].rtcp_addr;
			remote.mux = d->said[0]->stream[i].mux && d->said[1]->stream[i].mux;
		}
		vcit_leg_set_remote(row->stream[i].leg[s], &remote);
	}
	vcit_stream_tell(row, i);
}

void
vcit_sdp_hear(struct row *row, struct dialog *d)
{
	row->heard = d;
	if (d->said[0] == NULL)
		return;
	for (size_t i = 0; i < VCIT_STREAMS_MAX; i++)
		if (row->stream[i].leg[0] != NULL && !(d->offer.opened & 1u << i))
			hear_stream(row, d, i);
}

static void
keep(struct row *row, uint32_t opened)
{
	for (size_t i = 0; i < VCIT_STREAMS_MAX; i++)
		if (opened & 1u << i)
			vcit_stream_accept(row, i);
}

static void
take_answer(struct row *row, struct dialog *d, int by, const struct sdp *sdp, enum role role)
{
	struct said *offer = d->offer.said;

	/* A re-INVITE that was previewed may still fail and leave all as it was (§14.1). */
	if (role == ROLE_PREVIEW && d->confirmed)
		return;
	mem_free(d->said[0]);
	mem_free(d->said[1]);
	d->said[by] = said_of(sdp);
	if (role == ROLE_PREVIEW) {
		d->said[1 - by] = vcit_said_dup(offer);
	} else {
		d->said[1 - by] = offer;
		keep(row, d->offer.opened);
		if (d->offer.requester == d->invite.requester && d->offer.cseq == d->invite.cseq)
			d->invite.settled = true;
		d->offer = (struct offer){ .said = NULL };
	}
	if (vcit_row_may_hear(row, d))
		vcit_sdp_hear(row, d);
	if (role == ROLE_ANSWER && d->confirmed && row->heard == d) {
		close_unused(row, d);
		vcit_row_settle(row);
	}
}

void
vcit_sdp_confirm(struct row *row, struct dialog *d)
{
	/* An answer in an 18x counts even if the 2xx leaves it out: careless, but plain. */
	vcit_sdp_hear(row, d);
	if (d->said[0] != NULL)
		close_unused(row, d);
}

/* -- Rewriting -- */

static int
refuse_sdp(struct vcit *v, const struct row *row, int err)
{
	static struct log_limit limit;

	v->n.sdp_refused++;
	log_warn_limited(&limit, "vcit", "call %u: SDP refused: %s", row->call->number,
	    err_str(err));
	return 488;
}

static int
write_sdp(const struct sip_relay *r, const struct sdp_rewrite *rw)
{
	struct buf out;
	size_t n;
	const char *text = sip_msg_sdp(r->in, &n);
	int err;

	buf_init(&out, SIP_MSG_MAX);
	err = sdp_rewrite(text, n, rw, &out);
	if (err == 0)
		sip_msg_sdp_set(r->out, (const char *)buf_data(&out), buf_len(&out));
	buf_free(&out);
	return err;
}

static int
rewrite(struct row *row, int by, const struct sip_relay *r, const struct sdp *sdp)
{
	struct sdp_rewrite rw = { .address = row->side[1 - by].face->media, .n = sdp->n };

	for (size_t i = 0; i < sdp->n; i++) {
		const struct leg *leg = row->stream[i].leg[1 - by];

		if (leg == NULL || !is_active(&sdp->stream[i]))
			continue;
		rw.port[i].rtp = leg->port;
		rw.port[i].rtcp = (uint16_t)(leg->port + 1);
	}
	return write_sdp(r, &rw);
}

/*
 * A phone behind a NAT may name an address that means nothing here. Its packets will come from the
 * host that its SIP comes from, so that this is the source to prefer (RFC 7362 §4).
 */
static void
place_at(struct addr *a, const struct addr *host)
{
	uint16_t port = addr_port(a);

	if (!addr_is_set(a) || !addr_is_private(a) || addr_is_v6(a) != addr_is_v6(host))
		return;
	*a = *host;
	addr_set_port(a, port);
}

static void
place_behind_nat(struct sdp *sdp, const struct sip_flow *from)
{
	if (from->face != SIP_FACE_OUTSIDE || addr_is_private(&from->peer))
		return;
	for (size_t i = 0; i < sdp->n; i++) {
		place_at(&sdp->stream[i].rtp_addr, &from->peer);
		place_at(&sdp->stream[i].rtcp_addr, &from->peer);
	}
}

static void
note_invite(struct dialog *d, int by, const struct sip_relay *r, bool offerless)
{
	if (d == NULL || r->upstream || sip_msg_method(r->in) != SIP_INVITE)
		return;
	d->invite = (struct invite_round){
		.requester = by, .cseq = sip_msg_cseq(r->in), .offerless = offerless
	};
}

int
vcit_sdp_relay(struct row *row, struct dialog *d, int by, const struct sip_relay *r)
{
	struct sdp sdp;
	size_t n;
	const char *text = sip_msg_sdp(r->in, &n);
	enum role role;
	int err, status = 0;

	note_invite(d, by, r, text == NULL);
	if (text == NULL)
		return 0;
	role = role_of(d, by, r);
	if (role == ROLE_FOREIGN) {
		vcit_sdp_hide(row->v, r);
		return 0;
	}
	err = sdp_parse(text, n, &sdp);
	if (err == 0 && sdp.n > VCIT_STREAMS_MAX)
		err = ERR_TOO_BIG;
	if (err < 0)
		return refuse_sdp(row->v, row, err);
	place_behind_nat(&sdp, &r->from);
	if (role == ROLE_OFFER)
		status = take_offer(row, d, by, r, &sdp);
	else if (role != ROLE_REPEAT)
		take_answer(row, d, by, &sdp, role);
	if (status != 0)
		return status;
	err = rewrite(row, by, r, &sdp);
	return err == 0 ? 0 : refuse_sdp(row->v, row, err);
}

void
vcit_sdp_hide(struct vcit *v, const struct sip_relay *r)
{
	const struct face *face = vcit_face_find(v, r->to.face);
	struct sdp_rewrite rw = { .n = 0 };
	struct sdp sdp;
	size_t n;
	const char *text = sip_msg_sdp(r->in, &n);

	if (text == NULL)
		return;
	v->n.sdp_hidden++;
	if (face != NULL && sdp_parse(text, n, &sdp) == 0) {
		rw.address = face->media;
		rw.n = sdp.n;
		if (write_sdp(r, &rw) == 0)
			return;
	}
	sip_msg_body_set(r->out, NULL, NULL, 0);
}
