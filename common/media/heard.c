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

static uint16_t
hundredths(double mos)
{
	return (uint16_t)(mos * 100 + 0.5);
}

struct heard
media_heard(const struct media_stats *s)
{
	return (struct heard){ .packets = (uint32_t)s->packets,
		.lost = (uint32_t)s->lost,
		.late = (uint32_t)s->late,
		.runs = (uint32_t)s->runs,
		.run_missed = (uint32_t)s->run_missed,
		.run_longest = s->run_longest,
		.jitter_us = (uint32_t)(s->jitter_ms * 1000),
		.delay_us = (uint32_t)(s->delay_ms * 1000),
		.mos = hundredths(s->mos),
		.mos_recent = hundredths(s->mos_recent) };
}

/* -- Samples -- */

static void
sample_leg(struct media_leg *leg, struct heard_sum *sum)
{
	struct heard now, last = leg->sampled;
	struct heard_sum since = { 0 };
	struct media_stats s;

	media_leg_stats(leg, &s);
	now = media_heard(&s);
	heard_add(&since, &now, &last);
	now.mos_recent = since.packets == 0 ?
	    0 :
	    hundredths(media_leg_mos(leg, since.packets + since.lost, since.lost + since.late));
	leg->sampled = now;
	if (s.to_phone)
		heard_add(sum, &now, &last);
}

void
media_sample(struct media *m, struct heard_sum *out)
{
	struct media_leg *leg;

	*out = (struct heard_sum){ 0 };
	LIST_FOREACH(leg, &m->legs, entry)
		if (leg->cfg.rtp)
			sample_leg(leg, out);
}
