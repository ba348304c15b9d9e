/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "log/log.h"
#include "vcit/row.h"

#define NUMBER_MASK 0x7fffffffu /* a channel is twice the number (media.h) */
#define PORT_TRIES 16           /* ports of ours that other programs may hold, in a row */
#define PORT_AVOID_US (600 * CLOCK_S)

static struct leg *
find(struct vcit *v, uint32_t number)
{
	struct leg *leg;

	HASH_FIND(hh, v->legs, &number, sizeof(number), leg);
	return leg;
}

static void
add(struct vcit *v, struct leg *leg)
{
	HASH_ADD(hh, v->legs, number, sizeof(leg->number), leg);
}

static void
del(struct vcit *v, struct leg *leg)
{
	HASH_DEL(v->legs, leg);
}

static struct face *
face_of(const struct leg *leg)
{
	return leg->row->side[leg->side].face;
}

static enum media_kind
media_kind_of(enum sdp_kind kind)
{
	static const enum media_kind of[] = { [SDP_AUDIO] = MEDIA_AUDIO,
		[SDP_VIDEO] = MEDIA_VIDEO,
		[SDP_IMAGE] = MEDIA_IMAGE,
		[SDP_APPLICATION] = MEDIA_APPLICATION,
		[SDP_TEXT] = MEDIA_TEXT,
		[SDP_OTHER] = MEDIA_OTHER };

	return of[kind];
}

/* -- What the agents hear -- */

struct addr
vcit_leg_phone(const struct leg *leg)
{
	struct media_stats stats;

	if (leg->number == 0) {
		media_leg_stats(leg->media, &stats);
		if (addr_is_set(&stats.remote))
			return stats.remote;
	}
	return addr_is_set(&leg->source) ? leg->source : leg->rtp;
}

static void
tell(struct leg *leg, bool latch)
{
	struct vcit *v = leg->row->v;
	const struct leg *peer = leg->peer;
	struct vcit_leg_order o = { .leg = leg->number,
		.call = leg->row->side[leg->side].call,
		.stream = leg->stream,
		.kind = leg->kind,
		.port = leg->port,
		.rtp = leg->rtp,
		.rtcp = leg->rtcp,
		.mux = leg->mux,
		.latch = latch,
		.is_rtp = leg->is_rtp,
		.clock_rate = leg->clock_rate };

	leg->untold = leg->relatch = false;
	if (leg->number == 0)
		return;
	if (peer != NULL)
		o.far = vcit_leg_phone(peer);
	v->h.on_leg(v->arg, face_of(leg)->number, &o);
}

void
vcit_stream_tell(struct row *row, size_t i)
{
	for (int s = 0; s < 2; s++) {
		struct leg *leg = row->stream[i].leg[s];

		if (leg != NULL && leg->untold)
			tell(leg, leg->relatch);
	}
}

/* The agent may have lost all it knew, the phone's real address with it. */
void
vcit_leg_teach(struct leg *leg)
{
	tell(leg, true);
}

/* -- Opening and closing -- */

static int
open_media(struct leg *leg, const struct media_leg_cfg *cfg)
{
	struct vcit *v = leg->row->v;
	int err;

	if (face_of(leg)->number == SIP_FACE_OUTSIDE)
		return media_leg_open(v->media, cfg, leg->port, &leg->media);
	do {
		leg->number = ++v->last_leg & NUMBER_MASK;
	} while (leg->number == 0 || find(v, leg->number) != NULL);
	err = media_leg_tunnel(v->media, cfg, face_of(leg)->number, leg->number, &leg->media);
	if (err == 0)
		add(v, leg);
	return err;
}

/* Another program on this host may sit on a port of the range: the next one, then. */
static int
open_somewhere(struct leg *leg, const struct media_leg_cfg *cfg)
{
	struct media_ports *ports = face_of(leg)->ports;
	uint64_t now_us = leg->row->v->now_us;
	int err = ERR_FULL;

	for (int i = 0; i < PORT_TRIES; i++) {
		err = media_ports_take(ports, now_us, &leg->port);
		if (err < 0)
			return err;
		err = open_media(leg, cfg);
		if (err == 0)
			return 0;
		if (err != ERR_IN_USE) {
			media_ports_give(ports, leg->port, now_us);
			return err;
		}
		media_ports_avoid(ports, leg->port, now_us, PORT_AVOID_US);
	}
	return err;
}

struct place {
	uint8_t stream, side;
};

static int
leg_open(struct row *row, struct place place, const struct sdp_stream *said, struct leg **out)
{
	struct leg *leg = mem_zalloc(sizeof(*leg));
	struct media_leg_cfg cfg = { .kind = media_kind_of(said->kind),
		.clock_rate = said->clock_rate,
		.rtp = said->rtp,
		.user = leg };
	int err;

	leg->row = row;
	leg->stream = place.stream;
	leg->side = place.side;
	leg->kind = cfg.kind;
	leg->is_rtp = cfg.rtp;
	leg->clock_rate = cfg.clock_rate;
	err = open_somewhere(leg, &cfg);
	if (err < 0) {
		mem_free(leg);
		return err;
	}
	leg->untold = leg->relatch = true;
	*out = leg;
	row->v->n.ports_in_use++;
	return 0;
}

