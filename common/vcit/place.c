/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdio.h>
#include <string.h>

#include "log/log.h"
#include "vcit/row.h"

/*
 * Places: what calls take of the room of a face's tunnel (room.h), and who gets one. A call that
 * rings at several phones of one face takes one place there, since one of them will be answered.
 */
#define RETRY_CONGESTED_S 5 /* at least; congestion ends when somebody hangs up, or by itself */
#define RETRY_FULL_S 3

static int
index_of(const struct side *side)
{
	return side == &side->row->side[1];
}

static size_t *
count_of(struct face *face, enum vcit_place place)
{
	switch (place) {
	case PLACE_EARLY:
		return &face->load.early;
	case PLACE_UP:
		return &face->load.up;
	case PLACE_HELD:
		return &face->load.held;
	default:
		return NULL;
	}
}

static void
set_place(struct side *side, enum vcit_place place)
{
	size_t *from = count_of(side->face, side->place), *to = count_of(side->face, place);

	if (from != NULL)
		--*from;
	if (to != NULL)
		++*to;
	side->place = place;
}

/* The same side of another row of the call, on that face, that is not answered yet. */
static struct side *
early_twin(struct call *call, const struct row *row, int s, const struct face *face,
    enum vcit_place place)
{
	struct row *other;

	TAILQ_FOREACH(other, &call->rows, entry) {
		struct side *twin = &other->side[s];

		if (other != row && twin->face == face && twin->place == place &&
		    !vcit_row_is_confirmed(other) && !other->direct)
			return twin;
	}
	return NULL;
}

static enum vcit_place
place_wanted(const struct side *side)
{
	const struct row *row = side->row;

	if (row->direct || side->face->number == SIP_FACE_OUTSIDE)
		return PLACE_NONE;
	if (row->state == VCIT_UP)
		return PLACE_UP;
	if (row->state == VCIT_HELD)
		return PLACE_HELD;
	if (row->state == VCIT_ENDING ||
	    early_twin(row->call, row, index_of(side), side->face, PLACE_EARLY) != NULL)
		return PLACE_NONE;
	return PLACE_EARLY;
}

static void
take_place(struct side *side, enum vcit_place place)
{
	bool was_early = side->place == PLACE_EARLY;
	struct side *twin;

	set_place(side, place);
	if (!was_early || place == PLACE_EARLY)
		return;
	twin = early_twin(side->row->call, side->row, index_of(side), side->face, PLACE_NONE);
	if (twin != NULL)
		set_place(twin, PLACE_EARLY);
}

void
vcit_place_settle(struct side *side)
{
	if (side->face != NULL)
		take_place(side, place_wanted(side));
}

void
vcit_place_leave(struct side *side)
{
	take_place(side, PLACE_NONE);
}

/* -- Who gets one -- */

static bool
has_place(struct call *call, int s, const struct face *face)
{
	return call != NULL && early_twin(call, NULL, s, face, PLACE_EARLY) != NULL;
}

/* Of the branches of one INVITE that are refused one after the other the first is counted. */
static bool
is_new_refusal(struct face *face, const struct sip_msg *invite)
{
	if (strncmp(face->refused_branch, sip_msg_branch(invite),
		sizeof(face->refused_branch) - 1) == 0)
		return false;
	snprintf(face->refused_branch, sizeof(face->refused_branch), "%s", sip_msg_branch(invite));
	return true;
}

static void
count_refusal(struct vcit *v, struct face *face, enum room_answer answer)
{
	char text[ROOM_TEXT_MAX];

	face->refused++;
	if (answer == ROOM_NO_BANDWIDTH)
		v->n.calls_refused_bandwidth++;
	else if (answer == ROOM_NO_CONGESTED)
		v->n.calls_refused_congested++;
	else
		v->n.calls_refused_ceiling++;
	log_warn_limited(&face->full, "vcit",
	    "agent %s: a call is refused with 503: %s (%llu refused so far)", face->name,
	    room_text(&face->room, answer, &face->load, v->now_us, text),
	    (unsigned long long)face->refused);
}

/* What the caller hears names nobody: it may be on the other side. */
static bool
admit(struct vcit *v, struct sip_relay *r, struct face *face, size_t n)
{
	enum room_answer answer;

	if (face == NULL || n == 0)
		return true;
	answer = room_ask(&face->room, &face->load, n);
	if (answer == ROOM_YES)
		return true;
	if (is_new_refusal(face, r->in))
		count_refusal(v, face, answer);
	r->refusal.warning = r->from.face == face->number ? "The line of this site is full" :
							    "The line to the called site is full";
	r->refusal.retry_after_s = answer == ROOM_NO_CONGESTED ? RETRY_CONGESTED_S : RETRY_FULL_S;
	return false;
}

bool
vcit_place_ask(struct vcit *v, struct call *call, struct sip_relay *r)
{
	struct face *face[2] = { vcit_face_find(v, r->from.face), vcit_face_find(v, r->to.face) };
	size_t n[2];

	if (r->direct)
		return true;
	for (int s = 0; s < 2; s++)
		n[s] = face[s] != NULL && face[s]->number != SIP_FACE_OUTSIDE &&
		    !has_place(call, s, face[s]);
	if (face[0] == face[1])
		return admit(v, r, face[0], n[0] + n[1]);
	return admit(v, r, face[0], n[0]) && admit(v, r, face[1], n[1]);
}

/* -- What is known of a tunnel -- */

void
vcit_room_sample(struct vcit *v, uint32_t number, const struct room_sample *s, uint64_t now_us)
{
	struct face *face = vcit_face_find(v, number);

	if (face != NULL)
		room_sample(&face->room, s, &face->load, now_us);
}

bool
vcit_room_view(struct vcit *v, uint32_t number, struct vcit_room *out)
{
	const struct face *face = vcit_face_find(v, number);

	if (face == NULL)
		return false;
	*out = (struct vcit_room){ .calls = face->load.up + face->load.held + face->load.early,
		.calls_max = v->cfg.measured ? face->room.ceiling : v->cfg.calls_max,
		.cap_kbit = face->room.cap_kbit,
		.kbit = { face->room.kbit[0], face->room.kbit[1] },
		.refused = face->refused };
	return true;
}
