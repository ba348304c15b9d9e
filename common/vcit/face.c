/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "base/mem.h"
#include "log/log.h"
#include "vcit/row.h"

struct face *
vcit_face_find(struct vcit *v, uint32_t number)
{
	struct face *face;

	HASH_FIND(hh, v->faces, &number, sizeof(number), face);
	return face;
}

static void
add(struct vcit *v, struct face *face)
{
	HASH_ADD(hh, v->faces, number, sizeof(face->number), face);
}

static void
del(struct vcit *v, struct face *face)
{
	HASH_DEL(v->faces, face);
}

static struct face *
face_new(struct vcit *v, uint32_t number, const char *name)
{
	struct face *face = mem_zalloc(sizeof(*face));

	face->number = number;
	face->name = mem_strdup(name);
	LIST_INIT(&face->sides);
	room_init(&face->room, v->cfg.measured);
	add(v, face);
	return face;
}

static void
face_free(struct vcit *v, struct face *face)
{
	del(v, face);
	media_ports_free(face->ports);
	mem_free(face->name);
	mem_free(face);
}

void
vcit_face_new_outside(struct vcit *v)
{
	struct face *face = face_new(v, SIP_FACE_OUTSIDE, "outside");

	face->media = v->cfg.media_address;
	face->ports = media_ports_new(v->cfg.port_min, v->cfg.port_max, v->cfg.linger_us);
}

void
vcit_faces_free(struct vcit *v)
{
	while (v->faces != NULL)
		face_free(v, v->faces);
}

/* -- A call and its agents -- */

void
vcit_side_attach(struct side *side, struct face *face)
{
	struct vcit *v = side->row->v;

	side->face = face;
	side->call = ++v->last_call;
	LIST_INSERT_HEAD(&face->sides, side, entry);
	vcit_place_settle(side);
	if (!side->row->direct && face->busy_n++ == 0 && face->number != SIP_FACE_OUTSIDE)
		v->h.on_busy(v->arg, face->number, true);
}

void
vcit_side_detach(struct side *side)
{
	struct vcit *v = side->row->v;
	struct face *face = side->face;

	if (face == NULL)
		return;
	LIST_REMOVE(side, entry);
	vcit_place_leave(side);
	side->face = NULL;
	if (face->number != SIP_FACE_OUTSIDE)
		v->h.on_call_end(v->arg, face->number, side->call);
	if (!side->row->direct && --face->busy_n == 0 && face->number != SIP_FACE_OUTSIDE)
		v->h.on_busy(v->arg, face->number, false);
}

void
vcit_side_teach(const struct side *side)
{
	const struct row *row = side->row;
	const struct vcit *v = row->v;
	struct vcit_call_order o = { .call = side->call,
		.call_id = row->call->call_id,
		.from = row->call->from,
		.to = row->call->to,
		.state = row->state,
		.since_wall_s = row->call->since_wall_s };
	char *will = NULL;

	if (side->face == NULL || side->face->number == SIP_FACE_OUTSIDE)
		return;
	if (vcit_row_will(row, side == &row->side[1], &will, &o.will_len, &o.will_flow) == 0)
		o.will = will;
	v->h.on_call(v->arg, side->face->number, &o);
	mem_free(will);
}

/* -- The life of an agent -- */

/* Its calls cannot be saved. Each kill takes the side away from the face. */
static void
kill_calls(struct face *face, bool reachable, const char *why)
{
	struct vcit_ending e = { .cause = CAUSE_AGENT_GONE, .status = 503, .text = why };
	struct side *side;

	while ((side = LIST_FIRST(&face->sides)) != NULL) {
		struct row *row = side->row;

		e.sides = 0;
		for (int s = 0; s < 2; s++)
			if (reachable || row->side[s].face != face)
				e.sides |= 1u << s;
		vcit_row_kill(row, &e);
	}
}

static void
take_legs(struct face *face, const struct row *row, int side)
{
	for (size_t i = 0; i < VCIT_STREAMS_MAX; i++) {
		struct leg *leg[] = { row->stream[i].leg[side], row->stream[i].aside[side] };

		/* One that the range has no more ends with a failure of its leg, or with the call. */
		for (int k = 0; k < 2; k++)
			if (leg[k] != NULL)
				(void)media_ports_take_this(face->ports, leg[k]->port);
	}
}

/* Live calls first: a port of theirs that another program holds too is found out by its opening. */
static void
renew_ports(const struct vcit *v, struct face *face, const struct vcit_agent *a)
{
	const struct side *side;
	uint32_t port = a->port_min;

	media_ports_free(face->ports);
	face->ports = media_ports_new(a->port_min, a->port_max, v->cfg.linger_us);
	LIST_FOREACH(side, &face->sides, entry)
		take_legs(face, side->row, side == &side->row->side[1]);
	for (size_t i = 0; i < a->busy_len * 8 && port <= a->port_max; i++, port += 2)
		if (a->busy[i / 8] & 1u << i % 8)
			(void)media_ports_take_this(face->ports, (uint16_t)port);
}

static void
teach(const struct face *face)
{
	const struct side *side;

	LIST_FOREACH(side, &face->sides, entry) {
		int s = side == &side->row->side[1];

		vcit_side_teach(side);
		for (size_t i = 0; i < VCIT_STREAMS_MAX; i++) {
			struct stream *stream = &side->row->stream[i];

			if (stream->aside[s] != NULL)
				vcit_leg_teach(stream->aside[s]);
			if (stream->leg[s] != NULL)
				vcit_leg_teach(stream->leg[s]);
		}
	}
}

void
vcit_agent_up(struct vcit *v, uint32_t number, const struct vcit_agent *a, uint64_t now_us)
{
	struct face *face = vcit_face_find(v, number);

	v->now_us = now_us;
	if (face == NULL)
		face = face_new(v, number, a->name);
	else if (!addr_same_host(&face->media, &a->media))
		kill_calls(face, true, "agent has moved");
	face->media = a->media;
	renew_ports(v, face, a);
	teach(face);
}

void
vcit_agent_gone(struct vcit *v, uint32_t number, uint64_t now_us)
{
	struct face *face = vcit_face_find(v, number);

	v->now_us = now_us;
	if (face == NULL || number == SIP_FACE_OUTSIDE)
		return;
	log_warn("vcit", "agent %s is gone: its calls end", face->name);
	kill_calls(face, false, "agent is gone");
	face_free(v, face);
}