static void
leg_close(struct leg *leg)
{
	struct row *row = leg->row;
	struct vcit *v = row->v;
	struct face *face = face_of(leg);
	struct media_stats stats;

	media_leg_stats(leg->media, &stats);
	row->packets[leg->side] += stats.packets;
	media_leg_close(leg->media);
	if (leg->number != 0) {
		v->h.on_leg_close(v->arg, face->number, leg->number);
		del(v, leg);
	}
	media_ports_give(face->ports, leg->port, v->now_us);
	v->n.ports_in_use--;
	mem_free(leg);
}

static void
close_pair(struct leg *pair[static 2])
{
	for (int s = 0; s < 2; s++) {
		if (pair[s] != NULL)
			leg_close(pair[s]);
		pair[s] = NULL;
	}
}

void
vcit_stream_close(struct row *row, size_t i)
{
	close_pair(row->stream[i].leg);
	close_pair(row->stream[i].aside);
}

void
vcit_stream_accept(struct row *row, size_t i)
{
	close_pair(row->stream[i].aside);
}

void
vcit_stream_undo(struct row *row, size_t i)
{
	struct stream *stream = &row->stream[i];

	close_pair(stream->leg);
	memcpy(stream->leg, stream->aside, sizeof(stream->leg));
	memset(stream->aside, 0, sizeof(stream->aside));
}

bool
vcit_stream_fits(const struct row *row, size_t i, const struct sdp_stream *said)
{
	const struct leg *leg = row->stream[i].leg[0];

	return leg != NULL && leg->kind == media_kind_of(said->kind) && leg->is_rtp == said->rtp;
}

static int
open_pair(struct row *row, size_t i, const struct sdp_stream *said, struct leg *pair[static 2])
{
	int err = 0;

	for (uint8_t s = 0; s < 2 && err == 0; s++)
		err = leg_open(row, (struct place){ (uint8_t)i, s }, said, &pair[s]);
	if (err < 0) {
		close_pair(pair);
		return err;
	}
	pair[0]->peer = pair[1];
	pair[1]->peer = pair[0];
	/* At the offer and not at the answer: what the callee says with its 200 overtakes it. */
	media_join(pair[0]->media, pair[1]->media);
	return 0;
}

int
vcit_stream_open(struct row *row, size_t i, int by, const struct sdp_stream *said)
{
	struct leg_remote remote = { .rtp = said->rtp_addr, .rtcp = said->rtcp_addr };
	struct stream *stream = &row->stream[i];
	struct leg *pair[2] = { NULL, NULL };
	int err = open_pair(row, i, said, pair);

	if (err < 0)
		return err;
	close_pair(stream->aside);
	memcpy(stream->aside, stream->leg, sizeof(stream->aside));
	memcpy(stream->leg, pair, sizeof(stream->leg));
	vcit_leg_set_remote(pair[by], &remote);
	vcit_stream_tell(row, i);
	return 0;
}

/* The same again changes nothing: a session refresh must not reopen the learning window. */
void
vcit_leg_set_remote(struct leg *leg, const struct leg_remote *remote)
{
	struct leg *peer = leg->peer;

	if (addr_equal(&leg->rtp, &remote->rtp) && addr_equal(&leg->rtcp, &remote->rtcp) &&
	    leg->mux == remote->mux)
		return;
	leg->rtp = remote->rtp;
	leg->rtcp = remote->rtcp;
	leg->mux = remote->mux;
	leg->source = (struct addr){ .u.sa.sa_family = AF_UNSPEC };
	media_leg_remote(leg->media, &leg->rtp, &leg->rtcp, leg->mux, true);
	leg->untold = leg->relatch = true;
	if (peer != NULL)
		peer->untold = true; /* its `far` */
}

/* -- What the agents report -- */

struct leg *
vcit_leg_find(struct vcit *v, uint32_t face, uint32_t number)
{
	struct leg *leg = find(v, number);

	return leg != NULL && face_of(leg)->number == face ? leg : NULL;
}

static void
tell_far(struct leg *leg)
{
	struct leg *peer = leg->peer;

	if (peer != NULL)
		tell(peer, false);
}

void
vcit_leg_source(struct vcit *v, uint32_t face, uint32_t number, bool rtcp,
    const struct addr *source)
{
	struct leg *leg = vcit_leg_find(v, face, number);

	if (leg == NULL || rtcp || addr_equal(&leg->source, source))
		return;
	leg->source = *source;
	tell_far(leg);
}

void
vcit_local_source(struct vcit *v, struct media_leg *media, bool rtcp, const struct addr *source)
{
	struct leg *leg = media_leg_user(media);

	(void)v;
	if (rtcp || addr_equal(&leg->source, source))
		return;
	leg->source = *source;
	tell_far(leg);
}

void
vcit_leg_failed(struct vcit *v, uint32_t face, uint32_t number, uint16_t port, uint64_t now_us)
{
	static const struct vcit_ending e = { .cause = CAUSE_LEG_FAILED,
		.status = 503,
		.text = "media port not available",
		.sides = VCIT_BOTH_SIDES };
	struct leg *leg = vcit_leg_find(v, face, number);

	v->now_us = now_us;
	if (leg == NULL || leg->port != port)
		return;
	v->n.legs_failed++;
	log_warn("vcit", "call %u: %s cannot open port %u", leg->row->call->number,
	    face_of(leg)->name, port);
	media_ports_avoid(face_of(leg)->ports, port, now_us, PORT_AVOID_US);
	vcit_row_kill(leg->row, &e);
}
