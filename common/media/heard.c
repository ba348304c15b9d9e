/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "media/leg.h"

#define PACKETIZATION_MS 20.0 /* a phone speaks so long before a packet is full */

bool
media_leg_to_phone(const struct media_leg *leg)
{
	return leg->partner != NULL && leg->partner->type == LEG_SOCKET;
}

static uint64_t
tunnel_round_trip_us(const struct media_leg *leg)
{
	const struct media *m = leg->media;

	if (leg->type != LEG_TUNNEL || m->h.round_trip_us == NULL)
		return 0;
	return m->h.round_trip_us(m->arg, leg->channel.face);
}

double
media_leg_delay_ms(const struct media_leg *leg)
{
	uint64_t rtcp_us = leg->rtcp.round_trip_us, tunnel_us = tunnel_round_trip_us(leg);

	if (leg->partner != NULL) {
		rtcp_us += leg->partner->rtcp.round_trip_us;
		tunnel_us += tunnel_round_trip_us(leg->partner);
	}
	return (double)(rtcp_us > tunnel_us ? rtcp_us : tunnel_us) / 2000;
}

double
media_leg_mos(const struct media_leg *leg, uint64_t n, uint64_t missed)
{
	if (!leg->cfg.rtp || leg->cfg.kind != MEDIA_AUDIO || n == 0)
		return 0;
	return media_mos(media_leg_delay_ms(leg) + PACKETIZATION_MS + PLAYOUT_MS,
	    missed < n ? (double)missed / (double)n : 1);
}

/* -- Samples -- */

/* A loss is taken back when the packet comes after all. */
static uint64_t
grown(uint64_t now, uint64_t before)
{
	return now > before ? now - before : 0;
}

static struct media_mark
take_mark(const struct media_leg *leg)
{
	const struct playout_tally *t = &leg->rtp.tally;

	return (struct media_mark){ leg->rtp.packets, rtp_counter_lost(&leg->rtp), t->late, t->runs,
		t->run_missed, 0 };
}

static void
add_audio(struct media_sample *s, const struct media_mark *now, const struct media_mark *last)
{
	s->audio += now->packets - last->packets;
	s->lost += grown(now->lost, last->lost);
	s->late += now->late - last->late;
	s->runs += now->runs - last->runs;
	s->missed += now->run_missed - last->run_missed;
	if (now->mos == 0)
		return;
	s->streams++;
	s->mos_mean += now->mos; /* a sum for now */
	if (s->mos_worst == 0 || now->mos < s->mos_worst)
		s->mos_worst = now->mos;
}

static void
sample_leg(struct media_leg *leg, struct media_sample *s)
{
	struct media_mark now = take_mark(leg), last = leg->mark;
	uint64_t came = now.packets - last.packets, lost = grown(now.lost, last.lost);

	if (came > 0)
		now.mos = media_leg_mos(leg, came + lost, lost + now.late - last.late);
	leg->mark = now;
	if (!media_leg_to_phone(leg))
		return;
	s->packets += came;
	if (leg->cfg.kind == MEDIA_AUDIO)
		add_audio(s, &now, &last);
}

void
media_sample(struct media *m, struct media_sample *out)
{
	struct media_leg *leg;

	*out = (struct media_sample){ 0 };
	LIST_FOREACH(leg, &m->legs, entry)
		if (leg->cfg.rtp)
			sample_leg(leg, out);
	if (out->streams > 0)
		out->mos_mean /= (double)out->streams;
}
